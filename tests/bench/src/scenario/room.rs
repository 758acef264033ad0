//! A room (XEP-0045) with 200 occupants, one of whom speaks: one or some messages, and the next when all have heard.

use tokio::task::JoinSet;

use super::{Crew, PRESENCES, Sample, Size, online};
use crate::Outcome;
use crate::client::Client;
use crate::scan;
use crate::subject::Subject;

/// Occupants.
const OCCUPANTS: usize = 200;

const MUC: &str = "http://jabber.org/protocol/muc";

fn room(subject: &Subject) -> String {
    format!("bench@rooms.{}", subject.gate.domain())
}

/// Enters, and has read all that is shown on entering: the subject comes last.
async fn enter(client: &mut Client, room: &str, nick: usize) -> Outcome<()> {
    let presence = format!(
        "<presence to='{room}/o{nick}'><x xmlns='{MUC}'><history maxstanzas='0'/></x></presence>"
    );
    client.connection.send(presence.as_bytes()).await?;
    loop {
        let item = client.connection.element().await?;
        let bytes = item.as_bytes();
        if scan::attribute(bytes, "type") == Some(b"error") {
            return Err(format!("o{nick} is not let in: {item}").into());
        }
        if scan::is(bytes, "message") && item.contains("<subject") {
            return Ok(());
        }
    }
}

/// Opens the room as it comes.
async fn open(owner: &mut Client, room: &str) -> Outcome<()> {
    enter(owner, room, 0).await?;
    let accept = format!(
        "<iq type='set' id='open' to='{room}'><query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>"
    );
    owner.ask(&accept, "open").await.map(drop)
}

/// The message with this body is due from the speaker.
async fn hear(client: &mut Client, from: &str, body: &str) -> Outcome<()> {
    let (_, range) = client.connection.item().await?;
    let item = client.connection.bytes(range);
    let right = scan::is(item, "message")
        && scan::attribute(item, "from") == Some(from.as_bytes())
        && scan::text(item, "body") == Some(body.as_bytes());
    if right {
        return Ok(());
    }
    let item = String::from_utf8_lossy(item);
    Err(format!("message {body} of {from} was due: {item}").into())
}

/// `window` messages are under way at a time; each occupant who has heard one is a unit.
pub(super) async fn run(subject: &Subject, window: u64, size: &Size) -> Outcome<Vec<Sample>> {
    let room = room(subject);
    let mut occupants = online(&subject.gate, PRESENCES.start..PRESENCES.start + OCCUPANTS).await?;
    for (nick, occupant) in occupants.iter_mut().enumerate() {
        match nick {
            0 => open(occupant, &room).await?,
            _ => enter(occupant, &room, nick).await?,
        }
    }
    // Everybody has seen everybody come.
    for occupant in &mut occupants {
        occupant.settle().await?;
    }
    let mut crew = Crew::default();
    let meter = crew.meter.clone();
    crew.add(async move {
        let from = format!("{room}/o0");
        let padding = "x".repeat(180);
        let mut number = 0u64;
        while !meter.stop.get() {
            let bodies: Vec<String> = (number..number + window)
                .map(|n| format!("{n:020}{padding}"))
                .collect();
            let said = bodies.iter().fold(String::new(), |said, body| {
                said + &format!(
                    "<message to='{room}' type='groupchat'><body>{body}</body></message>"
                )
            });
            occupants[0].connection.send(said.as_bytes()).await?;
            for occupant in &mut occupants {
                for body in &bodies {
                    hear(occupant, &from, body).await?;
                    meter.add(1);
                }
            }
            number += window;
        }
        // All at once: each who goes is news to all who have not gone yet.
        let mut going = JoinSet::new();
        for occupant in occupants {
            going.spawn_local(occupant.log_out());
        }
        while let Some(gone) = going.join_next().await {
            gone??;
        }
        Ok(())
    });
    crew.measure(subject, size).await
}
