//! One's own passkeys; a browser makes them, at the panel.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::factor::OwnPassword;
use super::{Body, Caller, OrProblem, Reply, nothing, ok, schema};
use crate::Shared;
use crate::door::Path;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(remove))
}

/// One's own passkeys
#[utoipa::path(get, operation_id = "passkey_list", path = "/me/passkeys", tag = "entry",
    responses((status = 200, body = Vec<schema::Passkey>), (status = 401, body = schema::Problem)))]
async fn list(caller: Caller) -> Reply {
    let control = &caller.panel.control;
    ok(control.passkey_list(&caller.actor).await.or_problem()?)
}

/// Take one away, against the password; not with an API token
#[utoipa::path(post, operation_id = "passkey_remove", path = "/me/passkeys/{id}/remove", tag = "entry", params(("id" = i64, Path)), request_body = schema::OwnPassword,
    responses((status = 204), (status = 403, body = schema::Problem), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem), (status = 429, body = schema::Problem)))]
async fn remove(caller: Caller, Path(id): Path<i64>, Body(own): Body<OwnPassword>) -> Reply {
    let control = &caller.panel.control;
    control
        .passkey_remove(&caller.actor, id, &own.password)
        .await
        .or_problem()?;
    nothing()
}
