//! Two years of a domain's life in a moment: 45-day certificates, TTLs of a day, and whatever can fail. At every instant what
//! is served must match whatever any cache may hold.

use std::collections::{BTreeSet, VecDeque};

use xmpp::timestamp::Timestamp;

use super::*;
use crate::certificate::renew_at;
use crate::time::{DAY, HOUR};

const STEP: i64 = HOUR / 2;
const TTL_SECONDS: u32 = 86_400;
const YEARS: i64 = 2 * 365 * DAY;

/// A small generator: the same faults in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// Trouble that comes now and then and lasts a while.
#[derive(Clone, Copy)]
struct Trouble {
    every: i64,
    longest: i64,
    next: i64,
    until: i64,
}

impl Trouble {
    fn new(every: i64, longest: i64) -> Self {
        Self {
            every,
            longest,
            next: every,
            until: 0,
        }
    }

    fn now(&mut self, t: i64, dice: &mut Dice) -> bool {
        if t >= self.next {
            let part = dice.below(1000) as i64;
            self.until = t + self.longest / 1000 * part;
            self.next = self.until + self.every / 1000 * (500 + dice.below(1000) as i64);
        }
        t < self.until
    }
}

/// What has been served under one name: each state with the time until which a copy of it may be believed.
#[derive(Default)]
struct Served(VecDeque<(BTreeSet<String>, i64)>);

impl Served {
    /// Served at `t`, believed for `lifetime` at most.
    fn show(&mut self, ids: &BTreeSet<String>, t: i64, lifetime: i64) {
        let until = t + lifetime;
        match self.0.back_mut() {
            Some((last, believed)) if last == ids => *believed = (*believed).max(until),
            _ => self.0.push_back((ids.clone(), until)),
        }
        self.0.retain(|(_, until)| *until >= t);
    }

    fn all_hold(&self, id: &str) -> bool {
        self.0.iter().all(|(ids, _)| ids.contains(id))
    }
}

/// How a domain is set up.
#[derive(Clone, Copy)]
struct Setup {
    dane: bool,
    posh: bool,
    /// The owner keeps the fingerprints on the own site, and copies them by hand.
    by_hand: bool,
    key_days: Option<i64>,
    ca_down: Trouble,
    refused: Trouble,
    /// The second name server does not get the changes.
    lagging: Trouble,
    /// Whoever copies by hand is away.
    away: Trouble,
    blind: Trouble,
}

const NEVER: Trouble = Trouble {
    every: i64::MAX / 4,
    longest: 0,
    next: i64::MAX / 4,
    until: 0,
};

const CALM: Setup = Setup {
    dane: true,
    posh: true,
    by_hand: false,
    key_days: Some(150),
    ca_down: NEVER,
    refused: NEVER,
    lagging: NEVER,
    away: NEVER,
    blind: NEVER,
};

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    swaps: usize,
    keys: usize,
    forced: usize,
    /// Steps at which some cache may have held something else.
    mismatches: usize,
    /// Steps at which what was served had expired.
    expired: usize,
}

fn ids<'a>(all: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
    all.into_iter().cloned().collect()
}

