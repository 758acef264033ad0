//! Who may do what to whom.

use super::*;

#[tokio::test]
async fn ext_25_who_is_put_out_is_told_why_and_by_whom() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.enter(&coven.carol, "Carol").await;
    coven.house.clear();
    coven
        .admin(
            &coven.alice,
            "<item nick='Bob' role='none'><reason>noise</reason></item>",
        )
        .await;
    let kicked = coven.take(&coven.bob);
    assert!(
        kicked.contains("type='unavailable'") && kicked.contains("role='none'"),
        "{kicked}"
    );
    assert!(kicked.contains("<actor nick='Alice'/><reason>noise</reason></item><status code='110'/><status code='307'/>"), "{kicked}");
    let seen = coven.take(&coven.carol);
    assert!(
        seen.contains("<status code='307'/>") && !seen.contains("110") && !seen.contains("bob@"),
        "{seen}"
    );

    coven
        .admin(
            &coven.alice,
            "<item affiliation='outcast' jid='carol@one.example'/>",
        )
        .await;
    assert!(
        coven
            .take(&coven.carol)
            .contains("<status code='110'/><status code='301'/>")
    );
}

#[tokio::test]
async fn ext_25_members_only_puts_out_who_is_none() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.enter(&coven.carol, "Carol").await;
    coven
        .admin(
            &coven.alice,
            "<item affiliation='member' jid='carol@one.example'/>",
        )
        .await;
    coven.house.clear();
    coven
        .configure(&field("muc#roomconfig_membersonly", "1"))
        .await;
    assert!(coven.take(&coven.bob).contains("<status code='322'/>"));
    coven.house.clear();
    coven
        .admin(
            &coven.alice,
            "<item affiliation='none' jid='carol@one.example'/>",
        )
        .await;
    assert!(coven.take(&coven.carol).contains("<status code='321'/>"));
}

#[tokio::test]
async fn ext_25_the_last_owner_stays() {
    let coven = Coven::open().await;
    for item in [
        "<item affiliation='none' jid='alice@one.example'/>",
        "<item affiliation='admin' jid='alice@one.example'/>",
        "<item affiliation='owner' jid='bob@one.example'/><item affiliation='none' jid='bob@one.example'/><item affiliation='none' jid='alice@one.example'/>",
    ] {
        coven.admin(&coven.alice, item).await;
        coven.got_error(&coven.alice, "conflict");
    }
    coven
        .admin(
            &coven.alice,
            "<item affiliation='owner' jid='bob@one.example'/>",
        )
        .await;
    coven.house.clear();
    coven
        .admin(
            &coven.alice,
            "<item affiliation='none' jid='alice@one.example'/>",
        )
        .await;
    assert!(
        coven
            .all(&coven.alice)
            .iter()
            .any(|xml| xml.contains("type='result'"))
    );
}

/// XEP-0045 5.1.1 and 5.2.1, cell by cell where they forbid: who, what, and the condition.
#[tokio::test]
async fn privileges_end_where_the_tables_end() {
    let coven = Coven::open().await;
    for (who, nick) in [(&coven.bob, "Bob"), (&coven.carol, "Carol")] {
        coven.enter(who, nick).await;
    }
    let refused = async |who: &Jid, item: &str, condition: &str| {
        coven.house.clear();
        coven.admin(who, item).await;
        let got = coven.all(who);
        assert!(
            got.iter()
                .any(|xml| xml.contains(&format!("<{condition} "))),
            "{item}: {got:?}"
        );
    };
    // Nobody in particular.
    for item in [
        "<item nick='Carol' role='none'/>",
        "<item nick='Carol' role='visitor'/>",
        "<item nick='Bob' role='moderator'/>",
        "<item affiliation='member' jid='bob@one.example'/>",
    ] {
        refused(&coven.bob, item, "forbidden").await;
    }
    // A moderator without affiliation.
    coven
        .admin(&coven.alice, "<item nick='Bob' role='moderator'/>")
        .await;
    refused(
        &coven.bob,
        "<item nick='Alice' role='none'/>",
        "not-allowed",
    )
    .await;
    refused(
        &coven.bob,
        "<item nick='Carol' role='moderator'/>",
        "forbidden",
    )
    .await;
    refused(
        &coven.bob,
        "<item affiliation='outcast' jid='carol@one.example'/>",
        "forbidden",
    )
    .await;
    coven
        .admin(&coven.bob, "<item nick='Carol' role='visitor'/>")
        .await;
    coven.house.clear();
    coven.say(&coven.carol, "no voice").await;
    coven.got_error(&coven.carol, "forbidden");
    // An admin.
    coven
        .admin(
            &coven.alice,
            "<item affiliation='admin' jid='bob@one.example'/>",
        )
        .await;
    refused(
        &coven.bob,
        "<item affiliation='owner' jid='carol@one.example'/>",
        "not-allowed",
    )
    .await;
    refused(
        &coven.bob,
        "<item affiliation='admin' jid='carol@one.example'/>",
        "not-allowed",
    )
    .await;
    refused(
        &coven.bob,
        "<item affiliation='none' jid='alice@one.example'/>",
        "not-allowed",
    )
    .await;
    refused(
        &coven.bob,
        "<item affiliation='outcast' jid='bob@one.example'/>",
        "conflict",
    )
    .await;
    refused(
        &coven.bob,
        "<item nick='Alice' role='visitor'/>",
        "not-allowed",
    )
    .await;
    // Nothing of a request is done when a part of it is refused.
    refused(&coven.bob, "<item affiliation='member' jid='carol@one.example'/><item affiliation='owner' jid='carol@one.example'/>", "not-allowed").await;
    let list = "<iq type='get' id='l'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member'/></query></iq>";
    coven.house.clear();
    coven.to(&coven.alice, "", list).await;
    assert!(!coven.take(&coven.alice).contains("carol"));
}

