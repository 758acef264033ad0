//! Who is woken, for what, and who is not.

use xmpp::jid::Jid;

use crate::passage::Taken;
use crate::switchboard::{SessionUpdate, Switchboard as _};
use crate::testing::House;

const ENABLE: &str = "<enable xmlns='urn:xmpp:push:0' jid='push.peer.example' node='n1'>\
    <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
    <field var='secret'><value>s</value></field></x></enable>";
const HELLO: &str = "<message from='romeo@peer.example/x' to='alice@one.example' type='chat' id='m'><body>secret words</body></message>";

/// A house whose alice has a registration from her phone.
async fn registered() -> (House, Jid) {
    let house = House::new().await;
    let phone = house.online("alice@one.example/phone").await;
    house.iq(&phone, "set", None, ENABLE).await;
    house.got(
        &phone,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    (house, phone)
}

/// The push that has gone out; its id.
fn pushed(house: &House) -> Option<String> {
    let sent = house.take_sent();
    let (_, rest) = sent.split_once(" id='push-")?;
    assert!(
        sent.starts_with("<iq from='alice@one.example' to='push.peer.example' type='set'"),
        "{sent}"
    );
    for part in [
        "<publish node='n1'><item><notification xmlns='urn:xmpp:push:0'>",
        "<field var='message-count' type='text-single'><value>1</value></field>",
        "<publish-options><x xmlns='jabber:x:data' type='submit'>",
        "<field var='secret'><value>s</value></field>",
    ] {
        assert!(sent.contains(part), "{part} in {sent}");
    }
    assert!(
        !sent.contains("secret words") && !sent.contains("romeo"),
        "nobody learns what it is: {sent}"
    );
    let (id, _) = rest.split_once('\'').expect("quoted");
    Some(format!("push-{id}"))
}

async fn answer(house: &House, id: &str, type_: &str, error: &str) -> bool {
    let from = "push.peer.example";
    house
        .answered(&format!(
            "<iq from='{from}' to='alice@one.example' type='{type_}' id='{id}'>{error}</iq>"
        ))
        .await
}

#[tokio::test]
async fn ext_14_a_client_that_is_not_there_is_woken_and_told_nothing() {
    let (house, phone) = registered().await;
    house.receives(HELLO, Taken::Session(phone.clone())).await;
    assert_eq!(pushed(&house), None, "it is there");
    house.gone(&phone).await;
    house.clear();
    house.receives(HELLO, Taken::Nobody).await;
    let id = pushed(&house).expect("a push");
    house.receives(HELLO, Taken::Nobody).await;
    assert_eq!(pushed(&house), None, "it is being woken");
    assert!(answer(&house, &id, "result", "").await);
    house.later(10);
    house.receives(HELLO, Taken::Nobody).await;
    assert!(pushed(&house).is_some());
}

/// XEP-0388 2.3: by its name the client can be signed out when it has no session.
#[tokio::test]
async fn ext_14_a_registration_says_whose_it_is() {
    let (house, phone) = registered().await;
    let alice = house.account("alice").await;
    let agents = async || {
        let rows = house.store().push_list(alice).await.expect("read");
        rows.into_iter().map(|row| row.agent).collect::<Vec<_>>()
    };
    assert_eq!(agents().await, [None]);
    house.session_update(&phone, SessionUpdate::Agent("my phone".into()));
    house.iq(&phone, "set", None, ENABLE).await;
    assert_eq!(agents().await, [Some("my phone".into())]);
}

/// It comes, looks, and goes again: what comes a moment later is news to it.
#[tokio::test]
async fn ext_14_who_was_woken_and_sleeps_again_is_woken_again() {
    let (house, phone) = registered().await;
    house.gone(&phone).await;
    house.clear();
    house.receives(HELLO, Taken::Nobody).await;
    assert!(pushed(&house).is_some());
    let phone = house.online("alice@one.example/phone").await;
    house.away(&phone);
    house.leaves_behind(&phone, &[]).await;
    house.receives(HELLO, Taken::Nobody).await;
    assert!(pushed(&house).is_some(), "it has gone since");
}

/// What a session leaves behind unacknowledged wakes its own client alone: others have been told.
#[tokio::test]
async fn ext_14_what_was_left_behind_wakes_the_client_that_left_it() {
    let (house, phone) = registered().await;
    let desk = house.online("alice@one.example/desk").await;
    let enable = ENABLE.replace("'n1'", "'n2'");
    house.iq(&desk, "set", None, &enable).await;
    house.gone(&desk).await;
    house.clear();
    house.away(&phone);
    let state = HELLO.replace("<body>secret words</body>", "<x xmlns='y'/>");
    house.leaves_behind(&phone, &[&state]).await;
    assert_eq!(
        pushed(&house),
        None,
        "nothing that anybody would want to know of"
    );
    house.leaves_behind(&phone, &[HELLO, HELLO]).await;
    assert!(pushed(&house).is_some());
    assert_eq!(house.take_sent(), "", "once, and the desk not at all");
}

#[tokio::test]
async fn ext_14_a_request_to_be_seen_wakes_whoever_is_not_there() {
    let (house, phone) = registered().await;
    house.gone(&phone).await;
    house.clear();
    house
        .presence_in(
            "<presence from='romeo@peer.example' to='alice@one.example' type='subscribe'/>",
        )
        .await;
    let sent = house.take_sent();
    assert!(
        sent.contains(
            "<field var='pending-subscription-count' type='text-single'><value>1</value></field>"
        ),
        "{sent}"
    );
    house.later(10);
    house
        .presence_in(
            "<presence from='romeo@peer.example' to='alice@one.example' type='subscribe'/>",
        )
        .await;
    assert_eq!(house.take_sent(), "", "it waits already");
}

#[tokio::test]
async fn ext_14_another_session_that_is_there_is_no_reason_to_let_it_rest() {
    let (house, phone) = registered().await;
    let desk = house.online("alice@one.example/desk").await;
    house.away(&phone);
    house.receives(HELLO, Taken::Session(desk)).await;
    assert!(
        pushed(&house).is_some(),
        "its connection is gone, though the session waits"
    );
}

/// What a room elsewhere tells everybody wakes the session that is in it, where its client is not there.
#[tokio::test]
async fn ext_14_rooms_elsewhere_wake_the_session_that_is_in_them_and_no_other() {
    let (house, phone) = registered().await;
    let desk = house.online("alice@one.example/desk").await;
    let enable = ENABLE.replace("'n1'", "'n2'");
    house.iq(&desk, "set", None, &enable).await;
    house
        .presence(&phone, "<presence to='room@muc.example/alice'/>")
        .await;
    house.clear();
    let said = |from: &str, inside: &str| {
        format!(
            "<message from='room@muc.example/{from}' to='alice@one.example/phone' type='groupchat'>{inside}</message>"
        )
    };
    let hello = said("romeo", "<body>secret words</body>");
    let taken = || Taken::Session(phone.clone());
    house.receives(&hello, taken()).await;
    assert_eq!(pushed(&house), None, "it is there");
    house.away(&phone);
    house.gone(&desk).await;
    house.clear();
    for (from, inside) in [
        ("alice", "<body>her own</body>"),
        ("romeo", "<subject>x</subject>"),
        (
            "romeo",
            "<body>x</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>",
        ),
        (
            "romeo",
            "<body>x</body><replace xmlns='urn:xmpp:message-correct:0' id='m'/>",
        ),
    ] {
        house.receives(&said(from, inside), taken()).await;
        assert_eq!(pushed(&house), None, "{from}: {inside}");
    }
    house.receives(&hello, taken()).await;
    assert!(pushed(&house).is_some());
    assert_eq!(house.take_sent(), "", "the desk is not in the room");
    // Gone for good: it is not in the room any more, and nothing waits for it.
    house.gone(&phone).await;
    house.clear();
    house.later(10);
    house.receives(&hello, taken()).await;
    assert_eq!(pushed(&house), None);
}

#[tokio::test]
async fn ext_14_nobody_is_woken_for_what_is_not_worth_it() {
    let (house, phone) = registered().await;
    house.gone(&phone).await;
    house.clear();
    for inside in [
        "<active xmlns='http://jabber.org/protocol/chatstates'/>",
        "<body>x</body><no-store xmlns='urn:xmpp:hints'/>",
        "<received xmlns='urn:xmpp:receipts' id='1'/>",
    ] {
        let message = HELLO.replace("<body>secret words</body>", inside);
        house.receives(&message, Taken::Nobody).await;
        assert_eq!(pushed(&house), None, "{inside}");
    }
    let headline = HELLO.replace("type='chat'", "type='headline'");
    house.receives(&headline, Taken::Nobody).await;
    assert_eq!(pushed(&house), None);
    // E2E-07: what is encrypted has no body, and says that it is to be kept.
    let encrypted = HELLO.replace(
        "<body>secret words</body>",
        "<encrypted xmlns='urn:xmpp:omemo:2'/><store xmlns='urn:xmpp:hints'/>",
    );
    house.receives(&encrypted, Taken::Nobody).await;
    assert!(pushed(&house).is_some());
}

#[tokio::test]
async fn ext_14_a_service_that_refuses_is_not_asked_again() {
    let refused = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let timeout = "<error type='wait'><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let broken = "<error type='cancel'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    let busy =
        "<error type='wait'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for (error, times) in [(refused, 1), (timeout, 5), (broken, 5), (busy, 5)] {
        let (house, phone) = registered().await;
        house.gone(&phone).await;
        house.clear();
        for n in 1..=times {
            house.later(10);
            house.receives(HELLO, Taken::Nobody).await;
            let id = pushed(&house).expect("a push");
            assert!(!answer(&house, "push-0", "error", error).await, "not ours");
            assert!(answer(&house, &id, "error", error).await, "{n}");
        }
        house.later(10);
        house.receives(HELLO, Taken::Nobody).await;
        assert_eq!(pushed(&house), None);
        let alice = house.account("alice").await;
        assert!(
            house
                .store()
                .push_list(alice)
                .await
                .expect("read")
                .is_empty()
        );
    }
}

