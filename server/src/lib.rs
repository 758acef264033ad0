//! The live server: sockets, time and wiring around the libraries of this workspace.

pub mod config;
pub mod metrics;
pub mod net;
pub mod router;
