//! What a start or a burst of work leaves behind goes back to the machine: pages of the program that were needed once, free memory
//! of the heap, pages of the database that its connections keep.
//!
//! Whoever knows that something is over asks; one task gives back, off the runtime's threads. Refuses: doing so more often than
//! once a minute. What is asked for meanwhile waits.

use std::sync::Arc;
use std::time::Duration;

use store::Store;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// From one time to the next, at least.
const PAUSE: Duration = Duration::from_secs(60);

/// Takes the word that something is over.
#[derive(Debug, Default)]
pub(super) struct Rest {
    over: Notify,
}

impl Rest {
    /// Something is over: the start, many looks.
    pub(super) fn is_due(&self) {
        self.over.notify_one();
    }

    /// Gives back whenever it is due, until `stop`. The start is over twice, when all doors are open and after the first looks: then
    /// nothing is waited for.
    pub(super) async fn follow<F: Future<Output = ()>>(
        self: Arc<Self>,
        mut give_back: impl FnMut() -> F,
        stop: CancellationToken,
    ) {
        let pauses = [Duration::ZERO; 2].into_iter();
        for pause in pauses.chain(std::iter::repeat(PAUSE)) {
            let due = async {
                tokio::time::sleep(pause).await;
                self.over.notified().await;
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = due => {}
            }
            give_back().await;
        }
    }
}

/// Gives back what there is.
pub(super) async fn give_back(store: Store) {
    if let Err(error) = store.shrink().await {
        tracing::debug!(%error, "the database's pages are kept");
    }
    let given = tokio::task::spawn_blocking(|| {
        let before = resident::resident_bytes();
        let given = resident::give_back();
        (before, given, resident::resident_bytes())
    });
    // It fails only when the runtime is about to end.
    if let Ok((before, given, after)) = given.await {
        let kilobytes = |bytes: Option<u64>| bytes.unwrap_or_default() / 1024;
        tracing::debug!(
            before_kb = kilobytes(before),
            after_kb = kilobytes(after),
            program_kb = given.program_bytes / 1024,
            heap = given.heap,
            "memory given back"
        );
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_over_is_given_back_at_once_and_no_more_than_once_a_minute() {
        let rest = Arc::new(Rest::default());
        let stop = CancellationToken::new();
        let (given, mut seen) = tokio::sync::mpsc::unbounded_channel();
        let give_back = move || {
            given.send(Instant::now()).expect("heard");
            std::future::ready(())
        };
        let task = tokio::spawn(rest.clone().follow(give_back, stop.clone()));
        let begun = Instant::now();
        let mut next = async || seen.recv().await.expect("given") - begun;
        for _ in 0..2 {
            rest.is_due();
            assert!(next().await < PAUSE);
        }
        // Asked for twice meanwhile, which is once.
        rest.is_due();
        rest.is_due();
        assert!(next().await >= PAUSE);
        rest.is_due();
        assert!(next().await >= PAUSE * 2);
        stop.cancel();
        task.await.expect("ended");
    }
}
