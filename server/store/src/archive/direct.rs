//! PostgreSQL's archive: each batch goes where it belongs at once, by one statement.
//!
//! What an archive took so far is remembered from batch to batch ([`Sums`]), since reading it for each message cost more than
//! writing the message. It stays exact, whoever else writes: the table `archive_sums` has one row, which says whose sums
//! are right. A batch is written only while that is this writer, which its own statement looks at and holds in place until it is
//! committed; an import or a count anew puts another number there in its own transaction ([`Counting`]), and then the
//! sums are read again.

use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::rand;
use bytes::Bytes;
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
use tokio::sync::mpsc;

use super::NewArchived;
use super::writer::{Job, Row, TIMES, gather, sorted, tell};
use crate::error::{Result, StoreError};

/// Accounts whose sums are remembered at most; with one more, all are forgotten.
const REMEMBERED: usize = 65_536;
/// How often one batch may find that its sums are another writer's before it is given up.
const TRIES: usize = 20;
/// A connection without work for so long goes back to the pool. Until then it is this writer's: each other one would have to
/// learn the statement and the tables first, and they would take turns.
const IDLE: Duration = Duration::from_secs(1);

/// What archives took so far, as long as this writer is the one who knows.
#[derive(Default)]
struct Sums {
    /// The number under which they are right; 0: they are not.
    token: i64,
    /// Domain and sum of each account that is there.
    of: HashMap<i64, (i64, i64)>,
}

impl Sums {
    fn forget(&mut self) {
        *self = Self::default();
    }

    /// Has the sums of all of the rows' accounts that are there.
    async fn learn(&mut self, c: &mut PgConnection, rows: &[Row]) -> Result<()> {
        if self.of.len() >= REMEMBERED {
            self.of.clear();
        }
        if self.token == 0 {
            let mut random = [0; 8];
            rand::fill(&mut random)
                .map_err(|_| StoreError::Other("the system has no randomness".into()))?;
            let token = i64::from_ne_bytes(random) | 1;
            // Before they are read: what another has committed until now is in them, and later it takes the number away.
            sqlx::query("UPDATE archive_sums SET remembers = $1")
                .bind(token)
                .execute(&mut *c)
                .await?;
            self.token = token;
        }
        let mut unknown: Vec<i64> = rows
            .iter()
            .map(|row| row.account)
            .filter(|account| !self.of.contains_key(account))
            .collect();
        if unknown.is_empty() {
            return Ok(());
        }
        unknown.sort_unstable();
        unknown.dedup();
        let found: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT a.id, a.domain, COALESCE( \
             (SELECT p.total FROM archive p WHERE p.account = a.id ORDER BY p.at DESC LIMIT 1), 0) \
             FROM accounts a WHERE a.id = ANY($1)",
        )
        .bind(unknown)
        .fetch_all(c)
        .await?;
        self.of.extend(
            found
                .into_iter()
                .map(|(id, domain, sum)| (id, (domain, sum))),
        );
        Ok(())
    }
}

/// Writes what comes until nobody can hand in any more.
pub(super) async fn run(pool: PgPool, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(64);
    let mut sums = Sums::default();
    let mut own: Option<PoolConnection<Postgres>> = None;
    loop {
        let taken = if own.is_some() {
            tokio::select! {
                taken = gather(&mut jobs, &mut batch) => Some(taken),
                () = tokio::time::sleep(IDLE) => None,
                () = pool.close_event() => None,
            }
        } else {
            Some(gather(&mut jobs, &mut batch).await)
        };
        match taken {
            Some(0) => return,
            None => own = None,
            Some(_) => {}
        }
        let (rows, answers, settle) = sorted(&mut batch);
        tell(settle, &Ok(()));
        if rows.is_empty() {
            continue;
        }
        let kept = match connected(&pool, &mut own).await {
            Ok(c) => keep(c, &mut sums, &rows).await,
            Err(error) => Err(error),
        };
        match (kept, &mut own) {
            (Err(error), Some(c)) if !error.is_temporary() => {
                for (result, answer) in one_by_one(c, &mut sums, rows)
                    .await
                    .into_iter()
                    .zip(answers)
                {
                    let _ = answer.send(result);
                }
            }
            (done, _) => {
                if done.is_err() {
                    own = None;
                }
                tell(answers, &done);
            }
        }
    }
}

async fn connected<'a>(
    pool: &PgPool,
    own: &'a mut Option<PoolConnection<Postgres>>,
) -> Result<&'a mut PgConnection> {
    if own.is_none() {
        *own = Some(pool.acquire().await?);
    }
    own.as_deref_mut()
        .ok_or_else(|| StoreError::Unavailable("no connection".into()))
}

