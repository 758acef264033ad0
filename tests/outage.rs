//! What the server does when something it stands on fails: a resolver that is silent, a database that somebody else holds,
//! a disk without room. Each operation that cannot be done says so, the process and what needs nothing of it go on, and
//! nothing that was acknowledged is lost.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::demo::{Demo, loopback};
use crate::harness::http::Api;
use crate::harness::postgres::is_root;
use crate::harness::serve::Served;
use crate::harness::tools::{domicile, domicile_with, environment, program};
use crate::harness::xmpp::Client;
use serde_json::json;

const ALICE: &str = "alice@one.example";
const BOB: &str = "bob@two.example";

/// Another program that holds the database's write lock until it is told to let go.
struct Lock {
    child: Child,
}

impl Lock {
    fn take(database: &Path) -> Self {
        let script = "import sqlite3, sys\n\
            db = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)\n\
            db.execute('BEGIN IMMEDIATE')\n\
            print('held', flush=True)\n\
            sys.stdin.read()\n\
            db.execute('ROLLBACK')\n";
        let mut child = Command::new(environment().join("python/bin/python"))
            .args(["-c", script])
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python; run tests/install");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped"))
            .read_line(&mut line)
            .expect("a line");
        assert_eq!(line.trim(), "held");
        Self { child }
    }

    fn release(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().expect("ends").success());
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two sessions that need nothing but the process.
fn chats(a: &mut Client, b: &mut Client, id: &str) {
    let to = b.jid.clone();
    a.message(&to, id, "still here");
    b.until(id);
}

#[test]
fn a_silent_resolver_bounces_what_needs_it_and_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = Demo::start_in(loopback(), dir.path(), &[]);
    let info = demo.info.clone();
    assert!(demo.terminate().success());
    // In the place of the DNS: something that takes every question and answers none.
    let silent = UdpSocket::bind(info.dns).expect("the DNS has gone");
    let patience = [
        ("DOMICILE_DNS_TIMEOUT_SECONDS", "1".to_owned()),
        ("DOMICILE_FEDERATION_CONNECT_SECONDS", "5".to_owned()),
    ];
    let served = Served::on(dir.path(), &info, &patience);

    let mut alice = served.online(ALICE, "here");
    let mut bob = served.online(BOB, "here");
    alice.message("romeo@remote.example", "away", "anybody there?");
    // Hosted domains need no resolver, and are not held up by what waits for one (ROUTE-08).
    chats(&mut alice, &mut bob, "local");
    let error = alice.until("id='away'");
    assert!(
        error.contains("type='error'")
            && (error.contains("<remote-server-timeout")
                || error.contains("<remote-server-not-found")),
        "{error}"
    );
    chats(&mut bob, &mut alice, "afterwards");
    silent.set_nonblocking(true).expect("nonblocking");
    assert!(
        silent.recv(&mut [0; 512]).is_ok(),
        "the resolver was asked at all"
    );

    // Unknown is never failed: what could not be seen takes no domain down.
    let place = dir.path().to_string_lossy().into_owned();
    let (code, out, err) = domicile(&[
        "domain",
        "check",
        "one.example",
        "--data-dir",
        &place,
        "--json",
    ]);
    let shown: serde_json::Value =
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    assert_eq!((code, &shown["state"]), (0, &json!("live")), "{shown:#}");
    let unknown = shown["checks"].as_array().expect("checks").iter();
    let unknown: Vec<_> = unknown
        .filter(|check| check["severity"] == "unknown")
        .collect();
    assert!(!unknown.is_empty(), "{shown:#}");
    chats(&mut alice, &mut bob, "last");
}

#[test]
fn a_locked_database_is_said_to_be_busy_and_used_again_when_free() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = Demo::start_in(loopback(), dir.path(), &[]);
    let place = dir.path().to_string_lossy().into_owned();
    let api = Api::operator(&demo.info);
    let mut alice = Client::online(&demo, ALICE, "here");
    let mut bob = Client::online(&demo, BOB, "here");
    let away = "bob@one.example";
    alice.message(away, "before", "kept");
    alice.settle();

    let lock = Lock::take(&dir.path().join("domicile.db"));
    // A message that cannot be kept comes back, with a reason that says to try later.
    alice.message(away, "refused", "not kept");
    let error = alice.until("id='refused'");
    assert!(
        error.contains("type='error'")
            && error.contains("<resource-constraint")
            && error.contains("type='wait'"),
        "{error}"
    );
    let item = "<query xmlns='jabber:iq:roster'><item jid='friend@two.example'/></query>";
    let error = alice.iq("set", None, item);
    assert!(
        error.contains("<resource-constraint") && error.contains("type='wait'"),
        "{error}"
    );
    // What only reads, or needs no database, goes on.
    chats(&mut alice, &mut bob, "meanwhile");
    Client::online(&demo, "alice@two.example", "reads").close();
    let (code, out, err) = domicile(&["user", "list", "one.example", "--data-dir", &place]);
    assert_eq!(code, 0, "{out}{err}");

    let new = json!({"local": "carol", "password": "a-long-enough-secret-5"});
    let answer = api.post("/domains/one.example/accounts", &new);
    let problem = answer.problem(503, "unavailable");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap_or_default()
            .contains("the database"),
        "{problem}"
    );
    assert!(
        answer.headers.contains("retry-after: "),
        "{}",
        answer.headers
    );
    let add = [
        "user",
        "add",
        "carol@one.example",
        "--password-stdin",
        "--data-dir",
        &place,
    ];
    let (code, _, err) = domicile_with(&add, "a-long-enough-secret-5\n");
    assert_eq!(code, 6, "{err}");
    assert!(
        err.contains("the database") && err.contains("Try again"),
        "{err}"
    );

    lock.release();
    alice.message(away, "after", "kept");
    alice.settle();
    assert_eq!(api.post("/domains/one.example/accounts", &new).status, 201);
    let mut reader = Client::login(&demo, away, "later");
    reader.send("<presence/>");
    let mut seen = Vec::new();
    while !seen.contains(&"after".to_owned()) {
        let message = reader.until("<message");
        seen.push(
            crate::harness::xmpp::between(&message, " id='", "'")
                .expect("id")
                .to_owned(),
        );
    }
    assert_eq!(
        seen,
        ["before", "after"],
        "what was refused has not happened"
    );
    let log = demo.log();
    assert!(
        log.contains("the database is busy"),
        "the log names the cause"
    );
    assert!(demo.terminate().success());
}

