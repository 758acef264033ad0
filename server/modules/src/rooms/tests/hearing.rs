//! Who hears what is said: who is blocked, who is not there, and what passes the account.

use super::*;

/// Alice wants nothing to do with these any more.
async fn block(coven: &Coven, who: &[&str]) {
    let items: String = who
        .iter()
        .map(|jid| format!("<item jid='{jid}'/>"))
        .collect();
    let block = format!("<block xmlns='urn:xmpp:blocking'>{items}</block>");
    coven.house.iq(&coven.alice, "set", None, &block).await;
    coven.house.clear();
}

/// A room with bob and carol in it.
async fn full() -> Coven {
    let coven = Coven::open().await;
    for (who, nick) in [(&coven.bob, "Bob"), (&coven.carol, "Carol")] {
        coven.enter(who, nick).await;
    }
    coven.house.clear();
    coven
}

const SECRET: &str = "<message type='chat' id='s'><body>psst</body></message>";

#[tokio::test]
async fn ext_15_whom_somebody_has_blocked_they_do_not_hear() {
    for entry in [
        "coven@rooms.one.example/Bob",
        "coven@rooms.one.example",
        "rooms.one.example",
    ] {
        let coven = full().await;
        block(&coven, &[entry]).await;
        coven.say(&coven.bob, "hello").await;
        assert!(coven.all(&coven.alice).is_empty(), "{entry}");
        assert_eq!(coven.all(&coven.carol).len(), 1, "others hear it");
        assert_eq!(coven.all(&coven.bob).len(), 1, "so does who said it");
        coven.to(&coven.bob, "Alice", SECRET).await;
        assert!(coven.all(&coven.alice).is_empty(), "{entry}");
        assert!(coven.all(&coven.bob).is_empty(), "nobody is told: {entry}");
        coven.say(&coven.carol, "I").await;
        let heard = coven.all(&coven.alice).len();
        assert_eq!(heard, usize::from(entry.ends_with("/Bob")), "{entry}");
        // What somebody says comes back to them, whomever they have blocked, and they are still in.
        coven.say(&coven.alice, "me").await;
        assert_eq!(coven.all(&coven.alice).len(), 1, "{entry}");
        assert_eq!(coven.all(&coven.bob).len(), 2, "{entry}");
    }
}

#[tokio::test]
async fn ext_15_a_real_address_counts_where_the_hearer_may_know_it() {
    let coven = full().await;
    let carol = coven.carol.clone();
    let block = "<block xmlns='urn:xmpp:blocking'><item jid='bob@one.example'/></block>";
    coven.house.iq(&carol, "set", None, block).await;
    coven.house.clear();
    coven.say(&coven.bob, "hello").await;
    assert_eq!(coven.all(&carol).len(), 1, "she cannot know who it is");
    coven
        .configure(&field("muc#roomconfig_whois", "anyone"))
        .await;
    coven.house.clear();
    coven.say(&coven.bob, "hello").await;
    coven.to(&coven.bob, "Carol", SECRET).await;
    assert!(coven.all(&carol).is_empty());
    let version = "<iq type='get' id='v'><query xmlns='jabber:iq:version'/></iq>";
    coven.house.clear();
    coven.to(&coven.bob, "Carol", version).await;
    coven.got_error(&coven.bob, "service-unavailable");
    coven.say(&coven.alice, "hello").await;
    assert_eq!(coven.all(&carol).len(), 1);
}

#[tokio::test]
async fn ext_15_who_enters_is_not_shown_what_blocked_people_said_before() {
    let coven = full().await;
    coven.say(&coven.bob, "one").await;
    coven.say(&coven.carol, "two").await;
    block(&coven, &["coven@rooms.one.example/Bob"]).await;
    coven.enter(&coven.alice, "Alice").await;
    let shown = coven.all(&coven.alice).concat();
    assert!(
        shown.contains("two") && !shown.contains("one</body>"),
        "{shown}"
    );
}

