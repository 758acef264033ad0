//! Findings about records: ownership, challenge, SRV, name servers.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::codes::*;
use super::{
    Finding, Severity, excess, finding, holds, persist, rtype, same, seen_text, spelled, subject,
    who,
};
use crate::domain::Seen;
use crate::observe::{Answered, Data, Observation, Rtype, SetView, Sight, question};
use crate::records::{
    DesiredRecord, DomainFacts, OWNERSHIP_PREFIX, Purpose, RecordValue, txt_strings,
};
use crate::settings::PlatformSettings;

/// Record TTL above which a change takes too long to be seen.
const LONG_TTL_SECONDS: u32 = 86_400;
/// Records beside ours that are named; of more it is said how many.
const LEFTOVERS: usize = 4;

pub(super) fn one(
    domain: &DomainFacts,
    record: &DesiredRecord,
    view: &SetView,
    seen: &Observation,
    settings: &PlatformSettings,
) -> Vec<Finding> {
    let answers = view.answers();
    let good = answers
        .iter()
        .filter(|answered| holds(record, &answered.sight))
        .count();
    let mut findings = Vec::new();
    if good == 0 {
        // All agree that it is not there: say what is there instead, by the first server's answer.
        findings.push(match record.value {
            _ if answers.iter().any(|answered| answered.sight == Sight::Lost) => {
                excess::lost(record, view)
            }
            RecordValue::Txt { .. } if record.purpose == Purpose::Persist => {
                doubled(domain, record, seen).unwrap_or_else(|| persist::missing(record, view))
            }
            RecordValue::Txt { .. } => ownership(domain, record, view, seen),
            RecordValue::Cname { .. } => challenge(domain, record, view, seen),
            RecordValue::Srv { .. } => service(domain, record, view, seen, settings),
        });
        return findings;
    }
    if good < answers.len() {
        let lacking: Vec<_> = answers
            .iter()
            .filter(|answered| !holds(record, &answered.sight))
            .map(|answered| answered.asked.as_str())
            .collect();
        findings.push(finding(
            NAMESERVERS_DISAGREE,
            if record.optional { Severity::Info } else { Severity::Warning },
            subject(record),
            &record.value_text,
            &format!("not the same at {}", lacking.join(", ")),
            &lacking.join(", "),
            "Wait until the change has reached all of your name servers; if it does not within an hour, ask your DNS host.".into(),
        ));
    } else if let Some(resolver) = view
        .resolver
        .as_ref()
        .filter(|answered| answered.sight.is_answer())
        && !view.servers.is_empty()
        && !holds(record, &resolver.sight)
    {
        findings.push(finding(
                RESOLVER_STALE,
                Severity::Info,
                subject(record),
                &record.value_text,
                &spelled(&resolver.sight),
                &resolver.asked,
                "Wait: your name servers have it, and resolvers forget the former answer by themselves.".into(),
            ));
    }
    if let RecordValue::Srv { .. } = record.value {
        findings.extend(leftovers(record, &answers));
    }
    if record.purpose == Purpose::Challenge {
        findings.extend(hidden_text(record, seen));
    }
    let ttl = answers
        .iter()
        .filter_map(|answered| {
            if let Sight::Records { ttl_seconds, .. } = answered.sight {
                Some(ttl_seconds)
            } else {
                None
            }
        })
        .max();
    if let Some(ttl) =
        ttl.filter(|ttl| *ttl > LONG_TTL_SECONDS && matches!(record.value, RecordValue::Srv { .. }))
    {
        findings.push(finding(
            TTL_TOO_LONG,
            if record.optional {
                Severity::Info
            } else {
                Severity::Warning
            },
            subject(record),
            &format!("at most {LONG_TTL_SECONDS} seconds"),
            &format!("{ttl} seconds"),
            &who(view),
            format!(
                "Lower the TTL of {} to {} seconds, so that a change is seen within that time.",
                record.name, record.ttl_seconds
            ),
        ));
    }
    findings
}

fn ownership(
    domain: &DomainFacts,
    record: &DesiredRecord,
    view: &SetView,
    seen: &Observation,
) -> Finding {
    if let Some(found) = doubled(domain, record, seen) {
        return found;
    }
    let other = view
        .answers()
        .iter()
        .flat_map(|answered| answered.sight.data())
        .find_map(|data| match data {
            Data::Txt(text) if text.starts_with(OWNERSHIP_PREFIX) => Some(text.clone()),
            _ => None,
        });
    match other {
        Some(text) => finding(
            OWNERSHIP_MISMATCH,
            Severity::Critical,
            subject(record),
            &record.value_text,
            &txt_strings(&text),
            &who(view),
            format!(
                "Replace the text of {} by {}.",
                record.name, record.value_text
            ),
        ),
        None => finding(
            OWNERSHIP_MISSING,
            Severity::Critical,
            subject(record),
            &record.value_text,
            &seen_text(view),
            &who(view),
            format!(
                "Publish a TXT record {} with the text {}.",
                record.name, record.value_text
            ),
        ),
    }
}

