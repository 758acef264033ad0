//! Tenants: list, limits, suspension, removal; [`sign_up`] how they come, [`overview`] all of them in numbers, [`queues`] what waits.

mod overview;
pub mod queues;
mod sign_up;

use serde::{Deserialize, Serialize};
use store::{Store, StoreError, TenantId, TenantRow};
use xmpp::timestamp::Timestamp;

use crate::domain::{BY_PLATFORM, State};
use crate::error::{ControlError, Result};
use crate::event::{Event, EventKind};
use crate::ladder::{LadderView, Step};
use crate::operator::{login_taken, short_text};
use crate::permission::{Operation, Role};
use crate::records::DesiredRecord;
use crate::secret::Secret;
use crate::settings::Limits;
use crate::{Actor, Control, ladder};

pub use self::overview::Overview;
pub use self::sign_up::{DomainHint, SignUp, SignedUp};
pub use crate::plan::{LimitsSet, TenantSet};

/// A new tenant, made by an operator.
#[derive(Debug, Clone, Deserialize)]
pub struct TenantNew {
    /// What it is called; usually the customer's name.
    pub name: String,
    /// First owner's e-mail address, with a password; none: an operator adds the team later.
    pub owner: Option<OwnerNew>,
}

/// First owner of a tenant made by an operator.
#[derive(Debug, Clone, Deserialize)]
pub struct OwnerNew {
    /// E-mail address.
    pub login: String,
    /// Password.
    pub password: Secret,
}

/// A tenant.
#[derive(Debug, Clone, Serialize)]
pub struct TenantView {
    /// Id.
    pub id: i64,
    /// Name.
    pub name: String,
    /// `active` or `suspended`.
    pub state: &'static str,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// The plan it was given (id); none: the usual one.
    pub plan: Option<i64>,
    /// What the plan in force is called; empty: the configuration says what it may have.
    pub plan_name: String,
    /// Its limits.
    pub limits: Limits,
    /// In use.
    pub used: Used,
    /// Must its people sign in with a second factor?
    pub second_factor: bool,
    /// Where it stands on the suspension ladder, if it is on it.
    pub ladder: Option<LadderView>,
    /// Changes with every edit.
    pub version: String,
}

/// What a tenant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Used {
    /// Domains.
    pub domains: u32,
    /// Accounts over all its domains.
    pub accounts: u32,
}

/// A page of a list of customers.
#[derive(Debug, Clone, Serialize)]
pub struct TenantPage {
    /// By name.
    pub tenants: Vec<TenantView>,
    /// How many there are in all that hold what was searched for.
    pub total: usize,
    /// Number of the first one on this page, from 0.
    pub from: usize,
    /// First one of the next page.
    pub next: Option<usize>,
    /// First one of the page before.
    pub previous: Option<usize>,
}

/// Customers on a page.
const PAGE_SIZE: usize = 50;
impl Control {
    /// Tenants that the actor may see.
    pub async fn tenant_list(&self, actor: &Actor) -> Result<Vec<TenantView>> {
        actor.check(Operation::TenantList, actor.tenant, "tenant", "")?;
        let rows = match actor.tenant {
            Some(own) => self.store().tenant_get(own).await?.into_iter().collect(),
            None => self.tenants().await?,
        };
        let mut views = Vec::with_capacity(rows.len());
        for row in &rows {
            views.push(self.tenant_view(row).await?);
        }
        Ok(views)
    }

    /// One tenant.
    pub async fn tenant_show(&self, actor: &Actor, id: i64) -> Result<TenantView> {
        let row = self.tenant_row(actor, Operation::TenantShow, id).await?;
        self.tenant_view(&row).await
    }

