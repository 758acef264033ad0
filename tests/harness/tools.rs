//! Programs from packages that tests run, and the network tools around them.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::demo::{Demo, signal, wait};

/// Directory where `tests/install` puts what is not a Debian package: the Python and Node environments.
pub fn environment() -> PathBuf {
    repository().join("target/test-env")
}

/// Root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("server/ lies in the repository")
        .to_path_buf()
}

/// Finds a program that a package must have installed.
pub fn program(name: &str) -> PathBuf {
    let places = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/bin", "/sbin"];
    places
        .iter()
        .map(|p| Path::new(p).join(name))
        .find(|p| p.exists())
        .unwrap_or_else(|| panic!("{name} is not installed; run tests/install"))
}

/// Node, from Debian or from wherever the machine has it.
pub fn node() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("node"))
        .find(|p| p.exists());
    found.unwrap_or_else(|| program("node"))
}

/// A background program, ended with the test.
pub struct Service {
    child: Child,
    pub name: String,
    pub log: PathBuf,
}

impl Service {
    pub fn start(name: &str, command: &mut Command, log: PathBuf) -> Self {
        let out = std::fs::File::create(&log).unwrap_or_else(|e| panic!("{}: {e}", log.display()));
        let err = out.try_clone().expect("log");
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Self {
            child,
            name: name.into(),
            log,
        }
    }

    /// Waits until something listens at `addr`.
    pub fn listening(&mut self, addr: SocketAddr) {
        let end = Instant::now() + super::DEADLINE;
        while TcpStream::connect_timeout(&addr, Duration::from_secs(1)).is_err() {
            let ended = self.child.try_wait().ok().flatten();
            assert!(
                ended.is_none() && Instant::now() < end,
                "{} does not listen at {addr}; its log:\n{}",
                self.name,
                self.text()
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Waits until the program has printed `line`.
    pub fn says(&mut self, line: &str) {
        let end = Instant::now() + super::DEADLINE;
        loop {
            // In this order: what it said last counts also when it has ended meanwhile.
            let ended = self.child.try_wait().ok().flatten();
            if self.text().contains(line) {
                return;
            }
            assert!(
                ended.is_none() && Instant::now() < end,
                "{} never said {line:?}; its log:\n{}",
                self.name,
                self.text()
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Process id, for signals and /proc.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal: `STOP` and `CONT` make it a server that is there and answers nobody, and bring it back.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// SIGKILL, as a crash would.
    pub fn kill_9(mut self) {
        self.child.kill().expect("SIGKILL");
        self.child.wait().expect("reaped");
    }

    /// Asks it to end by a signal, and waits until it has.
    pub fn end(mut self, signal_name: &str) {
        signal(self.child.id(), signal_name);
        assert!(
            wait(&mut self.child, super::DEADLINE).is_some(),
            "{} does not end; its log:\n{}",
            self.name,
            self.text()
        );
    }

    pub fn text(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let ended = matches!(self.child.try_wait(), Ok(Some(_)));
        if !ended {
            signal(self.child.id(), "TERM");
        }
        if wait(&mut self.child, Duration::from_secs(5)).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let text = self.text();
            let kept = repository().join("target/test-logs");
            let file = kept.join(format!("{}-{}.log", self.name, self.child.id()));
            if std::fs::create_dir_all(&kept)
                .and_then(|()| std::fs::write(&file, &text))
                .is_ok()
            {
                eprintln!(
                    "the whole log of {} is kept in {}",
                    self.name,
                    file.display()
                );
            }
            let tail: Vec<&str> = text.lines().rev().take(25).collect();
            eprintln!("--- last lines of {} ---", self.name);
            for line in tail.into_iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}

/// A port that is free at `ip` now.
pub fn free_port(ip: IpAddr) -> u16 {
    TcpListener::bind((ip, 0))
        .and_then(|l| l.local_addr())
        .expect("a free port")
        .port()
}

/// Sends a dynamic update (RFC 2136) to the demo's DNS with BIND's `nsupdate`.
pub fn nsupdate(demo: &Demo, zone: &str, lines: &[String]) {
    let mut script = format!(
        "server {} {}\nzone {zone}\n",
        demo.info.dns.ip(),
        demo.info.dns.port()
    );
    for line in lines {
        script.push_str(line);
        script.push('\n');
    }
    script.push_str("send\nquit\n");
    let mut child = Command::new(program("nsupdate"))
        .arg("-k")
        .arg(&demo.info.tsig_key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("nsupdate");
    child
        .stdin
        .take()
        .expect("piped")
        .write_all(script.as_bytes())
        .expect("script");
    let out = child.wait_with_output().expect("nsupdate ends");
    let text =
        String::from_utf8_lossy(&out.stderr).into_owned() + &String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "nsupdate of {zone}: {text}\n{script}");
}

/// Runs the `domicile` binary and returns (exit code, stdout, stderr).
pub fn domicile(args: &[&str]) -> (i32, String, String) {
    domicile_with(args, "")
}

/// The same, with something to read on standard input (a password, say).
pub fn domicile_with(args: &[&str], input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_domicile"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("domicile runs");
    // A command that does not read its input may be gone already; that is its affair.
    let _ = child
        .stdin
        .take()
        .expect("piped")
        .write_all(input.as_bytes());
    let out = child.wait_with_output().expect("domicile ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (
        out.status.code().unwrap_or(-1),
        text(&out.stdout),
        text(&out.stderr),
    )
}

/// Runs a script of the tests to its end, with its output shown when it fails.
pub fn script(program: &Path, args: &[String], envs: &[(&str, String)], limit: Duration) -> String {
    let dir = tempfile::tempdir().expect("temporary directory");
    let (out, err) = (dir.path().join("out"), dir.path().join("err"));
    let mut child = Command::new(program)
        .args(args)
        .envs(envs.iter().map(|(k, v)| (*k, v)))
        .current_dir(repository())
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&out).expect("file"))
        .stderr(std::fs::File::create(&err).expect("file"))
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}; run tests/install", program.display()));
    let status = wait(&mut child, limit);
    if status.is_none() {
        let _ = child.kill();
    }
    let text = |p: &Path| std::fs::read_to_string(p).unwrap_or_default();
    assert!(
        status.is_some_and(|s| s.success()),
        "{} {args:?} ended with {status:?}\n--- stdout\n{}\n--- stderr\n{}",
        program.display(),
        text(&out),
        text(&err)
    );
    text(&out)
}
