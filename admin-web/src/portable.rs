//! "Take your data with you": what a domain's people have, as one file (XEP-0227), and its way in.
//!
//! Both ways are streams: neither the file that goes out nor the one that comes in is ever here as a whole.

use std::io::{self, Read};

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use control::portable::{Outgoing, PeopleExport};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::door::Path;
use crate::error::Answer;
use crate::form::Posted;
use crate::login::OrPage as _;

/// Parts of a file between the request and whoever reads it.
const PARTS: usize = 8;

/// The answer to the panel's button.
pub(crate) async fn export(Path(domain): Path<String>, Posted { desk, fields }: Posted) -> Answer {
    let account = fields.text("account");
    let wanted = PeopleExport {
        account: Some(account.to_owned()).filter(|account| !account.is_empty()),
        archive: !fields.text("archive").is_empty(),
        passwords: !fields.text("passwords").is_empty(),
    };
    let control = &desk.panel.control;
    let going = control
        .people_export_stream(&desk.actor, &domain, wanted)
        .await
        .or_page(&desk)?;
    Ok(file(&domain, going))
}

/// A file that is saved, not shown.
pub(crate) fn file(domain: &str, going: Outgoing) -> Response {
    let parts = stream::unfold(going, async |mut going| {
        let part = going.next().await?;
        Some((part.map(Bytes::from), going))
    });
    let name: String = domain
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
        .collect();
    let mut response = Body::from_stream(parts).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    let saved = format!("attachment; filename=\"{name}.xml\"");
    if let Ok(saved) = HeaderValue::from_str(&saved) {
        headers.insert(header::CONTENT_DISPOSITION, saved);
    }
    response
}

/// A request's body for a thread that reads it.
pub(crate) struct Incoming {
    parts: mpsc::Receiver<io::Result<Bytes>>,
    part: Bytes,
}

impl Incoming {
    /// Two ends: what is sent to the first is read from the second; it ends when the first is dropped.
    pub(crate) fn new() -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (sender, parts) = mpsc::channel(PARTS);
        let part = Bytes::new();
        (sender, Self { parts, part })
    }
}

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.part.is_empty() {
            match self.parts.blocking_recv() {
                Some(part) => self.part = part?,
                None => return Ok(0),
            }
        }
        let n = self.part.len().min(out.len());
        out[..n].copy_from_slice(&self.part.split_to(n));
        Ok(n)
    }
}

/// Hands a body over part by part, as fast as it is read. What breaks off is read as an error; a reader that has seen enough
/// ends it.
pub(crate) async fn hand_over(body: Body, to: mpsc::Sender<io::Result<Bytes>>) {
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| io::Error::other("the upload broke off"));
        let broken = part.is_err();
        if to.send(part).await.is_err() || broken {
            return;
        }
    }
}
