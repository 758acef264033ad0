//! A client calls us: header, TLS, SASL, binding, stanzas (RFC 6120 4 to 7).
//!
//! The order TCP, TLS, SASL, XMPP cannot be left, since each state owns only what its stage has proved: there is no
//! account before SASL, no session before binding, and nothing learned before TLS survives it (LAYER-09). Refuses:
//! plaintext (TLS-04), a second domain on a channel that was authenticated as another (VHOST-03), stanzas of anyone not
//! bound (STREAM-05, BIND-07, DOS-08).

#[cfg(test)]
mod tests;

use super::opening::{
    Ending, Reception, STARTTLS_FEATURES, Voice, lang_of, limits_feature, other_domain, proceed,
    sasl_failure,
};
use super::{
    Action, Actions, Answer, Ask, Event, Host, Input, Machine, Order, Phase, Seed, Served,
    StreamCondition, StreamError, TlsInfo, write_features,
};
use crate::element::Element;
use crate::framing::{RawElement, StreamHeader};
use crate::jid::{BareJid, DomainName, Jid};
use crate::ns;
use crate::sasl::{
    self, Advertised, ChannelBindings, Context, Exchange, Mechanism, SaslFailure, ScramVerifier,
    Step,
};
use crate::stanza::{Condition, From, Kind, Stanza, StanzaError, StanzaSyntaxError, StanzaType};
use crate::timestamp::Timestamp;

/// Failed SASL exchanges after which the stream is closed: three retries (SASL-10).
const SASL_FAILURES: u8 = 4;
/// Refused bindings after which the stream is closed (BIND-06).
const BIND_FAILURES: u8 = 8;

