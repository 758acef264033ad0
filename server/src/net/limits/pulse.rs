//! Whether the process keeps up: how long whoever is ready to run waits for a turn.
//!
//! A bound on the number of log-ins under way says nothing about load: ten thousand connections that say nothing cost
//! nothing, and a thousand that all shake hands wait for each other until they give up. So while anybody negotiates, one task
//! takes its place in the runtime's queue over and over and looks at how long that takes. After the controlled delay of
//! CoDel (RFC 8289): a short burst is served, a queue that does not get shorter is not joined by anybody else, and one that
//! grows again soon after is closed sooner.
//!
//! It takes the way of a log-in: asks the database something, in the line of all who do, and is woken by another thread. A
//! worker of the runtime has a queue of its own, which is short; what finds it full, and whatever another thread wakes, waits in
//! the one queue behind it, which is as long as the load makes it. A task that only yields never sees that one, nor the line
//! before the database. Refuses: looking while nobody negotiates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Addresses;

/// How often it looks.
const GLANCE: Duration = Duration::from_millis(20);
/// How long every turn has to have been late: a burst that is over sooner is served whole …
const ON_END: Duration = Duration::from_millis(500);
/// … but it is no burst if turns were late for that long within this time before.
const RELAPSE: Duration = Duration::from_secs(10);

/// The lateness of one runtime.
#[derive(Debug)]
pub struct Pulse {
    /// A turn later than this is late; zero: no turn is.
    late: Duration,
    overloaded: AtomicBool,
    somebody: Notify,
}

impl Pulse {
    /// Turns may take `late`; zero: as long as they like.
    pub fn new(late: Duration) -> Arc<Self> {
        Arc::new(Self {
            late,
            overloaded: AtomicBool::new(false),
            somebody: Notify::new(),
        })
    }

    /// Somebody comes. `false`: those who are here have to wait too long already.
    pub fn admits(&self) -> bool {
        if self.late.is_zero() {
            return true;
        }
        self.somebody.notify_one();
        !self.overloaded.load(Ordering::Relaxed)
    }

    /// Looks while anybody negotiates, until `stop`. `ask` asks the database something.
    pub async fn run<A, F>(
        self: Arc<Self>,
        addresses: Arc<Addresses>,
        ask: A,
        stop: CancellationToken,
    ) where
        A: Fn() -> F,
        F: Future<Output = ()>,
    {
        let mut judge = Judge::new(self.late);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.somebody.notified() => {}
            }
            while addresses.unauthenticated() > 0 {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = self.look(&mut judge, ask()) => {}
                }
                tokio::time::sleep(GLANCE).await;
            }
            // Nobody is left who could wait.
            self.set(judge.turn(Instant::now(), Duration::ZERO));
        }
    }

    /// Looks how long one turn takes; a long one is judged before it is over.
    async fn look(&self, judge: &mut Judge, asked: impl Future<Output = ()>) {
        let begun = Instant::now();
        let mut turn = std::pin::pin!(async {
            asked.await;
            // It fails only when the runtime is about to end.
            let _ = tokio::task::spawn_blocking(|| ()).await;
        });
        loop {
            let over = tokio::time::timeout(GLANCE, &mut turn).await.is_ok();
            let (now, took) = (Instant::now(), begun.elapsed());
            if over || took > self.late {
                self.set(judge.turn(now, took));
            }
            if over {
                return;
            }
        }
    }

    fn set(&self, overloaded: bool) {
        if self.overloaded.swap(overloaded, Ordering::Relaxed) != overloaded {
            tracing::debug!(overloaded, "turns are late, or no more");
        }
    }
}

/// Turns are late since …
struct Judge {
    late: Duration,
    since: Option<Instant>,
    overloaded: bool,
    /// When they were in time again.
    over: Option<Instant>,
}

impl Judge {
    fn new(late: Duration) -> Self {
        Self {
            late,
            since: None,
            overloaded: false,
            over: None,
        }
    }

    /// One turn took so long. Whether all have been late for long enough.
    fn turn(&mut self, now: Instant, took: Duration) -> bool {
        if took <= self.late {
            if self.overloaded {
                self.over = Some(now);
            }
            self.since = None;
            self.overloaded = false;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        let relapse = self
            .over
            .is_some_and(|over| now.duration_since(over) < RELAPSE);
        self.overloaded = relapse || now.duration_since(since) >= ON_END;
        self.overloaded
    }
}

#[cfg(test)]
mod tests {
    use super::super::AddressLimits;
    use super::*;

    const LATE: Duration = Duration::from_millis(50);

    const LONG: Duration = Duration::from_millis(100);
    const SHORT: Duration = Duration::from_millis(25);

    /// DOS-02: a burst is served, what lasts is not, and the first turn in time ends it.
    #[test]
    fn dos_02_only_lateness_that_lasts_counts() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let (late, soon) = (LONG, SHORT);
        let mut judge = Judge::new(LATE);
        assert!(!judge.turn(at(0), late));
        assert!(!judge.turn(at(400), late));
        assert!(!judge.turn(at(450), soon), "a burst that was over");
        assert!(!judge.turn(at(600), late));
        assert!(!judge.turn(at(1_000), late));
        assert!(judge.turn(at(1_100), late));
        assert!(judge.turn(at(1_200), late));
        assert!(!judge.turn(at(1_300), soon));
    }

