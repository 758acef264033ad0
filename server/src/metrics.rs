//! OpenMetrics of the process: few names, bounded labels, handles that cost one atomic addition.
//!
//! No label ever holds a domain, account, peer or address: a service with a hundred thousand domains must not have a
//! hundred thousand series, and metrics are read by people who may not see tenants. What belongs to a domain is shown to
//! its owner in the panel.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Where a stanza went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Into a session's queue.
    Session,
    /// To another server.
    Peer,
    /// To a module of this server.
    Module,
    /// Into the offline store.
    Offline,
    /// Back to its sender as an error, or dropped as the rules say.
    Refused,
}

/// Every series there is. Cloning shares them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Client sessions bound now.
    pub sessions: Gauge,
    /// Those of them whose client is not there and may come back (XEP-0198).
    pub sessions_away: Gauge,
    /// What became of sessions whose connection broke: `resumed`; `refused`, somebody came and there was none; `expired`.
    resumptions: Family<ResultLabel, Counter>,
    /// Connections open now, by door: `c2s`, `c2s_tls`, `s2s`, `s2s_tls`.
    pub connections: Family<DoorLabel, Gauge>,
    /// Logins by result: `success`, `failure`.
    pub logins: Family<ResultLabel, Counter>,
    /// Federated streams proved or refused: direction `in` or `out`; result `pkix`, `dialback`, `refused`, `unreachable`.
    pub federation: Family<FederationLabel, Counter>,
    /// Evidence about peers: kind `delegation`, `endpoint`, `tlsa`, `posh`, `crl`, `ocsp`; result `asked`, `remembered`, `joined`
    /// (somebody else was asking), `declined` (too many strangers ask).
    pub evidence: Family<EvidenceLabel, Counter>,
    /// Stanzas by way.
    stanzas: [Counter; 5],
    /// Domains by state, as of the last sample.
    pub domains: Family<StateLabel, Gauge>,
    /// Findings open now by severity, as of the last sample.
    pub findings: Family<SeverityLabel, Gauge>,
    /// Certificates in use by days left: `expired`, `7`, `14`, `30`, `more`, as of the last sample.
    pub certificates: Family<DaysLabel, Gauge>,
    /// Orders of certificates by priority (`first`, `renewal`, `optional`) and reason for which they wait (`under-way` for
    /// those that do not, `new` for those not yet planned), as of the last sample.
    pub orders: Family<OrderLabel, Gauge>,
    /// Certificate authorities by state: `up`, `down`, as of the last sample.
    pub authorities: Family<AuthorityLabel, Gauge>,
    /// Names in the platform's zone that nobody owns, as the worker last found them.
    pub zone_orphans: Gauge,
    /// What waits in the platform's queues, as of the last sample: queue `checks` or `webhooks` in state `due`, `late` (due for
    /// more than two minutes) or `under_way`.
    pub queues: Family<QueueLabel, Gauge>,
    /// Connections that nobody has logged in on, as of the last sample.
    pub unauthenticated: Gauge,
    /// Tasks of the runtime that have not ended, as of the last sample: one for each connection and some more.
    pub tasks: Gauge,
    /// What was refused or slowed down for a limit, by the limit's key in section `limits` of the configuration.
    pub limited: Family<LimitLabel, Counter>,
    /// Open file descriptors' soft limit is the operator's affair; what we refuse for limits is ours.
    pub refused_connections: Counter<u64, AtomicU64>,
}

