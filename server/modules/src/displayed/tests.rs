//! XEP-0490 5.4 over the hooks: one message, of which the contact sees one half and one's own devices the other.

use xmpp::jid::Jid;

use crate::memory::{Limits, PubsubLimits};
use crate::passage::Taken;
use crate::testing::House;

const MARKER: &str = "<displayed xmlns='urn:xmpp:chat-markers:0' id='m1'/>";
const ITEMS: &str = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:mds:displayed:0'/></pubsub>";

/// The other half.
fn own(id: &str) -> String {
    format!(
        "<displayed xmlns='urn:xmpp:mds:displayed:0'>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='alice@one.example' id='{id}'/></displayed>"
    )
}

fn message(to: &str, inside: &str) -> String {
    format!("<message to='{to}' type='chat' id='d'>{inside}</message>")
}

/// What alice's node holds.
async fn kept(house: &House, alice: &Jid) -> String {
    house.iq(alice, "get", None, ITEMS).await;
    house.all(alice).concat()
}

async fn node_config(house: &House, alice: &Jid) -> String {
    let ask = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='urn:xmpp:mds:displayed:0'/></pubsub>";
    house.iq(alice, "get", None, ask).await;
    house.all(alice).concat()
}

/// XEP-0490
#[tokio::test]
async fn one_message_says_it_to_the_contact_and_to_ones_own_devices() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    house
        .iq(&desk, "set", None, "<enable xmlns='urn:xmpp:carbons:2'/>")
        .await;
    house.clear();
    for (to, id) in [
        ("romeo@peer.example", "1"),
        ("romeo@peer.example", "2"),
        ("room@muc.example/tybalt", "3"),
    ] {
        let sent = message(to, &format!("{MARKER}{}", own(id)));
        let went = house.sends(&alice, &sent).await;
        assert_eq!(
            went,
            message(to, MARKER).replacen(
                "<message ",
                "<message from='alice@one.example/phone' ",
                1
            ),
        );
        let copy = house.all(&desk).concat();
        assert!(copy.contains(MARKER) && !copy.contains("mds"), "{copy}");
    }
    let items = kept(&house, &alice).await;
    assert_eq!(items.matches("<item ").count(), 2, "{items}");
    for item in [
        format!("<item id='romeo@peer.example'>{}</item>", own("2")),
        format!("<item id='room@muc.example/tybalt'>{}</item>", own("3")),
    ] {
        assert!(items.contains(&item), "{item}: {items}");
    }
    // The node that was made for it is the owner's alone.
    let config = node_config(&house, &alice).await;
    for (field, value) in [
        ("access_model", "whitelist"),
        ("send_last_published_item", "never"),
        ("max_items", "max"),
    ] {
        let at = config
            .find(&format!("pubsub#{field}'"))
            .unwrap_or_else(|| panic!("{config}"));
        let (field, _) = config[at..].split_once("</field>").expect("a field");
        assert!(
            field.contains(&format!("<value>{value}</value>")),
            "{field}"
        );
    }
    house
        .iq_from("romeo@peer.example/x", "get", "alice@one.example", ITEMS)
        .await;
    house.sent_error("alice@one.example", "service-unavailable");
}

/// XEP-0490
#[tokio::test]
async fn the_archive_holds_what_the_contact_was_told() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let sent = message(
        "romeo@peer.example",
        &format!("<body>read</body>{}{MARKER}{}", own("1"), own("2")),
    );
    let went = house.sends(&alice, &sent).await;
    assert!(
        went.contains("<body>read</body>") && !went.contains("mds"),
        "{went}"
    );
    house
        .iq(&alice, "set", None, "<query xmlns='urn:xmpp:mam:2'/>")
        .await;
    let archive = house.all(&alice).concat();
    assert!(
        archive.contains("<body>read</body>") && !archive.contains("mds"),
        "{archive}"
    );
    // Where it is said twice, the first counts.
    let items = kept(&house, &alice).await;
    assert!(
        items.contains(&own("1")) && !items.contains(&own("2")),
        "{items}"
    );
}

#[tokio::test]
async fn what_comes_from_others_and_errors_publish_nothing() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let theirs = format!(
        "<message from='romeo@peer.example/x' to='alice@one.example' type='chat' id='d'>{MARKER}{}</message>",
        own("1")
    );
    let came = house.receives(&theirs, Taken::Session(alice.clone())).await;
    assert!(came.contains(&own("1")), "not ours to take off: {came}");
    let error = format!(
        "<message to='romeo@peer.example' type='error' id='d'>{}<error type='cancel'>\
         <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
        own("1")
    );
    let went = house.sends(&alice, &error).await;
    assert!(went.contains("<gone ") && !went.contains("mds"), "{went}");
    house.clear();
    let items = kept(&house, &alice).await;
    assert!(
        items.contains("<item-not-found "),
        "there is no node: {items}"
    );
}

/// XEP-0490
#[tokio::test]
async fn dos_10_what_cannot_be_kept_is_not_sent_and_its_sender_hears_why() {
    let house = House::with(Limits {
        pubsub: PubsubLimits {
            item_bytes: 200,
            ..PubsubLimits::default()
        },
        ..Limits::default()
    })
    .await;
    let alice = house.online("alice@one.example/phone").await;
    let long = message(
        "romeo@peer.example",
        &format!("{MARKER}{}", own(&"x".repeat(200))),
    );
    assert_eq!(house.sends(&alice, &long).await, "");
    let told = house.take(&alice);
    for part in [
        "type='error'",
        "<not-acceptable ",
        "200 bytes",
        "send it without that",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn a_domain_without_it_passes_messages_on_as_they_are() {
    let mut house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    for off in ["displayed", "pubsub"] {
        house.settings(|settings| settings.off = vec![off.to_owned()]);
        let sent = message("romeo@peer.example", &format!("{MARKER}{}", own("1")));
        let went = house.sends(&alice, &sent).await;
        assert!(went.contains(&own("1")), "{off}: {went}");
    }
    house.settings(|settings| settings.off = Vec::new());
    let items = kept(&house, &alice).await;
    assert!(items.contains("<item-not-found "), "{items}");
}
