//! The loop that looks at the world again: claims a domain by lease, observes, moves the state, orders certificates.

use std::sync::Arc;

use crate::Control;

/// Runs until `stop` resolves. Spawn it once per process; several nodes may run it, a domain is claimed by one.
pub async fn run(control: Arc<Control>, stop: impl Future<Output = ()>) {
    let _ = (control, stop);
    todo!()
}
