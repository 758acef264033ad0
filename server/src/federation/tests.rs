//! Two whole servers in one process, each with an authority and a store of its own, over loopback: what they prove to each
//! other, and what becomes of stanzas when they do not.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dna::{Answer, Lookup, Outcome, Record, RecordData, RecordType, Security, ServerAnswer};
use rustls::pki_types::CertificateDer;
use store::DomainId;
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;

use super::*;
use crate::config::Config;
use crate::serve::{Listeners, Server, ServerParts};
use crate::session::Session;
use crate::session::outbox;
use crate::testing::World;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A proof, made the only way there is.
pub(super) fn proven(local: &str, remote: &str) -> Proven {
    let name = |name| DomainName::parse(name).expect("a domain");
    let claim = Claim {
        local: name(local),
        remote: name(remote),
        role: Role::Initiator,
        service: Service::Server,
    };
    let evidence = Evidence {
        tls: true,
        dialback: Some(dna::dialback::Evidence::Delegated {
            to: "192.0.2.1:5269".into(),
            at: now(),
        }),
        ..Evidence::none(Arc::default())
    };
    dna::judge(&claim, &evidence, &Policy::default(), now())
        .into_proven()
        .expect("dialback is enough")
}

/// A DNS that both servers ask: SRV and address of each domain.
#[derive(Default)]
struct Table(Mutex<HashMap<(String, RecordType), RecordData>>);

#[async_trait]
impl Lookup for Table {
    async fn query(&self, name: &str, rtype: RecordType) -> Answer {
        let name = name.trim_end_matches('.').to_owned();
        let found = self.0.lock().get(&(name.clone(), rtype)).cloned();
        Answer {
            outcome: match found {
                Some(data) => Outcome::Found(vec![Record {
                    name,
                    ttl_seconds: 60,
                    data,
                }]),
                None => Outcome::NoRecords { nxdomain: true },
            },
            security: Security::Insecure,
            ttl_seconds: 60,
            asked: "table".into(),
            aliases: Vec::new(),
        }
    }

    async fn query_authoritative(&self, _: &str, _: RecordType) -> Vec<ServerAnswer> {
        Vec::new()
    }
}

/// A server that hosts one domain with one session bound.
struct House {
    world: World,
    server: Server,
    id: DomainId,
    domain: DomainName,
    session: Arc<Session>,
}

impl House {
    async fn start(
        world: World,
        name: &str,
        dns: &Arc<Table>,
        roots: CertificateDer<'static>,
        direct: bool,
    ) -> Self {
        let id = world.domain(name, &["user"]).await;
        let mut config = Config::default();
        let loopback = || vec![([127, 0, 0, 1], 0).into()];
        for list in [
            &mut config.listen.c2s,
            &mut config.listen.c2s_tls,
            &mut config.listen.public,
            &mut config.listen.admin,
            &mut config.listen.internal,
        ] {
            list.clear();
        }
        config.listen.s2s = loopback();
        config.listen.s2s_tls = loopback();
        config.platform.private_addresses = true;
        config.federation.connect_seconds = 15;
        let listeners = Listeners::bind(&config.listen).expect("free ports");
        let (label, address) = match direct {
            true => ("_xmpps-server", listeners.s2s_tls()[0]),
            false => ("_xmpp-server", listeners.s2s()[0]),
        };
        let host = format!("xmpp.{name}");
        dns.0.lock().extend([
            (
                (format!("{label}._tcp.{name}"), RecordType::Srv),
                RecordData::Srv {
                    priority: 0,
                    weight: 0,
                    port: address.port(),
                    target: host.clone(),
                },
            ),
            ((host, RecordType::A), RecordData::A([127, 0, 0, 1].into())),
        ]);
        let anchors = Anchors::lenient([roots]);
        let parts = ServerParts {
            config: Arc::new(config),
            store: world.store.clone(),
            lookup: dns.clone(),
            anchors: Arc::new(anchors),
            metrics: Arc::new(Metrics::new()),
        };
        let server = Server::start(listeners, parts).await.expect("started");
        let jid = Jid::parse(&format!("user@{name}")).expect("an address");
        let session = server
            .router()
            .bind(&jid.bare(), "here", Outbox::new(1_000_000))
            .await
            .expect("bound");
        Self {
            world,
            server,
            id,
            domain: DomainName::parse(name).expect("a domain"),
            session,
        }
    }

