//! What the world shows of a domain, gathered concurrently and bounded, from every authoritative server of the owner's zone
//! and from the validating resolver.
//!
//! An [`Observation`] is plain data: it is kept with the domain (as JSON), shown, and compared with the desired records by
//! [`crate::findings`]. A question that could not be asked is in it as such; nothing here decides anything.

mod http;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use dna::{Answer, Lookup, Outcome, RecordData, RecordType, Security, ServerAnswer};
use futures_util::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};

use self::http::http;
pub use self::http::{HttpDoor, HttpFault, HttpView};
use crate::domain::Seen;
use crate::findings::{doubled_name, holds, rtype};
use crate::records::{Certified, DesiredRecord, DomainFacts, Mode, Purpose, RecordValue, SERVICES};
use crate::suffix::registrable;

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

impl std::fmt::Display for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Txt(text) => write!(f, "\"{text}\""),
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
        /// Sorted.
        data: Vec<Data>,
        /// TTL as answered.
        ttl_seconds: u32,
        /// Was an alias followed on the way? Then the data are not of the name asked for.
        aliased: bool,
    },
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
        matches!(self, Self::Records { .. } | Self::Nothing)
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
            source: found.source,
            expires_seconds: found.expires_seconds,
            ..Self::default()
        };
        match found.material {
            Material::Fingerprints(list) => {
                view.listed = list.iter().map(dna::posh::Descriptor::spelled).collect();
            }
            Material::Nothing(nothing) => {
                view.code = nothing.code().into();
                view.said = nothing.to_string();
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
    /// The parents say that there is no such name.
    pub domain_missing: bool,
    /// Its name servers.
    pub name_servers: Vec<String>,
    /// Answers by question (`SRV _xmpp-client._tcp.example.com`).
    pub sets: BTreeMap<String, SetView>,
    /// SRV targets by name.
    pub targets: BTreeMap<String, TargetView>,
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
}

/// Questions asked at the same time for one domain.
const PARALLEL: usize = 8;
/// A host with more targets than this is not looked into further.
const TARGETS: usize = 8;

/// What is ours of what a domain's peers are told.
#[derive(Clone, Copy)]
pub struct Ours<'a> {
    /// Its SRV target.
    pub target: &'a str,
    /// Names of its TLSA sets; none unless DANE is chosen.
    pub tlsa: &'a [String],
    /// Eyes on its website, and the port of that; asked only where POSH is chosen, …
    pub web: (&'a dyn dna::Fetch, u16),
    /// … or where there is something that it may tell apps in browsers.
    pub host_meta: bool,
    /// Names of its certificate.
    pub certified: &'a [Certified],
    /// Its websites as authorities ask them; asked only where names are proven so.
    pub http: HttpDoor<'a>,
}

/// Redirects followed on the way to host-meta.
const REDIRECTS: usize = 3;
/// Bytes of host-meta that are read.
const HOST_META_BYTES: usize = 64 * 1024;

/// What the website says to apps in browsers, as a browser would see it.
async fn host_meta((fetch, port): (&dyn dna::Fetch, u16), ascii: &str) -> HostMetaView {
    use dna::FetchError::{Busy, TimedOut, Unreachable};
    let nothing = HostMetaView::default();
    let address = format!("https://{ascii}:{port}/.well-known/host-meta");
    let Ok(mut url) = dna::Url::parse(&address) else {
        return nothing;
    };
    // A redirect that may not be read by others ends the way of a browser.
    let mut readable = true;
    for _ in 0..=REDIRECTS {
        let reply = match fetch.get(&url, HOST_META_BYTES).await {
            Ok(reply) => reply,
            Err(Busy | TimedOut { .. } | Unreachable { .. }) => {
                return HostMetaView {
                    unknown: true,
                    ..nothing
                };
            }
            Err(_) => return nothing,
        };
        let next = reply.location.as_deref().and_then(|to| url.join(to).ok());
        match (reply.status, next) {
            (200, _) => {
                let text = String::from_utf8_lossy(&reply.body);
                let mut view = HostMetaView::read(&text, reply.allow_origin.as_deref());
                view.cross_origin &= readable;
                return view;
            }
            (301 | 302 | 303 | 307 | 308, Some(next)) if next.scheme() == "https" => {
                readable &= reply.allow_origin.as_deref() == Some("*");
                url = next;
            }
            _ => return nothing,
        }
    }
    nothing
}

/// Looks at a domain: one round of questions for the zone and every desired record, a second for what the first turned up
/// (targets, doubled names). Every question ends after `patience`, and then is one that could not be asked.
pub async fn look(
    lookup: &dyn Lookup,
    domain: &DomainFacts,
    desired: &[DesiredRecord],
    ours: Ours<'_>,
    patience: Duration,
) -> Observation {
    let ascii = domain.ascii();
    let eyes = &Eyes { lookup, patience };
    let mut seen = Observation::default();
    let (zone, missing, name_servers) = eyes.zone(&ascii).await;
    seen.zone = zone;
    seen.domain_missing = missing;
    seen.name_servers = name_servers;
    let domain = &DomainFacts {
        zone: seen.zone.clone(),
        ..domain.clone()
    };

    let mut questions: BTreeSet<(Rtype, String)> = BTreeSet::new();
    for record in desired {
        let name = record.name.trim_end_matches('.').to_owned();
        if record.purpose == Purpose::Challenge {
            questions.insert((Rtype::Txt, name.clone()));
        }
        questions.insert((rtype(record), name));
    }
    questions.extend(ours.tlsa.iter().map(|owner| (Rtype::Tlsa, owner.clone())));
    let certified: Vec<String> = ours
        .certified
        .iter()
        .map(|certified| certified.name.to_ascii().into_owned())
        .collect();
    let by_http = match domain.mode {
        Mode::HttpRedirect => certified.clone(),
        _ => Vec::new(),
    };
    let services = if domain.posh { &SERVICES[..] } else { &[] };
    let posh = async {
        let mut found = BTreeMap::new();
        for service in services {
            let (fetch, port) = ours.web;
            let published = dna::posh::published(fetch, &domain.name, *service, port).await;
            found.insert(service.name().to_owned(), PoshView::from(published));
        }
        found
    };
    let host_meta = async {
        match ours.host_meta {
            true => Some(host_meta(ours.web, &ascii).await),
            false => None,
        }
    };
    let http = async {
        stream::iter(by_http)
            .map(|name| async move {
                let view = http(ours.http, &name).await;
                (name, view)
            })
            .buffer_unordered(PARALLEL)
            .collect::<BTreeMap<_, _>>()
            .await
    };
    let (sets, caa, posh, host_meta, http) = tokio::join!(
        eyes.ask_all(questions),
        async {
            let views = stream::iter(certified).map(|name| async move {
                let view = eyes.caa(&name).await;
                (name, view)
            });
            views
                .buffer_unordered(PARALLEL)
                .collect::<BTreeMap<_, _>>()
                .await
        },
        posh,
        host_meta,
        http
    );
    seen.host_meta = host_meta;
    seen.sets = sets;
    seen.caa = caa;
    seen.posh = posh;
    seen.http = http;

    // What the first round turned up.
    let doubled: BTreeSet<_> = desired
        .iter()
        .filter(|record| {
            let view = seen.set(rtype(record), &record.name);
            view.is_some_and(|view| {
                !view.is_unknown()
                    && !view
                        .answers()
                        .iter()
                        .any(|answered| holds(record, &answered.sight))
            })
        })
        .map(|record| (rtype(record), doubled_name(domain, record)))
        .collect();
    let mut targets: BTreeSet<String> = BTreeSet::from([ours.target.to_owned()]);
    for view in desired
        .iter()
        .filter(|record| matches!(record.value, RecordValue::Srv { .. }))
        .filter_map(|record| seen.set(Rtype::Srv, &record.name))
    {
        for data in view
            .answers()
            .iter()
            .flat_map(|answered| answered.sight.data())
        {
            if let Data::Srv { target, .. } = data
                && !target.is_empty()
                && targets.len() < TARGETS
            {
                targets.insert(target.clone());
            }
        }
    }
    let (more, hosts) = tokio::join!(eyes.ask_all(doubled), async {
        stream::iter(targets)
            .map(|name| async move {
                let view = eyes.host(&name).await;
                (name, view)
            })
            .buffer_unordered(PARALLEL)
            .collect::<BTreeMap<_, _>>()
            .await
    });
    seen.sets.extend(more);
    seen.targets = hosts;
    seen
}

struct Eyes<'a> {
    lookup: &'a dyn Lookup,
    patience: Duration,
}

