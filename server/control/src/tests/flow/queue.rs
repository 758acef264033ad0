//! Orders in the queue: within limits, announced by the authority, at the second authority, revoked.

use super::*;
use crate::Timestamp;
use crate::certificate::{Priority, Why};
use crate::outside::{RenewalInfo, RevocationReason};

fn went(house: &House) -> Vec<(String, bool)> {
    house.world.went.lock().unwrap().clone()
}

/// Publishes everything and looks.
async fn published(house: &House, domain: &str, email: &str) -> Actor {
    let signed = house.sign_up(domain, email).await;
    house.world.zones.lock().unwrap().insert(domain.into());
    let actor = signed.login.resumed.actor;
    house.world.publish(&records(house, &actor, domain).await);
    house.turn().await;
    actor
}

#[tokio::test]
async fn acme_13_what_the_limits_hold_back_waits_is_seen_and_goes_when_there_is_room() {
    let house = House::limited(|limits| limits.orders.most = 1).await;
    published(&house, "one.example", "one@example.org").await;
    let two = published(&house, "two.example", "two@example.org").await;
    let first: Vec<String> = house
        .world
        .orders
        .lock()
        .unwrap()
        .iter()
        .map(|names| names[0].clone())
        .collect();
    assert_eq!(first, ["one.example"]);
    assert_eq!(state(&house, "two.example").await, State::Publishing);
    let plan = house
        .control
        .certificate_plan(&two, "two.example")
        .await
        .unwrap();
    let order = plan.order.expect("in line");
    assert_eq!(
        (order.priority, order.why, order.names[0].as_str()),
        (Priority::First, Some(Why::Orders), "two.example")
    );
    let until = order.until.expect("until when");
    assert_eq!(
        house.control.certificate_queue(&two, None).await.unwrap(),
        std::slice::from_ref(&order)
    );
    assert_eq!(
        house
            .control
            .certificate_queue(&system(), None)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        house.control.queue_counts().await.unwrap(),
        [(Priority::First, "orders".into(), 1)]
    );
    let authority = house
        .control
        .authority_list(&system())
        .await
        .unwrap()
        .remove(0);
    assert_eq!((authority.orders.used, authority.orders.most), (1, 1));
    assert_eq!(authority.certificates[0].subject, "one.example");

    // Asking for it changes nothing about what the authority takes.
    house.world.advance(SECOND);
    house
        .control
        .certificate_order(&two, "two.example")
        .await
        .unwrap();
    house.turn().await;
    assert_eq!(house.world.orders.lock().unwrap().len(), 1);

    house
        .world
        .advance(until.0 - house.control.now().0 + SECOND);
    house.turn().await;
    assert_eq!(state(&house, "two.example").await, State::Live);
    assert!(
        house
            .control
            .certificate_queue(&two, None)
            .await
            .unwrap()
            .is_empty()
    );
    let plan = house
        .control
        .certificate_plan(&two, "two.example")
        .await
        .unwrap();
    assert!(plan.order.is_none() && plan.failed.is_empty() && plan.renewal.is_some());
}

