//! When messages came: a time that never repeats, and which of them are not committed yet.
//!
//! Why the second: a message is delivered before it is committed, and messages are committed in batches, so a later one may be
//! there before an earlier one. Whoever has seen a message finds it: a query first waits for all that took off before it came.
//! A client that has seen a later one would ask for what comes after it and never hear of an earlier: so a query sees nothing
//! beyond the first that has taken off since and is still under way.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use store::AccountId;
use xmpp::timestamp::Timestamp;

use crate::memory::lock;

/// Locks of the set; accounts share them.
const SHARDS: usize = 64;

/// However slow the disk is, nobody waits longer for what is under way.
const LANDED_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
struct Shard {
    under_way: BTreeSet<(AccountId, i64)>,
    /// Whoever waits for some of them.
    waiting: Vec<Waker>,
}

impl Shard {
    fn of(&self, account: AccountId) -> impl DoubleEndedIterator<Item = i64> {
        let own = (account, i64::MIN)..=(account, i64::MAX);
        self.under_way.range(own).map(|(_, at)| *at)
    }
}

type Shards = Arc<[Mutex<Shard>; SHARDS]>;

/// One for the process.
#[derive(Debug)]
pub(crate) struct Clock {
    last: AtomicI64,
    under_way: Shards,
}

/// What was under way when somebody came is so still, after [`LANDED_WITHIN`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StillUnderWay;

/// A message that is not committed yet; it is when this is dropped, or never will be.
#[derive(Debug)]
pub(crate) struct Flight {
    under_way: Shards,
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

fn shard(shards: &[Mutex<Shard>; SHARDS], account: AccountId) -> &Mutex<Shard> {
    // The remainder is below the number of shards.
    &shards[account.0.unsigned_abs() as usize % SHARDS]
}

impl Clock {
    /// The time of a message that comes now, unlike that of any before it.
    pub(crate) fn take_off(&self, account: AccountId, now: Timestamp) -> (i64, Flight) {
        // Under the lock, or a query could come between the time and its being noted.
        let mut shard = lock(shard(&self.under_way, account));
        let last = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
                Some(now.0.max(last.saturating_add(1)))
            });
        let at = match last {
            Ok(last) | Err(last) => now.0.max(last.saturating_add(1)),
        };
        shard.under_way.insert((account, at));
        let flight = Flight {
            under_way: self.under_way.clone(),
            account,
            at,
        };
        (at, flight)
    }

    /// The first message of the account that is not committed yet.
    pub(crate) fn first_under_way(&self, account: AccountId) -> Option<i64> {
        lock(shard(&self.under_way, account)).of(account).next()
    }

    /// Waits until all messages of the account that have taken off by now are committed, or never will be; those that take off
    /// meanwhile do not make it longer.
    ///
    /// # Errors
    /// [`StillUnderWay`]: that takes too long.
    pub(crate) async fn landed(&self, account: AccountId) -> Result<(), StillUnderWay> {
        let shard = shard(&self.under_way, account);
        let Some(last) = lock(shard).of(account).next_back() else {
            return Ok(());
        };
        let landed = poll_fn(|cx| {
            let mut shard = lock(shard);
            if shard.of(account).next().is_none_or(|first| first > last) {
                return Poll::Ready(());
            }
            if !shard.waiting.iter().any(|w| w.will_wake(cx.waker())) {
                shard.waiting.push(cx.waker().clone());
            }
            Poll::Pending
        });
        tokio::time::timeout(LANDED_WITHIN, landed)
            .await
            .map_err(|_| StillUnderWay)
    }

    /// Whether anybody waits.
    #[cfg(test)]
    pub(crate) fn is_awaited(&self, account: AccountId) -> bool {
        !lock(shard(&self.under_way, account)).waiting.is_empty()
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut shard = lock(shard(&self.under_way, self.account));
        shard.under_way.remove(&(self.account, self.at));
        let waiting = std::mem::take(&mut shard.waiting);
        drop(shard);
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

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

    /// Whether it is over at this moment.
    fn is_over<F: Future>(waiting: Pin<&mut F>) -> bool {
        let mut cx = std::task::Context::from_waker(Waker::noop());
        waiting.poll(&mut cx).is_ready()
    }

    #[tokio::test(start_paused = true)]
    async fn what_took_off_before_is_waited_for_and_nothing_else() {
        let clock = Arc::new(Clock::default());
        // Neighbours in a shard.
        let (one, other) = (AccountId(1), AccountId(65));
        let (_, _neighbour) = clock.take_off(other, Timestamp(1));
        assert_eq!(clock.landed(one).await, Ok(()));
        let (_, a) = clock.take_off(one, Timestamp(10));
        let (_, b) = clock.take_off(one, Timestamp(10));
        let mut waiting = pin!(clock.landed(one));
        assert!(!is_over(waiting.as_mut()));
        let (_, since) = clock.take_off(one, Timestamp(10));
        drop(b);
        assert!(!is_over(waiting.as_mut()));
        drop(a);
        assert!(is_over(waiting.as_mut()));
        // Whoever comes now waits for that one too, and is woken.
        let asked = clock.clone();
        let waiting = tokio::spawn(async move { asked.landed(one).await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(since);
        assert_eq!(waiting.await.expect("no panic"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever() {
        let clock = Clock::default();
        let (_, _flight) = clock.take_off(AccountId(1), Timestamp(10));
        assert_eq!(clock.landed(AccountId(1)).await, Err(StillUnderWay));
    }
}
