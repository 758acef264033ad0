//! What moved and is kept, written down for charts: the counts of every domain are read once a minute and added to the store's
//! hours and days every few minutes; what archives and uploads take is measured once an hour where something moved, and once a
//! day everywhere.
//!
//! Nobody waits for any of it. What was counted and not yet written is lost with a process that is killed: a few minutes of a
//! chart. Refuses: a query or a lock on the way of a stanza.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use store::series::{AT_ONCE, Activity, Step, Whose};
use store::{DomainId, Store, StoreError};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use xmpp::timestamp::Timestamp;

use crate::net::now;
use crate::tenancy::{Counts, Tenancy};

/// Between two looks at the counts.
const EVERY: Duration = Duration::from_secs(60);
/// Looks between two times of writing.
const WRITTEN_EVERY: u64 = 5;
/// Looks between two times of measuring.
const MEASURED_EVERY: u64 = 60;

/// What was counted and is not yet written.
#[derive(Debug, Default)]
struct Tallies {
    /// The most that each domain has counted.
    last: HashMap<DomainId, u64>,
    /// Since it was last written.
    new: HashMap<Whose, Activity>,
    /// Domains that moved since they were last measured.
    moved: BTreeSet<DomainId>,
}

impl Tallies {
    /// One look at the counts.
    fn look(&mut self, counts: &[Counts]) {
        let mut at_once: HashMap<Whose, Activity> = HashMap::new();
        let mut known = HashMap::with_capacity(counts.len());
        for count in counts {
            let before = self.last.get(&count.domain).copied().unwrap_or_default();
            // What was counted in advance may have been taken back.
            let stanzas = count.stanzas.saturating_sub(before);
            known.insert(count.domain, count.stanzas.max(before));
            if stanzas == 0 && count.sessions == 0 {
                continue;
            }
            self.moved.insert(count.domain);
            for whose in [
                Whose::Domain(count.domain),
                Whose::Tenant(count.tenant),
                Whose::Platform,
            ] {
                let sum = at_once.entry(whose).or_default();
                sum.sessions += u64::from(count.sessions);
                sum.stanzas += stanzas;
            }
        }
        self.last = known;
        self.add(at_once);
    }

    /// Adds to what waits: stanzas add up, of sessions the most counts.
    fn add(&mut self, more: impl IntoIterator<Item = (Whose, Activity)>) {
        for (whose, activity) in more {
            let sum = self.new.entry(whose).or_default();
            sum.sessions = sum.sessions.max(activity.sessions);
            sum.stanzas += activity.stanzas;
        }
    }

    /// Writes what waits; what cannot be written goes on waiting.
    async fn write(&mut self, store: &Store, at: Timestamp) {
        let rows: Vec<_> = std::mem::take(&mut self.new).into_iter().collect();
        for chunk in rows.chunks(AT_ONCE) {
            if let Err(error) = store.series_add(at, chunk).await {
                tracing::warn!(%error, "what moved is not written yet");
                self.add(chunk.iter().copied());
            }
        }
    }
}

/// Follows one server's domains.
pub(super) struct Series {
    tenancy: Arc<Tenancy>,
    tallies: Tallies,
    /// When what waits was counted.
    at: Timestamp,
    /// The day on which every domain was measured.
    measured: Option<Timestamp>,
}

impl Series {
    /// Nothing counted yet.
    pub(super) fn new(tenancy: Arc<Tenancy>) -> Self {
        Self {
            tenancy,
            tallies: Tallies::default(),
            at: now(),
            measured: None,
        }
    }

