//! Where the link of a nightly mail leads: a page with one button, and what mail programs press by themselves (RFC 8058).
//!
//! No login and no cookie: the link says whom it is about. Refuses to change anything on a GET, which programs that look for
//! viruses send by themselves; and to redirect a POST, which mail services do not follow (RFC 8058 3.1).

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use control::ControlError;
use control::mail::Subscriber;

use crate::door::Path;
use crate::error::{Answer, Failure};
use crate::frame::{Frame, html};
use crate::login::{Visitor, visitor_fail};
use crate::{Shared, urls};

#[derive(Template)]
#[template(path = "unsubscribe.html")]
pub(crate) struct UnsubscribePage {
    pub(crate) frame: Frame,
    pub(crate) subscriber: Subscriber,
    pub(crate) action: String,
}

fn page(panel: &Shared, link: &str, subscriber: Subscriber) -> Answer {
    let page = UnsubscribePage {
        frame: Frame::visitor(panel),
        subscriber,
        action: urls::unsubscribe(link),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Whose mail would end, and the button.
pub(crate) async fn show(
    State(panel): State<Shared>,
    visitor: Visitor,
    Path(link): Path<String>,
) -> Answer {
    let shown = panel.control.unsubscribe_show(&link, &visitor.origin).await;
    page(
        &panel,
        &link,
        shown.map_err(|failure| broken(&panel, failure))?,
    )
}

/// Ends it; whatever the body says, since the link says it all.
pub(crate) async fn end(
    State(panel): State<Shared>,
    visitor: Visitor,
    Path(link): Path<String>,
) -> Answer {
    let ended = panel.control.unsubscribe(&link, &visitor.origin).await;
    page(
        &panel,
        &link,
        ended.map_err(|failure| broken(&panel, failure))?,
    )
}

fn broken(panel: &Shared, failure: ControlError) -> Failure {
    if !matches!(failure, ControlError::NotSignedIn { .. }) {
        return visitor_fail(panel, failure);
    }
    let page = Frame::visitor(panel).error_page(
        StatusCode::NOT_FOUND,
        "This link ends no mail",
        "It is not whole, or whoever it was for is not here any more.",
        "Copy all of it from the mail, or sign in and choose under \"Your login\".",
    );
    page.into_response().into()
}
