//! Certificates that their authority has taken back, as it says over real sockets: by a list, by a responder (OpenSSL's own),
//! and stapled in the handshake.

use std::net::SocketAddr;
use std::process::Stdio;

use rcgen::{CertificateParams, CustomExtension};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, Command};

use super::*;
use crate::net::tls::Staple;

/// Serial number of every certificate here.
pub(super) const SERIAL: u64 = 0x1001;

/// `one.example`, and `two.example` with such a certificate, which it would believe.
async fn houses_with(world: World, shape: impl FnOnce(&mut CertificateParams)) -> (House, House) {
    let dns = Arc::<Table>::default();
    let (own, root) = (World::new().await, world.ca_der.clone());
    let one_root = own.ca_der.clone();
    let one = House::start(own, "one.example", &dns, root, false).await;
    let shape = |params: &mut CertificateParams| {
        params.serial_number = Some(SERIAL.into());
        shape(params);
    };
    let two = House::start_with(world, "two.example", &dns, one_root, false, shape).await;
    one.change(|row| row.policy = "authenticated".into()).await;
    (one, two)
}

async fn refused(one: &House, two: &House) {
    one.send(two, "r1").await;
    let error = one.got().await;
    assert!(
        error.contains("id='r1'") && error.contains("type='error'"),
        "{error}"
    );
    let attempt = one.attempts(two, |_| true).await;
    assert_eq!(attempt["code"], "certificate-revoked", "{attempt}");
}

/// CERT-16: a list that the certificate names is fetched and believed.
#[tokio::test]
async fn cert_16_a_list_is_fetched_from_where_the_certificate_says() {
    for revoked in [true, false] {
        let world = World::new().await;
        let time = |days: u64| {
            let at = std::time::SystemTime::now() + Duration::from_secs(86_400 * days);
            at.into()
        };
        let entry = rcgen::RevokedCertParams {
            serial_number: (SERIAL + u64::from(!revoked)).into(),
            revocation_time: time(0),
            reason_code: None,
            invalidity_date: None,
        };
        let list = rcgen::CertificateRevocationListParams {
            this_update: time(0),
            next_update: time(1),
            crl_number: 1.into(),
            issuing_distribution_point: None,
            revoked_certs: vec![entry],
            key_identifier_method: rcgen::KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&world.ca).expect("a list").der().to_vec();
        let door = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}/list.crl", door.local_addr().expect("bound"));
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = door.accept().await {
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).await.expect("a request");
                assert!(asked[..length].starts_with(b"GET /list.crl HTTP/1.1"));
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", list.len());
                let all = [head.as_bytes(), &list].concat();
                stream.write_all(&all).await.expect("sent");
            }
        });
        let (one, two) = houses_with(world, |params| {
            let point = rcgen::CrlDistributionPoint { uris: vec![url] };
            params.crl_distribution_points.push(point);
        })
        .await;
        match revoked {
            true => refused(&one, &two).await,
            false => chat(&one, &two).await,
        }
    }
}

/// `openssl ocsp`, which knows the one certificate as this.
pub(super) struct Responder {
    address: SocketAddr,
    _process: Child,
    _directory: tempfile::TempDir,
}

impl Responder {
    pub(super) async fn start(world: &World, revoked: bool) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            path
        };
        let authority = write("ca.pem", &standing::pem(&world.ca_der));
        let key = write("ca.key", &world.ca.key().serialize_pem());
        let standing = match revoked {
            true => "R\t491231235959Z\t260101000000Z",
            false => "V\t491231235959Z\t",
        };
        let index = write(
            "index.txt",
            &format!("{standing}\t{SERIAL:X}\tunknown\t/CN=x\n"),
        );
        let mut process = Command::new("openssl")
            .args(["ocsp", "-port", "0", "-ndays", "1", "-index"])
            .arg(index)
            .arg("-CA")
            .arg(&authority)
            .arg("-rsigner")
            .arg(&authority)
            .arg("-rkey")
            .arg(key)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("openssl");
        let said = process.stdout.take().expect("piped");
        let mut lines = BufReader::new(said).lines();
        // "ACCEPT [::]:38795 PID=11469"
        let line = tokio::time::timeout(DEADLINE, lines.next_line());
        let line = line.await.expect("started").expect("a line").expect("one");
        let port = line
            .split_whitespace()
            .nth(1)
            .and_then(|at| at.rsplit(':').next());
        let port = port.and_then(|port| port.parse().ok());
        let port: u16 = port.unwrap_or_else(|| panic!("a port in {line:?}"));
        Self {
            address: ([127, 0, 0, 1], port).into(),
            _process: process,
            _directory: directory,
        }
    }

    /// Names it in a certificate.
    pub(super) fn access(&self) -> CustomExtension {
        let of = |tag: u8, content: &[u8]| {
            let mut der = vec![tag, u8::try_from(content.len()).expect("short")];
            der.extend_from_slice(content);
            der
        };
        let url = format!("http://{}/", self.address);
        let method = of(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1]);
        let description = of(0x30, &[method, of(0x86, url.as_bytes())].concat());
        let content = of(0x30, &description);
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content)
    }
}

