//! Customers.

use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::change::{Change, announce};
use crate::error::Result;
use crate::operator::{insert_operator, login_taken};
use crate::{DomainId, DomainRow, OperatorId, PlanId, Store, TenantId, domain, rd, wr};

/// A customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantRow {
    /// Row.
    pub id: TenantId,
    /// As the customer is called.
    pub name: String,
    /// `active`, `suspended`, …: control's words.
    pub state: String,
    /// Why, for people.
    pub reason: String,
    /// JSON.
    pub limits: String,
    /// The plan it was given; none: the usual one.
    pub plan: Option<PlanId>,
    /// What the plan in force is called; empty where there is none. Read only, as the next two.
    pub plan_name: String,
    /// Its limits, JSON.
    pub plan_limits: String,
    /// From which part of a limit on the owner is warned.
    pub soft_percent: i64,
    /// Must its people have a second factor?
    pub second_factor: bool,
    /// The suspension ladder it is on, JSON.
    pub ladder: Option<String>,
    /// The step of it that is in force; empty: none.
    pub step: String,
    /// When it came.
    pub created: Timestamp,
    /// Counts the edits of this row; [`Store::tenant_update`] refuses one that was made on an older row.
    pub revision: i64,
}

/// A customer with whom a person and a domain come.
#[derive(Debug, Clone, Copy)]
pub struct TenantNew<'a> {
    /// As the customer is called.
    pub name: &'a str,
    /// Control's word.
    pub state: &'a str,
    /// JSON.
    pub limits: &'a str,
    /// The first person: login, password's hash, role.
    pub person: Option<(&'a str, &'a str, &'a str)>,
    /// The first domain, claimed; its `id` and `tenant` are ignored.
    pub domain: Option<&'a DomainRow>,
}

/// What has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantMade {
    /// The customer.
    pub tenant: TenantId,
    /// The person.
    pub person: Option<OperatorId>,
    /// The domain.
    pub domain: Option<DomainId>,
}

pub(crate) type Tuple = (
    i64,
    String,
    String,
    String,
    String,
    i64,
    i64,
    Option<i64>,
    String,
    String,
    i64,
    bool,
    Option<String>,
    String,
);

/// A tenant with the plan in force.
macro_rules! select {
    ($($rest:expr),+) => {
        concat!(
            "SELECT t.id, t.name, t.state, t.reason, t.limits, t.created, t.revision, t.plan, COALESCE(p.name, ''), \
             COALESCE(p.limits, '{}'), COALESCE(p.soft_percent, 80), t.second_factor, t.ladder, t.step \
             FROM tenants t LEFT JOIN plans p ON p.id = t.plan OR (t.plan IS NULL AND p.usual) ",
            $($rest),+
        )
    };
}
pub(crate) use select;

/// Holds a customer's row until the transaction ends: what is counted for them is counted by one at a time.
macro_rules! hold {
    ($tx:expr, $id:expr) => {
        sqlx::query("UPDATE tenants SET revision = revision WHERE id = $1")
            .bind($id.0)
            .execute(&mut *$tx)
            .await?
    };
}
pub(crate) use hold;

/// Ends a transaction that holds a customer's row ([`hold`]) where it has added more than the handle allows; `$count` counts
/// what the customer has, `$added` of which are new.
macro_rules! keep_within {
    ($store:expr, $tx:expr, $tenant:expr, $what:literal, $count:literal, $added:expr) => {
        if let Some(most) = $store.2 {
            let (n,): (i64,) = sqlx::query_as($count)
                .bind($tenant.0)
                .fetch_one(&mut *$tx)
                .await?;
            let (n, added) = (n.unsigned_abs(), $added);
            if n > most && added > 0 {
                return Err($crate::StoreError::Limit {
                    what: $what,
                    used: n - added,
                    most,
                });
            }
        }
    };
}
pub(crate) use keep_within;

pub(crate) fn row(t: Tuple) -> TenantRow {
    let (
        id,
        name,
        state,
        reason,
        limits,
        created,
        revision,
        plan,
        plan_name,
        plan_limits,
        soft_percent,
        second_factor,
        ladder,
        step,
    ) = t;
    TenantRow {
        id: TenantId(id),
        name,
        state,
        reason,
        limits,
        plan: plan.map(PlanId),
        plan_name,
        plan_limits,
        soft_percent,
        second_factor,
        ladder,
        step,
        created: Timestamp(created),
        revision,
    }
}

