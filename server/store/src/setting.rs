//! Named secrets of the platform (dialback secret, the secret behind fake verifiers, …), sealed.

use zeroize::Zeroizing;

use crate::audit::record;
use crate::error::Result;
use crate::{Store, rd, wr};

fn place(name: &str) -> String {
    format!("settings/{name}")
}

impl Store {
    /// A named secret.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn setting_get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        let found: Option<(Vec<u8>,)> = rd!(self, p => {
            sqlx::query_as("SELECT value FROM settings WHERE name = $1").bind(name).fetch_optional(p).await
        })?;
        found
            .map(|(s,)| self.sealer().open(&place(name), &s, "settings.value"))
            .transpose()
    }

    /// A named secret, stored as `fresh` if there is none: of several processes that ask at once, all get the same.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn setting_get_or(&self, name: &str, fresh: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let sealed = self.sealer().seal(&place(name), fresh)?;
        wr!(self, p => {
            sqlx::query("INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
                .bind(name).bind(&sealed).execute(p).await.map(|_| ())
        })?;
        Ok(self
            .setting_get(name)
            .await?
            .unwrap_or_else(|| Zeroizing::new(fresh.to_vec())))
    }

    /// Replaces a named secret.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn setting_set(&self, name: &str, value: &[u8]) -> Result<()> {
        let sealed = self.sealer().seal(&place(name), value)?;
        wr!(self, p => {
            let mut tx = p.begin().await?;
            sqlx::query(
                "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )
            .bind(name).bind(&sealed).execute(&mut *tx).await?;
            record!(self, tx);
            tx.commit().await?;
        });
        Ok(())
    }

    pub(crate) async fn settings_reseal(&self) -> Result<u64> {
        let all: Vec<(String, Vec<u8>)> =
            rd!(self, p => sqlx::query_as("SELECT name, value FROM settings").fetch_all(p).await)?;
        let mut done = 0;
        for (name, sealed) in all {
            if let Some(fresh) = self.reseal(&place(&name), &sealed, "settings.value")? {
                wr!(self, p => {
                    sqlx::query("UPDATE settings SET value = $2 WHERE name = $1 AND value = $3").bind(&name).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        Ok(done)
    }
}
