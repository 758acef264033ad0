//! What waits for another attempt, though no stream came about: it was acknowledged, and nobody is there who could be told that
//! it was not sent. Left by another process above all, whose first look at the DNS may come before the network does.
//!
//! While it waits here the pair rests as ever: what comes in the pause bounces at once, and what comes after it goes behind.
//! Refuses: waiting for ever; whoever puts something here knows for how long.

use std::sync::Arc;

use tokio::time::Instant;
use xmpp::jid::Jid;
use xmpp::ns;
use xmpp::stanza::delay;

use super::{LONGEST_PAUSE, Left, PAUSE, Pair, Way};
use crate::federation::Settings;
use crate::federation::queue::{Queue, Queued};

/// What waits so in one pair.
#[derive(Default)]
pub(in crate::federation) struct Patient {
    pub(super) queue: Queue,
    /// How often it has waited, since a stream last came about.
    pub(super) attempts: u32,
    /// A task waits for this moment.
    until: Option<Instant>,
}

impl Patient {
    /// Everything goes on its way, with the time it was written (XEP-0203).
    pub(super) fn leave(&mut self) -> Queue {
        self.until = None;
        let mut queue = Queue::default();
        for Queued { stanza, kept } in std::mem::take(&mut self.queue).waiting {
            let stanza = match (&kept, stanza.from().map(Jid::domain_name)) {
                (Some(kept), Some(from)) if !stanza.has_child("delay", ns::DELAY) => {
                    stanza.with_child(&delay(&Jid::from(from), kept.at()))
                }
                _ => stanza,
            };
            queue.push(Queued { stanza, kept });
        }
        queue
    }
}

/// What the task that waits has to do next.
pub(in crate::federation) enum Again {
    /// Nothing is left for it.
    Nothing,
    /// To look again then.
    Wait(Instant),
    /// A stream is wanted.
    Start,
    /// A stream was there; it did not take these.
    Left(Left),
}

impl Pair {
    /// Lets these wait. `true`: somebody must start a task that asks [`Pair::again`]. What has no row, and no room, comes back.
    /// What has one, or is about to, was acknowledged: it is taken whatever waits, and its bound is that under which it was
    /// accepted. `spread` in 0..=1 spreads the attempts of many pairs (STREAM-33).
    pub(in crate::federation) fn wait(
        &self,
        stanzas: Vec<Queued>,
        (now, spread): (Instant, f64),
        settings: &Settings,
    ) -> (bool, Vec<Queued>) {
        let mut state = self.state.lock();
        let patient = &mut state.patient;
        let most = (settings.queue_stanzas, settings.queue_bytes);
        let mut without = Vec::new();
        for queued in stanzas {
            let has_row = queued.kept.as_ref().is_some_and(|kept| kept.wants_row());
            let bytes = queued.stanza.bytes().len();
            if has_row || patient.queue.has_room(bytes, most).is_ok() {
                patient.queue.push(queued);
            } else {
                without.push(queued);
            }
        }
        if patient.queue.is_empty() || patient.until.is_some() {
            return (false, without);
        }
        let doubled = PAUSE.saturating_mul(1 << patient.attempts.min(10));
        let pause = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + spread / 2.0);
        patient.attempts = patient.attempts.saturating_add(1);
        patient.until = Some(now + pause);
        (true, without)
    }

    /// What another process has left, oldest first; it goes on its way at that time, or with what comes before. `true`: somebody
    /// must start a task that asks [`Pair::again`].
    pub(in crate::federation) fn restore(&self, left: Vec<Queued>, at: Instant) -> bool {
        let mut state = self.state.lock();
        let state = &mut *state;
        for queued in left {
            if let Some(kept) = &queued.kept {
                state.times.after(kept.at());
            }
            state.patient.queue.push(queued);
        }
        let nobody = state.patient.until.replace(at).is_none();
        nobody && !state.patient.queue.is_empty()
    }

    /// The time has come to try again, perhaps.
    pub(in crate::federation) fn again(self: &Arc<Self>, now: Instant) -> Again {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(until) = state.patient.until else {
            return Again::Nothing;
        };
        let until = match &state.way {
            Way::Pause(pause, _) => until.max(*pause),
            _ => until,
        };
        if now < until {
            return Again::Wait(until);
        }
        match std::mem::replace(&mut state.way, Way::Rest) {
            Way::Rest | Way::Pause(..) => {
                state.connect(Queue::default());
                Again::Start
            }
            Way::Connecting(mut queue) => {
                queue.append(state.patient.leave());
                state.way = Way::Connecting(queue);
                Again::Nothing
            }
            Way::Ending(carrier, mut queue) => {
                queue.append(state.patient.leave());
                state.way = Way::Ending(carrier, queue);
                Again::Nothing
            }
            Way::Open(carrier) => {
                let queue = state.patient.leave();
                Again::Left(state.goes_on(self, carrier, queue))
            }
        }
    }

    /// The domain is not served any more, or not by the same customer: its rows stay in the store, and are looked for there when
    /// it is served again.
    pub(in crate::federation) fn forget_patient(&self) {
        let patient = std::mem::take(&mut self.state.lock().patient);
        for kept in patient.queue.rows().filter(|kept| kept.has_failed()) {
            // It has no row, and nobody is to wait for one.
            self.ledger.forget(&self.local, kept);
        }
    }
}
