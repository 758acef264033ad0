//! Pings of the server (XEP-0199), one under way on each of 100 sessions.

use super::{Crew, Sample, Size, online};
use crate::Outcome;
use crate::scan;
use crate::subject::Subject;

const SESSIONS: usize = 100;

pub(super) async fn run(subject: &Subject, size: &Size) -> Outcome<Vec<Sample>> {
    let mut crew = Crew::default();
    for mut client in online(&subject.gate, 0..SESSIONS).await? {
        client.settle().await?;
        let meter = crew.meter.clone();
        let domain = subject.gate.domain().to_owned();
        crew.add(async move {
            let mut number = 0u64;
            while !meter.stop.get() {
                let id = format!("p{number}");
                let ping = format!(
                    "<iq type='get' id='{id}' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>"
                );
                client.connection.send(ping.as_bytes()).await?;
                let (_, range) = client.connection.item().await?;
                let item = client.connection.bytes(range);
                let right = scan::is(item, "iq")
                    && scan::attribute(item, "id") == Some(id.as_bytes())
                    && scan::attribute(item, "type") == Some(b"result")
                    && scan::attribute(item, "from") == Some(domain.as_bytes());
                if !right {
                    return Err(format!(
                        "the answer to ping {id} was due: {}",
                        String::from_utf8_lossy(item)
                    )
                    .into());
                }
                number += 1;
                meter.add(1);
            }
            client.log_out().await
        });
    }
    crew.measure(subject, size).await
}
