//! The loop that looks at domains again and does what follows: moves states, orders certificates, finishes removals.
//!
//! A domain is claimed by a lease on its row, so that two nodes do not do the same work; a node that dies loses its lease in
//! time. Domains are looked at side by side, a bounded number at once: a slow name server holds up its own domain only. The
//! loop decides nothing itself: [`Control::step`] is one look at one domain, which whoever asks for a look
//! ([`Control::look_now`]) has under a lease as well.

mod looks;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use store::{DomainId, DomainRow, FindingRow};
use tokio::task::{JoinHandle, JoinSet};
use xmpp::timestamp::Timestamp;

use crate::domain::{
    BY_LAPSE, Believed, Choices, Facts, Memory, Seen, State, VerdictView, next, state_of,
};
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::findings::{self, Finding, Publishing, Severity, Surroundings, checks, standing};
use crate::observe::{HttpDoor, Observation, Ours, look};
use crate::outside::{Change, Probe, ZoneChange, ZoneValue};
use crate::permission::Operation;
use crate::records::{
    DesiredRecord, DomainFacts, Mode, Purpose, Standing, certified, challenge_url, desired,
};
use crate::tenant::to_json;
use crate::time::{DAY, plus};
use crate::{Actor, Control, password, rollover, webhook};

use self::looks::Burst;
pub(crate) use self::looks::Looks;

/// A lease ends by itself after this time, when its holder has died.
pub(crate) const LEASE_SECONDS: i64 = 60;
/// A holder at work extends it this often.
const LEASE_RENEWED: Duration = Duration::from_secs(20);
/// The loop asks for due domains this often, if nothing wakes it.
const TICK: Duration = Duration::from_secs(1);
/// What orders leave behind is swept this often.
pub(crate) const SWEEP_SECONDS: i64 = 3600;
/// Certificates of domains that have left are looked for this often.
const REVOKE_SECONDS: i64 = 10;
/// Customers on the ladder are looked at this often.
const LADDER_SECONDS: i64 = 60;
/// Pause after a step that failed on our side.
const STUMBLE_SECONDS: u32 = 30;
/// A look that something is due for comes no sooner than this.
const SOON_SECONDS: u32 = 1;
/// Whoever asks for a look waits so long for one that is under way.
const LOOK_AWAITED: Duration = Duration::from_secs(5);
/// Pause before the lease is asked for again.
const LOOK_PAUSE: Duration = Duration::from_millis(200);
/// Patience with one DNS question.
const QUESTION: Duration = Duration::from_secs(5);

