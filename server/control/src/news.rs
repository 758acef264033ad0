//! What is new of a domain since somebody was told of it: the nightly mail and webhooks say the same.
//!
//! What was told is kept, and what is told is the difference to what the checks say now. Of a domain on its way in nobody is
//! told: its owner is at work on it. Refuses to take "could not be asked" for an answer.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use store::{AuditRow, DomainRow, FindingRow};

use crate::Control;
use crate::domain::{BY_LAPSE, BY_OWNER, State, state_of};
use crate::error::Result;
use crate::findings::{CODES, Severity};
use crate::permission::Role;

/// Events that webhooks are told of beside the entries of the audit log: what is seen, and not done by anybody.
pub(crate) const SEEN: [&str; 2] = [STATE, FINDING];
/// A domain goes live or degraded.
const STATE: &str = "domain.state";
/// Something is to be mended, or is well again.
const FINDING: &str = "domain.finding";

/// What was told of a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Told {
    /// State, as a word.
    pub(crate) state: String,
    /// What was wrong: code and subject.
    pub(crate) wrong: BTreeSet<(String, String)>,
    /// The name is another customer's now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) gone: bool,
}

/// What is new of a domain.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// Of which.
    pub(crate) domain: String,
    /// It was in the first state, and is in the second.
    pub(crate) state: Option<(String, String)>,
    /// The name has just become another customer's.
    pub(crate) gone: bool,
    /// What is to be mended.
    pub(crate) begun: Vec<Begun>,
    /// What is over.
    pub(crate) over: Vec<Over>,
}

/// Something to be mended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Its code.
    pub(crate) code: String,
    /// What it is about.
    pub(crate) subject: String,
    /// What was seen.
    pub(crate) seen: String,
    /// What to do.
    pub(crate) fix: String,
}

/// Something that was to be mended, and is well.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Over {
    /// Its code.
    pub(crate) code: String,
    /// What it is about.
    pub(crate) subject: String,
    /// What was wrong.
    pub(crate) was: String,
}

impl Control {
    /// Puts what is new of a domain in line for the webhooks of its customer. `told` is what they were told, and is brought up to
    /// date.
    pub(crate) async fn tell_hooks(
        &self,
        row: &DomainRow,
        told: &mut Told,
        findings: &[FindingRow],
    ) -> Result<()> {
        let Some((after, news)) = difference(row, told, findings) else {
            // On its way in, afresh: that it is live will be news again.
            *told = Told::default();
            return Ok(());
        };
        let mut said = Vec::new();
        if told.state != after.state {
            let detail = match told.state.as_str() {
                "" => after.state.clone(),
                was => format!("{}; it was {was}", after.state),
            };
            said.push((STATE, row.name.to_string(), detail));
        }
        if let Some(news) = news {
            let begun = news.begun.into_iter().map(|one| {
                let detail = format!("{}: seen {}. {}", one.code, one.seen, one.fix);
                (FINDING, one.subject, detail)
            });
            let over = news.over.into_iter().map(|one| {
                let detail = format!("{}: over. It was: {}", one.code, one.was);
                (FINDING, one.subject, detail)
            });
            said.extend(begun.chain(over));
        }
        for (event, object, detail) in said {
            let message = AuditRow {
                at: self.now(),
                actor: "worker".into(),
                role: Role::System.to_string(),
                operation: event.into(),
                domain: row.name.to_string(),
                object,
                detail,
                ..AuditRow::default()
            };
            self.store().hooks_tell(row.tenant, &message).await?;
        }
        *told = after;
        Ok(())
    }
}

/// What is to be remembered, and what is new; `None`: nobody is told of this domain now.
pub(crate) fn difference(
    row: &DomainRow,
    before: &Told,
    findings: &[FindingRow],
) -> Option<(Told, Option<News>)> {
    let state = state_of(row);
    let served = matches!(state, State::Live | State::Degraded);
    // Who stops a domain knows that it is stopped.
    let stopped = state == State::Suspended && row.suspended_by != BY_OWNER;
    let gone = has_given_way(row);
    if !served && !stopped && !gone {
        return None;
    }
    let wrong: BTreeMap<(String, String), &FindingRow> = findings
        .iter()
        .filter(|finding| Severity::parse(&finding.severity) >= Some(Severity::Warning))
        .map(|finding| ((finding.code.clone(), finding.subject.clone()), finding))
        .collect();
    // What could not be asked is neither over nor new: it stays as it was told.
    let unknown: BTreeSet<&str> = findings
        .iter()
        .filter(|finding| Severity::parse(&finding.severity) == Some(Severity::Unknown))
        .map(|finding| finding.subject.as_str())
        .collect();
    let kept = before
        .wrong
        .iter()
        .filter(|(_, subject)| unknown.contains(subject.as_str()));
    let after = Told {
        state: state.as_str().to_owned(),
        wrong: wrong.keys().cloned().chain(kept.cloned()).collect(),
        gone,
    };
    let begun = wrong
        .iter()
        .filter(|(key, _)| !before.wrong.contains(*key))
        .map(|((code, subject), finding)| Begun {
            code: code.clone(),
            subject: subject.clone(),
            seen: finding.observed.clone(),
            fix: finding.fix.clone(),
        })
        .collect::<Vec<_>>();
    let over = before
        .wrong
        .iter()
        .filter(|key| !after.wrong.contains(*key))
        .map(|(code, subject)| {
            let mut known = CODES.iter().filter(|known| known.code == code);
            let meaning = known.next().map_or("", |known| known.meaning);
            Over {
                code: code.clone(),
                subject: subject.clone(),
                was: meaning.to_owned(),
            }
        })
        .collect::<Vec<_>>();
    // The first time, that it is live is no news of ours: its owner has seen it.
    let first = before.state.is_empty() && state == State::Live;
    let moved = (before.state != after.state && !first).then(|| {
        let was = match before.state.as_str() {
            "" => State::Live.as_str(),
            word => word,
        };
        (was.to_owned(), after.state.clone())
    });
    let gone = after.gone && !before.gone;
    let quiet = moved.is_none() && !gone && begun.is_empty() && over.is_empty();
    let news = News {
        domain: row.name.to_string(),
        state: moved,
        gone,
        begun,
        over,
    };
    Some((after, (!quiet).then_some(news)))
}

