//! Malformed, oversized, foreign and hostile: the defined error, and nothing changes.

use super::*;
use crate::memory::Limits;

#[tokio::test]
async fn nonsense_is_refused_and_changes_nothing() {
    let coven = Coven::open().await;
    let admin = "http://jabber.org/protocol/muc#admin";
    for (query, condition) in [
        (format!("<query xmlns='{admin}'/>"), "bad-request"),
        (
            format!("<query xmlns='{admin}'><item/></query>"),
            "bad-request",
        ),
        (
            format!(
                "<query xmlns='{admin}'><item affiliation='king' jid='bob@one.example'/></query>"
            ),
            "bad-request",
        ),
        (
            format!("<query xmlns='{admin}'><item affiliation='member' jid='@@'/></query>"),
            "jid-malformed",
        ),
        (
            format!("<query xmlns='{admin}'><item affiliation='member'/></query>"),
            "bad-request",
        ),
        (
            format!("<query xmlns='{admin}'><item nick='Nobody' role='none'/></query>"),
            "item-not-found",
        ),
        (
            format!(
                "<query xmlns='{admin}'>{}</query>",
                "<item affiliation='member' jid='bob@one.example'/>".repeat(101)
            ),
            "policy-violation",
        ),
        (
            "<query xmlns='http://jabber.org/protocol/muc#owner'/>".into(),
            "bad-request",
        ),
        (
            "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy jid='@@'/></query>"
                .into(),
            "jid-malformed",
        ),
        ("<query xmlns='jabber:iq:register'/>".into(), "bad-request"),
        ("<query xmlns='urn:unknown'/>".into(), "service-unavailable"),
    ] {
        coven
            .to(
                &coven.alice,
                "",
                &format!("<iq type='set' id='q'>{query}</iq>"),
            )
            .await;
        coven.got_error(&coven.alice, condition);
    }
    for message in [
        "<message><body>not a group chat</body></message>",
        "<message><x xmlns='http://jabber.org/protocol/muc#user'><invite/></x></message>",
        "<message><x xmlns='jabber:x:data' type='submit'/></message>",
    ] {
        coven.to(&coven.alice, "", message).await;
        coven.got_error(&coven.alice, "bad-request");
    }
    coven
        .to(
            &coven.bob,
            "",
            &format!("<presence><x xmlns='{MUC}'/></presence>"),
        )
        .await;
    coven.got_error(&coven.bob, "jid-malformed");
    coven.say(&coven.alice, "still here").await;
    assert!(coven.take(&coven.alice).contains("still here"));
}

#[tokio::test]
async fn dos_limits_say_their_number() {
    let limits = Limits {
        rooms: 1,
        room_occupants: 1,
        room_people: 2,
        room_presence_bytes: 300,
        ..Limits::default()
    };
    let coven = Coven::of(House::with(limits).await).await;
    coven.enter(&coven.alice, "Alice").await;
    coven.configure("").await;
    coven.house.clear();
    let refused = |who: &Jid, text: &str| {
        let got = coven.take(who);
        assert!(
            got.contains("type='error'") && got.contains(text),
            "{text}: {got}"
        );
    };
    coven
        .house
        .at_service(
            "bob@one.example/b",
            "second@rooms.one.example/Bob",
            &format!("<presence><x xmlns='{MUC}'/></presence>"),
        )
        .await;
    refused(&coven.bob, "1 rooms");
    coven.enter(&coven.bob, "Bob").await;
    refused(&coven.bob, "1 occupants");
    coven.enter_with(&coven.bob, "Bob", &"x".repeat(300)).await;
    refused(&coven.bob, "300 bytes");
    coven.admin(&coven.alice, "<item affiliation='member' jid='a@peer.example'/><item affiliation='member' jid='b@peer.example'/>").await;
    refused(&coven.alice, "2 people");
}

/// Rooms that are kept and rooms that end with their last occupant are counted together.
#[tokio::test]
async fn dos_every_room_counts_once() {
    let limits = Limits {
        rooms: 3,
        ..Limits::default()
    };
    let coven = Coven::of(House::with(limits).await).await;
    let open = async |name: &str| {
        let nick = format!("{name}@rooms.one.example/Alice");
        let enter = format!("<presence><x xmlns='{MUC}'/></presence>");
        coven.house.clear();
        coven
            .house
            .at_service(coven.alice.as_str(), &nick, &enter)
            .await;
        !coven.all(&coven.alice).concat().contains("3 rooms")
    };
    assert!(open("coven").await);
    coven
        .configure(&field("muc#roomconfig_persistentroom", "1"))
        .await;
    assert!(
        open("passing").await,
        "one is kept and in memory, and is one"
    );
    assert!(open("another").await);
    assert!(!open("fourth").await);
}

