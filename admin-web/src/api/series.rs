//! What moved and was kept over time, of a domain, a customer or everybody.

use control::series::SeriesOf;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, OrProblem, Reply, ok, schema};
use crate::Shared;
use crate::door::{Path, Query};
use crate::series::Steps;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(of_domain))
        .routes(routes!(of_tenant))
        .routes(routes!(of_platform))
}

async fn series(caller: Caller, of: SeriesOf, steps: Steps) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .series(&caller.actor, of, steps.step)
        .await
        .or_problem()?)
}

/// A domain over time: the last three days by hour, or the last 90 by day
#[utoipa::path(get, operation_id = "domain_series", path = "/domains/{domain}/series", tag = "domains",
    params(("domain" = String, Path), ("step" = Option<schema::SeriesStep>, Query)),
    responses((status = 200, body = schema::Series), (status = 404, body = schema::Problem)))]
async fn of_domain(
    caller: Caller,
    Path(domain): Path<String>,
    Query(steps): Query<Steps>,
) -> Reply {
    series(caller, SeriesOf::Domain(domain), steps).await
}

/// A customer over time, all its domains together
#[utoipa::path(get, operation_id = "tenant_series", path = "/tenants/{id}/series", tag = "platform",
    params(("id" = i64, Path), ("step" = Option<schema::SeriesStep>, Query)),
    responses((status = 200, body = schema::Series), (status = 404, body = schema::Problem)))]
async fn of_tenant(caller: Caller, Path(id): Path<i64>, Query(steps): Query<Steps>) -> Reply {
    series(caller, SeriesOf::Tenant(id), steps).await
}

/// Everybody over time
#[utoipa::path(get, operation_id = "platform_series", path = "/overview/series", tag = "platform",
    params(("step" = Option<schema::SeriesStep>, Query)),
    responses((status = 200, body = schema::Series), (status = 403, body = schema::Problem)))]
async fn of_platform(caller: Caller, Query(steps): Query<Steps>) -> Reply {
    series(caller, SeriesOf::Platform, steps).await
}
