//! Shared files at the public door (XEP-0363): one PUT into a slot, then GET and HEAD for whoever knows the address.
//!
//! What comes is what the slot was made for, byte for byte in number; it is durable before it is acknowledged, in a directory or
//! in a bucket of S3-compatible storage. Where a file goes is written down before its first byte goes there, and what has lost its
//! row is known until its bytes have gone too: a crash in between leaves nothing that nobody knows of. Files are
//! shown by browsers only where they are pictures, sounds, films or plain text; everything else is saved, and nothing runs
//! (EXT-30). Under a domain's name its own files are served only; the platform's name serves those of all domains that are not
//! suspended. Refuses: listing, and changing a file that is there.

mod bucket;
mod files;
#[cfg(test)]
mod tests;
mod tidy;

pub use bucket::Bucket;

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use store::{NEVER, Store, StoreError, UploadRow};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use xmpp::timestamp::Timestamp;

use self::files::{Directory, Files, Stream, paced};
use super::Arrival;
use crate::net::now;
use crate::tenancy::Tenancy;

/// Seconds after which whoever was refused for now may try again.
const AGAIN: &str = "30";
/// Between two looks for what has ended.
const EVERY: Duration = Duration::from_secs(600);
/// A day in microseconds.
const DAY: i64 = 86_400_000_000;
/// A file never changes, but it may go.
const CACHE: &str = "max-age=86400";

/// Everything about shared files.
pub struct Uploads {
    store: Store,
    tenancy: Arc<Tenancy>,
    directory: Directory,
    /// Where new files go, if there is one.
    bucket: Option<Bucket>,
    days: u32,
    /// Tokens that are being written.
    coming: Mutex<HashSet<String>>,
    /// Key after which the next look for objects to remove begins; empty: with the first.
    tidied: Mutex<String>,
}

/// A token while it is being written.
struct Coming<'a> {
    uploads: &'a Uploads,
    token: String,
}

impl Drop for Coming<'_> {
    fn drop(&mut self) {
        self.uploads.coming.lock().remove(&self.token);
    }
}

impl Uploads {
    /// In a bucket, or in a directory below `dir`, which is there for what came before the bucket, too. Files go after so many `days`;
    /// 0: with their account.
    pub fn new(
        store: Store,
        tenancy: Arc<Tenancy>,
        dir: PathBuf,
        bucket: Option<Bucket>,
        days: u32,
    ) -> Arc<Self> {
        Arc::new(Self {
            store,
            tenancy,
            directory: Directory(dir),
            bucket,
            days,
            coming: Mutex::default(),
            tidied: Mutex::default(),
        })
    }

