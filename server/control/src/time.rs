//! How times look in JSON: XEP-0082 (`2026-11-25T20:04:14Z`), so that people and programs read the same.

use serde::Serializer;
use xmpp::timestamp::Timestamp;

/// One second in the unit of [`Timestamp`].
pub(crate) const SECOND: i64 = 1_000_000;
/// One hour.
pub(crate) const HOUR: i64 = 3600 * SECOND;
/// One day.
pub(crate) const DAY: i64 = 24 * HOUR;

/// `#[serde(serialize_with = "crate::time::at")]`.
pub(crate) fn at<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_xep0082())
}

/// The same for an optional time.
pub(crate) fn maybe<S: Serializer>(
    time: &Option<Timestamp>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => at(time, serializer),
        None => serializer.serialize_none(),
    }
}

/// `time` and so many seconds.
pub(crate) fn plus(time: Timestamp, seconds: impl Into<i64>) -> Timestamp {
    Timestamp(time.0.saturating_add(seconds.into().saturating_mul(SECOND)))
}
