//! What was said before, and what is taken back.

use super::*;

const MAM: &str = "urn:xmpp:mam:2";

/// A room that is kept, with alice, its owner, and bob in it.
async fn kept(fields: &str) -> Coven {
    let coven = Coven::new().await;
    coven.enter(&coven.alice, "Alice").await;
    coven
        .configure(&format!(
            "{}{fields}",
            field("muc#roomconfig_persistentroom", "1")
        ))
        .await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    coven
}

impl Coven {
    /// Looks into the room's archive: what is found, and what is said at the end.
    async fn past(&self, who: &Jid, form: &str) -> (Vec<String>, String) {
        let form = match form {
            "" => String::new(),
            form => format!(
                "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MAM}</value></field>{form}</x>"
            ),
        };
        let query =
            format!("<iq type='set' id='m'><query xmlns='{MAM}' queryid='f'>{form}</query></iq>");
        self.to(who, "", &query).await;
        let mut all = self.house.all(who);
        let end = all.pop().unwrap_or_default();
        (all, end)
    }

    /// The id of what somebody has just got.
    fn id_of(xml: &str) -> String {
        let (_, rest) = xml
            .split_once("<stanza-id xmlns='urn:xmpp:sid:0' by='coven@rooms.one.example' id='")
            .expect("an id of the room's");
        rest.split_once('\'').expect("quoted").0.to_owned()
    }

    async fn moderate(&self, who: &Jid, id: &str) {
        let iq = format!(
            "<iq type='set' id='q'><moderate xmlns='urn:xmpp:message-moderate:1' id='{id}'>\
             <retract xmlns='urn:xmpp:message-retract:1'/><reason>rude</reason></moderate></iq>"
        );
        self.to(who, "", &iq).await;
    }
}

#[tokio::test]
async fn ext_28_what_is_said_is_kept_once_under_the_id_that_everybody_got() {
    let coven = kept("").await;
    coven.say(&coven.bob, "double").await;
    let ids: Vec<String> = [&coven.alice, &coven.bob]
        .map(|who| Coven::id_of(&coven.house.take(who)))
        .into();
    assert_eq!(ids[0], ids[1]);
    // Whispers are nobody else's; what says so is not kept.
    coven
        .to(
            &coven.bob,
            "Alice",
            "<message type='chat'><body>psst</body></message>",
        )
        .await;
    coven
        .to(
            &coven.bob,
            "",
            "<message type='groupchat'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>",
        )
        .await;
    coven.house.clear();
    let (found, end) = coven.past(&coven.carol, "").await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].contains(&format!(
            "<result xmlns='{MAM}' queryid='f' id='{}'>",
            ids[0]
        )),
        "{found:?}"
    );
    assert!(found[0].contains("from='coven@rooms.one.example/Bob'") && found[0].contains("double"));
    assert!(
        found[0].contains("<occupant-id ") && !found[0].contains("bob@one.example"),
        "{found:?}"
    );
    assert!(end.contains("complete='true'"), "{end}");
    let id = &ids[0];
    let (by_id, _) = coven.past(&coven.carol, &field("ids", id)).await;
    assert_eq!(by_id.len(), 1);
    let (none, end) = coven
        .past(&coven.carol, &field("ids", &id.replace(|_| true, "0")))
        .await;
    assert!(none.is_empty() && end.contains("item-not-found"), "{end}");
}

#[tokio::test]
async fn ext_28_who_comes_after_a_restart_is_shown_what_was_said_before() {
    let coven = kept("").await;
    coven.say(&coven.bob, "first").await;
    coven.say(&coven.bob, "second").await;
    let first = Coven::id_of(&coven.house.take(&coven.alice));
    for (who, nick) in [(&coven.alice, "Alice"), (&coven.bob, "Bob")] {
        coven.to(who, nick, "<presence type='unavailable'/>").await;
    }
    // Nobody is in: the room is in the store alone.
    coven.house.clear();
    coven.enter(&coven.carol, "Carol").await;
    let shown = coven.house.all(&coven.carol);
    let said: Vec<&String> = shown.iter().filter(|s| s.contains("<body>")).collect();
    assert_eq!(said.len(), 2, "{shown:?}");
    assert!(said[0].contains("first") && said[0].contains(&first) && said[0].contains("<delay "));
    assert!(said[1].contains("second"), "{said:?}");
    let own = shown
        .iter()
        .find(|s| s.contains("code='110'"))
        .expect("self-presence");
    assert!(
        own.contains("code='170'"),
        "it is known that this is kept: {own}"
    );
    coven.say(&coven.carol, "third").await;
    let third = Coven::id_of(&coven.house.take(&coven.carol));
    assert!(third > first, "ids go on in order");
}

