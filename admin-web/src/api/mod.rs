//! The JSON API under `/api/v1`: the operations of control, one route each, described by OpenAPI beside the code.
//!
//! Who asks is told by a bearer token, or by the panel's cookie together with the login's secret in `X-CSRF-Token` for
//! whatever changes something. Errors are problem documents (RFC 9457) with `code` and `remedy`. It refuses any body that is
//! not JSON (a list of accounts is CSV) and says so.

mod accounts;
mod again;
mod certificates;
mod client_certificates;
mod devices;
mod domains;
mod entry;
mod external;
mod factor;
mod invitations;
mod invites;
mod kept;
mod mail;
mod outages;
mod passkeys;
mod plans;
mod platform;
mod portable;
mod schema;
mod series;
mod webhooks;

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Router, routing::get};
use control::{Actor, Secret};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as OpenApi3, Ref, RefOr, ResponseBuilder};
use utoipa_axum::router::OpenApiRouter;

pub(crate) use self::again::once;
use crate::error::{Failure, problem_json, problem_of};
use crate::form::same;
use crate::live::Proof;
use crate::login::cookie_token;
use crate::{Shared, door, urls};

/// Header that carries the login's secret.
pub(crate) const CSRF_HEADER: &str = "x-csrf-token";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Domicile",
        description = "Everything the panel does, for programs. Sign in with an API token (`Authorization: Bearer …`) that you make in the panel. Errors are `application/problem+json` with a stable `code` and a `remedy`. What belongs to another customer is `not-found`. A POST with an `Idempotency-Key` (1 to 255 characters, drawn for each request) that is sent again within a day is answered as it was, and not done twice.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    components(schemas(schema::Event)),
    security(("token" = []), ("cookie" = [])),
    tags(
        (name = "entry", description = "Signing up and in, one's own logins and tokens"),
        (name = "domains", description = "Domains, their records, certificates and peers"),
        (name = "accounts", description = "People of a domain"),
        (name = "platform", description = "Customers, teams, audit log"),
    ),
)]
struct Description;

/// The routes and their description, and those apart that take as long as their body needs.
pub(crate) fn router() -> (Router<Shared>, Router<Shared>) {
    let (long, described) = OpenApiRouter::<Shared>::new()
        .nest("/api/v1", portable::long())
        .split_for_parts();
    let (router, mut description) = OpenApiRouter::<Shared>::with_openapi(Description::openapi())
        .nest(
            "/api/v1",
            entry::router()
                .merge(domains::router())
                .merge(certificates::router())
                .merge(accounts::router())
                .merge(portable::router())
                .merge(client_certificates::router())
                .merge(devices::router())
                .merge(outages::router())
                .merge(platform::router())
                .merge(plans::router())
                .merge(series::router())
                .merge(kept::router())
                .merge(external::router())
                .merge(invitations::router())
                .merge(invites::router())
                .merge(factor::router())
                .merge(mail::router())
                .merge(passkeys::router())
                .merge(webhooks::router()),
        )
        .split_for_parts();
    description.merge(described);
    describe_problems(&mut description);
    let components = description.components.get_or_insert_default();
    components.add_security_scheme(
        "token",
        SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()),
    );
    let cookie = ApiKeyValue::with_description(
        "login",
        "The panel's cookie (`__Host-login` over TLS); requests that change something also carry the login's secret in `X-CSRF-Token`.",
    );
    components.add_security_scheme("cookie", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    // Kept as text: as a tree it takes megabytes, and axum clones what a handler holds for every router it becomes a part of.
    let description: Arc<str> = serde_json::to_string(&description)
        .unwrap_or_else(|_| "{}".to_owned())
        .into();
    let router = router.route(
        urls::OPENAPI,
        get(|State(panel): State<Shared>| async move {
            let servers = serde_json::json!([{ "url": panel.settings.public_url }]);
            let rest = description.trim_start_matches('{');
            let text = format!("{{\"servers\":{servers},{rest}");
            ([(header::CONTENT_TYPE, "application/json")], text)
        }),
    );
    (router, long)
}

/// Problems are documents of their own media type, and any operation may answer with one: who is not signed in, asks too
/// often, sends what cannot be read, or finds us out of order.
fn describe_problems(description: &mut OpenApi3) {
    const PROBLEM: &str = "application/problem+json";
    let any = ResponseBuilder::new()
        .description("A problem (RFC 9457)")
        .content(
            PROBLEM,
            Content::new(Some(Ref::from_schema_name("Problem"))),
        )
        .build();
    for path in description.paths.paths.values_mut() {
        let each = [
            &mut path.get,
            &mut path.put,
            &mut path.post,
            &mut path.delete,
            &mut path.patch,
        ];
        for operation in each.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            for (status, response) in responses.iter_mut() {
                if let RefOr::T(response) = response
                    && !status.starts_with('2')
                    && let Some(problem) = response.content.shift_remove("application/json")
                {
                    response.content.insert(PROBLEM.to_owned(), problem);
                }
            }
            responses.insert("default".into(), RefOr::T(any.clone()));
        }
    }
}

/// What a handler of the API returns.
pub(crate) type Reply = Result<Response, Failure>;

