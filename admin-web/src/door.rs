//! What every request and answer passes: security headers, the same-site rule, and where a visitor comes from.
//!
//! It refuses requests that change something and come from another site, before any handler sees them. It never trusts
//! `X-Forwarded-For` unless the panel stands behind TLS, which somebody else must then be speaking for it.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{self, ConnectInfo, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use control::operator::Origin;
use serde::de::DeserializeOwned;

use crate::Shared;
use crate::error::{Failure, problem_json};
use crate::frame::Frame;

/// No script, style, image or frame from anywhere else; none of ours inline.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'none'";

/// Headers of every answer, and the same-site rule.
pub(crate) async fn guard(State(panel): State<Shared>, request: Request, next: Next) -> Response {
    let mut response = if changes(request.method()) && from_elsewhere(request.headers()) {
        refuse_elsewhere(&panel, request.uri().path())
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::X_FRAME_OPTIONS, "DENY");
    set(header::REFERRER_POLICY, "same-origin");
    set(
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    set(
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    );
    // Pages hold secrets once (drawn passwords) and other people's data always: no cache keeps them. Assets say otherwise.
    set(header::CACHE_CONTROL, "no-store");
    if panel.settings.secure_cookies {
        set(header::STRICT_TRANSPORT_SECURITY, "max-age=31536000");
    }
    response
}

/// Methods that may change something.
pub(crate) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Does a browser say that another site made it send this? Programs say neither header and are told apart by their token.
fn from_elsewhere(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return !matches!(site, "same-origin" | "none");
    }
    match text("origin") {
        None => false,
        // Old browsers: the origin's authority must be the host that was asked for.
        Some(origin) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_none() || authority != text("host")
        }
    }
}

fn refuse_elsewhere(panel: &Shared, path: &str) -> Response {
    let status = StatusCode::FORBIDDEN;
    let title = "This request came from another site";
    let text =
        "Your browser says that another website made it send this request, so nothing was done.";
    let remedy = "If it was you, open the panel itself and do it there.";
    if path.starts_with(API) {
        problem_json(status, "cross-site", title, text, remedy, None, None)
    } else {
        Frame::visitor(panel).error_page(status, title, text, remedy)
    }
}

/// Where a request comes from, for counting attempts and for the list of logins.
pub(crate) fn origin(panel: &Shared, parts: &Parts) -> Origin {
    let connected = parts
        .extensions
        .get::<ConnectInfo<SocketAddr>>()
        .map(|info| info.0.ip());
    let address = if panel.settings.secure_cookies {
        forwarded(&parts.headers).or(connected)
    } else {
        connected
    };
    let agent = parts
        .headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    Origin {
        address: address.map(|address| address.to_canonical()),
        agent: agent.chars().take(200).collect(),
    }
}

/// The last entry is the one that the server in front of us wrote; those before it are whatever the visitor claimed.
fn forwarded(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    let entry = last.to_str().ok()?.rsplit(',').next()?.trim();
    entry
        .parse()
        .or_else(|_| entry.parse::<SocketAddr>().map(|socket| socket.ip()))
        .ok()
}

/// Parts of the path; what does not fit them leads nowhere.
pub(crate) struct Path<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Path<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, panel: &Shared) -> Result<Self, Failure> {
        match extract::Path::<T>::from_request_parts(parts, panel).await {
            Ok(extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(nowhere(panel, asked(parts)).into()),
        }
    }
}

/// The query; what does not fit is an address that leads nowhere, and a program is told which part.
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Shared> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, panel: &Shared) -> Result<Self, Failure> {
        match extract::Query::<T>::from_request_parts(parts, panel).await {
            Ok(extract::Query(value)) => Ok(Self(value)),
            Err(rejection) if asked(parts).starts_with(API) => Err(problem_json(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "The query cannot be read",
                &rejection.body_text(),
                "Compare it with the description at /api/v1/openapi.json.",
                None,
                None,
            )
            .into()),
            Err(_) => Err(nowhere(panel, asked(parts)).into()),
        }
    }
}

/// Addresses of the API.
const API: &str = "/api/";

/// The path as it was asked for: what handlers below a prefix see has lost it.
fn asked(parts: &Parts) -> &str {
    let whole = parts.extensions.get::<extract::OriginalUri>();
    whole.map_or(parts.uri.path(), |uri| uri.0.path())
}

/// 405: the address exists, but does not take this.
pub(crate) async fn wrong_method(State(panel): State<Shared>, request: Request) -> Response {
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let title = "This address does not take that";
    let text = format!("{} is not something this address takes.", request.method());
    let remedy = "Open the page it belongs to, or see the description of the API.";
    if request.uri().path().starts_with(API) {
        problem_json(status, "wrong-method", title, &text, remedy, None, None)
    } else {
        Frame::visitor(&panel).error_page(status, title, &text, remedy)
    }
}

/// 404 for what is not a page.
pub(crate) async fn not_found(State(panel): State<Shared>, request: Request) -> Response {
    nowhere(&panel, request.uri().path())
}

fn nowhere(panel: &Shared, path: &str) -> Response {
    let status = StatusCode::NOT_FOUND;
    let title = "There is no such page";
    let remedy = "Check the address, or start from your first page.";
    let text = "The address leads nowhere here.";
    if path.starts_with(API) {
        problem_json(status, "not-found", title, text, remedy, None, None)
    } else {
        Frame::visitor(panel).error_page(status, title, text, remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn only_this_site_and_the_person_may_send_changes() {
        for (pairs, elsewhere) in [
            (&[("sec-fetch-site", "same-origin")][..], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (
                &[("origin", "https://a.example"), ("host", "a.example")],
                false,
            ),
            (
                &[("origin", "https://b.example"), ("host", "a.example")],
                true,
            ),
            (&[("origin", "null"), ("host", "a.example")], true),
            (&[], false),
        ] {
            assert_eq!(from_elsewhere(&headers(pairs)), elsewhere, "{pairs:?}");
        }
    }

    #[test]
    fn the_visitors_address_is_the_last_one_forwarded() {
        for (value, address) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("10.0.0.1, 192.0.2.7", Some("192.0.2.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("198.51.100.2:4711", Some("198.51.100.2")),
            ("nonsense", None),
        ] {
            let seen = forwarded(&headers(&[("x-forwarded-for", value)]));
            assert_eq!(seen, address.map(|a| a.parse().unwrap()), "{value}");
        }
    }
}
