//! Where a domain is served, and how surely it said so (RFC 6120 3.2, RFC 2782, XEP-0368).
//!
//! Takes the answers for `_xmpp-server` and `_xmpps-server` and makes the order in which targets are tried. Refuses:
//! going on when the DNS was tampered with (DANE-21), and falling back to the domain's own addresses when its owner has
//! said anything at all about where it is served (S2S-01, -04, -06).

use xmpp::jid::DomainName;

use crate::lookup::{Answer, Outcome, RecordData, RecordType, Security};
use crate::{Lookup, Service};

/// Port of server streams where no SRV record says otherwise (RFC 6120 3.2.2).
pub const SERVER_PORT: u16 = 5269;
/// Port of client streams where no SRV record says otherwise.
pub const CLIENT_PORT: u16 = 5222;
/// Most targets that are tried.
const TARGETS: usize = 16;

/// A place to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Host, A-labels without a final dot; an IP literal without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS from the first byte (XEP-0368), as opposed to STARTTLS (TLS-32).
    pub direct: bool,
    /// SRV priority; equals may be raced, others not (S2S-11).
    pub priority: u16,
    /// How surely the DNS says that the domain is served here. Only `Secure` lets the host's name stand for the domain
    /// (DANE-29, DNA-27).
    pub security: Security,
    /// An SRV record names it. Otherwise it is the domain itself, for want of records, and DANE does not apply (DANE-22).
    pub delegated: bool,
}

/// What the DNS said about one service label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Records.
    At(Vec<Srv>),
    /// A lone record with target `.`: decidedly not offered.
    Not,
    /// No records.
    Unsaid,
    /// Could not be asked; why.
    Failed(String),
    /// Tampered with.
    Bogus,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower first.
    pub priority: u16,
    /// Share among equals.
    pub weight: u16,
    /// Port.
    pub port: u16,
    /// Host, A-labels, no final dot.
    pub target: String,
}

/// What the DNS said about where a domain is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// The domain.
    pub domain: DomainName,
    /// `_xmpp-server._tcp` (or `-client`).
    pub starttls: Offer,
    /// How surely.
    pub starttls_security: Security,
    /// `_xmpps-server._tcp`
    pub direct: Offer,
    /// How surely.
    pub direct_security: Security,
    /// Port where no record names one.
    pub fallback_port: u16,
    /// Seconds all of this may be believed.
    pub ttl_seconds: u32,
}

/// Why there is no place to connect to. In each case the stanza bounces with `remote-server-not-found` (ROUTE-05).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nowhere {
    /// The owner says so.
    #[error("{0} says in its DNS that it offers no such service (SRV target \".\")")]
    NotOffered(DomainName),
    /// The DNS could not be asked.
    #[error("the DNS could not say where {0} is served: {1}")]
    Failed(DomainName, String),
    /// The DNS was tampered with.
    #[error("what the DNS says about {0} is wrongly signed")]
    Bogus(DomainName),
}

impl Nowhere {
    /// Stable code for the record of attempts. A wrong signature has the code that the judge gives it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotOffered(_) => "dns-nowhere",
            Self::Failed(..) => "dns-unanswered",
            Self::Bogus(_) => "delegation-bogus",
        }
    }
}

impl Offer {
    fn read(answer: &Answer) -> Self {
        if answer.security == Security::Bogus {
            return Self::Bogus;
        }
        let records = match &answer.outcome {
            Outcome::Found(records) => records,
            Outcome::NoRecords { .. } => return Self::Unsaid,
            Outcome::Failed(why) => return Self::Failed(why.clone()),
        };
        let mut found: Vec<_> = records
            .iter()
            .filter_map(|record| match &record.data {
                RecordData::Srv {
                    priority,
                    weight,
                    port,
                    target,
                } => Some(Srv {
                    priority: *priority,
                    weight: *weight,
                    port: *port,
                    target: plain(target),
                }),
                _ => None,
            })
            .collect();
        if found.is_empty() {
            return Self::Unsaid;
        }
        // Only a lone "." says no; beside others it is merely nonsense.
        found.retain(|srv| !srv.target.is_empty());
        if found.is_empty() {
            Self::Not
        } else {
            Self::At(found)
        }
    }
}

/// Lower case, without the final dot; the root becomes empty.
fn plain(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.to_ascii_lowercase()
}

/// Owner name of the SRV records of a service (RFC 6120 14.4, XEP-0368).
pub fn srv_name(domain: &DomainName, service: Service, direct: bool) -> String {
    let label = match (service, direct) {
        (Service::Server, false) => "_xmpp-server",
        (Service::Server, true) => "_xmpps-server",
        (Service::Client, false) => "_xmpp-client",
        (Service::Client, true) => "_xmpps-client",
    };
    format!("{label}._tcp.{}.", domain.to_ascii())
}

