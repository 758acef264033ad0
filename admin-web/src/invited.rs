//! The page that an invitation to an account leads to (XEP-0401 4.2), for people who may have heard of none of this: who
//! invites, to what, which app, one button, and an account made right here for apps that cannot.
//!
//! It is served by the public door of the hosted domains and by the panel, to nobody in particular: no login, no cookie, no
//! script. Refuses: saying of a link that is not good why it is not.

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use axum::{Router, middleware};
use control::invite::{Admitted, Invited};
use control::operator::Origin;
use control::{Control, ControlError};

use crate::apps::App;
use crate::door::{self, Path};
use crate::error::{Answer, Failure, Problem};
use crate::form::Open;
use crate::frame::{Frame, html};
use crate::login::{Visitor, link_ended};
use crate::ui::Markup;
use crate::{Panel, PanelSettings, Shared, apps, ask, assets, live, own_export, qr, urls};

/// The hosted domain (canonical, U-labels) whose own website the door is: only its invitations are opened there.
#[derive(Debug, Clone)]
pub struct OwnWebsite(pub String);

/// The domain whose own website the door is, if it is one.
pub(crate) struct Website(pub(crate) Option<String>);

impl FromRequestParts<Shared> for Website {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Infallible> {
        let own = parts.extensions.get::<OwnWebsite>();
        Ok(Self(own.map(|OwnWebsite(domain)| domain.clone())))
    }
}

/// The pages for people who come to a domain alone, for the public door. It hands in where a request comes from as
/// `ConnectInfo<SocketAddr>`, and [`OwnWebsite`] where it is one.
pub fn router(control: Arc<Control>, mut settings: PanelSettings) -> Router {
    // The door speaks TLS itself: what a visitor says about proxies is not believed.
    settings.secure_cookies = false;
    let panel = Arc::new(Panel {
        control,
        settings,
        streams: Arc::<live::Streams>::default(),
    });
    Router::new()
        .route(urls::INVITED, get(page).post(take))
        .route(urls::ASK, get(ask::page).post(ask::take))
        .route(
            urls::OWN_EXPORT,
            get(own_export::page).post(own_export::load),
        )
        .route(assets::ROUTE, get(assets::serve))
        .fallback(door::not_found)
        .layer(middleware::from_fn_with_state(panel.clone(), door::guard))
        .with_state(panel)
}

#[derive(Template)]
#[template(path = "invited.html")]
pub(crate) struct InvitedPage {
    pub(crate) frame: Frame,
    pub(crate) invited: Invited,
    pub(crate) action: String,
    /// As typed.
    pub(crate) local: String,
    pub(crate) agent: String,
}

impl InvitedPage {
    fn apps(&self) -> Vec<(bool, Vec<&'static App>)> {
        apps::for_device(&self.agent)
    }

    /// Its button is above: which apps it opens.
    fn tells_how(&self) -> bool {
        true
    }

    /// For the camera of another device.
    fn code(&self) -> Markup {
        qr::svg(&self.invited.link, "QR code of this page")
    }
}

#[derive(Template)]
#[template(path = "invited_done.html")]
pub(crate) struct DonePage {
    pub(crate) frame: Frame,
    pub(crate) jid: String,
    pub(crate) contact: Option<String>,
    pub(crate) agent: String,
    /// It was an app that has led here (XEP-0389 5.2).
    pub(crate) app_waits: bool,
}

impl DonePage {
    fn apps(&self) -> Vec<(bool, Vec<&'static App>)> {
        apps::for_device(&self.agent)
    }

    /// Whatever signs in with an account will do.
    fn tells_how(&self) -> bool {
        false
    }
}

pub(crate) fn frame(panel: &Shared) -> Frame {
    let mut frame = Frame::visitor(panel);
    // Whoever is invited has no business with the panel.
    frame.sign_up = false;
    frame
}

async fn admitted(
    panel: &Shared,
    Website(domain): Website,
    token: &str,
    origin: &Origin,
) -> Result<Admitted, Failure> {
    let control = &panel.control;
    let admitted = control.invite_admit(domain.as_deref(), token, origin);
    admitted.await.map_err(|failure| ended(panel, failure))
}

/// What the link is to.
pub(crate) async fn page(
    State(panel): State<Shared>,
    website: Website,
    visitor: Visitor,
    Path(token): Path<String>,
) -> Answer {
    let admitted = admitted(&panel, website, &token, &visitor.origin).await?;
    let page = InvitedPage {
        frame: frame(&panel),
        local: admitted.invited.local.clone().unwrap_or_default(),
        invited: admitted.invited,
        action: urls::invited(&token),
        agent: visitor.origin.agent,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Makes the account.
pub(crate) async fn take(
    State(panel): State<Shared>,
    website: Website,
    Path(token): Path<String>,
    Open { fields, origin }: Open,
) -> Answer {
    let admitted = admitted(&panel, website, &token, &origin).await?;
    // People write their whole address; the part before the @ is meant.
    let typed = fields.text("local").split('@').next().unwrap_or_default();
    let local = admitted
        .invited
        .local
        .as_deref()
        .unwrap_or(typed)
        .to_owned();
    let taken = panel
        .control
        .invite_take(&admitted, &local, fields.secret("password"))
        .await;
    let failure = match taken {
        Ok(account) => {
            let page = DonePage {
                frame: frame(&panel),
                jid: account.jid,
                contact: admitted.invited.contact,
                agent: origin.agent,
                app_waits: false,
            };
            return Ok(html(StatusCode::CREATED, &page));
        }
        Err(failure) => failure,
    };
    let problem = Problem::of(failure).map_err(|other| ended(&panel, other))?;
    let page = InvitedPage {
        frame: frame(&panel).problem(Some(problem)),
        invited: admitted.invited,
        action: urls::invited(&token),
        local,
        agent: origin.agent,
    };
    Ok(html(page.frame.status(), &page))
}

fn ended(panel: &Shared, failure: ControlError) -> Failure {
    let said = [
        "This invitation is not good any more",
        "It was used already, taken back, or its time is over.",
        "Ask whoever sent you the link for another one.",
    ];
    link_ended(panel, frame(panel), failure, said)
}
