//! Links that somebody shows: invitations, exports of one's own. What they lead to is said once the link was found good, and of one
//! that is not good nobody learns why.

use store::{DomainId, DomainRow};

use crate::Control;
use crate::error::{ControlError, Result};
use crate::operator::{Origin, hash_of};
use crate::rate::{self, Rule};

/// Bytes of a token that we draw: 160 bits, which nobody guesses (XEP-0379 4.1 asks for 80).
pub(crate) const TOKEN: usize = 20;
/// Longest token looked at, in bytes.
const LONGEST_TOKEN: usize = 100;

impl Control {
    /// Counts an attempt of an address; IPv6 by /64.
    ///
    /// # Errors
    /// [`ControlError::TooMany`]
    pub(crate) fn gate_from(&self, rule: Rule, origin: &Origin) -> Result<()> {
        self.gate
            .attempt(rule, &rate::network_of(origin), self.now())
    }

    /// The hash by which a token that somebody shows is looked up; `what` is the link, in words.
    ///
    /// # Errors
    /// [`ControlError::TooMany`] when the address has shown too many, [`ControlError::NotSignedIn`] for what is no token.
    pub(crate) fn token_shown(
        &self,
        rule: Rule,
        what: &'static str,
        token: &str,
        origin: &Origin,
    ) -> Result<Vec<u8>> {
        self.gate_from(rule, origin)?;
        match token.len() {
            0..=LONGEST_TOKEN => Ok(hash_of(token)),
            _ => Err(ControlError::NotSignedIn { what }),
        }
    }

    /// The domain of a link, if it is the one (canonical, U-labels) at whose website the link is shown.
    pub(crate) async fn domain_shown(
        &self,
        id: DomainId,
        website: Option<&str>,
    ) -> Result<Option<DomainRow>> {
        let row = self.store().domain_get(id).await?;
        Ok(row.filter(|row| website.is_none_or(|meant| meant == row.name.as_str())))
    }
}
