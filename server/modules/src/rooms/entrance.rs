//! Coming, being there, going: presence to a room (XEP-0045 7.1, 7.2, 7.6, 7.7, 7.14).

use xmpp::element::Element;
use xmpp::jid::{Jid, nickname_key};
use xmpp::ns;
use xmpp::stanza::{Condition, ErrorType, Stanza, StanzaError, StanzaType};
use xmpp::timestamp::Timestamp;

use super::config::Config;
use super::notice::{Notice, Removal, SELF, Written, is_there, sees_real, status, unavailable};
use super::rank::{Affiliation, Role};
use super::room::{Occupant, Room, Visit};
use super::{MUC, MUC_USER, cleaned, hearing, occupant_id, pace, past};
use crate::context::{Context, Refusal, store_failed};

/// Presence to an address in a room, or to the room.
pub(super) async fn presence(
    cx: &Context<'_>,
    slot: &mut Option<Room>,
    presence: &Stanza,
) -> Result<(), Refusal> {
    let (Some(from), Some(to)) = (presence.from(), presence.to()) else {
        return Ok(());
    };
    match presence.type_() {
        StanzaType::Available => {
            let Some(nick) = to.resource() else {
                return Err(Condition::JidMalformed.into());
            };
            let key = nickname_key(nick);
            if key.is_empty() {
                return Err(Condition::NotAcceptable.into());
            }
            if presence.bytes().len() > cx.modules.limits.room_presence_bytes {
                let most = cx.modules.limits.room_presence_bytes;
                return Err(Refusal::new(Condition::PolicyViolation)
                    .with_text(format!("presence in a room may have {most} bytes at most")));
            }
            if let Some(room) = slot.as_ref() {
                let burst = match room.occupant_of(from) {
                    Some(_) => pace::BURST,
                    None => pace::BURST_OF_ENTERING,
                };
                pace::charge(cx, room, &from.bare(), burst)?;
            }
            let is_here = slot
                .as_ref()
                .is_some_and(|room| room.occupant_of(from).is_some());
            if !is_here && !presence.has_child("x", MUC) {
                return not_here(cx, from, to);
            }
            match slot.as_mut() {
                Some(room) => match room.occupant_of(from) {
                    Some((now, _)) if now == key => change(cx, room, from, presence).await,
                    Some(_) => rename(cx, room, from, &key, presence),
                    None => enter(cx, room, &key, presence, false).await,
                },
                None => create(cx, slot, &key, presence).await,
            }
        }
        StanzaType::Unavailable => {
            if let Some(room) = slot {
                leave(cx, room, from, presence)?;
                close_if_over(cx, slot).await;
            }
            Ok(())
        }
        StanzaType::Error => {
            if let Some(room) = slot {
                lost(cx, room, from);
                close_if_over(cx, slot).await;
            }
            Ok(())
        }
        // A room has no presence of its own to subscribe to.
        _ => Ok(()),
    }
}

/// Whoever believes to be in a room, and is not, hears that it is over, so that they enter anew (XEP-0045 7.2.18).
fn not_here(cx: &Context<'_>, from: &Jid, to: &Jid) -> Result<(), Refusal> {
    let item = Element::new("item", MUC_USER)
        .attr("affiliation", Affiliation::None.name())
        .attr("role", Role::None.name())
        .child(Element::new("reason", MUC_USER).text("You are not in the room."));
    let codes = [SELF, 307, 333].into_iter().map(status);
    let x = Element::new("x", MUC_USER).child(item).children_from(codes);
    cx.send(unavailable(to).with_to(from).with_child(&x));
    Ok(())
}

/// An occupant whom nothing reaches any more (XEP-0045 11.1).
pub(super) fn lost(cx: &Context<'_>, room: &mut Room, real: &Jid) {
    let Some((key, occupant)) = room.occupant_of(real) else {
        return;
    };
    let key = key.to_owned();
    if occupant.visits.len() == 1 {
        let removal = Removal {
            codes: &[307, 333],
            ..Removal::default()
        };
        removal.carry_out(cx, room, &key);
    } else {
        // The others of the same person's devices are still there.
        room.leave(real);
        show_again(cx, room, &key);
    }
}

/// A room that is not persistent ends with its last occupant, and nobody need be told.
pub(super) async fn close_if_over(cx: &Context<'_>, slot: &mut Option<Room>) {
    let over = slot
        .as_ref()
        .is_some_and(|room| room.occupants.is_empty() && !room.config.persistent);
    if over && let Some(room) = slot.take() {
        // It may have been persistent until a moment ago.
        if let Some(row) = room.row
            && let Err(error) = cx.store().room_remove(row).await
        {
            tracing::error!(room = %room.jid, %error, "a room that is over could not be removed");
        }
    }
}

