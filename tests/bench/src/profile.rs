//! Where the time goes: `perf record` of the server while a scenario runs on it, and the names at the top.

use std::path::Path;
use std::process::Command;

use crate::Outcome;
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
    let data = dir.join("perf.data");
    let subject = match scenario {
        Scenario::Archive => Subject::start_archiving(kind, world)?,
        _ => Subject::start(kind, world)?,
    };
    let mut perf = Command::new("perf")
        .args([
            "record",
            "-q",
            "-F",
            "997",
            "-g",
            "-p",
            &subject.process.id().to_string(),
            "-o",
        ])
        .arg(&data)
        .spawn()
        .map_err(|e| format!("perf: {e}; Debian's package is linux-perf"))?;
    let samples = run_on(scenario, &subject, size).await;
    // perf ends with the process that it watches.
    drop(subject);
    perf.wait()?;
    samples?;
    let told = Command::new("perf")
        .args([
            "report",
            "--stdio",
            "--no-children",
            "-g",
            "none",
            "--percent-limit",
            "0.5",
            "-i",
        ])
        .arg(&data)
        .output()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    std::fs::write(dir.join("report.txt"), &text)?;
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    Ok(lines.take(TOP).collect::<Vec<_>>().join("\n"))
}
