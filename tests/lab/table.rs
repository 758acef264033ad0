//! The table in `docs/federation.md`: every test writes the rows of its section from what it saw, and fails where the file
//! says otherwise. `LAB_WRITE=1` rewrites the file instead, for a person to read and commit.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;

use crate::harness::tools::repository;

/// Every section of the file; a section without a test, or a test without a section, is an error.
pub const SECTIONS: &[&str] = &[
    "prosody",
    "ejabberd",
    "certificates",
    "revocation",
    "dane",
    "tlsa",
    "posh",
    "houses",
    "asserted",
    "supposed",
    "paths",
    "moved",
    "silent",
    "policies",
    "lists",
    "pinned",
    "authorities",
    "keys",
    "stripping",
    "early",
    "pairs",
    "slow",
    "renegotiation",
    "flood",
    "cost",
    "faults",
    "fallen",
];

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    pub peer: String,
    /// What is presented, or what the peer does.
    pub presents: String,
    /// Policy of the hosted domain.
    pub policy: String,
    /// `in`: the peer calls us; `out`: we call it.
    pub direction: &'static str,
    /// How who calls proves itself: EXTERNAL, dialback, none.
    pub mechanism: String,
    /// What our judge took as the proof of the peer.
    pub proof: String,
    pub outcome: String,
    /// Code of what proved nothing on the way, if anything.
    pub refusal: String,
}

impl Row {
    fn line(&self) -> String {
        format!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            self.peer,
            self.presents,
            self.policy,
            self.direction,
            self.mechanism,
            self.proof,
            self.outcome,
            self.refusal
        )
    }
}

const HEAD: &str = "| peer | presents | policy | direction | mechanism | proof of the peer | outcome | refused on the way |\n|---|---|---|---|---|---|---|---|";

fn file() -> PathBuf {
    repository().join("docs/federation.md")
}

fn marks(section: &str) -> (String, String) {
    (
        format!("<!-- rows of {section} -->\n"),
        format!("<!-- end of {section} -->"),
    )
}

/// Compares what was seen with the file, or rewrites that part of it.
pub fn check(section: &str, rows: &[Row]) {
    let lines: Vec<String> = rows.iter().map(Row::line).collect();
    check_lines(section, HEAD, &lines);
}

/// The same for a table with columns of its own.
pub fn check_lines(section: &str, head: &str, lines: &[String]) {
    static WRITING: Mutex<()> = Mutex::new(());
    assert!(
        SECTIONS.contains(&section),
        "{section} is not among SECTIONS"
    );
    let mut seen = head.to_owned();
    for line in lines {
        let _ = write!(seen, "\n{line}");
    }
    seen.push('\n');
    let guard = WRITING.lock();
    let text = std::fs::read_to_string(file()).expect("docs/federation.md");
    let (start, end) = marks(section);
    let from = text
        .find(&start)
        .unwrap_or_else(|| panic!("docs/federation.md has no {start:?}"))
        + start.len();
    let to = from
        + text[from..]
            .find(&end)
            .unwrap_or_else(|| panic!("docs/federation.md has no {end:?}"));
    let kept = &text[from..to];
    if std::env::var_os("LAB_WRITE").is_some() {
        let fresh = format!("{}{seen}{}", &text[..from], &text[to..]);
        std::fs::write(file(), fresh).expect("docs/federation.md");
        return;
    }
    drop(guard);
    let differing: Vec<String> = differences(kept, &seen);
    assert!(
        differing.is_empty(),
        "docs/federation.md says otherwise (LAB_WRITE=1 rewrites it):\n{}",
        differing.join("\n")
    );
}

fn differences(kept: &str, seen: &str) -> Vec<String> {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (kept, seen) = (lines(kept), lines(seen));
    let gone = kept
        .iter()
        .filter(|line| !seen.contains(line))
        .map(|line| format!("- {line}"));
    let new = seen
        .iter()
        .filter(|line| !kept.contains(line))
        .map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

/// The file holds the sections that there are, and no row outside of them.
#[test]
fn the_file_has_no_untested_row() {
    let mut text = std::fs::read_to_string(file()).expect("docs/federation.md");
    for section in SECTIONS {
        let (start, end) = marks(section);
        let from = text.find(&start).unwrap_or_else(|| panic!("no {start:?}"));
        let to = text.find(&end).unwrap_or_else(|| panic!("no {end:?}"));
        text.replace_range(from..to + end.len(), "");
    }
    assert!(
        !text.contains("<!-- rows of"),
        "a section that no test writes"
    );
    assert!(
        !text
            .lines()
            .any(|line| line.starts_with("| ") && line.matches('|').count() == 9),
        "a row outside of the sections"
    );
}