impl Eyes<'_> {
    async fn resolver(&self, name: &str, rtype: RecordType) -> Answer {
        tokio::time::timeout(self.patience, self.lookup.query(name, rtype))
            .await
            .unwrap_or_else(|_| Answer {
                outcome: Outcome::Failed("no answer in time".into()),
                security: Security::Unknown,
                ttl_seconds: 0,
                asked: "resolver".into(),
                aliases: Vec::new(),
            })
    }

    async fn authoritative(&self, name: &str, rtype: RecordType) -> Vec<ServerAnswer> {
        tokio::time::timeout(self.patience, self.lookup.query_authoritative(name, rtype))
            .await
            .unwrap_or_default()
    }

    async fn ask_all(&self, questions: BTreeSet<(Rtype, String)>) -> BTreeMap<String, SetView> {
        stream::iter(questions)
            .map(|(rtype, name)| async move { (question(rtype, &name), self.ask(rtype, &name).await) })
            .buffer_unordered(PARALLEL)
            .collect()
            .await
    }

    async fn ask(&self, rtype: Rtype, name: &str) -> SetView {
        let kind = match rtype {
            Rtype::Txt => RecordType::Txt,
            Rtype::Srv => RecordType::Srv,
            Rtype::Cname => RecordType::Cname,
            Rtype::Tlsa => RecordType::Tlsa,
        };
        let (resolver, servers) =
            tokio::join!(self.resolver(name, kind), self.authoritative(name, kind));
        let mut servers: Vec<Answered> = servers
            .into_iter()
            .map(|answer| Answered {
                asked: answer.server,
                sight: sight(answer.answer, rtype),
                secure: false,
            })
            .collect();
        servers.sort_by(|a, b| a.asked.cmp(&b.asked));
        let secure = resolver.security == Security::Secure;
        SetView {
            resolver: Some(Answered {
                asked: resolver.asked.clone(),
                sight: sight(resolver, rtype),
                secure,
            }),
            servers,
        }
    }

    /// The apex that holds `name`, whether `name` is known not to exist, and the apex's name servers.
    async fn zone(&self, name: &str) -> (Option<String>, bool, Vec<String>) {
        let mut missing = false;
        let mut candidate = name;
        loop {
            let answer = self.resolver(candidate, RecordType::Soa).await;
            match &answer.outcome {
                Outcome::Found(records)
                    if records
                        .iter()
                        .any(|record| matches!(record.data, RecordData::Soa { .. }))
                        && answer.aliases.is_empty() =>
                {
                    let servers = match self.resolver(candidate, RecordType::Ns).await.outcome {
                        Outcome::Found(records) => records
                            .into_iter()
                            .filter_map(|record| {
                                if let RecordData::Ns(name) = record.data {
                                    Some(canonical(&name))
                                } else {
                                    None
                                }
                            })
                            .collect::<BTreeSet<_>>()
                            .into_iter()
                            .collect(),
                        _ => Vec::new(),
                    };
                    // An apex at a public suffix means that nobody below it has been delegated anything.
                    let registered = registrable(candidate).is_some();
                    return (
                        registered.then(|| candidate.to_owned()),
                        missing && !registered,
                        servers,
                    );
                }
                Outcome::NoRecords { nxdomain: true } => missing = true,
                Outcome::Failed(_) if answer.security == Security::Bogus => {
                    return (None, false, Vec::new());
                }
                Outcome::Failed(_) => return (None, false, Vec::new()),
                _ => {}
            }
            match candidate.split_once('.') {
                Some((_, parent)) if !parent.is_empty() => candidate = parent,
                _ => return (None, missing, Vec::new()),
            }
        }
    }

    /// Climbs from the name towards the root; the first set that is not empty decides (RFC 8659 3).
    async fn caa(&self, name: &str) -> CaaView {
        let mut candidate = name;
        loop {
            let answer = self.resolver(candidate, RecordType::Caa).await;
            match answer.outcome {
                Outcome::Found(records) => {
                    let properties: Vec<_> = records
                        .into_iter()
                        .filter_map(|record| match record.data {
                            RecordData::Caa { flags, tag, value } => Some(CaaProperty {
                                critical: flags & 0x80 != 0,
                                tag,
                                value,
                            }),
                            _ => None,
                        })
                        .collect();
                    if !properties.is_empty() {
                        return CaaView {
                            owner: candidate.to_owned(),
                            properties,
                            failed: None,
                        };
                    }
                }
                Outcome::NoRecords { .. } => {}
                Outcome::Failed(why) => {
                    return CaaView {
                        owner: candidate.to_owned(),
                        properties: Vec::new(),
                        failed: Some(why),
                    };
                }
            }
            match candidate.split_once('.') {
                Some((_, parent)) if !parent.is_empty() => candidate = parent,
                _ => return CaaView::default(),
            }
        }
    }

    async fn host(&self, name: &str) -> TargetView {
        let (v4, v6) = tokio::join!(
            self.resolver(name, RecordType::A),
            self.resolver(name, RecordType::Aaaa)
        );
        let mut view = TargetView {
            alias: None,
            addresses: Vec::new(),
            resolves: Seen::No,
            secure: true,
        };
        let mut failed = false;
        for answer in [v4, v6] {
            if let Some(alias) = answer.aliases.last() {
                view.alias = Some(canonical(alias));
            }
            match answer.outcome {
                Outcome::Found(records) => {
                    view.secure &= answer.security == Security::Secure;
                    view.addresses.extend(
                        records
                            .into_iter()
                            .filter_map(|record| record.data.address()),
                    );
                }
                Outcome::NoRecords { .. } => {}
                Outcome::Failed(_) => failed = true,
            }
        }
        view.secure &= !view.addresses.is_empty();
        view.resolves = match (view.addresses.is_empty(), failed) {
            (false, _) => Seen::Yes,
            (true, true) => Seen::Unknown,
            (true, false) => Seen::No,
        };
        view
    }
}

