//! Whose a domain is: proofs that lapse, second claimants, removal.

mod below;
mod lapse;

use super::*;
use crate::audit::AuditQuery;
use crate::outside::RevocationReason;

#[tokio::test]
async fn a_lapsed_proof_is_warned_of_then_stops_the_domain_then_must_be_shown_afresh() {
    let house = House::open(false).await;
    let actor = house.live("example.com", "me@example.org").await;
    let proof =
        house.world.records.lock().unwrap()[&("_domicile.example.com".to_owned(), "TXT")].clone();
    house.world.unset("_domicile.example.com", "TXT");
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    assert_eq!(
        codes(&house, "example.com").await,
        only(findings::OWNERSHIP_LAPSED, Severity::Warning)
    );
    house.later(13 * DAY).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
    house.later(2 * DAY).await;
    assert_eq!(state(&house, "example.com").await, State::Suspended);
    assert!(
        house
            .control
            .domain_show(&actor, "example.com")
            .await
            .unwrap()
            .view
            .status
            .contains("gone too long")
    );
    let log = house
        .control
        .audit_list(&actor, &AuditQuery::default())
        .await
        .unwrap();
    assert!(
        log.iter()
            .any(|entry| entry.operation == "domain.suspend" && entry.actor == "worker")
    );
    house
        .control
        .domain_resume(&actor, "example.com")
        .await
        .unwrap();
    house.turn().await;
    assert_eq!(state(&house, "example.com").await, State::Claimed);
    house.world.set("_domicile.example.com", "TXT", proof);
    house.later(HOUR).await;
    assert_eq!(state(&house, "example.com").await, State::Live);
}

