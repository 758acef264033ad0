//! People of a domain.

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use control::Secret;
use control::account::AccountNew;
use control::wanted::AccountWanted;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Body, Caller, OrProblem, Reply, created, nothing, ok, schema};
use crate::door::{Path, Query};
use crate::error::problem_json;
use crate::{IMPORT_BYTES, Shared};

pub(super) fn router() -> OpenApiRouter<Shared> {
    let import = OpenApiRouter::new()
        .routes(routes!(import))
        .layer(DefaultBodyLimit::max(IMPORT_BYTES));
    OpenApiRouter::new()
        .routes(routes!(list, add))
        .merge(import)
        .routes(routes!(show, want, remove))
        .routes(routes!(set_password))
        .routes(routes!(suspend))
        .routes(routes!(resume))
}

/// Which part of the list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PageQuery {
    after: Option<String>,
    limit: Option<usize>,
}

/// Accounts by localpart, at most 500 a page
#[utoipa::path(get, operation_id = "account_list", path = "/domains/{domain}/accounts", tag = "accounts", params(("domain" = String, Path), ("after" = Option<String>, Query), ("limit" = Option<usize>, Query)),
    responses((status = 200, body = schema::AccountPage), (status = 404, body = schema::Problem)))]
async fn list(caller: Caller, Path(domain): Path<String>, Query(page): Query<PageQuery>) -> Reply {
    let control = &caller.panel.control;
    let limit = page.limit.unwrap_or(100);
    ok(control
        .account_list(&caller.actor, &domain, page.after.as_deref(), limit)
        .await
        .or_problem()?)
}

/// Add an account; without a password one is drawn and returned, once
#[utoipa::path(post, operation_id = "account_add", path = "/domains/{domain}/accounts", tag = "accounts", params(("domain" = String, Path)), request_body = schema::AccountNew,
    responses((status = 201, body = schema::AccountAdded), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn add(caller: Caller, Path(domain): Path<String>, Body(new): Body<AccountNew>) -> Reply {
    let control = &caller.panel.control;
    created(
        control
            .account_add(&caller.actor, &domain, new)
            .await
            .or_problem()?,
    )
}

/// Add thousands: CSV of `local,password`
#[utoipa::path(post, path = "/domains/{domain}/accounts/import", tag = "accounts", params(("domain" = String, Path)), request_body(content = String, content_type = "text/csv"),
    responses((status = 200, body = schema::ImportReport), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn import(caller: Caller, Path(domain): Path<String>, body: Bytes) -> Reply {
    let Ok(csv) = std::str::from_utf8(&body) else {
        return Err(problem_json(
            axum::http::StatusCode::UNPROCESSABLE_ENTITY,
            "not-text",
            "The list is not text",
            "The body is not UTF-8.",
            "Save the list as UTF-8 and send it again.",
            None,
            None,
        )
        .into());
    };
    let control = &caller.panel.control;
    ok(control
        .account_import(&caller.actor, &domain, csv)
        .await
        .or_problem()?)
}

/// One account
#[utoipa::path(get, operation_id = "account_show", path = "/domains/{domain}/accounts/{local}", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path)),
    responses((status = 200, body = schema::Account), (status = 404, body = schema::Problem)))]
async fn show(caller: Caller, Path((domain, local)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .account_show(&caller.actor, &domain, &local)
        .await
        .or_problem()?)
}

/// Have an account: made if there is none of this name, the same answer however often
#[utoipa::path(put, operation_id = "account_want", path = "/domains/{domain}/accounts/{local}", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path)),
    request_body = schema::AccountWanted,
    responses((status = 200, body = schema::AccountAdded), (status = 201, description = "It was not there", body = schema::AccountAdded), (status = 404, body = schema::Problem), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn want(
    caller: Caller,
    Path((domain, local)): Path<(String, String)>,
    Body(wanted): Body<AccountWanted>,
) -> Reply {
    let control = &caller.panel.control;
    let there = control
        .account_want(&caller.actor, &domain, &local, wanted)
        .await
        .or_problem()?;
    match there.is_new {
        true => created(there.now),
        false => ok(there.now),
    }
}

/// Erase an account with everything it has
#[utoipa::path(delete, operation_id = "account_remove", path = "/domains/{domain}/accounts/{local}", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path)),
    responses((status = 204), (status = 404, body = schema::Problem)))]
async fn remove(caller: Caller, Path((domain, local)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    control
        .account_remove(&caller.actor, &domain, &local)
        .await
        .or_problem()?;
    nothing()
}

/// A password, or none to have one drawn.
#[derive(Deserialize)]
pub(super) struct NewPassword {
    #[serde(default)]
    password: Option<Secret>,
}

/// Set a password; without one it is drawn and returned, once. Sessions end
#[utoipa::path(put, path = "/domains/{domain}/accounts/{local}/password", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path)), request_body = schema::NewPassword,
    responses((status = 200, body = schema::PasswordSet), (status = 404, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn set_password(
    caller: Caller,
    Path((domain, local)): Path<(String, String)>,
    Body(new): Body<NewPassword>,
) -> Reply {
    let control = &caller.panel.control;
    let given = new.password.as_ref().map(Secret::expose);
    let drawn = control
        .account_set_password(&caller.actor, &domain, &local, given)
        .await
        .or_problem()?;
    ok(json!({ "password": drawn }))
}

/// Stop an account; its sessions end
#[utoipa::path(post, operation_id = "account_suspend", path = "/domains/{domain}/accounts/{local}/suspend", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path)),
    responses((status = 200, body = schema::Account), (status = 404, body = schema::Problem)))]
async fn suspend(caller: Caller, Path((domain, local)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .account_suspend(&caller.actor, &domain, &local)
        .await
        .or_problem()?)
}

/// Start it again
#[utoipa::path(post, operation_id = "account_resume", path = "/domains/{domain}/accounts/{local}/resume", tag = "accounts", params(("domain" = String, Path), ("local" = String, Path)),
    responses((status = 200, body = schema::Account), (status = 404, body = schema::Problem)))]
async fn resume(caller: Caller, Path((domain, local)): Path<(String, String)>) -> Reply {
    let control = &caller.panel.control;
    ok(control
        .account_resume(&caller.actor, &domain, &local)
        .await
        .or_problem()?)
}
