//! What stands before an order: nothing is spent at an authority that the DNS already forbids (ACME-09).
//!
//! Judged on what has just been seen: the record that leads the authority to our answer, at every name server of the owner;
//! DNSSEC; the CAA set that decides. A name that fails is left out with its reason; only the domain's own name is needed.

use std::collections::BTreeMap;

use store::DomainRow;
use xmpp::jid::DomainName;

use crate::findings::{caa_allows, caa_line, standing};
use crate::observe::{Observation, Rtype, SetView};
use crate::outside::{IssuerInfo, Method};
use crate::records::{DesiredRecord, Purpose, Standing};

/// What may be ordered from one authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Preflight {
    /// Names that pass, the domain first; empty when the domain itself does not.
    pub names: Vec<DomainName>,
    /// How those are proven that are not proven by dns-01.
    pub methods: BTreeMap<DomainName, Method>,
    /// Names that do not pass, with the reason for people.
    pub blocked: Vec<(DomainName, String)>,
}

/// Looks through the challenge records of a domain.
pub(super) fn preflight(
    row: &DomainRow,
    desired: &[DesiredRecord],
    seen: &Observation,
    issuer: &IssuerInfo,
    left_out: &[String],
) -> Preflight {
    let mut found = Preflight::default();
    let mut own = false;
    for record in desired
        .iter()
        .filter(|record| record.purpose == Purpose::Challenge)
    {
        let name = match &record.service {
            None => Ok(row.name.clone()),
            Some(label) => DomainName::parse(&format!("{label}.{}", row.name)),
        };
        let Ok(name) = name else { continue };
        let why = obstacle(record, &name, seen, issuer).or_else(|| {
            left_out.iter().any(|out| *out == name.as_str()).then(|| {
                "the certificate authority refused it lately; it is tried again in a day".into()
            })
        });
        match (why, &record.service) {
            (Some(why), _) => found.blocked.push((name, why)),
            (None, None) => {
                own = true;
                found.names.insert(0, name);
            }
            (None, Some(_)) => found.names.push(name),
        }
    }
    if !own {
        found.names.clear();
        found.methods.clear();
    }
    found
}

/// What would make the authority refuse this name, as far as the DNS shows.
fn obstacle(
    record: &DesiredRecord,
    name: &DomainName,
    seen: &Observation,
    issuer: &IssuerInfo,
) -> Option<String> {
    let at = record.name.trim_end_matches('.');
    let view = seen.set(Rtype::Cname, at);
    if view.is_some_and(SetView::is_bogus) {
        return Some(format!("the DNSSEC signatures of {at} do not validate"));
    }
    match standing(record, seen) {
        Standing::Seen => {}
        Standing::Missing => return Some(format!("{at} is not there")),
        Standing::Different => return Some(format!("{at} does not lead to us everywhere")),
        Standing::Unknown => return Some(format!("{at} could not be looked up")),
    }
    let caa = seen.caa.get(name.to_ascii().as_ref())?;
    if let Some(why) = &caa.failed {
        return Some(format!(
            "the CAA records of {} could not be looked up: {why}",
            caa.owner
        ));
    }
    (!caa_allows(caa, issuer, Method::Dns)).then(|| {
        format!(
            "the CAA records of {} do not allow {}; add {}. CAA {}",
            caa.owner,
            issuer.name,
            caa.owner,
            caa_line(issuer).unwrap_or_default()
        )
    })
}