#[tokio::test]
async fn a_second_claimant_gets_nothing_that_is_proven() {
    let house = House::open(false).await;
    house.live("example.com", "me@example.org").await;
    let request = |domain: &str, email: &str| SignUp {
        domain: domain.into(),
        email: email.into(),
        password: PASSWORD.into(),
    };
    let origin = Origin::default();
    let refused = house
        .control
        .sign_up(request("EXAMPLE.com", "you@example.org"), &origin)
        .await
        .unwrap_err();
    assert!(matches!(
        refused,
        ControlError::Exists { what: "domain", .. }
    ));
    // The failed sign-up leaves nothing behind.
    assert_eq!(house.control.tenant_list(&system()).await.unwrap().len(), 1);
    assert_eq!(
        house
            .control
            .domain_hint("example.com", &origin)
            .await
            .unwrap()
            .code,
        "served-here"
    );

    // A name that nobody has proven can be claimed by many, each with a token of their own: the first to publish theirs has it.
    let first = house
        .sign_up("example.net", "squat@example.org")
        .await
        .login
        .resumed
        .actor;
    let second = house
        .sign_up("example.net", "you@example.org")
        .await
        .login
        .resumed
        .actor;
    let fresh = records(&house, &second, "example.net").await;
    assert_ne!(
        records(&house, &first, "example.net").await[0].value,
        fresh[0].value
    );
    house
        .world
        .zones
        .lock()
        .unwrap()
        .insert("example.net".into());
    house.world.publish(&fresh);
    house.turn().await;
    let state = |show: crate::domain::DomainShow| {
        (
            show.view.state,
            show.checks.first().map(|check| check.code.clone()),
        )
    };
    assert_eq!(
        state(
            house
                .control
                .domain_show(&second, "example.net")
                .await
                .unwrap()
        )
        .0,
        State::Live
    );
    assert_eq!(
        state(
            house
                .control
                .domain_show(&first, "example.net")
                .await
                .unwrap()
        )
        .0,
        State::Claimed
    );
    // Even with their own token published the other one stays out, and is told why.
    let former = records(&house, &first, "example.net").await;
    let tokens = [&fresh[0], &former[0]].map(|record| match &record.value {
        crate::records::RecordValue::Txt { text } => RecordData::Txt(text.clone()),
        other => panic!("{other:?}"),
    });
    house
        .world
        .set("_domicile.example.net", "TXT", tokens.to_vec());
    house.later(HOUR).await;
    let show = state(
        house
            .control
            .domain_show(&first, "example.net")
            .await
            .unwrap(),
    );
    assert_eq!(
        show,
        (State::Claimed, Some(findings::CLAIMED_ELSEWHERE.to_owned()))
    );

    let theirs = AccountNew {
        local: "juliet".into(),
        password: Some(PASSWORD.into()),
    };
    house
        .control
        .account_add(&second, "example.net", theirs)
        .await
        .unwrap();

    // A lapsed proof gives way to a fresh one, and both can read so.
    house
        .world
        .set("_domicile.example.net", "TXT", vec![tokens[1].clone()]);
    house.later(HOUR).await;
    house.later(15 * DAY).await;
    assert_eq!(
        state(
            house
                .control
                .domain_show(&second, "example.net")
                .await
                .unwrap()
        )
        .0,
        State::Suspended
    );
    house.later(HOUR).await;
    assert_eq!(
        state(
            house
                .control
                .domain_show(&first, "example.net")
                .await
                .unwrap()
        )
        .0,
        State::Verified
    );
    let log = house
        .control
        .audit_list(&second, &AuditQuery::default())
        .await
        .unwrap();
    assert!(
        log.iter()
            .any(|entry| entry.detail.contains("another customer"))
    );

    // Nothing goes with the name: certificates of the former are revoked, what people have there stays theirs.
    house.later(300 * SECOND).await;
    let revoked = house.world.revoked.lock().unwrap().clone();
    assert_eq!(
        revoked
            .iter()
            .map(|(_, reason)| *reason)
            .collect::<Vec<_>>(),
        [RevocationReason::CessationOfOperation]
    );
    let control = &house.control;
    let held = async |actor| {
        let certificates = control.certificate_list(actor, "example.net").await;
        certificates.unwrap().len()
    };
    let people = async |actor| {
        let page = control.account_list(actor, "example.net", None, 10).await;
        page.unwrap().accounts.len()
    };
    assert_eq!((held(&second).await, people(&second).await), (0, 1));
    assert_eq!(people(&first).await, 0);
    assert_eq!(
        control
            .domain_show(&second, "example.net")
            .await
            .unwrap()
            .view
            .state,
        State::Suspended
    );
}

#[tokio::test]
async fn acme_15_removal_leaves_nothing_and_says_what_dangles() {
    let house = House::open(false).await;
    let actor = house.live("example.com", "me@example.org").await;
    let new = AccountNew {
        local: "juliet".into(),
        password: Some(PASSWORD.into()),
    };
    house
        .control
        .account_add(&actor, "example.com", new)
        .await
        .unwrap();
    let target = house
        .control
        .domain_show(&actor, "example.com")
        .await
        .unwrap()
        .target;
    house.world.fault(|faults| faults.zone_unreachable = true);
    let removed = house
        .control
        .domain_remove(&actor, "example.com")
        .await
        .unwrap();
    assert_eq!(
        removed.dangling.len(),
        8,
        "six of the domain, two of its service"
    );
    // Our zone could not be reached: it is leaving, and finished later.
    assert_eq!(state(&house, "example.com").await, State::Releasing);
    house.world.fault(|faults| faults.zone_unreachable = false);
    house.later(HOUR).await;
    assert!(matches!(
        house.control.domain_show(&system(), "example.com").await,
        Err(ControlError::NotFound { .. })
    ));
    assert!(
        !house
            .world
            .records
            .lock()
            .unwrap()
            .keys()
            .any(|(name, _)| *name == target)
    );
    // The name is free again, with a fresh token.
    house
        .control
        .domain_add(
            &actor,
            DomainNew {
                domain: "example.com".into(),
                tenant: None,
            },
        )
        .await
        .unwrap();
    assert_eq!(state(&house, "example.com").await, State::Claimed);
}
