//! Sessions that come and go while somebody waits.

use std::sync::OnceLock;
use std::time::Duration;

use futures_util::FutureExt as _;
use store::KeptSession;

use super::*;

/// Whoever binds may stop waiting at any moment, and has the session that is there then; what a replaced one meant to others is
/// taken back all the same.
#[tokio::test]
async fn bind_04_who_stops_waiting_has_the_session_that_was_bound() {
    let net = Net::new().await;
    let old = net.bind("alice@one.example/a", Some(0)).await;
    let (account, has) = (old.jid.bare(), OnceLock::new());
    let binding = net
        .router
        .bind_for(&account, "a", Outbox::new(10_000), now(), |session| {
            drop(has.set(session.clone()))
        });
    assert!(binding.now_or_never().is_none(), "the old one is going");
    let new: &Arc<Session> = has.get().expect("it is there");
    let found = net.router.sessions().get(&new.jid).expect("bound");
    assert!(Arc::ptr_eq(&found, new));
    net.router.ended(new, Vec::new()).await;
    assert_eq!(net.router.sessions().accounts(), 0);
}

/// A client may ask for resumption behind the conflict that has ended its session.
#[tokio::test]
async fn sm_07_a_session_that_was_replaced_cannot_be_resumed() {
    let net = Net::new().await;
    let old = net.bind("alice@one.example/a", Some(0)).await;
    let _new = net.bind("alice@one.example/a", Some(0)).await;
    let sessions = net.router.sessions();
    sessions.resumable(&old, "old", 60);
    assert!(sessions.resumable_of(&old.jid.bare(), "old").is_err());
    assert!(old.leave(0, Vec::new()).is_none(), "it ends");
}

/// `resource` 4 of this account, for which a message waits.
fn kept(local: &str) -> KeptSession {
    let message = format!(
        "<message from='bob@one.example/x' to='{local}@one.example/4' type='chat' id='k'><body>hi</body></message>"
    );
    KeptSession {
        id: format!("kept-{local}"),
        local: local.into(),
        resource: "4".into(),
        presence: None,
        flags: Vec::new(),
        handled: 0,
        sent: 0,
        unacknowledged: 0,
        stanzas: vec![(now(), message.into_bytes())],
        proved: now(),
        since: now(),
        seconds: 60,
        ended: false,
    }
}

/// The store comes to have no session that was kept.
async fn none_is_kept(store: &store::Store) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let forgotten = async {
        while !store.session_kept("", 9).await.expect("read").is_empty() {
            tick.tick().await;
        }
    };
    let deadline = Duration::from_secs(20);
    tokio::time::timeout(deadline, forgotten)
        .await
        .expect("gone");
}

/// A domain that was not served when the process began has its sessions back when it is, and each once.
#[tokio::test]
async fn sm_10_sessions_of_a_domain_that_is_served_again_wait_for_their_clients() {
    let net = Net::new().await;
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    let rows = &domain.hosted.store;
    assert!(rows.session_keep(kept("alice")).await.expect("kept"));
    let store = &net.world.store;
    let restore = async |name: &str| {
        let name = DomainName::parse(name).expect("a domain");
        let restored = net.router.restore_sessions(store, Some(&name), 10_000);
        restored.await.expect("read")
    };
    assert_eq!(restore("two.example").await, 0);
    assert_eq!(restore("one.example").await, 1);
    assert_eq!(restore("one.example").await, 0, "it is here already");
    assert_eq!(net.router.sessions().away().len(), 1);
}

/// A session that was kept may have no place any more: what waits for it is not left in the store.
#[tokio::test]
async fn sm_10_what_waits_for_a_kept_session_that_cannot_be_bound_finds_another_way() {
    let net = Net::new().await;
    let own = net.bind("alice@one.example/1", Some(0)).await;
    for resource in ["2", "3"] {
        net.bind(&format!("alice@one.example/{resource}"), None)
            .await;
    }
    let kept = kept("alice");
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    let rows = &domain.hosted.store;
    assert!(rows.session_keep(kept).await.expect("kept"));
    let store = &net.world.store;
    let restored = net.router.restore_sessions(store, None, 10_000).await;
    assert_eq!(restored.expect("read"), 0);
    let got = got(&own);
    assert!(got.len() == 1 && got[0].contains("id='k'"), "{got:?}");
    none_is_kept(store).await;
}

