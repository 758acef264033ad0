//! The live server: sockets, time and wiring around the libraries of this workspace.

pub mod certificates;
pub mod check;
pub mod cli;
pub mod component;
pub mod config;
pub mod demo;
pub mod federation;
pub mod mail;
pub mod metrics;
pub mod net;
pub mod portable;
pub mod router;
pub mod running;
pub mod serve;
pub mod session;
pub mod specifications;
pub mod tenancy;
pub mod wiring;
pub mod zone;

#[cfg(test)]
mod testing;