async fn create(
    cx: &Context<'_>,
    slot: &mut Option<Room>,
    key: &str,
    presence: &Stanza,
) -> Result<(), Refusal> {
    let (Some(from), Some(to)) = (presence.from(), presence.to()) else {
        return Ok(());
    };
    if from.domain() != cx.store().name() {
        return Err(Refusal::new(Condition::NotAllowed)
            .with_text("only people of this domain may open rooms here"));
    }
    let room = Jid::from(to.bare());
    let kept = cx.store().room_count().await;
    let kept = kept.map_err(|e| store_failed(&e, &room.bare(), "counting rooms"))?;
    let most = cx.modules.limits.rooms;
    let unkept = cx.modules.rooms.unkept(room.domain()) as u64;
    if kept.saturating_add(unkept) >= u64::from(most) {
        cx.switchboard.limited("rooms_per_domain");
        return Err(Refusal::new(Condition::ResourceConstraint)
            .with_text(format!("this domain has {most} rooms, as many as it may")));
    }
    let mut made = Room::new(room, from.bare(), cx.now);
    enter(cx, &mut made, key, presence, true).await?;
    *slot = Some(made);
    Ok(())
}

async fn enter(
    cx: &Context<'_>,
    room: &mut Room,
    key: &str,
    presence: &Stanza,
    created: bool,
) -> Result<(), Refusal> {
    let (Some(from), Some(to)) = (presence.from(), presence.to()) else {
        return Ok(());
    };
    let payload = presence
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let Some(asked) = payload.find("x", MUC) else {
        return Err(Condition::NotAcceptable.into());
    };
    let who = from.bare();
    let affiliation = room.affiliation(&who);
    let password = asked.find("password", MUC).map(Element::text_content);
    admit(cx, room, affiliation, password.as_deref())?;
    if room.is_taken(key, &who) {
        return Err(Condition::Conflict.into());
    }
    let present = room
        .occupants
        .get(key)
        .map(|occupant| (occupant.role, occupant.shown.clone()));
    let (role, shown) = present.unwrap_or_else(|| (room.role_of(&who), to.clone()));
    let visit = Visit {
        jid: from.clone(),
        presence: as_shown(room, presence, &shown)?,
        number: rand::random(),
        written: Written::default(),
    };

    let newcomer_sees = room.config.non_anonymous || role == Role::Moderator;
    for occupant in room
        .occupants
        .values()
        .filter(|occupant| occupant.shown != shown)
        .filter(|occupant| room.shows(occupant.role) || role == Role::Moderator)
    {
        is_there(cx, room, occupant, newcomer_sees, from);
    }
    room.enter(key.to_owned(), shown, role, visit);
    let mut own_codes = Vec::new();
    if room.config.non_anonymous {
        own_codes.push(100);
    }
    if past::is_kept(cx, room) {
        own_codes.push(170);
    }
    if created {
        own_codes.push(201);
    }
    if let Some((_, occupant)) = room.occupant_of(from)
        && let Some(last) = occupant.visits.last()
    {
        let notice = Notice {
            own_codes: &own_codes,
            ..Notice::of(room, occupant, last)
        };
        notice.to_others(cx, room);
        notice.to_self(cx, from);
    }
    show_history(cx, room, from, asked.find("history", MUC)).await;
    show_subject(cx, room, from);
    Ok(())
}

/// EXT-24
fn admit(
    cx: &Context<'_>,
    room: &Room,
    affiliation: Affiliation,
    password: Option<&str>,
) -> Result<(), Refusal> {
    if affiliation == Affiliation::Outcast {
        return Err(Condition::Forbidden.into());
    }
    if room.locked && affiliation != Affiliation::Owner {
        return Err(Condition::ItemNotFound.into());
    }
    if room.config.members_only && affiliation < Affiliation::Member {
        return Err(Condition::RegistrationRequired.into());
    }
    if !room.config.password.is_empty()
        && affiliation < Affiliation::Owner
        && password != Some(room.config.password.as_str())
    {
        return Err(Condition::NotAuthorized.into());
    }
    let most = match room.config.max_users {
        0 => cx.modules.limits.room_occupants,
        chosen => chosen.min(cx.modules.limits.room_occupants),
    } as usize;
    // Who keeps order gets in, and no room is endless.
    let most = if affiliation >= Affiliation::Admin {
        most + 10
    } else {
        most
    };
    if room.sessions() >= most {
        cx.switchboard.limited("room_occupants");
        // There may be room later (XEP-0045 7.2.9).
        return Err(StanzaError::new(Condition::ServiceUnavailable)
            .with_kind(ErrorType::Wait)
            .with_text(format!("this room has {most} occupants, as many as it may"))
            .into());
    }
    Ok(())
}

