//! What somebody signs in with, as those see it who look after people; and one of it signed out.

use xmpp::timestamp::Timestamp;

use crate::Actor;
use crate::account::AccountNew;
use crate::audit::AuditQuery;
use crate::device::agent_id;
use crate::error::ControlError;
use crate::outside::SessionNow;
use crate::tests::roles::token;
use crate::tests::world::{House, PASSWORD};
use xmpp::jid::DomainName;

fn session(resource: &str, agent: Option<&str>) -> (String, SessionNow) {
    let now = SessionNow {
        resource: resource.into(),
        since: Timestamp(50),
        away: false,
        agent: agent.map(str::to_owned),
        certificate: None,
    };
    ("juliet@example.com".to_owned(), now)
}

#[tokio::test]
async fn two_devices_are_seen_and_one_is_signed_out() {
    let house = House::open(true).await;
    let control = &house.control;
    let owner = house.live("example.com", "me@example.org").await;
    for local in ["juliet", "romeo"] {
        let new = AccountNew {
            local: local.into(),
            password: Some(PASSWORD.into()),
        };
        control
            .account_add(&owner, "example.com", new)
            .await
            .unwrap();
    }
    let name = DomainName::parse("example.com").unwrap();
    let row = control
        .store()
        .domain_find(&name)
        .await
        .unwrap()
        .into_iter()
        .next()
        .unwrap();
    let rows = control.domain_store(&row);
    let juliet = rows.account_find("juliet").await.unwrap().unwrap();
    token(control, &rows, juliet.id, "phone").await;
    *house.world.sessions.lock().unwrap() =
        vec![session("a", Some("phone")), session("balcony", None)];

    let page = control
        .account_list(&owner, "example.com", None, 10)
        .await
        .unwrap();
    let connected: Vec<_> = page.accounts.iter().map(|view| view.connected).collect();
    assert_eq!(connected, [Some(true), Some(false)]);
    let ids = async || {
        let seen = control.account_devices(&owner, "example.com", "juliet");
        let seen = seen.await.unwrap();
        let mut ids: Vec<_> = seen.devices.into_iter().map(|device| device.id).collect();
        ids.sort();
        ids
    };
    let phone = agent_id("phone");
    assert_eq!(ids().await, [phone.as_str(), "session-balcony"]);

    // What is not there is not signed out, and leaves no entry.
    for nothing in [
        "agent-phone",
        "agent-desk",
        "session-desk",
        "phone",
        "",
        "session-",
    ] {
        let gone = control
            .account_sign_out(&owner, "example.com", "juliet", nothing)
            .await;
        assert!(
            matches!(gone, Err(ControlError::NotFound { .. })),
            "{nothing}: {gone:?}"
        );
    }
    for id in [phone.as_str(), "session-balcony"] {
        control
            .account_sign_out(&owner, "example.com", "juliet", id)
            .await
            .unwrap();
    }
    house.world.sessions.lock().unwrap().clear();
    assert_eq!(ids().await, Vec::<String>::new());
    let query = AuditQuery {
        operation: "account.sign-out".into(),
        ..AuditQuery::default()
    };
    let entries = control.audit_list(&owner, &query).await.unwrap();
    let said: Vec<_> = entries
        .iter()
        .map(|entry| (entry.object.as_str(), entry.detail.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("juliet@example.com", "\"session-balcony\""),
            ("juliet@example.com", format!("{phone:?}").as_str()),
        ]
    );
    // An auditor looks, and signs nobody out.
    let auditor = house
        .operator(row.tenant.0, "auditor", "auditor@example.org")
        .await;
    assert!(
        control
            .account_devices(&auditor, "example.com", "juliet")
            .await
            .is_ok()
    );
    let refused = control
        .account_sign_out(&auditor, "example.com", "juliet", &phone)
        .await;
    assert!(matches!(refused, Err(ControlError::Forbidden { .. })));
    let system = Actor::system("test");
    let storage = control
        .account_storage(&system, "example.com", "juliet")
        .await
        .unwrap();
    assert_eq!(storage, crate::device::StorageView::default());
}
