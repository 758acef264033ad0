//! The extensible SASL profile (XEP-0388), with what a client may ask for along with it: a session that goes on (XEP-0198
//! 9), binding (XEP-0386), a token for the next time (XEP-0484), further verifiers of its password (XEP-0480; `upgrade.rs`).
//!
//! The exchanges are those of `sasl.rs`; only the elements around them differ, and what follows them. Refuses: more than one
//! exchange at a time (SASL-31), inline requests of an attempt that failed (SASL-33), tokens where the client does not say
//! which one it is.

use super::super::opening::{Ending, limits_feature};
use super::super::{
    Action, Actions, Ask, Bound, Event, Grant, IssuedToken, NotResumed, Resumed, Served,
    StreamCondition, Unavailable, UserAgent, write_features,
};
use super::resume::{Wish, not_resumed, resume_request, resumed_answer};
use super::session::{Binding, session_features};
use super::upgrade::{self, Upgrading};
use super::{Account, Client, State};
use crate::element::Element;
use crate::framing::RawElement;
use crate::jid::BareJid;
use crate::ns;
use crate::sasl::{
    self, ChannelBindings, Hash, SaslFailure, Step, TokenKey, TokenMechanism, TokenProof,
};
use crate::stanza::StanzaError;
use crate::stream::acks::Acks;
use crate::timestamp::Timestamp;

/// Bytes of a tag and of each thing that a client says about itself.
const WORD_BYTES: usize = 100;

/// What came with `<authenticate/>`.
#[derive(Debug, Default)]
pub(super) struct Request {
    agent: UserAgent,
    resume: Option<(String, u32)>,
    bind: Option<BindRequest>,
    /// A token for the next time, for this mechanism.
    token: Option<TokenMechanism>,
    /// The token that is being used shall be worth nothing any more.
    invalidate: bool,
    /// Hashes of which the client would compute a verifier.
    pub(super) upgrades: Vec<Hash>,
}

#[derive(Debug, Default)]
struct BindRequest {
    tag: String,
    enable: Option<Wish>,
    inactive: bool,
    /// For modules.
    features: Vec<Element>,
}

impl Request {
    fn of(tree: &Element, served: &Served) -> Self {
        let agent = tree.find("user-agent", ns::SASL2);
        let word = |name: &str| {
            let text = agent.and_then(|agent| agent.find(name, ns::SASL2));
            text.map(|text| short(&text.text_content()))
                .unwrap_or_default()
        };
        let resume = tree
            .find("resume", ns::STREAM_MANAGEMENT)
            .and_then(|resume| resume_request(resume.get_attr("previd"), resume.get_attr("h")));
        let token = tree.find("request-token", ns::FAST);
        let fast = tree.find("fast", ns::FAST);
        Self {
            agent: UserAgent {
                id: agent
                    .and_then(|agent| agent.get_attr("id"))
                    .map(str::trim)
                    .filter(|id| !id.is_empty() && id.len() <= WORD_BYTES)
                    .map(str::to_owned),
                software: word("software"),
                device: word("device"),
            },
            resume,
            bind: tree
                .find("bind", ns::BIND2)
                .map(|bind| BindRequest::of(bind, served)),
            token: token
                .and_then(|token| token.get_attr("mechanism"))
                .and_then(TokenMechanism::from_name),
            invalidate: fast
                .and_then(|fast| fast.get_attr("invalidate"))
                .is_some_and(|invalidate| matches!(invalidate, "true" | "1")),
            upgrades: upgrade::requested(tree, served),
        }
    }
}

impl BindRequest {
    fn of(bind: &Element, served: &Served) -> Self {
        let enable = bind.find("enable", ns::STREAM_MANAGEMENT);
        let tag = bind.find("tag", ns::BIND2).map(Element::text_content);
        Self {
            tag: tag.map(|tag| short(&tag)).unwrap_or_default(),
            enable: enable.map(|enable| {
                Wish::from_attributes(enable.get_attr("resume"), enable.get_attr("max"))
            }),
            inactive: bind.find("inactive", ns::CSI).is_some(),
            features: bind
                .children()
                .filter(|child| served.inline.contains(&child.ns()))
                .cloned()
                .collect(),
        }
    }
}

