//! Live updates: a stream of "this changed" for open pages (server-sent events). The page then fetches itself and replaces
//! the parts that differ, so what it shows was authorised anew; nothing but names of domains travels here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use control::Events;
use futures_util::stream::{self, Stream};

use crate::Shared;
use crate::error::Answer;
use crate::login::SignedIn;

/// Open streams of one login: a browser has six connections to a host and needs some for pages.
const PER_LOGIN: usize = 8;
/// A line every so often keeps proxies from closing the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// A stream ends after this time and the browser opens another: a login that ended does not follow for longer.
const LONGEST: Duration = Duration::from_secs(15 * 60);

/// Open streams by login.
#[derive(Default)]
pub(crate) struct Streams(Mutex<HashMap<i64, usize>>);

/// One open stream; leaving counts down.
struct Seat {
    streams: Arc<Streams>,
    login: i64,
}

impl Streams {
    fn take(self: &Arc<Self>, login: i64) -> Option<Seat> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(login).or_insert(0);
        if *count >= PER_LOGIN {
            return None;
        }
        *count += 1;
        Some(Seat {
            streams: Arc::clone(self),
            login,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let streams = &self.streams.0;
        let mut open = streams.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.login) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.login);
            }
        }
    }
}

/// Follows what the actor may see.
pub(crate) async fn live(desk: SignedIn) -> Answer {
    let Some(seat) = desk.panel.streams.take(desk.id) else {
        return Ok(StatusCode::TOO_MANY_REQUESTS.into_response());
    };
    let events = desk.panel.control.events(&desk.actor);
    let messages = messages(desk, events, seat);
    let sse = Sse::new(messages).keep_alive(KeepAlive::new().interval(KEEP_ALIVE));
    Ok(sse.into_response())
}

fn messages(
    desk: SignedIn,
    events: Events,
    seat: Seat,
) -> impl Stream<Item = Result<Message, Infallible>> {
    let end = tokio::time::Instant::now() + LONGEST;
    stream::unfold(
        (desk, events, seat),
        move |(desk, mut events, seat)| async move {
            let event = tokio::time::timeout_at(end, events.next()).await.ok()??;
            // Somebody who signed out elsewhere sees nothing more.
            if !still_signed_in(&desk.panel, &desk).await {
                return None;
            }
            let data = serde_json::to_string(&event).unwrap_or_default();
            let message = Message::default().event("change").data(data);
            Some((Ok(message), (desk, events, seat)))
        },
    )
}

async fn still_signed_in(panel: &Shared, desk: &SignedIn) -> bool {
    let resumed = panel.control.login_resume(desk.token.expose()).await;
    matches!(resumed, Ok(Some(_)))
}

/// For programs and for browsers whose login has ended: `EventSource` stops on anything but 200.
pub(crate) async fn live_or_401(desk: Result<SignedIn, crate::error::Failure>) -> Response {
    match desk {
        Ok(desk) => live(desk).await.into_response(),
        Err(_) => StatusCode::UNAUTHORIZED.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_has_a_bounded_number_of_streams() {
        let streams = Arc::new(Streams::default());
        let mut seats: Vec<_> = (0..PER_LOGIN).map(|_| streams.take(1).unwrap()).collect();
        assert!(streams.take(1).is_none());
        assert!(streams.take(2).is_some());
        seats.pop();
        assert!(streams.take(1).is_some());
        drop(seats);
        assert!(streams.0.lock().unwrap().is_empty());
    }
}
