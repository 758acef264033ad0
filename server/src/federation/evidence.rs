//! Evidence about peers, gathered for the judge: where a peer is served, TLSA records, POSH documents, and whether certificates
//! are revoked.
//!
//! Each is looked up when a judgement needs it and not before, then kept for as long as it says itself and a cap allows,
//! absence and trouble for less; a question that is under way is not asked twice. What a stream costs: nothing for a peer
//! whose certificate public authorities vouch for or whose evidence is remembered; otherwise two SRV questions, one TLSA
//! question for each of up to four targets, and one POSH document with what it refers to. For streams that strangers open
//! all this is rationed by address and altogether. Refuses: judging.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use dna::dane::{self, Association, Endpoint};
use dna::delegation::{Nowhere, Offer};
use dna::pkix::Profile;
use dna::pkix::ocsp::{self, Question};
use dna::pkix::revocation::{self, List};
use dna::posh::{self, Material, Nothing};
use dna::{
    Anchors, Claim, Delegation, Evidence, Fetch, FetchError, Lookup, Policy, PresentedChain,
    Prooftype, Refusal, Role, Service, Target, Url, Verdict,
};
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::channel::Basis;
use super::{Federation, policy};
use crate::config::Config;
use crate::metrics::{EvidenceLabel, Metrics};
use crate::net::memory::{Memory, Way};
use crate::net::now;
use crate::tenancy::Domain;

/// Answers remembered, per kind.
const KEPT: usize = 10_000;
/// Lists of revoked certificates remembered; they may be large.
const LISTS: usize = 256;
/// Answers of responders remembered.
const ANSWERS: usize = 1_000;
/// Largest list, in bytes.
const LIST_BYTES: usize = 8 * 1024 * 1024;
/// All lists that are remembered, in bytes as fetched; in memory they take several times as much.
const LISTS_BYTES: usize = 32 * 1024 * 1024;
/// The same of lists at addresses that a peer may have chosen itself, which are for a handful of certificates.
const PEER_LISTS: usize = 64;
const PEER_LIST_BYTES: usize = 64 * 1024;
const PEER_LISTS_BYTES: usize = 1024 * 1024;
/// Nothing of the DNS is believed longer.
const DNS_LONGEST: Duration = Duration::from_secs(3600);
/// That there is nothing is not believed longer.
const ABSENT_LONGEST: Duration = Duration::from_secs(60);
/// After trouble it is tried again.
const TROUBLE: Duration = Duration::from_secs(10);
/// A list is fetched anew after this at the latest (CERT-24), and after trouble.
const LIST_LONGEST: Duration = Duration::from_secs(24 * 3600);
const LIST_TROUBLE: Duration = Duration::from_secs(600);
/// Look-ups on behalf of strangers, at a time.
const STRANGERS: usize = 64;
/// Look-ups that one stranger's network may cause at once …
const BURST: f64 = 30.0;
/// … and per second in the long run.
const PER_SECOND: f64 = 0.5;
/// Networks that are remembered for that.
const NETWORKS: usize = 10_000;

/// What is looked up, and what counts.
#[derive(Clone, Debug)]
pub struct Rules {
    /// POSH is used.
    posh: bool,
    /// Port of websites.
    posh_port: u16,
    /// A whole POSH look-up takes no longer.
    posh_timeout: Duration,
    /// TLSA records prove those who call (DANE-45).
    dane_inbound: bool,
    /// TLSA usage 0 counts (DANE-38).
    pkix_ta: bool,
    /// Lists of revoked certificates are fetched.
    lists: bool,
    /// Responders are asked.
    responders: bool,
    /// What is asked of certificates (C-07).
    profile: Profile,
}

impl Rules {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        Self {
            posh: config.posh.enabled,
            posh_port: config.posh.port,
            posh_timeout: Duration::from_secs(u64::from(config.posh.timeout_seconds.max(1)) * 2),
            dane_inbound: config.dns.dane_inbound,
            pkix_ta: config.dns.dane_pkix_ta,
            lists: config.tls.crl,
            responders: config.tls.ocsp,
            profile: match config.tls.full_profile {
                true => Profile::Full,
                false => Profile::Public,
            },
        }
    }
}

