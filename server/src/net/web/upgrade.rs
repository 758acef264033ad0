//! The way from HTTP to a WebSocket (RFC 6455 4.2, RFC 7395 3.1).

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::records::WEBSOCKET;
use data_encoding::BASE64;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use xmpp::jid::DomainName;

use super::socket::{Elsewhere, Socket};
use super::{Arrival, Carrier, Web, turned_away};

/// The subprotocol.
const XMPP: &str = "xmpp";

/// Takes the connection out of HTTP, or says why not.
pub(super) async fn websocket(
    State(web): State<Arc<Web>>,
    Extension(arrival): Extension<Arrival>,
    mut request: Request,
) -> Response {
    let key = match wanted(request.headers()) {
        Ok(key) => key,
        Err(refusal) => return *refusal,
    };
    if !web.welcomes(request.headers()) {
        let text = "web pages of this origin may not connect\n";
        return (StatusCode::FORBIDDEN, text).into_response();
    }
    let admission = match web.clients.admit(arrival.from) {
        Ok(admission) => admission,
        Err(refused) => return turned_away(refused),
    };
    let elsewhere = elsewhere(web.clone(), &arrival, request.headers());
    let upgrade = hyper::upgrade::on(&mut request);
    let stanza_bytes = web.stanza_bytes;
    let stream = Box::pin(async move {
        let upgraded = upgrade.await.ok()?;
        let socket = Socket::new(TokioIo::new(upgraded), stanza_bytes, elsewhere).await;
        Some(Box::new(socket) as Carrier)
    });
    let Arrival { from, tls } = arrival;
    web.clients.serve("websocket", stream, tls, from, admission);
    (
        StatusCode::SWITCHING_PROTOCOLS,
        [
            (header::UPGRADE, "websocket".to_owned()),
            (header::CONNECTION, "Upgrade".to_owned()),
            (header::SEC_WEBSOCKET_ACCEPT, key),
            (header::SEC_WEBSOCKET_PROTOCOL, XMPP.to_owned()),
        ],
    )
        .into_response()
}

/// The answer to the client's key, if it asks for what there is (RFC 6455 4.2.1, WS-01).
fn wanted(headers: &HeaderMap) -> Result<String, Box<Response>> {
    let upgrade = |text: &'static str| {
        let expected = [
            (header::UPGRADE, "websocket"),
            (header::CONNECTION, "Upgrade"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
        ];
        Box::new((StatusCode::UPGRADE_REQUIRED, expected, text).into_response())
    };
    if !lists(headers, header::UPGRADE, "websocket")
        || !lists(headers, header::CONNECTION, "upgrade")
    {
        return Err(upgrade(
            "this address is for XMPP over WebSocket (RFC 7395)\n",
        ));
    }
    if !lists(headers, header::SEC_WEBSOCKET_VERSION, "13") {
        return Err(upgrade("version 13 of the protocol is spoken here\n"));
    }
    let bad = |text: &'static str| Box::new((StatusCode::BAD_REQUEST, text).into_response());
    if !lists(headers, header::SEC_WEBSOCKET_PROTOCOL, XMPP) {
        return Err(bad("the subprotocol here is xmpp (RFC 7395 3.1)\n"));
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|k| k.as_bytes());
    match key {
        Some(key) if BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16) => {
            Ok(derive_accept_key(key))
        }
        _ => Err(bad("sec-websocket-key is 16 bytes in base64\n")),
    }
}

/// Whether one of a header's values, which may be lists, is this.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case(wanted))
}

/// Who comes under one domain's name and means another one that is hosted here is told where that is (WS-11): what was
/// authenticated as one domain serves no other (VHOST-03).
fn elsewhere(web: Arc<Web>, arrival: &Arrival, headers: &HeaderMap) -> Elsewhere {
    let own = arrival.tls.identity.clone();
    let port = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok()?.rsplit_once(':'))
        .map(|(_, port)| port)
        .filter(|port| port.parse::<u16>().is_ok())
        .map(|port| format!(":{port}"))
        .unwrap_or_default();
    Box::new(move |to| {
        let own = own.as_ref()?;
        let to = DomainName::parse(to).ok().filter(|to| to != own)?;
        let served = web.tenancy.get(to.as_str())?;
        (served.service.is_none() && served.served).then(|| match &*web.platform {
            "" => format!("wss://{}{port}{WEBSOCKET}", to.to_ascii()),
            platform => format!("{}{WEBSOCKET}", wss(platform)),
        })
    })
}

/// The same place for WebSockets.
pub(super) fn wss(base: &str) -> String {
    base.trim_end_matches('/').replacen("https:", "wss:", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(leave_out: &str, put: &[(&'static str, &'static str)]) -> Result<String, StatusCode> {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("upgrade", "WebSocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat, xmpp"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ]
        .iter()
        .chain(put)
        {
            if *name != leave_out {
                let value = axum::http::HeaderValue::from_static(value);
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        wanted(&headers).map_err(|refusal| refusal.status())
    }

    /// The example of RFC 6455 1.3.
    #[test]
    fn ws_01_the_subprotocol_and_the_key() {
        assert_eq!(
            asked("", &[]).as_deref(),
            Ok("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        for name in ["upgrade", "connection", "sec-websocket-version"] {
            assert_eq!(
                asked(name, &[]),
                Err(StatusCode::UPGRADE_REQUIRED),
                "{name}"
            );
        }
        for name in ["sec-websocket-protocol", "sec-websocket-key"] {
            assert_eq!(asked(name, &[]), Err(StatusCode::BAD_REQUEST), "{name}");
        }
        let wrong = [("sec-websocket-protocol", "xmpp2, mqtt")];
        assert_eq!(asked("", &wrong), Err(StatusCode::BAD_REQUEST));
        let wrong = [("sec-websocket-key", "c2hvcnQ=")];
        assert_eq!(asked("", &wrong), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn ws_11_the_other_place_is_as_safe() {
        assert_eq!(wss("https://web.example/"), "wss://web.example");
    }
}
