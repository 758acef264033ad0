//! The public web door of the hosted domains: HTTPS with each domain's own certificate, chosen by SNI as everywhere else.
//!
//! It answers for the domain that the TLS handshake named and for no other: a `Host` that says something else is
//! misdirected (RFC 9110 15.5.20). It serves only what the world may see of a domain, shares nothing with the panel, and
//! sets no cookie. What invitations lead to (XEP-0401), and the links by which people load what they have (XEP-0227), are the
//! panel's pages for visitors, handed in. Under the platform's own name it serves what owners' websites lead to: POSH documents, over HTTPS and in
//! no other way (RFC 7711 3, POSH-01), host-meta, answers to certificate authorities (http-01). A connection is bounded in handshake time, header time and life.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use admin_web::invited::OwnWebsite;
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Extension, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, any, get};
use control::Control;
use control::invite::INVITE_PATH;
use control::own_export::OWN_EXPORT_PATH;
use control::records::{HOST_META, Whose};
use control::registration::ASK_PATH;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use xmpp::jid::DomainName;

use super::door::{self, Room};
use super::late::Late;
use super::plain::{CHALLENGE, challenge};
use super::tls::{self, Door, Identities, Names};
use super::web::{self, Arrival, Web};

/// Connections at a time, over all domains; more wait in the kernel's queue.
const CONNECTIONS: usize = 4096;
/// TLS must be up within this time.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// A request's header must be complete within this time.
const HEADER: Duration = Duration::from_secs(10);
/// No connection takes requests for longer …
const LIFE: Duration = Duration::from_secs(300);
/// … and so long it may take to end those under way.
const LAST_REQUEST: Duration = Duration::from_secs(3600);

/// HTTP keeps nothing of what POSH says: documents have an end of their own (POSH-37).
const POSH_CACHE: &str = "no-cache";
/// What leads browsers here changes hardly ever.
const HOST_META_CACHE: &str = "max-age=3600";

/// What the door needs of the live server.
#[derive(Clone)]
pub struct PublicDoor {
    /// Certificates by name.
    pub identities: Arc<Identities>,
    /// Which names are served.
    pub names: Arc<dyn Names>,
    /// Who knows what is published; set once control is there.
    pub control: Arc<OnceLock<Arc<Control>>>,
    /// Pages of invitations; set once control is there.
    pub invites: Pages,
    /// Streams through the web.
    pub web: Arc<Web>,
    /// Connections of one address at a time, and new ones in a minute.
    pub per_address: (u32, u32),
}

/// The name that the handshake named.
#[derive(Debug, Clone)]
struct Served(DomainName);

/// Accepts until `stop`, then lets requests under way end.
pub async fn serve(listener: TcpListener, door: PublicDoor, stop: CancellationToken) {
    // As the panel's: where nobody comes, there is none.
    let made = OnceLock::new();
    let room = Room {
        door: "public",
        connections: CONNECTIONS,
        per_address: door.per_address,
        farewell: HEADER,
    };
    let ending = stop.clone();
    door::accept(listener, room, stop, move |tcp, address| {
        let apps = made.get_or_init(|| Apps::of(&door)).clone();
        let (door, stop) = (door.clone(), ending.clone());
        async move {
            if let Err(error) = connection(tcp, address, door, apps, stop).await {
                debug!(%error, "a connection of the public door ended early");
            }
        }
    })
    .await;
}

async fn connection(
    tcp: TcpStream,
    from: SocketAddr,
    door: PublicDoor,
    apps: Apps,
    stop: CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let handshake = Box::pin(tls::accept(tcp, Door::Web, &door.identities, &*door.names));
    let (stream, info) = timeout(HANDSHAKE, handshake).await??;
    let named = info.sni.as_deref().map(DomainName::parse);
    let app = match (info.identity.clone(), named) {
        (Some(domain), Some(Ok(name))) if domain.is_parent_of(&name) => {
            apps.domain.layer(Extension(Served(name)))
        }
        (Some(domain), _) => apps.domain.layer(Extension(Served(domain))),
        (None, Some(Ok(name))) => apps.platform.layer(Extension(Served(name))),
        (None, _) => Router::new().fallback(nothing_here),
    };
    let app = app.layer(Extension(Arrival { from, tls: info }));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app))
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        ended = &mut serving => return Ok(ended?),
        () = tokio::time::sleep(LIFE) => {}
        () = stop.cancelled() => {}
    }
    serving.as_mut().graceful_shutdown();
    Ok(timeout(LAST_REQUEST, serving).await.unwrap_or(Ok(()))?)
}

