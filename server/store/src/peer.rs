//! The last attempts between a hosted domain and a peer, for its owner's federation page.

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{DomainStore, grouped, rd};

/// What is remembered of a pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerRow {
    /// The remote domain (U-labels).
    pub peer: String,
    /// JSON, bounded by the writer.
    pub attempts: String,
    /// When last changed.
    pub updated: Timestamp,
}

type Tuple = (String, String, i64);

fn row((peer, attempts, updated): Tuple) -> PeerRow {
    PeerRow {
        peer,
        attempts,
        updated: Timestamp(updated),
    }
}

/// Of a domain's pairs those whose names have a part in them ($2 or $3).
macro_rules! found {
    ($what:literal, $find:literal, $rest:literal) => {
        concat!(
            $what,
            " FROM peers WHERE domain = $1 AND (",
            $find,
            "(peer, $2) > 0 OR ",
            $find,
            "(peer, $3) > 0) ",
            $rest
        )
    };
}

/// Pairs remembered for a domain; the least recent are forgotten first, so a flood of names cannot fill the disk.
const PEERS_PER_DOMAIN: i64 = 2000;

impl DomainStore {
    /// Remembers a pair's attempts.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn peer_set(&self, peer: &str, attempts: &str, now: Timestamp) -> Result<()> {
        let (domain, peer, attempts) = (self.id.0, peer.to_owned(), attempts.to_owned());
        grouped!(self.store, c => {
            // Most are known, and make none too many.
            let known = sqlx::query("UPDATE peers SET attempts = $3, updated = $4 WHERE domain = $1 AND peer = $2")
                .bind(domain).bind(&peer).bind(&attempts).bind(now.0).execute(&mut *c).await?;
            if known.rows_affected() > 0 {
                return Ok(());
            }
            sqlx::query(
                "INSERT INTO peers (domain, peer, attempts, updated) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (domain, peer) DO UPDATE SET attempts = excluded.attempts, updated = excluded.updated",
            )
            .bind(domain).bind(peer).bind(attempts).bind(now.0).execute(&mut *c).await?;
            sqlx::query(
                "DELETE FROM peers WHERE domain = $1 AND peer IN \
                 (SELECT peer FROM peers WHERE domain = $1 ORDER BY updated DESC LIMIT 1000 OFFSET $2)",
            )
            .bind(domain).bind(PEERS_PER_DOMAIN).execute(&mut *c).await?;
            Ok(())
        })
    }

    /// One pair.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn peer_get(&self, peer: &str) -> Result<Option<PeerRow>> {
        let found: Option<Tuple> = rd!(self.store, p => {
            sqlx::query_as("SELECT peer, attempts, updated FROM peers WHERE domain = $1 AND peer = $2")
                .bind(self.id.0).bind(peer).fetch_optional(p).await
        })?;
        Ok(found.map(row))
    }

    /// Pairs, most recent first.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn peer_list(&self, limit: u32) -> Result<Vec<PeerRow>> {
        let found: Vec<Tuple> = rd!(self.store, p => {
            sqlx::query_as("SELECT peer, attempts, updated FROM peers WHERE domain = $1 ORDER BY updated DESC, peer LIMIT $2")
                .bind(self.id.0).bind(i64::from(limit)).fetch_all(p).await
        })?;
        Ok(found.into_iter().map(row).collect())
    }

    /// A page of the pairs whose peer has `part` or `or` in its name (the empty text is in every name), most recent first, and
    /// how many of these there are.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn peer_page(
        &self,
        (part, or): (&str, &str),
        from: usize,
        limit: usize,
    ) -> Result<(Vec<PeerRow>, u64)> {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        // The two differ in name only; LIKE would need its wildcards escaped.
        macro_rules! ask {
            ($pool:expr, $find:literal) => {{
                let found: Vec<Tuple> = sqlx::query_as(found!(
                    "SELECT peer, attempts, updated",
                    $find,
                    "ORDER BY updated DESC, peer LIMIT $4 OFFSET $5"
                ))
                .bind(self.id.0)
                .bind(part)
                .bind(or)
                .bind(number(limit))
                .bind(number(from))
                .fetch_all($pool)
                .await?;
                let (total,): (i64,) = sqlx::query_as(found!("SELECT COUNT(*)", $find, ""))
                    .bind(self.id.0)
                    .bind(part)
                    .bind(or)
                    .fetch_one($pool)
                    .await?;
                (found, total)
            }};
        }
        let (found, total) = match &self.store.0.db {
            crate::Db::Pg(p) => ask!(p, "STRPOS"),
            crate::Db::Lite { read, .. } => ask!(read, "INSTR"),
        };
        Ok((found.into_iter().map(row).collect(), total.unsigned_abs()))
    }
}
