//! Who would accept us how (DNA-31): what phones, strict servers and older servers would conclude about a domain today.
//!
//! The judge is the one that we use on others ([`dna::judge`]), asked from the other side: they are `local`, we are `remote`.
//! It is shown what they would be shown: the certificate in use, and where the DNS leads.

use std::sync::Arc;

use dna::{Anchors, Claim, Evidence, Policy, PolicyLevel, PresentedChain, Role, Service};
use store::DomainRow;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::Control;
use crate::certificate::read;
use crate::domain::{Memory, Seen, VerdictView};
use crate::error::Result;
use crate::findings::standing;
use crate::observe::{PoshView, Rtype};
use crate::records::{DesiredRecord, DomainFacts, Purpose, Standing, desired};
use crate::settings::PlatformSettings;

/// What is shown to those who judge us.
struct Shown<'a> {
    chain: Option<Vec<Vec<u8>>>,
    anchors: &'a Arc<Anchors>,
    /// Does the DNS lead other servers here?
    led_here: Seen,
    target: &'a str,
    /// What we publish for those who look beyond certificates; only about the domain itself.
    publishing: bool,
    /// SRV, addresses and TLSA records of the host, as the validating resolver has them; `None`: unknown.
    tlsa: Option<Tlsa>,
    /// What the website says.
    posh: Option<&'a PoshView>,
    now: Timestamp,
}

/// What the DNS says of the host's certificate.
enum Tlsa {
    /// Something on the way is not signed; what.
    Insecure(String),
    /// Nothing is there.
    Absent,
    /// Signed records.
    Secure {
        owner: String,
        records: Vec<dna::dane::Record>,
    },
}

impl Control {
    /// The matrix of who × how, for the domain and every service that is switched on.
    pub(crate) async fn verdicts(
        &self,
        row: &DomainRow,
        memory: &Memory,
    ) -> Result<Vec<VerdictView>> {
        let held = self.domain_store(row).certificate_current().await?;
        let chain = held
            .and_then(|held| read(&held.chain_pem, &row.name))
            .map(|inspected| inspected.chain);
        let facts = self.facts_of(row, memory);
        let target = facts.target(self.settings());
        let wanted = desired(&facts, self.settings());
        let mut names = vec![(row.name.clone(), None)];
        // Nobody asks who speaks for a service that other servers do not reach.
        let federated = |label: &String| {
            let mut known = self.settings().service_names.iter();
            known.any(|service| service.federated && service.label == *label)
        };
        for label in facts
            .services
            .iter()
            .filter(|label| federated(label))
            .cloned()
        {
            if let Ok(name) = DomainName::parse(&format!("{label}.{}", row.name)) {
                names.push((name, Some(label)));
            }
        }
        let mut views = Vec::new();
        for (name, service) in names {
            let shown = Shown {
                chain: chain.clone(),
                anchors: &self.parts.anchors,
                led_here: led_here(&wanted, memory, service.as_deref()),
                target: &target,
                publishing: service.is_none() && (facts.dane || facts.posh),
                tlsa: tlsa(&facts, &wanted, memory, self.settings()),
                posh: memory
                    .seen
                    .as_ref()
                    .and_then(|seen| seen.posh.get(Service::Server.name())),
                now: self.now(),
            };
            views.extend(judge_all(&name, service.is_none(), &shown));
        }
        Ok(views)
    }
}

fn led_here(wanted: &[DesiredRecord], memory: &Memory, service: Option<&str>) -> Seen {
    let record = wanted
        .iter()
        .find(|record| record.purpose == Purpose::Server && record.service.as_deref() == service);
    match (record, &memory.seen) {
        (Some(record), Some(seen)) => match standing(record, seen) {
            Standing::Seen => Seen::Yes,
            Standing::Missing | Standing::Different => Seen::No,
            Standing::Unknown => Seen::Unknown,
        },
        _ => Seen::Unknown,
    }
}

fn tlsa(
    facts: &DomainFacts,
    wanted: &[DesiredRecord],
    memory: &Memory,
    settings: &PlatformSettings,
) -> Option<Tlsa> {
    let seen = memory.seen.as_ref()?;
    let target = facts.target(settings);
    let owner = dna::dane::owner(&target, settings.ports.server);
    if !facts.dane {
        return Some(Tlsa::Absent);
    }
    let srv = wanted
        .iter()
        .find(|record| record.purpose == Purpose::Server && record.service.is_none())?;
    let resolved = |rtype, name: &str| seen.set(rtype, name)?.resolver.as_ref();
    let delegation = resolved(Rtype::Srv, &srv.name)?;
    let host = seen.targets.get(&target)?;
    let records = resolved(Rtype::Tlsa, &owner)?;
    let steps = [
        (delegation.secure, "your SRV record is"),
        (host.secure, "our host's addresses are"),
        (records.secure, "our host's TLSA records are"),
    ];
    if let Some((_, what)) = steps.into_iter().find(|(secure, _)| !secure) {
        return Some(Tlsa::Insecure(format!("{what} not signed (DNSSEC)")));
    }
    let records: Vec<_> = records
        .sight
        .data()
        .iter()
        .filter_map(|data| dna::dane::Record::read(&data.to_string()))
        .collect();
    Some(if records.is_empty() {
        Tlsa::Absent
    } else {
        Tlsa::Secure { owner, records }
    })
}

