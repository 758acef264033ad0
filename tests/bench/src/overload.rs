//! Twice as many log-ins as the server can do. It must refuse whom it cannot serve, go on letting in about as many as ever and
//! without delay, keep answering those who are in, forget nothing that it has acknowledged, and be as before within seconds
//! when it is over.
//!
//! A client's side of a log-in costs nearly what the server's does, and the load has as many cores as the server: one. So a
//! neighbour spins on the server's core and takes its share of it: the load can then ask for twice what is left. A run in
//! which the load was at its own end says nothing about the server, and fails.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Outcome;
use crate::client::Gate;
use crate::machine::{self, Process, Used};
use crate::scenario::chat;
use crate::scenario::{Crew, Meter, online};
use crate::soak::{find, leave};
use crate::subject::{Kind, Options, Subject};
use crate::world::{PASSWORD, World, user};

/// Pairs that chat meanwhile.
const PAIRS: usize = 10;
/// How often each of them does: they look how long it takes and are no load themselves.
const CHAT: Duration = Duration::from_millis(100);
/// Accounts that log in, in turn: so many that none comes near the sessions that it may have.
const COMERS: std::ops::Range<usize> = 2 * PAIRS..2 * PAIRS + 2_000;
/// Written to while they are away.
const ABSENT: usize = COMERS.end;
/// Who writes.
const WRITER: usize = COMERS.end + 1;
/// Log-ins under way while it is found out how many it can do.
const LANES: usize = 32;
/// A client gives up after this.
const PATIENCE: Duration = Duration::from_secs(10);
/// Nobody who is in waits longer for a message, and nobody who is let in for being in.
const BOUND: Duration = Duration::from_secs(5);
/// A log-in takes no longer than this when it is over.
const RECOVERED: Duration = Duration::from_millis(500);
/// … within this time.
const RECOVERY: Duration = Duration::from_secs(10);
/// More memory than this is not taken for it …
const GROWTH: f64 = 100e6;
/// … of which this may be kept when it is over: allocators keep some.
const KEPT: f64 = 30e6;

/// Of what it can do it does this much when twice as much is asked for: the rest goes into those who are turned away.
const USEFUL: f64 = 0.7;
/// A load that was busy for more of the time than this did not ask for what it was to ask for.
const LOAD: f64 = 0.95;

/// Accounts that it needs.
pub const USERS: usize = WRITER + 1;

/// What became of those who came.
#[derive(Default)]
struct Tally {
    came: Cell<u64>,
    done: Cell<u64>,
    refused: Cell<u64>,
    late: Cell<u64>,
    longest: Cell<Duration>,
    why: RefCell<BTreeMap<String, u64>>,
}

impl Tally {
    /// One of them, from the first packet to the goodbye.
    async fn come(&self, gate: &Gate, name: &str) {
        let begun = Instant::now();
        let work = async { gate.online(name, PASSWORD).await?.log_out().await };
        match tokio::time::timeout(PATIENCE, work).await {
            Ok(Ok(())) => {
                self.done.set(self.done.get() + 1);
                self.longest.set(self.longest.get().max(begun.elapsed()));
            }
            Ok(Err(error)) => {
                self.refused.set(self.refused.get() + 1);
                let why = error.to_string();
                let why = why.split_once(": ").map_or(&*why, |(_, why)| why);
                *self.why.borrow_mut().entry(why.to_owned()).or_default() += 1;
            }
            Err(_) => self.late.set(self.late.get() + 1),
        }
    }
}

/// What holds and what does not, as it is found out.
struct Verdict(bool);

impl Verdict {
    fn judge(&mut self, words: &str, holds: bool) {
        println!("{}: {words}", if holds { "good" } else { "BAD" });
        self.0 &= holds;
    }
}

/// What a core could do before the storm.
struct Capacity {
    /// Log-ins a second.
    rate: f64,
    /// CPU time of one, in microseconds.
    cost: f64,
}

