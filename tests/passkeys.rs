//! Passkeys of people of the panel: Chromium with an authenticator in software.

mod harness;

use std::path::PathBuf;

use harness::demo::{Demo, loopback};
use harness::serve::Served;
use harness::tools::{environment, node, repository, script};
use serde_json::{Value, json};

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
    let shots = std::env::var_os("PANEL_SHOTS").map_or_else(|| dir.join("shots"), PathBuf::from);
    let plan = dir.join("passkeys-plan.json");
    let text = json!({
        "panel": panel, "address": address,
        "who": { "login": info.owner.login, "password": info.owner.password }, "shots": shots,
    });
    std::fs::write(&plan, text.to_string()).expect("plan");
    let args = [repository().join("tests/browser/passkeys.mjs"), plan]
        .map(|p| p.to_string_lossy().into_owned());
    let modules = environment().join("node").to_string_lossy().into_owned();
    let out = script(
        &node(),
        &args,
        &[("TEST_NODE", modules)],
        harness::DEADLINE * 5,
    );
    let seen: Value = serde_json::from_str(out.lines().last().unwrap_or_default()).expect("JSON");
    assert_eq!(seen, json!({ "alone": true, "second": true }));
}
