//! Domains: their states and what an owner can do with them.
//!
//! The state is a pure function of the former state and the facts of the last look ([`next`]); what could not be seen
//! (`Unknown`) never moves a state. Ownership comes before any stream, account or order.

mod import;
mod joining;
mod life;
mod list;
mod memory;
mod set;
mod state;
mod streams;

pub use self::import::{DomainImport, DomainRefused, DomainsImported, import_rows};
pub use self::joining::{JoinChoices, JoinSet, Registration};
pub use self::list::DomainPage;
pub use self::memory::services;
pub(crate) use self::memory::{
    Believed, Choices, Memory, OrderMemory, RolloverMemory, TlsaPublished, is_readable,
};
pub use self::set::DomainSet;
pub(crate) use self::set::{announce, word_of};
pub use self::state::{Facts, Seen, State, next};
pub use self::streams::{StreamChoices, StreamSet};

use serde::{Deserialize, Serialize};
use store::{DomainRow, TenantId};
use xmpp::timestamp::Timestamp;

use crate::certificate::CertificateView;
use crate::error::{ControlError, Result};
use crate::findings::{self, FindingView, Severity};
use crate::operator::short_text;
use crate::outside::Change;
use crate::permission::{Operation, Role};
use crate::records::{self, DesiredRecord, Mode};
use crate::tenant::SUSPENDED;
use crate::{Actor, Control, rate, status};

/// A new domain.
#[derive(Debug, Clone, Deserialize)]
pub struct DomainNew {
    /// In any spelling.
    pub domain: String,
    /// For which tenant (by id); `None`: the actor's own.
    #[serde(default)]
    pub tenant: Option<i64>,
}

/// A domain in a list.
#[derive(Debug, Clone, Serialize)]
pub struct DomainView {
    /// Id.
    pub id: i64,
    /// Canonical spelling.
    pub domain: String,
    /// DNS spelling.
    pub ascii: String,
    /// Whose (id).
    pub tenant: i64,
    /// Where it stands.
    pub state: State,
    /// Status chip of the panel: `live`, `ready`, `waiting for you`, `waiting for the world`, `degraded`, `stopped`.
    pub chip: &'static str,
    /// One sentence of status.
    pub status: String,
    /// Accounts.
    pub accounts: u64,
    /// Since.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
}

/// One of the four stations Ownership → Records → Identity → Live.
#[derive(Debug, Clone, Serialize)]
pub struct Station {
    /// `Ownership`, `Records`, `Identity`, `Live`.
    pub name: &'static str,
    /// `done`, `now`, `later`, `trouble`.
    pub standing: &'static str,
    /// What it waits for, or what was reached.
    pub text: String,
}

/// The next-step card.
#[derive(Debug, Clone, Serialize)]
pub struct NextStep {
    /// Heading.
    pub title: String,
    /// One or two sentences.
    pub text: String,
    /// What the one button does: `records`, `check`, `publish`, `users`, `certificate`, `resume`, `none`.
    pub action: &'static str,
}

/// Who would accept us how: a row of the matrix (DNA-31).
#[derive(Debug, Clone, Serialize)]
pub struct VerdictView {
    /// `example.com` or a service under it.
    pub name: String,
    /// `phones and desktops`, `strict servers`, `servers with DANE`, …
    pub who: &'static str,
    /// `pkix`, `dane`, `posh`, `dialback`.
    pub prooftype: &'static str,
    /// Would they?
    pub accepted: Seen,
    /// Why.
    pub why: String,
}

