//! One picture, three forms.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use xmpp::jid::Jid;

use super::name_of;
use crate::testing::House;

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nnot much of a picture";

fn publish(node: &str, id: &str, payload: &str, access: &str) -> String {
    format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{node}'><item id='{id}'>{payload}</item></publish>\
         <publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
         <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
         <field var='pubsub#access_model'><value>{access}</value></field></x></publish-options></pubsub>"
    )
}

/// Publishes a picture as XEP-0084 has it.
async fn show(house: &House, who: &Jid, picture: &[u8], access: &str) -> String {
    let id = name_of(picture);
    let data = format!(
        "<data xmlns='urn:xmpp:avatar:data'>{}</data>",
        STANDARD.encode(picture)
    );
    let about = format!(
        "<metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='{}' id='{id}' type='image/png'/></metadata>",
        picture.len()
    );
    for request in [
        publish("urn:xmpp:avatar:data", &id, &data, access),
        publish("urn:xmpp:avatar:metadata", &id, &about, access),
    ] {
        house.iq(who, "set", None, &request).await;
    }
    id
}

fn vcard(inside: &str) -> String {
    format!("<vCard xmlns='vcard-temp'>{inside}</vCard>")
}

fn photo(picture: &[u8]) -> String {
    format!(
        "<PHOTO><TYPE>image/png</TYPE><BINVAL>{}</BINVAL></PHOTO>",
        STANDARD.encode(picture)
    )
}

fn update(hash: &str) -> String {
    format!("<x xmlns='vcard-temp:x:update'><photo>{hash}</photo></x>")
}

#[tokio::test]
async fn ext_11_a_published_picture_is_in_the_vcard_and_in_presence() {
    let house = House::new().await;
    house.item("alice", "romeo@peer.example", "from").await;
    let alice = house.online("alice@one.example/phone").await;
    let id = show(&house, &alice, PNG, "open").await;
    // Presence is told again …
    house.sent(&format!(
        "<presence from='alice@one.example/phone' to='romeo@peer.example'>{}</presence>",
        update(&id)
    ));
    house.clear();
    // … and shown in whatever follows, to whomever.
    house
        .presence(&alice, "<presence><show>away</show></presence>")
        .await;
    assert!(house.take_sent().contains(&update(&id)));
    house
        .presence(&alice, "<presence to='room@rooms.peer.example/Al'/>")
        .await;
    assert!(house.take_sent().contains(&update(&id)));
    let get = vcard("");
    house
        .iq_from("stranger@peer.example/x", "get", "alice@one.example", &get)
        .await;
    let answer = house.take_sent();
    assert!(answer.contains(&photo(PNG)), "{answer}");
}

#[tokio::test]
async fn ext_11_a_photo_of_a_vcard_is_published() {
    let house = House::new().await;
    house.item("alice", "romeo@peer.example", "from").await;
    let alice = house.online("alice@one.example/phone").await;
    let set = vcard(&format!("<FN>Alice</FN>{}", photo(PNG)));
    house.iq(&alice, "set", None, &set).await;
    assert!(house.take_sent().contains(&update(&name_of(PNG))));
    let get = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:avatar:data'/></pubsub>";
    house.clear();
    house
        .iq_from("stranger@peer.example/x", "get", "alice@one.example", get)
        .await;
    let answer = house.take_sent();
    assert!(answer.contains(&STANDARD.encode(PNG)), "{answer}");
    assert!(answer.contains(&name_of(PNG)), "{answer}");
    // A vCard without one takes it back everywhere.
    house
        .iq(&alice, "set", None, &vcard("<FN>Alice</FN>"))
        .await;
    house.sent(
        "<presence from='alice@one.example/phone' to='romeo@peer.example'><x xmlns='vcard-temp:x:update'><photo/></x></presence>",
    );
    house.clear();
    house.iq(&alice, "get", None, &vcard("")).await;
    let answer = house.take(&alice);
    assert!(
        answer.contains("<FN>Alice</FN>") && !answer.contains("PHOTO"),
        "{answer}"
    );
    house.presence(&alice, "<presence/>").await;
    assert!(!house.take_sent().contains("vcard-temp:x:update"));
}