    async fn send(&self, to: &Self, id: &str) {
        let text = format!(
            "<message to='{}' type='chat' id='{id}'><body>hello</body></message>",
            to.session.jid
        );
        let tree = Element::parse(&text, ns::CLIENT).expect("well-formed");
        let stanza = Stanza::from_element(&tree)
            .expect("a stanza")
            .with_from(&self.session.jid);
        if let Some(later) = self.server.router().from_client(&self.session, stanza) {
            later.await;
        }
    }

    /// What the session is sent next.
    async fn got(&self) -> String {
        let next = poll_fn(|cx| {
            let (mut items, mut taken) = (Vec::new(), outbox::Taken::default());
            self.session
                .outbox
                .poll_take(cx, true, &mut items, &mut taken)
                .map(|()| String::from_utf8_lossy(&items.concat()).into_owned())
        });
        tokio::time::timeout(DEADLINE, next)
            .await
            .expect("something within the deadline")
    }

    /// Changes the domain's row, and waits until the server has seen it.
    async fn change(&self, change: impl FnOnce(&mut store::DomainRow)) {
        let store = &self.world.store;
        let mut row = store
            .domain_get(self.id)
            .await
            .expect("the store")
            .expect("the domain");
        change(&mut row);
        store.domain_update(&row, now()).await.expect("the store");
        let tenancy = self.server.router().tenancy();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let seen = async {
            loop {
                tick.tick().await;
                let now = tenancy.get(self.domain.as_str()).expect("the domain");
                if now.policy == row.policy && now.block == row.block {
                    return;
                }
            }
        };
        tokio::time::timeout(DEADLINE, seen).await.expect("seen");
    }

    fn peers(&self) -> Vec<control::outside::PeerNow> {
        self.server.live().peers(&self.domain)
    }

    /// Attempts with `peer`, newest first, once there are any that satisfy the condition.
    async fn attempts(
        &self,
        peer: &Self,
        wanted: impl Fn(&serde_json::Value) -> bool,
    ) -> serde_json::Value {
        let store = self.world.store.domain(self.id, &self.domain);
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let found = async {
            loop {
                tick.tick().await;
                if let Ok(Some(row)) = store.peer_get(peer.domain.as_str()).await {
                    let list: Vec<serde_json::Value> =
                        serde_json::from_str(&row.attempts).expect("JSON");
                    if let Some(found) = list.into_iter().find(|attempt| wanted(attempt)) {
                        return found;
                    }
                }
            }
        };
        tokio::time::timeout(DEADLINE, found)
            .await
            .expect("remembered within the deadline")
    }
}

/// `one.example` and `two.example`; which of them trusts the other's authority.
async fn houses(one_trusts: bool, two_trusts: bool, direct: bool) -> (House, House) {
    let (a, b, stranger) = (World::new().await, World::new().await, World::new().await);
    let dns = Arc::<Table>::default();
    let root = |trusts, world: &World| {
        let world = if trusts { world } else { &stranger };
        world.ca_der.clone()
    };
    let (for_one, for_two) = (root(one_trusts, &b), root(two_trusts, &a));
    let one = House::start(a, "one.example", &dns, for_one, direct).await;
    let two = House::start(b, "two.example", &dns, for_two, direct).await;
    (one, two)
}

async fn chat(one: &House, two: &House) {
    for (from, to, id) in [(one, two, "m1"), (two, one, "m2"), (one, two, "m3")] {
        from.send(to, id).await;
        let got = to.got().await;
        assert!(
            got.contains(&format!("id='{id}'")) && got.contains("<body>hello</body>"),
            "{got}"
        );
        assert!(
            got.contains(&format!("from='{}'", from.session.jid)),
            "{got}"
        );
    }
}

