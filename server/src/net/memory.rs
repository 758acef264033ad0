//! What was found out lately, and what is being found out: nobody asks twice for the same.
//!
//! An answer is kept for as long as whoever found it says. Who asks while the same question is under way waits for its answer
//! (the question goes on when everybody has left). Refuses: growing without a bound, and keeping anything past its time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Answers by question.
pub struct Memory<K, V> {
    most: usize,
    /// What an answer weighs, and how much all of them may.
    weighed: Option<Weighed<V>>,
    slots: Mutex<HashMap<K, Slot<V>, ahash::RandomState>>,
}

type Weighed<V> = (fn(&V) -> usize, usize);

enum Slot<V> {
    Known(V, Instant),
    Asking(Shared<BoxFuture<'static, V>>),
}

/// How an answer was come by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// It was known.
    Remembered,
    /// Somebody else was asking already.
    Joined,
    /// It was asked for.
    Asked,
}

impl<K, V> Memory<K, V>
where
    K: Hash + Eq + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Of this many answers at most.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            weighed: None,
            slots: Mutex::default(),
        })
    }

    /// Of this many answers at most, which weigh no more than `heaviest` in all.
    pub fn weighed(most: usize, weigh: fn(&V) -> usize, heaviest: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            weighed: Some((weigh, heaviest)),
            slots: Mutex::default(),
        })
    }

    /// The answer. `ask` is called when it is not known and not being asked for; it gives the question, or `None` when there
    /// is no asking now. The question gives its answer, and for how long that is to be remembered.
    pub async fn get(
        self: &Arc<Self>,
        key: &K,
        ask: impl FnOnce() -> Option<BoxFuture<'static, (V, Duration)>>,
    ) -> Option<(V, Way)> {
        let (asking, way) = {
            let mut slots = self.slots.lock();
            let now = Instant::now();
            match slots.get(key) {
                Some(Slot::Known(answer, until)) if *until > now => {
                    return Some((answer.clone(), Way::Remembered));
                }
                Some(Slot::Asking(asking)) => (asking.clone(), Way::Joined),
                _ => {
                    let question = ask()?;
                    self.make_room(&mut slots, now);
                    let asking = self.clone().run(key.clone(), question).boxed().shared();
                    slots.insert(key.clone(), Slot::Asking(asking.clone()));
                    // It is driven to its end whoever still waits.
                    tokio::spawn(asking.clone().map(drop));
                    (asking, Way::Asked)
                }
            }
        };
        Some((asking.await, way))
    }

    /// The same for a question that is asked whenever it has to be.
    pub async fn ask(
        self: &Arc<Self>,
        key: &K,
        ask: impl FnOnce() -> BoxFuture<'static, (V, Duration)>,
    ) -> (V, Way) {
        match self.get(key, || Some(ask())).await {
            Some(found) => found,
            None => unreachable!("the question is always given"),
        }
    }

    async fn run(self: Arc<Self>, key: K, question: BoxFuture<'static, (V, Duration)>) -> V {
        let (answer, lasts) = question.await;
        let mut slots = self.slots.lock();
        slots.remove(&key);
        if !lasts.is_zero() && self.bears(&mut slots, &answer) {
            let known = Slot::Known(answer.clone(), Instant::now() + lasts);
            slots.insert(key, known);
        }
        answer
    }

    /// Forgets what is over, and when that is not enough what will be over soonest.
    fn make_room(&self, slots: &mut HashMap<K, Slot<V>, ahash::RandomState>, now: Instant) {
        if slots.len() < self.most {
            return;
        }
        slots.retain(|_, slot| !matches!(slot, Slot::Known(_, until) if *until <= now));
        if slots.len() < self.most {
            return;
        }
        if let Some(key) = soonest(slots) {
            slots.remove(&key);
        }
    }

    /// Whether there is room for the weight of this, now that as much is forgotten as it takes.
    fn bears(&self, slots: &mut HashMap<K, Slot<V>, ahash::RandomState>, answer: &V) -> bool {
        let Some((weigh, heaviest)) = self.weighed else {
            return true;
        };
        let weight = weigh(answer);
        if weight > heaviest {
            return false;
        }
        loop {
            let known = slots.values().map(|slot| match slot {
                Slot::Known(answer, _) => weigh(answer),
                Slot::Asking(_) => 0,
            });
            if known.sum::<usize>() + weight <= heaviest {
                return true;
            }
            let Some(key) = soonest(slots) else {
                return false;
            };
            slots.remove(&key);
        }
    }
}

