//! A client calls us: header, TLS, SASL, binding, stanzas (RFC 6120 4 to 7).
//!
//! The order TCP, TLS, SASL, XMPP cannot be left, since each state owns only what its stage has proved: there is no
//! account before SASL, no session before binding, and nothing learned before TLS survives it (LAYER-09). Refuses:
//! plaintext (TLS-04), a second domain on a channel that was authenticated as another (VHOST-03), stanzas of anyone not
//! bound (STREAM-05, BIND-07, DOS-08).

mod flows;
mod register;
mod resume;
mod sasl;
mod sasl2;
mod session;
#[cfg(test)]
mod tests;
mod upgrade;

use self::sasl::Sasl;
use self::sasl2::Finishing;
use self::session::{Binding, Session, open_element, session_features};
use super::opening::{
    Ending, Reception, STARTTLS_FEATURES, Voice, lang_of, other_domain, proceed, sasl_failure,
};
use super::{
    Action, Actions, Answer, Ask, Event, Host, Input, Machine, Order, Phase, Seed, Served,
    StreamCondition, StreamError, TlsInfo, write_features,
};
use crate::framing::{RawElement, StreamHeader};
use crate::jid::{BareJid, DomainName, Jid};
use crate::ns;
use crate::sasl::SaslFailure;
use crate::timestamp::Timestamp;

pub use self::resume::leaves_session;

/// Server side of a client stream.
pub struct Client {
    reception: Reception,
    state: State,
    /// Our closing tag is out, and the session goes on without the stream: how many stanzas it has handled.
    left: Option<u32>,
}

enum State {
    /// Plaintext, waiting for the first header.
    Plain,
    /// Plaintext, the header's domain is being looked up.
    PlainHost(StreamHeader),
    /// Plaintext, `<starttls/>` was offered.
    StartTls(Box<Served>),
    /// `<proceed/>` was sent, with the identity of this domain.
    Handshake,
    /// TLS, waiting for a header.
    Tls(Box<TlsInfo>),
    /// TLS, the header's domain is being looked up.
    TlsHost(Box<TlsInfo>, StreamHeader),
    /// TLS, mechanisms were offered.
    Sasl(Box<Sasl>),
    /// Authenticated, and what was asked for along with it is being done.
    Finishing(Box<Finishing>),
    /// Authenticated, waiting for the header that follows.
    Authenticated(Box<Account>),
    /// Authenticated, binding was offered.
    Bind(Box<Account>, Binding),
    /// Bound.
    Open(Box<Session>),
    /// Our closing tag is out.
    Closing,
    /// Over.
    Closed,
    /// Left behind while a step holds the state; never seen between two steps.
    Between,
}

/// What SASL proved.
struct Account {
    account: BareJid,
    served: Box<Served>,
}

impl Client {
    /// A stream whose transport is about to connect. `provider` is our own name for streams to names that are not hosted.
    pub fn new(seed: Seed, provider: Option<DomainName>) -> Self {
        Self {
            reception: Reception::new(seed, provider, ns::CLIENT),
            state: State::Plain,
            left: None,
        }
    }

    /// The full address, once bound.
    pub fn jid(&self) -> Option<&Jid> {
        match &self.state {
            State::Open(session) => Some(&session.jid),
            _ => None,
        }
    }
}

