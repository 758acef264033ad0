//! Second factors of people of the panel: a sealed secret, hashes of recovery codes, and log-ins that wait for one.

use xmpp::timestamp::Timestamp;
use zeroize::Zeroizing;

use crate::audit::record;
use crate::error::Result;
use crate::{OperatorId, Store, TenantId, rd, wr};

/// A second factor.
#[derive(Clone, PartialEq, Eq)]
pub struct FactorRow {
    /// What codes are made from.
    pub secret: Zeroizing<Vec<u8>>,
    /// The newest period whose code was used.
    pub last_step: i64,
    /// When it was shown to work; none: not yet.
    pub since: Option<Timestamp>,
}

impl std::fmt::Debug for FactorRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FactorRow")
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

fn place(operator: i64) -> String {
    format!("second_factors {operator}")
}

const SEALED: &str = "second_factors.secret_sealed";

impl Store {
    /// A person's second factor, shown to work or not.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn factor_get(&self, operator: OperatorId) -> Result<Option<FactorRow>> {
        let found: Option<(Vec<u8>, i64, Option<i64>)> = rd!(self, p => {
            sqlx::query_as("SELECT secret_sealed, last_step, since FROM second_factors WHERE operator = $1")
                .bind(operator.0).fetch_optional(p).await
        })?;
        let Some((sealed, last_step, since)) = found else {
            return Ok(None);
        };
        Ok(Some(FactorRow {
            secret: Zeroizing::new(
                self.sealer()
                    .open(&place(operator.0), &sealed, SEALED)?
                    .to_vec(),
            ),
            last_step,
            since: since.map(Timestamp),
        }))
    }

    /// A secret that is to be shown to work, in place of one that was not. `false`: the person has a second factor.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn factor_begin(&self, operator: OperatorId, secret: &[u8]) -> Result<bool> {
        let sealed = self.sealer().seal(&place(operator.0), secret)?;
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query(
                "INSERT INTO second_factors (operator, secret_sealed) VALUES ($1, $2) \
                 ON CONFLICT (operator) DO UPDATE SET secret_sealed = excluded.secret_sealed, last_step = 0 \
                 WHERE second_factors.since IS NULL",
            )
            .bind(operator.0).bind(&sealed).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// It was shown to work with the code of this period; recovery codes come with it. `false`: there is none that waits
    /// for that.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn factor_confirm(
        &self,
        operator: OperatorId,
        step: i64,
        codes: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("UPDATE second_factors SET since = $3, last_step = $2 WHERE operator = $1 AND since IS NULL")
                .bind(operator.0).bind(step).bind(now.0).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                sqlx::query("DELETE FROM recovery_codes WHERE operator = $1").bind(operator.0).execute(&mut *tx).await?;
                for code in codes {
                    sqlx::query("INSERT INTO recovery_codes (operator, code_hash) VALUES ($1, $2)")
                        .bind(operator.0).bind(code).execute(&mut *tx).await?;
                }
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// The code of this period is used. `false`: it, or one of a later period, was used before.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn factor_use(&self, operator: OperatorId, step: i64) -> Result<bool> {
        let n = wr!(self, p => {
            sqlx::query("UPDATE second_factors SET last_step = $2 WHERE operator = $1 AND last_step < $2 AND since IS NOT NULL")
                .bind(operator.0).bind(step).execute(p).await.map(|done| done.rows_affected())
        })?;
        Ok(n > 0)
    }

    /// A recovery code is used. `false`: the person has no such code, or no more.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn recovery_use(&self, operator: OperatorId, code_hash: &[u8]) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("DELETE FROM recovery_codes WHERE operator = $1 AND code_hash = $2")
                .bind(operator.0).bind(code_hash).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// Recovery codes that are left.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn recovery_count(&self, operator: OperatorId) -> Result<u64> {
        let (n,): (i64,) = rd!(self, p => {
            sqlx::query_as("SELECT COUNT(*) FROM recovery_codes WHERE operator = $1").bind(operator.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }

    /// Takes a person's second factor away, with its recovery codes. `false`: there was none.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn factor_remove(&self, operator: OperatorId) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            sqlx::query("DELETE FROM recovery_codes WHERE operator = $1").bind(operator.0).execute(&mut *tx).await?;
            let n = sqlx::query("DELETE FROM second_factors WHERE operator = $1").bind(operator.0).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// Takes everything away that somebody shows beside a password: app, recovery codes, passkeys. `false`: there was nothing.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn factors_reset(&self, operator: OperatorId) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let id = operator.0;
            sqlx::query("DELETE FROM recovery_codes WHERE operator = $1").bind(id).execute(&mut *tx).await?;
            let apps = sqlx::query("DELETE FROM second_factors WHERE operator = $1").bind(id).execute(&mut *tx).await?;
            let keys = sqlx::query("DELETE FROM passkeys WHERE operator = $1").bind(id).execute(&mut *tx).await?;
            let n = apps.rows_affected() + keys.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// People of a tenant (or of the platform) who show something beside a password.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn factor_list(&self, tenant: Option<TenantId>) -> Result<Vec<OperatorId>> {
        let found: Vec<(i64,)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT o.id FROM operators o WHERE COALESCE(o.tenant, 0) = $1 AND (EXISTS \
                 (SELECT 1 FROM second_factors f WHERE f.operator = o.id AND f.since IS NOT NULL) OR EXISTS \
                 (SELECT 1 FROM passkeys k WHERE k.operator = o.id))",
            )
            .bind(tenant.map_or(0, |t| t.0)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(|(id,)| OperatorId(id)).collect())
    }

    /// Must the person have a second factor, and has neither an app that works nor a passkey? And the step of the suspension ladder that their tenant
    /// is at; empty: none.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn operator_standing(&self, operator: OperatorId) -> Result<(bool, String)> {
        let found: Option<(bool, String)> = rd!(self, p => {
            sqlx::query_as(
                "SELECT t.second_factor AND NOT EXISTS \
                 (SELECT 1 FROM second_factors f WHERE f.operator = o.id AND f.since IS NOT NULL) AND NOT EXISTS \
                 (SELECT 1 FROM passkeys k WHERE k.operator = o.id), t.step \
                 FROM operators o JOIN tenants t ON t.id = o.tenant WHERE o.id = $1",
            )
            .bind(operator.0).fetch_optional(p).await
        })?;
        Ok(found.unwrap_or_default())
    }

    /// A log-in that waits for the second factor.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn half_login_add(
        &self,
        token_hash: &[u8],
        operator: OperatorId,
        expires: Timestamp,
    ) -> Result<()> {
        wr!(self, p => {
            sqlx::query("INSERT INTO half_logins (token_hash, operator, expires) VALUES ($1, $2, $3)")
                .bind(token_hash).bind(operator.0).bind(expires.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Whose log-in waits under this token; none when its time is over.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn half_login_find(
        &self,
        token_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<OperatorId>> {
        let found: Option<(i64,)> = rd!(self, p => {
            sqlx::query_as("SELECT operator FROM half_logins WHERE token_hash = $1 AND expires > $2")
                .bind(token_hash).bind(now.0).fetch_optional(p).await
        })?;
        Ok(found.map(|(id,)| OperatorId(id)))
    }

    /// It waits no longer. `false`: it did not; only one of two that come at once goes on.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn half_login_take(&self, token_hash: &[u8]) -> Result<bool> {
        let n = wr!(self, p => {
            sqlx::query("DELETE FROM half_logins WHERE token_hash = $1").bind(token_hash).execute(p).await
                .map(|done| done.rows_affected())
        })?;
        Ok(n > 0)
    }

    /// Seals what an older master key has sealed; how many.
    pub(crate) async fn factors_reseal(&self) -> Result<u64> {
        let rows: Vec<(i64, Vec<u8>)> = rd!(self, p => {
            sqlx::query_as("SELECT operator, secret_sealed FROM second_factors").fetch_all(p).await
        })?;
        let mut done = 0;
        for (operator, sealed) in rows {
            if let Some(fresh) = self.reseal(&place(operator), &sealed, SEALED)? {
                wr!(self, p => {
                    sqlx::query("UPDATE second_factors SET secret_sealed = $2 WHERE operator = $1 AND secret_sealed = $3")
                        .bind(operator).bind(&fresh).bind(&sealed).execute(p).await.map(|_| ())
                })?;
                done += 1;
            }
        }
        Ok(done)
    }
}
