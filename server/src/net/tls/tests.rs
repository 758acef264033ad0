//! Real handshakes in memory: identities by name, tickets, bindings, alerts.

use std::collections::HashMap;

use rcgen::{CertificateParams, KeyPair};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{HandshakeKind, ProtocolVersion};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;

/// Domains with certificates signed by themselves.
struct Fake(HashMap<DomainName, (CertificateDer<'static>, Vec<u8>)>);

#[async_trait::async_trait]
impl Certificates for Fake {
    async fn current(&self, domain: &DomainName) -> Result<Option<Material>, Unavailable> {
        Ok(self.0.get(domain).map(|(leaf, key)| Material {
            chain: vec![leaf.clone()],
            key: PrivatePkcs8KeyDer::from(key.clone()).into(),
            client_issuers: None,
        }))
    }
}

impl Names for Fake {
    fn served_by(&self, name: &DomainName) -> Option<ServedBy> {
        if self.0.contains_key(name) {
            return Some(ServedBy::Itself(name.clone()));
        }
        let parent = domain(name.as_str().split_once('.')?.1);
        self.0
            .contains_key(&parent)
            .then_some(ServedBy::Parent(parent))
    }
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).expect("a domain")
}

fn fake(domains: &[(&str, &[&str])]) -> Arc<Fake> {
    let made = domains.iter().map(|(name, names)| {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let leaf = CertificateParams::new(names)
            .expect("names")
            .self_signed(&key)
            .expect("a certificate");
        (domain(name), (leaf.der().clone(), key.serialize_der()))
    });
    Arc::new(Fake(made.collect()))
}

fn two() -> Arc<Fake> {
    fake(&[
        ("one.example", &["one.example", "rooms.one.example"]),
        ("two.example", &["two.example"]),
    ])
}

fn identities(source: &Arc<Fake>) -> Identities {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Identities::new(source.clone(), provider, 10)
}

fn client(
    version: Option<&'static rustls::SupportedProtocolVersion>,
    alpn: &[&str],
) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = match version {
        Some(version) => builder.with_protocol_versions(&[version]),
        None => builder.with_safe_default_protocol_versions(),
    };
    let mut config = builder
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer::new(provider)))
        .with_no_client_auth();
    config.resumption = Resumption::in_memory_sessions(10);
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    Arc::new(config)
}

type ClientStream = tokio_rustls::client::TlsStream<DuplexStream>;

/// STARTTLS: the server has chosen `identity`; the client asks for `sni`.
async fn starttls(
    identity: Arc<Identity>,
    door: Door,
    config: Arc<ClientConfig>,
    sni: &str,
) -> (ClientStream, TlsInfo) {
    let (client, info, _) = both_ends(identity, door, config, sni).await;
    (client, info)
}

async fn both_ends(
    identity: Arc<Identity>,
    door: Door,
    config: Arc<ClientConfig>,
    sni: &str,
) -> (ClientStream, TlsInfo, Secured<DuplexStream>) {
    let (ours, theirs) = duplex(64 * 1024);
    let name = ServerName::try_from(sni.to_owned()).expect("a name");
    let server = Secure::Server { identity, door }.handshake(ours);
    let (client, server) = tokio::join!(TlsConnector::from(config).connect(name, theirs), server);
    let (mut stream, info) = server.expect("the server's handshake");
    let mut client = client.expect("the client's handshake");
    // One byte of data also carries the tickets over.
    stream.write_all(b"x").await.expect("written");
    stream.flush().await.expect("flushed");
    let mut byte = [0];
    client.read_exact(&mut byte).await.expect("read");
    (client, info, stream)
}

fn shown(stream: &ClientStream) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().expect("shown")[0].clone()
}

#[tokio::test]
async fn vhost_01_02_the_domain_decides_whatever_sni_says() {
    let source = two();
    let identities = identities(&source);
    for (name, sni) in [
        ("one.example", "one.example"),
        ("two.example", "two.example"),
        ("two.example", "one.example"),
        ("one.example", "srv-target.example"),
    ] {
        let identity = identities.get(&domain(name)).await.expect("an identity");
        let (stream, info) = starttls(identity, Door::Client, client(None, &[]), sni).await;
        assert_eq!(shown(&stream), source.0[&domain(name)].0);
        assert_eq!(info.identity, Some(domain(name)));
    }
}