fn challenge(
    domain: &DomainFacts,
    record: &DesiredRecord,
    view: &SetView,
    seen: &Observation,
) -> Finding {
    if let Some(found) = doubled(domain, record, seen) {
        return found;
    }
    let severity = if record.optional {
        Severity::Info
    } else {
        Severity::Critical
    };
    let elsewhere = view
        .answers()
        .iter()
        .flat_map(|answered| answered.sight.data())
        .find_map(|data| match data {
            Data::Cname(target) => Some(target.clone()),
            _ => None,
        });
    if let Some(target) = elsewhere {
        return finding(
            ACME_CNAME_WRONG,
            severity,
            subject(record),
            &record.value_text,
            &format!("{target}."),
            &who(view),
            format!(
                "Let the CNAME record {} point at {}.",
                record.name, record.value_text
            ),
        );
    }
    let texts = own_texts(record, seen);
    let (observed, more) = if texts.is_empty() {
        (seen_text(view), String::new())
    } else {
        (
            format!("TXT {}", texts.join(" ")),
            " Delete the TXT record there first; a name with a CNAME must hold nothing else."
                .to_owned(),
        )
    };
    finding(
        ACME_CNAME_MISSING,
        severity,
        subject(record),
        &record.value_text,
        &observed,
        &who(view),
        format!(
            "Publish a CNAME record {} that points at {}.{more}",
            record.name,
            in_a_sentence(&record.value_text)
        ),
    )
}

fn hidden_text(record: &DesiredRecord, seen: &Observation) -> Option<Finding> {
    let texts = own_texts(record, seen);
    (!texts.is_empty()).then(|| {
        finding(
            ACME_HIDDEN_TXT,
            if record.optional {
                Severity::Info
            } else {
                Severity::Critical
            },
            subject(record),
            "the CNAME alone",
            &format!("TXT {} beside it", texts.join(" ")),
            &seen
                .set(Rtype::Txt, &record.name)
                .map(who)
                .unwrap_or_default(),
            format!(
                "Delete the TXT record at {}; a name with a CNAME must hold nothing else.",
                record.name
            ),
        )
    })
}

/// TXT records that stand at the challenge name itself, as opposed to those behind the alias.
fn own_texts(record: &DesiredRecord, seen: &Observation) -> Vec<String> {
    let Some(view) = seen.set(Rtype::Txt, &record.name) else {
        return Vec::new();
    };
    let mut texts = BTreeSet::new();
    for answered in view.answers() {
        if let Sight::Records {
            data,
            aliased: false,
            ..
        } = &answered.sight
        {
            texts.extend(
                data.iter()
                    .filter(|data| matches!(data, Data::Txt(_)))
                    .map(ToString::to_string),
            );
        }
    }
    texts.into_iter().collect()
}

