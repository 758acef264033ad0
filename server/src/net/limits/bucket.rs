//! Rates: a bucket of one stream, and a pace that many streams share.
//!
//! Who is above a rate waits; nothing is lost and nobody is closed for it (RFC 6120 13.12, DOS-07). Refuses: a clock; the
//! time is handed in.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// What may come at once: so many seconds' worth of the rate.
const BURST_SECONDS: u32 = 10;

/// Token bucket of one stream, over bytes or stanzas.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    /// Full.
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self {
            per_second,
            level: per_second * f64::from(BURST_SECONDS),
            at: now,
        }
    }

    /// Takes `count`. When more was taken than there was: when to go on.
    pub fn take(&mut self, count: usize, now: Instant) -> Option<Instant> {
        let full = self.per_second * f64::from(BURST_SECONDS);
        let gained = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.at = now;
        #[expect(clippy::cast_precision_loss, reason = "a read is far below 2^52 bytes")]
        let spent = count as f64;
        self.level = (self.level + gained).min(full) - spent;
        (self.level < 0.0).then(|| now + Duration::from_secs_f64(-self.level / self.per_second))
    }
}

/// A rate that many streams share without a lock: the moment up to which all that was taken is paid for.
#[derive(Debug)]
pub struct SharedPace {
    start: Instant,
    /// Nanoseconds after `start`.
    paid_until: AtomicU64,
}

impl SharedPace {
    /// Nothing taken yet.
    pub fn new(now: Instant) -> Self {
        Self {
            start: now,
            paid_until: AtomicU64::new(0),
        }
    }

    /// Takes `count` at this rate. When more was taken than there was: when whoever took it may go on. It is charged all
    /// the same, so that the next one waits longer.
    pub fn take(&self, count: u32, per_second: u32, now: Instant) -> Option<Instant> {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let at = nanos(now.duration_since(self.start));
        let cost = u64::from(count) * 1_000_000_000 / u64::from(per_second.max(1));
        let burst = nanos(Duration::from_secs(BURST_SECONDS.into()));
        let paid = |before: u64| before.max(at).saturating_add(cost);
        let before = self
            .paid_until
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
                Some(paid(before))
            })
            .unwrap_or_default();
        let ahead = paid(before) - at;
        (ahead > burst).then(|| now + Duration::from_nanos(ahead - burst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_07_a_fast_sender_is_read_more_slowly() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, start);
        assert!(bucket.take(10_000, start).is_none(), "the burst");
        let until = bucket.take(2000, start).expect("above the rate");
        assert_eq!(until, start + Duration::from_secs(2));
        assert!(bucket.take(1, start + Duration::from_secs(3)).is_none());
    }

    #[test]
    fn dos_10_a_shared_pace_makes_each_wait_for_its_turn() {
        let start = Instant::now();
        let pace = SharedPace::new(start);
        assert!(pace.take(1000, 100, start).is_none(), "the burst");
        let first = pace.take(100, 100, start).expect("above the rate");
        assert_eq!(first, start + Duration::from_secs(1));
        let second = pace.take(100, 100, start).expect("behind the first");
        assert_eq!(second, start + Duration::from_secs(2));
        let later = start + Duration::from_secs(20);
        assert!(pace.take(1000, 100, later).is_none(), "time has paid");
    }
}
