//! People of the panel, their logins (cookies) and API tokens. Only hashes of tokens are stored.

use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::domain::json;
use crate::error::{Result, StoreError};
use crate::{OperatorId, Store, TenantId, rd, wr};

/// A person of the panel.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorRow {
    /// Row.
    pub id: OperatorId,
    /// E-mail, lower case.
    pub login: String,
    /// argon2id, PHC string.
    pub password_hash: String,
    /// `platform`, `owner`, `admin`, `support`, `auditor`.
    pub role: String,
    /// Whose; none for the platform's own people.
    pub tenant: Option<TenantId>,
    /// When added.
    pub created: Timestamp,
}

impl std::fmt::Debug for OperatorRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorRow")
            .field("id", &self.id)
            .field("login", &self.login)
            .field("role", &self.role)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

/// A cookie that is good until `expires`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginRow {
    /// Row.
    pub id: i64,
    /// Whose.
    pub operator: OperatorId,
    /// Token of its forms.
    pub csrf: String,
    /// Browser, as it calls itself.
    pub agent: String,
    /// Address it was made from.
    pub address: String,
    /// When made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// The tenant that its holder looks at as the owner does, and until when; not set by [`Store::login_add`].
    pub viewing: Option<(TenantId, Timestamp)>,
}

/// A token for the JSON API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRow {
    /// Row.
    pub id: i64,
    /// Whose.
    pub operator: OperatorId,
    /// What its owner calls it.
    pub name: String,
    /// Only these domains (U-labels); none: every one.
    pub domains: Vec<String>,
    /// Only these operations (control's words); none: whatever its owner may do.
    pub operations: Vec<String>,
    /// When made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// When it was last seen, to the minute.
    pub used: Option<Timestamp>,
}

/// Adds a person inside a transaction.
macro_rules! insert_operator {
    ($login:expr, $hash:expr, $role:expr, $tenant:expr, $now:expr) => {
        sqlx::query_as(
            "INSERT INTO operators (login, password_hash, role, tenant, created) VALUES ($1, $2, $3, $4, $5) RETURNING id",
        )
        .bind($login)
        .bind($hash)
        .bind($role)
        .bind($tenant)
        .bind($now.0)
    };
}
pub(crate) use insert_operator;

pub(crate) fn login_taken(error: sqlx::Error) -> StoreError {
    match error.into() {
        StoreError::Conflict { .. } => StoreError::Conflict {
            what: "a login with this address",
        },
        other => other,
    }
}

pub(crate) type Tuple = (i64, String, String, String, Option<i64>, i64);
type LoginTuple = (
    i64,
    i64,
    String,
    String,
    String,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
);
type TokenTuple = (i64, i64, String, String, String, i64, i64, Option<i64>);

pub(crate) fn row((id, login, password_hash, role, tenant, created): Tuple) -> OperatorRow {
    let (id, tenant, created) = (OperatorId(id), tenant.map(TenantId), Timestamp(created));
    OperatorRow {
        id,
        login,
        password_hash,
        role,
        tenant,
        created,
    }
}

fn login(tuple: LoginTuple) -> LoginRow {
    let (id, operator, csrf, agent, address, created, expires, viewing, until) = tuple;
    let operator = OperatorId(operator);
    LoginRow {
        id,
        operator,
        csrf,
        agent,
        address,
        created: Timestamp(created),
        expires: Timestamp(expires),
        viewing: viewing.map(TenantId).zip(until.map(Timestamp)),
    }
}

fn token(t: TokenTuple) -> Result<TokenRow> {
    let (id, operator, name, domains, operations, created, expires, used) = t;
    // A list that cannot be read must not turn into the empty one, which allows everything.
    let list = |text: &str| {
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt {
            what: "api_tokens.domains or operations",
        })
    };
    Ok(TokenRow {
        id,
        operator: OperatorId(operator),
        name,
        domains: list(&domains)?,
        operations: list(&operations)?,
        created: Timestamp(created),
        expires: Timestamp(expires),
        used: used.map(Timestamp),
    })
}

