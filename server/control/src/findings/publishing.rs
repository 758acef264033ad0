//! Findings about what we publish for peers that look beyond certificates: TLSA records and POSH documents.

use std::collections::BTreeSet;

use super::codes::*;
use super::{Finding, Severity, Surroundings, finding, spelled};
use crate::domain::{RolloverMemory, State};
use crate::observe::{HostMetaView, Observation, PoshView, Rtype, Sight};
use crate::records::{DesiredRecord, DomainFacts, Mode, RecordValue};
use crate::rollover::{Channel, Kept, Plan, Swap, last_resort, tlsa_differs, tlsa_owners};
use crate::time::DAY;

/// What is published, and what the plan says.
#[derive(Debug, Clone, Copy)]
pub struct Publishing<'a> {
    pub(crate) kept: &'a Kept,
    pub(crate) plan: &'a Plan,
    pub(crate) memory: &'a RolloverMemory,
}

pub(super) fn publishing(
    domain: &DomainFacts,
    desired: &[DesiredRecord],
    seen: &Observation,
    around: &Surroundings<'_>,
) -> Vec<Finding> {
    let mut findings: Vec<_> = host_meta(domain, seen, around).into_iter().collect();
    let Some(publishing) = around.publishing else {
        return findings;
    };
    if around.state == State::Claimed {
        return findings;
    }
    if domain.dane {
        findings.extend(signed(domain, desired, seen));
        findings.extend(tlsa(domain, seen, around, publishing));
    }
    if domain.posh {
        for (service, view) in &seen.posh {
            findings.push(posh(domain, service, view, publishing));
        }
    }
    let current = publishing.kept.current.as_ref();
    if let (Swap::Wait { .. }, Some(current)) = (publishing.plan.swap, current)
        && domain.mode != Mode::Dane
        && around.now.0 > last_resort(current).0 - DAY
    {
        findings.push(finding(
            ROLLOVER_LATE,
            Severity::Critical,
            format!("rollover {}", domain.ascii()),
            "the next certificate known everywhere",
            &format!("not yet, and it is used at {} at the latest", last_resort(current).to_xep0082()),
            "this server",
            "See what is in the way in the rows about TLSA and POSH; the certificate is changed before it ends in any case.".into(),
        ));
    }
    findings
}

/// What the website tells apps in browsers. It need not tell them anything; what it tells must be true (WS-16, WS-17).
fn host_meta(
    domain: &DomainFacts,
    seen: &Observation,
    around: &Surroundings<'_>,
) -> Option<Finding> {
    let view = seen.host_meta.as_ref().filter(|view| view.found)?;
    let web = around.settings.web.as_str();
    let ours = HostMetaView {
        cross_origin: true,
        ..view.clone()
    };
    let (code, severity, fix) = match (view.is_wanted(web), ours.is_wanted(web)) {
        (true, _) => (OK, Severity::Ok, String::new()),
        (false, true) => (
            HOST_META_CLOSED,
            Severity::Warning,
            "Send the header `Access-Control-Allow-Origin: *` with it, and with the redirect if there is one.".into(),
        ),
        (false, false) => (
            HOST_META_OTHER,
            Severity::Warning,
            "Let the address lead to us, or publish the document shown on the records page.".into(),
        ),
    };
    Some(finding(
        code,
        severity,
        format!("host-meta {}", domain.ascii()),
        &format!("ways below {web}, for web pages of everybody"),
        &match view.cross_origin {
            true => view.names.join(", "),
            false => format!(
                "{}; no `Access-Control-Allow-Origin: *`",
                view.names.join(", ")
            ),
        },
        &format!("https://{}/.well-known/host-meta", domain.ascii()),
        fix,
    ))
}

