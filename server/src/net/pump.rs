//! The one loop around a stream machine: bytes in, frames to the machine, actions to the world, bytes out.
//!
//! It reads straight out of the TLS stream's own buffer into the framer and writes shared bytes straight into TLS records,
//! so an idle connection owns no buffers beyond TLS's own. It owns the transport whole (no split): one task, one wake-up.
//! Refuses: knowing what a stanza is for. Whatever the machine asks, the [`Host`] answers, and while it does, no further
//! frame is looked at (ROUTE-01), though output keeps flowing.

mod later;
mod output;
mod transport;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, Sleep};
use xmpp::framing::{Frame, Framer, Limits};
use xmpp::jid::DomainName;
use xmpp::stanza::Stanza;
use xmpp::stream::{
    Action, Actions, Answer, Ask, Event, Input, Machine, Order, Phase, StreamCondition,
    StreamError, TlsInfo,
};

use self::later::Debts;
pub use self::later::{Handed, Keeper, Later};
use self::output::Output;
pub use self::transport::Transport;
use super::limits::{
    Bucket, CLOSE_WAIT, IDLE_SWEEP, OUTPUT_HIGH_WATER, Patience, StreamLimits, WRITE_STALL,
};
use super::{now, tls};
use crate::session::outbox::{Outbox, Taken};

/// The world around one stream. Futures it gives are boxed: they exist only while something is asked, and the loop's own
/// future stays small.
pub trait Host: Send {
    /// Where others put what this stream shall write.
    fn outbox(&self) -> &Arc<Outbox>;
    /// Answers a question of the machine.
    fn ask(&mut self, ask: Ask) -> BoxFuture<'static, Answer>;
    /// Takes a stanza. `None`: it is dealt with; otherwise what the stream has to wait for.
    fn stanza(&mut self, stanza: Stanza) -> Option<Later>;
    /// How to secure the stream, as [`Action::StartTls`] wants it; `None` ends the connection.
    fn tls(&mut self, domain: DomainName) -> BoxFuture<'static, Option<tls::Secure>>;
    /// TLS is up; called before the machine learns of it.
    fn secured(&mut self, info: &TlsInfo);
    /// TLS did not come up; the connection ends (TLS-10).
    fn tls_failed(&mut self, error: &io::Error);
    /// Something worth knowing.
    fn event(&mut self, event: Event);
    /// The other side has proved who it is; called once.
    fn authenticated(&mut self) {}
    /// Times of the open stream; asked when it opens, when it has been silent, and when its outbox was nudged.
    fn patience(&self) -> Option<Patience> {
        None
    }
    /// A stanza that makes the other side answer (XEP-0199).
    fn ping(&mut self) -> Option<Bytes> {
        None
    }
    /// A limit slows the stream down; `limit` is its key in the configuration.
    fn slowed(&mut self, _limit: &'static str) {}
    /// The connection has ended, and its session, which has handled so many stanzas of the other side, may go on without it
    /// ([`Machine::left`]). `unwritten` is what it was not sent. `false`: the session ends all the same.
    fn left(&mut self, _handled: u32, _unwritten: Vec<Bytes>) -> bool {
        false
    }
}

/// How a stream ended.
#[derive(Debug)]
pub struct Ended {
    /// What was queued for it and not written, oldest first.
    pub unwritten: Vec<Bytes>,
    /// Its session goes on without it.
    pub left: bool,
    /// The connection broke, as opposed to having been closed by either side.
    pub broken: Option<io::Error>,
}

/// Drives `machine` until its stream has ended.
///
/// The machine has its first step in this call; what is returned holds the stream once. (An async function holds each of its
/// arguments beside what it makes of them, for as long as it runs.)
pub fn run<S, M, H>(
    transport: Transport<S>,
    tls: Option<Box<TlsInfo>>,
    machine: M,
    host: &mut H,
    limits: StreamLimits,
) -> impl Future<Output = Ended>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Machine,
    H: Host,
{
    let start = Instant::now();
    let mut pump = Pump {
        transport,
        framer: Framer::new(Limits {
            element_bytes: limits.unauthenticated_bytes,
            ..Limits::default()
        }),
        machine,
        host,
        phase: Phase::Unauthenticated,
        limits,
        actions: Actions::new(),
        output: Output::default(),
        taken: Taken::default(),
        waiting: None,
        debts: Debts::default(),
        aside: Vec::new(),
        start_tls: None,
        held_back: false,
        disconnect: false,
        deaf: false,
        clock: Clock::new(start, &limits),
        bytes: Bucket::new(limits.unauthenticated_bytes_per_second, start),
        stanzas: Bucket::new(limits.stanzas_per_second, start),
        paid: 0,
        patience: limits.patience,
    };
    if let Some(info) = &tls {
        pump.host.secured(info);
    }
    pump.feed(Input::Connected(tls.map(|info| *info)));
    async move { pump.whole().await }
}

/// What has begun with a stanza is done whole, whatever becomes of the stream it came on: half of it may have been written and
/// said already. The stream's end waits for it, but not for long; then it goes on alone.
async fn to_its_end(future: BoxFuture<'static, ()>) {
    let mut doing = tokio::spawn(future);
    if let Ok(Err(panicked)) = tokio::time::timeout(STANZA_WAIT, &mut doing).await {
        tracing::error!(%panicked, "a stanza was not dealt with to its end");
    }
}

struct Pump<'h, S, M, H> {
    transport: Transport<S>,
    framer: Framer,
    machine: M,
    host: &'h mut H,
    phase: Phase,
    limits: StreamLimits,
    actions: Actions,
    output: Output,
    taken: Taken,
    waiting: Option<Waiting>,
    /// What its stanzas have put onto other streams.
    debts: Debts,
    aside: Vec<BoxFuture<'static, Answer>>,
    start_tls: Option<DomainName>,
    /// There may be frames left that were not looked at because too much output waited.
    held_back: bool,
    disconnect: bool,
    /// Input is read and thrown away: it broke the rules of XML, and the error has been sent.
    deaf: bool,
    clock: Clock,
    bytes: Bucket,
    stanzas: Bucket,
    /// Stanzas that were taken from the bucket and have not come yet.
    paid: u8,
    patience: Patience,
}

