//! What a server stream is to the rest of the server, whoever opened it: the pairs it carries, in which direction, under
//! which proof and for how long.
//!
//! Why apart: with bidi (XEP-0288) a stream that a peer opened sends, and one that we opened receives. Refuses: a stanza
//! without proof for its pair (LAYER-06), and relying on a proof that has run out. It is judged anew then, on the evidence of
//! that moment; when it no longer holds the pair comes off the stream, which ends with `reset` where it was the only one, and
//! what waits looks for another (CERT-23).

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use dna::{Proven, Role, Target};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::Instant;
use xmpp::element::Element;
use xmpp::jid::DomainName;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaError};
use xmpp::stream::{
    ACK_REQUEST, Event, Order, StreamCondition, StreamError, TlsInfo, handled_too_much,
};

use super::Federation;
use super::carrier::Carrier;
use super::pair::Pair;
use super::standing::Fall;
use crate::net::limits::Patience;
use crate::net::now;
use crate::router::Later;
use crate::session::{Lane, Outbox, Progress};

/// What a proof on a stream rests on: everything that judging one pair of it needs beside the world outside.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    pub(super) local: DomainName,
    pub(super) remote: DomainName,
    pub(super) role: Role,
    pub(super) tls: Arc<TlsInfo>,
    /// The OCSP response that came with the certificate, empty where none came; `None` where none can come.
    pub(super) staple: Option<Arc<[u8]>>,
    /// Where the stream leads; streams that we opened only.
    pub(super) target: Option<Target>,
    /// Signed records led there, down to the address (XEP-0344).
    pub(super) dnssec: bool,
    /// Address of the other end: what strangers make us look up is rationed by it.
    pub(super) address: IpAddr,
}

impl Basis {
    /// What dialback gives us about whom we called at this address.
    pub(super) fn delegated(&self, to: SocketAddr) -> dna::dialback::Evidence {
        dna::dialback::Evidence::Delegated {
            to: to.to_string(),
            dnssec: self.dnssec,
            at: now(),
        }
    }
}

/// One server stream.
pub(super) struct Channel {
    pub(super) federation: Arc<Federation>,
    pub(super) outbox: Arc<Outbox>,
    number: u64,
    /// We opened it.
    ours: bool,
    /// Pairs that go over it, in either direction or both. One in nearly every case.
    pairs: Pairs,
    /// Pairs whose stanzas may go out.
    carried: Vec<Arc<Pair>>,
    /// Pairs that have left, of which something may not be acknowledged yet.
    former: Vec<Arc<Pair>>,
    /// For those who wait until what they have put here has left the process.
    progress: Option<Arc<Progress>>,
    max_bytes: Option<usize>,
    /// The other side acknowledges (XEP-0198).
    acks: bool,
    /// Where answers to stanzas of dropped pairs wait.
    refusals: Option<Lane>,
}

/// The pairs of one stream, as others see them too.
pub(super) type Pairs = Arc<Mutex<Vec<Held>>>;

/// A pair on one stream, under one proof.
#[derive(Clone)]
pub(super) struct Held {
    pub(super) proven: Proven,
    /// What that rests on.
    pub(super) basis: Basis,
    /// Its stanzas may come in.
    pub(super) incoming: bool,
    /// Has it judged again at once.
    pub(super) again: Arc<Notify>,
    watch: AbortHandle,
    /// Keeps the pair's place among the tenant's peers.
    _pair: Option<Arc<Pair>>,
}

/// Streams of this process, by a number of their own.
#[derive(Default)]
pub(super) struct Streams {
    next: u64,
    pub(super) open: HashMap<u64, Known>,
}

#[cfg(test)]
impl Streams {
    /// How many there have been.
    pub(super) fn number(&self) -> u64 {
        self.next
    }
}

/// What others see of a stream.
pub(super) struct Known {
    pub(super) outbox: Arc<Outbox>,
    /// We opened it.
    pub(super) ours: bool,
    pub(super) pairs: Pairs,
}

