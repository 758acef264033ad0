//! From [`ControlError`] to what a person or a program gets to see. The full chain of causes goes to the log, once, here.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::ControlError;
use serde_json::json;

/// An answer that ends a handler early: an error page, a redirect to sign-in, a problem document. Boxed, since results
/// carry it around.
pub(crate) struct Failure(Box<Response>);

impl From<Response> for Failure {
    fn from(response: Response) -> Self {
        Self(Box::new(response))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// What a handler returns.
pub(crate) type Answer = Result<Response, Failure>;

/// A refusal that the person can do something about on the same page, shown above its form.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    /// Status of the page that shows it.
    pub(crate) status: StatusCode,
    /// What is wrong.
    pub(crate) text: String,
    /// What to do.
    pub(crate) remedy: String,
    /// Field at fault.
    pub(crate) field: Option<&'static str>,
}

impl Problem {
    /// A problem found by the panel itself.
    pub(crate) fn new(
        field: Option<&'static str>,
        text: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            text: text.into(),
            remedy: remedy.into(),
            field,
        }
    }

    /// The problem of an error that belongs beside a form; the error itself if it does not.
    pub(crate) fn of(error: ControlError) -> Result<Self, ControlError> {
        match error {
            ControlError::Invalid { .. }
            | ControlError::Exists { .. }
            | ControlError::State { .. }
            | ControlError::Stale { .. }
            | ControlError::Limit { .. }
            | ControlError::TooMany { .. }
            | ControlError::FactorWanted
            | ControlError::LoginRefused => Ok(Self {
                status: status(&error),
                text: sentence(&error),
                remedy: error.remedy(),
                field: error.field(),
            }),
            other => Err(other),
        }
    }

    /// Is this the field at fault?
    pub(crate) fn at(&self, field: &str) -> bool {
        self.field == Some(field)
    }
}

/// The text of an error without the name of the field in front, starting with a capital: the form shows where it belongs.
fn sentence(error: &ControlError) -> String {
    let text = match error {
        ControlError::Invalid { problem, .. } => problem.clone(),
        other => other.to_string(),
    };
    capital(&text)
}

/// With a capital at the start.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        // Names of domains stay as they are.
        Some(first) if !text.split(' ').next().unwrap_or_default().contains('.') => {
            first.to_uppercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}

/// HTTP status of an error.
pub(crate) fn status(error: &ControlError) -> StatusCode {
    StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// Short heading of an error.
pub(crate) fn title(error: &ControlError) -> &'static str {
    match error {
        ControlError::NotFound { .. } => "There is nothing here",
        ControlError::Forbidden { .. } => "Your role does not include this",
        ControlError::Scope { .. } => "The token does not include this",
        ControlError::SecondFactor { .. } => "A code is wanted too",
        ControlError::Viewing { .. } => "You are only looking",
        ControlError::FactorWanted => "A second factor comes first",
        ControlError::LoginRefused => "That did not let you in",
        ControlError::NotSignedIn { .. } => "You are not signed in",
        ControlError::TooMany { .. } => "Too many attempts",
        ControlError::Invalid { .. } => "Something in the form cannot be used",
        ControlError::Exists { .. } => "That name is taken",
        ControlError::State { .. } => "Not possible right now",
        ControlError::Stale { .. } => "Somebody else has changed it",
        ControlError::Limit { .. } => "A limit is reached",
        ControlError::Unavailable { .. } => "Something we need is out of reach",
        ControlError::Internal { .. } => "Something went wrong on our side",
    }
}

/// Writes the chain of causes where it is our affair.
pub(crate) fn log(error: &ControlError) {
    if matches!(
        error,
        ControlError::Unavailable { .. } | ControlError::Internal { .. }
    ) {
        tracing::error!(
            code = error.code(),
            "panel: an operation failed: {}",
            error.log_text()
        );
    }
}

/// RFC 9457 problem document of an error.
pub(crate) fn problem_of(error: &ControlError) -> Response {
    log(error);
    problem_json(
        status(error),
        error.code(),
        title(error),
        &error.to_string(),
        &error.remedy(),
        error.field(),
        error.retry_after_seconds(),
    )
}

/// RFC 9457 problem document with our members `code`, `remedy` and `field`.
pub(crate) fn problem_json(
    status: StatusCode,
    code: &str,
    title: &str,
    detail: &str,
    remedy: &str,
    field: Option<&str>,
    retry_after_seconds: Option<u64>,
) -> Response {
    let body = json!({
        "type": "about:blank",
        "status": status.as_u16(),
        "code": code,
        "title": title,
        "detail": detail,
        "remedy": remedy,
        "field": field,
    });
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"domicile\""),
        );
    }
    if let Some(seconds) = retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
