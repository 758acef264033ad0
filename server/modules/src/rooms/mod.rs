//! Rooms: Multi-User Chat, XEP-0045 version 1.35.1, with occupant ids (XEP-0421 1.0.1) and answers to self-pings (XEP-0410
//! 1.1.0), archives (XEP-0313), moderation (XEP-0425), hats (XEP-0317) and pictures (XEP-0486), at a service name of the domain, `rooms.one.example`.
//!
//! A room is worked on by one task at a time, in the order in which stanzas come ([`live`]), and what its owners and admins
//! decide is in the store before anybody hears of it. People of the domain may open rooms, and people from anywhere may be
//! invited in. Refuses: rooms opened by strangers, and any statement about an occupant that the room has not made itself
//! (EXT-26).
//!
//! Codemap: [`room`] the room and who is in it, [`rank`] affiliation and role, [`config`] what owners choose; [`entrance`]
//! presence, [`talk`] messages, [`hearing`] to whom they get, [`past`] what was said, [`affiliate`], [`owner`], [`register`], [`hats`], [`picture`], [`info`] the
//! iqs, [`search`] finding rooms; [`pace`] how much of it; [`notice`] what everybody is told.

mod affiliate;
mod config;
mod entrance;
mod hats;
mod hearing;
mod info;
mod lasting;
mod live;
mod notice;
mod owner;
mod pace;
mod past;
mod picture;
mod rank;
mod register;
mod room;
mod search;
mod talk;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use store::RoomAffiliation;
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Kind, Stanza, StanzaType};

use self::hats::HATS;
pub(crate) use self::live::Rooms;
pub(crate) use self::pace::Paces;
use self::rank::Affiliation;
use self::room::Room;
pub(crate) use self::search::RoomSearch;
use crate::context::{Context, Refusal};
use crate::info::{Hooks, ModuleInfo, Service, Spec};
use crate::module::{Answer, Module};
use crate::screening;

const MUC: &str = "http://jabber.org/protocol/muc";
const MUC_USER: &str = "http://jabber.org/protocol/muc#user";
const MUC_ADMIN: &str = "http://jabber.org/protocol/muc#admin";
const MUC_OWNER: &str = "http://jabber.org/protocol/muc#owner";
const CONFIG_FORM: &str = "http://jabber.org/protocol/muc#roomconfig";
const INFO_FORM: &str = "http://jabber.org/protocol/muc#roominfo";
const REQUEST_FORM: &str = "http://jabber.org/protocol/muc#request";
const OCCUPANT_IDS: &str = "urn:xmpp:occupant-id:0";
const STANZA_IDS: &str = "urn:xmpp:sid:0";
const VCARD: &str = "vcard-temp";

/// The module.
pub(crate) struct RoomsModule;

static SERVICE: Service = Service {
    label: "rooms",
    about: "group chats",
    category: "conference",
    type_: "text",
    federated: true,
};

static INFO_CARD: ModuleInfo = ModuleInfo {
    name: "rooms",
    about: "group chats, public or private, that people of the domain open and anybody can be invited to",
    specs: &[
        Spec::Xep(45, "1.35.1"),
        Spec::Xep(317, "0.3.1"),
        Spec::Xep(410, "1.1.0"),
        Spec::Xep(421, "1.0.1"),
        Spec::Xep(425, "0.3.0"),
        Spec::Xep(486, "0.1.0"),
    ],
    switchable: true,
    iq: &[],
    hooks: Hooks::NONE,
    server_features: &[],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for RoomsModule {
    fn info(&self) -> &'static ModuleInfo {
        &INFO_CARD
    }

    fn service(&self) -> Option<&'static Service> {
        Some(&SERVICE)
    }

    async fn to_service(&self, cx: &Context<'_>, stanza: &Stanza) -> Result<(), Refusal> {
        let Some(to) = stanza.to() else { return Ok(()) };
        let request = matches!(stanza.type_(), StanzaType::Get | StanzaType::Set);
        if to.local().is_none() {
            return match stanza.kind() {
                Kind::Iq if request => finish(cx, stanza, info::of_service(cx, stanza).await),
                Kind::Message => Err(Condition::ServiceUnavailable.into()),
                _ => Ok(()),
            };
        }
        let name = to.bare();
        let place = cx.modules.rooms.place(&name);
        let outcome = to_room(cx, &mut *place.lock().await, stanza).await;
        cx.modules.rooms.settle(&name, place);
        outcome
    }

    async fn service_returned(
        &self,
        cx: &Context<'_>,
        session: &Jid,
        shown: &Jid,
        presence: &Stanza,
    ) {
        lasting::returned(cx, session, shown, presence).await;
    }

    async fn service_closing(&self, cx: &Context<'_>, service: &str) {
        lasting::closing(cx, service).await;
    }
}

