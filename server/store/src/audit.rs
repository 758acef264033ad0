//! What was done to a tenant and by whom. Only ever appended to, in the transaction of what was done: [`Store::recorded`].

use std::fmt::Display;
use std::sync::Arc;

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Store, TenantId, rd, wr};

/// One entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// Which domain it concerns (U-labels); empty: no single one.
    pub domain: String,
    /// To what.
    pub object: String,
    /// How, for people. Never a secret.
    pub detail: String,
}

/// Which entries; what is empty or absent does not choose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Of this domain (U-labels).
    pub domain: String,
    /// This operation (`domain.add`), or all of this noun (`domain`).
    pub operation: String,
    /// By this actor.
    pub actor: String,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// With a smaller id than this one.
    pub before: Option<i64>,
}

/// What a handle of the store writes beside its changes, and in whose log.
pub(crate) struct Entry {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) row: AuditRow,
    via: String,
}

impl Entry {
    /// The process's log hears of it as well, once it stands behind what was done: what was refused leaves no line.
    pub(crate) fn say(&self, more: impl Display) {
        let row = &self.row;
        tracing::info!(
            actor = row.actor,
            role = row.role,
            via = self.via,
            operation = row.operation,
            object = row.object,
            detail = format!("{}{more}", row.detail),
            "operation"
        );
    }
}

type Tuple = (i64, i64, String, String, String, String, String, String);

/// Writes the handle's entry, if it has one, inside a transaction. `$tenant` goes before the entry's own where only the
/// transaction knows it; `$said` is put behind its detail.
macro_rules! record {
    ($store:expr, $tx:expr) => {
        $crate::audit::record!($store, $tx, None, "")
    };
    ($store:expr, $tx:expr, $tenant:expr, $said:expr) => {
        if let Some(entry) = $store.entry() {
            let tenant: Option<$crate::TenantId> = $tenant;
            $crate::audit::insert!(&mut *$tx, tenant.or(entry.tenant), &entry.row, $said)?;
            $crate::webhook::tell_hooks!(&mut *$tx, tenant.or(entry.tenant), entry.row, $said);
            entry.say($said);
        }
    };
}
pub(crate) use record;

macro_rules! insert {
    ($c:expr, $tenant:expr, $row:expr, $said:expr) => {
        sqlx::query(
            "INSERT INTO audit (tenant, at, actor, role, operation, domain, object, detail) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind($tenant.map(|t| t.0))
        .bind($row.at.0)
        .bind(&$row.actor)
        .bind(&$row.role)
        .bind(&$row.operation)
        .bind(&$row.domain)
        .bind(&$row.object)
        .bind(format!("{}{}", $row.detail, $said))
        .execute($c)
        .await
    };
}
pub(crate) use insert;

impl Store {
    /// A handle whose changes write `row` (its id is ignored) into the log of `tenant`, each in its own transaction: neither
    /// is there without the other. A change that finds nothing to change, or is refused, writes nothing. `via` is the door
    /// that it came by; the process's log alone names it.
    #[must_use]
    pub fn recorded(&self, tenant: Option<TenantId>, row: AuditRow, via: &str) -> Self {
        let via = via.to_owned();
        let entry = Arc::new(Entry { tenant, row, via });
        Self(self.0.clone(), Some(entry), self.2)
    }

    pub(crate) fn entry(&self) -> Option<&Entry> {
        self.1.as_deref()
    }

    /// Appends the entry of this handle ([`Store::recorded`]) by itself: it is about what is not in the store.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn audit_add(&self) -> Result<()> {
        wr!(self, p => {
            let mut tx = p.begin().await?;
            record!(self, tx);
            tx.commit().await?;
        });
        Ok(())
    }

    /// Entries, newest first, at most `limit`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn audit_list(&self, filter: &AuditFilter, limit: u32) -> Result<Vec<AuditRow>> {
        let found: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, at, actor, role, operation, domain, object, detail FROM audit \
                 WHERE ($1 = 0 OR tenant = $1) AND ($2 = '' OR domain = $2) \
                 AND ($3 = '' OR operation = $3 OR SUBSTR(operation, 1, LENGTH($3) + 1) = $3 || '.') \
                 AND ($4 = '' OR actor = $4) AND at >= $5 AND at < $6 AND id < $7 ORDER BY id DESC LIMIT $8",
            )
            .bind(filter.tenant.map_or(0, |t| t.0)).bind(&filter.domain).bind(&filter.operation).bind(&filter.actor)
            .bind(filter.since.map_or(i64::MIN, |t| t.0)).bind(filter.until.map_or(i64::MAX, |t| t.0))
            .bind(filter.before.unwrap_or(i64::MAX)).bind(i64::from(limit)).fetch_all(p).await
        })?;
        let row = |(id, at, actor, role, operation, domain, object, detail): Tuple| AuditRow {
            id,
            at: Timestamp(at),
            actor,
            role,
            operation,
            domain,
            object,
            detail,
        };
        Ok(found.into_iter().map(row).collect())
    }
}
