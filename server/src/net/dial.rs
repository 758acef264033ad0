//! Getting through to a target: its addresses, raced, within one deadline (RFC 6120 3.2.1, RFC 8305).
//!
//! Every address of a target is tried before the target is given up (S2S-05); only addresses of one target are raced, never
//! targets of different priorities (S2S-11). Refuses: addresses that lead into this machine or a private network, unless the
//! operator says that this is the whole world: a stranger's DNS must not choose what we talk to inside.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dna::{Lookup, RecordType, Target};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::Instant;

/// Head start of each address over the next (RFC 8305 5).
const HEAD_START: Duration = Duration::from_millis(250);
/// Most addresses of one target that are tried.
const ADDRESSES: usize = 8;
/// How long one address may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The host has no address, or it could not be looked up.
    #[error("{host} has no address{why}")]
    NoAddress {
        /// Host.
        host: String,
        /// `: no answer in time`, or empty.
        why: String,
    },
    /// Only addresses that we do not connect to.
    #[error(
        "{host} leads to {address}, an address inside a private network; set platform.private_addresses if your whole network is one"
    )]
    Private {
        /// Host.
        host: String,
        /// The first of them.
        address: IpAddr,
    },
    /// Nobody answered; what the last one said.
    #[error("no connection to {host} ({address})")]
    Unreachable {
        /// Host.
        host: String,
        /// Last address tried.
        address: SocketAddr,
        /// Cause.
        #[source]
        source: io::Error,
    },
}

impl DialError {
    /// Whether the name led nowhere, as opposed to nobody being there (ROUTE-05).
    pub fn is_resolution(&self) -> bool {
        !matches!(self, Self::Unreachable { .. })
    }
}

/// Connects to one of `addresses`, in their order, each with a head start over the next. Takes the one connected to and those
/// that failed out of the list: what is left may be tried when nothing comes of the connection (S2S-05).
///
/// # Errors
/// [`DialError::Unreachable`], with nothing left.
pub async fn connect(
    host: &str,
    addresses: &mut Vec<SocketAddr>,
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), DialError> {
    let mut waiting: VecDeque<_> = addresses.iter().copied().collect();
    let mut running = FuturesUnordered::new();
    let mut last = None;
    loop {
        if let Some(address) = waiting.pop_front() {
            running.push(one(address, deadline));
        } else if running.is_empty() {
            break;
        }
        let next = async {
            if waiting.is_empty() {
                std::future::pending().await
            } else {
                tokio::time::sleep(HEAD_START).await;
            }
        };
        tokio::select! {
            Some((address, result)) = running.next() => {
                addresses.retain(|other| *other != address);
                match result {
                    Ok(stream) => {
                        // Small writes are joined by the pump already.
                        let _ = stream.set_nodelay(true);
                        return Ok((stream, address));
                    }
                    Err(error) => last = Some((address, error)),
                }
            }
            () = next => {}
        }
    }
    let (address, source) =
        last.unwrap_or_else(|| (([0, 0, 0, 0], 0).into(), io::ErrorKind::TimedOut.into()));
    Err(DialError::Unreachable {
        host: host.to_owned(),
        address,
        source,
    })
}

async fn one(address: SocketAddr, deadline: Instant) -> (SocketAddr, io::Result<TcpStream>) {
    let until = deadline.min(Instant::now() + CONNECT);
    let result = tokio::time::timeout_at(until, TcpStream::connect(address))
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    (address, result)
}

/// Addresses of a target, both families alternating, IPv6 first (RFC 8305 4).
///
/// # Errors
/// [`DialError::NoAddress`], [`DialError::Private`]
pub async fn addresses(
    lookup: &dyn Lookup,
    target: &Target,
    private: bool,
) -> Result<Vec<SocketAddr>, DialError> {
    let (six, four, why) = match target.host.parse::<IpAddr>() {
        Ok(address) => (vec![address], Vec::new(), String::new()),
        Err(_) => {
            let (six, four) = futures_util::join!(
                lookup.query(&target.host, RecordType::Aaaa),
                lookup.query(&target.host, RecordType::A)
            );
            let why = [&four, &six]
                .into_iter()
                .find_map(|answer| match &answer.outcome {
                    dna::Outcome::Failed(why) => Some(format!(": {why}")),
                    _ => None,
                });
            // What is wrongly signed leads wherever somebody wants (DANE-24).
            let safe = |answer: &dna::Answer| -> Vec<IpAddr> {
                match answer.security {
                    dna::Security::Bogus => Vec::new(),
                    _ => answer.addresses().collect(),
                }
            };
            (safe(&six), safe(&four), why.unwrap_or_default())
        }
    };
    let mut mixed = Vec::new();
    for at in 0..six.len().max(four.len()) {
        mixed.extend(six.get(at).copied());
        mixed.extend(four.get(at).copied());
    }
    let Some(&first) = mixed.first() else {
        return Err(DialError::NoAddress {
            host: target.host.clone(),
            why,
        });
    };
    mixed.retain(|address| private || is_public(*address));
    if mixed.is_empty() {
        return Err(DialError::Private {
            host: target.host.clone(),
            address: first,
        });
    }
    mixed.truncate(ADDRESSES);
    Ok(mixed
        .into_iter()
        .map(|address| SocketAddr::new(address, target.port))
        .collect())
}

/// Whether an address can be somebody's on the internet.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(four) => {
            !(four.is_loopback()
                || four.is_private()
                || four.is_link_local()
                || four.is_unspecified()
                || four.is_multicast()
                || four.is_broadcast()
                || four.octets()[0] == 0
                // Shared address space (RFC 6598).
                || (four.octets()[0] == 100 && four.octets()[1] & 0xc0 == 64))
        }
        IpAddr::V6(six) => match six.to_ipv4_mapped() {
            Some(four) => is_public(four.into()),
            None => {
                !(six.is_loopback()
                    || six.is_unspecified()
                    || six.is_multicast()
                    || six.is_unique_local()
                    || six.is_unicast_link_local())
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_inside_are_not_dialled() {
        for (address, public) in [
            ("127.0.0.1", false),
            ("10.1.2.3", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("93.184.216.34", true),
            ("2606:2800:220:1::1", true),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(is_public(parsed), public, "{address}");
        }
    }
}