#[tokio::test]
async fn lists_are_for_those_who_may_change_them() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven
        .admin(
            &coven.alice,
            "<item affiliation='outcast' jid='romeo@peer.example'><reason>spam</reason></item>",
        )
        .await;
    coven.house.clear();
    let list = |what: &str| {
        format!(
            "<iq type='get' id='l'><query xmlns='http://jabber.org/protocol/muc#admin'><item {what}/></query></iq>"
        )
    };
    coven
        .to(&coven.bob, "", &list("affiliation='outcast'"))
        .await;
    coven.got_error(&coven.bob, "forbidden");
    coven.to(&coven.bob, "", &list("role='participant'")).await;
    coven.got_error(&coven.bob, "forbidden");
    coven
        .to(&coven.alice, "", &list("affiliation='outcast'"))
        .await;
    assert!(coven.take(&coven.alice).contains(
        "<item affiliation='outcast' jid='romeo@peer.example'><reason>spam</reason></item>"
    ));
    coven
        .to(&coven.alice, "", &list("role='participant'"))
        .await;
    assert!(coven.take(&coven.alice).contains("nick='Bob'"));
}

#[tokio::test]
async fn a_change_of_who_may_see_addresses_is_told() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    coven
        .configure(&field("muc#roomconfig_whois", "anyone"))
        .await;
    let got = coven.all(&coven.bob);
    assert!(
        got.iter()
            .any(|xml| xml.contains("<status code='172'/>") && xml.starts_with("<message ")),
        "{got:?}"
    );
    assert!(
        got.iter()
            .any(|xml| xml.contains("jid='alice@one.example/a'")),
        "{got:?}"
    );
    coven.enter(&coven.carol, "Carol").await;
    let got = coven.all(&coven.carol);
    assert!(
        got.iter()
            .any(|xml| xml.contains("<status code='110'/><status code='100'/>")),
        "{got:?}"
    );
    coven
        .configure(&field("muc#roomconfig_whois", "moderators"))
        .await;
    assert!(
        coven
            .all(&coven.bob)
            .iter()
            .any(|xml| xml.contains("<status code='173'/>"))
    );
}

#[tokio::test]
async fn a_form_that_makes_no_sense_changes_nothing() {
    let coven = Coven::open().await;
    for (fields, condition) in [
        (
            field("muc#roomconfig_membersonly", "perhaps"),
            "not-acceptable",
        ),
        (field("muc#roomconfig_whois", "nobody"), "not-acceptable"),
        (field("muc#roomconfig_maxusers", "-1"), "not-acceptable"),
        (
            field("muc#roomconfig_passwordprotectedroom", "1"),
            "not-acceptable",
        ),
        (
            field("muc#roomconfig_roomname", &"x".repeat(300)),
            "not-acceptable",
        ),
    ] {
        coven
            .configure(&(field("muc#roomconfig_moderatedroom", "1") + &fields))
            .await;
        coven.got_error(&coven.alice, condition);
    }
    let get = "<iq type='get' id='f'><query xmlns='http://jabber.org/protocol/muc#owner'/></iq>";
    coven.to(&coven.alice, "", get).await;
    let form = coven.take(&coven.alice);
    assert!(form.contains("<field var='muc#roomconfig_moderatedroom' type='boolean' label='Only people with voice may speak'><value>0</value>"), "{form}");
    coven.to(&coven.bob, "", get).await;
    coven.got_error(&coven.bob, "forbidden");
}

