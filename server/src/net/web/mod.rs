//! XMPP through the public web door: WebSocket (RFC 7395) and BOSH (XEP-0206); and the files that people share (XEP-0363).
//!
//! A client comes under the name of its domain, or under the platform's own, which many domains share (WS-19): then the
//! opening tag says which domain it means, as everywhere else. Refuses: anything but TLS (WS-14), and web pages of other
//! origins than the configuration lists, if it lists any.

pub mod bosh;
mod socket;
mod upgrade;
pub mod uploads;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use control::records::{BOSH, WEBSOCKET};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use xmpp::stream::TlsInfo;

use super::limits::{Admission, Refused};
use crate::tenancy::Tenancy;

/// The endpoints.
pub(super) fn router(web: Arc<Web>) -> Router {
    Router::new()
        .route(WEBSOCKET, any(upgrade::websocket))
        .route(BOSH, any(bosh::request))
        .with_state(web.clone())
        .merge(
            Router::new()
                .route("/upload/{token}/{name}", any(uploads::request))
                // Sizes are the slots'.
                .layer(DefaultBodyLimit::disable())
                .with_state(web.uploads.clone()),
        )
}

/// What carries a client's stream through the web.
pub type Carrier = Box<dyn Carries>;

/// Anything that can be read and written.
pub trait Carries: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Carries for T {}

/// Whoever serves clients, however they come.
pub trait Clients: Send + Sync {
    /// Lets a client in, or not: as its address may, and as the process keeps up.
    ///
    /// # Errors
    /// The limit that is reached.
    fn admit(&self, from: SocketAddr) -> Result<Admission, Refused>;
    /// Serves a stream to its end, in a task of its own. `door` is the label of its metric.
    fn serve(
        &self,
        door: &'static str,
        stream: BoxFuture<'static, Option<Carrier>>,
        tls: TlsInfo,
        from: SocketAddr,
        admission: Admission,
    );
}

/// What streams through the web need of the server.
pub struct Web {
    /// Who serves them.
    pub clients: Arc<dyn Clients>,
    /// Which domains there are.
    pub tenancy: Arc<Tenancy>,
    /// Address of the door under the platform's own name, without a path; empty: it has none.
    pub platform: String,
    /// Origins of the web pages that may connect; empty: all.
    pub origins: Vec<String>,
    /// Sessions over requests.
    pub bosh: Arc<bosh::Sessions>,
    /// Shared files.
    pub uploads: Arc<uploads::Uploads>,
    /// Bytes of the largest stanza.
    pub stanza_bytes: usize,
}

impl Web {
    /// Whether a web page may: its browser says where it is from. Who is no browser says nothing.
    fn welcomes(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(header::ORIGIN) else {
            return true;
        };
        let listed = |own: &String| own.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
        self.origins.is_empty() || self.origins.iter().any(listed)
    }
}

/// When to come again, in seconds: overload is seen within one of them and is over a few later ...
const OVERLOAD_PASSES: &str = "5";
/// ... and what an address may is counted by the minute.
const ADDRESS_MAY_AGAIN: &str = "60";

/// What a client hears that is not let in: that we have too much to do (RFC 9110 15.6.4), or that its address asks too much (RFC
/// 6585 4).
fn turned_away(refused: Refused) -> Response {
    let (status, seconds, text) = match refused {
        Refused::Overload | Refused::UnauthenticatedInAll => (
            StatusCode::SERVICE_UNAVAILABLE,
            OVERLOAD_PASSES,
            "too much to do; come again a little later\n",
        ),
        Refused::Simultaneous | Refused::Rate | Refused::Unauthenticated => (
            StatusCode::TOO_MANY_REQUESTS,
            ADDRESS_MAY_AGAIN,
            "too many connections from there\n",
        ),
    };
    (status, [(header::RETRY_AFTER, seconds)], text).into_response()
}

/// How a request came.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// From where.
    pub from: SocketAddr,
    /// What its connection's handshake gave.
    pub tls: TlsInfo,
}

#[cfg(test)]
mod tests;
