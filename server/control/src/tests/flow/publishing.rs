//! What is published beside or in place of certificates: TLSA sets in the platform's zone, POSH documents, and the change of
//! keys and certificates that peers have been told of.

mod warnings;

use dna::Reply;
use xmpp::jid::DomainName;

use super::*;
use crate::records::{Mode, Whose};
use crate::rollover::KeyChange;

const NAME: &str = "example.com";
/// Two TTLs of the world's records (as answered), and a little.
const TWO_TTLS: i64 = 2 * 3600 * SECOND;

fn set(mode: Option<&str>, dane: Option<bool>, posh: Option<bool>) -> DomainSet {
    DomainSet {
        mode: mode.map(str::to_owned),
        dane,
        posh,
        ..DomainSet::default()
    }
}

/// A domain that is live in a mode.
async fn live(set: DomainSet) -> (House, String) {
    let house = House::open(false).await;
    let signed = house.sign_up(NAME, "me@example.org").await;
    let actor = signed.login.resumed.actor;
    house
        .control
        .domain_set(&system(), NAME, set)
        .await
        .unwrap();
    house.world.fault(|faults| faults.dns_signed = true);
    house.world.publish(&records(&house, &actor, NAME).await);
    for _ in 0..3 {
        house.later(20 * SECOND).await;
    }
    lead(&house, NAME).await;
    house.later(1800 * SECOND).await;
    let target = house
        .control
        .domain_show(&system(), NAME)
        .await
        .unwrap()
        .target;
    (house, target)
}

/// The owner's website leads to us, and our own door answers.
async fn lead(house: &House, name: &str) {
    let domain = DomainName::parse(name).unwrap();
    let page = house.control.domain_records(&system(), name).await.unwrap();
    let posh = page.web.iter();
    for view in posh.filter(|view| view.service.starts_with("xmpp-")) {
        let body = match house
            .control
            .posh_document(Whose::Domain(&domain))
            .await
            .unwrap()
        {
            Some(document) => document.into_bytes(),
            None => continue,
        };
        let redirect = Reply {
            status: 302,
            location: Some(view.redirect.clone()),
            allow_origin: None,
            body: Vec::new(),
        };
        let document = Reply {
            status: 200,
            location: None,
            allow_origin: None,
            body,
        };
        let mut pages = house.world.pages.lock().unwrap();
        pages.insert(view.address.clone(), redirect);
        pages.insert(view.redirect.clone(), document);
    }
}

fn tlsa(house: &House, target: &str, port: u16) -> Vec<String> {
    let records = house.world.records.lock().unwrap();
    let set = records.get(&(format!("_{port}._tcp.{target}"), "TLSA"));
    set.into_iter()
        .flatten()
        .map(|data| match data {
            RecordData::Tlsa {
                usage,
                selector,
                matching,
                data,
            } => format!(
                "{usage} {selector} {matching} {}",
                data_encoding::HEXLOWER.encode(data)
            ),
            other => panic!("{other:?}"),
        })
        .collect()
}

async fn key_of(house: &House, state: &str) -> String {
    let name = DomainName::parse(NAME).unwrap();
    let row = house
        .control
        .store()
        .domain_hosted(&name)
        .await
        .unwrap()
        .unwrap();
    let rows = house
        .control
        .domain_store(&row)
        .certificate_list()
        .await
        .unwrap();
    let held = rows.iter().find(|held| held.state == state).unwrap();
    let read = crate::certificate::read(&held.chain_pem, &name).unwrap();
    format!("3 1 1 {}", read.key_fingerprint)
}

async fn fingerprint(house: &House, state: &str) -> Option<String> {
    let all = house
        .control
        .certificate_list(&system(), NAME)
        .await
        .unwrap();
    all.into_iter()
        .find(|view| view.state == state)
        .map(|view| view.fingerprint)
}

async fn phase(house: &House) -> &'static str {
    let view = house
        .control
        .certificate_rollover(&system(), NAME)
        .await
        .unwrap();
    view.phase
}