#[tokio::test]
async fn a_destroyed_room_is_gone_and_everybody_knows_where_to_go() {
    let coven = Coven::open().await;
    coven
        .configure(&field("muc#roomconfig_persistentroom", "1"))
        .await;
    coven.enter(&coven.bob, "Bob").await;
    coven.house.clear();
    let destroy = "<iq type='set' id='d'><query xmlns='http://jabber.org/protocol/muc#owner'><destroy jid='heath@rooms.one.example'><reason>Macbeth</reason></destroy></query></iq>";
    coven.to(&coven.bob, "", destroy).await;
    coven.got_error(&coven.bob, "forbidden");
    coven.to(&coven.alice, "", destroy).await;
    assert_eq!(
        coven.all(&coven.bob),
        [format!(
            "<presence from='{COVEN}/Bob' to='bob@one.example/b' type='unavailable'><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='none' role='none'/><status code='110'/><destroy jid='heath@rooms.one.example'><reason>Macbeth</reason></destroy></x></presence>"
        )]
    );
    assert!(
        coven
            .house
            .store()
            .room_load("coven")
            .await
            .expect("read")
            .is_none()
    );
}

#[tokio::test]
async fn registering_makes_a_member_or_asks_the_admins() {
    let coven = Coven::open().await;
    let register = |nick: &str| {
        format!(
            "<iq type='set' id='r'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>{}</x></query></iq>",
            field("muc#register_roomnick", nick)
        )
    };
    coven.to(&coven.bob, "", &register("Hag")).await;
    assert!(coven.take(&coven.bob).contains("type='result'"));
    coven
        .to(
            &coven.bob,
            "",
            "<iq type='get' id='g'><query xmlns='jabber:iq:register'/></iq>",
        )
        .await;
    assert!(
        coven
            .take(&coven.bob)
            .contains("<registered/><username>Hag</username>")
    );
    coven.to(&coven.carol, "", &register("hag")).await;
    coven.got_error(&coven.carol, "conflict");
    coven.enter(&coven.carol, "HAG").await;
    coven.got_error(&coven.carol, "conflict");
    coven
        .configure(&field("muc#roomconfig_membersonly", "1"))
        .await;
    coven.house.clear();
    coven.to(&coven.carol, "", &register("Crone")).await;
    assert!(coven.take(&coven.carol).contains("type='result'"));
    let asked = coven.take(&coven.alice);
    assert!(
        asked.contains("<value>carol@one.example</value>"),
        "{asked}"
    );
    coven.enter(&coven.carol, "Crone").await;
    coven.got_error(&coven.carol, "registration-required");
    let allow = format!(
        "<message><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field>{}{}{}</x></message>",
        field("muc#register_jid", "carol@one.example"),
        field("muc#register_roomnick", "Crone"),
        field("muc#register_allow", "1")
    );
    coven.to(&coven.bob, "", &allow).await;
    coven.got_error(&coven.bob, "forbidden");
    coven.to(&coven.alice, "", &allow).await;
    coven.enter(&coven.carol, "Crone").await;
    assert!(coven.take(&coven.carol).contains("/Alice'"));
}