#[tokio::test]
async fn ext_15_where_blocking_is_off_lists_mean_nothing() {
    let mut coven = full().await;
    block(&coven, &["coven@rooms.one.example/Bob"]).await;
    coven.house.settings(|s| s.off = vec!["blocking".into()]);
    coven.say(&coven.bob, "hello").await;
    coven.to(&coven.bob, "Alice", SECRET).await;
    assert_eq!(coven.all(&coven.alice).len(), 2);
}

#[tokio::test]
async fn ext_15_people_of_other_domains_here_have_lists_of_their_own() {
    let coven = full().await;
    let dave = coven.house.online("dave@two.example/d").await;
    coven.enter(&dave, "Dave").await;
    let block = "<block xmlns='urn:xmpp:blocking'><item jid='coven@rooms.one.example/Bob'/><item jid='carol@one.example'/></block>";
    coven.house.iq(&dave, "set", None, block).await;
    coven
        .configure(&field("muc#roomconfig_whois", "anyone"))
        .await;
    coven.house.clear();
    coven.say(&coven.bob, "hello").await;
    assert!(coven.all(&dave).is_empty());
    coven.say(&coven.carol, "hello").await;
    assert_eq!(
        coven.all(&dave).len(),
        1,
        "who is who is not compared with lists of another domain"
    );
    coven.say(&dave, "hello").await;
    assert_eq!(coven.all(&dave).len(), 1, "still in");
}

#[tokio::test]
async fn private_messages_are_archived_once_for_those_they_are_for() {
    let coven = full().await;
    let desk = coven.house.online("carol@one.example/desk").await;
    coven.enter(&desk, "Carol").await;
    coven.house.clear();
    coven.to(&coven.bob, "Carol", SECRET).await;
    for session in [&coven.carol, &desk] {
        assert_eq!(coven.all(session).len(), 1, "{session}");
    }
    let query = "<query xmlns='urn:xmpp:mam:2'/>";
    coven.house.iq(&desk, "set", None, query).await;
    let found = coven.house.all(&desk);
    assert_eq!(found.len(), 2, "the message and the end: {found:?}");
    assert!(found[0].contains("psst") && found[0].contains("coven@rooms.one.example/Bob"));
}

#[tokio::test]
async fn a_private_message_to_a_client_that_is_not_there_is_kept_and_wakes_it() {
    let coven = full().await;
    let enable = "<enable xmlns='urn:xmpp:push:0' jid='push.peer.example' node='n'/>";
    coven.house.iq(&coven.carol, "set", None, enable).await;
    coven.house.away(&coven.carol);
    coven.house.clear();
    coven.to(&coven.bob, "Carol", SECRET).await;
    let pushed = coven.house.take_sent();
    assert!(pushed.contains("to='push.peer.example'"), "{pushed}");
    let carol = coven.house.account("carol").await;
    let kept = coven.house.store().offline_list(carol, 0, 10).await;
    let kept = kept.expect("read");
    assert_eq!(
        kept.len(),
        1,
        "it is in the store before bob is told anything"
    );
    assert_eq!(coven.all(&coven.carol).len(), 1);
}

