//! Mixed traffic for a long time, and nothing left of it: chat that is archived, log-ins and log-outs, connections that are cut,
//! presence, messages for people who are away, all of it also between two servers, whose streams come and go; rooms, nodes, files,
//! pages of the archive and sessions that are resumed ([`people`]). Memory must have
//! stopped growing by half-time, when the database's caches are full, and end where it was then; sessions, connections, tasks and
//! descriptors must be gone when everybody is, and the databases must have the rows that they had, and the archive. How long
//! anything took is not judged.

mod people;

use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::authority::{self, Domains};
use crate::client::{Client, Gate};
use crate::machine::descriptors;
use crate::scan;
use crate::scenario::chat::{self, Reader, Writer};
use crate::scenario::idle::{at_rest, quiet};
use crate::scenario::{Crew, Meter, offline, online};
use crate::subject::federated::{Accounts, Federated, Side};
use crate::subject::{Kind, federated::Setting};
use crate::world::{PASSWORD, World, user};

/// Pairs that chat all the time.
const PAIRS: usize = 20;
/// Accounts that come and go, each with a lane of its own.
const COMERS: std::ops::Range<usize> = 2 * PAIRS..2 * PAIRS + 12;
/// Accounts that are written to while they are away.
const ABSENT: std::ops::Range<usize> = COMERS.end..COMERS.end + 4;
/// Accounts that write to those.
const WRITERS: std::ops::Range<usize> = ABSENT.end..ABSENT.end + 4;
/// Domains of the other server.
const PEERS: usize = 3;
/// Accounts that chat with somebody there all the time.
const ABROAD: std::ops::Range<usize> = WRITERS.end..WRITERS.end + 6;
/// Accounts that write there so seldom that each time a stream is new.
const SELDOM: std::ops::Range<usize> = ABROAD.end..ABROAD.end + PEERS;
/// Accounts of the other server that come and go.
const FAR_COMERS: std::ops::Range<usize> = SELDOM.end..SELDOM.end + 2;
/// Accounts that meet in rooms, so many in each.
const MEETING: std::ops::Range<usize> = FAR_COMERS.end..FAR_COMERS.end + 10;
const TOGETHER: usize = 5;
/// Accounts that publish, that share files, and that come back to their sessions.
const PUBLISHERS: std::ops::Range<usize> = MEETING.end..MEETING.end + 2;
const SHARERS: std::ops::Range<usize> = PUBLISHERS.end..PUBLISHERS.end + 2;
const RETURNING: std::ops::Range<usize> = SHARERS.end..SHARERS.end + 2;
/// So long there is nothing between two of their messages …
const SILENCE: Duration = Duration::from_secs(45);
/// … and after this a stream without stanzas is closed.
const SETTING: Setting = Setting {
    archive: true,
    web: Some(people::WEB),
    more: "\n[federation]\nidle_seconds = 20\n",
};
/// What the caches of the database's connections take when they are full, in bytes: 16 MB that of the one which writes, and
/// allocators keep some.
const CACHES: f64 = 18e6;
/// When they are full, at the pace of the slower of the two.
const FILLED: Duration = Duration::from_mins(25);
/// How much more memory at the end than then is none: allocators keep some.
const GROWTH: f64 = 1.05;

/// The doors of the web and the database may keep so many descriptors more.
const SPARE: usize = 8;
/// Tables whose rows come and go by themselves: what was announced to other processes lies there for a day, what was seen
/// of a domain's records changes with each look, and what moved is told by the hour and the day.
const PASSING: &[&str] = &[
    "changes",
    "findings",
    "archive",
    "archive_waiting",
    "domain_hours",
    "domain_days",
    "tenant_hours",
    "tenant_days",
    "platform_hours",
    "platform_days",
];
/// Nothing may be left after this.
const PATIENCE: Duration = Duration::from_secs(300);

/// Accounts that it needs.
pub const USERS: usize = RETURNING.end;

