//! XEP-0313 through the door and against a real store: what is kept, how it is found, and who may not look.

mod under_way;

use crate::passage::Taken;
use crate::testing::House;
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;

/// A query of alice's with this content; what came, and the answer.
async fn ask(house: &House, session: &Jid, query: &str) -> (Vec<String>, String) {
    let query = format!("<query xmlns='urn:xmpp:mam:2' queryid='f'>{query}</query>");
    house.iq(session, "set", None, &query).await;
    let mut got = house.all(session);
    let answer = got.pop().unwrap_or_default();
    (got, answer)
}

fn form(fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
        .collect();
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>{fields}</x>"
    )
}

fn rsm(content: &str) -> String {
    format!("<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>")
}

/// What was found, by its bodies.
fn bodies(found: &[String]) -> Vec<&str> {
    let body = |text: &'_ String| -> Option<(usize, usize)> {
        Some((text.find("<body>")? + 6, text.find("</body>")?))
    };
    found
        .iter()
        .map(|text| body(text).map_or("", |(from, to)| &text[from..to]))
        .collect()
}

fn id(result: &str) -> String {
    let from = result.find(" id='").expect("an id") + 5;
    result[from..from + 32].to_owned()
}

fn chat(from: &str, body: &str) -> String {
    format!(
        "<message from='{from}' to='alice@one.example' type='chat' id='{body}'><body>{body}</body></message>"
    )
}

/// Alice, who is sent messages `0` to `9` by turns of romeo and tybalt, a second each.
async fn full(house: &House) -> Jid {
    let alice = house.online("alice@one.example/phone").await;
    for n in 0..10 {
        let from = ["romeo@peer.example/a", "tybalt@peer.example/b"][n % 2];
        house
            .receives(&chat(from, &n.to_string()), Taken::Session(alice.clone()))
            .await;
        house.later(1);
    }
    house.clear();
    alice
}

#[tokio::test]
async fn ext_18_19_a_message_gets_an_id_and_is_found_under_it_as_it_was_sent() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let sent = chat("romeo@peer.example/a", "x");
    let got = house.receives(&sent, Taken::Session(alice.clone())).await;
    let with_id = got
        .strip_suffix("'/></message>")
        .expect("the id comes last");
    let (before, given) = with_id.rsplit_once("' id='").expect("an id");
    assert!(
        before.ends_with("<stanza-id xmlns='urn:xmpp:sid:0' by='alice@one.example"),
        "{got}"
    );
    let (found, fin) = ask(&house, &alice, "").await;
    let inner = sent.replacen("<message", "<message xmlns='jabber:client'", 1);
    assert_eq!(
        found,
        [format!(
            "<message from='alice@one.example' to='alice@one.example/phone'><result xmlns='urn:xmpp:mam:2' queryid='f' id='{given}'>\
             <forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>{inner}</forwarded></result></message>"
        )]
    );
    assert_eq!(
        fin,
        format!(
            "<iq to='alice@one.example/phone' type='result' id='q'><fin xmlns='urn:xmpp:mam:2' complete='true'>\
             <set xmlns='http://jabber.org/protocol/rsm'><first>{given}</first><last>{given}</last></set></fin></iq>"
        )
    );
}

#[tokio::test]
async fn ext_19_who_sends_keeps_it_too_and_the_id_does_not_leave() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    house
        .iq(&desk, "set", None, "<enable xmlns='urn:xmpp:carbons:2'/>")
        .await;
    house.clear();
    let out = house
        .sends(&alice, "<message to='romeo@peer.example' type='chat'><body>x</body><origin-id xmlns='urn:xmpp:sid:0' id='o'/></message>")
        .await;
    assert!(
        !out.contains("stanza-id") && out.contains("<origin-id "),
        "{out}"
    );
    let copy = house.take(&desk);
    assert!(
        copy.contains("<stanza-id "),
        "copies carry it (XEP-0313 3.5): {copy}"
    );
    let (found, _) = ask(&house, &alice, "").await;
    assert!(copy.contains(&id(&found[0])), "{found:?}");
    // To oneself: once.
    let note = "<message to='alice@one.example' type='chat'><body>note</body></message>";
    let passed = house.sends(&alice, note).await;
    house.receives(&passed, Taken::Session(desk.clone())).await;
    house.clear();
    let (found, _) = ask(&house, &alice, "").await;
    assert_eq!(bodies(&found), ["x", "note"]);
    let own = form(&[("with", "alice@one.example")]);
    assert_eq!(bodies(&ask(&house, &alice, &own).await.0), ["note"]);
}

