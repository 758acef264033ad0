//! What a domain's owner publishes: a pure function of (domain, platform settings), and its three spellings (table, zone-file
//! fragment, JSON).

use serde::Serialize;
use xmpp::jid::DomainName;

use crate::error::Result;
use crate::settings::PlatformSettings;
use crate::{Actor, Control};

/// How an owner lets us prove who we are (design, "Delegation").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A certificate, ordered by us through the delegated challenge name. The default.
    #[default]
    DelegatedChallenge,
    /// A certificate that the owner uploads and renews.
    Uploaded,
}

impl Mode {
    /// Word of the store, JSON and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DelegatedChallenge => "delegated-challenge",
            Self::Uploaded => "uploaded",
        }
    }

    /// The mode of this word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::DelegatedChallenge, Self::Uploaded].into_iter().find(|mode| mode.as_str() == word)
    }
}

/// What the records depend on.
#[derive(Debug, Clone)]
pub struct DomainFacts {
    /// The domain.
    pub name: DomainName,
    /// Its label in the platform's zone.
    pub label: String,
    /// Its ownership token.
    pub token: String,
    /// How we get its identity.
    pub mode: Mode,
    /// Labels of the services that are switched on (`rooms`).
    pub services: Vec<String>,
    /// Apex of the zone that holds the domain, A-labels without last dot, when observed; names are relative to it. `None`:
    /// taken to be the domain itself.
    pub zone: Option<String>,
}

/// What a record is for. The word is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, PartialOrd, Ord)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Shows that whoever signed up may change the domain's zone.
    Ownership,
    /// Lets the certificate authority find our answer to its question.
    Challenge,
    /// Where apps find the service (STARTTLS).
    Client,
    /// Where apps find it by direct TLS (XEP-0368).
    ClientTls,
    /// Where other servers find it (STARTTLS).
    Server,
    /// Where other servers find it by direct TLS.
    ServerTls,
}

/// Data of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "type")]
pub enum RecordValue {
    /// One text; cut into strings of 255 bytes when written to a zone file.
    Txt {
        /// The text.
        text: String,
    },
    /// RFC 2782.
    Srv {
        /// Lower is tried first.
        priority: u16,
        /// Share among equals.
        weight: u16,
        /// Port.
        port: u16,
        /// Target, absolute, without the last dot.
        target: String,
    },
    /// Alias.
    Cname {
        /// Target, absolute, without the last dot.
        target: String,
    },
}

/// One record the owner should have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DesiredRecord {
    /// What for.
    pub purpose: Purpose,
    /// The service label it belongs to; `None`: the domain itself.
    pub service: Option<String>,
    /// `TXT`, `SRV`, `CNAME`.
    pub rtype: &'static str,
    /// Name relative to the owner's zone, for hosts whose form adds the zone by itself: `_xmpp-client._tcp`.
    pub relative: String,
    /// Absolute name, A-labels, with the last dot: `_xmpp-client._tcp.example.com.`.
    pub name: String,
    /// Data, typed.
    #[serde(flatten)]
    pub value: RecordValue,
    /// Data as a zone file spells it: `0 5 5222 d7f3k2.on.hosting.example.`, `"domicile-verify=…"`.
    pub value_text: String,
    /// TTL to use.
    pub ttl_seconds: u32,
    /// Why it is needed, one sentence.
    pub why: String,
    /// May it be left out? Optional ones are never red.
    pub optional: bool,
}

/// How a record stands in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// As wanted.
    Seen,
    /// Not there.
    Missing,
    /// Something else is there.
    Different,
    /// Not looked yet, or could not ask.
    Unknown,
}

/// A desired record with what the world shows.
#[derive(Debug, Clone, Serialize)]
pub struct RecordView {
    /// The record.
    #[serde(flatten)]
    pub record: DesiredRecord,
    /// How it stands.
    pub standing: Standing,
    /// The records of the same name and type that it replaces, in zone-file spelling: delete these.
    pub replaces: Vec<String>,
}

/// The records page.
#[derive(Debug, Clone, Serialize)]
pub struct RecordsPage {
    /// The domain.
    pub domain: String,
    /// Zone that names are relative to, with the last dot.
    pub zone: String,
    /// The DNS host recognised by its name servers, for hints; empty if unknown.
    pub dns_host: String,
    /// One or two sentences on how this host's form wants names; empty if unknown.
    pub dns_hint: String,
    /// The records.
    pub records: Vec<RecordView>,
}

/// The records of a domain.
pub fn desired(domain: &DomainFacts, settings: &PlatformSettings) -> Vec<DesiredRecord> {
    let _ = (domain, settings);
    todo!()
}

/// A zone-file fragment (RFC 1035 5) of absolute names that `named-checkzone` accepts and that pastes anywhere.
pub fn zone_fragment(domain: &DomainFacts, records: &[DesiredRecord]) -> String {
    let _ = (domain, records);
    todo!()
}

impl Control {
    /// The records of a domain and how they stand, from the last look; asks nobody.
    pub async fn domain_records(&self, actor: &Actor, domain: &str) -> Result<RecordsPage> {
        let _ = (actor, domain);
        todo!()
    }

    /// The same as a zone-file fragment.
    pub async fn domain_zone_fragment(&self, actor: &Actor, domain: &str) -> Result<String> {
        let _ = (actor, domain);
        todo!()
    }
}
