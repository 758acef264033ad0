//! RFC 6121 2, through the door and against a real store.

use super::*;
use crate::testing::House;

const GET: &str = "<query xmlns='jabber:iq:roster'/>";

fn set(item: &str) -> String {
    format!("<query xmlns='jabber:iq:roster'>{item}</query>")
}

async fn version(house: &House, session: &Jid) -> String {
    house.iq(session, "get", None, GET).await;
    let answer = house.take(session);
    let (_, rest) = answer.split_once("ver='").expect("a version");
    rest.split_once('\'').expect("a version").0.to_owned()
}

#[tokio::test]
async fn im_01_an_empty_roster_is_an_empty_query() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    house.iq(&alice, "get", None, GET).await;
    house.got(&alice, "<iq to='alice@one.example/phone' type='result' id='q'><query xmlns='jabber:iq:roster' ver='1767225600000000'></query></iq>");
}

#[tokio::test]
async fn im_01_all_items_with_everything() {
    let house = House::new().await;
    house.item("alice", "zoe@peer.example", "both").await;
    house.item("alice", "bob@one.example", "to").await;
    let alice = house.bind("alice@one.example/phone");
    house
        .iq(&alice, "set", None, &set("<item jid='zoe@peer.example' name='Z &amp; &apos;o&#xA;e'><group>A&lt;</group><group>B</group></item>"))
        .await;
    house.take(&alice);
    house
        .iq(&alice, "get", Some("alice@one.example"), GET)
        .await;
    house.got(
        &alice,
        "<iq from='alice@one.example' to='alice@one.example/phone' type='result' id='q'><query xmlns='jabber:iq:roster' ver='1767225600000003'>\
         <item jid='bob@one.example' subscription='to'/>\
         <item jid='zoe@peer.example' name='Z &amp; &apos;o&#xA;e' subscription='both'><group>A&lt;</group><group>B</group></item>\
         </query></iq>",
    );
}

#[tokio::test]
async fn im_01_a_roster_that_does_not_exist_is_not_found() {
    let house = House::new().await;
    let ghost = house.bind("nobody@one.example/phone");
    house.iq(&ghost, "get", None, GET).await;
    house.got_error(&ghost, "item-not-found");
    house
        .iq(&ghost, "set", None, &set("<item jid='a@b.example'/>"))
        .await;
    house.got_error(&ghost, "item-not-found");
}

#[tokio::test]
async fn im_02_nobody_else_reads_or_writes_whatever_to() {
    let house = House::new().await;
    let bob = house.bind("bob@one.example/phone");
    let item = set("<item jid='a@peer.example'/>");
    for to in ["alice@one.example", "nobody@one.example", "one.example"] {
        for (type_, payload) in [("get", GET), ("set", &item)] {
            house.iq(&bob, type_, Some(to), payload).await;
            house.got_error(&bob, "forbidden");
            house
                .iq_from("romeo@peer.example/x", type_, to, payload)
                .await;
            house.sent_error(to, "forbidden");
        }
    }
    assert_eq!(house.state("alice", "a@peer.example").await, "-");
}

#[tokio::test]
async fn im_03_one_item_without_repeated_groups() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    for items in [
        "",
        "<item jid='a@peer.example'/><item jid='b@peer.example'/>",
        "<item jid='a@peer.example'><group>x</group><group>x</group></item>",
        "<item/>",
        "<item jid='a@peer.example/resource'/>",
        "<other jid='a@peer.example'/>",
    ] {
        house.iq(&alice, "set", None, &set(items)).await;
        house.got_error(&alice, "bad-request");
    }
    house
        .iq(&alice, "set", None, &set("<item jid='a@b@c'/>"))
        .await;
    house.got_error(&alice, "jid-malformed");
    house
        .iq(&alice, "set", None, &set("<item jid='alice@one.example'/>"))
        .await;
    house.got_error(&alice, "not-allowed");
    house
        .iq(&alice, "get", None, &set("<item jid='a@peer.example'/>"))
        .await;
    house.got_error(&alice, "bad-request");
}

