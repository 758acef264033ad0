//! What bodies about customers look like: plans and what is used of them, teams and second factors, the ladder, webhooks.

#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::ToSchema;

use super::Login;

/// A new plan, or changes of one; what is left out stays.
#[derive(ToSchema)]
pub(in crate::api) struct PlanSet {
    name: Option<String>,
    /// It is for customers that were given no other.
    usual: Option<bool>,
    /// From which part of a limit on an owner is warned, 1 to 100.
    soft_percent: Option<u32>,
    #[serde(flatten)]
    limits: LimitsSet,
}

/// A plan.
#[derive(ToSchema)]
pub(in crate::api) struct Plan {
    id: i64,
    name: String,
    usual: bool,
    soft_percent: i64,
    limits: Limits,
    /// Customers that have it.
    tenants: u64,
    created: String,
    /// Also the `ETag`.
    version: String,
}

/// What a customer uses.
#[derive(ToSchema)]
pub(in crate::api) struct Usage {
    tenant: i64,
    name: String,
    /// Empty: the configuration says what it may have.
    plan: String,
    at: String,
    quotas: Vec<Quota>,
}

#[derive(ToSchema)]
pub(in crate::api) struct Quota {
    /// `domains`, `accounts`, `connections`, `sessions`, `stanzas_per_second`, `peers`, `offline_bytes`, `archive_bytes`,
    /// `upload_bytes`.
    kind: String,
    /// Null: not known here, or not a thing that is used up.
    used: Option<u64>,
    /// From here on the owner is warned.
    soft: u64,
    /// More there cannot be.
    hard: u64,
    /// `ok`, `soft`, `hard`, `unknown`.
    level: String,
    /// What that means and what to do.
    note: String,
}

/// Changes of what a customer may have; what is left out stays.
#[derive(ToSchema)]
pub(in crate::api) struct TenantSet {
    /// Another plan; 0: the usual one.
    plan: Option<i64>,
    #[serde(flatten)]
    limits: LimitsSet,
}

/// Days from now until each step; one that is left out does not come.
#[derive(ToSchema)]
pub(in crate::api) struct LadderSet {
    /// The customer reads it.
    reason: String,
    read_only_days: Option<u32>,
    no_federation_days: Option<u32>,
    no_login_days: Option<u32>,
    erased_days: Option<u32>,
}

#[derive(ToSchema)]
pub(in crate::api) struct Ladder {
    reason: String,
    /// In force: `warned`, `read-only`, `no-federation`, `no-login`, `erased`.
    step: String,
    steps: Vec<LadderStep>,
}

