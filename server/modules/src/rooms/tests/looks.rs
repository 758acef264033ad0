//! What rooms and the people in them look like, and how rooms are found.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::avatars;

const TEACHER: &str = "http://one.example/hats#teacher";

impl Coven {
    /// A command about hats; the answer.
    async fn command(&self, who: &Jid, name: &str, fields: &str) -> String {
        let form = match fields {
            "" => String::new(),
            _ => format!(
                "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:hats:commands</value></field>{fields}</x>"
            ),
        };
        let iq = format!(
            "<iq type='set' id='h'><command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:hats:commands:{name}'>{form}</command></iq>"
        );
        self.house.clear();
        self.to(who, "", &iq).await;
        let all = self.house.all(who);
        all.into_iter()
            .find(|s| s.starts_with("<iq"))
            .expect("an answer")
    }

    async fn info(&self, who: &Jid) -> String {
        let iq =
            "<iq type='get' id='i'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>";
        self.house.clear();
        self.to(who, "", iq).await;
        self.house.take(who)
    }

    async fn search(&self, who: &Jid, fields: &str, more: &str) -> String {
        let iq = format!(
            "<iq type='get' id='s'><search xmlns='urn:xmpp:channel-search:0:search'>{more}\
             <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:channel-search:0:search-params</value></field>{fields}</x></search></iq>"
        );
        self.house
            .at_service(who.as_str(), "rooms.one.example", &iq)
            .await;
        self.house.take(who)
    }
}

fn hat(uri: &str, title: &str) -> String {
    format!("{}{}", field("hats#uri", uri), field("hats#title", title))
}

fn on(who: &str, uri: &str) -> String {
    format!("{}{}", field("hats#jid", who), field("hats#uri", uri))
}

/// XEP-0317.
#[tokio::test]
async fn ext_29_admins_give_hats_and_everybody_sees_them() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    let form = coven.command(&coven.alice, "create", "").await;
    assert!(
        form.contains("status='executing'") && form.contains("hats#title"),
        "{form}"
    );
    let done = coven
        .command(&coven.alice, "create", &hat(TEACHER, "Teacher"))
        .await;
    assert!(done.contains("status='completed'"), "{done}");
    let done = coven
        .command(&coven.alice, "assign", &on("bob@one.example", TEACHER))
        .await;
    assert!(done.contains("status='completed'"), "{done}");
    let worn =
        format!("<hats xmlns='urn:xmpp:hats:0'><hat title='Teacher' uri='{TEACHER}'/></hats>");
    assert!(coven.house.take(&coven.bob).contains(&worn));
    coven.enter(&coven.carol, "Carol").await;
    let shown = coven.house.all(&coven.carol).concat();
    assert_eq!(shown.matches(&worn).count(), 1, "{shown}");
    // Nobody puts one on by themselves.
    coven.house.clear();
    let forged = format!("<presence>{}</presence>", worn.replace("Teacher", "Forged"));
    coven.to(&coven.carol, "Carol", &forged).await;
    assert!(!coven.house.take(&coven.alice).contains("Forged"));
    let listed = coven.command(&coven.carol, "list", "").await;
    assert!(
        listed.contains(TEACHER) && listed.contains("<reported>"),
        "{listed}"
    );
    let assigned = coven.command(&coven.alice, "list-assigned", "").await;
    assert!(assigned.contains("bob@one.example"), "{assigned}");
    let done = coven
        .command(&coven.alice, "destroy", &field("hats#uri", TEACHER))
        .await;
    assert!(done.contains("completed"), "{done}");
    let told = coven.house.all(&coven.bob).concat();
    assert!(
        !told.contains("<hats") && told.contains("code='104'"),
        "{told}"
    );
}

