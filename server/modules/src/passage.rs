//! A message that passes an account: sent by one of its sessions, or come for it from wherever.
//!
//! Carbons, the archive and whatever else wants to know of messages take part in two steps. Before the message goes on
//! ([`crate::Module::message_passing`]) a module may refuse or change it; afterwards ([`crate::Module::message_taken`]) it
//! hears who got it, and the sender's stream waits for what is kept of it ([`crate::Module::message_passed`]). Where no module
//! has anything to do before, and that is asked without waiting, the message takes the short way. A message between two accounts of this process
//! passes twice, once for each. Each time every message is looked at ([`Glance`]), for which nothing is made; a [`Passage`] is
//! made only where something has to wait. Refuses: changing where a message goes; that is the router's, by the table of
//! RFC 6121 8.5.

use std::borrow::Cow;

use store::ArchiveId;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::{Stanza, StanzaType};

use crate::archive::{Kept, stanza_id};
use crate::content::Content;
use crate::memory::Modules;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// One of the account's sessions sends it.
    Sent,
    /// It is for the account.
    Received,
}

/// A message at the door of one account: what is asked of every one, so nothing is made for it.
#[derive(Clone, Copy, Debug)]
pub struct Glance<'a> {
    /// Which way.
    pub direction: Direction,
    /// As it is now.
    pub message: &'a Stanza,
    pub(crate) content: Content,
    /// The account's, or its session's, address.
    whose: &'a Jid,
    /// Its id in the account's archive, where it goes into it.
    kept: Option<ArchiveId>,
}

impl<'a> Glance<'a> {
    /// `None`: the message lacks an address.
    pub fn of(direction: Direction, message: &'a Stanza) -> Option<Self> {
        let whose = match direction {
            Direction::Sent => message.from(),
            Direction::Received => message.to(),
        };
        Some(Self {
            direction,
            message,
            content: Content::of(message),
            whose: whose?,
            kept: None,
        })
    }

    /// What the look has shown, for the passage of the same message: it need not be looked at again.
    pub fn seen(&self) -> Seen {
        Seen {
            direction: self.direction,
            content: self.content,
        }
    }

    /// Whose; whether there is such an account is not known yet.
    pub fn account(&self) -> &'a str {
        self.whose.bare_str()
    }

    /// The same as an address of its own.
    pub(crate) fn bare(&self) -> BareJid {
        self.whose.bare()
    }

    /// The other side: whom it is for, or who sent it.
    pub(crate) fn peer(&self) -> Option<&'a Jid> {
        match self.direction {
            Direction::Sent => self.message.to(),
            Direction::Received => self.message.from(),
        }
    }

    /// Whether the account writes to itself. What is done once per account is done when it is received.
    pub(crate) fn to_itself(self) -> bool {
        self.peer()
            .is_some_and(|peer| peer.bare_str() == self.account())
    }

    /// As the account's own sessions see it: with the id that it has in the archive (XEP-0313 3.5), which others do not.
    pub(crate) fn for_own_sessions(&self) -> Cow<'a, Stanza> {
        match self.kept {
            // What is received has it already.
            Some(id) if self.direction == Direction::Sent => {
                let id = stanza_id(&self.bare(), id);
                Cow::Owned(self.message.with_child_written(&id))
            }
            _ => Cow::Borrowed(self.message),
        }
    }
}

/// What a [`Glance`] at a message has shown.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    direction: Direction,
    content: Content,
}

/// A message on its way past one account, for which something has to wait.
#[derive(Debug)]
pub struct Passage {
    /// Whose; whether there is such an account is not known yet.
    pub account: BareJid,
    /// Which way.
    pub direction: Direction,
    /// As it goes on.
    pub message: Stanza,
    pub(crate) content: Content,
    /// The address of the account, or of its session, on the message.
    whose: Jid,
    /// Where a module refuses it, nobody is told.
    pub(crate) silent: bool,
    /// What goes into the account's archive once it has passed.
    pub(crate) kept: Option<Box<Kept>>,
}

impl Passage {
    /// Of the message that was glanced at. `None`: it lacks an address.
    pub fn new(seen: Seen, message: Stanza) -> Option<Self> {
        let whose = match seen.direction {
            Direction::Sent => message.from(),
            Direction::Received => message.to(),
        };
        let whose = whose?.clone();
        Some(Self {
            account: whose.bare(),
            direction: seen.direction,
            whose,
            content: seen.content,
            message,
            kept: None,
            silent: false,
        })
    }

    /// What can be seen of it now.
    pub fn glance(&self) -> Glance<'_> {
        Glance {
            direction: self.direction,
            message: &self.message,
            content: self.content,
            whose: &self.whose,
            kept: self.kept.as_ref().map(|kept| kept.id()),
        }
    }

    /// The other side: whom it is for, or who sent it.
    pub(crate) fn peer(&self) -> Option<&Jid> {
        self.glance().peer()
    }

    /// Whether a room has passed it on from one of its occupants, to everybody or to the account alone (XEP-0045 7.4, 7.5). Of
    /// these whoever wrote them is told nothing where they are refused: it is the room that an error would tell, and a room throws
    /// out whom its messages cannot reach. Not every room says of a private message that it is one; that the session has shown
    /// itself to the room is seen here.
    pub(crate) fn is_from_occupant(&self, modules: &Modules) -> bool {
        let Some(from) = self
            .peer()
            .filter(|_| self.direction == Direction::Received)
        else {
            return false;
        };
        self.message.type_() == StanzaType::Groupchat
            || (!from.is_bare()
                && (self.content.any(Content::ROOM) || modules.directed.has(&self.whose, from)))
    }

    /// Whether something of it is to be kept once it has gone on.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Whether the account writes to itself.
    pub(crate) fn to_itself(&self) -> bool {
        self.glance().to_itself()
    }
}

/// Which of the account's sessions got the message itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// None: it was sent away, or nobody could take it.
    Nobody,
    /// This one.
    Session(Jid),
    /// Every one whose priority is not negative.
    NonNegative,
}

impl Taken {
    /// Whether this session got it, and no other.
    pub(crate) fn is(&self, session: &Jid) -> bool {
        matches!(self, Self::Session(jid) if jid == session)
    }

    /// Whether a session of this priority (`None`: not available) got it.
    pub fn by(&self, session: &Jid, priority: Option<i8>) -> bool {
        match self {
            Self::Nobody => false,
            Self::Session(jid) => jid == session,
            Self::NonNegative => priority.is_some_and(|p| p >= 0),
        }
    }
}
