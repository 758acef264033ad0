//! What a service and its rooms tell of themselves (XEP-0045 6), and questions to occupants (6.6, XEP-0410).

use xmpp::element::Element;
use xmpp::jid::{Jid, nickname_key};
use xmpp::ns;
use xmpp::stanza::{Condition, ErrorType, Stanza, StanzaError, StanzaType};

use super::rank::Affiliation;
use super::room::{Occupant, Room};
use super::{
    MUC, MUC_ADMIN, MUC_OWNER, OCCUPANT_IDS, SERVICE, VCARD, affiliate, hats, hearing, owner, past,
    picture, register, search,
};
use crate::archive::MAM;
use crate::context::{Context, Refusal, store_failed};
use crate::data_policy::{self, Of};
use crate::module::Answer;
use crate::rsm;

/// Rooms of one page.
const LISTED: usize = 500;
/// A client may ask whether it is still in (XEP-0410 3.2).
const SELF_PING: &str = "http://jabber.org/protocol/muc#self-ping-optimization";
const STABLE_ID: &str = "http://jabber.org/protocol/muc#stable_id";
/// Node of disco that says what may pass through a room (XEP-0045 18.1.1).
const TRAFFIC: &str = "http://jabber.org/protocol/muc#traffic";
/// Node of disco by which somebody asks for their own nickname (XEP-0045 7.12).
const OWN_NICK: &str = "x-roomuser-item";

/// A get or set to the service itself.
pub(super) async fn of_service(cx: &Context<'_>, iq: &Stanza) -> Result<Answer, Refusal> {
    let asked = iq.first_child();
    if iq.type_() == StanzaType::Set {
        return Err(Condition::ServiceUnavailable.into());
    }
    match asked {
        Some(("query", ns::DISCO_INFO)) => {
            let identity = identity(SERVICE.category, SERVICE.type_, Some(SERVICE.about));
            let features = [
                ns::DISCO_INFO,
                ns::DISCO_ITEMS,
                ns::PING,
                MUC,
                SELF_PING,
                OCCUPANT_IDS,
                VCARD,
                rsm::NS,
            ];
            let search = search::on(cx.hosted).then_some(search::SEARCH);
            let features = features.into_iter().chain(search);
            let policy = data_policy::form(cx.hosted, Of::Rooms);
            Ok(Answer::Payload(info(identity, features).child_opt(policy)))
        }
        Some(("query", ns::DISCO_ITEMS)) => rooms(cx, iq).await,
        Some(("ping", ns::PING)) => Ok(Answer::Empty),
        Some(("search", search::SEARCH)) if search::on(cx.hosted) => search::iq(cx, iq).await,
        _ => Err(Condition::ServiceUnavailable.into()),
    }
}

/// Rooms that everybody may find (XEP-0045 6.3), by address, in pages where there are many (XEP-0059).
async fn rooms(cx: &Context<'_>, iq: &Stanza) -> Result<Answer, Refusal> {
    let tree = iq.payload().map_err(|_| Condition::BadRequest)?;
    let query = tree
        .find("query", ns::DISCO_ITEMS)
        .ok_or(Condition::BadRequest)?;
    let asked = rsm::page(query)?;
    let service = cx.hosted.domain.as_str();
    let kept = cx.store().rooms_listed("", cx.modules.limits.rooms).await;
    let kept = kept.map_err(|e| {
        store_failed(
            &e,
            &Jid::from(cx.hosted.domain.clone()).bare(),
            "listing rooms",
        )
    })?;
    let kept = kept.into_iter();
    let mut all: Vec<(String, String)> = kept
        .map(|room| (format!("{}@{service}", room.local), room.name))
        .collect();
    // Those that end with their last occupant are nowhere but in memory.
    for (jid, place) in cx.modules.rooms.of(service) {
        if let Some(card) = place.card().filter(|card| !card.kept) {
            all.push((jid.to_string(), card.name));
        }
    }
    all.sort();
    let (shown, set) = rsm::slice(&all, asked.as_ref(), LISTED, |(jid, _)| jid)?;
    let items = shown.iter().map(|(jid, name)| {
        Element::new("item", ns::DISCO_ITEMS)
            .attr("jid", jid.as_str())
            .attr("name", if name.is_empty() { jid } else { name }.as_str())
    });
    let whole = asked.is_none() && shown.len() == all.len();
    Ok(Answer::Payload(
        Element::new("query", ns::DISCO_ITEMS)
            .children_from(items)
            .child_opt((!whole).then_some(set)),
    ))
}

