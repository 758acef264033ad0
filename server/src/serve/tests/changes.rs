//! What another process changes in the store ends or renews what is live here, as if it had been done in this one.

use super::*;
use crate::net::now;

/// The rows of one.example as another process sees them.
async fn elsewhere(house: &House) -> store::DomainStore {
    let name = DomainName::parse("one.example").expect("a name");
    house.world.other_process().await.domain(house.one, &name)
}

#[tokio::test]
async fn a_password_that_an_operator_sets_elsewhere_ends_the_account_s_sessions() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let mut bob = house.login("bob", "one.example").await;
    let rows = elsewhere(&house).await;
    let set = rows.account_reset_credentials("alice", &[], now()).await;
    assert!(set.expect("the store"));
    assert!(alice.rest().await.contains("<not-authorized "));
    bob.ping("one.example").await;
}

#[tokio::test]
async fn a_password_that_the_owner_sets_ends_nothing() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let mut bob = house.login("bob", "one.example").await;
    let rows = elsewhere(&house).await;
    let set = rows.account_set_credentials("alice", &[], now()).await;
    assert!(set.expect("the store"));
    // Heard in order: once bob is out, the change before has been heard.
    let suspended = rows.account_set_state("bob", "suspended", now()).await;
    assert!(suspended.expect("the store"));
    assert!(bob.rest().await.contains("<not-authorized "));
    alice.ping("one.example").await;
}

#[tokio::test]
async fn an_account_removed_elsewhere_loses_its_sessions_even_if_made_anew() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let rows = elsewhere(&house).await;
    assert!(rows.account_remove("alice", now()).await.expect("removed"));
    rows.account_add("alice", &[], now()).await.expect("added");
    assert!(alice.rest().await.contains("<not-authorized "));
}

#[tokio::test]
async fn a_login_that_was_proved_before_the_change_is_not_bound_after_it() {
    let house = House::new().await;
    let mut alice = house.secure("one.example").await;
    alice.open("one.example").await;
    alice.plain("alice").await;
    alice.until("<success ").await;
    alice.open("one.example").await;
    let mut bob = house.login("bob", "one.example").await;
    let rows = elsewhere(&house).await;
    let set = rows.account_reset_credentials("alice", &[], now()).await;
    assert!(set.expect("the store"));
    let suspended = rows.account_set_state("bob", "suspended", now()).await;
    assert!(suspended.expect("the store"));
    assert!(bob.rest().await.contains("<not-authorized "));
    alice
        .say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        .await;
    let said = alice.rest().await;
    assert!(said.contains("<stream:error><not-authorized "), "{said}");
}

#[tokio::test]
async fn vhost_06_a_domain_removed_elsewhere_is_gone_for_its_sessions_and_for_new_streams() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let mut carol = house.login("carol", "two.example").await;
    let store = house.world.other_process().await;
    let row = store.domain_get(house.one).await.expect("the store");
    let removed = store.domain_remove(&row.expect("there"), true, now()).await;
    assert!(removed.expect("removed"));
    assert!(alice.rest().await.contains("<host-gone "));
    let mut late = house.connect().await;
    late.say(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='one.example' \
         version='1.0'>",
    )
    .await;
    assert!(late.rest().await.contains("<host-gone "));
    carol.ping("two.example").await;
}

#[tokio::test]
async fn a_name_that_has_become_another_customer_s_takes_no_session_along() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let store = house.world.other_process().await;
    let row = store.domain_get(house.one).await.expect("the store");
    let row = row.expect("there");
    let other = store.tenant_add("Other", "active", "{}", now()).await;
    let theirs = store::DomainRow {
        tenant: other.expect("a tenant"),
        label: "other".into(),
        ..row.clone()
    };
    let given = store.domain_give_way(&row, now()).await;
    assert!(given.expect("written"));
    store.domain_add(&theirs).await.expect("added");
    assert!(alice.rest().await.contains("<host-gone "));
    let tenancy = &house.server.live.tenancy;
    let now = tenancy.get("one.example").expect("still hosted");
    assert_eq!((now.tenant, now.sessions()), (theirs.tenant, 0));
}

#[tokio::test]
async fn a_domain_suspended_elsewhere_ends_its_sessions_and_refuses_new_ones() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let store = house.world.other_process().await;
    let row = store.domain_get(house.one).await.expect("the store");
    let mut row = row.expect("there");
    row.state = "suspended".into();
    store.domain_update(&row, now()).await.expect("written");
    assert!(alice.rest().await.contains("<policy-violation "));
    let mut late = house.connect().await;
    late.say(
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='one.example' \
         version='1.0'>",
    )
    .await;
    assert!(late.rest().await.contains("<policy-violation "));
}

#[tokio::test]
async fn ext_32_what_the_owner_chooses_holds_at_once_and_drops_nobody() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let ask = "<iq type='get' id='d' to='one.example'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    alice.say(ask).await;
    let before = alice.until("</iq>").await;
    assert!(before.contains("msgoffline") && !before.contains("abuse-addresses"));
    let settings = serde_json::json!({
        "modules_off": ["offline"],
        "contacts": {"abuse": ["mailto:abuse@one.example"]},
    });
    house.world.set_settings(house.one, &settings).await;
    let after = house
        .until(async || {
            alice.say(ask).await;
            Some(alice.until("</iq>").await).filter(|info| info.contains("abuse-addresses"))
        })
        .await;
    assert!(after.contains("<value>mailto:abuse@one.example</value>"));
    assert!(!after.contains("msgoffline"), "{after}");
}

#[tokio::test]
async fn a_renewed_certificate_serves_new_connections_and_ends_no_old_one() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let shown = |wire: &Wire<TlsStream<TcpStream>>| {
        wire.io.get_ref().1.peer_certificates().expect("shown")[0].clone()
    };
    let old = shown(&alice);
    let names = ["one.example"];
    house
        .world
        .certificate(house.one, "one.example", &names)
        .await;
    house
        .until(async || (shown(&house.secure("one.example").await) != old).then_some(()))
        .await;
    alice.ping("one.example").await;
    assert_eq!(shown(&alice), old);
}