#[tokio::test]
async fn what_a_room_is_like_can_be_asked_and_who_is_in_it_cannot() {
    let coven = Coven::open().await;
    coven
        .configure(
            &(field("muc#roomconfig_roomname", "Witches")
                + &field("muc#roomconfig_roomdesc", "A &amp; B")
                + &field("muc#roomconfig_publicroom", "1")),
        )
        .await;
    coven.house.clear();
    let info = "<iq type='get' id='i'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
    coven.to(&coven.bob, "", info).await;
    let answer = coven.take(&coven.bob);
    for part in [
        "<identity category='conference' type='text' name='Witches'/>",
        "muc_public",
        "muc_open",
        "muc_unsecured",
        "muc_semianonymous",
        "muc_temporary",
        "<value>A &amp; B</value>",
        "muc#self-ping-optimization",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    let items =
        "<iq type='get' id='i'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>";
    coven
        .house
        .at_service("bob@one.example/b", "rooms.one.example", items)
        .await;
    assert!(
        coven
            .take(&coven.bob)
            .contains(&format!("<item jid='{COVEN}' name='Witches'/>"))
    );
    coven.to(&coven.bob, "", items).await;
    assert!(!coven.take(&coven.bob).contains("<item"));
    coven
        .house
        .iq(
            &coven.bob,
            "get",
            Some("one.example"),
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        )
        .await;
    assert!(
        coven
            .take(&coven.bob)
            .contains("<item jid='rooms.one.example' name='group chats'/>")
    );
    coven
        .house
        .at_service("bob@one.example/b", "nowhere@rooms.one.example", info)
        .await;
    coven.got_error(&coven.bob, "item-not-found");
}

/// XEP-0045 10.1.3: `muc#roomconfig_presencebroadcast`, for rooms of thousands.
#[tokio::test]
async fn ext_25_an_owner_chooses_whose_presence_everybody_is_shown() {
    let coven = Coven::open().await;
    let broadcast = field("muc#roomconfig_moderatedroom", "1")
        + "<field var='muc#roomconfig_presencebroadcast'><value>moderator</value><value>participant</value></field>";
    coven.configure(&broadcast).await;
    coven.house.clear();
    coven.enter(&coven.bob, "Bob").await;
    assert!(
        coven.take(&coven.alice).contains("/Bob'"),
        "moderators see visitors"
    );
    coven.house.clear();
    coven.enter(&coven.carol, "Carol").await;
    let seen = coven.all(&coven.carol).concat();
    assert!(
        seen.contains("/Alice'") && seen.contains("code='110'"),
        "{seen}"
    );
    assert!(!seen.contains("/Bob'"), "{seen}");
    assert!(coven.all(&coven.bob).is_empty());
    // Somebody is given voice, and is seen; loses it, and is gone for those who may not see them.
    coven.house.clear();
    coven
        .admin(&coven.alice, "<item nick='Bob' role='participant'/>")
        .await;
    assert!(coven.take(&coven.carol).contains("role='participant'"));
    coven
        .admin(&coven.alice, "<item nick='Bob' role='visitor'/>")
        .await;
    let seen = coven.all(&coven.carol).concat();
    assert!(
        seen.contains("/Bob'") && seen.contains("type='unavailable'"),
        "{seen}"
    );
    let seen = coven.all(&coven.bob).concat();
    assert!(
        seen.contains("role='visitor'") && !seen.contains("unavailable"),
        "{seen}"
    );
    // A moderator sees whom others do not.
    coven
        .admin(
            &coven.alice,
            "<item affiliation='admin' jid='carol@one.example'/>",
        )
        .await;
    assert!(coven.all(&coven.carol).concat().contains("/Bob'"));
    coven
        .admin(
            &coven.alice,
            "<item affiliation='none' jid='carol@one.example'/>",
        )
        .await;
    let seen = coven.all(&coven.carol).concat();
    assert!(
        seen.contains("/Bob'") && seen.contains("type='unavailable'"),
        "{seen}"
    );
    // Everybody again.
    coven.house.clear();
    let all = "<field var='muc#roomconfig_presencebroadcast'><value>moderator</value><value>participant</value><value>visitor</value></field>";
    coven.configure(all).await;
    let seen = coven.all(&coven.carol).concat();
    assert!(
        seen.contains("/Bob'") && !seen.contains("unavailable"),
        "{seen}"
    );
    let nonsense = field("muc#roomconfig_presencebroadcast", "king");
    coven.house.clear();
    coven.configure(&nonsense).await;
    coven.got_error(&coven.alice, "not-acceptable");
}

/// XEP-0045 10.1.3: `muc#roomconfig_getmemberlist`.
#[tokio::test]
async fn ext_25_an_owner_chooses_who_may_read_the_list_of_members() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    let list = "<iq type='get' id='l'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='member'/></query></iq>";
    coven.house.clear();
    coven.to(&coven.bob, "", list).await;
    coven.got_error(&coven.bob, "forbidden");
    coven
        .configure(&field("muc#roomconfig_getmemberlist", "participant"))
        .await;
    coven.house.clear();
    coven.to(&coven.bob, "", list).await;
    assert!(coven.take(&coven.bob).contains("type='result'"));
    coven.to(&coven.carol, "", list).await;
    coven.got_error(&coven.carol, "forbidden");
    let outcasts = list.replace("member", "outcast");
    coven.to(&coven.bob, "", &outcasts).await;
    coven.got_error(&coven.bob, "forbidden");
}