/// Runs until `stop` resolves. Spawn it once per process; several nodes may run it, a domain is claimed by one.
pub async fn run(control: Arc<Control>, stop: impl Future<Output = ()>) {
    let owner = password::token(8).expose().to_owned();
    let mut steps: JoinSet<()> = JoinSet::new();
    // By task, not by domain: a domain may be due again before its last look has been joined.
    let mut under_way: HashMap<tokio::task::Id, DomainRow> = HashMap::new();
    let mut stop = std::pin::pin!(stop);
    // Ends with this task.
    let mut couriers = JoinSet::new();
    couriers.spawn(webhook::deliver(control.clone()));
    couriers.spawn(looks::listen(control.clone()));
    let mut burst = Burst::default();
    let mut swept = None;
    let mut mailing: Option<JoinHandle<()>> = None;
    let mut revoking: Option<(Timestamp, JoinHandle<()>)> = None;
    let mut climbing: Option<(Timestamp, JoinHandle<()>)> = None;
    loop {
        if revoking.as_ref().is_none_or(|(at, task)| {
            task.is_finished() && control.now() > plus(*at, REVOKE_SECONDS)
        }) {
            let revoker = control.clone();
            let task = tokio::spawn(async move {
                if let Err(error) = revoker.revoke_departed().await {
                    tracing::warn!(error = %error.log_text(), "what is to be revoked cannot be read");
                }
            });
            revoking = Some((control.now(), task));
        }
        let posted = mailing.as_ref().is_none_or(JoinHandle::is_finished);
        if posted && swept.is_none_or(|at| control.now() > plus(at, SWEEP_SECONDS)) {
            swept = Some(control.now());
            control.sweep().await;
            let post = control.clone();
            mailing = Some(tokio::spawn(async move {
                post.zone_look().await;
                match post.mail_nightly().await {
                    Ok(0) => {}
                    Ok(mails) => tracing::info!(mails, "nightly mail"),
                    Err(error) => {
                        tracing::warn!(error = %error.log_text(), "nightly mail could not be written")
                    }
                }
            }));
        }
        if climbing.as_ref().is_none_or(|(at, task)| {
            task.is_finished() && control.now() > plus(*at, LADDER_SECONDS)
        }) {
            let climber = control.clone();
            let task = tokio::spawn(async move {
                if let Err(error) = climber.ladder_turn().await {
                    tracing::warn!(error = %error.log_text(), "customers on the ladder cannot be looked at");
                }
            });
            climbing = Some((control.now(), task));
        }
        let parallel = control.settings().pace.parallel;
        let room = control.looks.room(parallel, steps.len());
        if room > 0 {
            match control.claim(&owner, room).await {
                Ok(rows) => {
                    for row in rows {
                        let (control, owner) = (control.clone(), owner.clone());
                        let claimed = row.clone();
                        let step = steps.spawn(async move { control.leased(&row, &owner).await });
                        under_way.insert(step.id(), claimed);
                    }
                }
                Err(error) => {
                    tracing::warn!(error = %error.log_text(), "due domains cannot be read")
                }
            }
        }
        burst.counts(steps.len());
        tokio::select! {
            () = &mut stop => break,
            () = control.wake.notified() => {}
            () = tokio::time::sleep(TICK) => {}
            Some(ended) = steps.join_next_with_id(), if !steps.is_empty() => {
                let id = match ended {
                    Ok((id, ())) => id,
                    // Its lease runs out; the domain is looked at again then.
                    Err(error) => {
                        tracing::error!(%error, "a look ended by itself");
                        error.id()
                    }
                };
                under_way.remove(&id);
                if steps.is_empty() && burst.is_over() {
                    control.parts.live.burst_over();
                }
            }
        }
    }
    // What is under way is dropped and due at once for whoever comes next; orders resume from the store.
    steps.shutdown().await;
    let dated = revoking.into_iter().chain(climbing).map(|(_, task)| task);
    for task in dated.chain(mailing) {
        task.abort();
    }
    for row in under_way.values() {
        control.lease_end(row, &owner, Some(control.now())).await;
    }
}

impl Control {
    /// One round without the loop, one domain after the other: for tests and for a command line without a server. Returns how
    /// many domains were due.
    pub async fn turn(&self) -> Result<usize> {
        self.ladder_turn().await?;
        self.webhook_turn().await?;
        let rows = self.claim("turn", usize::MAX >> 1).await?;
        let count = rows.len();
        for row in rows {
            self.leased(&row, "turn").await;
        }
        self.revoke_departed().await?;
        self.zone_look().await;
        self.mail_nightly().await?;
        Ok(count)
    }

    async fn claim(&self, owner: &str, room: usize) -> Result<Vec<DomainRow>> {
        let now = self.now();
        // Every second there is: what writes is asked of the store only where something is due.
        let next = self.store().domain_next().await?;
        if next.is_none_or(|next| next > now) {
            return Ok(Vec::new());
        }
        Ok(self
            .store()
            .domain_claim_due(
                now,
                owner,
                plus(now, LEASE_SECONDS),
                u32::try_from(room).unwrap_or(u32::MAX),
            )
            .await?)
    }

    /// Looks at a domain now, due or not. A look that is under way is waited for, and comes before this one; `false`: it went on
    /// for longer than that.
    pub(crate) async fn look_now(&self, id: DomainId) -> Result<bool> {
        let owner = password::token(8).expose().to_owned();
        let patience = u64::from(self.settings().pace.look_seconds);
        let patience = Duration::from_secs(patience).min(LOOK_AWAITED);
        let mut waited = Duration::ZERO;
        loop {
            let now = self.now();
            let until = plus(now, LEASE_SECONDS);
            if let Some(row) = self.store().domain_claim(id, now, &owner, until).await? {
                self.under_lease(&row, &owner).await?;
                return Ok(true);
            }
            if waited >= patience {
                return Ok(false);
            }
            tokio::time::sleep(LOOK_PAUSE).await;
            waited += LOOK_PAUSE;
        }
    }

