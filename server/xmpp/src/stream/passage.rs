//! Stanzas on server streams: of proved pairs only, in both names (DNA-19, LAYER-06, ROUTE-06).
//!
//! The same on a stream that a peer opened and, with bidi, on one that we did (BIDI-04). Refuses: guessing. A stanza without
//! both addresses, or of a pair not proved on this very stream, ends the stream.

use super::{Action, Actions, Event, StreamCondition};
use crate::framing::RawElement;
use crate::jid::Jid;
use crate::stanza::{Condition, From, Stanza, StanzaSyntaxError};

/// Which pairs a stream carries.
pub(super) trait Pairs {
    /// Whether a stanza from this domain to that one may pass; else what the stream is closed with.
    fn carries(&self, from: &str, to: &str) -> Result<(), StreamCondition>;
}

/// Passes a stanza of the peer's on.
pub(super) fn pass(
    pairs: &impl Pairs,
    raw: &RawElement<'_>,
    lang: Option<&str>,
    out: &mut Actions,
) -> Result<(), StreamCondition> {
    match Stanza::from_raw(raw, From::Keep, lang) {
        Ok(stanza) => {
            check(pairs, stanza.from(), stanza.to())?;
            out.push(Action::Stanza(stanza));
            Ok(())
        }
        Err(StanzaSyntaxError::NotAStanza) if raw.prefix().is_some() => {
            Err(StreamCondition::BadNamespacePrefix)
        }
        Err(StanzaSyntaxError::NotAStanza) => Err(StreamCondition::UnsupportedStanzaType),
        Err(StanzaSyntaxError::Refused { error, reply }) => {
            if error.condition == Condition::JidMalformed {
                return Err(StreamCondition::ImproperAddressing);
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

/// STANZA-03
fn check(pairs: &impl Pairs, from: Option<&Jid>, to: Option<&Jid>) -> Result<(), StreamCondition> {
    match (from, to) {
        (Some(from), Some(to)) => pairs.carries(from.domain(), to.domain()),
        _ => Err(StreamCondition::ImproperAddressing),
    }
}
