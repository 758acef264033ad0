//! The live server as control and the internal door see it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use control::certificate::{Priority, Why};
use control::outside::{Change, Live, LiveUsage, PeerNow, Probe, SessionNow};
use store::{Store, TenantId};
use tokio::time::Instant;
use xmpp::jid::{BareJid, DomainName};
use xmpp::timestamp::Timestamp;

use super::probe;
use super::rest::Rest;
use crate::config::Config;
use crate::federation::Federation;
use crate::metrics::{
    AuthorityLabel, DaysLabel, Metrics, OrderLabel, QueueLabel, SeverityLabel, StateLabel,
};
use crate::net::internal::Health;
use crate::net::limits::{Addresses, Registrations};
use crate::net::tls::Identities;
use crate::router::Router;
use crate::session::{Session, Waiting};
use crate::tenancy::Tenancy;

pub(super) struct LiveServer {
    pub(super) config: Arc<Config>,
    pub(super) store: Store,
    pub(super) tenancy: Arc<Tenancy>,
    pub(super) identities: Arc<Identities>,
    pub(super) router: Arc<Router>,
    pub(super) federation: Arc<Federation>,
    pub(super) anchors: Arc<dna::Anchors>,
    pub(super) addresses: Arc<Addresses>,
    /// Accounts that people make themselves, on streams as on pages.
    pub(super) registrations: Arc<Registrations>,
    /// Streams whose clients wait until that is done on a page.
    pub(super) waiting: Arc<Waiting>,
    pub(super) metrics: Arc<Metrics>,
    /// Where clients are listened for.
    pub(super) local: Vec<SocketAddr>,
    /// Hears what is over.
    pub(super) rest: Arc<Rest>,
}

#[async_trait]
impl Live for LiveServer {
    fn zone_orphans(&self, count: u64) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.metrics.zone_orphans.set(count);
    }

    fn burst_over(&self) {
        self.rest.is_due();
    }

    fn announce(&self, change: Change) {
        match change {
            // The store's feed says these at once, whichever process made them; nothing is lost by leaving them to it.
            Change::Domain(_) | Change::Account(_) => {}
            // The feed says it to sessions; whoever has just come may ask before.
            Change::Roster(account) => self.router.forget_roster(&account),
            Change::Certificate(domain) => {
                self.identities.invalidate(&domain);
                for service in self.tenancy.service_names(&domain) {
                    self.identities.invalidate(&service);
                }
            }
        }
    }

    async fn probe(&self, domain: &DomainName, own: Option<&str>) -> Probe {
        let public = self
            .config
            .platform
            .addresses
            .iter()
            .map(|ip| SocketAddr::new(*ip, self.config.platform.client_port));
        let addresses: Vec<_> = public.chain(self.local.iter().copied()).collect();
        probe::probe(domain, own, &addresses, &self.anchors, &self.identities).await
    }

    fn sessions(&self, domain: &DomainName) -> usize {
        self.tenancy
            .get(domain.as_str())
            .map_or(0, |domain| domain.sessions())
    }

    fn online(&self, accounts: &[BareJid]) -> Option<Vec<usize>> {
        let sessions = self.router.sessions();
        let count = |account: &BareJid| sessions.with(account.as_str(), <[_]>::len);
        Some(accounts.iter().map(count).collect())
    }

    fn sessions_of(&self, account: &BareJid) -> Option<Vec<SessionNow>> {
        let now = |session: &Arc<Session>| {
            let view = session.view();
            SessionNow {
                resource: session.jid.resource().unwrap_or_default().to_owned(),
                since: session.proved,
                away: view.away,
                agent: view.agent,
                certificate: view.certificate.as_deref().map(str::to_owned),
            }
        };
        let sessions = self.router.sessions().of(account.as_str());
        Some(sessions.iter().map(now).collect())
    }

    fn peers(&self, domain: &DomainName) -> Vec<PeerNow> {
        self.federation.peers(domain)
    }

    fn admits_newcomer(&self, from: IpAddr) -> bool {
        let admitted = self.registrations.admit(from, Instant::now());
        if !admitted {
            self.metrics.limit("registrations_per_address_and_hour");
        }
        admitted
    }

    fn newcomer_came(&self, domain: &DomainName, stream: &str) {
        self.waiting.came(domain, stream);
    }

    fn usage(&self, tenant: TenantId) -> Option<LiveUsage> {
        Some(self.tenancy.used(tenant))
    }
}

