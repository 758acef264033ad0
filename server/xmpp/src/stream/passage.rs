//! Stanzas on server streams: of proved pairs only, in both names (DNA-19, LAYER-06, ROUTE-06).
//!
//! The same on a stream that a peer opened and, with bidi, on one that we did (BIDI-04). A pair may also be dropped from a
//! stream that goes on for others ([`Barred`]). Refuses: guessing. A stanza without both addresses, or of a pair not proved on
//! this very stream, ends the stream.

use super::{Action, Actions, Event, StreamCondition, StreamError};
use crate::framing::RawElement;
use crate::jid::{DomainName, Jid};
use crate::stanza::{Condition, From, Stanza, StanzaError, StanzaSyntaxError};

/// Stanzas of a dropped pair that are answered before the peer counts as one that will not hear.
pub(super) const ANSWERED: u8 = 16;

/// Which pairs a stream carries.
pub(super) trait Pairs {
    /// Whether a stanza from this domain to that one may pass; else what the stream is closed with.
    fn carries(&self, from: &str, to: &str) -> Result<(), StreamCondition>;

    /// Pairs that were dropped, and whether we may write stanzas on the stream.
    fn barred(&mut self) -> (&mut Barred, bool);
}

/// Pairs that a stream carried and carries no longer, while it goes on for others.
///
/// No specification has a way to take back a pair: RFC 7712 and XEP-0220 add pairs to a stream and never remove one, and a
/// `<db:result/>` that answers no open request is dropped by whoever keeps XEP-0220 2.1.1. RFC 6120 8.1.2.2 would have the
/// stream closed for a stanza of a pair that is not of it, and with it pairs of other tenants, whom nothing of this concerns.
/// So the peer is told by what it sends. Where stanzas may be written back (XEP-0288) each is answered with an error, until
/// it evidently does not listen. Where none may, nothing that somebody waits for is swallowed: the stream is closed at the
/// first such stanza, and what the peer has not been acknowledged it sends again.
#[derive(Default)]
pub(super) struct Barred(Vec<Bar>);

struct Bar {
    local: DomainName,
    remote: DomainName,
    error: StreamError,
    answered: u8,
}

/// A pair on a stream's list.
pub(super) trait Listed {
    /// The hosted domain and the peer.
    fn names(&self) -> (&DomainName, &DomainName);
}

impl Barred {
    /// Takes a pair off a stream's list because of `error`; `busy`: the stream has work besides its pairs.
    ///
    /// # Errors
    /// Nothing is left on the stream, which is to be closed with the error.
    pub(super) fn drop_pair<P: Listed>(
        &mut self,
        pairs: &mut Vec<P>,
        busy: bool,
        (local, remote): (DomainName, DomainName),
        error: StreamError,
        out: &mut Actions,
    ) -> Result<(), StreamError> {
        let same = |pair: &P| pair.names() == (&local, &remote);
        let Some(at) = pairs.iter().position(same) else {
            return Ok(());
        };
        if pairs.len() == 1 && !busy {
            return Err(error);
        }
        pairs.swap_remove(at);
        self.remove(&local, &remote);
        self.0.push(Bar {
            local: local.clone(),
            remote: remote.clone(),
            error,
            answered: 0,
        });
        out.push(Action::Event(Event::PairDropped { local, remote }));
        Ok(())
    }

    /// The pair has been proved anew.
    pub(super) fn remove(&mut self, local: &DomainName, remote: &DomainName) {
        self.0
            .retain(|bar| bar.local != *local || bar.remote != *remote);
    }
}

impl Bar {
    /// `Err`: the stream is to be closed.
    fn refuse(
        &mut self,
        stanza: &Stanza,
        both_ways: bool,
        out: &mut Actions,
    ) -> Result<(), StreamError> {
        let condition = match self.error.condition {
            StreamCondition::Reset => Condition::NotAuthorized,
            _ => Condition::PolicyViolation,
        };
        let mut error = StanzaError::new(condition);
        error.text.clone_from(&self.error.text);
        let Some(reply) = stanza.error_reply(&error) else {
            // Answers and errors get none; nobody waits for one.
            return Ok(());
        };
        if !both_ways || self.answered >= ANSWERED {
            return Err(self.error.clone());
        }
        self.answered += 1;
        // By the way of all stanzas, which counts what the peer will acknowledge (XEP-0198).
        out.push(Action::Event(Event::Refusal(Box::new(reply))));
        Ok(())
    }
}

/// Passes a stanza of the peer's on.
pub(super) fn pass(
    pairs: &mut impl Pairs,
    raw: &RawElement<'_>,
    lang: Option<&str>,
    out: &mut Actions,
) -> Result<(), StreamError> {
    match Stanza::from_raw(raw, From::Keep, lang) {
        Ok(stanza) => {
            if let Some((bar, both_ways)) = bar(pairs, stanza.from(), stanza.to()) {
                return bar.refuse(&stanza, both_ways, out);
            }
            check(pairs, stanza.from(), stanza.to())?;
            out.push(Action::Stanza(stanza));
            Ok(())
        }
        Err(StanzaSyntaxError::NotAStanza) if raw.prefix().is_some() => {
            Err(StreamCondition::BadNamespacePrefix.into())
        }
        Err(StanzaSyntaxError::NotAStanza) => Err(StreamCondition::UnsupportedStanzaType.into()),
        Err(StanzaSyntaxError::Refused { error, reply }) => {
            if error.condition == Condition::JidMalformed {
                return Err(StreamCondition::ImproperAddressing.into());
            }
            if let Some(reply) = reply {
                // Addresses are swapped in it. It goes to the pair it came from, by whatever way leads there.
                check(pairs, reply.to(), reply.from())?;
                out.push(Action::Event(Event::Reply(reply)));
            }
            Ok(())
        }
    }
}

/// What bars a stanza between these, if anything does.
fn bar<'a>(
    pairs: &'a mut impl Pairs,
    from: Option<&Jid>,
    to: Option<&Jid>,
) -> Option<(&'a mut Bar, bool)> {
    let (from, to) = (from?.domain(), to?.domain());
    let (barred, both_ways) = pairs.barred();
    let bar = barred
        .0
        .iter_mut()
        .find(|bar| bar.remote.as_str() == from && bar.local.as_str() == to)?;
    Some((bar, both_ways))
}

/// STANZA-03
fn check(pairs: &impl Pairs, from: Option<&Jid>, to: Option<&Jid>) -> Result<(), StreamCondition> {
    match (from, to) {
        (Some(from), Some(to)) => pairs.carries(from.domain(), to.domain()),
        _ => Err(StreamCondition::ImproperAddressing),
    }
}
