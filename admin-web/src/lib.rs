//! The panel and its JSON API: pages for people who own a domain, the same operations for programs.
//!
//! Everything here calls [`control::Control`]; there is no other door. It refuses to know SQL, streams or DNS, to keep state
//! between requests (logins live in the store), and to need a script: the few lines of ours only save a reload.
//!
//! Codemap: `urls` every address; `door` what every request passes; `login`, `form` who asks and what they filled in; `frame`,
//! `words` what stands around and how it is said; then a file per group of pages; `api` the same operations as JSON.

mod api;
mod apps;
mod ask;
mod assets;
mod chart;
mod components;
mod desk;
mod domains;
mod door;
mod error;
mod factor;
mod federation;
mod form;
mod frame;
mod home;
mod identity;
pub mod invited;
mod invites;
mod join;
mod kept;
mod live;
mod login;
mod own_export;
mod passkeys;
mod people;
mod plans;
mod platform;
mod portable;
mod qr;
mod records;
mod reports;
mod series;
mod tenants;
#[cfg(test)]
mod tests;
mod ui;
mod unsubscribe;
mod urls;
mod verification;
mod webhooks;
mod words;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Router, middleware};
use control::Control;
use tower_http::timeout::TimeoutLayer;

pub use crate::assets::ROUTE as ASSETS;
use crate::urls::route;

/// Bytes of an ordinary form or JSON body.
const BODY_BYTES: usize = 64 * 1024;
/// Bytes of an uploaded chain with its key.
const CERTIFICATE_BYTES: usize = 256 * 1024;
/// Bytes of an imported list: some 50,000 accounts.
const IMPORT_BYTES: usize = 4 * 1024 * 1024;
/// An answer that takes longer is given up; pages never wait for the DNS.
const LONGEST_ANSWER: Duration = Duration::from_secs(60);

/// What the panel must know about the place it is served at.
#[derive(Debug, Clone)]
pub struct PanelSettings {
    /// Address as people type it, without a slash at the end: `https://panel.hosting.example.net`.
    pub public_url: String,
    /// Served over TLS: cookies are `Secure` with the `__Host-` prefix, and the last `X-Forwarded-For` entry, written by the
    /// web server in front of us (we speak plain HTTP), is the visitor's address.
    pub secure_cookies: bool,
    /// The whole internet is on this machine: say so on every page, and offer "publish for me".
    pub sandbox: bool,
}

/// What handlers share.
pub(crate) struct Panel {
    pub(crate) control: Arc<Control>,
    pub(crate) settings: PanelSettings,
    pub(crate) streams: Arc<live::Streams>,
}

pub(crate) type Shared = Arc<Panel>;

/// Pages under `/`, JSON under `/api/v1`, its description at `/api/v1/openapi.json`. Serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`, so that attempts are counted per address.
pub fn router(control: Arc<Control>, settings: PanelSettings) -> Router {
    let panel = Arc::new(Panel {
        control,
        settings,
        streams: Arc::default(),
    });
    let (api, long) = api::router();
    let api = api.layer(middleware::from_fn_with_state(panel.clone(), api::once));
    pages()
        .merge(api)
        .fallback(door::not_found)
        .method_not_allowed_fallback(door::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            LONGEST_ANSWER,
        ))
        .merge(long.layer(DefaultBodyLimit::disable()))
        .layer(middleware::from_fn_with_state(panel.clone(), door::guard))
        .with_state(panel)
}

