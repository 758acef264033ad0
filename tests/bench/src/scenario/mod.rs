//! What is measured: units of work, each with what it may cost, and how a server is made to do it.
//!
//! A scenario connects its sessions, lets them work, and looks at the server's CPU time and at the count of units done at
//! the beginning and the end of each repetition. Whatever is lost, doubled, out of order or altered fails the run.

pub(crate) mod chat;
mod copies;
pub mod domains;
pub(crate) mod idle;
mod login;
mod offline;
mod ping;
mod presence;
pub(crate) mod room;
mod roster;

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub use self::idle::at_rest;
use clap::ValueEnum;
use serde::Serialize;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::client::{Client, Gate};
use crate::floor;
use crate::machine::{Process, Used};
use crate::subject::{Kind, Options, Subject};
use crate::world::{PASSWORD, World, user};

/// So many times as many domains are there for what each further one takes.
pub(crate) const FURTHER: usize = 10;
/// Without any unit done for this long, something is lost.
const STALL: Duration = Duration::from_secs(60);
/// How long the sessions of a scenario may take to come and go.
const PREPARATION: Duration = Duration::from_secs(300);

/// Accounts that have rosters, by number; the others have none.
const ROSTERS: Range<usize> = 2 * chat::PAIRS..2 * chat::PAIRS + 50;
/// Accounts of the groups whose members see each other's presence.
const PRESENCES: Range<usize> =
    ROSTERS.end..ROSTERS.end + presence::GROUPS * (presence::CONTACTS + 1);

/// How the figure of a scenario reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Microseconds of CPU time.
    Micros,
    /// Instructions.
    Instructions,
    /// Bytes of memory.
    Bytes,
}

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Chat between 100 pairs, one message in flight each.
    Chat,
    /// The same, eight in flight.
    Chat8,
    /// The same, 1,000 messages a second in all.
    ChatPaced,
    /// Chat between 50 pairs of accounts with two sessions each, one message in flight: three deliveries (XEP-0280).
    Carbons,
    /// Chat as in the first, archived for both sides (XEP-0313).
    Archive,
    /// A ping of the server answered.
    Ping,
    /// A roster of 20 contacts fetched.
    Roster,
    /// A message kept for somebody who is away, and found.
    Offline,
    /// Presence told to 20 contacts, one in flight; each contact is one unit.
    Presence,
    /// The same, eight in flight.
    Presence8,
    /// A message told to the 200 occupants of a room, one in flight; each occupant is one unit.
    Room,
    /// The same, eight in flight.
    Room8,
    /// TCP, STARTTLS, SCRAM-SHA-256, bind, presence; and the goodbye.
    Login,
    /// TCP, STARTTLS and two streams.
    Handshake,
    /// A session that is online and does nothing.
    IdleSession,
    /// The process with one domain and nobody there.
    IdleProcess,
    /// What that process does by itself, in a second.
    IdleTime,
    /// Starting with many domains.
    Start,
    /// A domain with a certificate of its own that nobody uses.
    DomainIdle,
    /// The same where there are ten times as many: what each of the others takes.
    DomainSlope,
    /// A domain once it was used, on top of that.
    DomainUsed,
    /// The first handshake of a domain: TCP, STARTTLS and two streams.
    DomainFirst,
}

impl Scenario {
    /// All that can run, in the order of the table.
    pub const ALL: &[Self] = &[
        Self::Chat,
        Self::Chat8,
        Self::ChatPaced,
        Self::Carbons,
        Self::Archive,
        Self::Presence,
        Self::Presence8,
        Self::Room,
        Self::Room8,
        Self::Ping,
        Self::Roster,
        Self::Offline,
        Self::Login,
        Self::Handshake,
        Self::IdleSession,
        Self::IdleProcess,
        Self::IdleTime,
        Self::DomainIdle,
        Self::DomainSlope,
        Self::DomainUsed,
        Self::DomainFirst,
        Self::Start,
    ];

