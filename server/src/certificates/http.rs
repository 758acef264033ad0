//! The way to an authority, and what the ACME library does not hand through of its answers: how long a refusal asks us to
//! wait, which other chains there are for a certificate, and whether dns-persist-01 is offered.
//!
//! It refuses bodies without end, and anything but HTTPS.

use std::collections::HashMap;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use hyper::body::Body as _;
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;

use crate::net::https;

/// Largest answer that is taken, in bytes.
const ANSWER_BYTES: usize = 1 << 20;
/// Certificates whose chains are remembered at a time: orders under way.
const CHAINS: usize = 64;
/// The challenge type of draft-ietf-acme-dns-persist.
pub(super) const DNS_PERSIST: &str = "dns-persist-01";

/// What was heard beside what the library reports.
#[derive(Default)]
pub(super) struct Overheard(Mutex<Notes>);

#[derive(Default)]
struct Notes {
    /// Of the last refusal that said so, in seconds.
    retry_after: Option<u64>,
    /// Chains by URL, each with the URLs of the others.
    chains: HashMap<String, (String, Vec<String>)>,
    /// Issuer names of dns-persist-01 challenges.
    persistent: Vec<String>,
    /// The directory.
    directory: Option<serde_json::Value>,
}

impl Overheard {
    /// Seconds that the last refusal asked us to wait; told once.
    pub(super) fn retry_after(&self) -> Option<u64> {
        self.0.lock().retry_after.take()
    }

    /// A chain that was fetched from this URL, and where the others are; told once.
    pub(super) fn chain(&self, url: &str) -> Option<(String, Vec<String>)> {
        self.0.lock().chains.remove(url)
    }

    /// Issuer names that a dns-persist-01 record may hold; empty: it was not offered.
    pub(super) fn persistent(&self) -> Vec<String> {
        self.0.lock().persistent.clone()
    }

    /// URL of a resource of the directory.
    pub(super) fn resource(&self, name: &str) -> Option<String> {
        let notes = self.0.lock();
        Some(notes.directory.as_ref()?.get(name)?.as_str()?.to_owned())
    }

    fn hear(&self, url: &str, response: &hyper::http::response::Parts, body: &[u8]) {
        let header = |name: &str| {
            response
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let mut notes = self.0.lock();
        if response.status.is_client_error() || response.status.is_server_error() {
            notes.retry_after = header("retry-after").and_then(seconds);
            return;
        }
        if header("content-type")
            .is_some_and(|kind| kind.starts_with("application/pem-certificate-chain"))
        {
            let others = alternates(&response.headers);
            if notes.chains.len() >= CHAINS {
                notes.chains.clear();
            }
            let text = String::from_utf8_lossy(body).into_owned();
            notes.chains.insert(url.to_owned(), (text, others));
            return;
        }
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(body) else {
            return;
        };
        if document.get("newNonce").is_some() {
            notes.directory = Some(document);
        } else if let Some(challenges) = document.get("challenges").and_then(|list| list.as_array())
        {
            let names = challenges
                .iter()
                .filter(|challenge| {
                    challenge
                        .get("type")
                        .is_some_and(|kind| kind == DNS_PERSIST)
                })
                .filter_map(|challenge| challenge.get("issuer-domain-names")?.as_array())
                .flatten()
                .filter_map(|name| name.as_str().map(str::to_owned));
            notes.persistent = names.collect();
        }
    }
}

/// `Retry-After` in seconds from now (RFC 9110 10.2.3).
fn seconds(value: &str) -> Option<u64> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(seconds);
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let wait = at.duration_since(SystemTime::now());
    Some(wait.unwrap_or(Duration::ZERO).as_secs())
}

/// `Link: <URL>;rel="alternate"` (RFC 8555 7.4.2).
fn alternates(headers: &hyper::HeaderMap) -> Vec<String> {
    headers
        .get_all("link")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|link| {
            let (url, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
            let alternate = parameters
                .split(';')
                .any(|parameter| matches!(parameter.trim(), "rel=\"alternate\"" | "rel=alternate"));
            alternate.then(|| url.to_owned())
        })
        .collect()
}

