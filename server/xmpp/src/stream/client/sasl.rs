//! SASL on a client's stream (RFC 6120 6): what is offered, and one exchange after the other, whichever profile carries it
//! (`sasl2.rs` has the words of the other one).
//!
//! Refuses: a second exchange over the same exporter (C-01), more failures than [`SASL_FAILURES`], EXTERNAL for whom it
//! would not succeed (SASL-03).

use super::super::opening::{Ending, sasl_failure};
use super::super::{Action, Actions, Ask, Event, Served, StreamCondition, StreamError, TlsInfo};
use super::register::{self, Registering};
use super::sasl2::{self, Attempt, Request};
use super::{Account, Client, State, flows, unwanted};
use crate::element::Element;
use crate::framing::RawElement;
use crate::jid::BareJid;
use crate::ns;
use crate::sasl::{
    self, Advertised, ChannelBindings, Context, Exchange, Mechanism, SaslFailure, ScramVerifier,
    Step, TokenMechanism,
};

/// Failed SASL exchanges after which the stream is closed: three retries (SASL-10).
const SASL_FAILURES: u8 = 4;

/// What a stream knows once its domain is known over TLS.
pub(super) struct Sasl {
    pub(super) served: Box<Served>,
    tls: Box<TlsInfo>,
    /// The bare `from` of the header, if it named an account (LAYER-02).
    claimed: Option<BareJid>,
    /// Accounts that the client's certificate proves, as EXTERNAL names them (SASL-44). Where the header claims one of them
    /// it is the only one; where it claims another, there is none (LAYER-01).
    external: Vec<String>,
    offered: Vec<Mechanism>,
    failures: u8,
    running: Option<Running>,
    /// What the running exchange of the other profile (XEP-0388) was asked along with.
    modern: Option<Modern>,
    /// A token that is being looked at.
    pub(super) attempt: Option<Box<Attempt>>,
    /// An account that is being made.
    pub(super) registering: Registering,
    /// The header's, for stanzas without one (STREAM-18).
    lang: Option<String>,
}

/// An attempt in the other profile.
struct Modern {
    request: Box<Request>,
    /// What it proves itself with, where that is a token.
    token: Option<TokenMechanism>,
}

/// One exchange.
struct Running {
    exchange: Exchange,
    mechanism: Mechanism,
    /// Whether it is bound to the TLS exporter, so that no other exchange may follow on this connection (C-01).
    exporter: bool,
}

