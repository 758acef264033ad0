//! The machine: which core is whose, what a process has used, what it holds.
//!
//! CPU time is user plus system of a process and everything below it. It is added up from `/proc/PID/task/TID/schedstat`, which
//! counts nanoseconds where `/proc/PID/stat` has hundredths of a second; what threads had used that have ended is kept as it was
//! seen last. Memory is from `smaps_rollup`. Time by the wall is shown beside it and decides nothing.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::CpuSet;

use crate::Outcome;

/// Core of the server under test.
const SERVER_CORE: usize = 0;
/// Core of the load.
const LOAD_CORE: usize = 1;

fn pin(core: usize) -> Outcome<()> {
    let mut set = CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|e| format!("core {core} cannot be had: {e}; two cores are needed").into())
}

/// Puts the calling thread on the load's core, and lets it have as many open files as there may be.
pub fn settle() -> Outcome<()> {
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    rustix::process::setrlimit(Resource::Nofile, most)?;
    pin(LOAD_CORE)
}

/// Open files that this process may have.
pub fn open_files() -> u64 {
    rustix::process::getrlimit(Resource::Nofile)
        .current
        .unwrap_or(u64::MAX)
}

/// A running server, ended when this is dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
    counter: Option<Counter>,
    threads: RefCell<Threads>,
}

/// Callgrind around a server: it says how many instructions were executed, whatever else the machine does.
struct Counter {
    /// Where it writes what it has counted; each time a file more, with a number behind the name.
    out: PathBuf,
    counted: Cell<u64>,
    files: Cell<u32>,
}

impl Counter {
    /// Instructions since this was called first: what a server does before that runs uncounted, and so much faster.
    fn count(&self, id: u32) -> Outcome<u64> {
        let control = |what: &[&str]| -> Outcome<()> {
            let told = Command::new("callgrind_control")
                .args(what)
                .arg(id.to_string())
                .output()?;
            let said = String::from_utf8_lossy(&told.stdout);
            match told.status.success() && said.contains("OK.") {
                true => Ok(()),
                false => Err(format!("callgrind_control: {said}").into()),
            }
        };
        let before = self.files.replace(self.files.get() + 1);
        if before == 0 {
            control(&["--instr=on"])?;
            return Ok(0);
        }
        control(&["--dump"])?;
        // It counts anew after each dump.
        let file = self.out.with_extension(format!("out.{before}"));
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let total = text.lines().rev().find_map(|line| {
            let rest = line
                .strip_prefix("totals: ")
                .or_else(|| line.strip_prefix("summary: "))?;
            rest.trim().parse::<u64>().ok()
        });
        let total = total.ok_or_else(|| format!("{}: no totals", file.display()))?;
        self.counted.set(self.counted.get() + total);
        Ok(self.counted.get())
    }
}

impl Process {
    /// Starts the program on the server's core, with its output in the file `log`.
    pub fn start(command: &mut Command, log: &Path) -> Outcome<Self> {
        Self::on(SERVER_CORE, command, log)
    }

    /// Starts the program under callgrind: from now on [`Process::used`] counts millions of instructions as seconds.
    pub fn start_counted(command: &Command, log: &Path) -> Outcome<Self> {
        let out = log.with_extension("out");
        let mut counted = Command::new("valgrind");
        counted.args(["--tool=callgrind", "--instr-atstart=no", "--fair-sched=yes"]);
        counted.arg(format!("--callgrind-out-file={}", out.display()));
        counted.arg(command.get_program()).args(command.get_args());
        let mut process = Self::start(&mut counted, log)?;
        process.counter = Some(Counter {
            out,
            counted: Cell::new(0),
            files: Cell::new(0),
        });
        Ok(process)
    }

    /// Starts the program under callgrind: what it executes is written to `profile`, by the names that the linker knows.
    pub fn start_watched(command: &Command, profile: &Path, log: &Path) -> Outcome<Self> {
        let mut watched = Command::new("valgrind");
        watched.args(["--tool=callgrind", "--compress-strings=no", "--demangle=no"]);
        watched.arg("--fair-sched=yes");
        watched.arg(format!("--callgrind-out-file={}", profile.display()));
        watched.arg(command.get_program()).args(command.get_args());
        Self::start(&mut watched, log)
    }

