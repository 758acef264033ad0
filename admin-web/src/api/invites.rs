//! Invitations to accounts of a domain, and taking one.

use axum::extract::State;
use control::Secret;
use control::invite::InviteAsk;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::entry::From;
use super::{Body, Caller, OrProblem, Reply, created, nothing, ok, schema};
use crate::Shared;
use crate::door::{Path, Query};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(remove))
        .routes(routes!(show, take))
}

/// Open invitations of a domain
#[utoipa::path(get, operation_id = "invite_list", path = "/domains/{domain}/invites", tag = "accounts", params(("domain" = String, Path)),
    responses((status = 200, body = Vec<schema::Invite>), (status = 404, body = schema::Problem)))]
async fn list(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .invite_list(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// Invite somebody to an account; link and URI are shown once
#[utoipa::path(post, operation_id = "invite_add", path = "/domains/{domain}/invites", tag = "accounts", params(("domain" = String, Path)), request_body = schema::InviteAsk,
    responses((status = 201, body = schema::InviteNew), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn add(caller: Caller, Path(domain): Path<String>, Body(ask): Body<InviteAsk>) -> Reply {
    let control = &caller.panel.control;
    created(
        control
            .invite_add(&caller.actor, &domain, ask)
            .await
            .or_problem()?,
    )
}

/// Take an invitation back
#[utoipa::path(delete, operation_id = "invite_remove", path = "/domains/{domain}/invites/{invite}", tag = "accounts", params(("domain" = String, Path), ("invite" = i64, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn remove(caller: Caller, Path((domain, invite)): Path<(String, i64)>) -> Reply {
    let control = &caller.panel.control;
    control
        .invite_remove(&caller.actor, &domain, invite)
        .await
        .or_problem()?;
    nothing()
}

/// What is asked about.
#[derive(Deserialize)]
pub(super) struct Link {
    token: Secret,
}

/// What an invitation is to
#[utoipa::path(get, operation_id = "invite_show", path = "/invite", tag = "entry", security(()), params(("token" = String, Query, description = "What the link ends in")),
    responses((status = 200, body = schema::InvitedTo), (status = 401, body = schema::Problem), (status = 429, body = schema::Problem)))]
async fn show(State(panel): State<Shared>, From(origin): From, Query(link): Query<Link>) -> Reply {
    let admitted = panel
        .control
        .invite_admit(None, link.token.expose(), &origin)
        .await
        .or_problem()?;
    ok(admitted.invited)
}

/// Taking it.
#[derive(Deserialize)]
pub(super) struct InviteTake {
    token: Secret,
    local: String,
    password: Secret,
}

/// Make an account by invitation, once
#[utoipa::path(post, operation_id = "invite_take", path = "/invite", tag = "entry", security(()), request_body = schema::InviteTake,
    responses((status = 201, body = schema::Account), (status = 401, body = schema::Problem), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem), (status = 429, body = schema::Problem)))]
async fn take(
    State(panel): State<Shared>,
    From(origin): From,
    Body(take): Body<InviteTake>,
) -> Reply {
    let control = &panel.control;
    let admitted = control
        .invite_admit(None, take.token.expose(), &origin)
        .await
        .or_problem()?;
    created(
        control
            .invite_take(&admitted, &take.local, take.password)
            .await
            .or_problem()?,
    )
}
