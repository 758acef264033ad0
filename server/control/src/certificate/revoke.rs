//! Certificates that must not be believed any longer: revoked at the authority that issued them (ACME-14, RFC 8555 7.6), and
//! replaced by one with a fresh key; and certificates of domains that have left, which nobody is to show any longer (ACME-15).

use serde::Serialize;
use store::DomainRow;
use xmpp::timestamp::Timestamp;

use super::plan::pause_seconds;
use super::{ORDERED, read};
use crate::domain::Choices;
use crate::error::{ControlError, Result};
use crate::outside::{IssueError, RevocationReason};
use crate::permission::Operation;
use crate::tenant::to_json;
use crate::time::plus;
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

/// Certificates of domains that have left that are revoked in one go.
const AT_ONCE: u32 = 10;
/// First pause after an authority could not be reached, in seconds; doubles up to a day.
const PAUSE_SECONDS: u32 = 300;

impl Control {
    /// Has what was ordered for domains that have left revoked: tried until the authority has answered or it has ended by itself.
    /// Returns how much was due.
    pub(crate) async fn revoke_departed(&self) -> Result<usize> {
        let now = self.now();
        let store = self.store();
        let due = store
            .revocation_claim(now, plus(now, PAUSE_SECONDS), AT_ONCE)
            .await?;
        for row in &due {
            let reason = RevocationReason::CessationOfOperation;
            let asked = self
                .parts
                .issuer
                .revoke(&row.authority, &row.chain_pem, reason);
            match asked.await {
                Ok(()) => {
                    tracing::info!(
                        domain = row.domain,
                        "a certificate was revoked: its domain has left"
                    );
                    store.revocation_done(row.id).await?;
                }
                Err(error @ (IssueError::Unavailable(_) | IssueError::RateLimited { .. })) => {
                    let failures = u32::try_from(row.failures).unwrap_or(u32::MAX);
                    let mut pause = pause_seconds(PAUSE_SECONDS, failures.saturating_add(1), 0);
                    if let IssueError::RateLimited { wait_seconds, .. } = &error {
                        pause = pause.max(u32::try_from(*wait_seconds).unwrap_or(86_400));
                    }
                    tracing::info!(domain = row.domain, %error, "a certificate is revoked later");
                    store.revocation_failed(row.id, plus(now, pause)).await?;
                }
                Err(error) => {
                    tracing::warn!(domain = row.domain, %error, "a certificate of a domain that has left is not revoked");
                    store.revocation_done(row.id).await?;
                }
            }
        }
        Ok(due.len())
    }

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
