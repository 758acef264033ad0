//! Messages kept for their account (XEP-0313): who wrote with whom, in the order in which it came.
//!
//! An id is the time of arrival, which no two messages of an account share, and a random number: it orders, it is never
//! given twice, and nobody can guess it. Every question is asked by account and time, or by account, peer and time, so an
//! index answers it in as many steps as the page has messages, however many there are. About how many bytes an
//! archive takes is known without counting: each message has the sum of all before it (one that is committed later than
//! its successor is left out). Messages are written many at a time ([`writer`]), on SQLite into a log first ([`log`]); whatever
//! reads or changes the table lets the log be put away before.

pub(crate) mod direct;
mod hash;
mod log;
pub(crate) mod writer;

use std::fmt;

use bytes::Bytes;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{AccountId, DomainStore, Store, grouped, rd, wr};

pub use hash::message_hash;

/// Names a message in an account's archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArchiveId {
    /// When it came, in microseconds; the order of the archive.
    pub at: i64,
    /// Random.
    pub salt: i64,
}

impl ArchiveId {
    /// As [`ArchiveId`] is written; `None`: not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, salt) = text.split_at_checked(16)?;
        let plain =
            text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let number = |hex| u64::from_str_radix(hex, 16).ok().map(u64::cast_signed);
        plain.then_some(Self {
            at: number(at)?,
            salt: number(salt)?,
        })
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.at, self.salt)
    }
}

/// A message to be kept.
#[derive(Debug, Clone)]
pub struct NewArchived {
    /// Its name.
    pub id: ArchiveId,
    /// Bare address of the other side.
    pub peer: String,
    /// The other side's resource; empty without one.
    pub resource: String,
    /// The account wrote it.
    pub sent: bool,
    /// [`message_hash`] of the stanza's id; 0 without one.
    pub message: i64,
    /// The whole stanza.
    pub stanza: Bytes,
}

/// A message that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archived {
    /// Its name.
    pub id: ArchiveId,
    /// The whole stanza.
    pub stanza: Vec<u8>,
}

/// What is looked for; everything that is left open matches.
#[derive(Debug, Clone, Copy)]
pub struct ArchiveQuery<'a> {
    /// Bare address of the other side, and a resource where only that one counts.
    pub with: Option<(&'a str, Option<&'a str>)>,
    /// Later than this, in microseconds.
    pub after: i64,
    /// Earlier than this.
    pub before: i64,
    /// The last that match, not the first.
    pub last: bool,
    /// At most so many.
    pub limit: u32,
}

impl Default for ArchiveQuery<'_> {
    fn default() -> Self {
        Self {
            with: None,
            after: i64::MIN,
            before: i64::MAX,
            last: false,
            limit: 50,
        }
    }
}

/// Rows removed in one statement.
const AT_ONCE: i64 = 1_000;

type Row = (i64, i64, Vec<u8>);

fn archived((at, salt, stanza): Row) -> Archived {
    Archived {
        id: ArchiveId { at, salt },
        stanza,
    }
}

impl DomainStore {
    /// Keeps a message; it shares its commit with whatever comes at the same time. Of an account that is gone nothing is kept.
    /// Where its time is taken (the clock was put back) it is kept under the next that is free.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; it was not kept then.
    pub async fn archive_add(&self, account: AccountId, new: NewArchived) -> Result<()> {
        self.store.0.archive.add(self.id, account, new).await
    }

    /// Returns when the table has what was kept before, of the account or of all.
    pub(crate) async fn archive_settled(&self, account: Option<AccountId>) -> Result<()> {
        self.store.0.archive.settle(account).await
    }

