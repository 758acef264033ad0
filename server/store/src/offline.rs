//! Messages that wait for their reader (XEP-0160): committed before anybody is told that they are kept.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{AccountId, DomainStore, grouped, rd};

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineMessage {
    /// Row; grows in the order of arrival.
    pub id: i64,
    /// When it arrived.
    pub at: Timestamp,
    /// The whole stanza, as it goes to the client.
    pub stanza: Vec<u8>,
}

impl DomainStore {
    /// Keeps a message; returns its row. None: `max` wait already, or the account is gone; nothing was kept. Where two
    /// arrive at once on PostgreSQL, one more than `max` may be kept.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing was kept then.
    pub async fn offline_add(
        &self,
        account: AccountId,
        at: Timestamp,
        stanza: &[u8],
        max: u32,
    ) -> Result<Option<i64>> {
        let (domain, stanza) = (self.id.0, stanza.to_vec());
        grouped!(self.store, c => {
            // Counting stops at the limit, so a full store costs no more than an allowed one.
            let added: Option<(i64,)> = sqlx::query_as(
                "INSERT INTO offline_messages (account, at, stanza) SELECT id, $3, $4 FROM accounts \
                 WHERE domain = $1 AND id = $2 AND \
                 (SELECT COUNT(*) FROM (SELECT 1 FROM offline_messages WHERE account = $2 LIMIT $5) AS few) < $5 RETURNING id",
            )
            .bind(domain).bind(account.0).bind(at.0).bind(stanza).bind(i64::from(max)).fetch_optional(c).await?;
            Ok(added.map(|(id,)| id))
        })
    }

    /// Messages after row `after`, in the order of arrival, at most `limit`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn offline_list(
        &self,
        account: AccountId,
        after: i64,
        limit: u32,
    ) -> Result<Vec<OfflineMessage>> {
        let found: Vec<(i64, i64, Vec<u8>)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT o.id, o.at, o.stanza FROM offline_messages o JOIN accounts a ON a.id = o.account \
                 WHERE a.domain = $1 AND o.account = $2 AND o.id > $3 ORDER BY o.id LIMIT $4",
            )
            .bind(self.id.0).bind(account.0).bind(after).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found
            .into_iter()
            .map(|(id, at, stanza)| OfflineMessage {
                id,
                at: Timestamp(at),
                stanza,
            })
            .collect())
    }

    /// Forgets messages that have reached their reader; rows of other accounts are left alone.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; they are delivered again then.
    pub async fn offline_remove(&self, account: AccountId, rows: &[i64]) -> Result<()> {
        let (domain, rows) = (self.id.0, rows.to_vec());
        grouped!(self.store, c => {
            for id in rows {
                sqlx::query(
                    "DELETE FROM offline_messages WHERE id = $3 AND account IN \
                     (SELECT id FROM accounts WHERE domain = $1 AND id = $2)",
                )
                .bind(domain).bind(account.0).bind(id).execute(&mut *c).await?;
            }
            Ok(())
        })
    }

    /// Bytes of all messages that wait for users of the tenant that has this domain. Looks at every one of them.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_offline_bytes(&self) -> Result<u64> {
        let (n,): (i64,) = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT CAST(COALESCE(SUM(LENGTH(o.stanza)), 0) AS BIGINT) FROM offline_messages o \
                 JOIN accounts a ON a.id = o.account JOIN domains d ON d.id = a.domain \
                 WHERE d.tenant = (SELECT tenant FROM domains WHERE id = $1)",
            )
            .bind(self.id.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }

    /// How many wait.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn offline_count(&self, account: AccountId) -> Result<u64> {
        let (n,): (i64,) = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT COUNT(*) FROM offline_messages o JOIN accounts a ON a.id = o.account \
                 WHERE a.domain = $1 AND o.account = $2",
            )
            .bind(self.id.0).bind(account.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }
}
