//! Certificates: ordered, renewed, uploaded.

use super::*;

#[tokio::test]
async fn nothing_is_spent_at_the_ca_before_caa_allows_it() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    house
        .world
        .publish(&records(&house, &actor, "example.com").await);
    house.world.set(
        "example.com",
        "CAA",
        vec![RecordData::Caa {
            flags: 0,
            tag: "issue".into(),
            value: "other.example".into(),
        }],
    );
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Publishing);
    assert!(house.world.orders.lock().unwrap().is_empty());
    assert!(
        codes(&house, "example.com")
            .await
            .contains(&(findings::CAA_FORBIDS.to_owned(), Severity::Critical))
    );
    house.world.unset("example.com", "CAA");
    house.later(20 * SECOND).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
}

#[tokio::test]
async fn acme_12_renewal_keeps_the_key_and_failures_back_off() {
    let house = House::open(false).await;
    house.live("example.com", "me@example.org").await;
    house.world.advance(50 * DAY);
    house.turn().await;
    assert_eq!(house.world.orders.lock().unwrap().len(), 1);
    house
        .world
        .fault(|faults| faults.issuer = Some(IssueError::Refused("come back later".into())));
    house.world.advance(11 * DAY);
    for _ in 0..12 {
        house.later(300 * SECOND).await;
        house
            .control
            .domain_check(&system(), "example.com")
            .await
            .unwrap();
        house.turn().await;
    }
    // An hour of trying, and fewer than five attempts; the domain stays live with the old one.
    let tried = house.world.orders.lock().unwrap().len() - 1;
    assert!((1..5).contains(&tried), "{tried}");
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::CERTIFICATE_ORDER_FAILED, Severity::Warning)
    );
    house.world.fault(|faults| faults.issuer = None);
    house.later(DAY).await;
    assert_eq!(codes(&house, "example.com").await, []);
    let keys = house.world.keys.lock().unwrap();
    assert_eq!(keys.len(), 2);
    assert_eq!(keys[0], keys[1]);
}

#[tokio::test]
async fn acme_a_crash_before_the_certificate_resumes_the_order() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    house
        .world
        .publish(&records(&house, &signed.login.resumed.actor, "example.com").await);
    house
        .world
        .fault(|faults| faults.crash_before_finalize = true);
    house.turn().await;
    let row = house.control.domains(None).await.unwrap().remove(0);
    let stored = house
        .control
        .domain_store(&row)
        .order_get()
        .await
        .unwrap()
        .unwrap();
    house
        .world
        .fault(|faults| faults.crash_before_finalize = false);
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert_eq!(
        *house.world.keys.lock().unwrap(),
        [stored.key_pem.to_string()]
    );
    assert!(
        house
            .control
            .domain_store(&row)
            .order_get()
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn one_failing_service_name_never_blocks_the_domain() {
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
    house
        .world
        .publish(&records(&house, &actor, "example.com").await);
    house
        .world
        .fault(|faults| faults.refuse_name = Some("rooms.example.com".into()));
    house.turn().await;
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert_eq!(
        *house.world.orders.lock().unwrap(),
        [
            vec!["example.com", "rooms.example.com"],
            vec!["example.com"]
        ]
    );
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::SERVICE_NAME_LEFT_OUT, Severity::Info)
    );
    // Asked again by the owner, it is tried again.
    house.world.fault(|faults| faults.refuse_name = None);
    house.world.advance(SECOND);
    house
        .control
        .certificate_order(&actor, "example.com")
        .await
        .unwrap();
    house.turn().await;
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
async fn an_uploaded_certificate_needs_no_challenge() {
    let house = House::open(false).await;
    let signed = house.sign_up("example.com", "me@example.org").await;
    let actor = signed.login.resumed.actor;
    let set = DomainSet {
        mode: Some("uploaded".into()),
        ..DomainSet::default()
    };
    house
        .control
        .domain_set(&actor, "example.com", set)
        .await
        .unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let upload = CertificateUpload {
        chain_pem: certificate(&["example.com".into()], 19_999 * DAY, 20_030 * DAY, &key),
        key_pem: key.serialize_pem().into(),
    };
    // Ownership comes first.
    let refused = house
        .control
        .certificate_upload(&actor, "example.com", upload.clone())
        .await
        .unwrap_err();
    assert!(matches!(refused, ControlError::State { .. }));
    house
        .world
        .publish(&records(&house, &actor, "example.com").await);
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Publishing);
    let view = house
        .control
        .certificate_upload(&actor, "example.com", upload)
        .await
        .unwrap();
    assert_eq!((view.source.as_str(), view.renew_at), ("uploaded", None));
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert!(house.world.orders.lock().unwrap().is_empty());
    house.later(26 * DAY).await;
    assert_eq!(
        codes(&house, "example.com").await,
        [
            (findings::CERTIFICATE_EXPIRING.into(), Severity::Warning),
            // It holds no service, which hurts nothing but that service.
            (findings::SERVICE_NAME_LEFT_OUT.into(), Severity::Info),
        ]
    );
    house.later(5 * DAY).await;
    assert_eq!(state(&house, "example.com").await, State::Degraded);
    assert_eq!(
        codes(&house, "example.com").await,
        [
            (findings::CERTIFICATE_EXPIRED.into(), Severity::Critical),
            (findings::SERVICE_NAME_LEFT_OUT.into(), Severity::Info),
        ]
    );
}
