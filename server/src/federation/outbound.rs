//! The task of one pair that has something to send: a stream is found or brought about, or what waits bounces.
//!
//! Refuses: carrying. Once a stream carries the pair this task is over, and whoever runs the stream reports its end.

use std::sync::Arc;

use dna::Fault;
use tokio::time::Instant;
use xmpp::stanza::{Condition, StanzaError};

use super::Federation;
use super::attempts::Attempt;
use super::call::{Job, call};
use super::pair::Pair;
use super::queue::Queued;

pub(super) async fn run(federation: Arc<Federation>, pair: Arc<Pair>) {
    let job = Job::Pair(pair.clone());
    if let Err(error) = Box::pin(call(&federation, &pair.local, &pair.remote, &job)).await {
        fail(&federation, &pair, &error);
    }
}

fn fail(federation: &Federation, pair: &Pair, error: &StanzaError) {
    federation.count("out", "unreachable");
    let waiting = pair.failed(error, Instant::now(), rand::random());
    federation.give_up(pair, waiting, error);
}

/// The streams of a pair have ended too often before they took what was to be sent.
pub(super) fn keeps_ending(federation: &Federation, pair: &Pair, left: Vec<Queued>) {
    let why = "the peer closes each stream before it has taken what is sent";
    let mut attempt = Attempt::new("out");
    attempt.failed("stream-keeps-ending", Fault::Peer, why);
    federation.record(&pair.local, &pair.remote, &attempt);
    federation.count("out", "unreachable");
    let error = StanzaError::new(Condition::RemoteServerTimeout).with_text(why);
    federation.give_up(pair, left, &error);
}

impl Federation {
    /// Stanzas are not sent: whoever wrote them is told why. While the process is being stopped, what is in the store stays
    /// there, and the next one sends it.
    pub(super) fn give_up(&self, pair: &Pair, left: Vec<Queued>, error: &StanzaError) {
        for Queued { stanza, kept } in left {
            if let Some(kept) = kept {
                if self.stop.is_cancelled() && !kept.has_failed() {
                    continue;
                }
                self.ledger.forget(&pair.local, &kept);
            }
            self.parts.router.bounce(&stanza, error.clone());
        }
    }
}
