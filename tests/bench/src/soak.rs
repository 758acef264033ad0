//! Mixed traffic for a long time, and nothing left of it: chat, log-ins and log-outs, connections that are cut, presence,
//! messages for people who are away. Memory must end where it was after the first third; sessions, connections, tasks and
//! descriptors must be gone when everybody is, and the database must have the rows that it had.

use std::collections::BTreeMap;
use std::process::Command;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Outcome;
use crate::client::{Client, Gate};
use crate::machine::descriptors;
use crate::scan;
use crate::scenario::chat;
use crate::scenario::idle::{at_rest, quiet};
use crate::scenario::{Crew, Meter, offline, online};
use crate::subject::{Kind, Subject};
use crate::world::{PASSWORD, World, user};

/// Pairs that chat all the time.
const PAIRS: usize = 20;
/// Accounts that come and go, each with a lane of its own.
const COMERS: std::ops::Range<usize> = 2 * PAIRS..2 * PAIRS + 12;
/// Accounts that are written to while they are away.
const ABSENT: std::ops::Range<usize> = COMERS.end..COMERS.end + 4;
/// Accounts that write to those.
const WRITERS: std::ops::Range<usize> = ABSENT.end..ABSENT.end + 4;
/// How much more memory at the end than after a third is none: allocators keep some.
const GROWTH: f64 = 1.05;

/// The doors of the web and the database may keep so many descriptors more.
const SPARE: usize = 8;
/// Tables whose rows come and go by themselves: what was announced to other processes lies there for a day.
const PASSING: &[&str] = &["changes"];
/// Nothing may be left after this.
const PATIENCE: Duration = Duration::from_secs(60);

/// Accounts that it needs.
pub const USERS: usize = WRITERS.end;

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

/// A number from the server's own metrics.
pub(crate) async fn metric(subject: &Subject, name: &str) -> Outcome<f64> {
    let at = (subject.gate.server().ip(), 9090);
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

/// Rows of each table of the subject's SQLite file, by SQLite's own program; nothing where that is not installed.
fn rows(world: &World) -> Outcome<BTreeMap<String, u64>> {
    let file = world.base.join("domicile/domicile.db");
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

/// Runs for so long; what was seen, and whether it was good.
pub async fn run(world: &World, time: Duration, pace: Pace) -> Outcome<bool> {
    let subject = Subject::start(Kind::Domicile, world)?;
    // Whatever the first sessions bring into memory is the process's.
    offline(online(&subject.gate, 0..2 * PAIRS).await?).await?;
    quiet(&subject.process).await?;
    let (files, id) = (descriptors(subject.process.id()), subject.process.id());
    let before = rows(world)?;
    let tasks = metric(&subject, "tasks").await?;
    println!(
        "at rest: {:.1} MB, {files} descriptors, {tasks} tasks, {} rows",
        at_rest(&subject.process).await? / 1e6,
        before.values().sum::<u64>()
    );

    let mut crew = Crew::default();
    for (mut writer, mut reader) in chat::paired(online(&subject.gate, 0..2 * PAIRS).await?).await?
    {
        let meter = crew.meter.clone();
        crew.add(async move {
            while !meter.stop.get() {
                pace.rest().await;
                writer.send(1).await?;
                meter.add(reader.arrived().await?);
            }
            chat::end(writer, reader).await
        });
    }
    for number in COMERS {
        crew.add(come_and_go(
            subject.gate.clone(),
            number,
            crew.meter.clone(),
            pace,
        ));
    }
    for (absent, writer) in ABSENT.zip(WRITERS) {
        crew.add(away(
            subject.gate.clone(),
            writer,
            absent,
            crew.meter.clone(),
            pace,
        ));
    }
    let (begun, steps) = (Instant::now(), 12);
    let mut held = Vec::new();
    for step in 1..=steps {
        crew.work(time / steps).await?;
        let memory = subject.process.held()?.rss;
        held.push(memory);
        println!(
            "{:>6.0} s: {:.1} MB, {} descriptors, {} tasks, {} units, step {step} of {steps}",
            begun.elapsed().as_secs_f64(),
            memory / 1e6,
            descriptors(id),
            metric(&subject, "tasks").await?,
            crew.meter.done.get()
        );
    }
    crew.finish().await?;
    quiet(&subject.process).await?;

    let mut good = true;
    let mut judge = |words: String, holds: bool| {
        println!("{}: {words}", if holds { "good" } else { "BAD" });
        good &= holds;
    };
    // Cut connections are noticed when the kernel tells, and closed ones are let go a little later.
    let (mut clock, over) = (
        tokio::time::interval(Duration::from_millis(500)),
        Instant::now(),
    );
    let (sessions, connections, still, left) = loop {
        clock.tick().await;
        let sessions = metric(&subject, "sessions").await?;
        let connections = metric(&subject, "connections").await?;
        let still = metric(&subject, "tasks").await?;
        let left = descriptors(id);
        let gone = sessions == 0.0 && connections == 0.0;
        if (gone && still <= tasks && left <= files + SPARE) || over.elapsed() > PATIENCE {
            break (sessions, connections, still, left);
        }
    };
    println!(
        "{:.1} s after the last goodbye:",
        over.elapsed().as_secs_f64()
    );
    judge(format!("{sessions} sessions left"), sessions == 0.0);
    judge(
        format!("{connections} connections left"),
        connections == 0.0,
    );
    judge(
        format!("{left} descriptors, {files} before"),
        left <= files + SPARE,
    );
    judge(format!("{still} tasks, {tasks} before"), still <= tasks);
    let third = held.get(3).copied().unwrap_or(f64::NAN);
    let last = held.last().copied().unwrap_or(f64::NAN);
    judge(
        format!(
            "{:.1} MB at the end, {:.1} MB after a third",
            last / 1e6,
            third / 1e6
        ),
        last <= third * GROWTH,
    );
    // Everybody who was away found everything once: nothing is kept.
    for absent in ABSENT {
        let mut client = subject.gate.online_raw(&user(absent), PASSWORD).await?;
        let more = client.until_settled().await?;
        judge(
            format!("{} kept messages left for {}", more, user(absent)),
            more == 0,
        );
        client.log_out().await?;
    }
    let after = rows(world)?;
    let other: Vec<String> = after
        .iter()
        .filter(|(table, _)| !PASSING.contains(&table.as_str()))
        .filter(|(table, count)| before.get(*table) != Some(*count))
        .map(|(table, count)| {
            let was = before.get(table).copied().unwrap_or_default();
            format!("{table} has {count}, and had {was}")
        })
        .collect();
    judge(
        format!(
            "{} rows, {} before{}{}",
            after.values().sum::<u64>(),
            before.values().sum::<u64>(),
            if other.is_empty() { "" } else { ": " },
            other.join(", ")
        ),
        other.is_empty(),
    );
    Ok(good)
}