    /// Removes what has ended, and what nobody knows any more, until `stop`.
    pub async fn follow(self: Arc<Self>, stop: CancellationToken) {
        if let Some(bucket) = &self.bucket {
            tokio::select! {
                () = stop.cancelled() => return,
                checked = bucket.check() => match checked {
                    Ok(()) => tracing::info!("the bucket for shared files is in order"),
                    // Everything else goes on; who wants to share a file is told to try again.
                    Err(error) => tracing::error!(%error, "no files can be shared for now"),
                }
            }
            match self.elsewhere(bucket).await {
                Ok(0) => {}
                Ok(objects) => tracing::warn!(
                    objects,
                    bucket = bucket.name(),
                    "there are objects in another bucket: they are neither served nor removed as long as [bucket] names this one"
                ),
                Err(error) => tracing::error!(%error, "shared files cannot be counted"),
            }
        }
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = looks.tick() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                gone = self.look(now()) => match gone {
                    Ok(0) => {}
                    Ok(gone) => tracing::info!(gone, "shared files have gone"),
                    // The next look tries again.
                    Err(error) => tracing::error!(%error, "shared files cannot be looked through"),
                }
            }
        }
    }

    /// How many objects are in other buckets. What was kept before that was written down is in this one.
    async fn elsewhere(&self, bucket: &Bucket) -> Result<u64, StoreError> {
        self.store.uploads_adopt(bucket.name()).await?;
        self.store.uploads_elsewhere(bucket.name()).await
    }

    /// The row of a token, where this name serves it.
    async fn find(&self, token: &str, arrival: &Arrival) -> Result<UploadRow, Response> {
        let row = self.store.upload_find(token).await.map_err(|error| {
            tracing::error!(%error, "a shared file cannot be looked up");
            unavailable("try again\n")
        })?;
        let row = row.filter(|row| row.ends.0 > now().0);
        let served = row.filter(|row| {
            // Under whatever name: who is off the net has nothing on it.
            let domain = self.tenancy.of_id(row.domain);
            let shown = arrival.tls.identity.as_ref().is_none_or(|shown| {
                let shown = self.tenancy.get(shown.as_str());
                shown.is_some_and(|shown| shown.id == row.domain)
            });
            shown && domain.is_some_and(|domain| domain.served)
        });
        served.ok_or_else(|| (StatusCode::NOT_FOUND, "no such file\n").into_response())
    }

    /// Where a file is, and its name there.
    fn place<'a>(&'a self, row: &'a UploadRow) -> io::Result<(&'a dyn Files, &'a str)> {
        let Some(place) = &row.place else {
            return Ok((&self.directory, &row.token));
        };
        let ours = |bucket: &&Bucket| row.bucket.as_deref().is_none_or(|own| own == bucket.name());
        match self.bucket.as_ref().filter(ours) {
            Some(bucket) => Ok((bucket, place)),
            None => {
                let own = row.bucket.as_deref().unwrap_or_default();
                let text =
                    format!("{place} is in the bucket \"{own}\", which [bucket] does not name");
                Err(io::Error::other(text))
            }
        }
    }

    /// Says where new files go before one does.
    async fn placed(&self, row: &mut UploadRow) -> io::Result<()> {
        if let Some(bucket) = &self.bucket {
            let place = self
                .store
                .upload_place(&row.token, bucket.name(), bucket.prefix());
            // Its account has gone meanwhile.
            let place = place.await.map_err(io::Error::other)?;
            let (place, name) = place.ok_or(io::ErrorKind::NotFound)?;
            (row.place, row.bucket) = (Some(place), Some(name));
        }
        Ok(())
    }

    /// Takes a file to where new ones go. What becomes of it when nobody knows it any more is written down, whatever has failed.
    async fn keep(&self, mut row: UploadRow, bytes: Stream) -> io::Result<bool> {
        self.placed(&mut row).await?;
        let (files, name) = self.place(&row)?;
        let put = files.put(name, row.size, bytes).await;
        let ends = match self.days {
            0 => NEVER,
            days => Timestamp(now().0.saturating_add(i64::from(days) * DAY)),
        };
        let done = match put {
            Ok(()) => {
                let stored = self.store.upload_stored(&row.token, ends).await;
                stored.map_err(io::Error::other)
            }
            Err(error) => Err(error),
        };
        if !matches!(done, Ok(true))
            && let (Some(place), Some(bucket)) = (&row.place, &row.bucket)
        {
            // Another process may have looked for what has gone before the bytes were there.
            let known = self.store.upload_left_behind(&row.token, place, bucket);
            if let Err(error) = known.await {
                tracing::error!(%error, "what a file has left behind cannot be written down");
            }
        }
        done
    }

    fn claim(&self, token: &str) -> Option<Coming<'_>> {
        let fresh = self.coming.lock().insert(token.to_owned());
        fresh.then(|| Coming {
            uploads: self,
            token: token.to_owned(),
        })
    }
}

