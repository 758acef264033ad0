//! A component calls us: a program that answers for a name below a hosted domain (XEP-0114).
//!
//! Header, handshake, stanzas. The secret is not known here: whoever drives the machine is given the stream's ID and what the
//! component proved, and says whether that is right and the name is free. Refuses: stanzas before the handshake, stanzas
//! without addresses, and a `from` at any other name than its own (COMP-04).

use super::opening::{Ending, Reception, Voice, lang_of};
use super::{
    Action, Actions, Answer, Ask, Event, Input, Machine, Order, Phase, Seed, StreamCondition,
    StreamError,
};
use crate::framing::{RawElement, StreamHeader};
use crate::jid::DomainName;
use crate::ns;
use crate::stanza::{From, Stanza, StanzaSyntaxError};
use crate::timestamp::Timestamp;

/// Receiving side of a component's stream.
pub struct Component {
    reception: Reception,
    state: State,
}

enum State {
    /// Waiting for the header.
    Unopened,
    /// The header's name is being looked up.
    Host(StreamHeader),
    /// Waiting for the handshake on the stream of this ID.
    Handshake(DomainName, String, Option<String>),
    /// What it proved is being looked at.
    Proving(DomainName, Option<String>),
    /// Stanzas flow.
    Open(DomainName, Option<String>),
    /// Our closing tag is out.
    Closing,
    /// Over.
    Closed,
    /// Left behind while a step holds the state; never seen between two steps.
    Between,
}

impl Component {
    /// A stream whose transport is about to connect. `provider` is our own name for streams to names that are none.
    pub fn new(seed: Seed, provider: Option<DomainName>) -> Self {
        Self {
            reception: Reception::new(seed, provider, ns::COMPONENT),
            state: State::Unopened,
        }
    }
}

impl Machine for Component {
    fn handle(&mut self, input: Input<'_>, _now: Timestamp, out: &mut Actions) {
        match input {
            Input::Header(header) => self.header(header, out),
            Input::Element(raw) => self.element(&raw, out),
            Input::Answer(Answer::Component(known)) => self.answer(known, out),
            Input::Close => self.peer_closed(out),
            Input::Broken(error) => self.fail(error, out),
            Input::Order(Order::Close(error)) => self.fail(error, out),
            Input::Order(Order::Finish) => self.finish(out),
            // TLS, where it is, lies below; other answers and orders are for other streams.
            Input::Connected(_) | Input::Tls(_) | Input::Answer(_) | Input::Order(_) => {}
        }
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Open(..) => Phase::Open,
            State::Closing => Phase::Closing,
            State::Closed | State::Between => Phase::Closed,
            _ => Phase::Unauthenticated,
        }
    }
}

impl Component {
    fn header(&mut self, header: StreamHeader, out: &mut Actions) {
        if self.is_over() {
            return;
        }
        // There is no version here (XEP-0114 3).
        let known = header.ns == ns::STREAM && header.content_ns == ns::COMPONENT;
        let to = header
            .to
            .as_deref()
            .and_then(|to| DomainName::parse(to).ok());
        let to = match (known, to) {
            (false, _) => Err(StreamCondition::InvalidNamespace),
            (true, None) => Err(StreamCondition::HostUnknown),
            (true, Some(to)) => Ok(to),
        };
        match (to, &self.state) {
            (Ok(to), State::Unopened) => {
                out.push(Action::Ask(Ask::Component {
                    name: to,
                    proof: None,
                }));
                self.state = State::Host(header);
            }
            (Ok(_), _) => self.fail(StreamCondition::BadFormat.into(), out),
            (Err(condition), _) => {
                self.open(&header, None, out);
                self.fail(condition.into(), out);
            }
        }
    }

    /// Our header is from the component itself, so to say (COMP-01).
    fn open(
        &mut self,
        header: &StreamHeader,
        name: Option<&DomainName>,
        out: &mut Actions,
    ) -> String {
        self.reception.open(header, name, None, out)
    }

    fn answer(&mut self, known: Result<(), StreamCondition>, out: &mut Actions) {
        match (std::mem::replace(&mut self.state, State::Between), known) {
            (State::Host(header), Ok(())) => {
                let name = header.to.as_deref().map(DomainName::parse);
                let Some(Ok(name)) = name else {
                    self.state = State::Unopened;
                    return self.fail(StreamCondition::HostUnknown.into(), out);
                };
                let id = self.open(&header, Some(&name), out);
                self.state = State::Handshake(name, id, lang_of(&header));
            }
            (State::Host(header), Err(condition)) => {
                self.state = State::Unopened;
                self.open(&header, None, out);
                self.fail(condition.into(), out);
            }
            (State::Proving(name, lang), Ok(())) => {
                out.send_str("<handshake/>");
                self.state = State::Open(name, lang);
            }
            (state @ State::Proving(..), Err(condition)) => {
                self.state = state;
                self.fail(condition.into(), out);
            }
            (state, _) => self.state = state,
        }
    }