#[tokio::test]
async fn ext_11_what_a_session_says_itself_counts_as_the_xep_has_it() {
    let house = House::new().await;
    house.item("alice", "romeo@peer.example", "from").await;
    let alice = house.online("alice@one.example/phone").await;
    let id = show(&house, &alice, PNG, "open").await;
    house.clear();
    for (said, shown) in [
        (
            "<x xmlns='vcard-temp:x:update'><photo/></x>".to_owned(),
            "<x xmlns='vcard-temp:x:update'><photo/></x>".to_owned(),
        ),
        ("<x xmlns='vcard-temp:x:update'/>".to_owned(), update(&id)),
        (update(&"0".repeat(40)), update(&id)),
        (update(&id), update(&id)),
    ] {
        house
            .presence(&alice, &format!("<presence>{said}</presence>"))
            .await;
        house.sent(&format!(
            "<presence from='alice@one.example/phone' to='romeo@peer.example'>{shown}</presence>"
        ));
        house.clear();
    }
    house
        .presence(&alice, "<presence type='unavailable'/>")
        .await;
    assert!(!house.take_sent().contains("vcard-temp"));
}

#[tokio::test]
async fn ext_11_who_may_not_see_the_nodes_sees_no_photo() {
    let house = House::new().await;
    house.item("alice", "romeo@peer.example", "from").await;
    let alice = house.online("alice@one.example/phone").await;
    let id = show(&house, &alice, PNG, "presence").await;
    house.clear();
    house
        .iq(
            &alice,
            "set",
            None,
            &vcard(&format!("<FN>A</FN>{}", photo(PNG))),
        )
        .await;
    house.clear();
    for (who, sees) in [
        ("romeo@peer.example/x", true),
        ("stranger@peer.example/x", false),
    ] {
        house
            .iq_from(who, "get", "alice@one.example", &vcard(""))
            .await;
        let answer = house.take_sent();
        assert!(answer.contains("<FN>A</FN>"), "{answer}");
        assert_eq!(answer.contains("BINVAL"), sees, "{who}: {answer}");
    }
    // Nor the hash, by which others would know the picture again.
    house
        .presence(&alice, "<presence to='room@rooms.peer.example/Al'/>")
        .await;
    assert!(!house.take_sent().contains(&id));
}

#[tokio::test]
async fn ext_11_a_picture_that_is_not_what_it_is_called_is_not_shown() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let id = "0".repeat(40);
    let data = format!(
        "<data xmlns='urn:xmpp:avatar:data'>{}</data>",
        STANDARD.encode(PNG)
    );
    let about = format!(
        "<metadata xmlns='urn:xmpp:avatar:metadata'><info bytes='1' id='{id}' type='image/png'/></metadata>"
    );
    for request in [
        publish("urn:xmpp:avatar:data", &id, &data, "open"),
        publish("urn:xmpp:avatar:metadata", &id, &about, "open"),
    ] {
        house.iq(&alice, "set", None, &request).await;
    }
    house.clear();
    house.iq(&alice, "get", None, &vcard("")).await;
    house.got_error(&alice, "item-not-found");
    let bad = vcard("<PHOTO><BINVAL>no base64!</BINVAL></PHOTO>");
    house.iq(&alice, "set", None, &bad).await;
    house.got_error(&alice, "bad-request");
}

#[tokio::test]
async fn ext_11_without_the_module_a_vcard_keeps_its_own_photo() {
    let mut house = House::new().await;
    house.settings(|s| s.off = vec!["avatars".into()]);
    let alice = house.online("alice@one.example/phone").await;
    house.iq(&alice, "set", None, &vcard(&photo(PNG))).await;
    house.clear();
    house.iq(&alice, "get", None, &vcard("")).await;
    assert!(house.take(&alice).contains(&photo(PNG)));
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    house
        .iq(&alice, "get", Some("alice@one.example"), info)
        .await;
    assert!(!house.take(&alice).contains("pep-vcard-conversion"));
    // Switched on, it is shown still, until something is published.
    house.settings(|s| s.off = Vec::new());
    house.iq(&alice, "get", None, &vcard("")).await;
    assert!(house.take(&alice).contains(&photo(PNG)));
    house
        .iq(&alice, "get", Some("alice@one.example"), info)
        .await;
    assert!(
        house
            .take(&alice)
            .contains("urn:xmpp:pep-vcard-conversion:0")
    );
}
