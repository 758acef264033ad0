//! Rooms and the end of the process: occupants whose sessions outlast it (XEP-0198 5) are in their rooms again when the next one
//! starts, and nobody notices; all others are told that the room was shut down (XEP-0045 17.3), so that they know to come back.
//!
//! A role that somebody was given for the visit, such as voice in a moderated room, is theirs when they come back. Refuses:
//! keeping it for those who leave by themselves, or are put out.

use xmpp::jid::{Jid, nickname_key};
use xmpp::stanza::Stanza;

use super::entrance::{as_shown, close_if_over};
use super::notice::{Removal, SELF, Written, status, unavailable};
use super::rank::{Affiliation, Role};
use super::room::{Room, Visit};
use super::{MUC_USER, live};
use crate::context::Context;
use xmpp::element::Element;

/// The room has been shut down.
const SHUT_DOWN: u16 = 332;

/// A session that was kept was this occupant (`room@service/nick`) when the process before this one ended; `presence` is what
/// it broadcast last.
pub(super) async fn returned(cx: &Context<'_>, session: &Jid, shown: &Jid, presence: &Stanza) {
    let name = shown.bare();
    let place = cx.modules.rooms.place(&name);
    let mut slot = place.lock().await;
    if slot.is_none() {
        match live::load(cx, &Jid::from(name.clone())).await {
            Ok(room) => *slot = room,
            // It stays outside, and hears so when it speaks; there is nobody to tell now.
            Err(_) => return,
        }
    }
    let inside = slot
        .as_mut()
        .is_some_and(|room| goes_on(cx, room, session, shown, presence));
    if !inside {
        cx.hand(shut_down(shown).with_to(session));
    }
    drop(slot);
    cx.modules.rooms.settle(&name, place);
}

/// Puts it where it was, if that is still open to it.
fn goes_on(
    cx: &Context<'_>,
    room: &mut Room,
    session: &Jid,
    shown: &Jid,
    presence: &Stanza,
) -> bool {
    let key = nickname_key(shown.resource().unwrap_or_default());
    let who = session.bare();
    let affiliation = room.affiliation(&who);
    let barred = affiliation == Affiliation::Outcast
        || (room.config.members_only && affiliation < Affiliation::Member);
    let full = room.sessions() >= cx.modules.limits.room_occupants as usize;
    if key.is_empty() || barred || full || room.is_taken(&key, &who) {
        return false;
    }
    if room.occupant_of(session).is_some() {
        return true;
    }
    let Ok(presence) = as_shown(room, presence, shown) else {
        return false;
    };
    let visit = Visit {
        jid: session.clone(),
        presence,
        number: rand::random(),
        written: Written::default(),
    };
    let role = room.role_of(&who);
    room.enter(key, shown.clone(), role, visit);
    true
}

/// Writes roles down that were given or are over. Everybody knows of them already: what cannot be written is lost with the
/// process, and nothing else.
pub(super) async fn keep_roles(cx: &Context<'_>, room: &mut Room) {
    let changed = room.unwritten();
    let Some(row) = room.row.filter(|_| !changed.is_empty()) else {
        return;
    };
    let name = |role: Role| role.name().to_owned();
    let changed: Vec<_> = changed
        .into_iter()
        .map(|(who, role)| (who, role.map(name)))
        .collect();
    if let Err(error) = cx.store().room_give_roles(row, &changed).await {
        tracing::error!(room = %room.jid, %error, "roles that were given could not be kept");
    }
}

fn shut_down(shown: &Jid) -> Stanza {
    let item = Element::new("item", MUC_USER)
        .attr("affiliation", Affiliation::None.name())
        .attr("role", Role::None.name());
    let x = Element::new("x", MUC_USER)
        .child(item)
        .child(status(SELF))
        .child(status(SHUT_DOWN));
    unavailable(shown).with_child(&x)
}

/// The process ends: whoever is in a room of this service and cannot be there when the next one starts leaves it now.
pub(super) async fn closing(cx: &Context<'_>, service: &str) {
    for (name, place) in cx.modules.rooms.of(service) {
        let mut slot = place.lock().await;
        if let Some(room) = slot.as_mut() {
            let lasting = room.config.persistent;
            let goes = |real: &Jid| !lasting || !cx.switchboard.hosts(real.domain());
            let keys: Vec<String> = room
                .occupants
                .iter()
                .filter(|(_, occupant)| occupant.visits.iter().any(|visit| goes(&visit.jid)))
                .map(|(key, _)| key.clone())
                .collect();
            let removal = Removal {
                codes: &[SHUT_DOWN],
                ..Removal::default()
            };
            keys.iter().for_each(|key| removal.carry_out(cx, room, key));
            close_if_over(cx, &mut slot).await;
        }
        drop(slot);
        cx.modules.rooms.settle(&name, place);
    }
}
