//! Block lists that domains follow: read when a domain begins to follow one, and again when their time has come.
//!
//! Which are due, the store knows, and what is asked, the module ([`modules::hooks::read_list`]); here is the clock. Refuses: waiting for an
//! answer, which comes by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::router::Router;

/// Between two looks at which lists are due.
const EVERY: Duration = Duration::from_secs(60);

/// Looks again and again, until `stop`.
pub(super) async fn follow(router: Arc<Router>, stop: CancellationToken) {
    // What was chosen while nobody ran.
    for domain in router.tenancy().following() {
        if stop.is_cancelled() {
            return;
        }
        router.follow_lists(&domain).await;
    }
    let mut looks = interval_at(Instant::now(), EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = looks.tick() => {}
        }
        router.read_lists().await;
    }
}
