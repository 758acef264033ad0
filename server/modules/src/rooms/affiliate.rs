//! Who is what: lists and changes of affiliations and roles (XEP-0045 8.2 to 8.5, 9, 10.3 to 10.8).
//!
//! A request is judged as a whole before anything of it is done; what is written to the store is written before anybody is
//! told.

use std::collections::HashMap;

use store::RoomAffiliation;
use xmpp::element::Element;
use xmpp::jid::{BareJid, nickname_key};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use super::entrance::change_role;
use super::notice::{Removal, sees_real};
use super::rank::{Affiliation, Role};
use super::room::{Affiliated, Room};
use super::{MUC_ADMIN, MUC_USER, talk};
use crate::context::{Context, Refusal, store_failed};
use crate::module::Answer;

/// Changes in one request.
const AT_ONCE: usize = 100;
/// Of a list that is full, places more for those who keep order, and those who are kept out: who fills the list with members
/// must not keep the others from doing something about it.
const RESERVE: usize = 1_000;
/// Longest reason, in characters; of a longer one the beginning is kept.
pub(super) const REASON: usize = 500;

/// One wish.
enum Change {
    Role {
        key: String,
        role: Role,
        reason: Option<String>,
    },
    Affiliation {
        who: BareJid,
        affiliation: Affiliation,
        nick: Option<String>,
        reason: Option<String>,
    },
}

/// An iq with a `muc#admin` query.
pub(super) async fn iq(cx: &Context<'_>, room: &mut Room, iq: &Stanza) -> Result<Answer, Refusal> {
    let payload = iq
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let query = payload
        .find("query", MUC_ADMIN)
        .ok_or(Condition::BadRequest)?;
    match iq.type_() {
        StanzaType::Get => list(room, iq, query),
        _ => change(cx, room, iq, query).await,
    }
}

fn list(room: &Room, iq: &Stanza, query: &Element) -> Result<Answer, Refusal> {
    let from = iq.from().ok_or(Condition::BadRequest)?;
    let who = from.bare();
    let asker = room.affiliation(&who);
    let role = room.occupant_of(from).map(|(_, occupant)| occupant.role);
    let item = query.find("item", MUC_ADMIN).ok_or(Condition::BadRequest)?;
    let mut answer = Element::new("query", MUC_ADMIN);
    if let Some(name) = item.get_attr("affiliation") {
        let wanted = Affiliation::from_name(name).ok_or(Condition::BadRequest)?;
        // In a room whose members know one another they may know the list, too: end-to-end encryption needs it.
        let open = room.config.non_anonymous
            && asker >= Affiliation::Member
            && wanted >= Affiliation::Member;
        let chosen = wanted >= Affiliation::Member
            && role.is_some_and(|role| room.config.member_list.has(role));
        if asker < Affiliation::Admin && !open && !chosen {
            return Err(Condition::Forbidden.into());
        }
        for (jid, one) in room.with(wanted) {
            let item = Element::new("item", MUC_ADMIN)
                .attr("affiliation", wanted.name())
                .attr("jid", jid.as_str())
                .attr_opt("nick", one.nick.as_deref())
                .child_opt(one.reason.as_deref().map(reason_of));
            answer.push(item);
        }
        return Ok(Answer::Payload(answer));
    }
    let wanted = item.get_attr("role").and_then(Role::from_name);
    let wanted = wanted.ok_or(Condition::BadRequest)?;
    if role != Some(Role::Moderator) && asker < Affiliation::Admin {
        return Err(Condition::Forbidden.into());
    }
    for occupant in room
        .occupants
        .values()
        .filter(|occupant| occupant.role == wanted)
    {
        let jid = occupant.visits.last().map(|visit| visit.jid.as_str());
        let item = Element::new("item", MUC_ADMIN)
            .attr("affiliation", room.affiliation(&occupant.real).name())
            .attr("role", wanted.name())
            .attr_opt("jid", jid)
            .attr_opt("nick", occupant.shown.resource());
        answer.push(item);
    }
    Ok(Answer::Payload(answer))
}

