//! The suspension ladder: what happens to a customer who does not answer, step by step, each with its date, all of it undone
//! with one word until the last.
//!
//! Warned → read-only (the team changes nothing) → no federation → no log-in → erased. The operator says how many days there
//! are before each step; a step that is left out does not come. What is in force is written down by the worker when its time
//! has come, so that every node and the log agree on it.

use serde::{Deserialize, Serialize};
use store::{TenantId, TenantRow};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::operator::short_text;
use crate::permission::Operation;
use crate::tenant::{TenantView, to_json};
use crate::time::{DAY, SECOND, plus};
use crate::{Actor, Control};

/// A step of the ladder, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The team is told.
    Warned,
    /// The team can look, and change nothing.
    ReadOnly,
    /// Other servers are not talked with.
    NoFederation,
    /// Nobody can sign in.
    NoLogin,
    /// Everything is erased.
    Erased,
}

impl Step {
    /// Every step, in order.
    pub const ALL: [Self; 5] = [
        Self::Warned,
        Self::ReadOnly,
        Self::NoFederation,
        Self::NoLogin,
        Self::Erased,
    ];

    /// Word of the store, JSON and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warned => "warned",
            Self::ReadOnly => "read-only",
            Self::NoFederation => "no-federation",
            Self::NoLogin => "no-login",
            Self::Erased => "erased",
        }
    }

    /// The step of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|step| step.as_str() == word)
    }

    /// What it means, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Warned => "You are told; nothing else changes.",
            Self::ReadOnly => "Your team can look at everything here, and change nothing.",
            Self::NoFederation => {
                "Your people reach only each other: other domains are not talked with."
            }
            Self::NoLogin => "Nobody can sign in at your domains.",
            Self::Erased => "Everything is erased: domains, accounts, messages, keys.",
        }
    }
}

/// The ladder to put a customer on.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct LadderSet {
    /// Why; the customer reads it.
    pub reason: String,
    /// Days from now until the team can change nothing.
    pub read_only_days: Option<u32>,
    /// Days until other servers are not talked with.
    pub no_federation_days: Option<u32>,
    /// Days until nobody can sign in.
    pub no_login_days: Option<u32>,
    /// Days until everything is erased.
    pub erased_days: Option<u32>,
    /// Only if the customer is still this version ([`TenantView::version`]).
    #[serde(skip)]
    pub version: Option<String>,
}

/// As it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    reason: String,
    steps: Vec<(Step, i64)>,
}

/// Where a customer stands on the ladder.
#[derive(Debug, Clone, Serialize)]
pub struct LadderView {
    /// Why.
    pub reason: String,
    /// The step in force.
    pub step: Step,
    /// Every step that comes, or has.
    pub steps: Vec<LadderStep>,
}

/// A step with its date.
#[derive(Debug, Clone, Serialize)]
pub struct LadderStep {
    /// Which.
    pub step: Step,
    /// When.
    #[serde(serialize_with = "crate::time::at")]
    pub at: Timestamp,
    /// Is it in force?
    pub reached: bool,
    /// What it means.
    pub meaning: &'static str,
}

/// Longest time until a step, in days.
const MOST_DAYS: u32 = 730;

impl LadderSet {
    /// # Errors
    /// [`ControlError::Invalid`] names the step that would come out of order.
    fn checked(&self, now: Timestamp) -> Result<Kept> {
        let reason = short_text("reason", &self.reason)?;
        let wanted = [
            ("read_only_days", Step::ReadOnly, self.read_only_days),
            (
                "no_federation_days",
                Step::NoFederation,
                self.no_federation_days,
            ),
            ("no_login_days", Step::NoLogin, self.no_login_days),
            ("erased_days", Step::Erased, self.erased_days),
        ];
        let mut steps = vec![(Step::Warned, now.0)];
        let mut last = 0;
        for (field, step, days) in wanted {
            let Some(days) = days else { continue };
            if days > MOST_DAYS || days < last || (step == Step::Erased && days <= last) {
                return Err(ControlError::invalid(
                    field,
                    days.to_string(),
                    format!("a step comes after the one before it, within {MOST_DAYS} days"),
                    "Give each step at least as many days as the one before; erasure needs more.",
                ));
            }
            last = days;
            steps.push((step, plus(now, i64::from(days) * (DAY / SECOND)).0));
        }
        Ok(Kept { reason, steps })
    }
}

