//! Who would accept us how (DNA-31): what phones, strict servers and older servers would conclude about a domain and each of its
//!services, as things stand today and as they would in another mode.
//!
//! The judge is the one that we use on others ([`dna::judge`]), asked from the other side: they are `local`, we are `remote`.
//! It is shown what they would be shown: the certificate in use, and where the DNS leads. What is foreseen ([`foreseen`]) takes
//! what a mode wants of the owner as published, and nothing else: a zone that is not signed stays unsigned.

mod foreseen;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dna::{Anchors, Claim, Evidence, Policy, PolicyLevel, PresentedChain, Role, Service};
use store::DomainRow;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

pub use self::foreseen::{Foreseen, VerdictsAsk, foreseen};
use crate::Control;
use crate::certificate::read;
use crate::domain::{Believed, Seen, VerdictView};
use crate::error::Result;
use crate::findings::{holds, standing};
use crate::observe::{Observation, PoshView, Rtype, Sight};
use crate::records::{DesiredRecord, DomainFacts, Purpose, Standing, desired};
use crate::settings::PlatformSettings;

/// Who signs in.
pub(crate) const PEOPLE: &str = "phones and desktops";

/// What the verdicts on a domain depend on.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    /// The domain, in its mode.
    pub facts: &'a DomainFacts,
    /// The last look; `None`: nobody has looked yet.
    pub seen: Option<&'a Observation>,
    /// Certificates of the identity in use, DER, the leaf first.
    pub chain: Option<&'a [Vec<u8>]>,
    /// Authorities that everybody knows.
    pub anchors: &'a Arc<Anchors>,
    /// The platform.
    pub settings: &'a PlatformSettings,
    /// The time.
    pub now: Timestamp,
}

/// A name whose verdicts are asked for: the domain's own, or that of a service (its label), which other servers reach.
struct Named {
    name: DomainName,
    service: Option<String>,
}

/// What is shown to those who judge one name.
struct Shown<'a> {
    certificate: Certificate<'a>,
    anchors: &'a Arc<Anchors>,
    /// Does the DNS lead other servers here?
    led_here: Seen,
    target: &'a str,
    tlsa: Tlsa,
    posh: Posh<'a>,
    now: Timestamp,
}

/// The certificate at the door.
enum Certificate<'a> {
    /// None yet.
    Missing,
    /// This one.
    Held(&'a [Vec<u8>]),
    /// What it would say of the name.
    Foreseen(Seen, String),
}

/// What the DNS says of the host's certificate.
enum Tlsa {
    /// Not all of the way could be looked up.
    Unknown,
    /// It says nothing that counts; why.
    No(String),
    /// Signed records.
    Secure {
        owner: String,
        records: Vec<dna::dane::Record>,
    },
    /// What it would say.
    Foreseen(Seen, String),
}

