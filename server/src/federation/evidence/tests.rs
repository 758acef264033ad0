//! Cases of gathering: how much is looked up for whom, counted at the doors to the DNS and the web.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use async_trait::async_trait;
use dna::{Anchors, Answer, Outcome, PolicyLevel, Post, RecordType, Reply, Security, ServerAnswer};
use rcgen::{CertificateParams, KeyPair};
use tokio::sync::Semaphore;

use super::*;

/// A DNS and a web that count, and answer when they are let.
struct Outside {
    questions: AtomicUsize,
    fetches: AtomicUsize,
    /// For how long its answers hold, in seconds.
    ttl: AtomicU32,
    /// Documents by address.
    documents: HashMap<String, String>,
    /// Fetches that may be answered.
    gate: Semaphore,
}

impl Outside {
    fn new(documents: &[(&str, String)]) -> Arc<Self> {
        Arc::new(Self {
            questions: AtomicUsize::new(0),
            fetches: AtomicUsize::new(0),
            ttl: AtomicU32::new(300),
            documents: documents
                .iter()
                .map(|(url, body)| ((*url).to_owned(), body.clone()))
                .collect(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        })
    }

    /// Questions to the DNS and to the web.
    fn asked(&self) -> (usize, usize) {
        (
            self.questions.load(Ordering::SeqCst),
            self.fetches.load(Ordering::SeqCst),
        )
    }
}

#[async_trait]
impl Lookup for Outside {
    async fn query(&self, _: &str, _: RecordType) -> Answer {
        self.questions.fetch_add(1, Ordering::SeqCst);
        Answer {
            outcome: Outcome::NoRecords { nxdomain: true },
            security: Security::Insecure,
            ttl_seconds: self.ttl.load(Ordering::SeqCst),
            asked: "table".into(),
            aliases: Vec::new(),
        }
    }

    async fn query_authoritative(&self, _: &str, _: RecordType) -> Vec<ServerAnswer> {
        Vec::new()
    }
}

#[async_trait]
impl Fetch for Outside {
    async fn request(&self, url: &Url, _: Option<Post>, _: usize) -> Result<Reply, FetchError> {
        self.fetches.fetch_add(1, Ordering::SeqCst);
        let _permit = self.gate.acquire().await;
        let body = self.documents.get(url.as_str());
        Ok(Reply {
            status: if body.is_some() { 200 } else { 404 },
            location: None,
            allow_origin: None,
            body: body.cloned().unwrap_or_default().into_bytes(),
        })
    }
}

fn gatherer(outside: &Arc<Outside>) -> Arc<Gatherer> {
    Arc::new(Gatherer::new(
        outside.clone(),
        outside.clone(),
        Rules::of(&Config::default()),
        Arc::new(Metrics::new()),
    ))
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).expect("a domain")
}

/// A self-signed certificate; `list`: where it says that a list of revoked ones is.
fn certificate(list: Option<&str>) -> Vec<u8> {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec!["host.example".to_owned()]).expect("a name");
    params
        .crl_distribution_points
        .extend(list.map(|list| rcgen::CrlDistributionPoint {
            uris: vec![list.to_owned()],
        }));
    let signed = params.self_signed(&key).expect("a certificate");
    signed.der().to_vec()
}

/// A self-signed certificate, and the document that vouches for it.
fn shown() -> (PresentedChain, String) {
    described(vec![certificate(None)])
}

