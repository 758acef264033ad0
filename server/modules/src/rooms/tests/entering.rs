//! Coming and going.

use super::*;

fn there(nick: &str, item: &str) -> String {
    format!(
        "<presence from='{COVEN}/{nick}' to='TO'><x xmlns='http://jabber.org/protocol/muc#user'>{item}</x></presence>"
    )
}

#[tokio::test]
async fn ext_23_a_newcomer_is_shown_others_self_history_subject() {
    let coven = Coven::open().await;
    coven.say(&coven.alice, "before").await;
    coven.house.clear();
    coven.enter(&coven.bob, "Bob").await;
    let got = coven.all(&coven.bob);
    assert_eq!(got.len(), 4, "{got:?}");
    assert_eq!(
        got[0],
        there("Alice", "<item affiliation='owner' role='moderator'/>")
            .replace("TO", "bob@one.example/b"),
        "and no address of hers: the room is semi-anonymous"
    );
    assert_eq!(
        got[1],
        there(
            "Bob",
            "<item affiliation='none' role='participant' jid='bob@one.example/b'/><status code='110'/>"
        )
        .replace("TO", "bob@one.example/b")
    );
    assert!(
        got[2].contains("<body>before</body>")
            && got[2].contains(&format!(
                "<delay xmlns='urn:xmpp:delay' from='{COVEN}' stamp='2026-01-01T00:00:00Z'/>"
            )),
        "{}",
        got[2]
    );
    assert_eq!(
        got[3],
        format!(
            "<message from='{COVEN}' to='bob@one.example/b' type='groupchat'><subject/></message>"
        )
    );
    // A moderator sees who it is.
    assert_eq!(
        coven.take(&coven.alice),
        there(
            "Bob",
            "<item affiliation='none' role='participant' jid='bob@one.example/b'/>"
        )
        .replace("TO", "alice@one.example/a")
    );
}

#[tokio::test]
async fn ext_24_a_new_room_is_locked_until_its_owner_has_chosen() {
    let coven = Coven::new().await;
    coven.enter(&coven.alice, "Alice").await;
    let own = coven.take(&coven.alice);
    assert!(
        own.ends_with("<status code='110'/><status code='201'/></x></presence>"),
        "{own}"
    );
    coven.enter(&coven.bob, "Bob").await;
    coven.got_error(&coven.bob, "item-not-found");
    coven.house.clear();
    coven.configure("").await;
    assert_eq!(
        coven.take(&coven.alice),
        format!("<iq from='{COVEN}' to='alice@one.example/a' type='result' id='c'/>")
    );
    coven.enter(&coven.bob, "Bob").await;
    assert!(coven.take(&coven.bob).contains("/Alice'"));
}

#[tokio::test]
async fn ext_24_each_refusal_has_its_condition() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "alice").await;
    coven.got_error(&coven.bob, "conflict");
    coven.enter(&coven.bob, "ALICE").await;
    coven.got_error(&coven.bob, "conflict");

    coven
        .configure(
            &(field("muc#roomconfig_passwordprotectedroom", "1")
                + &field("muc#roomconfig_roomsecret", "cauldron")),
        )
        .await;
    coven.enter(&coven.bob, "Bob").await;
    coven.got_error(&coven.bob, "not-authorized");
    coven
        .enter_with(&coven.bob, "Bob", "<password>kettle</password>")
        .await;
    coven.got_error(&coven.bob, "not-authorized");
    coven
        .enter_with(&coven.bob, "Bob", "<password>cauldron</password>")
        .await;
    assert!(!coven.take(&coven.bob).contains("error"));
    coven
        .to(&coven.bob, "Bob", "<presence type='unavailable'/>")
        .await;
    coven
        .configure(&field("muc#roomconfig_passwordprotectedroom", "0"))
        .await;
    coven.house.clear();

    coven
        .configure(&field("muc#roomconfig_membersonly", "1"))
        .await;
    coven.enter(&coven.bob, "Bob").await;
    coven.got_error(&coven.bob, "registration-required");
    coven
        .configure(&field("muc#roomconfig_membersonly", "0"))
        .await;

    coven
        .configure(&field("muc#roomconfig_maxusers", "1"))
        .await;
    coven.enter(&coven.bob, "Bob").await;
    coven.got_error(&coven.bob, "service-unavailable");
    coven
        .configure(&field("muc#roomconfig_maxusers", "10"))
        .await;

    coven
        .admin(
            &coven.alice,
            "<item affiliation='outcast' jid='bob@one.example'/>",
        )
        .await;
    coven.enter(&coven.bob, "Bob").await;
    coven.got_error(&coven.bob, "forbidden");
}

