//! What was told by mail: by customer the last night, by domain what was said.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{DomainStore, Store, TenantId, rd, wr};

impl Store {
    /// Is this night's mail to a customer the caller's to write? Of several processes that ask, one is told so; `night` is the
    /// start of the day.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn mail_claim(&self, tenant: TenantId, night: Timestamp) -> Result<bool> {
        let n = wr!(self, p => {
            sqlx::query(
                "INSERT INTO mails (tenant, night) VALUES ($1, $2) ON CONFLICT (tenant) DO UPDATE SET night = excluded.night \
                 WHERE mails.night < excluded.night",
            )
            .bind(tenant.0).bind(night.0).execute(p).await?.rows_affected()
        });
        Ok(n > 0)
    }

    /// It could not be sent: whoever asks next may try.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn mail_release(&self, tenant: TenantId, night: Timestamp) -> Result<()> {
        wr!(self, p => {
            sqlx::query("DELETE FROM mails WHERE tenant = $1 AND night = $2")
                .bind(tenant.0).bind(night.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }
}

impl DomainStore {
    /// What was last told of the domain, as control wrote it.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn told_get(&self) -> Result<Option<String>> {
        let found: Option<(String,)> = rd!(self.store, p => {
            sqlx::query_as("SELECT told FROM domain_told WHERE domain = $1").bind(self.id.0).fetch_optional(p).await
        })?;
        Ok(found.map(|(told,)| told))
    }

    /// Keeps what was told.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn told_set(&self, told: &str) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query(
                "INSERT INTO domain_told (domain, told) VALUES ($1, $2) ON CONFLICT (domain) DO UPDATE SET told = excluded.told",
            )
            .bind(self.id.0).bind(told).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }
}
