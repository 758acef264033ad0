//! The whole room against a small world: a DNS, a CA, a platform zone and a public door in memory, a clock moved by hand, and
//! the real store.

mod flow;
mod import;
pub(crate) mod roles;
mod viewing;
pub(crate) mod world;
