//! Clients that come through the public web door: WebSocket (RFC 7395), BOSH (XEP-0124, XEP-0206), how they find it
//! (XEP-0156, XEP-0487), and two that people use, in a real browser.

use crate::harness::browser::browse;
use crate::harness::demo::Demo;
use crate::harness::http::Answer;
use crate::harness::tools::{Service, domicile, environment, repository, script};
use crate::harness::web::{Asked, Message, WebSocket, ask, send};
use crate::harness::xmpp::{Client, between};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

const ALICE: &str = "alice@one.example";

fn online(demo: &Demo, jid: &str) -> WebSocket {
    let (_, domain) = jid.split_once('@').expect("bare JID");
    let mut socket = WebSocket::open(demo, domain);
    socket.login(jid, demo.password(jid), "web");
    socket.say("<presence xmlns='jabber:client'/>");
    socket.until("<presence ");
    socket
}

#[test]
fn ws_03_06_07_10_12_a_session_over_websocket_from_open_to_close() {
    let demo = Demo::start();
    let mut socket = WebSocket::open(&demo, "one.example");
    let (open, features) = socket.header("one.example");
    assert!(
        open.starts_with("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' "),
        "{open}"
    );
    assert!(
        open.contains(" id='") && open.contains(" from='one.example'") && open.ends_with("/>"),
        "{open}"
    );
    // Features declare their own namespace, and TLS is not offered once more (WS-06, WS-14).
    assert!(
        features.starts_with("<stream:features xmlns:stream='http://etherx.jabber.org/streams'>"),
        "{features}"
    );
    assert!(
        features.contains("SCRAM-SHA-1") && !features.contains("starttls"),
        "{features}"
    );
    assert!(!features.contains("EXTERNAL"), "{features}");
    let mut socket = online(&demo, ALICE);

    // To and fro with a client over TCP; a message in pieces (RFC 6455 5.4) with a ping between them.
    let mut bob = Client::online(&demo, "bob@one.example", "tcp");
    let stanza = "<message xmlns='jabber:client' to='bob@one.example' type='chat' id='m1'><body>käse</body></message>";
    let (one, two) = stanza.as_bytes().split_at(90);
    socket.frame(0x01, one);
    socket.frame(0x89, b"still there?");
    socket.frame(0x80, two);
    assert_eq!(socket.message(), Message::Pong(b"still there?".to_vec()));
    let got = bob.until("id='m1'");
    assert!(
        got.contains("from='alice@one.example/web'") && got.contains("käse"),
        "{got}"
    );
    bob.message("alice@one.example/web", "m2", "hello");
    let got = socket.until("id='m2'");
    assert!(got.starts_with("<message xmlns='jabber:client' "), "{got}");

    // The stream's end, then the socket's.
    socket.say("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>");
    assert_eq!(
        socket.until("<close "),
        "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"
    );
    assert!(matches!(socket.message(), Message::Close(_)));
    socket.frame(0x88, &1000u16.to_be_bytes());
    assert_eq!(socket.message(), Message::End);
}

/// What ends a socket that says this first, as (texts, status of the close).
fn told(demo: &Demo, name: &str, frames: &[(u8, &[u8])]) -> (String, Option<u16>) {
    let mut socket = WebSocket::open(demo, name);
    for (head, payload) in frames {
        socket.frame(*head, payload);
    }
    let mut texts = String::new();
    loop {
        match socket.message() {
            Message::Text(text) => texts.push_str(&text),
            Message::Close(status) => return (texts, status),
            Message::End => return (texts, None),
            _ => {}
        }
    }
}

