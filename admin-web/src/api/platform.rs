//! Customers (tenants), teams, operators of the platform, the audit log.

use control::audit::AuditQuery;
use control::ladder::LadderSet;
use control::operator::OperatorNew;
use control::tenant::{TenantNew, TenantSet};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::domains::Reason;
use super::{Body, Caller, IfMatch, OrProblem, Reply, created, nothing, ok, ok_at, schema};
use crate::Shared;
use crate::door::{Path, Query};
use crate::frame::csv;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(show, remove))
        .routes(routes!(set_limits))
        .routes(routes!(ladder_set, ladder_end))
        .routes(routes!(suspend))
        .routes(routes!(resume))
        .routes(routes!(team, team_add))
        .routes(routes!(team_remove))
        .routes(routes!(operators, operator_add))
        .routes(routes!(zone_check))
        .routes(routes!(zone_repair))
        .routes(routes!(overview))
        .routes(routes!(audit))
        .routes(routes!(audit_csv))
}

/// Customers that you may see
#[utoipa::path(get, operation_id = "tenant_list", path = "/tenants", tag = "platform", responses((status = 200, body = Vec<schema::Tenant>)))]
async fn list(caller: Caller) -> Reply {
    ok(caller
        .panel
        .control
        .tenant_list(&caller.actor)
        .await
        .or_problem()?)
}

/// Add a customer by hand
#[utoipa::path(post, operation_id = "tenant_add", path = "/tenants", tag = "platform", request_body = schema::TenantNew,
    responses((status = 201, body = schema::Tenant), (status = 403, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn add(caller: Caller, Body(new): Body<TenantNew>) -> Reply {
    created(
        caller
            .panel
            .control
            .tenant_add(&caller.actor, new)
            .await
            .or_problem()?,
    )
}

/// One customer
#[utoipa::path(get, operation_id = "tenant_show", path = "/tenants/{id}", tag = "platform", params(("id" = i64, Path)), responses((status = 200, body = schema::Tenant), (status = 404, body = schema::Problem)))]
async fn show(caller: Caller, Path(id): Path<i64>) -> Reply {
    let control = &caller.panel.control;
    let view = control.tenant_show(&caller.actor, id).await.or_problem()?;
    ok_at(&view.version, &view)
}

/// Erase a customer with everything; answers with the records that now dangle
#[utoipa::path(delete, operation_id = "tenant_remove", path = "/tenants/{id}", tag = "platform", params(("id" = i64, Path)), responses((status = 200, body = Vec<schema::Record>), (status = 404, body = schema::Problem)))]
async fn remove(caller: Caller, Path(id): Path<i64>) -> Reply {
    ok(caller
        .panel
        .control
        .tenant_remove(&caller.actor, id)
        .await
        .or_problem()?)
}

/// Change plan and limits; what is left out stays
#[utoipa::path(put, path = "/tenants/{id}/limits", tag = "platform",
    params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "`ETag` of the answer that the change is made from")),
    request_body = schema::TenantSet,
    responses((status = 200, body = schema::Tenant), (status = 404, body = schema::Problem), (status = 412, body = schema::Problem)))]
async fn set_limits(
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(version): IfMatch,
    Body(set): Body<TenantSet>,
) -> Reply {
    let set = TenantSet { version, ..set };
    let control = &caller.panel.control;
    let view = control
        .tenant_set_limits(&caller.actor, id, set)
        .await
        .or_problem()?;
    ok_at(&view.version, &view)
}

/// Put a customer on the suspension ladder, or give it other dates
///
/// It begins with the warning; a step without days does not come. With `If-Match`, only if the customer is still that version.
#[utoipa::path(put, path = "/tenants/{id}/ladder", tag = "platform", params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The version that the change is made from")), request_body = schema::LadderSet,
    responses((status = 200, body = schema::Tenant), (status = 404, body = schema::Problem), (status = 412, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn ladder_set(
    caller: Caller,
    Path(id): Path<i64>,
    IfMatch(version): IfMatch,
    Body(set): Body<LadderSet>,
) -> Reply {
    let set = LadderSet { version, ..set };
    let control = &caller.panel.control;
    ok(control
        .ladder_set(&caller.actor, id, set)
        .await
        .or_problem()?)
}

/// Take a customer off the ladder: everything is as it was
#[utoipa::path(delete, path = "/tenants/{id}/ladder", tag = "platform", params(("id" = i64, Path), ("If-Match" = Option<String>, Header, description = "The version that the change is made from")),
    responses((status = 200, body = schema::Tenant), (status = 404, body = schema::Problem), (status = 412, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn ladder_end(caller: Caller, Path(id): Path<i64>, IfMatch(version): IfMatch) -> Reply {
    let control = &caller.panel.control;
    let ended = control.ladder_end(&caller.actor, id, version.as_deref());
    ok(ended.await.or_problem()?)
}

/// Stop all domains of a customer
#[utoipa::path(post, operation_id = "tenant_suspend", path = "/tenants/{id}/suspend", tag = "platform", params(("id" = i64, Path)), request_body = schema::Reason,
    responses((status = 200, body = schema::Tenant), (status = 404, body = schema::Problem)))]
async fn suspend(caller: Caller, Path(id): Path<i64>, Body(reason): Body<Reason>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .tenant_suspend(&caller.actor, id, &reason.reason)
        .await
        .or_problem()?)
}

/// Start them again
#[utoipa::path(post, operation_id = "tenant_resume", path = "/tenants/{id}/resume", tag = "platform", params(("id" = i64, Path)), responses((status = 200, body = schema::Tenant), (status = 404, body = schema::Problem)))]
async fn resume(caller: Caller, Path(id): Path<i64>) -> Reply {
    ok(caller
        .panel
        .control
        .tenant_resume(&caller.actor, id)
        .await
        .or_problem()?)
}

/// Operators of a customer
#[utoipa::path(get, path = "/tenants/{id}/team", tag = "platform", params(("id" = i64, Path)), responses((status = 200, body = Vec<schema::Operator>), (status = 404, body = schema::Problem)))]
async fn team(caller: Caller, Path(id): Path<i64>) -> Reply {
    ok(caller
        .panel
        .control
        .team_list(&caller.actor, id)
        .await
        .or_problem()?)
}

/// Add one
#[utoipa::path(post, path = "/tenants/{id}/team", tag = "platform", params(("id" = i64, Path)), request_body = schema::OperatorNew,
    responses((status = 201, body = schema::Operator), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn team_add(caller: Caller, Path(id): Path<i64>, Body(new): Body<OperatorNew>) -> Reply {
    created(
        caller
            .panel
            .control
            .team_add(&caller.actor, id, new)
            .await
            .or_problem()?,
    )
}

/// Remove one; the last owner stays
#[utoipa::path(delete, path = "/tenants/{id}/team/{operator}", tag = "platform", params(("id" = i64, Path), ("operator" = i64, Path)),
    responses((status = 204), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem)))]