/// Gathers evidence and remembers it.
pub(super) struct Gatherer {
    lookup: Arc<dyn Lookup>,
    fetch: Arc<dyn Fetch>,
    rules: Rules,
    metrics: Arc<Metrics>,
    delegations: Arc<Memory<DomainName, Arc<Delegation>>>,
    endpoints: Arc<Memory<(String, u16, bool), Arc<Endpoint>>>,
    associations: Arc<Memory<DomainName, Arc<Vec<Association>>>>,
    documents: Arc<Memory<(DomainName, &'static str), Arc<posh::Evidence>>>,
    lists: Arc<Memory<String, Option<List>>>,
    /// Apart: what is too large for these may be right for an authority.
    lists_of_peers: Arc<Memory<String, Option<List>>>,
    answers: Arc<Memory<String, Option<ocsp::Answer>>>,
    strangers: Arc<Strangers>,
}

impl Gatherer {
    pub(super) fn new(
        lookup: Arc<dyn Lookup>,
        fetch: Arc<dyn Fetch>,
        rules: Rules,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            lookup,
            fetch,
            rules,
            metrics,
            delegations: Memory::new(KEPT),
            endpoints: Memory::new(KEPT),
            associations: Memory::new(KEPT),
            documents: Memory::new(KEPT),
            lists: Memory::weighed(LISTS, weight, LISTS_BYTES),
            lists_of_peers: Memory::weighed(PEER_LISTS, weight, PEER_LISTS_BYTES),
            answers: Memory::new(ANSWERS),
            strangers: Arc::new(Strangers::default()),
        }
    }

    /// Looks up what a judgement without dialback needs, and no more; that judgement. `address` is the other end's.
    async fn complete(
        &self,
        claim: &Claim,
        evidence: &mut Evidence,
        policy: &Policy,
        address: IpAddr,
    ) -> Verdict {
        self.add_tlsa(evidence).await;
        let mut verdict = dna::judge(claim, evidence, policy, now());
        if verdict.is_open() && evidence.chain.is_some() {
            if claim.role == Role::Receiver {
                (evidence.tlsa, evidence.posh) = futures_util::join!(
                    self.associations(&claim.remote, address),
                    self.posh(&claim.remote, claim.service, Some(address))
                );
            } else {
                evidence.posh = self.posh(&claim.remote, claim.service, None).await;
            }
            verdict = dna::judge(claim, evidence, policy, now());
        }
        if let Some(proven) = verdict.proven().filter(|proven| proven.may_be_revoked())
            && let Some(chain) = &evidence.chain
        {
            let anchors = evidence.pinned.as_ref().unwrap_or(&evidence.anchors);
            let named_by = match (proven.by(), claim.role) {
                (Prooftype::Pkix, _) => NamedBy::Authority,
                (_, Role::Receiver) => NamedBy::Stranger(address),
                (_, Role::Initiator) => NamedBy::Peer,
            };
            evidence.revocation = self
                .revocation(chain, anchors, proven.path(), named_by)
                .await;
            if evidence.revocation.is_some() {
                verdict = dna::judge(claim, evidence, policy, now());
            }
        }
        verdict
    }

    /// What the DNS says about the certificate where a stream of ours leads.
    async fn add_tlsa(&self, evidence: &mut Evidence) {
        if let Some(target) = &evidence.target
            && evidence.pinned.is_none()
        {
            // Remembered from when its addresses were looked up.
            let endpoint = self.endpoint(target).await;
            evidence.tlsa = Some(dane::Evidence {
                associations: vec![endpoint.association.clone()],
                pkix_ta: self.rules.pkix_ta,
            });
        }
    }

