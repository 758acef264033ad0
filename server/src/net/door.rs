//! Accepting at a web door: so many connections in all, so many of one address, the rest waits in the kernel's queue; at the end
//! those that are there may finish. Refuses: to know what is spoken.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::limits::{AddressLimits, Addresses};

/// How long accepting rests after an error.
const PAUSE: Duration = Duration::from_millis(200);

/// What a door admits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// What the log calls it.
    pub(super) door: &'static str,
    /// Connections at a time.
    pub(super) connections: usize,
    /// Those of one address at a time, and new ones in a minute.
    pub(super) per_address: (u32, u32),
    /// How long those that are there at the end may go on.
    pub(super) farewell: Duration,
}

/// Accepts until `stop`; each connection is served by what `serve` makes of it, and counted until that has ended.
pub(super) async fn accept<S>(
    listener: TcpListener,
    room: Room,
    stop: CancellationToken,
    serve: impl Fn(TcpStream, SocketAddr) -> S,
) where
    S: Future<Output = ()> + Send + 'static,
{
    let tasks = TaskTracker::new();
    let places = Arc::new(Semaphore::new(room.connections));
    let (simultaneous, per_minute) = room.per_address;
    let addresses = Addresses::new(AddressLimits {
        simultaneous,
        per_minute,
        unauthenticated: simultaneous,
        unauthenticated_in_all: u32::try_from(room.connections).unwrap_or(u32::MAX),
    });
    loop {
        let Ok(permit) = places.clone().acquire_owned().await else {
            break;
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (tcp, address) = match accepted {
            Ok(connection) => connection,
            Err(error) => {
                // Usually: out of descriptors. The next one that closes makes room.
                tracing::warn!(door = room.door, %error, "a door cannot accept");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(admission) = addresses.admit(address.ip(), Instant::now()) else {
            continue;
        };
        let served = serve(tcp, address);
        tasks.spawn(async move {
            let _place = (permit, admission);
            served.await;
        });
    }
    tasks.close();
    let _ = timeout(room.farewell, tasks.wait()).await;
}