#[tokio::test]
async fn ext_14_what_is_disabled_is_over_and_a_blocked_service_hears_nothing() {
    let (house, phone) = registered().await;
    let block = "<block xmlns='urn:xmpp:blocking'><item jid='push.peer.example'/></block>";
    house.iq(&phone, "set", None, block).await;
    house.gone(&phone).await;
    house.clear();
    house.receives(HELLO, Taken::Nobody).await;
    assert_eq!(pushed(&house), None);
    let desk = house.bind("alice@one.example/desk");
    house
        .iq(&desk, "set", None, "<unblock xmlns='urn:xmpp:blocking'/>")
        .await;
    let disable = "<disable xmlns='urn:xmpp:push:0' jid='push.peer.example'/>";
    house.iq(&desk, "set", None, disable).await;
    house.clear();
    house.receives(HELLO, Taken::Nobody).await;
    assert_eq!(pushed(&house), None);
    house.iq(&desk, "set", None, disable).await;
    house.got_error(&desk, "item-not-found");
}

#[tokio::test]
async fn ext_14_only_the_owner_registers_and_only_what_makes_sense() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    let bob = house.bind("bob@one.example/x");
    for account in ["alice@one.example", "nobody@one.example"] {
        house.iq(&bob, "set", Some(account), ENABLE).await;
        house.got_error(&bob, "forbidden");
    }
    let long = "x".repeat(1_100);
    let form = |inside: &str| {
        format!(
            "<enable xmlns='urn:xmpp:push:0' jid='p.example' node='n'><x xmlns='jabber:x:data' type='submit'>{inside}</x></enable>"
        )
    };
    let big = form(&format!(
        "<field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field><field var='s'><value>{}</value></field>",
        "x".repeat(5_000)
    ));
    for (payload, condition) in [
        (
            "<enable xmlns='urn:xmpp:push:0' node='n'/>".to_owned(),
            "bad-request",
        ),
        (
            "<enable xmlns='urn:xmpp:push:0' jid='@' node='n'/>".to_owned(),
            "jid-malformed",
        ),
        (
            format!("<enable xmlns='urn:xmpp:push:0' jid='p.example' node='{long}'/>"),
            "bad-request",
        ),
        (
            form("<field var='FORM_TYPE'><value>other</value></field>"),
            "bad-request",
        ),
        (big, "bad-request"),
    ] {
        house.iq(&alice, "set", None, &payload).await;
        house.got_error(&alice, condition);
    }
    for n in 0..=10 {
        let enable = format!("<enable xmlns='urn:xmpp:push:0' jid='p.example' node='n{n}'/>");
        house.iq(&alice, "set", None, &enable).await;
        let answer = house.take(&alice);
        assert_eq!(answer.contains("policy-violation"), n == 10, "{answer}");
    }
}