    /// What a server needs beyond accounts to run it.
    pub fn options(self) -> Options<'static> {
        Options {
            archive: self == Self::Archive,
            ..Options::default()
        }
    }

    /// The unit of work, in words.
    pub fn words(self, size: &Size) -> String {
        let words = match self {
            Self::Chat => {
                "chat message between two local users, 100 pairs, 200 bytes, 1 in flight each"
            }
            Self::Chat8 => "the same, 8 in flight",
            Self::ChatPaced => "the same, paced at 1,000 messages/s",
            Self::Carbons => "chat with carbons (XEP-0280), 3 deliveries",
            Self::Archive => "chat, 1 in flight, archived (XEP-0313) for both sides",
            Self::Ping => "iq ping answered",
            Self::Roster => "roster of 20 fetched",
            Self::Offline => {
                "message kept for somebody who is away, 8 writers, 10 at a time, and found"
            }
            Self::Presence => "presence broadcast, per contact delivered, 20 contacts, 1 in flight",
            Self::Presence8 => {
                "presence broadcast, per contact delivered, 20 contacts, 8 in flight"
            }
            Self::Room => {
                "room message (XEP-0045), per occupant delivered, 200 occupants, 1 in flight"
            }
            Self::Room8 => {
                "room message (XEP-0045), per occupant delivered, 200 occupants, 8 in flight"
            }
            Self::Login => "login and logout: TCP, STARTTLS, SCRAM-SHA-256, bind, presence",
            Self::Handshake => "TCP, STARTTLS and two streams only",
            Self::IdleSession => "memory per idle TLS session",
            Self::IdleProcess => "memory of the idle process, one domain",
            Self::IdleTime => "the idle process, one domain, in a second",
            Self::Start => "start, until somebody is logged in, with domains:",
            Self::DomainIdle => "memory per hosted domain with its own certificate, idle",
            Self::DomainSlope => "memory of each further domain, with domains:",
            Self::DomainUsed => "memory of a domain once used, on top",
            Self::DomainFirst => "first handshake of a domain: TCP, STARTTLS and two streams",
        };
        match self {
            Self::Start => format!("{words} {}", size.domains),
            Self::DomainSlope => format!("{words} {}", FURTHER * size.domains),
            Self::IdleSession => format!("{words}, {} online", size.idle_sessions),
            _ => words.to_owned(),
        }
    }

    /// What the figure counts.
    pub fn unit(self) -> Unit {
        match self {
            Self::IdleSession
            | Self::IdleProcess
            | Self::DomainIdle
            | Self::DomainSlope
            | Self::DomainUsed => Unit::Bytes,
            _ => Unit::Micros,
        }
    }

    /// What it may cost, and what it could: budget and stretch, in the scenario's unit. `None`: nothing is asked.
    pub fn budget(self) -> Option<(f64, f64)> {
        Some(match self {
            Self::Chat => (9.0, 6.0),
            Self::Chat8 => (5.0, 3.5),
            Self::ChatPaced => (40.0, 30.0),
            Self::Carbons => (18.0, 12.0),
            Self::Archive => (25.0, 15.0),
            Self::Ping => (7.0, 5.5),
            Self::Roster => (15.0, 10.0),
            // A write for each delivery costs more than this by itself: it is asked of what can be written together.
            Self::Presence | Self::Room => return None,
            // Nothing was laid down.
            Self::Offline | Self::IdleTime => return None,
            Self::Presence8 => (3.5, 2.5),
            Self::Room8 => (2.5, 1.5),
            Self::Login => (450.0, 350.0),
            Self::Handshake => (300.0, 240.0),
            Self::IdleSession => (16e3, 13e3),
            Self::IdleProcess => (25e6, 15e6),
            // Asked for 10,000 and 100,000; `domicile-bench curves` goes there.
            Self::Start => (1e6, 1e6),
            Self::DomainIdle | Self::DomainSlope => (4e3, 1e3),
            Self::DomainUsed => (20e3, 8e3),
            Self::DomainFirst => (1_000.0, 500.0),
        })
    }

    /// Accounts that it needs.
    pub fn users(self, size: &Size) -> usize {
        match self {
            Self::IdleSession => size.idle_sessions,
            Self::IdleProcess
            | Self::IdleTime
            | Self::Start
            | Self::DomainIdle
            | Self::DomainSlope
            | Self::DomainUsed
            | Self::DomainFirst => 1,
            _ => PRESENCES.end,
        }
    }
}

/// What has a budget and no scenario, because the server cannot do it yet: work, budget and stretch in microseconds.
/// Whoever builds one of them adds its scenario above and takes its line away here.
pub const LATER: &[(&str, f64, f64)] = &[];

/// How much of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Size {
    /// Repetitions.
    pub repeat: usize,
    /// Seconds of each that are measured.
    pub seconds: f64,
    /// Sessions that are online and idle.
    pub idle_sessions: usize,
    /// Hosted domains.
    pub domains: usize,
}

impl Size {
    /// Seconds of a repetition at least where the server is idle most of the time.
    const PACED: f64 = 10.0;

    /// The same for a scenario with a pace.
    pub(crate) fn paced(self) -> Self {
        Self {
            seconds: self.seconds.max(Self::PACED),
            ..self
        }
    }
}

/// What is kept between the scenarios of one server.
#[derive(Default)]
pub struct State {
    running: Option<Subject>,
    domains: Option<domains::Found>,
}

