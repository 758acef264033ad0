//! What a room says about its occupants: presence with an item in it (XEP-0045 7.2.2), told to each as far as they may know.
//!
//! A presence is written once for those who see real addresses and once for the others; each addressee costs a start tag. What is
//! said of those who are there is kept as it was written ([`Written`]): whoever comes is told of all of them, so that a room that
//! fills says it again and again.

use std::sync::Mutex;

use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::stanza::{Stanza, StanzaType};

use super::MUC_USER;
use super::rank::{Affiliation, Role};
use super::room::{Occupant, Room, Visit};
use crate::context::Context;
use crate::memory::lock;

/// Self-presence.
pub(super) const SELF: u16 = 110;

/// One statement about an occupant.
#[derive(Debug)]
pub(super) struct Notice<'a> {
    /// The presence, from the occupant's address in the room.
    pub(super) presence: &'a Stanza,
    pub(super) affiliation: Affiliation,
    pub(super) role: Role,
    /// Real address of the session that it is about, for those who may know.
    pub(super) real: &'a Jid,
    /// Moderators alone are told, and the occupant.
    pub(super) hidden: bool,
    /// The new nickname, where it changes.
    pub(super) nick: Option<&'a str>,
    /// Nickname of who did it.
    pub(super) actor: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    /// What the occupant wears.
    pub(super) hats: Option<Element>,
    /// Status codes for everybody …
    pub(super) codes: &'a [u16],
    /// … and for the occupant alone, beside 110.
    pub(super) own_codes: &'a [u16],
}

impl<'a> Notice<'a> {
    /// That somebody is there as they are.
    pub(super) fn of(room: &Room, occupant: &Occupant, visit: &'a Visit) -> Self {
        Self {
            presence: &visit.presence,
            affiliation: room.affiliation(&occupant.real),
            role: occupant.role,
            real: &visit.jid,
            hidden: !room.shows(occupant.role),
            nick: None,
            actor: None,
            reason: None,
            hats: room.hats.of(&occupant.real),
            codes: &[],
            own_codes: &[],
        }
    }

    /// To everybody in the room; to the occupant's own sessions as such.
    pub(super) fn to_all(&self, cx: &Context<'_>, room: &Room) {
        self.to_others(cx, room);
        let own = self.own();
        for (_, visit) in room.everybody().filter(|(other, _)| self.is_about(other)) {
            cx.hand(own.with_to(&visit.jid));
        }
    }

    /// To everybody but the occupant.
    pub(super) fn to_others(&self, cx: &Context<'_>, room: &Room) {
        let (open, closed) = (self.stanza(true, &[]), self.stanza(false, &[]));
        for (viewer, visit) in room.everybody().filter(|(other, _)| !self.is_about(other)) {
            if self.hidden && viewer.role != Role::Moderator {
                continue;
            }
            let stanza = if sees_real(room, viewer) {
                &open
            } else {
                &closed
            };
            cx.hand(stanza.with_to(&visit.jid));
        }
    }

    /// To those who are told of nobody but whom everybody is shown.
    pub(super) fn to_ordinary(&self, cx: &Context<'_>, room: &Room) {
        let ordinary = |other: &Occupant| !self.is_about(other) && other.role != Role::Moderator;
        for (viewer, visit) in room.everybody().filter(|(other, _)| ordinary(other)) {
            self.to_one(cx, sees_real(room, viewer), &visit.jid);
        }
    }

    /// To one of the occupant's own sessions.
    pub(super) fn to_self(&self, cx: &Context<'_>, session: &Jid) {
        cx.hand(self.own().with_to(session));
    }

    /// To one other.
    pub(super) fn to_one(&self, cx: &Context<'_>, sees_real: bool, session: &Jid) {
        cx.hand(self.stanza(sees_real, &[]).with_to(session));
    }

    fn own(&self) -> Stanza {
        let mut codes = vec![SELF];
        codes.extend_from_slice(self.own_codes);
        self.stanza(true, &codes)
    }

    fn is_about(&self, occupant: &Occupant) -> bool {
        self.presence.from() == Some(&occupant.shown)
    }

