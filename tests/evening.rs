//! An evening of ordinary clients, on SQLite and on PostgreSQL: slixmpp with OMEMO at two hosted domains and a real Prosody, with
//! contacts, avatars, files, a room and a second device; the server is killed (SIGKILL) while everybody writes, and starts again
//! on what it had kept. Converse.js in Chromium then is another device, which reads what was said before and afterwards.

use std::path::Path;
use std::process::Command;

use crate::harness::browser::browse;
use crate::harness::demo::{Demo, loopback};
use crate::harness::engine::{Engine, on_both};
use crate::harness::peers::{USERS, prosody};
use crate::harness::tools::{Service, environment, repository};
use serde_json::{Value, json};

on_both! { an_evening_of_clients_survives_kill_9; }

const ROOM: &str = "coven@rooms.one.example";

fn account(demo: &Demo, jid: &str) -> Value {
    let at = demo.info.c2s;
    json!({
        "jid": jid, "password": demo.password(jid), "host": at.ip().to_string(), "port": at.port(), "direct_tls": false,
    })
}

/// Design rule "acknowledged means durable", as clients see it: what XEP-0198 acknowledged before the crash is in the archives
/// of both sides and of the room, once, in order, and has reached the other server; the rest is said again under the same ids
/// and is there too.
fn an_evening_of_clients_survives_kill_9(engine: &Engine) {
    let dir = tempfile::tempdir().expect("temporary directory");
    let listen = loopback();
    let demo = engine.start(listen, dir.path());
    let peer = prosody(
        &demo,
        "prosody.example",
        crate::harness::peers::Trust::Strict,
    );
    let (user, password) = USERS[0];
    let door = crate::harness::web::door(&demo);
    let plan = json!({
        "ca": demo.info.ca, "room": ROOM,
        "door": {"host": door.ip().to_string(), "port": door.port()},
        "alice": account(&demo, "alice@one.example"), "bob": account(&demo, "bob@two.example"),
        "romeo": {
            "jid": format!("{user}@{}", peer.domain), "password": password,
            "host": peer.addr.to_string(), "port": 5222, "direct_tls": false,
        },
    });
    let file = dir.path().join("evening.json");
    std::fs::write(&file, plan.to_string()).expect("plan");
    let mut command = Command::new(environment().join("python/bin/python"));
    command
        .arg(repository().join("tests/clients/evening.py"))
        .arg(file)
        .env("SSL_CERT_FILE", &demo.info.ca);
    let log = dir.path().join("evening.log");
    let mut evening = Service::start("evening", &mut command, log);
    for far in ["online", "introduced", "chatting", "together", "flowing"] {
        evening.says(far);
    }
    demo.kill_9();
    let demo = engine.start(listen, dir.path());
    evening.says("back");
    evening.says("over: ");
    let text = evening.text();
    let last = text.lines().last().unwrap_or_default();
    let result: Value = serde_json::from_str(last.trim_start_matches("over: "))
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    for what in ["kept", "acknowledged", "read"] {
        assert!(result[what].as_u64() > Some(80), "{what}: {result}");
    }
    assert!(result["across"].as_u64() > Some(20), "across: {result}");
    browser(&demo, dir.path());
}

/// Alice in a browser, who was not there: every line is from an archive (XEP-0313), of which the page reads one piece after the
/// other, back beyond the crash.
fn browser(demo: &Demo, dir: &Path) {
    let said = |how: &str| ["before", "after"].map(|when| format!("{how}, {when} the crash"));
    let plan = json!({
        "ca": demo.info.ca, "domain": "one.example", "door": crate::harness::web::door(demo).to_string(),
        "jid": "alice@one.example", "password": demo.password("alice@one.example"), "nick": "alice in a browser",
        "places": [
            {"jid": "bob@two.example", "room": false, "said": said("plainly")},
            {"jid": ROOM, "room": true, "said": said("to everybody")},
        ],
    });
    let asked = browse("evening", plan, dir, 6);
    // More than a page each: the crash lies between them.
    for place in ["bob@two.example", ROOM] {
        assert!(asked[place].as_u64() > Some(1), "{place}: {asked}");
    }
}
