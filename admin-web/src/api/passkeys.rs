//! One's own passkeys; a browser makes them, at the panel.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, OrProblem, Reply, nothing, ok, schema};
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

/// Take one away
#[utoipa::path(delete, operation_id = "passkey_remove", path = "/me/passkeys/{id}", tag = "entry", params(("id" = i64, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn remove(caller: Caller, Path(id): Path<i64>) -> Reply {
    let control = &caller.panel.control;
    control
        .passkey_remove(&caller.actor, id)
        .await
        .or_problem()?;
    nothing()
}