#[tokio::test]
async fn ext_19_forged_ids_are_taken_out_and_others_stay() {
    let mut house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let forged = "<stanza-id xmlns='urn:xmpp:sid:0' by='alice@one.example' id='forged'/>";
    let others = "<stanza-id xmlns='urn:xmpp:sid:0' by='room@muc.example' id='r'/><stanza-id xmlns='urn:xmpp:sid:0' id='x'/>";
    for type_ in ["chat", "groupchat", "headline"] {
        let message = format!(
            "<message from='romeo@peer.example/a' to='alice@one.example/phone' type='{type_}'><body>x</body>{forged}{others}\
             <s:stanza-id xmlns:s='urn:xmpp:sid:0' by='ALICE@one.example' id='forged'/></message>"
        );
        let got = house
            .receives(&message, Taken::Session(alice.clone()))
            .await;
        assert!(!got.contains("forged"), "{type_}: {got}");
        assert!(
            got.contains("id='r'") && got.contains("id='x'"),
            "{type_}: {got}"
        );
        let out = house
            .sends(
                &alice,
                &message.replace("alice@one.example/phone", "bob@two.example"),
            )
            .await;
        assert!(!out.contains("forged"), "{type_}: {out}");
    }
    house.settings(|s| s.off = vec!["archive".into()]);
    let got = house
        .receives(
            &chat("romeo@peer.example/a", "x"),
            Taken::Session(alice.clone()),
        )
        .await;
    assert!(!got.contains("stanza-id"));
    house
        .iq(&alice, "set", None, "<query xmlns='urn:xmpp:mam:2'/>")
        .await;
    house.got_error(&alice, "service-unavailable");
}

#[tokio::test]
async fn ext_20_e2e_07_what_is_kept() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let hint = |name: &str| format!("<{name} xmlns='urn:xmpp:hints'/>");
    let encrypted = format!("<encrypted xmlns='urn:xmpp:omemo:2'/>{}", hint("store"));
    for (type_, content, kept) in [
        ("chat", "<body>x</body>", true),
        ("normal", "<body>x</body>", true),
        ("chat", encrypted.as_str(), true),
        (
            "normal",
            "<x xmlns='jabber:x:conference' jid='room@muc.example'/>",
            true,
        ),
        (
            "chat",
            "<retract xmlns='urn:xmpp:message-retract:1' id='none'/>",
            true,
        ),
        (
            "chat",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
            false,
        ),
        (
            "chat",
            "<received xmlns='urn:xmpp:receipts' id='1'/>",
            false,
        ),
        ("headline", "<body>x</body>", false),
        ("groupchat", "<body>x</body>", false),
        ("error", "<body>x</body>", false),
        ("error", encrypted.as_str(), false),
        (
            "chat",
            &format!("<body>x</body>{}", hint("no-store")),
            false,
        ),
        (
            "chat",
            &format!("<body>x</body>{}", hint("no-permanent-store")),
            false,
        ),
        ("chat", &format!("<body>x</body>{}", hint("no-copy")), true),
    ] {
        let before = ask(&house, &alice, "").await.0.len();
        let message = format!(
            "<message from='romeo@peer.example/a' to='alice@one.example/phone' type='{type_}'>{content}</message>"
        );
        let got = house
            .receives(&message, Taken::Session(alice.clone()))
            .await;
        assert_eq!(got.contains("<stanza-id "), kept, "{type_} {content}");
        let (found, _) = ask(&house, &alice, "").await;
        assert_eq!(found.len() - before, usize::from(kept), "{type_} {content}");
        if kept {
            assert!(
                found.last().is_some_and(|m| m.contains(content)),
                "E2E-06: {found:?}"
            );
        }
    }
}