fn judge_all(name: &DomainName, people: bool, shown: &Shown<'_>) -> Vec<VerdictView> {
    let mut views = Vec::new();
    let view = |who, prooftype, (accepted, why)| VerdictView {
        name: name.to_string(),
        who,
        prooftype,
        accepted,
        why,
    };
    if people {
        views.push(view(
            "phones and desktops",
            "pkix",
            by_certificate(name, Service::Client, shown),
        ));
    }
    views.push(view(
        "strict servers",
        "pkix",
        by_certificate(name, Service::Server, shown),
    ));
    if shown.publishing {
        views.push(view("servers with DANE", "dane", by_dane(name, shown)));
        views.push(view("servers with POSH", "posh", by_posh(name, shown)));
    } else {
        let instead = "so they look at the certificate instead";
        for (who, prooftype, what) in [
            (
                "servers with DANE",
                "dane",
                "TLSA record is published for the host",
            ),
            ("servers with POSH", "posh", "POSH document is published"),
        ] {
            views.push(view(
                who,
                prooftype,
                (Seen::No, format!("No {what}, {instead}.")),
            ));
        }
    }
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
    let Some(chain) = shown
        .chain
        .as_deref()
        .and_then(|chain| PresentedChain::new(chain, None))
    else {
        return (Seen::No, "There is no certificate yet.".into());
    };
    if shown.anchors.is_empty() {
        return (
            Seen::Unknown,
            "This server knows no certificate authorities to judge by.".into(),
        );
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

/// The verdict of a server that believes nothing but this.
fn strict(name: &DomainName, shown: &Shown<'_>, evidence: Evidence) -> (Seen, String) {
    let Some(chain) = shown
        .chain
        .as_deref()
        .and_then(|chain| PresentedChain::new(chain, None))
    else {
        return (Seen::No, "There is no certificate yet.".into());
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
    let no = |why: String| {
        (
            Seen::No,
            format!("{why}, so they look at the certificate instead."),
        )
    };
    match &shown.tlsa {
        None => (Seen::Unknown, "The records could not be looked up.".into()),
        Some(Tlsa::Absent) => no("No TLSA record is published for the host".into()),
        Some(Tlsa::Insecure(what)) => no(format!("It does not count: {what}")),
        Some(Tlsa::Secure { owner, records }) => {
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
    let Some(view) = shown.posh else {
        return (
            Seen::No,
            "No POSH document is published, so they look at the certificate instead.".into(),
        );
    };
    if view.unknown {
        return (
            Seen::Unknown,
            format!("Your website could not be asked: {}.", view.said),
        );
    }
    if !view.code.is_empty() {
        return (
            Seen::No,
            format!(
                "It cannot be used ({}), so they look at the certificate instead.",
                view.said
            ),
        );
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
                "The DNS leads them to {}, which answers for the domain.",
                shown.target
            ),
        ),
        None => (Seen::No, verdict.summary()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::certificate;
    use crate::time::DAY;

    fn rows(names: &[&str], known: bool, led_here: Seen) -> Vec<(&'static str, Seen)> {
        let name = DomainName::parse("example.com").unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let pem = certificate(&names, 0, 90 * DAY, &key);
        let chain = (!names.is_empty()).then(|| read(&pem, &name).unwrap().chain);
        let root = pem.rfind("-----BEGIN").unwrap();
        let anchors = if known {
            Anchors::from_pem(&pem.as_bytes()[root..]).unwrap()
        } else {
            Anchors::default()
        };
        let anchors = &Arc::new(anchors);
        let shown = Shown {
            chain,
            anchors,
            led_here,
            target: "d.on.hosting.example",
            publishing: false,
            tlsa: None,
            posh: None,
            now: Timestamp(DAY),
        };
        judge_all(&name, true, &shown)
            .into_iter()
            .map(|view| (view.who, view.accepted))
            .filter(|(who, _)| !who.contains("with"))
            .collect()
    }

    #[test]
    fn dna_31_who_accepts_us_how() {
        let all = |client, server, older| {
            vec![
                ("phones and desktops", client),
                ("strict servers", server),
                ("older servers", older),
            ]
        };
        assert_eq!(
            rows(&["example.com"], true, Seen::Yes),
            all(Seen::Yes, Seen::Yes, Seen::Yes)
        );
        assert_eq!(
            rows(&["example.com"], false, Seen::Yes),
            all(Seen::Unknown, Seen::Unknown, Seen::Yes)
        );
        assert_eq!(
            rows(&["example.net"], true, Seen::No),
            all(Seen::No, Seen::No, Seen::No)
        );
        assert_eq!(
            rows(&[], true, Seen::Unknown),
            all(Seen::No, Seen::No, Seen::Unknown)
        );
    }
}