/// What will be over soonest.
fn soonest<K: Clone, V>(slots: &HashMap<K, Slot<V>, ahash::RandomState>) -> Option<K> {
    slots
        .iter()
        .filter_map(|(key, slot)| match slot {
            Slot::Known(_, until) => Some((*until, key)),
            Slot::Asking(_) => None,
        })
        .min_by_key(|(until, _)| *until)
        .map(|(_, key)| key.clone())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    fn question(
        count: &Arc<AtomicUsize>,
        seconds: u64,
    ) -> impl FnOnce() -> Option<BoxFuture<'static, (usize, Duration)>> + use<> {
        let count = count.clone();
        move || {
            Some(
                async move {
                    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
                    (number, Duration::from_secs(seconds))
                }
                .boxed(),
            )
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_remembered_for_its_time_and_no_longer() {
        let memory = Memory::new(10);
        let count = Arc::default();
        for (wait, answer) in [
            (0, (1, Way::Asked)),
            (9, (1, Way::Remembered)),
            (1, (2, Way::Asked)),
        ] {
            tokio::time::advance(Duration::from_secs(wait)).await;
            assert_eq!(memory.get(&"a", question(&count, 10)).await, Some(answer));
        }
        assert_eq!(memory.get(&"b", || None).await, None);
        assert_eq!(
            memory.get(&"c", question(&count, 0)).await,
            Some((3, Way::Asked))
        );
        assert_eq!(
            memory.get(&"c", question(&count, 0)).await,
            Some((4, Way::Asked))
        );
    }

    #[tokio::test]
    async fn who_asks_while_it_is_asked_waits_for_the_same_answer() {
        let memory = Memory::new(10);
        let (count, gate) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (count, gate) = (count.clone(), gate.clone());
            async move {
                count.fetch_add(1, Ordering::SeqCst);
                gate.notified().await;
                (7, Duration::from_secs(10))
            }
            .boxed()
        };
        // The first leaves before there is an answer.
        assert_eq!(memory.get(&1, || Some(ask())).now_or_never(), None);
        let questions = (0..5).map(|_| memory.get(&1, || Some(ask())));
        let mut waiting = Box::pin(futures_util::future::join_all(questions));
        assert!(waiting.as_mut().now_or_never().is_none());
        gate.notify_one();
        for answer in waiting.await {
            assert_eq!(answer, Some((7, Way::Joined)));
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_grow_without_a_bound() {
        let memory = Memory::new(3);
        let count = Arc::default();
        for key in 0..100 {
            memory.get(&key, question(&count, 10 + key)).await;
            assert!(memory.slots.lock().len() <= 3);
        }
        assert_eq!(
            memory.get(&98, question(&count, 10)).await,
            Some((99, Way::Remembered))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn it_does_not_grow_beyond_a_weight() {
        let memory = Memory::weighed(100, |weight: &usize| *weight, 10);
        let ask = async |key: u64, weight: usize| {
            let question = async move { (weight, Duration::from_secs(key)) }.boxed();
            memory.get(&key, || Some(question)).await
        };
        for (key, weight, kept) in [
            (1, 4, &[1][..]),
            (2, 4, &[1, 2]),
            // What will be over soonest goes.
            (3, 4, &[2, 3]),
            (4, 0, &[2, 3, 4]),
            (5, 11, &[2, 3, 4]),
            (6, 10, &[4, 6]),
        ] {
            assert_eq!(ask(key, weight).await, Some((weight, Way::Asked)));
            let mut keys: Vec<_> = memory.slots.lock().keys().copied().collect();
            keys.sort_unstable();
            assert_eq!(keys, kept);
        }
    }
}
