//! Sockets that listen, bound before anything runs.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::ListenSection;

/// Connections that may wait for `accept`.
const BACKLOG: i32 = 1024;

/// Why an address cannot be listened at. The operator's, mostly: another program has it, or the right is missing.
#[derive(Debug, thiserror::Error)]
#[error("{door}: cannot listen at {address}: {source}; choose another address in listen.{door}")]
pub struct BindError {
    /// Key of the configuration's section `listen`.
    pub door: &'static str,
    /// Address asked for.
    pub address: SocketAddr,
    /// Cause.
    pub source: std::io::Error,
}

macro_rules! doors {
    ($($(#[doc = $doc:literal])+ $door:ident / $take:ident),+ $(,)?) => {
        /// Bound sockets of every door, and their addresses (with the ports that were given for 0).
        #[derive(Debug)]
        pub struct Listeners { $($door: (Vec<SocketAddr>, Vec<TcpListener>)),+ }

        impl Listeners {
            /// Binds every address of the section.
            ///
            /// # Errors
            /// [`BindError`] for the first that cannot be bound; the others are let go.
            pub fn bind(section: &ListenSection) -> Result<Self, BindError> {
                Ok(Self { $($door: bind_all(stringify!($door), &section.$door)?),+ })
            }

            $(
                $(#[doc = $doc])+
                pub fn $door(&self) -> &[SocketAddr] {
                    &self.$door.0
                }

                pub(super) fn $take(&mut self) -> Vec<TcpListener> {
                    std::mem::take(&mut self.$door.1)
                }
            )+
        }
    };
}
doors! {
    /// Clients, STARTTLS.
    c2s / take_c2s,
    /// Clients, direct TLS.
    c2s_tls / take_c2s_tls,
    /// Servers, STARTTLS.
    s2s / take_s2s,
    /// Servers, direct TLS.
    s2s_tls / take_s2s_tls,
    /// Components.
    components / take_components,
    /// The public web door.
    public / take_public,
    /// The plain web door.
    http / take_http,
    /// Panel and API.
    admin / take_admin,
    /// Health and metrics.
    internal / take_internal,
}

fn bind_all(
    door: &'static str,
    addresses: &[SocketAddr],
) -> Result<(Vec<SocketAddr>, Vec<TcpListener>), BindError> {
    let mut bound = (Vec::new(), Vec::new());
    for &address in addresses {
        let fault = |source| BindError {
            door,
            address,
            source,
        };
        let listener = bind(address).map_err(fault)?;
        bound.0.push(listener.local_addr().map_err(fault)?);
        bound.1.push(listener);
    }
    Ok(bound)
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` serves both families.
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
