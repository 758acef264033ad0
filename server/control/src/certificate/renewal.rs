//! When a certificate is renewed: when its authority says (ARI, RFC 9773), else by its lifetime.
//!
//! The window is asked for and kept with the certificate, with the authority's word on when to ask again. Within it every
//! domain has a moment of its own. A certificate is never left until its authority's window if that lies too late.

use serde::{Deserialize, Serialize};
use store::{CertificateRow, DomainRow};
use xmpp::timestamp::Timestamp;

use super::order::spread;
use super::plan::renew_at;
use super::{ORDERED, read};
use crate::error::Result;
use crate::findings::CertificateFacts;
use crate::time::plus;
use crate::{Control, rollover};

/// Never asked more often, in seconds (RFC 9773 4.3.3: a minute is sensible) …
const OFTEN: u32 = 60;
/// … nor more seldom.
const SELDOM: u32 = 86_400;
/// Where nothing was said, or nobody answered: six hours (RFC 9773 4.3.3).
const USUAL: u32 = 6 * 3600;

/// The authority's word as it is kept: its window (µs), and the page that explains it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Window {
    pub start: i64,
    pub end: i64,
    pub explanation: Option<String>,
}

/// What is kept with a certificate about its renewal (JSON).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Renewal {
    /// The authority's word, if it gave one.
    pub window: Option<Window>,
    /// Asked again at (µs).
    pub ask_at: i64,
}

impl Renewal {
    /// As it is kept.
    pub(super) fn of(held: &CertificateRow) -> Self {
        held.renewal
            .as_deref()
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    }

    /// When the certificate is renewed; `spread` is a number of the domain's own.
    pub(super) fn at(&self, facts: &CertificateFacts, spread: u64) -> Timestamp {
        let (not_before, not_after) = (facts.not_before, facts.not_after);
        let Some(window) = &self.window else {
            return renew_at(not_before, not_after, spread);
        };
        let length = (window.end - window.start).max(0);
        let own = i128::from(length) * i128::from(spread % 65_536) / 65_536;
        let own = window.start + i64::try_from(own).unwrap_or(0);
        // An eighth of the lifetime is kept for a line, and for failures.
        let latest = not_after.0 - (not_after.0 - not_before.0) / 8;
        Timestamp(own.min(latest))
    }
}

/// How often to ask, within reason.
fn ask_again(seconds: u32) -> u32 {
    seconds.clamp(OFTEN, SELDOM)
}

impl Control {
    /// Asks the authority about the renewal of the certificate in use, when it is time to ask.
    pub(crate) async fn ask_for_renewal(&self, row: &DomainRow) -> Result<()> {
        let kept = rollover::held(self, row).await?;
        let Some((_, held)) = kept.latest() else {
            return Ok(());
        };
        let now = self.now();
        let mut renewal = Renewal::of(held);
        if held.source != ORDERED || renewal.ask_at > now.0 {
            return Ok(());
        }
        let answer = self
            .parts
            .issuer
            .renewal_info(&held.authority, &held.chain_pem)
            .await;
        let again = match answer {
            Ok(Some(said)) if said.start < said.end => {
                let again = ask_again(said.ask_again_seconds);
                let window = Window {
                    start: said.start.0,
                    end: said.end.0,
                    explanation: said.explanation,
                };
                if renewal.window.as_ref() != Some(&window) {
                    tracing::info!(domain = %row.name, from = %said.start.to_xep0082(), explanation = window.explanation, "the certificate authority says when to renew");
                }
                renewal.window = Some(window);
                again
            }
            // A window that ends before it starts is none (RFC 9773 4.2).
            Ok(_) => {
                renewal.window = None;
                USUAL
            }
            // What it said before still stands.
            Err(error) => {
                tracing::debug!(domain = %row.name, %error, "the renewal could not be asked for");
                USUAL
            }
        };
        renewal.ask_at = plus(now, again).0;
        let text = crate::tenant::to_json(&renewal);
        self.domain_store(row)
            .certificate_set_renewal(held.id, &text)
            .await?;
        Ok(())
    }

    /// The certificate in use as the checks need it; with it, whether it was ordered by us and whether its renewal is due.
    pub(crate) async fn current_facts(
        &self,
        row: &DomainRow,
    ) -> Result<Option<(CertificateFacts, bool)>> {
        Ok(self.current(row).await?.and_then(|held| {
            let facts = read(&held.chain_pem, &row.name)?.facts;
            let due = Renewal::of(&held).at(&facts, spread(row)) <= self.now();
            Some((facts, due))
        }))
    }

    /// Facts of the newest certificate, made ahead or in use, and whether its renewal is due.
    pub(super) fn latest_facts(
        &self,
        row: &DomainRow,
        kept: &rollover::Kept,
    ) -> Option<(CertificateFacts, bool)> {
        let (_, held) = kept.latest()?;
        let facts = read(&held.chain_pem, &row.name)?.facts;
        let due = Renewal::of(held).at(&facts, spread(row)) <= self.now();
        Some((facts, due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY;

    #[test]
    fn rfc_9773_the_window_decides_and_a_moment_of_ones_own_within_it() {
        let facts = CertificateFacts {
            covers_domain: true,
            names: Vec::new(),
            not_before: Timestamp(0),
            not_after: Timestamp(80 * DAY),
        };
        let with = |start: i64, end: i64| Renewal {
            window: Some(Window {
                start: start * DAY,
                end: end * DAY,
                explanation: None,
            }),
            ask_at: 0,
        };
        let days = |renewal: &Renewal, spread| renewal.at(&facts, spread).0 as f64 / DAY as f64;
        assert!((53.0..53.4).contains(&days(&Renewal::default(), 0)));
        assert_eq!(days(&with(40, 44), 0), 40.0);
        assert_eq!(days(&with(40, 44), 32_768), 42.0);
        assert!(days(&with(40, 44), 65_535) < 44.0);
        // In the past: at once. After the end, or nearly: not left so late.
        assert!(days(&with(-3, -1), 9) < 0.0);
        assert_eq!(days(&with(85, 90), 9), 70.0);
        assert_eq!(
            [0, 59, 61, 21_600, 1_000_000].map(ask_again),
            [60, 60, 61, 21_600, 86_400]
        );
    }
}
