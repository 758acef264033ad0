//! The task of one pair that has something to send: a stream is found or brought about, or what waits bounces.
//!
//! Refuses: carrying. Once a stream carries the pair this task is over, and whoever runs the stream reports its end.

use std::sync::Arc;

use dna::Fault;
use tokio::time::Instant;
use xmpp::stanza::{Condition, Stanza, StanzaError};

use super::Federation;
use super::attempts::Attempt;
use super::call::{Job, call};
use super::pair::Pair;

pub(super) async fn run(federation: Arc<Federation>, pair: Arc<Pair>) {
    let job = Job::Pair(pair.clone());
    if let Err(error) = Box::pin(call(&federation, &pair.local, &pair.remote, &job)).await {
        fail(&federation, &pair, &error);
    }
}

fn fail(federation: &Federation, pair: &Pair, error: &StanzaError) {
    federation.count("out", "unreachable");
    let waiting = pair.failed(error, Instant::now(), rand::random());
    for stanza in waiting {
        federation.parts.router.bounce(&stanza, error.clone());
    }
}

/// The streams of a pair have ended too often before they took what was to be sent.
pub(super) fn keeps_ending(federation: &Federation, pair: &Pair, left: Vec<Stanza>) {
    let why = "the peer closes each stream before it has taken what is sent";
    let mut attempt = Attempt::new("out");
    attempt.failed("stream-keeps-ending", Fault::Peer, why);
    federation.record(&pair.local, &pair.remote, &attempt);
    federation.count("out", "unreachable");
    let error = StanzaError::new(Condition::RemoteServerTimeout).with_text(why);
    for stanza in left {
        federation.parts.router.bounce(&stanza, error.clone());
    }
}
