//! How many instructions the pieces of the hot path take for one message, counted by callgrind and compared with the record
//! in `tests/bench/instructions.json`.
//!
//! Instructions are the same on a busy machine and on a quiet one, so a test run can say that a change made the hot path
//! dearer. `check` (the default) fails when a piece takes more than the record allows; `record` writes the record anew, and
//! whoever does so says why in the commit. A piece is run by this program itself under valgrind, with two numbers of rounds;
//! the difference is free of start and end.
//!
//! What needs the whole server to be built (routing, sockets, TLS) is measured by `domicile-bench`, in CPU time.

#[expect(
    dead_code,
    unreachable_pub,
    reason = "the server's own file: only a part of it is counted, and Cargo would build the whole server for it"
)]
#[path = "../../../../server/src/session/outbox.rs"]
mod outbox;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::task::{Context, Waker};

use serde_json::{Map, Value, json};
use xmpp::framing::{Frame, Framer, Limits};
use xmpp::jid::Jid;
use xmpp::stanza::{From, Stanza};

use outbox::{Outbox, Taken};

/// What may come on top of the record, in percent, if the compiler is the same …
const TOLERANCE: f64 = 3.0;
/// … and if it is another one.
const TOLERANCE_OTHER: f64 = 25.0;
/// Rounds of the two runs.
const ROUNDS: (u64, u64) = (200, 1_200);

const HEADER: &[u8] =
    b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
/// 324 bytes: a chat message with what clients attach to it.
const MESSAGE: &str = "<message to='romeo@montague.example/orchard' type='chat' id='9f3a6c1e-42d7-4b' xml:lang='en'>\
    <body>Wherefore art thou, O Romeo? Deny thy father and refuse thy name; if thou wilt not.</body>\
    <origin-id xmlns='urn:xmpp:sid:0' id='9f3a6c1e-42d7-4b'/><request xmlns='urn:xmpp:receipts'/>\
    <markable xmlns='urn:xmpp:m:0'/></message>";
const JULIET: &str = "juliet@capulet.example/balcony";

type Piece = (&'static str, fn(u64));

/// The pieces, in a message's order.
const PIECES: &[Piece] = &[
    ("framing and validating a message of 324 bytes", framing),
    ("the same, and taking it in with a stamped from", taking_in),
    ("reading an address", address),
    ("readdressing a message", readdressing),
    ("delivering to an outbox, and taking it out", delivering),
    ("answering with an error", refusing),
    ("reading a message into a tree", tree),
];

fn open() -> Framer {
    let mut framer = Framer::new(Limits::default());
    framer.push(HEADER);
    assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
    framer
}

fn framing(rounds: u64) {
    let mut framer = open();
    for _ in 0..rounds {
        framer.push(MESSAGE.as_bytes());
        assert!(matches!(
            black_box(framer.next()),
            Ok(Some(Frame::Element(_)))
        ));
    }
}

fn taking_in(rounds: u64) {
    let mut framer = open();
    let juliet = parse(JULIET);
    for _ in 0..rounds {
        framer.push(MESSAGE.as_bytes());
        let Ok(Some(Frame::Element(raw))) = framer.next() else {
            unreachable!("a whole message was pushed");
        };
        let taken = Stanza::from_raw(&raw, From::Stamp(&juliet), Some("en"));
        assert!(black_box(taken).is_ok());
    }
}

fn address(rounds: u64) {
    for _ in 0..rounds {
        assert!(black_box(Jid::parse(black_box(JULIET))).is_ok());
    }
}

fn readdressing(rounds: u64) {
    let (stanza, to) = (message(), parse("mercutio@montague.example"));
    for _ in 0..rounds {
        black_box(stanza.with_to(&to));
    }
}

fn delivering(rounds: u64) {
    let (stanza, outbox) = (message(), Outbox::new(1 << 20));
    let (mut items, mut taken) = (Vec::new(), Taken::default());
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..rounds {
        assert!(outbox.push(stanza.bytes().clone()).is_ok());
        assert!(
            outbox
                .poll_take(&mut cx, true, &mut items, &mut taken)
                .is_ready()
        );
        black_box(&items);
        items.clear();
    }
}

fn refusing(rounds: u64) {
    let (stanza, error) = (
        message(),
        xmpp::stanza::Condition::ServiceUnavailable.into(),
    );
    for _ in 0..rounds {
        black_box(stanza.error_reply(&error));
    }
}

fn tree(rounds: u64) {
    let stanza = message();
    for _ in 0..rounds {
        assert!(black_box(stanza.payload()).is_ok());
    }
}

fn message() -> Stanza {
    Stanza::from_bytes(MESSAGE.as_bytes()).expect("a message")
}

fn parse(address: &str) -> Jid {
    Jid::parse(address).expect("an address")
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["run", piece, rounds] => return run(piece, rounds),
        [] | ["check"] => check(),
        ["record"] => record(),
        _ => Err("usage: domicile-instructions [check | record]".to_owned()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("domicile-instructions: {error}");
            ExitCode::from(2)
        }
    }
}

