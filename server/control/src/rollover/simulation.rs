//! Two years of a domain's life in a moment: certificates of every lifetime, TTLs of a day, and whatever can fail, one after the
//! other and all at once. At every instant what is served must match whatever any cache may hold.
//!
//! Real are the plan, the worker's memory ([`RolloverMemory`]), which takes note of looks as the worker has them (an
//! [`Observation`] of every server's answer and of both documents), and the `expires` of documents. Orders, the swap itself and
//! what is published are this file's own, so that two years take seconds; `tests::flow::years` lets the worker do
//! the same with the real ones.

use std::collections::{BTreeSet, VecDeque};

use xmpp::timestamp::Timestamp;

use super::*;
use crate::certificate::renew_at;
use crate::domain::{RolloverMemory, TlsaPublished};
use crate::observe::{
    Answered, Data, Observation, PoshView, Rtype, SetView, Sight as Answer, question,
};
use crate::records::{DomainFacts, Mode};
use crate::settings::PlatformSettings;
use crate::time::{DAY, HOUR};

const TTL_SECONDS: u32 = 86_400;
const YEARS: i64 = 2 * 365 * DAY;

/// A small generator: the same faults in every run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

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
pub(crate) struct Trouble {
    every: i64,
    longest: i64,
    next: i64,
    until: i64,
}

impl Trouble {
    pub(crate) fn new(every: i64, longest: i64) -> Self {
        Self {
            every,
            longest,
            next: every,
            until: 0,
        }
    }

