//! Who is told, of what, and who is not.

use super::*;

const NODE: &str = "urn:tune";

fn contact(client: &Client, from: &str, rest: &str) -> String {
    format!(
        "<presence from='{from}' to='alice@one.example'>{}{rest}</presence>",
        client.announcement()
    )
}

#[tokio::test]
async fn ext_03_own_sessions_are_told_what_they_want() {
    let house = House::new().await;
    let client = Client::interested_in(&[NODE]);
    let phone = client.online(&house, "alice@one.example/phone").await;
    let desk = Client::interested_in(&["urn:other"])
        .online(&house, "alice@one.example/desk")
        .await;
    let plain = house.online("alice@one.example/plain").await;
    house
        .iq(
            &plain,
            "set",
            None,
            &publication(NODE, "1", "<tune xmlns='urn:tune'>la</tune>", &[]),
        )
        .await;
    let got = house.all(&phone);
    assert_eq!(notified(&got), ["urn:tune 1"]);
    let event = got.last().expect("an event");
    assert!(
        event.starts_with(
            "<message from='alice@one.example' to='alice@one.example/phone' type='headline' id='"
        ),
        "EXT-04: {event}"
    );
    assert!(
        event.contains("<item id='1'><tune xmlns='urn:tune'>la</tune></item>"),
        "{event}"
    );
    assert!(notified(&house.all(&desk)).is_empty() && notified(&house.all(&plain)).is_empty());
    // One who comes later gets the newest item with its time, once.
    house.later(60);
    let (late, got) = client.arrives(&house, "alice@one.example/late").await;
    let got = got.concat();
    assert!(
        got.contains(
            "<delay xmlns='urn:xmpp:delay' from='alice@one.example' stamp='2026-01-01T00:00:00Z'/>"
        ),
        "{got}"
    );
    house
        .presence(
            &late,
            &format!(
                "<presence><show>away</show>{}</presence>",
                client.announcement()
            ),
        )
        .await;
    assert!(
        notified(&house.all(&late)).is_empty(),
        "not with later presence"
    );
}

#[tokio::test]
async fn ext_03_contacts_of_the_domain_are_told() {
    let house = House::new().await;
    house.item("alice", "bob@one.example", "both").await;
    house.item("bob", "alice@one.example", "both").await;
    house.item("carol", "alice@one.example", "to").await;
    let client = Client::interested_in(&[NODE]);
    let alice = house.online("alice@one.example/phone").await;
    let bob = client.online(&house, "bob@one.example/desk").await;
    let carol = client.online(&house, "carol@one.example/desk").await;
    publish(&house, &alice, NODE, "1", &[]).await;
    assert_eq!(notified(&house.all(&bob)), ["urn:tune 1"]);
    assert!(
        notified(&house.all(&carol)).is_empty(),
        "she is in nobody's roster"
    );
    let (_, got) = client.arrives(&house, "bob@one.example/late").await;
    assert_eq!(notified(&got), ["urn:tune 1"]);
    // Let in just now: what there is to see.
    house.clear();
    house
        .presence(
            &carol,
            "<presence to='alice@one.example' type='subscribe'/>",
        )
        .await;
    house
        .presence(
            &alice,
            "<presence to='carol@one.example' type='subscribed'/>",
        )
        .await;
    assert_eq!(notified(&house.all(&carol)), ["urn:tune 1"]);
    // And shut out again (EXT-04).
    house
        .presence(
            &alice,
            "<presence to='carol@one.example' type='unsubscribed'/>",
        )
        .await;
    house.clear();
    publish(&house, &alice, NODE, "2", &[]).await;
    assert!(notified(&house.all(&carol)).is_empty());
    assert_eq!(notified(&house.all(&bob)), ["urn:tune 2"]);
}

