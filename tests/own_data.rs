//! People take out what they have themselves (XEP-0227, EXT-38): a real client (slixmpp) gets a link by an ad-hoc command, and
//! the public web door hands the file out: once, for half an hour, to whoever has the link, and of one account only.

use crate::harness::demo::Demo;
use crate::harness::http::{Answer, Api};
use crate::harness::tools::{domicile, environment, repository, script};
use serde_json::{Value, json};

/// What `tests/clients/own_data.py` says.
fn client(demo: &Demo, jid: &str, contact: Option<&str>) -> Value {
    let plan = json!({
        "ca": demo.info.ca, "contact": contact, "says": format!("only {jid} has said this"),
        "account": {
            "jid": jid, "password": demo.password(jid), "direct_tls": false,
            "host": demo.info.c2s.ip().to_string(), "port": demo.info.c2s.port(),
        },
    });
    let file = demo.data_dir.join("own-data-plan.json");
    std::fs::write(&file, plan.to_string()).expect("plan");
    let args = [repository().join("tests/clients/own_data.py"), file]
        .map(|path| path.to_string_lossy().into_owned());
    let out = script(
        &environment().join("python/bin/python"),
        &args,
        &[("SSL_CERT_FILE", demo.info.ca.to_string_lossy().into_owned())],
        crate::harness::DEADLINE * 4,
    );
    serde_json::from_str(out.lines().last().unwrap_or_default())
        .unwrap_or_else(|e| panic!("{out}: {e}"))
}

/// Path of a fresh link of the account: of the demo's panel, and of the public door of each domain.
fn link(demo: &Demo, jid: &str, contact: Option<&str>) -> String {
    let told = client(demo, jid, contact);
    assert_eq!(told["listed"], true, "{told}");
    let url = told["url"].as_str().expect("a link");
    let (_, rest) = url.split_once("://").expect("an address");
    let (_, path) = rest.split_once('/').expect("a path");
    format!("/{path}")
}

/// The domain's own website.
const NAME: &str = "one.example";

fn ask(demo: &Demo, name: &str, line: &str) -> Answer {
    crate::harness::web::ask(demo, name, line, "", b"")
}

/// Runs a command line beside the demo.
fn run(demo: &Demo, args: &[&str]) {
    let place = demo.data_dir.to_string_lossy().into_owned();
    let (code, out, err) = domicile(&[args, &["--data-dir", &place]].concat());
    assert_eq!(code, 0, "{args:?}: {out}{err}");
}

/// Lets the time of every link be over.
fn expire(demo: &Demo) {
    let text = "import sqlite3, sys\n\
        db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n\
        print(db.execute('UPDATE own_exports SET expires = 1').rowcount)";
    let database = demo.data_dir.join("domicile.db");
    let args = [
        "-c".to_owned(),
        text.to_owned(),
        database.to_string_lossy().into_owned(),
    ];
    let python = environment().join("python/bin/python");
    let changed = script(&python, &args, &[], crate::harness::DEADLINE);
    assert_eq!(changed.trim(), "1", "one link is open");
}

#[test]
fn ext_38_people_load_what_they_have_by_a_link_that_is_good_once() {
    let demo = Demo::start();
    let (alice, bob) = ("alice@one.example", "bob@one.example");
    let path = link(&demo, alice, Some("carol@two.example"));
    let of_bob = link(&demo, bob, None);

    // Looking at the page uses nothing up, and neither does anybody's wrong guess, nor another domain's website.
    let page = ask(&demo, NAME, &format!("GET {path}"));
    assert_eq!(page.status, 200, "{page:?}");
    assert!(
        page.body.contains(alice) && !page.body.contains("<script"),
        "{page:?}"
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    for guess in [
        format!("{path}x"),
        format!("{}0", &path[..path.len() - 1]),
        "/export/".into(),
    ] {
        assert_eq!(
            ask(&demo, NAME, &format!("POST {guess}")).status,
            404,
            "{guess}"
        );
    }
    assert_eq!(
        ask(&demo, "two.example", &format!("POST {path}")).status,
        404
    );

    let file = ask(&demo, NAME, &format!("POST {path}"));
    assert_eq!(file.status, 200, "{file:?}");
    assert_eq!(
        file.header("content-disposition"),
        Some("attachment; filename=\"alice.one.example.xml\"")
    );
    for part in [
        "urn:xmpp:pie:0",
        "carol@two.example",
        "only alice@one.example has said this",
    ] {
        assert!(file.body.contains(part), "{part}: {}", file.body);
    }
    for part in ["bob", "scram", "SCRAM", "stored-key"] {
        assert!(!file.body.contains(part), "{part}: {}", file.body);
    }
    for line in [format!("POST {path}"), format!("GET {path}")] {
        assert_eq!(ask(&demo, NAME, &line).status, 404, "{line}");
    }

    // Another account's link is its own: what Alice has said is not in it.
    let file = ask(&demo, NAME, &format!("POST {of_bob}"));
    assert_eq!(file.status, 200, "{file:?}");
    assert!(
        file.body.contains("name=\"bob\"") || file.body.contains("name='bob'"),
        "{}",
        file.body
    );
    assert!(!file.body.contains("only alice"), "{}", file.body);

    let late = link(&demo, alice, None);
    expire(&demo);
    assert_eq!(ask(&demo, NAME, &format!("POST {late}")).status, 404);

    // Switched off: what was made before is not good either, and the command is not there.
    let before = link(&demo, alice, None);
    run(
        &demo,
        &["domain", "set", "one.example", "--own-export", "false"],
    );
    assert_eq!(ask(&demo, NAME, &format!("POST {before}")).status, 404);
    let end = std::time::Instant::now() + crate::harness::DEADLINE;
    // The settings of another process are heard within a second.
    let mut told = client(&demo, bob, None);
    while told["listed"] == true {
        assert!(
            std::time::Instant::now() < end,
            "never switched off: {told}"
        );
        told = client(&demo, bob, None);
    }
    assert_eq!(
        told,
        json!({ "listed": false, "url": null, "error": "forbidden" })
    );

    let audit = Api::operator(&demo.info).get("/audit?limit=50").body;
    for part in ["people.export", "archive, by their link", alice, bob] {
        assert!(audit.contains(part), "{part} in {audit}");
    }
    let token = path.rsplit('/').next().unwrap_or_default();
    assert!(
        !audit.contains(token) && !demo.log().contains(token),
        "the token stays a secret"
    );
}
