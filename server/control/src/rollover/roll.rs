//! The plan put into practice: what is held is compared with what is published and seen, TLSA sets are written, identities are
//! swapped. Called by the worker, once a look.

use std::collections::{BTreeMap, BTreeSet};

use dna::dane::Record;
use store::{CertificateRow, DomainRow, DomainStore};
use xmpp::timestamp::Timestamp;

use super::{Caches, Channel, Held, OWN, Plan, Sight, Situation, Swap, Watch};
use super::{document_expires, own_identity, plan};
use crate::certificate::{read, renew_at, spread};
use crate::domain::{Choices, Memory, RolloverMemory, TlsaPublished};
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::observe::{Observation, Rtype, Sight as Answer};
use crate::outside::{Change, Probe, ZoneChange, ZoneValue};
use crate::permission::Operation;
use crate::records::{DomainFacts, Mode};
use crate::secret::Secret;
use crate::settings::{PlatformSettings, Ports};
use crate::time::{HOUR, plus};
use crate::{Actor, Control};

/// The identities of a domain, as a plan needs them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    pub(crate) current: Option<Held>,
    pub(crate) next: Option<Held>,
    pub(crate) retired: Vec<Held>,
    /// Leaves in DER, by the name they have in [`Held::leaf`].
    pub(super) leaves: BTreeMap<String, Vec<u8>>,
    pub(crate) current_row: Option<CertificateRow>,
    pub(crate) next_row: Option<CertificateRow>,
}

/// Reads them.
pub(crate) async fn held(control: &Control, row: &DomainRow) -> Result<Kept> {
    let mut kept = Kept::default();
    for certificate in control.domain_store(row).certificate_list().await? {
        let Some(inspected) = read(&certificate.chain_pem, &row.name) else {
            continue;
        };
        let Some(leaf) = inspected.chain.first() else {
            continue;
        };
        let held = Held {
            leaf: inspected.fingerprint.replace(':', "").to_ascii_lowercase(),
            key: inspected.key_fingerprint,
            not_before: inspected.facts.not_before,
            not_after: inspected.facts.not_after,
            since: certificate.since,
        };
        kept.leaves.insert(held.leaf.clone(), leaf.clone());
        match certificate.state.as_str() {
            "current" => {
                kept.current = Some(held);
                kept.current_row = Some(certificate);
            }
            "next" => {
                kept.next = Some(held);
                kept.next_row = Some(certificate);
            }
            _ => kept.retired.push(held),
        }
    }
    Ok(kept)
}

impl Kept {
    /// The identity in use, or to be used at once for want of one.
    fn shown(&self) -> Option<&Held> {
        self.current.as_ref().or(self.next.as_ref())
    }

    /// Name of the leaf in use where it is of our own making: no authority vouches for it.
    pub(crate) fn own_leaf(&self) -> Option<String> {
        let row = self.current_row.as_ref()?;
        (row.source == OWN).then(|| self.current.as_ref().map(|held| held.leaf.clone()))?
    }

    /// The newest: made ahead, or in use.
    pub(crate) fn latest(&self) -> Option<(&Held, &CertificateRow)> {
        let next = self.next.as_ref().zip(self.next_row.as_ref());
        next.or_else(|| self.current.as_ref().zip(self.current_row.as_ref()))
    }

    /// Must the next certificate have another key, whether or not it is due?
    pub(crate) fn needs_another_key(&self, choices: &Choices) -> bool {
        self.latest().is_some_and(|(held, row)| {
            choices.key_wanted > row.key_since.0 || choices.given_up_keys.contains(&held.key)
        })
    }

    /// The key of the newest certificate (PKCS#8 PEM), if it came from `source`, is not too old for the owner, and nothing
    /// speaks against it.
    pub(crate) async fn key_to_keep(
        &self,
        choices: &Choices,
        source: &str,
        now: Timestamp,
        store: &DomainStore,
    ) -> Result<Option<Secret>> {
        let Some((_, row)) = self.latest() else {
            return Ok(None);
        };
        let too_old = choices
            .key_days
            .is_some_and(|days| plus(row.key_since, i64::from(days) * 86_400) <= now);
        if row.source != source || too_old || self.needs_another_key(choices) {
            return Ok(None);
        }
        let identity = match self.next {
            Some(_) => store.identity_next().await?,
            None => store.identity_current().await?,
        };
        Ok(identity.map(|identity| identity.key_pem.as_str().into()))
    }

    /// Every spelling of the certificates that may be shown from now on.
    pub(crate) fn spellings(&self) -> Vec<Vec<String>> {
        self.current
            .iter()
            .chain(&self.next)
            .filter_map(|held| self.leaves.get(&held.leaf))
            .map(|der| dna::posh::Descriptor::spellings(der))
            .collect()
    }