/// What the storm took.
struct Storm {
    /// Of the server's CPU time.
    used: Used,
    /// Of the load's time, how much it was busy.
    load: f64,
    /// The server's memory at most, in bytes.
    memory: f64,
}

/// Runs the storm for so long; whether all was good.
pub async fn run(world: &World, time: Duration) -> Outcome<bool> {
    let options = Options {
        refuses: true,
        ..Options::default()
    };
    let subject = Subject::start_with(Kind::Domicile, world, &options)?;
    let gate = subject.gate.spread();
    // Everybody's salt is hashed before anything is counted, and everybody's first log-in is over.
    let warm = online(&gate, 0..USERS).await?;
    crate::scenario::offline(warm).await?;
    let mut neighbour = neighbour(world)?;
    let capacity = capacity(&subject, &gate, time / 4).await?;
    println!(
        "it can do {:.0} log-ins a second, of {:.0} µs each; now twice as many come for {time:?}",
        capacity.rate, capacity.cost
    );

    let mut crew = Crew::default();
    let slowest = chatting(&gate, &mut crew).await?;
    let acknowledged = writing(&gate, &mut crew).await?;
    let before = subject.process.held()?.rss;
    let tally = Rc::new(Tally::default());
    let storm = storm(&subject, &gate, &tally, 2.0 * capacity.rate, time).await?;
    let over = Instant::now();
    let mut verdict = Verdict(true);
    admitted(&mut verdict, &tally, &capacity, &storm, time);

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
    let words = format!(
        "a log-in is quick again {:.1} s after the last has come",
        over.elapsed().as_secs_f64()
    );
    verdict.judge(&words, recovered);
    neighbour.stop();
    crew.finish().await?;
    let words = format!(
        "whoever was in waited {:?} at most for a message",
        slowest.get()
    );
    verdict.judge(&words, slowest.get() < BOUND);
    let after = crate::scenario::at_rest(&subject.process).await?;
    let words = format!(
        "memory {:.1} MB before, {:.1} MB at most, {:.1} MB afterwards",
        before / 1e6,
        storm.memory / 1e6,
        after / 1e6
    );
    let holds = storm.memory < before + GROWTH && after < before + KEPT;
    verdict.judge(&words, holds);
    let mut client = gate.online_raw(&user(ABSENT), PASSWORD).await?;
    let kept = acknowledged.get();
    for each in 0..kept {
        find(&mut client, ABSENT, each).await?;
    }
    client.log_out().await?;
    let words = format!("all {kept} acknowledged messages were kept, in order");
    verdict.judge(&words, kept > 0);
    Ok(verdict.0)
}

/// Somebody else who wants the server's core.
fn neighbour(world: &World) -> Outcome<Process> {
    let mut spin = Command::new("sh");
    spin.args(["-c", "while :; do :; done"]);
    Process::start(&mut spin, &world.base.join("neighbour.log"))
}

/// Log-ins with more than enough under way.
async fn capacity(subject: &Subject, gate: &Gate, time: Duration) -> Outcome<Capacity> {
    let mut crew = Crew::default();
    for lane in 0..LANES {
        let (gate, meter) = (gate.clone(), crew.meter.clone());
        crew.add(async move {
            let mut turn = lane;
            while !meter.stop.get() {
                let name = user(COMERS.start + turn % COMERS.len());
                gate.online(&name, PASSWORD).await?.log_out().await?;
                meter.add(1);
                turn += LANES;
            }
            Ok(())
        });
    }
    let (begun, before) = (Instant::now(), subject.process.used()?);
    crew.work(time).await?;
    let done = crew.meter.done.get() as f64;
    let used = subject.process.used()?.since(before);
    let rate = done / begun.elapsed().as_secs_f64();
    crew.finish().await?;
    Ok(Capacity {
        rate,
        cost: used.micros() / done,
    })
}

