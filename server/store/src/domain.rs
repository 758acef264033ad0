//! Hosted domains: the row, the claim to it, and the lease under which one node looks after it.

use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::change::{Change, announce};
use crate::error::{Result, StoreError};
use crate::tenant::{hold, keep_within};
use crate::{DomainId, Identity, Store, TenantId, glance, rd, wr};

/// A hosted (or claimed) domain. Words in `state`, `mode`, `policy` and the JSON texts are control's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainRow {
    /// Row.
    pub id: DomainId,
    /// Whose.
    pub tenant: TenantId,
    /// U-labels.
    pub name: DomainName,
    /// Left-most label of its SRV target in the platform's zone.
    pub label: String,
    /// State of its life.
    pub state: String,
    /// Why, for people.
    pub reason: String,
    /// Who suspended it: empty, `operator`, `owner`, `system`.
    pub suspended_by: String,
    /// Delegation mode.
    pub mode: String,
    /// Ownership token, published as TXT.
    pub token: String,
    /// When ownership was last proved.
    pub verified_at: Option<Timestamp>,
    /// XEP-0238 level.
    pub policy: String,
    /// Only these peers, if any.
    pub allow: Vec<String>,
    /// Never these peers.
    pub block: Vec<String>,
    /// JSON.
    pub settings: String,
    /// JSON of the last observation.
    pub look: Option<String>,
    /// When it was last looked at.
    pub checked_at: Option<Timestamp>,
    /// When it is to be looked at; none: not at all.
    pub next_check_at: Option<Timestamp>,
    /// When it came.
    pub created: Timestamp,
    /// Counts the edits of this row; [`Store::domain_update`] refuses one that was made on an older row.
    pub revision: i64,
}

#[derive(sqlx::FromRow)]
pub(crate) struct Raw {
    id: i64,
    tenant: i64,
    name: String,
    label: String,
    state: String,
    reason: String,
    suspended_by: String,
    mode: String,
    token: String,
    verified_at: Option<i64>,
    policy: String,
    allow_peers: String,
    block_peers: String,
    settings: String,
    look: Option<String>,
    checked_at: Option<i64>,
    next_check_at: Option<i64>,
    created: i64,
    revision: i64,
}

impl Raw {
    pub(crate) fn row(self) -> Result<DomainRow> {
        let list = |text: &str| {
            serde_json::from_str(text).map_err(|_| StoreError::Corrupt {
                what: "domains.allow_peers or block_peers",
            })
        };
        Ok(DomainRow {
            id: DomainId(self.id),
            tenant: TenantId(self.tenant),
            name: DomainName::parse(&self.name).map_err(|_| StoreError::Corrupt {
                what: "domains.name",
            })?,
            label: self.label,
            state: self.state,
            reason: self.reason,
            suspended_by: self.suspended_by,
            mode: self.mode,
            token: self.token,
            verified_at: self.verified_at.map(Timestamp),
            policy: self.policy,
            allow: list(&self.allow_peers)?,
            block: list(&self.block_peers)?,
            settings: self.settings,
            look: self.look,
            checked_at: self.checked_at.map(Timestamp),
            next_check_at: self.next_check_at.map(Timestamp),
            created: Timestamp(self.created),
            revision: self.revision,
        })
    }
}

fn rows(raw: Vec<Raw>) -> Result<Vec<DomainRow>> {
    raw.into_iter().map(Raw::row).collect()
}

/// Every column of [`Raw`], in front of the rest of a query.
macro_rules! select {
    ($($rest:expr),+ $(,)?) => {
        concat!(
            "SELECT id, tenant, name, label, state, reason, suspended_by, mode, token, verified_at, policy, allow_peers, ",
            "block_peers, settings, look, checked_at, next_check_at, created, revision FROM domains ",
            $($rest),+
        )
    };
}
pub(crate) use select;