/// VHOST-09, DANE-04, DANE-05, DANE-12: every port of the domain's own target describes the key that is shown there.
#[tokio::test]
async fn vhost_09_each_target_describes_the_key_of_its_own_domain() {
    let (house, target) = live(set(None, Some(true), None)).await;
    assert_eq!(state(&house, NAME).await, State::Live);
    let ours = key_of(&house, "current").await;
    for port in [5222, 5223, 5269, 5270] {
        assert_eq!(
            tlsa(&house, &target, port),
            std::slice::from_ref(&ours),
            "{port}"
        );
    }
    house.later(20 * SECOND).await;
    assert!(
        codes(&house, NAME).await.is_empty(),
        "{:?}",
        codes(&house, NAME).await
    );
    // Another customer at the same addresses has a target and keys of its own.
    house
        .world
        .zones
        .lock()
        .unwrap()
        .insert("other.example".into());
    let other = house.sign_up("other.example", "you@example.org").await;
    let actor = other.login.resumed.actor;
    house
        .control
        .domain_set(&system(), "other.example", set(None, Some(true), None))
        .await
        .unwrap();
    house
        .world
        .publish(&records(&house, &actor, "other.example").await);
    for _ in 0..3 {
        house.later(20 * SECOND).await;
    }
    let theirs = house
        .control
        .domain_show(&system(), "other.example")
        .await
        .unwrap()
        .target;
    assert_ne!(theirs, target);
    assert_eq!(tlsa(&house, &target, 5269), std::slice::from_ref(&ours));
    assert!(!tlsa(&house, &theirs, 5269).is_empty() && tlsa(&house, &theirs, 5269) != [ours]);
}

/// ACME-15: what was published for a domain goes with it.
#[tokio::test]
async fn acme_15_tlsa_sets_leave_with_the_domain_and_with_the_choice() {
    let (house, target) = live(set(None, Some(true), None)).await;
    assert!(!tlsa(&house, &target, 5222).is_empty());
    house
        .control
        .domain_set(&system(), NAME, set(None, Some(false), None))
        .await
        .unwrap();
    house.turn().await;
    assert!(tlsa(&house, &target, 5222).is_empty());
    house
        .control
        .domain_set(&system(), NAME, set(None, Some(true), None))
        .await
        .unwrap();
    house.turn().await;
    assert!(!tlsa(&house, &target, 5269).is_empty());
    house.control.domain_remove(&system(), NAME).await.unwrap();
    let left = house.world.records.lock().unwrap();
    assert!(
        !left.keys().any(|(name, _)| name.ends_with(&target)),
        "{left:?}"
    );
}

/// What somebody else writes into the sets is found and put right.
#[tokio::test]
async fn dane_12_drift_is_found_and_repaired() {
    let (house, target) = live(set(None, Some(true), None)).await;
    let ours = key_of(&house, "current").await;
    let owner = format!("_5269._tcp.{target}");
    let stranger = |byte| RecordData::Tlsa {
        usage: 2,
        selector: 0,
        matching: 1,
        data: vec![byte; 32],
    };
    house.world.set(&owner, "TLSA", vec![stranger(7)]);
    house.later(1800 * SECOND).await;
    assert_eq!(
        codes(&house, NAME).await,
        only("tlsa-mismatch", Severity::Critical)
    );
    assert_eq!(
        tlsa(&house, &target, 5269),
        std::slice::from_ref(&ours),
        "repaired in the same look (DANE-14: no 2 x x is left)"
    );
    house.later(1800 * SECOND).await;
    assert!(codes(&house, NAME).await.is_empty());
    house.world.unset(&owner, "TLSA");
    house.later(1800 * SECOND).await;
    assert_eq!(
        codes(&house, NAME).await,
        only("tlsa-missing", Severity::Warning)
    );
    assert_eq!(tlsa(&house, &target, 5269), [ours]);
}