#[test]
fn ws_02_05_08_09_11_what_breaks_the_rules_is_told_and_ends() {
    let demo = Demo::start();
    let open = |to: &str| {
        format!("<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{to}' version='1.0'/>")
    };
    let (one, two) = (open("one.example"), open("two.example"));
    let text = |text: &str| told(&demo, "one.example", &[(0x81, text.as_bytes())]).0;
    assert_eq!(
        told(&demo, "one.example", &[(0x82, b"<open/>")]).1,
        Some(1003)
    );
    assert_eq!(
        told(&demo, "one.example", &[(0x81, b"<open\xff/>")]).1,
        Some(1007)
    );
    for (bad, condition) in [
        (
            "<open to='one.example' version='1.0'/>".to_owned(),
            "invalid-namespace",
        ),
        ("hello".to_owned(), "not-well-formed"),
        (format!("{one}<presence/>"), "not-well-formed"),
        ("<!-- --><a/>".to_owned(), "restricted-xml"),
        (open("nobody.example"), "policy-violation"),
    ] {
        let told = text(&bad);
        // Our `<open/>`, the error as a message of its own, then the close (WS-09).
        let error = told.find("<stream:error xmlns:stream='http://etherx.jabber.org/streams'>");
        assert!(
            told.starts_with("<open ") && error.is_some(),
            "{bad}: {told}"
        );
        assert!(told.contains(&format!("<{condition} ")), "{bad}: {told}");
        assert!(
            told.ends_with("<close xmlns='urn:ietf:params:xml:ns:xmpp-framing'/>"),
            "{bad}: {told}"
        );
    }
    // A second stream on the same socket.
    let both: [(u8, &[u8]); 2] = [(0x81, one.as_bytes()), (0x81, one.as_bytes())];
    let (texts, _) = told(&demo, "one.example", &both);
    assert!(texts.contains("<stream:error"), "{texts}");
    // Another domain that is hosted here has its own place.
    let port = crate::harness::web::door(&demo).port();
    assert_eq!(
        text(&two),
        format!(
            "<close xmlns='urn:ietf:params:xml:ns:xmpp-framing' see-other-uri='wss://two.example:{port}/xmpp-websocket'/>"
        )
    );
    // Too long before anybody has logged in, in words and without them.
    let long = format!("<a>{}</a>", "x".repeat(20_000));
    let long: [(u8, &[u8]); 2] = [(0x81, one.as_bytes()), (0x81, long.as_bytes())];
    let (texts, _) = told(&demo, "one.example", &long);
    assert!(texts.contains("<policy-violation "), "{texts}");
    let longer = vec![b'x'; 200_000];
    let (texts, _) = told(&demo, "one.example", &[(0x81, &longer)]);
    assert_eq!(texts, "");

    let upgrade =
        |headers: &str| ask(&demo, "one.example", "GET /xmpp-websocket", headers, b"").status;
    assert_eq!(upgrade(""), 426);
    let ours = "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    assert_eq!(upgrade(ours), 426, "the connection is to be closed");
}

/// XEP-0198 over WebSocket: the session outlives its socket and goes on over another one; SASL2 and Bind 2 bring it about.
#[test]
fn ws_10_a_session_outlives_its_socket_by_resumption() {
    let demo = Demo::start();
    let mut bob = Client::online(&demo, "bob@one.example", "tcp");
    let mut socket = WebSocket::open(&demo, "one.example");
    let (_, features) = socket.header("one.example");
    assert!(features.contains("urn:xmpp:sasl:2"), "{features}");
    let token = BASE64.encode(format!("\0alice\0{}", demo.password(ALICE)));
    socket.say(&format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{token}</initial-response>\
         <bind xmlns='urn:xmpp:bind:0'><tag>web</tag><enable xmlns='urn:xmpp:sm:3' resume='true'/></bind></authenticate>"
    ));
    let success = socket.until("<success ");
    let id = between(&success, " id='", "'")
        .unwrap_or_else(|| panic!("{success}"))
        .to_owned();
    let own = between(&success, "<authorization-identifier>", "<")
        .expect("an address")
        .to_owned();
    socket.say("<presence xmlns='jabber:client'/>");
    socket.until("<presence ");
    socket.say("<inactive xmlns='urn:xmpp:csi:0'/>");
    socket.say("<active xmlns='urn:xmpp:csi:0'/>");
    drop(socket);
    bob.message(&own, "m1", "are you there?");

    let mut socket = WebSocket::open(&demo, "one.example");
    socket.header("one.example");
    socket.say(&format!(
        "<authenticate xmlns='urn:xmpp:sasl:2' mechanism='PLAIN'><initial-response>{token}</initial-response>\
         <resume xmlns='urn:xmpp:sm:3' previd='{id}' h='1'/></authenticate>"
    ));
    let success = socket.until("<success ");
    assert!(success.contains("<resumed "), "{success}");
    socket.until("id='m1'");
}

