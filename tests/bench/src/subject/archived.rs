//! An archive with as many messages as are asked for, put into the database of ours directly: an import looks at each message,
//! which takes hours for millions of them.
//!
//! One message a second, with ten people in turn, each as long as the others, so that the sums are what a server would have
//! written. Refuses: other servers; nobody knows how they would have stored it.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
use crate::world::{DOMAIN, user};

/// When the first of them came, in seconds since 1970: the first of January 2020.
pub(crate) const FIRST: u64 = 1_577_836_800;

/// The statement for an engine: how it makes the numbers `i` from 0 on, and ten digits of one, and what turns text into bytes.
fn statement(numbers: &str, digits: &str, bytes: (&str, &str)) -> String {
    let own = user(0);
    let (open, close) = bytes;
    let stanza = format!(
        "{open}'<message from=\"friend' || (i % 10) || '@peer.example/x\" to=\"{own}@{DOMAIN}\" type=\"chat\" id=\"m' || {digits} || \
         '\"><body>message number ' || {digits} || '</body></message>'{close}"
    );
    format!(
        "{numbers} INSERT INTO archive (account, at, salt, peer, resource, sent, message, total, stanza) \
         SELECT account, ({FIRST} + i) * 1000000, i, 'friend' || (i % 10) || '@peer.example', 'x', FALSE, i, \
         (i + 1) * LENGTH(stanza), stanza FROM (SELECT a.id AS account, n.i AS i, {stanza} AS stanza \
         FROM n CROSS JOIN accounts a JOIN domains d ON d.id = a.domain WHERE a.local = '{own}' AND d.name = '{DOMAIN}') AS made"
    )
}

/// For SQLite.
fn sqlite(count: usize) -> String {
    let numbers = format!(
        "WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {count})"
    );
    statement(&numbers, "printf('%010d', i)", ("CAST(", " AS BLOB)"))
}

/// For PostgreSQL.
pub(super) fn postgres(count: usize) -> String {
    let numbers = format!(
        "WITH n (i) AS (SELECT CAST(g AS BIGINT) FROM generate_series(0, {}) g)",
        count.saturating_sub(1)
    );
    let digits = "LPAD(CAST(i AS TEXT), 10, '0')";
    statement(&numbers, digits, ("convert_to(", ", 'UTF8')"))
}

/// Puts them into a SQLite file that nobody has open.
pub(super) fn into_sqlite(file: &Path, count: usize) -> Outcome<()> {
    let told = Command::new("sqlite3")
        .arg(file)
        .arg(format!("PRAGMA synchronous = OFF; {};", sqlite(count)))
        .output()
        .map_err(|e| format!("sqlite3: {e}"))?;
    match told.status.success() {
        true => Ok(()),
        false => Err(format!("sqlite3: {}", String::from_utf8_lossy(&told.stderr)).into()),
    }
}
