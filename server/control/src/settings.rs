//! What the operator of the platform has decided once, handed in by `main.rs`: names, addresses, ports, pace and limits.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

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
    /// Accept private and loopback addresses as targets: only where the whole internet is on loopback.
    pub private_addresses: bool,
    /// May customers sign up by themselves?
    pub sign_up: bool,
    /// Limits of a new tenant.
    pub limits: Limits,
    /// How often the worker looks.
    pub pace: Pace,
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
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            domains: 20,
            accounts: 10_000,
        }
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
