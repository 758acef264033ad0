//! The page from which people load what they have themselves (XEP-0227), by the link that their app has got for them.
//!
//! It is served by the public door of the hosted domains and by the panel: no login, no cookie, no script; the link says it all.
//! Refuses to use the link up on a GET, which programs that look for viruses send by themselves.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use control::ControlError;
use control::operator::Origin;
use control::own_export::{Admitted, OwnExport};

use crate::door::Path;
use crate::error::{Answer, Failure};
use crate::frame::{Frame, html};
use crate::invited::{Website, frame};
use crate::login::{Visitor, link_ended};
use crate::{Shared, portable, urls};

#[derive(Template)]
#[template(path = "own_export.html")]
pub(crate) struct OwnExportPage {
    pub(crate) frame: Frame,
    pub(crate) shown: OwnExport,
    pub(crate) action: String,
}

async fn admitted(
    panel: &Shared,
    domain: Option<&str>,
    token: &str,
    origin: &Origin,
) -> Result<Admitted, Failure> {
    let admitted = panel.control.own_export_admit(domain, token, origin);
    admitted.await.map_err(|failure| ended(panel, failure))
}

/// Whose data, and the button.
pub(crate) async fn page(
    State(panel): State<Shared>,
    Website(domain): Website,
    visitor: Visitor,
    Path(token): Path<String>,
) -> Answer {
    let admitted = admitted(&panel, domain.as_deref(), &token, &visitor.origin).await?;
    let page = OwnExportPage {
        frame: frame(&panel),
        shown: admitted.shown,
        action: urls::own_export(&token),
    };
    Ok(html(StatusCode::OK, &page))
}

/// The file; whatever the body says, since the link says it all.
pub(crate) async fn load(
    State(panel): State<Shared>,
    Website(domain): Website,
    visitor: Visitor,
    Path(token): Path<String>,
) -> Answer {
    let admitted = admitted(&panel, domain.as_deref(), &token, &visitor.origin).await?;
    let name = admitted.shown.account.replace('@', ".");
    let going = panel.control.own_export_take(admitted).await;
    let going = going.map_err(|failure| ended(&panel, failure))?;
    Ok(portable::file(&name, going))
}

fn ended(panel: &Shared, failure: ControlError) -> Failure {
    let said = [
        "This link is not good any more",
        "It was used already, another one has taken its place, or its time is over.",
        "Ask for another one in your chat app, where you got this one.",
    ];
    link_ended(panel, frame(panel), failure, said)
}
