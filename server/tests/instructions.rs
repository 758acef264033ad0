//! How many instructions a routed stanza takes, from the sender's stream to the recipient's queue, modules included: counted by
//! callgrind and compared with the record in `tests/bench/routing.json`.
//!
//! Built as tests are, without optimisation, so the numbers say nothing about speed; but they are the same on a busy machine,
//! and another look-up, lock or copy on every message's way shows. What is built optimised (framing, addresses, queues) is counted
//! by `tests/bench/instructions`. Where more is meant, `INSTRUCTIONS_WRITE=1 cargo test -p domicile --test instructions` records
//! it anew, and the commit says why.

#[path = "../benches/house/mod.rs"]
mod house;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::task::{Context, Waker};

use domicile::session::outbox::Taken;
use serde_json::json;
use xmpp::jid::Jid;
use xmpp::stanza::Stanza;

/// What may come on top of the record, in percent, if the compiler is the same …
const TOLERANCE: f64 = 3.0;
/// … and if it is another one.
const TOLERANCE_OTHER: f64 = 25.0;
/// Rounds of the two runs whose difference is free of start and end.
const ROUNDS: (u64, u64) = (20, 120);
/// Which piece a run under valgrind is of, and how many rounds.
const PIECE: &str = "INSTRUCTIONS_PIECE";
const MESSAGE: &[u8] = b"<message to='user7@one.example/r' type='chat' id='9f3a6c1e-42d7-4b' xml:lang='en'>\
    <body>Wherefore art thou, O Romeo? Deny thy father and refuse thy name; if thou wilt not.</body>\
    <origin-id xmlns='urn:xmpp:sid:0' id='9f3a6c1e-42d7-4b'/><request xmlns='urn:xmpp:receipts'/>\
    <markable xmlns='urn:xmpp:m:0'/></message>";
const PING: &[u8] = b"<iq type='get' id='p1' to='one.example'><ping xmlns='urn:xmpp:ping'/></iq>";

/// Name, stanza, to whom if not to whom it says, and whose queue it ends in.
type Piece = (&'static str, &'static [u8], Option<&'static str>, usize);

const PIECES: &[Piece] = &[
    ("a message to a session", MESSAGE, None, 7),
    (
        "a message to an account",
        MESSAGE,
        Some("user7@one.example"),
        7,
    ),
    (
        "a message to somebody's own session",
        MESSAGE,
        Some("user0@one.example/r"),
        0,
    ),
    ("a ping to the server", PING, None, 0),
];

/// What is counted: callgrind looks for it by this name.
#[inline(never)]
fn rounds_that_count(rounds: u64, round: &mut dyn FnMut()) {
    for _ in 0..rounds {
        round();
    }
}

/// What valgrind runs; without its variable there is nothing to do.
#[test]
fn piece_under_valgrind() {
    let Ok(asked) = std::env::var(PIECE) else {
        return;
    };
    let (piece, rounds) = asked.split_once(' ').expect("a piece and its rounds");
    let (_, bytes, to, queue) = PIECES[piece.parse::<usize>().expect("a number")];
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let house = runtime.block_on(house::house(10));
    let sender = &house.sessions[0];
    let mut stanza = Stanza::from_bytes(bytes)
        .expect("a stanza")
        .with_from(&sender.jid);
    if let Some(to) = to {
        stanza = stanza.with_to(&Jid::parse(to).expect("an address"));
    }
    let outbox = &house.sessions[queue].outbox;
    // The first of them waits for what the accounts have in the store.
    while let Some(later) = house.router.from_client(sender, stanza.clone()) {
        runtime.block_on(later.done());
    }
    let (mut items, mut taken) = (Vec::new(), Taken::default());
    let mut cx = Context::from_waker(Waker::noop());
    let ready = outbox.poll_take(&mut cx, true, &mut items, &mut taken);
    assert!(ready.is_ready());
    items.clear();
    rounds_that_count(rounds.parse().expect("a number"), &mut || {
        assert!(
            house.router.from_client(sender, stanza.clone()).is_none(),
            "nothing waits"
        );
        let ready = outbox.poll_take(&mut cx, true, &mut items, &mut taken);
        assert!(ready.is_ready() && items.len() == 1);
        items.clear();
    });
}

/// Instructions of a run with so many rounds.
fn collected(piece: usize, rounds: u64) -> f64 {
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg("--toggle-collect=*rounds_that_count*")
        .arg(std::env::current_exe().expect("this program"))
        .args(["--exact", "piece_under_valgrind", "--test-threads=1"])
        .env(PIECE, format!("{piece} {rounds}"))
        .output()
        .expect("valgrind runs; tests/install installs it");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        out.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&out.stdout)
    );
    let count = said.lines().find_map(|line| line.split_once("Collected :"));
    let (_, count) = count.unwrap_or_else(|| panic!("no count: {said}"));
    count.trim().parse().expect("a number")
}

fn compiler() -> String {
    let said = Command::new("rustc").arg("--version").output();
    String::from_utf8_lossy(&said.expect("rustc").stdout)
        .trim()
        .to_owned()
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/bench/routing.json")
}

#[test]
fn routing_takes_no_more_than_is_recorded() {
    let mut counts = BTreeMap::new();
    for (at, (name, ..)) in PIECES.iter().enumerate() {
        let (few, many) = (collected(at, ROUNDS.0), collected(at, ROUNDS.1));
        let one = (many - few) / (ROUNDS.1 - ROUNDS.0) as f64;
        assert!(one > 1_000.0, "{name}: nothing was counted");
        counts.insert(*name, one.round() as u64);
    }
    let here = compiler();
    if std::env::var_os("INSTRUCTIONS_WRITE").is_some() {
        let record = json!({ "compiler": here, "instructions, not optimised": counts });
        let text = serde_json::to_string_pretty(&record).expect("JSON") + "\n";
        return std::fs::write(file(), text).expect("written");
    }
    let text = std::fs::read_to_string(file()).expect("a record");
    let record: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let tolerance = match record["compiler"] == here.as_str() {
        true => TOLERANCE,
        false => TOLERANCE_OTHER,
    };
    let mut more = Vec::new();
    for (name, count) in counts {
        let kept = record["instructions, not optimised"][name]
            .as_f64()
            .unwrap_or(0.0);
        let change = (count as f64 - kept) / kept * 100.0;
        println!("{name}: {count}, recorded {kept} ({change:+.1}%)");
        // What has no record is no number, and no less than any.
        if change.is_nan() || change > tolerance {
            more.push(format!("{name}: {count} instead of {kept}"));
        }
    }
    assert!(
        more.is_empty(),
        "more than recorded; see the head of this file: {more:?}"
    );
}
