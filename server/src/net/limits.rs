//! Named limits: what a connection, an address, an account or a stream may take of this process (RFC 6120 13.12).
//!
//! Limits before authentication are smaller than after. Refuses: global counters on the stanza path; each stream keeps its
//! own bucket.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Largest first-level element before authentication, in bytes (DOS-04 asks for 10,000 at least).
pub const UNAUTHENTICATED_ELEMENT_BYTES: usize = 16 * 1024;
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
    /// Largest stanza once authenticated, in bytes.
    pub stanza_bytes: usize,
    /// Average rate of reading, in bytes a second; above it reading slows down (DOS-07).
    pub bytes_per_second: u32,
    /// Silence after which a space is sent to see whether the connection still carries (STREAM-11: not under 5 minutes).
    pub keepalive: Duration,
    /// An open stream over which nothing went in either direction for this long is closed; `None`: never.
    pub idle: Option<Duration>,
    /// Bytes that may wait in the outbox.
    pub outbox_bytes: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            negotiation: Duration::from_secs(60),
            stanza_bytes: 256 * 1024,
            bytes_per_second: 1_000_000,
            keepalive: Duration::from_secs(300),
            idle: None,
            outbox_bytes: 1024 * 1024,
        }
    }
}

/// Token bucket over bytes: ten seconds' worth may come at once.
#[derive(Debug)]
pub struct Bucket {
    per_second: f64,
    level: f64,
    at: Instant,
}

impl Bucket {
    const BURST_SECONDS: f64 = 10.0;

    /// Full.
    pub fn new(per_second: u32, now: Instant) -> Self {
        let per_second = f64::from(per_second.max(1));
        Self {
            per_second,
            level: per_second * Self::BURST_SECONDS,
            at: now,
        }
    }

    /// Takes `bytes`. When more was taken than there was: when to read on.
    pub fn take(&mut self, bytes: usize, now: Instant) -> Option<Instant> {
        let full = self.per_second * Self::BURST_SECONDS;
        let gained = now.duration_since(self.at).as_secs_f64() * self.per_second;
        self.at = now;
        #[expect(clippy::cast_precision_loss, reason = "a read is far below 2^52 bytes")]
        let spent = bytes as f64;
        self.level = (self.level + gained).min(full) - spent;
        (self.level < 0.0).then(|| now + Duration::from_secs_f64(-self.level / self.per_second))
    }
}

/// Connections of each address: how many there are and how fast they come (DOS-01, DOS-02).
#[derive(Debug)]
pub struct Addresses {
    simultaneous: u32,
    per_minute: u32,
    known: Mutex<HashMap<IpAddr, Address>>,
}

#[derive(Debug)]
struct Address {
    open: u32,
    /// Attempts in the minute that began at `since`.
    attempts: u32,
    since: Instant,
}

/// Counts one connection of an address while it lives.
#[derive(Debug)]
pub struct Admission {
    addresses: Arc<Addresses>,
    address: IpAddr,
}

impl Addresses {
    /// Addresses remembered before old ones are swept out.
    const SWEEP: usize = 65_536;

    /// With these limits.
    pub fn new(simultaneous: u32, per_minute: u32) -> Arc<Self> {
        Arc::new(Self {
            simultaneous,
            per_minute,
            known: Mutex::default(),
        })
    }

    /// Admits a new connection, or not. IPv6 is counted by /64, since one machine has that many addresses.
    pub fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Option<Admission> {
        let address = network(address);
        let minute = Duration::from_secs(60);
        let mut known = self.known.lock();
        if known.len() >= Self::SWEEP {
            known.retain(|_, a| a.open > 0 || now.duration_since(a.since) < minute);
        }
        let entry = known.entry(address).or_insert(Address {
            open: 0,
            attempts: 0,
            since: now,
        });
        if now.duration_since(entry.since) >= minute {
            entry.since = now;
            entry.attempts = 0;
        }
        entry.attempts = entry.attempts.saturating_add(1);
        if entry.attempts > self.per_minute || entry.open >= self.simultaneous {
            return None;
        }
        entry.open += 1;
        Some(Admission {
            addresses: self.clone(),
            address,
        })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(entry) = self.addresses.known.lock().get_mut(&self.address) {
            entry.open = entry.open.saturating_sub(1);
        }
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.into(),
            None => std::net::Ipv6Addr::from(u128::from(v6) & !((1 << 64) - 1)).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_01_simultaneous_connections_of_an_address() {
        let addresses = Addresses::new(2, 100);
        let now = Instant::now();
        let ip = IpAddr::from([192, 0, 2, 1]);
        let one = addresses.admit(ip, now);
        let two = addresses.admit(ip, now);
        assert!(one.is_some() && two.is_some());
        assert!(addresses.admit(ip, now).is_none());
        assert!(addresses.admit(IpAddr::from([192, 0, 2, 2]), now).is_some());
        drop(one);
        assert!(addresses.admit(ip, now).is_some());
    }

    #[test]
    fn dos_02_attempts_of_an_address_in_a_minute() {
        let addresses = Addresses::new(100, 2);
        let now = Instant::now();
        let ip = IpAddr::from([192, 0, 2, 1]);
        for _ in 0..2 {
            drop(addresses.admit(ip, now).expect("within the limit"));
        }
        assert!(addresses.admit(ip, now).is_none());
        assert!(addresses.admit(ip, now + Duration::from_secs(61)).is_some());
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let addresses = Addresses::new(1, 100);
        let now = Instant::now();
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        let _one = addresses.admit(parse("2001:db8::1"), now).expect("first");
        assert!(addresses.admit(parse("2001:db8::2"), now).is_none());
        assert!(addresses.admit(parse("2001:db8:0:1::1"), now).is_some());
    }

    #[test]
    fn dos_07_a_fast_sender_is_read_more_slowly() {
        let start = Instant::now();
        let mut bucket = Bucket::new(1000, start);
        assert!(bucket.take(10_000, start).is_none(), "the burst");
        let until = bucket.take(2000, start).expect("above the rate");
        assert_eq!(until, start + Duration::from_secs(2));
        assert!(bucket.take(1, start + Duration::from_secs(3)).is_none());
    }
}
