//! Hats, XEP-0317 version 0.3.1: what people are to a room beside affiliation and role, in words of its own.
//!
//! Admins make hats and put them on people by commands (XEP-0050) to the room; whoever wears one is seen with it in presence.
//! Refuses: hats that somebody puts on themselves; the room takes them off whatever presence comes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza};

use super::entrance::show_again;
use super::rank::Affiliation;
use super::room::Room;
use super::talk;
use crate::context::{Context, Refusal, store_failed};
use crate::form::{DATA, Field, Form, Submitted};
use crate::module::Answer;

/// Namespace, and feature of rooms.
pub(super) const HATS: &str = "urn:xmpp:hats:0";
/// Namespace of commands, and node of their list.
pub(super) const COMMANDS: &str = "http://jabber.org/protocol/commands";
const FORM: &str = "urn:xmpp:hats:commands";

/// Hats of a room.
const MOST: usize = 50;
/// People who wear any.
const WEARERS: usize = 500;
/// Hats of one person.
const EACH: usize = 10;
/// Longest title, in characters.
const TITLE: usize = 100;
/// Longest name of a hat, in bytes.
const URI: usize = 500;

/// A hat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Hat {
    uri: String,
    title: String,
    /// Colour, as an angle (XEP-0392).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    hue: String,
}

/// The hats of a room, and who wears them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Hats {
    all: Vec<Hat>,
    /// Address → names of hats.
    worn: BTreeMap<String, Vec<String>>,
}

impl Hats {
    /// From the store.
    pub(super) fn from_json(json: Option<&str>) -> Self {
        json.and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    /// `None`: there are none.
    pub(super) fn to_json(&self) -> Option<String> {
        let some = !self.all.is_empty();
        some.then(|| serde_json::to_string(self).ok()).flatten()
    }

    /// What somebody is seen with; `None`: nothing.
    pub(super) fn of(&self, who: &BareJid) -> Option<Element> {
        let worn = self.worn.get(who.as_str())?;
        let hats = worn.iter().filter_map(|uri| self.find(uri)).map(|hat| {
            Element::new("hat", HATS)
                .attr("title", hat.title.as_str())
                .attr("uri", hat.uri.as_str())
                .attr_opt("hue", Some(hat.hue.as_str()).filter(|hue| !hue.is_empty()))
        });
        let element = Element::new("hats", HATS).children_from(hats);
        element.children().next()?;
        Some(element)
    }

    /// Whoever gets this address next wears nothing.
    pub(super) fn forget(&mut self, who: &BareJid) {
        self.worn.remove(who.as_str());
    }

    fn find(&self, uri: &str) -> Option<&Hat> {
        self.all.iter().find(|hat| hat.uri == uri)
    }

    /// Those who wear it.
    fn wearers(&self, uri: &str) -> Vec<BareJid> {
        let wearing = self
            .worn
            .iter()
            .filter(|(_, worn)| worn.iter().any(|w| w == uri));
        wearing
            .filter_map(|(jid, _)| BareJid::parse(jid).ok())
            .collect()
    }
}

/// What may be done with hats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Command {
    Create,
    Destroy,
    List,
    Assign,
    Unassign,
    ListAssigned,
}

impl Command {
    const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Create, "create", "Create or change a hat"),
        (Self::Destroy, "destroy", "Destroy a hat"),
        (Self::List, "list", "List hats"),
        (Self::Assign, "assign", "Give somebody a hat"),
        (Self::Unassign, "unassign", "Take a hat from somebody"),
        (Self::ListAssigned, "list-assigned", "List who wears hats"),
    ];

    fn of(node: &str) -> Option<(Self, &'static str)> {
        let name = node.strip_prefix("urn:xmpp:hats:commands:")?;
        let found = Self::ALL.iter().find(|(_, one, _)| *one == name)?;
        Some((found.0, found.2))
    }
}

/// The list of commands, for those who may give them (XEP-0050 3.2).
pub(super) fn commands(room: &Room, from: &Jid) -> Element {
    let admin = room.affiliation(&from.bare()) >= Affiliation::Admin;
    let all = Command::ALL
        .iter()
        .filter(|(one, ..)| admin || *one == Command::List);
    let items = all.map(|(_, name, about)| {
        Element::new("item", ns::DISCO_ITEMS)
            .attr("jid", room.jid.as_str())
            .attr("node", format!("urn:xmpp:hats:commands:{name}"))
            .attr("name", *about)
    });
    Element::new("query", ns::DISCO_ITEMS)
        .attr("node", COMMANDS)
        .children_from(items)
}

