//! Shared commits for SQLite: writes that arrive together become durable together.
//!
//! A commit with `synchronous=FULL` waits for the disk, and SQLite has one writer. One task therefore takes whatever waits,
//! runs it in one transaction (each write in a savepoint of its own, so that one that fails leaves the others alone; SQLite does
//! that by itself for a single statement, and each savepoint is two journeys to its thread), and
//! answers all of them after the one commit. A lone write pays what it would have paid anyway. Nothing is ever answered
//! before its commit, and a write that has been handed over is carried out even if nobody waits for the answer any more.
//!
//! PostgreSQL needs none of this: its connections commit side by side and share the flush.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sqlx::{Connection as _, SqliteConnection, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use crate::error::{Result, StoreError};

/// Writes in one transaction at most: bounds how long the first of them waits.
const TOGETHER: usize = 128;

/// Writes that may wait in line; more of them wait for a place.
const WAITING: usize = 1024;

type Value = Box<dyn Any + Send>;
type Run = Box<dyn for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<Value>> + Send>;

struct Job {
    run: Run,
    /// It is one statement, which is a transaction by itself.
    statement: bool,
    answer: oneshot::Sender<Result<Value>>,
}

/// Hands writes to the task.
#[derive(Debug, Clone)]
pub(crate) struct Group(mpsc::Sender<Job>);

impl Group {
    /// Starts the task; it ends when the last handle is dropped.
    pub(crate) fn start(pool: SqlitePool) -> Self {
        let (sender, jobs) = mpsc::channel(WAITING);
        tokio::spawn(work(pool, jobs));
        Self(sender)
    }

    /// Runs one write; durable when it returns `Ok`.
    ///
    /// # Errors
    /// The write's own, or that of the commit; nothing of it has happened then.
    pub(crate) async fn run<T, F>(&self, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        self.hand_in(write, false).await
    }

    /// The same for a write that is one statement: where nothing else waits, it is its own transaction, begun and committed in
    /// one journey to SQLite's thread instead of three, and among others it needs no savepoint. It has to read what the statement
    /// gives to its end, since the commit comes behind the last row.
    ///
    /// # Errors
    /// As [`Group::run`].
    pub(crate) async fn run_statement<T, F>(&self, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        self.hand_in(write, true).await
    }

    async fn hand_in<T, F>(&self, write: F, statement: bool) -> Result<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> BoxFuture<'c, Result<T>> + Send + 'static,
    {
        let run: Run = Box::new(move |connection| {
            let write = write(connection);
            Box::pin(async move { write.await.map(|value| Box::new(value) as Value) })
        });
        let (answer, answered) = oneshot::channel();
        let gone = || StoreError::Unavailable("it has been closed".into());
        let job = Job {
            run,
            statement,
            answer,
        };
        self.0.send(job).await.map_err(|_| gone())?;
        let value = answered.await.map_err(|_| gone())??;
        // Always of this type: the closure above made it.
        value.downcast().map(|value| *value).map_err(|_| gone())
    }
}

#[cfg(test)]
impl Group {
    /// Writes in line that have not been begun.
    pub(crate) fn waiting(&self) -> usize {
        WAITING - self.0.capacity()
    }
}

async fn work(pool: SqlitePool, mut jobs: mpsc::Receiver<Job>) {
    let mut waiting = VecDeque::with_capacity(TOGETHER);
    while let Some(job) = jobs.recv().await {
        waiting.push_back(job);
        let mut done = Vec::new();
        let failed = commit(&pool, &mut waiting, &mut jobs, &mut done)
            .await
            .err();
        for (answer, result) in done {
            // Nobody may be waiting any more; what was committed stays.
            let _ = answer.send(match &failed {
                None => result,
                Some(error) => Err(error.clone()),
            });
        }
        // What was not even begun shares the fate of the batch: waiting for the lock one after the other would add up.
        for job in waiting.drain(..) {
            let error = failed.clone().unwrap_or(StoreError::Busy);
            let _ = job.answer.send(Err(error));
        }
    }
}

/// What has arrived meanwhile, as far as it goes into the transaction.
fn take_in(waiting: &mut VecDeque<Job>, jobs: &mut mpsc::Receiver<Job>, done: usize) {
    while waiting.len() + done < TOGETHER {
        match jobs.try_recv() {
            Ok(job) => waiting.push_back(job),
            Err(_) => break,
        }
    }
}

/// Runs what waits, and what arrives meanwhile, in one transaction. With an error nothing of it was committed.
async fn commit(
    pool: &SqlitePool,
    waiting: &mut VecDeque<Job>,
    jobs: &mut mpsc::Receiver<Job>,
    done: &mut Vec<(oneshot::Sender<Result<Value>>, Result<Value>)>,
) -> Result<()> {
    let mut connection = pool.acquire().await?;
    take_in(waiting, jobs, done.len());
    if waiting.len() == 1
        && let Some(job) = waiting.pop_front_if(|job| job.statement)
    {
        let result = carefully(job.run, &mut connection).await;
        done.push((job.answer, result));
        return Ok(());
    }
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    loop {
        take_in(waiting, jobs, done.len());
        let Some(job) = waiting.pop_front() else {
            break;
        };
        let Job {
            run,
            statement,
            answer,
        } = job;
        // A lone write needs no savepoint: if it fails, there is nothing else to keep.
        let alone = done.is_empty() && waiting.is_empty();
        let result = if alone || statement {
            carefully(run, &mut tx).await
        } else {
            let mut savepoint = tx.begin().await?;
            let result = carefully(run, &mut savepoint).await;
            match result {
                Ok(_) => savepoint.commit().await?,
                Err(_) => savepoint.rollback().await?,
            }
            result
        };
        let error = result.as_ref().err().cloned();
        done.push((answer, result));
        match error {
            None => {}
            // After these SQLite may have rolled back everything by itself.
            Some(error) if error.is_temporary() => return Err(error),
            // It was not SQLite that refused it: what it has done may still be there.
            Some(error) if statement && !alone && !was_refused(&error) => return Err(error),
            Some(_) if alone => {
                tx.rollback().await?;
                return Ok(());
            }
            Some(_) => {}
        }
    }
    tx.commit().await?;
    Ok(())
}

const PANICKED: &str = "a write panicked; see the log";

/// A write that panics is our fault, and must not end all writing.
async fn carefully(run: Run, connection: &mut SqliteConnection) -> Result<Value> {
    match AssertUnwindSafe(run(connection)).catch_unwind().await {
        Ok(result) => result,
        Err(_) => Err(StoreError::Other(PANICKED.into())),
    }
}

/// Whether a statement failed in SQLite, which undoes whatever it has done, and not in us behind it.
fn was_refused(error: &StoreError) -> bool {
    match error {
        StoreError::Other(text) => text != PANICKED,
        StoreError::Corrupt { .. } => false,
        _ => true,
    }
}