impl Client {
    pub(super) fn sasl_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        if matches!(raw.ns(), ns::SASL | ns::SASL2) {
            state.registering.chosen = None;
        }
        if raw.ns() == ns::SASL2 {
            return self.sasl2_element(raw, out);
        }
        if state.is_modern() {
            return self.intruder(out);
        }
        if raw.is("iq", ns::CLIENT) && state.served.registers {
            return self.register_element(raw, out);
        }
        if raw.ns() == ns::IBR2 && !state.served.flows.is_empty() {
            return self.flow_element(raw, out);
        }
        if raw.ns() != ns::SASL {
            return self.fail(unwanted(raw), out);
        }
        let step = match raw.name() {
            "auth" => {
                // A second `<auth/>` cancels the first (SASL-07).
                state.running = None;
                let mechanism = raw.attr("mechanism").unwrap_or_default();
                match sasl::decode(&raw.to_element().text_content()) {
                    Ok(initial) => {
                        let initial = initial.map(|data| data.to_vec());
                        state.begin(&mechanism, initial, self.reception.seed.token())
                    }
                    Err(failure) => Step::Failure(failure),
                }
            }
            "response" => state.go_on(raw),
            "abort" => Step::Failure(SaslFailure::Aborted),
            _ => return self.fail(StreamCondition::UnsupportedStanzaType.into(), out),
        };
        self.step(step, out);
    }

    pub(super) fn step(&mut self, step: Step, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        match step {
            Step::Challenge(data) if state.is_modern() => {
                out.send_str(&sasl2::challenge(&data));
            }
            Step::Challenge(data) => out.send_str(&format!(
                "<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</challenge>",
                sasl::encode(&data)
            )),
            Step::NeedVerifier { username, hash } => out.push(Action::Ask(Ask::Credentials {
                domain: state.served.domain.clone(),
                local: username,
                hash,
            })),
            Step::Success { username, data, .. } => match state.account(&username) {
                Some(account) if state.is_modern() => self.proved(account, data, None, out),
                Some(account) => self.authenticated(account, data, out),
                None => self.sasl_failed(SaslFailure::NotAuthorized, out),
            },
            Step::Failure(failure) => self.sasl_failed(failure, out),
        }
    }

    fn authenticated(&mut self, account: BareJid, data: Option<Vec<u8>>, out: &mut Actions) {
        let State::Sasl(state) = std::mem::replace(&mut self.state, State::Between) else {
            return;
        };
        // LAYER-02. A bare domain in `from` claims no account.
        if state.claims_another(&account) {
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

    pub(super) fn sasl_failed(&mut self, reason: SaslFailure, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        state.failures += 1;
        // C-01
        let token = state.modern.as_ref().and_then(|modern| modern.token);
        let exporter = state.running.take().is_some_and(|running| running.exporter)
            || token == Some(TokenMechanism::Exporter);
        let last = state.failures >= SASL_FAILURES || (exporter && reason != SaslFailure::Aborted);
        match state.modern.take() {
            Some(_) => out.send_str(&sasl2::failure(reason)),
            None => out.send_str(&sasl_failure(reason, "")),
        }
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
    /// `claimed` is the bare `from` of the header, if it named an account.
    /// `lang` is its `xml:lang`.
    pub(super) fn new(
        served: Box<Served>,
        tls: Box<TlsInfo>,
        claimed: Option<BareJid>,
        lang: Option<String>,
    ) -> Self {
        let external: Vec<_> = served
            .external
            .iter()
            .filter(|proven| {
                claimed
                    .as_ref()
                    .is_none_or(|said| said.local().is_none() || said == *proven)
            })
            .map(|proven| proven.as_str().to_owned())
            .collect();
        let bound = !binding_types(&tls).is_empty();
        let offered = Mechanism::PREFERENCE
            .into_iter()
            .filter(|mechanism| match mechanism {
                Mechanism::External => !external.is_empty(),
                Mechanism::Scram { plus, hash } => (!plus || bound) && served.hashes.contains(hash),
                Mechanism::Plain => served.plain,
            })
            .collect();
        Self {
            served,
            tls,
            claimed,
            external,
            offered,
            failures: 0,
            running: None,
            modern: None,
            attempt: None,
            registering: Registering::default(),
            lang,
        }
    }

    /// An attempt in the other profile is under way.
    pub(super) fn is_modern(&self) -> bool {
        self.modern.is_some()
    }

    /// Whether the header names an account that is not this one.
    pub(super) fn claims_another(&self, account: &BareJid) -> bool {
        let claimed = self.claimed.as_ref();
        claimed.is_some_and(|claimed| claimed.local().is_some() && claimed != account)
    }

    /// What this connection can be bound to.
    pub(super) fn bindings(&self) -> ChannelBindings {
        ChannelBindings {
            exporter: self.tls.exporter,
            end_point: self.tls.end_point.clone(),
        }
    }

    /// Begins in the other profile.
    pub(super) fn begin_modern(
        &mut self,
        mechanism: &str,
        initial: Result<Option<Vec<u8>>, SaslFailure>,
        request: Box<Request>,
        nonce: String,
    ) -> Step {
        self.running = None;
        self.modern = Some(Modern {
            request,
            token: None,
        });
        match initial {
            Ok(initial) => self.begin(mechanism, initial, nonce),
            Err(failure) => Step::Failure(failure),
        }
    }

    /// A token is shown.
    pub(super) fn token_begins(&mut self, request: Box<Request>, mechanism: TokenMechanism) {
        self.running = None;
        self.modern = Some(Modern {
            request,
            token: Some(mechanism),
        });
    }

    /// What is left of it once an account is proved in the other profile: the domain, the header's language, what is to
    /// follow, and how it was proved.
    pub(super) fn finished(
        self: Box<Self>,
    ) -> (Box<Served>, Option<String>, Box<Request>, &'static str) {
        let (request, token) = match self.modern {
            Some(modern) => (modern.request, modern.token),
            None => (Box::default(), None),
        };
        let running = self.running.map(|running| running.mechanism.name());
        let mechanism = token.map(TokenMechanism::name).or(running);
        (self.served, self.lang, request, mechanism.unwrap_or(""))
    }

    /// Mechanisms, and the channel bindings they may use (SASL-02, SASL-27).
    pub(super) fn features(&self) -> Vec<Element> {
        let mut features = sasl_features(&self.offered, &binding_types(&self.tls));
        let names: Vec<_> = self.offered.iter().map(|m| m.name()).collect();
        features.extend(sasl2::feature(&self.served, &names, &self.bindings()));
        if self.served.registers {
            features.extend(register::features());
        }
        features.extend(flows::feature(self.served.flows));
        features
    }

    fn begin(&mut self, name: &str, initial: Option<Vec<u8>>, nonce: String) -> Step {
        let known = Mechanism::from_name(name);
        let Some(mechanism) = known.filter(|mechanism| self.offered.contains(mechanism)) else {
            // SASL-44: what was shown proves no account.
            let shown = known == Some(Mechanism::External) && !self.tls.peer_chain.is_empty();
            return Step::Failure(match shown {
                true => SaslFailure::NotAuthorized,
                false => SaslFailure::InvalidMechanism,
            });
        };
        let context = Context {
            nonce,
            channel_bindings: self.bindings(),
            plus_offered: self
                .offered
                .iter()
                .any(|m| matches!(m, Mechanism::Scram { plus: true, .. })),
            domain: self.served.domain.clone(),
            fake_secret: self.served.fake_secret.to_vec(),
            external: self.external.clone(),
            advertised: Some(self.advertised()),
        };
        let exporter = initial.as_ref().is_some_and(|data| binds_exporter(data));
        let (exchange, step) = Exchange::start(mechanism, initial, context);
        self.running = Some(Running {
            exchange,
            mechanism,
            exporter,
        });
        step
    }

    /// The account that a finished exchange names: EXTERNAL a bare address that was proved, the others a localpart here.
    fn account(&self, username: &str) -> Option<BareJid> {
        let mechanism = self.running.as_ref()?.mechanism;
        if mechanism == Mechanism::External {
            let proven = self.served.external.iter();
            return proven.into_iter().find(|p| p.as_str() == username).cloned();
        }
        BareJid::new(Some(username), &self.served.domain).ok()
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

    pub(super) fn go_on(&mut self, raw: &RawElement<'_>) -> Step {
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

    pub(super) fn supply(&mut self, verifier: Option<ScramVerifier>) -> Step {
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
