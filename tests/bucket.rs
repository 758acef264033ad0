//! Shared files in a bucket of S3-compatible storage (EXT-30): what a client sees is what it sees with a directory, whatever
//! becomes of the storage and of us in the middle.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::harness::bucket::{Between, SECRET, Storage, variables};
use crate::harness::demo::{Demo, Info, loopback};
use crate::harness::http::Answer;
use crate::harness::serve::Served;
use crate::harness::tools::domicile_with;
use crate::harness::web::{ask, send};
use crate::harness::xmpp::{Client, between};

const ALICE: &str = "alice@one.example";
const UPLOAD: &str = "urn:xmpp:http:upload:0";

/// An installation whose new files go into a bucket.
struct House {
    dir: tempfile::TempDir,
    info: Info,
    storage: Storage,
    line: Between,
}

impl House {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temporary directory");
        let demo = Demo::start_in(loopback(), dir.path(), &[]);
        let info = demo.info.clone();
        assert!(demo.terminate().success());
        let ip = loopback();
        let storage = Storage::start(ip, dir.path());
        let line = Between::start(ip, storage.address());
        Self {
            info,
            storage,
            line,
            dir,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The server, with more variables.
    fn serve(&self, more: &[(&'static str, String)]) -> Served {
        let mut variables = variables(self.line.address, self.path());
        variables.extend_from_slice(more);
        let mut served = Served::on(self.path(), &self.info, &variables);
        // It has tried the bucket before it is asked for anything, so that what the line hears is of the test.
        served.service.says("shared");
        served
    }

    /// A command with the server's configuration.
    fn command(&self, args: &[&str]) -> (i32, String, String) {
        let place = self.path().to_string_lossy().into_owned();
        domicile_with(&[args, &["--data-dir", &place]].concat(), "")
    }

    /// Waits until the bucket holds these objects.
    fn until_keys(&self, expected: &[String]) {
        let end = Instant::now() + crate::harness::DEADLINE;
        while self.storage.keys() != expected {
            assert!(
                Instant::now() < end,
                "{:?}, not {expected:?}",
                self.storage.keys()
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

/// Asks for a slot: the path of its address, or the refusal.
fn slot(client: &mut Client, size: usize) -> Result<String, String> {
    let request = format!(
        "<request xmlns='{UPLOAD}' filename='a.txt' size='{size}' content-type='text/plain'/>"
    );
    let answer = client.iq("get", Some("upload.one.example"), &request);
    let path = between(&answer, "<put url='https://", "'").and_then(|url| url.split_once('/'));
    path.map(|(_, path)| format!("/{path}")).ok_or(answer)
}

fn token(path: &str) -> &str {
    path.split('/').nth(2).expect("a token")
}

fn put(served: &Served, path: &str, body: &[u8]) -> Answer {
    ask(served, "one.example", &format!("PUT {path}"), "", body)
}

fn get(served: &Served, path: &str, headers: &str) -> Answer {
    ask(served, "one.example", &format!("GET {path}"), headers, b"")
}

/// What the internal door says of our health.
fn ready(served: &Served) -> u16 {
    let address = served.info.internal.trim_start_matches("http://");
    let mut door = TcpStream::connect(address).expect("the internal door");
    let head =
        format!("GET /health/ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    door.write_all(head.as_bytes()).expect("request");
    let mut text = String::new();
    door.read_to_string(&mut text).expect("an answer");
    Answer::parse(&text).expect("an answer").status
}

/// Something with no two places alike.
fn text(bytes: usize) -> String {
    let mut text: String = (0..).map(|n| format!("{n} ")).take(bytes).collect();
    text.truncate(bytes);
    text
}

#[test]
fn ext_30_a_bucket_keeps_serves_counts_and_deletes_files() {
    let house = House::new();
    let limit = [("DOMICILE_UPLOADS_BYTES_PER_ACCOUNT", "4000000".to_owned())];
    let served = house.serve(&limit);
    let mut alice = served.online(ALICE, "phone");
    let whole = text(3_000_000);
    let path = slot(&mut alice, whole.len()).expect("a slot");
    assert_eq!(get(&served, &path, "").status, 404, "nothing is in it");
    assert_eq!(put(&served, &path, whole.as_bytes()).status, 201);
    let keys = house.storage.keys();
    let [key] = &keys[..] else { panic!("{keys:?}") };
    let parts: Vec<_> = key.split('/').collect();
    assert_eq!(
        (parts.len(), parts[0], parts[3]),
        (4, "domicile", token(&path))
    );
    assert_eq!(house.storage.object(key), whole.as_bytes());

    let answer = get(&served, &path, "");
    assert_eq!((answer.status, answer.body.len()), (200, whole.len()));
    assert!(answer.body == whole, "the same bytes");
    let answer = get(&served, &path, "range: bytes=1000000-1000999\r\n");
    assert_eq!(
        (answer.status, &*answer.body),
        (206, &whole[1_000_000..1_001_000])
    );
    assert_eq!(
        answer.header("content-range"),
        Some("bytes 1000000-1000999/3000000")
    );
    assert!(
        house
            .line
            .asked()
            .contains("range: bytes=1000000-1000999\r\n"),
        "no more is fetched than is asked for"
    );
    let answer = get(&served, &path, "range: bytes=-5\r\n");
    assert_eq!((answer.status, &*answer.body), (206, &whole[2_999_995..]));
    assert_eq!(get(&served, &path, "range: bytes=3000000-\r\n").status, 416);
    let head = ask(&served, "one.example", &format!("HEAD {path}"), "", b"");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("3000000"))
    );
    assert_eq!(
        ask(&served, "two.example", &format!("GET {path}"), "", b"").status,
        404
    );

    let full = slot(&mut alice, 1_000_001).expect_err("no room");
    assert!(
        full.contains("<resource-constraint ") && full.contains("3000000 of 4000000 bytes"),
        "{full}"
    );

    // Gone for everybody at once; its bytes with the next look, of which there is one at a start.
    let second = slot(&mut alice, 9).expect("a slot");
    assert_eq!(put(&served, &second, b"something").status, 201);
    assert_eq!(put(&served, &second, b"something").status, 409);
    let command = format!(
        "<command xmlns='http://jabber.org/protocol/commands' node='files'><x xmlns='jabber:x:data' type='submit'>\
         <field var='files'><value>{}</value></field></x></command>",
        token(&path)
    );
    let done = alice.iq("set", Some("upload.one.example"), &command);
    assert!(done.contains("1 deleted"), "{done}");
    assert_eq!(get(&served, &path, "").status, 404);
    assert!(slot(&mut alice, 3_900_000).is_ok(), "there is room again");
    served.service.end("TERM");
    let served = house.serve(&limit);
    let left = keys[0].replace(token(&path), token(&second));
    house.until_keys(std::slice::from_ref(&left));
    assert_eq!(get(&served, &second, "").body, "something");

    // With the account.
    let (code, out, err) = house.command(&["user", "remove", ALICE, "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(get(&served, &second, "").status, 404);
    served.service.end("TERM");
    let served = house.serve(&[]);
    house.until_keys(&[]);
    let log = served.service.text();
    assert!(
        !log.contains(SECRET) && !log.contains("X-Amz-Signature"),
        "{log}"
    );
}

#[test]
fn ext_30_kill_9_while_the_bucket_takes_a_file_loses_and_leaves_nothing() {
    let house = House::new();
    let served = house.serve(&[]);
    let mut alice = served.online(ALICE, "phone");
    let whole = text(500_000);
    let path = slot(&mut alice, whole.len()).expect("a slot");
    let kept = slot(&mut alice, 4).expect("a slot");
    assert_eq!(put(&served, &kept, b"kept").status, 201);

    // The storage has it, and we never hear of it.
    house.line.hold(true);
    let line = format!("PUT {path}");
    let asked = send(&served, "one.example", &line, "", whole.as_bytes());
    house.line.withheld();
    served.service.kill_9();
    drop(asked);
    house.line.hold(false);
    assert_eq!(house.storage.keys().len(), 2);

    let served = house.serve(&[]);
    assert_eq!(
        get(&served, &kept, "").body,
        "kept",
        "what was acknowledged"
    );
    assert_eq!(
        get(&served, &path, "").status,
        404,
        "it was not acknowledged"
    );
    let (_, out, _) = house.command(&["domain", "uploads", "one.example", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(
        (&listed[0]["files"], &listed[0]["bytes"]),
        (&1.into(), &4.into()),
        "{listed}"
    );
    // Its owner tries again, into the same slot, and over the same object.
    assert_eq!(put(&served, &path, whole.as_bytes()).status, 201);
    served.service.kill_9();
    let served = house.serve(&[]);
    assert!(get(&served, &path, "").body == whole);
    assert_eq!(house.storage.keys().len(), 2);

    // Taken once more, by a slot that goes before anybody tries again.
    let mut alice = served.online(ALICE, "phone");
    let lost = slot(&mut alice, 4).expect("a slot");
    house.line.hold(true);
    let asked = send(&served, "one.example", &format!("PUT {lost}"), "", b"lost");
    house.line.withheld();
    served.service.kill_9();
    drop(asked);
    house.line.hold(false);
    assert_eq!(house.storage.keys().len(), 3);
    let (code, out, err) = house.command(&["user", "remove", ALICE, "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    let _served = house.serve(&[]);
    house.until_keys(&[]);
}

#[test]
fn ext_30_a_bucket_that_is_down_refuses_for_now_and_nothing_else_stops() {
    let mut house = House::new();
    let served = house.serve(&[]);
    let mut alice = served.online(ALICE, "phone");
    let there = slot(&mut alice, 5).expect("a slot");
    assert_eq!(put(&served, &there, b"there").status, 201);
    let waiting = slot(&mut alice, 5).expect("a slot");
    let configuration = |house: &House| {
        let place = house.path().to_string_lossy().into_owned();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_domicile"));
        command.args(["config", "check", "--data-dir", &place]);
        command.envs(variables(house.line.address, house.path()));
        let done = command.output().expect("domicile runs");
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        (done.status.code(), said)
    };
    assert_eq!(configuration(&house).0, Some(0));

    house.storage.down();
    for answer in [put(&served, &waiting, b"later"), get(&served, &there, "")] {
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(answer.header("retry-after").is_some(), "{answer:?}");
    }
    let (code, said) = configuration(&house);
    assert_eq!(code, Some(6), "{said}");
    assert!(
        said.contains("bucket \"files\" at ") && !said.contains(SECRET),
        "{said}"
    );
    alice.settle();
    assert_eq!(ready(&served), 200, "chat needs no bucket");

    house.storage.up();
    assert_eq!(put(&served, &waiting, b"later").status, 201);
    assert_eq!(get(&served, &waiting, "").body, "later");
    assert_eq!(get(&served, &there, "").body, "there");
}

#[test]
fn ext_30_files_of_the_directory_stay_where_they_are() {
    let house = House::new();
    let served = Served::on(house.path(), &house.info, &[]);
    let mut alice = served.online(ALICE, "phone");
    let old = slot(&mut alice, 3).expect("a slot");
    assert_eq!(put(&served, &old, b"old").status, 201);
    served.service.end("TERM");
    let served = house.serve(&[]);
    let mut alice = served.online(ALICE, "phone");
    let new = slot(&mut alice, 3).expect("a slot");
    assert_eq!(put(&served, &new, b"new").status, 201);
    for (path, body) in [(&old, "old"), (&new, "new")] {
        assert_eq!(get(&served, path, "").body, body);
    }
    served.service.end("TERM");
    // Without its bucket a file of it is not there for now; it is not forgotten.
    let served = Served::on(house.path(), &house.info, &[]);
    assert_eq!(get(&served, &old, "").body, "old");
    assert_eq!(get(&served, &new, "").status, 503);
    let (_, out, _) = house.command(&["domain", "uploads", "one.example", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(listed[0]["files"], 2, "{listed}");
}
