//! The panel and its JSON API: pages for people who own a domain, the same operations for programs.
//!
//! Everything here calls [`control::Control`]; there is no other door. It refuses to know SQL, streams or DNS, to keep state
//! between requests (logins live in the store), and to need a script: the few lines of ours only save a reload.

use std::sync::Arc;

use axum::Router;
use control::Control;

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

/// Pages under `/`, JSON under `/api/v1`, its description at `/api/v1/openapi.json`. Serve it with
/// `into_make_service_with_connect_info::<SocketAddr>()`, so that attempts are counted per address.
pub fn router(control: Arc<Control>, settings: PanelSettings) -> Router {
    let _ = (control, settings);
    Router::new()
}
