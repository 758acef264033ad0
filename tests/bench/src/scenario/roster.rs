//! Rosters of 20 contacts, fetched over and over (RFC 6121 2.1), one request under way on each of 50 sessions.

use super::{Crew, ROSTERS, Sample, Size, online};
use crate::Outcome;
use crate::scan;
use crate::subject::Subject;

/// Contacts in each roster.
const CONTACTS: usize = 20;

fn contact(number: usize) -> String {
    format!("contact{number}@far.example")
}

pub(super) async fn run(subject: &Subject, size: &Size) -> Outcome<Vec<Sample>> {
    let mut crew = Crew::default();
    for mut client in online(&subject.gate, ROSTERS).await? {
        for number in 0..CONTACTS {
            let id = format!("set{number}");
            let add = format!(
                "<iq type='set' id='{id}'><query xmlns='jabber:iq:roster'><item jid='{}' name='Contact {number}'>\
                 <group>Friends</group></item></query></iq>",
                contact(number)
            );
            let answer = client.ask(&add, &id).await?;
            if scan::attribute(answer.as_bytes(), "type") != Some(b"result") {
                return Err(format!("the result of {id} was due: {answer}").into());
            }
        }
        client.settle().await?;
        let meter = crew.meter.clone();
        crew.add(async move {
            let mut number = 0u64;
            while !meter.stop.get() {
                let id = format!("r{number}");
                let get =
                    format!("<iq type='get' id='{id}'><query xmlns='jabber:iq:roster'/></iq>");
                client.connection.send(get.as_bytes()).await?;
                let (_, range) = client.connection.item().await?;
                let item = client.connection.bytes(range);
                let whole = scan::is(item, "iq")
                    && scan::attribute(item, "id") == Some(id.as_bytes())
                    && scan::attribute(item, "type") == Some(b"result")
                    && memchr::memmem::find_iter(item, b"<item ").count() == CONTACTS
                    && (0..CONTACTS)
                        .all(|n| memchr::memmem::find(item, contact(n).as_bytes()).is_some());
                if !whole {
                    let item = String::from_utf8_lossy(item);
                    return Err(format!("the roster {id} was due: {item}").into());
                }
                number += 1;
                meter.add(1);
            }
            client.log_out().await
        });
    }
    crew.measure(subject, size).await
}