#[tokio::test]
async fn ext_24_strangers_open_no_rooms() {
    let coven = Coven::new().await;
    let presence = format!("<presence><x xmlns='{MUC}'/></presence>");
    for from in ["romeo@peer.example/x", "dave@two.example/d"] {
        coven
            .house
            .at_service(from, &format!("{COVEN}/R"), &presence)
            .await;
    }
    coven.house.sent_error(&format!("{COVEN}/R"), "not-allowed");
}

#[tokio::test]
async fn a_room_from_elsewhere_is_entered_and_left_over_federation() {
    let coven = Coven::open().await;
    let to = format!("{COVEN}/Romeo");
    coven
        .house
        .at_service(
            "romeo@peer.example/x",
            &to,
            &format!("<presence><x xmlns='{MUC}'/></presence>"),
        )
        .await;
    assert!(
        coven
            .house
            .take_sent()
            .contains(&format!("from='{COVEN}/Alice' to='romeo@peer.example/x'"))
    );
    assert!(coven.house.take_sent().contains("<status code='110'/>"));
    coven.house.clear();
    coven
        .house
        .at_service(
            "romeo@peer.example/x",
            &to,
            "<presence type='unavailable'><status>bye</status></presence>",
        )
        .await;
    let seen = coven.take(&coven.alice);
    assert!(
        seen.contains("type='unavailable'")
            && seen.contains("<status>bye</status>")
            && seen.contains("role='none'"),
        "{seen}"
    );
}

#[tokio::test]
async fn who_is_there_twice_is_one_occupant() {
    let coven = Coven::open().await;
    let tablet = coven.house.online("alice@one.example/tablet").await;
    coven.enter(&coven.bob, "Bob").await;
    coven.enter(&tablet, "Alice").await;
    coven.house.clear();
    coven.say(&coven.bob, "to both").await;
    assert!(coven.take(&coven.alice).contains("to both"));
    assert!(coven.take(&tablet).contains("to both"));
    coven.house.clear();
    coven
        .to(&tablet, "Alice", "<presence type='unavailable'/>")
        .await;
    assert!(
        !coven.take(&coven.bob).contains("unavailable"),
        "she is still there"
    );
    assert!(coven.take(&tablet).contains("type='unavailable'"));
}

#[tokio::test]
async fn a_nickname_is_changed_and_kept_apart() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    coven.to(&coven.bob, "Robert", "<presence/>").await;
    let got = coven.all(&coven.bob);
    assert_eq!(got.len(), 2, "{got:?}");
    assert!(
        got[0].contains(&format!("from='{COVEN}/Bob'")) && got[0].contains("nick='Robert'"),
        "{}",
        got[0]
    );
    assert!(
        got[0].ends_with("<status code='110'/><status code='303'/></x></presence>"),
        "{}",
        got[0]
    );
    assert!(
        got[1].contains(&format!("from='{COVEN}/Robert'"))
            && got[1].contains("<status code='110'/>"),
        "{}",
        got[1]
    );
    let others = coven.all(&coven.alice);
    assert!(
        others[0].contains("303") && !others[0].contains("110") && others.len() == 2,
        "{others:?}"
    );
    coven.to(&coven.bob, "Alice", "<presence/>").await;
    coven.got_error(&coven.bob, "conflict");
}

