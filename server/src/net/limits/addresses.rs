//! Connections by address: how many there are, how fast they come, how many of them nobody has logged in on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// What addresses may take.
#[derive(Clone, Copy, Debug)]
pub struct AddressLimits {
    /// Connections of one address at a time (DOS-01).
    pub simultaneous: u32,
    /// New connections of one address in a minute (DOS-02).
    pub per_minute: u32,
    /// Connections of one address that are not authenticated, at a time.
    pub unauthenticated: u32,
    /// Connections of all addresses that are not authenticated, at a time. When it is reached, only addresses that have no
    /// other such connection get in, up to a quarter more: a flood from few addresses locks nobody else out.
    pub unauthenticated_in_all: u32,
}

/// Which limit a connection has met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// [`AddressLimits::simultaneous`]
    Simultaneous,
    /// [`AddressLimits::per_minute`]
    Rate,
    /// [`AddressLimits::unauthenticated`]
    Unauthenticated,
    /// [`AddressLimits::unauthenticated_in_all`]
    UnauthenticatedInAll,
    /// [`super::Pulse`]
    Overload,
}

impl Refused {
    /// The configuration's key in section `limits`: also the label of the metric.
    pub fn key(self) -> &'static str {
        match self {
            Self::Simultaneous => "connections_per_address",
            Self::Rate => "connects_per_address_and_minute",
            Self::Unauthenticated => "unauthenticated_per_address",
            Self::UnauthenticatedInAll => "unauthenticated_connections",
            Self::Overload => "late_milliseconds",
        }
    }
}

/// Connections of each address (DOS-01, DOS-02).
#[derive(Debug)]
pub struct Addresses {
    limits: AddressLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    known: HashMap<IpAddr, Address>,
    unauthenticated: u32,
}

#[derive(Debug)]
struct Address {
    open: u32,
    unauthenticated: u32,
    /// Attempts in the minute that began at `since`.
    attempts: u32,
    since: Instant,
}

/// Counts one connection of an address while it lives.
#[derive(Debug)]
pub struct Admission {
    addresses: Arc<Addresses>,
    address: IpAddr,
    authenticated: AtomicBool,
}

impl Addresses {
    /// Addresses remembered before old ones are swept out.
    const SWEEP: usize = 65_536;

    /// With these limits.
    pub fn new(limits: AddressLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            state: Mutex::default(),
        })
    }

    /// Admits a new connection. IPv6 is counted by /64, since one machine has that many addresses.
    ///
    /// # Errors
    /// The limit that is reached: the connection must not proceed.
    pub fn admit(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Admission, Refused> {
        let address = network(address);
        let limits = &self.limits;
        let minute = Duration::from_secs(60);
        let mut state = self.state.lock();
        if state.known.len() >= Self::SWEEP {
            let recent = |a: &Address| a.open > 0 || now.duration_since(a.since) < minute;
            state.known.retain(|_, a| recent(a));
        }
        let in_all = state.unauthenticated;
        let entry = state.known.entry(address).or_insert(Address {
            open: 0,
            unauthenticated: 0,
            attempts: 0,
            since: now,
        });
        if now.duration_since(entry.since) >= minute {
            entry.since = now;
            entry.attempts = 0;
        }
        entry.attempts = entry.attempts.saturating_add(1);
        if entry.attempts > limits.per_minute {
            return Err(Refused::Rate);
        }
        if entry.open >= limits.simultaneous {
            return Err(Refused::Simultaneous);
        }
        if entry.unauthenticated >= limits.unauthenticated {
            return Err(Refused::Unauthenticated);
        }
        let room = if entry.unauthenticated == 0 {
            limits
                .unauthenticated_in_all
                .saturating_add(limits.unauthenticated_in_all / 4)
        } else {
            limits.unauthenticated_in_all
        };
        if in_all >= room {
            return Err(Refused::UnauthenticatedInAll);
        }
        entry.open += 1;
        entry.unauthenticated += 1;
        state.unauthenticated += 1;
        Ok(Admission {
            addresses: self.clone(),
            address,
            authenticated: AtomicBool::new(false),
        })
    }

    /// Connections that nobody has logged in on.
    pub fn unauthenticated(&self) -> u32 {
        self.state.lock().unauthenticated
    }
}

