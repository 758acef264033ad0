//! XEP-0280 through the door: who gets copies, of what, and who may not make any.

use crate::passage::Taken;
use crate::testing::House;
use xmpp::element::Element;
use xmpp::jid::Jid;

const ENABLE: &str = "<enable xmlns='urn:xmpp:carbons:2'/>";
const DISABLE: &str = "<disable xmlns='urn:xmpp:carbons:2'/>";

/// Alice with a phone that sends and a desk that wants copies.
async fn alice(house: &House) -> (Jid, Jid) {
    let phone = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    house.iq(&desk, "set", None, ENABLE).await;
    house.clear();
    (phone, desk)
}

fn came(type_: &str, content: &str) -> String {
    format!(
        "<message from='romeo@peer.example/x' to='alice@one.example/phone' type='{type_}' id='m'>{content}</message>"
    )
}

async fn receives(house: &House, xml: &str, phone: &Jid) {
    house.receives(xml, Taken::Session(phone.clone())).await;
}

#[tokio::test]
async fn ext_12_on_and_off_as_often_as_one_likes() {
    let house = House::new().await;
    let desk = house.online("alice@one.example/desk").await;
    for (ask, on) in [
        (ENABLE, true),
        (ENABLE, true),
        (DISABLE, false),
        (DISABLE, false),
        (ENABLE, true),
    ] {
        house.iq(&desk, "set", None, ask).await;
        house.got(
            &desk,
            "<iq to='alice@one.example/desk' type='result' id='q'/>",
        );
        assert_eq!(house.session(&desk).carbons, on, "{ask}");
    }
}

#[tokio::test]
async fn ext_12_only_one_s_own_sessions_and_only_where_it_is_on() {
    let mut house = House::new().await;
    let bob = house.online("bob@one.example/b").await;
    house
        .iq(&bob, "set", Some("alice@one.example"), ENABLE)
        .await;
    house.got_error(&bob, "not-allowed");
    house
        .iq_from("romeo@peer.example/x", "set", "alice@one.example", ENABLE)
        .await;
    house.sent_error("alice@one.example", "not-allowed");
    house
        .iq_from("romeo@peer.example/x", "set", "nobody@one.example", ENABLE)
        .await;
    house.sent_error("nobody@one.example", "not-allowed");
    house.iq(&bob, "get", None, ENABLE).await;
    house.got_error(&bob, "feature-not-implemented");
    house.settings(|s| s.off = vec!["carbons".into()]);
    house.iq(&bob, "set", None, ENABLE).await;
    house.got_error(&bob, "service-unavailable");
    assert!(!house.session(&bob).carbons);
    let cx = house.context("one.example");
    assert!(!crate::carbons_set(cx.hosted, cx.switchboard, &bob, true));
}

#[tokio::test]
async fn ext_12_received_wraps_what_another_session_got() {
    let mut house = House::new().await;
    house.settings(|s| s.off = vec!["archive".into()]);
    let (phone, desk) = alice(&house).await;
    receives(&house, &came("chat", "<body>x</body>"), &phone).await;
    house.got(
        &desk,
        "<message from='alice@one.example' to='alice@one.example/desk' type='chat'><received xmlns='urn:xmpp:carbons:2'>\
         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='romeo@peer.example/x' \
         to='alice@one.example/phone' type='chat' id='m'><body>x</body></message></forwarded></received></message>",
    );
    house.got(&desk, "");
    house.got(&phone, "");
}

#[tokio::test]
async fn ext_12_sent_wraps_what_another_session_sends_and_not_for_itself() {
    let mut house = House::new().await;
    house.settings(|s| s.off = vec!["archive".into()]);
    let (phone, desk) = alice(&house).await;
    house.iq(&phone, "set", None, ENABLE).await;
    house.clear();
    house
        .sends(
            &phone,
            "<message to='romeo@peer.example' type='chat'><body>x</body></message>",
        )
        .await;
    house.got(
        &desk,
        "<message from='alice@one.example' to='alice@one.example/desk' type='chat'><sent xmlns='urn:xmpp:carbons:2'>\
         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='alice@one.example/phone' \
         to='romeo@peer.example' type='chat'><body>x</body></message></forwarded></sent></message>",
    );
    house.got(&phone, "");
}

