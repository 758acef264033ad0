//! Sockets: listeners and the way out, the one loop around a stream machine, TLS identity by name, DNS, and the HTTP doors.

pub mod dial;
mod door;
pub mod fetch;
pub mod guard;
pub mod https;
pub mod internal;
pub mod late;
pub mod limits;
pub mod lookup;
pub mod memory;
pub mod plain;
pub mod public;
pub mod pump;
pub mod tls;
pub mod web;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use futures_util::future::BoxFuture;
use tokio::net::TcpStream;
use xmpp::stream::TlsInfo;
use xmpp::timestamp::Timestamp;

use self::limits::Admission;
use self::pump::Transport;
use crate::session::Outbox;

/// Whoever serves the connections that peers open.
pub trait PeerDoor: Send + Sync {
    /// Serves one connection to its end. `tls` is what the handshake of direct TLS gave; `outbox` is listed among the open
    /// streams, so that all of them can be told to close; `admission` is told when the peer has proved a domain.
    fn serve(
        self: Arc<Self>,
        transport: Transport<TcpStream>,
        tls: Option<Box<TlsInfo>>,
        from: SocketAddr,
        outbox: Arc<Outbox>,
        admission: Admission,
    ) -> BoxFuture<'static, ()>;
}

/// The wall clock, for machines and stamps.
pub fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