    /// Messages that match, oldest first.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn archive_page(
        &self,
        account: AccountId,
        query: &ArchiveQuery<'_>,
    ) -> Result<Vec<Archived>> {
        self.archive_settled(Some(account)).await?;
        const ALL_FIRST: &str = "SELECT r.at, r.salt, r.stanza FROM archive r JOIN accounts a ON a.id = r.account \
             WHERE a.domain = $1 AND r.account = $2 AND r.at > $3 AND r.at < $4 ORDER BY r.at LIMIT $5";
        const ALL_LAST: &str = "SELECT r.at, r.salt, r.stanza FROM archive r JOIN accounts a ON a.id = r.account \
             WHERE a.domain = $1 AND r.account = $2 AND r.at > $3 AND r.at < $4 ORDER BY r.at DESC LIMIT $5";
        const WITH_FIRST: &str = "SELECT r.at, r.salt, r.stanza FROM archive r JOIN accounts a ON a.id = r.account \
             WHERE a.domain = $1 AND r.account = $2 AND r.at > $3 AND r.at < $4 AND r.peer = $6 \
             AND ($7 = '' OR r.resource = $7) ORDER BY r.at LIMIT $5";
        const WITH_LAST: &str = "SELECT r.at, r.salt, r.stanza FROM archive r JOIN accounts a ON a.id = r.account \
             WHERE a.domain = $1 AND r.account = $2 AND r.at > $3 AND r.at < $4 AND r.peer = $6 \
             AND ($7 = '' OR r.resource = $7) ORDER BY r.at DESC LIMIT $5";
        let limit = i64::from(query.limit);
        let mut rows: Vec<Row> = match query.with {
            None => {
                let sql = if query.last { ALL_LAST } else { ALL_FIRST };
                rd!(self.store, p => {
                    sqlx::query_as(sql).bind(self.id.0).bind(account.0).bind(query.after).bind(query.before)
                        .bind(limit).fetch_all(p).await
                })?
            }
            Some((peer, resource)) => {
                let sql = if query.last { WITH_LAST } else { WITH_FIRST };
                rd!(self.store, p => {
                    sqlx::query_as(sql).bind(self.id.0).bind(account.0).bind(query.after).bind(query.before)
                        .bind(limit).bind(peer).bind(resource.unwrap_or_default()).fetch_all(p).await
                })?
            }
        };
        if query.last {
            rows.reverse();
        }
        Ok(rows.into_iter().map(archived).collect())
    }

    /// How many messages a query would give, whatever its page, and no more than its limit.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn archive_count(&self, account: AccountId, query: &ArchiveQuery<'_>) -> Result<u64> {
        self.archive_settled(Some(account)).await?;
        const ALL: &str = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM archive r JOIN accounts a ON a.id = r.account \
             WHERE a.domain = $1 AND r.account = $2 AND r.at > $3 AND r.at < $4 LIMIT $5) AS counted";
        const WITH: &str = "SELECT COUNT(*) FROM (SELECT 1 AS one FROM archive r JOIN accounts a ON a.id = r.account \
             WHERE a.domain = $1 AND r.account = $2 AND r.at > $3 AND r.at < $4 AND r.peer = $6 \
             AND ($7 = '' OR r.resource = $7) LIMIT $5) AS counted";
        let limit = i64::from(query.limit);
        let (count,): (i64,) = match query.with {
            None => rd!(self.store, p => {
                sqlx::query_as(ALL).bind(self.id.0).bind(account.0).bind(query.after).bind(query.before)
                    .bind(limit).fetch_one(p).await
            })?,
            Some((peer, resource)) => rd!(self.store, p => {
                sqlx::query_as(WITH).bind(self.id.0).bind(account.0).bind(query.after).bind(query.before)
                    .bind(limit).bind(peer).bind(resource.unwrap_or_default()).fetch_one(p).await
            })?,
        };
        Ok(count.unsigned_abs())
    }

    /// One message; `None`: there is none of this name.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn archive_get(&self, account: AccountId, id: ArchiveId) -> Result<Option<Archived>> {
        self.archive_settled(Some(account)).await?;
        let row: Option<Row> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT r.at, r.salt, r.stanza FROM archive r JOIN accounts a ON a.id = r.account \
                 WHERE a.domain = $1 AND r.account = $2 AND r.at = $3 AND r.salt = $4",
            )
            .bind(self.id.0).bind(account.0).bind(id.at).bind(id.salt).fetch_optional(p).await
        })?;
        Ok(row.map(archived))
    }

    /// The last messages of one conversation and way whose stanza's id has this hash, newest first: candidates for what a
    /// retraction names. Looks at the newest `within` of the conversation.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn archive_named(
        &self,
        account: AccountId,
        peer: &str,
        sent: bool,
        message: i64,
        within: u32,
    ) -> Result<Vec<Archived>> {
        self.archive_settled(Some(account)).await?;
        let rows: Vec<Row> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT at, salt, stanza FROM (SELECT r.at, r.salt, r.stanza, r.sent, r.message FROM archive r \
                 JOIN accounts a ON a.id = r.account WHERE a.domain = $1 AND r.account = $2 AND r.peer = $3 \
                 ORDER BY r.at DESC LIMIT $6) AS newest WHERE sent = $4 AND message = $5 ORDER BY at DESC",
            )
            .bind(self.id.0).bind(account.0).bind(peer).bind(sent).bind(message).bind(i64::from(within))
            .fetch_all(p).await
        })?;
        Ok(rows.into_iter().map(archived).collect())
    }

    /// Puts another stanza in a message's place (a tombstone, XEP-0424), and lets nobody wait for it any more.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing has changed then.
    pub async fn archive_replace(
        &self,
        account: AccountId,
        id: ArchiveId,
        stanza: &[u8],
    ) -> Result<()> {
        self.archive_settled(Some(account)).await?;
        let (domain, stanza) = (self.id.0, stanza.to_vec());
        grouped!(self.store, c => {
            sqlx::query(
                "UPDATE archive SET stanza = $5 WHERE account = $2 AND at = $3 AND salt = $4 \
                 AND account IN (SELECT id FROM accounts WHERE domain = $1)",
            )
            .bind(domain).bind(account.0).bind(id.at).bind(id.salt).bind(stanza).execute(&mut *c).await?;
            sqlx::query(
                "DELETE FROM offline_messages WHERE account = $2 AND archived = $3 \
                 AND account IN (SELECT id FROM accounts WHERE domain = $1)",
            )
            .bind(domain).bind(account.0).bind(id.at).execute(&mut *c).await?;
            Ok(())
        })
    }

    /// Bytes that the archives of one account take.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn archive_bytes(&self, account: AccountId) -> Result<u64> {
        self.archive_settled(Some(account)).await?;
        let (n,): (i64,) = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT CAST(COALESCE( \
                 (SELECT total FROM archive WHERE account = a.id ORDER BY at DESC LIMIT 1) - \
                 (SELECT total - LENGTH(stanza) FROM archive WHERE account = a.id ORDER BY at LIMIT 1), 0) AS BIGINT) \
                 FROM (SELECT COALESCE(MAX(id), 0) AS id FROM accounts WHERE domain = $1 AND id = $2) AS a",
            )
            .bind(self.id.0).bind(account.0).fetch_one(p).await
        })?;
        Ok(n.max(0).unsigned_abs())
    }

    /// Bytes that the archives of all users and rooms of this domain's tenant take.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn tenant_archive_bytes(&self) -> Result<u64> {
        self.archive_settled(None).await?;
        let (n,): (i64,) = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT CAST(COALESCE(SUM( \
                 (SELECT total FROM archive WHERE account = a.id ORDER BY at DESC LIMIT 1) - \
                 (SELECT total - LENGTH(stanza) FROM archive WHERE account = a.id ORDER BY at LIMIT 1)), 0) AS BIGINT) \
                 FROM accounts a JOIN domains d ON d.id = a.domain \
                 WHERE d.tenant = (SELECT tenant FROM domains WHERE id = $1)",
            )
            .bind(self.id.0).fetch_one(p).await
        })?;
        let (rooms,): (i64,) = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT CAST(COALESCE(SUM( \
                 (SELECT total FROM room_archive WHERE room = r.id ORDER BY at DESC LIMIT 1) - \
                 (SELECT total - LENGTH(stanza) FROM room_archive WHERE room = r.id ORDER BY at LIMIT 1)), 0) AS BIGINT) \
                 FROM rooms r JOIN domains d ON d.id = r.domain \
                 WHERE d.tenant = (SELECT tenant FROM domains WHERE id = $1)",
            )
            .bind(self.id.0).fetch_one(p).await
        })?;
        Ok(n.max(0).unsigned_abs() + rooms.max(0).unsigned_abs())
    }

    /// Forgets what came before `since`, over all accounts of the domain; how many messages.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn archive_expire(&self, since: Timestamp) -> Result<u64> {
        self.archive_settled(None).await?;
        let mut gone = 0;
        loop {
            let now = wr!(self.store, p => {
                sqlx::query(
                    "DELETE FROM archive WHERE (account, at) IN (SELECT r.account, r.at FROM accounts a \
                     JOIN archive r ON r.account = a.id WHERE a.domain = $1 AND r.at < $2 LIMIT $3)",
                )
                .bind(self.id.0).bind(since.0).bind(AT_ONCE).execute(p).await.map(|done| done.rows_affected())
            })?;
            gone += now;
            if now < AT_ONCE.unsigned_abs() {
                return Ok(gone);
            }
        }
    }

    /// Forgets the oldest messages of whichever accounts of the domain keep more than `bytes`; how many messages.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn archive_trim(&self, bytes: u64) -> Result<u64> {
        const PAGE: i64 = 500;
        self.archive_settled(None).await?;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        let (mut after, mut gone) = (0, 0);
        loop {
            let page: Vec<(i64, Option<i64>, Option<i64>)> = rd!(self.store, p => {
                sqlx::query_as(
                    "SELECT a.id, (SELECT total FROM archive WHERE account = a.id ORDER BY at DESC LIMIT 1), \
                     (SELECT total - LENGTH(stanza) FROM archive WHERE account = a.id ORDER BY at LIMIT 1) \
                     FROM accounts a WHERE a.domain = $1 AND a.id > $2 ORDER BY a.id LIMIT $3",
                )
                .bind(self.id.0).bind(after).bind(PAGE).fetch_all(p).await
            })?;
            let Some((last, _, _)) = page.last() else {
                return Ok(gone);
            };
            after = *last;
            for (account, total, start) in page {
                if let (Some(total), Some(start)) = (total, start)
                    && total - start > bytes
                {
                    gone += self.store.archive_cut(account, total - bytes).await?;
                }
            }
        }
    }

    /// What the account wants kept (the caller's own words); `None` goes back to the domain's way. `false`: no such account.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing has changed then.
    pub async fn archive_preferences_set(
        &self,
        account: AccountId,
        preferences: Option<&str>,
    ) -> Result<bool> {
        let (domain, preferences) = (self.id.0, preferences.map(str::to_owned));
        grouped!(self.store, c => {
            let done = sqlx::query("UPDATE accounts SET archive_preferences = $3 WHERE domain = $1 AND id = $2")
                .bind(domain).bind(account.0).bind(preferences).execute(c).await?;
            Ok(done.rows_affected() == 1)
        })
    }
}

