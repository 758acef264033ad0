//! Invitations: the owner's side on the team's page, and the page where somebody takes one.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use control::invitation::{InvitationAccept, InvitationAsk, Invited};
use control::{ControlError, Role};
use serde::Deserialize;

use crate::desk::{own_tenant, team_page};
use crate::door::{Path, Query};
use crate::error::{Answer, Failure, Problem};
use crate::form::{Open, Posted};
use crate::frame::{Frame, done, html};
use crate::login::{OrPage, SignedIn, Visitor, enter, link_ended};
use crate::{Shared, urls};

/// Makes an invitation and shows its link once.
pub(crate) async fn invite(Posted { desk, fields }: Posted) -> Answer {
    let tenant = own_tenant(&desk)?;
    let role = fields.text("role").to_owned();
    let Ok(days) = fields.text("days").parse() else {
        let problem = Problem::new(
            Some("days"),
            "The days are a whole number.",
            "Type how many days the link is to be good for.",
        );
        return team_page(&desk, Some(problem), String::new(), role, None).await;
    };
    let ask = InvitationAsk {
        role: role.clone(),
        note: fields.text("note").to_owned(),
        days: Some(days),
    };
    let control = &desk.panel.control;
    match control.invitation_add(&desk.actor, tenant, ask).await {
        Ok(made) => {
            let link = urls::join(&desk.panel.settings.public_url, &made.secret);
            team_page(&desk, None, String::new(), role, Some((link, made.view))).await
        }
        Err(failure) => refused(&desk, failure).await,
    }
}

async fn refused(desk: &SignedIn, failure: ControlError) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    let role = Role::Admin.as_str().to_owned();
    team_page(desk, Some(problem), String::new(), role, None).await
}

/// Takes an invitation back.
pub(crate) async fn uninvite(Path(id): Path<i64>, Posted { desk, .. }: Posted) -> Answer {
    let tenant = own_tenant(&desk)?;
    desk.panel
        .control
        .invitation_remove(&desk.actor, tenant, id)
        .await
        .or_page(&desk)?;
    Ok(done(urls::TEAM, "invitation-removed"))
}

/// Gives a colleague another role.
pub(crate) async fn set_role(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let tenant = own_tenant(&desk)?;
    let role = fields.text("role");
    let control = &desk.panel.control;
    let was = fields.version();
    let set = control.team_set_role(&desk.actor, tenant, id, role, was.as_deref());
    match set.await {
        Ok(_) => Ok(done(urls::TEAM, "saved")),
        Err(failure) => refused(&desk, failure).await,
    }
}

// --- whoever has the link ---

#[derive(Template)]
#[template(path = "join.html")]
pub(crate) struct JoinPage {
    pub(crate) frame: Frame,
    pub(crate) invited: Invited,
    pub(crate) secret: String,
    pub(crate) login: String,
}

/// The link's end.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Link {
    #[serde(default)]
    invitation: String,
}

/// What the link invites to.
pub(crate) async fn page(
    State(panel): State<Shared>,
    visitor: Visitor,
    Query(link): Query<Link>,
) -> Answer {
    let invited = panel
        .control
        .invitation_show(&link.invitation, &visitor.origin)
        .await
        .map_err(|failure| ended(&panel, failure))?;
    let page = JoinPage {
        frame: Frame::visitor(&panel),
        invited,
        secret: link.invitation,
        login: String::new(),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Takes it.
pub(crate) async fn accept(State(panel): State<Shared>, Open { fields, origin }: Open) -> Answer {
    let login = fields.text("login").to_owned();
    let secret = fields.text("invitation").to_owned();
    let accept = InvitationAccept {
        secret: secret.as_str().into(),
        login: login.clone(),
        password: fields.secret("password"),
    };
    let failure = match panel.control.invitation_accept(accept, &origin).await {
        Ok(logged_in) => return Ok(enter(&panel, &logged_in, done(urls::HOME, "joined"))),
        Err(failure) => failure,
    };
    let problem = Problem::of(failure).map_err(|other| ended(&panel, other))?;
    let invited = panel
        .control
        .invitation_show(&secret, &origin)
        .await
        .map_err(|failure| ended(&panel, failure))?;
    let page = JoinPage {
        frame: Frame::visitor(&panel).problem(Some(problem)),
        invited,
        secret,
        login,
    };
    Ok(html(page.frame.status(), &page))
}

fn ended(panel: &Shared, failure: ControlError) -> Failure {
    let said = [
        "This invitation is not good any more",
        "It was used already, taken back, or its time is over.",
        "Ask whoever invited you for another one.",
    ];
    link_ended(panel, Frame::visitor(panel), failure, said)
}