    pub(crate) fn now(&mut self, t: i64, dice: &mut Dice) -> bool {
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
pub(crate) struct Served(VecDeque<(BTreeSet<String>, i64)>);

impl Served {
    /// Served at `t`, believed for `lifetime` at most.
    pub(crate) fn show(&mut self, ids: &BTreeSet<String>, t: i64, lifetime: i64) {
        let until = t + lifetime;
        match self.0.back_mut() {
            Some((last, believed)) if last == ids => *believed = (*believed).max(until),
            _ => self.0.push_back((ids.clone(), until)),
        }
        self.0.retain(|(_, until)| *until > t);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn all_hold(&self, id: &str) -> bool {
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
    /// Of a certificate.
    lifetime: i64,
    /// Of records and documents.
    ttl_seconds: u32,
    /// From look to look.
    step: i64,
    ca_down: Trouble,
    refused: Trouble,
    /// The second name server does not get the changes.
    lagging: Trouble,
    /// Nor does it answer us, while the world asks it.
    silent: Trouble,
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
    lifetime: 45 * DAY,
    ttl_seconds: TTL_SECONDS,
    step: HOUR,
    ca_down: NEVER,
    refused: NEVER,
    lagging: NEVER,
    silent: NEVER,
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

/// The identities, and what the worker remembers of others' copies of them.
struct Domain {
    facts: DomainFacts,
    settings: PlatformSettings,
    owners: Vec<String>,
    kept: Kept,
    /// Every leaf there was, as a document lists it.
    listed: BTreeMap<String, String>,
    memory: RolloverMemory,
    /// The leaf that was last seen at our own door.
    served: String,
    made: u64,
    lifetime: i64,
}

impl Domain {
    fn new(setup: &Setup) -> Self {
        let mut settings = crate::tests::world::settings();
        settings.record_ttl_seconds = setup.ttl_seconds;
        settings.posh_expires_seconds = setup.ttl_seconds;
        if setup.by_hand {
            settings.web.clear();
        }
        let facts = DomainFacts {
            mode: Mode::DelegatedChallenge,
            dane: setup.dane,
            posh: setup.posh,
            ..crate::findings::tests::facts()
        };
        // One port's set is as good as all of them.
        let mut owners = tlsa_owners(&facts.target(&settings), settings.ports);
        owners.truncate(1);
        let memory = RolloverMemory {
            tlsa: Some(TlsaPublished {
                keys: Vec::new(),
                owners: owners.clone(),
                at: 0,
            }),
            ..RolloverMemory::default()
        };
        Self {
            facts,
            settings,
            owners,
            kept: Kept::default(),
            listed: BTreeMap::new(),
            memory,
            served: String::new(),
            made: 0,
            lifetime: setup.lifetime,
        }
    }

    /// Another identity, with this key or one of its own.
    fn make(&mut self, t: i64, key: Option<String>) -> Held {
        self.made += 1;
        let name = |kind: u64| format!("{:064x}", self.made * 2 + kind);
        let (leaf, key) = (name(0), key.unwrap_or_else(|| name(1)));
        let der = leaf.clone().into_bytes();
        let listed = dna::posh::Descriptor::spellings(&der).remove(0);
        self.listed.insert(leaf.clone(), listed);
        self.kept.leaves.insert(leaf.clone(), der);
        Held {
            leaf,
            key,
            not_before: Timestamp(t - HOUR),
            not_after: Timestamp(t + self.lifetime),
            since: Timestamp(t),
        }
    }

    fn current(&self) -> &Held {
        self.kept.current.as_ref().expect("there is one")
    }

    fn plan(&self, now: Timestamp) -> Plan {
        plan(&self.kept.situation_of(
            now,
            &self.memory,
            &self.settings,
            Some(self.served.as_str()).filter(|leaf| !leaf.is_empty()),
            (&[], true),
        ))
    }

    /// What a look shows: each server's set, `None` where it does not answer, and the documents with how long they may be
    /// believed, likewise.
    fn look(
        &mut self,
        servers: [Option<&BTreeSet<String>>; 2],
        page: Option<(&BTreeSet<String>, u32)>,
        now: Timestamp,
    ) {
        let mut seen = Observation::default();
        let answered = |(n, keys): (usize, Option<&BTreeSet<String>>)| Answered {
            asked: format!("ns{n}"),
            sight: keys.map_or(Answer::Failed("no answer in time".into()), |keys| {
                let spelled = keys.iter().map(|key| record_of(key).spelled());
                Answer::Records {
                    data: spelled.map(Data::Other).collect(),
                    ttl_seconds: self.settings.record_ttl_seconds,
                    aliased: false,
                    beyond: None,
                }
            }),
            secure: false,
        };
        let view = SetView {
            servers: servers.into_iter().enumerate().map(answered).collect(),
            ..SetView::default()
        };
        for owner in &self.owners {
            seen.sets.insert(question(Rtype::Tlsa, owner), view.clone());
        }
        let listed = |leaf: &String| self.listed[leaf].clone();
        for service in ["xmpp-client", "xmpp-server"]
            .into_iter()
            .filter(|_| self.facts.posh)
        {
            let view = match page {
                Some((leaves, expires)) => PoshView {
                    listed: leaves.iter().map(listed).collect(),
                    expires_seconds: expires.into(),
                    ..PoshView::default()
                },
                None => PoshView {
                    code: "posh-fetch-failed".into(),
                    unknown: true,
                    ..PoshView::default()
                },
            };
            seen.posh.insert(service.into(), view);
        }
        self.memory
            .look(&self.facts, &self.kept, &seen, &self.settings, now);
    }

    /// Orders what is due, as a certificate authority gives it, with the present key unless that is too old.
    fn order(&mut self, t: i64, key_since: i64, key_days: Option<i64>) -> bool {
        let current = self.current().clone();
        let due = renew_at(current.not_before, current.not_after, 500).0 <= t;
        if !due || self.kept.next.is_some() {
            return false;
        }
        let change = key_days.is_some_and(|days| t - key_since > days * DAY);
        let next = self.make(t, (!change).then_some(current.key));
        self.kept.next = Some(next);
        change
    }

    /// Uses what was made ahead; was the key another one?
    fn swap(&mut self, now: Timestamp) -> bool {
        let Some(mut coming) = self.kept.next.take() else {
            return false;
        };
        let changed = coming.key != self.current().key;
        coming.since = now;
        if let Some(mut old) = self.kept.current.replace(coming) {
            old.since = now;
            self.kept.retired.push(old);
        }
        let kept = &mut self.kept;
        kept.retired.retain(|held| held.since.0 > now.0 - 10 * DAY);
        let held = kept.retired.iter().chain(&kept.current);
        let held: BTreeSet<String> = held.map(|held| held.leaf.clone()).collect();
        kept.leaves.retain(|leaf, _| held.contains(leaf));
        changed
    }
}

fn live(mut setup: Setup, seed: u64) -> Tally {
    let ttl_seconds = setup.ttl_seconds;
    let mut dice = Dice(seed);
    let mut tally = Tally::default();
    let mut key_made = 0;
    let start = 20_000 * DAY;
    let mut domain = Domain::new(&setup);
    let first = domain.make(start, None);
    let mut key_since = start;
    let (mut primary, mut secondary) = (ids([&first.key]), ids([&first.key]));
    // As copied last, with what the document said of itself then.
    let (mut page, mut page_expires) = (ids([&first.leaf]), ttl_seconds);
    domain.kept.current = Some(first);
    let (mut zone, mut site) = (Served::default(), Served::default());
    let mut t = start;
    while t < start + YEARS {
        let now = Timestamp(t);
        let (ca_down, refused, lagging, silent, away, blind) = (
            setup.ca_down.now(t, &mut dice),
            setup.refused.now(t, &mut dice),
            setup.lagging.now(t, &mut dice),
            setup.silent.now(t, &mut dice),
            setup.away.now(t, &mut dice),
            setup.blind.now(t, &mut dice),
        );
        // Our own door writes the number anew for whoever asks; a copy keeps it.
        let expires = |domain: &Domain, copied: u32| match setup.by_hand {
            true => copied,
            false => document_expires(ttl_seconds, domain.current(), now),
        };
        // Whoever asked just now got what has been there since the last step.
        let fresh = expires(&domain, page_expires);
        let zone_life = 2 * i64::from(ttl_seconds) * SECOND;
        let site_life =
            |expires: u32| (i64::from(expires) + i64::from(ON_THE_WAY_SECONDS)) * SECOND;
        zone.show(&primary, t, zone_life);
        zone.show(&secondary, t, zone_life);
        site.show(&page, t, site_life(fresh));
        // The worker: look, order, plan, publish.
        domain.look(
            [
                (!blind).then_some(&primary),
                (!blind && !silent).then_some(&secondary),
            ],
            (!blind).then_some((&page, fresh)),
            now,
        );
        if !ca_down {
            key_made += usize::from(domain.order(t, key_since, setup.key_days));
        }
        if let Swap::Now { forced } = domain.plan(now).swap {
            tally.swaps += 1;
            tally.forced += usize::from(forced);
            if domain.swap(now) {
                tally.keys += 1;
                key_since = t;
            }
        }
        let wanted = domain.plan(now);
        if !blind {
            domain.served = domain.current().leaf.clone();
        }
        let current = domain.current();
        // DANE-12: a set without what is in use is never even wanted.
        assert!(wanted.tlsa.contains(&current.key) && wanted.posh.contains(&current.leaf));
        if !refused {
            primary = ids(&wanted.tlsa);
        }
        if !lagging && !silent {
            secondary = primary.clone();
        }
        let document = ids(&wanted.posh);
        if !(setup.by_hand && away) && document != page {
            page = document;
            page_expires = document_expires(ttl_seconds, current, now);
        }
        // The world: whoever asks now gets these, and believes them for a while.
        zone.show(&primary, t, zone_life);
        zone.show(&secondary, t, zone_life);
        site.show(&page, t, site_life(expires(&domain, page_expires)));
        let matches = (!setup.dane || zone.all_hold(&current.key))
            && (!setup.posh || site.all_hold(&current.leaf));
        tally.mismatches += usize::from(!matches);
        tally.expired += usize::from(t >= current.not_after.0);
        t += setup.step;
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
    for seed in 0..3 {
        let stormy = Setup {
            ca_down: Trouble::new(40 * DAY, 5 * DAY),
            refused: Trouble::new(20 * DAY, 2 * DAY),
            lagging: Trouble::new(15 * DAY, DAY),
            silent: Trouble::new(11 * DAY, 3 * DAY),
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

/// DANE-13: a name server that is cut off from us for days, and tells the world the old set all that time.
#[test]
fn dane_13_a_silent_name_server_is_waited_for() {
    for seed in 0..3 {
        let cut_off = Setup {
            posh: false,
            key_days: Some(20),
            silent: Trouble::new(8 * DAY, 6 * DAY),
            ..CALM
        };
        let tally = live(cut_off, seed);
        assert_eq!(
            (tally.mismatches, tally.forced, tally.expired),
            (0, 0, 0),
            "seed {seed}: {tally:?}"
        );
        assert!(tally.keys >= 15, "seed {seed}: {tally:?}");
    }
}

/// An owner who copies the fingerprints by hand, and is away for up to five days at a time.
#[test]
fn posh_47_a_site_that_is_stale_for_days_is_waited_for() {
    for seed in 0..3 {
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

/// Everything at once, whether the website leads to us or its owner copies by hand, beside DANE, whose keys change too; at each
/// lifetime that authorities give. What goes wrong lasts for a share of the lifetime, and records are believed for no longer
/// than such a certificate allows.
#[test]
fn dane_12_posh_47_acme_11_two_years_with_every_fault_at_once_at_every_lifetime() {
    for (lifetime, ttl_seconds, key_days, step) in [
        (90 * DAY, TTL_SECONDS, 200, 4 * HOUR),
        (64 * DAY, TTL_SECONDS, 150, 4 * HOUR),
        (45 * DAY, TTL_SECONDS, 100, 4 * HOUR),
        (160 * HOUR, 3600, 14, 2 * HOUR),
    ] {
        let trouble = |every: i64, longest: i64| {
            Trouble::new(lifetime / 450 * every, lifetime / 450 * longest)
        };
        for (seed, by_hand) in [(0, false), (1, true)] {
            let everything = Setup {
                by_hand,
                lifetime,
                ttl_seconds,
                key_days: Some(key_days),
                step,
                ca_down: trouble(400, 40),
                refused: trouble(200, 15),
                lagging: trouble(150, 10),
                silent: trouble(110, 20),
                away: trouble(120, 30),
                blind: trouble(50, 5),
                ..CALM
            };
            let tally = live(everything, seed);
            let said = format!(
                "{} h, by hand {by_hand}, seed {seed}: {tally:?}",
                lifetime / HOUR
            );
            assert_eq!(
                (tally.mismatches, tally.forced, tally.expired),
                (0, 0, 0),
                "{said}"
            );
            assert!(tally.swaps as i64 > YEARS / lifetime, "{said}");
            assert!(tally.keys as i64 >= YEARS / DAY / key_days / 2, "{said}");
        }
    }
}

/// A key that is kept: certificates of six days and two thirds renew under documents and records that are believed for a day.
#[test]
fn acme_12_short_certificates_renew_under_records_that_are_believed_for_a_day() {
    for seed in 0..2 {
        let lifetime = 160 * HOUR;
        let short = Setup {
            key_days: None,
            lifetime,
            step: 2 * HOUR,
            ca_down: Trouble::new(4 * DAY, 8 * HOUR),
            refused: Trouble::new(3 * DAY, 5 * HOUR),
            silent: Trouble::new(2 * DAY, 6 * HOUR),
            blind: Trouble::new(DAY, 2 * HOUR),
            ..CALM
        };
        let tally = live(short, seed);
        assert_eq!(
            (tally.mismatches, tally.forced, tally.expired, tally.keys),
            (0, 0, 0, 0),
            "{tally:?}"
        );
        assert!(tally.swaps as i64 > YEARS / lifetime, "{tally:?}");
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
