//! A peer server calls us: header, TLS, then EXTERNAL or dialback, then stanzas (RFC 6120 4 to 6, XEP-0178, XEP-0220).
//!
//! The pair is the unit: what is proved is that the other end speaks for one remote domain towards one domain of ours, and
//! a stream carries stanzas only of pairs proved on it, in both names (DNA-19). We are the receiver of keys (XEP-0220 2.2.1)
//! and the authority for our own (2.2.2); as receiver we ask elsewhere, never on this connection (BIDI-05).
//!
//! Refuses: plaintext (TLS-04), a second hosted domain on a channel secured for another (VHOST-03), answers nobody asked for
//! (DIALBACK-12), relaying (ROUTE-06).

mod dialback;
mod sasl;
#[cfg(test)]
mod tests;

use self::dialback::Pending;
use super::acks::Acks;
use super::dialback::{Request, verify, verify_error};
use super::opening::{
    Ending, Reception, STARTTLS_FEATURES, Voice, lang_of, limits_feature, other_domain,
    peer_limits, proceed, sasl_failure,
};
use super::passage::{Barred, Listed, Pairs, pass};
use super::{
    Action, Actions, Answer, Ask, Event, Host, Input, Judgement, Machine, Order, PairRefusal,
    Phase, Seed, Served, StreamCondition, StreamError, TlsInfo, write_features,
};
use crate::element::Element;
use crate::framing::{RawElement, StreamHeader};
use crate::jid::DomainName;
use crate::ns;
use crate::sasl::SaslFailure;
use crate::stanza::{Condition, StanzaError};
use crate::timestamp::Timestamp;

/// Receiving side of a server stream.
pub struct PeerIn {
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
    /// Our closing tag is out. What the peer had under way is still taken, where we closed without an error
    /// (RFC 6120 4.4).
    Closing(Option<Box<Ready>>),
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
    /// Pairs proved on this stream.
    proved: Vec<Proved>,
    /// Pairs that were, and may pass no longer.
    barred: Barred,
    pending: Vec<Pending>,
    refused_keys: usize,
    /// The peer takes stanzas of ours over this stream too (XEP-0288).
    bidi: bool,
    acks: Acks,
    /// Keys of ours were checked here: the stream has done its work without proving a pair.
    useful: bool,
}

/// A pair that may carry stanzas.
#[derive(PartialEq, Eq)]
struct Proved {
    local: DomainName,
    remote: DomainName,
}

impl PeerIn {
    /// A stream whose transport is about to connect. `provider` is our own name for streams to names that are not hosted.
    pub fn new(seed: Seed, provider: Option<DomainName>) -> Self {
        Self {
            reception: Reception::new(seed, provider, ns::SERVER),
            state: State::Plain,
        }
    }
}

