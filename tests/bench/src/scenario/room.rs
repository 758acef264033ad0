//! A room (XEP-0045) with occupants, of whom one speaks: one or some messages, and the next when all have heard.

use tokio::task::JoinSet;

use super::{Crew, PRESENCES, Sample, Size, online};
use crate::Outcome;
use crate::client::Client;
use crate::scan;
use crate::subject::Subject;

/// Occupants of the scenario.
const OCCUPANTS: usize = 200;
/// Account of the first.
pub(crate) const FIRST: usize = PRESENCES.start;
/// Whoever has not read for so many comings is made to: a server lets nobody wait for ever.
pub(crate) const READ: usize = 100;
/// So many come at a time, as after a restart: one by one, each coming would be a write of its own to everybody.
const WAVE: usize = 20;

const MUC: &str = "http://jabber.org/protocol/muc";

/// The room's address.
pub(crate) fn room(subject: &Subject) -> String {
    format!("bench@rooms.{}", subject.gate.domain())
}

/// Enters, and has read all that is shown on entering.
pub(crate) async fn enter(client: &mut Client, room: &str, nick: usize) -> Outcome<()> {
    come(client, room, nick).await?;
    inside(client, nick).await
}

/// Says that it enters.
async fn come(client: &mut Client, room: &str, nick: usize) -> Outcome<()> {
    let presence = format!(
        "<presence to='{room}/o{nick}'><x xmlns='{MUC}'><history maxstanzas='0'/></x></presence>"
    );
    client.connection.send(presence.as_bytes()).await
}

/// Reads all that is shown on entering: the subject comes last.
async fn inside(client: &mut Client, nick: usize) -> Outcome<()> {
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

/// Leaves, and has been told so.
pub(crate) async fn leave(client: &mut Client, room: &str, nick: usize) -> Outcome<()> {
    let presence = format!("<presence to='{room}/o{nick}' type='unavailable'/>");
    client.connection.send(presence.as_bytes()).await?;
    let own = format!("{room}/o{nick}");
    loop {
        let item = client.connection.element().await?;
        let bytes = item.as_bytes();
        let gone = scan::attribute(bytes, "type") == Some(b"unavailable");
        if gone && scan::attribute(bytes, "from") == Some(own.as_bytes()) {
            return Ok(());
        }
    }
}

/// Opens the room as it comes.
pub(crate) async fn open(owner: &mut Client, room: &str) -> Outcome<()> {
    enter(owner, room, 0).await?;
    let accept = format!(
        "<iq type='set' id='open' to='{room}'><query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>"
    );
    owner.ask(&accept, "open").await.map(drop)
}

/// The message with this body is due from the speaker.
pub(crate) async fn hear(client: &mut Client, from: &str, body: &str) -> Outcome<()> {
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

/// So many sessions in a room of their own, each of which has seen all others come.
pub(crate) async fn gather(subject: &Subject, count: usize) -> Outcome<Vec<Client>> {
    let room = room(subject);
    let mut occupants = online(&subject.gate, FIRST..FIRST + count).await?;
    open(&mut occupants[0], &room).await?;
    for first in (0..count).step_by(WAVE) {
        let wave = first.max(1)..(first + WAVE).min(count);
        for nick in wave.clone() {
            come(&mut occupants[nick], &room, nick).await?;
        }
        for nick in wave.clone() {
            inside(&mut occupants[nick], nick).await?;
        }
        if wave.end % READ == 0 || wave.end == count {
            for occupant in &mut occupants[..wave.end] {
                occupant.settle().await?;
            }
        }
    }
    Ok(occupants)
}

/// The first speaks, and all of them hear it: `window` messages are under way at a time; each occupant who has heard one is a unit.
pub(crate) async fn talk(
    subject: &Subject,
    mut occupants: Vec<Client>,
    window: u64,
    size: &Size,
) -> Outcome<Vec<Sample>> {
    let room = room(subject);
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

/// The scenario.
pub(super) async fn run(subject: &Subject, window: u64, size: &Size) -> Outcome<Vec<Sample>> {
    let occupants = gather(subject, OCCUPANTS).await?;
    talk(subject, occupants, window, size).await
}
