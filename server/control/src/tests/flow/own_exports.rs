//! People take out what they have themselves (XEP-0227).

use xmpp::jid::BareJid;

use super::*;
use crate::audit::AuditQuery;
use crate::domain::StreamSet;
use crate::own_export::{Admitted, OWN_EXPORT_PATH};

const LIFE: i64 = 1_800;

fn jid(text: &str) -> BareJid {
    BareJid::parse(text).unwrap()
}

async fn people(house: &House, actor: &Actor, domain: &str, locals: &[&str]) {
    for local in locals {
        let new = AccountNew {
            local: (*local).into(),
            password: Some(PASSWORD.into()),
        };
        house.control.account_add(actor, domain, new).await.unwrap();
    }
}

/// The token of a fresh link.
async fn link(house: &House, account: &str) -> String {
    let made = house.control.own_export_link(&jid(account)).await.unwrap();
    let (_, token) = made.link.split_once(OWN_EXPORT_PATH).unwrap();
    token.to_owned()
}

async fn shown(house: &House, website: Option<&str>, token: &str) -> Option<Admitted> {
    let origin = Origin::default();
    let control = &house.control;
    let admitted = control.own_export_admit(website, token, &origin).await;
    match admitted {
        Ok(admitted) => Some(admitted),
        Err(ControlError::NotSignedIn { .. }) => None,
        Err(other) => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn ext_38_a_link_is_good_once_for_half_an_hour_and_at_its_domain_only() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let other = house.live("example.net", "you@example.org").await;
    people(&house, &owner, "example.com", &["juliet", "nurse"]).await;

    let first = link(&house, "juliet@example.com").await;
    let token = link(&house, "juliet@example.com").await;
    assert!(shown(&house, None, &first).await.is_none(), "replaced");
    for bad in ["", "x", &"x".repeat(10_000), &token[1..]] {
        assert!(shown(&house, None, bad).await.is_none(), "{bad}");
    }
    let elsewhere = shown(&house, Some("example.net"), &token).await;
    assert!(elsewhere.is_none(), "another domain's website");
    // Looking uses nothing up; of two who load at once, one gets it.
    let here = shown(&house, Some("example.com"), &token).await.unwrap();
    assert_eq!(here.shown.account, "juliet@example.com");
    let again = shown(&house, None, &token).await.unwrap();
    let mut going = control.own_export_take(here).await.unwrap();
    assert!(going.next().await.is_none(), "this process has no modules");
    assert!(control.own_export_take(again).await.is_err());
    assert!(shown(&house, None, &token).await.is_none());

    let late = link(&house, "nurse@example.com").await;
    let held = shown(&house, None, &late).await.unwrap();
    house.world.advance(LIFE * SECOND);
    assert!(shown(&house, None, &late).await.is_none());
    assert!(control.own_export_take(held).await.is_err());

    let all = AuditQuery::default();
    let log = control.audit_list(&owner, &all);
    let log = log.await.unwrap();
    let own = log.iter().filter(|of| of.operation == "people.export");
    let own: Vec<_> = own
        .map(|of| (of.object.as_str(), of.detail.as_str()))
        .collect();
    assert_eq!(
        own,
        [
            ("nurse@example.com", "link for themselves"),
            ("juliet@example.com", "archive, by their link"),
            ("juliet@example.com", "link for themselves"),
            ("juliet@example.com", "link for themselves"),
        ]
    );
    assert!(!format!("{log:?}").contains(&token));
    let foreign = control.audit_list(&other, &all);
    assert!(!format!("{:?}", foreign.await.unwrap()).contains("people.export"));
}

#[tokio::test]
async fn ext_38_the_owner_switches_links_off_and_who_is_stopped_has_none() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    people(&house, &owner, "example.com", &["juliet", "nurse"]).await;
    let set = async |on: bool| {
        let set = DomainSet {
            streams: StreamSet {
                own_export: Some(on),
                ..StreamSet::default()
            },
            ..DomainSet::default()
        };
        control
            .domain_set(&owner, "example.com", set)
            .await
            .unwrap();
    };
    let token = link(&house, "juliet@example.com").await;
    set(false).await;
    assert!(shown(&house, None, &token).await.is_none());
    let refused = control.own_export_link(&jid("nurse@example.com")).await;
    assert!(matches!(refused, Err(ControlError::State { .. })));
    set(true).await;
    assert!(shown(&house, None, &token).await.is_some());

    let suspend = control.account_suspend(&owner, "example.com", "juliet");
    suspend.await.unwrap();
    assert!(shown(&house, None, &token).await.is_none());
    for stranger in ["juliet@example.com", "nobody@example.com", "a@example.net"] {
        let refused = control.own_export_link(&jid(stranger)).await;
        assert!(matches!(refused, Err(ControlError::NotFound { .. })));
    }

    for _ in 0..3 {
        link(&house, "nurse@example.com").await;
    }
    let often = control.own_export_link(&jid("nurse@example.com")).await;
    assert!(matches!(often, Err(ControlError::TooMany { .. })));
    house.world.advance(DAY);
    let token = link(&house, "nurse@example.com").await;
    control
        .domain_suspend(&owner, "example.com", "")
        .await
        .unwrap();
    assert!(shown(&house, None, &token).await.is_none());
}
