//! Streams between servers: one outbound stream per pair of domains, whatever streams peers open, and what was proved on them.
//!
//! The pair (hosted domain, remote domain) is the unit of trust, routing and memory. A stanza for a peer waits in its pair's
//! bounded queue until a stream is proved for exactly that pair; when none comes about it bounces with a reason
//! (ROUTE-05). Dialback keys are verified over connections of our own making (DNA-09). Refuses: sending for a domain that
//! is not hosted here, letting one that is out of the process (ROUTE-08), looking up anything twice for the same reason, and
//! working for strangers without a bound.

mod attempts;
mod call;
mod inbound;
mod outbound;
mod pair;
mod staple;
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
use dna::{
    Anchors, Claim, Evidence, Lookup, Policy, PolicyLevel, PresentedChain, Prooftype, Proven, Role,
    Service, Target, Verdict,
};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::client::Resumption;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use xmpp::jid::{DomainName, Jid};
use xmpp::stanza::{Condition, Stanza};
use xmpp::stream::{Judgement, Order, StreamCondition, StreamError, TlsInfo};

use self::attempts::Attempts;
use self::pair::{Pair, Taken};
use self::verify::Verifiers;
use crate::config::Config;
use crate::metrics::{FederationLabel, Metrics};
use crate::net::PeerDoor;
use crate::net::limits::StreamLimits;
use crate::net::now;
use crate::net::pump::Transport;
use crate::net::tls::{AnyServer, Identities};
use crate::router::{Remote, Router};
use crate::session::Outbox;
use crate::tenancy::{Domain, Tenancy};

/// Pairs remembered before those at rest are forgotten.
const PAIRS: usize = 10_000;

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
    /// Whether private addresses may be connected to.
    pub private_addresses: bool,
    /// Limits of each stream.
    pub limits: StreamLimits,
}

impl Settings {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let limits = StreamLimits {
            negotiation: seconds(config.limits.negotiation_seconds),
            stanza_bytes: config.limits.stanza_bytes as usize,
            bytes_per_second: config.limits.peer_bytes_per_second,
            outbox_bytes: config.limits.outbox_bytes as usize,
            ..StreamLimits::default()
        };
        Self {
            connect: seconds(config.federation.connect_seconds),
            idle: seconds(config.federation.idle_seconds),
            queue_stanzas: config.federation.queue_stanzas as usize,
            queue_bytes: config.limits.outbox_bytes as usize,
            private_addresses: config.platform.private_addresses,
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
    /// By hosted domain, then by peer.
    pairs: DashMap<DomainName, Peers, ahash::RandomState>,
    /// Streams that peers opened, by a number of their own.
    inbound: Mutex<Inbound>,
    verifiers: Verifiers,
    attempts: Attempts,
    /// For hosted domains that have no certificate to show.
    bare: [OnceLock<Arc<ClientConfig>>; 2],
}

type Peers = HashMap<DomainName, Arc<Pair>, ahash::RandomState>;

#[derive(Default)]
struct Inbound {
    next: u64,
    streams: HashMap<u64, InboundStream>,
}

struct InboundStream {
    outbox: Arc<Outbox>,
    pairs: Vec<(DomainName, DomainName, Prooftype)>,
}

impl Federation {
    /// Federation without streams.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            parts,
            pairs: DashMap::default(),
            inbound: Mutex::default(),
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
        for stream in self.inbound.lock().streams.values() {
            for (local, remote, by) in &stream.pairs {
                if local == domain {
                    let now = found.entry(remote.clone()).or_insert_with(|| entry(remote));
                    now.inbound = true;
                    now.prooftype.get_or_insert_with(|| by.name().to_owned());
                }
            }
        }
        found.into_values().collect()
    }

    /// A hosted domain was suspended, has gone, or changed its policy or certificate: its streams end with this.
    pub fn close_domain(&self, domain: &DomainName, error: &StreamError) {
        if let Some(peers) = self.pairs.get(domain) {
            for pair in peers.values() {
                pair.order_close(error);
            }
        }
        for stream in self.inbound.lock().streams.values() {
            if stream.pairs.iter().any(|(local, ..)| local == domain) {
                stream.outbox.order(Order::Close(error.clone()));
            }
        }
    }

    /// Ends every stream that we opened.
    pub fn close_all(&self, error: &StreamError) {
        for peers in &self.pairs {
            for pair in peers.values() {
                pair.order_close(error);
            }
        }
        self.verifiers.close(error);
    }

    /// A hosted domain's policy may have changed: streams that it would no longer take end.
    pub fn recheck(&self, domain: &DomainName) {
        let Some(row) = self.parts.tenancy.get(domain.as_str()) else {
            return;
        };
        let policy = policy(&row);
        let stays =
            |remote: &DomainName, by| policy.shuts_out(remote).is_none() && policy.takes(by);
        let error = StreamError::new(StreamCondition::PolicyViolation)
            .with_text("what this domain asks of its peers has changed");
        if let Some(peers) = self.pairs.get(domain) {
            for pair in peers.values() {
                if pair.open_by().is_some_and(|by| !stays(&pair.remote, by)) {
                    pair.order_close(&error);
                }
            }
        }
        for stream in self.inbound.lock().streams.values() {
            let mut pairs = stream.pairs.iter().filter(|(local, ..)| local == domain);
            if pairs.any(|(_, remote, by)| !stays(remote, *by)) {
                stream.outbox.order(Order::Close(error.clone()));
            }
        }
    }

