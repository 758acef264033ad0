//! Both machines of a server stream joined in memory, for tests: what one sends the other reads, byte for byte through the
//! framer, and questions are answered from a script.

use std::collections::VecDeque;
use std::sync::Arc;

use super::peer_in::PeerIn;
use super::peer_out::{PeerOut, Purpose};
use super::{
    Action, Actions, Answer, Ask, Event, Host, Input, Judgement, KeyOutcome, Machine, Order, Phase,
    Seed, Served, StreamError, TlsInfo,
};
use crate::framing::{Frame, Framer, Limits};
use crate::jid::DomainName;
use crate::stanza::Stanza;
use crate::timestamp::Timestamp;

pub(super) fn domain(name: &str) -> DomainName {
    DomainName::parse(name).expect("a domain")
}

pub(super) fn served(name: &str) -> Host {
    Host::Served(Box::new(Served {
        domain: domain(name),
        identity: true,
        plain: false,
        hashes: Vec::new(),
        fake_secret: Arc::from([0; 4]),
        features: [].into(),
        external: Vec::new(),
        max_bytes: 10_000,
        idle_seconds: 600,
        resumption: None,
        tokens: false,
        registers: false,
        flows: &[],
        inline: Vec::new(),
    }))
}

pub(super) fn tls(identity: Option<&str>) -> TlsInfo {
    TlsInfo {
        version: "TLSv1.3",
        identity: identity.map(domain),
        ..TlsInfo::default()
    }
}

pub(super) const PROVEN: Judgement = Judgement {
    proven: true,
    dialback: true,
    refused: None,
};

pub(super) const WEAK: Judgement = Judgement {
    proven: false,
    dialback: true,
    refused: None,
};

/// One machine with its framer and what came out of it.
pub(super) struct Side<M> {
    pub(super) machine: M,
    framer: Framer,
    /// Bytes sent and not taken by the other side.
    pub(super) sent: String,
    /// All bytes sent.
    pub(super) said: String,
    pub(super) asks: VecDeque<Ask>,
    pub(super) events: Vec<Event>,
    pub(super) stanzas: Vec<Stanza>,
    pub(super) start_tls: Option<DomainName>,
    pub(super) closed: bool,
    pub(super) disconnected: bool,
    /// Nothing is read until the answer is there (ROUTE-01).
    waiting: bool,
}

impl<M: Machine> Side<M> {
    pub(super) fn new(machine: M) -> Self {
        Self {
            machine,
            framer: Framer::new(Limits::default()),
            sent: String::new(),
            said: String::new(),
            asks: VecDeque::new(),
            events: Vec::new(),
            stanzas: Vec::new(),
            start_tls: None,
            closed: false,
            disconnected: false,
            waiting: false,
        }
    }

    pub(super) fn feed(&mut self, input: Input<'_>) {
        let mut actions = Actions::new();
        self.machine.handle(input, Timestamp(0), &mut actions);
        self.act(&mut actions);
    }

    fn act(&mut self, actions: &mut Actions) {
        for action in actions.drain() {
            match action {
                Action::Send(bytes) => {
                    let text = String::from_utf8(bytes).expect("UTF-8");
                    self.said.push_str(&text);
                    self.sent.push_str(&text);
                }
                Action::StartTls(domain) => self.start_tls = Some(domain),
                Action::Restart => self.framer.restart(),
                Action::Ask(ask) => {
                    self.waiting = true;
                    self.asks.push_back(ask);
                }
                Action::AskAside(ask) => self.asks.push_back(ask),
                Action::Stanza(stanza) => self.stanzas.push(stanza),
                Action::Event(event) => self.events.push(event),
                Action::Close => self.closed = true,
                Action::Disconnect => self.disconnected = true,
            }
        }
    }

    /// Bytes from the other side.
    pub(super) fn read(&mut self, text: &str) {
        self.framer.push(text.as_bytes());
        let mut actions = Actions::new();
        while !self.disconnected && !self.waiting && self.start_tls.is_none() {
            let input = match self.framer.next() {
                Ok(None) => break,
                Ok(Some(Frame::Header(header))) => Input::Header(header),
                Ok(Some(Frame::Element(raw))) => Input::Element(raw),
                Ok(Some(Frame::Close)) => Input::Close,
                Err(error) => {
                    self.machine.handle(
                        Input::Broken(StreamError::new(error.condition())),
                        Timestamp(0),
                        &mut actions,
                    );
                    break;
                }
            };
            self.machine.handle(input, Timestamp(0), &mut actions);
            // A restart changes how the next bytes are read, so actions are done at once.
            let mut now = std::mem::take(&mut actions);
            self.act(&mut now);
        }
        self.act(&mut actions);
    }

    pub(super) fn secure(&mut self, info: TlsInfo) {
        self.framer.reset();
        self.start_tls = None;
        self.feed(Input::Tls(info));
    }

