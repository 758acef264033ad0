//! The demo: everything on loopback with embedded defaults, and the sandbox it needs (DNS, certificate authority).

pub mod ca;
pub mod dns;
