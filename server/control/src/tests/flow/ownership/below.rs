//! Names below another customer's domain: theirs to bring who can write there, and never a way to take what is served.

use super::*;

const PARENT: &str = "example.com";

fn claim(domain: &str) -> DomainNew {
    DomainNew {
        domain: domain.into(),
        tenant: None,
    }
}

/// A house with a live parent, and another customer who has a domain elsewhere.
async fn neighbours() -> (House, Actor, Actor) {
    let house = House::open(false).await;
    let parent = house.live(PARENT, "me@example.org").await;
    let other = house.sign_up("other.example", "you@example.org").await;
    (house, parent, other.login.resumed.actor)
}

#[tokio::test]
async fn a_name_below_another_s_domain_wants_a_proof_of_its_own() {
    let (house, parent, other) = neighbours().await;
    let (control, name) = (&house.control, "chat.example.com");
    control.domain_add(&other, claim(name)).await.unwrap();
    let wanted = records(&house, &other, name).await;
    assert_eq!(wanted[0].name, "_domicile.chat.example.com.");

    // Neither the parent's proof nor one's own token at the parent's name is enough.
    house.later(HOUR).await;
    assert_eq!(state(&house, name).await, State::Claimed);
    let at_parent = "_domicile.example.com";
    let proof = house.world.records.lock().unwrap()[&(at_parent.to_owned(), "TXT")].clone();
    let crate::records::RecordValue::Txt { text } = &wanted[0].value else {
        panic!("{:?}", wanted[0])
    };
    let both = [proof.clone(), vec![RecordData::Txt(text.clone())]].concat();
    house.world.set(at_parent, "TXT", both);
    house.later(HOUR).await;
    assert_eq!(state(&house, name).await, State::Claimed);
    assert!(
        codes(&house, name)
            .await
            .contains(&(findings::OWNERSHIP_MISSING.into(), Severity::Critical))
    );
    house.world.set(at_parent, "TXT", proof);

    // One's own is, though the zone is the parent's.
    house.world.publish(&wanted);
    house.later(HOUR).await;
    house.later(HOUR).await;
    assert_eq!(state(&house, name).await, State::Live);

    // The parent's owner hears nothing of it: it is no service of theirs, and no row of it is theirs to see or to change.
    assert_eq!(state(&house, PARENT).await, State::Live);
    assert!(codes(&house, PARENT).await.is_empty());
    let listed = control.domain_list(&parent, None).await.unwrap();
    assert!(listed.iter().all(|view| view.domain == PARENT));
    for refused in [
        control.domain_show(&parent, name).await.map(drop),
        control.domain_remove(&parent, name).await.map(drop),
    ] {
        assert!(matches!(refused, Err(ControlError::NotFound { .. })));
    }
    let log = control.audit_list(&parent, &AuditQuery::default()).await;
    assert!(
        log.unwrap()
            .iter()
            .all(|entry| !entry.object.contains(name))
    );

    // When the parent leaves, the name below stays whose it is.
    control.domain_remove(&parent, PARENT).await.unwrap();
    house.later(HOUR).await;
    assert_eq!(state(&house, name).await, State::Live);
}

#[tokio::test]
async fn a_service_of_another_s_domain_cannot_be_taken() {
    let (house, _, other) = neighbours().await;
    let name = "rooms.example.com";
    let refused = house.control.domain_add(&other, claim(name)).await;
    let Err(error @ ControlError::Exists { .. }) = refused else {
        panic!("{refused:?}")
    };
    assert!(error.remedy().contains("service of example.com"), "{error}");
    // Once it is switched off, it may.
    let off = DomainSet {
        services: Some(Vec::new()),
        ..DomainSet::default()
    };
    let (control, parent) = (&house.control, system());
    control.domain_set(&parent, PARENT, off).await.unwrap();
    control.domain_add(&other, claim(name)).await.unwrap();
    // Switched on again before it is proven, it is a service again.
    let on = DomainSet {
        services: Some(vec!["rooms".into()]),
        ..DomainSet::default()
    };
    control.domain_set(&parent, PARENT, on).await.unwrap();
    house.world.publish(&records(&house, &other, name).await);
    house.later(HOUR).await;
    assert_eq!(state(&house, name).await, State::Claimed);
    let taken = (findings::CLAIMED_ELSEWHERE.to_owned(), Severity::Critical);
    assert_eq!(codes(&house, name).await.first(), Some(&taken));
}

#[tokio::test]
async fn who_brings_the_parent_later_reads_which_services_are_another_s() {
    let house = House::open(false).await;
    let name = "rooms.example.com";
    let first = house.live(name, "you@example.org").await;
    let second = house.live(PARENT, "me@example.org").await;
    // Of the service's records there is one each in the zone: they stay those of who had the name first.
    house.world.publish(&records(&house, &first, name).await);
    house.later(HOUR).await;
    assert_eq!(state(&house, name).await, State::Live);
    let elsewhere = (findings::CLAIMED_ELSEWHERE.to_owned(), Severity::Warning);
    assert_eq!(codes(&house, PARENT).await.first(), Some(&elsewhere));
    let shown = house.control.domain_show(&second, PARENT).await.unwrap();
    assert_eq!(shown.checks[0].subject, name);
    assert!(
        codes(&house, name).await.is_empty(),
        "nothing is amiss there"
    );
    // It goes with the cause.
    house.control.domain_remove(&first, name).await.unwrap();
    house.later(HOUR).await;
    assert!(!codes(&house, PARENT).await.contains(&elsewhere));
}
