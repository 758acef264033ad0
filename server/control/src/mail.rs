//! The nightly mail: what has changed for a customer's domains since the last one, and nothing else. Who hears nothing, has
//! nothing to do.
//!
//! What was told is kept by domain; a night's mail is the difference between that and what the checks say now. A domain on its
//! way in is not written about: its owner is at work on it. It refuses to repeat itself, and to forget what could not be sent.
//! Whether somebody wants it is in `wanted`.

mod wanted;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use store::{DomainFilter, DomainRow, FindingRow, TenantRow};
use xmpp::timestamp::Timestamp;

use crate::Control;
use crate::domain::{BY_OWNER, State, state_of};
use crate::error::Result;
use crate::findings::{CODES, Severity};
use crate::outside::Mail;
use crate::permission::Role;
use crate::time::{DAY, HOUR};

pub use wanted::{MailView, Subscriber, UNSUBSCRIBE_PATH};

/// Customers, and domains of one, that are read at a time.
const PAGE: usize = 200;
/// Lines about one domain; more are counted.
const LINES: usize = 20;

/// What was told of a domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Told {
    /// State, as a word.
    state: String,
    /// What was wrong: code and subject.
    wrong: BTreeSet<(String, String)>,
}

/// What is new of a domain.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    domain: String,
    state: Option<(String, String)>,
    /// What is to be mended: subject, what was seen, what to do.
    begun: Vec<(String, String, String)>,
    /// What is over: subject and what it was.
    over: Vec<(String, String)>,
}

impl Control {
    /// Writes to every customer for whom something has changed, once a night, from the configured hour (UTC) on. Several
    /// processes may call it: each customer's mail is one's. Returns how many mails were sent.
    pub(crate) async fn mail_nightly(&self) -> Result<usize> {
        let Some(post) = &self.parts.mail else {
            return Ok(0);
        };
        let now = self.now();
        let night = Timestamp(now.0 - now.0.rem_euclid(DAY));
        if now.0 - night.0 < i64::from(post.hour) * HOUR {
            return Ok(0);
        }
        let (mut from, mut sent) = (0, 0);
        loop {
            let (tenants, _) = self.store().tenant_page("", from, PAGE).await?;
            for tenant in &tenants {
                if self.store().mail_claim(tenant.id, night).await? {
                    match self.mail_tenant(tenant).await {
                        Ok(mails) => sent += mails,
                        Err(error) => {
                            tracing::warn!(tenant = tenant.id.0, error = %error.log_text(), "a nightly mail could not be written");
                            self.store().mail_release(tenant.id, night).await?;
                        }
                    }
                }
            }
            if tenants.len() < PAGE {
                return Ok(sent);
            }
            from += PAGE;
        }
    }

    /// One customer's mail, to everybody who answers for its domains.
    async fn mail_tenant(&self, tenant: &TenantRow) -> Result<usize> {
        let mut news = Vec::new();
        let mut told = Vec::new();
        let mut from = 0;
        loop {
            let filter = DomainFilter {
                tenant: Some(tenant.id),
                ..DomainFilter::default()
            };
            let states = State::ALL.map(State::as_str);
            let rows = self
                .store()
                .domain_page(filter, &states, from, PAGE)
                .await?;
            for row in &rows {
                let store = self.domain_store(row);
                let before = store.told_get().await?;
                let before: Told = before
                    .and_then(|text| serde_json::from_str(&text).ok())
                    .unwrap_or_default();
                let Some((after, new)) = difference(row, &before, &store.finding_list().await?)
                else {
                    continue;
                };
                if after != before {
                    told.push((row.clone(), after));
                }
                news.extend(new);
            }
            if rows.len() < PAGE {
                break;
            }
            from += PAGE;
        }
        let mut sent = 0;
        if let (false, Some(post)) = (news.is_empty(), &self.parts.mail) {
            let people = self.store().mail_readers(tenant.id).await?;
            let people = people.iter().filter(|person| gets_mail(&person.role));
            for person in people {
                let unsubscribe = self.unsubscribe_link(person.id, &post.panel)?;
                let mail = Mail {
                    to: person.login.clone(),
                    subject: subject(&news),
                    text: text(
                        &news,
                        &self.settings().name,
                        &post.panel,
                        unsubscribe.as_deref(),
                    ),
                    unsubscribe,
                };
                match post.mailer.send(mail).await {
                    Ok(()) => sent += 1,
                    Err(error) => {
                        tracing::warn!(tenant = tenant.id.0, %error, "a nightly mail could not be sent");
                        // One address that nobody has must not keep the others from hearing.
                        if !error.is_final() {
                            let night = self.now().0 - self.now().0.rem_euclid(DAY);
                            self.store()
                                .mail_release(tenant.id, Timestamp(night))
                                .await?;
                            return Ok(sent);
                        }
                    }
                }
            }
        }
        // Told only now: what could not be sent is told the next time.
        for (row, after) in told {
            let text = crate::tenant::to_json(&after);
            self.domain_store(&row).told_set(&text).await?;
        }
        Ok(sent)
    }
}

