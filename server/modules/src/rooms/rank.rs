//! What somebody is in a room: the affiliation, which lasts, and the role, which ends with the visit (XEP-0045 5).

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
