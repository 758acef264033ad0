//! Websites that do not lead authorities to us, or tell apps in browsers something else: each yields exactly its code.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;

use control::findings;
use control::outside::KeyChoice;
use control::records::{BOSH, DomainFacts, Mode, WEBSOCKET};
use domicile::demo::ca::Ca;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{Eyes, facts, publish_target, settings, zone_of};
use crate::harness::bind::Bind;
use crate::harness::demo::loopback;
use crate::harness::tools::free_port;

const CHALLENGES: &str = "/.well-known/acme-challenge/";

/// Answers every connection at an address with what `page` says of host and path.
fn website(
    at: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    page: impl Fn(&str, &str) -> String + Send + 'static,
) {
    let listener = TcpListener::bind(at).unwrap_or_else(|e| panic!("{at}: {e}"));
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let Ok(mut tcp) = tcp else { continue };
            // Who hangs up in the middle is no matter of this thread.
            let _ = match &tls {
                None => serve(&mut tcp, &page),
                Some(config) => ServerConnection::new(config.clone())
                    .map_err(std::io::Error::other)
                    .and_then(|tls| {
                        let mut stream = StreamOwned::new(tls, tcp);
                        serve(&mut stream, &page)?;
                        stream.conn.send_close_notify();
                        stream.flush()
                    }),
            };
        }
    });
}

fn serve(
    stream: &mut (impl Read + Write),
    page: impl Fn(&str, &str) -> String,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut *stream);
    let (mut path, mut host) = (String::new(), String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if path.is_empty() {
            path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        } else if let Some(value) = line.to_ascii_lowercase().strip_prefix("host: ") {
            host = value.split(':').next().unwrap_or_default().to_owned();
        }
    }
    stream.write_all(page(&host, &path).as_bytes())?;
    stream.flush()
}

