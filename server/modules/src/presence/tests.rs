//! RFC 6121 3 and 4 as flows: an account here with a contact elsewhere, in both directions, and two accounts here.

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

// 4.2 to 4.5, availability

#[tokio::test]
async fn im_21_fresh_knowledge_is_not_asked_for_again() {
    let house = House::new().await;
    house.item("alice", "b@peer.example", "to").await;
    house.item("alice", "c@peer.example", "to").await;
    let _desk = house.online("alice@one.example/desk").await;
    let said =
        "<presence from='b@peer.example/x' to='alice@one.example'><show>away</show></presence>";
    house.presence_in(said).await;
    house.clear();
    let phone = house.bind("alice@one.example/phone");
    house.presence(&phone, "<presence/>").await;
    house.sent("<presence from='alice@one.example' to='c@peer.example' type='probe'/>");
    house.sent("");
    assert!(
        house.all(&phone).contains(&said.to_owned()),
        "what is known is told"
    );
    // A contact who has gone is known to be away.
    house
        .presence_in(
            "<presence from='b@peer.example/x' to='alice@one.example' type='unavailable'/>",
        )
        .await;
    let tablet = house.bind("alice@one.example/tablet");
    house.presence(&tablet, "<presence/>").await;
    house.sent("<presence from='alice@one.example' to='c@peer.example' type='probe'/>");
    house.sent("");
    assert!(!house.all(&tablet).concat().contains("b@peer.example"));
    // What strangers say is not remembered, and nothing is after a new subscription.
    house
        .presence_in("<presence from='z@peer.example/x' to='alice@one.example'/>")
        .await;
    house
        .presence(&phone, "<presence to='b@peer.example' type='subscribe'/>")
        .await;
    house.clear();
    let watch = house.bind("alice@one.example/watch");
    house.presence(&watch, "<presence/>").await;
    house.sent("<presence from='alice@one.example' to='b@peer.example' type='probe'/>");
}

#[tokio::test]
async fn im_21_initial_presence_goes_to_subscribers_and_own_sessions_then_probes() {
    let house = House::new().await;
    for (contact, subscription) in [("a", "none"), ("b", "to"), ("c", "from"), ("d", "both")] {
        house
            .item("alice", &format!("{contact}@peer.example"), subscription)
            .await;
    }
    let desk = house.online("alice@one.example/desk").await;
    let phone = house.bind("alice@one.example/phone");
    house
        .presence(&phone, "<presence id='p'><show>chat</show></presence>")
        .await;
    let shown = |to: &str| {
        format!(
            "<presence from='alice@one.example/phone' to='{to}' id='p'><show>chat</show></presence>"
        )
    };
    house.sent(&shown("c@peer.example"));
    house.sent(&shown("d@peer.example"));
    // IM-22
    house.sent("<presence from='alice@one.example' to='b@peer.example' type='probe'/>");
    house.sent("<presence from='alice@one.example' to='d@peer.example' type='probe'/>");
    house.sent("");
    house.got(&desk, &shown("alice@one.example"));
    house.got(&phone, &shown("alice@one.example"));
    house.got(
        &phone,
        "<presence from='alice@one.example/desk' to='alice@one.example'/>",
    );
    house.got(&phone, "");
    // IM-27: an update goes to the same, without probes.
    house
        .presence(&phone, "<presence><x xmlns='urn:x'/></presence>")
        .await;
    let update = |to: &str| {
        format!("<presence from='alice@one.example/phone' to='{to}'><x xmlns='urn:x'/></presence>")
    };
    house.sent(&update("c@peer.example"));
    house.sent(&update("d@peer.example"));
    house.sent("");
    house.got(&desk, &update("alice@one.example"));
    house.got(&phone, &update("alice@one.example"));
}

#[tokio::test]
async fn im_22_contacts_of_the_same_domain_are_looked_at_without_a_probe() {
    let house = House::new().await;
    for (local, contact) in [
        ("alice", "bob@one.example"),
        ("alice", "carol@one.example"),
        ("bob", "alice@one.example"),
    ] {
        house.item(local, contact, "both").await;
    }
    let bob = house.online("bob@one.example/desk").await;
    let carol = house.online("carol@one.example/desk").await;
    let alice = house.bind("alice@one.example/phone");
    house.presence(&alice, "<presence/>").await;
    let shown = |to: &str| format!("<presence from='alice@one.example/phone' to='{to}'/>");
    house.got(&alice, &shown("alice@one.example"));
    house.got(
        &alice,
        "<presence from='bob@one.example/desk' to='alice@one.example'/>",
    );
    // Carol's roster does not know alice: the two are brought in line (RFC 6121 4.3.2).
    house.got(&alice, "");
    house.got(&bob, &shown("bob@one.example"));
    house.got(&carol, &shown("carol@one.example"));
    house.sent("");
    assert_eq!(house.state("alice", "carol@one.example").await, "from");
}

