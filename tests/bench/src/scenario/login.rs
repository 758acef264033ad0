//! Coming and going: whole logins, or only what lies before them. Eight at a time, each by an account of its own.

use super::{Crew, Sample, Size};
use crate::Outcome;
use crate::subject::Subject;
use crate::world::{PASSWORD, user};

const AT_ONCE: usize = 8;
/// Accounts of each of them, used in turn.
const ACCOUNTS: usize = 16;

/// How far it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Depth {
    /// TCP, STARTTLS and the second stream's features.
    Streams,
    /// A session that is online.
    Session,
}

pub(super) async fn run(subject: &Subject, depth: Depth, size: &Size) -> Outcome<Vec<Sample>> {
    let mut crew = Crew::default();
    for lane in 0..AT_ONCE {
        let meter = crew.meter.clone();
        let gate = subject.gate.clone();
        crew.add(async move {
            let mut turn = 0;
            while !meter.stop.get() {
                match depth {
                    Depth::Streams => gate.greet().await?.0.close().await?,
                    Depth::Session => {
                        let name = user(lane * ACCOUNTS + turn % ACCOUNTS);
                        gate.online(&name, PASSWORD).await?.log_out().await?;
                    }
                }
                turn += 1;
                meter.add(1);
            }
            Ok(())
        });
    }
    crew.measure(subject, size).await
}
