//! What a process has left in the store for other servers, and what the next one does with it.

use store::NewOutgoing;
use xmpp::timestamp::Timestamp;

use super::*;

const MINUTE: i64 = 60 * 1_000_000;

fn left(id: &str, minutes_ago: i64) -> NewOutgoing {
    left_by("here", id, minutes_ago)
}

fn left_by(resource: &str, id: &str, minutes_ago: i64) -> NewOutgoing {
    let stanza = format!(
        "<message from='user@one.example/{resource}' to='user@two.example/here' type='chat' id='{id}'><body>x</body></message>"
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
        let restored = federation
            .restore(&self.world.store, None)
            .await
            .expect("read");
        let count = restored.stanzas;
        federation.send_on(restored);
        count
    }

    /// How many are in the store.
    async fn left(&self) -> usize {
        self.world.store.outgoing(0, 10).await.expect("read").len()
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

/// A machine is up before its network is, and whoever wrote it was told long ago that it is on its way.
#[tokio::test]
async fn route_02_what_was_left_is_tried_again_when_the_peer_is_not_reached() {
    let (one, two) = houses(true, true, false).await;
    let door = two.stand_in().await;
    assert_eq!(one.finds(vec![left("patient", 1)]).await, 1);
    drop(door.accept().await.expect("tried"));
    one.attempts(&two, |_| true).await;
    assert_eq!(one.left().await, 1);
    let (mut way, _) = door.accept().await.expect("tried again");
    let mut there = tokio::net::TcpStream::connect(two.door.0)
        .await
        .expect("the peer's door");
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut way, &mut there).await });
    let got = two.got().await;
    assert!(got.contains("id='patient'"), "{got}");
    one.keeps_nothing().await;
}

/// ROUTE-05: after a day whoever wrote it is told, as soon as they are there.
#[tokio::test]
async fn route_05_what_was_left_too_long_ago_bounces_to_whoever_is_there() {
    let (one, two) = houses(true, true, false).await;
    one.dns.0.lock().clear();
    let old = 25 * 60;
    let both = vec![left("here", old), left_by("gone", "gone", old)];
    assert_eq!(one.finds(both).await, 2);
    let got = one.got().await;
    assert!(
        got.contains("id='here'") && got.contains("type='error'"),
        "{got}"
    );
    one.attempts(&two, |_| true).await;
    eventually(async || one.left().await == 1).await;
    // The session is no longer there that wrote the other; another of the account comes.
    one.say(&one.session, "<presence/>").await;
    let mut got = one.got().await;
    while !got.contains("id='gone'") {
        got += &one.got().await;
    }
    assert!(got.contains("type='error'"), "{got}");
    one.keeps_nothing().await;
}

/// What waits for a domain that is suspended waits on, and goes when it is served again.
#[tokio::test]
async fn route_02_what_was_left_is_sent_when_its_domain_is_served_again() {
    let (one, two) = houses(true, true, false).await;
    one.change(|row| row.state = "suspended".into()).await;
    assert_eq!(one.finds(vec![left("late", 60)]).await, 0);
    assert_eq!(one.left().await, 1);
    one.change(|row| row.state = "live".into()).await;
    let got = two.got().await;
    assert!(got.contains("id='late'"), "{got}");
    one.keeps_nothing().await;
}

/// The same of what this process has kept itself: whoever wrote it has left with the domain.
#[tokio::test]
async fn route_02_what_waits_when_its_domain_is_suspended_is_sent_when_it_is_served_again() {
    let (one, two) = houses(true, true, false).await;
    let door = two.stand_in().await;
    one.send(&two, "kept").await;
    let (held, _) = door.accept().await.expect("called");
    eventually(async || one.left().await == 1).await;
    one.server.router().ended(&one.session, Vec::new()).await;
    one.change(|row| row.state = "suspended".into()).await;
    drop(held);
    one.attempts(&two, |_| true).await;
    let federation = one.server.federation();
    let pair = federation.known_pair(&one.domain, &two.domain);
    let pair = pair.expect("the pair");
    eventually(async || pair.rows().is_empty()).await;
    assert_eq!(one.left().await, 1);
    one.change(|row| row.state = "live".into()).await;
    let (mut way, _) = door.accept().await.expect("called again");
    let mut there = tokio::net::TcpStream::connect(two.door.0)
        .await
        .expect("the peer's door");
    tokio::spawn(async move { tokio::io::copy_bidirectional(&mut way, &mut there).await });
    let got = two.got().await;
    assert!(got.contains("id='kept'"), "{got}");
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
    let restored = federation.restore(store, None).await.expect("read");
    assert_eq!(restored.stanzas, 0);
    assert_eq!(store.outgoing(0, 10).await.expect("read").len(), 1);
}
