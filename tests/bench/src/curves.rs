//! How the cost grows: per message with the sessions that are online, per domain with the domains that are hosted. A curve
//! says what it must be and marks where it is not.
//!
//! What a message takes in instructions may not grow with sessions that it does not concern. Its time does, by what the
//! processor waits for memory: each of many sessions is seldom used, and its keys, its buffers and what the kernel knows of
//! its socket have left the caches when its turn comes. So instructions ([`EXACT`]) say whether the server is as it must be,
//! and time ([`CACHES`]) has a bound of what a message may cost whose every line of memory is cold.

use std::fmt::Write as _;

use crate::Outcome;
use crate::authority::{self, Domains};
use crate::client::Gate;
use crate::report::{align, words};
use crate::scenario::chat;
use crate::scenario::idle::{at_rest, quiet};
use crate::scenario::{Crew, Size, Unit, offline, online};
use crate::subject::{Kind, Options, Subject};
use crate::world::{PASSWORD, World, user};

/// Messages in flight in all, whatever the number of sessions or peers.
pub(crate) const LANES: usize = 4;
/// A curve of time may differ by this much from its first point where the same memory is used at each.
pub(crate) const FLAT: f64 = 1.5;
/// The same where more memory is used at each point than at the one before.
pub(crate) const CACHES: f64 = 2.5;
/// The same for a curve of instructions.
pub(crate) const EXACT: f64 = 1.1;

/// What fewer domains add to a start is less than two starts differ by.
const TOLD: usize = 1_000;

/// A point of a curve.
pub(crate) struct Point {
    pub(crate) at: usize,
    pub(crate) value: f64,
}

/// A curve in words; whether it is flat, but for a factor of `most`.
pub(crate) fn flat(name: &str, unit: Unit, points: &[Point], most: f64, text: &mut String) -> bool {
    let Some(first) = points.first() else {
        return true;
    };
    let mut lines = vec![vec![
        String::new(),
        name.to_owned(),
        format!("must stay below {most}×"),
    ]];
    let mut good = true;
    for point in points {
        let ratio = point.value / first.value;
        let mark = if ratio > most { "BENDS" } else { "" };
        good &= ratio <= most;
        lines.push(vec![
            point.at.to_string(),
            words(unit, point.value),
            format!("{ratio:.2}× {mark}"),
        ]);
    }
    let _ = writeln!(text, "{}", align(&lines));
    good
}

/// Messages at so many sessions. Always the same number is in flight; every session has its turn.
pub async fn sessions(
    kind: Kind,
    world: &World,
    counts: &[usize],
    size: &Size,
) -> Outcome<(String, bool)> {
    let mut points = Vec::new();
    for count in counts {
        eprintln!("{}: {count} sessions …", kind.name());
        let subject = Subject::start(kind, world)?;
        let mut lanes: Vec<Vec<_>> = (0..LANES).map(|_| Vec::new()).collect();
        for (at, pair) in chat::paired(online(&subject.gate, 0..*count).await?)
            .await?
            .into_iter()
            .enumerate()
        {
            lanes[at % LANES].push(pair);
        }
        let mut crew = Crew::default();
        for mut lane in lanes.into_iter().filter(|lane| !lane.is_empty()) {
            let meter = crew.meter.clone();
            crew.add(async move {
                let mut turn = 0;
                while !meter.stop.get() {
                    let (writer, reader) = &mut lane[turn];
                    writer.send(1).await?;
                    meter.add(reader.arrived().await?);
                    turn = (turn + 1) % lane.len();
                }
                for (writer, reader) in lane {
                    chat::end(writer, reader).await?;
                }
                Ok(())
            });
        }
        let samples = crew.measure(&subject, size).await?;
        let value = crate::report::Figure::of(samples).median;
        points.push(Point { at: *count, value });
    }
    let mut text = String::new();
    let (name, unit, most) = match world.counted {
        true => (
            "instructions per message, by sessions online",
            Unit::Instructions,
            EXACT,
        ),
        false => (
            "CPU time per message, by sessions online",
            Unit::Micros,
            CACHES,
        ),
    };
    let good = flat(name, unit, &points, most, &mut text);
    Ok((text, good))
}