impl Kept {
    fn of(row: &TenantRow) -> Option<Self> {
        serde_json::from_str(row.ladder.as_deref()?).ok()
    }

    /// The step whose time has come last.
    fn due(&self, now: Timestamp) -> Option<Step> {
        let due = self.steps.iter().filter(|(_, at)| *at <= now.0);
        due.map(|(step, _)| *step).max()
    }
}

/// At this step (the store's word): may the customer's people and programs look at everything, and change nothing?
pub(crate) fn only_looks(step: &str) -> bool {
    Step::parse(step) >= Some(Step::ReadOnly)
}

/// Puts a customer on the last step, now.
pub(crate) fn to_erasure(row: &mut TenantRow, now: Timestamp) {
    let mut kept = Kept::of(row).unwrap_or(Kept {
        reason: "it is being removed".into(),
        steps: Vec::new(),
    });
    kept.steps
        .retain(|(step, at)| *step != Step::Erased && *at <= now.0);
    kept.steps.push((Step::Erased, now.0));
    row.ladder = Some(to_json(&kept));
    row.step = Step::Erased.as_str().into();
}

/// Where a tenant stands, if it is on the ladder.
pub(crate) fn view(row: &TenantRow) -> Option<LadderView> {
    let kept = Kept::of(row)?;
    let step = Step::parse(&row.step)?;
    Some(LadderView {
        steps: kept
            .steps
            .into_iter()
            .map(|(of, at)| LadderStep {
                step: of,
                at: Timestamp(at),
                reached: of <= step,
                meaning: of.meaning(),
            })
            .collect(),
        reason: kept.reason,
        step,
    })
}

impl Control {
    /// An account that its domain's owner has named admin, acting over XMPP (XEP-0133). Whoever makes this has seen that, and
    /// lets it reach this domain only. Where the owner may change nothing, neither may it.
    pub async fn domain_admin(&self, domain: &DomainName, jid: &str) -> Result<Actor> {
        let row = self.store().domain_hosted(domain).await?;
        let row = row.ok_or_else(|| ControlError::not_found("domain", domain))?;
        let tenant = self.store().tenant_get(row.tenant).await?;
        let mut actor = Actor::of_account(jid);
        actor.looks_only = tenant.is_some_and(|tenant| only_looks(&tenant.step));
        Ok(actor)
    }