#[tokio::test]
async fn ext_18_pages_forwards_and_backwards_and_flipped() {
    let house = House::new().await;
    let alice = full(&house).await;
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let (found, fin) = ask(&house, &alice, &rsm(&format!("<max>4</max>{after}"))).await;
        seen.extend(bodies(&found).into_iter().map(str::to_owned));
        after = format!("<after>{}</after>", id(found.last().expect("some")));
        if fin.contains("complete='true'") {
            break;
        }
        assert_eq!(found.len(), 4);
    }
    assert_eq!(seen.concat(), "0123456789");
    let (last, fin) = ask(&house, &alice, &rsm("<max>4</max><before/>")).await;
    assert_eq!(bodies(&last), ["6", "7", "8", "9"]);
    assert!(!fin.contains("complete"), "{fin}");
    let before = format!("<max>7</max><before>{}</before>", id(&last[0]));
    let (rest, fin) = ask(&house, &alice, &format!("{}<flip-page/>", rsm(&before))).await;
    assert_eq!(bodies(&rest), ["5", "4", "3", "2", "1", "0"]);
    assert!(fin.contains("complete='true'"), "{fin}");
    let ends = format!(
        "<first>{}</first><last>{}</last>",
        id(&rest[5]),
        id(&rest[0])
    );
    assert!(
        fin.contains(&ends),
        "flipping changes the order of sending only: {fin}"
    );
    let (none, fin) = ask(&house, &alice, &rsm("<max>0</max>")).await;
    assert!(none.is_empty() && !fin.contains("complete"), "{fin}");
}

#[tokio::test]
async fn ext_18_filters() {
    let house = House::new().await;
    let alice = full(&house).await;
    let (all, _) = ask(&house, &alice, "").await;
    let at = |n: usize| id(&all[n]);
    let stamp = |n: usize| format!("2026-01-01T00:00:{n:02}Z");
    for (fields, found) in [
        (vec![("with", "romeo@peer.example".to_owned())], "02468"),
        (vec![("with", "tybalt@peer.example/b".to_owned())], "13579"),
        (vec![("with", "tybalt@peer.example/other".to_owned())], ""),
        (vec![("start", stamp(7))], "789"),
        (vec![("end", stamp(2))], "012"),
        (vec![("start", stamp(3)), ("end", stamp(5))], "345"),
        (
            vec![
                ("start", "2026-01-01T01:00:03+01:00".to_owned()),
                ("with", "romeo@peer.example".to_owned()),
            ],
            "468",
        ),
        (vec![("after-id", at(6))], "789"),
        (vec![("before-id", at(2))], "01"),
        (vec![("after-id", at(2)), ("before-id", at(5))], "34"),
        (
            vec![("start", String::new()), ("with", String::new())],
            "0123456789",
        ),
    ] {
        let fields: Vec<(&str, &str)> = fields.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let (got, fin) = ask(&house, &alice, &form(&fields)).await;
        assert_eq!(bodies(&got).concat(), found, "{fields:?}");
        assert!(fin.contains("complete='true'"), "{fin}");
    }
    let ids = form(&[]).replace(
        "</x>",
        &format!(
            "<field var='ids'><value>{}</value><value>{}</value></field></x>",
            at(8),
            at(3)
        ),
    );
    assert_eq!(bodies(&ask(&house, &alice, &ids).await.0), ["3", "8"]);
}

#[tokio::test]
async fn ext_18_what_cannot_be_asked() {
    let house = House::new().await;
    let alice = full(&house).await;
    let unknown = "0006474b1c3e00000000000000000001";
    let many = "<value>x</value>".repeat(101);
    for (query, condition) in [
        (form(&[("after-id", unknown)]), "item-not-found"),
        (form(&[("before-id", "not ours")]), "item-not-found"),
        (form(&[("ids", unknown)]), "item-not-found"),
        (rsm(&format!("<after>{unknown}</after>")), "item-not-found"),
        (rsm("<before>x</before>"), "item-not-found"),
        (rsm("<max>many</max>"), "bad-request"),
        (rsm("<max>-1</max>"), "bad-request"),
        (rsm("<index>3</index>"), "feature-not-implemented"),
        (form(&[("full-text", "x")]), "feature-not-implemented"),
        (form(&[("with", "@")]), "jid-malformed"),
        (form(&[("start", "yesterday")]), "bad-request"),
        (
            form(&[]).replace("urn:xmpp:mam:2", "urn:xmpp:mam:1"),
            "bad-request",
        ),
        (form(&[]).replace("'submit'", "'cancel'"), "bad-request"),
        (form(&[]).replace("'submit'", "'form'"), "bad-request"),
        (
            form(&[]).replace("</x>", &format!("<field var='ids'>{many}</field></x>")),
            "policy-violation",
        ),
    ] {
        house
            .iq(
                &alice,
                "set",
                None,
                &format!("<query xmlns='urn:xmpp:mam:2'>{query}</query>"),
            )
            .await;
        house.got_error(&alice, condition);
        house.got(&alice, "");
    }
    let bob = house.online("bob@one.example/b").await;
    for account in ["alice@one.example", "nobody@one.example"] {
        for payload in ["query", "metadata", "prefs"] {
            let type_ = if payload == "query" { "set" } else { "get" };
            let payload = format!("<{payload} xmlns='urn:xmpp:mam:2'/>");
            house.iq(&bob, type_, Some(account), &payload).await;
            house.got_error(&bob, "forbidden");
            house
                .iq_from("romeo@peer.example/a", type_, account, &payload)
                .await;
            house.sent_error(account, "forbidden");
        }
    }
    // One's own is another one.
    assert!(ask(&house, &bob, "").await.0.is_empty());
}

