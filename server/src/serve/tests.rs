//! The server whole, over loopback, spoken to in raw XML.

mod changes;
mod external;
mod ladder;
mod limits;
mod resumption;
mod upgrade;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use store::DomainId;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use xmpp::sasl;

use super::*;
use crate::testing::{PASSWORD, World, no_dns};

/// Nothing here takes longer unless it is broken.
const DEADLINE: Duration = Duration::from_secs(20);

struct House {
    server: Server,
    metrics: Arc<Metrics>,
    world: World,
    one: DomainId,
    tls: Arc<ClientConfig>,
}

impl House {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    fn metrics(&self) -> String {
        self.metrics.encode()
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let world = World::new().await;
        let one = world.domain("one.example", &["alice", "bob"]).await;
        world.domain("two.example", &["carol"]).await;
        Self::of(world, one, change).await
    }

    /// Stopped in order, and started again.
    async fn restarted(self) -> Self {
        self.server.shutdown().await;
        Self::of(self.world, self.one, |_| {}).await
    }

    async fn of(world: World, one: DomainId, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::default();
        let port = || vec![SocketAddr::from(([127, 0, 0, 1], 0))];
        config.listen.c2s = port();
        config.listen.c2s_tls = port();
        config.listen.s2s = port();
        config.listen.s2s_tls = port();
        config.listen.public = port();
        config.listen.components = port();
        config.listen.admin = port();
        config.listen.internal = port();
        change(&mut config);
        let metrics = Arc::new(Metrics::new());
        let listeners = Listeners::bind(&config.listen).expect("free ports");
        let parts = ServerParts {
            config: Arc::new(config),
            store: world.store.clone(),
            lookup: no_dns(),
            anchors: Arc::new(dna::Anchors::lenient([world.ca_der.clone()])),
            client_anchors: None,
            metrics: metrics.clone(),
        };
        let server = Server::start(listeners, parts).await.expect("started");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(world.roots())
            .with_no_client_auth();
        Self {
            server,
            metrics,
            world,
            one,
            tls: Arc::new(tls),
        }
    }

    async fn connect(&self) -> Wire<TcpStream> {
        let address = self.server.listeners().c2s()[0];
        Wire::new(TcpStream::connect(address).await.expect("connected"))
    }

    /// STARTTLS with a certificate valid for the domain.
    async fn secure(&self, domain: &str) -> Wire<TlsStream<TcpStream>> {
        self.secure_as(domain, self.tls.clone()).await
    }

