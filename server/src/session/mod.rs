//! Sessions: an account's bound resources and their queues.

pub mod outbox;

pub use self::outbox::{Outbox, PushError};