/// How fast each of those who are at work goes on to the next unit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace(pub Duration);

impl Pace {
    async fn rest(self) {
        if !self.0.is_zero() {
            tokio::time::sleep_until(tokio::time::Instant::now() + self.0).await;
        }
    }
}

/// One of each in turn: a proper goodbye, and a connection that is cut.
async fn come_and_go(gate: Gate, number: usize, meter: Rc<Meter>, pace: Pace) -> Outcome<()> {
    let mut turn = 0usize;
    while !meter.stop.get() {
        pace.rest().await;
        let mut client = gate.online(&user(number), PASSWORD).await?;
        client
            .connection
            .send(b"<presence><show>away</show></presence>")
            .await?;
        client.settle().await?;
        match turn % 2 {
            0 => client.log_out().await?,
            _ => drop(client),
        }
        turn += 1;
        meter.add(1);
    }
    Ok(())
}

/// Writes to somebody who is away, who then comes and must find all of it, once and in order.
pub(crate) async fn away(
    gate: Gate,
    writer: usize,
    absent: usize,
    meter: Rc<Meter>,
    pace: Pace,
) -> Outcome<()> {
    const MESSAGES: u64 = 5;
    let mut writer = gate.online(&user(writer), PASSWORD).await?;
    let mut number = 0;
    while !meter.stop.get() {
        pace.rest().await;
        for each in number..number + MESSAGES {
            leave(&mut writer, absent, each, gate.domain()).await?;
        }
        // What follows on the stream is answered when the messages are kept.
        writer.settle().await?;
        let mut client = gate.online_raw(&user(absent), PASSWORD).await?;
        for each in number..number + MESSAGES {
            find(&mut client, absent, each).await?;
        }
        client.log_out().await?;
        number += MESSAGES;
        meter.add(MESSAGES);
    }
    writer.log_out().await
}

/// Sends a message to an account that is away.
pub(crate) async fn leave(
    writer: &mut Client,
    absent: usize,
    number: u64,
    domain: &str,
) -> Outcome<()> {
    let mut text = format!(
        "<message to='{}@{domain}' type='chat' id='o{number}'><body>",
        user(absent)
    )
    .into_bytes();
    chat::body(&mut text, absent, number);
    text.extend_from_slice(b"</body></message>");
    writer.connection.send(&text).await
}

/// That message is due.
pub(crate) async fn find(client: &mut Client, absent: usize, number: u64) -> Outcome<()> {
    let mut expected = Vec::new();
    chat::body(&mut expected, absent, number);
    loop {
        let item = client.connection.element().await?;
        if !scan::is(item.as_bytes(), "message") {
            continue;
        }
        if scan::text(item.as_bytes(), "body") == Some(&expected) {
            return Ok(());
        }
        return Err(format!("message {number} for {absent} was due: {item}").into());
    }
}

/// A number from the server's own metrics; with a label where the name has one.
async fn metric(side: &Side, name: &str) -> Outcome<f64> {
    let at = (side.gate.server().ip(), 9090);
    let mut tcp = TcpStream::connect(at).await?;
    tcp.write_all(b"GET /metrics HTTP/1.0\r\nHost: bench\r\n\r\n")
        .await?;
    let mut text = String::new();
    tcp.read_to_string(&mut text).await?;
    let lines = text.lines().filter(|line| {
        let rest = line
            .strip_prefix("domicile_")
            .and_then(|line| line.strip_prefix(name));
        rest.is_some_and(|rest| rest.starts_with(['{', ' ']))
    });
    let values: Vec<f64> = lines
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    if values.is_empty() {
        return Err(format!("there is no metric domicile_{name}").into());
    }
    Ok(values.iter().sum())
}

