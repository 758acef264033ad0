//! The task of one pair that has something to send: a stream is found or brought about, or what waits bounces, or waits for
//! another attempt.
//!
//! Refuses: carrying. Once a stream carries the pair this task is over, and whoever runs the stream reports its end.

use std::sync::Arc;
use std::time::Duration;

use dna::Fault;
use tokio::time::Instant;
use xmpp::stanza::{Condition, StanzaError};

use super::Federation;
use super::attempts::Attempt;
use super::call::{Job, call};
use super::kept::Kept;
use super::pair::patient::Again;
use super::pair::{Left, Pair};
use super::queue::Queued;
use crate::net::now;

/// What another process has left is tried again for so long, whoever is there to be told that it was not sent.
const TRIED: Duration = Duration::from_secs(24 * 60 * 60);
/// Whoever wrote it has so long to come and be told.
const TOLD_WITHIN: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(super) async fn run(federation: Arc<Federation>, pair: Arc<Pair>) {
    let job = Job::Pair(pair.clone());
    if let Err(error) = Box::pin(call(&federation, &pair.local, &pair.remote, &job)).await {
        fail(&federation, &pair, &error);
    }
}

/// Waits until what is patient has had its pause, and tries again.
async fn again(federation: Arc<Federation>, pair: Arc<Pair>) {
    loop {
        let domain = federation.parts.tenancy.get(pair.local.as_str());
        if domain.is_none_or(|domain| !domain.served) {
            return pair.forget_patient();
        }
        match pair.again(Instant::now()) {
            Again::Nothing => return,
            Again::Start => return run(federation, pair).await,
            Again::Left(left) => return federation.give_up_left(&pair, left),
            Again::Wait(until) => tokio::select! {
                () = federation.stop.cancelled() => return,
                () = tokio::time::sleep_until(until) => {}
            },
        }
    }
}

fn fail(federation: &Federation, pair: &Arc<Pair>, error: &StanzaError) {
    federation.count("out", "unreachable");
    let waiting = pair.failed(error, Instant::now(), rand::random());
    federation.give_up(pair, waiting, error);
}

/// The streams of a pair have ended too often before they took what was to be sent.
pub(super) fn keeps_ending(federation: &Federation, pair: &Arc<Pair>, left: Vec<Queued>) {
    let why = "the peer closes each stream before it has taken what is sent";
    let mut attempt = Attempt::new("out");
    attempt.failed("stream-keeps-ending", Fault::Peer, why);
    federation.record(&pair.local, &pair.remote, &attempt);
    federation.count("out", "unreachable");
    let error = StanzaError::new(Condition::RemoteServerTimeout).with_text(why);
    federation.give_up(pair, left, &error);
}

/// What becomes of a stanza that is not sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// Whoever wrote it hears of it.
    Told,
    /// It waits for another attempt, or for whoever wrote it.
    Waits,
    /// Nobody came in all that time.
    Lost,
}

impl Federation {
    /// Stanzas are not sent: whoever wrote them is told why. Those of which nobody can be told wait for another attempt; so
    /// does what another process has left, for a day. While the process is being stopped, what is in the store stays there,
    /// and the next one sends it.
    pub(super) fn give_up(&self, pair: &Arc<Pair>, left: Vec<Queued>, error: &StanzaError) {
        let mut waiting = Vec::new();
        for queued in left {
            let fate = match &queued.kept {
                Some(kept) if !kept.has_failed() => self.fate(&queued, kept),
                _ => Fate::Told,
            };
            if fate == Fate::Waits {
                waiting.push(queued);
                continue;
            }
            self.give_up_one(pair, &queued, error);
        }
        if waiting.is_empty() {
            return;
        }
        let (start, without) = {
            let at = (Instant::now(), rand::random());
            pair.wait(waiting, at, &self.parts.settings)
        };
        // Whoever waits for them to be durable does so until they are.
        self.ledger.write(&pair.local, &pair.rows());
        for queued in without {
            self.give_up_one(pair, &queued, error);
        }
        if start {
            self.send_again(pair.clone());
        }
    }

    /// Stanzas that a stream did not take, those together that were refused for the same reason.
    pub(super) fn give_up_left(&self, pair: &Arc<Pair>, left: Left) {
        let mut alike: Vec<Queued> = Vec::new();
        let mut why: Option<Box<StanzaError>> = None;
        for (queued, error) in left {
            if let Some(before) = why.replace(error)
                && why.as_ref() != Some(&before)
            {
                self.give_up(pair, std::mem::take(&mut alike), &before);
            }
            alike.push(queued);
        }
        if let Some(error) = why {
            self.give_up(pair, alike, &error);
        }
    }

    fn fate(&self, queued: &Queued, kept: &Kept) -> Fate {
        let age = Duration::from_micros(
            u64::try_from(now().0.saturating_sub(kept.at().0)).unwrap_or_default(),
        );
        if self.stop.is_cancelled() || (kept.was_found() && age < TRIED) {
            Fate::Waits
        } else if self.parts.router.can_tell(&queued.stanza) {
            Fate::Told
        } else if age < TOLD_WITHIN {
            Fate::Waits
        } else {
            Fate::Lost
        }
    }

    fn give_up_one(&self, pair: &Pair, queued: &Queued, error: &StanzaError) {
        if let Some(kept) = &queued.kept {
            self.ledger.forget(&pair.local, kept);
        }
        if !self.parts.router.tell(&queued.stanza, error.clone()) {
            tracing::warn!(local = %pair.local, remote = %pair.remote, "a stanza was not sent, and nobody could be told");
        }
    }

    /// Begins with what waits for the pair from before.
    pub(super) fn send_again(&self, pair: Arc<Pair>) {
        if let Some(this) = self.this.upgrade() {
            self.spawn(again(this, pair));
        }
    }
}
