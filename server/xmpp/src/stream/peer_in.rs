//! A peer server calls us: header, TLS, then EXTERNAL or dialback, then stanzas (RFC 6120 4 to 6, XEP-0178, XEP-0220).
//!
//! The pair is the unit: what is proved is that the other end speaks for one remote domain towards one domain of ours, and
//! a stream carries stanzas only of pairs proved on it, in both names (DNA-19). We are the receiver of keys (XEP-0220 2.2.1)
//! and the authority for our own (2.2.2); as receiver we ask elsewhere, never on this connection (BIDI-05).
//!
//! Refuses: plaintext (TLS-04), a second hosted domain on a channel secured for another (VHOST-03), answers nobody asked for
//! (DIALBACK-12), relaying (ROUTE-06).

#[cfg(test)]
mod tests;

use super::dialback::{self, DialbackError, Request};
use super::{
    Action, Actions, Answer, Ask, CLOSE, Event, Host, Input, Judgement, KeyOutcome, Machine,
    Opening, Order, PairRefusal, Phase, Seed, Served, StreamCondition, StreamError, TlsInfo,
    response_lang, speaks_version_1, write_features,
};
use crate::element::Element;
use crate::framing::{RawElement, StreamHeader};
use crate::jid::DomainName;
use crate::ns;
use crate::sasl::{self, SaslFailure};
use crate::stanza::{Condition, From, Stanza, StanzaError, StanzaSyntaxError};
use crate::timestamp::Timestamp;

/// Pairs that one stream may carry or be busy proving (DIALBACK-24).
const PAIRS: usize = 64;
/// Keys that may turn out wrong on one stream before no more are looked at: each costs us a connection.
const REFUSED_KEYS: usize = 32;
/// Failed EXTERNAL attempts after which the stream is closed.
const SASL_FAILURES: u8 = 3;
/// Longest dialback key that is passed on; those of XEP-0185 have 64.
const KEY_BYTES: usize = 512;
/// Longest stream ID of somebody else's that is looked at.
const ID_BYTES: usize = 256;

/// Receiving side of a server stream.
pub struct PeerIn {
    seed: Seed,
    /// `from` of the response header when the domain is not hosted here (VHOST-05).
    provider: Option<DomainName>,
    /// Whether our opening tag of the current document has been sent (STREAM-26).
    opened: bool,
    state: State,
}

enum State {
    /// Plaintext, waiting for the first header.
    Plain,
    /// Plaintext, the header's domain is being looked up.
    PlainHost(StreamHeader),
    /// Plaintext, `<starttls/>` was offered.
    StartTls(Box<Served>),
    /// `<proceed/>` was sent.
    Handshake,
    /// TLS, waiting for a header.
    Tls(Box<TlsInfo>),
    /// TLS, the header's domain is being looked up.
    TlsHost(StreamHeader),
    /// TLS, the certificate is being judged for the header's `from`.
    TlsJudge(Box<Served>, StreamHeader, DomainName),
    /// TLS and both headers are there.
    Ready(Box<Ready>),
    /// Our closing tag is out.
    Closing,
    /// Over.
    Closed,
    /// Left behind while a step holds the state; never seen between two steps.
    Between,
}

/// A stream whose domain is known, over TLS.
struct Ready {
    served: Box<Served>,
    /// ID we gave this stream: what dialback keys on it are for.
    id: String,
    /// `from` of the header, if there was one (STREAM-13).
    from: Option<DomainName>,
    /// `xml:lang` of the header, for stanzas without one (STREAM-18).
    lang: Option<String>,
    /// EXTERNAL was offered: a prooftype holds for `from`.
    external: bool,
    /// An `<auth/>` without data is waiting for its response.
    challenged: bool,
    failures: u8,
    /// SASL succeeded and the header that follows has not come yet.
    restarting: bool,
    /// Remote domains proved on this stream, towards `served.domain`.
    proved: Vec<DomainName>,
    pending: Vec<Pending>,
    refused_keys: usize,
    /// Keys of ours were checked here: the stream has done its work without proving a pair.
    useful: bool,
}

/// A key that came and is not answered yet.
struct Pending {
    remote: DomainName,
    key: String,
}

impl PeerIn {
    /// A stream whose transport is about to connect. `provider` is our own name for streams to names that are not hosted.
    pub fn new(seed: Seed, provider: Option<DomainName>) -> Self {
        Self {
            seed,
            provider,
            opened: false,
            state: State::Plain,
        }
    }
}

