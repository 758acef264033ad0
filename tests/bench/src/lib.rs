//! Loads Domicile, Prosody and ejabberd alike, and measures what each unit of work costs the server in CPU time and memory.
//!
//! One command prepares data, starts each server in turn on one core, loads it from the other, checks everything that it
//! receives, and prints a table. Wall-clock time decides nothing. Refuses: a figure from a run in which anything was lost,
//! doubled, out of order or altered.

pub mod archives;
pub mod authority;
pub mod client;
pub mod curves;
pub mod docs;
pub mod federated;
pub mod floor;
pub mod machine;
pub mod names;
pub mod order;
pub mod overload;
pub mod profile;
pub mod report;
pub mod rooms;
pub mod scan;
pub mod scenario;
pub mod scram;
pub mod soak;
pub mod subject;
pub mod world;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

use crate::report::{Figure, Report, Row};
use crate::scenario::{Scenario, Size, State, Unit};
use crate::subject::Kind;
use crate::world::World;

/// What went wrong, in words.
pub type Failure = Box<dyn std::error::Error>;
/// Done, or what went wrong.
pub type Outcome<T> = Result<T, Failure>;

/// Measures what each unit of work costs an XMPP server.
#[derive(Debug, Parser)]
struct Arguments {
    /// The release binary of Domicile; without it, it is built
    #[arg(long, value_name = "FILE", global = true)]
    domicile: Option<PathBuf>,
    /// Where worlds and logs are kept [default: target/bench]
    #[arg(long, value_name = "DIR", global = true)]
    dir: Option<PathBuf>,
    /// Servers to measure [default: all that are installed]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    servers: Vec<Kind>,
    /// Scenarios to run [default: all]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    only: Vec<Scenario>,
    /// Repetitions of each
    #[arg(long, default_value_t = 3, value_name = "N")]
    repeat: usize,
    /// Seconds of each repetition
    #[arg(long, default_value_t = 3.0, value_name = "SECONDS")]
    seconds: f64,
    /// Sessions of the memory scenario
    #[arg(long, default_value_t = 5_000, value_name = "N")]
    sessions: usize,
    /// Domains of the scenarios with many
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    domains: usize,
    /// Count instructions in place of time, on Domicile under callgrind: the same on a busy machine
    #[arg(long, global = true)]
    instructions: bool,
    /// Write the figures to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// In place of figures: where the time goes in each of the scenarios of --only, by perf
    #[arg(long, requires = "only")]
    profile: bool,
    /// Write table, chart and figures into docs/
    #[arg(long)]
    write_docs: bool,
    /// Install Prosody and ejabberd from Debian's packages where they are missing
    #[arg(long)]
    install: bool,
    #[command(subcommand)]
    other: Option<Other>,
}

