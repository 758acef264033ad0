//! The one loop around a stream machine: bytes in, frames to the machine, actions to the world, bytes out.
//!
//! It reads straight out of the TLS stream's own buffer into the framer and writes shared bytes straight into TLS records,
//! so an idle connection owns no buffers beyond TLS's own. It owns the transport whole (no split): one task, one wake-up.
//! Refuses: knowing what a stanza is for. Whatever the machine asks, the [`Host`] answers, and while it does, no further
//! frame is looked at (ROUTE-01), though output keeps flowing.

mod output;
mod transport;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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

use self::output::Output;
pub use self::transport::Transport;
use super::limits::{
    Bucket, CLOSE_WAIT, IDLE_SWEEP, OUTPUT_HIGH_WATER, StreamLimits, UNAUTHENTICATED_ELEMENT_BYTES,
    WRITE_STALL,
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
    /// Takes a stanza. `None`: it is dealt with; otherwise the stream waits for the future before its next frame.
    fn stanza(&mut self, stanza: Stanza) -> Option<BoxFuture<'static, ()>>;
    /// How to secure the stream, as [`Action::StartTls`] wants it; `None` ends the connection.
    fn tls(&mut self, domain: DomainName) -> BoxFuture<'static, Option<tls::Secure>>;
    /// TLS is up; called before the machine learns of it.
    fn secured(&mut self, info: &TlsInfo);
    /// TLS did not come up; the connection ends (TLS-10).
    fn tls_failed(&mut self, error: &io::Error);
    /// Something worth knowing.
    fn event(&mut self, event: Event);
}

/// How a stream ended.
#[derive(Debug)]
pub struct Ended {
    /// What was queued for it and not written, oldest first.
    pub unwritten: Vec<Bytes>,
    /// The connection broke, as opposed to having been closed by either side.
    pub broken: Option<io::Error>,
}