fn pages() -> Router<Shared> {
    Router::new()
        .route(urls::HOME, get(home::home))
        .route(urls::SIGN_UP, get(login::sign_up_page).post(login::sign_up))
        .route(urls::SIGN_UP_HINT, get(login::hint))
        .route(urls::SIGN_IN, get(login::sign_in_page).post(login::sign_in))
        .route(
            urls::SIGN_IN_CODE,
            get(factor::code_page).post(factor::code),
        )
        .route(urls::SIGN_IN_PASSKEY, post(passkeys::sign_in))
        .route(urls::SIGN_IN_CHALLENGE, post(passkeys::request))
        .route(urls::SIGN_OUT, post(login::sign_out))
        .route(urls::SETUP, get(login::setup_page).post(login::setup))
        .route(urls::LIVE, get(live::live))
        .route(assets::ROUTE, get(assets::serve))
        .route(urls::DOMAINS, get(domains::list).post(domains::add))
        .route(urls::DOMAIN_NEW, get(domains::new))
        .route(route::DOMAIN, get(domains::show))
        .route(route::CHECK, post(domains::check))
        .route(route::PUBLISH, post(domains::publish))
        .route(route::RECORDS, get(records::show))
        .route(route::ZONE_FILE, get(records::zone_file))
        .route(route::VERIFICATION, get(verification::show))
        .route(route::MODE, post(verification::mode))
        .route(
            route::IDENTITY,
            get(identity::show)
                .post(identity::upload)
                .layer(DefaultBodyLimit::max(CERTIFICATE_BYTES)),
        )
        .route(route::ORDER, post(identity::order))
        .route(route::KEY, post(identity::key))
        .route(route::PEOPLE, get(people::list).post(people::add))
        .route(
            route::IMPORT,
            post(people::import).layer(DefaultBodyLimit::max(IMPORT_BYTES)),
        )
        .route(route::JOINING, post(invites::joining))
        .route(route::INVITES, post(invites::add))
        .route(route::INVITE_REMOVE, post(invites::remove))
        .route(urls::INVITED, get(invited::page).post(invited::take))
        .route(urls::ASK, get(ask::page).post(ask::take))
        .route(
            urls::OWN_EXPORT,
            get(own_export::page).post(own_export::load),
        )
        .route(route::EXPORT, post(portable::export))
        .route(route::PERSON, get(people::person))
        .route(route::PERSON_PASSWORD, post(people::set_password))
        .route(route::PERSON_SUSPEND, post(people::suspend))
        .route(route::PERSON_RESUME, post(people::resume))
        .route(
            route::PERSON_REVOKE_CERTIFICATE,
            post(people::revoke_certificate),
        )
        .route(route::PERSON_SIGN_OUT, post(people::sign_out))
        .route(route::PERSON_REMOVE, post(people::remove))
        .route(route::FEDERATION, get(federation::list))
        .route(route::PEER, get(federation::show))
        .route(route::DOMAIN_USAGE, get(series::domain))
        .route(
            route::COMPONENTS,
            get(components::list).post(components::add),
        )
        .route(route::COMPONENT_GRANT, post(components::grant))
        .route(route::COMPONENT_REMOVE, post(components::remove))
        .route(route::KEPT, get(kept::show).post(kept::save))
        .route(route::REPORTS, get(reports::list))
        .route(route::PIN, post(federation::pin))
        .route(route::UNPIN, post(federation::unpin))
        .route(
            route::SETTINGS,
            get(domains::settings).post(domains::settings_save),
        )
        .route(route::OUTAGE, post(domains::outage))
        .route(route::CALLS, post(domains::calls))
        .route(route::SUSPEND, post(domains::suspend))
        .route(route::RESUME, post(domains::resume))
        .route(route::REMOVE, post(domains::remove))
        .route(urls::TEAM, get(desk::team).post(desk::team_add))
        .route(route::TEAM_REMOVE, post(desk::team_remove))
        .route(route::TEAM_ROLE, post(join::set_role))
        .route(urls::TEAM_INVITE, post(join::invite))
        .route(route::UNINVITE, post(join::uninvite))
        .route(
            urls::UNSUBSCRIBE,
            get(unsubscribe::show).post(unsubscribe::end),
        )
        .route(urls::JOIN, get(join::page).post(join::accept))
        .route(urls::AUDIT, get(desk::audit))
        .route(urls::AUDIT_CSV, get(desk::audit_csv))
        .route(urls::WEBHOOKS, get(webhooks::list).post(webhooks::add))
        .route(route::WEBHOOK_TEST, post(webhooks::test))
        .route(route::WEBHOOK_REMOVE, post(webhooks::remove))
        .route(urls::TOKENS, get(desk::tokens).post(desk::token_add))
        .route(route::TOKEN_REMOVE, post(desk::token_remove))
        .route(urls::ME, get(desk::me).post(desk::password))
        .route(urls::ME_MAIL, post(desk::mail))
        .route(urls::FACTOR, post(factor::begin))
        .route(urls::FACTOR_CONFIRM, post(factor::confirm))
        .route(urls::FACTOR_REMOVE, post(factor::remove))
        .route(urls::PASSKEYS, post(passkeys::add))
        .route(urls::PASSKEY_CHALLENGE, post(passkeys::creation))
        .route(route::PASSKEY_REMOVE, post(passkeys::remove))
        .route(route::TEAM_FACTOR, post(factor::reset))
        .route(route::TENANT_FACTOR, post(factor::require))
        .route(route::LOGIN_END, post(desk::login_end))
        .route(urls::TENANTS, get(tenants::list).post(tenants::add))
        .route(route::TENANT, get(tenants::show))
        .route(route::TENANT_TEAM, post(tenants::team_add))
        .route(route::TENANT_LIMITS, post(tenants::limits))
        .route(route::TENANT_LADDER, post(tenants::ladder_set))
        .route(route::TENANT_LADDER_END, post(tenants::ladder_end))
        .route(route::TENANT_SUSPEND, post(tenants::suspend))
        .route(route::TENANT_VIEW, post(tenants::view))
        .route(urls::VIEW_END, post(tenants::view_end))
        .route(route::TENANT_RESUME, post(tenants::resume))
        .route(route::TENANT_REMOVE, post(tenants::remove))
        .route(urls::CERTIFICATES, get(platform::certificates))
        .route(route::FAILING, get(platform::failing))
        .route(urls::PLANS, get(plans::list).post(plans::add))
        .route(route::PLAN, get(plans::show).post(plans::save))
        .route(route::PLAN_REMOVE, post(plans::remove))
        .route(urls::USAGE, get(plans::usage))
        .route(urls::USAGE_CSV, get(plans::usage_csv))
        .route(
            urls::OPERATORS,
            get(tenants::operators).post(tenants::operators_add),
        )
}
