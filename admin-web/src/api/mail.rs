//! One's own mail.

use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Body, Caller, OrProblem, Reply, ok, schema};
use crate::Shared;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(show, choose))
}

/// Whether one is written to
#[utoipa::path(get, operation_id = "mail_show", path = "/me/mail", tag = "entry", responses((status = 200, body = schema::Mail), (status = 401, body = schema::Problem)))]
async fn show(caller: Caller) -> Reply {
    let control = &caller.panel.control;
    ok(control.mail_show(&caller.actor).await.or_problem()?)
}

/// The choice.
#[derive(Deserialize)]
pub(super) struct MailChoice {
    nightly: bool,
}

/// Choose whether one is written to
#[utoipa::path(put, operation_id = "mail_set", path = "/me/mail", tag = "entry", request_body = schema::MailChoice, responses((status = 200, body = schema::Mail), (status = 401, body = schema::Problem)))]
async fn choose(caller: Caller, Body(choice): Body<MailChoice>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .mail_set(&caller.actor, choice.nightly)
        .await
        .or_problem()?)
}