/// CERT-16, CERT-24: the responder that a certificate names is asked, and what it says holds.
#[tokio::test]
async fn cert_16_24_a_responder_is_asked() {
    for revoked in [true, false] {
        let world = World::new().await;
        let responder = Responder::start(&world, revoked).await;
        let access = responder.access();
        let (one, two) = houses_with(world, |params| params.custom_extensions.push(access)).await;
        match revoked {
            true => refused(&one, &two).await,
            false => {
                chat(&one, &two).await;
                // Its word is for a day, and the proof rests on it no longer.
                let attempt = one.attempts(&two, |a| a["ok"] == true).await;
                let expires = attempt["expires"].as_str().expect("an end");
                let expires = xmpp::timestamp::Timestamp::parse_xep0082(expires).expect("a time");
                let day = Duration::from_secs(86_400);
                assert!(expires <= now().after(day), "{attempt}");
            }
        }
    }
}

/// A responder that is not there is no reason to refuse anybody.
#[tokio::test]
async fn cert_16_a_responder_that_cannot_be_asked_says_nothing() {
    let world = World::new().await;
    let responder = Responder::start(&world, true).await;
    let access = responder.access();
    drop(responder);
    let (one, two) = houses_with(world, |params| params.custom_extensions.push(access)).await;
    chat(&one, &two).await;
}

/// CERT-28: what a server staples in the handshake is kept for the judge, for each connection on its own.
#[tokio::test]
async fn cert_28_what_is_stapled_reaches_the_judge() {
    let world = World::new().await;
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["two.example".to_owned()]).expect("names");
    let leaf = params.signed_by(&key, &world.ca).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let base = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyServer::new(provider.clone())))
        .with_no_client_auth();
    for response in [&b"a response"[..], b""] {
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert_with_ocsp(vec![leaf.der().clone()], key, response.to_vec())
            .expect("a configuration");
        let staple = Staple::default();
        let config_of_client = staple.watched(&base, &provider);
        let (near, far) = tokio::io::duplex(16 * 1024);
        let name = ServerName::try_from("two.example").expect("a name");
        let (client, server) = tokio::join!(
            tokio_rustls::TlsConnector::from(config_of_client).connect(name, near),
            tokio_rustls::TlsAcceptor::from(Arc::new(config)).accept(far),
        );
        client.expect("connected");
        server.expect("accepted");
        assert_eq!(&*staple.taken(), response);
    }
}

/// C-07: the full certificate profile is asked for where the operator says so, and of nobody else.
#[tokio::test]
async fn c_07_the_full_profile_is_a_key_of_the_configuration() {
    for (asked, list, accepted) in [
        (true, false, false),
        (true, true, true),
        (false, false, true),
    ] {
        let dns = Arc::<Table>::default();
        let (own, world) = (World::new().await, World::new().await);
        let (one_root, root) = (own.ca_der.clone(), world.ca_der.clone());
        let configure = |config: &mut Config| {
            config.tls.full_profile = asked;
            config.tls.crl = false;
        };
        let one = House::start_as(own, "one.example", &dns, root, false, |_| {}, configure).await;
        let shape = |params: &mut CertificateParams| {
            if list {
                let uris = vec!["http://lists.example/it.crl".to_owned()];
                let point = rcgen::CrlDistributionPoint { uris };
                params.crl_distribution_points.push(point);
            }
        };
        let two = House::start_with(world, "two.example", &dns, one_root, false, shape).await;
        one.change(|row| row.policy = "authenticated".into()).await;
        if accepted {
            chat(&one, &two).await;
        } else {
            one.send(&two, "p1").await;
            let error = one.got().await;
            assert!(error.contains("id='p1'") && error.contains("type='error'"));
            let attempt = one.attempts(&two, |_| true).await;
            assert_eq!(attempt["code"], "certificate-profile", "{attempt}");
        }
    }
}