fn service(
    domain: &DomainFacts,
    record: &DesiredRecord,
    view: &SetView,
    seen: &Observation,
    settings: &PlatformSettings,
) -> Finding {
    let RecordValue::Srv {
        port: wanted_port,
        target: wanted_target,
        ..
    } = &record.value
    else {
        return unknown(record, String::new());
    };
    let severity = if record.optional {
        Severity::Info
    } else {
        Severity::Critical
    };
    let say = |code, observed: &str, fix: String| {
        finding(
            code,
            severity,
            subject(record),
            &record.value_text,
            observed,
            &who(view),
            fix,
        )
    };
    let found: Vec<(u16, &str)> = view
        .answers()
        .iter()
        .flat_map(|answered| answered.sight.data())
        .filter_map(|data| match data {
            Data::Srv { port, target, .. } => Some((*port, target.as_str())),
            _ => None,
        })
        .collect();
    let observed = seen_text(view);
    let replace = format!(
        "Replace the SRV record {} by {}.",
        record.name, record.value_text
    );
    if let Some((port, _)) = found
        .iter()
        .find(|(_, target)| *target == wanted_target.as_str())
    {
        let swapped = match record.purpose {
            Purpose::Client => settings.ports.client_tls,
            Purpose::ClientTls => settings.ports.client,
            Purpose::Server => settings.ports.server_tls,
            _ => settings.ports.server,
        };
        return if *port == swapped {
            let kind = if matches!(record.purpose, Purpose::ClientTls | Purpose::ServerTls) {
                "direct TLS"
            } else {
                "STARTTLS"
            };
            say(
                SRV_SWAPPED_TLS,
                &observed,
                format!(
                    "{} is for {kind}: set its port to {wanted_port}, not {port}.",
                    record.name
                ),
            )
        } else {
            say(
                SRV_WRONG_PORT,
                &observed,
                format!(
                    "Set the port of the SRV record {} to {wanted_port}, not {port}.",
                    record.name
                ),
            )
        };
    }
    if found.is_empty() {
        return doubled(domain, record, seen).unwrap_or_else(|| {
            say(
                SRV_MISSING,
                &observed,
                format!(
                    "Publish an SRV record {} with {}.",
                    record.name,
                    in_a_sentence(&record.value_text)
                ),
            )
        });
    }
    if found.iter().all(|(_, target)| target.is_empty()) {
        return say(SRV_SERVICE_OFF, &observed, replace);
    }
    let double = format!("{wanted_target}.{}", domain.zone_or_self());
    if found.iter().any(|(_, target)| *target == double) {
        return say(
            NAME_DOUBLED,
            &observed,
            format!(
                "End the target with a dot: {wanted_target}. (your DNS host has added {} to it).",
                domain.zone_or_self()
            ),
        );
    }
    for (_, target) in &found {
        let Some(host) = seen.targets.get(*target) else {
            if is_localhost(target) {
                return say(SRV_TARGET_PRIVATE, &observed, replace);
            }
            continue;
        };
        if let Some(alias) = &host.alias {
            return say(
                SRV_TARGET_ALIAS,
                &format!("{observed}, an alias of {alias}."),
                format!(
                    "Let the SRV record {} point at {wanted_target}. directly, not at the alias {target}.",
                    record.name
                ),
            );
        }
        if is_localhost(target)
            || (!settings.private_addresses
                && host.addresses.iter().any(|address| is_private(*address)))
        {
            let addresses: Vec<_> = host.addresses.iter().map(ToString::to_string).collect();
            return say(
                SRV_TARGET_PRIVATE,
                &format!("{observed} ({})", addresses.join(", ")),
                replace,
            );
        }
    }
    say(
        SRV_WRONG_TARGET,
        &observed,
        format!(
            "{} still points at {}; replace that SRV record by {}.",
            record.name, found[0].1, record.value_text
        ),
    )
}

