//! The task of one pair: a stream is brought about, carries, ends, and is brought about again while anything waits.

use std::sync::Arc;

use dna::Fault;
use tokio::time::Instant;
use xmpp::stanza::{Condition, StanzaError};

use super::Federation;
use super::attempts::Attempt;
use super::call::{Job, call};
use super::pair::Pair;

/// Streams in a row that may end with something unwritten before what waits bounces.
const ROUNDS: usize = 4;

pub(super) async fn run(federation: Arc<Federation>, pair: Arc<Pair>) {
    for _ in 0..ROUNDS {
        let job = Job::Pair(pair.clone());
        match Box::pin(call(&federation, &pair.local, &pair.remote, &job)).await {
            Ok(unwritten) => {
                if !pair.ended(unwritten) {
                    return;
                }
            }
            Err(error) => return fail(&federation, &pair, &error),
        }
    }
    let mut attempt = Attempt::new("out");
    attempt.failed(
        "stream-keeps-ending",
        Fault::Peer,
        "the peer closes each stream before it has taken what is sent",
    );
    federation.record(&pair.local, &pair.remote, &attempt);
    fail(&federation, &pair, &Condition::RemoteServerTimeout.into());
}

fn fail(federation: &Federation, pair: &Pair, error: &StanzaError) {
    federation.count("out", "unreachable");
    let waiting = pair.failed(error, Instant::now(), rand::random());
    for stanza in waiting {
        federation.parts.router.bounce(&stanza, error.clone());
    }
}
