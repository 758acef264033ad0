//! Becoming a member by asking (XEP-0045 7.10): who may do it alone, and whom it must not help.

use super::*;
use crate::memory::Limits;

fn register(nick: &str) -> String {
    format!(
        "<iq type='set' id='r'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>{}</x></query></iq>",
        field("muc#register_roomnick", nick)
    )
}

fn decided(who: &str, nick: &str, allow: &str) -> String {
    format!(
        "<message><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>{}{}{}</x></message>",
        field("muc#register_jid", who),
        field("muc#register_roomnick", nick),
        field("muc#register_allow", allow)
    )
}

/// XEP-0045 5.1: voice in a moderated room is the moderators' to give.
#[tokio::test]
async fn ext_25_nobody_gives_themselves_voice_by_registering() {
    let coven = Coven::open().await;
    coven
        .configure(&field("muc#roomconfig_moderatedroom", "1"))
        .await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    coven.to(&coven.bob, "", &register("Bob")).await;
    assert!(coven.take(&coven.bob).contains("type='result'"));
    let asked = coven.take(&coven.alice);
    assert!(asked.contains("<value>bob@one.example</value>"), "{asked}");
    coven.to(&coven.bob, "", &register("Bobby")).await;
    coven.house.clear();
    coven.say(&coven.bob, "no voice").await;
    coven.got_error(&coven.bob, "forbidden");
    assert!(coven.all(&coven.alice).is_empty(), "asked once");
    let allow = decided("bob@one.example", "Bob", "1");
    coven.to(&coven.alice, "", &allow).await;
    coven.house.clear();
    coven.say(&coven.bob, "voice").await;
    assert!(coven.take(&coven.alice).contains("voice"));
}

/// People of other domains are asked about in every room: they do not fill its list by themselves.
#[tokio::test]
async fn dos_10_strangers_do_not_fill_a_rooms_list() {
    let coven = Coven::open().await;
    for n in 0..150 {
        let from = format!("s{n}@peer.example/x");
        let nick = format!("S{n}");
        coven.house.at_service(&from, COVEN, &register(&nick)).await;
    }
    let last = std::iter::from_fn(|| Some(coven.house.take_sent()).filter(|xml| !xml.is_empty()))
        .last()
        .expect("an answer");
    assert!(last.contains("100 people wait"), "{last}");
    let asked = coven.all(&coven.alice);
    assert_eq!(asked.len(), 100, "{:?}", asked.last());
    let list = "<iq type='get' id='l'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member'/></query></iq>";
    coven.to(&coven.alice, "", list).await;
    let members = coven.take(&coven.alice);
    assert!(!members.contains("<item"), "{members}");
    // Who is refused may ask again later; who waits asks once.
    let refuse = decided("s3@peer.example", "S3", "0");
    coven.to(&coven.alice, "", &refuse).await;
    for n in [3, 4] {
        let from = format!("s{n}@peer.example/x");
        coven.house.at_service(&from, COVEN, &register("S")).await;
    }
    assert_eq!(coven.all(&coven.alice).len(), 1);
}

/// A list full of members has room for those who keep order, and for those who are kept out.
#[tokio::test]
async fn dos_10_a_full_list_keeps_nobody_from_keeping_order() {
    let limits = Limits {
        room_people: 2,
        ..Limits::default()
    };
    let coven = Coven::of(House::with(limits).await).await;
    coven.enter(&coven.alice, "Alice").await;
    coven.configure("").await;
    let member = "<item affiliation='member' jid='carol@one.example'/>";
    coven.admin(&coven.alice, member).await;
    coven.house.clear();
    for item in [
        "<item affiliation='outcast' jid='eve@peer.example'/>",
        "<item affiliation='admin' jid='bob@one.example'/>",
    ] {
        coven.admin(&coven.alice, item).await;
        let got = coven.all(&coven.alice).concat();
        assert!(got.contains("type='result'"), "{item}: {got}");
    }
    let member = "<item affiliation='member' jid='dave@one.example'/>";
    coven.admin(&coven.alice, member).await;
    let got = coven.take(&coven.alice);
    assert!(got.contains("2 people"), "{got}");
}

/// A nickname is free again when whoever had it reserved has given it back, or another; two never have the same.
#[tokio::test]
async fn a_reserved_nickname_is_one_persons() {
    let coven = Coven::open().await;
    coven.to(&coven.bob, "", &register("Hag")).await;
    coven.to(&coven.bob, "", &register("Crone")).await;
    coven.house.clear();
    coven.enter(&coven.carol, "Crone").await;
    coven.got_error(&coven.carol, "conflict");
    coven.enter(&coven.carol, "Hag").await;
    assert!(coven.all(&coven.carol).concat().contains("code='110'"));
    let remove = "<iq type='set' id='r'><query xmlns='jabber:iq:register'><remove/></query></iq>";
    coven.to(&coven.bob, "", remove).await;
    coven.house.clear();
    coven.enter(&coven.carol, "Crone").await;
    assert!(coven.all(&coven.carol).concat().contains("nick='Crone'"));
    let twice = "<item affiliation='member' jid='a@peer.example' nick='Witch'/><item affiliation='member' jid='b@peer.example' nick='witch'/>";
    coven.admin(&coven.alice, twice).await;
    let got = coven.all(&coven.alice).concat();
    assert!(got.contains("<conflict "), "{got}");
}