    /// Puts a customer on the ladder, at its first step, or gives it other dates.
    pub async fn ladder_set(&self, actor: &Actor, id: i64, set: LadderSet) -> Result<TenantView> {
        let row = self.tenant_row(actor, Operation::LadderSet, id).await?;
        let kept = set.checked(self.now())?;
        let step = kept.due(self.now()).unwrap_or(Step::Warned);
        let dates: Vec<String> = kept
            .steps
            .iter()
            .map(|(step, at)| format!("{} {}", step.as_str(), Timestamp(*at).to_xep0082()))
            .collect();
        let said = format!("{}; {}", kept.reason, dates.join(", "));
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::LadderSet,
            "",
            &row.name,
            &said,
        );
        let ladder = to_json(&kept);
        self.tenant_edit_at(&recorded, row.id, set.version.as_deref(), |row| {
            row.ladder = Some(ladder.clone());
            row.step = step.as_str().into();
        })
        .await?;
        self.tell_tenant(row.id);
        self.wake.notify_one();
        self.tenant_show(&Actor::system("ladder.set"), id).await
    }

    /// Takes a customer off the ladder: everything is as it was. With `version`, only if they are still that.
    pub async fn ladder_end(
        &self,
        actor: &Actor,
        id: i64,
        version: Option<&str>,
    ) -> Result<TenantView> {
        let row = self.tenant_row(actor, Operation::LadderEnd, id).await?;
        if row.ladder.is_none() {
            return Err(ControlError::State {
                name: row.name,
                state: "not on the ladder".into(),
                problem: "no step is in force and none comes".into(),
                remedy: "Nothing to do.".into(),
            });
        }
        let said = format!("was {}", row.step);
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::LadderEnd,
            "",
            &row.name,
            &said,
        );
        self.tenant_edit_at(&recorded, row.id, version, |row| {
            (row.ladder, row.step) = (None, String::new());
        })
        .await?;
        self.tell_tenant(row.id);
        self.tenant_show(&Actor::system("ladder.end"), id).await
    }

    /// Takes the steps whose time has come; an erasure that was begun goes on until nothing is left. Trouble with one customer
    /// is no other's. Returns how many were seen to.
    pub(crate) async fn ladder_turn(&self) -> Result<usize> {
        let worker = Actor::system("worker");
        let mut taken = 0;
        for row in self.store().tenant_laddered().await? {
            let Some(due) = Kept::of(&row).and_then(|kept| kept.due(self.now())) else {
                continue;
            };
            let done = if Step::parse(&row.step) != Some(due) {
                self.ladder_step(&worker, row.id, due).await
            } else if due == Step::Erased {
                self.tenant_erase(&worker, row.id).await
            } else {
                continue;
            };
            match done {
                Ok(()) => taken += 1,
                Err(error) => {
                    tracing::warn!(tenant = row.id.0, step = due.as_str(), error = %error.log_text(), "a step of the ladder is not done yet")
                }
            }
        }
        Ok(taken)
    }

    /// One step of one customer.
    pub(crate) async fn ladder_step(&self, actor: &Actor, id: TenantId, step: Step) -> Result<()> {
        let row = self.tenant_row(actor, Operation::LadderStep, id.0).await?;
        let recorded = self.recorded(
            actor,
            Some(row.id),
            Operation::LadderStep,
            "",
            &row.name,
            step.as_str(),
        );
        // Somebody may have taken the customer off it meanwhile; then the row is not the one that was looked at.
        let mut next = row.clone();
        next.step = step.as_str().into();
        if next.ladder.is_none() || !recorded.tenant_update(&next, self.now()).await? {
            return Ok(());
        }
        self.tell_tenant(row.id);
        if step == Step::Erased {
            self.tenant_erase(actor, row.id).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(days: [Option<u32>; 4]) -> LadderSet {
        LadderSet {
            reason: "unpaid".into(),
            read_only_days: days[0],
            no_federation_days: days[1],
            no_login_days: days[2],
            erased_days: days[3],
            version: None,
        }
    }

    #[test]
    fn steps_come_in_their_order_or_not_at_all() {
        let now = Timestamp(0);
        for (days, field) in [
            ([Some(7), Some(6), None, None], Some("no_federation_days")),
            ([Some(7), None, Some(6), None], Some("no_login_days")),
            ([None, None, Some(6), Some(6)], Some("erased_days")),
            ([None, None, None, Some(0)], Some("erased_days")),
            ([Some(731), None, None, None], Some("read_only_days")),
            ([Some(0), Some(0), Some(0), Some(1)], None),
            ([None, None, None, None], None),
        ] {
            let checked = set(days).checked(now);
            assert_eq!(checked.err().and_then(|e| e.field()), field, "{days:?}");
        }
        let kept = set([Some(1), None, Some(3), Some(9)]).checked(now).unwrap();
        for (day, step) in [
            (0, Step::Warned),
            (1, Step::ReadOnly),
            (2, Step::ReadOnly),
            (3, Step::NoLogin),
            (8, Step::NoLogin),
            (9, Step::Erased),
        ] {
            assert_eq!(kept.due(Timestamp(day * DAY)), Some(step));
        }
    }
}
