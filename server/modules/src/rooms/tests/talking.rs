//! What is said.

use super::*;

#[tokio::test]
async fn a_message_goes_to_everybody_once_its_sender_included() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    coven
        .to(
            &coven.bob,
            "",
            "<message type='groupchat' id='m1'><body>double</body></message>",
        )
        .await;
    for who in [&coven.alice, &coven.bob] {
        let expected = format!(
            "<message from='{COVEN}/Bob' to='{who}' type='groupchat' id='m1'><body>double</body></message>"
        );
        assert_eq!(coven.all(who), [expected]);
    }
    assert!(coven.all(&coven.carol).is_empty());
}

#[tokio::test]
async fn ext_26_occupant_ids_are_the_room_s_and_stable() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    let forged = "<message type='groupchat'><body>x</body><occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/>\
                  <x xmlns='http://jabber.org/protocol/muc#user'><status code='307'/></x>\
                  <stanza-id xmlns='urn:xmpp:sid:0' by='coven@rooms.one.example' id='forged'/>\
                  <delay xmlns='urn:xmpp:delay' from='coven@rooms.one.example' stamp='2001-01-01T00:00:00Z'/></message>";
    let id = |xml: String| {
        assert!(
            !xml.contains("forged") && !xml.contains("307") && !xml.contains("2001"),
            "{xml}"
        );
        let (_, rest) = xml
            .split_once("<occupant-id xmlns='urn:xmpp:occupant-id:0' id='")
            .expect("an id");
        rest.split_once('\'').expect("quoted").0.to_owned()
    };
    coven.to(&coven.bob, "", forged).await;
    let first = id(coven.house.take(&coven.alice));
    assert!(first.len() <= 128);
    coven.to(&coven.bob, "Bobby", "<presence/>").await;
    coven.house.clear();
    coven.say(&coven.bob, "again").await;
    assert_eq!(
        id(coven.house.take(&coven.alice)),
        first,
        "whatever the nickname"
    );
    coven.say(&coven.alice, "me").await;
    coven.house.take(&coven.bob);
    assert_ne!(id(coven.house.take(&coven.bob)), first);
}

#[tokio::test]
async fn ext_25_only_who_is_in_speaks() {
    let coven = Coven::open().await;
    coven.say(&coven.bob, "hello").await;
    coven.got_error(&coven.bob, "not-acceptable");
    assert!(coven.all(&coven.alice).is_empty());
    coven
        .house
        .at_service(
            "bob@one.example/b",
            "nowhere@rooms.one.example",
            "<message type='groupchat'><body>x</body></message>",
        )
        .await;
    coven.got_error(&coven.bob, "item-not-found");
}

#[tokio::test]
async fn private_messages_stay_private_and_may_be_forbidden() {
    let coven = Coven::open().await;
    for (who, nick) in [(&coven.bob, "Bob"), (&coven.carol, "Carol")] {
        coven.enter(who, nick).await;
    }
    coven.house.clear();
    let secret = "<message type='chat' id='s'><body>psst</body></message>";
    coven.to(&coven.bob, "Carol", secret).await;
    assert_eq!(
        coven.all(&coven.carol),
        [format!(
            "<message from='{COVEN}/Bob' to='carol@one.example/c' type='chat' id='s'><body>psst</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>"
        )]
    );
    assert!(coven.all(&coven.alice).is_empty());
    coven.to(&coven.bob, "Nobody", secret).await;
    coven.got_error(&coven.bob, "item-not-found");
    coven
        .to(
            &coven.bob,
            "Carol",
            "<message type='groupchat'><body>x</body></message>",
        )
        .await;
    coven.got_error(&coven.bob, "bad-request");
    coven
        .configure(&field("muc#roomconfig_allowpm", "none"))
        .await;
    coven.house.clear();
    coven.to(&coven.bob, "Carol", secret).await;
    coven.got_error(&coven.bob, "forbidden");
}

#[tokio::test]
async fn the_subject_is_the_moderators_unless_the_owner_says_otherwise() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    let subject = "<message type='groupchat'><subject>brews</subject></message>";
    coven.to(&coven.bob, "", subject).await;
    coven.got_error(&coven.bob, "forbidden");
    coven.to(&coven.alice, "", subject).await;
    assert_eq!(
        coven.take(&coven.bob),
        format!(
            "<message from='{COVEN}/Alice' to='bob@one.example/b' type='groupchat'><subject>brews</subject></message>"
        )
    );
    coven
        .configure(&field("muc#roomconfig_changesubject", "1"))
        .await;
    coven.house.clear();
    coven
        .to(
            &coven.bob,
            "",
            "<message type='groupchat'><subject/></message>",
        )
        .await;
    assert!(coven.take(&coven.alice).contains("<subject/>"));
}

