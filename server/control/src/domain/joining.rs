//! What an owner chooses about how people get accounts of a domain, beside being given them: by invitation (XEP-0401,
//! XEP-0445), or by themselves (XEP-0077).
//!
//! Refuses: nothing that could be done without an owner's word. Who may come by themselves is nobody until the owner says so
//! (EXT-33).

use serde::{Deserialize, Serialize};

use crate::error::{ControlError, Result};

/// Who gets an account without being given one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Registration {
    /// Nobody.
    Closed,
    /// Whoever is invited.
    #[default]
    Invitation,
}

impl Registration {
    /// All of them, the strictest first.
    pub const ALL: [Self; 2] = [Self::Closed, Self::Invitation];

    /// The word of the store, JSON and CLI.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Invitation => "invitation",
        }
    }

    /// The choice of this word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|choice| choice.as_str() == word)
    }
}

/// Choices in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JoinChoices {
    /// Who gets an account without being given one.
    pub registration: Registration,
    /// Whether accounts may invite others, and not only the domain's admins.
    pub user_invites: bool,
}

/// Changes of them; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct JoinSet {
    /// `closed`, `invitation`.
    pub registration: Option<String>,
    /// Whether accounts may invite others.
    pub user_invites: Option<bool>,
}

impl JoinSet {
    /// Checks every value, without a look at the domain.
    ///
    /// # Errors
    /// [`ControlError::Invalid`]
    pub(super) fn check(&self) -> Result<()> {
        let Some(unknown) = self
            .registration
            .as_deref()
            .filter(|word| Registration::parse(word).is_none())
        else {
            return Ok(());
        };
        Err(ControlError::invalid(
            "registration",
            unknown,
            "there is no such way to an account",
            format!("Use {}.", Registration::ALL.map(Registration::as_str).join(", ")),
        ))
    }

    /// Writes what is said into the choices; the rest stays as it is there.
    pub(super) fn apply(&self, now: &mut JoinChoices) {
        let registration = self.registration.as_deref().and_then(Registration::parse);
        now.registration = registration.unwrap_or(now.registration);
        now.user_invites = self.user_invites.unwrap_or(now.user_invites);
    }

    /// The changes in words, for the log.
    pub(super) fn said(&self) -> Vec<String> {
        let registration = self.registration.iter();
        let mut said: Vec<_> = registration
            .map(|word| format!("registration {word}"))
            .collect();
        said.extend(self.user_invites.map(|may| format!("user_invites {may}")));
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_33_nobody_comes_uninvited_unless_the_owner_says_so() {
        assert_eq!(JoinChoices::default().registration, Registration::Invitation);
        assert!(!JoinChoices::default().user_invites);
        let set = |word: &str| JoinSet {
            registration: Some(word.into()),
            ..JoinSet::default()
        };
        assert!(set("ajar").check().is_err());
        let mut now = JoinChoices::default();
        set("closed").apply(&mut now);
        assert_eq!(now.registration, Registration::Closed);
        JoinSet::default().apply(&mut now);
        assert_eq!(now.registration, Registration::Closed);
    }
}
