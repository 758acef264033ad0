//! RFC 6121 3 and 4 as flows: an account here with a contact elsewhere, in both directions, and two accounts here.

mod availability;
mod direct;
mod probes;

use crate::memory::Limits;
use crate::testing::House;

const ROMEO: &str = "romeo@peer.example";

/// What the other server says to alice.
fn from_romeo(type_: &str) -> String {
    format!("<presence from='{ROMEO}' to='alice@one.example' type='{type_}' id='r1'/>")
}

/// What alice says to the other server, as it leaves.
fn to_romeo(type_: &str) -> String {
    format!("<presence from='alice@one.example' to='{ROMEO}' type='{type_}'/>")
}

fn say(type_: &str) -> String {
    format!("<presence to='{ROMEO}' type='{type_}'/>")
}

fn item(attributes: &str) -> String {
    format!("<item jid='{ROMEO}' {attributes}/>")
}

fn probe(from: &str, to: &str) -> String {
    format!("<presence from='{from}' to='{to}' type='probe' id='p1'/>")
}

// 3.1, the account asks

#[tokio::test]
async fn im_11_asking_a_remote_contact() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(
            &alice,
            "<presence to='romeo@peer.example/orchard' type='subscribe' id='s1'><status>Hi</status></presence>",
        )
        .await;
    // IM-10: both addresses are bare, the rest is as it was.
    house.sent("<presence from='alice@one.example' to='romeo@peer.example' type='subscribe' id='s1'><status>Hi</status></presence>");
    house.got_push(&alice, &item("subscription='none' ask='subscribe'"));
    assert_eq!(house.state("alice", ROMEO).await, "none ask");
    // Again: routed again, nothing new to push.
    house.presence(&alice, &say("subscribe")).await;
    house.sent(&to_romeo("subscribe"));
    house.got(&alice, "");
}

#[tokio::test]
async fn im_16_a_remote_contact_consents() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let deaf = house.bind("alice@one.example/deaf");
    house.presence(&alice, &say("subscribe")).await;
    house.clear();
    house.presence_in(&from_romeo("subscribed")).await;
    house.got(&alice, &from_romeo("subscribed"));
    house.got_push(&alice, &item("subscription='to'"));
    house.got(&deaf, "");
    assert_eq!(house.state("alice", ROMEO).await, "to");
    // Consent that nobody asked for is not heard.
    house.presence_in(&from_romeo("subscribed")).await;
    house
        .presence_in("<presence from='x@peer.example' to='alice@one.example' type='subscribed'/>")
        .await;
    house.got(&alice, "");
    assert_eq!(house.state("alice", "x@peer.example").await, "-");
}

#[tokio::test]
async fn im_18_a_remote_contact_declines_or_cancels() {
    for (before, after, pushed) in [
        ("none ask", "none", Some("subscription='none'")),
        ("to", "none", Some("subscription='none'")),
        ("both", "from", Some("subscription='from'")),
        ("from", "from", None),
        ("none", "none", None),
    ] {
        let house = House::new().await;
        let alice = house.online("alice@one.example/phone").await;
        let (subscription, ask) = before.split_once(' ').unwrap_or((before, ""));
        house.item("alice", ROMEO, subscription).await;
        if ask == "ask" {
            house.presence(&alice, &say("subscribe")).await;
            house.clear();
        }
        house.presence_in(&from_romeo("unsubscribed")).await;
        if let Some(pushed) = pushed {
            house.got(&alice, &from_romeo("unsubscribed"));
            house.got_push(&alice, &item(pushed));
        }
        house.got(&alice, "");
        house.sent("");
        assert_eq!(house.state("alice", ROMEO).await, after);
    }
}

// 3.1.3, the account is asked

#[tokio::test]
async fn im_14_a_request_is_delivered_and_comes_again_until_decided() {
    let house = House::new().await;
    let phone = house.online("alice@one.example/phone").await;
    let silent = house.bind("alice@one.example/silent");
    let request = "<presence from='romeo@peer.example' to='alice@one.example' type='subscribe' id='r1'><status>It is me</status></presence>";
    house.presence_in(request).await;
    house.got(&phone, request);
    house.got(&silent, "");
    // IM-12: no item, no answer.
    assert_eq!(house.state("alice", ROMEO).await, "- request");
    house.sent("");
    // The same request is not delivered twice.
    house.presence_in(&from_romeo("subscribe")).await;
    house.got(&phone, "");
    for _ in 0..2 {
        house.presence(&silent, "<presence/>").await;
        assert_eq!(house.all(&silent).last().map(String::as_str), Some(request));
        house
            .presence(&silent, "<presence type='unavailable'/>")
            .await;
        house.clear();
    }
    // An update of presence is not a new availability.
    house
        .presence(&phone, "<presence><show>away</show></presence>")
        .await;
    assert!(!house.all(&phone).contains(&request.to_owned()));
    house.presence(&phone, &say("unsubscribed")).await;
    house.presence(&silent, "<presence/>").await;
    assert!(!house.all(&silent).contains(&request.to_owned()));
    assert_eq!(house.state("alice", ROMEO).await, "-");
}

