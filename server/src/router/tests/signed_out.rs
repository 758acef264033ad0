//! Devices that somebody else has signed out: what they have no more.

use super::*;

const ENABLE: &str = "<iq type='set' id='q'><enable xmlns='urn:xmpp:push:0' jid='push.far.example' node='n1'/></iq>";

/// A session of a client that has named itself.
async fn device(net: &Net, jid: &str, agent: &str) -> Arc<Session> {
    let session = net.bind(jid, Some(0)).await;
    session.update(SessionUpdate::Agent(agent.into()));
    session
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
