//! The nightly mail: what has changed for a customer's domains since the last one, and nothing else. Who hears nothing, has
//! nothing to do.
//!
//! What was told is kept by domain; a night's mail is the difference between that and what the checks say now. A domain on its
//! way in is not written about: its owner is at work on it. It refuses to repeat itself, and to forget what could not be sent.
//! Whether somebody wants it is in `wanted`; what is told of a customer as a whole in `standing`.

mod standing;
mod wanted;

use store::{DomainFilter, DomainRow, TenantRow};
use xmpp::timestamp::Timestamp;

use crate::Control;
use crate::domain::State;
use crate::error::Result;
use crate::news::{Begun, News, Over, Told, difference};
use crate::outside::Mail;
use crate::permission::Role;
use crate::time::{DAY, HOUR};

pub use wanted::{MailView, Subscriber, UNSUBSCRIBE_PATH};

/// Customers, and domains of one, that are read at a time.
const PAGE: usize = 200;
/// Lines about one domain; more are counted.
const LINES: usize = 20;
/// What a customer hears whose domain another has taken over.
const GONE: &str = "  Another customer of this service has shown that the name is theirs, after your own proof had lapsed.\n    \
    They have the name now; what you keep here under it is still yours, and your certificates are being revoked.\n    \
    If that is wrong, publish your record again and write to the operator of this service.\n";

/// What a night's mail is about.
#[derive(Debug, Default)]
struct Letter {
    /// Of domains.
    news: Vec<News>,
    /// Of the customer's plan, a sentence or two each.
    plan: Vec<String>,
    /// Something is nearly used up.
    short: bool,
}

impl Letter {
    fn is_empty(&self) -> bool {
        self.news.is_empty() && self.plan.is_empty()
    }
}

