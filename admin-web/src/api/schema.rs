//! What bodies look like, for the OpenAPI description only: control's types know nothing of it. A test compares the members
//! with what is really sent.

#![allow(dead_code, reason = "these types are described, never made")]

mod certificates;
mod customers;
mod joining;
mod kept;
mod outages;
mod peers;
mod people;
mod queues;
mod series;
mod zone;

use std::collections::BTreeMap;

use utoipa::ToSchema;

pub(super) use self::certificates::*;
pub(super) use self::customers::*;
pub(super) use self::joining::*;
pub(super) use self::kept::*;
pub(super) use self::outages::*;
pub(super) use self::peers::*;
pub(super) use self::people::*;
pub(super) use self::queues::*;
pub(super) use self::series::*;
pub(super) use self::zone::*;

/// An error (RFC 9457).
#[derive(ToSchema)]
pub(super) struct Problem {
    /// `about:blank`.
    r#type: String,
    /// HTTP status.
    status: u16,
    /// Stable code: `not-found`, `forbidden`, `invalid`, `exists`, `wrong-state`, `limit`, `too-many`, …
    code: String,
    /// Short heading.
    title: String,
    /// What happened, to what.
    detail: String,
    /// What to do.
    remedy: String,
    /// Member at fault, if one is.
    field: Option<String>,
}

/// What is known of a domain before it is added.
#[derive(ToSchema)]
pub(super) struct DomainHint {
    usable: bool,
    /// How it is spelled here.
    domain: String,
    /// How the DNS spells it, if that differs.
    ascii: Option<String>,
    /// What is in the way or worth knowing.
    note: String,
    /// `ok`, `empty`, `unreadable`, `public-suffix`, `address`, `platform`, `served-here`, `single-label`,
    /// `mixed-scripts`, `special-use`.
    code: String,
}

/// A new customer.
#[derive(ToSchema)]
pub(super) struct SignUp {
    domain: String,
    email: String,
    password: String,
}

/// Signed up and in.
#[derive(ToSchema)]
pub(super) struct SignedUp {
    tenant: i64,
    domain: String,
    /// The login's secret, for `X-CSRF-Token`.
    csrf: String,
}

#[derive(ToSchema)]
pub(super) struct FirstRunNeeded {
    needed: bool,
}

/// The first operator.
#[derive(ToSchema)]
pub(super) struct FirstRun {
    /// From the server's log.
    token: String,
    login: String,
    password: String,
}

#[derive(ToSchema)]
pub(super) struct Login {
    login: String,
    password: String,
}

/// Signed in; the cookie comes with the answer.
#[derive(ToSchema)]
pub(super) struct LoggedIn {
    login: String,
    role: String,
    tenant: Option<i64>,
    /// The login's secret, for `X-CSRF-Token`.
    csrf: String,
    expires: String,
}