/// One repetition.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Sample {
    /// Cost of a unit, in the scenario's unit.
    pub value: f64,
    /// Units done in it.
    pub units: u64,
    /// Units in a second by the wall; 0 where it says nothing.
    pub per_second: f64,
    /// Time that a database of its own took for a unit, on top, in microseconds.
    pub database: f64,
}

/// Runs one scenario on one kind of server. `None`: it has no such thing.
pub async fn run(
    scenario: Scenario,
    kind: Kind,
    world: &World,
    size: &Size,
    state: &mut State,
) -> Outcome<Option<Vec<Sample>>> {
    if kind == Kind::Floor {
        return floor::run(scenario, world, size).await;
    }
    measured(scenario, kind, world, size, state).await.map(Some)
}

async fn measured(
    scenario: Scenario,
    kind: Kind,
    world: &World,
    size: &Size,
    state: &mut State,
) -> Outcome<Vec<Sample>> {
    match scenario {
        Scenario::Start | Scenario::DomainIdle | Scenario::DomainUsed | Scenario::DomainFirst => {
            state.running = None;
            if state.domains.is_none() {
                state.domains = Some(domains::run(kind, world, size).await?);
            }
            let found = state
                .domains
                .as_ref()
                .and_then(|found| found.get(&scenario));
            return found.cloned().ok_or_else(|| "nothing was found".into());
        }
        Scenario::DomainSlope => {
            state.running = None;
            return domains::slope(kind, world, size).await;
        }
        // Memory is that of a fresh process; time is not.
        Scenario::IdleSession | Scenario::IdleProcess | Scenario::IdleTime => {
            state.running = None;
            return idle::run(scenario, kind, world, size).await;
        }
        // The others keep nothing: this one has an installation of its own.
        Scenario::Archive => {
            state.running = None;
            let subject = Subject::start_with(kind, world, &scenario.options())?;
            let samples = patiently(scenario, &subject, size).await;
            if let Some((rows, commits)) = subject.archived()? {
                let each = rows / commits.max(1.0);
                eprint!("{each:.0} archived messages in each of {commits:.0} commits, ");
            }
            return samples;
        }
        _ => {}
    }
    if state.running.is_none() {
        let subject = Subject::start_with(kind, world, &scenario.options())?;
        state.running = Some(subject);
    }
    let subject = state.running.as_ref().ok_or("no server")?;
    patiently(scenario, subject, size).await
}

async fn patiently(scenario: Scenario, subject: &Subject, size: &Size) -> Outcome<Vec<Sample>> {
    let seconds = match scenario {
        Scenario::ChatPaced => size.paced().seconds,
        _ => size.seconds,
    };
    let all = Duration::from_secs_f64(seconds * (size.repeat + 1) as f64) + PREPARATION;
    match tokio::time::timeout(all, run_on(scenario, subject, size)).await {
        Ok(done) => done,
        Err(_) => Err("its sessions do not come about: something is lost".into()),
    }
}

/// Runs a scenario that measures time on a server that runs.
pub async fn run_on(scenario: Scenario, subject: &Subject, size: &Size) -> Outcome<Vec<Sample>> {
    match scenario {
        Scenario::Chat | Scenario::Archive => chat::run(subject, 1, size).await,
        Scenario::Carbons => copies::run(subject, size).await,
        Scenario::Chat8 => chat::run(subject, 8, size).await,
        Scenario::ChatPaced => chat::run_paced(subject, 1_000, size).await,
        Scenario::Ping => ping::run(subject, size).await,
        Scenario::Roster => roster::run(subject, size).await,
        Scenario::Offline => offline::run(subject, size).await,
        Scenario::Presence => presence::run(subject, 1, size).await,
        Scenario::Presence8 => presence::run(subject, 8, size).await,
        Scenario::Room => room::run(subject, 1, size).await,
        Scenario::Room8 => room::run(subject, 8, size).await,
        Scenario::Login => login::run(subject, login::Depth::Session, size).await,
        Scenario::Handshake => login::run(subject, login::Depth::Streams, size).await,
        _ => Err("it is measured otherwise".into()),
    }
}

/// What the tasks of a scenario share with whoever measures.
#[derive(Default)]
pub struct Meter {
    /// Units done.
    pub done: Cell<u64>,
    /// Begin nothing new; finish what is under way.
    pub stop: Cell<bool>,
}

impl Meter {
    /// So many more are done.
    pub fn add(&self, units: u64) {
        self.done.set(self.done.get() + units);
    }
}

