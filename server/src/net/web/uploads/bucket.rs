//! A bucket of S3-compatible storage as a place for files: one object a file, put and got in one request each, streamed through.
//!
//! Requests carry their proof in the address (AWS Signature Version 4, query parameters), so that neither body nor secret is
//! needed to sign; such an address is never logged. What the storage has answered to is durable by its word. Refuses: listing,
//! files larger than one PUT takes, and following the storage elsewhere.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::http::{Request, Response, StatusCode, header};
use bytes::Bytes;
use dna::Url;
use futures_util::stream::StreamExt as _;
use hyper::body::Incoming;
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rusty_s3::{Credentials, S3Action as _, UrlStyle};
use tokio::time::timeout;

use super::files::{Files, Stream, exact, paced};
use crate::config::{BucketSection, Secret};
use crate::net::https::{Schemes, connector};

/// How long a signed address holds: it is used at once, and clocks differ.
const SIGNED: Duration = Duration::from_secs(600);
/// An answer begins within this time, once all is sent.
const ANSWER: Duration = Duration::from_secs(20);
/// A file on its way there moves on within this time.
const STALLED: Duration = Duration::from_secs(60);
/// A connection that nothing goes over is closed after this time, before the storage does so.
const IDLE: Duration = Duration::from_secs(15);
/// Bytes of a refusal that are read for its reason.
const REASON_BYTES: usize = 8 * 1024;

/// Somebody else's storage.
pub struct Bucket {
    place: rusty_s3::Bucket,
    credentials: Credentials,
    prefix: String,
    client: Client<HttpsConnector<HttpConnector>, Body>,
}

/// What is seen of a file on its way.
#[derive(Default)]
struct Watched {
    /// Pieces.
    moved: AtomicU64,
    /// It broke off at its source.
    fault: OnceLock<io::ErrorKind>,
}

impl Bucket {
    /// Connects to nobody yet. `roots`: a PEM file with the anchors of the endpoint's certificate; `None`: the system's.
    ///
    /// # Errors
    /// What the operator has to correct, in words.
    pub fn new(
        section: &BucketSection,
        secret: &Secret,
        roots: Option<&Path>,
    ) -> Result<Self, String> {
        let endpoint = Url::parse(&section.endpoint).map_err(|error| error.to_string())?;
        let schemes = match endpoint.scheme() {
            "https" => Schemes::Https,
            _ => Schemes::Both,
        };
        let style = match section.virtual_host {
            true => UrlStyle::VirtualHost,
            false => UrlStyle::Path,
        };
        let (name, region) = (section.name.clone(), section.region.clone());
        let place = rusty_s3::Bucket::new(endpoint, style, name, region);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(connector(roots, schemes)?);
        Ok(Self {
            place: place.map_err(|error| error.to_string())?,
            credentials: Credentials::new(section.access_key.as_str(), secret.expose()),
            prefix: format!("{}/", section.prefix),
            client,
        })
    }

    /// Its name, by which files know where they are.
    pub(super) fn name(&self) -> &str {
        self.place.name()
    }

    /// What the keys of objects begin with.
    pub(super) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether it can be worked with: puts, gets and deletes a small object.
    ///
    /// # Errors
    /// What did not succeed, and why.
    pub async fn check(&self) -> io::Result<()> {
        let (key, said) = (
            format!("{}check/{:016x}", self.prefix, rand::random::<u64>()),
            Bytes::from_static(b"domicile"),
        );
        let bytes = futures_util::stream::iter([Ok(said.clone())]).boxed();
        self.put(&key, said.len() as u64, bytes).await?;
        let mut read = self.get(&key, 0, said.len() as u64).await?;
        let mut back = Vec::new();
        while let Some(piece) = read.next().await {
            back.extend_from_slice(&piece?);
        }
        self.remove(&key).await?;
        match back == said {
            true => Ok(()),
            false => Err(self.fault("what was put is not what was got")),
        }
    }

    fn fault(&self, why: impl std::fmt::Display) -> io::Error {
        let host = self.place.base_url().host_str().unwrap_or_default();
        let text = format!("bucket \"{}\" at {host}: {why}", self.place.name());
        io::Error::other(text)
    }

    async fn send(&self, request: hyper::http::request::Builder, body: Body) -> io::Result<Answer> {
        let request = request.body(body).map_err(|error| self.fault(error))?;
        let answer = self.client.request(request).await;
        answer.map_err(|error| self.fault(reasons(&error)))
    }

    async fn answer(&self, request: hyper::http::request::Builder) -> io::Result<Answer> {
        match timeout(ANSWER, self.send(request, Body::empty())).await {
            Ok(answer) => answer,
            Err(_) => Err(self.fault("no answer in time")),
        }
    }

