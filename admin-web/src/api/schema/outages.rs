//! What bodies about outages look like.

#![allow(dead_code, reason = "these types are described, never made")]

use std::collections::BTreeMap;

use utoipa::ToSchema;

/// An outage (XEP-0455).
#[derive(ToSchema)]
pub(in crate::api) struct Outage {
    /// It was planned.
    #[schema(required = false)]
    planned: bool,
    /// `2026-12-24T18:00:00Z`; left away: now.
    beginning: Option<String>,
    /// When it will have ended, if that is known.
    expected_end: Option<String>,
    /// What people are told, by language; `default` for all others.
    message: Option<BTreeMap<String, String>>,
}