#[tokio::test]
async fn ext_18_fields_and_metadata() {
    let house = House::new().await;
    let bob = house.online("bob@one.example/b").await;
    house
        .iq(&bob, "get", None, "<query xmlns='urn:xmpp:mam:2'/>")
        .await;
    let fields = house.take(&bob);
    for name in [
        "FORM_TYPE",
        "with",
        "start",
        "end",
        "before-id",
        "after-id",
        "ids",
    ] {
        assert!(fields.contains(&format!("var='{name}'")), "{fields}");
    }
    assert!(
        fields.contains("<open/>") && !fields.contains("required"),
        "{fields}"
    );
    house
        .iq(&bob, "get", None, "<metadata xmlns='urn:xmpp:mam:2'/>")
        .await;
    house.got(
        &bob,
        "<iq to='bob@one.example/b' type='result' id='q'><metadata xmlns='urn:xmpp:mam:2'/></iq>",
    );
    let alice = full(&house).await;
    let (all, _) = ask(&house, &alice, "").await;
    house
        .iq(&alice, "get", None, "<metadata xmlns='urn:xmpp:mam:2'/>")
        .await;
    house.got(
        &alice,
        &format!(
            "<iq to='alice@one.example/phone' type='result' id='q'><metadata xmlns='urn:xmpp:mam:2'>\
             <start id='{}' timestamp='2026-01-01T00:00:00Z'/><end id='{}' timestamp='2026-01-01T00:00:09Z'/></metadata></iq>",
            id(&all[0]), id(&all[9])
        ),
    );
}

#[tokio::test]
async fn ext_18_large_messages_make_small_pages() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let large = "x".repeat(100_000);
    for _ in 0..4 {
        house
            .receives(
                &chat("romeo@peer.example/a", &large),
                Taken::Session(alice.clone()),
            )
            .await;
    }
    house.clear();
    let (found, fin) = ask(&house, &alice, "").await;
    assert_eq!(found.len(), 1, "200 kB, and no two of them in 256 kB");
    assert!(!fin.contains("complete"), "{fin}");
    let after = rsm(&format!(
        "<after>{}</after>",
        id(found.last().expect("some"))
    ));
    let (rest, _) = ask(&house, &alice, &after).await;
    assert!(!rest.is_empty());
    let (last, _) = ask(&house, &alice, &rsm("<before/>")).await;
    assert!(!last.is_empty() && last.len() < 4);
}

