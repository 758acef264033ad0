//! Sockets: listeners and the way out, the one loop around a stream machine, TLS identity by name, DNS, and the HTTP doors.

pub mod internal;
pub mod limits;
pub mod lookup;
pub mod public;
pub mod pump;
pub mod tls;

use std::time::{SystemTime, UNIX_EPOCH};

use xmpp::timestamp::Timestamp;

/// The wall clock, for machines and stamps.
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
