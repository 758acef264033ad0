//! What the operator of the platform has decided once, handed in by `server/src/wiring.rs`: names, addresses, ports, pace and limits.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::certificate::AuthorityLimits;

/// The platform's settings as control needs them. Durations are in seconds.
#[derive(Debug, Clone)]
pub struct PlatformSettings {
    /// What the service calls itself in texts.
    pub name: String,
    /// Zone in which every domain gets its target and its challenge name, A-labels without the last dot: `on.hosting.example`
    /// gives the target `d7f3k2.on.hosting.example` and the challenge `d7f3k2._acme.on.hosting.example`.
    pub platform_zone: String,
    /// Addresses of the public door: A and AAAA of every target.
    pub addresses: Vec<IpAddr>,
    /// Ports of the public door, published in SRV.
    pub ports: Ports,
    /// TTL we ask owners to use, and use ourselves.
    pub record_ttl_seconds: u32,
    /// Address of the public web door under the platform's own name, without a path: `https://web.hosting.example`. Owners'
    /// websites lead to it. Empty: it has none.
    pub web: String,
    /// Address below which invitations are opened, without a path: the public web door's under the platform's own name, or the
    /// panel's where it has none.
    pub invites: String,
    /// How long a POSH document may be believed, in seconds; less when a certificate is about to end.
    pub posh_expires_seconds: u32,
    /// Port of owners' websites: 443 but in private worlds.
    pub website_port: u16,
    /// Port at which authorities ask websites (http-01): 80 but in private worlds.
    pub http_port: u16,
    /// We answer there ourselves, at the names of our zone.
    pub plain_http: bool,
    /// Accept private and loopback addresses as targets: only where the whole internet is on loopback.
    pub private_addresses: bool,
    /// Address of the panel: passkeys are good there only.
    pub panel: String,
    /// Must operators of the platform have a second factor? Who has none can do nothing else until they do.
    pub operators_second_factor: bool,
    /// May customers sign up by themselves?
    pub sign_up: bool,
    /// Limits of a new tenant.
    pub limits: Limits,
    /// How often the worker looks.
    pub pace: Pace,
    /// What certificate authorities allow.
    pub authority_limits: AuthorityLimits,
    /// Services beside the domain itself that owners may switch on.
    pub service_names: Vec<ServiceName>,
}

/// Ports of the public door.
#[derive(Debug, Clone, Copy)]
pub struct Ports {
    /// `_xmpp-client`, STARTTLS. Usually 5222.
    pub client: u16,
    /// `_xmpps-client`, direct TLS. Usually 5223.
    pub client_tls: u16,
    /// `_xmpp-server`, STARTTLS. Usually 5269.
    pub server: u16,
    /// `_xmpps-server`, direct TLS. Usually 5270.
    pub server_tls: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            client: 5222,
            client_tls: 5223,
            server: 5269,
            server_tls: 5270,
        }
    }
}

/// What a tenant may have. Shown with every refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Domains of the tenant.
    pub domains: u32,
    /// Accounts over all its domains.
    pub accounts: u32,
    /// Connections at a time.
    pub connections: u32,
    /// Sessions at a time.
    pub sessions: u32,
    /// Stanzas of its users in a second, on average.
    pub stanzas_per_second: u32,
    /// Other servers at a time, counted for each of its domains.
    pub peers: u32,
    /// Contacts in one user's roster.
    pub roster_items: u32,
    /// Bytes of messages that wait for its users.
    pub offline_bytes: u64,
    /// Bytes of its users' archives; over it the oldest messages of the largest ones go.
    pub archive_bytes: u64,
    /// Bytes of files that its users have uploaded.
    pub upload_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            domains: 20,
            accounts: 10_000,
            connections: 50_000,
            sessions: 50_000,
            stanzas_per_second: 50_000,
            peers: 50_000,
            roster_items: 2_000,
            offline_bytes: 1 << 30,
            archive_bytes: 100 << 30,
            upload_bytes: 100 << 30,
        }
    }
}

impl Limits {
    /// These limits, but for those that a tenant's own (JSON, as the store keeps it) names. What cannot be read changes
    /// nothing.
    #[must_use]
    pub fn with(self, own: &str) -> Self {
        let fallback = serde_json::to_value(self).unwrap_or_default();
        let own = serde_json::from_str(own).unwrap_or_default();
        let (serde_json::Value::Object(mut all), serde_json::Value::Object(own)) = (fallback, own)
        else {
            return self;
        };
        all.extend(own);
        serde_json::from_value(all.into()).unwrap_or(self)
    }

    /// What of these limits differs from others, as JSON for the store: the rest follows the configuration.
    pub(crate) fn other_than(self, defaults: Self) -> String {
        let (own, defaults) = (serde_json::to_value(self), serde_json::to_value(defaults));
        let (Ok(serde_json::Value::Object(mut own)), Ok(defaults)) = (own, defaults) else {
            return "{}".into();
        };
        own.retain(|key, value| defaults.get(key) != Some(value));
        serde_json::Value::Object(own).to_string()
    }
}

/// How often the worker looks, in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// While the owner is expected to publish something.
    pub pending_seconds: u32,
    /// After a day of waiting in vain.
    pub patient_seconds: u32,
    /// When live.
    pub live_seconds: u32,
    /// A claimed domain that nobody proves is forgotten after this time.
    pub claim_expires_seconds: u32,
    /// A proof of ownership that is gone is warned about for this long, then the domain is suspended.
    pub proof_grace_seconds: u32,
    /// Domains looked at at the same time.
    pub parallel: usize,
    /// One look at one domain ends after this time; what was not seen by then is unknown.
    pub look_seconds: u32,
    /// First pause after a failed order; doubles up to a day, so one name never fails five times in an hour.
    pub order_pause_seconds: u32,
}

impl Pace {
    /// For the real world.
    pub fn real() -> Self {
        Self {
            pending_seconds: 20,
            patient_seconds: 600,
            live_seconds: 1800,
            claim_expires_seconds: 30 * 86_400,
            proof_grace_seconds: 14 * 86_400,
            parallel: 16,
            look_seconds: 20,
            order_pause_seconds: 900,
        }
    }

    /// For a world on loopback.
    pub fn sandbox() -> Self {
        Self {
            pending_seconds: 2,
            patient_seconds: 10,
            live_seconds: 30,
            order_pause_seconds: 5,
            look_seconds: 10,
            ..Self::real()
        }
    }
}

impl PlatformSettings {
    /// Labels of the services that a domain may have.
    pub(crate) fn service_labels(&self) -> impl Iterator<Item = &str> {
        self.service_names
            .iter()
            .map(|service| service.label.as_str())
    }
}

/// A service beside the domain itself that may be hosted under it (S2S-10, ACME-01).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceName {
    /// Left-most label: `rooms`.
    pub label: String,
    /// What it is, in a few words: `group chats`.
    pub purpose: String,
    /// Do peers on other servers reach it (needs `_xmpp-server` records of its own)?
    pub federated: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_10_a_tenant_s_own_limits_stand_before_the_configuration_s() {
        let defaults = Limits::default();
        assert_eq!(defaults.with("{}"), defaults);
        assert_eq!(defaults.with("what"), defaults);
        assert_eq!(defaults.with(r#"{"sessions":"x"}"#), defaults);
        let own = defaults.with(r#"{"sessions":7,"retired":1}"#);
        assert_eq!(own.sessions, 7);
        assert_eq!(own.domains, defaults.domains);
        assert_eq!(own.other_than(defaults), r#"{"sessions":7}"#);
    }
}
