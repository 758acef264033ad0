//! Stanzas on a stream that a peer opened: of proved pairs only, in both names (DNA-19, LAYER-06, ROUTE-06).

use super::super::{Action, Actions, Event, StreamCondition};
use super::Ready;
use crate::framing::RawElement;
use crate::stanza::{Condition, From, Stanza, StanzaSyntaxError};

impl Ready {
    pub(super) fn stanza(
        &mut self,
        raw: &RawElement<'_>,
        out: &mut Actions,
    ) -> Result<(), StreamCondition> {
        if self.proved.is_empty() {
            return Err(StreamCondition::NotAuthorized);
        }
        match Stanza::from_raw(raw, From::Keep, self.lang.as_deref()) {
            Ok(stanza) => {
                self.may_pass(&stanza)?;
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
                    // Addresses are swapped in it. It goes to the pair it came from, over our own stream.
                    self.is_pair(
                        reply.to().map(crate::jid::Jid::domain),
                        reply.from().map(crate::jid::Jid::domain),
                    )?;
                    out.push(Action::Event(Event::Reply(reply)));
                }
                Ok(())
            }
        }
    }

    /// STANZA-03, DNA-19, LAYER-06, LAYER-07.
    pub(super) fn may_pass(&self, stanza: &Stanza) -> Result<(), StreamCondition> {
        self.is_pair(
            stanza.from().map(crate::jid::Jid::domain),
            stanza.to().map(crate::jid::Jid::domain),
        )
    }

    pub(super) fn is_pair(
        &self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<(), StreamCondition> {
        let (Some(from), Some(to)) = (from, to) else {
            return Err(StreamCondition::ImproperAddressing);
        };
        if !self.proved.iter().any(|proved| proved.as_str() == from) {
            return Err(StreamCondition::InvalidFrom);
        }
        if self.served.domain.as_str() != to {
            // Hosted elsewhere, or hosted here and not on this channel: no relaying either way (ROUTE-06).
            return Err(StreamCondition::HostUnknown);
        }
        Ok(())
    }
}
