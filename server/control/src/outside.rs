//! What control needs from the world: small traits that `server/src/wiring.rs` fulfils (ACME, RFC 2136, the live server, the clock).
//!
//! Control decides and remembers; it opens no socket. Each trait says what it may refuse and what it must never do.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::secret::Secret;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use store::TenantId;
use xmpp::jid::{BareJid, DomainName};
use xmpp::timestamp::Timestamp;

use crate::records::DesiredRecord;

/// The time. Tests move it by hand.
pub trait Clock: Send + Sync {
    /// Now, UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

// --- certificates ---

/// Certificate authorities: by ACME (RFC 8555), or the sandbox's own CA, which checks the same dns-01 TXT.
#[async_trait]
pub trait Issuer: Send + Sync {
    /// Who issues first of all, for the records page and the CAA check.
    fn describe(&self) -> IssuerInfo;

    /// Everybody who issues, the preferred one first; the others are for when it cannot.
    fn authorities(&self) -> Vec<IssuerInfo> {
        vec![self.describe()]
    }

    /// Obtains one certificate for exactly `request.names`. Calls `desk` to publish challenges, and `desk.remember` with the
    /// order, key and CSR *before* the order is finalized, so that a crash resumes (`request.resume`) rather than orders anew.
    /// Must withdraw what it published, also after a failure. Must never finalize an order that is not ready (ACME-03).
    async fn issue(
        &self,
        request: IssueRequest,
        desk: &dyn ChallengeSolver,
    ) -> Result<Issued, IssueError>;

    /// When the authority wants this certificate renewed (RFC 9773); `None`: it does not say.
    async fn renewal_info(
        &self,
        _authority: &str,
        _chain_pem: &str,
    ) -> Result<Option<RenewalInfo>, IssueError> {
        Ok(None)
    }

    /// Has the authority that issued it revoke a certificate (RFC 8555 7.6).
    async fn revoke(
        &self,
        _authority: &str,
        _chain_pem: &str,
        _reason: RevocationReason,
    ) -> Result<(), IssueError> {
        Err(IssueError::Refused("it revokes nothing".into()))
    }

    /// Gives our account there another key (RFC 8555 7.3.5); it stays the same account. Returns its URI.
    async fn roll_account_key(&self, _authority: &str) -> Result<String, IssueError> {
        Err(IssueError::Refused("it keeps no accounts".into()))
    }
}

/// What is known of an issuer beforehand.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct IssuerInfo {
    /// For people: `Let's Encrypt`, `Sandbox CA`.
    pub name: String,
    /// Its directory's URL: its name in the store. Empty where there is only one.
    pub directory: String,
    /// The names that a CAA `issue` property may hold for it (`letsencrypt.org`); empty: the CA ignores CAA.
    pub caa_identities: Vec<String>,
    /// The account's URI, for CAA `accounturi` (RFC 8657) and dns-persist-01.
    pub account_uri: Option<String>,
    /// Issuer names that a dns-persist-01 record may hold for it; empty: it was not seen to offer dns-persist-01.
    pub persistent: Vec<String>,
}

/// How a name is proven to the authority (RFC 8555 8).
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub enum Method {
    /// A TXT record in the platform's zone, to which the owner's CNAME leads. The default.
    #[default]
    #[serde(rename = "dns-01")]
    Dns,
    /// A document on the public door, to which the owner's website redirects.
    #[serde(rename = "http-01")]
    Http,
    /// A TXT record of the owner's that stands for ever and names our account.
    #[serde(rename = "dns-persist-01")]
    DnsPersist,
}

impl Method {
    /// Word of the ACME registry.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns-01",
            Self::Http => "http-01",
            Self::DnsPersist => "dns-persist-01",
        }
    }
}

/// One order.
#[derive(Debug, Clone, Default)]
pub struct IssueRequest {
    /// Row of the domain the order is for; only for the log.
    pub domain_id: i64,
    /// Every name of the certificate, the domain first (ACME-01). A-labels are the issuer's affair (`DomainName::to_ascii`).
    pub names: Vec<DomainName>,
    /// Directory of the authority that it goes to; empty: the preferred one.
    pub authority: String,
    /// How names are proven that are not proven by dns-01.
    pub methods: BTreeMap<DomainName, Method>,
    /// Which key.
    pub key: KeyChoice,
    /// The certificate that is being renewed (PEM), where its authority announces renewals: it then does not count the order
    /// (RFC 9773 5).
    pub replaces: Option<String>,
    /// An order that was started before a crash: to be resumed if the CA still knows it, else to be forgotten.
    pub resume: Option<PendingOrder>,
}

