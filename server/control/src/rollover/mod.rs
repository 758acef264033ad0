//! When an identity may be replaced, and what must be published meanwhile: a pure function of what is held, published and seen.
//!
//! Peers remember what they were told: a TLSA set for its TTL, a POSH document for its `expires`. A key or certificate comes
//! into use only when every copy that anybody may still believe holds it, and what it replaces is taken out of the sets only
//! afterwards (RFC 7671 8, RFC 7711 7; DANE-12, DANE-13, POSH-12, POSH-40, ACME-11). A renewal that keeps its key changes no
//! TLSA set (ACME-12), but it changes every fingerprint.
//!
//! It refuses to read a clock, to look at anything itself, and to believe that what was published is what is seen.

mod make;
mod roll;
#[cfg(test)]
pub(crate) mod simulation;
#[cfg(test)]
mod tests;
mod view;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use xmpp::timestamp::Timestamp;

pub(crate) use self::make::{OWN, own_identity};
pub(crate) use self::roll::{Kept, held, record_of, tlsa_differs, tlsa_owners};
pub use self::view::{KeyChange, RolloverView, StepView, TlsaView};
use crate::time::{SECOND, plus};

/// A document may be on its way to a verifier for this long before it is believed, in seconds. HTTP keeps none (POSH-37).
pub const ON_THE_WAY_SECONDS: u32 = 5;
/// An expired certificate proves nothing to anybody but DANE: this long before its end the next one is used whatever caches
/// hold, in seconds.
const LAST_RESORT_SECONDS: i64 = 3600;
/// What has been replaced stays in the sets no longer than this, once its successor is seen in use, in seconds.
const LONGEST_SETTLING_SECONDS: u32 = 86_400;

/// A successor that was not seen at our own door yet is looked for again after this time at the soonest, in seconds.
const LOOK_AGAIN_SECONDS: i64 = 2;

/// An identity that we hold, by what others know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// SHA-256 of the leaf in DER, lower-case hex: what POSH publishes (POSH-09).
    pub leaf: String,
    /// SHA-256 of its public key (SPKI), lower-case hex: what a TLSA record 3 1 1 publishes (DANE-05).
    pub key: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// Since when it is what it is: made ahead, in use, or retired.
    pub since: Timestamp,
}

/// A way by which peers learn beforehand what we will show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// TLSA records.
    Dane,
    /// POSH documents.
    Posh,
}

impl Channel {
    /// What an identity is called there.
    pub fn id(self, held: &Held) -> &str {
        match self {
            Self::Dane => &held.key,
            Self::Posh => &held.leaf,
        }
    }

    /// How long after it was seen everywhere nobody believes a copy without it, if such a copy is believed for `lifetime`.
    fn wait_seconds(self, lifetime: u32) -> i64 {
        match self {
            // RFC 7671 8.1: two TTLs.
            Self::Dane => 2 * i64::from(lifetime),
            Self::Posh => i64::from(lifetime) + i64::from(ON_THE_WAY_SECONDS),
        }
    }
}

/// What one look showed of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sight {
    /// Copies can be fetched.
    Copies {
        /// What every one of them holds.
        ids: BTreeSet<String>,
        /// The longest that one of them may be believed, in seconds.
        lifetime_seconds: u32,
    },
    /// Nothing is published, at one place at least.
    Nothing,
    /// It could not be asked.
    Unknown,
}

/// What caches may hold of a channel, remembered from look to look. Forgetting it is safe: waiting then begins anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Caches {
    /// Since when every copy that can be fetched has held it, by identifier (µs).
    pub seen_since: BTreeMap<String, i64>,
    /// How long copies ask to be believed (seconds), each with the moment after which nobody believes one of them (µs).
    pub lifetimes: BTreeMap<u32, i64>,
    /// Since when the channel is switched off (µs): what was fetched before is believed for a while.
    pub ended: Option<i64>,
}

/// Most different lifetimes that are told apart.
const LIFETIMES: usize = 32;

