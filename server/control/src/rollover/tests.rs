//! The plan as a table, and what caches may hold.

use super::*;
use crate::time::DAY;

const TTL: u32 = 3600;
const EXPIRES: u32 = 14_400;
const NOW: Timestamp = Timestamp(20_000 * DAY);

fn after(seconds: i64) -> Timestamp {
    plus(NOW, seconds)
}

fn held_as(leaf: &str, key: &str) -> Held {
    Held {
        leaf: leaf.into(),
        key: key.into(),
        not_before: Timestamp(NOW.0 - DAY),
        not_after: Timestamp(NOW.0 + 10 * DAY),
        since: NOW,
    }
}

fn caches(seen: &[(&str, i64)], lifetime: u32) -> Caches {
    Caches {
        seen_since: seen
            .iter()
            .map(|(id, seconds)| ((*id).to_owned(), after(*seconds).0))
            .collect(),
        lifetimes: BTreeMap::from([(lifetime, i64::MAX)]),
        ended: None,
    }
}

struct Case {
    current: Held,
    next: Option<Held>,
    retired: Vec<Held>,
    dane: Option<Caches>,
    posh: Option<Caches>,
    compromised: Vec<String>,
    expires: bool,
    served: Option<String>,
}

impl Case {
    fn new(next: &Held) -> Self {
        Self {
            current: held_as("leaf 1", "key 1"),
            next: Some(next.clone()),
            retired: Vec::new(),
            dane: None,
            posh: None,
            compromised: Vec::new(),
            expires: true,
            served: None,
        }
    }

    fn at(&self, now: Timestamp) -> Plan {
        plan(&Situation {
            now,
            current: Some(&self.current),
            next: self.next.as_ref(),
            retired: &self.retired,
            dane: self.dane.as_ref().map(|caches| Watch {
                caches,
                floor_seconds: TTL,
            }),
            posh: self.posh.as_ref().map(|caches| Watch {
                caches,
                floor_seconds: EXPIRES,
            }),
            compromised: &self.compromised,
            expires: self.expires,
            served: self.served.as_deref(),
        })
    }
}

#[test]
fn dane_13_two_ttls_pass_between_the_last_server_and_the_swap() {
    let mut case = Case::new(&held_as("leaf 2", "key 2"));
    // Nobody has seen it yet: there is no date.
    case.dane = Some(caches(&[("key 1", -100)], TTL));
    let plan = case.at(NOW);
    assert_eq!(plan.tlsa, ["key 2", "key 1"], "DANE-12: both are published");
    assert_eq!(
        plan.swap,
        Swap::Wait {
            until: None,
            on: Channel::Dane
        }
    );
    case.dane = Some(caches(&[("key 1", -100), ("key 2", 0)], TTL));
    let until = after(2 * i64::from(TTL));
    assert_eq!(
        case.at(plus(until, -1)).swap,
        Swap::Wait {
            until: Some(until),
            on: Channel::Dane
        }
    );
    assert_eq!(case.at(until).swap, Swap::Now { forced: false });
    // A set with a longer TTL was seen before: that one counts.
    case.dane = Some(caches(&[("key 2", 0)], 10 * TTL));
    assert!(matches!(case.at(until).swap, Swap::Wait { .. }));
}

#[test]
fn acme_12_the_same_key_waits_for_no_tlsa_set() {
    let mut case = Case::new(&held_as("leaf 2", "key 1"));
    case.dane = Some(Caches::default());
    assert_eq!(case.at(NOW).swap, Swap::Now { forced: false });
    assert_eq!(case.at(NOW).tlsa, ["key 1"]);
}

#[test]
fn posh_40_a_fingerprint_is_known_for_as_long_as_any_document_is_believed() {
    let mut case = Case::new(&held_as("leaf 2", "key 1"));
    case.posh = Some(caches(&[("leaf 1", -9), ("leaf 2", 0)], EXPIRES));
    let until = after(i64::from(EXPIRES + ON_THE_WAY_SECONDS));
    assert_eq!(
        case.at(plus(until, -1)).swap,
        Swap::Wait {
            until: Some(until),
            on: Channel::Posh
        }
    );
    assert_eq!(case.at(until).swap, Swap::Now { forced: false });
    assert_eq!(case.at(NOW).posh, ["leaf 2", "leaf 1"], "POSH-14");
    // The later of two channels decides, and an unseen one has no date.
    case.next = Some(held_as("leaf 2", "key 2"));
    case.dane = Some(caches(&[("key 2", 0)], TTL));
    assert!(
        matches!(case.at(NOW).swap, Swap::Wait { until: Some(at), on: Channel::Posh } if at == until)
    );
    case.dane = Some(Caches::default());
    assert!(matches!(
        case.at(until).swap,
        Swap::Wait {
            until: None,
            on: Channel::Dane
        }
    ));
}

