//! Findings about the redirect that leads authorities to us (http-01, ACME-05).

use super::codes::*;
use super::{Finding, Severity, finding};
use crate::observe::{HttpFault, Observation};
use crate::records::{DomainFacts, Mode, certified, challenge_url};
use crate::settings::PlatformSettings;

/// A row for every name of the certificate.
pub(super) fn web(
    domain: &DomainFacts,
    seen: &Observation,
    settings: &PlatformSettings,
) -> Vec<Finding> {
    let Some(redirect) =
        challenge_url(settings, &domain.label).filter(|_| domain.mode == Mode::HttpRedirect)
    else {
        return Vec::new();
    };
    let mut findings = Vec::new();
    for name in certified(domain, settings) {
        let ascii = name.name.to_ascii();
        let Some(view) = seen.http.get(ascii.as_ref()) else {
            continue;
        };
        let address = view
            .hops
            .first()
            .map(|first| {
                first
                    .rsplit_once('/')
                    .map_or(first.as_str(), |(base, _)| base)
            })
            .unwrap_or_default();
        let last = view.hops.last().map(String::as_str).unwrap_or_default();
        let lead = format!(
            "Let your website redirect {address}/ and everything below it to {redirect}, with what follows in the address kept."
        );
        let (code, fix) = match view.fault {
            None => (OK, String::new()),
            Some(HttpFault::Unknown) => (
                RESOLVER_UNKNOWN,
                "Nothing to do: it is asked again by itself.".into(),
            ),
            Some(HttpFault::NoAddress) => (
                ACME_HTTP_NO_ADDRESS,
                format!(
                    "Give {} the address of a web server, or choose another way to obtain the certificate.",
                    name.name
                ),
            ),
            Some(HttpFault::NoAnswer) => (
                ACME_HTTP_NO_ANSWER,
                format!(
                    "Let a web server answer at {last}: authorities begin at port 80, whatever your website does at other ports."
                ),
            ),
            Some(HttpFault::Private) => (
                ACME_HTTP_PRIVATE,
                format!("Give {} an address that the internet can reach.", name.name),
            ),
            Some(HttpFault::Elsewhere) => (ACME_HTTP_ELSEWHERE, lead),
            Some(HttpFault::PathLost) => (
                ACME_HTTP_PATH_LOST,
                format!(
                    "Let the redirect keep what follows {address}/: it must lead to {redirect} and that same text, not to one fixed address."
                ),
            ),
            Some(HttpFault::Loop) => (ACME_HTTP_LOOP, lead),
            Some(HttpFault::BadRedirect) => (ACME_HTTP_BAD_REDIRECT, lead),
        };
        let severity = match (view.fault, name.service.is_some()) {
            (None, _) => Severity::Ok,
            (Some(HttpFault::Unknown), _) => Severity::Unknown,
            (Some(_), true) => Severity::Info,
            (Some(_), false) => Severity::Critical,
        };
        findings.push(finding(
            code,
            severity,
            format!("HTTP {ascii}"),
            "our answer to the certificate authority",
            &view.said,
            last,
            fix,
        ));
    }
    findings
}
