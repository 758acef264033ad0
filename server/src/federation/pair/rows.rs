//! Rows of a pair: of what waits in it, and of what streams were given from there and have not brought to the peer.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;

use super::{Hold, Pair, State, Way};
use crate::federation::kept::Kept;
use crate::federation::queue::{Queue, Queued, Times};
use crate::net::pump::Keeper;
use crate::session::{Outbox, Progress};

impl Pair {
    /// A stanza that waits here could not be committed: it waits no longer. `None`: a stream has it already.
    pub(in crate::federation) fn take_back(&self, kept: &Arc<Kept>) -> Option<Queued> {
        let mut state = self.state.lock();
        let waiting = match &mut state.way {
            Way::Connecting(queue) | Way::Ending(_, queue) => queue.take(kept),
            _ => None,
        };
        waiting.or_else(|| state.patient.queue.take(kept))
    }

    /// Rows of all that waits here or was given to streams from here.
    pub(in crate::federation) fn rows(&self) -> Vec<Arc<Kept>> {
        let state = self.state.lock();
        let waiting = match &state.way {
            Way::Connecting(queue) | Way::Ending(_, queue) => Some(queue.rows()),
            _ => None,
        };
        let waiting = waiting.into_iter().flatten();
        let waiting = waiting.chain(state.patient.queue.rows());
        waiting.chain(state.in_flight.rows()).cloned().collect()
    }

    /// What was given to a stream under this mark has been written, or acknowledged where the peer does so.
    fn arrived(&self, mark: u64) {
        for kept in self.state.lock().in_flight.arrived(mark) {
            self.ledger.forget(&self.local, &kept);
        }
    }

    /// Gives rows to those of the items that this stream is about to write for the pair; `None`: it does so no longer, and
    /// whatever it had not written has come back.
    pub(super) fn row_up(
        self: &Arc<Self>,
        progress: &Arc<Progress>,
        items: &[(u64, Bytes)],
    ) -> Option<Vec<Arc<Kept>>> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let outbox = state.outbox_of(progress)?;
        if outbox.is_closed() {
            return None;
        }
        let mark = state.in_flight.next_mark();
        let mut rows = Vec::new();
        for (item, bytes) in items {
            let row = state.in_flight.find(&outbox, *item).or_else(|| {
                // It was written from a stanza.
                let stanza = Stanza::from_bytes(bytes).ok()?;
                let kept = Kept::of(&stanza, state.times.next())?;
                let put = (kept.clone(), bytes.clone());
                state.in_flight.put(put, (&outbox, *item), mark);
                Some(kept)
            });
            rows.extend(row);
        }
        self.mark(&outbox, mark);
        Some(rows)
    }

    pub(super) fn mark(self: &Arc<Self>, outbox: &Outbox, mark: u64) {
        let pair = Arc::downgrade(self);
        outbox.when_written(Box::pin(async move {
            if let Some(pair) = pair.upgrade() {
                pair.arrived(mark);
            }
        }));
    }
}

impl State {
    /// The outbox of a stream that carries the pair, or has left it and still writes what it was given.
    fn outbox_of(&self, progress: &Arc<Progress>) -> Option<Arc<Outbox>> {
        let now = match &self.way {
            Way::Open(now) => Some(now),
            _ => None,
        };
        let mut carriers = now.into_iter().chain(&self.spare);
        if let Some(carrier) = carriers.find(|carrier| Arc::ptr_eq(&carrier.progress, progress)) {
            return Some(carrier.outbox.clone());
        }
        let mut former = self.former.iter();
        let (_, outbox) = former.find(|(its, _)| Arc::ptr_eq(its, progress))?;
        outbox.upgrade()
    }

    /// What a stream has given back waits again, with the rows that it had; what had none gets one, from before what has come
    /// since.
    pub(super) fn came_back(&mut self, outbox: &Arc<Outbox>, stanzas: Vec<Stanza>) -> Queue {
        let since = match &self.way {
            Way::Connecting(later) | Way::Ending(_, later) => {
                later.rows().next().map(|row| row.at().0)
            }
            _ => None,
        };
        let mut left = i64::try_from(stanzas.len()).unwrap_or(i64::MAX);
        let mut queue = Queue::default();
        let rows = self.in_flight.back(outbox, &stanzas);
        for (stanza, kept) in stanzas.into_iter().zip(rows) {
            let at = match since {
                Some(since) => Timestamp(since.saturating_sub(left)),
                None => self.times.next(),
            };
            left -= 1;
            let kept = kept.or_else(|| Kept::of(&stanza, at));
            queue.push(Queued { stanza, kept });
        }
        queue
    }
}

impl Times {
    /// A stanza by itself, as it waits.
    pub(super) fn queue_of(&mut self, stanza: Stanza) -> (Queue, Hold) {
        let kept = Kept::of(&stanza, self.next());
        let hold = kept.clone().map_or(Hold::None, Hold::Row);
        let mut queue = Queue::default();
        queue.push(Queued { stanza, kept });
        (queue, hold)
    }
}

impl Keeper for Pair {
    fn keep(
        self: Arc<Self>,
        progress: Arc<Progress>,
        items: Vec<(u64, Bytes)>,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            if let Some(rows) = self.row_up(&progress, &items) {
                self.ledger.write(&self.local, &rows);
                for row in &rows {
                    row.settled().await;
                }
                if !rows.iter().any(|row| row.has_failed()) {
                    return;
                }
            }
            // The store cannot, or the stream is about to end: it has written them, or gives them back.
            if let Some((last, _)) = items.last()
                && progress.reached(*last).await
            {
                return;
            }
            self.kept().await;
        })
    }

    fn kept(self: Arc<Self>) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            for row in self.rows() {
                row.settled().await;
            }
        })
    }
}
