//! Every route there is, of the panel and of the API, is one that the tests of what must not happen go through
//! ([`super::ways`]), or stands in a list here that says why not. So a new route for an operation that has others is noticed
//! as well as a new operation.
//!
//! The command line has no place in this: whoever runs it on the machine is the system, to whom no object is another's.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Method, StatusCode};

use super::ways::{ways, ways_without_object};
use super::world::House;

/// Method and path, with `{…}` for what is put in.
type Route = (Method, String);

/// Without a login: there is nobody whose role or tenant could matter, or the page is the way to one.
const OPEN: &[&str] = &[
    "GET /",
    "GET /api/v1/first-run",
    "GET /ask/{domain}",
    "GET /assets/{version}/{file}",
    "GET /setup",
    "GET /sign-in",
    "GET /sign-in/code",
    "GET /sign-up",
    "GET /sign-up/hint",
    "POST /api/v1/first-run",
    "POST /api/v1/login",
    "POST /api/v1/sign-up",
    "POST /ask/{domain}",
    "POST /setup",
    "POST /sign-in",
    "POST /sign-in/code",
    "POST /sign-in/passkey",
    "POST /sign-in/passkey/challenge",
    "POST /sign-up",
];

/// By a secret that was sent to somebody, instead of a login.
const BY_LINK: &[&str] = &[
    "GET /api/v1/invitation",
    "GET /api/v1/invite",
    "GET /export/{token}",
    "GET /invite/{token}",
    "GET /join",
    "GET /unsubscribe/{link}",
    "POST /api/v1/invitation",
    "POST /api/v1/invite",
    "POST /export/{token}",
    "POST /invite/{token}",
    "POST /join",
    "POST /unsubscribe/{link}",
];

/// The actor's own person and login (whose tests are control's, by `login.…`, `token.…`, `factor.…` and their like), what they
/// may see anyway, or what is the same for everybody.
const OWN: &[&str] = &[
    "DELETE /api/v1/logins/{id}",
    "DELETE /api/v1/tokens/{id}",
    "GET /api/v1/codes",
    "GET /api/v1/domain-hint",
    "GET /api/v1/events",
    "GET /api/v1/logins",
    "GET /api/v1/me",
    "GET /api/v1/me/factor",
    "GET /api/v1/me/mail",
    "GET /api/v1/me/passkeys",
    "GET /api/v1/modes",
    "GET /api/v1/tokens",
    "GET /domains",
    "GET /domains/new",
    "GET /live",
    "GET /me",
    "GET /tokens",
    "POST /api/v1/logout",
    "POST /api/v1/me/factor",
    "POST /api/v1/me/factor/confirm",
    "POST /api/v1/me/factor/remove",
    "POST /api/v1/me/passkeys/{id}/remove",
    "POST /api/v1/tokens",
    "POST /me",
    "POST /me/factor",
    "POST /me/factor/confirm",
    "POST /me/factor/remove",
    "POST /me/logins/{id}/end",
    "POST /me/mail",
    "POST /me/passkeys",
    "POST /me/passkeys/challenge",
    "POST /me/passkeys/{id}/remove",
    "POST /sign-out",
    "POST /tokens",
    "POST /tokens/{id}/remove",
    "POST /view-end",
    "PUT /api/v1/me/mail",
    "PUT /api/v1/me/password",
];

/// Sources of the routes: where they are put together, and where their paths stand.
const LIB: &str = include_str!("../lib.rs");
const PATHS: [&str; 2] = [include_str!("../urls.rs"), include_str!("../assets.rs")];

/// `NAME` → path.
fn paths() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for source in PATHS {
        for part in source.split("const ").skip(1) {
            let Some((name, rest)) = part.split_once(": &str =") else {
                continue;
            };
            let Some(path) = rest.trim_start().strip_prefix('"') else {
                continue;
            };
            let path = path.split('"').next().unwrap();
            all.insert(name.to_owned(), path.to_owned());
        }
    }
    all
}

/// Routes of the panel.
fn of_the_panel() -> BTreeSet<String> {
    let paths = paths();
    let (_, pages) = LIB.split_once("fn pages()").expect("the panel's routes");
    let mut found = BTreeSet::new();
    for part in pages.split(".route(").skip(1) {
        let (name, rest) = part.split_once(',').expect("a path and what answers");
        let name = name.trim().rsplit("::").next().unwrap();
        let path = paths
            .get(name)
            .unwrap_or_else(|| panic!("{name} has no path"));
        let mut methods = 0;
        for (word, method) in [("get(", "GET"), ("post(", "POST")] {
            let is_call = |(at, _): (usize, &str)| {
                let before = rest[..at].chars().next_back();
                before.is_none_or(|c| !c.is_alphanumeric() && c != '_')
            };
            if rest.match_indices(word).any(is_call) {
                found.insert(format!("{method} {path}"));
                methods += 1;
            }
        }
        assert!(methods > 0, "{path} has no method that is known here");
    }
    found
}

/// Routes that the API describes.
async fn of_the_api(house: &House) -> BTreeSet<String> {
    let page = house.get(crate::urls::OPENAPI, None).await;
    assert_eq!(page.status, StatusCode::OK);
    let paths = page.json()["paths"].as_object().expect("paths").clone();
    let mut found = BTreeSet::new();
    for (path, methods) in paths {
        for method in methods.as_object().expect("methods").keys() {
            found.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    found
}

/// How many parts of the route are put in, if it is the way's; the fewest wins.
fn put_in(route: &str, way: &Route) -> Option<usize> {
    let (method, path) = route.split_once(' ')?;
    let asked = way.1.split('?').next()?;
    let (route, asked): (Vec<_>, Vec<_>) = (path.split('/').collect(), asked.split('/').collect());
    let fits = |(wanted, given): (&&str, &&str)| wanted.starts_with('{') || wanted == given;
    let same = method == way.0.as_str()
        && route.len() == asked.len()
        && route.iter().zip(&asked).all(fits);
    same.then(|| route.iter().filter(|part| part.starts_with('{')).count())
}

#[tokio::test]
async fn every_route_is_tried_or_said_to_have_no_object() {
    let house = House::settled().await;
    let mut routes = of_the_panel();
    routes.extend(of_the_api(&house).await);
    assert!(routes.len() > 200, "{} routes", routes.len());
    let mut tried = BTreeSet::new();
    for way in ways().into_iter().chain(ways_without_object()) {
        let way: Route = (way.1, way.2.to_owned());
        let fitting = routes
            .iter()
            .filter_map(|route| Some((put_in(route, &way)?, route)));
        let (_, route) = fitting
            .min()
            .unwrap_or_else(|| panic!("{} {} is no route", way.0, way.1));
        tried.insert(route.clone());
    }
    let without: BTreeSet<String> = [OPEN, BY_LINK, OWN]
        .concat()
        .iter()
        .map(|route| (*route).to_owned())
        .collect();
    let both: Vec<_> = tried.intersection(&without).collect();
    assert!(both.is_empty(), "tried, and said not to be: {both:#?}");
    let gone: Vec<_> = without.difference(&routes).collect();
    assert!(gone.is_empty(), "no routes any more: {gone:#?}");
    let known: BTreeSet<String> = tried.union(&without).cloned().collect();
    let unknown: Vec<_> = routes.difference(&known).collect();
    assert!(unknown.is_empty(), "not tried: {unknown:#?}");
}
