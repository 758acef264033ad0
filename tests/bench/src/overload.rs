//! Twice as many log-ins as the server can do. It must refuse or let wait, keep answering those who are in, forget nothing
//! that it has acknowledged, and be as before when it is over.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Outcome;
use crate::scenario::chat;
use crate::scenario::{Crew, online};
use crate::soak::{find, leave};
use crate::subject::{Kind, Subject};
use crate::world::{PASSWORD, World, user};

/// Pairs that chat meanwhile.
const PAIRS: usize = 10;
/// Accounts that log in, in turn.
const COMERS: std::ops::Range<usize> = 2 * PAIRS..2 * PAIRS + 400;
/// Written to while they are away.
const ABSENT: usize = COMERS.end;
/// Who writes.
const WRITER: usize = COMERS.end + 1;
/// A client gives up after this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nobody who is in waits longer for a message.
const BOUND: Duration = Duration::from_secs(5);
/// A log-in takes no longer than this when it is over.
const RECOVERED: Duration = Duration::from_millis(500);
/// … within this time.
const RECOVERY: Duration = Duration::from_secs(60);

/// Of what it can do it does this much when twice as much is asked for: the rest goes into those who are turned away.
const USEFUL: f64 = 0.5;

/// Accounts that it needs.
pub const USERS: usize = WRITER + 1;

/// What became of those who came.
#[derive(Default)]
struct Tally {
    done: Cell<u64>,
    refused: Cell<u64>,
    late: Cell<u64>,
    why: RefCell<std::collections::BTreeMap<String, u64>>,
}

/// Runs the storm for so long; whether all was good.
pub async fn run(world: &World, time: Duration) -> Outcome<bool> {
    let subject = Subject::start(Kind::Domicile, world)?;
    let gate = subject.gate.spread();
    // Everybody's salt is hashed before anything is counted.
    let warm = online(&gate, 0..USERS).await?;
    crate::scenario::offline(warm).await?;

    let rate = capacity(&gate, time / 4).await?;
    println!("log-ins a second that it can do: {rate:.0}; now twice as many come for {time:?}");

    let mut crew = Crew::default();
    let slowest = Rc::new(Cell::new(Duration::ZERO));
    for (mut writer, mut reader) in chat::paired(online(&gate, 0..2 * PAIRS).await?).await? {
        let (meter, slowest) = (crew.meter.clone(), slowest.clone());
        crew.add(async move {
            while !meter.stop.get() {
                let begun = Instant::now();
                writer.send(1).await?;
                meter.add(reader.arrived().await?);
                slowest.set(slowest.get().max(begun.elapsed()));
            }
            chat::end(writer, reader).await
        });
    }
    let acknowledged = Rc::new(Cell::new(0u64));
    {
        let (gate, meter, acknowledged) = (gate.clone(), crew.meter.clone(), acknowledged.clone());
        let mut writer = gate.online(&user(WRITER), PASSWORD).await?;
        crew.add(async move {
            let mut clock = tokio::time::interval(Duration::from_millis(50));
            while !meter.stop.get() {
                clock.tick().await;
                // An account keeps a thousand at most.
                if acknowledged.get() >= 900 {
                    continue;
                }
                leave(&mut writer, ABSENT, acknowledged.get(), gate.domain()).await?;
                writer.settle().await?;
                acknowledged.set(acknowledged.get() + 1);
            }
            writer.log_out().await
        });
    }
    let before = subject.process.held()?.rss;
    let tally = Rc::new(Tally::default());
    let mut comers = JoinSet::new();
    let mut clock = tokio::time::interval(Duration::from_secs_f64(1.0 / (2.0 * rate)));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let (begun, mut number, mut most) = (Instant::now(), 0, before);
    while begun.elapsed() < time {
        clock.tick().await;
        let (gate, tally) = (gate.clone(), tally.clone());
        let name = user(COMERS.start + number % COMERS.len());
        number += 1;
        comers.spawn_local(async move {
            let work = async { gate.online(&name, PASSWORD).await?.log_out().await };
            match tokio::time::timeout(PATIENCE, work).await {
                Ok(Ok(())) => tally.done.set(tally.done.get() + 1),
                Ok(Err(error)) => {
                    tally.refused.set(tally.refused.get() + 1);
                    let why = error.to_string();
                    let why = why
                        .split_once(": ")
                        .map_or(why.clone(), |(_, why)| why.to_owned());
                    *tally.why.borrow_mut().entry(why).or_default() += 1;
                }
                Err(_) => tally.late.set(tally.late.get() + 1),
            }
        });
        while comers.try_join_next().is_some() {}
        if number % 200 == 0 {
            most = most.max(subject.process.held()?.rss);
        }
    }
    let over = Instant::now();
    while comers.join_next().await.is_some() {}

    let mut good = true;
    let mut judge = |words: String, holds: bool| {
        println!("{}: {words}", if holds { "good" } else { "BAD" });
        good &= holds;
    };
    println!(
        "of {number} who came {} got in, {} were refused, {} gave up after {PATIENCE:?}",
        tally.done.get(),
        tally.refused.get(),
        tally.late.get()
    );
    for (why, count) in tally.why.borrow().iter() {
        println!("  {count} × {why}");
    }
    let could = rate * time.as_secs_f64();
    judge(
        format!(
            "{} got in; in this time it can let in {could:.0}",
            tally.done.get()
        ),
        tally.done.get() as f64 > could * USEFUL,
    );
    judge(
        format!(
            "memory {:.1} MB before, {:.1} MB at most",
            before / 1e6,
            most / 1e6
        ),
        most < before + 200e6,
    );
    // As before?
    let recovered = loop {
        let begun = Instant::now();
        let came = gate.online(&user(COMERS.start), PASSWORD).await;
        if let Ok(client) = came {
            client.log_out().await?;
            if begun.elapsed() < RECOVERED {
                break true;
            }
        }
        if over.elapsed() > RECOVERY {
            break false;
        }
    };
    judge(
        format!(
            "log-ins are quick again after {:.1} s",
            over.elapsed().as_secs_f64()
        ),
        recovered,
    );
    crew.finish().await?;
    judge(
        format!(
            "whoever was in waited {:?} at most for a message",
            slowest.get()
        ),
        slowest.get() < BOUND,
    );
    let mut client = gate.online_raw(&user(ABSENT), PASSWORD).await?;
    let kept = acknowledged.get();
    for each in 0..kept {
        find(&mut client, ABSENT, each).await?;
    }
    client.log_out().await?;
    judge(
        format!("all {kept} acknowledged messages were kept, in order"),
        true,
    );
    Ok(good)
}

/// Log-ins a second with more than enough under way.
async fn capacity(gate: &crate::client::Gate, time: Duration) -> Outcome<f64> {
    let mut crew = Crew::default();
    for lane in 0..32 {
        let (gate, meter) = (gate.clone(), crew.meter.clone());
        crew.add(async move {
            let mut turn = 0;
            while !meter.stop.get() {
                let name = user(COMERS.start + (lane * 12 + turn % 12) % COMERS.len());
                gate.online(&name, PASSWORD).await?.log_out().await?;
                meter.add(1);
                turn += 1;
            }
            Ok(())
        });
    }
    let begun = Instant::now();
    crew.work(time).await?;
    let rate = crew.meter.done.get() as f64 / begun.elapsed().as_secs_f64();
    crew.finish().await?;
    Ok(rate)
}
