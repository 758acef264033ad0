//! What bodies about the people of a domain look like.

#![allow(dead_code, reason = "these types are described, never made")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

#[derive(ToSchema)]
pub(in crate::api) struct Account {
    jid: String,
    local: String,
    /// `active` or `suspended`.
    state: String,
    created: String,
    /// Has it a session now? Null where no server runs.
    connected: Option<bool>,
    /// When its last session ended.
    last_seen: Option<String>,
}

/// What an account's people sign in with.
#[derive(ToSchema)]
pub(in crate::api) struct AccountDevices {
    /// Whether the server runs in the process that answers.
    live: bool,
    /// Connected ones first.
    devices: Vec<Device>,
    /// Where it is woken when messages come (XEP-0357).
    push: Vec<Push>,
}

#[derive(ToSchema)]
pub(in crate::api) struct Device {
    /// `agent-…` or `session-…`.
    id: String,
    /// What its client says it is; empty: it does not say.
    software: String,
    /// What it says it runs on.
    device: String,
    /// Resources of its sessions now.
    resources: Vec<String>,
    connected: Option<bool>,
    /// Connected, and its network is gone for the moment.
    away: bool,
    /// `token`, `certificate` or `password`.
    way: String,
    since: String,
    last_seen: String,
    /// Until when it can come back without the password.
    expires: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct Push {
    /// Address of the push service.
    service: String,
    /// Resource of the session that asked for it.
    resource: String,
}

/// What an account keeps here.
#[derive(ToSchema)]
pub(in crate::api) struct AccountStorage {
    archive_bytes: u64,
    /// Shared files.
    uploads: u64,
    upload_bytes: u64,
    /// Messages that wait.
    offline: u64,
    offline_bytes: u64,
}

/// A certificate that an account's clients log in with.
#[derive(ToSchema)]
pub(in crate::api) struct ClientCertificate {
    /// What its owner calls it.
    name: String,
    /// SHA-256, hexadecimal.
    fingerprint: String,
    /// Who logs in with it may change the list.
    manages: bool,
    added: String,
    /// Its own end.
    expires: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct AccountNew {
    local: String,
    password: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct AccountWanted {
    /// Of an account that is made; one that is there keeps its own. Without one, it is drawn and returned.
    password: Option<String>,
    /// Is it stopped? Without this it stays as it is.
    suspended: Option<bool>,
}

#[derive(ToSchema)]
pub(in crate::api) struct AccountAdded {
    #[serde(flatten)]
    view: Account,
    /// If it was drawn here; shown once.
    password: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct AccountPage {
    accounts: Vec<Account>,
    total: u64,
    /// Pass as `after`.
    next: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct NewPassword {
    password: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct PasswordSet {
    /// If it was drawn here; shown once.
    password: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct ImportReport {
    added: u64,
    refused: Vec<ImportRefused>,
    /// Pairs of localpart and drawn password; shown once.
    drawn: Vec<Vec<String>>,
}

#[derive(ToSchema)]
pub(in crate::api) struct PeopleImport {
    id: u64,
    domain: String,
    begun: String,
    /// Accounts that are through.
    accounts: u64,
    /// What has come in; null while it goes on.
    moved: Option<PeopleMoved>,
    /// Why it could not go on.
    failed: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct PeopleMoved {
    /// Accounts that were made.
    accounts: u64,
    /// Accounts that were there before.
    known: u64,
    /// How many of what else.
    things: BTreeMap<String, u64>,
    /// Hashes of which accounts came without a verifier: the domain offers no mechanism of these any more.
    lacking: Vec<String>,
    /// What did not come in, the first thousand.
    skipped: Vec<PeopleSkipped>,
    more_skipped: u64,
    /// Why the file was not read to its end.
    ended: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct PeopleSkipped {
    account: String,
    what: String,
    why: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct ImportRefused {
    line: u64,
    local: String,
    problem: String,
}
