//! Whether the process keeps up: how long whoever is ready to run waits for a turn.
//!
//! A bound on the number of log-ins under way says nothing about load: ten thousand connections that say nothing cost
//! nothing, and a thousand that all shake hands wait for each other until they give up. So while anybody negotiates, one task
//! takes its place in the runtime's queue over and over and looks at how long that takes. After the controlled delay of
//! CoDel (RFC 8289): a short burst is served, a queue that does not get shorter is not joined by anybody else. Refuses:
//! sampling while nobody negotiates.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Addresses;

/// How often it looks.
const GLANCE: Duration = Duration::from_millis(20);
/// How long every turn has to have been late: a burst that is over sooner is served whole.
const ON_END: Duration = Duration::from_millis(500);

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

    /// Looks while anybody negotiates, until `stop`.
    pub async fn run(self: Arc<Self>, addresses: Arc<Addresses>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.somebody.notified() => {}
            }
            let mut judge = Judge::new(self.late);
            while addresses.unauthenticated() > 0 && !stop.is_cancelled() {
                let before = Instant::now();
                tokio::task::yield_now().await;
                let now = Instant::now();
                let overloaded = judge.turn(now, now.duration_since(before));
                if self.overloaded.swap(overloaded, Ordering::Relaxed) != overloaded {
                    tracing::debug!(overloaded, "turns are late, or no more");
                }
                tokio::time::sleep(GLANCE).await;
            }
            self.overloaded.store(false, Ordering::Relaxed);
        }
    }
}

/// Turns are late since …
struct Judge {
    late: Duration,
    since: Option<Instant>,
}

impl Judge {
    fn new(late: Duration) -> Self {
        Self { late, since: None }
    }

    /// One turn took so long. Whether all have been late for long enough.
    fn turn(&mut self, now: Instant, took: Duration) -> bool {
        if took <= self.late {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        now.duration_since(since) >= ON_END
    }
}

#[cfg(test)]
mod tests {
    use super::super::AddressLimits;
    use super::*;

    const LATE: Duration = Duration::from_millis(50);

    /// DOS-02: a burst is served, what lasts is not, and the first turn in time ends it.
    #[test]
    fn dos_02_only_lateness_that_lasts_counts() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let (late, soon) = (LATE * 2, LATE / 2);
        let mut judge = Judge::new(LATE);
        assert!(!judge.turn(at(0), late));
        assert!(!judge.turn(at(400), late));
        assert!(!judge.turn(at(450), soon), "a burst that was over");
        assert!(!judge.turn(at(600), late));
        assert!(!judge.turn(at(1_000), late));
        assert!(judge.turn(at(1_100), late));
        assert!(judge.turn(at(1_200), late));
        assert!(!judge.turn(at(1_300), soon));
        assert!(!judge.turn(at(1_400), late));
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
        let task = tokio::spawn(pulse.clone().run(addresses.clone(), stop.clone()));
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

    #[test]
    fn without_a_bound_everybody_is_admitted() {
        let pulse = Pulse::new(Duration::ZERO);
        pulse.overloaded.store(true, Ordering::Relaxed);
        assert!(pulse.admits());
    }
}