impl Machine for PeerIn {
    fn handle(&mut self, input: Input<'_>, _now: Timestamp, out: &mut Actions) {
        match input {
            Input::Connected(None) => {}
            Input::Connected(Some(tls)) | Input::Tls(tls) => {
                self.opened = false;
                if !self.is_over() {
                    // Nothing of what was said before TLS is kept (LAYER-09).
                    self.state = State::Tls(Box::new(tls));
                }
            }
            Input::Header(header) => self.header(header, out),
            Input::Element(raw) => self.element(&raw, out),
            Input::Answer(answer) => self.answer(answer, out),
            Input::Close => self.peer_closed(out),
            Input::Broken(error) => self.fail(error, out),
            Input::Order(Order::Close(error)) => {
                let only_waiting = error.condition == StreamCondition::ConnectionTimeout
                    && matches!(&self.state, State::Ready(ready) if ready.useful);
                if only_waiting {
                    // It came to have a key checked and has been served; its silence is no error (STREAM-10).
                    self.finish(out);
                } else {
                    self.fail(error, out);
                }
            }
            Input::Order(Order::Finish) => self.finish(out),
            // Orders for streams that we opened.
            Input::Order(_) => {}
        }
    }

    fn phase(&self) -> Phase {
        match &self.state {
            State::Ready(ready) if !ready.restarting && !ready.proved.is_empty() => Phase::Open,
            State::Closing => Phase::Closing,
            State::Closed | State::Between => Phase::Closed,
            _ => Phase::Unauthenticated,
        }
    }
}

// --- headers ---

impl PeerIn {
    fn is_over(&self) -> bool {
        matches!(self.state, State::Closing | State::Closed)
    }

    fn header(&mut self, header: StreamHeader, out: &mut Actions) {
        if self.is_over() {
            return;
        }
        if header.ns != ns::STREAM || header.content_ns != ns::SERVER {
            // STREAM-20, STREAM-22
            return self.refuse_header(&header, StreamCondition::InvalidNamespace.into(), out);
        }
        if !speaks_version_1(&header) {
            // Without version there are no features, and without them no TLS.
            return self.refuse_header(&header, StreamCondition::UnsupportedVersion.into(), out);
        }
        let Some(to) = header
            .to
            .as_deref()
            .and_then(|to| DomainName::parse(to).ok())
        else {
            return self.refuse_header(&header, StreamCondition::HostUnknown.into(), out);
        };
        let Ok(from) = sender(&header) else {
            return self.refuse_header(&header, StreamCondition::InvalidFrom.into(), out);
        };
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
                State::TlsHost(header)
            }
            State::Ready(mut ready) if ready.restarting => {
                // What SASL proved is the pair of the header before; another one would slip past it.
                if to != ready.served.domain {
                    return self.refuse_header(&header, other_domain(), out);
                }
                if from.is_some() && from != ready.from {
                    return self.refuse_header(&header, StreamCondition::InvalidFrom.into(), out);
                }
                let domain = ready.served.domain.clone();
                ready.id = self.open(&header, Some(&domain), ready.from.clone().as_ref(), out);
                ready.restarting = false;
                ready.lang = lang_of(&header);
                out.send(|bytes| write_features(&features(&ready.served, false), bytes));
                State::Ready(ready)
            }
            // The framer gives one header a document; only a restart makes a new one.
            state => {
                self.state = state;
                return self.fail(StreamCondition::BadFormat.into(), out);
            }
        };
    }

    /// Writes our opening tag; gives the new stream ID (STREAM-16). `to` is the domain of the peer (STREAM-15).
    fn open(
        &mut self,
        header: &StreamHeader,
        from: Option<&DomainName>,
        to: Option<&DomainName>,
        out: &mut Actions,
    ) -> String {
        let id = self.seed.token();
        let provider = self.provider.as_ref().map_or("", DomainName::as_str);
        let opening = Opening {
            content_ns: ns::SERVER,
            from: Some(from.map_or(provider, DomainName::as_str)),
            to: to.map(DomainName::as_str),
            id: Some(&id),
            lang: response_lang(header.lang.as_deref()),
            version: speaks_version_1(header),
            dialback: true,
        };
        out.send(|bytes| opening.write(bytes));
        self.opened = true;
        id
    }

    /// A full header, then the error (VHOST-05).
    fn refuse_header(&mut self, header: &StreamHeader, error: StreamError, out: &mut Actions) {
        let to = sender(header).ok().flatten();
        self.open(header, None, to.as_ref(), out);
        self.fail(error, out);
    }

    fn host(&mut self, host: Host, out: &mut Actions) {
        let (tls, header) = match std::mem::replace(&mut self.state, State::Between) {
            State::PlainHost(header) => (false, header),
            State::TlsHost(header) => (true, header),
            state => {
                self.state = state;
                return;
            }
        };
        let served = match host {
            Host::Served(served) => served,
            Host::Unknown => {
                return self.refuse_header(&header, StreamCondition::HostUnknown.into(), out);
            }
            Host::Gone => {
                return self.refuse_header(&header, StreamCondition::HostGone.into(), out);
            }
            Host::Refused(error) => return self.refuse_header(&header, error, out),
        };
        // Checked when the header came.
        let from = sender(&header).ok().flatten();
        if !tls {
            self.open(&header, Some(&served.domain), from.as_ref(), out);
            // Alone, since it is required (TLS-02, TLS-03).
            out.send_str(
                "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>\
                 </stream:features>",
            );
            self.state = State::StartTls(served);
            return;
        }
        match from {
            Some(from) => {
                out.push(Action::Ask(Ask::Judge {
                    local: served.domain.clone(),
                    remote: from.clone(),
                }));
                self.state = State::TlsJudge(served, header, from);
            }
            // It has not said who it is; a dialback key will (STREAM-13).
            None => self.ready(served, &header, None, false, out),
        }
    }

    fn judged_header(&mut self, judgement: Judgement, out: &mut Actions) {
        let State::TlsJudge(served, header, from) =
            std::mem::replace(&mut self.state, State::Between)
        else {
            return;
        };
        if let Some(error) = judgement.refused {
            self.open(&header, Some(&served.domain), Some(&from), out);
            out.push(Action::Event(Event::PairRefused {
                local: served.domain.clone(),
                remote: from,
                reason: PairRefusal::Judgement,
                why: error.to_string(),
            }));
            return self.fail(error, out);
        }
        self.ready(served, &header, Some(from), judgement.proven, out);
    }

    fn ready(
        &mut self,
        served: Box<Served>,
        header: &StreamHeader,
        from: Option<DomainName>,
        external: bool,
        out: &mut Actions,
    ) {
        let id = self.open(header, Some(&served.domain), from.as_ref(), out);
        out.send(|bytes| write_features(&features(&served, external), bytes));
        self.state = State::Ready(Box::new(Ready {
            served,
            id,
            from,
            lang: lang_of(header),
            external,
            challenged: false,
            failures: 0,
            restarting: false,
            proved: Vec::new(),
            pending: Vec::new(),
            refused_keys: 0,
            useful: false,
        }));
    }
}

