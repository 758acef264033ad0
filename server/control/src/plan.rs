//! Plans: what customers may have, made and named by the platform's operators. One may be the usual one, of every customer
//! that was given no other; where there is none, the configuration says it.
//!
//! What a customer was given by itself stands before its plan, and that before the configuration.

use serde::{Deserialize, Serialize};
use store::{PLANS, PlanId, PlanRow, StoreError};
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::operator::short_text;
use crate::permission::Operation;
use crate::settings::Limits;
use crate::tenant::to_json;
use crate::{Actor, Control};

/// From which part of a limit on an owner is warned, if nothing is said (percent).
pub(crate) const SOFT_PERCENT: i64 = 80;

/// Changes of limits; `None` leaves one as it is.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LimitsSet {
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accounts: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stanzas_per_second: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peers: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roster_items: Option<u32>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offline_bytes: Option<u64>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub archive_bytes: Option<u64>,
    /// See [`Limits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upload_bytes: Option<u64>,
}

impl LimitsSet {
    pub(crate) fn over(self, now: Limits) -> Limits {
        now.with(&to_json(&self))
    }
}

/// Changes of what a customer may have. A limit that is set to what its plan says follows the plan again.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct TenantSet {
    /// Another plan (by id); 0: the usual one.
    pub plan: Option<i64>,
    /// Limits of its own.
    #[serde(flatten)]
    pub limits: LimitsSet,
    /// Only if it is still this version ([`crate::tenant::TenantView::version`]).
    #[serde(skip)]
    pub version: Option<String>,
}

impl From<LimitsSet> for TenantSet {
    fn from(limits: LimitsSet) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }
}

/// A new plan, or changes of one; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct PlanSet {
    /// What it is called.
    pub name: Option<String>,
    /// Is it the one of customers that were given no other?
    pub usual: Option<bool>,
    /// From which part of a limit on an owner is warned, 1 to 100 percent.
    pub soft_percent: Option<u32>,
    /// Its limits; what it names no limit of follows the configuration.
    #[serde(flatten)]
    pub limits: LimitsSet,
    /// Only if it is still this version ([`PlanView::version`]).
    #[serde(skip)]
    pub version: Option<String>,
}

/// A plan.
#[derive(Debug, Clone, Serialize)]
pub struct PlanView {
    /// Id.
    pub id: i64,
    /// What it is called.
    pub name: String,
    /// Is it the one of customers that were given no other?
    pub usual: bool,
    /// From which part of a limit on an owner is warned (percent).
    pub soft_percent: i64,
    /// What it comes to, the configuration's limits included.
    pub limits: Limits,
    /// Customers that have it.
    pub tenants: u64,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// Changes with every edit.
    pub version: String,
}

impl Control {
    /// Plans by name.
    pub async fn plan_list(&self, actor: &Actor) -> Result<Vec<PlanView>> {
        actor.check(Operation::PlanList, None, "plan", "")?;
        let plans = self.store().plan_list().await?;
        Ok(plans
            .iter()
            .map(|(row, tenants)| self.plan_view(row, *tenants))
            .collect())
    }

    /// One plan.
    pub async fn plan_show(&self, actor: &Actor, id: i64) -> Result<PlanView> {
        let plans = self.plan_list(actor).await?;
        let mut plans = plans.into_iter();
        plans
            .find(|plan| plan.id == id)
            .ok_or_else(|| ControlError::not_found("plan", id))
    }

    /// Adds one.
    pub async fn plan_add(&self, actor: &Actor, new: PlanSet) -> Result<PlanView> {
        actor.check(Operation::PlanAdd, None, "plan", "")?;
        let used = self.store().plan_list().await?.len() as u64;
        if used >= PLANS.unsigned_abs() {
            return Err(ControlError::Limit {
                what: "plans",
                used,
                limit: PLANS.unsigned_abs(),
            });
        }
        let mut row = PlanRow {
            id: PlanId(0),
            name: String::new(),
            usual: false,
            limits: "{}".into(),
            soft_percent: SOFT_PERCENT,
            created: self.now(),
            revision: 0,
        };
        let name = new.name.clone().unwrap_or_default();
        let new = PlanSet {
            name: Some(name),
            ..new
        };
        new.apply(&mut row)?;
        let recorded = self.recorded(
            actor,
            None,
            Operation::PlanAdd,
            "",
            &row.name,
            &row.said(None),
        );
        let id = recorded.plan_add(&row).await.map_err(|e| taken(e, &row))?;
        self.plan_show(&Actor::system("plan.add"), id.0).await
    }

