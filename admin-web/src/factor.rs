//! Second factors: the second half of signing in, setting one's own up, and what owners ask of their teams.

use askama::Template;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use control::factor::FactorBegun;
use control::{ControlError, Secret};
use serde::Deserialize;

use crate::desk::{me_page, own_tenant};
use crate::door::{Path, Query};
use crate::error::{Answer, Problem};
use crate::form::{Open, Posted};
use crate::frame::{Frame, done, html, see_other};
use crate::login::{OrPage, SignedIn, cookie_named, cookie_of, enter, visitor_fail};
use crate::{Panel, Shared, urls};

/// How long the browser keeps what stands for the right password; control keeps it no longer.
const SECONDS: i64 = 300;

/// Name of the cookie that stands for a right password while the code is being typed.
fn half_name(panel: &Panel) -> &'static str {
    if panel.settings.secure_cookies {
        "__Host-half"
    } else {
        "half"
    }
}

/// What stands for a right password, if the browser has it.
pub(crate) fn half_of(panel: &Panel, headers: &HeaderMap) -> Option<String> {
    cookie_named(half_name(panel), headers)
}

/// Forgets it.
pub(crate) fn half_over(panel: &Panel, mut response: Response) -> Response {
    let gone = cookie_of(panel, half_name(panel), "", 0);
    response.headers_mut().append(header::SET_COOKIE, gone);
    response
}

/// The password was right: to where the code is asked for.
pub(crate) fn ask(panel: &Panel, pending: &Secret, next: &str) -> Response {
    let path = match urls::local_path(next) {
        Some(next) => format!("{}?next={}", urls::SIGN_IN_CODE, urls::encode(next)),
        None => urls::SIGN_IN_CODE.to_owned(),
    };
    let mut response = see_other(&path);
    let cookie = cookie_of(panel, half_name(panel), pending.expose(), SECONDS);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

#[derive(Template)]
#[template(path = "sign_in_code.html")]
pub(crate) struct CodePage {
    pub(crate) frame: Frame,
    pub(crate) next: String,
    /// Browsers know passkeys here.
    pub(crate) passkeys: bool,
}

/// Where to go after signing in.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
}

/// The form.
pub(crate) async fn code_page(
    State(panel): State<Shared>,
    headers: HeaderMap,
    Query(next): Query<Next>,
) -> Answer {
    if half_of(&panel, &headers).is_none() {
        return Ok(see_other(urls::SIGN_IN));
    }
    let page = CodePage {
        frame: Frame::visitor(&panel),
        next: next.next,
        passkeys: panel.control.has_passkeys(),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Checks the code.
pub(crate) async fn code(
    State(panel): State<Shared>,
    headers: HeaderMap,
    Open { fields, origin }: Open,
) -> Answer {
    let Some(pending) = half_of(&panel, &headers) else {
        return Ok(see_other(urls::SIGN_IN));
    };
    let next = fields.text("next").to_owned();
    let code = fields.secret("code");
    let entered = panel
        .control
        .login_second(&pending, code.expose(), &origin)
        .await;
    match entered {
        Ok(logged_in) => {
            let path = urls::local_path(&next).unwrap_or(urls::HOME);
            let entered = enter(&panel, &logged_in, see_other(path));
            Ok(half_over(&panel, entered))
        }
        // The few minutes are over: the password comes first again.
        Err(ControlError::NotSignedIn { .. }) => Ok(see_other(urls::SIGN_IN)),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| visitor_fail(&panel, other))?;
            let frame = Frame::visitor(&panel).problem(Some(problem));
            let passkeys = panel.control.has_passkeys();
            let page = CodePage {
                frame,
                next,
                passkeys,
            };
            Ok(html(page.frame.status(), &page))
        }
    }
}

/// What went wrong, at the page of one's own login.
pub(crate) async fn refused(
    desk: &SignedIn,
    failure: ControlError,
    begun: Option<FactorBegun>,
) -> Answer {
    let problem = Problem::of(failure).map_err(|other| desk.fail(other))?;
    me_page(desk, Some(problem), begun, Vec::new()).await
}

/// Draws a secret for one's app.
pub(crate) async fn begin(Posted { desk, fields }: Posted) -> Answer {
    let password = fields.secret("password");
    match desk
        .panel
        .control
        .factor_begin(&desk.actor, &password)
        .await
    {
        Ok(begun) => me_page(&desk, None, Some(begun), Vec::new()).await,
        Err(failure) => refused(&desk, failure, None).await,
    }
}

/// The app's first code.
pub(crate) async fn confirm(Posted { desk, fields }: Posted) -> Answer {
    let code = fields.secret("code");
    let control = &desk.panel.control;
    match control.factor_confirm(&desk.actor, code.expose()).await {
        Ok(codes) => {
            // From here on everything is open to them, also where they had to.
            let mut desk = desk;
            if let Ok(Some(resumed)) = desk.panel.control.login_resume(desk.token.expose()).await {
                desk.actor = resumed.actor;
            }
            me_page(&desk, None, None, codes).await
        }
        Err(failure) => {
            // The form goes on showing what it showed: a wrong digit is no reason to set the app up again.
            let begun = FactorBegun {
                secret: fields.text("secret").to_owned(),
                uri: fields.text("uri").to_owned(),
            };
            let shown = begun.uri.starts_with("otpauth://").then_some(begun);
            refused(&desk, failure, shown).await
        }
    }
}

/// Takes one's own away.
pub(crate) async fn remove(Posted { desk, fields }: Posted) -> Answer {
    let code = fields.secret("code");
    match desk
        .panel
        .control
        .factor_remove(&desk.actor, code.expose())
        .await
    {
        Ok(()) => Ok(done(urls::ME, "factor-removed")),
        Err(failure) => refused(&desk, failure, None).await,
    }
}

/// Takes a colleague's away, who has lost it.
pub(crate) async fn reset(Path(id): Path<i64>, Posted { desk, .. }: Posted) -> Answer {
    let tenant = own_tenant(&desk)?;
    desk.panel
        .control
        .team_reset_factor(&desk.actor, tenant, id)
        .await
        .or_page(&desk)?;
    Ok(done(urls::TEAM, "saved"))
}

/// Asks it of everybody, or does not.
pub(crate) async fn require(Path(id): Path<i64>, Posted { desk, fields }: Posted) -> Answer {
    let wanted = fields.text("wanted") == "yes";
    desk.panel
        .control
        .tenant_require_factor(&desk.actor, id, wanted)
        .await
        .or_page(&desk)?;
    let path = match desk.actor.role().of_a_tenant() {
        true => urls::TEAM.to_owned(),
        false => urls::tenant(id),
    };
    Ok(done(&path, "factor-rule"))
}
