//! When messages came: a time that never repeats, and which of them are not committed yet.
//!
//! Why the second: messages are committed in batches, so a later one may be there before an earlier one. A client that has
//! seen the later one would ask for what comes after it and never hear of the other. So a query sees nothing beyond the
//! first that is still under way.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use store::AccountId;
use xmpp::timestamp::Timestamp;

use crate::memory::lock;

/// Locks of the set; accounts share them.
const SHARDS: usize = 64;

type Shard = Mutex<BTreeSet<(AccountId, i64)>>;

/// One for the process.
#[derive(Debug)]
pub(crate) struct Clock {
    last: AtomicI64,
    under_way: Arc<[Shard; SHARDS]>,
}

/// A message that is not committed yet; it is when this is dropped, or never will be.
#[derive(Debug)]
pub(crate) struct Flight {
    under_way: Arc<[Shard; SHARDS]>,
    account: AccountId,
    at: i64,
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            last: AtomicI64::new(i64::MIN),
            under_way: Arc::new(std::array::from_fn(|_| Mutex::default())),
        }
    }
}

fn shard(shards: &[Shard; SHARDS], account: AccountId) -> &Shard {
    // The remainder is below the number of shards.
    &shards[account.0.unsigned_abs() as usize % SHARDS]
}

impl Clock {
    /// The time of a message that comes now, unlike that of any before it.
    pub(crate) fn take_off(&self, account: AccountId, now: Timestamp) -> (i64, Flight) {
        // Under the lock, or a query could come between the time and its being noted.
        let mut under_way = lock(shard(&self.under_way, account));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(now.0.max(last.saturating_add(1)))
            });
        let at = match last {
            Ok(last) | Err(last) => now.0.max(last.saturating_add(1)),
        };
        under_way.insert((account, at));
        let flight = Flight {
            under_way: self.under_way.clone(),
            account,
            at,
        };
        (at, flight)
    }

    /// The first message of the account that is not committed yet.
    pub(crate) fn first_under_way(&self, account: AccountId) -> Option<i64> {
        let under_way = lock(shard(&self.under_way, account));
        let mut own = under_way.range((account, i64::MIN)..=(account, i64::MAX));
        own.next().map(|(_, at)| *at)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        lock(shard(&self.under_way, self.account)).remove(&(self.account, self.at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_never_repeat_and_the_first_under_way_is_known() {
        let clock = Clock::default();
        let (one, other) = (AccountId(1), AccountId(65));
        let (first, a) = clock.take_off(one, Timestamp(10));
        let (second, b) = clock.take_off(one, Timestamp(10));
        let (third, _c) = clock.take_off(other, Timestamp(5));
        assert!(first < second && second < third);
        assert_eq!(clock.first_under_way(one), Some(first));
        drop(b);
        assert_eq!(clock.first_under_way(one), Some(first));
        drop(a);
        assert_eq!(clock.first_under_way(one), None);
        assert_eq!(clock.first_under_way(other), Some(third));
    }
}
