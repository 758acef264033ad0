//! `domicile demo` as a child process, and what its JSON line says.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;

/// The contract of `demo --json`: one line, printed when everything is up.
#[derive(Debug, Clone, Deserialize)]
pub struct Info {
    pub panel: String,
    pub api: String,
    pub c2s: SocketAddr,
    pub c2s_tls: SocketAddr,
    pub s2s: SocketAddr,
    pub s2s_tls: SocketAddr,
    pub public: String,
    pub dns: SocketAddr,
    pub trust_anchor: PathBuf,
    pub ca: PathBuf,
    pub domains: Vec<String>,
    pub users: Vec<User>,
    pub operator: Operator,
    pub owner: Operator,
    pub components: SocketAddr,
    /// Health and metrics.
    pub internal: String,
    /// TSIG key file for dynamic updates of the sandbox DNS (BIND `key` form).
    pub tsig_key: PathBuf,
}

impl Info {
    /// Password of one of the demo's users.
    pub fn password(&self, jid: &str) -> &str {
        let user = self.users.iter().find(|u| u.jid == jid);
        &user
            .unwrap_or_else(|| panic!("no user {jid} in {:?}", self.users))
            .password
    }
}

#[derive(Debug, Clone, Deserialize)]
pub struct User {
    pub jid: String,
    pub password: String,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Operator {
    pub login: String,
    pub password: String,
}

/// A running demo; stopped (SIGTERM, then by force) when dropped.
pub struct Demo {
    pub info: Info,
    pub data_dir: PathBuf,
    pub listen: Ipv4Addr,
    child: Child,
    _temp: Option<tempfile::TempDir>,
}

static NEXT: AtomicU16 = AtomicU16::new(1);

/// A loopback address that no other test of this run uses.
pub fn loopback() -> Ipv4Addr {
    let [a, b, ..] = std::process::id().to_le_bytes();
    let [block, last] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    Ipv4Addr::new(127, 100 + (b.wrapping_add(block) % 100), a.max(1), last)
}

impl Demo {
    /// Starts the demo in a fresh data directory, on an address of its own.
    pub fn start() -> Self {
        let temp = tempfile::tempdir().expect("temporary directory");
        let dir = temp.path().to_path_buf();
        Self::launch(loopback(), dir, Some(temp), &[])
    }

    /// Starts the demo on an existing data directory, as after a crash. Ports stay the caller's choice.
    pub fn start_in(listen: Ipv4Addr, dir: &Path, args: &[&str]) -> Self {
        Self::launch(listen, dir.to_path_buf(), None, args)
    }

    fn launch(
        listen: Ipv4Addr,
        data_dir: PathBuf,
        temp: Option<tempfile::TempDir>,
        args: &[&str],
    ) -> Self {
        // A demo kept in a static is never dropped, so the kernel ends it with the test process (util-linux's setpriv).
        let mut command = Command::new(super::tools::program("setpriv"));
        command
            .args(["--pdeathsig", "TERM"])
            .arg(env!("CARGO_BIN_EXE_domicile"))
            .args([
                "demo",
                "--json",
                "--listen",
                &listen.to_string(),
                "--data-dir",
            ])
            .arg(&data_dir)
            .args(args)
            .env(
                "RUST_LOG",
                std::env::var("RUST_LOG").unwrap_or_else(|_| "info".into()),
            )
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file(&data_dir));
        let mut child = spawn_for_good(command);
        let line = first_line(child.stdout.take().expect("piped"), &data_dir);
        let info = serde_json::from_str(&line)
            .unwrap_or_else(|e| panic!("demo --json printed {line:?}: {e}"));
        Self {
            info,
            data_dir,
            listen,
            child,
            _temp: temp,
        }
    }

    /// What a client trusts: the sandbox CA and nothing else.
    pub fn roots(&self) -> Arc<RootCertStore> {
        roots(&self.info.ca)
    }

    /// Password of one of the demo's users.
    pub fn password(&self, jid: &str) -> &str {
        self.info.password(jid)
    }

    /// All that the server wrote to its log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(log_path(&self.data_dir)).unwrap_or_default()
    }

    /// Process id, for signals and /proc.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, as a crash would: nothing gets a chance to be written.
    pub fn kill_9(mut self) -> PathBuf {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("reaped");
        self.data_dir.clone()
    }

    /// SIGTERM, then the exit status within the deadline.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        signal(self.child.id(), "TERM");
        wait(&mut self.child, super::DEADLINE).expect("SIGTERM stops the demo")
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        signal(self.child.id(), "TERM");
        if wait(&mut self.child, Duration::from_secs(10)).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- last lines of the server's log ---");
            for line in tail.into_iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}

/// Certificates of a PEM file as trust anchors.
pub fn roots(path: &Path) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    for cert in
        CertificateDer::pem_file_iter(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    {
        store
            .add(cert.expect("PEM certificate"))
            .expect("usable anchor");
    }
    Arc::new(store)
}

/// Spawns from a thread that lives as long as the process: the death signal is tied to the thread that spawned.
fn spawn_for_good(mut command: Command) -> Child {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let _ = send.send(command.spawn());
        loop {
            std::thread::park();
        }
    });
    receive
        .recv()
        .expect("the thread answers")
        .expect("the built binary starts")
}

fn log_path(dir: &Path) -> PathBuf {
    dir.join("test-stderr.log")
}

fn log_file(dir: &Path) -> Stdio {
    std::fs::create_dir_all(dir).expect("data directory");
    let file = std::fs::File::options()
        .create(true)
        .append(true)
        .open(log_path(dir))
        .expect("log file");
    Stdio::from(file)
}

fn first_line(stdout: impl Read + Send + 'static, dir: &Path) -> String {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        let _ = reader.read_line(&mut line);
        let _ = send.send(line);
        // Keep the pipe drained, so that the child never blocks on it.
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    let line = receive
        .recv_timeout(Duration::from_secs(180))
        .unwrap_or_default();
    if line.is_empty() {
        let log = std::fs::read_to_string(log_path(dir)).unwrap_or_default();
        panic!("the demo did not become ready; its log:\n{log}");
    }
    line
}

/// Sends a signal by name.
pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status();
}

/// Waits for a child's end.
pub fn wait(child: &mut Child, limit: Duration) -> Option<std::process::ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
}
