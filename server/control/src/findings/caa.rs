//! May our certificate authorities issue (RFC 8659, RFC 8657)?

use std::collections::BTreeSet;

use super::codes::{CAA_FORBIDS, CAA_FORBIDS_SECOND, RESOLVER_UNKNOWN};
use super::{Finding, Severity, finding};
use crate::observe::{CaaView, Observation};
use crate::outside::{IssuerInfo, Method};
use crate::records::{DomainFacts, certified};
use crate::settings::PlatformSettings;

/// CAA of every name that is ordered (ACME-09): of the domain, and of a service whose name has records of its own. `second` are
/// the authorities that step in where the first one cannot.
pub(super) fn caa(
    domain: &DomainFacts,
    seen: &Observation,
    (first, second): (&IssuerInfo, &[IssuerInfo]),
    settings: &PlatformSettings,
) -> Vec<Finding> {
    let Some(method) = domain.mode.method() else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    let mut owners = BTreeSet::new();
    for name in certified(domain, settings) {
        let ascii = name.name.to_ascii().into_owned();
        let Some(view) = seen.caa.get(&ascii) else {
            continue;
        };
        // Names below share the records of the domain; they are spoken of once.
        if view.failed.is_none() && !owners.insert(&view.owner) {
            continue;
        }
        let weight = match name.service {
            None => Severity::Critical,
            // Its name is left out of the certificate; the domain itself goes on.
            Some(_) => Severity::Warning,
        };
        let row = verdict(domain, &ascii, view, first, method, weight);
        let good = row.is_none();
        rows.extend(row);
        if good {
            let may = |other: &&IssuerInfo| !caa_allows(view, other, method);
            let refused = second.iter().filter(may);
            rows.extend(refused.filter_map(|other| forbids_second(view, other, first)));
        }
    }
    rows
}

/// What the records of one name say of the authority that is asked first.
fn verdict(
    domain: &DomainFacts,
    name: &str,
    view: &CaaView,
    issuer: &IssuerInfo,
    method: Method,
    weight: Severity,
) -> Option<Finding> {
    let identity = issuer.caa_identities.first()?;
    let expected = caa_line(issuer)?;
    if let Some(why) = &view.failed {
        return Some(finding(
            RESOLVER_UNKNOWN,
            Severity::Unknown,
            format!("CAA {name}"),
            &expected,
            why,
            "",
            "Nothing to do: it is asked again by itself.".into(),
        ));
    }
    (!caa_allows(view, issuer, method)).then(|| {
        let whom = match weight {
            Severity::Critical => domain.name.to_string(),
            _ => format!("{name} too"),
        };
        finding(
            CAA_FORBIDS,
            weight,
            format!("CAA {}", view.owner),
            &expected,
            &spelled(view),
            "",
            format!(
                "Add the CAA record {}. CAA {expected}, so that {identity} may issue for {whom}.",
                view.owner
            ),
        )
    })
}

/// Nothing is wrong today: the first authority may issue. Where it cannot, the one that would step in may not.
fn forbids_second(view: &CaaView, other: &IssuerInfo, first: &IssuerInfo) -> Option<Finding> {
    let expected = caa_line(other)?;
    Some(finding(
        CAA_FORBIDS_SECOND,
        Severity::Info,
        format!("CAA {} for {}", view.owner, other.name),
        &expected,
        &spelled(view),
        "",
        format!(
            "If you like, add the CAA record {}. CAA {expected} as well, so that {} can issue when {} cannot.",
            view.owner, other.name, first.name
        ),
    ))
}

/// The records as a zone file has them, on one line.
fn spelled(view: &CaaView) -> String {
    let properties = view.properties.iter();
    properties
        .map(|property| format!("{} \"{}\"", property.tag, property.value))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The CAA record to ask for: `0 issue "letsencrypt.org"`; `None` if the issuer ignores CAA.
pub fn caa_line(issuer: &IssuerInfo) -> Option<String> {
    let identity = issuer.caa_identities.first()?;
    Some(match &issuer.account_uri {
        Some(account) => format!("0 issue \"{identity}; accounturi={account}\""),
        None => format!("0 issue \"{identity}\""),
    })
}

/// Would the issuer be allowed to issue (RFC 8659 4, RFC 8657)? Only non-wildcard names are asked for.
pub fn caa_allows(view: &CaaView, issuer: &IssuerInfo, method: Method) -> bool {
    if issuer.caa_identities.is_empty() || view.properties.is_empty() {
        return true;
    }
    const KNOWN: [&str; 6] = [
        "issue",
        "issuewild",
        "iodef",
        "issuemail",
        "contactemail",
        "contactphone",
    ];
    if view.properties.iter().any(|property| {
        property.critical && !KNOWN.contains(&property.tag.to_ascii_lowercase().as_str())
    }) {
        return false;
    }
    let mut issue = view
        .properties
        .iter()
        .filter(|property| property.tag.eq_ignore_ascii_case("issue"))
        .peekable();
    if issue.peek().is_none() {
        return true;
    }
    issue.any(|property| {
        let mut parts = property.value.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        issuer
            .caa_identities
            .iter()
            .any(|identity| identity.eq_ignore_ascii_case(name))
            && parts.filter(|part| !part.is_empty()).all(|part| {
                // What cannot be read satisfies nobody (RFC 8659 4.2).
                let Some((key, value)) = part.split_once('=') else {
                    return false;
                };
                match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
                    ("accounturi", uri) => issuer.account_uri.as_deref() == Some(uri),
                    ("validationmethods", methods) => methods
                        .split(',')
                        .any(|allowed| allowed.trim().eq_ignore_ascii_case(method.as_str())),
                    _ => true,
                }
            })
    })
}
