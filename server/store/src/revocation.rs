//! Certificates of domains that have left, until their authority has revoked them (RFC 8555 7.6, ACME-15). What is kept is
//! public: the key goes with the domain.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Store, wr};

/// A certificate that is to be revoked.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct RevocationRow {
    /// Row.
    pub id: i64,
    /// The domain that has left.
    pub domain: String,
    /// Directory of the authority that issued it; empty: the only one there was.
    pub authority: String,
    /// Leaf first; PEM.
    pub chain_pem: String,
    /// Attempts that failed.
    pub failures: i64,
}

impl Store {
    /// Takes what is to be revoked now, at most `limit`; nobody else gets it before `until`. What has ended by itself is forgotten.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn revocation_claim(
        &self,
        now: Timestamp,
        until: Timestamp,
        limit: u32,
    ) -> Result<Vec<RevocationRow>> {
        Ok(wr!(self, p => {
            sqlx::query("DELETE FROM acme_revocations WHERE not_after <= $1").bind(now.0).execute(p).await?;
            sqlx::query_as(
                "UPDATE acme_revocations SET not_before = $2 WHERE id IN \
                 (SELECT id FROM acme_revocations WHERE not_before <= $1 ORDER BY not_before, id LIMIT $3) AND not_before <= $1 \
                 RETURNING id, domain, authority, chain_pem, failures",
            )
            .bind(now.0).bind(until.0).bind(i64::from(limit)).fetch_all(p).await
        })?)
    }

    /// It is revoked, or never will be.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn revocation_done(&self, id: i64) -> Result<()> {
        wr!(self, p => {
            sqlx::query("DELETE FROM acme_revocations WHERE id = $1").bind(id).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// It failed once more, and is tried again then.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn revocation_failed(&self, id: i64, again: Timestamp) -> Result<()> {
        wr!(self, p => {
            sqlx::query("UPDATE acme_revocations SET failures = failures + 1, not_before = $2 WHERE id = $1")
                .bind(id).bind(again.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }
}