/// The domain that the header's `from` names; `Err` when it is none at all.
fn sender(header: &StreamHeader) -> Result<Option<DomainName>, crate::jid::JidError> {
    match header.from.as_deref() {
        None | Some("") => Ok(None),
        Some(from) => DomainName::parse(from).map(Some),
    }
}

/// Longest `xml:lang` that is taken over into stanzas; registered tags stay far below.
const LANG_BYTES: usize = 64;

fn lang_of(header: &StreamHeader) -> Option<String> {
    header
        .lang
        .clone()
        .filter(|lang| !lang.is_empty() && lang.len() <= LANG_BYTES)
}

fn other_domain() -> StreamError {
    StreamError::new(StreamCondition::PolicyViolation)
        .with_text("this connection was secured for another domain; open a new one")
}

/// EXTERNAL only where it will succeed (SASL-03); dialback always, since others come to have keys checked (DIALBACK-02).
fn features(served: &Served, external: bool) -> Vec<Element> {
    let mut features = Vec::new();
    if external {
        let mechanism = Element::new("mechanism", ns::SASL).text("EXTERNAL");
        features.push(Element::new("mechanisms", ns::SASL).child(mechanism));
    }
    features.push(
        Element::new("dialback", ns::DIALBACK_FEATURE)
            .child(Element::new("errors", ns::DIALBACK_FEATURE)),
    );
    let limit = |name: &str, value: String| Element::new(name, ns::STREAM_LIMITS).text(value);
    features.push(
        Element::new("limits", ns::STREAM_LIMITS)
            .child(limit("max-bytes", served.max_bytes.to_string()))
            .child(limit("idle-seconds", served.idle_seconds.to_string())),
    );
    features
}

// --- elements ---

