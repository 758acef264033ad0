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
        match &mut self.state.lock().way {
            Way::Connecting(queue) | Way::Ending(_, queue) => queue.take(kept),
            _ => None,
        }
    }

    /// Rows of all that waits here or was given to streams from here.
    pub(in crate::federation) fn rows(&self) -> Vec<Arc<Kept>> {
        let state = self.state.lock();
        let waiting = match &state.way {
            Way::Connecting(queue) | Way::Ending(_, queue) => Some(queue.rows()),
            _ => None,
        };
        let waiting = waiting.into_iter().flatten();
        waiting.chain(state.aboard.rows()).cloned().collect()
    }

    /// What was given to a stream under this mark has been written, or acknowledged where the peer does so.
    fn arrived(&self, mark: u64) {
        for kept in self.state.lock().aboard.arrived(mark) {
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
        let now = match &state.way {
            Way::Open(now) => Some(now),
            _ => None,
        };
        let mut carriers = now.into_iter().chain(&state.spare);
        let carrier = carriers.find(|carrier| Arc::ptr_eq(&carrier.progress, progress))?;
        let outbox = carrier.outbox.clone();
        if outbox.is_closed() {
            return None;
        }
        let mark = state.aboard.next_mark();
        let mut rows = Vec::new();
        for (_, bytes) in items {
            // It was written from a stanza.
            let Ok(stanza) = Stanza::from_bytes(bytes) else {
                continue;
            };
            let row = state.aboard.find(&outbox, &stanza).or_else(|| {
                let kept = Kept::of(&stanza, state.times.next())?;
                state.aboard.put(kept.clone(), &outbox, mark);
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
        for stanza in stanzas {
            let at = match since {
                Some(since) => Timestamp(since.saturating_sub(left)),
                None => self.times.next(),
            };
            left -= 1;
            let kept = self.aboard.back(outbox, &stanza);
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
