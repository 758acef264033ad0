//! Outages, announced (XEP-0455).

use control::outage::Outage;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Body, Caller, OrProblem, Reply, nothing, ok, schema};
use crate::Shared;
use crate::door::Path;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(show, set, over))
        .routes(routes!(platform_show, platform_set, platform_over))
}

/// What is announced for a domain; null: nothing
#[utoipa::path(get, operation_id = "outage_show", path = "/domains/{domain}/outage", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = Option<schema::Outage>), (status = 404, body = schema::Problem)))]
async fn show(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    let shown = control.outage_show(&caller.actor, Some(&domain)).await;
    ok(shown.or_problem()?)
}

/// Announce an outage of a domain: what people's clients show when it does not answer
#[utoipa::path(put, operation_id = "outage_set", path = "/domains/{domain}/outage", tag = "domains", params(("domain" = String, Path)), request_body = schema::Outage,
    responses((status = 204), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn set(caller: Caller, Path(domain): Path<String>, Body(outage): Body<Outage>) -> Reply {
    let control = &caller.panel.control;
    let set = control
        .outage_set(&caller.actor, Some(&domain), Some(outage))
        .await;
    set.or_problem()?;
    nothing()
}

/// It is over
#[utoipa::path(delete, operation_id = "outage_over", path = "/domains/{domain}/outage", tag = "domains", params(("domain" = String, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn over(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    let set = control.outage_set(&caller.actor, Some(&domain), None).await;
    set.or_problem()?;
    nothing()
}

/// What is announced for all domains; null: nothing
#[utoipa::path(get, operation_id = "outage_platform_show", path = "/outage", tag = "platform",
    responses((status = 200, body = Option<schema::Outage>), (status = 403, body = schema::Problem)))]
async fn platform_show(caller: Caller) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .outage_show(&caller.actor, None)
        .await
        .or_problem()?)
}

/// Announce an outage of all domains
#[utoipa::path(put, operation_id = "outage_platform_set", path = "/outage", tag = "platform", request_body = schema::Outage,
    responses((status = 204), (status = 403, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn platform_set(caller: Caller, Body(outage): Body<Outage>) -> Reply {
    let control = &caller.panel.control;
    let set = control.outage_set(&caller.actor, None, Some(outage)).await;
    set.or_problem()?;
    nothing()
}

/// It is over
#[utoipa::path(delete, operation_id = "outage_platform_over", path = "/outage", tag = "platform",
    responses((status = 204), (status = 403, body = schema::Problem)))]
async fn platform_over(caller: Caller) -> Reply {
    let control = &caller.panel.control;
    let set = control.outage_set(&caller.actor, None, None).await;
    set.or_problem()?;
    nothing()
}
