//! Signing in, signing up, the first run, and who a request comes from.
//!
//! The cookie holds 256 random bits drawn by control, which keeps only their hash. It refuses to keep a login anywhere else,
//! and to say whether an address or a password was the wrong one.

use askama::Template;
use axum::extract::{FromRequestParts, RawQuery, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use control::operator::{FirstRun, LoggedIn, LoginRequest, Origin};
use control::tenant::{DomainHint, SignUp};
use control::{Actor, ControlError, Secret, Timestamp};
use serde::Deserialize;

use crate::door::Query;
use crate::error::{Answer, Failure, Problem};
use crate::form::{Open, Posted};
use crate::frame::{Frame, Here, Who, done, html, see_other};
use crate::{Panel, Shared, door, error, factor, urls, words};

/// Name of the cookie; `__Host-` binds it to this host, to TLS and to the path `/`.
pub(crate) fn cookie_name(panel: &Panel) -> &'static str {
    if panel.settings.secure_cookies {
        "__Host-login"
    } else {
        "login"
    }
}

/// The login's token in the request's cookies.
pub(crate) fn cookie_token(panel: &Panel, headers: &HeaderMap) -> Option<String> {
    cookie_named(cookie_name(panel), headers)
}

/// The value of a cookie of ours.
pub(crate) fn cookie_named(name: &str, headers: &HeaderMap) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter();
    let pairs = cookies
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'));
    for pair in pairs {
        if let Some((key, value)) = pair.trim().split_once('=')
            && key == name
            && !value.is_empty()
            && value.len() <= 200
        {
            return Some(value.to_owned());
        }
    }
    None
}

/// `Set-Cookie` of a fresh login.
pub(crate) fn set_cookie(panel: &Panel, token: &Secret, expires: Timestamp) -> HeaderValue {
    let seconds = (expires.0 - words::now().0).max(0) / 1_000_000;
    cookie(panel, token.expose(), seconds)
}

/// `Set-Cookie` that takes it away.
pub(crate) fn clear_cookie(panel: &Panel) -> HeaderValue {
    cookie(panel, "", 0)
}

fn cookie(panel: &Panel, value: &str, seconds: i64) -> HeaderValue {
    cookie_of(panel, cookie_name(panel), value, seconds)
}

/// `Set-Cookie` of a cookie of ours.
pub(crate) fn cookie_of(panel: &Panel, name: &str, value: &str, seconds: i64) -> HeaderValue {
    let secure = if panel.settings.secure_cookies {
        "; Secure"
    } else {
        ""
    };
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let mut header = HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

/// Somebody who is signed in, at the desk: the request's actor and what pages need of it.
pub(crate) struct SignedIn {
    /// The panel.
    pub(crate) panel: Shared,
    /// Who.
    pub(crate) actor: Actor,
    /// Secret of the login for forms.
    pub(crate) csrf: Secret,
    /// Id of the login.
    pub(crate) id: i64,
    /// The cookie's token.
    pub(crate) token: Secret,
    notice: Option<&'static str>,
}

impl SignedIn {
    /// From the cookie. Without a valid one: reading leads to sign-in, changing says that nothing was done.
    pub(crate) async fn of(parts: &mut Parts, panel: &Shared) -> Result<Self, Failure> {
        let query = parts.uri.query().unwrap_or_default();
        let word = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "done");
        let notice = word.and_then(|(_, word)| words::notice(&word));
        if let Some(token) = cookie_token(panel, &parts.headers) {
            match panel.control.login_resume(&token).await {
                Ok(Some(resumed)) => {
                    let reads = !door::changes(&parts.method);
                    if resumed.actor.must_enrol() && reads && parts.uri.path() != urls::ME {
                        return Err(done(urls::ME, "factor-wanted").into());
                    }
                    return Ok(Self {
                        panel: panel.clone(),
                        actor: resumed.actor,
                        csrf: resumed.csrf,
                        id: resumed.id,
                        token: Secret::from(token),
                        notice,
                    });
                }
                Ok(None) => {}
                Err(failure) => return Err(visitor_fail(panel, failure)),
            }
        }
        if door::changes(&parts.method) {
            let page = Frame::visitor(panel).error_page(
                StatusCode::UNAUTHORIZED,
                "You are not signed in any more",
                "Your login has ended, so nothing was done.",
                "Sign in and do it again.",
            );
            return Err(page.into());
        }
        let wanted = parts
            .uri
            .path_and_query()
            .map_or(urls::HOME, |path| path.as_str());
        Err(see_other(&urls::sign_in_then(wanted)).into())
    }

    /// The frame of a page for them.
    pub(crate) fn frame(&self) -> Frame {
        let mut frame = Frame::visitor(&self.panel);
        frame.here = Here::Home;
        frame.who = Some(Who {
            login: self.actor.login().to_owned(),
            role: self.actor.role(),
            csrf: self.csrf.expose().to_owned(),
            viewing: self.actor.viewing().cloned(),
        });
        frame.notice = self.notice;
        frame
    }

    /// The frame, on this entry of the navigation.
    pub(crate) fn at(&self, here: Here) -> Frame {
        let mut frame = self.frame();
        frame.here = here;
        frame
    }

    /// An error as a page of theirs.
    pub(crate) fn fail(&self, failure: ControlError) -> Failure {
        let frame = self.frame();
        fail_in(frame, failure)
    }
}