impl Machine for Client {
    fn handle(&mut self, input: Input<'_>, now: Timestamp, out: &mut Actions) {
        match input {
            Input::Connected(None) => {}
            Input::Connected(Some(tls)) | Input::Tls(tls) => {
                self.reception.opened = false;
                if !self.is_over() {
                    self.state = State::Tls(Box::new(tls));
                }
            }
            Input::Header(header) => self.header(header, out),
            Input::Element(raw) => self.element(&raw, out),
            Input::Answer(answer) => self.answer(answer, now, out),
            Input::Close => self.peer_closed(out),
            Input::Broken(error) => self.fail(error, out),
            Input::Order(Order::Close(error)) => self.close(error, out),
            Input::Order(Order::Finish) => self.finish(out),
            Input::Order(Order::Yield) => self.give_way(out),
            // Orders for server streams only.
            Input::Order(_) => {}
        }
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Plain
            | State::PlainHost(_)
            | State::StartTls(_)
            | State::Handshake
            | State::Tls(_)
            | State::TlsHost(..) => Phase::Unauthenticated,
            State::Sasl(ref state) if state.registering.chosen.is_some() => Phase::Registering,
            State::Sasl(_) => Phase::Unauthenticated,
            State::Finishing(_) | State::Authenticated(_) | State::Bind(..) => Phase::Authenticated,
            State::Open(_) => Phase::Open,
            State::Closing => Phase::Closing,
            State::Closed | State::Between => Phase::Closed,
        }
    }

    fn left(&self) -> Option<u32> {
        match &self.state {
            State::Open(session) => session.left(),
            _ => self.left,
        }
    }
}

// --- headers ---

impl Client {
    fn header(&mut self, header: StreamHeader, out: &mut Actions) {
        if self.is_over() {
            return;
        }
        let to = match self.reception.addressee(&header) {
            Ok(to) => to,
            Err(condition) => return self.refuse_header(&header, condition.into(), out),
        };
        // LAYER-11. A bare domain in `from` claims no account. COMPAT: XML::Stream of Perl (sendxmpp) writes its machine's name.
        let of_here = |from: BareJid| from.local().is_none() || from.domain() == to.as_str();
        if !claimed(&header).is_ok_and(|claimed| claimed.is_none_or(of_here)) {
            return self.refuse_header(&header, StreamCondition::InvalidFrom.into(), out);
        }
        self.state = match std::mem::replace(&mut self.state, State::Between) {
            State::Plain => {
                out.push(Action::Ask(Ask::Host { to }));
                State::PlainHost(header)
            }
            State::Tls(tls) => {
                if tls.identity.as_ref().is_some_and(|shown| *shown != to) {
                    return self.refuse_header(&header, other_domain(), out);
                }
                out.push(Action::Ask(Ask::Host { to }));
                State::TlsHost(tls, header)
            }
            State::Authenticated(account) => {
                if account.served.domain != to {
                    return self.refuse_header(&header, other_domain(), out);
                }
                self.open(
                    &header,
                    Some(&account.served.domain),
                    Some(&account.account),
                    out,
                );
                let lang = lang_of(&header);
                out.send(|bytes| write_features(&session_features(&account.served), bytes));
                State::Bind(account, Binding::new(lang))
            }
            // The framer gives one header a document; only a restart makes a new one.
            state => {
                self.state = state;
                return self.fail(StreamCondition::BadFormat.into(), out);
            }
        };
    }

    /// Writes our opening tag. `to` is the client's bare address if it said so itself (STREAM-14).
    fn open(
        &mut self,
        header: &StreamHeader,
        from: Option<&DomainName>,
        to: Option<&BareJid>,
        out: &mut Actions,
    ) {
        let echoed = claimed(header).ok().flatten();
        // Once the account is proved it is the address, however the client wrote it.
        let to = echoed.as_ref().map(|said| to.unwrap_or(said));
        self.reception
            .open(header, from, to.map(BareJid::as_str), out);
    }

    /// A full header, then the error (VHOST-05).
    fn refuse_header(&mut self, header: &StreamHeader, error: StreamError, out: &mut Actions) {
        self.open(header, None, None, out);
        self.fail(error, out);
    }

    fn host(&mut self, host: Host, out: &mut Actions) {
        let (tls, header) = match std::mem::replace(&mut self.state, State::Between) {
            State::PlainHost(header) => (None, header),
            State::TlsHost(tls, header) => (Some(tls), header),
            state => {
                self.state = state;
                return;
            }
        };
        let served = match host.served() {
            Ok(served) => served,
            Err(error) => return self.refuse_header(&header, error, out),
        };
        self.open(&header, Some(&served.domain), None, out);
        let Some(tls) = tls else {
            out.send_str(STARTTLS_FEATURES);
            self.state = State::StartTls(served);
            return;
        };
        let sasl = Sasl::new(
            served,
            tls,
            claimed(&header).ok().flatten(),
            lang_of(&header),
        );
        out.send(|bytes| write_features(&sasl.features(), bytes));
        self.state = State::Sasl(Box::new(sasl));
    }
}

