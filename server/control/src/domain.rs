//! Domains: their states and what an owner can do with them.
//!
//! The state is a pure function of the former state and the facts of the last look ([`next`]); what could not be seen
//! (`Unknown`) never moves a state. Ownership comes before any stream, account or order.

use serde::{Deserialize, Serialize};
use store::{DomainId, DomainRow, DomainStore, StoreError, TenantId};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::certificate::CertificateView;
use crate::error::{ControlError, Result};
use crate::event::{Event, EventKind};
use crate::findings::{self, FindingView, Severity};
use crate::observe::Observation;
use crate::operator::short_text;
use crate::outside::{Change, Probe, ZoneChange};
use crate::permission::Operation;
use crate::records::{self, DesiredRecord, DomainFacts, Mode, Standing};
use crate::tenant::{SUSPENDED, to_json};
use crate::{Actor, Control, password, rate, status};

/// Where a domain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Somebody says it is theirs.
    Claimed,
    /// They have shown it. From here on we answer for the domain.
    Verified,
    /// Records are appearing; identity is being obtained.
    Publishing,
    /// Everything on our side stands: switching the SRV records is safe.
    Ready,
    /// DNS, identity and a probe through the public door are good.
    Live,
    /// Was live; something that people feel is wrong.
    Degraded,
    /// Stopped, by the owner, the platform, or a lapsed proof.
    Suspended,
    /// Being erased.
    Releasing,
}

impl State {
    /// Every state, in order.
    pub const ALL: [Self; 8] = [
        Self::Claimed,
        Self::Verified,
        Self::Publishing,
        Self::Ready,
        Self::Live,
        Self::Degraded,
        Self::Suspended,
        Self::Releasing,
    ];

    /// Word of the store, JSON and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Verified => "verified",
            Self::Publishing => "publishing",
            Self::Ready => "ready",
            Self::Live => "live",
            Self::Degraded => "degraded",
            Self::Suspended => "suspended",
            Self::Releasing => "releasing",
        }
    }

    /// The state of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }

    /// Does the server answer streams for the domain?
    pub fn is_served(self) -> bool {
        matches!(
            self,
            Self::Verified | Self::Publishing | Self::Ready | Self::Live | Self::Degraded
        )
    }
}

/// What one look established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Is the token published?
    pub ownership: Seen,
    /// Has the token been gone for longer than the grace period?
    pub proof_lapsed: bool,
    /// Is any other record of ours published?
    pub any_record: Seen,
    /// Is every needed record right, and nothing critical wrong in the DNS?
    pub records: Seen,
    /// Is there a valid certificate for the domain?
    pub identity: bool,
    /// Did the probe get in?
    pub probe: Seen,
}

/// The next state; the same state if nothing moves. Called again until it does not. What is unknown moves nothing: a
/// resolver's silence neither makes a domain live nor takes one down.
pub fn next(state: State, facts: &Facts) -> State {
    use State::{Claimed, Degraded, Live, Publishing, Ready, Releasing, Suspended, Verified};
    if state.is_served() && facts.proof_lapsed {
        return Suspended;
    }
    let door = facts.identity && facts.probe == Seen::Yes;
    match state {
        Claimed if facts.ownership == Seen::Yes => Verified,
        Verified if facts.any_record == Seen::Yes || facts.identity => Publishing,
        // Our side stands: identity is there and the door is not seen closed. Switching SRV leaves no gap.
        Publishing if facts.identity && facts.probe != Seen::No => Ready,
        Ready if !facts.identity => Publishing,
        Ready if facts.records == Seen::Yes && door => Live,
        Live if facts.records == Seen::No || !facts.identity || facts.probe == Seen::No => Degraded,
        Degraded if facts.records == Seen::Yes && door => Live,
        // Leaving these two is an operation, never an observation.
        Suspended | Releasing => state,
        Claimed | Verified | Publishing | Ready | Live | Degraded => state,
    }
}

/// Answer to a question about the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Seen {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Could not ask.
    Unknown,
}

