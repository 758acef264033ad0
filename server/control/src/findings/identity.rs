//! Findings about the certificate and the public door.

use super::codes::*;
use super::{Finding, Severity, Surroundings, finding};
use crate::domain::State;
use crate::outside::Probe;
use crate::records::{DomainFacts, Mode};
use crate::time::DAY;

pub(super) fn identity(domain: &DomainFacts, around: &Surroundings<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = domain.ascii();
    let subject = format!("certificate {name}");
    let served = matches!(around.state, State::Live | State::Degraded);
    let wanted = format!("a certificate for {}", domain.name);
    let upload = domain.mode == Mode::Uploaded;
    let own = domain.mode.is_own();
    let wanted = if own {
        "an identity of our own".to_owned()
    } else {
        wanted
    };
    let mend = if upload {
        "Upload a new certificate and its key."
    } else {
        "Look at the certificate rows below; we order a new one as soon as nothing is in the way."
    };
    match &around.certificate {
        None if around.state == State::Claimed => {}
        None => findings.push(finding(
            CERTIFICATE_MISSING,
            if served {
                Severity::Critical
            } else {
                Severity::Warning
            },
            subject.clone(),
            &wanted,
            "none",
            "this server",
            if upload {
                "Upload a certificate and its key.".into()
            } else if own {
                "Nothing to do: we make it with the next look.".into()
            } else {
                "Publish the challenge record; we then order the certificate by ourselves.".into()
            },
        )),
        Some(facts) => {
            let left = facts.not_after.0 - around.now.0;
            let lifetime = (facts.not_after.0 - facts.not_before.0).max(1);
            let until = facts.not_after.to_xep0082();
            if !facts.covers_domain && !own {
                findings.push(finding(
                    CERTIFICATE_WRONG_NAME,
                    Severity::Critical,
                    subject.clone(),
                    &wanted,
                    &facts.names.join(", "),
                    "this server",
                    mend.into(),
                ));
            } else if left <= 0 {
                findings.push(finding(
                    CERTIFICATE_EXPIRED,
                    Severity::Critical,
                    subject.clone(),
                    &wanted,
                    &format!("expired at {until}"),
                    "this server",
                    mend.into(),
                ));
            } else if left < (lifetime / 5).min(21 * DAY) {
                findings.push(finding(
                    CERTIFICATE_EXPIRING,
                    Severity::Warning,
                    subject.clone(),
                    &wanted,
                    &format!("ends at {until}"),
                    "this server",
                    mend.into(),
                ));
            } else {
                findings.push(finding(
                    OK,
                    Severity::Ok,
                    subject.clone(),
                    &wanted,
                    &format!("valid until {until}"),
                    "this server",
                    String::new(),
                ));
            }
            for label in domain.services.iter().filter(|label| {
                !own && around
                    .settings
                    .service_names
                    .iter()
                    // Only what other servers reach by name has to be in it.
                    .any(|service| service.federated && service.label == **label)
            }) {
                let service = format!("{label}.{name}");
                if !facts.names.iter().any(|held| covers(held, &service)) {
                    findings.push(finding(
                        SERVICE_NAME_LEFT_OUT,
                        Severity::Info,
                        format!("certificate {service}"),
                        &format!("{service} in the certificate"),
                        &facts.names.join(", "),
                        "this server",
                        if upload { format!("Upload a certificate that holds {service}, too.") } else { format!("Publish the challenge record of {service}; it joins the certificate by itself.") },
                    ));
                }
            }
        }
    }
    if let Some(why) = &around.order_failed {
        findings.push(finding(
            CERTIFICATE_ORDER_FAILED,
            Severity::Warning,
            format!("order {name}"),
            &format!("a certificate from {}", around.issuer.name),
            why,
            &around.issuer.name,
            "Nothing to do if the rows above are good: we try again by ourselves.".into(),
        ));
    }
    findings
}

/// Does the dNSName `held` (A-labels, perhaps with a whole left-most `*`) match `name` (CERT-09)?
pub(crate) fn covers(held: &str, name: &str) -> bool {
    let (held, name) = (
        held.trim_end_matches('.').to_ascii_lowercase(),
        name.to_ascii_lowercase(),
    );
    match held.strip_prefix("*.") {
        Some(rest) => name
            .split_once('.')
            .is_some_and(|(label, parent)| !label.is_empty() && parent == rest),
        None => held == name,
    }
}

pub(super) fn door(domain: &DomainFacts, around: &Surroundings<'_>) -> Option<Finding> {
    let subject = format!("sign-in {}", domain.ascii());
    let expected = "an app gets in by the public door";
    Some(match around.probe.as_ref()? {
        Probe::Passed { seen, .. } => {
            finding(OK, Severity::Ok, subject, expected, seen, "", String::new())
        }
        Probe::Unknown { why } => finding(
            RESOLVER_UNKNOWN,
            Severity::Unknown,
            subject,
            expected,
            why,
            "",
            "Nothing to do: it is tried again by itself.".into(),
        ),
        // Before there is an identity, a closed door is no news.
        Probe::Failed { .. } if around.certificate.is_none() => return None,
        Probe::Failed { seen, asked } => finding(
            PROBE_FAILED,
            Severity::Critical,
            subject,
            expected,
            seen,
            asked,
            "If everything else is good, this is ours to mend; we have been told.".into(),
        ),
    })
}