impl Channel {
    /// A stream that carries nothing yet; `ours`: we opened it.
    pub(super) fn new(federation: &Arc<Federation>, outbox: Arc<Outbox>, ours: bool) -> Self {
        let pairs = Pairs::default();
        let mut streams = federation.streams.lock();
        streams.next += 1;
        let number = streams.next;
        streams.open.insert(
            number,
            Known {
                outbox: outbox.clone(),
                ours,
                pairs: pairs.clone(),
            },
        );
        drop(streams);
        Self {
            federation: federation.clone(),
            outbox,
            number,
            ours,
            pairs,
            carried: Vec::new(),
            former: Vec::new(),
            progress: None,
            max_bytes: None,
            acks: false,
            refusals: None,
        }
    }

    /// The pair goes over this stream; `incoming`: its stanzas may come in. It is judged again when its proof runs out, and
    /// comes off the stream when it no longer holds.
    pub(super) fn hold(
        &mut self,
        proven: &Proven,
        basis: Basis,
        incoming: bool,
        pair: Option<&Arc<Pair>>,
    ) -> Held {
        let again = Arc::<Notify>::default();
        let watch = Watch {
            federation: Arc::downgrade(&self.federation),
            outbox: Arc::downgrade(&self.outbox),
            pairs: self.pairs.clone(),
            basis: basis.clone(),
            again: again.clone(),
        };
        let held = Held {
            proven: proven.clone(),
            basis,
            incoming,
            again,
            watch: tokio::spawn(watch.run(proven.clone())).abort_handle(),
            _pair: pair.cloned(),
        };
        self.let_go(proven.local(), proven.remote());
        self.pairs.lock().push(held.clone());
        held
    }

    fn let_go(&self, local: &DomainName, remote: &DomainName) {
        self.pairs.lock().retain(|held| {
            let its = held.proven.covers(local, remote);
            if its {
                held.watch.abort();
            }
            !its
        });
    }

    /// The stream carries the pair no longer.
    fn dropped(&mut self, local: &DomainName, remote: &DomainName) {
        self.let_go(local, remote);
        let its = |pair: &Arc<Pair>| pair.local == *local && pair.remote == *remote;
        if let Some(at) = self.carried.iter().position(its) {
            let pair = self.carried.swap_remove(at);
            let next = pair.leave(&self.outbox);
            self.federation.look_after(pair.clone(), next);
            self.former.retain(|former| !its(former));
            self.former.push(pair);
        }
    }

    /// Stanzas of the pair may go out.
    pub(super) fn carry(&mut self, pair: Arc<Pair>, proven: &Proven) {
        let its = |held: &Held| held.incoming && held.proven.covers(&pair.local, &pair.remote);
        let both_ways = self.pairs.lock().iter().any(its);
        let way = (self.ours, both_ways);
        let carrier = Carrier::new(&self.outbox, proven.clone(), self.max_bytes, way);
        self.progress = Some(carrier.progress.clone());
        let left = pair.accepted(carrier);
        self.federation.give_up_left(&pair, left);
        self.carried.push(pair);
    }

    /// Whether the stream is one of two that go both ways for its only pair, and not the one that stays.
    pub(super) fn is_superseded(&self) -> bool {
        match &self.carried[..] {
            [pair] => self.pairs() == 1 && pair.goes_elsewhere(&self.outbox),
            _ => false,
        }
    }

    /// How many pairs go over the stream.
    pub(super) fn pairs(&self) -> usize {
        self.pairs.lock().len()
    }

