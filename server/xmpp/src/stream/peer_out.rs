//! We call a peer server: header, TLS, then EXTERNAL, then dialback, then stanzas (RFC 6120 4 to 6, XEP-0178, XEP-0220).
//!
//! The stream belongs to one pair and may carry more: each is proved by its own key. It may also be opened only to ask the
//! peer, as authority, about keys that others sent us ([`Purpose::Verify`]). Where the peer offers it, the stream carries
//! its pairs in both directions (XEP-0288): then we have judged the peer for each of them as strictly as one that calls us.
//!
//! Refuses: going on without TLS, whatever the peer advertises (TLS-15, TLS-42); answers to questions that were not asked on
//! this very stream (DIALBACK-12); without bidi, stanzas from the peer, which proves nothing by being called (S2S-14).

mod dialback;
#[cfg(test)]
mod tests;

use super::acks::Acks;
use super::dialback::send_key;
use super::opening::{Ending, Voice, lang_of, limits, peer_limits};
use super::passage::{Barred, Listed, Pairs, pass};
use super::{
    Action, Actions, Answer, Ask, DEFAULT_LANG, Event, Input, Judgement, Machine, Opening, Order,
    PairRefusal, Phase, StreamCondition, StreamError, speaks_version_1,
};
use crate::element::Element;
use crate::framing::{RawElement, StreamHeader};
use crate::jid::DomainName;
use crate::ns;
use crate::sasl;
use crate::timestamp::Timestamp;

/// What a stream is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To send stanzas of the pair.
    Send {
        /// Whether EXTERNAL is tried where offered; not again where it was refused and the connection lost (SASL-46).
        external: bool,
    },
    /// To ask about dialback keys; nothing is proved about us.
    Verify,
}

/// Initiating side of a server stream.
pub struct PeerOut {
    local: DomainName,
    remote: DomainName,
    purpose: Purpose,
    state: State,
    /// Orders that came before the stream was ready for them.
    early: Vec<Order>,
    /// `xml:lang` of the peer's header, for stanzas without one (STREAM-18).
    lang: Option<String>,
    /// What the peer is told that we take, where it may send.
    limits: Option<Element>,
}

enum State {
    /// Waiting for the transport.
    Start,
    /// Plaintext, our header is out.
    Header,
    /// Plaintext, waiting for features.
    Features,
    /// `<starttls/>` is out.
    StartTls,
    /// `<proceed/>` came.
    Handshake,
    /// TLS, our header is out.
    TlsHeader,
    /// TLS, the certificate of the peer is being judged.
    Judge {
        /// ID the peer gave the stream.
        id: String,
        dialback: bool,
    },
    /// TLS, judged, waiting for features.
    TlsFeatures {
        id: String,
        /// The header declared the dialback namespace: peers older than the feature do only that.
        dialback: bool,
    },
    /// EXTERNAL is out.
    Sasl(Box<Ready>),
    /// EXTERNAL succeeded, our header is out, waiting for theirs.
    Restarted(Box<Ready>),
    /// The same, waiting for features.
    LastFeatures(Box<Ready>),
    /// Pairs can be proved, keys asked about, stanzas sent.
    Ready(Box<Ready>),
    /// Our closing tag is out. What the peer had under way is still taken, where we closed without an error
    /// (RFC 6120 4.4).
    Closing(Option<Box<Ready>>),
    /// Over.
    Closed,
    /// Left behind while a step holds the state; never seen between two steps.
    Between,
}

struct Ready {
    /// ID the peer gave the stream: what our keys are made for.
    id: String,
    /// Whether the peer takes part in dialback.
    dialback: bool,
    /// It answers dialback errors instead of closing.
    errors: bool,
    /// It may send stanzas of the accepted pairs (XEP-0288).
    bidi: bool,
    acks: Acks,
    /// It offered acknowledgements before anybody was authenticated: for when dialback does that.
    offers_acks: bool,
    pairs: Vec<Pair>,
    /// Pairs that were accepted, and may pass no longer.
    barred: Barred,
    questions: Vec<Question>,
}

