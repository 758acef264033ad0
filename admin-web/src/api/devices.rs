//! What an account's people sign in with, and what the account keeps here.

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Caller, OrProblem, Reply, nothing, ok, schema};
use crate::Shared;
use crate::door::Path;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(sign_out))
        .routes(routes!(storage))
}

/// Devices of an account: clients that can come back without the password, and sessions
#[utoipa::path(get, operation_id = "device_list", path = "/domains/{domain}/accounts/{local}/devices", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path)),
    responses((status = 200, body = schema::AccountDevices), (status = 404, body = schema::Problem)))]
async fn list(caller: Caller, Path((domain, local)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .account_devices(&caller.actor, &domain, &local)
        .await
        .or_problem()?)
}

/// Sign one out: its tokens and sessions end. Whoever has the password may come back with it
#[utoipa::path(delete, operation_id = "device_sign_out", path = "/domains/{domain}/accounts/{local}/devices/{device}", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path), ("device" = String, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn sign_out(
    caller: Caller,
    Path((domain, local, device)): Path<(String, String, String)>,
) -> Reply {
    let control = &caller.panel.control;
    control
        .account_sign_out(&caller.actor, &domain, &local, &device)
        .await
        .or_problem()?;
    nothing()
}

/// What an account keeps here: archived messages, shared files, messages that wait
#[utoipa::path(get, operation_id = "account_storage", path = "/domains/{domain}/accounts/{local}/storage", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path)),
    responses((status = 200, body = schema::AccountStorage), (status = 404, body = schema::Problem)))]
async fn storage(caller: Caller, Path((domain, local)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .account_storage(&caller.actor, &domain, &local)
        .await
        .or_problem()?)
}