/// Tasks of a scenario at work.
pub struct Crew {
    /// Shared with them.
    pub meter: Rc<Meter>,
    tasks: JoinSet<Outcome<()>>,
}

impl Default for Crew {
    fn default() -> Self {
        Self {
            meter: Rc::default(),
            tasks: JoinSet::new(),
        }
    }
}

impl Crew {
    /// Adds a task.
    pub fn add(&mut self, work: impl Future<Output = Outcome<()>> + 'static) {
        self.tasks.spawn_local(work);
    }

    /// Measures the server while the tasks work, `repeat` times, then lets them finish.
    pub async fn measure(self, subject: &Subject, size: &Size) -> Outcome<Vec<Sample>> {
        self.measure_both(&subject.process, subject.database(), size)
            .await
    }

    /// The same for a server and the database that works for it.
    pub async fn measure_both(
        mut self,
        process: &Process,
        database: Option<&Process>,
        size: &Size,
    ) -> Outcome<Vec<Sample>> {
        let aside = || database.map(Process::used).transpose();
        self.work(Duration::from_secs_f64((size.seconds / 3.0).min(1.0)))
            .await?;
        let mut samples = Vec::new();
        for _ in 0..size.repeat {
            let (begun, before, count): (Instant, Used, u64) =
                (Instant::now(), process.used()?, self.meter.done.get());
            let other = aside()?.unwrap_or_default();
            self.work(Duration::from_secs_f64(size.seconds)).await?;
            let used = process.used()?.since(before);
            let other = aside()?.unwrap_or_default().since(other);
            let units = self.meter.done.get() - count;
            if units == 0 {
                return Err("nothing was done".into());
            }
            samples.push(Sample {
                value: used.micros() / units as f64,
                units,
                per_second: units as f64 / begun.elapsed().as_secs_f64(),
                database: other.micros() / units as f64,
            });
        }
        self.finish().await?;
        Ok(samples)
    }

    /// Lets the tasks work for so long. A task that ends before it is told has failed; so has work that stands still.
    pub async fn work(&mut self, time: Duration) -> Outcome<()> {
        let end = tokio::time::Instant::now() + time;
        let mut last = (self.meter.done.get(), Instant::now());
        loop {
            let glance = (tokio::time::Instant::now() + Duration::from_secs(1)).min(end);
            tokio::select! {
                ended = self.tasks.join_next() => return Err(reason(ended)),
                () = tokio::time::sleep_until(glance) => {}
            }
            let now = self.meter.done.get();
            if now != last.0 {
                last = (now, Instant::now());
            } else if last.1.elapsed() > STALL {
                return Err(format!("nothing for {STALL:?}: something is lost").into());
            }
            if tokio::time::Instant::now() >= end {
                return Ok(());
            }
        }
    }

    /// Tells the tasks to stop and waits for them; each makes sure that everything of its own has arrived.
    pub async fn finish(mut self) -> Outcome<()> {
        self.meter.stop.set(true);
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                match ended {
                    Ok(Ok(())) => {}
                    other => return Err(reason(Some(other))),
                }
            }
            Ok(())
        };
        match tokio::time::timeout(STALL, all).await {
            Ok(done) => done,
            Err(_) => Err(format!("no end within {STALL:?}: something is lost").into()),
        }
    }
}

fn reason(ended: Option<Result<Outcome<()>, tokio::task::JoinError>>) -> crate::Failure {
    match ended {
        None => "there was nothing to do".into(),
        Some(Ok(Ok(()))) => "a task ended early".into(),
        Some(Ok(Err(error))) => error,
        Some(Err(error)) => error.to_string().into(),
    }
}

/// Brings accounts online, a few at a time, by their numbers; the order is kept.
pub async fn online(gate: &Gate, numbers: std::ops::Range<usize>) -> Outcome<Vec<Client>> {
    const AT_ONCE: usize = 16;
    let mut tasks = JoinSet::new();
    let mut rest = numbers.clone();
    let mut clients: Vec<Option<Client>> = numbers.clone().map(|_| None).collect();
    loop {
        while tasks.len() < AT_ONCE
            && let Some(number) = rest.next()
        {
            let gate = gate.clone();
            let at = number - numbers.start;
            tasks.spawn_local(async move { (at, gate.online(&user(number), PASSWORD).await) });
        }
        let Some(done) = tasks.join_next().await else {
            break;
        };
        let (at, client) = done?;
        clients[at] = Some(client?);
    }
    Ok(clients.into_iter().flatten().collect())
}

/// Logs all of them out.
pub async fn offline(clients: Vec<Client>) -> Outcome<()> {
    let mut tasks = JoinSet::new();
    for client in clients {
        tasks.spawn_local(client.log_out());
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
