//! What authorities have learnt since RFC 8555, at a real one (the current Pebble) over a real BIND: renewal windows (RFC 9773),
//! profiles, dns-persist-01; beside it http-01, other chains, revocation and the account's key.
//!
//! Unlike the black-box tests this one calls into the server's library.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::authority::{Desk, Keep, Pebble, assert_names, challenge_records, request};
use crate::harness::bind::Bind;
use crate::harness::tools::{free_port, program};
use control::Secret;
use control::outside::{
    IssueError, Issued, Issuer, KeyChoice, Method, RevocationReason, ZoneChange, ZonePublisher,
    ZoneValue,
};
use domicile::certificates::{Acme, AcmeSettings};
use domicile::zone::{Publisher, read_key};
use x509_parser::prelude::{FromDer as _, X509Certificate};
use xmpp::jid::DomainName;

const OWNER: &str = "@ IN A 127.0.0.1\n_acme-challenge 60 IN CNAME d1._acme.on.hosting.example.";
const PROFILES: &str = r#","profiles":{"default":{"description":"as ever","validityPeriod":7776000},"shortlived":{"description":"160 hours","validityPeriod":576000}}"#;

fn setting(pebble: &Pebble) -> (Arc<Keep>, Acme) {
    let keep = Arc::new(Keep::default());
    (keep.clone(), Acme::new(pebble.settings(), keep))
}

