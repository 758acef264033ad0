//! Passkeys in the panel: making one, taking one away, and signing in with one, alone or where the password was right.
//!
//! The browser's script asks for a challenge and puts what the authenticator says into a form; everything else is a form like
//! any other.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use control::ControlError;
use control::passkey::{PasskeyNew, PasskeyShown};

use crate::door::Path;
use crate::error::{Answer, Problem, problem_of};
use crate::factor;
use crate::form::{Fields, Open, Posted};
use crate::frame::{done, see_other};
use crate::login::{enter, sign_in_problem, visitor_fail};
use crate::{Shared, urls};

fn json<T: serde::Serialize>(result: Result<T, ControlError>) -> Response {
    match result {
        Ok(value) => Json(value).into_response(),
        Err(failure) => problem_of(&failure),
    }
}

/// What the browser needs to make one.
pub(crate) async fn creation(Posted { desk, fields }: Posted) -> Response {
    let password = fields.secret("password");
    let control = &desk.panel.control;
    json(control.passkey_begin(&desk.actor, &password).await)
}

/// Keeps one.
pub(crate) async fn add(Posted { desk, fields }: Posted) -> Answer {
    let text = |name: &str| fields.text(name).to_owned();
    let new = PasskeyNew {
        name: text("name"),
        client_data: text("client_data"),
        authenticator_data: text("authenticator_data"),
        public_key: text("public_key"),
        algorithm: fields.text("algorithm").parse().unwrap_or_default(),
    };
    match desk.panel.control.passkey_add(&desk.actor, new).await {
        Ok(_) => Ok(done(urls::ME, "passkey-added")),
        Err(failure) => factor::refused(&desk, failure, None).await,
    }
}

/// Takes one away.
pub(crate) async fn remove(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let password = fields.secret("password");
    let control = &desk.panel.control;
    match control.passkey_remove(&desk.actor, id, &password).await {
        Ok(()) => Ok(done(urls::ME, "passkey-removed")),
        Err(failure) => factor::refused(&desk, failure, None).await,
    }
}

/// What stands for a right password, where the form is that of the second half.
fn pending(panel: &Shared, headers: &HeaderMap, fields: &Fields) -> Option<String> {
    factor::half_of(panel, headers).filter(|_| fields.text("half") == "yes")
}

/// What the browser needs to sign in.
pub(crate) async fn request(
    State(panel): State<Shared>,
    headers: HeaderMap,
    Open { fields, origin }: Open,
) -> Response {
    let pending = pending(&panel, &headers, &fields);
    json(panel.control.passkey_ask(pending.as_deref(), &origin).await)
}

/// Signs in.
pub(crate) async fn sign_in(
    State(panel): State<Shared>,
    headers: HeaderMap,
    Open { fields, origin }: Open,
) -> Answer {
    let text = |name: &str| fields.text(name).to_owned();
    let shown = PasskeyShown {
        credential: text("credential"),
        client_data: text("client_data"),
        authenticator_data: text("authenticator_data"),
        signature: text("signature"),
    };
    let next = text("next");
    let pending = pending(&panel, &headers, &fields);
    match panel
        .control
        .passkey_login(&shown, pending.as_deref(), &origin)
        .await
    {
        Ok(logged_in) => {
            let path = urls::local_path(&next).unwrap_or(urls::HOME);
            let entered = enter(&panel, &logged_in, see_other(path));
            Ok(factor::half_over(&panel, entered))
        }
        Err(ControlError::NotSignedIn { .. }) => Ok(see_other(urls::SIGN_IN)),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| visitor_fail(&panel, other))?;
            let status = StatusCode::UNPROCESSABLE_ENTITY;
            Ok(sign_in_problem(&panel, status, problem, next))
        }
    }
}
