//! Streams between servers: those we open, those that peers open, the pairs they carry, and what was proved on them.
//!
//! The pair (hosted domain, remote domain) is the unit of trust, routing and memory; a stream carries one or many, in one
//! direction or both. A stanza for a peer waits in its pair's bounded queue until a stream is proved for exactly that pair;
//! when none comes about it bounces with a reason (ROUTE-05). Dialback keys are verified over connections of our own making (DNA-09). Refuses: sending for a domain that
//! is not hosted here, letting one that is out of the process (ROUTE-08), looking up anything twice for the same reason, and
//! working for strangers without a bound.

mod attempts;
mod call;
mod carrier;
mod channel;
mod evidence;
mod inbound;
mod kept;
mod link;
mod outbound;
mod outgoing;
mod pair;
mod queue;
mod restart;
mod standing;
#[cfg(test)]
mod tests;
mod verify;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use control::outside::PeerNow;
use dashmap::DashMap;
use dna::dialback::Secret;
use dna::{Anchors, Fetch, Lookup, Policy, PolicyLevel, Verdict};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::client::Resumption;
use store::TenantId;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, Stanza, StanzaError};
use xmpp::stream::{Judgement, Order, StreamCondition, StreamError, TlsInfo};

use self::attempts::Attempts;
use self::channel::Streams;
use self::evidence::Gatherer;
pub use self::evidence::Rules;
use self::kept::Ledger;
use self::link::Link;
use self::pair::{Hold, Pair, Taken};
use self::verify::Verifiers;
use crate::config::Config;
use crate::metrics::{FederationLabel, Metrics};
use crate::net::PeerDoor;
use crate::net::guard::Guard;
use crate::net::limits::{Admission, Patience, StreamLimits};
use crate::net::now;
use crate::net::pump::{Handed, Later, Transport};
use crate::net::tls::{AnyServer, Identities, Identity};
use crate::router::{Remote, Router};
use crate::session::Outbox;
use crate::tenancy::{Domain, Kind, Tenancy};

/// Pairs remembered before those at rest are forgotten.
const PAIRS: usize = 10_000;
/// For want of places pairs are forgotten this often at most.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// What federation may take.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// From the first stanza of a pair until its stream is proved, or the stanzas bounce.
    pub connect: Duration,
    /// Streams of ours without stanzas are closed after this.
    pub idle: Duration,
    /// Stanzas that may wait for a stream, per pair.
    pub queue_stanzas: usize,
    /// Bytes that may wait for a stream, per pair.
    pub queue_bytes: usize,
    /// Limits of each stream.
    pub limits: StreamLimits,
}

impl Settings {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let limits = StreamLimits {
            negotiation: seconds(config.limits.negotiation_seconds),
            // Nobody makes an account on another server's stream.
            registration_seconds: 0,
            stanza_bytes: config.limits.stanza_bytes as usize,
            unauthenticated_bytes: config.limits.unauthenticated_stanza_bytes as usize,
            unauthenticated_bytes_per_second: config.limits.unauthenticated_bytes_per_second,
            bytes_per_second: config.limits.peer_bytes_per_second,
            stanzas_per_second: config.limits.peer_stanzas_per_second,
            outbox_bytes: config.limits.outbox_bytes as usize,
            patience: Patience {
                ping: Some(seconds(config.federation.ping_seconds)).filter(|ping| !ping.is_zero()),
                pong: seconds(config.federation.pong_seconds),
                ..Patience::default()
            },
        };
        Self {
            connect: seconds(config.federation.connect_seconds),
            idle: seconds(config.federation.idle_seconds),
            queue_stanzas: config.federation.queue_stanzas as usize,
            queue_bytes: config.limits.outbox_bytes as usize,
            limits,
        }
    }
}

