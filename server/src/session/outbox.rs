//! What waits to be written to one stream: shared bytes with a bound, and orders for its machine.
//!
//! Anybody in the process may push; the one pump that owns the stream takes everything at once, so that what came together
//! leaves in one TLS record and one system call. Where the other side acknowledges (XEP-0198), what was taken is kept until it
//! has. A stream that several pairs of domains share gives each a [`Lane`] with a bound of its own, so that what waits for one
//! leaves no other without room (DOS-10). Refuses: waiting. A full outbox says so, and its owner decides what a slow reader
//! loses.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use xmpp::stream::{ACK_REQUEST, Order};

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

/// One of those that share an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane(u16);

/// Queue of one stream.
pub struct Outbox {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    queue: Vec<Bytes>,
    bytes: usize,
    orders: Vec<Order>,
    then: Vec<BoxFuture<'static, ()>>,
    waker: Option<Waker>,
    nudged: bool,
    closed: bool,
    unacked: Option<Unacked>,
    lanes: Option<Box<Lanes>>,
}

/// Whose the items of a shared outbox are. Without it there is one lane, and it is counted as a whole.
#[derive(Default)]
struct Lanes {
    /// Bytes of each lane that wait or are not acknowledged.
    held: Vec<usize>,
    /// Lanes of the items in the queue.
    queue: Vec<Lane>,
    /// Lanes of the items that are not acknowledged.
    unacked: VecDeque<Lane>,
}

impl Lanes {
    fn held(&mut self, lane: Lane) -> &mut usize {
        let at = usize::from(lane.0);
        if self.held.len() <= at {
            self.held.resize(at + 1, 0);
        }
        &mut self.held[at]
    }

    fn release(&mut self, lane: Lane, bytes: usize) {
        let held = self.held(lane);
        *held = held.saturating_sub(bytes);
    }

    /// The queue has been taken; `kept`: until it is acknowledged.
    fn taken(&mut self, items: &[Bytes], kept: bool) {
        let lanes = std::mem::take(&mut self.queue);
        if kept {
            return self.unacked.extend(lanes);
        }
        for (lane, item) in lanes.into_iter().zip(items) {
            self.release(lane, item.len());
        }
    }
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
}

impl State {
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
}