impl Store {
    /// Forgets an account's messages that begin before this running total.
    pub(crate) async fn archive_cut(&self, account: i64, total: i64) -> Result<u64> {
        let mut gone = 0;
        loop {
            let now = wr!(self, p => {
                sqlx::query(
                    "DELETE FROM archive WHERE account = $1 AND at <= (SELECT MAX(at) FROM \
                     (SELECT at, total - LENGTH(stanza) AS base FROM archive WHERE account = $1 ORDER BY at LIMIT $3) AS oldest \
                     WHERE base < $2)",
                )
                .bind(account).bind(total).bind(AT_ONCE).execute(p).await.map(|done| done.rows_affected())
            })?;
            gone += now;
            if now < AT_ONCE.unsigned_abs() {
                return Ok(gone);
            }
        }
    }

    /// Forgets the oldest messages of an account, of so many bytes or a little more.
    pub(crate) async fn archive_cut_by(&self, account: i64, bytes: u64) -> Result<u64> {
        let base: Option<(i64,)> = rd!(self, p => {
            sqlx::query_as("SELECT total - LENGTH(stanza) FROM archive WHERE account = $1 ORDER BY at LIMIT 1")
                .bind(account).fetch_optional(p).await
        })?;
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        match base {
            Some((base,)) => self.archive_cut(account, base.saturating_add(bytes)).await,
            None => Ok(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written_and_no_other_way() {
        for id in [
            ArchiveId {
                at: 1_767_225_600_000_000,
                salt: -1,
            },
            ArchiveId {
                at: 0,
                salt: i64::MIN,
            },
        ] {
            assert_eq!(ArchiveId::parse(&id.to_string()), Some(id));
        }
        let good = ArchiveId { at: 10, salt: 11 }.to_string();
        for bad in [
            "",
            "1",
            "x",
            &good[1..],
            &good.to_uppercase(),
            &format!("{good}0"),
            &good.replace('0', "+"),
            "ääääääääääääääää",
        ] {
            assert_eq!(ArchiveId::parse(bad), None, "{bad}");
        }
    }
}
