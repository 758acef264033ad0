//! What changes of a domain do to the streams that are open: only what it no longer allows ends, and at once.

use serde_json::json;

use super::*;

pub(super) fn pem(der: &CertificateDer<'_>) -> String {
    let text = data_encoding::BASE64.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

impl House {
    /// Pins anchors for a peer, or none.
    async fn pin(&self, peer: &Self, anchor: Option<&CertificateDer<'_>>) {
        let pinned = anchor.map_or(json!({}), |der| json!({ peer.domain.as_str(): pem(der) }));
        let settings = json!({ "pinned": pinned }).to_string();
        self.change(|row| row.settings = settings).await;
    }

    /// The one stream that carries pairs.
    fn stream(&self) -> Arc<Outbox> {
        let streams = self.server.federation().streams.lock();
        let mut carrying = streams.open.values().filter(|s| !s.pairs.lock().is_empty());
        let stream = carrying.next().expect("a stream");
        let others: Vec<_> = carrying
            .flat_map(|stream| {
                let pairs = stream.pairs.lock();
                let names = |held: &channel::Held| format!("{:?} {}", held.proven, stream.ours);
                pairs.iter().map(names).collect::<Vec<_>>()
            })
            .collect();
        assert!(others.is_empty(), "one stream and not also: {others:?}");
        stream.outbox.clone()
    }
}

/// BIDI-04: both call at the same time, and of the two streams that go both ways one is left: the one that the lesser name
/// opened. What is sent meanwhile arrives.
#[tokio::test]
async fn bidi_of_two_streams_both_ways_one_is_left() {
    let (one, two) = houses(true, true, false).await;
    // Neither side can tell, before it is too late, that the other is calling.
    let (near, far) = (wire(&one).await, wire(&two).await);
    tokio::join!(one.send(&two, "m1"), two.send(&one, "m2"));
    let doors = tokio::join!(near.accept(), far.accept());
    for (door, house) in [(doors.0, &one), (doors.1, &two)] {
        let (mut caller, _) = door.expect("a call");
        let mut behind = TcpStream::connect(house.door.0).await.expect("a door");
        tokio::spawn(async move {
            let _ = tokio::io::copy_bidirectional(&mut caller, &mut behind).await;
        });
    }
    assert!(two.got().await.contains("id='m1'") && one.got().await.contains("id='m2'"));
    assert_eq!((one.connections(), two.connections()), (2, 2));
    chat(&one, &two).await;
    eventually(async || one.connections() == 1 && two.connections() == 1).await;
    let streams = |house: &House| {
        let streams = house.server.federation().streams.lock();
        let mut ours = streams.open.values().filter(|s| !s.pairs.lock().is_empty());
        ours.next().map(|stream| stream.ours)
    };
    assert_eq!((streams(&one), streams(&two)), (Some(true), Some(false)));
    chat(&one, &two).await;
    assert_eq!((one.connections(), two.connections()), (1, 1));
}

/// A door before a house's own.
async fn wire(house: &House) -> tokio::net::TcpListener {
    let door = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = door.local_addr().expect("bound");
    let name = house.domain.as_str();
    house.dns.serve(name, (address, false), &[[127, 0, 0, 1]]);
    door
}

/// CERT-22: an anchor that the peer's certificate does not lead to ends what rested on another at once, and the reason is
/// kept; one that it leads to ends nothing.
#[tokio::test]
async fn cert_22_a_changed_pin_ends_what_it_no_longer_proves() {
    let (one, two) = houses(true, true, false).await;
    chat(&one, &two).await;
    let stream = one.stream();
    one.pin(&two, Some(&two.world.ca_der)).await;
    chat(&one, &two).await;
    assert!(Arc::ptr_eq(&stream, &one.stream()) && !stream.is_closed());
    one.pin(&two, Some(&one.world.ca_der)).await;
    eventually(async || stream.is_closed()).await;
    one.send(&two, "pinned").await;
    let got = one.got().await;
    assert!(
        got.contains("id='pinned'") && got.contains("type='error'"),
        "{got}"
    );
    let attempt = one.attempts(&two, |a| a["ok"] == false).await;
    assert_eq!(attempt["code"], "certificate-not-pinned", "{attempt}");
    // Without pins it is judged like everybody.
    one.pin(&two, None).await;
    two.send(&one, "free").await;
    assert!(one.got().await.contains("id='free'"));
}

/// CERT-22: without the pin that it rested on a proof counts no longer, and the peer is asked for another.
#[tokio::test]
async fn cert_22_a_pin_taken_away_has_the_peer_judged_again() {
    let (one, two) = houses(false, true, false).await;
    one.pin(&two, Some(&two.world.ca_der)).await;
    chat(&one, &two).await;
    let stream = one.stream();
    let by = |house: &House| house.peers()[0].prooftype.clone();
    assert_eq!(by(&one).as_deref(), Some("pkix"));
    one.pin(&two, None).await;
    eventually(async || stream.is_closed()).await;
    chat(&one, &two).await;
    assert_eq!(by(&one).as_deref(), Some("dialback"));
}

/// DOS-10, DNA-19: on a stream that several domains share only the pair concerned ends, whichever side no longer wants it.
#[tokio::test]
async fn dos_10_a_change_of_one_domain_leaves_the_others_on_a_shared_stream() {
    let (one, two) = houses(false, false, false).await;
    chat(&one, &two).await;
    let further = one.also("further.example", &["further.example"]).await;
    one.send_as(&further, &two.session.jid, "p1").await;
    assert!(two.got().await.contains("id='p1'"));
    let (near, far) = (one.stream(), two.stream());
    // The side that receives.
    two.change(|row| row.block = vec!["further.example".into()])
        .await;
    one.send_as(&further, &two.session.jid, "p2").await;
    let error = got(&further).await;
    assert!(
        error.contains("id='p2'") && error.contains("<policy-violation"),
        "{error}"
    );
    two.send_as(&two.session, &further.jid, "p3").await;
    let error = two.got().await;
    assert!(
        error.contains("id='p3'") && error.contains("<not-allowed"),
        "{error}"
    );
    chat(&one, &two).await;
    // The side that sends.
    two.change(|row| row.block = Vec::new()).await;
    let third = one.also("third.example", &["third.example"]).await;
    one.send_as(&third, &two.session.jid, "t1").await;
    assert!(two.got().await.contains("id='t1'"));
    one.change_of(third.domain().name(), |row| {
        row.block = vec!["two.example".into()];
    })
    .await;
    one.send_as(&third, &two.session.jid, "t2").await;
    let error = got(&third).await;
    assert!(
        error.contains("id='t2'") && error.contains("<not-allowed"),
        "{error}"
    );
    chat(&one, &two).await;
    assert!(Arc::ptr_eq(&near, &one.stream()) && !near.is_closed());
    assert!(Arc::ptr_eq(&far, &two.stream()) && !far.is_closed());
}

/// A domain that is suspended takes its own pairs off a stream, and nobody else's.
#[tokio::test]
async fn dos_10_a_suspended_domain_takes_nobody_along() {
    let (one, two) = houses(false, false, false).await;
    chat(&one, &two).await;
    let further = one.also("further.example", &["further.example"]).await;
    one.send_as(&further, &two.session.jid, "p1").await;
    assert!(two.got().await.contains("id='p1'"));
    let near = one.stream();
    // The stream was opened for this one.
    one.change(|row| row.state = "suspended".into()).await;
    two.send(&one, "s1").await;
    let error = two.got().await;
    assert!(
        error.contains("id='s1'") && error.contains("type='error'"),
        "{error}"
    );
    one.send_as(&further, &two.session.jid, "p2").await;
    assert!(two.got().await.contains("id='p2'"));
    assert!(Arc::ptr_eq(&near, &one.stream()) && !near.is_closed());
}
