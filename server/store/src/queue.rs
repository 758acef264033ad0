//! Certificate orders that wait, and what has been spent at each authority: what the plan of orders needs, on every node alike.
//!
//! A plan is made in one transaction that holds the queue ([`Store::queue_plan`]), so two nodes cannot spend the same room.
//! What may start is decided by the caller; nothing here knows a limit.

use xmpp::timestamp::Timestamp;

use crate::error::{Result, StoreError};
use crate::{DomainId, Store, TenantId, rd, wr};

/// Name of the lock under which PostgreSQL plans: `acmeplan` in ASCII.
const LOCK: i64 = 0x6163_6d65_706c_616e;

/// One order that waits or is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// For which domain.
    pub domain: DomainId,
    /// Whose.
    pub tenant: TenantId,
    /// Lower first.
    pub priority: u8,
    /// Wanted from.
    pub due: Timestamp,
    /// End of the certificate in use.
    pub deadline: Option<Timestamp>,
    /// A-labels, the domain first.
    pub names: Vec<String>,
    /// Registered domain.
    pub registered: String,
    /// Digest of the names.
    pub name_set: String,
    /// Directory URL of the authority it goes to.
    pub authority: String,
    /// The authority does not count it (ARI).
    pub exempt: bool,
    /// Failures in a row.
    pub failures: u32,
    /// Pause after a failure.
    pub not_before: Timestamp,
    /// Under way since.
    pub started: Option<Timestamp>,
    /// What the last plan said: not before then …
    pub wait_until: Option<Timestamp>,
    /// … for this reason.
    pub why: String,
}

/// Something that an authority counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpentRow {
    /// Directory URL.
    pub authority: String,
    /// `order`, `certificate`, `failure`.
    pub kind: String,
    /// What it is counted by; empty for orders.
    pub subject: String,
    /// When.
    pub at: Timestamp,
}

/// How far back each kind counts.
#[derive(Debug, Clone, Copy)]
pub struct Since {
    /// Orders.
    pub orders: Timestamp,
    /// Certificates.
    pub certificates: Timestamp,
    /// Failures.
    pub failures: Timestamp,
}

/// What a plan is made from.
#[derive(Debug, Clone, Default)]
pub struct QueueView {
    /// Orders that are due at the same authority, first in line first, at most as many as asked for; with them the one that is
    /// asked about. What waits for a limit of its own (its registered domain, its set of names, one of its names) is not in it
    /// until its time has come: no plan could start it, and it would hide those behind.
    pub waiting: Vec<QueueRow>,
    /// What has been spent, of those subjects that matter to them.
    pub spent: Vec<SpentRow>,
    /// How the authorities do.
    pub authorities: Vec<AuthorityRow>,
}

/// What a plan says of the order it was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Planned {
    /// It goes now; what it takes.
    Start(Vec<SpentRow>),
    /// It waits.
    Wait {
        /// Until then.
        until: Timestamp,
        /// For this.
        why: String,
    },
}

/// How an authority does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorityRow {
    /// Directory URL.
    pub directory: String,
    /// It does not answer since.
    pub down_since: Option<Timestamp>,
    /// It asked us to wait until.
    pub not_before: Timestamp,
    /// The last fault, in its words.
    pub said: String,
    /// What it was seen to offer, JSON.
    pub offers: String,
}

#[derive(sqlx::FromRow)]
struct Raw {
    domain: i64,
    tenant: i64,
    priority: i64,
    due: i64,
    deadline: Option<i64>,
    names: String,
    registered: String,
    name_set: String,
    authority: String,
    exempt: bool,
    failures: i64,
    not_before: i64,
    started: Option<i64>,
    wait_until: Option<i64>,
    why: String,
}