#[tokio::test]
async fn ext_21_preferences() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.item("alice", "romeo@peer.example", "none").await;
    let prefs = |usual: &str, always: &str, never: &str| {
        let list = |name: &str, jid: &str| match jid {
            "" => format!("<{name}/>"),
            jid => format!("<{name}><jid>{jid}</jid></{name}>"),
        };
        let (always, never) = (list("always", always), list("never", never));
        format!("<prefs xmlns='urn:xmpp:mam:2' default='{usual}'>{always}{never}</prefs>")
    };
    let result = |payload: &str| {
        format!("<iq to='alice@one.example/phone' type='result' id='q'>{payload}</iq>")
    };
    house
        .iq(&alice, "get", None, "<prefs xmlns='urn:xmpp:mam:2'/>")
        .await;
    house.got(&alice, &result(&prefs("always", "", "")));
    let (romeo, tybalt) = ("romeo@peer.example/a", "tybalt@peer.example/b");
    for (usual, always, never, kept) in [
        ("always", "", "", [true, true]),
        ("always", "", "romeo@peer.example", [false, true]),
        ("always", "", "romeo@peer.example/other", [true, true]),
        ("never", "", "", [false, false]),
        ("never", "tybalt@peer.example/b", "", [false, true]),
        ("roster", "", "", [true, false]),
        (
            "roster",
            "tybalt@peer.example",
            "romeo@peer.example",
            [false, true],
        ),
    ] {
        let chosen = prefs(usual, always, never);
        house.iq(&alice, "set", None, &chosen).await;
        house.got(&alice, &result(&chosen));
        for (from, kept) in [romeo, tybalt].into_iter().zip(kept) {
            let got = house
                .receives(&chat(from, "x"), Taken::Session(alice.clone()))
                .await;
            assert_eq!(got.contains("<stanza-id "), kept, "{from}: {chosen}");
            let bare = from.split('/').next().unwrap_or_default();
            let before = ask(&house, &alice, "").await.0.len();
            house
                .sends(
                    &alice,
                    &format!("<message to='{from}' type='chat'><body>x</body></message>"),
                )
                .await;
            house.clear();
            let after = ask(&house, &alice, "").await.0.len();
            assert_eq!(after - before, usize::from(kept), "to {bare}: {chosen}");
        }
    }
    let many = "<jid>a@b.example</jid>".repeat(501);
    for (bad, condition) in [
        (prefs("sometimes", "", ""), "bad-request"),
        (prefs("always", "@", ""), "jid-malformed"),
        (
            prefs("always", "", "").replace("<always/>", &format!("<always>{many}</always>")),
            "policy-violation",
        ),
    ] {
        house.iq(&alice, "set", None, &bad).await;
        house.got_error(&alice, condition);
    }
    house
        .iq(&alice, "get", None, "<prefs xmlns='urn:xmpp:mam:2'/>")
        .await;
    house.got(
        &alice,
        &result(&prefs(
            "roster",
            "tybalt@peer.example",
            "romeo@peer.example",
        )),
    );
}

/// XEP-0424.
#[tokio::test]
async fn ext_29_retraction_leaves_a_tombstone_and_only_for_one_s_own() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let secret = |from: &str| {
        chat(from, "secret").replace("<body>", "loose <subject>secret</subject><body>")
    };
    house
        .receives(
            &secret("romeo@peer.example/a"),
            Taken::Session(alice.clone()),
        )
        .await;
    house
        .sends(
            &alice,
            "<message to='romeo@peer.example' type='chat' id='secret'><body>mine</body></message>",
        )
        .await;
    let retract = |from: &str, id: &str| {
        format!(
            "<message from='{from}' to='alice@one.example' type='chat'{id}><retract xmlns='urn:xmpp:message-retract:1' id='secret'/></message>"
        )
    };
    house.later(5);
    for (from, id) in [
        ("tybalt@peer.example/b", " id='r1'"),
        ("romeo@peer.example/a", ""),
    ] {
        house
            .receives(&retract(from, id), Taken::Session(alice.clone()))
            .await;
        house.clear();
        assert!(
            ask(&house, &alice, "").await.0[0].contains("secret</body>"),
            "{from}{id}"
        );
    }
    house
        .receives(
            &retract("romeo@peer.example/other", " id='r2'"),
            Taken::Session(alice.clone()),
        )
        .await;
    house.clear();
    let (found, _) = ask(&house, &alice, "").await;
    assert!(
        found[0].contains(
            "<message xmlns='jabber:client' from='romeo@peer.example/a' to='alice@one.example' type='chat' id='secret'>\
             <retracted xmlns='urn:xmpp:message-retract:1' id='r2' stamp='2026-01-01T00:00:05Z'/></message></forwarded>"
        ),
        "{}", found[0]
    );
    assert!(
        found[0].contains("stamp='2026-01-01T00:00:00Z'/><message"),
        "{}",
        found[0]
    );
    assert_eq!(found.len(), 5, "the retractions are kept");
    assert!(found[1].contains("mine"));
    house.sends(&alice, "<message to='romeo@peer.example' type='chat' id='r3'><retract xmlns='urn:xmpp:message-retract:1' id='secret'/></message>").await;
    house.clear();
    assert!(ask(&house, &alice, "").await.0[1].contains("id='r3'"));
}