struct Pair {
    local: DomainName,
    remote: DomainName,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The key is being made.
    Key,
    /// The key is out (DIALBACK-07).
    Asked,
    /// Stanzas may go.
    Accepted,
}

/// A `<db:verify/>` that is out.
struct Question {
    stream: String,
    local: DomainName,
    remote: DomainName,
}

impl PeerOut {
    /// A stream for a pair, whose transport is about to connect.
    pub fn new(local: DomainName, remote: DomainName, purpose: Purpose) -> Self {
        Self {
            local,
            remote,
            purpose,
            state: State::Start,
            early: Vec::new(),
            lang: None,
            limits: None,
        }
    }

    /// Tells the peer, where the stream goes both ways, the largest element that we take, in bytes, and after how many seconds of
    /// its silence we do something about it (XEP-0478 3.2): whoever calls has no features to say it in.
    #[must_use]
    pub fn taking(mut self, max_bytes: usize, idle_seconds: u32) -> Self {
        self.limits = Some(limits(max_bytes, idle_seconds));
        self
    }
}

impl Machine for PeerOut {
    fn handle(&mut self, input: Input<'_>, _now: Timestamp, out: &mut Actions) {
        match input {
            Input::Connected(None) => {
                self.open(out);
                self.state = State::Header;
            }
            Input::Connected(Some(_)) | Input::Tls(_) => {
                if !self.is_over() {
                    self.open(out);
                    self.state = State::TlsHeader;
                }
            }
            Input::Header(header) => self.header(&header, out),
            Input::Element(raw) => self.element(&raw, out),
            Input::Answer(answer) => self.answer(answer, out),
            Input::Close => self.peer_closed(out),
            Input::Broken(error) => self.fail(error, out),
            Input::Order(Order::Close(error)) => self.fail(error, out),
            Input::Order(Order::Finish) => self.finish(out),
            Input::Order(order) => self.order(order, out),
        }
    }

    fn phase(&self) -> Phase {
        match &self.state {
            State::Ready(ready) => {
                let verifying = self.purpose == Purpose::Verify;
                if verifying || ready.pairs.iter().any(|p| p.stage == Stage::Accepted) {
                    Phase::Open
                } else {
                    Phase::Unauthenticated
                }
            }
            State::Closing(_) => Phase::Closing,
            State::Closed | State::Between => Phase::Closed,
            _ => Phase::Unauthenticated,
        }
    }
}

// --- headers and TLS ---

impl PeerOut {
    /// Our header: `from` and `to` of the pair, no `id` (STREAM-12, DNA-02, VHOST-07).
    fn open(&mut self, out: &mut Actions) {
        let opening = Opening {
            content_ns: ns::SERVER,
            from: Some(self.local.as_str()),
            to: Some(self.remote.as_str()),
            id: None,
            lang: DEFAULT_LANG,
            version: true,
            dialback: true,
        };
        out.send(|bytes| opening.write(bytes));
    }

