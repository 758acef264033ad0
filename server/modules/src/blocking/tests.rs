//! XEP-0191 and XEP-0377 through the door: who is stopped, what they hear, and what the account's sessions are told.

use crate::passage::Taken;
use crate::testing::House;
use xmpp::jid::Jid;

fn command(name: &str, jids: &[&str]) -> String {
    let items: String = jids
        .iter()
        .map(|jid| format!("<item jid='{jid}'/>"))
        .collect();
    format!("<{name} xmlns='urn:xmpp:blocking'>{items}</{name}>")
}

fn list(jids: &[&str]) -> String {
    let command = command("blocklist", jids);
    let command = command.replace(
        "></blocklist>",
        if jids.is_empty() {
            "/>"
        } else {
            "></blocklist>"
        },
    );
    format!("<iq to='alice@one.example/phone' type='result' id='q'>{command}</iq>")
}

const DONE: &str = "<iq to='alice@one.example/phone' type='result' id='q'/>";

/// Alice, who has asked for her list.
async fn alice(house: &House) -> Jid {
    let alice = house.online("alice@one.example/phone").await;
    house
        .iq(
            &alice,
            "get",
            None,
            "<blocklist xmlns='urn:xmpp:blocking'/>",
        )
        .await;
    house.got(&alice, &list(&[]));
    alice
}

async fn block(house: &House, alice: &Jid, jids: &[&str]) {
    house.iq(alice, "set", None, &command("block", jids)).await;
    house.clear();
}

#[tokio::test]
async fn ext_15_the_list_is_changed_and_pushed_to_whoever_asked_for_it() {
    let house = House::new().await;
    let phone = alice(&house).await;
    let desk = house.online("alice@one.example/desk").await;
    house.clear();
    let pushed = |got: &str, command: &str| {
        let start = "<iq to='alice@one.example/phone' type='set' id='block-";
        assert!(
            got.starts_with(start) && got.ends_with(&format!("'>{command}</iq>")),
            "{got}"
        );
    };
    for (asked, after) in [
        (
            command("block", &["romeo@peer.example"]),
            vec!["romeo@peer.example"],
        ),
        (
            command("block", &["b.example", "romeo@peer.example"]),
            vec!["b.example", "romeo@peer.example"],
        ),
        (
            command("unblock", &["romeo@peer.example", "nobody@peer.example"]),
            vec!["b.example"],
        ),
        ("<unblock xmlns='urn:xmpp:blocking'/>".to_owned(), vec![]),
    ] {
        house.iq(&phone, "set", None, &asked).await;
        pushed(&house.take(&phone), &asked);
        house.got(&phone, DONE);
        house.got(&desk, "");
        house
            .iq(
                &phone,
                "get",
                None,
                "<blocklist xmlns='urn:xmpp:blocking'/>",
            )
            .await;
        house.got(&phone, &list(&after));
    }
}

