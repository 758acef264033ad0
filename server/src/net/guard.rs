//! Which addresses we connect to: those that can be somebody's on the internet, and what the operator adds.
//!
//! Strangers choose names that we connect to: a peer's domain, a POSH document's address. What these names lead to is checked
//! after they are resolved, and the connection goes to exactly the address that was checked. Refuses: this machine, private
//! and link-local networks, and the ways of writing an IPv4 address as IPv6, unless the configuration names them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network, like `10.0.0.0/8`; a lone address is a network of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let masked = |bits: u128, width: u32| match u32::from(self.bits) {
            0 => 0,
            kept => bits >> (width - kept.min(width)),
        };
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                masked(own.to_bits().into(), 32) == masked(other.to_bits().into(), 32)
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                masked(own.to_bits(), 128) == masked(other.to_bits(), 128)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().map_err(|_| ())?,
            None => width,
        };
        (bits <= width).then_some(Self { address, bits }).ok_or(())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

/// The rule.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    everything: bool,
    networks: Vec<Network>,
}

impl Guard {
    /// `everything`: the whole internet is the operator's own network. `networks`: these count as internet too.
    pub fn new(everything: bool, networks: Vec<Network>) -> Self {
        Self {
            everything,
            networks,
        }
    }

    /// Whether we may connect to an address.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.everything
            || is_public(address)
            || self
                .networks
                .iter()
                .any(|network| network.contains(address.to_canonical()))
    }
}

/// Whether an address can be somebody's on the internet (RFC 6890 and its registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => is_public_4(four),
        IpAddr::V6(six) => is_public_6(six),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || a == 0
        // Shared address space (RFC 6598).
        || (a == 100 && b & 0xc0 == 64)
        // IETF protocol assignments, benchmarks, the former class E and broadcast.
        || (a, b, c) == (192, 0, 0)
        || (a == 198 && b & 0xfe == 18)
        || a >= 240)
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // IPv4 in another dress: mapped, compatible, translated (RFC 6052), 6to4 (RFC 3056).
    let tail = Ipv4Addr::from_bits(u32::from(segments[6]) << 16 | u32::from(segments[7]));
    let embedded = match segments {
        [0, 0, 0, 0, 0, 0xffff | 0, _, _] => Some(tail),
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => Some(tail),
        [0x2002, high, low, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)))
        }
        _ => None,
    };
    if let Some(embedded) = embedded {
        return is_public_4(embedded);
    }
    // Global unicast is 2000::/3; inside it Teredo, benchmarks, ORCHID and documentation are nobody's.
    segments[0] & 0xe000 == 0x2000
        && !(segments[0] == 0x2001 && segments[1] < 0x200)
        && !(segments[0] == 0x2001 && segments[1] == 0xdb8)
        && !(segments[0] == 0x3fff && segments[1] < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn posh_46_addresses_inside_are_not_connected_to() {
        let guard = Guard::default();
        for (address, allowed) in [
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("240.0.0.1", false),
            ("192.0.2.1", false),
            ("198.18.0.1", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::127.0.0.1", false),
            ("64:ff9b::a00:1", false),
            ("2002:a00:1::1", false),
            ("2001::1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("2001:db8::1", false),
            ("93.184.216.34", true),
            ("2606:2800:220:1::1", true),
            ("::ffff:93.184.216.34", true),
            ("64:ff9b::5db8:d822", true),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(guard.allows(parsed), allowed, "{address}");
            assert!(Guard::new(true, Vec::new()).allows(parsed));
        }
    }

    #[test]
    fn networks_that_the_operator_names_are_allowed_too() {
        let network = |text: &str| text.parse::<Network>();
        let guard = Guard::new(
            false,
            vec![
                network("127.0.0.0/8").expect("a network"),
                network("fd12::/16").expect("a network"),
                network("10.0.0.7").expect("a network"),
            ],
        );
        for (address, allowed) in [
            ("127.9.9.9", true),
            ("::ffff:127.0.0.1", true),
            ("128.0.0.1", true),
            ("10.0.0.7", true),
            ("10.0.0.8", false),
            ("fd12::1", true),
            ("fd13::1", false),
            ("192.168.0.1", false),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(guard.allows(parsed), allowed, "{address}");
        }
        for wrong in ["", "10.0.0.0/33", "::/129", "10.0.0.0/", "ten/8"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            network("10.0.0.0/8").expect("a network").to_string(),
            "10.0.0.0/8"
        );
        let all = network("0.0.0.0/0").expect("a network");
        assert!(all.contains([1, 2, 3, 4].into()));
    }
}