    /// Where a peer is served.
    pub(super) async fn delegation(&self, remote: &DomainName) -> Arc<Delegation> {
        let ask = || {
            let (lookup, remote) = (self.lookup.clone(), remote.clone());
            async move {
                let found = Delegation::look_up(&*lookup, &remote, Service::Server).await;
                let lasts = match found.targets(&mut |_| 0) {
                    Err(_) => TROUBLE,
                    Ok(targets) => {
                        dns_lasts(found.ttl_seconds, targets.iter().any(|t| t.delegated))
                    }
                };
                (Arc::new(found), lasts)
            }
            .boxed()
        };
        let (found, way) = self.delegations.ask(remote, ask).await;
        self.count("delegation", way);
        found
    }

    /// What secure DNS says now of a target that it led to once. Whoever served the peer then may do so no longer: the host's
    /// name does not stand for the domain any more (DANE-29). Where it cannot be asked nothing changes.
    async fn look_again(&self, remote: &DomainName, target: &mut Target) {
        if target.security != dna::Security::Secure || !target.delegated {
            return;
        }
        let delegation = self.delegation(remote).await;
        let offer = match target.direct {
            true => &delegation.direct,
            false => &delegation.starttls,
        };
        if matches!(offer, Offer::Failed(_)) {
            return;
        }
        target.security = match delegation.targets(&mut |_| 0) {
            Ok(targets) => {
                let mut same = targets.iter().filter(|now| {
                    (&now.host, now.port, now.direct) == (&target.host, target.port, target.direct)
                });
                same.next()
                    .map_or(dna::Security::Insecure, |now| now.security)
            }
            Err(Nowhere::Bogus(_)) => dna::Security::Bogus,
            Err(Nowhere::NotOffered(_) | Nowhere::Failed(..)) => dna::Security::Insecure,
        };
    }

    /// Addresses and TLSA records of a target.
    pub(super) async fn endpoint(&self, target: &Target) -> Arc<Endpoint> {
        let secure = target.security == dna::Security::Secure && target.delegated;
        let key = (target.host.clone(), target.port, secure);
        let ask = || {
            let (lookup, target) = (self.lookup.clone(), target.clone());
            async move {
                let found = dane::endpoint(&*lookup, &target, now()).await;
                let usable = found.association.bars().is_none() && found.why.is_none();
                let lasts = if usable {
                    dns_lasts(found.ttl_seconds, true)
                } else {
                    TROUBLE
                };
                (Arc::new(found), lasts)
            }
            .boxed()
        };
        let (found, way) = self.endpoints.ask(&key, ask).await;
        self.count("endpoint", way);
        found
    }

    /// What TLSA records say about a peer that called; `None` where that is not asked, or not now.
    async fn associations(&self, remote: &DomainName, from: IpAddr) -> Option<dane::Evidence> {
        if !self.rules.dane_inbound {
            return None;
        }
        let ask = || {
            let permit = self.strangers.permit(from)?;
            let (lookup, remote) = (self.lookup.clone(), remote.clone());
            let delegations = self.delegations.clone();
            let question = async move {
                // Whoever calls back will want it as well.
                let asking = {
                    let (lookup, remote) = (lookup.clone(), remote.clone());
                    move || {
                        async move {
                            let found =
                                Delegation::look_up(&*lookup, &remote, Service::Server).await;
                            let lasts =
                                dns_lasts(found.ttl_seconds, found.targets(&mut |_| 0).is_ok());
                            (Arc::new(found), lasts)
                        }
                        .boxed()
                    }
                };
                let (delegation, _) = delegations.ask(&remote, asking).await;
                let found = dane::associations(&*lookup, &delegation, now()).await;
                let lasts = found
                    .iter()
                    .map(|association| match association.bars() {
                        Some(_) => TROUBLE,
                        None => left(association.until).min(DNS_LONGEST),
                    })
                    .min()
                    .unwrap_or(ABSENT_LONGEST);
                drop(permit);
                (Arc::new(found), lasts.max(TROUBLE))
            };
            Some(question.boxed())
        };
        let Some((found, way)) = self.associations.get(remote, ask).await else {
            self.declined("tlsa");
            return None;
        };
        self.count("tlsa", way);
        Some(dane::Evidence {
            associations: found.to_vec(),
            pkix_ta: self.rules.pkix_ta,
        })
    }