    /// The same, with its trouble in the log.
    async fn leased(&self, row: &DomainRow, owner: &str) {
        if let Err(error) = self.under_lease(row, owner).await {
            tracing::warn!(domain = %row.name, error = %error.log_text(), "a look was broken off");
        }
    }

    /// One step of a domain whose lease we hold, and the lease's end.
    async fn under_lease(&self, row: &DomainRow, owner: &str) -> Result<()> {
        let mut step = Box::pin(self.step(row.id));
        let done = loop {
            tokio::select! {
                done = &mut step => break done,
                () = tokio::time::sleep(LEASE_RENEWED) => {
                    let until = plus(self.now(), LEASE_SECONDS);
                    match self.store().domain_lease_extend(row.id, owner, until).await {
                        Ok(true) => {}
                        // Another node has it: two must not order the same certificate.
                        Ok(false) => {
                            tracing::warn!(domain = %row.name, "a lease was lost; the look is given up");
                            return Ok(());
                        }
                        Err(error) => tracing::warn!(domain = %row.name, %error, "a lease could not be held longer"),
                    }
                }
            }
        };
        let stumbled = plus(self.now(), STUMBLE_SECONDS);
        let next_check = *done.as_ref().unwrap_or(&Some(stumbled));
        self.lease_end(row, owner, next_check).await;
        done.map(|_| ())
    }

    async fn lease_end(&self, claimed: &DomainRow, owner: &str, next_check: Option<Timestamp>) {
        // "Check now", pressed while we looked, is not forgotten: the store keeps a time other than the claimed one.
        let ended = self
            .store()
            .domain_lease_release(claimed, owner, next_check);
        if let Err(error) = ended.await {
            tracing::warn!(domain = %claimed.name, %error, "a lease is left to run out");
        }
    }