#[tokio::test]
async fn ext_03_contacts_elsewhere_are_asked_and_told() {
    let house = House::new().await;
    house.item("alice", "romeo@peer.example", "both").await;
    let alice = house.online("alice@one.example/phone").await;
    publish(&house, &alice, NODE, "1", &[]).await;
    house.clear();
    let client = Client::interested_in(&[NODE]);
    house
        .presence_in(&contact(&client, "romeo@peer.example/orchard", ""))
        .await;
    let question = house.take_sent();
    assert!(
        question
            .starts_with("<iq from='alice@one.example' to='romeo@peer.example/orchard' type='get'"),
        "{question}"
    );
    let answer = client.answer_to(&question, "romeo@peer.example/orchard");
    let forged = answer.replace(
        "from='romeo@peer.example/orchard'",
        "from='mallory@evil.example/x'",
    );
    assert!(
        !house.answered(&forged).await,
        "an answer by whoever was not asked"
    );
    assert!(house.answered(&answer).await);
    assert_eq!(notified(&[house.take_sent()]), ["urn:tune 1"]);
    assert!(!house.answered(&answer).await, "once");
    house
        .presence_in(&contact(
            &client,
            "romeo@peer.example/orchard",
            "<show>away</show>",
        ))
        .await;
    house.sent("");
    // Another session with the same hash is not asked again.
    house
        .presence_in(&contact(&client, "romeo@peer.example/garden", ""))
        .await;
    assert_eq!(notified(&[house.take_sent()]), ["urn:tune 1"]);
    house.presence_in("<presence from='romeo@peer.example/garden' to='alice@one.example' type='unavailable'/>").await;
    publish(&house, &alice, NODE, "2", &[]).await;
    let told = house.take_sent();
    assert!(told.contains("to='romeo@peer.example/orchard'"), "{told}");
    house.sent("");
}

#[tokio::test]
async fn ext_02_an_answer_that_does_not_fit_its_hash_convinces_nobody_else() {
    let house = House::new().await;
    for jid in ["mallory@peer.example", "romeo@peer.example"] {
        house.item("alice", jid, "both").await;
    }
    let alice = house.online("alice@one.example/phone").await;
    publish(&house, &alice, NODE, "1", &[]).await;
    let honest = Client::interested_in(&[NODE]);
    let liar = Client {
        ver: honest.ver.clone(),
        ..Client::interested_in(&["urn:lie"])
    };
    house
        .presence_in(&contact(&liar, "mallory@peer.example/x", ""))
        .await;
    house
        .presence_in(&contact(&honest, "romeo@peer.example/y", ""))
        .await;
    let question = house.take_sent();
    house.sent("");
    assert!(
        house
            .answered(&liar.answer_to(&question, "mallory@peer.example/x"))
            .await
    );
    let question = house.take_sent();
    assert!(
        question.contains("to='romeo@peer.example/y'"),
        "the next one is asked: {question}"
    );
    assert!(
        house
            .answered(&honest.answer_to(&question, "romeo@peer.example/y"))
            .await
    );
    let told = house.take_sent();
    assert!(
        told.contains("to='romeo@peer.example/y'")
            && notified(std::slice::from_ref(&told)) == ["urn:tune 1"],
        "{told}"
    );
}

#[tokio::test]
async fn route_08_contacts_of_other_hosted_domains_are_told_within_the_process() {
    let house = House::new().await;
    house.item("alice", "dave@two.example", "both").await;
    let alice = house.online("alice@one.example/phone").await;
    let dave = house.bind("dave@two.example/desk");
    let client = Client::interested_in(&[NODE]);
    house
        .presence_in(&contact(&client, dave.as_str(), ""))
        .await;
    publish(&house, &alice, NODE, "1", &[]).await;
    assert!(client.answer(&house, &house.all(&dave), &dave).await);
    assert_eq!(notified(&house.all(&dave)), ["urn:tune 1"]);
    publish(&house, &alice, NODE, "2", &[]).await;
    assert_eq!(notified(&house.all(&dave)), ["urn:tune 2"]);
}

