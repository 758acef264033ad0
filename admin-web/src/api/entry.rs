//! Signing up and in, the first run, one's own password, logins and tokens; and the stream of events.

use axum::extract::State;
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use control::Secret;
use control::operator::{FirstRun, LoggedIn, LoginRequest, Origin};
use control::tenant::SignUp;
use control::token::TokenAsk;
use serde::Deserialize;
use serde_json::json;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Body, Caller, OrProblem, Reply, created, nothing, ok, schema};
use crate::Shared;
use crate::door::{self, Path, Query};
use crate::live::{Proof, follow};
use crate::login::{clear_cookie, set_cookie};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(hint))
        .routes(routes!(sign_up))
        .routes(routes!(first_run_needed, first_run))
        .routes(routes!(login))
        .routes(routes!(logout))
        .routes(routes!(me))
        .routes(routes!(password))
        .routes(routes!(logins))
        .routes(routes!(login_end))
        .routes(routes!(tokens, token_add))
        .routes(routes!(token_remove))
        .routes(routes!(events))
}

/// Where the request comes from, as an extractor.
pub(crate) struct From(pub(crate) Origin);

impl axum::extract::FromRequestParts<Shared> for From {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(
        parts: &mut Parts,
        panel: &Shared,
    ) -> Result<Self, Self::Rejection> {
        Ok(Self(door::origin(panel, parts)))
    }
}

/// What is asked about.
#[derive(Debug, Deserialize)]
pub(super) struct HintQuery {
    domain: String,
}

/// What would happen to a domain if it were added
#[utoipa::path(get, path = "/domain-hint", tag = "entry", security(()), params(("domain" = String, Query, description = "In any spelling")),
    responses((status = 200, body = schema::DomainHint), (status = 429, body = schema::Problem)))]
async fn hint(
    State(panel): State<Shared>,
    From(origin): From,
    Query(query): Query<HintQuery>,
) -> Reply {
    ok(panel
        .control
        .domain_hint(&query.domain, &origin)
        .await
        .or_problem()?)
}

/// Sign a new customer up
///
/// Answers with a login cookie and the login's secret.
#[utoipa::path(post, path = "/sign-up", tag = "entry", security(()), request_body = schema::SignUp,
    responses((status = 201, body = schema::SignedUp), (status = 409, body = schema::Problem), (status = 422, body = schema::Problem), (status = 429, body = schema::Problem)))]
async fn sign_up(
    State(panel): State<Shared>,
    From(origin): From,
    Body(request): Body<SignUp>,
) -> Reply {
    let signed_up = panel.control.sign_up(request, &origin).await.or_problem()?;
    let reply = created(json!({
        "tenant": signed_up.tenant,
        "domain": signed_up.domain,
        "csrf": signed_up.login.resumed.csrf.expose(),
    }))?;
    Ok(with_cookie(&panel, &signed_up.login, reply))
}

/// Does the platform lack its first operator?
#[utoipa::path(get, path = "/first-run", tag = "entry", security(()), responses((status = 200, body = schema::FirstRunNeeded)))]
async fn first_run_needed(State(panel): State<Shared>) -> Reply {
    let needed = panel.control.first_run_needed().await.or_problem()?;
    ok(json!({ "needed": needed }))
}

/// Become the first operator, once, with the token from the server's log
#[utoipa::path(post, path = "/first-run", tag = "entry", security(()), request_body = schema::FirstRun,
    responses((status = 201, body = schema::LoggedIn), (status = 401, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn first_run(
    State(panel): State<Shared>,
    From(origin): From,
    Body(request): Body<FirstRun>,
) -> Reply {
    let login = panel
        .control
        .first_run(request, &origin)
        .await
        .or_problem()?;
    let reply = created(logged_in(&login))?;
    Ok(with_cookie(&panel, &login, reply))
}

/// A password, and a code of the second factor.
#[derive(Deserialize)]
pub(super) struct WithCode {
    #[serde(flatten)]
    request: LoginRequest,
    code: Option<String>,
}

/// Sign in with a password; for browsers, programs use tokens
///
/// Whoever has a second factor is answered `second-factor` without a `code`.
#[utoipa::path(post, path = "/login", tag = "entry", security(()), request_body = schema::LoginWithCode,
    responses((status = 200, body = schema::LoggedIn), (status = 401, body = schema::Problem), (status = 429, body = schema::Problem)))]
async fn login(
    State(panel): State<Shared>,
    From(origin): From,
    Body(body): Body<WithCode>,
) -> Reply {
    let login = panel
        .control
        .login_with(body.request, body.code.as_deref(), &origin)
        .await
        .or_problem()?;
    let reply = ok(logged_in(&login))?;
    Ok(with_cookie(&panel, &login, reply))
}