impl Raw {
    fn row(self) -> Result<QueueRow> {
        Ok(QueueRow {
            domain: DomainId(self.domain),
            tenant: TenantId(self.tenant),
            priority: u8::try_from(self.priority).unwrap_or(u8::MAX),
            due: Timestamp(self.due),
            deadline: self.deadline.map(Timestamp),
            names: serde_json::from_str(&self.names).map_err(|_| StoreError::Corrupt {
                what: "acme_queue.names",
            })?,
            registered: self.registered,
            name_set: self.name_set,
            authority: self.authority,
            exempt: self.exempt,
            failures: u32::try_from(self.failures).unwrap_or(u32::MAX),
            not_before: Timestamp(self.not_before),
            started: self.started.map(Timestamp),
            wait_until: self.wait_until.map(Timestamp),
            why: self.why,
        })
    }
}

macro_rules! columns {
    ($($rest:literal),*) => {
        concat!(
            "domain, tenant, priority, due, deadline, names, registered, name_set, authority, exempt, failures, not_before, \
             started, wait_until, why", $($rest),*
        )
    };
}

type Spent = (String, String, String, i64);
type Authority = (String, Option<i64>, i64, String, String);

fn spent((authority, kind, subject, at): Spent) -> SpentRow {
    SpentRow {
        authority,
        kind,
        subject,
        at: Timestamp(at),
    }
}

fn authority((directory, down_since, not_before, said, offers): Authority) -> AuthorityRow {
    AuthorityRow {
        directory,
        down_since: down_since.map(Timestamp),
        not_before: Timestamp(not_before),
        said,
        offers,
    }
}

/// The order in which orders stand in line: the more urgent first, tenants in turn, then who is due longest. What is under way
/// stands before all, so that it is counted.
macro_rules! line {
    ($where:literal, $rest:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM (SELECT ",
            columns!(),
            ", ROW_NUMBER() OVER (PARTITION BY priority, tenant ORDER BY due, domain) AS turn FROM acme_queue WHERE ",
            $where,
            ") AS line ORDER BY CASE WHEN started IS NULL THEN 1 ELSE 0 END, priority, turn, due, domain ",
            $rest
        )
    };
}

