//! The archive's one writer: messages that come at the same time become durable in one commit.
//!
//! A chat makes two of them, and a commit for each would cost more than everything else a message does. So one task takes
//! whatever waits, writes it with one statement, commits once and answers all. Nothing waits for a timer: a lone message is
//! written at once, one of many when those who are ready to run have had their turn, and while a commit is under way the next
//! batch gathers. On SQLite the batch goes into the log ([`log`](super::log)), by one write of [`crate::group`], which owns the
//! only connection that writes; PostgreSQL puts each row where it belongs ([`direct`](super::direct)). A batch that is refused
//! there is tried message by message, so that one that cannot be stored takes no other with it.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{PgPool, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::direct;
use super::log::{self, Recent, Waiting};
use super::{ArchiveId, NewArchived};
use crate::error::{Result, StoreError};
use crate::group::Group;
use crate::{AccountId, DomainId};

/// Messages in one commit at most: bounds how long the first of them waits.
const TOGETHER: usize = 512;
/// Messages that may wait in line; more of them wait for a place.
const WAITING: usize = 4_096;
/// Messages that may be in the log: what is put away together takes the writing connection for so long, and whoever looks for the
/// newest waits for it. The more there are, the more of them share a page.
const LOGGED: usize = 8_192;
/// Bytes of them.
const LOGGED_BYTES: usize = 4 << 20;
/// How long the log may have something in it that nobody asks for.
const SOON: Duration = Duration::from_secs(10);
/// Times after its own that are tried for a message whose time is taken.
pub(super) const TIMES: usize = 1_000;

/// One message of one account.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) domain: i64,
    pub(super) account: i64,
    pub(super) new: NewArchived,
    /// Bytes of the stanza.
    pub(super) size: i64,
}

impl Row {
    pub(super) fn of(domain: i64, account: i64, new: NewArchived) -> Self {
        Self {
            domain,
            account,
            size: i64::try_from(new.stanza.len()).unwrap_or(i64::MAX),
            new,
        }
    }
}

pub(super) type Answer = oneshot::Sender<Result<()>>;

pub(super) enum Job {
    Keep(Row, Answer),
    /// Puts away what is in the log.
    Settle(Answer),
}

/// Where the batches go.
#[derive(Clone)]
pub(crate) enum Sink {
    Pg(PgPool),
    Lite(Group),
}

/// Hands messages to the task.
#[derive(Debug, Clone)]
pub(crate) struct Writer {
    jobs: mpsc::Sender<Job>,
    /// Where there is a log: what is in it.
    log: Option<Arc<Waiting>>,
}

fn gone() -> StoreError {
    StoreError::Unavailable("it has been closed".into())
}

impl Writer {
    /// Starts the task; it ends when the last handle is dropped.
    pub(crate) fn start(sink: Sink) -> Self {
        let (sender, jobs) = mpsc::channel(WAITING);
        let log = match sink {
            Sink::Pg(pool) => {
                tokio::spawn(direct::run(pool, jobs));
                None
            }
            Sink::Lite(group) => {
                let waiting = Arc::<Waiting>::default();
                tokio::spawn(logged(group, waiting.clone(), jobs));
                Some(waiting)
            }
        };
        Self { jobs: sender, log }
    }