    /// Starts the program on the load's core: it plays a part of the world that is not measured.
    pub fn start_aside(command: &mut Command, log: &Path) -> Outcome<Self> {
        Self::on(LOAD_CORE, command, log)
    }

    fn on(core: usize, command: &mut Command, log: &Path) -> Outcome<Self> {
        let out = fs::File::create(log)?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out);
        // A child inherits the core of the thread that starts it.
        pin(core)?;
        let child = command.spawn();
        pin(LOAD_CORE)?;
        let child = child.map_err(|e| format!("{}: {e}", command.get_program().display()))?;
        Ok(Self {
            child,
            log: log.to_path_buf(),
            counter: None,
            threads: RefCell::default(),
        })
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `there` holds; ends in words if the process ends or the time is over.
    pub fn until(
        &mut self,
        what: &str,
        patience: Duration,
        there: impl Fn(&Self) -> bool,
    ) -> Outcome<()> {
        let end = Instant::now() + patience;
        loop {
            if there(self) {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("it ended ({status}) before {what}:\n{}", self.tail()).into());
            }
            if Instant::now() > end {
                return Err(format!("no {what} within {patience:?}:\n{}", self.tail()).into());
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// Its last words.
    pub fn tail(&self) -> String {
        let said = self.said();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it counts instructions in place of time.
    pub fn is_counted(&self) -> bool {
        self.counter.is_some()
    }

    /// CPU time of the process and everything below it, now.
    pub fn used(&self) -> Outcome<Used> {
        match &self.counter {
            None => Ok(self.threads.borrow_mut().look(self.id())),
            Some(counter) => Ok(Used {
                seconds: counter.count(self.id())? as f64 / 1e6,
            }),
        }
    }

    /// Memory, now.
    pub fn held(&self) -> Outcome<Held> {
        held(self.id())
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it politely, then by force.
    pub fn stop(&mut self) {
        if !self.runs() {
            return;
        }
        let below = tree(self.id());
        signal(self.id(), Signal::TERM);
        let end = Instant::now() + Duration::from_secs(20);
        while self.runs() && Instant::now() < end {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        for id in below {
            // Only what is still a child of ours; another may have the number by now.
            if id == self.id() && self.runs() {
                signal(id, Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Tells a process something; one that has gone hears nothing.
pub(crate) fn signal(id: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// What a process tree has used since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Used {
    /// In user space and in the kernel, in seconds.
    seconds: f64,
}

impl Used {
    /// In microseconds.
    pub fn micros(self) -> f64 {
        self.seconds * 1e6
    }

    /// What came in since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            seconds: self.seconds - before.seconds,
        }
    }
}

/// Places of utime and stime, fields 14 and 15 of proc(5), in [`stat`]; those of ended children are two behind.
const UTIME: usize = 11;
const STIME: usize = 12;
/// All four of them.
const TIMES: std::ops::RangeInclusive<usize> = UTIME..=STIME + 2;

/// Fields of `/proc/PID/stat` behind the name, from field 3 (state) on.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// The process and everything below it.
pub fn tree(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for id in entries.filter_map(|e| e.file_name().to_string_lossy().parse::<u32>().ok()) {
        let parent = stat(id).and_then(|fields| fields.get(1)?.parse::<u32>().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(id);
        }
    }
    let (mut found, mut at) = (vec![root], 0);
    while let Some(id) = found.get(at) {
        found.extend(children.remove(id).unwrap_or_default());
        at += 1;
    }
    found
}

/// What the threads of a process tree have used, as far as it has been looked at.
#[derive(Debug, Default)]
struct Threads {
    /// Nanoseconds by process and thread.
    seen: HashMap<(u32, u32), u64>,
    /// Of those that have ended.
    ended: u64,
}

impl Threads {
    fn look(&mut self, root: u32) -> Used {
        let (mut now, mut coarse) = (HashMap::new(), 0.0);
        let tick = rustix::param::clock_ticks_per_second() as f64;
        for id in tree(root) {
            let tasks = fs::read_dir(format!("/proc/{id}/task"));
            for task in tasks.into_iter().flatten().flatten() {
                let used = fs::read_to_string(task.path().join("schedstat")).ok();
                let used = used.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
                let thread = task.file_name().to_string_lossy().parse::<u32>().ok();
                if let (Some(used), Some(thread)) = (used, thread) {
                    now.insert((id, thread), used);
                }
            }
            let fields = stat(id).unwrap_or_default();
            let ticks = TIMES.filter_map(|at| fields.get(at)?.parse::<f64>().ok());
            // Each of the two that count for itself is cut off.
            coarse += (ticks.sum::<f64>() - 2.0) / tick;
        }
        for (thread, used) in std::mem::replace(&mut self.seen, now) {
            if !self.seen.contains_key(&thread) {
                self.ended += used;
            }
        }
        let fine = (self.ended + self.seen.values().sum::<u64>()) as f64 / 1e9;
        // Whatever came and went unseen is in the kernel's own sum.
        Used {
            seconds: fine.max(coarse),
        }
    }
}

/// CPU time of the process and everything below it, ended children included, as one look shows it.
pub fn used(root: u32) -> Outcome<Used> {
    Ok(Threads::default().look(root))
}

/// CPU time of this process alone.
pub fn own() -> Outcome<Used> {
    let tick = rustix::param::clock_ticks_per_second() as f64;
    let fields = stat(std::process::id()).ok_or("this process has no entry in /proc")?;
    let own = (UTIME..=STIME).filter_map(|at| fields.get(at)?.parse::<f64>().ok());
    Ok(Used {
        seconds: own.sum::<f64>() / tick,
    })
}

/// Memory of a process tree, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Held {
    /// Resident.
    pub rss: f64,
    /// Resident, with shared pages divided among who shares them.
    pub pss: f64,
}

/// Memory of the process and everything below it.
pub fn held(root: u32) -> Outcome<Held> {
    let mut sum = Held::default();
    for id in tree(root) {
        let Ok(text) = fs::read_to_string(format!("/proc/{id}/smaps_rollup")) else {
            continue;
        };
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kilobytes =
                line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kilobytes.unwrap_or(0.0) * 1024.0
        };
        sum.rss += value("Rss:");
        sum.pss += value("Pss:");
    }
    if sum.pss == 0.0 {
        return Err(format!("process {root}: its memory cannot be read").into());
    }
    Ok(sum)
}

/// Open descriptors of the process and everything below it.
pub fn descriptors(root: u32) -> usize {
    let each = tree(root)
        .into_iter()
        .map(|id| fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count));
    each.sum()
}

/// What this machine is: processor, cores, kernel.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let field = |name: &str| {
        let line = cpu.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':'))
            .map_or("", |(_, value)| value.trim())
            .to_owned()
    };
    let cores = cpu
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!(
        "{} at {} MHz, {cores} cores, Linux {}",
        field("model name"),
        field("cpu MHz"),
        kernel.trim()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_ended_thread_had_used_stays() {
        let me = std::process::id();
        let mut threads = Threads::default();
        let gone = (me, u32::MAX);
        threads.seen.insert(gone, 5_000_000_000);
        assert!(threads.look(me).micros() >= 5e6);
        assert!(threads.look(me).micros() >= 5e6, "and is counted once");
        assert!(threads.look(me).micros() < 10e6 + threads.seen.values().sum::<u64>() as f64 / 1e3);
    }

    #[test]
    fn a_process_uses_and_holds_something() {
        let me = std::process::id();
        assert!(tree(me).contains(&me));
        let before = used(me).expect("CPU time");
        let mut x = 1u64;
        // Less than a tick of /proc/PID/stat.
        while used(me).expect("CPU time").since(before).micros() < 3_000.0 {
            for i in 0..10_000u64 {
                x = x
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(std::hint::black_box(i));
            }
        }
        std::hint::black_box(x);
        let held = held(me).expect("memory");
        assert!(held.rss >= held.pss && held.pss > 100_000.0, "{held:?}");
    }
}