#[tokio::test]
async fn ext_12_who_got_it_or_was_meant_gets_no_copy() {
    let house = House::new().await;
    let (phone, desk) = alice(&house).await;
    let normal =
        "<message from='romeo@peer.example/x' to='alice@one.example'><body>x</body></message>";
    house.receives(normal, Taken::NonNegative).await;
    house.got(&desk, "");
    // It was meant for the desk, whose queue was full: a copy would be no better.
    let meant = came("chat", "<body>x</body>").replace("/phone", "/desk");
    house.receives(&meant, Taken::Nobody).await;
    house.got(&desk, "");
    // A session of negative priority did not get it, and gets a copy.
    house
        .presence(&desk, "<presence><priority>-1</priority></presence>")
        .await;
    house.clear();
    house.receives(normal, Taken::NonNegative).await;
    assert!(house.take(&desk).contains("<received "), "negative");
    house.got(&phone, "");
}

#[tokio::test]
async fn ext_12_the_rules_of_what_is_copied() {
    let house = House::new().await;
    let (phone, desk) = alice(&house).await;
    let private = "<private xmlns='urn:xmpp:carbons:2'/>";
    let no_copy = "<no-copy xmlns='urn:xmpp:hints'/>";
    let room = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
    let invited = "<x xmlns='http://jabber.org/protocol/muc#user'><invite from='a@b.example'/></x>";
    let body = "<body>x</body>";
    for (type_, content, copied) in [
        ("chat", "", true),
        ("chat", body, true),
        ("normal", body, true),
        ("normal", "<subject>x</subject>", false),
        (
            "normal",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            true,
        ),
        (
            "normal",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            true,
        ),
        (
            "normal",
            "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
            true,
        ),
        (
            "normal",
            "<x xmlns='jabber:x:conference' jid='room@muc.example'/>",
            true,
        ),
        ("normal", invited, true),
        ("headline", body, false),
        ("groupchat", body, false),
        ("error", body, false),
        ("chat", &format!("{body}{private}"), false),
        ("chat", &format!("{body}{no_copy}"), false),
        ("chat", &format!("{body}{private}{no_copy}"), false),
        // Private messages of a room come to each session that is in it.
        ("chat", &format!("{body}{room}"), false),
    ] {
        receives(&house, &came(type_, content), &phone).await;
        assert_eq!(
            !house.take(&desk).is_empty(),
            copied,
            "received {type_} {content}"
        );
        let to = "romeo@peer.example/x";
        house
            .sends(
                &phone,
                &format!("<message to='{to}' type='{type_}'>{content}</message>"),
            )
            .await;
        let sent = copied || content.contains("muc#user") && type_ == "chat";
        assert_eq!(
            !house.take(&desk).is_empty(),
            sent,
            "sent {type_} {content}"
        );
    }
    // The hint is for messages to one session.
    let bare = came("chat", no_copy).replace("/phone", "");
    house.receives(&bare, Taken::Session(phone.clone())).await;
    assert!(!house.take(&desk).is_empty());
}

#[tokio::test]
async fn ext_12_errors_about_what_was_copied_are_copied_and_others_not() {
    let house = House::new().await;
    let (phone, desk) = alice(&house).await;
    let to = "romeo@peer.example/x";
    house
        .sends(
            &phone,
            &format!("<message to='{to}' type='chat' id='m'><body>x</body></message>"),
        )
        .await;
    house.clear();
    let error = "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    receives(
        &house,
        &came("error", error).replace("id='m'", "id='other'"),
        &phone,
    )
    .await;
    house.got(&desk, "");
    let stranger = came("error", error).replace("romeo@", "tybalt@");
    receives(&house, &stranger, &phone).await;
    house.got(&desk, "");
    receives(&house, &came("error", error), &phone).await;
    assert!(house.take(&desk).contains(" type='error'><received "));
    // One that this server writes is no different.
    let ours = crate::testing::stanza(&came("error", error));
    crate::hooks::error_written(&house.context("one.example"), &ours);
    assert!(house.take(&desk).contains(" type='error'><received "));
}

