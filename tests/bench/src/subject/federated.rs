//! Two servers of one kind that talk with each other: the world's domain on the near one, its peers on the far one.
//!
//! Each peer is a domain with a certificate of its own, all of one authority that both servers trust; where they are is said
//! by the benchmark's own DNS ([`crate::names`]). Refuses: kinds for which this was not written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Kind, PATIENCE, configure, prosody};
use crate::Outcome;
use crate::authority::{self, Domains};
use crate::client::Gate;
use crate::machine::Process;
use crate::names;
use crate::scram;
use crate::world::{DOMAIN, PASSWORD, World, copy, user};

/// Who owns the peers.
const TENANT: &str = "bench";

/// Accounts of the far server: by domain, the numbers of its users.
pub type Accounts = BTreeMap<usize, BTreeSet<usize>>;

/// What a pair of servers is to be like.
pub struct Setting {
    /// Messages are archived (XEP-0313); otherwise none is.
    pub archive: bool,
    /// Port at which ours has its web door; otherwise it has none.
    pub web: Option<u16>,
    /// What comes at the end of the configuration of ours.
    pub more: &'static str,
}

impl Setting {
    /// As the others are: without an archive.
    pub const PLAIN: Self = Self {
        archive: false,
        web: None,
        more: "",
    };
}

/// One of the two.
pub struct Side {
    /// Its process.
    pub process: Process,
    /// The way to its first domain.
    pub gate: Gate,
    program: PathBuf,
    arguments: Vec<String>,
    log: PathBuf,
    counted: bool,
}

impl Side {
    /// Ends the process and starts it again on what it keeps.
    pub fn restart(&mut self) -> Outcome<()> {
        self.process.stop();
        self.process = run(&self.program, &self.arguments, &self.log, self.counted)?;
        answers(&mut self.process, self.gate.server())
    }
}

/// Both, on one core.
pub struct Federated {
    /// The world's domain.
    pub near: Side,
    /// Its peers.
    pub far: Side,
}

impl Federated {
    /// Starts both with fresh copies of what they need.
    pub fn start(
        kind: Kind,
        world: &World,
        domains: &Domains,
        accounts: &Accounts,
        setting: &Setting,
    ) -> Outcome<Self> {
        let places = Places::new(kind, world, domains)?;
        let dirs = [world.fresh("near")?, world.fresh("far")?];
        if kind == Kind::Domicile {
            copy(&world.home(), &dirs[0])?;
        }
        let mut calls = Vec::new();
        for (at, dir) in dirs.iter().enumerate() {
            calls.push(places.prepare(kind, world, domains, at, dir, setting)?);
        }
        match kind {
            // By the limits of its configuration.
            Kind::Domicile => {
                fill_domicile(world, &dirs[1], domains, accounts)?;
                if !setting.archive {
                    let off = |dir: &Path, name: &str| {
                        let off = ["domain", "set", name, "--modules-off", "archive"];
                        world.command(dir, &off)
                    };
                    off(&dirs[0], DOMAIN)?;
                    for domain in accounts.keys() {
                        off(&dirs[1], &authority::domain(*domain))?;
                    }
                }
            }
            Kind::Prosody => {
                prosody::accounts(&dirs[0], DOMAIN, 0..world.users)?;
                for (domain, users) in accounts {
                    let users = users.iter().copied();
                    prosody::accounts(&dirs[1], &authority::domain(*domain), users)?;
                }
            }
            _ => return Err(format!("{}: not with itself", kind.name()).into()),
        }
        let mut sides = Vec::new();
        for (at, (program, arguments)) in calls.into_iter().enumerate() {
            let log = world
                .base
                .join(format!("{}-{}.log", kind.name(), ["near", "far"][at]));
            let mut process = run(&program, &arguments, &log, world.counted)?;
            let address = SocketAddr::from((places.servers[at], 5222));
            answers(&mut process, address).map_err(|e| format!("{}: {e}", kind.name()))?;
            let gate = match at {
                0 => Gate::new(address, DOMAIN, &world.roots())?,
                _ => Gate::new(address, &authority::domain(0), &domains.roots())?,
            };
            sides.push(Side {
                process,
                gate,
                program,
                arguments,
                log,
                counted: world.counted,
            });
        }
        let (Some(far), Some(near)) = (sides.pop(), sides.pop()) else {
            return Err("no servers".into());
        };
        Ok(Self { near, far })
    }
}

/// Addresses of the servers and of the DNS, and whom both trust.
struct Places {
    servers: [Ipv4Addr; 2],
    dns: SocketAddr,
    roots: PathBuf,
}

