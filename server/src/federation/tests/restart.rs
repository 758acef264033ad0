//! What a process has left in the store for other servers, and what the next one does with it.

use store::NewOutgoing;
use xmpp::timestamp::Timestamp;

use super::*;

const MINUTE: i64 = 60 * 1_000_000;

fn left(id: &str, minutes_ago: i64) -> NewOutgoing {
    let stanza = format!(
        "<message from='user@one.example/here' to='user@two.example/here' type='chat' id='{id}'><body>x</body></message>"
    );
    NewOutgoing {
        local: "user".into(),
        at: Timestamp(now().0 - minutes_ago * MINUTE),
        stanza: stanza.into_bytes(),
    }
}

impl House {
    /// Another process has left these; how many of them are to be sent, and are.
    async fn finds(&self, left: Vec<NewOutgoing>) -> usize {
        let rows = self.world.store.domain(self.id, &self.domain);
        rows.outgoing_add(left).await.expect("kept");
        let federation = self.server.federation();
        let restored = federation.restore(&self.world.store).await.expect("read");
        let count = restored.stanzas;
        federation.send_on(restored);
        count
    }

    async fn keeps_nothing(&self) {
        let store = &self.world.store;
        eventually(async || store.outgoing(0, 10).await.expect("read").is_empty()).await;
    }
}

#[tokio::test]
async fn route_02_what_was_left_is_sent_in_order_with_its_time_and_forgotten_when_it_has_arrived() {
    let (one, two) = houses(true, true, false).await;
    let left = vec![left("second", 1), left("first", 2)];
    let at = left[1].at.to_xep0082();
    assert_eq!(one.finds(left).await, 2);
    let mut got = two.got().await;
    while !got.contains("id='second'") {
        got += &two.got().await;
    }
    assert!(got.find("id='first'") < got.find("id='second'"), "{got}");
    assert!(
        got.contains(&format!("stamp='{at}'")) && got.contains("urn:xmpp:delay"),
        "{got}"
    );
    one.keeps_nothing().await;
}

/// ROUTE-05, as if it had waited here all the time.
#[tokio::test]
async fn route_05_what_was_left_too_long_ago_bounces() {
    let (one, _two) = houses(true, true, false).await;
    assert_eq!(one.finds(vec![left("old", 25 * 60)]).await, 0);
    let got = one.got().await;
    assert!(
        got.contains("id='old'") && got.contains("<remote-server-timeout "),
        "{got}"
    );
    one.keeps_nothing().await;
}

/// A name may have gone to another customer: what the former's people wrote is not said in its name.
#[tokio::test]
async fn vhost_03_what_another_domain_s_account_has_left_is_not_sent_in_this_one_s_name() {
    let (one, _two) = houses(true, true, false).await;
    let store = &one.world.store;
    let id = one.world.domain_without_certificate("former.example").await;
    one.world.user(id, "former.example", "user").await;
    let former = store.domain(id, &DomainName::parse("former.example").expect("a domain"));
    former
        .outgoing_add(vec![left("m1", 1)])
        .await
        .expect("kept");
    let federation = one.server.federation();
    let restored = federation.restore(store).await.expect("read");
    assert_eq!(restored.stanzas, 0);
    assert_eq!(store.outgoing(0, 10).await.expect("read").len(), 1);
}
