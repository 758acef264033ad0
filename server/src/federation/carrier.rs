//! A stream as one of the pairs on it sees it.

use std::sync::Arc;

use dna::Proven;
use tokio::time::Instant;
use xmpp::stanza::{Condition, Stanza, StanzaError};

use crate::session::{Lane, Outbox, Progress, PushError};

/// What carries a pair.
pub(super) struct Carrier {
    /// Of the stream; it is the same for all pairs on it.
    pub(super) outbox: Arc<Outbox>,
    /// The pair's own place in it (DOS-10).
    pub(super) lane: Lane,
    pub(super) progress: Arc<Progress>,
    pub(super) proven: Proven,
    /// The largest stanza that the peer takes, in bytes, if it has said so (XEP-0478).
    pub(super) max_bytes: Option<usize>,
    /// We opened the stream.
    pub(super) ours: bool,
    /// The peer's stanzas of the pair come in on it too (XEP-0288).
    pub(super) both_ways: bool,
    pub(super) since: Instant,
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
            progress: outbox.progress(),
            proven,
            max_bytes,
            ours,
            both_ways,
            since: Instant::now(),
        }
    }

    pub(super) fn is(&self, outbox: &Arc<Outbox>) -> bool {
        Arc::ptr_eq(&self.outbox, outbox)
    }

    /// Where both sides called at once, two streams go both ways and one would do. XEP-0288 has no rule which; ours is one that
    /// both sides come to without a word: the stream stays that the domain with the lesser name opened.
    pub(super) fn stays(&self) -> bool {
        let lesser = self.proven.local().as_str() < self.proven.remote().as_str();
        self.both_ways && self.ours == lesser
    }

    /// The stanza's number for [`Progress`].
    pub(super) fn push(&self, stanza: &Stanza) -> Result<u64, Refused> {
        let bytes = stanza.bytes();
        if self.max_bytes.is_some_and(|most| bytes.len() > most) {
            let error = StanzaError::new(Condition::PolicyViolation);
            return Err(Refused::With(Box::new(
                error.with_text("that server takes no stanza so large"),
            )));
        }
        match self.outbox.push_in(self.lane, bytes.clone()) {
            Ok(number) => Ok(number),
            Err(PushError::Full) => Err(Refused::With(full(self.outbox.limit()))),
            Err(PushError::Closed) => Err(Refused::Closed),
        }
    }
}

/// Why a stream does not take a stanza.
pub(super) enum Refused {
    With(Box<StanzaError>),
    Closed,
}

/// Too much waits for the peer: at most so many bytes do.
pub(super) fn full(most: usize) -> Box<StanzaError> {
    let error = StanzaError::new(Condition::ResourceConstraint);
    Box::new(error.with_text(format!(
        "at most {most} bytes wait for that server, and about as many do; try again later"
    )))
}

/// … or so many stanzas.
pub(super) fn full_of_stanzas(most: usize) -> Box<StanzaError> {
    let error = StanzaError::new(Condition::ResourceConstraint);
    Box::new(error.with_text(format!(
        "at most {most} stanzas wait for that server, and as many do; try again later"
    )))
}
