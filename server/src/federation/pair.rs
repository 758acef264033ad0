//! One pair of domains, outbound: its queue, the stream that carries it, and how long it is left alone after a failure.
//!
//! A stream may carry many pairs, and a pair may find itself on more than one stream (its own, one shared with others, one
//! that the peer opened, XEP-0288); it uses one at a time, so that order holds (ROUTE-02). While a pair is connecting, exactly
//! one task looks after it; while it is carried, whoever runs that stream reports its end here, so no stanza is ever left
//! without anybody to send or bounce it. Refuses: growing without a bound while nobody answers, and sending what the peer has
//! said it will not take (STREAM-35).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use dna::{Prooftype, Proven};
use parking_lot::Mutex;
use tokio::time::Instant;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, Stanza, StanzaError};

use super::Settings;
use crate::session::{Lane, Outbox, PushError};
use crate::tenancy::Occupied;

/// Pause after a first failure; each further one doubles it.
const PAUSE: Duration = Duration::from_secs(2);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Streams in a row that may end early with something unwritten before what waits bounces.
const ROUNDS: u32 = 4;
/// A stream that lasted this long did not end early.
const LASTED: Duration = Duration::from_secs(60);

pub(super) struct Pair {
    pub(super) local: DomainName,
    pub(super) remote: DomainName,
    /// Among the peers that the tenant may have.
    _place: Option<Occupied>,
    state: Mutex<State>,
}

struct State {
    way: Way,
    /// Another stream that goes both ways and carries the pair, for when the one in use ends or has to.
    spare: Option<Carrier>,
    /// Failures in a row.
    failures: u32,
    /// Streams in a row that ended early with something unwritten.
    rounds: u32,
}

enum Way {
    /// No stream, no task.
    Rest,
    /// The last attempt failed; until then stanzas bounce at once, with what it failed with.
    Pause(Instant, Box<StanzaError>),
    /// A task is at it.
    Connecting(Queue),
    /// A stream carries it.
    Open(Carrier),
    /// That stream has ended and has not reported yet; this came since.
    Ending(Carrier, Queue),
}

/// What carries a pair.
pub(super) struct Carrier {
    /// Of the stream; it is the same for all pairs on it.
    pub(super) outbox: Arc<Outbox>,
    /// The pair's own place in it (DOS-10).
    lane: Lane,
    pub(super) proven: Proven,
    /// The largest stanza that the peer takes, in bytes, if it has said so (XEP-0478).
    pub(super) max_bytes: Option<usize>,
    /// We opened the stream.
    ours: bool,
    /// The peer's stanzas of the pair come in on it too (XEP-0288).
    both_ways: bool,
    since: Instant,
}

impl Carrier {
    pub(super) fn new(
        outbox: &Arc<Outbox>,
        proven: Proven,
        max_bytes: Option<usize>,
        (ours, both_ways): (bool, bool),
    ) -> Self {
        Self {
            outbox: outbox.clone(),
            lane: outbox.lane(),
            proven,
            max_bytes,
            ours,
            both_ways,
            since: Instant::now(),
        }
    }

    fn is(&self, outbox: &Arc<Outbox>) -> bool {
        Arc::ptr_eq(&self.outbox, outbox)
    }

    /// Where both sides called at once, two streams go both ways and one would do. XEP-0288 has no rule which; ours is one that
    /// both sides come to without a word: the stream stays that the domain with the lesser name opened.
    fn stays(&self) -> bool {
        let lesser = self.proven.local().as_str() < self.proven.remote().as_str();
        self.both_ways && self.ours == lesser
    }

    fn push(&self, stanza: &Stanza) -> Result<(), Refused> {
        let bytes = stanza.bytes();
        if self.max_bytes.is_some_and(|most| bytes.len() > most) {
            let error = StanzaError::new(Condition::PolicyViolation);
            return Err(Refused::With(Box::new(
                error.with_text("that server takes no stanza so large"),
            )));
        }
        match self.outbox.push_in(self.lane, bytes.clone()) {
            Ok(()) => Ok(()),
            Err(PushError::Full) => Err(Refused::With(full())),
            Err(PushError::Closed) => Err(Refused::Closed),
        }
    }
}

enum Refused {
    With(Box<StanzaError>),
    Closed,
}

