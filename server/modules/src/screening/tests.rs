//! Lists as their services tell them, and who is kept away by them.

use super::*;
use crate::passage::Taken;
use crate::testing::House;

const SERVICE: &str = "rtbl.example";
const NODE: &str = "muc_bans_sha256";
const SPAMMER: &str = "spammer@bad.example";
const HELLO: &str = "<message from='spammer@bad.example/x' to='alice@one.example' type='chat'><body>pills</body></message>";

fn list() -> FollowedList {
    FollowedList {
        service: xmpp::jid::BareJid::parse(SERVICE).expect("an address"),
        node: NODE.into(),
    }
}

fn hex(who: &str) -> String {
    let bytes = digest(who);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A domain that follows the list, and the question that it has put to its service.
async fn following() -> (House, String) {
    let mut house = House::new().await;
    house.settings(|settings| settings.lists = vec![list()]);
    follow(&house.context("one.example"))
        .await
        .expect("followed");
    let question = house.take_sent();
    (house, question)
}

/// What is done every minute, in this process or another.
async fn look_of(house: &House, following: &Following) {
    let cx = house.context("one.example");
    let rows = |_: &str| Some(house.store().clone());
    let due = claim(following, &house.database, rows, cx.now).await;
    for due in due.expect("claimed") {
        begin(&cx, due).await.expect("begun");
    }
}

async fn look(house: &House) {
    look_of(house, &house.modules().following).await;
}

/// The id of an iq.
fn id(iq: &str) -> String {
    let rest = iq.split_once(" id='").map(|(_, rest)| rest);
    let id = rest.and_then(|rest| rest.split('\'').next());
    id.unwrap_or_else(|| panic!("no id: {iq}")).to_owned()
}

async fn result(house: &House, question: &str, inside: &str) -> bool {
    let id = id(question);
    let iq = format!("<iq from='{SERVICE}' to='one.example' type='result' id='{id}'>{inside}</iq>");
    house.answered(&iq).await
}

async fn refused(house: &House, question: &str, condition: &str) {
    let id = id(question);
    let iq = format!(
        "<iq from='{SERVICE}' to='one.example' type='error' id='{id}'><error type='cancel'>\
         <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    );
    assert!(house.answered(&iq).await);
}

/// A page of items; `rest` follows the items.
fn items(ids: &[&str], rest: &str) -> String {
    let items: String = ids.iter().map(|id| format!("<item id='{id}'/>")).collect();
    format!(
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='{NODE}'>{items}</items>{rest}</pubsub>"
    )
}

/// Subscribed, and read to the end.
async fn read(ids: &[&str]) -> House {
    let (house, subscribe) = following().await;
    assert!(result(&house, &subscribe, "").await);
    let asked = house.take_sent();
    assert!(result(&house, &asked, &items(ids, "")).await);
    house
}

async fn news(house: &House, from: &str, inside: &str) {
    let message = crate::testing::stanza(&format!(
        "<message from='{from}' to='one.example'><event xmlns='http://jabber.org/protocol/pubsub#event'>{inside}</event></message>"
    ));
    let cx = house.context("one.example");
    if hooks::server_message_concerns(cx.hosted, &message) {
        hooks::message_to_server(&cx, &message).await;
    }
}

async fn gets_through(house: &House, message: &str) -> bool {
    !house.receives(message, Taken::Nobody).await.is_empty()
}

#[tokio::test]
async fn a_list_is_subscribed_to_and_read_to_its_end() {
    let (house, subscribe) = following().await;
    assert!(
        subscribe.contains("<subscribe node='muc_bans_sha256' jid='one.example'/>")
            && subscribe.contains("from='one.example'")
            && subscribe.contains("to='rtbl.example'"),
        "{subscribe}"
    );
    assert!(gets_through(&house, HELLO).await, "nothing is known yet");
    assert!(result(&house, &subscribe, "").await);
    let first = house.take_sent();
    assert!(
        first.contains("<max>1000</max>") && !first.contains("<after>"),
        "{first}"
    );
    let set = |last: &str| {
        format!(
            "<set xmlns='http://jabber.org/protocol/rsm'><last>{last}</last><count>3</count></set>"
        )
    };
    let page = items(&[&hex(SPAMMER), "nobody@else.example"], &set("b"));
    assert!(result(&house, &first, &page).await);
    let second = house.take_sent();
    assert!(second.contains("<after>b</after>"), "{second}");
    assert!(
        !gets_through(&house, HELLO).await,
        "what is known counts at once"
    );
    assert!(house.take_sent().contains("<forbidden "));
    assert!(!result(&house, &first, &page).await, "it is answered once");
    assert!(result(&house, &second, &items(&["evil.example"], &set("c"))).await);
    assert_eq!(house.take_sent(), "", "that was all");
    let lists = house.store().block_lists().await.expect("read");
    assert_eq!((lists[0].entries, lists[0].problem.as_str()), (3, ""));
    assert!(lists[0].read.is_some());
    look(&house).await;
    assert_eq!(house.take_sent(), "", "it is not read again at once");
    house.later(6 * 3_600);
    look(&house).await;
    assert!(house.take_sent().contains("<subscribe "));
}

#[tokio::test]
async fn strangers_on_a_list_are_told_and_contacts_are_not_asked() {
    let house = read(&[&hex(SPAMMER), "evil.example"]).await;
    for (message, through) in [
        (HELLO.to_owned(), false),
        (HELLO.replace("alice", "nobody"), false),
        (HELLO.replace(SPAMMER, "anybody@evil.example"), false),
        (HELLO.replace(SPAMMER, "other@bad.example"), true),
        (HELLO.replace(SPAMMER, "bob@one.example"), true),
        (HELLO.replace(SPAMMER, "x@notone.example"), true),
        (HELLO.replace("type='chat'", "type='error'"), true),
    ] {
        assert_eq!(gets_through(&house, &message).await, through, "{message}");
        if !through {
            let error = house.take_sent();
            assert!(
                error.contains("<forbidden ") && error.contains("follows: rtbl.example"),
                "{error}"
            );
        }
    }
    house.clear();
    let crowd = HELLO.replace("type='chat'", "type='groupchat'");
    assert!(!gets_through(&house, &crowd).await);
    house.sent("");
    house.item("alice", SPAMMER, "none").await;
    assert!(gets_through(&house, HELLO).await, "she knows them");
}

#[tokio::test]
async fn whoever_is_on_a_list_invites_nobody() {
    let house = read(&[&hex(SPAMMER)]).await;
    let invited = |by: &str| {
        format!(
            "<message from='room@rooms.good.example' to='alice@one.example'>\
             <x xmlns='http://jabber.org/protocol/muc#user'><invite from='{by}'/></x></message>"
        )
    };
    assert!(!gets_through(&house, &invited(SPAMMER)).await);
    assert!(!gets_through(&house, &invited("spammer@bad.example/x")).await);
    assert!(gets_through(&house, &invited("friend@good.example")).await);
    assert!(gets_through(&house, &invited("@@")).await);
    // A room elsewhere that has one on the list among its occupants is not told: it would throw alice out.
    let private = "<message from='spammer@bad.example/nick' to='alice@one.example/phone' type='chat'><body>pills</body>\
                   <x xmlns='http://jabber.org/protocol/muc#user'/></message>";
    house.clear();
    assert_eq!(house.receives(private, Taken::Nobody).await, "");
    house.sent("");
    let direct = HELLO.replace(
        "<body>pills</body>",
        "<x xmlns='jabber:x:conference' jid='room@rooms.bad.example'/>",
    );
    assert!(!gets_through(&house, &direct).await);
}

#[tokio::test]
async fn whoever_is_on_a_list_asks_for_no_subscription_and_shows_itself_to_nobody() {
    let house = read(&[&hex(SPAMMER)]).await;
    let phone = house.online("alice@one.example/phone").await;
    let presence =
        |from: &str, rest: &str| format!("<presence from='{from}' to='alice@one.example'{rest}/>");
    house
        .presence_in(&presence(SPAMMER, " type='subscribe'"))
        .await;
    house.sent_error("alice@one.example", "forbidden");
    assert!(!house.state("alice", SPAMMER).await.contains("request"));
    house
        .presence_in(&presence("spammer@bad.example/x", ""))
        .await;
    house.sent("");
    assert!(house.all(&phone).is_empty());
    house
        .presence_in(&presence("friend@good.example", " type='subscribe'"))
        .await;
    assert!(house.take(&phone).contains("type='subscribe'"));
}

#[tokio::test]
async fn rooms_let_nobody_in_who_is_on_a_list_and_nothing_there() {
    let house = read(&[&hex(SPAMMER), &hex("member@bad.example")]).await;
    let owner = house.online("alice@one.example/phone").await;
    let enter = "<presence><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    let room = "tea@rooms.one.example";
    let at = |nick: &str| format!("{room}/{nick}");
    house.at_service(owner.as_str(), &at("alice"), enter).await;
    let admin = |inside: &str| {
        format!(
            "<iq type='set' id='a'><query xmlns='http://jabber.org/protocol/muc#{inside}</query></iq>"
        )
    };
    let open = "owner'><x xmlns='jabber:x:data' type='submit'/>";
    house.at_service(owner.as_str(), room, &admin(open)).await;
    let member = "admin'><item affiliation='member' jid='member@bad.example'/>";
    house.at_service(owner.as_str(), room, &admin(member)).await;
    house.clear();
    let from = "spammer@bad.example/x";
    house.at_service(from, &at("spammer"), enter).await;
    house.sent_error(&at("spammer"), "forbidden");
    house
        .at_service("member@bad.example/x", &at("member"), enter)
        .await;
    assert!(
        house.take_sent().contains("affiliation='owner'"),
        "who is something there comes in"
    );
    // Somebody who was there before they came to the list.
    house.clear();
    let late = "late@bad.example/x";
    house.at_service(late, &at("late"), enter).await;
    let added = format!(
        "<items node='{NODE}'><item id='{}'/></items>",
        hex("late@bad.example")
    );
    news(&house, SERVICE, &added).await;
    house.clear();
    let says = "<message type='groupchat'><body>pills</body></message>";
    house.at_service(late, room, says).await;
    house.sent_error(room, "forbidden");
    assert!(house.all(&owner).is_empty());
    house
        .at_service(late, &at("late"), "<presence type='unavailable'/>")
        .await;
    assert!(
        house.take(&owner).contains("type='unavailable'"),
        "they may go"
    );
}

#[tokio::test]
async fn news_of_the_list_count_at_once_and_nobody_else_s_do() {
    let house = read(&[]).await;
    let added = format!(
        "<items node='{NODE}'><item id='{}'/></items>",
        hex(SPAMMER).to_uppercase()
    );
    for (from, inside) in [
        ("mallory.example", added.clone()),
        ("user@rtbl.example", added.clone()),
        (SERVICE, added.replace(NODE, "other")),
        (SERVICE, "<items><item id='bad.example'/></items>".into()),
        (
            SERVICE,
            format!("<items node='{NODE}'><item/><item id=''/><item id='@@'/></items>"),
        ),
        (
            SERVICE,
            format!(
                "<items node='{NODE}'><item id='{}'/></items>",
                "g".repeat(64)
            ),
        ),
        (SERVICE, String::new()),
    ] {
        news(&house, from, &inside).await;
        assert!(gets_through(&house, HELLO).await, "{from} {inside}");
    }
    news(&house, SERVICE, &added).await;
    assert!(!gets_through(&house, HELLO).await);
    let gone = added.replace("<item ", "<retract ");
    news(&house, SERVICE, &gone).await;
    assert!(gets_through(&house, HELLO).await);
    news(&house, SERVICE, &added).await;
    news(&house, SERVICE, &format!("<delete node='{NODE}'/>")).await;
    assert!(!gets_through(&house, HELLO).await, "what was known stays");
    news(&house, SERVICE, &format!("<purge node='{NODE}'/>")).await;
    assert!(gets_through(&house, HELLO).await, "nothing is left of it");
}

#[tokio::test]
async fn what_is_known_stays_while_the_service_is_out_of_reach() {
    let house = read(&[&hex(SPAMMER)]).await;
    let problem = async || {
        house.store().block_lists().await.expect("read")[0]
            .problem
            .clone()
    };
    house.later(6 * 3_600);
    look(&house).await;
    refused(&house, &house.take_sent(), "remote-server-timeout").await;
    assert_eq!(problem().await, "remote-server-timeout");
    assert!(!gets_through(&house, HELLO).await);
    look(&house).await;
    house.clear();
    assert_eq!(house.take_sent(), "", "not at once");
    house.later(600);
    look(&house).await;
    // It does not let us subscribe, and may be read all the same.
    refused(&house, &house.take_sent(), "not-allowed").await;
    let page = house.take_sent();
    assert!(result(&house, &page, &items(&["other.example"], "")).await);
    assert!(
        problem()
            .await
            .contains("does not tell us of changes (not-allowed)")
    );
    assert!(
        gets_through(&house, HELLO).await,
        "they have gone from the list"
    );
    // Its server comes back to us: what it could not say is read, though not more often than now and then.
    let again = async |later: i64| {
        house
            .modules()
            .server_connected(house.context("one.example").hosted, SERVICE);
        house.later(later);
        look(&house).await;
        house.take_sent()
    };
    assert_eq!(again(10).await, "");
    assert!(again(600).await.contains("<subscribe "));
}

#[tokio::test]
async fn answers_of_others_and_nonsense_change_nothing() {
    let house = read(&[&hex(SPAMMER)]).await;
    house.later(6 * 3_600);
    look(&house).await;
    let subscribe = house.take_sent();
    let stranger = format!(
        "<iq from='mallory.example' to='one.example' type='result' id='{}'/>",
        id(&subscribe)
    );
    assert!(!house.answered(&stranger).await);
    let elsewhere = stranger
        .replace("mallory.example", SERVICE)
        .replace("one.example", "two.example");
    assert!(
        !house.answered(&elsewhere).await,
        "another domain has asked nothing"
    );
    assert!(result(&house, &subscribe, "").await);
    // A last page that never ends is asked for no further than there is room.
    let set = "<set xmlns='http://jabber.org/protocol/rsm'><last>x</last></set>";
    for _ in 0..3 {
        let page = house.take_sent();
        assert!(result(&house, &page, &items(&["a.example"], set)).await);
    }
    let page = house.take_sent();
    assert!(result(&house, &page, &items(&[], set)).await);
    assert_eq!(house.take_sent(), "", "an empty page is the end");
}

#[tokio::test]
async fn the_owner_s_own_list_and_a_list_that_is_left() {
    let mut house = read(&[&hex(SPAMMER)]).await;
    house.settings(|settings| settings.lists = Vec::new());
    assert!(
        gets_through(&house, HELLO).await,
        "it is not followed any more"
    );
    house.settings(|settings| {
        settings.kept_away = vec![
            Jid::parse("bad.example").expect("an address"),
            Jid::parse("x@other.example").expect("an address"),
        ];
    });
    assert!(!gets_through(&house, HELLO).await);
    assert!(
        house
            .take_sent()
            .contains("this domain takes nothing from you")
    );
    assert!(!gets_through(&house, &HELLO.replace(SPAMMER, "x@other.example")).await);
    assert!(gets_through(&house, &HELLO.replace(SPAMMER, "y@other.example")).await);
    house.settings(|settings| settings.off = vec![SCREENING.into()]);
    assert!(gets_through(&house, HELLO).await);
}

#[tokio::test]
async fn an_answer_is_forgotten_only_when_what_its_own_domain_knows_has_changed() {
    let house = read(&[&hex(SPAMMER)]).await;
    let following = &house.modules().following;
    let changes = following.changes("one.example");
    assert!(changes > 0);
    house.later(6 * 3_600);
    look(&house).await;
    assert!(result(&house, &house.take_sent(), "").await);
    assert!(result(&house, &house.take_sent(), &items(&[&hex(SPAMMER)], "")).await);
    let known = format!("<items node='{NODE}'><item id='{}'/></items>", hex(SPAMMER));
    news(&house, SERVICE, &known).await;
    let nobody = format!("<items node='{NODE}'><retract id='x.example'/></items>");
    news(&house, SERVICE, &nobody).await;
    assert_eq!(
        following.changes("one.example"),
        changes,
        "nothing was learnt"
    );
    news(&house, SERVICE, &known.replace(&hex(SPAMMER), "x.example")).await;
    assert!(following.changes("one.example") > changes);
    assert_eq!(following.changes("two.example"), 0);
}

#[tokio::test]
async fn a_list_that_changes_too_fast_is_read_instead() {
    let house = read(&[&hex(SPAMMER)]).await;
    let many: String = (0..1_001)
        .map(|n| format!("<retract id='x{n}.example'/>"))
        .collect();
    let mut flood = format!(
        "<items node='{NODE}'>{many}<retract id='{}'/></items>",
        hex(SPAMMER)
    );
    news(&house, SERVICE, &flood).await;
    assert!(!gets_through(&house, HELLO).await, "none of it is taken");
    flood = format!(
        "<items node='{NODE}'><retract id='{}'/></items>",
        hex(SPAMMER)
    );
    news(&house, SERVICE, &flood).await;
    assert!(
        !gets_through(&house, HELLO).await,
        "nor what follows at once"
    );
    house.clear();
    house.later(600);
    look(&house).await;
    assert!(house.take_sent().contains("<subscribe "), "it is read anew");
    news(&house, SERVICE, &flood).await;
    assert!(
        gets_through(&house, HELLO).await,
        "a minute later it may speak"
    );
}

#[tokio::test]
async fn a_clock_that_goes_back_in_a_reading_empties_no_list() {
    let house = read(&[&hex(SPAMMER)]).await;
    house.later(6 * 3_600);
    look(&house).await;
    assert!(result(&house, &house.take_sent(), "").await);
    house.later(-3_600);
    assert!(result(&house, &house.take_sent(), &items(&[&hex(SPAMMER)], "")).await);
    assert!(!gets_through(&house, HELLO).await);
}

#[tokio::test]
async fn only_what_is_the_domain_s_own_passes_by_its_lists() {
    let mut house = read(&[]).await;
    house.settings(|settings| {
        settings.components = vec!["bridge".into()];
        let names = [
            "spam.one.example",
            "a.b.one.example",
            "rooms.one.example",
            "bridge.one.example",
        ];
        settings.kept_away = names
            .map(|name| Jid::parse(name).expect("an address"))
            .into();
    });
    for (host, through) in [
        ("spam.one.example", false),
        ("a.b.one.example", false),
        ("rooms.one.example", true),
        ("bridge.one.example", true),
        ("one.example", true),
    ] {
        let message = HELLO.replace("bad.example", host);
        assert_eq!(gets_through(&house, &message).await, through, "{host}");
    }
}

#[tokio::test]
async fn the_service_of_a_list_that_is_left_is_told_so() {
    let mut house = read(&[&hex(SPAMMER)]).await;
    house.settings(|settings| {
        settings.lists = Vec::new();
        settings.off = vec![SCREENING.into()];
    });
    follow(&house.context("one.example")).await.expect("left");
    let left = house.take_sent();
    assert!(
        left.contains("<unsubscribe node='muc_bans_sha256' jid='one.example'/>")
            && left.contains("to='rtbl.example'"),
        "{left}"
    );
    assert!(house.store().block_lists().await.expect("read").is_empty());
    follow(&house.context("one.example")).await.expect("left");
    house.sent("");
}

#[tokio::test]
async fn what_is_due_the_store_says_and_so_much_at_once() {
    let house = read(&[&hex(SPAMMER)]).await;
    // A process that starts, and remembers nothing.
    let fresh = Following::default();
    look_of(&house, &fresh).await;
    house.sent("");
    // Many lists at once, of which none answers.
    let mut house = house;
    let many = (0..205).map(|n| FollowedList {
        service: xmpp::jid::BareJid::parse(&format!("s{n}.example")).expect("an address"),
        node: NODE.into(),
    });
    let many: Vec<_> = many.collect();
    for list in &many {
        let row = house.store().block_list_follow(list.service.as_str(), NODE);
        row.await.expect("followed");
    }
    house.settings(|settings| settings.lists = many);
    let asked = async |house: &House| {
        look(house).await;
        std::iter::from_fn(|| Some(house.take_sent()).filter(|sent| !sent.is_empty())).count()
    };
    assert_eq!(asked(&house).await, 200);
    assert_eq!(asked(&house).await, 0, "as long as nobody answers");
    house.later(600);
    assert_eq!(asked(&house).await, 200, "the oldest come first again");
}
