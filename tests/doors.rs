//! Doors that are seldom taken: the platform's own name over WebSocket and over direct TLS without SNI, web pages of other
//! origins, what is said of outages, and a component that somebody elsewhere writes to.

use std::path::Path;

use crate::harness::demo::{Demo, loopback};
use crate::harness::peers::{Trust, prosody};
use crate::harness::serve::Served;
use crate::harness::tools::{domicile, nsupdate};
use crate::harness::web::{WebSocket, ask};
use crate::harness::xmpp::{Client, Connection, between, tls_config};
use serde_json::{Value, json};
use sha1::{Digest as _, Sha1};

/// The platform's name in the demo.
const PLATFORM: &str = "on.hosting.example";

/// WS-11: under the platform's own name people of every hosted domain come in, each to their own.
#[test]
fn ws_11_the_platform_s_name_serves_every_domain() {
    let demo = Demo::start();
    let users = ["alice@one.example", "bob@two.example"];
    let mut sockets = users.map(|jid| {
        let mut socket = WebSocket::open(&demo, PLATFORM);
        socket.login(jid, demo.password(jid), "web");
        socket.say("<presence xmlns='jabber:client'/>");
        socket.until("<presence ");
        socket
    });
    let stanza = "<message xmlns='jabber:client' to='bob@two.example/web' id='m1'><body>hello</body></message>";
    sockets[0].say(stanza);
    let got = sockets[1].until("id='m1'");
    assert!(got.contains("from='alice@one.example/web'"), "{got}");
}

/// The operator names the web pages that may connect; others are refused, and programs, which send no Origin, are not.
#[test]
fn web_pages_of_other_origins_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = Demo::start_in(loopback(), dir.path(), &[]);
    let info = demo.info.clone();
    assert!(demo.terminate().success());
    let only = (
        "DOMICILE_CLIENTS_WEB_ORIGINS",
        "https://chat.example".to_owned(),
    );
    let served = Served::on(dir.path(), &info, &[only]);
    let upgrade = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
        sec-websocket-protocol: xmpp\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let status =
        |path: &str, headers: String| ask(&served, "one.example", path, &headers, b"").status;
    let foreign = "origin: https://evil.example\r\n";
    let refused = status("GET /xmpp-websocket", format!("{upgrade}{foreign}"));
    assert_eq!(refused, 403);
    let refused = status(
        "POST /http-bind",
        format!("content-type: text/xml\r\n{foreign}"),
    );
    assert_eq!(refused, 403);
    let mut socket = WebSocket::open(&served, "one.example");
    socket.login(
        "alice@one.example",
        info.password("alice@one.example"),
        "web",
    );
}

/// C-02, VHOST-03: without SNI the platform's certificate is shown, which is no tenant's; the stream's `to` then says whose
/// account is meant, as under the platform's name anywhere.
#[test]
fn vhost_03_without_sni_the_platform_s_certificate_is_shown_and_to_decides() {
    let demo = Demo::start();
    for jid in ["alice@one.example", "bob@two.example"] {
        let (user, domain) = jid.split_once('@').expect("bare JID");
        let mut config = tls_config(demo.roots(), &["xmpp-client"]);
        config.enable_sni = false;
        let connection = Connection::open_tls(demo.info.c2s_tls, domain, config, PLATFORM)
            .expect("a handshake under the platform's name");
        let mut client =
            Client::authenticate(connection, user, demo.password(jid), "x").available();
        client.settle();
    }
    let mut config = tls_config(demo.roots(), &["xmpp-client"]);
    config.enable_sni = false;
    let other = Connection::open_tls(demo.info.c2s_tls, "one.example", config, "one.example");
    assert!(
        other.is_err(),
        "no tenant's certificate goes to who names nobody"
    );
}

