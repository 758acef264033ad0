//! What a domain's people keep beside their messages: rooms, and files that they share.

use serde::Serialize;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::permission::Operation;
use crate::{Actor, Control};

/// Rooms of a page, and accounts of the list of files.
pub const KEPT_SHOWN: usize = 100;

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomView {
    /// The part before the service's name.
    pub local: String,
    /// As people call it; empty: not at all.
    pub name: String,
    /// Everybody may find it.
    pub listed: bool,
    /// When it was made.
    #[serde(serialize_with = "crate::time::at")]
    pub created: Timestamp,
    /// People it knows as members, admins or owners.
    pub people: u64,
    /// Bytes of its archive.
    pub archive_bytes: u64,
}

/// What an account shares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UploadsView {
    /// The account, without its domain.
    pub local: String,
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the newest was put there.
    #[serde(serialize_with = "crate::time::at")]
    pub latest: Timestamp,
}

impl Control {
    /// Rooms that outlive their occupants, by name; `after` goes on from a page's last.
    pub async fn room_list(
        &self,
        actor: &Actor,
        domain: &str,
        after: Option<&str>,
    ) -> Result<Vec<RoomView>> {
        let row = self.domain_row(actor, Operation::RoomList, domain).await?;
        let store = self.domain_store(&row);
        let found = store
            .rooms_kept(after.unwrap_or_default(), KEPT_SHOWN as u32)
            .await?;
        let view = |room: store::KeptRoom| RoomView {
            local: room.local,
            name: room.name,
            listed: room.listed,
            created: room.created,
            people: room.people,
            archive_bytes: room.archive_bytes,
        };
        Ok(found.into_iter().map(view).collect())
    }

    /// Accounts that share files, those with the most bytes first, a hundred at most.
    pub async fn upload_list(&self, actor: &Actor, domain: &str) -> Result<Vec<UploadsView>> {
        let row = self
            .domain_row(actor, Operation::UploadList, domain)
            .await?;
        let store = self.domain_store(&row);
        let found = store.uploads_kept(self.now(), KEPT_SHOWN as u32).await?;
        let view = |kept: store::KeptUploads| UploadsView {
            local: kept.local,
            files: kept.files,
            bytes: kept.bytes,
            latest: kept.latest,
        };
        Ok(found.into_iter().map(view).collect())
    }
}
