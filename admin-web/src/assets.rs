//! The panel's own style, script and icon, inside the binary. Their addresses hold a hash of the content, so a browser may
//! keep them for a year and a new version is fetched at once.

use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

const STYLE: &str = include_str!("../assets/panel.css");
const SCRIPT: &str = include_str!("../assets/panel.js");
const PASSKEY: &str = include_str!("../assets/passkey.js");
const ICON: &str = include_str!("../assets/icon.svg");

const VERSION: u64 = hash(
    hash(hash(hash(0xcbf2_9ce4_8422_2325, STYLE), SCRIPT), ICON),
    PASSKEY,
);

/// Route of the assets; the version is part of the path.
pub const ROUTE: &str = "/assets/{version}/{file}";

/// FNV-1a, enough to tell versions apart.
const fn hash(mut state: u64, text: &str) -> u64 {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        state = (state ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    state
}

/// Address of an asset.
pub(crate) fn url(file: &str) -> String {
    format!("/assets/{VERSION:016x}/{file}")
}

/// Serves one. An old version in the address gets the present content, but is not kept.
pub(crate) async fn serve(Path((version, file)): Path<(String, String)>) -> Response {
    let (kind, body) = match file.as_str() {
        "panel.css" => ("text/css; charset=utf-8", STYLE),
        "panel.js" => ("text/javascript; charset=utf-8", SCRIPT),
        "passkey.js" => ("text/javascript; charset=utf-8", PASSKEY),
        "icon.svg" => ("image/svg+xml", ICON),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let keep = if version == format!("{VERSION:016x}") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(keep)),
    ];
    (headers, body).into_response()
}
