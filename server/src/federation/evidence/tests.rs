//! Cases of gathering.
