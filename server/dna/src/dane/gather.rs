//! Addresses and TLSA records of the targets of a delegation (RFC 7673 3.2, 3.3; RFC 7671 7).
//!
//! Asked in parallel where the delegation is secure, and believed together (DANE-44). Refuses: asking for TLSA records where
//! the delegation is not secure.

use std::net::IpAddr;

use xmpp::timestamp::Timestamp;

use super::{Association, Record, Tlsa};
use crate::lookup::{Answer, Lookup, Outcome, RecordData, RecordType, Security};
use crate::{Delegation, Target};

/// Most targets of a delegation whose TLSA records are asked for on behalf of a peer that called.
const TARGETS: usize = 4;

/// A target, looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// IPv6 addresses; none where the answer was wrongly signed.
    pub six: Vec<IpAddr>,
    /// IPv4 addresses.
    pub four: Vec<IpAddr>,
    /// How surely those are the host's.
    pub security: Security,
    /// Why there are none, or fewer than there might be.
    pub why: Option<String>,
    /// What is known of its TLSA records.
    pub association: Association,
    /// Seconds all of this may be believed.
    pub ttl_seconds: u32,
}

impl Endpoint {
    /// Whether signed records lead from the domain to the very address: that it is served at `target`, or that no record
    /// says so, and what addresses that has (XEP-0344).
    pub fn is_secure(&self, target: &Target) -> bool {
        target.security == Security::Secure && self.security == Security::Secure
    }
}

/// Owner name of the TLSA records of a host and port (DANE-01, DANE-02).
pub fn owner(host: &str, port: u16) -> String {
    format!("_{port}._tcp.{host}")
}

/// Looks up a target of a secure or insecure delegation: its addresses and, if both are secure, its TLSA records.
pub async fn endpoint(lookup: &dyn Lookup, target: &Target, now: Timestamp) -> Endpoint {
    let association = |host: &str, tlsa, ttl: u32| Association {
        owner: owner(host, target.port),
        host: host.to_owned(),
        tlsa,
        until: end(now, ttl),
    };
    if let Ok(address) = target.host.parse::<IpAddr>() {
        return Endpoint {
            six: vec![address],
            four: Vec::new(),
            security: Security::Unknown,
            why: None,
            association: association(&target.host, Tlsa::Off, u32::MAX),
            ttl_seconds: u32::MAX,
        };
    }
    let (six, four) = both(
        lookup.query(&target.host, RecordType::Aaaa),
        lookup.query(&target.host, RecordType::A),
    )
    .await;
    // Without a record at all there was no delegation that DANE could secure (DANE-22).
    let secured = target.security == Security::Secure && target.delegated;
    let found = || {
        [&six, &four]
            .into_iter()
            .filter(|answer| !answer.records().is_empty())
    };
    let security = found()
        .map(|answer| answer.security)
        .reduce(Security::and)
        .unwrap_or(Security::Unknown);
    let association = if secured && security == Security::Secure {
        let alias = found().find_map(|answer| answer.aliases.last());
        // DANE-43: first where the alias ends, then where it begins.
        let mut at = match alias {
            Some(end) => association_at(lookup, end, target.port, now).await,
            None => association(&target.host, Tlsa::Absent, u32::MAX),
        };
        if at.tlsa == Tlsa::Absent {
            at = association_at(lookup, &target.host, target.port, now).await;
        }
        at
    } else {
        association(&target.host, Tlsa::Off, u32::MAX)
    };
    let ttl_seconds = found().map(|answer| answer.ttl_seconds).min().unwrap_or(0);
    let own = association.until.since(now).as_secs();
    let ttl_seconds = ttl_seconds.min(u32::try_from(own).unwrap_or(u32::MAX));
    let why = [&four, &six].into_iter().find_map(trouble);
    Endpoint {
        six: safe(&six, secured),
        four: safe(&four, secured),
        security,
        why,
        association,
        ttl_seconds,
    }
}

/// The associations of a peer that called: one per target of its delegation, where that is secure (DANE-45).
pub async fn associations(
    lookup: &dyn Lookup,
    delegation: &Delegation,
    now: Timestamp,
) -> Vec<Association> {
    let mut found = Vec::new();
    // The order does not matter: any may match.
    let targets = delegation.targets(&mut |_| 0).unwrap_or_default();
    let secure = targets
        .iter()
        .filter(|target| target.security == Security::Secure && target.delegated);
    for target in secure.take(TARGETS) {
        let known = |known: &Association| known.owner == owner(&target.host, target.port);
        if !found.iter().any(known) {
            let mut one = association_at(lookup, &target.host, target.port, now).await;
            one.until = one.until.min(end(now, delegation.ttl_seconds));
            found.push(one);
        }
    }
    found
}

async fn association_at(lookup: &dyn Lookup, host: &str, port: u16, now: Timestamp) -> Association {
    let owner = owner(host, port);
    let answer = lookup.query(&owner, RecordType::Tlsa).await;
    let tlsa = match (&answer.outcome, answer.security) {
        (_, Security::Bogus) => Tlsa::Bogus,
        (Outcome::Failed(why), _) => Tlsa::Unknown(why.clone()),
        (Outcome::NoRecords { .. }, _) | (_, Security::Insecure) => Tlsa::Absent,
        (Outcome::Found(_), Security::Unknown) => {
            Tlsa::Unknown("its signatures could not be judged".into())
        }
        (Outcome::Found(records), Security::Secure) => {
            Tlsa::Secure(records.iter().filter_map(|r| read(&r.data)).collect())
        }
    };
    Association {
        owner,
        host: host.to_owned(),
        tlsa,
        until: end(now, answer.ttl_seconds),
    }
}

fn read(data: &RecordData) -> Option<Record> {
    match data {
        RecordData::Tlsa {
            usage,
            selector,
            matching,
            data,
        } => Some(Record {
            usage: *usage,
            selector: *selector,
            matching: *matching,
            data: data.clone(),
        }),
        _ => None,
    }
}

/// What is wrongly signed leads wherever somebody wants; behind a secure delegation so does what nobody could tell
/// (DANE-24).
fn safe(answer: &Answer, secured: bool) -> Vec<IpAddr> {
    match answer.security {
        Security::Bogus => Vec::new(),
        Security::Unknown if secured => Vec::new(),
        _ => answer.addresses().collect(),
    }
}

fn trouble(answer: &Answer) -> Option<String> {
    match (&answer.outcome, answer.security) {
        (_, Security::Bogus) => Some("its addresses are wrongly signed".into()),
        (Outcome::Failed(why), _) => Some(why.clone()),
        _ => None,
    }
}

pub(crate) fn end(now: Timestamp, ttl_seconds: u32) -> Timestamp {
    now.after(std::time::Duration::from_secs(ttl_seconds.into()))
}

/// Both at once, without a runtime.
async fn both<T>(one: impl Future<Output = T>, other: impl Future<Output = T>) -> (T, T) {
    let (mut one, mut other) = (std::pin::pin!(one), std::pin::pin!(other));
    let (mut first, mut second) = (None, None);
    std::future::poll_fn(|context| {
        use std::task::Poll;
        if first.is_none()
            && let Poll::Ready(value) = one.as_mut().poll(context)
        {
            first = Some(value);
        }
        if second.is_none()
            && let Poll::Ready(value) = other.as_mut().poll(context)
        {
            second = Some(value);
        }
        match (first.take(), second.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (one, other) => {
                (first, second) = (one, other);
                Poll::Pending
            }
        }
    })
    .await
}
