//! Webhooks: a customer's own server is told what is done to the customer, each entry of the audit log as one message, and what
//! is seen of its domains: that one goes live or degraded, what is to be mended, and what is well again ([`crate::news`]).
//!
//! Messages are signed as <https://www.standardwebhooks.com> says: HMAC-SHA256 over id, time and body, so that whoever gets one
//! knows where it comes from, and one that is sent again by somebody else is recognised by its id and its time. They stand in
//! line in the store, are tried again with growing pauses, and what became of each is kept for the panel. Refuses: addresses
//! that are not `https:`, that lead into private networks (the fetcher's guard), and following redirects.

use std::sync::Arc;
use std::time::Duration;

use dna::{Post, Url};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use store::{AuditRow, DeliveryRow, WebhookRow};
use tokio::task::JoinSet;
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::news::SEEN;
use crate::permission::Operation;
use crate::time::{DAY, SECOND, plus};
use crate::{Actor, Control, password};

/// Pauses after failed attempts, in seconds; after the last of them it is given up. A day and a half in all, and then some.
pub(crate) const PAUSES: [i64; 8] = [5, 60, 300, 1_800, 7_200, 18_000, 36_000, 86_400];
/// Sent at the same time.
pub(crate) const PARALLEL: usize = 8;
/// One attempt is over by then; the fetcher's own limit is shorter.
const LEASE_SECONDS: i64 = 120;
/// Bytes of an answer that are looked at: none matters.
const ANSWER_BYTES: usize = 64 * 1024;
/// Webhooks of one tenant.
const WEBHOOKS: usize = 10;
/// Longest address.
const URL_BYTES: usize = 500;
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;
/// What is older than the log is long is looked for this often.
const SWEEP_SECONDS: i64 = 3600;
/// How long the log of deliveries is kept.
const KEPT_DAYS: i64 = 30;
/// Deliveries shown.
const SHOWN: u32 = 100;

/// A webhook to be made.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct WebhookAsk {
    /// `https://…`
    pub url: String,
    /// Operations (`account.add`), what is seen (`domain.state`, `domain.finding`) or nouns (`account`); none: everything.
    pub events: Vec<String>,
}

/// A webhook, for the list.
#[derive(Debug, Clone, Serialize)]
pub struct WebhookView {
    /// Id.
    pub id: i64,
    /// Where it is told.
    pub url: String,
    /// What of; none: everything.
    pub events: Vec<String>,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
}

/// A fresh webhook: the only time its secret is seen.
#[derive(Debug, Clone, Serialize)]
pub struct WebhookNew {
    /// `whsec_…`, as libraries for standard webhooks take it.
    pub secret: String,
    /// The rest.
    #[serde(flatten)]
    pub view: WebhookView,
}

/// A message and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct DeliveryView {
    /// Id; the message's own is `msg_` and this.
    pub id: i64,
    /// Which webhook.
    pub webhook: i64,
    /// What happened.
    pub event: String,
    /// When.
    #[serde(serialize_with = "crate::time::at")]
    pub at: Timestamp,
    /// `waiting`, `delivered`, `given up`.
    pub state: &'static str,
    /// Attempts so far.
    pub attempts: i64,
    /// Next attempt.
    #[serde(serialize_with = "crate::time::maybe")]
    pub next: Option<Timestamp>,
    /// HTTP status of the last answer.
    pub status: Option<i64>,
    /// What became of the last attempt, in words.
    pub said: String,
    /// What is sent.
    pub body: String,
}

impl Control {
    /// Webhooks of a tenant.
    pub async fn webhook_list(&self, actor: &Actor, tenant: i64) -> Result<Vec<WebhookView>> {
        let row = self
            .tenant_row(actor, Operation::WebhookList, tenant)
            .await?;
        let rows = self.store().webhook_list(row.id).await?;
        Ok(rows.into_iter().map(view).collect())
    }