/// DANE-03: SRV and the host's records must be signed, or nobody can use them.
#[tokio::test]
async fn dane_03_what_is_not_signed_is_said() {
    let (house, _) = live(set(None, Some(true), None)).await;
    house.later(20 * SECOND).await;
    let shown = house.control.domain_show(&system(), NAME).await.unwrap();
    let dane = |shown: &crate::domain::DomainShow| {
        let row = shown.verdicts.iter().find(|view| view.prooftype == "dane");
        row.unwrap().accepted
    };
    assert_eq!(dane(&shown), crate::domain::Seen::Yes);
    house.world.fault(|faults| faults.dns_signed = false);
    house.later(1800 * SECOND).await;
    let found = codes(&house, NAME).await;
    for (code, severity) in [
        ("dane-srv-insecure", Severity::Warning),
        ("dane-host-insecure", Severity::Critical),
    ] {
        assert!(found.contains(&(code.into(), severity)), "{found:?}");
    }
    assert_eq!(
        state(&house, NAME).await,
        State::Live,
        "nobody else is hurt"
    );
    let shown = house.control.domain_show(&system(), NAME).await.unwrap();
    assert_eq!(dane(&shown), crate::domain::Seen::No);
}

/// DANE-13: another key is made ahead, sealed, published beside the old one, seen, waited for, used; then the old one goes.
#[tokio::test]
async fn dane_13_another_key_in_good_order() {
    let (house, target) = live(set(None, Some(true), None)).await;
    house.later(20 * SECOND).await;
    let old = key_of(&house, "current").await;
    house
        .control
        .certificate_change_key(&system(), NAME, KeyChange::default())
        .await
        .unwrap();
    house.turn().await;
    let new = key_of(&house, "next").await;
    assert_ne!(old, new);
    assert_eq!(key_of(&house, "current").await, old);
    assert_eq!(tlsa(&house, &target, 5269), [new.clone(), old.clone()]);
    assert_eq!(phase(&house).await, "publishing");
    // The name server refuses for a while: nothing moves on, the old key stays in use and in the set.
    house.later(20 * SECOND).await;
    assert_eq!(phase(&house).await, "waiting");
    house.later(TWO_TTLS - 60 * SECOND).await;
    assert_eq!(
        key_of(&house, "current").await,
        old,
        "not a minute too early"
    );
    house.later(120 * SECOND).await;
    assert_eq!(key_of(&house, "current").await, new);
    assert_eq!(phase(&house).await, "settling");
    assert_eq!(
        tlsa(&house, &target, 5269),
        [new.clone(), old.clone()],
        "DANE-12"
    );
    house.later(3700 * SECOND).await;
    assert_eq!(tlsa(&house, &target, 5269), [new]);
    assert_eq!(phase(&house).await, "calm");
    assert!(fingerprint(&house, "next").await.is_none());
}

#[tokio::test]
async fn dane_13_a_refused_update_holds_the_change_up() {
    let (house, target) = live(set(None, Some(true), None)).await;
    house.later(20 * SECOND).await;
    let old = key_of(&house, "current").await;
    // The order itself needs the zone, too: an upload does not.
    house
        .control
        .domain_set(&system(), NAME, set(Some("uploaded"), None, None))
        .await
        .unwrap();
    house.world.fault(|faults| faults.zone_unreachable = true);
    upload(&house).await;
    house.later(10 * TWO_TTLS).await;
    assert_eq!(key_of(&house, "current").await, old);
    assert_eq!(tlsa(&house, &target, 5222), std::slice::from_ref(&old));
    assert!(
        codes(&house, NAME)
            .await
            .contains(&("tlsa-refused".into(), Severity::Warning))
    );
    house.world.fault(|faults| faults.zone_unreachable = false);
    house.later(1800 * SECOND).await;
    house.later(1800 * SECOND).await;
    assert_eq!(key_of(&house, "current").await, old, "two TTLs from now on");
    house.later(TWO_TTLS).await;
    assert_ne!(key_of(&house, "current").await, old);
}