/// What federation is made of.
pub struct Parts {
    /// Hosted domains.
    pub tenancy: Arc<Tenancy>,
    /// Where peers' stanzas go, and errors about ours.
    pub router: Arc<Router>,
    /// Certificates.
    pub identities: Arc<Identities>,
    /// The DNS.
    pub lookup: Arc<dyn Lookup>,
    /// Peers' websites.
    pub fetch: Arc<dyn Fetch>,
    /// Which evidence is looked up.
    pub rules: Rules,
    /// Whom we connect to.
    pub guard: Guard,
    /// Whom we believe.
    pub anchors: Arc<Anchors>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// `from` towards streams to names that are not hosted (VHOST-05).
    pub provider: Option<DomainName>,
    /// Secret from which each domain's dialback secret is derived (DIALBACK-06).
    pub dialback_secret: Vec<u8>,
    /// Bounds.
    pub settings: Settings,
    /// Tasks that are waited for at the end.
    pub tasks: TaskTracker,
}

/// Federation of one process.
pub struct Federation {
    this: Weak<Self>,
    parts: Parts,
    /// When pairs were last forgotten for want of places.
    forgot: Mutex<Option<Instant>>,
    /// By hosted domain, then by peer.
    pairs: DashMap<DomainName, Peers, ahash::RandomState>,
    /// Server streams of this process, whoever opened them.
    streams: Mutex<Streams>,
    /// Streams of ours that may take further pairs.
    links: Mutex<Vec<Arc<Link>>>,
    /// What waits, in the store.
    ledger: Arc<Ledger>,
    /// No more streams are opened.
    stop: CancellationToken,
    gatherer: Gatherer,
    verifiers: Verifiers,
    attempts: Attempts,
    /// For hosted domains that have no certificate to show.
    bare: [OnceLock<Arc<ClientConfig>>; 2],
}

type Peers = HashMap<DomainName, Arc<Pair>, ahash::RandomState>;

