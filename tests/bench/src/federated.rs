//! Federation: what a message between two servers of one kind costs each of them beside a local one, what a new stream between
//! them does, and whether the cost of a message stays the same whatever number of peers a domain talks with.
//!
//! Both servers share the core of the servers. Each message is compared as everywhere here: who sent it, its text, its order,
//! and that nothing else comes.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::Outcome;
use crate::authority::{self, Domains};
use crate::client::Client;
use crate::curves::{FLAT, LANES, Point, flat};
use crate::machine::{Process, Used};
use crate::profile::Watch;
use crate::report::{Figure, align, words};
use crate::scenario::chat::{self, Reader, Writer};
use crate::scenario::idle::quiet;
use crate::scenario::{Crew, Sample, Size, Unit, online};
use crate::subject::Kind;
use crate::subject::federated::{Accounts, Federated, Setting};
use crate::world::{PASSWORD, World, user};

/// Pairs that talk where there are fewer peers than this.
const PAIRS: usize = 100;
/// New streams of one repetition, at most.
const STREAMS: usize = 400;
/// The kernel counts CPU time in hundredths of a second: fewer streams than this say nothing.
const FEWEST_STREAMS: usize = 50;
/// New streams that come about at the same time.
const AT_ONCE: usize = 8;
/// A message between servers may cost each of them so many local ones.
const MESSAGE: f64 = 1.5;
/// A new stream may cost each side so many microseconds.
const STREAM: f64 = 1_200.0;
/// How long the sessions of one point may take to come and go.
const PREPARATION: Duration = Duration::from_secs(600);

/// Pairs that talk with so many peers.
fn pairs_of(peers: usize) -> usize {
    peers.max(PAIRS)
}

/// Accounts of the near domain that all points need.
pub fn accounts(peers: &[usize]) -> usize {
    let most = peers.iter().copied().max().unwrap_or(1);
    pairs_of(most).max(2 * PAIRS)
}

/// Which user of which peer the pair of this number writes to.
fn far_accounts(peers: &[usize]) -> Accounts {
    let mut accounts = Accounts::new();
    // One peer by itself is measured in any case.
    for count in peers.iter().chain(&[1]) {
        for pair in 0..pairs_of(*count) {
            accounts.entry(pair % count).or_default().insert(pair);
        }
    }
    accounts
}

/// Everything of one kind, in words; whether it keeps what is asked of it. Only ours is asked. `perf`: where a record of the
/// last of the new streams is left, of both sides.
pub async fn run(
    kind: Kind,
    world: &World,
    peers: &[usize],
    size: &Size,
    perf: Option<&Path>,
) -> Outcome<(String, bool)> {
    let peers: Vec<usize> = peers.iter().copied().filter(|count| *count > 0).collect();
    let most = peers.iter().copied().max().ok_or("no peers")?;
    let domains = Domains::make(&world.fresh("peers")?, most)?;
    let all = Duration::from_secs_f64(size.seconds * (size.repeat + 1) as f64) + PREPARATION;
    let mut both = Federated::start(
        kind,
        world,
        &domains,
        &far_accounts(&peers),
        &Setting::PLAIN,
    )?;
    quiet(&both.far.process).await?;
    quiet(&both.near.process).await?;

    let unit = match world.counted {
        true => Unit::Instructions,
        false => Unit::Micros,
    };
    eprintln!("{}: local messages …", kind.name());
    let local = tokio::time::timeout(all, local(&both, size)).await??;
    let mut curve = Vec::new();
    let mut lines = vec![
        ["", "near", "far", "budget"].map(str::to_owned).to_vec(),
        vec![
            format!("chat message between two local users, {PAIRS} pairs, 1 in flight each"),
            words(unit, local.median),
            String::new(),
            String::new(),
        ],
    ];
    let mut good = true;
    let mut row = |name: String, sides: &[Figure; 2], budget: Option<f64>| {
        let [near, far] = sides;
        let mut allowed = String::new();
        if let Some(budget) = budget {
            let kept = near.median.max(far.median) <= budget;
            good &= kept || kind != Kind::Domicile;
            let mark = if kept { "✓" } else { "✗" };
            allowed = format!("{} {mark}", words(unit, budget));
        }
        let (near, far) = (words(unit, near.median), words(unit, far.median));
        lines.push(vec![name, near, far, allowed]);
    };
    let established = tokio::time::timeout(all, established(&both, size)).await??;
    row(
        "the same over an established server stream".to_owned(),
        &established,
        Some(MESSAGE * local.median),
    );
    for count in &peers {
        eprintln!("{}: {count} peers …", kind.name());
        let value = tokio::time::timeout(all, spread(&both, *count, size)).await??;
        curve.push(Point { at: *count, value });
    }
    let mut profile = String::new();
    let counted = most >= FEWEST_STREAMS;
    if counted {
        eprintln!("{}: new streams …", kind.name());
        let streams = most.min(STREAMS);
        let fresh = fresh(&mut both, streams, size, perf);
        let (fresh, seen) = tokio::time::timeout(all, fresh).await??;
        profile = seen;
        row(
            "new server stream with EXTERNAL, no look-ups, and its first message".to_owned(),
            &fresh,
            // Nothing is laid down in instructions.
            (!world.counted).then_some(STREAM),
        );
    }
    let mut text = format!("{}\n\n{}\n", kind.name(), align(&lines));
    if !counted {
        let _ = writeln!(
            text,
            "new streams are counted with {FEWEST_STREAMS} peers or more (--peers)"
        );
    }
    let level = flat(
        "per message, of both sides, by peers",
        unit,
        &curve,
        FLAT,
        &mut text,
    );
    let _ = writeln!(text, "medians of {}", size.repeat);
    text += &profile;
    Ok((text, good && (level || kind != Kind::Domicile)))
}