fn live(mut setup: Setup, seed: u64) -> Tally {
    let mut dice = Dice(seed);
    let mut tally = Tally::default();
    let mut made = 0;
    let mut key_made = 0;
    let mut make = |t: i64, key: Option<&str>| {
        made += 1;
        let key = key.map_or_else(|| format!("key {made}"), str::to_owned);
        Held {
            leaf: format!("leaf {made}"),
            key,
            not_before: Timestamp(t - HOUR),
            not_after: Timestamp(t + 45 * DAY),
            since: Timestamp(t),
        }
    };
    let start = 20_000 * DAY;
    let mut current = make(start, None);
    let mut next: Option<Held> = None;
    let mut retired: Vec<Held> = Vec::new();
    let (mut dane, mut posh) = (Caches::default(), Caches::default());
    let mut key_since = start;
    let all = |held: &Held| BTreeSet::from([held.key.clone()]);
    let (mut primary, mut secondary) = (all(&current), all(&current));
    let mut page = BTreeSet::from([current.leaf.clone()]);
    let (mut zone, mut site) = (Served::default(), Served::default());
    let mut t = start;
    while t < start + YEARS {
        let now = Timestamp(t);
        let (ca_down, refused, lagging, away, blind) = (
            setup.ca_down.now(t, &mut dice),
            setup.refused.now(t, &mut dice),
            setup.lagging.now(t, &mut dice),
            setup.away.now(t, &mut dice),
            setup.blind.now(t, &mut dice),
        );
        // The worker: look, order, plan, publish.
        if !blind {
            let both: BTreeSet<_> = primary.intersection(&secondary).cloned().collect();
            dane.look(
                &Sight::Copies {
                    ids: both,
                    lifetime_seconds: TTL_SECONDS,
                },
                now,
            );
            posh.look(
                &Sight::Copies {
                    ids: page.clone(),
                    lifetime_seconds: document_expires(TTL_SECONDS, &current, now),
                },
                now,
            );
        }
        let due = renew_at(current.not_before, current.not_after, 500) <= now;
        if due && next.is_none() && !ca_down {
            let change = setup
                .key_days
                .is_some_and(|days| t - key_since > days * DAY);
            if change {
                key_made += 1;
            }
            next = Some(make(t, (!change).then_some(current.key.as_str())));
        }
        let outcome = {
            let situation = Situation {
                now,
                current: Some(&current),
                next: next.as_ref(),
                retired: &retired,
                dane: setup.dane.then_some(Watch {
                    caches: &dane,
                    floor_seconds: TTL_SECONDS,
                }),
                posh: setup.posh.then_some(Watch {
                    caches: &posh,
                    floor_seconds: if setup.by_hand { 0 } else { TTL_SECONDS },
                }),
                compromised: &[],
                expires: true,
                served: Some(&current.leaf),
            };
            plan(&situation)
        };
        if let Swap::Now { forced } = outcome.swap
            && let Some(mut coming) = next.take()
        {
            tally.swaps += 1;
            tally.forced += usize::from(forced);
            if coming.key != current.key {
                tally.keys += 1;
                key_since = t;
            }
            coming.since = now;
            let mut old = std::mem::replace(&mut current, coming);
            old.since = now;
            retired.push(old);
            retired.retain(|held| held.since.0 > t - 10 * DAY);
        }
        let situation = Situation {
            now,
            current: Some(&current),
            next: next.as_ref(),
            retired: &retired,
            dane: setup.dane.then_some(Watch {
                caches: &dane,
                floor_seconds: TTL_SECONDS,
            }),
            posh: setup.posh.then_some(Watch {
                caches: &posh,
                floor_seconds: TTL_SECONDS,
            }),
            compromised: &[],
            expires: true,
            served: Some(&current.leaf),
        };
        let wanted = plan(&situation);
        // DANE-12: a set without what is in use is never even wanted.
        assert!(wanted.tlsa.contains(&current.key) && wanted.posh.contains(&current.leaf));
        if !refused {
            primary = ids(&wanted.tlsa);
        }
        if !lagging {
            secondary = primary.clone();
        }
        if !(setup.by_hand && away) {
            page = ids(&wanted.posh);
        }
        // The world: whoever asks now gets these, and believes them for a while.
        zone.show(&primary, t, 2 * i64::from(TTL_SECONDS) * SECOND);
        zone.show(&secondary, t, 2 * i64::from(TTL_SECONDS) * SECOND);
        let expires = i64::from(document_expires(TTL_SECONDS, &current, now));
        site.show(&page, t, (expires + i64::from(ON_THE_WAY_SECONDS)) * SECOND);
        let matches = (!setup.dane || zone.all_hold(&current.key))
            && (!setup.posh || site.all_hold(&current.leaf));
        tally.mismatches += usize::from(!matches);
        tally.expired += usize::from(t >= current.not_after.0);
        t += STEP;
    }
    assert!(tally.keys <= key_made);
    tally
}

