//! How the cost of a room grows with its occupants: what a message costs for each who hears it, and what it costs for each who is told
//! when one more comes and goes. Both must stay what they are, so that talking and coming are linear in the occupants.

use std::fmt::Write as _;

use crate::Outcome;
use crate::client::Client;
use crate::curves::{CACHES, EXACT, Point, flat};
use crate::report::Figure;
use crate::scenario::room::{self, READ};
use crate::scenario::{Size, Unit};
use crate::subject::{Kind, Subject};
use crate::world::{PASSWORD, World, user};

/// So many are told of a coming at each point, more or less.
const TOLD: usize = 100_000;

/// Accounts that are needed for rooms of so many.
pub(crate) fn accounts(counts: &[usize]) -> usize {
    room::FIRST + counts.iter().copied().max().unwrap_or(0) + 1
}

/// Rooms of so many occupants, a new server for each.
pub async fn run(
    kind: Kind,
    world: &World,
    counts: &[usize],
    size: &Size,
) -> Outcome<(String, bool)> {
    let (mut heard, mut coming) = (Vec::new(), Vec::new());
    for count in counts {
        eprintln!("{}: {count} occupants …", kind.name());
        let subject = Subject::start(kind, world)?;
        let mut occupants = room::gather(&subject, *count).await?;
        coming.push(Point {
            at: *count,
            value: visited(&subject, &mut occupants).await?,
        });
        let samples = room::talk(&subject, occupants, 1, size).await?;
        heard.push(Point {
            at: *count,
            value: Figure::of(samples).median,
        });
    }
    let mut text = String::new();
    // Each further occupant is another session, whose memory has left the caches when its turn comes.
    let (what, unit, most) = match world.counted {
        true => ("instructions", Unit::Instructions, EXACT),
        false => ("CPU time", Unit::Micros, CACHES),
    };
    let name = format!("{what} per message and occupant who hears it, by occupants");
    let good = flat(&name, unit, &heard, most, &mut text);
    let name = format!("{what} per coming and going and occupant who is told, by occupants");
    let also = flat(&name, unit, &coming, most, &mut text);
    let _ = writeln!(
        text,
        "The occupants' reading is in both: a ping of each now and then."
    );
    Ok((text, good && also))
}

/// One more comes and goes, again and again: what it takes for each occupant, in microseconds.
async fn visited(subject: &Subject, occupants: &mut [Client]) -> Outcome<f64> {
    let count = occupants.len();
    let times = (TOLD / count).max(20);
    let room = room::room(subject);
    let account = user(room::FIRST + count);
    let mut visitor = subject.gate.online(&account, PASSWORD).await?;
    let before = subject.process.used()?;
    for time in 1..=times {
        room::enter(&mut visitor, &room, count).await?;
        room::leave(&mut visitor, &room, count).await?;
        if time % (READ / 2) == 0 || time == times {
            for occupant in &mut *occupants {
                occupant.settle().await?;
            }
        }
    }
    let used = subject.process.used()?.since(before).micros();
    visitor.log_out().await?;
    Ok(used / (times * count) as f64)
}
