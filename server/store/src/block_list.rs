//! Lists of strangers to be kept away, which a domain follows, as they were last known.
//!
//! An entry is a digest, so that nothing of a list can be read here that could not be read there. What is known of a list stays
//! until it has been read anew to the end. Refuses: more than [`BLOCK_LIST_ENTRIES`] of a list.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{DomainStore, rd, wr};

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

    /// Entries that the list has at `seen`. `false`: there was no room for all of them.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_add(
        &self,
        list: i64,
        entries: &[BlockListEntry],
        seen: Timestamp,
    ) -> Result<bool> {
        let most = i64::try_from(BLOCK_LIST_ENTRIES).unwrap_or(i64::MAX);
        let mut all = true;
        for some in entries.chunks(AT_ONCE) {
            all &= wr!(self.store, p => {
                let mut tx = p.begin().await?;
                let (mut known,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM block_list_entries WHERE list = $1")
                    .bind(list).fetch_one(&mut *tx).await?;
                let mut room = true;
                for entry in some {
                    let again = sqlx::query("UPDATE block_list_entries SET seen = $3 WHERE list = $1 AND entry = $2")
                        .bind(list).bind(&entry[..]).bind(seen.0).execute(&mut *tx).await?.rows_affected();
                    if again > 0 {
                        continue;
                    }
                    if known >= most {
                        room = false;
                        continue;
                    }
                    // The list may have been left meanwhile, and another process may have been told as well.
                    known += sqlx::query(
                        "INSERT INTO block_list_entries (list, entry, seen) SELECT id, $3, $4 FROM block_lists \
                         WHERE domain = $1 AND id = $2 ON CONFLICT (list, entry) DO NOTHING",
                    )
                    .bind(self.id.0).bind(list).bind(&entry[..]).bind(seen.0).execute(&mut *tx).await?.rows_affected() as i64;
                }
                tx.commit().await?;
                room
            });
        }
        Ok(all)
    }

    /// An entry has gone from the list.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_remove(&self, list: i64, entry: &BlockListEntry) -> Result<()> {
        wr!(self.store, p => {
            sqlx::query(
                "DELETE FROM block_list_entries WHERE entry = $3 AND list = $2 \
                 AND list IN (SELECT id FROM block_lists WHERE domain = $1)",
            )
            .bind(self.id.0).bind(list).bind(&entry[..]).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// The list has been read to the end, from `began` on: what was not seen since has gone from it. `problem` says what is
    /// wrong all the same; empty: nothing.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn block_list_read(
        &self,
        list: i64,
        began: Timestamp,
        now: Timestamp,
        problem: &str,
    ) -> Result<()> {
        wr!(self.store, p => {
            let mut tx = p.begin().await?;
            let ours = sqlx::query("UPDATE block_lists SET read = $3, problem = $4 WHERE domain = $1 AND id = $2")
                .bind(self.id.0).bind(list).bind(now.0).bind(problem).execute(&mut *tx).await?.rows_affected();
            if ours > 0 {
                sqlx::query("DELETE FROM block_list_entries WHERE list = $1 AND seen < $2")
                    .bind(list).bind(began.0).execute(&mut *tx).await?;
            }
            tx.commit().await?;
        });
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
