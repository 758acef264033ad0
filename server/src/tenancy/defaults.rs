//! What holds for domains and tenants where they have chosen nothing: the configuration, as tenancy wants it. Refuses: reading it
//! from anywhere; it is given.

use std::sync::Arc;
use std::time::Duration;

use xmpp::jid::DomainName;
use xmpp::stream::Resumption;

use super::Ceiling;
use crate::config::Config;
use crate::net::limits::Patience;

/// What domains and tenants have unless they chose otherwise.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Of a domain.
    pub domain: Ceiling,
    /// Of a tenant, with what control knows of it.
    pub tenant: control::Limits,
    /// Times of clients' streams.
    pub patience: Patience,
    /// How sessions outlive their connections; 0 seconds: not at all.
    pub resumption: Resumption,
    /// Whose certificates prove clients of every domain that names nobody else.
    pub client_anchors: Option<Arc<dna::Anchors>>,
    /// Where clients learn what is the matter (XEP-0455), of domains that name nothing else; `{domain}` is theirs.
    pub status: Vec<String>,
    /// Where our own public door says it; `None`: it has no name.
    pub own_status: Option<String>,
    /// Days after which what is archived goes; 0: never.
    pub archive_days: u32,
    /// Days after which a file goes; 0: with its account.
    pub upload_days: u32,
}

impl Default for Defaults {
    fn default() -> Self {
        Self::of(&Config::default())
    }
}

impl Defaults {
    /// As configured; anchors are read elsewhere.
    pub fn of(config: &Config) -> Self {
        let limits = &config.limits;
        let clients = &config.clients;
        Self {
            domain: Ceiling {
                connections: limits.connections_per_domain,
                sessions: limits.sessions_per_domain,
                stanzas_per_second: limits.stanzas_per_domain_and_second,
                peers: u32::MAX,
            },
            tenant: crate::wiring::tenant_limits(config),
            patience: Patience {
                keepalive: Duration::from_secs(clients.keepalive_seconds.into()),
                ping: seconds(clients.ping_seconds),
                pong: Duration::from_secs(clients.pong_seconds.into()),
                idle: seconds(clients.idle_seconds),
            },
            resumption: Resumption {
                seconds: clients.resume_seconds,
                location: Some(clients.resume_location.clone()).filter(|l| !l.is_empty()),
            },
            client_anchors: None,
            status: config.outage.status.clone(),
            own_status: own_status(config),
            archive_days: limits.archive_days,
            upload_days: config.uploads.days,
        }
    }
}

impl Defaults {
    /// Where a domain's clients learn what is the matter when it does not answer: elsewhere first.
    pub(super) fn status_of(&self, domain: &DomainName, own: Vec<String>) -> Vec<String> {
        let chosen = if own.is_empty() {
            self.status.clone()
        } else {
            own
        };
        let all = chosen.iter().chain(&self.own_status);
        all.map(|uri| uri.replace("{domain}", &domain.to_ascii()))
            .collect()
    }
}

/// The public door's document under the platform's own name ([`crate::net::public`]).
fn own_status(config: &Config) -> Option<String> {
    let web = config.platform.web.trim_end_matches('/');
    (!web.is_empty()).then(|| format!("{web}/outage/{{domain}}"))
}

/// 0 is never.
pub(super) fn seconds(seconds: u32) -> Option<Duration> {
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}