impl Machine for PeerIn {
    fn handle(&mut self, input: Input<'_>, _now: Timestamp, out: &mut Actions) {
        match input {
            Input::Connected(None) => {}
            Input::Connected(Some(tls)) | Input::Tls(tls) => {
                self.reception.opened = false;
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
            Input::Order(Order::DropPair {
                local,
                remote,
                error,
            }) => {
                if let State::Ready(ready) = &mut self.state {
                    let (busy, pair) = (!ready.pending.is_empty(), (local, remote));
                    let pairs = &mut ready.proved;
                    if let Err(error) = ready.barred.drop_pair(pairs, busy, pair, error, out) {
                        self.fail(error, out);
                    }
                }
            }
            // Orders for streams that we opened.
            Input::Order(_) => {}
        }
    }

    fn phase(&self) -> Phase {
        match &self.state {
            State::Ready(ready) if !ready.restarting && !ready.proved.is_empty() => Phase::Open,
            State::Closing(_) => Phase::Closing,
            State::Closed | State::Between => Phase::Closed,
            _ => Phase::Unauthenticated,
        }
    }
}

// --- headers ---

impl PeerIn {
    fn header(&mut self, header: StreamHeader, out: &mut Actions) {
        if self.is_over() {
            return;
        }
        let to = match self.reception.addressee(&header) {
            Ok(to) => to,
            Err(condition) => return self.refuse_header(&header, condition.into(), out),
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
                out.send(|bytes| write_features(&open_features(&ready.served), bytes));
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
        self.reception
            .open(header, from, to.map(DomainName::as_str), out)
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
        let served = match host.served() {
            Ok(served) => served,
            Err(error) => return self.refuse_header(&header, error, out),
        };
        // Checked when the header came.
        let from = sender(&header).ok().flatten();
        if !tls {
            self.open(&header, Some(&served.domain), from.as_ref(), out);
            out.send_str(STARTTLS_FEATURES);
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
            barred: Barred::default(),
            pending: Vec::new(),
            refused_keys: 0,
            bidi: false,
            acks: Acks::default(),
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

/// EXTERNAL only where it will succeed (SASL-03); dialback always, since others come to have keys checked (DIALBACK-02).
/// Bidi only here and not before TLS, where STARTTLS stands alone (BIDI-01, TLS-03).
fn features(served: &Served, external: bool) -> Vec<Element> {
    let mut features = Vec::new();
    if external {
        let mechanism = Element::new("mechanism", ns::SASL).text("EXTERNAL");
        features.push(Element::new("mechanisms", ns::SASL).child(mechanism));
    }
    features.push(dialback_feature());
    features.push(Element::new("bidi", ns::BIDI_FEATURE));
    if !external {
        features.push(Acks::feature());
    }
    features.push(limits_feature(served));
    features
}

/// What an authenticated peer may use.
fn open_features(served: &Served) -> Vec<Element> {
    vec![dialback_feature(), Acks::feature(), limits_feature(served)]
}

fn dialback_feature() -> Element {
    Element::new("dialback", ns::DIALBACK_FEATURE)
        .child(Element::new("errors", ns::DIALBACK_FEATURE))
}

// --- elements ---

impl PeerIn {
    fn element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        if let State::Closing(Some(ready)) = &mut self.state {
            if ready.acks.behind_the_end(raw, out) && raw.ns() == ns::SERVER {
                // Whatever is wrong with it: the stream is ending anyway.
                let _ = ready.stanza(raw, out);
            }
            return;
        }
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
                let result = match raw.ns() {
                    ns::SERVER => ready.stanza(raw, out),
                    ns::DIALBACK => {
                        ready.dialback(raw, out);
                        Ok(())
                    }
                    ns::SASL => ready.sasl(raw, out).map_err(StreamError::from),
                    ns::STREAM_MANAGEMENT => ready.acks.element(raw, !ready.proved.is_empty(), out),
                    // COMPAT: ejabberd 24.10 to 26.06 asks for it in the namespace of the feature.
                    ns::BIDI | ns::BIDI_FEATURE if raw.name() == "bidi" => ready.bidi(raw, out),
                    _ => Err(StreamCondition::UnsupportedStanzaType.into()),
                };
                if let Err(error) = result {
                    self.fail(error, out);
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
            if proceed(&served, out) {
                self.state = State::Handshake;
            } else {
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
            out.send_str(&sasl_failure(SaslFailure::EncryptionRequired, ""));
            self.fail(StreamCondition::PolicyViolation.into(), out);
        } else if raw.ns() == ns::SERVER {
            self.fail(StreamCondition::NotAuthorized.into(), out);
        } else {
            self.fail(StreamCondition::UnsupportedStanzaType.into(), out);
        }
    }
}

// --- stanzas, in one direction or in both ---

impl Ready {
    fn stanza(&mut self, raw: &RawElement<'_>, out: &mut Actions) -> Result<(), StreamError> {
        if self.proved.is_empty() {
            return Err(StreamCondition::NotAuthorized.into());
        }
        let lang = self.lang.take();
        let passed = pass(self, raw, lang.as_deref(), out);
        self.lang = lang;
        passed?;
        self.acks.count();
        Ok(())
    }

    fn accept(
        &mut self,
        local: DomainName,
        remote: DomainName,
        mechanism: &'static str,
        out: &mut Actions,
    ) {
        let pair = Proved {
            local: local.clone(),
            remote: remote.clone(),
        };
        self.barred.remove(&local, &remote);
        if !self.proved.contains(&pair) {
            self.proved.push(pair);
        }
        out.push(Action::Event(Event::PairAccepted {
            local,
            remote,
            mechanism,
            bidi: self.bidi,
        }));
    }

    /// BIDI-02: before anything is proved, so that every pair of the stream is carried alike.
    fn bidi(&mut self, raw: &RawElement<'_>, out: &mut Actions) -> Result<(), StreamError> {
        if !self.proved.is_empty() || !self.pending.is_empty() {
            return Err(StreamError::new(StreamCondition::PolicyViolation)
                .with_text("bidirectional streams are agreed on before authentication"));
        }
        self.bidi = true;
        peer_limits(&raw.to_element(), out);
        Ok(())
    }
}

impl Listed for Proved {
    fn names(&self) -> (&DomainName, &DomainName) {
        (&self.local, &self.remote)
    }
}

impl Pairs for Ready {
    fn carries(&self, from: &str, to: &str) -> Result<(), StreamCondition> {
        let mut theirs = self
            .proved
            .iter()
            .filter(|pair| pair.remote.as_str() == from)
            .peekable();
        if theirs.peek().is_none() {
            return Err(StreamCondition::InvalidFrom);
        }
        if !theirs.any(|pair| pair.local.as_str() == to) {
            // Hosted elsewhere, or hosted here and not on this channel: no relaying either way (ROUTE-06).
            return Err(StreamCondition::HostUnknown);
        }
        Ok(())
    }

    fn barred(&mut self) -> (&mut Barred, bool) {
        (&mut self.barred, self.bidi)
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
                State::Ready(ready) => ready.judged(local, remote, judgement, out),
                _ => {}
            },
            Answer::KeyVerified {
                local,
                remote,
                outcome,
            } => {
                if let State::Ready(ready) = &mut self.state
                    && !ready.verified(local, remote, outcome, out)
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
                        Some(true) => verify(&local, &remote, &stream, "valid"),
                        Some(false) => verify(&local, &remote, &stream, "invalid"),
                        None => {
                            verify_error(&local, &remote, &stream, &Condition::ItemNotFound.into())
                        }
                    });
                }
            }
            // Answers for other machines.
            _ => {}
        }
    }
}

impl Ending for PeerIn {
    fn voice(&self) -> Voice {
        match &self.state {
            State::Handshake => Voice::Mute,
            State::Closing(_) => Voice::Closing,
            State::Closed => Voice::Closed,
            // SASL ended the document before; the next has not begun.
            State::Ready(ready) if ready.restarting => Voice::Unopened,
            _ if self.reception.opened => Voice::Open,
            _ => Voice::Unopened,
        }
    }

    fn open_to_fail(&mut self, out: &mut Actions) {
        self.reception.open_to_nobody(out);
    }

    fn end(&mut self, voice: Voice) {
        self.state = match voice {
            Voice::Closing => State::Closing(None),
            _ => State::Closed,
        };
    }

    fn last_word(&mut self, out: &mut Actions) {
        if let State::Ready(ready) = &self.state {
            ready.acks.last_word(out);
        }
    }

    fn end_gently(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Between) {
            State::Ready(ready) => State::Closing(Some(ready)),
            _ => State::Closing(None),
        };
    }
}