impl Caches {
    /// Takes note of a look. A gap proves nothing: what was seen everywhere before it still counts from then on.
    pub fn look(&mut self, sight: &Sight, now: Timestamp) {
        self.lifetimes.retain(|_, until| *until > now.0);
        match sight {
            Sight::Copies {
                ids,
                lifetime_seconds,
            } => {
                let until = plus(now, 2 * i64::from(*lifetime_seconds)).0;
                self.lifetimes.insert(*lifetime_seconds, until);
                if self.lifetimes.len() > LIFETIMES
                    && let Some((_, until)) = self.lifetimes.pop_first()
                    && let Some(mut longer) = self.lifetimes.first_entry()
                {
                    // Told apart no more: it counts as the next longer one.
                    let longer = longer.get_mut();
                    *longer = until.max(*longer);
                }
                self.seen_since.retain(|id, _| ids.contains(id));
                for id in ids {
                    self.seen_since.entry(id.clone()).or_insert(now.0);
                }
            }
            Sight::Nothing => self.seen_since.clear(),
            Sight::Unknown => {}
        }
    }

    /// The longest that any copy may be believed that somebody may still hold, in seconds.
    pub fn longest_seconds(&self) -> u32 {
        self.lifetimes
            .last_key_value()
            .map_or(0, |(lifetime, _)| *lifetime)
    }
}

/// A channel in force.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    /// What is known of copies.
    pub caches: &'a Caches,
    /// What we publish ourselves may be believed for this long, seen or not, in seconds.
    pub floor_seconds: u32,
}

impl Watch<'_> {
    /// The longest that any copy may be believed, in seconds.
    pub fn lifetime_seconds(&self) -> u32 {
        self.caches.longest_seconds().max(self.floor_seconds)
    }

    /// From when on nobody believes a copy without this identifier; `None`: it has not been seen everywhere.
    fn ready_at(&self, channel: Channel, id: &str) -> Option<Timestamp> {
        let since = *self.caches.seen_since.get(id)?;
        Some(plus(
            Timestamp(since),
            channel.wait_seconds(self.lifetime_seconds()),
        ))
    }
}

/// Everything that a plan depends on.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The time.
    pub now: Timestamp,
    /// In use.
    pub current: Option<&'a Held>,
    /// Made ahead.
    pub next: Option<&'a Held>,
    /// Replaced.
    pub retired: &'a [Held],
    /// TLSA records, if any peer may know some.
    pub dane: Option<Watch<'a>>,
    /// POSH documents, likewise.
    pub posh: Option<Watch<'a>>,
    /// Keys that others may know: they go at once.
    pub compromised: &'a [String],
    /// Does anybody look at the certificate's end? Nobody does where DANE is all there is (DANE-31).
    pub expires: bool,
    /// The leaf that was last seen at our own door, if one was.
    pub served: Option<&'a str>,
}

/// What to do with the identity made ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swap {
    /// There is none.
    Idle,
    /// Use it.
    Now {
        /// Before caches allow it: some peers refuse us until their copies have run out.
        forced: bool,
    },
    /// Not yet.
    Wait {
        /// Until then; `None`: until it has been seen where it is published.
        until: Option<Timestamp>,
        /// What is waited for last.
        on: Channel,
    },
    /// It is not valid yet.
    Young,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Keys (SHA-256 of the SPKI) of the TLSA sets, each as 3 1 1; the one in use among them (DANE-12).
    pub tlsa: Vec<String>,
    /// Leaves of the POSH documents, the most relevant first (POSH-14).
    pub posh: Vec<String>,
    /// What to do with the identity made ahead.
    pub swap: Swap,
    /// When the last of the replaced identities may leave the sets; `None`: none is in them.
    pub settled_at: Option<Timestamp>,
    /// When the plan is to be looked at again at the latest, if that is known.
    pub again_at: Option<Timestamp>,
}

