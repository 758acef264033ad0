//! What is told of a customer as a whole: where it stands on the ladder, and what of its plan is nearly used up.
//!
//! The ladder's steps are written about when they come, to everybody who answers for the customer, whether or not they want the
//! nightly mail: nobody is shut out or erased unheard. What of a plan is used up is part of the nightly mail.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::TenantRow;
use xmpp::timestamp::Timestamp;

use super::gets_mail;
use crate::Control;
use crate::error::Result;
use crate::ladder::{self, LadderView, Step};
use crate::outside::Mail;
use crate::tenant::to_json;
use crate::time::plus;

/// This long before everything is erased it is said once more, in seconds.
const LAST_WORD: i64 = 7 * 24 * 3600;
/// What is measured where it is kept. The others come and go within minutes; their owners see them in the panel.
const KEPT: [&str; 5] = [
    "domains",
    "accounts",
    "offline_bytes",
    "archive_bytes",
    "upload_bytes",
];

/// What was told of a customer (JSON in the store).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Told {
    /// The ladder; `None`: not on it.
    ladder: Option<Ladder>,
    /// Levels of what is used, where they are not `ok`.
    quotas: BTreeMap<String, String>,
}

/// The ladder, as it was told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Ladder {
    reason: String,
    step: String,
    /// Every step with its time (µs).
    steps: Vec<(String, i64)>,
    /// That the end is near was said.
    last_word: bool,
}

/// What is new of a plan.
pub(super) struct Quotas {
    /// A sentence or two each.
    pub(super) lines: Vec<String>,
    /// Something is nearly used up that was not.
    pub(super) short: bool,
    /// What is to be remembered.
    pub(super) levels: BTreeMap<String, String>,
}

impl Control {
    /// Writes to every customer on the ladder for whom something of it is new. Returns how many mails were sent.
    pub(super) async fn ladder_mails(&self) -> Result<usize> {
        let mut sent = 0;
        for tenant in self.store().tenant_laddered().await? {
            match self.ladder_mail(&tenant).await {
                Ok(mails) => sent += mails,
                Err(error) => {
                    tracing::warn!(tenant = tenant.id.0, error = %error.log_text(), "a mail about the ladder could not be written");
                }
            }
        }
        Ok(sent)
    }

    /// Writes to one customer, if where it stands on the ladder is not what was told. Of several processes one does.
    pub(super) async fn ladder_mail(&self, tenant: &TenantRow) -> Result<usize> {
        let Some(post) = &self.parts.mail else {
            return Ok(0);
        };
        let (kept, before) = self.told_of(tenant).await?;
        let view = ladder::view(tenant);
        let ladder = view.as_ref().map(|view| stands(view, self.now()));
        if ladder == before.ladder {
            return Ok(0);
        }
        let after = to_json(&Told {
            ladder,
            ..before.clone()
        });
        let (store, id) = (self.store(), tenant.id);
        if !store.tenant_told_swap(id, kept.as_deref(), &after).await? {
            return Ok(0);
        }
        let service = &self.settings().name;
        let (subject, text) = match &view {
            Some(view) => letter(view, &tenant.name, service, &post.panel, self.now()),
            None => well(&tenant.name, service),
        };
        let mut sent = 0;
        let people = store.operator_list(Some(id)).await?;
        for person in people.iter().filter(|person| gets_mail(&person.role)) {
            let mail = Mail {
                to: person.login.clone(),
                subject: subject.clone(),
                text: text.clone(),
                unsubscribe: None,
            };
            match post.mailer.send(mail).await {
                Ok(()) => sent += 1,
                Err(error) => {
                    tracing::warn!(tenant = id.0, %error, "a mail about the ladder could not be sent");
                    if !error.is_final() {
                        // Nothing was told: the next turn tries again.
                        let told = to_json(&before);
                        store.tenant_told_swap(id, Some(&after), &told).await?;
                        return Ok(sent);
                    }
                }
            }
        }
        Ok(sent)
    }

