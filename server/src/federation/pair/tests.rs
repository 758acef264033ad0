//! Pairs by hand: order, bounds, pauses, streams that come and go, and rows of what waits.

use std::task::{Context, Waker};

use bytes::Bytes;
use futures_util::FutureExt as _;
use tokio_util::task::TaskTracker;

use super::patient::Again;
use super::*;
use crate::net::limits::StreamLimits;

fn pair() -> Arc<Pair> {
    let name = |name| DomainName::parse(name).expect("a domain");
    let names = (name("one.example"), name("peer.example"));
    let ledger = Ledger::new(Box::new(|_| None), TaskTracker::new());
    Arc::new(Pair::new(names, None, ledger, || Timestamp(1)))
}

fn stanza(id: u32) -> Stanza {
    let text = format!("<message from='a@one.example' to='b@peer.example' id='{id}'/>");
    Stanza::from_bytes(text.as_bytes()).expect("a stanza")
}

fn settings() -> Settings {
    Settings {
        connect: Duration::from_secs(30),
        idle: Duration::from_secs(600),
        queue_stanzas: 3,
        queue_bytes: 10_000,
        limits: StreamLimits::default(),
    }
}

fn timeout() -> StanzaError {
    Condition::RemoteServerTimeout.into()
}

#[test]
fn the_first_stanza_starts_and_the_queue_has_a_bound() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    assert!(matches!(
        pair.take(stanza(1), now, &settings),
        Taken::Start(_)
    ));
    assert!(matches!(
        pair.take(stanza(2), now, &settings),
        Taken::Yes(_)
    ));
    assert!(matches!(
        pair.take(stanza(3), now, &settings),
        Taken::Yes(_)
    ));
    let Taken::No(_, error) = pair.take(stanza(4), now, &settings) else {
        panic!("full");
    };
    assert_eq!(error.condition, Condition::ResourceConstraint);
    let left = pair.failed(&timeout(), now, 0.0);
    assert_eq!(queued(&left), ["1", "2", "3"]);
}

fn ids(stanzas: &[Stanza]) -> Vec<&str> {
    stanzas.iter().filter_map(Stanza::id).collect()
}

fn queued(queued: &[Queued]) -> Vec<&str> {
    queued
        .iter()
        .filter_map(|queued| queued.stanza.id())
        .collect()
}

fn carrier(outbox: &Arc<Outbox>) -> Carrier {
    let proven = crate::federation::tests::proven("one.example", "peer.example");
    Carrier::new(outbox, proven, None, (true, false))
}

/// `one.example` is the lesser name: a stream of ours stays.
fn both_ways(outbox: &Arc<Outbox>, ours: bool) -> Carrier {
    Carrier {
        ours,
        both_ways: true,
        ..carrier(outbox)
    }
}

fn stanzas(bytes: Vec<Bytes>) -> Vec<Stanza> {
    let read = |bytes: Bytes| Stanza::from_bytes(&bytes).expect("a stanza");
    bytes.into_iter().map(read).collect()
}

#[test]
fn stream_33_pauses_grow_and_end_when_the_peer_calls() {
    let (pair, mut now, settings) = (pair(), Instant::now(), settings());
    let mut last = Duration::ZERO;
    for _ in 0..3 {
        assert!(matches!(
            pair.take(stanza(1), now, &settings),
            Taken::Start(_)
        ));
        pair.failed(&timeout(), now, 1.0);
        let mut pause = Duration::ZERO;
        while !matches!(
            pair.take(stanza(2), now + pause, &settings),
            Taken::Start(_)
        ) {
            pause += Duration::from_secs(1);
        }
        assert!(pause > last);
        last = pause;
        now += pause;
        // The stanza that looked is still queued; it goes with the next failure.
        pair.failed(&timeout(), now, 0.0);
        pair.peer_is_up();
    }
}

#[test]
fn what_was_not_written_goes_first_on_the_next_stream() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    pair.take(stanza(1), now, &settings);
    let outbox = Outbox::new(10_000);
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    assert!(matches!(
        pair.take(stanza(2), now, &settings),
        Taken::Yes(_)
    ));
    let unwritten = stanzas(outbox.close());
    assert_eq!(unwritten.len(), 2);
    assert!(matches!(
        pair.take(stanza(3), now, &settings),
        Taken::Yes(_)
    ));
    assert!(matches!(pair.ended(&outbox, unwritten), Next::Start));
    assert_eq!(queued(&pair.failed(&timeout(), now, 0.0)), ["1", "2", "3"]);
}

