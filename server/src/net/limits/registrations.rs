//! Accounts that people make themselves, per address and hour (XEP-0077 11): what somebody who wants a thousand of them needs
//! many addresses for.
//!
//! Every attempt counts, whatever came of it, so that answers cannot be guessed either. In memory and bounded. Refuses: a clock;
//! the time is handed in.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ahash::RandomState;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::addresses::network;

/// How long an attempt counts.
const PERIOD: Duration = Duration::from_secs(3600);
/// Addresses remembered; when there are more, those of past periods go, and if none are, all of them.
const ADDRESSES: usize = 50_000;

/// Attempts of every address.
#[derive(Debug)]
pub struct Registrations {
    most: u32,
    known: Mutex<HashMap<IpAddr, (Instant, u32), RandomState>>,
}

impl Registrations {
    /// So many attempts from one address in an hour.
    pub fn new(most: u32) -> Self {
        Self {
            most,
            known: Mutex::default(),
        }
    }

    /// Attempts from one address in an hour.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Whether the address may try once more now. IPv6 is counted by /64.
    pub fn admit(&self, address: IpAddr, now: Instant) -> bool {
        let mut known = self.known.lock();
        if known.len() >= ADDRESSES {
            known.retain(|_, (since, _)| now.duration_since(*since) < PERIOD);
            if known.len() >= ADDRESSES {
                known.clear();
            }
        }
        let (since, used) = known.entry(network(address)).or_insert((now, 0));
        if now.duration_since(*since) >= PERIOD {
            (*since, *used) = (now, 0);
        }
        if *used >= self.most {
            return false;
        }
        *used += 1;
        true
    }
}

impl Default for Registrations {
    fn default() -> Self {
        Self::new(10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ext_33_an_address_makes_so_many_accounts_in_an_hour() {
        let registrations = Registrations::new(2);
        let now = Instant::now();
        let admit =
            |address: &str, now| registrations.admit(address.parse().expect("an address"), now);
        assert!(admit("192.0.2.1", now) && admit("192.0.2.1", now));
        assert!(!admit("192.0.2.1", now));
        assert!(admit("192.0.2.2", now), "another address");
        assert!(admit("2001:db8::1", now) && admit("2001:db8::2", now));
        assert!(!admit("2001:db8::3", now), "the same network");
        assert!(admit("192.0.2.1", now + PERIOD));
    }
}
