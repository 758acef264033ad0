//! What owners are told of identities that cannot be changed in good order, and of sets that somebody else has changed.

use super::*;

/// A record of somebody else's beside ours locks nobody out yet: it is said, and taken away in the same look.
#[tokio::test]
async fn dane_12_a_stranger_s_record_beside_ours_is_drift() {
    let (house, target) = live(set(None, Some(true), None)).await;
    let ours = key_of(&house, "current").await;
    let key = ours.rsplit(' ').next().unwrap();
    let record = |usage, selector, data: Vec<u8>| RecordData::Tlsa {
        usage,
        selector,
        matching: 1,
        data,
    };
    let key = data_encoding::HEXLOWER.decode(key.as_bytes()).unwrap();
    let owner = format!("_5222._tcp.{target}");
    let both = vec![record(3, 1, key), record(2, 0, vec![7; 32])];
    house.world.set(&owner, "TLSA", both);
    house.later(1800 * SECOND).await;
    assert_eq!(
        codes(&house, NAME).await,
        only(findings::TLSA_DRIFT, Severity::Warning)
    );
    assert_eq!(tlsa(&house, &target, 5222), [ours], "repaired");
    house.later(1800 * SECOND).await;
    assert!(codes(&house, NAME).await.is_empty());
}

/// Whoever keeps a stale document until the certificate is about to end hears of it a day before; then it is changed all the
/// same, since an expired one proves nothing to anybody.
#[tokio::test]
async fn posh_40_a_change_that_is_held_up_to_the_end_is_said_to_be_late() {
    let (house, _) = live(set(None, None, Some(true))).await;
    lead(&house, NAME).await;
    house.later(1800 * SECOND).await;
    let first = fingerprint(&house, "current").await;
    house.later(61 * DAY).await;
    house.later(DAY).await;
    let late = (findings::ROLLOVER_LATE.to_owned(), Severity::Critical);
    assert!(!codes(&house, NAME).await.contains(&late), "time enough");
    let held = house
        .control
        .certificate_list(&system(), NAME)
        .await
        .unwrap();
    let ends = held.iter().find(|view| view.state == "current").unwrap();
    let left = ends.not_after.0 - house.control.now().0;
    house.later(left - DAY).await;
    let found = codes(&house, NAME).await;
    assert!(found.contains(&late), "{found:?}");
    assert_eq!(fingerprint(&house, "current").await, first);
    house.later(DAY - HOUR + 60 * SECOND).await;
    assert_ne!(fingerprint(&house, "current").await, first);
    assert!(!codes(&house, NAME).await.contains(&late));
}

/// A name server that does not answer us may tell the world an old set: no key changes before it was heard.
#[tokio::test]
async fn dane_13_a_name_server_that_is_not_heard_holds_the_change_up_and_is_named() {
    let (house, _) = live(set(None, Some(true), None)).await;
    house.later(20 * SECOND).await;
    let old = key_of(&house, "current").await;
    house
        .world
        .fault(|faults| faults.second_server_silent = true);
    house
        .control
        .certificate_change_key(&system(), NAME, KeyChange::default())
        .await
        .unwrap();
    house.turn().await;
    let new = key_of(&house, "next").await;
    house.later(20 * SECOND).await;
    for _ in 0..3 {
        house.later(TWO_TTLS).await;
    }
    assert_eq!(key_of(&house, "current").await, old);
    let show = house.control.domain_show(&system(), NAME).await.unwrap();
    let unseen = (findings::TLSA_UNSEEN, Severity::Warning);
    let row = show
        .checks
        .iter()
        .find(|check| (check.code.as_str(), check.severity) == unseen);
    assert!(row.unwrap().observed.contains("ns2.example.net"));
    let lame = findings::LAME_SERVER;
    assert!(
        !show.checks.iter().any(|check| check.code == lame),
        "our zone is not the owner's to mend"
    );
    house
        .world
        .fault(|faults| faults.second_server_silent = false);
    house.later(TWO_TTLS).await;
    assert_eq!(key_of(&house, "current").await, old, "two TTLs from now on");
    assert!(codes(&house, NAME).await.is_empty());
    house.later(TWO_TTLS + 60 * SECOND).await;
    assert_eq!(key_of(&house, "current").await, new);
}
