//! Named limits: what a connection, an address, an account or a stream may take of this process (RFC 6120 13.12).
//!
//! Limits before authentication are smaller than after. Refuses: global counters on the stanza path; each stream keeps its
//! own bucket.

mod addresses;
mod bucket;
mod logins;
mod pulse;
pub mod recipients;
mod registrations;

use std::time::Duration;

pub use self::addresses::{AddressLimits, Addresses, Admission, Refused};
pub use self::bucket::{Bucket, SharedPace};
pub use self::logins::{Attempt, LoginLimits, Logins};
pub use self::pulse::Pulse;
pub use self::recipients::{RecipientLimits, Recipients};
pub use self::registrations::Registrations;

/// How long the other side has to answer our closing tag (STREAM-08), and then our close_notify (TLS-13).
pub const CLOSE_WAIT: Duration = Duration::from_secs(3);
/// How long a write may make no progress before the reader is given up.
pub const WRITE_STALL: Duration = Duration::from_secs(60);
/// Output that may wait in the pump itself before it stops reading, in bytes.
pub const OUTPUT_HIGH_WATER: usize = 128 * 1024;
/// Buffers of a stream are freed when it was silent for this long.
pub const IDLE_SWEEP: Duration = Duration::from_secs(5);

/// What one stream may take; the machine's phase selects among them.
#[derive(Clone, Copy, Debug)]
pub struct StreamLimits {
    /// From connecting until the stream is open.
    pub negotiation: Duration,
    /// Seconds that somebody may take, all in all, to fill in what they are asked for an account (XEP-0389).
    pub registration_seconds: u32,
    /// Largest first-level element before authentication, in bytes (DOS-04 asks for 10,000 at least).
    pub unauthenticated_bytes: usize,
    /// Average rate of reading before authentication, in bytes a second.
    pub unauthenticated_bytes_per_second: u32,
    /// Largest stanza once authenticated, in bytes.
    pub stanza_bytes: usize,
    /// Average rate of reading, in bytes a second; above it reading slows down (DOS-07).
    pub bytes_per_second: u32,
    /// Average rate of stanzas, a second; above it the next one waits (DOS-07).
    pub stanzas_per_second: u32,
    /// Times of an open stream, where its host knows no better ones.
    pub patience: Patience,
    /// Bytes that may wait in the outbox.
    pub outbox_bytes: usize,
}

/// Times of an open stream over which nothing goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Silence in both directions after which a space is sent (STREAM-11: not under 5 minutes by default).
    pub keepalive: Duration,
    /// Silence of the other side after which it is asked whether it is there (XEP-0199); `None`: never.
    pub ping: Option<Duration>,
    /// How long it has to say anything at all then (STREAM-10, PING-02).
    pub pong: Duration,
    /// Silence in both directions after which the stream is closed; `None`: never.
    pub idle: Option<Duration>,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            keepalive: Duration::from_secs(300),
            ping: None,
            pong: Duration::from_secs(60),
            idle: None,
        }
    }
}

impl Patience {
    /// Seconds of silence of the other side after which we do something about it (XEP-0478, STREAM-34).
    pub fn idle_seconds(&self) -> u32 {
        let first = [self.ping, self.idle].into_iter().flatten().min();
        u32::try_from(first.unwrap_or(self.keepalive).as_secs()).unwrap_or(u32::MAX)
    }
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            negotiation: Duration::from_secs(60),
            registration_seconds: 600,
            unauthenticated_bytes: 16 * 1024,
            unauthenticated_bytes_per_second: 10_000,
            stanza_bytes: 256 * 1024,
            bytes_per_second: 1_000_000,
            stanzas_per_second: 1_000,
            patience: Patience::default(),
            outbox_bytes: 1024 * 1024,
        }
    }
}
