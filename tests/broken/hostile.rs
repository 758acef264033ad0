//! Zones that answer with as much as a message holds, and aliases without end: what is ours is found among it, what is left
//! out is said, and what is kept of it is bounded.

use control::domain::State;
use control::observe::{Rtype, Sight};
use control::records::desired;

use super::{Eyes, LABEL, facts, publish_target, settings, sorted, zone_of};
use crate::harness::bind::Bind;

/// Records of one set: with short names as many as fit into the 64 kB of a message.
const MANY: u16 = 3_000;
/// The same of a set whose records are longer.
const SOME: u16 = 2_000;
/// What is kept of a look at a domain, in bytes of JSON.
const MOST_KEPT: usize = 32 * 1024;

/// A text of 60 kB, in strings of 250.
fn huge() -> String {
    format!("({})", format!("\"{}\" ", "x".repeat(250)).repeat(240))
}

fn many(name: &str, count: u16, record: impl Fn(u16) -> String) -> String {
    (0..count)
        .map(|at| format!("{name} IN {}\n", record(at)))
        .collect()
}

/// A zone: what it lacks of its records, what stands there besides, and the codes that it yields.
type Zone = (
    &'static str,
    &'static [&'static str],
    String,
    &'static [&'static str],
);

fn zones() -> Vec<Zone> {
    vec![
        (
            "text.example",
            &[],
            format!("_domicile IN TXT {}\n", huge()),
            &["answer-too-large"],
        ),
        (
            "texts.example",
            &["_domicile"],
            format!("_domicile IN TXT {}\n", huge()),
            &["answer-too-large", "ownership-missing"],
        ),
        (
            "services.example",
            &[],
            many("_xmpp-client._tcp", MANY, |port| {
                format!("SRV 1 0 {port} z.")
            }),
            &["answer-too-large", "srv-leftover"],
        ),
        (
            "circle.example",
            &["_xmpp-client._tcp"],
            "_xmpp-client._tcp IN CNAME round\nround IN CNAME _xmpp-client._tcp\n".into(),
            &["alias-loop"],
        ),
        (
            "itself.example",
            &["_domicile"],
            "_domicile IN CNAME _domicile\n".into(),
            &["alias-loop"],
        ),
        (
            "abroad.example",
            &["_xmpp-server._tcp"],
            "_xmpp-server._tcp IN CNAME x.chain.example.\n".into(),
            &["alias-loop"],
        ),
        (
            "long.example",
            &["_xmpp-server._tcp"],
            "_xmpp-server._tcp IN CNAME l0.chain.example.\n".into(),
            &["alias-loop"],
        ),
        (
            "issuers.example",
            &[],
            many("@", SOME, |at| format!("CAA 0 issue \"ca{at}.x\"")),
            &["answer-too-large", "caa-forbids"],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_zones_are_looked_at_in_bounds_and_said_to_be() {
    let settings = settings();
    let zones = zones();
    let mut owners: Vec<(&str, String)> = zones
        .iter()
        .map(|(domain, lacks, has, _)| (*domain, zone_of(&facts(domain), &settings, lacks, has)))
        .collect();
    // Longer than any chain that resolvers follow.
    let chain = (0..30).map(|at| format!("l{at} IN CNAME l{}\n", at + 1));
    let chain: String = chain
        .chain(["x IN CNAME _xmpp-server._tcp.abroad.example.\n".into()])
        .collect();
    owners.push(("chain.example", chain));
    let owners: Vec<(&str, &str)> = owners.iter().map(|(name, text)| (*name, &**text)).collect();
    let bind = Bind::start(&owners);
    publish_target(&bind);
    let eyes = Eyes::open(bind.address, settings, &dna::Anchors::lenient([]));
    for (domain, _, _, expected) in &zones {
        let (found, seen) = eyes.findings(&facts(domain), State::Claimed).await;
        assert_eq!(sorted(&found), *expected, "{domain}: {found:#?}");
        let kept = serde_json::to_string(&seen).expect("JSON").len();
        assert!(kept < MOST_KEPT, "{domain}: {kept} bytes are kept");
        for row in &found {
            assert!(row.observed.len() <= 512, "{domain}: {}", row.observed);
        }
    }
    let (found, _) = eyes.findings(&facts("text.example"), State::Claimed).await;
    assert_eq!(found[0].observed, "2 records, 60019 bytes");
}

/// Nobody but the platform's operator writes there; what came in all the same is counted, and our own record found among it.
#[tokio::test(flavor = "multi_thread")]
async fn our_own_tlsa_record_is_found_among_thousands() {
    let domain = facts("one.example");
    let settings = settings();
    let zone = zone_of(&domain, &settings, &[], "");
    let bind = Bind::start(&[("one.example", &zone)]);
    publish_target(&bind);
    let owner = format!("_5269._tcp.{LABEL}.on.hosting.example");
    let ours = format!("3 1 1 {}", "f".repeat(64));
    let line = |data: &str| format!("update add {owner} 60 TLSA {data}\n");
    bind.update("hosting.example", &line(&ours));
    let lines: Vec<String> = (0..MANY)
        .map(|at| line(&format!("2 0 0 {at:04x}")))
        .collect();
    for some in lines.chunks(500) {
        bind.update("hosting.example", &some.concat());
    }
    let eyes = Eyes::open(bind.address, settings, &dna::Anchors::lenient([]));
    let wanted = desired(&domain, &eyes.settings);
    let names = [owner.clone()];
    let records = [ours.clone()];
    let seen = eyes.look(&domain, &wanted, (&names, &records)).await;
    let view = seen.set(Rtype::Tlsa, &owner).expect("asked");
    assert_eq!(view.answers().len(), 1);
    for answered in view.answers() {
        let Sight::Records { data, beyond, .. } = &answered.sight else {
            panic!("{answered:?}")
        };
        assert!(data.iter().any(|data| data.to_string() == ours));
        let all = beyond.expect("not all of it is kept");
        assert_eq!(all.records, usize::from(MANY) + 1);
    }
}
