//! A router that is built when the first request comes for it: most processes show nobody the panel for hours, and what its
//! routes, their handlers and the API's description take is held from then on. Refuses: routes that depend on what may be
//! wrong, which an operator learns at the start or not at all.

use std::fmt;
use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use tower_service::Service as _;

/// A router to be; clones share it.
#[derive(Clone)]
pub struct Late(Arc<LazyLock<Router, Box<dyn FnOnce() -> Router + Send>>>);

impl Late {
    /// What `build` makes, at the first request; it is called once at most. It must succeed always, so that every test of the
    /// routes tests it.
    pub fn new(build: impl FnOnce() -> Router + Send + 'static) -> Self {
        Self(Arc::new(LazyLock::new(Box::new(build))))
    }

    /// Answers a request as the router does.
    pub async fn answer(&self, request: Request) -> Response {
        let mut router = Router::clone(&self.0);
        let Ok(response) = router.call(request).await;
        response
    }

    /// As a router, for a door that wants one.
    pub fn into_router(self) -> Router {
        Router::new().fallback(move |request: Request| async move { self.answer(request).await })
    }
}

impl fmt::Debug for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Late").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::body::Body;
    use axum::extract::DefaultBodyLimit;
    use axum::http::{Method, StatusCode, header};
    use axum::routing::{get, post};

    use super::*;

    fn routes() -> Router {
        Router::new()
            .route("/page", get(|| async { "a page\n" }))
            .route("/form", post(|body: String| async move { body }))
            .layer(DefaultBodyLimit::max(8))
    }

    async fn ask(router: &Router, method: Method, path: &str, body: &'static str) -> String {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(Body::from(body))
            .expect("request");
        let Ok(response) = router.clone().call(request).await;
        let (mut parts, body) = response.into_parts();
        // Of what is empty a router says so or leaves it to the connection, which always does.
        parts.headers.remove(header::CONTENT_LENGTH);
        let body = axum::body::to_bytes(body, 1 << 16).await.expect("body");
        format!(
            "{} {:?} {}",
            parts.status,
            parts.headers,
            String::from_utf8_lossy(&body)
        )
    }

    #[tokio::test]
    async fn is_built_by_the_first_request_and_answers_as_what_it_builds() {
        let built = Arc::new(AtomicU32::new(0));
        let counted = built.clone();
        let late = Late::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            routes()
        });
        let (late, plain) = (late.into_router(), routes());
        assert_eq!(built.load(Ordering::Relaxed), 0, "nobody has come");
        for (method, path, body) in [
            (Method::GET, "/page", ""),
            (Method::HEAD, "/page", ""),
            (Method::PUT, "/page", ""),
            (Method::GET, "/elsewhere", ""),
            (Method::POST, "/form", "short"),
            (Method::POST, "/form", "longer than it may be"),
        ] {
            let expected = ask(&plain, method.clone(), path, body).await;
            let answer = ask(&late, method.clone(), path, body).await;
            assert_eq!(answer, expected, "{method} {path}");
        }
        assert_eq!(built.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn what_stands_in_the_request_arrives() {
        let named = Router::new().route(
            "/",
            get(|request: Request| async move {
                let name = request.extensions().get::<&str>().copied();
                (StatusCode::OK, name.unwrap_or("nothing"))
            }),
        );
        let late = Late::new(move || named).into_router();
        let mut request = Request::new(Body::empty());
        request.extensions_mut().insert("a name");
        let Ok(response) = late.clone().call(request).await;
        let body = axum::body::to_bytes(response.into_body(), 64).await;
        assert_eq!(&body.expect("body")[..], b"a name");
    }
}
