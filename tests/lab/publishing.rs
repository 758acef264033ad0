//! What we publish, used by somebody else: a strict house proves two of our domains, one by DANE and one by POSH alone, while
//! both change their keys. Whoever asks in the meantime, with whatever an honest cache may still hold, is refused not once
//! (VHOST-09, DANE-04, DANE-12, DANE-13, POSH-04, POSH-12, POSH-40, POSH-47).

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::lab::authority::sha256_hex;
use crate::lab::house::{House, unique};
use crate::lab::http::Page;
use crate::lab::kept::directory;
use crate::lab::wire::Wire;
use crate::lab::world::{OPEN, STRICT, World, world};

const BY_DANE: &str = "published-dane.signed.example";
const BY_POSH: &str = "published-posh.unsigned.example";
/// The public door under the platform's own name.
const WEB: &str = "web.publishing.hosting.example";
const TTL: Duration = Duration::from_secs(1);
const EXPIRES: Duration = Duration::from_secs(2);

/// A house whose records and documents are soon forgotten, and whose public door is known by name.
fn start(world: &World) -> House {
    let dir = directory().join("publishing");
    let place = dir.display().to_string();
    world.ca.issue(&[WEB]).write(&dir, "web");
    let house = House::start_as(
        &dir,
        &world.zones,
        "publishing",
        &world.ca.root_pem,
        &[],
        |text| {
            let roots = format!("roots = \"{place}/roots.pem\"\n");
            let own = format!(
                "{roots}platform_certificate = \"{place}/web.crt\"\nplatform_key = \"{place}/web.key\"\n"
            );
            let web = format!(
                "ttl_seconds = {}\nweb = \"https://{WEB}:5443\"\n[dns]\n",
                TTL.as_secs()
            );
            text.replace(&roots, &own).replace("[dns]\n", &web).replace(
                "[posh]\n",
                &format!("[posh]\nexpires_seconds = {}\n", EXPIRES.as_secs()),
            )
        },
    );
    world.zones.add(&[format!("{WEB} A {}", house.ip)]);
    house
}

/// Adds a domain as its owner would: mode, records, for POSH two redirects, and nothing else, ever.
fn host(world: &World, house: &House, domain: &str, mode: &str) {
    house.done(&["domain", "add", domain, "--tenant", "laboratory"], "");
    house.done(
        &["domain", "set", domain, "--mode", mode, "--services", ""],
        "",
    );
    let page: Value =
        serde_json::from_str(&house.done(&["domain", "records", domain, "--json"], ""))
            .expect("JSON");
    let records: Vec<String> = page["records"]
        .as_array()
        .expect("records")
        .iter()
        .map(|record| {
            let part = |key: &str| record[key].as_str().expect("text").to_owned();
            format!("{} {} {}", part("name"), part("rtype"), part("value_text"))
        })
        .collect();
    assert!(
        !records
            .iter()
            .any(|record| record.contains("_acme-challenge")),
        "{records:?}"
    );
    world.zones.add(&records);
    if mode == "posh" {
        world.web(domain);
        for view in page["web"].as_array().expect("addresses") {
            let path = format!(
                "/.well-known/posh/{}.json",
                view["service"].as_str().expect("service")
            );
            let to = view["redirect"].as_str().expect("redirect").to_owned();
            world.site.page(domain, &path, Page::Redirect(to));
        }
    }
    let end = Instant::now() + DEADLINE;
    loop {
        let shown = check(house, domain);
        if shown["certificate"].is_object() && shown["critical"] == 0 {
            assert_eq!(
                shown["certificate"]["source"], "own",
                "no certificate for the domain is held"
            );
            break;
        }
        assert!(Instant::now() < end, "{shown:#}");
    }
    house.done(
        &[
            "user",
            "add",
            &format!("alice@{domain}"),
            "--password-stdin",
        ],
        "a-long-enough-secret",
    );
}

