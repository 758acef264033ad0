//! Devices that somebody else has signed out: what they have no more.

use xmpp::sasl::{TokenKey, TokenMechanism};
use xmpp::stream::{Grant, UserAgent};
use xmpp::timestamp::Timestamp;

use super::*;
use crate::session::resumption::TakeUp;

const ENABLE: &str =
    "<iq type='set' id='q'><enable xmlns='urn:xmpp:push:0' jid='push.far.example' node='n1'/></iq>";

/// A session of a client that has named itself.
async fn device(net: &Net, jid: &str, agent: &str) -> Arc<Session> {
    let session = net.bind(jid, Some(0)).await;
    session.update(SessionUpdate::Agent(agent.into()));
    session
}

/// Whether it has been told to close since the last look.
fn is_closed(session: &Session) -> bool {
    let close = |order: &Order| matches!(order, Order::Close(_));
    orders(session).iter().any(close)
}

/// Whether a push service was told of something since the last look.
fn woken(net: &Net) -> bool {
    let sent = std::mem::take(&mut *net.remote.0.lock());
    let to = |stanza: &Stanza| stanza.to().map(|to| to.as_str() == "push.far.example");
    sent.iter().any(|stanza| to(stanza) == Some(true))
}

/// XEP-0357: what was known of its registration while it was there is not believed any more.
#[tokio::test]
async fn ext_14_who_was_signed_out_is_not_woken() {
    #[derive(PartialEq, Debug)]
    enum How {
        NotAtAll,
        BySession,
        ByName,
    }
    for how in [How::NotAtAll, How::BySession, How::ByName] {
        let net = Net::new().await;
        let alice = net.bind("alice@one.example/a", Some(0)).await;
        let bob = device(&net, "bob@one.example/b", "phone").await;
        net.send(&bob, ENABLE).await;
        // Its registration is in memory from here on.
        net.send(&alice, CHAT).await;
        assert!(!woken(&net), "it is there");
        got(&bob);
        net.router.ended(&bob, Vec::new()).await;
        assert!(!woken(&net), "it has got what there was");
        let account = bob.jid.bare();
        let domain = net.router.tenancy().get("one.example").expect("hosted");
        let rows = &domain.hosted.store;
        match how {
            How::NotAtAll => {}
            How::BySession => net.router.wake_no_more(&account, vec!["b".into()]).await,
            How::ByName => {
                let id = rows
                    .account_find("bob")
                    .await
                    .expect("read")
                    .expect("bob")
                    .id;
                rows.client_remove(id, "phone").await.expect("removed");
                net.router.wake_no_more(&account, Vec::new()).await;
            }
        }
        net.send(&alice, CHAT).await;
        assert_eq!(woken(&net), how == How::NotAtAll, "{how:?}");
    }
}

/// XEP-0484: a login that was under way gets nothing that outlives the sign-out, whichever of the two the server hears of first.
#[tokio::test]
async fn sasl_42_a_token_is_not_granted_to_who_was_signed_out_meanwhile() {
    let net = Net::new().await;
    let domain = net.router.tenancy().get("one.example").expect("hosted");
    let rows = &domain.hosted.store;
    let row = rows.account_find("bob").await.expect("read").expect("bob");
    let account = BareJid::parse("bob@one.example").expect("an address");
    let grant = Grant {
        account: account.clone(),
        agent: UserAgent {
            id: Some("phone".into()),
            ..UserAgent::default()
        },
        used: None,
        invalidate: false,
        wanted: Some(TokenMechanism::EndPoint),
        key: TokenKey::of(&"x".repeat(65)),
    };
    let (before, at, after) = (Timestamp(1_000), Timestamp(2_000), Timestamp(3_000));
    let tokens = async || rows.tokens_of("bob", "phone").await.expect("read").len();
    let given = async |proved| {
        let given = rows.token_grant(row.id, &grant, 60, proved).await;
        given.expect("granted").is_some()
    };
    assert!(given(before).await);
    assert!(!net.router.takes_back(&account, "phone", before).await);
    net.router.client_signed_out(&account, "phone", at).await;
    assert_eq!(tokens().await, 0, "it was granted first");
    assert!(given(before).await);
    assert!(net.router.takes_back(&account, "phone", before).await);
    assert_eq!(tokens().await, 0, "it was signed out first");
    assert!(given(after).await);
    assert!(!net.router.takes_back(&account, "phone", after).await);
    assert_eq!(tokens().await, 1, "whoever logs in behind it may stay");
}

/// XEP-0494: a session that was another client's, or nobody's by name, is this one's from its resumption on. What counts is when
/// the login was proved that has resumed it.
#[tokio::test]
async fn sm_09_who_was_signed_out_while_they_resumed_is_out() {
    let net = Net::new().await;
    let (at, after) = (Timestamp(2_000), Timestamp(3_000));
    let bob = net.bind("bob@one.example/b", Some(0)).await;
    let account = bob.jid.bare();
    net.router.client_signed_out(&account, "phone", at).await;
    bob.update(SessionUpdate::Agent("phone".into()));
    net.router.end_signed_out(&bob, after);
    assert!(!is_closed(&bob), "it has logged in since");
    net.router.end_signed_out(&bob, Timestamp(1_000));
    assert!(is_closed(&bob));
}

/// A connection may take the session up just before it is ended.
#[tokio::test]
async fn sm_09_who_takes_a_session_up_that_is_being_closed_is_told_to_close() {
    let net = Net::new().await;
    let bob = net.bind("bob@one.example/b", Some(0)).await;
    bob.outbox.keep();
    net.router.sessions().resumable(&bob, "b", 60);
    assert!(net.router.left(&bob, 0, Vec::new()));
    let error = StreamError::from(StreamCondition::NotAuthorized);
    net.router.close_session(&bob, error);
    assert!(matches!(bob.take_up(0), TakeUp::Taken(..)));
    let closed = async {
        while !is_closed(&bob) {
            tokio::task::yield_now().await;
        }
    };
    let closed = tokio::time::timeout(std::time::Duration::from_secs(20), closed).await;
    closed.expect("told to close");
}
