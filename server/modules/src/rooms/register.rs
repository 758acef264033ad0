//! Becoming a member, and keeping a nickname (XEP-0045 7.10, 9.9).
//!
//! In an open room whoever is of the room's domain and asks becomes a member at once. Where a member may do more than anybody
//! else, enter or speak, the admins and owners are asked, and so they are about people of other domains: nobody gets in, or
//! gets voice, by asking, and strangers do not fill the room's list.

use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid, nickname_key};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use super::affiliate;
use super::entrance::change_role;
use super::rank::{Affiliation, Role};
use super::room::{APPLICANTS, Room};
use super::talk::to_affiliated;
use crate::context::{Context, Refusal};
use crate::form::{Field, Form, Submitted};
use crate::module::Answer;
use crate::screening;

/// `FORM_TYPE`
pub(super) const FORM: &str = "http://jabber.org/protocol/muc#register";

const NICK: &str = "muc#register_roomnick";
const ALLOW: &str = "muc#register_allow";
const WHO: &str = "muc#register_jid";
/// Longest nickname, in characters.
const NICK_CHARACTERS: usize = 100;

/// An iq with a `jabber:iq:register` query.
pub(super) async fn iq(cx: &Context<'_>, room: &mut Room, iq: &Stanza) -> Result<Answer, Refusal> {
    let from = iq.from().ok_or(Condition::BadRequest)?;
    let who = from.bare();
    let affiliation = room.affiliation(&who);
    if affiliation == Affiliation::Outcast {
        return Err(Condition::NotAllowed.into());
    }
    if iq.type_() == StanzaType::Get {
        let query = Element::new("query", ns::REGISTER);
        if let Some(nick) = room.reserved(&who) {
            return Ok(Answer::Payload(
                query
                    .child(Element::new("registered", ns::REGISTER))
                    .child(Element::new("username", ns::REGISTER).text(nick)),
            ));
        }
        let form = Form::asking(FORM)
            .title("Registration with this room")
            .instructions("Choose the nickname that shall be yours here.")
            .field(Field::new(NICK, "text-single").label("Nickname"));
        return Ok(Answer::Payload(query.child(form.into_element())));
    }
    let payload = iq
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let query = payload
        .find("query", ns::REGISTER)
        .ok_or(Condition::BadRequest)?;
    if query.find("remove", ns::REGISTER).is_some() {
        if affiliation == Affiliation::Member {
            affiliate::leave_list(cx, room, &who).await?;
        }
        return Ok(Answer::Empty);
    }
    let form = Submitted::within(query).filter(|form| form.form_type() == Some(FORM));
    let form = form.ok_or(Condition::BadRequest)?;
    if form.is_cancelled() {
        return Ok(Answer::Empty);
    }
    let nick = form
        .text(NICK)
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let nick = nick.unwrap_or_default();
    if Jid::from(room.jid.bare())
        .bare()
        .with_resource(nick)
        .is_err()
        || nick.chars().count() > NICK_CHARACTERS
    {
        return Err(Condition::NotAcceptable.into());
    }
    if room.is_taken(&nickname_key(nick), &who) {
        return Err(Condition::Conflict.into());
    }
    if affiliation == Affiliation::None {
        screening::admit(cx, from).await?;
        let means = room.config.members_only || room.config.moderated;
        if means || who.domain() != cx.store().name() {
            ask(cx, room, &who, nick)?;
            return Ok(Answer::Empty);
        }
    }
    admit(cx, room, &who, nick).await?;
    Ok(Answer::Empty)
}

/// Asks admins and owners, once until one of them answers.
fn ask(cx: &Context<'_>, room: &mut Room, who: &BareJid, nick: &str) -> Result<(), Refusal> {
    let new = room.applies(who).ok_or_else(|| {
        Refusal::new(Condition::ResourceConstraint).with_text(format!(
            "{APPLICANTS} people wait for the answer of this room's admins, as many as may"
        ))
    })?;
    if !new {
        return Ok(());
    }
    let request = Form::asking(FORM)
        .title("Somebody wants to become a member")
        .instructions("Allow it, and the person may enter this room, and speak in it.")
        .field(
            Field::new(WHO, "jid-single")
                .label("Who")
                .value(who.as_str()),
        )
        .field(
            Field::new(NICK, "text-single")
                .label("Nickname")
                .value(nick),
        )
        .field(Field::boolean(ALLOW, false).label("Allow"));
    to_affiliated(cx, room, Affiliation::Admin, &request.into_element());
    Ok(())
}

/// An admin's answer to the question above.
pub(super) async fn decided(
    cx: &Context<'_>,
    room: &mut Room,
    message: &Stanza,
    form: &Submitted,
) -> Result<(), Refusal> {
    let from = message.from().ok_or(Condition::BadRequest)?;
    if room.affiliation(&from.bare()) < Affiliation::Admin {
        return Err(Condition::Forbidden.into());
    }
    let bad = |_| Refusal::from(Condition::BadRequest);
    if form.is_cancelled() {
        return Ok(());
    }
    let who = form.text(WHO).map_err(bad)?.unwrap_or_default();
    let who = BareJid::parse(who).map_err(|_| Refusal::from(Condition::JidMalformed))?;
    if form.boolean(ALLOW).map_err(bad)? != Some(true) {
        room.answered(&who);
        return Ok(());
    }
    let nick = form.text(NICK).map_err(bad)?.unwrap_or_default();
    if room.affiliation(&who) != Affiliation::None {
        // Decided otherwise meanwhile.
        return Ok(());
    }
    if room.is_taken(&nickname_key(nick), &who) {
        return Err(Condition::Conflict.into());
    }
    admit(cx, room, &who, nick).await
}

async fn admit(
    cx: &Context<'_>,
    room: &mut Room,
    who: &BareJid,
    nick: &str,
) -> Result<(), Refusal> {
    let affiliation = room.affiliation(who).max(Affiliation::Member);
    let nick = (!nick.is_empty()).then(|| nick.to_owned());
    affiliate::write(cx, room, &[(who.clone(), affiliation, nick)]).await?;
    for key in room.keys_of(who) {
        if let Some(occupant) = room.occupants.get(&key) {
            let role = occupant.role.max(Role::Participant);
            change_role(cx, room, &key, role);
        }
    }
    Ok(())
}
