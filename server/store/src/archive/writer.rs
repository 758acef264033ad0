//! The archive's one writer: messages that come at the same time become durable in one commit.
//!
//! A chat makes two of them, and a commit for each would cost more than everything else a message does. So one task takes
//! whatever waits, writes it with as few statements as possible, commits once and answers all. Nothing waits for a timer: a
//! lone message is written at once, and while a commit is under way the next batch gathers. On SQLite the batch is one write
//! of [`crate::group`], which owns the only connection that writes. A batch that is refused is tried message by message, so
//! that one that cannot be stored takes no other with it.

use bytes::Bytes;
use sqlx::{PgPool, QueryBuilder, Sqlite, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::NewArchived;
use crate::error::{Result, StoreError};
use crate::group::Group;
use crate::{AccountId, DomainId};

/// Messages in one commit at most: bounds how long the first of them waits.
const TOGETHER: usize = 512;
/// Messages that may wait in line; more of them wait for a place.
const WAITING: usize = 4_096;
/// Rows of one statement on SQLite. Few sizes, so that each statement is prepared once.
const SIZES: [usize; 4] = [64, 16, 4, 1];

/// One message of one account.
#[derive(Debug, Clone)]
struct Row {
    domain: i64,
    account: i64,
    new: NewArchived,
    /// Bytes of this message and those before it of the same account in the same statement.
    size: i64,
}

struct Job {
    row: Row,
    answer: oneshot::Sender<Result<bool>>,
}

/// Where the batches go.
#[derive(Clone)]
pub(crate) enum Sink {
    Pg(PgPool),
    Lite(Group),
}

/// Hands messages to the task.
#[derive(Debug, Clone)]
pub(crate) struct Writer(mpsc::Sender<Job>);

impl Writer {
    /// Starts the task; it ends when the last handle is dropped.
    pub(crate) fn start(sink: Sink) -> Self {
        let (sender, jobs) = mpsc::channel(WAITING);
        tokio::spawn(work(sink, jobs));
        Self(sender)
    }

    /// Durable when it returns `true`; `false`: the account is gone.
    pub(crate) async fn add(
        &self,
        domain: DomainId,
        account: AccountId,
        new: NewArchived,
    ) -> Result<bool> {
        let (answer, answered) = oneshot::channel();
        let gone = || StoreError::Unavailable("it has been closed".into());
        let row = Row {
            domain: domain.0,
            account: account.0,
            size: i64::try_from(new.stanza.len()).unwrap_or(i64::MAX),
            new,
        };
        self.0.send(Job { row, answer }).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

async fn work(sink: Sink, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(64);
    while jobs.recv_many(&mut batch, TOGETHER).await > 0 {
        // Each message's total counts what is before it.
        batch.sort_by_key(|job: &Job| job.row.new.id.at);
        let (rows, answers): (Vec<Row>, Vec<_>) =
            batch.drain(..).map(|job| (job.row, job.answer)).unzip();
        let alone = rows.len() == 1;
        let written = match write(&sink, rows.clone()).await {
            Err(error) if !alone && !error.is_temporary() => one_by_one(&sink, rows).await,
            Err(error) => answers.iter().map(|_| Err(error.clone())).collect(),
            Ok(there) => there.into_iter().map(Ok).collect(),
        };
        for (answer, result) in answers.into_iter().zip(written) {
            // Nobody may be waiting any more; what was committed stays.
            let _ = answer.send(result);
        }
    }
}

async fn one_by_one(sink: &Sink, rows: Vec<Row>) -> Vec<Result<bool>> {
    let mut written = Vec::with_capacity(rows.len());
    for row in rows {
        let there = write(sink, vec![row]).await;
        written.push(there.map(|there| there == [true]));
    }
    written
}

/// Writes and commits; says of each row whether its account was there.
async fn write(sink: &Sink, rows: Vec<Row>) -> Result<Vec<bool>> {
    match sink {
        Sink::Pg(pool) => postgres(pool, rows).await,
        Sink::Lite(group) => {
            group
                .run(move |c: &mut SqliteConnection| Box::pin(sqlite(c, rows)))
                .await
        }
    }
}

/// Running sizes within one statement, which sees of an account only what was there before.
fn add_up(rows: &mut [Row]) {
    let mut sums: Vec<(i64, i64)> = Vec::with_capacity(rows.len());
    for row in rows {
        match sums.iter_mut().find(|(account, _)| *account == row.account) {
            Some((_, sum)) => {
                *sum += row.size;
                row.size = *sum;
            }
            None => sums.push((row.account, row.size)),
        }
    }
}

async fn sqlite(c: &mut SqliteConnection, mut rows: Vec<Row>) -> Result<Vec<bool>> {
    let mut there = Vec::with_capacity(rows.len());
    let mut rest = &mut rows[..];
    while !rest.is_empty() {
        let size = SIZES.into_iter().find(|size| *size <= rest.len());
        let (now, later) = rest.split_at_mut(size.unwrap_or(1));
        rest = later;
        add_up(now);
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO archive (account, at, salt, peer, resource, sent, message, total, stanza) \
             SELECT a.id, v.column3, v.column4, v.column5, v.column6, v.column7, v.column8, v.column9 + COALESCE( \
             (SELECT p.total FROM archive p WHERE p.account = a.id ORDER BY p.at DESC LIMIT 1), 0), v.column10 FROM (",
        );
        insert.push_values(now.iter(), |mut row, given| {
            let new = &given.new;
            row.push_bind(given.domain)
                .push_bind(given.account)
                .push_bind(new.id.at)
                .push_bind(new.id.salt)
                .push_bind(new.peer.as_str())
                .push_bind(new.resource.as_str())
                .push_bind(new.sent)
                .push_bind(new.message)
                .push_bind(given.size)
                .push_bind(&new.stanza[..]);
        });
        insert.push(") AS v CROSS JOIN accounts a WHERE a.id = v.column2 AND a.domain = v.column1");
        let done = insert.build().execute(&mut *c).await?.rows_affected();
        if done == now.len() as u64 {
            there.extend(now.iter().map(|_| true));
            continue;
        }
        for row in now.iter() {
            let found: Option<(i64,)> = sqlx::query_as(
                "SELECT 1 FROM archive WHERE account = $1 AND at = $2 AND salt = $3",
            )
            .bind(row.account)
            .bind(row.new.id.at)
            .bind(row.new.id.salt)
            .fetch_optional(&mut *c)
            .await?;
            there.push(found.is_some());
        }
    }
    Ok(there)
}

async fn postgres(pool: &PgPool, mut rows: Vec<Row>) -> Result<Vec<bool>> {
    add_up(&mut rows);
    let column = |of: fn(&Row) -> i64| rows.iter().map(of).collect::<Vec<i64>>();
    let words =
        |of: fn(&NewArchived) -> &str| rows.iter().map(|r| of(&r.new)).collect::<Vec<&str>>();
    let sent: Vec<bool> = rows.iter().map(|r| r.new.sent).collect();
    let stanzas: Vec<&[u8]> = rows.iter().map(|r| Bytes::as_ref(&r.new.stanza)).collect();
    let kept: Vec<(i64, i64)> = sqlx::query_as(
        "INSERT INTO archive (account, at, salt, peer, resource, sent, message, total, stanza) \
         SELECT a.id, v.at, v.salt, v.peer, v.resource, v.sent, v.message, v.size + COALESCE( \
         (SELECT p.total FROM archive p WHERE p.account = a.id ORDER BY p.at DESC LIMIT 1), 0), v.stanza \
         FROM UNNEST($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[], $6::TEXT[], $7::BOOLEAN[], \
         $8::BIGINT[], $9::BIGINT[], $10::BYTEA[]) \
         AS v (domain, account, at, salt, peer, resource, sent, message, size, stanza) \
         JOIN accounts a ON a.id = v.account AND a.domain = v.domain RETURNING account, at",
    )
    .bind(column(|r| r.domain))
    .bind(column(|r| r.account))
    .bind(column(|r| r.new.id.at))
    .bind(column(|r| r.new.id.salt))
    .bind(words(|n| &n.peer))
    .bind(words(|n| &n.resource))
    .bind(sent)
    .bind(column(|r| r.new.message))
    .bind(column(|r| r.size))
    .bind(stanzas)
    .fetch_all(pool)
    .await?;
    let all = kept.len() == rows.len();
    let named = |row: &Row| all || kept.contains(&(row.account, row.new.id.at));
    Ok(rows.iter().map(named).collect())
}