#[test]
fn ws_16_17_20_host_meta_leads_browsers_to_the_door() {
    let demo = Demo::start();
    let port = crate::harness::web::door(&demo).port();
    let get = |file: &str| {
        ask(
            &demo,
            "one.example",
            &format!("GET /.well-known/{file}"),
            "",
            b"",
        )
    };
    let xrd = get("host-meta");
    assert_eq!(
        (xrd.status, xrd.header("content-type")),
        (200, Some("application/xrd+xml")),
        "{xrd:?}"
    );
    let websocket = format!("href='wss://one.example:{port}/xmpp-websocket'");
    let bosh = format!("href='https://one.example:{port}/http-bind'");
    assert!(
        xrd.body.contains(&websocket) && xrd.body.contains(&bosh),
        "{xrd:?}"
    );
    let jrd = get("host-meta.json");
    assert_eq!(
        jrd.json()["links"][0]["rel"],
        "urn:xmpp:alt-connections:websocket"
    );
    assert!(jrd.json()["xmpp"]["ttl"].is_u64(), "{jrd:?}");
    for answer in [&xrd, &jrd] {
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("*"),
            "{answer:?}"
        );
    }
    assert_eq!(get("other").status, 404);
    assert_eq!(
        ask(&demo, "one.example", "GET /", "", b"").header("access-control-allow-origin"),
        None
    );
}

/// WS-15: people of the domain log in with certificates, over TCP. At the web's door nobody is asked for one, and none counts.
#[test]
fn ws_15_no_certificate_logs_in_through_the_web() {
    let demo = Demo::start();
    let place = demo.data_dir.to_string_lossy().into_owned();
    let set = [
        "domain",
        "set",
        "one.example",
        "--user-certificates",
        "true",
        "--data-dir",
        &place,
    ];
    let (code, out, err) = domicile(&set);
    assert_eq!(code, 0, "{out}{err}");
    let mut witness = Client::online(&demo, ALICE, "witness");
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    let disco = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    while !witness
        .iq("get", Some("one.example"), disco)
        .contains("urn:xmpp:saslcert:1")
    {
        assert!(std::time::Instant::now() < end, "never announced");
    }
    let mut socket = WebSocket::open(&demo, "one.example");
    let (_, features) = socket.header("one.example");
    let (_, answer) = Bosh::open(&demo);
    for features in [features, answer.body] {
        assert!(
            features.contains("SCRAM-SHA-256") && !features.contains("EXTERNAL"),
            "{features}"
        );
    }
}

const BIND: &str = "http://jabber.org/protocol/httpbind";

fn bosh(demo: &Demo, body: &str) -> Asked {
    let headers = "content-type: text/xml; charset=utf-8\r\norigin: https://chat.example\r\n";
    send(
        demo,
        "one.example",
        "POST /http-bind",
        headers,
        body.as_bytes(),
    )
}

/// A session over requests.
struct Bosh<'a> {
    demo: &'a Demo,
    sid: String,
    rid: u64,
}

impl<'a> Bosh<'a> {
    fn open(demo: &'a Demo) -> (Self, Answer) {
        let rid = 1_573_741_820;
        let answer = bosh(demo, &format!(
            "<body xmlns='{BIND}' rid='{rid}' to='one.example' wait='60' hold='1' ver='1.6' xml:lang='en' \
             xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0'/>"
        ))
        .answer();
        let sid = between(&answer.body, " sid='", "'")
            .unwrap_or_else(|| panic!("{answer:?}"))
            .to_owned();
        (Self { demo, sid, rid }, answer)
    }

    fn send_with(&mut self, attributes: &str, children: &str) -> Asked {
        self.rid += 1;
        let (sid, rid) = (&self.sid, self.rid);
        bosh(
            self.demo,
            &format!("<body xmlns='{BIND}' sid='{sid}' rid='{rid}'{attributes}>{children}</body>"),
        )
    }

    fn send(&mut self, children: &str) -> Asked {
        self.send_with("", children)
    }

    fn ask(&mut self, children: &str) -> String {
        self.send(children).answer().body
    }

    fn login(demo: &'a Demo) -> Self {
        let (mut session, _) = Self::open(demo);
        let token = BASE64.encode(format!("\0alice\0{}", demo.password(ALICE)));
        let success = session.ask(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>"
        ));
        assert!(success.contains("<success "), "{success}");
        let features = session
            .send_with(
                " to='one.example' xmlns:xmpp='urn:xmpp:xbosh' xmpp:restart='true'",
                "",
            )
            .answer()
            .body;
        assert!(features.contains("xmpp-bind"), "{features}");
        let bound = session.ask(
            "<iq xmlns='jabber:client' type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>bosh</resource></bind></iq>",
        );
        assert!(
            bound.contains("<jid>alice@one.example/bosh</jid>"),
            "{bound}"
        );
        session
    }
}