/// How long the end of a stream waits for what its last stanza leads to.
const STANZA_WAIT: Duration = CLOSE_WAIT.saturating_mul(2);

/// Stanzas are taken from the bucket so many at a time: the clock is not read for each.
const PAID_AT_ONCE: u8 = 8;

/// What the stream waits for before its next frame.
enum Waiting {
    Answer(BoxFuture<'static, Answer>),
    Stanza(BoxFuture<'static, ()>),
}

/// Whether nobody is known yet in this phase.
fn is_unknown(phase: Phase) -> bool {
    matches!(phase, Phase::Unauthenticated | Phase::Registering)
}

/// Times of one stream.
struct Clock {
    sleep: Pin<Box<Sleep>>,
    negotiation: Instant,
    closing: Option<Instant>,
    /// When reading goes on.
    resume: Option<Instant>,
    /// Output is blocked since then, without progress.
    blocked: Option<Instant>,
    /// Last time anything was read or written.
    active: Instant,
    /// Last time anything was read.
    heard: Instant,
    /// Since when an answer to our ping, or an acknowledgement, is awaited.
    pinged: Option<Instant>,
    /// An acknowledgement was asked for, and nothing has been read since. When that was is noted once the stream rests, so
    /// that nobody reads a clock for it on the way.
    asked: bool,
    /// When the last space was sent.
    space: Instant,
    /// Buffers have been freed since the last activity.
    swept: bool,
    /// Seconds that a person has left for filling something in ([`UNASKED`]: all that there are).
    person: u32,
}

/// Nobody has been asked anything yet.
const UNASKED: u32 = u32::MAX;

enum Wake {
    Read(usize),
    Eof,
    Orders,
    Answer(Answer),
    Ready,
    Timer,
}

impl Clock {
    fn new(now: Instant, limits: &StreamLimits) -> Self {
        Self {
            sleep: Box::pin(tokio::time::sleep_until(now + limits.negotiation)),
            negotiation: now + limits.negotiation,
            closing: None,
            resume: None,
            blocked: None,
            active: now,
            heard: now,
            pinged: None,
            asked: false,
            space: now,
            swept: false,
            person: UNASKED,
        }
    }

    /// The earliest moment at which there is something to do without input.
    fn next(&self, phase: Phase, patience: &Patience) -> Instant {
        let mut next = match phase {
            Phase::Unauthenticated | Phase::Authenticated | Phase::Registering => self.negotiation,
            Phase::Open if !self.swept => self.active + IDLE_SWEEP,
            Phase::Open => [
                Some(self.keepalive(patience)),
                self.answer(patience),
                patience.idle.map(|idle| self.active + idle),
            ]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or(self.negotiation),
            // Our side is closed; `closing` says how long the peer has.
            Phase::Closing | Phase::Closed => self.sleep.deadline() + CLOSE_WAIT,
        };
        for other in [
            self.closing,
            self.resume,
            self.blocked.map(|since| since + WRITE_STALL),
        ]
        .into_iter()
        .flatten()
        {
            next = next.min(other);
        }
        next
    }

    /// Somebody is asked something: what is left of a person's time.
    fn asks(&mut self, now: Instant, limits: &StreamLimits) {
        let left = self.person.min(limits.registration_seconds);
        self.negotiation = now + Duration::from_secs(left.into());
    }

    /// It has been filled in, or not: what follows has as long as ever.
    fn asks_no_more(&mut self, now: Instant, limits: &StreamLimits) {
        let left = self.negotiation.saturating_duration_since(now).as_secs();
        self.person = u32::try_from(left).unwrap_or(UNASKED);
        self.negotiation = now + limits.negotiation;
    }

    /// When a space is due if nothing happens.
    fn keepalive(&self, patience: &Patience) -> Instant {
        self.active.max(self.space) + patience.keepalive
    }

    /// When the other side is to be pinged, or given up.
    fn answer(&self, patience: &Patience) -> Option<Instant> {
        match self.pinged {
            Some(at) => Some(at + patience.pong),
            None => patience.ping.map(|ping| self.heard + ping),
        }
    }
}

impl<S, M, H> Pump<'_, S, M, H>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Machine,
    H: Host,
{
    /// From the first byte to what becomes of the session.
    async fn whole(&mut self) -> Ended {
        let broken = self.run().await.err();
        if let Some(handled) = self.machine.left() {
            // What counts as handled is handled, before anybody is told how much that is.
            if let Some(Waiting::Stanza(future)) = self.waiting.take() {
                future.await;
            }
            self.debts.settled().await;
            if self.host.left(handled, self.unwritten()) {
                if broken.is_none() {
                    Box::pin(self.transport.finish(&mut self.output)).await;
                }
                return Ended {
                    unwritten: Vec::new(),
                    left: true,
                    broken,
                };
            }
        }
        if let Some(Waiting::Stanza(future)) = self.waiting.take() {
            to_its_end(future).await;
        }
        if broken.is_none() {
            self.debts.settled().await;
            Box::pin(self.transport.finish(&mut self.output)).await;
        }
        if self.output.is_empty() {
            for then in self.taken.then.drain(..) {
                tokio::spawn(then);
            }
        }
        let unwritten = self.unwritten();
        let unwritten = self.host.outbox().close_after(unwritten);
        Ended {
            unwritten,
            left: false,
            broken,
        }
    }

    async fn run(&mut self) -> io::Result<()> {
        loop {
            self.frames();
            if let Some(domain) = self.start_tls.take() {
                Box::pin(self.secure(domain)).await?;
                continue;
            }
            if self.disconnect {
                return Ok(());
            }
            let woken = poll_fn(|cx| self.poll(cx)).await?;
            self.host.outbox().busy();
            match woken {
                Wake::Read(n) => {
                    let now = Instant::now();
                    self.clock.active = now;
                    self.clock.heard = now;
                    self.clock.pinged = None;
                    self.clock.asked = false;
                    self.clock.swept = false;
                    if let Some(until) = self.bytes.take(n, now) {
                        let key = match self.phase {
                            phase if is_unknown(phase) => "unauthenticated_bytes_per_second",
                            _ => "bytes_per_second",
                        };
                        self.slow(until, key);
                    }
                }
                Wake::Orders => {
                    for order in std::mem::take(&mut self.taken.orders) {
                        self.feed(Input::Order(order));
                    }
                }
                Wake::Answer(answer) => self.feed(Input::Answer(answer)),
                Wake::Ready => {}
                Wake::Timer => self.tick(Instant::now())?,
                Wake::Eof => return Ok(()),
            }
        }
    }

    fn unwritten(&self) -> Vec<Bytes> {
        self.output.unwritten(self.host.outbox().acknowledges())
    }

    /// Nothing is read or looked at before `until`.
    fn slow(&mut self, until: Instant, limit: &'static str) {
        self.host.slowed(limit);
        self.clock.resume = self.clock.resume.max(Some(until));
    }

    /// Counts one stanza.
    fn count_stanza(&mut self) {
        if let Some(left) = self.paid.checked_sub(1) {
            self.paid = left;
            return;
        }
        self.paid = PAID_AT_ONCE - 1;
        if let Some(until) = self.stanzas.take(PAID_AT_ONCE.into(), Instant::now()) {
            self.slow(until, "stanzas_per_second");
        }
    }

    fn may_go_on(&self) -> bool {
        self.waiting.is_none()
            && !self.debts.is_settling()
            && self.start_tls.is_none()
            && self.clock.resume.is_none()
            && !self.disconnect
            && !self.deaf
    }

    /// Feeds the machine whatever complete frames there are, as far as it may go on.
    fn frames(&mut self) {
        while self.may_go_on() {
            self.held_back = self.output.bytes() >= OUTPUT_HIGH_WATER;
            if self.held_back {
                return;
            }
            let input = match self.framer.next() {
                Ok(None) => return,
                Ok(Some(Frame::Header(header))) => Input::Header(header),
                Ok(Some(Frame::Element(raw))) => Input::Element(raw),
                Ok(Some(Frame::Close)) => {
                    self.last_words();
                    Input::Close
                }
                Err(error) => {
                    self.deaf = true;
                    Input::Broken(error.stream_error())
                }
            };
            let stanza = matches!(input, Input::Element(_));
            self.machine.handle(input, now(), &mut self.actions);
            if stanza {
                self.count_stanza();
            }
            self.act();
        }
    }

    /// The other side says nothing more: what waits for it goes out before our own closing tag, and nothing is taken behind
    /// that, however long the connection stays (ROUTE-01).
    fn last_words(&mut self) {
        if self.phase == Phase::Open {
            for item in self.host.outbox().finish(&mut self.taken) {
                self.output.push(item);
            }
        }
    }

    fn feed(&mut self, input: Input<'_>) {
        self.machine.handle(input, now(), &mut self.actions);
        self.act();
    }

    fn act(&mut self) {
        if !self.actions.is_empty() {
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain() {
                match action {
                    Action::Stanza(stanza) => {
                        let waiting = match self.host.stanza(stanza) {
                            None => None,
                            Some(Later::Done(future)) => Some(future),
                            Some(Later::Handed(handed)) => self.debts.add(handed),
                        };
                        if let Some(future) = waiting {
                            self.waiting = Some(Waiting::Stanza(future));
                        }
                    }
                    Action::Send(bytes) => self.output.push(bytes.into()),
                    Action::StartTls(domain) => self.start_tls = Some(domain),
                    Action::Restart => self.framer.restart(),
                    Action::Ask(ask) => self.waiting = Some(Waiting::Answer(self.host.ask(ask))),
                    Action::AskAside(ask) => self.aside.push(self.host.ask(ask)),
                    Action::Event(event) => self.host.event(event),
                    Action::Close => self.clock.closing = Some(Instant::now() + CLOSE_WAIT),
                    Action::Disconnect => self.disconnect = true,
                }
            }
            self.actions = actions;
        }
        let phase = self.machine.phase();
        if phase != self.phase {
            self.enter(phase);
        }
    }

    /// The limits of the new phase hold from now on.
    fn enter(&mut self, phase: Phase) {
        if phase == Phase::Registering {
            self.clock.asks(Instant::now(), &self.limits);
        } else if self.phase == Phase::Registering {
            self.clock.asks_no_more(Instant::now(), &self.limits);
        }
        if is_unknown(self.phase) && !is_unknown(phase) {
            self.framer.set_limits(Limits {
                element_bytes: self.limits.stanza_bytes,
                ..Limits::default()
            });
            self.bytes = Bucket::new(self.limits.bytes_per_second, Instant::now());
            if matches!(phase, Phase::Authenticated | Phase::Open) {
                self.host.authenticated();
            }
        }
        self.phase = phase;
        if phase == Phase::Open {
            self.be_patient();
        }
    }

    fn be_patient(&mut self) {
        self.patience = self.host.patience().unwrap_or(self.limits.patience);
    }

    /// Flush, handshake, tell the machine. The whole takes no longer than negotiating may.
    async fn secure(&mut self, domain: DomainName) -> io::Result<()> {
        // Whatever came behind the request was not protected (TLS-08).
        self.framer.reset();
        let deadline = self.clock.negotiation;
        let output = &mut self.output;
        let transport = &mut self.transport;
        tokio::time::timeout_at(
            deadline,
            poll_fn(|cx| output.poll_write(cx, transport).map_ok(|_| ())),
        )
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
        let secure = tokio::time::timeout_at(deadline, self.host.tls(domain))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
            .ok_or_else(|| io::Error::other("no identity to secure the stream with"))?;
        let result = tokio::time::timeout_at(deadline, self.transport.secure(secure))
            .await
            .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        match result {
            Ok(info) => {
                self.host.secured(&info);
                self.feed(Input::Tls(info));
                Ok(())
            }
            Err(error) => {
                self.host.tls_failed(&error);
                Err(error)
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wake>> {
        // What is waited for comes before the outbox: answers are mostly put into that, and then it is looked at once.
        self.host.outbox().busy();
        if let Some(woken) = self.poll_waiting(cx) {
            return Poll::Ready(Ok(woken));
        }
        loop {
            // What is said acknowledges what was heard before, so that comes first.
            if !self.output.is_empty() && self.debts.poll_settled(cx).is_ready() {
                match self.output.poll_write(cx, &mut self.transport)? {
                    Poll::Ready(()) => {
                        self.clock.blocked = None;
                        if self.held_back {
                            return Poll::Ready(Ok(Wake::Ready));
                        }
                    }
                    Poll::Pending => {
                        if self.output.moved() || self.clock.blocked.is_none() {
                            self.clock.blocked = Some(Instant::now());
                        }
                    }
                }
            }
            let written = self.output.is_empty();
            let take = written && self.phase == Phase::Open;
            if written {
                // Everything that was taken before them is written.
                for then in self.taken.then.drain(..) {
                    tokio::spawn(then);
                }
            }
            match self
                .host
                .outbox()
                .poll_take(cx, take, self.output.items(), &mut self.taken)
            {
                Poll::Ready(()) => {
                    self.output.count();
                    self.clock.asked |= std::mem::take(&mut self.taken.asked);
                    if std::mem::take(&mut self.taken.nudged) {
                        self.be_patient();
                        if self.output.is_empty() && self.taken.orders.is_empty() {
                            continue;
                        }
                    }
                    if !self.taken.orders.is_empty() {
                        return Poll::Ready(Ok(Wake::Orders));
                    }
                    if self.clock.swept {
                        self.clock.swept = false;
                        self.clock.active = Instant::now();
                    }
                }
                Poll::Pending => break,
            }
        }
        if self.may_read() && self.clock.resume.is_none() {
            let framer = (!self.deaf).then_some(&mut self.framer);
            match self.transport.poll_read(cx, framer)? {
                Poll::Ready(0) => return Poll::Ready(Ok(Wake::Eof)),
                Poll::Ready(n) => return Poll::Ready(Ok(Wake::Read(n))),
                Poll::Pending => {}
            }
        }
        self.poll_timer(cx)
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Option<Wake> {
        #[expect(
            clippy::collapsible_match,
            reason = "polling inside a guard would read as if it had no effect"
        )]
        match &mut self.waiting {
            Some(Waiting::Answer(future)) => {
                if let Poll::Ready(answer) = future.as_mut().poll(cx) {
                    self.waiting = None;
                    return Some(Wake::Answer(answer));
                }
            }
            Some(Waiting::Stanza(future)) => {
                if future.as_mut().poll(cx).is_ready() {
                    self.waiting = None;
                    return Some(Wake::Ready);
                }
            }
            None => {}
        }
        if self.debts.is_settling() && self.debts.poll_settled(cx).is_ready() {
            return Some(Wake::Ready);
        }
        for i in 0..self.aside.len() {
            if let Poll::Ready(answer) = self.aside[i].as_mut().poll(cx) {
                drop(self.aside.swap_remove(i));
                return Some(Wake::Answer(answer));
            }
        }
        None
    }

    fn may_read(&self) -> bool {
        self.waiting.is_none()
            && !self.debts.is_settling()
            && self.output.bytes() < OUTPUT_HIGH_WATER
    }

    /// The timer is only ever brought forward here. When it fires too early it is set anew, which spares touching it for
    /// every read.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wake>> {
        let next = self.clock.next(self.phase, &self.patience);
        if next < self.clock.sleep.deadline() {
            self.clock.sleep.as_mut().reset(next);
        }
        self.clock.sleep.as_mut().poll(cx).map(|()| Ok(Wake::Timer))
    }

    fn tick(&mut self, now: Instant) -> io::Result<()> {
        let clock = &mut self.clock;
        if clock.closing.is_some_and(|at| now >= at) {
            // The peer never closed; it had its time (STREAM-08).
            self.disconnect = true;
            return Ok(());
        }
        if clock
            .blocked
            .is_some_and(|since| now >= since + WRITE_STALL)
        {
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the other side takes nothing of what is sent to it",
            ));
        }
        if clock.resume.is_some_and(|at| now >= at) {
            clock.resume = None;
        }
        match self.phase {
            Phase::Unauthenticated | Phase::Authenticated | Phase::Registering
                if now >= clock.negotiation && clock.closing.is_none() =>
            {
                clock.negotiation = now + CLOSE_WAIT;
                self.waiting = None;
                self.feed(Input::Order(Order::Close(
                    StreamError::new(StreamCondition::ConnectionTimeout)
                        .with_text("negotiation took too long"),
                )));
            }
            Phase::Open => self.idle(now),
            _ => {}
        }
        let next = self.clock.next(self.phase, &self.patience);
        self.clock.sleep.as_mut().reset(next);
        Ok(())
    }

    fn idle(&mut self, now: Instant) {
        let clock = &mut self.clock;
        let silent = now.duration_since(clock.active);
        if !clock.swept && silent >= IDLE_SWEEP {
            clock.swept = true;
            self.framer.shrink();
            self.output.shrink();
            self.actions = Actions::new();
            self.taken.shrink();
            self.debts.forget_settled();
            self.host.outbox().shrink();
            self.be_patient();
        }
        let clock = &mut self.clock;
        if clock.asked && clock.pinged.is_none() && self.patience.ping.is_some() {
            clock.pinged = Some(now);
        }
        if clock.swept && now >= clock.keepalive(&self.patience) {
            clock.space = now;
            // Legal between stanzas (XML-07). A connection that is dead fails on it at the TCP level.
            self.output.push(Bytes::from_static(b" "));
        }
        if self.patience.idle.is_some_and(|idle| silent >= idle) {
            return self.feed(Input::Order(Order::Finish));
        }
        if self
            .clock
            .answer(&self.patience)
            .is_some_and(|at| now >= at)
        {
            self.ping(now);
        }
    }

    /// Nothing has come for long: the other side is asked, or has had its time to answer (STREAM-10).
    fn ping(&mut self, now: Instant) {
        if self.clock.pinged.is_some() {
            let error = StreamError::new(StreamCondition::ConnectionTimeout)
                .with_text("nothing came back to what was asked");
            return self.feed(Input::Order(Order::Close(error)));
        }
        match self.host.ping() {
            Some(ping) => {
                self.clock.pinged = Some(now);
                self.output.push(ping);
            }
            None => self.patience.ping = None,
        }
    }
}

#[cfg(test)]
mod tests;
