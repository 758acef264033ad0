//! The table: what an owner has done to a zone, and the codes that a look at it yields.

use std::collections::BTreeSet;

use control::domain::State;
use control::findings::{self, CODES, Severity};
use control::records::{DomainFacts, Mode};
use domicile::config::{Config, DnsMode};
use domicile::demo::dns::{Dns, Signing};
use domicile::net::lookup::Resolver;

use super::{Eyes, LABEL, facts, publish_target, settings, sorted, zone_of};
use crate::harness::bind::Bind;
use crate::harness::demo::loopback;
use crate::harness::knot::Knot;

/// Name of our account at the authority, in the record that stands for ever.
const PERSIST: &str = "ca.example; accounturi=https://ca.example/acct/1";

/// A zone that is not as it should be. Its name is `NAME.example`.
struct Broken {
    name: &'static str,
    /// Relative names of records that are not there.
    lacks: &'static [&'static str],
    /// Lines of the zone's file that should not be.
    has: &'static str,
    change: fn(&mut DomainFacts),
    state: State,
    codes: &'static [&'static str],
}

/// A zone with records left out and others put in.
fn zone(
    name: &'static str,
    lacks: &'static [&'static str],
    has: &'static str,
    codes: &'static [&'static str],
) -> Broken {
    Broken {
        name,
        lacks,
        has,
        change: |_| {},
        state: State::Claimed,
        codes,
    }
}

const CLIENT: &str = "_xmpp-client._tcp";

/// What owners do to records.
fn records() -> Vec<Broken> {
    vec![
        zone("good", &[], "", &[]),
        zone("o1", &["_domicile"], "", &[findings::OWNERSHIP_MISSING]),
        zone(
            "o2",
            &["_domicile"],
            "_domicile IN TXT \"domicile-verify=other\"",
            &[findings::OWNERSHIP_MISMATCH],
        ),
        // A host that adds the zone's name to an absolute one: the name ends in it twice, or the target does.
        zone(
            "d1",
            &[CLIENT],
            "_xmpp-client._tcp.d1.example IN SRV 0 5 5222 d7f3k2.on.hosting.example.",
            &[findings::NAME_DOUBLED],
        ),
        zone(
            "d2",
            &["_domicile"],
            "_domicile.d2.example IN TXT \"domicile-verify=tok\"",
            &[findings::NAME_DOUBLED],
        ),
        zone(
            "d3",
            &[CLIENT],
            "_xmpp-client._tcp IN SRV 0 5 5222 d7f3k2.on.hosting.example",
            &[findings::NAME_DOUBLED],
        ),
        zone("s1", &[CLIENT], "", &[findings::SRV_MISSING]),
        // The one for direct TLS may be left out, and is said to be missing all the same.
        zone("s2", &["_xmpps-server._tcp"], "", &[findings::SRV_MISSING]),
        zone(
            "s3",
            &[CLIENT],
            "_xmpp-client._tcp IN SRV 0 5 5222 old.static.example.",
            &[findings::SRV_WRONG_TARGET],
        ),
        zone(
            "s4",
            &[],
            "_xmpp-client._tcp 60 IN SRV 0 5 5222 old.static.example.",
            &[findings::SRV_LEFTOVER],
        ),
        zone(
            "s5",
            &[CLIENT],
            "_xmpp-client._tcp IN SRV 0 5 5299 d7f3k2.on.hosting.example.",
            &[findings::SRV_WRONG_PORT],
        ),
        zone(
            "s6",
            &[CLIENT],
            "_xmpp-client._tcp IN SRV 0 5 5223 d7f3k2.on.hosting.example.",
            &[findings::SRV_SWAPPED_TLS],
        ),
        zone(
            "s7",
            &[CLIENT],
            "_xmpp-client._tcp IN SRV 0 5 5222 chat\nchat IN CNAME d7f3k2.on.hosting.example.",
            &[findings::SRV_TARGET_ALIAS],
        ),
        zone(
            "s8",
            &[CLIENT],
            "_xmpp-client._tcp IN SRV 0 5 5222 box\nbox IN A 10.0.0.7",
            &[findings::SRV_TARGET_PRIVATE],
        ),
        zone(
            "s9",
            &[CLIENT],
            "_xmpp-client._tcp IN SRV 0 0 0 .",
            &[findings::SRV_SERVICE_OFF],
        ),
        zone(
            "s10",
            &[CLIENT],
            "_xmpp-client._tcp 172800 IN SRV 0 5 5222 d7f3k2.on.hosting.example.",
            &[findings::TTL_TOO_LONG],
        ),
        zone(
            "c1",
            &["_acme-challenge"],
            "",
            &[findings::ACME_CNAME_MISSING],
        ),
        zone(
            "c2",
            &["_acme-challenge"],
            "_acme-challenge IN CNAME elsewhere.static.example.",
            &[findings::ACME_CNAME_WRONG],
        ),
        zone(
            "c3",
            &["_acme-challenge"],
            "_acme-challenge IN TXT \"of another program\"",
            &[findings::ACME_CNAME_MISSING],
        ),
        zone(
            "c4",
            &[],
            "@ IN CAA 0 issue \"other.example\"",
            &[findings::CAA_FORBIDS],
        ),
        zone(
            "c5",
            &[],
            "@ IN CAA 0 issue \"ca.example; accounturi=https://ca.example/acct/2\"",
            &[findings::CAA_FORBIDS],
        ),
        zone(
            "c6",
            &[],
            "@ IN CAA 0 issue \"ca.example; accounturi=https://ca.example/acct/1\"",
            &[],
        ),
        // All at once, each said by itself.
        zone(
            "all",
            &["_domicile", CLIENT, "_acme-challenge"],
            "@ IN CAA 0 issue \";\"",
            &[
                findings::ACME_CNAME_MISSING,
                findings::CAA_FORBIDS,
                findings::OWNERSHIP_MISSING,
                findings::SRV_MISSING,
            ],
        ),
    ]
}

