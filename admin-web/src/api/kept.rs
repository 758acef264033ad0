//! What a domain's people keep beside their messages: rooms and files.

use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, OrProblem, Reply, ok, schema};
use crate::Shared;
use crate::door::{Path, Query};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(rooms))
        .routes(routes!(uploads))
}

/// Where the list begins.
#[derive(Debug, Default, Deserialize)]
struct After {
    after: Option<String>,
}

/// Rooms that outlive their occupants, by name, a hundred at a time
#[utoipa::path(get, operation_id = "room_list", path = "/domains/{domain}/rooms", tag = "domains",
    params(("domain" = String, Path), ("after" = Option<String>, Query, description = "Rooms after this one")),
    responses((status = 200, body = Vec<schema::Room>), (status = 404, body = schema::Problem)))]
async fn rooms(
    caller: Caller,
    Path(domain): Path<String>,
    Query(After { after }): Query<After>,
) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .room_list(&caller.actor, &domain, after.as_deref())
        .await
        .or_problem()?)
}

/// Accounts that share files, those with the most bytes first, a hundred at most
#[utoipa::path(get, operation_id = "upload_list", path = "/domains/{domain}/uploads", tag = "domains", params(("domain" = String, Path)),
    responses((status = 200, body = Vec<schema::Uploads>), (status = 404, body = schema::Problem)))]
async fn uploads(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .upload_list(&caller.actor, &domain)
        .await
        .or_problem()?)
}