/// The bare address that the header's `from` names; `Err` when it is no address at all.
fn claimed(header: &StreamHeader) -> Result<Option<BareJid>, crate::jid::JidError> {
    match header.from.as_deref() {
        None | Some("") => Ok(None),
        Some(from) => Ok(Some(Jid::parse(from)?.bare())),
    }
}

fn not_authorized() -> StreamError {
    StreamCondition::NotAuthorized.into()
}

// --- elements ---

impl Client {
    fn element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        if let Some(error) = StreamError::from_raw(raw) {
            out.push(Action::Event(Event::RemoteError(error)));
            return self.finish(out);
        }
        match &mut self.state {
            State::Open(session) => open_element(session, raw, &mut self.reception.seed, out),
            State::Closing | State::Closed => return,
            State::Bind(..) => return self.bind_element(raw, out),
            State::Sasl(_) => return self.sasl_element(raw, out),
            State::Finishing(_) => return self.upgrade_element(raw, out),
            State::StartTls(_) => return self.start_tls_element(raw, out),
            // No header yet: the framer cannot give an element then, except between a restart and its header.
            _ => return self.fail(not_authorized(), out),
        }
        .unwrap_or_else(|error| self.fail(error, out));
    }

    fn start_tls_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        if raw.is("starttls", ns::TLS) {
            let State::StartTls(served) = std::mem::replace(&mut self.state, State::Between) else {
                return;
            };
            if proceed(&served, out) {
                self.state = State::Handshake;
            } else {
                self.state = State::StartTls(served);
                self.finish(out);
            }
        } else if raw.is("auth", ns::SASL) {
            // TLS-05
            out.send_str(&sasl_failure(SaslFailure::EncryptionRequired, ""));
            self.fail(StreamCondition::PolicyViolation.into(), out);
        } else {
            self.fail(unwanted(raw), out);
        }
    }
}

/// What to close with when an unauthenticated client sends this.
fn unwanted(raw: &RawElement<'_>) -> StreamError {
    if raw.ns() == ns::CLIENT {
        not_authorized()
    } else {
        StreamCondition::UnsupportedStanzaType.into()
    }
}

// --- answers and the end ---

impl Client {
    fn answer(&mut self, answer: Answer, now: Timestamp, out: &mut Actions) {
        match answer {
            Answer::Host(host) => self.host(host, out),
            Answer::Credentials(Ok(verifier)) => {
                if let State::Sasl(state) = &mut self.state {
                    let step = state.supply(verifier);
                    self.step(step, out);
                }
            }
            Answer::Credentials(Err(_)) => {
                self.sasl_failed(SaslFailure::TemporaryAuthFailure, out);
            }
            Answer::Registered(result) => self.registered(result, out),
            Answer::Flow(outcome) => self.flow_goes_on(outcome, out),
            Answer::Tokens(tokens) => self.tokens(tokens, now, out),
            Answer::Lacking(hashes) => self.lacking(hashes, out),
            Answer::Upgraded(result) => self.upgraded(result, out),
            Answer::Granted(granted) => self.granted(granted, out),
            Answer::Bound(result) => match self.state {
                State::Finishing(_) => self.bound_inline(result, out),
                _ => self.bound(result, out),
            },
            Answer::Resumed(result) => match self.state {
                State::Finishing(_) => self.resumed_inline(result, out),
                _ => self.resumed(result, out),
            },
            // Answers for server streams only.
            _ => {}
        }
    }
}

impl Ending for Client {
    fn voice(&self) -> Voice {
        match self.state {
            State::Handshake => Voice::Mute,
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

    fn last_word(&mut self, out: &mut Actions) {
        if let State::Open(session) = &self.state {
            session.acks.last_word(out);
        }
    }
}