#[tokio::test]
async fn ext_14_a_domain_chooses_what_services_are_told_and_never_what_was_written() {
    use crate::push::Told;
    const COUNT: &str = "<field var='message-count'";
    const SENDER: &str = "<field var='last-message-sender' type='jid-single'><value>romeo@peer.example</value></field>";
    for (word, count, sender) in [
        (None, true, false),
        (Some("nothing"), false, false),
        (Some("count"), true, false),
        (Some("sender"), true, true),
        (Some("of another version"), false, false),
    ] {
        let (mut house, phone) = registered().await;
        house.settings(|settings| settings.push = Told::parse(word));
        house.gone(&phone).await;
        house.clear();
        house.receives(HELLO, Taken::Nobody).await;
        let sent = house.take_sent();
        assert!(
            sent.contains("<notification xmlns='urn:xmpp:push:0'"),
            "{word:?}: {sent}"
        );
        assert_eq!(sent.contains(COUNT), count, "{word:?}: {sent}");
        assert_eq!(sent.contains(SENDER), sender, "{word:?}: {sent}");
        assert!(!sent.contains("secret words"), "{word:?}: {sent}");
    }
}

/// Services that never answer: those of one domain keep no other's from being told.
#[test]
fn dos_10_a_domain_whose_services_do_not_answer_keeps_no_other_from_pushing() {
    let pushes = super::Pushes::default();
    let row = store::PushRow {
        service: "push.peer.example".into(),
        node: "n".into(),
        agent: None,
        resource: "phone".into(),
        options: None,
    };
    let ask = |account: &str| {
        let account = xmpp::jid::BareJid::parse(account).expect("an address");
        pushes.ask(&account, &row, xmpp::timestamp::Timestamp(1))
    };
    let asked = (0..20_000).filter(|n| ask(&format!("a{n}@one.example")).is_some());
    assert!(asked.count() >= 1_000, "as long as others need no place");
    assert!(ask("dave@two.example").is_some());
}