    /// A stanza of the peer's; the machine has checked that its pair is one of this stream. Whatever it leads to is waited for
    /// while the stream writes: that may be what is waited for.
    pub(super) fn stanza(&self, stanza: Stanza) -> Option<Later> {
        let (from, to) = (stanza.from()?.domain(), stanza.to()?.domain());
        let proven = self
            .pairs
            .lock()
            .iter()
            .filter(|held| held.incoming)
            .map(|held| &held.proven)
            .find(|p| p.remote().as_str() == from && p.local().as_str() == to)
            .cloned();
        let router = &self.federation.parts.router;
        let passed = proven.map(|proven| router.from_peer(&proven, stanza));
        match passed {
            Some(Ok(later)) => later.map(|later| Later::Done(later.done())),
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
            Event::Acked { handled } => match self.outbox.acked(handled) {
                Ok(due) => due.into_iter().for_each(|then| drop(tokio::spawn(then))),
                Err(sent) => {
                    let error = handled_too_much(handled, sent);
                    self.outbox.order(Order::Close(error));
                }
            },
            Event::PairDropped { local, remote } => self.dropped(&local, &remote),
            Event::Refusal(reply) => {
                let outbox = &self.outbox;
                let lane = *self.refusals.get_or_insert_with(|| outbox.lane());
                // A peer that does not read loses them with everything else.
                let _ = outbox.push_in(lane, reply.bytes().clone());
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
            ping: patience.ping.filter(|_| self.can_ping()),
            ..patience
        }
    }

    fn can_ping(&self) -> bool {
        self.acks || self.bidi_pair().is_some()
    }

    /// A pair that goes both ways here.
    fn bidi_pair(&self) -> Option<&Pair> {
        let pairs = self.pairs.lock();
        let pair = self.carried.iter().find(|pair| {
            pairs
                .iter()
                .any(|held| held.incoming && held.proven.covers(&pair.local, &pair.remote))
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
        let mut all = std::mem::take(&mut self.carried);
        all.append(&mut self.former);
        for pair in all {
            let (its, others) = stanzas.into_iter().partition(|stanza: &Stanza| {
                stanza
                    .from()
                    .is_some_and(|from| from.domain() == pair.local.as_str())
                    && stanza
                        .to()
                        .is_some_and(|to| to.domain() == pair.remote.as_str())
            });
            stanzas = others;
            let next = pair.ended(&self.outbox, its);
            self.federation.look_after(pair, next);
        }
        if let Some(progress) = &self.progress {
            progress.end();
        }
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        // Whatever ended the stream: nobody may go on waiting for it.
        self.ended(Vec::new());
        self.federation.streams.lock().open.remove(&self.number);
        for held in self.pairs.lock().drain(..) {
            held.watch.abort();
        }
    }
}

/// Looks after one proof of one stream.
pub(super) struct Watch {
    pub(super) federation: std::sync::Weak<Federation>,
    pub(super) outbox: std::sync::Weak<Outbox>,
    pub(super) pairs: Pairs,
    pub(super) basis: Basis,
    pub(super) again: Arc<Notify>,
}

impl Watch {
    pub(super) async fn run(self, mut proven: Proven) {
        loop {
            let left = proven.until().since(now());
            let due = tokio::select! {
                () = tokio::time::sleep_until(Instant::now() + left) => true,
                () = self.again.notified() => false,
            };
            let Some(federation) = self.federation.upgrade() else {
                return;
            };
            let basis = federation.delegated_anew(&self.basis).await;
            let ruling = Box::pin(federation.judge(&basis, None)).await;
            // A domain that has left takes its pairs along by itself.
            let (Some(verdict), Some(outbox)) =
                (ruling.map(|ruling| ruling.verdict), self.outbox.upgrade())
            else {
                return;
            };
            let refusals = verdict.refusals().to_vec();
            let again = verdict.into_proven();
            let Some(again) = again.filter(|again| !due || again.until() > proven.until()) else {
                let fall = Fall::of_proof(due, proven.by(), refusals);
                return federation.fell(&outbox, &self.basis, fall);
            };
            for held in self.pairs.lock().iter_mut() {
                if held.proven.covers(again.local(), again.remote()) {
                    held.proven = again.clone();
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