/// XEP-0317.
#[tokio::test]
async fn ext_29_hats_that_make_no_sense_and_people_who_may_not_are_refused() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    for (who, name, fields, condition) in [
        (&coven.bob, "create", hat(TEACHER, "T"), "forbidden"),
        (
            &coven.bob,
            "assign",
            on("bob@one.example", TEACHER),
            "forbidden",
        ),
        (&coven.bob, "list-assigned", String::new(), "forbidden"),
        (&coven.alice, "create", hat("no uri", "T"), "not-acceptable"),
        (&coven.alice, "create", hat(TEACHER, ""), "not-acceptable"),
        (
            &coven.alice,
            "create",
            hat(TEACHER, &"x".repeat(101)),
            "not-acceptable",
        ),
        (
            &coven.alice,
            "create",
            hat(TEACHER, "T") + &field("hats#hue", "400"),
            "not-acceptable",
        ),
        (
            &coven.alice,
            "assign",
            on("bob@one.example", TEACHER),
            "item-not-found",
        ),
        (&coven.alice, "nonsense", String::new(), "item-not-found"),
    ] {
        let answer = coven.command(who, name, &fields).await;
        assert!(answer.contains(condition), "{name}: {answer}");
    }
    coven
        .command(&coven.alice, "create", &hat(TEACHER, "T"))
        .await;
    let answer = coven
        .command(&coven.alice, "assign", &on("one.example", TEACHER))
        .await;
    assert!(answer.contains("jid-malformed"), "{answer}");
    let answer = coven
        .command(&coven.alice, "unassign", &on("bob@one.example", TEACHER))
        .await;
    assert!(answer.contains("item-not-found"), "{answer}");
}

/// XEP-0317.
#[tokio::test]
async fn ext_29_hats_and_pictures_of_a_room_that_is_kept_are_kept() {
    let coven = Coven::new().await;
    coven.enter(&coven.alice, "Alice").await;
    coven
        .configure(&field("muc#roomconfig_persistentroom", "1"))
        .await;
    coven
        .command(&coven.alice, "create", &hat(TEACHER, "Teacher"))
        .await;
    coven
        .command(&coven.alice, "assign", &on("bob@one.example", TEACHER))
        .await;
    let vcard = "<iq type='set' id='v'><vCard xmlns='vcard-temp'><FN>Coven</FN></vCard></iq>";
    coven.to(&coven.alice, "", vcard).await;
    coven
        .to(&coven.alice, "Alice", "<presence type='unavailable'/>")
        .await;
    coven.house.clear();
    coven.enter(&coven.bob, "Bob").await;
    assert!(
        coven
            .house
            .all(&coven.bob)
            .concat()
            .contains("title='Teacher'")
    );
    coven
        .to(
            &coven.bob,
            "",
            "<iq type='get' id='v'><vCard xmlns='vcard-temp'/></iq>",
        )
        .await;
    assert!(coven.house.take(&coven.bob).contains("<FN>Coven</FN>"));
}

/// Whoever gets the name of an account that has gone wears nothing of what it wore (XEP-0317).
#[tokio::test]
async fn ext_29_hats_go_with_their_wearer() {
    let coven = Coven::open().await;
    coven
        .configure(&field("muc#roomconfig_persistentroom", "1"))
        .await;
    coven
        .command(&coven.alice, "create", &hat(TEACHER, "Teacher"))
        .await;
    for who in ["bob@one.example", "carol@one.example"] {
        coven
            .command(&coven.alice, "assign", &on(who, TEACHER))
            .await;
    }
    let store = coven.house.store();
    let now = xmpp::timestamp::Timestamp(1);
    assert!(store.account_remove("bob", now).await.expect("removed"));
    let bob = coven.bob.bare();
    coven.house.modules().forget_account(&bob);
    // What is in memory is told in its turn.
    tokio::task::yield_now().await;
    let worn = coven.command(&coven.alice, "list-assigned", "").await;
    assert!(!worn.contains("bob@") && worn.contains("carol@"), "{worn}");
    let (_, row, _) = store.room_load("coven").await.expect("read").expect("kept");
    let hats = row.hats.expect("hats");
    assert!(!hats.contains("bob@") && hats.contains("carol@"), "{hats}");
}

