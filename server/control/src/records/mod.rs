//! What a domain's owner publishes: a pure function of (domain, platform settings), and its three spellings (table, zone-file
//! fragment, JSON).

mod challenge;
mod cost;
mod host_meta;
mod hosts;
#[cfg(test)]
mod tests;
mod web;
mod zone_file;

use serde::Serialize;
use xmpp::jid::DomainName;

use self::challenge::proof;
pub use self::challenge::{Certified, certified, challenge_url};
pub(crate) use self::challenge::{check_answer, check_token, persist_text};
pub use self::cost::{MODE_COSTS, ModeCost, ModeOffer};
pub use self::host_meta::{BOSH, HOST_META, WEBSOCKET, host_meta_url};
use self::hosts::dns_host;
pub(crate) use self::web::SERVICES;
pub use self::web::{WebExample, WebView, Whose, posh_url};
pub(crate) use self::zone_file::txt_strings;
pub use self::zone_file::zone_fragment;
use crate::domain::Memory;
use crate::error::Result;
use crate::findings::{replaced, standing};
use crate::outside::Method;
use crate::permission::Operation;
use crate::settings::PlatformSettings;
use crate::{Actor, Control};

/// How an owner lets us prove who we are (design, "Delegation").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A certificate, ordered by us through the delegated challenge name. The default.
    #[default]
    DelegatedChallenge,
    /// The same, through a TXT record of the owner's that stands for ever and names our account at the authority
    /// (dns-persist-01); only where the authority offers it.
    DnsPersist,
    /// The same, through a redirect of the owner's website (http-01); only where this service has an address to redirect to.
    HttpRedirect,
    /// A certificate that the owner uploads and renews.
    Uploaded,
    /// No certificate for the domain: its website vouches for an identity of ours (RFC 7711).
    Posh,
    /// No certificate for the domain: its signed DNS leads to our host, whose records describe an identity of ours (RFC 7673).
    Dane,
}

impl Mode {
    /// Every mode, the most usual first.
    pub const ALL: [Self; 6] = [
        Self::DelegatedChallenge,
        Self::DnsPersist,
        Self::HttpRedirect,
        Self::Uploaded,
        Self::Posh,
        Self::Dane,
    ];

    /// Word of the store, JSON and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DelegatedChallenge => "delegated-challenge",
            Self::DnsPersist => "dns-persist",
            Self::HttpRedirect => "http-redirect",
            Self::Uploaded => "uploaded",
            Self::Posh => "posh",
            Self::Dane => "dane",
        }
    }

    /// The mode of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }

    /// Do we order a certificate for the domain?
    pub fn orders(self) -> bool {
        self.method().is_some()
    }

    /// How names are proven to the authority; `None`: nothing is ordered.
    pub fn method(self) -> Option<Method> {
        match self {
            Self::DelegatedChallenge => Some(Method::Dns),
            Self::DnsPersist => Some(Method::DnsPersist),
            Self::HttpRedirect => Some(Method::Http),
            Self::Uploaded | Self::Posh | Self::Dane => None,
        }
    }

    /// Do we show an identity of our own making, which is for our host and no domain?
    pub fn is_own(self) -> bool {
        matches!(self, Self::Posh | Self::Dane)
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
    /// TLSA records are published for its target, as its mode or beside it.
    pub dane: bool,
    /// POSH documents are, likewise.
    pub posh: bool,
    /// Labels of the services that are switched on and that people elsewhere use (`rooms`).
    pub services: Vec<String>,
    /// Labels of the components, which people elsewhere may use.
    pub components: Vec<String>,
    /// Text of the record that names our account at the authority (dns-persist-01); `None`: it offers no such thing.
    pub persist: Option<String>,
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
    /// Lets our account at the authority obtain certificates for as long as it stands (dns-persist-01).
    Persist,
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
    /// Where that host's customers edit the zone, an address with `https`; empty if unknown.
    pub dns_panel: String,
    /// The records.
    pub records: Vec<RecordView>,
    /// What the owner's website is to answer: for the authority and for POSH where those are chosen, and for apps in browsers
    /// where the platform has an address for them.
    pub web: Vec<WebView>,
}

/// Prefix of the ownership TXT.
pub const OWNERSHIP_PREFIX: &str = "domicile-verify=";

impl DomainFacts {
    /// The domain as the DNS spells it.
    pub fn ascii(&self) -> String {
        self.name.to_ascii().into_owned()
    }

    /// Absolute name of the SRV target, without the last dot.
    pub fn target(&self, settings: &PlatformSettings) -> String {
        format!("{}.{}", self.label, settings.platform_zone)
    }

    /// Absolute name of the challenge TXT in the platform's zone, without the last dot.
    pub fn challenge(&self, settings: &PlatformSettings) -> String {
        format!("{}._acme.{}", self.label, settings.platform_zone)
    }

    /// Text of the ownership TXT.
    pub fn ownership_text(&self) -> String {
        format!("{OWNERSHIP_PREFIX}{}", self.token)
    }

    /// The apex that relative names are relative to.
    pub fn zone_or_self(&self) -> String {
        self.zone.clone().unwrap_or_else(|| self.ascii())
    }
}

