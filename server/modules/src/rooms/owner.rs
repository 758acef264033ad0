//! What a room's owner does: configuring and destroying it (XEP-0045 10.1, 10.2, 10.9).

use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use super::entrance::{change_role, show_again, show_or_hide};
use super::notice::{Removal, unavailable};
use super::rank::{Affiliation, Role};
use super::room::Room;
use super::{CONFIG_FORM, MUC_OWNER, MUC_USER, past, stored_people, talk};
use crate::context::{Context, Refusal, store_failed};
use crate::form::{BadField, Submitted};
use crate::module::Answer;

/// Longest reason, in characters; of a longer one the beginning is kept.
const REASON: usize = 500;

/// To an owner who lets everybody in: the archive goes by who may enter now ([`past`]).
const OPENED: &str = "Anybody may enter this room now, and look up what was said in it before as well. If that shall stay among \
    those who were there, close this room again and open another one.";

/// An iq with a `muc#owner` query.
pub(super) async fn iq(
    cx: &Context<'_>,
    slot: &mut Option<Room>,
    iq: &Stanza,
) -> Result<Answer, Refusal> {
    let from = iq.from().ok_or(Condition::BadRequest)?;
    let Some(room) = slot else {
        return Err(Condition::ItemNotFound.into());
    };
    if room.affiliation(&from.bare()) != Affiliation::Owner {
        return Err(Condition::Forbidden.into());
    }
    let limits = &cx.modules.limits;
    if iq.type_() == StanzaType::Get {
        let form = room.config.form(limits.room_occupants, limits.room_history);
        return Ok(Answer::Payload(
            Element::new("query", MUC_OWNER).child(form),
        ));
    }
    let payload = iq
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let query = payload
        .find("query", MUC_OWNER)
        .ok_or(Condition::BadRequest)?;
    if let Some(destroy) = query.find("destroy", MUC_OWNER) {
        return self::destroy(cx, slot, destroy).await;
    }
    let form = Submitted::within(query).ok_or(Condition::BadRequest)?;
    if form.is_cancelled() {
        if room.locked {
            // The owner does not want it after all (10.1.3).
            end(cx, slot, None).await?;
        }
        return Ok(Answer::Empty);
    }
    // An empty form accepts what is there: an instant room (10.1.2).
    if form.names().next().is_some() && form.form_type() != Some(CONFIG_FORM) {
        return Err(Condition::BadRequest.into());
    }
    configure(cx, room, &form, from).await?;
    super::entrance::close_if_over(cx, slot).await;
    Ok(Answer::Empty)
}

async fn configure(
    cx: &Context<'_>,
    room: &mut Room,
    form: &Submitted,
    owner: &Jid,
) -> Result<(), Refusal> {
    let limits = &cx.modules.limits;
    let new = room
        .config
        .with(form, limits.room_occupants, limits.room_history);
    let new = new.map_err(|BadField(var)| {
        Refusal::new(Condition::NotAcceptable).with_text(format!("{var} has no such value"))
    })?;
    let had_archive = past::is_kept(cx, room) && !room.locked;
    let before = std::mem::replace(&mut room.config, new);
    if let Err(refusal) = write(cx, room).await {
        room.config = before;
        return Err(refusal);
    }
    room.locked = false;
    if room.config.members_only && !before.members_only {
        let strangers = room
            .occupants
            .iter()
            .filter(|(_, occupant)| room.affiliation(&occupant.real) < Affiliation::Member);
        let strangers: Vec<String> = strangers.map(|(key, _)| key.clone()).collect();
        for key in strangers {
            let removal = Removal {
                codes: &[322],
                ..Removal::default()
            };
            removal.carry_out(cx, room, &key);
        }
    }
    if room.config.moderated != before.moderated {
        let keys: Vec<String> = room.occupants.keys().cloned().collect();
        for key in keys {
            let Some(occupant) = room.occupants.get(&key) else {
                continue;
            };
            let plain = room.affiliation(&occupant.real) == Affiliation::None;
            // Who has voice keeps it when the room becomes moderated (XEP-0045 5.1.2 speaks of entering).
            let role = occupant.role;
            if plain && role == Role::Visitor && !room.config.moderated {
                change_role(cx, room, &key, Role::Participant);
            } else if plain {
                room.give(&key, role);
            }
        }
    }
    show_or_hide(cx, room, &before);
    if room.config.non_anonymous && !before.non_anonymous {
        // Everybody may know now; whoever is there already hears it in presence.
        let keys: Vec<String> = room.occupants.keys().cloned().collect();
        for key in keys {
            show_again(cx, room, &key);
        }
    }
    talk::tell(cx, room, &room.config.told_by(&before)).await;
    if had_archive && past::is_kept(cx, room) && !before.is_open() && room.config.is_open() {
        let told = talk::message_to(&room.jid, owner);
        talk::send(
            cx,
            &told.child(Element::new("body", ns::CLIENT).text(OPENED)),
        );
    }
    Ok(())
}

