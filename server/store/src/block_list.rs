//! Lists of strangers that a domain keeps away, as it has last read them from their services (XEP-0060).
//!
//! Entries are digests, so that nobody can read here who else is kept away. What is known of a list stays
//! until it has been read anew to the end. When a list is to be read stands beside it: processes share the work, and one that
//! starts reads nothing anew. What a reading has not seen is told by its number, not by a clock. Refuses: more than
//! [`BLOCK_LIST_ENTRIES`] of a list.

use std::collections::BTreeSet;

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{DomainId, DomainStore, Store, rd, wr};

/// Entries of one list at most.
pub const BLOCK_LIST_ENTRIES: u64 = 50_000;
/// Entries that are written at once, so that nobody waits long for the writer.
const AT_ONCE: usize = 500;

/// SHA-256 of a bare address or of a domain.
pub type BlockListEntry = [u8; 32];

/// A list that a domain follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockListRow {
    /// For the other calls.
    pub id: i64,
    /// Bare address of the pubsub service.
    pub service: String,
    /// Its node.
    pub node: String,
    /// When it was last read to the end; `None`: never.
    pub read: Option<Timestamp>,
    /// Why the last attempt to read it came to nothing; empty: it did not.
    pub problem: String,
    /// How many entries are known.
    pub entries: u64,
}

/// A list whose time to be read has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueBlockList {
    /// Which.
    pub list: FollowedRow,
    /// Whose.
    pub domain: DomainId,
    /// Name of that domain.
    pub name: String,
    /// Number of this reading.
    pub reading: i64,
}

/// A list that a domain follows, without what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowedRow {
    /// For the other calls.
    pub id: i64,
    /// Bare address of the pubsub service.
    pub service: String,
    /// Its node.
    pub node: String,
}

/// What became of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockListLearnt {
    /// Somebody has come to the list or gone from it.
    pub changed: bool,
    /// There was room for all of them.
    pub room: bool,
}

/// The statements that take many entries, `$3` of them, as a table of this engine's.
macro_rules! statements {
    ($entries:literal) => {
        pub(super) const FORGET: &str = concat!(
            "DELETE FROM block_list_entries WHERE list IN (SELECT id FROM block_lists WHERE domain = $1 AND id = $2) ",
            "AND entry IN (", $entries, ")"
        );
        /// News carry the number of the last reading: its end leaves them alone.
        pub(super) const AGAIN: &str = concat!(
            "UPDATE block_list_entries SET seen = COALESCE($4, (SELECT began FROM block_lists WHERE id = $2)) ",
            "WHERE list IN (SELECT id FROM block_lists WHERE domain = $1 AND id = $2) AND entry IN (", $entries, ")"
        );
        /// The list may have been left meanwhile, and another process may have been told as well.
        pub(super) const ADD: &str = concat!(
            "INSERT INTO block_list_entries (list, entry, seen) SELECT l.id, e.entry, COALESCE($4, l.began) ",
            "FROM block_lists l CROSS JOIN (SELECT DISTINCT entry FROM (", $entries, ") AS given) AS e ",
            "WHERE l.domain = $1 AND l.id = $2 AND NOT EXISTS ",
            "(SELECT 1 FROM block_list_entries k WHERE k.list = l.id AND k.entry = e.entry) ",
            "LIMIT CAST($5 AS BIGINT) ON CONFLICT (list, entry) DO NOTHING"
        );
    };
}

mod pg {
    statements!("SELECT unnest($3::BYTEA[]) AS entry");
}

mod lite {
    statements!("SELECT unhex(value) AS entry FROM json_each($3)");
}

/// Runs a transaction for some entries on whichever engine is open: `$given` is what it takes them as, `sql` has its statements.
macro_rules! with_entries {
    ($store:expr, $entries:expr, $tx:ident, $given:ident => $body:block) => {
        match &$store.0.db {
            crate::Db::Pg(pool) => {
                use pg as sql;
                let $given: Vec<Vec<u8>> = $entries.iter().map(|entry| entry.to_vec()).collect();
                let mut $tx = pool.begin().await?;
                let done = $body;
                $tx.commit().await?;
                done
            }
            crate::Db::Lite { write, .. } => {
                use lite as sql;
                let $given: Vec<String> = $entries.iter().map(hex).collect();
                let $given = serde_json::to_string(&$given).unwrap_or_default();
                let mut $tx = write.begin().await?;
                let done = $body;
                $tx.commit().await?;
                done
            }
        }
    };
}

fn hex(entry: &BlockListEntry) -> String {
    entry.iter().map(|byte| format!("{byte:02x}")).collect()
}

