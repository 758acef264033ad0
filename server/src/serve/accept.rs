//! Connections as they come in: admitted or not, secured where TLS comes first, handed to whoever serves them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use dashmap::DashMap;
use futures_util::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use xmpp::stream::{Order, StreamError, TlsInfo};

use super::listeners::Listeners;
use crate::component::ComponentDoor;
use crate::metrics::{DoorLabel, Metrics};
use crate::net::PeerDoor;
use crate::net::limits::{Addresses, Admission, Pulse, Refused};
use crate::net::pump::Transport;
use crate::net::tls::{self, Door, Identities};
use crate::net::web::{self, Carrier};
use crate::session::Outbox;
use crate::session::client::ClientDoor;
use crate::tenancy::Tenancy;

/// How long accepting rests when the system has no descriptors left.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What the accepting loops share.
pub(super) struct Doors {
    pub(super) clients: Arc<ClientDoor>,
    pub(super) components: Arc<ComponentDoor>,
    pub(super) peers: Option<Arc<dyn PeerDoor>>,
    pub(super) identities: Arc<Identities>,
    pub(super) tenancy: Arc<Tenancy>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) streams: Arc<Streams>,
    pub(super) addresses: Arc<Addresses>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) tasks: TaskTracker,
}

/// Which listener a connection came through.
#[derive(Clone, Copy)]
struct Way {
    door: Door,
    /// TLS comes first (XEP-0368).
    direct: bool,
    component: bool,
    label: &'static str,
}

/// Starts a loop for every socket.
pub(super) fn spawn(
    listeners: &mut Listeners,
    doors: Arc<Doors>,
    stop: &CancellationToken,
) -> std::io::Result<()> {
    let way = |door, direct, label| Way {
        door,
        direct,
        component: false,
        label,
    };
    for (sockets, way) in [
        (listeners.take_c2s(), way(Door::Client, false, "c2s")),
        (listeners.take_c2s_tls(), way(Door::Client, true, "c2s_tls")),
        (listeners.take_s2s(), way(Door::Peer, false, "s2s")),
        (listeners.take_s2s_tls(), way(Door::Peer, true, "s2s_tls")),
    ] {
        for socket in sockets {
            let listener = TcpListener::from_std(socket)?;
            let (doors, stop) = (doors.clone(), stop.clone());
            doors
                .tasks
                .clone()
                .spawn(accept_loop(listener, way, doors, stop));
        }
    }
    for socket in listeners.take_components() {
        let way = Way {
            door: Door::Client,
            // COMP-06: the handshake of a component keeps nothing from anybody who listens.
            direct: !socket.local_addr()?.ip().is_loopback(),
            component: true,
            label: "components",
        };
        let listener = TcpListener::from_std(socket)?;
        let (doors, stop) = (doors.clone(), stop.clone());
        let tasks = doors.tasks.clone();
        tasks.spawn(accept_loop(listener, way, doors, stop));
    }
    Ok(())
}

async fn accept_loop(listener: TcpListener, way: Way, doors: Arc<Doors>, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (tcp, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(door = way.label, %error, "a connection cannot be accepted");
                tokio::time::sleep(EXHAUSTED).await;
                continue;
            }
        };
        let Ok(admission) = doors.admitted(from) else {
            turn_away(&tcp);
            continue;
        };
        let task = connection(tcp, from, way, doors.clone(), admission);
        doors.tasks.spawn(task);
    }
}

/// Ends a connection that is not let in, so that nothing of it is left: with a reset, which the other side hears as soon as it
/// looks, and after which the system need not remember the connection for a minute.
fn turn_away(tcp: &TcpStream) {
    // Where that fails it is closed in the ordinary way.
    let _ = tcp.set_zero_linger();
}

impl Doors {
    /// DOS-01, DOS-02: beyond the limit no connection proceeds.
    fn admitted(&self, from: SocketAddr) -> Result<Admission, Refused> {
        let admitted = match self.pulse.admits() {
            true => self.addresses.admit(from.ip(), Instant::now()),
            false => Err(Refused::Overload),
        };
        admitted.inspect_err(|refused| {
            self.metrics.refused_connections.inc();
            self.metrics.limit(refused.key());
            tracing::debug!(%from, limit = refused.key(), "a connection was refused");
        })
    }
}

/// Streams that come through the web.
impl web::Clients for Doors {
    fn admit(&self, from: SocketAddr) -> Result<Admission, Refused> {
        self.admitted(from)
    }