/// What is served under a hosted domain's name, and under the platform's own.
#[derive(Clone)]
struct Apps {
    domain: Router,
    platform: Router,
}

impl Apps {
    fn of(door: &PublicDoor) -> Self {
        let shared = |app: Router, invites: MethodRouter<Pages>| {
            app.merge(web::router(door.web.clone()))
                .merge(invites_router(invites, door.invites.clone()))
                .layer(middleware::from_fn(guard))
        };
        Self {
            domain: shared(router(door.control.clone()), any(invites_of_domain)),
            platform: shared(platform_router(door.control.clone()), any(invites_of_any)),
        }
    }
}

/// Control, once it is there.
pub type Knows = Arc<OnceLock<Arc<Control>>>;

fn router(control: Knows) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/.well-known/posh/{file}", get(posh_of_domain))
        .route("/.well-known/{file}", get(host_meta_of_domain))
        .route(CHALLENGE, get(challenge_of_domain))
        .fallback(nothing_here)
        .with_state(control)
}

/// Where owners' websites lead: nothing but what they may lead to.
fn platform_router(control: Knows) -> Router {
    Router::new()
        .route("/posh/{label}/{file}", get(posh_of_label))
        .route("/host-meta/{label}/{file}", get(host_meta_of_label))
        .route("/acme/{label}/{*token}", get(challenge_of_label))
        .route("/outage/{domain}", get(outage))
        .fallback(nothing_here)
        .with_state(control)
}

/// Pages of invitations, once they are there.
pub type Pages = Arc<OnceLock<Late>>;

fn invites_router(invites: MethodRouter<Pages>, pages: Pages) -> Router {
    Router::new()
        .route(&format!("{INVITE_PATH}{{token}}"), invites.clone())
        .route(&format!("{ASK_PATH}{{domain}}"), invites.clone())
        .route(&format!("{OWN_EXPORT_PATH}{{token}}"), invites.clone())
        .route(admin_web::ASSETS, invites)
        .with_state(pages)
}

/// Where this door is the domain's own website: invitations to it.
async fn invites_of_domain(
    State(pages): State<Pages>,
    Extension(Served(domain)): Extension<Served>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    let own = OwnWebsite(domain.to_string());
    invites(&pages, &arrival, Some(own), request).await
}

/// Under the platform's own name: to whichever domain.
async fn invites_of_any(
    State(pages): State<Pages>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    invites(&pages, &arrival, None, request).await
}

async fn invites(
    pages: &Pages,
    arrival: &Arrival,
    own: Option<OwnWebsite>,
    request: Request,
) -> Response {
    let Some(app) = pages.get() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    // A request as it came: what this router has found in its path is not to be found twice.
    let (parts, body) = request.into_parts();
    let mut request = Request::new(body);
    *request.method_mut() = parts.method;
    *request.uri_mut() = parts.uri;
    *request.headers_mut() = parts.headers;
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(arrival.from));
    if let Some(own) = own {
        extensions.insert(own);
    }
    app.answer(request).await
}

/// Where this door is the domain's own website.
async fn posh_of_domain(
    State(control): State<Knows>,
    Extension(Served(domain)): Extension<Served>,
    Path(file): Path<String>,
) -> Response {
    posh(&control, &file, Whose::Domain(&domain)).await
}

/// Where the domain's website leads here, by redirect or by `url`.
async fn posh_of_label(
    State(control): State<Knows>,
    Path((label, file)): Path<(String, String)>,
) -> Response {
    posh(&control, &file, Whose::Label(&label)).await
}

