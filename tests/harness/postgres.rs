//! A real PostgreSQL of the test's own, on a Unix socket in a temporary directory.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::{Service, program};

/// A running cluster with one superuser, `domicile`.
pub struct Postgres {
    service: Option<Service>,
    dir: tempfile::TempDir,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("domicile-pg")
            .tempdir()
            .expect("temporary directory");
        if is_root() {
            let owner = Command::new(program("chown"))
                .arg("postgres")
                .arg(dir.path())
                .status();
            assert!(owner.expect("chown").success());
        }
        let made = user("initdb")
            .args(["--no-sync", "-A", "trust", "-U", "domicile", "-D"])
            .arg(dir.path().join("data"))
            .current_dir(dir.path())
            .output()
            .expect("initdb");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        let mut this = Self { service: None, dir };
        this.again();
        this
    }

    /// Starts it again after [`Postgres::crash`].
    pub fn again(&mut self) {
        let dir = self.dir.path();
        let mut command = user("postgres");
        command
            .current_dir(dir)
            .arg("-D")
            .arg(dir.join("data"))
            .arg("-k")
            .arg(dir);
        // Only processes die in these tests, not machines: nothing is gained by flushing.
        command.args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        let mut service = Service::start("postgres", &mut command, dir.join("server.log"));
        service.says("database system is ready to accept connections");
        self.service = Some(service);
    }

    /// An immediate shutdown: every connection is cut, nothing is written out (it recovers from its log).
    pub fn crash(&mut self) {
        self.service.take().expect("running").end("QUIT");
    }

    /// Runs SQL in it, which must succeed.
    pub fn sql(&self, text: &str) {
        let file = self.dir.path().join("script.sql");
        std::fs::write(&file, text).expect("script");
        let mut command = user("psql");
        command.args([
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "domicile",
            "-d",
            "postgres",
        ]);
        let ran = command
            .arg("-h")
            .arg(self.dir.path())
            .arg("-f")
            .arg(&file)
            .current_dir(self.dir.path())
            .output()
            .expect("psql");
        assert!(
            ran.status.success(),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }

    /// Processes that serve a connection now.
    pub fn sessions(&self) -> Vec<u32> {
        let parent = self.service.as_ref().expect("running").pid();
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = std::fs::read_to_string(children).expect("the server's processes");
        let serves = |pid: &u32| {
            let title = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
            title.is_ok_and(|title| title.starts_with("postgres: domicile "))
        };
        let pids = children.split(' ').filter_map(|pid| pid.parse().ok());
        pids.filter(serves).collect()
    }

    /// For `database.url`.
    pub fn url(&self) -> String {
        format!(
            "postgres://domicile@localhost/postgres?host={}",
            self.dir.path().display()
        )
    }
}

/// One of PostgreSQL's programs, run as a user that it accepts: never as root.
fn user(name: &str) -> Command {
    let path = newest(name);
    if !is_root() {
        return Command::new(path);
    }
    let mut command = Command::new(program("setpriv"));
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(path);
    command
}

/// Debian keeps PostgreSQL's programs in a directory for each version.
fn newest(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    found.pop().unwrap_or_else(|| program(name))
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(Path::new("/proc/self")).is_ok_and(|own| own.uid() == 0)
}