#[derive(ToSchema)]
pub(in crate::api) struct LadderStep {
    step: String,
    at: String,
    reached: bool,
    meaning: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct WebhookAsk {
    /// `https://…`
    url: String,
    /// Operations (`account.add`) or nouns (`account`); none: everything.
    events: Option<Vec<String>>,
}

#[derive(ToSchema)]
pub(in crate::api) struct Webhook {
    id: i64,
    url: String,
    /// None: everything.
    events: Vec<String>,
    created: String,
}

/// A fresh webhook.
#[derive(ToSchema)]
pub(in crate::api) struct WebhookMade {
    /// `whsec_…`; shown once.
    secret: String,
    #[serde(flatten)]
    webhook: Webhook,
}

/// A message and what became of it.
#[derive(ToSchema)]
pub(in crate::api) struct Delivery {
    id: i64,
    webhook: i64,
    event: String,
    at: String,
    /// `waiting`, `delivered`, `given up`.
    state: String,
    attempts: i64,
    next: Option<String>,
    /// HTTP status of the last answer.
    status: Option<i64>,
    said: String,
    /// What is sent.
    body: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct NewRole {
    /// `owner`, `admin`, `support`, `auditor`.
    role: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct InvitationAsk {
    /// `owner`, `admin`, `support`, `auditor`.
    role: String,
    /// Whom it is meant for.
    note: Option<String>,
    /// 1 to 30; 7 if nothing is said.
    days: Option<u32>,
}

#[derive(ToSchema)]
pub(in crate::api) struct Invitation {
    id: i64,
    role: String,
    note: String,
    by: String,
    created: String,
    expires: String,
}

/// A fresh invitation.
#[derive(ToSchema)]
pub(in crate::api) struct InvitationMade {
    /// Where it is taken; shown once.
    link: String,
    /// What the link ends in.
    secret: String,
    #[serde(flatten)]
    invitation: Invitation,
}

/// What a link invites to.
#[derive(ToSchema)]
pub(in crate::api) struct Invited {
    tenant: String,
    role: String,
    by: String,
    expires: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct InvitationAccept {
    secret: String,
    login: String,
    password: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct LoginWithCode {
    login: String,
    password: String,
    /// Of the second factor, or a recovery code.
    code: Option<String>,
}

#[derive(ToSchema)]
pub(in crate::api) struct OwnPassword {
    password: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct FactorCode {
    /// Six digits, or a recovery code where there is a second factor already.
    code: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct FactorRule {
    wanted: bool,
}

/// One's own second factor.
#[derive(ToSchema)]
pub(in crate::api) struct Factor {
    /// `none`, `begun`, `on`.
    state: String,
    since: Option<String>,
    /// Recovery codes that are left.
    codes: u64,
    /// The customer asks it of its people.
    wanted: bool,
}

/// A secret for the app.
#[derive(ToSchema)]
pub(in crate::api) struct FactorBegun {
    secret: String,
    /// `otpauth://totp/…`
    uri: String,
}

/// One's own mail.
#[derive(ToSchema)]
pub(in crate::api) struct Mail {
    /// What has changed for one's domains, at most once a night.
    nightly: bool,
    /// Is it written at all: has the service a relay, and does one's role answer for domains?
    written: bool,
}

/// Whether one is written to.
#[derive(ToSchema)]
pub(in crate::api) struct MailChoice {
    nightly: bool,
}

/// Shown once.
#[derive(ToSchema)]
pub(in crate::api) struct RecoveryCodes {
    codes: Vec<String>,
}

/// Changes of limits; what is left out stays.
#[derive(ToSchema)]
pub(in crate::api) struct LimitsSet {
    domains: Option<u32>,
    accounts: Option<u32>,
    connections: Option<u32>,
    sessions: Option<u32>,
    stanzas_per_second: Option<u32>,
    peers: Option<u32>,
    roster_items: Option<u32>,
    offline_bytes: Option<u64>,
    archive_bytes: Option<u64>,
    upload_bytes: Option<u64>,
}

#[derive(ToSchema)]
pub(in crate::api) struct Limits {
    domains: u32,
    accounts: u32,
    connections: u32,
    sessions: u32,
    stanzas_per_second: u32,
    /// Other servers at a time, counted for each domain.
    peers: u32,
    roster_items: u32,
    offline_bytes: u64,
    /// Over it the oldest messages of the largest archives go.
    archive_bytes: u64,
    upload_bytes: u64,
}

#[derive(ToSchema)]
pub(in crate::api) struct Used {
    domains: u32,
    accounts: u32,
}

#[derive(ToSchema)]
pub(in crate::api) struct Tenant {
    id: i64,
    name: String,
    /// `active` or `suspended`.
    state: String,
    created: String,
    /// The plan it was given; null: the usual one.
    plan: Option<i64>,
    /// Of the plan in force; empty: the configuration says what it may have.
    plan_name: String,
    limits: Limits,
    used: Used,
    /// Its people must sign in with a second factor.
    second_factor: bool,
    /// Null: it is not on the suspension ladder.
    ladder: Option<Ladder>,
    /// Also the `ETag`.
    version: String,
}

#[derive(ToSchema)]
pub(in crate::api) struct TenantNew {
    name: String,
    owner: Option<Login>,
}

/// A passkey of one's own.
#[derive(ToSchema)]
pub(in crate::api) struct Passkey {
    id: i64,
    name: String,
    created: String,
    /// Null: never.
    used: Option<String>,
}
