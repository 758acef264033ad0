//! What the world sees of any domain: where the DNS says it is served and how surely, who answers there, with what
//! encryption and certificate, what its website says of it, and who would accept it. The same judge as for real streams.
//!
//! [`dns`] asks where, [`streams`] knocks there, [`web`] reads the website, [`verdict`] judges and says what to do, [`paint`]
//! writes it down. Everything at once, and everything bounded: [`LONGEST`]. It asks, connects, and leaves again before it
//! would have to say who it is. It refuses to count what could not be asked as wrong: that is `unknown`.

mod codes;
mod dns;
mod hello;
pub mod paint;
mod streams;
mod verdict;
mod web;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use dna::{Anchors, Fetch, Lookup, Service};
use futures_util::future::join_all;
use serde::Serialize;
use xmpp::jid::DomainName;

pub use self::codes::{CODES, Code};
pub use self::dns::{Place, Srv, SrvAnswer};
pub use self::streams::{Accepts, Certificate, Offered, Trouble, Visit};
pub use self::verdict::{Finding, Grade, Holds, ProofVerdict};
pub use self::web::{Document, Website};

/// The whole examination takes no longer.
pub const LONGEST: Duration = Duration::from_secs(25);

/// What is looked with.
pub struct Eyes {
    /// The DNS, validated.
    pub lookup: Arc<dyn Lookup>,
    /// The web.
    pub fetch: Arc<dyn Fetch>,
    /// Whom we believe.
    pub anchors: Arc<Anchors>,
    /// Port of websites; 443 but in private worlds.
    pub web_port: u16,
    /// Private addresses are as good as others: the whole network is one.
    pub private: bool,
}

/// Everything that was seen of a domain.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Canonical spelling.
    pub domain: String,
    /// DNS spelling.
    pub ascii: String,
    /// Per service.
    pub services: Vec<ServiceReport>,
    /// Its website.
    pub website: Website,
    /// What to know and to do, worst first.
    pub findings: Vec<Finding>,
    /// How many of the findings are critical.
    pub critical: usize,
    /// The DNS answered nothing, so nothing is known.
    pub unexamined: bool,
}

/// One service of the domain.
#[derive(Debug, Clone, Serialize)]
pub struct ServiceReport {
    /// `client` or `server`.
    pub service: &'static str,
    /// Answers for STARTTLS and for direct TLS.
    pub srv: Vec<SrvAnswer>,
    /// No SRV record says where it is served; the domain's own addresses are tried (RFC 6120 3.2.2).
    pub fallback: bool,
    /// Why there is nowhere to go; empty when there is.
    pub nowhere: String,
    /// Where it is served, in the order of trying.
    pub targets: Vec<TargetReport>,
    /// What its website says about its certificates (POSH).
    pub posh: Document,
    /// Who would believe it: each prooftype over all places, best first.
    pub verdicts: Vec<ProofVerdict>,
}

/// One place.
#[derive(Debug, Clone, Serialize)]
pub struct TargetReport {
    /// Host, port, priority, addresses, TLSA.
    #[serde(flatten)]
    pub place: Place,
    /// What was met at each address.
    pub visits: Vec<Visit>,
}

/// Looks at a domain: `services`, and its website.
pub async fn look(domain: &DomainName, services: &[Service], eyes: &Eyes) -> Report {
    let looked = async {
        futures_util::join!(
            join_all(services.iter().map(|service| one(domain, *service, eyes))),
            web::website(domain, eyes)
        )
    };
    let (services, website) = Box::pin(looked).await;
    verdict::report(domain, services, website, eyes.private)
}

/// One service: where, then every place and the POSH document at once.
async fn one(domain: &DomainName, service: Service, eyes: &Eyes) -> ServiceReport {
    let now = crate::net::now();
    let (found, posh) = futures_util::join!(
        async {
            let found = dns::places(domain, service, &*eyes.lookup, now).await;
            let visits = found.places.iter().map(|place| async {
                let addresses = place.addresses.iter();
                join_all(addresses.map(|address| streams::visit(domain, service, place, *address)))
                    .await
            });
            let visits = join_all(visits).await;
            (found, visits)
        },
        dna::posh::look_up(&*eyes.fetch, domain, service, eyes.web_port, now)
    );
    let (found, visits) = found;
    let mut targets: Vec<_> = found
        .places
        .into_iter()
        .zip(visits)
        .map(|(place, visits)| TargetReport { place, visits })
        .collect();
    let verdicts = verdict::judge(domain, service, &mut targets, &posh, eyes, now);
    ServiceReport {
        service: word(service),
        srv: found.srv,
        fallback: found.fallback,
        nowhere: found.nowhere,
        targets,
        posh: web::posh(&posh),
        verdicts,
    }
}

/// `client` or `server`.
pub fn word(service: Service) -> &'static str {
    match service {
        Service::Client => "client",
        Service::Server => "server",
    }
}