/// A command.
pub(super) async fn iq(cx: &Context<'_>, room: &mut Room, iq: &Stanza) -> Result<Answer, Refusal> {
    let from = iq.from().ok_or(Condition::BadRequest)?;
    let tree = iq.payload().map_err(|_| Condition::BadRequest)?;
    let command = tree
        .find("command", COMMANDS)
        .ok_or(Condition::BadRequest)?;
    let node = command.get_attr("node").unwrap_or_default();
    let (what, title) = Command::of(node).ok_or(Condition::ItemNotFound)?;
    let affiliation = room.affiliation(&from.bare());
    let least = match what {
        Command::List if room.config.members_only => Affiliation::Member,
        Command::List => Affiliation::None,
        _ => Affiliation::Admin,
    };
    if affiliation < least {
        return Err(Condition::Forbidden.into());
    }
    let session = command.get_attr("sessionid").map_or_else(
        || format!("{:016x}", rand::random::<u64>()),
        |id| id.chars().take(64).collect(),
    );
    let answer = |status: &str| {
        Element::new("command", COMMANDS)
            .attr("node", node)
            .attr("sessionid", session.as_str())
            .attr("status", status)
    };
    if command.get_attr("action") == Some("cancel") {
        return Ok(Answer::Payload(answer("canceled")));
    }
    match what {
        Command::List => return Ok(Answer::Payload(answer("completed").child(listed(room)))),
        Command::ListAssigned => {
            return Ok(Answer::Payload(answer("completed").child(assigned(room))));
        }
        _ => {}
    }
    let form = match Submitted::within(command) {
        Some(form) if form.is_cancelled() => {
            return Ok(Answer::Payload(answer("canceled")));
        }
        Some(form) if form.form_type() == Some(FORM) => form,
        Some(_) => return Err(Condition::BadRequest.into()),
        None => {
            let actions = Element::new("actions", COMMANDS)
                .attr("execute", "complete")
                .child(Element::new("complete", COMMANDS));
            let form = asking(room, what, title);
            return Ok(Answer::Payload(
                answer("executing").child(actions).child(form),
            ));
        }
    };
    let seen = change(cx, room, what, &form).await?;
    for who in seen {
        for key in room.keys_of(&who) {
            show_again(cx, room, &key);
        }
    }
    if matches!(what, Command::Create | Command::Destroy) {
        talk::tell(cx, room, &[104]).await;
    }
    Ok(Answer::Payload(answer("completed")))
}

fn asking(room: &Room, what: Command, title: &str) -> Element {
    let text = |var, label| Field::new(var, "text-single").label(label);
    let hats = room.hats.all.iter().fold(
        Field::new("hats#uri", "list-single").label("The hat"),
        |field, hat| field.option(&hat.uri, &hat.title),
    );
    let form = Form::asking(FORM).title(title);
    let form = match what {
        Command::Create => form
            .field(text("hats#title", "Title").required())
            .field(text("hats#uri", "Name (a URI)").required())
            .field(text("hats#hue", "Colour, as an angle from 0 to 360")),
        Command::Destroy => form.field(hats),
        _ => form
            .field(Field::new("hats#jid", "jid-single").label("Who").required())
            .field(hats),
    };
    form.into_element()
}

