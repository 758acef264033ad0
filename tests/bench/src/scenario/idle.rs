//! Memory: of a fresh process, and of each session that is online and does nothing.

use std::time::{Duration, Instant};

use super::{Sample, Scenario, Size, offline, online};
use crate::Outcome;
use crate::machine::Process;
use crate::subject::{Kind, Subject};
use crate::world::World;

/// It is at rest when it has taken and given back less than this…
const REST: f64 = 64.0 * 1024.0;
/// … for this long: servers tidy up behind a session a few seconds after it has fallen silent.
const STILL: Duration = Duration::from_secs(8);
/// The processor's use is looked at so often.
const GLANCE: Duration = Duration::from_millis(1_500);
/// Instructions between two looks, in place of the processor's use where those are counted.
const FEW: f64 = 3e6;
/// Seconds in which it is seen what a process does by itself.
const ALONE: u64 = 20;
/// No longer than this is waited for either.
const PATIENCE: Duration = Duration::from_secs(60);

/// Resident memory of the process once it changes no more. Not PSS: that depends on who else runs the same binary.
pub async fn at_rest(process: &Process) -> Outcome<f64> {
    let begun = Instant::now();
    let mut clock = tokio::time::interval(STILL);
    clock.tick().await;
    let mut last = process.held()?.rss;
    loop {
        clock.tick().await;
        let now = process.held()?.rss;
        if (now - last).abs() < REST || begun.elapsed() > PATIENCE {
            return Ok(now);
        }
        last = now;
    }
}

/// Waits until the process uses less than a hundredth of its core: whatever it does after a start is done, or it will
/// never be.
pub(crate) async fn quiet(process: &Process) -> Outcome<()> {
    let begun = Instant::now();
    let mut clock = tokio::time::interval(GLANCE);
    clock.tick().await;
    let little = match process.is_counted() {
        true => FEW,
        false => GLANCE.as_micros() as f64 / 100.0,
    };
    loop {
        let before = process.used()?;
        clock.tick().await;
        let used = process.used()?.since(before).micros();
        if used < little || begun.elapsed() > PATIENCE {
            return Ok(());
        }
    }
}

pub(super) async fn run(
    scenario: Scenario,
    kind: Kind,
    world: &World,
    size: &Size,
) -> Outcome<Vec<Sample>> {
    let mut samples = Vec::new();
    for _ in 0..size.repeat {
        let subject = Subject::start(kind, world)?;
        // Whatever the first session brings into memory is the process's, not the session's.
        offline(online(&subject.gate, 0..1).await?).await?;
        let empty = at_rest(&subject.process).await?;
        let mut database = 0.0;
        let (value, units) = match scenario {
            Scenario::IdleTime => {
                quiet(&subject.process).await?;
                let aside = || subject.database().map(Process::used).transpose();
                let (before, other) = (subject.process.used()?, aside()?.unwrap_or_default());
                // What is measured is what happens while nothing does.
                let nothing = std::future::pending::<()>();
                let _ = tokio::time::timeout(Duration::from_secs(ALONE), nothing).await;
                let used = subject.process.used()?.since(before).micros();
                let other = aside()?.unwrap_or_default().since(other).micros();
                database = other / ALONE as f64;
                (used / ALONE as f64, ALONE)
            }
            Scenario::IdleSession => {
                let sessions = size.idle_sessions;
                let mut clients = online(&subject.gate, 0..sessions).await?;
                clients
                    .iter_mut()
                    .for_each(|client| client.connection.rest());
                let full = at_rest(&subject.process).await?;
                offline(clients).await?;
                ((full - empty) / sessions as f64, sessions as u64)
            }
            _ => (empty, 1),
        };
        samples.push(Sample {
            value,
            units,
            per_second: 0.0,
            database,
        });
    }
    Ok(samples)
}
