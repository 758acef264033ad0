//! Findings about answers without measure or end: more than is looked at, aliases that lead nowhere.

use std::collections::BTreeMap;

use super::codes::{ALIAS_LOOP, ANSWER_TOO_LARGE};
use super::dns::in_a_sentence;
use super::{Finding, Severity, finding, rtype, spelled, subject, who};
use crate::observe::{Beyond, LOOKED_AT, Observation, Rtype, SetView, Sight};
use crate::records::{DesiredRecord, DomainFacts, Purpose};

/// The name's alias leads nowhere.
pub(super) fn lost(record: &DesiredRecord, view: &SetView) -> Finding {
    finding(
        ALIAS_LOOP,
        if record.optional {
            Severity::Info
        } else {
            Severity::Critical
        },
        subject(record),
        &record.value_text,
        &spelled(&Sight::Lost),
        &who(view),
        format!(
            "Delete the CNAME record {}, and publish a {} record of that name: {}.",
            record.name,
            record.rtype,
            in_a_sentence(&record.value_text)
        ),
    )
}

/// Answers that were not kept whole. What was looked for in them was looked for in all of them.
pub(super) fn too_large(desired: &[DesiredRecord], seen: &Observation) -> Vec<Finding> {
    let mut findings = Vec::new();
    for record in desired {
        // At the challenge's name a text may stand beside the alias.
        let beside = (record.purpose == Purpose::Challenge).then_some(Rtype::Txt);
        for rtype in std::iter::once(rtype(record)).chain(beside) {
            let Some(view) = seen.set(rtype, &record.name) else {
                continue;
            };
            let answers = view.answers();
            let beyond = answers.iter().find_map(|answered| match answered.sight {
                Sight::Records {
                    beyond,
                    aliased: false,
                    ..
                } => beyond,
                _ => None,
            });
            let Some(all) = beyond else { continue };
            findings.push(finding(
                ANSWER_TOO_LARGE,
                if record.optional {
                    Severity::Info
                } else {
                    Severity::Warning
                },
                format!("{} {}", rtype.as_str(), record.name.trim_end_matches('.')),
                LOOKED_AT,
                &all.to_string(),
                &who(view),
                format!(
                    "Delete the {} records at {} that are not needed there.",
                    rtype.as_str(),
                    record.name
                ),
            ));
        }
    }
    findings
}

/// CAA sets that were not kept whole, of all names that are ordered.
pub(super) fn caa_too_large(domain: &DomainFacts, seen: &Observation) -> Vec<Finding> {
    if domain.mode.method().is_none() {
        return Vec::new();
    }
    let large = seen.caa.values().filter_map(|view| {
        let all = view.beyond?;
        Some((view.owner.as_str(), all))
    });
    // Names below share the records of the domain.
    let owners: BTreeMap<_, _> = large.collect();
    let row = |(owner, all): (&str, Beyond)| {
        finding(
            ANSWER_TOO_LARGE,
            Severity::Warning,
            format!("CAA {owner}"),
            LOOKED_AT,
            &all.to_string(),
            "",
            format!("Delete the CAA records of {owner} that are not needed."),
        )
    };
    owners.into_iter().map(row).collect()
}
