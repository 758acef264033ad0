//! What people do beside writing to each other: they meet in a room, publish, share files, look into their archives, and come back
//! to a session whose connection was cut. Each undoes what it has made, so that nothing may be left of it.

use std::ops::Range;
use std::rc::Rc;

use super::Pace;
use crate::Outcome;
use crate::client::Gate;
use crate::scan;
use crate::scenario::{Meter, chat, online, room};
use crate::world::{PASSWORD, user};

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const UPLOAD: &str = "urn:xmpp:http:upload:0";
const COMMANDS: &str = "http://jabber.org/protocol/commands";
const MAM: &str = "urn:xmpp:mam:2";
const SM: &str = "urn:xmpp:sm:3";
/// Where the web door listens.
pub(super) const WEB: u16 = 5443;
/// Seconds for which a session waits for its client. The server keeps a task for each time that one was left for so long, also
/// when its client is back; at the end it must have none.
const WAITS: u32 = 20;
/// Bytes of a file.
const FILE: usize = 50_000;

/// Text with no two alike.
fn text(number: usize, turn: u64) -> String {
    let mut text = Vec::new();
    chat::body(&mut text, number, turn);
    String::from_utf8_lossy(&text).into_owned()
}

/// The answer must be a result.
fn granted(answer: &str) -> Outcome<()> {
    match scan::attribute(answer.as_bytes(), "type") {
        Some(b"result") => Ok(()),
        _ => Err(format!("a result was due: {answer}").into()),
    }
}

/// What stands between two texts.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Outcome<&'a str> {
    let found = text.split_once(before).map(|(_, rest)| rest);
    let found = found.and_then(|rest| rest.split_once(after));
    let (found, _) = found.ok_or_else(|| format!("{before} was due: {text}"))?;
    Ok(found)
}

/// A room (XEP-0045) that comes about, in which each says something that all hear, and that ends with the last who leaves.
pub(super) async fn meet(
    gate: Gate,
    numbers: Range<usize>,
    meter: Rc<Meter>,
    pace: Pace,
) -> Outcome<()> {
    let name = format!("soak{}@rooms.{}", numbers.start, gate.domain());
    let mut people = online(&gate, numbers).await?;
    let mut turn = 0;
    while !meter.stop.get() {
        pace.rest().await;
        let (owner, others) = people.split_first_mut().ok_or("an empty room")?;
        room::open(owner, &name).await?;
        for (at, other) in others.iter_mut().enumerate() {
            room::enter(other, &name, at + 1).await?;
        }
        for person in &mut people {
            person.settle().await?;
        }
        for speaker in 0..people.len() {
            let (from, said) = (format!("{name}/o{speaker}"), text(speaker, turn));
            let message =
                format!("<message to='{name}' type='groupchat'><body>{said}</body></message>");
            people[speaker].connection.send(message.as_bytes()).await?;
            for person in &mut people {
                room::hear(person, &from, &said).await?;
            }
            turn += 1;
            meter.add(1);
        }
        for (at, person) in people.iter_mut().enumerate() {
            room::leave(person, &name, at).await?;
        }
        for person in &mut people {
            person.settle().await?;
        }
    }
    for person in people {
        person.log_out().await?;
    }
    Ok(())
}

/// A node (XEP-0163) with an item that is found again, and both taken away.
pub(super) async fn publish(
    gate: Gate,
    number: usize,
    meter: Rc<Meter>,
    pace: Pace,
) -> Outcome<()> {
    let mut client = gate.online(&user(number), PASSWORD).await?;
    let node = "urn:x-domicile:soak";
    let mut turn = 0;
    while !meter.stop.get() {
        pace.rest().await;
        let said = text(number, turn);
        let publish = format!(
            "<iq type='set' id='publish'><pubsub xmlns='{PUBSUB}'><publish node='{node}'><item id='current'>\
             <soak xmlns='{node}'>{said}</soak></item></publish></pubsub></iq>"
        );
        granted(&client.ask(&publish, "publish").await?)?;
        let items = format!(
            "<iq type='get' id='items'><pubsub xmlns='{PUBSUB}'><items node='{node}'/></pubsub></iq>"
        );
        let items = client.ask(&items, "items").await?;
        if !items.contains(&said) {
            return Err(format!("the item {said} was due: {items}").into());
        }
        let delete = format!(
            "<iq type='set' id='delete'><pubsub xmlns='{PUBSUB}#owner'><delete node='{node}'/></pubsub></iq>"
        );
        granted(&client.ask(&delete, "delete").await?)?;
        turn += 1;
        meter.add(1);
    }
    client.log_out().await
}

