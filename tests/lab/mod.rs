//! The federation laboratory: a whole little internet on loopback, in which the built server meets real and scripted peers.
//!
//! One BIND is the root and everything below it, one authority issues every shape of certificate, one HTTPS site serves
//! POSH documents, and our server runs as `serve`, told about all of this by its configuration only. What the tests see is
//! the table in `docs/federation.md`.

pub mod actor;
pub mod authority;
mod bidi;
mod certificates;
mod counting;
mod dane;
mod directions;
mod fallen;
mod faults;
mod hostile;
pub mod house;
mod houses;
mod http;
mod kept;
mod meeting;
mod moved;
mod newcomer;
mod paths;
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
pub mod wire;
pub mod world;
mod zones;
