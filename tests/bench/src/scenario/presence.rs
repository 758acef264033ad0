//! Presence told to 20 contacts who are online, by one account in each of 20 groups: one or some, and the next when all
//! have heard.

use super::{Crew, PRESENCES, Sample, Size, online};
use crate::Outcome;
use crate::client::Client;
use crate::scan;
use crate::subject::Subject;

/// Groups that do so.
pub(super) const GROUPS: usize = 20;
/// Contacts of the account of each.
pub(super) const CONTACTS: usize = 20;

/// Lets the contacts see the speaker's presence (RFC 6121 3.1).
async fn subscribe(speaker: &mut Client, contacts: &mut [Client]) -> Outcome<()> {
    let to = speaker.bare().to_owned();
    let get = "<iq type='get' id='have'><query xmlns='jabber:iq:roster'/></iq>";
    let roster = speaker.ask(get, "have").await?;
    // They see it already if the scenario ran before.
    let have = contacts
        .iter()
        .all(|contact| roster.contains(contact.bare()));
    for contact in contacts.iter_mut().filter(|_| !have) {
        let ask = format!("<presence type='subscribe' to='{to}' id='s'/>");
        contact.connection.send(ask.as_bytes()).await?;
    }
    for _ in contacts.iter().filter(|_| !have) {
        loop {
            let item = speaker.connection.element().await?;
            let item = item.as_bytes();
            if scan::attribute(item, "type") != Some(b"subscribe") {
                continue;
            }
            let from = scan::attribute(item, "from").unwrap_or_default();
            let yes = format!(
                "<presence type='subscribed' to='{}'/>",
                String::from_utf8_lossy(from)
            );
            speaker.connection.send(yes.as_bytes()).await?;
            break;
        }
    }
    // Each contact hears the answer and where the speaker is.
    for contact in contacts.iter_mut().filter(|_| !have) {
        loop {
            let item = contact.connection.element().await?;
            let item = item.as_bytes();
            let told = scan::is(item, "presence")
                && scan::attribute(item, "from") == Some(speaker.jid.as_bytes())
                && scan::attribute(item, "type").is_none();
            if told {
                break;
            }
        }
    }
    speaker.settle().await?;
    for contact in contacts.iter_mut() {
        contact.settle().await?;
    }
    Ok(())
}

/// The presence with this status is due from the speaker.
async fn hear(client: &mut Client, from: &str, status: &str) -> Outcome<()> {
    let (_, range) = client.connection.item().await?;
    let item = client.connection.bytes(range);
    let right = scan::is(item, "presence")
        && scan::attribute(item, "from") == Some(from.as_bytes())
        && scan::text(item, "status") == Some(status.as_bytes());
    if right {
        return Ok(());
    }
    let item = String::from_utf8_lossy(item);
    Err(format!("presence {status} of {from} was due: {item}").into())
}

/// `window` of each speaker's are under way at a time.
pub(super) async fn run(subject: &Subject, window: u64, size: &Size) -> Outcome<Vec<Sample>> {
    let mut crew = Crew::default();
    let mut clients = online(&subject.gate, PRESENCES).await?;
    // All know each other before anybody speaks: beside groups at full speed the last would never come about.
    let mut groups = Vec::new();
    for _ in 0..GROUPS {
        let mut contacts = clients.split_off(clients.len() - CONTACTS);
        let mut speaker = clients.pop().ok_or("too few accounts")?;
        subscribe(&mut speaker, &mut contacts).await?;
        groups.push((speaker, contacts));
    }
    for (group, (mut speaker, mut contacts)) in groups.into_iter().enumerate() {
        let meter = crew.meter.clone();
        crew.add(async move {
            let mut number = 0u64;
            let from = speaker.jid.clone();
            while !meter.stop.get() {
                let all = number..number + window;
                let mut told = String::new();
                for number in all.clone() {
                    told += &format!("<presence><status>{group}/{number}</status></presence>");
                }
                speaker.connection.send(told.as_bytes()).await?;
                for contact in &mut contacts {
                    for number in all.clone() {
                        hear(contact, &from, &format!("{group}/{number}")).await?;
                        meter.add(1);
                    }
                }
                for number in all {
                    hear(&mut speaker, &from, &format!("{group}/{number}")).await?;
                }
                number += window;
            }
            for contact in contacts {
                contact.log_out().await?;
            }
            speaker.log_out().await
        });
    }
    crew.measure(subject, size).await
}