fn full() -> Box<StanzaError> {
    let error = StanzaError::new(Condition::ResourceConstraint);
    Box::new(error.with_text("too much waits for that server already"))
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

/// What to do when a stream that carried the pair has ended.
pub(super) enum Next {
    /// Nothing waits, or something else looks after it.
    Nothing,
    /// Somebody must start the task.
    Start,
    /// It has ended too often; this is to be bounced.
    GiveUp(Vec<Stanza>),
}

/// Stanzas that could not be put onto a stream, each with why.
pub(super) type Left = Vec<(Stanza, Box<StanzaError>)>;

impl Pair {
    pub(super) fn new(local: DomainName, remote: DomainName, place: Option<Occupied>) -> Self {
        Self {
            local,
            remote,
            _place: place,
            state: Mutex::new(State {
                way: Way::Rest,
                spare: None,
                failures: 0,
                rounds: 0,
            }),
        }
    }

    /// Takes a stanza for the peer, in order (ROUTE-02).
    pub(super) fn take(&self, stanza: Stanza, now: Instant, settings: &Settings) -> Taken {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.settle();
        match &mut state.way {
            Way::Open(carrier) => match carrier.push(&stanza) {
                Ok(()) => Taken::Yes,
                Err(Refused::With(error)) => Taken::No(stanza, error),
                Err(Refused::Closed) => {
                    // The stream has just ended; whoever runs it comes by and finds this.
                    if let Way::Open(carrier) = std::mem::replace(&mut state.way, Way::Rest) {
                        state.way = Way::Ending(carrier, Queue::of(stanza));
                    }
                    Taken::Yes
                }
            },
            Way::Connecting(queue) | Way::Ending(_, queue) => {
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

    /// The stream may carry stanzas: what waited goes first. What does not fit comes back. A pair that is carried already
    /// stays where it is, since its order is kept there.
    pub(super) fn accepted(&self, carrier: Carrier) -> Left {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.failures = 0;
        let mut left = Vec::new();
        match &mut state.way {
            Way::Open(now) if !now.outbox.is_closed() => {
                let kept = state.spare.as_ref();
                let better = kept.is_none_or(|kept| kept.outbox.is_closed() || !kept.stays());
                if now.both_ways && carrier.both_ways && better {
                    // Whoever runs them asks how long they are to wait for more.
                    now.outbox.nudge();
                    carrier.outbox.nudge();
                    state.spare = Some(carrier);
                }
                return left;
            }
            Way::Connecting(queue) | Way::Ending(_, queue) => {
                for stanza in std::mem::take(queue).stanzas {
                    match carrier.push(&stanza) {
                        Ok(()) => {}
                        Err(Refused::With(error)) => left.push((stanza, error)),
                        Err(Refused::Closed) => {
                            let error = StanzaError::new(Condition::RemoteServerTimeout);
                            left.push((stanza, Box::new(error)));
                        }
                    }
                }
            }
            _ => {}
        }
        state.way = Way::Open(carrier);
        left
    }

    /// The stream that carries it has been judged again.
    pub(super) fn proven_anew(&self, outbox: &Arc<Outbox>, proven: &Proven) {
        for carrier in self.state.lock().carriers() {
            if carrier.is(outbox) {
                carrier.proven = proven.clone();
            }
        }
    }

    /// The peer has changed what it takes at most.
    pub(super) fn limited(&self, outbox: &Arc<Outbox>, max_bytes: usize) {
        for carrier in self.state.lock().carriers() {
            if carrier.is(outbox) {
                carrier.max_bytes = Some(max_bytes);
            }
        }
    }

    /// Whether this stream does nothing for the pair that another, which stays, would not do as well.
    pub(super) fn goes_elsewhere(&self, outbox: &Arc<Outbox>) -> bool {
        let mut state = self.state.lock();
        let (mut here, mut there) = (false, false);
        for carrier in state.carriers() {
            if carrier.is(outbox) {
                here = !carrier.stays();
            } else {
                there |= carrier.stays() && !carrier.outbox.is_closed();
            }
        }
        here && there
    }

    /// A stream that carried the pair has ended, with this of it unwritten.
    pub(super) fn ended(&self, outbox: &Arc<Outbox>, unwritten: Vec<Stanza>) -> Next {
        let mut queue = Queue::default();
        for stanza in unwritten {
            queue.push(stanza);
        }
        let mut state = self.state.lock();
        let state = &mut *state;
        state
            .spare
            .take_if(|spare| spare.is(outbox) || spare.outbox.is_closed());
        if let Way::Open(carrier) | Way::Ending(carrier, _) = &state.way
            && carrier.is(outbox)
            && let Some(spare) = state.spare.take()
        {
            // The other stream carries on.
            let was = std::mem::replace(&mut state.way, Way::Open(spare));
            if let Way::Ending(_, later) = was {
                for stanza in later.stanzas {
                    queue.push(stanza);
                }
            }
        }
        match std::mem::replace(&mut state.way, Way::Rest) {
            Way::Open(carrier) if carrier.is(outbox) => {
                if queue.stanzas.is_empty() {
                    state.rounds = 0;
                    return Next::Nothing;
                }
                state.again(&carrier, queue)
            }
            Way::Ending(carrier, later) if carrier.is(outbox) => {
                for stanza in later.stanzas {
                    queue.push(stanza);
                }
                state.again(&carrier, queue)
            }
            Way::Rest | Way::Pause(..) if !queue.stanzas.is_empty() => {
                state.way = Way::Connecting(queue);
                Next::Start
            }
            // It goes another way already; what this stream left goes first where it still waits, else behind.
            Way::Connecting(later) => {
                for stanza in later.stanzas {
                    queue.push(stanza);
                }
                state.way = Way::Connecting(queue);
                Next::Nothing
            }
            Way::Ending(carrier, later) => {
                for stanza in later.stanzas {
                    queue.push(stanza);
                }
                state.way = Way::Ending(carrier, queue);
                Next::Nothing
            }
            Way::Open(carrier) => state.goes_on(carrier, queue),
            way => {
                state.way = way;
                Next::Nothing
            }
        }
    }

    /// No stream came about. Gives what waited, to be bounced with `error`. `spread` in 0..=1 spreads the pauses of many
    /// pairs (STREAM-33). A pair that another stream has come to carry meanwhile stays on it.
    pub(super) fn failed(&self, error: &StanzaError, now: Instant, spread: f64) -> Vec<Stanza> {
        let mut state = self.state.lock();
        if !matches!(state.way, Way::Connecting(_)) {
            return Vec::new();
        }
        let doubled = PAUSE.saturating_mul(1 << state.failures.min(10));
        let pause = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + spread / 2.0);
        state.failures = state.failures.saturating_add(1);
        state.rounds = 0;
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
            Way::Open(carrier) => Some(carrier.proven.by()),
            _ => None,
        }
    }

    /// The pair goes over that stream no longer, though the stream may go on for others. What waits there for it is
    /// withdrawn, and wants another way.
    pub(super) fn leave(&self, outbox: &Arc<Outbox>) -> Next {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.spare.take_if(|spare| spare.is(outbox));
        let mut queue = Queue::default();
        match std::mem::replace(&mut state.way, Way::Rest) {
            Way::Open(carrier) if carrier.is(outbox) => {
                for bytes in carrier.outbox.withdraw(carrier.lane) {
                    // It was written from a stanza.
                    if let Ok(stanza) = Stanza::from_bytes(&bytes) {
                        queue.push(stanza);
                    }
                }
            }
            // What came since the stream ended; the rest comes with the report of its end.
            Way::Ending(carrier, later) if carrier.is(outbox) => queue = later,
            way => {
                state.way = way;
                return Next::Nothing;
            }
        }
        if let Some(spare) = state.spare.take().filter(|spare| !spare.outbox.is_closed()) {
            return state.goes_on(spare, queue);
        }
        if queue.stanzas.is_empty() {
            return Next::Nothing;
        }
        state.way = Way::Connecting(queue);
        Next::Start
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

impl State {
    fn carriers(&mut self) -> impl Iterator<Item = &mut Carrier> {
        let now = match &mut self.way {
            Way::Open(carrier) => Some(carrier),
            _ => None,
        };
        now.into_iter().chain(&mut self.spare)
    }

    /// The pair goes on over this stream, and what waits goes first.
    fn goes_on(&mut self, carrier: Carrier, queue: Queue) -> Next {
        let waiting = queue.stanzas.into_iter();
        let refused: Vec<_> = waiting
            .filter(|stanza| carrier.push(stanza).is_err())
            .collect();
        self.way = Way::Open(carrier);
        match refused.is_empty() {
            true => Next::Nothing,
            false => Next::GiveUp(refused),
        }
    }

    /// Goes over to the stream that stays, once the peer has said that it has everything that went over the other: so order
    /// holds (ROUTE-02). A peer that says no such thing is left where it is, until that stream ends.
    fn settle(&mut self) {
        if let Way::Open(now) = &mut self.way
            && let Some(spare) = &mut self.spare
            && spare.stays()
            && !now.stays()
            && !spare.outbox.is_closed()
            && now.outbox.acknowledges()
            && now.outbox.is_drained(now.lane)
        {
            std::mem::swap(now, spare);
        }
    }

    /// Another stream is wanted, unless there have been too many.
    fn again(&mut self, carrier: &Carrier, queue: Queue) -> Next {
        self.rounds = if carrier.since.elapsed() >= LASTED {
            0
        } else {
            self.rounds + 1
        };
        if self.rounds >= ROUNDS {
            self.rounds = 0;
            return Next::GiveUp(queue.stanzas.into());
        }
        self.way = Way::Connecting(queue);
        Next::Start
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
    use bytes::Bytes;

    use super::*;
    use crate::net::limits::StreamLimits;

    fn pair() -> Pair {
        let name = |name| DomainName::parse(name).expect("a domain");
        Pair::new(name("one.example"), name("peer.example"), None)
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

    fn ids(stanzas: &[Stanza]) -> Vec<&str> {
        stanzas.iter().filter_map(Stanza::id).collect()
    }

    fn carrier(outbox: &Arc<Outbox>) -> Carrier {
        let proven = super::super::tests::proven("one.example", "peer.example");
        Carrier::new(outbox, proven, None, (true, false))
    }

    /// `one.example` is the lesser name: a stream of ours stays.
    fn both_ways(outbox: &Arc<Outbox>, ours: bool) -> Carrier {
        Carrier {
            ours,
            both_ways: true,
            ..carrier(outbox)
        }
    }

    fn stanzas(bytes: Vec<Bytes>) -> Vec<Stanza> {
        let read = |bytes: Bytes| Stanza::from_bytes(&bytes).expect("a stanza");
        bytes.into_iter().map(read).collect()
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
        assert!(pair.accepted(carrier(&outbox)).is_empty());
        assert!(matches!(pair.take(stanza(2), now, &settings), Taken::Yes));
        let unwritten = stanzas(outbox.close());
        assert_eq!(unwritten.len(), 2);
        assert!(matches!(pair.take(stanza(3), now, &settings), Taken::Yes));
        assert!(matches!(pair.ended(&outbox, unwritten), Next::Start));
        assert_eq!(ids(&pair.failed(&timeout(), now, 0.0)), ["1", "2", "3"]);
    }

    #[test]
    fn streams_that_keep_ending_are_given_up() {
        let (pair, now, settings) = (pair(), Instant::now(), settings());
        assert!(matches!(pair.take(stanza(1), now, &settings), Taken::Start));
        for round in 1.. {
            let outbox = Outbox::new(10_000);
            pair.accepted(carrier(&outbox));
            match pair.ended(&outbox, stanzas(outbox.close())) {
                Next::Start => assert!(round < ROUNDS),
                Next::GiveUp(left) => {
                    assert_eq!((ids(&left), round), (vec!["1"], ROUNDS));
                    break;
                }
                Next::Nothing => panic!("a stanza is lost"),
            }
        }
    }

    #[test]
    fn route_02_04_a_pair_stays_on_the_stream_that_carries_it() {
        let (pair, now, settings) = (pair(), Instant::now(), settings());
        let (one, two) = (Outbox::new(10_000), Outbox::new(10_000));
        pair.take(stanza(1), now, &settings);
        pair.accepted(carrier(&one));
        pair.accepted(carrier(&two));
        pair.take(stanza(2), now, &settings);
        assert_eq!(ids(&stanzas(two.close())), [""; 0], "nothing goes around");
        assert!(matches!(pair.ended(&two, Vec::new()), Next::Nothing));
        assert_eq!(pair.open_by(), Some(Prooftype::Dialback), "still carried");
        // A task that was connecting for it does not take it down when it fails.
        assert!(pair.failed(&timeout(), now, 0.0).is_empty());
        let three = Outbox::new(10_000);
        let unwritten = stanzas(one.close());
        pair.accepted(carrier(&three));
        assert!(matches!(pair.ended(&one, unwritten), Next::Nothing));
        assert_eq!(ids(&stanzas(three.close())), ["1", "2"]);
    }

    /// Both sides called at once: one stream stays, and nothing is lost or overtaken on the way there.
    #[test]
    fn bidi_of_two_streams_both_ways_the_lesser_names_stays() {
        let (pair, now, settings) = (pair(), Instant::now(), settings());
        let (theirs, ours) = (Outbox::new(10_000), Outbox::new(10_000));
        theirs.keep();
        pair.take(stanza(1), now, &settings);
        pair.accepted(both_ways(&theirs, false));
        assert!(!pair.goes_elsewhere(&theirs));
        pair.accepted(both_ways(&ours, true));
        assert!(pair.goes_elsewhere(&theirs) && !pair.goes_elsewhere(&ours));
        // What is not acknowledged is not overtaken.
        pair.take(stanza(2), now, &settings);
        assert_eq!(ids(&stanzas(ours.close_after(Vec::new()))), [""; 0]);
        let ours = Outbox::new(10_000);
        pair.accepted(both_ways(&ours, true));
        let waker = std::task::Waker::noop();
        let mut taken = crate::session::outbox::Taken::default();
        let mut context = std::task::Context::from_waker(waker);
        let _ = theirs.poll_take(&mut context, true, &mut Vec::new(), &mut taken);
        theirs.acked(2).expect("sent");
        pair.take(stanza(3), now, &settings);
        // The other's end finds the pair where it stays, with what came since.
        assert!(matches!(
            pair.ended(&theirs, stanzas(theirs.close())),
            Next::Nothing
        ));
        pair.take(stanza(4), now, &settings);
        assert_eq!(ids(&stanzas(ours.close())), ["3", "4"]);
    }

    #[test]
    fn bidi_a_stream_that_ends_leaves_the_pair_to_the_other() {
        let (pair, now, settings) = (pair(), Instant::now(), settings());
        let (theirs, ours) = (Outbox::new(10_000), Outbox::new(10_000));
        pair.take(stanza(1), now, &settings);
        pair.accepted(both_ways(&theirs, false));
        pair.accepted(both_ways(&ours, true));
        // Nothing says that it has arrived: it goes first on the other.
        pair.take(stanza(2), now, &settings);
        let unwritten = stanzas(theirs.close());
        pair.take(stanza(3), now, &settings);
        assert!(matches!(pair.ended(&theirs, unwritten), Next::Nothing));
        assert_eq!(ids(&stanzas(ours.close())), ["1", "2", "3"]);
        // The same where the pair comes off a stream that goes on for others.
        let (theirs, ours) = (Outbox::new(10_000), Outbox::new(10_000));
        pair.accepted(both_ways(&theirs, false));
        pair.accepted(both_ways(&ours, true));
        pair.take(stanza(4), now, &settings);
        assert!(matches!(pair.leave(&theirs), Next::Nothing));
        pair.take(stanza(5), now, &settings);
        assert_eq!(ids(&stanzas(theirs.close())), [""; 0]);
        assert_eq!(ids(&stanzas(ours.close())), ["4", "5"]);
    }

    #[test]
    fn a_pair_that_leaves_a_stream_takes_along_what_waits_and_no_more() {
        let (pair, other, now, settings) = (pair(), pair(), Instant::now(), settings());
        let outbox = Outbox::new(10_000);
        for (pair, id) in [(&pair, 1), (&other, 2)] {
            pair.take(stanza(id), now, &settings);
            pair.accepted(carrier(&outbox));
        }
        assert!(matches!(pair.leave(&outbox), Next::Start));
        assert!(matches!(other.leave(&Outbox::new(1)), Next::Nothing));
        assert!(matches!(pair.take(stanza(3), now, &settings), Taken::Yes));
        // The stream reports its end to everybody who was on it.
        let unwritten = stanzas(outbox.close());
        assert_eq!(ids(&unwritten), ["2"]);
        assert!(matches!(pair.ended(&outbox, Vec::new()), Next::Nothing));
        assert_eq!(ids(&pair.failed(&timeout(), now, 0.0)), ["1", "3"]);
    }

    #[test]
    fn stream_35_what_the_peer_does_not_take_is_not_sent() {
        let (pair, now, settings) = (pair(), Instant::now(), settings());
        let outbox = Outbox::new(10_000);
        let size = stanza(1).bytes().len();
        pair.take(stanza(100), now, &settings);
        pair.take(stanza(1), now, &settings);
        let limited = Carrier {
            max_bytes: Some(size),
            ..carrier(&outbox)
        };
        let left = pair.accepted(limited);
        assert_eq!(left.len(), 1, "what waited is looked at too");
        assert_eq!(left[0].1.condition, Condition::PolicyViolation);
        let Taken::No(_, error) = pair.take(stanza(100), now, &settings) else {
            panic!("too large");
        };
        assert_eq!(error.condition, Condition::PolicyViolation);
        assert!(matches!(pair.take(stanza(2), now, &settings), Taken::Yes));
        pair.limited(&outbox, size + 2);
        assert!(matches!(pair.take(stanza(100), now, &settings), Taken::Yes));
    }
}
