//! What is wrong, with a stable code: the difference between desired and observed, as a pure function.
//!
//! Panel, CLI, API, metrics and mail use the codes of [`CODES`]; a code never changes its meaning. What could not be asked
//! is [`Severity::Unknown`] and never counts against a domain. DNSSEC failures and missing zones come first and alone,
//! because they explain the rest.

mod caa;
mod codes;
mod dns;
mod excess;
mod identity;
mod persist;
mod proof;
mod publishing;
mod web;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;

use serde::Serialize;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

pub use self::caa::{caa_allows, caa_line};
pub use self::codes::*;
pub(crate) use self::dns::doubled_name;
pub(crate) use self::identity::covers;
pub(crate) use self::persist::believes;
pub use self::publishing::Publishing;

use crate::domain::{State, VerdictView};
use crate::observe::{Data, Observation, Rtype, SetView, Sight, cut};
use crate::outside::{IssuerInfo, Probe};
use crate::records::{
    DesiredRecord, DomainFacts, OWNERSHIP_PREFIX, Purpose, RecordValue, Standing,
};
use crate::settings::PlatformSettings;

/// How bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Worth knowing.
    Info,
    /// We could not ask; nothing is wrong.
    Unknown,
    /// Will hurt, or hurts a few.
    Warning,
    /// People feel it.
    Critical,
}

impl Severity {
    const ALL: [Self; 5] = [
        Self::Ok,
        Self::Info,
        Self::Unknown,
        Self::Warning,
        Self::Critical,
    ];

    /// Word of the store, JSON and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Info => "info",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// The severity of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|severity| severity.as_str() == word)
    }
}

/// One check's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Of [`CODES`].
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// What it is about, usually a name.
    pub subject: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub observed: String,
    /// Who said so.
    pub asked: String,
    /// What to do, one sentence in the second person.
    pub fix: String,
}

/// One row of "what the world sees".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingView {
    /// Stable code ([`CODES`]); `ok` for a good row.
    pub code: String,
    /// How bad.
    pub severity: Severity,
    /// What it is about, usually a name: `_xmpp-client._tcp.example.com`.
    pub subject: String,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub observed: String,
    /// Which server said so.
    pub asked: String,
    /// What to do, one sentence in the second person; empty when good.
    pub fix: String,
    /// Seen like this since.
    #[serde(serialize_with = "crate::time::at")]
    pub since: Timestamp,
    /// Looked at again.
    #[serde(serialize_with = "crate::time::maybe")]
    pub next_check: Option<Timestamp>,
}

/// A stored row as it is shown.
pub(crate) fn view(row: store::FindingRow, next_check: Option<Timestamp>) -> Option<FindingView> {
    Some(FindingView {
        severity: Severity::parse(&row.severity)?,
        code: row.code,
        subject: row.subject,
        expected: row.expected,
        observed: row.observed,
        asked: row.asked,
        fix: row.fix,
        since: row.since,
        next_check,
    })
}

/// A certificate as the checks need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Does it hold the domain's name?
    pub covers_domain: bool,
    /// dNSNames in it, A-labels.
    pub names: Vec<String>,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
}

/// What the identity and door checks need beside the DNS.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// Where the domain stands.
    pub state: State,
    /// The certificate in use.
    pub certificate: Option<CertificateFacts>,
    /// The token was seen while another customer's proof stands.
    pub taken: bool,
    /// Names of its services that are another customer's domains.
    pub elsewhere: &'a [DomainName],
    /// Until when the proof of ownership may be missing before the domain is stopped.
    pub proof_ends: Option<Timestamp>,
    /// Last failed order in the CA's words, if the last one failed.
    pub order_failed: Option<String>,
    /// The probe, if one was made.
    pub probe: Option<Probe>,
    /// What is published of the domain's identities; `None`: that is not looked at.
    pub publishing: Option<Publishing<'a>>,
    /// Who would accept the domain and its services today.
    pub verdicts: &'a [VerdictView],
    /// The platform.
    pub settings: &'a PlatformSettings,
    /// Who issues.
    pub issuer: &'a IssuerInfo,
    /// Who steps in where it cannot.
    pub second: &'a [IssuerInfo],
    /// The time.
    pub now: Timestamp,
}