/// Who answers for a customer's domains, and is written to.
fn gets_mail(role: &str) -> bool {
    matches!(Role::parse(role), Some(Role::Owner | Role::Admin))
}

/// What is to be remembered, and what is new; `None`: this domain is not written about.
fn difference(
    row: &DomainRow,
    before: &Told,
    findings: &[FindingRow],
) -> Option<(Told, Option<News>)> {
    let state = state_of(row);
    let served = matches!(state, State::Live | State::Degraded);
    // Who stops a domain knows that it is stopped.
    let stopped = state == State::Suspended && row.suspended_by != BY_OWNER;
    if !served && !stopped {
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
    };
    let begun = wrong
        .iter()
        .filter(|(key, _)| !before.wrong.contains(*key))
        .map(|((_, subject), finding)| {
            (
                subject.clone(),
                finding.observed.clone(),
                finding.fix.clone(),
            )
        })
        .collect::<Vec<_>>();
    let over = before
        .wrong
        .iter()
        .filter(|key| !after.wrong.contains(*key))
        .map(|(code, subject)| {
            let mut known = CODES.iter().filter(|known| known.code == code);
            let meaning = known.next().map_or("", |known| known.meaning);
            (subject.clone(), meaning.to_owned())
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
    let quiet = moved.is_none() && begun.is_empty() && over.is_empty();
    let news = News {
        domain: row.name.to_string(),
        state: moved,
        begun,
        over,
    };
    Some((after, (!quiet).then_some(news)))
}

fn subject(news: &[News]) -> String {
    let worse = news.iter().any(|one| !one.begun.is_empty());
    match news {
        [one] if worse => format!("{}: something needs a look", one.domain),
        [one] => format!("{}: all is well again", one.domain),
        many if worse => format!(
            "{} of your domains need a look",
            many.iter().filter(|one| !one.begun.is_empty()).count()
        ),
        many => format!("{} of your domains are well again", many.len()),
    }
}

fn text(news: &[News], service: &str, panel: &str, unsubscribe: Option<&str>) -> String {
    let mut out = String::from("What has changed since the last mail:\n");
    for one in news {
        out.push_str(&format!("\n{}\n", one.domain));
        if let Some((was, is)) = &one.state {
            out.push_str(&format!("  It is {is}; it was {was}.\n"));
        }
        for (subject, seen, fix) in one.begun.iter().take(LINES) {
            out.push_str(&format!("  New: {subject}\n    Seen: {seen}\n    {fix}\n"));
        }
        for (subject, was) in one.over.iter().take(LINES) {
            out.push_str(&format!("  Over: {subject}\n    It was: {was}\n"));
        }
        let more = one.begun.len().saturating_sub(LINES) + one.over.len().saturating_sub(LINES);
        if more > 0 {
            out.push_str(&format!("  And {more} more.\n"));
        }
    }
    if !panel.is_empty() {
        out.push_str(&format!("\nEverything else: {panel}\n"));
    }
    out.push_str(&format!(
        "\n{service} writes at most once a night, and only when something has changed.\n"
    ));
    if let Some(link) = unsubscribe {
        out.push_str(&format!("No more of these mails: {link}\n"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::{DomainId, TenantId};
    use xmpp::jid::DomainName;

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
    fn a_mail_holds_the_difference_and_nothing_else() {
        let (told, news) = difference(&row("live", ""), &Told::default(), &[]).unwrap();
        assert_eq!(news, None, "being live is no news");
        let missing = [finding("srv-missing", "critical"), finding("x", "info")];
        let (worse, news) = difference(&row("degraded", ""), &told, &missing).unwrap();
        let news = news.unwrap();
        assert_eq!(news.state, Some(("live".into(), "degraded".into())));
        assert_eq!(news.begun.len(), 1);
        assert_eq!(
            subject(std::slice::from_ref(&news)),
            "example.com: something needs a look"
        );
        let link = "https://panel.example/unsubscribe/abc";
        let said = text(&[news], "Domicile", "https://panel.example", Some(link));
        for part in [
            "No more of these mails: https://panel.example/unsubscribe/abc",
            "Seen: nothing",
            "Publish it.",
            "https://panel.example",
            "it was live",
        ] {
            assert!(said.contains(part), "{said}");
        }
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
        assert_eq!(subject(&[news]), "example.com: all is well again");
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
}
