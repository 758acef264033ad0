//! What rooms and shared files look like.

#![allow(dead_code, reason = "these types are described, never made")]

use utoipa::ToSchema;

/// A room that outlives its occupants.
#[derive(ToSchema)]
pub(in crate::api) struct Room {
    /// The part before the service's name.
    local: String,
    /// Empty: it has none.
    name: String,
    /// Everybody may find it.
    listed: bool,
    created: String,
    /// Members, admins and owners.
    people: u64,
    archive_bytes: u64,
}

/// What an account shares.
#[derive(ToSchema)]
pub(in crate::api) struct Uploads {
    /// Without its domain.
    local: String,
    files: u64,
    bytes: u64,
    /// When the newest was put there.
    latest: String,
}