/// The plan.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let swap = swap(situation);
    let staying: Vec<&Held> = staying(situation);
    let settled_at = settled_at(situation, &staying);
    // POSH-14: what comes, then what is, then what was.
    let shown: Vec<&Held> = situation
        .next
        .into_iter()
        .chain(situation.current)
        .chain(staying)
        .filter(|held| {
            let used = situation
                .current
                .is_some_and(|current| current.key == held.key);
            used || !situation.compromised.contains(&held.key)
        })
        .collect();
    let ids = |channel: Channel| {
        let mut ids: Vec<String> = Vec::new();
        for held in &shown {
            if !ids.iter().any(|id| id == channel.id(held)) {
                ids.push(channel.id(held).to_owned());
            }
        }
        ids
    };
    let again_at = match swap {
        Swap::Wait { until, .. } => {
            let forced = situation
                .current
                .filter(|_| situation.expires)
                .map(last_resort);
            [until, forced].into_iter().flatten().min()
        }
        _ => settled_at,
    };
    Plan {
        tlsa: ids(Channel::Dane),
        posh: ids(Channel::Posh),
        swap,
        settled_at,
        again_at,
    }
}

fn swap(situation: &Situation<'_>) -> Swap {
    let Some(next) = situation.next else {
        return Swap::Idle;
    };
    if situation.now < next.not_before {
        return Swap::Young;
    }
    let Some(current) = situation.current else {
        return Swap::Now { forced: false };
    };
    if situation.compromised.contains(&current.key) {
        return Swap::Now { forced: true };
    }
    let mut last: Option<(Channel, Option<Timestamp>)> = None;
    for (channel, watch) in [
        (Channel::Dane, situation.dane),
        (Channel::Posh, situation.posh),
    ] {
        let Some(watch) = watch else { continue };
        if channel.id(current) == channel.id(next) {
            continue;
        }
        let ready = watch.ready_at(channel, channel.id(next));
        if ready.is_some_and(|at| at <= situation.now) {
            continue;
        }
        last = Some(match last {
            Some((on, Some(before))) if ready.is_some_and(|at| at <= before) => (on, Some(before)),
            Some((on, None)) => (on, None),
            _ => (channel, ready),
        });
    }
    match last {
        None => Swap::Now { forced: false },
        Some(_) if situation.expires && situation.now >= last_resort(current) => {
            Swap::Now { forced: true }
        }
        Some((on, until)) => Swap::Wait { until, on },
    }
}

/// From when on the next identity is used whatever caches hold.
pub(crate) fn last_resort(current: &Held) -> Timestamp {
    plus(current.not_after, -LAST_RESORT_SECONDS)
}

fn settling_seconds(situation: &Situation<'_>) -> u32 {
    [situation.dane, situation.posh]
        .into_iter()
        .flatten()
        .map(|watch| watch.lifetime_seconds())
        .max()
        .unwrap_or(0)
        .min(LONGEST_SETTLING_SECONDS)
}

/// What has been replaced and is still published: for one more lifetime, and until its successor is seen at our own door,
/// which is waited for no longer than a day.
fn staying<'a>(situation: &Situation<'a>) -> Vec<&'a Held> {
    if situation.dane.is_none() && situation.posh.is_none() {
        return Vec::new();
    }
    let unseen = matches!(
        (situation.served, situation.current),
        (Some(seen), Some(current)) if seen != current.leaf
    );
    let seconds = match unseen {
        true => LONGEST_SETTLING_SECONDS,
        false => settling_seconds(situation),
    };
    let dated = situation.retired.iter().filter(|held| held.since.0 > 0);
    dated
        .filter(|held| situation.now < plus(held.since, i64::from(seconds)))
        .collect()
}

fn settled_at(situation: &Situation<'_>, staying: &[&Held]) -> Option<Timestamp> {
    let seconds = i64::from(settling_seconds(situation));
    let since = staying.iter().map(|held| held.since).max()?;
    let at = plus(since, seconds);
    // Its time is over, but the successor has not been seen: looked for soon, then ever more rarely.
    let waited = (situation.now.0 - since.0) / SECOND;
    let again = plus(situation.now, (waited / 10).max(LOOK_AGAIN_SECONDS));
    Some(if at > situation.now { at } else { again })
}

/// How long a POSH document may be believed that is fetched now, in seconds: never beyond the moment at which the identity in
/// use would have to be replaced come what may (POSH-40).
pub fn document_expires(usual_seconds: u32, current: &Held, now: Timestamp) -> u32 {
    let left = (last_resort(current).0 - now.0) / SECOND / 2 - i64::from(ON_THE_WAY_SECONDS);
    let left = u32::try_from(left.max(0)).unwrap_or(u32::MAX);
    usual_seconds.min(left).max(1)
}