impl PeerIn {
    fn element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        if self.is_over() {
            return;
        }
        if let Some(error) = StreamError::from_raw(raw) {
            out.push(Action::Event(Event::RemoteError(error)));
            return self.finish(out);
        }
        match &mut self.state {
            State::StartTls(_) => self.start_tls_element(raw, out),
            State::Ready(ready) if ready.restarting => {
                self.fail(StreamCondition::NotAuthorized.into(), out);
            }
            State::Ready(ready) => {
                let result = if raw.ns() == ns::SERVER {
                    ready.stanza(raw, out)
                } else if raw.ns() == ns::DIALBACK {
                    ready.dialback(raw, out);
                    Ok(())
                } else if raw.ns() == ns::SASL {
                    ready.sasl(raw, out)
                } else {
                    Err(StreamCondition::UnsupportedStanzaType)
                };
                if let Err(condition) = result {
                    self.fail(condition.into(), out);
                }
            }
            // No header yet.
            _ => self.fail(StreamCondition::NotAuthorized.into(), out),
        }
    }

    fn start_tls_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        if raw.is("starttls", ns::TLS) {
            let State::StartTls(served) = std::mem::replace(&mut self.state, State::Between) else {
                return;
            };
            if served.identity {
                out.send_str("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
                out.push(Action::StartTls(served.domain));
                self.state = State::Handshake;
            } else {
                out.send_str("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
                self.state = State::StartTls(served);
                self.finish(out);
            }
        } else if raw.ns() == ns::DIALBACK {
            // DIALBACK-18: TLS comes first. The request is answered, not the stream closed.
            if let Ok(request) = Request::read(raw) {
                let error =
                    StanzaError::new(Condition::PolicyViolation).with_text("STARTTLS is required");
                out.send_str(&request.reply_error(&error));
            }
        } else if raw.is("auth", ns::SASL) {
            // TLS-05
            out.send_str(&failure(SaslFailure::EncryptionRequired));
            self.fail(StreamCondition::PolicyViolation.into(), out);
        } else if raw.ns() == ns::SERVER {
            self.fail(StreamCondition::NotAuthorized.into(), out);
        } else {
            self.fail(StreamCondition::UnsupportedStanzaType.into(), out);
        }
    }
}

// --- SASL ---

