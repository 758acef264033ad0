//! What a session has been handed and has not acknowledged (XEP-0198 4), where no archive keeps it: it is in the store meanwhile.

use store::{AccountId, DomainStore, OfflineMessage};

use super::*;

struct Unarchived {
    net: Net,
    rows: DomainStore,
    bob: AccountId,
}

impl Unarchived {
    async fn new() -> Self {
        Self::with(&serde_json::json!({ "modules_off": ["archive"] })).await
    }

    async fn with(settings: &serde_json::Value) -> Self {
        let net = Net::new().await;
        let id = net.router.tenancy().get("one.example").expect("hosted").id;
        net.world.set_settings(id, settings).await;
        let name = DomainName::parse("one.example").expect("a domain");
        net.router.tenancy().refresh(&name).await.expect("read");
        let domain = net.router.tenancy().get("one.example").expect("hosted");
        let rows = domain.hosted.store.clone();
        let bob = rows.account_find("bob").await.expect("read").expect("bob");
        Self {
            net,
            rows,
            bob: bob.id,
        }
    }

    /// A session that acknowledges what it is sent.
    async fn acknowledging(&self, jid: &str) -> Arc<Session> {
        let session = self.net.bind(jid, Some(0)).await;
        session.outbox.keep();
        self.net.router.sessions().resumable(&session, jid, 60);
        session
    }

    /// What the session comes to have of messages, so many.
    async fn messages(&self, session: &Session, wanted: usize) -> Vec<String> {
        let all = async {
            let mut all = Vec::new();
            while all.len() < wanted {
                let (mut items, mut taken) = (Vec::new(), Taken::default());
                let mut cx = Context::from_waker(Waker::noop());
                let _ = session
                    .outbox
                    .poll_take(&mut cx, true, &mut items, &mut taken);
                let items = items.iter().map(|item| String::from_utf8_lossy(item));
                let items = items.filter(|item| item.contains("<body>"));
                all.extend(items.map(|item| item.into_owned()));
                // Its socket has taken them.
                futures_util::future::join_all(taken.then).await;
                tokio::task::yield_now().await;
            }
            all
        };
        let all = tokio::time::timeout(std::time::Duration::from_secs(20), all).await;
        all.unwrap_or_else(|_| panic!("not {wanted} messages"))
    }

    async fn waiting(&self) -> Vec<OfflineMessage> {
        self.rows.offline_list(self.bob, 0, 99).await.expect("read")
    }

    /// The store comes to this, whoever does it.
    async fn comes_to(&self, rows: usize) {
        let wanted = async {
            while self.waiting().await.len() != rows {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), wanted)
            .await
            .unwrap_or_else(|_| panic!("never {rows} rows"));
    }
}

fn chat(n: u32) -> String {
    format!("<message to='bob@one.example' type='chat' id='{n}'><body>{n}</body></message>")
}

/// What the client has said it has got.
async fn acknowledges(session: &Session, handled: u32) {
    let due = session.outbox.acked(handled).expect("sent");
    futures_util::future::join_all(due).await;
}

#[tokio::test]
async fn sm_10_what_is_not_acknowledged_is_in_the_store_until_it_is() {
    let house = Unarchived::new().await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    for n in 0..3 {
        house.net.send(&alice, &chat(n)).await;
    }
    // Committed by the time that the sender's stream goes on, and the session has it as it is.
    let rows = house.waiting().await;
    let came = got(&bob);
    let came: Vec<_> = came.iter().filter(|item| item.contains("<body>")).collect();
    assert_eq!((rows.len(), came.len()), (3, 3));
    for (row, came) in rows.iter().zip(came) {
        assert_eq!(String::from_utf8_lossy(&row.stanza), *came);
        assert!(!came.contains("urn:xmpp:delay"), "{came}");
    }
    acknowledges(&bob, 3).await;
    assert_eq!(house.waiting().await, []);
    // Whoever comes later gets nothing of it.
    let desk = house.net.bind("bob@one.example/desk", None).await;
    house.net.send(&desk, "<presence/>").await;
    let came = got(&desk).concat();
    assert!(!came.contains("<body>"), "{came}");
}