    /// What a domain's website says; `None` where that is not asked. `from`: the stranger that makes us ask.
    pub(super) async fn posh(
        &self,
        remote: &DomainName,
        service: Service,
        from: Option<IpAddr>,
    ) -> Option<posh::Evidence> {
        if !self.rules.posh {
            return None;
        }
        let ask = || {
            let permit = match from {
                Some(from) => Some(self.strangers.permit(from)?),
                None => None,
            };
            let (fetch, remote) = (self.fetch.clone(), remote.clone());
            let (port, limit) = (self.rules.posh_port, self.rules.posh_timeout);
            let question = async move {
                let looking = posh::look_up(&*fetch, &remote, service, port, now());
                let found = match tokio::time::timeout(limit, looking).await {
                    Ok(found) => found,
                    Err(_) => out_of_time(&remote),
                };
                drop(permit);
                let lasts = left(found.until);
                (Arc::new(found), lasts)
            };
            Some(question.boxed())
        };
        let key = (remote.clone(), service.name());
        match self.documents.get(&key, ask).await {
            Some((found, way)) => {
                self.count("posh", way);
                Some((*found).clone())
            }
            None => {
                self.declined("posh");
                Some(busy())
            }
        }
    }

    /// What authorities say of a chain which holds otherwise, by the `path` that was found for it if one was: by lists, and by
    /// responders where no list in force has said as much; `None` where there is nobody to ask.
    async fn revocation(
        &self,
        chain: &PresentedChain,
        anchors: &Anchors,
        path: Option<&[usize]>,
        named_by: NamedBy,
    ) -> Option<revocation::Evidence> {
        if !(self.rules.lists || self.rules.responders) {
            return None;
        }
        let (sources, mut questions) = {
            let asked = revocation::Asked::of(chain, anchors, path, now());
            let questions = match self.rules.responders {
                true => ocsp::questions(&asked, anchors, now()),
                false => Vec::new(),
            };
            (asked.sources(), questions)
        };
        let mut said = HashMap::new();
        if self.rules.lists {
            let found = join_all(sources.iter().map(|url| self.list(url, named_by))).await;
            said.extend(sources.into_iter().zip(found));
        }
        let in_force = |source: &String| {
            let list = said.get(source).and_then(Option::as_ref);
            list.is_some_and(|list| list.next_update.is_some_and(|next| next > now()))
        };
        let mut answers = Vec::new();
        let mut asked = !said.is_empty();
        if self.rules.responders {
            questions.retain(|question| !question.list.as_ref().is_some_and(in_force));
            asked |= !questions.is_empty();
            let found = questions.iter().map(|one| self.answer(one, named_by));
            answers.extend(join_all(found).await.into_iter().flatten());
        }
        let lists: Vec<List> = said.into_values().flatten().collect();
        // CERT-24: a live stream asks again near the end of what was said, or after a day; soon where nobody said anything.
        let ends = answers.iter().map(|answer| answer.lasts(now()));
        let until = match lists.is_empty() && answers.is_empty() {
            true => LIST_TROUBLE,
            false => ends.min().unwrap_or(LIST_LONGEST),
        };
        asked.then(|| revocation::Evidence {
            until: now().after(until.clamp(LIST_TROUBLE, LIST_LONGEST)),
            lists,
            answers,
        })
    }

    async fn answer(&self, question: &Question, named_by: NamedBy) -> Option<ocsp::Answer> {
        let ask = || {
            let permit = named_by.permit(&self.strangers)?;
            let (fetch, question) = (self.fetch.clone(), question.clone());
            let asking = async move {
                let answer = ocsp::ask(&*fetch, &question).await;
                drop(permit);
                let lasts = match &answer {
                    Some(answer) => answer.lasts(now()).clamp(LIST_TROUBLE, LIST_LONGEST),
                    None => LIST_TROUBLE,
                };
                (answer, lasts)
            };
            Some(asking.boxed())
        };
        let Some((answer, way)) = self.answers.get(&question.address(), ask).await else {
            self.declined("ocsp");
            return None;
        };
        self.count("ocsp", way);
        answer
    }

