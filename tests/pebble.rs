//! Certificates from a real ACME server (Pebble), which looks at real challenges in a real BIND, through the delegated CNAME.
//!
//! Pebble refuses one nonce in twenty on purpose. Unlike the black-box tests this one calls into the server's library.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::authority::served::{More, Served};
use crate::authority::{Desk, Keep, Pebble, assert_names, challenge_records, request};
use crate::harness::bind::Bind;
use crate::harness::tools::{free_port, program};
use control::Secret;
use control::outside::{IssueError, Issuer, KeyChoice, PendingOrder};
use domicile::certificates::{Acme, AcmeSettings};
use domicile::demo::ca::Ca;

const OWNER: &str = "_acme-challenge 60 IN CNAME d1._acme.on.hosting.example.\n_acme-challenge.rooms 60 IN CNAME d1._acme.on.hosting.example.";

/// An authority that takes accounts of its own customers only.
const EXTERNAL: &str = r#","externalAccountBindingRequired":true,"externalAccountMACKeys":{"kid-1":"zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn acme_01_one_order_holds_every_name_and_a_renewal_keeps_key_and_account() {
    let bind = Bind::start(&[("one.example", OWNER)]);
    let mut pebble = Pebble::start(bind.address, "");
    let keep = Arc::new(Keep::default());
    let acme = Acme::new(pebble.settings(), keep.clone());
    let desk = Desk::new(&bind);
    let names = ["one.example", "rooms.one.example"];

    let first = acme
        .issue(request(&names, KeyChoice::New), &desk)
        .await
        .expect("issued");
    assert_names(&first, &names);
    assert_eq!(*desk.presented.lock().expect("lock"), 2);
    assert_eq!(challenge_records(&bind), "", "challenges are withdrawn");
    let account = acme.describe().account_uri.expect("account");

    // Another process: the account comes from its keep. ACME-12: the key stays.
    let later = Acme::new(pebble.settings(), keep.clone());
    let renewed = later
        .issue(
            request(&names, KeyChoice::Keep(first.key_pem.clone())),
            &desk,
        )
        .await
        .expect("renewed");
    assert_eq!(renewed.key_pem, first.key_pem);
    assert_ne!(renewed.chain_pem, first.chain_pem);
    assert_eq!(later.describe().account_uri, Some(account));

    // The CA has lost its memory: the account is made anew, and the order goes through.
    pebble.restart();
    let again = later
        .issue(request(&["one.example"], KeyChoice::New), &desk)
        .await
        .expect("issued by a CA that forgot us");
    assert_names(&again, &["one.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn acme_03_what_the_ca_found_is_said_by_name_and_nothing_stays_behind() {
    let bind = Bind::start(&[("one.example", OWNER), ("two.example", "")]);
    let pebble = Pebble::start(bind.address, "");
    let acme = Acme::new(pebble.settings(), Arc::new(Keep::default()));
    let desk = Desk::new(&bind);
    let error = acme
        .issue(
            request(&["one.example", "two.example"], KeyChoice::New),
            &desk,
        )
        .await
        .expect_err("two.example has no CNAME");
    let IssueError::Names(refused) = &error else {
        panic!("{error:?}")
    };
    assert_eq!(
        refused
            .iter()
            .map(|refused| refused.name.as_str())
            .collect::<Vec<_>>(),
        ["two.example"],
        "{error}"
    );
    assert!(
        refused[0].why.contains("_acme-challenge.two.example") || refused[0].why.contains("TXT"),
        "the CA's own words: {error}"
    );
    assert!(
        desk.pending.lock().expect("lock").is_none(),
        "never finalized"
    );
    assert_eq!(challenge_records(&bind), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_from_before_a_crash_is_resumed() {
    let bind = Bind::start(&[("one.example", OWNER)]);
    let pebble = Pebble::start(bind.address, "");
    let keep = Arc::new(Keep::default());
    let mut desk = Desk::new(&bind);
    desk.crash = true;
    let error = Acme::new(pebble.settings(), keep.clone())
        .issue(request(&["one.example"], KeyChoice::New), &desk)
        .await
        .expect_err("not remembered, not finalized");
    assert!(matches!(error, IssueError::Unavailable(_)), "{error}");
    let pending = desk
        .pending
        .lock()
        .expect("lock")
        .take()
        .expect("the order");

    desk.crash = false;
    let before = *desk.presented.lock().expect("lock");
    let mut resumed = request(&["one.example"], KeyChoice::New);
    resumed.resume = Some(pending.clone());
    let issued = Acme::new(pebble.settings(), keep.clone())
        .issue(resumed, &desk)
        .await
        .expect("resumed");
    assert_names(&issued, &["one.example"]);
    assert_eq!(issued.key_pem, pending.key_pem);
    assert_eq!(
        *desk.presented.lock().expect("lock"),
        before,
        "nothing is proven twice"
    );

    // An order that the CA does not know is forgotten.
    let mut unknown = request(&["one.example"], KeyChoice::New);
    unknown.resume = Some(PendingOrder {
        url: pending.url.replace("/my-order/", "/my-order/x"),
        ..pending
    });
    let issued = Acme::new(pebble.settings(), keep)
        .issue(unknown, &desk)
        .await
        .expect("ordered anew");
    assert_names(&issued, &["one.example"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ca_that_cannot_be_reached_or_believed_is_unknown() {
    let bind = Bind::start(&[]);
    let pebble = Pebble::start(bind.address, "");
    let desk = Desk::new(&bind);
    let other = tempfile::tempdir().expect("temporary directory");
    let stranger = Ca::open(other.path(), None)
        .expect("CA")
        .root()
        .to_path_buf();
    let nobody = free_port([127, 0, 0, 1].into());
    for settings in [
        AcmeSettings {
            directory: format!("https://localhost:{nobody}/dir"),
            ..pebble.settings()
        },
        AcmeSettings {
            root: Some(stranger),
            ..pebble.settings()
        },
        AcmeSettings {
            root: Some(Path::new("/nowhere/root.pem").into()),
            ..pebble.settings()
        },
    ] {
        let error = Acme::new(settings, Arc::new(Keep::default()))
            .issue(request(&["one.example"], KeyChoice::New), &desk)
            .await
            .expect_err("unreachable");
        assert!(matches!(error, IssueError::Unavailable(_)), "{error:?}");
    }
    let settings = AcmeSettings {
        terms_agreed: false,
        ..pebble.settings()
    };
    let error = Acme::new(settings, Arc::new(Keep::default()))
        .issue(request(&["one.example"], KeyChoice::New), &desk)
        .await
        .expect_err("no terms agreed");
    assert!(error.to_string().contains("acme.terms_agreed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_can_be_bound_to_an_external_one() {
    let bind = Bind::start(&[("one.example", OWNER)]);
    let pebble = Pebble::start(bind.address, EXTERNAL);
    let desk = Desk::new(&bind);
    let bound = |key: &str| AcmeSettings {
        external_account: Some(("kid-1".into(), Secret::from(key))),
        ..pebble.settings()
    };
    let error = Acme::new(pebble.settings(), Arc::new(Keep::default()))
        .issue(request(&["one.example"], KeyChoice::New), &desk)
        .await
        .expect_err("no binding");
    assert!(
        matches!(error, IssueError::Refused(_)) && error.to_string().contains("externalAccount"),
        "{error}"
    );
    let issued = Acme::new(
        bound("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"),
        Arc::new(Keep::default()),
    )
    .issue(request(&["one.example"], KeyChoice::New), &desk)
    .await
    .expect("issued");
    assert_names(&issued, &["one.example"]);
}

/// The main job in production's shape: nothing of the sandbox is used, the owner's records are published by other means.
#[test]
fn a_domain_goes_live_with_a_real_name_server_and_a_real_acme_authority() {
    let bind = Bind::start(&[("three.example", "")]);
    let mut pebble = Pebble::start(bind.address, "");
    let mut served = Served::start(&bind, &pebble, More::default());
    served.service.says("/setup?token=");
    assert_eq!(served.domicile(&["tenant", "add", "acme"]).0, 0);
    let (code, out, err) = served.domicile(&["domain", "add", "three.example", "--tenant", "acme"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, fragment, _) =
        served.domicile(&["domain", "records", "three.example", "--zone-file"]);
    assert_eq!(code, 0);
    let (code, ..) = served.domicile(&["domain", "verify", "three.example"]);
    assert_eq!(code, 1, "nothing is published yet");

    bind.update("three.example", &crate::harness::bind::added(&fragment));
    let (code, out, err) = served.domicile(&["domain", "verify", "three.example"]);
    assert_eq!(code, 0, "{out}{err}");

    served.shown_when("three.example", |shown| {
        (shown["state"] == "live").then_some(())
    });
    let certificates = served.json(&["cert", "list", "three.example"]);
    assert_eq!(certificates[0]["source"], "acme", "{certificates}");
    assert_eq!(
        certificates[0]["names"][0], "three.example",
        "{certificates}"
    );
    let (code, out, err) = served.domicile(&["user", "add", "juliet@three.example"]);
    assert_eq!(code, 0, "{out}{err}");
    let password = out
        .lines()
        .find_map(|line| line.strip_prefix("password "))
        .expect("a drawn password")
        .to_owned();
    let log = served.service.text();
    assert!(!log.contains(&password), "a password is in the log");
    assert_eq!(challenge_records(&bind), "", "no challenge stays behind");

    // An authority that has gone: the owner reads what is in the way, the domain stays live, and it mends by itself.
    pebble.service = None;
    let (code, out, err) = served.domicile(&["cert", "order", "three.example"]);
    assert_eq!(code, 0, "{out}{err}");
    let failed = |shown: &serde_json::Value| {
        let checks = shown["checks"].as_array().into_iter().flatten();
        let mut failed = checks.filter(|check| check["code"] == "certificate-order-failed");
        failed.next().map(|check| check["observed"].to_string())
    };
    let why = served.shown_when("three.example", failed);
    assert!(why.contains("cannot be reached"), "{why}");
    assert_eq!(
        served.json(&["domain", "show", "three.example"])["state"],
        "live"
    );
    pebble.restart();
    let (code, out, err) = served.domicile(&["cert", "order", "three.example"]);
    assert_eq!(code, 0, "{out}{err}");
    served.shown_when("three.example", |shown| {
        failed(shown).is_none().then_some(())
    });

    // ACME-15: what is removed leaves nothing in the platform's zone.
    let target = served.json(&["domain", "show", "three.example"])["target"]
        .as_str()
        .expect("target")
        .to_owned();
    let (code, out, err) = served.domicile(&["domain", "remove", "three.example", "--yes"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("_xmpp-client._tcp.three.example."),
        "the owner is told what dangles: {out}"
    );
    let out = Command::new(program("dig"))
        .args([
            &format!("@{}", bind.address.ip()),
            "-p",
            &bind.address.port().to_string(),
            &target,
            "A",
        ])
        .output()
        .expect("dig");
    assert!(
        String::from_utf8_lossy(&out.stdout).contains("NXDOMAIN"),
        "the target has gone"
    );
}

#[test]
fn the_second_authority_issues_while_the_first_is_dead() {
    second_of("", true, 1);
}

#[test]
fn the_second_authority_issues_what_the_first_has_refused_three_times() {
    second_of(EXTERNAL, false, 3);
}

/// A domain whose certificate the first of two real authorities does not issue; it is asked again after each failure, as an owner
/// would. Which authority the certificate in use is of, only that one can say.
fn second_of(more: &str, dies: bool, failures: usize) {
    let bind = Bind::start(&[("four.example", "")]);
    let mut first = Pebble::current(bind.address, more, Vec::new());
    let second = Pebble::current(
        bind.address,
        r#","caaIdentities":["second.example"]"#,
        Vec::new(),
    );
    let more = More {
        second: Some(&second),
        ..More::default()
    };
    let served = Served::start(&bind, &first, more);
    if dies {
        first.service = None;
    }
    let done = |args: &[&str]| {
        let (code, out, err) = served.domicile(args);
        assert_eq!(code, 0, "{args:?}: {out}{err}");
        out
    };
    done(&["tenant", "add", "acme"]);
    done(&["domain", "add", "four.example", "--tenant", "acme"]);
    done(&["domain", "set", "four.example", "--services", ""]);
    let fragment = done(&["domain", "records", "four.example", "--zone-file"]);
    bind.update("four.example", &crate::harness::bind::added(&fragment));
    for failed in 1..=failures {
        served.shown_when("four.example", |shown| {
            assert_ne!(shown["state"], "live", "issued by the first");
            let said = served.service.text().matches("no certificate").count();
            (said >= failed).then_some(())
        });
        done(&["cert", "order", "four.example"]);
    }
    served.shown_when("four.example", |shown| {
        (shown["state"] == "live").then_some(())
    });
    let serial = served.serial("four.example");
    let state = second.state_of(&serial);
    assert!(state.contains("Valid"), "{serial}: {state}");
    let said = served.service.text().matches("no certificate").count();
    assert_eq!(said, failures, "the second is asked once");
}
