//! One pair of domains, outbound: its queue, the stream that carries it, and how long it is left alone after a failure.
//!
//! A stream may carry many pairs, and a pair may find itself on more than one stream (its own, one shared with others, one
//! that the peer opened, XEP-0288); it uses one at a time, so that order holds (ROUTE-02). While a pair is connecting, exactly
//! one task looks after it; while it is carried, whoever runs that stream reports its end here, so no stanza is ever left
//! without anybody to send or bounce it. Refuses: growing without a bound while nobody answers, and sending what the peer has
//! said it will not take (STREAM-35).
//!
//! What an account would miss (`kept`) has a row in the store while it waits here, and while a stream that it was given to from
//! here has not brought it to the peer. What comes while a stream is open has none: whoever wrote it is told once the stream
//! has written it, and it gets one when the stream gives it back. What nobody can be told of who wrote it waits for another
//! attempt ([`patient`]).

pub(super) mod patient;
mod rows;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use dna::{Prooftype, Proven};
use parking_lot::Mutex;
use tokio::time::Instant;
use xmpp::jid::DomainName;
use xmpp::stanza::{Condition, Stanza, StanzaError};
use xmpp::timestamp::Timestamp;

use self::patient::Patient;
use super::Settings;
use super::carrier::{Carrier, Refused};
use super::kept::{Kept, Ledger, may_be_kept};
use super::queue::{InFlight, Queue, Queued, Times};
use crate::session::{Outbox, Progress};
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
    ledger: Arc<Ledger>,
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
    /// Rows of what was given to streams.
    in_flight: InFlight,
    /// Streams that the pair has left, and that may still write what they had taken of it.
    former: Vec<(Arc<Progress>, Weak<Outbox>)>,
    /// What waits for another attempt while the pair rests.
    patient: Patient,
    times: Times,
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

/// What has to happen before whoever wrote a stanza may be told that it is on its way.
pub(super) enum Hold {
    /// Nothing.
    None,
    /// A stream writes it, as this item.
    Stream(Arc<Progress>, u64, Bytes),
    /// It is committed; somebody must begin.
    Row(Arc<Kept>),
}

/// What became of a stanza.
pub(super) enum Taken {
    /// It waits or is on its way.
    Yes(Hold),
    /// It waits, and somebody must start the task.
    Start(Hold),
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
    GiveUp(Vec<Queued>),
}

/// Stanzas that could not be put onto a stream, each with why.
pub(super) type Left = Vec<(Queued, Box<StanzaError>)>;

impl Pair {
    /// `clock` tells when stanzas come that wait here.
    pub(super) fn new(
        (local, remote): (DomainName, DomainName),
        place: Option<Occupied>,
        ledger: Arc<Ledger>,
        clock: fn() -> Timestamp,
    ) -> Self {
        Self {
            local,
            remote,
            _place: place,
            ledger,
            state: Mutex::new(State {
                way: Way::Rest,
                spare: None,
                failures: 0,
                rounds: 0,
                in_flight: InFlight::default(),
                former: Vec::new(),
                patient: Patient::default(),
                times: Times::new(clock),
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
                Ok(_) if !may_be_kept(&stanza) => Taken::Yes(Hold::None),
                Ok(number) => {
                    let progress = carrier.progress.clone();
                    Taken::Yes(Hold::Stream(progress, number, stanza.bytes().clone()))
                }
                Err(Refused::With(error)) => Taken::No(stanza, error),
                Err(Refused::Closed) => {
                    // The stream has just ended; whoever runs it comes by and finds this.
                    let (queue, hold) = state.times.queue_of(stanza);
                    if let Way::Open(carrier) = std::mem::replace(&mut state.way, Way::Rest) {
                        state.way = Way::Ending(carrier, queue);
                    }
                    Taken::Yes(hold)
                }
            },
            Way::Connecting(queue) | Way::Ending(_, queue) => {
                let most = (settings.queue_stanzas, settings.queue_bytes);
                if let Err(full) = queue.has_room(stanza.bytes().len(), most) {
                    return Taken::No(stanza, full);
                }
                let (one, hold) = state.times.queue_of(stanza);
                queue.append(one);
                Taken::Yes(hold)
            }
            Way::Pause(until, error) if now < *until => Taken::No(stanza, error.clone()),
            Way::Rest | Way::Pause(..) => {
                let (queue, hold) = state.times.queue_of(stanza);
                state.connect(queue);
                Taken::Start(hold)
            }
        }
    }

    /// The stream may carry stanzas: what waited goes first. What does not fit comes back. A pair that is carried already
    /// stays where it is, since its order is kept there.
    pub(super) fn accepted(self: &Arc<Self>, carrier: Carrier) -> Left {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.failures = 0;
        state.patient.attempts = 0;
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
                Vec::new()
            }
            Way::Connecting(queue) | Way::Ending(_, queue) => {
                let queue = std::mem::take(queue);
                state.goes_on(self, carrier, queue)
            }
            _ => {
                let queue = state.patient.leave();
                state.goes_on(self, carrier, queue)
            }
        }
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