    fn pair(&self, local: &DomainName, remote: &Jid) -> Arc<Pair> {
        if let Some(peers) = self.pairs.get(local)
            && let Some(pair) = peers.get(remote.domain())
        {
            return pair.clone();
        }
        let mut peers = self.pairs.entry(local.clone()).or_default();
        if peers.len() >= PAIRS {
            let now = Instant::now();
            peers.retain(|_, pair| !pair.is_forgettable(now));
        }
        let name = remote.domain_name();
        peers
            .entry(name.clone())
            .or_insert_with(|| Arc::new(Pair::new(local.clone(), name)))
            .clone()
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

    /// The TLS configuration of streams that `local` opens: with its certificate if it has one (VHOST-08).
    async fn client_config(
        &self,
        local: &DomainName,
        direct: bool,
    ) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(identity) = self.parts.identities.get(local).await {
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
            .with_custom_certificate_verifier(Arc::new(AnyServer(provider.clone())))
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        if direct {
            config.alpn_protocols = vec![b"xmpp-server".to_vec()];
        }
        let made = Arc::new(config);
        Ok(cell.get_or_init(|| made).clone())
    }

    /// Judges one stream for one pair.
    fn judge(
        &self,
        domain: &Domain,
        remote: &DomainName,
        role: Role,
        (tls, stapled): (&TlsInfo, Option<bool>),
        target: Option<&Target>,
        dialback: Option<dna::dialback::Evidence>,
    ) -> Verdict {
        let claim = Claim {
            local: domain.name().clone(),
            remote: remote.clone(),
            role,
            service: Service::Server,
        };
        let evidence = Evidence {
            tls: true,
            chain: PresentedChain::new(&tls.peer_chain, stapled),
            target: target.cloned(),
            dialback,
            ..Evidence::none(self.parts.anchors.clone())
        };
        dna::judge(&claim, &evidence, &policy(domain), now())
    }

    fn inbound_add(&self, outbox: &Arc<Outbox>) -> u64 {
        let mut inbound = self.inbound.lock();
        inbound.next += 1;
        let number = inbound.next;
        inbound.streams.insert(
            number,
            InboundStream {
                outbox: outbox.clone(),
                pairs: Vec::new(),
            },
        );
        number
    }

    fn inbound_proved(&self, number: u64, proven: &Proven) {
        if let Some(stream) = self.inbound.lock().streams.get_mut(&number) {
            stream
                .pairs
                .push((proven.local().clone(), proven.remote().clone(), proven.by()));
        }
        // It is evidently up again.
        if let Some(peers) = self.pairs.get(proven.local())
            && let Some(pair) = peers.get(proven.remote())
        {
            pair.peer_is_up();
        }
    }

    fn inbound_remove(&self, number: u64) {
        self.inbound.lock().streams.remove(&number);
    }
}

impl Remote for Federation {
    fn send(&self, stanza: Stanza) {
        let (Some(from), Some(to)) = (stanza.from(), stanza.to()) else {
            return;
        };
        let Some(domain) = self.parts.tenancy.get(from.domain()) else {
            // It has left while the stanza was under way; nobody is there to tell.
            return;
        };
        if self.parts.tenancy.hosts(to.domain()) {
            // ROUTE-08. The router does not do this; if it ever does, the stanza stays here.
            tracing::error!(to = to.domain(), "a hosted domain was to leave the process");
            return self
                .parts
                .router
                .bounce(&stanza, Condition::InternalServerError);
        }
        let pair = self.pair(domain.name(), to);
        match pair.take(stanza, Instant::now(), &self.parts.settings) {
            Taken::Yes => {}
            Taken::Start => {
                if let Some(this) = self.this.upgrade() {
                    self.spawn(outbound::run(this, pair));
                }
            }
            Taken::No(stanza, error) => self.parts.router.bounce(&stanza, *error),
        }
    }
}

impl PeerDoor for Federation {
    fn serve(
        self: Arc<Self>,
        transport: Transport<TcpStream>,
        tls: Option<TlsInfo>,
        from: SocketAddr,
        outbox: Arc<Outbox>,
    ) -> BoxFuture<'static, ()> {
        Box::pin(inbound::serve(self, transport, tls, from, outbox))
    }
}

impl std::fmt::Debug for Federation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Federation").finish_non_exhaustive()
    }
}

/// What a hosted domain asks of its peers.
fn policy(domain: &Domain) -> Policy {
    let names = |list: &[String]| {
        list.iter()
            .filter_map(|name| DomainName::parse(name).ok())
            .collect()
    };
    Policy {
        level: PolicyLevel::from_name(&domain.policy).unwrap_or_default(),
        allow: names(&domain.allow),
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
