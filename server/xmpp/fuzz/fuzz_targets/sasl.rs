//! `cargo fuzz run sasl`: see `bodies::sasl`.

#![no_main]

#[path = "../bodies.rs"]
#[allow(dead_code, reason = "each target uses one body of the shared file")]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::sasl(data));
