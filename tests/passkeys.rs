//! Passkeys of people of the panel: Chromium with an authenticator in software.

use crate::harness::browser::browse;
use crate::harness::demo::{Demo, loopback};
use crate::harness::serve::Served;
use serde_json::json;

#[test]
fn an_owner_makes_a_passkey_and_signs_in_with_it_alone_and_beside_the_password() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = Demo::start_in(loopback(), dir.path(), &[]);
    let info = demo.info.clone();
    let address = info.c2s.ip().to_string();
    let (_, port) = info
        .panel
        .trim_end_matches('/')
        .rsplit_once(':')
        .expect("a port");
    // Browsers know passkeys of names only: the same installation, its panel at one.
    let panel = format!("http://localhost:{port}");
    assert!(demo.terminate().success());
    let dir = dir.path();
    let _served = Served::on(dir, &info, &[("DOMICILE_PANEL_URL", panel.clone())]);
    let plan = json!({
        "panel": panel, "address": address,
        "who": { "login": info.owner.login, "password": info.owner.password },
    });
    let seen = browse("passkeys", plan, dir, 5);
    assert_eq!(seen, json!({ "alone": true, "second": true }));
}