/// The presence of an occupant as others see it, without what the room says of them.
pub(super) fn as_shown(room: &Room, presence: &Stanza, shown: &Jid) -> Result<Stanza, Refusal> {
    let from = presence.from().map(Jid::bare);
    let clean = cleaned(presence, &room.jid)?.with_from(shown);
    Ok(match from {
        Some(real) => clean.with_child(&occupant_id(&room.salt, &real)),
        None => clean,
    })
}

async fn change(
    cx: &Context<'_>,
    room: &mut Room,
    from: &Jid,
    presence: &Stanza,
) -> Result<(), Refusal> {
    let Some((key, occupant)) = room.occupant_of(from) else {
        return Ok(());
    };
    let (key, shown) = (key.to_owned(), occupant.shown.clone());
    let new = as_shown(room, presence, &shown)?;
    if let Some(occupant) = room.occupants.get_mut(&key)
        && let Some(at) = occupant.visits.iter().position(|visit| visit.jid == *from)
    {
        let mut visit = occupant.visits.remove(at);
        visit.presence = new;
        occupant.visits.push(visit);
    }
    if presence.has_child("x", MUC) {
        // It does not know that it is here, and wants all that who enters is shown.
        reenter(cx, room, from).await;
        return Ok(());
    }
    show_again(cx, room, &key);
    Ok(())
}

async fn reenter(cx: &Context<'_>, room: &Room, from: &Jid) {
    let Some((_, own)) = room.occupant_of(from) else {
        return;
    };
    let seen = |other: &&Occupant| room.shows(other.role) || own.role == Role::Moderator;
    let others = room.occupants.values().filter(|o| o.shown != own.shown);
    for occupant in others.filter(seen) {
        is_there(cx, room, occupant, sees_real(room, own), from);
    }
    if let Some(last) = own.visits.last() {
        let own_codes: &[u16] = if room.config.non_anonymous {
            &[100]
        } else {
            &[]
        };
        let notice = Notice {
            own_codes,
            ..Notice::of(room, own, last)
        };
        notice.to_others(cx, room);
        notice.to_self(cx, from);
    }
    show_history(cx, room, from, None).await;
    show_subject(cx, room, from);
}

fn rename(
    cx: &Context<'_>,
    room: &mut Room,
    from: &Jid,
    key: &str,
    presence: &Stanza,
) -> Result<(), Refusal> {
    let (Some((old, occupant)), Some(to)) = (room.occupant_of(from), presence.to()) else {
        return Ok(());
    };
    if room.is_taken(key, &occupant.real) || room.occupants.contains_key(key) {
        return Err(Condition::Conflict.into());
    }
    let old = old.to_owned();
    let gone = unavailable(&occupant.shown);
    for visit in &occupant.visits {
        let notice = Notice {
            presence: &gone,
            nick: to.resource(),
            codes: &[303],
            ..Notice::of(room, occupant, visit)
        };
        if visit.jid == *from {
            notice.to_others(cx, room);
        }
        notice.to_self(cx, &visit.jid);
    }
    room.rename(&old, key.to_owned(), to.clone());
    let new = as_shown(room, presence, to)?;
    if let Some(visit) = room
        .occupants
        .get_mut(key)
        .and_then(|occupant| occupant.visits.iter_mut().find(|visit| visit.jid == *from))
    {
        visit.presence = new;
    }
    show_again(cx, room, key);
    Ok(())
}

/// An occupant's presence once more, to everybody.
pub(super) fn show_again(cx: &Context<'_>, room: &Room, key: &str) {
    if let Some(occupant) = room.occupants.get(key)
        && let Some(last) = occupant.visits.last()
    {
        Notice::of(room, occupant, last).to_all(cx, room);
    }
}

/// Gives an occupant another role, and tells everybody: to those who are no longer shown people of that role they leave, and
/// a moderator sees whom the others do not.
pub(super) fn change_role(cx: &Context<'_>, room: &mut Room, key: &str, role: Role) {
    let Some(before) = room.occupants.get(key).map(|occupant| occupant.role) else {
        return;
    };
    room.give(key, role);
    if room.shows(before) && !room.shows(role) {
        tell_gone(cx, room, key);
    }
    show_again(cx, room, key);
    let moderates = |role: Role| role == Role::Moderator;
    if moderates(before) == moderates(role) {
        return;
    }
    let Some(viewer) = room.occupants.get(key) else {
        return;
    };
    let others = room.occupants.values();
    for other in others.filter(|other| other.shown != viewer.shown && !room.shows(other.role)) {
        for visit in &viewer.visits {
            match other.visits.last() {
                Some(_) if moderates(role) => is_there(cx, room, other, true, &visit.jid),
                Some(last) => {
                    let gone = unavailable(&other.shown);
                    going(room, other, last, &gone).to_one(cx, sees_real(room, viewer), &visit.jid);
                }
                None => {}
            }
        }
    }
}

