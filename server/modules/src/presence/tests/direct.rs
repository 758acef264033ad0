//! Directed presence (RFC 6121 4.6), and who leaves whatever happens.

use super::*;

#[tokio::test]
async fn im_30_directed_presence_is_not_widened_and_is_taken_back_at_the_end() {
    let house = House::new().await;
    house.item("alice", "friend@peer.example", "from").await;
    let alice = house.online("alice@one.example/phone").await;
    let to_room = "<presence from='alice@one.example/phone' to='room@muc.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    house.presence(&alice, "<presence to='room@muc.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>").await;
    house.sent(to_room);
    house
        .presence(&alice, "<presence to='friend@peer.example'/>")
        .await;
    house.sent("<presence from='alice@one.example/phone' to='friend@peer.example'/>");
    house
        .presence(&alice, "<presence to='other@peer.example'/>")
        .await;
    house
        .presence(
            &alice,
            "<presence to='other@peer.example' type='unavailable'/>",
        )
        .await;
    house.clear();
    house
        .presence(&alice, "<presence><show>away</show></presence>")
        .await;
    house.sent("<presence from='alice@one.example/phone' to='friend@peer.example'><show>away</show></presence>");
    house.sent("");
    house.gone(&alice).await;
    house.sent(
        "<presence from='alice@one.example/phone' to='friend@peer.example' type='unavailable'/>",
    );
    house.sent(
        "<presence from='alice@one.example/phone' to='room@muc.example/me' type='unavailable'/>",
    );
    house.sent("");
}

#[tokio::test]
async fn im_30_whoever_says_goodbye_needs_none() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(&alice, "<presence to='room@muc.example/me'/>")
        .await;
    house.presence_in("<presence from='room@muc.example/me' to='alice@one.example/phone' type='unavailable'/>").await;
    house.clear();
    house.gone(&alice).await;
    house.sent("");
}

#[tokio::test]
async fn im_28_a_session_that_never_was_available_takes_back_what_it_directed() {
    let house = House::new().await;
    house.item("alice", ROMEO, "from").await;
    let alice = house.bind("alice@one.example/phone");
    house
        .presence(&alice, "<presence to='romeo@peer.example/x'/>")
        .await;
    house.clear();
    house.gone(&alice).await;
    house.sent(
        "<presence from='alice@one.example/phone' to='romeo@peer.example/x' type='unavailable'/>",
    );
    house.sent("");
}

#[tokio::test]
async fn im_30_the_list_is_bounded() {
    let house = House::with(Limits {
        directed: 1,
        ..Limits::default()
    })
    .await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(&alice, "<presence to='a@peer.example'/>")
        .await;
    house.clear();
    house
        .presence(&alice, "<presence to='b@peer.example'/>")
        .await;
    house.sent("");
    house.got_error(&alice, "resource-constraint");
}

#[tokio::test]
async fn im_26_who_was_shown_presence_hears_the_mere_fact() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.online("alice@one.example/desk").await;
    house
        .presence(
            &alice,
            "<presence to='room@muc.example/me'><show>dnd</show></presence>",
        )
        .await;
    house.clear();
    house
        .presence_in(&probe("room@muc.example", "alice@one.example/phone"))
        .await;
    house.sent("<presence from='alice@one.example/phone' to='room@muc.example'/>");
    house
        .presence_in(&probe("room@muc.example", "alice@one.example/desk"))
        .await;
    house.sent(
        "<presence from='alice@one.example' to='room@muc.example' type='unsubscribed' id='p1'/>",
    );
}

#[tokio::test]
async fn im_39_presence_is_shared_by_subscription_or_with_this_session() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    let occupant = "room@muc.example/other".parse().expect("an address");
    house
        .presence(&alice, "<presence to='room@muc.example/me'/>")
        .await;
    let cx = house.context("one.example");
    assert!(crate::hooks::shares_presence(&cx, &alice, &occupant).await);
    assert!(!crate::hooks::shares_presence(&cx, &desk, &occupant).await);
    assert!(crate::hooks::shares_presence(&cx, &alice, &desk).await);
    let romeo = "romeo@peer.example/x".parse().expect("an address");
    assert!(!crate::hooks::shares_presence(&cx, &alice, &romeo).await);
    house.item("alice", ROMEO, "from").await;
    assert!(crate::hooks::shares_presence(&cx, &alice, &romeo).await);
}

#[tokio::test]
async fn a_store_that_fails_stops_nobody_from_leaving() {
    let house = House::new().await;
    house.item("alice", ROMEO, "both").await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(&alice, "<presence to='room@muc.example/me'/>")
        .await;
    house.modules().forget_account(&alice.bare());
    house.clear();
    house.database.close().await;
    house.presence(&alice, &say("subscribe")).await;
    house.got_error(&alice, "resource-constraint");
    house.sent("");
    house.gone(&alice).await;
    house.sent(
        "<presence from='alice@one.example/phone' to='room@muc.example/me' type='unavailable'/>",
    );
}
