//! What an owner may choose for a domain, checked before anything is written.

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use store::DomainRow;
use xmpp::jid::DomainName;

use super::{Choices, StreamSet};
use crate::error::{ControlError, Result};
use crate::records::Mode;
use crate::settings::ServiceName;
use crate::tenant::to_json;

/// Entries of an allow or block list.
const LIST: usize = 1000;
/// Shortest and longest life of a key that may be chosen, in days.
const KEY_DAYS: (u32, u32) = (7, 3650);
/// Words of XEP-0238, the most open first.
const POLICIES: [&str; 4] = ["permissive", "verified", "encrypted", "authenticated"];

/// Changes of a domain's settings; `None` leaves a thing as it is.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DomainSet {
    /// `permissive`, `verified`, `encrypted`, `authenticated` (XEP-0238).
    #[serde(default)]
    pub policy: Option<String>,
    /// How its identity is obtained (words of [`Mode`]).
    #[serde(default)]
    pub mode: Option<String>,
    /// TLSA records beside a mode that holds a certificate.
    #[serde(default)]
    pub dane: Option<bool>,
    /// POSH documents beside it.
    #[serde(default)]
    pub posh: Option<bool>,
    /// A renewal changes the key when that is older than this many days; 0: keys are kept.
    #[serde(default)]
    pub key_days: Option<u32>,
    /// Labels of services that are switched on.
    #[serde(default)]
    pub services: Option<Vec<String>>,
    /// Peers that alone may talk to it; empty: all.
    #[serde(default)]
    pub allow: Option<Vec<String>>,
    /// Peers that may not.
    #[serde(default)]
    pub block: Option<Vec<String>>,
    /// Clients' streams and modules.
    #[serde(flatten)]
    pub streams: StreamSet,
    /// Only if its settings are still this version ([`super::DomainShow::version`]).
    #[serde(skip)]
    pub version: Option<String>,
}

/// What is announced of a domain, and nothing else.
pub(crate) fn announce(row: &mut DomainRow, outage: Option<crate::outage::Outage>) {
    let mut choices = Choices::of(row);
    choices.streams.outage = outage;
    row.settings = to_json(&choices);
}

/// Which settings these are: another word for every other choice, the same for the same, whatever else befalls the domain.
pub(super) fn version(row: &DomainRow) -> String {
    let chosen = to_json(&(
        &row.policy,
        &row.mode,
        &row.settings,
        &row.allow,
        &row.block,
    ));
    word_of(&chosen)
}

/// A short word that is another one for every other text.
pub(crate) fn word_of(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl DomainSet {
    /// Checks every value, without a look at the domain; names of peers become canonical.
    ///
    /// # Errors
    /// [`ControlError::Invalid`] names the field, the value and what to use instead; [`ControlError::Limit`] a list that is too
    /// long.
    pub(crate) fn checked(mut self, known: &[ServiceName]) -> Result<Self> {
        if let Some(policy) = &self.policy
            && !POLICIES.contains(&policy.as_str())
        {
            return Err(ControlError::invalid(
                "policy",
                policy.as_str(),
                "there is no such policy",
                format!("Use {}.", POLICIES.join(", ")),
            ));
        }
        if let Some(mode) = &self.mode
            && Mode::parse(mode).is_none()
        {
            return Err(ControlError::invalid(
                "mode",
                mode.as_str(),
                "there is no such mode",
                format!("Use {}.", Mode::ALL.map(Mode::as_str).join(", ")),
            ));
        }
        if let Some(days) = self.key_days
            && days != 0
            && !(KEY_DAYS.0..=KEY_DAYS.1).contains(&days)
        {
            return Err(ControlError::invalid(
                "key_days",
                days.to_string(),
                format!("a key lives {} to {} days", KEY_DAYS.0, KEY_DAYS.1),
                "Use 0 to keep keys.",
            ));
        }
        if let Some(unknown) = self
            .services
            .iter()
            .flatten()
            .find(|label| !known.iter().any(|service| service.label == **label))
        {
            let names: Vec<_> = known.iter().map(|service| service.label.as_str()).collect();
            return Err(ControlError::invalid(
                "services",
                unknown.as_str(),
                "there is no such service here",
                format!("Use {}.", names.join(", ")),
            ));
        }
        self.allow = self.allow.map(|names| peers("allow", &names)).transpose()?;
        self.block = self.block.map(|names| peers("block", &names)).transpose()?;
        self.streams.check()?;
        Ok(self)
    }

    /// Writes what is said into the row; the rest stays as it is there.
    pub(crate) fn apply(&self, row: &mut DomainRow) {
        let put = |from: &Option<String>, to: &mut String| {
            if let Some(value) = from {
                to.clone_from(value);
            }
        };
        put(&self.policy, &mut row.policy);
        put(&self.mode, &mut row.mode);
        let mut choices = Choices::of(row);
        choices.dane = self.dane.unwrap_or(choices.dane);
        choices.posh = self.posh.unwrap_or(choices.posh);
        if let Some(days) = self.key_days {
            choices.key_days = (days > 0).then_some(days);
        }
        if let Some(services) = &self.services {
            choices.services = Some(services.clone());
        }
        self.streams.apply(&mut choices.streams);
        row.settings = to_json(&choices);
        if let Some(allow) = &self.allow {
            row.allow.clone_from(allow);
        }
        if let Some(block) = &self.block {
            row.block.clone_from(block);
        }
    }

    /// The change in words, for the log.
    pub(super) fn said(&self) -> String {
        let one =
            |what: &str, value: &Option<String>| value.as_ref().map(|v| format!("{what} {v}"));
        let many = |what: &str, values: &Option<Vec<String>>| {
            values.as_ref().map(|v| format!("{what} {}", v.join(" ")))
        };
        let plain = |what: &str, value: Option<String>| value.map(|v| format!("{what} {v}"));
        [
            one("policy", &self.policy),
            one("mode", &self.mode),
            plain("dane", self.dane.map(|on| on.to_string())),
            plain("posh", self.posh.map(|on| on.to_string())),
            plain("key_days", self.key_days.map(|days| days.to_string())),
            many("services", &self.services),
            many("allow", &self.allow),
            many("block", &self.block),
        ]
        .into_iter()
        .flatten()
        .chain(self.streams.said())
        .collect::<Vec<_>>()
        .join("; ")
    }
}

fn peers(field: &'static str, names: &[String]) -> Result<Vec<String>> {
    if names.len() > LIST {
        return Err(ControlError::Limit {
            what: field,
            used: names.len() as u64,
            limit: LIST as u64,
        });
    }
    let parse = |name: &String| {
        DomainName::parse(name.trim())
            .map(|name| name.to_string())
            .map_err(|_| {
                ControlError::invalid(
                    field,
                    name.as_str(),
                    "this is not a domain name",
                    "Write one domain per line.",
                )
            })
    };
    names
        .iter()
        .filter(|name| !name.trim().is_empty())
        .map(parse)
        .collect()
}
