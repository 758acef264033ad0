//! What is said: to everybody, to one occupant, and to the room itself (XEP-0045 7.4 to 7.8, 7.13, 8.1, 8.6).

use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid, nickname_key};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaError, StanzaType};

use super::config::PrivateMessages;
use super::entrance::{change_role, close_if_over, lost};
use super::rank::{Affiliation, Role};
use super::room::{Occupant, Past, Room};
use super::{
    MUC_USER, REQUEST_FORM, affiliate, cleaned, hearing, occupant_id, pace, past, register,
};
use crate::content::RETRACT;
use crate::context::{Context, Refusal, store_failed};
use crate::form::{Field, Form, Submitted};

/// A message to a room or to an address in it.
pub(super) async fn message(
    cx: &Context<'_>,
    slot: &mut Option<Room>,
    message: &Stanza,
) -> Result<(), Refusal> {
    let (Some(from), Some(to)) = (message.from(), message.to()) else {
        return Ok(());
    };
    let Some(room) = slot else {
        return Err(Condition::ItemNotFound.into());
    };
    match (message.type_(), to.resource()) {
        (StanzaType::Error, _) => {
            if is_unreachable(message) && !is_here(cx, from) {
                lost(cx, room, from);
                close_if_over(cx, slot).await;
            }
            Ok(())
        }
        (StanzaType::Groupchat, None) => to_all(cx, room, message).await,
        (StanzaType::Groupchat, Some(_)) => Err(Condition::BadRequest.into()),
        (_, Some(nick)) => privately(cx, room, message, nick).await,
        (_, None) => to_room(cx, room, message).await,
    }
}

/// Whether an error says that its sender is not there any more, rather than that one stanza was not liked.
fn is_unreachable(message: &Stanza) -> bool {
    use Condition as C;
    let error = message
        .payload()
        .ok()
        .as_ref()
        .and_then(StanzaError::from_stanza);
    error.is_none_or(|error| {
        matches!(
            error.condition,
            C::Gone
                | C::InternalServerError
                | C::ItemNotFound
                | C::JidMalformed
                | C::RecipientUnavailable
                | C::Redirect
                | C::RemoteServerNotFound
                | C::RemoteServerTimeout
                | C::ServiceUnavailable
        )
    })
}

/// Whether it is a session of this process, which is there whatever could not be done with a message to it.
fn is_here(cx: &Context<'_>, session: &Jid) -> bool {
    let sessions = cx.switchboard.sessions(&session.bare());
    sessions.iter().any(|bound| bound.jid == *session)
}

/// The sender as an occupant (EXT-25).
fn occupant<'a>(room: &'a Room, from: &Jid) -> Result<&'a Occupant, Refusal> {
    let found = room.occupant_of(from).map(|(_, occupant)| occupant);
    found.ok_or_else(|| Condition::NotAcceptable.into())
}

/// XEP-0045 7.4, 8.1.
async fn to_all(cx: &Context<'_>, room: &mut Room, message: &Stanza) -> Result<(), Refusal> {
    let Some(from) = message.from() else {
        return Ok(());
    };
    let sender = occupant(room, from)?;
    let subject = message.has_child("subject", ns::CLIENT)
        && !message.has_child("body", ns::CLIENT)
        && !message.has_child("thread", ns::CLIENT);
    let may = match subject {
        true if room.config.change_subject => sender.role >= Role::Participant,
        true => sender.role == Role::Moderator,
        false => sender.role >= Role::Participant,
    };
    if !may {
        return Err(Condition::Forbidden.into());
    }
    pace::charge(cx, room, &sender.real, pace::BURST)?;
    let out = cleaned(message, &room.jid)?
        .with_from(&sender.shown)
        .with_child(&occupant_id(&room.salt, &sender.real));
    let sender = sender.real.clone();
    let id = past::keep(cx, room, &out, Some(&sender), subject).await?;
    let out = id.map_or(out.clone(), |id| past::named(room, &out, id));
    if out.has_child("retract", RETRACT) {
        past::retract(cx, room, &out, &sender).await?;
    }
    if subject {
        if let Some(row) = room.row {
            let written = cx.store().room_subject(row, out.bytes(), cx.now).await;
            written.map_err(|e| store_failed(&e, &room.jid.bare(), "keeping a subject"))?;
        }
        room.subject = Some(Past {
            at: cx.now,
            id: None,
            sender: String::new(),
            stanza: out.clone(),
        });
    }
    hearing::to_everybody(cx, room, &out, Some(&sender)).await;
    if !subject && out.has_child("body", ns::CLIENT) {
        let limits = &cx.modules.limits;
        room.remember(
            Past {
                at: cx.now,
                id,
                sender: sender.to_string(),
                stanza: out,
            },
            limits.room_history as usize,
            limits.room_history_bytes,
        );
    }
    Ok(())
}