#[tokio::test]
async fn ext_03_subscribers_of_an_open_node_are_told() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    publish(
        &house,
        &alice,
        NODE,
        "1",
        &[("pubsub#access_model", "open")],
    )
    .await;
    let subscribe =
        |what: &str, jid: &str| request(&format!("<{what} node='{NODE}' jid='{jid}'/>"));
    let (stranger, alias) = ("romeo@peer.example/x", "romeo@peer.example");
    house
        .iq_from(
            stranger,
            "set",
            "alice@one.example",
            &subscribe("subscribe", alias),
        )
        .await;
    assert_eq!(notified(&[house.take_sent()]), ["urn:tune 1"]);
    assert!(house.take_sent().contains(
        "<subscription node='urn:tune' jid='romeo@peer.example' subscription='subscribed'/>"
    ));
    publish(&house, &alice, NODE, "2", &[]).await;
    let told = house.take_sent();
    assert!(told.contains("to='romeo@peer.example'"), "{told}");
    house
        .iq_from(
            stranger,
            "set",
            "alice@one.example",
            &subscribe("subscribe", "nurse@peer.example"),
        )
        .await;
    house.sent_error("alice@one.example", "service-unavailable");
    house
        .iq_from(
            stranger,
            "get",
            "alice@one.example",
            &request("<subscriptions/>"),
        )
        .await;
    assert!(house.take_sent().contains("subscription='subscribed'"));
    house
        .iq_from(
            stranger,
            "set",
            "alice@one.example",
            &subscribe("unsubscribe", alias),
        )
        .await;
    assert!(house.take_sent().contains("type='result'"));
    publish(&house, &alice, NODE, "3", &[]).await;
    house.sent("");
}

#[tokio::test]
async fn ext_06_retraction_purge_and_removal_are_told() {
    let house = House::new().await;
    let phone = Client::interested_in(&[NODE])
        .online(&house, "alice@one.example/phone")
        .await;
    let send = async |payload: &str| {
        house.clear();
        house.iq(&phone, "set", None, payload).await;
        notified(&house.all(&phone))
    };
    let max = [("pubsub#max_items", "max"), ("pubsub#notify_retract", "0")];
    let payload = "<tune xmlns='urn:tune'/>";
    assert_eq!(
        send(&publication(NODE, "1", payload, &max)).await,
        ["urn:tune 1"]
    );
    assert_eq!(
        send(&publication(NODE, "2", payload, &max)).await,
        ["urn:tune 2"]
    );
    let retract = |notify: &str, id: &str| {
        request(&format!(
            "<retract node='{NODE}'{notify}><item id='{id}'/></retract>"
        ))
    };
    assert_eq!(send(&retract(" notify='1'", "2")).await, ["urn:tune -2"]);
    let client = Client::interested_in(&[NODE]);
    let (_, got) = client.arrives(&house, "alice@one.example/late").await;
    assert_eq!(
        notified(&got),
        ["urn:tune 1"],
        "the newest of those that are left"
    );
    assert!(send(&retract("", "1")).await.is_empty());
    assert_eq!(
        send(&owner(&format!("<purge node='{NODE}'/>"))).await,
        ["urn:tune purge"]
    );
    assert_eq!(
        send(&owner(&format!("<delete node='{NODE}'/>"))).await,
        ["urn:tune delete"]
    );
}

#[tokio::test]
async fn dos_09_a_publication_brings_about_a_bounded_number_of_notifications() {
    let house = small().await;
    let client = Client::interested_in(&[NODE]);
    let phones = [
        client.online(&house, "alice@one.example/1").await,
        client.online(&house, "alice@one.example/2").await,
        client.online(&house, "alice@one.example/3").await,
    ];
    house.clear();
    house
        .iq(
            &phones[0],
            "set",
            None,
            &publication(NODE, "1", "<tune xmlns='urn:tune'/>", &[]),
        )
        .await;
    let told: usize = phones
        .iter()
        .map(|phone| notified(&house.all(phone)).len())
        .sum();
    assert_eq!(told, 2);
}

