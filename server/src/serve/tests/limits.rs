//! Limits of domains and tenants (DOS-10), as streams meet them.

use super::*;

#[tokio::test]
async fn dos_10_bind_05_a_tenant_has_as_many_sessions_as_its_limits_say_from_now_on() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    house
        .world
        .set_limits(&serde_json::json!({"sessions": 1}))
        .await;
    let refused = house
        .until(async || {
            let mut bob = house.secure("one.example").await;
            bob.open("one.example").await;
            bob.plain("bob").await;
            bob.until("<success ").await;
            bob.open("one.example").await;
            bob.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
                .await;
            let answer = bob.until("</iq>").await;
            answer.contains("type='error'").then_some(answer)
        })
        .await;
    assert!(refused.contains("<resource-constraint "), "{refused}");
    assert!(refused.contains("type='wait'"), "{refused}");
    assert!(refused.contains("their plan has room for"), "{refused}");
    // Who is in stays in, and may come back under the same name.
    alice.ping("one.example").await;
    let _again = house.login("alice", "one.example").await;
    assert!(
        house
            .metrics()
            .contains("domicile_limited_total{limit=\"sessions_per_tenant\"}")
    );
}

#[tokio::test]
async fn dos_10_a_tenant_has_as_many_connections_as_its_limits_say() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    house
        .world
        .set_limits(&serde_json::json!({"connections": 1}))
        .await;
    house
        .until(async || {
            let mut wire = house.connect().await;
            wire.say(
                "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='two.example' \
                 version='1.0'>",
            )
            .await;
            let answer = wire.until(">").await + &wire.until("</stream:").await;
            answer.contains("<resource-constraint ").then_some(())
        })
        .await;
    alice.ping("one.example").await;
    assert!(
        house
            .metrics()
            .contains("domicile_limited_total{limit=\"connections_per_tenant\"}")
    );
}

#[tokio::test]
async fn dos_01_a_connection_that_logs_in_makes_room_for_the_next() {
    let house = House::with(|config| config.limits.unauthenticated_per_address = 1).await;
    let alice = house.login("alice", "one.example").await;
    let bob = house.login("bob", "one.example").await;
    let mut idle = house.connect().await;
    idle.open("one.example").await;
    let mut refused = house.connect().await;
    assert_eq!(refused.rest().await, "", "no connection proceeds");
    assert!(
        house
            .metrics()
            .contains("domicile_limited_total{limit=\"unauthenticated_per_address\"} 1")
    );
    drop((alice, bob));
}

#[tokio::test]
async fn dos_06_too_many_recipients_are_answered_with_policy_violation() {
    let house = House::with(|config| config.limits.recipients = 2).await;
    let mut alice = house.login("alice", "one.example").await;
    let write =
        |to: &str| format!("<message to='{to}' type='headline' id='{to}'><body>x</body></message>");
    for to in [
        "bob@one.example",
        "carol@two.example",
        "bob@one.example",
        "dora@two.example",
    ] {
        alice.say(&write(to)).await;
    }
    let said = alice.until("</message>").await;
    assert!(said.contains("id='dora@two.example'"), "{said}");
    assert!(said.contains("<policy-violation "), "{said}");
    // Whoever was written to may be written to again, and the server is nobody's victim.
    alice.say(&write("carol@two.example")).await;
    alice.ping("one.example").await;
}

#[tokio::test]
async fn sasl_10_failures_beyond_the_limit_are_not_looked_at() {
    let house = House::with(|config| {
        config.limits.login_failures_at_most = 1;
        config.limits.login_delay_seconds = 0;
    })
    .await;
    let mut wire = house.secure("one.example").await;
    wire.open("one.example").await;
    let wrong = sasl::encode(b"\0alice\0wrong");
    let wrong =
        format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{wrong}</auth>");
    wire.say(&wrong).await;
    assert!(wire.until("</failure>").await.contains("<not-authorized/>"));
    wire.plain("alice").await;
    assert!(
        wire.until("</failure>")
            .await
            .contains("<temporary-auth-failure/>")
    );
    assert!(
        house
            .metrics()
            .contains("domicile_limited_total{limit=\"login_failures_at_most\"} 1")
    );
}