    fn header(&mut self, header: &StreamHeader, out: &mut Actions) {
        if self.is_over() {
            return;
        }
        if header.ns != ns::STREAM || header.content_ns != ns::SERVER {
            // STREAM-20, STREAM-22
            return self.fail(StreamCondition::InvalidNamespace.into(), out);
        }
        let id = header.id.clone().unwrap_or_default();
        self.lang = lang_of(header);
        self.state = match std::mem::replace(&mut self.state, State::Between) {
            // A peer without version sends no features; TLS is asked for all the same (TLS-15).
            State::Header if !speaks_version_1(header) => start_tls(out),
            State::Header => State::Features,
            State::TlsHeader => {
                // CERT-18, LAYER-05. Some peers leave `from` out, and on errors they may not know it.
                let from = header.from.as_deref().filter(|from| !from.is_empty());
                let claimed = from.map(DomainName::parse);
                if claimed.is_some_and(|claimed| claimed.as_ref() != Ok(&self.remote)) {
                    let error = StreamError::new(StreamCondition::InvalidFrom)
                        .with_text("the stream is for another domain than it answers for");
                    return self.fail(error, out);
                }
                let (dialback, features) = (header.dialback, speaks_version_1(header));
                match self.purpose {
                    // Whoever the DNS says answers for the domain is asked, whatever certificate it has: this is the weak
                    // verification that dialback is (S2S-13, DNA-21).
                    Purpose::Verify if features => State::TlsFeatures { id, dialback },
                    Purpose::Verify => {
                        return self.become_ready(Box::new(Ready::new(id, dialback)), out);
                    }
                    Purpose::Send { .. } => {
                        out.push(Action::Ask(Ask::Judge {
                            local: self.local.clone(),
                            remote: self.remote.clone(),
                        }));
                        State::Judge { id, dialback }
                    }
                }
            }
            State::Restarted(mut ready) => {
                ready.id = id;
                ready.dialback |= header.dialback;
                State::LastFeatures(ready)
            }
            state => {
                self.state = state;
                return self.fail(StreamCondition::BadFormat.into(), out);
            }
        };
    }

    fn judged(&mut self, judgement: Judgement, out: &mut Actions) {
        let State::Judge { id, dialback } = std::mem::replace(&mut self.state, State::Between)
        else {
            return;
        };
        let refused = judgement.refused.or_else(|| {
            (!judgement.proven && !judgement.dialback)
                .then(|| StreamCondition::NotAuthorized.into())
        });
        if let Some(error) = refused {
            // CERT-17, CERT-27
            out.push(Action::Event(Event::PairRefused {
                local: self.local.clone(),
                remote: self.remote.clone(),
                reason: PairRefusal::Judgement,
                why: error.to_string(),
            }));
            return self.fail(error, out);
        }
        self.state = State::TlsFeatures { id, dialback };
    }

    fn features(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        let tree = raw.to_element();
        let feature = tree.find("dialback", ns::DIALBACK_FEATURE);
        let offers_dialback = feature.is_some();
        let errors = feature.is_some_and(|f| f.find("errors", ns::DIALBACK_FEATURE).is_some());
        let external = tree.find("mechanisms", ns::SASL).is_some_and(|list| {
            list.children()
                .any(|m| m.name() == "mechanism" && m.text_content().trim() == "EXTERNAL")
        });
        match std::mem::replace(&mut self.state, State::Between) {
            // TLS-15: with or without the feature, TLS is asked for.
            State::Features => self.state = start_tls(out),
            State::TlsFeatures { id, dialback } => {
                peer_limits(&tree, out);
                let mut ready = Box::new(Ready::new(id, dialback || offers_dialback));
                ready.errors = errors;
                ready.offers_acks = tree.find("sm", ns::STREAM_MANAGEMENT).is_some();
                if self.purpose != Purpose::Verify && tree.find("bidi", ns::BIDI_FEATURE).is_some()
                {
                    // BIDI-02
                    let bidi = Element::new("bidi", ns::BIDI).children_from(self.limits.take());
                    out.send(|bytes| bidi.write(bytes, ns::SERVER));
                    ready.bidi = true;
                }
                if external && self.purpose == (Purpose::Send { external: true }) {
                    // SASL-45: our domain, for peers that want to see it.
                    let authzid = sasl::encode(self.local.as_str().as_bytes());
                    out.send_str(&format!(
                        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>{authzid}</auth>"
                    ));
                    self.state = State::Sasl(ready);
                } else {
                    self.become_ready(ready, out);
                }
            }
            State::LastFeatures(mut ready) => {
                peer_limits(&tree, out);
                ready.dialback |= offers_dialback;
                ready.errors |= errors;
                let bidi = ready.bidi;
                if tree.find("sm", ns::STREAM_MANAGEMENT).is_some() {
                    ready.acks.enable(out);
                }
                ready.pairs.push(Pair {
                    local: self.local.clone(),
                    remote: self.remote.clone(),
                    stage: Stage::Accepted,
                });
                self.state = State::Ready(ready);
                out.push(Action::Event(Event::PairAccepted {
                    local: self.local.clone(),
                    remote: self.remote.clone(),
                    mechanism: "EXTERNAL",
                    bidi,
                }));
                self.announce(out);
            }
            // Features may not change what is negotiated (STREAM-04); a peer that sends them late is left in peace.
            state => self.state = state,
        }
    }