#[tokio::test]
async fn im_11_unanswered_requests_are_repeated_when_the_account_comes_back() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.presence(&alice, &say("subscribe")).await;
    house.gone(&alice).await;
    house.clear();
    let alice = house.bind("alice@one.example/phone");
    house.presence(&alice, "<presence/>").await;
    house.sent(&to_romeo("subscribe"));
    let desk = house.bind("alice@one.example/desk");
    house.presence(&desk, "<presence/>").await;
    house.sent("");
}

#[tokio::test]
async fn im_28_going_is_told_to_subscribers_and_own_sessions_gracefully_or_not() {
    let house = House::new().await;
    house.item("alice", ROMEO, "from").await;
    let desk = house.online("alice@one.example/desk").await;
    let phone = house.online("alice@one.example/phone").await;
    let bye = |from: &str, to: &str, rest: &str| {
        format!("<presence from='{from}' to='{to}' type='unavailable'{rest}")
    };
    house.clear();
    house
        .presence(
            &phone,
            "<presence type='unavailable'><status>bye</status></presence>",
        )
        .await;
    let rest = "><status>bye</status></presence>";
    house.sent(&bye("alice@one.example/phone", ROMEO, rest));
    house.got(
        &desk,
        &bye("alice@one.example/phone", "alice@one.example", rest),
    );
    house.got(
        &phone,
        &bye("alice@one.example/phone", "alice@one.example", rest),
    );
    // It is gone already: the end of the stream says nothing new.
    house.gone(&phone).await;
    house.sent("");
    house.got(&desk, "");
    house.gone(&desk).await;
    house.sent(&bye("alice@one.example/desk", ROMEO, "/>"));
}

#[tokio::test]
async fn im_29_presence_to_the_bare_jid_goes_to_all_available_sessions() {
    let house = House::new().await;
    let phone = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    let silent = house.bind("alice@one.example/silent");
    house.clear();
    for type_ in ["", " type='unavailable'", " type='error'"] {
        let presence =
            format!("<presence from='romeo@peer.example/x' to='alice@one.example'{type_}/>");
        house.presence_in(&presence).await;
        house.got(&phone, &presence);
        house.got(&desk, &presence);
        house.got(&silent, "");
    }
    // IM-40: to one session, available or not, or to none.
    let presence = "<presence from='romeo@peer.example/x' to='alice@one.example/silent'/>";
    house.presence_in(presence).await;
    house.got(&silent, presence);
    house.got(&phone, "");
    house
        .presence_in("<presence from='romeo@peer.example/x' to='alice@one.example/gone'/>")
        .await;
    house
        .presence_in("<presence from='romeo@peer.example/x' to='nobody@one.example'/>")
        .await;
    house.got(&phone, "");
    house.sent("");
}

#[tokio::test]
async fn im_31_priority() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    for bad in ["128", "-129", "x", "", "1</priority><priority>2"] {
        house
            .presence(
                &alice,
                &format!("<presence><priority>{bad}</priority></presence>"),
            )
            .await;
        house.got_error(&alice, "bad-request");
    }
    assert!(!house.session(&alice).available());
    for (text, priority) in [("127", 127), ("-128", -128), ("+1", 1), (" 5 ", 5)] {
        house
            .presence(
                &alice,
                &format!("<presence><priority>{text}</priority></presence>"),
            )
            .await;
        assert_eq!(house.session(&alice).priority, priority);
    }
    house.presence(&alice, "<presence/>").await;
    assert_eq!(house.session(&alice).priority, 0);
}

// 4.3, probes

fn probe(from: &str, to: &str) -> String {
    format!("<presence from='{from}' to='{to}' type='probe' id='p1'/>")
}

