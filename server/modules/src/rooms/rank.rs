//! What somebody is in a room: the affiliation, which lasts, and the role, which ends with the visit (XEP-0045 5).

use serde::{Deserialize, Serialize};

use super::config::Config;

/// XEP-0045 5.2; more is more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Affiliation {
    Outcast,
    #[default]
    None,
    Member,
    Admin,
    Owner,
}

impl Affiliation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Outcast => "outcast",
            Self::None => "none",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Outcast,
            Self::None,
            Self::Member,
            Self::Admin,
            Self::Owner,
        ];
        all.into_iter().find(|one| one.name() == name)
    }

    /// The role on entering (XEP-0045 5.1.2).
    pub(super) fn role(self, config: &Config) -> Role {
        match self {
            Self::Outcast => Role::None,
            Self::None if config.moderated => Role::Visitor,
            Self::None | Self::Member => Role::Participant,
            Self::Admin | Self::Owner => Role::Moderator,
        }
    }
}

/// XEP-0045 5.1; more is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    None,
    Visitor,
    Participant,
    Moderator,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Visitor => "visitor",
            Self::Participant => "participant",
            Self::Moderator => "moderator",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::None,
            Self::Visitor,
            Self::Participant,
            Self::Moderator,
        ];
        all.into_iter().find(|one| one.name() == name)
    }
}

/// Some of the roles, as an owner chooses them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Roles(Vec<Role>);

impl Roles {
    /// What may be chosen, with a word for people.
    pub(super) const OFFERED: [(Role, &'static str); 3] = [
        (Role::Moderator, "Moderators"),
        (Role::Participant, "Anyone with voice"),
        (Role::Visitor, "Visitors"),
    ];

    /// Everybody.
    pub(super) fn all() -> Self {
        Self(Self::OFFERED.iter().map(|(role, _)| *role).collect())
    }

    /// Moderators alone.
    pub(super) fn moderators() -> Self {
        Self(vec![Role::Moderator])
    }

    /// By their names; `None`: one is none that can be chosen.
    pub(super) fn of(names: &[String]) -> Option<Self> {
        let mut chosen = Vec::new();
        for name in names {
            chosen.push(Role::from_name(name).filter(|role| *role != Role::None)?);
        }
        // In one order, so that the same choice is the same value.
        let offered = Self::OFFERED.iter().map(|(role, _)| *role);
        Some(Self(offered.filter(|role| chosen.contains(role)).collect()))
    }

    pub(super) fn has(&self, role: Role) -> bool {
        self.0.contains(&role)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|role| role.name())
    }
}