#[test]
fn streams_that_keep_ending_are_given_up() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    assert!(matches!(
        pair.take(stanza(1), now, &settings),
        Taken::Start(_)
    ));
    for round in 1.. {
        let outbox = Outbox::new(10_000);
        pair.accepted(carrier(&outbox));
        match pair.ended(&outbox, stanzas(outbox.close())) {
            Next::Start => assert!(round < ROUNDS),
            Next::GiveUp(left) => {
                assert_eq!((queued(&left), round), (vec!["1"], ROUNDS));
                break;
            }
            Next::Nothing => panic!("a stanza is lost"),
        }
    }
}

#[test]
fn route_02_04_a_pair_stays_on_the_stream_that_carries_it() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    let (one, two) = (Outbox::new(10_000), Outbox::new(10_000));
    pair.take(stanza(1), now, &settings);
    pair.accepted(carrier(&one));
    pair.accepted(carrier(&two));
    pair.take(stanza(2), now, &settings);
    assert_eq!(ids(&stanzas(two.close())), [""; 0], "nothing goes around");
    assert!(matches!(pair.ended(&two, Vec::new()), Next::Nothing));
    assert_eq!(pair.open_by(), Some(Prooftype::Dialback), "still carried");
    // A task that was connecting for it does not take it down when it fails.
    assert!(pair.failed(&timeout(), now, 0.0).is_empty());
    let three = Outbox::new(10_000);
    let unwritten = stanzas(one.close());
    pair.accepted(carrier(&three));
    assert!(matches!(pair.ended(&one, unwritten), Next::Nothing));
    assert_eq!(ids(&stanzas(three.close())), ["1", "2"]);
}

/// Both sides called at once: one stream stays, and nothing is lost or overtaken on the way there.
#[test]
fn bidi_of_two_streams_both_ways_the_lesser_names_stays() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    let (theirs, ours) = (Outbox::new(10_000), Outbox::new(10_000));
    theirs.keep();
    pair.take(stanza(1), now, &settings);
    pair.accepted(both_ways(&theirs, false));
    assert!(!pair.goes_elsewhere(&theirs));
    pair.accepted(both_ways(&ours, true));
    assert!(pair.goes_elsewhere(&theirs) && !pair.goes_elsewhere(&ours));
    // What is not acknowledged is not overtaken.
    pair.take(stanza(2), now, &settings);
    assert_eq!(ids(&stanzas(ours.close_after(Vec::new()))), [""; 0]);
    let ours = Outbox::new(10_000);
    pair.accepted(both_ways(&ours, true));
    let waker = std::task::Waker::noop();
    let mut taken = crate::session::outbox::Taken::default();
    let mut context = std::task::Context::from_waker(waker);
    let _ = theirs.poll_take(&mut context, true, &mut Vec::new(), &mut taken);
    theirs.acked(2).expect("sent");
    pair.take(stanza(3), now, &settings);
    // The other's end finds the pair where it stays, with what came since.
    assert!(matches!(
        pair.ended(&theirs, stanzas(theirs.close())),
        Next::Nothing
    ));
    pair.take(stanza(4), now, &settings);
    assert_eq!(ids(&stanzas(ours.close())), ["3", "4"]);
}

#[test]
fn bidi_a_stream_that_ends_leaves_the_pair_to_the_other() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    let (theirs, ours) = (Outbox::new(10_000), Outbox::new(10_000));
    pair.take(stanza(1), now, &settings);
    pair.accepted(both_ways(&theirs, false));
    pair.accepted(both_ways(&ours, true));
    // Nothing says that it has arrived: it goes first on the other.
    pair.take(stanza(2), now, &settings);
    let unwritten = stanzas(theirs.close());
    pair.take(stanza(3), now, &settings);
    assert!(matches!(pair.ended(&theirs, unwritten), Next::Nothing));
    assert_eq!(ids(&stanzas(ours.close())), ["1", "2", "3"]);
    // The same where the pair comes off a stream that goes on for others.
    let (theirs, ours) = (Outbox::new(10_000), Outbox::new(10_000));
    pair.accepted(both_ways(&theirs, false));
    pair.accepted(both_ways(&ours, true));
    pair.take(stanza(4), now, &settings);
    assert!(matches!(pair.leave(&theirs), Next::Nothing));
    pair.take(stanza(5), now, &settings);
    assert_eq!(ids(&stanzas(theirs.close())), [""; 0]);
    assert_eq!(ids(&stanzas(ours.close())), ["4", "5"]);
}