#[tokio::test]
async fn im_23_strangers_hear_the_same_for_accounts_and_for_nobody() {
    let house = House::new().await;
    house.online("alice@one.example/phone").await;
    for to in [
        "alice@one.example",
        "alice@one.example/phone",
        "alice@one.example/x",
        "nobody@one.example",
        "nobody@one.example/x",
    ] {
        house.presence_in(&probe("romeo@peer.example/x", to)).await;
        let account = to.split('/').next().unwrap_or_default();
        house.sent(&format!(
            "<presence from='{account}' to='romeo@peer.example' type='unsubscribed' id='p1'/>"
        ));
    }
    // Seeing is not showing.
    house.item("alice", ROMEO, "to").await;
    house.presence_in(&probe(ROMEO, "alice@one.example")).await;
    house.sent(
        "<presence from='alice@one.example' to='romeo@peer.example' type='unsubscribed' id='p1'/>",
    );
    assert_eq!(house.state("alice", ROMEO).await, "to");
}

#[tokio::test]
async fn im_24_subscribers_hear_every_session_or_since_when_nobody_is_there() {
    let house = House::new().await;
    house.item("alice", ROMEO, "from").await;
    house.presence_in(&probe(ROMEO, "alice@one.example")).await;
    house.sent(
        "<presence from='alice@one.example' to='romeo@peer.example' type='unavailable' id='p1'/>",
    );
    let phone = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    house.bind("alice@one.example/silent");
    house
        .presence(&desk, "<presence id='d'><show>dnd</show></presence>")
        .await;
    house.clear();
    house.presence_in(&probe(ROMEO, "alice@one.example")).await;
    house.sent("<presence from='alice@one.example/phone' to='romeo@peer.example'/>");
    house.sent("<presence from='alice@one.example/desk' to='romeo@peer.example' id='d'><show>dnd</show></presence>");
    house.sent("");
    house.gone(&phone).await;
    house.gone(&desk).await;
    house.later(60);
    house.clear();
    house.presence_in(&probe(ROMEO, "alice@one.example")).await;
    house.sent(
        "<presence from='alice@one.example' to='romeo@peer.example' type='unavailable' id='p1'>\
         <delay xmlns='urn:xmpp:delay' from='alice@one.example' stamp='2026-01-01T00:00:00Z'/></presence>",
    );
}

#[tokio::test]
async fn im_25_a_probe_to_a_session_discloses_no_other() {
    let house = House::new().await;
    house.item("alice", ROMEO, "both").await;
    let desk = house.online("alice@one.example/desk").await;
    house
        .presence(&desk, "<presence><show>dnd</show></presence>")
        .await;
    house.clear();
    house
        .presence_in(&probe(ROMEO, "alice@one.example/desk"))
        .await;
    house.sent("<presence from='alice@one.example/desk' to='romeo@peer.example'/>");
    house
        .presence_in(&probe(ROMEO, "alice@one.example/phone"))
        .await;
    house.sent("<presence from='alice@one.example/phone' to='romeo@peer.example' type='unavailable' id='p1'/>");
    house.sent("");
}

#[tokio::test]
async fn probes_of_clients_are_answered_not_refused() {
    let house = House::new().await;
    house.item("bob", "alice@one.example", "from").await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(
            &alice,
            "<presence to='bob@one.example' type='probe' id='c1'/>",
        )
        .await;
    house.got(&alice, "<presence from='bob@one.example' to='alice@one.example/phone' type='unavailable' id='c1'/>");
    house
        .presence(&alice, "<presence to='romeo@peer.example' type='probe'/>")
        .await;
    house.sent("<presence from='alice@one.example/phone' to='romeo@peer.example' type='probe'/>");
    house.presence(&alice, "<presence type='probe'/>").await;
    house.got(&alice, "");
}

// 4.6, directed presence

