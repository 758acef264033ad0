//! The one process that speaks XMPP with this database. Sessions, rooms, streams and what waits for them are in its memory, so
//! that a second one beside it would know nothing of them, and would send what is the first one's to send.
//!
//! Whoever wants to be that process asks for the lead and waits until it is free: so the next version may be started before
//! the last one is stopped, and a machine may stand by for another. On PostgreSQL the lead is an advisory lock of a connection
//! of its own, on SQLite a lock of a file beside the database. Refuses: timing a process out that is alive; the lock ends with
//! its connection or its file.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use crate::error::{Result, StoreError};
use crate::{Db, Store};

/// The advisory lock ("domilead").
const LOCK: i64 = 0x646f_6d69_6c65_6164;
/// How often it is looked whether the lead is free, or still held.
const LOOK: Duration = Duration::from_secs(1);
/// Whoever stands by lets so long pass after the database was gone: the process that had the lead is there, and takes it again.
const PRECEDENCE: Duration = Duration::from_secs(10);
/// A database that does not answer for so long has perhaps forgotten us.
const ANSWER: Duration = Duration::from_secs(5);

/// The lead; it is given up when this is dropped.
#[derive(Debug)]
pub struct Lead(Held);

#[derive(Debug)]
enum Held {
    Connection {
        lost: watch::Receiver<bool>,
        /// Dropped: the lead is given up.
        stop: Option<oneshot::Sender<()>>,
        keeping: JoinHandle<()>,
    },
    /// Locked while it is open.
    File { _file: Option<File> },
}

impl Lead {
    /// Returns once somebody else has the lead: the database was gone, and came back without us.
    pub async fn lost(&self) {
        if let Held::Connection { lost, .. } = &self.0 {
            let mut lost = lost.clone();
            if lost.wait_for(|lost| *lost).await.is_ok() {
                return;
            }
        }
        std::future::pending().await
    }

    /// Gives it up, and returns when it is free.
    pub async fn end(self) {
        if let Held::Connection { stop, keeping, .. } = self.0 {
            drop(stop);
            if let Err(error) = keeping.await {
                tracing::error!(%error, "the lead was not given up in order");
            }
        }
    }
}

impl Store {
    /// Waits until this process is the one that speaks XMPP with the database. `waiting` is called if another one is, once.
    ///
    /// # Errors
    /// See [`StoreError`]: the database cannot be asked at all.
    pub async fn lead(&self, waiting: impl FnOnce()) -> Result<Lead> {
        match &self.0.db {
            Db::Pg(pool) => {
                let options = patient(pool.connect_options().as_ref().clone());
                let mut connection = PgConnection::connect_with(&options).await?;
                if !try_lock(&mut connection).await? {
                    waiting();
                    connection = wait(connection, &options).await;
                }
                Ok(by_connection(connection, options))
            }
            Db::Lite { write, .. } => {
                let path = lock_path(&write.connect_options());
                let file = lock_file(&path, waiting).await?;
                Ok(Lead(Held::File { _file: file }))
            }
        }
    }

    /// The same without waiting; `None`: another process has it. Nobody stands by where it is free.
    ///
    /// # Errors
    /// See [`StoreError`]: the database cannot be asked at all, or its file system knows no locks, so that nobody can tell.
    pub async fn lead_if_free(&self) -> Result<Option<Lead>> {
        match &self.0.db {
            Db::Pg(pool) => {
                let options = patient(pool.connect_options().as_ref().clone());
                let mut connection = PgConnection::connect_with(&options).await?;
                let free = try_lock(&mut connection).await?;
                Ok(free.then(|| by_connection(connection, options)))
            }
            Db::Lite { write, .. } => {
                let path = lock_path(&write.connect_options());
                let file = open_lock(&path)?;
                match file.try_lock() {
                    Ok(()) => Ok(Some(Lead(Held::File { _file: Some(file) }))),
                    Err(TryLockError::WouldBlock) => Ok(None),
                    Err(TryLockError::Error(error)) => Err(StoreError::Url(format!(
                        "{}: no lock on this file ({error}), so nobody can tell whether a server works with this database; \
                         take it to a file system that has locks",
                        path.display()
                    ))),
                }
            }
        }
    }
}

fn by_connection(connection: PgConnection, options: PgConnectOptions) -> Lead {
    let (lose, lost) = watch::channel(false);
    let (stop, stopped) = oneshot::channel();
    let keeping = tokio::spawn(keep(connection, options, lose, stopped));
    Lead(Held::Connection {
        lost,
        stop: Some(stop),
        keeping,
    })
}

