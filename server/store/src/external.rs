//! What a domain's own relays for calls know too (XEP-0215). Sealed: credentials are made with the secret itself.

use zeroize::Zeroizing;

use crate::audit::record;
use crate::error::Result;
use crate::{DomainStore, Store, rd, wr};

const WHAT: &str = "external_secrets.secret_sealed";

fn place(domain: i64) -> String {
    format!("external_secrets {domain}")
}

impl DomainStore {
    /// Keeps the secret of the domain's relays, in place of an older one.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn external_secret_put(&self, secret: &[u8]) -> Result<()> {
        let sealed = self.store.sealer().seal(&place(self.id.0), secret)?;
        wr!(self.store, p => {
            let mut tx = p.begin().await?;
            sqlx::query(
                "INSERT INTO external_secrets (domain, secret_sealed) VALUES ($1, $2) \
                 ON CONFLICT (domain) DO UPDATE SET secret_sealed = excluded.secret_sealed",
            )
            .bind(self.id.0).bind(&sealed).execute(&mut *tx).await?;
            record!(self.store, tx);
            tx.commit().await?;
        });
        Ok(())
    }

    /// Forgets it; false: there was none.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn external_secret_remove(&self) -> Result<bool> {
        let gone = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let done = sqlx::query("DELETE FROM external_secrets WHERE domain = $1").bind(self.id.0).execute(&mut *tx).await?;
            let gone = done.rows_affected() > 0;
            if gone {
                record!(self.store, tx);
            }
            tx.commit().await?;
            gone
        });
        Ok(gone)
    }

    /// Whether the domain's relays have a secret.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn external_secret_known(&self) -> Result<bool> {
        let found: Option<(i64,)> = rd!(self.store, p => {
            sqlx::query_as("SELECT domain FROM external_secrets WHERE domain = $1").bind(self.id.0).fetch_optional(p).await
        })?;
        Ok(found.is_some())
    }

    /// The secret of the domain's relays; `None`: they have none.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn external_secret(&self) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let found: Option<(Vec<u8>,)> = rd!(self.store, p => {
            sqlx::query_as("SELECT secret_sealed FROM external_secrets WHERE domain = $1").bind(self.id.0).fetch_optional(p).await
        })?;
        found
            .map(|(sealed,)| self.store.sealer().open(&place(self.id.0), &sealed, WHAT))
            .transpose()
    }
}

impl Store {
    /// Seals the relays' secrets with the newest master key; how many were sealed with an older one.
    pub(crate) async fn external_secrets_reseal(&self) -> Result<u64> {
        let mut done = 0;
        let all: Vec<(i64, Vec<u8>)> = rd!(self, p => {
            sqlx::query_as("SELECT domain, secret_sealed FROM external_secrets").fetch_all(p).await
        })?;
        for (domain, sealed) in all {
            if let Some(fresh) = self.reseal(&place(domain), &sealed, WHAT)? {
                wr!(self, p => {
                    sqlx::query("UPDATE external_secrets SET secret_sealed = $2 WHERE domain = $1 AND secret_sealed = $3")
                        .bind(domain).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        Ok(done)
    }
}
