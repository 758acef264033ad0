//! What waits to be written to one stream: shared bytes with a bound, and orders for its machine.
//!
//! Anybody in the process may push; the one pump that owns the stream takes everything at once, so that what came together
//! leaves in one TLS record and one system call. Where the other side acknowledges (XEP-0198), what was taken is kept until it
//! has; a session that outlives its connection keeps its outbox, which goes on taking with nobody there, and gives the next
//! connection first what the last one has not seen acknowledged. A stream that several pairs of domains share gives each a [`Lane`] with a bound of its own, so that what waits for one
//! leaves no other without room (DOS-10). Refuses: waiting. A full outbox says so, and its owner decides what a slow reader
//! loses.

#[path = "outbox/lanes.rs"]
mod lanes;
#[path = "outbox/progress.rs"]
mod progress;

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::{Mutex, MutexGuard};
use xmpp::stream::{ACK_REQUEST, Order};
use xmpp::timestamp::Timestamp;

pub use self::lanes::Lane;
use self::lanes::Lanes;
pub use self::progress::Progress;

/// Why something was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The reader is too slow: the byte bound is reached.
    #[error("the outbox is full")]
    Full,
    /// The stream has ended.
    #[error("the stream has ended")]
    Closed,
}

/// Queue of one stream.
pub struct Outbox {
    limit: usize,
    /// The pump is at work and looks in here before it rests: nobody needs to wake it. Changed for the worse under the
    /// lock only.
    busy: AtomicBool,
    /// Copy of whether the other side acknowledges, for delivery, which must not take the lock for it.
    acknowledging: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: Vec<Bytes>,
    bytes: usize,
    orders: Vec<Order>,
    /// What is to be done behind so many items of the queue.
    then: Vec<(usize, BoxFuture<'static, ()>)>,
    waker: Option<Waker>,
    nudged: bool,
    standing: Standing,
    unacked: Option<Box<Unacked>>,
    late: Option<Box<Late>>,
    lanes: Option<Box<Lanes>>,
}

/// Who is there to take what is pushed.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Standing {
    /// A stream.
    #[default]
    Open,
    /// A stream, and nobody looks at its client (XEP-0352): what may wait does.
    Idle,
    /// Nobody, and a session waits for its next stream.
    Away,
    /// Nobody will be any more.
    Closed,
}

/// What has gone out and has not been acknowledged.
#[derive(Default)]
struct Unacked {
    items: VecDeque<Bytes>,
    bytes: usize,
    /// How many have gone out, wrapping (SM-03).
    sent: u32,
    /// A request is out.
    asked: bool,
    /// Another is due: something went out behind the last one.
    ask: bool,
    /// What is to be done once so many of those that have gone out are acknowledged.
    then: VecDeque<(u32, BoxFuture<'static, ()>)>,
    /// While nobody is there.
    away: Option<Away>,
}

/// An outbox that waits for its session's next stream.
struct Away {
    clock: fn() -> Timestamp,
    /// When each item came, or when the stream went if it came before: first of those not acknowledged, then of the queue.
    times: Vec<Timestamp>,
}

/// What waits until something comes that cannot: of each kind and sender the last.
#[derive(Default)]
struct Late {
    items: Vec<(Box<str>, Bytes)>,
    bytes: usize,
}

/// Bytes that may wait so.
const LATE_BYTES: usize = 64 * 1024;

/// What a session leaves when its time is over, or is kept of it while the server is not there.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Remains {
    /// How many items have gone out, those not acknowledged included, wrapping.
    pub sent: u32,
    /// How many of the items have gone out and are not acknowledged: the first of them.
    pub unacknowledged: usize,
    /// All that waits, with the time it came, oldest first.
    pub items: Vec<(Timestamp, Bytes)>,
}

impl State {
    /// There is a stream.
    fn is_open(&self) -> bool {
        matches!(self.standing, Standing::Open | Standing::Idle)
    }

