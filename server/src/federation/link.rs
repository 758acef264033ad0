//! Further pairs on a stream that is open already (RFC 7712 4.4, XEP-0220 2.6).
//!
//! By assertion: another domain of ours speaks on a stream that leads to the same peer. By supposition: another domain of
//! the peer's is served at the end of a stream, which we believe only if all three hold: the DNS leads to the very address
//! and port, the certificate shown there proves that domain too, and the peer answers dialback errors (DNA-17). Either way
//! the pair waits until the peer has said `valid` for it (DNA-18), and the peer is judged by the policy of this pair's own
//! domain. Refuses: to save a connection by a weaker proof. Where the peer took a certificate that says nothing of the
//! further domain, and that domain has its own, it gets a connection of its own.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use dna::pkix::Names;
use dna::{Proven, Security, Service, Target};
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;
use xmpp::jid::DomainName;
use xmpp::stream::Order;

use super::Federation;
use super::channel::Basis;
use super::pair::Pair;
use crate::net::tls::Identity;
use crate::session::Outbox;
use crate::tenancy::Domain;

/// How long a further pair may wait for its answer before it gets a connection of its own (DIALBACK-24).
const PATIENCE: Duration = Duration::from_secs(10);
/// Streams to one place that are judged for a further pair.
const SUPPOSED: usize = 8;
/// Pairs that may be on one stream or wait for it.
const RIDERS: usize = 60;

/// A stream of ours that may take further pairs.
pub(super) struct Link {
    pub(super) outbox: Arc<Outbox>,
    /// What the first pair's proof rests on.
    pub(super) basis: Basis,
    pub(super) address: SocketAddr,
    /// Whom the peer's certificate names, once somebody has asked.
    pub(super) names: OnceLock<Names>,
    /// What we showed.
    pub(super) identity: Option<Arc<Identity>>,
    /// The peer took it.
    pub(super) by_certificate: bool,
    /// The peer answers dialback errors.
    pub(super) errors: bool,
    pub(super) aboard: Mutex<Aboard>,
}

#[derive(Default)]
pub(super) struct Aboard {
    /// Pairs whose answer is out.
    waiting: Vec<Rider>,
    /// How many were ever taken.
    taken: usize,
    closed: bool,
}

/// Where a pair's peer is served, as its records say.
pub(super) struct Supposed<'a> {
    pub(super) target: &'a Target,
    pub(super) addresses: &'a [SocketAddr],
    /// Signed records lead there, down to the addresses.
    pub(super) dnssec: bool,
}

/// A pair that waits for the peer's answer.
pub(super) struct Rider {
    pub(super) pair: Arc<Pair>,
    pub(super) proven: Proven,
    /// What its domain asked when that was judged.
    pub(super) under: Arc<Domain>,
    pub(super) basis: Basis,
    done: oneshot::Sender<bool>,
}

impl Rider {
    /// Tells whoever looks for a stream. It may have given up meanwhile.
    pub(super) fn done(self, accepted: bool) {
        let _ = self.done.send(accepted);
    }
}

impl Link {
    /// Takes out the pair that the peer has answered about.
    pub(super) fn answered(&self, local: &DomainName, remote: &DomainName) -> Option<Rider> {
        let mut aboard = self.aboard.lock();
        let at = aboard
            .waiting
            .iter()
            .position(|rider| rider.pair.local == *local && rider.pair.remote == *remote)?;
        Some(aboard.waiting.swap_remove(at))
    }

    fn names(&self) -> &Names {
        self.names.get_or_init(|| {
            let leaf = self.basis.tls.peer_chain.first();
            Names::of(leaf.map_or(&[], Vec::as_slice))
        })
    }

    fn is_closed(&self) -> bool {
        self.outbox.is_closed() || self.aboard.lock().closed
    }

    /// The stream has ended, or takes nobody any more: nobody waits for it any longer.
    pub(super) fn close(&self) {
        let mut aboard = self.aboard.lock();
        aboard.closed = true;
        aboard.waiting.clear();
    }

    /// Whether a pair of another peer may be supposed here, if the addresses of that peer's target agree.
    fn may_serve(&self, pair: &Pair, target: &Target) -> bool {
        let direct = self.basis.target.as_ref().map(|own| own.direct);
        // Behind one address there may be thousands of peers, each with its own certificate: only those are judged whose
        // certificate names the domain, or, behind signed records, need not.
        let named = || {
            target.security == Security::Secure || self.names().cover(&pair.remote, Service::Server)
        };
        self.errors
            && self.basis.remote != pair.remote
            && self.address.port() == target.port
            && direct == Some(target.direct)
            && named()
    }