/// A fingerprints document or 404 (POSH-04); names as written, without underscores (POSH-02).
async fn posh(control: &Knows, file: &str, whose: Whose<'_>) -> Response {
    let unavailable = || StatusCode::SERVICE_UNAVAILABLE.into_response();
    if !matches!(file, "xmpp-client.json" | "xmpp-server.json") {
        return nothing_here().await;
    }
    let Some(control) = control.get() else {
        return unavailable();
    };
    let cached = (header::CACHE_CONTROL, POSH_CACHE);
    match control.posh_document(whose).await {
        Ok(Some(document)) => {
            let json = (header::CONTENT_TYPE, "application/json");
            ([cached, json], document).into_response()
        }
        Ok(None) => ([cached], nothing_here().await).into_response(),
        Err(error) => {
            tracing::error!(error = error.log_text(), "a POSH document cannot be read");
            unavailable()
        }
    }
}

/// Where this door is the domain's own website: apps in browsers find their way (WS-16).
async fn host_meta_of_domain(
    State(control): State<Knows>,
    Extension(Served(name)): Extension<Served>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Response {
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let door = format!("https://{}", host.unwrap_or_default());
    host_meta(&control, &file, Whose::Domain(&name), &door).await
}

/// Where its website leads here.
async fn host_meta_of_label(
    State(control): State<Knows>,
    Path((label, file)): Path<(String, String)>,
) -> Response {
    host_meta(&control, &file, Whose::Label(&label), "").await
}

async fn host_meta(control: &Knows, file: &str, whose: Whose<'_>, door: &str) -> Response {
    let Some((_, kind)) = HOST_META.iter().find(|(name, _)| *name == file) else {
        return nothing_here().await;
    };
    let Some(control) = control.get() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    match control.host_meta(whose, file, door).await {
        Ok(Some(document)) => {
            // WS-17: whoever may read it is everybody, and this is the one place for it.
            let headers = [
                (header::CONTENT_TYPE, *kind),
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
                (header::CACHE_CONTROL, HOST_META_CACHE),
            ];
            (headers, document).into_response()
        }
        Ok(None) => nothing_here().await,
        Err(error) => {
            tracing::error!(
                error = error.log_text(),
                "a host-meta document cannot be made"
            );
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// What is the matter with a domain (XEP-0455 2.2), for everybody and from every page.
async fn outage(State(control): State<Knows>, Path(domain): Path<String>) -> Response {
    let Some(control) = control.get() else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let Ok(domain) = DomainName::parse(&domain) else {
        return nothing_here().await;
    };
    match control.outage_document(&domain).await {
        Ok(Some(document)) => {
            let headers = [
                (header::CONTENT_TYPE, "application/json"),
                (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
                (header::CACHE_CONTROL, POSH_CACHE),
            ];
            (headers, document).into_response()
        }
        Ok(None) => nothing_here().await,
        Err(error) => {
            tracing::error!(
                error = error.log_text(),
                "an announced outage cannot be read"
            );
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// Where this door is the domain's own website: certificate authorities ask (http-01).
async fn challenge_of_domain(
    State(control): State<Knows>,
    Extension(Served(name)): Extension<Served>,
    Path(token): Path<String>,
) -> Response {
    challenge(&control, Whose::Domain(&name), &token).await
}

/// Where its website leads them here. Redirects that keep the whole path are as welcome as those that keep the token only.
async fn challenge_of_label(
    State(control): State<Knows>,
    Path((label, path)): Path<(String, String)>,
) -> Response {
    let token = path
        .rsplit_once('/')
        .map_or(path.as_str(), |(_, token)| token);
    challenge(&control, Whose::Label(&label), token).await
}

/// Refuses a `Host` that is not the domain of the handshake, and adds the headers every answer has.
async fn guard(request: Request, next: Next) -> Result<Response, Infallible> {
    let meant = host_of(&request);
    let served = request.extensions().get::<Served>();
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
        // What is stricter stays.
        let value = header::HeaderValue::from_static(value);
        headers.entry(name).or_insert(value);
    }
    Ok(response)
}

/// The name that `Host` says, without its port.
pub(super) fn host_of(request: &Request) -> Option<DomainName> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    DomainName::parse(name).ok()
}

pub(super) async fn nothing_here() -> Response<Body> {
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
    use tower_service::Service as _;

    use super::*;

    async fn ask(served: &str, host: &str, path: &str) -> (StatusCode, String) {
        let mut app = router(Knows::default())
            .layer(middleware::from_fn(guard))
            .layer(Extension(Served(
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