#[tokio::test]
async fn ext_15_what_cannot_be_asked() {
    let house = House::new().await;
    let phone = alice(&house).await;
    let many: Vec<String> = (0..1_001).map(|n| format!("u{n}@peer.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for (payload, condition) in [
        (
            "<block xmlns='urn:xmpp:blocking'/>".to_owned(),
            "bad-request",
        ),
        (command("block", &[]), "bad-request"),
        (
            "<block xmlns='urn:xmpp:blocking'><item/></block>".to_owned(),
            "bad-request",
        ),
        (command("block", &["@"]), "jid-malformed"),
        (command("unblock", &["@"]), "jid-malformed"),
        (command("block", &many), "policy-violation"),
        (
            "<blocklist xmlns='urn:xmpp:blocking'/>".to_owned(),
            "feature-not-implemented",
        ),
    ] {
        house.iq(&phone, "set", None, &payload).await;
        house.got_error(&phone, condition);
    }
    let bob = house.online("bob@one.example/b").await;
    for account in ["alice@one.example", "nobody@one.example"] {
        house
            .iq(
                &bob,
                "get",
                Some(account),
                "<blocklist xmlns='urn:xmpp:blocking'/>",
            )
            .await;
        house.got_error(&bob, "forbidden");
        house
            .iq_from(
                "romeo@peer.example/a",
                "set",
                account,
                &command("block", &["x@peer.example"]),
            )
            .await;
        house.sent_error(account, "forbidden");
    }
    house
        .iq(
            &phone,
            "get",
            None,
            "<blocklist xmlns='urn:xmpp:blocking'/>",
        )
        .await;
    house.got(&phone, &list(&[]));
}

#[tokio::test]
async fn ext_15_messages_are_answered_and_not_kept() {
    let house = House::new().await;
    let phone = alice(&house).await;
    block(&house, &phone, &["romeo@peer.example"]).await;
    let message = |type_: &str| {
        format!(
            "<message from='romeo@peer.example/a' to='alice@one.example/phone' type='{type_}' id='m'><body>x</body></message>"
        )
    };
    // Who is in the roster knows of the account; to anybody else it looks like none (ROUTE-10).
    house.item("alice", "romeo@peer.example", "to").await;
    for type_ in ["chat", "normal", "headline"] {
        assert_eq!(
            house
                .receives(&message(type_), Taken::Session(phone.clone()))
                .await,
            ""
        );
        house.sent_error("alice@one.example/phone", "service-unavailable");
    }
    for type_ in ["chat", "normal", "headline", "groupchat", "error"] {
        block(&house, &phone, &["stranger@peer.example"]).await;
        let message = message(type_).replace("romeo@", "stranger@");
        let taken = Taken::Session(phone.clone());
        assert_eq!(house.receives(&message, taken).await, "");
        house.sent("");
    }
    for type_ in ["groupchat", "error"] {
        assert_eq!(
            house
                .receives(&message(type_), Taken::Session(phone.clone()))
                .await,
            ""
        );
        house.sent("");
    }
    let out = "<message to='romeo@peer.example' type='chat' id='o'><body>x</body></message>";
    assert_eq!(house.sends(&phone, out).await, "");
    let error = house.take(&phone);
    assert!(
        error.contains("<error type='cancel'><not-acceptable ")
            && error.contains("<blocked xmlns='urn:xmpp:blocking:errors'/>"),
        "{error}"
    );
    assert!(error.contains("from='romeo@peer.example'"), "{error}");
    house
        .iq(&phone, "set", None, "<query xmlns='urn:xmpp:mam:2'/>")
        .await;
    assert!(house.take(&phone).contains("<fin "), "nothing is archived");
    // Others, and oneself, are not concerned.
    let other = message("chat").replace("romeo@", "tybalt@");
    assert!(
        house
            .receives(&other, Taken::Session(phone.clone()))
            .await
            .contains("<body>")
    );
    block(&house, &phone, &["alice@one.example", "one.example"]).await;
    let own = message("chat").replace("romeo@peer.example/a", "alice@one.example/desk");
    assert!(
        house
            .receives(&own, Taken::Session(phone.clone()))
            .await
            .contains("<body>")
    );
}

/// A room that is told of an error throws out whoever it comes from (XEP-0045 11.1): of what occupants write, it is told nothing.
#[tokio::test]
async fn ext_15_what_blocked_occupants_of_rooms_elsewhere_write_is_dropped_in_silence() {
    let house = House::new().await;
    let phone = alice(&house).await;
    block(&house, &phone, &["room@muc.example/mallory"]).await;
    let private = |from: &str, rest: &str| {
        format!(
            "<message from='{from}' to='alice@one.example/phone' type='chat' id='m'><body>x</body>{rest}</message>"
        )
    };
    const OCCUPANT: &str = "<x xmlns='http://jabber.org/protocol/muc#user'/>";
    let mallory = "room@muc.example/mallory";
    let stopped = async |message: &str| {
        let passed = house.receives(message, Taken::Session(phone.clone())).await;
        assert_eq!(passed, "", "{message}");
    };
    stopped(&private(mallory, OCCUPANT)).await;
    house.sent("");
    // Not every room says so: where the session is in it, that is known. Elsewhere it is somebody's resource.
    house.item("alice", "room@muc.example", "to").await;
    stopped(&private(mallory, "")).await;
    house.sent_error("alice@one.example/phone", "service-unavailable");
    house
        .presence(&phone, "<presence to='room@muc.example/alice'/>")
        .await;
    house.clear();
    stopped(&private(mallory, "")).await;
    house.sent("");
    let other = private("room@muc.example/bob", OCCUPANT);
    let passed = house.receives(&other, Taken::Session(phone.clone())).await;
    assert!(passed.contains("<body>"));
    // The room itself, blocked as a whole, invites nobody; it hears no more of that than of an account that is not there.
    block(&house, &phone, &["other@muc.example"]).await;
    stopped(&private("other@muc.example", OCCUPANT)).await;
    house.sent("");
}

#[tokio::test]
async fn ext_15_questions_look_like_those_to_nobody() {
    let house = House::new().await;
    let phone = alice(&house).await;
    house.item("alice", "romeo@peer.example", "both").await;
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    house
        .iq_from("romeo@peer.example/a", "get", "alice@one.example", ping)
        .await;
    assert!(house.take_sent().contains("type='result'"));
    let romeo = Jid::parse("romeo@peer.example/a").expect("an address");
    assert!(crate::hooks::shares_presence(&house.context("one.example"), &phone, &romeo).await);
    block(&house, &phone, &["romeo@peer.example"]).await;
    for account in ["alice@one.example", "nobody@one.example"] {
        house
            .iq_from("romeo@peer.example/a", "get", account, ping)
            .await;
        house.sent_error(account, "service-unavailable");
    }
    let cx = house.context("one.example");
    assert!(!crate::hooks::shares_presence(&cx, &phone, &romeo).await);
    assert!(crate::hooks::answer_stopped(&cx, &phone, &romeo).await);
    assert!(
        !crate::hooks::answer_stopped(
            &cx,
            &phone,
            &Jid::parse("tybalt@peer.example").expect("an address")
        )
        .await
    );
}

#[tokio::test]
async fn ext_16_presence_goes_and_comes_back() {
    let house = House::new().await;
    house.item("alice", "romeo@peer.example", "both").await;
    house.item("alice", "tybalt@peer.example", "to").await;
    let phone = alice(&house).await;
    house
        .iq(&phone, "set", None, &command("block", &["peer.example"]))
        .await;
    house.sent(
        "<presence from='alice@one.example/phone' to='romeo@peer.example' type='unavailable'/>",
    );
    house.sent("");
    house.clear();
    // Blocked a second time, in another way: they know already.
    house
        .iq(
            &phone,
            "set",
            None,
            &command("block", &["romeo@peer.example"]),
        )
        .await;
    house.sent("");
    // Nothing of what they say comes, and nothing is answered.
    house.clear();
    for type_ in [
        "",
        " type='unavailable'",
        " type='subscribe'",
        " type='subscribed'",
        " type='unsubscribe'",
        " type='probe'",
    ] {
        house
            .presence_in(&format!(
                "<presence from='romeo@peer.example/a' to='alice@one.example'{type_}/>"
            ))
            .await;
        house.sent("");
        house.got(&phone, "");
    }
    assert_eq!(
        house.state("alice", "romeo@peer.example").await,
        "both",
        "subscriptions stay"
    );
    // A broadcast passes them by, and so does a new session.
    house
        .presence(&phone, "<presence><show>away</show></presence>")
        .await;
    let desk = house.bind("alice@one.example/desk");
    house.presence(&desk, "<presence/>").await;
    house.sent("");
    house.clear();
    // Directed presence is the account's own mistake.
    house
        .presence(&phone, "<presence to='romeo@peer.example'/>")
        .await;
    house.got_error(&phone, "not-acceptable");
    house
        .presence(
            &phone,
            "<presence to='romeo@peer.example' type='subscribe'/>",
        )
        .await;
    house.got_error(&phone, "not-acceptable");
    house.sent("");
    // Both entries must go before anything is seen again.
    house
        .iq(&phone, "set", None, &command("unblock", &["peer.example"]))
        .await;
    house.sent("");
    house
        .iq(&phone, "set", None, "<unblock xmlns='urn:xmpp:blocking'/>")
        .await;
    house.sent("<presence from='alice@one.example/phone' to='romeo@peer.example'><show>away</show></presence>");
    house.sent("<presence from='alice@one.example/desk' to='romeo@peer.example'/>");
    house.sent("");
}

#[tokio::test]
async fn ext_16_who_was_shown_presence_directly_sees_it_go() {
    let house = House::new().await;
    let phone = alice(&house).await;
    house
        .presence(&phone, "<presence to='room@muc.example/nick'/>")
        .await;
    house.clear();
    house
        .iq(&phone, "set", None, &command("block", &["muc.example"]))
        .await;
    house.sent(
        "<presence from='alice@one.example/phone' to='room@muc.example/nick' type='unavailable'/>",
    );
    house.sent("");
    house.gone(&phone).await;
    house.sent("");
}

#[tokio::test]
async fn ext_17_reports_are_kept_for_the_owner() {
    let house = House::new().await;
    let phone = alice(&house).await;
    let item = |jid: &str, reason: &str, content: &str| {
        format!(
            "<item jid='{jid}'><report xmlns='urn:xmpp:reporting:1' reason='{reason}'>{content}</report></item>"
        )
    };
    let long = "ü".repeat(3_000);
    let items = [
        item(
            "spam@peer.example",
            "urn:xmpp:reporting:spam",
            "<stanza-id xmlns='urn:xmpp:sid:0' by='alice@one.example' id='i1'/><text>buy</text>",
        ),
        item(
            "rude@peer.example",
            "urn:xmpp:reporting:abuse",
            &format!("<text>{long}</text>"),
        ),
        item("other@peer.example", "urn:example:other", ""),
    ]
    .concat();
    house
        .iq(
            &phone,
            "set",
            None,
            &format!("<block xmlns='urn:xmpp:blocking'>{items}</block>"),
        )
        .await;
    let push = house.take(&phone);
    assert!(
        !push.contains("report"),
        "what was reported is nobody else's affair: {push}"
    );
    house.got(&phone, DONE);
    let reports = house.store().report_list(i64::MAX, 9).await.expect("read");
    let short: Vec<_> = reports
        .iter()
        .map(|r| (r.jid.as_str(), r.reason.as_str(), r.text.len(), r.ids.len()))
        .collect();
    assert_eq!(
        short,
        [
            ("rude@peer.example", "abuse", 4_096, 0),
            ("spam@peer.example", "spam", 3, 1)
        ]
    );
    assert_eq!(reports[0].account, "alice@one.example");
}

#[tokio::test]
async fn where_it_is_off_nobody_is_blocked() {
    let mut house = House::new().await;
    let phone = alice(&house).await;
    block(&house, &phone, &["romeo@peer.example"]).await;
    house.settings(|s| s.off = vec!["blocking".into()]);
    let message = "<message from='romeo@peer.example/a' to='alice@one.example' type='chat'><body>x</body></message>";
    assert!(
        house
            .receives(message, Taken::Session(phone.clone()))
            .await
            .contains("<body>")
    );
    house
        .iq(
            &phone,
            "get",
            None,
            "<blocklist xmlns='urn:xmpp:blocking'/>",
        )
        .await;
    house.got_error(&phone, "service-unavailable");
}
