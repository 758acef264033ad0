//! Two whole servers in one process, each with an authority and a store of its own, over loopback: what they prove to each
//! other, and what becomes of stanzas when they do not.

mod diagnosis;
mod known;
mod limits;
mod restart;
mod revocation;
mod standing;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use dna::{
    Answer, Claim, Evidence, Lookup, Outcome, Proven, Record, RecordData, RecordType, Role,
    Security, ServerAnswer, Service,
};
use rustls::pki_types::CertificateDer;
use store::DomainId;
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;

use super::channel::Basis;
use super::*;
use crate::config::Config;
use crate::net::now;
use crate::serve::{Listeners, Server, ServerParts};
use crate::session::Session;
use crate::session::outbox;
use crate::testing::World;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A proof, made the only way there is.
pub(super) fn proven(local: &str, remote: &str) -> Proven {
    proven_at(local, remote, now())
}

fn proven_at(local: &str, remote: &str, at: xmpp::timestamp::Timestamp) -> Proven {
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
            dnssec: false,
            at,
        }),
        ..Evidence::none(Arc::default())
    };
    dna::judge(&claim, &evidence, &Policy::default(), now())
        .into_proven()
        .expect("dialback is enough")
}

/// A DNS that both servers ask: SRV and address of each domain.
#[derive(Default)]
struct Table(
    Mutex<HashMap<(String, RecordType), Vec<RecordData>>>,
    /// Every answer is signed.
    std::sync::atomic::AtomicBool,
    /// These are wrongly.
    Mutex<Vec<(String, RecordType)>>,
    /// Questions so far.
    std::sync::atomic::AtomicUsize,
);

impl Table {
    /// `name` is served at `door`, on these addresses.
    fn serve(&self, name: &str, door: (std::net::SocketAddr, bool), addresses: &[[u8; 4]]) {
        let label = if door.1 {
            "_xmpps-server"
        } else {
            "_xmpp-server"
        };
        let host = format!("xmpp.{name}");
        let srv = RecordData::Srv {
            priority: 0,
            weight: 0,
            port: door.0.port(),
            target: host.clone(),
        };
        let addresses = addresses.iter().map(|a| RecordData::A((*a).into()));
        self.0.lock().extend([
            ((format!("{label}._tcp.{name}"), RecordType::Srv), vec![srv]),
            ((host, RecordType::A), addresses.collect()),
        ]);
    }
}