    /// Adds one.
    pub async fn webhook_add(
        &self,
        actor: &Actor,
        tenant: i64,
        ask: WebhookAsk,
    ) -> Result<WebhookNew> {
        let row = self
            .tenant_row(actor, Operation::WebhookAdd, tenant)
            .await?;
        let url = address(&ask.url)?;
        let events = events(&ask.events)?;
        let used = self.store().webhook_list(row.id).await?.len();
        if used >= WEBHOOKS {
            return Err(ControlError::Limit {
                what: "webhooks",
                used: used as u64,
                limit: WEBHOOKS as u64,
            });
        }
        let mut hook = WebhookRow {
            id: 0,
            tenant: row.id,
            url,
            events,
            secret: password::bytes(SECRET_BYTES),
            created: self.now(),
        };
        let said = hook.events.join(" ");
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::WebhookAdd,
            "",
            &hook.url,
            &said,
        );
        hook.id = recorded.webhook_add(&hook).await?;
        let secret = data_encoding::BASE64.encode(&hook.secret);
        Ok(WebhookNew {
            secret: format!("whsec_{secret}"),
            view: view(hook),
        })
    }

    /// Removes one, with what waits for it.
    pub async fn webhook_remove(&self, actor: &Actor, tenant: i64, id: i64) -> Result<()> {
        let row = self
            .tenant_row(actor, Operation::WebhookRemove, tenant)
            .await?;
        let hook = self.webhook_of(&row, id).await?;
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::WebhookRemove,
            "",
            &hook.url,
            "",
        );
        if recorded.webhook_remove(row.id, id).await? {
            Ok(())
        } else {
            Err(ControlError::not_found("webhook", id))
        }
    }

    /// Sends one a message that says nothing but that it works.
    pub async fn webhook_test(&self, actor: &Actor, tenant: i64, id: i64) -> Result<()> {
        let row = self
            .tenant_row(actor, Operation::WebhookTest, tenant)
            .await?;
        let hook = self.webhook_of(&row, id).await?;
        let message = AuditRow {
            at: self.now(),
            actor: actor.login().to_owned(),
            role: actor.role().to_string(),
            operation: Operation::WebhookTest.to_string(),
            object: hook.url,
            ..AuditRow::default()
        };
        self.store().delivery_add(row.id, id, &message).await?;
        self.wake.notify_one();
        Ok(())
    }

    /// The last messages of a tenant's webhooks, newest first.
    pub async fn webhook_deliveries(
        &self,
        actor: &Actor,
        tenant: i64,
    ) -> Result<Vec<DeliveryView>> {
        let row = self
            .tenant_row(actor, Operation::WebhookDeliveries, tenant)
            .await?;
        let rows = self.store().delivery_list(row.id, SHOWN).await?;
        Ok(rows.into_iter().map(delivery_view).collect())
    }

    async fn webhook_of(&self, row: &store::TenantRow, id: i64) -> Result<WebhookRow> {
        let hook = self.store().webhook_get(id).await?;
        hook.filter(|hook| hook.tenant == row.id)
            .ok_or_else(|| ControlError::not_found("webhook", id))
    }

    /// Sends what is due, and forgets what is old: one round for tests and for a command line without a server. Returns how many
    /// were tried.
    pub(crate) async fn webhook_turn(&self) -> Result<usize> {
        let mut count = 0;
        loop {
            let due = self.deliveries_due(PARALLEL).await?;
            if due.is_empty() {
                self.deliveries_forget().await?;
                return Ok(count);
            }
            count += due.len();
            let sent = due.into_iter().map(|delivery| self.send(delivery));
            for sent in futures_util::future::join_all(sent).await {
                sent?;
            }
        }
    }

    async fn deliveries_due(&self, room: usize) -> Result<Vec<DeliveryRow>> {
        let now = self.now();
        let next = self.store().delivery_next().await?;
        if next.is_none_or(|next| next > now) {
            return Ok(Vec::new());
        }
        let room = u32::try_from(room).unwrap_or(u32::MAX);
        let lease = plus(now, LEASE_SECONDS);
        Ok(self.store().delivery_claim(now, lease, room).await?)
    }

    async fn deliveries_forget(&self) -> Result<()> {
        let since = Timestamp(self.now().0 - KEPT_DAYS * DAY);
        Ok(self.store().deliveries_sweep(since).await?)
    }

    async fn send(&self, delivery: DeliveryRow) -> Result<()> {
        let Some(hook) = self.store().webhook_get(delivery.webhook).await? else {
            return Ok(());
        };
        let now = self.now();
        let (status, said) = match Url::parse(&hook.url) {
            Err(error) => (None, error.to_string()),
            Ok(url) => {
                let post = Post {
                    media_type: "application/json",
                    headers: signed(&hook.secret, &delivery, now),
                    body: delivery.body.clone().into_bytes(),
                };
                match self.parts.fetch.post(&url, post, ANSWER_BYTES).await {
                    Ok(reply) => (Some(reply.status), format!("answered {}", reply.status)),
                    Err(error) => (None, error.to_string()),
                }
            }
        };
        let next = match status {
            Some(200..=299) => None,
            // "Gone": whoever answers so wants nothing more of this (RFC 9110 15.5.11).
            Some(410) => None,
            _ => {
                let failed = usize::try_from(delivery.attempts - 1).unwrap_or(usize::MAX);
                PAUSES.get(failed).map(|pause| plus(self.now(), *pause))
            }
        };
        self.store()
            .delivery_tried(delivery.id, status, &said, next)
            .await?;
        self.tell_tenant(hook.tenant);
        Ok(())
    }
}