#[test]
fn dane_12_what_was_stays_until_its_successor_is_seen_and_believed() {
    let mut case = Case::new(&held_as("leaf 2", "key 2"));
    case.next = None;
    case.retired = vec![Held {
        since: NOW,
        ..held_as("leaf 0", "key 0")
    }];
    case.dane = Some(caches(&[], TTL));
    let over = after(i64::from(TTL));
    let plan = case.at(plus(over, -1));
    assert_eq!(
        (plan.tlsa, plan.settled_at),
        (vec!["key 1".into(), "key 0".into()], Some(over))
    );
    let plan = case.at(over);
    assert_eq!((plan.tlsa, plan.settled_at), (vec!["key 1".into()], None));
    // Our own door still shows the old one: nothing is taken away.
    case.served = Some("leaf 0".into());
    assert_eq!(case.at(over).tlsa, ["key 1", "key 0"]);
    // From before this was kept: long gone.
    case.served = None;
    case.retired[0].since = Timestamp(0);
    assert_eq!(case.at(NOW).tlsa, ["key 1"]);
}

#[test]
fn posh_32_a_certificate_does_not_end_for_want_of_others_attention() {
    let mut case = Case::new(&held_as("leaf 2", "key 2"));
    case.posh = Some(Caches::default());
    let last = plus(case.current.not_after, -LAST_RESORT_SECONDS);
    assert!(matches!(case.at(plus(last, -1)).swap, Swap::Wait { .. }));
    assert_eq!(case.at(last).swap, Swap::Now { forced: true });
    // DANE-31: where DANE is all there is, the end does not matter.
    case.expires = false;
    assert!(matches!(case.at(plus(last, 999)).swap, Swap::Wait { .. }));
}

#[test]
fn acme_14_a_key_that_others_may_have_goes_at_once_and_leaves_the_sets() {
    let mut case = Case::new(&held_as("leaf 2", "key 2"));
    case.dane = Some(Caches::default());
    case.posh = Some(Caches::default());
    case.compromised = vec!["key 1".into()];
    let plan = case.at(NOW);
    assert_eq!(plan.swap, Swap::Now { forced: true });
    assert!(
        plan.tlsa.contains(&"key 1".into()),
        "DANE-12: as long as it is in use"
    );
    let old = std::mem::replace(&mut case.current, held_as("leaf 2", "key 2"));
    case.next = None;
    case.retired = vec![Held { since: NOW, ..old }];
    let plan = case.at(NOW);
    assert_eq!(
        (plan.tlsa, plan.posh),
        (vec!["key 2".to_owned()], vec!["leaf 2".to_owned()])
    );
}

#[test]
fn posh_40_documents_are_not_believed_beyond_the_last_resort() {
    let current = held_as("leaf 1", "key 1");
    let last = last_resort(&current);
    assert_eq!(document_expires(EXPIRES, &current, NOW), EXPIRES);
    for left in [20_000, 7200, 600] {
        let now = plus(last, -left);
        let expires = document_expires(EXPIRES, &current, now);
        assert!(
            plus(now, i64::from(expires + ON_THE_WAY_SECONDS)) <= last,
            "{left}: {expires}"
        );
    }
    // POSH-16: never 0, whatever has happened.
    assert_eq!(document_expires(EXPIRES, &current, plus(last, 9999)), 1);
}

#[test]
fn posh_34_what_was_seen_everywhere_counts_from_then_and_gaps_prove_nothing() {
    let copies = |ids: &[&str], lifetime_seconds| Sight::Copies {
        ids: ids.iter().map(|id| (*id).to_owned()).collect(),
        lifetime_seconds,
    };
    let mut caches = Caches::default();
    caches.look(&copies(&["a"], 500), NOW);
    caches.look(&Sight::Unknown, after(10));
    caches.look(&copies(&["a", "b"], 100), after(20));
    assert_eq!(caches.seen_since["a"], NOW.0);
    assert_eq!(caches.seen_since["b"], after(20).0);
    assert_eq!(
        caches.longest_seconds(),
        500,
        "somebody may still hold the longer one"
    );
    // It has gone from one server again: waiting begins anew.
    caches.look(&copies(&["a"], 100), after(30));
    assert!(!caches.seen_since.contains_key("b"));
    caches.look(&copies(&["a", "b"], 100), after(2000));
    assert_eq!(
        (caches.seen_since["b"], caches.longest_seconds()),
        (after(2000).0, 100)
    );
    caches.look(&Sight::Nothing, after(2001));
    assert!(caches.seen_since.is_empty());
    for lifetime in 1..200 {
        caches.look(&copies(&[], lifetime), after(2002));
    }
    assert!(caches.lifetimes.len() <= LIFETIMES);
    assert_eq!(caches.longest_seconds(), 199);
}

/// DANE-14: a move to DANE-TA is offered by nobody here: whatever is planned is published as DANE-EE, SPKI, SHA-256, for the
/// old key and the new one, so no `2 x x` set is ever there before its chain is live.
#[test]
fn dane_14_only_3_1_1_is_published() {
    let mut case = Case::new(&held_as("leaf 2", &"bb".repeat(32)));
    case.current.key = "aa".repeat(32);
    case.dane = Some(Caches::default());
    let records: Vec<_> = case.at(NOW).tlsa.iter().map(|key| record_of(key)).collect();
    assert_eq!(records.len(), 2);
    for record in records {
        // DANE-11: neither usage asks for a name in the certificate.
        assert_eq!((record.usage, record.selector, record.matching), (3, 1, 1));
        assert_eq!(record.data.len(), 32);
    }
}
