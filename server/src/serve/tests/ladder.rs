//! The suspension ladder, as streams meet it.

use super::*;

impl House {
    /// The tenant of every domain here comes to this step.
    async fn step(&self, step: &str) {
        let store = &self.world.store;
        let row = store
            .tenant_get(self.world.tenant)
            .await
            .expect("the store");
        let mut row = row.expect("the tenant");
        row.step = step.into();
        let written = store.tenant_update(&row, crate::net::now()).await;
        assert!(written.expect("the store"));
    }
}

#[tokio::test]
async fn a_customer_on_the_ladder_loses_log_in_and_gets_it_back() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    for harmless in ["warned", "read-only", "no-federation"] {
        house.step(harmless).await;
        alice.ping("one.example").await;
    }
    house.step("no-login").await;
    let said = alice.rest().await;
    assert!(said.contains("<policy-violation "), "{said}");
    house
        .until(async || {
            let mut wire = house.connect().await;
            wire.say(
                "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='one.example' \
                 version='1.0'>",
            )
            .await;
            let answer = wire.rest().await;
            answer.contains("</stream:").then_some(())
        })
        .await;
    house.step("").await;
    let tenancy = house.server.router().tenancy().clone();
    house
        .until(async || {
            let domain = tenancy.get("one.example").expect("hosted");
            domain.served.then_some(())
        })
        .await;
    let mut alice = house.login("alice", "one.example").await;
    alice.ping("one.example").await;
}

/// `no-federation` says that people reach only each other: those of the customer's own domains still, a neighbour of another
/// customer's as little as anybody elsewhere.
#[tokio::test]
async fn without_federation_a_customer_s_own_domains_still_reach_each_other() {
    let house = House::new().await;
    let (store, now) = (&house.world.store, crate::net::now());
    let other = store.tenant_add("other", "active", "{}", now).await;
    let neighbour = "neighbour.example";
    let id = house
        .world
        .domain_of(other.expect("a tenant"), neighbour)
        .await;
    house.world.certificate(id, neighbour, &[neighbour]).await;
    house.world.user(id, neighbour, "dave").await;
    let tenancy = house.server.router().tenancy().clone();
    house.until(async || tenancy.get(neighbour).map(drop)).await;
    let mut alice = house.login("alice", "one.example").await;
    let mut carol = house.login("carol", "two.example").await;
    let mut dave = house.login("dave", neighbour).await;
    let message = |to: &str, id: &str| {
        format!("<message to='{to}' id='{id}' type='chat'><body>x</body></message>")
    };
    alice.say(&message("dave@neighbour.example", "m1")).await;
    dave.until("id='m1'").await;

    house.step("no-federation").await;
    house
        .until(async || {
            let domain = tenancy.get("one.example").expect("hosted");
            domain.secluded.then_some(())
        })
        .await;
    alice.say(&message("dave@neighbour.example", "m2")).await;
    refused(&mut alice, "m2").await;
    dave.say(&message("alice@one.example", "m3")).await;
    refused(&mut dave, "m3").await;
    alice.say(&message("carol@two.example", "m4")).await;
    carol.until("id='m4'").await;

    house.step("").await;
    house
        .until(async || {
            let domain = tenancy.get("one.example").expect("hosted");
            (!domain.secluded).then_some(())
        })
        .await;
    alice.say(&message("dave@neighbour.example", "m5")).await;
    dave.until("id='m5'").await;
}

async fn refused(wire: &mut Wire<TlsStream<TcpStream>>, id: &str) {
    let mut error = wire.until(&format!("id='{id}'")).await;
    error.push_str(&wire.until("</message>").await);
    assert!(
        error.contains("type='error'") && error.contains("<error "),
        "{error}"
    );
}