/// Everything at once: DNS, identity, door; good rows too, worst first.
pub fn checks(
    domain: &DomainFacts,
    desired: &[DesiredRecord],
    seen: &Observation,
    around: &Surroundings<'_>,
) -> Vec<Finding> {
    let mut rows = difference(domain, desired, seen, around.settings);
    // One explanation is enough: without a zone, or with a bogus one, nothing else can be judged.
    if !rows
        .iter()
        .any(|row| matches!(row.code, DNSSEC_BOGUS | ZONE_MISSING))
    {
        let bad: BTreeSet<String> = rows
            .iter()
            .filter(|row| row.severity > Severity::Info)
            .map(|row| row.subject.clone())
            .collect();
        let noted: BTreeSet<String> = rows.iter().map(|row| row.subject.clone()).collect();
        for record in desired {
            let subject = subject(record);
            // A remark does not hide that the record is there.
            let good = !noted.contains(&subject) || standing(record, seen) == Standing::Seen;
            if good && !bad.contains(&subject) {
                let asked = seen
                    .set(rtype(record), &record.name)
                    .map(who)
                    .unwrap_or_default();
                rows.push(Finding {
                    code: OK,
                    severity: Severity::Ok,
                    subject,
                    expected: record.value_text.clone(),
                    observed: record.value_text.clone(),
                    asked,
                    fix: String::new(),
                });
            }
        }
        let issuers = (around.issuer, around.second);
        rows.extend(caa::caa(domain, seen, issuers, around.settings));
        rows.extend(excess::caa_too_large(domain, seen));
        rows.extend(web::web(domain, seen, around.settings));
        rows.extend(proof::proof(domain, around));
        let (issuer, now) = (around.issuer, around.now.0);
        rows.extend(persist::persist(domain, desired, seen, issuer, now));
        for row in &mut rows {
            advise(row, around.issuer);
        }
    }
    if around.taken {
        rows.push(finding(
            CLAIMED_ELSEWHERE,
            Severity::Critical,
            domain.ascii(),
            "a domain that nobody else has here",
            "another customer's proof, which is in force",
            "this server",
            "Ask whoever set it up, or the operator of this service.".into(),
        ));
    }
    for name in around.elsewhere {
        rows.push(finding(
            CLAIMED_ELSEWHERE,
            Severity::Warning,
            name.to_string(),
            "a service of your domain",
            "a domain of another customer, who has shown that it is theirs",
            "this server",
            format!(
                "Switch the service off; or, if it should be yours, take the record _domicile.{} out of your zone.",
                name.to_ascii()
            ),
        ));
    }
    rows.extend(identity::identity(domain, around));
    rows.extend(publishing::publishing(domain, desired, seen, around));
    rows.extend(identity::door(domain, around));
    for row in &mut rows {
        soften(row, around);
    }
    rows.sort_by(|a, b| {
        (rank(a.code, a.severity), &a.subject).cmp(&(rank(b.code, b.severity), &b.subject))
    });
    rows
}

/// Where the owner's own challenges are in the way of ours, a record that stands beside them does as well, if it is offered.
fn advise(row: &mut Finding, issuer: &IssuerInfo) {
    let in_the_way = match row.code {
        ACME_HIDDEN_TXT | ACME_CNAME_WRONG => true,
        ACME_CNAME_MISSING => row.observed.starts_with("TXT "),
        _ => false,
    };
    if in_the_way && !issuer.persistent.is_empty() {
        row.fix.push_str(
            " Or, if you need that name yourself, choose the record that stands for ever (dns-persist).",
        );
    }
}