pub(super) fn logged_in(login: &LoggedIn) -> serde_json::Value {
    let resumed = &login.resumed;
    json!({
        "login": resumed.actor.login(),
        "role": resumed.actor.role(),
        "tenant": resumed.actor.tenant().map(|tenant| tenant.0),
        "csrf": resumed.csrf.expose(),
        "expires": resumed.expires.to_xep0082(),
    })
}

pub(super) fn with_cookie(panel: &Shared, login: &LoggedIn, mut reply: Response) -> Response {
    let cookie = set_cookie(panel, &login.token, login.resumed.expires);
    reply.headers_mut().append(header::SET_COOKIE, cookie);
    reply
}

/// End this login
#[utoipa::path(post, path = "/logout", tag = "entry", responses((status = 204)))]
async fn logout(caller: Caller) -> Reply {
    let mut reply = nothing()?;
    if let Proof::Login(token) = &caller.proof {
        caller
            .panel
            .control
            .logout(token.expose())
            .await
            .or_problem()?;
        reply
            .headers_mut()
            .append(header::SET_COOKIE, clear_cookie(&caller.panel));
    }
    Ok(reply)
}

/// Who am I?
#[utoipa::path(get, path = "/me", tag = "entry", responses((status = 200, body = schema::Me), (status = 401, body = schema::Problem)))]
async fn me(caller: Caller) -> Reply {
    ok(json!({
        "login": caller.actor.login(),
        "role": caller.actor.role(),
        "tenant": caller.actor.tenant().map(|tenant| tenant.0),
        "csrf": Some(caller.csrf.expose()).filter(|csrf| !csrf.is_empty()),
    }))
}

/// A new password of one's own.
#[derive(Deserialize)]
pub(super) struct PasswordChange {
    old: Secret,
    new: Secret,
}

/// Change one's own password; every login ends, API tokens stay
#[utoipa::path(put, path = "/me/password", tag = "entry", request_body = schema::PasswordChange,
    responses((status = 204), (status = 401, body = schema::Problem), (status = 422, body = schema::Problem)))]
async fn password(caller: Caller, Body(change): Body<PasswordChange>) -> Reply {
    let control = &caller.panel.control;
    control
        .password_change(&caller.actor, change.old.expose(), change.new.expose())
        .await
        .or_problem()?;
    nothing()
}

/// One's own logins
#[utoipa::path(get, path = "/logins", tag = "entry", responses((status = 200, body = Vec<schema::LoginEntry>)))]
async fn logins(caller: Caller) -> Reply {
    ok(caller
        .panel
        .control
        .login_list(&caller.actor)
        .await
        .or_problem()?)
}

/// End one of them
#[utoipa::path(delete, path = "/logins/{id}", tag = "entry", params(("id" = i64, Path)), responses((status = 204), (status = 404, body = schema::Problem)))]
async fn login_end(caller: Caller, Path(id): Path<i64>) -> Reply {
    caller
        .panel
        .control
        .login_revoke(&caller.actor, id)
        .await
        .or_problem()?;
    nothing()
}

/// One's own API tokens
#[utoipa::path(get, path = "/tokens", tag = "entry", responses((status = 200, body = Vec<schema::Token>)))]
async fn tokens(caller: Caller) -> Reply {
    ok(caller
        .panel
        .control
        .token_list(&caller.actor)
        .await
        .or_problem()?)
}

/// Make an API token; the secret is shown once
///
/// With `domains` or `operations` it is limited to these; it ends after `days`.
#[utoipa::path(post, path = "/tokens", tag = "entry", request_body = schema::TokenRequest,
    responses((status = 201, body = schema::TokenMade), (status = 422, body = schema::Problem)))]
async fn token_add(caller: Caller, Body(request): Body<TokenAsk>) -> Reply {
    let control = &caller.panel.control;
    created(
        control
            .token_add(&caller.actor, request)
            .await
            .or_problem()?,
    )
}

/// Revoke one
#[utoipa::path(delete, path = "/tokens/{id}", tag = "entry", params(("id" = i64, Path)), responses((status = 204), (status = 404, body = schema::Problem)))]
async fn token_remove(caller: Caller, Path(id): Path<i64>) -> Reply {
    caller
        .panel
        .control
        .token_remove(&caller.actor, id)
        .await
        .or_problem()?;
    nothing()
}

/// Follow what changes, as server-sent events named `change`
#[utoipa::path(get, path = "/events", tag = "entry", responses((status = 200, content_type = "text/event-stream", body = schema::Change), (status = 429)))]
async fn events(caller: Caller) -> Reply {
    Ok(follow(
        &caller.panel,
        &caller.actor,
        caller.id,
        caller.proof,
    ))
}
