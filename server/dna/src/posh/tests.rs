//! Cases of POSH.
