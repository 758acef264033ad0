//! What waits in a pair: stanzas in their order, those that are kept with their rows; and the rows of what streams were given.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;

use super::kept::Kept;
use crate::session::Outbox;

/// A stanza that waits for a stream.
pub(super) struct Queued {
    pub(super) stanza: Stanza,
    /// Its row, if it is one of those that are kept.
    pub(super) kept: Option<Arc<Kept>>,
}

/// Those of one pair, in order.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Queued>,
    bytes: usize,
}

impl Queue {
    pub(super) fn push(&mut self, queued: Queued) {
        self.bytes += queued.stanza.bytes().len();
        self.waiting.push_back(queued);
    }

    /// Puts what came later behind.
    pub(super) fn append(&mut self, later: Self) {
        self.bytes += later.bytes;
        self.waiting.extend(later.waiting);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Whether so much more fits in.
    pub(super) fn has_room(&self, bytes: usize, most: (usize, usize)) -> bool {
        self.waiting.len() < most.0 && self.bytes + bytes <= most.1
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.waiting
            .iter()
            .filter_map(|queued| queued.kept.as_ref())
    }

    /// Takes the stanza of a row out.
    pub(super) fn take(&mut self, kept: &Arc<Kept>) -> Option<Queued> {
        let its = |queued: &Queued| {
            queued
                .kept
                .as_ref()
                .is_some_and(|own| Arc::ptr_eq(own, kept))
        };
        let at = self.waiting.iter().position(its)?;
        let taken = self.waiting.remove(at)?;
        self.bytes -= taken.stanza.bytes().len();
        Some(taken)
    }
}

/// Rows of stanzas that streams were given and that are not known to have arrived.
#[derive(Default)]
pub(super) struct Aboard {
    rows: Vec<Row>,
    marks: u64,
}

struct Row {
    kept: Arc<Kept>,
    on: Weak<Outbox>,
    /// What arrives with it.
    mark: u64,
}

impl Row {
    fn is_on(&self, outbox: &Arc<Outbox>) -> bool {
        std::ptr::eq(self.on.as_ptr(), Arc::as_ptr(outbox))
    }
}

impl Aboard {
    /// The next rows arrive together.
    pub(super) fn next_mark(&mut self) -> u64 {
        self.marks += 1;
        self.marks
    }

    pub(super) fn put(&mut self, kept: Arc<Kept>, on: &Arc<Outbox>, mark: u64) {
        let on = Arc::downgrade(on);
        self.rows.push(Row { kept, on, mark });
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.rows.iter().map(|row| &row.kept)
    }

    /// The row of a stanza that a stream has given back.
    pub(super) fn back(&mut self, outbox: &Arc<Outbox>, stanza: &Stanza) -> Option<Arc<Kept>> {
        let its = |row: &Row| row.is_on(outbox) && row.kept.bytes() == stanza.bytes();
        let at = self.rows.iter().position(its)?;
        Some(self.rows.remove(at).kept)
    }

    /// The row of a stanza that a stream still has.
    pub(super) fn find(&self, outbox: &Arc<Outbox>, stanza: &Stanza) -> Option<Arc<Kept>> {
        let its = |row: &&Row| row.is_on(outbox) && row.kept.bytes() == stanza.bytes();
        self.rows.iter().find(its).map(|row| row.kept.clone())
    }

    /// Everything of a mark has arrived.
    pub(super) fn arrived(&mut self, mark: u64) -> Vec<Arc<Kept>> {
        self.leave(|row| row.mark == mark)
    }

    /// A stream has ended and has given back what it had to.
    pub(super) fn ended(&mut self, outbox: &Arc<Outbox>) -> Vec<Arc<Kept>> {
        self.leave(|row| row.is_on(outbox))
    }

    fn leave(&mut self, which: impl Fn(&Row) -> bool) -> Vec<Arc<Kept>> {
        let (left, stay) = std::mem::take(&mut self.rows).into_iter().partition(which);
        self.rows = stay;
        left.into_iter().map(|row: Row| row.kept).collect()
    }
}

/// Times of a pair's rows: each later than the one before, however the clock goes.
pub(super) struct Times {
    clock: fn() -> Timestamp,
    last: Timestamp,
}

impl Times {
    pub(super) fn new(clock: fn() -> Timestamp) -> Self {
        Self {
            clock,
            last: Timestamp(i64::MIN),
        }
    }

    pub(super) fn next(&mut self) -> Timestamp {
        let next = (self.clock)().0.max(self.last.0.saturating_add(1));
        self.last = Timestamp(next);
        self.last
    }

    /// Rows from before this process are there up to this time.
    pub(super) fn after(&mut self, at: Timestamp) {
        self.last = self.last.max(at);
    }
}
