//! Those that share an outbox: what each has in it, and how much of that is left.
//!
//! Refuses: a bound of its own; the outbox's counts for each of them.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::Progress;

/// One of those that share an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane(u16);

impl Lane {
    /// Of an outbox that nobody shares.
    pub(super) const FIRST: Self = Self(0);
}

/// Whose the items of a shared outbox are. Without it there is one lane, and it is counted as a whole.
#[derive(Default)]
pub(super) struct Lanes {
    /// Bytes of each lane that wait or are not acknowledged.
    held: Vec<usize>,
    /// Lanes of the items in the queue.
    pub(super) queue: Vec<Lane>,
    /// Lanes of the items that are not acknowledged.
    pub(super) unacked: VecDeque<Lane>,
    /// Number of the item that was queued last …
    pub(super) pushed: u64,
    /// … and of the last that the pump has taken.
    pub(super) taken: u64,
    pub(super) progress: Arc<Progress>,
}

impl Lanes {
    /// A place for one more.
    pub(super) fn add(&mut self) -> Lane {
        let next = u16::try_from(self.held.len()).unwrap_or(u16::MAX);
        let lane = Lane(next);
        self.held(lane);
        lane
    }

    pub(super) fn held(&mut self, lane: Lane) -> &mut usize {
        let at = usize::from(lane.0);
        if self.held.len() <= at {
            self.held.resize(at + 1, 0);
        }
        &mut self.held[at]
    }

    pub(super) fn release(&mut self, lane: Lane, bytes: usize) {
        let held = self.held(lane);
        *held = held.saturating_sub(bytes);
    }

    /// The queue has been taken; `kept`: until it is acknowledged.
    pub(super) fn taken(&mut self, items: &[Bytes], kept: bool) {
        self.taken = self.pushed;
        let lanes = std::mem::take(&mut self.queue);
        if kept {
            return self.unacked.extend(lanes);
        }
        for (lane, item) in lanes.into_iter().zip(items) {
            self.release(lane, item.len());
        }
    }
}
