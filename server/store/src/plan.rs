//! Plans: what customers may have. One of them is the usual one, of everybody who was given no other.

use xmpp::timestamp::Timestamp;

use crate::audit::record;
use crate::change::{Change, announce};
use crate::error::{Result, StoreError};
use crate::{PlanId, Store, rd, wr};

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanRow {
    /// Row.
    pub id: PlanId,
    /// As it is called; no two are called alike.
    pub name: String,
    /// Is it the one of customers that were given no other?
    pub usual: bool,
    /// JSON.
    pub limits: String,
    /// From which part of a limit on its owner is warned.
    pub soft_percent: i64,
    /// When it came.
    pub created: Timestamp,
    /// Counts the edits of this row; [`Store::plan_update`] refuses one that was made on an older row.
    pub revision: i64,
}

/// Plans there may be; a list of them is never cut short.
pub const PLANS: i64 = 500;

type Tuple = (i64, String, bool, String, i64, i64, i64);

fn row(t: Tuple) -> PlanRow {
    let (id, name, usual, limits, soft_percent, created, revision) = t;
    PlanRow {
        id: PlanId(id),
        name,
        usual,
        limits,
        soft_percent,
        created: Timestamp(created),
        revision,
    }
}

fn name_taken(error: sqlx::Error) -> StoreError {
    match error.into() {
        StoreError::Conflict { .. } => StoreError::Conflict {
            what: "a plan of this name",
        },
        other => other,
    }
}

impl Store {
    /// Adds a plan; `plan.id` and `plan.revision` are ignored. Where it is the usual one, the former is no more.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when there is one of this name.
    pub async fn plan_add(&self, plan: &PlanRow) -> Result<PlanId> {
        let (id,): (i64,) = wr!(self, p => {
            let mut tx = p.begin().await?;
            if plan.usual {
                sqlx::query("UPDATE plans SET usual = FALSE, revision = revision + 1 WHERE usual").execute(&mut *tx).await?;
            }
            let id = sqlx::query_as(
                "INSERT INTO plans (name, usual, limits, soft_percent, created) VALUES ($1, $2, $3, $4, $5) RETURNING id",
            )
            .bind(&plan.name).bind(plan.usual).bind(&plan.limits).bind(plan.soft_percent).bind(plan.created.0)
            .fetch_one(&mut *tx).await.map_err(name_taken)?;
            record!(self, tx);
            announce!(tx, Change::Plans, plan.created);
            tx.commit().await?;
            id
        });
        self.tell();
        Ok(PlanId(id))
    }

    /// One plan.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn plan_get(&self, id: PlanId) -> Result<Option<PlanRow>> {
        let found: Option<Tuple> = rd!(self, p => {
            sqlx::query_as("SELECT id, name, usual, limits, soft_percent, created, revision FROM plans WHERE id = $1")
                .bind(id.0).fetch_optional(p).await
        })?;
        Ok(found.map(row))
    }

    /// Plans by name, each with the number of customers that have it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn plan_list(&self) -> Result<Vec<(PlanRow, u64)>> {
        let plans: Vec<Tuple> = rd!(self, p => {
            sqlx::query_as("SELECT id, name, usual, limits, soft_percent, created, revision FROM plans ORDER BY name LIMIT $1")
                .bind(PLANS).fetch_all(p).await
        })?;
        let having: Vec<(i64, i64)> = rd!(self, p => {
            sqlx::query_as("SELECT COALESCE(plan, 0), COUNT(*) FROM tenants GROUP BY COALESCE(plan, 0)").fetch_all(p).await
        })?;
        let number = |id| {
            having
                .iter()
                .find(|(plan, _)| *plan == id)
                .map_or(0, |(_, n)| n.unsigned_abs())
        };
        let counted = |plan: PlanRow| {
            let others = if plan.usual { number(0) } else { 0 };
            let n = number(plan.id.0) + others;
            (plan, n)
        };
        Ok(plans.into_iter().map(row).map(counted).collect())
    }

    /// Changes everything but the id. Where it becomes the usual one, the former is no more. `false`: the plan is gone, or was
    /// edited after `plan` was read; nothing is written then.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when another has this name.
    pub async fn plan_update(&self, plan: &PlanRow, now: Timestamp) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            if plan.usual {
                sqlx::query("UPDATE plans SET usual = FALSE, revision = revision + 1 WHERE usual AND id <> $1")
                    .bind(plan.id.0).execute(&mut *tx).await?;
            }
            let n = sqlx::query(
                "UPDATE plans SET name = $3, usual = $4, limits = $5, soft_percent = $6, revision = revision + 1 \
                 WHERE id = $1 AND revision = $2",
            )
            .bind(plan.id.0).bind(plan.revision).bind(&plan.name).bind(plan.usual).bind(&plan.limits)
            .bind(plan.soft_percent).execute(&mut *tx).await.map_err(name_taken)?.rows_affected();
            if n > 0 {
                record!(self, tx);
                announce!(tx, Change::Plans, now);
                tx.commit().await?;
            } else {
                tx.rollback().await?;
            }
            n
        });
        self.tell();
        Ok(n > 0)
    }

    /// Removes a plan that nobody was given. `false`: there is none.
    ///
    /// # Errors
    /// [`StoreError::Gone`] when a customer has it.
    pub async fn plan_remove(&self, id: PlanId, now: Timestamp) -> Result<bool> {
        let n = wr!(self, p => {
            let mut tx = p.begin().await?;
            let n = sqlx::query("DELETE FROM plans WHERE id = $1").bind(id.0).execute(&mut *tx).await?.rows_affected();
            if n > 0 {
                record!(self, tx);
                announce!(tx, Change::Plans, now);
            }
            tx.commit().await?;
            n
        });
        self.tell();
        Ok(n > 0)
    }
}