/// Rows of each table of a server's SQLite file, by SQLite's own program; nothing where that is not installed.
fn rows(world: &World, side: &str) -> Outcome<BTreeMap<String, u64>> {
    let file = world.base.join(side).join("domicile.db");
    let ask = |sql: &str| -> Outcome<String> {
        let told = Command::new("sqlite3")
            .arg("-readonly")
            .arg(&file)
            .arg(sql)
            .output()?;
        Ok(String::from_utf8(told.stdout)?)
    };
    if Command::new("sqlite3").arg("--version").output().is_err() {
        println!("rows are not counted: there is no program sqlite3");
        return Ok(BTreeMap::new());
    }
    let mut found = BTreeMap::new();
    for table in
        ask("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")?
            .lines()
    {
        let count = ask(&format!("SELECT COUNT(*) FROM \"{table}\""))?;
        found.insert(table.to_owned(), count.trim().parse()?);
    }
    Ok(found)
}

/// Whether memory, in bytes after each step of so long, stays what it is once the caches of the database are full ([`FILLED`]).
/// Where more than half of the run is over by then, all that can be said is that no more than these caches has come ([`CACHES`]).
fn memory(held: &[f64], step: Duration) -> (String, bool) {
    let first = held.first().copied().unwrap_or_default();
    let last = held.last().copied().unwrap_or_default();
    let full = held
        .iter()
        .enumerate()
        .find(|(at, _)| step.saturating_mul(*at as u32 + 1) >= FILLED);
    let end = format!("{:.1} MB at the end", last / 1e6);
    match full {
        Some((at, then)) if at < held.len() / 2 => {
            let words = format!("{end}, {:.1} MB after step {}", then / 1e6, at + 1);
            (words, last <= then * GROWTH)
        }
        _ => {
            let words = format!(
                "{end}, {:.1} MB after the first step, of {:.0} MB more that caches may take; a longer run says more",
                first / 1e6,
                CACHES / 1e6
            );
            (words, last - first <= CACHES)
        }
    }
}

/// One of the two servers, and what it was like when nobody was there.
struct Watched<'a> {
    name: &'static str,
    side: &'a Side,
    files: usize,
    tasks: f64,
    rows: BTreeMap<String, u64>,
    held: Vec<f64>,
    step: Duration,
}

impl<'a> Watched<'a> {
    async fn new(
        name: &'static str,
        side: &'a Side,
        world: &World,
        step: Duration,
    ) -> Outcome<Self> {
        quiet(&side.process).await?;
        let watched = Self {
            name,
            side,
            files: descriptors(side.process.id()),
            tasks: metric(side, "tasks").await?,
            rows: rows(world, name)?,
            held: Vec::new(),
            step,
        };
        println!(
            "{name} at rest: {:.1} MB, {} descriptors, {} tasks, {} rows",
            at_rest(&side.process).await? / 1e6,
            watched.files,
            watched.tasks,
            watched.rows.values().sum::<u64>()
        );
        Ok(watched)
    }

    async fn glance(&mut self) -> Outcome<String> {
        let memory = self.side.process.held()?.rss;
        self.held.push(memory);
        Ok(format!(
            "{} {:.1} MB, {} descriptors, {} tasks",
            self.name,
            memory / 1e6,
            descriptors(self.side.process.id()),
            metric(self.side, "tasks").await?,
        ))
    }