/// A look of the worker's, now.
fn check(house: &House, domain: &str) -> Value {
    let (_, text) = house.command(&["domain", "check", domain, "--json"]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn rollover(house: &House, domain: &str) -> Value {
    let text = house.done(&["cert", "rollover", domain, "--json"], "");
    serde_json::from_str(&text).expect("JSON")
}

/// What a peer was told, and until when it may believe that.
struct Copy {
    ids: BTreeSet<String>,
    until: Instant,
}

/// Everything that honest caches may hold.
#[derive(Default)]
struct Caches(Vec<Copy>);

impl Caches {
    fn keep(&mut self, ids: BTreeSet<String>, lasts: Duration) {
        assert!(!ids.is_empty(), "something is published at every moment");
        let until = Instant::now() + lasts;
        self.0.push(Copy { ids, until });
    }

    /// Does everybody who connects now take this?
    fn accept(&mut self, id: &str, began: Instant) {
        self.0.retain(|copy| copy.until > began);
        for copy in &self.0 {
            assert!(
                copy.ids.contains(id),
                "refused: {id} is none of {:?}",
                copy.ids
            );
        }
    }
}

/// The TLSA set of the domain's own target, as its name server gives it now.
fn tlsa(world: &World, domain: &str) -> BTreeSet<String> {
    let owner = format!("_5269._tcp.{}", world.target(domain));
    let text = world.zones.dig(&["+short", &owner, "TLSA"]);
    text.lines()
        .map(|line| {
            let line = line.to_ascii_lowercase();
            let mut words = line.split_whitespace();
            let kind: Vec<_> = words.by_ref().take(3).collect();
            assert_eq!(kind, ["3", "1", "1"], "DANE-14, DANE-19: {line}");
            words.collect::<String>()
        })
        .collect()
}

/// The document at our own door, where the owner's website leads; its fingerprints in hex.
fn posh(world: &World, house: &House, path: &str) -> (BTreeSet<String>, String) {
    let (head, body) = https(world, house, path);
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let document: Value = serde_json::from_str(&body).expect("JSON");
    let members: Vec<_> = document.as_object().expect("object").keys().collect();
    assert_eq!(
        members,
        ["expires", "fingerprints"],
        "POSH-04, POSH-06, POSH-42"
    );
    assert!(document["expires"].as_u64().expect("seconds") <= EXPIRES.as_secs());
    use base64::Engine as _;
    let ids = document["fingerprints"]
        .as_array()
        .expect("fingerprints")
        .iter()
        .map(|entry| {
            let digest = entry["sha-256"].as_str().expect("POSH-08");
            let bytes = base64::engine::general_purpose::STANDARD
                .decode(digest)
                .expect("base64");
            data_encoding::HEXLOWER.encode(&bytes)
        })
        .collect();
    (ids, head)
}

/// A request at the public door under the platform's own name, its certificate checked.
fn https(world: &World, house: &House, path: &str) -> (String, String) {
    use std::io::{Read as _, Write as _};
    let config = rustls::ClientConfig::builder_with_provider(std::sync::Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .expect("versions")
    .with_root_certificates(world.roots.clone())
    .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(WEB).expect("a name");
    let tls = rustls::ClientConnection::new(std::sync::Arc::new(config), name).expect("TLS");
    let tcp = std::net::TcpStream::connect((house.ip, 5443)).expect("the public door");
    let mut stream = rustls::StreamOwned::new(tls, tcp);
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {WEB}:5443\r\nConnection: close\r\n\r\n"
    )
    .expect("request");
    let mut answer = Vec::new();
    // The other side closes without a goodbye now and then; what was said counts.
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    (head.to_owned(), body.to_owned())
}

/// What is really shown to a server that connects: SHA-256 of the key and of the certificate.
fn shown(house: &House, domain: &str) -> (String, String) {
    let mut wire = Wire::connect(house.s2s());
    let opened = wire.secure("somebody.unsigned.example", domain, None);
    assert!(!opened.refused(), "{}", opened.features);
    let chain = wire.presented();
    let (_, parsed) = x509_parser::parse_x509_certificate(&chain[0]).expect("a certificate");
    (sha256_hex(parsed.public_key().raw), sha256_hex(&chain[0]))
}

/// Alice of a strict house writes to ours; gives what proved us.
fn proven(world: &World, local: &str, remote: &str) -> String {
    let mut alice = world.alice(local);
    alice.message(
        &format!("alice@{remote}"),
        &unique("published"),
        "who are you?",
    );
    let attempt = world
        .house
        .attempt(local, remote, |attempt| attempt["ok"] == true);
    alice.close();
    attempt["prooftype"].as_str().unwrap_or("none").to_owned()
}

#[test]
fn dane_13_posh_40_keys_change_and_nobody_is_refused() {
    let world = world();
    let house = start(world);
    host(world, &house, BY_DANE, "dane");
    host(world, &house, BY_POSH, "posh");
    assert_eq!(proven(world, STRICT, BY_DANE), "dane");
    assert_eq!(proven(world, STRICT, BY_POSH), "posh");

    // POSH-04, POSH-37, POSH-44: a document, or 404; never kept by HTTP.
    let target = world.target(BY_POSH);
    let label = target.split('.').next().expect("a label");
    let path = format!("/posh/{label}/xmpp-server.json");
    let (_, head) = posh(world, &house, &path);
    let head = head.to_ascii_lowercase();
    assert!(
        head.contains("content-type: application/json") && head.contains("cache-control: no-cache"),
        "{head}"
    );
    for nothing in [
        format!("/posh/{label}/xmpp_server.json"),
        format!("/posh/{label}/"),
        "/posh/nobody/xmpp-server.json".to_owned(),
        "/".to_owned(),
    ] {
        let (head, _) = https(world, &house, &nothing);
        assert!(head.starts_with("HTTP/1.1 404"), "{nothing}: {head}");
    }

    let before = (shown(&house, BY_DANE).0, shown(&house, BY_POSH).1);
    for domain in [BY_DANE, BY_POSH] {
        house.done(&["cert", "change-key", domain], "");
    }
    let (mut dane, mut website) = (Caches::default(), Caches::default());
    let end = Instant::now() + 4 * DEADLINE;
    let mut phases = BTreeSet::new();
    loop {
        dane.keep(tlsa(world, BY_DANE), TTL);
        website.keep(posh(world, &house, &path).0, EXPIRES);
        let began = Instant::now();
        let now = (shown(&house, BY_DANE).0, shown(&house, BY_POSH).1);
        dane.accept(&now.0, began);
        website.accept(&now.1, began);
        // The running server does all of it; here it is only watched.
        let views = [BY_DANE, BY_POSH].map(|domain| rollover(&house, domain));
        for view in &views {
            phases.insert(view["phase"].as_str().expect("a phase").to_owned());
        }
        let calm = views.iter().all(|view| view["phase"] == "calm");
        if calm && now.0 != before.0 && now.1 != before.1 {
            break;
        }
        assert!(Instant::now() < end, "never done: {views:#?}");
    }
    assert!(
        phases.contains("waiting") && phases.contains("settling"),
        "{phases:?}"
    );
    // The old keys have left what is published, and whoever comes now proves us as before.
    assert_eq!(
        tlsa(world, BY_DANE),
        BTreeSet::from([shown(&house, BY_DANE).0])
    );
    assert_eq!(
        posh(world, &house, &path).0,
        BTreeSet::from([shown(&house, BY_POSH).1])
    );
    assert_eq!(proven(world, OPEN, BY_DANE), "dane");
    assert_eq!(proven(world, OPEN, BY_POSH), "posh");

    // ACME-15: what was published goes with the domain.
    let owner = format!("_5269._tcp.{}", world.target(BY_DANE));
    house.done(&["domain", "remove", BY_DANE, "--yes"], "");
    assert_eq!(world.zones.dig(&["+short", &owner, "TLSA"]), "");
}