#[tokio::test]
async fn im_04_names_and_groups_have_limits() {
    let limits = Limits {
        roster_items: 1,
        roster_name_bytes: 4,
        roster_group_bytes: 4,
        roster_groups: 2,
        ..Limits::default()
    };
    let house = House::with(limits).await;
    let alice = house.bind("alice@one.example/phone");
    for item in [
        "<item jid='a@peer.example' name='12345'/>",
        "<item jid='a@peer.example'><group/></item>",
        "<item jid='a@peer.example'><group>12345</group></item>",
        "<item jid='a@peer.example'><group>1</group><group>2</group><group>3</group></item>",
    ] {
        house.iq(&alice, "set", None, &set(item)).await;
        house.got_error(&alice, "not-acceptable");
    }
    house
        .iq(
            &alice,
            "set",
            None,
            &set("<item jid='a@peer.example' name='1234'/>"),
        )
        .await;
    assert!(house.take(&alice).contains("type='result'"));
    house
        .iq(&alice, "set", None, &set("<item jid='b@peer.example'/>"))
        .await;
    house.got_error(&alice, "policy-violation");
    house
        .iq(&alice, "set", None, &set("<item jid='a@peer.example'/>"))
        .await;
    assert!(house.take(&alice).contains("type='result'"));
    house
        .presence(&alice, "<presence to='c@peer.example' type='subscribe'/>")
        .await;
    house.got_error(&alice, "policy-violation");
    house.sent("");
}

#[tokio::test]
async fn im_05_subscription_ask_and_approved_are_not_the_clients() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    let item =
        set("<item jid='a@peer.example' subscription='both' ask='subscribe' approved='true'/>");
    house.iq(&alice, "set", None, &item).await;
    assert_eq!(house.state("alice", "a@peer.example").await, "none");
    house.item("alice", "a@peer.example", "from").await;
    house.iq(&alice, "set", None, &item).await;
    assert_eq!(house.state("alice", "a@peer.example").await, "from");
}

