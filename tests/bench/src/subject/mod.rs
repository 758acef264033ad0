//! The servers under test, each with the configuration that lies in `tests/bench/peers`.
//!
//! A configuration there has places (`@ADDRESS@`) that are filled in for a run; everything else is as it is read.

pub(crate) mod archived;
mod domicile;
mod ejabberd;
pub mod federated;
mod postgres;
mod prosody;

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use crate::Outcome;
use crate::authority::Domains;
use crate::client::Gate;
use crate::machine::Process;
use crate::world::{DOMAIN, World};

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(300);

/// A server that can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Ours, on SQLite.
    Domicile,
    /// Ours, on PostgreSQL.
    #[value(name = "domicile-postgres")]
    #[serde(rename = "domicile-postgres")]
    Postgres,
    /// Debian's Prosody.
    Prosody,
    /// Debian's ejabberd.
    Ejabberd,
    /// A bare echo server on tokio and rustls.
    Floor,
}

impl Kind {
    /// All of them, ours first.
    pub const ALL: [Self; 5] = [
        Self::Domicile,
        Self::Postgres,
        Self::Prosody,
        Self::Ejabberd,
        Self::Floor,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Domicile => "Domicile",
            Self::Postgres => "Domicile, PostgreSQL",
            Self::Prosody => "Prosody",
            Self::Ejabberd => "ejabberd",
            Self::Floor => "floor",
        }
    }

    /// Whether it can be started here.
    pub fn installed(self) -> bool {
        match self {
            Self::Domicile | Self::Floor => true,
            Self::Postgres => postgres::installed(),
            Self::Prosody => Path::new("/usr/bin/prosody").exists(),
            Self::Ejabberd => Path::new("/usr/sbin/ejabberdctl").exists(),
        }
    }

    /// Its version.
    pub fn version(self, world: &World) -> String {
        let package = match self {
            Self::Domicile | Self::Postgres => {
                let said = std::process::Command::new(&world.binary)
                    .arg("--version")
                    .output();
                let said = said.map(|out| String::from_utf8_lossy(&out.stdout).into_owned());
                return said
                    .unwrap_or_default()
                    .replace("domicile", "")
                    .trim()
                    .to_owned();
            }
            Self::Floor => return "(tokio and rustls, an echo server)".to_owned(),
            Self::Prosody => "prosody",
            Self::Ejabberd => "ejabberd",
        };
        let asked = std::process::Command::new("dpkg-query")
            .args(["-W", "-f", "${Version}", package])
            .output();
        let version = asked
            .map(|out| String::from_utf8_lossy(&out.stdout).into_owned())
            .unwrap_or_default();
        version
            .split(['-', '+', '~'])
            .next()
            .unwrap_or_default()
            .to_owned()
    }
}

/// What a server is to have or to do beyond one domain and its accounts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// More domains, each with a certificate of its own.
    pub domains: Option<&'a Domains>,
    /// Messages are archived for their users (XEP-0313).
    pub archive: bool,
    /// So many messages lie in the archive of the world's first account; in ours alone.
    pub archived: usize,
    /// Ours refuses connections while it does not keep up, as it does by default. What a unit costs is measured without that:
    /// on a busy machine it would be the machine's neighbours who decide who gets in.
    pub refuses: bool,
}

/// A running server.
pub struct Subject {
    /// Its process.
    pub process: Process,
    /// The way in.
    pub gate: Gate,
    /// Its database, where that is another process. Ended after the server.
    database: Option<postgres::Database>,
}

impl Subject {
    /// Starts a server with a fresh copy of the world's domain and accounts, and returns when it answers.
    pub fn start(kind: Kind, world: &World) -> Outcome<Self> {
        Self::start_with(kind, world, &Options::default())
    }

    /// The same with what differs from the plain server.
    pub fn start_with(kind: Kind, world: &World, options: &Options<'_>) -> Outcome<Self> {
        let mut database = None;
        let (domains, archive) = (options.domains, options.archive);
        let started = match kind {
            Kind::Domicile => domicile::start(world, options),
            Kind::Postgres => {
                domicile::start_on_postgres(world, options).map(|(server, own, address)| {
                    database = Some(own);
                    (server, address)
                })
            }
            Kind::Prosody => prosody::start(world, domains, archive),
            Kind::Ejabberd => ejabberd::start(world, domains, archive),
            Kind::Floor => Err("it speaks no XMPP".into()),
        };
        let (mut process, address) = started.map_err(|e| format!("{}: {e}", kind.name()))?;
        let at: SocketAddr = format!("{address}:5222").parse()?;
        process
            .until("open port", PATIENCE, |_| {
                TcpStream::connect_timeout(&at, Duration::from_secs(1)).is_ok()
            })
            .map_err(|e| format!("{}: {e}", kind.name()))?;
        let gate = Gate::new(at, DOMAIN, &world.roots())?;
        Ok(Self {
            process,
            gate,
            database,
        })
    }

    /// Rows of the archive that were written, and commits in all, where its database is another process and counts them.
    pub fn archived(&self) -> Outcome<Option<(f64, f64)>> {
        self.database.as_ref().map(postgres::archived).transpose()
    }

    /// Its database, where that is another process.
    pub fn database(&self) -> Option<&Process> {
        self.database.as_ref().map(|database| &database.process)
    }
}

/// Writes the configuration `name` of `tests/bench/peers` to `to`, with its places filled in.
fn configure(name: &str, to: &Path, places: &[(&str, &str)]) -> Outcome<()> {
    let file = peers().join(name);
    let mut text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
    for (place, value) in places {
        text = text.replace(&format!("@{place}@"), value);
    }
    if let Some(left) = text
        .split('@')
        .nth(1)
        .filter(|word| word.chars().all(|c| c.is_ascii_uppercase()))
    {
        return Err(format!("{}: nothing is known for @{left}@", file.display()).into());
    }
    fs::write(to, text)?;
    Ok(())
}

/// Where the configurations lie.
fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}
