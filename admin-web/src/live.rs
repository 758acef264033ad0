//! Live updates: a stream of "this changed" for open pages (server-sent events). The page then fetches itself and replaces
//! the parts that differ, so what it shows was authorised anew; nothing but names of domains travels here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use control::{Actor, Events, Secret};
use futures_util::stream::{self, Stream};

use crate::Shared;
use crate::error::Failure;
use crate::login::SignedIn;

/// Open streams of one login: a browser has six connections to a host and needs some for pages.
const PER_LOGIN: usize = 8;
/// A line every so often keeps proxies from closing the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// A stream ends after this time and the browser opens another: a login that ended does not follow for longer.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// A token or not, and its id or the login's.
type Key = (bool, i64);

/// Open streams by who holds them.
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashMap<Key, usize>>);

/// One open stream; leaving counts down.
struct Seat {
    streams: Arc<Streams>,
    key: Key,
}

impl Streams {
    fn take(self: &Arc<Self>, key: Key) -> Option<Seat> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(key).or_insert(0);
        if *count >= PER_LOGIN {
            return None;
        }
        *count += 1;
        Some(Seat {
            streams: Arc::clone(self),
            key,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let streams = &self.streams.0;
        let mut open = streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.key);
            }
        }
    }
}

/// What a stream was opened with; asked again before every message.
pub(crate) enum Proof {
    /// The panel's cookie.
    Login(Secret),
    /// An API token.
    Token(Secret),
}

impl Proof {
    /// Somebody who signed out elsewhere, or whose token was revoked, sees nothing more.
    async fn holds(&self, panel: &Shared) -> bool {
        let resumed = match self {
            Self::Login(token) => panel.control.login_resume(token.expose()).await,
            Self::Token(secret) => panel.control.token_resume(secret.expose()).await,
        };
        matches!(resumed, Ok(Some(_)))
    }
}

/// Follows what the actor may see. `id` is the login's or token's.
pub(crate) fn follow(panel: &Shared, actor: &Actor, id: i64, proof: Proof) -> Response {
    let Some(seat) = panel.streams.take((matches!(proof, Proof::Token(_)), id)) else {
        return StatusCode::TOO_MANY_REQUESTS.into_response();
    };
    let messages = messages(panel.clone(), panel.control.events(actor), proof, seat);
    Sse::new(messages)
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response()
}

fn messages(
    panel: Shared,
    events: Events,
    proof: Proof,
    seat: Seat,
) -> impl Stream<Item = Result<Message, Infallible>> {
    let end = tokio::time::Instant::now() + LONGEST;
    stream::unfold(
        (panel, events, proof, seat),
        move |(panel, mut events, proof, seat)| async move {
            let event = tokio::time::timeout_at(end, events.next()).await.ok()??;
            if !proof.holds(&panel).await {
                return None;
            }
            let data = serde_json::to_string(&event).unwrap_or_default();
            let message = Message::default().event("change").data(data);
            Some((Ok(message), (panel, events, proof, seat)))
        },
    )
}

/// The stream of an open page. `EventSource` stops on anything but 200, so a login that ended is not led to sign-in here.
pub(crate) async fn live(desk: Result<SignedIn, Failure>) -> Response {
    match desk {
        Ok(desk) => follow(&desk.panel, &desk.actor, desk.id, Proof::Login(desk.token)),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_has_a_bounded_number_of_streams() {
        let streams = Arc::new(Streams::default());
        let mut seats: Vec<_> = (0..PER_LOGIN)
            .map(|_| streams.take((false, 1)).unwrap())
            .collect();
        assert!(streams.take((false, 1)).is_none());
        assert!(streams.take((true, 1)).is_some());
        seats.pop();
        assert!(streams.take((false, 1)).is_some());
        drop(seats);
        assert!(streams.0.lock().unwrap().is_empty());
    }
}