/// DANE is worth nothing where any step on the way to the records is not signed (DANE-03).
fn signed(domain: &DomainFacts, desired: &[DesiredRecord], seen: &Observation) -> Vec<Finding> {
    let mut findings = Vec::new();
    for record in desired
        .iter()
        .filter(|record| matches!(record.value, RecordValue::Srv { .. }) && !record.optional)
    {
        let resolver = seen
            .set(Rtype::Srv, &record.name)
            .and_then(|view| view.resolver.as_ref());
        let Some(resolver) = resolver.filter(|answered| !answered.sight.data().is_empty()) else {
            continue;
        };
        if !resolver.secure {
            findings.push(finding(
                DANE_SRV_INSECURE,
                // Where DANE is all there is, nobody can verify the domain without it.
                if domain.mode == Mode::Dane {
                    Severity::Critical
                } else {
                    Severity::Warning
                },
                format!("DNSSEC {}", record.name.trim_end_matches('.')),
                "a signed answer",
                "an answer that is not signed",
                &resolver.asked,
                format!(
                    "Sign the zone {} and have your registrar publish its DS record: without, no server can use DANE.",
                    domain.zone_or_self()
                ),
            ));
        }
    }
    findings
}

fn tlsa(
    domain: &DomainFacts,
    seen: &Observation,
    around: &Surroundings<'_>,
    publishing: Publishing<'_>,
) -> Vec<Finding> {
    let target = domain.target(around.settings);
    let owners = tlsa_owners(&target, around.settings.ports);
    let memory = publishing.memory;
    let about = format!("TLSA {target}");
    let wanted = publishing
        .plan
        .tlsa
        .iter()
        .map(|key| crate::rollover::record_of(key).spelled())
        .collect::<Vec<_>>()
        .join(", ");
    let one = |code, severity, observed: &str, asked: &str, fix: &str| {
        finding(
            code,
            severity,
            about.clone(),
            &wanted,
            observed,
            asked,
            fix.into(),
        )
    };
    let by_itself = "Nothing to do: we publish the right ones by ourselves.";
    let mut findings = Vec::new();
    if !memory.refused.is_empty() {
        findings.push(one(
            TLSA_REFUSED,
            Severity::Warning,
            &memory.refused,
            "the platform's name server",
            "Nothing to do: it is tried again by itself, and no key changes before.",
        ));
    }
    let Some(current) = &publishing.kept.current else {
        return findings;
    };
    let Some(published) = &memory.tlsa else {
        return findings;
    };
    let mut trouble = false;
    let unheard = unheard(&owners, seen);
    if !unheard.is_empty() {
        trouble = true;
        let waits = matches!(
            publishing.plan.swap,
            Swap::Wait {
                on: Channel::Dane,
                ..
            }
        );
        findings.push(one(
            TLSA_UNSEEN,
            // It is in nobody's way where nothing is to change.
            if waits {
                Severity::Warning
            } else {
                Severity::Unknown
            },
            &format!("no answer from {unheard}"),
            &unheard,
            "Nothing to do: it is asked again by itself, and no key changes before it was heard.",
        ));
    }
    let ours = crate::rollover::record_of(&current.key).spelled();
    for owner in &owners {
        // Not looked at since it was published.
        let Some(view) = seen.set(Rtype::Tlsa, owner) else {
            trouble = true;
            continue;
        };
        if let Some(resolver) = view
            .resolver
            .as_ref()
            .filter(|answered| !answered.sight.data().is_empty() && !answered.secure)
        {
            trouble = true;
            findings.push(finding(
                DANE_HOST_INSECURE,
                Severity::Critical,
                format!("DNSSEC {owner}"),
                "a signed answer",
                "an answer that is not signed",
                &resolver.asked,
                "Nothing to do on your side: our own zone has to be signed, and we have been told."
                    .into(),
            ));
        }
        let answers = view.answers();
        if answers.is_empty() {
            trouble = true;
            findings.push(finding(
                RESOLVER_UNKNOWN,
                Severity::Unknown,
                format!("TLSA {owner}"),
                &wanted,
                "no answer",
                "",
                "Nothing to do: it is asked again by itself.".into(),
            ));
            continue;
        }
        for answered in answers {
            let there: Vec<_> = answered
                .sight
                .data()
                .iter()
                .map(ToString::to_string)
                .collect();
            let (code, severity) = match &answered.sight {
                Sight::Nothing => (TLSA_MISSING, Severity::Warning),
                _ if !there.contains(&ours) => (TLSA_MISMATCH, Severity::Critical),
                _ if tlsa_differs(std::slice::from_ref(owner), &published.keys, seen) => {
                    (TLSA_DRIFT, Severity::Warning)
                }
                _ => continue,
            };
            trouble = true;
            findings.push(finding(
                code,
                severity,
                format!("TLSA {owner}"),
                &wanted,
                &spelled(&answered.sight),
                &answered.asked,
                by_itself.into(),
            ));
            break;
        }
    }
    if let Some(host) = seen.targets.get(&target)
        && !host.addresses.is_empty()
        && !host.secure
    {
        trouble = true;
        findings.push(finding(
            DANE_HOST_INSECURE,
            Severity::Critical,
            format!("DNSSEC {target}"),
            "signed addresses",
            "addresses that are not signed",
            "",
            "Nothing to do on your side: our own zone has to be signed, and we have been told."
                .into(),
        ));
    }
    if !trouble && findings.is_empty() {
        findings.push(one(
            OK,
            Severity::Ok,
            &wanted,
            "the platform's name servers",
            "",
        ));
    }
    findings
}