/// EXT-39: people's clients learn while all is well where to look when nothing answers, and everybody may read there what was
/// announced, of the domain before that of all.
#[test]
fn ext_39_what_is_announced_is_read_where_clients_were_told_to_look() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = Demo::start_in(loopback(), dir.path(), &[]);
    let info = demo.info.clone();
    assert!(demo.terminate().success());
    let envs = [
        ("DOMICILE_PLATFORM_WEB", format!("https://{PLATFORM}")),
        (
            "DOMICILE_OUTAGE_STATUS",
            "https://status.example/{domain}.json".to_owned(),
        ),
    ];
    let served = Served::on(dir.path(), &info, &envs);
    let mut alice = served.online("alice@one.example", "x");
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let form = alice.iq("get", Some("one.example"), info);
    let told = format!(
        "<value>https://status.example/one.example.json</value>\
         <value>https://{PLATFORM}/outage/one.example</value>"
    );
    assert!(form.contains(&told), "{form}");
    let read = |domain: &str| {
        let answer = ask(&served, PLATFORM, &format!("GET /outage/{domain}"), "", b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), Some("*"));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.json()
    };
    assert_eq!(read("one.example"), json!({}));
    let command = |args: &[&str]| done_at(dir.path(), &[&["outage"], args].concat());
    command(&["announce", "Everything is late"]);
    command(&[
        "announce",
        "New discs",
        "--text",
        "de=Neue Platten",
        "--planned",
        "--domain",
        "one.example",
        "--beginning",
        "2026-12-24T18:00:00Z",
        "--end",
        "2026-12-24T20:00:00Z",
    ]);
    let own = json!({
        "planned": true, "beginning": "2026-12-24T18:00:00Z", "expected_end": "2026-12-24T20:00:00Z",
        "message": { "default": "New discs", "de": "Neue Platten" },
    });
    assert_eq!(read("one.example"), own);
    assert_eq!(
        read("two.example")["message"],
        json!({ "default": "Everything is late" })
    );
    let printed = command(&["show", "--domain", "one.example"]);
    assert_eq!(serde_json::from_str::<Value>(&printed).expect("JSON"), own);
    command(&["over", "--domain", "one.example"]);
    command(&["over"]);
    assert_eq!(
        (read("one.example"), read("two.example")),
        (json!({}), json!({}))
    );
    for nobody in ["nobody.example", "%2e%2e", "a%20b", "one.example%00"] {
        let answer = ask(&served, PLATFORM, &format!("GET /outage/{nobody}"), "", b"");
        assert_eq!(answer.status, 404, "{nobody}");
    }
    // Under a domain's own name nothing of the kind is said.
    assert_eq!(
        ask(&served, "one.example", "GET /outage/one.example", "", b"").status,
        404
    );
}

/// A command beside the running demo, which must do what it is told.
fn done(demo: &Demo, args: &[&str]) -> String {
    done_at(&demo.data_dir, args)
}

fn done_at(dir: &Path, args: &[&str]) -> String {
    let place = dir.to_string_lossy().into_owned();
    let (code, out, err) = domicile(&[args, &["--data-dir", &place]].concat());
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    out
}

/// A program behind `bridge.one.example`, once the server has heard of it.
fn bridge(demo: &Demo) -> Connection {
    let made = done(
        demo,
        &["component", "add", "one.example", "bridge", "--json"],
    );
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let secret = made["secret"].as_str().expect("a secret");
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    loop {
        let mut wire = Connection::open(demo.info.components, "bridge.one.example");
        wire.send(
            "<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' \
             to='bridge.one.example'>",
        );
        let header = wire.item();
        let id = between(&header, " id='", "'").expect("an id");
        let hash = Sha1::digest(format!("{id}{secret}").as_bytes());
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        wire.send(&format!("<handshake>{hash}</handshake>"));
        let answer = wire.next().unwrap_or_default();
        if answer == "<handshake/>" {
            return wire;
        }
        assert!(std::time::Instant::now() < end, "never let in: {answer}");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

/// COMP-01: a user of another server and the program behind a name below a hosted domain write to each other.
#[test]
fn comp_01_a_component_is_reached_from_another_server() {
    let demo = Demo::start();
    let peer = prosody(&demo, "prosody.example", Trust::Dialback);
    let port = demo.info.s2s.port();
    let records = [
        format!("update add xmpp.bridge.one.example. 60 A {}", demo.listen),
        format!(
            "update add _xmpp-server._tcp.bridge.one.example. 60 SRV 0 5 {port} xmpp.bridge.one.example."
        ),
    ];
    nsupdate(&demo, "one.example", &records);
    let mut bridge = bridge(&demo);
    let mut romeo = peer.online("romeo", "x");
    romeo.message("#verona@bridge.one.example", "m1", "who is there?");
    let got = bridge.until("id='m1'");
    let from = format!("from='{}'", romeo.jid);
    assert!(
        got.contains(&from) && got.contains("who is there?"),
        "{got}"
    );
    bridge.send(&format!(
        "<message from='#verona@bridge.one.example' to='{}' id='m2'><body>all</body></message>",
        romeo.jid
    ));
    let got = romeo.until("m2");
    assert!(got.contains("from='#verona@bridge.one.example'"), "{got}");
}
