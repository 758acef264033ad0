//! Counting attempts.

/// Limits on attempts and on passwords checked at the same time.
#[derive(Default)]
pub(crate) struct Gate;
