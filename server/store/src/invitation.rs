//! Invitations of colleagues: whoever has the link becomes an operator of the tenant, once. Only the link's hash is stored.

use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::error::Result;
use crate::operator::{insert_operator, login_taken};
use crate::{OperatorId, Store, TenantId, rd, wr};

/// An invitation that nobody has taken yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvitationRow {
    /// Row.
    pub id: i64,
    /// Into whose team.
    pub tenant: TenantId,
    /// As what.
    pub role: String,
    /// Whom it is meant for, in the words of whoever invites.
    pub note: String,
    /// Who invites: a login.
    pub by: String,
    /// When made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
}

type Tuple = (i64, i64, String, String, String, i64, i64);

fn row((id, tenant, role, note, by, created, expires): Tuple) -> InvitationRow {
    InvitationRow {
        id,
        tenant: TenantId(tenant),
        role,
        note,
        by,
        created: Timestamp(created),
        expires: Timestamp(expires),
    }
}

impl Store {
    /// Adds an invitation; `row.id` is ignored.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn invitation_add(&self, token_hash: &[u8], row: &InvitationRow) -> Result<i64> {
        let (id,): (i64,) = wr!(self, p => {
            let mut tx = p.begin().await?;
            let id = sqlx::query_as(
                "INSERT INTO invitations (tenant, token_hash, role, note, invited_by, created, expires) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
            )
            .bind(row.tenant.0).bind(token_hash).bind(&row.role).bind(&row.note).bind(&row.by).bind(row.created.0)
            .bind(row.expires.0).fetch_one(&mut *tx).await?;
            record!(self, tx);
            tx.commit().await?;
            id
        });
        Ok(id)
    }

    /// Invitations of a tenant that are still good.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn invitation_list(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<Vec<InvitationRow>> {
        let found: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, tenant, role, note, invited_by, created, expires FROM invitations \
                 WHERE tenant = $1 AND expires > $2 ORDER BY id",
            )
            .bind(tenant.0).bind(now.0).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(row).collect())
    }

    /// The invitation of a link, unless it has expired.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn invitation_find(
        &self,
        token_hash: &[u8],
        now: Timestamp,
    ) -> Result<Option<InvitationRow>> {
        let found: Option<Tuple> = rd!(self, p => {
            sqlx::query_as(
                "SELECT id, tenant, role, note, invited_by, created, expires FROM invitations \
                 WHERE token_hash = $1 AND expires > $2",
            )
            .bind(token_hash).bind(now.0).fetch_optional(p).await
        })?;
        Ok(found.map(row))
    }

    /// Takes an invitation back. `false`: the tenant has none of this number.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn invitation_remove(&self, tenant: TenantId, id: i64) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("DELETE FROM invitations WHERE tenant = $1 AND id = $2")
                .bind(tenant.0).bind(id).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }

    /// Takes an invitation: the person is there and the invitation is not, or neither has changed. `None`: somebody was
    /// faster, it was taken back, or its time is over.
    ///
    /// # Errors
    /// [`crate::StoreError::Conflict`] when the login is taken; the invitation stays good.
    pub async fn invitation_accept(
        &self,
        token_hash: &[u8],
        login: &str,
        password_hash: &str,
        now: Timestamp,
    ) -> Result<Option<OperatorId>> {
        let id = wr!(self, p => {
            let mut tx = p.begin().await?;
            let taken: Option<(i64, String)> = sqlx::query_as(
                "DELETE FROM invitations WHERE token_hash = $1 AND expires > $2 RETURNING tenant, role",
            )
            .bind(token_hash).bind(now.0).fetch_optional(&mut *tx).await?;
            match taken {
                Some((tenant, role)) => {
                    let (id,): (i64,) = insert_operator!(login, password_hash, &role, Some(tenant), now)
                        .fetch_one(&mut *tx).await.map_err(login_taken)?;
                    record!(self, tx, Some(TenantId(tenant)), "");
                    tx.commit().await?;
                    Some(OperatorId(id))
                }
                None => None,
            }
        });
        Ok(id)
    }

    /// Gives a person of a tenant another role. `false`: the tenant has no such person, or they are its last `owner`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn operator_set_role(
        &self,
        tenant: TenantId,
        id: OperatorId,
        role: &str,
        owner: &str,
    ) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            // Held until the end: two owners who give up their roles at once must not both succeed.
            crate::tenant::hold!(tx, tenant);
            let n = sqlx::query(
                "UPDATE operators SET role = $3 WHERE tenant = $1 AND id = $2 AND ($3 = $4 OR role <> $4 OR \
                 (SELECT COUNT(*) FROM operators o WHERE o.tenant = $1 AND o.role = $4) > 1)",
            )
            .bind(tenant.0).bind(id.0).bind(role).bind(owner).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }
}