    /// What has waited goes into the queue.
    fn flush(&mut self) {
        let Some(late) = self.late.take() else {
            return;
        };
        for (_, item) in late.items {
            self.queue_up(item);
        }
    }

    /// Behind all that is in the queue; where nobody is there, with the time.
    fn queue_up(&mut self, item: Bytes) {
        if let Some(away) = self
            .unacked
            .as_mut()
            .and_then(|unacked| unacked.away.as_mut())
        {
            away.times.push((away.clock)());
        }
        self.bytes += item.len();
        self.queue.push(item);
    }

    fn held(&self) -> usize {
        self.bytes + self.unacked.as_ref().map_or(0, |unacked| unacked.bytes)
    }

    /// The queue leaves: whose it was is remembered with what is kept.
    fn lanes_taken(&mut self, items: &[Bytes]) {
        let kept = self.unacked.is_some();
        if let Some(lanes) = &mut self.lanes {
            lanes.taken(items, kept);
        }
    }

    fn wants_ack(&self) -> bool {
        self.unacked.as_ref().is_some_and(|unacked| unacked.ask)
    }

    /// Nothing is taken any more; the queue is left to whoever shuts.
    fn shut(&mut self) {
        self.standing = Standing::Closed;
        self.bytes = 0;
        self.orders = Vec::new();
        self.then = Vec::new();
        self.waker = None;
        self.lanes = None;
    }

    /// So many items have been taken: what is to be done behind each waits until all are written, or it is acknowledged where it
    /// can be.
    fn then_taken(&mut self, items: usize, taken: &mut Taken) {
        let then = self.then.drain(..);
        match &mut self.unacked {
            Some(unacked) if !unacked.items.is_empty() => {
                // Numbers wrap (SM-03).
                let before = unacked.sent.wrapping_sub(items as u32);
                let behind = then.map(|(at, then)| (before.wrapping_add(at as u32), then));
                unacked.then.extend(behind);
            }
            _ => taken.then.extend(then.map(|(_, then)| then)),
        }
    }

    /// To be done behind all that is in the queue.
    fn then(&mut self, then: BoxFuture<'static, ()>) {
        self.then.push((self.queue.len(), then));
    }
}

impl Unacked {
    /// Keeps what goes out, and puts a request behind it unless one is out already; says whether it did.
    fn taken(&mut self, items: &mut Vec<Bytes>) -> bool {
        for item in items.iter() {
            self.sent = self.sent.wrapping_add(1);
            self.bytes += item.len();
            self.items.push_back(item.clone());
        }
        self.ask = false;
        let asks = !self.asked && !self.items.is_empty();
        if asks {
            self.asked = true;
            items.push(Bytes::from_static(ACK_REQUEST.as_bytes()));
        }
        asks
    }

    /// The first `done` items have been handled; gives back what was to be done then.
    fn handled(&mut self, handled: u32, done: usize) -> Vec<BoxFuture<'static, ()>> {
        for item in self.items.drain(..done) {
            self.bytes -= item.len();
        }
        let mut due = Vec::new();
        while let Some((sent, _)) = self.then.front()
            // Half of all numbers lie behind, half before (RFC 1982).
            && handled.wrapping_sub(*sent) < 1 << 31
        {
            due.extend(self.then.pop_front().map(|(_, then)| then));
        }
        due
    }

    /// What of this is none of the items. They are known by their places in memory: the pump has shares of the same bytes.
    fn others(&self, mut these: Vec<Bytes>) -> Vec<Bytes> {
        let places = self.items.iter().map(|item| item.as_ptr().addr());
        let places: HashSet<usize> = places.collect();
        these.retain(|item| !places.contains(&item.as_ptr().addr()));
        these
    }

    /// How many of the items are handled when the other side says `handled`.
    fn done(&self, handled: u32) -> Result<usize, u32> {
        let left = self.sent.wrapping_sub(handled) as usize;
        self.items.len().checked_sub(left).ok_or(self.sent)
    }
}