/// What the website says of the certificate.
enum Posh<'a> {
    /// Nothing is published for the name; why.
    No(&'static str),
    /// It has not been asked.
    Unasked,
    /// This.
    Seen(&'a PoshView),
    /// What it would say.
    Foreseen(String),
}

impl Control {
    /// The matrix of who × how as things stand, for the domain and every service that other servers reach.
    pub(crate) async fn verdicts(
        &self,
        row: &DomainRow,
        facts: &DomainFacts,
        seen: Option<&Observation>,
    ) -> Result<Vec<VerdictView>> {
        let held = self.domain_store(row).certificate_current().await?;
        let chain = held
            .and_then(|held| read(&held.chain_pem, &row.name))
            .map(|inspected| inspected.chain);
        Ok(verdicts(&Case {
            facts,
            seen,
            chain: chain.as_deref(),
            anchors: &self.parts.anchors,
            settings: self.settings(),
            now: self.now(),
        }))
    }
}

/// Who would accept the domain and each of its services today.
pub fn verdicts(case: &Case<'_>) -> Vec<VerdictView> {
    let target = case.facts.target(case.settings);
    let wanted = desired(case.facts, case.settings);
    let mut views = Vec::new();
    for named in names(case) {
        let srv = server_record(&wanted, named.service.as_deref());
        let shown = Shown {
            certificate: match case.chain {
                Some(chain) => Certificate::Held(chain),
                None => Certificate::Missing,
            },
            anchors: case.anchors,
            led_here: led_here(srv, case.seen),
            target: &target,
            tlsa: tlsa(case, srv, &target),
            posh: posh(case, &named),
            now: case.now,
        };
        views.extend(judge_all(&named.name, named.service.is_none(), &shown));
    }
    views
}

/// Is it a verdict of other servers, by a proof? Asking back (dialback) is none, and people are no servers.
pub(crate) fn is_proof(verdict: &VerdictView) -> bool {
    verdict.who != PEOPLE && verdict.prooftype != "dialback"
}

impl Believed {
    /// What the verdicts on a domain say of its own name.
    pub(crate) fn of(name: &DomainName, verdicts: &[VerdictView]) -> Self {
        let of_it = || {
            verdicts
                .iter()
                .filter(|verdict| *name == verdict.name.as_str())
        };
        let people = of_it().find(|verdict| verdict.who == PEOPLE);
        let mut by: Vec<String> = Vec::new();
        for verdict in of_it().filter(|verdict| is_proof(verdict)) {
            if verdict.accepted == Seen::Yes && !by.iter().any(|word| word == verdict.prooftype) {
                by.push(verdict.prooftype.to_owned());
            }
        }
        Self {
            people: people.map_or(Seen::Unknown, |verdict| verdict.accepted),
            by,
            is_open: of_it().any(|verdict| is_proof(verdict) && verdict.accepted == Seen::Unknown),
        }
    }
}

/// The domain, and every service and component under it that other servers reach: nobody asks who speaks for the rest.
fn names(case: &Case<'_>) -> Vec<Named> {
    let known = case.settings.service_names.iter();
    let services = known
        .filter(|service| service.federated && case.facts.services.contains(&service.label))
        .map(|service| &service.label)
        .chain(&case.facts.components)
        .filter_map(|label| {
            Some(Named {
                name: DomainName::parse(&format!("{label}.{}", case.facts.name)).ok()?,
                service: Some(label.clone()),
            })
        });
    let own = Named {
        name: case.facts.name.clone(),
        service: None,
    };
    std::iter::once(own).chain(services).collect()
}

/// The record by which other servers find a name.
fn server_record<'a>(
    wanted: &'a [DesiredRecord],
    service: Option<&str>,
) -> Option<&'a DesiredRecord> {
    wanted
        .iter()
        .find(|record| record.purpose == Purpose::Server && record.service.as_deref() == service)
}

fn led_here(record: Option<&DesiredRecord>, seen: Option<&Observation>) -> Seen {
    match (record, seen) {
        (Some(record), Some(seen)) => match standing(record, seen) {
            Standing::Seen => Seen::Yes,
            Standing::Missing | Standing::Different => Seen::No,
            Standing::Unknown => Seen::Unknown,
        },
        _ => Seen::Unknown,
    }
}

/// What servers that look for TLSA records find, on the way that starts at the name's own SRV record (RFC 7673 3.1).
fn tlsa(case: &Case<'_>, srv: Option<&DesiredRecord>, target: &str) -> Tlsa {
    let Some(seen) = case.seen else {
        return Tlsa::Unknown;
    };
    if !case.facts.dane {
        return Tlsa::No("No TLSA record is published for the host".into());
    }
    let Some(srv) = srv else {
        return Tlsa::Unknown;
    };
    let owner = dna::dane::owner(target, case.settings.ports.server);
    let resolved = |rtype, name: &str| seen.set(rtype, name)?.resolver.as_ref();
    // Each step as the validating resolver has it; what it could not ask is not known to be unsigned.
    let Some(delegation) = resolved(Rtype::Srv, &srv.name) else {
        return Tlsa::Unknown;
    };
    match &delegation.sight {
        Sight::Failed(_) => return Tlsa::Unknown,
        Sight::Bogus => {
            return Tlsa::No("The signatures of its SRV record do not validate (DNSSEC)".into());
        }
        sight if !holds(srv, sight) => {
            let name = srv.name.trim_end_matches('.');
            return Tlsa::No(format!("The SRV record {name} does not lead to {target}"));
        }
        _ if !delegation.secure => {
            return Tlsa::No("It does not count: your SRV record is not signed (DNSSEC)".into());
        }
        _ => {}
    }
    match seen.targets.get(target) {
        None => return Tlsa::Unknown,
        Some(host) if host.resolves == Seen::Unknown => return Tlsa::Unknown,
        Some(host) if !host.secure => {
            let why = "It does not count: our host's addresses are not signed (DNSSEC)";
            return Tlsa::No(why.into());
        }
        Some(_) => {}
    }
    let Some(answered) = resolved(Rtype::Tlsa, &owner) else {
        return Tlsa::Unknown;
    };
    match &answered.sight {
        Sight::Failed(_) => return Tlsa::Unknown,
        Sight::Bogus => {
            let why = "The signatures of our host's TLSA records do not validate (DNSSEC)";
            return Tlsa::No(why.into());
        }
        _ => {}
    }
    let data = answered.sight.data().iter();
    let records: Vec<_> = data
        .filter_map(|data| dna::dane::Record::read(&data.to_string()))
        .collect();
    if records.is_empty() {
        Tlsa::No("No TLSA record is there for the host".into())
    } else if answered.secure {
        Tlsa::Secure { owner, records }
    } else {
        Tlsa::No("It does not count: our host's TLSA records are not signed (DNSSEC)".into())
    }
}

