//! Certificates by redirect (http-01) and by a record that stands for ever (dns-persist-01), in production's shape: `domicile
//! serve` beside a real BIND and the current Pebble; and what becomes of certificate and zone when a domain leaves.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;

use crate::authority::Pebble;
use crate::authority::served::{More, Served};
use crate::harness::bind::{Bind, added};
use crate::harness::demo::loopback;
use crate::harness::tools::{free_port, program};
use domicile::demo::ca::Ca;

const AUTHORITY: &str = r#","caaIdentities":["pebble.example"]"#;

/// An owner's website, which answers every request so.
fn website(at: SocketAddr, answer: impl Fn(&str) -> String + Send + 'static) {
    let listener = TcpListener::bind(at).expect("port");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut reader = BufReader::new(&stream);
            let mut path = String::new();
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                if path.is_empty() {
                    path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                }
                line.clear();
            }
            let _ = stream.write_all(answer(&path).as_bytes());
        }
    });
}

fn redirect(to: &str) -> String {
    format!(
        "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    )
}

/// A domain that is proven to be its owner's, with the service records there, in this mode and without services.
fn proven(served: &Served, bind: &Bind, domain: &str, mode: &str) {
    let (code, out, err) = served.domicile(&["domain", "add", domain, "--tenant", "acme"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) =
        served.domicile(&["domain", "set", domain, "--mode", mode, "--services", ""]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, fragment, err) = served.domicile(&["domain", "records", domain, "--zone-file"]);
    assert_eq!(code, 0, "{err}");
    bind.update(domain, &added(&fragment));
}

/// Codes of what is not as it should be.
fn codes(shown: &serde_json::Value) -> Vec<String> {
    let checks = shown["checks"].as_array().into_iter().flatten();
    checks
        .filter(|check| check["severity"] != "ok")
        .map(|check| check["code"].as_str().unwrap_or_default().to_owned())
        .collect()
}

/// The platform's own certificate, of an authority that nobody knows: authorities do not mind.
fn platform(dir: &std::path::Path) -> String {
    let ca = Ca::open(&dir.join("stranger"), None).expect("CA");
    let own = ca
        .leaf(
            &["web.hosting.example".into()],
            &control::outside::KeyChoice::New,
        )
        .expect("certificate");
    let (chain, key) = (dir.join("platform.pem"), dir.join("platform.key"));
    std::fs::write(&chain, own.chain_pem).expect("chain");
    std::fs::write(&key, own.key_pem.expose()).expect("key");
    format!(
        "platform_certificate = \"{}\"\nplatform_key = \"{}\"",
        chain.display(),
        key.display()
    )
}

#[test]
fn acme_05_a_website_s_redirect_is_enough_and_a_departure_takes_everything_back() {
    let bind = Bind::start(&[("one.example", ""), ("two.example", "")]);
    let (ours, theirs): (IpAddr, IpAddr) = (loopback().into(), loopback().into());
    let port = free_port(ours);
    let http = format!(r#"{AUTHORITY},"httpPort":{port}"#);
    let pebble = Pebble::current(bind.address, &http, Vec::new());
    let dir = tempfile::tempdir().expect("temporary directory");
    let served = Served::start(
        &bind,
        &pebble,
        More {
            ip: Some(ours),
            listen: &format!("http = [\"{ours}:{port}\"]"),
            platform: "web = \"https://web.hosting.example:5443\"",
            tls: &platform(dir.path()),
            acme: &format!("http_port = {port}"),
            ..More::default()
        },
    );
    bind.update(
        "hosting.example",
        &format!("update add web.hosting.example 1 A {ours}\n"),
    );
    bind.update(
        "one.example",
        &format!("update add one.example 1 A {theirs}\n"),
    );
    bind.update(
        "two.example",
        &format!("update add two.example 1 A {ours}\n"),
    );
    assert_eq!(served.domicile(&["tenant", "add", "acme"]).0, 0);

    // The owner's website, which does not lead anywhere yet.
    proven(&served, &bind, "one.example", "http-redirect");
    let lead = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let led = lead.clone();
    website(SocketAddr::new(theirs, port), move |path| {
        let to = led.lock().expect("lock").clone();
        let nothing = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        match path.strip_prefix("/.well-known/acme-challenge/") {
            Some(token) if !to.is_empty() => redirect(&format!("{to}{token}")),
            _ => nothing.into(),
        }
    });
    let lost = |code: &'static str| {
        move |shown: &serde_json::Value| {
            codes(shown).iter().any(|found| found == code).then_some(())
        }
    };
    served.shown_when("one.example", lost("acme-http-elsewhere"));
    let queue = served.json(&["cert", "list", "one.example"]);
    assert_eq!(queue, serde_json::json!([]), "nothing was ordered");
    // Now it does.
    let records = served.json(&["domain", "records", "one.example"]);
    let views = records["web"].as_array().expect("addresses");
    let view = views
        .iter()
        .find(|view| view["service"] == "acme-challenge");
    let to = view.expect("the challenge")["redirect"]
        .as_str()
        .expect("redirect");
    *lead.lock().expect("lock") = to.to_owned();
    served.shown_when("one.example", |shown| {
        (shown["state"] == "live").then_some(())
    });
    assert_eq!(
        codes(&served.json(&["domain", "show", "one.example"])),
        Vec::<String>::new()
    );

    // A domain whose address is ours: the plain door answers for it, and leads everything else to HTTPS.
    proven(&served, &bind, "two.example", "http-redirect");
    served.shown_when("two.example", |shown| {
        (shown["state"] == "live").then_some(())
    });
    let get = |host: &str, path: &str| {
        let out = Command::new(program("curl"))
            .args([
                "--silent",
                "--max-time",
                "20",
                "--dump-header",
                "-",
                "--header",
            ])
            .arg(format!("Host: {host}"))
            .arg(format!("http://{ours}:{port}{path}"))
            .output()
            .expect("curl");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let led = get("two.example", "/x?y=z");
    assert!(led.starts_with("HTTP/1.1 308 "), "{led}");
    assert!(led.contains("location: https://two.example/x?y=z"), "{led}");
    for (host, path) in [
        ("nobody.example", "/"),
        ("two.example", "/.well-known/acme-challenge/domicile-nobody"),
        ("two.example", "/.well-known/acme-challenge/%2e%2e"),
    ] {
        assert!(get(host, path).starts_with("HTTP/1.1 404 "), "{host}{path}");
    }

    // Somebody has changed our zone: it is put right.
    let target = served.json(&["domain", "show", "one.example"])["target"]
        .as_str()
        .expect("target")
        .to_owned();
    let wrong = format!("update delete {target} A\nupdate add {target} 1 A 192.0.2.9\n");
    bind.update("hosting.example", &wrong);
    let (code, ..) = served.domicile(&["domain", "check", "one.example"]);
    assert_eq!(code, 0, "drift is a warning");
    assert_eq!(bind.dig(&target, "A").trim(), ours.to_string());

    // ACME-15: the domain leaves.
    let serial = served.serial("one.example");
    assert!(pebble.state_of(&serial).contains("Valid"));
    let (code, _, err) = served.domicile(&["domain", "remove", "one.example", "--yes"]);
    assert_eq!(code, 0, "{err}");
    assert!(bind.dig(&target, "A").contains("NXDOMAIN"));
    let end = std::time::Instant::now() + crate::harness::DEADLINE * 3;
    while !pebble.state_of(&serial).contains("Revoked") {
        assert!(
            std::time::Instant::now() < end,
            "not revoked in time\n{}",
            served.service.text()
        );
        std::thread::park_timeout(std::time::Duration::from_millis(200));
    }
}

#[test]
fn dns_persist_01_is_offered_once_the_authority_was_seen_to_and_one_record_does() {
    let bind = Bind::start(&[("one.example", ""), ("two.example", "")]);
    let pebble = Pebble::current(bind.address, AUTHORITY, Vec::new());
    let served = Served::start(&bind, &pebble, More::default());
    assert_eq!(served.domicile(&["tenant", "add", "acme"]).0, 0);
    let available = || {
        let modes = served.json(&["domain", "modes"]);
        let found = modes
            .as_array()
            .and_then(|modes| modes.iter().find(|mode| mode["mode"] == "dns-persist"))
            .cloned();
        found.expect("a mode")["available"] == true
    };
    assert!(!available(), "nobody has asked the authority yet");
    let domain = ["domain", "add", "two.example", "--tenant", "acme"];
    assert_eq!(served.domicile(&domain).0, 0);
    let set = ["domain", "set", "two.example", "--mode", "dns-persist"];
    let (code, _, err) = served.domicile(&set);
    assert_ne!(code, 0);
    assert!(err.contains("was not seen to offer it"), "{err}");

    // The first certificate, by the alias, teaches what the authority offers.
    proven(&served, &bind, "one.example", "delegated-challenge");
    served.shown_when("one.example", |shown| {
        (shown["state"] == "live").then_some(())
    });
    assert!(available());
    let (code, out, err) = served.domicile(&[&set[..], &["--services", ""]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let (code, fragment, _) = served.domicile(&["domain", "records", "two.example", "--zone-file"]);
    assert_eq!(code, 0);
    assert!(
        fragment.contains("_validation-persist.two.example.")
            && fragment.contains("\"pebble.example; accounturi=https://"),
        "{fragment}"
    );
    bind.update("two.example", &added(&fragment));
    served.shown_when("two.example", |shown| {
        (shown["state"] == "live").then_some(())
    });
    let certificates = served.json(&["cert", "list", "two.example"]);
    assert_eq!(certificates[0]["names"][0], "two.example");
    assert_eq!(
        codes(&served.json(&["domain", "show", "two.example"])),
        Vec::<String>::new()
    );
}
