//! What control keeps with a domain beside the columns, as JSON: what the owner chose, and what the worker remembers.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use store::DomainRow;

use crate::domain::{Seen, StreamChoices};
use crate::grant::Grants;
use crate::news::Told;
use crate::observe::Observation;
use crate::outside::Probe;
use crate::rollover::Caches;

/// What the owner chose beside the columns (JSON in `settings`). The worker only reads it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Choices {
    /// Labels of the services that are switched on; nothing chosen: all that there are.
    pub services: Option<Vec<String>>,
    /// Labels of the components that may connect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub components: Vec<String>,
    /// What they are granted beyond their names, by label.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<String, Grants>,
    /// When the owner last asked for a certificate now (µs).
    pub order_wanted: i64,
    /// TLSA records are published beside a mode that holds a certificate.
    pub dane: bool,
    /// POSH documents are, likewise.
    pub posh: bool,
    /// A renewal changes the key when that is older than this (days); `None`: keys are kept.
    pub key_days: Option<u32>,
    /// When the owner last asked for another key (µs).
    pub key_wanted: i64,
    /// Keys that were reported compromised (SHA-256 of the public key, hex): never asked for again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub given_up_keys: Vec<String>,
    /// What concerns clients' streams and modules.
    #[serde(flatten)]
    pub streams: StreamChoices,
    /// Trust anchors (PEM) of single peers, by canonical name.
    pub pinned: BTreeMap<String, String>,
    /// What another room or version keeps here: never lost by an edit of ours.
    #[serde(flatten)]
    pub others: BTreeMap<String, Value>,
}

impl Choices {
    pub(crate) fn of(row: &DomainRow) -> Self {
        of_settings(row)
    }
}

/// What of a domain's settings is wanted, of all that this version can read. What it cannot (a later one has other words for it)
/// is as if it had not been chosen, and costs nothing else: lists, admins and switches beside it hold.
pub(crate) fn of_settings<T: DeserializeOwned + Default>(row: &DomainRow) -> T {
    serde_json::from_str(&row.settings).unwrap_or_else(|error| {
        tracing::error!(domain = %row.name, %error, "not all of a domain's settings can be read");
        let all: Map<String, Value> = serde_json::from_str(&row.settings).unwrap_or_default();
        let mut readable = Map::new();
        let mut found = T::default();
        for (name, value) in all {
            readable.insert(name.clone(), value);
            match T::deserialize(&Value::Object(readable.clone())) {
                Ok(more) => found = more,
                Err(_) => {
                    readable.remove(&name);
                }
            }
        }
        found
    })
}

/// Whether this version can read all of a domain's settings, so that it may write them anew.
pub(crate) fn is_readable(settings: &str) -> bool {
    serde_json::from_str::<Choices>(settings).is_ok()
}

/// Labels of the services that a domain has on; `known` are those there are.
pub fn services<'a>(row: &DomainRow, known: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let known = known.into_iter();
    match Choices::of(row).services {
        Some(chosen) => known
            .filter(|label| chosen.iter().any(|one| one == label))
            .map(str::to_owned)
            .collect(),
        None => known.map(str::to_owned).collect(),
    }
}

/// What the worker keeps from look to look (JSON in `look`). Operations only read it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Memory {
    /// The last look.
    pub seen: Option<Observation>,
    /// The last probe.
    pub probe: Option<Probe>,
    /// The proof has not been there since (µs).
    pub proof_missing_since: Option<i64>,
    /// The token was seen while another customer's proof stands.
    pub taken: bool,
    /// The target's addresses have been published in the platform's zone.
    pub target_published: bool,
    /// Orders.
    pub order: OrderMemory,
    /// What is published of our identities, and what was seen of it.
    pub rollover: RolloverMemory,
    /// By what others believe the domain; `None`: not judged yet.
    pub believed: Option<Believed>,
    /// What webhooks were told of what was seen.
    pub told: Told,
}

/// What the verdicts on the domain itself came to, for a sentence in a list (DNA-31).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Believed {
    /// Would people's apps?
    pub people: Seen,
    /// By which prooftypes other servers would: `pkix`, `dane`, `posh`.
    #[serde(default)]
    pub by: Vec<String>,
    /// Not every proof could be judged.
    #[serde(default)]
    pub is_open: bool,
}

