//! What a message carries, in one look: what carbons, archive and offline store decide by.
//!
//! Why once: a message passes up to two accounts, and each module would walk through its children again. Refuses: looking
//! into a child; whoever needs that asks for the tree.

use xmpp::ns;
use xmpp::stanza::Stanza;

/// Chat states (XEP-0085).
const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";
/// Delivery receipts (XEP-0184).
const RECEIPTS: &str = "urn:xmpp:receipts";
/// Chat markers (XEP-0333).
const MARKERS: &str = "urn:xmpp:chat-markers:0";
/// What a room says about its occupants (XEP-0045).
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";
/// Direct invitations (XEP-0249).
const CONFERENCE: &str = "jabber:x:conference";

/// What was displayed, for one's own devices (XEP-0490): the element's namespace, and the name of the node.
pub(crate) const MDS: &str = "urn:xmpp:mds:displayed:0";
/// Retractions (XEP-0424).
pub(crate) const RETRACT: &str = "urn:xmpp:message-retract:1";

/// Children of a message, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Content(u32);

impl Content {
    /// `<body/>`
    pub(crate) const BODY: Self = Self(1);
    /// `<private/>` (XEP-0280 9)
    pub(crate) const PRIVATE: Self = Self(1 << 1);
    /// `<sent/>` or `<received/>` (XEP-0280)
    pub(crate) const CARBON: Self = Self(1 << 2);
    /// `<no-copy/>` (XEP-0334 4.3)
    pub(crate) const NO_COPY: Self = Self(1 << 3);
    /// `<no-store/>` (XEP-0334 4.2)
    pub(crate) const NO_STORE: Self = Self(1 << 4);
    /// `<no-permanent-store/>` (XEP-0334 4.1)
    pub(crate) const NO_PERMANENT_STORE: Self = Self(1 << 5);
    /// `<store/>` (XEP-0334 4.4)
    pub(crate) const STORE: Self = Self(1 << 6);
    /// `<stanza-id/>` (XEP-0359)
    pub(crate) const STANZA_ID: Self = Self(1 << 7);
    /// `<x/>` of a room (XEP-0045)
    pub(crate) const ROOM: Self = Self(1 << 8);
    /// A direct invitation (XEP-0249)
    pub(crate) const INVITATION: Self = Self(1 << 9);
    /// A chat state (XEP-0085)
    pub(crate) const CHAT_STATE: Self = Self(1 << 10);
    /// A receipt or the wish for one (XEP-0184), or a marker (XEP-0333)
    pub(crate) const RECEIPT: Self = Self(1 << 11);
    /// `<thread/>`
    pub(crate) const THREAD: Self = Self(1 << 12);
    /// Anything else.
    pub(crate) const OTHER: Self = Self(1 << 13);
    /// Any hint (XEP-0334).
    pub(crate) const HINT: Self = Self(1 << 14);
    /// `<retract/>` (XEP-0424)
    pub(crate) const RETRACTION: Self = Self(1 << 15);
    /// `<delay/>` (XEP-0203)
    pub(crate) const DELAY: Self = Self(1 << 16);
    /// `<displayed/>` for one's own devices (XEP-0490 5.4)
    pub(crate) const DISPLAYED: Self = Self(1 << 17);

    /// What the message carries.
    pub(crate) fn of(message: &Stanza) -> Self {
        message.children().fold(Self::default(), |set, child| {
            let (name, ns) = child;
            set.and(match ns {
                ns::CLIENT if name == "body" => Self::BODY,
                ns::CLIENT if name == "thread" => Self::THREAD,
                ns::CARBONS if name == "private" => Self::PRIVATE,
                ns::CARBONS if matches!(name, "sent" | "received") => Self::CARBON,
                ns::HINTS => Self::HINT.and(match name {
                    "no-copy" => Self::NO_COPY,
                    "no-store" => Self::NO_STORE,
                    "no-permanent-store" => Self::NO_PERMANENT_STORE,
                    "store" => Self::STORE,
                    _ => Self::default(),
                }),
                ns::STANZA_ID if name == "stanza-id" => Self::STANZA_ID,
                ROOM_USER if name == "x" => Self::ROOM,
                CONFERENCE if name == "x" => Self::INVITATION,
                RETRACT if name == "retract" => Self::RETRACTION,
                MDS if name == "displayed" => Self::OTHER.and(Self::DISPLAYED),
                ns::DELAY if name == "delay" => Self::OTHER.and(Self::DELAY),
                CHAT_STATES => Self::CHAT_STATE,
                RECEIPTS | MARKERS => Self::RECEIPT,
                _ => Self::OTHER,
            })
        })
    }

    /// Both sets.
    #[must_use]
    pub(crate) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether any of `other` is in it.
    pub(crate) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether nothing but some of `other` is in it.
    pub(crate) const fn only(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether nothing is in it.
    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// Whether a room lets somebody invite the account (mediated invitation, XEP-0045 7.8.2); asked of messages with
/// [`Content::ROOM`] only.
pub(crate) fn is_mediated_invitation(message: &Stanza) -> bool {
    message.payload().is_ok_and(|tree| {
        tree.find("x", ROOM_USER)
            .is_some_and(|x| x.find("invite", ROOM_USER).is_some())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::stanza;

    #[test]
    fn what_a_message_carries() {
        let of = |children: &str| Content::of(&stanza(&format!("<message>{children}</message>")));
        assert!(of("").is_empty());
        assert_eq!(
            of("<body>x</body><thread>t</thread>"),
            Content::BODY.and(Content::THREAD)
        );
        assert_eq!(of("<body xmlns='urn:x'/>"), Content::OTHER);
        assert_eq!(
            of("<h:store xmlns:h='urn:xmpp:hints'/>"),
            Content::HINT.and(Content::STORE)
        );
        assert_eq!(
            of("<y xmlns='urn:y'><private xmlns='urn:xmpp:carbons:2'/></y>"),
            Content::OTHER,
            "what is nested is not the message's own"
        );
        assert_eq!(
            of("<received xmlns='urn:xmpp:carbons:2'/>"),
            Content::CARBON
        );
        assert_eq!(
            of("<received xmlns='urn:xmpp:receipts' id='1'/>"),
            Content::RECEIPT
        );
    }
}
