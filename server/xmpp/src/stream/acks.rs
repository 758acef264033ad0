//! Acknowledged stanzas (XEP-0198), both ways: what client and server streams have in common.
//!
//! What a peer has acknowledged it has taken over; whatever it has not goes to the pair's queue again when the stream ends,
//! so a connection that dies loses nothing. Refuses: resuming server streams. A server that has lost a connection calls again
//! anyway, and a stream is proved afresh; `<resume/>` is answered with `<item-not-found/>` (SM-08). Clients resume
//! (`client/resume.rs`).

use super::{Action, Actions, Event, StreamCondition, StreamError};
use crate::element::Element;
use crate::framing::RawElement;
use crate::ns;
use crate::stanza::Condition;

/// What makes the other side say how far it is.
pub const ACK_REQUEST: &str = "<r xmlns='urn:xmpp:sm:3'/>";
/// Switches acknowledgements on, as initiator.
pub(super) const ENABLE: &str = "<enable xmlns='urn:xmpp:sm:3'/>";

/// Our side of the counting: what we have handled. What the other side has handled is counted where the stanzas wait.
#[derive(Default)]
pub(super) struct Acks {
    on: bool,
    /// `<enable/>` is out.
    asked: bool,
    handled: u32,
}

impl Acks {
    /// Switched on, with so many stanzas handled.
    pub(super) fn from(handled: u32) -> Self {
        Self {
            on: true,
            asked: false,
            handled,
        }
    }

    /// Whether they are switched on.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    /// Stanzas handled.
    pub(super) fn handled(&self) -> u32 {
        self.handled
    }

    /// The feature. It is offered with the last features before stanzas may flow (XEP-0198 4, SM-01): behind SASL, and where
    /// only dialback can prove the peer, which no further features follow, before that. Switched on it is in either case
    /// after authentication only.
    pub(super) fn feature() -> Element {
        Element::new("sm", ns::STREAM_MANAGEMENT)
    }

    /// One stanza has come (SM-03).
    pub(super) fn count(&mut self) {
        if self.on {
            self.handled = self.handled.wrapping_add(1);
        }
    }

    /// As initiator: switches it on, once.
    pub(super) fn enable(&mut self, out: &mut Actions) {
        if std::mem::replace(&mut self.asked, true) {
            return;
        }
        out.send_str(ENABLE);
        out.push(Action::Event(Event::AcksBegin));
    }

    /// What the other side shall know before our closing tag, so that it sends nothing again that has arrived (XEP-0198 4).
    pub(super) fn last_word(&self, out: &mut Actions) {
        if self.on {
            out.send_str(&self.answer());
        }
    }

    fn answer(&self) -> String {
        format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.handled)
    }

    /// An element that comes behind our closing tag: what the other side has handled still counts. Gives back whether a
    /// stanza does. Where it is acknowledged it does not: we can say no more that it has come, so it comes again.
    pub(super) fn behind_the_end(&self, raw: &RawElement<'_>, out: &mut Actions) -> bool {
        if self.on
            && raw.is("a", ns::STREAM_MANAGEMENT)
            && let Some(handled) = raw.attr("h").and_then(|h| h.trim().parse().ok())
        {
            out.push(Action::Event(Event::Acked { handled }));
        }
        !self.on
    }

    /// An element of the namespace, `open` once stanzas may flow.
    pub(super) fn element(
        &mut self,
        raw: &RawElement<'_>,
        open: bool,
        out: &mut Actions,
    ) -> Result<(), StreamError> {
        match raw.name() {
            "enable" if open && !self.on && !self.asked => {
                self.on = true;
                out.send_str("<enabled xmlns='urn:xmpp:sm:3'/>");
                out.push(Action::Event(Event::AcksBegin));
            }
            "enable" => {
                out.send_str(&failed(Condition::UnexpectedRequest));
                // SM-02
                if self.on {
                    return Err(StreamCondition::PolicyViolation.into());
                }
            }
            "resume" => out.send_str(&failed(Condition::ItemNotFound)),
            "enabled" if self.asked && !self.on => self.on = true,
            "failed" if self.asked && !self.on => {
                self.asked = false;
                out.push(Action::Event(Event::AcksRefused));
            }
            "r" if self.on => {
                // SM-04. Whatever came before it has been handled: the stream waits for each stanza (ROUTE-01).
                out.send_str(&self.answer());
            }
            "a" if self.on => {
                let handled = raw.attr("h").and_then(|h| h.trim().parse().ok());
                match handled {
                    Some(handled) => out.push(Action::Event(Event::Acked { handled })),
                    None => return Err(StreamCondition::BadFormat.into()),
                }
            }
            _ => return Err(StreamCondition::UnsupportedStanzaType.into()),
        }
        Ok(())
    }
}

pub(super) fn failed(condition: Condition) -> String {
    format!(
        "<failed xmlns='urn:xmpp:sm:3'><{} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
        condition.name()
    )
}

/// Closes a stream whose other side has acknowledged more than it was sent (SM-05).
pub fn handled_too_much(handled: u32, sent: u32) -> StreamError {
    let app = Element::new("handled-count-too-high", ns::STREAM_MANAGEMENT)
        .attr("h", handled.to_string())
        .attr("send-count", sent.to_string());
    StreamError::new(StreamCondition::UndefinedCondition).with_app(app)
}