/// XEP-0045 7.5.
async fn privately(
    cx: &Context<'_>,
    room: &Room,
    message: &Stanza,
    nick: &str,
) -> Result<(), Refusal> {
    let Some(from) = message.from() else {
        return Ok(());
    };
    let sender = occupant(room, from)?;
    let may = match room.config.allow_pm {
        PrivateMessages::Anyone => true,
        PrivateMessages::Participants => sender.role >= Role::Participant,
        PrivateMessages::Moderators => sender.role == Role::Moderator,
        PrivateMessages::None => false,
    };
    if !may {
        return Err(Condition::Forbidden.into());
    }
    let addressee = room.occupants.get(&nickname_key(nick));
    let addressee = addressee.ok_or(Condition::ItemNotFound)?;
    let out = cleaned(message, &room.jid)?
        .with_from(&sender.shown)
        .with_child(&occupant_id(&room.salt, &sender.real))
        .with_child(&Element::new("x", MUC_USER));
    hearing::to_one(cx, room, addressee, &out, &sender.real).await;
    Ok(())
}

/// What is for the room itself: invitations, and forms.
async fn to_room(cx: &Context<'_>, room: &mut Room, message: &Stanza) -> Result<(), Refusal> {
    let payload = message
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    if let Some(x) = payload.find("x", MUC_USER) {
        if x.children().any(|child| child.is("invite", MUC_USER)) {
            return invite(cx, room, message, x).await;
        }
        if let Some(decline) = x.find("decline", MUC_USER) {
            return declined(cx, room, message, decline);
        }
    }
    let Some(form) = Submitted::within(&payload) else {
        return Err(Condition::BadRequest.into());
    };
    match form.form_type() {
        Some(REQUEST_FORM) => voice(cx, room, message, &form),
        Some(register::FORM) => register::decided(cx, room, message, &form).await,
        _ => Err(Condition::BadRequest.into()),
    }
}