/// What people may read of it: no control characters, and not much.
fn short(text: &str) -> String {
    let text = text.trim().chars().filter(|c| !c.is_control());
    let mut out = String::new();
    for c in text {
        if out.len() + c.len_utf8() > WORD_BYTES {
            break;
        }
        out.push(c);
    }
    out
}

/// A token that is being proved.
pub(super) struct Attempt {
    mechanism: TokenMechanism,
    proof: TokenProof,
}

/// Mechanisms for tokens that this connection can have, if the domain gives any.
fn token_mechanisms(served: &Served, bindings: &ChannelBindings) -> Vec<TokenMechanism> {
    let all = TokenMechanism::PREFERENCE.into_iter();
    all.filter(|mechanism| served.tokens && mechanism.binding(bindings).is_some())
        .collect()
}

/// SASL-30, SASL-36
pub(super) fn feature(
    served: &Served,
    mechanisms: &[&str],
    bindings: &ChannelBindings,
) -> Option<Element> {
    if mechanisms.is_empty() {
        return None;
    }
    let mut authentication = Element::new("authentication", ns::SASL2);
    for name in mechanisms {
        authentication.push(Element::new("mechanism", ns::SASL2).text(*name));
    }
    let own = [ns::STREAM_MANAGEMENT, ns::CSI];
    let features = own.iter().chain(&served.inline);
    let features = features.map(|var| Element::new("feature", ns::BIND2).attr("var", *var));
    let bind = Element::new("bind", ns::BIND2)
        .child(Element::new("inline", ns::BIND2).children_from(features));
    let mut inline = Element::new("inline", ns::SASL2)
        .child(Element::new("sm", ns::STREAM_MANAGEMENT))
        .child(bind);
    let tokens = token_mechanisms(served, bindings);
    if !tokens.is_empty() {
        let names = tokens
            .iter()
            .map(|mechanism| Element::new("mechanism", ns::FAST).text(mechanism.name()));
        inline.push(Element::new("fast", ns::FAST).children_from(names));
    }
    Some(
        authentication
            .child(inline)
            .children_from(upgrade::features(served)),
    )
}

/// `<failure/>` (SASL-33)
pub(super) fn failure(reason: SaslFailure) -> String {
    format!(
        "<failure xmlns='urn:xmpp:sasl:2'><{} xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/></failure>",
        reason.name()
    )
}

/// `<challenge/>`
pub(super) fn challenge(data: &[u8]) -> String {
    let data = if data.is_empty() {
        String::new()
    } else {
        sasl::encode(data)
    };
    format!("<challenge xmlns='urn:xmpp:sasl:2'>{data}</challenge>")
}

/// What follows a proof, one after the other, until `<success/>` can be said.
pub(super) struct Finishing {
    pub(super) account: Box<Account>,
    pub(super) request: Box<Request>,
    /// The password was proved, nothing else.
    pub(super) by_password: bool,
    pub(super) upgrading: Upgrading,
    /// What `<success/>` will hold behind the address.
    parts: Vec<Element>,
    pub(super) data: Option<Vec<u8>>,
    lang: Option<String>,
    /// The token that has been used.
    used: Option<i64>,
    /// The token that is offered to the store for the next time.
    fresh: Option<String>,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    Upgrade,
    Token,
    Resume,
    Bind,
    Done,
}

