//! How a domain comes, moves and goes: the steps that operations and worker share. No permission is asked here but for finding
//! the row: the operation has asked.

use store::{DomainId, DomainRow, DomainStore, Store, StoreError, TenantId};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::{BY_LAPSE, BY_PLATFORM, Choices, Memory, State, is_readable, services, state_of};
use crate::error::{ControlError, Result};
use crate::event::{Event, EventKind};
use crate::outside::{Change, ZoneChange};
use crate::permission::Operation;
use crate::records::{self, DesiredRecord, DomainFacts, Mode, Standing};
use crate::tenant::to_json;
use crate::time::plus;
use crate::{Actor, Control, findings, password, rollover};

/// Rows read at once.
const PAGE: u32 = 1000;
/// Pause before the platform's zone is asked again to let go of a domain.
const HELD_UP_SECONDS: u32 = 30;
/// The default: TLS always, any prooftype, dialback over TLS allowed.
const POLICY: &str = "encrypted";

impl Control {
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
        if !actor.reaches(row.name.as_str()) {
            return Err(missing());
        }
        actor.check(operation, Some(row.tenant), "domain", domain)?;
        Ok(row)
    }

    /// Claims a name for a tenant. Several may claim a name, each with a token of its own, and whoever publishes theirs has it:
    /// nobody can squat on a name by naming it. A name that somebody has proven is not up for claims until that proof lapses.
    pub(crate) async fn domain_make(
        &self,
        recorded: &Store,
        tenant: TenantId,
        name: &DomainName,
    ) -> Result<DomainRow> {
        let mut row = self.claimable(tenant, name).await?;
        row.id = match recorded.domain_add(&row).await {
            Ok(id) => id,
            Err(StoreError::Conflict { .. }) => {
                return Err(taken(
                    name,
                    "Try again: somebody was adding it at the same moment.",
                ));
            }
            Err(error) => return Err(error.into()),
        };
        self.came(&row);
        Ok(row)
    }

    /// The row of a claim that may be made: the tenant does not have the name yet, and nobody has proven it.
    pub(crate) async fn claimable(&self, tenant: TenantId, name: &DomainName) -> Result<DomainRow> {
        if self
            .store()
            .domain_find(name)
            .await?
            .iter()
            .any(|row| row.tenant == tenant)
        {
            return Err(taken(name, "You have it already: open it in your list."));
        }
        if self.held(name).await? {
            return Err(taken(
                name,
                "If it is yours, sign in, or ask whoever set it up; it is not handed over without their leave.",
            ));
        }
        if let Some(parent) = self.service_of_another(tenant, name).await? {
            let remedy = format!(
                "It is a service of {}: ask whoever has that to switch it off first.",
                parent.name
            );
            return Err(taken(name, &remedy));
        }
        Ok(self.new_row(tenant, name))
    }

    /// The domain that has this name as one of its services or components, where that is another customer's and its proof is in
    /// force. Any other name below another customer's domain may be claimed, with a proof of its own: who can write there has
    /// been given it.
    pub(crate) async fn service_of_another(
        &self,
        tenant: TenantId,
        name: &DomainName,
    ) -> Result<Option<DomainRow>> {
        let Some((label, parent)) = name.as_str().split_once('.') else {
            return Ok(None);
        };
        let Ok(parent) = DomainName::parse(parent) else {
            return Ok(None);
        };
        let held = self.store().domain_hosted(&parent).await?;
        Ok(held.filter(|row| {
            let has = |labels: Vec<String>| labels.iter().any(|own| own == label);
            row.tenant != tenant
                && !self.has_lapsed(row)
                && (has(services(row, self.settings().service_labels()))
                    || has(Choices::of(row).components))
        }))
    }

    /// Names of a domain's services and components that another customer had before, as domains of their own: what is sent
    /// there goes to them.
    pub(crate) async fn services_elsewhere(
        &self,
        row: &DomainRow,
        facts: &DomainFacts,
    ) -> Result<Vec<DomainName>> {
        let mut elsewhere = Vec::new();
        for label in facts.services.iter().chain(&facts.components) {
            // A name that is too long for a label before it has no service there.
            let Ok(name) = DomainName::parse(&format!("{label}.{}", row.name)) else {
                continue;
            };
            let held = self.store().domain_hosted(&name).await?;
            if held.is_some_and(|other| other.tenant != row.tenant && !self.has_lapsed(&other)) {
                elsewhere.push(name);
            }
        }
        Ok(elsewhere)
    }

    /// Tells everybody of a claim that was just stored.
    pub(crate) fn came(&self, row: &DomainRow) {
        self.tell(row, EventKind::DomainAdded);
        self.wake.notify_one();
    }

    /// The row of a name that is claimed now; its number is given by the store.
    pub(super) fn new_row(&self, tenant: TenantId, name: &DomainName) -> DomainRow {
        let now = self.now();
        DomainRow {
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
            revision: 0,
        }
    }

    /// Has somebody proven this name, and is that proof in force?
    pub(crate) async fn held(&self, name: &DomainName) -> Result<bool> {
        Ok(self
            .store()
            .domain_hosted(name)
            .await?
            .is_some_and(|row| !self.has_lapsed(&row)))
    }

    /// Was the domain stopped because its proof has lapsed, and has it not been shown since? That stays true through whatever
    /// stop and start come after it, of the owner or of the platform, until a look sees the record again.
    pub(crate) fn has_lapsed(&self, row: &DomainRow) -> bool {
        let gone = || {
            let since = Memory::of(row).proof_missing_since;
            since.is_some_and(|since| self.is_past_grace(since))
        };
        row.suspended_by == BY_LAPSE || (state_of(row) == State::Suspended && gone())
    }

    /// Has a proof that is gone since then (µs) been gone for longer than it may?
    pub(crate) fn is_past_grace(&self, since: i64) -> bool {
        self.now() > plus(Timestamp(since), self.settings().pace.proof_grace_seconds)
    }

    /// A domain's rows in the store.
    pub(crate) fn domain_store(&self, row: &DomainRow) -> DomainStore {
        self.store().domain(row.id, &row.name)
    }

    /// Changes a domain's row, whatever others change at the same time: `edit` sees the row as it is now, and sees it again
    /// when another edit, of this process or another, came between.
    pub(crate) async fn domain_edit(
        &self,
        id: DomainId,
        edit: impl FnMut(&mut DomainRow),
    ) -> Result<DomainRow> {
        self.domain_edit_in(self.store(), id, edit).await
    }

    /// The same through a handle that records it.
    pub(crate) async fn domain_edit_in(
        &self,
        recorded: &Store,
        id: DomainId,
        mut edit: impl FnMut(&mut DomainRow),
    ) -> Result<DomainRow> {
        let edited = self.domain_edit_if(recorded, id, |fresh| {
            edit(fresh);
            true
        });
        Ok(edited.await?.0)
    }

    /// The same for an `edit` that may no longer want to when it sees the fresh row: its `false` writes nothing. Returns the
    /// row as it stands, and whether it was written.
    pub(crate) async fn domain_edit_if(
        &self,
        recorded: &Store,
        id: DomainId,
        mut edit: impl FnMut(&mut DomainRow) -> bool,
    ) -> Result<(DomainRow, bool)> {
        loop {
            let mut row = self
                .store()
                .domain_get(id)
                .await?
                .ok_or_else(|| ControlError::not_found("domain", id))?;
            let before = row.settings.clone();
            if !edit(&mut row) {
                return Ok((row, false));
            }
            if row.settings != before && !is_readable(&before) {
                // What this version cannot read it would throw away.
                return Err(ControlError::State {
                    name: row.name.to_string(),
                    state: "kept by a later version".into(),
                    problem:
                        "this one cannot read all of its settings, and would lose what it cannot"
                            .into(),
                    remedy: "Run the later version, and change it there.".into(),
                });
            }
            match recorded.domain_update(&row, self.now()).await {
                Ok(true) => {
                    row.revision += 1;
                    return Ok((row, true));
                }
                // Somebody was faster; that edit is done, so all get their turn.
                Ok(false) => {}
                Err(StoreError::Conflict { .. }) => {
                    return Err(ControlError::Exists {
                        what: "domain",
                        name: row.name.to_string(),
                        remedy: "Another customer has shown that it is theirs.".into(),
                    });
                }
                Err(error) => return Err(error.into()),
            }
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

    /// Stops a domain, whoever asked. A proof that has lapsed stays the reason, unless it is the platform's word.
    pub(crate) async fn domain_stop(
        &self,
        recorded: &Store,
        row: &DomainRow,
        by: &str,
        reason: &str,
    ) -> Result<()> {
        let lapsed = by != BY_PLATFORM && self.has_lapsed(row);
        let by = if lapsed { BY_LAPSE } else { by };
        self.move_to(recorded, row, State::Suspended, by, reason)
            .await
    }

    /// Starts a stopped domain: as far as its proof goes; the next look does the rest.
    pub(crate) async fn domain_start(&self, recorded: &Store, row: &DomainRow) -> Result<()> {
        // A lapsed proof has to be shown afresh, and gives way to another's until it is.
        let (state, by) = if self.has_lapsed(row) {
            (State::Claimed, BY_LAPSE)
        } else if row.verified_at.is_some() {
            (State::Verified, "")
        } else {
            (State::Claimed, "")
        };
        self.move_from(recorded, row, state, by, "").await?;
        self.soon(row).await
    }

    /// Writes a state whatever the domain's state has become meanwhile, tells everybody.
    async fn move_to(
        &self,
        recorded: &Store,
        row: &DomainRow,
        to: State,
        by: &str,
        reason: &str,
    ) -> Result<()> {
        let mut from = state_of(row);
        self.domain_edit_in(recorded, row.id, |fresh| {
            from = state_of(fresh);
            stand(fresh, to, by, reason);
        })
        .await?;
        self.moved(row, from, to).await
    }

    /// Writes a state if the domain is still in the one that `row` says, and tells everybody. `false`: it is not, a suspension
    /// during a long look is not undone by what the look found.
    pub(crate) async fn move_from(
        &self,
        recorded: &Store,
        row: &DomainRow,
        to: State,
        by: &str,
        reason: &str,
    ) -> Result<bool> {
        let from = state_of(row);
        let (_, written) = self
            .domain_edit_if(recorded, row.id, |fresh| {
                let still = state_of(fresh) == from && fresh.suspended_by == row.suspended_by;
                if still {
                    stand(fresh, to, by, reason);
                }
                still
            })
            .await?;
        if written {
            self.moved(row, from, to).await?;
        }
        Ok(written)
    }

    async fn moved(&self, row: &DomainRow, from: State, to: State) -> Result<()> {
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
        if matches!(to, State::Suspended | State::Releasing) {
            // Nobody will ask for its turn.
            self.store().queue_remove(row.id).await?;
        }
        Ok(())
    }

    /// Takes a domain out of service, out of the platform's zone, and out of the store. If the zone cannot be reached the
    /// domain stays `releasing` and the worker tries again: a name in our zone that nobody owns would be worse. The log says
    /// who took it out of service, and why, and when it was erased. `false`: the zone holds it up.
    pub(crate) async fn domain_release(
        &self,
        actor: &Actor,
        row: &DomainRow,
        why: &str,
    ) -> Result<bool> {
        self.domain_leave(actor, row, why).await?;
        self.domain_erase(actor, row).await
    }

    /// Takes a domain out of service, for good; the worker erases it.
    pub(crate) async fn domain_leave(
        &self,
        actor: &Actor,
        row: &DomainRow,
        why: &str,
    ) -> Result<()> {
        if state_of(row) == State::Releasing {
            return Ok(());
        }
        let recorded = self.recorded_of(actor, row, Operation::DomainRemove, why);
        self.move_to(&recorded, row, State::Releasing, "", "")
            .await?;
        self.soon(row).await
    }

    async fn domain_erase(&self, actor: &Actor, row: &DomainRow) -> Result<bool> {
        let facts = self.facts_of(row, &Memory::of(row));
        let target = facts.target(self.settings());
        // Whether or not it has TLSA records now: what is not there is no error.
        let changes: Vec<_> = rollover::tlsa_owners(&target, self.settings().ports)
            .into_iter()
            .chain([target, facts.challenge(self.settings())])
            .map(|name| ZoneChange::Erase { name })
            .collect();
        if let Err(error) = self.parts.zone.apply(&changes).await {
            tracing::warn!(domain = %row.name, error = %ControlError::from(error).log_text(), "leaving is held up by the platform's zone");
            let again = plus(self.now(), HELD_UP_SECONDS);
            self.store().domain_check_at(row.id, Some(again)).await?;
            return Ok(false);
        }
        if let Some(zone) = self
            .parts
            .owner_zone
            .as_ref()
            .filter(|_| row.verified_at.is_some())
            && let Err(error) = zone.withdraw(&row.name).await
        {
            tracing::warn!(domain = %row.name, error = %ControlError::from(error).log_text(), "the sandbox zone keeps records of a domain that has left");
        }
        self.recorded_of(actor, row, Operation::DomainRemove, "erased")
            .domain_remove(row, row.verified_at.is_some(), self.now())
            .await?;
        self.parts.live.announce(Change::Domain(row.name.clone()));
        self.parts
            .live
            .announce(Change::Certificate(row.name.clone()));
        self.tell(row, EventKind::DomainRemoved);
        Ok(true)
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
        let mode = Mode::parse(&row.mode).unwrap_or_default();
        let choices = Choices::of(row);
        DomainFacts {
            name: row.name.clone(),
            label: row.label.clone(),
            token: row.token.clone(),
            mode,
            dane: mode == Mode::Dane || choices.dane,
            posh: mode == Mode::Posh || choices.posh,
            services: {
                let federated = self.settings().service_names.iter();
                let federated = federated.filter(|service| service.federated);
                services(row, federated.map(|service| service.label.as_str()))
            },
            components: choices.components,
            persist: Some(self.parts.issuer.describe())
                .filter(|_| mode == Mode::DnsPersist)
                .and_then(|issuer| records::persist_text(&issuer)),
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
}

fn taken(name: &DomainName, remedy: &str) -> ControlError {
    ControlError::Exists {
        what: "domain",
        name: name.to_string(),
        remedy: remedy.to_owned(),
    }
}

fn stand(row: &mut DomainRow, state: State, by: &str, reason: &str) {
    row.state = state.as_str().into();
    row.suspended_by = by.into();
    row.reason = reason.into();
}