#[tokio::test]
async fn ext_14_what_is_said_wakes_those_who_are_in_and_not_there() {
    let coven = full().await;
    let enable = |node: &str| {
        format!("<enable xmlns='urn:xmpp:push:0' jid='push.peer.example' node='{node}'/>")
    };
    let tablet = coven.house.online("carol@one.example/tablet").await;
    coven
        .house
        .iq(&coven.carol, "set", None, &enable("phone"))
        .await;
    coven
        .house
        .iq(&tablet, "set", None, &enable("tablet"))
        .await;
    coven.house.clear();
    coven.say(&coven.bob, "there").await;
    coven.house.sent("");
    // The tablet is not in the room; that it is gone does not matter.
    coven.house.away(&coven.carol);
    coven.house.gone(&tablet).await;
    coven.house.clear();
    for nothing in [
        "<message type='groupchat'><subject>x</subject></message>",
        "<message type='groupchat'><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        "<message type='groupchat'><body>x</body><no-store xmlns='urn:xmpp:hints'/></message>",
        "<message type='groupchat'><body>x</body><replace xmlns='urn:xmpp:message-correct:0' id='m'/></message>",
    ] {
        coven.to(&coven.bob, "", nothing).await;
        coven.house.sent("");
    }
    coven.say(&coven.carol, "what she said herself").await;
    coven.house.sent("");
    coven.house.clear();
    coven.say(&coven.bob, "Carol, come").await;
    let pushed = coven.house.take_sent();
    assert!(pushed.contains("<publish node='phone'>"), "{pushed}");
    assert!(!pushed.contains("come"), "{pushed}");
    coven.house.sent("");
    assert_eq!(coven.all(&coven.carol).len(), 1, "and it waits for her");
    // Nobody is woken for whom they have blocked.
    coven.house.later(10);
    let block =
        "<block xmlns='urn:xmpp:blocking'><item jid='coven@rooms.one.example/Bob'/></block>";
    coven.house.iq(&coven.carol, "set", None, block).await;
    coven.house.clear();
    coven.say(&coven.bob, "Carol!").await;
    coven.house.sent("");
    // It is hers to end.
    let disable = "<disable xmlns='urn:xmpp:push:0' jid='push.peer.example'/>";
    coven.house.iq(&coven.carol, "set", None, disable).await;
    coven.house.clear();
    coven.say(&coven.alice, "Carol!").await;
    coven.house.sent("");
}

#[tokio::test]
async fn ext_14_people_of_other_domains_here_are_woken_as_their_domain_has_it() {
    let coven = full().await;
    let dave = coven.house.online("dave@two.example/d").await;
    let enable = "<enable xmlns='urn:xmpp:push:0' jid='push.peer.example' node='n'/>";
    coven.house.iq(&dave, "set", None, enable).await;
    coven.enter(&dave, "Dave").await;
    coven.house.away(&dave);
    coven.house.clear();
    coven.say(&coven.bob, "Dave?").await;
    let pushed = coven.house.take_sent();
    assert!(
        pushed.starts_with("<iq from='dave@two.example' to='push.peer.example'"),
        "{pushed}"
    );
}

#[tokio::test]
async fn ext_19_nobody_gives_ids_in_the_name_of_who_hears_them() {
    let coven = full().await;
    let forged = "<message type='groupchat'><body>x</body><stanza-id xmlns='urn:xmpp:sid:0' by='alice@one.example' id='forged'/></message>";
    coven.to(&coven.bob, "", forged).await;
    assert!(!coven.house.take(&coven.alice).contains("forged"));
}

/// The answer finds the device that has asked, whichever was heard last.
#[tokio::test]
async fn questions_of_somebody_with_two_devices_are_answered_to_the_one_that_asked() {
    let coven = full().await;
    let desk = coven.house.online("alice@one.example/desk").await;
    coven.enter(&desk, "Alice").await;
    coven.house.clear();
    let version = "<query xmlns='jabber:iq:version'/>";
    for asks in [&coven.alice, &desk] {
        let question = format!("<iq type='get' id='same'>{version}</iq>");
        coven.to(asks, "Bob", &question).await;
        let asked = coven.take(&coven.bob);
        let (_, rest) = asked.split_once(" id='").expect("an id");
        let (id, _) = rest.split_once('\'').expect("quoted");
        assert!(id.ends_with("same") && !id.contains("desk"), "{asked}");
        let answer = format!("<iq type='result' id='{id}'>{version}</iq>");
        coven.to(&coven.bob, "Alice", &answer).await;
        assert_eq!(
            coven.take(asks),
            format!("<iq from='{COVEN}/Bob' to='{asks}' type='result' id='same'>{version}</iq>")
        );
        assert!(coven.all(&coven.alice).is_empty() && coven.all(&desk).is_empty());
    }
}