    pub(super) fn answer(&mut self, answer: Answer) {
        self.waiting = false;
        self.feed(Input::Answer(answer));
        self.read("");
    }

    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.sent)
    }

    /// What was answered to stanzas of dropped pairs, all in a row.
    pub(super) fn refusals(&mut self) -> String {
        let mut all = String::new();
        for event in std::mem::take(&mut self.events) {
            match event {
                Event::Refusal(reply) => all.push_str(&String::from_utf8_lossy(reply.bytes())),
                event => self.events.push(event),
            }
        }
        all
    }

    pub(super) fn accepted(&self) -> Vec<(String, &'static str)> {
        self.events
            .iter()
            .filter_map(|event| match event {
                Event::PairAccepted {
                    remote, mechanism, ..
                } => Some((remote.as_str().to_owned(), *mechanism)),
                _ => None,
            })
            .collect()
    }
}

impl Side<PeerIn> {
    pub(super) fn receiver() -> Self {
        let machine = PeerIn::new(Seed::new([1; 32]), Some(domain("provider.example")));
        let mut side = Self::new(machine);
        side.feed(Input::Connected(None));
        side
    }

    /// A receiver behind TLS, its own header and features sent, from the header of a scripted peer.
    pub(super) fn secured(header: &str, judgement: Judgement) -> Self {
        let machine = PeerIn::new(Seed::new([1; 32]), Some(domain("provider.example")));
        let mut side = Self::new(machine);
        side.feed(Input::Connected(Some(tls(Some("one.example")))));
        side.read(header);
        side.answer(Answer::Host(served("one.example")));
        if let Some(Ask::Judge { local, remote }) = side.asks.pop_back() {
            side.answer(Answer::Judged {
                local,
                remote,
                judgement,
            });
        }
        side.asks.clear();
        side
    }
}

/// Header of a peer, `from` and `to` as told.
pub(super) fn header(from: &str, to: &str) -> String {
    let from = match from {
        "" => String::new(),
        from => format!(" from='{from}'"),
    };
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams' \
         xmlns:db='jabber:server:dialback'{from} to='{to}' version='1.0'>"
    )
}

/// `peer.example` calls `one.example`.
pub(super) struct Pair {
    pub(super) out: Side<PeerOut>,
    pub(super) into: Side<PeerIn>,
    /// What the receiver thinks of the caller, and the caller of the receiver.
    pub(super) judged_in: Judgement,
    pub(super) judged_out: Judgement,
    /// What the caller's authority says about its keys.
    pub(super) key: KeyOutcome,
}

impl Pair {
    pub(super) fn new(judged_in: Judgement, judged_out: Judgement) -> Self {
        Self::with(judged_in, judged_out, Purpose::Send { external: true })
    }

    pub(super) fn with(judged_in: Judgement, judged_out: Judgement, purpose: Purpose) -> Self {
        let out = PeerOut::new(domain("peer.example"), domain("one.example"), purpose);
        let mut pair = Self {
            out: Side::new(out),
            into: Side::receiver(),
            judged_in,
            judged_out,
            key: KeyOutcome::Valid,
        };
        pair.out.feed(Input::Connected(None));
        pair
    }

    /// Until nothing moves.
    pub(super) fn run(&mut self) {
        for _ in 0..200 {
            let (a, b) = (self.out.take(), self.into.take());
            let quiet = a.is_empty() && b.is_empty();
            self.into.read(&a);
            self.out.read(&b);
            if self.out.start_tls.is_some()
                && self.into.start_tls.is_some()
                && self.into.sent.is_empty()
            {
                self.out.secure(tls(None));
                self.into.secure(tls(Some("one.example")));
                continue;
            }
            let asked = self.answer_one();
            if quiet && !asked {
                return;
            }
        }
        panic!("the machines do not come to rest");
    }

    fn answer_one(&mut self) -> bool {
        if let Some(ask) = self.into.asks.pop_front() {
            let answer = match ask {
                Ask::Host { to } if to.as_str() == "one.example" => {
                    Answer::Host(served("one.example"))
                }
                Ask::Host { .. } => Answer::Host(Host::Unknown),
                Ask::Judge { local, remote } => Answer::Judged {
                    local,
                    remote,
                    judgement: self.judged_in.clone(),
                },
                Ask::VerifyKey {
                    local,
                    remote,
                    stream,
                    key,
                } => {
                    assert_eq!(key, format!("key for {stream}"), "the key of this stream");
                    Answer::KeyVerified {
                        local,
                        remote,
                        outcome: self.key.clone(),
                    }
                }
                Ask::CheckKey {
                    stream,
                    local,
                    remote,
                    key,
                } => Answer::KeyChecked {
                    valid: (local.as_str() == "one.example")
                        .then_some(key == format!("key for {stream}")),
                    stream,
                    local,
                    remote,
                },
                other => panic!("not a receiver's question: {other:?}"),
            };
            self.into.answer(answer);
            return true;
        }
        if let Some(ask) = self.out.asks.pop_front() {
            let answer = match ask {
                Ask::Judge { local, remote } => Answer::Judged {
                    local,
                    remote,
                    judgement: self.judged_out.clone(),
                },
                Ask::MakeKey {
                    stream,
                    local,
                    remote,
                } => Answer::Key {
                    key: format!("key for {stream}"),
                    local,
                    remote,
                },
                other => panic!("not a caller's question: {other:?}"),
            };
            self.out.answer(answer);
            return true;
        }
        false
    }

    pub(super) fn order(&mut self, order: Order) {
        self.out.feed(Input::Order(order));
    }

    pub(super) fn open(&self) -> bool {
        self.out.machine.phase() == Phase::Open && self.into.machine.phase() == Phase::Open
    }
}
