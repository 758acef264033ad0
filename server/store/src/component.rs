//! Programs that answer for a name below a domain (XEP-0114). What they prove themselves with is sealed: the handshake needs
//! the secret itself.

use xmpp::timestamp::Timestamp;
use zeroize::Zeroizing;

use crate::error::{Result, StoreError};
use crate::{DomainStore, Store, rd, wr};

fn place(domain: i64) -> String {
    format!("components {domain}")
}

impl DomainStore {
    /// Keeps a component's secret, in place of an older one.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn component_put(&self, label: &str, secret: &str, now: Timestamp) -> Result<()> {
        let sealed = self
            .store
            .sealer()
            .seal(&place(self.id.0), secret.as_bytes())?;
        wr!(self.store, p => {
            sqlx::query(
                "INSERT INTO components (domain, label, secret_sealed, created) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (domain, label) DO UPDATE SET secret_sealed = excluded.secret_sealed, created = excluded.created",
            )
            .bind(self.id.0).bind(label).bind(&sealed).bind(now.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// A component's secret.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn component_secret(&self, label: &str) -> Result<Option<Zeroizing<String>>> {
        let row: Option<(Vec<u8>,)> = rd!(self.store, p => {
            sqlx::query_as("SELECT secret_sealed FROM components WHERE domain = $1 AND label = $2")
                .bind(self.id.0).bind(label).fetch_optional(p).await
        })?;
        let Some((sealed,)) = row else {
            return Ok(None);
        };
        let what = "components.secret_sealed";
        let plain = self.store.sealer().open(&place(self.id.0), &sealed, what)?;
        let text = String::from_utf8(plain.to_vec()).map_err(|_| StoreError::Corrupt { what })?;
        Ok(Some(Zeroizing::new(text)))
    }

    /// The domain's components, and since when each has its secret.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn component_list(&self) -> Result<Vec<(String, Timestamp)>> {
        let rows: Vec<(String, i64)> = rd!(self.store, p => {
            sqlx::query_as("SELECT label, created FROM components WHERE domain = $1 ORDER BY label")
                .bind(self.id.0).fetch_all(p).await
        })?;
        let rows = rows.into_iter();
        Ok(rows.map(|(label, at)| (label, Timestamp(at))).collect())
    }

    /// Forgets a component; false: there is none of that label.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn component_remove(&self, label: &str) -> Result<bool> {
        let done = wr!(self.store, p => {
            sqlx::query("DELETE FROM components WHERE domain = $1 AND label = $2")
                .bind(self.id.0).bind(label).execute(p).await.map(|done| done.rows_affected())
        })?;
        Ok(done > 0)
    }
}

impl Store {
    /// Seals components' secrets with the newest master key; how many were sealed with an older one.
    pub(crate) async fn components_reseal(&self) -> Result<u64> {
        let mut done = 0;
        let all: Vec<(i64, String, Vec<u8>)> = rd!(self, p => {
            sqlx::query_as("SELECT domain, label, secret_sealed FROM components").fetch_all(p).await
        })?;
        for (domain, label, sealed) in all {
            let fresh = self.reseal(&place(domain), &sealed, "components.secret_sealed")?;
            if let Some(fresh) = fresh {
                wr!(self, p => {
                    sqlx::query("UPDATE components SET secret_sealed = $3 WHERE domain = $1 AND label = $2 AND secret_sealed = $4")
                        .bind(domain).bind(&label).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        Ok(done)
    }
}