fn redirect(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

fn document(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn acme_05_every_website_that_is_in_the_way_yields_its_code() {
    let (theirs, silent, ours): (IpAddr, IpAddr, IpAddr) =
        (loopback().into(), loopback().into(), loopback().into());
    let port = free_port(theirs);
    let mut settings = settings();
    settings.http_port = port;
    settings.web = format!("http://web.hosting.example:{port}");
    let domain = |name: &str| DomainFacts {
        mode: Mode::HttpRedirect,
        ..facts(&format!("{name}.example"))
    };
    let cases: [(&str, String, Option<&str>); 8] = [
        ("good", format!("@ IN A {theirs}"), None),
        ("none", String::new(), Some(findings::ACME_HTTP_NO_ADDRESS)),
        (
            "silent",
            format!("@ IN A {silent}"),
            Some(findings::ACME_HTTP_NO_ANSWER),
        ),
        (
            "private",
            "@ IN A 10.0.0.7".into(),
            Some(findings::ACME_HTTP_PRIVATE),
        ),
        (
            "elsewhere",
            format!("@ IN A {theirs}"),
            Some(findings::ACME_HTTP_ELSEWHERE),
        ),
        (
            "lost",
            format!("@ IN A {theirs}"),
            Some(findings::ACME_HTTP_PATH_LOST),
        ),
        (
            "loop",
            format!("@ IN A {theirs}"),
            Some(findings::ACME_HTTP_LOOP),
        ),
        (
            "bad",
            format!("@ IN A {theirs}"),
            Some(findings::ACME_HTTP_BAD_REDIRECT),
        ),
    ];
    let zones: Vec<(String, String)> = cases
        .iter()
        .map(|(name, has, _)| {
            let records = zone_of(&domain(name), &settings, &[], has);
            (format!("{name}.example"), records)
        })
        .collect();
    let zones: Vec<(&str, &str)> = zones
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let bind = Bind::start(&zones);
    publish_target(&bind);
    bind.update(
        "hosting.example",
        &format!("update add web.hosting.example 60 A {ours}\n"),
    );

    let door = format!("{}/acme/{}/", settings.web, super::LABEL);
    website((theirs, port).into(), None, move |host, path| {
        let token = path.strip_prefix(CHALLENGES).unwrap_or_default();
        match host {
            "good.example" => redirect(&format!("{door}{token}")),
            "lost.example" => redirect(&door),
            "loop.example" => redirect(path),
            "bad.example" => redirect(&format!("https://bad.example:8443/{token}")),
            _ => document("200 OK", "", "welcome"),
        }
    });
    // Our own door: it knows the token that the look asks for, and nothing else.
    let token = format!("/acme/{0}/domicile-{0}", super::LABEL);
    let answer = format!("{} is answered by domicile", super::LABEL);
    website((ours, port).into(), None, move |_, path| {
        match path == token {
            true => document("200 OK", "", &answer),
            false => document("404 Not Found", "", ""),
        }
    });
    let eyes = Eyes::open(bind.address, settings, &dna::Anchors::lenient([]));
    for (name, _, expected) in &cases {
        let codes = eyes.codes(&domain(name)).await;
        assert_eq!(codes, expected.as_slice(), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ws_16_what_websites_tell_apps_in_browsers_is_compared() {
    const OPEN: &str = "Access-Control-Allow-Origin: *\r\n";
    let theirs: IpAddr = loopback().into();
    let port = free_port(theirs);
    let mut settings = settings();
    settings.website_port = port;
    settings.web = "https://web.hosting.example".into();
    let cases: [(&str, &[&str]); 5] = [
        ("open", &[]),
        ("closed", &[findings::HOST_META_CLOSED]),
        ("other", &[findings::HOST_META_OTHER]),
        // Both faults at once: where it leads weighs more.
        ("both", &[findings::HOST_META_OTHER]),
        // Nobody has to tell them anything.
        ("nothing", &[]),
    ];
    let zones: Vec<(String, String)> = cases
        .iter()
        .map(|(name, _)| {
            let domain = format!("{name}.example");
            let has = format!("@ IN A {theirs}\n");
            let records = zone_of(&facts(&domain), &settings, &[], &has);
            (domain, records)
        })
        .collect();
    let names: Vec<String> = zones.iter().map(|(name, _)| name.clone()).collect();
    let zones: Vec<(&str, &str)> = zones
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    let bind = Bind::start(&zones);
    publish_target(&bind);

    let dir = tempfile::tempdir().expect("temporary directory");
    let ca = Ca::open(dir.path(), None).expect("CA");
    let issued = ca.leaf(&names, &KeyChoice::New).expect("certificate");
    let chain = CertificateDer::pem_slice_iter(issued.chain_pem.as_bytes());
    let chain: Vec<_> = chain.map(|der| der.expect("PEM")).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.expose().as_bytes()).expect("key");
    let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("certificate");
    let meta = |base: &str| {
        format!(
            "<XRD><Link rel='urn:xmpp:alt-connections:websocket' href='wss://{base}{WEBSOCKET}'/><Link rel='urn:xmpp:alt-connections:xbosh' href='https://{base}{BOSH}'/></XRD>"
        )
    };
    let (ours, other) = (meta("web.hosting.example"), meta("chat.other.example"));
    website(
        (theirs, port).into(),
        Some(Arc::new(tls)),
        move |host, _| match host {
            "open.example" => document("200 OK", OPEN, &ours),
            "closed.example" => document("200 OK", "", &ours),
            "other.example" => document("200 OK", OPEN, &other),
            "both.example" => document("200 OK", "", &other),
            _ => document("404 Not Found", "", ""),
        },
    );
    let root = std::fs::read(ca.root()).expect("root");
    let anchors = dna::Anchors::from_pem(&root).expect("anchors");
    let eyes = Eyes::open(bind.address, settings, &anchors);
    for (name, expected) in cases {
        // Asked once the domain is its owner's, and said in any state but the first.
        let domain = facts(&format!("{name}.example"));
        let codes = eyes.codes(&domain).await;
        assert_eq!(codes, expected, "{name}");
    }
}
