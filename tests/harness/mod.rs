//! What the black-box tests share: the built binary started as a person starts it, real sockets, raw XML.
//!
//! Nothing of our own libraries is used here, so that a bug shared by server and test cannot hide itself. Waiting is
//! always for an event with a deadline, never for a span of time.

pub mod bind;
pub mod browser;
pub mod bucket;
pub mod demo;
pub mod engine;
pub mod http;
pub mod knot;
pub mod line;
pub mod peers;
pub mod postgres;
pub mod powerdns;
pub mod serve;
pub mod terminal;
pub mod tools;
pub mod web;
pub mod xmpp;

use std::time::Duration;

/// How long any single event may take before a test gives up. Generous: machines are shared, and a deadline is no
/// measurement.
pub const DEADLINE: Duration = Duration::from_secs(60);