#[tokio::test]
async fn ext_12_forged_copies_are_refused_and_rooms_are_not_told() {
    let house = House::new().await;
    let (phone, desk) = alice(&house).await;
    for name in ["received", "sent"] {
        let forged = format!(
            "<{name} xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>\
             <message xmlns='jabber:client' from='bank@one.example'><body>pay</body></message></forwarded></{name}>"
        );
        for account in ["alice", "nobody"] {
            let to = format!("{account}@one.example/phone");
            let message = came("chat", &forged).replace("alice@one.example/phone", &to);
            assert_eq!(
                house
                    .receives(&message, Taken::Session(phone.clone()))
                    .await,
                ""
            );
            house.sent_error(&to, "policy-violation");
        }
        let sent = format!("<message to='romeo@peer.example' type='chat'>{forged}</message>");
        assert_eq!(house.sends(&phone, &sent).await, "");
        house.got_error(&phone, "policy-violation");
        let room = came("groupchat", &format!("<body>x</body>{forged}"));
        let clean = house.receives(&room, Taken::Session(phone.clone())).await;
        assert_eq!(clean, came("groupchat", "<body>x</body>"));
        house.sent("");
        // What somebody quotes is no copy.
        let quoted = came("chat", &format!("<y xmlns='urn:y'>{forged}</y>"));
        assert_eq!(
            house.receives(&quoted, Taken::Session(phone.clone())).await,
            quoted
        );
        house.clear();
    }
    house.got(&desk, "");
}

#[tokio::test]
async fn ext_12_to_oneself_each_session_has_it_once() {
    let house = House::new().await;
    let (phone, desk) = alice(&house).await;
    let pad = house.online("alice@one.example/pad").await;
    house.clear();
    let note = "<message to='alice@one.example/pad' type='chat'><body>x</body></message>";
    let passed = house.sends(&phone, note).await;
    house.receives(&passed, Taken::Session(pad.clone())).await;
    assert!(house.take(&desk).contains("<received "));
    house.got(&desk, "");
    house.got(&phone, "");
}

#[tokio::test]
async fn ext_12_it_outlives_the_process_with_the_session() {
    let house = House::new().await;
    let (phone, desk) = alice(&house).await;
    let words = |session: &Jid| house.session(session).words().concat();
    assert!(!words(&phone).contains("carbons") && words(&desk).contains("carbons"));
    let mut view = crate::SessionView::new(desk);
    view.update(crate::SessionUpdate::of_word("carbons").expect("known"));
    assert!(view.carbons);
}

#[tokio::test]
async fn ext_12_a_session_may_ask_when_it_is_bound() {
    let mut house = House::new().await;
    let wanted = [Element::new("enable", "urn:xmpp:carbons:2")];
    let phone = house.bind("alice@one.example/phone");
    let cx = house.context("one.example");
    assert!(crate::hooks::inline(cx.hosted).contains(&"urn:xmpp:carbons:2"));
    let answers = crate::hooks::session_bound(&cx, &phone, &wanted).await;
    let names: Vec<_> = answers.iter().map(|answer| answer.name()).collect();
    assert_eq!(names, ["metadata"], "that of the archive alone");
    drop(cx);
    assert!(house.session(&phone).carbons);
    house.settings(|s| s.off = vec!["carbons".into()]);
    let desk = house.bind("alice@one.example/desk");
    let cx = house.context("one.example");
    assert!(!crate::hooks::inline(cx.hosted).contains(&"urn:xmpp:carbons:2"));
    crate::hooks::session_bound(&cx, &desk, &wanted).await;
    drop(cx);
    assert!(!house.session(&desk).carbons);
}

#[test]
fn what_waits_is_known_as_a_copy() {
    let copy = |from: &str| {
        crate::testing::stanza(&format!(
            "<message from='{from}' to='alice@one.example/desk'><received xmlns='urn:xmpp:carbons:2'/></message>"
        ))
    };
    assert!(crate::is_carbon(&copy("alice@one.example")));
    assert!(!crate::is_carbon(&copy("alice@one.example/desk")));
    assert!(!crate::is_carbon(&copy("romeo@peer.example")));
}