#[tokio::test]
async fn im_14_requests_wait_for_an_account_that_is_away() {
    let limits = Limits {
        requests: 2,
        request_bytes: 200,
        ..Limits::default()
    };
    let house = House::with(limits).await;
    let long = format!(
        "<presence from='a@peer.example/x' to='alice@one.example/y' type='subscribe'><status>{}</status></presence>",
        "x".repeat(300)
    );
    house.presence_in(&long).await;
    house.presence_in(&from_romeo("subscribe")).await;
    // One more than may wait.
    house
        .presence_in("<presence from='c@peer.example' to='alice@one.example' type='subscribe'/>")
        .await;
    assert_eq!(house.state("alice", "c@peer.example").await, "-");
    let alice = house.bind("alice@one.example/phone");
    house.presence(&alice, "<presence/>").await;
    let got = house.all(&alice);
    assert_eq!(
        got[1..],
        [
            // Too long to keep whole.
            "<presence from='a@peer.example' to='alice@one.example' type='subscribe'/>".to_owned(),
            from_romeo("subscribe"),
        ]
    );
}

#[tokio::test]
async fn im_15_consent_is_routed_then_pushed_then_presence_is_shown() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(&alice, "<presence><show>away</show></presence>")
        .await;
    house.presence_in(&from_romeo("subscribe")).await;
    house.clear();
    house.presence(&alice, &say("subscribed")).await;
    house.sent(&to_romeo("subscribed"));
    house.sent("<presence from='alice@one.example/phone' to='romeo@peer.example'><show>away</show></presence>");
    house.got_push(&alice, &item("subscription='from'"));
    assert_eq!(house.state("alice", ROMEO).await, "from");
}

#[tokio::test]
async fn im_13_who_may_see_already_is_told_so() {
    let house = House::new().await;
    house.item("alice", ROMEO, "from").await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence_in(&from_romeo("subscribe")).await;
    house.sent(
        "<presence from='alice@one.example' to='romeo@peer.example' type='subscribed' id='r1'/>",
    );
    house.got(&alice, "");
}

#[tokio::test]
async fn im_09_pre_approval() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence(&alice, &say("subscribed")).await;
    house.sent("");
    house.got_push(&alice, &item("subscription='none' approved='true'"));
    house.presence_in(&from_romeo("subscribe")).await;
    house.got_push(&alice, &item("subscription='from' approved='true'"));
    house.got(&alice, "");
    house.sent(
        "<presence from='alice@one.example' to='romeo@peer.example' type='subscribed' id='r1'/>",
    );
    house.sent("<presence from='alice@one.example/phone' to='romeo@peer.example'/>");
    assert_eq!(house.state("alice", ROMEO).await, "from approved");
}

// 3.2, the account cancels

#[tokio::test]
async fn im_17_cancelling_hides_first() {
    let house = House::new().await;
    house.item("alice", ROMEO, "both").await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence(&alice, &say("unsubscribed")).await;
    house.sent(
        "<presence from='alice@one.example/phone' to='romeo@peer.example' type='unavailable'/>",
    );
    house.sent(&to_romeo("unsubscribed"));
    house.got_push(&alice, &item("subscription='to'"));
    house.clear();
    // Nothing is left to cancel.
    house.presence(&alice, &say("unsubscribed")).await;
    house.sent("");
    house.got(&alice, "");
}

#[tokio::test]
async fn im_17_a_pre_approval_is_taken_back_silently() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence(&alice, &say("subscribed")).await;
    house.clear();
    house.presence(&alice, &say("unsubscribed")).await;
    house.sent("");
    house.got_push(&alice, &item("subscription='none'"));
}

#[tokio::test]
async fn c_13_a_denial_shows_no_session() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence_in(&from_romeo("subscribe")).await;
    house.clear();
    house.presence(&alice, &say("unsubscribed")).await;
    house.sent(&to_romeo("unsubscribed"));
    house.sent("");
    house.got(&alice, "");
    assert_eq!(house.state("alice", ROMEO).await, "-");
}

// 3.3, unsubscribing

#[tokio::test]
async fn the_account_unsubscribes() {
    let house = House::new().await;
    house.item("alice", ROMEO, "both").await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence(&alice, &say("unsubscribe")).await;
    house.sent(&to_romeo("unsubscribe"));
    house.got_push(&alice, &item("subscription='from'"));
    assert_eq!(house.state("alice", ROMEO).await, "from");
}

#[tokio::test]
async fn im_19_a_contact_unsubscribes() {
    let house = House::new().await;
    house.item("alice", ROMEO, "both").await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence_in(&from_romeo("unsubscribe")).await;
    house.got(&alice, &from_romeo("unsubscribe"));
    house.got_push(&alice, &item("subscription='to'"));
    house.sent(
        "<presence from='alice@one.example/phone' to='romeo@peer.example' type='unavailable'/>",
    );
    house.sent(
        "<presence from='alice@one.example' to='romeo@peer.example' type='unsubscribed' id='r1'/>",
    );
    house.presence_in(&from_romeo("unsubscribe")).await;
    house.got(&alice, "");
    house.sent("");
}

