//! Orders: when, for which names, and what a failure teaches.

use std::time::Duration;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use store::{DomainRow, OrderRow};
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::{ORDERED, inspect};
use crate::domain::{Choices, Memory, OrderMemory, state_of};
use crate::error::{ControlError, Result};
use crate::event::EventKind;
use crate::findings::{caa_allows, covers, standing};
use crate::observe::{Observation, Rtype};
use crate::outside::{
    ChallengeSolver, IssueError, IssueRequest, IssuerInfo, KeyChoice, PendingOrder, ZoneChange,
    ZoneValue,
};
use crate::permission::Operation;
use crate::records::{DesiredRecord, Mode, Purpose, Standing};
use crate::{Actor, Control, rollover};

/// Longest time an order may take before it is given up, and resumed later.
const ORDER_SECONDS: u64 = 180;
/// When renewal starts: at two thirds of the lifetime. `spread` (any number, kept per domain) moves it up to a twentieth of
/// the lifetime earlier, so that domains added together do not all order at once.
pub fn renew_at(not_before: Timestamp, not_after: Timestamp, spread: u64) -> Timestamp {
    let lifetime = (not_after.0 - not_before.0).max(0);
    let early = lifetime / 20 * i64::try_from(spread % 1000).unwrap_or(0) / 1000;
    Timestamp(not_before.0 + lifetime / 3 * 2 - early)
}

/// Pause after the `failures`-th failure in a row: the first pause doubles up to a day. With pauses of 15 minutes the fifth
/// attempt comes after nearly four hours; a shorter first pause (sandbox) is for a CA of one's own.
pub fn pause_seconds(first: u32, failures: u32) -> u32 {
    first
        .saturating_mul(
            1_u32
                .checked_shl(failures.saturating_sub(1))
                .unwrap_or(u32::MAX),
        )
        .min(86_400)
}

impl Control {
    /// Orders a certificate if one is due and nothing is in the way; returns what to keep of it. Called by the worker, which
    /// has just looked: CNAME and CAA are known, so nothing is spent on an order that must fail (ACME-09).
    pub(crate) async fn order(
        &self,
        row: &DomainRow,
        desired: &[DesiredRecord],
        seen: &Observation,
        memory: &mut OrderMemory,
    ) -> Result<bool> {
        let now = self.now();
        let choices = Choices::of(row);
        if !Mode::parse(&row.mode).is_some_and(Mode::orders) || !state_of(row).is_served() {
            return Ok(false);
        }
        let asked = choices.order_wanted > memory.tried;
        if asked {
            memory.left_out.clear();
        } else if now.0 < memory.not_before {
            return Ok(false);
        }
        let names = order_names(
            row,
            desired,
            seen,
            &self.parts.issuer.describe(),
            &memory.left_out,
        );
        if names.is_empty() {
            return Ok(false);
        }
        let store = self.domain_store(row);
        let kept = rollover::held(self, row).await?;
        let another_key = kept.needs_another_key(&choices);
        if !asked
            && !another_key
            && let Some((facts, due)) = self.latest_facts(row, &kept)
        {
            let lacking = names.iter().any(|name| {
                !facts
                    .names
                    .iter()
                    .any(|held| covers(held, &name.to_ascii()))
            });
            if !due && facts.covers_domain && !lacking {
                return Ok(false);
            }
        }
        // A renewal keeps the key (ACME-12); an uploaded one's key is the owner's, and stays theirs alone.
        let key = kept.key_to_keep(&choices, ORDERED, now, &store).await?;
        let key = key.map_or(KeyChoice::New, KeyChoice::Keep);
        let resume = store.order_get().await?.map(|order| PendingOrder {
            url: order.url,
            key_pem: order.key_pem.as_str().into(),
            csr_der: order.csr,
        });
        memory.tried = now.0;
        let facts = self.facts_of(row, &Memory::of(row));
        let desk = Desk {
            control: self,
            row,
            challenge: facts.challenge(self.settings()),
            names: names.clone(),
        };
        let request = IssueRequest {
            domain_id: row.id.0,
            domain: row.name.clone(),
            names: names.clone(),
            key,
            resume,
        };
        let answer = tokio::time::timeout(
            Duration::from_secs(ORDER_SECONDS),
            self.parts.issuer.issue(request, &desk),
        )
        .await;
        let failure = match answer {
            Ok(Ok(issued)) => {
                match inspect(&issued.chain_pem, &issued.key_pem, &row.name, self.now()) {
                    Ok(inspected) => {
                        let ahead = self.is_awaited(row).await?;
                        let recorded = self.recorded_of(
                            &Actor::system("worker"),
                            row,
                            Operation::CertificateOrder,
                            &inspected.fingerprint,
                        );
                        self.install(&recorded, row, &inspected, ORDERED, ahead)
                            .await?;
                        store.order_clear().await?;
                        *memory = OrderMemory {
                            tried: now.0,
                            left_out: std::mem::take(&mut memory.left_out),
                            ..OrderMemory::default()
                        };
                        return Ok(true);
                    }
                    Err(error) => {
                        IssueError::Refused(format!("what it issued cannot be used: {error}"))
                    }
                }
            }
            Ok(Err(error)) => error,
            // The order stays stored: the next attempt resumes it.
            Err(_) => IssueError::Unavailable("no certificate in time".into()),
        };
        tracing::warn!(domain = %row.name, error = %failure, "no certificate");
        if !matches!(failure, IssueError::Unavailable(_)) {
            store.order_clear().await?;
        }
        self.order_failed(row, &failure, memory);
        self.tell(row, EventKind::Certificate);
        Ok(false)
    }

