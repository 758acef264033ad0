//! Probes (RFC 6121 4.3).

use super::*;

#[tokio::test]
async fn im_23_strangers_hear_the_same_for_accounts_and_for_nobody() {
    let house = House::new().await;
    house.online("alice@one.example/phone").await;
    for to in [
        "alice@one.example",
        "alice@one.example/phone",
        "alice@one.example/x",
        "nobody@one.example",
        "nobody@one.example/x",
    ] {
        house.presence_in(&probe("romeo@peer.example/x", to)).await;
        let account = to.split('/').next().unwrap_or_default();
        house.sent(&format!(
            "<presence from='{account}' to='romeo@peer.example' type='unsubscribed' id='p1'/>"
        ));
    }
    // Seeing is not showing.
    house.item("alice", ROMEO, "to").await;
    house.presence_in(&probe(ROMEO, "alice@one.example")).await;
    house.sent(
        "<presence from='alice@one.example' to='romeo@peer.example' type='unsubscribed' id='p1'/>",
    );
    assert_eq!(house.state("alice", ROMEO).await, "to");
}

#[tokio::test]
async fn im_24_subscribers_hear_every_session_or_since_when_nobody_is_there() {
    let house = House::new().await;
    house.item("alice", ROMEO, "from").await;
    house.presence_in(&probe(ROMEO, "alice@one.example")).await;
    house.sent(
        "<presence from='alice@one.example' to='romeo@peer.example' type='unavailable' id='p1'/>",
    );
    let phone = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    house.bind("alice@one.example/silent");
    house
        .presence(&desk, "<presence id='d'><show>dnd</show></presence>")
        .await;
    house.clear();
    house.presence_in(&probe(ROMEO, "alice@one.example")).await;
    house.sent("<presence from='alice@one.example/phone' to='romeo@peer.example'/>");
    house.sent("<presence from='alice@one.example/desk' to='romeo@peer.example' id='d'><show>dnd</show></presence>");
    house.sent("");
    house.gone(&phone).await;
    house.gone(&desk).await;
    house.later(60);
    house.clear();
    house.presence_in(&probe(ROMEO, "alice@one.example")).await;
    house.sent(
        "<presence from='alice@one.example' to='romeo@peer.example' type='unavailable' id='p1'>\
         <delay xmlns='urn:xmpp:delay' from='alice@one.example' stamp='2026-01-01T00:00:00Z'/></presence>",
    );
}

#[tokio::test]
async fn im_25_a_probe_to_a_session_discloses_no_other() {
    let house = House::new().await;
    house.item("alice", ROMEO, "both").await;
    let desk = house.online("alice@one.example/desk").await;
    house
        .presence(&desk, "<presence><show>dnd</show></presence>")
        .await;
    house.clear();
    house
        .presence_in(&probe(ROMEO, "alice@one.example/desk"))
        .await;
    house.sent("<presence from='alice@one.example/desk' to='romeo@peer.example'/>");
    house
        .presence_in(&probe(ROMEO, "alice@one.example/phone"))
        .await;
    house.sent("<presence from='alice@one.example/phone' to='romeo@peer.example' type='unavailable' id='p1'/>");
    house.sent("");
}

#[tokio::test]
async fn probes_of_clients_are_answered_not_refused() {
    let house = House::new().await;
    house.item("bob", "alice@one.example", "from").await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(
            &alice,
            "<presence to='bob@one.example' type='probe' id='c1'/>",
        )
        .await;
    house.got(&alice, "<presence from='bob@one.example' to='alice@one.example/phone' type='unavailable' id='c1'/>");
    house
        .presence(&alice, "<presence to='romeo@peer.example' type='probe'/>")
        .await;
    house.sent("<presence from='alice@one.example/phone' to='romeo@peer.example' type='probe'/>");
    house.presence(&alice, "<presence type='probe'/>").await;
    house.got(&alice, "");
}
