//! Programs and what they are granted, as the world around them changes.

use super::*;
use crate::component::ComponentAsk;
use crate::grant::Grants;
use xmpp::jid::DomainName;

#[tokio::test]
async fn a_name_that_has_become_a_domain_is_granted_nothing() {
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live("example.com", "me@example.org").await;
    let ask = ComponentAsk::default();
    control
        .component_add(&actor, "example.com", "gw", ask)
        .await
        .unwrap();
    let outgoing = || Grants {
        message: "outgoing".into(),
        ..Grants::default()
    };
    control
        .component_grant(&actor, "example.com", "gw", outgoing(), None)
        .await
        .unwrap();
    // The same customer makes a domain of it; another could not while it is a component.
    let new = DomainNew {
        domain: "gw.example.com".into(),
        tenant: None,
    };
    control.domain_add(&actor, new).await.unwrap();
    let wanted = records(&house, &actor, "gw.example.com").await;
    house.world.publish(&wanted);
    house.later(HOUR).await;
    let refused = control
        .component_grant(&actor, "example.com", "gw", outgoing(), None)
        .await;
    let Err(ControlError::State { state, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(state, "a domain that is hosted here");
    control
        .component_remove(&actor, "example.com", "gw")
        .await
        .unwrap();
}

#[tokio::test]
async fn what_a_later_version_has_written_is_not_written_over() {
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live("example.com", "me@example.org").await;
    let name = DomainName::parse("example.com").unwrap();
    let row = || async { control.store().domain_find(&name).await.unwrap().remove(0) };
    let mut later = row().await;
    let settings = r#"{"plain":false,"admins":{"of":"a later version"}}"#;
    later.settings = settings.into();
    assert!(
        control
            .store()
            .domain_update(&later, control.now())
            .await
            .unwrap()
    );
    let ask = ComponentAsk::default();
    let refused = control
        .component_add(&actor, "example.com", "gw", ask)
        .await;
    let Err(ControlError::State { state, .. }) = refused else {
        panic!("{:?}", refused.map(|made| made.view));
    };
    assert_eq!(state, "kept by a later version");
    assert_eq!(row().await.settings, settings);
}

#[tokio::test]
async fn asked_again_for_what_is_there_nothing_is_done_and_the_program_stays_connected() {
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live("example.com", "me@example.org").await;
    let ask = async |secret: Option<&str>, rotate| {
        let ask = ComponentAsk {
            secret: secret.map(Into::into),
            rotate,
        };
        let made = control.component_add(&actor, "example.com", "gw", ask);
        made.await.unwrap().secret
    };
    let logged = async || {
        let query = crate::audit::AuditQuery {
            operation: "component.add".into(),
            ..crate::audit::AuditQuery::default()
        };
        control.audit_list(&actor, &query).await.unwrap().len()
    };
    let first = ask(None, false).await.unwrap();
    assert_eq!(ask(None, false).await, None);
    assert_eq!(ask(Some(&first), false).await, None);
    assert_eq!(logged().await, 1);
    let second = ask(None, true).await.unwrap();
    assert_ne!(second, first);
    let own = "a secret of the owner's own";
    assert_eq!(ask(Some(own), false).await.as_deref(), Some(own));
    assert_eq!(logged().await, 3);
}

#[tokio::test]
async fn grants_that_were_changed_meanwhile_are_not_written_over() {
    let house = House::open(false).await;
    let control = &house.control;
    let actor = house.live("example.com", "me@example.org").await;
    let ask = ComponentAsk::default();
    let made = control.component_add(&actor, "example.com", "gw", ask);
    let seen = made.await.unwrap().view.version;
    let grant = async |message: &str, version: Option<&str>| {
        let grants = Grants {
            message: message.into(),
            ..Grants::default()
        };
        let set = control.component_grant(&actor, "example.com", "gw", grants, version);
        set.await
    };
    grant("outgoing", Some(&seen)).await.unwrap();
    let refused = grant("none", Some(&seen)).await.unwrap_err();
    assert!(matches!(refused, ControlError::Stale { .. }), "{refused}");
    let listed = control.component_list(&actor, "example.com").await.unwrap();
    assert_eq!(listed[0].grants.message, "outgoing");
    grant("none", Some(&listed[0].version)).await.unwrap();
}