    /// Keeps what a failed order taught: when to try again, and which optional names to leave out.
    fn order_failed(&self, row: &DomainRow, failure: &IssueError, memory: &mut OrderMemory) {
        let pace = self.settings().pace;
        memory.failures = memory.failures.saturating_add(1);
        let mut pause = pause_seconds(pace.order_pause_seconds, memory.failures);
        match failure {
            IssueError::Names(refused) => {
                let optional: Vec<_> = refused
                    .iter()
                    .filter(|refused| refused.name != row.name)
                    .map(|refused| refused.name.to_string())
                    .collect();
                // One failing service never blocks the domain: leave it out, and try again soon.
                if optional.len() == refused.len()
                    && optional.iter().any(|name| !memory.left_out.contains(name))
                {
                    pause = pace.order_pause_seconds.min(60);
                }
                for name in optional {
                    if !memory.left_out.contains(&name) {
                        memory.left_out.push(name);
                    }
                }
            }
            IssueError::RateLimited { wait_seconds } => {
                pause = pause.max(u32::try_from(*wait_seconds).unwrap_or(86_400))
            }
            IssueError::Unavailable(_) | IssueError::Challenge(_) | IssueError::Refused(_) => {}
        }
        memory.not_before = crate::time::plus(self.now(), pause).0;
        memory.said = failure.to_string();
    }
}

/// Names to order: the domain and every service whose challenge record is seen and whose CAA allows it; none if the domain
/// itself is not ready.
fn order_names(
    row: &DomainRow,
    desired: &[DesiredRecord],
    seen: &Observation,
    issuer: &IssuerInfo,
    left_out: &[String],
) -> Vec<DomainName> {
    let mut names = Vec::new();
    for record in desired
        .iter()
        .filter(|record| record.purpose == Purpose::Challenge)
    {
        let name = match &record.service {
            None => Ok(row.name.clone()),
            Some(label) => DomainName::parse(&format!("{label}.{}", row.name)),
        };
        let Ok(name) = name else { continue };
        let ready = standing(record, seen) == Standing::Seen
            && !seen
                .set(Rtype::Cname, &record.name)
                .is_some_and(crate::observe::SetView::is_bogus)
            && seen
                .caa
                .get(name.to_ascii().as_ref())
                .is_none_or(|view| view.failed.is_none() && caa_allows(view, issuer))
            && !left_out.iter().any(|out| *out == name.as_str());
        match (&record.service, ready) {
            (None, false) => return Vec::new(),
            (None, true) => names.insert(0, name),
            (Some(_), true) => names.push(name),
            (Some(_), false) => {}
        }
    }
    names
}

/// A number of the domain's own, for spreading renewals.
pub(crate) fn spread(row: &DomainRow) -> u64 {
    let digest = Sha256::digest(row.label.as_bytes());
    u64::from(u16::from_be_bytes([digest[0], digest[1]]))
}

/// Control's side of one order, bound to one domain (ACME-08).
struct Desk<'a> {
    control: &'a Control,
    row: &'a DomainRow,
    challenge: String,
    names: Vec<DomainName>,
}

/// TTL of challenge records.
const CHALLENGE_TTL_SECONDS: u32 = 60;

#[async_trait]
impl ChallengeSolver for Desk<'_> {
    async fn present(&self, name: &DomainName, value: &str) -> std::result::Result<(), IssueError> {
        if !self.names.contains(name) {
            return Err(IssueError::Challenge(format!(
                "{name} is not a name of this order"
            )));
        }
        let value = ZoneValue::Txt(value.to_owned());
        let change = ZoneChange::Add {
            name: self.challenge.clone(),
            ttl_seconds: CHALLENGE_TTL_SECONDS,
            value,
        };
        self.control.parts.zone.apply(&[change]).await.map_err(|error| {
            tracing::warn!(domain = %self.row.name, error = %ControlError::from(error).log_text(), "a challenge could not be published");
            IssueError::Challenge("the platform's name server did not take it".into())
        })
    }

    async fn withdraw(&self, _name: &DomainName, value: &str) {
        let change = ZoneChange::Remove {
            name: self.challenge.clone(),
            value: ZoneValue::Txt(value.to_owned()),
        };
        if let Err(error) = self.control.parts.zone.apply(&[change]).await {
            tracing::warn!(domain = %self.row.name, error = %ControlError::from(error).log_text(), "a challenge is left over");
        }
    }

    async fn remember(&self, order: PendingOrder) -> std::result::Result<(), IssueError> {
        let store = self.control.domain_store(self.row);
        let order = OrderRow {
            url: order.url,
            key_pem: order.key_pem.expose().to_owned().into(),
            csr: order.csr_der,
        };
        store.order_set(&order).await.map_err(|error| {
            tracing::error!(domain = %self.row.name, error = %ControlError::from(error).log_text(), "an order could not be remembered");
            IssueError::Unavailable("the order could not be remembered".into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::DAY;

    #[test]
    fn renewal_at_any_lifetime() {
        for days in [6.7, 45.0, 64.0, 90.0, 365.0] {
            let end = Timestamp((days * DAY as f64) as i64);
            for spread in [0, 999] {
                let at = renew_at(Timestamp(0), end, spread);
                assert!(
                    at.0 * 10 > end.0 * 6 && at.0 * 3 <= end.0 * 2,
                    "{days} {spread}"
                );
            }
        }
    }

    #[test]
    fn failures_back_off_below_five_an_hour() {
        let mut at = 0;
        let mut within_an_hour = 1;
        for failures in 1..20 {
            at += u64::from(pause_seconds(900, failures));
            within_an_hour += u32::from(at < 3600);
        }
        assert!(within_an_hour < 5);
        assert_eq!(pause_seconds(900, 40), 86_400);
    }
}