/// Pairs that chat all the time; the longest that one of them waits.
async fn chatting(gate: &Gate, crew: &mut Crew) -> Outcome<Rc<Cell<Duration>>> {
    let slowest = Rc::new(Cell::new(Duration::ZERO));
    for (mut writer, mut reader) in chat::paired(online(gate, 0..2 * PAIRS).await?).await? {
        let (meter, slowest): (Rc<Meter>, _) = (crew.meter.clone(), slowest.clone());
        crew.add(async move {
            let mut clock = tokio::time::interval(CHAT);
            while !meter.stop.get() {
                clock.tick().await;
                let begun = Instant::now();
                writer.send(1).await?;
                meter.add(reader.arrived().await?);
                slowest.set(slowest.get().max(begun.elapsed()));
            }
            chat::end(writer, reader).await
        });
    }
    Ok(slowest)
}

/// Somebody who writes to somebody who is away; how many messages the server has acknowledged.
async fn writing(gate: &Gate, crew: &mut Crew) -> Outcome<Rc<Cell<u64>>> {
    let acknowledged = Rc::new(Cell::new(0u64));
    let (gate, meter, count) = (gate.clone(), crew.meter.clone(), acknowledged.clone());
    let mut writer = gate.online(&user(WRITER), PASSWORD).await?;
    crew.add(async move {
        let mut clock = tokio::time::interval(Duration::from_millis(50));
        while !meter.stop.get() {
            clock.tick().await;
            // An account keeps a thousand at most.
            if count.get() >= 900 {
                continue;
            }
            leave(&mut writer, ABSENT, count.get(), gate.domain()).await?;
            writer.settle().await?;
            count.set(count.get() + 1);
        }
        writer.log_out().await
    });
    Ok(acknowledged)
}

/// So many come in a second, whatever becomes of those before them.
async fn storm(
    subject: &Subject,
    gate: &Gate,
    tally: &Rc<Tally>,
    rate: f64,
    time: Duration,
) -> Outcome<Storm> {
    let mut comers = JoinSet::new();
    let mut clock = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let (begun, used, own) = (Instant::now(), subject.process.used()?, machine::own()?);
    let mut memory = 0.0f64;
    while begun.elapsed() < time {
        clock.tick().await;
        let number = tally.came.get();
        tally.came.set(number + 1);
        let (gate, tally) = (gate.clone(), tally.clone());
        let name = user(COMERS.start + number as usize % COMERS.len());
        comers.spawn_local(async move { tally.come(&gate, &name).await });
        while comers.try_join_next().is_some() {}
        if number.is_multiple_of(500) {
            memory = memory.max(subject.process.held()?.rss);
        }
    }
    let load = machine::own()?.since(own).micros() / begun.elapsed().as_micros() as f64;
    let used = subject.process.used()?.since(used);
    memory = memory.max(subject.process.held()?.rss);
    while comers.join_next().await.is_some() {}
    Ok(Storm { used, load, memory })
}

/// What became of those who came.
fn admitted(
    verdict: &mut Verdict,
    tally: &Tally,
    capacity: &Capacity,
    storm: &Storm,
    time: Duration,
) {
    let done = tally.done.get() as f64;
    println!(
        "of {} who came {done} got in, {} were refused, {} gave up after {PATIENCE:?}",
        tally.came.get(),
        tally.refused.get(),
        tally.late.get()
    );
    for (why, count) in tally.why.borrow().iter() {
        println!("  {count} × {why}");
    }
    let could = capacity.rate * time.as_secs_f64();
    let words = format!("{done} got in; in this time it can let in {could:.0}");
    verdict.judge(&words, done > could * USEFUL);
    let worth = storm.used.micros() / capacity.cost;
    let words = format!("they took the time of {worth:.0} that nothing disturbs");
    verdict.judge(&words, done > worth * USEFUL);
    let longest = tally.longest.get();
    let words = format!("whoever got in was in, and out again, within {longest:?}");
    verdict.judge(&words, longest < BOUND);
    let words = format!("nobody was kept waiting in vain, of {}", tally.came.get());
    verdict.judge(&words, tally.late.get() * 100 <= tally.came.get());
    let words = format!(
        "the load was busy for {:.0} % of the time",
        storm.load * 100.0
    );
    verdict.judge(&words, storm.load < LOAD);
}