#[test]
fn a_pair_that_leaves_a_stream_takes_along_what_waits_and_no_more() {
    let (pair, other, now, settings) = (pair(), pair(), Instant::now(), settings());
    let outbox = Outbox::new(10_000);
    for (pair, id) in [(&pair, 1), (&other, 2)] {
        pair.take(stanza(id), now, &settings);
        pair.accepted(carrier(&outbox));
    }
    assert!(matches!(pair.leave(&outbox), Next::Start));
    assert!(matches!(other.leave(&Outbox::new(1)), Next::Nothing));
    assert!(matches!(
        pair.take(stanza(3), now, &settings),
        Taken::Yes(_)
    ));
    // The stream reports its end to everybody who was on it.
    let unwritten = stanzas(outbox.close());
    assert_eq!(ids(&unwritten), ["2"]);
    assert!(matches!(pair.ended(&outbox, Vec::new()), Next::Nothing));
    assert_eq!(queued(&pair.failed(&timeout(), now, 0.0)), ["1", "3"]);
}

#[test]
fn stream_35_what_the_peer_does_not_take_is_not_sent() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    let outbox = Outbox::new(10_000);
    let size = stanza(1).bytes().len();
    pair.take(stanza(100), now, &settings);
    pair.take(stanza(1), now, &settings);
    let limited = Carrier {
        max_bytes: Some(size),
        ..carrier(&outbox)
    };
    let left = pair.accepted(limited);
    assert_eq!(left.len(), 1, "what waited is looked at too");
    assert_eq!(left[0].1.condition, Condition::PolicyViolation);
    let Taken::No(_, error) = pair.take(stanza(100), now, &settings) else {
        panic!("too large");
    };
    assert_eq!(error.condition, Condition::PolicyViolation);
    assert!(matches!(
        pair.take(stanza(2), now, &settings),
        Taken::Yes(_)
    ));
    pair.limited(&outbox, size + 2);
    assert!(matches!(
        pair.take(stanza(100), now, &settings),
        Taken::Yes(_)
    ));
}

/// One that the process before has left, in this row.
fn left(row: u32) -> Queued {
    let stanza = stanza(row);
    let kept = Kept::found(&stanza, Timestamp(i64::from(row)), row.into());
    Queued {
        stanza,
        kept: Some(kept),
    }
}

/// The pump takes what is there.
fn take(outbox: &Outbox) -> Vec<Bytes> {
    let mut context = Context::from_waker(Waker::noop());
    let (mut items, mut taken) = (Vec::new(), crate::session::outbox::Taken::default());
    let _ = outbox.poll_take(&mut context, true, &mut items, &mut taken);
    for then in taken.then {
        then.now_or_never().expect("done at once");
    }
    items
}

fn restored(rows: std::ops::RangeInclusive<u32>) -> Arc<Pair> {
    let pair = pair();
    assert!(pair.restore(rows.map(left).collect(), Instant::now()));
    assert!(matches!(pair.again(Instant::now()), Again::Start));
    pair
}

#[test]
fn what_waits_has_a_row_and_loses_its_place_where_it_cannot_be_committed() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    let Taken::Start(Hold::Row(first)) = pair.take(stanza(1), now, &settings) else {
        panic!("it waits");
    };
    let Taken::Yes(Hold::Row(second)) = pair.take(stanza(2), now, &settings) else {
        panic!("it waits");
    };
    assert!(
        first.at() < second.at(),
        "in order, though the clock stands still"
    );
    let iq = "<iq from='a@one.example/x' to='b@peer.example' type='get' id='3'><ping xmlns='urn:xmpp:ping'/></iq>";
    let iq = Stanza::from_bytes(iq.as_bytes()).expect("a stanza");
    assert!(matches!(
        pair.take(iq, now, &settings),
        Taken::Yes(Hold::None)
    ));
    assert_eq!(pair.rows().len(), 2);
    let back = pair.take_back(&first).expect("it is there");
    assert_eq!(back.stanza.id(), Some("1"));
    assert!(pair.take_back(&first).is_none());
    assert_eq!(queued(&pair.failed(&timeout(), now, 0.0)), ["2", "3"]);
}

#[test]
fn rows_are_forgotten_when_the_peer_has_acknowledged() {
    let pair = restored(1..=2);
    let outbox = Outbox::new(10_000);
    outbox.keep();
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    take(&outbox);
    assert_eq!(pair.ledger.due(), [0; 0], "written is not acknowledged");
    for then in outbox.acked(2).expect("sent") {
        then.now_or_never().expect("done at once");
    }
    assert_eq!(pair.ledger.due(), [1, 2]);
    assert!(pair.rows().is_empty());
}