/// An error as a page for somebody who is not signed in.
pub(crate) fn visitor_fail(panel: &Shared, failure: ControlError) -> Failure {
    fail_in(Frame::visitor(panel), failure)
}

/// The same of a link that never was, was used, or has ended; what else goes wrong is said as it is. `said` is what happened and
/// what to do: heading, text, remedy.
pub(crate) fn link_ended(
    panel: &Shared,
    frame: Frame,
    failure: ControlError,
    said: [&str; 3],
) -> Failure {
    if !matches!(failure, ControlError::NotSignedIn { .. }) {
        return visitor_fail(panel, failure);
    }
    let [title, text, remedy] = said;
    frame
        .error_page(StatusCode::NOT_FOUND, title, text, remedy)
        .into()
}

fn fail_in(frame: Frame, failure: ControlError) -> Failure {
    error::log(&failure);
    let text = format!("{}.", error::capital(&failure.to_string()));
    let mut response = frame.error_page(
        error::status(&failure),
        error::title(&failure),
        &text,
        &failure.remedy(),
    );
    if let Some(seconds) = failure.retry_after_seconds() {
        response
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.into()
}

impl FromRequestParts<Shared> for SignedIn {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, panel: &Shared) -> Result<Self, Failure> {
        Self::of(parts, panel).await
    }
}

/// `control`'s errors as pages, inside handlers.
pub(crate) trait OrPage<T> {
    /// The value, or the page that says why not.
    fn or_page(self, desk: &SignedIn) -> Result<T, Failure>;
}

impl<T> OrPage<T> for control::Result<T> {
    fn or_page(self, desk: &SignedIn) -> Result<T, Failure> {
        self.map_err(|failure| desk.fail(failure))
    }
}

/// Reading a page as anybody: the visitor's origin and, with a cookie, whether they are signed in already.
pub(crate) struct Visitor {
    pub(crate) origin: Origin,
    pub(crate) signed_in: bool,
}

impl FromRequestParts<Shared> for Visitor {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, panel: &Shared) -> Result<Self, Failure> {
        let origin = door::origin(panel, parts);
        let signed_in = match cookie_token(panel, &parts.headers) {
            Some(token) => matches!(panel.control.login_resume(&token).await, Ok(Some(_))),
            None => false,
        };
        Ok(Self { origin, signed_in })
    }
}

// --- signing in ---

/// Where to go after signing in.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    next: String,
    #[serde(default)]
    done: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    pub(crate) frame: Frame,
    pub(crate) login: String,
    pub(crate) next: String,
    /// Browsers know passkeys here.
    pub(crate) passkeys: bool,
}

/// The form again, with what stood in the way of a passkey.
pub(crate) fn sign_in_problem(
    panel: &Shared,
    status: StatusCode,
    problem: Problem,
    next: String,
) -> Response {
    let page = SignInPage {
        frame: Frame::visitor(panel).problem(Some(problem)),
        login: String::new(),
        next,
        passkeys: panel.control.has_passkeys(),
    };
    html(status, &page)
}