    /// What is left when everybody has gone; whether it is nothing.
    async fn end(&self, world: &World) -> Outcome<bool> {
        let mut good = true;
        let mut judge = |words: String, holds: bool| {
            println!(
                "{}: {}: {words}",
                if holds { "good" } else { "BAD" },
                self.name
            );
            good &= holds;
        };
        // Cut connections are noticed when the kernel tells, and closed ones are let go a little later.
        let (mut clock, over) = (
            tokio::time::interval(Duration::from_millis(500)),
            Instant::now(),
        );
        let (sessions, connections, tasks, left) = loop {
            clock.tick().await;
            let sessions = metric(self.side, "sessions").await?;
            let connections = metric(self.side, "connections").await?;
            let tasks = metric(self.side, "tasks").await?;
            let left = descriptors(self.side.process.id());
            let gone = sessions == 0.0 && connections == 0.0;
            let rest = tasks <= self.tasks && left <= self.files + SPARE;
            if (gone && rest) || over.elapsed() > PATIENCE {
                break (sessions, connections, tasks, left);
            }
        };
        judge(format!("{sessions} sessions left"), sessions == 0.0);
        let words = format!("{connections} connections left");
        judge(words, connections == 0.0);
        judge(
            format!("{left} descriptors, {} before", self.files),
            left <= self.files + SPARE,
        );
        judge(
            format!("{tasks} tasks, {} before", self.tasks),
            tasks <= self.tasks,
        );
        let (words, holds) = memory(&self.held, self.step);
        judge(words, holds);
        let after = rows(world, self.name)?;
        let other: Vec<String> = after
            .iter()
            .filter(|(table, _)| !PASSING.contains(&table.as_str()))
            .filter(|(table, count)| self.rows.get(*table) != Some(*count))
            .map(|(table, count)| {
                let was = self.rows.get(table).copied().unwrap_or_default();
                format!("{table} has {count}, and had {was}")
            })
            .collect();
        judge(
            format!(
                "{} rows, {} before, {} of them archived messages{}{}",
                after.values().sum::<u64>(),
                self.rows.values().sum::<u64>(),
                after.get("archive").copied().unwrap_or_default(),
                if other.is_empty() { "" } else { ": " },
                other.join(", ")
            ),
            other.is_empty(),
        );
        Ok(good)
    }
}

/// Somebody near each with somebody at one of the peers.
async fn abroad(
    both: &Federated,
    numbers: std::ops::Range<usize>,
) -> Outcome<Vec<(Writer, Reader)>> {
    let mut clients = Vec::new();
    for number in numbers {
        clients.push(both.near.gate.online(&user(number), PASSWORD).await?);
        let far = both.far.gate.to(&authority::domain(number % PEERS));
        clients.push(far.online(&user(number), PASSWORD).await?);
    }
    chat::paired(clients).await
}

/// One message at a time; how long nothing follows it.
async fn talk(
    (mut writer, mut reader): (Writer, Reader),
    meter: Rc<Meter>,
    pace: Pace,
    silence: Duration,
) -> Outcome<()> {
    let mut clock = tokio::time::interval(Duration::from_secs(1));
    while !meter.stop.get() {
        pace.rest().await;
        writer.send(1).await?;
        meter.add(reader.arrived().await?);
        let said = Instant::now();
        while said.elapsed() < silence && !meter.stop.get() {
            clock.tick().await;
        }
    }
    chat::end(writer, reader).await
}

/// Those who do something else than write.
fn add_people(crew: &mut Crew, gate: &Gate, pace: Pace) {
    let meter = crew.meter.clone();
    for first in MEETING.step_by(TOGETHER) {
        let together = first..first + TOGETHER;
        crew.add(people::meet(gate.clone(), together, meter.clone(), pace));
    }
    for number in PUBLISHERS {
        crew.add(people::publish(gate.clone(), number, meter.clone(), pace));
    }
    for number in SHARERS {
        crew.add(people::share(gate.clone(), number, meter.clone(), pace));
    }
    for number in RETURNING {
        crew.add(people::come_back(gate.clone(), number, meter.clone(), pace));
    }
    // Two of those who chat.
    for number in 0..2 {
        crew.add(people::look_back(gate.clone(), number, meter.clone(), pace));
    }
}

