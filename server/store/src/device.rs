//! An account's devices as those see them who look after its people: signing one out, and what the account keeps here.
//!
//! A device is a client with tokens ([`crate::token`]) or just a session; what is bound now, the live server knows. Refuses:
//! keeping anything of a device beyond that.

use xmpp::timestamp::Timestamp;

use crate::change::{Change, announce};
use crate::error::Result;
use crate::session::AGENT_FLAG;
use crate::usage::archive_of_account;
use crate::{AccountId, DomainStore, audit::record, rd, wr};

/// Bytes that an account takes, and of how many things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Storage {
    /// Archived messages (XEP-0313).
    pub archive_bytes: u64,
    /// Files that it shares (XEP-0363), …
    pub uploads: u64,
    /// … and their bytes.
    pub upload_bytes: u64,
    /// Messages that wait for it (XEP-0160), …
    pub offline: u64,
    /// … and their bytes.
    pub offline_bytes: u64,
}

impl DomainStore {
    /// Ends every token of a client and what it wants to be woken for (XEP-0357), and has the server end its sessions. `false`:
    /// it has no token, and nothing was written.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn client_sign_out(&self, local: &str, agent: &str, now: Timestamp) -> Result<bool> {
        let done = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let ended = sqlx::query(
                "DELETE FROM client_tokens WHERE agent = $3 AND account IN (SELECT id FROM accounts WHERE domain = $1 AND local = $2)",
            )
            .bind(self.id.0).bind(local).bind(agent).execute(&mut *tx).await?.rows_affected();
            if ended > 0 {
                // A client that has not said who it is, or said it to an earlier version, is known by the session that it has kept.
                sqlx::query(
                    "DELETE FROM push_registrations WHERE account IN (SELECT id FROM accounts WHERE domain = $1 AND local = $2) \
                     AND (agent = $3 OR (agent IS NULL AND resource IN (SELECT s.resource FROM sessions s \
                     WHERE s.account = push_registrations.account AND REPLACE($5 || s.flags, $4, $5) <> $5 || s.flags)))",
                )
                .bind(self.id.0).bind(local).bind(agent).bind(format!("\n{AGENT_FLAG}{agent}\n")).bind("\n")
                .execute(&mut *tx).await?;
                // For a server that is not running now. What waits for the session may be nowhere else: it stays.
                sqlx::query(
                    "UPDATE sessions SET ended = $5 WHERE REPLACE($4 || flags, $3, $4) <> $4 || flags AND account IN \
                     (SELECT id FROM accounts WHERE domain = $1 AND local = $2)",
                )
                .bind(self.id.0).bind(local).bind(format!("\n{AGENT_FLAG}{agent}\n")).bind("\n").bind(true)
                .execute(&mut *tx).await?;
                record!(self.store, tx);
                let jid = format!("{local}@{}", self.name);
                announce!(tx, Change::Client(jid, agent.to_owned(), now), now);
            }
            tx.commit().await?;
            ended > 0
        });
        self.store.tell();
        Ok(done)
    }

    /// Has the server end a session, and ends what it wants to be woken for (XEP-0357).
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn session_sign_out(
        &self,
        local: &str,
        resource: &str,
        now: Timestamp,
    ) -> Result<()> {
        wr!(self.store, p => {
            let mut tx = p.begin().await?;
            sqlx::query(
                "UPDATE sessions SET ended = $4 WHERE resource = $3 AND account IN (SELECT id FROM accounts WHERE domain = $1 AND local = $2)",
            )
            .bind(self.id.0).bind(local).bind(resource).bind(true).execute(&mut *tx).await?;
            sqlx::query(
                "DELETE FROM push_registrations WHERE resource = $3 AND account IN (SELECT id FROM accounts WHERE domain = $1 AND local = $2)",
            )
            .bind(self.id.0).bind(local).bind(resource).execute(&mut *tx).await?;
            record!(self.store, tx);
            let jid = format!("{local}@{}", self.name);
            announce!(tx, Change::Session(jid, resource.to_owned(), now), now);
            tx.commit().await?;
        });
        self.store.tell();
        Ok(())
    }

    /// A resource wants to be woken no more (XEP-0357), for it was signed out; how many registrations that were.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn push_forget(&self, local: &str, resource: &str) -> Result<u64> {
        Ok(wr!(self.store, p => {
            sqlx::query(
                "DELETE FROM push_registrations WHERE resource = $3 AND account IN \
                 (SELECT id FROM accounts WHERE domain = $1 AND local = $2)",
            )
            .bind(self.id.0).bind(local).bind(resource).execute(p).await.map(|done| done.rows_affected())
        })?)
    }

    /// What an account takes now: slots that nothing was put into are not counted.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn storage_of(&self, account: AccountId, now: Timestamp) -> Result<Storage> {
        self.archive_settled(Some(account)).await?;
        let found: Option<(i64, i64, i64, i64, i64)> = rd!(self.store, p => {
            sqlx::query_as(concat!(
                "SELECT CAST(COALESCE(", archive_of_account!(), ", 0) AS BIGINT), \
                 (SELECT COUNT(*) FROM uploads u WHERE u.account = a.id AND u.stored AND u.ends > $3), \
                 CAST((SELECT COALESCE(SUM(u.size), 0) FROM uploads u WHERE u.account = a.id AND u.stored AND u.ends > $3) AS BIGINT), \
                 (SELECT COUNT(*) FROM offline_messages o WHERE o.account = a.id), \
                 CAST((SELECT COALESCE(SUM(LENGTH(o.stanza)), 0) FROM offline_messages o WHERE o.account = a.id) AS BIGINT) \
                 FROM accounts a WHERE a.domain = $1 AND a.id = $2"
            ))
            .bind(self.id.0).bind(account.0).bind(now.0).fetch_optional(p).await
        })?;
        let number = |n: i64| n.max(0).unsigned_abs();
        Ok(found.map_or_else(Storage::default, |found| Storage {
            archive_bytes: number(found.0),
            uploads: number(found.1),
            upload_bytes: number(found.2),
            offline: number(found.3),
            offline_bytes: number(found.4),
        }))
    }
}