/// A get or set to a room.
pub(super) async fn of_room(
    cx: &Context<'_>,
    slot: &mut Option<Room>,
    iq: &Stanza,
) -> Result<Answer, Refusal> {
    let get = iq.type_() == StanzaType::Get;
    if iq.first_child() == Some(("query", MUC_OWNER)) {
        return owner::iq(cx, slot, iq).await;
    }
    let Some(room) = slot else {
        return Err(Condition::ItemNotFound.into());
    };
    match iq.first_child() {
        Some(("query", MUC_ADMIN)) => {
            let answer = affiliate::iq(cx, room, iq).await?;
            super::entrance::close_if_over(cx, slot).await;
            Ok(answer)
        }
        Some(("query", ns::REGISTER)) => register::iq(cx, room, iq).await,
        Some((_, MAM)) => past::iq(cx, room, iq).await,
        Some(("moderate", past::MODERATE)) if !get => past::moderate(cx, room, iq).await,
        Some(("command", hats::COMMANDS)) if !get => hats::iq(cx, room, iq).await,
        Some(("vCard", VCARD)) => picture::iq(cx, room, iq).await,
        Some(("query", ns::DISCO_INFO)) if get => described(cx, room, iq),
        Some(("query", ns::DISCO_ITEMS)) if get && asks_for_commands(iq) => {
            let from = iq.from().ok_or(Condition::BadRequest)?;
            Ok(Answer::Payload(hats::commands(room, from)))
        }
        // Who is there is known by going there.
        Some(("query", ns::DISCO_ITEMS)) if get => {
            Ok(Answer::Payload(Element::new("query", ns::DISCO_ITEMS)))
        }
        Some(("ping", ns::PING)) if get => Ok(Answer::Empty),
        _ => Err(Condition::ServiceUnavailable.into()),
    }
}

fn asks_for_commands(iq: &Stanza) -> bool {
    let tag = iq.child_tag("query", ns::DISCO_ITEMS);
    tag.and_then(|tag| tag.attr("node")).as_deref() == Some(hats::COMMANDS)
}

fn described(cx: &Context<'_>, room: &Room, iq: &Stanza) -> Result<Answer, Refusal> {
    let from = iq.from().ok_or(Condition::BadRequest)?;
    let payload = iq
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let query = payload
        .find("query", ns::DISCO_INFO)
        .ok_or(Condition::BadRequest)?;
    match query.get_attr("node") {
        None | Some("") => {}
        Some(OWN_NICK) => {
            let empty = Element::new("query", ns::DISCO_INFO).attr("node", OWN_NICK);
            let nick = room.reserved(&from.bare());
            let identity = nick.map(|nick| identity("conference", "text", Some(nick)));
            return Ok(Answer::Payload(empty.child_opt(identity)));
        }
        // Everything passes.
        Some(TRAFFIC) => return Err(Condition::ServiceUnavailable.into()),
        Some(_) => return Err(Condition::ItemNotFound.into()),
    }
    if room.affiliation(&from.bare()) == Affiliation::Outcast {
        return Err(Condition::Forbidden.into());
    }
    let name = Some(room.config.name.as_str()).filter(|name| !name.is_empty());
    let always = [
        ns::DISCO_INFO,
        ns::DISCO_ITEMS,
        ns::PING,
        ns::REGISTER,
        MUC,
        SELF_PING,
        STABLE_ID,
        OCCUPANT_IDS,
        VCARD,
        hats::HATS,
        hats::COMMANDS,
        "http://jabber.org/protocol/muc#request",
    ];
    let features = always.into_iter().chain(room.config.features());
    let features = features.chain(past::features(cx, room));
    // What is talked about is for those who may enter, as what is said.
    let subject = room.subject.as_ref().filter(|_| past::may_look(room, from));
    let subject = subject.and_then(|past| {
        let tree = past.stanza.payload().ok()?;
        Some(tree.find("subject", ns::CLIENT)?.text_content())
    });
    let pictures = picture::of(room);
    let about = room
        .config
        .info(room.occupants.len(), subject.as_deref(), &pictures);
    let identity = identity(SERVICE.category, SERVICE.type_, name);
    Ok(Answer::Payload(info(identity, features).child(about)))
}