    /// Looks again and again, until `stop`; then writes what waits.
    pub(super) async fn follow(mut self, stop: CancellationToken) {
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for turn in 0_u64.. {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = looks.tick() => {}
            }
            let now = now();
            let another_hour = Step::Hour.start(self.at) != Step::Hour.start(now);
            if another_hour || turn % WRITTEN_EVERY == 1 {
                let store = self.tenancy.store().clone();
                self.tallies.write(&store, self.at).await;
            }
            self.at = now;
            self.tallies.look(&self.tenancy.counts());
            let day = Step::Day.start(now);
            let all = turn > 0 && self.measured != Some(day);
            if all || turn % MEASURED_EVERY == 1 {
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.measure(all, now) => {}
                }
            }
        }
        let store = self.tenancy.store().clone();
        self.tallies.look(&self.tenancy.counts());
        self.tallies.write(&store, self.at).await;
    }

    /// Measures what is kept: where something moved, or everywhere.
    async fn measure(&mut self, all: bool, now: Timestamp) {
        let moved = std::mem::take(&mut self.tallies.moved);
        let domains: Vec<DomainId> = match all {
            true => self.tenancy.counts().iter().map(|one| one.domain).collect(),
            false => moved.iter().copied().collect(),
        };
        match measure(self.tenancy.store(), &domains, now).await {
            Ok(()) if all => self.measured = Some(Step::Day.start(now)),
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%error, "what is kept could not be measured");
                self.tallies.moved.extend(moved);
            }
        }
    }
}

async fn measure(store: &Store, domains: &[DomainId], now: Timestamp) -> Result<(), StoreError> {
    store.series_measure(domains, now).await?;
    store.series_total(now).await
}

#[cfg(test)]
mod tests {
    use store::TenantId;

    use super::*;

    fn counts(domain: i64, sessions: u32, stanzas: u64) -> Counts {
        Counts {
            domain: DomainId(domain),
            tenant: TenantId(7),
            sessions,
            stanzas,
        }
    }

    fn waits(tallies: &Tallies, whose: Whose) -> Option<(u64, u64)> {
        let found = tallies.new.get(&whose)?;
        Some((found.sessions, found.stanzas))
    }

    #[test]
    fn stanzas_are_added_and_of_sessions_the_most_at_a_time_counts() {
        let mut tallies = Tallies::default();
        let (one, tenant) = (Whose::Domain(DomainId(1)), Whose::Tenant(TenantId(7)));
        tallies.look(&[counts(1, 2, 32), counts(2, 3, 10), counts(3, 0, 0)]);
        // The first has left half of what it had paid for in advance.
        tallies.look(&[counts(1, 1, 16), counts(2, 3, 20), counts(3, 0, 0)]);
        tallies.look(&[counts(1, 4, 40), counts(2, 0, 20)]);
        assert_eq!(waits(&tallies, one), Some((4, 40)));
        assert_eq!(waits(&tallies, tenant), Some((5, 60)), "at the same time");
        assert_eq!(waits(&tallies, Whose::Platform), Some((5, 60)));
        assert_eq!(waits(&tallies, Whose::Domain(DomainId(3))), None);
        let moved: Vec<_> = tallies.moved.iter().map(|id| id.0).collect();
        assert_eq!(moved, [1, 2]);
        tallies.add([(
            one,
            Activity {
                sessions: 9,
                stanzas: 1,
            },
        )]);
        assert_eq!(waits(&tallies, one), Some((9, 41)), "written again later");
    }

    #[tokio::test]
    async fn what_was_counted_is_in_the_store_when_the_server_has_stopped() {
        let world = crate::testing::World::new().await;
        world.domain_without_certificate("one.example").await;
        let tenancy = Tenancy::load(world.store.clone(), None, Default::default())
            .await
            .expect("loaded");
        let domain = tenancy.get("one.example").expect("hosted");
        for _ in 0..3 {
            domain.count_stanza();
        }
        let stop = CancellationToken::new();
        stop.cancel();
        let mut series = Series::new(tenancy.clone());
        series.measure(true, now()).await;
        series.follow(stop).await;
        let read = async |whose| {
            let found = world
                .store
                .series(whose, Step::Day, Timestamp(0))
                .await
                .expect("read");
            found
                .first()
                .map(|point| (point.activity.stanzas, point.kept.is_some()))
        };
        assert_eq!(read(Whose::Domain(domain.id)).await, Some((3, true)));
        assert_eq!(read(Whose::Tenant(domain.tenant)).await, Some((3, true)));
        assert_eq!(read(Whose::Platform).await, Some((3, true)));
    }
}