/// The owner has chosen anew whom everybody sees.
pub(super) fn show_or_hide(cx: &Context<'_>, room: &Room, before: &Config) {
    for (key, occupant) in &room.occupants {
        let was_shown = before.presence_broadcast.has(occupant.role);
        match (was_shown, room.shows(occupant.role)) {
            (true, false) => tell_gone(cx, room, key),
            (false, true) => {
                if let Some(last) = occupant.visits.last() {
                    Notice::of(room, occupant, last).to_ordinary(cx, room);
                }
            }
            _ => {}
        }
    }
}

/// To those who are not moderators an occupant leaves.
fn tell_gone(cx: &Context<'_>, room: &Room, key: &str) {
    let Some(occupant) = room.occupants.get(key) else {
        return;
    };
    if let Some(last) = occupant.visits.last() {
        let gone = unavailable(&occupant.shown);
        going(room, occupant, last, &gone).to_ordinary(cx, room);
    }
}

fn going<'a>(
    room: &Room,
    occupant: &Occupant,
    last: &'a Visit,
    presence: &'a Stanza,
) -> Notice<'a> {
    Notice {
        presence,
        role: Role::None,
        hats: None,
        ..Notice::of(room, occupant, last)
    }
}

fn leave(cx: &Context<'_>, room: &mut Room, from: &Jid, presence: &Stanza) -> Result<(), Refusal> {
    let Some((key, occupant)) = room.occupant_of(from) else {
        return Ok(());
    };
    let key = key.to_owned();
    let last = occupant.visits.len() == 1;
    let affiliation = room.affiliation(&occupant.real);
    let hidden = !room.shows(occupant.role);
    let gone = as_shown(room, presence, &occupant.shown)?;
    room.leave(from);
    let notice = Notice {
        presence: &gone,
        affiliation,
        role: Role::None,
        real: from,
        hidden,
        nick: None,
        actor: None,
        reason: None,
        hats: None,
        codes: &[],
        own_codes: &[],
    };
    if last {
        notice.to_others(cx, room);
    } else {
        show_again(cx, room, &key);
    }
    notice.to_self(cx, from);
    Ok(())
}

// --- what was said before ---

/// XEP-0045 7.2.13, and 7.2.14 for what the newcomer asks for.
async fn show_history(cx: &Context<'_>, room: &Room, to: &Jid, asked: Option<&Element>) {
    let Some((_, hearer)) = room.occupant_of(to) else {
        return;
    };
    let wish = |name: &str| asked.and_then(|history| history.get_attr(name));
    let number = |name: &str| wish(name).and_then(|value| value.parse::<u64>().ok());
    let most =
        number("maxstanzas").map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let mut characters = number("maxchars").unwrap_or(u64::MAX);
    let by_age = number("seconds").map(|seconds| {
        let age = i64::try_from(seconds)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000_000);
        Timestamp(cx.now.0.saturating_sub(age))
    });
    let by_date = wish("since").and_then(Timestamp::parse_xep0082);
    let since = by_age.max(by_date);
    let most = most.min(room.config.history as usize);
    let newest_first = room
        .history
        .iter()
        .rev()
        .take(most)
        .take_while(|past| since.is_none_or(|since| past.at >= since))
        .take_while(|past| {
            let length = past.stanza.bytes().len() as u64;
            let fits = length <= characters;
            characters = characters.saturating_sub(length);
            fits
        });
    let shown = hearing::wanted(cx, room, hearer, newest_first).await;
    for past in shown.into_iter().rev() {
        let delay = xmpp::stanza::delay(&room.jid, past.at);
        cx.hand(past.stanza.with_child(&delay).with_to(to));
    }
}

/// The subject ends what a newcomer is shown, even if there is none (XEP-0045 7.2.15).
fn show_subject(cx: &Context<'_>, room: &Room, to: &Jid) {
    let stanza = match &room.subject {
        Some(past) => past
            .stanza
            .with_child(&xmpp::stanza::delay(&room.jid, past.at)),
        None => {
            let none = Element::new("message", ns::CLIENT)
                .attr("from", room.jid.as_str())
                .attr("type", "groupchat")
                .child(Element::new("subject", ns::CLIENT));
            match Stanza::from_element(&none) {
                Ok(stanza) => stanza,
                Err(_) => return,
            }
        }
    };
    cx.hand(stanza.with_to(to));
}