#[tokio::test]
async fn ext_28_only_who_may_enter_now_looks() {
    for (fields, may) in [
        ("", [true, true, true]),
        ("members", [true, false, false]),
        ("password", [true, true, false]),
        ("off", [false, false, false]),
    ] {
        let chosen = match fields {
            "members" => field("muc#roomconfig_membersonly", "1"),
            "password" => format!(
                "{}{}",
                field("muc#roomconfig_passwordprotectedroom", "1"),
                field("muc#roomconfig_roomsecret", "x")
            ),
            "off" => field("muc#roomconfig_enablearchiving", "0"),
            _ => String::new(),
        };
        let coven = kept("").await;
        coven.say(&coven.bob, "x").await;
        coven.configure(&chosen).await;
        coven.house.clear();
        for (who, may) in [&coven.alice, &coven.bob, &coven.carol]
            .into_iter()
            .zip(may)
        {
            let (found, end) = coven.past(who, "").await;
            assert_eq!(found.len(), usize::from(may), "{fields}: {who}");
            assert_eq!(end.contains("type='result'"), may, "{fields}: {who}: {end}");
        }
    }
    let coven = kept("").await;
    coven.say(&coven.bob, "x").await;
    coven
        .admin(
            &coven.alice,
            "<item affiliation='outcast' jid='carol@one.example'/>",
        )
        .await;
    coven.house.clear();
    let (_, end) = coven.past(&coven.carol, "").await;
    assert!(end.contains("forbidden"), "{end}");
}

#[tokio::test]
async fn ext_26_who_it_was_is_shown_to_those_who_may_know() {
    let coven = kept("").await;
    coven.say(&coven.bob, "veiled").await;
    coven
        .configure(&field("muc#roomconfig_whois", "anyone"))
        .await;
    coven.say(&coven.bob, "open").await;
    coven.house.clear();
    let real = "<item jid='bob@one.example'/>";
    let (found, _) = coven.past(&coven.carol, "").await;
    assert_eq!(
        found.iter().map(|m| m.contains(real)).collect::<Vec<_>>(),
        [false, true],
        "{found:?}"
    );
    let (found, _) = coven.past(&coven.alice, "").await;
    assert!(found.iter().all(|m| m.contains(real)), "{found:?}");
    // And looked for.
    let (found, _) = coven
        .past(&coven.alice, &field("with", "bob@one.example"))
        .await;
    assert_eq!(found.len(), 2);
    let (found, end) = coven
        .past(&coven.carol, &field("with", "bob@one.example"))
        .await;
    assert!(found.is_empty() && end.contains("complete='true'"));
    let (found, _) = coven
        .past(&coven.carol, &field("with", "coven@rooms.one.example/Bob"))
        .await;
    assert_eq!(found.len(), 2);
}