#[test]
fn rows_are_forgotten_when_a_peer_that_does_not_acknowledge_was_written_to() {
    let pair = restored(1..=2);
    let outbox = Outbox::new(10_000);
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    assert_eq!(pair.ledger.due(), [0; 0]);
    assert_eq!(take(&outbox).len(), 2);
    assert_eq!(pair.ledger.due(), [1, 2]);
}

#[test]
fn of_a_stream_that_ends_what_came_back_keeps_its_row() {
    let (pair, now) = (restored(1..=2), Instant::now());
    let outbox = Outbox::new(10_000);
    outbox.keep();
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    pair.take(stanza(3), now, &settings());
    take(&outbox);
    outbox.acked(1).expect("sent");
    let unwritten = stanzas(outbox.close_after(Vec::new()));
    // It came when the stream had ended, and that was not known yet.
    assert!(matches!(
        pair.take(stanza(4), now, &settings()),
        Taken::Yes(Hold::Row(_))
    ));
    assert!(matches!(pair.ended(&outbox, unwritten), Next::Start));
    assert_eq!(pair.ledger.due(), [1]);
    let rows = pair.rows();
    assert_eq!(rows.len(), 3, "also what went out without one");
    assert!(
        rows.is_sorted_by_key(|row| row.at()),
        "whoever starts sends them in order"
    );
    // Another stream brings them there.
    let outbox = Outbox::new(10_000);
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    assert_eq!(ids(&stanzas(take(&outbox))), ["2", "3", "4"]);
    take(&outbox);
    assert_eq!(
        pair.ledger.due(),
        [1, 2],
        "the others have none in the store so far"
    );
    assert!(pair.rows().is_empty());
}

#[test]
fn a_withdrawn_stanza_keeps_its_row_whatever_its_former_stream_does() {
    let pair = restored(1..=1);
    let outbox = Outbox::new(10_000);
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    assert!(matches!(pair.leave(&outbox), Next::Start));
    take(&outbox);
    assert!(matches!(pair.ended(&outbox, Vec::new()), Next::Nothing));
    assert_eq!((pair.ledger.due(), pair.rows().len()), (vec![], 1));
}

#[test]
fn what_a_slow_stream_does_not_write_gets_a_row_once() {
    let (pair, now) = (restored(1..=1), Instant::now());
    let outbox = Outbox::new(10_000);
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    let Taken::Yes(Hold::Stream(progress, item, bytes)) = pair.take(stanza(2), now, &settings())
    else {
        panic!("a stream carries it");
    };
    let items = [(item, bytes)];
    let rows = pair
        .row_up(&progress, &items)
        .expect("it is about to write it");
    let again = pair
        .row_up(&progress, &items)
        .expect("it is about to write it");
    assert!(rows.len() == 1 && Arc::ptr_eq(&rows[0], &again[0]));
    assert!(!progress.has(item));
    take(&outbox);
    take(&outbox);
    assert!(progress.has(item) && pair.rows().is_empty());
    let unwritten = stanzas(outbox.close());
    assert!(matches!(pair.ended(&outbox, unwritten), Next::Nothing));
    assert!(pair.row_up(&progress, &items).is_none(), "it has ended");
}

/// A message without an id said twice: to the bytes the same, and two messages all the same.
#[test]
fn stanzas_that_are_alike_have_a_row_each() {
    let (pair, now) = (restored(1..=1), Instant::now());
    let outbox = Outbox::new(10_000);
    outbox.keep();
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    let mut rows = Vec::new();
    for _ in 0..2 {
        let Taken::Yes(Hold::Stream(progress, item, bytes)) =
            pair.take(stanza(2), now, &settings())
        else {
            panic!("a stream carries it");
        };
        rows.extend(
            pair.row_up(&progress, &[(item, bytes)])
                .expect("it is slow"),
        );
    }
    assert!(!Arc::ptr_eq(&rows[0], &rows[1]));
    assert_eq!(pair.rows().len(), 3);
    // All were written, and the peer has the first two.
    take(&outbox);
    for then in outbox.acked(2).expect("sent") {
        then.now_or_never().expect("done at once");
    }
    let unwritten = stanzas(outbox.close_after(Vec::new()));
    assert_eq!(ids(&unwritten), ["2"]);
    assert!(matches!(pair.ended(&outbox, unwritten), Next::Start));
    let left = pair.rows();
    assert!(left.len() == 1 && Arc::ptr_eq(&left[0], &rows[1]));
}

