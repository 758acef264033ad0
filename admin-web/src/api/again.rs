//! Requests that are sent again: with the header `Idempotency-Key`, a POST that was done is answered as it was, and not done twice
//! (`control::idempotency`).

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use control::idempotency::{ANSWER_BYTES, Repeat, RequestKey};

use super::Caller;
use crate::error::{problem_json, problem_of};
use crate::live::Proof;
use crate::{IMPORT_BYTES, Shared};

/// The header.
const KEY: &str = "idempotency-key";
/// Says that an answer is one given before.
const REPLAYED: &str = "idempotency-replayed";

/// Around every operation. Who is not signed in, or sends no key, is none of its affair.
pub(crate) async fn once(State(panel): State<Shared>, request: Request, next: Next) -> Response {
    let given = request.headers().get(KEY).cloned();
    let Some(key) = given.filter(|_| request.method() == Method::POST) else {
        return next.run(request).await;
    };
    let (mut parts, body) = request.into_parts();
    let Ok(caller) = Caller::from_request_parts(&mut parts, &panel).await else {
        return next.run(Request::from_parts(parts, body)).await;
    };
    let Ok(body) = to_bytes(body, IMPORT_BYTES).await else {
        return problem_json(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The body is too large",
            "A request with a key is kept in mind as a whole.",
            "Send it in smaller parts.",
            None,
            None,
        );
    };
    let credential = match caller.proof {
        Proof::Token(_) => ("token", caller.id),
        Proof::Login(_) => ("login", caller.id),
    };
    let path = parts.uri.to_string();
    let control = &panel.control;
    // What is no text is no key either, and is refused as an empty one is.
    let key = key.to_str().unwrap_or_default();
    let begun = control.request_begin(&caller.actor, credential, key, &path, &body);
    let request = Request::from_parts(parts, Body::from(body.clone()));
    match begun.await {
        Err(failure) => problem_of(&failure),
        Ok(None) => next.run(request).await,
        Ok(Some(Repeat::Answered { status, body })) => replayed(status, body),
        Ok(Some(Repeat::First(key))) => {
            // Whoever hangs up is the one who will ask again: what was begun is done all the same.
            let panel = panel.clone();
            let done = async move { keep(&panel, key, next.run(request).await).await };
            let done = tokio::spawn(done).await;
            done.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
        }
    }
}

fn replayed(status: u16, body: Vec<u8>) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    let is_json = !body.is_empty();
    let mut answer = (status, body).into_response();
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    if is_json {
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    answer
}

/// Keeps an answer to what was done.
async fn keep(panel: &Shared, key: RequestKey, answer: Response) -> Response {
    let control = &panel.control;
    if !answer.status().is_success() {
        control.request_done(key, None).await;
        return answer;
    }
    let (parts, body) = answer.into_parts();
    let body: Bytes = match to_bytes(body, ANSWER_BYTES).await {
        Ok(body) => body,
        Err(error) => {
            // It was done; whoever asks again is told that it is under way, rather than that it is done twice.
            tracing::error!(%error, "an answer is too long to be kept");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    control
        .request_done(key, Some((parts.status.as_u16(), &body)))
        .await;
    Response::from_parts(parts, Body::from(body))
}
