//! Invitations of colleagues, and their roles.

use axum::extract::State;
use control::invitation::{InvitationAccept, InvitationAsk};
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry::{From, logged_in, with_cookie};
use super::{Body, Caller, IfMatch, OrProblem, Reply, created, nothing, ok, schema};
use crate::door::{Path, Query};
use crate::{Shared, urls};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(remove))
        .routes(routes!(show, accept))
        .routes(routes!(set_role))
}

/// Open invitations of a customer
#[utoipa::path(get, operation_id = "invitation_list", path = "/tenants/{id}/invitations", tag = "platform", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<schema::Invitation>), (status = 404, body = schema::Problem)))]
async fn list(caller: Caller, Path(id): Path<i64>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .invitation_list(&caller.actor, id)
        .await
        .or_problem()?)
}

/// Invite somebody into the team; the link is shown once
#[utoipa::path(post, operation_id = "invitation_add", path = "/tenants/{id}/invitations", tag = "platform", params(("id" = i64, Path)), request_body = schema::InvitationAsk,
    responses((status = 201, body = schema::InvitationMade), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn add(caller: Caller, Path(id): Path<i64>, Body(ask): Body<InvitationAsk>) -> Reply {
    let control = &caller.panel.control;
    let made = control
        .invitation_add(&caller.actor, id, ask)
        .await
        .or_problem()?;
    let link = urls::join(&caller.panel.settings.public_url, &made.secret);
    let mut body = json!(made);
    body["link"] = json!(link);
    created(body)
}

/// Take an invitation back
#[utoipa::path(delete, operation_id = "invitation_remove", path = "/tenants/{id}/invitations/{invitation}", tag = "platform", params(("id" = i64, Path), ("invitation" = i64, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn remove(caller: Caller, Path((id, invitation)): Path<(i64, i64)>) -> Reply {
    let control = &caller.panel.control;
    control
        .invitation_remove(&caller.actor, id, invitation)
        .await
        .or_problem()?;
    nothing()
}

/// What is asked about.
#[derive(Debug, Deserialize)]
pub(super) struct Link {
    secret: String,
}

/// What a link invites to
#[utoipa::path(get, operation_id = "invitation_show", path = "/invitation", tag = "entry", security(()), params(("secret" = String, Query, description = "What the link ends in")),
    responses((status = 200, body = schema::Invited), (status = 401, body = schema::Problem), (status = 429, body = schema::Problem)))]
async fn show(State(panel): State<Shared>, From(origin): From, Query(link): Query<Link>) -> Reply {
    ok(panel
        .control
        .invitation_show(&link.secret, &origin)
        .await
        .or_problem()?)
}

/// Take an invitation, once
///
/// Answers with a login cookie and the login's secret.
#[utoipa::path(post, operation_id = "invitation_accept", path = "/invitation", tag = "entry", security(()), request_body = schema::InvitationAccept,
    responses((status = 201, body = schema::LoggedIn), (status = 401, body = schema::Problem), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem), (status = 429, body = schema::Problem)))]
async fn accept(
    State(panel): State<Shared>,
    From(origin): From,
    Body(accept): Body<InvitationAccept>,
) -> Reply {
    let login = panel
        .control
        .invitation_accept(accept, &origin)
        .await
        .or_problem()?;
    let reply = created(logged_in(&login))?;
    Ok(with_cookie(&panel, &login, reply))
}

/// Another role.
#[derive(Debug, Deserialize)]
pub(super) struct NewRole {
    role: String,
}

/// Give an operator of a customer another role; the last owner stays one
///
/// With `If-Match`, only if their role is still that one.
#[utoipa::path(patch, operation_id = "team_set_role", path = "/tenants/{id}/team/{operator}", tag = "platform", params(("id" = i64, Path), ("operator" = i64, Path), ("If-Match" = Option<String>, Header, description = "The role that they have, in quotes")),
    request_body = schema::NewRole,
    responses((status = 200, body = schema::Operator), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem), (status = 412, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn set_role(
    caller: Caller,
    Path((id, operator)): Path<(i64, i64)>,
    IfMatch(was): IfMatch,
    Body(new): Body<NewRole>,
) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .team_set_role(&caller.actor, id, operator, &new.role, was.as_deref())
        .await
        .or_problem()?)
}