/// The records of a domain.
pub fn desired(domain: &DomainFacts, settings: &PlatformSettings) -> Vec<DesiredRecord> {
    let ascii = domain.ascii();
    let zone = domain.zone_or_self();
    let target = domain.target(settings);
    let ports = settings.ports;
    let record = |purpose,
                  service: Option<&str>,
                  prefix: &str,
                  value: RecordValue,
                  why: String,
                  optional| {
        let host = service.map_or_else(|| ascii.clone(), |label| format!("{label}.{ascii}"));
        let name = format!("{prefix}.{host}");
        DesiredRecord {
            purpose,
            service: service.map(str::to_owned),
            rtype: value.rtype(),
            relative: relative_name(&name, &zone),
            name: format!("{name}."),
            value_text: value.to_string(),
            value,
            ttl_seconds: settings.record_ttl_seconds,
            why,
            optional,
        }
    };
    let srv = |port| RecordValue::Srv {
        priority: 0,
        weight: 5,
        port,
        target: target.clone(),
    };
    let mut records = vec![record(
        Purpose::Ownership,
        None,
        "_domicile",
        RecordValue::Txt {
            text: domain.ownership_text(),
        },
        "Shows that the domain is yours. Keep it: it is looked at again from time to time.".into(),
        false,
    )];
    if let Some((purpose, prefix, value)) = proof(domain, settings) {
        let why = format!(
            "Lets us obtain and renew the certificate for {}; it would also let us obtain one for your website.",
            domain.name
        );
        records.push(record(purpose, None, prefix, value, why, false));
    }
    records.push(record(
        Purpose::Client,
        None,
        "_xmpp-client._tcp",
        srv(ports.client),
        "Where apps find your chat service.".into(),
        false,
    ));
    records.push(record(
        Purpose::Server,
        None,
        "_xmpp-server._tcp",
        srv(ports.server),
        "Where other chat servers find yours.".into(),
        false,
    ));
    records.push(record(
        Purpose::ClientTls,
        None,
        "_xmpps-client._tcp",
        srv(ports.client_tls),
        "Lets apps connect encrypted from the first byte: faster, and it passes more firewalls."
            .into(),
        true,
    ));
    records.push(record(
        Purpose::ServerTls,
        None,
        "_xmpps-server._tcp",
        srv(ports.server_tls),
        "The same for other chat servers.".into(),
        true,
    ));
    for service in settings
        .service_names
        .iter()
        .filter(|service| domain.services.contains(&service.label))
    {
        let label = Some(service.label.as_str());
        if let Some((purpose, prefix, value)) =
            proof(domain, settings).filter(|_| service.federated)
        {
            let why = format!(
                "Puts {}.{} ({}) into the certificate.",
                service.label, domain.name, service.purpose
            );
            records.push(record(purpose, label, prefix, value, why, true));
        }
        if service.federated {
            records.push(record(
                Purpose::Server,
                label,
                "_xmpp-server._tcp",
                srv(ports.server),
                format!(
                    "Where people on other servers find your {}.",
                    service.purpose
                ),
                true,
            ));
        }
    }
    for component in &domain.components {
        let label = Some(component.as_str());
        if let Some((purpose, prefix, value)) = proof(domain, settings) {
            let why = format!("Puts {component}.{} into the certificate.", domain.name);
            records.push(record(purpose, label, prefix, value, why, true));
        }
        records.push(record(
            Purpose::Server,
            label,
            "_xmpp-server._tcp",
            srv(ports.server),
            format!("Where people on other servers find your {component}."),
            true,
        ));
    }
    records
}

/// `name` relative to `zone` (both absolute, without the last dot): `@` for the zone itself; the absolute name with its dot
/// if it lies outside.
fn relative_name(name: &str, zone: &str) -> String {
    if name == zone {
        return "@".into();
    }
    match name
        .strip_suffix(zone)
        .and_then(|rest| rest.strip_suffix('.'))
    {
        Some(relative) => relative.to_owned(),
        None => format!("{name}."),
    }
}

impl RecordValue {
    /// `TXT`, `SRV`, `CNAME`.
    pub fn rtype(&self) -> &'static str {
        match self {
            Self::Txt { .. } => "TXT",
            Self::Srv { .. } => "SRV",
            Self::Cname { .. } => "CNAME",
        }
    }
}

/// Zone-file spelling of the data.
impl std::fmt::Display for RecordValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Txt { text } => f.write_str(&txt_strings(text)),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "{priority} {weight} {port} {target}."),
            Self::Cname { target } => write!(f, "{target}."),
        }
    }
}

impl Control {
    /// The records of a domain and how they stand, from the last look; asks nobody.
    pub async fn domain_records(&self, actor: &Actor, domain: &str) -> Result<RecordsPage> {
        let row = self
            .domain_row(actor, Operation::DomainRecords, domain)
            .await?;
        let memory = Memory::of(&row);
        let facts = self.facts_of(&row, &memory);
        let seen = memory.seen.unwrap_or_default();
        let zone = facts.zone_or_self();
        let host = dns_host(&seen.name_servers, seen.connect.as_ref(), &zone);
        let mut web = self.web_views(&row, &facts, &seen).await?;
        web.extend(self.host_meta_views(&row.name, &row.label, seen.host_meta.as_ref()));
        let records = desired(&facts, self.settings())
            .into_iter()
            .map(|record| RecordView {
                standing: standing(&record, &seen),
                replaces: replaced(&record, &seen),
                record,
            })
            .collect();
        Ok(RecordsPage {
            domain: row.name.to_string(),
            zone: format!("{zone}."),
            dns_host: host.name,
            dns_hint: host.hint,
            dns_panel: host.panel,
            records,
            web,
        })
    }

    /// The same as a zone-file fragment.
    pub async fn domain_zone_fragment(&self, actor: &Actor, domain: &str) -> Result<String> {
        let row = self
            .domain_row(actor, Operation::DomainRecords, domain)
            .await?;
        let facts = self.facts_of(&row, &Memory::of(&row));
        Ok(zone_fragment(&facts, &desired(&facts, self.settings())))
    }
}