async fn change(
    cx: &Context<'_>,
    room: &mut Room,
    iq: &Stanza,
    query: &Element,
) -> Result<Answer, Refusal> {
    let from = iq.from().ok_or(Condition::BadRequest)?;
    let who = from.bare();
    let mut changes = Vec::new();
    for item in query.children().filter(|child| child.is("item", MUC_ADMIN)) {
        if changes.len() == AT_ONCE {
            return Err(Refusal::new(Condition::PolicyViolation)
                .with_text(format!("one request may change {AT_ONCE} people")));
        }
        changes.push(wish(room, item)?);
    }
    if changes.is_empty() {
        return Err(Condition::BadRequest.into());
    }
    let role = room
        .occupant_of(from)
        .map_or(Role::None, |(_, occupant)| occupant.role);
    for change in &changes {
        may(room, &who, role, change)?;
    }
    keep_an_owner(room, &changes)?;
    to_each_their_own(&changes)?;

    let written: Vec<_> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Affiliation {
                who,
                affiliation,
                nick,
                reason,
            } => {
                let kept = nick
                    .clone()
                    .or_else(|| room.reserved(who).map(str::to_owned));
                let one = Affiliated {
                    affiliation: *affiliation,
                    nick: kept.filter(|_| *affiliation >= Affiliation::Member),
                    reason: reason.clone(),
                };
                Some((who.clone(), one))
            }
            Change::Role { .. } => None,
        })
        .collect();
    let new: Vec<BareJid> = written
        .iter()
        .filter(|(who, one)| {
            let comes = one.affiliation >= Affiliation::Member;
            comes && room.config.members_only && room.affiliation(who) == Affiliation::None
        })
        .map(|(who, _)| who.clone())
        .collect();
    put(cx, room, written).await?;
    for who in new {
        talk::invite_member(cx, room, from, &who);
    }
    let actor = room
        .occupant_of(from)
        .and_then(|(_, occupant)| occupant.shown.resource());
    let actor = actor.map(str::to_owned);
    for change in changes {
        match change {
            Change::Role {
                key,
                role: Role::None,
                reason,
            } => {
                let removal = Removal {
                    actor: actor.as_deref(),
                    reason: reason.as_deref(),
                    codes: &[307],
                };
                removal.carry_out(cx, room, &key);
            }
            Change::Role { key, role, .. } => {
                change_role(cx, room, &key, role);
            }
            Change::Affiliation { who, reason, .. } => {
                follow(cx, room, &who, actor.as_deref(), reason.as_deref());
            }
        }
    }
    Ok(Answer::Empty)
}

fn wish(room: &Room, item: &Element) -> Result<Change, Refusal> {
    let reason = item.find("reason", MUC_ADMIN).map(Element::text_content);
    let reason = reason.map(|reason| reason.chars().take(REASON).collect::<String>());
    let nick = item.get_attr("nick");
    if let Some(name) = item.get_attr("affiliation") {
        let affiliation = Affiliation::from_name(name).ok_or(Condition::BadRequest)?;
        let who = match (item.get_attr("jid"), nick) {
            (Some(jid), _) => {
                let jid = xmpp::jid::Jid::parse(jid);
                jid.map_err(|_| Refusal::from(Condition::JidMalformed))?
                    .bare()
            }
            (None, Some(nick)) => {
                let occupant = room.occupants.get(&nickname_key(nick));
                occupant.ok_or(Condition::ItemNotFound)?.real.clone()
            }
            (None, None) => return Err(Condition::BadRequest.into()),
        };
        if who.local().is_none() && affiliation > Affiliation::None {
            return Err(Refusal::new(Condition::NotAcceptable)
                .with_text("a whole domain can be banned, and nothing else"));
        }
        let nick = nick.filter(|_| item.get_attr("jid").is_some());
        if let Some(nick) = nick
            && room.is_taken(&nickname_key(nick), &who)
        {
            return Err(Condition::Conflict.into());
        }
        return Ok(Change::Affiliation {
            who,
            affiliation,
            nick: nick.map(str::to_owned),
            reason,
        });
    }
    let role = item.get_attr("role").and_then(Role::from_name);
    let (Some(role), Some(nick)) = (role, nick) else {
        return Err(Condition::BadRequest.into());
    };
    let key = nickname_key(nick);
    if !room.occupants.contains_key(&key) {
        return Err(Condition::ItemNotFound.into());
    }
    Ok(Change::Role { key, role, reason })
}

