//! The live server as control and the internal door see it.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use control::outside::{Change, Live, PeerNow, Probe};
use store::Store;
use xmpp::jid::DomainName;

use super::probe;
use crate::config::Config;
use crate::federation::Federation;
use crate::metrics::{Metrics, StateLabel};
use crate::net::internal::Health;
use crate::net::tls::Identities;
use crate::router::Router;
use crate::tenancy::Tenancy;

pub(super) struct LiveServer {
    pub(super) config: Arc<Config>,
    pub(super) store: Store,
    pub(super) tenancy: Arc<Tenancy>,
    pub(super) identities: Arc<Identities>,
    pub(super) router: Arc<Router>,
    pub(super) federation: Arc<Federation>,
    pub(super) anchors: Arc<dna::Anchors>,
    /// Where clients are listened for.
    pub(super) local: Vec<SocketAddr>,
}

#[async_trait]
impl Live for LiveServer {
    fn announce(&self, change: Change) {
        match change {
            // The store's feed says these within the same second; nothing is lost by leaving them to it.
            Change::Domain(_) => {}
            Change::Certificate(domain) => self.identities.invalidate(&domain),
            // The feed cannot tell a new password from other changes; an operator's change ends the sessions.
            Change::Account(account) => {
                self.router.modules().forget_account(&account);
                self.close_account(&account);
            }
        }
    }

    async fn probe(&self, domain: &DomainName) -> Probe {
        let public = self
            .config
            .platform
            .addresses
            .iter()
            .map(|ip| SocketAddr::new(*ip, self.config.platform.client_port));
        let addresses: Vec<_> = public.chain(self.local.iter().copied()).collect();
        probe::probe(domain, &addresses, &self.anchors, &self.identities).await
    }

    fn sessions(&self, domain: &DomainName) -> usize {
        self.tenancy
            .get(domain.as_str())
            .map_or(0, |domain| domain.sessions())
    }

    fn peers(&self, domain: &DomainName) -> Vec<PeerNow> {
        self.federation.peers(domain)
    }
}

#[async_trait]
impl Health for LiveServer {
    async fn ready(&self) -> Result<(), String> {
        self.store.ping().await.map_err(|error| error.to_string())
    }

    async fn sample(&self, metrics: &Metrics) {
        let Ok(states) = self.store.domain_states().await else {
            return;
        };
        metrics.domains.clear();
        for (state, count) in states {
            let Some(state) = control::domain::State::parse(&state) else {
                continue;
            };
            let label = StateLabel {
                state: state.as_str(),
            };
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metrics.domains.get_or_create(&label).set(count);
        }
    }
}
