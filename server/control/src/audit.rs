//! What was done to a tenant, by whom: readable by the tenant.

use serde::Serialize;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
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

impl Control {
    /// The audit log of a tenant (by id; `None`: the actor's own, or the whole platform's), newest first, at most 100.
    pub async fn audit_list(
        &self,
        actor: &Actor,
        tenant: Option<i64>,
        before: Option<i64>,
    ) -> Result<Vec<AuditView>> {
        let _ = (actor, tenant, before);
        todo!()
    }
}
