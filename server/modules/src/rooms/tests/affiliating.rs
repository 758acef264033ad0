//! Who is kicked by whom, whole domains, and who is told of people who are not there.

use super::*;

/// XEP-0045 8.2: who has a lower affiliation kicks nobody of a higher; who has a higher or the same does.
#[tokio::test]
async fn an_owner_puts_out_an_admin_and_an_admin_no_owner() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    let admin = "<item affiliation='admin' jid='bob@one.example'/>";
    coven.admin(&coven.alice, admin).await;
    coven.house.clear();
    coven
        .admin(&coven.bob, "<item nick='Alice' role='none'/>")
        .await;
    coven.got_error(&coven.bob, "not-allowed");
    coven
        .admin(&coven.alice, "<item nick='Bob' role='none'/>")
        .await;
    let seen = coven.take(&coven.bob);
    assert!(seen.contains("<status code='307'/>"), "{seen}");
    assert!(seen.contains("affiliation='admin'"), "that stays: {seen}");
}

/// XEP-0045 9.2: everybody at a domain is banned with it, but for those who are something by themselves.
#[tokio::test]
async fn a_domain_is_banned_as_a_whole() {
    let coven = Coven::open().await;
    let enter = async |jid: &str, nick: &str| {
        let jid = Jid::parse(jid).expect("an address");
        coven.enter(&jid, nick).await;
        jid
    };
    enter("eve@evil.example/x", "Eve").await;
    enter("friend@evil.example/x", "Friend").await;
    let member = "<item affiliation='member' jid='friend@evil.example'/>";
    coven.admin(&coven.alice, member).await;
    coven.house.clear();
    let ban = "<item affiliation='outcast' jid='evil.example'><reason>spam</reason></item>";
    coven.admin(&coven.alice, ban).await;
    let seen = coven.all(&coven.alice).concat();
    assert!(
        seen.contains(&format!("from='{COVEN}/Eve'")) && seen.contains("<status code='301'/>"),
        "{seen}"
    );
    assert!(!seen.contains("/Friend"), "{seen}");
    coven.house.clear();
    enter("other@evil.example/x", "Other").await;
    coven
        .house
        .sent_error(&format!("{COVEN}/Other"), "forbidden");
    // A member no more, and out with the others.
    let none = "<item affiliation='none' jid='friend@evil.example'/>";
    coven.admin(&coven.alice, none).await;
    assert!(
        coven
            .all(&coven.alice)
            .concat()
            .contains("<status code='301'/>")
    );
    for affiliation in ["member", "admin", "owner"] {
        let item = format!("<item affiliation='{affiliation}' jid='peer.example'/>");
        coven.admin(&coven.alice, &item).await;
        coven.got_error(&coven.alice, "not-acceptable");
    }
    let pardon = "<item affiliation='none' jid='evil.example'/>";
    coven.admin(&coven.alice, pardon).await;
    coven.house.clear();
    enter("other@evil.example/x", "Other").await;
    assert!(coven.all(&coven.alice).concat().contains("/Other"));
}

/// XEP-0045 9.3 and others: what presence does not show, as nobody is there, is said by the room.
#[tokio::test]
async fn e2e_08_affiliations_of_people_who_are_not_there_are_told_to_who_may_know() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    let told = |who: &Jid, affiliation: &str| {
        format!(
            "<message from='{COVEN}' to='{who}'><x xmlns='http://jabber.org/protocol/muc#user'>\
             <item affiliation='{affiliation}' jid='carol@one.example' role='none'/></x>\
             <no-store xmlns='urn:xmpp:hints'/></message>"
        )
    };
    let item =
        |affiliation: &str| format!("<item affiliation='{affiliation}' jid='carol@one.example'/>");
    coven.admin(&coven.alice, &item("member")).await;
    assert_eq!(coven.take(&coven.alice), told(&coven.alice, "member"));
    assert!(
        coven.all(&coven.bob).is_empty(),
        "addresses are not for everybody here"
    );
    let open = field("muc#roomconfig_whois", "anyone")
        + &field("muc#roomconfig_membersonly", "1")
        + &field("muc#roomconfig_allowinvites", "1");
    let member = "<item affiliation='member' jid='bob@one.example'/>";
    coven.admin(&coven.alice, member).await;
    coven.configure(&open).await;
    for affiliation in ["admin", "owner", "outcast", "none"] {
        coven.house.clear();
        coven.admin(&coven.alice, &item(affiliation)).await;
        for who in [&coven.alice, &coven.bob] {
            let all = coven.all(who);
            assert!(
                all.contains(&told(who, affiliation)),
                "{affiliation}: {all:?}"
            );
        }
    }
    // Once, and not for what is as it was.
    coven.admin(&coven.alice, &item("none")).await;
    assert!(coven.all(&coven.bob).is_empty());
    // Whom an invitation makes a member (7.8.2), those who encrypt have to know of.
    let invite = "<message><x xmlns='http://jabber.org/protocol/muc#user'><invite to='carol@one.example'/></x></message>";
    coven.house.clear();
    coven.to(&coven.alice, "", invite).await;
    assert_eq!(coven.all(&coven.bob), [told(&coven.bob, "member")]);
}

/// XEP-0045 9.5: whoever becomes a member of a room for members hears of it, with what it takes to get in; nobody else does.
#[tokio::test]
async fn ext_25_a_new_member_of_a_room_for_members_is_invited() {
    let coven = Coven::open().await;
    let bob = "<item affiliation='member' jid='bob@one.example'/>";
    coven.admin(&coven.alice, bob).await;
    assert!(coven.all(&coven.bob).is_empty(), "everybody may come");
    let closed = field("muc#roomconfig_membersonly", "1")
        + &field("muc#roomconfig_passwordprotectedroom", "1")
        + &field("muc#roomconfig_roomsecret", "cauldronburn");
    coven.configure(&closed).await;
    coven.house.clear();
    coven.admin(&coven.alice, bob).await;
    assert!(coven.all(&coven.bob).is_empty(), "a member is one already");
    let carol = "<item affiliation='member' jid='carol@one.example'/>";
    coven.admin(&coven.alice, carol).await;
    let told = coven.take(&coven.carol);
    assert!(
        told.contains("<invite from='") && told.contains("<password>cauldronburn</password>"),
        "{told}"
    );
}