#[async_trait]
impl Health for LiveServer {
    async fn ready(&self) -> Result<(), String> {
        self.store.ping().await.map_err(|error| error.to_string())
    }

    async fn sample(&self, metrics: &Metrics) {
        metrics
            .unauthenticated
            .set(i64::from(self.addresses.unauthenticated()));
        let tasks = tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks();
        metrics.tasks.set(i64::try_from(tasks).unwrap_or(i64::MAX));
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
        if let Ok(severities) = self.store.finding_severities().await {
            metrics.findings.clear();
            for severity in ["critical", "warning", "info"] {
                let open = severities.iter().find(|(word, _)| word == severity);
                let count = open.map_or(0, |(_, n)| i64::try_from(*n).unwrap_or(i64::MAX));
                let label = SeverityLabel { severity };
                metrics.findings.get_or_create(&label).set(count);
            }
        }
        if let Ok(counts) = self.store.queue_counts().await {
            metrics.orders.clear();
            for (priority, why, count) in counts {
                let reason = match Why::parse(&why) {
                    Some(why) => why.as_str(),
                    None if why == "under-way" => "under-way",
                    None => "new",
                };
                let priority = Priority::of(priority).as_str();
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                let label = OrderLabel { priority, reason };
                metrics.orders.get_or_create(&label).inc_by(count);
            }
        }
        if let Ok(known) = self.store.authority_list().await {
            for (state, is_down) in [("up", false), ("down", true)] {
                let count = known
                    .iter()
                    .filter(|known| known.down_since.is_some() == is_down);
                let count = i64::try_from(count.count()).unwrap_or(i64::MAX);
                let label = AuthorityLabel { state };
                metrics.authorities.get_or_create(&label).set(count);
            }
        }
        self.sample_queues(metrics).await;
        if let Ok(ends) = self.store.certificate_ends().await {
            metrics.certificates.clear();
            let now = crate::net::now();
            for end in ends {
                let within = days_left(now, end);
                metrics
                    .certificates
                    .get_or_create(&DaysLabel { within })
                    .inc();
            }
        }
    }
}

impl LiveServer {
    async fn sample_queues(&self, metrics: &Metrics) {
        let now = crate::net::now();
        let late = Timestamp(now.0 - control::tenant::queues::LATE_SECONDS * 1_000_000);
        let lines = [
            ("checks", self.store.checks_waiting(now, late).await),
            ("webhooks", self.store.deliveries_waiting(now, late).await),
        ];
        for (queue, line) in lines {
            let Ok(line) = line else { continue };
            for (state, count) in [
                ("due", line.due),
                ("late", line.late),
                ("under_way", line.under_way),
            ] {
                let count = i64::try_from(count).unwrap_or(i64::MAX);
                let label = QueueLabel { queue, state };
                metrics.queues.get_or_create(&label).set(count);
            }
        }
    }
}

/// The label of a certificate that ends at `end`.
fn days_left(now: Timestamp, end: Timestamp) -> &'static str {
    const DAY: i64 = 86_400_000_000;
    match end.0.saturating_sub(now.0) {
        left if left <= 0 => "expired",
        left if left <= 7 * DAY => "7",
        left if left <= 14 * DAY => "14",
        left if left <= 30 * DAY => "30",
        _ => "more",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_counted_by_the_days_they_have_left() {
        let day = 86_400_000_000;
        let check =
            |left: i64, word| assert_eq!(days_left(Timestamp(5), Timestamp(5 + left)), word);
        check(-1, "expired");
        check(0, "expired");
        check(7 * day, "7");
        check(7 * day + 1, "14");
        check(30 * day, "30");
        check(31 * day, "more");
    }
}