/// Adds a row, whatever its number says; `$rest` is the end of the query.
macro_rules! insert {
    ($row:expr, $rest:literal) => {
        sqlx::query_as(concat!(
            "INSERT INTO domains (tenant, name, label, state, reason, suspended_by, mode, token, verified_at, policy, ",
            "allow_peers, block_peers, settings, next_check_at, created) ",
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ",
            $rest
        ))
        .bind($row.tenant.0)
        .bind($row.name.as_str())
        .bind(&$row.label)
        .bind(&$row.state)
        .bind(&$row.reason)
        .bind(&$row.suspended_by)
        .bind(&$row.mode)
        .bind(&$row.token)
        .bind($row.verified_at.map(|t| t.0))
        .bind(&$row.policy)
        .bind($crate::domain::json(&$row.allow))
        .bind($crate::domain::json(&$row.block))
        .bind(&$row.settings)
        .bind($row.next_check_at.map(|t| t.0))
        .bind($row.created.0)
    };
}

pub(crate) use insert;

/// Puts down what was ordered for a domain and has not ended as to be revoked.
macro_rules! revoke_all {
    ($tx:expr, $row:expr, $now:expr) => {
        sqlx::query(
            "INSERT INTO acme_revocations (domain, authority, chain_pem, not_after, not_before) \
             SELECT $2, authority, chain_pem, not_after, $3 FROM certificates WHERE domain = $1 AND source = 'acme' AND not_after > $3",
        )
        .bind($row.id.0).bind($row.name.as_str()).bind($now.0).execute(&mut *$tx).await?;
    };
}

pub(crate) fn json(list: &[String]) -> String {
    serde_json::Value::from(list.to_vec()).to_string()
}

impl Store {
    /// Adds a claim to a domain; `row.id` is ignored. Several customers may claim one name, only one can have proved it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when this customer has the name already, or the label is taken.
    pub async fn domain_add(&self, row: &DomainRow) -> Result<DomainId> {
        let (id,): (i64,) = wr!(self, p => {
            let mut tx = p.begin().await?;
            if self.2.is_some() {
                hold!(tx, row.tenant);
            }
            let id = insert!(row, "RETURNING id")
            .fetch_one(&mut *tx).await.map_err(taken)?;
            keep_within!(self, tx, row.tenant, "domains", "SELECT COUNT(*) FROM domains WHERE tenant = $1", 1);
            record!(self, tx);
            announce!(tx, Change::Domain(row.name.to_string()), row.created);
            tx.commit().await?;
            id
        });
        self.tell();
        Ok(DomainId(id))
    }

    /// Adds many domains of one customer in one transaction, each with the certificate that is current from then on and its end, if it has one.
    /// `true`: added; `false`: the customer has the name already, another has proved it, or the label is taken.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was added then.
    pub async fn domain_import(
        &self,
        domains: &[(DomainRow, Option<(Identity, Timestamp)>)],
        now: Timestamp,
    ) -> Result<Vec<bool>> {
        let mut added = Vec::with_capacity(domains.len());
        wr!(self, p => {
            let mut tx = p.begin().await?;
            let tenant = domains.first().map(|(row, _)| row.tenant);
            if let Some(tenant) = tenant.filter(|_| self.2.is_some()) {
                hold!(tx, tenant);
            }
            for (row, identity) in domains {
                let id: Option<(i64,)> = insert!(row, "ON CONFLICT DO NOTHING RETURNING id")
                    .fetch_optional(&mut *tx).await?;
                added.push(id.is_some());
                let Some((id,)) = id else { continue };
                if let Some((identity, not_after)) = identity {
                    let key = self.seal_identity(DomainId(id), identity)?;
                    sqlx::query(
                        "INSERT INTO certificates (domain, chain_pem, key_sealed, not_after, source, state, created, key_since, since) \
                         VALUES ($1, $2, $3, $4, 'uploaded', 'current', $5, $5, $5)",
                    )
                    .bind(id).bind(&identity.chain_pem).bind(&key).bind(not_after.0).bind(now.0)
                    .execute(&mut *tx).await?;
                }
            }
            // What is announced is announced last: whoever appends holds a lock until the commit.
            let count = added.iter().filter(|added| **added).count();
            if let Some(tenant) = tenant {
                keep_within!(
                    self, tx, tenant, "domains", "SELECT COUNT(*) FROM domains WHERE tenant = $1",
                    u64::try_from(count).unwrap_or(u64::MAX)
                );
            }
            if count > 0 {
                record!(self, tx, None, format!("{count} added"));
            }
            for ((row, _), added) in domains.iter().zip(&added) {
                if *added {
                    announce!(tx, Change::Domain(row.name.to_string()), now);
                }
            }
            tx.commit().await?;
        });
        self.tell();
        Ok(added)
    }

