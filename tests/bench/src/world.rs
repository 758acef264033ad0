//! What all servers under test have in common: one domain, its accounts, one certificate of one authority.
//!
//! The world is made by `domicile demo` (authority, DNS, a live domain) and `domicile user import`, once for a number of
//! accounts, and kept below the build directory. Each server starts with a fresh copy of what it needs of it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::machine::Process;
use crate::scram;

/// Every account's password: the load's core hashes it once per salt.
pub const PASSWORD: &str = "bench-secret-1";
/// The domain under test, one of the demo's.
pub const DOMAIN: &str = "one.example";

/// Who owns it there.
pub const CUSTOMER: &str = "Demo customer";

/// What is needed to start servers.
pub struct World {
    /// The `domicile` binary.
    pub binary: PathBuf,
    /// Where everything lies.
    pub base: PathBuf,
    /// Accounts at the domain.
    pub users: usize,
    /// Servers run under callgrind: instructions are counted instead of time.
    pub counted: bool,
    /// Servers run under callgrind from their first instruction on, and what was executed is written here.
    pub watched: Option<PathBuf>,
    /// First three octets of the loopback addresses that are used.
    network: String,
}

/// Name of the account with this number.
pub fn user(number: usize) -> String {
    format!("u{number:06}")
}

impl World {
    /// Finds or makes a world with at least so many accounts.
    pub fn prepare(binary: &Path, base: &Path, users: usize) -> Outcome<Self> {
        let binary = fs::canonicalize(binary).map_err(|e| format!("{}: {e}", binary.display()))?;
        fs::create_dir_all(base)?;
        let base = fs::canonicalize(base)?;
        // Runs side by side do not meet: each has a network of loopback of its own.
        let network = format!(
            "127.{}.{}",
            64 + std::process::id() / 250 % 64,
            std::process::id() % 250 + 1
        );
        let mut world = Self {
            binary,
            base,
            users,
            counted: false,
            watched: None,
            network,
        };
        let mark = world.base.join("world.ready");
        let kept = fs::read_to_string(&mark)
            .ok()
            .and_then(|text| text.trim().parse::<usize>().ok());
        match kept {
            Some(kept) if kept >= users => world.users = kept,
            _ => {
                eprintln!("making a world with {users} accounts …");
                world.make()?;
                fs::write(&mark, format!("{users}\n"))?;
            }
        }
        Ok(world)
    }

    /// The demo's directory, as it was left.
    pub fn home(&self) -> PathBuf {
        self.base.join("world")
    }

    /// Root certificate of the authority.
    pub fn roots(&self) -> PathBuf {
        self.home().join("ca/root.pem")
    }

    /// An address of this run's own.
    pub fn address(&self, host: u8) -> String {
        format!("{}.{host}", self.network)
    }

    /// An empty directory of this name.
    pub fn fresh(&self, name: &str) -> Outcome<PathBuf> {
        let dir = self.base.join(name);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Runs a command of `domicile` on the installation in `data`.
    pub fn command(&self, data: &Path, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new(&self.binary)
            .args(arguments)
            .arg("--data-dir")
            .arg(data)
            .output()?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("domicile {}: {said}", arguments.join(" ")).into())
    }

    fn make(&self) -> Outcome<()> {
        let home = self.fresh("world")?;
        let mut command = Command::new(&self.binary);
        command
            .args(["demo", "--json", "--listen", &self.address(1), "--data-dir"])
            .arg(&home);
        let mut demo = Process::start_aside(&mut command, &self.base.join("world.log"))?;
        demo.until("line of a ready demo", Duration::from_secs(180), |demo| {
            demo.said().lines().any(|line| line.starts_with('{'))
        })?;
        // A customer has ten thousand by default.
        let most = ["tenant", "set", CUSTOMER, "--accounts", "100000000"];
        self.command(&home, &most)?;
        let mut csv = String::new();
        // Nobody hashes thousands of passwords: the verifiers are of one salt.
        let verifiers = scram::rfc5803(PASSWORD, b"0123456789abcdef", 10_000);
        for number in 0..self.users {
            let _ = writeln!(csv, "{},{verifiers}", user(number));
        }
        let file = self.base.join("users.csv");
        let path = file.to_string_lossy();
        let lines: Vec<&str> = csv.lines().collect();
        // An import has a bound in bytes.
        for part in lines.chunks(10_000) {
            fs::write(&file, part.join("\n") + "\n")?;
            self.command(&home, &["user", "import", &path, "--domain", DOMAIN])?;
        }
        let out = self.base.join("certificate");
        self.command(
            &home,
            &["sandbox-cert", DOMAIN, "--out", &out.to_string_lossy()],
        )?;
        demo.stop();
        Ok(())
    }

    /// A certificate and its key for the domain, of the world's authority.
    pub fn certificate(&self) -> (PathBuf, PathBuf) {
        let dir = self.base.join("certificate");
        (
            dir.join(format!("{DOMAIN}.crt")),
            dir.join(format!("{DOMAIN}.key")),
        )
    }
}

/// Copies a directory with everything in it.
pub fn copy(from: &Path, to: &Path) -> Outcome<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
