//! What a series over time looks like.

#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::ToSchema;

/// How far apart the points are.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
pub(in crate::api) enum SeriesStep {
    Hour,
    Day,
}

/// A run of hours or days of UTC, without gaps.
#[derive(ToSchema)]
pub(in crate::api) struct Series {
    /// The domain, or what the customer is called; empty: everybody's.
    of: String,
    step: SeriesStep,
    /// The oldest first, from the first of which something is known up to now.
    points: Vec<Point>,
}

/// An hour or a day.
#[derive(ToSchema)]
pub(in crate::api) struct Point {
    /// Its start.
    at: String,
    /// Most sessions at a time, as seen once a minute.
    sessions: u64,
    /// Stanzas that people and components sent, and that other servers sent them.
    stanzas: u64,
    /// Messages in archives. Null here and below: not measured, as hours never are.
    archive_messages: Option<u64>,
    /// Their bytes.
    archive_bytes: Option<u64>,
    /// Bytes of uploaded files.
    upload_bytes: Option<u64>,
    /// Days that the certificate in use had left at the start; of several domains, the fewest.
    certificate_days: Option<i64>,
}