#[tokio::test]
async fn ext_22_who_waits_for_what_is_archived_gets_it_from_there_once() {
    let house = House::new().await;
    for n in 0..3 {
        let passed = house
            .receives(&chat("romeo@peer.example/a", &n.to_string()), Taken::Nobody)
            .await;
        house.undeliverable(&passed).await;
        house.later(1);
    }
    let account = house.account("alice").await;
    let waiting = house
        .store()
        .offline_list(account, 0, 9)
        .await
        .expect("readable");
    assert!(waiting.iter().all(|m| m.archived.is_some()), "{waiting:?}");
    // Retracted before anybody read it: nobody waits for it any more.
    let retract = "<message from='romeo@peer.example/a' to='alice@one.example' type='chat' id='r'><retract xmlns='urn:xmpp:message-retract:1' id='1'/></message>";
    house.receives(retract, Taken::Nobody).await;
    let alice = house.bind("alice@one.example/phone");
    house.presence(&alice, "<presence/>").await;
    let got: Vec<String> = house
        .all(&alice)
        .into_iter()
        .filter(|m| m.contains("<body>"))
        .collect();
    assert_eq!(bodies(&got), ["0", "2"]);
    let delay =
        "<delay xmlns='urn:xmpp:delay' from='one.example' stamp='2026-01-01T00:00:02Z'/></message>";
    assert!(got[1].ends_with(delay), "{}", got[1]);
    assert!(
        got[1].contains("<stanza-id xmlns='urn:xmpp:sid:0' by='alice@one.example'"),
        "{}",
        got[1]
    );
    assert!(house.written(&alice).await);
    assert_eq!(
        house
            .store()
            .offline_count(account)
            .await
            .expect("readable"),
        0
    );
    assert_eq!(
        ask(&house, &alice, "").await.0.len(),
        4,
        "the archive keeps them"
    );
}

#[tokio::test]
async fn ext_22_what_was_read_in_the_archive_is_not_delivered_again() {
    let house = House::new().await;
    let keep = async |n: u32| {
        let passed = house
            .receives(&chat("romeo@peer.example/a", &n.to_string()), Taken::Nobody)
            .await;
        house.undeliverable(&passed).await;
        house.later(1);
    };
    keep(0).await;
    keep(1).await;
    let alice = house.bind("alice@one.example/phone");
    // A part of the archive is not all of it.
    for part in [form(&[("with", "romeo@peer.example")]), rsm("<max>1</max>")] {
        ask(&house, &alice, &part).await;
        let account = house.account("alice").await;
        assert_eq!(
            house
                .store()
                .offline_count(account)
                .await
                .expect("readable"),
            2,
            "{part}"
        );
    }
    ask(&house, &alice, "").await;
    keep(2).await;
    house.presence(&alice, "<presence/>").await;
    let got: Vec<String> = house
        .all(&alice)
        .into_iter()
        .filter(|m| m.contains("<body>"))
        .collect();
    assert_eq!(bodies(&got), ["2"]);
}

/// XEP-0386 3.2: who binds that way fetches from the archive, and is told where it stands.
#[tokio::test]
async fn sasl_37_who_binds_along_with_authentication_learns_of_the_archive_and_waits_for_nothing() {
    let house = House::new().await;
    let account = house.account("alice").await;
    let alice = house.bind("alice@one.example/phone");
    let cx = house.context("one.example");
    let bound = crate::hooks::session_bound(&cx, &alice, &[]).await;
    let as_text = |bound: &[Element]| {
        let mut text = Vec::new();
        bound
            .iter()
            .for_each(|answer| answer.write(&mut text, ns::CLIENT));
        String::from_utf8(text).expect("text")
    };
    assert_eq!(as_text(&bound), "<metadata xmlns='urn:xmpp:mam:2'/>");
    for n in 0..2 {
        let passed = house
            .receives(&chat("romeo@peer.example/a", &n.to_string()), Taken::Nobody)
            .await;
        house.undeliverable(&passed).await;
        house.later(1);
    }
    // One that the archive has not.
    let other = "<message from='romeo@peer.example/a' to='alice@one.example' type='chat'><body>gone soon</body><no-permanent-store xmlns='urn:xmpp:hints'/></message>";
    house.undeliverable(other).await;
    let cx = house.context("one.example");
    let bound = as_text(&crate::hooks::session_bound(&cx, &alice, &[]).await);
    assert!(
        bound.contains("<start id='")
            && bound.contains("timestamp='2026-01-01T00:00:01Z'/></metadata>"),
        "{bound}"
    );
    let waiting = house.store().offline_count(account).await;
    assert_eq!(waiting.expect("readable"), 1);
    house.presence(&alice, "<presence/>").await;
    let got: Vec<String> = house.all(&alice);
    let got: Vec<String> = got.into_iter().filter(|m| m.contains("<body>")).collect();
    assert_eq!(bodies(&got), ["gone soon"]);
}