    /// One look at one domain, and what follows from it. Returns when to look again; `None`: never by itself.
    pub(crate) async fn step(&self, id: DomainId) -> Result<Option<Timestamp>> {
        let Some(mut row) = self.store().domain_get(id).await? else {
            return Ok(None);
        };
        let pace = self.settings().pace;
        let was_served = state_of(&row).is_served();
        match state_of(&row) {
            State::Suspended => {
                // A look that was under way when it was stopped may have put it in line.
                self.store().queue_remove(row.id).await?;
                return Ok(None);
            }
            State::Releasing => {
                self.domain_release(&Actor::system("worker"), &row, "")
                    .await?;
                return Ok(Some(plus(self.now(), STUMBLE_SECONDS)));
            }
            State::Claimed
                // What gave way to another customer is kept: it was proven, and holds what people have there.
                if row.verified_at.is_none()
                    && row.suspended_by != BY_LAPSE
                    && self.now() > plus(row.created, pace.claim_expires_seconds) =>
            {
                let worker = Actor::system("worker");
                self.domain_release(&worker, &row, "the claim was never proven")
                    .await?;
                return Ok(None);
            }
            _ => {}
        }
        let mut memory = Memory::of(&row);
        let facts = self.facts_of(&row, &memory);
        let wanted = desired(&facts, self.settings());
        let target = facts.target(self.settings());

        if row.verified_at.is_some() {
            self.publish_target(&row, &target, &mut memory).await;
        }
        let patience = QUESTION.min(Duration::from_secs(u64::from(pace.look_seconds)));
        let published = memory.rollover.tlsa.as_ref();
        let tlsa = published.map(|published| published.owners.clone());
        let spelled = |key: &String| rollover::record_of(key).spelled();
        let tlsa_records: Vec<String> = published
            .map(|published| published.keys.iter().map(spelled).collect())
            .unwrap_or_default();
        let ports = self.web_ports();
        let ours = Ours {
            target: &target,
            tlsa: &tlsa.unwrap_or_default(),
            tlsa_records: &tlsa_records,
            web: (&*self.parts.fetch, self.settings().website_port),
            host_meta: !self.settings().web.is_empty() && row.verified_at.is_some(),
            certified: &certified(&facts, self.settings()),
            http: HttpDoor {
                fetch: &*self.parts.fetch,
                port: self.settings().http_port,
                ports: &ports,
                ours: &challenge_url(self.settings(), &facts.label).unwrap_or_default(),
                label: &facts.label,
            },
        };
        let mut seen = look(&*self.parts.lookup, &facts, &wanted, ours, patience).await;
        if seen.is_answered() {
            self.looks.hear();
        }
        // A zone is not forgotten because one question went unanswered.
        seen.zone = seen.zone.or_else(|| facts.zone.clone());
        // Where the owner's zone is ours it comes into being with the first record.
        seen.domain_missing &= self.parts.owner_zone.is_none();
        if !memory.target_published {
            seen.targets.remove(&target);
        } else if target_drifted(&seen, &target, &self.settings().addresses) {
            // Somebody else has changed it, or the service has moved.
            memory.target_published = false;
            self.publish_target(&row, &target, &mut memory).await;
        }
        let facts = DomainFacts {
            zone: seen.zone.clone(),
            ..facts
        };
        let wanted = desired(&facts, self.settings());

        let ownership = ownership(&wanted, &seen);
        self.keep_proof(&row, ownership, &mut memory).await?;
        // Whoever moved the domain while we looked has the word; the next look starts from there.
        let moved_meanwhile = Ok(Some(self.now()));
        if !self
            .settle(&mut row, &facts, &wanted, &seen, &mut memory)
            .await?
        {
            return moved_meanwhile;
        }
        let mut again = None;
        if state_of(&row).is_served() {
            self.publish_target(&row, &target, &mut memory).await;
            self.ask_for_renewal(&row).await?;
            again = self
                .order(&row, &wanted, &seen, &mut memory.order)
                .await?
                .again;
            self.roll(&row, &facts, &seen, &mut memory).await?;
            let held = rollover::held(self, &row).await?;
            memory.probe = match self.current_facts(&row).await? {
                // The command line knocks at no door; what the server met last still stands.
                Some((certificate, _)) if valid(&certificate, facts.mode, self.now()) => {
                    match memory.probe.take() {
                        Some(last) if !self.parts.live.is_here() => Some(last),
                        _ => {
                            let own = held.own_leaf();
                            Some(self.parts.live.probe(&row.name, own.as_deref()).await)
                        }
                    }
                }
                _ => None,
            };
            if !self
                .settle(&mut row, &facts, &wanted, &seen, &mut memory)
                .await?
            {
                return moved_meanwhile;
            }
        }

        let verdicts = self.verdicts(&row, &facts, Some(&seen)).await?;
        memory.believed = Some(Believed::of(&row.name, &verdicts));
        let rows = self
            .rows((&row, &memory), (&facts, &wanted, &seen), &verdicts)
            .await?;
        memory.seen = Some(seen);
        let store = self.domain_store(&row);
        let essence = |rows: &[FindingRow]| {
            let essence = rows
                .iter()
                .map(|row| (row.code.clone(), row.subject.clone(), row.observed.clone()));
            essence.collect::<BTreeSet<_>>()
        };
        let changed = essence(&store.finding_list().await?) != essence(&rows);
        let now = self.now();
        // Before they are kept: broken off here, the next look tells again.
        self.tell_hooks(&row, &mut memory.told, &rows).await?;
        store.findings_set(&rows).await?;
        self.store()
            .domain_looked(row.id, &to_json(&memory), now)
            .await?;
        // The website was asked before there was anything of ours behind it: what it says now is soon looked at.
        let has_come = !was_served && state_of(&row).is_served();
        let usual = match has_come {
            true => Some(plus(now, pace.pending_seconds)),
            false => self.next_check(&row, now),
        };
        // What the change of an identity waits for is not slept through.
        let due = memory.rollover.again_at.map(Timestamp);
        let next_check =
            usual.map(|at| due.map_or(at, |due| at.min(due.max(plus(now, SOON_SECONDS)))));
        // The queue's word counts where it is sooner: a turn that nobody takes is lost to all.
        let next_check = match (next_check, again) {
            (Some(usual), Some(again)) => Some(usual.min(again.max(plus(now, 1)))),
            (usual, _) => usual,
        };
        self.tell(&row, EventKind::DomainChecked { changed });
        Ok(next_check)
    }