/// A shared stream stalls, its pair goes elsewhere, and the pump still has what it took.
#[test]
fn what_a_former_stream_has_taken_gets_a_row_too() {
    let (pair, now) = (restored(1..=1), Instant::now());
    let outbox = Outbox::new(10_000);
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    let Taken::Yes(Hold::Stream(progress, item, bytes)) = pair.take(stanza(2), now, &settings())
    else {
        panic!("a stream carries it");
    };
    let mut context = Context::from_waker(Waker::noop());
    let (mut items, mut taken) = (Vec::new(), crate::session::outbox::Taken::default());
    assert!(
        outbox
            .poll_take(&mut context, true, &mut items, &mut taken)
            .is_ready()
    );
    assert!(matches!(pair.leave(&outbox), Next::Nothing));
    let rows = pair.row_up(&progress, &[(item, bytes)]);
    assert_eq!(rows.expect("it may still write it").len(), 1);
    // It does.
    for then in taken.then {
        then.now_or_never().expect("done at once");
    }
    take(&outbox);
    assert!(pair.rows().is_empty());
}

#[test]
fn stream_33_what_waits_for_another_attempt_goes_before_what_comes_later() {
    let (pair, mut now, settings) = (restored(1..=1), Instant::now(), settings());
    let mut pauses = Vec::new();
    for _ in 0..3 {
        let left = pair.failed(&timeout(), now, 1.0);
        let (start, without) = pair.wait(left, (now, 1.0), &settings);
        assert!(start && without.is_empty());
        assert!(!pair.is_forgettable(now + LONGEST_PAUSE));
        let Again::Wait(until) = pair.again(now) else {
            panic!("at once");
        };
        pauses.push(until - now);
        now = until;
        assert!(matches!(pair.again(now), Again::Start));
    }
    assert!(pauses.is_sorted_by(|a, b| a < b), "{pauses:?}");
    let left = pair.failed(&timeout(), now, 1.0);
    assert_eq!(pair.rows().len(), 0);
    pair.wait(left, (now, 1.0), &settings);
    assert_eq!(pair.rows().len(), 1);
    now += LONGEST_PAUSE;
    assert!(matches!(
        pair.take(stanza(2), now, &settings),
        Taken::Start(_)
    ));
    assert!(matches!(pair.again(now), Again::Nothing));
    let outbox = Outbox::new(10_000);
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    assert_eq!(ids(&stanzas(take(&outbox))), ["1", "2"]);
}

/// What a stream gives back is bounded by its lane, and that is more than the queue takes of what comes anew.
#[test]
fn route_02_what_was_acknowledged_waits_for_another_attempt_however_much_it_is() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    pair.take(stanza(0), now, &settings);
    let outbox = Outbox::new(10_000);
    assert!(pair.accepted(carrier(&outbox)).is_empty());
    for id in 1..=6 {
        assert!(matches!(
            pair.take(stanza(id), now, &settings),
            Taken::Yes(_)
        ));
    }
    let unwritten = stanzas(outbox.close());
    assert!(matches!(pair.ended(&outbox, unwritten), Next::Start));
    let left = pair.failed(&timeout(), now, 1.0);
    assert!(left.len() == 7 && left.len() > settings.queue_stanzas);
    let (start, without) = pair.wait(left, (now, 1.0), &settings);
    assert!(start && without.is_empty(), "{:?}", queued(&without));
    assert_eq!(pair.rows().len(), 7);
    // What the store does not want has no such claim.
    let other = self::left(8);
    pair.ledger
        .forget(&pair.local, other.kept.as_ref().expect("kept"));
    let (_, without) = pair.wait(vec![other], (now, 1.0), &settings);
    assert_eq!(queued(&without), ["8"]);
}

/// Whoever wrote it waits for the store's answer wherever it waits.
#[tokio::test]
async fn what_waits_for_another_attempt_loses_its_place_too_where_it_cannot_be_committed() {
    let (pair, now, settings) = (pair(), Instant::now(), settings());
    let Taken::Start(Hold::Row(first)) = pair.take(stanza(1), now, &settings) else {
        panic!("it waits");
    };
    let Taken::Yes(Hold::Row(second)) = pair.take(stanza(2), now, &settings) else {
        panic!("it waits");
    };
    let left = pair.failed(&timeout(), now, 1.0);
    assert!(pair.wait(left, (now, 1.0), &settings).0);
    let back = pair.take_back(&first).expect("it is there");
    assert_eq!(back.stanza.id(), Some("1"));
    assert_eq!(pair.rows().len(), 1);
    // The domain is not served any more, and the store has not taken it.
    second.fail();
    pair.forget_patient();
    second.recovered().now_or_never().expect("nobody waits");
}
