//! What a module says about itself: one constant from which disco, stream features, the switches of a domain and the
//! table in the README are made.
//!
//! Why data and not methods: nobody can announce a feature in one place and forget it in another. Refuses: features that
//! no listed module carries.

use std::fmt;

/// A module's card.
#[derive(Debug)]
pub struct ModuleInfo {
    /// Word for switches, logs and the table: lower case, no spaces.
    pub name: &'static str,
    /// What people get from it, one line.
    pub about: &'static str,
    /// Where it is specified.
    pub specs: &'static [Spec],
    /// Whether a domain may turn it off.
    pub switchable: bool,
    /// Payloads it answers.
    pub iq: &'static [IqDoor],
    /// Hook points beside iq at which it wants to be called; the others cost nothing.
    pub hooks: Hooks,
    /// Features in disco of the domain.
    pub server_features: &'static [&'static str],
    /// Features in disco of an account.
    pub account_features: &'static [&'static str],
    /// What an account is in disco beside an account: category and type.
    pub account_identities: &'static [(&'static str, &'static str)],
    /// Informative stream features after authentication: element name and namespace.
    pub stream_features: &'static [(&'static str, &'static str)],
}

/// A specification and, for a XEP, the version that was read.
#[derive(Debug)]
pub enum Spec {
    /// Number and sections.
    Rfc(u16, &'static str),
    /// Number and version.
    Xep(u16, &'static str),
    /// Number, version, and what of it there is not.
    Part(u16, &'static str, &'static str),
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rfc(number, sections) => write!(f, "RFC {number} ({sections})"),
            Self::Xep(number, version) => write!(f, "XEP-{number:04} {version}"),
            Self::Part(number, version, _) => write!(f, "XEP-{number:04} {version} (in part)"),
        }
    }
}

/// A name of its own beside the domain, `LABEL.DOMAIN`, at which a module answers everything. Other servers ask for it like
/// for any domain; it has no accounts.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    /// Left-most label.
    pub label: &'static str,
    /// What it is to people, in a few words.
    pub about: &'static str,
    /// Category of its identity in disco (XEP-0030 3.1).
    pub category: &'static str,
    /// Type of its identity in disco.
    pub type_: &'static str,
    /// People of other domains use it: others find it by records of its own, and it is named in the certificate.
    pub federated: bool,
}

/// One payload namespace and who gets an answer.
#[derive(Debug)]
pub struct IqDoor {
    /// Namespace of the payload.
    pub ns: &'static str,
    /// Element name of the payload.
    pub name: &'static str,
    /// Request types that mean something.
    pub types: IqTypes,
    /// Answered when sent to the domain.
    pub at_server: bool,
    /// Who is answered on behalf of an account.
    pub at_account: Audience,
    /// Only a session is answered, never an address without a resource: what is asked makes log-ins, is about passwords, or is of
    /// the session itself. So no component asks it in an account's name (XEP-0356 5), whatever it has been granted.
    pub of_sessions: bool,
}

/// Request types a payload has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IqTypes {
    /// `get` only.
    Get,
    /// `set` only.
    Set,
    /// Both.
    Both,
}

/// Who is answered on behalf of an account. Whoever falls short gets what a stranger gets for an account that does not
/// exist (ROUTE-10, C-15), a roster contact `<forbidden/>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Nobody: not something an account answers.
    Nobody,
    /// Everyone; the module itself sees to it that existing and missing accounts look the same.
    Anyone,
    /// Whoever the account's owner put into the roster: they know that it exists.
    Contacts,
    /// Whoever may see the account's presence.
    Entitled,
}

/// Hook points, as a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hooks(u16);

impl Hooks {
    /// None.
    pub const NONE: Self = Self(0);
    /// [`crate::Module::presence_outbound`]
    pub const PRESENCE_OUTBOUND: Self = Self(1);
    /// [`crate::Module::presence_inbound`]
    pub const PRESENCE_INBOUND: Self = Self(1 << 1);
    /// [`crate::Module::session_available`]
    pub const SESSION_AVAILABLE: Self = Self(1 << 2);
    /// [`crate::Module::session_gone`]
    pub const SESSION_GONE: Self = Self(1 << 3);
    /// [`crate::Module::message_undeliverable`]
    pub const MESSAGE_UNDELIVERABLE: Self = Self(1 << 4);
    /// [`crate::Module::account_removed`]
    pub const ACCOUNT_REMOVED: Self = Self(1 << 5);
    /// Strangers may be kept away (wherever the hooks ask).
    pub const SCREENING: Self = Self(1 << 6);
    /// [`crate::Module::message_passing`] and [`crate::Module::message_taken`]
    pub const MESSAGE_PASSAGE: Self = Self(1 << 7);
    /// [`crate::Module::iq_answered`]
    pub const IQ_ANSWERED: Self = Self(1 << 8);
    /// [`crate::Module::disco_items`] and [`crate::Module::disco_node`]
    pub const DISCO: Self = Self(1 << 9);
    /// Stanzas between an account and whom it has blocked go no further
    /// ([`crate::hooks::answer_stopped`] and wherever the hooks ask).
    pub const BLOCKING: Self = Self(1 << 10);
    /// Presence is shown with the hash of the account's picture ([`crate::hooks::presence_outbound`]).
    pub const AVATARS: Self = Self(1 << 11);
    /// Bookmarks in their old form are another view of the new one (wherever the nodes of accounts are asked for).
    pub const BOOKMARKS: Self = Self(1 << 12);
    /// vCards are another view of nodes, likewise.
    pub const VCARDS: Self = Self(1 << 13);
    /// [`crate::Module::server_message`]
    pub const SERVER_MESSAGE: Self = Self(1 << 14);
    /// [`crate::Module::message_passed`]
    pub const MESSAGE_PASSED: Self = Self(1 << 15);

    /// Each of them, in the order of their bits.
    const EACH: [Self; Self::COUNT] = [
        Self::PRESENCE_OUTBOUND,
        Self::PRESENCE_INBOUND,
        Self::SESSION_AVAILABLE,
        Self::SESSION_GONE,
        Self::MESSAGE_UNDELIVERABLE,
        Self::ACCOUNT_REMOVED,
        Self::SCREENING,
        Self::MESSAGE_PASSAGE,
        Self::IQ_ANSWERED,
        Self::DISCO,
        Self::BLOCKING,
        Self::AVATARS,
        Self::BOOKMARKS,
        Self::VCARDS,
        Self::SERVER_MESSAGE,
        Self::MESSAGE_PASSED,
    ];

    /// How many there are.
    pub(crate) const COUNT: usize = 16;

    /// One of them, by its [`Hooks::index`].
    pub(crate) const fn nth(index: usize) -> Self {
        Self(1 << index)
    }

    /// The place of this one hook among all.
    pub(crate) const fn index(self) -> usize {
        self.0.trailing_zeros() as usize
    }

    /// Both sets.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are in it.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// Two hooks with one bit would be one hook.
const _: () = {
    let mut i = 0;
    while i < Hooks::COUNT {
        assert!(Hooks::EACH[i].index() == i && Hooks::EACH[i].0 == 1 << i);
        i += 1;
    }
};
