//! The battery: one suite for both engines.