impl Store {
    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the login is taken.
    pub async fn operator_add(
        &self,
        login: &str,
        password_hash: &str,
        role: &str,
        tenant: Option<TenantId>,
        now: Timestamp,
    ) -> Result<OperatorId> {
        let (id,): (i64,) = wr!(self, p => {
            let mut tx = p.begin().await?;
            let id = insert_operator!(login, password_hash, role, tenant.map(|t| t.0), now)
                .fetch_one(&mut *tx).await.map_err(login_taken)?;
            record!(self, tx);
            tx.commit().await?;
            id
        });
        Ok(OperatorId(id))
    }

    /// By row.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn operator_get(&self, id: OperatorId) -> Result<Option<OperatorRow>> {
        let found: Option<Tuple> = rd!(self, p => {
            sqlx::query_as("SELECT id, login, password_hash, role, tenant, created FROM operators WHERE id = $1")
                .bind(id.0).fetch_optional(p).await
        })?;
        Ok(found.map(row))
    }

    /// By login.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn operator_find(&self, login: &str) -> Result<Option<OperatorRow>> {
        let found: Option<Tuple> = rd!(self, p => {
            sqlx::query_as("SELECT id, login, password_hash, role, tenant, created FROM operators WHERE login = $1")
                .bind(login).fetch_optional(p).await
        })?;
        Ok(found.map(row))
    }

    /// People of a customer, or of the platform.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn operator_list(&self, tenant: Option<TenantId>) -> Result<Vec<OperatorRow>> {
        // No customer has row 0, so one text serves both questions.
        let found: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, login, password_hash, role, tenant, created FROM operators \
                 WHERE COALESCE(tenant, 0) = $1 ORDER BY id",
            )
            .bind(tenant.map_or(0, |t| t.0)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(row).collect())
    }

    /// Sets a password's hash and ends the person's logins. `false`: no such person.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn operator_set_password(&self, id: OperatorId, password_hash: &str) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("UPDATE operators SET password_hash = $2 WHERE id = $1")
                .bind(id.0).bind(password_hash).execute(&mut *tx).await?.rows_affected();
            sqlx::query("DELETE FROM half_logins WHERE operator = $1").bind(id.0).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM logins WHERE operator = $1").bind(id.0).execute(&mut *tx).await?;
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// Removes a person of a tenant, with logins and tokens. `false`: the tenant has no such person, or they are its last `owner`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn operator_leave(
        &self,
        tenant: TenantId,
        id: OperatorId,
        owner: &str,
    ) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            // Held until the end, as where roles are given: two owners who remove each other at once must not both succeed.
            crate::tenant::hold!(tx, tenant);
            let n = sqlx::query(
                "DELETE FROM operators WHERE tenant = $1 AND id = $2 AND (role <> $3 OR \
                 (SELECT COUNT(*) FROM operators o WHERE o.tenant = $1 AND o.role = $3) > 1)",
            )
            .bind(tenant.0).bind(id.0).bind(owner).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// Adds a login; `login.id` is ignored.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn login_add(&self, token_hash: &[u8], login: &LoginRow) -> Result<i64> {
        let (id,): (i64,) = wr!(self, p => {
            sqlx::query_as(
                "INSERT INTO logins (operator, token_hash, csrf, agent, address, created, expires) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
            )
            .bind(login.operator.0).bind(token_hash).bind(&login.csrf).bind(&login.agent).bind(&login.address)
            .bind(login.created.0).bind(login.expires.0).fetch_one(p).await
        })?;
        Ok(id)
    }

    /// The login of a token, unless it has expired.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn login_find(&self, token_hash: &[u8], now: Timestamp) -> Result<Option<LoginRow>> {
        let found: Option<LoginTuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, operator, csrf, agent, address, created, expires, viewing, viewing_until FROM logins \
                 WHERE token_hash = $1 AND expires > $2",
            )
            .bind(token_hash).bind(now.0).fetch_optional(p).await
        })?;
        Ok(found.map(login))
    }

    /// Logins of a person that are still good.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn login_list(&self, operator: OperatorId, now: Timestamp) -> Result<Vec<LoginRow>> {
        let found: Vec<LoginTuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, operator, csrf, agent, address, created, expires, viewing, viewing_until FROM logins \
                 WHERE operator = $1 AND expires > $2 ORDER BY id",
            )
            .bind(operator.0).bind(now.0).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(login).collect())
    }

    /// The holder of a login looks at a tenant as its owner does until then, or (`None`) no longer. `false`: nothing has changed,
    /// for there is no such login, or it looks at nobody.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn login_view(
        &self,
        operator: OperatorId,
        id: i64,
        viewing: Option<(TenantId, Timestamp)>,
    ) -> Result<bool> {
        let (tenant, until) = (viewing.map(|(id, _)| id.0), viewing.map(|(_, at)| at.0));
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query(
                "UPDATE logins SET viewing = $3, viewing_until = $4 WHERE id = $1 AND operator = $2 \
                 AND (viewing IS NOT NULL OR CAST($3 AS BIGINT) IS NOT NULL)",
            )
            .bind(id).bind(operator.0).bind(tenant).bind(until).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// Ends one login of a person.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn login_remove(&self, operator: OperatorId, id: i64) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("DELETE FROM logins WHERE id = $1 AND operator = $2")
                .bind(id).bind(operator.0).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// Forgets logins, tokens and invitations that have expired.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn logins_sweep(&self, now: Timestamp) -> Result<()> {
        wr!(self, p => sqlx::query("DELETE FROM logins WHERE expires <= $1").bind(now.0).execute(p).await.map(|_| ()))?;
        wr!(self, p => sqlx::query("DELETE FROM half_logins WHERE expires <= $1").bind(now.0).execute(p).await.map(|_| ()))?;
        wr!(self, p => sqlx::query("DELETE FROM invitations WHERE expires <= $1").bind(now.0).execute(p).await.map(|_| ()))?;
        wr!(self, p => sqlx::query("DELETE FROM api_tokens WHERE expires <= $1").bind(now.0).execute(p).await.map(|_| ()))?;
        Ok(())
    }

    /// Adds an API token; `token.id` and `token.used` are ignored.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn token_add(&self, token_hash: &[u8], token: &TokenRow) -> Result<i64> {
        let (id,): (i64,) = wr!(self, p => {
            let mut tx = p.begin().await?;
            let id = sqlx::query_as(
                "INSERT INTO api_tokens (operator, token_hash, name, domains, operations, created, expires) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
            )
            .bind(token.operator.0).bind(token_hash).bind(&token.name).bind(json(&token.domains))
            .bind(json(&token.operations)).bind(token.created.0).bind(token.expires.0).fetch_one(&mut *tx).await?;
            record!(self, tx);
            tx.commit().await?;
            id
        });
        Ok(id)
    }

    /// Remembers that a token was seen.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn token_used(&self, id: i64, at: Timestamp) -> Result<()> {
        wr!(self, p => {
            sqlx::query("UPDATE api_tokens SET used_at = $2 WHERE id = $1").bind(id).bind(at.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// The row of a token, unless it has expired.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn token_find(&self, token_hash: &[u8], now: Timestamp) -> Result<Option<TokenRow>> {
        let found: Option<TokenTuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, operator, name, domains, operations, created, expires, used_at FROM api_tokens \
                 WHERE token_hash = $1 AND expires > $2",
            )
            .bind(token_hash).bind(now.0).fetch_optional(p).await
        })?;
        found.map(token).transpose()
    }

    /// Tokens of a person that are still good.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn token_list(&self, operator: OperatorId, now: Timestamp) -> Result<Vec<TokenRow>> {
        let found: Vec<TokenTuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, operator, name, domains, operations, created, expires, used_at FROM api_tokens \
                 WHERE operator = $1 AND expires > $2 ORDER BY id",
            )
            .bind(operator.0).bind(now.0).fetch_all(p).await
        })?;
        found.into_iter().map(token).collect()
    }

    /// Revokes a token of a person.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn token_remove(&self, operator: OperatorId, id: i64) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("DELETE FROM api_tokens WHERE id = $1 AND operator = $2")
                .bind(id).bind(operator.0).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }
}
