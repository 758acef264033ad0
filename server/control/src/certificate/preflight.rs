//! What stands before an order: nothing is spent at an authority that the DNS already forbids (ACME-09).
//!
//! Judged on what has just been seen: the record that leads the authority to our answer or names our account, at every name
//! server of the owner; or the website's redirect; DNSSEC; the CAA set that decides. A name that fails is left out with its reason; only the domain's own name is needed.

use std::collections::BTreeMap;

use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::findings::{believes, caa_allows, caa_line, standing};
use crate::observe::{Data, HttpFault, Observation, Rtype, SetView};
use crate::outside::{IssuerInfo, Method};
use crate::records::{Certified, DesiredRecord, Purpose, Standing};

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

/// Looks through the names of a domain's certificate, all of which are proven by `method`.
pub(super) fn preflight(
    certified: &[Certified],
    method: Method,
    desired: &[DesiredRecord],
    seen: &Observation,
    (issuer, now): (&IssuerInfo, Timestamp),
    left_out: &[String],
) -> Preflight {
    let mut found = Preflight::default();
    let mut own = false;
    for certified in certified {
        let name = certified.name.clone();
        let record = desired.iter().find(|record| {
            matches!(record.purpose, Purpose::Challenge | Purpose::Persist)
                && record.service == certified.service
        });
        let why = match method {
            Method::Dns => record
                .ok_or_else(|| "no record is wanted for it".to_owned())
                .map(|record| alias(record, seen)),
            Method::DnsPersist => Ok(persist(record, seen, issuer, now)),
            Method::Http => Ok(http(&name, seen)),
        };
        let why = why
            .unwrap_or_else(Some)
            .or_else(|| caa(&name, seen, issuer, method))
            .or_else(|| {
                left_out.iter().any(|out| *out == name.as_str()).then(|| {
                    "the certificate authority refused it lately; it is tried again in a day".into()
                })
            });
        if let Some(why) = why {
            found.blocked.push((name, why));
            continue;
        }
        if method != Method::default() {
            found.methods.insert(name.clone(), method);
        }
        own |= certified.service.is_none();
        found.names.push(name);
    }
    if !own {
        found.names.clear();
        found.methods.clear();
    }
    found
}

/// Does the alias lead to us (dns-01)?
fn alias(record: &DesiredRecord, seen: &Observation) -> Option<String> {
    let at = record.name.trim_end_matches('.');
    if seen.set(Rtype::Cname, at).is_some_and(SetView::is_bogus) {
        return Some(format!("the DNSSEC signatures of {at} do not validate"));
    }
    match standing(record, seen) {
        Standing::Seen => None,
        Standing::Missing => Some(format!("{at} is not there")),
        Standing::Different => Some(format!("{at} does not lead to us everywhere")),
        Standing::Unknown => Some(format!("{at} could not be looked up")),
    }
}

/// Does the standing record name our account at this authority, at every name server (dns-persist-01)?
fn persist(
    record: Option<&DesiredRecord>,
    seen: &Observation,
    issuer: &IssuerInfo,
    now: Timestamp,
) -> Option<String> {
    let Some(record) = record.filter(|_| !issuer.persistent.is_empty()) else {
        return Some(format!("{} does not offer dns-persist-01", issuer.name));
    };
    let at = record.name.trim_end_matches('.');
    let view = seen.set(Rtype::Txt, at);
    if view.is_some_and(SetView::is_bogus) {
        return Some(format!("the DNSSEC signatures of {at} do not validate"));
    }
    let answers = view.map(SetView::answers).unwrap_or_default();
    if answers.is_empty() {
        return Some(format!("{at} could not be looked up"));
    }
    let believed = answers.iter().all(|answered| {
        let mut data = answered.sight.data().iter();
        data.any(|data| matches!(data, Data::Txt(text) if believes(issuer, text, now.0)))
    });
    (!believed).then(|| {
        format!(
            "{at} does not name our account at {} everywhere",
            issuer.name
        )
    })
}

/// Does the website lead to us (http-01)?
fn http(name: &DomainName, seen: &Observation) -> Option<String> {
    match seen.http.get(name.to_ascii().as_ref()) {
        None => Some(format!("the website of {name} was not asked yet")),
        Some(view) => match view.fault {
            None => None,
            Some(HttpFault::Unknown) => Some(format!(
                "the website of {name} could not be asked: {}",
                view.said
            )),
            Some(_) => Some(format!(
                "the website of {name} does not lead to us: {}",
                view.said
            )),
        },
    }
}

/// Do the CAA records allow it (ACME-09)?
fn caa(
    name: &DomainName,
    seen: &Observation,
    issuer: &IssuerInfo,
    method: Method,
) -> Option<String> {
    let caa = seen.caa.get(name.to_ascii().as_ref())?;
    if let Some(why) = &caa.failed {
        return Some(format!(
            "the CAA records of {} could not be looked up: {why}",
            caa.owner
        ));
    }
    (!caa_allows(caa, issuer, method)).then(|| {
        format!(
            "the CAA records of {} do not allow {}; add {}. CAA {}",
            caa.owner,
            issuer.name,
            caa.owner,
            caa_line(issuer).unwrap_or_default()
        )
    })
}