/// One request.
pub(super) async fn request(
    State(uploads): State<Arc<Uploads>>,
    Extension(arrival): Extension<Arrival>,
    Path((token, _name)): Path<(String, String)>,
    request: Request,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let row = match *request.method() {
        Method::OPTIONS => Err(StatusCode::NO_CONTENT.into_response()),
        Method::PUT | Method::GET | Method::HEAD => uploads.find(&token, &arrival).await,
        _ => {
            let allow = [(header::ALLOW, "GET, HEAD, PUT, OPTIONS")];
            Err((StatusCode::METHOD_NOT_ALLOWED, allow).into_response())
        }
    };
    let mut response = match row {
        Err(response) => response,
        Ok(row) if request.method() == Method::PUT => put(&uploads, &row, request).await,
        Ok(row) => get(&uploads, &row, request.method(), request.headers()).await,
    };
    let headers = response.headers_mut();
    let text = HeaderValue::from_static;
    // Nothing in a file runs, whatever it is.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        text("default-src 'none'; frame-ancestors 'none'; sandbox"),
    );
    headers.insert("cross-origin-resource-policy", text("cross-origin"));
    if let Some(origin) = origin {
        // XEP-0363 asks for CORS; the page is named, since `*` stands on host-meta alone (WS-17).
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        for (name, value) in [
            (header::VARY, "Origin"),
            (
                header::ACCESS_CONTROL_ALLOW_METHODS,
                "GET, HEAD, PUT, OPTIONS",
            ),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Content-Type, Range"),
            (
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                "Content-Range, Content-Length",
            ),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            headers.insert(name, text(value));
        }
    }
    response
}

async fn put(uploads: &Arc<Uploads>, row: &UploadRow, request: Request) -> Response {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    match length {
        None => return refused(StatusCode::LENGTH_REQUIRED, "how long is it?\n".into()),
        Some(length) if length != row.size => {
            let size = row.size;
            let text = format!("the slot is for {size} bytes, not {length}\n");
            return refused(StatusCode::PAYLOAD_TOO_LARGE, text);
        }
        Some(_) => {}
    }
    // To its end, though the client may hang up: somebody has to say what has become of the bytes.
    let filling = fill(uploads.clone(), row.clone(), request.into_body());
    tokio::spawn(filling)
        .await
        .unwrap_or_else(|_| unavailable("not kept; the slot is as it was: try again\n"))
}

fn refused(status: StatusCode, text: String) -> Response {
    (status, text).into_response()
}

async fn fill(uploads: Arc<Uploads>, row: UploadRow, body: Body) -> Response {
    let coming = uploads.claim(&row.token);
    // Read again: whoever held the claim before may have filled the slot meanwhile.
    let empty = match &coming {
        Some(_) => uploads.store.upload_find(&row.token).await,
        None => Ok(None),
    };
    if !empty.is_ok_and(|row| row.is_some_and(|row| !row.stored)) {
        return refused(StatusCode::CONFLICT, "there is a file already\n".into());
    }
    match uploads.keep(row, paced(body)).await {
        Ok(true) => refused(StatusCode::CREATED, String::new()),
        // Its account has gone meanwhile; the file goes with the next look.
        Ok(false) => gone(),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            let text = "that was not as long as it said\n".into();
            refused(StatusCode::BAD_REQUEST, text)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => gone(),
        Err(error) => {
            tracing::warn!(%error, "a file could not be kept");
            unavailable("not kept; the slot is as it was: try again\n")
        }
    }
}

fn gone() -> Response {
    (StatusCode::NOT_FOUND, "no such slot any more\n").into_response()
}

/// A refusal for now (RFC 9110 15.6.4).
fn unavailable(text: &'static str) -> Response {
    let again = [(header::RETRY_AFTER, AGAIN)];
    (StatusCode::SERVICE_UNAVAILABLE, again, text).into_response()
}

