//! The public web door of the hosted domains: HTTPS with each domain's own certificate, chosen by SNI as everywhere else.
//!
//! It answers for the domain that the TLS handshake named and for no other: a `Host` that says something else is
//! misdirected (RFC 9110 15.5.20). It serves only what the world may see of a domain, shares nothing with the panel, and
//! sets no cookie. A connection is bounded in handshake time, header time and life.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Request};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::debug;
use xmpp::jid::DomainName;

use super::tls::{self, Door, Identities, Names};

/// Connections at a time, over all domains; more wait in the kernel's queue.
const CONNECTIONS: usize = 4096;
/// TLS must be up within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A request's header must be complete within this time.
const HEADER: Duration = Duration::from_secs(10);
/// How long accepting rests after an error.
const PAUSE: Duration = Duration::from_millis(200);
/// No connection lives longer.
const LIFE: Duration = Duration::from_secs(300);

/// What the door needs of the live server.
#[derive(Clone)]
pub struct PublicDoor {
    /// Certificates by name.
    pub identities: Arc<Identities>,
    /// Which names are served.
    pub names: Arc<dyn Names>,
}

/// The hosted domain that the handshake named.
#[derive(Debug, Clone)]
struct Served(DomainName);

/// Accepts until `stop`, then lets requests under way end.
pub async fn serve(listener: TcpListener, door: PublicDoor, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let app = router();
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else {
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
                tracing::warn!(%error, "the public door cannot accept");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (door, app, stop) = (door.clone(), app.clone(), stop.clone());
        tasks.spawn(async move {
            let _permit = permit;
            if let Err(error) = connection(tcp, address, door, app, stop).await {
                debug!(%error, "a connection of the public door ended early");
            }
        });
    }
    tasks.close();
    let _ = timeout(HEADER, tasks.wait()).await;
}

async fn connection(
    tcp: TcpStream,
    _address: SocketAddr,
    door: PublicDoor,
    app: Router,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let handshake = Box::pin(tls::accept(tcp, Door::Web, &door.identities, &*door.names));
    let (stream, info) = timeout(HANDSHAKE, handshake).await??;
    let served = info.identity;
    let app = match served {
        Some(domain) => app.layer(Extension(Served(domain))),
        None => Router::new().fallback(nothing_here),
    };
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut serving = std::pin::pin!(serving);
    let ended = tokio::select! {
        ended = timeout(LIFE, &mut serving) => ended.unwrap_or(Ok(())),
        () = stop.cancelled() => {
            serving.as_mut().graceful_shutdown();
            serving.await
        }
    };
    Ok(ended?)
}

fn router() -> Router {
    Router::new()
        .route("/", get(page))
        .fallback(nothing_here)
        .layer(middleware::from_fn(guard))
}

/// Refuses a `Host` that is not the domain of the handshake, and adds the headers every answer has.
async fn guard(request: Request, next: Next) -> Result<Response, Infallible> {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|h| h.to_str().ok())
        .unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|b| b.is_ascii_digit()) {
            name
        } else {
            host
        }
    });
    let served = request.extensions().get::<Served>();
    let meant = DomainName::parse(name).ok();
    if served.is_none_or(|s| meant.as_ref() != Some(&s.0)) {
        return Ok((
            StatusCode::MISDIRECTED_REQUEST,
            "this connection is for another name\n",
        )
            .into_response());
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, header::HeaderValue::from_static(value));
    }
    Ok(response)
}

async fn nothing_here() -> Response<Body> {
    (StatusCode::NOT_FOUND, "nothing is served here\n").into_response()
}

/// For people who type a chat domain into a browser: what this is, and how to use it.
async fn page(Extension(Served(domain)): Extension<Served>) -> Html<String> {
    // A domain name holds letters, digits, hyphens and dots in any script, but nothing that HTML gives a meaning to.
    Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Chat at {domain}</title><style>:root{{color-scheme:light dark}}body{{\
         font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem}}</style></head><body>\
         <h1>Chat at {domain}</h1><p>This is a chat service (XMPP) for addresses that end in <b>@{domain}</b>.</p><p>To use \
         one, get an app such as Conversations, Dino, Gajim or Monal and sign in with your address and password. Whoever \
         gave you the address can help you.</p></body></html>\n"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(served: &str, host: &str, path: &str) -> (StatusCode, String) {
        use tower_service::Service as _;
        let mut app = router().layer(Extension(Served(
            DomainName::parse(served).expect("domain"),
        )));
        let request = Request::builder()
            .uri(path)
            .header(header::HOST, host)
            .body(Body::empty())
            .expect("request");
        let response = app.call(request).await.expect("infallible");
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 16)
            .await
            .expect("body");
        (status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn answers_for_the_domain_of_the_handshake_only() {
        let (status, body) = ask("one.example", "one.example:5443", "/").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("@one.example"), "{body}");
        let (status, body) = ask("one.example", "two.example", "/").await;
        assert_eq!(status, StatusCode::MISDIRECTED_REQUEST);
        assert!(!body.contains("example"), "{body}");
        assert_eq!(
            ask("one.example", "", "/").await.0,
            StatusCode::MISDIRECTED_REQUEST
        );
        assert_eq!(
            ask("one.example", "one.example", "/panel").await.0,
            StatusCode::NOT_FOUND
        );
    }
}