#[tokio::test]
async fn an_invitation_makes_a_member_where_that_is_needed() {
    let coven = Coven::open().await;
    coven
        .configure(
            &(field("muc#roomconfig_membersonly", "1")
                + &field("muc#roomconfig_roomsecret", "cauldron")),
        )
        .await;
    coven.house.clear();
    let invite = "<message><x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob@one.example'><reason>come</reason></invite></x></message>";
    coven.to(&coven.carol, "", invite).await;
    coven.got_error(&coven.carol, "not-acceptable");
    coven.to(&coven.alice, "", invite).await;
    // To the account, by the rules of delivery: nothing of it is lost while nobody is there.
    let invitation = coven.take(&coven.bob);
    assert_eq!(
        invitation,
        format!(
            "<message from='{COVEN}' to='bob@one.example'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='{COVEN}/Alice'><reason>come</reason></invite><password>cauldron</password></x></message>"
        )
    );
    coven
        .enter_with(&coven.bob, "Bob", "<password>cauldron</password>")
        .await;
    assert!(coven.take(&coven.bob).contains("/Alice'"));
    coven.house.clear();
    // A member may invite only where the owner allows it.
    let invite = invite.replace("bob@", "carol@");
    coven.to(&coven.bob, "", &invite).await;
    coven.got_error(&coven.bob, "forbidden");
    coven
        .configure(&field("muc#roomconfig_allowinvites", "1"))
        .await;
    coven.house.clear();
    coven.to(&coven.bob, "", &invite).await;
    assert!(coven.take(&coven.carol).contains("<invite "));
    let decline = "<message><x xmlns='http://jabber.org/protocol/muc#user'><decline to='coven@rooms.one.example/Bob'><reason>busy</reason></decline></x></message>";
    coven.to(&coven.carol, "", decline).await;
    assert!(
        coven
            .take(&coven.bob)
            .contains("<decline from='carol@one.example'><reason>busy</reason></decline>")
    );
}

#[tokio::test]
async fn voice_is_asked_for_and_given() {
    let coven = Coven::open().await;
    coven
        .configure(&field("muc#roomconfig_moderatedroom", "1"))
        .await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    coven.say(&coven.bob, "may I").await;
    coven.got_error(&coven.bob, "forbidden");
    let form = |fields: &str| {
        format!(
            "<message><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value></field>{fields}</x></message>"
        )
    };
    coven
        .to(&coven.bob, "", &form(&field("muc#role", "participant")))
        .await;
    let asked = coven.take(&coven.alice);
    assert!(
        asked.contains(
            "<field var='muc#roomnick' type='text-single' label='Nickname'><value>Bob</value>"
        ),
        "{asked}"
    );
    let grant = form(&(field("muc#roomnick", "Bob") + &field("muc#request_allow", "1")));
    coven.to(&coven.bob, "", &grant).await;
    coven.got_error(&coven.bob, "forbidden");
    coven.to(&coven.alice, "", &grant).await;
    assert!(coven.take(&coven.bob).contains("role='participant'"));
    coven.house.clear();
    coven.say(&coven.bob, "thanks").await;
    assert!(coven.take(&coven.alice).contains("thanks"));
}

#[tokio::test]
async fn questions_to_an_occupant_are_passed_on_under_the_nickname() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    coven
        .to(
            &coven.alice,
            "Bob",
            "<iq type='get' id='v'><query xmlns='jabber:iq:version'/></iq>",
        )
        .await;
    assert_eq!(
        coven.take(&coven.bob),
        format!(
            "<iq from='{COVEN}/Alice' to='bob@one.example/b' type='get' id='v'><query xmlns='jabber:iq:version'/></iq>"
        )
    );
    coven
        .to(
            &coven.bob,
            "Alice",
            "<iq type='result' id='v'><query xmlns='jabber:iq:version'/></iq>",
        )
        .await;
    assert!(coven.take(&coven.alice).starts_with(&format!(
        "<iq from='{COVEN}/Bob' to='alice@one.example/a' type='result' id='v'"
    )));
    coven
        .to(
            &coven.carol,
            "Bob",
            "<iq type='get' id='v'><query xmlns='jabber:iq:version'/></iq>",
        )
        .await;
    coven.got_error(&coven.carol, "not-acceptable");
}
