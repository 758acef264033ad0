//! Webhooks: where customers want to hear what is done, and what waits to be told.
//!
//! What is to be told is put in line in the transaction of the change itself, beside its entry in the audit log
//! ([`crate::audit`]): nothing is told that was not done, and nothing that was done is forgotten.

use xmpp::timestamp::Timestamp;
use zeroize::Zeroizing;

use crate::audit::record;
use crate::error::Result;
use crate::{AuditRow, Store, TenantId, glance, rd, wr};

/// A webhook.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRow {
    /// Row.
    pub id: i64,
    /// Whose.
    pub tenant: TenantId,
    /// Where it is told.
    pub url: String,
    /// Operations and nouns; none: everything.
    pub events: Vec<String>,
    /// What messages are signed with.
    pub secret: Zeroizing<Vec<u8>>,
    /// When made.
    pub created: Timestamp,
}

impl std::fmt::Debug for WebhookRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRow")
            .field("id", &self.id)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Something to be told, or that was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Row.
    pub id: i64,
    /// To which webhook.
    pub webhook: i64,
    /// When it happened.
    pub at: Timestamp,
    /// The operation.
    pub event: String,
    /// JSON, as it is sent.
    pub body: String,
    /// Attempts so far.
    pub attempts: i64,
    /// When it is tried next; none: it is settled.
    pub due: Option<Timestamp>,
    /// HTTP status of the last attempt, if there was an answer.
    pub status: Option<i64>,
    /// What became of the last attempt, in words.
    pub said: String,
}

type Hook = (i64, i64, String, String, Vec<u8>, i64);
type Delivery = (
    i64,
    i64,
    i64,
    String,
    String,
    i64,
    Option<i64>,
    Option<i64>,
    String,
);

fn place(tenant: i64) -> String {
    format!("webhooks {tenant}")
}

const SEALED: &str = "webhooks.secret_sealed";

fn delivery(t: Delivery) -> DeliveryRow {
    let (id, webhook, at, event, body, attempts, due, status, said) = t;
    DeliveryRow {
        id,
        webhook,
        at: Timestamp(at),
        event,
        body,
        attempts,
        due: due.map(Timestamp),
        status,
        said,
    }
}

/// The message about an entry of the audit log.
pub(crate) fn message(row: &AuditRow, said: &str) -> String {
    serde_json::json!({
        "type": row.operation,
        "timestamp": row.at.to_xep0082(),
        "data": {
            "domain": row.domain,
            "object": row.object,
            "detail": format!("{}{said}", row.detail),
            "actor": row.actor,
            "role": row.role,
        },
    })
    .to_string()
}

/// Puts an entry in line for the webhooks of its tenant that want it, inside a transaction.
macro_rules! tell_hooks {
    ($c:expr, $tenant:expr, $row:expr, $said:expr) => {
        if let Some(tenant) = $tenant {
            let noun = $row.operation.split('.').next().unwrap_or_default();
            sqlx::query(
                "INSERT INTO webhook_deliveries (webhook, at, event, body, due) \
                 SELECT w.id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($2 AS BIGINT) FROM webhooks w \
                 WHERE w.tenant = $1 AND (w.events = '' OR w.events LIKE '%|' || $3 || '|%' OR w.events LIKE '%|' || $5 || '|%')",
            )
            .bind(tenant.0)
            .bind($row.at.0)
            .bind(&$row.operation)
            .bind($crate::webhook::message(&$row, &$said))
            .bind(noun)
            .execute($c)
            .await?;
        }
    };
}
pub(crate) use tell_hooks;

impl Store {
    fn hook(&self, (id, tenant, url, events, sealed, created): Hook) -> Result<WebhookRow> {
        let words = events.split('|').filter(|word| !word.is_empty());
        Ok(WebhookRow {
            id,
            tenant: TenantId(tenant),
            url,
            events: words.map(str::to_owned).collect(),
            secret: Zeroizing::new(
                self.sealer()
                    .open(&place(tenant), &sealed, SEALED)?
                    .to_vec(),
            ),
            created: Timestamp(created),
        })
    }