impl IssueRequest {
    /// How this name is proven.
    pub fn method(&self, name: &DomainName) -> Method {
        self.methods.get(name).copied().unwrap_or_default()
    }
}

/// When the authority wants a certificate renewed (RFC 9773 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalInfo {
    /// Start of the window.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// A page that says why, for people.
    pub explanation: Option<String>,
    /// Ask again after so many seconds; the authority's word (Retry-After).
    pub ask_again_seconds: u32,
}

/// Why a certificate is revoked (RFC 5280 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RevocationReason {
    /// Somebody else has, or may have, its key.
    KeyCompromise,
    /// The domain has left.
    CessationOfOperation,
}

/// Which key a certificate is asked for.
#[derive(Debug, Clone, Default)]
pub enum KeyChoice {
    /// A fresh ECDSA P-256 key.
    #[default]
    New,
    /// The key of the certificate being renewed (ACME-12), PKCS#8 PEM.
    Keep(Secret),
}

/// What must survive a crash between "ready" and "certificate in hand".
#[derive(Debug, Clone, Default)]
pub struct PendingOrder {
    /// Directory of the authority it is at; empty: from before this was kept, the preferred one.
    pub authority: String,
    /// The order's URL at the CA.
    pub url: String,
    /// PKCS#8 PEM. Sealed by the store.
    pub key_pem: Secret,
    /// The CSR, DER.
    pub csr_der: Vec<u8>,
}

/// What an issuer hands back.
#[derive(Debug, Clone, Default)]
pub struct Issued {
    /// Directory of the authority that issued it.
    pub authority: String,
    /// The authority took it as the renewal that it had announced, and does not count it (RFC 9773 5).
    pub announced: bool,
    /// Leaf first, then intermediates; PEM.
    pub chain_pem: String,
    /// PKCS#8 PEM.
    pub key_pem: Secret,
}

/// Why an order brought nothing. The texts are the CA's or our own, safe to show to the domain's owner.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum IssueError {
    /// Some names were refused; the others would have been fine. The order is lost.
    #[error("{}", .0.iter().map(|refused| format!("{}: {}", refused.name, refused.why)).collect::<Vec<_>>().join("; "))]
    Names(Vec<NameRefused>),
    /// The CA wants us to wait (ACME-04).
    #[error("the certificate authority asks us to wait {wait_seconds} seconds")]
    RateLimited {
        /// As told, or the issuer's guess.
        wait_seconds: u64,
        /// It concerns all orders of the account, not only these names.
        account: bool,
    },
    /// The CA cannot be reached or answers with a server error: unknown, not failed.
    #[error("the certificate authority cannot be reached: {0}")]
    Unavailable(String),
    /// The challenge could not be published in the platform's zone.
    #[error("the challenge could not be published: {0}")]
    Challenge(String),
    /// Anything else the CA said.
    #[error("the certificate authority refused: {0}")]
    Refused(String),
}

/// One name of a failed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameRefused {
    /// Which.
    pub name: DomainName,
    /// The CA's words.
    pub why: String,
}

/// What is shown for one challenge while the authority looks (dns-persist-01 needs nothing shown).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// dns-01: the TXT value, already the base64url digest of RFC 8555 8.4.
    Dns {
        /// The text.
        value: String,
    },
    /// http-01 (RFC 8555 8.3): the document at `/.well-known/acme-challenge/TOKEN`.
    Http {
        /// The token.
        token: String,
        /// Its content.
        key_authorization: String,
    },
}

/// The side of an order that control keeps: where challenges go and what is remembered. Bound to one domain; a value can
/// reach no other domain's names (ACME-08).
#[async_trait]
pub trait ChallengeSolver: Send + Sync {
    /// Shows what the authority will look for at `name`; returns when it can be seen: when the platform zone's primary server
    /// has accepted the TXT record, or the public door answers with the document. Several for one name stand side by side.
    async fn present(&self, name: &DomainName, response: &Response) -> Result<(), IssueError>;
    /// Takes it away again. Never fails loudly: what is left over is swept later.
    async fn withdraw(&self, name: &DomainName, response: &Response);
    /// Stores the order before it is finalized. An error means: do not finalize.
    async fn remember(&self, order: PendingOrder) -> Result<(), IssueError>;
}