type Tuple = (i64, String, String, Option<i64>, String, i64);

impl DomainStore {
    /// The lists that the domain follows, by service and node.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_lists(&self) -> Result<Vec<BlockListRow>> {
        let found: Vec<Tuple> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT id, service, node, read, problem, \
                 (SELECT COUNT(*) FROM block_list_entries WHERE list = block_lists.id) \
                 FROM block_lists WHERE domain = $1 ORDER BY service, node",
            )
            .bind(self.id.0).fetch_all(p).await
        })?;
        let row = |(id, service, node, read, problem, entries): Tuple| BlockListRow {
            id,
            service,
            node,
            read: read.map(Timestamp),
            problem,
            entries: entries.max(0).unsigned_abs(),
        };
        Ok(found.into_iter().map(row).collect())
    }

    /// The same as [`Store::block_lists_claim`], of this domain's.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_lists_claim(
        &self,
        now: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueBlockList>> {
        self.store
            .claim_lists(Some(self.id), now, again, limit)
            .await
    }

    /// Which lists the domain follows.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_lists_followed(&self) -> Result<Vec<FollowedRow>> {
        let found: Vec<(i64, String, String)> = rd!(self.store, p => {
            sqlx::query_as("SELECT id, service, node FROM block_lists WHERE domain = $1 ORDER BY id")
                .bind(self.id.0).fetch_all(p).await
        })?;
        let row = |(id, service, node)| FollowedRow { id, service, node };
        Ok(found.into_iter().map(row).collect())
    }

    /// The domain follows this list from now on, unless it does already; its id.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_follow(&self, service: &str, node: &str) -> Result<i64> {
        let (id,): (i64,) = wr!(self.store, p => {
            // The update of nothing makes the row that is there be returned.
            sqlx::query_as(
                "INSERT INTO block_lists (domain, service, node) VALUES ($1, $2, $3) \
                 ON CONFLICT (domain, service, node) DO UPDATE SET node = excluded.node RETURNING id",
            )
            .bind(self.id.0).bind(service).bind(node).fetch_one(p).await
        })?;
        Ok(id)
    }

    /// The domain does not follow the list any more, and forgets what is on it.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_leave(&self, list: i64) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query("DELETE FROM block_lists WHERE domain = $1 AND id = $2")
                .bind(self.id.0).bind(list).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Entries that have gone from the list and such as have come to it, as its service says; `reading` is the number of the reading
    /// that has found them ([`DueBlockList::reading`]), `None`: they are news. Some hundred of them are one transaction.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_change(
        &self,
        list: i64,
        gone: &[BlockListEntry],
        new: &[BlockListEntry],
        reading: Option<i64>,
    ) -> Result<BlockListLearnt> {
        let (mut changed, mut room) = (false, true);
        for some in gone.chunks(AT_ONCE) {
            let n = with_entries!(self.store, some, tx, given => {
                sqlx::query(sql::FORGET).bind(self.id.0).bind(list).bind(given)
                    .execute(&mut *tx).await?.rows_affected()
            });
            changed |= n > 0;
        }
        let mut known = None;
        for some in new.chunks(AT_ONCE) {
            let distinct = some.iter().collect::<BTreeSet<_>>().len() as u64;
            let (again, added, left) = with_entries!(self.store, some, tx, given => {
                let known = match known {
                    Some(known) => known,
                    None => {
                        let (known,): (i64,) = sqlx::query_as(
                            "SELECT COUNT(*) FROM block_list_entries \
                             WHERE list IN (SELECT id FROM block_lists WHERE domain = $1 AND id = $2)",
                        )
                        .bind(self.id.0).bind(list).fetch_one(&mut *tx).await?;
                        known.max(0).unsigned_abs()
                    }
                };
                let left = BLOCK_LIST_ENTRIES.saturating_sub(known);
                let again = sqlx::query(sql::AGAIN).bind(self.id.0).bind(list).bind(&given).bind(reading)
                    .execute(&mut *tx).await?.rows_affected();
                let added = sqlx::query(sql::ADD).bind(self.id.0).bind(list).bind(&given).bind(reading)
                    .bind(left.cast_signed())
                    .execute(&mut *tx).await?.rows_affected();
                (again, added, left)
            });
            known = Some(BLOCK_LIST_ENTRIES.saturating_sub(left) + added);
            changed |= added > 0;
            room &= added < left || again + added >= distinct;
        }
        Ok(BlockListLearnt { changed, room })
    }

    /// The list has been read to the end: what this reading has not seen, nor news since it began, has gone from it. It is to be read
    /// again at `due`. `problem` says what is wrong all the same; empty: nothing. `true`: somebody has gone.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_read(
        &self,
        list: i64,
        reading: i64,
        now: Timestamp,
        due: Timestamp,
        problem: &str,
    ) -> Result<bool> {
        let gone = wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let ours = sqlx::query("UPDATE block_lists SET read = $3, due = $4, problem = $5 WHERE domain = $1 AND id = $2")
                .bind(self.id.0).bind(list).bind(now.0).bind(due.0).bind(problem).execute(&mut *tx).await?.rows_affected();
            let mut gone = 0;
            if ours > 0 {
                gone = sqlx::query("DELETE FROM block_list_entries WHERE list = $1 AND seen < $2")
                    .bind(list).bind(reading).execute(&mut *tx).await?.rows_affected();
            }
            tx.commit().await?;
            gone
        });
        Ok(gone > 0)
    }

    /// Everybody has gone from the list. `true`: there was somebody.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_purge(&self, list: i64) -> Result<bool> {
        let gone = wr!(self.store, p => {
            sqlx::query(
                "DELETE FROM block_list_entries WHERE list IN (SELECT id FROM block_lists WHERE domain = $1 AND id = $2)",
            )
            .bind(self.id.0).bind(list).execute(p).await?.rows_affected()
        });
        Ok(gone > 0)
    }

    /// Those of these lists that are not to be read before `at` are to be read then.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_soon(&self, service: &str, node: &str, at: Timestamp) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query("UPDATE block_lists SET due = $4 WHERE domain = $1 AND service = $2 AND node = $3 AND due > $4")
                .bind(self.id.0).bind(service).bind(node).bind(at.0).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// The list could not be read; what was known of it stays.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_failed(&self, list: i64, problem: &str) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query("UPDATE block_lists SET problem = $3 WHERE domain = $1 AND id = $2")
                .bind(self.id.0).bind(list).bind(problem).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Services and nodes of those of the domain's lists that have either of these.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_listed(
        &self,
        address: &BlockListEntry,
        domain: &BlockListEntry,
    ) -> Result<Vec<(String, String)>> {
        let found = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT l.service, l.node FROM block_lists l WHERE l.domain = $1 AND EXISTS \
                 (SELECT 1 FROM block_list_entries e WHERE e.list = l.id AND e.entry IN ($2, $3)) ORDER BY l.id",
            )
            .bind(self.id.0).bind(&address[..]).bind(&domain[..]).fetch_all(p).await
        })?;
        Ok(found)
    }
}

