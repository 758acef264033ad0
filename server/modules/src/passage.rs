//! A message that passes an account: sent by one of its sessions, or come for it from wherever.
//!
//! Carbons, the archive and whatever else wants to know of messages take part in two steps. Before the message goes on
//! ([`crate::Module::message_passing`]) a module may refuse or change it; afterwards ([`crate::Module::message_taken`]) it
//! hears who got it, and the sender's stream waits for what is kept of it ([`crate::Module::message_passed`]). Where no module
//! has anything to do before, and that is asked without waiting, the message takes the short way. A message between two accounts of this process
//! passes twice, once for each. A domain whose modules want none of this never makes a [`Passage`]. Refuses: changing where
//! a message goes; that is the router's, by the table of RFC 6121 8.5.

use std::borrow::Cow;

use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::Stanza;

use crate::archive::{Kept, stanza_id};
use crate::content::Content;

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// One of the account's sessions sends it.
    Sent,
    /// It is for the account.
    Received,
}

/// A message on its way past one account.
#[derive(Debug)]
pub struct Passage {
    /// Whose; whether there is such an account is not known yet.
    pub account: BareJid,
    /// Which way.
    pub direction: Direction,
    /// As it goes on.
    pub message: Stanza,
    pub(crate) content: Content,
    /// Where a module refuses it, nobody is told.
    pub(crate) silent: bool,
    /// What goes into the account's archive once it has passed.
    pub(crate) kept: Option<Box<Kept>>,
}

impl Passage {
    /// `None`: the message lacks an address.
    pub fn new(direction: Direction, message: Stanza) -> Option<Self> {
        let whose = match direction {
            Direction::Sent => message.from(),
            Direction::Received => message.to(),
        };
        Some(Self {
            account: whose?.bare(),
            direction,
            content: Content::of(&message),
            message,
            kept: None,
            silent: false,
        })
    }

    /// The other side: whom it is for, or who sent it.
    pub(crate) fn peer(&self) -> Option<&Jid> {
        match self.direction {
            Direction::Sent => self.message.to(),
            Direction::Received => self.message.from(),
        }
    }

    /// Whether something of it is to be kept once it has gone on.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// As the account's own sessions see it: with the id that it has in the archive (XEP-0313 3.5), which others do not.
    pub(crate) fn for_own_sessions(&self) -> Cow<'_, Stanza> {
        match &self.kept {
            // What is received has it already.
            Some(kept) if self.direction == Direction::Sent => {
                let id = stanza_id(&self.account, kept.id());
                Cow::Owned(self.message.with_child_written(&id))
            }
            _ => Cow::Borrowed(&self.message),
        }
    }

    /// Whether the account writes to itself. What is done once per account is done when it is received.
    pub(crate) fn to_itself(&self) -> bool {
        self.peer()
            .is_some_and(|peer| peer.bare_str() == self.account.as_str())
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
    /// Whether a session of this priority (`None`: not available) got it.
    pub fn by(&self, session: &Jid, priority: Option<i8>) -> bool {
        match self {
            Self::Nobody => false,
            Self::Session(jid) => jid == session,
            Self::NonNegative => priority.is_some_and(|p| p >= 0),
        }
    }
}
