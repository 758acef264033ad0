//! What a domain's owner lets one of its components do beyond answering for its own name (XEP-0355, XEP-0356), as modules see it.
//!
//! A grant is of one domain and one component, and reaches that domain's accounts alone: who speaks is the component by its very
//! name, never an address below it, and never whoever else has got that name. Refuses: everything that is not named here.

use xmpp::jid::Jid;
use xmpp::stanza::StanzaType;

use crate::context::{Context, Hosted};

/// Requests of one namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// None.
    #[default]
    None,
    /// `get`.
    Get,
    /// `set`.
    Set,
    /// Both.
    Both,
}

impl Access {
    /// The word of XEP-0356 3.1.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Get => "get",
            Self::Set => "set",
            Self::Both => "both",
        }
    }

    /// Whether requests of this type are granted.
    pub fn covers(self, type_: StanzaType) -> bool {
        match type_ {
            StanzaType::Get => matches!(self, Self::Get | Self::Both),
            StanzaType::Set => matches!(self, Self::Set | Self::Both),
            _ => false,
        }
    }
}

/// Whose presence a component is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Presences {
    /// Nobody's.
    #[default]
    None,
    /// The accounts' own.
    ManagedEntity,
    /// And that of their contacts.
    Roster,
}

impl Presences {
    /// The word of XEP-0356 6.1.
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ManagedEntity => "managed_entity",
            Self::Roster => "roster",
        }
    }
}

/// A namespace that a component answers in the domain's place (XEP-0355 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegated {
    /// Of the request's payload.
    pub namespace: String,
    /// Attributes that the payload must have; empty: all of the namespace.
    pub attributes: Vec<String>,
}

/// What one component may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// Label of its name before the domain's.
    pub label: String,
    /// Rosters of all accounts.
    pub roster: Access,
    /// It is told of changes of rosters that it may read.
    pub roster_push: bool,
    /// Messages in the name of accounts and of the domain.
    pub messages: bool,
    /// Presence that it is told.
    pub presence: Presences,
    /// Requests in the name of accounts, by namespace.
    pub iq: Vec<(String, Access)>,
    /// What it answers for the domain.
    pub delegated: Vec<Delegated>,
}

impl Grants {
    /// Whether changes of rosters are pushed to it (XEP-0356 3.1).
    pub(crate) fn hears_rosters(&self) -> bool {
        self.roster_push && self.roster.covers(StanzaType::Get)
    }

    /// What is granted for requests of a namespace.
    pub(crate) fn iq_access(&self, namespace: &str) -> Access {
        let found = self.iq.iter().find(|(own, _)| own == namespace);
        found.map_or(Access::None, |(_, access)| *access)
    }
}

impl Hosted {
    /// The component of these grants.
    pub(crate) fn component(&self, grants: &Grants) -> Option<Jid> {
        Jid::parse(&format!("{}.{}", grants.label, self.domain)).ok()
    }
}

impl Context<'_> {
    /// What this sender is granted; `None`: nothing, or it is none of the domain's components. A name is not enough: where somebody
    /// hosts it as a domain, what the component was granted is not theirs.
    pub(crate) fn grants_of(&self, from: &Jid) -> Option<&Grants> {
        let all = &self.hosted.settings.grants;
        if all.is_empty() || from.local().is_some() || from.resource().is_some() {
            return None;
        }
        let (label, domain) = from.domain().split_once('.')?;
        let found = all.iter().find(|grants| grants.label == label);
        let own = domain == self.hosted.domain.as_str();
        found.filter(|_| own && self.switchboard.is_component(from.domain()))
    }

    /// The component of these grants, as long as the name is one.
    pub(crate) fn trusted(&self, grants: &Grants) -> Option<Jid> {
        let component = self.hosted.component(grants)?;
        let still = self.switchboard.is_component(component.domain());
        still.then_some(component)
    }

    /// Components that are told such presence, for which `wanted` says how much that is.
    pub(crate) fn told_presence(&self, wanted: Presences) -> impl Iterator<Item = Jid> + '_ {
        let grants = self.hosted.settings.grants.iter();
        grants
            .filter(move |grants| grants.presence >= wanted)
            .filter_map(|grants| self.trusted(grants))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_covers_what_it_names() {
        for (access, get, set) in [
            (Access::None, false, false),
            (Access::Get, true, false),
            (Access::Set, false, true),
            (Access::Both, true, true),
        ] {
            assert_eq!(access.covers(StanzaType::Get), get, "{access:?}");
            assert_eq!(access.covers(StanzaType::Set), set, "{access:?}");
            assert!(!access.covers(StanzaType::Result), "{access:?}");
        }
    }
}
