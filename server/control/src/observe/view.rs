//! What was seen of a domain, as it is kept with the domain and shown.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Beyond, ConnectView, HttpView, cut};
use crate::domain::Seen;
use crate::records::txt_strings;

/// Record types that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Rtype {
    /// Text.
    Txt,
    /// Service.
    Srv,
    /// Alias.
    Cname,
    /// DANE.
    Tlsa,
}

impl Rtype {
    /// `TXT`, …
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Txt => "TXT",
            Self::Srv => "SRV",
            Self::Cname => "CNAME",
            Self::Tlsa => "TLSA",
        }
    }
}

/// Data of a record that was seen. Names are lower-case A-labels without the last dot (the root is empty).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Data {
    /// Text, its strings joined.
    Txt(String),
    /// Service.
    Srv {
        /// Lower first.
        priority: u16,
        /// Share.
        weight: u16,
        /// Port.
        port: u16,
        /// Target.
        target: String,
    },
    /// Alias.
    Cname(String),
    /// Anything else, in zone-file spelling.
    Other(String),
}

/// Zone-file spelling: what strangers put into a text moves no cursor and ends no quotation.
impl std::fmt::Display for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Txt(text) => f.write_str(&txt_strings(text)),
            Self::Srv {
                priority,
                weight,
                port,
                target,
            } => write!(f, "{priority} {weight} {port} {target}."),
            Self::Cname(target) => write!(f, "{target}."),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sight {
    /// Records.
    Records {
        /// Sorted; not all of them where they are many ([`Beyond`]).
        data: Vec<Data>,
        /// TTL as answered.
        ttl_seconds: u32,
        /// Was an alias followed on the way? Then the data are not of the name asked for.
        aliased: bool,
        /// How much there is, if not all of it was kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        beyond: Option<Beyond>,
    },
    /// The name is an alias that leads in a circle, or through too many others: nobody finds anything there.
    Lost,
    /// The name or the type is not there.
    Nothing,
    /// Could not be asked.
    Failed(String),
    /// DNSSEC validation failed: everybody who validates sees nothing at all.
    Bogus,
}

impl Sight {
    /// Records, if some were seen.
    pub fn data(&self) -> &[Data] {
        match self {
            Self::Records { data, .. } => data,
            _ => &[],
        }
    }

    pub(crate) fn is_answer(&self) -> bool {
        matches!(self, Self::Records { .. } | Self::Nothing | Self::Lost)
    }
}

/// An answer and who gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Name or address of the server.
    pub asked: String,
    /// Its answer.
    pub sight: Sight,
    /// Was it DNSSEC-secure? Only a resolver says so.
    #[serde(default)]
    pub secure: bool,
}

/// All answers to one question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetView {
    /// The validating resolver's.
    pub resolver: Option<Answered>,
    /// The zone's own servers'.
    pub servers: Vec<Answered>,
    /// Those could not all be heard in time, and none of their answers was kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

impl SetView {
    /// Answers (not failures) of the zone's own servers; of the resolver where those cannot be had.
    pub fn answers(&self) -> Vec<&Answered> {
        let own: Vec<_> = self
            .servers
            .iter()
            .filter(|answered| answered.sight.is_answer())
            .collect();
        if own.is_empty() {
            self.resolver
                .iter()
                .filter(|answered| answered.sight.is_answer())
                .collect()
        } else {
            own
        }
    }

    /// Is there a server of the zone that was not heard?
    pub fn is_partial(&self) -> bool {
        self.late
            || self
                .servers
                .iter()
                .any(|answered| !answered.sight.is_answer())
    }

    /// Did nobody answer?
    pub fn is_unknown(&self) -> bool {
        self.answers().is_empty()
    }

    /// Did the resolver call it bogus?
    pub fn is_bogus(&self) -> bool {
        self.resolver
            .as_ref()
            .is_some_and(|answered| answered.sight == Sight::Bogus)
    }
}

/// A host that an SRV record points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// It is an alias of this name.
    pub alias: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Does it resolve?
    pub resolves: Seen,
    /// Are its addresses DNSSEC-secure?
    #[serde(default)]
    pub secure: bool,
}

