//! How the cost of a query grows with the archive: the last page, and a page after an id in the middle, of archives of a thousand
//! messages and of millions. Both must cost the same in each.
//!
//! The messages come in as they would from another server, by `domicile import` (XEP-0227), while nobody is measured.

use std::io::{BufWriter, Write as _};
use std::path::Path;

use crate::Outcome;
use crate::client::Client;
use crate::curves::{FLAT, Point, flat};
use crate::scan;
use crate::scenario::Unit;
use crate::subject::{Kind, Options, Subject};
use crate::world::{DOMAIN, PASSWORD, World, user};

/// Questions of each kind that are measured.
const QUERIES: usize = 500;
/// Messages of a page.
const PAGE: usize = 50;
const MAM: &str = "urn:xmpp:mam:2";
const RSM: &str = "http://jabber.org/protocol/rsm";

/// Archives of so many messages, a new server for each.
pub async fn run(world: &World, counts: &[usize]) -> Outcome<(String, bool)> {
    let (mut last, mut middle) = (Vec::new(), Vec::new());
    for count in counts {
        let options = Options {
            archive: true,
            ..Options::default()
        };
        let subject = Subject::start_with(Kind::Domicile, world, &options)?;
        eprintln!("{count} archived messages …");
        let file = world.base.join("archive.xml");
        write(&file, *count)?;
        let path = file.to_string_lossy();
        world.command(&world.base.join("domicile"), &["import", DOMAIN, &path])?;
        std::fs::remove_file(&file)?;
        let mut reader = subject.gate.online(&user(0), PASSWORD).await?;
        let id = half_way(&mut reader, *count).await?;
        for (points, where_) in [
            (&mut last, "<before/>".to_owned()),
            (&mut middle, format!("<after>{id}</after>")),
        ] {
            // Whatever is read for the first time is read now.
            page(&mut reader, &where_).await?;
            let before = subject.process.used()?;
            for _ in 0..QUERIES {
                let got = page(&mut reader, &where_).await?;
                if got.0 != PAGE {
                    return Err(format!("a page of {} messages", got.0).into());
                }
            }
            let used = subject.process.used()?.since(before).micros();
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

/// A file of XEP-0227 with one account's archive: one message a second, with ten people in turn.
fn write(file: &Path, count: usize) -> Outcome<()> {
    let mut out = BufWriter::with_capacity(1 << 20, std::fs::File::create(file)?);
    let own = user(0);
    writeln!(
        out,
        "<?xml version='1.0'?><server-data xmlns='urn:xmpp:pie:0'><host jid='{DOMAIN}'><user name='{own}'>\
         <archive xmlns='urn:xmpp:pie:0#mam'>"
    )?;
    for number in 0..count {
        writeln!(
            out,
            "<result xmlns='{MAM}' id='{number}'><forwarded xmlns='urn:xmpp:forward:0'>\
             <delay xmlns='urn:xmpp:delay' stamp='{}'/>\
             <message xmlns='jabber:client' from='friend{}@peer.example/x' to='{own}@{DOMAIN}' type='chat' id='m{number}'>\
             <body>message number {number:010}</body></message></forwarded></result>",
            stamp(number),
            number % 10
        )?;
    }
    writeln!(out, "</archive></user></host></server-data>")?;
    out.flush()?;
    Ok(())
}

/// Seconds from the first of January 2020 on (XEP-0082), in months of 28 days: no two alike, and in order.
fn stamp(second: usize) -> String {
    let (minutes, second) = (second / 60, second % 60);
    let (hours, minute) = (minutes / 60, minutes % 60);
    let (days, hour) = (hours / 24, hours % 24);
    let (months, day) = (days / 28, days % 28 + 1);
    let (year, month) = (2020 + months / 12, months % 12 + 1);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
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
        stamp(count / 2)
    );
    Ok(ask(reader, &form, "", 1).await?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_in_order_and_no_two_alike() {
        let mut before = String::new();
        for second in (0..400_000_000).step_by(86_399) {
            let now = stamp(second);
            assert!(now > before, "{now} after {before}");
            before = now;
        }
        assert_eq!(stamp(0), "2020-01-01T00:00:00Z");
    }
}
