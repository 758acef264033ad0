//! Messages for people who are away: kept before the writer's next answer, ten at a time, and found when the reader comes,
//! after every five hundred.

use super::{Crew, Sample, Size};
use crate::Outcome;
use crate::soak::{find, leave};
use crate::subject::Subject;
use crate::world::{PASSWORD, user};

/// Writers, each with a reader who is away.
const LANES: usize = 8;
/// Messages before the writer waits for an answer to what came behind them.
const TOGETHER: u64 = 10;
/// Messages that wait for a reader at most; servers have a bound.
const KEPT: u64 = 500;

pub(super) async fn run(subject: &Subject, size: &Size) -> Outcome<Vec<Sample>> {
    let mut crew = Crew::default();
    for lane in 0..LANES {
        let (meter, gate) = (crew.meter.clone(), subject.gate.clone());
        let (writer, absent) = (user(2 * lane), 2 * lane + 1);
        let mut writer = gate.online(&writer, PASSWORD).await?;
        crew.add(async move {
            let (mut found, mut number) = (0, 0);
            loop {
                let over = meter.stop.get();
                if over || number - found >= KEPT {
                    let mut client = gate.online_raw(&user(absent), PASSWORD).await?;
                    while found < number {
                        find(&mut client, absent, found).await?;
                        found += 1;
                    }
                    // When this is answered, no message goes to this session any more.
                    let leave = b"<presence type='unavailable'/>";
                    client.connection.send(leave).await?;
                    client.settle().await?;
                    client.log_out().await?;
                }
                if over {
                    return writer.log_out().await;
                }
                for _ in 0..TOGETHER {
                    leave(&mut writer, absent, number, gate.domain()).await?;
                    number += 1;
                }
                writer.settle().await?;
                meter.add(TOGETHER);
            }
        });
    }
    crew.measure(subject, size).await
}
