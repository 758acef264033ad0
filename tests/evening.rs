//! An evening of ordinary clients: slixmpp with OMEMO at two hosted domains and a real Prosody, with contacts, avatars, files, a
//! room and a second device; the server is killed (SIGKILL) while everybody writes, and starts again on what it had kept.

use std::process::Command;

use crate::harness::demo::{Demo, loopback};
use crate::harness::peers::{USERS, prosody};
use crate::harness::tools::{Service, environment, repository};
use serde_json::{Value, json};

fn account(demo: &Demo, jid: &str) -> Value {
    let at = demo.info.c2s;
    json!({
        "jid": jid, "password": demo.password(jid), "host": at.ip().to_string(), "port": at.port(), "direct_tls": false,
    })
}

/// Design rule "acknowledged means durable", as clients see it: what XEP-0198 acknowledged before the crash is in the archives
/// of both sides and of the room, once, in order, and has reached the other server; the rest is said again under the same ids
/// and is there too.
#[test]
fn an_evening_of_clients_survives_kill_9() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let listen = loopback();
    let demo = Demo::start_in(listen, dir.path(), &[]);
    let peer = prosody(
        &demo,
        "prosody.example",
        crate::harness::peers::Trust::Strict,
    );
    let (user, password) = USERS[0];
    let door = crate::harness::web::door(&demo);
    let plan = json!({
        "ca": demo.info.ca, "room": "coven@rooms.one.example",
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
    evening.says("flowing");
    demo.kill_9();
    let _demo = Demo::start_in(listen, dir.path(), &[]);
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
}
