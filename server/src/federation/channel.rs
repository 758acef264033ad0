//! What a server stream is to the rest of the server, whoever opened it: the pairs it carries, in which direction, under
//! which proof and for how long.
//!
//! Why apart: with bidi (XEP-0288) a stream that a peer opened sends, and one that we opened receives. Refuses: a stanza
//! without proof for its pair (LAYER-06), and relying on a proof that has run out. It is judged anew then, on the evidence of
//! that moment; when it no longer holds the stream ends with `reset` and what waits looks for another (CERT-23).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dna::{Proven, Role, Target};
use parking_lot::Mutex;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use xmpp::element::Element;
use xmpp::jid::DomainName;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaError};
use xmpp::stream::{
    ACK_REQUEST, Event, Order, StreamCondition, StreamError, TlsInfo, handled_too_much,
};

use super::pair::{Carrier, Next, Pair};
use super::{Federation, outbound};
use crate::net::limits::Patience;
use crate::net::now;
use crate::router::Later;
use crate::session::Outbox;

/// Silence of a peer after which it is asked whether it is there (XEP-0199, STREAM-11).
const PING: Duration = Duration::from_secs(300);

/// What a proof on a stream rests on: everything that judging one pair of it needs beside the world outside.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    pub(super) local: DomainName,
    pub(super) remote: DomainName,
    pub(super) role: Role,
    pub(super) tls: Arc<TlsInfo>,
    /// Whether an OCSP response came; `None` where nobody could tell.
    pub(super) stapled: Option<bool>,
    /// Where the stream leads; streams that we opened only.
    pub(super) target: Option<Target>,
    /// Address of the other end: what strangers make us look up is rationed by it.
    pub(super) address: IpAddr,
}

/// One server stream.
pub(super) struct Channel {
    pub(super) federation: Arc<Federation>,
    pub(super) outbox: Arc<Outbox>,
    number: u64,
    /// Pairs whose stanzas may come in, each with its proof. One in nearly every case.
    incoming: Arc<Mutex<Vec<Proven>>>,
    /// Pairs whose stanzas may go out.
    carried: Vec<Arc<Pair>>,
    max_bytes: Option<usize>,
    /// The other side acknowledges (XEP-0198).
    acks: bool,
    watches: Vec<AbortHandle>,
}

/// Streams of this process, by a number of their own.
#[derive(Default)]
pub(super) struct Streams {
    next: u64,
    pub(super) open: HashMap<u64, Known>,
}

/// What others see of a stream.
pub(super) struct Known {
    pub(super) outbox: Arc<Outbox>,
    /// We opened it.
    pub(super) ours: bool,
    /// Pairs that come in on it.
    pub(super) incoming: Arc<Mutex<Vec<Proven>>>,
}

impl Channel {
    /// A stream that carries nothing yet; `ours`: we opened it.
    pub(super) fn new(federation: &Arc<Federation>, outbox: Arc<Outbox>, ours: bool) -> Self {
        let incoming = Arc::<Mutex<Vec<_>>>::default();
        let mut streams = federation.streams.lock();
        streams.next += 1;
        let number = streams.next;
        streams.open.insert(
            number,
            Known {
                outbox: outbox.clone(),
                ours,
                incoming: incoming.clone(),
            },
        );
        drop(streams);
        Self {
            federation: federation.clone(),
            outbox,
            number,
            incoming,
            carried: Vec::new(),
            max_bytes: None,
            acks: false,
            watches: Vec::new(),
        }
    }

    /// Stanzas of the pair may come in.
    pub(super) fn receive(&mut self, proven: &Proven) {
        let mut incoming = self.incoming.lock();
        incoming.retain(|p| !p.covers(proven.local(), proven.remote()));
        incoming.push(proven.clone());
    }

    /// Stanzas of the pair may go out.
    pub(super) fn carry(&mut self, pair: Arc<Pair>, proven: &Proven) {
        let carrier = Carrier::new(&self.outbox, proven.clone(), self.max_bytes);
        for (stanza, error) in pair.accepted(carrier) {
            self.federation.parts.router.bounce(&stanza, *error);
        }
        self.carried.push(pair);
    }

    /// How many pairs go over the stream.
    pub(super) fn pairs(&self) -> usize {
        self.carried.len().max(self.incoming.lock().len())
    }

    /// Judges the pair again when its proof runs out, and closes the stream when it no longer holds.
    pub(super) fn watch(&mut self, proven: &Proven, basis: Basis) {
        let watch = Watch {
            federation: Arc::downgrade(&self.federation),
            outbox: Arc::downgrade(&self.outbox),
            incoming: self.incoming.clone(),
            basis,
        };
        let task = tokio::spawn(watch.run(proven.clone()));
        self.watches.push(task.abort_handle());
    }

    /// A stanza of the peer's; the machine has checked that its pair is one of this stream.
    pub(super) fn stanza(&self, stanza: Stanza) -> Option<Later> {
        let (from, to) = (stanza.from()?.domain(), stanza.to()?.domain());
        let proven = self
            .incoming
            .lock()
            .iter()
            .find(|p| p.remote().as_str() == from && p.local().as_str() == to)
            .cloned();
        let router = &self.federation.parts.router;
        let passed = proven.map(|proven| router.from_peer(&proven, stanza));
        match passed {
            Some(Ok(later)) => later,
            // A domain that has just gone, or a pair whose proof has just fallen.
            _ => {
                let error = StreamError::new(StreamCondition::HostUnknown);
                self.outbox.order(Order::Close(error));
                None
            }
        }
    }

