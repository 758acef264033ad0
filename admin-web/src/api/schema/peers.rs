//! What bodies about peers, and about what people report, look like.

#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::ToSchema;

#[derive(ToSchema)]
pub(in crate::api) struct Peer {
    peer: String,
    prooftype: Option<String>,
    ok: bool,
    /// The last attempt, as the log has it.
    summary: String,
    /// What came of it, in plain words.
    why: String,
    last: String,
    connected: bool,
    /// When we called them.
    outgoing: Option<Way>,
    /// When they called us.
    incoming: Option<Way>,
}

/// One direction; a stream that goes both ways counts for both.
#[derive(ToSchema)]
pub(in crate::api) struct Way {
    ok: bool,
    prooftype: Option<String>,
    connected: bool,
}

/// Fifty peers, the latest first.
#[derive(ToSchema)]
pub(in crate::api) struct PeerPage {
    peers: Vec<Peer>,
    total: u64,
    from: u64,
    /// `from` of the next page.
    next: Option<u64>,
    previous: Option<u64>,
}

/// What somebody reports to the domain's owner.
#[derive(ToSchema)]
pub(in crate::api) struct Report {
    /// Grows with time.
    id: i64,
    at: String,
    /// Who reports.
    account: String,
    /// Who is reported.
    jid: String,
    /// `spam` or `abuse`.
    reason: String,
    text: String,
    /// Ids of the messages that are meant, in the person's archive.
    messages: Vec<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct PeerShow {
    #[serde(flatten)]
    view: Peer,
    pinned: Option<Pinned>,
    /// What was seen (`at`, `direction`, `ok`, `summary`, `code`, `target`, `address`, `tls`, …), and what it means.
    attempts: Vec<Attempt>,
}

/// What an attempt means; beside these members stand the facts that were seen.
#[derive(ToSchema)]
pub(in crate::api) struct Attempt {
    steps: Vec<Step>,
    proofs: Vec<Proof>,
    /// In plain words.
    why: String,
    /// `nobody`, `theirs`, `ours`, `dns`, `network`, `policy`.
    side: String,
    /// What to do; empty when there is nothing.
    fix: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct Step {
    /// `dns`, `connect`, `tls`, `identity`, `sign-in`.
    step: String,
    name: String,
    /// `done`, `broken`, `later`.
    reached: String,
    seen: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct Proof {
    /// `pkix`, `dane`, `posh`, `dialback`, `policy`.
    prooftype: String,
    holds: bool,
    code: String,
    text: String,
    /// There was only nothing of its kind to look at; what matters is said by another. The facts (`refusals`, `verdicts`)
    /// mark it alike.
    minor: bool,
}

/// Trust anchors of a peer.
#[derive(ToSchema)]
pub(in crate::api) struct PeerPin {
    /// One certificate or several, PEM.
    anchors_pem: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct Pinned {
    peer: String,
    anchors: Vec<Anchor>,
}

#[derive(ToSchema)]
pub(in crate::api) struct Anchor {
    subject: String,
    /// SHA-256.
    fingerprint: String,
    not_after: String,
    expired: bool,
}

/// Whom a policy would lose.
#[derive(ToSchema)]
pub(in crate::api) struct PolicyCost {
    policy: String,
    lost: Vec<String>,
}