#[tokio::test]
async fn c_11_a_request_taken_back() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence_in(&from_romeo("subscribe")).await;
    house.clear();
    house.presence_in(&from_romeo("unsubscribe")).await;
    house.got(&alice, "");
    house.sent("");
    assert_eq!(house.state("alice", ROMEO).await, "-");
    // In the roster: as the table says.
    house.item("alice", ROMEO, "to").await;
    house.presence_in(&from_romeo("subscribe")).await;
    house.clear();
    house.presence_in(&from_romeo("unsubscribe")).await;
    house.got(&alice, &from_romeo("unsubscribe"));
    assert_eq!(house.state("alice", ROMEO).await, "to");
}

#[tokio::test]
async fn im_33_subscription_stanzas_to_nobody_and_to_oneself_are_ignored() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    for type_ in ["subscribe", "subscribed", "unsubscribe", "unsubscribed"] {
        house
            .presence_in(&format!(
                "<presence from='{ROMEO}' to='nobody@one.example' type='{type_}'/>"
            ))
            .await;
        house
            .presence(
                &alice,
                &format!("<presence to='alice@one.example' type='{type_}'/>"),
            )
            .await;
        house
            .presence_in(&format!(
                "<presence from='{ROMEO}' to='alice@one.example/gone' type='{type_}'/>"
            ))
            .await;
    }
    house.sent("");
    // A request to a session that is not there is one to the account.
    assert_eq!(
        house.all(&alice),
        [format!(
            "<presence from='{ROMEO}' to='alice@one.example' type='subscribe'/>"
        )]
    );
    house.presence(&alice, "<presence type='subscribe'/>").await;
    house.got_error(&alice, "bad-request");
}

#[tokio::test]
async fn mutual_subscription_of_two_accounts_here() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let bob = house.online("bob@one.example/desk").await;
    house
        .presence(&alice, "<presence to='bob@one.example' type='subscribe'/>")
        .await;
    house.got_push(
        &alice,
        "<item jid='bob@one.example' subscription='none' ask='subscribe'/>",
    );
    house.got(
        &bob,
        "<presence from='alice@one.example' to='bob@one.example' type='subscribe'/>",
    );
    house.got(&bob, "");
    house
        .presence(&bob, "<presence to='alice@one.example' type='subscribed'/>")
        .await;
    house.got_push(&bob, "<item jid='alice@one.example' subscription='from'/>");
    house.got(
        &alice,
        "<presence from='bob@one.example' to='alice@one.example' type='subscribed'/>",
    );
    house.got_push(&alice, "<item jid='bob@one.example' subscription='to'/>");
    house.got(
        &alice,
        "<presence from='bob@one.example/desk' to='alice@one.example'/>",
    );
    house
        .presence(&alice, "<presence to='bob@one.example' type='subscribed'/>")
        .await;
    house.got_push(
        &alice,
        "<item jid='bob@one.example' subscription='to' approved='true'/>",
    );
    house
        .presence(&bob, "<presence to='alice@one.example' type='subscribe'/>")
        .await;
    // Pre-approved: granted at once, in the order "asked", "granted".
    house.got_push(
        &bob,
        "<item jid='alice@one.example' subscription='from' ask='subscribe'/>",
    );
    house.got(
        &bob,
        "<presence from='alice@one.example' to='bob@one.example' type='subscribed'/>",
    );
    house.got_push(&bob, "<item jid='alice@one.example' subscription='both'/>");
    house.got(
        &bob,
        "<presence from='alice@one.example/phone' to='bob@one.example'/>",
    );
    house.got_push(
        &alice,
        "<item jid='bob@one.example' subscription='both' approved='true'/>",
    );
    house.got(&alice, "");
    house.got(&bob, "");
    house.sent("");
    assert_eq!(
        house.state("alice", "bob@one.example").await,
        "both approved"
    );
    assert_eq!(house.state("bob", "alice@one.example").await, "both");
}

#[tokio::test]
async fn accounts_of_two_domains_here_never_leave_the_process() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let dave = house.online("dave@two.example/desk").await;
    house
        .presence(&alice, "<presence to='dave@two.example' type='subscribe'/>")
        .await;
    house.got(
        &dave,
        "<presence from='alice@one.example' to='dave@two.example' type='subscribe'/>",
    );
    house
        .presence(
            &dave,
            "<presence to='alice@one.example' type='subscribed'/>",
        )
        .await;
    let got = house.all(&alice);
    assert_eq!(
        got.last().map(String::as_str),
        Some("<presence from='dave@two.example/desk' to='alice@one.example'/>")
    );
    house.clear();
    house.gone(&dave).await;
    house.got(
        &alice,
        "<presence from='dave@two.example/desk' to='alice@one.example' type='unavailable'/>",
    );
    house.sent("");
}
