//! Refusals of XEP-0060: a stanza error with the condition of its own that clients look for.

use xmpp::element::Element;
use xmpp::stanza::{Condition, ErrorType, StanzaError};

use crate::context::Refusal;

const ERRORS: &str = "http://jabber.org/protocol/pubsub#errors";

/// With an application-specific condition of this name.
pub(super) fn refused(condition: Condition, app: &str, text: impl Into<String>) -> Refusal {
    let error = StanzaError::new(condition)
        .with_app(Element::new(app, ERRORS))
        .with_text(text);
    // By itself the condition is one to wait for; here nothing changes by waiting (XEP-0060 6.2.3.2).
    match condition {
        Condition::UnexpectedRequest => error.with_kind(ErrorType::Cancel).into(),
        _ => error.into(),
    }
}

/// The same of what may be done later: type "wait".
pub(super) fn refused_for_now(condition: Condition, app: &str, text: impl Into<String>) -> Refusal {
    StanzaError::new(condition)
        .with_app(Element::new(app, ERRORS))
        .with_text(text)
        .with_kind(ErrorType::Wait)
        .into()
}

/// What is not offered (XEP-0060 5 and throughout).
pub(super) fn unsupported(feature: &str) -> Refusal {
    StanzaError::new(Condition::FeatureNotImplemented)
        .with_app(Element::new("unsupported", ERRORS).attr("feature", feature))
        .into()
}

/// Without one.
pub(super) fn plain(condition: Condition, text: impl Into<String>) -> Refusal {
    Refusal::new(condition).with_text(text)
}