// --- the platform's zone ---

/// The platform's own zone, changed by RFC 2136 updates (or the sandbox's DNS behind the same door).
#[async_trait]
pub trait ZonePublisher: Send + Sync {
    /// Applies all or nothing, in order. Returns when the primary server has accepted.
    async fn apply(&self, changes: &[ZoneChange]) -> Result<(), ZoneError>;

    /// Every name of the zone with what stands there, but for what DNSSEC adds.
    async fn names(&self) -> Result<Vec<ZoneName>, ZoneError>;
}

/// A name of the platform's zone, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneName {
    /// Absolute, lower case, without the last dot.
    pub name: String,
    /// Type and value of each record, as zone files write them.
    pub records: Vec<(String, String)>,
}

/// One change of the platform's zone. Names are absolute, A-labels, without the last dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneChange {
    /// The record set of this name and of the values' type becomes exactly `values` (all of one type).
    Set {
        /// Owner name.
        name: String,
        /// TTL.
        ttl_seconds: u32,
        /// At least one.
        values: Vec<ZoneValue>,
    },
    /// One more record.
    Add {
        /// Owner name.
        name: String,
        /// TTL.
        ttl_seconds: u32,
        /// The record.
        value: ZoneValue,
    },
    /// Exactly this record goes; it is no error if it is not there.
    Remove {
        /// Owner name.
        name: String,
        /// The record.
        value: ZoneValue,
    },
    /// Every record of the name goes, of every type; it is no error if there is none.
    Erase {
        /// Owner name.
        name: String,
    },
}

/// Record data that control publishes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneValue {
    /// IPv4 address.
    A(Ipv4Addr),
    /// IPv6 address.
    Aaaa(Ipv6Addr),
    /// One TXT record; the publisher cuts it into strings of 255 bytes.
    Txt(String),
    /// Certificate association (RFC 6698).
    Tlsa(dna::dane::Record),
}

/// Why the zone did not take a change.
#[derive(Debug, thiserror::Error)]
pub enum ZoneError {
    /// No answer from the primary server.
    #[error("the name server {server} of the platform's zone does not answer")]
    Unreachable {
        /// Which.
        server: String,
        /// Cause.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered with a refusal (`NOTAUTH`, `REFUSED`, …).
    #[error("the name server {server} of the platform's zone refuses the update: {code}")]
    Refused {
        /// Which.
        server: String,
        /// RCODE in words.
        code: String,
    },
}

/// The owner's zone, where it is ours to change: only in the sandbox. `None` in a real deployment.
#[async_trait]
pub trait OwnerZone: Send + Sync {
    /// Publishes the records of `domain`, replacing what each replaces ("publish for me").
    async fn publish(
        &self,
        domain: &DomainName,
        records: &[DesiredRecord],
    ) -> Result<(), ZoneError>;
    /// Takes everything of the domain away again.
    async fn withdraw(&self, domain: &DomainName) -> Result<(), ZoneError>;
}

// --- mail ---

/// One message to one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Address.
    pub to: String,
    /// Subject.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// Address that ends mail of this kind for whoever it is written to (RFC 8058); `None`: this kind is always sent.
    pub unsubscribe: Option<String>,
}

/// Why it was not handed over. The texts are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Nobody is there, or wants it later. Ours, or the relay's.
    #[error("the mail relay cannot take it now: {0}")]
    Unavailable(String),
    /// Nobody will ever have it. The address's, mostly.
    #[error("the mail relay refused it: {0}")]
    Refused(String),
}

impl MailError {
    /// Is trying again in vain?
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Refused(_))
    }
}

/// The operator's mail relay.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Hands a message over; within a bounded time.
    async fn send(&self, mail: Mail) -> Result<(), MailError>;
}

/// When mail is written, and what it leads to.
pub struct Post {
    /// Who takes it.
    pub mailer: std::sync::Arc<dyn Mailer>,
    /// Not before this hour of the day (UTC).
    pub hour: u8,
    /// Address of the panel.
    pub panel: String,
}

// --- the live server ---

