//! What people have, in and out as one file (XEP-0227).

use axum::body::Body;
use control::portable::{PeopleExport, PeopleImport};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, OrProblem, Reply, ok, schema};
use crate::Shared;
use crate::door::{Path, Query};
use crate::portable::{self, Incoming};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(export))
        .routes(routes!(imports))
        .routes(routes!(import_show))
}

/// What takes as long as the file needs to come here, and may be as long as it likes.
pub(super) fn long() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(import))
}

/// What the people of a domain have, as one file (XEP-0227); who asked for it is in the audit log
#[utoipa::path(get, operation_id = "people_export", path = "/domains/{domain}/people/export", tag = "accounts", params(("domain" = String, Path), ("account" = Option<String>, Query), ("archive" = Option<bool>, Query), ("passwords" = Option<bool>, Query)),
    responses((status = 200, body = String, content_type = "application/xml"), (status = 404, body = schema::Problem)))]
async fn export(
    caller: Caller,
    Path(domain): Path<String>,
    Query(wanted): Query<PeopleExport>,
) -> Reply {
    let control = &caller.panel.control;
    let going = control
        .people_export_stream(&caller.actor, &domain, wanted)
        .await
        .or_problem()?;
    Ok(portable::file(&domain, going))
}

/// Take in what people have elsewhere (XEP-0227). Answers when the file has come; the job goes on, and is asked how far it is
#[utoipa::path(post, operation_id = "people_import", path = "/domains/{domain}/people/import", tag = "accounts", params(("domain" = String, Path), ("account" = Option<String>, Query), ("host" = Option<String>, Query)), request_body(content = String, content_type = "application/xml"),
    responses((status = 202, body = schema::PeopleImport), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn import(
    caller: Caller,
    Path(domain): Path<String>,
    Query(wanted): Query<PeopleImport>,
    body: Body,
) -> Reply {
    let (sender, incoming) = Incoming::new();
    let control = &caller.panel.control;
    let job = control
        .people_import_start(&caller.actor, &domain, wanted, Box::new(incoming))
        .await
        .or_problem()?;
    portable::hand_over(body, sender).await;
    let mut reply = ok(job)?;
    *reply.status_mut() = axum::http::StatusCode::ACCEPTED;
    Ok(reply)
}

/// Imports of a domain in the last day, the latest first
#[utoipa::path(get, operation_id = "people_imports", path = "/domains/{domain}/people/imports", tag = "accounts", params(("domain" = String, Path)),
    responses((status = 200, body = Vec<schema::PeopleImport>), (status = 404, body = schema::Problem)))]
async fn imports(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .people_imports(&caller.actor, &domain)
        .await
        .or_problem()?)
}

/// One import: how many accounts are through, and at its end what came and what did not
#[utoipa::path(get, operation_id = "people_import_show", path = "/domains/{domain}/people/imports/{id}", tag = "accounts", params(("domain" = String, Path), ("id" = u64, Path)),
    responses((status = 200, body = schema::PeopleImport), (status = 404, body = schema::Problem)))]
async fn import_show(caller: Caller, Path((domain, id)): Path<(String, u64)>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .people_import_show(&caller.actor, &domain, id)
        .await
        .or_problem()?)
}
