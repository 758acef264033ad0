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
        .component_grant(&actor, "example.com", "gw", outgoing())
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
        .component_grant(&actor, "example.com", "gw", outgoing())
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