/// Documents are published for the domain and no name below it: whoever asks for `rooms.example.com` would ask a website of
/// that name (RFC 7711 3).
const FOR_THE_DOMAIN_ONLY: &str = "POSH documents are only published for the domain itself";
const NO_DOCUMENT: &str = "No POSH document is published";

fn posh<'a>(case: &Case<'a>, named: &Named) -> Posh<'a> {
    match (case.facts.posh, &named.service, case.seen) {
        (false, ..) => Posh::No(NO_DOCUMENT),
        (true, Some(_), _) => Posh::No(FOR_THE_DOMAIN_ONLY),
        (true, None, Some(seen)) => match seen.posh.get(Service::Server.name()) {
            Some(view) => Posh::Seen(view),
            None => Posh::Unasked,
        },
        (true, None, None) => Posh::Unasked,
    }
}

fn judge_all(name: &DomainName, people: bool, shown: &Shown<'_>) -> Vec<VerdictView> {
    let view = |who, prooftype, (accepted, why)| VerdictView {
        name: name.to_string(),
        who,
        prooftype,
        accepted,
        why,
    };
    let mut views = Vec::new();
    if people {
        let verdict = by_certificate(name, Service::Client, shown);
        views.push(view(PEOPLE, "pkix", verdict));
    }
    let verdict = by_certificate(name, Service::Server, shown);
    views.push(view("strict servers", "pkix", verdict));
    views.push(view("servers with DANE", "dane", by_dane(name, shown)));
    views.push(view("servers with POSH", "posh", by_posh(name, shown)));
    views.push(view("older servers", "dialback", by_dialback(name, shown)));
    views
}

fn claim(name: &DomainName, service: Service) -> Claim {
    // Whoever asks: the verdict on a certificate does not depend on their name.
    Claim {
        local: name.clone(),
        remote: name.clone(),
        role: Role::Initiator,
        service,
    }
}

fn by_certificate(name: &DomainName, service: Service, shown: &Shown<'_>) -> (Seen, String) {
    // Whatever the certificate says: there is nobody to believe.
    let nobody = shown.anchors.is_empty();
    let chain = match &shown.certificate {
        Certificate::Foreseen(Seen::Yes, _) if nobody => return no_authorities(),
        Certificate::Foreseen(accepted, why) => return (*accepted, why.clone()),
        Certificate::Missing => None,
        Certificate::Held(chain) => PresentedChain::new(chain, None),
    };
    let Some(chain) = chain else {
        return (Seen::No, NO_CERTIFICATE.into());
    };
    if nobody {
        return no_authorities();
    }
    let evidence = Evidence {
        tls: true,
        chain: Some(chain),
        ..Evidence::none(shown.anchors.clone())
    };
    let policy = Policy {
        level: PolicyLevel::Authenticated,
        ..Policy::default()
    };
    let verdict = dna::judge(&claim(name, service), &evidence, &policy, shown.now);
    match verdict.proven() {
        Some(proven) => (
            Seen::Yes,
            format!("The certificate holds {}.", proven.identifier()),
        ),
        None => (Seen::No, verdict.summary()),
    }
}

const NO_CERTIFICATE: &str = "There is no certificate yet.";

fn no_authorities() -> (Seen, String) {
    let why = "This server knows no certificate authorities to judge by.";
    (Seen::Unknown, why.into())
}

