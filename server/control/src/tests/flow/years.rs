//! Two years of two domains under the worker itself, with every fault at once: at every instant what a door shows must match
//! whatever any cache may hold, and be valid.
//!
//! Real: [`crate::Control::turn`] with all it leads to. That is claims and leases, looks at every server and both documents, the
//! proof of ownership, the queue with its limits, pauses and rests, the pre-flight, orders whose challenges go to the platform's
//! zone and leave it again, what is installed ahead, the rollover's plan and memory, promotion, TLSA sets as changes of the zone,
//! documents as the public door writes them, findings, nightly mail, the store on SQLite, and X.509 certificates with their keys.
//!
//! Simulated: the clock; the name servers of both zones, the second of which may be behind or silent; the authority, which
//! issues what it finds proven behind the owner's CNAME; the websites, one of which leads to us while the other holds what its
//! owner copied; the door, which shows a certificate from a moment after it came into use; and everybody's caches, which forget
//! nothing before they have to. Between two turns nothing changes, so the clock goes from one thing that is due to the next.
//! A domain that is well is looked at 24 times in a certificate's life, not every half an hour, or two years would take minutes.
//!
//! The planner alone goes through the same, by the hour and with more seeds, in [`crate::rollover::simulation`].

use std::collections::{BTreeMap, BTreeSet};

use dna::Reply;
use xmpp::jid::DomainName;

use super::*;
use crate::records::Whose;
use crate::rollover::simulation::{Dice, Served, Trouble};
use crate::rollover::{Held, ON_THE_WAY_SECONDS, held, tlsa_owners};

/// Its website leads to us.
const LED: &str = "led.example";
/// Its owner copies the documents by hand.
const COPIED: &str = "copied.example";
/// For so long.
const YEARS: i64 = 2 * 365 * DAY;

/// The world's first moment.
const BEGIN: i64 = 20_000 * DAY;

/// What an operator and their authority have decided.
#[derive(Clone, Copy)]
struct Deal {
    lifetime: i64,
    /// Of our records and documents.
    ttl_seconds: u32,
    key_days: u32,
    /// How long it is watched.
    watched: i64,
    seed: u64,
}

/// Everything that goes wrong, in shares of a certificate's lifetime: none lasts so long that nobody could be right.
struct Troubles {
    authority_down: Trouble,
    updates_refused: Trouble,
    second_behind: Trouble,
    second_silent: Trouble,
    owner_away: Trouble,
    blind: Trouble,
}

impl Troubles {
    fn of(lifetime: i64) -> Self {
        let trouble = |every: i64, longest: i64| {
            Trouble::new(lifetime / 450 * every, lifetime / 450 * longest)
        };
        Self {
            authority_down: trouble(400, 40),
            updates_refused: trouble(200, 15),
            second_behind: trouble(150, 10),
            second_silent: trouble(110, 20),
            owner_away: trouble(120, 30),
            blind: trouble(50, 5),
        }
    }
}

/// A domain as the world sees it.
struct Seen {
    name: DomainName,
    by_hand: bool,
    owners: Vec<String>,
    /// Address of each document on the owner's site, and at our door.
    pages: Vec<(String, String)>,
    zone: BTreeMap<(String, &'static str), Served>,
    site: Served,
    /// What the owner copied last.
    copied: String,
    shown: Held,
    swaps: usize,
    keys: usize,
}

/// What a document lists (SHA-256 in hex), and for how many seconds it may be believed.
fn listed(document: &str) -> (BTreeSet<String>, i64) {
    let document: serde_json::Value = serde_json::from_str(document).unwrap();
    let digest = |entry: &serde_json::Value| {
        let text = entry["sha-256"].as_str().unwrap();
        let bytes = data_encoding::BASE64.decode(text.as_bytes()).unwrap();
        data_encoding::HEXLOWER.encode(&bytes)
    };
    let all = document["fingerprints"].as_array().unwrap();
    (
        all.iter().map(digest).collect(),
        document["expires"].as_i64().unwrap(),
    )
}

async fn current(house: &House, name: &DomainName) -> Held {
    let row = house.control.store().domain_hosted(name).await.unwrap();
    let kept = held(&house.control, &row.unwrap()).await.unwrap();
    kept.current.expect("an identity in use")
}

impl Seen {
    async fn live(house: &House, name: &str, by_hand: bool, deal: Deal) -> Self {
        let actor = house.live(name, &format!("me@{name}.net")).await;
        let choices = DomainSet {
            dane: Some(true),
            posh: Some(true),
            key_days: Some(deal.key_days),
            ..DomainSet::default()
        };
        house
            .control
            .domain_set(&system(), name, choices)
            .await
            .unwrap();
        let page = house.control.domain_records(&actor, name).await.unwrap();
        let posh = page.web.into_iter();
        let pages = posh
            .filter(|view| view.service.starts_with("xmpp-"))
            .map(|view| (view.address, view.redirect));
        let show = house.control.domain_show(&actor, name).await.unwrap();
        let parsed = DomainName::parse(name).unwrap();
        let mut seen = Self {
            by_hand,
            owners: tlsa_owners(&show.target, house.control.settings().ports),
            pages: pages.collect(),
            zone: BTreeMap::new(),
            site: Served::default(),
            copied: String::new(),
            shown: current(house, &parsed).await,
            name: parsed,
            swaps: 0,
            keys: 0,
        };
        assert_eq!((seen.owners.len(), seen.pages.len()), (4, 2));
        seen.publish(house, true).await;
        seen
    }

