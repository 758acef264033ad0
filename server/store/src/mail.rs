//! What was told by mail: by customer the last night, by domain what was said; and who wants to be told.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::error::Result;
use crate::operator::{OperatorRow, Tuple, row};
use crate::{DomainStore, OperatorId, Store, TenantId, rd, wr};

/// What a link that ends somebody's mail is sealed for.
const LINK: &str = "mail/nightly";

impl Store {
    /// People of a customer who want its nightly mail.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn mail_readers(&self, tenant: TenantId) -> Result<Vec<OperatorRow>> {
        let found: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, login, password_hash, role, tenant, created FROM operators \
                 WHERE tenant = $1 AND mail_nightly ORDER BY id",
            )
            .bind(tenant.0).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(row).collect())
    }

    /// Does a person want the nightly mail? `None`: no such person.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn mail_wanted(&self, operator: OperatorId) -> Result<Option<bool>> {
        let found: Option<(bool,)> = rd!(self, p => {
            sqlx::query_as("SELECT mail_nightly FROM operators WHERE id = $1").bind(operator.0).fetch_optional(p).await
        })?;
        Ok(found.map(|(wanted,)| wanted))
    }

    /// Remembers whether a person wants it. `false`: that was so before, or there is no such person.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn mail_want(&self, operator: OperatorId, wanted: bool) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("UPDATE operators SET mail_nightly = $2 WHERE id = $1 AND mail_nightly <> $2")
                .bind(operator.0).bind(wanted).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// What stands for a person in the link that ends their mail (RFC 8058): sealed with the master key, so that nobody makes
    /// one for somebody else; letters, digits, `-` and `_`. Good as long as that key opens.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub fn mail_link(&self, operator: OperatorId) -> Result<String> {
        let sealed = self.sealer().seal(LINK, &operator.0.to_be_bytes())?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// Whom a link is about; `None`: it was not made here.
    pub fn mail_link_open(&self, link: &str) -> Option<OperatorId> {
        let sealed = URL_SAFE_NO_PAD.decode(link).ok()?;
        let plain = self.sealer().open(LINK, &sealed, "a link in a mail").ok()?;
        let id = plain.as_slice().try_into().ok()?;
        Some(OperatorId(i64::from_be_bytes(id)))
    }

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

    /// What was last told of a customer as a whole, as control wrote it.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_told(&self, tenant: TenantId) -> Result<Option<String>> {
        let found: Option<(String,)> = rd!(self, p => {
            sqlx::query_as("SELECT told FROM tenant_told WHERE tenant = $1").bind(tenant.0).fetch_optional(p).await
        })?;
        Ok(found.map(|(told,)| told))
    }

    /// Keeps what is told now in place of `before`. `false`: another process was quicker, or there is no such customer.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_told_swap(
        &self,
        tenant: TenantId,
        before: Option<&str>,
        told: &str,
    ) -> Result<bool> {
        let n = wr!(self, p => {
            let done = match before {
                Some(before) => sqlx::query("UPDATE tenant_told SET told = $2 WHERE tenant = $1 AND told = $3")
                    .bind(tenant.0).bind(told).bind(before).execute(p).await,
                None => sqlx::query(
                    "INSERT INTO tenant_told (tenant, told) SELECT id, CAST($2 AS TEXT) FROM tenants WHERE id = $1 \
                     ON CONFLICT (tenant) DO NOTHING",
                )
                .bind(tenant.0).bind(told).execute(p).await,
            };
            done?.rows_affected()
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