#[tokio::test]
async fn a_node_that_sends_nothing_unasked_is_quiet() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    publish(
        &house,
        &alice,
        NODE,
        "1",
        &[("pubsub#send_last_published_item", "never")],
    )
    .await;
    let client = Client::interested_in(&[NODE]);
    let (late, got) = client.arrives(&house, "alice@one.example/late").await;
    assert!(notified(&got).is_empty());
    let quiet = [("pubsub#deliver_notifications", "0")];
    publish(&house, &alice, "urn:quiet", "1", &quiet).await;
    assert!(notified(&house.all(&late)).is_empty());
}

#[tokio::test]
async fn e2e_09_a_removed_account_leaves_nothing_to_its_successor() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    publish(
        &house,
        &alice,
        NODE,
        "1",
        &[("pubsub#access_model", "open")],
    )
    .await;
    house
        .iq(
            &alice,
            "set",
            None,
            "<query xmlns='jabber:iq:register'><remove/></query>",
        )
        .await;
    house
        .store()
        .account_add("alice", &[], xmpp::timestamp::Timestamp(1))
        .await
        .expect("added");
    house.modules().forget_account(&alice.bare());
    house.clear();
    house
        .iq_from(
            "romeo@peer.example/x",
            "get",
            "alice@one.example",
            &items(NODE),
        )
        .await;
    house.sent_error("alice@one.example", "service-unavailable");
}

/// EXT-04: whom the account has blocked is told nothing, wherever they are; nor is told of an account who has blocked it.
#[tokio::test]
async fn ext_04_blocked_contacts_are_told_nothing() {
    let house = House::new().await;
    for contact in ["bob@one.example", "romeo@peer.example"] {
        house.item("alice", contact, "both").await;
    }
    house.item("bob", "alice@one.example", "both").await;
    let client = Client::interested_in(&[NODE]);
    let alice = house.online("alice@one.example/phone").await;
    let bob = client.online(&house, "bob@one.example/desk").await;
    let presence = contact(&client, "romeo@peer.example/orchard", "");
    house.presence_in(&presence).await;
    house.clear();
    let command = async |session: &Jid, name: &str, who: &str| {
        let items: String = who
            .split_whitespace()
            .map(|jid| format!("<item jid='{jid}'/>"))
            .collect();
        let command = format!("<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>");
        house.iq(session, "set", None, &command).await;
        house.clear();
    };
    publish(&house, &alice, NODE, "1", &[]).await;
    assert_eq!(notified(&house.all(&bob)), ["urn:tune 1"]);
    assert!(
        house
            .take_sent()
            .contains("to='romeo@peer.example/orchard'")
    );
    for (bob_s, romeo_s) in [
        ("bob@one.example", "romeo@peer.example"),
        ("bob@one.example/desk", "romeo@peer.example/orchard"),
        ("one.example", "peer.example"),
    ] {
        let both = format!("{bob_s} {romeo_s}");
        command(&alice, "block", &both).await;
        publish(&house, &alice, NODE, "2", &[]).await;
        assert!(notified(&house.all(&bob)).is_empty(), "{bob_s}");
        house.sent("");
        if !bob_s.contains('/') {
            let (late, got) = client.arrives(&house, "bob@one.example/late").await;
            assert!(notified(&got).is_empty(), "nor the newest item: {bob_s}");
            house.gone(&late).await;
        }
        command(&alice, "unblock", &both).await;
        // Shown again, romeo's server says what there is.
        house.presence_in(&presence).await;
        house.clear();
    }
    publish(&house, &alice, NODE, "3", &[]).await;
    assert_eq!(notified(&house.all(&bob)), ["urn:tune 3"]);
    // Who has blocked the account hears nothing of it either.
    command(&bob, "block", "alice@one.example").await;
    publish(&house, &alice, NODE, "4", &[]).await;
    assert!(notified(&house.all(&bob)).is_empty());
}