#[tokio::test]
async fn rfc_9773_a_renewal_that_the_authority_announces_says_what_it_replaces_and_is_not_counted()
{
    let house = House::open(false).await;
    let actor = house.live("example.com", "me@example.org").await;
    let now = house.control.now();
    let window = |from: i64, to: i64| RenewalInfo {
        start: Timestamp(now.0 + from * DAY),
        end: Timestamp(now.0 + to * DAY),
        explanation: Some("https://ca.example/why".into()),
        ask_again_seconds: 6 * 3600,
    };
    *house.world.renewal.lock().unwrap() = Some(window(30, 32));
    house.later(7 * HOUR).await;
    let shown = house
        .control
        .certificate_list(&actor, "example.com")
        .await
        .unwrap()
        .remove(0);
    let renewal = shown.renewal.expect("the window");
    assert_eq!(
        renewal.explanation.as_deref(),
        Some("https://ca.example/why")
    );
    let at = shown.renew_at.expect("planned");
    assert!(renewal.start <= at && at <= renewal.end);
    // All at once the authority is in a hurry.
    *house.world.renewal.lock().unwrap() = Some(window(-2, -1));
    house.later(HOUR).await;
    assert_eq!(
        went(&house).len(),
        1,
        "it is asked again when it said so, not sooner"
    );
    house.later(6 * HOUR).await;
    assert_eq!(
        went(&house),
        [(String::new(), false), (String::new(), true)]
    );
    let authority = house
        .control
        .authority_list(&system())
        .await
        .unwrap()
        .remove(0);
    assert_eq!(
        authority.orders.used, 0,
        "the first was long ago, the second is not counted"
    );
    assert_eq!(authority.certificates[0].used, 1);
    // It says nothing any more: the lifetime decides.
    *house.world.renewal.lock().unwrap() = None;
    house.later(7 * HOUR).await;
    let shown = house
        .control
        .certificate_list(&actor, "example.com")
        .await
        .unwrap()
        .remove(0);
    assert_eq!(shown.renewal, None);
    assert!(shown.renew_at.unwrap().0 > house.control.now().0 + 50 * DAY);
}

#[tokio::test]
async fn the_second_authority_steps_in_and_the_first_comes_back() {
    let house = House::open(false).await;
    house
        .world
        .more_authorities
        .lock()
        .unwrap()
        .push("https://second.example".into());
    house
        .world
        .fault(|faults| faults.issuer = Some(IssueError::Unavailable("connection refused".into())));
    published(&house, "example.com", "me@example.org").await;
    assert_eq!(went(&house), [(String::new(), false)]);
    let authority = house
        .control
        .authority_list(&system())
        .await
        .unwrap()
        .remove(0);
    assert!(authority.down_since.is_some() && authority.said.contains("connection refused"));
    // Another domain does not even try the first while it rests.
    house.world.fault(|faults| faults.at = "(first)".into());
    published(&house, "other.example", "other@example.org").await;
    assert_eq!(
        went(&house)[1],
        ("https://second.example".to_owned(), false)
    );
    assert_eq!(state(&house, "other.example").await, State::Live);
    // The rest is over: the first is tried again, and is well.
    house.later(HOUR).await;
    assert_eq!(went(&house)[2], (String::new(), false));
    assert_eq!(state(&house, "example.com").await, State::Live);
    let authority = house
        .control
        .authority_list(&system())
        .await
        .unwrap()
        .remove(0);
    assert_eq!((authority.down_since, authority.said.as_str()), (None, ""));
}

#[tokio::test]
async fn acme_14_a_compromised_key_is_revoked_and_never_asked_for_again() {
    let house = House::open(false).await;
    let actor = house.live("example.com", "me@example.org").await;
    house.world.advance(SECOND);
    let revoked = house
        .control
        .certificate_revoke(&actor, "example.com", RevocationReason::KeyCompromise)
        .await
        .unwrap();
    assert_eq!((revoked.fingerprints.len(), revoked.refused.len()), (1, 0));
    assert_eq!(
        house.world.revoked.lock().unwrap()[0].1,
        RevocationReason::KeyCompromise
    );
    house.turn().await;
    let keys = house.world.keys.lock().unwrap().clone();
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0], keys[1]);
    assert_eq!(state(&house, "example.com").await, State::Live);
    // The fresh key is kept by the next renewal.
    house.later(61 * DAY).await;
    let keys = house.world.keys.lock().unwrap().clone();
    assert_eq!((keys.len(), &keys[1]), (3, &keys[2]));
}