/// XEP-0045 7.8.2. Whom somebody may invite into a members-only room becomes a member. The room does the writing, in the name
/// of the domain: whom somebody invites counts as whom they write to (DOS-09), and who is not of the domain invites where the
/// room knows them.
async fn invite(
    cx: &Context<'_>,
    room: &mut Room,
    message: &Stanza,
    x: &Element,
) -> Result<(), Refusal> {
    /// Invitations in one message.
    const AT_ONCE: usize = 20;
    let Some(from) = message.from() else {
        return Ok(());
    };
    let sender = occupant(room, from)?;
    let affiliation = room.affiliation(&sender.real);
    let may = if room.config.members_only {
        affiliation >= Affiliation::Admin
            || (room.config.allow_invites && sender.role >= Role::Participant)
    } else {
        sender.role >= Role::Participant
    };
    let own = from.domain() == cx.store().name();
    if !may || (!own && affiliation < Affiliation::Member) {
        return Err(Condition::Forbidden.into());
    }
    let by = sender.real.clone();
    let inviter = inviter(room, sender);
    let mut invited = Vec::new();
    for invite in x
        .children()
        .filter(|c| c.is("invite", MUC_USER))
        .take(AT_ONCE)
    {
        let to = invite.get_attr("to").ok_or(Condition::BadRequest)?;
        let to = Jid::parse(to).map_err(|_| Refusal::from(Condition::JidMalformed))?;
        if to.local().is_none() || room.affiliation(&to.bare()) == Affiliation::Outcast {
            return Err(Condition::NotAcceptable.into());
        }
        invited.push((to.bare(), to, invite));
    }
    for (person, ..) in &invited {
        cx.switchboard.admit_recipient(&by, person)?;
    }
    if room.config.members_only {
        let new = invited.iter().map(|(person, ..)| person.clone());
        let new = new.filter(|to| room.affiliation(to) == Affiliation::None);
        let new: Vec<_> = new.map(|to| (to, Affiliation::Member, None)).collect();
        affiliate::write(cx, room, &new).await?;
    }
    for (person, to, invite) in invited {
        room.invites(person, by.clone());
        let thread = invite.find("continue", MUC_USER).map(|child| {
            Element::new("continue", MUC_USER).attr_opt("thread", child.get_attr("thread"))
        });
        let invitation = Element::new("invite", MUC_USER)
            .attr("from", inviter.as_str())
            .child_opt(reason(invite))
            .child_opt(thread);
        send_invitation(cx, room, &to, invitation);
    }
    Ok(())
}

/// Under which address an occupant invites.
fn inviter(room: &Room, sender: &Occupant) -> Jid {
    if room.config.non_anonymous {
        Jid::from(sender.real.clone())
    } else {
        sender.shown.clone()
    }
}

fn send_invitation(cx: &Context<'_>, room: &Room, to: &Jid, invitation: Element) {
    let password = &room.config.password;
    let password =
        (!password.is_empty()).then(|| Element::new("password", MUC_USER).text(password.as_str()));
    let x = Element::new("x", MUC_USER)
        .child(invitation)
        .child_opt(password);
    send(cx, &message_to(&room.jid, to).child(x));
}

/// Whoever becomes a member of a room that is for its members alone is invited (XEP-0045 9.5), as far as who made them one may
/// still invite people.
pub(super) fn invite_member(cx: &Context<'_>, room: &mut Room, by: &Jid, to: &BareJid) {
    let who = by.bare();
    if cx.switchboard.admit_recipient(&who, to).is_err() {
        return;
    }
    let from = match room.occupant_of(by) {
        Some((_, occupant)) => inviter(room, occupant),
        None if room.config.non_anonymous => Jid::from(who.clone()),
        None => room.jid.clone(),
    };
    room.invites(to.clone(), who);
    let invitation = Element::new("invite", MUC_USER).attr("from", from.as_str());
    send_invitation(cx, room, &Jid::from(to.clone()), invitation);
}

/// Why somebody is invited or declines; of a longer one the beginning.
fn reason(of: &Element) -> Option<Element> {
    let reason = of.find("reason", MUC_USER)?.text_content();
    let short: String = reason.chars().take(affiliate::REASON).collect();
    Some(Element::new("reason", MUC_USER).text(short))
}

/// Somebody declines an invitation (XEP-0045 7.8.2): whoever has invited them is told, where they are still there. Of those
/// whom nobody has invited, nothing is passed on, and they learn nothing of who is there.
fn declined(
    cx: &Context<'_>,
    room: &mut Room,
    message: &Stanza,
    decline: &Element,
) -> Result<(), Refusal> {
    let from = message.from().ok_or(Condition::BadRequest)?;
    let who = from.bare();
    let inviter = room.declines(&who).ok_or(Condition::Forbidden)?;
    if room.affiliation(&who) == Affiliation::Outcast {
        return Err(Condition::Forbidden.into());
    }
    let declined = Element::new("decline", MUC_USER)
        .attr("from", who.as_str())
        .child_opt(reason(decline));
    let x = Element::new("x", MUC_USER).child(declined);
    for (_, visit) in room
        .everybody()
        .filter(|(occupant, _)| occupant.real == inviter)
    {
        send(cx, &message_to(&room.jid, &visit.jid).child(x.clone()));
    }
    Ok(())
}

