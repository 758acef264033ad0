//! Messages that wait for their reader (XEP-0160): committed before anybody is told that they are kept.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{AccountId, ArchiveId, DomainStore, rd, statement};

/// Rows that are forgotten in one statement.
const TOGETHER: usize = 500;

/// A message that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfflineMessage {
    /// Row; grows in the order of arrival.
    pub id: i64,
    /// When it arrived.
    pub at: Timestamp,
    /// The whole stanza, as it goes to the client; empty where the archive does not have it any more.
    pub stanza: Vec<u8>,
    /// Its name in the archive, where it is kept there.
    pub archived: Option<ArchiveId>,
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
        statement!(self.store, c => {
            // Counting stops at the limit, so a full store costs no more than an allowed one. For a bare parameter behind LIMIT,
            // SQLite plans the statement anew each time, for the sake of its value: half of what it costs.
            let added: Vec<(i64,)> = sqlx::query_as(
                "INSERT INTO offline_messages (account, at, stanza) SELECT id, $3, $4 FROM accounts \
                 WHERE domain = $1 AND id = $2 AND \
                 (SELECT COUNT(*) FROM (SELECT 1 FROM offline_messages WHERE account = $2 LIMIT CAST($5 AS BIGINT)) AS few) < $5 RETURNING id",
            )
            .bind(domain).bind(account.0).bind(at.0).bind(stanza).bind(i64::from(max)).fetch_all(c).await?;
            Ok(added.first().map(|(id,)| *id))
        })
    }

    /// Lets a message wait that is in the account's archive already: nothing is kept twice. As [`DomainStore::offline_add`]
    /// otherwise.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; it does not wait then.
    pub async fn offline_add_archived(
        &self,
        account: AccountId,
        at: Timestamp,
        id: ArchiveId,
        max: u32,
    ) -> Result<Option<i64>> {
        const IN_TABLE: &str = "INSERT INTO offline_messages (account, at, stanza, archived) SELECT a.id, $3, $4, $6 FROM accounts a \
             JOIN archive r ON r.account = a.id AND r.at = $6 AND r.salt = $7 \
             WHERE a.domain = $1 AND a.id = $2 AND \
             (SELECT COUNT(*) FROM (SELECT 1 FROM offline_messages WHERE account = $2 LIMIT CAST($5 AS BIGINT)) AS few) < $5 RETURNING id";
        const IN_LOG: &str = "INSERT INTO offline_messages (account, at, stanza, archived) SELECT a.id, $3, $4, $6 FROM accounts a \
             WHERE a.domain = $1 AND a.id = $2 AND $7 = $7 AND \
             (SELECT COUNT(*) FROM (SELECT 1 FROM offline_messages WHERE account = $2 LIMIT CAST($5 AS BIGINT)) AS few) < $5 RETURNING id";
        let domain = self.id.0;
        // What is in the log is not brought into the table for the sake of each message that waits.
        let in_log = self.store.0.archive.waits(account, id);
        if !in_log {
            self.archive_settled(Some(account)).await?;
        }
        let sql = if in_log { IN_LOG } else { IN_TABLE };
        statement!(self.store, c => {
            let added: Vec<(i64,)> = sqlx::query_as(sql)
            .bind(domain).bind(account.0).bind(at.0).bind(&b""[..]).bind(i64::from(max)).bind(id.at).bind(id.salt)
            .fetch_all(c).await?;
            Ok(added.first().map(|(id,)| *id))
        })
    }

    /// Whoever waits for messages of the archive up to this one has got them from there.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; they are delivered again then.
    pub async fn offline_remove_archived(&self, account: AccountId, up_to: i64) -> Result<()> {
        let domain = self.id.0;
        statement!(self.store, c => {
            sqlx::query(
                "DELETE FROM offline_messages WHERE account IN (SELECT id FROM accounts WHERE domain = $1 AND id = $2) \
                 AND archived <= $3",
            )
            .bind(domain).bind(account.0).bind(up_to).execute(c).await?;
            Ok(())
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
        type Row = (i64, i64, Vec<u8>, Option<i64>, Option<i64>);
        self.archive_settled(Some(account)).await?;
        let found: Vec<Row> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT o.id, o.at, COALESCE(r.stanza, o.stanza), r.at, r.salt FROM offline_messages o \
                 JOIN accounts a ON a.id = o.account LEFT JOIN archive r ON r.account = o.account AND r.at = o.archived \
                 WHERE a.domain = $1 AND o.account = $2 AND o.id > $3 ORDER BY o.id LIMIT CAST($4 AS BIGINT)",
            )
            .bind(self.id.0).bind(account.0).bind(after).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found
            .into_iter()
            .map(|(id, at, stanza, archived, salt)| OfflineMessage {
                id,
                at: Timestamp(at),
                stanza,
                archived: archived.zip(salt).map(|(at, salt)| ArchiveId { at, salt }),
            })
            .collect())
    }

    /// Forgets messages that have reached their reader; rows of other accounts are left alone.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; they are delivered again then.
    pub async fn offline_remove(&self, account: AccountId, rows: &[i64]) -> Result<()> {
        let domain = self.id.0;
        for rows in rows.chunks(TOGETHER) {
            // Numbers of our own stand in it and nothing else, so they need no parameters.
            let numbers: Vec<String> = rows.iter().map(i64::to_string).collect();
            let text = format!(
                "DELETE FROM offline_messages WHERE id IN ({}) AND account IN \
                 (SELECT id FROM accounts WHERE domain = $1 AND id = $2)",
                numbers.join(", ")
            );
            let done: Result<()> = statement!(self.store, c => {
                // It is never the same text twice: not worth remembering.
                let query = sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false);
                query.bind(domain).bind(account.0).execute(c).await?;
                Ok(())
            });
            done?;
        }
        Ok(())
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
