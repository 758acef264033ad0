//! What the public door shows to an authority that checks a name by HTTP (http-01, RFC 8555 8.3).

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{DomainStore, Store, rd, wr};

impl DomainStore {
    /// Shows a key authorization at `name` (A-labels, lower case).
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn answer_put(
        &self,
        name: &str,
        token: &str,
        key_authorization: &str,
        now: Timestamp,
    ) -> Result<()> {
        // A name and token that another domain shows stay that domain's (ACME-08).
        wr!(self.store, p => {
            sqlx::query(
                "INSERT INTO acme_answers (name, token, domain, key_authorization, created) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (name, token) DO UPDATE SET key_authorization = excluded.key_authorization, \
                 created = excluded.created WHERE acme_answers.domain = excluded.domain",
            )
            .bind(name).bind(token).bind(self.id.0).bind(key_authorization).bind(now.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Shows it no longer.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn answer_remove(&self, name: &str, token: &str) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query("DELETE FROM acme_answers WHERE name = $1 AND token = $2 AND domain = $3")
                .bind(name).bind(token).bind(self.id.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }
}

impl Store {
    /// The key authorization to show at `http://NAME/.well-known/acme-challenge/TOKEN`; `name` in A-labels, lower case.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn answer_get(&self, name: &str, token: &str) -> Result<Option<String>> {
        let found: Option<(String,)> = rd!(self, p => {
            sqlx::query_as("SELECT key_authorization FROM acme_answers WHERE name = $1 AND token = $2")
                .bind(name).bind(token).fetch_optional(p).await
        })?;
        Ok(found.map(|(text,)| text))
    }

    /// The same for a domain's own names, by its label in the platform's zone.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn answer_get_label(&self, label: &str, token: &str) -> Result<Option<String>> {
        let found: Option<(String,)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT a.key_authorization FROM domains d JOIN acme_answers a ON a.domain = d.id WHERE d.label = $1 AND a.token = $2",
            )
            .bind(label).bind(token).fetch_optional(p).await
        })?;
        Ok(found.map(|(text,)| text))
    }

    /// Forgets what was left over by an order that broke off; returns how much.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn answers_sweep(&self, before: Timestamp) -> Result<u64> {
        Ok(wr!(self, p => {
            sqlx::query("DELETE FROM acme_answers WHERE created < $1").bind(before.0).execute(p).await.map(|done| done.rows_affected())
        })?)
    }
}
