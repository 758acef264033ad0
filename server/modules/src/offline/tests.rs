//! XEP-0160 and the rows O and x of RFC 6121 8.5.4, through the door and against a real store.

use crate::memory::Limits;
use crate::passage::Taken;
use crate::testing::House;

fn message(n: u32) -> String {
    format!(
        "<message from='romeo@peer.example/x' to='alice@one.example' type='chat' id='m{n}'><body>{n}</body></message>"
    )
}

/// The same as it is delivered later.
fn delayed(n: u32, stamp: &str) -> String {
    message(n).replace(
        "</message>",
        &format!("<delay xmlns='urn:xmpp:delay' from='one.example' stamp='{stamp}'/></message>"),
    )
}

const START: &str = "2026-01-01T00:00:00Z";

async fn waiting(house: &House) -> u64 {
    let account = house.account("alice").await;
    house
        .store()
        .offline_count(account)
        .await
        .expect("readable")
}

/// Whoever could say it would have the message taken for one that is kept, and lost with its session.
#[tokio::test]
async fn a_delay_in_the_domains_name_is_the_domains_to_say() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let other =
        "<delay xmlns='urn:xmpp:delay' from='room.peer.example' stamp='2026-01-01T00:00:00Z'/>";
    let said = |delays: &str| message(1).replace("</message>", &format!("{delays}</message>"));
    let forged = other.replace("room.peer.example", "one.example");
    let got = house
        .receives(
            &said(&format!("{forged}{other}{forged}")),
            Taken::Session(alice.clone()),
        )
        .await;
    // The archive's id follows.
    let (rest, _) = got.split_once("<stanza-id").expect("archived");
    assert_eq!(format!("{rest}</message>"), said(other));
    let own = said(&forged).replace("romeo@peer.example/x", alice.as_ref());
    let got = house.sends(&alice, &own).await;
    assert!(!got.contains("delay"), "{got}");
}

#[tokio::test]
async fn ext_22_kept_and_delivered_in_order_with_the_time_they_came() {
    let house = House::new().await;
    house.undeliverable(&message(1)).await;
    house.later(1);
    house.undeliverable(&message(2)).await;
    let alice = house.bind("alice@one.example/phone");
    house
        .presence(&alice, "<presence><priority>-1</priority></presence>")
        .await;
    house.clear();
    assert_eq!(waiting(&house).await, 2);
    house.presence(&alice, "<presence/>").await;
    let got = house.all(&alice);
    assert_eq!(
        got[1..],
        [delayed(1, START), delayed(2, "2026-01-01T00:00:01Z")]
    );
    // Only the socket's taking them removes them.
    assert_eq!(waiting(&house).await, 2);
    assert!(house.written(&alice).await);
    assert_eq!(waiting(&house).await, 0);
    assert!(!house.written(&alice).await);
    house
        .presence(&alice, "<presence><show>away</show></presence>")
        .await;
    assert_eq!(house.all(&alice).len(), 1);
}

#[tokio::test]
async fn ext_22_a_session_that_dies_before_its_socket_took_them_loses_nothing() {
    let house = House::new().await;
    house.undeliverable(&message(1)).await;
    let phone = house.bind("alice@one.example/phone");
    house.presence(&phone, "<presence/>").await;
    assert_eq!(house.all(&phone).len(), 2);
    // Another session meanwhile does not get them a second time…
    let desk = house.bind("alice@one.example/desk");
    house.presence(&desk, "<presence/>").await;
    assert!(!house.all(&desk).contains(&delayed(1, START)));
    // …but when the first one dies.
    house.gone(&phone).await;
    assert_eq!(house.all(&desk).last(), Some(&delayed(1, START)));
    assert!(house.written(&desk).await);
    assert_eq!(waiting(&house).await, 0);
}

#[tokio::test]
async fn ext_22_many_come_in_batches_as_the_socket_takes_them() {
    let house = House::new().await;
    for n in 0..120 {
        house.undeliverable(&message(n)).await;
    }
    let alice = house.bind("alice@one.example/phone");
    house.presence(&alice, "<presence/>").await;
    house.take(&alice);
    let mut got = Vec::new();
    loop {
        let batch = house.all(&alice);
        assert!(batch.len() <= 50);
        got.extend(batch);
        if !house.written(&alice).await {
            break;
        }
    }
    let expected: Vec<String> = (0..120).map(|n| delayed(n, START)).collect();
    assert_eq!(got, expected);
    assert_eq!(waiting(&house).await, 0);
}