    fn stanza(&self, real: bool, own_codes: &[u16]) -> Stanza {
        let item = Element::new("item", MUC_USER)
            .attr("affiliation", self.affiliation.name())
            .attr("role", self.role.name())
            .attr_opt("jid", real.then(|| self.real.as_str()))
            .attr_opt("nick", self.nick)
            .child_opt(
                self.actor
                    .map(|nick| Element::new("actor", MUC_USER).attr("nick", nick)),
            )
            .child_opt(
                self.reason
                    .map(|why| Element::new("reason", MUC_USER).text(why)),
            );
        let codes = own_codes.iter().chain(self.codes);
        let x = Element::new("x", MUC_USER)
            .child(item)
            .children_from(codes.map(|code| status(*code)));
        let stanza = self.presence.with_child(&x);
        match &self.hats {
            Some(hats) => stanza.with_child(hats),
            None => stanza,
        }
    }
}

/// That an occupant is there as they are, to somebody who comes.
pub(super) fn is_there(
    cx: &Context<'_>,
    room: &Room,
    occupant: &Occupant,
    sees_real: bool,
    session: &Jid,
) {
    if let Some(last) = occupant.visits.last() {
        let notice = Notice::of(room, occupant, last);
        cx.hand(last.written.of(&notice, sees_real).with_to(session));
    }
}

/// What was written of a session the last time that somebody came.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<Option<Statement>>);

/// What it says, and in which words.
#[derive(Debug)]
struct Statement {
    presence: Stanza,
    affiliation: Affiliation,
    role: Role,
    hats: Option<Element>,
    /// With the real address, and without.
    open: Option<Stanza>,
    closed: Option<Stanza>,
}

impl Written {
    /// A notice that somebody is there, which says nothing but what they are. It is written anew when that has changed.
    fn of(&self, notice: &Notice<'_>, real: bool) -> Stanza {
        let mut kept = lock(&self.0);
        let still = kept.as_ref().is_some_and(|kept| {
            // The presence is replaced, never changed.
            kept.presence.bytes().as_ptr() == notice.presence.bytes().as_ptr()
                && (kept.affiliation, kept.role) == (notice.affiliation, notice.role)
                && kept.hats == notice.hats
        });
        if !still {
            *kept = None;
        }
        let kept = kept.get_or_insert_with(|| Statement {
            presence: notice.presence.clone(),
            affiliation: notice.affiliation,
            role: notice.role,
            hats: notice.hats.clone(),
            open: None,
            closed: None,
        });
        let written = match real {
            true => &mut kept.open,
            false => &mut kept.closed,
        };
        written
            .get_or_insert_with(|| notice.stanza(real, &[]))
            .clone()
    }
}

/// Whether an occupant may see real addresses.
pub(super) fn sees_real(room: &Room, viewer: &Occupant) -> bool {
    room.config.non_anonymous || viewer.role == Role::Moderator
}

/// `<status code=''/>`
pub(super) fn status(code: u16) -> Element {
    Element::new("status", MUC_USER).attr("code", code.to_string())
}

/// The presence of an occupant who goes, where there is nothing else to say.
pub(super) fn unavailable(shown: &Jid) -> Stanza {
    Stanza::presence(Some(StanzaType::Unavailable), shown, None, None)
}

/// Takes an occupant out and tells everybody, the occupant last (XEP-0045 8.2, 9.1).
#[derive(Debug, Default)]
pub(super) struct Removal<'a> {
    /// Nickname of who does it.
    pub(super) actor: Option<&'a str>,
    pub(super) reason: Option<&'a str>,
    /// What for: 301, 307, 321, 322, 332, 333.
    pub(super) codes: &'a [u16],
}

impl Removal<'_> {
    /// Nobody is told where nobody of that nickname is there.
    pub(super) fn carry_out(&self, cx: &Context<'_>, room: &mut Room, key: &str) {
        let Some(gone) = room.remove(key) else { return };
        let presence = unavailable(&gone.shown);
        for (n, visit) in gone.visits.iter().enumerate() {
            let notice = Notice {
                presence: &presence,
                affiliation: room.affiliation(&gone.real),
                role: Role::None,
                real: &visit.jid,
                hidden: !room.shows(gone.role),
                nick: None,
                actor: self.actor,
                reason: self.reason,
                hats: None,
                codes: self.codes,
                own_codes: &[],
            };
            if n == 0 {
                notice.to_others(cx, room);
            }
            notice.to_self(cx, &visit.jid);
        }
    }
}