async fn team_remove(caller: Caller, Path((id, operator)): Path<(i64, i64)>) -> Reply {
    let control = &caller.panel.control;
    control
        .team_remove(&caller.actor, id, operator)
        .await
        .or_problem()?;
    nothing()
}

/// Operators of the platform
#[utoipa::path(get, path = "/operators", tag = "platform", responses((status = 200, body = Vec<schema::Operator>), (status = 403, body = schema::Problem)))]
async fn operators(caller: Caller) -> Reply {
    ok(caller
        .panel
        .control
        .platform_team_list(&caller.actor)
        .await
        .or_problem()?)
}

/// Add one, or give one a new password
#[utoipa::path(post, path = "/operators", tag = "platform", request_body = schema::OperatorNew,
    responses((status = 201, body = schema::Operator), (status = 403, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn operator_add(caller: Caller, Body(new): Body<OperatorNew>) -> Reply {
    let control = &caller.panel.control;
    created(
        control
            .platform_team_add(&caller.actor, new)
            .await
            .or_problem()?,
    )
}

/// The platform in numbers
#[utoipa::path(get, path = "/overview", tag = "platform", responses((status = 200, body = schema::Overview), (status = 403, body = schema::Problem)))]
async fn overview(caller: Caller) -> Reply {
    ok(caller
        .panel
        .control
        .overview(&caller.actor)
        .await
        .or_problem()?)
}

/// Names in the platform's zone that no domain owns
#[utoipa::path(get, operation_id = "zone_check", path = "/zone", tag = "platform",
    responses((status = 200, body = schema::ZoneCheck), (status = 403, body = schema::Problem), (status = 503, body = schema::Problem)))]
async fn zone_check(caller: Caller) -> Reply {
    zone(caller, false).await
}

/// Take them away, but for those that are left alone
#[utoipa::path(post, operation_id = "zone_repair", path = "/zone/repair", tag = "platform",
    responses((status = 200, body = schema::ZoneCheck), (status = 403, body = schema::Problem), (status = 503, body = schema::Problem)))]
async fn zone_repair(caller: Caller) -> Reply {
    zone(caller, true).await
}

async fn zone(caller: Caller, repair: bool) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .zone_check(&caller.actor, repair)
        .await
        .or_problem()?)
}

/// The audit log, newest first, 100 entries if no other limit is given, 10,000 at most
///
/// `operation` is an operation (`domain.add`) or a noun (`domain`); times are `2026-11-26` or `2026-11-26T08:00:00Z`.
#[utoipa::path(get, path = "/audit", tag = "platform", params(
    ("tenant" = Option<i64>, Query), ("domain" = Option<String>, Query), ("operation" = Option<String>, Query), ("actor" = Option<String>, Query),
    ("since" = Option<String>, Query), ("until" = Option<String>, Query),
    ("before" = Option<i64>, Query, description = "Entries older than this id"), ("limit" = Option<u32>, Query)),
    responses((status = 200, body = Vec<schema::AuditEntry>), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn audit(caller: Caller, Query(query): Query<AuditQuery>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .audit_list(&caller.actor, &query)
        .await
        .or_problem()?)
}

/// The same as CSV, 10,000 entries if no other limit is given
#[utoipa::path(get, path = "/audit.csv", tag = "platform", params(
    ("tenant" = Option<i64>, Query), ("domain" = Option<String>, Query), ("operation" = Option<String>, Query), ("actor" = Option<String>, Query),
    ("since" = Option<String>, Query), ("until" = Option<String>, Query), ("before" = Option<i64>, Query), ("limit" = Option<u32>, Query)),
    responses((status = 200, content_type = "text/csv", body = String), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn audit_csv(caller: Caller, Query(query): Query<AuditQuery>) -> Reply {
    let control = &caller.panel.control;
    let text = control
        .audit_csv(&caller.actor, &query)
        .await
        .or_problem()?;
    Ok(csv("audit.csv", text))
}
