//! Who hears what is said: block lists (XEP-0191), clients that are not there (XEP-0357, XEP-0198), private messages
//! (XEP-0045 7.5).
//!
//! A room here is to an account what one elsewhere would be, so the account's own rules hold for what it says. To be quick all
//! the same, what is for everybody goes straight into the queues of sessions whose owners have blocked nobody, and who those
//! are is known in memory. A private message passes the account, as any message does: archive, push and the offline store have
//! their say. Whom somebody has blocked by a real address is known to the room where the hearer may know it, too. Refuses:
//! reading what accounts of other domains have blocked; that is asked where they are.

use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::Stanza;

use super::notice::sees_real;
use super::room::{Occupant, Past, Room};
use crate::context::Context;
use crate::push;
use crate::roster::Roster;

/// How what is said gets to the sessions of one occupant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Into their queues; those of them whose clients are not there may have to be woken.
    Straight { wakes: bool },
    /// Past the account, which is not of this domain, or to its server.
    Past,
    /// Not at all: its owner wants to hear nothing of the speaker.
    Nowhere,
}

/// Something that is said in a room.
struct Said<'a> {
    room: &'a Room,
    /// The speaker's address in the room, or the room's own.
    shown: Option<&'a Jid>,
    /// Who the speaker is; `None`: the room.
    speaker: Option<&'a BareJid>,
    /// Whether somebody who is not there would want to know.
    wakes: bool,
}

impl<'a> Said<'a> {
    fn of(room: &'a Room, out: &'a Stanza, speaker: Option<&'a BareJid>) -> Self {
        Self {
            room,
            shown: out.from(),
            speaker,
            wakes: push::is_news(out),
        }
    }

    /// The way to an occupant, as far as memory tells.
    fn known_way(&self, cx: &Context<'_>, hearer: &Occupant) -> Option<Way> {
        let own = is_own(cx, &hearer.real);
        cx.modules
            .rosters
            .look(hearer.real.as_str(), |known| match known {
                Some(Some(roster)) => Some(self.way_by(cx, hearer, own, roster)),
                Some(None) => Some(Way::Straight { wakes: false }),
                None if own => None,
                None => Some(Way::Past),
            })
    }

    /// The way to an occupant; a list that cannot be read blocks nobody.
    async fn way(&self, cx: &Context<'_>, hearer: &Occupant) -> Way {
        if let Some(way) = self.known_way(cx, hearer) {
            return way;
        }
        match Box::pin(cx.roster(&hearer.real)).await {
            Ok(Some(roster)) => self.way_by(cx, hearer, true, &roster),
            Ok(None) | Err(_) => Way::Straight { wakes: false },
        }
    }

    fn way_by(&self, cx: &Context<'_>, hearer: &Occupant, own: bool, roster: &Roster) -> Way {
        let to_itself = self.speaker == Some(&hearer.real);
        let straight = Way::Straight {
            wakes: self.wakes && roster.pushes && !to_itself,
        };
        if roster.blocked.is_empty() || to_itself {
            return straight;
        }
        let shown = self.shown.is_some_and(|shown| roster.blocked.blocks(shown));
        if !own {
            // Whether its domain lets it block anybody is asked where it is.
            return if shown { Way::Past } else { straight };
        }
        let real = || {
            let speaker = self.speaker.filter(|_| sees_real(self.room, hearer));
            speaker.is_some_and(|speaker| roster.blocked.blocks_person(speaker))
        };
        if cx.hosted.blocks() && (shown || real()) {
            Way::Nowhere
        } else {
            straight
        }
    }
}

fn is_own(cx: &Context<'_>, who: &BareJid) -> bool {
    who.domain() == cx.store().name()
}

/// The same for everybody who is there and wants to hear the speaker, in the order in which it is said; `speaker` is `None`
/// where the room speaks.
pub(super) async fn to_everybody(
    cx: &Context<'_>,
    room: &Room,
    out: &Stanza,
    speaker: Option<&BareJid>,
) {
    let said = Said::of(room, out, speaker);
    for hearer in room.occupants.values() {
        // Without a future of its own where memory tells.
        let way = match said.known_way(cx, hearer) {
            Some(way) => way,
            None => Box::pin(said.way(cx, hearer)).await,
        };
        for visit in &hearer.visits {
            match way {
                Way::Nowhere => {}
                Way::Past => cx.send(out.with_to(&visit.jid)),
                Way::Straight { wakes } => {
                    let copy = out.with_to(&visit.jid);
                    if wakes && cx.switchboard.is_away(&visit.jid) {
                        cx.waits(copy.clone());
                    }
                    cx.hand(copy);
                }
            }
        }
    }
}

/// To every session of one occupant, past their account. Of several sessions one has the copy that passes, so that the account
/// keeps the message once: the one that the account's rules of delivery would choose.
pub(super) async fn to_one(
    cx: &Context<'_>,
    room: &Room,
    hearer: &Occupant,
    out: &Stanza,
    speaker: &BareJid,
) {
    let way = Said::of(room, out, Some(speaker)).way(cx, hearer).await;
    if way == Way::Nowhere {
        return;
    }
    let bound = cx.switchboard.sessions(&hearer.real);
    let mine = bound
        .iter()
        .filter(|session| hearer.visits.iter().any(|visit| visit.jid == session.jid));
    let passing = mine
        .max_by_key(|session| (!session.away, session.priority))
        .map(|session| &session.jid);
    for visit in &hearer.visits {
        let copy = out.with_to(&visit.jid);
        // A session that has ended meanwhile, or is on another server, has rules of its own.
        if way == Way::Past || passing.is_none_or(|passing| *passing == visit.jid) {
            cx.send(copy);
        } else {
            cx.hand(copy);
        }
    }
}

/// Whether an occupant of this domain wants nothing to do with another: neither under the address that is shown, nor as who
/// they are, where that may be known.
pub(super) async fn is_blocked(
    cx: &Context<'_>,
    room: &Room,
    hearer: &Occupant,
    other: &Occupant,
) -> bool {
    let said = Said {
        room,
        shown: Some(&other.shown),
        speaker: Some(&other.real),
        wakes: false,
    };
    said.way(cx, hearer).await == Way::Nowhere
}

/// Of what was said before, that which somebody who enters wants to hear.
pub(super) async fn wanted<'a>(
    cx: &Context<'_>,
    room: &'a Room,
    hearer: &Occupant,
    past: impl Iterator<Item = &'a Past>,
) -> Vec<&'a Past> {
    let mut wanted: Vec<&Past> = past.collect();
    let roster = match is_own(cx, &hearer.real) && cx.hosted.blocks() && !wanted.is_empty() {
        true => Box::pin(cx.roster(&hearer.real)).await.ok().flatten(),
        false => None,
    };
    if let Some(roster) = roster.filter(|roster| !roster.blocked.is_empty()) {
        wanted.retain(|past| {
            let speaker = BareJid::parse(&past.sender).ok();
            let said = Said::of(room, &past.stanza, speaker.as_ref());
            said.way_by(cx, hearer, true, &roster) != Way::Nowhere
        });
    }
    wanted
}
