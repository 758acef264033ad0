//! Rooms that outlive their occupants (XEP-0045): what their owners chose, and who is what in them.
//!
//! A room is written as it changes; whoever is in it right now, and rooms that end with their last occupant, are not here.

use xmpp::jid::BareJid;
use xmpp::timestamp::Timestamp;

use crate::error::{Result, StoreError};
use crate::moment::OneMoment as _;
use crate::usage::archive_of_room;
use crate::{DomainStore, RoomId, grouped, rd};

/// A room without the people it knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomRow {
    /// Localpart.
    pub local: String,
    /// As people call it; empty: not at all.
    pub name: String,
    /// Whether everybody may find it.
    pub listed: bool,
    /// What its owners chose, as JSON; the room's module knows the keys.
    pub config: String,
    /// From which the ids of its occupants are made (XEP-0421).
    pub salt: Vec<u8>,
    /// The stanza that set the subject, and when.
    pub subject: Option<(Vec<u8>, Timestamp)>,
    /// Hats of its people, as JSON; the room's module knows the keys, but for `worn`, where the people are. `None`: none.
    pub hats: Option<String>,
    /// What it looks like.
    pub vcard: Option<Vec<u8>>,
    /// When it was made.
    pub created: Timestamp,
}

/// The same hats where this person wears none; `None`: they wear none as it is.
pub(crate) fn hats_without(hats: &str, who: &str) -> Option<String> {
    let mut hats: serde_json::Value = serde_json::from_str(hats).ok()?;
    hats.get_mut("worn")?.as_object_mut()?.remove(who)?;
    Some(hats.to_string())
}

/// What somebody is in a room for longer than a visit (XEP-0045 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomAffiliation {
    /// Who.
    pub jid: BareJid,
    /// `outcast`, `member`, `admin` or `owner`.
    pub affiliation: String,
    /// The nickname that nobody else may take.
    pub nick: Option<String>,
    /// Why, in the words of whoever gave it.
    pub reason: Option<String>,
}

/// A room in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedRoom {
    /// Localpart.
    pub local: String,
    /// As people call it.
    pub name: String,
}

/// A room with what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRoom {
    /// Localpart.
    pub local: String,
    /// As people call it; empty: not at all.
    pub name: String,
    /// Whether everybody may find it.
    pub listed: bool,
    /// When it was made.
    pub created: Timestamp,
    /// People it knows as members or more.
    pub people: u64,
    /// Bytes of its archive.
    pub archive_bytes: u64,
}

#[derive(sqlx::FromRow)]
struct Raw {
    id: i64,
    name: String,
    listed: bool,
    config: String,
    salt: Vec<u8>,
    subject: Option<Vec<u8>>,
    subject_at: Option<i64>,
    hats: Option<String>,
    vcard: Option<Vec<u8>>,
    created: i64,
}

#[derive(sqlx::FromRow)]
struct RawAffiliation {
    jid: String,
    affiliation: String,
    nick: Option<String>,
    reason: Option<String>,
}