impl Store {
    /// A handle by which no customer gets more than `most` of what is added through it, domains or accounts, whoever else adds
    /// some at the same time: [`crate::StoreError::Limit`] then.
    #[must_use]
    pub fn within(&self, most: u64) -> Self {
        Self(self.0.clone(), self.1.clone(), Some(most))
    }

    /// Adds a customer.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_add(
        &self,
        name: &str,
        state: &str,
        limits: &str,
        now: Timestamp,
    ) -> Result<TenantId> {
        let new = TenantNew {
            name,
            state,
            limits,
            person: None,
            domain: None,
        };
        Ok(self.tenant_open(new, now).await?.tenant)
    }

    /// Adds a customer with the first person and the first domain: all or none.
    ///
    /// # Errors
    /// [`crate::StoreError::Conflict`] when the login is taken, or the domain's label.
    pub async fn tenant_open(&self, new: TenantNew<'_>, now: Timestamp) -> Result<TenantMade> {
        let made = wr!(self, p => {
            let mut tx = p.begin().await?;
            let (id,): (i64,) = sqlx::query_as(
                "INSERT INTO tenants (name, state, limits, created) VALUES ($1, $2, $3, $4) RETURNING id",
            )
            .bind(new.name).bind(new.state).bind(new.limits).bind(now.0).fetch_one(&mut *tx).await?;
            let mut made = TenantMade { tenant: TenantId(id), person: None, domain: None };
            if let Some((login, hash, role)) = new.person {
                let (person,): (i64,) = insert_operator!(login, hash, role, Some(id), now)
                    .fetch_one(&mut *tx).await.map_err(login_taken)?;
                made.person = Some(OperatorId(person));
            }
            if let Some(claim) = new.domain {
                let claim = DomainRow { tenant: made.tenant, ..claim.clone() };
                let (domain,): (i64,) = domain::insert!(claim, "RETURNING id")
                    .fetch_one(&mut *tx).await.map_err(domain::taken)?;
                made.domain = Some(DomainId(domain));
            }
            record!(self, tx, Some(made.tenant), "");
            if let Some(claim) = new.domain {
                announce!(tx, Change::Domain(claim.name.to_string()), now);
            }
            tx.commit().await?;
            made
        });
        self.tell();
        Ok(made)
    }

    /// One customer.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_get(&self, id: TenantId) -> Result<Option<TenantRow>> {
        let found: Option<Tuple> = rd!(self, p => {
            sqlx::query_as(select!("WHERE t.id = $1"))
                .bind(id.0).fetch_optional(p).await
        })?;
        Ok(found.map(row))
    }

    /// Customers by row, after `after`, at most `limit`.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_list(&self, after: TenantId, limit: u32) -> Result<Vec<TenantRow>> {
        let found: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as(select!("WHERE t.id > $1 ORDER BY t.id LIMIT $2"))
            .bind(after.0).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(row).collect())
    }

    /// Changes name, state, reason, limits, plan, ladder and whether a second factor is asked for. `false`: the customer is gone, or its row was edited after `t` was read
    /// (`t.revision`); nothing is written then, read it again.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_update(&self, t: &TenantRow, now: Timestamp) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query(
                "UPDATE tenants SET name = $3, state = $4, reason = $5, limits = $6, plan = $7, second_factor = $8, ladder = $9, step = $10, revision = revision + 1 \
                 WHERE id = $1 AND revision = $2",
            )
            .bind(t.id.0).bind(t.revision).bind(&t.name).bind(&t.state).bind(&t.reason).bind(&t.limits)
            .bind(t.plan.map(|plan| plan.0)).bind(t.second_factor).bind(&t.ladder).bind(&t.step).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
                announce!(tx, Change::Tenant(t.id), now);
            }
            tx.commit().await?;
            n
        });
        self.tell();
        Ok(n > 0)
    }

    /// Customers that are on the suspension ladder.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_laddered(&self) -> Result<Vec<TenantRow>> {
        let found: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as(select!("WHERE t.ladder IS NOT NULL ORDER BY t.id")).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(row).collect())
    }

    /// Removes a customer with everything that is theirs, except the audit log's memory of it. `false`: there is none, or it
    /// has domains yet, claims among them. Those are removed one by one before, so that each is announced, its certificates are
    /// revoked and its name is remembered as departed.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_remove(&self, id: TenantId) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            hold!(tx, id);
            let n = sqlx::query(
                "DELETE FROM tenants WHERE id = $1 AND NOT EXISTS (SELECT 1 FROM domains WHERE tenant = $1)",
            )
            .bind(id.0).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
            }
            tx.commit().await?;
            n
        });
        Ok(n > 0)
    }
}
