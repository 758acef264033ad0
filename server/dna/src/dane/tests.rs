//! Cases of DANE.