/// XEP-0045 5.1.1 and 5.2.1, as one judgement.
fn may(room: &Room, who: &BareJid, role: Role, change: &Change) -> Result<(), Refusal> {
    let asker = room.affiliation(who);
    match change {
        Change::Role {
            key, role: wanted, ..
        } => {
            let Some(target) = room.occupants.get(key) else {
                return Err(Condition::ItemNotFound.into());
            };
            let theirs = room.affiliation(&target.real);
            if role != Role::Moderator {
                return Err(Condition::Forbidden.into());
            }
            let to_or_from_moderator = *wanted == Role::Moderator || target.role == Role::Moderator;
            // Kicking is every moderator's; to make a moderator, or an ordinary person of one, is an admin's.
            if to_or_from_moderator && *wanted != Role::None && asker < Affiliation::Admin {
                return Err(Condition::Forbidden.into());
            }
            // Nobody is kicked by who is less (8.2), nor taken what their affiliation gives (8.4, 9.7).
            let given = *wanted != Role::None && theirs >= Affiliation::Admin;
            if *wanted < target.role && (theirs > asker || given) {
                return Err(Condition::NotAllowed.into());
            }
            Ok(())
        }
        Change::Affiliation {
            who: target,
            affiliation: wanted,
            ..
        } => {
            let theirs = room.affiliation(target);
            if asker < Affiliation::Admin {
                return Err(Condition::Forbidden.into());
            }
            if *wanted == Affiliation::Outcast && target == who {
                return Err(Condition::Conflict.into());
            }
            let owners_alone = *wanted >= Affiliation::Admin || theirs >= Affiliation::Admin;
            if owners_alone && asker < Affiliation::Owner {
                return Err(Condition::NotAllowed.into());
            }
            Ok(())
        }
    }
}

/// EXT-25: the last owner stays one.
fn keep_an_owner(room: &Room, changes: &[Change]) -> Result<(), Refusal> {
    let changed = |jid: &BareJid| {
        changes.iter().rev().find_map(|change| match change {
            Change::Affiliation {
                who, affiliation, ..
            } if who == jid => Some(*affiliation),
            _ => None,
        })
    };
    let stays = |jid: &BareJid| changed(jid).is_none_or(|new| new == Affiliation::Owner);
    let comes = changes.iter().any(|change| {
        matches!(change, Change::Affiliation { who, affiliation: Affiliation::Owner, .. } if stays(who))
    });
    if comes || room.with(Affiliation::Owner).any(|(jid, _)| stays(jid)) {
        return Ok(());
    }
    Err(Refusal::new(Condition::Conflict).with_text("a room keeps one owner at least"))
}

/// One request reserves no nickname for two people.
fn to_each_their_own(changes: &[Change]) -> Result<(), Refusal> {
    let mut given = HashMap::new();
    for change in changes {
        if let Change::Affiliation {
            who,
            nick: Some(nick),
            ..
        } = change
            && *given.entry(nickname_key(nick)).or_insert(who) != who
        {
            return Err(Condition::Conflict.into());
        }
    }
    Ok(())
}

/// What a new affiliation means to somebody who is there; of a domain, to everybody there who is banned with it.
fn follow(
    cx: &Context<'_>,
    room: &mut Room,
    who: &BareJid,
    actor: Option<&str>,
    reason: Option<&str>,
) {
    for key in room.keys_of(who) {
        let Some(real) = room.occupants.get(&key).map(|one| one.real.clone()) else {
            continue;
        };
        let affiliation = room.affiliation(&real);
        if real != *who && affiliation != Affiliation::Outcast {
            // Something by themselves, whatever becomes of their domain.
            continue;
        }
        let codes: &[u16] = match affiliation {
            Affiliation::Outcast => &[301],
            Affiliation::None if room.config.members_only => &[321],
            _ => &[],
        };
        if !codes.is_empty() {
            let removal = Removal {
                actor,
                reason,
                codes,
            };
            removal.carry_out(cx, room, &key);
            continue;
        }
        // Voice that a moderator gave outlasts a change that would not take it.
        let now = room.occupants.get(&key).map(|occupant| occupant.role);
        let voiced = affiliation == Affiliation::None && now == Some(Role::Participant);
        let role = match voiced {
            true => Role::Participant,
            false => affiliation.role(&room.config),
        };
        change_role(cx, room, &key, role);
    }
}