    /// Ports that authorities go to for http-01: the usual ones, and in a private world its own.
    fn web_ports(&self) -> Vec<u16> {
        let settings = self.settings();
        let web = dna::Url::parse(&settings.web).ok();
        let mut ports = vec![settings.http_port, settings.website_port];
        if settings.private_addresses {
            ports.extend(web.and_then(|web| web.port()));
        }
        ports
    }

    /// Moves the state as far as the facts carry it. `false`: somebody else has moved the domain since `row` was read.
    async fn settle(
        &self,
        row: &mut DomainRow,
        facts: &DomainFacts,
        wanted: &[DesiredRecord],
        seen: &Observation,
        memory: &mut Memory,
    ) -> Result<bool> {
        let certificate = self.current_facts(row).await?;
        let found = Facts {
            ownership: ownership(wanted, seen),
            proof_lapsed: memory
                .proof_missing_since
                .is_some_and(|since| self.is_past_grace(since)),
            any_record: any_record(wanted, seen),
            records: records(facts, wanted, seen, self.settings()),
            identity: certificate
                .is_some_and(|(certificate, _)| valid(&certificate, facts.mode, self.now())),
            probe: match &memory.probe {
                Some(Probe::Passed { .. }) => Seen::Yes,
                Some(Probe::Failed { .. }) => Seen::No,
                Some(Probe::Unknown { .. }) | None => Seen::Unknown,
            },
        };
        loop {
            let from = state_of(row);
            let to = next(from, &found);
            if to == from {
                return Ok(true);
            }
            let (by, reason) = if to == State::Suspended {
                (
                    BY_LAPSE,
                    "the record that shows the domain is yours has been gone too long",
                )
            } else {
                ("", "")
            };
            if from == State::Claimed && !self.take(row, memory).await? {
                return Ok(true);
            }
            let store = if to == State::Suspended {
                let worker = Actor::system("worker");
                self.recorded_of(&worker, row, Operation::DomainSuspend, reason)
            } else {
                self.store().clone()
            };
            if !self.move_from(&store, row, to, by, reason).await? {
                return Ok(false);
            }
            row.state = to.as_str().into();
            (row.suspended_by, row.reason) = (by.into(), reason.into());
        }
    }

    /// Writes that a claim is proven. `false`: another customer's proof stands. One that has lapsed gives way, and the log of
    /// that customer says so: nothing is handed over silently, their certificates are revoked as if the domain had left, and what
    /// they have stored stays theirs.
    async fn take(&self, row: &mut DomainRow, memory: &mut Memory) -> Result<bool> {
        // It has become a service of another customer's domain since it was claimed.
        if self
            .service_of_another(row.tenant, &row.name)
            .await?
            .is_some()
        {
            memory.taken = true;
            return Ok(false);
        }
        let worker = Actor::system("worker");
        let now = self.now();
        let hosted = self
            .store()
            .domain_hosted(&row.name)
            .await?
            .filter(|other| other.id != row.id);
        if let Some(other) = hosted.filter(|other| self.has_lapsed(other)) {
            let recorded = self.recorded_of(
                &worker,
                &other,
                Operation::DomainSuspend,
                "another customer has shown that it is theirs; its certificates are revoked",
            );
            // Edited meanwhile: shown afresh, perhaps. The next look sees.
            if !recorded.domain_give_way(&other, now).await? {
                return Ok(false);
            }
            self.parts
                .live
                .announce(Change::Certificate(other.name.clone()));
        }
        let recorded = self.recorded_of(&worker, row, Operation::DomainCheck, "ownership proven");
        memory.taken = match self
            .domain_edit_in(&recorded, row.id, |fresh| fresh.verified_at = Some(now))
            .await
        {
            Ok(_) => false,
            Err(ControlError::Exists { .. }) => true,
            Err(error) => return Err(error),
        };
        if memory.taken {
            return Ok(false);
        }
        row.verified_at = Some(now);
        Ok(true)
    }

