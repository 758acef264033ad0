//! XMPP over HTTP requests (BOSH: XEP-0124, XEP-0206), for where WebSockets do not get through.
//!
//! A session is a stream like any other, over a transport that requests fill and empty. Refuses: sessions that move to
//! another domain's door, and web pages of origins that the configuration does not list.

mod pipe;
mod session;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dashmap::DashMap;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use xmpp::framing::Limits;
use xmpp::framing::web::{Body, opening};
use xmpp::ns;
use xmpp::stream::TlsInfo;

use self::pipe::Pipe;
use self::session::{Arrived, Condition, HOLD, Session, Terms, WAIT, terminated};
use super::{Arrival, Carrier, Web, turned_away};

/// A request must be complete within this time.
const COMPLETE: Duration = Duration::from_secs(30);
/// What a request may be longer than a stanza.
const SLACK: usize = 64 * 1024;
/// Ids of requests fit what JavaScript counts exactly (XEP-0124 14.1).
const RID_MOST: u64 = 9_007_199_254_740_991;
/// How often sessions are looked at that nobody asks about.
const LOOK: Duration = Duration::from_secs(1);

type Shared = Arc<Mutex<Session>>;

/// All sessions, by their ids.
#[derive(Default)]
pub struct Sessions {
    open: DashMap<String, Shared, ahash::RandomState>,
}

impl Sessions {
    /// Ends sessions that are not asked about any more, until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                now = looks.tick() => self.open.retain(|_, session| !session.lock().is_forgotten(now)),
            }
        }
    }
}