/// A request for voice goes to the moderators (XEP-0045 7.13); a moderator's answer is carried out (8.6).
fn voice(
    cx: &Context<'_>,
    room: &mut Room,
    message: &Stanza,
    form: &Submitted,
) -> Result<(), Refusal> {
    let Some(from) = message.from() else {
        return Ok(());
    };
    let bad = |_| Refusal::from(Condition::BadRequest);
    let sender = occupant(room, from)?;
    if let Some(allowed) = form.boolean("muc#request_allow").map_err(bad)? {
        if sender.role != Role::Moderator {
            return Err(Condition::Forbidden.into());
        }
        let nick = form.text("muc#roomnick").map_err(bad)?.unwrap_or_default();
        let key = nickname_key(nick);
        if allowed
            && let Some(asked) = room.occupants.get(&key)
            && asked.role == Role::Visitor
        {
            change_role(cx, room, &key, Role::Participant);
        }
        return Ok(());
    }
    if form.text("muc#role").map_err(bad)? != Some("participant") {
        return Err(Condition::BadRequest.into());
    }
    if sender.role >= Role::Participant {
        return Ok(());
    }
    let nick = sender.shown.resource().unwrap_or_default();
    let request = Form::asking(REQUEST_FORM)
        .title("Somebody asks for voice")
        .instructions("Grant it, and the person may speak in this room.")
        .field(
            Field::new("muc#role", "list-single")
                .label("Role")
                .value("participant"),
        )
        .field(
            Field::new("muc#jid", "jid-single")
                .label("Who")
                .value(from.as_str()),
        )
        .field(
            Field::new("muc#roomnick", "text-single")
                .label("Nickname")
                .value(nick),
        )
        .field(Field::boolean("muc#request_allow", false).label("Grant voice"))
        .into_element();
    for (_, visit) in room
        .everybody()
        .filter(|(other, _)| other.role == Role::Moderator)
    {
        send(
            cx,
            &message_to(&room.jid, &visit.jid).child(request.clone()),
        );
    }
    Ok(())
}

/// A message of the room to somebody.
pub(super) fn message_to(room: &Jid, to: &Jid) -> Element {
    Element::new("message", ns::CLIENT)
        .attr("from", room.as_str())
        .attr("to", to.as_str())
}

/// Sends what this service has written itself, past the account of whoever it is for.
pub(super) fn send(cx: &Context<'_>, message: &Element) {
    if let Some(stanza) = written(message) {
        cx.send(stanza);
    }
}

fn written(message: &Element) -> Option<Stanza> {
    let stanza = Stanza::from_element(message);
    stanza
        .inspect_err(|error| tracing::error!(%error, "a room's own message is malformed"))
        .ok()
}

/// Tells everybody by status codes what has changed about the room (XEP-0045 10.2.1).
pub(super) async fn tell(cx: &Context<'_>, room: &Room, codes: &[u16]) {
    if codes.is_empty() {
        return;
    }
    let statuses = codes.iter().map(|code| super::notice::status(*code));
    let x = Element::new("x", MUC_USER).children_from(statuses);
    let message = Element::new("message", ns::CLIENT)
        .attr("from", room.jid.as_str())
        .attr("type", "groupchat")
        .child(x);
    if let Some(message) = written(&message) {
        hearing::to_everybody(cx, room, &message, None).await;
    }
}

/// A message of the room to everybody of these affiliations, in the room or not.
pub(super) fn to_affiliated(cx: &Context<'_>, room: &Room, least: Affiliation, content: &Element) {
    let people = room.people().filter(|(_, one)| one.affiliation >= least);
    let people: Vec<BareJid> = people.map(|(jid, _)| jid.clone()).collect();
    for who in people {
        send(
            cx,
            &message_to(&room.jid, &Jid::from(who)).child(content.clone()),
        );
    }
}