    /// Is this certificate listed?
    pub(crate) fn lists(&self, listed: &[String], held: &Held) -> bool {
        self.leaves.get(&held.leaf).is_some_and(|der| {
            let spellings = dna::posh::Descriptor::spellings(der);
            listed.iter().any(|entry| spellings.contains(entry))
        })
    }

    /// The fingerprints document as of now (POSH-13, POSH-14, POSH-40).
    pub(crate) fn document(&self, control: &Control, row: &DomainRow) -> Option<String> {
        let memory = Memory::of(row);
        let compromised = Choices::of(row).given_up_keys;
        let plan = plan(&self.situation(control, row, &memory, &compromised));
        let certificates = plan
            .posh
            .iter()
            .filter_map(|leaf| self.leaves.get(leaf).map(Vec::as_slice));
        let shown = self.shown()?;
        let usual = control.settings().posh_expires_seconds;
        dna::posh::fingerprints(certificates, document_expires(usual, shown, control.now()))
    }

    /// Everything that the plan depends on.
    pub(crate) fn situation<'a>(
        &'a self,
        control: &Control,
        row: &DomainRow,
        memory: &'a Memory,
        compromised: &'a [String],
    ) -> Situation<'a> {
        let expires = Mode::parse(&row.mode) != Some(Mode::Dane);
        self.situation_of(
            control.now(),
            &memory.rollover,
            control.settings(),
            served(memory),
            (compromised, expires),
        )
    }

    /// The same of what it is made from; the last: keys that others may know, and whether anybody looks at the end of a
    /// certificate.
    pub(super) fn situation_of<'a>(
        &'a self,
        now: Timestamp,
        memory: &'a RolloverMemory,
        settings: &PlatformSettings,
        served: Option<&'a str>,
        (compromised, expires): (&'a [String], bool),
    ) -> Situation<'a> {
        let watch = |caches: &'a Option<Caches>, floor_seconds| {
            caches.as_ref().map(|caches| Watch {
                caches,
                floor_seconds,
            })
        };
        // What the owner copies by hand says itself how long it is believed.
        let posh_floor = if settings.web.is_empty() {
            0
        } else {
            settings.posh_expires_seconds
        };
        Situation {
            now,
            current: self.current.as_ref(),
            next: self.next.as_ref(),
            retired: &self.retired,
            dane: watch(&memory.dane, settings.record_ttl_seconds),
            posh: watch(&memory.posh, posh_floor),
            compromised,
            expires,
            served,
        }
    }
}

/// The leaf that was last seen at our own door.
pub(crate) fn served(memory: &Memory) -> Option<&str> {
    match &memory.probe {
        Some(Probe::Passed { leaf, .. }) if !leaf.is_empty() => Some(leaf),
        _ => None,
    }
}

/// Names of the TLSA sets of a target: every port that SRV records may name (DANE-01).
pub(crate) fn tlsa_owners(target: &str, ports: Ports) -> Vec<String> {
    let mut owners: Vec<String> = [
        ports.client,
        ports.client_tls,
        ports.server,
        ports.server_tls,
    ]
    .into_iter()
    .map(|port| dna::dane::owner(target, port))
    .collect();
    owners.dedup();
    owners
}

/// A key as its TLSA record.
pub(crate) fn record_of(key: &str) -> Record {
    let digest = data_encoding::HEXLOWER
        .decode(key.as_bytes())
        .unwrap_or_default();
    Record::of_key(digest)
}

/// What the last look showed of the TLSA sets: what every name's every server holds. One that could not be asked may tell the
/// world an older set than the others do.
pub(crate) fn tlsa_sight(owners: &[String], seen: &Observation) -> Sight {
    let mut ids: Option<BTreeSet<String>> = None;
    let mut lifetime_seconds = 0;
    for owner in owners {
        let view = seen.set(Rtype::Tlsa, owner);
        let Some(view) = view.filter(|view| !view.is_unknown() && !view.is_partial()) else {
            return Sight::Unknown;
        };
        let answers = view.answers();
        for answered in answers {
            let Answer::Records {
                data, ttl_seconds, ..
            } = &answered.sight
            else {
                return Sight::Nothing;
            };
            let here: BTreeSet<String> = data
                .iter()
                .filter_map(|data| Record::read(&data.to_string()))
                .filter(|record| (record.usage, record.selector, record.matching) == (3, 1, 1))
                .map(|record| data_encoding::HEXLOWER.encode(&record.data))
                .collect();
            lifetime_seconds = lifetime_seconds.max(*ttl_seconds);
            ids = Some(match ids {
                None => here,
                Some(all) => all.intersection(&here).cloned().collect(),
            });
        }
    }
    ids.map_or(Sight::Unknown, |ids| Sight::Copies {
        ids,
        lifetime_seconds,
    })
}

