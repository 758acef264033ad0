//! Webhooks: where a customer's own server is told what is done, and what became of it.

use control::webhook::WebhookAsk;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Body, Caller, OrProblem, Reply, accepted, created, nothing, ok, schema};
use crate::Shared;
use crate::door::Path;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .routes(routes!(remove))
        .routes(routes!(test))
        .routes(routes!(deliveries))
}

/// Webhooks of a customer
#[utoipa::path(get, operation_id = "webhook_list", path = "/tenants/{id}/webhooks", tag = "platform", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<schema::Webhook>), (status = 404, body = schema::Problem)))]
async fn list(caller: Caller, Path(id): Path<i64>) -> Reply {
    let control = &caller.panel.control;
    ok(control.webhook_list(&caller.actor, id).await.or_problem()?)
}

/// Add one; its secret is shown once
///
/// Each entry of the audit log is sent as `{"type","timestamp","data"}`, signed as standardwebhooks.com says.
#[utoipa::path(post, operation_id = "webhook_add", path = "/tenants/{id}/webhooks", tag = "platform", params(("id" = i64, Path)), request_body = schema::WebhookAsk,
    responses((status = 201, body = schema::WebhookMade), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn add(caller: Caller, Path(id): Path<i64>, Body(ask): Body<WebhookAsk>) -> Reply {
    let control = &caller.panel.control;
    created(
        control
            .webhook_add(&caller.actor, id, ask)
            .await
            .or_problem()?,
    )
}

/// Remove one, with what waits for it
#[utoipa::path(delete, operation_id = "webhook_remove", path = "/tenants/{id}/webhooks/{webhook}", tag = "platform", params(("id" = i64, Path), ("webhook" = i64, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn remove(caller: Caller, Path((id, webhook)): Path<(i64, i64)>) -> Reply {
    let control = &caller.panel.control;
    control
        .webhook_remove(&caller.actor, id, webhook)
        .await
        .or_problem()?;
    nothing()
}

/// Send it a message to try it
#[utoipa::path(post, operation_id = "webhook_test", path = "/tenants/{id}/webhooks/{webhook}/test", tag = "platform", params(("id" = i64, Path), ("webhook" = i64, Path)),
    responses((status = 202), (status = 404, body = schema::Problem)))]
async fn test(caller: Caller, Path((id, webhook)): Path<(i64, i64)>) -> Reply {
    let control = &caller.panel.control;
    control
        .webhook_test(&caller.actor, id, webhook)
        .await
        .or_problem()?;
    accepted()
}

/// The last 100 messages, newest first, and what became of them
#[utoipa::path(get, operation_id = "webhook_deliveries", path = "/tenants/{id}/deliveries", tag = "platform", params(("id" = i64, Path)),
    responses((status = 200, body = Vec<schema::Delivery>), (status = 404, body = schema::Problem)))]
async fn deliveries(caller: Caller, Path(id): Path<i64>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .webhook_deliveries(&caller.actor, id)
        .await
        .or_problem()?)
}
