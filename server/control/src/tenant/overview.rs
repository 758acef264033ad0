//! The platform in numbers.

use serde::Serialize;
use xmpp::timestamp::Timestamp;

use crate::domain::State;
use crate::error::Result;
use crate::permission::Operation;
use crate::tenant::queues::Queues;
use crate::time::DAY;
use crate::{Actor, Control};

/// The platform in numbers, for its operators' first page.
#[derive(Debug, Clone, Serialize)]
pub struct Overview {
    /// Tenants.
    pub tenants: u64,
    /// Domains by state, in the order of the states.
    pub domains: Vec<(&'static str, u64)>,
    /// Accounts.
    pub accounts: u64,
    /// Findings by code, most frequent first: what fails for many at once.
    pub findings: Vec<(String, u64)>,
    /// Certificates in use by the days that they have left: fewer than so many, and how many of them. The last one has no end.
    pub certificates: Vec<(Option<u32>, u64)>,
    /// Names of the platform's zone that nobody owns and that are ours to take away, as the worker last found them; `None`: it
    /// has not looked, or the zone cannot be read whole.
    pub zone_orphans: Option<u64>,
    /// What waits, and the limits of that.
    pub queues: Queues,
}

/// Bounds by which certificates are counted, in days left.
const DAYS_LEFT: [u32; 5] = [1, 7, 14, 30, 60];

/// Domains named for one failing check.
const FAILING: u32 = 100;

impl Control {
    /// The platform in numbers.
    pub async fn overview(&self, actor: &Actor) -> Result<Overview> {
        actor.check(Operation::PlatformOverview, None, "platform", "")?;
        let counts = self.store().domain_states().await?;
        let count = |state: State| {
            let mut found = counts.iter().filter(|(word, _)| word == state.as_str());
            found.next().map_or(0, |(_, count)| *count)
        };
        let (_, tenants) = self.store().tenant_page("", 0, 0).await?;
        let mut certificates = Vec::new();
        let (now, mut from) = (self.now(), Timestamp(0));
        for bound in DAYS_LEFT.into_iter().map(Some).chain([None]) {
            let to = bound.map_or(Timestamp(i64::MAX), |days| {
                Timestamp(now.0 + i64::from(days) * DAY)
            });
            certificates.push((bound, self.store().certificates_ending(from, to).await?));
            from = to;
        }
        Ok(Overview {
            tenants,
            domains: State::ALL
                .map(|state| (state.as_str(), count(state)))
                .into(),
            accounts: self.store().account_total().await?,
            findings: self.store().finding_codes().await?,
            certificates,
            zone_orphans: self.zone_orphans(),
            queues: self.queues().await?,
        })
    }

    /// Domains for which a check fails (warnings and worse), by its code; the first ones by name.
    pub async fn failing_domains(&self, actor: &Actor, code: &str) -> Result<Vec<String>> {
        actor.check(Operation::PlatformOverview, None, "platform", "")?;
        Ok(self.store().finding_domains(code, FAILING).await?)
    }
}