    /// What of a customer's plan is nearly used up, or is no more.
    pub(super) async fn quotas_news(&self, tenant: &TenantRow) -> Result<Quotas> {
        let (_, before) = self.told_of(tenant).await?;
        let usage = self.usage_view(tenant).await?;
        let mut news = Quotas {
            lines: Vec::new(),
            short: false,
            levels: BTreeMap::new(),
        };
        for quota in usage.quotas {
            if !KEPT.contains(&quota.kind) {
                continue;
            }
            let was = before.quotas.get(quota.kind).map(String::as_str);
            match quota.level {
                level @ ("soft" | "hard") => {
                    if was != Some(level) && was != Some("hard") {
                        news.short = true;
                        news.lines.push(quota.note);
                    }
                    news.levels.insert(quota.kind.into(), level.into());
                }
                _ if was.is_some() => news.lines.push(format!(
                    "{}: there is room again, {} of {} are in use.",
                    quota.kind.replace('_', " "),
                    quota.used.unwrap_or_default(),
                    quota.hard
                )),
                _ => {}
            }
        }
        Ok(news)
    }

    /// Remembers what was told of a plan.
    pub(super) async fn quotas_told(
        &self,
        tenant: &TenantRow,
        quotas: BTreeMap<String, String>,
    ) -> Result<()> {
        let (kept, before) = self.told_of(tenant).await?;
        if before.quotas != quotas {
            let after = to_json(&Told { quotas, ..before });
            let store = self.store();
            store
                .tenant_told_swap(tenant.id, kept.as_deref(), &after)
                .await?;
        }
        Ok(())
    }

    async fn told_of(&self, tenant: &TenantRow) -> Result<(Option<String>, Told)> {
        let kept = self.store().tenant_told(tenant.id).await?;
        let told = kept
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok());
        Ok((kept, told.unwrap_or_default()))
    }
}

fn stands(view: &LadderView, now: Timestamp) -> Ladder {
    let steps = view.steps.iter();
    Ladder {
        reason: view.reason.clone(),
        step: view.step.as_str().into(),
        steps: steps
            .map(|step| (step.step.as_str().to_owned(), step.at.0))
            .collect(),
        last_word: erased_at(view).is_some_and(|at| at <= plus(now, LAST_WORD)),
    }
}

fn erased_at(view: &LadderView) -> Option<Timestamp> {
    let mut steps = view.steps.iter();
    Some(steps.find(|step| step.step == Step::Erased)?.at)
}

/// The day, as everybody reads it.
fn day(at: Timestamp) -> String {
    at.to_xep0082().chars().take(10).collect()
}

fn letter(
    view: &LadderView,
    tenant: &str,
    service: &str,
    panel: &str,
    now: Timestamp,
) -> (String, String) {
    let erased = erased_at(view).filter(|at| *at <= plus(now, LAST_WORD));
    let subject = match erased {
        Some(at) => format!("{tenant}: everything here is erased on {}", day(at)),
        None => format!("{tenant}: something is not in order"),
    };
    let mut text = format!(
        "Something is not in order with {tenant} at {service}: {}\n\nNow: {}\n",
        view.reason,
        view.step.meaning()
    );
    let to_come = view.steps.iter().filter(|step| !step.reached);
    for step in to_come {
        // Times of the ladder are whole days from when it was set: the date is what counts.
        text.push_str(&format!("From {}: {}\n", day(step.at), step.meaning));
    }
    text.push_str(&format!(
        "\nWrite to the operator of {service}; everything is undone as soon as they say so"
    ));
    text.push_str(match erased_at(view) {
        Some(_) => ", until it is erased. What is erased cannot be brought back: take out before what you want to keep.\n",
        None => ".\n",
    });
    if !panel.is_empty() {
        text.push_str(&format!("\nWhere you stand: {panel}\n"));
    }
    text.push_str(&everybody(tenant));
    (subject, text)
}

fn well(tenant: &str, service: &str) -> (String, String) {
    let text = format!(
        "The operator of {service} has said that all is in order with {tenant}: nothing is limited any more, and no step comes.\n{}",
        everybody(tenant)
    );
    (format!("{tenant}: all is in order again"), text)
}

fn everybody(tenant: &str) -> String {
    format!(
        "\nThis is written to all owners and admins of {tenant}, also to those who want no nightly mail.\n"
    )
}