impl Store {
    /// Takes lists whose time to be read has come, the longest due first; at most `limit`. They are due again at `again`, for
    /// whoever sees then that nothing has come of it.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_lists_claim(
        &self,
        now: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueBlockList>> {
        self.claim_lists(None, now, again, limit).await
    }

    async fn claim_lists(
        &self,
        domain: Option<DomainId>,
        now: Timestamp,
        again: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueBlockList>> {
        // One statement, so two processes cannot both read a list. SQLite has one writer; PostgreSQL skips rows that are being taken.
        macro_rules! claim {
            ($skip:literal) => {
                concat!(
                    "UPDATE block_lists SET due = $2, began = CASE WHEN began >= $1 THEN began + 1 ELSE $1 END ",
                    "WHERE id IN (SELECT id FROM block_lists WHERE due <= $1 AND ($3 = 0 OR domain = $3) ",
                    "ORDER BY due, id LIMIT CAST($4 AS BIGINT)", $skip, ") ",
                    "RETURNING id, domain, (SELECT name FROM domains WHERE domains.id = block_lists.domain), service, node, began"
                )
            };
        }
        macro_rules! take {
            ($pool:expr, $skip:literal) => {
                sqlx::query_as(claim!($skip))
                    .bind(now.0)
                    .bind(again.0)
                    .bind(domain.map_or(0, |domain| domain.0))
                    .bind(i64::from(limit))
                    .fetch_all($pool)
                    .await?
            };
        }
        let found: Vec<(i64, i64, String, String, String, i64)> = match &self.0.db {
            crate::Db::Pg(p) => take!(p, " FOR UPDATE SKIP LOCKED"),
            crate::Db::Lite { write, .. } => take!(write, ""),
        };
        let due = |(id, domain, name, service, node, reading)| DueBlockList {
            list: FollowedRow { id, service, node },
            domain: DomainId(domain),
            name,
            reading,
        };
        Ok(found.into_iter().map(due).collect())
    }
}