    /// Whether what the peer saw of us is as good for this domain as a connection of its own would be.
    async fn suits(&self, federation: &Federation, local: &DomainName) -> bool {
        if !self.by_certificate {
            return true;
        }
        let own = federation.parts.identities.get(local).await;
        match (&self.identity, own) {
            (Some(shown), Some(own)) => Arc::ptr_eq(shown, &own) || shown.covers(local),
            (_, own) => own.is_none(),
        }
    }

    /// Proves `pair` on this stream. `false`: it needs one of its own.
    async fn take(
        &self,
        federation: &Arc<Federation>,
        pair: &Arc<Pair>,
        supposed: Option<&Supposed<'_>>,
        deadline: Instant,
    ) -> bool {
        if self.is_closed() || !self.suits(federation, &pair.local).await {
            return false;
        }
        let basis = Basis {
            local: pair.local.clone(),
            remote: pair.remote.clone(),
            ..self.basis.clone()
        };
        let basis = match supposed {
            Some(supposed) => Basis {
                target: Some(supposed.target.clone()),
                dnssec: supposed.dnssec,
                ..basis
            },
            None => basis,
        };
        let judged = self.judge(federation, &basis, supposed.is_some());
        let Some((proven, under)) = judged.await else {
            return false;
        };
        let (done, answered) = oneshot::channel();
        let rider = Rider {
            pair: pair.clone(),
            proven,
            under,
            basis,
            done,
        };
        {
            let mut aboard = self.aboard.lock();
            if aboard.closed || aboard.taken >= RIDERS {
                return false;
            }
            aboard.taken += 1;
            aboard.waiting.push(rider);
        }
        self.outbox.order(Order::AddPair {
            local: pair.local.clone(),
            remote: pair.remote.clone(),
        });
        let patience = deadline.min(Instant::now() + PATIENCE);
        matches!(
            tokio::time::timeout_at(patience, answered).await,
            Ok(Ok(true))
        )
    }

    /// A supposed target is believed by its certificate alone.
    async fn judge(
        &self,
        federation: &Federation,
        basis: &Basis,
        supposed: bool,
    ) -> Option<(Proven, Arc<Domain>)> {
        let mut ruling = federation.judge(basis, None).await?;
        if !supposed && ruling.verdict.may_dial_back() {
            let delegated = basis.delegated(self.address);
            ruling = federation.judge(basis, Some(delegated)).await?;
        }
        Some((ruling.verdict.into_proven()?, ruling.under))
    }
}

impl Federation {
    /// Finds a stream for a pair among those that lead to the same peer (DNA-12). `false`: there is none.
    pub(super) async fn ride_by_assertion(
        self: &Arc<Self>,
        pair: &Arc<Pair>,
        deadline: Instant,
    ) -> bool {
        let same = |link: &Link| link.basis.remote == pair.remote && link.basis.local != pair.local;
        for link in self.links_where(same) {
            if link.take(self, pair, None, deadline).await {
                return true;
            }
        }
        false
    }

    /// Whether any stream could lead to where this target is, so that its addresses are worth a look-up.
    pub(super) fn may_suppose(&self, pair: &Pair, target: &Target) -> bool {
        let links = self.links.lock();
        links.iter().any(|link| link.may_serve(pair, target))
    }

    /// Finds a stream for a pair among those that lead to one of the addresses of a target (DNA-17). `false`: there is none.
    pub(super) async fn ride_by_supposition(
        self: &Arc<Self>,
        pair: &Arc<Pair>,
        supposed: &Supposed<'_>,
        deadline: Instant,
    ) -> bool {
        let there = |link: &Link| {
            link.may_serve(pair, supposed.target) && supposed.addresses.contains(&link.address)
        };
        for link in self.links_where(there).iter().take(SUPPOSED) {
            if link.take(self, pair, Some(supposed), deadline).await {
                return true;
            }
        }
        false
    }

    fn links_where(&self, wanted: impl Fn(&Link) -> bool) -> Vec<Arc<Link>> {
        let links = self.links.lock();
        links.iter().filter(|link| wanted(link)).cloned().collect()
    }
}