impl Delegation {
    /// From the two answers.
    pub fn read(domain: &DomainName, service: Service, starttls: &Answer, direct: &Answer) -> Self {
        Self {
            domain: domain.clone(),
            starttls: Offer::read(starttls),
            starttls_security: starttls.security,
            direct: Offer::read(direct),
            direct_security: direct.security,
            fallback_port: match service {
                Service::Server => SERVER_PORT,
                Service::Client => CLIENT_PORT,
            },
            ttl_seconds: starttls.ttl_seconds.min(direct.ttl_seconds),
        }
    }

    /// Asks the DNS, one question after the other: a resolver that answers the first has the second's zone at hand. An IP
    /// literal has no records and is served at itself.
    pub async fn look_up(lookup: &dyn Lookup, domain: &DomainName, service: Service) -> Self {
        if domain.is_ip() {
            let none = Answer {
                outcome: Outcome::NoRecords { nxdomain: true },
                security: Security::Insecure,
                ttl_seconds: u32::MAX,
                asked: String::new(),
                aliases: Vec::new(),
            };
            return Self::read(domain, service, &none, &none);
        }
        let starttls = lookup
            .query(&srv_name(domain, service, false), RecordType::Srv)
            .await;
        let direct = lookup
            .query(&srv_name(domain, service, true), RecordType::Srv)
            .await;
        Self::read(domain, service, &starttls, &direct)
    }

    /// The targets in the order in which to try them. `random(n)` gives a number from 0 to n inclusive.
    ///
    /// # Errors
    /// [`Nowhere`]
    pub fn targets(&self, random: &mut dyn FnMut(u32) -> u32) -> Result<Vec<Target>, Nowhere> {
        let domain = || self.domain.clone();
        if self.starttls == Offer::Bogus || self.direct == Offer::Bogus {
            return Err(Nowhere::Bogus(domain()));
        }
        let mut merged = Vec::new();
        let lists = [
            (&self.starttls, self.starttls_security, false),
            (&self.direct, self.direct_security, true),
        ];
        for (offer, security, direct) in lists {
            if let Offer::At(records) = offer {
                merged.extend(records.iter().map(|srv| (srv, security, direct)));
            }
        }
        if !merged.is_empty() {
            return Ok(order(merged, random));
        }
        match (&self.starttls, &self.direct) {
            (Offer::Failed(why), _) => Err(Nowhere::Failed(domain(), why.clone())),
            (Offer::Not, _) | (_, Offer::Not) => Err(Nowhere::NotOffered(domain())),
            // S2S-07. Whoever cannot be asked about direct TLS may still be reached as ever.
            _ => {
                let host = self.domain.to_ascii();
                let host = host
                    .strip_prefix('[')
                    .and_then(|host| host.strip_suffix(']'))
                    .unwrap_or(&host);
                Ok(vec![Target {
                    host: host.to_owned(),
                    port: self.fallback_port,
                    direct: false,
                    priority: 0,
                    security: self.starttls_security,
                    delegated: false,
                }])
            }
        }
    }
}

/// RFC 2782: by priority; inside one, weight-0 records first, then by running sums of weights (S2S-02). Both kinds of
/// records are one list (S2S-03).
fn order(mut left: Vec<(&Srv, Security, bool)>, random: &mut dyn FnMut(u32) -> u32) -> Vec<Target> {
    left.sort_by_key(|(srv, _, _)| (srv.priority, srv.weight != 0));
    let mut ordered = Vec::with_capacity(left.len());
    while let Some(priority) = left.first().map(|(srv, _, _)| srv.priority) {
        let group = left
            .iter()
            .take_while(|(srv, _, _)| srv.priority == priority)
            .count();
        let sum: u32 = left[..group]
            .iter()
            .map(|(srv, _, _)| u32::from(srv.weight))
            .sum();
        let drawn = random(sum).min(sum);
        let mut running = 0;
        let chosen = left[..group]
            .iter()
            .position(|(srv, _, _)| {
                running += u32::from(srv.weight);
                running >= drawn
            })
            .unwrap_or_default();
        let (srv, security, direct) = left.remove(chosen);
        ordered.push(Target {
            host: srv.target.clone(),
            port: srv.port,
            direct,
            priority,
            security,
            delegated: true,
        });
        if ordered.len() == TARGETS {
            break;
        }
    }
    ordered
}

#[cfg(test)]
mod tests;