async fn one_by_one(c: &mut PgConnection, sums: &mut Sums, rows: Vec<Row>) -> Vec<Result<()>> {
    let mut results = Vec::with_capacity(rows.len());
    for row in &rows {
        results.push(keep(c, sums, std::slice::from_ref(row)).await);
    }
    // Those whose time is taken come last, so that they take none that is another's.
    for (result, mut row) in results.iter_mut().zip(rows) {
        for _ in 0..TIMES {
            if !matches!(result, Err(StoreError::Conflict { .. })) {
                break;
            }
            row.new.id.at += 1;
            *result = keep(c, sums, std::slice::from_ref(&row)).await;
        }
    }
    results
}

/// Writes all of them or, where it fails, none; what is of an account that is gone, or of another domain's, is passed over.
async fn keep(c: &mut PgConnection, sums: &mut Sums, rows: &[Row]) -> Result<()> {
    for _ in 0..TRIES {
        let done = keep_once(c, sums, rows).await;
        match done {
            Ok(true) => return Ok(()),
            // An account that is gone is not among those that are learnt again.
            Ok(false) | Err(StoreError::Gone) => sums.forget(),
            // Nothing has changed: the statement was undone.
            Err(StoreError::Conflict { .. }) => return done.map(drop),
            Err(_) => {
                sums.forget();
                return done.map(drop);
            }
        }
    }
    Err(StoreError::Busy)
}

/// `false`: the sums are another's by now, and nothing was written.
async fn keep_once(c: &mut PgConnection, sums: &mut Sums, rows: &[Row]) -> Result<bool> {
    sums.learn(c, rows).await?;
    let (mut there, mut totals) = (
        Vec::with_capacity(rows.len()),
        Vec::with_capacity(rows.len()),
    );
    let mut new = HashMap::with_capacity(rows.len());
    for row in rows {
        match sums.of.get(&row.account) {
            Some((domain, sum)) if *domain == row.domain => {
                let sum = new.entry(row.account).or_insert(*sum);
                *sum += row.size;
                totals.push(*sum);
                there.push(row);
            }
            _ => {}
        }
    }
    if there.is_empty() {
        return Ok(true);
    }
    let kept = insert(c, sums.token, &there, totals).await?;
    if kept == 0 {
        return Ok(false);
    }
    for (account, sum) in new {
        if let Some((_, known)) = sums.of.get_mut(&account) {
            *known = sum;
        }
    }
    Ok(true)
}

/// How many rows were written: all of them, or none, where the sums are not right any more.
async fn insert(c: &mut PgConnection, token: i64, rows: &[&Row], totals: Vec<i64>) -> Result<u64> {
    let column = |of: fn(&Row) -> i64| rows.iter().map(|r| of(r)).collect::<Vec<i64>>();
    let words =
        |of: fn(&NewArchived) -> &str| rows.iter().map(|r| of(&r.new)).collect::<Vec<&str>>();
    let sent: Vec<bool> = rows.iter().map(|r| r.new.sent).collect();
    let stanzas: Vec<&[u8]> = rows.iter().map(|r| Bytes::as_ref(&r.new.stanza)).collect();
    // Arrays beside each other in a list of columns are unfolded row by row; `FROM UNNEST(...)` would put each into a store of
    // its own first.
    let done = sqlx::query(
        "INSERT INTO archive (account, at, salt, peer, resource, sent, message, total, stanza) \
         SELECT v.account, v.at, v.salt, v.peer, v.resource, v.sent, v.message, v.total, v.stanza \
         FROM (SELECT UNNEST($1::BIGINT[]) AS account, UNNEST($2::BIGINT[]) AS at, UNNEST($3::BIGINT[]) AS salt, \
         UNNEST($4::TEXT[]) AS peer, UNNEST($5::TEXT[]) AS resource, UNNEST($6::BOOLEAN[]) AS sent, \
         UNNEST($7::BIGINT[]) AS message, UNNEST($8::BIGINT[]) AS total, UNNEST($9::BYTEA[]) AS stanza) AS v \
         WHERE (SELECT remembers FROM archive_sums FOR SHARE) = $10",
    )
    .bind(column(|r| r.account))
    .bind(column(|r| r.new.id.at))
    .bind(column(|r| r.new.id.salt))
    .bind(words(|n| &n.peer))
    .bind(words(|n| &n.resource))
    .bind(sent)
    .bind(column(|r| r.new.message))
    .bind(totals)
    .bind(stanzas)
    .bind(token)
    .execute(c)
    .await?;
    Ok(done.rows_affected())
}

/// Says that what archives take is to be read again: inside a transaction that changes it, as its last statement, since the writer
/// waits from there to the commit.
pub(crate) trait Counting {
    /// See the trait.
    async fn counted_anew(&mut self) -> std::result::Result<(), sqlx::Error>;
}

impl Counting for PgConnection {
    async fn counted_anew(&mut self) -> std::result::Result<(), sqlx::Error> {
        sqlx::query("UPDATE archive_sums SET remembers = 0")
            .execute(self)
            .await
            .map(drop)
    }
}

impl Counting for sqlx::SqliteConnection {
    async fn counted_anew(&mut self) -> std::result::Result<(), sqlx::Error> {
        Ok(())
    }
}