#[async_trait]
impl Lookup for Table {
    async fn query(&self, name: &str, rtype: RecordType) -> Answer {
        self.3.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = name.trim_end_matches('.').to_owned();
        let found = self.0.lock().get(&(name.clone(), rtype)).cloned();
        Answer {
            outcome: match found {
                Some(list) => Outcome::Found(
                    list.into_iter()
                        .map(|data| Record {
                            name: name.clone(),
                            ttl_seconds: 60,
                            data,
                        })
                        .collect(),
                ),
                None => Outcome::NoRecords { nxdomain: true },
            },
            security: match self.1.load(std::sync::atomic::Ordering::Relaxed) {
                _ if self.2.lock().contains(&(name, rtype)) => Security::Bogus,
                true => Security::Secure,
                false => Security::Insecure,
            },
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
    dns: Arc<Table>,
    /// Where other servers are served, and whether it is direct TLS.
    door: (std::net::SocketAddr, bool),
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
        Self::start_with(world, name, dns, roots, direct, |_| {}).await
    }

    /// The same, with something unusual about its certificate.
    async fn start_with(
        world: World,
        name: &str,
        dns: &Arc<Table>,
        roots: CertificateDer<'static>,
        direct: bool,
        shape: impl FnOnce(&mut rcgen::CertificateParams),
    ) -> Self {
        Self::start_as(world, name, dns, roots, direct, shape, |_| {}).await
    }

    /// The same, with something unusual about its configuration.
    async fn start_as(
        world: World,
        name: &str,
        dns: &Arc<Table>,
        roots: CertificateDer<'static>,
        direct: bool,
        shape: impl FnOnce(&mut rcgen::CertificateParams),
        configure: impl FnOnce(&mut Config),
    ) -> Self {
        let id = world.domain_without_certificate(name).await;
        let names = [name, &format!("rooms.{name}")];
        world.certificate_with(id, name, &names, shape).await;
        world.user(id, name, "user").await;
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
        configure(&mut config);
        let listeners = Listeners::bind(&config.listen).expect("free ports");
        let door = match direct {
            true => (listeners.s2s_tls()[0], true),
            false => (listeners.s2s()[0], false),
        };
        dns.serve(name, door, &[[127, 0, 0, 1]]);
        let anchors = Anchors::lenient([roots]);
        let parts = ServerParts {
            config: Arc::new(config),
            store: world.store.clone(),
            lookup: dns.clone(),
            anchors: Arc::new(anchors),
            client_anchors: None,
            metrics: Arc::new(Metrics::new()),
        };
        let server = Server::start(listeners, parts).await.expect("started");
        let session = bind(&server, name).await;
        Self {
            world,
            dns: dns.clone(),
            door,
            server,
            id,
            domain: DomainName::parse(name).expect("a domain"),
            session,
        }
    }

    async fn send(&self, to: &Self, id: &str) {
        self.send_as(&self.session, &to.session.jid, id).await;
    }

    async fn send_as(&self, from: &Arc<Session>, to: &Jid, id: &str) {
        let text = format!("<message to='{to}' type='chat' id='{id}'><body>hello</body></message>");
        self.say(from, &text).await;
    }

    /// A question, which nobody keeps.
    async fn ask(&self, whom: &Self, id: &str) {
        let ping = "<ping xmlns='urn:xmpp:ping'/>";
        let text = format!(
            "<iq to='{}' type='get' id='{id}'>{ping}</iq>",
            whom.session.jid
        );
        self.say(&self.session, &text).await;
    }

    async fn say(&self, from: &Arc<Session>, text: &str) {
        let tree = Element::parse(text, ns::CLIENT).expect("well-formed");
        let stanza = Stanza::from_element(&tree)
            .expect("a stanza")
            .with_from(&from.jid);
        if let Some(later) = self.server.router().from_client(from, stanza) {
            later.await;
        }
    }

    /// Another domain of the same server, with a session bound; `names` are on its certificate.
    async fn also(&self, name: &str, names: &[&str]) -> Arc<Session> {
        let id = self.world.domain_without_certificate(name).await;
        if !names.is_empty() {
            self.world.certificate(id, name, names).await;
        }
        self.world.user(id, name, "user").await;
        self.dns.serve(name, self.door, &[[127, 0, 0, 1]]);
        let tenancy = self.server.router().tenancy();
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        let seen = async {
            while !tenancy.hosts(name) {
                tick.tick().await;
            }
        };
        tokio::time::timeout(DEADLINE, seen).await.expect("seen");
        bind(&self.server, name).await
    }

    /// A door to which the DNS leads from now on instead of the house's own, and that says nothing by itself.
    async fn stand_in(&self) -> tokio::net::TcpListener {
        let door = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let address = door.local_addr().expect("bound");
        let name = self.domain.as_str();
        self.dns.serve(name, (address, false), &[[127, 0, 0, 1]]);
        door
    }

    /// What the session is sent next.
    async fn got(&self) -> String {
        got(&self.session).await
    }

    /// Changes the domain's row, and waits until the server has seen it.
    async fn change(&self, change: impl FnOnce(&mut store::DomainRow)) {
        self.change_of(&self.domain, change).await;
    }

    /// The same of another domain of this server.
    async fn change_of(&self, name: &DomainName, change: impl FnOnce(&mut store::DomainRow)) {
        let store = &self.world.store;
        let hosted = store.domain_hosted(name).await.expect("the store");
        let mut row = hosted.expect("the domain");
        change(&mut row);
        let tenancy = self.server.router().tenancy();
        let before = tenancy.get(name.as_str()).expect("the domain");
        store.domain_update(&row, now()).await.expect("the store");
        let seen = async || {
            let now = tenancy.get(name.as_str()).expect("the domain");
            !Arc::ptr_eq(&now, &before)
        };
        eventually(seen).await;
    }

    /// Server streams that carry pairs; those on which keys are checked carry none.
    fn connections(&self) -> usize {
        let streams = self.server.federation().streams.lock();
        let mut count = 0;
        for stream in streams.open.values() {
            count += usize::from(stream.pairs.lock().iter().any(|held| held.incoming));
        }
        count
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

/// Waits until something is so.
async fn eventually(so: impl AsyncFn() -> bool) {
    let waiting = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while !so().await {
            tick.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting)
        .await
        .expect("so within the deadline");
}

async fn bind(server: &Server, name: &str) -> Arc<Session> {
    let jid = Jid::parse(&format!("user@{name}")).expect("an address");
    server
        .router()
        .bind(&jid.bare(), "here", Outbox::new(1_000_000), now())
        .await
        .expect("bound")
}

/// What a session is sent next. An outbox that is only nudged, because its domain has changed, has nothing to say.
async fn got(session: &Session) -> String {
    let next = poll_fn(|cx| {
        loop {
            let (mut items, mut taken) = (Vec::new(), outbox::Taken::default());
            match session.outbox.poll_take(cx, true, &mut items, &mut taken) {
                Poll::Ready(()) if items.is_empty() => {}
                ready => {
                    return ready.map(|()| String::from_utf8_lossy(&items.concat()).into_owned());
                }
            }
        }
    });
    tokio::time::timeout(DEADLINE, next)
        .await
        .expect("something within the deadline")
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

/// VHOST-08: what the peer was shown is the certificate of the domain that sends.
#[tokio::test]
async fn certificates_both_ways_over_starttls_and_direct_tls() {
    for direct in [false, true] {
        let (one, two) = houses(true, true, direct).await;
        chat(&one, &two).await;
        // DNA-30: one connection, both directions on it (XEP-0288).
        for (house, other, direction) in [(&one, &two, "out"), (&two, &one, "in")] {
            let attempt = house.attempts(other, |a| a["direction"] == direction).await;
            assert_eq!(attempt["ok"], true, "{attempt}");
            assert_eq!(attempt["mechanism"], "EXTERNAL", "{attempt}");
            assert_eq!(attempt["prooftype"], "pkix", "{attempt}");
            assert_eq!(attempt["tls"], "TLSv1.3", "{attempt}");
            assert_eq!(
                (&attempt["bidi"], &attempt["pairs"]),
                (&true.into(), &1.into())
            );
            let shown = attempt["presented"][0]["names"].to_string();
            assert!(shown.contains(other.domain.as_str()), "{attempt}");
            let peers = house.peers();
            assert_eq!(peers.len(), 1);
            assert!(peers[0].inbound && peers[0].outbound);
            assert_eq!(peers[0].prooftype.as_deref(), Some("pkix"));
            assert_eq!(house.connections(), 1);
        }
    }
}

#[tokio::test]
async fn dna_21_dialback_where_certificates_prove_nothing() {
    let (one, two) = houses(false, false, false).await;
    chat(&one, &two).await;
    let attempt = two.attempts(&one, |a| a["direction"] == "in").await;
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
    let ended = one.attempts(&two, |a| a["code"] == "ended-shut-out").await;
    assert_eq!(ended["refusals"][0]["code"], "peer-blocked", "{ended}");
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
    if let Some(later) = one.server.router().from_client(&one.session, stanza) {
        later.await;
    }
    let got = one.got().await;
    assert!(got.contains("<remote-server-not-found"), "{got}");
}

/// DNA-12, DIALBACK-19: another domain of ours asks to be heard on the connection that is there.
#[tokio::test]
async fn dna_12_a_further_sender_on_the_same_connection() {
    let (one, two) = houses(false, false, false).await;
    chat(&one, &two).await;
    let further = one.also("further.example", &["further.example"]).await;
    one.send_as(&further, &two.session.jid, "p1").await;
    assert!(two.got().await.contains("id='p1'"));
    // And back, over the same one: what was proved is the pair.
    two.send_as(&two.session, &further.jid, "p2").await;
    assert!(got(&further).await.contains("id='p2'"));
    assert_eq!((one.connections(), two.connections()), (1, 1));
    let attempt = two.attempts(&one, |a| a["direction"] == "in").await;
    assert_eq!(attempt["pairs"], 1, "{attempt}");
    // A domain without it is as unknown as ever.
    let stranger = one.also("stranger.example", &["stranger.example"]).await;
    two.change(|row| row.block = vec!["stranger.example".into()])
        .await;
    one.send_as(&stranger, &two.session.jid, "p3").await;
    let error = got(&stranger).await;
    assert!(
        error.contains("type='error'") && error.contains("id='p3'"),
        "{error}"
    );
    // The stream has survived that.
    one.send(&two, "p4").await;
    assert!(two.got().await.contains("id='p4'"));
}

/// A domain that could prove itself by certificate does not go by dialback on somebody else's connection.
#[tokio::test]
async fn a_stronger_proof_is_not_given_up_for_a_saved_connection() {
    let (one, two) = houses(true, true, false).await;
    chat(&one, &two).await;
    let own = one.also("own.example", &["own.example"]).await;
    one.send_as(&own, &two.session.jid, "c1").await;
    assert!(two.got().await.contains("id='c1'"));
    assert_eq!(one.connections(), 2);
}

/// S2S-05, XEP-0495: an address at which nobody answers, then one at which somebody does.
#[tokio::test]
async fn s2s_05_every_address_of_a_target() {
    let (one, two) = houses(true, true, false).await;
    one.dns
        .serve("two.example", two.door, &[[127, 0, 0, 9], [127, 0, 0, 1]]);
    one.send(&two, "m1").await;
    assert!(two.got().await.contains("id='m1'"));
}

/// What waits for a stream when the server stops is in the store, for the next start; whoever asked something is told, and whoever
/// comes later.
#[tokio::test]
async fn what_waits_at_the_end_is_kept_or_bounces() {
    let (one, two) = houses(true, true, false).await;
    // It takes the connection and says nothing.
    let silent = two.stand_in().await;
    one.send(&two, "w1").await;
    one.ask(&two, "q1").await;
    let (_held, _) = silent.accept().await.expect("called");
    one.server
        .federation()
        .close_all(&StreamCondition::SystemShutdown.into());
    let error = one.got().await;
    assert!(
        error.contains("type='error'") && error.contains("id='q1'") && !error.contains("w1"),
        "{error}"
    );
    // Nothing new is begun either.
    one.send(&two, "w2").await;
    let error = one.got().await;
    assert!(
        error.contains("id='w2'") && error.contains("being stopped"),
        "{error}"
    );
    let kept = one.world.store.outgoing(0, 10).await.expect("read");
    let kept: Vec<_> = kept
        .iter()
        .map(|row| String::from_utf8_lossy(&row.stanza))
        .collect();
    assert!(kept.len() == 1 && kept[0].contains("id='w1'"), "{kept:?}");
}

/// DNA-17, DNA-18, DIALBACK-20: a further target on the same connection, where the certificate shown there names it too; and not where
/// it does not.
#[tokio::test]
async fn dna_17_dialback_20_a_further_target_on_the_same_connection() {
    let (one, two) = houses(true, true, false).await;
    let rooms = two.also("rooms.two.example", &["rooms.two.example"]).await;
    let alone = two.also("alone.example", &["alone.example"]).await;
    one.send(&two, "m1").await;
    assert!(two.got().await.contains("id='m1'"));
    one.send_as(&one.session, &rooms.jid, "m2").await;
    assert!(got(&rooms).await.contains("id='m2'"));
    two.send_as(&rooms, &one.session.jid, "m3").await;
    assert!(one.got().await.contains("id='m3'"));
    assert_eq!((one.connections(), two.connections()), (1, 1));
    one.send_as(&one.session, &alone.jid, "m4").await;
    assert!(got(&alone).await.contains("id='m4'"));
    assert_eq!(one.connections(), 2);
}

/// A way between two servers that can be cut: it swallows what the caller sends, and then loses the connection.
struct Wire {
    door: std::net::SocketAddr,
    cut: tokio_util::sync::CancellationToken,
    lost: tokio_util::sync::CancellationToken,
}

impl Wire {
    async fn to(behind: std::net::SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let wire = Self {
            door: listener.local_addr().expect("bound"),
            cut: tokio_util::sync::CancellationToken::new(),
            lost: tokio_util::sync::CancellationToken::new(),
        };
        let (cut, lost) = (wire.cut.clone(), wire.lost.clone());
        tokio::spawn(async move {
            // The first connection can be cut, those that follow hold.
            let mut whole = false;
            while let Ok((mut near, _)) = listener.accept().await {
                let Ok(mut far) = TcpStream::connect(behind).await else {
                    return;
                };
                let (cut, lost) = (cut.clone(), lost.clone());
                let holds = std::mem::replace(&mut whole, true);
                tokio::spawn(async move {
                    if holds {
                        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                        return;
                    }
                    tokio::select! {
                        () = cut.cancelled() => {}
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                    }
                    // Nothing that arrives goes on, until the connection is lost.
                    let mut nowhere = tokio::io::sink();
                    tokio::select! {
                        () = lost.cancelled() => {}
                        _ = tokio::io::copy(&mut near, &mut nowhere) => {}
                    }
                });
            }
        });
        wire
    }
}

/// XEP-0198: what was written into a connection that then died was not lost.
#[tokio::test]
async fn sm_what_a_dead_connection_took_goes_out_again() {
    let (one, two) = houses(true, true, false).await;
    let wire = Wire::to(two.door.0).await;
    one.dns
        .serve("two.example", (wire.door, false), &[[127, 0, 0, 1]]);
    chat(&one, &two).await;
    wire.cut.cancel();
    for id in ["lost-1", "lost-2"] {
        one.send(&two, id).await;
    }
    // Both have left our hands, as far as the connection can tell.
    let written = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            let streams = one.server.federation().streams.lock();
            let mut ours = streams.open.values().filter(|stream| stream.ours);
            if ours.all(|stream| stream.outbox.unacknowledged() >= 2) {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, written)
        .await
        .expect("written within the deadline");
    wire.lost.cancel();
    let mut all = String::new();
    while !all.contains("id='lost-2'") {
        all.push_str(&two.got().await);
    }
    let (first, second) = (all.find("id='lost-1'"), all.find("id='lost-2'"));
    assert!(first.is_some() && first < second, "in order: {all}");
}

/// CERT-23: a proof that has run out is gathered again; where it still holds nothing happens, where it does not the stream
/// ends, and what is sent next finds another.
#[tokio::test]
async fn cert_23_proofs_that_run_out_are_judged_again() {
    let (one, two) = houses(true, true, false).await;
    chat(&one, &two).await;
    let federation = one.server.federation().clone();
    let link = federation.links.lock()[0].clone();
    let lasted = i64::try_from(dna::dialback::LASTS.as_micros()).expect("a day");
    let past = xmpp::timestamp::Timestamp(now().0 - lasted);
    let old = proven_at("one.example", "two.example", past);
    let pairs = {
        let streams = federation.streams.lock();
        let ours = streams.open.values().find(|stream| stream.ours);
        ours.expect("a stream").pairs.clone()
    };
    pairs.lock()[0].proven = old.clone();
    let watch = |tls| channel::Watch {
        federation: Arc::downgrade(&federation),
        outbox: Arc::downgrade(&link.outbox),
        pairs: pairs.clone(),
        basis: Basis {
            tls,
            ..link.basis.clone()
        },
        again: Arc::default(),
    };
    let holds = tokio::spawn(watch(link.basis.tls.clone()).run(old.clone()));
    let anew = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while pairs.lock()[0].proven.by() != dna::Prooftype::Pkix {
            tick.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, anew).await.expect("judged");
    holds.abort();
    assert!(!link.outbox.is_closed());
    // The same stream without the certificate that proved it.
    watch(Arc::default()).run(old).await;
    let ended = async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while !link.outbox.is_closed() {
            tick.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, ended).await.expect("ended");
    one.send(&two, "after").await;
    assert!(two.got().await.contains("id='after'"));
}