/// What is kept of what peers may know of our identities.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RolloverMemory {
    /// Copies of TLSA sets; `None`: no peer knows any.
    pub dane: Option<Caches>,
    /// Copies of POSH documents, likewise.
    pub posh: Option<Caches>,
    /// What the platform's name server has taken.
    pub tlsa: Option<TlsaPublished>,
    /// Why it did not take the last change; empty: it did.
    pub refused: String,
    /// When something is due (µs).
    pub again_at: Option<i64>,
}

/// TLSA sets as published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TlsaPublished {
    /// Keys, each as 3 1 1.
    pub keys: Vec<String>,
    /// Names that hold the set.
    pub owners: Vec<String>,
    /// When (µs).
    pub at: i64,
}

/// What is kept of certificate orders.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct OrderMemory {
    /// Failures in a row.
    pub failures: u32,
    /// Last attempt (µs).
    pub tried: i64,
    /// No attempt before (µs), unless the owner asks.
    pub not_before: i64,
    /// Last failure in the CA's words; empty: none.
    pub said: String,
    /// Service names that the CA refused last time, left out of the next order …
    pub left_out: Vec<String>,
    /// … until then (µs).
    pub left_out_until: i64,
    /// A certificate is wanted since (µs).
    pub wanted_since: Option<i64>,
    /// The order stands in the queue.
    pub queued: bool,
    /// Names that did not pass the last pre-flight, with the reason.
    pub blocked: BTreeMap<String, String>,
}

impl Memory {
    /// Reads it; what cannot be read (another version's) is forgotten, and looked at again.
    pub(crate) fn of(row: &DomainRow) -> Self {
        row.look
            .as_deref()
            .and_then(|look| serde_json::from_str(look).ok())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use store::{DomainId, TenantId};
    use xmpp::jid::DomainName;
    use xmpp::timestamp::Timestamp;

    use super::*;

    fn row(settings: &str) -> DomainRow {
        DomainRow {
            id: DomainId(1),
            tenant: TenantId(1),
            name: DomainName::parse("one.example").expect("a name"),
            label: "l".into(),
            state: "live".into(),
            reason: String::new(),
            suspended_by: String::new(),
            mode: "acme".into(),
            token: "t".into(),
            verified_at: None,
            policy: "encrypted".into(),
            allow: Vec::new(),
            block: Vec::new(),
            settings: settings.into(),
            look: None,
            checked_at: None,
            next_check_at: None,
            created: Timestamp(0),
            revision: 0,
        }
    }

    /// A version that knows more grants is being rolled out, and this one meets what it has written.
    #[test]
    fn what_a_later_version_adds_costs_nothing_else() {
        let settings = r#"{"plain":false,"admins":["a@one.example"],"components":["bridge"],"later":1,
            "grants":{"bridge":{"roster":"get","calls":"both"}}}"#;
        let row = row(settings);
        assert!(is_readable(&row.settings));
        let choices = Choices::of(&row);
        assert!(!choices.streams.plain);
        assert_eq!(choices.streams.admins, ["a@one.example"]);
        assert_eq!(choices.grants["bridge"].roster, "get");
        let again = serde_json::to_value(&choices).expect("JSON");
        assert_eq!(again["later"], 1);
        assert_eq!(again["grants"]["bridge"]["calls"], "both");
        let granted = crate::grant::grants(&row);
        assert!(granted["bridge"].others.is_empty(), "nothing is made of it");
    }

    #[test]
    fn what_cannot_be_read_costs_nothing_beside_it() {
        let settings = r#"{"plain":false,"admins":"everybody","block_lists":["a.example"],"components":["b"]}"#;
        let row = row(settings);
        assert!(!is_readable(&row.settings));
        let streams = StreamChoices::of(&row);
        assert!(!streams.plain && streams.admins.is_empty());
        assert_eq!(streams.block_lists, ["a.example"]);
        assert_eq!(Choices::of(&row).components, ["b"]);
        assert!(StreamChoices::of(&self::row("no JSON")).plain);
    }
}