/// Records beside ours that lead elsewhere. Ours must be tried first; then an old one only hurts when we are down.
fn leftovers(record: &DesiredRecord, answers: &[&Answered]) -> Option<Finding> {
    let mut ours = u16::MAX;
    let mut others: BTreeMap<String, u16> = BTreeMap::new();
    for data in answers.iter().flat_map(|answered| answered.sight.data()) {
        if let Data::Srv { priority, .. } = data {
            if same(record, data) {
                ours = ours.min(*priority);
            } else {
                // Also our host with another port.
                others.insert(data.to_string(), *priority);
            }
        }
    }
    let first = others.values().min()?;
    let severity = match (record.optional, *first <= ours) {
        (true, _) => Severity::Info,
        (false, true) => Severity::Critical,
        (false, false) => Severity::Warning,
    };
    let list: Vec<_> = others.keys().take(LEFTOVERS).cloned().collect();
    let more = match others.len().saturating_sub(LEFTOVERS) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Some(finding(
        SRV_LEFTOVER,
        severity,
        subject(record),
        &record.value_text,
        &format!("also {}{more}", list.join(", ")),
        &answers
            .iter()
            .map(|answered| answered.asked.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        format!(
            "Delete the SRV record {} with {}{more}.",
            record.name,
            in_a_sentence(&list.join(" and "))
        ),
    ))
}

/// The relative-record mistake: the right data at `name.zone`.
fn doubled(domain: &DomainFacts, record: &DesiredRecord, seen: &Observation) -> Option<Finding> {
    let name = doubled_name(domain, record);
    let view = seen.set(rtype(record), &name)?;
    view.answers().iter().any(|answered| holds(record, &answered.sight)).then(|| {
        finding(
            NAME_DOUBLED,
            if record.optional { Severity::Info } else { Severity::Critical },
            subject(record),
            &record.name,
            &format!("{name}."),
            &who(view),
            format!("Name the record {} (your DNS host adds {} by itself), and delete the one at {name}.", record.relative, domain.zone_or_self()),
        )
    })
}

/// Where a record ends up when a host adds the zone to an absolute name.
pub(crate) fn doubled_name(domain: &DomainFacts, record: &DesiredRecord) -> String {
    format!("{}{}", record.name, domain.zone_or_self())
}

pub(super) fn lame(domain: &DomainFacts, seen: &Observation) -> Vec<Finding> {
    let mut tally: BTreeMap<&str, (usize, Option<&str>)> = BTreeMap::new();
    // TLSA sets are in the platform's zone, which is not the owner's to mend.
    let tlsa = question(Rtype::Tlsa, "");
    let own = seen
        .sets
        .iter()
        .filter(|(asked, _)| !asked.starts_with(&tlsa));
    for answered in own.flat_map(|(_, view)| &view.servers) {
        let entry = tally.entry(&answered.asked).or_default();
        match &answered.sight {
            Sight::Failed(why) => entry.1 = Some(why),
            _ => entry.0 += 1,
        }
    }
    // If none answers, the fault may as well be on our way there: that is "unknown" above.
    if tally.values().all(|(answers, _)| *answers == 0) {
        return Vec::new();
    }
    tally
        .into_iter()
        .filter_map(|(server, (answers, why))| match (answers, why) {
            (0, Some(why)) => Some(finding(
                LAME_SERVER,
                Severity::Warning,
                server.to_owned(),
                &format!("answers for {}", domain.zone_or_self()),
                why,
                server,
                format!(
                    "Remove {server} from the name servers of {}, or have it serve the zone.",
                    domain.zone_or_self()
                ),
            )),
            _ => None,
        })
        .collect()
}

/// Our own target must resolve, to a public address and not by an alias (S2S-09).
pub(super) fn own_target(
    domain: &DomainFacts,
    seen: &Observation,
    settings: &PlatformSettings,
) -> Option<Finding> {
    let name = domain.target(settings);
    let host = seen.targets.get(&name)?;
    if host.resolves == Seen::No {
        return Some(finding(
            TARGET_UNRESOLVABLE,
            Severity::Critical,
            name.clone(),
            "an address",
            "no address",
            "",
            "Nothing to do on your side: our own zone lacks the host, and we have been told."
                .into(),
        ));
    }
    let listed = |addresses: &[IpAddr]| {
        let spelled: BTreeSet<_> = addresses.iter().map(ToString::to_string).collect();
        spelled.into_iter().collect::<Vec<_>>().join(", ")
    };
    let (wanted, there) = (listed(&settings.addresses), listed(&host.addresses));
    (host.resolves == Seen::Yes && !wanted.is_empty() && wanted != there).then(|| {
        finding(
            TARGET_DRIFT,
            Severity::Warning,
            name.clone(),
            &wanted,
            &there,
            "",
            "Nothing to do: we publish ours again by ourselves.".into(),
        )
    })
}

pub(super) fn unknown(record: &DesiredRecord, why: String) -> Finding {
    finding(
        RESOLVER_UNKNOWN,
        Severity::Unknown,
        subject(record),
        &record.value_text,
        &why,
        "",
        "Nothing to do: it is asked again by itself.".into(),
    )
}

pub(super) fn why_unknown(view: &SetView) -> String {
    let failures = view
        .servers
        .iter()
        .chain(view.resolver.iter())
        .filter_map(|answered| match &answered.sight {
            Sight::Failed(why) => Some(format!("{}: {why}", answered.asked)),
            _ => None,
        });
    let text = failures
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect::<Vec<_>>()
        .join("; ");
    if text.is_empty() {
        "no name server could be asked".into()
    } else {
        text
    }
}

fn is_localhost(name: &str) -> bool {
    name == "localhost"
        || name.ends_with(".localhost")
        || name.ends_with(".local")
        || name == "localhost.localdomain"
}

/// Addresses where nobody outside reaches anything.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(v6) => {
            let first = v6.segments()[0];
            v6.is_loopback()
                || v6.is_unspecified()
                || (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfe80
                || v6
                    .to_ipv4_mapped()
                    .is_some_and(|v4| is_private(IpAddr::V4(v4)))
        }
    }
}

/// A value at the end of a sentence: the dot that ends an absolute name would stand beside the full stop. What is to be
/// copied is shown apart, with its dot.
pub(super) fn in_a_sentence(value: &str) -> &str {
    value.strip_suffix('.').unwrap_or(value)
}
