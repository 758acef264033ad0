//! What a domain's own relays for calls know too (XEP-0215): with it, credentials are made for them.
//!
//! Whoever may change the domain sets it, and nobody reads it again. Refuses: secrets that could be guessed, and such as no
//! relay could be configured with.

use crate::error::{ControlError, Result};
use crate::permission::Operation;
use crate::secret::Secret;
use crate::{Actor, Control};

/// Shortest and longest secret, in bytes.
const SECRET: (usize, usize) = (16, 200);

impl Control {
    /// Keeps the secret of the relays that the domain's settings name; `None` forgets it.
    pub async fn external_secret_set(
        &self,
        actor: &Actor,
        domain: &str,
        secret: Option<Secret>,
    ) -> Result<()> {
        let row = self.domain_row(actor, Operation::DomainSet, domain).await?;
        let said = match secret {
            Some(_) => "secret of its relays set",
            None => "secret of its relays forgotten",
        };
        let recorded = self.recorded_of(actor, &row, Operation::DomainSet, said);
        let rows = recorded.domain(row.id, &row.name);
        match secret {
            Some(secret) => {
                good(&secret)?;
                rows.external_secret_put(secret.expose().as_bytes()).await?;
            }
            None => {
                rows.external_secret_remove().await?;
            }
        }
        Ok(())
    }
}

fn good(secret: &Secret) -> Result<()> {
    let bytes = secret.expose().as_bytes();
    // One word of one line: so are they written in the files of relays.
    if (SECRET.0..=SECRET.1).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic) {
        return Ok(());
    }
    Err(ControlError::invalid(
        "secret",
        "",
        format!(
            "a secret has {} to {} letters, digits and signs, without spaces",
            SECRET.0, SECRET.1
        ),
        "Use what the relay has (static-auth-secret of coturn), and make that long.",
    ))
}
