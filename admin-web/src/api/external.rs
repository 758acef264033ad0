//! `/domains/{domain}/external-secret`: what the domain's own relays for calls know (XEP-0215).

use control::Secret;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Body, Caller, OrProblem, Reply, nothing, schema};
use crate::Shared;
use crate::door::Path;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(set, forget))
}

/// What they know; `Debug` shows nothing of it.
#[derive(Debug, Deserialize)]
struct ExternalSecret {
    secret: Secret,
}

/// Keep the secret of the domain's own relays for calls; nobody reads it again
#[utoipa::path(put, operation_id = "external_secret_set", path = "/domains/{domain}/external-secret", tag = "domains", params(("domain" = String, Path)), request_body = schema::ExternalSecret,
    responses((status = 204), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn set(
    caller: Caller,
    Path(domain): Path<String>,
    Body(ExternalSecret { secret }): Body<ExternalSecret>,
) -> Reply {
    let control = &caller.panel.control;
    control
        .external_secret_set(&caller.actor, &domain, Some(secret))
        .await
        .or_problem()?;
    nothing()
}

/// Forget it: people then get the relays without credentials
#[utoipa::path(delete, operation_id = "external_secret_forget", path = "/domains/{domain}/external-secret", tag = "domains", params(("domain" = String, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn forget(caller: Caller, Path(domain): Path<String>) -> Reply {
    let control = &caller.panel.control;
    control
        .external_secret_set(&caller.actor, &domain, None)
        .await
        .or_problem()?;
    nothing()
}