impl Federation {
    /// Federation without streams.
    pub fn new(parts: Parts) -> Arc<Self> {
        let gatherer = Gatherer::new(
            parts.lookup.clone(),
            parts.fetch.clone(),
            parts.rules.clone(),
            parts.metrics.clone(),
        );
        let stop = CancellationToken::new();
        let tenancy = parts.tenancy.clone();
        let ledger = Ledger::new(
            // Services and components have no accounts.
            Box::new(move |local| {
                let domain = tenancy.get(local.as_str())?;
                (domain.service.is_none() && !domain.component).then(|| domain.hosted.store.clone())
            }),
            parts.tasks.clone(),
        );
        parts.tasks.spawn(ledger.clone().follow(stop.clone()));
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            parts,
            ledger,
            gatherer,
            forgot: Mutex::default(),
            pairs: DashMap::default(),
            streams: Mutex::default(),
            links: Mutex::default(),
            stop,
            verifiers: Verifiers::default(),
            attempts: Attempts::default(),
            bare: Default::default(),
        })
    }

    /// Streams of a hosted domain at this moment, by peer.
    pub fn peers(&self, domain: &DomainName) -> Vec<PeerNow> {
        let mut found: HashMap<DomainName, PeerNow> = HashMap::new();
        let entry = |remote: &DomainName| PeerNow {
            peer: remote.as_str().to_owned(),
            outbound: false,
            inbound: false,
            prooftype: None,
        };
        if let Some(peers) = self.pairs.get(domain) {
            for (remote, pair) in peers.iter() {
                if let Some(by) = pair.open_by() {
                    let now = found.entry(remote.clone()).or_insert_with(|| entry(remote));
                    now.outbound = true;
                    now.prooftype = Some(by.name().to_owned());
                }
            }
        }
        for stream in self.streams.lock().open.values() {
            for held in stream.pairs.lock().iter().filter(|held| held.incoming) {
                let proven = &held.proven;
                if proven.local() == domain {
                    let remote = proven.remote();
                    let now = found.entry(remote.clone()).or_insert_with(|| entry(remote));
                    now.inbound = true;
                    now.prooftype
                        .get_or_insert_with(|| proven.by().name().to_owned());
                }
            }
        }
        found.into_values().collect()
    }

    /// Opens no more streams, and ends every one that we opened, also while it is being negotiated. What waits for one
    /// stays in the store, or bounces where it is not kept.
    pub fn close_all(&self, error: &StreamError) {
        self.stop.cancel();
        for stream in self.streams.lock().open.values() {
            if stream.ours {
                stream.outbox.order(Order::Close(error.clone()));
            }
        }
        self.verifiers.close(error);
    }

    /// A pair that something has gone over, or wanted to.
    fn known_pair(&self, local: &DomainName, remote: &DomainName) -> Option<Arc<Pair>> {
        self.pairs.get(local)?.get(remote).cloned()
    }

    /// The same, made where there is none.
    ///
    /// # Errors
    /// The key of the limit that is reached.
    fn pair(&self, local: &DomainName, remote: &DomainName) -> Result<Arc<Pair>, &'static str> {
        if let Some(pair) = self.known_pair(local, remote) {
            return Ok(pair);
        }
        let place = match self.parts.tenancy.get(local.as_str()) {
            Some(domain) => Some(domain.occupy(Kind::Peer).or_else(|_| {
                self.forget_pairs_of(domain.tenant);
                domain.occupy(Kind::Peer)
            })?),
            // It has just left; its pairs end.
            None => None,
        };
        let mut peers = self.pairs.entry(local.clone()).or_default();
        if peers.len() >= PAIRS {
            let now = Instant::now();
            peers.retain(|_, pair| !forgettable(pair, now));
        }
        Ok(peers
            .entry(remote.clone())
            .or_insert_with(|| {
                let names = (local.clone(), remote.clone());
                Arc::new(Pair::new(names, place, self.ledger.clone(), now))
            })
            .clone())
    }

    /// Pairs that nothing goes over any more give their places back when somebody needs one; looked for once a second at most.
    fn forget_pairs_of(&self, tenant: TenantId) {
        let now = Instant::now();
        {
            let mut forgot = self.forgot.lock();
            if forgot.is_some_and(|at| now < at + FORGET_EVERY) {
                return;
            }
            *forgot = Some(now);
        }
        for mut peers in self.pairs.iter_mut() {
            let domain = self.parts.tenancy.get(peers.key().as_str());
            if domain.is_none_or(|domain| domain.tenant == tenant) {
                peers.retain(|_, pair| !forgettable(pair, now));
            }
        }
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.parts.tasks.spawn(future);
    }

    fn count(&self, direction: &'static str, result: &'static str) {
        self.parts
            .metrics
            .federation
            .get_or_create(&FederationLabel { direction, result })
            .inc();
    }

    /// Our dialback secret for a hosted domain.
    fn secret(&self, domain: &DomainName) -> Secret {
        Secret::for_domain(&self.parts.dialback_secret, domain)
    }

    /// The TLS configuration of streams that a domain with this identity opens (VHOST-08).
    fn client_config(
        &self,
        identity: Option<&Identity>,
        direct: bool,
    ) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(identity) = identity {
            return identity.client_config(direct);
        }
        let cell = &self.bare[usize::from(direct)];
        if let Some(config) = cell.get() {
            return Ok(config.clone());
        }
        let provider = self.parts.identities.provider();
        let mut config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer::new(provider.clone())))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        if direct {
            config.alpn_protocols = vec![b"xmpp-server".to_vec()];
        }
        let made = Arc::new(config);
        Ok(cell.get_or_init(|| made).clone())
    }
}

impl Remote for Federation {
    fn send(&self, stanza: Stanza) -> Option<Later> {
        let (from, to) = (stanza.from()?, stanza.to()?);
        // It may have left while the stanza was under way; nobody is there to tell.
        let domain = self.parts.tenancy.get(from.domain())?;
        if self.parts.tenancy.hosts(to.domain()) {
            // ROUTE-08. The router does not do this; if it ever does, the stanza stays here.
            tracing::error!(to = to.domain(), "a hosted domain was to leave the process");
            self.parts
                .router
                .bounce(&stanza, Condition::InternalServerError);
            return None;
        }
        let known = self
            .pairs
            .get(domain.name())
            .and_then(|p| p.get(to.domain()).cloned());
        let pair = match known.map_or_else(|| self.pair(domain.name(), &to.domain_name()), Ok) {
            Ok(pair) => pair,
            Err(limit) => {
                self.parts.metrics.limit(limit);
                let error = StanzaError::new(Condition::ResourceConstraint);
                let text = standing::too_many_peers(domain.most_peers());
                self.parts.router.bounce(&stanza, error.with_text(text));
                return None;
            }
        };
        match pair.take(stanza, Instant::now(), &self.parts.settings) {
            Taken::Yes(hold) => self.held(pair, hold),
            Taken::Start(hold) => {
                let this = self.this.upgrade()?;
                self.spawn(outbound::run(this, pair.clone()));
                self.held(pair, hold)
            }
            Taken::No(stanza, error) => {
                self.parts.router.bounce(&stanza, *error);
                None
            }
        }
    }
}

