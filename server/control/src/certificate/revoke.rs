//! Certificates that must not be believed any longer: revoked at the authority that issued them (ACME-14, RFC 8555 7.6), and
//! replaced by one with a fresh key.

use serde::Serialize;
use store::DomainRow;
use xmpp::timestamp::Timestamp;

use super::{ORDERED, read};
use crate::domain::Choices;
use crate::error::{ControlError, Result};
use crate::outside::RevocationReason;
use crate::permission::Operation;
use crate::tenant::to_json;
use crate::{Actor, Control};

/// What was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Revoked {
    /// The domain.
    pub domain: String,
    /// SHA-256 of each certificate, hex with colons.
    pub fingerprints: Vec<String>,
    /// Certificates that their authority did not revoke, with its words.
    pub refused: Vec<String>,
}

impl Control {
    /// Revokes every certificate of a domain that was ordered by us and has not ended. With a compromised key a new certificate
    /// with a fresh key is ordered at once; the old one is shown until it is there.
    pub async fn certificate_revoke(
        &self,
        actor: &Actor,
        domain: &str,
        reason: RevocationReason,
    ) -> Result<Revoked> {
        let row = self
            .domain_row(actor, Operation::CertificateRevoke, domain)
            .await?;
        let now = self.now();
        let rows = self.domain_store(&row).certificate_list().await?;
        let mut revoked = Revoked {
            domain: row.name.to_string(),
            fingerprints: Vec::new(),
            refused: Vec::new(),
        };
        // Once it is revoked it is revoked, whatever happens here.
        self.announced(actor, &row, Operation::CertificateRevoke)
            .await?;
        let mut keys = Vec::new();
        for held in rows
            .iter()
            .filter(|held| held.source == ORDERED && held.not_after > now)
        {
            let Some(seen) = read(&held.chain_pem, &row.name) else {
                continue;
            };
            if !keys.contains(&seen.key_fingerprint) {
                keys.push(seen.key_fingerprint.clone());
            }
            match self
                .parts
                .issuer
                .revoke(&held.authority, &held.chain_pem, reason)
                .await
            {
                Ok(()) => revoked.fingerprints.push(seen.fingerprint),
                Err(error) => {
                    tracing::warn!(domain = %row.name, %error, "a certificate could not be revoked");
                    revoked.refused.push(error.to_string());
                }
            }
        }
        if keys.is_empty() {
            return Err(ControlError::State {
                name: row.name.to_string(),
                state: "without a certificate of ours".into(),
                problem: "there is nothing to revoke".into(),
                remedy: "An uploaded certificate is revoked by whoever issued it.".into(),
            });
        }
        // Whatever its authority says, a key that others have is not used again.
        self.give_up_keys(&row, keys, now).await?;
        self.soon(&row).await?;
        Ok(revoked)
    }

    /// No certificate is asked for with these keys any more, and a new one is ordered now.
    async fn give_up_keys(&self, row: &DomainRow, keys: Vec<String>, now: Timestamp) -> Result<()> {
        self.domain_edit(row.id, |fresh| {
            let mut choices = Choices::of(fresh);
            for key in &keys {
                if !choices.given_up_keys.contains(key) {
                    choices.given_up_keys.push(key.clone());
                }
            }
            choices.order_wanted = now.0;
            choices.key_wanted = now.0;
            fresh.settings = to_json(&choices);
        })
        .await?;
        Ok(())
    }
}