/// What was critical on the way in weighs less while the domain is served: nobody feels it yet, but it must be mended in time.
fn soften(row: &mut Finding, around: &Surroundings<'_>) {
    if row.severity != Severity::Critical || !around.state.is_served() {
        return;
    }
    let holds = around.certificate.as_ref().is_some_and(|facts| {
        let lifetime = facts.not_after.0 - facts.not_before.0;
        facts.covers_domain && facts.not_after.0 - around.now.0 > lifetime / 5
    });
    match row.code {
        ACME_CNAME_MISSING
        | ACME_CNAME_WRONG
        | ACME_HIDDEN_TXT
        | CAA_FORBIDS
        | ACME_PERSIST_MISSING
        | ACME_PERSIST_WRONG
        | ACME_PERSIST_ENDS
        | ACME_PERSIST_UNOFFERED
        | ACME_HTTP_NO_ADDRESS
        | ACME_HTTP_NO_ANSWER
        | ACME_HTTP_PRIVATE
        | ACME_HTTP_ELSEWHERE
        | ACME_HTTP_PATH_LOST
        | ACME_HTTP_LOOP
        | ACME_HTTP_BAD_REDIRECT
            if holds =>
        {
            row.severity = Severity::Warning
        }
        OWNERSHIP_MISSING | OWNERSHIP_MISMATCH => {
            row.code = OWNERSHIP_LAPSED;
            row.severity = Severity::Warning;
            if let Some(ends) = around.proof_ends {
                row.fix = format!(
                    "{} If it is not back by {}, the domain is stopped.",
                    row.fix,
                    ends.to_xep0082()
                );
            }
        }
        _ => {}
    }
}

/// The order in which rows are shown.
pub(crate) fn order(a: &FindingView, b: &FindingView) -> std::cmp::Ordering {
    (rank(&a.code, a.severity), &a.subject).cmp(&(rank(&b.code, b.severity), &b.subject))
}

/// DNSSEC and a missing zone come first, because they explain the rest.
fn rank(code: &str, severity: Severity) -> u8 {
    match (code, severity) {
        (DNSSEC_BOGUS | ZONE_MISSING | CLAIMED_ELSEWHERE, _) => 0,
        (_, Severity::Critical) => 1,
        (_, Severity::Warning) => 2,
        (_, Severity::Unknown) => 3,
        (_, Severity::Info) => 4,
        (_, Severity::Ok) => 5,
    }
}

/// What differs in the DNS; good records yield nothing.
pub fn difference(
    domain: &DomainFacts,
    desired: &[DesiredRecord],
    seen: &Observation,
    settings: &PlatformSettings,
) -> Vec<Finding> {
    if let Some((_, view)) = seen.sets.iter().find(|(_, view)| view.is_bogus()) {
        return vec![finding(
            DNSSEC_BOGUS,
            Severity::Critical,
            domain.zone_or_self(),
            "signatures that validate, or an unsigned zone",
            "signatures that do not validate",
            view.resolver
                .as_ref()
                .map(|answered| answered.asked.as_str())
                .unwrap_or_default(),
            format!(
                "Correct or remove the DS record of {} at your registrar, or have your DNS host sign the zone again.",
                domain.zone_or_self()
            ),
        )];
    }
    if seen.domain_missing {
        return vec![finding(
            ZONE_MISSING,
            Severity::Critical,
            domain.ascii(),
            "a registered domain with name servers",
            "no such name",
            "",
            format!(
                "Check the spelling of {}, or register it and give it name servers.",
                domain.name
            ),
        )];
    }
    let mut findings = Vec::new();
    for record in desired {
        match seen.set(rtype(record), &record.name) {
            None => findings.push(dns::unknown(record, "not asked yet".into())),
            Some(view) if view.is_unknown() => {
                findings.push(dns::unknown(record, dns::why_unknown(view)))
            }
            Some(view) => findings.extend(dns::one(domain, record, view, seen, settings)),
        }
    }
    findings.extend(excess::too_large(desired, seen));
    findings.extend(dns::lame(domain, seen));
    findings.extend(dns::own_target(domain, seen, settings));
    findings
}