/// The form.
pub(crate) async fn sign_in_page(
    State(panel): State<Shared>,
    visitor: Visitor,
    Query(next): Query<Next>,
) -> Answer {
    if visitor.signed_in {
        return Ok(see_other(
            urls::local_path(&next.next).unwrap_or(urls::HOME),
        ));
    }
    if first_run_needed(&panel).await? {
        return Ok(see_other(urls::SETUP));
    }
    let mut frame = Frame::visitor(&panel);
    frame.notice = words::notice(&next.done);
    let page = SignInPage {
        passkeys: panel.control.has_passkeys(),
        frame,
        login: String::new(),
        next: next.next,
    };
    Ok(html(StatusCode::OK, &page))
}

/// Checks the password.
pub(crate) async fn sign_in(State(panel): State<Shared>, Open { fields, origin }: Open) -> Answer {
    let login = fields.text("login").to_owned();
    let next = fields.text("next").to_owned();
    let request = LoginRequest {
        login: login.clone(),
        password: fields.secret("password"),
    };
    match panel.control.login(request, &origin).await {
        Ok(logged_in) => {
            let path = urls::local_path(&next).unwrap_or(urls::HOME);
            Ok(enter(&panel, &logged_in, see_other(path)))
        }
        Err(ControlError::SecondFactor { pending }) => Ok(factor::ask(&panel, &pending, &next)),
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| visitor_fail(&panel, other))?;
            let frame = Frame::visitor(&panel).problem(Some(problem));
            let passkeys = panel.control.has_passkeys();
            let page = SignInPage {
                frame,
                login,
                next,
                passkeys,
            };
            Ok(html(page.frame.status(), &page))
        }
    }
}

pub(crate) fn enter(panel: &Panel, logged_in: &LoggedIn, mut response: Response) -> Response {
    let cookie = set_cookie(panel, &logged_in.token, logged_in.resumed.expires);
    response.headers_mut().append(header::SET_COOKIE, cookie);
    response
}

/// Ends the login.
pub(crate) async fn sign_out(Posted { desk, .. }: Posted) -> Answer {
    desk.panel
        .control
        .logout(desk.token.expose())
        .await
        .or_page(&desk)?;
    Ok(leave(&desk.panel, "signed-out"))
}

/// To sign-in, without the cookie, with a word of notice.
pub(crate) fn leave(panel: &Panel, word: &str) -> Response {
    let mut response = done(urls::SIGN_IN, word);
    response
        .headers_mut()
        .append(header::SET_COOKIE, clear_cookie(panel));
    response
}

// --- signing up ---

/// What was typed so far.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct SignUpQuery {
    #[serde(default)]
    domain: String,
}

#[derive(Template)]
#[template(path = "sign_up.html")]
pub(crate) struct SignUpPage {
    pub(crate) frame: Frame,
    /// As typed.
    pub(crate) typed: String,
    /// What is known of it; `None`: nothing typed yet.
    pub(crate) hint: Option<DomainHint>,
    pub(crate) email: String,
    /// Who issues certificates here.
    pub(crate) issuer: String,
}

impl SignUpPage {
    /// Is the domain chosen, so that the second question comes?
    fn second(&self) -> bool {
        self.hint.as_ref().is_some_and(|hint| hint.usable)
    }
}

/// "Which domain?", then who.
pub(crate) async fn sign_up_page(
    State(panel): State<Shared>,
    visitor: Visitor,
    Query(query): Query<SignUpQuery>,
) -> Answer {
    if visitor.signed_in {
        return Ok(see_other(urls::HOME));
    }
    if first_run_needed(&panel).await? {
        return Ok(see_other(urls::SETUP));
    }
    let page = SignUpPage::build(&panel, &query.domain, &visitor.origin, None, "").await?;
    Ok(html(page.frame.status(), &page))
}

impl SignUpPage {
    async fn build(
        panel: &Shared,
        typed: &str,
        origin: &Origin,
        problem: Option<Problem>,
        email: &str,
    ) -> Result<Self, Failure> {
        let typed = typed.trim().to_owned();
        let mut problem = problem;
        let mut hint = None;
        if !typed.is_empty() && panel.control.settings().sign_up {
            match panel.control.domain_hint(&typed, origin).await {
                Ok(known) => hint = Some(known),
                Err(failure) => {
                    let found = Problem::of(failure).map_err(|other| visitor_fail(panel, other))?;
                    problem = problem.or(Some(found));
                }
            }
        }
        Ok(Self {
            frame: Frame::visitor(panel).problem(problem),
            typed,
            hint,
            email: email.to_owned(),
            issuer: panel.control.issuer().name,
        })
    }
}

