//! Certificates that people's clients log in with (XEP-0257).

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, OrProblem, Reply, nothing, ok, schema};
use crate::Shared;
use crate::door::Path;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(revoke))
}

/// Certificates that an account's clients log in with, by name
#[utoipa::path(get, operation_id = "client_certificate_list", path = "/domains/{domain}/accounts/{local}/certificates", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path)),
    responses((status = 200, body = Vec<schema::ClientCertificate>), (status = 404, body = schema::Problem)))]
async fn list(caller: Caller, Path((domain, local)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .account_certificates(&caller.actor, &domain, &local)
        .await
        .or_problem()?)
}

/// Revoke one; the streams that it authenticated end
#[utoipa::path(delete, operation_id = "client_certificate_revoke", path = "/domains/{domain}/accounts/{local}/certificates/{name}", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn revoke(
    caller: Caller,
    Path((domain, local, name)): Path<(String, String, String)>,
) -> Reply {
    let control = &caller.panel.control;
    control
        .account_revoke_certificate(&caller.actor, &domain, &local, &name)
        .await
        .or_problem()?;
    nothing()
}