/// Other modes, states, targets and servers.
fn others() -> Vec<Broken> {
    fn persistent(domain: &mut DomainFacts) {
        domain.mode = Mode::DnsPersist;
        domain.persist = Some(PERSIST.into());
    }
    let persist = |name, lacks, has, codes| Broken {
        change: persistent,
        ..zone(name, lacks, has, codes)
    };
    const RECORD: &[&str] = &["_validation-persist"];
    vec![
        persist("p0", &[], "", &[]),
        persist("p1", RECORD, "", &[findings::ACME_PERSIST_MISSING]),
        persist(
            "p2",
            RECORD,
            "_validation-persist IN TXT \"ca.example; accounturi=https://ca.example/acct/2\"",
            &[findings::ACME_PERSIST_WRONG],
        ),
        persist(
            "p3",
            RECORD,
            "_validation-persist IN TXT \"ca.example; accounturi=https://ca.example/acct/1; persistUntil=1\"",
            &[findings::ACME_PERSIST_ENDS],
        ),
        Broken {
            change: |domain| domain.mode = Mode::DnsPersist,
            ..zone("p4", &[], "", &[findings::ACME_PERSIST_UNOFFERED])
        },
        // What is missing of a service is said of the service, and costs the domain nothing.
        Broken {
            change: |domain| domain.services = vec!["rooms".into()],
            state: State::Live,
            ..zone("r0", &[], "", &[])
        },
        Broken {
            change: |domain| domain.services = vec!["rooms".into()],
            state: State::Live,
            ..zone(
                "r1",
                &["_xmpp-server._tcp.rooms", "_acme-challenge.rooms"],
                "",
                &[
                    findings::ACME_CNAME_MISSING,
                    findings::SERVICE_NAME_LEFT_OUT,
                    findings::SRV_MISSING,
                ],
            )
        },
        // Others find the service, and have nothing to verify it by.
        Broken {
            change: |domain| domain.services = vec!["rooms".into()],
            state: State::Live,
            ..zone(
                "r2",
                &["_acme-challenge.rooms"],
                "",
                &[
                    findings::ACME_CNAME_MISSING,
                    findings::NO_PROOF,
                    findings::SERVICE_NAME_LEFT_OUT,
                ],
            )
        },
        // DANE alone, in a zone that nobody signs.
        Broken {
            change: |domain| {
                domain.mode = Mode::Dane;
                domain.dane = true;
            },
            state: State::Live,
            ..zone("v1", &[], "", &[findings::NO_PROOF])
        },
        Broken {
            state: State::Live,
            ..zone("l1", &["_domicile"], "", &[findings::OWNERSHIP_LAPSED])
        },
        // Ours to mend: the name of our host does not resolve, or leads somewhere else.
        Broken {
            change: |domain| domain.label = "gone".into(),
            ..zone("t1", &[], "", &[findings::TARGET_UNRESOLVABLE])
        },
        Broken {
            change: |domain| domain.label = "drift".into(),
            ..zone("t2", &[], "", &[findings::TARGET_DRIFT])
        },
        // A server that the zone names, where nobody listens.
        zone(
            "n1",
            &[],
            "@ IN NS ns2\nns2 IN A 127.0.0.9",
            &[findings::LAME_SERVER],
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_zone_yields_exactly_its_codes() {
    let settings = settings();
    let cases: Vec<Broken> = records().into_iter().chain(others()).collect();
    let domain = |case: &Broken| {
        let mut domain = facts(&format!("{}.example", case.name));
        (case.change)(&mut domain);
        domain
    };
    // The second server's answers are what an owner has at a former host: a text where the first has the alias, and nothing else.
    let ip = loopback();
    let split = facts("split.example");
    let mut owners: Vec<(String, String)> = cases
        .iter()
        .map(|case| {
            let records = zone_of(&domain(case), &settings, case.lacks, case.has);
            (format!("{}.example", case.name), records)
        })
        .collect();
    for name in ["split.example", "stale.example"] {
        let records = zone_of(&facts(name), &settings, &[], "");
        owners.push((name.to_owned(), records));
    }
    owners[cases.len()].1 += &format!("@ IN NS ns2\nns2 IN A {ip}\n");
    let owners: Vec<(&str, &str)> = owners
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let bind = Bind::start(&owners);
    publish_target(&bind);
    bind.update(
        "hosting.example",
        "update add drift.on.hosting.example 60 A 192.0.2.9\n",
    );
    // A delegation to where nobody answers.
    bind.update(
        "example",
        "update add dead.example 60 NS ns.dead.example.\nupdate add ns.dead.example 60 A 127.0.0.9\n",
    );
    let former = zone_of(&split, &settings, &["_acme-challenge", CLIENT], "")
        + "_acme-challenge IN TXT \"of another program\"\n@ IN NS ns2\nns2 IN A 127.0.0.1\n";
    let _knot = Knot::start(
        (ip, bind.address.port()).into(),
        &[("split.example", &former)],
    );

    let eyes = Eyes::open(bind.address, settings, &dna::Anchors::lenient([]));
    let mut shown: BTreeSet<&str> = BTreeSet::new();
    for case in &cases {
        let (found, _) = eyes.findings(&domain(case), case.state).await;
        let codes = sorted(&found);
        assert_eq!(codes, case.codes, "{}: {found:#?}", case.name);
        // A service's fault stops nobody but whoever looks for the service.
        if case.name.starts_with('r') {
            let of_it = |subject: &str| subject.contains(&format!("rooms.{}.example", case.name));
            assert!(found.iter().all(|row| of_it(&row.subject)), "{found:#?}");
            assert!(
                found.iter().all(|row| row.severity < Severity::Critical),
                "{found:#?}"
            );
        }
        shown.extend(codes);
    }
    // What could not be asked is not known to be without proof.
    let dead = DomainFacts {
        mode: Mode::Dane,
        dane: true,
        ..facts("dead.example")
    };
    let (found, _) = eyes.findings(&dead, State::Live).await;
    assert!(
        !found.is_empty()
            && sorted(&found)
                .iter()
                .all(|code| *code == findings::RESOLVER_UNKNOWN)
    );
    for (name, expected) in [
        ("nobody.example", &[findings::ZONE_MISSING][..]),
        ("dead.example", &[findings::RESOLVER_UNKNOWN; 7]),
        (
            "split.example",
            &[
                findings::ACME_HIDDEN_TXT,
                findings::NAMESERVERS_DISAGREE,
                findings::NAMESERVERS_DISAGREE,
            ],
        ),
    ] {
        let codes = eyes.codes(&facts(name)).await;
        assert_eq!(codes, expected, "{name}");
        shown.extend(codes);
    }

    // What resolvers remember of a record that has been changed since.
    let stale = facts("stale.example");
    let change = |target: &str| {
        let name = format!("{CLIENT}.stale.example");
        let lines =
            format!("update delete {name} SRV\nupdate add {name} 3600 SRV 0 5 5222 {target}.\n");
        bind.update("stale.example", &lines);
    };
    change("old.static.example");
    assert_eq!(eyes.codes(&stale).await, [findings::SRV_WRONG_TARGET]);
    change(&format!("{LABEL}.on.hosting.example"));
    assert_eq!(eyes.codes(&stale).await, [findings::RESOLVER_STALE]);
    shown.insert(findings::RESOLVER_STALE);

    let known: BTreeSet<&str> = CODES.iter().map(|code| code.code).collect();
    assert!(shown.is_subset(&known));
    assert!(shown.len() >= 25, "{} codes: {shown:?}", shown.len());
}

/// Our own resolver validates; a zone whose signatures do not hold explains everything else, so nothing else is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_zone_with_wrong_signatures_is_bogus_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let dns = Dns::start(dir.path(), loopback().into(), 0)
        .await
        .expect("sandbox DNS");
    dns.zone_add("bogus.example", Signing::Bogus).expect("zone");
    let mut config = Config::default().dns;
    config.mode = DnsMode::Validate;
    config.resolvers = vec![dns.address()];
    config.trust_anchor = dns.trust_anchor();
    config.authoritative_port = dns.address().port();
    let resolver = Resolver::new(&config).expect("resolver");
    let eyes = Eyes::with(resolver, settings(), &dna::Anchors::lenient([]));
    let codes = eyes.codes(&facts("bogus.example")).await;
    assert_eq!(codes, [findings::DNSSEC_BOGUS]);
}
