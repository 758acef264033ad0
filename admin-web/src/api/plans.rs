//! Plans, and what customers use of what they may have.

use axum::http::{HeaderValue, header};
use control::plan::PlanSet;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Body, Caller, IfMatch, OrProblem, Reply, created, nothing, ok, ok_at, schema};
use crate::Shared;
use crate::door::{Path, Query};
use crate::plans::{Whose, usage_table};
use crate::urls;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, set, remove))
        .routes(routes!(usage))
        .routes(routes!(usage_csv))
}

/// Plans
#[utoipa::path(get, operation_id = "plan_list", path = "/plans", tag = "platform", responses((status = 200, body = Vec<schema::Plan>), (status = 403, body = schema::Problem)))]
async fn list(caller: Caller) -> Reply {
    let control = &caller.panel.control;
    ok(control.plan_list(&caller.actor).await.or_problem()?)
}

/// Make a plan
#[utoipa::path(post, operation_id = "plan_add", path = "/plans", tag = "platform", request_body = schema::PlanSet,
    responses((status = 201, body = schema::Plan), (status = 403, body = schema::Problem), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn add(caller: Caller, Body(new): Body<PlanSet>) -> Reply {
    let control = &caller.panel.control;
    created(control.plan_add(&caller.actor, new).await.or_problem()?)
}

/// One plan
#[utoipa::path(get, operation_id = "plan_show", path = "/plans/{id}", tag = "platform", params(("id" = i64, Path)),
    responses((status = 200, body = schema::Plan), (status = 403, body = schema::Problem), (status = 404, body = schema::Problem)))]
async fn show(caller: Caller, Path(id): Path<i64>) -> Reply {
    let control = &caller.panel.control;
    let view = control.plan_show(&caller.actor, id).await.or_problem()?;
    ok_at(&view.version, &view)
}

/// Change a plan; what is left out stays, and it holds at once for every customer that has it
#[utoipa::path(patch, operation_id = "plan_set", path = "/plans/{id}", tag = "platform",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "`ETag` of the answer that the change is made from")),
    request_body = schema::PlanSet,
    responses((status = 200, body = schema::Plan), (status = 404, body = schema::Problem), (status = 412, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn set(
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(version): IfMatch,
    Body(set): Body<PlanSet>,
) -> Reply {
    let set = PlanSet { version, ..set };
    let control = &caller.panel.control;
    let view = control
        .plan_set(&caller.actor, id, set)
        .await
        .or_problem()?;
    ok_at(&view.version, &view)
}

/// Remove a plan that no customer was given
#[utoipa::path(delete, operation_id = "plan_remove", path = "/plans/{id}", tag = "platform", params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn remove(caller: Caller, Path(id): Path<i64>) -> Reply {
    let control = &caller.panel.control;
    control.plan_remove(&caller.actor, id).await.or_problem()?;
    nothing()
}

/// What customers use of what they may have: one, or those that you may see, 50 at a time, those that keep most first. `Link`
/// (RFC 8288) with `rel="next"` leads to the next ones; `X-Total-Count` says how many there are
#[utoipa::path(get, operation_id = "usage", path = "/usage", tag = "platform", params(("tenant" = Option<i64>, Query), ("search" = Option<String>, Query, description = "Part of the name"), ("from" = Option<usize>, Query, description = "Number of the first one, from 0")),
    responses((status = 200, body = Vec<schema::Usage>), (status = 404, body = schema::Problem)))]
async fn usage(caller: Caller, Query(whose): Query<Whose>) -> Reply {
    let control = &caller.panel.control;
    let page = control
        .usage(&caller.actor, whose.tenant, &whose.search, whose.from)
        .await
        .or_problem()?;
    let mut reply = ok(&page.usage)?;
    let headers = reply.headers_mut();
    headers.insert("x-total-count", page.total.into());
    if let Some(next) = page.next {
        let path = urls::page_of("/api/v1/usage", &whose.search, next);
        if let Ok(link) = HeaderValue::from_str(&format!("<{path}>; rel=\"next\"")) {
            headers.insert(header::LINK, link);
        }
    }
    Ok(reply)
}

/// The same as CSV, a line for each customer and limit
#[utoipa::path(get, operation_id = "usage_csv", path = "/usage.csv", tag = "platform", params(("tenant" = Option<i64>, Query)),
    responses((status = 200, content_type = "text/csv", body = String), (status = 404, body = schema::Problem)))]
async fn usage_csv(caller: Caller, Query(whose): Query<Whose>) -> Reply {
    let control = caller.panel.control.clone();
    let first = control
        .usage_csv(&caller.actor, whose.tenant, None)
        .await
        .or_problem()?;
    Ok(usage_table(control, caller.actor, first))
}