/// Runs for so long; what was seen, and whether it was good.
pub async fn run(world: &World, time: Duration, pace: Pace) -> Outcome<bool> {
    let domains = Domains::make(&world.fresh("peers")?, PEERS)?;
    let mut accounts = Accounts::new();
    for number in ABROAD.start..FAR_COMERS.end {
        accounts.entry(number % PEERS).or_default().insert(number);
    }
    let both = Federated::start(Kind::Domicile, world, &domains, &accounts, &SETTING)?;
    // Whatever the first sessions and streams bring into memory is the process's, and what they teach is kept.
    offline(online(&both.near.gate, 0..2 * PAIRS).await?).await?;
    for (mut writer, mut reader) in abroad(&both, ABROAD.start..SELDOM.end).await? {
        writer.send(1).await?;
        reader.arrived().await?;
        chat::end(writer, reader).await?;
    }
    let steps = 12;
    let mut near = Watched::new("near", &both.near, world, time / steps).await?;
    let mut far = Watched::new("far", &both.far, world, time / steps).await?;

    let mut crew = Crew::default();
    let gate = &both.near.gate;
    let local = chat::paired(online(gate, 0..2 * PAIRS).await?).await?;
    let often = local.into_iter().chain(abroad(&both, ABROAD).await?);
    for pair in often {
        crew.add(talk(pair, crew.meter.clone(), pace, Duration::ZERO));
    }
    for pair in abroad(&both, SELDOM).await? {
        crew.add(talk(pair, crew.meter.clone(), pace, SILENCE));
    }
    for number in COMERS {
        let meter = crew.meter.clone();
        crew.add(come_and_go(gate.clone(), number, meter, pace));
    }
    for number in FAR_COMERS {
        let far = both.far.gate.to(&authority::domain(number % PEERS));
        crew.add(come_and_go(far, number, crew.meter.clone(), pace));
    }
    for (absent, writer) in ABSENT.zip(WRITERS) {
        let meter = crew.meter.clone();
        crew.add(away(gate.clone(), writer, absent, meter, pace));
    }
    add_people(&mut crew, gate, pace);
    let begun = Instant::now();
    for step in 1..=steps {
        crew.work(time / steps).await?;
        println!(
            "{:>6.0} s: {}; {}; {} units, step {step} of {steps}",
            begun.elapsed().as_secs_f64(),
            near.glance().await?,
            far.glance().await?,
            crew.meter.done.get()
        );
    }
    crew.finish().await?;

    let mut good = true;
    // Everybody who was away found everything once: nothing is kept.
    for absent in ABSENT {
        let mut client = gate.online_raw(&user(absent), PASSWORD).await?;
        let more = client.until_settled().await?;
        println!(
            "{}: {more} kept messages left for {}",
            if more == 0 { "good" } else { "BAD" },
            user(absent)
        );
        good &= more == 0;
        client.log_out().await?;
    }
    for watched in [&near, &far] {
        quiet(&watched.side.process).await?;
        good &= watched.end(world).await?;
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_may_fill_caches_and_no_more() {
        let minutes = Duration::from_mins;
        // An hour: full after the fifth step.
        let cache = [
            50e6, 54e6, 58e6, 62e6, 66e6, 66.2e6, 66e6, 66e6, 66e6, 66e6, 66e6, 66.4e6,
        ];
        let words = "66.4 MB at the end, 66.0 MB after step 5";
        assert_eq!(memory(&cache, minutes(5)), (words.to_owned(), true));
        let slow: Vec<f64> = (0..12).map(|step| 66e6 * 1.008_f64.powi(step)).collect();
        assert!(
            !memory(&slow, minutes(5)).1,
            "a leak of less than a hundredth may add"
        );
        let late: Vec<f64> = (0..12)
            .map(|step| 50e6 + 1e6 * f64::from((step - 7).max(0)))
            .collect();
        assert!(!memory(&late, minutes(5)).1, "it begins to grow late");
        // Ten minutes.
        let filling: Vec<f64> = (0..12).map(|step| 44e6 + 1.4e6 * f64::from(step)).collect();
        assert!(memory(&filling, minutes(1)).1);
        let fast: Vec<f64> = (0..12).map(|step| 66e6 * 1.03_f64.powi(step)).collect();
        assert!(!memory(&fast, minutes(1)).1, "more than the caches");
    }
}