fn canonical(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

fn sight(answer: Answer, wanted: Rtype) -> Sight {
    if answer.security == Security::Bogus {
        return Sight::Bogus;
    }
    match answer.outcome {
        Outcome::Failed(why) => Sight::Failed(why),
        Outcome::NoRecords { .. } => Sight::Nothing,
        Outcome::Found(records) => {
            let mut data: Vec<Data> = records
                .into_iter()
                .filter_map(|record| match (record.data, wanted) {
                    (RecordData::Txt(text), Rtype::Txt) => Some(Data::Txt(text)),
                    (
                        RecordData::Srv {
                            priority,
                            weight,
                            port,
                            target,
                        },
                        Rtype::Srv,
                    ) => Some(Data::Srv {
                        priority,
                        weight,
                        port,
                        target: canonical(&target),
                    }),
                    (RecordData::Cname(target), Rtype::Cname) => {
                        Some(Data::Cname(canonical(&target)))
                    }
                    (
                        RecordData::Tlsa {
                            usage,
                            selector,
                            matching,
                            data,
                        },
                        Rtype::Tlsa,
                    ) => Some(Data::Other(format!(
                        "{usage} {selector} {matching} {}",
                        data_encoding::HEXLOWER.encode(&data)
                    ))),
                    _ => None,
                })
                .collect();
            data.sort();
            data.dedup();
            if data.is_empty() {
                Sight::Nothing
            } else {
                Sight::Records {
                    data,
                    ttl_seconds: answer.ttl_seconds,
                    aliased: wanted != Rtype::Cname && !answer.aliases.is_empty(),
                }
            }
        }
    }
}