#[test]
fn a_full_disk_is_said_to_be_full_and_nothing_acknowledged_is_lost() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let demo = Demo::start_in(loopback(), dir.path(), &["--dns-port", "5300"]);
    let info = demo.info.clone();
    assert!(demo.terminate().success());

    // The installation on a file system of its own, seen by the server alone: small, and really full.
    let mount = tempfile::tempdir().expect("temporary directory");
    let script = "mount -t tmpfs -o size=24m tmpfs \"$D\" && cp -a \"$S\"/. \"$D\" && exec \"$BIN\" serve --data-dir \"$D\"";
    let mut command = Command::new(program("unshare"));
    if !is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "--", "sh", "-c", script])
        .env("D", mount.path())
        .env("S", dir.path())
        .env("BIN", env!("CARGO_BIN_EXE_domicile"));
    let served = Served::start(command, &info, dir.path().join("full.log"));
    let inside = Path::new("/proc")
        .join(served.service.pid().to_string())
        .join("root")
        .join(mount.path().strip_prefix("/").expect("absolute"));
    assert!(inside.join("domicile.db").exists(), "{}", inside.display());

    let api = Api::operator(&info);
    let mut alice = served.online(ALICE, "here");
    let mut bob = served.online(BOB, "here");
    let away = "bob@one.example";
    alice.message(away, "kept-0", "kept");
    alice.settle();

    let ballast = inside.join("ballast");
    fill(&ballast);
    // The database's own files may have room left within: messages are taken until there is none.
    let body = "x".repeat(20_000);
    let mut kept = vec!["kept-0".to_owned()];
    let error = loop {
        let id = format!("kept-{}", kept.len());
        alice.message(away, &id, &body);
        let answers = alice.settle();
        if let Some(error) = answers
            .into_iter()
            .find(|item| item.contains(&format!("id='{id}'")))
        {
            break error;
        }
        kept.push(id);
        assert!(kept.len() < 1000, "the disk is not full");
    };
    assert!(
        error.contains("type='error'")
            && error.contains("<resource-constraint")
            && error.contains("type='wait'"),
        "{error}"
    );
    chats(&mut alice, &mut bob, "meanwhile");
    let new = json!({"local": "carol", "password": "a-long-enough-secret-5"});
    // The first write may still find a page that is free.
    let refused = (0..100).find_map(|n| {
        let new = json!({"local": format!("carol{n}"), "password": "a-long-enough-secret-5"});
        let answer = api.post("/domains/one.example/accounts", &new);
        (answer.status != 201).then_some(answer)
    });
    let problem = refused.expect("a refusal").problem(503, "unavailable");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap_or_default()
            .contains("the database"),
        "{problem}"
    );
    let log = served.service.text();
    assert!(
        log.contains("cannot grow") && log.contains("make room"),
        "the log names cause and remedy"
    );

    std::fs::remove_file(&ballast).expect("room again");
    alice.message(away, "roomy", "kept");
    alice.settle();
    assert_eq!(api.post("/domains/one.example/accounts", &new).status, 201);
    let mut reader = served.login(away, "later");
    reader.send("<presence/>");
    let mut seen = Vec::new();
    while !seen.contains(&"roomy".to_owned()) {
        let message = reader.until("<message");
        seen.push(
            crate::harness::xmpp::between(&message, " id='", "'")
                .expect("id")
                .to_owned(),
        );
    }
    kept.push("roomy".into());
    assert_eq!(seen, kept, "exactly what was acknowledged, in order");
}

/// Takes every byte that is left.
fn fill(path: &Path) {
    let mut file = std::fs::File::create(path).expect("ballast");
    for size in [65536, 4096, 1] {
        let chunk = vec![0u8; size];
        while file.write_all(&chunk).is_ok() {}
    }
}
