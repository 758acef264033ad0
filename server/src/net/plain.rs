//! The plain web door, at port 80: where certificate authorities begin that check a name by HTTP (http-01, RFC 8555 8.3).
//!
//! It serves their answers, for hosted names and for the names in the platform's zone to which owners' websites lead;
//! everything else is led to HTTPS, where the name is hosted, or is nothing. Off unless it is configured. A connection is bounded
//! in header time and life, and counted by address.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use control::records::Whose;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use xmpp::jid::DomainName;

use super::door::{self, Room};
use super::public::{Knows, host_of, nothing_here};
use super::tls::Names;

/// Connections at a time; more wait in the kernel's queue.
const CONNECTIONS: usize = 1024;
/// A request's header must be complete within this time.
const HEADER: Duration = Duration::from_secs(10);
/// No connection lives longer.
const LIFE: Duration = Duration::from_secs(60);

/// Where authorities ask.
pub(super) const CHALLENGE: &str = "/.well-known/acme-challenge/{token}";

/// What the door needs.
#[derive(Clone)]
pub struct PlainDoor {
    /// Which names are served.
    pub names: Arc<dyn Names>,
    /// Who knows the answers; set once control is there.
    pub control: Knows,
    /// The platform's zone.
    pub zone: Arc<str>,
    /// Connections of one address at a time, and new ones in a minute.
    pub per_address: (u32, u32),
}

/// Accepts until `stop`, then lets requests under way end.
pub async fn serve(listener: TcpListener, door: PlainDoor, stop: CancellationToken) {
    let room = Room {
        door: "plain",
        connections: CONNECTIONS,
        per_address: door.per_address,
        farewell: HEADER,
    };
    let app = Router::new()
        .route(CHALLENGE, get(answer))
        .fallback(to_https)
        .with_state(door);
    let ending = stop.clone();
    door::accept(listener, room, stop, move |tcp, _| {
        let (app, stop) = (app.clone(), ending.clone());
        async move {
            if let Err(error) = connection(tcp, app, stop).await {
                debug!(%error, "a connection of the plain door ended early");
            }
        }
    })
    .await;
}

async fn connection(
    tcp: TcpStream,
    app: Router,
    stop: CancellationToken,
) -> Result<(), hyper::Error> {
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(tcp), TowerToHyperService::new(app));
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = timeout(LIFE, &mut serving) => ended.unwrap_or(Ok(())),
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    }
}

impl PlainDoor {
    /// The label of a name in the platform's zone.
    fn label<'a>(&self, name: &'a DomainName) -> Option<&'a str> {
        let label = name.as_str().strip_suffix(&*self.zone)?.strip_suffix('.')?;
        (!label.contains('.')).then_some(label)
    }
}

async fn answer(
    State(door): State<PlainDoor>,
    Path(token): Path<String>,
    request: Request,
) -> Response {
    let Some(name) = host_of(&request) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let whose = match door.label(&name) {
        Some(label) => Whose::Label(label),
        None => Whose::Domain(&name),
    };
    challenge(&door.control, whose, &token).await
}

async fn to_https(State(door): State<PlainDoor>, request: Request) -> Response {
    let hosted = host_of(&request).filter(|name| door.names.served_by(name).is_some());
    let path = request.uri().path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    match hosted {
        Some(name) => {
            let to = format!("https://{}{path}", name.to_ascii());
            (StatusCode::PERMANENT_REDIRECT, [(header::LOCATION, to)]).into_response()
        }
        None => nothing_here().await,
    }
}

/// The key authorization (RFC 8555 8.3), or 404.
pub(super) async fn challenge(control: &Knows, whose: Whose<'_>, token: &str) -> Response {
    let Some(control) = control.get() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let cached = (header::CACHE_CONTROL, "no-store");
    match control.challenge_answer(whose, token).await {
        Ok(Some(answer)) => {
            let kind = (header::CONTENT_TYPE, "application/octet-stream");
            ([cached, kind], answer).into_response()
        }
        Ok(None) => ([cached], nothing_here().await).into_response(),
        Err(error) => {
            tracing::error!(error = error.log_text(), "a challenge cannot be read");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}
