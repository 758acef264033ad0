//! What was done to a tenant and by whom. Only ever appended to.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Store, TenantId, rd, wr};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Row; grows with time.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// Who: a login, `system`, `command line`.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// What.
    pub operation: String,
    /// To what.
    pub object: String,
    /// How, for people. Never a secret.
    pub detail: String,
}

type Tuple = (i64, i64, String, String, String, String, String);

impl Store {
    /// Appends; `row.id` is ignored.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn audit_add(&self, tenant: Option<TenantId>, row: &AuditRow) -> Result<()> {
        wr!(self, p => {
            sqlx::query(
                "INSERT INTO audit (tenant, at, actor, role, operation, object, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            )
            .bind(tenant.map(|t| t.0)).bind(row.at.0).bind(&row.actor).bind(&row.role).bind(&row.operation)
            .bind(&row.object).bind(&row.detail).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Entries of a tenant (or of all), newest first, older than `before`, at most `limit`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn audit_list(
        &self,
        tenant: Option<TenantId>,
        before: i64,
        limit: u32,
    ) -> Result<Vec<AuditRow>> {
        let found: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, at, actor, role, operation, object, detail FROM audit \
                 WHERE ($1 = 0 OR tenant = $1) AND id < $2 ORDER BY id DESC LIMIT $3",
            )
            .bind(tenant.map_or(0, |t| t.0)).bind(before).bind(i64::from(limit)).fetch_all(p).await
        })?;
        let row = |(id, at, actor, role, operation, object, detail): Tuple| AuditRow {
            id,
            at: Timestamp(at),
            actor,
            role,
            operation,
            object,
            detail,
        };
        Ok(found.into_iter().map(row).collect())
    }
}
