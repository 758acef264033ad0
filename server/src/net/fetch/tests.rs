//! Cases of fetching, against real HTTPS servers on loopback.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use dna::{Answer, Outcome, Record, RecordData, ServerAnswer};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Addresses by name.
#[derive(Default)]
struct Names(HashMap<String, (Vec<IpAddr>, Security)>);

impl Names {
    fn with(mut self, name: &str, addresses: &[&str], security: Security) -> Self {
        let addresses = addresses
            .iter()
            .map(|address| address.parse().expect("an address"))
            .collect();
        self.0.insert(name.into(), (addresses, security));
        self
    }
}

#[async_trait]
impl Lookup for Names {
    async fn query(&self, name: &str, rtype: RecordType) -> Answer {
        let (addresses, security) = self
            .0
            .get(name)
            .cloned()
            .unwrap_or((Vec::new(), Security::Insecure));
        let records: Vec<Record> = addresses
            .into_iter()
            .filter_map(|address| match (address, rtype) {
                (IpAddr::V4(four), RecordType::A) => Some(RecordData::A(four)),
                (IpAddr::V6(six), RecordType::Aaaa) => Some(RecordData::Aaaa(six)),
                _ => None,
            })
            .map(|data| Record {
                name: name.into(),
                ttl_seconds: 60,
                data,
            })
            .collect();
        Answer {
            outcome: match records.is_empty() {
                true => Outcome::NoRecords { nxdomain: false },
                false => Outcome::Found(records),
            },
            security,
            ttl_seconds: 60,
            asked: "names".into(),
            aliases: Vec::new(),
        }
    }

    async fn query_authoritative(&self, _: &str, _: RecordType) -> Vec<ServerAnswer> {
        Vec::new()
    }
}

/// A web server that answers every request with the same bytes.
struct Site {
    port: u16,
    anchors: Anchors,
    requests: Arc<parking_lot::Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

impl Site {
    /// With a certificate for `name`; `answer` may be as long as it likes, and the connection stays open after it.
    async fn serve(name: &str, answer: Vec<u8>) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = params.self_signed(&key).expect("a CA").der().clone();
        let issuer = Issuer::new(params, key);
        let key = KeyPair::generate().expect("a key");
        let leaf = CertificateParams::new(vec![name.to_owned()])
            .expect("a name")
            .signed_by(&key, &issuer)
            .expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let tls = rustls::ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .expect("an identity");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let site = Self {
            port: listener.local_addr().expect("an address").port(),
            anchors: Anchors::lenient([ca]),
            requests: Arc::default(),
            connections: Arc::default(),
        };
        let (requests, connections) = (site.requests.clone(), site.connections.clone());
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                let (acceptor, answer, requests) =
                    (acceptor.clone(), answer.clone(), requests.clone());
                tokio::spawn(async move {
                    let mut tls = acceptor.accept(tcp).await?;
                    let mut request = Vec::new();
                    while !request.ends_with(b"\r\n\r\n") {
                        request.push(tls.read_u8().await?);
                    }
                    requests
                        .lock()
                        .push(String::from_utf8_lossy(&request).into_owned());
                    tls.write_all(&answer).await?;
                    tls.flush().await?;
                    // Whoever has what it came for hangs up.
                    while tls.read_u8().await.is_ok() {}
                    io::Result::Ok(())
                });
            }
        });
        site
    }

    fn url(&self, host: &str) -> Url {
        Url::parse(&format!("https://{host}:{}/a/b?c=d", self.port)).expect("an address")
    }
}

fn loopback() -> Guard {
    Guard::new(false, vec!["127.0.0.0/8".parse().expect("a network")])
}

fn web(names: Names, guard: Guard, anchors: &Anchors, timeout: Duration) -> Web {
    Web::new(Arc::new(names), guard, anchors, provider(), timeout).expect("TLS")
}

const PATIENCE: Duration = Duration::from_secs(20);
const BODY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn site_names() -> Names {
    Names::default().with("site.example", &["127.0.0.1"], Security::Insecure)
}

#[tokio::test]
async fn posh_01_a_document_over_https() {
    let site = Site::serve("site.example", BODY.to_vec()).await;
    let web = web(site_names(), loopback(), &site.anchors, PATIENCE);
    let reply = web
        .get(&site.url("site.example"), 5)
        .await
        .expect("a reply");
    assert_eq!((reply.status, &reply.body[..]), (200, &b"hello"[..]));
    let request = site.requests.lock()[0].to_ascii_lowercase();
    assert!(
        request.starts_with("get /a/b?c=d http/1.1\r\n"),
        "{request}"
    );
    assert!(
        request.contains(&format!("\r\nhost: site.example:{}\r\n", site.port)),
        "{request}"
    );
}