#[test]
fn dane_13_posh_40_two_calm_years() {
    let tally = live(CALM, 1);
    assert_eq!((tally.mismatches, tally.forced, tally.expired), (0, 0, 0));
    // 30-day steps, each a little late for its waiting.
    assert!(tally.swaps >= 20, "{tally:?}");
    assert!(tally.keys >= 4, "{tally:?}");
}

#[test]
fn acme_12_a_kept_key_changes_no_tlsa_set() {
    let tally = live(
        Setup {
            posh: false,
            key_days: None,
            ..CALM
        },
        1,
    );
    assert_eq!((tally.mismatches, tally.keys), (0, 0));
}

/// DANE-12, DANE-13, POSH-12, POSH-40, VHOST-09, ACME-11: whatever fails, and whenever.
#[test]
fn dane_12_posh_12_two_years_with_faults() {
    for seed in 0..6 {
        let stormy = Setup {
            ca_down: Trouble::new(40 * DAY, 5 * DAY),
            refused: Trouble::new(20 * DAY, 2 * DAY),
            lagging: Trouble::new(15 * DAY, DAY),
            blind: Trouble::new(5 * DAY, DAY / 2),
            ..CALM
        };
        let tally = live(stormy, seed);
        assert_eq!(
            (tally.mismatches, tally.forced, tally.expired),
            (0, 0, 0),
            "seed {seed}: {tally:?}"
        );
        assert!(tally.keys >= 3, "seed {seed}: {tally:?}");
    }
}

/// An owner who copies the fingerprints by hand, and is away for up to five days at a time.
#[test]
fn posh_47_a_site_that_is_stale_for_days_is_waited_for() {
    for seed in 0..6 {
        let by_hand = Setup {
            by_hand: true,
            away: Trouble::new(12 * DAY, 5 * DAY),
            ca_down: Trouble::new(60 * DAY, 3 * DAY),
            blind: NEVER,
            ..CALM
        };
        let tally = live(by_hand, seed);
        assert_eq!(
            (tally.mismatches, tally.forced, tally.expired),
            (0, 0, 0),
            "seed {seed}: {tally:?}"
        );
    }
}

/// The honest limit: a site that is never brought up to date again holds the change up to the last hour, no longer.
#[test]
fn posh_47_a_site_that_stays_stale_does_not_let_the_certificate_expire() {
    let gone = Setup {
        by_hand: true,
        away: Trouble {
            until: i64::MAX,
            ..NEVER
        },
        ..CALM
    };
    let tally = live(gone, 3);
    assert_eq!(tally.expired, 0, "{tally:?}");
    assert_eq!(tally.forced, tally.swaps, "{tally:?}");
    assert!(tally.mismatches > 0, "peers with POSH were told otherwise");
    // DANE is not hurt by it: it has had all the time in the world.
    let dane_only = live(
        Setup {
            posh: false,
            ..gone
        },
        3,
    );
    assert_eq!((dane_only.mismatches, dane_only.forced), (0, 0));
}

#[test]
fn the_simulation_sees_what_it_should() {
    // A swap without waiting must be noticed, or the tests above prove nothing.
    let mut zone = Served::default();
    let set = |ids: &[&str]| {
        ids.iter()
            .map(|id| (*id).to_owned())
            .collect::<BTreeSet<_>>()
    };
    zone.show(&set(&["old"]), 0, 100);
    zone.show(&set(&["old", "new"]), 50, 100);
    assert!(!zone.all_hold("new"));
    zone.show(&set(&["old", "new"]), 101, 100);
    assert!(zone.all_hold("new"));
}