    /// DOS-02: what comes again at once is no burst; after a quiet time it is one again.
    #[test]
    fn dos_02_a_queue_that_grows_again_is_closed_at_once() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let mut judge = Judge::new(LATE);
        assert!(!judge.turn(at(0), LONG));
        assert!(judge.turn(at(500), LONG));
        for again in (1_000..9_000).step_by(1_000) {
            assert!(!judge.turn(at(again), SHORT), "room at {again}");
            assert!(judge.turn(at(again + 20), LONG), "no room at {again}");
        }
        assert!(!judge.turn(at(10_000), SHORT));
        assert!(!judge.turn(at(20_000), LONG), "a new burst");
        assert!(!judge.turn(at(20_400), LONG));
        assert!(judge.turn(at(20_500), LONG));
    }

    /// What the judge lets in, of twice as many as can be served, each of whom takes a millisecond: the queue stays short, and
    /// the server always has somebody to serve.
    #[test]
    fn dos_02_of_twice_as_many_as_can_be_served_half_is() {
        let begun = Instant::now();
        let mut judge = Judge::new(LATE);
        let (mut waiting, mut served, mut idle, mut most) = (0u32, 0u32, 0u32, 0u32);
        for millis in (0..30_000u32).step_by(20) {
            let took = Duration::from_millis(waiting.into());
            let now = begun + Duration::from_millis(millis.into());
            // Forty come while twenty can be served.
            if !judge.turn(now, took) {
                waiting += 40;
            }
            let next = waiting.min(20);
            served += next;
            idle += 20 - next;
            waiting -= next;
            most = most.max(waiting);
        }
        assert!(idle < 100, "{idle} could have been served besides {served}");
        assert!(most < 600, "{most} waited at a time");
    }

    /// Tasks that keep a runtime of one thread busy make turns late; connections that say nothing do not.
    #[tokio::test(flavor = "current_thread")]
    async fn dos_01_half_open_connections_are_no_load_and_work_is() {
        let addresses = Addresses::new(AddressLimits {
            simultaneous: 2_000,
            per_minute: 2_000,
            unauthenticated: 2_000,
            unauthenticated_in_all: 2_000,
        });
        let pulse = Pulse::new(Duration::from_millis(1));
        let stop = CancellationToken::new();
        let task = tokio::spawn(
            pulse
                .clone()
                .run(addresses.clone(), async || (), stop.clone()),
        );
        let from = std::net::IpAddr::from([192, 0, 2, 1]);
        let open: Vec<_> = (0..1_000)
            .map(|_| addresses.admit(from, Instant::now()).expect("room"))
            .collect();
        assert!(pulse.admits());
        // Each of two takes longer than a turn may, whenever it has one.
        let work = || async {
            loop {
                let end = std::time::Instant::now() + Duration::from_millis(3);
                while std::time::Instant::now() < end {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
        };
        let busy = [tokio::spawn(work()), tokio::spawn(work())];
        while pulse.admits() {
            tokio::task::yield_now().await;
        }
        for task in busy {
            task.abort();
        }
        drop(open);
        while !pulse.admits() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        task.await.expect("ended");
    }

    /// Many who each take little: a worker's own queue is full of them, and most wait behind it.
    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn dos_02_those_who_wait_behind_a_worker_s_queue_are_seen() {
        let addresses = Addresses::new(AddressLimits {
            simultaneous: 1,
            per_minute: 1,
            unauthenticated: 1,
            unauthenticated_in_all: 1,
        });
        let pulse = Pulse::new(LATE);
        let stop = CancellationToken::new();
        let task = tokio::spawn(
            pulse
                .clone()
                .run(addresses.clone(), async || (), stop.clone()),
        );
        let from = std::net::IpAddr::from([192, 0, 2, 1]);
        let _somebody = addresses.admit(from, Instant::now()).expect("room");
        let work = || async {
            loop {
                let end = std::time::Instant::now() + Duration::from_micros(100);
                while std::time::Instant::now() < end {
                    std::hint::spin_loop();
                }
                tokio::task::yield_now().await;
            }
        };
        let busy: Vec<_> = (0..1_000).map(|_| tokio::spawn(work())).collect();
        while pulse.admits() {
            tokio::task::yield_now().await;
        }
        for task in busy {
            task.abort();
        }
        while !pulse.admits() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        task.await.expect("ended");
    }

    /// A database that does not keep up is felt before it has answered.
    #[tokio::test(start_paused = true)]
    async fn dos_02_those_who_wait_for_the_database_are_seen() {
        let addresses = Addresses::new(AddressLimits {
            simultaneous: 1,
            per_minute: 1,
            unauthenticated: 1,
            unauthenticated_in_all: 1,
        });
        let pulse = Pulse::new(LATE);
        let stop = CancellationToken::new();
        let (answers, answered) = tokio::sync::watch::channel(false);
        let ask = move || {
            let mut answered = answered.clone();
            async move {
                let _ = answered.wait_for(|answered| *answered).await;
            }
        };
        let task = tokio::spawn(pulse.clone().run(addresses.clone(), ask, stop.clone()));
        let from = std::net::IpAddr::from([192, 0, 2, 1]);
        let _somebody = addresses.admit(from, Instant::now()).expect("room");
        let begun = Instant::now();
        while pulse.admits() {
            tokio::time::sleep(GLANCE).await;
        }
        assert!(begun.elapsed() >= ON_END, "a burst is served");
        answers.send_replace(true);
        while !pulse.admits() {
            tokio::time::sleep(GLANCE).await;
        }
        stop.cancel();
        task.await.expect("ended");
    }

    #[test]
    fn without_a_bound_everybody_is_admitted() {
        let pulse = Pulse::new(Duration::ZERO);
        pulse.overloaded.store(true, Ordering::Relaxed);
        assert!(pulse.admits());
    }
}
