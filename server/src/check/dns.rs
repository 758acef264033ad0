//! Where a domain is served, and how surely the DNS says so: SRV for STARTTLS and direct TLS, addresses, TLSA.
//!
//! Refuses: more places and addresses than a handful; a stranger's zone decides how many there are.

use std::net::IpAddr;

use dna::delegation::{Nowhere, Offer};
use dna::{Delegation, Lookup, Security, Service, Target};
use futures_util::future::join_all;
use serde::Serialize;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

/// Places of one service that are looked at.
const PLACES: usize = 8;
/// Addresses of one family and place that are visited.
const ADDRESSES: usize = 2;

/// What the DNS said about one service label.
#[derive(Debug, Clone, Serialize)]
pub struct SrvAnswer {
    /// `_xmpp-client._tcp.example.com`.
    pub name: String,
    /// TLS from the first byte (XEP-0368).
    pub direct: bool,
    /// `found`, `none`, `refused` (target "."), `unknown`, `bogus`.
    pub answer: &'static str,
    /// `secure`, `insecure`, `bogus`, `unknown`: the DNSSEC chain of this answer.
    pub dnssec: &'static str,
    /// Why it could not be asked; empty otherwise.
    pub why: String,
    /// The records.
    pub records: Vec<Srv>,
}

/// A record.
#[derive(Debug, Clone, Serialize)]
pub struct Srv {
    /// Lower first.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Host.
    pub target: String,
}

/// A place where a service is said to be.
#[derive(Debug, Clone, Serialize)]
pub struct Place {
    /// Host.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS from the first byte.
    pub direct: bool,
    /// SRV priority.
    pub priority: u16,
    /// How surely the DNS says so.
    pub dnssec: &'static str,
    /// Addresses that are visited, IPv6 first.
    pub addresses: Vec<IpAddr>,
    /// It has an IPv6 address.
    pub ipv6: bool,
    /// Why there are no addresses, or fewer than there might be.
    pub why: String,
    /// Where its TLSA records are, or would be.
    pub tlsa_name: String,
    /// `off` (the DNS is not signed up to here), `absent`, `secure`, `bogus`, `unknown`.
    pub tlsa: &'static str,
    /// The records, as `3 1 1 AB…`.
    pub tlsa_records: Vec<String>,
    #[serde(skip)]
    pub(super) target: Target,
    #[serde(skip)]
    pub(super) association: dna::dane::Association,
}

/// All of it.
pub(super) struct Found {
    pub(super) srv: Vec<SrvAnswer>,
    pub(super) fallback: bool,
    pub(super) nowhere: String,
    pub(super) places: Vec<Place>,
}

pub(super) async fn places(
    domain: &DomainName,
    service: Service,
    lookup: &dyn Lookup,
    now: Timestamp,
) -> Found {
    let delegation = Delegation::look_up(lookup, domain, service).await;
    let answer = |direct: bool| {
        let (offer, security) = if direct {
            (&delegation.direct, delegation.direct_security)
        } else {
            (&delegation.starttls, delegation.starttls_security)
        };
        srv(domain, service, direct, offer, security)
    };
    let srv = vec![answer(false), answer(true)];
    let fallback = srv.iter().all(|answer| answer.answer == "none");
    let targets = delegation.targets(&mut |n| rand::random_range(0..=n));
    let nowhere = match &targets {
        Ok(_) => String::new(),
        Err(Nowhere::NotOffered(_)) => "not offered".to_owned(),
        Err(nowhere) => nowhere.to_string(),
    };
    let places = targets.unwrap_or_default();
    let places = join_all(
        places
            .into_iter()
            .take(PLACES)
            .map(|target| place(target, lookup, now)),
    );
    Found {
        srv,
        fallback,
        nowhere,
        places: places.await,
    }
}

fn srv(
    domain: &DomainName,
    service: Service,
    direct: bool,
    offer: &Offer,
    security: Security,
) -> SrvAnswer {
    let name = dna::delegation::srv_name(domain, service, direct);
    let (answer, why) = match offer {
        Offer::At(_) => ("found", String::new()),
        Offer::Not => ("refused", String::new()),
        Offer::Unsaid => ("none", String::new()),
        Offer::Failed(why) => ("unknown", why.clone()),
        Offer::Bogus => ("bogus", "its signatures do not validate".to_owned()),
    };
    let records = match offer {
        Offer::At(records) => records
            .iter()
            .map(|srv| Srv {
                priority: srv.priority,
                weight: srv.weight,
                port: srv.port,
                target: srv.target.clone(),
            })
            .collect(),
        _ => Vec::new(),
    };
    SrvAnswer {
        name: name.trim_end_matches('.').to_owned(),
        direct,
        answer,
        dnssec: security.name(),
        why,
        records,
    }
}

async fn place(target: Target, lookup: &dyn Lookup, now: Timestamp) -> Place {
    let endpoint = dna::dane::endpoint(lookup, &target, now).await;
    let association = endpoint.association;
    let tlsa_records = match &association.tlsa {
        dna::dane::Tlsa::Secure(records) => records
            .iter()
            .map(|record| format!("{record} {}", hex(&record.data)))
            .collect(),
        _ => Vec::new(),
    };
    let six = endpoint.six.iter().take(ADDRESSES);
    Place {
        host: target.host.clone(),
        port: target.port,
        direct: target.direct,
        priority: target.priority,
        dnssec: target.security.name(),
        ipv6: !endpoint.six.is_empty(),
        addresses: six
            .chain(endpoint.four.iter().take(ADDRESSES))
            .copied()
            .collect(),
        why: endpoint.why.unwrap_or_default(),
        tlsa_name: association.owner.clone(),
        tlsa: association.tlsa.name(),
        tlsa_records,
        target,
        association,
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