    /// The websites as of now; the owner of one brings it up to date.
    async fn publish(&mut self, house: &House, owner_here: bool) {
        let document = house.control.posh_document(Whose::Domain(&self.name)).await;
        let document = document.unwrap().expect("a document");
        let stale = self.copied.is_empty() || listed(&self.copied).0 != listed(&document).0;
        if owner_here && stale {
            self.copied.clone_from(&document);
        }
        let reply = |status, location: Option<&String>, body: &str| Reply {
            status,
            location: location.cloned(),
            allow_origin: None,
            body: body.as_bytes().to_vec(),
        };
        let mut pages = house.world.pages.lock().unwrap();
        for (address, ours) in &self.pages {
            let owners = match self.by_hand {
                true => reply(200, None, &self.copied),
                false => reply(302, Some(ours), ""),
            };
            pages.insert(address.clone(), owners);
            pages.insert(ours.clone(), reply(200, None, &document));
        }
    }

    /// Whoever asks now, at whichever server, believes the answer for as long as it says.
    fn ask(&mut self, house: &House, now: i64, ttl_seconds: u32) {
        let records = house.world.records.lock().unwrap();
        let behind = house.world.behind.lock().unwrap();
        let second = behind.as_ref().unwrap_or(&records);
        for (server, records) in [("first", &*records), ("second", second)] {
            for owner in &self.owners {
                let set = records.get(&(owner.clone(), "TLSA")).into_iter().flatten();
                let keys: BTreeSet<String> = set
                    .filter_map(|data| match data {
                        RecordData::Tlsa { data, .. } => Some(data_encoding::HEXLOWER.encode(data)),
                        _ => None,
                    })
                    .collect();
                // Before the first set nobody demands anything.
                let seen = self.zone.entry((owner.clone(), server)).or_default();
                if !keys.is_empty() || !seen.is_empty() {
                    seen.show(&keys, now, 2 * i64::from(ttl_seconds) * SECOND);
                }
            }
        }
        let pages = house.world.pages.lock().unwrap();
        let (address, ours) = &self.pages[0];
        let place = if self.by_hand { address } else { ours };
        let (leaves, expires) = listed(&String::from_utf8_lossy(&pages[place].body));
        let believed = (expires + i64::from(ON_THE_WAY_SECONDS)) * SECOND;
        self.site.show(&leaves, now, believed);
    }

    /// Whatever anybody may hold fits what they would meet at the door.
    fn demand(&self, now: i64, deal: Deal) {
        let Held { key, leaf, .. } = &self.shown;
        let at = format!(
            "{} after {:.2} days, lifetime {} h, seed {}",
            self.name,
            (now - BEGIN) as f64 / DAY as f64,
            deal.lifetime / HOUR,
            deal.seed
        );
        assert!(now < self.shown.not_after.0, "expired: {at}");
        for ((owner, server), seen) in &self.zone {
            assert!(seen.all_hold(key), "TLSA {owner}, {server} server: {at}");
        }
        assert!(self.site.all_hold(leaf), "POSH: {at}");
    }