    /// A stream that carried the pair has ended, with this of it unwritten. What of that is kept has a row then; somebody must
    /// begin with committing it.
    pub(super) fn ended(self: &Arc<Self>, outbox: &Arc<Outbox>, unwritten: Vec<Stanza>) -> Next {
        let mut state = self.state.lock();
        let state = &mut *state;
        let mut queue = state.came_back(outbox, unwritten);
        state.former.retain(|(_, former)| {
            former.strong_count() > 0 && !former.ptr_eq(&Arc::downgrade(outbox))
        });
        for kept in state.in_flight.ended(outbox) {
            self.ledger.forget(&self.local, &kept);
        }
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
                queue.append(later);
            }
        }
        match std::mem::replace(&mut state.way, Way::Rest) {
            Way::Open(carrier) if carrier.is(outbox) => {
                if queue.is_empty() {
                    state.rounds = 0;
                    return Next::Nothing;
                }
                state.again(&carrier, queue)
            }
            Way::Ending(carrier, later) if carrier.is(outbox) => {
                queue.append(later);
                state.again(&carrier, queue)
            }
            Way::Rest | Way::Pause(..) if !queue.is_empty() => {
                state.connect(queue);
                Next::Start
            }
            // It goes another way already; what this stream left goes first where it still waits, else behind.
            Way::Connecting(later) => {
                queue.append(later);
                state.way = Way::Connecting(queue);
                Next::Nothing
            }
            Way::Ending(carrier, later) => {
                queue.append(later);
                state.way = Way::Ending(carrier, queue);
                Next::Nothing
            }
            Way::Open(carrier) => Next::of(state.goes_on(self, carrier, queue)),
            way => {
                state.way = way;
                Next::Nothing
            }
        }
    }

    /// No stream came about. Gives what waited, to be bounced with `error`. `spread` in 0..=1 spreads the pauses of many
    /// pairs (STREAM-33). A pair that another stream has come to carry meanwhile stays on it.
    pub(super) fn failed(&self, error: &StanzaError, now: Instant, spread: f64) -> Vec<Queued> {
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
            Way::Connecting(queue) => queue.waiting.into(),
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
    /// withdrawn, and wants another way; of rows as [`Pair::ended`].
    pub(super) fn leave(self: &Arc<Self>, outbox: &Arc<Outbox>) -> Next {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.spare.take_if(|spare| spare.is(outbox));
        let queue = match std::mem::replace(&mut state.way, Way::Rest) {
            Way::Open(carrier) if carrier.is(outbox) => {
                let withdrawn = carrier.outbox.withdraw(carrier.lane).into_iter();
                let former = Arc::downgrade(&carrier.outbox);
                state.former.push((carrier.progress, former));
                // They were written from stanzas.
                let withdrawn = withdrawn.filter_map(|bytes| Stanza::from_bytes(&bytes).ok());
                state.came_back(outbox, withdrawn.collect())
            }
            // What came since the stream ended; the rest comes with the report of its end.
            Way::Ending(carrier, later) if carrier.is(outbox) => later,
            way => {
                state.way = way;
                return Next::Nothing;
            }
        };
        if let Some(spare) = state.spare.take().filter(|spare| !spare.outbox.is_closed()) {
            return Next::of(state.goes_on(self, spare, queue));
        }
        if queue.is_empty() {
            return Next::Nothing;
        }
        state.connect(queue);
        Next::Start
    }

    /// Nothing would be lost by forgetting it.
    pub(super) fn is_forgettable(&self, now: Instant) -> bool {
        let state = self.state.lock();
        let rests = match &state.way {
            Way::Rest => true,
            Way::Pause(until, _) => now >= *until,
            _ => false,
        };
        rests && state.patient.queue.is_empty()
    }
}

impl State {
    /// A stream is wanted for this, and for what has waited longer.
    fn connect(&mut self, later: Queue) {
        let mut queue = self.patient.leave();
        queue.append(later);
        self.way = Way::Connecting(queue);
    }

    fn carriers(&mut self) -> impl Iterator<Item = &mut Carrier> {
        let now = match &mut self.way {
            Way::Open(carrier) => Some(carrier),
            _ => None,
        };
        now.into_iter().chain(&mut self.spare)
    }

    /// The pair goes on over this stream, and what waits goes first. What does not fit comes back.
    fn goes_on(&mut self, pair: &Arc<Pair>, carrier: Carrier, queue: Queue) -> Left {
        let mark = self.in_flight.next_mark();
        let (mut left, mut marked) = (Vec::new(), false);
        for queued in queue.waiting {
            match carrier.push(&queued.stanza) {
                Ok(item) => {
                    if let Some(kept) = queued.kept {
                        marked = true;
                        let put = (kept, queued.stanza.bytes().clone());
                        self.in_flight.put(put, (&carrier.outbox, item), mark);
                    }
                }
                Err(Refused::With(error)) => left.push((queued, error)),
                Err(Refused::Closed) => {
                    let error = StanzaError::new(Condition::RemoteServerTimeout);
                    left.push((queued, Box::new(error)));
                }
            }
        }
        if marked {
            pair.mark(&carrier.outbox, mark);
        }
        self.way = Way::Open(carrier);
        left
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
            return Next::GiveUp(queue.waiting.into());
        }
        self.way = Way::Connecting(queue);
        Next::Start
    }
}

impl Next {
    fn of(left: Left) -> Self {
        match left.is_empty() {
            true => Self::Nothing,
            false => Self::GiveUp(left.into_iter().map(|(queued, _)| queued).collect()),
        }
    }
}
