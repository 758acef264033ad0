//! What is wanted is there, however often it is said.

use super::*;
use crate::audit::AuditQuery;
use crate::domain::DomainSet;
use crate::wanted::{AccountWanted, DomainWanted};

/// Entries in the owner's log.
async fn entries(house: &House, actor: &Actor) -> usize {
    let query = AuditQuery::default();
    house.control.audit_list(actor, &query).await.unwrap().len()
}

fn with(set: DomainSet) -> DomainWanted {
    DomainWanted { tenant: None, set }
}

fn policy(word: &str) -> DomainWanted {
    with(DomainSet {
        policy: Some(word.into()),
        ..DomainSet::default()
    })
}

#[tokio::test]
async fn a_domain_is_claimed_once_changed_where_it_differs_and_left_alone_otherwise() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    house.live("example.info", "you@example.org").await;
    let want = async |domain: &str, wanted| control.domain_want(&owner, domain, wanted).await;

    let made = want("Example.NET.", policy("authenticated")).await.unwrap();
    assert!(made.is_new);
    assert_eq!(
        (made.now.view.domain.as_str(), made.now.policy.as_str()),
        ("example.net", "authenticated")
    );
    let before = entries(&house, &owner).await;
    let again = want("example.net", policy("authenticated")).await.unwrap();
    assert_eq!(
        (again.is_new, &again.now.version),
        (false, &made.now.version)
    );
    assert_eq!(entries(&house, &owner).await, before, "nothing was done");
    let other = want("example.net", policy("encrypted")).await.unwrap();
    assert_ne!(other.now.version, made.now.version);
    assert_eq!(entries(&house, &owner).await, before + 1);
    // What is not named stays.
    let rest = want("example.net", with(DomainSet::default()))
        .await
        .unwrap();
    assert_eq!(rest.now.policy, "encrypted");

    // What would be refused is, before anything is claimed; and another customer's is not to be had.
    let refused = want("example.org", policy("lenient")).await.unwrap_err();
    assert_eq!(refused.field(), Some("policy"));
    let absent = control.domain_show(&owner, "example.org").await;
    assert!(matches!(absent, Err(ControlError::NotFound { .. })));
    let foreign = want("example.info", policy("encrypted")).await.unwrap_err();
    assert!(matches!(foreign, ControlError::Exists { .. }), "{foreign}");
    let mine = DomainWanted {
        tenant: Some(999),
        ..policy("encrypted")
    };
    let moved = control.domain_want(&system(), "example.net", mine).await;
    assert!(matches!(moved, Err(ControlError::Exists { .. })));
}

#[tokio::test]
async fn an_account_is_made_once_and_keeps_its_password() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let want = async |suspended| {
        let wanted = AccountWanted {
            password: None,
            suspended,
        };
        control
            .account_want(&owner, "example.com", "Romeo", wanted)
            .await
            .unwrap()
    };
    let made = want(None).await;
    assert!(made.is_new && made.now.password.is_some());
    let before = entries(&house, &owner).await;
    let again = want(Some(false)).await;
    assert!(!again.is_new && again.now.password.is_none());
    assert_eq!(entries(&house, &owner).await, before, "nothing was done");
    for (suspended, state) in [(true, "suspended"), (true, "suspended"), (false, "active")] {
        assert_eq!(want(Some(suspended)).await.now.view.state, state);
    }
    assert_eq!(entries(&house, &owner).await, before + 2);
}
