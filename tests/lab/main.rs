//! The federation laboratory: a whole little internet on loopback, in which the built server meets real and scripted peers.
//!
//! One BIND is the root and everything below it, one authority issues every shape of certificate, one HTTPS site serves
//! POSH documents, and our server runs as `serve`, told about all of this by its configuration only. What the tests see is
//! the table in `docs/federation.md`.

#![allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "a test target: its parts are shared by its own tests only"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod actor;
mod authority;
mod bidi;
mod certificates;
mod counting;
mod dane;
mod fallen;
mod faults;
mod hostile;
mod house;
mod houses;
mod http;
mod kept;
mod meeting;
mod moved;
mod newcomer;
mod paths;
#[path = "../authority/mod.rs"]
mod pebble;
mod posh;
mod publishing;
mod real;
mod renegotiation;
mod revocation;
mod riding;
mod rules;
mod subscriptions;
mod table;
mod tlsa;
mod wire;
mod world;
mod zones;