/// A chain, and the document that vouches for it.
fn described(ders: Vec<Vec<u8>>) -> (PresentedChain, String) {
    use base64::Engine as _;
    use sha2::Digest as _;
    let der = &ders[0];
    let digest = base64::prelude::BASE64_STANDARD.encode(sha2::Sha256::digest(der));
    let document = format!(r#"{{"fingerprints":[{{"sha-256":"{digest}"}}],"expires":3600}}"#);
    let chain = PresentedChain::new(&ders, None).expect("a chain");
    (chain, document)
}

/// What judging a stream that a peer opened comes to.
async fn judge(
    gatherer: &Gatherer,
    remote: &str,
    chain: Option<&PresentedChain>,
    policy: &Policy,
    from: &str,
) -> String {
    let claim = Claim {
        local: domain("one.example"),
        remote: domain(remote),
        role: Role::Receiver,
        service: Service::Server,
    };
    let mut evidence = Evidence {
        tls: true,
        chain: chain.cloned(),
        ..Evidence::none(Arc::new(Anchors::default()))
    };
    let from = from.parse().expect("an address");
    let verdict = gatherer.complete(&claim, &mut evidence, policy, from).await;
    match verdict.proven() {
        Some(proven) => proven.by().name().to_owned(),
        None => verdict
            .refusals()
            .last()
            .map_or("nothing", |refusal| refusal.code)
            .to_owned(),
    }
}

const PEER: &str = "https://peer.example/.well-known/posh/xmpp-server.json";
const FROM: &str = "198.51.100.7";

#[tokio::test]
async fn a_known_peer_costs_no_look_up_and_a_new_one_a_bounded_number() {
    let (chain, document) = shown();
    let outside = Outside::new(&[(PEER, document)]);
    let gatherer = gatherer(&outside);
    let policy = Policy::default();
    assert_eq!(
        judge(&gatherer, "peer.example", Some(&chain), &policy, FROM).await,
        "posh"
    );
    // Two SRV questions and one document.
    assert_eq!(outside.asked(), (2, 1));
    for _ in 0..50 {
        let found = judge(&gatherer, "peer.example", Some(&chain), &policy, FROM).await;
        assert_eq!(found, "posh");
    }
    assert_eq!(outside.asked(), (2, 1));
    let text = gatherer.metrics.encode();
    for line in [
        "domicile_evidence_total{kind=\"posh\",result=\"asked\"} 1",
        "domicile_evidence_total{kind=\"posh\",result=\"remembered\"} 50",
        "domicile_evidence_total{kind=\"tlsa\",result=\"asked\"} 1",
    ] {
        assert!(text.contains(line), "{line} in:\n{text}");
    }
}

#[tokio::test]
async fn who_shows_no_certificate_or_is_not_let_in_costs_nothing() {
    let (chain, document) = shown();
    let outside = Outside::new(&[(PEER, document)]);
    let gatherer = gatherer(&outside);
    let blocked = Policy {
        block: vec![domain("peer.example")],
        ..Policy::default()
    };
    let strict = Policy {
        level: PolicyLevel::Authenticated,
        ..Policy::default()
    };
    let peer = "peer.example";
    assert_eq!(
        judge(&gatherer, peer, None, &strict, FROM).await,
        "certificate-missing"
    );
    assert_eq!(
        judge(&gatherer, peer, Some(&chain), &blocked, FROM).await,
        "peer-blocked"
    );
    assert_eq!(outside.asked(), (0, 0));
}

#[tokio::test]
async fn the_same_question_at_the_same_time_is_asked_once() {
    let (chain, document) = shown();
    let mut outside = Outside::new(&[(PEER, document)]);
    Arc::get_mut(&mut outside).expect("nobody else has it").gate = Semaphore::new(0);
    let gatherer = gatherer(&outside);
    let policy = Policy::default();
    let streams = (0..40).map(|_| judge(&gatherer, "peer.example", Some(&chain), &policy, FROM));
    let mut streams = Box::pin(join_all(streams));
    assert!(streams.as_mut().now_or_never().is_none());
    outside.gate.add_permits(1);
    for found in streams.await {
        assert_eq!(found, "posh");
    }
    assert_eq!(outside.asked(), (2, 1));
}

#[tokio::test]
async fn posh_46_a_flood_of_names_is_rationed_by_where_it_comes_from() {
    let (chain, document) = shown();
    let outside = Outside::new(&[(PEER, document)]);
    let gatherer = gatherer(&outside);
    let policy = Policy::default();
    for number in 0..500 {
        let name = format!("n{number}.example");
        judge(&gatherer, &name, Some(&chain), &policy, FROM).await;
    }
    let (questions, fetches) = outside.asked();
    let most = BURST as usize + 5;
    assert!(questions + fetches <= 2 * most, "{questions} and {fetches}");
    // Somebody else is not hindered by that.
    let found = judge(
        &gatherer,
        "peer.example",
        Some(&chain),
        &policy,
        "203.0.113.9",
    )
    .await;
    assert_eq!(found, "posh");
    assert!(gatherer.metrics.encode().contains("result=\"declined\""));
}

/// POSH-46: whoever has a website chooses what its certificates name; of the lists there only the leaf's is asked for, and no
/// more often than anything else that a stranger makes us ask.
#[tokio::test]
async fn posh_46_lists_that_a_stranger_names_are_rationed() {
    let policy = Policy::default();
    let list = |number: usize| format!("http://lists.example/{number}.crl");
    let ders: Vec<_> = (0..4).map(|n| certificate(Some(&list(n)))).collect();
    let (chain, document) = described(ders);
    let outside = Outside::new(&[(PEER, document)]);
    let gatherer = self::gatherer(&outside);
    let found = judge(&gatherer, "peer.example", Some(&chain), &policy, FROM).await;
    assert_eq!(found, "posh");
    assert_eq!(outside.asked().1, 2, "the document and one list");
    let question = |number: usize| {
        let from = NamedBy::Stranger(FROM.parse().expect("an address"));
        let (gatherer, list) = (&gatherer, list(100 + number));
        async move { gatherer.list(&list, from).await }
    };
    for number in 0..500 {
        assert!(question(number).await.is_none());
    }
    let fetches = outside.asked().1;
    assert!(fetches <= BURST as usize + 5, "{fetches}");
}

/// A DNS that says who serves `peer.example`, and that nobody may keep.
struct Moving(Outcome, Security);

#[async_trait]
impl Lookup for Moving {
    async fn query(&self, name: &str, _: RecordType) -> Answer {
        let its = name.starts_with("_xmpp-server.");
        Answer {
            outcome: match its {
                true => self.0.clone(),
                false => Outcome::NoRecords { nxdomain: true },
            },
            security: self.1,
            ttl_seconds: 0,
            asked: "table".into(),
            aliases: Vec::new(),
        }
    }

    async fn query_authoritative(&self, _: &str, _: RecordType) -> Vec<ServerAnswer> {
        Vec::new()
    }
}

/// DANE-29: a host that served the domain when the stream was opened stands for it as long as secure DNS says so.
#[tokio::test]
async fn dane_29_what_secure_dns_vouched_for_is_looked_at_again() {
    let at = |host: &str| {
        let data = dna::RecordData::Srv {
            priority: 0,
            weight: 0,
            port: 5269,
            target: host.to_owned(),
        };
        Outcome::Found(vec![dna::Record {
            name: "_xmpp-server._tcp.peer.example".into(),
            ttl_seconds: 0,
            data,
        }])
    };
    for (outcome, security, expected) in [
        (at("xmpp.host.example"), Security::Secure, Security::Secure),
        (
            at("xmpp.host.example"),
            Security::Insecure,
            Security::Insecure,
        ),
        (at("new.example"), Security::Secure, Security::Insecure),
        (at("new.example"), Security::Bogus, Security::Bogus),
        (
            Outcome::Failed("no answer".into()),
            Security::Unknown,
            Security::Secure,
        ),
        (
            Outcome::NoRecords { nxdomain: true },
            Security::Secure,
            Security::Insecure,
        ),
    ] {
        let outside = Outside::new(&[]);
        let gatherer = Gatherer::new(
            Arc::new(Moving(outcome, security)),
            outside,
            Rules::of(&Config::default()),
            Arc::new(Metrics::new()),
        );
        let mut target = Target {
            host: "xmpp.host.example".into(),
            port: 5269,
            direct: false,
            priority: 0,
            security: Security::Secure,
            delegated: true,
        };
        let peer = domain("peer.example");
        gatherer.look_again(&peer, &mut target).await;
        assert_eq!(target.security, expected);
    }
}

#[test]
fn networks_of_strangers() {
    for (one, other, same) in [
        ("192.0.2.1", "192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
        ("::ffff:192.0.2.1", "192.0.2.1", true),
        ("2001:db8:1:200::1", "2001:db8:1:2ff::9", true),
        ("2001:db8:1:200::1", "2001:db8:1:300::1", false),
    ] {
        let of = |text: &str| network(text.parse().expect("an address"));
        assert_eq!(of(one) == of(other), same, "{one} {other}");
    }
}

/// DANE-41: an answer of the DNS is believed for as long as it says, within bounds.
#[tokio::test(start_paused = true)]
async fn dane_41_times_to_live_are_kept() {
    let outside = Outside::new(&[]);
    let gatherer = gatherer(&outside);
    let peer = domain("peer.example");
    let mut asked = 0;
    for (ttl, before, after) in [(20, 19, 2), (3_600, 59, 2)] {
        outside.ttl.store(ttl, Ordering::SeqCst);
        gatherer.delegation(&peer).await;
        let first = outside.asked().0;
        assert!(first > asked, "asked");
        tokio::time::advance(Duration::from_secs(before)).await;
        gatherer.delegation(&peer).await;
        assert_eq!(outside.asked().0, first, "remembered");
        tokio::time::advance(Duration::from_secs(after)).await;
        asked = first;
    }
    gatherer.delegation(&peer).await;
    assert!(
        outside.asked().0 > asked,
        "that there is nothing is not believed longer"
    );
    for (ttl, lasts) in [(0, 0), (5, 5), (3_600, 3_600), (86_400, 3_600)] {
        assert_eq!(dns_lasts(ttl, true), Duration::from_secs(lasts));
    }
}
