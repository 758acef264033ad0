//! What is said about the platform's zone.

#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::ToSchema;

/// A look at the platform's zone.
#[derive(ToSchema)]
pub(in crate::api) struct ZoneCheck {
    /// Below which name domains have theirs.
    zone: String,
    /// Names of hosted domains and claims.
    owned: u64,
    /// Names that nobody owns.
    orphans: Vec<Orphan>,
    /// They have been taken away, but for those that are left alone.
    repaired: bool,
}

/// A name that nobody owns.
#[derive(ToSchema)]
pub(in crate::api) struct Orphan {
    name: String,
    /// Type and value of each record, as zone files write them.
    records: Vec<Vec<String>>,
    /// Why it is left alone; empty: it can be taken away.
    kept: String,
}
