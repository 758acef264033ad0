//! Sessions that outlive their connections (XEP-0198 3 to 5): enabling, and taking up again on another stream.
//!
//! What the client has not acknowledged waits outside, with the session ([`Event::Resumable`]); here is only what is said
//! about it. Refuses: resuming before authentication or once bound (SM-12), and saying anything about a session of another
//! account (LAYER-12).

use super::super::acks::{Acks, failed, handled_too_much};
use super::super::opening::Ending;
use super::super::{
    Action, Actions, Ask, Event, NotResumed, Resumed, Seed, StreamCondition, StreamError,
};
use super::session::Session;
use super::{Client, State};
use crate::element::Element;
use crate::framing::RawElement;
use crate::ns;
use crate::stanza::Condition;

/// Bytes of a `previd` that are looked at; ours are far shorter, and none may be longer than 4000 (SM-06).
const PREVID_BYTES: usize = 4_000;

/// Whether a session that may outlive its connection does so when we close the stream with this error: where the client is
/// gone, or we are about to go, or another connection comes in place of this one.
pub fn leaves_session(error: &StreamError) -> bool {
    matches!(
        error.condition,
        StreamCondition::ConnectionTimeout
            | StreamCondition::SystemShutdown
            | StreamCondition::Conflict
    )
}

impl Session {
    /// An element of stream management on an open stream.
    pub(super) fn managed(
        &mut self,
        raw: &RawElement<'_>,
        seed: &mut Seed,
        out: &mut Actions,
    ) -> Result<(), StreamError> {
        match raw.name() {
            "enable" if !self.acks.is_on() => {
                let enabled = self.enable(&Wish::of(raw), seed);
                out.send(|bytes| enabled.write(bytes, ns::CLIENT));
                self.enabled(&enabled, out);
                Ok(())
            }
            "resume" => {
                out.send_str(&failed(Condition::UnexpectedRequest));
                Ok(())
            }
            _ => self.acks.element(raw, true, out),
        }
    }

    /// Switches acknowledgements on; [`Session::enabled`] follows once the answer has been sent (SM-06).
    pub(super) fn enable(&mut self, wish: &Wish, seed: &mut Seed) -> Element {
        self.acks = Acks::from(0);
        let enabled = Element::new("enabled", ns::STREAM_MANAGEMENT);
        let Some(resumption) = self.resumption.as_ref().filter(|_| wish.resume) else {
            return enabled;
        };
        self.resumable = true;
        let seconds = wish.max.unwrap_or(u32::MAX).min(resumption.seconds);
        enabled
            .attr("resume", "true")
            .attr("id", seed.token())
            .attr("max", seconds.to_string())
            .attr_opt("location", resumption.location.as_deref())
    }

    /// What is sent from now on counts (SM-03).
    pub(super) fn enabled(&self, enabled: &Element, out: &mut Actions) {
        out.push(Action::Event(Event::AcksBegin));
        let max = enabled.get_attr("max").and_then(|max| max.parse().ok());
        if let (Some(id), Some(seconds)) = (enabled.get_attr("id"), max) {
            out.push(Action::Event(Event::Resumable {
                id: id.to_owned(),
                seconds,
            }));
        }
    }

    /// How many stanzas it has handled, if it goes on without its connection.
    pub(super) fn left(&self) -> Option<u32> {
        self.resumable.then(|| self.acks.handled())
    }
}

/// What `<enable/>` asks for.
#[derive(Debug, Default)]
pub(super) struct Wish {
    resume: bool,
    max: Option<u32>,
}

impl Wish {
    fn of(raw: &RawElement<'_>) -> Self {
        Self::from_attributes(raw.attr("resume").as_deref(), raw.attr("max").as_deref())
    }

    pub(super) fn from_attributes(resume: Option<&str>, max: Option<&str>) -> Self {
        Self {
            resume: matches!(resume, Some("true" | "1")),
            max: max.and_then(|max| max.trim().parse().ok()),
        }
    }
}

impl Client {
    /// An element of stream management where binding is due.
    pub(super) fn resume_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        let State::Bind(account, binding) = &mut self.state else {
            return;
        };
        match raw.name() {
            "resume" => {
                match resume_request(raw.attr("previd").as_deref(), raw.attr("h").as_deref()) {
                    Some((previd, handled)) => {
                        binding.resuming = Some(previd.clone());
                        out.push(Action::Ask(Ask::Resume {
                            account: account.account.clone(),
                            previd,
                            handled,
                        }));
                    }
                    None => self.fail(StreamCondition::BadFormat.into(), out),
                }
            }
            // SM-01: only what is bound can be counted.
            "enable" => out.send_str(&failed(Condition::UnexpectedRequest)),
            _ => self.fail(StreamCondition::UnsupportedStanzaType.into(), out),
        }
    }

    pub(super) fn resumed(&mut self, result: Result<Resumed, NotResumed>, out: &mut Actions) {
        let State::Bind(account, binding) = &mut self.state else {
            return;
        };
        let previd = binding.resuming.take().unwrap_or_default();
        match result {
            Ok(Resumed { jid, handled }) => {
                let answer = resumed_answer(&previd, handled);
                out.send(|bytes| answer.write(bytes, ns::CLIENT));
                let mut session = binding.session(jid, &mut account.served);
                session.go_on(handled);
                self.state = State::Open(Box::new(session));
            }
            Err(why) => {
                let last = binding.refused();
                match not_resumed(why) {
                    Ok(answer) => out.send(|bytes| answer.write(bytes, ns::CLIENT)),
                    Err(error) => return self.fail(error, out),
                }
                if last {
                    self.fail(StreamCondition::PolicyViolation.into(), out);
                }
            }
        }
    }

    /// Somebody in this server closes the stream.
    pub(super) fn close(&mut self, error: StreamError, out: &mut Actions) {
        if let State::Open(session) = &self.state {
            session.acks.last_word(out);
            self.left = session.left().filter(|_| leaves_session(&error));
        }
        self.fail(error, out);
    }

    /// Another connection goes on with the session (SM-09).
    pub(super) fn give_way(&mut self, out: &mut Actions) {
        self.close(StreamCondition::Conflict.into(), out);
        self.drop_dead(out);
    }
}

impl Session {
    /// It was another stream's.
    pub(super) fn go_on(&mut self, handled: u32) {
        self.acks = Acks::from(handled);
        self.resumable = true;
    }
}

/// `previd` and `h` of `<resume/>`.
pub(super) fn resume_request(previd: Option<&str>, h: Option<&str>) -> Option<(String, u32)> {
    let previd = previd.filter(|previd| previd.len() <= PREVID_BYTES)?;
    Some((previd.to_owned(), h?.trim().parse().ok()?))
}

/// SM-07
pub(super) fn resumed_answer(previd: &str, handled: u32) -> Element {
    Element::new("resumed", ns::STREAM_MANAGEMENT)
        .attr("previd", previd)
        .attr("h", handled.to_string())
}

/// SM-08; an error where the stream is to be closed (SM-05).
pub(super) fn not_resumed(why: NotResumed) -> Result<Element, StreamError> {
    let (condition, handled) = match why {
        NotResumed::Unknown { handled } => (Condition::ItemNotFound, handled),
        NotResumed::Busy => (Condition::ResourceConstraint, None),
        NotResumed::TooHigh { handled, sent } => return Err(handled_too_much(handled, sent)),
    };
    Ok(Element::new("failed", ns::STREAM_MANAGEMENT)
        .attr_opt("h", handled.map(|h| h.to_string()))
        .child(Element::new(condition.name(), ns::STANZA_ERRORS)))
}