macro_rules! label {
    ($(#[doc = $doc:literal] $name:ident { $($(#[doc = $fdoc:literal])+ $field:ident),+ })+) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
        pub struct $name { $($(#[doc = $fdoc])+ pub $field: &'static str),+ }
    )+};
}
label! {
    /// A listener.
    DoorLabel {
        /// `c2s`, `c2s_tls`, `s2s`, `s2s_tls`, `websocket`, `bosh`, `components`.
        door
    }
    /// How something ended.
    ResultLabel {
        /// A closed set of words, see the metric.
        result
    }
    /// A federated stream.
    FederationLabel {
        /// `in` or `out`.
        direction,
        /// A closed set of words, see the metric.
        result
    }
    /// A look-up about a peer.
    EvidenceLabel {
        /// A closed set of words, see the metric.
        kind,
        /// A closed set of words, see the metric.
        result
    }
    /// A domain's state.
    StateLabel {
        /// `claimed`, `verified`, …
        state
    }
    /// A finding's severity.
    SeverityLabel {
        /// `critical`, `warning`, `info`.
        severity
    }
    /// An order of a certificate.
    OrderLabel {
        /// `first`, `renewal`, `optional`.
        priority,
        /// A closed set of words, see the metric.
        reason
    }
    /// A certificate authority's state.
    AuthorityLabel {
        /// `up`, `down`.
        state
    }
    /// What waits in a queue.
    QueueLabel {
        /// `checks`, `webhooks`.
        queue,
        /// `due`, `late`, `under_way`.
        state
    }
    /// A limit.
    LimitLabel {
        /// Its key in section `limits` of the configuration.
        limit
    }
    /// Days left.
    DaysLabel {
        /// Upper bound in days, `expired` or `more`.
        within
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every series.
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("domicile");
        let sessions = Gauge::default();
        registry.register("sessions", "Client sessions bound now", sessions.clone());
        let sessions_away = Gauge::default();
        registry.register(
            "sessions_away",
            "Sessions that wait for their client to come back",
            sessions_away.clone(),
        );
        let resumptions = Family::default();
        registry.register(
            "resumptions",
            "Sessions without connection resumed, refused or expired",
            resumptions.clone(),
        );
        let connections = Family::default();
        registry.register("connections", "Connections open now", connections.clone());
        let logins = Family::default();
        registry.register("logins", "SASL exchanges ended", logins.clone());
        let federation = Family::default();
        registry.register(
            "federation_streams",
            "Federated streams judged",
            federation.clone(),
        );
        let evidence = Family::default();
        registry.register("evidence", "Look-ups about peers", evidence.clone());
        let stanzas: [Counter; 5] = Default::default();
        let ways = ["session", "peer", "module", "offline", "refused"];
        for (way, counter) in ways.iter().zip(&stanzas) {
            // One series a way, kept as a plain handle: routing must not look up a label.
            registry
                .sub_registry_with_label(("way".into(), (*way).into()))
                .register("stanzas", "Stanzas routed", counter.clone());
        }
        let domains = Family::default();
        registry.register("domains", "Domains by state", domains.clone());
        let findings = Family::default();
        registry.register("findings", "Open findings by severity", findings.clone());
        let certificates = Family::default();
        registry.register(
            "certificates",
            "Certificates in use by days left",
            certificates.clone(),
        );
        let orders = Family::default();
        registry.register(
            "certificate_orders",
            "Orders of certificates by priority and reason for which they wait",
            orders.clone(),
        );
        let authorities = Family::default();
        registry.register(
            "certificate_authorities",
            "Certificate authorities by state",
            authorities.clone(),
        );
        let zone_orphans = Gauge::default();
        registry.register(
            "zone_orphans",
            "Names in the platform's zone that nobody owns",
            zone_orphans.clone(),
        );
        let queues = Family::default();
        registry.register(
            "queue",
            "Work of the platform that waits or is under way, by queue and state",
            queues.clone(),
        );
        let unauthenticated = Gauge::default();
        registry.register(
            "unauthenticated_connections",
            "Connections that nobody has logged in on",
            unauthenticated.clone(),
        );
        let tasks = Gauge::default();
        registry.register("tasks", "Tasks that have not ended", tasks.clone());
        let limited = Family::default();
        registry.register(
            "limited",
            "Refused or slowed down for a limit of the configuration",
            limited.clone(),
        );
        let refused_connections = Counter::default();
        registry.register(
            "refused_connections",
            "Connections refused for limits",
            refused_connections.clone(),
        );
        Self {
            registry,
            sessions,
            sessions_away,
            resumptions,
            connections,
            logins,
            federation,
            evidence,
            stanzas,
            domains,
            findings,
            certificates,
            orders,
            authorities,
            zone_orphans,
            queues,
            unauthenticated,
            tasks,
            limited,
            refused_connections,
        }
    }

    /// Counts that a limit was reached; `limit` is its key in section `limits` of the configuration.
    pub fn limit(&self, limit: &'static str) {
        self.limited.get_or_create(&LimitLabel { limit }).inc();
    }

    /// Counts what became of a session whose connection broke.
    pub fn resumed(&self, result: &'static str) {
        self.resumptions
            .get_or_create(&ResultLabel { result })
            .inc();
    }

    /// Counts one stanza.
    #[inline]
    pub fn routed(&self, route: Route) {
        self.stanzas[route as usize].inc();
    }

    /// OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail; an empty answer would be the scraper's clue if it ever did.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_encoded_with_bounded_labels() {
        let metrics = Metrics::new();
        metrics.routed(Route::Session);
        metrics.routed(Route::Session);
        metrics.routed(Route::Offline);
        metrics.sessions.set(3);
        metrics
            .connections
            .get_or_create(&DoorLabel { door: "c2s" })
            .inc();
        let text = metrics.encode();
        for line in [
            "domicile_stanzas_total{way=\"session\"} 2",
            "domicile_stanzas_total{way=\"offline\"} 1",
            "domicile_sessions 3",
            "domicile_connections{door=\"c2s\"} 1",
            "# EOF",
        ] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
    }
}
