//! The queue read by hand: order, bounds, acknowledgements, absence.

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
fn a_busy_pump_is_not_woken_and_finds_everything() {
    let outbox = Outbox::new(100);
    let count = Arc::<Count>::default();
    assert!(take(&outbox, &count, true).is_none());
    outbox.busy();
    outbox.push(Bytes::from_static(b"a")).expect("room");
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    let (items, _) = take(&outbox, &count, true).expect("one");
    assert_eq!(items.concat(), b"a");
    assert!(take(&outbox, &count, true).is_none());
    outbox.push(Bytes::from_static(b"b")).expect("room");
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "it was at rest");
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
    assert!(outbox.acked(2).expect("no more than was sent").is_empty());
    let (request, _) = take(&outbox, &count, true).expect("a request");
    assert_eq!(
        request.concat(),
        ACK_REQUEST.as_bytes(),
        "for what came behind the last"
    );
    assert_eq!(outbox.acked(7).err(), Some(4), "SM-05");
    outbox.push(Bytes::from_static(b"five")).expect("room");
    // The pump had not written the end of what it took.
    let unwritten = outbox.close_after(vec![taken[2].clone(), later[0].clone()]);
    assert_eq!(unwritten, ["three", "four", "five"]);
}

fn clock() -> Timestamp {
    Timestamp(7)
}

/// SM-07: the next stream gets what was not handled, in order, and the numbers go on.
#[test]
fn sm_07_a_session_goes_on_where_its_client_is() {
    let outbox = Outbox::new(100);
    let count = Arc::<Count>::default();
    outbox.keep();
    for item in [&b"one"[..], b"two", b"three"] {
        outbox.push(Bytes::copy_from_slice(item)).expect("room");
    }
    take(&outbox, &count, true).expect("three");
    outbox.acked(1).expect("sent");
    outbox.order(Order::Finish);
    let orders = outbox.leave(Vec::new(), clock).expect("it may wait");
    assert_eq!(orders.len(), 1, "nobody has carried it out");
    assert!(!outbox.order_heard(Order::Finish), "nobody is there");
    outbox.push(Bytes::from_static(b"four")).expect("room");
    assert_eq!(outbox.take_up(4).err(), Some(3), "SM-05");
    outbox.take_up(2).expect("one of the two had come");
    let (items, _) = take(&outbox, &count, true).expect("the rest");
    assert_eq!(
        items.concat(),
        [b"threefour", ACK_REQUEST.as_bytes()].concat()
    );
    assert_eq!(outbox.acked(5).err(), Some(4));
    outbox.acked(4).expect("all");
    assert_eq!(outbox.unacknowledged(), 0);
}

/// EXT-13: what may wait does, of each sender the last; what may not takes it along, and nothing changes its place.
#[test]
fn ext_13_what_may_wait_goes_before_what_may_not() {
    let outbox = Outbox::new(1 << 20);
    let count = Arc::<Count>::default();
    assert!(take(&outbox, &count, true).is_none());
    outbox
        .push_late("p a", Bytes::from_static(b"0"))
        .expect("room");
    assert_eq!(
        take(&outbox, &count, true).expect("at once").0.concat(),
        b"0"
    );
    assert!(take(&outbox, &count, true).is_none());
    outbox.set_active(false);
    let woken = count.0.load(Ordering::Relaxed);
    for (kind, item) in [("p a", &b"a1"[..]), ("p b", b"b1"), ("p a", b"a2")] {
        outbox
            .push_late(kind, Bytes::copy_from_slice(item))
            .expect("room");
    }
    assert_eq!(count.0.load(Ordering::Relaxed), woken, "nobody is woken");
    assert!(take(&outbox, &count, true).is_none());
    outbox.push(Bytes::from_static(b"!")).expect("room");
    assert_eq!(
        take(&outbox, &count, true).expect("all").0.concat(),
        b"b1a2!"
    );
    outbox
        .push_late("p a", Bytes::from_static(b"a3"))
        .expect("room");
    outbox.set_active(true);
    assert_eq!(
        take(&outbox, &count, true).expect("the last").0.concat(),
        b"a3"
    );
    // Bounded.
    outbox.set_active(false);
    for n in 0..100 {
        let item = Bytes::from(vec![b'x'; 1_000]);
        outbox.push_late(&format!("p {n}"), item).expect("room");
    }
    assert!(take(&outbox, &count, true).expect("most of it").0.len() > 50);
    // And with nobody there.
    outbox.keep();
    outbox.leave(Vec::new(), clock).expect("it may wait");
    for item in [&b"1"[..], b"2"] {
        outbox
            .push_late("p a", Bytes::copy_from_slice(item))
            .expect("room");
    }
    outbox.take_up(0).expect("nothing was sent");
    let (items, _) = take(&outbox, &count, true).expect("what had waited");
    assert_eq!(
        items.len(),
        100 - 66 + 2,
        "the rest, the last of two, a request"
    );
    assert_eq!(items[items.len() - 2], "2");
}

