//! Real clients: slixmpp logs in to every domain over both kinds of TLS and chats across them, and with a user of a
//! real Prosody; it follows a conversation by carbons and archive, and blocks.

mod harness;

use harness::demo::Demo;
use harness::tools::{environment, repository, script};
use serde_json::{Value, json};

/// Runs `tests/clients/chat.py` with the given accounts.
fn chat(demo: &Demo, accounts: &[Value]) -> Value {
    let plan = json!({ "ca": demo.info.ca, "accounts": accounts });
    clients(demo, "chat.py", &plan)
}

/// Runs one of the scripts in `tests/clients` with its plan; what it says in its last line.
fn clients(demo: &Demo, name: &str, plan: &Value) -> Value {
    let file = demo.data_dir.join(format!("{name}.plan.json"));
    std::fs::write(&file, plan.to_string()).expect("plan");
    let python = environment().join("python/bin/python");
    let args = [repository().join("tests/clients").join(name), file]
        .map(|p| p.to_string_lossy().into_owned());
    let out = script(
        &python,
        &args,
        &[("SSL_CERT_FILE", demo.info.ca.to_string_lossy().into_owned())],
        harness::DEADLINE * 4,
    );
    serde_json::from_str(out.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{out}: {e}"))
}

fn account(demo: &Demo, jid: &str, direct_tls: bool) -> Value {
    let addr = if direct_tls {
        demo.info.c2s_tls
    } else {
        demo.info.c2s
    };
    json!({ "jid": jid, "password": demo.password(jid), "host": addr.ip().to_string(), "port": addr.port(), "direct_tls": direct_tls })
}

#[test]
fn slixmpp_chats_across_domains_over_starttls_and_direct_tls() {
    let demo = Demo::start();
    let accounts: Vec<Value> = demo
        .info
        .users
        .iter()
        .enumerate()
        .map(|(i, u)| account(&demo, &u.jid, i % 2 == 1))
        .collect();
    let result = chat(&demo, &accounts);
    assert_eq!(result["clients"], json!(accounts.len()), "{result}");
    let mechanisms = result["mechanisms"].to_string();
    assert!(
        mechanisms.contains("SCRAM-"),
        "clients prefer SCRAM: {mechanisms}"
    );
}

/// A user of a real Prosody.
fn at_prosody(peer: &harness::peers::Peer) -> Value {
    let (user, password) = harness::peers::USERS[0];
    json!({
        "jid": format!("{user}@{}", peer.domain), "password": password,
        "host": peer.addr.to_string(), "port": 5222, "direct_tls": false,
    })
}

/// EXT-12, EXT-15, EXT-18: with a user of another domain here, and with one of a real Prosody.
#[test]
fn slixmpp_follows_a_conversation_by_copies_and_archive_and_blocks() {
    let demo = Demo::start();
    let peer = harness::peers::prosody(&demo, "prosody.example", harness::peers::Trust::Strict);
    let ours = account(&demo, "alice@one.example", false);
    for theirs in [account(&demo, "bob@two.example", true), at_prosody(&peer)] {
        let plan = json!({ "ca": demo.info.ca, "ours": ours, "theirs": theirs });
        let result = clients(&demo, "messages.py", &plan);
        assert_eq!(result["messages"], json!(7), "{result}");
    }
}

#[test]
fn slixmpp_chats_with_a_user_of_prosody() {
    let demo = Demo::start();
    let peer = harness::peers::prosody(&demo, "prosody.example", harness::peers::Trust::Strict);
    let mut accounts: Vec<Value> = demo
        .info
        .users
        .iter()
        .map(|u| account(&demo, &u.jid, false))
        .collect();
    accounts.push(at_prosody(&peer));
    chat(&demo, &accounts);
}

/// CS-12, CS-13, CS-17, CS-18: bookmarks and a picture kept in one form and read in the others, a room that remembers.
#[test]
fn slixmpp_finds_what_was_kept_in_another_form_and_what_was_said_in_a_room() {
    let demo = Demo::start();
    let plan = json!({
        "ca": demo.info.ca, "room": "coven@rooms.one.example",
        "ours": account(&demo, "alice@one.example", false),
        "theirs": account(&demo, "bob@two.example", true),
    });
    let result = clients(&demo, "personal.py", &plan);
    assert_eq!(result["bookmarks"], json!([true, true, true]), "{result}");
    assert_eq!(result["picture"], json!(true), "{result}");
    assert_eq!(result["memory"], json!([true, true]), "{result}");
    assert_eq!(result["clients"], json!(1), "{result}");
}

/// A room of a hosted domain, with people of that domain, of another one here, and of a real Prosody.
#[test]
fn slixmpp_meets_users_of_prosody_in_a_room() {
    let demo = Demo::start();
    let peer = harness::peers::prosody(&demo, "prosody.example", harness::peers::Trust::Strict);
    let (user, password) = harness::peers::USERS[0];
    let mut accounts: Vec<Value> = demo
        .info
        .users
        .iter()
        .map(|u| account(&demo, &u.jid, false))
        .collect();
    accounts.push(json!({
        "jid": format!("{user}@{}", peer.domain), "password": password,
        "host": peer.addr.to_string(), "port": 5222, "direct_tls": false,
    }));
    let domain = demo.info.users[0]
        .jid
        .split_once('@')
        .expect("an address")
        .1;
    let plan = json!({
        "ca": demo.info.ca, "accounts": accounts, "room": format!("coven@rooms.{domain}"),
    });
    let result = clients(&demo, "rooms.py", &plan);
    assert_eq!(result["occupants"], json!(accounts.len()), "{result}");
    assert_eq!(result["name"], json!(["Witches"]), "{result}");
    assert_eq!(
        result["rooms"],
        json!(0),
        "not listed before its owner wants it: {result}"
    );
    assert_eq!(result["self_ping"], json!(true), "{result}");
}