/// One request.
pub(super) async fn request(
    State(web): State<Arc<Web>>,
    Extension(arrival): Extension<Arrival>,
    request: Request,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    if !web.welcomes(request.headers()) {
        let text = "web pages of this origin may not connect\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let mut response = match *request.method() {
        Method::POST => posted(&web, arrival, request).await,
        Method::OPTIONS => StatusCode::NO_CONTENT.into_response(),
        _ => {
            let text = "this address is for XMPP over BOSH (XEP-0206)\n";
            (
                StatusCode::METHOD_NOT_ALLOWED,
                [(header::ALLOW, "POST, OPTIONS")],
                text,
            )
                .into_response()
        }
    };
    if let Some(origin) = origin {
        // Named, not `*`: that stands on host-meta alone (WS-17).
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in [
            (header::VARY, "Origin"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "POST, OPTIONS"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

async fn posted(web: &Arc<Web>, arrival: Arrival, request: Request) -> Response {
    let most = web.stanza_bytes.saturating_add(SLACK);
    let door = door(&arrival);
    let bytes = match timeout(COMPLETE, to_bytes(request.into_body(), most)).await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(_)) => return (StatusCode::PAYLOAD_TOO_LARGE, "too long\n").into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    let limits = Limits {
        element_bytes: most,
        ..Limits::default()
    };
    let refused = |condition| said(None, terminated(Some(condition)));
    let Ok(text) = std::str::from_utf8(&bytes) else {
        return refused(Condition::BadRequest);
    };
    let Ok(body) = Body::read(text, limits) else {
        return refused(Condition::BadRequest);
    };
    let rid = body.attribute("rid").and_then(|rid| rid.parse().ok());
    let Some(rid) = rid.filter(|rid| (1..=RID_MOST).contains(rid)) else {
        return refused(Condition::BadRequest);
    };
    let Ok(mut arrived) = read(&body) else {
        return refused(Condition::BadRequest);
    };
    let (answer, answered) = oneshot::channel();
    arrived.answer = Some(answer);
    let session = match body.attribute("sid") {
        None => match begin(web, &arrival, &body, door, rid, &mut arrived) {
            Ok(session) => session,
            Err(response) => return *response,
        },
        Some(sid) => {
            let known = web.bosh.open.get(sid).map(|entry| entry.clone());
            match known.filter(|session| session.lock().terms.door == door) {
                Some(session) => session,
                None => return refused(Condition::ItemNotFound),
            }
        }
    };
    let (wait, content) = {
        let mut session = session.lock();
        session.request(rid, arrived, Instant::now());
        (session.terms.wait, session.terms.content.clone())
    };
    // While a request before it is missing, it waits no longer than any other.
    let wait = wait.max(Duration::from_secs(1));
    tokio::pin!(answered);
    let text = match timeout(wait, &mut answered).await {
        Ok(text) => text,
        Err(_) => {
            session.lock().expire(rid, Instant::now());
            answered.await
        }
    };
    said(
        content.as_deref(),
        text.unwrap_or_else(|_| terminated(None)),
    )
}

/// What a request wants; `Err`: its attributes make no sense.
fn read(body: &Body<'_>) -> Result<Arrived, ()> {
    let number = |name| match body.attribute(name) {
        Some(text) => text.parse::<u64>().map(Some).map_err(|_| ()),
        None => Ok(None),
    };
    let mut said = Vec::new();
    let restart = body.attribute_in(ns::XBOSH, "restart");
    if restart.is_some_and(|word| word == "true" || word == "1") {
        // What comes with it is ignored (XEP-0206 5).
        header(body, &mut said);
    } else if body.attribute("sid").is_some() {
        body.children(&mut said);
    }
    let terminate = body.attribute("type") == Some("terminate");
    let pause = number("pause")?;
    Ok(Arrived {
        busy: terminate || pause.is_some(),
        said,
        terminate,
        pause,
        answer: None,
    })
}

/// The opening tag of a stream that this body begins.
fn header(body: &Body<'_>, out: &mut Vec<u8>) {
    let own = |name: &str| body.attribute(name).map(str::to_owned);
    let version = body.attribute_in(ns::XBOSH, "version");
    let version = version.unwrap_or("1.0").to_owned();
    opening(
        [
            ("to", own("to")),
            ("from", own("from")),
            ("xml:lang", own("xml:lang")),
            ("version", Some(version)),
        ],
        out,
    );
}

fn begin(
    web: &Arc<Web>,
    arrival: &Arrival,
    body: &Body<'_>,
    door: String,
    rid: u64,
    arrived: &mut Arrived,
) -> Result<Shared, Box<Response>> {
    let refused = |condition| Box::new(said(None, terminated(Some(condition))));
    let Some(to) = body.attribute("to") else {
        return Err(refused(Condition::ImproperAddressing));
    };
    let number = |name| body.attribute(name).and_then(|n| n.parse::<u64>().ok());
    let admission = web.clients.admit(arrival.from);
    let admission = admission.map_err(|refused| Box::new(turned_away(refused)))?;
    let random: [u8; 20] = rand::random();
    let sid = data_encoding::HEXLOWER.encode(&random);
    let hold = number("hold").unwrap_or(HOLD as u64).min(HOLD as u64);
    let content = body.attribute("content").filter(|kind| {
        // Nothing that a browser would run.
        ["text/xml", "application/xml", "text/plain"]
            .iter()
            .any(|known| kind.split(';').next().unwrap_or_default().trim() == *known)
    });
    let terms = Terms {
        sid: sid.clone(),
        to: to.to_owned(),
        door,
        wait: Duration::from_secs(number("wait").unwrap_or(WAIT).min(WAIT)),
        hold: usize::try_from(hold).unwrap_or(HOLD),
        content: content.map(str::to_owned),
        version: match body.attribute("ver") {
            Some(version @ ("1.5" | "1.6" | "1.7" | "1.8" | "1.9" | "1.10" | "1.11")) => {
                known_version(version)
            }
            _ => "1.11",
        },
    };
    arrived.said.clear();
    header(body, &mut arrived.said);
    let session = Arc::new(Mutex::new(Session::new(terms, rid, Instant::now())));
    web.bosh.open.insert(sid, session.clone());
    let pipe = Pipe(session.clone());
    let stream = Box::pin(async move { Some(Box::new(pipe) as Carrier) });
    // One session may go over many connections: none of them binds it (SASL-22), but all are to the same identity.
    let tls = TlsInfo {
        exporter: None,
        end_point: None,
        peer_chain: Vec::new(),
        ..arrival.tls.clone()
    };
    web.clients
        .serve("bosh", stream, tls, arrival.from, admission);
    Ok(session)
}

fn known_version(version: &str) -> &'static str {
    ["1.5", "1.6", "1.7", "1.8", "1.9", "1.10", "1.11"]
        .into_iter()
        .find(|known| *known == version)
        .unwrap_or("1.11")
}

/// The identity that the connection showed, and the name it was asked by where that is the platform's.
fn door(arrival: &Arrival) -> String {
    match &arrival.tls.identity {
        Some(domain) => domain.to_string(),
        None => arrival.tls.sni.clone().unwrap_or_default(),
    }
}

fn said(content: Option<&str>, text: String) -> Response {
    let kind = content.unwrap_or("text/xml; charset=utf-8");
    let kind = HeaderValue::from_str(kind)
        .unwrap_or_else(|_| HeaderValue::from_static("text/xml; charset=utf-8"));
    let mut response = HttpBody::from(text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