#[derive(Template)]
#[template(path = "hint.html")]
pub(crate) struct HintPart<'a> {
    pub(crate) hint: &'a DomainHint,
}

/// The line under the field while somebody types.
pub(crate) async fn hint(
    State(panel): State<Shared>,
    visitor: Visitor,
    Query(query): Query<SignUpQuery>,
) -> Answer {
    match panel
        .control
        .domain_hint(query.domain.trim(), &visitor.origin)
        .await
    {
        Ok(hint) => Ok(html(StatusCode::OK, &HintPart { hint: &hint })),
        // Saying nothing is right here: the form says the rest when it is sent.
        Err(failure) => Ok(error::status(&failure).into_response()),
    }
}

/// Creates tenant, owner, claimed domain and login.
pub(crate) async fn sign_up(State(panel): State<Shared>, Open { fields, origin }: Open) -> Answer {
    let typed = fields.text("domain").to_owned();
    let email = fields.text("email").to_owned();
    let request = SignUp {
        domain: typed.clone(),
        email: email.clone(),
        password: fields.secret("password"),
    };
    match panel.control.sign_up(request, &origin).await {
        Ok(signed_up) => {
            let shown = panel
                .control
                .domain_show(&signed_up.login.resumed.actor, &signed_up.domain)
                .await;
            let path = match &shown {
                Ok(show) => urls::DomainUrls::new(&show.view.ascii).home().to_owned(),
                Err(_) => urls::HOME.to_owned(),
            };
            Ok(enter(&panel, &signed_up.login, done(&path, "welcome")))
        }
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| visitor_fail(&panel, other))?;
            let page = SignUpPage::build(&panel, &typed, &origin, Some(problem), &email).await?;
            Ok(html(page.frame.status(), &page))
        }
    }
}

// --- the first run ---

#[derive(Template)]
#[template(path = "setup.html")]
pub(crate) struct SetupPage {
    pub(crate) frame: Frame,
    pub(crate) token: String,
    pub(crate) login: String,
}

async fn first_run_needed(panel: &Shared) -> Result<bool, Failure> {
    panel
        .control
        .first_run_needed()
        .await
        .map_err(|failure| visitor_fail(panel, failure))
}

/// The form, while there is no operator; afterwards it leads to sign-in.
pub(crate) async fn setup_page(State(panel): State<Shared>, RawQuery(query): RawQuery) -> Answer {
    if !first_run_needed(&panel).await? {
        return Ok(see_other(urls::SIGN_IN));
    }
    let query = query.unwrap_or_default();
    let token = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "token");
    let page = SetupPage {
        frame: Frame::visitor(&panel),
        token: token
            .map(|(_, token)| token.into_owned())
            .unwrap_or_default(),
        login: String::new(),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Creates the first operator.
pub(crate) async fn setup(State(panel): State<Shared>, Open { fields, origin }: Open) -> Answer {
    let login = fields.text("login").to_owned();
    let request = FirstRun {
        token: fields.text("token").to_owned(),
        login: login.clone(),
        password: fields.secret("password"),
    };
    match panel.control.first_run(request, &origin).await {
        Ok(logged_in) => Ok(enter(&panel, &logged_in, see_other(urls::HOME))),
        Err(ControlError::NotSignedIn { .. }) => {
            let problem = Problem {
                status: StatusCode::UNAUTHORIZED,
                text: "This setup token is not the one of the running server.".to_owned(),
                remedy: "Copy it from the server's log; it is new at every start.".to_owned(),
                field: Some("token"),
            };
            let frame = Frame::visitor(&panel).problem(Some(problem));
            let token = String::new();
            let page = SetupPage {
                frame,
                token,
                login,
            };
            Ok(html(page.frame.status(), &page))
        }
        Err(failure) => {
            let problem = Problem::of(failure).map_err(|other| visitor_fail(&panel, other))?;
            let frame = Frame::visitor(&panel).problem(Some(problem));
            let token = fields.text("token").to_owned();
            let page = SetupPage {
                frame,
                token,
                login,
            };
            Ok(html(page.frame.status(), &page))
        }
    }
}