/// What else it does than comparing.
#[derive(Debug, Subcommand)]
enum Other {
    /// How the cost grows with sessions and domains; or with the occupants of a room, or with archives, if these are named
    Curves {
        /// Sessions online, from point to point
        #[arg(long, value_delimiter = ',', default_values_t = [10, 100, 1_000, 10_000])]
        sessions: Vec<usize>,
        /// Domains hosted, from point to point
        #[arg(long, value_delimiter = ',', default_values_t = [1, 100, 10_000, 100_000])]
        domains: Vec<usize>,
        /// Occupants of a room, from point to point: 10,100,1000,5000
        #[arg(long, value_delimiter = ',', value_name = "N,…")]
        occupants: Vec<usize>,
        /// Messages of an archive, from point to point: 1000,100000,10000000 (the last takes some minutes, and 5 GB)
        #[arg(long, value_delimiter = ',', value_name = "N,…")]
        archived: Vec<usize>,
    },
    /// Mixed traffic for a long time; nothing may be left of it
    Soak {
        /// How long
        #[arg(long, default_value_t = 10.0)]
        minutes: f64,
        /// Milliseconds between two units of each of the forty who are at work [default: none, as fast as it goes]
        #[arg(long, default_value_t = 0)]
        pause: u64,
    },
    /// Two servers of one kind: a message between them, a new stream, and how the cost grows with the peers
    Federation {
        /// Peers that a domain talks with, from point to point
        #[arg(long, value_delimiter = ',', default_values_t = [1, 10, 100, 1_000])]
        peers: Vec<usize>,
        /// perf of both servers while new streams come about; the records are left there
        #[arg(long, value_name = "DIR")]
        perf: Option<PathBuf>,
    },
    /// Twice as many log-ins as it can do
    Overload {
        /// How long
        #[arg(long, default_value_t = 30.0)]
        seconds: f64,
    },
    /// perf of one scenario, and the top of it
    Profile {
        /// Which
        scenario: Scenario,
        /// Where the record is left [default: target/bench/profile]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// What a start and a log-in execute, written for the linker: server/order.ld
    Order,
    /// The echo server of the floor, by itself
    #[command(hide = true)]
    FloorServe {
        address: std::net::SocketAddr,
        chain: PathBuf,
        key: PathBuf,
    },
}

/// Reads the arguments and does what they say.
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.other {
        Some(Other::FloorServe {
            address,
            chain,
            key,
        }) => floor::serve(*address, chain, key).map(|()| true),
        _ => start(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("domicile-bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn start(arguments: &Arguments) -> Outcome<bool> {
    machine::settle()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, dispatch(arguments))
}

async fn dispatch(arguments: &Arguments) -> Outcome<bool> {
    let size = arguments.size();
    let kind = arguments.servers.first().copied().unwrap_or(Kind::Domicile);
    match &arguments.other {
        None if arguments.profile => {
            for scenario in &arguments.only {
                profiled(arguments, *scenario, kind, None).await?;
            }
            Ok(true)
        }
        None | Some(Other::FloorServe { .. }) => compare(arguments).await,
        Some(Other::Curves {
            occupants,
            archived,
            ..
        }) if !(occupants.is_empty() && archived.is_empty()) => {
            let users = rooms::accounts(occupants);
            enough_files(users)?;
            let world = arguments.world(users)?;
            let mut good = true;
            if !occupants.is_empty() {
                let (text, flat) = rooms::run(kind, &world, occupants, &size).await?;
                println!("{text}");
                good &= flat;
            }
            if !archived.is_empty() {
                let (text, flat) = archives::run(kind, &world, archived).await?;
                println!("{text}");
                good &= flat;
            }
            Ok(good)
        }
        Some(Other::Curves {
            sessions, domains, ..
        }) => {
            let users = sessions.iter().copied().max().unwrap_or(0).max(100);
            enough_files(users)?;
            let world = arguments.world(users)?;
            let (text, flat) = curves::sessions(kind, &world, sessions, &size).await?;
            println!("{text}");
            let (text, also) = curves::domains(kind, &world, domains, 500).await?;
            println!("{text}");
            Ok(flat && also)
        }
        Some(Other::Soak { minutes, pause }) => {
            let time = std::time::Duration::try_from_secs_f64(minutes * 60.0)?;
            let pace = soak::Pace(std::time::Duration::from_millis(*pause));
            soak::run(&arguments.world(soak::USERS)?, time, pace).await
        }
        Some(Other::Federation { peers, perf }) => {
            let all = federated::accounts(peers);
            enough_files(2 * all)?;
            let world = arguments.world(all)?;
            let kinds = match arguments.servers.is_empty() {
                true => vec![Kind::Domicile, Kind::Prosody],
                false => arguments.servers.clone(),
            };
            let mut good = true;
            for kind in kinds.into_iter().filter(|kind| kind.installed()) {
                let (text, kept) =
                    federated::run(kind, &world, peers, &size, perf.as_deref()).await?;
                println!("{text}");
                good &= kept;
            }
            Ok(good)
        }
        Some(Other::Overload { seconds }) => {
            let time = std::time::Duration::try_from_secs_f64(*seconds)?;
            overload::run(&arguments.world(overload::USERS)?, time).await
        }
        Some(Other::Order) => {
            let mut world = arguments.world(order::USERS)?;
            let out = root().join("server/order.ld");
            println!("{}: {}", out.display(), order::run(&mut world, &out).await?);
            Ok(true)
        }
        Some(Other::Profile { scenario, out }) => {
            profiled(arguments, *scenario, kind, out.as_deref()).await?;
            Ok(true)
        }
    }
}

/// Where the time goes in a scenario; the record is left in `out`.
async fn profiled(
    arguments: &Arguments,
    scenario: Scenario,
    kind: Kind,
    out: Option<&Path>,
) -> Outcome<()> {
    let size = arguments.size();
    let world = arguments.world(scenario.users(&size))?;
    let out = out.map_or_else(|| world.base.join("profile"), Path::to_path_buf);
    println!("{}:", scenario.words(&size));
    let told = profile::run(scenario, kind, &world, &size, &out).await?;
    println!("{told}\n\nmore in {}", out.display());
    Ok(())
}

/// Whether so many connections can be open.
fn enough_files(connections: usize) -> Outcome<()> {
    let most = machine::open_files();
    if connections as u64 + 100 > most {
        return Err(format!("{most} open files are too few for {connections} sessions").into());
    }
    Ok(())
}

impl Arguments {
    fn size(&self) -> Size {
        Size {
            repeat: self.repeat.max(1),
            seconds: self.seconds,
            idle_sessions: self.sessions,
            domains: self.domains,
        }
    }

    fn world(&self, users: usize) -> Outcome<World> {
        let base = self.dir.clone().unwrap_or_else(|| target().join("bench"));
        let mut world = World::prepare(&binary(self)?, &base, users)?;
        world.counted = self.instructions;
        Ok(world)
    }
}

/// The repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
}

/// Where Cargo builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The binary under test, built if none was given.
fn binary(arguments: &Arguments) -> Outcome<PathBuf> {
    if let Some(file) = &arguments.domicile {
        return Ok(file.clone());
    }
    let built = Command::new("cargo")
        .args(["build", "--release", "-p", "domicile"])
        .current_dir(root())
        .status()?;
    if !built.success() {
        return Err("domicile does not build".into());
    }
    Ok(target().join("release/domicile"))
}

/// The call as somebody else would make it: without where things lie on this machine.
fn command(mut arguments: impl Iterator<Item = String>) -> String {
    let mut words = vec!["domicile-bench".to_owned()];
    while let Some(word) = arguments.next() {
        match word.as_str() {
            "--domicile" | "--dir" | "--json" => drop(arguments.next()),
            _ => words.push(word),
        }
    }
    words.join(" ")
}

/// Prosody and ejabberd, from packages.
fn install() -> Outcome<()> {
    let done = Command::new("apt-get")
        .args([
            "install",
            "-y",
            "-q",
            "--no-install-recommends",
            "prosody",
            "ejabberd",
        ])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()?;
    if done.success() {
        Ok(())
    } else {
        Err("the peers cannot be installed".into())
    }
}

/// Every scenario on every server; whether all went well.
async fn compare(arguments: &Arguments) -> Outcome<bool> {
    let size = arguments.size();
    let scenarios = if arguments.only.is_empty() {
        Scenario::ALL.to_vec()
    } else {
        arguments.only.clone()
    };
    if arguments.install {
        install()?;
    }
    let kinds: Vec<Kind> = if arguments.servers.is_empty() {
        Kind::ALL
            .into_iter()
            .filter(|kind| kind.installed())
            .filter(|kind| *kind == Kind::Domicile || !arguments.instructions)
            .collect()
    } else {
        arguments.servers.clone()
    };
    enough_files(size.idle_sessions)?;
    let users = scenarios
        .iter()
        .map(|scenario| scenario.users(&size))
        .max()
        .unwrap_or(1);
    let world = arguments.world(users)?;
    let mut rows: Vec<Row> = scenarios
        .iter()
        .map(|scenario| Row {
            scenario: *scenario,
            words: scenario.words(&size),
            unit: match scenario.unit() {
                Unit::Micros if arguments.instructions => Unit::Instructions,
                unit => unit,
            },
            budget: scenario.budget().filter(|_| !arguments.instructions),
            figures: BTreeMap::new(),
            failures: BTreeMap::new(),
        })
        .collect();
    for kind in &kinds {
        let mut state = State::default();
        for row in &mut rows {
            eprint!("{}: {} … ", kind.name(), row.words);
            match scenario::run(row.scenario, *kind, &world, &size, &mut state).await {
                Ok(None) => eprintln!("-"),
                Ok(Some(samples)) => {
                    let figure = Figure::of(samples);
                    eprintln!("{}", report::words(row.unit, figure.median));
                    row.figures.insert(*kind, figure);
                }
                Err(error) => {
                    eprintln!("FAILED: {error}");
                    row.failures.insert(*kind, error.to_string());
                    // What others find must not be what this one left behind.
                    state = State::default();
                }
            }
        }
    }
    let report = Report {
        date: report::now(),
        machine: machine::describe(),
        versions: kinds
            .iter()
            .map(|kind| (*kind, kind.version(&world)))
            .collect(),
        command: command(std::env::args().skip(1)),
        size,
        rows,
    };
    println!("{}", report.table());
    if arguments.write_docs {
        docs::write(&report, root())?;
    }
    if let Some(file) = &arguments.json {
        std::fs::write(file, serde_json::to_string_pretty(&report)? + "\n")?;
    }
    Ok(!report.failed())
}