impl State {
    fn leaves_waiting(&mut self, address: IpAddr) {
        self.unauthenticated = self.unauthenticated.saturating_sub(1);
        if let Some(entry) = self.known.get_mut(&address) {
            entry.unauthenticated = entry.unauthenticated.saturating_sub(1);
        }
    }
}

impl Admission {
    /// Somebody has logged in on it, or a peer has proved a domain; later calls change nothing.
    pub fn authenticated(&self) {
        if !self.authenticated.swap(true, Ordering::Relaxed) {
            self.addresses.state.lock().leaves_waiting(self.address);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut state = self.addresses.state.lock();
        if !*self.authenticated.get_mut() {
            state.leaves_waiting(self.address);
        }
        if let Some(entry) = state.known.get_mut(&self.address) {
            entry.open = entry.open.saturating_sub(1);
        }
    }
}

/// What is counted as one: an IPv4 address, an IPv6 /64.
pub(super) fn network(address: IpAddr) -> IpAddr {
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

    const MANY: AddressLimits = AddressLimits {
        simultaneous: 100,
        per_minute: 100,
        unauthenticated: 100,
        unauthenticated_in_all: 100,
    };

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn dos_01_simultaneous_connections_of_an_address() {
        let addresses = Addresses::new(AddressLimits {
            simultaneous: 2,
            ..MANY
        });
        let now = Instant::now();
        let one = addresses.admit(ip(1), now).expect("the first");
        let _two = addresses.admit(ip(1), now).expect("the second");
        assert_eq!(
            addresses.admit(ip(1), now).err(),
            Some(Refused::Simultaneous)
        );
        assert!(addresses.admit(ip(2), now).is_ok());
        drop(one);
        assert!(addresses.admit(ip(1), now).is_ok());
    }

    #[test]
    fn dos_02_attempts_of_an_address_in_a_minute() {
        let addresses = Addresses::new(AddressLimits {
            per_minute: 2,
            ..MANY
        });
        let now = Instant::now();
        for _ in 0..2 {
            drop(addresses.admit(ip(1), now).expect("within the limit"));
        }
        assert_eq!(addresses.admit(ip(1), now).err(), Some(Refused::Rate));
        let later = now + Duration::from_secs(61);
        assert!(addresses.admit(ip(1), later).is_ok());
    }

    #[test]
    fn dos_01_connections_that_nobody_logs_in_on_are_few() {
        let addresses = Addresses::new(AddressLimits {
            unauthenticated: 2,
            ..MANY
        });
        let now = Instant::now();
        let admit = |last| addresses.admit(ip(last), now);
        let one = admit(1).expect("the first");
        let _two = admit(1).expect("the second");
        assert_eq!(admit(1).err(), Some(Refused::Unauthenticated));
        one.authenticated();
        one.authenticated();
        let three = admit(1).expect("one has logged in");
        assert_eq!(admit(1).err(), Some(Refused::Unauthenticated));
        drop(three);
        drop(one);
        assert_eq!(addresses.unauthenticated(), 1);
    }

    #[test]
    fn dos_01_a_flood_of_few_addresses_locks_no_other_out() {
        let addresses = Addresses::new(AddressLimits {
            unauthenticated_in_all: 4,
            ..MANY
        });
        let now = Instant::now();
        let flood: Vec<_> = (0..4)
            .map(|_| addresses.admit(ip(1), now).expect("room"))
            .collect();
        assert_eq!(
            addresses.admit(ip(1), now).err(),
            Some(Refused::UnauthenticatedInAll)
        );
        let _other = addresses.admit(ip(2), now).expect("the last quarter");
        assert_eq!(
            addresses.admit(ip(3), now).err(),
            Some(Refused::UnauthenticatedInAll),
            "bounded all the same"
        );
        drop(flood);
        assert!(addresses.admit(ip(1), now).is_ok());
    }

    #[test]
    fn one_ipv6_network_is_one_address() {
        let addresses = Addresses::new(AddressLimits {
            simultaneous: 1,
            ..MANY
        });
        let now = Instant::now();
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        let _one = addresses.admit(parse("2001:db8::1"), now).expect("first");
        assert!(addresses.admit(parse("2001:db8::2"), now).is_err());
        assert!(addresses.admit(parse("2001:db8:0:1::1"), now).is_ok());
    }
}