/// Live questions and announcements; fulfilled by the server, by [`NotLive`] in the CLI.
#[async_trait]
pub trait Live: Send + Sync {
    /// Something that the live server caches has changed in the store. The store's own change feed says the same a little
    /// later, so an announcement may be lost without harm.
    fn announce(&self, change: Change);
    /// Goes through the public door as a client would: address of the SRV target, TLS with the domain's name, certificate
    /// valid for it, stream features. With `own`, the SHA-256 (lower-case hex) of an identity that no authority vouches for,
    /// the certificate must be that one instead. Never blocks longer than a few seconds.
    async fn probe(&self, domain: &DomainName, own: Option<&str>) -> Probe;
    /// Does the server run in this process? Where it does not, a probe says nothing, and the server's last one stands.
    fn is_here(&self) -> bool {
        true
    }
    /// Sessions bound at a domain now.
    fn sessions(&self, domain: &DomainName) -> usize;
    /// How many sessions each of these accounts has now; `None`: no server runs in this process.
    fn online(&self, _accounts: &[BareJid]) -> Option<Vec<usize>> {
        None
    }
    /// Sessions of an account now, in the order of their coming; `None`: no server runs in this process.
    fn sessions_of(&self, _account: &BareJid) -> Option<Vec<SessionNow>> {
        None
    }
    /// Peers of a domain with a stream now.
    fn peers(&self, domain: &DomainName) -> Vec<PeerNow>;
    /// Whether one more account may be asked for from this address now; every question counts. The live server counts those on
    /// streams with them.
    fn admits_newcomer(&self, _from: std::net::IpAddr) -> bool {
        true
    }
    /// An account of the domain was made on a page that the client on this stream had opened, and waits for.
    fn newcomer_came(&self, _domain: &DomainName, _stream: &str) {}
    /// So many names of the platform's zone are nobody's, and are ours to take away.
    fn zone_orphans(&self, _count: u64) {}
    /// Much was done at once (many looks side by side, somebody's import), or the first looks since the process began, and is over:
    /// the memory that it has taken may be given back.
    fn burst_over(&self) {}
    /// What a tenant takes of the server now; `None`: no server runs in this process.
    fn usage(&self, _tenant: TenantId) -> Option<LiveUsage> {
        None
    }
}

/// A session at this moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionNow {
    /// Its resource.
    pub resource: String,
    /// When its login was proved.
    pub since: Timestamp,
    /// Its client is not there, and may come back to it (XEP-0198).
    pub away: bool,
    /// The name that its client has given itself (XEP-0388 2.3).
    pub agent: Option<String>,
    /// It was proved by a certificate of this SHA-256 (hexadecimal).
    pub certificate: Option<String>,
}

/// What a tenant takes of the live server at a time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LiveUsage {
    /// Connections that a stream to one of its domains is on.
    pub connections: u32,
    /// Bound sessions.
    pub sessions: u32,
    /// Other servers, counted for each of its domains.
    pub peers: u32,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// State, policy or settings of a domain; also: it has gone.
    Domain(DomainName),
    /// Its certificate.
    Certificate(DomainName),
    /// An account was suspended, removed or got another password: its sessions end.
    Account(BareJid),
    /// An account has got a contact without its sessions' doing.
    Roster(BareJid),
}

/// Result of a probe: three values, because a question that could not be asked proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "result")]
pub enum Probe {
    /// A client would get through.
    Passed {
        /// `192.0.2.1:5222, TLS 1.3, certificate for example.com`.
        seen: String,
        /// SHA-256 of the certificate that was shown, lower-case hex; empty in what older versions remember.
        #[serde(default)]
        leaf: String,
    },
    /// A client would be stopped.
    Failed {
        /// What was seen, safe to show.
        seen: String,
        /// Address asked.
        asked: String,
    },
    /// We could not ask.
    Unknown {
        /// Why.
        why: String,
    },
}

/// A peer with a stream at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PeerNow {
    /// The remote domain.
    pub peer: String,
    /// We called them.
    pub outbound: bool,
    /// They called us.
    pub inbound: bool,
    /// `pkix`, `dialback`, …
    pub prooftype: Option<String>,
}

/// [`Live`] where no server runs in this process (the CLI): probes are unknown, counts zero.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotLive;

#[async_trait]
impl Live for NotLive {
    fn announce(&self, _change: Change) {}

    fn is_here(&self) -> bool {
        false
    }

    async fn probe(&self, _domain: &DomainName, _own: Option<&str>) -> Probe {
        Probe::Unknown {
            why: "this process does not run the server".into(),
        }
    }

    fn sessions(&self, _domain: &DomainName) -> usize {
        0
    }

    fn peers(&self, _domain: &DomainName) -> Vec<PeerNow> {
        Vec::new()
    }
}