/// What the store has of a room follows what was chosen.
async fn write(cx: &Context<'_>, room: &mut Room) -> Result<(), Refusal> {
    let failed = |e| store_failed(&e, &room.jid.bare(), "keeping a room");
    match (room.row, room.config.persistent) {
        (Some(row), true) => {
            let config = &room.config;
            let json = config.to_json();
            let written = cx
                .store()
                .room_configure(row, &config.name, config.public, &json);
            if !written.await.map_err(failed)? {
                return Err(Condition::ItemNotFound.into());
            }
        }
        (None, true) => {
            let added = cx.store().room_add(&room.row(), &stored_people(room)).await;
            room.row = Some(added.map_err(failed)?);
            room.write_all_roles();
        }
        (Some(row), false) => {
            cx.store().room_remove(row).await.map_err(failed)?;
            room.row = None;
        }
        (None, false) => {}
    }
    Ok(())
}

async fn destroy(
    cx: &Context<'_>,
    slot: &mut Option<Room>,
    wish: &Element,
) -> Result<Answer, Refusal> {
    let venue = match wish.get_attr("jid") {
        Some(jid) => Some(Jid::parse(jid).map_err(|_| Refusal::from(Condition::JidMalformed))?),
        None => None,
    };
    let reason = wish.find("reason", MUC_OWNER).map(Element::text_content);
    let reason = reason.map(|reason| reason.chars().take(REASON).collect::<String>());
    let password = wish.find("password", MUC_OWNER).map(Element::text_content);
    let child =
        |name: &str, text: Option<String>| text.map(|text| Element::new(name, MUC_USER).text(text));
    let told = Element::new("destroy", MUC_USER)
        .attr_opt("jid", venue.as_ref().map(Jid::as_str))
        .child_opt(child("password", password))
        .child_opt(child("reason", reason));
    end(cx, slot, Some(told)).await?;
    Ok(Answer::Empty)
}

/// Everybody is told once, of themselves alone (10.9).
async fn end(
    cx: &Context<'_>,
    slot: &mut Option<Room>,
    told: Option<Element>,
) -> Result<(), Refusal> {
    let Some(room) = slot else { return Ok(()) };
    if let Some(row) = room.row {
        let removed = cx.store().room_remove(row).await;
        removed.map_err(|e| store_failed(&e, &room.jid.bare(), "removing a room"))?;
    }
    let told = told.unwrap_or_else(|| Element::new("destroy", MUC_USER));
    for (occupant, visit) in room.everybody() {
        let item = Element::new("item", MUC_USER)
            .attr("affiliation", "none")
            .attr("role", "none");
        let x = Element::new("x", MUC_USER)
            .child(item)
            .child(super::notice::status(super::notice::SELF))
            .child(told.clone());
        cx.hand(
            unavailable(&occupant.shown)
                .with_child(&x)
                .with_to(&visit.jid),
        );
    }
    *slot = None;
    Ok(())
}