    /// Durable when it returns; of an account that is gone nothing is kept.
    pub(crate) async fn add(
        &self,
        domain: DomainId,
        account: AccountId,
        new: NewArchived,
    ) -> Result<()> {
        let (answer, answered) = oneshot::channel();
        let job = Job::Keep(Row::of(domain.0, account.0, new), answer);
        self.jobs.send(job).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    /// Whether this message is in the log, and not in the table yet.
    pub(crate) fn waits(&self, account: AccountId, id: ArchiveId) -> bool {
        let log = self.log.as_ref();
        log.is_some_and(|log| log.has(account, id))
    }

    /// Returns when the table has everything of the account that was kept before, or of everybody.
    pub(crate) async fn settle(&self, account: Option<AccountId>) -> Result<()> {
        let waits = self.log.as_ref().is_some_and(|log| log.any(account));
        if !waits {
            return Ok(());
        }
        let (answer, answered) = oneshot::channel();
        let job = Job::Settle(answer);
        self.jobs.send(job).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// Turns that others are given at most while a batch gathers.
const TURNS: usize = 16;

/// Waits for the first job and takes it with all that come as long as each turn of everybody who is ready to run brings more:
/// whoever hands in a message wakes this task at once, and the others who are about to would each get a commit of their
/// own. 0: nobody can hand in any more. What it has taken when it is dropped is in the batch.
pub(super) async fn gather(jobs: &mut mpsc::Receiver<Job>, batch: &mut Vec<Job>) -> usize {
    let taken = jobs.recv_many(batch, TOGETHER).await;
    if taken == 0 {
        return 0;
    }
    for _ in 0..TURNS {
        let before = batch.len();
        tokio::task::yield_now().await;
        while batch.len() < TOGETHER
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        if batch.len() == before || batch.len() == TOGETHER {
            break;
        }
    }
    taken
}

/// What is to be kept, who waits for it, and who waits for an empty log.
pub(super) fn sorted(batch: &mut Vec<Job>) -> (Vec<Row>, Vec<Answer>, Vec<Answer>) {
    let (mut keep, mut settle) = (Vec::with_capacity(batch.len()), Vec::new());
    for job in batch.drain(..) {
        match job {
            Job::Keep(row, answer) => keep.push((row, answer)),
            Job::Settle(answer) => settle.push(answer),
        }
    }
    // Each message's total counts what is before it, and the two sides of one message are neighbours.
    keep.sort_by_key(|(row, _)| row.new.id.at);
    let (rows, answers) = keep.into_iter().unzip();
    (rows, answers, settle)
}

pub(super) fn tell(answers: Vec<Answer>, result: &Result<()>) {
    for answer in answers {
        // Nobody may be waiting any more; what was committed stays.
        let _ = answer.send(result.clone());
    }
}

/// SQLite: into the log at once, into the table when somebody looks, when it is much, or after a while.
async fn logged(group: Group, waiting: Arc<Waiting>, mut jobs: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(64);
    let (mut count, mut bytes) = (0, 0);
    let mut recent = Recent::new();
    // The process before this one may have left something.
    let mut some = true;
    let mut due = std::pin::pin!(sleep_until(Instant::now() + SOON));
    loop {
        let late = tokio::select! {
            taken = gather(&mut jobs, &mut batch) => match taken {
                0 => return,
                _ => false,
            },
            () = &mut due, if some => true,
        };
        let (rows, answers, settle) = sorted(&mut batch);
        if !rows.is_empty() {
            let ids: Vec<_> = rows.iter().map(|row| (row.account, row.new.id)).collect();
            let packed = log::pack(&rows);
            let size = packed.len();
            let kept = group
                .run_statement(move |c: &mut SqliteConnection| Box::pin(log::append(c, packed)))
                .await;
            if let Ok(id) = &kept {
                (count, bytes) = (count + ids.len(), bytes + size);
                recent.insert(*id, rows);
                waiting.note(ids);
                if !some {
                    some = true;
                    due.as_mut().reset(Instant::now() + SOON);
                }
            }
            tell(answers, &kept.map(drop));
        }
        if late || !settle.is_empty() || count >= LOGGED || bytes >= LOGGED_BYTES {
            let settled = put_away(&group, std::mem::take(&mut recent)).await;
            // What fails is tried again when as much more has come, and after a while.
            (count, bytes) = (0, 0);
            match &settled {
                Ok(()) => {
                    some = false;
                    waiting.settled();
                }
                Err(error) => {
                    tracing::warn!(%error, "archived messages stay in the log");
                    due.as_mut().reset(Instant::now() + SOON);
                }
            }
            tell(settle, &settled);
        }
    }
}

/// What cannot be put away is read from the log the next time.
async fn put_away(group: &Group, recent: Recent) -> Result<()> {
    let recent = Arc::new(recent);
    loop {
        let recent = recent.clone();
        let more = group
            .run(move |c: &mut SqliteConnection| {
                Box::pin(async move { log::put_away(c, &recent).await })
            })
            .await?;
        if !more {
            return Ok(());
        }
    }
}