/// What a pump took at once.
#[derive(Default)]
pub struct Taken {
    /// For the machine.
    pub orders: Vec<Order>,
    /// To be run once everything taken with or before them is written.
    pub then: Vec<BoxFuture<'static, ()>>,
    /// What the stream was told about its times has changed.
    pub nudged: bool,
    /// An acknowledgement was asked for, which has to come (XEP-0198 4).
    pub asked: bool,
}

impl Taken {
    /// Frees memory while the stream is idle. What is still to be done waits for bytes that the other side is slow to take.
    pub fn shrink(&mut self) {
        self.orders.shrink_to_fit();
        self.then.shrink_to_fit();
    }
}

impl Outbox {
    /// Empty. `limit` bounds the bytes that may wait; one item is always taken, however large.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            busy: AtomicBool::new(false),
            acknowledging: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    /// Bytes that may wait.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// The pump has been woken and looks in here before it rests: whatever it causes to be queued meanwhile (answers to its
    /// own client above all) need not wake it again.
    pub fn busy(&self) {
        self.busy.store(true, Ordering::Relaxed);
    }

    /// Something has been queued.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
        if self.busy.load(Ordering::Relaxed) {
            return;
        }
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Queues bytes behind all earlier ones.
    ///
    /// # Errors
    /// [`PushError`]; the bytes are not queued.
    pub fn push(&self, bytes: Bytes) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if state.standing != Standing::Open {
            return self.push_late_or_away(state, bytes);
        }
        if state.held() > 0 && state.held() + bytes.len() > self.limit {
            return Err(PushError::Full);
        }
        state.bytes += bytes.len();
        state.queue.push(bytes);
        self.wake(state);
        Ok(())
    }

    /// Nobody is there or nobody looks: what waits for this goes before it.
    fn push_late_or_away(
        &self,
        mut state: MutexGuard<'_, State>,
        bytes: Bytes,
    ) -> Result<(), PushError> {
        if state.standing == Standing::Closed {
            return Err(PushError::Closed);
        }
        state.flush();
        let held = state.held();
        if held > 0 && held + bytes.len() > self.limit {
            return Err(PushError::Full);
        }
        state.queue_up(bytes);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// The same, and runs `then` once the bytes have been written, or acknowledged where the other side does so; drops it if the
    /// session ends before.
    ///
    /// # Errors
    /// [`PushError`]; the bytes are not queued, and `then` was not asked.
    pub fn push_with(
        &self,
        bytes: Bytes,
        then: impl FnOnce() -> BoxFuture<'static, ()>,
    ) -> Result<(), PushError> {
        let mut state = self.state.lock();
        match state.standing {
            Standing::Closed => return Err(PushError::Closed),
            Standing::Open => {}
            Standing::Idle | Standing::Away => state.flush(),
        }
        let held = state.held();
        if held > 0 && held + bytes.len() > self.limit {
            return Err(PushError::Full);
        }
        state.queue_up(bytes);
        state.then(then());
        self.wake(state);
        Ok(())
    }

    /// Queues items in one step, as many as there is room for, and runs what `then` makes of their number once they have been
    /// written, or acknowledged where the other side does so; drops it if the session ends before.
    ///
    /// # Errors
    /// [`PushError::Closed`]; nothing is queued, and `then` was not asked.
    pub fn push_all(
        &self,
        items: impl IntoIterator<Item = Bytes>,
        then: impl FnOnce(usize) -> BoxFuture<'static, ()>,
    ) -> Result<(), PushError> {
        let mut state = self.state.lock();
        match state.standing {
            Standing::Closed => return Err(PushError::Closed),
            Standing::Open => {}
            Standing::Idle | Standing::Away => state.flush(),
        }
        let mut taken = 0;
        for item in items {
            let held = state.held();
            if held > 0 && held + item.len() > self.limit {
                break;
            }
            state.queue_up(item);
            taken += 1;
        }
        state.then(then(taken));
        self.wake(state);
        Ok(())
    }

    /// Queues bytes that may wait while nobody looks, in place of earlier ones of the same `kind` (what it is and whose). They
    /// go out before whatever may not wait, so that nothing is reordered, only left out (XEP-0352 5).
    ///
    /// # Errors
    /// [`PushError`]; the bytes are not queued.
    pub fn push_late(&self, kind: &str, bytes: Bytes) -> Result<(), PushError> {
        let mut state = self.state.lock();
        match state.standing {
            Standing::Closed => return Err(PushError::Closed),
            Standing::Open => {
                drop(state);
                return self.push(bytes);
            }
            Standing::Idle | Standing::Away => {}
        }
        let late = state.late.get_or_insert_default();
        if let Some(at) = late.items.iter().position(|(of, _)| **of == *kind) {
            let (_, old) = late.items.remove(at);
            late.bytes -= old.len();
        }
        late.bytes += bytes.len();
        late.items.push((kind.into(), bytes));
        if late.bytes <= LATE_BYTES {
            return Ok(());
        }
        if state.held() > self.limit {
            return Err(PushError::Full);
        }
        state.flush();
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Somebody looks at the client from now on, or nobody does.
    pub fn set_active(&self, active: bool) {
        let mut state = self.state.lock();
        match (state.standing, active) {
            (Standing::Open, false) => state.standing = Standing::Idle,
            (Standing::Idle, true) => {
                state.standing = Standing::Open;
                state.flush();
                let waker = state.waker.take();
                drop(state);
                if let Some(waker) = waker {
                    waker.wake();
                }
            }
            _ => {}
        }
    }

    /// A place of its own for one of those that share the stream. Its bound is the outbox's own, as if it had the stream to
    /// itself: how many may share one is bounded by whoever lets them aboard.
    pub fn lane(&self) -> Lane {
        let mut state = self.state.lock();
        let lanes = state.lanes.get_or_insert_default();
        lanes.add()
    }

    /// How far the pump comes with what is queued by lanes.
    pub fn progress(&self) -> Arc<Progress> {
        let mut state = self.state.lock();
        state.lanes.get_or_insert_default().progress.clone()
    }

    /// Queues bytes of one lane behind all earlier ones; their number for [`Progress`]. All that use the outbox do so by lanes.
    ///
    /// # Errors
    /// [`PushError`]; the bytes are not queued.
    pub fn push_in(&self, lane: Lane, bytes: Bytes) -> Result<u64, PushError> {
        let mut state = self.state.lock();
        if !state.is_open() {
            return Err(PushError::Closed);
        }
        let limit = self.limit;
        let lanes = state.lanes.get_or_insert_default();
        let held = lanes.held(lane);
        if *held > 0 && *held + bytes.len() > limit {
            return Err(PushError::Full);
        }
        *held += bytes.len();
        lanes.queue.push(lane);
        lanes.pushed += 1;
        let number = lanes.pushed;
        state.bytes += bytes.len();
        state.queue.push(bytes);
        self.wake(state);
        Ok(number)
    }

    /// Takes back what waits in a lane and has not been handed to the pump, oldest first.
    pub fn withdraw(&self, lane: Lane) -> Vec<Bytes> {
        let mut state = self.state.lock();
        let state = &mut *state;
        let Some(lanes) = &mut state.lanes else {
            return Vec::new();
        };
        let mut withdrawn = Vec::new();
        let mut whose = std::mem::take(&mut lanes.queue).into_iter();
        let mut then = state.then.iter_mut().peekable();
        for (before, item) in std::mem::take(&mut state.queue).into_iter().enumerate() {
            while let Some((at, _)) = then.next_if(|(at, _)| *at <= before) {
                *at -= withdrawn.len();
            }
            let of = whose.next().unwrap_or(Lane::FIRST);
            if of == lane {
                state.bytes -= item.len();
                lanes.release(lane, item.len());
                withdrawn.push(item);
            } else {
                lanes.queue.push(of);
                state.queue.push(item);
            }
        }
        then.for_each(|(at, _)| *at -= withdrawn.len());
        if !withdrawn.is_empty() {
            lanes.progress.withdrawn(lanes.pushed);
        }
        withdrawn
    }

    /// Whether everything of a lane has left and, where the other side acknowledges, has been acknowledged.
    pub fn is_drained(&self, lane: Lane) -> bool {
        let mut state = self.state.lock();
        let lanes = state.lanes.get_or_insert_default();
        *lanes.held(lane) == 0
    }

    /// Hands an order to the stream's machine. A stream that has ended ignores it.
    pub fn order(&self, order: Order) {
        self.order_heard(order);
    }

    /// The same; `false`: there is no stream that could hear it.
    pub fn order_heard(&self, order: Order) -> bool {
        let mut state = self.state.lock();
        if !state.is_open() {
            return false;
        }
        state.orders.push(order);
        self.wake(state);
        true
    }

    /// Runs `then` once everything that is queued now has been written, or acknowledged where the other side does so; drops
    /// it if the session ends before.
    pub fn when_written(&self, then: BoxFuture<'static, ()>) {
        let mut state = self.state.lock();
        if state.standing == Standing::Closed {
            return;
        }
        state.then(then);
        self.wake(state);
    }

    /// From now on whatever is taken is kept until the other side has acknowledged it. It counts towards the bound.
    pub fn keep(&self) {
        let mut state = self.state.lock();
        if state.is_open() {
            state.unacked.get_or_insert_default();
            self.acknowledging.store(true, Ordering::Relaxed);
        }
    }

    /// Whether the other side acknowledges.
    pub fn acknowledges(&self) -> bool {
        self.state.lock().unacked.is_some()
    }

    /// The same, without a lock: whether what is pushed stays in memory until somebody has said that it arrived.
    pub fn is_acknowledging(&self) -> bool {
        self.acknowledging.load(Ordering::Relaxed)
    }

    /// How many items have gone out and are not acknowledged.
    pub fn unacknowledged(&self) -> usize {
        let state = self.state.lock();
        state
            .unacked
            .as_ref()
            .map_or(0, |unacked| unacked.items.len())
    }

    /// The other side does not acknowledge after all.
    pub fn keep_no_more(&self) {
        let mut state = self.state.lock();
        self.acknowledging.store(false, Ordering::Relaxed);
        let unacked = state.unacked.take().unwrap_or_default();
        if let Some(lanes) = &mut state.lanes {
            for item in &unacked.items {
                if let Some(lane) = lanes.unacked.pop_front() {
                    lanes.release(lane, item.len());
                }
            }
        }
    }

    /// The other side has handled `handled` of what was sent since [`Outbox::keep`] (SM-03). Gives back what was to be done
    /// then ([`Outbox::when_written`]).
    ///
    /// # Errors
    /// That is more than was sent; the number sent (SM-05).
    pub fn acked(&self, handled: u32) -> Result<Vec<BoxFuture<'static, ()>>, u32> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(unacked) = &mut state.unacked else {
            return Ok(Vec::new());
        };
        let done = unacked.done(handled)?;
        if let Some(lanes) = &mut state.lanes {
            for item in unacked.items.iter().take(done) {
                if let Some(lane) = lanes.unacked.pop_front() {
                    lanes.release(lane, item.len());
                }
            }
        }
        let due = unacked.handled(handled, done);
        unacked.asked = false;
        unacked.ask = !unacked.items.is_empty();
        let waker = unacked.ask.then(|| state.waker.take()).flatten();
        drop(guard);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(due)
    }

    /// The stream has ended and the session waits for another. `unwritten` is what the pump took and could not write; `clock`
    /// tells when what comes now came. Gives back the orders that nobody has carried out; `None` if nothing is acknowledged
    /// here, or the outbox is closed.
    pub fn leave(&self, unwritten: Vec<Bytes>, clock: fn() -> Timestamp) -> Option<Vec<Order>> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        if !state.is_open() {
            return None;
        }
        let unacked = state.unacked.as_mut()?;
        // What was taken before acknowledgements began: no stream can ask for it, but it is not lost either.
        for item in unacked.others(unwritten).into_iter().rev() {
            unacked.bytes += item.len();
            unacked.items.push_front(item);
        }
        unacked.asked = false;
        unacked.ask = false;
        let times = vec![clock(); unacked.items.len() + state.queue.len()];
        unacked.away = Some(Away { clock, times });
        state.standing = Standing::Away;
        state.waker = None;
        Some(std::mem::take(&mut state.orders))
    }

    /// Another stream takes the session up, whose client has handled `handled`: what it has not goes out again first (SM-07).
    /// Gives back what was to be done when it had.
    ///
    /// # Errors
    /// That is more than was sent; the number sent (SM-05). The outbox waits as before.
    pub fn take_up(&self, handled: u32) -> Result<Vec<BoxFuture<'static, ()>>, u32> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(unacked) = &mut state.unacked else {
            return Ok(Vec::new());
        };
        let done = unacked.done(handled)?;
        let due = unacked.handled(handled, done);
        state.bytes += std::mem::take(&mut unacked.bytes);
        let mut queue: Vec<Bytes> = unacked.items.drain(..).collect();
        let before = queue.len();
        state.then.iter_mut().for_each(|(at, _)| *at += before);
        queue.append(&mut state.queue);
        state.queue = queue;
        unacked.sent = handled;
        unacked.away = None;
        state.standing = Standing::Open;
        state.flush();
        state.nudged = true;
        Ok(due)
    }

    /// What is in it and not acknowledged, oldest first, of an outbox that waits for a stream.
    pub fn waiting(&self) -> Vec<Bytes> {
        let state = self.state.lock();
        if state.standing != Standing::Away {
            return Vec::new();
        }
        let unacked = state.unacked.iter().flat_map(|unacked| &unacked.items);
        unacked.chain(&state.queue).cloned().collect()
    }

    /// Takes nothing any more, and keeps what is in it for [`Outbox::remains`].
    pub fn stop(&self) {
        self.state.lock().standing = Standing::Closed;
    }

    /// Closes an outbox that waits for a stream, and gives back all that is in it.
    pub fn remains(&self) -> Remains {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        state.flush();
        let unacked = state.unacked.take().unwrap_or_default();
        let unacknowledged = unacked.items.len();
        let sent = unacked.sent;
        let mut times = unacked
            .away
            .map_or_else(Vec::new, |away| away.times)
            .into_iter();
        let items = unacked
            .items
            .into_iter()
            .chain(std::mem::take(&mut state.queue));
        let items = items
            .map(|item| (times.next().unwrap_or_default(), item))
            .collect();
        state.shut();
        Remains {
            sent,
            unacknowledged,
            items,
        }
    }

    /// The outbox of a session that was kept while the server was not there; it waits for a stream.
    pub fn of_remains(limit: usize, remains: Remains, clock: fn() -> Timestamp) -> Arc<Self> {
        let outbox = Self::new(limit);
        let mut state = outbox.state.lock();
        let mut unacked = Box::new(Unacked {
            sent: remains.sent,
            ..Unacked::default()
        });
        let mut times = Vec::with_capacity(remains.items.len());
        for (at, item) in remains.items {
            times.push(at);
            if times.len() <= remains.unacknowledged {
                unacked.bytes += item.len();
                unacked.items.push_back(item);
            } else {
                state.bytes += item.len();
                state.queue.push(item);
            }
        }
        unacked.away = Some(Away { clock, times });
        state.unacked = Some(unacked);
        outbox.acknowledging.store(true, Ordering::Relaxed);
        state.standing = Standing::Away;
        drop(state);
        outbox
    }

    /// Has the stream ask for its times again.
    pub fn nudge(&self) {
        let mut state = self.state.lock();
        state.nudged = true;
        self.wake(state);
    }

    /// Whether the stream has ended.
    pub fn is_closed(&self) -> bool {
        self.state.lock().standing == Standing::Closed
    }

    /// Takes orders, and with `bytes` also the queue (whose place `items`, empty, takes). Pending when there is nothing.
    pub fn poll_take(
        &self,
        cx: &mut Context<'_>,
        bytes: bool,
        items: &mut Vec<Bytes>,
        taken: &mut Taken,
    ) -> Poll<()> {
        let mut state = self.state.lock();
        if bytes && let Some(lanes) = &state.lanes {
            // Who asks for more has written what it had.
            lanes.progress.advance(lanes.taken);
        }
        let some = state.nudged
            || !state.orders.is_empty()
            || (bytes && (!(state.queue.is_empty() && state.then.is_empty()) || state.wants_ack()));
        if !some {
            self.busy.store(false, Ordering::Relaxed);
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
            return Poll::Pending;
        }
        taken.nudged |= std::mem::take(&mut state.nudged);
        taken.orders.append(&mut state.orders);
        if bytes {
            debug_assert!(items.is_empty());
            std::mem::swap(&mut state.queue, items);
            state.bytes = 0;
            state.lanes_taken(items);
            let count = items.len();
            if let Some(unacked) = &mut state.unacked {
                taken.asked |= unacked.taken(items);
            }
            if !state.then.is_empty() {
                state.then_taken(count, taken);
            }
        }
        Poll::Ready(())
    }

    /// Frees memory while the stream is idle.
    pub fn shrink(&self) {
        let mut state = self.state.lock();
        if state.queue.is_empty() {
            state.queue = Vec::new();
        }
        if state.orders.is_empty() {
            state.orders = Vec::new();
        }
        if state.then.is_empty() {
            state.then = Vec::new();
        }
    }

    /// The other side has ended the stream and still listens: nothing is taken any more, so that whatever comes now finds
    /// another way behind what waited here. That is returned, to be written before our own end (RFC 6120 4.4).
    pub fn finish(&self, taken: &mut Taken) -> Vec<Bytes> {
        let mut state = self.state.lock();
        state.flush();
        state.standing = Standing::Closed;
        state.bytes = 0;
        let mut items = std::mem::take(&mut state.queue);
        state.lanes_taken(&items);
        let count = items.len();
        if let Some(unacked) = &mut state.unacked {
            // No request behind them: no acknowledgement can come.
            unacked.asked = true;
            unacked.taken(&mut items);
        }
        state.then_taken(count, taken);
        items
    }

    /// The stream has ended: nothing is taken any more. Returns what has not surely arrived, oldest first: `unwritten`, which
    /// the pump took and could not write, what was not acknowledged, and what was never taken.
    pub fn close_after(&self, unwritten: Vec<Bytes>) -> Vec<Bytes> {
        let unacked = self.state.lock().unacked.take().unwrap_or_default();
        let mut unwritten = unacked.others(unwritten);
        unwritten.extend(unacked.items);
        unwritten.append(&mut self.close());
        unwritten
    }

    /// The stream has ended: nothing is taken any more. Returns what was never handed to the pump.
    pub fn close(&self) -> Vec<Bytes> {
        let mut state = self.state.lock();
        state.shut();
        std::mem::take(&mut state.queue)
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Outbox")
            .field("items", &state.queue.len())
            .field("bytes", &state.bytes)
            .field("closed", &(state.standing == Standing::Closed))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "outbox/tests.rs"]
mod tests;