    /// Adds a webhook; `row.id` is ignored.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn webhook_add(&self, row: &WebhookRow) -> Result<i64> {
        let sealed = self.sealer().seal(&place(row.tenant.0), &row.secret)?;
        let events = match row.events.is_empty() {
            true => String::new(),
            false => format!("|{}|", row.events.join("|")),
        };
        let (id,): (i64,) = wr!(self, p => {
            let mut tx = p.begin().await?;
            let id = sqlx::query_as(
                "INSERT INTO webhooks (tenant, url, events, secret_sealed, created) VALUES ($1, $2, $3, $4, $5) RETURNING id",
            )
            .bind(row.tenant.0).bind(&row.url).bind(&events).bind(&sealed).bind(row.created.0).fetch_one(&mut *tx).await?;
            record!(self, tx);
            tx.commit().await?;
            id
        });
        Ok(id)
    }

    /// Webhooks of a tenant.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn webhook_list(&self, tenant: TenantId) -> Result<Vec<WebhookRow>> {
        let found: Vec<Hook> = rd!(self, p => {
            sqlx::query_as("SELECT id, tenant, url, events, secret_sealed, created FROM webhooks WHERE tenant = $1 ORDER BY id")
                .bind(tenant.0).fetch_all(p).await
        })?;
        found.into_iter().map(|row| self.hook(row)).collect()
    }

    /// One webhook, whoever's it is: for whoever sends.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn webhook_get(&self, id: i64) -> Result<Option<WebhookRow>> {
        let found: Option<Hook> = rd!(self, p => {
            sqlx::query_as("SELECT id, tenant, url, events, secret_sealed, created FROM webhooks WHERE id = $1")
                .bind(id).fetch_optional(p).await
        })?;
        found.map(|row| self.hook(row)).transpose()
    }

    /// Removes a webhook of a tenant, with what waits for it. `false`: the tenant has none of this number.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn webhook_remove(&self, tenant: TenantId, id: i64) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("DELETE FROM webhooks WHERE tenant = $1 AND id = $2")
                .bind(tenant.0).bind(id).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// The last deliveries of a tenant's webhooks, newest first.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn delivery_list(&self, tenant: TenantId, limit: u32) -> Result<Vec<DeliveryRow>> {
        let found: Vec<Delivery> = rd!(self, p => {
            sqlx::query_as(
                "SELECT d.id, d.webhook, d.at, d.event, d.body, d.attempts, d.due, d.status, d.said \
                 FROM webhook_deliveries d JOIN webhooks w ON w.id = d.webhook WHERE w.tenant = $1 ORDER BY d.id DESC LIMIT $2",
            )
            .bind(tenant.0).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(delivery).collect())
    }

    /// Puts a message in line for one webhook of a tenant. `false`: the tenant has none of this number.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn delivery_add(
        &self,
        tenant: TenantId,
        webhook: i64,
        row: &AuditRow,
    ) -> Result<bool> {
        let n = wr!(self, p => {
            sqlx::query(
                "INSERT INTO webhook_deliveries (webhook, at, event, body, due) \
                 SELECT w.id, CAST($3 AS BIGINT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($3 AS BIGINT) FROM webhooks w \
                 WHERE w.tenant = $1 AND w.id = $2",
            )
            .bind(tenant.0).bind(webhook).bind(row.at.0).bind(&row.operation).bind(message(row, ""))
            .execute(p).await.map(|done| done.rows_affected())
        })?;
        Ok(n > 0)
    }

    /// Puts what was seen, and done by nobody, in line for the webhooks of a tenant that want to hear of it.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn hooks_tell(&self, tenant: TenantId, row: &AuditRow) -> Result<()> {
        wr!(self, p => {
            let mut c = p.acquire().await?;
            tell_hooks!(&mut *c, Some(tenant), row, "");
        });
        Ok(())
    }

    /// When the first message is due: a question that costs little where nothing is.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn delivery_next(&self) -> Result<Option<Timestamp>> {
        let (next,): (Option<i64>,) = glance!(self, p => sqlx::query_as("SELECT MIN(due) FROM webhook_deliveries").fetch_one(p).await)?;
        Ok(next.map(Timestamp))
    }

    /// Takes what is due, at most `limit`: it is due again at `lease` if whoever takes it says nothing until then, and this
    /// counts as an attempt. Each webhook is sent one message at a time, and customers take turns, what is being sent to theirs
    /// counted: whoever answers slowly waits for themselves.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn delivery_claim(
        &self,
        now: Timestamp,
        lease: Timestamp,
        limit: u32,
    ) -> Result<Vec<DeliveryRow>> {
        let found: Vec<Delivery> = wr!(self, p => {
            sqlx::query_as(
                "UPDATE webhook_deliveries SET due = $2, taken = $2, attempts = attempts + 1 WHERE due <= $1 AND id IN \
                 (SELECT id FROM (SELECT d.id, d.due, ROW_NUMBER() OVER (PARTITION BY w.tenant ORDER BY d.due, d.id) + \
                 (SELECT COUNT(*) FROM webhook_deliveries u JOIN webhooks o ON o.id = u.webhook \
                  WHERE o.tenant = w.tenant AND u.taken > $1) AS turn \
                 FROM (SELECT id, webhook, due, ROW_NUMBER() OVER (PARTITION BY webhook ORDER BY due, id) AS place \
                  FROM webhook_deliveries WHERE due <= $1) d JOIN webhooks w ON w.id = d.webhook WHERE d.place = 1 \
                 AND NOT EXISTS (SELECT 1 FROM webhook_deliveries u WHERE u.webhook = d.webhook AND u.taken > $1)) line \
                 ORDER BY turn, due, id LIMIT $3) \
                 RETURNING id, webhook, at, event, body, attempts, due, status, said",
            )
            .bind(now.0).bind(lease.0).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(delivery).collect())
    }

    /// What became of an attempt; without `due` the matter is settled.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn delivery_tried(
        &self,
        id: i64,
        status: Option<u16>,
        said: &str,
        due: Option<Timestamp>,
    ) -> Result<()> {
        wr!(self, p => {
            sqlx::query("UPDATE webhook_deliveries SET status = $2, said = $3, due = $4, taken = NULL WHERE id = $1")
                .bind(id).bind(status.map(i64::from)).bind(said).bind(due.map(|at| at.0)).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Forgets what happened before `since`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn deliveries_sweep(&self, since: Timestamp) -> Result<()> {
        wr!(self, p => sqlx::query("DELETE FROM webhook_deliveries WHERE at < $1").bind(since.0).execute(p).await.map(|_| ()))?;
        Ok(())
    }

    /// Seals what an older master key has sealed; how many.
    pub(crate) async fn webhooks_reseal(&self) -> Result<u64> {
        let rows: Vec<(i64, i64, Vec<u8>)> = rd!(self, p => {
            sqlx::query_as("SELECT id, tenant, secret_sealed FROM webhooks").fetch_all(p).await
        })?;
        let mut done = 0;
        for (id, tenant, sealed) in rows {
            if let Some(fresh) = self.reseal(&place(tenant), &sealed, SEALED)? {
                wr!(self, p => {
                    sqlx::query("UPDATE webhooks SET secret_sealed = $2 WHERE id = $1 AND secret_sealed = $3")
                        .bind(id).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        Ok(done)
    }
}
