//! Customers.

use xmpp::timestamp::Timestamp;

use crate::change::{Change, announce};
use crate::error::Result;
use crate::{Store, TenantId, rd, wr};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    /// Row.
    pub id: TenantId,
    /// As the customer is called.
    pub name: String,
    /// `active`, `suspended`, …: control's words.
    pub state: String,
    /// Why, for people.
    pub reason: String,
    /// JSON.
    pub limits: String,
    /// When it came.
    pub created: Timestamp,
}

type Tuple = (i64, String, String, String, String, i64);

fn row(t: Tuple) -> TenantRow {
    let (id, name, state, reason, limits, created) = t;
    TenantRow {
        id: TenantId(id),
        name,
        state,
        reason,
        limits,
        created: Timestamp(created),
    }
}

impl Store {
    /// Adds a customer.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_add(
        &self,
        name: &str,
        state: &str,
        limits: &str,
        now: Timestamp,
    ) -> Result<TenantId> {
        let (id,): (i64,) = wr!(self, p => {
            sqlx::query_as("INSERT INTO tenants (name, state, limits, created) VALUES ($1, $2, $3, $4) RETURNING id")
                .bind(name).bind(state).bind(limits).bind(now.0).fetch_one(p).await
        })?;
        Ok(TenantId(id))
    }

    /// One customer.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_get(&self, id: TenantId) -> Result<Option<TenantRow>> {
        let found: Option<Tuple> = rd!(self, p => {
            sqlx::query_as("SELECT id, name, state, reason, limits, created FROM tenants WHERE id = $1")
                .bind(id.0).fetch_optional(p).await
        })?;
        Ok(found.map(row))
    }

    /// Customers by row, after `after`, at most `limit`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_list(&self, after: TenantId, limit: u32) -> Result<Vec<TenantRow>> {
        let found: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, name, state, reason, limits, created FROM tenants WHERE id > $1 ORDER BY id LIMIT $2",
            )
            .bind(after.0).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(row).collect())
    }

    /// Changes name, state, reason and limits. `false`: there is no such customer.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_update(&self, t: &TenantRow, now: Timestamp) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("UPDATE tenants SET name = $2, state = $3, reason = $4, limits = $5 WHERE id = $1")
                .bind(t.id.0).bind(&t.name).bind(&t.state).bind(&t.reason).bind(&t.limits)
                .execute(&mut *tx).await?.rows_affected();
            announce!(tx, Change::Tenant(t.id), now);
            tx.commit().await?;
            n
        });
        self.tell();
        Ok(n > 0)
    }

    /// Removes a customer with everything that is theirs, except the audit log's memory of it. Domains must have been
    /// removed one by one before, so that each is announced.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_remove(&self, id: TenantId) -> Result<bool> {
        let n = wr!(self, p => {
            sqlx::query("DELETE FROM tenants WHERE id = $1").bind(id.0).execute(p).await.map(|r| r.rows_affected())
        })?;
        Ok(n > 0)
    }
}
