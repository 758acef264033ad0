//! Second factors: one's own, colleagues', and what a customer asks of its people.

use control::Secret;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Body, Caller, OrProblem, Reply, nothing, ok, schema};
use crate::Shared;
use crate::door::Path;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(show, begin))
        .routes(routes!(confirm))
        .routes(routes!(remove))
        .routes(routes!(reset))
        .routes(routes!(require))
}

/// One's own second factor
#[utoipa::path(get, operation_id = "factor_show", path = "/me/factor", tag = "entry", responses((status = 200, body = schema::Factor), (status = 401, body = schema::Problem)))]
async fn show(caller: Caller) -> Reply {
    let control = &caller.panel.control;
    ok(control.factor_show(&caller.actor).await.or_problem()?)
}

/// One's own password.
#[derive(Deserialize)]
pub(super) struct OwnPassword {
    pub(super) password: Secret,
}

/// Draw a secret for one's app, against the password
#[utoipa::path(post, operation_id = "factor_begin", path = "/me/factor", tag = "entry", request_body = schema::OwnPassword,
    responses((status = 200, body = schema::FactorBegun), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn begin(caller: Caller, Body(own): Body<OwnPassword>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .factor_begin(&caller.actor, &own.password)
        .await
        .or_problem()?)
}

/// A code.
#[derive(Deserialize)]
pub(super) struct FactorCode {
    code: Secret,
}

/// Show that the app works; answers with recovery codes, shown once
#[utoipa::path(post, operation_id = "factor_confirm", path = "/me/factor/confirm", tag = "entry", request_body = schema::FactorCode,
    responses((status = 200, body = schema::RecoveryCodes), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem), (status = 429, body = schema::Problem)))]
async fn confirm(caller: Caller, Body(given): Body<FactorCode>) -> Reply {
    let control = &caller.panel.control;
    let codes = control
        .factor_confirm(&caller.actor, given.code.expose())
        .await
        .or_problem()?;
    ok(json!({ "codes": codes }))
}

/// Take one's own second factor away, against a code of it
#[utoipa::path(post, operation_id = "factor_remove", path = "/me/factor/remove", tag = "entry", request_body = schema::FactorCode,
    responses((status = 204), (status = 422, body = schema::Problem), (status = 429, body = schema::Problem)))]
async fn remove(caller: Caller, Body(given): Body<FactorCode>) -> Reply {
    let control = &caller.panel.control;
    control
        .factor_remove(&caller.actor, given.code.expose())
        .await
        .or_problem()?;
    nothing()
}

/// Take the second factor of an operator away who has lost it
#[utoipa::path(delete, operation_id = "team_reset_factor", path = "/tenants/{id}/team/{operator}/factor", tag = "platform", params(("id" = i64, Path), ("operator" = i64, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn reset(caller: Caller, Path((id, operator)): Path<(i64, i64)>) -> Reply {
    let control = &caller.panel.control;
    control
        .team_reset_factor(&caller.actor, id, operator)
        .await
        .or_problem()?;
    nothing()
}

/// Whether it is wanted.
#[derive(Deserialize)]
pub(super) struct FactorRule {
    wanted: bool,
}

/// Ask everybody of a customer's team for a second factor, or not
#[utoipa::path(put, operation_id = "tenant_require_factor", path = "/tenants/{id}/factor", tag = "platform", params(("id" = i64, Path)), request_body = schema::FactorRule,
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn require(caller: Caller, Path(id): Path<i64>, Body(rule): Body<FactorRule>) -> Reply {
    let control = &caller.panel.control;
    control
        .tenant_require_factor(&caller.actor, id, rule.wanted)
        .await
        .or_problem()?;
    nothing()
}