/// A new domain.
#[derive(Debug, Clone, Deserialize)]
pub struct DomainNew {
    /// In any spelling.
    pub domain: String,
    /// For which tenant (by id); `None`: the actor's own.
    #[serde(default)]
    pub tenant: Option<i64>,
}

/// Changes of a domain's settings; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DomainSet {
    /// `permissive`, `verified`, `encrypted`, `authenticated` (XEP-0238).
    #[serde(default)]
    pub policy: Option<String>,
    /// How its identity is obtained (words of [`Mode`]).
    #[serde(default)]
    pub mode: Option<String>,
    /// Labels of services that are switched on.
    #[serde(default)]
    pub services: Option<Vec<String>>,
    /// Peers that alone may talk to it; empty: all.
    #[serde(default)]
    pub allow: Option<Vec<String>>,
    /// Peers that may not.
    #[serde(default)]
    pub block: Option<Vec<String>>,
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
    /// Federation policy.
    pub policy: String,
    /// Services that are switched on.
    pub services: Vec<String>,
    /// Peers that alone may talk to it; empty: all.
    pub allow: Vec<String>,
    /// Peers that may not.
    pub block: Vec<String>,
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
    /// May this actor publish the records with one button (sandbox)?
    pub can_publish: bool,
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
/// Rows read at once.
const PAGE: u32 = 1000;
/// Entries of an allow or block list.
const LIST: usize = 1000;
/// Words of XEP-0238.
const POLICIES: [&str; 4] = ["permissive", "verified", "encrypted", "authenticated"];
/// The default: TLS always, any prooftype, dialback over TLS allowed.
const POLICY: &str = "encrypted";

/// What the owner chose beside the columns (JSON in `settings`). The worker only reads it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Choices {
    /// Services that are switched on.
    pub services: Vec<String>,
    /// When the owner last asked for a certificate now (µs).
    pub order_wanted: i64,
}

impl Choices {
    pub(crate) fn of(row: &DomainRow) -> Self {
        serde_json::from_str(&row.settings).unwrap_or_default()
    }
}

/// What the worker keeps from look to look (JSON in `look`). Operations only read it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    /// The last look.
    pub seen: Option<Observation>,
    /// The last probe.
    pub probe: Option<Probe>,
    /// The proof has not been there since (µs).
    pub proof_missing_since: Option<i64>,
    /// The token was seen while another customer's proof stands.
    pub taken: bool,
    /// The target's addresses have been published in the platform's zone.
    pub target_published: bool,
    /// Orders.
    pub order: OrderMemory,
}

/// What is kept of certificate orders.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OrderMemory {
    /// Failures in a row.
    pub failures: u32,
    /// Last attempt (µs).
    pub tried: i64,
    /// No attempt before (µs), unless the owner asks.
    pub not_before: i64,
    /// Last failure in the CA's words; empty: none.
    pub said: String,
    /// Service names that the CA refused last time, left out of the next order.
    pub left_out: Vec<String>,
}