/// Headers of a message: its id, which stays the same over all attempts, the time of this one, and the signature over both and
/// the body.
fn signed(secret: &[u8], delivery: &DeliveryRow, now: Timestamp) -> Vec<(&'static str, String)> {
    let id = format!("msg_{}", delivery.id);
    let time = now.0.div_euclid(SECOND).to_string();
    let mut headers = vec![
        ("webhook-id", id.clone()),
        ("webhook-timestamp", time.clone()),
    ];
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) {
        mac.update(format!("{id}.{time}.{}", delivery.body).as_bytes());
        let signature = data_encoding::BASE64.encode(&mac.finalize().into_bytes());
        headers.push(("webhook-signature", format!("v1,{signature}")));
    }
    headers
}

fn address(text: &str) -> Result<String> {
    let text = text.trim();
    let bad = |problem: &str| {
        ControlError::invalid(
            "url",
            text,
            problem,
            "Write it like https://example.com/hooks/domicile.",
        )
    };
    if text.len() > URL_BYTES {
        return Err(bad("this address is too long"));
    }
    let url = Url::parse(text).map_err(|_| bad("this is not a web address"))?;
    if url.scheme() != "https" {
        return Err(bad(
            "what is told here is for nobody on the way: only https will do",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(bad("an address here has no user, password or fragment"));
    }
    match url.host_str() {
        Some(host) if host.contains('.') || host.contains(':') => Ok(url.to_string()),
        _ => Err(bad("this host is nobody's on the internet")),
    }
}

fn events(asked: &[String]) -> Result<Vec<String>> {
    let mut events = Vec::new();
    for word in asked
        .iter()
        .map(|word| word.trim())
        .filter(|w| !w.is_empty())
    {
        let known = Operation::ALL.iter().map(|operation| operation.as_str());
        let known = known.chain(SEEN);
        let fits = |name: &str| name == word || name.split('.').next() == Some(word);
        if !known.into_iter().any(fits) {
            return Err(ControlError::invalid(
                "events",
                word,
                format!("there is no operation \"{word}\" and no noun"),
                "Write operations (account.add), what is seen (domain.state, domain.finding) or nouns (account), or none for everything.",
            ));
        }
        if !events.iter().any(|known| known == word) {
            events.push(word.to_owned());
        }
    }
    Ok(events)
}

fn view(row: WebhookRow) -> WebhookView {
    WebhookView {
        id: row.id,
        url: row.url,
        events: row.events,
        created: row.created,
    }
}

fn delivery_view(row: DeliveryRow) -> DeliveryView {
    DeliveryView {
        id: row.id,
        webhook: row.webhook,
        state: match (row.due, row.status) {
            (Some(_), _) => "waiting",
            (None, Some(200..=299)) => "delivered",
            (None, _) => "given up",
        },
        event: row.event,
        at: row.at,
        attempts: row.attempts,
        next: row.due,
        status: row.status,
        said: row.said,
        body: row.body,
    }
}

/// The worker's side: sends again and again, beside its other work.
pub(crate) async fn deliver(control: Arc<Control>) {
    const PAUSE: Duration = Duration::from_secs(1);
    // Each makes room for the next as it ends: whoever answers slowly holds up nobody but themselves.
    let mut sending: JoinSet<Result<()>> = JoinSet::new();
    let mut forgotten = None;
    loop {
        let room = PARALLEL.saturating_sub(sending.len());
        let mut pause = PAUSE;
        match control.deliveries_due(room).await {
            Ok(due) => {
                let swept = forgotten.is_some_and(|at| control.now() < plus(at, SWEEP_SECONDS));
                if due.is_empty() && sending.is_empty() && !swept {
                    forgotten = Some(control.now());
                    if let Err(error) = control.deliveries_forget().await {
                        tracing::warn!(error = %error.log_text(), "old deliveries stay until the next try");
                    }
                }
                for delivery in due {
                    let courier = control.clone();
                    sending.spawn(async move { courier.send(delivery).await });
                }
            }
            Err(error) => {
                tracing::warn!(error = %error.log_text(), "webhooks cannot be told");
                pause *= 10;
            }
        }
        tokio::select! {
            Some(sent) = sending.join_next(), if !sending.is_empty() => {
                if let Ok(Err(error)) = sent {
                    tracing::warn!(error = %error.log_text(), "what became of a message to a webhook is not written down");
                }
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_signed_as_the_standard_says() {
        // The example of the specification's libraries.
        let secret = data_encoding::BASE64
            .decode(b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
            .unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}");
        let known = data_encoding::BASE64.encode(&mac.finalize().into_bytes());
        assert_eq!(known, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let delivery = DeliveryRow {
            id: 7,
            webhook: 1,
            at: Timestamp(0),
            event: String::new(),
            body: "{}".into(),
            attempts: 1,
            due: None,
            status: None,
            said: String::new(),
        };
        let headers = signed(&secret, &delivery, Timestamp(1_614_265_330 * SECOND));
        assert_eq!(headers[0], ("webhook-id", "msg_7".into()));
        assert_eq!(headers[1], ("webhook-timestamp", "1614265330".into()));
        assert!(headers[2].1.starts_with("v1,"));
        let later = signed(&secret, &delivery, Timestamp(1_614_265_331 * SECOND));
        assert_ne!(headers[2], later[2]);
    }

    #[test]
    fn only_addresses_that_keep_a_secret_are_taken() {
        for good in ["https://example.com/hook", "https://example.com:8443/h?x=1"] {
            assert_eq!(address(good).unwrap(), good);
        }
        for bad in [
            "",
            "example.com",
            "http://example.com/",
            "https://user:secret@example.com/",
            "https://example.com/#x",
            "https://localhost/",
            "ftp://example.com/",
        ] {
            assert_eq!(address(bad).unwrap_err().field(), Some("url"), "{bad}");
        }
        assert_eq!(
            events(&["account".into(), " domain.add ".into()]).unwrap(),
            ["account", "domain.add"]
        );
        assert!(events(&["nonsense".into()]).is_err());
    }
}
