//! What was said in rooms (XEP-0313 for rooms): each message once, in the order in which the room passed it on.
//!
//! Like the archives of accounts ([`crate::archive`]): an id is a time that no two messages of a room share and a random
//! number, and each message has the sum of bytes up to it. A room is worked on by one task at a time, so its messages are
//! written one after the other; what several rooms write at once shares a commit. Refuses: rooms that are not kept.

use xmpp::timestamp::Timestamp;

use crate::archive::{ArchiveId, ArchiveQuery};
use crate::error::Result;
use crate::{DomainStore, RoomId, grouped, rd, wr};

/// A message of a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomMessage {
    /// Its name.
    pub id: ArchiveId,
    /// Real bare address of whoever wrote it; empty: the room itself.
    pub sender: String,
    /// Under this nickname.
    pub nick: String,
    /// Everybody in the room could see who it was.
    pub open: bool,
    /// As it went out, without an addressee.
    pub stanza: Vec<u8>,
}

/// Rows removed in one statement.
const AT_ONCE: i64 = 1_000;

type Row = (i64, i64, String, String, bool, Vec<u8>);

fn message((at, salt, sender, nick, open, stanza): Row) -> RoomMessage {
    RoomMessage {
        id: ArchiveId { at, salt },
        sender,
        nick,
        open,
        stanza,
    }
}

impl DomainStore {
    /// Keeps a message. `false`: the room is gone.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; it was not kept then.
    pub async fn room_archive_add(&self, room: RoomId, new: RoomMessage) -> Result<bool> {
        let domain = self.id.0;
        grouped!(self.store, c => {
            let size = i64::try_from(new.stanza.len()).unwrap_or(i64::MAX);
            let done = sqlx::query(
                "INSERT INTO room_archive (room, at, salt, sender, nick, open, total, stanza) \
                 SELECT r.id, $3, $4, $5, $6, $7, $8 + COALESCE( \
                 (SELECT p.total FROM room_archive p WHERE p.room = r.id ORDER BY p.at DESC LIMIT 1), 0), $9 \
                 FROM rooms r WHERE r.domain = $1 AND r.id = $2",
            )
            .bind(domain).bind(room.0).bind(new.id.at).bind(new.id.salt).bind(new.sender).bind(new.nick)
            .bind(new.open).bind(size).bind(new.stanza).execute(c).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Messages that match, oldest first. `with` is a bare address, or, where it is empty, a nickname.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn room_archive_page(
        &self,
        room: RoomId,
        query: &ArchiveQuery<'_>,
    ) -> Result<Vec<RoomMessage>> {
        macro_rules! select {
            ($order:literal) => {
                concat!(
                    "SELECT m.at, m.salt, m.sender, m.nick, m.open, m.stanza FROM room_archive m \
                     JOIN rooms r ON r.id = m.room \
                     WHERE r.domain = $1 AND m.room = $2 AND m.at > $3 AND m.at < $4 \
                     AND ($6 = '' OR m.sender = $6) AND ($7 = '' OR m.nick = $7) ORDER BY m.at",
                    $order,
                    " LIMIT $5"
                )
            };
        }
        let (sender, nick) = query.with.unwrap_or_default();
        let sql = if query.last {
            select!(" DESC")
        } else {
            select!("")
        };
        let mut rows: Vec<Row> = rd!(self.store, p => {
            sqlx::query_as(sql).bind(self.id.0).bind(room.0).bind(query.after).bind(query.before)
                .bind(i64::from(query.limit)).bind(sender).bind(nick.unwrap_or_default()).fetch_all(p).await
        })?;
        if query.last {
            rows.reverse();
        }
        Ok(rows.into_iter().map(message).collect())
    }

    /// How many messages a query would give, whatever its page, and no more than its limit.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn room_archive_count(&self, room: RoomId, query: &ArchiveQuery<'_>) -> Result<u64> {
        let (sender, nick) = query.with.unwrap_or_default();
        let (count,): (i64,) = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT COUNT(*) FROM (SELECT 1 AS one FROM room_archive m JOIN rooms r ON r.id = m.room \
                 WHERE r.domain = $1 AND m.room = $2 AND m.at > $3 AND m.at < $4 \
                 AND ($6 = '' OR m.sender = $6) AND ($7 = '' OR m.nick = $7) LIMIT $5) AS counted",
            )
            .bind(self.id.0).bind(room.0).bind(query.after).bind(query.before)
            .bind(i64::from(query.limit)).bind(sender).bind(nick.unwrap_or_default()).fetch_one(p).await
        })?;
        Ok(count.unsigned_abs())
    }

    /// One message; `None`: there is none of this name.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn room_archive_get(
        &self,
        room: RoomId,
        id: ArchiveId,
    ) -> Result<Option<RoomMessage>> {
        let row: Option<Row> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT m.at, m.salt, m.sender, m.nick, m.open, m.stanza FROM room_archive m JOIN rooms r ON r.id = m.room \
                 WHERE r.domain = $1 AND m.room = $2 AND m.at = $3 AND m.salt = $4",
            )
            .bind(self.id.0).bind(room.0).bind(id.at).bind(id.salt).fetch_optional(p).await
        })?;
        Ok(row.map(message))
    }

    /// Puts another stanza in a message's place (a tombstone). `false`: there is none of this name.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing has changed then.
    pub async fn room_archive_replace(
        &self,
        room: RoomId,
        id: ArchiveId,
        stanza: &[u8],
    ) -> Result<bool> {
        let (domain, stanza) = (self.id.0, stanza.to_vec());
        grouped!(self.store, c => {
            let done = sqlx::query(
                "UPDATE room_archive SET stanza = $5 WHERE room = $2 AND at = $3 AND salt = $4 \
                 AND room IN (SELECT id FROM rooms WHERE domain = $1)",
            )
            .bind(domain).bind(room.0).bind(id.at).bind(id.salt).bind(stanza).execute(c).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Forgets what came before `since`, over all rooms of the domain; how many messages.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn room_archive_expire(&self, since: Timestamp) -> Result<u64> {
        let mut gone = 0;
        loop {
            let now = wr!(self.store, p => {
                sqlx::query(
                    "DELETE FROM room_archive WHERE (room, at) IN (SELECT m.room, m.at FROM rooms r \
                     JOIN room_archive m ON m.room = r.id WHERE r.domain = $1 AND m.at < $2 LIMIT $3)",
                )
                .bind(self.id.0).bind(since.0).bind(AT_ONCE).execute(p).await.map(|done| done.rows_affected())
            })?;
            gone += now;
            if now < AT_ONCE.unsigned_abs() {
                return Ok(gone);
            }
        }
    }

    /// Forgets the oldest messages of whichever rooms of the domain keep more than `bytes`; how many messages.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn room_archive_trim(&self, bytes: u64) -> Result<u64> {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let mut gone = 0;
        loop {
            let now = wr!(self.store, p => {
                sqlx::query(
                    "DELETE FROM room_archive WHERE (room, at) IN (SELECT m.room, m.at FROM rooms r \
                     JOIN room_archive m ON m.room = r.id WHERE r.domain = $1 AND m.total - LENGTH(m.stanza) < \
                     (SELECT p.total FROM room_archive p WHERE p.room = r.id ORDER BY p.at DESC LIMIT 1) - $2 LIMIT $3)",
                )
                .bind(self.id.0).bind(bytes).bind(AT_ONCE).execute(p).await.map(|done| done.rows_affected())
            })?;
            gone += now;
            if now < AT_ONCE.unsigned_abs() {
                return Ok(gone);
            }
        }
    }
}