/// XEP-0045 7.8.2: who was invited declines, once; others reach nobody, and do not learn who is there.
#[tokio::test]
async fn only_who_was_invited_declines() {
    let coven = Coven::open().await;
    let decline = |to: &str, reason: &str| {
        format!(
            "<message><x xmlns='http://jabber.org/protocol/muc#user'><decline to='{to}'><reason>{reason}</reason></decline></x></message>"
        )
    };
    let ban = "<item affiliation='outcast' jid='bob@one.example'/>";
    coven.admin(&coven.alice, ban).await;
    coven.house.clear();
    for who in [&coven.bob, &coven.carol] {
        for to in [
            "coven@rooms.one.example/Alice",
            "coven@rooms.one.example/Nobody",
            "alice@one.example",
        ] {
            coven.to(who, "", &decline(to, "abuse")).await;
            coven.got_error(who, "forbidden");
        }
    }
    assert!(coven.all(&coven.alice).is_empty());
    let invite = "<message><x xmlns='http://jabber.org/protocol/muc#user'><invite to='carol@one.example'/></x></message>";
    coven.to(&coven.alice, "", invite).await;
    coven.house.clear();
    let long = decline("coven@rooms.one.example/Alice", &"x".repeat(2_000));
    coven.to(&coven.carol, "", &long).await;
    let told = coven.take(&coven.alice);
    assert!(
        told.contains("<decline from='carol@one.example'>"),
        "{told}"
    );
    let short = format!("<reason>{}</reason>", "x".repeat(500));
    assert!(told.contains(&short), "{told}");
    coven.to(&coven.carol, "", &long).await;
    coven.got_error(&coven.carol, "forbidden");
}

#[tokio::test]
async fn what_outcasts_and_outsiders_ask_tells_them_nothing() {
    let coven = Coven::open().await;
    coven
        .admin(
            &coven.alice,
            "<item affiliation='outcast' jid='bob@one.example'/>",
        )
        .await;
    coven.house.clear();
    coven
        .to(
            &coven.bob,
            "",
            "<iq type='get' id='i'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
        )
        .await;
    coven.got_error(&coven.bob, "forbidden");
    coven
        .to(
            &coven.bob,
            "Alice",
            "<message type='chat'><body>x</body></message>",
        )
        .await;
    coven.got_error(&coven.bob, "not-acceptable");
    coven
        .to(
            &coven.bob,
            "Alice",
            "<iq type='get' id='v'><query xmlns='jabber:iq:version'/></iq>",
        )
        .await;
    coven.got_error(&coven.bob, "not-acceptable");
    assert!(coven.all(&coven.alice).is_empty());
}

#[tokio::test]
async fn a_domain_that_has_rooms_off_has_none() {
    let house = House::new().await;
    let mut coven = Coven::of(house).await;
    coven
        .house
        .settings(|settings| settings.off = vec!["rooms".into()]);
    coven
        .house
        .iq(
            &coven.bob,
            "get",
            Some("one.example"),
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        )
        .await;
    assert!(!coven.take(&coven.bob).contains("rooms.one.example"));
    coven.enter(&coven.alice, "Alice").await;
    coven.got_error(&coven.alice, "service-unavailable");
}

/// An account answers for the nickname that was asked: not for another one that happens to be the same person.
#[tokio::test]
async fn a_vcard_does_not_tell_that_two_nicknames_are_one_person() {
    let coven = Coven::open().await;
    let there = |jid: &str| Jid::parse(jid).expect("an address");
    let person = there("bob@far.example");
    coven.enter(&there("bob@far.example/desk"), "Bob").await;
    coven.enter(&there("bob@far.example/phone"), "Zelda").await;
    let asked = "<iq type='get' id='v'><vCard xmlns='vcard-temp'/></iq>";
    for nick in ["Bob", "Zelda"] {
        coven.house.clear();
        coven.to(&coven.alice, nick, asked).await;
        let question = coven.house.take_sent();
        assert!(question.contains("to='bob@far.example'"), "{question}");
        let (_, id) = question.split_once(" id='").expect("an id");
        let (id, _) = id.split_once('\'').expect("quoted");
        let answer = format!("<iq type='result' id='{id}'><vCard xmlns='vcard-temp'/></iq>");
        coven.to(&person, "Alice", &answer).await;
        let answer = coven.take(&coven.alice);
        assert!(
            answer.contains(&format!("from='{COVEN}/{nick}'")),
            "{nick}: {answer}"
        );
        assert!(answer.contains("id='v'"), "{answer}");
    }
    // What nobody has asked for goes nowhere.
    coven.house.clear();
    let answer = "<iq type='result' id='v'><vCard xmlns='vcard-temp'/></iq>";
    coven.to(&person, "Alice", answer).await;
    assert!(coven.all(&coven.alice).is_empty());
}