#[tokio::test]
async fn im_30_directed_presence_is_not_widened_and_is_taken_back_at_the_end() {
    let house = House::new().await;
    house.item("alice", "friend@peer.example", "from").await;
    let alice = house.online("alice@one.example/phone").await;
    let to_room = "<presence from='alice@one.example/phone' to='room@muc.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    house.presence(&alice, "<presence to='room@muc.example/me'><x xmlns='http://jabber.org/protocol/muc'/></presence>").await;
    house.sent(to_room);
    house
        .presence(&alice, "<presence to='friend@peer.example'/>")
        .await;
    house.sent("<presence from='alice@one.example/phone' to='friend@peer.example'/>");
    house
        .presence(&alice, "<presence to='other@peer.example'/>")
        .await;
    house
        .presence(
            &alice,
            "<presence to='other@peer.example' type='unavailable'/>",
        )
        .await;
    house.clear();
    house
        .presence(&alice, "<presence><show>away</show></presence>")
        .await;
    house.sent("<presence from='alice@one.example/phone' to='friend@peer.example'><show>away</show></presence>");
    house.sent("");
    house.gone(&alice).await;
    house.sent(
        "<presence from='alice@one.example/phone' to='friend@peer.example' type='unavailable'/>",
    );
    house.sent(
        "<presence from='alice@one.example/phone' to='room@muc.example/me' type='unavailable'/>",
    );
    house.sent("");
}

#[tokio::test]
async fn im_30_whoever_says_goodbye_needs_none() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(&alice, "<presence to='room@muc.example/me'/>")
        .await;
    house.presence_in("<presence from='room@muc.example/me' to='alice@one.example/phone' type='unavailable'/>").await;
    house.clear();
    house.gone(&alice).await;
    house.sent("");
}

#[tokio::test]
async fn im_28_a_session_that_never_was_available_takes_back_what_it_directed() {
    let house = House::new().await;
    house.item("alice", ROMEO, "from").await;
    let alice = house.bind("alice@one.example/phone");
    house
        .presence(&alice, "<presence to='romeo@peer.example/x'/>")
        .await;
    house.clear();
    house.gone(&alice).await;
    house.sent(
        "<presence from='alice@one.example/phone' to='romeo@peer.example/x' type='unavailable'/>",
    );
    house.sent("");
}

#[tokio::test]
async fn im_30_the_list_is_bounded() {
    let house = House::with(Limits {
        directed: 1,
        ..Limits::default()
    })
    .await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(&alice, "<presence to='a@peer.example'/>")
        .await;
    house.clear();
    house
        .presence(&alice, "<presence to='b@peer.example'/>")
        .await;
    house.sent("");
    house.got_error(&alice, "resource-constraint");
}

#[tokio::test]
async fn im_26_who_was_shown_presence_hears_the_mere_fact() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house.online("alice@one.example/desk").await;
    house
        .presence(
            &alice,
            "<presence to='room@muc.example/me'><show>dnd</show></presence>",
        )
        .await;
    house.clear();
    house
        .presence_in(&probe("room@muc.example", "alice@one.example/phone"))
        .await;
    house.sent("<presence from='alice@one.example/phone' to='room@muc.example'/>");
    house
        .presence_in(&probe("room@muc.example", "alice@one.example/desk"))
        .await;
    house.sent(
        "<presence from='alice@one.example' to='room@muc.example' type='unsubscribed' id='p1'/>",
    );
}

#[tokio::test]
async fn im_39_presence_is_shared_by_subscription_or_with_this_session() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let desk = house.online("alice@one.example/desk").await;
    let occupant = "room@muc.example/other".parse().expect("an address");
    house
        .presence(&alice, "<presence to='room@muc.example/me'/>")
        .await;
    let cx = house.context("one.example");
    assert!(crate::hooks::shares_presence(&cx, &alice, &occupant).await);
    assert!(!crate::hooks::shares_presence(&cx, &desk, &occupant).await);
    assert!(crate::hooks::shares_presence(&cx, &alice, &desk).await);
    let romeo = "romeo@peer.example/x".parse().expect("an address");
    assert!(!crate::hooks::shares_presence(&cx, &alice, &romeo).await);
    house.item("alice", ROMEO, "from").await;
    assert!(crate::hooks::shares_presence(&cx, &alice, &romeo).await);
}

#[tokio::test]
async fn a_store_that_fails_stops_nobody_from_leaving() {
    let house = House::new().await;
    house.item("alice", ROMEO, "both").await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .presence(&alice, "<presence to='room@muc.example/me'/>")
        .await;
    house.modules().forget_account(&alice.bare());
    house.clear();
    house.database.close().await;
    house.presence(&alice, &say("subscribe")).await;
    house.got_error(&alice, "resource-constraint");
    house.sent("");
    house.gone(&alice).await;
    house.sent(
        "<presence from='alice@one.example/phone' to='room@muc.example/me' type='unavailable'/>",
    );
}