/// What waits with nobody there is bounded like everything else, and is known with the time it came.
#[test]
fn what_nobody_takes_up_is_given_back_with_its_times() {
    let outbox = Outbox::new(10);
    outbox.keep();
    outbox.push(Bytes::from_static(b"one")).expect("room");
    take(&outbox, &Arc::default(), true).expect("one");
    outbox.push(Bytes::from_static(b"two")).expect("room");
    outbox
        .leave(Vec::new(), || Timestamp(5))
        .expect("it may wait");
    assert_eq!(
        outbox.push(Bytes::from_static(b"12345")),
        Err(PushError::Full)
    );
    outbox.push(Bytes::from_static(b"333")).expect("room");
    let remains = outbox.remains();
    assert_eq!((remains.sent, remains.unacknowledged), (1, 1));
    let text = remains.items.iter().map(|(at, item)| (at.0, &item[..]));
    assert!(text.eq([(5, &b"one"[..]), (5, b"two"), (5, b"333")]));
    assert_eq!(outbox.push(Bytes::new()), Err(PushError::Closed));

    let again = Outbox::of_remains(10, remains, clock);
    assert_eq!(
        again.push(Bytes::from_static(b"12345")),
        Err(PushError::Full)
    );
    again.take_up(1).expect("the first had come");
    let (items, _) = take(&again, &Arc::default(), true).expect("two");
    assert_eq!(items.concat(), [b"two333", ACK_REQUEST.as_bytes()].concat());
}

/// What an offline store forgets when its messages have arrived waits for the acknowledgement, not for the socket.
#[test]
fn what_follows_waits_for_the_acknowledgement() {
    let outbox = Outbox::new(100);
    outbox.keep();
    outbox.push(Bytes::from_static(b"one")).expect("room");
    outbox.when_written(Box::pin(async {}));
    let (mut items, mut taken) = (Vec::new(), Taken::default());
    let mut cx = Context::from_waker(Waker::noop());
    assert!(
        outbox
            .poll_take(&mut cx, true, &mut items, &mut taken)
            .is_ready()
    );
    assert!(taken.then.is_empty(), "not when it is written");
    outbox.push(Bytes::from_static(b"two")).expect("room");
    outbox.leave(Vec::new(), clock).expect("it may wait");
    assert!(outbox.take_up(0).expect("nothing had come").is_empty());
    take(&outbox, &Arc::default(), true).expect("both");
    assert_eq!(outbox.acked(1).expect("sent").len(), 1);
    assert!(outbox.acked(2).expect("sent").is_empty(), "once");
}

/// Whoever reads the items has the pump know what follows them: there is no moment in between in which the stream could end.
#[test]
fn what_comes_together_is_taken_together_with_what_follows() {
    let outbox = Outbox::new(10);
    outbox.push(Bytes::from_static(b"1")).expect("room");
    let items = [b"1234", b"5678", b"no  "].map(|item| Bytes::from_static(item));
    let mut fitted = 0;
    let pushed = outbox.push_all(items.clone(), |taken| {
        fitted = taken;
        Box::pin(async {})
    });
    assert_eq!((pushed, fitted), (Ok(()), 2));
    let (mut items_taken, mut taken) = (Vec::new(), Taken::default());
    let mut cx = Context::from_waker(Waker::noop());
    let polled = outbox.poll_take(&mut cx, true, &mut items_taken, &mut taken);
    assert!(polled.is_ready());
    assert_eq!(items_taken.concat(), b"112345678");
    assert_eq!(taken.then.len(), 1);
    outbox.close();
    let closed = outbox.push_all(items, |_| unreachable!("nobody is there"));
    assert_eq!(closed, Err(PushError::Closed));
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