    /// The door shows what is in use now.
    async fn meet(&mut self, house: &House) {
        let now = current(house, &self.name).await;
        if now.leaf != self.shown.leaf {
            self.swaps += 1;
            self.keys += usize::from(now.key != self.shown.key);
            self.shown = now;
        }
        let mut door = house.world.door.lock().unwrap();
        door.insert(self.name.to_string(), self.shown.leaf.clone());
    }
}

/// The earliest that anything is due.
async fn due(house: &House, domains: &[Seen]) -> i64 {
    let mut soonest = i64::MAX;
    for domain in domains {
        let row = house.control.store().domain_hosted(&domain.name).await;
        let next = row.unwrap().unwrap().next_check_at;
        soonest = soonest.min(next.map_or(i64::MAX, |at| at.0));
    }
    soonest
}

async fn live(deal: Deal) {
    let house = House::decided(|settings| {
        settings.record_ttl_seconds = deal.ttl_seconds;
        settings.posh_expires_seconds = deal.ttl_seconds;
        let usual = u32::try_from(deal.lifetime / SECOND / 24).unwrap();
        settings.pace.live_seconds = usual;
        settings.pace.patient_seconds = usual / 4;
        settings.pace.pending_seconds = usual / 8;
    })
    .await;
    *house.world.lifetime.lock().unwrap() = Some(deal.lifetime);
    *house.world.ttl_seconds.lock().unwrap() = Some(deal.ttl_seconds);
    house.world.fault(|faults| faults.dns_signed = true);
    let mut domains = Vec::new();
    for (name, by_hand) in [(LED, false), (COPIED, true)] {
        domains.push(Seen::live(&house, name, by_hand, deal).await);
    }
    let (mut dice, mut troubles) = (Dice::new(deal.seed), Troubles::of(deal.lifetime));
    let start = house.control.now().0;
    let (mut now, mut turns, mut met) = (start, 0, [0_usize; 6]);
    while now < start + deal.watched {
        let next = due(&house, &domains).await.max(now + SECOND);
        house.world.advance(next - now);
        now = next;
        let trouble = [
            &mut troubles.authority_down,
            &mut troubles.updates_refused,
            &mut troubles.second_behind,
            &mut troubles.second_silent,
            &mut troubles.owner_away,
            &mut troubles.blind,
        ]
        .map(|trouble| trouble.now(now, &mut dice));
        for (times, there) in met.iter_mut().zip(trouble) {
            *times += usize::from(there);
        }
        let [down, refused, behind, silent, away, blind] = trouble;
        for domain in &mut domains {
            if !domain.by_hand {
                domain.publish(&house, false).await;
            }
            domain.ask(&house, now, deal.ttl_seconds);
            domain.demand(now, deal);
        }
        let was = house.world.records.lock().unwrap().clone();
        {
            let mut second = house.world.behind.lock().unwrap();
            match behind {
                true => _ = second.get_or_insert(was),
                false => *second = None,
            }
        }
        house.world.fault(|faults| {
            faults.issuer = down.then(|| IssueError::Unavailable("no answer".into()));
            faults.zone_unreachable = refused;
            faults.second_server_silent = silent;
            (faults.dns_silent, faults.web_silent) = (blind, blind);
        });
        house.turn().await;
        turns += 1;
        for domain in &mut domains {
            domain.publish(&house, !away).await;
            domain.ask(&house, now, deal.ttl_seconds);
            domain.meet(&house).await;
            domain.demand(now, deal);
        }
    }
    // Nothing of it came about by chance: every fault was there, and certificates and keys changed as often as they should.
    assert!(met.iter().all(|times| *times > 3), "{met:?} of {turns}");
    let least = usize::try_from(deal.watched / deal.lifetime).unwrap();
    let key_changes = usize::try_from(deal.watched / DAY).unwrap() / (deal.key_days as usize * 2);
    for domain in &domains {
        let said = format!("{}: {} and {}", domain.name, domain.swaps, domain.keys);
        assert!(domain.swaps > least, "{said}");
        assert!(domain.keys >= key_changes, "{said}");
    }
    println!(
        "{turns} turns, {} orders",
        house.world.orders.lock().unwrap().len()
    );
}

#[tokio::test]
async fn dane_12_posh_40_acme_11_two_years_of_the_worker_with_every_fault_at_once() {
    live(Deal {
        lifetime: 45 * DAY,
        ttl_seconds: 86_400,
        key_days: 100,
        watched: YEARS,
        seed: 7,
    })
    .await;
}

/// With what such short certificates go with: records that are believed for an hour, and keys that change with every third.
#[tokio::test]
async fn acme_11_days_of_certificates_of_six_days_and_two_thirds_with_every_fault_at_once() {
    live(Deal {
        lifetime: 160 * HOUR,
        ttl_seconds: 3600,
        key_days: 14,
        watched: 100 * DAY,
        seed: 3,
    })
    .await;
}
