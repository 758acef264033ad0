//! Programs that want a terminal, in one of their own (util-linux's `script`): keys go in, what they draw is a log to wait for.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use super::demo::{signal, wait};
use super::tools::program;

/// A program in its terminal, ended with the test.
pub struct Terminal {
    child: Child,
    keys: ChildStdin,
    name: String,
    screen: PathBuf,
}

impl Terminal {
    /// Starts `line` (for the shell) with this home directory; OpenSSL trusts the authority in the file `ca`.
    pub fn start(name: &str, line: &str, home: &Path, ca: &Path) -> Self {
        let screen = home.join("screen.log");
        let mut child = Command::new(program("script"))
            .args(["--quiet", "--flush", "--return", "--command"])
            .arg(format!("exec {line}"))
            .arg(&screen)
            .current_dir(home)
            .env_clear()
            .envs([
                ("PATH", "/usr/bin:/bin"),
                ("TERM", "xterm"),
                ("LANG", "C.UTF-8"),
                ("LINES", "50"),
                ("COLUMNS", "200"),
            ])
            .env("HOME", home)
            .env("SSL_CERT_FILE", ca)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        Self {
            keys: child.stdin.take().expect("piped"),
            child,
            name: name.into(),
            screen,
        }
    }

    /// Types a line.
    pub fn line(&mut self, text: &str) {
        let typed = write!(self.keys, "{text}\r").and_then(|()| self.keys.flush());
        typed.unwrap_or_else(|e| panic!("{} takes no keys: {e}\n{}", self.name, self.text()));
    }

    /// All that it has drawn.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.screen).unwrap_or_default()).into_owned()
    }

    /// Waits until it has drawn this.
    pub fn shows(&mut self, text: &str) {
        let screen = self.screen.clone();
        self.writes(&screen, text);
    }

    /// Waits until there is this in a file that it writes.
    pub fn writes(&mut self, file: &Path, text: &str) {
        let end = Instant::now() + super::DEADLINE;
        let read =
            || String::from_utf8_lossy(&std::fs::read(file).unwrap_or_default()).into_owned();
        loop {
            // In this order: what it said last counts also when it has ended meanwhile.
            let ended = self.child.try_wait().ok().flatten();
            if read().contains(text) {
                return;
            }
            assert!(
                ended.is_none() && Instant::now() < end,
                "{} never wrote {text:?} into {}:\n{}\nits screen:\n{}",
                self.name,
                file.display(),
                read(),
                self.text()
            );
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // With its terminal the program goes too.
        signal(self.child.id(), "TERM");
        if wait(&mut self.child, Duration::from_secs(5)).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
