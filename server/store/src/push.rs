//! Where an account's sessions want to be woken (XEP-0357).

use crate::error::Result;
use crate::{AccountId, DomainStore, rd, wr};

/// Registrations of an account at most.
pub const PUSH_REGISTRATIONS: i64 = 10;

/// A node of a push service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushRow {
    /// Address of the service.
    pub service: String,
    /// Node.
    pub node: String,
    /// Resource of the session that asked for it last.
    pub resource: String,
    /// The name that its client has given itself (XEP-0388 2.3), if it has.
    pub agent: Option<String>,
    /// Form to publish with, as it came.
    pub options: Option<Vec<u8>>,
}

type Tuple = (String, String, String, Option<String>, Option<Vec<u8>>);

impl DomainStore {
    /// Adds a registration, or renews one of the same service and node. `false`: the account has as many as it may, or is
    /// gone.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn push_enable(&self, account: AccountId, push: &PushRow) -> Result<bool> {
        let n = wr!(self.store, p => {
            sqlx::query(
                "INSERT INTO push_registrations (account, service, node, resource, options, agent) \
                 SELECT id, $3, $4, $5, $6, $8 FROM accounts WHERE domain = $1 AND id = $2 AND \
                 (SELECT COUNT(*) FROM push_registrations WHERE account = $2 AND NOT (service = $3 AND node = $4)) < $7 \
                 ON CONFLICT (account, service, node) DO UPDATE SET resource = excluded.resource, options = excluded.options, \
                 agent = excluded.agent",
            )
            .bind(self.id.0).bind(account.0).bind(&push.service).bind(&push.node).bind(&push.resource).bind(&push.options)
            .bind(PUSH_REGISTRATIONS).bind(&push.agent).execute(p).await.map(|done| done.rows_affected())
        })?;
        Ok(n > 0)
    }

    /// Removes the registration of a node, or all of a service; how many there were.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn push_disable(
        &self,
        account: AccountId,
        service: &str,
        node: Option<&str>,
    ) -> Result<u64> {
        Ok(wr!(self.store, p => {
            sqlx::query(
                "DELETE FROM push_registrations WHERE service = $3 AND ($4 IS NULL OR node = $4) AND account IN \
                 (SELECT id FROM accounts WHERE domain = $1 AND id = $2)",
            )
            .bind(self.id.0).bind(account.0).bind(service).bind(node).execute(p).await.map(|done| done.rows_affected())
        })?)
    }

    /// Registrations of an account, in the order of their coming.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn push_list(&self, account: AccountId) -> Result<Vec<PushRow>> {
        let found: Vec<Tuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT r.service, r.node, r.resource, r.agent, r.options FROM push_registrations r \
                 JOIN accounts a ON a.id = r.account \
                 WHERE a.domain = $1 AND r.account = $2 ORDER BY r.id",
            )
            .bind(self.id.0).bind(account.0).fetch_all(p).await
        })?;
        let row = |(service, node, resource, agent, options): Tuple| PushRow {
            service,
            node,
            resource,
            agent,
            options,
        };
        Ok(found.into_iter().map(row).collect())
    }
}
