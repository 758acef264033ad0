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
