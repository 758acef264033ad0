//! SASL on a client's stream (RFC 6120 6): what is offered, and one exchange after the other.
//!
//! Refuses: a second exchange over the same exporter (C-01), more failures than [`SASL_FAILURES`], EXTERNAL for whom it
//! would not succeed (SASL-03).

use super::super::opening::{Ending, sasl_failure};
use super::super::{Action, Actions, Ask, Event, Served, StreamCondition, StreamError, TlsInfo};
use super::{Account, Client, State, unwanted};
use crate::element::Element;
use crate::framing::RawElement;
use crate::jid::BareJid;
use crate::ns;
use crate::sasl::{
    self, Advertised, ChannelBindings, Context, Exchange, Mechanism, SaslFailure, ScramVerifier,
    Step,
};

/// Failed SASL exchanges after which the stream is closed: three retries (SASL-10).
const SASL_FAILURES: u8 = 4;

/// What a stream knows once its domain is known over TLS.
pub(super) struct Sasl {
    served: Box<Served>,
    tls: Box<TlsInfo>,
    /// The bare `from` of the header, if it named an account (LAYER-02).
    claimed: Option<BareJid>,
    /// Accounts that the client's certificate proves, as EXTERNAL names them (SASL-44). Where the header claims one of them
    /// it is the only one; where it claims another, there is none (LAYER-01).
    external: Vec<String>,
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

impl Client {
    pub(super) fn sasl_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
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

    pub(super) fn step(&mut self, step: Step, out: &mut Actions) {
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
            Step::Success { username, data, .. } => match state.account(&username) {
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

    pub(super) fn sasl_failed(&mut self, reason: SaslFailure, out: &mut Actions) {
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
    /// `claimed` is the bare `from` of the header, if it named an account.
    pub(super) fn new(served: Box<Served>, tls: Box<TlsInfo>, claimed: Option<BareJid>) -> Self {
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
                Mechanism::Scram { plus, .. } => !plus || bound,
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
        }
    }

    /// Mechanisms, and the channel bindings they may use (SASL-02, SASL-27).
    pub(super) fn features(&self) -> Vec<Element> {
        sasl_features(&self.offered, &binding_types(&self.tls))
    }

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
            external: self.external.clone(),
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
