//! The whole system: the built server beside real peers, clients, authorities, name servers and a browser.
//!
//! One target for all of it, so that the harness is compiled once and linked once, and whoever waits leaves the processor to
//! the others. `cargo test -p domicile --test system lab::` runs a part; what each file is about stands at its top.

#![allow(
    unreachable_pub,
    missing_docs,
    clippy::unwrap_used,
    reason = "a test target: its parts are shared by its own tests only"
)]

mod authority;
mod harness;

mod acme;
mod api;
mod badinput;
mod bind;
mod broken;
mod bucket;
mod challenges;
mod check;
mod client;
mod clients;
mod components;
mod conformance;
mod crash;
mod deploy;
mod doors;
mod elsewhere;
mod evening;
mod federation;
mod flows;
mod given_back;
mod invites;
mod lab;
mod life;
mod mail;
mod many;
mod outage;
mod own_data;
mod packaged;
mod panel;
mod passkeys;
mod pebble;
mod platform_zone;
mod portable;
mod postgres;
mod resuming;
mod sasl2;
mod screening;
mod web;