impl Ready {
    fn sasl(&mut self, raw: &RawElement<'_>, out: &mut Actions) -> Result<(), StreamCondition> {
        match raw.name() {
            "auth" => {
                self.challenged = false;
                if raw.attr("mechanism").as_deref() != Some("EXTERNAL") {
                    return self.sasl_failed(SaslFailure::InvalidMechanism, "", out);
                }
            }
            "response" if self.challenged => {}
            "abort" => return self.sasl_failed(SaslFailure::Aborted, "", out),
            _ => return self.sasl_failed(SaslFailure::MalformedRequest, "", out),
        }
        if !self.external || !self.proved.is_empty() {
            // SASL-46: the stream goes on, dialback may follow.
            let why = "your certificate does not prove the domain of the stream";
            return self.sasl_failed(SaslFailure::NotAuthorized, why, out);
        }
        let text = raw.to_element().text_content();
        let authzid = match sasl::decode(text.trim()) {
            Ok(Some(authzid)) => authzid,
            Ok(None) if !self.challenged => {
                self.challenged = true;
                out.send_str("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
                return Ok(());
            }
            Ok(None) => Vec::new(),
            Err(failure) => return self.sasl_failed(failure, "", out),
        };
        self.challenged = false;
        // SASL-45, LAYER-08: nothing, or the domain that the stream is from.
        let Some(from) = self.from.clone() else {
            return self.sasl_failed(SaslFailure::NotAuthorized, "", out);
        };
        let named = std::str::from_utf8(&authzid)
            .ok()
            .and_then(|text| DomainName::parse(text).ok());
        if !authzid.is_empty() && named.as_ref() != Some(&from) {
            return self.sasl_failed(SaslFailure::InvalidAuthzid, "", out);
        }
        out.send_str("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
        out.push(Action::Restart);
        self.restarting = true;
        self.accept(from, "EXTERNAL", out);
        Ok(())
    }

    fn sasl_failed(
        &mut self,
        reason: SaslFailure,
        text: &str,
        out: &mut Actions,
    ) -> Result<(), StreamCondition> {
        self.challenged = false;
        self.failures += 1;
        if text.is_empty() {
            out.send_str(&failure(reason));
        } else {
            out.send_str(&format!(
                "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{}/><text xml:lang='en'>{text}</text></failure>",
                reason.name()
            ));
        }
        if self.failures >= SASL_FAILURES {
            return Err(StreamCondition::PolicyViolation);
        }
        Ok(())
    }

    fn accept(&mut self, remote: DomainName, mechanism: &'static str, out: &mut Actions) {
        if !self.proved.contains(&remote) {
            self.proved.push(remote.clone());
        }
        out.push(Action::Event(Event::PairAccepted {
            local: self.served.domain.clone(),
            remote,
            mechanism,
        }));
    }
}

fn failure(reason: SaslFailure) -> String {
    format!(
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><{}/></failure>",
        reason.name()
    )
}

// --- dialback ---

impl Ready {
    fn dialback(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        // A typed element answers a question; here none is ever asked (DIALBACK-12).
        if raw.attr("type").is_some() {
            return;
        }
        match Request::read(raw) {
            Ok(request) if request.verify => self.check(request, out),
            Ok(request) => self.result(request, out),
            Err(DialbackError) => {}
        }
    }

    /// Step 1 of somebody's dialback: a key for a pair.
    fn result(&mut self, request: Request, out: &mut Actions) {
        if request.to != self.served.domain {
            // Not hosted, or hosted and not on this channel (VHOST-03); never a reason to close (DIALBACK-17).
            return out.send_str(&request.reply_error(&Condition::ItemNotFound.into()));
        }
        if self.proved.contains(&request.from) {
            return out.send_str(&request.reply("valid"));
        }
        if self.pending.iter().any(|p| p.remote == request.from) {
            // The first key is being verified, and its answer answers both.
            return;
        }
        if self.proved.len() + self.pending.len() >= PAIRS
            || self.refused_keys >= REFUSED_KEYS
            || request.key.len() > KEY_BYTES
        {
            return out.send_str(&request.reply_error(&Condition::ResourceConstraint.into()));
        }
        // Judged now and for the domain named here, not by what the header said (DIALBACK-22).
        out.push(Action::AskAside(Ask::Judge {
            local: request.to,
            remote: request.from.clone(),
        }));
        self.pending.push(Pending {
            remote: request.from,
            key: request.key,
        });
    }

    fn judged(&mut self, remote: DomainName, judgement: Judgement, out: &mut Actions) {
        let Some(at) = self.pending.iter().position(|p| p.remote == remote) else {
            return;
        };
        if judgement.proven {
            // Dialback without dialling back (DIALBACK-21).
            self.pending.swap_remove(at);
            out.send_str(&dialback::result(&self.served.domain, &remote, "valid"));
            return self.accept(remote, "certificate", out);
        }
        if judgement.dialback {
            return out.push(Action::AskAside(Ask::VerifyKey {
                stream: self.id.clone(),
                local: self.served.domain.clone(),
                remote,
                key: self.pending[at].key.clone(),
            }));
        }
        self.pending.swap_remove(at);
        self.refused_keys += 1;
        let error = StanzaError::new(Condition::NotAuthorized);
        let why = judgement.refused.as_ref().map(ToString::to_string);
        out.send_str(&dialback::result_error(
            &self.served.domain,
            &remote,
            &error.with_text("a certificate that proves your domain is required"),
        ));
        out.push(Action::Event(Event::PairRefused {
            local: self.served.domain.clone(),
            remote,
            reason: PairRefusal::Judgement,
            why: why.unwrap_or_else(|| "policy asks for a certificate".to_owned()),
        }));
    }

    /// Step 4. `false`: the stream is to be closed.
    fn verified(&mut self, remote: &DomainName, outcome: KeyOutcome, out: &mut Actions) -> bool {
        let Some(at) = self.pending.iter().position(|p| p.remote == *remote) else {
            // The pair is no longer asked for (DIALBACK-13).
            return true;
        };
        self.pending.swap_remove(at);
        let local = self.served.domain.clone();
        self.refused_keys += usize::from(outcome != KeyOutcome::Valid);
        let (reason, why) = match outcome {
            KeyOutcome::Valid => {
                out.send_str(&dialback::result(&local, remote, "valid"));
                self.accept(remote.clone(), "dialback", out);
                return true;
            }
            KeyOutcome::Invalid => {
                out.send_str(&dialback::result(&local, remote, "invalid"));
                let why = "its own server says that the dialback key is not its own";
                (PairRefusal::KeyInvalid, why.to_owned())
            }
            KeyOutcome::Failed(error) => {
                out.send_str(&dialback::result_error(&local, remote, &error));
                let text = error.text.as_deref().unwrap_or_default();
                let condition = error.condition.name();
                let why = format!("its dialback key could not be verified: {condition} {text}");
                (PairRefusal::KeyUnverified, why.trim_end().to_owned())
            }
        };
        out.push(Action::Event(Event::PairRefused {
            local,
            remote: remote.clone(),
            reason,
            why,
        }));
        // DIALBACK-15
        !(reason == PairRefusal::KeyInvalid && self.proved.is_empty() && self.pending.is_empty())
    }

    /// Step 2, as authority: is this key ours?
    fn check(&mut self, request: Request, out: &mut Actions) {
        let Some(id) = request.id.filter(|id| id.len() <= ID_BYTES) else {
            return;
        };
        out.push(Action::AskAside(Ask::CheckKey {
            stream: id,
            local: request.to,
            remote: request.from,
            key: request.key,
        }));
    }
}

// --- stanzas ---

impl Ready {
    fn stanza(&mut self, raw: &RawElement<'_>, out: &mut Actions) -> Result<(), StreamCondition> {
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
    fn may_pass(&self, stanza: &Stanza) -> Result<(), StreamCondition> {
        self.is_pair(
            stanza.from().map(crate::jid::Jid::domain),
            stanza.to().map(crate::jid::Jid::domain),
        )
    }

    fn is_pair(&self, from: Option<&str>, to: Option<&str>) -> Result<(), StreamCondition> {
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

// --- answers and the end ---

impl PeerIn {
    fn answer(&mut self, answer: Answer, out: &mut Actions) {
        match answer {
            Answer::Host(host) => self.host(host, out),
            Answer::Judged {
                local,
                remote,
                judgement,
            } => match &mut self.state {
                State::TlsJudge(served, _, from) if served.domain == local && *from == remote => {
                    self.judged_header(judgement, out);
                }
                State::Ready(ready) => ready.judged(remote, judgement, out),
                _ => {}
            },
            Answer::KeyVerified {
                remote, outcome, ..
            } => {
                if let State::Ready(ready) = &mut self.state
                    && !ready.verified(&remote, outcome, out)
                {
                    self.finish(out);
                }
            }
            Answer::KeyChecked {
                stream,
                local,
                remote,
                valid,
            } => {
                if let State::Ready(ready) = &mut self.state {
                    ready.useful = true;
                    out.send_str(&match valid {
                        Some(true) => dialback::verify(&local, &remote, &stream, "valid"),
                        Some(false) => dialback::verify(&local, &remote, &stream, "invalid"),
                        None => dialback::verify_error(
                            &local,
                            &remote,
                            &stream,
                            &Condition::ItemNotFound.into(),
                        ),
                    });
                }
            }
            // Answers for other machines.
            _ => {}
        }
    }

    /// Ends the stream with an error; our opening tag comes first if it is still missing (STREAM-26).
    fn fail(&mut self, error: StreamError, out: &mut Actions) {
        if self.is_over() {
            return;
        }
        // During the handshake the transport is neither plain nor TLS: nothing can be said (TLS-10).
        if matches!(self.state, State::Handshake) {
            self.state = State::Closed;
            return out.push(Action::Disconnect);
        }
        let restarting = matches!(&self.state, State::Ready(ready) if ready.restarting);
        if !self.opened || restarting {
            let nothing = StreamHeader {
                version: Some((1, 0)),
                ..StreamHeader::default()
            };
            self.open(&nothing, None, None, out);
        }
        out.send(|bytes| {
            error.write(bytes);
            bytes.extend_from_slice(CLOSE);
        });
        out.push(Action::Close);
        self.state = State::Closing;
    }

    /// Ends the stream without an error.
    fn finish(&mut self, out: &mut Actions) {
        match self.state {
            State::Closing | State::Closed => return,
            State::Handshake => {
                self.state = State::Closed;
                return out.push(Action::Disconnect);
            }
            _ => {}
        }
        if self.opened {
            out.send(|bytes| bytes.extend_from_slice(CLOSE));
        }
        out.push(Action::Close);
        self.state = State::Closing;
    }

    /// The peer closed: answer with our closing tag unless it is out already, then close (STREAM-08).
    fn peer_closed(&mut self, out: &mut Actions) {
        match self.state {
            State::Closed => return,
            State::Closing => {}
            _ if self.opened => out.send(|bytes| bytes.extend_from_slice(CLOSE)),
            _ => {}
        }
        self.state = State::Closed;
        out.push(Action::Disconnect);
    }
}
