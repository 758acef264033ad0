//! What a room looks like: its vCard (XEP-0054) with its picture, XEP-0486 version 0.1.0.
//!
//! An owner sets it, everybody who may know of the room reads it; the picture's hash is among what the room tells of itself,
//! and those in the room are told that something has changed. Refuses: vCards that are longer than a room's may be, photos that
//! are no base64.

use xmpp::element::Element;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use super::rank::Affiliation;
use super::room::Room;
use super::{VCARD, talk};
use crate::avatars;
use crate::context::{Context, Refusal, store_failed};
use crate::module::Answer;

/// Bytes of a room's vCard: it is in memory with the room.
const BYTES: usize = 64 << 10;

/// A get or set of the vCard.
pub(super) async fn iq(cx: &Context<'_>, room: &mut Room, iq: &Stanza) -> Result<Answer, Refusal> {
    let from = iq.from().ok_or(Condition::BadRequest)?;
    let affiliation = room.affiliation(&from.bare());
    if affiliation == Affiliation::Outcast {
        return Err(Condition::Forbidden.into());
    }
    if iq.type_() == StanzaType::Get {
        let vcard = parsed(room).ok_or(Condition::ItemNotFound)?;
        return Ok(Answer::Payload(vcard));
    }
    if affiliation != Affiliation::Owner {
        return Err(
            Refusal::new(Condition::Forbidden).with_text("only owners say what a room looks like")
        );
    }
    let tree = iq.payload().map_err(|_| Condition::BadRequest)?;
    let vcard = tree.find("vCard", VCARD).ok_or(Condition::BadRequest)?;
    hashes(vcard)?;
    let written = vcard.to_xml("").into_bytes();
    if written.len() > BYTES {
        return Err(Refusal::new(Condition::PolicyViolation)
            .with_text(format!("a room's vCard has at most {BYTES} bytes")));
    }
    let new = vcard.children().next().map(|_| written);
    if let Some(row) = room.row {
        let kept = cx.store().room_vcard(row, new.as_deref()).await;
        let kept = kept.map_err(|e| store_failed(&e, &room.jid.bare(), "keeping a vCard"))?;
        if !kept {
            return Err(Condition::ItemNotFound.into());
        }
    }
    room.vcard = new;
    talk::tell(cx, room, &[104]).await;
    Ok(Answer::Empty)
}

fn parsed(room: &Room) -> Option<Element> {
    let text = std::str::from_utf8(room.vcard.as_deref()?).ok()?;
    Element::parse(text, "").ok()
}

/// Hashes of the room's pictures, all of which show the same.
pub(super) fn of(room: &Room) -> Vec<String> {
    let vcard = parsed(room);
    vcard
        .and_then(|vcard| hashes(&vcard).ok())
        .unwrap_or_default()
}

fn hashes(vcard: &Element) -> Result<Vec<String>, Refusal> {
    let photos = vcard.children().filter(|c| c.is("PHOTO", VCARD));
    let binvals = photos.filter_map(|photo| photo.find("BINVAL", VCARD));
    binvals
        .map(|binval| {
            let bytes = avatars::decoded(&binval.text_content()).filter(|b| !b.is_empty());
            let bytes = bytes.ok_or_else(|| {
                Refusal::new(Condition::BadRequest).with_text("a photo is written in base64")
            })?;
            Ok(avatars::name_of(&bytes))
        })
        .collect()
}