    /// TLS is up and headers are exchanged: prove the pair by dialback, or wait for questions.
    fn become_ready(&mut self, ready: Box<Ready>, out: &mut Actions) {
        let dialback = ready.dialback;
        self.state = State::Ready(ready);
        if matches!(self.purpose, Purpose::Send { .. }) {
            if !dialback {
                let why = format!("{} offers neither EXTERNAL nor dialback", self.remote);
                return self.give_up(why, out);
            }
            self.add_pair(self.local.clone(), self.remote.clone(), out);
        }
        self.announce(out);
    }

    fn announce(&mut self, out: &mut Actions) {
        if let State::Ready(ready) = &self.state {
            out.push(Action::Event(Event::Ready {
                dialback: ready.dialback,
                errors: ready.errors,
            }));
        }
        for order in std::mem::take(&mut self.early) {
            self.order(order, out);
        }
    }

    fn give_up(&mut self, why: String, out: &mut Actions) {
        out.push(Action::Event(Event::PairRefused {
            local: self.local.clone(),
            remote: self.remote.clone(),
            reason: PairRefusal::NoWay,
            why,
        }));
        self.finish(out);
    }
}

impl Ready {
    fn new(id: String, dialback: bool) -> Self {
        Self {
            id,
            dialback,
            errors: false,
            bidi: false,
            acks: Acks::default(),
            offers_acks: false,
            pairs: Vec::new(),
            barred: Barred::default(),
            questions: Vec::new(),
        }
    }
}

impl Ready {
    /// BIDI-04: the inverse of each pair accepted here.
    fn stanza(
        &mut self,
        raw: &RawElement<'_>,
        lang: Option<&str>,
        out: &mut Actions,
    ) -> Result<(), StreamError> {
        if !self.pairs.iter().any(|pair| pair.stage == Stage::Accepted) {
            return Err(StreamCondition::NotAuthorized.into());
        }
        pass(self, raw, lang, out)?;
        self.acks.count();
        Ok(())
    }
}

impl Listed for Pair {
    fn names(&self) -> (&DomainName, &DomainName) {
        (&self.local, &self.remote)
    }
}

impl Pairs for Ready {
    fn carries(&self, from: &str, to: &str) -> Result<(), StreamCondition> {
        let mut theirs = self
            .pairs
            .iter()
            .filter(|pair| pair.stage == Stage::Accepted && pair.remote.as_str() == from)
            .peekable();
        if theirs.peek().is_none() {
            return Err(StreamCondition::InvalidFrom);
        }
        if !theirs.any(|pair| pair.local.as_str() == to) {
            return Err(StreamCondition::HostUnknown);
        }
        Ok(())
    }

    fn barred(&mut self) -> (&mut Barred, bool) {
        // Stanzas of the peer come only where both directions are carried.
        (&mut self.barred, self.bidi)
    }
}