/// Who asks.
#[derive(ToSchema)]
pub(super) struct Me {
    login: String,
    /// `platform`, `owner`, `admin`, `support`, `auditor`.
    role: String,
    tenant: Option<i64>,
    /// The login's secret; null with a token.
    csrf: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct PasswordChange {
    old: String,
    new: String,
}

#[derive(ToSchema)]
pub(super) struct LoginEntry {
    id: i64,
    agent: String,
    address: String,
    created: String,
    expires: String,
}

#[derive(ToSchema)]
pub(super) struct Token {
    id: i64,
    name: String,
    /// Only these; none: every domain that its owner reaches.
    domains: Vec<String>,
    /// Only these; none: whatever its owner may do.
    operations: Vec<String>,
    created: String,
    expires: String,
    /// Last use, to the minute.
    used: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct TokenRequest {
    /// What it is for.
    name: String,
    /// Only these; none: every domain that its owner reaches.
    domains: Option<Vec<String>>,
    /// Only these (`account.add`); none: whatever its owner may do.
    operations: Option<Vec<String>>,
    /// 1 to 366; 90 if nothing is said.
    days: Option<u32>,
}

/// A fresh token.
#[derive(ToSchema)]
pub(super) struct TokenMade {
    /// Shown once.
    secret: String,
    #[serde(flatten)]
    token: Token,
}

/// One of the events of the stream (`text/event-stream`).
#[derive(ToSchema)]
pub(super) struct Change {
    /// `change`.
    event: String,
    /// What changed, as JSON: `Event`.
    data: String,
}

/// Something changed.
#[derive(ToSchema)]
pub(super) struct Event {
    /// `domain-added`, `domain-state`, `domain-checked`, `domain-removed`, `certificate`, `accounts`, `tenant`, `lagged`.
    event: String,
    domain: Option<String>,
    at: String,
}

/// A domain in a list.
#[derive(ToSchema)]
pub(super) struct Domain {
    id: i64,
    domain: String,
    /// DNS spelling.
    ascii: String,
    tenant: i64,
    /// `claimed`, `verified`, `publishing`, `ready`, `live`, `degraded`, `suspended`, `releasing`.
    state: String,
    /// `live`, `ready`, `waiting for you`, `waiting for the world`, `degraded`, `stopped`.
    chip: String,
    /// One sentence.
    status: String,
    accounts: u64,
    created: String,
}

/// Everything about a domain.
#[derive(ToSchema)]
pub(super) struct DomainShow {
    #[serde(flatten)]
    view: Domain,
    /// Host that SRV records point at.
    target: String,
    /// `delegated-challenge`, `dns-persist`, `http-redirect`, `uploaded`, `posh`, `dane`; see `/modes`.
    mode: String,
    /// TLSA records are published for its target.
    dane: bool,
    /// POSH documents are published for it.
    posh: bool,
    /// `permissive`, `verified`, `encrypted`, `authenticated`.
    policy: String,
    services: Vec<String>,
    allow: Vec<String>,
    block: Vec<String>,
    /// Peers with trust anchors of their own.
    pinned: Vec<Pinned>,
    streams: StreamChoices,
    /// Whether its own relays for calls have a secret; what it is, nobody is told.
    external_secret: bool,
    stations: Vec<Station>,
    next_step: NextStep,
    checks: Vec<Finding>,
    critical: u64,
    verdicts: Vec<Verdict>,
    certificate: Option<Certificate>,
    certificate_note: String,
    verified: Option<String>,
    checked: Option<String>,
    next_check: Option<String>,
    sessions: u64,
    /// Of the last 30 days, the oldest first.
    days: Vec<Day>,
    can_publish: bool,
    /// Of its settings; also the `ETag`.
    version: String,
}

#[derive(ToSchema)]
pub(super) struct Station {
    name: String,
    /// `done`, `now`, `later`, `trouble`.
    standing: String,
    text: String,
}

#[derive(ToSchema)]
pub(super) struct NextStep {
    title: String,
    text: String,
    /// `records`, `check`, `publish`, `users`, `certificate`, `resume`, `none`.
    action: String,
}

/// One check.
#[derive(ToSchema)]
pub(super) struct Finding {
    /// Stable; see `/codes`.
    code: String,
    /// `ok`, `info`, `unknown`, `warning`, `critical`.
    severity: String,
    subject: String,
    expected: String,
    observed: String,
    asked: String,
    fix: String,
    since: String,
    next_check: Option<String>,
}

/// Would they accept the domain?
#[derive(ToSchema)]
pub(super) struct Verdict {
    name: String,
    who: String,
    prooftype: String,
    /// `yes`, `no`, `unknown`.
    accepted: String,
    why: String,
}

/// Who would accept the domain, in a mode.
#[derive(ToSchema)]
pub(super) struct Verdicts {
    /// See `/modes`.
    mode: String,
    dane: bool,
    posh: bool,
    /// Something was asked for: what the mode wants is taken as published. Otherwise this is what was seen.
    foreseen: bool,
    verdicts: Vec<Verdict>,
}

#[derive(ToSchema)]
pub(super) struct DomainNew {
    domain: String,
    /// Operators of the platform say for whom.
    tenant: Option<i64>,
}

#[derive(ToSchema)]
pub(super) struct DomainWanted {
    /// Operators of the platform say whose, if it is not there yet.
    tenant: Option<i64>,
    #[serde(flatten)]
    set: DomainSet,
}

#[derive(ToSchema)]
pub(super) struct DomainSet {
    policy: Option<String>,
    /// See `/modes`.
    mode: Option<String>,
    /// TLSA records beside a mode that holds a certificate.
    dane: Option<bool>,
    /// POSH documents beside it.
    posh: Option<bool>,
    /// A renewal changes the key when that is older than this many days; 0: keys are kept.
    key_days: Option<u32>,
    services: Option<Vec<String>>,
    allow: Option<Vec<String>>,
    block: Option<Vec<String>>,
    /// Whether PLAIN is offered over TLS.
    plain: Option<bool>,
    /// Hashes of the SCRAM mechanisms that are offered: `SHA-1`, `SHA-256`, `SHA-512`; empty: all.
    scram: Option<Vec<String>>,
    /// Names of modules that are switched off.
    modules_off: Option<Vec<String>>,
    /// Accounts of the domain that look after the others from their apps (XEP-0133).
    admins: Option<Vec<String>>,
    /// Contact addresses (XEP-0157) by role: `abuse`, `admin`, `feedback`, `sales`, `security`, `status`, `support`.
    contacts: Option<BTreeMap<String, Vec<String>>>,
    /// Silence after which a space is sent; 0: as the platform does.
    keepalive_seconds: Option<u32>,
    /// Silence of a client after which it is pinged; 0: never.
    ping_seconds: Option<u32>,
    /// Silence after which a client's stream is closed; 0: never.
    idle_seconds: Option<u32>,
    /// How long a session waits for its client when the connection breaks (XEP-0198); 0: not at all.
    resume_seconds: Option<u32>,
    /// Days after which what is archived goes (XEP-0313); 0: never.
    archive_days: Option<u32>,
    /// Authorities whose certificates prove clients, PEM; empty: the platform's.
    client_ca: Option<String>,
    /// Whether people may log in with certificates that they upload (XEP-0257).
    user_certificates: Option<bool>,
    /// Whether people may take out what they have (XEP-0227) from their apps.
    own_export: Option<bool>,
    /// STUN and TURN servers for calls (XEP-0215), as URIs; the one word `none`: none; empty: the platform's.
    external: Option<Vec<String>>,
    joining: Option<JoinSet>,
    /// Where clients learn what is the matter when the domain does not answer (XEP-0455): https addresses; empty: the platform's.
    status: Option<Vec<String>>,
    /// What push services are told of a message (XEP-0357): `nothing`, `count` or `sender`.
    push: Option<String>,
    /// Block lists to follow, five at most: `SERVICE`, or `xmpp:SERVICE?;node=NODE`.
    block_lists: Option<Vec<String>>,
    /// Strangers to be kept away: bare addresses and domains.
    block_strangers: Option<Vec<String>>,
}

/// Clients' streams and modules.
#[derive(ToSchema)]
pub(super) struct StreamChoices {
    plain: bool,
    /// Hashes of the SCRAM mechanisms that are offered; absent: all.
    scram: Option<Vec<String>>,
    modules_off: Vec<String>,
    admins: Vec<String>,
    contacts: BTreeMap<String, Vec<String>>,
    keepalive_seconds: Option<u32>,
    ping_seconds: Option<u32>,
    idle_seconds: Option<u32>,
    resume_seconds: Option<u32>,
    archive_days: Option<u32>,
    client_ca: Option<String>,
    user_certificates: bool,
    external: Option<Vec<String>>,
    own_export: bool,
    joining: JoinChoices,
    /// Absent: the platform's.
    status: Option<Vec<String>>,
    /// Absent: `count`.
    push: Option<String>,
    /// Absent: none.
    block_lists: Option<Vec<String>>,
    /// Absent: none.
    block_strangers: Option<Vec<String>>,
    /// Absent: nothing is announced.
    outage: Option<Outage>,
}

/// What a domain's own relays for calls know too.
#[derive(ToSchema)]
pub(super) struct ExternalSecret {
    /// As in the relay's configuration (`static-auth-secret` of coturn): one word.
    #[schema(min_length = 16, max_length = 200)]
    secret: String,
}

/// A block list that a domain follows.
#[derive(ToSchema)]
pub(super) struct BlockList {
    list: String,
    /// Entries that are known.
    entries: u64,
    /// When it was last read to the end; null: never.
    read: Option<String>,
    /// What is wrong with it; empty: nothing that is known.
    problem: String,
}

#[derive(ToSchema)]
pub(super) struct Reason {
    /// Shown to those concerned.
    reason: String,
}

/// A removed domain.
#[derive(ToSchema)]
pub(super) struct Removed {
    domain: String,
    /// Records for the owner to delete.
    dangling: Vec<Record>,
}

/// A record to publish.
#[derive(ToSchema)]
pub(super) struct Record {
    /// `ownership`, `challenge`, `client`, `client-tls`, `server`, `server-tls`.
    purpose: String,
    service: Option<String>,
    /// `TXT`, `SRV`, `CNAME`.
    rtype: String,
    relative: String,
    name: String,
    /// `txt`, `srv`, `cname`; its members beside it.
    r#type: String,
    /// Of `txt`.
    text: Option<String>,
    /// Of `srv`.
    priority: Option<u16>,
    /// Of `srv`.
    weight: Option<u16>,
    /// Of `srv`.
    port: Option<u16>,
    /// Of `srv` and `cname`.
    target: Option<String>,
    value_text: String,
    ttl_seconds: u32,
    why: String,
    optional: bool,
}

#[derive(ToSchema)]
pub(super) struct RecordStanding {
    #[serde(flatten)]
    record: Record,
    /// `seen`, `missing`, `different`, `unknown`.
    standing: String,
    /// Records that it replaces.
    replaces: Vec<String>,
}

#[derive(ToSchema)]
pub(super) struct Records {
    domain: String,
    zone: String,
    dns_host: String,
    dns_hint: String,
    /// Where that host's customers edit the zone; empty if unknown.
    dns_panel: String,
    records: Vec<RecordStanding>,
    /// What the owner's website is to answer: for the authority and for POSH where those are chosen, and for apps in browsers.
    web: Vec<WebAddress>,
}

/// A redirect in a web server's own words.
#[derive(ToSchema)]
pub(super) struct WebExample {
    /// `nginx`, `Apache`, `Caddy`.
    server: String,
    text: String,
}

/// An address of the owner's website.
#[derive(ToSchema)]
pub(super) struct WebAddress {
    /// `acme-challenge` (everything below the address), `xmpp-client`, `xmpp-server` (POSH); `host-meta`, `host-meta.json`.
    service: String,
    address: String,
    /// Redirect it there; empty: publish the document.
    redirect: String,
    /// Or answer with this; empty: only the redirect will do.
    document: String,
    /// Its media type.
    content_type: String,
    /// `Access-Control-Allow-Origin: *` belongs to the answer, and to the redirect.
    cross_origin: bool,
    why: String,
    /// May it be left out?
    optional: bool,
    /// The redirect as usual web servers spell it.
    examples: Vec<WebExample>,
    /// `seen`, `missing`, `different`, `unknown`.
    standing: String,
}

/// A way of proof and its price.
#[derive(ToSchema)]
pub(super) struct ModeOffer {
    mode: String,
    title: String,
    owner: String,
    held: String,
    issuable: String,
    accepted: String,
    /// May it be added to another mode?
    addable: bool,
    /// May it be chosen here?
    available: bool,
    /// Why not; empty if it may.
    unavailable: String,
}

/// A program that answers for a name below a domain.
#[derive(ToSchema)]
pub(super) struct Component {
    name: String,
    /// Since when it has its secret.
    created: String,
    /// What it may beyond its name.
    grants: Grants,
    /// Another word for other grants, for `If-Match`.
    version: String,
}

/// What a program may do in the names of the domain's accounts, and what it answers in the domain's place.
#[derive(ToSchema)]
pub(super) struct Grants {
    /// Rosters of all accounts: `none`, `get`, `set` or `both`.
    #[schema(required = false)]
    roster: String,
    /// It is told of changes of rosters that it may read.
    #[schema(required = false)]
    roster_push: bool,
    /// Messages in the name of accounts and of the domain: `none` or `outgoing`.
    #[schema(required = false)]
    message: String,
    /// Presence that it is told: `none`, `managed_entity` or `roster`.
    #[schema(required = false)]
    presence: String,
    /// `get`, `set` or `both` by namespace.
    #[schema(required = false)]
    iq: std::collections::BTreeMap<String, String>,
    /// Names of attributes that a request must have, by namespace.
    #[schema(required = false)]
    delegated: std::collections::BTreeMap<String, Vec<String>>,
}

/// A program that may connect.
#[derive(ToSchema)]
pub(super) struct ComponentAsk {
    /// Its secret; if nothing is said, one is drawn for a program that is new, and another keeps what it has.
    secret: Option<String>,
    /// It gets another secret though it has one.
    #[schema(required = false)]
    rotate: bool,
}

#[derive(ToSchema)]
pub(super) struct ComponentNew {
    name: String,
    created: String,
    grants: Grants,
    /// Another word for other grants, for `If-Match`.
    version: String,
    /// Shown once; null: it keeps what it has.
    #[schema(required = true)]
    secret: Option<String>,
}

#[derive(ToSchema)]
pub(super) struct Code {
    code: String,
    meaning: String,
    fix: String,
}

#[derive(ToSchema)]
pub(super) struct Operator {
    id: i64,
    login: String,
    role: String,
    /// They sign in with a second factor.
    second_factor: bool,
    created: String,
}

#[derive(ToSchema)]
pub(super) struct OperatorNew {
    login: String,
    password: String,
    /// `platform`, or `owner`, `admin`, `support`, `auditor` of a customer.
    role: String,
}

#[derive(ToSchema)]
pub(super) struct Overview {
    tenants: u64,
    /// Pairs of state and number.
    domains: Vec<Vec<serde_json::Value>>,
    accounts: u64,
    /// Pairs of code and number, most frequent first.
    findings: Vec<Vec<serde_json::Value>>,
    /// Pairs of days left (fewer than; null: any more) and number of certificates in use.
    certificates: Vec<Vec<serde_json::Value>>,
    /// Names of the platform's zone that nobody owns and that can be taken away; null: not known.
    #[schema(required = true)]
    zone_orphans: Option<u64>,
    /// What waits, and the limits of that.
    queues: Queues,
}

/// A day of a domain.
#[derive(ToSchema)]
pub(super) struct Day {
    /// Its start.
    day: String,
    /// Most sessions that were seen.
    sessions: u64,
}

#[derive(ToSchema)]
pub(super) struct AuditEntry {
    id: i64,
    at: String,
    actor: String,
    role: String,
    operation: String,
    /// Which domain it concerns; empty: no single one.
    domain: String,
    object: String,
    detail: String,
}