/// The client that listens.
pub(super) struct Client {
    inner: Hyper<hyper_rustls::HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    overheard: Arc<Overheard>,
}

impl Client {
    /// `root`: a PEM file with the anchor of the directory's own certificate; `None`: the system's anchors.
    pub(super) fn new(root: Option<&Path>, overheard: Arc<Overheard>) -> Result<Self, Error> {
        let connector = https::connector(root, https::Schemes::Https)
            .map_err(|problem| Error::Other(problem.into()))?;
        Ok(Self {
            inner: Hyper::builder(TokioExecutor::new()).build(connector),
            overheard,
        })
    }
}

/// The whole body, if it is of a reasonable size.
async fn bounded(mut body: hyper::body::Incoming) -> Result<Bytes, Error> {
    let mut whole = BytesMut::new();
    while let Some(frame) =
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        let frame = frame.map_err(|error| Error::Other(error.into()))?;
        if let Ok(data) = frame.into_data() {
            if whole.len() + data.len() > ANSWER_BYTES {
                return Err(Error::Str("an answer of a reasonable size"));
            }
            whole.extend_from_slice(&data);
        }
    }
    Ok(whole.freeze())
}

impl HttpClient for Client {
    fn request(
        &self,
        request: hyper::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let url = request.uri().to_string();
        let overheard = self.overheard.clone();
        let answer = self.inner.request(request);
        Box::pin(async move {
            let answer = answer.await.map_err(|error| Error::Other(error.into()))?;
            let (parts, body) = answer.into_parts();
            let body = bounded(body).await?;
            overheard.hear(&url, &parts, &body);
            let response = BytesResponse {
                parts,
                body: Box::new(body),
            };
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(status: u16, headers: &[(&str, &str)]) -> hyper::http::response::Parts {
        let mut response = hyper::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).expect("response").into_parts().0
    }

    #[test]
    fn acme_04_the_wait_that_a_refusal_asks_for_is_heard_once() {
        let heard = Overheard::default();
        heard.hear("u", &parts(429, &[("retry-after", "77")]), b"");
        assert_eq!(heard.retry_after(), Some(77));
        assert_eq!(heard.retry_after(), None);
        heard.hear(
            "u",
            &parts(503, &[("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT")]),
            b"",
        );
        assert_eq!(heard.retry_after(), Some(0));
        heard.hear("u", &parts(429, &[("retry-after", "soon")]), b"");
        assert_eq!(heard.retry_after(), None);
    }

    #[test]
    fn other_chains_and_standing_records_are_heard() {
        let heard = Overheard::default();
        let headers = [
            ("content-type", "application/pem-certificate-chain"),
            (
                "link",
                "<https://ca/index>;rel=\"index\", <https://ca/c/1>; rel=\"alternate\"",
            ),
            ("link", "<https://ca/c/2>;rel=\"alternate\""),
        ];
        heard.hear("https://ca/c", &parts(200, &headers), b"PEM");
        let (chain, others) = heard.chain("https://ca/c").expect("heard");
        assert_eq!(chain, "PEM");
        assert_eq!(others, ["https://ca/c/1", "https://ca/c/2"]);
        assert!(heard.chain("https://ca/c").is_none());

        assert!(heard.persistent().is_empty());
        let authorization = br#"{"challenges":[{"type":"dns-01"},{"type":"dns-persist-01","issuer-domain-names":["ca.example","ca.test"]}]}"#;
        heard.hear("https://ca/z", &parts(200, &[]), authorization);
        assert_eq!(heard.persistent(), ["ca.example", "ca.test"]);
        heard.hear(
            "https://ca/z",
            &parts(200, &[]),
            br#"{"challenges":[{"type":"dns-01"}]}"#,
        );
        assert!(heard.persistent().is_empty(), "offered no longer");
        heard.hear(
            "https://ca/d",
            &parts(200, &[]),
            br#"{"newNonce":"n","keyChange":"https://ca/k"}"#,
        );
        assert_eq!(heard.resource("keyChange").as_deref(), Some("https://ca/k"));
        assert_eq!(heard.resource("newAuthz"), None);
    }
}