#[tokio::test]
async fn history_is_as_long_as_the_newcomer_wants() {
    let coven = Coven::open().await;
    for n in 0..5 {
        coven.say(&coven.alice, &format!("m{n}")).await;
        coven.house.later(60);
    }
    let bodies = |got: Vec<String>| -> Vec<String> {
        let said = got.into_iter().filter(|xml| xml.contains("<body>"));
        said.map(|xml| {
            xml.split("body>")
                .nth(1)
                .expect("text")
                .trim_end_matches("</")
                .to_owned()
        })
        .collect()
    };
    for (wish, expected) in [
        ("", vec!["m0", "m1", "m2", "m3", "m4"]),
        ("<history maxstanzas='2'/>", vec!["m3", "m4"]),
        ("<history maxchars='0'/>", vec![]),
        ("<history seconds='150'/>", vec!["m3", "m4"]),
        ("<history since='2026-01-01T00:02:30Z'/>", vec!["m3", "m4"]),
        (
            "<history since='nonsense' maxstanzas='many'/>",
            vec!["m0", "m1", "m2", "m3", "m4"],
        ),
    ] {
        coven.enter_with(&coven.bob, "Bob", wish).await;
        assert_eq!(bodies(coven.all(&coven.bob)), expected, "{wish}");
        coven
            .to(&coven.bob, "Bob", "<presence type='unavailable'/>")
            .await;
        coven.house.clear();
    }
}

#[tokio::test]
async fn a_persistent_room_is_there_when_everybody_has_left_and_another_is_not() {
    let coven = Coven::open().await;
    let chosen = field("muc#roomconfig_persistentroom", "1")
        + &field("muc#roomconfig_roomname", "Witches")
        + &field("muc#roomconfig_publicroom", "1")
        + &field("muc#roomconfig_changesubject", "1");
    coven.configure(&chosen).await;
    coven.enter(&coven.bob, "Bob").await;
    coven
        .to(
            &coven.bob,
            "",
            "<message type='groupchat'><subject>brews</subject></message>",
        )
        .await;
    for (who, nick) in [(&coven.alice, "Alice"), (&coven.bob, "Bob")] {
        coven.to(who, nick, "<presence type='unavailable'/>").await;
    }
    coven.house.clear();
    coven.enter(&coven.bob, "Bob").await;
    let got = coven.all(&coven.bob);
    assert!(!got[0].contains("201"), "it was there: {got:?}");
    assert!(
        got[1].contains("<subject>brews</subject>") && got[1].contains("<delay "),
        "{got:?}"
    );
    let (_, row, people) = coven
        .house
        .store()
        .room_load("coven")
        .await
        .expect("read")
        .expect("kept");
    assert_eq!((row.name.as_str(), row.listed), ("Witches", true));
    assert_eq!(people.len(), 1);
    assert_eq!(people[0].affiliation, "owner");

    coven.enter(&coven.alice, "Alice").await;
    coven
        .configure(&field("muc#roomconfig_persistentroom", "0"))
        .await;
    for (who, nick) in [(&coven.alice, "Alice"), (&coven.bob, "Bob")] {
        coven.to(who, nick, "<presence type='unavailable'/>").await;
    }
    assert!(
        coven
            .house
            .store()
            .room_load("coven")
            .await
            .expect("read")
            .is_none()
    );
    coven.house.clear();
    coven.enter(&coven.bob, "Bob").await;
    assert!(
        coven.take(&coven.bob).contains("<status code='201'/>"),
        "a new one, bob's"
    );
}

#[tokio::test]
async fn a_session_that_ends_leaves_its_rooms() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven
        .house
        .presence(&coven.bob, &format!("<presence to='{COVEN}/Bob'/>"))
        .await;
    coven.house.clear();
    coven.house.gone(&coven.bob).await;
    let seen = coven.all(&coven.alice);
    assert!(
        seen.iter()
            .any(|xml| xml.contains(&format!("from='{COVEN}/Bob'"))
                && xml.contains("type='unavailable'")),
        "{seen:?}"
    );
}

#[tokio::test]
async fn ext_25_whom_nothing_reaches_is_taken_out() {
    let coven = Coven::open().await;
    let romeo = Jid::parse("romeo@peer.example/orchard").expect("an address");
    for (who, nick) in [(&coven.bob, "Bob"), (&romeo, "Romeo")] {
        coven.enter(who, nick).await;
    }
    coven.house.clear();
    let error = "<message type='error'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>";
    coven.to(&coven.bob, "Alice", error).await;
    assert!(
        coven.all(&coven.alice).is_empty(),
        "a session of this process is there, whatever it could not be told"
    );
    coven.to(&romeo, "Alice", error).await;
    let seen = coven.take(&coven.alice);
    assert!(
        seen.contains("type='unavailable'")
            && seen.contains("<status code='307'/><status code='333'/>"),
        "{seen}"
    );
    coven.house.clear();
    coven.say(&romeo, "hello").await;
    coven.house.sent_error(COVEN, "not-acceptable");
}