/// Gives people an affiliation, with the reserved nickname they had or get; nobody is told.
pub(super) async fn write(
    cx: &Context<'_>,
    room: &mut Room,
    people: &[(BareJid, Affiliation, Option<String>)],
) -> Result<(), Refusal> {
    let people = people.iter().map(|(who, affiliation, nick)| {
        let kept = nick
            .clone()
            .or_else(|| room.reserved(who).map(str::to_owned));
        let one = Affiliated {
            affiliation: *affiliation,
            nick: kept,
            reason: None,
        };
        (who.clone(), one)
    });
    let people = people.collect();
    put(cx, room, people).await
}

/// Takes a member off the list, at their own wish.
pub(super) async fn leave_list(
    cx: &Context<'_>,
    room: &mut Room,
    who: &BareJid,
) -> Result<(), Refusal> {
    put(cx, room, vec![(who.clone(), Affiliated::default())]).await?;
    follow(cx, room, who, None, None);
    Ok(())
}

async fn put(
    cx: &Context<'_>,
    room: &mut Room,
    people: Vec<(BareJid, Affiliated)>,
) -> Result<(), Refusal> {
    if people.is_empty() {
        return Ok(());
    }
    let most = cx.modules.limits.room_people;
    let new = || {
        let new = |(who, one): &&(BareJid, Affiliated)| {
            one.affiliation != Affiliation::None && !room.knows(who)
        };
        people.iter().filter(new)
    };
    let in_order = new().all(|(_, one)| one.affiliation != Affiliation::Member);
    let places = most + if in_order { RESERVE } else { 0 };
    if room.people().len() + new().count() > places {
        cx.switchboard.limited("room_people");
        return Err(Refusal::new(Condition::ResourceConstraint)
            .with_text(format!("a room knows {most} people at most")));
    }
    if let Some(row) = room.row {
        let rows: Vec<RoomAffiliation> = people
            .iter()
            .map(|(who, one)| RoomAffiliation {
                jid: who.clone(),
                affiliation: match one.affiliation {
                    Affiliation::None => String::new(),
                    affiliation => affiliation.name().to_owned(),
                },
                nick: one.nick.clone(),
                reason: one.reason.clone(),
            })
            .collect();
        let written = cx.store().room_affiliate(row, &rows).await;
        written.map_err(|e| store_failed(&e, &room.jid.bare(), "keeping a room's list"))?;
    }
    for (who, one) in people {
        let (before, after) = (room.affiliation(&who), one.affiliation);
        room.affiliate(who.clone(), one);
        room.answered(&who);
        if before != after && room.keys_of(&who).is_empty() {
            tell_of_absent(cx, room, &who, after);
        }
    }
    Ok(())
}

/// Whose affiliation changes while they are not there is seen in no presence; whoever may know who they are is told (XEP-0045
/// 9.1 to 9.7, 10.3 to 10.7). Those who encrypt for all members need to know (E2E-08). Nobody needs it later.
fn tell_of_absent(cx: &Context<'_>, room: &Room, who: &BareJid, affiliation: Affiliation) {
    let item = Element::new("item", MUC_USER)
        .attr("affiliation", affiliation.name())
        .attr("jid", who.as_str())
        .attr("role", Role::None.name());
    let message = Element::new("message", ns::CLIENT)
        .attr("from", room.jid.as_str())
        .child(Element::new("x", MUC_USER).child(item))
        .child(Element::new("no-store", ns::HINTS));
    let Ok(message) = Stanza::from_element(&message) else {
        return;
    };
    for (_, visit) in room
        .everybody()
        .filter(|(viewer, _)| sees_real(room, viewer))
    {
        cx.hand(message.with_to(&visit.jid));
    }
}

fn reason_of(text: &str) -> Element {
    Element::new("reason", MUC_ADMIN).text(text)
}