    /// Deals with what both kinds of stream tell alike; gives the rest back.
    pub(super) fn event(&mut self, event: Event) -> Option<Event> {
        match event {
            Event::PeerLimits { max_bytes } => {
                self.max_bytes = Some(max_bytes);
                for pair in &self.carried {
                    pair.limited(&self.outbox, max_bytes);
                }
            }
            Event::AcksBegin => {
                self.acks = true;
                self.outbox.keep();
            }
            Event::AcksRefused => {
                self.acks = false;
                self.outbox.keep_no_more();
            }
            Event::Acked { handled } => {
                if let Err(sent) = self.outbox.acked(handled) {
                    let error = handled_too_much(handled, sent);
                    self.outbox.order(Order::Close(error));
                }
            }
            Event::Reply(reply) => self.federation.parts.router.reply(*reply),
            event => return Some(event),
        }
        None
    }

    /// Times of the stream: the other side is asked whether it is there where it can be asked.
    pub(super) fn patience(&self) -> Patience {
        let patience = self.federation.parts.settings.limits.patience;
        Patience {
            ping: patience.ping.or(Some(PING)).filter(|_| self.can_ping()),
            ..patience
        }
    }

    fn can_ping(&self) -> bool {
        self.acks || self.bidi_pair().is_some()
    }

    /// A pair that goes both ways here.
    fn bidi_pair(&self) -> Option<&Pair> {
        let incoming = self.incoming.lock();
        let pair = self.carried.iter().find(|pair| {
            incoming
                .iter()
                .any(|proven| proven.covers(&pair.local, &pair.remote))
        })?;
        Some(pair)
    }

    /// What makes the other side speak, if anything on this stream can: a request for an acknowledgement, or a ping whose
    /// answer comes back on it (XEP-0199). On a stream that goes one way only nothing can.
    pub(super) fn ping(&self) -> Option<Bytes> {
        if self.acks {
            return Some(Bytes::from_static(ACK_REQUEST.as_bytes()));
        }
        let pair = self.bidi_pair()?;
        let ping = Element::new("iq", ns::CLIENT)
            .attr("type", "get")
            .attr("id", format!("{:016x}", rand::random::<u64>()))
            .attr("from", pair.local.as_str())
            .attr("to", pair.remote.as_str())
            .child(Element::new("ping", ns::PING));
        let stanza = Stanza::from_element(&ping).ok()?;
        Some(stanza.bytes().clone())
    }

    /// The stream has ended: what did not surely arrive goes back to its pairs, which find another stream while anything
    /// waits.
    pub(super) fn ended(&mut self, unwritten: Vec<Bytes>) {
        self.outbox.close();
        let mut stanzas: Vec<_> = unwritten
            .iter()
            .filter_map(|bytes| Stanza::from_bytes(bytes).ok())
            .collect();
        for pair in std::mem::take(&mut self.carried) {
            let (its, others) = stanzas.into_iter().partition(|stanza: &Stanza| {
                stanza
                    .from()
                    .is_some_and(|from| from.domain() == pair.local.as_str())
                    && stanza
                        .to()
                        .is_some_and(|to| to.domain() == pair.remote.as_str())
            });
            stanzas = others;
            match pair.ended(&self.outbox, its) {
                Next::Nothing => {}
                Next::Start => {
                    let federation = self.federation.clone();
                    self.federation.spawn(outbound::run(federation, pair));
                }
                Next::GiveUp(left) => outbound::keeps_ending(&self.federation, &pair, left),
            }
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Whatever ended the stream: nobody may go on waiting for it.
        self.ended(Vec::new());
        self.federation.streams.lock().open.remove(&self.number);
        for watch in self.watches.drain(..) {
            watch.abort();
        }
    }
}

/// Looks after one proof of one stream.
pub(super) struct Watch {
    pub(super) federation: std::sync::Weak<Federation>,
    pub(super) outbox: std::sync::Weak<Outbox>,
    pub(super) incoming: Arc<Mutex<Vec<Proven>>>,
    pub(super) basis: Basis,
}

impl Watch {
    pub(super) async fn run(self, mut proven: Proven) {
        loop {
            let left = proven.until().since(now());
            tokio::time::sleep_until(Instant::now() + left).await;
            let Some(federation) = self.federation.upgrade() else {
                return;
            };
            let verdict = Box::pin(federation.judge(&self.basis, None)).await;
            let again = verdict
                .and_then(dna::Verdict::into_proven)
                .filter(|again| again.until() > proven.until());
            let Some(outbox) = self.outbox.upgrade() else {
                return;
            };
            let Some(again) = again else {
                let error = StreamError::new(StreamCondition::Reset)
                    .with_text("what proved this stream has run out; prove it anew");
                outbox.order(Order::Close(error));
                return;
            };
            for held in self.incoming.lock().iter_mut() {
                if held.covers(again.local(), again.remote()) {
                    *held = again.clone();
                }
            }
            if let Some(pair) = federation.known_pair(again.local(), again.remote()) {
                pair.proven_anew(&outbox, &again);
            }
            proven = again;
        }
    }
}

/// Nobody is there to be sent to any more.
pub(super) fn stopping() -> StanzaError {
    StanzaError::new(Condition::RemoteServerTimeout).with_text("this server is being stopped")
}
