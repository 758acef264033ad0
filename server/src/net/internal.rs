//! The internal door: health and OpenMetrics, for the operator's own tools. It shows nothing of any tenant and changes
//! nothing; still it belongs on loopback or a private network, never on the internet.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;

use crate::metrics::Metrics;

/// What the door asks when somebody knocks.
#[async_trait::async_trait]
pub trait Health: Send + Sync {
    /// `Ok` when the process can do its work: the store answers and the listeners stand. Otherwise one line that says what
    /// is missing.
    async fn ready(&self) -> Result<(), String>;
    /// Brings sampled series up to date.
    async fn sample(&self, metrics: &Metrics);
}

#[derive(Clone)]
struct Door {
    metrics: Arc<Metrics>,
    health: Arc<dyn Health>,
}

/// Routes: `/health/live`, `/health/ready`, `/metrics`.
pub fn router(metrics: Arc<Metrics>, health: Arc<dyn Health>) -> Router {
    Router::new()
        .route("/health/live", get(|| async { "alive\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(scrape))
        .with_state(Door { metrics, health })
}

async fn ready(State(door): State<Door>) -> impl IntoResponse {
    match door.health.ready().await {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(missing) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {missing}\n"),
        ),
    }
}

async fn scrape(State(door): State<Door>) -> impl IntoResponse {
    door.health.sample(&door.metrics).await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], door.metrics.encode())
}
