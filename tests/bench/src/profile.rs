//! Where the time goes: `perf record` of the server while a scenario runs on it, the names at the top, and whose time it is.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use rustix::process::Signal;

use crate::Outcome;
use crate::machine::{Process, signal};
use crate::scenario::{Scenario, Size, run_on};
use crate::subject::{Kind, Subject};
use crate::world::World;

/// Symbols that are printed.
const TOP: usize = 40;

/// Runs one scenario under perf; the record is left in `dir`.
pub async fn run(
    scenario: Scenario,
    kind: Kind,
    world: &World,
    size: &Size,
    dir: &Path,
) -> Outcome<String> {
    std::fs::create_dir_all(dir)?;
    let subject = Subject::start_with(kind, world, &scenario.options())?;
    let watch = Watch::start(&subject.process, dir, "")?;
    let samples = run_on(scenario, &subject, size).await;
    let told = watch.end();
    samples?;
    told
}

/// perf at work on a server.
pub struct Watch {
    perf: Child,
    data: PathBuf,
    text: PathBuf,
}

impl Watch {
    /// Records in `dir`, which is there; `prefix` is how the files' names begin.
    pub fn start(process: &Process, dir: &Path, prefix: &str) -> Outcome<Self> {
        let data = dir.join(format!("{prefix}perf.data"));
        let perf = Command::new("perf")
            .args(["record", "-q", "-F", "997", "-g", "-p"])
            .arg(process.id().to_string())
            .arg("-o")
            .arg(&data)
            .spawn()
            .map_err(|e| format!("perf: {e}; Debian's package is linux-perf"))?;
        Ok(Self {
            perf,
            data,
            text: dir.join(format!("{prefix}report.txt")),
        })
    }

    /// Ends the record: its top, and whose time it was.
    pub fn end(mut self) -> Outcome<String> {
        signal(self.perf.id(), Signal::INT);
        self.perf.wait()?;
        let text = report(&self.data, &["--percent-limit", "0.5"])?;
        std::fs::write(&self.text, &text)?;
        let top: Vec<&str> = lines(&text).take(TOP).collect();
        let all = report(
            &self.data,
            &["--sort", "comm,dso,symbol", "--field-separator", ";"],
        )?;
        Ok(format!("{}\n{}", top.join("\n"), shares(&all)))
    }
}

fn report(data: &Path, more: &[&str]) -> Outcome<String> {
    let told = Command::new("perf")
        .args(["report", "--stdio", "--no-children", "-g", "none"])
        .args(more)
        .arg("-i")
        .arg(data)
        .output()?;
    Ok(String::from_utf8_lossy(&told.stdout).into_owned())
}

fn lines(report: &str) -> impl Iterator<Item = &str> {
    report
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
}

/// Whose time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    /// System calls, and what the kernel does because of them.
    Kernel,
    /// Handshakes and records: rustls and the cryptography below it.
    Tls,
    /// The runtime's scheduler, timers and poll.
    Runtime,
    /// All that the database's threads do, the kernel included.
    Database,
    /// Copying and allocating.
    Libc,
    /// Domicile, and what was inlined into it.
    Ours,
}

impl Part {
    const ALL: [Self; 6] = [
        Self::Kernel,
        Self::Tls,
        Self::Runtime,
        Self::Database,
        Self::Libc,
        Self::Ours,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Tls => "TLS",
            Self::Runtime => "runtime",
            Self::Database => "database",
            Self::Libc => "C library",
            Self::Ours => "Domicile",
        }
    }

    /// Of a symbol, and where it was seen.
    fn of(thread: &str, object: &str, symbol: &str) -> Self {
        let rust = symbol.contains("::");
        if thread.starts_with("sqlx") {
            Self::Database
        } else if object.starts_with("[kernel") {
            Self::Kernel
        } else if object.starts_with("lib") || object.starts_with("[vdso") {
            Self::Libc
        } else if symbol.contains("rustls") || !rust {
            // What is not Rust is C, and on these threads that is aws-lc.
            Self::Tls
        } else if symbol.contains("tokio::") || symbol.contains("mio::") {
            Self::Runtime
        } else {
            Self::Ours
        }
    }
}

/// How the samples of a report by thread, object and symbol are shared out.
fn shares(report: &str) -> String {
    let mut sums = [0.0; Part::ALL.len()];
    for line in lines(report) {
        let mut fields = line.split(';').map(str::trim);
        let share = fields
            .next()
            .and_then(|share| share.trim_end_matches('%').parse::<f64>().ok());
        let (Some(share), Some(thread), Some(object), Some(symbol)) =
            (share, fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        sums[Part::of(thread, object, symbol) as usize] += share;
    }
    let words = Part::ALL
        .iter()
        .map(|part| format!("{} {:.0} %", part.name(), sums[*part as usize]));
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::shares;

    #[test]
    fn every_sample_belongs_to_somebody() {
        let report = "\
# Overhead;Command;Shared Object;Symbol
 30.00% ;tokio-rt-worker;[kernel.kallsyms];[k] tcp_ack
 20.00% ;tokio-rt-worker;domicile;[.] domicile::net::pump::Pump<S,M,H>::poll
 10.00% ;tokio-rt-worker;domicile;[.] aead_aes_gcm_open_gather_impl
 10.00% ;tokio-rt-worker;domicile;[.] rustls::conn::ConnectionCore<Data>::process_new_packets
  5.00% ;tokio-rt-worker;domicile;[.] tokio::runtime::io::driver::Driver::turn
 15.00% ;sqlx-sqlite-wor;[kernel.kallsyms];[k] copy_folio_from_iter_atomic
 10.00% ;tokio-rt-worker;libc.so.6;[.] __memmove_avx_unaligned_erms

";
        assert_eq!(
            shares(report),
            "kernel 30 %, TLS 20 %, runtime 5 %, database 15 %, C library 10 %, Domicile 20 %"
        );
    }
}