    /// One domain.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_get(&self, id: DomainId) -> Result<Option<DomainRow>> {
        let raw: Option<Raw> = rd!(self, p => sqlx::query_as(select!("WHERE id = $1")).bind(id.0).fetch_optional(p).await)?;
        raw.map(Raw::row).transpose()
    }

    /// Every claim to a name, the proved one first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_find(&self, name: &DomainName) -> Result<Vec<DomainRow>> {
        rows(rd!(self, p => {
            sqlx::query_as(select!(
                "WHERE name = $1 ORDER BY CASE WHEN verified_at IS NULL THEN 1 ELSE 0 END, id"
            ))
            .bind(name.as_str()).fetch_all(p).await
        })?)
    }

    /// The proved row of a name: what a stream's `to` selects.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_hosted(&self, name: &DomainName) -> Result<Option<DomainRow>> {
        let raw: Option<Raw> = rd!(self, p => {
            sqlx::query_as(select!("WHERE name = $1 AND verified_at IS NOT NULL"))
                .bind(name.as_str()).fetch_optional(p).await
        })?;
        raw.map(Raw::row).transpose()
    }

    /// The domain of a label in the platform's zone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_find_label(&self, label: &str) -> Result<Option<DomainRow>> {
        let raw: Option<Raw> = rd!(self, p => sqlx::query_as(select!("WHERE label = $1")).bind(label).fetch_optional(p).await)?;
        raw.map(Raw::row).transpose()
    }

    /// Domains of a customer, or of all, by row after `after`, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_list(
        &self,
        tenant: Option<TenantId>,
        after: DomainId,
        limit: u32,
    ) -> Result<Vec<DomainRow>> {
        rows(rd!(self, p => {
            sqlx::query_as(select!("WHERE ($1 = 0 OR tenant = $1) AND id > $2 ORDER BY id LIMIT $3"))
                .bind(tenant.map_or(0, |t| t.0)).bind(after.0).bind(i64::from(limit)).fetch_all(p).await
        })?)
    }

    /// Names of proven domains that others than `tenant` have, in order, beginning behind `after`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_names_of_others(
        &self,
        tenant: TenantId,
        after: &str,
        limit: u32,
    ) -> Result<Vec<String>> {
        let names: Vec<(String,)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT name FROM domains WHERE verified_at IS NOT NULL AND tenant <> $1 AND name > $2 ORDER BY name LIMIT $3",
            )
            .bind(tenant.0).bind(after).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(names.into_iter().map(|(name,)| name).collect())
    }

    /// How many domains a customer has, or there are.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_count(&self, tenant: Option<TenantId>) -> Result<u64> {
        let (n,): (i64,) = rd!(self, p => {
            sqlx::query_as("SELECT COUNT(*) FROM domains WHERE $1 = 0 OR tenant = $1")
                .bind(tenant.map_or(0, |t| t.0)).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }

    /// Domains by state.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_states(&self) -> Result<Vec<(String, u64)>> {
        let found: Vec<(String, i64)> = rd!(self, p => {
            sqlx::query_as("SELECT state, COUNT(*) FROM domains GROUP BY state ORDER BY state").fetch_all(p).await
        })?;
        Ok(found
            .into_iter()
            .map(|(s, n)| (s, n.unsigned_abs()))
            .collect())
    }

    /// Writes what people and the worker decide: not id, tenant, name, label and created, and not `look`, `checked_at` and
    /// `next_check_at`, which have setters of their own. `false`: the domain is gone, or its row was edited after `row` was
    /// read (`row.revision`); nothing is written then, read it again.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when `verified_at` is set while another customer's proof of the name stands.
    pub async fn domain_update(&self, row: &DomainRow, now: Timestamp) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query(
                "UPDATE domains SET state = $3, reason = $4, suspended_by = $5, mode = $6, token = $7, verified_at = $8, \
                 policy = $9, allow_peers = $10, block_peers = $11, settings = $12, revision = revision + 1 \
                 WHERE id = $1 AND revision = $2",
            )
            .bind(row.id.0).bind(row.revision).bind(&row.state).bind(&row.reason).bind(&row.suspended_by).bind(&row.mode)
            .bind(&row.token).bind(row.verified_at.map(|t| t.0)).bind(&row.policy).bind(json(&row.allow))
            .bind(json(&row.block)).bind(&row.settings)
            .execute(&mut *tx).await.map_err(taken)?.rows_affected();
            if n > 0 {
                record!(self, tx);
                announce!(tx, Change::Domain(row.name.to_string()), now);
            }
            tx.commit().await?;
            n
        });
        self.tell();
        Ok(n > 0)
    }

    /// Stores what was seen, without an announcement: nothing that live servers cache has changed.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_looked(&self, id: DomainId, look: &str, now: Timestamp) -> Result<()> {
        wr!(self, p => {
            sqlx::query("UPDATE domains SET look = $2, checked_at = $3 WHERE id = $1")
                .bind(id.0).bind(look).bind(now.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Sets when a domain is to be looked at next ("check now": the present).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_check_at(&self, id: DomainId, at: Option<Timestamp>) -> Result<()> {
        wr!(self, p => {
            sqlx::query("UPDATE domains SET next_check_at = $2 WHERE id = $1")
                .bind(id.0).bind(at.map(|t| t.0)).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Leases domains that are due to `owner` until `until`: no other node gets them before. At most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_claim_due(
        &self,
        now: Timestamp,
        owner: &str,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<DomainRow>> {
        // One statement, so two nodes cannot both win. SQLite has one writer; PostgreSQL skips rows that are being taken.
        macro_rules! claim {
            ($skip:literal) => {
                concat!(
                    "UPDATE domains SET lease_owner = $2, lease_until = $3 WHERE id IN (SELECT id FROM domains ",
                    "WHERE next_check_at <= $1 AND (lease_until IS NULL OR lease_until < $1) ",
                    "ORDER BY next_check_at LIMIT $4", $skip, ") ",
                    "RETURNING id, tenant, name, label, state, reason, suspended_by, mode, token, verified_at, policy, ",
                    "allow_peers, block_peers, settings, look, checked_at, next_check_at, created, revision"
                )
            };
        }
        let raw: Vec<Raw> = match &self.0.db {
            crate::Db::Pg(p) => {
                sqlx::query_as(claim!(" FOR UPDATE SKIP LOCKED"))
                    .bind(now.0)
                    .bind(owner)
                    .bind(until.0)
                    .bind(i64::from(limit))
                    .fetch_all(p)
                    .await?
            }
            crate::Db::Lite { write, .. } => {
                sqlx::query_as(claim!(""))
                    .bind(now.0)
                    .bind(owner)
                    .bind(until.0)
                    .bind(i64::from(limit))
                    .fetch_all(write)
                    .await?
            }
        };
        rows(raw)
    }

    /// When the first domain is to be looked at: a question that costs little where nothing is due.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_next(&self) -> Result<Option<Timestamp>> {
        let (next,): (Option<i64>,) = glance!(self, p => sqlx::query_as("SELECT MIN(next_check_at) FROM domains").fetch_one(p).await)?;
        Ok(next.map(Timestamp))
    }

    /// Leases one domain to `owner` until `until`, whether or not it is due. `None`: another holds it, or it is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_claim(
        &self,
        id: DomainId,
        now: Timestamp,
        owner: &str,
        until: Timestamp,
    ) -> Result<Option<DomainRow>> {
        let raw: Option<Raw> = wr!(self, p => {
            sqlx::query_as(
                "UPDATE domains SET lease_owner = $2, lease_until = $3 WHERE id = $4 AND (lease_until IS NULL OR lease_until < $1) \
                 RETURNING id, tenant, name, label, state, reason, suspended_by, mode, token, verified_at, policy, \
                 allow_peers, block_peers, settings, look, checked_at, next_check_at, created, revision",
            )
            .bind(now.0).bind(owner).bind(until.0).bind(id.0).fetch_optional(p).await
        })?;
        raw.map(Raw::row).transpose()
    }

    /// Holds a lease longer. `false`: it is no longer `owner`'s, so the work must be left to whoever has it now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_lease_extend(
        &self,
        id: DomainId,
        owner: &str,
        until: Timestamp,
    ) -> Result<bool> {
        let n = wr!(self, p => {
            sqlx::query("UPDATE domains SET lease_until = $3 WHERE id = $1 AND lease_owner = $2")
                .bind(id.0).bind(owner).bind(until.0).execute(p).await.map(|r| r.rows_affected())
        })?;
        Ok(n > 0)
    }

    /// Ends a lease and says when to look again, unless somebody asked for a look meanwhile: `claimed` is the row as it was
    /// leased, and a `next_check_at` other than its own stays. Nothing happens when the lease is no longer `owner`'s.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_lease_release(
        &self,
        claimed: &DomainRow,
        owner: &str,
        next: Option<Timestamp>,
    ) -> Result<()> {
        wr!(self, p => {
            sqlx::query(
                "UPDATE domains SET lease_owner = NULL, lease_until = NULL, \
                 next_check_at = CASE WHEN next_check_at = $3 THEN $4 ELSE next_check_at END \
                 WHERE id = $1 AND lease_owner = $2",
            )
            .bind(claimed.id.0).bind(owner).bind(claimed.next_check_at.map(|t| t.0)).bind(next.map(|t| t.0))
            .execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Takes a name away from a customer whose proof of it has lapsed: the row stays a claim of theirs, with everything they have
    /// there, and is no longer what the name selects. Certificates that were ordered for it and have not ended are kept,
    /// without their keys, until they are revoked (ACME-15), and no order of theirs goes on. `false`: the domain is gone, or its
    /// row was edited after `row` was read; nothing is written then.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_give_way(&self, row: &DomainRow, now: Timestamp) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("UPDATE domains SET verified_at = NULL, revision = revision + 1 WHERE id = $1 AND revision = $2")
                .bind(row.id.0).bind(row.revision).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                revoke_all!(tx, row, now);
                for text in [
                    "DELETE FROM certificates WHERE domain = $1 AND source = 'acme'",
                    "DELETE FROM acme_orders WHERE domain = $1",
                    "DELETE FROM acme_queue WHERE domain = $1",
                ] {
                    sqlx::query(text).bind(row.id.0).execute(&mut *tx).await?;
                }
                record!(self, tx);
                announce!(tx, Change::Domain(row.name.to_string()), now);
            }
            tx.commit().await?;
            n
        });
        self.tell();
        Ok(n > 0)
    }

    /// Removes a domain with every row of it; `departed`: remember the name, so that it is answered with host-gone. Certificates
    /// that were ordered for it and have not ended are kept, without their keys, until they are revoked (ACME-15).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_remove(
        &self,
        row: &DomainRow,
        departed: bool,
        now: Timestamp,
    ) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            revoke_all!(tx, row, now);
            let n = sqlx::query("DELETE FROM domains WHERE id = $1").bind(row.id.0).execute(&mut *tx).await?.rows_affected();
            if departed {
                sqlx::query(
                    "INSERT INTO domains_departed (name, at) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET at = excluded.at",
                )
                .bind(row.name.as_str()).bind(now.0).execute(&mut *tx).await?;
            }
            if n > 0 {
                record!(self, tx);
            }
            announce!(tx, Change::Domain(row.name.to_string()), now);
            tx.commit().await?;
            n
        });
        self.tell();
        Ok(n > 0)
    }

    /// When a name left, if it did and is not back (VHOST-06).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn domain_departed(&self, name: &DomainName) -> Result<Option<Timestamp>> {
        let found: Option<(i64,)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT at FROM domains_departed WHERE name = $1 \
                 AND NOT EXISTS (SELECT 1 FROM domains WHERE name = $1 AND verified_at IS NOT NULL)",
            )
            .bind(name.as_str()).fetch_optional(p).await
        })?;
        Ok(found.map(|(at,)| Timestamp(at)))
    }
}

pub(crate) fn taken(error: sqlx::Error) -> StoreError {
    match error.into() {
        StoreError::Conflict { .. } => StoreError::Conflict {
            what: "this domain",
        },
        other => other,
    }
}