/// The name servers of our own zone that were not heard, where another was.
fn unheard(owners: &[String], seen: &Observation) -> String {
    let views = owners
        .iter()
        .filter_map(|owner| seen.set(Rtype::Tlsa, owner))
        .filter(|view| !view.is_unknown() && view.is_partial());
    let mut names = BTreeSet::new();
    for view in views {
        if view.late {
            names.insert("one of the name servers");
        }
        let silent = view
            .servers
            .iter()
            .filter(|answered| !answered.sight.is_answer());
        names.extend(silent.map(|answered| answered.asked.as_str()));
    }
    names.into_iter().collect::<Vec<_>>().join(", ")
}

/// What the website says, against what is really shown at the door (POSH-47).
fn posh(
    domain: &DomainFacts,
    service: &str,
    view: &PoshView,
    publishing: Publishing<'_>,
) -> Finding {
    let about = format!("POSH {} {service}", domain.ascii());
    let kept = publishing.kept;
    let expected = "the fingerprint of the certificate in use";
    let observed = if view.said.is_empty() {
        format!("{} listed at {}", view.listed.len(), view.source)
    } else {
        view.said.clone()
    };
    let row = |code, severity, expected: &str, fix: &str| {
        finding(
            code,
            severity,
            about.clone(),
            expected,
            &observed,
            &view.source,
            fix.into(),
        )
    };
    // Where POSH is all there is, nobody can verify the domain without it.
    let worst = if domain.mode == Mode::Posh {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let way = "Let the address lead to us, or publish the document shown on the records page.";
    if view.unknown {
        return row(
            RESOLVER_UNKNOWN,
            Severity::Unknown,
            expected,
            "Nothing to do: it is asked again by itself.",
        );
    }
    if view.code == "posh-not-published" {
        return row(POSH_MISSING, worst, expected, way);
    }
    if !view.code.is_empty() {
        return row(POSH_BROKEN, worst, expected, way);
    }
    let lists = |held: &Option<_>| {
        held.as_ref()
            .is_none_or(|held| kept.lists(&view.listed, held))
    };
    if !lists(&kept.current) {
        // A document that speaks against what is shown is worse than none: nothing weaker may rescue it.
        return row(POSH_MISMATCH, Severity::Critical, expected, way);
    }
    if !lists(&kept.next) {
        return row(
            POSH_STALE,
            Severity::Warning,
            "the fingerprint of the next certificate, too",
            way,
        );
    }
    row(OK, Severity::Ok, expected, "")
}