#[tokio::test]
async fn a_ticket_of_one_domain_is_worthless_at_another() {
    let source = two();
    let identities = identities(&source);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let config = client(Some(version), &[]);
        let one = identities.get(&domain("one.example")).await.expect("one");
        let two = identities.get(&domain("two.example")).await.expect("two");
        let sni = "one.example";
        let (first, _) = starttls(one.clone(), Door::Client, config.clone(), sni).await;
        assert_eq!(
            first.get_ref().1.handshake_kind(),
            Some(HandshakeKind::Full)
        );
        let (again, _) = starttls(one, Door::Client, config.clone(), sni).await;
        assert_eq!(
            again.get_ref().1.handshake_kind(),
            Some(HandshakeKind::Resumed),
            "tickets work at all"
        );
        let (other, _) = starttls(two, Door::Client, config, sni).await;
        assert_ne!(
            other.get_ref().1.handshake_kind(),
            Some(HandshakeKind::Resumed)
        );
        assert_eq!(shown(&other), source.0[&domain("two.example")].0);
    }
}

/// Nor may a stream that comes after `<reset/>` go on from what the old one negotiated, whichever side opens it.
#[tokio::test]
async fn cert_25_peers_are_judged_on_every_stream_so_nothing_resumes() {
    let source = two();
    let identities = identities(&source);
    let one = identities.get(&domain("one.example")).await.expect("one");
    let two = identities.get(&domain("two.example")).await.expect("two");
    for (door, config, shown) in [
        // A peer that would resume, in either version, …
        (Door::Peer, client(Some(&rustls::version::TLS13), &[]), 0),
        (Door::Peer, client(Some(&rustls::version::TLS12), &[]), 0),
        // … and we, where the other side would.
        (Door::Client, two.client_config(false).expect("ours"), 0),
        (Door::Peer, two.client_config(false).expect("ours"), 1),
    ] {
        for _ in 0..2 {
            let (stream, info) = starttls(one.clone(), door, config.clone(), "one.example").await;
            assert_ne!(
                stream.get_ref().1.handshake_kind(),
                Some(HandshakeKind::Resumed)
            );
            assert_eq!(info.peer_chain.len(), shown, "shown every time");
        }
    }
}

#[tokio::test]
async fn sasl_22_25_26_bindings_are_those_of_this_connection() {
    let source = two();
    let identities = identities(&source);
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let two = identities.get(&domain("two.example")).await.expect("two");
        let (stream, info) =
            starttls(two, Door::Client, client(Some(version), &[]), "one.example").await;
        let exported = stream
            .get_ref()
            .1
            .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None)
            .expect("an exporter");
        assert_eq!(info.exporter, Some(exported));
        let hash = Sha256::digest(shown(&stream)).to_vec();
        assert_eq!(info.end_point, Some(hash));
    }
}