    /// Why something was not done; `NotFound`: there is no such object.
    async fn refusal(&self, answer: Answer) -> io::Error {
        let status = answer.status();
        let body = to_bytes(Body::new(answer.into_body()), REASON_BYTES);
        let body = timeout(ANSWER, body).await.ok().and_then(Result::ok);
        let body = body.unwrap_or_default();
        let reason = code(&body).unwrap_or_default();
        match (status, reason) {
            (StatusCode::NOT_FOUND, "" | "NoSuchKey") => io::ErrorKind::NotFound.into(),
            _ => self.fault(format_args!("it answers {} {reason}", status.as_u16())),
        }
    }
}

type Answer = Response<Incoming>;

/// An error and what it comes from.
fn reasons(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The word for what went wrong, in an answer of the storage: `NoSuchKey`.
fn code(body: &[u8]) -> Option<&str> {
    let (_, rest) = std::str::from_utf8(body).ok()?.split_once("<Code>")?;
    let (word, _) = rest.split_once("</Code>")?;
    let plain = word.len() <= 64 && word.bytes().all(|b| b.is_ascii_alphanumeric());
    plain.then_some(word)
}

/// Waits for `work` as long as something moves.
async fn while_it_moves<T>(watched: &Watched, work: impl Future<Output = T>) -> Option<T> {
    let (mut work, mut before) = (pin!(work), 0);
    loop {
        if let Ok(done) = timeout(STALLED, &mut work).await {
            return Some(done);
        }
        let moved = watched.moved.load(Ordering::Relaxed);
        if moved == before {
            return None;
        }
        before = moved;
    }
}

#[async_trait]
impl Files for Bucket {
    async fn put(&self, key: &str, size: u64, bytes: Stream) -> io::Result<()> {
        let watched = Arc::new(Watched::default());
        let seen = watched.clone();
        let bytes = exact(size, bytes).inspect(move |piece| match piece {
            Ok(_) => {
                seen.moved.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => {
                // The first says it.
                let _ = seen.fault.set(error.kind());
            }
        });
        let url = self.place.put_object(Some(&self.credentials), key);
        let request = Request::put(url.sign(SIGNED).as_str()).header(header::CONTENT_LENGTH, size);
        let sent = self.send(request, Body::from_stream(bytes));
        let answer = while_it_moves(&watched, sent).await;
        if let Some(fault) = watched.fault.get() {
            return Err((*fault).into());
        }
        let answer = answer.unwrap_or_else(|| Err(self.fault("the file does not move on")))?;
        match answer.status().is_success() {
            true => Ok(()),
            // That there is no object is no answer to a file.
            false => Err(match self.refusal(answer).await {
                error if error.kind() == io::ErrorKind::NotFound => self.fault("it answers 404"),
                error => error,
            }),
        }
    }

    async fn get(&self, key: &str, from: u64, length: u64) -> io::Result<Stream> {
        let url = self.place.get_object(Some(&self.credentials), key);
        let last = from.saturating_add(length).saturating_sub(1);
        let request = Request::get(url.sign(SIGNED).as_str())
            .header(header::RANGE, format!("bytes={from}-{last}"));
        let answer = self.answer(request).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT => {}
            // Whoever knows no ranges sends all of it.
            StatusCode::OK if from == 0 => {}
            _ => return Err(self.refusal(answer).await),
        }
        let says = answer.headers().get(header::CONTENT_LENGTH);
        let says = says.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if says != Some(length) {
            let text = format!("{says:?} bytes of a file, where there should be {length}");
            return Err(self.fault(text));
        }
        Ok(exact(length, paced(Body::new(answer.into_body()))))
    }

    async fn remove(&self, key: &str) -> io::Result<()> {
        let url = self.place.delete_object(Some(&self.credentials), key);
        let answer = self.answer(Request::delete(url.sign(SIGNED).as_str()));
        let answer = answer.await?;
        if answer.status().is_success() {
            return Ok(());
        }
        match self.refusal(answer).await {
            error if error.kind() == io::ErrorKind::NotFound => Ok(()),
            error => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_storage_says_is_read_with_care() {
        for (body, expected) in [
            (
                "<?xml?><Error><Code>NoSuchKey</Code></Error>",
                Some("NoSuchKey"),
            ),
            ("<Error><Code>a b</Code></Error>", None),
            ("<Code>no end", None),
            ("", None),
        ] {
            assert_eq!(code(body.as_bytes()), expected, "{body}");
        }
        assert_eq!(code(b"<Code>\xff</Code>"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_is_waited_for_and_what_stands_still_is_not() {
        let watched = Watched::default();
        let slow = async {
            for _ in 0..10 {
                tokio::time::sleep(STALLED).await;
                watched.moved.fetch_add(1, Ordering::Relaxed);
            }
            "done"
        };
        assert_eq!(while_it_moves(&watched, slow).await, Some("done"));
        let never = std::future::pending::<()>();
        assert_eq!(while_it_moves(&watched, never).await, None);
    }
}
