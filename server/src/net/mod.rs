//! Sockets: listeners and the way out, the one loop around a stream machine, TLS identity by name, DNS, and the HTTP doors.

pub mod internal;