/// Do the zone's servers hold anything but these keys, or not all of them? What could not be asked says nothing.
pub(crate) fn tlsa_differs(owners: &[String], keys: &[String], seen: &Observation) -> bool {
    let wanted: BTreeSet<String> = keys.iter().map(|key| record_of(key).spelled()).collect();
    owners
        .iter()
        .filter_map(|owner| seen.set(Rtype::Tlsa, owner))
        .flat_map(|view| view.answers())
        .any(|answered| {
            let there: BTreeSet<String> = answered
                .sight
                .data()
                .iter()
                .map(ToString::to_string)
                .collect();
            there != wanted
        })
}

/// What the last look showed of the website: what the documents of both services list, of the certificates that we hold.
pub(crate) fn posh_sight(kept: &Kept, seen: &Observation) -> Sight {
    let mut ids: BTreeSet<String> = kept.leaves.keys().cloned().collect();
    let mut lifetime: u64 = 0;
    if seen.posh.is_empty() {
        return Sight::Unknown;
    }
    for view in seen.posh.values() {
        if view.unknown {
            return Sight::Unknown;
        }
        if !view.code.is_empty() {
            return Sight::Nothing;
        }
        lifetime = lifetime.max(view.expires_seconds);
        ids.retain(|leaf| {
            kept.leaves.get(leaf).is_some_and(|der| {
                let spellings = dna::posh::Descriptor::spellings(der);
                view.listed.iter().any(|entry| spellings.contains(entry))
            })
        });
    }
    Sight::Copies {
        ids,
        lifetime_seconds: u32::try_from(lifetime).unwrap_or(u32::MAX),
    }
}

impl RolloverMemory {
    /// Must somebody be waited for before another identity is used?
    pub(crate) fn is_watched(&self) -> bool {
        self.dane.is_some() || self.posh.is_some()
    }

    /// Opens and closes channels as the owner chose, and takes note of the look. A channel that was switched off counts as
    /// long as anybody may remember it.
    pub(super) fn look(
        &mut self,
        facts: &DomainFacts,
        kept: &Kept,
        seen: &Observation,
        settings: &PlatformSettings,
        now: Timestamp,
    ) {
        let owners: Vec<String> = self
            .tlsa
            .as_ref()
            .map(|published| published.owners.clone())
            .unwrap_or_default();
        let (ttl, expires) = (settings.record_ttl_seconds, settings.posh_expires_seconds);
        for (channel, wanted, usual, caches) in [
            (Channel::Dane, facts.dane, ttl, &mut self.dane),
            (Channel::Posh, facts.posh, expires, &mut self.posh),
        ] {
            if wanted {
                caches.get_or_insert_default().ended = None;
            }
            let Some(held) = caches else { continue };
            let sight = match channel {
                _ if !wanted => Sight::Nothing,
                Channel::Dane => tlsa_sight(&owners, seen),
                Channel::Posh => posh_sight(kept, seen),
            };
            held.look(&sight, now);
            if !wanted {
                let ended = *held.ended.get_or_insert(now.0);
                let forgotten = plus(Timestamp(ended), 2 * i64::from(usual)) < now;
                if held.lifetimes.is_empty() && forgotten {
                    *caches = None;
                }
            }
        }
    }
}

impl Control {
    /// One step of a domain's identities after a look: notes what was seen, makes an identity of our own where the mode wants
    /// one, swaps what is due, publishes.
    pub(crate) async fn roll(
        &self,
        row: &DomainRow,
        facts: &DomainFacts,
        seen: &Observation,
        memory: &mut Memory,
    ) -> Result<()> {
        let now = self.now();
        let mut kept = held(self, row).await?;
        if facts.mode.is_own() && self.make_own(row, facts, &kept, &memory.rollover).await? {
            kept = held(self, row).await?;
        }
        memory
            .rollover
            .look(facts, &kept, seen, self.settings(), now);
        let compromised = Choices::of(row).given_up_keys;
        let mut plan = plan(&kept.situation(self, row, memory, &compromised));
        if let Swap::Now { forced } = plan.swap {
            let fingerprint = kept.next.as_ref().map_or("", |next| next.leaf.as_str());
            let words = if forced {
                "before every peer could know it: "
            } else {
                ""
            };
            let said = format!("in use {words}{fingerprint}");
            let worker = Actor::system("worker");
            self.recorded_of(&worker, row, Operation::CertificateOrder, &said)
                .domain(row.id, &row.name)
                .certificate_promote(now)
                .await?;
            tracing::info!(domain = %row.name, forced, "another certificate is in use");
            self.parts
                .live
                .announce(Change::Certificate(row.name.clone()));
            self.tell(row, EventKind::Certificate);
            kept = held(self, row).await?;
            plan = super::plan(&kept.situation(self, row, memory, &compromised));
        }
        // What has only just been published is looked at soon; what others are to publish, now and then.
        let pace = self.settings().pace;
        let glance = match (plan.swap, &kept.next) {
            (Swap::Wait { until: None, .. }, Some(next)) => Some(plus(
                now,
                if now.0 - next.since.0 < HOUR {
                    pace.pending_seconds
                } else {
                    pace.patient_seconds
                },
            )),
            _ => None,
        };
        let again_at = [plan.again_at, glance].into_iter().flatten().min();
        memory.rollover.again_at = again_at.map(|at| at.0);
        self.publish_tlsa(row, facts, &kept, &plan, seen, &mut memory.rollover)
            .await;
        Ok(())
    }

