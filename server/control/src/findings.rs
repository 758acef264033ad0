//! What is wrong, with a stable code: the difference between desired and observed, as a pure function.
//!
//! Panel, CLI, API, metrics and mail use the codes of [`CODES`]; a code never changes its meaning. What could not be asked
//! is [`Severity::Unknown`] and never counts against a domain. DNSSEC failures and missing zones come first and alone,
//! because they explain the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::Serialize;
use xmpp::timestamp::Timestamp;

use crate::domain::{Seen, State};
use crate::observe::{CaaView, Data, Observation, Rtype, SetView, Sight};
use crate::outside::{IssuerInfo, Probe};
use crate::records::{
    DesiredRecord, DomainFacts, Mode, OWNERSHIP_PREFIX, Purpose, RecordValue, Standing,
};
use crate::settings::PlatformSettings;
use crate::time::DAY;

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

/// A code with what it means and the general remedy (a finding's own `fix` names the values).
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Code {
    /// Stable.
    pub code: &'static str,
    /// What was seen.
    pub meaning: &'static str,
    /// What to do.
    pub fix: &'static str,
}

macro_rules! codes {
    ($($name:ident $code:literal $meaning:literal $fix:literal;)*) => {
        $(#[doc = $meaning] pub const $name: &str = $code;)*
        /// Every code, documented. `ok` is the code of a good row.
        pub const CODES: &[Code] = &[$(Code { code: $code, meaning: $meaning, fix: $fix },)*];
    };
}

codes! {
    OK "ok" "What should be there is there." "Nothing to do.";
    DNSSEC_BOGUS "dnssec-bogus" "The zone's DNSSEC signatures do not validate, so everybody who checks them sees nothing at all." "Correct or remove the DS record at your registrar, or have your DNS host sign the zone again.";
    ZONE_MISSING "zone-missing" "The domain does not exist in the DNS." "Check the spelling, or register the domain and give it name servers.";
    LAME_SERVER "lame-server" "A name server that the zone names does not answer for it." "Remove the server from the domain's name servers, or have it serve the zone.";
    NAMESERVERS_DISAGREE "nameservers-disagree" "The zone's name servers give different answers." "Wait until the change has reached all of them; if it does not within an hour, ask your DNS host.";
    RESOLVER_UNKNOWN "resolver-unknown" "The question could not be asked." "Nothing to do: it is asked again by itself.";
    RESOLVER_STALE "resolver-stale" "Your name servers have the record; resolvers still remember the former answer." "Wait until the former answer's lifetime is over.";
    OWNERSHIP_MISSING "ownership-missing" "The record that shows the domain is yours is not there." "Publish the TXT record.";
    OWNERSHIP_MISMATCH "ownership-mismatch" "The record that shows the domain is yours holds another token." "Replace its text by the one shown.";
    NAME_DOUBLED "name-doubled" "The DNS host has added the zone's name once more: the record's name (or target) ends in it twice." "Use the relative name, or end the name with a dot.";
    SRV_MISSING "srv-missing" "A record that leads to the service is not there." "Publish the SRV record.";
    SRV_WRONG_TARGET "srv-wrong-target" "The record points at another host." "Replace it by the one shown.";
    SRV_LEFTOVER "srv-leftover" "Beside our record an old one still leads somewhere else." "Delete the other SRV record of this name.";
    SRV_WRONG_PORT "srv-wrong-port" "The record names another port." "Correct the port.";
    SRV_SWAPPED_TLS "srv-swapped-tls" "The record for direct TLS names the STARTTLS port, or the other way round." "Correct the port: _xmpps-… and _xmpp-… differ.";
    SRV_TARGET_ALIAS "srv-target-alias" "The record points at a name that is an alias (CNAME), which RFC 2782 forbids." "Let it point at our host directly.";
    SRV_TARGET_PRIVATE "srv-target-private" "The record points at localhost or a private address, where nobody else can reach anything." "Let it point at our host.";
    SRV_SERVICE_OFF "srv-service-off" "The record says \".\": the service is decidedly not available." "Replace it by the one shown.";
    TARGET_UNRESOLVABLE "target-unresolvable" "The name of our own host does not resolve. This is ours to mend." "Nothing to do on your side; we have been told.";
    ACME_CNAME_MISSING "acme-cname-missing" "The alias that lets us obtain the certificate is not there." "Publish the CNAME record.";
    ACME_CNAME_WRONG "acme-cname-wrong" "The alias that lets us obtain the certificate points elsewhere." "Replace it by the one shown.";
    ACME_HIDDEN_TXT "acme-hidden-txt" "A TXT record stands beside (and may hide) the alias at the challenge name." "Delete the TXT record; a name with a CNAME must hold nothing else.";
    CAA_FORBIDS "caa-forbids" "The zone's CAA records do not allow our certificate authority." "Add the CAA record shown.";
    CERTIFICATE_MISSING "certificate-missing" "There is no certificate for the domain yet." "Publish the challenge record, or upload a certificate.";
    CERTIFICATE_EXPIRING "certificate-expiring" "The certificate ends soon and has not been renewed." "See what is in the way of renewal, or upload a new one.";
    CERTIFICATE_EXPIRED "certificate-expired" "The certificate has expired." "See what is in the way of renewal, or upload a new one.";
    CERTIFICATE_WRONG_NAME "certificate-wrong-name" "The certificate does not hold the domain's name." "Upload one that does, or let us order one.";
    CERTIFICATE_ORDER_FAILED "certificate-order-failed" "The certificate authority did not issue." "Read what it said; we try again by ourselves.";
    SERVICE_NAME_LEFT_OUT "service-name-left-out" "A service's name is not in the certificate." "Publish the service's challenge record.";
    PROBE_FAILED "probe-failed" "Going in by the public door as an app would, we were stopped." "If everything above is good, this is ours to mend; we have been told.";
    TTL_TOO_LONG "ttl-too-long" "The record may be remembered for more than a day, so a change takes as long to be seen." "Lower its TTL to an hour.";
    CLAIMED_ELSEWHERE "claimed-elsewhere" "Another customer of this service has shown that the domain is theirs." "Ask whoever set it up, or the operator of this service.";
    OWNERSHIP_LAPSED "ownership-lapsed" "The record that shows the domain is yours has gone." "Publish it again before the date shown, or the domain is stopped.";
}

/// Record TTL above which a change takes too long to be seen.
const LONG_TTL_SECONDS: u32 = 86_400;

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
    /// Until when the proof of ownership may be missing before the domain is stopped.
    pub proof_ends: Option<Timestamp>,
    /// Last failed order in the CA's words, if the last one failed.
    pub order_failed: Option<String>,
    /// The probe, if one was made.
    pub probe: Option<Probe>,
    /// The platform.
    pub settings: &'a PlatformSettings,
    /// Who issues.
    pub issuer: &'a IssuerInfo,
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
            if !bad.contains(&subject)
                && !(noted.contains(&subject) && standing(record, seen) != Standing::Seen)
            {
                let asked = seen
                    .set(rtype(record), &record.name)
                    .map(|view| who(view))
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
        rows.extend(caa(domain, seen, around.issuer));
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
    rows.extend(identity(domain, around));
    rows.extend(door(domain, around));
    for row in &mut rows {
        soften(row, around);
    }
    rows.sort_by(|a, b| {
        (rank(a.code, a.severity), &a.subject).cmp(&(rank(b.code, b.severity), &b.subject))
    });
    rows
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
        ACME_CNAME_MISSING | ACME_CNAME_WRONG | ACME_HIDDEN_TXT | CAA_FORBIDS if holds => {
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
            None => findings.push(unknown(record, "not asked yet".into())),
            Some(view) if view.is_unknown() => findings.push(unknown(record, why_unknown(view))),
            Some(view) => findings.extend(one(domain, record, view, seen, settings)),
        }
    }
    findings.extend(lame(domain, seen));
    findings.extend(own_target(domain, seen, settings));
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

fn one(
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
    {
        if !view.servers.is_empty() && !holds(record, &resolver.sight) {
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
            &format!("\"{text}\""),
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
            record.name, record.value_text
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
                    record.name, record.value_text
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
fn leftovers(record: &DesiredRecord, answers: &[&crate::observe::Answered]) -> Option<Finding> {
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
    let list: Vec<_> = others.keys().cloned().collect();
    Some(finding(
        SRV_LEFTOVER,
        severity,
        subject(record),
        &record.value_text,
        &format!("also {}", list.join(", ")),
        &answers
            .iter()
            .map(|answered| answered.asked.as_str())
            .collect::<Vec<_>>()
            .join(", "),
        format!(
            "Delete the SRV record {} with {}.",
            record.name,
            list.join(" and ")
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

fn lame(domain: &DomainFacts, seen: &Observation) -> Vec<Finding> {
    let mut tally: BTreeMap<&str, (usize, Option<&str>)> = BTreeMap::new();
    for answered in seen.sets.values().flat_map(|view| &view.servers) {
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
fn own_target(
    domain: &DomainFacts,
    seen: &Observation,
    settings: &PlatformSettings,
) -> Option<Finding> {
    let name = domain.target(settings);
    let host = seen.targets.get(&name)?;
    (host.resolves == Seen::No).then(|| {
        finding(
            TARGET_UNRESOLVABLE,
            Severity::Critical,
            name.clone(),
            "an address",
            "no address",
            "",
            "Nothing to do on your side: our own zone lacks the host, and we have been told."
                .into(),
        )
    })
}

/// CAA of the domain (ACME-09).
fn caa(domain: &DomainFacts, seen: &Observation, issuer: &IssuerInfo) -> Option<Finding> {
    if domain.mode != Mode::DelegatedChallenge {
        return None;
    }
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
    (!caa_allows(view, issuer)).then(|| {
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
pub fn caa_allows(view: &CaaView, issuer: &IssuerInfo) -> bool {
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
            && parts
                .filter_map(|part| part.split_once('='))
                .all(|(key, value)| {
                    match (key.trim().to_ascii_lowercase().as_str(), value.trim()) {
                        ("accounturi", uri) => issuer.account_uri.as_deref() == Some(uri),
                        ("validationmethods", methods) => methods
                            .split(',')
                            .any(|method| method.trim().eq_ignore_ascii_case("dns-01")),
                        _ => true,
                    }
                })
    })
}

fn identity(domain: &DomainFacts, around: &Surroundings<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = domain.ascii();
    let subject = format!("certificate {name}");
    let served = matches!(around.state, State::Live | State::Degraded);
    let wanted = format!("a certificate for {}", domain.name);
    let upload = domain.mode == Mode::Uploaded;
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
            } else {
                "Publish the challenge record; we then order the certificate by ourselves.".into()
            },
        )),
        Some(facts) => {
            let left = facts.not_after.0 - around.now.0;
            let lifetime = (facts.not_after.0 - facts.not_before.0).max(1);
            let until = facts.not_after.to_xep0082();
            if !facts.covers_domain {
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
                around
                    .settings
                    .service_names
                    .iter()
                    .any(|service| service.label == **label)
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

fn door(domain: &DomainFacts, around: &Surroundings<'_>) -> Option<Finding> {
    let subject = format!("sign-in {}", domain.ascii());
    let expected = "an app gets in by the public door";
    Some(match around.probe.as_ref()? {
        Probe::Passed { seen } => {
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

fn unknown(record: &DesiredRecord, why: String) -> Finding {
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

fn why_unknown(view: &SetView) -> String {
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
        observed: observed.to_owned(),
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
fn same(record: &DesiredRecord, data: &Data) -> bool {
    match (&record.value, data) {
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
        Sight::Records { data, .. } => data
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", "),
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use xmpp::jid::DomainName;

    use super::*;
    use crate::observe::{Answered, CaaProperty, TargetView, question};
    use crate::records::desired;
    use crate::settings::{Limits, Pace, Ports, ServiceName};

    const ZONE: &str = "example.com";
    const TARGET: &str = "d7f3k2.on.hosting.example";

    fn settings() -> PlatformSettings {
        PlatformSettings {
            name: "Domicile".into(),
            platform_zone: "on.hosting.example".into(),
            addresses: vec!["192.0.2.1".parse().unwrap()],
            ports: Ports::default(),
            record_ttl_seconds: 3600,
            private_addresses: false,
            sign_up: true,
            limits: Limits::default(),
            pace: Pace::real(),
            service_names: vec![ServiceName {
                label: "rooms".into(),
                purpose: "group chats".into(),
                federated: true,
            }],
        }
    }

    fn issuer() -> IssuerInfo {
        IssuerInfo {
            name: "Test CA".into(),
            caa_identities: vec!["ca.example".into()],
            account_uri: Some("https://ca.example/acct/1".into()),
        }
    }

    fn facts() -> DomainFacts {
        DomainFacts {
            name: DomainName::parse(ZONE).unwrap(),
            label: "d7f3k2".into(),
            token: "tok".into(),
            mode: Mode::DelegatedChallenge,
            services: vec![],
            zone: Some(ZONE.into()),
        }
    }

    fn records(data: Vec<Data>) -> Sight {
        Sight::Records {
            data,
            ttl_seconds: 3600,
            aliased: false,
        }
    }

    fn srv(port: u16, target: &str) -> Data {
        Data::Srv {
            priority: 0,
            weight: 5,
            port,
            target: target.into(),
        }
    }

    fn everywhere(sight: Sight) -> SetView {
        let answered = |asked: &str| Answered {
            asked: asked.into(),
            sight: sight.clone(),
            secure: false,
        };
        SetView {
            resolver: Some(answered("resolver")),
            servers: vec![answered("ns1.example.net"), answered("ns2.example.net")],
        }
    }

    /// A zone where everything is as it should be.
    fn good() -> Observation {
        let mut seen = Observation {
            zone: Some(ZONE.into()),
            ..Observation::default()
        };
        for record in desired(&facts(), &settings()) {
            let data = match &record.value {
                RecordValue::Txt { text } => Data::Txt(text.clone()),
                RecordValue::Cname { target } => Data::Cname(target.clone()),
                RecordValue::Srv { port, target, .. } => srv(*port, target),
            };
            seen.sets.insert(
                question(rtype(&record), &record.name),
                everywhere(records(vec![data])),
            );
        }
        seen.targets.insert(TARGET.into(), host("192.0.2.1"));
        seen
    }

    fn host(address: &str) -> TargetView {
        TargetView {
            alias: None,
            addresses: vec![address.parse().unwrap()],
            resolves: Seen::Yes,
        }
    }

    fn set(seen: &mut Observation, rtype: Rtype, name: &str, view: SetView) {
        seen.sets.insert(question(rtype, name), view);
    }

    /// The codes that a change of the good zone yields.
    fn codes(change: impl FnOnce(&mut Observation)) -> Vec<(&'static str, Severity)> {
        let mut seen = good();
        change(&mut seen);
        let mut found: Vec<_> = difference(
            &facts(),
            &desired(&facts(), &settings()),
            &seen,
            &settings(),
        )
        .into_iter()
        .map(|row| (row.code, row.severity))
        .collect();
        found.extend(caa(&facts(), &seen, &issuer()).map(|row| (row.code, row.severity)));
        found
    }

    fn check(change: impl FnOnce(&mut Observation), expected: &[(&'static str, Severity)]) {
        assert_eq!(codes(change), expected);
    }

    const CLIENT: &str = "_xmpp-client._tcp.example.com";
    const CLIENT_TLS: &str = "_xmpps-client._tcp.example.com";
    const PROOF: &str = "_domicile.example.com";
    const CHALLENGE: &str = "_acme-challenge.example.com";

    fn client(sight: Sight) -> impl FnOnce(&mut Observation) {
        move |seen| set(seen, Rtype::Srv, CLIENT, everywhere(sight))
    }

    #[test]
    fn a_good_zone_yields_nothing() {
        check(|_| {}, &[]);
    }

    #[test]
    fn ownership_missing_and_mismatch() {
        check(
            |seen| set(seen, Rtype::Txt, PROOF, everywhere(Sight::Nothing)),
            &[(OWNERSHIP_MISSING, Severity::Critical)],
        );
        check(
            |seen| {
                set(
                    seen,
                    Rtype::Txt,
                    PROOF,
                    everywhere(records(vec![Data::Txt("v=spf1 -all".into())])),
                )
            },
            &[(OWNERSHIP_MISSING, Severity::Critical)],
        );
        check(
            |seen| {
                set(
                    seen,
                    Rtype::Txt,
                    PROOF,
                    everywhere(records(vec![Data::Txt("domicile-verify=other".into())])),
                )
            },
            &[(OWNERSHIP_MISMATCH, Severity::Critical)],
        );
    }

    #[test]
    fn srv_missing_is_critical_only_where_it_is_needed() {
        check(client(Sight::Nothing), &[(SRV_MISSING, Severity::Critical)]);
        check(
            |seen| set(seen, Rtype::Srv, CLIENT_TLS, everywhere(Sight::Nothing)),
            &[(SRV_MISSING, Severity::Info)],
        );
    }

    #[test]
    fn srv_wrong_target() {
        check(
            client(records(vec![srv(5222, "old.example.net")])),
            &[(SRV_WRONG_TARGET, Severity::Critical)],
        );
    }

    #[test]
    fn srv_leftover_weighs_by_priority() {
        check(
            client(records(vec![
                srv(5222, TARGET),
                srv(5222, "old.example.net"),
            ])),
            &[(SRV_LEFTOVER, Severity::Critical)],
        );
        let worse = Data::Srv {
            priority: 10,
            weight: 0,
            port: 5222,
            target: "old.example.net".into(),
        };
        check(
            client(records(vec![srv(5222, TARGET), worse])),
            &[(SRV_LEFTOVER, Severity::Warning)],
        );
    }

    #[test]
    fn srv_wrong_port_and_swapped() {
        check(
            client(records(vec![srv(5299, TARGET)])),
            &[(SRV_WRONG_PORT, Severity::Critical)],
        );
        check(
            client(records(vec![srv(5223, TARGET)])),
            &[(SRV_SWAPPED_TLS, Severity::Critical)],
        );
        check(
            |seen| {
                set(
                    seen,
                    Rtype::Srv,
                    CLIENT_TLS,
                    everywhere(records(vec![srv(5222, TARGET)])),
                )
            },
            &[(SRV_SWAPPED_TLS, Severity::Info)],
        );
    }

    #[test]
    fn s2s_09_srv_target_is_an_alias() {
        check(
            |seen| {
                set(
                    seen,
                    Rtype::Srv,
                    CLIENT,
                    everywhere(records(vec![srv(5222, "chat.example.com")])),
                );
                seen.targets.insert(
                    "chat.example.com".into(),
                    TargetView {
                        alias: Some(TARGET.into()),
                        addresses: vec!["192.0.2.1".parse().unwrap()],
                        resolves: Seen::Yes,
                    },
                );
            },
            &[(SRV_TARGET_ALIAS, Severity::Critical)],
        );
    }

    #[test]
    fn srv_target_private() {
        check(
            client(records(vec![srv(5222, "localhost")])),
            &[(SRV_TARGET_PRIVATE, Severity::Critical)],
        );
        check(
            |seen| {
                set(
                    seen,
                    Rtype::Srv,
                    CLIENT,
                    everywhere(records(vec![srv(5222, "box.example.com")])),
                );
                seen.targets
                    .insert("box.example.com".into(), host("10.0.0.7"));
            },
            &[(SRV_TARGET_PRIVATE, Severity::Critical)],
        );
        assert!(is_private(IpAddr::V4(Ipv4Addr::new(100, 64, 0, 1))));
        assert!(!is_private("2001:db8::1".parse().unwrap()));
    }

    #[test]
    fn srv_service_off() {
        check(
            client(records(vec![srv(0, "")])),
            &[(SRV_SERVICE_OFF, Severity::Critical)],
        );
    }

    #[test]
    fn name_doubled_by_a_relative_record() {
        check(
            |seen| {
                set(seen, Rtype::Srv, CLIENT, everywhere(Sight::Nothing));
                set(
                    seen,
                    Rtype::Srv,
                    "_xmpp-client._tcp.example.com.example.com",
                    everywhere(records(vec![srv(5222, TARGET)])),
                );
            },
            &[(NAME_DOUBLED, Severity::Critical)],
        );
        check(
            |seen| {
                set(seen, Rtype::Txt, PROOF, everywhere(Sight::Nothing));
                set(
                    seen,
                    Rtype::Txt,
                    "_domicile.example.com.example.com",
                    everywhere(records(vec![Data::Txt("domicile-verify=tok".into())])),
                );
            },
            &[(NAME_DOUBLED, Severity::Critical)],
        );
        check(
            client(records(vec![srv(5222, &format!("{TARGET}.example.com"))])),
            &[(NAME_DOUBLED, Severity::Critical)],
        );
    }

    #[test]
    fn acme_06_cname_missing_wrong_hidden() {
        check(
            |seen| set(seen, Rtype::Cname, CHALLENGE, everywhere(Sight::Nothing)),
            &[(ACME_CNAME_MISSING, Severity::Critical)],
        );
        check(
            |seen| {
                set(
                    seen,
                    Rtype::Cname,
                    CHALLENGE,
                    everywhere(records(vec![Data::Cname("elsewhere.example".into())])),
                )
            },
            &[(ACME_CNAME_WRONG, Severity::Critical)],
        );
        check(
            |seen| {
                set(
                    seen,
                    Rtype::Txt,
                    CHALLENGE,
                    everywhere(records(vec![Data::Txt("old challenge".into())])),
                )
            },
            &[(ACME_HIDDEN_TXT, Severity::Critical)],
        );
        // Behind the alias a TXT is what we want.
        check(
            |seen| {
                set(
                    seen,
                    Rtype::Txt,
                    CHALLENGE,
                    everywhere(Sight::Records {
                        data: vec![Data::Txt("ours".into())],
                        ttl_seconds: 60,
                        aliased: true,
                    }),
                )
            },
            &[],
        );
    }

    fn caa_set(properties: &[(bool, &str, &str)]) -> CaaView {
        CaaView {
            owner: ZONE.into(),
            properties: properties
                .iter()
                .map(|(critical, tag, value)| CaaProperty {
                    critical: *critical,
                    tag: (*tag).into(),
                    value: (*value).into(),
                })
                .collect(),
            failed: None,
        }
    }

    #[test]
    fn acme_09_caa() {
        let table: &[(&[(bool, &str, &str)], bool)] = &[
            (&[], true),
            (&[(false, "iodef", "mailto:a@example.com")], true),
            (&[(false, "issue", ";")], false),
            (&[(false, "issue", "other.example")], false),
            (
                &[
                    (false, "issue", "other.example"),
                    (false, "issue", "CA.example"),
                ],
                true,
            ),
            (
                &[(
                    false,
                    "issue",
                    "ca.example; accounturi=https://ca.example/acct/1",
                )],
                true,
            ),
            (
                &[(
                    false,
                    "issue",
                    "ca.example; accounturi=https://ca.example/acct/2",
                )],
                false,
            ),
            (
                &[(false, "issue", "ca.example; validationmethods=http-01")],
                false,
            ),
            (
                &[(
                    false,
                    "issue",
                    "ca.example; validationmethods=http-01,dns-01",
                )],
                true,
            ),
            (&[(false, "issuewild", ";")], true),
            (
                &[(true, "future", "x"), (false, "issue", "ca.example")],
                false,
            ),
        ];
        for (properties, allowed) in table {
            assert_eq!(
                caa_allows(&caa_set(properties), &issuer()),
                *allowed,
                "{properties:?}"
            );
        }
        check(
            |seen| {
                seen.caa
                    .insert(ZONE.into(), caa_set(&[(false, "issue", "other.example")]));
            },
            &[(CAA_FORBIDS, Severity::Critical)],
        );
        assert_eq!(
            caa_line(&issuer()).unwrap(),
            "0 issue \"ca.example; accounturi=https://ca.example/acct/1\""
        );
    }

    #[test]
    fn dnssec_bogus_comes_alone() {
        check(
            |seen| {
                for view in seen.sets.values_mut() {
                    view.resolver = Some(Answered {
                        asked: "resolver".into(),
                        sight: Sight::Bogus,
                        secure: false,
                    });
                }
            },
            &[(DNSSEC_BOGUS, Severity::Critical)],
        );
    }

    #[test]
    fn a_missing_zone_comes_alone() {
        check(
            |seen| seen.domain_missing = true,
            &[(ZONE_MISSING, Severity::Critical)],
        );
    }

    #[test]
    fn lame_server() {
        check(
            |seen| {
                for view in seen.sets.values_mut() {
                    view.servers[1].sight = Sight::Failed("REFUSED".into());
                }
            },
            &[(LAME_SERVER, Severity::Warning)],
        );
    }

    #[test]
    fn nameservers_disagree_while_a_change_spreads() {
        check(
            |seen| {
                let mut view = everywhere(records(vec![srv(5222, TARGET)]));
                view.servers[1].sight = Sight::Nothing;
                set(seen, Rtype::Srv, CLIENT, view);
            },
            &[(NAMESERVERS_DISAGREE, Severity::Warning)],
        );
    }

    #[test]
    fn silence_is_unknown_never_failed() {
        check(
            client(Sight::Failed("timed out".into())),
            &[(RESOLVER_UNKNOWN, Severity::Unknown)],
        );
        let all = codes(|seen| {
            for view in seen.sets.values_mut() {
                *view = everywhere(Sight::Failed("timed out".into()));
            }
        });
        assert!(
            all.iter()
                .all(|row| *row == (RESOLVER_UNKNOWN, Severity::Unknown)),
            "{all:?}"
        );
    }

    #[test]
    fn a_stale_resolver_is_only_info() {
        check(
            |seen| {
                let mut view = everywhere(records(vec![srv(5222, TARGET)]));
                view.resolver = Some(Answered {
                    asked: "resolver".into(),
                    sight: records(vec![srv(5222, "old.example.net")]),
                    secure: false,
                });
                set(seen, Rtype::Srv, CLIENT, view);
            },
            &[(RESOLVER_STALE, Severity::Info)],
        );
    }

    #[test]
    fn without_authoritative_answers_the_resolver_counts() {
        check(
            |seen| {
                for view in seen.sets.values_mut() {
                    view.servers.clear();
                }
            },
            &[],
        );
    }

    #[test]
    fn ttl_too_long() {
        check(
            client(Sight::Records {
                data: vec![srv(5222, TARGET)],
                ttl_seconds: 172_800,
                aliased: false,
            }),
            &[(TTL_TOO_LONG, Severity::Warning)],
        );
    }

    #[test]
    fn our_own_target_lacks_an_address() {
        check(
            |seen| {
                seen.targets.insert(
                    TARGET.into(),
                    TargetView {
                        alias: None,
                        addresses: vec![],
                        resolves: Seen::No,
                    },
                );
            },
            &[(TARGET_UNRESOLVABLE, Severity::Critical)],
        );
    }

    fn around<'a>(settings: &'a PlatformSettings, issuer: &'a IssuerInfo) -> Surroundings<'a> {
        Surroundings {
            state: State::Live,
            certificate: Some(CertificateFacts {
                covers_domain: true,
                names: vec![ZONE.into()],
                not_before: Timestamp(0),
                not_after: Timestamp(90 * DAY),
            }),
            taken: false,
            proof_ends: None,
            order_failed: None,
            probe: Some(Probe::Passed {
                seen: "192.0.2.1:5222".into(),
            }),
            settings,
            issuer,
            now: Timestamp(DAY),
        }
    }

    fn identity_codes(change: impl FnOnce(&mut Surroundings<'_>)) -> Vec<(&'static str, Severity)> {
        let (settings, issuer) = (settings(), issuer());
        let mut around = around(&settings, &issuer);
        change(&mut around);
        checks(&facts(), &desired(&facts(), &settings), &good(), &around)
            .into_iter()
            .filter(|row| row.code != OK)
            .map(|row| (row.code, row.severity))
            .collect()
    }

    #[test]
    fn certificates_and_door() {
        assert_eq!(identity_codes(|_| {}), []);
        assert_eq!(
            identity_codes(|around| around.certificate = None),
            [(CERTIFICATE_MISSING, Severity::Critical)]
        );
        assert_eq!(
            identity_codes(|around| {
                around.state = State::Publishing;
                around.certificate = None;
            }),
            [(CERTIFICATE_MISSING, Severity::Warning)]
        );
        assert_eq!(
            identity_codes(|around| around.now = Timestamp(80 * DAY)),
            [(CERTIFICATE_EXPIRING, Severity::Warning)]
        );
        assert_eq!(
            identity_codes(|around| around.now = Timestamp(91 * DAY)),
            [(CERTIFICATE_EXPIRED, Severity::Critical)]
        );
        assert_eq!(
            identity_codes(|around| around.certificate.as_mut().unwrap().covers_domain = false),
            [(CERTIFICATE_WRONG_NAME, Severity::Critical)]
        );
        assert_eq!(
            identity_codes(|around| around.probe = Some(Probe::Failed {
                seen: "refused".into(),
                asked: "192.0.2.1:5222".into()
            })),
            [(PROBE_FAILED, Severity::Critical)]
        );
        assert_eq!(
            identity_codes(|around| around.probe = Some(Probe::Unknown {
                why: "no route".into()
            })),
            [(RESOLVER_UNKNOWN, Severity::Unknown)]
        );
        assert_eq!(
            identity_codes(|around| around.order_failed = Some("caa".into())),
            [(CERTIFICATE_ORDER_FAILED, Severity::Warning)]
        );
    }

    #[test]
    fn good_rows_are_shown_too() {
        let (settings, issuer) = (settings(), issuer());
        let rows = checks(
            &facts(),
            &desired(&facts(), &settings),
            &good(),
            &around(&settings, &issuer),
        );
        assert_eq!(rows.len(), desired(&facts(), &settings).len() + 2);
        assert!(rows.iter().all(|row| row.code == OK));
    }

    #[test]
    fn every_code_is_documented_once() {
        let names: BTreeSet<_> = CODES.iter().map(|code| code.code).collect();
        assert_eq!(names.len(), CODES.len());
    }

    #[test]
    fn what_a_record_replaces() {
        let mut seen = good();
        set(
            &mut seen,
            Rtype::Srv,
            CLIENT,
            everywhere(records(vec![
                srv(5222, TARGET),
                srv(5222, "old.example.net"),
            ])),
        );
        let record = desired(&facts(), &settings())
            .into_iter()
            .find(|record| record.purpose == Purpose::Client)
            .unwrap();
        assert_eq!(replaced(&record, &seen), ["0 5 5222 old.example.net."]);
        assert_eq!(standing(&record, &seen), Standing::Seen);
    }
}