    /// Re-proof: remembers since when the proof is gone, and once a day that it is still there.
    async fn keep_proof(
        &self,
        row: &DomainRow,
        ownership: Seen,
        memory: &mut Memory,
    ) -> Result<()> {
        let now = self.now();
        match ownership {
            Seen::Yes => {
                memory.proof_missing_since = None;
                if row
                    .verified_at
                    .is_some_and(|verified| now.0 - verified.0 > DAY)
                {
                    self.domain_edit(row.id, |fresh| fresh.verified_at = Some(now))
                        .await?;
                }
            }
            Seen::No if state_of(row).is_served() => {
                memory.proof_missing_since.get_or_insert(now.0);
            }
            Seen::No | Seen::Unknown => {}
        }
        Ok(())
    }

    /// Puts the domain's target into the platform's zone, once it is proven.
    async fn publish_target(&self, row: &DomainRow, target: &str, memory: &mut Memory) {
        if memory.target_published {
            return;
        }
        let ttl_seconds = self.settings().record_ttl_seconds;
        let (v4, v6): (Vec<_>, Vec<_>) = self
            .settings()
            .addresses
            .iter()
            .partition(|address| address.is_ipv4());
        let values = |addresses: Vec<&std::net::IpAddr>| {
            addresses
                .into_iter()
                .map(|address| match address {
                    std::net::IpAddr::V4(v4) => ZoneValue::A(*v4),
                    std::net::IpAddr::V6(v6) => ZoneValue::Aaaa(*v6),
                })
                .collect::<Vec<_>>()
        };
        // Whatever stands there goes: an address of a family that we no longer have, or an alias.
        let erase = ZoneChange::Erase {
            name: target.to_owned(),
        };
        let sets = [values(v4), values(v6)]
            .into_iter()
            .filter(|values| !values.is_empty())
            .map(|values| ZoneChange::Set {
                name: target.to_owned(),
                ttl_seconds,
                values,
            });
        let changes: Vec<_> = std::iter::once(erase).chain(sets).collect();
        match self.parts.zone.apply(&changes).await {
            Ok(()) => memory.target_published = true,
            Err(error) => {
                tracing::warn!(domain = %row.name, error = %ControlError::from(error).log_text(), "the domain's target could not be published");
            }
        }
    }

    /// The checks as rows to store, each with the time since when it stands like this.
    async fn rows(
        &self,
        (row, memory): (&DomainRow, &Memory),
        (facts, wanted, seen): (&DomainFacts, &[DesiredRecord], &Observation),
        verdicts: &[VerdictView],
    ) -> Result<Vec<FindingRow>> {
        let issuer = self.parts.issuer.describe();
        let mut second = self.parts.issuer.authorities();
        second.retain(|other| other.directory != issuer.directory);
        let pace = self.settings().pace;
        let kept = rollover::held(self, row).await?;
        let compromised = Choices::of(row).given_up_keys;
        let plan = rollover::plan(&kept.situation(self, row, memory, &compromised));
        let elsewhere = self.services_elsewhere(row, facts).await?;
        let around = Surroundings {
            state: state_of(row),
            certificate: self.current_facts(row).await?.map(|(facts, _)| facts),
            proof_ends: memory
                .proof_missing_since
                .map(|since| plus(Timestamp(since), pace.proof_grace_seconds)),
            order_failed: Some(memory.order.said.clone()).filter(|said| !said.is_empty()),
            taken: memory.taken,
            elsewhere: &elsewhere,
            probe: memory.probe.clone(),
            publishing: Some(Publishing {
                kept: &kept,
                plan: &plan,
                memory: &memory.rollover,
            }),
            verdicts,
            settings: self.settings(),
            issuer: &issuer,
            second: &second,
            now: self.now(),
        };
        let now = self.now();
        let rows = checks(facts, wanted, seen, &around);
        for finding in rows
            .iter()
            .filter(|finding| finding.severity == Severity::Critical)
        {
            tracing::debug!(domain = %row.name, code = finding.code, subject = %finding.subject, "finding");
        }
        Ok(rows
            .into_iter()
            .map(|finding| stored(finding, now))
            .collect())
    }