    async fn list(&self, source: &str, named_by: NamedBy) -> Option<List> {
        let (lists, most) = match named_by {
            NamedBy::Authority => (&self.lists, LIST_BYTES),
            NamedBy::Stranger(_) | NamedBy::Peer => (&self.lists_of_peers, PEER_LIST_BYTES),
        };
        let ask = || {
            let permit = named_by.permit(&self.strangers)?;
            let (fetch, url) = (self.fetch.clone(), Url::parse(source).ok());
            let asking = async move {
                let reply = match &url {
                    Some(url) => fetch.get(url, most).await.ok(),
                    None => None,
                };
                let list = match reply.filter(|reply| reply.status == 200) {
                    Some(reply) => {
                        // Some have hundreds of thousands of entries.
                        let read = move || List::from_der(&reply.body);
                        tokio::task::spawn_blocking(read).await.ok().flatten()
                    }
                    None => None,
                };
                drop(permit);
                let lasts = match &list {
                    Some(list) => list
                        .next_update
                        .map_or(LIST_LONGEST, left)
                        .clamp(LIST_TROUBLE, LIST_LONGEST),
                    None => LIST_TROUBLE,
                };
                (list, lasts)
            };
            Some(asking.boxed())
        };
        let Some((list, way)) = lists.get(&source.to_owned(), ask).await else {
            self.declined("crl");
            return None;
        };
        self.count("crl", way);
        list
    }

    fn count(&self, kind: &'static str, way: Way) {
        let result = match way {
            Way::Remembered => "remembered",
            Way::Joined => "joined",
            Way::Asked => "asked",
        };
        let label = EvidenceLabel { kind, result };
        self.metrics.evidence.get_or_create(&label).inc();
    }

    fn declined(&self, kind: &'static str) {
        let result = "declined";
        let label = EvidenceLabel { kind, result };
        self.metrics.evidence.get_or_create(&label).inc();
    }
}

/// Who has chosen the addresses at which it is asked whether a certificate was revoked.
#[derive(Clone, Copy)]
enum NamedBy {
    /// An authority that is trusted.
    Authority,
    /// Whoever made the certificate, perhaps the peer itself, which we called.
    Peer,
    /// The same, and it has called from this address: what it makes us ask is rationed.
    Stranger(IpAddr),
}

impl NamedBy {
    /// Leave to ask, with what has to be held meanwhile.
    fn permit(self, strangers: &Strangers) -> Option<Option<tokio::sync::OwnedSemaphorePermit>> {
        match self {
            Self::Stranger(from) => strangers.permit(from).map(Some),
            Self::Authority | Self::Peer => Some(None),
        }
    }
}

fn weight(list: &Option<List>) -> usize {
    list.as_ref().map_or(0, |list| list.bytes)
}

fn dns_lasts(ttl_seconds: u32, found: bool) -> Duration {
    let cap = if found { DNS_LONGEST } else { ABSENT_LONGEST };
    Duration::from_secs(ttl_seconds.into()).min(cap)
}

fn left(until: Timestamp) -> Duration {
    until.since(now())
}

fn nothing(error: FetchError, source: String, lasts: Duration) -> posh::Evidence {
    posh::Evidence {
        material: Material::Nothing(Nothing::Fetch(error)),
        source,
        until: now().after(lasts),
    }
}

fn out_of_time(remote: &DomainName) -> posh::Evidence {
    let host = remote.to_ascii().into_owned();
    nothing(
        FetchError::TimedOut { host },
        remote.to_string(),
        6 * TROUBLE,
    )
}

fn busy() -> posh::Evidence {
    nothing(FetchError::Busy, "not asked".into(), Duration::ZERO)
}

/// What strangers may make us do.
struct Strangers {
    permits: Arc<Semaphore>,
    /// What is left to each network, and as of when.
    networks: Mutex<HashMap<IpAddr, (f64, Instant), ahash::RandomState>>,
}

