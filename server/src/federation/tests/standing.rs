//! What changes of a domain do to the streams that are open: only what it no longer allows ends, and at once.

use serde_json::json;
use xmpp::timestamp::Timestamp;

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
    let (near, far) = (one.stand_in().await, two.stand_in().await);
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
    let said = |code: &'static str| move |a: &serde_json::Value| a["code"] == code;
    one.attempts(&two, said("certificate-not-pinned")).await;
    let ended = one.attempts(&two, said("ended-pin")).await;
    assert_eq!(
        ended["refusals"][0]["code"], "certificate-not-pinned",
        "{ended}"
    );
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
    one.attempts(&two, |a| a["code"] == "ended-pin").await;
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

/// DNA-20, DNA-21: a domain that begins to ask for more than it was shown is told which peers that ended, on both sides of
/// the streams.
#[tokio::test]
async fn dna_21_a_stricter_policy_ends_what_dialback_proved_and_says_so() {
    let (one, two) = houses(false, false, false).await;
    chat(&one, &two).await;
    let stream = one.stream();
    one.change(|row| row.policy = "authenticated".into()).await;
    eventually(async || stream.is_closed()).await;
    let ended = one.attempts(&two, |a| a["code"] == "ended-policy").await;
    assert_eq!(
        (&ended["ok"], &ended["direction"], &ended["fault"]),
        (&false.into(), &"out".into(), &"policy".into()),
        "{ended}"
    );
    assert!(ended["tls"].is_string() && ended["address"].is_string());
    // Whoever receives over a stream ends it alike.
    let (two, one) = houses(false, false, false).await;
    chat(&two, &one).await;
    one.change(|row| row.policy = "authenticated".into()).await;
    let ended = one.attempts(&two, |a| a["code"] == "ended-policy").await;
    assert_eq!(ended["direction"], "in", "{ended}");
}

/// CERT-23, DNA-20: what ended a proof is kept for the domain's owner.
#[tokio::test]
async fn dna_20_cert_23_why_a_proof_ended_is_told() {
    let (one, two) = houses(true, true, false).await;
    chat(&one, &two).await;
    let federation = one.server.federation().clone();
    let link = federation.links.lock()[0].clone();
    let responder = revocation::Responder::start(&two.world, true).await;
    let key = rcgen::KeyPair::generate().expect("a key");
    let ago = |seconds| std::time::SystemTime::now() - Duration::from_secs(seconds);
    let shown = |revoked: bool| {
        let names = vec!["two.example".to_owned()];
        let mut params = rcgen::CertificateParams::new(names).expect("a name");
        if revoked {
            params.serial_number = Some(revocation::SERIAL.into());
            params.custom_extensions.push(responder.access());
        } else {
            params.not_before = ago(86_400).into();
            params.not_after = ago(5).into();
        }
        let leaf = params.signed_by(&key, &two.world.ca).expect("signed");
        leaf.der().to_vec()
    };
    let lasted = i64::try_from(dna::dialback::LASTS.as_micros()).expect("a day");
    let asked = || proven_at("one.example", "two.example", Timestamp(now().0 - lasted));
    let expired = shown(false);
    let by_certificate = {
        let claim = Claim {
            local: one.domain.clone(),
            remote: two.domain.clone(),
            role: Role::Initiator,
            service: Service::Server,
        };
        let evidence = Evidence {
            tls: true,
            chain: dna::PresentedChain::new(std::slice::from_ref(&expired), None),
            ..Evidence::none(Arc::new(Anchors::lenient([two.world.ca_der.clone()])))
        };
        let then = Timestamp(now().0 - 10_000_000);
        let verdict = dna::judge(&claim, &evidence, &Policy::default(), then);
        verdict.into_proven().expect("it held then")
    };
    for (chain, proof, code, refusal) in [
        (vec![], asked(), "ended-dialback", "certificate-missing"),
        (
            vec![expired],
            by_certificate,
            "ended-proof",
            "certificate-expired",
        ),
        (
            vec![shown(true)],
            asked(),
            "ended-revoked",
            "certificate-revoked",
        ),
    ] {
        let watch = channel::Watch {
            federation: Arc::downgrade(&federation),
            outbox: Arc::downgrade(&link.outbox),
            pairs: Arc::default(),
            basis: Basis {
                tls: Arc::new(TlsInfo {
                    peer_chain: chain,
                    ..(*link.basis.tls).clone()
                }),
                ..link.basis.clone()
            },
            again: Arc::default(),
        };
        watch.run(proof).await;
        let ended = one.attempts(&two, |a| a["code"] == code).await;
        let refused = ended["refusals"].to_string();
        assert!(refused.contains(refusal), "{code}: {refused}");
    }
}