/// Server side of a client stream.
pub struct Client {
    reception: Reception,
    state: State,
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

/// What a stream knows once its domain is known over TLS.
struct Sasl {
    served: Box<Served>,
    tls: Box<TlsInfo>,
    /// The bare `from` of the header, if it named an account (LAYER-02).
    claimed: Option<BareJid>,
    offered: Vec<Mechanism>,
    failures: u8,
    running: Option<Running>,
}

/// One exchange.
struct Running {
    exchange: Exchange,
    mechanism: Mechanism,
    /// Whether it is bound to the TLS exporter, so that no other exchange may follow on this connection (C-01).
    exporter: bool,
}

/// What SASL proved.
struct Account {
    account: BareJid,
    served: Box<Served>,
}

/// Where binding stands.
#[derive(Default)]
struct Binding {
    failures: u8,
    /// `id` of the request being answered.
    asked: Option<String>,
    lang: Option<String>,
}

struct Session {
    jid: Jid,
    /// `xml:lang` for stanzas without one (STREAM-18).
    lang: Option<String>,
}

impl Client {
    /// A stream whose transport is about to connect. `provider` is our own name for streams to names that are not hosted.
    pub fn new(seed: Seed, provider: Option<DomainName>) -> Self {
        Self {
            reception: Reception::new(seed, provider, ns::CLIENT),
            state: State::Plain,
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
    fn handle(&mut self, input: Input<'_>, _now: Timestamp, out: &mut Actions) {
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
            Input::Answer(answer) => self.answer(answer, out),
            Input::Close => self.peer_closed(out),
            Input::Broken(error) => self.fail(error, out),
            Input::Order(Order::Close(error)) => self.fail(error, out),
            Input::Order(Order::Finish) => self.finish(out),
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
            | State::TlsHost(..)
            | State::Sasl(_) => Phase::Unauthenticated,
            State::Authenticated(_) | State::Bind(..) => Phase::Authenticated,
            State::Open(_) => Phase::Open,
            State::Closing => Phase::Closing,
            State::Closed | State::Between => Phase::Closed,
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
        if claimed(&header).is_err() {
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
                State::Bind(
                    account,
                    Binding {
                        lang,
                        ..Binding::default()
                    },
                )
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
        let bindings = binding_types(&tls);
        let offered: Vec<_> = Mechanism::PREFERENCE
            .into_iter()
            .filter(|mechanism| match mechanism {
                Mechanism::External => false,
                Mechanism::Scram { plus, .. } => !plus || !bindings.is_empty(),
                Mechanism::Plain => served.plain,
            })
            .collect();
        out.send(|bytes| write_features(&sasl_features(&offered, &bindings), bytes));
        self.state = State::Sasl(Box::new(Sasl {
            served,
            tls,
            claimed: claimed(&header).ok().flatten(),
            offered,
            failures: 0,
            running: None,
        }));
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

// --- features ---

fn binding_types(tls: &TlsInfo) -> Vec<&'static str> {
    let mut types = Vec::new();
    if tls.exporter.is_some() {
        types.push("tls-exporter");
    }
    if tls.end_point.is_some() {
        types.push("tls-server-end-point");
    }
    types
}

fn sasl_features(offered: &[Mechanism], bindings: &[&str]) -> Vec<Element> {
    let mut mechanisms = Element::new("mechanisms", ns::SASL);
    for mechanism in offered {
        mechanisms.push(Element::new("mechanism", ns::SASL).text(mechanism.name()));
    }
    let mut features = vec![mechanisms];
    if !bindings.is_empty() {
        // SASL-27
        let mut types = Element::new("sasl-channel-binding", ns::SASL_CB);
        for name in bindings {
            types.push(Element::new("channel-binding", ns::SASL_CB).attr("type", *name));
        }
        features.push(types);
    }
    features
}

fn session_features(served: &Served) -> Vec<Element> {
    let mut features = vec![
        Element::new("bind", ns::BIND).child(Element::new("required", ns::BIND)),
        // COMPAT: clients older than RFC 6121 wait for it; `optional` lets the others skip it.
        Element::new("session", ns::SESSION).child(Element::new("optional", ns::SESSION)),
        limits_feature(served),
    ];
    features.extend(served.features.iter().cloned());
    features
}

// --- elements ---

impl Client {
    fn element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        if let Some(error) = StreamError::from_raw(raw) {
            out.push(Action::Event(Event::RemoteError(error)));
            return self.finish(out);
        }
        match &mut self.state {
            State::Open(session) => open_element(session, raw, out),
            State::Closing | State::Closed => return,
            State::Bind(..) => return self.bind_element(raw, out),
            State::Sasl(_) => return self.sasl_element(raw, out),
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

/// A bound client's element: a stanza for the router, unless it belongs to the stream itself.
fn open_element(
    session: &Session,
    raw: &RawElement<'_>,
    out: &mut Actions,
) -> Result<(), StreamError> {
    match Stanza::from_raw(raw, From::Stamp(&session.jid), session.lang.as_deref()) {
        Ok(stanza) => {
            if stanza.kind() == Kind::Iq && stanza.type_() == StanzaType::Set {
                match stanza.first_child() {
                    Some(("session", ns::SESSION)) => {
                        let id = stanza.id().unwrap_or_default();
                        let result = iq("result", id);
                        out.send(|bytes| result.write(bytes, ns::CLIENT));
                        return Ok(());
                    }
                    Some(("bind", ns::BIND)) => {
                        // One resource a stream (RFC 6120 7 no longer knows more).
                        if let Some(reply) = stanza.error_reply(&Condition::NotAllowed.into()) {
                            out.send(|bytes| bytes.extend_from_slice(reply.bytes()));
                        }
                        return Ok(());
                    }
                    _ => {}
                }
            }
            out.push(Action::Stanza(stanza));
            Ok(())
        }
        Err(StanzaSyntaxError::Refused { reply, .. }) => {
            if let Some(reply) = reply {
                out.send(|bytes| bytes.extend_from_slice(reply.bytes()));
            }
            Ok(())
        }
        Err(StanzaSyntaxError::NotAStanza) => Err(not_a_stanza(raw)),
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

// --- SASL ---

impl Client {
    fn sasl_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        if raw.ns() != ns::SASL {
            return self.fail(unwanted(raw), out);
        }
        let step = match raw.name() {
            "auth" => {
                // A second `<auth/>` cancels the first (SASL-07).
                state.running = None;
                state.begin(raw, self.reception.seed.token())
            }
            "response" => state.go_on(raw),
            "abort" => Step::Failure(SaslFailure::Aborted),
            _ => return self.fail(StreamCondition::UnsupportedStanzaType.into(), out),
        };
        self.step(step, out);
    }

    fn step(&mut self, step: Step, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        match step {
            Step::Challenge(data) => out.send_str(&format!(
                "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</challenge>",
                sasl::encode(&data)
            )),
            Step::NeedVerifier { username, hash } => out.push(Action::Ask(Ask::Credentials {
                domain: state.served.domain.clone(),
                local: username,
                hash,
            })),
            Step::Success { username, data, .. } => {
                match BareJid::new(Some(&username), &state.served.domain) {
                    Ok(account) => self.authenticated(account, data, out),
                    Err(_) => self.sasl_failed(SaslFailure::NotAuthorized, out),
                }
            }
            Step::Failure(failure) => self.sasl_failed(failure, out),
        }
    }

    fn authenticated(&mut self, account: BareJid, data: Option<Vec<u8>>, out: &mut Actions) {
        let State::Sasl(state) = std::mem::replace(&mut self.state, State::Between) else {
            return;
        };
        // LAYER-02. A bare domain in `from` claims no account.
        if let Some(claimed) = &state.claimed
            && claimed.local().is_some()
            && *claimed != account
        {
            out.send_str(&sasl_failure(SaslFailure::InvalidAuthzid, ""));
            return self.fail(StreamCondition::InvalidFrom.into(), out);
        }
        match data {
            Some(data) => out.send_str(&format!(
                "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</success>",
                sasl::encode(&data)
            )),
            None => out.send_str("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"),
        }
        out.push(Action::Restart);
        out.push(Action::Event(Event::Authenticated {
            account: account.clone(),
            mechanism: state.running.map_or("", |running| running.mechanism.name()),
        }));
        self.reception.opened = false;
        self.state = State::Authenticated(Box::new(Account {
            account,
            served: state.served,
        }));
    }

    fn sasl_failed(&mut self, reason: SaslFailure, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        state.failures += 1;
        let last = state.failures >= SASL_FAILURES
            || state
                .running
                .take()
                .is_some_and(|running| running.exporter && reason != SaslFailure::Aborted);
        out.send_str(&sasl_failure(reason, ""));
        out.push(Action::Event(Event::AuthenticationFailed {
            failure: reason,
        }));
        if last {
            self.fail(
                StreamError::new(StreamCondition::PolicyViolation)
                    .with_text("no further attempt on this connection"),
                out,
            );
        }
    }
}

impl Sasl {
    fn begin(&mut self, raw: &RawElement<'_>, nonce: String) -> Step {
        let Some(mechanism) = raw
            .attr("mechanism")
            .and_then(|name| Mechanism::from_name(&name))
            .filter(|mechanism| self.offered.contains(mechanism))
        else {
            return Step::Failure(SaslFailure::InvalidMechanism);
        };
        let initial = match sasl::decode(&raw.to_element().text_content()) {
            Ok(initial) => initial,
            Err(failure) => return Step::Failure(failure),
        };
        let context = Context {
            nonce,
            channel_bindings: ChannelBindings {
                exporter: self.tls.exporter,
                end_point: self.tls.end_point.clone(),
            },
            plus_offered: self
                .offered
                .iter()
                .any(|m| matches!(m, Mechanism::Scram { plus: true, .. })),
            domain: self.served.domain.clone(),
            fake_secret: self.served.fake_secret.to_vec(),
            external: Vec::new(),
            advertised: Some(self.advertised()),
        };
        let exporter = initial.as_ref().is_some_and(|data| binds_exporter(data));
        let (exchange, step) =
            Exchange::start(mechanism, initial.map(|data| data.to_vec()), context);
        self.running = Some(Running {
            exchange,
            mechanism,
            exporter,
        });
        step
    }

    /// What the features said, for the downgrade hash (SASL-29).
    fn advertised(&self) -> Advertised {
        let owned = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
        let bindings = binding_types(&self.tls);
        Advertised {
            mechanisms: owned(self.offered.iter().map(|m| m.name()).collect()),
            bindings: (!bindings.is_empty()).then(|| owned(bindings)),
        }
    }

    fn go_on(&mut self, raw: &RawElement<'_>) -> Step {
        let Some(running) = &mut self.running else {
            return Step::Failure(SaslFailure::MalformedRequest);
        };
        match sasl::decode(&raw.to_element().text_content()) {
            // A response without text is an empty one.
            Ok(data) => {
                let data = data.map(|data| data.to_vec()).unwrap_or_default();
                running.exporter |= binds_exporter(&data);
                running.exchange.respond(data)
            }
            Err(failure) => Step::Failure(failure),
        }
    }

    fn supply(&mut self, verifier: Option<ScramVerifier>) -> Step {
        match &mut self.running {
            Some(running) => running.exchange.supply(verifier),
            None => Step::Failure(SaslFailure::MalformedRequest),
        }
    }
}

/// Whether this is a client-first message that binds to the exporter (RFC 5802 7, RFC 9266).
fn binds_exporter(data: &[u8]) -> bool {
    data.starts_with(b"p=tls-exporter,")
}

// --- binding ---

impl Client {
    fn bind_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
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
        }));
    }

    fn bound(&mut self, result: Result<Jid, Box<StanzaError>>, out: &mut Actions) {
        let State::Bind(_, binding) = &mut self.state else {
            return;
        };
        let id = binding.asked.take().unwrap_or_default();
        match result {
            Ok(jid) => {
                let address = Element::new("jid", ns::BIND).text(jid.as_str());
                let result = iq("result", &id).child(Element::new("bind", ns::BIND).child(address));
                out.send(|bytes| result.write(bytes, ns::CLIENT));
                let lang = binding.lang.take();
                self.state = State::Open(Box::new(Session { jid, lang }));
            }
            Err(error) => {
                binding.failures += 1;
                let failures = binding.failures;
                let refusal = iq("error", &id).child(error.to_element());
                out.send(|bytes| refusal.write(bytes, ns::CLIENT));
                if failures >= BIND_FAILURES {
                    self.fail(StreamCondition::PolicyViolation.into(), out);
                }
            }
        }
    }
}

// --- answers and the end ---

impl Client {
    fn answer(&mut self, answer: Answer, out: &mut Actions) {
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
            Answer::Bound(result) => self.bound(result, out),
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
}