fn lock_path(options: &SqliteConnectOptions) -> PathBuf {
    let mut path = PathBuf::from(options.get_filename()).into_os_string();
    path.push(".lock");
    path.into()
}

/// The lock is waited for as long as it takes, and a machine that is gone is noticed soon.
fn patient(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("lock_timeout", "0"),
        ("statement_timeout", "0"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
    ])
}

async fn try_lock(connection: &mut PgConnection) -> Result<bool> {
    let (held,): (bool,) = sqlx::query_as("SELECT pg_try_advisory_lock($1)")
        .bind(LOCK)
        .fetch_one(connection)
        .await?;
    Ok(held)
}

/// Waits for the lock, through whatever becomes of the database meanwhile.
async fn wait(mut connection: PgConnection, options: &PgConnectOptions) -> PgConnection {
    loop {
        let lock = sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK);
        match lock.execute(&mut connection).await {
            Ok(_) => return connection,
            Err(error) => tracing::warn!(%error, "waiting for the lead was interrupted"),
        }
        loop {
            tokio::time::sleep(PRECEDENCE).await;
            if let Ok(again) = PgConnection::connect_with(options).await {
                connection = again;
                break;
            }
        }
    }
}

/// Holds the lock until `stopped`. When its connection breaks the lock is taken again, unless somebody else was faster.
async fn keep(
    mut connection: PgConnection,
    options: PgConnectOptions,
    lose: watch::Sender<bool>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut own = own_number(&mut connection).await.ok();
    loop {
        tokio::select! {
            _ = &mut stopped => {
                let _ = connection.close().await;
                return;
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        let alive = tokio::time::timeout(ANSWER, connection.ping()).await;
        if matches!(alive, Ok(Ok(()))) {
            continue;
        }
        tracing::warn!("the connection that holds the lead has broken");
        let again = tokio::select! {
            _ = &mut stopped => return,
            again = take_again(&options, own) => again,
        };
        let Some(again) = again else {
            let _ = lose.send(true);
            return;
        };
        connection = again;
        own = own_number(&mut connection).await.ok();
        tracing::info!("the lead is held again");
    }
}

/// The lock on another connection; `None`: another process has it.
async fn take_again(options: &PgConnectOptions, own: Option<i32>) -> Option<PgConnection> {
    loop {
        if let Ok(mut connection) = PgConnection::connect_with(options).await {
            match try_lock(&mut connection).await {
                Ok(true) => return Some(connection),
                Ok(false) if is_theirs(&mut connection, own).await => return None,
                // The server has not noticed yet that our connection has gone, or it is going itself.
                Ok(false) | Err(_) => {}
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn own_number(connection: &mut PgConnection) -> Result<i32> {
    let (number,): (i32,) = sqlx::query_as("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await?;
    Ok(number)
}

/// Whether a connection that was not ours holds the lock. Where ours still holds it, it is ended; a lock that has become free
/// since it was asked for, and one of which nothing can be found out, is nobody's.
async fn is_theirs(connection: &mut PgConnection, own: Option<i32>) -> bool {
    // The two halves of the key, as the view shows them.
    let holders: std::result::Result<Vec<(i32,)>, _> = sqlx::query_as(
        "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
         AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
         AND classid::bigint = $1 AND objid::bigint = $2",
    )
    .bind(LOCK >> 32)
    .bind(LOCK & 0xffff_ffff)
    .fetch_all(&mut *connection)
    .await;
    let Ok([(holder,)]) = holders.as_deref() else {
        return false;
    };
    if own != Some(*holder) {
        return true;
    }
    let ended = sqlx::query("SELECT pg_terminate_backend($1)").bind(holder);
    if let Err(error) = ended.execute(connection).await {
        tracing::warn!(%error, "the connection that held the lead could not be ended");
    }
    false
}

fn open_lock(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options
        .open(path)
        .map_err(|error| StoreError::Url(format!("{}: {error}", path.display())))
}

fn no_locks(path: &Path, error: &std::io::Error) {
    tracing::warn!(path = %path.display(), %error, "no lock on this file: see to it that no second process serves this database");
}

/// The file, locked. `None`: its file system knows no locks.
async fn lock_file(path: &Path, waiting: impl FnOnce()) -> Result<Option<File>> {
    let file = open_lock(path)?;
    let mut waiting = Some(waiting);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) => {
                if let Some(waiting) = waiting.take() {
                    waiting();
                }
            }
            Err(TryLockError::Error(error)) => {
                no_locks(path, &error);
                return Ok(None);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
