//! What the world shows of a domain, gathered concurrently and bounded, from every authoritative server of the owner's zone
//! and from the validating resolver.
//!
//! An [`Observation`] is plain data: it is kept with the domain (as JSON), shown, and compared with the desired records by
//! [`crate::findings`]. A question that could not be asked is in it as such; nothing here decides anything.

mod bounds;
mod connect;
mod http;
mod sight;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use dna::{Answer, Lookup, Outcome, RecordData, RecordType, Security, ServerAnswer};
use futures_util::stream::{self, StreamExt as _};

pub use self::bounds::Beyond;
use self::bounds::RECORDS;
pub(crate) use self::bounds::{LOOKED_AT, cut};
pub use self::connect::ConnectView;
use self::connect::connect;
use self::http::http;
pub use self::http::{HttpDoor, HttpFault, HttpView};
use self::sight::{canonical, sight};
pub use self::view::{
    Answered, CaaProperty, CaaView, Data, HostMetaView, Observation, PoshView, Rtype, SetView,
    Sight, TargetView, question,
};
use crate::domain::Seen;
use crate::findings::{doubled_name, holds, rtype, same};
use crate::records::{Certified, DesiredRecord, DomainFacts, Mode, Purpose, RecordValue, SERVICES};
use crate::suffix::registrable;

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
    /// What each of them is to hold, spelled as in zone files.
    pub tlsa_records: &'a [String],
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
    let is_wanted = |data: &Data| match data {
        Data::Other(text) => ours.tlsa_records.contains(text),
        _ => desired.iter().any(|record| same(record, data)),
    };
    let eyes = &Eyes {
        lookup,
        patience,
        is_wanted: &is_wanted,
    };
    let mut seen = Observation::default();
    let zone = eyes.zone(&ascii).await;
    seen.zone = zone.apex;
    seen.zone_signed = zone.signed;
    seen.domain_missing = zone.missing;
    seen.name_servers = zone.name_servers;
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
    let form = async {
        match &domain.zone {
            Some(zone) => connect(eyes, ours.web.0, zone).await,
            None => None,
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
    let (sets, caa, posh, host_meta, http, connect) = tokio::join!(
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
        http,
        form
    );
    seen.host_meta = host_meta;
    seen.connect = connect;
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
    seen.target_signed = hosts.get(ours.target).and_then(|(_, signed)| *signed);
    let views = hosts.into_iter().map(|(name, (view, _))| (name, view));
    seen.targets = views.collect();
    seen
}

/// What is found out about the zone that holds a name.
#[derive(Default)]
struct Zone {
    /// Its apex; `None`: not found out.
    apex: Option<String>,
    /// Is it signed, as a validating resolver sees it?
    signed: Option<bool>,
    /// The parents say that there is no such name.
    missing: bool,
    /// The apex's name servers.
    name_servers: Vec<String>,
}

struct Eyes<'a> {
    lookup: &'a dyn Lookup,
    patience: Duration,
    /// Is this what one of the domain's records is to hold?
    is_wanted: &'a (dyn Fn(&Data) -> bool + Sync),
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

    /// What the zone's own servers say; `None`: not all of them in time.
    async fn authoritative(&self, name: &str, rtype: RecordType) -> Option<Vec<ServerAnswer>> {
        tokio::time::timeout(self.patience, self.lookup.query_authoritative(name, rtype))
            .await
            .ok()
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
        let late = servers.is_none();
        let mut servers: Vec<Answered> = servers
            .unwrap_or_default()
            .into_iter()
            .map(|answer| Answered {
                asked: answer.server,
                sight: sight(name, answer.answer, rtype, self.is_wanted),
                secure: false,
            })
            .collect();
        servers.sort_by(|a, b| a.asked.cmp(&b.asked));
        let secure = resolver.security == Security::Secure;
        SetView {
            resolver: Some(Answered {
                asked: resolver.asked.clone(),
                sight: sight(name, resolver, rtype, self.is_wanted),
                secure,
            }),
            servers,
            late,
        }
    }

    /// The zone that holds `name`.
    async fn zone(&self, name: &str) -> Zone {
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
                            .take(RECORDS)
                            .collect(),
                        _ => Vec::new(),
                    };
                    // An apex at a public suffix means that nobody below it has been delegated anything.
                    let registered = registrable(candidate).is_some();
                    let signed = match answer.security {
                        Security::Secure => Some(true),
                        Security::Insecure => Some(false),
                        Security::Bogus | Security::Unknown => None,
                    };
                    return Zone {
                        apex: registered.then(|| candidate.to_owned()),
                        signed: signed.filter(|_| registered),
                        missing: missing && !registered,
                        name_servers: servers,
                    };
                }
                Outcome::NoRecords { nxdomain: true } => missing = true,
                Outcome::Failed(_) => return Zone::default(),
                _ => {}
            }
            match candidate.split_once('.') {
                Some((_, parent)) if !parent.is_empty() => candidate = parent,
                _ => {
                    return Zone {
                        missing,
                        ..Zone::default()
                    };
                }
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
                        let (properties, beyond) = bounds::properties(properties);
                        return CaaView {
                            owner: candidate.to_owned(),
                            properties,
                            failed: None,
                            beyond,
                        };
                    }
                }
                Outcome::NoRecords { .. } => {}
                Outcome::Failed(why) => {
                    return CaaView {
                        owner: candidate.to_owned(),
                        failed: Some(why),
                        ..CaaView::default()
                    };
                }
            }
            match candidate.split_once('.') {
                Some((_, parent)) if !parent.is_empty() => candidate = parent,
                _ => return CaaView::default(),
            }
        }
    }

    /// A host, and whether it is in a signed zone, even if nothing is there yet; `None`: that was not seen.
    async fn host(&self, name: &str) -> (TargetView, Option<bool>) {
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
        let mut signed = None;
        let mut failed = false;
        for answer in [v4, v6] {
            let lost = answer.is_lost(name);
            match (answer.security, &answer.outcome) {
                (Security::Secure, _) => signed = signed.or(Some(true)),
                (Security::Insecure, Outcome::Found(_)) => signed = Some(false),
                // That nothing is there may be unsigned in a signed zone (RFC 5155 6, opt-out).
                _ => {}
            }
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
                Outcome::Failed(_) => failed |= !lost,
            }
        }
        view.addresses.truncate(RECORDS);
        view.secure &= !view.addresses.is_empty();
        view.resolves = match (view.addresses.is_empty(), failed) {
            (false, _) => Seen::Yes,
            (true, true) => Seen::Unknown,
            (true, false) => Seen::No,
        };
        (view, signed)
    }
}
