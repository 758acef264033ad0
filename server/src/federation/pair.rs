//! One pair of domains, outbound: its queue, its stream, and how long it is left alone after a failure.
//!
//! While a pair is connecting or open, exactly one task looks after it; that task reports back here, so no stanza is ever
//! left without anybody to send or bounce it. Refuses: growing without a bound while nobody answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dna::{Prooftype, Proven};
use parking_lot::Mutex;
use tokio::time::Instant;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, Stanza, StanzaError};
use xmpp::stream::{Order, StreamError};

use super::Settings;
use crate::session::{Outbox, PushError};

/// Pause after a first failure; each further one doubles it.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);

pub(super) struct Pair {
    pub(super) local: DomainName,
    pub(super) remote: DomainName,
    state: Mutex<State>,
}

struct State {
    way: Way,
    /// Failures in a row.
    failures: u32,
}

enum Way {
    /// No stream, no task.
    Rest,
    /// The last attempt failed; until then stanzas bounce at once, with what it failed with.
    Pause(Instant, Box<StanzaError>),
    /// A task is at it.
    Connecting(Queue),
    /// Proved; the task runs the stream.
    Open(Arc<Outbox>, Proven),
}

#[derive(Default)]
struct Queue {
    stanzas: VecDeque<Stanza>,
    bytes: usize,
}

/// What became of a stanza.
pub(super) enum Taken {
    /// It waits or is on its way.
    Yes,
    /// It waits, and somebody must start the task.
    Start,
    /// It is not sent; why.
    No(Stanza, Box<StanzaError>),
}

impl Pair {
    pub(super) fn new(local: DomainName, remote: DomainName) -> Self {
        Self {
            local,
            remote,
            state: Mutex::new(State {
                way: Way::Rest,
                failures: 0,
            }),
        }
    }

    /// Takes a stanza for the peer, in order (ROUTE-02).
    pub(super) fn take(&self, stanza: Stanza, now: Instant, settings: &Settings) -> Taken {
        let full = || {
            let error = StanzaError::new(Condition::ResourceConstraint);
            Box::new(error.with_text("too much waits for that server already"))
        };
        let mut state = self.state.lock();
        match &mut state.way {
            Way::Open(outbox, _) => match outbox.push(stanza.bytes().clone()) {
                Ok(()) => Taken::Yes,
                Err(PushError::Full) => Taken::No(stanza, full()),
                Err(PushError::Closed) => {
                    // The stream has just ended; its task comes by and finds this.
                    state.way = Way::Connecting(Queue::of(stanza));
                    Taken::Yes
                }
            },
            Way::Connecting(queue) => {
                let size = stanza.bytes().len();
                if queue.stanzas.len() >= settings.queue_stanzas
                    || queue.bytes + size > settings.queue_bytes
                {
                    return Taken::No(stanza, full());
                }
                queue.push(stanza);
                Taken::Yes
            }
            Way::Pause(until, error) if now < *until => Taken::No(stanza, error.clone()),
            Way::Rest | Way::Pause(..) => {
                state.way = Way::Connecting(Queue::of(stanza));
                Taken::Start
            }
        }
    }

    /// The stream may carry stanzas: what waited goes first. What does not fit comes back.
    pub(super) fn accepted(&self, outbox: &Arc<Outbox>, proven: Proven) -> Vec<Stanza> {
        let mut state = self.state.lock();
        state.failures = 0;
        let open = Way::Open(outbox.clone(), proven);
        let mut left = Vec::new();
        if let Way::Connecting(queue) = std::mem::replace(&mut state.way, open) {
            for stanza in queue.stanzas {
                if outbox.push(stanza.bytes().clone()).is_err() {
                    left.push(stanza);
                }
            }
        }
        left
    }

    /// The stream has ended, with this unwritten. Whether another is wanted at once.
    pub(super) fn ended(&self, unwritten: Vec<Bytes>) -> bool {
        let mut queue = Queue::default();
        for bytes in unwritten {
            if let Ok(stanza) = Stanza::from_bytes(&bytes) {
                queue.push(stanza);
            }
        }
        let mut state = self.state.lock();
        if let Way::Connecting(later) = std::mem::replace(&mut state.way, Way::Rest) {
            for stanza in later.stanzas {
                queue.push(stanza);
            }
        }
        let again = !queue.stanzas.is_empty();
        if again {
            state.way = Way::Connecting(queue);
        }
        again
    }