/// A file (XEP-0363) that is put, had again and deleted.
pub(super) async fn share(gate: Gate, number: usize, meter: Rc<Meter>, pace: Pace) -> Outcome<()> {
    let mut client = gate.online(&user(number), PASSWORD).await?;
    let service = format!("upload.{}", gate.domain());
    let mut turn = 0;
    while !meter.stop.get() {
        pace.rest().await;
        let mut file = text(number, turn).into_bytes();
        file.resize(FILE, b'.');
        let request = format!(
            "<iq type='get' id='slot' to='{service}'><request xmlns='{UPLOAD}' filename='a.txt' size='{FILE}'/></iq>"
        );
        let slot = client.ask(&request, "slot").await?;
        let url = between(&slot, "<put url='https://", "'")?;
        let (_, path) = url.split_once('/').ok_or("an address without a path")?;
        let put = gate.web(WEB, &format!("PUT /{path}"), &file).await?;
        if !put.starts_with(b"HTTP/1.1 201 ") {
            return Err(format!("201 was due: {}", String::from_utf8_lossy(&put)).into());
        }
        let got = gate.web(WEB, &format!("GET /{path}"), b"").await?;
        if !(got.starts_with(b"HTTP/1.1 200 ") && got.ends_with(&file)) {
            return Err(format!("the file of {number} has changed").into());
        }
        let token = path.split('/').nth(1).unwrap_or_default();
        let delete = format!(
            "<iq type='set' id='delete' to='{service}'><command xmlns='{COMMANDS}' node='files'>\
             <x xmlns='jabber:x:data' type='submit'><field var='files'><value>{token}</value></field></x></command></iq>"
        );
        let deleted = client.ask(&delete, "delete").await?;
        if !deleted.contains("1 deleted") {
            return Err(format!("one deleted file was due: {deleted}").into());
        }
        turn += 1;
        meter.add(1);
    }
    client.log_out().await
}

/// The newest page of somebody's archive (XEP-0313), who chats meanwhile in another session: in order, and as long as asked for.
pub(super) async fn look_back(
    gate: Gate,
    number: usize,
    meter: Rc<Meter>,
    pace: Pace,
) -> Outcome<()> {
    const PAGE: usize = 20;
    let mut client = gate.log_in(&user(number), PASSWORD).await?;
    let ask = format!(
        "<iq type='set' id='page'><query xmlns='{MAM}'><set xmlns='http://jabber.org/protocol/rsm'><max>{PAGE}</max>\
         <before/></set></query></iq>"
    );
    // A page is full from the time on when there is so much.
    let mut most = 0;
    while !meter.stop.get() {
        pace.rest().await;
        client.connection.send(ask.as_bytes()).await?;
        let (mut count, mut last) = (0, String::new());
        loop {
            let item = client.connection.element().await?;
            if scan::attribute(item.as_bytes(), "id") == Some(b"page") {
                granted(&item)?;
                break;
            }
            // An id is a time and a random number, in this order.
            let id = between(&item, &format!("<result xmlns='{MAM}' id='"), "'");
            let id = id.or_else(|_| between(&item, " id='", "'"))?.to_owned();
            if id <= last {
                return Err(format!("{id} came after {last}").into());
            }
            (count, last) = (count + 1, id);
        }
        if count > PAGE || count < most {
            return Err(format!("a page of {count} messages after one of {most}").into());
        }
        most = count;
        meter.add(1);
    }
    client.log_out().await
}

/// A session whose connection is cut and that its client comes back to (XEP-0198).
pub(super) async fn come_back(
    gate: Gate,
    number: usize,
    meter: Rc<Meter>,
    pace: Pace,
) -> Outcome<()> {
    while !meter.stop.get() {
        pace.rest().await;
        let mut client = gate.log_in(&user(number), PASSWORD).await?;
        let enable = format!("<enable xmlns='{SM}' resume='true' max='{WAITS}'/>");
        client.connection.send(enable.as_bytes()).await?;
        let enabled = client.connection.element().await?;
        let name = between(&enabled, " id='", "'")?.to_owned();
        // One stanza each way.
        client.settle().await?;
        drop(client);
        let mut connection = gate.authenticate(&user(number), PASSWORD).await?;
        let resume = format!("<resume xmlns='{SM}' previd='{name}' h='1'/>");
        connection.send(resume.as_bytes()).await?;
        let resumed = connection.element().await?;
        let right = scan::is(resumed.as_bytes(), "resumed")
            && scan::attribute(resumed.as_bytes(), "h") == Some(b"1");
        if !right {
            return Err(format!("the session with one stanza was due: {resumed}").into());
        }
        connection.close().await?;
        meter.add(1);
    }
    Ok(())
}