async fn get(uploads: &Uploads, row: &UploadRow, method: &Method, headers: &HeaderMap) -> Response {
    if !row.stored {
        return (StatusCode::NOT_FOUND, "nothing has been put here\n").into_response();
    }
    let tag = format!("\"{}\"", row.token);
    let says = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let mut response = Response::new(Body::empty());
    let put = |response: &mut Response, name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    };
    put(&mut response, header::ETAG, tag.clone());
    put(&mut response, header::CACHE_CONTROL, CACHE.into());
    if says(header::IF_NONE_MATCH).is_some_and(|known| known == "*" || known.contains(&tag)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    let whole = says(header::IF_RANGE).is_some_and(|known| known != tag);
    let asked = says(header::RANGE).filter(|_| !whole);
    let (from, length) = match asked.and_then(|asked| range(asked, row.size)) {
        None => (0, row.size),
        Some(None) => {
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            put(
                &mut response,
                header::CONTENT_RANGE,
                format!("bytes */{}", row.size),
            );
            return response;
        }
        Some(Some((from, to))) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let text = format!("bytes {from}-{to}/{}", row.size);
            put(&mut response, header::CONTENT_RANGE, text);
            (from, to - from + 1)
        }
    };
    let shown = is_harmless(&row.media_type);
    let kind = match shown {
        true => row.media_type.clone(),
        false => "application/octet-stream".into(),
    };
    let kind = match kind.as_str() {
        "text/plain" => "text/plain; charset=utf-8".into(),
        _ => kind,
    };
    put(&mut response, header::CONTENT_TYPE, kind);
    put(
        &mut response,
        header::CONTENT_DISPOSITION,
        disposition(shown, &row.name),
    );
    put(&mut response, header::ACCEPT_RANGES, "bytes".into());
    put(&mut response, header::CONTENT_LENGTH, length.to_string());
    put(
        &mut response,
        header::X_CONTENT_TYPE_OPTIONS,
        "nosniff".into(),
    );
    if method == Method::HEAD {
        return response;
    }
    let read = match uploads.place(row) {
        Ok((files, name)) => files.get(name, from, length).await,
        Err(error) => Err(error),
    };
    match read {
        Ok(stream) => *response.body_mut() = Body::from_stream(stream),
        Err(error) => {
            tracing::error!(%error, token = row.token, "a shared file cannot be read");
            return match error.kind() {
                io::ErrorKind::NotFound => {
                    (StatusCode::NOT_FOUND, "no such file\n").into_response()
                }
                _ => unavailable("the file cannot be had for now: try again\n"),
            };
        }
    }
    response
}

/// What a browser may show by itself: nothing of it is made of code (SVG is).
fn is_harmless(media_type: &str) -> bool {
    match media_type.split_once('/') {
        Some(("image", kind)) => {
            matches!(
                kind,
                "png" | "jpeg" | "gif" | "webp" | "avif" | "bmp" | "heic"
            )
        }
        Some(("audio" | "video", _)) => true,
        Some(("text", kind)) => kind == "plain",
        _ => false,
    }
}

/// RFC 6266
fn disposition(shown: bool, name: &str) -> String {
    let kind = if shown { "inline" } else { "attachment" };
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-._ ".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    let escaped = modules::escaped(name);
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{escaped}")
}

/// One range of bytes, first and last (RFC 9110 14.2). `None`: not a range that is understood, so the whole;
/// `Some(None)`: there is nothing of it.
#[expect(
    clippy::option_option,
    reason = "three outcomes that RFC 9110 tells apart"
)]
fn range(asked: &str, size: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = asked.strip_prefix("bytes=")?.split_once('-')?;
    if last.contains(',') {
        return None;
    }
    let end = size.checked_sub(1)?;
    match (first.trim(), last.trim()) {
        ("", last) => {
            let count: u64 = last.parse().ok()?;
            Some((count > 0).then(|| (size.saturating_sub(count), end)))
        }
        (first, last) => {
            let first: u64 = first.parse().ok()?;
            let last = match last {
                "" => end,
                last => last.parse::<u64>().ok().filter(|last| *last >= first)?,
            };
            Some((first <= end).then(|| (first, last.min(end))))
        }
    }
}