impl Control {
    /// Writes to every customer for whom something has changed, once a night, from the configured hour (UTC) on. Several
    /// processes may call it: each customer's mail is one's. Returns how many mails were sent.
    pub(crate) async fn mail_nightly(&self) -> Result<usize> {
        let Some(post) = &self.parts.mail else {
            return Ok(0);
        };
        self.ladder_mails().await?;
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
        let mut sent = self.ladder_mail(tenant).await?;
        let (news, told) = self.domains_news(tenant).await?;
        let quotas = self.quotas_news(tenant).await?;
        let letter = Letter {
            news,
            plan: quotas.lines,
            short: quotas.short,
        };
        if let (false, Some(post)) = (letter.is_empty(), &self.parts.mail) {
            let people = self.store().mail_readers(tenant.id).await?;
            let people = people.iter().filter(|person| gets_mail(&person.role));
            for person in people {
                let unsubscribe = self.unsubscribe_link(person.id, &post.panel)?;
                let mail = Mail {
                    to: person.login.clone(),
                    subject: subject(&letter),
                    text: text(
                        &letter,
                        &self.settings().name,
                        &post.panel,
                        unsubscribe.as_deref(),
                    ),
                    unsubscribe,
                };
                let said = post.mailer.send(mail).await;
                self.mail_watch.heard(self.now(), &said);
                match said {
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
        self.quotas_told(tenant, quotas.levels).await?;
        Ok(sent)
    }

    /// What is new of a customer's domains, and what is to be remembered of each once it is told.
    async fn domains_news(
        &self,
        tenant: &TenantRow,
    ) -> Result<(Vec<News>, Vec<(DomainRow, Told)>)> {
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
                return Ok((news, told));
            }
            from += PAGE;
        }
    }
}

/// Who answers for a customer's domains, and is written to.
fn gets_mail(role: &str) -> bool {
    matches!(Role::parse(role), Some(Role::Owner | Role::Admin))
}

fn subject(letter: &Letter) -> String {
    let is_worse = |one: &&News| {
        let stands = one.state.as_ref().map(|(_, is)| is.as_str());
        one.gone || !one.begun.is_empty() || stands.is_some_and(|is| is != State::Live.as_str())
    };
    let news = &letter.news;
    let worse = news.iter().filter(is_worse).count();
    match news.as_slice() {
        [] if letter.short => "Something of your plan is nearly used up".to_owned(),
        [] => "There is room in your plan again".to_owned(),
        [one] if worse > 0 => format!("{}: something needs a look", one.domain),
        [one] => format!("{}: all is well again", one.domain),
        _ if worse > 0 => format!("{worse} of your domains need a look"),
        many => format!("{} of your domains are well again", many.len()),
    }
}

fn text(letter: &Letter, service: &str, panel: &str, unsubscribe: Option<&str>) -> String {
    let mut out = String::from("What has changed since the last mail:\n");
    for one in &letter.news {
        about_domain(&mut out, one);
    }
    if !letter.plan.is_empty() {
        out.push_str("\nYour plan\n");
        for line in &letter.plan {
            out.push_str(&format!("  {line}\n"));
        }
    }
    if !panel.is_empty() {
        out.push_str(&format!("\nEverything else: {panel}\n"));
    }
    out.push_str(&format!(
        "\n{service} sends this at most once a night, and only when something has changed.\n"
    ));
    if let Some(link) = unsubscribe {
        out.push_str(&format!("No more of these mails: {link}\n"));
    }
    out
}

fn about_domain(out: &mut String, one: &News) {
    out.push_str(&format!("\n{}\n", one.domain));
    if let Some((was, is)) = &one.state {
        out.push_str(&format!("  It is {is}; it was {was}.\n"));
    }
    if one.gone {
        out.push_str(GONE);
    }
    for one in one.begun.iter().take(LINES) {
        let Begun {
            subject, seen, fix, ..
        } = one;
        out.push_str(&format!("  New: {subject}\n    Seen: {seen}\n    {fix}\n"));
    }
    for Over { subject, was, .. } in one.over.iter().take(LINES) {
        out.push_str(&format!("  Over: {subject}\n    It was: {was}\n"));
    }
    let more = one.begun.len().saturating_sub(LINES) + one.over.len().saturating_sub(LINES);
    if more > 0 {
        out.push_str(&format!("  And {more} more.\n"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(state: Option<(&str, &str)>) -> News {
        News {
            domain: "example.com".into(),
            state: state.map(|(was, is)| (was.into(), is.into())),
            gone: false,
            begun: vec![],
            over: vec![],
        }
    }

    fn letter(news: Vec<News>) -> Letter {
        Letter {
            news,
            ..Letter::default()
        }
    }

    #[test]
    fn a_mail_says_what_has_changed_and_how_to_end_it() {
        let mut worse = news(Some(("live", "degraded")));
        worse.begun.push(Begun {
            code: "srv-missing".into(),
            subject: "SRV _xmpp-client._tcp.example.com".into(),
            seen: "nothing".into(),
            fix: "Publish it.".into(),
        });
        let worse = letter(vec![worse]);
        assert_eq!(subject(&worse), "example.com: something needs a look");
        let link = "https://panel.example/unsubscribe/abc";
        let said = text(&worse, "Domicile", "https://panel.example", Some(link));
        for part in [
            "No more of these mails: https://panel.example/unsubscribe/abc",
            "Seen: nothing",
            "Publish it.",
            "https://panel.example",
            "it was live",
        ] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn the_subject_is_no_better_than_the_news() {
        let well = || news(Some(("degraded", "live")));
        let stopped = || news(Some(("live", "suspended")));
        let gone = News {
            gone: true,
            ..news(None)
        };
        for (of, expected) in [
            (vec![well()], "example.com: all is well again"),
            (vec![stopped()], "example.com: something needs a look"),
            (vec![gone], "example.com: something needs a look"),
            (vec![well(), stopped()], "1 of your domains need a look"),
            (vec![well(), well()], "2 of your domains are well again"),
        ] {
            assert_eq!(subject(&letter(of)), expected);
        }
        let plan = Letter {
            plan: vec!["9 of 10 domains are in use.".into()],
            short: true,
            ..Letter::default()
        };
        assert_eq!(subject(&plan), "Something of your plan is nearly used up");
        assert!(text(&plan, "Domicile", "", None).contains("  9 of 10 domains"));
    }
}