/// Carries a command out; whose presence looks different now.
async fn change(
    cx: &Context<'_>,
    room: &mut Room,
    what: Command,
    form: &Submitted,
) -> Result<Vec<BareJid>, Refusal> {
    let value = |var: &str| {
        let text = form.text(var).map_err(|_| Condition::BadRequest)?;
        Ok::<_, Refusal>(text.unwrap_or_default().trim().to_owned())
    };
    let bad = |text: &str| Refusal::new(Condition::NotAcceptable).with_text(text);
    let uri = value("hats#uri")?;
    let mut hats = room.hats.clone();
    let known = hats.find(&uri).is_some();
    if what != Command::Create && !known {
        return Err(Condition::ItemNotFound.into());
    }
    let who = || {
        let jid = value("hats#jid")?;
        let jid = Jid::parse(&jid).map_err(|_| Refusal::from(Condition::JidMalformed))?;
        match jid.local() {
            Some(_) => Ok(jid.bare()),
            None => Err(Refusal::from(Condition::JidMalformed)),
        }
    };
    let seen = match what {
        Command::Create => {
            let (title, hue) = (value("hats#title")?, value("hats#hue")?);
            let colour = hue.is_empty()
                || hue
                    .parse::<f64>()
                    .is_ok_and(|hue| (0.0..=360.0).contains(&hue));
            if uri.len() > URI || !uri.contains(':') || uri.contains(char::is_whitespace) {
                return Err(bad("a hat's name is a URI"));
            }
            if title.is_empty() || title.chars().count() > TITLE || !colour {
                return Err(bad("a hat has a title, and a colour from 0 to 360"));
            }
            if !known && hats.all.len() >= MOST {
                let text = format!("a room has at most {MOST} hats");
                return Err(Refusal::new(Condition::PolicyViolation).with_text(text));
            }
            hats.all.retain(|hat| hat.uri != uri);
            let hat = Hat {
                uri: uri.clone(),
                title,
                hue,
            };
            hats.all.push(hat);
            hats.wearers(&uri)
        }
        Command::Destroy => {
            let wearers = hats.wearers(&uri);
            hats.all.retain(|hat| hat.uri != uri);
            for worn in hats.worn.values_mut() {
                worn.retain(|one| *one != uri);
            }
            wearers
        }
        Command::Assign => {
            let who = who()?;
            if !hats.worn.contains_key(who.as_str()) && hats.worn.len() >= WEARERS {
                let text = format!("at most {WEARERS} people wear hats in a room");
                return Err(Refusal::new(Condition::PolicyViolation).with_text(text));
            }
            let worn = hats.worn.entry(who.to_string()).or_default();
            if !worn.contains(&uri) {
                if worn.len() >= EACH {
                    let text = format!("nobody wears more than {EACH} hats");
                    return Err(Refusal::new(Condition::PolicyViolation).with_text(text));
                }
                worn.push(uri);
            }
            vec![who]
        }
        _ => {
            let who = who()?;
            let worn = hats.worn.get_mut(who.as_str());
            let worn = worn.filter(|worn| worn.contains(&uri));
            worn.ok_or(Condition::ItemNotFound)?
                .retain(|one| *one != uri);
            vec![who]
        }
    };
    hats.worn.retain(|_, worn| !worn.is_empty());
    if let Some(row) = room.row {
        let json = hats.to_json();
        let kept = cx.store().room_hats(row, json.as_deref()).await;
        kept.map_err(|e| store_failed(&e, &room.jid.bare(), "keeping hats"))?;
    }
    room.hats = hats;
    Ok(seen)
}

/// A table of a form (XEP-0004 3.4).
fn table(columns: &[&str], rows: Vec<Vec<String>>) -> Element {
    let field = |var: &str| Element::new("field", DATA).attr("var", var);
    let reported = Element::new("reported", DATA).children_from(columns.iter().map(|c| field(c)));
    let items = rows.into_iter().map(|row| {
        let cells = columns.iter().zip(row);
        Element::new("item", DATA).children_from(
            cells.map(|(var, value)| field(var).child(Element::new("value", DATA).text(value))),
        )
    });
    let mut form = Form::result(FORM).into_element();
    form.push(reported);
    form.children_from(items)
}

fn listed(room: &Room) -> Element {
    let hats = room.hats.all.iter();
    table(
        &["hats#title", "hats#uri", "hats#hue"],
        hats.map(|hat| vec![hat.title.clone(), hat.uri.clone(), hat.hue.clone()])
            .collect(),
    )
}

fn assigned(room: &Room) -> Element {
    let worn = room.hats.worn.iter();
    let rows = worn.flat_map(|(jid, worn)| {
        let hats = worn.iter().filter_map(|uri| room.hats.find(uri));
        hats.map(move |hat| {
            vec![
                jid.clone(),
                hat.uri.clone(),
                hat.title.clone(),
                hat.hue.clone(),
            ]
        })
    });
    table(
        &["hats#jid", "hats#uri", "hats#title", "hats#hue"],
        rows.collect(),
    )
}