/// Everything about a domain: the owner's home page.
#[derive(Debug, Clone, Serialize)]
pub struct DomainShow {
    /// The list's view.
    #[serde(flatten)]
    pub view: DomainView,
    /// Its target in the platform's zone, without last dot.
    pub target: String,
    /// How its identity is obtained.
    pub mode: Mode,
    /// TLSA records are published for its target.
    pub dane: bool,
    /// POSH documents are published for it.
    pub posh: bool,
    /// Federation policy.
    pub policy: String,
    /// Services that are switched on.
    pub services: Vec<String>,
    /// Peers that alone may talk to it; empty: all.
    pub allow: Vec<String>,
    /// Peers that may not.
    pub block: Vec<String>,
    /// Peers with trust anchors of their own.
    pub pinned: Vec<crate::peer::PinnedView>,
    /// Clients' streams and modules.
    pub streams: StreamChoices,
    /// Whether its own relays for calls have a secret, with which credentials are made ([`Control::external_secret_set`]).
    pub external_secret: bool,
    /// Four stations.
    pub stations: Vec<Station>,
    /// The next step.
    pub next_step: NextStep,
    /// What the world shows: one row per check, good ones too, worst first.
    pub checks: Vec<FindingView>,
    /// How many of the checks are critical.
    pub critical: usize,
    /// Who would accept us how.
    pub verdicts: Vec<VerdictView>,
    /// The certificate in use.
    pub certificate: Option<CertificateView>,
    /// What happens next at the certificate authority, in words; empty if nothing.
    pub certificate_note: String,
    /// When ownership was last proven.
    #[serde(serialize_with = "crate::time::maybe")]
    pub verified: Option<Timestamp>,
    /// Last look.
    #[serde(serialize_with = "crate::time::maybe")]
    pub checked: Option<Timestamp>,
    /// Next look.
    #[serde(serialize_with = "crate::time::maybe")]
    pub next_check: Option<Timestamp>,
    /// Sessions now.
    pub sessions: usize,
    /// Most sessions at a time on each of the last days, the oldest first.
    pub days: Vec<DayView>,
    /// May this actor publish the records with one button (sandbox)?
    pub can_publish: bool,
    /// Changes with every change of its settings.
    pub version: String,
}

/// A day of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DayView {
    /// Its start.
    #[serde(serialize_with = "crate::time::at")]
    pub day: Timestamp,
    /// Most sessions that were seen.
    pub sessions: u64,
}

/// What a removed domain leaves in other hands.
#[derive(Debug, Clone, Serialize)]
pub struct Removed {
    /// The domain.
    pub domain: String,
    /// Records in the owner's zone that now point at nothing, or let somebody else answer: to be deleted by the owner.
    pub dangling: Vec<DesiredRecord>,
}

/// `suspended_by` of a domain that its owner stopped.
pub(crate) const BY_OWNER: &str = "owner";
/// … that the platform stopped.
pub(crate) const BY_PLATFORM: &str = "operator";
/// … whose proof of ownership lapsed.
pub(crate) const BY_LAPSE: &str = "system";

/// Days that are shown of a domain's sessions.
const DAYS_SHOWN: i64 = 30;

impl Control {
    /// Adds a domain: claimed, with a token to publish.
    pub async fn domain_add(&self, actor: &Actor, new: DomainNew) -> Result<DomainShow> {
        let tenant = match new.tenant.map(TenantId).or(actor.tenant) {
            Some(tenant) => {
                self.tenant_row(actor, Operation::DomainAdd, tenant.0)
                    .await?
            }
            None => {
                return Err(ControlError::invalid(
                    "tenant",
                    "",
                    "a domain belongs to a customer",
                    "Say for which one.",
                ));
            }
        };
        if tenant.state == SUSPENDED {
            return Err(ControlError::State {
                name: tenant.name,
                state: "suspended".into(),
                problem: tenant.reason,
                remedy: "Ask the operator of this service.".into(),
            });
        }
        let limit = u64::from(self.limits_of(&tenant).domains);
        let used = self.store().domain_count(Some(tenant.id)).await?;
        if used >= limit {
            return Err(ControlError::Limit {
                what: "domains",
                used,
                limit,
            });
        }
        let name = self.usable_domain("domain", &new.domain).await?;
        if actor.role.of_a_tenant() {
            self.unlike_others("domain", tenant.id, &name).await?;
        }
        let recorded = self.recorded(
            actor,
            Some(tenant.id),
            Operation::DomainAdd,
            name.as_str(),
            name.as_str(),
            "",
        );
        let row = self
            .domain_make(&recorded.within(limit), tenant.id, &name)
            .await?;
        self.show(actor, &row).await
    }

    /// One domain, from the last look; asks nobody.
    pub async fn domain_show(&self, actor: &Actor, domain: &str) -> Result<DomainShow> {
        let row = self
            .domain_row(actor, Operation::DomainShow, domain)
            .await?;
        self.show(actor, &row).await
    }

    /// Has the worker look at once; returns before it has.
    pub async fn domain_check(&self, actor: &Actor, domain: &str) -> Result<()> {
        let row = self
            .domain_row(actor, Operation::DomainCheck, domain)
            .await?;
        self.check_gate(actor, &row)?;
        self.soon(&row).await
    }