#[test]
fn ws_21_to_24_a_session_over_bosh() {
    let demo = Demo::start();
    let (_, first) = Bosh::open(&demo);
    for part in [
        "requests='2'",
        "hold='1'",
        "wait='60'",
        "polling='",
        "inactivity='",
        "maxpause='",
        "ver='1.6'",
        "from='one.example'",
        "xmpp:restartlogic='true'",
        "<stream:features ",
    ] {
        assert!(first.body.contains(part), "{part}: {first:?}");
    }
    assert!(
        !first.body.contains("starttls") && !first.body.contains("-PLUS"),
        "{first:?}"
    );
    assert_eq!(
        first.header("content-type"),
        Some("text/xml; charset=utf-8")
    );
    assert_eq!(
        first.header("access-control-allow-origin"),
        Some("https://chat.example")
    );
    let preflight = ask(
        &demo,
        "one.example",
        "OPTIONS /http-bind",
        "origin: https://chat.example\r\n",
        b"",
    );
    assert_eq!(
        (
            preflight.status,
            preflight.header("access-control-allow-methods")
        ),
        (204, Some("POST, OPTIONS"))
    );

    let mut session = Bosh::login(&demo);
    let mut bob = Client::online(&demo, "bob@one.example", "tcp");
    let presence = session.ask("<presence xmlns='jabber:client'/>");
    assert!(presence.contains("<presence "), "{presence}");
    // A held request takes what comes; while it is held, another one says something.
    let held = session.send("");
    let said = session.send(
        "<message xmlns='jabber:client' to='bob@one.example' id='m1'><body>hello</body></message>",
    );
    bob.until("id='m1'");
    let answered = held.answer().body;
    assert_eq!(answered, format!("<body xmlns='{BIND}'/>"));
    bob.message("alice@one.example/bosh", "m2", "hi");
    let got = said.answer().body;
    assert!(
        got.contains("<message xmlns='jabber:client' ") && got.contains("id='m2'"),
        "{got}"
    );
    // The same request once more gets the same answer.
    session.rid -= 1;
    assert_eq!(session.ask("<ignored xmlns='jabber:client'/>"), got);

    let end = session
        .send_with(
            " type='terminate'",
            "<presence xmlns='jabber:client' type='unavailable'/>",
        )
        .answer()
        .body;
    assert!(end.contains("type='terminate'"), "{end}");
    let gone = session.ask("");
    assert!(
        gone.contains("condition='item-not-found'") || gone.contains("type='terminate'"),
        "{gone}"
    );
}

#[test]
fn ws_22_23_bosh_refuses_what_it_should() {
    let demo = Demo::start();
    let told = |body: &str| bosh(&demo, body).answer().body;
    for (body, condition) in [
        (
            format!("<body xmlns='{BIND}' rid='1' sid='unknown'/>"),
            "item-not-found",
        ),
        (
            format!("<body xmlns='{BIND}' rid='1'/>"),
            "improper-addressing",
        ),
        (
            format!("<body xmlns='{BIND}' to='one.example'/>"),
            "bad-request",
        ),
        (
            format!("<body xmlns='{BIND}' rid='9007199254740992' to='one.example'/>"),
            "bad-request",
        ),
        (
            format!("<body xmlns='{BIND}' rid='1' to='one.example'><!-- --></body>"),
            "bad-request",
        ),
        ("<body rid='1' to='one.example'/>".into(), "bad-request"),
        ("no XML".into(), "bad-request"),
        (
            format!(
                "<body xmlns='{BIND}' rid='1' to='nobody.example' xmlns:xmpp='urn:xmpp:xbosh' xmpp:version='1.0'/>"
            ),
            "remote-stream-error",
        ),
    ] {
        let answer = told(&body);
        assert!(
            answer.contains(&format!("condition='{condition}'")),
            "{body}: {answer}"
        );
    }
    let (mut session, _) = Bosh::open(&demo);
    session.rid += 7;
    let answer = session.ask("");
    assert!(answer.contains("condition='item-not-found'"), "{answer}");
    // A session does not move to another domain's door.
    let (session, _) = Bosh::open(&demo);
    let body = format!(
        "<body xmlns='{BIND}' sid='{}' rid='{}'/>",
        session.sid,
        session.rid + 1
    );
    let elsewhere = ask(&demo, "two.example", "POST /http-bind", "", body.as_bytes());
    assert!(
        elsewhere.body.contains("condition='item-not-found'"),
        "{elsewhere:?}"
    );
    assert_eq!(
        ask(&demo, "one.example", "GET /http-bind", "", b"").status,
        405
    );
    // Over many connections nothing binds the channel, and an error of the stream is one (WS-24).
    let (mut session, _) = Bosh::open(&demo);
    let answer = session.ask("<message xmlns='jabber:client' to='bob@one.example'/>");
    assert!(
        answer.contains("condition='remote-stream-error'") && answer.contains("<not-authorized "),
        "{answer}"
    );
}

