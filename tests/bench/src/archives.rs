//! How the cost of a query grows with the archive: the last page, and a page after an id in the middle, of archives of a thousand
//! messages and of millions. Both must cost the same in each.
//!
//! The messages are there when the server starts ([`archived`]), so that ten million of them take minutes.

use crate::Outcome;
use crate::client::Client;
use crate::curves::{FLAT, Point, flat};
use crate::machine::Process;
use crate::report::moment;
use crate::scan;
use crate::scenario::Unit;
use crate::subject::{Kind, Options, Subject, archived};
use crate::world::{PASSWORD, World, user};

/// Questions of each kind that are measured.
const QUERIES: usize = 500;
/// Messages of a page.
const PAGE: usize = 50;
const MAM: &str = "urn:xmpp:mam:2";
const RSM: &str = "http://jabber.org/protocol/rsm";

/// Archives of so many messages, a new server for each.
pub async fn run(kind: Kind, world: &World, counts: &[usize]) -> Outcome<(String, bool)> {
    let (mut last, mut middle) = (Vec::new(), Vec::new());
    for count in counts {
        eprintln!("{}: {count} archived messages …", kind.name());
        let options = Options {
            archive: true,
            archived: *count,
            ..Options::default()
        };
        let subject = Subject::start_with(kind, world, &options)?;
        let mut reader = subject.gate.online(&user(0), PASSWORD).await?;
        let id = half_way(&mut reader, *count).await?;
        for (points, where_) in [
            (&mut last, "<before/>".to_owned()),
            (&mut middle, format!("<after>{id}</after>")),
        ] {
            // Whatever is read for the first time is read now.
            page(&mut reader, &where_).await?;
            let aside = || subject.database().map(Process::used).transpose();
            let (before, other) = (subject.process.used()?, aside()?.unwrap_or_default());
            for _ in 0..QUERIES {
                let got = page(&mut reader, &where_).await?;
                if got.0 != PAGE {
                    return Err(format!("a page of {} messages", got.0).into());
                }
            }
            let other = aside()?.unwrap_or_default().since(other).micros();
            // With what the database took, where it is another process.
            let used = subject.process.used()?.since(before).micros() + other;
            points.push(Point {
                at: *count,
                value: used / QUERIES as f64,
            });
        }
    }
    let mut text = String::new();
    let name = "CPU time per last page, by archived messages";
    let good = flat(name, Unit::Micros, &last, FLAT, &mut text);
    let name = "CPU time per page after an id in the middle, by archived messages";
    let also = flat(name, Unit::Micros, &middle, FLAT, &mut text);
    Ok((text, good && also))
}

/// Asks for a page; how many messages there are in it, and the id of the last.
async fn page(reader: &mut Client, place: &str) -> Outcome<(usize, String)> {
    ask(reader, "", place, PAGE).await
}

async fn ask(
    reader: &mut Client,
    form: &str,
    place: &str,
    most: usize,
) -> Outcome<(usize, String)> {
    let request = format!(
        "<iq type='set' id='page'><query xmlns='{MAM}'>{form}<set xmlns='{RSM}'><max>{most}</max>{place}</set></query></iq>"
    );
    reader.connection.send(request.as_bytes()).await?;
    let mut messages = 0;
    loop {
        let item = reader.connection.element().await?;
        let bytes = item.as_bytes();
        if scan::is(bytes, "message") {
            messages += 1;
        } else if scan::attribute(bytes, "id") == Some(b"page") {
            let last = item
                .split_once("<last>")
                .and_then(|(_, rest)| rest.split_once("</last>"));
            let last = last.map(|(id, _)| id.to_owned());
            return Ok((messages, last.ok_or("a page without an end")?));
        }
    }
}

/// The id of a message half way.
async fn half_way(reader: &mut Client, count: usize) -> Outcome<String> {
    let form = format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{MAM}</value></field>\
         <field var='start'><value>{}</value></field></x>",
        moment(archived::FIRST + count as u64 / 2)
    );
    Ok(ask(reader, &form, "", 1).await?.1)
}
