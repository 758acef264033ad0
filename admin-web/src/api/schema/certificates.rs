//! What bodies about certificates, their orders and their change look like.

#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::ToSchema;

/// Where the change of identities stands.
#[derive(ToSchema)]
pub(in crate::api) struct Rollover {
    /// `calm`, `publishing`, `waiting`, `settling`, `late`.
    phase: String,
    text: String,
    steps: Vec<RolloverStep>,
    tlsa: Vec<Tlsa>,
    /// Fingerprints of the POSH documents, SHA-256 in hex.
    posh: Vec<String>,
    believed_seconds: u32,
    key_days: Option<u32>,
    /// What changing the key at once would cost.
    emergency: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct RolloverStep {
    /// `make`, `publish`, `wait`, `swap`, `retire`.
    step: String,
    /// `done`, `now`, `later`, `late`.
    standing: String,
    at: Option<String>,
    text: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct Tlsa {
    owner: String,
    /// `3 1 1 8a9a…`
    records: Vec<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct KeyChange {
    /// Others may know the key: change it at once, whatever peers have been told.
    emergency: bool,
}

#[derive(ToSchema)]
pub(in crate::api) struct Certificate {
    id: i64,
    names: Vec<String>,
    issuer: String,
    not_before: String,
    not_after: String,
    renew_at: Option<String>,
    /// The window that the certificate authority suggests (RFC 9773), if it does.
    renewal: Option<Renewal>,
    days_left: i64,
    /// `acme`, `uploaded`, or `own`: made by us for our own host.
    source: String,
    /// `current`, `next`, `retired`.
    state: String,
    fingerprint: String,
    key_since: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct Renewal {
    start: String,
    end: String,
    /// A page that says why.
    explanation: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct Order {
    domain: String,
    tenant: i64,
    /// `first`, `renewal`, `optional`.
    priority: String,
    names: Vec<String>,
    authority: String,
    /// The authority has announced the renewal and does not count it.
    announced: bool,
    since: String,
    deadline: Option<String>,
    failures: u32,
    under_way: bool,
    /// `back-off`, `told-to-wait`, `orders`, `registered-domain`, `duplicates`, `failures`, `pending`, `turn`.
    why: Option<String>,
    reason: String,
    until: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct BlockedName {
    name: String,
    why: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct CertificatePlan {
    domain: String,
    certificate: Option<Certificate>,
    renewal: Option<String>,
    order: Option<Order>,
    blocked: Vec<BlockedName>,
    failed: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct Revocation {
    /// `key-compromise`, `cessation-of-operation`.
    reason: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct Revoked {
    domain: String,
    fingerprints: Vec<String>,
    refused: Vec<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct OfAuthority {
    /// Directory URL; empty or left out: the preferred authority.
    directory: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct LimitUsed {
    subject: String,
    used: u64,
    /// 0: no limit.
    most: u32,
    window_seconds: u32,
}

#[derive(ToSchema)]
pub(in crate::api) struct Authority {
    name: String,
    directory: String,
    caa_identities: Vec<String>,
    account_uri: Option<String>,
    persistent: Vec<String>,
    down_since: Option<String>,
    rests_until: Option<String>,
    said: String,
    orders: LimitUsed,
    certificates: Vec<LimitUsed>,
    failures: Vec<LimitUsed>,
}

#[derive(ToSchema)]
pub(in crate::api) struct CertificateUpload {
    /// Leaf first; PEM.
    chain_pem: String,
    /// Not encrypted; PEM.
    key_pem: String,
}