/// Chat states are not kept, nor what asks not to be; a session that acknowledges nothing has what its socket took.
#[tokio::test]
async fn sm_10_nothing_is_committed_that_nobody_would_miss() {
    let house = Unarchived::new().await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    for inside in [
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
        "<body>x</body><no-store xmlns='urn:xmpp:hints'/>",
    ] {
        let message = format!("<message to='{}' type='chat'>{inside}</message>", bob.jid);
        house.net.send(&alice, &message).await;
    }
    let headline = "<message to='bob@one.example' type='headline'><body>x</body></message>";
    house.net.send(&alice, headline).await;
    assert_eq!(house.waiting().await, []);
    let carol = house.net.bind("bob@one.example/plain", Some(5)).await;
    house.net.send(&alice, &chat(1)).await;
    assert_eq!(got(&carol).len(), 1);
    assert_eq!(house.waiting().await, []);
}

/// With an archive only what it does not take: what is not to be stored for good (XEP-0334 4.2), and what has no body.
#[tokio::test]
async fn sm_10_what_the_archive_keeps_is_not_kept_twice() {
    let house = Unarchived::with(&serde_json::json!({})).await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    house.net.send(&alice, &chat(1)).await;
    assert_eq!(house.waiting().await, []);
    for (n, inside) in [
        "<body>x</body><no-permanent-store xmlns='urn:xmpp:hints'/>",
        "<received xmlns='urn:xmpp:receipts' id='9'/>",
    ]
    .iter()
    .enumerate()
    {
        let message = format!("<message to='bob@one.example' type='chat'>{inside}</message>");
        house.net.send(&alice, &message).await;
        assert_eq!(house.waiting().await.len(), n + 1, "{inside}");
    }
    got(&bob);
    acknowledges(&bob, 3).await;
    assert_eq!(house.waiting().await, []);
}

/// The session ends, and what it has not acknowledged is there for the next, once, with the time it came (XEP-0203).
#[tokio::test]
async fn sm_10_what_a_session_leaves_waits_for_the_next_one_and_comes_once() {
    let house = Unarchived::new().await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    for n in 0..3 {
        house.net.send(&alice, &chat(n)).await;
    }
    got(&bob);
    acknowledges(&bob, 1).await;
    let unwritten = bob.outbox.close_after(Vec::new());
    assert_eq!(unwritten.len(), 2);
    house.net.router.ended(&bob, unwritten).await;
    assert_eq!(house.waiting().await.len(), 2);
    let desk = house.net.bind("bob@one.example/desk", None).await;
    house.net.send(&desk, "<presence/>").await;
    let came = house.messages(&desk, 2).await;
    assert_eq!(came.len(), 2, "{came:?}");
    for (came, n) in came.iter().zip(1..) {
        let body = format!("<body>{n}</body>");
        assert!(
            came.contains(&body) && came.contains("urn:xmpp:delay"),
            "{came}"
        );
    }
}

/// XEP-0203: the row says when it came, however many sessions it has been handed to since.
#[tokio::test]
async fn sm_10_what_another_session_has_left_is_kept_with_the_time_it_came() {
    let house = Unarchived::new().await;
    let bob = house.acknowledging("bob@one.example/b").await;
    let from = Jid::parse("alice@one.example/a").expect("an address");
    let came = xmpp::timestamp::Timestamp(1_767_225_600_000_000);
    let message = stanza(&chat(1)).with_from(&from);
    let later = house.net.router.redeliver(message, Some(came));
    later.expect("to be committed").await;
    assert!(got(&bob).concat().contains("2026-01-01T00:00:00Z"));
    let waiting = house.waiting().await;
    assert_eq!(waiting.iter().map(|row| row.at).collect::<Vec<_>>(), [came]);
}

/// Another session that is there gets it then, and in order.
#[tokio::test]
async fn sm_10_what_a_session_leaves_goes_to_another_that_is_there() {
    let house = Unarchived::new().await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    let desk = house.net.bind("bob@one.example/desk", Some(-1)).await;
    for n in 0..20 {
        house.net.send(&alice, &chat(n)).await;
    }
    got(&bob);
    house
        .net
        .send(&desk, "<presence><priority>0</priority></presence>")
        .await;
    assert!(
        !got(&desk).concat().contains("<body>"),
        "its holder is there"
    );
    let unwritten = bob.outbox.close_after(Vec::new());
    house.net.router.ended(&bob, unwritten).await;
    let all = house.messages(&desk, 20).await;
    for (n, came) in all.iter().enumerate() {
        assert!(came.contains(&format!("<body>{n}</body>")), "{n}: {came}");
    }
    house.comes_to(0).await;
}