#[tokio::test]
async fn ext_27_who_is_in_is_told_so_and_who_is_not_too() {
    let coven = Coven::open().await;
    let ping = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
    coven.to(&coven.alice, "Alice", ping).await;
    assert_eq!(
        coven.take(&coven.alice),
        format!("<iq from='{COVEN}/Alice' to='alice@one.example/a' type='result' id='p'/>")
    );
    coven.to(&coven.bob, "Bob", ping).await;
    coven.got_error(&coven.bob, "not-acceptable");
    coven
        .house
        .at_service("bob@one.example/b", "nowhere@rooms.one.example/Bob", ping)
        .await;
    coven.got_error(&coven.bob, "not-acceptable");
}

/// XEP-0045 7.2.18: whose client believes to be in a room, and is not, hears that it is out, where the room is there and where not.
#[tokio::test]
async fn ext_27_presence_of_who_is_not_in_a_room_is_answered_with_the_end_of_it() {
    let coven = Coven::open().await;
    coven.to(&coven.bob, "Bob", "<presence/>").await;
    let told = coven.take(&coven.bob);
    let out = "type='unavailable'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'>";
    let codes = "<status code='110'/><status code='307'/><status code='333'/>";
    assert!(told.contains(out) && told.contains(codes), "{told}");
    assert!(coven.all(&coven.alice).is_empty());
    let nowhere = "nowhere@rooms.one.example/Bob";
    coven
        .house
        .at_service("bob@one.example/b", nowhere, "<presence/>")
        .await;
    let told = coven.take(&coven.bob);
    assert!(
        told.contains(&format!("from='{nowhere}'")) && told.contains(codes),
        "{told}"
    );
}

/// XEP-0045 18.1.1: everything passes through our rooms, so nothing is listed.
#[tokio::test]
async fn ext_23_what_passes_through_a_room_is_not_limited() {
    let coven = Coven::open().await;
    let asked = "<iq type='get' id='t'><query xmlns='http://jabber.org/protocol/disco#info' node='http://jabber.org/protocol/muc#traffic'/></iq>";
    coven
        .house
        .at_service("bob@one.example/b", COVEN, asked)
        .await;
    coven.got_error(&coven.bob, "service-unavailable");
}

#[tokio::test]
async fn ext_23_whoever_comes_is_shown_what_the_others_are_now() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    // What is said of Bob is kept as it was written: each time something about him has changed since.
    let seen = async || {
        coven.house.clear();
        coven.enter(&coven.carol, "Carol").await;
        let all = coven.all(&coven.carol);
        let leave = "<presence type='unavailable'/>";
        coven.to(&coven.carol, "Carol", leave).await;
        let bob = all.into_iter().find(|stanza| stanza.contains("/Bob'"));
        bob.expect("Bob is there")
    };
    let plain = "<item affiliation='none' role='participant'/>";
    for _ in 0..2 {
        let bob = seen().await;
        assert!(bob.contains(plain), "{bob}");
    }
    let moderator = "<item nick='Bob' role='moderator'/>";
    coven.admin(&coven.alice, moderator).await;
    let bob = seen().await;
    assert!(bob.contains("role='moderator'"), "{bob}");
    let member = "<item affiliation='member' jid='bob@one.example'/>";
    coven.admin(&coven.alice, member).await;
    let bob = seen().await;
    assert!(bob.contains("affiliation='member'"), "{bob}");
    let away = "<presence><show>away</show></presence>";
    coven.to(&coven.bob, "Bob", away).await;
    let bob = seen().await;
    assert!(bob.contains("<show>away</show>"), "{bob}");
    coven
        .configure(&field("muc#roomconfig_whois", "anyone"))
        .await;
    let bob = seen().await;
    assert!(bob.contains("jid='bob@one.example/b'"), "{bob}");
}