/// Drives `machine` until its stream has ended.
pub async fn run<S, M, H>(
    transport: Transport<S>,
    tls: Option<TlsInfo>,
    machine: M,
    host: &mut H,
    limits: StreamLimits,
) -> Ended
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Machine,
    H: Host,
{
    let start = Instant::now();
    let mut pump = Pump {
        transport,
        framer: Framer::new(Limits {
            element_bytes: UNAUTHENTICATED_ELEMENT_BYTES,
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
        aside: Vec::new(),
        start_tls: None,
        held_back: false,
        disconnect: false,
        deaf: false,
        clock: Clock::new(start, &limits),
        bucket: Bucket::new(limits.bytes_per_second, start),
    };
    let broken = pump.run(tls).await.err();
    if broken.is_none() {
        Box::pin(pump.transport.finish(&mut pump.output)).await;
    }
    let unwritten = pump.output.unwritten();
    let unwritten = pump.host.outbox().close_after(unwritten);
    Ended { unwritten, broken }
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
    aside: Vec<BoxFuture<'static, Answer>>,
    start_tls: Option<DomainName>,
    /// There may be frames left that were not looked at because too much output waited.
    held_back: bool,
    disconnect: bool,
    /// Input is read and thrown away: it broke the rules of XML, and the error has been sent.
    deaf: bool,
    clock: Clock,
    bucket: Bucket,
}

/// What the stream waits for before its next frame.
enum Waiting {
    Answer(BoxFuture<'static, Answer>),
    Stanza(BoxFuture<'static, ()>),
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
    /// When the next space is due if nothing happens.
    keepalive: Instant,
    /// Buffers have been freed since the last activity.
    swept: bool,
}

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
            keepalive: now + limits.keepalive,
            swept: false,
        }
    }

    /// The earliest moment at which there is something to do without input.
    fn next(&self, phase: Phase, limits: &StreamLimits) -> Instant {
        let mut next = match phase {
            Phase::Unauthenticated | Phase::Authenticated => self.negotiation,
            Phase::Open if !self.swept => self.active + IDLE_SWEEP,
            Phase::Open => {
                let idle = limits.idle.map(|idle| self.active + idle);
                idle.map_or(self.keepalive, |idle| idle.min(self.keepalive))
            }
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
}

impl<S, M, H> Pump<'_, S, M, H>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    M: Machine,
    H: Host,
{
    async fn run(&mut self, tls: Option<TlsInfo>) -> io::Result<()> {
        if let Some(info) = &tls {
            self.host.secured(info);
        }
        self.feed(Input::Connected(tls));
        loop {
            self.frames();
            if let Some(domain) = self.start_tls.take() {
                Box::pin(self.secure(domain)).await?;
                continue;
            }
            if self.disconnect {
                return Ok(());
            }
            match poll_fn(|cx| self.poll(cx)).await? {
                Wake::Read(n) => {
                    let now = Instant::now();
                    self.clock.active = now;
                    self.clock.swept = false;
                    self.clock.resume = self.bucket.take(n, now);
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

    /// Feeds the machine whatever complete frames there are, as far as it may go on.
    fn frames(&mut self) {
        while self.waiting.is_none() && self.start_tls.is_none() && !self.disconnect && !self.deaf {
            self.held_back = self.output.bytes() >= OUTPUT_HIGH_WATER;
            if self.held_back {
                return;
            }
            let input = match self.framer.next() {
                Ok(None) => return,
                Ok(Some(Frame::Header(header))) => Input::Header(header),
                Ok(Some(Frame::Element(raw))) => Input::Element(raw),
                Ok(Some(Frame::Close)) => Input::Close,
                Err(error) => {
                    self.deaf = true;
                    let text = error.to_string();
                    Input::Broken(StreamError::new(error.condition()).with_text(text))
                }
            };
            self.machine.handle(input, now(), &mut self.actions);
            self.act();
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
                        if let Some(future) = self.host.stanza(stanza) {
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
            if self.phase == Phase::Unauthenticated {
                self.framer.set_limits(Limits {
                    element_bytes: self.limits.stanza_bytes,
                    ..Limits::default()
                });
            }
            self.phase = phase;
        }
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
        loop {
            if !self.output.is_empty() {
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
            let take = self.output.is_empty() && self.phase == Phase::Open;
            if take && !self.taken.then.is_empty() {
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
        #[expect(
            clippy::collapsible_match,
            reason = "polling inside a guard would read as if it had no effect"
        )]
        match &mut self.waiting {
            Some(Waiting::Answer(future)) => {
                if let Poll::Ready(answer) = future.as_mut().poll(cx) {
                    self.waiting = None;
                    return Poll::Ready(Ok(Wake::Answer(answer)));
                }
            }
            Some(Waiting::Stanza(future)) => {
                if future.as_mut().poll(cx).is_ready() {
                    self.waiting = None;
                    return Poll::Ready(Ok(Wake::Ready));
                }
            }
            None => {}
        }
        for i in 0..self.aside.len() {
            if let Poll::Ready(answer) = self.aside[i].as_mut().poll(cx) {
                drop(self.aside.swap_remove(i));
                return Poll::Ready(Ok(Wake::Answer(answer)));
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

    fn may_read(&self) -> bool {
        self.waiting.is_none() && self.output.bytes() < OUTPUT_HIGH_WATER
    }

    /// The timer is only ever brought forward here. When it fires too early it is set anew, which spares touching it for
    /// every read.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Wake>> {
        let next = self.clock.next(self.phase, &self.limits);
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
            Phase::Unauthenticated | Phase::Authenticated
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
        let next = self.clock.next(self.phase, &self.limits);
        self.clock.sleep.as_mut().reset(next);
        Ok(())
    }

    fn idle(&mut self, now: Instant) {
        let clock = &mut self.clock;
        let silent = now.duration_since(clock.active);
        if !clock.swept && silent >= IDLE_SWEEP {
            clock.swept = true;
            clock.keepalive = clock.active + self.limits.keepalive;
            self.framer.shrink();
            self.output.shrink();
            self.actions = Actions::new();
            self.taken = Taken::default();
            self.host.outbox().shrink();
        }
        if clock.swept && now >= clock.keepalive {
            clock.keepalive = now + self.limits.keepalive;
            // Legal between stanzas (XML-07). A connection that is dead fails on it at the TCP level.
            self.output.push(Bytes::from_static(b" "));
        }
        if self.limits.idle.is_some_and(|idle| silent >= idle) {
            self.feed(Input::Order(Order::Finish));
        }
    }
}

#[cfg(test)]
mod tests;