async fn upload(house: &House) {
    let key = rcgen::KeyPair::generate().unwrap();
    let now = house.control.now().0;
    let upload = crate::certificate::CertificateUpload {
        chain_pem: super::super::world::certificate(&[NAME.into()], now, now + 90 * DAY, &key),
        key_pem: key.serialize_pem().into(),
    };
    let view = house
        .control
        .certificate_upload(&system(), NAME, upload)
        .await
        .unwrap();
    assert_eq!(view.state, "next", "not used before peers know it");
    house.turn().await;
}

/// ACME-12: a renewal that keeps its key waits for nobody, and no TLSA set changes.
#[tokio::test]
async fn acme_12_a_renewal_keeps_the_key_and_the_set() {
    let (house, target) = live(set(None, Some(true), None)).await;
    let (before, first) = (
        tlsa(&house, &target, 5269),
        fingerprint(&house, "current").await,
    );
    house.later(61 * DAY).await;
    assert_ne!(
        fingerprint(&house, "current").await,
        first,
        "renewed and in use"
    );
    assert_eq!(tlsa(&house, &target, 5269), before);
    // Unless the owner wants keys to change with time.
    let days = DomainSet {
        key_days: Some(30),
        ..DomainSet::default()
    };
    house
        .control
        .domain_set(&system(), NAME, days)
        .await
        .unwrap();
    house.later(61 * DAY).await;
    assert_eq!(
        tlsa(&house, &target, 5269).len(),
        2,
        "a new key, made ahead"
    );
}

/// ACME-14: a key that somebody else may have is not waited for, and leaves the sets at once; the cost is said beforehand.
#[tokio::test]
async fn acme_14_a_compromised_key_goes_at_once() {
    let (house, target) = live(set(None, Some(true), None)).await;
    house.later(20 * SECOND).await;
    let old = key_of(&house, "current").await;
    let view = house
        .control
        .certificate_rollover(&system(), NAME)
        .await
        .unwrap();
    assert!(
        view.emergency.contains("servers with DANE"),
        "{}",
        view.emergency
    );
    assert_eq!(view.believed_seconds, 3600);
    let change = KeyChange { emergency: true };
    house
        .control
        .certificate_change_key(&system(), NAME, change)
        .await
        .unwrap();
    house.turn().await;
    let new = key_of(&house, "current").await;
    assert_ne!(new, old);
    assert_eq!(tlsa(&house, &target, 5269), [new]);
}

/// Nobody vouches for a key of ours but the owner's DNS: no order, no certificate for the domain.
#[tokio::test]
async fn vhost_10_dane_alone_needs_no_certificate_for_the_domain() {
    let (house, target) = live(set(Some("dane"), None, None)).await;
    assert!(house.world.orders.lock().unwrap().is_empty());
    assert_eq!(state(&house, NAME).await, State::Live);
    let held = house
        .control
        .certificate_list(&system(), NAME)
        .await
        .unwrap();
    assert_eq!(
        (held[0].source.as_str(), &held[0].names),
        ("own", &vec![target.clone()])
    );
    assert_eq!(
        tlsa(&house, &target, 5222),
        [key_of(&house, "current").await]
    );
    house.later(20 * SECOND).await;
    let shown = house.control.domain_show(&system(), NAME).await.unwrap();
    let accepted = |prooftype: &str| {
        let row = shown
            .verdicts
            .iter()
            .find(|view| view.prooftype == prooftype);
        row.unwrap().accepted
    };
    assert_eq!(
        accepted("dane"),
        crate::domain::Seen::Yes,
        "{:?}",
        shown.verdicts
    );
    let purposes = records(&house, &system(), NAME).await;
    assert!(
        !purposes
            .iter()
            .any(|record| record.purpose == Purpose::Challenge)
    );
    // Its renewal keeps the key: DANE-31, nobody looks at its dates.
    let before = tlsa(&house, &target, 5222);
    house.later(260 * DAY).await;
    house.later(20 * SECOND).await;
    assert_eq!(tlsa(&house, &target, 5222), before);
    assert_eq!(
        house
            .control
            .certificate_list(&system(), NAME)
            .await
            .unwrap()[1]
            .state,
        "retired"
    );
}