#[tokio::test]
async fn dos_10_a_full_archive_keeps_nothing_more_and_says_so_by_no_id() {
    let house = House::new().await;
    let quota = house.context("one.example").hosted.quota.clone();
    quota.set_kept(250, 0);
    let alice = house.online("alice@one.example/phone").await;
    let message = chat("romeo@peer.example/a", "x");
    let first = house
        .receives(&message, Taken::Session(alice.clone()))
        .await;
    assert!(first.contains("<stanza-id "), "{first}");
    for _ in 0..3 {
        house
            .receives(&message, Taken::Session(alice.clone()))
            .await;
    }
    let last = house
        .receives(&message, Taken::Session(alice.clone()))
        .await;
    assert_eq!(last, message);
    assert!(quota.was_archive_full() && !quota.was_archive_full());
    // It waits by itself then.
    house.gone(&alice).await;
    house.undeliverable(&last).await;
    let account = house.account("alice").await;
    let waiting = house
        .store()
        .offline_list(account, 0, 9)
        .await
        .expect("readable");
    assert!(waiting.len() == 1 && waiting[0].archived.is_none());
}

#[tokio::test]
async fn a_store_that_fails_is_told_to_whoever_sent_it() {
    let house = House::new().await;
    let alice = full(&house).await;
    house.database.close().await;
    house
        .receives(
            &chat("romeo@peer.example/a", "x"),
            Taken::Session(alice.clone()),
        )
        .await;
    house.sent_error("alice@one.example", "resource-constraint");
    house
        .sends(
            &alice,
            "<message to='romeo@peer.example' type='chat'><body>x</body></message>",
        )
        .await;
    house.got_error(&alice, "resource-constraint");
}

/// XEP-0059 2.7: who wants nothing is told how much there is.
#[tokio::test]
async fn ext_19_who_asks_for_no_messages_is_told_how_many_there_are() {
    let house = House::new().await;
    let alice = full(&house).await;
    let none = rsm("<max>0</max>");
    let with = |who: &str| format!("{}{none}", form(&[("with", who)]));
    for (query, count) in [
        (none.clone(), 10),
        (with("romeo@peer.example"), 5),
        (with("romeo@peer.example/a"), 5),
        (with("romeo@peer.example/b"), 0),
        (
            format!("{}{none}", form(&[("start", "2026-01-01T00:00:07Z")])),
            3,
        ),
    ] {
        let (found, fin) = ask(&house, &alice, &query).await;
        assert_eq!(found, [""; 0]);
        assert!(
            fin.contains(&format!("<count>{count}</count>")),
            "{query}: {fin}"
        );
        assert_eq!(
            fin.contains("complete='true'"),
            count == 0,
            "{query}: {fin}"
        );
    }
}

/// XEP-0313 4.1.5: what rooms say is in their archives, whatever is asked of an account's.
#[tokio::test]
async fn ext_19_whether_rooms_are_meant_too_may_be_said() {
    let house = House::new().await;
    let alice = full(&house).await;
    for value in ["true", "false", "0", "1"] {
        let (found, _) = ask(&house, &alice, &form(&[("include-groupchat", value)])).await;
        assert_eq!(found.len(), 10, "{value}");
    }
    let (_, error) = ask(&house, &alice, &form(&[("include-groupchat", "perhaps")])).await;
    assert!(error.contains("<bad-request "), "{error}");
    house
        .iq(&alice, "get", None, "<query xmlns='urn:xmpp:mam:2'/>")
        .await;
    let form = house.take(&alice);
    assert!(
        form.contains("var='include-groupchat' type='boolean'"),
        "{form}"
    );
}
