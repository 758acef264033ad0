//! After SASL: binding a resource, and the stanzas of who has one (RFC 6120 7, 8).
//!
//! Refuses: stanzas of anyone not bound (STREAM-05, BIND-07), and a second resource on a stream.

use super::super::acks::Acks;
use super::super::opening::{Ending, limits_feature};
use super::super::{
    Action, Actions, Ask, Bound, Event, Resumption, Seed, Served, StreamCondition, StreamError,
};
use super::{Client, State, not_authorized};
use crate::element::Element;
use crate::framing::RawElement;
use crate::jid::Jid;
use crate::ns;
use crate::stanza::{Condition, From, Kind, Stanza, StanzaError, StanzaSyntaxError, StanzaType};

/// Refused bindings after which the stream is closed (BIND-06).
const BIND_FAILURES: u8 = 8;

/// Where binding stands.
#[derive(Default)]
pub(super) struct Binding {
    failures: u8,
    /// `id` of the request being answered.
    asked: Option<String>,
    /// `previd` of the session that is being looked for.
    pub(super) resuming: Option<String>,
    lang: Option<String>,
}

impl Binding {
    /// Nothing asked yet. `lang` is the header's, for stanzas without one (STREAM-18).
    pub(super) fn new(lang: Option<String>) -> Self {
        Self {
            lang,
            ..Self::default()
        }
    }

    /// One more refusal; whether it was the last that is allowed (BIND-06).
    pub(super) fn refused(&mut self) -> bool {
        self.failures += 1;
        self.failures >= BIND_FAILURES
    }

    /// A session that begins or goes on over the stream.
    pub(super) fn session(&mut self, jid: Jid, served: &mut Served) -> Session {
        Session {
            jid,
            lang: self.lang.take(),
            acks: Acks::default(),
            resumption: served.resumption.take(),
            resumable: false,
        }
    }
}

pub(super) struct Session {
    pub(super) jid: Jid,
    /// `xml:lang` for stanzas without one (STREAM-18).
    lang: Option<String>,
    pub(super) acks: Acks,
    /// Whether and how it may outlive its connection …
    pub(super) resumption: Option<Box<Resumption>>,
    /// … and whether the client has asked for it.
    pub(super) resumable: bool,
}

// --- features ---

/// What is offered to an account.
pub(super) fn session_features(served: &Served) -> Vec<Element> {
    let mut features = vec![
        Element::new("bind", ns::BIND).child(Element::new("required", ns::BIND)),
        // COMPAT: clients older than RFC 6121 wait for it; `optional` lets the others skip it.
        Element::new("session", ns::SESSION).child(Element::new("optional", ns::SESSION)),
        limits_feature(served),
        // SM-01
        Acks::feature(),
        // EXT-13
        Element::new("csi", ns::CSI),
    ];
    features.extend(served.features.iter().cloned());
    features
}

// --- binding ---

