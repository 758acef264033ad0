//! Real clients: slixmpp logs in to every domain over both kinds of TLS and chats across them, and with a user of a
//! real Prosody; it follows a conversation by carbons and archive, and blocks.

use std::path::Path;
use std::process::Command;

use crate::harness::demo::Demo;
use crate::harness::http::Api;
use crate::harness::tools::{domicile, environment, program, repository, script};
use serde_json::{Value, json};

/// Runs `tests/clients/chat.py` with the given accounts.
fn chat(demo: &Demo, accounts: &[Value]) -> Value {
    let plan = json!({ "ca": demo.info.ca, "accounts": accounts });
    clients(demo, "chat.py", &plan)
}

/// Runs one of the scripts in `tests/clients` with its plan; what it says in its last line.
pub fn clients(demo: &Demo, name: &str, plan: &Value) -> Value {
    let file = demo.data_dir.join(format!("{name}.plan.json"));
    std::fs::write(&file, plan.to_string()).expect("plan");
    let python = environment().join("python/bin/python");
    let args = [repository().join("tests/clients").join(name), file]
        .map(|p| p.to_string_lossy().into_owned());
    let out = script(
        &python,
        &args,
        &[("SSL_CERT_FILE", demo.info.ca.to_string_lossy().into_owned())],
        crate::harness::DEADLINE * 4,
    );
    serde_json::from_str(out.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{out}: {e}"))
}

pub fn account(demo: &Demo, jid: &str, direct_tls: bool) -> Value {
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

/// A user of a real Prosody or ejabberd.
pub fn at_peer(peer: &crate::harness::peers::Peer) -> Value {
    let (user, password) = crate::harness::peers::USERS[0];
    json!({
        "jid": format!("{user}@{}", peer.domain), "password": password,
        "host": peer.addr.to_string(), "port": 5222, "direct_tls": false,
    })
}

/// EXT-12, EXT-15, EXT-18: with a user of another domain here, and with one of a real Prosody.
#[test]
fn slixmpp_follows_a_conversation_by_copies_and_archive_and_blocks() {
    let demo = Demo::start();
    let peer = crate::harness::peers::prosody(
        &demo,
        "prosody.example",
        crate::harness::peers::Trust::Strict,
    );
    let ours = account(&demo, "alice@one.example", false);
    for theirs in [account(&demo, "bob@two.example", true), at_peer(&peer)] {
        let plan = json!({ "ca": demo.info.ca, "ours": ours, "theirs": theirs });
        let result = clients(&demo, "messages.py", &plan);
        assert_eq!(result["messages"], json!(7), "{result}");
    }
}

#[test]
fn slixmpp_chats_with_a_user_of_prosody() {
    let demo = Demo::start();
    let peer = crate::harness::peers::prosody(
        &demo,
        "prosody.example",
        crate::harness::peers::Trust::Strict,
    );
    let mut accounts: Vec<Value> = demo
        .info
        .users
        .iter()
        .map(|u| account(&demo, &u.jid, false))
        .collect();
    accounts.push(at_peer(&peer));
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
    let peer = crate::harness::peers::prosody(
        &demo,
        "prosody.example",
        crate::harness::peers::Trust::Strict,
    );
    let mut accounts: Vec<Value> = demo
        .info
        .users
        .iter()
        .map(|u| account(&demo, &u.jid, false))
        .collect();
    accounts.push(at_peer(&peer));
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

/// A certificate and its key in PEM files, by `openssl`: of itself, or of an authority (the same pair of files).
fn certificate(dir: &Path, name: &str, addresses: &[&str], extensions: &str, by: &str) -> Value {
    let path = |name: &str, end: &str| dir.join(format!("{name}.{end}")).display().to_string();
    let (cert, key) = (path(name, "crt"), path(name, "key"));
    let mut command = Command::new(program("openssl"));
    command
        .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "30"])
        .args(["-pkeyopt", "ec_paramgen_curve:P-256", "-addext", extensions])
        .args([
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            &key,
            "-out",
            &cert,
        ]);
    if !by.is_empty() {
        command.args(["-CA", &path(by, "crt"), "-CAkey", &path(by, "key")]);
    }
    // XmppAddr (RFC 6120 13.7.1.4)
    let names = addresses.iter();
    let names: Vec<_> = names
        .map(|address| format!("otherName:1.3.6.1.5.5.7.8.5;UTF8:{address}"))
        .collect();
    if !names.is_empty() {
        command.args(["-addext", &format!("subjectAltName={}", names.join(","))]);
    }
    let out = command.output().expect("openssl");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "openssl: {said}");
    json!({ "cert": cert, "key": key })
}

/// E2E-11, SASL-44, CERT-19: RFC 6120 13.7.2.2 with every sub-case, XEP-0257, and what the domain's owner sees of it.
#[test]
fn e2e_11_slixmpp_logs_in_with_certificates() {
    let demo = Demo::start();
    let dir = tempfile::tempdir().expect("temporary directory");
    let (alice, bob) = ("alice@one.example", "bob@one.example");
    let leaf = "basicConstraints=critical,CA:FALSE";
    let of = |name: &str, addresses: &[&str], by: &str| {
        certificate(dir.path(), name, addresses, leaf, by)
    };
    certificate(dir.path(), "authority", &[], "keyUsage=keyCertSign", "");
    let certificates = json!({
        "phone": of("phone", &[], ""), "bot": of("bot", &[], ""),
        "one": of("one", &[bob], "authority"), "two": of("two", &[bob, alice], "authority"),
        "none": of("none", &[], "authority"),
    });
    let place = demo.data_dir.to_string_lossy().into_owned();
    let authority = dir.path().join("authority.crt").display().to_string();
    let set = [
        "domain",
        "set",
        "one.example",
        "--user-certificates",
        "true",
    ];
    let with = ["--client-ca", &authority, "--data-dir", &place];
    let (code, out, err) = domicile(&[&set[..], &with].concat());
    assert_eq!(code, 0, "{out}{err}");
    let mut witness = crate::harness::xmpp::Client::online(&demo, alice, "witness");
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    let disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    while !witness
        .iq("get", Some("one.example"), disco)
        .contains("urn:xmpp:saslcert:1")
    {
        assert!(std::time::Instant::now() < end, "never announced");
    }
    witness.close();

    let plan = json!({
        "ca": demo.info.ca, "alice": account(&demo, alice, false), "bob": bob, "certificates": certificates,
    });
    let result = clients(&demo, "external.py", &plan);
    assert_eq!(result["listed"], json!(["Bot", "Phone"]), "{result}");
    let api = Api::operator(&demo.info);
    let path = "/domains/one.example/accounts/alice/certificates";
    let listed = api.get(path).json();
    assert_eq!(listed[0]["name"], "Phone", "{listed}");
    assert_eq!(api.delete(&format!("{path}/Phone")).status, 204);
    api.delete(&format!("{path}/Phone"))
        .problem(404, "not-found");
    assert_eq!(api.get(path).json(), json!([]));
}
