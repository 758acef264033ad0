//! Links by which people take out what they have themselves (XEP-0227). What is kept of one is its hash.

use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::error::Result;
use crate::{DomainId, DomainStore, Store, rd, wr};

/// A link that nobody has used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnExportRow {
    /// Of which domain.
    pub domain: DomainId,
    /// Whose: a localpart.
    pub local: String,
    /// When it ends.
    pub expires: Timestamp,
}

impl DomainStore {
    /// Keeps a link of an account in place of an older one. `false`: there is no such account, or it is stopped.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn own_export_put(
        &self,
        local: &str,
        token_hash: &[u8],
        expires: Timestamp,
    ) -> Result<bool> {
        let kept = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let done = sqlx::query(
                "INSERT INTO own_exports (account, token_hash, expires) \
                 SELECT id, $3, $4 FROM accounts WHERE domain = $1 AND local = $2 AND state = 'active' \
                 ON CONFLICT (account) DO UPDATE SET token_hash = excluded.token_hash, expires = excluded.expires",
            )
            .bind(self.id.0).bind(local).bind(token_hash).bind(expires.0).execute(&mut *tx).await?;
            let kept = done.rows_affected() > 0;
            if kept {
                record!(self.store, tx);
            }
            tx.commit().await?;
            kept
        });
        Ok(kept)
    }

    /// Uses a link up. `false`: it is none of this domain's, was used, has ended, or its account is stopped.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn own_export_take(&self, token_hash: &[u8], now: Timestamp) -> Result<bool> {
        let taken = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let done = sqlx::query(
                "DELETE FROM own_exports WHERE token_hash = $1 AND expires > $2 \
                 AND account IN (SELECT id FROM accounts WHERE domain = $3 AND state = 'active')",
            )
            .bind(token_hash).bind(now.0).bind(self.id.0).execute(&mut *tx).await?;
            let taken = done.rows_affected() > 0;
            if taken {
                record!(self.store, tx);
            }
            tx.commit().await?;
            taken
        });
        Ok(taken)
    }
}

impl Store {
    /// The link of a token, whosever it is, unless it has ended or its account is stopped.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn own_export_find(
        &self,
        token_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<OwnExportRow>> {
        let found: Option<(i64, String, i64)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT a.domain, a.local, e.expires FROM own_exports e JOIN accounts a ON a.id = e.account \
                 WHERE e.token_hash = $1 AND e.expires > $2 AND a.state = 'active'",
            )
            .bind(token_hash).bind(now.0).fetch_optional(p).await
        })?;
        Ok(found.map(|(domain, local, expires)| OwnExportRow {
            domain: DomainId(domain),
            local,
            expires: Timestamp(expires),
        }))
    }

    /// Forgets links that are over.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn own_exports_sweep(&self, now: Timestamp) -> Result<()> {
        wr!(self, p => sqlx::query("DELETE FROM own_exports WHERE expires <= $1").bind(now.0).execute(p).await.map(|_| ()))?;
        Ok(())
    }
}