#[tokio::test]
async fn posh_25_redirects_are_told_and_not_followed() {
    let moved =
        b"HTTP/1.1 302 Found\r\nLocation: https://other.example/x\r\nContent-Length: 0\r\n\r\n";
    let site = Site::serve("site.example", moved.to_vec()).await;
    let web = web(site_names(), loopback(), &site.anchors, PATIENCE);
    let reply = web
        .get(&site.url("site.example"), 5)
        .await
        .expect("a reply");
    assert_eq!(reply.status, 302);
    assert_eq!(reply.location.as_deref(), Some("https://other.example/x"));
    assert_eq!(site.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn posh_23_the_certificate_must_hold_for_the_name_asked() {
    let site = Site::serve("other.example", BODY.to_vec()).await;
    let named = web(site_names(), loopback(), &site.anchors, PATIENCE);
    let found = named.get(&site.url("site.example"), 5).await;
    assert!(
        matches!(found, Err(FetchError::Certificate { .. })),
        "{found:?}"
    );
    let site = Site::serve("site.example", BODY.to_vec()).await;
    let strange = web(site_names(), loopback(), &Anchors::default(), PATIENCE);
    let found = strange.get(&site.url("site.example"), 5).await;
    assert!(
        matches!(found, Err(FetchError::Certificate { .. })),
        "{found:?}"
    );
    assert!(site.requests.lock().is_empty(), "nothing is said to it");
}

#[tokio::test]
async fn posh_46_addresses_inside_get_no_connection() {
    let site = Site::serve("site.example", BODY.to_vec()).await;
    let guarded = web(site_names(), Guard::default(), &site.anchors, PATIENCE);
    let port = site.port;
    for host in [
        "site.example",
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "2130706433",
    ] {
        let url = Url::parse(&format!("https://{host}:{port}/")).expect("an address");
        let found = guarded.get(&url, 5).await;
        assert!(
            matches!(found, Err(FetchError::Private { .. })),
            "{host}: {found:?}"
        );
    }
    // What else the name leads to is tried, and nothing inside.
    let mixed = Names::default().with(
        "site.example",
        &["10.0.0.1", "127.0.0.1", "::1"],
        Security::Insecure,
    );
    let open = web(mixed, loopback(), &site.anchors, PATIENCE);
    assert!(open.get(&site.url("site.example"), 5).await.is_ok());
    assert_eq!(site.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn posh_45_46_size_and_time_have_limits() {
    let announced = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello!".to_vec();
    let mut endless = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    endless.extend(b"5\r\nhello\r\n".repeat(100));
    for answer in [announced, endless] {
        let site = Site::serve("site.example", answer).await;
        let web = web(site_names(), loopback(), &site.anchors, PATIENCE);
        let found = web.get(&site.url("site.example"), 5).await;
        assert!(
            matches!(found, Err(FetchError::TooLarge { limit: 5, .. })),
            "{found:?}"
        );
    }
    let mut head = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    head.extend(vec![b'x'; 2 * HEAD_BYTES]);
    let site = Site::serve("site.example", head).await;
    let large = web(site_names(), loopback(), &site.anchors, PATIENCE);
    let found = large.get(&site.url("site.example"), 5).await;
    assert!(
        matches!(found, Err(FetchError::Protocol { .. })),
        "{found:?}"
    );
    let silent = Site::serve("site.example", b"HTTP/1.1 200".to_vec()).await;
    let short = Duration::from_millis(300);
    let hasty = web(site_names(), loopback(), &silent.anchors, short);
    let found = hasty.get(&silent.url("site.example"), 5).await;
    assert!(
        matches!(found, Err(FetchError::TimedOut { .. })),
        "{found:?}"
    );
}

#[tokio::test]
async fn names_that_lead_nowhere() {
    let names = Names::default()
        .with("bogus.example", &["127.0.0.1"], Security::Bogus)
        .with("shut.example", &["127.0.0.1"], Security::Insecure);
    let web = web(names, loopback(), &Anchors::default(), PATIENCE);
    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    for (host, expected) in [
        ("none.example", 0),
        ("bogus.example", 0),
        ("shut.example", 1),
    ] {
        let url = Url::parse(&format!("https://{host}:{port}/")).expect("an address");
        let found = web.get(&url, 5).await;
        let found = match found {
            Err(FetchError::NoAddress { .. }) => 0,
            Err(FetchError::Unreachable { .. }) => 1,
            other => panic!("{host}: {other:?}"),
        };
        assert_eq!(found, expected, "{host}");
    }
}