/// Who asks.
pub(crate) struct Caller {
    pub(crate) panel: Shared,
    pub(crate) actor: Actor,
    /// Secret of the login; empty with a token.
    pub(crate) csrf: Secret,
    /// Id of the login or token.
    pub(crate) id: i64,
    /// What they came with.
    pub(crate) proof: Proof,
}

impl FromRequestParts<Shared> for Caller {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, panel: &Shared) -> Result<Self, Failure> {
        let refuse = |detail: &str| -> Failure {
            problem_json(
                StatusCode::UNAUTHORIZED,
                "not-signed-in",
                "You are not signed in",
                detail,
                "Send an API token as \"Authorization: Bearer …\"; you make one in the panel.",
                None,
                None,
            )
            .into()
        };
        let failed = |failure| Failure::from(problem_of(&failure));
        if let Some(value) = parts.headers.get(header::AUTHORIZATION) {
            let token = value.to_str().ok().and_then(|text| {
                let (scheme, token) = text.split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
            });
            let Some(token) = token.filter(|token| !token.is_empty()) else {
                return Err(refuse(
                    "The Authorization header does not hold a bearer token.",
                ));
            };
            let resumed = panel.control.token_resume(token).await.map_err(failed)?;
            let Some(resumed) = resumed else {
                return Err(refuse("This API token is not valid or has expired."));
            };
            return Ok(Self {
                panel: panel.clone(),
                actor: resumed.actor,
                csrf: Secret::default(),
                id: resumed.id,
                proof: Proof::Token(Secret::from(token)),
            });
        }
        let Some(token) = cookie_token(panel, &parts.headers) else {
            return Err(refuse(
                "The request holds neither an API token nor a login.",
            ));
        };
        let resumed = panel.control.login_resume(&token).await.map_err(failed)?;
        let Some(resumed) = resumed else {
            return Err(refuse("This login has ended."));
        };
        let given = parts
            .headers
            .get(CSRF_HEADER)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if door::changes(&parts.method) && !same(given, resumed.csrf.expose()) {
            return Err(problem_json(
                StatusCode::FORBIDDEN,
                "csrf",
                "The login's secret is missing",
                "A request that comes by cookie and changes something needs the login's secret.",
                "Send the value of \"csrf\" from GET /api/v1/me as X-CSRF-Token, or use an API token.",
                None,
                None,
            )
            .into());
        }
        Ok(Self {
            panel: panel.clone(),
            actor: resumed.actor,
            csrf: resumed.csrf,
            id: resumed.id,
            proof: Proof::Login(Secret::from(token)),
        })
    }
}

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Shared> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, panel: &Shared) -> Result<Self, Failure> {
        match Json::<Object<T>>::from_request(request, panel).await {
            Ok(Json(Object(value))) => Ok(Self(value)),
            Err(rejection) => Err(bad_body(&rejection).into()),
        }
    }
}

/// An object and nothing else: what is derived would take an array for a list of its members.
struct Object<T>(T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

fn bad_body(rejection: &JsonRejection) -> Response {
    let (code, title, remedy) = match rejection {
        JsonRejection::MissingJsonContentType(_) => (
            "not-json",
            "The body is not announced as JSON",
            "Send \"Content-Type: application/json\".",
        ),
        _ if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => (
            "too-large",
            "The body is too large",
            "Send it in smaller parts.",
        ),
        _ => (
            "bad-json",
            "The body cannot be read",
            "Compare it with the description at /api/v1/openapi.json.",
        ),
    };
    problem_json(
        rejection.status(),
        code,
        title,
        &rejection.body_text(),
        remedy,
        None,
        None,
    )
}

/// `control`'s results as answers.
pub(crate) trait OrProblem<T> {
    /// The value, or the problem document.
    fn or_problem(self) -> Result<T, Failure>;
}

impl<T> OrProblem<T> for control::Result<T> {
    fn or_problem(self) -> Result<T, Failure> {
        self.map_err(|failure| problem_of(&failure).into())
    }
}

/// 200 with JSON.
pub(crate) fn ok(value: impl Serialize) -> Reply {
    Ok(Json(value).into_response())
}

/// 200 with JSON and the version of what it shows, for `If-Match`.
pub(crate) fn ok_at(version: &str, value: impl Serialize) -> Reply {
    let mut reply = ok(value)?;
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        reply.headers_mut().insert(header::ETAG, tag);
    }
    Ok(reply)
}

/// The version that the caller has seen, from `If-Match` (RFC 9110 13.1.1): what is changed meanwhile is not overwritten.
pub(crate) struct IfMatch(pub(crate) Option<String>);

impl FromRequestParts<Shared> for IfMatch {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Failure> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else {
            return Ok(Self(None));
        };
        let text = value.to_str().unwrap_or_default().trim();
        if text == "*" {
            return Ok(Self(None));
        }
        let tag = text
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        // Several tags, a weak one, or none that can be read: none that an answer of ours has shown.
        Ok(Self(Some(tag.unwrap_or("unreadable").to_owned())))
    }
}

/// 201 with JSON.
pub(crate) fn created(value: impl Serialize) -> Reply {
    Ok((StatusCode::CREATED, Json(value)).into_response())
}

/// 204.
pub(crate) fn nothing() -> Reply {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// 202: it happens soon, and `/events` says when it has.
pub(crate) fn accepted() -> Reply {
    Ok(StatusCode::ACCEPTED.into_response())
}