/// Has another customer shown that the name is theirs, after the proof lapsed? The row stays, with all that belongs to it.
fn has_given_way(row: &DomainRow) -> bool {
    row.verified_at.is_none() && row.suspended_by == BY_LAPSE
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{DomainId, TenantId};
    use xmpp::jid::DomainName;
    use xmpp::timestamp::Timestamp;

    fn row(state: &str, by: &str) -> DomainRow {
        DomainRow {
            id: DomainId(1),
            tenant: TenantId(1),
            name: DomainName::parse("example.com").unwrap(),
            label: "l".into(),
            state: state.into(),
            reason: String::new(),
            suspended_by: by.into(),
            mode: "delegated-challenge".into(),
            token: "t".into(),
            verified_at: None,
            policy: "encrypted".into(),
            allow: vec![],
            block: vec![],
            settings: "{}".into(),
            look: None,
            checked_at: None,
            next_check_at: None,
            created: Timestamp(0),
            revision: 0,
        }
    }

    fn finding(code: &str, severity: &str) -> FindingRow {
        FindingRow {
            code: code.into(),
            severity: severity.into(),
            subject: "SRV _xmpp-client._tcp.example.com".into(),
            expected: "e".into(),
            observed: "nothing".into(),
            asked: String::new(),
            fix: "Publish it.".into(),
            since: Timestamp(0),
            next_check: None,
        }
    }

    #[test]
    fn only_the_difference_is_told() {
        let (told, news) = difference(&row("live", ""), &Told::default(), &[]).unwrap();
        assert_eq!(news, None, "being live is no news");
        let missing = [finding("srv-missing", "critical"), finding("x", "info")];
        let (worse, news) = difference(&row("degraded", ""), &told, &missing).unwrap();
        let news = news.unwrap();
        assert_eq!(news.state, Some(("live".into(), "degraded".into())));
        assert_eq!(news.begun.len(), 1);
        let (same, news) = difference(&row("degraded", ""), &worse, &missing).unwrap();
        assert_eq!((&same, news), (&worse, None), "nothing is repeated");
        // A resolver that does not answer takes nothing back.
        let silent = [finding("resolver-unknown", "unknown")];
        let (kept, news) = difference(&row("degraded", ""), &worse, &silent).unwrap();
        assert_eq!((&kept, news), (&worse, None));
        let (well, news) = difference(&row("live", ""), &worse, &[]).unwrap();
        let news = news.unwrap();
        assert_eq!((news.over.len(), news.begun.len()), (1, 0));
        assert_eq!(well, told);
    }

    #[test]
    fn who_is_on_the_way_in_or_stopped_it_himself_is_not_written_to() {
        let missing = [finding("srv-missing", "critical")];
        for (state, by) in [
            ("claimed", ""),
            ("publishing", ""),
            ("ready", ""),
            ("suspended", "owner"),
        ] {
            assert_eq!(
                difference(&row(state, by), &Told::default(), &missing),
                None
            );
        }
        let (_, news) = difference(&row("suspended", "system"), &Told::default(), &[]).unwrap();
        assert_eq!(
            news.unwrap().state,
            Some(("live".into(), "suspended".into()))
        );
    }

    #[test]
    fn that_the_name_is_another_s_is_told_once() {
        let (told, _) = difference(&row("suspended", BY_LAPSE), &Told::default(), &[]).unwrap();
        let (same, news) = difference(&row("suspended", BY_LAPSE), &told, &[]).unwrap();
        assert_eq!((&same, news), (&told, None));
        let mut held = row("suspended", BY_LAPSE);
        held.verified_at = Some(Timestamp(1));
        let (told, _) = difference(&held, &Told::default(), &[]).unwrap();
        assert!(!told.gone, "lapsed, and still theirs");
        let (told, news) = difference(&row("suspended", BY_LAPSE), &told, &[]).unwrap();
        let news = news.unwrap();
        assert!(news.gone && told.gone && news.state.is_none());
    }
}