#[tokio::test]
async fn ext_22_a_full_queue_leaves_the_rest_in_the_store() {
    let house = House::new().await;
    for n in 0..4 {
        house.undeliverable(&message(n)).await;
    }
    let alice = house.bind("alice@one.example/phone");
    house.room(3);
    house.presence(&alice, "<presence/>").await;
    assert_eq!(house.all(&alice).len(), 3);
    assert!(house.written(&alice).await);
    assert_eq!(house.all(&alice), [delayed(2, START), delayed(3, START)]);
    assert!(house.written(&alice).await);
    assert_eq!(waiting(&house).await, 0);
}

#[tokio::test]
async fn ext_22_a_message_that_missed_its_reader_by_a_moment_is_handed_over() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    // The router had found nobody; alice came while it was being kept.
    house.undeliverable(&message(1)).await;
    house.got(&alice, &delayed(1, START));
    assert!(house.written(&alice).await);
    assert_eq!(waiting(&house).await, 0);
}

/// It would come back at once, again and again.
#[tokio::test]
async fn ext_22_a_session_that_is_ending_is_handed_nothing() {
    let house = House::new().await;
    let phone = house.online("alice@one.example/phone").await;
    house.ending(&phone);
    house.undeliverable(&message(1)).await;
    house.got(&phone, "");
    assert!(!house.written(&phone).await, "nothing is on its way");
    let desk = house.bind("alice@one.example/desk");
    house
        .presence(&desk, "<presence><priority>-1</priority></presence>")
        .await;
    house.clear();
    house.undeliverable(&message(2)).await;
    house.got(&desk, "");
    house.presence(&desk, "<presence/>").await;
    let got = house.all(&desk);
    assert_eq!(got[1..], [delayed(1, START), delayed(2, START)]);
}

