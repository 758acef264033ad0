//! People move with everything they have (XEP-0227): from SQLite to PostgreSQL and back, and from what a real Prosody's
//! migrator and a real ejabberd write. A real client (slixmpp) looks whether it is all there.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::demo::Demo;
use crate::harness::peers::{self, Trust, USERS};
use crate::harness::postgres::Postgres;
use crate::harness::serve::Platform;
use crate::harness::tools::{domicile, domicile_with, environment, program, repository, script};
use crate::harness::xmpp::Client;
use serde_json::{Value, json};

/// Where somebody logs in.
fn account(jid: &str, password: &str, c2s: std::net::SocketAddr) -> Value {
    json!({ "jid": jid, "password": password, "host": c2s.ip().to_string(), "port": c2s.port(), "direct_tls": false })
}

/// What `tests/clients/moving.py` says.
fn moving(demo: &Demo, account: &Value, stage: &str) -> Value {
    let plan = json!({
        "ca": demo.info.ca, "account": account, "stage": stage, "contact": "bob@two.example",
        "room": "home@rooms.one.example", "says": "I am moving <&> \u{2603}",
    });
    let file = demo.data_dir.join(format!("moving.{stage}.json"));
    std::fs::write(&file, plan.to_string()).expect("plan");
    let args = [repository().join("tests/clients/moving.py"), file];
    let args = args.map(|path| path.to_string_lossy().into_owned());
    let python = environment().join("python/bin/python");
    let ca = demo.info.ca.to_string_lossy().into_owned();
    let out = script(
        &python,
        &args,
        &[("SSL_CERT_FILE", ca)],
        crate::harness::DEADLINE * 4,
    );
    serde_json::from_str(out.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{out}: {e}"))
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[test]
fn ext_38_a_domain_moves_between_engines_and_people_find_everything_with_their_old_passwords() {
    let demo = Demo::start();
    let (mover, password) = ("mover@one.example", "no place like home 7");
    let data = text(&demo.data_dir);
    let add = [
        "user",
        "add",
        mover,
        "--password-stdin",
        "--data-dir",
        &data,
    ];
    let (code, out, err) = domicile_with(&add, &format!("{password}\n"));
    assert_eq!(code, 0, "{out}{err}");
    let there = account(mover, password, demo.info.c2s);
    assert_eq!(moving(&demo, &there, "fill")["filled"], true);
    let files = tempfile::tempdir().expect("a directory");
    let file = files.path().join("one.xml");
    let (code, out, err) = domicile(&[
        "export",
        "one.example",
        &text(&file),
        "--archive",
        "--passwords",
        "--data-dir",
        &data,
    ]);
    assert_eq!(code, 0, "{out}{err}");

    let postgres = Postgres::start();
    let mut platform = Platform::beside(&demo, &postgres.url());
    let served = platform.serve();
    let api = platform.settle();
    platform.host(&demo, &api, "four.example");
    let import = [
        "import",
        "four.example",
        &text(&file),
        "--from",
        "one.example",
        "--json",
    ];
    let came: Value = serde_json::from_str(&platform.done(&import, "")).expect("JSON");
    assert!(came["accounts"].as_u64() >= Some(1), "{came}");
    let again: Value = serde_json::from_str(&platform.done(&import, "")).expect("JSON");
    assert_eq!(
        (&again["accounts"], &again["things"]),
        (&json!(0), &json!({})),
        "{again}"
    );
    let there = account("mover@four.example", password, served.info.c2s);
    let found = moving(&demo, &there, "find");
    assert_eq!(
        found,
        json!({ "contact": true, "bookmark": true, "private": true, "archive": true })
    );

    // Back over the API: as it is written out, and as a job.
    let answer = api.get("/domains/four.example/people/export?archive=true&passwords=true");
    assert_eq!(answer.status, 200);
    let back = files.path().join("four.xml");
    std::fs::write(&back, answer.body.as_bytes()).expect("written");
    platform.host(&demo, &api, "five.example");
    let job = api
        .send(
            "POST",
            "/domains/five.example/people/import?host=four.example",
            "application/xml",
            answer.body.as_bytes(),
        )
        .json();
    let mut shown = job.clone();
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    while shown["moved"].is_null() {
        assert!(
            std::time::Instant::now() < end,
            "not through in time: {shown}"
        );
        assert!(shown["failed"].is_null(), "{shown}");
        shown = api
            .get(&format!(
                "/domains/five.example/people/imports/{}",
                job["id"]
            ))
            .json();
    }
    assert_eq!(shown["moved"]["ended"], Value::Null, "{shown}");
    let there = account("mover@five.example", password, served.info.c2s);
    assert_eq!(moving(&demo, &there, "find")["archive"], true);
    let audit = api.get("/audit?limit=50").body;
    for word in ["people.export", "people.import"] {
        assert!(audit.contains(word), "{word} in {audit}");
    }
    // And into SQLite.
    let (code, out, err) = domicile(&[
        "import",
        "two.example",
        &text(&back),
        "--from",
        "four.example",
        "--user",
        "mover",
        "--data-dir",
        &data,
    ]);
    assert_eq!(code, 0, "{out}{err}");
    let there = account("mover@two.example", password, demo.info.c2s);
    assert_eq!(moving(&demo, &there, "find")["bookmark"], true);
}

/// A contact of a peer's user, made by the peer itself.
fn befriend(client: &mut Client) {
    client.send(
        "<iq type='set' id='friend'><query xmlns='jabber:iq:roster'><item jid='alice@one.example' name='Al'>\
         <group>Old friends</group></item></query></iq>",
    );
    client.until("id='friend'");
}

/// What Prosody's own migrator makes of its data: a file for each person. It writes to one place only, so it is shown another
/// in its stead, in a mount namespace of its own.
fn prosody_files(data: &Path, domain: &str, out: &Path) -> Vec<PathBuf> {
    let stores = "{ \"accounts\", \"roster\", \"private\", \"vcard\" }";
    let config = out.join("migrator.cfg.lua");
    let lines = format!(
        "local stores = {stores}\n\
         input {{ hosts = {{ [\"{domain}\"] = stores }}; type = \"internal\"; path = \"{}\" }}\n\
         output {{ hosts = {{ [\"{domain}\"] = stores }}; type = \"xep0227\" }}\n",
        data.display()
    );
    std::fs::write(&config, lines).expect("configuration");
    let made = out.join("made");
    std::fs::create_dir(&made).expect("a directory");
    // It works as the user prosody.
    for path in [data.parent().expect("a parent"), out] {
        let done = Command::new("chmod")
            .args(["-R", "a+rwX"])
            .arg(path)
            .status();
        assert!(done.expect("chmod").success());
    }
    let ran = Command::new(program("unshare"))
        .args(["--mount", "--", "sh", "-c"])
        .arg("mount --bind \"$0\" /var/lib/prosody && exec \"$@\"")
        .arg(&made)
        .args([
            "prosody-migrator",
            &format!("--config={}", config.display()),
            "input",
            "output",
        ])
        .output()
        .expect("prosody-migrator");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stdout)
    );
    let files = std::fs::read_dir(&made).expect("a directory");
    let files = files.map(|entry| entry.expect("an entry").path());
    files
        .filter(|path| path.extension().is_some_and(|e| e == "xml"))
        .collect()
}