/// What it costs to have so many domains, and to come to one of them.
pub async fn domains(
    kind: Kind,
    world: &World,
    counts: &[usize],
    logins: usize,
) -> Outcome<(String, bool)> {
    let mut curves: [(&str, Unit, Vec<Point>); 3] = [
        ("sign-in, by domains hosted", Unit::Micros, Vec::new()),
        (
            "first handshake of a domain, by domains hosted",
            Unit::Micros,
            Vec::new(),
        ),
        (
            "start, each domain further than at the point before",
            Unit::Micros,
            Vec::new(),
        ),
    ];
    let mut held: Vec<(usize, f64)> = Vec::new();
    let mut started: Option<(usize, f64)> = None;
    for count in counts {
        eprintln!("{}: {count} domains …", kind.name());
        let all = Domains::make(&world.fresh("domains")?, *count)?;
        let options = Options {
            domains: Some(&all),
            ..Options::default()
        };
        let subject = Subject::start_with(kind, world, &options)?;
        offline(online(&subject.gate, 0..1).await?).await?;
        let start = subject.process.used()?.micros();
        quiet(&subject.process).await?;
        held.push((*count, at_rest(&subject.process).await?));
        if let Some((fewer, then)) = started.replace((*count, start))
            && let further @ TOLD.. = count.saturating_sub(fewer)
        {
            curves[2].2.push(Point {
                at: *count,
                value: (start - then) / further as f64,
            });
        }
        let before = subject.process.used()?;
        for turn in 0..logins {
            subject
                .gate
                .online(&user(turn % 100), PASSWORD)
                .await?
                .log_out()
                .await?;
        }
        let used = subject.process.used()?.since(before).micros() / logins as f64;
        curves[0].2.push(Point {
            at: *count,
            value: used,
        });
        let gate = Gate::new(subject.gate.server(), &authority::domain(0), &all.roots())?;
        let first = (*count).min(logins);
        // One domain's handshake is less than the clock can tell.
        if first >= 50 {
            let before = subject.process.used()?;
            for number in 0..first {
                let name = authority::domain(number * count / first);
                gate.to(&name).greet().await?.0.close().await?;
            }
            let used = subject.process.used()?.since(before).micros() / first as f64;
            curves[1].2.push(Point {
                at: *count,
                value: used,
            });
        }
    }
    let mut text = String::new();
    let mut good = true;
    for (name, unit, points) in &curves {
        good &= flat(name, *unit, points, FLAT, &mut text);
    }
    let _ = writeln!(text, "{}", held_by(&held));
    Ok((text, good))
}

/// Memory of the process at each point: all of it, and what each domain took that the point before did not have. What is taken once,
/// whatever the number, is in the former, and in the latter of the first points only.
fn held_by(held: &[(usize, f64)]) -> String {
    let mut lines = vec![vec![
        String::new(),
        "memory of the process, by domains hosted".to_owned(),
        "each further domain".to_owned(),
    ]];
    let mut before: Option<(usize, f64)> = None;
    for (count, bytes) in held {
        let slope = before.and_then(|(fewer, then)| match count.saturating_sub(fewer) {
            0 => None,
            further => Some(words(Unit::Bytes, (bytes - then) / further as f64)),
        });
        lines.push(vec![
            count.to_string(),
            words(Unit::Bytes, *bytes),
            slope.unwrap_or_default(),
        ]);
        before = Some((*count, *bytes));
    }
    align(&lines)
}

#[cfg(test)]
mod tests {
    use super::held_by;

    #[test]
    fn a_slope_is_that_from_the_point_before() {
        let text = held_by(&[(1, 40e6), (1_001, 49e6), (10_001, 67e6)]);
        let last = |at: usize| text.lines().nth(at).map(|line| line.trim_end().to_owned());
        assert!(
            last(1).is_some_and(|line| line.ends_with("40 MB")),
            "{text}"
        );
        assert!(
            last(2).is_some_and(|line| line.ends_with("9.0 kB")),
            "{text}"
        );
        assert!(
            last(3).is_some_and(|line| line.ends_with("2.0 kB")),
            "{text}"
        );
    }
}
