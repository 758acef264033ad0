//! May our certificate authority issue (RFC 8659, RFC 8657)?

use super::codes::{CAA_FORBIDS, RESOLVER_UNKNOWN};
use super::{Finding, Severity, finding};
use crate::observe::{CaaView, Observation};
use crate::outside::{IssuerInfo, Method};
use crate::records::DomainFacts;

/// CAA of the domain (ACME-09).
pub(super) fn caa(
    domain: &DomainFacts,
    seen: &Observation,
    issuer: &IssuerInfo,
) -> Option<Finding> {
    let method = domain.mode.method()?;
    let name = domain.ascii();
    let view = seen.caa.get(&name)?;
    let identity = issuer.caa_identities.first()?;
    let expected = caa_line(issuer)?;
    let set = view
        .properties
        .iter()
        .map(|property| format!("{} \"{}\"", property.tag, property.value))
        .collect::<Vec<_>>()
        .join(", ");
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
        finding(
            CAA_FORBIDS,
            Severity::Critical,
            format!("CAA {}", view.owner),
            &expected,
            &set,
            "",
            format!(
                "Add the CAA record {}. CAA {expected}, so that {identity} may issue for {}.",
                view.owner, domain.name
            ),
        )
    })
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