/// What went to everybody has reached the account as soon as one has it.
#[tokio::test]
async fn sm_10_of_several_sessions_one_that_has_it_is_enough() {
    let house = Unarchived::new().await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let phone = house.acknowledging("bob@one.example/phone").await;
    let desk = house.acknowledging("bob@one.example/desk").await;
    let hello = "<message to='bob@one.example' type='normal'><body>to all</body></message>";
    house.net.send(&alice, hello).await;
    assert_eq!(house.waiting().await.len(), 1, "one row for all of them");
    got(&phone);
    got(&desk);
    acknowledges(&desk, 1).await;
    assert_eq!(house.waiting().await, []);
    let unwritten = phone.outbox.close_after(Vec::new());
    house.net.router.ended(&phone, unwritten).await;
    assert_eq!(house.waiting().await, []);
    assert!(!got(&desk).concat().contains("to all"), "it has had it");
}

/// SM-07: a session that is resumed gets what it has not acknowledged once, and the store forgets it then.
#[tokio::test]
async fn sm_07_who_comes_back_gets_it_once() {
    let house = Unarchived::new().await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    for n in 0..2 {
        house.net.send(&alice, &chat(n)).await;
    }
    got(&bob);
    assert!(house.net.router.left(&bob, 0, Vec::new()));
    assert_eq!(house.waiting().await.len(), 2);
    let account = bob.jid.bare();
    let resumed = house
        .net
        .router
        .resume(&account, "bob@one.example/b", 1)
        .await;
    let (bob, _) = resumed.expect("resumed");
    let came = got(&bob).concat();
    assert!(
        !came.contains("<body>0<") && came.contains("<body>1<"),
        "{came}"
    );
    assert!(!came.contains("urn:xmpp:delay"), "{came}");
    house.net.send(&bob, "<presence/>").await;
    assert!(
        !got(&bob).concat().contains("<body>"),
        "not from the store too"
    );
    acknowledges(&bob, 2).await;
    house.comes_to(0).await;
}

/// SM-07: over an orderly restart a session is kept with what waits for it: that is not delivered from the offline store too.
#[tokio::test]
async fn sm_07_what_goes_into_the_store_with_its_session_is_there_once() {
    let house = Unarchived::new().await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    house.net.send(&alice, &chat(1)).await;
    got(&bob);
    assert!(house.net.router.left(&bob, 0, Vec::new()));
    assert_eq!(house.net.router.keep_sessions().await, 1);
    house.comes_to(0).await;
    let kept = house.net.world.store.session_kept("", 9).await;
    let kept = kept.expect("read");
    assert!(
        kept[0]
            .1
            .stanzas
            .iter()
            .any(|(_, bytes)| { String::from_utf8_lossy(bytes).contains("<body>1<") })
    );
}

/// What comes while a session goes into the store is in one place: with the session, or on another way.
#[tokio::test]
async fn sm_07_a_session_that_is_being_kept_takes_nothing_more() {
    let house = Unarchived::new().await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    house.net.send(&alice, &chat(1)).await;
    got(&bob);
    assert!(house.net.router.left(&bob, 0, Vec::new()));
    assert_eq!(bob.stop().len(), 1);
    house.net.send(&alice, &chat(2)).await;
    let remains = bob.outbox.remains();
    assert_eq!((remains.unacknowledged, remains.items.len()), (1, 1));
    assert_ne!(remains.items[0].0, Timestamp::default(), "with its time");
    assert_eq!(house.waiting().await.len(), 2, "each in a row of its own");
}

/// DOS-10: that nothing more may wait refuses nobody who is there.
#[tokio::test]
async fn dos_10_a_full_store_refuses_nothing_to_who_is_there() {
    let house = Unarchived::new().await;
    house
        .net
        .world
        .set_limits(&serde_json::json!({ "offline_bytes": 1 }))
        .await;
    let tenancy = house.net.router.tenancy();
    let read = tenancy.refresh_tenant(house.net.world.tenant).await;
    read.expect("read");
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    house.net.send(&alice, &chat(1)).await;
    assert_eq!(house.waiting().await, []);
    assert!(got(&bob).concat().contains("<body>1<"));
    assert!(!got(&alice).concat().contains("error"));
}

/// A disk that takes nothing: nobody is promised what is in memory alone.
#[tokio::test]
async fn dos_10_what_cannot_be_committed_is_said() {
    let house = Unarchived::new().await;
    let alice = house.net.bind("alice@one.example/a", Some(0)).await;
    let bob = house.acknowledging("bob@one.example/b").await;
    // What is asked of the store on the way is known by now.
    house.net.send(&alice, &chat(0)).await;
    got(&bob);
    house.net.world.store.close().await;
    house.net.send(&alice, &chat(1)).await;
    let heard = got(&alice).concat();
    assert!(heard.contains("<resource-constraint "), "{heard}");
}