    fn serve(
        &self,
        door: &'static str,
        stream: BoxFuture<'static, Option<Carrier>>,
        tls: TlsInfo,
        from: SocketAddr,
        admission: Admission,
    ) {
        let (clients, streams) = (self.clients.clone(), self.streams.clone());
        let gauge = self
            .metrics
            .connections
            .get_or_create(&DoorLabel { door })
            .clone();
        self.tasks.spawn(async move {
            let Ok(Some(carrier)) = tokio::time::timeout(clients.limits.negotiation, stream).await
            else {
                return;
            };
            gauge.inc();
            let outbox = Outbox::new(clients.limits.outbox_bytes);
            let _open = streams.enter(&outbox);
            let transport = Transport::Plain(carrier);
            let tls = Some(Box::new(tls));
            Box::pin(clients.serve(transport, tls, from, outbox, admission)).await;
            gauge.dec();
        });
    }
}

async fn connection(
    tcp: TcpStream,
    from: SocketAddr,
    way: Way,
    doors: Arc<Doors>,
    admission: Admission,
) {
    // Small writes are joined by the outbox already; waiting for more would only add delay.
    if tcp.set_nodelay(true).is_err() {
        return;
    }
    let gauge = doors
        .metrics
        .connections
        .get_or_create(&DoorLabel { door: way.label })
        .clone();
    gauge.inc();
    serve(tcp, from, way, &doors, admission).await;
    gauge.dec();
}

async fn serve(tcp: TcpStream, from: SocketAddr, way: Way, doors: &Doors, admission: Admission) {
    let (transport, info) = if way.direct {
        let limit = doors.clients.limits.negotiation;
        let handshake = Box::pin(tls::accept(
            tcp,
            way.door,
            &doors.identities,
            &*doors.tenancy,
        ));
        match tokio::time::timeout(limit, handshake).await {
            Ok(Ok((stream, info))) => (Transport::Tls(Box::new(stream)), Some(Box::new(info))),
            Ok(Err(error)) => {
                tracing::debug!(%from, door = way.label, %error, "TLS handshake failed");
                return;
            }
            Err(_) => return,
        }
    } else {
        (Transport::Plain(tcp), None)
    };
    let outbox = Outbox::new(doors.clients.limits.outbox_bytes);
    let _open = doors.streams.enter(&outbox);
    if way.component {
        let components = &doors.components;
        Box::pin(components.serve(transport, info, from, outbox, admission)).await;
        return;
    }
    match (way.door, &doors.peers) {
        (Door::Client, _) => {
            let clients = &doors.clients;
            clients
                .serve(transport, info, from, outbox, admission)
                .await;
        }
        (Door::Peer, Some(peers)) => {
            let peers = peers.clone();
            peers.serve(transport, info, from, outbox, admission).await;
        }
        // The web has a loop of its own.
        (Door::Peer, None) | (Door::Web, _) => {}
    }
}

/// Every stream that is open, for closing them all.
#[derive(Default)]
pub(super) struct Streams {
    next: AtomicU64,
    open: DashMap<u64, Weak<Outbox>, ahash::RandomState>,
}

/// Leaves the list when dropped.
struct Entered<'a> {
    streams: &'a Streams,
    number: u64,
}

impl Streams {
    fn enter(&self, outbox: &Arc<Outbox>) -> Entered<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.insert(number, Arc::downgrade(outbox));
        Entered {
            streams: self,
            number,
        }
    }

    /// Tells every stream to close, so many at a time.
    pub(super) async fn close(&self, error: &StreamError, at_once: usize) {
        let all: Vec<Weak<Outbox>> = self.open.iter().map(|entry| entry.clone()).collect();
        for some in all.chunks(at_once.max(1)) {
            for outbox in some.iter().filter_map(Weak::upgrade) {
                outbox.order(Order::Close(error.clone()));
            }
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.streams.open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of what an async function makes, without calling it.
    fn bytes<A, B, C, D, E, F>(_: impl FnOnce(A, B, C, D, E) -> F) -> usize {
        size_of::<F>()
    }

    /// All of it is held for every client that is online and does nothing. An async function that calls another holds its
    /// arguments twice, so that a hundred bytes more in one place are several hundred here.
    #[test]
    fn the_future_of_a_connection_is_small() {
        let bytes = bytes(connection);
        assert!(bytes <= 2_500, "{bytes} bytes");
    }
}