    /// Changes one; it holds at once for every customer that has it.
    pub async fn plan_set(&self, actor: &Actor, id: i64, set: PlanSet) -> Result<PlanView> {
        actor.check(Operation::PlanSet, None, "plan", &id.to_string())?;
        loop {
            let old = self.plan_row(id).await?;
            if set
                .version
                .as_ref()
                .is_some_and(|version| *version != old.revision.to_string())
            {
                return Err(ControlError::stale("plan", &old.name));
            }
            let mut row = old.clone();
            set.apply(&mut row)?;
            let said = row.said(Some(&old));
            let recorded = self.recorded(actor, None, Operation::PlanSet, "", &row.name, &said);
            if recorded
                .plan_update(&row, self.now())
                .await
                .map_err(|e| taken(e, &row))?
            {
                return self.plan_show(&Actor::system("plan.set"), id).await;
            }
        }
    }

    /// Removes one that no customer was given; where it was the usual one, the configuration says it from now on.
    pub async fn plan_remove(&self, actor: &Actor, id: i64) -> Result<()> {
        actor.check(Operation::PlanRemove, None, "plan", &id.to_string())?;
        let row = self.plan_row(id).await?;
        let recorded = self.recorded(actor, None, Operation::PlanRemove, "", &row.name, "");
        match recorded.plan_remove(row.id, self.now()).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(ControlError::not_found("plan", id)),
            Err(StoreError::Gone) => Err(ControlError::State {
                name: row.name,
                state: "in use".into(),
                problem: "customers were given this plan".into(),
                remedy: "Give them another plan first.".into(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) async fn plan_row(&self, id: i64) -> Result<PlanRow> {
        let found = self.store().plan_get(PlanId(id)).await?;
        found.ok_or_else(|| ControlError::not_found("plan", id))
    }

    fn plan_view(&self, row: &PlanRow, tenants: u64) -> PlanView {
        PlanView {
            id: row.id.0,
            name: row.name.clone(),
            usual: row.usual,
            soft_percent: row.soft_percent,
            limits: self.settings().limits.with(&row.limits),
            tenants,
            created: row.created,
            version: row.revision.to_string(),
        }
    }
}

impl PlanSet {
    fn apply(&self, row: &mut PlanRow) -> Result<()> {
        if let Some(name) = &self.name {
            row.name = short_text("name", name)?;
        }
        row.usual = self.usual.unwrap_or(row.usual);
        if let Some(percent) = self.soft_percent {
            if !(1..=100).contains(&percent) {
                return Err(ControlError::invalid(
                    "soft_percent",
                    percent.to_string(),
                    "a warning comes at 1 to 100 percent of a limit",
                    "Use 80, for instance.",
                ));
            }
            row.soft_percent = percent.into();
        }
        row.limits = merged(&row.limits, self.limits);
        Ok(())
    }
}

trait Said {
    /// What it is, or what has changed, for the log.
    fn said(&self, before: Option<&Self>) -> String;
}

impl Said for PlanRow {
    fn said(&self, before: Option<&Self>) -> String {
        let mut parts = Vec::new();
        if let Some(before) = before.filter(|before| before.name != self.name) {
            parts.push(format!("was {}", before.name));
        }
        if before.map_or(self.usual, |before| before.usual != self.usual) {
            parts.push(if self.usual { "usual" } else { "not usual" }.to_owned());
        }
        if before.is_none_or(|before| before.soft_percent != self.soft_percent) {
            parts.push(format!("soft {} percent", self.soft_percent));
        }
        if before.is_none_or(|before| before.limits != self.limits) {
            parts.push(self.limits.clone());
        }
        parts.join("; ")
    }
}

/// Limits (JSON) with some of them set.
fn merged(limits: &str, set: LimitsSet) -> String {
    let object = |text: &str| match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(object)) => object,
        _ => serde_json::Map::new(),
    };
    let mut all = object(limits);
    all.extend(object(&to_json(&set)));
    serde_json::Value::Object(all).to_string()
}

fn taken(error: StoreError, row: &PlanRow) -> ControlError {
    match error {
        StoreError::Conflict { .. } => ControlError::Exists {
            what: "plan",
            name: row.name.clone(),
            remedy: "Change that one, or use another name.".into(),
        },
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_set_one_by_one() {
        let set = LimitsSet {
            sessions: Some(7),
            ..LimitsSet::default()
        };
        assert_eq!(merged("{}", LimitsSet::default()), "{}");
        assert_eq!(
            merged(r#"{"domains":1,"sessions":2}"#, set),
            r#"{"domains":1,"sessions":7}"#
        );
        let limits = set.over(Limits::default());
        assert_eq!((limits.sessions, limits.domains), (7, 20));
    }
}