    /// Fast while somebody waits, slow when all is well.
    fn next_check(&self, row: &DomainRow, now: Timestamp) -> Option<Timestamp> {
        let pace = self.settings().pace;
        let seconds = match state_of(row) {
            State::Suspended => return None,
            State::Live => pace.live_seconds,
            State::Releasing => STUMBLE_SECONDS,
            State::Degraded => pace.pending_seconds,
            _ if now.0 - row.created.0 > DAY => pace.patient_seconds,
            _ => pace.pending_seconds,
        };
        Some(plus(now, seconds))
    }
}

/// Does our own host, as published, have other addresses than this service? What could not be asked has not drifted.
fn target_drifted(seen: &Observation, target: &str, addresses: &[std::net::IpAddr]) -> bool {
    let Some(host) = seen.targets.get(target).filter(|_| !addresses.is_empty()) else {
        return false;
    };
    let there: BTreeSet<_> = host.addresses.iter().collect();
    host.resolves != Seen::Unknown && there != addresses.iter().collect()
}

/// The store keeps `since` of what stands already.
fn stored(finding: Finding, now: Timestamp) -> FindingRow {
    FindingRow {
        code: finding.code.into(),
        severity: finding.severity.as_str().into(),
        subject: finding.subject,
        expected: finding.expected,
        observed: finding.observed,
        asked: finding.asked,
        fix: finding.fix,
        since: now,
        next_check: None,
    }
}

/// Is it good for what the mode wants of it? An identity of our own names no domain.
fn valid(certificate: &findings::CertificateFacts, mode: Mode, now: Timestamp) -> bool {
    (certificate.covers_domain || mode.is_own())
        && certificate.not_before <= now
        && now < certificate.not_after
}

/// Is the token there? Every name server that answers must say so; an answer that DNSSEC calls bogus proves nothing.
fn ownership(wanted: &[DesiredRecord], seen: &Observation) -> Seen {
    let Some(record) = wanted
        .iter()
        .find(|record| record.purpose == Purpose::Ownership)
    else {
        return Seen::Unknown;
    };
    if seen
        .set(findings::rtype(record), &record.name)
        .is_some_and(crate::observe::SetView::is_bogus)
    {
        return Seen::Unknown;
    }
    match standing(record, seen) {
        Standing::Seen => Seen::Yes,
        Standing::Missing | Standing::Different => Seen::No,
        Standing::Unknown => Seen::Unknown,
    }
}

/// Is any record beside the token there?
fn any_record(wanted: &[DesiredRecord], seen: &Observation) -> Seen {
    let mut unknown = false;
    for record in wanted
        .iter()
        .filter(|record| record.purpose != Purpose::Ownership)
    {
        match standing(record, seen) {
            Standing::Seen => return Seen::Yes,
            Standing::Unknown => unknown = true,
            Standing::Missing | Standing::Different => {}
        }
    }
    if unknown { Seen::Unknown } else { Seen::No }
}

/// Do apps and servers find us? Only what they follow counts: the needed SRV records, and what breaks a zone as a whole.
fn records(
    facts: &DomainFacts,
    wanted: &[DesiredRecord],
    seen: &Observation,
    settings: &crate::PlatformSettings,
) -> Seen {
    let needed: Vec<_> = wanted
        .iter()
        .filter(|record| {
            matches!(record.purpose, Purpose::Client | Purpose::Server) && !record.optional
        })
        .collect();
    let subjects: Vec<_> = needed
        .iter()
        .map(|record| findings::subject(record))
        .collect();
    let critical = findings::difference(facts, wanted, seen, settings)
        .into_iter()
        .any(|finding| {
            finding.severity == Severity::Critical
                && (subjects.contains(&finding.subject)
                    || matches!(
                        finding.code,
                        findings::DNSSEC_BOGUS
                            | findings::ZONE_MISSING
                            | findings::TARGET_UNRESOLVABLE
                    ))
        });
    if critical {
        return Seen::No;
    }
    if needed
        .iter()
        .all(|record| standing(record, seen) == Standing::Seen)
    {
        Seen::Yes
    } else {
        Seen::Unknown
    }
}