impl Client {
    /// An element of the profile while nobody is authenticated.
    pub(super) fn sasl2_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        let step = match (raw.name(), state.is_modern()) {
            ("authenticate", false) => {
                let tree = raw.to_element();
                let mechanism = tree.get_attr("mechanism").unwrap_or_default().to_owned();
                let initial = match tree.find("initial-response", ns::SASL2) {
                    // The special case of an empty response is no more (XEP-0388 2.2).
                    Some(initial) => sasl::decode(initial.text_content().trim())
                        .map(|data| Some(data.map(|data| data.to_vec()).unwrap_or_default())),
                    None => Ok(None),
                };
                let request = Box::new(Request::of(&tree, &state.served));
                let nonce = self.reception.seed.token();
                match TokenMechanism::from_name(&mechanism) {
                    Some(token) if tree.find("fast", ns::FAST).is_some() => {
                        return self.token_attempt(token, initial, request, out);
                    }
                    _ => state.begin_modern(&mechanism, initial, request, nonce),
                }
            }
            ("response", true) => state.go_on(raw),
            ("abort", true) => Step::Failure(SaslFailure::Aborted),
            _ => return self.intruder(out),
        };
        self.step(step, out);
    }

    /// Anything else in the middle of an exchange (SASL-31).
    pub(super) fn intruder(&mut self, out: &mut Actions) {
        self.fail(StreamCondition::PolicyViolation.into(), out);
        self.drop_dead(out);
    }

    fn token_attempt(
        &mut self,
        mechanism: TokenMechanism,
        initial: Result<Option<Vec<u8>>, SaslFailure>,
        request: Box<Request>,
        out: &mut Actions,
    ) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        let agent = request.agent.id.clone();
        state.token_begins(request, mechanism);
        let bindings = state.bindings();
        let offered = token_mechanisms(&state.served, &bindings).contains(&mechanism);
        let proof = match (offered, initial) {
            (false, _) => Err(SaslFailure::InvalidMechanism),
            (true, Ok(Some(data))) => TokenProof::parse(&data),
            (true, Ok(None)) => Err(SaslFailure::MalformedRequest),
            (true, Err(failure)) => Err(failure),
        };
        match (proof, agent) {
            (Ok(proof), Some(agent)) => {
                out.push(Action::Ask(Ask::Tokens {
                    domain: state.served.domain.clone(),
                    local: proof.username.clone(),
                    agent,
                }));
                state.attempt = Some(Box::new(Attempt { mechanism, proof }));
            }
            (Ok(_), None) => self.sasl_failed(SaslFailure::MalformedRequest, out),
            (Err(failure), _) => self.sasl_failed(failure, out),
        }
    }

    /// The tokens of the client that says it has one.
    pub(super) fn tokens(
        &mut self,
        tokens: Result<Vec<IssuedToken>, Unavailable>,
        now: Timestamp,
        out: &mut Actions,
    ) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        let Some(attempt) = state.attempt.take() else {
            return;
        };
        let Ok(tokens) = tokens else {
            return self.sasl_failed(SaslFailure::TemporaryAuthFailure, out);
        };
        let bindings = state.bindings();
        let binding = attempt.mechanism.binding(&bindings).unwrap_or_default();
        let found = tokens.into_iter().find(|token| {
            // A token is bound to its mechanism (SASL-40).
            token.mechanism == attempt.mechanism.name()
                && attempt.proof.matches(&token.key, binding)
        });
        let account = BareJid::new(Some(&attempt.proof.username), &state.served.domain);
        match (found, account) {
            // SASL-42
            (Some(token), _) if token.expires <= now => {
                self.sasl_failed(SaslFailure::CredentialsExpired, out);
            }
            (Some(token), Ok(account)) => {
                let answer = token.key.answer(binding);
                self.proved(account, Some(answer), Some(token.id), out);
            }
            _ => self.sasl_failed(SaslFailure::NotAuthorized, out),
        }
    }

    /// The account is proved: what was asked for along with it is done before `<success/>`.
    pub(super) fn proved(
        &mut self,
        account: BareJid,
        data: Option<Vec<u8>>,
        used: Option<i64>,
        out: &mut Actions,
    ) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        // LAYER-02, LAYER-10. A bare domain in `from` claims no account.
        if state.claims_another(&account) {
            self.sasl_failed(SaslFailure::InvalidAuthzid, out);
            return self.fail(StreamCondition::InvalidFrom.into(), out);
        }
        let State::Sasl(state) = std::mem::replace(&mut self.state, State::Between) else {
            return;
        };
        let (served, lang, request, mechanism) = state.finished();
        out.push(Action::Event(Event::Authenticated {
            account: account.clone(),
            mechanism,
        }));
        let by_password = mechanism == "PLAIN" || mechanism.starts_with("SCRAM-");
        self.state = State::Finishing(Box::new(Finishing {
            account: Box::new(Account { account, served }),
            request,
            parts: Vec::new(),
            data,
            lang,
            used,
            fresh: None,
            by_password,
            upgrading: Upgrading::default(),
            stage: Stage::Upgrade,
        }));
        self.go_on(out);
    }

    /// Asks for the next thing that is due.
    pub(super) fn go_on(&mut self, out: &mut Actions) {
        let State::Finishing(finishing) = &mut self.state else {
            return;
        };
        let Finishing {
            account,
            request,
            used,
            fresh,
            stage,
            by_password,
            ..
        } = &mut **finishing;
        loop {
            match *stage {
                Stage::Upgrade => {
                    *stage = Stage::Token;
                    if *by_password && !request.upgrades.is_empty() {
                        out.push(Action::Ask(Ask::Lacking {
                            account: account.account.clone(),
                            hashes: request.upgrades.clone(),
                        }));
                        return;
                    }
                }
                Stage::Token => {
                    *stage = Stage::Resume;
                    let wanted = request.token.filter(|_| account.served.tokens);
                    if (wanted.is_none() && used.is_none()) || request.agent.id.is_none() {
                        continue;
                    }
                    let seed = &mut self.reception.seed;
                    let token = format!("{}{}{}", seed.token(), seed.token(), seed.token());
                    out.push(Action::Ask(Ask::Grant(Box::new(Grant {
                        account: account.account.clone(),
                        agent: request.agent.clone(),
                        used: *used,
                        invalidate: request.invalidate,
                        wanted,
                        key: TokenKey::of(&token),
                    }))));
                    *fresh = Some(token);
                    return;
                }
                Stage::Resume => {
                    *stage = Stage::Bind;
                    if let Some((previd, handled)) = &request.resume {
                        out.push(Action::Ask(Ask::Resume {
                            account: account.account.clone(),
                            previd: previd.clone(),
                            handled: *handled,
                        }));
                        return;
                    }
                }
                Stage::Bind => {
                    *stage = Stage::Done;
                    if let Some(bind) = &mut request.bind {
                        // The same client gets the same resource, and with it the place of its last session; nobody learns
                        // from it which client that is (SASL-39).
                        let part = match &request.agent.id {
                            Some(agent) => account.served.pseudonym(&account.account, agent),
                            None => self.reception.seed.token(),
                        };
                        let part = part.get(..16).unwrap_or(&part);
                        let resource = match bind.tag.as_str() {
                            "" => part.to_owned(),
                            tag => format!("{tag}/{part}"),
                        };
                        out.push(Action::Ask(Ask::Bind {
                            account: account.account.clone(),
                            resource: Some(resource),
                            random: self.reception.seed.token(),
                            features: Some(std::mem::take(&mut bind.features)),
                        }));
                        return;
                    }
                }
                Stage::Done => return self.succeed(out),
            }
        }
    }

    /// A token for the next time, if there is to be one.
    pub(super) fn granted(
        &mut self,
        granted: Result<Option<Timestamp>, Unavailable>,
        out: &mut Actions,
    ) {
        if let State::Finishing(finishing) = &mut self.state
            && let (Ok(Some(expiry)), Some(token)) = (granted, finishing.fresh.take())
        {
            finishing.parts.push(
                Element::new("token", ns::FAST)
                    .attr("expiry", expiry.to_xep0082())
                    .attr("token", token),
            );
        }
        self.go_on(out);
    }

    /// A session goes on, or does not (SASL-38).
    pub(super) fn resumed_inline(
        &mut self,
        result: Result<Resumed, NotResumed>,
        out: &mut Actions,
    ) {
        let State::Finishing(finishing) = &mut self.state else {
            return;
        };
        match result {
            Ok(Resumed { jid, handled }) => {
                let previd = finishing.request.resume.take().unwrap_or_default().0;
                finishing.parts.push(resumed_answer(&previd, handled));
                let mut binding = Binding::new(finishing.lang.take());
                let mut session = binding.session(jid.clone(), &mut finishing.account.served);
                session.go_on(handled);
                let success = finishing.success(jid.as_str());
                out.send(|bytes| success.write(bytes, ns::CLIENT));
                self.state = State::Open(Box::new(session));
            }
            Err(why) => match not_resumed(why) {
                Ok(failed) => {
                    finishing.parts.push(failed);
                    self.go_on(out);
                }
                Err(error) => self.fail(error, out),
            },
        }
    }

    /// A resource is bound, or not; then the client may still bind in the old way (SASL-37).
    pub(super) fn bound_inline(
        &mut self,
        result: Result<Bound, Box<StanzaError>>,
        out: &mut Actions,
    ) {
        let State::Finishing(finishing) = &mut self.state else {
            return;
        };
        let Ok(Bound { jid, answers }) = result else {
            return self.go_on(out);
        };
        let bind = finishing.request.bind.take().unwrap_or_default();
        let features = open_features(&finishing.account.served, bind.enable.is_some());
        let mut binding = Binding::new(finishing.lang.take());
        let mut session = binding.session(jid.clone(), &mut finishing.account.served);
        let seed = &mut self.reception.seed;
        let enabled = bind.enable.map(|wish| session.enable(&wish, seed));
        finishing.parts.push(
            Element::new("bound", ns::BIND2)
                .child_opt(enabled.clone())
                .children_from(answers),
        );
        let success = finishing.success(jid.as_str());
        out.send(|bytes| {
            success.write(bytes, ns::CLIENT);
            write_features(&features, bytes);
        });
        if let Some(enabled) = enabled {
            session.enabled(&enabled, out);
        }
        self.state = State::Open(Box::new(session));
        if bind.inactive {
            out.push(Action::Event(Event::Active(false)));
        }
    }

    /// Nothing has been bound: binding is offered.
    fn succeed(&mut self, out: &mut Actions) {
        let State::Finishing(mut finishing) = std::mem::replace(&mut self.state, State::Between)
        else {
            return;
        };
        let success = finishing.success(finishing.account.account.clone().as_str());
        out.send(|bytes| {
            success.write(bytes, ns::CLIENT);
            write_features(&session_features(&finishing.account.served), bytes);
        });
        self.state = State::Bind(finishing.account, Binding::new(finishing.lang));
    }
}

impl Finishing {
    /// SASL-32
    fn success(&mut self, address: &str) -> Element {
        let data = self
            .data
            .take()
            .map(|data| Element::new("additional-data", ns::SASL2).text(sasl::encode(&data)));
        Element::new("success", ns::SASL2)
            .child_opt(data)
            .child(Element::new("authorization-identifier", ns::SASL2).text(address))
            .children_from(self.parts.drain(..))
    }
}

/// What is offered to a session that was bound along with authentication.
fn open_features(served: &Served, managed: bool) -> Vec<Element> {
    let mut features = vec![limits_feature(served), Element::new("csi", ns::CSI)];
    if !managed {
        features.push(Acks::feature());
    }
    features.extend(served.features.iter().cloned());
    features
}