#[tokio::test]
async fn certificates_both_ways_over_starttls_and_direct_tls() {
    for direct in [false, true] {
        let (one, two) = houses(true, true, direct).await;
        chat(&one, &two).await;
        for (house, other) in [(&one, &two), (&two, &one)] {
            for direction in ["out", "in"] {
                let attempt = house.attempts(other, |a| a["direction"] == direction).await;
                assert_eq!(attempt["ok"], true, "{attempt}");
                assert_eq!(attempt["mechanism"], "EXTERNAL", "{attempt}");
                assert_eq!(attempt["prooftype"], "pkix", "{attempt}");
                assert_eq!(attempt["tls"], "TLSv1.3", "{attempt}");
            }
            let peers = house.peers();
            assert_eq!(peers.len(), 1);
            assert!(peers[0].inbound && peers[0].outbound);
            assert_eq!(peers[0].prooftype.as_deref(), Some("pkix"));
        }
    }
}

#[tokio::test]
async fn dna_21_dialback_where_certificates_prove_nothing() {
    let (one, two) = houses(false, false, false).await;
    chat(&one, &two).await;
    let attempt = one.attempts(&two, |a| a["direction"] == "in").await;
    assert_eq!(attempt["mechanism"], "dialback", "{attempt}");
    assert_eq!(attempt["weak"], true, "{attempt}");
    assert_eq!(
        attempt["refusals"][0]["code"], "certificate-issuer-unknown",
        "what the certificate lacked is kept: {attempt}"
    );
}

#[tokio::test]
async fn one_side_trusts_and_the_other_dials_back() {
    let (one, two) = houses(true, false, false).await;
    chat(&one, &two).await;
    let attempt = one.attempts(&two, |a| a["direction"] == "out").await;
    assert_eq!(
        (&attempt["mechanism"], &attempt["prooftype"]),
        (&"dialback".into(), &"pkix".into()),
        "we prove ourselves by dialback, they by certificate: {attempt}"
    );
}

#[tokio::test]
async fn cert_17_a_domain_that_asks_for_proof_refuses_and_says_why() {
    let (one, two) = houses(false, true, false).await;
    one.change(|row| row.policy = "authenticated".into()).await;
    one.send(&two, "m1").await;
    let got = one.got().await;
    assert!(
        got.contains("<remote-server-timeout") && got.contains("type='error'"),
        "{got}"
    );
    let attempt = one.attempts(&two, |a| a["direction"] == "out").await;
    assert_eq!(attempt["ok"], false, "{attempt}");
    assert_eq!(attempt["code"], "certificate-issuer-unknown", "{attempt}");
    assert_eq!(attempt["fault"], "peer", "{attempt}");
    // The other way round the same domain is asked to believe the other, and does not.
    two.send(&one, "m2").await;
    let got = two.got().await;
    assert!(got.contains("type='error'"), "{got}");
    let attempt = two.attempts(&one, |a| a["direction"] == "out").await;
    let said = attempt["remote_error"].as_str().unwrap_or_default();
    assert!(said.starts_with("not-authorized"), "{attempt}");
}

#[tokio::test]
async fn a_peer_that_is_blocked_loses_its_streams_and_gets_no_new_ones() {
    let (one, two) = houses(true, true, false).await;
    chat(&one, &two).await;
    one.change(|row| row.block = vec!["two.example".into()])
        .await;
    let closed = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while !one.peers().is_empty() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, closed)
        .await
        .expect("the streams end");
    one.send(&two, "m4").await;
    let got = one.got().await;
    assert!(got.contains("<not-allowed"), "{got}");
    two.send(&one, "m5").await;
    let got = two.got().await;
    assert!(
        got.contains("type='error'") && got.contains("id='m5'"),
        "{got}"
    );
}

#[tokio::test]
async fn route_05_a_name_that_nobody_serves() {
    let (one, _two) = houses(true, true, false).await;
    let stanza = Stanza::from_element(
        &Element::parse(
            "<message to='a@nowhere.example' id='m1'><body>hello</body></message>",
            ns::CLIENT,
        )
        .expect("well-formed"),
    )
    .expect("a stanza")
    .with_from(&one.session.jid);
    one.server.router().from_client(&one.session, stanza);
    let got = one.got().await;
    assert!(got.contains("<remote-server-not-found"), "{got}");
}