    /// Writes the TLSA sets of the domain's own target, or takes them away; repairs what others changed (DANE-04, VHOST-09).
    async fn publish_tlsa(
        &self,
        row: &DomainRow,
        facts: &DomainFacts,
        kept: &Kept,
        plan: &Plan,
        seen: &Observation,
        memory: &mut RolloverMemory,
    ) {
        let owners = tlsa_owners(&facts.target(self.settings()), self.settings().ports);
        let wanted = facts.dane && kept.current.is_some();
        let published = memory.tlsa.as_ref();
        let changes: Vec<ZoneChange> = if wanted {
            let same = published.is_some_and(|p| p.keys == plan.tlsa && p.owners == owners);
            // A look that was made before the last change says nothing about it.
            let differs = same && tlsa_differs(&owners, &plan.tlsa, seen);
            if same && !differs {
                memory.refused.clear();
                return;
            }
            let values: Vec<ZoneValue> = plan
                .tlsa
                .iter()
                .map(|key| ZoneValue::Tlsa(record_of(key)))
                .collect();
            let gone = published.into_iter().flat_map(|p| &p.owners);
            gone.filter(|owner| !owners.contains(owner))
                .map(|owner| ZoneChange::Erase {
                    name: owner.clone(),
                })
                .chain(owners.iter().map(|owner| ZoneChange::Set {
                    name: owner.clone(),
                    ttl_seconds: self.settings().record_ttl_seconds,
                    values: values.clone(),
                }))
                .collect()
        } else {
            let Some(published) = published else { return };
            let owners = published.owners.iter();
            owners
                .map(|owner| ZoneChange::Erase {
                    name: owner.clone(),
                })
                .collect()
        };
        match self.parts.zone.apply(&changes).await {
            Ok(()) => {
                tracing::info!(domain = %row.name, keys = plan.tlsa.len(), withdrawn = !wanted, "TLSA sets published");
                memory.refused.clear();
                memory.tlsa = wanted.then(|| TlsaPublished {
                    keys: plan.tlsa.clone(),
                    owners,
                    at: self.now().0,
                });
            }
            Err(error) => {
                let error = ControlError::from(error);
                tracing::warn!(domain = %row.name, error = %error.log_text(), "TLSA sets could not be published");
                memory.refused = "the platform's name server did not take the change".into();
            }
        }
    }

    /// Makes the identity that the modes without a certificate show: the first one at once, a renewal ahead of its use.
    async fn make_own(
        &self,
        row: &DomainRow,
        facts: &DomainFacts,
        kept: &Kept,
        memory: &RolloverMemory,
    ) -> Result<bool> {
        let choices = Choices::of(row);
        let now = self.now();
        let latest = kept.latest().filter(|(_, held)| held.source == OWN);
        let due = latest
            .is_none_or(|(held, _)| renew_at(held.not_before, held.not_after, spread(row)) <= now);
        if !due && !kept.needs_another_key(&choices) {
            return Ok(false);
        }
        let store = self.domain_store(row);
        let key = kept.key_to_keep(&choices, OWN, now, &store).await?;
        let made = own_identity(&facts.target(self.settings()), key.as_ref(), now)?;
        let Some(inspected) = read(&made.chain_pem, &row.name) else {
            return Err(ControlError::internal("what was made cannot be read"));
        };
        let inspected = crate::certificate::Inspected {
            key_pem: made.key_pem,
            ..inspected
        };
        self.install(
            self.store(),
            row,
            &inspected,
            OWN,
            kept.current.is_some() && memory.is_watched(),
        )
        .await?;
        Ok(true)
    }
}