    async fn secure_as(&self, domain: &str, tls: Arc<ClientConfig>) -> Wire<TlsStream<TcpStream>> {
        let mut wire = self.connect().await;
        wire.open(domain).await;
        wire.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            .await;
        wire.until("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            .await;
        let name = ServerName::try_from(domain.to_owned()).expect("a name");
        let stream = TlsConnector::from(tls)
            .connect(name, wire.io)
            .await
            .expect("a valid certificate");
        Wire::new(stream)
    }

    /// Tries until the server has heard of a change: nothing else tells when it has.
    async fn until<T>(&self, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
        let tries = async {
            loop {
                if let Some(found) = attempt().await {
                    return found;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(DEADLINE, tries)
            .await
            .expect("the change is heard")
    }

    /// Logged in, nothing bound.
    async fn authenticated(&self, user: &str, domain: &str) -> Wire<TlsStream<TcpStream>> {
        let mut wire = self.secure(domain).await;
        wire.open(domain).await;
        wire.plain(user).await;
        wire.until("<success ").await;
        wire.open(domain).await;
        wire
    }

    /// Logged in and available.
    async fn login(&self, user: &str, domain: &str) -> Wire<TlsStream<TcpStream>> {
        let mut wire = self.authenticated(user, domain).await;
        wire.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>r</resource></bind></iq>")
            .await;
        wire.until("</bind></iq>").await;
        wire.say("<presence/>").await;
        wire.until("<presence ").await;
        wire
    }
}

struct Wire<S> {
    io: S,
    seen: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(io: S) -> Self {
        Self {
            io,
            seen: String::new(),
        }
    }

    async fn say(&mut self, text: &str) {
        self.io.write_all(text.as_bytes()).await.expect("written");
        self.io.flush().await.expect("flushed");
    }

    async fn open(&mut self, domain: &str) {
        self.say(&format!(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' version='1.0'>"
        ))
        .await;
        self.until("</stream:features>").await;
    }

    async fn plain(&mut self, user: &str) {
        let message = sasl::encode(format!("\0{user}\0{PASSWORD}").as_bytes());
        self.say(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{message}</auth>"
        ))
        .await;
    }

    /// Reads until the text has come; returns everything up to its end.
    #[track_caller]
    fn until(&mut self, text: &str) -> impl Future<Output = String> {
        let text = text.to_owned();
        async move {
            loop {
                if let Some(at) = self.seen.find(&text) {
                    let rest = self.seen.split_off(at + text.len());
                    return std::mem::replace(&mut self.seen, rest);
                }
                assert!(
                    self.more().await,
                    "closed without {text:?}; came: {}",
                    self.seen
                );
            }
        }
    }

    /// The server answers.
    async fn ping(&mut self, domain: &str) {
        self.say(&format!(
            "<iq type='get' id='still-here' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ))
        .await;
        self.until("id='still-here'").await;
    }

    /// Everything until the other side closes.
    async fn rest(&mut self) -> String {
        while self.more().await {}
        std::mem::take(&mut self.seen)
    }

    async fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let n = tokio::time::timeout(DEADLINE, self.io.read(&mut bytes))
            .await
            .unwrap_or_else(|_| panic!("nothing more came after: {}", self.seen))
            .unwrap_or(0);
        self.seen.push_str(&String::from_utf8_lossy(&bytes[..n]));
        n > 0
    }
}

#[tokio::test]
async fn two_domains_log_in_and_chat_each_with_its_own_certificate() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let mut carol = house.login("carol", "two.example").await;
    alice
        .say("<message to='carol@two.example' type='chat' id='m1'><body>hello</body></message>")
        .await;
    let got = carol.until("</message>").await;
    assert!(got.contains("from='alice@one.example/r'"), "{got}");
    assert!(got.contains("<body>hello</body>"));
    carol
        .say("<message to='alice@one.example/r' type='chat'><body>back</body></message>")
        .await;
    assert!(alice.until("</message>").await.contains("back"));
    house.server.shutdown().await;
}

#[tokio::test]
async fn vhost_01_tls_10_the_certificate_is_not_another_domain_s() {
    let house = House::new().await;
    let mut wire = house.connect().await;
    wire.open("one.example").await;
    wire.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        .await;
    wire.until("/>").await;
    let name = ServerName::try_from("two.example").expect("a name");
    let refused = TlsConnector::from(house.tls.clone())
        .connect(name, wire.io)
        .await;
    assert!(refused.is_err());
}

#[tokio::test]
async fn tls_08_what_comes_behind_starttls_is_never_stream_content() {
    let house = House::new().await;
    let mut wire = house.connect().await;
    wire.open("one.example").await;
    // One packet: the request, and a stream that an attacker has put behind it.
    wire.say(
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/><stream:stream xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams' to='two.example' version='1.0'>",
    )
    .await;
    wire.until("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        .await;
    let name = ServerName::try_from("one.example").expect("a name");
    let stream = TlsConnector::from(house.tls.clone())
        .connect(name, wire.io)
        .await
        .expect("the handshake is untouched");
    let mut wire = Wire::new(stream);
    wire.open("one.example").await;
}

#[tokio::test]
async fn stream_08_a_closed_stream_is_closed_by_both() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    alice.say("</stream:stream>").await;
    assert!(alice.rest().await.ends_with("</stream:stream>"));
}

#[tokio::test]
async fn dos_05_an_oversized_element_ends_the_stream() {
    let house = House::new().await;
    let mut wire = house.secure("one.example").await;
    wire.open("one.example").await;
    wire.say(&format!("<auth xmlns='{}", "x".repeat(20_000)))
        .await;
    assert!(wire.rest().await.contains("<policy-violation "));
    // After authentication there is room for it.
    let mut alice = house.login("alice", "one.example").await;
    let body = "y".repeat(20_000);
    alice
        .say(&format!(
            "<message to='alice@one.example/r' id='big'><body>{body}</body></message>"
        ))
        .await;
    assert!(alice.until("</message>").await.contains(&body));
}

#[tokio::test]
async fn a_message_to_nobody_is_committed_before_the_next_answer() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    alice
        .say(
            "<message to='bob@one.example' type='chat'><body>later</body></message>\
             <iq type='get' id='p' to='one.example'><ping xmlns='urn:xmpp:ping'/></iq>",
        )
        .await;
    alice.until("id='p'").await;
    let name = DomainName::parse("one.example").expect("a name");
    let rows = house.world.store.domain(house.one, &name);
    let bob = rows
        .account_find("bob")
        .await
        .expect("the store")
        .expect("bob");
    assert_eq!(rows.offline_count(bob.id).await.expect("the store"), 1);
    let mut bob = house.login("bob", "one.example").await;
    let got = bob.until("</message>").await;
    assert!(
        got.contains("later") && got.contains("urn:xmpp:delay"),
        "{got}"
    );
}

#[tokio::test]
async fn bind_04_the_older_session_gets_conflict() {
    let house = House::new().await;
    let mut old = house.login("alice", "one.example").await;
    let mut new = house.login("alice", "one.example").await;
    assert!(old.rest().await.contains("<conflict "));
    new.say("<message to='alice@one.example/r' type='chat'><body>mine</body></message>")
        .await;
    new.until("mine").await;
}

#[tokio::test]
async fn a_domain_that_is_suspended_loses_its_streams_and_the_others_stay() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let mut carol = house.login("carol", "two.example").await;
    house.world.set_state(house.one, "suspended").await;
    assert!(alice.rest().await.contains("<policy-violation "));
    carol
        .say("<iq type='get' id='p' to='two.example'><ping xmlns='urn:xmpp:ping'/></iq>")
        .await;
    carol.until("id='p'").await;
}

#[tokio::test]
async fn a_domain_comes_while_running() {
    let house = House::new().await;
    house.world.domain("three.example", &["dora"]).await;
    let mut dora = loop {
        // The change is heard by itself; until then the name is unknown.
        let mut wire = house.connect().await;
        wire.say("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='three.example' version='1.0'>")
            .await;
        let answer = wire.until(">").await + &wire.until("</stream:").await;
        if answer.contains("starttls") {
            break house.login("dora", "three.example").await;
        }
        tokio::task::yield_now().await;
    };
    dora.say("<message to='dora@three.example' type='chat'><body>me</body></message>")
        .await;
    dora.until("<body>me</body>").await;
}

#[tokio::test]
async fn stream_36_shutdown_says_goodbye() {
    let house = House::new().await;
    let mut alice = house.login("alice", "one.example").await;
    let goodbye = async { alice.rest().await };
    let (said, ()) = tokio::join!(goodbye, house.server.shutdown());
    assert!(said.contains("<system-shutdown "), "{said}");
}

#[tokio::test]
async fn the_probe_gets_in_where_a_client_would() {
    let house = House::new().await;
    let live = house.server.live();
    let good = DomainName::parse("one.example").expect("a name");
    assert!(matches!(
        live.probe(&good, None).await,
        control::outside::Probe::Passed { .. }
    ));
    house.world.domain_without_certificate("bare.example").await;
    let bare = DomainName::parse("bare.example").expect("a name");
    assert!(!matches!(
        live.probe(&bare, None).await,
        control::outside::Probe::Passed { .. }
    ));
}