/// What both sides have used.
fn used(both: &Federated) -> Outcome<[Used; 2]> {
    let of = |process: &Process| process.used();
    Ok([of(&both.near.process)?, of(&both.far.process)?])
}

async fn local(both: &Federated, size: &Size) -> Outcome<Figure> {
    let pairs = chat::paired(online(&both.near.gate, 0..2 * PAIRS).await?).await?;
    let crew = ping_pong(pairs);
    Ok(Figure::of(
        crew.measure_both(&both.near.process, None, size).await?,
    ))
}

/// One message of each pair is under way at a time.
fn ping_pong(pairs: Vec<(Writer, Reader)>) -> Crew {
    let mut crew = Crew::default();
    for (mut writer, mut reader) in pairs {
        let meter = crew.meter.clone();
        crew.add(async move {
            writer.send(1).await?;
            loop {
                let arrived = reader.arrived().await?;
                meter.add(arrived);
                if meter.stop.get() {
                    return chat::end(writer, reader).await;
                }
                writer.send(arrived).await?;
            }
        });
    }
    crew
}

/// Somebody near each with somebody at one of so many peers.
async fn between(both: &Federated, peers: usize, pairs: usize) -> Outcome<Vec<(Writer, Reader)>> {
    let near = online(&both.near.gate, 0..pairs).await?;
    let far = readers(both, peers, pairs).await?;
    let each = near
        .into_iter()
        .zip(far)
        .flat_map(|(near, far)| [near, far]);
    chat::paired(each.collect()).await
}

async fn readers(both: &Federated, peers: usize, pairs: usize) -> Outcome<Vec<Client>> {
    let mut tasks = JoinSet::new();
    let mut clients: Vec<Option<Client>> = (0..pairs).map(|_| None).collect();
    let mut rest = 0..pairs;
    loop {
        while tasks.len() < AT_ONCE
            && let Some(pair) = rest.next()
        {
            let gate = both.far.gate.to(&authority::domain(pair % peers));
            tasks.spawn_local(async move { (pair, gate.online(&user(pair), PASSWORD).await) });
        }
        let Some(done) = tasks.join_next().await else {
            break;
        };
        let (pair, client) = done?;
        clients[pair] = Some(client?);
    }
    Ok(clients.into_iter().flatten().collect())
}

async fn established(both: &Federated, size: &Size) -> Outcome<[Figure; 2]> {
    let crew = ping_pong(between(both, 1, PAIRS).await?);
    measure(crew, both, size).await
}