    fn element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        if self.is_over() {
            return;
        }
        if let Some(error) = StreamError::from_raw(raw) {
            out.push(Action::Event(Event::RemoteError(error)));
            return self.finish(out);
        }
        match &self.state {
            State::Handshake(name, id, lang) if raw.is("handshake", ns::COMPONENT) => {
                let text = raw.simple_text().unwrap_or_default();
                out.push(Action::Ask(Ask::Component {
                    name: name.clone(),
                    proof: Some((id.clone(), text.trim().to_owned())),
                }));
                self.state = State::Proving(name.clone(), lang.clone());
            }
            State::Open(name, lang) => match stanza(raw, name, lang.as_deref()) {
                Ok(Some(stanza)) => out.push(Action::Stanza(stanza)),
                Ok(None) => {}
                Err(Answered(Some(reply))) => out.send(|b| b.extend_from_slice(reply.bytes())),
                Err(Answered(None)) => {}
            },
            _ => self.fail(StreamCondition::NotAuthorized.into(), out),
        }
        if let State::Open(name, _) = &self.state
            && let Err(error) = addressed(raw, name)
        {
            self.fail(error, out);
        }
    }
}

/// Refused, with or without an answer.
struct Answered(Option<Box<Stanza>>);

/// A stanza of the component; `None`: it is none, or has no right address.
fn stanza(
    raw: &RawElement<'_>,
    name: &DomainName,
    lang: Option<&str>,
) -> Result<Option<Stanza>, Answered> {
    if addressed(raw, name).is_err() {
        return Ok(None);
    }
    match Stanza::from_raw(raw, From::Keep, lang) {
        Ok(stanza) => Ok(Some(stanza)),
        Err(StanzaSyntaxError::Refused { reply, .. }) => Err(Answered(reply)),
        Err(StanzaSyntaxError::NotAStanza) => Ok(None),
    }
}

/// COMP-04
fn addressed(raw: &RawElement<'_>, name: &DomainName) -> Result<(), StreamError> {
    if raw.ns() != ns::COMPONENT || !matches!(raw.name(), "message" | "presence" | "iq") {
        return Err(StreamCondition::UnsupportedStanzaType.into());
    }
    let (Some(_), Some(from)) = (raw.attr("to"), raw.attr("from")) else {
        return Err(StreamCondition::ImproperAddressing.into());
    };
    // What is no address at all is answered as such.
    match crate::jid::Jid::parse(&from) {
        Ok(from) if from.domain() != name.as_str() => Err(StreamCondition::InvalidFrom.into()),
        _ => Ok(()),
    }
}

impl Ending for Component {
    fn voice(&self) -> Voice {
        match self.state {
            State::Closing => Voice::Closing,
            State::Closed => Voice::Closed,
            _ if self.reception.opened => Voice::Open,
            _ => Voice::Unopened,
        }
    }

    fn open_to_fail(&mut self, out: &mut Actions) {
        self.reception.open_to_nobody(out);
    }

    fn end(&mut self, voice: Voice) {
        self.state = match voice {
            Voice::Closing => State::Closing,
            _ => State::Closed,
        };
    }
}