#[tokio::test]
async fn a_service_name_that_was_refused_is_told_why_and_joins_later_by_itself() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    let set = DomainSet {
        services: Some(vec!["rooms".into()]),
        ..DomainSet::default()
    };
    house
        .control
        .domain_set(&actor, "example.com", set)
        .await
        .unwrap();
    let wanted = records(&house, &actor, "example.com").await;
    let (rooms, rest): (Vec<_>, Vec<_>) = wanted
        .into_iter()
        .partition(|record| record.name.starts_with("_acme-challenge.rooms."));
    house.world.publish(&rest);
    house.turn().await;
    assert_eq!(*house.world.orders.lock().unwrap(), [["example.com"]]);
    let plan = house
        .control
        .certificate_plan(&actor, "example.com")
        .await
        .unwrap();
    assert_eq!(plan.blocked.len(), 1);
    assert_eq!(plan.blocked[0].name, "rooms.example.com");
    assert!(
        plan.blocked[0]
            .why
            .contains("_acme-challenge.rooms.example.com is not there"),
        "{:?}",
        plan.blocked
    );
    // Published, but refused: the certificate in use stays, and it is tried again after a day.
    house
        .world
        .fault(|faults| faults.refuse_name = Some("rooms.example.com".into()));
    house.world.publish(&rooms);
    house.later(HOUR).await;
    house.later(HOUR).await;
    assert_eq!(house.world.orders.lock().unwrap().len(), 2);
    let plan = house
        .control
        .certificate_plan(&actor, "example.com")
        .await
        .unwrap();
    assert!(
        plan.blocked[0].why.contains("refused it lately"),
        "{:?}",
        plan.blocked
    );
    house.world.fault(|faults| faults.refuse_name = None);
    house.later(25 * HOUR).await;
    let names = house
        .control
        .certificate_list(&actor, "example.com")
        .await
        .unwrap()
        .remove(0)
        .names;
    assert_eq!(names, ["example.com", "rooms.example.com"]);
}

#[tokio::test]
async fn acme_13_a_domain_that_is_stopped_while_it_waits_takes_nobody_s_turn() {
    let house = House::limited(|limits| limits.orders.most = 1).await;
    published(&house, "one.example", "one@example.org").await;
    let two = published(&house, "two.example", "two@example.org").await;
    let three = published(&house, "three.example", "three@example.org").await;
    let waiting = async |actor: &Actor| {
        let queue = house.control.certificate_queue(actor, None).await;
        queue.unwrap().len()
    };
    assert_eq!((waiting(&two).await, waiting(&three).await), (1, 1));
    let stopped = house.control.domain_suspend(&two, "two.example", "");
    stopped.await.unwrap();
    assert_eq!(waiting(&two).await, 0);
    house.later(4 * HOUR).await;
    house.later(HOUR).await;
    assert_eq!(state(&house, "three.example").await, State::Live);
    // It takes its place again when it is started.
    let started = house.control.domain_resume(&two, "two.example");
    started.await.unwrap();
    house.turn().await;
    house.later(4 * HOUR).await;
    house.later(HOUR).await;
    assert_eq!(state(&house, "two.example").await, State::Live);
}

#[tokio::test]
async fn acme_04_whoever_asks_does_not_pass_over_the_authority_s_wish_to_be_left_alone() {
    let house = House::open(false).await;
    let told = IssueError::RateLimited {
        wait_seconds: 7200,
        account: true,
    };
    let down = IssueError::Unavailable("connection refused".into());
    house.world.fault(|faults| faults.issuer = Some(down));
    let owner = published(&house, "example.com", "me@example.org").await;
    assert_eq!(went(&house).len(), 1);
    let ask = async || {
        house.world.advance(SECOND);
        let asked = house.control.certificate_order(&owner, "example.com").await;
        asked.unwrap();
        house.turn().await;
        went(&house).len()
    };
    house.world.fault(|faults| faults.issuer = Some(told));
    assert_eq!(ask().await, 2, "perhaps the outage is over");
    assert_eq!(ask().await, 2, "it answers, and has asked us to wait");
    let plan = house.control.certificate_plan(&owner, "example.com").await;
    assert_eq!(plan.unwrap().order.unwrap().why, Some(Why::Told));
    house.world.fault(|faults| faults.issuer = None);
    house.later(HOUR).await;
    assert_eq!(ask().await, 2);
    house.later(2 * HOUR).await;
    assert_eq!(went(&house).len(), 3);
    assert_eq!(state(&house, "example.com").await, State::Live);
}