#[tokio::test]
async fn im_06_a_set_is_answered_and_pushed_to_interested_sessions() {
    let house = House::new().await;
    let phone = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    let deaf = house.bind("alice@one.example/deaf");
    house
        .iq(
            &phone,
            "set",
            None,
            &set("<item jid='a@peer.example' name='A'><group>x</group></item>"),
        )
        .await;
    house.got(
        &phone,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    let item = "<item jid='a@peer.example' name='A' subscription='none'><group>x</group></item>";
    house.got_push(&phone, item);
    house.got_push(&desk, item);
    house
        .iq(&phone, "set", None, &set("<item jid='a@peer.example'/>"))
        .await;
    house.got_push(&desk, "<item jid='a@peer.example' subscription='none'/>");
    house.got(&desk, "");
    house.got(&deaf, "");
}

#[tokio::test]
async fn im_07_removal_ends_subscriptions() {
    for (subscription, expected) in [
        ("none", &[][..]),
        (
            "to",
            &["<presence from='alice@one.example' to='r@peer.example' type='unsubscribe'/>"],
        ),
        (
            "from",
            &[
                "<presence from='alice@one.example/phone' to='r@peer.example' type='unavailable'/>",
                "<presence from='alice@one.example' to='r@peer.example' type='unsubscribed'/>",
            ],
        ),
        (
            "both",
            &[
                "<presence from='alice@one.example/phone' to='r@peer.example' type='unavailable'/>",
                "<presence from='alice@one.example' to='r@peer.example' type='unsubscribe'/>",
                "<presence from='alice@one.example' to='r@peer.example' type='unsubscribed'/>",
            ],
        ),
    ] {
        let house = House::new().await;
        house.item("alice", "r@peer.example", subscription).await;
        let alice = house.online("alice@one.example/phone").await;
        house
            .iq(
                &alice,
                "set",
                None,
                &set("<item jid='r@peer.example' subscription='remove'/>"),
            )
            .await;
        house.got(
            &alice,
            "<iq to='alice@one.example/phone' type='result' id='q'/>",
        );
        house.got_push(&alice, "<item jid='r@peer.example' subscription='remove'/>");
        for stanza in expected {
            house.sent(stanza);
        }
        house.sent("");
        assert_eq!(house.state("alice", "r@peer.example").await, "-");
        house
            .iq(
                &alice,
                "set",
                None,
                &set("<item jid='r@peer.example' subscription='remove'/>"),
            )
            .await;
        house.got_error(&alice, "item-not-found");
    }
}

#[tokio::test]
async fn im_07_removal_of_a_local_contact_changes_both_rosters() {
    let house = House::new().await;
    house.item("alice", "bob@one.example", "both").await;
    house.item("bob", "alice@one.example", "both").await;
    let alice = house.online("alice@one.example/phone").await;
    let bob = house.online("bob@one.example/desk").await;
    house.clear();
    house
        .iq(
            &alice,
            "set",
            None,
            &set("<item jid='bob@one.example' subscription='remove'/>"),
        )
        .await;
    assert_eq!(house.state("bob", "alice@one.example").await, "none");
    house.got(
        &bob,
        "<presence from='alice@one.example/phone' to='bob@one.example' type='unavailable'/>",
    );
    house.got(
        &bob,
        "<presence from='alice@one.example' to='bob@one.example' type='unsubscribe'/>",
    );
    house.got_push(&bob, "<item jid='alice@one.example' subscription='to'/>");
    house.got(
        &bob,
        "<presence from='alice@one.example' to='bob@one.example' type='unsubscribed'/>",
    );
    house.got_push(&bob, "<item jid='alice@one.example' subscription='none'/>");
    house.got(&bob, "");
}

#[tokio::test]
async fn im_08_the_stream_feature_is_offered() {
    let house = House::new().await;
    let features = house.context("one.example").hosted.stream_features();
    let names: Vec<_> = features.iter().map(|f| (f.name(), f.ns())).collect();
    assert_eq!(
        names[..2],
        [
            ("ver", "urn:xmpp:features:rosterver"),
            ("sub", "urn:xmpp:features:pre-approval")
        ]
    );
}

#[tokio::test]
async fn im_08_who_knows_the_version_gets_an_empty_result_and_changes_in_order() {
    let house = House::new().await;
    for contact in ["a", "b", "c"] {
        house
            .item("alice", &format!("{contact}@peer.example"), "none")
            .await;
    }
    let phone = house.online("alice@one.example/phone").await;
    let known = version(&house, &phone).await;
    let get = format!("<query xmlns='jabber:iq:roster' ver='{known}'/>");
    house.iq(&phone, "get", None, &get).await;
    house.got(
        &phone,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    house.got(&phone, "");
    for item in [
        "<item jid='c@peer.example' name='1'/>",
        "<item jid='b@peer.example' subscription='remove'/>",
        "<item jid='c@peer.example' name='2'/>",
    ] {
        house.iq(&phone, "set", None, &set(item)).await;
    }
    let desk = house.bind("alice@one.example/desk");
    house.iq(&desk, "get", None, &get).await;
    house.got(
        &desk,
        "<iq to='alice@one.example/desk' type='result' id='q'/>",
    );
    house.got(&desk, "<iq to='alice@one.example/desk' type='set' id='roster-1767225600000005'><query xmlns='jabber:iq:roster' ver='1767225600000005'><item jid='b@peer.example' subscription='remove'/></query></iq>");
    house.got(&desk, "<iq to='alice@one.example/desk' type='set' id='roster-1767225600000006'><query xmlns='jabber:iq:roster' ver='1767225600000006'><item jid='c@peer.example' name='2' subscription='none'/></query></iq>");
    house.got(&desk, "");
    // It is interested now.
    house
        .iq(
            &phone,
            "set",
            None,
            &set("<item jid='a@peer.example' name='3'/>"),
        )
        .await;
    house.got_push(
        &desk,
        "<item jid='a@peer.example' name='3' subscription='none'/>",
    );
}

#[tokio::test]
async fn im_08_unknown_versions_get_the_whole() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    for ver in ["", "0", "1767225600000001", "x", "-1"] {
        house
            .iq(
                &alice,
                "get",
                None,
                &format!("<query xmlns='jabber:iq:roster' ver='{ver}'/>"),
            )
            .await;
        assert!(house.take(&alice).contains("<query"), "{ver}");
    }
}

#[tokio::test]
async fn rosters_changed_by_another_process_are_read_again() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.iq(&alice, "get", None, GET).await;
    house.clear();
    // Another node writes; this one's cache does not know.
    let other = RosterItem::new(BareJid::parse("other@peer.example").expect("an address"));
    house.write("alice", other).await;
    house
        .iq(&alice, "set", None, &set("<item jid='a@peer.example'/>"))
        .await;
    house.got(
        &alice,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    house.got_push(&alice, "<item jid='a@peer.example' subscription='none'/>");
    house.iq(&alice, "get", None, GET).await;
    let whole = house.take(&alice);
    assert!(
        whole.contains("other@peer.example") && whole.contains("a@peer.example"),
        "{whole}"
    );
}

#[tokio::test]
async fn a_store_that_fails_is_an_error_and_changes_nothing() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.database.close().await;
    house
        .iq(&alice, "set", None, &set("<item jid='a@peer.example'/>"))
        .await;
    house.got_error(&alice, "resource-constraint");
    house.got(&alice, "");
}

#[tokio::test]
async fn an_account_that_was_asked_for_before_it_came_has_a_roster_at_once() {
    let house = House::new().await;
    house
        .undeliverable(
            "<message from='a@peer.example/x' to='new@one.example'><body>x</body></message>",
        )
        .await;
    let now = house.context("one.example").now;
    house
        .store()
        .account_add("new", &[], now)
        .await
        .expect("added");
    // The feed of changes has not been read yet.
    let new = house.bind("new@one.example/phone");
    house.iq(&new, "get", None, GET).await;
    assert!(house.take(&new).contains("<query"));
}