#[test]
fn ext_38_what_prosody_writes_is_taken_in_and_its_people_log_in() {
    let demo = Demo::start();
    let peer = peers::prosody(&demo, "prosody.example", Trust::Dialback);
    let (user, password) = USERS[0];
    befriend(&mut peer.online(user, "here"));
    let data = peer.dir().join("data");
    let out = tempfile::tempdir().expect("a directory");
    let files = prosody_files(&data, "prosody.example", out.path());
    assert_eq!(files.len(), USERS.len(), "{files:?}");
    takes_in(&demo, "prosody.example", &files, user, password);
}

#[test]
fn ext_38_what_ejabberd_writes_is_taken_in_and_its_people_log_in() {
    let demo = Demo::start();
    let peer = peers::ejabberd(&demo, "ejabberd.example", Trust::Dialback);
    let (user, password) = USERS[0];
    befriend(&mut peer.online(user, "here"));
    let out = tempfile::tempdir().expect("a directory");
    let main = peer.exported(out.path());
    takes_in(&demo, "ejabberd.example", &[main], user, password);
}

/// Imports files into a domain of the demo, and logs in there as one did at the peer.
fn takes_in(demo: &Demo, from: &str, files: &[PathBuf], user: &str, password: &str) {
    let data = text(&demo.data_dir);
    let files: Vec<String> = files.iter().map(|path| text(path)).collect();
    let mut args = vec!["import", "two.example", "--from", from, "--data-dir", &data];
    args.extend(files.iter().map(String::as_str));
    let (code, out, err) = domicile(&args);
    assert_eq!(code, 0, "{out}{err}");
    let there = account(&format!("{user}@two.example"), password, demo.info.c2s);
    let found = moving(demo, &there, "login");
    assert_eq!(found["contacts"], json!(["alice@one.example"]), "{out}");
}