    /// Adds a tenant.
    pub async fn tenant_add(&self, actor: &Actor, new: TenantNew) -> Result<TenantView> {
        actor.check(Operation::TenantAdd, None, "tenant", &new.name)?;
        let name = short_text("name", &new.name)?;
        let owner = match &new.owner {
            Some(owner) => Some(
                self.operator_ready("owner", &owner.login, &owner.password)
                    .await?,
            ),
            None => None,
        };
        let said = owner.as_ref().map(|(login, _)| format!("owner {login}"));
        let row = store::TenantNew {
            name: &name,
            state: ACTIVE,
            limits: "{}",
            person: owner
                .as_ref()
                .map(|(login, hash)| (login.as_str(), hash.as_str(), Role::Owner.as_str())),
            domain: None,
        };
        let said = said.unwrap_or_default();
        let made = self
            .recorded(actor, None, Operation::TenantAdd, "", &name, &said)
            .tenant_open(row, self.now())
            .await;
        let id = match (made, owner) {
            (Ok(made), _) => made.tenant,
            (Err(StoreError::Conflict { .. }), Some((login, _))) => return Err(login_taken(login)),
            (Err(error), _) => return Err(error.into()),
        };
        self.tenant_show(&Actor::system("tenant.add"), id.0).await
    }