impl Places {
    fn new(kind: Kind, world: &World, domains: &Domains) -> Outcome<Self> {
        // Kinds that run one after the other do not meet.
        let first = match kind {
            Kind::Domicile => 10,
            _ => 20,
        };
        let servers = [
            world.address(first).parse()?,
            world.address(first + 1).parse()?,
        ];
        let dns = SocketAddr::new(world.address(first + 2).parse()?, 5300);
        let roots = world.base.join("federation-roots.pem");
        let both = fs::read_to_string(world.roots())? + &fs::read_to_string(domains.roots())?;
        fs::write(&roots, both)?;
        names::serve(
            dns,
            |domain| match domain {
                DOMAIN => Some(0),
                _ => domain.ends_with(".many.example").then_some(1),
            },
            servers.to_vec(),
        )?;
        Ok(Self {
            servers,
            dns,
            roots,
        })
    }

    /// Writes the configuration of one side; gives what runs it.
    fn prepare(
        &self,
        kind: Kind,
        world: &World,
        domains: &Domains,
        at: usize,
        dir: &Path,
        setting: &Setting,
    ) -> Outcome<(PathBuf, Vec<String>)> {
        let address = self.servers[at].to_string();
        let (name, dns) = match kind {
            Kind::Domicile => ("federation.toml", self.dns.to_string()),
            _ => (
                "federation.cfg.lua",
                format!("{}@{}", self.dns.ip(), self.dns.port()),
            ),
        };
        let config = dir.join(match kind {
            // Where its commands look for it.
            Kind::Domicile => "domicile.toml",
            _ => name,
        });
        let web = setting.web.map(|port| format!("\"{address}:{port}\""));
        let places = [
            ("ADDRESS", address.as_str()),
            ("WEB", &web.unwrap_or_default()),
            ("DIR", &dir.to_string_lossy()),
            ("DNS", &dns),
            ("ROOTS", &self.roots.to_string_lossy()),
        ];
        configure(name, &config, &places)?;
        if kind == Kind::Domicile {
            let text = fs::read_to_string(&config)?;
            fs::write(&config, text + setting.more)?;
        }
        let config = config.to_string_lossy().into_owned();
        if kind == Kind::Domicile {
            let arguments = ["serve".to_owned(), "--config".to_owned(), config];
            return Ok((world.binary.clone(), arguments.to_vec()));
        }
        let mut text = fs::read_to_string(&config)?;
        let mut host = |name: &str, (chain, key): (PathBuf, PathBuf)| {
            let _ = writeln!(
                text,
                "VirtualHost \"{name}\"\n    ssl = {{ certificate = \"{}\", key = \"{}\", cafile = \"{}\" }}",
                chain.display(),
                key.display(),
                self.roots.display()
            );
        };
        match at {
            0 => host(DOMAIN, world.certificate()),
            _ => (0..domains.count)
                .for_each(|number| host(&authority::domain(number), domains.files(number))),
        }
        fs::write(&config, text)?;
        let arguments = ["--config".to_owned(), config, "-F".to_owned()];
        Ok((PathBuf::from("prosody"), arguments.to_vec()))
    }
}

fn fill_domicile(world: &World, dir: &Path, domains: &Domains, accounts: &Accounts) -> Outcome<()> {
    world.command(dir, &["tenant", "add", TENANT])?;
    let mut list = String::new();
    for number in 0..domains.count {
        let (chain, key) = domains.files(number);
        let name = authority::domain(number);
        let _ = writeln!(list, "{name},{},{}", chain.display(), key.display());
    }
    let file = dir.join("import.csv");
    let path = file.to_string_lossy().into_owned();
    fs::write(&file, list)?;
    let import = ["domain", "import", &path, "--tenant", TENANT, "--proven"];
    world.command(dir, &import)?;
    let verifiers = scram::rfc5803(PASSWORD, b"0123456789abcdef", 10_000);
    for (domain, users) in accounts {
        let rows: String = users
            .iter()
            .map(|number| format!("{},{verifiers}\n", user(*number)))
            .collect();
        fs::write(&file, rows)?;
        let domain = authority::domain(*domain);
        world.command(dir, &["user", "import", &path, "--domain", &domain])?;
    }
    Ok(())
}

fn run(program: &Path, arguments: &[String], log: &Path, counted: bool) -> Outcome<Process> {
    let mut command = Command::new(program);
    command.args(arguments);
    match counted {
        true => Process::start_counted(&command, log),
        false => Process::start(&mut command, log),
    }
}

/// Waits until clients and servers are let in.
fn answers(process: &mut Process, clients: SocketAddr) -> Outcome<()> {
    let servers = SocketAddr::new(clients.ip(), 5269);
    process.until("open ports", PATIENCE, |_| {
        [clients, servers]
            .iter()
            .all(|at| TcpStream::connect_timeout(at, Duration::from_secs(1)).is_ok())
    })
}