fn start_tls(out: &mut Actions) -> State {
    out.send_str("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    State::StartTls
}

// --- elements ---

impl PeerOut {
    fn element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        if let State::Closing(Some(ready)) = &mut self.state {
            if ready.acks.behind_the_end(raw, out) && raw.ns() == ns::SERVER && ready.bidi {
                // Whatever is wrong with it: the stream is ending anyway.
                let _ = ready.stanza(raw, self.lang.as_deref(), out);
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
        if raw.is("features", ns::STREAM) {
            return self.features(raw, out);
        }
        match &mut self.state {
            State::StartTls if raw.is("proceed", ns::TLS) => {
                out.push(Action::StartTls(self.remote.clone()));
                self.state = State::Handshake;
            }
            State::StartTls => {
                let why = format!("{} does not take STARTTLS", self.remote);
                self.give_up(why, out);
            }
            State::Sasl(_) if raw.ns() == ns::SASL => self.sasl(raw, out),
            State::Ready(_) if raw.ns() == ns::DIALBACK => self.dialback(raw, out),
            _ if raw.ns() == ns::DIALBACK => {}
            State::Ready(ready) if raw.ns() == ns::STREAM_MANAGEMENT => {
                if let Err(error) = ready.acks.element(raw, false, out) {
                    self.fail(error, out);
                }
            }
            State::Ready(ready) if raw.ns() == ns::SERVER && ready.bidi => {
                match ready.stanza(raw, self.lang.as_deref(), out) {
                    Ok(()) => {}
                    Err(error) => self.fail(error, out),
                }
            }
            // S2S-14, DNA-29
            _ if raw.ns() == ns::SERVER => self.fail(StreamCondition::NotAuthorized.into(), out),
            _ => self.fail(StreamCondition::UnsupportedStanzaType.into(), out),
        }
    }

    fn sasl(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        match raw.name() {
            "success" => {
                let State::Sasl(ready) = std::mem::replace(&mut self.state, State::Between) else {
                    return;
                };
                out.push(Action::Restart);
                self.open(out);
                self.state = State::Restarted(ready);
            }
            // COMPAT: a receiver that ignores initial data asks for it again.
            "challenge" => {
                let authzid = sasl::encode(self.local.as_str().as_bytes());
                out.send_str(&format!(
                    "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{authzid}</response>"
                ));
            }
            "failure" => {
                let tree = raw.to_element();
                let words: Vec<_> = tree
                    .children()
                    .map(|child| match child.name() {
                        "text" => child.text_content(),
                        name => name.to_owned(),
                    })
                    .collect();
                out.push(Action::Event(Event::ExternalRefused {
                    why: words.join(": "),
                }));
                let State::Sasl(ready) = std::mem::replace(&mut self.state, State::Between) else {
                    return;
                };
                // The same connection, unless the peer closes it: whoever made this stream calls again without EXTERNAL.
                self.become_ready(ready, out);
            }
            _ => self.fail(StreamCondition::NotAuthorized.into(), out),
        }
    }
}

// --- answers and the end ---

impl PeerOut {
    fn answer(&mut self, answer: Answer, out: &mut Actions) {
        match answer {
            Answer::Judged { judgement, .. } => self.judged(judgement, out),
            Answer::Key { local, remote, key } => {
                if let State::Ready(ready) = &mut self.state
                    && let Some(pair) = ready
                        .pairs
                        .iter_mut()
                        .find(|p| p.local == local && p.remote == remote && p.stage == Stage::Key)
                {
                    pair.stage = Stage::Asked;
                    out.send_str(&send_key(&local, &remote, &key));
                }
            }
            // Answers for other machines.
            _ => {}
        }
    }
}

impl Ending for PeerOut {
    fn voice(&self) -> Voice {
        match self.state {
            // Before there is a transport, and while it is neither plain nor TLS.
            State::Start | State::Handshake => Voice::Mute,
            State::Closing(_) => Voice::Closing,
            State::Closed => Voice::Closed,
            _ => Voice::Open,
        }
    }

    fn open_to_fail(&mut self, _: &mut Actions) {
        // Our opening tag is the first thing that is written.
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