    /// No stream came about. Gives what waited, to be bounced with `error`. `spread` in 0..=1 spreads the pauses of many
    /// pairs (STREAM-33).
    pub(super) fn failed(&self, error: &StanzaError, now: Instant, spread: f64) -> Vec<Stanza> {
        let mut state = self.state.lock();
        let doubled = PAUSE.saturating_mul(1 << state.failures.min(10));
        let pause = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + spread / 2.0);
        state.failures = state.failures.saturating_add(1);
        let paused = Way::Pause(now + pause, Box::new(error.clone()));
        match std::mem::replace(&mut state.way, paused) {
            Way::Connecting(queue) => queue.stanzas.into(),
            _ => Vec::new(),
        }
    }

    /// The peer has called us, so it is worth calling.
    pub(super) fn peer_is_up(&self) {
        let mut state = self.state.lock();
        if matches!(state.way, Way::Pause(..)) {
            state.way = Way::Rest;
        }
    }

    pub(super) fn open_by(&self) -> Option<Prooftype> {
        match &self.state.lock().way {
            Way::Open(_, proven) => Some(proven.by()),
            _ => None,
        }
    }

    pub(super) fn order_close(&self, error: &StreamError) {
        if let Way::Open(outbox, _) = &self.state.lock().way {
            outbox.order(Order::Close(error.clone()));
        }
    }

    /// Nothing would be lost by forgetting it.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        match &self.state.lock().way {
            Way::Rest => true,
            Way::Pause(until, _) => now >= *until,
            _ => false,
        }
    }
}

impl Queue {
    fn of(stanza: Stanza) -> Self {
        let mut queue = Self::default();
        queue.push(stanza);
        queue
    }

    fn push(&mut self, stanza: Stanza) {
        self.bytes += stanza.bytes().len();
        self.stanzas.push_back(stanza);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::limits::StreamLimits;

    fn pair() -> Pair {
        let name = |name| DomainName::parse(name).expect("a domain");
        Pair::new(name("one.example"), name("peer.example"))
    }

    fn stanza(id: u32) -> Stanza {
        let text = format!("<message from='a@one.example' to='b@peer.example' id='{id}'/>");
        Stanza::from_bytes(text.as_bytes()).expect("a stanza")
    }

    fn settings() -> Settings {
        Settings {
            connect: Duration::from_secs(30),
            idle: Duration::from_secs(600),
            queue_stanzas: 3,
            queue_bytes: 10_000,
            private_addresses: true,
            limits: StreamLimits::default(),
        }
    }

    fn timeout() -> StanzaError {
        Condition::RemoteServerTimeout.into()
    }

    #[test]
    fn the_first_stanza_starts_and_the_queue_has_a_bound() {
        let (pair, now, settings) = (pair(), Instant::now(), settings());
        assert!(matches!(pair.take(stanza(1), now, &settings), Taken::Start));
        assert!(matches!(pair.take(stanza(2), now, &settings), Taken::Yes));
        assert!(matches!(pair.take(stanza(3), now, &settings), Taken::Yes));
        let Taken::No(_, error) = pair.take(stanza(4), now, &settings) else {
            panic!("full");
        };
        assert_eq!(error.condition, Condition::ResourceConstraint);
        let ids: Vec<_> = pair
            .failed(&timeout(), now, 0.0)
            .iter()
            .map(|s| s.id().map(str::to_owned))
            .collect();
        assert_eq!(ids, ["1", "2", "3"].map(|id| Some(id.to_owned())));
    }

    #[test]
    fn stream_33_pauses_grow_and_end_when_the_peer_calls() {
        let (pair, mut now, settings) = (pair(), Instant::now(), settings());
        let mut last = Duration::ZERO;
        for _ in 0..3 {
            assert!(matches!(pair.take(stanza(1), now, &settings), Taken::Start));
            pair.failed(&timeout(), now, 1.0);
            let mut pause = Duration::ZERO;
            while !matches!(pair.take(stanza(2), now + pause, &settings), Taken::Start) {
                pause += Duration::from_secs(1);
            }
            pair.ended(Vec::new());
            assert!(pause > last);
            last = pause;
            now += pause;
            // The stanza that looked is still queued; it goes with the next failure.
            pair.failed(&timeout(), now, 0.0);
            pair.peer_is_up();
        }
    }

    #[test]
    fn what_was_not_written_goes_first_on_the_next_stream() {
        let (pair, now, settings) = (pair(), Instant::now(), settings());
        pair.take(stanza(1), now, &settings);
        let outbox = Outbox::new(10_000);
        let proven = super::super::tests::proven("one.example", "peer.example");
        assert!(pair.accepted(&outbox, proven).is_empty());
        assert!(matches!(pair.take(stanza(2), now, &settings), Taken::Yes));
        let unwritten = outbox.close();
        assert_eq!(unwritten.len(), 2);
        assert!(matches!(pair.take(stanza(3), now, &settings), Taken::Yes));
        assert!(pair.ended(unwritten));
        let ids: Vec<_> = pair
            .failed(&timeout(), now, 0.0)
            .iter()
            .map(|s| s.id().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(ids, ["1", "2", "3"]);
    }
}