/// What makes them fall back on the certificate.
fn instead(why: &str) -> (Seen, String) {
    let why = format!("{why}, so they look at the certificate instead.");
    (Seen::No, why)
}

/// The verdict of a server that believes nothing but this.
fn strict(name: &DomainName, shown: &Shown<'_>, evidence: Evidence) -> (Seen, String) {
    let chain = match shown.certificate {
        Certificate::Held(chain) => PresentedChain::new(chain, None),
        Certificate::Missing | Certificate::Foreseen(..) => None,
    };
    let Some(chain) = chain else {
        return (Seen::No, NO_CERTIFICATE.into());
    };
    let evidence = Evidence {
        tls: true,
        chain: Some(chain),
        ..evidence
    };
    let policy = Policy {
        level: PolicyLevel::Authenticated,
        ..Policy::default()
    };
    let verdict = dna::judge(&claim(name, Service::Server), &evidence, &policy, shown.now);
    match verdict.proven() {
        Some(proven) => (Seen::Yes, format!("It fits {}.", proven.identifier())),
        None => (Seen::No, verdict.summary()),
    }
}

fn by_dane(name: &DomainName, shown: &Shown<'_>) -> (Seen, String) {
    match &shown.tlsa {
        Tlsa::Unknown => (Seen::Unknown, "The records could not be looked up.".into()),
        Tlsa::No(why) => instead(why),
        Tlsa::Foreseen(Seen::No, why) => instead(why),
        Tlsa::Foreseen(accepted, why) => (*accepted, why.clone()),
        Tlsa::Secure { owner, records } => {
            let association = dna::dane::Association {
                owner: owner.clone(),
                host: shown.target.to_owned(),
                tlsa: dna::dane::Tlsa::Secure(records.clone()),
                until: Timestamp(i64::MAX),
            };
            let evidence = Evidence {
                tlsa: Some(dna::dane::Evidence {
                    associations: vec![association],
                    pkix_ta: false,
                }),
                // They would believe nothing else: no authority is known to them.
                ..Evidence::none(Arc::new(Anchors::default()))
            };
            strict(name, shown, evidence)
        }
    }
}

fn by_posh(name: &DomainName, shown: &Shown<'_>) -> (Seen, String) {
    let view = match &shown.posh {
        Posh::No(why) => return instead(why),
        Posh::Unasked => return (Seen::Unknown, "Your website has not been asked yet.".into()),
        Posh::Foreseen(why) => return (Seen::Yes, why.clone()),
        Posh::Seen(view) => view,
    };
    if view.unknown {
        return (
            Seen::Unknown,
            format!("Your website could not be asked: {}.", view.said),
        );
    }
    if !view.code.is_empty() {
        return instead(&format!("It cannot be used ({})", view.said));
    }
    let list = view
        .listed
        .iter()
        .filter_map(|entry| dna::posh::Descriptor::read(entry))
        .collect();
    let evidence = Evidence {
        posh: Some(dna::posh::Evidence {
            material: dna::posh::Material::Fingerprints(list),
            source: view.source.clone(),
            until: Timestamp(i64::MAX),
        }),
        ..Evidence::none(Arc::new(Anchors::default()))
    };
    strict(name, shown, evidence)
}

fn by_dialback(name: &DomainName, shown: &Shown<'_>) -> (Seen, String) {
    match shown.led_here {
        Seen::Unknown => {
            return (
                Seen::Unknown,
                "The SRV record could not be looked up.".into(),
            );
        }
        Seen::No => {
            return (
                Seen::No,
                format!(
                    "The SRV record of {name} does not lead to {}.",
                    shown.target
                ),
            );
        }
        Seen::Yes => {}
    }
    let delegated = dna::dialback::Evidence::Delegated {
        to: shown.target.to_owned(),
        dnssec: false,
        at: shown.now,
    };
    let evidence = Evidence {
        tls: true,
        dialback: Some(delegated),
        ..Evidence::none(shown.anchors.clone())
    };
    let verdict = dna::judge(
        &claim(name, Service::Server),
        &evidence,
        &Policy::default(),
        shown.now,
    );
    match verdict.proven() {
        Some(_) => (
            Seen::Yes,
            format!(
                "The DNS leads them to {}, which answers for {name}.",
                shown.target
            ),
        ),
        None => (Seen::No, verdict.summary()),
    }
}
