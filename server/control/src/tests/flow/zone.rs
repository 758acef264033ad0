//! What is left behind in the platform's zone.

use super::*;

#[tokio::test]
async fn names_that_nobody_owns_are_shown_then_taken_away() {
    let house = House::open(false).await;
    let actor = house.live("example.com", "me@example.org").await;
    let control = &house.control;
    let target = control.domain_show(&actor, "example.com").await.unwrap();
    let target = target.target;
    let zone = &control.settings().platform_zone;
    let ours = match control.settings().addresses[0] {
        std::net::IpAddr::V4(address) => RecordData::A(address),
        std::net::IpAddr::V6(address) => RecordData::Aaaa(address),
    };
    let left = ["abcdefg2._acme", "abcdefg2"].map(|name| format!("{name}.{zone}"));
    let other = format!("mailhost.{zone}");
    let foreign = RecordData::A([203, 0, 113, 9].into());
    house.world.set(&left[1], "A", vec![ours]);
    house
        .world
        .set(&left[0], "TXT", vec![RecordData::Txt("x".into())]);
    house.world.set(&other, "A", vec![foreign.clone()]);
    house.world.set(&format!("www.{zone}"), "A", vec![foreign]);

    let there = |name: &str| {
        let records = house.world.records.lock().unwrap();
        records.keys().any(|(owner, _)| owner == name)
    };
    let check = control.zone_check(&system(), false).await.unwrap();
    let names: Vec<_> = check
        .orphans
        .iter()
        .map(|orphan| (orphan.name.as_str(), orphan.kept.is_empty()))
        .collect();
    let expected = [(&left[0], true), (&left[1], true), (&other, false)];
    assert_eq!(names, expected.map(|(name, gone)| (name.as_str(), gone)));
    assert!(check.owned > 0 && !check.repaired);
    assert!(there(&left[0]), "only shown");

    let told = async || control.overview(&system()).await.unwrap().zone_orphans;
    assert_eq!(
        told().await,
        Some(0),
        "the worker looked before they were left behind"
    );
    house.later(HOUR).await;
    assert_eq!(told().await, Some(0), "once a day");
    house.later(DAY).await;
    assert_eq!(told().await, Some(2));
    assert!(there(&left[0]), "the worker only looks");

    assert!(control.zone_check(&system(), true).await.unwrap().repaired);
    assert_eq!(told().await, Some(0));
    assert!(!there(&left[0]) && !there(&left[1]));
    assert!(
        there(&other) && there(&target),
        "what is not ours, and what is somebody's"
    );
    let log = control
        .audit_list(&system(), &crate::audit::AuditQuery::default())
        .await
        .unwrap();
    let done: Vec<_> = log
        .iter()
        .filter(|entry| entry.operation == "zone.repair")
        .collect();
    assert_eq!(done.len(), 3, "the repair, and each name");
    let again = control.zone_check(&system(), true).await.unwrap();
    assert_eq!(again.orphans.len(), 1);
}
