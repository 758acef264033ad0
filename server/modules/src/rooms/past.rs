//! What was said before: the room's archive (XEP-0313 version 1.1.3 for rooms), and what is taken back in it (XEP-0424 version
//! 0.4.2, XEP-0425 version 0.3.0).
//!
//! A message is in the store before anybody hears it, once, as everybody got it; its id goes out with it (XEP-0359). Who may
//! enter now may look it up (EXT-28); who wrote it is shown where it was seen when it was said, or to those who may know. What
//! has been taken back leaves a tombstone, and nobody who enters later is shown it. Refuses: private messages, and rooms that
//! end with their last occupant, which have their history in memory only.

use store::{ArchiveId, RoomMessage};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use super::rank::{Affiliation, Role};
use super::room::{Past, Room};
use super::{hearing, occupant_id};
use crate::archive::{self, MAM, Whose};
use crate::content::{Content, RETRACT};
use crate::context::{Context, Refusal, store_failed};
use crate::module::Answer;

/// Namespace of moderation.
pub(super) const MODERATE: &str = "urn:xmpp:message-moderate:1";
/// Longest reason, in characters; of a longer one the beginning is kept.
const REASON: usize = 500;

/// Features of a room whose messages can be looked up and taken back.
pub(super) fn features(cx: &Context<'_>, room: &Room) -> Vec<&'static str> {
    let mut features = vec![ns::STANZA_ID, MODERATE];
    if is_kept(cx, room) {
        features.extend([MAM, "urn:xmpp:mam:2#extended", archive::TOMBSTONE]);
    }
    features
}

/// Whether the room has an archive.
pub(super) fn is_kept(cx: &Context<'_>, room: &Room) -> bool {
    room.row.is_some() && room.config.archive && archive::on(cx)
}

/// What is said gets an id, and goes into the archive if there is one: then it is there when this returns. `None`: it is not
/// worth an id, or the tenant's archives are full.
pub(super) async fn keep(
    cx: &Context<'_>,
    room: &mut Room,
    out: &Stanza,
    sender: Option<&BareJid>,
    subject: bool,
) -> Result<Option<ArchiveId>, Refusal> {
    let content = Content::of(out);
    let worth = Content::BODY.and(Content::STORE).and(Content::RETRACTION);
    let never = Content::NO_STORE.and(Content::NO_PERMANENT_STORE);
    if content.any(never) || !(subject || content.any(worth)) {
        return Ok(None);
    }
    let id = ArchiveId {
        at: cx.now.0.max(room.last_at.saturating_add(1)),
        salt: rand::random(),
    };
    if let Some(row) = room.row.filter(|_| is_kept(cx, room)) {
        let failed = |e| store_failed(&e, &room.jid.bare(), "keeping what was said");
        let bytes = out.bytes();
        let quota = &cx.hosted.quota;
        let place = quota.room_archive(cx.store(), bytes.len(), cx.now);
        if !place.await.map_err(failed)? {
            cx.switchboard.limited("archive_bytes_per_tenant");
            return Ok(None);
        }
        let nick = out.from().and_then(Jid::resource).unwrap_or_default();
        let message = RoomMessage {
            id,
            sender: sender.map(BareJid::to_string).unwrap_or_default(),
            nick: nick.to_owned(),
            open: room.config.non_anonymous,
            stanza: bytes.to_vec(),
        };
        let kept = Box::pin(cx.store().room_archive_add(row, message)).await;
        if !kept.map_err(failed)? {
            return Err(Condition::ItemNotFound.into());
        }
    }
    room.last_at = id.at;
    Ok(Some(id))
}

/// The stanza with the id that it has in the room.
pub(super) fn named(room: &Room, stanza: &Stanza, id: ArchiveId) -> Stanza {
    stanza.with_child_written(&archive::stanza_id(&room.jid.bare(), id))
}

/// Brings back what those who enter are shown, after a time in which the room was not in memory.
pub(super) async fn recall(cx: &Context<'_>, room: &mut Room) -> Result<(), Refusal> {
    let Some(row) = room.row.filter(|_| is_kept(cx, room)) else {
        return Ok(());
    };
    let asked = store::ArchiveQuery {
        last: true,
        limit: cx.modules.limits.room_history.max(1),
        ..store::ArchiveQuery::default()
    };
    let read = Box::pin(cx.store().room_archive_page(row, &asked)).await;
    let read = read.map_err(|e| store_failed(&e, &room.jid.bare(), "reading what was said"))?;
    for message in read {
        room.last_at = room.last_at.max(message.id.at);
        let Ok(stanza) = Stanza::from_bytes(&message.stanza) else {
            continue;
        };
        if stanza.has_child("body", ns::CLIENT) {
            let past = Past {
                at: xmpp::timestamp::Timestamp(message.id.at),
                id: Some(message.id),
                sender: message.sender,
                stanza: named(room, &stanza, message.id),
            };
            let limits = &cx.modules.limits;
            room.remember(
                past,
                limits.room_history as usize,
                limits.room_history_bytes,
            );
        }
    }
    Ok(())
}

/// An iq about the archive (EXT-28).
pub(super) async fn iq(cx: &Context<'_>, room: &Room, iq: &Stanza) -> Result<Answer, Refusal> {
    let from = iq.from().ok_or(Condition::BadRequest)?;
    if !may_look(room, from) {
        return Err(Condition::Forbidden.into());
    }
    let Some(row) = room.row.filter(|_| is_kept(cx, room)) else {
        return Err(Condition::ServiceUnavailable.into());
    };
    let knows = room.affiliation(&from.bare()) >= Affiliation::Admin
        || room
            .occupant_of(from)
            .is_some_and(|(_, occupant)| occupant.role == Role::Moderator);
    let whose = Whose::Room {
        jid: &room.jid,
        row,
        knows,
        open: room.config.non_anonymous,
    };
    let get = iq.type_() == StanzaType::Get;
    match iq.first_child() {
        Some(("query", _)) if get => Ok(Answer::Payload(archive::form())),
        Some(("query", _)) => {
            let tree = iq.payload().map_err(|_| Condition::BadRequest)?;
            let query = tree.find("query", MAM).ok_or(Condition::BadRequest)?;
            let found = archive::look(cx, &whose, query).await?;
            for result in found.results(&room.jid, from) {
                cx.hand(result);
            }
            Ok(Answer::Payload(found.fin()))
        }
        Some(("metadata", _)) if get => archive::metadata(cx, &whose).await,
        _ => Err(Condition::FeatureNotImplemented.into()),
    }
}

/// Whether somebody may enter now, and so look at what was said before.
pub(super) fn may_look(room: &Room, from: &Jid) -> bool {
    let affiliation = room.affiliation(&from.bare());
    let there = room.occupant_of(from).is_some();
    if affiliation == Affiliation::Outcast || room.locked {
        return false;
    }
    let member = !room.config.members_only || affiliation >= Affiliation::Member;
    // Nobody can give a password here; who is in, has.
    let password = room.config.password.is_empty() || there || affiliation == Affiliation::Owner;
    member && password
}

/// A moderator takes back what somebody has said (XEP-0425 3).
pub(super) async fn moderate(
    cx: &Context<'_>,
    room: &mut Room,
    iq: &Stanza,
) -> Result<Answer, Refusal> {
    let from = iq.from().ok_or(Condition::BadRequest)?;
    let tree = iq.payload().map_err(|_| Condition::BadRequest)?;
    let wish = tree
        .find("moderate", MODERATE)
        .ok_or(Condition::BadRequest)?;
    let by = room.occupant_of(from).map(|(_, occupant)| occupant);
    let Some(by) = by.filter(|by| by.role == Role::Moderator) else {
        return Err(Refusal::new(Condition::Forbidden)
            .with_text("only moderators take back what others have said"));
    };
    if wish.find("retract", RETRACT).is_none() {
        return Err(Condition::FeatureNotImplemented.into());
    }
    let id = wish.get_attr("id").ok_or(Condition::BadRequest)?;
    let id = ArchiveId::parse(id).ok_or(Condition::ItemNotFound)?;
    let reason = wish.find("reason", MODERATE).map(Element::text_content);
    let reason = reason.map(|reason| {
        let short: String = reason.chars().take(REASON).collect();
        // In the namespace of what it stands in: the retraction, and what is left in the message's place.
        Element::new("reason", RETRACT).text(short)
    });
    let moderated = Element::new("moderated", MODERATE)
        .attr("by", by.shown.as_str())
        .child(occupant_id(&room.salt, &by.real));
    let by_whom = by.real.clone();
    let retracted = Element::new("retracted", RETRACT)
        .attr("stamp", cx.now.to_xep0082())
        .child(moderated.clone())
        .child_opt(reason.clone());
    if !bury(cx, room, id, None, retracted).await? {
        return Err(Condition::ItemNotFound.into());
    }
    let retract = Element::new("retract", RETRACT)
        .attr("id", id.to_string())
        .child(moderated)
        .child_opt(reason);
    let message = Element::new("message", ns::CLIENT)
        .attr("from", room.jid.as_str())
        .attr("type", "groupchat")
        .attr("id", format!("{:016x}", rand::random::<u64>()))
        .child(retract);
    let out = Stanza::from_element(&message).map_err(|_| Condition::InternalServerError)?;
    let own = keep(cx, room, &out, None, false).await?;
    tracing::info!(room = %room.jid, by = %by_whom, "a message was taken back by a moderator");
    let out = own.map_or(out.clone(), |id| named(room, &out, id));
    hearing::to_everybody(cx, room, &out, None).await;
    Ok(Answer::Empty)
}

/// Who wrote a message takes it back (XEP-0424): only where it is theirs, whatever else goes on as it came.
pub(super) async fn retract(
    cx: &Context<'_>,
    room: &mut Room,
    retraction: &Stanza,
    sender: &BareJid,
) -> Result<(), Refusal> {
    let named = retraction
        .child_tag("retract", RETRACT)
        .and_then(|tag| tag.attr("id"));
    let Some(id) = named.as_deref().and_then(ArchiveId::parse) else {
        return Ok(());
    };
    let retracted = Element::new("retracted", RETRACT)
        .attr_opt("id", retraction.id())
        .attr("stamp", cx.now.to_xep0082());
    bury(cx, room, id, Some(sender), retracted).await?;
    Ok(())
}

/// Puts a tombstone in place of a message, which has to be of `author` where one is named. `false`: there is none such.
async fn bury(
    cx: &Context<'_>,
    room: &mut Room,
    id: ArchiveId,
    author: Option<&BareJid>,
    retracted: Element,
) -> Result<bool, Refusal> {
    let theirs = |sender: &str| author.is_none_or(|author| author.as_str() == sender);
    let mut found = false;
    if let Some(row) = room.row {
        let failed = |e| store_failed(&e, &room.jid.bare(), "taking back what was said");
        let kept = Box::pin(cx.store().room_archive_get(row, id)).await;
        if let Some(kept) = kept.map_err(failed)?.filter(|kept| theirs(&kept.sender)) {
            let Some(tombstone) = tombstone(&kept.stanza, retracted) else {
                return Ok(false);
            };
            let replaced = cx
                .store()
                .room_archive_replace(row, id, tombstone.bytes())
                .await;
            found = replaced.map_err(failed)?;
        }
    }
    room.history.retain(|past| {
        let gone = past.id == Some(id) && theirs(&past.sender);
        found |= gone;
        !gone
    });
    Ok(found)
}

/// What stays of a message: who it was from, and that it has been taken back. `None`: it has been already.
fn tombstone(kept: &[u8], retracted: Element) -> Option<Stanza> {
    let stanza = Stanza::from_bytes(kept).ok()?;
    if stanza.has_child("retracted", RETRACT) {
        return None;
    }
    let tree = stanza.payload().ok()?;
    let mut bare = Element::new("message", ns::CLIENT);
    for name in ["from", "type", "id"] {
        bare = bare.attr_opt(name, tree.get_attr(name));
    }
    let bare = bare
        .child_opt(tree.find("occupant-id", super::OCCUPANT_IDS).cloned())
        .child(retracted);
    Stanza::from_element(&bare).ok()
}
