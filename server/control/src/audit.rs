//! What was done to a tenant, by whom: readable by the tenant.

use serde::Serialize;
use store::{AuditRow, TenantId};
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::permission::Operation;
use crate::{Actor, Control};

/// One entry.
#[derive(Debug, Clone, Serialize)]
pub struct AuditView {
    /// Id; pass the smallest as `before` for the next page.
    pub id: i64,
    /// When.
    #[serde(serialize_with = "crate::time::at")]
    pub at: Timestamp,
    /// Who: e-mail address, or `cli`, `worker`.
    pub actor: String,
    /// Their role then.
    pub role: String,
    /// What (name of the operation).
    pub operation: String,
    /// To what.
    pub object: String,
    /// Details in words; never a secret.
    pub detail: String,
}

/// Entries per page.
const PAGE: u32 = 100;

impl Control {
    /// The audit log of a tenant (by id; `None`: the actor's own, or the whole platform's), newest first, at most 100.
    pub async fn audit_list(
        &self,
        actor: &Actor,
        tenant: Option<i64>,
        before: Option<i64>,
    ) -> Result<Vec<AuditView>> {
        let tenant = tenant.map(TenantId).or(actor.tenant);
        actor.check(
            Operation::AuditList,
            tenant,
            "tenant",
            &tenant
                .map(|tenant| tenant.0.to_string())
                .unwrap_or_default(),
        )?;
        let rows = self
            .store()
            .audit_list(tenant, before.unwrap_or(i64::MAX), PAGE)
            .await?;
        Ok(rows
            .into_iter()
            .map(|row| AuditView {
                id: row.id,
                at: row.at,
                actor: row.actor,
                role: row.role,
                operation: row.operation,
                object: row.object,
                detail: row.detail,
            })
            .collect())
    }

    /// Writes an entry. Called by every operation that changed something, after it did.
    ///
    /// # Errors
    /// [`ControlError::Unrecorded`]: whoever did it learns that it is done and not written down, and so does the log.
    pub(crate) async fn audit(
        &self,
        actor: &Actor,
        tenant: Option<TenantId>,
        operation: Operation,
        object: &str,
        detail: &str,
    ) -> Result<()> {
        let row = AuditRow {
            id: 0,
            at: self.now(),
            actor: actor.login().to_owned(),
            role: actor.role.to_string(),
            operation: operation.to_string(),
            object: object.to_owned(),
            detail: detail.to_owned(),
        };
        if let Err(error) = self.store().audit_add(tenant, &row).await {
            tracing::error!(
                actor = actor.login(), role = %actor.role, via = &*actor.via, operation = %operation, object, detail, %error,
                "done, but not in the audit log"
            );
            return Err(ControlError::Unrecorded {
                operation,
                source: error.into(),
            });
        }
        tracing::info!(actor = actor.login(), role = %actor.role, via = &*actor.via, operation = %operation, object, detail, "done");
        Ok(())
    }
}