impl DomainStore {
    /// A room and everybody who is something in it, by address.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_load(
        &self,
        local: &str,
    ) -> Result<Option<(RoomId, RoomRow, Vec<RoomAffiliation>)>> {
        let (raw, people): (Raw, Vec<RawAffiliation>) = rd!(self.store, p => {
            let mut tx = p.begin().await?;
            tx.one_moment().await?;
            let raw: Option<Raw> = sqlx::query_as(
                "SELECT id, name, listed, config, salt, subject, subject_at, hats, vcard, created FROM rooms \
                 WHERE domain = $1 AND local = $2",
            )
            .bind(self.id.0).bind(local).fetch_optional(&mut *tx).await?;
            let Some(raw) = raw else { return Ok(None) };
            let people = sqlx::query_as(
                "SELECT jid, affiliation, nick, reason FROM room_affiliations WHERE room = $1 ORDER BY jid",
            )
            .bind(raw.id).fetch_all(&mut *tx).await?;
            tx.commit().await?;
            (raw, people)
        });
        let people = people
            .into_iter()
            .map(|row| {
                Ok(RoomAffiliation {
                    jid: BareJid::parse(&row.jid).map_err(|_| StoreError::Corrupt {
                        what: "room_affiliations.jid",
                    })?,
                    affiliation: row.affiliation,
                    nick: row.nick,
                    reason: row.reason,
                })
            })
            .collect::<Result<_>>()?;
        let row = RoomRow {
            local: local.to_owned(),
            name: raw.name,
            listed: raw.listed,
            config: raw.config,
            salt: raw.salt,
            subject: raw.subject.zip(raw.subject_at.map(Timestamp)),
            hats: raw.hats,
            vcard: raw.vcard,
            created: Timestamp(raw.created),
        };
        Ok(Some((RoomId(raw.id), row, people)))
    }

    /// Adds a room with everybody who is something in it.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] where there is one of that name.
    pub async fn room_add(&self, room: &RoomRow, people: &[RoomAffiliation]) -> Result<RoomId> {
        let (domain, room, people) = (self.id.0, room.clone(), people.to_vec());
        grouped!(self.store, c => {
            let (subject, subject_at) = room.subject.unzip();
            let (id,): (i64,) = sqlx::query_as(
                "INSERT INTO rooms (domain, local, name, listed, config, salt, subject, subject_at, created, hats, vcard) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
            )
            .bind(domain).bind(room.local).bind(room.name).bind(room.listed).bind(room.config).bind(room.salt)
            .bind(subject).bind(subject_at.map(|at: Timestamp| at.0)).bind(room.created.0).bind(room.hats).bind(room.vcard)
            .fetch_one(&mut *c).await?;
            for one in people {
                sqlx::query("INSERT INTO room_affiliations (room, jid, affiliation, nick, reason) VALUES ($1, $2, $3, $4, $5)")
                    .bind(id).bind(one.jid.as_str()).bind(one.affiliation).bind(one.nick).bind(one.reason)
                    .execute(&mut *c).await?;
            }
            Ok(RoomId(id))
        })
    }

    /// Writes what a room's owners chose; false: the room is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_configure(
        &self,
        room: RoomId,
        name: &str,
        listed: bool,
        config: &str,
    ) -> Result<bool> {
        let (domain, name, config) = (self.id.0, name.to_owned(), config.to_owned());
        grouped!(self.store, c => {
            let done = sqlx::query("UPDATE rooms SET name = $3, listed = $4, config = $5 WHERE domain = $1 AND id = $2")
                .bind(domain).bind(room.0).bind(name).bind(listed).bind(config).execute(c).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Writes the stanza that set the subject; false: the room is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_subject(&self, room: RoomId, stanza: &[u8], at: Timestamp) -> Result<bool> {
        let (domain, stanza) = (self.id.0, stanza.to_vec());
        grouped!(self.store, c => {
            let done = sqlx::query("UPDATE rooms SET subject = $3, subject_at = $4 WHERE domain = $1 AND id = $2")
                .bind(domain).bind(room.0).bind(stanza).bind(at.0).execute(c).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Writes the hats of a room's people; false: the room is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_hats(&self, room: RoomId, hats: Option<&str>) -> Result<bool> {
        let (domain, hats) = (self.id.0, hats.map(str::to_owned));
        grouped!(self.store, c => {
            let done = sqlx::query("UPDATE rooms SET hats = $3 WHERE domain = $1 AND id = $2")
                .bind(domain).bind(room.0).bind(hats).execute(c).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Writes what a room looks like; false: the room is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_vcard(&self, room: RoomId, vcard: Option<&[u8]>) -> Result<bool> {
        let (domain, vcard) = (self.id.0, vcard.map(<[u8]>::to_vec));
        grouped!(self.store, c => {
            let done = sqlx::query("UPDATE rooms SET vcard = $3 WHERE domain = $1 AND id = $2")
                .bind(domain).bind(room.0).bind(vcard).execute(c).await?;
            Ok(done.rows_affected() > 0)
        })
    }

    /// Writes what people are in a room, all of them or none; an empty affiliation is none at all. False: the room is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_affiliate(&self, room: RoomId, people: &[RoomAffiliation]) -> Result<bool> {
        let (domain, people) = (self.id.0, people.to_vec());
        grouped!(self.store, c => {
            let there: Option<(i64,)> = sqlx::query_as("SELECT id FROM rooms WHERE domain = $1 AND id = $2")
                .bind(domain).bind(room.0).fetch_optional(&mut *c).await?;
            if there.is_none() {
                return Ok(false);
            }
            for one in people {
                if one.affiliation.is_empty() {
                    sqlx::query("DELETE FROM room_affiliations WHERE room = $1 AND jid = $2")
                        .bind(room.0).bind(one.jid.as_str()).execute(&mut *c).await?;
                    continue;
                }
                sqlx::query(
                    "INSERT INTO room_affiliations (room, jid, affiliation, nick, reason) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (room, jid) DO UPDATE SET affiliation = excluded.affiliation, nick = excluded.nick, \
                     reason = excluded.reason",
                )
                .bind(room.0).bind(one.jid.as_str()).bind(one.affiliation).bind(one.nick).bind(one.reason)
                .execute(&mut *c).await?;
            }
            Ok(true)
        })
    }

    /// Roles that somebody gave or took in a room, other than what affiliations give: who, and the role's name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_roles(&self, room: RoomId) -> Result<Vec<(BareJid, String)>> {
        let rows: Vec<(String, String)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT jid, role FROM room_roles WHERE room = (SELECT id FROM rooms WHERE domain = $1 AND id = $2) ORDER BY jid",
            )
            .bind(self.id.0).bind(room.0).fetch_all(p).await
        })?;
        let roles = rows.into_iter().map(|(jid, role)| {
            let jid = BareJid::parse(&jid).map_err(|_| StoreError::Corrupt {
                what: "room_roles.jid",
            })?;
            Ok((jid, role))
        });
        roles.collect()
    }

    /// Writes roles that somebody gave or took; `None`: what the affiliation gives. False: the room is gone.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_give_roles(
        &self,
        room: RoomId,
        roles: &[(BareJid, Option<String>)],
    ) -> Result<bool> {
        let (domain, roles) = (self.id.0, roles.to_vec());
        grouped!(self.store, c => {
            let there: Option<(i64,)> = sqlx::query_as("SELECT id FROM rooms WHERE domain = $1 AND id = $2")
                .bind(domain).bind(room.0).fetch_optional(&mut *c).await?;
            if there.is_none() {
                return Ok(false);
            }
            for (jid, role) in roles {
                sqlx::query("DELETE FROM room_roles WHERE room = $1 AND jid = $2")
                    .bind(room.0).bind(jid.as_str()).execute(&mut *c).await?;
                if let Some(role) = role {
                    sqlx::query("INSERT INTO room_roles (room, jid, role) VALUES ($1, $2, $3)")
                        .bind(room.0).bind(jid.as_str()).bind(role).execute(&mut *c).await?;
                }
            }
            Ok(true)
        })
    }

    /// Removes a room.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_remove(&self, room: RoomId) -> Result<()> {
        let domain = self.id.0;
        grouped!(self.store, c => {
            sqlx::query("DELETE FROM rooms WHERE domain = $1 AND id = $2")
                .bind(domain).bind(room.0).execute(c).await?;
            Ok(())
        })
    }

    /// Rooms that everybody may find, after the localpart `after`, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rooms_listed(&self, after: &str, limit: u32) -> Result<Vec<ListedRoom>> {
        let found: Vec<(String, String)> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT local, name FROM rooms WHERE domain = $1 AND listed AND local > $2 ORDER BY local LIMIT $3",
            )
            .bind(self.id.0).bind(after).bind(i64::from(limit)).fetch_all(p).await
        })?;
        let listed = found.into_iter();
        Ok(listed
            .map(|(local, name)| ListedRoom { local, name })
            .collect())
    }

    /// Localpart and configuration of rooms that everybody may find, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rooms_public(&self, limit: u32) -> Result<Vec<(String, String)>> {
        Ok(rd!(self.store, p => {
            sqlx::query_as("SELECT local, config FROM rooms WHERE domain = $1 AND listed ORDER BY local LIMIT $2")
                .bind(self.id.0).bind(i64::from(limit)).fetch_all(p).await
        })?)
    }

    /// Rooms of the domain with what they keep, after the localpart `after`, at most `limit`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn rooms_kept(&self, after: &str, limit: u32) -> Result<Vec<KeptRoom>> {
        type Row = (String, String, bool, i64, i64, i64);
        let found: Vec<Row> = rd!(self.store, p => {
            sqlx::query_as(concat!(
                "SELECT r.local, r.name, r.listed, r.created, \
                 (SELECT COUNT(*) FROM room_affiliations f WHERE f.room = r.id AND f.affiliation <> 'outcast'), \
                 CAST(COALESCE(", archive_of_room!(), ", 0) AS BIGINT) \
                 FROM rooms r WHERE r.domain = $1 AND r.local > $2 ORDER BY r.local LIMIT $3"
            ))
            .bind(self.id.0).bind(after).bind(i64::from(limit)).fetch_all(p).await
        })?;
        let room = |(local, name, listed, created, people, bytes): Row| KeptRoom {
            local,
            name,
            listed,
            created: Timestamp(created),
            people: people.unsigned_abs(),
            archive_bytes: bytes.max(0).unsigned_abs(),
        };
        Ok(found.into_iter().map(room).collect())
    }

    /// How many rooms of the domain are kept.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn room_count(&self) -> Result<u64> {
        let (n,): (i64,) = rd!(self.store, p => {
            sqlx::query_as("SELECT COUNT(*) FROM rooms WHERE domain = $1").bind(self.id.0).fetch_one(p).await
        })?;
        Ok(n.unsigned_abs())
    }
}