/// XEP-0486.
#[tokio::test]
async fn ext_29_an_owner_gives_a_room_a_picture() {
    let coven = Coven::open().await;
    coven.enter(&coven.bob, "Bob").await;
    let picture = b"\x89PNG or so";
    let vcard = |inside: &str| {
        format!("<iq type='set' id='v'><vCard xmlns='vcard-temp'>{inside}</vCard></iq>")
    };
    let photo = format!(
        "<PHOTO><TYPE>image/png</TYPE><BINVAL>{}</BINVAL></PHOTO>",
        STANDARD.encode(picture)
    );
    coven.house.clear();
    coven.to(&coven.bob, "", &vcard(&photo)).await;
    coven.got_error(&coven.bob, "forbidden");
    for (inside, condition) in [
        (
            "<PHOTO><BINVAL>?</BINVAL></PHOTO>".to_owned(),
            "bad-request",
        ),
        (
            format!("<FN>{}</FN>", "x".repeat(70_000)),
            "policy-violation",
        ),
    ] {
        coven.to(&coven.alice, "", &vcard(&inside)).await;
        coven.got_error(&coven.alice, condition);
    }
    let hash = avatars::name_of(picture);
    assert!(!coven.info(&coven.carol).await.contains("avatarhash"));
    coven.house.clear();
    coven.to(&coven.alice, "", &vcard(&photo)).await;
    assert!(coven.house.take(&coven.bob).contains("code='104'"));
    let info = coven.info(&coven.carol).await;
    assert!(
        info.contains("<feature var='vcard-temp'/>") && info.contains(&hash),
        "{info}"
    );
    coven
        .to(
            &coven.carol,
            "",
            "<iq type='get' id='v'><vCard xmlns='vcard-temp'/></iq>",
        )
        .await;
    assert!(coven.house.take(&coven.carol).contains(&photo));
    coven.to(&coven.alice, "", &vcard("")).await;
    assert!(!coven.info(&coven.carol).await.contains("avatarhash"));
    coven
        .to(
            &coven.carol,
            "",
            "<iq type='get' id='v'><vCard xmlns='vcard-temp'/></iq>",
        )
        .await;
    coven.got_error(&coven.carol, "item-not-found");
}

/// XEP-0433.
#[tokio::test]
async fn rooms_are_found_where_their_owners_want_them_to_be() {
    let mut coven = Coven::open().await;
    let (carol, q) = (coven.carol.clone(), field("q", "witch"));
    coven
        .configure(&format!(
            "{}{}",
            field("muc#roomconfig_roomname", "Witches"),
            field("muc#roomconfig_persistentroom", "1")
        ))
        .await;
    coven.house.clear();
    assert!(
        !coven.search(&carol, &q, "").await.contains("<item "),
        "hidden"
    );
    coven
        .configure(&field("muc#roomconfig_publicroom", "1"))
        .await;
    coven.house.clear();
    let found = coven.search(&carol, &q, "").await;
    for part in [
        "<item address='coven@rooms.one.example'><name>Witches</name>",
        "<nusers>1</nusers><is-open/>",
        "<count>1</count>",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
    let all = coven.search(&carol, &field("all", "1"), "").await;
    assert!(all.contains("<item "), "{all}");
    let none = coven
        .search(&carol, &(q.clone() + &field("sinname", "0")), "")
        .await;
    assert!(
        none.contains("type='result'") && !none.contains("<item "),
        "{none}"
    );
    let set = "<set xmlns='http://jabber.org/protocol/rsm'><max>0</max></set>";
    let counted = coven.search(&carol, &q, set).await;
    assert!(
        !counted.contains("<item ") && counted.contains("<count>1</count>"),
        "{counted}"
    );
    for (fields, condition) in [
        (q.clone() + &field("all", "1"), "conflicting-fields"),
        (String::new(), "no-search-conditions"),
        (field("q", "a b"), "invalid-search-terms"),
        (q.clone() + &field("key", "nonsense"), "invalid-sort-key"),
    ] {
        let answer = coven.search(&carol, &fields, "").await;
        assert!(answer.contains(condition), "{answer}");
        assert!(answer.contains("<error type='modify'>"), "{answer}");
    }
    coven.house.settings(|s| s.off = vec!["search".into()]);
    assert!(
        coven
            .search(&carol, &q, "")
            .await
            .contains("service-unavailable")
    );
}
