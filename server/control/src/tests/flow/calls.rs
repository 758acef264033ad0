//! Relays of a domain's own (XEP-0215).

use super::*;
use crate::audit::AuditQuery;
use crate::domain::StreamSet;

const RELAYS_KNOW: &str = "static-auth-secret-of-a-relay";

#[tokio::test]
async fn ext_31_a_secret_of_relays_is_taken_and_never_shown_again() {
    let house = House::open(false).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    let other = house.live("example.net", "you@example.org").await;
    let set = async |actor: &Actor, secret: Option<&str>| {
        let secret = secret.map(Into::into);
        control
            .external_secret_set(actor, "example.com", secret)
            .await
    };
    for bad in [
        "",
        "too-short",
        "with a space in it, so long",
        "with-a-line\nbreak-in-it",
        &"x".repeat(201),
    ] {
        let refused = set(&owner, Some(bad)).await.unwrap_err();
        assert_eq!(refused.field(), Some("secret"), "{bad}");
        assert!(bad.is_empty() || !format!("{refused:?} {}", refused.log_text()).contains(bad));
    }
    assert!(set(&other, Some(RELAYS_KNOW)).await.is_err());
    assert!(set(&other, None).await.is_err());
    set(&owner, Some(RELAYS_KNOW)).await.unwrap();
    let services = DomainSet {
        streams: StreamSet {
            external: Some(vec!["turn:turn.example.com".into()]),
            ..StreamSet::default()
        },
        ..DomainSet::default()
    };
    control
        .domain_set(&owner, "example.com", services)
        .await
        .unwrap();

    let show = control.domain_show(&owner, "example.com").await.unwrap();
    assert!(show.external_secret);
    let foreign = control.domain_show(&other, "example.net").await.unwrap();
    assert!(!foreign.external_secret);
    let all = AuditQuery::default();
    let log = control.audit_list(&owner, &all);
    let log = format!("{:?}", log.await.unwrap());
    assert!(log.contains("secret of its relays set"), "{log}");
    for shown in [log, serde_json::to_string(&show).unwrap()] {
        assert!(!shown.contains(RELAYS_KNOW), "{shown}");
    }
    let foreign = control.audit_list(&other, &all);
    assert!(!format!("{:?}", foreign.await.unwrap()).contains("relays"));

    set(&owner, None).await.unwrap();
    let show = control.domain_show(&owner, "example.com").await.unwrap();
    assert!(!show.external_secret);
}
