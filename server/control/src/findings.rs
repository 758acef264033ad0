//! What is wrong, with a stable code: the difference between desired and observed, as a pure function.

use serde::Serialize;
use xmpp::timestamp::Timestamp;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Info,
    /// We could not ask; nothing is wrong.
    Unknown,
    /// Will hurt, or hurts a few.
    Warning,
    /// People feel it.
    Critical,
}

/// One row of "what the world sees".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingView {
    /// Stable code (`findings::CODES`); for a good row the check's name.
    pub code: String,
    /// How bad.
    pub severity: Severity,
    /// What it is about, usually a name: `_xmpp-client._tcp.example.com`.
    pub subject: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub observed: String,
    /// Which server said so.
    pub asked: String,
    /// What to do, one sentence in the second person; empty when good.
    pub fix: String,
    /// Seen like this since.
    #[serde(serialize_with = "crate::time::at")]
    pub since: Timestamp,
    /// Looked at again.
    #[serde(serialize_with = "crate::time::maybe")]
    pub next_check: Option<Timestamp>,
}