impl Federation {
    /// What whoever wrote a stanza waits for.
    fn held(&self, pair: Arc<Pair>, hold: Hold) -> Option<Later> {
        match hold {
            Hold::None => None,
            Hold::Stream(progress, item, bytes) => Some(Later::Handed(Handed {
                progress,
                item,
                bytes,
                keeper: pair,
            })),
            Hold::Row(kept) => {
                self.ledger.write(&pair.local, std::slice::from_ref(&kept));
                let router = self.parts.router.clone();
                Some(Later::Done(Box::pin(async move {
                    kept.settled().await;
                    while kept.has_failed() {
                        if let Some(queued) = pair.take_back(&kept) {
                            let error = StanzaError::new(Condition::ResourceConstraint)
                                .with_text("it cannot be kept until that server is reached");
                            return router.bounce(&queued.stanza, error);
                        }
                        // A stream has it: that brings it there, or gives it back.
                        kept.recovered().await;
                        kept.settled().await;
                    }
                })))
            }
        }
    }
}

impl PeerDoor for Federation {
    fn serve(
        self: Arc<Self>,
        transport: Transport<TcpStream>,
        tls: Option<Box<TlsInfo>>,
        from: SocketAddr,
        outbox: Arc<Outbox>,
        admission: Admission,
    ) -> BoxFuture<'static, ()> {
        Box::pin(inbound::serve(
            self, transport, tls, from, outbox, admission,
        ))
    }
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Federation").finish_non_exhaustive()
    }
}

/// Nothing would be lost by forgetting it, and nothing comes in over it.
fn forgettable(pair: &Arc<Pair>, now: Instant) -> bool {
    Arc::strong_count(pair) == 1 && pair.is_forgettable(now)
}

/// The one peer of a domain that may talk with none: no name that anybody can have (RFC 2606 2).
const NOBODY: &str = "nobody.invalid";

/// What a hosted domain asks of its peers.
fn policy(domain: &Domain) -> Policy {
    let names = |list: &[String]| {
        list.iter()
            .filter_map(|name| DomainName::parse(name).ok())
            .collect()
    };
    Policy {
        level: PolicyLevel::from_name(&domain.policy).unwrap_or_default(),
        allow: match domain.secluded {
            true => names(&[NOBODY.to_owned()]),
            false => names(&domain.allow),
        },
        block: names(&domain.block),
    }
}

/// What a verdict means to a stream machine.
fn judgement(verdict: &Verdict) -> Judgement {
    let proven = verdict.proven().is_some();
    let dialback = verdict.may_dial_back();
    Judgement {
        proven,
        dialback,
        refused: (!proven && !dialback).then(|| {
            let by_policy = verdict
                .refusals()
                .iter()
                .any(|refusal| refusal.by.is_none());
            let condition = if by_policy {
                StreamCondition::PolicyViolation
            } else {
                StreamCondition::NotAuthorized
            };
            StreamError::new(condition).with_text(verdict.summary())
        }),
    }
}

fn refuse(why: &str) -> Judgement {
    Judgement {
        proven: false,
        dialback: false,
        refused: Some(StreamError::new(StreamCondition::PolicyViolation).with_text(why)),
    }
}

/// What a judgement comes to when the hosted domain has left meanwhile.
fn domain_gone() -> Judgement {
    refuse("the domain has gone")
}