/// What a component proves: lower-case hexadecimal SHA-1 of the stream's ID and the secret (XEP-0114 3).
pub fn handshake(id: &str, secret: &str) -> String {
    use sha1::Digest as _;
    let mut hash = sha1::Sha1::new();
    hash.update(id.as_bytes());
    hash.update(secret.as_bytes());
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether that is what was to be proved, in a time that tells nothing (COMP-02).
pub fn is_handshake(id: &str, secret: &str, proof: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    handshake(id, secret)
        .as_bytes()
        .ct_eq(proof.as_bytes())
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Frame, Framer, Limits};

    const HEADER: &str = "<stream:stream xmlns='jabber:component:accept' \
                          xmlns:stream='http://etherx.jabber.org/streams' to='bridge.one.example'>";

    struct Wire {
        machine: Component,
        framer: Framer,
        stanzas: Vec<String>,
        asked: Vec<Option<(String, String)>>,
    }

    impl Wire {
        fn new() -> Self {
            Self {
                machine: Component::new(Seed::new([7; 32]), None),
                framer: Framer::new(Limits::default()),
                stanzas: Vec::new(),
                asked: Vec::new(),
            }
        }

        /// What comes back; every question is answered as `known`.
        fn say(&mut self, text: &str, known: Result<(), StreamCondition>) -> String {
            let (mut said, mut out) = (Vec::new(), Actions::new());
            self.framer.push(text.as_bytes());
            while let Some(frame) = self.framer.next().expect("well-formed") {
                let input = match frame {
                    Frame::Header(header) => Input::Header(header),
                    Frame::Element(raw) => Input::Element(raw),
                    Frame::Close => Input::Close,
                };
                self.machine.handle(input, Timestamp(0), &mut out);
                let mut actions: Vec<Action> = out.drain().collect();
                while !actions.is_empty() {
                    for action in std::mem::take(&mut actions) {
                        match action {
                            Action::Send(bytes) => said.extend_from_slice(&bytes),
                            Action::Stanza(stanza) => {
                                let text = String::from_utf8(stanza.bytes().to_vec());
                                self.stanzas.push(text.expect("UTF-8"));
                            }
                            Action::Ask(Ask::Component { proof, .. }) => {
                                self.asked.push(proof);
                                let answer = Input::Answer(Answer::Component(known));
                                self.machine.handle(answer, Timestamp(0), &mut out);
                                actions.extend(out.drain());
                            }
                            _ => {}
                        }
                    }
                }
            }
            String::from_utf8(said).expect("UTF-8")
        }

        fn open() -> Self {
            let mut wire = Self::new();
            wire.say(HEADER, Ok(()));
            assert_eq!(
                wire.say("<handshake>ab</handshake>", Ok(())),
                "<handshake/>"
            );
            wire
        }
    }

    #[test]
    fn comp_01_02_header_and_handshake() {
        let mut wire = Wire::new();
        let header = wire.say(HEADER, Ok(()));
        assert!(
            header.contains("xmlns='jabber:component:accept'"),
            "{header}"
        );
        assert!(header.contains(" from='bridge.one.example'"), "{header}");
        let id = header
            .split(" id='")
            .nth(1)
            .and_then(|id| id.split('\'').next());
        let id = id.expect("an id").to_owned();
        assert_eq!(
            wire.say("<handshake>ab</handshake>", Ok(())),
            "<handshake/>"
        );
        assert_eq!(wire.asked, [None, Some((id.clone(), "ab".into()))]);
        // The example of XEP-0114.
        assert_eq!(handshake("3BF96D32", "test").len(), 40);
        assert!(is_handshake(&id, "s", &handshake(&id, "s")));
        assert!(!is_handshake(&id, "s", &handshake(&id, "t")) && !is_handshake(&id, "s", ""));
        let refused = Wire::new().say(HEADER, Err(StreamCondition::HostUnknown));
        assert!(
            refused.contains("<stream:stream ") && refused.contains("<host-unknown "),
            "{refused}"
        );
        let mut wire = Wire::new();
        wire.say(HEADER, Ok(()));
        let refused = wire.say(
            "<handshake>no</handshake>",
            Err(StreamCondition::NotAuthorized),
        );
        assert!(refused.contains("<not-authorized "), "{refused}");
    }

    #[test]
    fn comp_03_what_is_wrong_is_told_behind_a_header() {
        for (header, condition) in [
            (
                HEADER.replace("component:accept", "client"),
                "invalid-namespace",
            ),
            (
                HEADER.replace(" to='bridge.one.example'", ""),
                "host-unknown",
            ),
        ] {
            let told = Wire::new().say(&header, Ok(()));
            assert!(
                told.contains("<stream:stream ") && told.contains(condition),
                "{told}"
            );
        }
        let mut wire = Wire::new();
        wire.say(HEADER, Ok(()));
        let told = wire.say(
            "<message to='a@one.example' from='bridge.one.example'/>",
            Ok(()),
        );
        assert!(told.contains("<not-authorized "), "{told}");
        assert!(wire.stanzas.is_empty());
    }

    #[test]
    fn comp_04_stanzas_have_both_addresses_and_its_own_name() {
        let mut wire = Wire::open();
        let good =
            "<message to='a@one.example' from='x@bridge.one.example/y'><body>hi</body></message>";
        assert_eq!(wire.say(good, Ok(())), "");
        assert_eq!(
            wire.stanzas,
            ["<message from='x@bridge.one.example/y' to='a@one.example'><body>hi</body></message>"]
        );
        for (bad, condition) in [
            ("<message to='a@one.example'/>", "improper-addressing"),
            (
                "<message from='bridge.one.example'/>",
                "improper-addressing",
            ),
            (
                "<message to='a@one.example' from='one.example'/>",
                "invalid-from",
            ),
            (
                "<message to='a@one.example' from='x@other.bridge.one.example'/>",
                "invalid-from",
            ),
            (
                "<x xmlns='y' to='a' from='bridge.one.example'/>",
                "unsupported-stanza-type",
            ),
            (
                "<message xmlns='jabber:client' to='a' from='bridge.one.example'/>",
                "unsupported-stanza-type",
            ),
        ] {
            let mut wire = Wire::open();
            let told = wire.say(bad, Ok(()));
            assert!(told.contains(condition), "{bad}: {told}");
            assert!(wire.stanzas.is_empty(), "{bad}");
        }
        // An iq without an id is an error of its own, and the stream goes on.
        let mut wire = Wire::open();
        let told = wire.say(
            "<iq type='get' to='a@one.example' from='bridge.one.example'><x xmlns='y'/></iq>",
            Ok(()),
        );
        assert!(
            told.contains("<bad-request ") && !told.contains("stream:error"),
            "{told}"
        );
    }
}