/// A server that has taken up again the session of an account, for which a message waits.
async fn restarted() -> (Net, BareJid) {
    let net = Net::new().await;
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    let kept = domain.hosted.store.session_keep(kept("alice")).await;
    assert!(kept.expect("kept"));
    let store = &net.world.store;
    let restored = net.router.restore_sessions(store, None, 10_000).await;
    assert_eq!(restored.expect("read"), 1);
    (
        net,
        BareJid::parse("alice@one.example").expect("an address"),
    )
}

/// A crash in between loses nothing: the row has what its client was sent again until that is acknowledged, through another
/// absence too. Nobody takes it up from there as it was: what both sides have counted since is not in it.
#[tokio::test]
async fn sm_10_what_a_client_is_sent_again_after_a_restart_is_in_the_store_until_it_is_acknowledged()
 {
    let (net, account) = restarted().await;
    let store = &net.world.store;
    for _ in 0..2 {
        let resumed = net.router.resume(&account, "kept-alice", 0).await;
        let (session, _) = resumed.expect("resumed");
        assert!(got(&session).concat().contains("id='k'"));
        let ended = async {
            while !store.session_kept("", 9).await.expect("read")[0].1.ended {
                tokio::task::yield_now().await;
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        ended.expect("marked");
        assert!(net.router.left(&session, 0, Vec::new()));
    }
    let resumed = net.router.resume(&account, "kept-alice", 0).await;
    let (session, _) = resumed.expect("resumed");
    got(&session);
    let due = session.outbox.acked(1).expect("sent");
    futures_util::future::join_all(due).await;
    none_is_kept(store).await;
}

/// It may end before: what waited has gone another way.
#[tokio::test]
async fn sm_10_a_session_that_came_back_and_ended_is_in_the_store_no_more() {
    let (net, account) = restarted().await;
    let store = &net.world.store;
    let resumed = net.router.resume(&account, "kept-alice", 0).await;
    let (session, _) = resumed.expect("resumed");
    net.router
        .ended(&session, session.outbox.close_after(Vec::new()))
        .await;
    none_is_kept(store).await;
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    let rows = &domain.hosted.store;
    let alice = rows.account_find("alice").await.expect("read");
    let waits = rows.offline_count(alice.expect("alice").id).await;
    assert_eq!(waits.expect("read"), 1);
}

/// Its device was signed out while no process was there to end it: the row has the only copy of what waits.
#[tokio::test]
async fn sm_10_what_waits_for_a_kept_session_that_was_signed_out_finds_another_way() {
    let net = Net::new().await;
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    let (rows, store) = (&domain.hosted.store, &net.world.store);
    assert!(rows.session_keep(kept("alice")).await.expect("kept"));
    let signed_out = rows.session_sign_out("alice", "4", now()).await;
    signed_out.expect("signed out");
    let restored = net.router.restore_sessions(store, None, 10_000).await;
    assert_eq!(restored.expect("read"), 0, "nobody may take it up");
    let alice = rows.account_find("alice").await.expect("read");
    let waits = rows.offline_list(alice.expect("alice").id, 0, 9).await;
    let waits = waits.expect("read");
    assert_eq!(waits.len(), 1);
    assert!(String::from_utf8_lossy(&waits[0].stanza).contains("id='k'"));
    none_is_kept(store).await;
}

/// What another session leaves for one at which nobody is survives the process.
#[tokio::test]
async fn sm_10_what_is_left_for_a_session_that_waits_for_its_client_is_committed() {
    for kind in ["chat", "normal"] {
        let net = Net::new().await;
        let alice = net.bind("alice@one.example/a", Some(0)).await;
        let away = net.bind("bob@one.example/away", Some(0)).await;
        let here = net.bind("bob@one.example/here", Some(1)).await;
        away.outbox.keep();
        net.router.sessions().resumable(&away, "away", 60);
        assert!(net.router.left(&away, 0, Vec::new()));
        net.send(&alice, &CHAT.replace("chat", kind)).await;
        let unwritten = here.outbox.close();
        assert_eq!(unwritten.len(), 1);
        net.router.ended(&here, unwritten).await;
        let domain = net.router.tenancy().get("one.example").expect("hosted");
        let rows = &domain.hosted.store;
        let bob = rows.account_find("bob").await.expect("read").expect("bob");
        let kept = rows.offline_count(bob.id).await.expect("read");
        assert_eq!(kept, 1, "{kind}");
    }
}