/// XEP-0425.
#[tokio::test]
async fn ext_29_moderators_take_back_what_others_said() {
    let coven = kept("").await;
    coven.say(&coven.bob, "insult").await;
    let id = Coven::id_of(&coven.house.take(&coven.alice));
    coven.house.clear();
    for (who, id, condition) in [
        (&coven.bob, id.as_str(), "forbidden"),
        (&coven.carol, id.as_str(), "forbidden"),
        (&coven.alice, "x", "item-not-found"),
        (&coven.alice, &"0".repeat(32), "item-not-found"),
    ] {
        coven.moderate(who, id).await;
        coven.got_error(who, condition);
    }
    coven.moderate(&coven.alice, &id).await;
    let told = coven.house.all(&coven.bob).concat();
    assert!(
        told.contains("from='coven@rooms.one.example' to='bob@one.example/b' type='groupchat'"),
        "{told}"
    );
    assert!(
        told.contains(&format!(
            "<retract xmlns='urn:xmpp:message-retract:1' id='{id}'><moderated "
        )),
        "{told}"
    );
    assert!(
        told.contains("by='coven@rooms.one.example/Alice'") && told.contains("rude"),
        "{told}"
    );
    // Who comes later never sees it, and the archive has a tombstone.
    coven.house.clear();
    coven.enter(&coven.carol, "Carol").await;
    assert!(!coven.house.all(&coven.carol).concat().contains("insult"));
    let (found, _) = coven.past(&coven.carol, "").await;
    assert_eq!(
        found.len(),
        2,
        "the tombstone, and that it was taken back: {found:?}"
    );
    assert!(!found.concat().contains("insult"));
    assert!(
        found[0].contains("<retracted ")
            && found[0].contains("<moderated ")
            && found[0].contains("<occupant-id "),
        "{found:?}"
    );
    coven.moderate(&coven.alice, &id).await;
    coven.house.take(&coven.carol);
    assert!(
        coven
            .house
            .all(&coven.alice)
            .concat()
            .contains("item-not-found"),
        "once is enough"
    );
}

#[tokio::test]
async fn ext_29_whoever_wrote_it_takes_it_back_and_nobody_else() {
    let coven = kept("").await;
    coven.say(&coven.bob, "oops").await;
    let id = Coven::id_of(&coven.house.take(&coven.alice));
    let retract = format!(
        "<message type='groupchat' id='r'><retract xmlns='urn:xmpp:message-retract:1' id='{id}'/></message>"
    );
    coven.to(&coven.alice, "", &retract).await;
    coven.house.clear();
    let (found, _) = coven.past(&coven.alice, "").await;
    assert!(found[0].contains("oops"), "not hers: {found:?}");
    coven.to(&coven.bob, "", &retract).await;
    coven.house.clear();
    let (found, _) = coven.past(&coven.alice, "").await;
    assert!(
        !found.concat().contains("oops") && found[0].contains("<retracted "),
        "{found:?}"
    );
    coven.enter(&coven.carol, "Carol").await;
    assert!(!coven.house.all(&coven.carol).concat().contains("oops"));
}

/// XEP-0425.
#[tokio::test]
async fn ext_29_a_room_that_is_not_kept_is_moderated_in_what_newcomers_see() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    coven.say(&coven.bob, "insult").await;
    let id = Coven::id_of(&coven.house.take(&coven.alice));
    coven.moderate(&coven.alice, &id).await;
    coven.enter(&coven.carol, "Carol").await;
    assert!(!coven.house.all(&coven.carol).concat().contains("insult"));
    let (found, end) = coven.past(&coven.alice, "").await;
    assert!(
        end.contains("service-unavailable") && !found.concat().contains("<result "),
        "{end}"
    );
}

/// EXT-28: who may enter now looks up what was said before, so whoever opens a room is told.
#[tokio::test]
async fn whoever_opens_a_room_is_told_that_its_past_is_opened_too() {
    let closed = field("muc#roomconfig_membersonly", "1");
    let open = field("muc#roomconfig_membersonly", "0");
    let coven = kept(&closed).await;
    coven.say(&coven.alice, "x").await;
    coven.house.clear();
    coven.configure(&open).await;
    let told = coven.all(&coven.alice).concat();
    assert!(told.contains("said in it before"), "{told}");
    let others = coven.all(&coven.bob).concat();
    assert!(!others.contains("said in it before"), "{others}");
    assert!(coven.past(&coven.carol, "").await.1.contains("result"));
    // Nothing to tell where nothing is kept, or nothing is opened.
    coven.house.clear();
    coven.configure(&open).await;
    let off = field("muc#roomconfig_enablearchiving", "0");
    coven.configure(&(closed + &off)).await;
    coven.configure(&open).await;
    let told = coven.all(&coven.alice).concat();
    assert!(!told.contains("said in it before"), "{told}");
}
