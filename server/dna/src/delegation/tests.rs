//! Where a domain is served: orders, refusals, fallbacks.

use super::*;
use crate::lookup::Record;

fn answer(outcome: Outcome, security: Security) -> Answer {
    Answer {
        outcome,
        security,
        ttl_seconds: 60,
        asked: "test".into(),
        aliases: Vec::new(),
    }
}

fn none() -> Answer {
    answer(Outcome::NoRecords { nxdomain: true }, Security::Insecure)
}

/// `priority weight port target` each.
fn srv(records: &[(u16, u16, u16, &str)]) -> Answer {
    let records = records
        .iter()
        .map(|&(priority, weight, port, target)| Record {
            name: "_xmpp-server._tcp.peer.example".into(),
            ttl_seconds: 60,
            data: RecordData::Srv {
                priority,
                weight,
                port,
                target: target.into(),
            },
        })
        .collect();
    answer(Outcome::Found(records), Security::Secure)
}

fn targets(starttls: &Answer, direct: &Answer, draws: &[u32]) -> Result<Vec<String>, Nowhere> {
    let domain = DomainName::parse("peer.example").expect("a domain");
    let mut draws = draws.iter().copied();
    let delegation = Delegation::read(&domain, Service::Server, starttls, direct);
    let found = delegation.targets(&mut |most| draws.next().unwrap_or(0).min(most))?;
    Ok(found
        .iter()
        .map(|t| {
            format!(
                "{}:{}{}",
                t.host,
                t.port,
                if t.direct { " direct" } else { "" }
            )
        })
        .collect())
}

#[test]
fn s2s_02_priorities_then_weights() {
    let records = srv(&[
        (20, 0, 3, "c.example"),
        (10, 60, 1, "a.example"),
        (10, 0, 0, "zero.example"),
        (10, 40, 2, "b.example"),
    ]);
    // Running sums in priority 10: zero 0, a 60, b 100.
    for (draws, expected) in [
        (
            [0, 0, 0, 0],
            [
                "zero.example:0",
                "a.example:1",
                "b.example:2",
                "c.example:3",
            ],
        ),
        (
            [60, 40, 0, 0],
            [
                "a.example:1",
                "b.example:2",
                "zero.example:0",
                "c.example:3",
            ],
        ),
        (
            [61, 0, 0, 0],
            [
                "b.example:2",
                "zero.example:0",
                "a.example:1",
                "c.example:3",
            ],
        ),
        (
            [100, 60, 0, 0],
            [
                "b.example:2",
                "a.example:1",
                "zero.example:0",
                "c.example:3",
            ],
        ),
    ] {
        assert_eq!(
            targets(&records, &none(), &draws).expect("targets"),
            expected
        );
    }
}

#[test]
fn s2s_02_the_draw_reaches_from_zero_to_the_sum() {
    let records = srv(&[(0, 3, 1, "a.example"), (0, 4, 2, "b.example")]);
    let domain = DomainName::parse("peer.example").expect("a domain");
    let mut asked = Vec::new();
    Delegation::read(&domain, Service::Server, &records, &none())
        .targets(&mut |most| {
            asked.push(most);
            0
        })
        .expect("targets");
    assert_eq!(asked, [7, 4]);
}

#[test]
fn s2s_03_both_kinds_in_one_order() {
    let starttls = srv(&[(10, 0, 5269, "A.Example.")]);
    let direct = srv(&[(5, 0, 5270, "a.example"), (20, 0, 5270, "b.example")]);
    assert_eq!(
        targets(&starttls, &direct, &[]).expect("targets"),
        [
            "a.example:5270 direct",
            "a.example:5269",
            "b.example:5270 direct"
        ]
    );
}

#[test]
fn s2s_01_04_06_07_what_the_owner_says_and_does_not_say() {
    let one = srv(&[(0, 0, 5269, "a.example")]);
    let no = srv(&[(0, 0, 0, ".")]);
    let failed = Answer::failed("SERVFAIL", "test");
    let bogus = answer(Outcome::Failed("bogus".into()), Security::Bogus);
    let domain = || DomainName::parse("peer.example").expect("a domain");
    let not = || Err(Nowhere::NotOffered(domain()));
    let at = |target: &str| Ok(vec![target.to_owned()]);
    for (starttls, direct, expected) in [
        (&none(), &none(), at("peer.example:5269")),
        (&no, &none(), not()),
        (&none(), &no, not()),
        (&no, &no, not()),
        (&one, &no, at("a.example:5269")),
        (&no, &one, at("a.example:5269 direct")),
        (&none(), &one, at("a.example:5269 direct")),
        (
            &failed,
            &none(),
            Err(Nowhere::Failed(domain(), "SERVFAIL".into())),
        ),
        // S2S-06: only its targets, whatever becomes of them.
        (&one, &none(), at("a.example:5269")),
        (&one, &failed, at("a.example:5269")),
        (&none(), &failed, at("peer.example:5269")),
        (&bogus, &one, Err(Nowhere::Bogus(domain()))),
        (&one, &bogus, Err(Nowhere::Bogus(domain()))),
    ] {
        assert_eq!(
            targets(starttls, direct, &[]),
            expected,
            "{starttls:?} {direct:?}"
        );
    }
}

#[test]
fn a_dot_beside_others_is_left_out() {
    let records = srv(&[(0, 0, 0, "."), (1, 0, 5269, "a.example")]);
    assert_eq!(
        targets(&records, &none(), &[]).expect("targets"),
        ["a.example:5269"]
    );
}

#[test]
fn no_endless_list_of_targets() {
    let many: Vec<_> = (0..100).map(|i| (i, 0, 5269, "a.example")).collect();
    assert_eq!(
        targets(&srv(&many), &none(), &[]).expect("targets").len(),
        TARGETS
    );
}

#[test]
fn s2s_01_names_are_asked_for_in_a_labels() {
    let domain = DomainName::parse("b\u{fc}cher.example").expect("a domain");
    assert_eq!(
        srv_name(&domain, Service::Server, true),
        "_xmpps-server._tcp.xn--bcher-kva.example."
    );
    assert_eq!(
        srv_name(&domain, Service::Client, false),
        "_xmpp-client._tcp.xn--bcher-kva.example."
    );
}

struct Refuses;

#[async_trait::async_trait]
impl Lookup for Refuses {
    async fn query(&self, name: &str, _: RecordType) -> Answer {
        panic!("asked for {name}");
    }
    async fn query_authoritative(&self, _: &str, _: RecordType) -> Vec<crate::ServerAnswer> {
        Vec::new()
    }
}

#[tokio::test]
async fn an_address_is_served_at_itself_without_a_question() {
    for (name, host) in [("192.0.2.1", "192.0.2.1"), ("[2001:db8::1]", "2001:db8::1")] {
        let domain = DomainName::parse(name).expect("a domain");
        let found = Delegation::look_up(&Refuses, &domain, Service::Server)
            .await
            .targets(&mut |_| 0)
            .expect("a target");
        assert_eq!((found[0].host.as_str(), found[0].port), (host, 5269));
    }
}