#[tokio::test]
async fn ext_22_what_is_of_the_moment_is_not_kept() {
    let house = House::new().await;
    let dropped = |type_: &str, content: &str| {
        format!(
            "<message from='romeo@peer.example/x' to='alice@one.example' type='{type_}'>{content}</message>"
        )
    };
    for (type_, content) in [
        (
            "chat",
            "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        ),
        (
            "chat",
            "<active xmlns='http://jabber.org/protocol/chatstates'/><thread>t</thread><no-store xmlns='urn:xmpp:hints'/>",
        ),
        ("chat", "<body>x</body><no-store xmlns='urn:xmpp:hints'/>"),
        ("headline", "<body>x</body>"),
        ("groupchat", "<body>x</body>"),
        ("error", "<body>x</body>"),
    ] {
        house.undeliverable(&dropped(type_, content)).await;
        assert_eq!(waiting(&house).await, 0, "{type_} {content}");
        house.sent("");
    }
    for (type_, content) in [
        ("normal", "<received xmlns='urn:xmpp:receipts' id='1'/>"),
        // Not for good, and until it is read all the same.
        (
            "normal",
            "<body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/>",
        ),
        (
            "chat",
            "<body>x</body><active xmlns='http://jabber.org/protocol/chatstates'/>",
        ),
        ("normal", ""),
    ] {
        let before = waiting(&house).await;
        house.undeliverable(&dropped(type_, content)).await;
        assert_eq!(waiting(&house).await, before + 1, "{type_} {content}");
    }
}

#[tokio::test]
async fn im_41_a_full_store_is_told_to_those_who_know_the_account() {
    let house = House::with(Limits {
        offline_messages: 1,
        ..Limits::default()
    })
    .await;
    house.undeliverable(&message(1)).await;
    house.undeliverable(&message(2)).await;
    house.sent("");
    house.item("alice", "romeo@peer.example", "none").await;
    house.undeliverable(&message(3)).await;
    house.sent_error("alice@one.example", "service-unavailable");
    assert_eq!(waiting(&house).await, 1);
}

/// What was not kept takes no room from the tenant's other accounts.
#[tokio::test]
async fn dos_10_what_an_account_has_no_room_for_is_not_counted() {
    let house = House::with(Limits {
        offline_messages: 1,
        ..Limits::default()
    })
    .await;
    let limit = 10_000;
    house.quota().set(u32::MAX, limit as u64);
    for _ in 0..5 {
        house.undeliverable(&message(1)).await;
    }
    assert_eq!(waiting(&house).await, 1);
    let cx = house.context("one.example");
    let rest = limit - message(1).len();
    let room = house.quota().room_offline(cx.store(), rest, cx.now).await;
    assert!(room.expect("counted"));
}

#[tokio::test]
async fn im_33_messages_to_nobody_are_dropped() {
    let house = House::new().await;
    house
        .undeliverable("<message from='romeo@peer.example/x' to='nobody@one.example' type='chat'><body>x</body></message>")
        .await;
    house.sent("");
}

#[tokio::test]
async fn im_41_where_keeping_is_off_contacts_get_an_error_and_strangers_nothing() {
    let mut house = House::new().await;
    house.settings(|s| s.off = vec!["offline".into()]);
    house.undeliverable(&message(1)).await;
    house.sent("");
    house.item("alice", "romeo@peer.example", "from").await;
    house.undeliverable(&message(1)).await;
    house.sent_error("alice@one.example", "service-unavailable");
    assert_eq!(waiting(&house).await, 0);
}

#[tokio::test]
async fn a_store_that_fails_says_so_and_keeps_nothing() {
    let house = House::new().await;
    house.database.close().await;
    house.undeliverable(&message(1)).await;
    house.sent_error("alice@one.example", "resource-constraint");
}

/// A client that reads all and goes at once: its session is over before the messages have left the store.
#[tokio::test]
async fn ext_22_what_a_session_took_before_it_went_comes_to_no_other() {
    let house = House::new().await;
    house.undeliverable(&message(1)).await;
    let phone = house.bind("alice@one.example/phone");
    house.presence(&phone, "<presence/>").await;
    assert_eq!(house.all(&phone).last(), Some(&delayed(1, START)));
    let mark = house.take_mark(&phone).expect("behind the messages");
    house.gone(&phone).await;
    // The next one comes first …
    let desk = house.bind("alice@one.example/desk");
    house.presence(&desk, "<presence/>").await;
    house.undeliverable(&message(2)).await;
    let early = house.all(&desk);
    // … and gets what came since, once it is known.
    house.heard_written(&phone, mark).await;
    let got = [early, house.all(&desk)].concat();
    assert!(!got.contains(&delayed(1, START)), "{got:?}");
    assert_eq!(got.last(), Some(&delayed(2, START)));
    assert!(house.written(&desk).await);
    assert_eq!(waiting(&house).await, 0);
}

#[tokio::test]
async fn ext_22_what_cannot_be_removed_comes_again_with_the_next_session_alone() {
    let house = House::new().await;
    house.undeliverable(&message(1)).await;
    let phone = house.bind("alice@one.example/phone");
    house.presence(&phone, "<presence/>").await;
    assert_eq!(house.all(&phone).last(), Some(&delayed(1, START)));
    let mark = house.take_mark(&phone).expect("behind the messages");
    // What a store that could not remove it leaves.
    let account = phone.bare();
    house.modules().handed.stuck(&account, &phone, &mark);
    house
        .presence(&phone, "<presence type='unavailable'/>")
        .await;
    house.presence(&phone, "<presence/>").await;
    assert!(!house.all(&phone).contains(&delayed(1, START)));
    house.gone(&phone).await;
    let desk = house.bind("alice@one.example/desk");
    house.presence(&desk, "<presence/>").await;
    assert_eq!(house.all(&desk).last(), Some(&delayed(1, START)));
    assert!(house.written(&desk).await);
    // Noted after the session's end had been told.
    house.undeliverable(&message(2)).await;
    let mark = house.take_mark(&desk).expect("behind the message");
    house.gone(&desk).await;
    house.modules().handed.stuck(&account, &desk, &mark);
    let phone = house.bind("alice@one.example/phone");
    house.presence(&phone, "<presence/>").await;
    assert_eq!(house.all(&phone).last(), Some(&delayed(2, START)));
}

/// The short way for a session that comes (nothing kept, for sure) and the plain one, before and after messages are kept.
#[tokio::test]
async fn ext_22_that_nothing_is_kept_is_remembered_until_something_is() {
    let house = House::new().await;
    let alice = xmpp::jid::BareJid::parse("alice@one.example").expect("an address");
    let sure = |house: &House| {
        let now = house.context("one.example").now;
        house.modules().nothing.sure(&alice, now)
    };
    assert!(!sure(&house), "nobody has looked");
    let phone = house.online("alice@one.example/phone").await;
    assert!(sure(&house));
    house.gone(&phone).await;
    house.undeliverable(&message(1)).await;
    assert!(!sure(&house));
    let phone = house.bind("alice@one.example/phone");
    house.presence(&phone, "<presence/>").await;
    assert_eq!(house.all(&phone).last(), Some(&delayed(1, START)));
    assert!(!sure(&house), "it is still in the store");
    house.written(&phone).await;
    assert!(sure(&house));
}

/// A write that nobody waits for any more may be carried out later: nothing is sure until it has been or never will be.
#[tokio::test]
async fn ext_22_a_message_whose_sender_went_is_not_overlooked() {
    let house = House::new().await;
    let alice = xmpp::jid::BareJid::parse("alice@one.example").expect("an address");
    let phone = house.online("alice@one.example/phone").await;
    house.gone(&phone).await;
    {
        let cx = house.context("one.example");
        drop(super::Keeping::begin(&cx.modules.nothing, &alice, cx.now));
    }
    // A session looks and finds nothing yet …
    let phone = house.online("alice@one.example/phone").await;
    house.gone(&phone).await;
    // … then it is written.
    let account = house.account("alice").await;
    let late = message(7);
    let at = house.context("one.example").now;
    let kept = house
        .store()
        .offline_add(account, at, late.as_bytes(), 10)
        .await;
    assert!(kept.expect("written").is_some());
    for pause in [0, 200] {
        house.later(pause);
        let phone = house.bind("alice@one.example/phone");
        house.presence(&phone, "<presence/>").await;
        assert_eq!(house.all(&phone).last(), Some(&delayed(7, START)));
        house.gone(&phone).await;
    }
}

/// SM-10: nobody hears of a failure for what was accepted, and will be read from the archive.
#[tokio::test]
async fn sm_10_what_is_in_the_archive_is_not_said_to_be_lost() {
    let mut house = House::with(Limits {
        offline_messages: 1,
        ..Limits::default()
    })
    .await;
    house.item("alice", "romeo@peer.example", "from").await;
    let write = async |house: &House, n| {
        let passed = house.receives(&message(n), crate::Taken::Nobody).await;
        house.undeliverable(&passed).await;
    };
    for n in 0..3 {
        write(&house, n).await;
        house.sent("");
    }
    assert_eq!(waiting(&house).await, 1);
    house.settings(|s| s.off = vec!["offline".into()]);
    write(&house, 4).await;
    house.sent("");
    // What is in no archive is another matter.
    house.settings(|s| s.off = vec!["offline".into(), "archive".into()]);
    write(&house, 5).await;
    house.sent_error("alice@one.example", "service-unavailable");
}

/// A phone that lost its network holds nothing up: who is there gets what waits, and the phone gets it too when it is back.
#[tokio::test]
async fn ext_22_what_waits_is_for_who_is_there_not_for_who_is_away() {
    let house = House::new().await;
    let phone = house.online("alice@one.example/phone").await;
    house.away(&phone);
    house.undeliverable(&message(1)).await;
    assert_eq!(
        house.all(&phone),
        [delayed(1, START)],
        "nobody else is there"
    );
    let desk = house.bind("alice@one.example/desk");
    house.presence(&desk, "<presence/>").await;
    assert_eq!(house.all(&desk).last(), Some(&delayed(1, START)));
    // A message that finds nobody (the desk's queue was full) goes to the desk, too.
    house.undeliverable(&message(2)).await;
    assert_eq!(house.all(&desk).last(), Some(&delayed(2, START)));
    assert!(house.written(&desk).await);
    // The phone's mark comes back late, and takes nothing from the desk.
    assert!(house.written(&phone).await);
    assert_eq!(waiting(&house).await, 1, "the desk has not acknowledged it");
    assert!(house.written(&desk).await);
    assert_eq!(waiting(&house).await, 0);
}

/// Whatever comes: what is refused or dropped is not kept, what is kept is what came, and nobody but the addressee hears of it.
#[tokio::test]
async fn dos_10_what_nobody_meant_well_is_kept_as_it_came_or_not_at_all() {
    let house = House::new().await;
    let bob = house.online("bob@one.example/desk").await;
    let with = |type_: &str, to: &str, inside: &str| {
        format!(
            "<message from='romeo@peer.example/x' to='{to}' type='{type_}' id='m'>{inside}</message>"
        )
    };
    let body = "<body>x</body>";
    let alice = "alice@one.example";
    for (type_, to, inside) in [
        ("error", alice, body),
        ("groupchat", alice, body),
        ("headline", alice, body),
        ("chat", "nobody@one.example", body),
        (
            "chat",
            alice,
            "<active xmlns='http://jabber.org/protocol/chatstates'/>",
        ),
        (
            "chat",
            alice,
            "<body>x</body><no-store xmlns='urn:xmpp:hints'/><store xmlns='urn:xmpp:hints'/>",
        ),
    ] {
        house.undeliverable(&with(type_, to, inside)).await;
        assert_eq!(waiting(&house).await, 0, "{type_} {to} {inside}");
        house.sent("");
    }
    // Long, and with a delay that somebody else says in somebody else's name: kept whole.
    let long = "y".repeat(200_000);
    let delay = "<delay xmlns='urn:xmpp:delay' from='two.example' stamp='1999-01-01T00:00:00Z'/>";
    let sent = with("chat", alice, &format!("<body>{long}</body>{delay}"));
    house.undeliverable(&sent).await;
    assert_eq!(waiting(&house).await, 1);
    let phone = house.bind("alice@one.example/phone");
    house.presence(&phone, "<presence/>").await;
    let got = house.all(&phone).pop().expect("what was kept");
    assert!(got.contains(&long) && got.contains(delay), "as it came");
    assert!(got.ends_with("from='one.example' stamp='2026-01-01T00:00:00Z'/></message>"));
    assert!(house.all(&bob).is_empty(), "nobody else");
}
