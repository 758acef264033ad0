//! Getting through to a target: its addresses, raced, within one deadline (RFC 6120 3.2.1, RFC 8305).
//!
//! Every address of a target is tried before the target is given up (S2S-05); only addresses of one target are raced, never
//! targets of different priorities (S2S-11). Refuses: addresses that lead into this machine or a private network, unless the
//! operator says that this is the whole world: a stranger's DNS must not choose what we talk to inside.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use dna::Target;
use dna::dane::Endpoint;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::guard::Guard;

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
        "{host} leads to {address}, an address inside a private network; name it in platform.private_networks if it is one of yours"
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
pub fn addresses(
    endpoint: &Endpoint,
    target: &Target,
    guard: &Guard,
) -> Result<Vec<SocketAddr>, DialError> {
    let mut mixed = Vec::new();
    for at in 0..endpoint.six.len().max(endpoint.four.len()) {
        mixed.extend(endpoint.six.get(at).copied());
        mixed.extend(endpoint.four.get(at).copied());
    }
    let Some(&first) = mixed.first() else {
        let why = endpoint.why.as_ref().map(|why| format!(": {why}"));
        return Err(DialError::NoAddress {
            host: target.host.clone(),
            why: why.unwrap_or_default(),
        });
    };
    mixed.retain(|address| guard.allows(*address));
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