impl Memory {
    /// Reads it; what cannot be read (another version's) is forgotten, and looked at again.
    pub(crate) fn of(row: &DomainRow) -> Self {
        row.look
            .as_deref()
            .and_then(|look| serde_json::from_str(look).ok())
            .unwrap_or_default()
    }
}

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
        let row = self.domain_make(tenant.id, &name).await?;
        self.audit(
            actor,
            Some(tenant.id),
            Operation::DomainAdd,
            name.as_str(),
            "",
        )
        .await?;
        self.show(actor, &row).await
    }

    /// Domains of a tenant (by id); `None`: all that the actor may see. The most urgent first.
    pub async fn domain_list(&self, actor: &Actor, tenant: Option<i64>) -> Result<Vec<DomainView>> {
        let rows = match tenant.map(TenantId).or(actor.tenant) {
            Some(tenant) => {
                let tenant = self
                    .tenant_row(actor, Operation::DomainList, tenant.0)
                    .await?;
                self.domains(Some(tenant.id)).await?
            }
            None => {
                actor.check(Operation::DomainList, None, "domain", "")?;
                self.domains(None).await?
            }
        };
        let mut views = Vec::with_capacity(rows.len());
        for row in &rows {
            let accounts = self.domain_store(&row).account_count().await?;
            views.push(status::view(row, &Memory::of(row), accounts));
        }
        views.sort_by(|a, b| {
            status::urgency(a.state)
                .cmp(&status::urgency(b.state))
                .then_with(|| a.domain.cmp(&b.domain))
        });
        Ok(views)
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
        self.gate
            .attempt(rate::CHECK, row.name.as_str(), self.now())?;
        self.soon(&row).await
    }

    /// Looks now, in this call, moves the state, and returns what was found (CLI: `domain check`).
    pub async fn domain_check_now(&self, actor: &Actor, domain: &str) -> Result<DomainShow> {
        let row = self
            .domain_row(actor, Operation::DomainCheck, domain)
            .await?;
        self.gate
            .attempt(rate::CHECK, row.name.as_str(), self.now())?;
        let next_check = self.step(row.id).await?;
        self.store().domain_check_at(row.id, next_check).await?;
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
        zone.publish(&row.name, &records::desired(&facts, self.settings()))
            .await?;
        self.audit(
            actor,
            Some(row.tenant),
            Operation::DomainPublish,
            row.name.as_str(),
            "",
        )
        .await?;
        self.soon(&row).await
    }

    /// Changes settings.
    pub async fn domain_set(
        &self,
        actor: &Actor,
        domain: &str,
        set: DomainSet,
    ) -> Result<DomainShow> {
        let mut row = self.domain_row(actor, Operation::DomainSet, domain).await?;
        let mut choices = Choices::of(&row);
        let mut said = Vec::new();
        if let Some(policy) = set.policy {
            if !POLICIES.contains(&policy.as_str()) {
                return Err(ControlError::invalid(
                    "policy",
                    policy,
                    "there is no such policy",
                    format!("Use {}.", POLICIES.join(", ")),
                ));
            }
            said.push(format!("policy {policy}"));
            row.policy = policy;
        }
        if let Some(mode) = set.mode {
            let mode = Mode::parse(&mode).ok_or_else(|| {
                ControlError::invalid(
                    "mode",
                    mode.as_str(),
                    "there is no such mode",
                    "Use delegated-challenge or uploaded.",
                )
            })?;
            said.push(format!("mode {}", mode.as_str()));
            row.mode = mode.as_str().into();
        }
        if let Some(services) = set.services {
            let known = &self.settings().service_names;
            if let Some(unknown) = services
                .iter()
                .find(|label| !known.iter().any(|service| service.label == **label))
            {
                let names: Vec<_> = known.iter().map(|service| service.label.as_str()).collect();
                return Err(ControlError::invalid(
                    "services",
                    unknown.as_str(),
                    "there is no such service here",
                    format!("Use {}.", names.join(", ")),
                ));
            }
            said.push(format!("services {}", services.join(" ")));
            choices.services = services;
        }
        if let Some(allow) = set.allow {
            row.allow = peers("allow", &allow)?;
            said.push(format!("allow {}", row.allow.join(" ")));
        }
        if let Some(block) = set.block {
            row.block = peers("block", &block)?;
            said.push(format!("block {}", row.block.join(" ")));
        }
        let choices = to_json(&choices);
        let row = self
            .domain_edit(row.id, |fresh| {
                (fresh.policy, fresh.mode) = (row.policy, row.mode);
                (fresh.allow, fresh.block, fresh.settings) = (row.allow, row.block, choices);
            })
            .await?;
        self.parts.live.announce(Change::Domain(row.name.clone()));
        self.audit(
            actor,
            Some(row.tenant),
            Operation::DomainSet,
            row.name.as_str(),
            &said.join("; "),
        )
        .await?;
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
            _ => {
                self.domain_stop(&row, by, &reason).await?;
                self.audit(
                    actor,
                    Some(row.tenant),
                    Operation::DomainSuspend,
                    row.name.as_str(),
                    &reason,
                )
                .await?;
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
        self.domain_start(&row).await?;
        self.audit(
            actor,
            Some(row.tenant),
            Operation::DomainResume,
            row.name.as_str(),
            "",
        )
        .await?;
        self.domain_show(actor, domain).await
    }

    /// Erases a domain: afterwards no row, key, certificate or record of ours speaks of it (ACME-15).
    pub async fn domain_remove(&self, actor: &Actor, domain: &str) -> Result<Removed> {
        let row = self
            .domain_row(actor, Operation::DomainRemove, domain)
            .await?;
        let dangling = self.dangling(&row);
        self.domain_release(&row).await?;
        self.audit(
            actor,
            Some(row.tenant),
            Operation::DomainRemove,
            row.name.as_str(),
            "",
        )
        .await?;
        Ok(Removed {
            domain: row.name.to_string(),
            dangling,
        })
    }

    /// A domain within the actor's reach, by any spelling.
    pub(crate) async fn domain_row(
        &self,
        actor: &Actor,
        operation: Operation,
        domain: &str,
    ) -> Result<DomainRow> {
        let missing = || ControlError::not_found("domain", domain);
        let name = DomainName::parse(domain).map_err(|_| missing())?;
        // Several may claim a name: the actor's own claim, or for the platform the proven one.
        let mut rows = self.store().domain_find(&name).await?.into_iter();
        let row = rows
            .find(|row| actor.tenant.is_none_or(|own| own == row.tenant))
            .ok_or_else(missing)?;
        actor.check(operation, Some(row.tenant), "domain", domain)?;
        Ok(row)
    }

    /// Claims a name for a tenant. Several may claim a name, each with a token of its own, and whoever publishes theirs has it:
    /// nobody can squat on a name by naming it. A name that somebody has proven is not up for claims until that proof lapses.
    pub(crate) async fn domain_make(
        &self,
        tenant: TenantId,
        name: &DomainName,
    ) -> Result<DomainRow> {
        let now = self.now();
        let taken = |remedy: &str| ControlError::Exists {
            what: "domain",
            name: name.to_string(),
            remedy: remedy.to_owned(),
        };
        if self
            .store()
            .domain_find(name)
            .await?
            .iter()
            .any(|row| row.tenant == tenant)
        {
            return Err(taken("You have it already: open it in your list."));
        }
        if self.held(name).await? {
            return Err(taken(
                "If it is yours, sign in, or ask whoever set it up; it is not handed over without their leave.",
            ));
        }
        let mut row = DomainRow {
            id: DomainId(0),
            tenant,
            name: name.clone(),
            label: password::token(5).expose().to_owned(),
            state: State::Claimed.as_str().into(),
            reason: String::new(),
            suspended_by: String::new(),
            mode: Mode::default().as_str().into(),
            token: password::token(20).expose().to_owned(),
            verified_at: None,
            policy: POLICY.into(),
            allow: Vec::new(),
            block: Vec::new(),
            settings: to_json(&Choices::default()),
            look: None,
            checked_at: None,
            next_check_at: Some(now),
            created: now,
        };
        row.id = match self.store().domain_add(&row).await {
            Ok(id) => id,
            Err(StoreError::Conflict { .. }) => {
                return Err(taken(
                    "Try again: somebody was adding it at the same moment.",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        self.tell(&row, EventKind::DomainAdded);
        self.wake.notify_one();
        Ok(row)
    }

    /// Has somebody proven this name, and is that proof in force?
    pub(crate) async fn held(&self, name: &DomainName) -> Result<bool> {
        Ok(self
            .store()
            .domain_hosted(name)
            .await?
            .is_some_and(|row| row.suspended_by != BY_LAPSE))
    }

    /// A domain's rows in the store.
    pub(crate) fn domain_store(&self, row: &DomainRow) -> DomainStore {
        self.store().domain(row.id, &row.name)
    }

    /// Reads a domain's row afresh, changes it, writes it: so that neither the worker nor another operation is overwritten.
    pub(crate) async fn domain_edit(
        &self,
        id: DomainId,
        edit: impl FnOnce(&mut DomainRow),
    ) -> Result<DomainRow> {
        let _one_at_a_time = self.edits.lock().await;
        let mut row = self
            .store()
            .domain_get(id)
            .await?
            .ok_or_else(|| ControlError::not_found("domain", id))?;
        edit(&mut row);
        match self.store().domain_update(&row, self.now()).await {
            Ok(true) => Ok(row),
            Ok(false) => Err(ControlError::not_found("domain", &row.name)),
            Err(StoreError::Conflict { .. }) => Err(ControlError::Exists {
                what: "domain",
                name: row.name.to_string(),
                remedy: "Another customer has shown that it is theirs.".into(),
            }),
            Err(error) => Err(error.into()),
        }
    }

    /// Every domain of a tenant, or of all, page by page.
    pub(crate) async fn domains(&self, tenant: Option<TenantId>) -> Result<Vec<DomainRow>> {
        let mut all: Vec<DomainRow> = Vec::new();
        loop {
            let after = all.last().map_or(DomainId(0), |row| row.id);
            let page = self.store().domain_list(tenant, after, PAGE).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Stops a domain, whoever asked.
    pub(crate) async fn domain_stop(&self, row: &DomainRow, by: &str, reason: &str) -> Result<()> {
        self.move_to(row, State::Suspended, by, reason).await
    }

    /// Starts a stopped domain: as far as its proof goes; the next look does the rest.
    pub(crate) async fn domain_start(&self, row: &DomainRow) -> Result<()> {
        let memory = to_json(&Memory {
            proof_missing_since: None,
            ..Memory::of(row)
        });
        self.store()
            .domain_looked(row.id, &memory, row.checked_at.unwrap_or(row.created))
            .await?;
        // A lapsed proof has to be shown afresh.
        let state = if row.verified_at.is_some() && row.suspended_by != BY_LAPSE {
            State::Verified
        } else {
            State::Claimed
        };
        self.move_to(row, state, "", "").await?;
        self.soon(row).await
    }

    /// Writes a state, tells everybody.
    pub(crate) async fn move_to(
        &self,
        row: &DomainRow,
        to: State,
        by: &str,
        reason: &str,
    ) -> Result<()> {
        let from = state_of(row);
        self.domain_edit(row.id, |fresh| {
            fresh.state = to.as_str().into();
            fresh.suspended_by = by.into();
            fresh.reason = reason.into();
        })
        .await?;
        self.parts.live.announce(Change::Domain(row.name.clone()));
        if from != to {
            tracing::info!(domain = %row.name, from = from.as_str(), to = to.as_str(), "state");
            self.tell(
                row,
                EventKind::DomainState {
                    from: from.as_str(),
                    to: to.as_str(),
                },
            );
        }
        Ok(())
    }

    /// Takes a domain out of service, out of the platform's zone, and out of the store. If the zone cannot be reached the
    /// domain stays `releasing` and the worker tries again: a name in our zone that nobody owns would be worse.
    pub(crate) async fn domain_release(&self, row: &DomainRow) -> Result<()> {
        if state_of(row) != State::Releasing {
            self.move_to(row, State::Releasing, "", "").await?;
        }
        let facts = self.facts_of(row, &Memory::of(row));
        let changes = [
            ZoneChange::Erase {
                name: facts.target(self.settings()),
            },
            ZoneChange::Erase {
                name: facts.challenge(self.settings()),
            },
        ];
        if let Err(error) = self.parts.zone.apply(&changes).await {
            tracing::warn!(domain = %row.name, error = %ControlError::from(error).log_text(), "leaving is held up by the platform's zone");
            return self.soon(row).await;
        }
        if let Some(zone) = self
            .parts
            .owner_zone
            .as_ref()
            .filter(|_| row.verified_at.is_some())
        {
            if let Err(error) = zone.withdraw(&row.name).await {
                tracing::warn!(domain = %row.name, error = %ControlError::from(error).log_text(), "the sandbox zone keeps records of a domain that has left");
            }
        }
        self.store()
            .domain_remove(row, row.verified_at.is_some(), self.now())
            .await?;
        self.parts.live.announce(Change::Domain(row.name.clone()));
        self.parts
            .live
            .announce(Change::Certificate(row.name.clone()));
        self.tell(row, EventKind::DomainRemoved);
        Ok(())
    }

    /// Records in the owner's zone that point at nothing once the domain has left: those last seen there, or all if never looked.
    pub(crate) fn dangling(&self, row: &DomainRow) -> Vec<DesiredRecord> {
        let memory = Memory::of(row);
        let wanted = records::desired(&self.facts_of(row, &memory), self.settings());
        match &memory.seen {
            Some(seen) => wanted
                .into_iter()
                .filter(|record| findings::standing(record, seen) == Standing::Seen)
                .collect(),
            None => wanted,
        }
    }

    /// Has the worker look soon.
    pub(crate) async fn soon(&self, row: &DomainRow) -> Result<()> {
        self.store()
            .domain_check_at(row.id, Some(self.now()))
            .await?;
        self.wake.notify_one();
        Ok(())
    }

    /// What the records depend on.
    pub(crate) fn facts_of(&self, row: &DomainRow, memory: &Memory) -> DomainFacts {
        DomainFacts {
            name: row.name.clone(),
            label: row.label.clone(),
            token: row.token.clone(),
            mode: Mode::parse(&row.mode).unwrap_or_default(),
            services: Choices::of(row).services,
            zone: memory.seen.as_ref().and_then(|seen| seen.zone.clone()),
        }
    }

    /// Tells open pages.
    pub(crate) fn tell(&self, row: &DomainRow, kind: EventKind) {
        self.events.send(Event {
            tenant: Some(row.tenant),
            domain: Some(row.name.to_string()),
            kind,
            at: self.now(),
        });
    }

    async fn show(&self, actor: &Actor, row: &DomainRow) -> Result<DomainShow> {
        let store = self.domain_store(&row);
        let memory = Memory::of(row);
        let facts = self.facts_of(row, &memory);
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
            policy: row.policy.clone(),
            services: facts.services,
            allow: row.allow.clone(),
            block: row.block.clone(),
            stations: story.stations(),
            next_step: story.next_step(),
            critical: checks
                .iter()
                .filter(|check| check.severity == Severity::Critical)
                .count(),
            verdicts: self.verdicts(row, &memory).await?,
            certificate_note: story.certificate_note(),
            verified: row.verified_at,
            checked: row.checked_at,
            next_check: row.next_check_at,
            sessions: self.parts.live.sessions(&row.name),
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

fn peers(field: &'static str, names: &[String]) -> Result<Vec<String>> {
    if names.len() > LIST {
        return Err(ControlError::Limit {
            what: field,
            used: names.len() as u64,
            limit: LIST as u64,
        });
    }
    let parse = |name: &String| {
        DomainName::parse(name.trim())
            .map(|name| name.to_string())
            .map_err(|_| {
                ControlError::invalid(
                    field,
                    name.as_str(),
                    "this is not a domain name",
                    "Write one domain per line.",
                )
            })
    };
    names
        .iter()
        .filter(|name| !name.trim().is_empty())
        .map(parse)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::State::{
        Claimed, Degraded, Live, Publishing, Ready, Releasing, Suspended, Verified,
    };
    use super::*;

    const NOTHING: Facts = Facts {
        ownership: Seen::No,
        proof_lapsed: false,
        any_record: Seen::No,
        records: Seen::No,
        identity: false,
        probe: Seen::Unknown,
    };
    const GOOD: Facts = Facts {
        ownership: Seen::Yes,
        proof_lapsed: false,
        any_record: Seen::Yes,
        records: Seen::Yes,
        identity: true,
        probe: Seen::Yes,
    };
    const UNKNOWN: Facts = Facts {
        ownership: Seen::Unknown,
        proof_lapsed: false,
        any_record: Seen::Unknown,
        records: Seen::Unknown,
        identity: true,
        probe: Seen::Unknown,
    };

    fn settle(mut state: State, facts: &Facts) -> State {
        for _ in 0..State::ALL.len() {
            state = next(state, facts);
        }
        state
    }

    #[test]
    fn table_of_transitions() {
        let table: &[(State, Facts, State)] = &[
            (Claimed, NOTHING, Claimed),
            (
                Claimed,
                Facts {
                    ownership: Seen::Yes,
                    ..NOTHING
                },
                Verified,
            ),
            // Records without ownership open nothing.
            (
                Claimed,
                Facts {
                    ownership: Seen::No,
                    ..GOOD
                },
                Claimed,
            ),
            (
                Claimed,
                Facts {
                    ownership: Seen::Unknown,
                    ..GOOD
                },
                Claimed,
            ),
            (Verified, NOTHING, Verified),
            (
                Verified,
                Facts {
                    any_record: Seen::Yes,
                    ..NOTHING
                },
                Publishing,
            ),
            (
                Verified,
                Facts {
                    identity: true,
                    ..NOTHING
                },
                Publishing,
            ),
            (
                Publishing,
                Facts {
                    records: Seen::Yes,
                    ..NOTHING
                },
                Publishing,
            ),
            (
                Publishing,
                Facts {
                    identity: true,
                    ..NOTHING
                },
                Ready,
            ),
            (
                Publishing,
                Facts {
                    identity: true,
                    probe: Seen::No,
                    ..NOTHING
                },
                Publishing,
            ),
            (
                Ready,
                Facts {
                    records: Seen::No,
                    ..GOOD
                },
                Ready,
            ),
            (
                Ready,
                Facts {
                    probe: Seen::Unknown,
                    ..GOOD
                },
                Ready,
            ),
            (
                Ready,
                Facts {
                    records: Seen::Unknown,
                    ..GOOD
                },
                Ready,
            ),
            (
                Ready,
                Facts {
                    identity: false,
                    ..GOOD
                },
                Publishing,
            ),
            (Ready, GOOD, Live),
            (Live, GOOD, Live),
            (
                Live,
                Facts {
                    records: Seen::No,
                    ..GOOD
                },
                Degraded,
            ),
            (
                Live,
                Facts {
                    probe: Seen::No,
                    ..GOOD
                },
                Degraded,
            ),
            (
                Live,
                Facts {
                    identity: false,
                    ..GOOD
                },
                Degraded,
            ),
            (
                Degraded,
                Facts {
                    records: Seen::Unknown,
                    ..GOOD
                },
                Degraded,
            ),
            (Degraded, GOOD, Live),
            (Suspended, GOOD, Suspended),
            (Releasing, GOOD, Releasing),
        ];
        for (from, facts, to) in table {
            assert_eq!(next(*from, facts), *to, "{from:?} {facts:?}");
        }
    }

    #[test]
    fn unknown_moves_nothing() {
        for state in [Claimed, Ready, Live, Degraded, Suspended, Releasing] {
            assert_eq!(settle(state, &UNKNOWN), state);
        }
    }

    #[test]
    fn a_lapsed_proof_stops_whatever_is_served() {
        for state in State::ALL {
            let lapsed = Facts {
                ownership: Seen::No,
                proof_lapsed: true,
                ..GOOD
            };
            assert_eq!(
                next(state, &lapsed),
                if state.is_served() {
                    Suspended
                } else {
                    next(
                        state,
                        &Facts {
                            proof_lapsed: false,
                            ..lapsed
                        },
                    )
                }
            );
        }
    }

    #[test]
    fn one_good_look_goes_all_the_way() {
        assert_eq!(settle(Claimed, &GOOD), Live);
    }
}