    /// Stops all domains of a tenant; `reason` is shown to them.
    pub async fn tenant_suspend(&self, actor: &Actor, id: i64, reason: &str) -> Result<TenantView> {
        let row = self.tenant_row(actor, Operation::TenantSuspend, id).await?;
        let reason = short_text("reason", reason)?;
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::TenantSuspend,
            "",
            &row.name,
            &reason,
        );
        self.tenant_edit(&recorded, row.id, |row| {
            (row.state, row.reason) = (SUSPENDED.into(), reason.clone());
        })
        .await?;
        // Each domain has an entry of its own: broken off here, asking again does the rest.
        for domain in self.domains(Some(row.id)).await? {
            if !matches!(
                State::parse(&domain.state),
                Some(State::Suspended | State::Releasing)
            ) {
                let recorded = self.recorded_of(actor, &domain, Operation::DomainSuspend, &reason);
                self.domain_stop(&recorded, &domain, BY_PLATFORM, &reason)
                    .await?;
            }
        }
        self.tell_tenant(row.id);
        self.tenant_show(&Actor::system("tenant.suspend"), id).await
    }

    /// Undoes that.
    pub async fn tenant_resume(&self, actor: &Actor, id: i64) -> Result<TenantView> {
        let row = self.tenant_row(actor, Operation::TenantResume, id).await?;
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::TenantResume,
            "",
            &row.name,
            "",
        );
        self.tenant_edit(&recorded, row.id, |row| {
            (row.state, row.reason) = (ACTIVE.into(), String::new());
        })
        .await?;
        for domain in self.domains(Some(row.id)).await? {
            if domain.state == State::Suspended.as_str() && domain.suspended_by == BY_PLATFORM {
                let recorded = self.recorded_of(actor, &domain, Operation::DomainResume, "");
                self.domain_start(&recorded, &domain).await?;
            }
        }
        self.tell_tenant(row.id);
        self.tenant_show(&Actor::system("tenant.resume"), id).await
    }

    /// Erases a tenant: domains, accounts, keys, team. Returns the records that now dangle. It is on the last step of the ladder
    /// from here on: what the platform's zone holds up, or the end of this process, the worker finishes.
    pub async fn tenant_remove(&self, actor: &Actor, id: i64) -> Result<Vec<DesiredRecord>> {
        let row = self.tenant_row(actor, Operation::TenantRemove, id).await?;
        let domains = self.domains(Some(row.id)).await?;
        let dangling = domains.iter().flat_map(|domain| self.dangling(domain));
        let dangling = dangling.collect();
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::TenantRemove,
            "",
            &row.name,
            "begun",
        );
        let now = self.now();
        self.tenant_edit(&recorded, row.id, |row| ladder::to_erasure(row, now))
            .await?;
        self.tenant_erase(actor, row.id).await?;
        Ok(dangling)
    }

    /// Erases what there is of a customer on the last step of the ladder: domain after domain, each as if removed by itself,
    /// and when none is left the customer. It stops where somebody has taken the customer off the ladder.
    pub(crate) async fn tenant_erase(&self, actor: &Actor, id: TenantId) -> Result<()> {
        let mut held_up = false;
        for domain in self.domains(Some(id)).await? {
            if self.erased_now(id).await?.is_none() {
                return Ok(());
            }
            let left = if held_up {
                // The zone did not answer a moment ago: the worker asks it for each.
                let left = self.domain_leave(actor, &domain, WITH_CUSTOMER).await;
                left.map(|()| false)
            } else {
                self.domain_release(actor, &domain, WITH_CUSTOMER).await
            };
            match left {
                Ok(gone) => held_up |= !gone,
                // The worker was faster.
                Err(ControlError::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let Some(row) = self.erased_now(id).await? else {
            return Ok(());
        };
        // Nobody of the tenant is left to read its log; the platform keeps that it was there.
        let recorded = self.recorded(actor, None, Operation::TenantRemove, "", &row.name, "");
        if recorded.tenant_remove(row.id).await? {
            self.tell_tenant(row.id);
        }
        Ok(())
    }

    /// The customer, if it still is on the last step.
    async fn erased_now(&self, id: TenantId) -> Result<Option<TenantRow>> {
        let row = self.store().tenant_get(id).await?;
        Ok(row.filter(|row| Step::parse(&row.step) == Some(Step::Erased)))
    }

    /// Changes a tenant's plan and limits.
    pub async fn tenant_set_limits(
        &self,
        actor: &Actor,
        id: i64,
        set: impl Into<TenantSet>,
    ) -> Result<TenantView> {
        let set: TenantSet = set.into();
        let mut row = self
            .tenant_row(actor, Operation::TenantSetLimits, id)
            .await?;
        loop {
            if set
                .version
                .as_ref()
                .is_some_and(|version| *version != row.revision.to_string())
            {
                return Err(ControlError::stale("tenant", &row.name));
            }
            let mut said = Vec::new();
            match set.plan {
                None => {}
                Some(0) => (row.plan, row.plan_limits) = (None, self.usual_limits().await?),
                Some(plan) => {
                    let plan = self.plan_row(plan).await.map_err(|_| {
                        ControlError::invalid(
                            "plan",
                            plan.to_string(),
                            "there is no such plan",
                            "Choose one of the list, or 0 for the usual one.",
                        )
                    })?;
                    (row.plan, row.plan_limits) = (Some(plan.id), plan.limits);
                    said.push(format!("plan {}", plan.name));
                }
            }
            if set.plan == Some(0) {
                said.push("the usual plan".to_owned());
            }
            let base = self.settings().limits.with(&row.plan_limits);
            row.limits = set.limits.over(base.with(&row.limits)).other_than(base);
            said.push(row.limits.clone());
            let said = said.join("; ");
            let recorded = self.recorded(
                actor,
                Some(row.id),
                Operation::TenantSetLimits,
                "",
                &row.name,
                &said,
            );
            if recorded.tenant_update(&row, self.now()).await? {
                break;
            }
            // Somebody was faster; that edit is done, and this one is made on it.
            row = self
                .store()
                .tenant_get(row.id)
                .await?
                .ok_or_else(|| ControlError::not_found("tenant", id))?;
        }
        self.tell_tenant(row.id);
        self.tenant_show(&Actor::system("tenant.set-limits"), id)
            .await
    }

    /// Limits of the usual plan, JSON.
    async fn usual_limits(&self) -> Result<String> {
        let plans = self.store().plan_list().await?;
        let usual = plans.into_iter().find(|(plan, _)| plan.usual);
        Ok(usual.map_or_else(|| "{}".into(), |(plan, _)| plan.limits))
    }

    /// Changes a tenant's row, whatever others change at the same time.
    pub(crate) async fn tenant_edit(
        &self,
        recorded: &Store,
        id: TenantId,
        edit: impl Fn(&mut TenantRow),
    ) -> Result<()> {
        self.tenant_edit_at(recorded, id, None, edit).await
    }

    /// The same, only as long as the row is `version`, if one is said.
    pub(crate) async fn tenant_edit_at(
        &self,
        recorded: &Store,
        id: TenantId,
        version: Option<&str>,
        edit: impl Fn(&mut TenantRow),
    ) -> Result<()> {
        loop {
            let mut row = self
                .store()
                .tenant_get(id)
                .await?
                .ok_or_else(|| ControlError::not_found("tenant", id))?;
            if version.is_some_and(|version| version != row.revision.to_string()) {
                return Err(ControlError::stale("tenant", &row.name));
            }
            edit(&mut row);
            if recorded.tenant_update(&row, self.now()).await? {
                return Ok(());
            }
        }
    }

    /// A page of the customers with `search` in their name, from number `from` on.
    pub async fn tenant_page(
        &self,
        actor: &Actor,
        search: &str,
        from: usize,
    ) -> Result<TenantPage> {
        actor.check(Operation::TenantList, None, "tenant", "")?;
        let part = search.trim().to_lowercase();
        let from = from / PAGE_SIZE * PAGE_SIZE;
        let (rows, total) = self.store().tenant_page(&part, from, PAGE_SIZE).await?;
        let total = usize::try_from(total).unwrap_or(usize::MAX);
        let mut tenants = Vec::with_capacity(rows.len());
        for row in &rows {
            tenants.push(self.tenant_view(row).await?);
        }
        Ok(TenantPage {
            tenants,
            total,
            from,
            next: Some(from + PAGE_SIZE).filter(|next| *next < total),
            previous: from.checked_sub(PAGE_SIZE),
        })
    }

    /// A tenant within the actor's reach.
    pub(crate) async fn tenant_row(
        &self,
        actor: &Actor,
        operation: Operation,
        id: i64,
    ) -> Result<TenantRow> {
        actor.check(operation, Some(TenantId(id)), "tenant", &id.to_string())?;
        self.store()
            .tenant_get(TenantId(id))
            .await?
            .ok_or_else(|| ControlError::not_found("tenant", id))
    }

    pub(crate) fn limits_of(&self, row: &TenantRow) -> Limits {
        let plan = self.settings().limits.with(&row.plan_limits);
        plan.with(&row.limits)
    }

    async fn tenant_view(&self, row: &TenantRow) -> Result<TenantView> {
        let domains = self.store().domain_count(Some(row.id)).await?;
        let accounts = self.store().tenant_account_count(row.id).await?;
        let count = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(TenantView {
            id: row.id.0,
            name: row.name.clone(),
            state: if row.state == SUSPENDED {
                "suspended"
            } else {
                "active"
            },
            created: row.created,
            plan: row.plan.map(|plan| plan.0),
            plan_name: row.plan_name.clone(),
            second_factor: row.second_factor,
            ladder: ladder::view(row),
            version: row.revision.to_string(),
            limits: self.limits_of(row),
            used: Used {
                domains: count(domains),
                accounts: count(accounts),
            },
        })
    }

    /// Every tenant, page by page.
    pub(crate) async fn tenants(&self) -> Result<Vec<TenantRow>> {
        let mut all: Vec<TenantRow> = Vec::new();
        loop {
            let after = all.last().map_or(TenantId(0), |row| row.id);
            let page = self.store().tenant_list(after, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    pub(crate) fn tell_tenant(&self, tenant: TenantId) {
        self.events.send(Event {
            tenant: Some(tenant),
            domain: None,
            kind: EventKind::Tenant,
            at: self.now(),
        });
    }
}

/// A tenant's states.
const ACTIVE: &str = "active";
pub(crate) const SUSPENDED: &str = "suspended";
/// Why a domain leaves whose customer does, in the log.
const WITH_CUSTOMER: &str = "with its customer";
/// Rows read at once.
const PAGE: u32 = 1000;

pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}
