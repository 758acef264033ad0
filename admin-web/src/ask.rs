//! The page on which people ask for an account at a domain whose owner has opened it with a question (XEP-0077, EXT-33): for
//! those whose app cannot show the question, and those who have no app yet.
//!
//! It is served where the pages of invitations are, to nobody in particular: no login, no cookie, no script. Refuses: saying
//! of a domain that is not open whether it is here at all.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use control::ControlError;
use control::operator::Origin;
use control::registration::{OpenDomain, STREAM_FIELD, Wanted};
use serde::Deserialize;

use crate::door::{Path, Query};
use crate::error::{Answer, Failure, Problem};
use crate::form::Open;
use crate::frame::{Frame, html};
use crate::invited::{DonePage, Website, frame};
use crate::login::{Visitor, visitor_fail};
use crate::{Shared, urls};

#[derive(Template)]
#[template(path = "ask.html")]
pub(crate) struct AskPage {
    pub(crate) frame: Frame,
    pub(crate) open: OpenDomain,
    pub(crate) action: String,
    /// As typed.
    pub(crate) local: String,
    pub(crate) answer: String,
    /// The stream whose client has opened the page and waits; empty: none.
    pub(crate) stream: String,
}

/// What the page is opened with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Opened {
    /// The stream whose client has opened it ([`STREAM_FIELD`]).
    stream: String,
}

impl AskPage {
    fn new(panel: &Shared, open: OpenDomain, stream: String) -> Self {
        Self {
            frame: frame(panel),
            action: urls::ask(&open.ascii),
            open,
            local: String::new(),
            answer: String::new(),
            stream,
        }
    }
}

/// The domain, if it is open, and this is where it is asked for: on a domain's own website, that one alone.
async fn opened(
    panel: &Shared,
    website: Website,
    domain: &str,
    origin: &Origin,
) -> Result<OpenDomain, Failure> {
    let open = panel
        .control
        .registration_show(domain, origin)
        .await
        .map_err(|failure| closed(panel, failure))?;
    match website {
        Website(Some(own)) if own != open.domain => Err(nowhere(panel)),
        Website(_) => Ok(open),
    }
}

/// What is asked.
pub(crate) async fn page(
    State(panel): State<Shared>,
    website: Website,
    visitor: Visitor,
    Path(domain): Path<String>,
    Query(by): Query<Opened>,
) -> Answer {
    let open = opened(&panel, website, &domain, &visitor.origin).await?;
    Ok(html(StatusCode::OK, &AskPage::new(&panel, open, by.stream)))
}

/// Makes the account, if the answer is one.
pub(crate) async fn take(
    State(panel): State<Shared>,
    website: Website,
    Path(domain): Path<String>,
    Open { fields, origin }: Open,
) -> Answer {
    let open = opened(&panel, website, &domain, &origin).await?;
    // People write their whole address; the part before the @ is meant.
    let local = fields.text("local").split('@').next().unwrap_or_default();
    let answer = fields.text("answer");
    let stream = fields.text(STREAM_FIELD);
    let wanted = Wanted {
        local: local.to_owned(),
        password: fields.secret("password"),
        answer: answer.to_owned(),
    };
    let asked = panel
        .control
        .registration_ask(&open.domain, wanted, stream, &origin)
        .await;
    let failure = match asked {
        Ok(account) => {
            let page = DonePage {
                frame: frame(&panel),
                jid: account.jid,
                contact: None,
                agent: origin.agent,
                app_waits: !stream.is_empty(),
            };
            return Ok(html(StatusCode::CREATED, &page));
        }
        Err(failure) => failure,
    };
    let problem = Problem::of(failure).map_err(|other| closed(&panel, other))?;
    let mut page = AskPage::new(&panel, open, stream.to_owned());
    page.frame = page.frame.problem(Some(problem));
    page.local = local.to_owned();
    page.answer = answer.to_owned();
    Ok(html(page.frame.status(), &page))
}

/// The same of a domain that is not open and of one that is not here.
fn closed(panel: &Shared, failure: ControlError) -> Failure {
    if !matches!(failure, ControlError::NotFound { .. }) {
        return visitor_fail(panel, failure);
    }
    nowhere(panel)
}

fn nowhere(panel: &Shared) -> Failure {
    let page = frame(panel).error_page(
        StatusCode::NOT_FOUND,
        "Nobody can ask for an account here",
        "Accounts of this domain are given by whoever looks after it, or there is no such domain here.",
        "Ask somebody who has an address there to invite you.",
    );
    page.into()
}