#[tokio::test]
async fn tls_17_the_newest_version_is_preferred() {
    let source = two();
    let one = identities(&source)
        .get(&domain("one.example"))
        .await
        .expect("one");
    let (stream, info) = starttls(one, Door::Client, client(None, &[]), "one.example").await;
    assert_eq!(
        stream.get_ref().1.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
    assert_eq!(info.version, "TLSv1.3");
}

#[tokio::test]
async fn tls_16_18_19_20_24_25_26_27_what_no_door_negotiates() {
    let source = two();
    let one = identities(&source)
        .get(&domain("one.example"))
        .await
        .expect("one");
    for door in [Door::Client, Door::Peer, Door::Web] {
        let config = one.config(door).expect("a configuration");
        // Without CBC, and without RSA key exchange (TLS-20), no suite has an HMAC that could be truncated (TLS-27).
        for suite in &config.crypto_provider().cipher_suites {
            let name = suite.suite().as_str().expect("a known suite");
            let forward_secret = name.starts_with("TLS13_") || name.starts_with("TLS_ECDHE_");
            assert!(forward_secret && !name.contains("_CBC_"), "{name}");
            let version = suite.version().version;
            let known = [ProtocolVersion::TLSv1_2, ProtocolVersion::TLSv1_3];
            assert!(known.contains(&version), "{version:?}");
        }
        assert_eq!(config.max_early_data_size, 0, "early data (TLS-26)");
        assert!(config.require_ems, "TLS-25, SASL-23");
        // Keys of tickets rotate by themselves; none lives a week (TLS-24).
        if config.ticketer.enabled() {
            assert!(config.ticketer.lifetime() <= 7 * 86_400);
        }
    }
}

#[tokio::test]
async fn a_renewed_certificate_serves_the_next_handshake_only() {
    let first = two();
    let renewed = two();
    struct Switch(parking_lot::Mutex<Arc<Fake>>);
    #[async_trait::async_trait]
    impl Certificates for Switch {
        async fn current(&self, domain: &DomainName) -> Result<Option<Material>, Unavailable> {
            let now = self.0.lock().clone();
            now.current(domain).await
        }
    }
    let switch = Arc::new(Switch(parking_lot::Mutex::new(first.clone())));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let identities = Identities::new(switch.clone(), provider, 10);
    let one = domain("one.example");
    let old = identities.get(&one).await.expect("the old one");
    let (mut open, _, _server) =
        both_ends(old, Door::Client, client(None, &[]), "one.example").await;
    *switch.0.lock() = renewed.clone();
    identities.invalidate(&one);
    let new = identities.get(&one).await.expect("the new one");
    let (stream, _) = starttls(new, Door::Client, client(None, &[]), "one.example").await;
    assert_eq!(shown(&stream), renewed.0[&one].0);
    // The old stream is still up.
    open.write_all(b"still here").await.expect("written");
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let domains: Vec<String> = (0..20).map(|i| format!("d{i}.example")).collect();
    let list: Vec<(&str, &[&str])> = domains.iter().map(|d| (d.as_str(), &[][..])).collect();
    let source = fake(&list);
    let identities = identities(&source);
    for name in &domains {
        identities.get(&domain(name)).await.expect("an identity");
        assert!(identities.len() <= 10);
    }
}

/// A record that would begin a handshake: HelloRequest, or the start of a hello that is longer.
const HANDSHAKE_RECORD: [u8; 9] = [22, 3, 3, 0, 4, 0, 0, 0, 0];

/// The library alone would answer the first attempt with a warning and go on (RFC 6120 5.3.5).
#[tokio::test]
async fn tls_14_who_renegotiates_is_heard_to_that_point_and_gets_no_answer() {
    let source = two();
    let one = identities(&source)
        .get(&domain("one.example"))
        .await
        .expect("one");
    let tls12 = client(Some(&rustls::version::TLS12), &[]);
    let (mut client, _, mut server) = both_ends(one, Door::Client, tls12, "one.example").await;
    client.write_all(b"before").await.expect("written");
    let raw = client.get_mut().0;
    raw.write_all(&HANDSHAKE_RECORD).await.expect("written");
    let mut said = Vec::new();
    let end = server.read_to_end(&mut said).await.expect_err("an end");
    assert_eq!(said, b"before");
    assert!(end.to_string().contains("renegotiate"), "{end}");
    drop(server);
    let mut answer = Vec::new();
    raw.read_to_end(&mut answer).await.expect("the end");
    assert!(answer.is_empty(), "{answer:?}");
}

#[tokio::test]
async fn tls_14_a_server_that_asks_us_for_another_handshake_is_left() {
    let source = two();
    let one = identities(&source)
        .get(&domain("one.example"))
        .await
        .expect("one");
    let (ours, theirs) = duplex(64 * 1024);
    let secure = Secure::Client {
        config: client(Some(&rustls::version::TLS12), &[]),
        name: ServerName::try_from("one.example").expect("a name"),
    };
    let server = TlsAcceptor::from(one.config(Door::Peer).expect("a configuration"));
    let (client, server) = tokio::join!(secure.handshake(ours), server.accept(theirs));
    let (mut client, info) = client.expect("our handshake");
    assert_eq!(info.version, "TLSv1.2");
    let mut server = server.expect("the server's handshake");
    let raw = server.get_mut().0;
    raw.write_all(&HANDSHAKE_RECORD).await.expect("written");
    let end = client.read_u8().await.expect_err("an end");
    assert!(end.to_string().contains("renegotiate"), "{end}");
    drop(client);
    let mut answer = Vec::new();
    raw.read_to_end(&mut answer).await.expect("the end");
    assert!(answer.is_empty(), "{answer:?}");
}

// --- direct TLS ---

async fn direct(
    sni: Option<&str>,
    alpn: &[&str],
    platform: bool,
) -> (io::Result<ClientStream>, io::Result<TlsInfo>) {
    let source = two();
    let identities = identities(&source);
    if platform {
        let (leaf, key) =
            &fake(&[("platform.example", &["platform.example"])]).0[&domain("platform.example")];
        let own = Identity::new(
            None,
            vec![leaf.clone()],
            PrivatePkcs8KeyDer::from(key.clone()).into(),
            identities.provider().clone(),
        )
        .expect("an identity");
        identities.set_platform(Some(Arc::new(own)));
    }
    let (ours, theirs) = duplex(64 * 1024);
    let mut config = (*client(None, alpn)).clone();
    config.enable_sni = sni.is_some();
    let name = ServerName::try_from(sni.unwrap_or("any.example").to_owned()).expect("a name");
    let (client, server) = tokio::join!(
        TlsConnector::from(Arc::new(config)).connect(name, theirs),
        accept(ours, Door::Client, &identities, &*source)
    );
    (client, server.map(|(_, info)| info))
}

fn alert(result: io::Result<ClientStream>) -> rustls::AlertDescription {
    let error = result.expect_err("an alert");
    match error.get_ref().and_then(|e| e.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn tls_29_unknown_names_get_a_fatal_alert_and_no_certificate() {
    for platform in [false, true] {
        let (client, server) = direct(Some("else.example"), &[], platform).await;
        assert_eq!(alert(client), rustls::AlertDescription::UnrecognisedName);
        assert!(server.is_err());
    }
}

#[tokio::test]
async fn c_02_without_sni_the_platform_shows_itself_if_it_can() {
    let (client, _) = direct(None, &[], false).await;
    assert_eq!(alert(client), rustls::AlertDescription::UnrecognisedName);
    let (client, server) = direct(None, &[], true).await;
    client.expect("a handshake");
    assert_eq!(server.expect("a handshake").identity, None);
}

#[tokio::test]
async fn tls_30_alpn_of_something_else() {
    let (client, _) = direct(Some("one.example"), &["h2"], false).await;
    assert_eq!(
        alert(client),
        rustls::AlertDescription::NoApplicationProtocol
    );
    let (_, server) = direct(Some("one.example"), &["xmpp-client"], false).await;
    assert_eq!(
        server.expect("a handshake").alpn.as_deref(),
        Some(&b"xmpp-client"[..])
    );
    let (_, server) = direct(Some("one.example"), &[], false).await;
    assert_eq!(server.expect("ALPN is not required").alpn, None);
}

#[tokio::test]
async fn tls_28_a_service_name_selects_its_domain_where_the_certificate_is_for_it() {
    let (_, server) = direct(Some("rooms.one.example"), &[], false).await;
    assert_eq!(
        server.expect("covered").identity,
        Some(domain("one.example"))
    );
    let (client, _) = direct(Some("rooms.two.example"), &[], false).await;
    assert_eq!(alert(client), rustls::AlertDescription::UnrecognisedName);
}

#[tokio::test]
async fn tls_11_a_peer_is_asked_for_its_certificate_and_may_have_none() {
    let source = two();
    let identities = identities(&source);
    let one = identities.get(&domain("one.example")).await.expect("one");
    let two = identities.get(&domain("two.example")).await.expect("two");
    let ours = two.client_config(false).expect("a configuration");
    let (_, info) = starttls(one.clone(), Door::Peer, ours, "one.example").await;
    assert_eq!(
        info.peer_chain,
        [source.0[&domain("two.example")].0.to_vec()]
    );
    let (_, info) = starttls(one, Door::Peer, client(None, &[]), "one.example").await;
    assert!(info.peer_chain.is_empty());
}

#[tokio::test]
async fn tls_21_what_signs_and_which_curves() {
    let source = two();
    let one = identities(&source)
        .get(&domain("one.example"))
        .await
        .expect("one");
    for door in [Door::Client, Door::Peer, Door::Web] {
        let config = one.config(door).expect("a configuration");
        let provider = config.crypto_provider();
        let groups: Vec<_> = provider.kx_groups.iter().map(|g| g.name()).collect();
        for wanted in [rustls::NamedGroup::X25519, rustls::NamedGroup::secp256r1] {
            assert!(groups.contains(&wanted), "{groups:?}");
        }
        for scheme in provider
            .signature_verification_algorithms
            .supported_schemes()
        {
            let name = scheme.as_str().expect("a known scheme");
            assert!(!name.contains("SHA1") && !name.contains("MD5"), "{name}");
        }
    }
}

/// Both ends of a stream that is up, for those who test what carries it.
pub(crate) async fn secured() -> (ClientStream, Secured<DuplexStream>) {
    let one = identities(&two())
        .get(&domain("one.example"))
        .await
        .expect("one");
    let (client, _, server) = both_ends(one, Door::Client, client(None, &[]), "one.example").await;
    (client, server)
}

/// Whatever the client would rather have: a handshake is mostly hashing ([`super::provider`]).
#[tokio::test]
async fn tls_19_the_cheaper_of_two_strong_suites_is_chosen() {
    let source = two();
    let identities = Identities::new(source, Arc::new(provider()), 10);
    let one = identities.get(&domain("one.example")).await.expect("one");
    for (version, suite) in [
        (&rustls::version::TLS13, "TLS13_AES_128_GCM_SHA256"),
        (
            &rustls::version::TLS12,
            "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        ),
    ] {
        let config = client(Some(version), &[]);
        let first = config.crypto_provider().cipher_suites[0].suite();
        assert_eq!(first.as_str(), Some("TLS13_AES_256_GCM_SHA384"), "wished");
        let (_, info) = starttls(one.clone(), Door::Client, config, "one.example").await;
        assert_eq!(info.cipher, suite);
    }
    // Who knows no other gets what they know.
    let mut only = rustls::crypto::aws_lc_rs::default_provider();
    only.cipher_suites.truncate(1);
    let config = ClientConfig::builder_with_provider(Arc::new(only))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer::new(Arc::new(provider()))))
        .with_no_client_auth();
    let (_, info) = starttls(one, Door::Client, Arc::new(config), "one.example").await;
    assert_eq!(info.cipher, "TLS13_AES_256_GCM_SHA384");
}