/// CPU time of both sides per message, always with the same number in flight; every pair has its turn.
async fn spread(both: &Federated, peers: usize, size: &Size) -> Outcome<f64> {
    let mut lanes: Vec<Vec<_>> = (0..LANES).map(|_| Vec::new()).collect();
    let pairs = between(both, peers, pairs_of(peers)).await?;
    for (at, mut pair) in pairs.into_iter().enumerate() {
        // The stream comes about.
        pair.0.send(1).await?;
        pair.1.arrived().await?;
        lanes[at % LANES].push(pair);
    }
    let mut crew = Crew::default();
    for mut lane in lanes.into_iter().filter(|lane| !lane.is_empty()) {
        let meter = crew.meter.clone();
        crew.add(async move {
            let mut turn = 0;
            while !meter.stop.get() {
                let (writer, reader) = &mut lane[turn];
                writer.send(1).await?;
                meter.add(reader.arrived().await?);
                turn = (turn + 1) % lane.len();
            }
            for (writer, reader) in lane {
                chat::end(writer, reader).await?;
            }
            Ok(())
        });
    }
    let [near, far] = measure(crew, both, size).await?;
    Ok(near.median + far.median)
}

async fn measure(mut crew: Crew, both: &Federated, size: &Size) -> Outcome<[Figure; 2]> {
    crew.work(Duration::from_secs_f64((size.seconds / 3.0).min(1.0)))
        .await?;
    let mut samples = [Vec::new(), Vec::new()];
    for _ in 0..size.repeat {
        let (before, count) = (used(both)?, crew.meter.done.get());
        crew.work(Duration::from_secs_f64(size.seconds)).await?;
        let units = crew.meter.done.get() - count;
        keep(&mut samples, used(both)?, before, units)?;
    }
    crew.finish().await?;
    Ok(samples.map(Figure::of))
}

fn keep(
    samples: &mut [Vec<Sample>; 2],
    after: [Used; 2],
    before: [Used; 2],
    units: u64,
) -> Outcome<()> {
    if units == 0 {
        return Err("nothing was done".into());
    }
    for (samples, (after, before)) in samples.iter_mut().zip(after.into_iter().zip(before)) {
        samples.push(Sample {
            value: after.since(before).micros() / units as f64,
            units,
            per_second: 0.0,
            database: 0.0,
        });
    }
    Ok(())
}

/// The far side begins anew each time; the near side knows from the first time where all its peers are.
async fn fresh(
    both: &mut Federated,
    peers: usize,
    size: &Size,
    perf: Option<&Path>,
) -> Outcome<([Figure; 2], String)> {
    let mut samples = [Vec::new(), Vec::new()];
    let mut seen = String::new();
    for round in 0..=size.repeat {
        both.far.restart()?;
        let pairs = between(both, peers, peers).await?;
        // What a server does after a start is no part of a stream.
        quiet(&both.far.process).await?;
        quiet(&both.near.process).await?;
        let mut watches = Vec::new();
        if let Some(dir) = perf.filter(|_| round == size.repeat) {
            std::fs::create_dir_all(dir)?;
            for (name, side) in [("near", &both.near), ("far", &both.far)] {
                let watch = Watch::start(&side.process, dir, &format!("{name}-"))?;
                watches.push((name, watch));
            }
            // perf takes a moment to begin.
            quiet(&both.near.process).await?;
        }
        let before = used(both)?;
        let mut tasks: JoinSet<Outcome<(Writer, Reader)>> = JoinSet::new();
        let mut waiting = pairs.into_iter();
        let mut done = Vec::new();
        loop {
            while tasks.len() < AT_ONCE
                && let Some((mut writer, mut reader)) = waiting.next()
            {
                tasks.spawn_local(async move {
                    writer.send(1).await?;
                    match reader.arrived().await? {
                        1 => Ok((writer, reader)),
                        more => Err(format!("{more} messages where one was due").into()),
                    }
                });
            }
            match tasks.join_next().await {
                Some(pair) => done.push(pair??),
                None => break,
            }
        }
        let after = used(both)?;
        for (name, watch) in watches {
            let _ = write!(seen, "\n{name}, new streams:\n{}\n", watch.end()?);
        }
        if round > 0 {
            keep(&mut samples, after, before, done.len() as u64)?;
        }
        for (writer, reader) in done {
            chat::end(writer, reader).await?;
        }
    }
    Ok((samples.map(Figure::of), seen))
}