impl Unacked {
    /// Keeps what goes out, and puts a request behind it unless one is out already.
    fn taken(&mut self, items: &mut Vec<Bytes>) {
        for item in items.iter() {
            self.sent = self.sent.wrapping_add(1);
            self.bytes += item.len();
            self.items.push_back(item.clone());
        }
        self.ask = false;
        if !self.asked && !self.items.is_empty() {
            self.asked = true;
            items.push(Bytes::from_static(ACK_REQUEST.as_bytes()));
        }
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
}

impl Outbox {
    /// Empty. `limit` bounds the bytes that may wait; one item is always taken, however large.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            state: Mutex::default(),
        })
    }

    /// Queues bytes behind all earlier ones.
    ///
    /// # Errors
    /// [`PushError`]; the bytes are not queued.
    pub fn push(&self, bytes: Bytes) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if state.held() > 0 && state.held() + bytes.len() > self.limit {
            return Err(PushError::Full);
        }
        state.bytes += bytes.len();
        state.queue.push(bytes);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// A place of its own for one of those that share the stream. Its bound is the outbox's own, as if it had the stream to
    /// itself: how many may share one is bounded by whoever lets them aboard.
    pub fn lane(&self) -> Lane {
        let mut state = self.state.lock();
        let lanes = state.lanes.get_or_insert_default();
        let next = u16::try_from(lanes.held.len()).unwrap_or(u16::MAX);
        let lane = Lane(next);
        lanes.held(lane);
        lane
    }

    /// Queues bytes of one lane behind all earlier ones. All that use the outbox do so by lanes.
    ///
    /// # Errors
    /// [`PushError`]; the bytes are not queued.
    pub fn push_in(&self, lane: Lane, bytes: Bytes) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if state.closed {
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
        state.bytes += bytes.len();
        state.queue.push(bytes);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
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
        for item in std::mem::take(&mut state.queue) {
            let of = whose.next().unwrap_or(Lane(0));
            if of == lane {
                state.bytes -= item.len();
                lanes.release(lane, item.len());
                withdrawn.push(item);
            } else {
                lanes.queue.push(of);
                state.queue.push(item);
            }
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
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        state.orders.push(order);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Runs `then` once everything that is queued now has been written; drops it if the stream ends before.
    pub fn when_written(&self, then: BoxFuture<'static, ()>) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        state.then.push(then);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// From now on whatever is taken is kept until the other side has acknowledged it. It counts towards the bound.
    pub fn keep(&self) {
        let mut state = self.state.lock();
        if !state.closed {
            state.unacked.get_or_insert_default();
        }
    }

    /// Whether the other side acknowledges.
    pub fn acknowledges(&self) -> bool {
        self.state.lock().unacked.is_some()
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
        let unacked = state.unacked.take().unwrap_or_default();
        if let Some(lanes) = &mut state.lanes {
            for item in &unacked.items {
                if let Some(lane) = lanes.unacked.pop_front() {
                    lanes.release(lane, item.len());
                }
            }
        }
    }

    /// The other side has handled `handled` of what was sent since [`Outbox::keep`] (SM-03).
    ///
    /// # Errors
    /// That is more than was sent; the number sent (SM-05).
    pub fn acked(&self, handled: u32) -> Result<(), u32> {
        let mut guard = self.state.lock();
        let state = &mut *guard;
        let Some(unacked) = &mut state.unacked else {
            return Ok(());
        };
        let left = unacked.sent.wrapping_sub(handled) as usize;
        let Some(done) = unacked.items.len().checked_sub(left) else {
            return Err(unacked.sent);
        };
        for item in unacked.items.drain(..done) {
            unacked.bytes -= item.len();
            if let Some(lanes) = &mut state.lanes
                && let Some(lane) = lanes.unacked.pop_front()
            {
                lanes.release(lane, item.len());
            }
        }
        unacked.asked = false;
        unacked.ask = !unacked.items.is_empty();
        let waker = unacked.ask.then(|| state.waker.take()).flatten();
        drop(guard);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Has the stream ask for its times again.
    pub fn nudge(&self) {
        let mut state = self.state.lock();
        state.nudged = true;
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether the stream has ended.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
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
        let some = state.nudged
            || !state.orders.is_empty()
            || (bytes && (!(state.queue.is_empty() && state.then.is_empty()) || state.wants_ack()));
        if !some {
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
            taken.then.append(&mut state.then);
            state.bytes = 0;
            state.lanes_taken(items);
            if let Some(unacked) = &mut state.unacked {
                unacked.taken(items);
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
        state.closed = true;
        state.bytes = 0;
        let mut items = std::mem::take(&mut state.queue);
        taken.then.append(&mut state.then);
        state.lanes_taken(&items);
        if let Some(unacked) = &mut state.unacked {
            // No request behind them: no acknowledgement can come.
            unacked.asked = true;
            unacked.taken(&mut items);
        }
        items
    }

    /// The stream has ended: nothing is taken any more. Returns what has not surely arrived, oldest first: `unwritten`, which
    /// the pump took and could not write, what was not acknowledged, and what was never taken.
    pub fn close_after(&self, mut unwritten: Vec<Bytes>) -> Vec<Bytes> {
        let unacked = self.state.lock().unacked.take().unwrap_or_default();
        // What was kept is known by its place in memory: the pump has a share of the same bytes.
        unwritten.retain(|item| {
            !unacked
                .items
                .iter()
                .any(|kept| kept.as_ptr() == item.as_ptr())
        });
        unwritten.extend(unacked.items);
        unwritten.append(&mut self.close());
        unwritten
    }

    /// The stream has ended: nothing is taken any more. Returns what was never handed to the pump.
    pub fn close(&self) -> Vec<Bytes> {
        let mut state = self.state.lock();
        state.closed = true;
        state.bytes = 0;
        state.orders = Vec::new();
        state.then = Vec::new();
        state.waker = None;
        state.lanes = None;
        std::mem::take(&mut state.queue)
    }
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Outbox")
            .field("items", &state.queue.len())
            .field("bytes", &state.bytes)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn take(outbox: &Outbox, count: &Arc<Count>, bytes: bool) -> Option<(Vec<Bytes>, usize)> {
        let (mut items, mut taken) = (Vec::new(), Taken::default());
        let waker = Waker::from(count.clone());
        match outbox.poll_take(
            &mut Context::from_waker(&waker),
            bytes,
            &mut items,
            &mut taken,
        ) {
            Poll::Ready(()) => Some((items, taken.orders.len())),
            Poll::Pending => None,
        }
    }

    #[test]
    fn everything_is_taken_at_once_in_order() {
        let outbox = Outbox::new(100);
        let count = Arc::<Count>::default();
        assert!(take(&outbox, &count, true).is_none());
        outbox.push(Bytes::from_static(b"a")).expect("room");
        outbox.push(Bytes::from_static(b"b")).expect("room");
        assert_eq!(count.0.load(Ordering::Relaxed), 1, "one wake for both");
        let (items, _) = take(&outbox, &count, true).expect("two");
        assert_eq!(items.concat(), b"ab");
        assert!(take(&outbox, &count, true).is_none());
    }

    #[test]
    fn the_bound_counts_bytes_and_lets_one_item_in() {
        let outbox = Outbox::new(10);
        outbox
            .push(Bytes::from_static(b"longer than ten"))
            .expect("the first");
        assert_eq!(outbox.push(Bytes::from_static(b"x")), Err(PushError::Full));
    }

    #[test]
    fn bytes_wait_until_the_stream_is_open_and_orders_do_not() {
        let outbox = Outbox::new(100);
        let count = Arc::<Count>::default();
        outbox.push(Bytes::from_static(b"a")).expect("room");
        assert!(take(&outbox, &count, false).is_none());
        outbox.order(Order::Finish);
        let (items, orders) = take(&outbox, &count, false).expect("the order");
        assert!(items.is_empty());
        assert_eq!(orders, 1);
    }

    #[test]
    fn what_is_not_acknowledged_comes_back_first() {
        let outbox = Outbox::new(100);
        let count = Arc::<Count>::default();
        outbox.keep();
        for item in [&b"one"[..], b"two", b"three"] {
            outbox.push(Bytes::copy_from_slice(item)).expect("room");
        }
        let (taken, _) = take(&outbox, &count, true).expect("three");
        assert_eq!(
            taken.concat(),
            [b"onetwothree", ACK_REQUEST.as_bytes()].concat()
        );
        outbox.push(Bytes::from_static(b"four")).expect("room");
        let (later, _) = take(&outbox, &count, true).expect("one");
        assert_eq!(later.concat(), b"four", "one request at a time");
        outbox.acked(2).expect("no more than was sent");
        let (request, _) = take(&outbox, &count, true).expect("a request");
        assert_eq!(
            request.concat(),
            ACK_REQUEST.as_bytes(),
            "for what came behind the last"
        );
        assert_eq!(outbox.acked(7), Err(4), "SM-05");
        outbox.push(Bytes::from_static(b"five")).expect("room");
        // The pump had not written the end of what it took.
        let unwritten = outbox.close_after(vec![taken[2].clone(), later[0].clone()]);
        assert_eq!(unwritten, ["three", "four", "five"]);
    }

    #[test]
    fn what_is_not_acknowledged_counts() {
        let outbox = Outbox::new(10);
        outbox.keep();
        outbox.push(Bytes::from_static(b"eight...")).expect("room");
        take(&outbox, &Arc::default(), true).expect("taken");
        assert_eq!(
            outbox.push(Bytes::from_static(b"xyz")),
            Err(PushError::Full)
        );
        outbox.acked(1).expect("handled");
        outbox.push(Bytes::from_static(b"xyz")).expect("room again");
    }

    /// DOS-10: one of two that share a stream fills its own room, and the other's is still there.
    #[test]
    fn dos_10_lanes_have_room_of_their_own() {
        let outbox = Outbox::new(10);
        let (one, two) = (outbox.lane(), outbox.lane());
        let push = |lane, item: &'static [u8]| outbox.push_in(lane, Bytes::from_static(item));
        outbox.keep();
        push(one, b"1: eight").expect("room");
        assert_eq!(push(one, b"1: more"), Err(PushError::Full));
        push(two, b"2: eight").expect("room of its own");
        take(&outbox, &Arc::default(), true).expect("both");
        assert_eq!(
            push(one, b"1: more"),
            Err(PushError::Full),
            "not acknowledged"
        );
        assert!(!outbox.is_drained(one));
        outbox.acked(1).expect("sent");
        assert!(outbox.is_drained(one) && !outbox.is_drained(two));
        push(one, b"1: more").expect("room again");
        assert_eq!(push(two, b"2: more"), Err(PushError::Full));
        outbox.keep_no_more();
        push(two, b"2: more").expect("nothing is kept any longer");
        assert_eq!(outbox.withdraw(one), ["1: more"]);
        assert!(outbox.is_drained(one));
        let (left, _) = take(&outbox, &Arc::default(), true).expect("the other's");
        assert_eq!(left.concat(), b"2: more");
        assert!(outbox.is_drained(two));
    }

    #[test]
    fn a_closed_outbox_gives_back_what_was_not_written() {
        let outbox = Outbox::new(100);
        outbox.push(Bytes::from_static(b"a")).expect("room");
        assert_eq!(outbox.close(), [Bytes::from_static(b"a")]);
        assert_eq!(
            outbox.push(Bytes::from_static(b"b")),
            Err(PushError::Closed)
        );
    }
}