    /// Looks now, in this call, moves the state, and returns what was found (CLI: `domain check`). Where another look is under
    /// way and does not end in time, what is known so far.
    pub async fn domain_check_now(&self, actor: &Actor, domain: &str) -> Result<DomainShow> {
        let row = self
            .domain_row(actor, Operation::DomainCheck, domain)
            .await?;
        self.check_gate(actor, &row)?;
        self.look_now(row.id).await?;
        let row = self
            .domain_row(actor, Operation::DomainShow, domain)
            .await?;
        self.show(actor, &row).await
    }

    /// Publishes the records in the owner's zone; only where [`Control::can_publish`].
    pub async fn domain_publish(&self, actor: &Actor, domain: &str) -> Result<()> {
        let row = self
            .domain_row(actor, Operation::DomainPublish, domain)
            .await?;
        let Some(zone) = &self.parts.owner_zone else {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: "in your own DNS".into(),
                problem: "its zone is not ours to change".into(),
                remedy: "Publish the records at your DNS host.".into(),
            });
        };
        let facts = self.facts_of(&row, &Memory::of(&row));
        // The zone is not in the store: what was asked for is written down before it is done.
        self.announced(actor, &row, Operation::DomainPublish)
            .await?;
        zone.publish(&row.name, &records::desired(&facts, self.settings()))
            .await?;
        self.soon(&row).await
    }

    /// Refuses settings that would be refused for any domain.
    pub(crate) fn check_settings(&self, set: &DomainSet) -> Result<()> {
        let set = set.clone().checked(&self.settings().service_names)?;
        match set.mode.as_deref().and_then(Mode::parse) {
            Some(mode) => self.check_offered(mode),
            None => Ok(()),
        }
    }

    /// Would these settings change anything of the domain?
    pub(crate) fn differs(&self, row: &DomainRow, set: &DomainSet) -> Result<bool> {
        let set = set.clone().checked(&self.settings().service_names)?;
        let mut then = row.clone();
        set.apply(&mut then);
        Ok(set::version(&then) != set::version(row))
    }

    /// Changes settings.
    pub async fn domain_set(
        &self,
        actor: &Actor,
        domain: &str,
        set: DomainSet,
    ) -> Result<DomainShow> {
        let row = self.domain_row(actor, Operation::DomainSet, domain).await?;
        let set = set.checked(&self.settings().service_names)?;
        let mode = set.mode.as_deref().and_then(Mode::parse);
        // What it is set to already stays, whatever is offered now.
        if let Some(mode) = mode.filter(|mode| mode.as_str() != row.mode) {
            self.check_offered(mode)?;
        }
        let mut then = row.clone();
        set.apply(&mut then);
        JoinSet::makes_sense(&StreamChoices::of(&then).joining)?;
        let recorded = self.recorded_of(actor, &row, Operation::DomainSet, &set.said());
        let wanted = set.version.as_deref();
        let (row, written) = self
            .domain_edit_if(&recorded, row.id, |fresh| {
                let still = wanted.is_none_or(|wanted| wanted == set::version(fresh));
                if still {
                    set.apply(fresh);
                }
                still
            })
            .await?;
        if !written {
            return Err(ControlError::stale("domain", row.name.as_str()));
        }
        self.parts.live.announce(Change::Domain(row.name.clone()));
        self.soon(&row).await?;
        self.show(actor, &row).await
    }

    /// Stops a domain: streams end, nothing is erased.
    pub async fn domain_suspend(
        &self,
        actor: &Actor,
        domain: &str,
        reason: &str,
    ) -> Result<DomainShow> {
        let row = self
            .domain_row(actor, Operation::DomainSuspend, domain)
            .await?;
        let reason = if reason.trim().is_empty() {
            String::new()
        } else {
            short_text("reason", reason)?
        };
        let by = if actor.role.of_a_tenant() {
            BY_OWNER
        } else {
            BY_PLATFORM
        };
        match state_of(&row) {
            State::Releasing => return Err(leaving(&row)),
            // The platform's word weighs more than the owner's.
            State::Suspended if row.suspended_by == BY_PLATFORM || by == row.suspended_by => {}
            // It is stopped until the proof is shown; the owner's word would only take that reason away.
            State::Suspended if by == BY_OWNER && row.suspended_by == BY_LAPSE => {}
            _ => {
                let recorded = self.recorded_of(actor, &row, Operation::DomainSuspend, &reason);
                self.domain_stop(&recorded, &row, by, &reason).await?;
            }
        }
        self.domain_show(actor, domain).await
    }

    /// Undoes that; what the platform stopped, only the platform resumes.
    pub async fn domain_resume(&self, actor: &Actor, domain: &str) -> Result<DomainShow> {
        let row = self
            .domain_row(actor, Operation::DomainResume, domain)
            .await?;
        if state_of(&row) != State::Suspended {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: row.state.clone(),
                problem: "it is not stopped".into(),
                remedy: "Nothing to do.".into(),
            });
        }
        let tenant = self.store().tenant_get(row.tenant).await?;
        let by_platform = row.suspended_by == BY_PLATFORM
            || tenant.is_some_and(|tenant| tenant.state == SUSPENDED);
        if by_platform && actor.role.of_a_tenant() {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: "stopped by the operator of this service".into(),
                problem: row.reason.clone(),
                remedy: "Ask the operator of this service.".into(),
            });
        }
        let recorded = self.recorded_of(actor, &row, Operation::DomainResume, "");
        self.domain_start(&recorded, &row).await?;
        self.domain_show(actor, domain).await
    }

    /// Erases a domain: afterwards no row, key, certificate or record of ours speaks of it (ACME-15).
    pub async fn domain_remove(&self, actor: &Actor, domain: &str) -> Result<Removed> {
        let row = self
            .domain_row(actor, Operation::DomainRemove, domain)
            .await?;
        let dangling = self.dangling(&row);
        self.domain_release(actor, &row, "").await?;
        Ok(Removed {
            domain: row.name.to_string(),
            dangling,
        })
    }

    /// People press "check now" as often as they like, within reason; the process itself is reasonable.
    fn check_gate(&self, actor: &Actor, row: &DomainRow) -> Result<()> {
        if actor.role == Role::System {
            Ok(())
        } else {
            self.gate
                .attempt(rate::CHECK, row.name.as_str(), self.now())
        }
    }

    async fn show(&self, actor: &Actor, row: &DomainRow) -> Result<DomainShow> {
        let store = self.domain_store(row);
        let mut memory = Memory::of(row);
        let facts = self.facts_of(row, &memory);
        let verdicts = self.verdicts(row, &facts, memory.seen.as_ref()).await?;
        memory.believed = Some(Believed::of(&row.name, &verdicts));
        let mut checks: Vec<FindingView> = store
            .finding_list()
            .await?
            .into_iter()
            .filter_map(|finding| findings::view(finding, row.next_check_at))
            .collect();
        // DNSSEC and a missing zone explain the rest; then the worst.
        checks.sort_by(findings::order);
        let certificate = self.current_certificate(row).await?;
        let view = status::view(row, &memory, store.account_count().await?);
        let can_publish = self.can_publish() && actor.may(Operation::DomainPublish);
        let story = status::Story {
            row,
            memory: &memory,
            checks: &checks,
            certificate: certificate.as_ref(),
            can_publish,
            accounts: view.accounts,
        };
        Ok(DomainShow {
            target: facts.target(self.settings()),
            mode: facts.mode,
            dane: facts.dane,
            posh: facts.posh,
            policy: row.policy.clone(),
            services: services(row, self.settings().service_labels()),
            allow: row.allow.clone(),
            block: row.block.clone(),
            pinned: self.pinned_views(&Choices::of(row)),
            streams: StreamChoices::of(row),
            external_secret: store.external_secret_known().await?,
            stations: story.stations(),
            next_step: story.next_step(),
            critical: checks
                .iter()
                .filter(|check| check.severity == Severity::Critical)
                .count(),
            verdicts,
            certificate_note: story.certificate_note(),
            verified: row.verified_at,
            checked: row.checked_at,
            next_check: row.next_check_at,
            sessions: self.parts.live.sessions(&row.name),
            days: self.days(row.id, DAYS_SHOWN).await?,
            version: set::version(row),
            can_publish,
            checks,
            certificate,
            view,
        })
    }
}

pub(crate) fn state_of(row: &DomainRow) -> State {
    // A word of a newer version means: do not serve.
    State::parse(&row.state).unwrap_or(State::Suspended)
}

fn leaving(row: &DomainRow) -> ControlError {
    ControlError::State {
        name: row.name.to_string(),
        state: row.state.clone(),
        problem: "it is being erased".into(),
        remedy: "Add it again once it is gone.".into(),
    }
}