impl Client {
    pub(super) fn bind_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        if raw.ns() == ns::STREAM_MANAGEMENT {
            return self.resume_element(raw, out);
        }
        let State::Bind(account, binding) = &mut self.state else {
            return;
        };
        let from = Jid::from(account.account.clone());
        let stanza = match Stanza::from_raw(raw, From::Stamp(&from), None) {
            Ok(stanza) => stanza,
            Err(StanzaSyntaxError::NotAStanza) => {
                let error = not_a_stanza(raw);
                return self.fail(error, out);
            }
            Err(StanzaSyntaxError::Refused { reply, .. }) => {
                if let Some(reply) = reply {
                    out.send(|bytes| bytes.extend_from_slice(reply.bytes()));
                }
                return;
            }
        };
        let wanted = stanza.kind() == Kind::Iq
            && stanza.type_() == StanzaType::Set
            && stanza.first_child() == Some(("bind", ns::BIND));
        if !wanted {
            // STREAM-05, BIND-07
            return self.fail(not_authorized(), out);
        }
        let resource = stanza.payload().ok().and_then(|tree| {
            let resource = tree.find("bind", ns::BIND)?.find("resource", ns::BIND)?;
            Some(resource.text_content())
        });
        binding.asked = Some(stanza.id().unwrap_or_default().to_owned());
        out.push(Action::Ask(Ask::Bind {
            account: account.account.clone(),
            resource: resource.filter(|resource| !resource.is_empty()),
            random: self.reception.seed.token(),
            features: None,
        }));
    }

    pub(super) fn bound(&mut self, result: Result<Bound, Box<StanzaError>>, out: &mut Actions) {
        let State::Bind(account, binding) = &mut self.state else {
            return;
        };
        let id = binding.asked.take().unwrap_or_default();
        match result {
            Ok(Bound { jid, .. }) => {
                let address = Element::new("jid", ns::BIND).text(jid.as_str());
                let result = iq("result", &id).child(Element::new("bind", ns::BIND).child(address));
                out.send(|bytes| result.write(bytes, ns::CLIENT));
                let session = binding.session(jid, &mut account.served);
                self.state = State::Open(Box::new(session));
            }
            Err(error) => {
                let last = binding.refused();
                let refusal = iq("error", &id).child(error.to_element());
                out.send(|bytes| refusal.write(bytes, ns::CLIENT));
                if error.condition == Condition::NotAuthorized {
                    // The login is worth nothing any more.
                    self.fail(not_authorized(), out);
                } else if last {
                    self.fail(StreamCondition::PolicyViolation.into(), out);
                }
            }
        }
    }
}

// --- stanzas ---

/// A bound client's element: a stanza for the router, unless it belongs to the stream itself.
pub(super) fn open_element(
    session: &mut Session,
    raw: &RawElement<'_>,
    seed: &mut Seed,
    out: &mut Actions,
) -> Result<(), StreamError> {
    match Stanza::from_raw(raw, From::Stamp(&session.jid), session.lang.as_deref()) {
        Ok(stanza) => {
            session.acks.count();
            if stanza.kind() == Kind::Iq && stanza.type_() == StanzaType::Set {
                match stanza.first_child() {
                    Some(("session", ns::SESSION)) => {
                        reply(Some(Box::new(stanza.iq_result(None))), out);
                        return Ok(());
                    }
                    Some(("bind", ns::BIND)) => {
                        // One resource a stream (RFC 6120 7 no longer knows more).
                        reply(
                            stanza
                                .error_reply(&Condition::NotAllowed.into())
                                .map(Box::new),
                            out,
                        );
                        return Ok(());
                    }
                    _ => {}
                }
            }
            out.push(Action::Stanza(stanza));
            Ok(())
        }
        Err(StanzaSyntaxError::Refused { reply: answer, .. }) => {
            session.acks.count();
            reply(answer, out);
            Ok(())
        }
        Err(StanzaSyntaxError::NotAStanza) if raw.ns() == ns::STREAM_MANAGEMENT => {
            session.managed(raw, seed, out)
        }
        Err(StanzaSyntaxError::NotAStanza) if raw.ns() == ns::CSI => {
            let active = match raw.name() {
                "active" => true,
                "inactive" => false,
                _ => return Err(StreamCondition::UnsupportedStanzaType.into()),
            };
            out.push(Action::Event(Event::Active(active)));
            Ok(())
        }
        Err(StanzaSyntaxError::NotAStanza) => Err(not_a_stanza(raw)),
    }
}

/// What the stream answers itself goes the way of all that is sent to the session, or the client would count one stanza more
/// than we do (SM-03).
fn reply(reply: Option<Box<Stanza>>, out: &mut Actions) {
    if let Some(reply) = reply {
        out.push(Action::Event(Event::Reply(reply)));
    }
}

/// STREAM-23, STREAM-24
fn not_a_stanza(raw: &RawElement<'_>) -> StreamError {
    if raw.ns() == ns::CLIENT && raw.prefix().is_some() {
        StreamCondition::BadNamespacePrefix.into()
    } else if raw.ns() == ns::SERVER {
        StreamCondition::InvalidNamespace.into()
    } else {
        StreamCondition::UnsupportedStanzaType.into()
    }
}

fn iq(type_: &str, id: &str) -> Element {
    Element::new("iq", ns::CLIENT)
        .attr("type", type_)
        .attr("id", id)
}