/// What Pebble's management door answers.
fn managed(pebble: &Pebble, path: &str, body: Option<String>) -> String {
    let mut command = Command::new(program("curl"));
    command.args(["--silent", "--insecure", "--fail", "--max-time", "20"]);
    if let Some(body) = body {
        command.args(["--data-binary", &body]);
    }
    let out = command
        .arg(format!("https://{}{path}", pebble.management))
        .output()
        .expect("curl");
    assert!(out.status.success(), "{path}: {out:?}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// Lifetime in hours, serial in hex, issuer of the chain's last certificate.
fn read(issued: &Issued) -> (i64, String, String) {
    let pems: Vec<_> = x509_parser::pem::Pem::iter_from_buffer(issued.chain_pem.as_bytes())
        .map(|pem| pem.expect("PEM"))
        .collect();
    let (_, leaf) = X509Certificate::from_der(&pems[0].contents).expect("leaf");
    let (_, last) = X509Certificate::from_der(&pems[pems.len() - 1].contents).expect("last");
    let validity = leaf.validity();
    let hours = (validity.not_after.timestamp() - validity.not_before.timestamp() + 1) / 3600;
    (
        hours,
        format!("{:x}", leaf.serial),
        last.issuer().to_string(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn rfc_9773_windows_are_read_and_a_renewal_says_what_it_replaces() {
    let bind = Bind::start(&[("one.example", OWNER)]);
    let pebble = Pebble::current(bind.address, "", Vec::new());
    let (_, acme) = setting(&pebble);
    let desk = Desk::new(&bind);
    let first = acme
        .issue(request(&["one.example"], KeyChoice::New), &desk)
        .await
        .expect("issued");
    assert!(!first.announced);
    let info = acme
        .renewal_info(&first.authority, &first.chain_pem)
        .await
        .expect("asked")
        .expect("a window");
    assert!(info.start < info.end);
    // Some of the six hours may pass on the way.
    assert!((21_500..=21_600).contains(&info.ask_again_seconds));
    assert_eq!(info.explanation, None);

    // The authority changes its mind, and says why.
    let said = r#"{"suggestedWindow":{"start":"2026-01-02T03:04:05Z","end":"2026-01-03T00:00:00Z"},"explanationURL":"https://ca.example/why"}"#;
    let body = serde_json::json!({"Certificate": first.chain_pem, "ARIResponse": said});
    managed(&pebble, "/set-renewal-info/", Some(body.to_string()));
    let info = acme
        .renewal_info("", &first.chain_pem)
        .await
        .expect("not asked");
    assert_eq!(
        info, None,
        "a certificate of nobody's is asked about nowhere"
    );
    let info = acme
        .renewal_info(&first.authority, &first.chain_pem)
        .await
        .expect("asked")
        .expect("a window");
    assert_eq!(info.start.to_xep0082(), "2026-01-02T03:04:05Z");
    assert_eq!(info.explanation.as_deref(), Some("https://ca.example/why"));

    let renewal = |chain: &str| control::outside::IssueRequest {
        replaces: Some(chain.to_owned()),
        ..request(&["one.example"], KeyChoice::Keep(first.key_pem.clone()))
    };
    let second = acme
        .issue(renewal(&first.chain_pem), &desk)
        .await
        .expect("renewed");
    assert!(second.announced);
    // Replaced already: an order like any other, and it is counted.
    let third = acme
        .issue(renewal(&first.chain_pem), &desk)
        .await
        .expect("renewed once more");
    assert!(!third.announced);
    assert_names(&third, &["one.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_is_ordered_by_and_one_that_is_not_offered_costs_no_order() {
    let bind = Bind::start(&[("one.example", OWNER)]);
    let pebble = Pebble::current(bind.address, PROFILES, Vec::new());
    let desk = Desk::new(&bind);
    let with = |profile: &str| {
        let settings = AcmeSettings {
            profile: Some(profile.into()),
            ..pebble.settings()
        };
        Acme::new(settings, Arc::new(Keep::default()))
    };
    let short = with("shortlived")
        .issue(request(&["one.example"], KeyChoice::New), &desk)
        .await
        .expect("issued");
    assert_eq!(read(&short).0, 160);
    let error = with("tlsclient")
        .issue(request(&["one.example"], KeyChoice::New), &desk)
        .await
        .expect_err("not offered");
    assert!(
        matches!(&error, IssueError::Refused(why) if why.contains("acme.profile") && why.contains("shortlived")),
        "{error}"
    );
    assert_eq!(
        *desk.presented.lock().expect("lock"),
        1,
        "the second spent nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_persist_01_is_found_at_run_time_and_needs_nothing_shown() {
    let bind = Bind::start(&[("one.example", OWNER), ("two.example", "")]);
    let pebble = Pebble::current(
        bind.address,
        r#","caaIdentities":["pebble.example"]"#,
        Vec::new(),
    );
    let (keep, acme) = setting(&pebble);
    let desk = Desk::new(&bind);
    assert!(
        acme.describe().persistent.is_empty(),
        "nothing is known yet"
    );
    acme.issue(request(&["one.example"], KeyChoice::New), &desk)
        .await
        .expect("issued by dns-01");
    let known = acme.describe();
    assert_eq!(known.persistent, ["pebble.example"]);
    let account = known.account_uri.expect("account");
    // Another process knows it without asking.
    let later = Acme::new(pebble.settings(), keep);
    later.recall().await;
    assert_eq!(later.describe().persistent, ["pebble.example"]);
    assert_eq!(later.describe().account_uri.as_ref(), Some(&account));

    let two = DomainName::parse("two.example").expect("name");
    let standing = control::outside::IssueRequest {
        methods: [(two, Method::DnsPersist)].into(),
        ..request(&["two.example"], KeyChoice::New)
    };
    let error = later
        .issue(standing.clone(), &desk)
        .await
        .expect_err("no record");
    assert!(
        matches!(&error, IssueError::Names(refused) if refused.len() == 1),
        "{error}"
    );
    let zone = Publisher::new(
        bind.address,
        "two.example",
        &read_key(&bind.key).expect("key"),
    )
    .expect("publisher");
    let record = ZoneChange::Add {
        name: "_validation-persist.two.example".into(),
        ttl_seconds: 1,
        value: ZoneValue::Txt(format!("pebble.example; accounturi={account}")),
    };
    zone.apply(&[record]).await.expect("published");
    let issued = later.issue(standing, &desk).await.expect("issued");
    assert_names(&issued, &["two.example"]);
    assert_eq!(
        *desk.presented.lock().expect("lock"),
        1,
        "only the first was shown anything"
    );
}

/// A website that shows what the desk holds.
fn website(address: SocketAddr, documents: Arc<Mutex<HashMap<String, String>>>) {
    let listener = TcpListener::bind(address).expect("port");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut line = String::new();
            let _ = BufReader::new(&stream).read_line(&mut line);
            let path = line.split(' ').nth(1).unwrap_or_default();
            let found = documents.lock().expect("lock").get(path).cloned();
            let (status, body) = match found {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", String::new()),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn acme_05_http_01_shows_the_key_authorization_and_takes_it_away() {
    let bind = Bind::start(&[("one.example", OWNER)]);
    let ip: IpAddr = [127, 0, 0, 1].into();
    let web = SocketAddr::new(ip, free_port(ip));
    let pebble = Pebble::current(
        bind.address,
        &format!(r#","httpPort":{}"#, web.port()),
        Vec::new(),
    );
    let desk = Desk::new(&bind);
    website(web, desk.documents.clone());
    let (_, acme) = setting(&pebble);
    let one = DomainName::parse("one.example").expect("name");
    let by_http = control::outside::IssueRequest {
        methods: [(one, Method::Http)].into(),
        ..request(&["one.example"], KeyChoice::New)
    };
    let issued = acme.issue(by_http, &desk).await.expect("issued");
    assert_names(&issued, &["one.example"]);
    assert!(
        desk.documents.lock().expect("lock").is_empty(),
        "nothing stays behind"
    );
    assert_eq!(challenge_records(&bind), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_key_is_rolled_over_and_neither_key_is_lost_by_a_crash() {
    let bind = Bind::start(&[("one.example", OWNER)]);
    let pebble = Pebble::current(bind.address, "", Vec::new());
    let (keep, acme) = setting(&pebble);
    let desk = Desk::new(&bind);
    let order = || request(&["one.example"], KeyChoice::New);
    acme.issue(order(), &desk).await.expect("issued");
    let directory = pebble.settings().directory;
    let kept = || {
        let text = keep.0.lock().expect("lock")[&directory].expose().to_owned();
        serde_json::from_str::<serde_json::Value>(&text).expect("JSON")
    };
    let put = |value: &serde_json::Value| {
        keep.0
            .lock()
            .expect("lock")
            .insert(directory.clone(), Secret::from(value.to_string()));
    };
    let before = kept();
    // Another process has the account open.
    let other = Acme::new(pebble.settings(), keep.clone());
    other.issue(order(), &desk).await.expect("issued");

    let account = acme.roll_account_key("").await.expect("rolled over");
    let after = kept();
    assert_eq!(
        (&after["id"], Some(account.as_str())),
        (&before["id"], before["id"].as_str())
    );
    assert_ne!(after["key_pkcs8"], before["key_pkcs8"]);
    assert!(after.get("next_key").is_none());
    for acme in [&acme, &other] {
        acme.issue(order(), &desk)
            .await
            .expect("issued with the new key");
        assert_eq!(acme.describe().account_uri.as_ref(), Some(&account));
    }
    // The old key is worth nothing there.
    put(&before);
    let error = Acme::new(pebble.settings(), keep.clone())
        .issue(order(), &desk)
        .await;
    assert!(error.is_err(), "the old key still orders");

    // Died after the authority had heard of the new key.
    let mut torn = before.clone();
    torn["next_key"] = after["key_pkcs8"].clone();
    put(&torn);
    other.issue(order(), &desk).await.expect("issued");
    assert_eq!(
        (kept()["key_pkcs8"].clone(), kept()["id"].clone()),
        (after["key_pkcs8"].clone(), after["id"].clone())
    );
    // Died before it had.
    let mut torn = after.clone();
    torn["next_key"] = before["key_pkcs8"].clone();
    put(&torn);
    other.issue(order(), &desk).await.expect("issued");
    assert_eq!(kept()["key_pkcs8"], after["key_pkcs8"]);
    assert!(kept().get("next_key").is_none());

    // The contact follows the configuration.
    let settings = AcmeSettings {
        contact: vec!["mailto:new@hosting.example".into()],
        ..pebble.settings()
    };
    Acme::new(settings, keep.clone())
        .issue(order(), &desk)
        .await
        .expect("issued");
    assert_eq!(
        kept()["contact"],
        serde_json::json!(["mailto:new@hosting.example"])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_that_the_operator_wants_is_taken_where_there_is_one() {
    let bind = Bind::start(&[("one.example", OWNER)]);
    let pebble = Pebble::current(
        bind.address,
        "",
        vec![("PEBBLE_ALTERNATE_ROOTS", "2".into())],
    );
    let desk = Desk::new(&bind);
    let root = |n: u8| {
        let text = managed(&pebble, &format!("/roots/{n}"), None);
        let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes()).expect("PEM");
        let parsed = pem.parse_x509().expect("root").subject().to_string();
        parsed.trim_start_matches("CN=").to_owned()
    };
    for (wanted, found) in [
        (Some(root(2)), root(2)),
        (Some("No such root".into()), root(0)),
        (None, root(0)),
    ] {
        let settings = AcmeSettings {
            chain: wanted,
            ..pebble.settings()
        };
        let acme = Acme::new(settings, Arc::new(Keep::default()));
        let issued = acme
            .issue(request(&["one.example"], KeyChoice::New), &desk)
            .await
            .expect("issued");
        assert_names(&issued, &["one.example"]);
        assert!(
            read(&issued).2.contains(&found),
            "{} is not {found}",
            read(&issued).2
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acme_14_what_is_revoked_is_revoked_once_and_for_all() {
    let bind = Bind::start(&[("one.example", OWNER)]);
    let pebble = Pebble::current(bind.address, "", Vec::new());
    let (_, acme) = setting(&pebble);
    let desk = Desk::new(&bind);
    let issued = acme
        .issue(request(&["one.example"], KeyChoice::New), &desk)
        .await
        .expect("issued");
    let status = || {
        managed(
            &pebble,
            &format!("/cert-status-by-serial/{}", read(&issued).1),
            None,
        )
    };
    assert!(status().contains("Valid"), "{}", status());
    for _ in 0..2 {
        acme.revoke(
            &issued.authority,
            &issued.chain_pem,
            RevocationReason::KeyCompromise,
        )
        .await
        .expect("revoked");
    }
    assert!(status().contains("Revoked"), "{}", status());
    let nowhere = acme
        .revoke(
            "https://elsewhere.example/dir",
            &issued.chain_pem,
            RevocationReason::KeyCompromise,
        )
        .await;
    assert!(matches!(nowhere, Err(IssueError::Refused(_))));
}
