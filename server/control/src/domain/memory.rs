//! What control keeps with a domain beside the columns, as JSON: what the owner chose, and what the worker remembers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use store::DomainRow;

use crate::domain::StreamChoices;
use crate::observe::Observation;
use crate::outside::Probe;

/// What the owner chose beside the columns (JSON in `settings`). The worker only reads it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Choices {
    /// Services that are switched on.
    pub services: Vec<String>,
    /// When the owner last asked for a certificate now (µs).
    pub order_wanted: i64,
    /// What concerns clients' streams and modules.
    #[serde(flatten)]
    pub streams: StreamChoices,
    /// Trust anchors (PEM) of single peers, by canonical name.
    pub pinned: BTreeMap<String, String>,
    /// What another room or version keeps here: never lost by an edit of ours.
    #[serde(flatten)]
    pub others: BTreeMap<String, serde_json::Value>,
}

impl Choices {
    pub(crate) fn of(row: &DomainRow) -> Self {
        serde_json::from_str(&row.settings).unwrap_or_default()
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
    /// Service names that the CA refused last time, left out of the next order.
    pub left_out: Vec<String>,
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
