//! What is told of rooms to those who look for them.

use super::*;

/// What is talked about is for those who may enter, as what is said.
#[tokio::test]
async fn strangers_are_not_told_the_subject_of_a_closed_room() {
    for closed in [
        field("muc#roomconfig_membersonly", "1"),
        field("muc#roomconfig_passwordprotectedroom", "1")
            + &field("muc#roomconfig_roomsecret", "cauldron"),
    ] {
        let coven = Coven::open().await;
        let subject = "<message type='groupchat'><subject>brews</subject></message>";
        coven.to(&coven.alice, "", subject).await;
        let info =
            "<iq type='get' id='i'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
        let told = async |who: &Jid| {
            coven.house.clear();
            coven.to(who, "", info).await;
            let told = coven.take(who);
            assert!(told.contains("muc#roominfo"), "{told}");
            told.contains("brews")
        };
        assert!(told(&coven.bob).await, "open");
        coven.configure(&closed).await;
        assert!(!told(&coven.bob).await, "{closed}");
        assert!(told(&coven.alice).await);
    }
}

/// XEP-0059: a long list comes in pages, in one order.
#[tokio::test]
async fn rooms_are_listed_in_pages() {
    let coven = Coven::new().await;
    let rooms = "rooms.one.example";
    let kept = field("muc#roomconfig_persistentroom", "1");
    for (name, fields) in [
        ("c", ""),
        ("a", kept.as_str()),
        ("b", ""),
        ("d", kept.as_str()),
    ] {
        let room = format!("{name}@{rooms}");
        let enter = format!("<presence><x xmlns='{MUC}'/></presence>");
        let form = format!(
            "<iq type='set' id='c'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>{}{fields}</x></query></iq>",
            field("muc#roomconfig_publicroom", "1")
        );
        let alice = coven.alice.as_str();
        let nick = format!("{room}/Alice");
        coven.house.at_service(alice, &nick, &enter).await;
        coven.house.at_service(alice, &room, &form).await;
    }
    let page = async |set: &str| {
        coven.house.clear();
        let iq = format!(
            "<iq type='get' id='i'><query xmlns='http://jabber.org/protocol/disco#items'>{set}</query></iq>"
        );
        coven.house.at(rooms, coven.bob.as_str(), &iq).await;
        coven.take(&coven.bob)
    };
    let set = |inside: &str| format!("<set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>");
    let names = |answer: &str| -> String {
        let items = answer.split("<item jid='").skip(1);
        items.map(|item| &item[..1]).collect()
    };
    let all = page("").await;
    assert_eq!(names(&all), "abcd");
    assert!(!all.contains("<set"), "all of it: {all}");
    let first = page(&set("<max>2</max>")).await;
    assert_eq!(names(&first), "ab");
    let ends = "<first index='0'>a@rooms.one.example</first><last>b@rooms.one.example</last><count>4</count>";
    assert!(first.contains(ends), "{first}");
    let second = page(&set("<max>2</max><after>b@rooms.one.example</after>")).await;
    assert_eq!(names(&second), "cd");
    assert_eq!(names(&page(&set("<max>1</max><before/>")).await), "d");
    let none = page(&set("<max>0</max>")).await;
    assert!(
        names(&none).is_empty() && none.contains("<count>4</count>"),
        "{none}"
    );
    for (inside, condition) in [
        ("<after>z@rooms.one.example</after>", "item-not-found"),
        ("<max>many</max>", "bad-request"),
        ("<index>1</index>", "feature-not-implemented"),
    ] {
        let refused = page(&set(inside)).await;
        assert!(refused.contains(&format!("<{condition} ")), "{refused}");
    }
}

/// Somebody works on a room for long: whoever looks for rooms is told of it as it was.
#[tokio::test]
async fn looking_for_rooms_waits_for_none_of_them() {
    let coven = Coven::open().await;
    let public = field("muc#roomconfig_publicroom", "1");
    coven.configure(&public).await;
    let cx = coven.house.context("rooms.one.example");
    let place = cx
        .modules
        .rooms
        .place(&Jid::parse(COVEN).expect("an address").bare());
    let turn = place.lock().await;
    let items =
        "<iq type='get' id='i'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>";
    let search = "<iq type='get' id='s'><search xmlns='urn:xmpp:channel-search:0:search'><x xmlns='jabber:x:data' type='submit'>\
        <field var='FORM_TYPE'><value>urn:xmpp:channel-search:0:search-params</value></field>\
        <field var='all'><value>1</value></field></x></search></iq>";
    for asked in [items, search] {
        coven.house.clear();
        let answer = coven
            .house
            .at("rooms.one.example", coven.bob.as_str(), asked);
        // A bound only so that one that waits fails rather than hangs.
        let answered = tokio::time::timeout(std::time::Duration::from_secs(30), answer).await;
        assert!(answered.is_ok(), "waits for the turn: {asked}");
        let told = coven.take(&coven.bob);
        assert!(told.contains(COVEN), "{told}");
    }
    drop(turn);
    coven
        .configure(&field("muc#roomconfig_publicroom", "0"))
        .await;
    coven.house.clear();
    coven
        .house
        .at("rooms.one.example", coven.bob.as_str(), items)
        .await;
    let told = coven.take(&coven.bob);
    assert!(!told.contains(COVEN), "hidden again: {told}");
}