/// What valgrind watches.
fn run(piece: &str, rounds: &str) -> ExitCode {
    let found = piece.parse().ok().and_then(|at: usize| PIECES.get(at));
    let (Some((_, work)), Ok(rounds)) = (found, rounds.parse()) else {
        return ExitCode::from(2);
    };
    work(rounds);
    ExitCode::SUCCESS
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../instructions.json")
}

/// Instructions of a run with so many rounds.
fn collected(piece: usize, rounds: u64) -> Result<f64, String> {
    let me = std::env::current_exe().map_err(|e| e.to_string())?;
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(me)
        .args(["run", &piece.to_string(), &rounds.to_string()])
        .output()
        .map_err(|e| format!("valgrind: {e}; tests/install installs it"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    let count = said.lines().find_map(|line| line.split_once("Collected :"));
    match count.and_then(|(_, count)| count.trim().parse().ok()) {
        Some(count) if out.status.success() => Ok(count),
        _ => Err(format!("valgrind ({}): {said}", out.status)),
    }
}

/// Instructions of one round, by piece.
fn count() -> Result<Map<String, Value>, String> {
    let mut counts = Map::new();
    for (at, (words, _)) in PIECES.iter().enumerate() {
        let (few, many) = (collected(at, ROUNDS.0)?, collected(at, ROUNDS.1)?);
        let one = (many - few) / (ROUNDS.1 - ROUNDS.0) as f64;
        counts.insert((*words).to_owned(), json!(one.round() as u64));
    }
    Ok(counts)
}

fn compiler() -> String {
    let said = Command::new("rustc").arg("--version").output();
    said.map_or_else(
        |_| String::new(),
        |out| String::from_utf8_lossy(&out.stdout).trim().to_owned(),
    )
}

fn record() -> Result<bool, String> {
    let record = json!({ "compiler": compiler(), "instructions of one message": count()? });
    let text = serde_json::to_string_pretty(&record).map_err(|e| e.to_string())? + "\n";
    print!("{text}");
    std::fs::write(file(), text).map_err(|e| e.to_string())?;
    Ok(true)
}

fn check() -> Result<bool, String> {
    let text = std::fs::read_to_string(file()).map_err(|e| format!("{}: {e}", file().display()))?;
    let record: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    let here = compiler();
    let same = record["compiler"] == here.as_str();
    let tolerance = if same { TOLERANCE } else { TOLERANCE_OTHER };
    let counts = count()?;
    let mut good = true;
    for (words, count) in &counts {
        let count = count.as_f64().unwrap_or(0.0);
        let Some(kept) = record["instructions of one message"][words].as_f64() else {
            println!("{words}: {count}, and no record of it");
            good = false;
            continue;
        };
        let change = (count - kept) / kept * 100.0;
        let verdict = match change {
            c if c > tolerance => {
                good = false;
                "TOO MANY"
            }
            c if c < -tolerance => "fewer: record it",
            _ => "as recorded",
        };
        println!("{words}: {count}, recorded {kept} ({change:+.1}%): {verdict}");
    }
    if !same {
        println!(
            "recorded with {}, counted with {here}: {tolerance}% are allowed",
            record["compiler"]
        );
    }
    if !good {
        println!("Where more is meant: `just instructions record`, and say why in the commit.");
    }
    Ok(good)
}