/// POSH-04, POSH-08, POSH-21, POSH-42: three answers and no other; the owner's own document never changes.
#[tokio::test]
async fn posh_04_a_document_or_nothing() {
    let (house, _) = live(set(Some("posh"), None, None)).await;
    let domain = DomainName::parse(NAME).unwrap();
    let document = house
        .control
        .posh_document(Whose::Domain(&domain))
        .await
        .unwrap()
        .unwrap();
    let parsed = dna::posh::Document::parse(document.as_bytes()).unwrap();
    assert!(matches!(parsed, dna::posh::Document::Fingerprints { list, .. } if list.len() == 1));
    assert!(!document.contains("url") && !document.contains("KEY"));
    let label = house
        .control
        .domain_show(&system(), NAME)
        .await
        .unwrap()
        .target;
    let label = label.split('.').next().unwrap();
    let same = house
        .control
        .posh_document(Whose::Label(label))
        .await
        .unwrap();
    assert_eq!(same.as_deref(), Some(document.as_str()));
    assert_eq!(
        house
            .control
            .posh_document(Whose::Label("nobody"))
            .await
            .unwrap(),
        None
    );
    let page = house.control.domain_records(&system(), NAME).await.unwrap();
    let (posh, browsers): (Vec<_>, Vec<_>) = page
        .web
        .into_iter()
        .partition(|view| view.service.starts_with("xmpp-"));
    assert_eq!((posh.len(), browsers.len()), (2, 2));
    // WS-16: and what leads apps in browsers here.
    for view in browsers {
        let place = format!(
            "https://web.hosting.example/host-meta/{label}/{}",
            view.service
        );
        assert_eq!(view.redirect, place);
        assert!(
            view.document
                .contains("wss://web.hosting.example/xmpp-websocket")
        );
        assert_eq!(
            (view.cross_origin, view.standing),
            (true, Standing::Missing)
        );
    }
    for view in posh {
        assert_eq!(
            view.address,
            format!("https://example.com/.well-known/posh/{}.json", view.service)
        );
        assert_eq!(
            view.redirect,
            format!(
                "https://web.hosting.example/posh/{label}/{}.json",
                view.service
            )
        );
        let reference = dna::posh::Document::parse(view.document.as_bytes()).unwrap();
        assert!(
            matches!(reference, dna::posh::Document::Reference { url, .. } if url == view.redirect)
        );
        assert_eq!(view.standing, Standing::Seen);
    }
    // Stopped, or without POSH: 404.
    house
        .control
        .domain_suspend(&system(), NAME, "")
        .await
        .unwrap();
    assert_eq!(
        house
            .control
            .posh_document(Whose::Domain(&domain))
            .await
            .unwrap(),
        None
    );
    house.control.domain_resume(&system(), NAME).await.unwrap();
    house.turn().await;
    house
        .control
        .domain_set(&system(), NAME, set(Some("uploaded"), None, None))
        .await
        .unwrap();
    assert_eq!(
        house
            .control
            .posh_document(Whose::Domain(&domain))
            .await
            .unwrap(),
        None
    );
}

