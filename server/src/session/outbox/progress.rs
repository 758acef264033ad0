//! How far the pump of a shared stream has come: for those whose own answers wait until what they have put there has left the
//! process.
//!
//! A process that is killed leaves the kernel's buffers to be sent, so what the kernel has is as good as sent. Who waits looks
//! at a number and takes no lock of the stream's. Refuses: saying that something has arrived; only the other side can.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Poll, Waker};

use parking_lot::Mutex;

/// Of one stream, shared by all who wait for it. Items are numbered as they are queued, from 1.
#[derive(Debug, Default)]
pub struct Progress {
    /// Items up to this one are with the kernel, or were withdrawn.
    upto: AtomicU64,
    /// Of the items up to this one some were withdrawn, and nobody knows here which. All, once the stream has ended.
    doubtful: AtomicU64,
    ended: AtomicBool,
    /// Whoever waits for a change. Changes are made before it is locked, and looked for under the lock.
    waiting: Mutex<Vec<Waker>>,
}

impl Progress {
    /// Whether the item is with the kernel for sure.
    pub fn has(&self, item: u64) -> bool {
        // In this order: what was withdrawn was so before the number passed it.
        self.upto.load(Ordering::Acquire) >= item && self.doubtful.load(Ordering::Acquire) < item
    }

    /// Waits until the pump has come past the item. `false`: it was withdrawn perhaps, or the stream ended before; where it is
    /// then, whoever queued it knows.
    pub async fn reached(&self, item: u64) -> bool {
        poll_fn(|cx| {
            let mut waiting = self.waiting.lock();
            let passed = self.upto.load(Ordering::Acquire) >= item;
            if passed || self.ended.load(Ordering::Acquire) {
                return Poll::Ready(self.has(item));
            }
            if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                waiting.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await
    }

    fn tell(&self) {
        let waiting = std::mem::take(&mut *self.waiting.lock());
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Everything up to this item has been written.
    pub(super) fn advance(&self, item: u64) {
        if self.upto.load(Ordering::Relaxed) < item {
            self.upto.store(item, Ordering::Release);
            self.tell();
        }
    }

    /// Something of what was queued up to this item has been taken back.
    pub(super) fn withdrawn(&self, upto: u64) {
        self.doubtful.fetch_max(upto, Ordering::Release);
    }

    /// The stream has ended, and whatever it had not written has found its way back to whoever queued it.
    pub fn end(&self) {
        self.doubtful.store(u64::MAX, Ordering::Release);
        self.ended.store(true, Ordering::Release);
        self.tell();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;
    use std::task::{Context, Wake};

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicBool);
    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// What is heard of the item at once, or otherwise, whoever waits having been woken, after `change`.
    fn heard(progress: &Progress, item: u64, change: impl FnOnce()) -> Poll<bool> {
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(woken.clone());
        let (mut reached, mut cx) = (pin!(progress.reached(item)), Context::from_waker(&waker));
        if let Poll::Ready(heard) = reached.as_mut().poll(&mut cx) {
            return Poll::Ready(heard);
        }
        change();
        assert!(woken.0.load(Ordering::Relaxed), "nobody was woken");
        reached.poll(&mut cx)
    }

    #[test]
    fn what_was_written_stays_so_until_something_is_taken_back() {
        let progress = Progress::default();
        assert!(!progress.has(1));
        progress.advance(2);
        assert!(progress.has(2));
        assert_eq!(heard(&progress, 1, || {}), Poll::Ready(true));
        let third = heard(&progress, 3, || progress.advance(3));
        assert_eq!(third, Poll::Ready(true));
        progress.withdrawn(4);
        assert!(!progress.has(1), "nobody knows which");
        assert_eq!(heard(&progress, 3, || {}), Poll::Ready(false));
        // What comes later is as sure as ever.
        let fifth = heard(&progress, 5, || progress.advance(5));
        assert_eq!(fifth, Poll::Ready(true));
        assert!(!progress.has(4));
        let sixth = heard(&progress, 6, || progress.end());
        assert_eq!(sixth, Poll::Ready(false));
    }
}