impl Store {
    /// Puts an order into the queue, or says anew what it is for. What is under way stays so, and what the last plan said stands
    /// until the next.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn queue_put(&self, row: &QueueRow) -> Result<()> {
        let names = serde_json::Value::from(row.names.clone()).to_string();
        wr!(self, p => {
            sqlx::query(
                "INSERT INTO acme_queue (domain, tenant, priority, due, deadline, names, registered, name_set, authority, exempt, \
                 failures, not_before) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) \
                 ON CONFLICT (domain) DO UPDATE SET tenant = excluded.tenant, priority = excluded.priority, due = excluded.due, \
                 deadline = excluded.deadline, names = excluded.names, registered = excluded.registered, \
                 name_set = excluded.name_set, authority = excluded.authority, exempt = excluded.exempt, \
                 failures = excluded.failures, not_before = excluded.not_before",
            )
            .bind(row.domain.0).bind(row.tenant.0).bind(i64::from(row.priority)).bind(row.due.0)
            .bind(row.deadline.map(|t| t.0)).bind(&names).bind(&row.registered).bind(&row.name_set).bind(&row.authority)
            .bind(row.exempt).bind(i64::from(row.failures)).bind(row.not_before.0)
            .execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Takes an order out of the queue: it is done, or no longer wanted.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn queue_remove(&self, domain: DomainId) -> Result<()> {
        wr!(self, p => {
            sqlx::query("DELETE FROM acme_queue WHERE domain = $1").bind(domain.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// The order is no longer under way, and waits again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn queue_rest(
        &self,
        domain: DomainId,
        failures: u32,
        not_before: Timestamp,
        why: &str,
    ) -> Result<()> {
        wr!(self, p => {
            sqlx::query(
                "UPDATE acme_queue SET started = NULL, failures = $2, not_before = $3, wait_until = $3, why = $4 WHERE domain = $1",
            )
            .bind(domain.0).bind(i64::from(failures)).bind(not_before.0).bind(why).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// The order of a domain.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn queue_get(&self, domain: DomainId) -> Result<Option<QueueRow>> {
        let raw: Option<Raw> = rd!(self, p => {
            sqlx::query_as(concat!("SELECT ", columns!(), " FROM acme_queue WHERE domain = $1"))
                .bind(domain.0).fetch_optional(p).await
        })?;
        raw.map(Raw::row).transpose()
    }

    /// Orders in the queue in the order in which they stand in line, a customer's or all, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn queue_list(&self, tenant: Option<TenantId>, limit: u32) -> Result<Vec<QueueRow>> {
        let raw: Vec<Raw> = rd!(self, p => {
            sqlx::query_as(line!("$1 = 0 OR tenant = $1", "LIMIT $2"))
                .bind(tenant.map_or(0, |t| t.0)).bind(i64::from(limit)).fetch_all(p).await
        })?;
        raw.into_iter().map(Raw::row).collect()
    }

    /// How many orders wait or are under way, by priority and by the word that says why they wait.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn queue_counts(&self) -> Result<Vec<(u8, String, u64)>> {
        let found: Vec<(i64, String, i64)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT priority, CASE WHEN started IS NULL THEN why ELSE 'under-way' END AS reason, COUNT(*) FROM acme_queue \
                 GROUP BY 1, 2 ORDER BY 1, 2",
            )
            .fetch_all(p).await
        })?;
        Ok(found
            .into_iter()
            .map(|(priority, why, n)| {
                (
                    u8::try_from(priority).unwrap_or(u8::MAX),
                    why,
                    n.unsigned_abs(),
                )
            })
            .collect())
    }

    /// Plans for one domain's order: `decide` sees those in line (at most `limit`), what has been spent and how the authorities
    /// do, and says whether this one goes. What it takes is written in the same transaction, which nobody else's plan can
    /// overlap. Orders that have been under way since before `abandoned` count as waiting: their node died.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing starts then.
    pub async fn queue_plan(
        &self,
        domain: DomainId,
        now: Timestamp,
        abandoned: Timestamp,
        since: Since,
        limit: u32,
        decide: impl FnOnce(&QueueView) -> Planned + Send,
    ) -> Result<Planned> {
        macro_rules! plan {
            ($tx:ident) => {{
                sqlx::query("UPDATE acme_queue SET started = NULL WHERE started < $1")
                    .bind(abandoned.0).execute(&mut *$tx).await?;
                let raw: Vec<Raw> = sqlx::query_as(line!(
                    "authority = (SELECT authority FROM acme_queue WHERE domain = $2) AND (started IS NOT NULL OR domain = $2 OR \
                     (due <= $1 AND not_before <= $1 AND (wait_until IS NULL OR wait_until <= $1 OR \
                      why NOT IN ('registered-domain', 'duplicates', 'failures'))))",
                    "LIMIT $3"
                ))
                .bind(now.0).bind(domain.0).bind(i64::from(limit)).fetch_all(&mut *$tx).await?;
                let found: Vec<Spent> = sqlx::query_as(
                    "SELECT authority, kind, subject, at FROM acme_spent WHERE kind = 'order' AND at > $1 \
                     UNION ALL SELECT authority, kind, subject, at FROM acme_spent WHERE kind = 'failure' AND at > $2 \
                     UNION ALL SELECT authority, kind, subject, at FROM acme_spent WHERE kind = 'certificate' AND at > $3 \
                     AND subject IN (SELECT registered FROM acme_queue UNION SELECT name_set FROM acme_queue)",
                )
                .bind(since.orders.0).bind(since.failures.0).bind(since.certificates.0)
                .fetch_all(&mut *$tx).await?;
                let known: Vec<Authority> =
                    sqlx::query_as("SELECT directory, down_since, not_before, said, offers FROM acme_authorities")
                        .fetch_all(&mut *$tx).await?;
                let view = QueueView {
                    waiting: raw.into_iter().map(Raw::row).collect::<Result<_>>()?,
                    spent: found.into_iter().map(spent).collect(),
                    authorities: known.into_iter().map(authority).collect(),
                };
                let planned = decide(&view);
                match &planned {
                    Planned::Start(takes) => {
                        sqlx::query("UPDATE acme_queue SET started = $2, wait_until = NULL, why = '' WHERE domain = $1")
                            .bind(domain.0).bind(now.0).execute(&mut *$tx).await?;
                        for row in takes {
                            sqlx::query("INSERT INTO acme_spent (authority, kind, subject, at) VALUES ($1, $2, $3, $4)")
                                .bind(&row.authority).bind(&row.kind).bind(&row.subject).bind(row.at.0)
                                .execute(&mut *$tx).await?;
                        }
                    }
                    Planned::Wait { until, why } => {
                        sqlx::query("UPDATE acme_queue SET wait_until = $2, why = $3 WHERE domain = $1")
                            .bind(domain.0).bind(until.0).bind(why).execute(&mut *$tx).await?;
                    }
                }
                $tx.commit().await?;
                Ok(planned)
            }};
        }
        match &self.0.db {
            crate::Db::Pg(p) => {
                let mut tx = p.begin().await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(LOCK)
                    .execute(&mut *tx)
                    .await?;
                plan!(tx)
            }
            crate::Db::Lite { write, .. } => {
                let mut tx = write.begin_with("BEGIN IMMEDIATE").await?;
                plan!(tx)
            }
        }
    }

    /// Writes what has been spent, in one transaction.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn spent_add(&self, rows: &[SpentRow]) -> Result<()> {
        wr!(self, p => {
            let mut tx = p.begin().await?;
            for row in rows {
                sqlx::query("INSERT INTO acme_spent (authority, kind, subject, at) VALUES ($1, $2, $3, $4)")
                    .bind(&row.authority).bind(&row.kind).bind(&row.subject).bind(row.at.0).execute(&mut *tx).await?;
            }
            tx.commit().await?;
        });
        Ok(())
    }

    /// What has been spent since then, by authority, kind and subject: how often, and the first time.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn spent_since(
        &self,
        kind: &str,
        since: Timestamp,
        limit: u32,
    ) -> Result<Vec<(String, String, u64, Timestamp)>> {
        let found: Vec<(String, String, i64, i64)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT authority, subject, COUNT(*), MIN(at) FROM acme_spent WHERE kind = $1 AND at > $2 \
                 GROUP BY authority, subject ORDER BY COUNT(*) DESC, authority, subject LIMIT $3",
            )
            .bind(kind).bind(since.0).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found
            .into_iter()
            .map(|(authority, subject, n, first)| {
                (authority, subject, n.unsigned_abs(), Timestamp(first))
            })
            .collect())
    }

    /// Forgets what no limit counts any more; returns how much.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn spent_sweep(&self, before: Timestamp) -> Result<u64> {
        Ok(wr!(self, p => {
            sqlx::query("DELETE FROM acme_spent WHERE at < $1").bind(before.0).execute(p).await.map(|done| done.rows_affected())
        })?)
    }

    /// How the authorities do; those that nothing is known of are not in it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn authority_list(&self) -> Result<Vec<AuthorityRow>> {
        let found: Vec<Authority> = rd!(self, p => {
            sqlx::query_as(
                "SELECT directory, down_since, not_before, said, offers FROM acme_authorities ORDER BY directory",
            )
            .fetch_all(p).await
        })?;
        Ok(found.into_iter().map(authority).collect())
    }

    /// Remembers how an authority does.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn authority_set(&self, row: &AuthorityRow) -> Result<()> {
        wr!(self, p => {
            sqlx::query(
                "INSERT INTO acme_authorities (directory, down_since, not_before, said, offers) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (directory) DO UPDATE SET down_since = excluded.down_since, not_before = excluded.not_before, \
                 said = excluded.said, offers = excluded.offers",
            )
            .bind(&row.directory).bind(row.down_since.map(|t| t.0)).bind(row.not_before.0).bind(&row.said).bind(&row.offers)
            .execute(p).await.map(|_| ())
        })?;
        Ok(())
    }
}
