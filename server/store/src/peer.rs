//! The last attempts between a hosted domain and a peer, for its owner's federation page.

use std::collections::HashMap;

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{DomainStore, Store, grouped, rd, statement};

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

/// A peer of one hosted domain, as [`DomainStore::peer_key`] names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey {
    domain: i64,
    peer: String,
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

/// Pairs in one statement.
const TOGETHER: usize = 100;

/// `($2, $3, $1), ($4, $5, $1)` for two rows of two columns from parameter 2 on, and `rest`.
fn places(rows: usize, (first, columns): (usize, usize), rest: &str) -> String {
    let row = |at: usize| {
        let columns = (0..columns).map(|column| format!("${}", first + at * columns + column));
        format!("({}{rest})", columns.collect::<Vec<_>>().join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

impl Store {
    /// Remembers attempts of pairs, of any domains: `change` makes of what is remembered of each (`None`: nothing yet) what is to
    /// be. One question and one statement for many: each by itself is a journey to the database and a commit. Whoever else writes
    /// the same pair meanwhile loses what they wrote.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; [`crate::StoreError::Gone`] where one of the domains has left. Nothing new is remembered then, but
    /// where there are more than a hundred, of the first of them.
    pub async fn peers_update(
        &self,
        mut pairs: Vec<PeerKey>,
        now: Timestamp,
        change: impl Fn(&PeerKey, Option<&str>) -> String,
    ) -> Result<()> {
        // In one order, so that two who write at once do not wait for each other.
        pairs.sort_unstable();
        pairs.dedup();
        for pairs in pairs.chunks(TOGETHER) {
            let known = self.peers_known(pairs).await?;
            let rows: Vec<_> = pairs
                .iter()
                .map(|pair| {
                    (
                        pair.clone(),
                        change(pair, known.get(pair).map(String::as_str)),
                    )
                })
                .collect();
            let mut grown: Vec<_> = pairs
                .iter()
                .filter(|pair| !known.contains_key(*pair))
                .map(|pair| pair.domain)
                .collect();
            grown.dedup();
            self.peers_write(rows, grown, now).await?;
        }
        Ok(())
    }

    async fn peers_known(&self, pairs: &[PeerKey]) -> Result<HashMap<PeerKey, String>> {
        // Both engines name the columns of VALUES so.
        let text = format!(
            "SELECT p.domain, p.peer, p.attempts FROM (VALUES {}) AS n \
             JOIN peers p ON p.domain = n.column1 AND p.peer = n.column2",
            places(pairs.len(), (1, 2), "")
        );
        let found: Vec<(i64, String, String)> = rd!(self, p => {
            let mut query = sqlx::query_as(sqlx::AssertSqlSafe(text)).persistent(false);
            for pair in pairs {
                query = query.bind(pair.domain).bind(&pair.peer);
            }
            query.fetch_all(p).await
        })?;
        let known = |(domain, peer, attempts)| (PeerKey { domain, peer }, attempts);
        Ok(found.into_iter().map(known).collect())
    }

    /// `grown`: domains among them that have come to know more peers.
    async fn peers_write(
        &self,
        rows: Vec<(PeerKey, String)>,
        grown: Vec<i64>,
        now: Timestamp,
    ) -> Result<()> {
        let text = format!(
            "INSERT INTO peers (domain, peer, attempts, updated) VALUES {} \
             ON CONFLICT (domain, peer) DO UPDATE SET attempts = excluded.attempts, updated = excluded.updated",
            places(rows.len(), (2, 3), ", $1")
        );
        macro_rules! write {
            ($c:expr) => {{
                let mut query = sqlx::query(sqlx::AssertSqlSafe(text))
                    .persistent(false)
                    .bind(now.0);
                for (pair, attempts) in rows {
                    query = query.bind(pair.domain).bind(pair.peer).bind(attempts);
                }
                query.execute($c).await?;
            }};
        }
        if grown.is_empty() {
            return statement!(self, c => {
                write!(c);
                Ok(())
            });
        }
        grouped!(self, c => {
            write!(&mut *c);
            for domain in grown {
                sqlx::query(
                    "DELETE FROM peers WHERE domain = $1 AND peer IN \
                     (SELECT peer FROM peers WHERE domain = $1 ORDER BY updated DESC LIMIT 1000 OFFSET $2)",
                )
                .bind(domain).bind(PEERS_PER_DOMAIN).execute(&mut *c).await?;
            }
            Ok(())
        })
    }
}

impl DomainStore {
    /// A peer of this domain, for [`Store::peers_update`].
    pub fn peer_key(&self, peer: &str) -> PeerKey {
        PeerKey {
            domain: self.id.0,
            peer: peer.to_owned(),
        }
    }

    /// Remembers one pair's attempts in place of what was remembered.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn peer_set(&self, peer: &str, attempts: &str, now: Timestamp) -> Result<()> {
        let pair = vec![self.peer_key(peer)];
        self.store
            .peers_update(pair, now, |_, _| attempts.to_owned())
            .await
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
