//! Points in time as microseconds since 1970-01-01T00:00:00Z, and their XEP-0082 text.
//!
//! Why: the store keeps times as BIGINT and the wire wants XEP-0082; one type does both. It never reads a clock.

/// Microseconds since the epoch, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// `2026-11-25T20:00:00.000000Z`; the fraction is left out when zero (XEP-0082 3.2).
    pub fn to_xep0082(&self) -> String {
        todo!()
    }

    /// Reads a XEP-0082 DateTime; any zone offset is converted to UTC. `None` when it is not one.
    pub fn parse_xep0082(_text: &str) -> Option<Self> {
        todo!()
    }

    /// Whole seconds since the epoch.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }
}