/// A stanza to a room, or to an address in it; `slot` is empty where the room is not in memory.
async fn to_room(
    cx: &Context<'_>,
    slot: &mut Option<Room>,
    stanza: &Stanza,
) -> Result<(), Refusal> {
    let Some(to) = stanza.to() else { return Ok(()) };
    if slot.is_none() {
        *slot = live::load(cx, &Jid::from(to.bare())).await?;
    }
    let request = matches!(stanza.type_(), StanzaType::Get | StanzaType::Set);
    let comes = match stanza.kind() {
        Kind::Presence => stanza.type_() == StanzaType::Available,
        Kind::Message => stanza.type_() != StanzaType::Error,
        Kind::Iq => false,
    };
    if comes && let (Some(room), Some(from)) = (slot.as_ref(), stanza.from()) {
        let who = room.affiliation(&from.bare());
        if who == Affiliation::None {
            screening::admit(cx, from).await?;
        }
    }
    let outcome = match stanza.kind() {
        Kind::Presence => entrance::presence(cx, slot, stanza).await,
        Kind::Message => talk::message(cx, slot, stanza).await,
        Kind::Iq if to.resource().is_some() => info::to_occupant(cx, slot.as_ref(), stanza).await,
        Kind::Iq if request => finish(cx, stanza, info::of_room(cx, slot, stanza).await),
        Kind::Iq => Ok(()),
    };
    if let Some(room) = slot.as_mut() {
        lasting::keep_roles(cx, room).await;
    }
    outcome
}

fn finish(cx: &Context<'_>, iq: &Stanza, outcome: Result<Answer, Refusal>) -> Result<(), Refusal> {
    match outcome? {
        Answer::Empty => cx.hand(iq.iq_result(None)),
        Answer::Payload(payload) => cx.hand(iq.iq_result(Some(payload))),
        Answer::Sent => {}
    }
    Ok(())
}

/// An occupant's id: the same for a person in one room whatever the nickname, and of no meaning anywhere else
/// (XEP-0421 3, 4).
fn occupant_id(salt: &[u8; 32], real: &BareJid) -> Element {
    Element::new("occupant-id", OCCUPANT_IDS).attr("id", keyed(salt, real.as_str()))
}

/// What stands for a text in one room, and of which nobody can tell for what it does.
fn keyed(salt: &[u8; 32], text: &str) -> String {
    // Any length is a key of HMAC.
    let keyed = Hmac::<Sha256>::new_from_slice(salt).map(|mut mac| {
        mac.update(text.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    });
    keyed.unwrap_or_default()
}

/// Without what only the room may say: who an occupant is, delays (EXT-26); and without ids, which nobody gives who sends
/// (XEP-0359): the room would be taken at its word in the name of whoever hears it (EXT-19).
fn cleaned(stanza: &Stanza, room: &Jid) -> Result<Stanza, Refusal> {
    let suspicious = |(name, ns): (&str, &str)| match ns {
        MUC | MUC_USER | OCCUPANT_IDS | HATS => true,
        STANZA_IDS => name == "stanza-id",
        ns::DELAY => true,
        _ => false,
    };
    if !stanza.children().any(suspicious) {
        return Ok(stanza.clone());
    }
    let mut tree = stanza
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let ours = |child: &Element| {
        let by = child.get_attr("from").and_then(|by| Jid::parse(by).ok());
        by.is_some_and(|by| by.bare_str() == room.as_str())
    };
    tree.retain_children(|child| match child.ns() {
        MUC | MUC_USER | OCCUPANT_IDS | HATS => false,
        STANZA_IDS => child.name() != "stanza-id",
        ns::DELAY => !ours(child),
        _ => true,
    });
    Stanza::from_element(&tree).map_err(|_| Condition::BadRequest.into())
}

/// The people of a room as the store keeps them.
fn stored_people(room: &Room) -> Vec<RoomAffiliation> {
    let people = room.people();
    people
        .map(|(jid, one)| RoomAffiliation {
            jid: jid.clone(),
            affiliation: one.affiliation.name().to_owned(),
            nick: one.nick.clone(),
            reason: one.reason.clone(),
        })
        .collect()
}