/// POSH-47: the live site is read by the verifier's rules and compared with what is really shown.
#[tokio::test]
async fn posh_47_what_the_website_says_is_compared_with_what_is_shown() {
    let (house, _) = live(set(None, None, Some(true))).await;
    house.later(20 * SECOND).await;
    lead(&house, NAME).await;
    house.later(1800 * SECOND).await;
    assert!(
        codes(&house, NAME).await.is_empty(),
        "{:?}",
        codes(&house, NAME).await
    );
    let address = "https://example.com/.well-known/posh/xmpp-server.json";
    let answer = |status, location: Option<&str>, body: &str| {
        let reply = Reply {
            status,
            location: location.map(str::to_owned),
            allow_origin: None,
            body: body.as_bytes().to_vec(),
        };
        house
            .world
            .pages
            .lock()
            .unwrap()
            .insert(address.into(), reply);
    };
    let other = dna::posh::fingerprints([&b"another"[..]], 600).unwrap();
    for (status, location, body, code, severity) in [
        (404, None, "", "posh-missing", Severity::Warning),
        (
            200,
            None,
            other.as_str(),
            "posh-mismatch",
            Severity::Critical,
        ),
        (200, None, "<html>", "posh-broken", Severity::Warning),
        (
            200,
            None,
            r#"{"url":"http://example.com/x","expires":9}"#,
            "posh-broken",
            Severity::Warning,
        ),
        (
            302,
            Some("http://example.com/"),
            "",
            "posh-broken",
            Severity::Warning,
        ),
        (
            200,
            None,
            r#"{"fingerprints":[],"expires":9}"#,
            "posh-broken",
            Severity::Warning,
        ),
    ] {
        answer(status, location, body);
        house.later(1800 * SECOND).await;
        assert_eq!(codes(&house, NAME).await, only(code, severity), "{body}");
    }
    house.world.fault(|faults| faults.web_silent = true);
    house.later(1800 * SECOND).await;
    let silent = codes(&house, NAME).await;
    assert!(
        silent
            .iter()
            .all(|(code, severity)| code == "resolver-unknown" && *severity == Severity::Unknown),
        "{silent:?}"
    );
    assert_eq!(
        state(&house, NAME).await,
        State::Live,
        "unknown is never failed"
    );
}

/// POSH-12, POSH-40: every renewal is another certificate, so its fingerprint is known before it is shown.
#[tokio::test]
async fn posh_12_a_renewal_waits_until_its_fingerprint_is_known() {
    let (house, _) = live(set(None, None, Some(true))).await;
    lead(&house, NAME).await;
    house.later(1800 * SECOND).await;
    let first = fingerprint(&house, "current").await;
    house.later(60 * DAY).await;
    assert_eq!(fingerprint(&house, "current").await, first);
    let next = fingerprint(&house, "next").await;
    assert!(next.is_some(), "made ahead");
    // The owner's own copy is stale: it is waited for, and said.
    house.later(2 * DAY).await;
    assert_eq!(fingerprint(&house, "current").await, first);
    assert_eq!(
        codes(&house, NAME).await,
        vec![("posh-stale".to_owned(), Severity::Warning); 2]
    );
    lead(&house, NAME).await;
    house.later(1800 * SECOND).await;
    assert_eq!(phase(&house).await, "waiting");
    house.later(14_000 * SECOND).await;
    assert_eq!(
        fingerprint(&house, "current").await,
        first,
        "older copies are believed for four hours"
    );
    house.later(600 * SECOND).await;
    assert_eq!(fingerprint(&house, "current").await, next);
}

/// The look that proves a domain comes before its identity, so its website leads to nothing yet: another one follows soon, and
/// not when all has long been well.
#[tokio::test]
async fn posh_12_a_domain_that_has_just_come_is_soon_looked_at_again() {
    let house = House::open(false).await;
    let signed = house.sign_up(NAME, "me@example.org").await;
    let owner = signed.login.resumed.actor;
    let posh = set(Some("posh"), None, None);
    house.control.domain_set(&owner, NAME, posh).await.unwrap();
    house.world.publish(&records(&house, &owner, NAME).await);
    let pause = async || {
        let shown = house.control.domain_show(&owner, NAME).await.unwrap();
        (shown.next_check.unwrap().0 - house.control.now().0) / SECOND
    };
    house.turn().await;
    assert_eq!(state(&house, NAME).await, State::Live);
    let missing = vec![("posh-missing".to_owned(), Severity::Critical); 2];
    assert_eq!(codes(&house, NAME).await, missing);
    assert_eq!(pause().await, 20);
    lead(&house, NAME).await;
    house.later(20 * SECOND).await;
    assert!(codes(&house, NAME).await.is_empty());
    assert_eq!(pause().await, 1800);
}

#[test]
fn modes_have_words() {
    for mode in Mode::ALL {
        assert_eq!(Mode::parse(mode.as_str()), Some(mode));
    }
    assert_eq!(Mode::parse("posh-dane"), None);
}
