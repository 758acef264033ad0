//! What waits in a pair: stanzas in their order, those that are kept with their rows; and the rows of what streams were given.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use xmpp::stanza::{Stanza, StanzaError};
use xmpp::timestamp::Timestamp;

use super::carrier::{full, full_of_stanzas};
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
    ///
    /// # Errors
    /// What the sender is told who is one too many: stanzas or bytes.
    pub(super) fn has_room(
        &self,
        bytes: usize,
        (stanzas, most): (usize, usize),
    ) -> Result<(), Box<StanzaError>> {
        if self.waiting.len() >= stanzas {
            return Err(full_of_stanzas(stanzas));
        }
        if self.bytes + bytes > most {
            return Err(full(most));
        }
        Ok(())
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
pub(super) struct InFlight {
    /// In the order of each stream.
    rows: BTreeMap<Place, Row>,
    marks: u64,
}

/// Where a stanza is: the address of its stream's outbox, and its number there ([`crate::session::Progress`]).
type Place = (usize, u64);

struct Row {
    kept: Arc<Kept>,
    /// As the stream has it.
    bytes: Bytes,
    /// Nothing else gets its address.
    _on: Weak<Outbox>,
    /// What arrives with it.
    mark: u64,
}

fn address(outbox: &Arc<Outbox>) -> usize {
    Arc::as_ptr(outbox).addr()
}

impl InFlight {
    /// The next rows arrive together.
    pub(super) fn next_mark(&mut self) -> u64 {
        self.marks += 1;
        self.marks
    }

    /// The row of a stanza that this stream was given as its `item`th, in these bytes.
    pub(super) fn put(
        &mut self,
        (kept, bytes): (Arc<Kept>, Bytes),
        (on, item): (&Arc<Outbox>, u64),
        mark: u64,
    ) {
        let row = Row {
            kept,
            bytes,
            _on: Arc::downgrade(on),
            mark,
        };
        self.rows.insert((address(on), item), row);
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Arc<Kept>> {
        self.rows.values().map(|row| &row.kept)
    }

    /// The row of a stanza that a stream still has.
    pub(super) fn find(&self, on: &Arc<Outbox>, item: u64) -> Option<Arc<Kept>> {
        let row = self.rows.get(&(address(on), item))?;
        Some(row.kept.clone())
    }

    /// Rows of stanzas that a stream has given back, in its order and without their numbers. Of some that are alike the last
    /// come back: what went first has arrived.
    pub(super) fn back(
        &mut self,
        outbox: &Arc<Outbox>,
        stanzas: &[Stanza],
    ) -> Vec<Option<Arc<Kept>>> {
        let mut there: HashMap<Bytes, Vec<Place>> = HashMap::new();
        for (place, row) in self.rows.range(on(outbox)) {
            let alike = there.entry(row.bytes.clone()).or_default();
            alike.push(*place);
        }
        let mut rows: Vec<_> = stanzas
            .iter()
            .rev()
            .map(|stanza| {
                let place = there.get_mut(stanza.bytes())?.pop()?;
                Some(self.rows.remove(&place)?.kept)
            })
            .collect();
        rows.reverse();
        rows
    }

    /// Everything of a mark has arrived.
    pub(super) fn arrived(&mut self, mark: u64) -> Vec<Arc<Kept>> {
        let rows = self.rows.extract_if(.., |_, row| row.mark == mark);
        rows.map(|(_, row)| row.kept).collect()
    }

    /// A stream has ended and has given back what it had to.
    pub(super) fn ended(&mut self, outbox: &Arc<Outbox>) -> Vec<Arc<Kept>> {
        let rows = self.rows.extract_if(on(outbox), |_, _| true);
        rows.map(|(_, row)| row.kept).collect()
    }
}

/// All places on a stream.
fn on(outbox: &Arc<Outbox>) -> RangeInclusive<Place> {
    (address(outbox), 0)..=(address(outbox), u64::MAX)
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