/// What an owner's website publishes for one kind of streams.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoshView {
    /// Where it came from in the end, or where the search ended.
    pub source: String,
    /// Certificates listed, each by its strongest digest ([`dna::posh::Descriptor::spelled`]).
    pub listed: Vec<String>,
    /// How long it asks to be believed, in seconds.
    pub expires_seconds: u64,
    /// Code of the judge for what is in the way of using it; empty: nothing.
    pub code: String,
    /// The same in words.
    pub said: String,
    /// It could not be asked.
    pub unknown: bool,
}

/// What an owner's website says to apps in browsers (XEP-0156).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostMetaView {
    /// There is a document that names a way.
    pub found: bool,
    /// Web pages of others may read it.
    pub cross_origin: bool,
    /// Addresses in it.
    pub names: Vec<String>,
    /// It could not be asked.
    pub unknown: bool,
}

impl From<dna::posh::Published> for PoshView {
    fn from(found: dna::posh::Published) -> Self {
        use dna::FetchError::{Busy, TimedOut, Unreachable};
        use dna::posh::{Material, Nothing};
        let mut view = Self {
            source: cut(found.source),
            expires_seconds: found.expires_seconds,
            ..Self::default()
        };
        match found.material {
            Material::Fingerprints(list) => {
                view.listed = list.iter().map(dna::posh::Descriptor::spelled).collect();
            }
            Material::Nothing(nothing) => {
                view.code = nothing.code().into();
                view.said = cut(nothing.to_string());
                // Perhaps the fault is ours, or the network's between.
                view.unknown = matches!(
                    nothing,
                    Nothing::Fetch(Busy | TimedOut { .. } | Unreachable { .. })
                );
            }
        }
        view
    }
}

/// The CAA set that decides for a name (RFC 8659 3).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaaView {
    /// Where it was found; empty: nowhere up to the root.
    pub owner: String,
    /// Its properties.
    pub properties: Vec<CaaProperty>,
    /// The question that could not be asked, if one could not: a CA would fail then, too.
    pub failed: Option<String>,
    /// How much there is, if not all of it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beyond: Option<Beyond>,
}

/// One CAA property.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaaProperty {
    /// Issuer critical flag.
    pub critical: bool,
    /// `issue`, `issuewild`, `iodef`, …
    pub tag: String,
    /// Value.
    pub value: String,
}

/// What was seen in one look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Apex of the zone that holds the domain; `None`: not found out.
    pub zone: Option<String>,
    /// Is that zone signed, as a validating resolver sees it? `None`: not found out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_signed: Option<bool>,
    /// The parents say that there is no such name.
    pub domain_missing: bool,
    /// Its name servers.
    pub name_servers: Vec<String>,
    /// Answers by question (`SRV _xmpp-client._tcp.example.com`).
    pub sets: BTreeMap<String, SetView>,
    /// SRV targets by name.
    pub targets: BTreeMap<String, TargetView>,
    /// Is the domain's own target in a signed zone, whether or not it is published yet? `None`: that was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_signed: Option<bool>,
    /// Deciding CAA sets by name.
    pub caa: BTreeMap<String, CaaView>,
    /// POSH documents by service (`xmpp-client`), where POSH is chosen.
    #[serde(default)]
    pub posh: BTreeMap<String, PoshView>,
    /// The website's host-meta, where the platform has an address to lead to.
    #[serde(default)]
    pub host_meta: Option<HostMetaView>,
    /// What an authority finds at each name of the certificate, where they are proven by HTTP.
    #[serde(default)]
    pub http: BTreeMap<String, HttpView>,
    /// The owner's DNS host, where it says who it is.
    #[serde(default)]
    pub connect: Option<ConnectView>,
}

/// Key of a question in [`Observation::sets`].
pub fn question(rtype: Rtype, name: &str) -> String {
    format!(
        "{} {}",
        rtype.as_str(),
        name.trim_end_matches('.').to_ascii_lowercase()
    )
}

impl Observation {
    /// The answers to a question; none if it was not asked.
    pub fn set(&self, rtype: Rtype, name: &str) -> Option<&SetView> {
        self.sets.get(&question(rtype, name))
    }

    /// Has anybody answered anything?
    pub(crate) fn is_answered(&self) -> bool {
        let heard = |set: &SetView| !set.is_unknown() || set.is_bogus();
        self.zone.is_some() || self.domain_missing || self.sets.values().any(heard)
    }
}