/// An iq to an occupant: answered here where it is a question to oneself, passed on otherwise. A question of somebody with
/// several devices goes on under an id that says which of them has asked; one that an account answers, under an id that says
/// which of its nicknames was asked, as the answer comes from none of them.
pub(super) async fn to_occupant(
    cx: &Context<'_>,
    room: Option<&Room>,
    iq: &Stanza,
) -> Result<(), Refusal> {
    let (Some(from), Some(to)) = (iq.from(), iq.to()) else {
        return Ok(());
    };
    let is_answer = matches!(iq.type_(), StanzaType::Result | StanzaType::Error);
    let answered = match room.filter(|_| is_answer && from.is_bare()) {
        Some(room) => of_account(room, iq)?,
        None => None,
    };
    let (sender, iq) = match &answered {
        Some((sender, iq)) => (Some(*sender), iq),
        None => {
            let known = room.and_then(|room| room.occupant_of(from));
            (known.map(|(_, occupant)| occupant), iq)
        }
    };
    let (Some(room), Some(sender)) = (room, sender) else {
        // EXT-27: whoever is not in, hears so from the room itself (XEP-0410 3.1).
        let error = StanzaError::new(Condition::NotAcceptable).with_kind(ErrorType::Cancel);
        return Err(error.with_by(to.bare()).into());
    };
    let nick = to.resource().unwrap_or_default();
    let key = nickname_key(nick);
    let addressee = room.occupants.get(&key);
    let addressee = addressee.ok_or(Condition::ItemNotFound)?;
    let ping = iq.first_child() == Some(("ping", ns::PING));
    if ping && iq.type_() == StanzaType::Get && addressee.shown == sender.shown {
        cx.hand(iq.iq_result(None));
        return Ok(());
    }
    if is_answer {
        if let Some((asker, id)) = asker(addressee, iq) {
            let out = if iq.id() == Some(id) {
                iq.clone()
            } else {
                under(iq, id)?
            };
            cx.send(out.with_from(&sender.shown).with_to(asker));
        }
        return Ok(());
    }
    if hearing::is_blocked(cx, room, addressee, sender).await {
        // As if nobody were there.
        return Err(Condition::ServiceUnavailable.into());
    }
    let mut out = iq.with_from(&sender.shown);
    if sender.visits.len() > 1
        && let (Some(id), Some(visit)) = (iq.id(), sender.visits.iter().find(|v| v.jid == *from))
    {
        out = under(&out, &format!("{}{id}", visit.mark()))?;
    }
    if iq.first_child().is_some_and(|(_, ns)| ns == VCARD) {
        let id = out.id().map(|id| format!("{}{id}", asked_mark(room, &key)));
        if let Some(id) = id {
            out = under(&out, &id)?;
        }
        cx.send(out.with_to(&Jid::from(addressee.real.clone())));
        return Ok(());
    }
    let visit = addressee.visits.last().ok_or(Condition::ItemNotFound)?;
    cx.send(out.with_to(&visit.jid));
    Ok(())
}

/// An account's answer to what one of its nicknames was asked: whose it is, and as that one would have given it. Another
/// nickname of the same person must not give it, as that would tell that they are one.
fn of_account<'a>(
    room: &'a Room,
    answer: &Stanza,
) -> Result<Option<(&'a Occupant, Stanza)>, Refusal> {
    let (Some(from), Some(id)) = (answer.from(), answer.id()) else {
        return Ok(None);
    };
    let who = from.bare();
    let theirs = room.occupants.iter().filter(|(_, one)| one.real == who);
    let asked = theirs.filter_map(|(key, one)| {
        let id = id.strip_prefix(asked_mark(room, key).as_str())?;
        Some((one, id))
    });
    match asked.last() {
        Some((occupant, id)) => Ok(Some((occupant, under(answer, id)?))),
        None => Ok(None),
    }
}

/// What ids of questions begin with that an account answers for this nickname; means nothing to the account.
fn asked_mark(room: &Room, key: &str) -> String {
    // No address has a blank.
    let mark = super::keyed(&room.salt, &format!("asked {key}"));
    format!("{}-", mark.get(..12).unwrap_or_default())
}

/// The same under another id.
fn under(iq: &Stanza, id: &str) -> Result<Stanza, Refusal> {
    let tree = iq.payload().map_err(|_| Condition::BadRequest)?;
    let tree = Stanza::from_element(&tree.attr("id", id));
    tree.map_err(|_| Condition::BadRequest.into())
}

/// Which of an occupant's devices has asked what this answers, and under which id.
fn asker<'a>(occupant: &'a Occupant, answer: &'a Stanza) -> Option<(&'a Jid, &'a str)> {
    let id = answer.id()?;
    let marked = occupant
        .visits
        .iter()
        .find_map(|visit| Some((&visit.jid, id.strip_prefix(visit.mark().as_str())?)));
    marked.or_else(|| Some((&occupant.visits.last()?.jid, id)))
}

fn identity(category: &str, type_: &str, name: Option<&str>) -> Element {
    Element::new("identity", ns::DISCO_INFO)
        .attr("category", category)
        .attr("type", type_)
        .attr_opt("name", name)
}

fn info<'a>(identity: Element, features: impl IntoIterator<Item = &'a str>) -> Element {
    let features = features.into_iter();
    Element::new("query", ns::DISCO_INFO)
        .child(identity)
        .children_from(features.map(|var| Element::new("feature", ns::DISCO_INFO).attr("var", var)))
}