/// converse.js over WebSocket and strophe.js over BOSH, in Chromium, with a user of slixmpp.
#[test]
fn clients_in_a_browser_chat_over_websocket_and_bosh() {
    let demo = Demo::start();
    let (ip, port) = (demo.info.c2s.ip().to_string(), demo.info.c2s.port());
    let bob = "bob@one.example";
    let account = json!({"jid": bob, "password": demo.password(bob), "host": ip, "port": port});
    let file = demo.data_dir.join("echo.json");
    let plan = json!({"ca": demo.info.ca, "account": account});
    std::fs::write(&file, plan.to_string()).expect("plan");
    let python = environment().join("python/bin/python");
    let mut command = std::process::Command::new(python);
    command
        .arg(repository().join("tests/clients/echo.py"))
        .arg(file);
    let mut echo = Service::start("echo", &mut command, demo.data_dir.join("echo.log"));
    echo.says("ready");
    let plan = json!({
        "ca": demo.info.ca, "domain": "one.example", "door": crate::harness::web::door(&demo).to_string(),
        "jid": ALICE, "password": demo.password(ALICE), "peer": bob,
    });
    browse("chat", plan, &demo.data_dir, 5);
}

/// EXT-30: slots and files with slixmpp, other domains' doors, and what becomes of the files of an account that goes.
#[test]
fn ext_30_slixmpp_shares_files() {
    let demo = Demo::start();
    let door = crate::harness::web::door(&demo);
    let (ip, port) = (demo.info.c2s.ip().to_string(), demo.info.c2s.port());
    let file = demo.data_dir.join("upload.json");
    let plan = json!({
        "ca": demo.info.ca,
        "account": {"jid": ALICE, "password": demo.password(ALICE), "host": ip, "port": port},
        "door": {"host": door.ip().to_string(), "port": door.port()},
    });
    std::fs::write(&file, plan.to_string()).expect("plan");
    let python = environment().join("python/bin/python");
    let args = [repository().join("tests/clients/upload.py"), file]
        .map(|path| path.to_string_lossy().into_owned());
    let out = script(&python, &args, &[], crate::harness::DEADLINE * 3);
    let result: serde_json::Value = serde_json::from_str(out.trim()).expect("its last word");
    let address = result["address"].as_str().expect("an address");
    let (_, path) = address.split_once("/upload/").expect("an address");

    // Isolated by tenant: another domain's door knows nothing of it. Other origins may use it, and are named.
    let line = |method: &str| format!("{method} /upload/{path}");
    assert_eq!(ask(&demo, "two.example", &line("GET"), "", b"").status, 404);
    let origin = "origin: https://chat.example\r\n";
    let preflight = ask(&demo, "one.example", &line("OPTIONS"), origin, b"");
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        Some("https://chat.example")
    );
    assert!(
        preflight
            .header("access-control-allow-methods")
            .is_some_and(|m| m.contains("PUT"))
    );
    assert_eq!(
        ask(&demo, "one.example", &line("DELETE"), "", b"").status,
        405
    );
    let place = demo.data_dir.to_string_lossy().into_owned();
    let (code, out, err) =
        crate::harness::tools::domicile(&["user", "remove", ALICE, "--yes", "--data-dir", &place]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(ask(&demo, "one.example", &line("GET"), "", b"").status, 404);
}
