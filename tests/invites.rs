//! How people come by invitation (EXT-34): a real client registers with a token, and a real browser makes an account on the
//! page of a link; then they chat with whoever invited them.

use crate::harness::browser::browse;
use crate::harness::demo::Demo;
use crate::harness::tools::{domicile, environment, repository, script};
use crate::harness::xmpp::{Client, Connection};
use serde_json::{Value, json};

/// A command beside the running demo, which must do what it is told; what it says as JSON.
pub fn done(demo: &Demo, args: &[&str]) -> Value {
    let place = demo.data_dir.to_string_lossy().into_owned();
    let (code, out, err) = domicile(&[args, &["--json", "--data-dir", &place]].concat());
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    serde_json::from_str(&out).expect("JSON")
}

/// A new invitation of one.example.
pub fn invite(demo: &Demo, rest: &[&str]) -> Value {
    done(demo, &[&["invite", "add", "one.example"], rest].concat())
}

pub fn token(made: &Value) -> String {
    let uri = made["uri"].as_str().expect("a URI");
    let (_, token) = uri.split_once(";preauth=").expect("a token");
    token.split(';').next().unwrap_or_default().to_owned()
}

/// Runs `tests/clients/invited.py`: what came of each try.
fn newcomers(demo: &Demo, tries: &Value) -> Vec<Value> {
    let plan = json!({
        "ca": demo.info.ca, "host": demo.info.c2s.ip().to_string(), "port": demo.info.c2s.port(), "tries": tries,
    });
    let file = demo.data_dir.join("invited-plan.json");
    std::fs::write(&file, plan.to_string()).expect("plan");
    let args = [repository().join("tests/clients/invited.py"), file]
        .map(|p| p.to_string_lossy().into_owned());
    let out = script(
        &environment().join("python/bin/python"),
        &args,
        &[("SSL_CERT_FILE", demo.info.ca.to_string_lossy().into_owned())],
        crate::harness::DEADLINE * 4,
    );
    serde_json::from_str(out.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{out}: {e}"))
}

/// A session that is told what happens to its roster.
fn interested(demo: &Demo, jid: &str, resource: &str) -> Client {
    let mut client = Client::online(demo, jid, resource);
    client.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
    client
}

/// A connection over TLS on which nobody has authenticated.
pub fn secured(demo: &Demo, domain: &str) -> Connection {
    let mut wire = Connection::open(demo.info.c2s, domain);
    wire.negotiate_tls(demo.roots());
    wire.header();
    wire.item();
    wire
}

fn attempt(domain: &str, token: &str, username: &str) -> Value {
    json!({ "domain": domain, "token": token, "username": username, "password": "tin soldier 9" })
}

/// Lets the time of an invitation be over.
fn expire(demo: &Demo, id: &Value) {
    let script_text = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n\
        db.execute('UPDATE invites SET expires = 1 WHERE id = ?', (int(sys.argv[2]),))\n\
        print('{}')";
    let database = demo.data_dir.join("domicile.db");
    let args = [
        "-c".to_owned(),
        script_text.to_owned(),
        database.to_string_lossy().into_owned(),
        id.to_string(),
    ];
    script(
        &environment().join("python/bin/python"),
        &args,
        &[],
        crate::harness::DEADLINE,
    );
}

#[test]
fn ext_34_a_client_registers_with_a_token_that_is_good_once_and_here_only() {
    let demo = Demo::start();
    let mut alice = interested(&demo, "alice@one.example", "inviter");
    let nurse = invite(&demo, &["--contact", "alice"]);
    let kept = invite(&demo, &["--local", "cook"]);
    let late = invite(&demo, &[]);
    expire(&demo, &late["id"]);
    let told = newcomers(
        &demo,
        &json!([
            attempt("two.example", &token(&nurse), "nurse"),
            attempt("one.example", &token(&nurse), "nurse"),
            attempt("one.example", &token(&nurse), "again"),
            attempt("one.example", &token(&late), "late"),
            attempt("one.example", &token(&kept), "thief"),
            attempt("one.example", &token(&kept), "cook"),
        ]),
    );
    let [elsewhere, here, again, late, thief, cook] = &told[..] else {
        panic!("{told:?}");
    };
    let offered = json!([
        "http://jabber.org/features/iq-register",
        "urn:xmpp:ibr-token:0",
        "urn:xmpp:invite",
        "urn:xmpp:register:0"
    ]);
    assert_eq!(here["offered"], offered, "{told:?}");
    for refused in [elsewhere, again, late] {
        assert_eq!(refused["preauth"], "item-not-found", "{told:?}");
        assert_eq!(refused["register"], "not-allowed", "{told:?}");
        assert_eq!(refused["contacts"], Value::Null, "{told:?}");
    }
    assert_eq!(here["register"], "result", "{told:?}");
    assert_eq!(here["contacts"]["alice@one.example"], "both", "{told:?}");
    // The name is kept for whoever shows the token, who has only to say a password.
    assert_eq!(
        (&thief["preauth"], &thief["kept"]),
        (&json!("result"), &json!("cook"))
    );
    assert_eq!(thief["register"], "not-acceptable", "{told:?}");
    assert_eq!(cook["register"], "result", "{told:?}");
    assert_eq!(cook["contacts"], json!({}), "{told:?}");

    let pushed = alice.until("subscription='both'");
    assert!(pushed.contains("jid='nurse@one.example'"), "{pushed}");
    let mut nurse = Client::login_with(&demo, "nurse@one.example", "tin soldier 9", "phone");
    nurse.send("<presence/>");
    // Each sees the other, without having asked.
    alice.until("from='nurse@one.example/phone'");
    nurse.until("from='alice@one.example/inviter'");
    assert_eq!(done(&demo, &["invite", "list", "one.example"]), json!([]));
}

#[test]
fn ext_34_an_owner_invites_in_the_panel_and_the_page_of_the_link_makes_the_account() {
    let demo = Demo::start();
    let plan = json!({
        "panel": demo.info.panel.trim_end_matches('/'),
        "who": { "login": demo.info.owner.login, "password": demo.info.owner.password },
        "ca": demo.info.ca, "domain": "one.example", "door": demo.info.public.trim_start_matches("https://"),
        "contact": "alice", "local": "nurse", "password": "tin soldier 9",
    });
    let seen = browse("invited", plan, &demo.data_dir, 5);
    assert_eq!(seen["address"], "nurse@one.example", "{seen}");

    let mut alice = Client::online(&demo, "alice@one.example", "inviter");
    let mut nurse = Client::login_with(&demo, "nurse@one.example", "tin soldier 9", "browser");
    nurse.send("<presence/>");
    alice.until("from='nurse@one.example/browser'");
    nurse.message("alice@one.example", "hello", "here I am");
    alice.until("here I am");
}

#[test]
fn ext_34_a_user_invites_by_an_ad_hoc_command_and_becomes_a_contact_of_whoever_comes() {
    let demo = Demo::start();
    let place = demo.data_dir.to_string_lossy().into_owned();
    let lets = ["domain", "set", "one.example", "--user-invites", "true"];
    let (code, out, err) = domicile(&[&lets[..], &["--data-dir", &place]].concat());
    assert_eq!(code, 0, "{out}{err}");
    let mut alice = Client::online(&demo, "alice@one.example", "inviter");
    let command = "<command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:invite#invite' action='execute'/>";
    let run = |alice: &mut Client| {
        alice.send(&format!(
            "<iq type='set' id='invite' to='one.example'>{command}</iq>"
        ));
        alice.until("id='invite'")
    };
    // The settings of another process are heard within a second.
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    let mut answer = run(&mut alice);
    while answer.contains("<forbidden ") && std::time::Instant::now() < end {
        std::thread::park_timeout(std::time::Duration::from_millis(100));
        answer = run(&mut alice);
    }
    let uri = crate::harness::xmpp::between(&answer, "<value>xmpp:", "<").expect("a URI");
    let (start, rest) = uri.split_once(";preauth=").expect("a token");
    assert_eq!(start, "alice@one.example?roster");
    let token = rest.trim_end_matches(";ibr=y");

    // Somebody who has an account elsewhere shows it with their request (XEP-0379).
    let mut bob = interested(&demo, "bob@two.example", "guest");
    bob.send(&format!(
        "<presence type='subscribe' to='alice@one.example'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></presence>"
    ));
    bob.until("type='subscribed'");
    bob.until("from='alice@one.example/inviter'");
    bob.until("type='subscribe'");
    bob.send("<presence type='subscribed' to='alice@one.example'/>");
    alice.until("from='bob@two.example/guest'");
}

/// EXT-33: nobody comes uninvited until the owner has opened the domain, and then with an answer.
#[test]
fn ext_33_who_answers_the_owner_s_question_makes_an_account_where_the_domain_is_open() {
    let demo = Demo::start();
    let place = demo.data_dir.to_string_lossy().into_owned();
    let want = "<iq type='get' id='want'><query xmlns='jabber:iq:register'/></iq>";
    let make = |local: &str, answer: &str| {
        let field =
            |var: &str, value: &str| format!("<field var='{var}'><value>{value}</value></field>");
        format!(
            "<iq type='set' id='make'><query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>{}{}{}{}</x></query></iq>",
            field("FORM_TYPE", "jabber:iq:register"),
            field("username", local),
            field("password", "tin soldier 9"),
            field("qa", answer)
        )
    };
    let mut wire = secured(&demo, "one.example");
    wire.send(want);
    let told = wire.until("id='want'");
    assert!(told.contains("<not-allowed "), "{told}");

    let set = [
        "domain",
        "set",
        "one.example",
        "--registration",
        "open",
        "--question",
        "Which bird sings at dawn?",
        "--answers",
        "lark, the lark",
    ];
    let (code, out, err) = domicile(&[&set[..], &["--data-dir", &place]].concat());
    assert_eq!(code, 0, "{out}{err}");
    // The settings of another process are heard within a second.
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    let mut told = String::new();
    while !told.contains("Which bird sings at dawn?") {
        assert!(std::time::Instant::now() < end, "never opened: {told}");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
        wire = secured(&demo, "one.example");
        wire.send(want);
        told = wire.until("id='want'");
    }
    for (local, answer, refused) in [
        ("nurse", "nightingale", "<not-acceptable "),
        ("postmaster", "lark", "<not-acceptable "),
        ("alice", "lark", "<conflict "),
    ] {
        wire.send(&make(local, answer));
        let told = wire.until("id='make'");
        assert!(told.contains(refused), "{local} {answer}: {told}");
    }
    wire.send(&make("nurse", "The Lark"));
    let told = wire.until("id='make'");
    assert!(told.contains("type='result'"), "{told}");
    // What was refused was not done, and neither log says that it was.
    let log = demo.log();
    let came = |line: &&str| line.contains("account.add") && line.contains("by themselves");
    let came: Vec<&str> = log.lines().filter(came).collect();
    assert!(
        came.len() == 1 && came[0].contains("nurse@one.example"),
        "{came:?}"
    );

    // The same in a browser, where the question has a page of its own; both count for the address.
    let plan = json!({
        "ca": demo.info.ca, "domain": "one.example", "door": demo.info.public.trim_start_matches("https://"),
        "local": "cook", "password": "tin soldier 9", "wrong": "nightingale", "answer": "the LARK",
    });
    let seen = browse("asked", plan, &demo.data_dir, 5);
    assert_eq!(seen["address"], "cook@one.example", "{seen}");
    let mut cook = Client::login_with(&demo, "cook@one.example", "tin soldier 9", "browser");
    cook.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
    wire = secured(&demo, "one.example");
    wire.send(&make("another", "lark"));
    let told = wire.until("id='make'");
    assert!(told.contains("<resource-constraint "), "{told}");
    let mut nurse = Client::login_with(&demo, "nurse@one.example", "tin soldier 9", "phone");
    nurse.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
}
