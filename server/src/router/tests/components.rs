//! What components are granted is theirs, and nobody's who only has the name.

use modules::Switchboard as _;
use serde_json::json;

use super::*;

const GATE: &str = "gw.one.example";

fn name(text: &str) -> DomainName {
    DomainName::parse(text).expect("a name")
}

/// An envelope from the gate: alice writes to bob.
fn envelope() -> Stanza {
    stanza(&format!(
        "<message from='{GATE}' to='one.example' id='e'><privilege xmlns='urn:xmpp:privilege:2'>\
         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@one.example' \
         to='bob@one.example/phone' type='chat'><body>hi</body></message></forwarded></privilege></message>"
    ))
}

#[tokio::test]
async fn whoever_hosts_a_component_s_name_inherits_nothing() {
    let net = Net::new().await;
    let router = &net.router;
    let one = name("one.example");
    let row = net
        .world
        .store
        .domain_hosted(&one)
        .await
        .expect("the store");
    let settings =
        json!({"components": ["gw"], "grants": {"gw": {"message": "outgoing", "roster": "both"}}});
    net.world
        .set_settings(row.expect("hosted").id, &settings)
        .await;
    router.tenancy.refresh(&one).await.expect("read");
    let bob = net.bind("bob@one.example/phone", Some(0)).await;
    assert!(router.is_component(GATE));
    router.speak(envelope()).await.expect("said");
    assert!(got(&bob)[0].contains("<body>hi</body>"));

    // Its zone is delegated to somebody else, who shows that the name is theirs, and hosts it.
    let other = net.world.store.tenant_add("other", "active", "{}", now());
    let id = other.await.expect("the store");
    let domain = net.world.domain_of(id, GATE).await;
    router.tenancy.refresh(&name(GATE)).await.expect("read");
    assert!(!router.is_component(GATE));
    router.speak(envelope()).await.expect("said");
    assert!(got(&bob).is_empty());
    let roster = stanza(&format!(
        "<iq from='{GATE}' to='alice@one.example' type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
    ));
    let one = router.tenancy.get("one.example").expect("hosted");
    let later = router.local(&one, roster).expect("a module's affair");
    later.await;
    assert!(
        net.remote.0.lock().is_empty(),
        "it never leaves the process"
    );

    // They leave: the name is the component's again, which has its secret.
    net.world.set_state(domain, "releasing").await;
    let row = net.world.store.domain_get(domain).await.expect("the store");
    let gone = net
        .world
        .store
        .domain_remove(&row.expect("there"), false, now())
        .await;
    assert!(gone.expect("the store"));
    router.tenancy.refresh(&name(GATE)).await.expect("read");
    assert!(router.is_component(GATE));
}

#[tokio::test]
async fn dos_06_who_writes_in_an_account_s_name_reaches_no_more_than_the_account() {
    let net = Net::new().await;
    let say = async |to: String| {
        let message = stanza(&format!(
            "<message from='alice@one.example' to='{to}'><body>pills</body></message>"
        ));
        net.router.speak(message).await
    };
    let most = crate::net::limits::RecipientLimits::default().most;
    for n in 0..most {
        let said = say(format!("x{n}@peer.example")).await;
        assert!(said.is_ok(), "{n}");
    }
    assert!(say("one@more.example".into()).await.is_err());
    assert_eq!(net.remote.0.lock().len(), most);
    // Whom it has written to, its own server and itself it reaches yet.
    for to in ["x1@peer.example", "peer.example", "alice@one.example"] {
        assert!(say(to.into()).await.is_ok(), "{to}");
    }
}