/// How one record stands.
pub fn standing(record: &DesiredRecord, seen: &Observation) -> Standing {
    let Some(view) = seen.set(rtype(record), &record.name) else {
        return Standing::Unknown;
    };
    let answers = view.answers();
    if answers.is_empty() {
        return Standing::Unknown;
    }
    if answers
        .iter()
        .all(|answered| holds(record, &answered.sight))
    {
        Standing::Seen
    } else if answers
        .iter()
        .all(|answered| answered.sight.data().is_empty())
    {
        Standing::Missing
    } else {
        Standing::Different
    }
}

/// Existing records of the same name and type that the desired one replaces, as zone files spell them.
pub fn replaced(record: &DesiredRecord, seen: &Observation) -> Vec<String> {
    let Some(view) = seen.set(rtype(record), &record.name) else {
        return Vec::new();
    };
    let mut others = BTreeSet::new();
    for answered in view.answers() {
        if matches!(answered.sight, Sight::Records { aliased: true, .. }) {
            continue;
        }
        for data in answered.sight.data() {
            // Other people's TXT at our own name may stay; only an old token of ours is in the way.
            let in_the_way = match data {
                Data::Txt(text) => text.starts_with(OWNERSHIP_PREFIX),
                _ => true,
            };
            if in_the_way && !same(record, data) {
                others.insert(data.to_string());
            }
        }
    }
    others.into_iter().collect()
}

fn finding(
    code: &'static str,
    severity: Severity,
    subject: String,
    expected: &str,
    observed: &str,
    asked: &str,
    fix: String,
) -> Finding {
    Finding {
        code,
        severity,
        subject,
        expected: expected.to_owned(),
        observed: cut(observed.to_owned()),
        asked: asked.to_owned(),
        fix,
    }
}

/// `SRV _xmpp-client._tcp.example.com`.
pub(crate) fn subject(record: &DesiredRecord) -> String {
    format!("{} {}", record.rtype, record.name.trim_end_matches('.'))
}

pub(crate) fn rtype(record: &DesiredRecord) -> Rtype {
    match record.value {
        RecordValue::Txt { .. } => Rtype::Txt,
        RecordValue::Srv { .. } => Rtype::Srv,
        RecordValue::Cname { .. } => Rtype::Cname,
    }
}

/// Is this exactly the wanted data? Priority and weight are the owner's to choose.
pub(crate) fn same(record: &DesiredRecord, data: &Data) -> bool {
    match (&record.value, data) {
        (RecordValue::Txt { text }, Data::Txt(seen)) if record.purpose == Purpose::Persist => {
            persist::same(text, seen)
        }
        (RecordValue::Txt { text }, Data::Txt(seen)) => text == seen,
        (RecordValue::Cname { target }, Data::Cname(seen)) => target == seen,
        (
            RecordValue::Srv { port, target, .. },
            Data::Srv {
                port: seen_port,
                target: seen,
                ..
            },
        ) => port == seen_port && target == seen,
        _ => false,
    }
}

pub(crate) fn holds(record: &DesiredRecord, sight: &Sight) -> bool {
    sight.data().iter().any(|data| same(record, data))
}

fn spelled(sight: &Sight) -> String {
    match sight {
        Sight::Records { data, beyond, .. } => {
            let list = data.iter().map(ToString::to_string).collect::<Vec<_>>();
            match beyond {
                Some(all) => format!("{all}, among them {}", list.join(", ")),
                None => list.join(", "),
            }
        }
        Sight::Lost => "an alias that leads in a circle, or through too many others".into(),
        Sight::Nothing => "nothing".into(),
        Sight::Failed(why) => why.clone(),
        Sight::Bogus => "signatures that do not validate".into(),
    }
}

fn seen_text(view: &SetView) -> String {
    view.answers()
        .first()
        .map_or_else(|| "nothing".into(), |answered| spelled(&answered.sight))
}

fn who(view: &SetView) -> String {
    view.answers()
        .iter()
        .map(|answered| answered.asked.as_str())
        .collect::<Vec<_>>()
        .join(", ")
}