impl Default for Strangers {
    fn default() -> Self {
        Self {
            permits: Arc::new(Semaphore::new(STRANGERS)),
            networks: Mutex::default(),
        }
    }
}

impl Strangers {
    /// Leave to look something up for whoever calls from this address.
    fn permit(&self, from: IpAddr) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let permit = self.permits.clone().try_acquire_owned().ok()?;
        let now = Instant::now();
        let refilled = |(had, since): (f64, Instant)| {
            (had + now.duration_since(since).as_secs_f64() * PER_SECOND).min(BURST)
        };
        let mut networks = self.networks.lock();
        if networks.len() >= NETWORKS {
            networks.retain(|_, account| refilled(*account) < BURST);
            if networks.len() >= NETWORKS {
                return None;
            }
        }
        let account = networks.entry(network(from)).or_insert((BURST, now));
        let has = refilled(*account);
        *account = (has, now);
        if has < 1.0 {
            return None;
        }
        account.0 -= 1.0;
        Some(permit)
    }
}

/// One customer of an access network: an IPv4 address, or a /56 of IPv6.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(four) => four.into(),
        IpAddr::V6(six) => Ipv6Addr::from_bits(six.to_bits() >> 72 << 72).into(),
    }
}

/// A verdict, and what the hosted domain asked of its peers when it was made.
pub(super) struct Ruling {
    pub(super) verdict: Verdict,
    pub(super) under: Arc<Domain>,
}

impl Federation {
    /// Judges one stream for one pair, on the evidence of this moment. What is at hand comes first; only what that leaves
    /// open is looked up. `None`: the domain is no longer hosted here.
    pub(super) async fn judge(
        &self,
        basis: &Basis,
        dialback: Option<dna::dialback::Evidence>,
    ) -> Option<Ruling> {
        let domain = self.parts.tenancy.get(basis.local.as_str())?;
        let (claim, mut evidence) = self.at_hand(&domain, basis);
        let policy = policy(&domain);
        let mut verdict = self
            .gatherer
            .complete(&claim, &mut evidence, &policy, basis.address)
            .await;
        // To judge is to verify the chain's signatures: twice only where there is something new.
        if dialback.is_some() {
            evidence.dialback = dialback;
            verdict = dna::judge(&claim, &evidence, &policy, now());
        }
        Some(Ruling {
            verdict,
            under: domain,
        })
    }

    /// The same basis, with what secure DNS says now of where the peer is served.
    pub(super) async fn delegated_anew(&self, basis: &Basis) -> Basis {
        let mut basis = basis.clone();
        if let Some(target) = &mut basis.target {
            self.gatherer.look_again(&basis.remote, target).await;
        }
        basis
    }

    /// Whether TLSA records rule out whom a stream leads to, on which nothing else is asked of the certificate.
    pub(super) async fn dane_refuses(&self, basis: &Basis) -> Option<Refusal> {
        let domain = self.parts.tenancy.get(basis.local.as_str())?;
        let (claim, mut evidence) = self.at_hand(&domain, basis);
        self.gatherer.add_tlsa(&mut evidence).await;
        let verdict = dna::judge(&claim, &evidence, &policy(&domain), now());
        let refusal = verdict.reason().filter(|_| verdict.proven().is_none())?;
        (refusal.by == Some(Prooftype::Dane)).then(|| refusal.clone())
    }

    /// What is known without asking anybody.
    pub(super) fn at_hand(&self, domain: &Domain, basis: &Basis) -> (Claim, Evidence) {
        let claim = Claim {
            local: basis.local.clone(),
            remote: basis.remote.clone(),
            role: basis.role,
            service: Service::Server,
        };
        let evidence = Evidence {
            tls: true,
            chain: PresentedChain::new(&basis.tls.peer_chain, basis.staple.clone()),
            target: basis.target.clone(),
            profile: self.gatherer.rules.profile,
            pinned: domain.pinned.get(&basis.remote).cloned(),
            ..Evidence::none(self.parts.anchors.clone())
        };
        (claim, evidence)
    }
}

#[cfg(test)]
mod tests;
