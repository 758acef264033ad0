//! What is remembered: the only SQL of the house, for SQLite (one file) and PostgreSQL.
//!
//! Every query is written once, in the subset that both engines share; where they differ, the difference stands beside it.
//! One battery of tests runs on both. What returns `Ok` is durable: SQLite commits with `synchronous=FULL` and PostgreSQL
//! with `synchronous_commit=on`, so neither a crash nor a power cut takes back what was acknowledged. What the stanza path
//! writes shares its commits ([`group`]), so that this stays cheap.
//!
//! Rows of a domain are reached through [`DomainStore`], which is bound to one domain and puts it into every query. There
//! is no way from it to another domain.
//!
//! A change that somebody asked for is written through [`Store::recorded`]: what it says in the audit log is committed with
//! the change, or neither is.
//!
//! Codemap: [`tenant`], [`plan`], [`usage`], [`operator`], [`factor`], [`passkey`] and [`invitation`] customers, what they may have and have, and their people; [`domain`], [`certificate`], [`component`], [`block_list`], [`external`], [`finding`], [`peer`] what is
//! known of a hosted domain; [`queue`], [`answer`] its certificate orders; [`account`], [`left`], [`roster`], [`offline`], [`outgoing`],
//! [`archive`], [`session`], [`token`], [`push`], [`pubsub`], [`document`], [`report`], [`upload`] what is known of its users, [`invite`] how they come;
//! [`room`], [`room_archive`] where they meet;
//! [`series`] what moved and was kept over time; [`portable`] what comes from other servers, [`own_export`] links by which people take theirs along; [`audit`], [`webhook`], [`setting`], [`change`] the rest; [`seal`] secrets at rest; [`group`] shared commits; [`error`]; `testing` the PostgreSQL of tests.

pub mod account;
pub mod answer;
pub mod archive;
pub mod audit;
pub mod block_list;
pub mod certificate;
pub mod change;
pub mod client_certificate;
pub mod component;
pub mod device;
pub mod document;
pub mod domain;
pub mod error;
pub mod external;
pub mod factor;
pub mod finding;
mod group;
pub mod invitation;
pub mod invite;
pub mod lead;
pub mod left;
pub mod listing;
pub mod mail;
mod moment;
pub mod offline;
pub mod operator;
pub mod outgoing;
pub mod own_export;
pub mod passkey;
pub mod peer;
pub mod picture;
pub mod plan;
pub mod portable;
pub mod pubsub;
pub mod push;
pub mod queue;
pub mod queues;
pub mod report;
pub mod request;
pub mod revocation;
pub mod room;
pub mod room_archive;
pub mod roster;
pub mod seal;
pub mod series;
pub mod session;
pub mod setting;
pub mod tenant;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod token;
pub mod upload;
pub mod usage;
pub mod webhook;

#[cfg(test)]
mod battery;

use std::fmt;
use std::str::FromStr as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::watch;

pub use account::{ACTIVE, AccountRow, Avatar, Opened};
pub use archive::{ArchiveId, ArchiveQuery, Archived, NewArchived, message_hash};
pub use audit::{AuditFilter, AuditRow};
pub use block_list::{
    BLOCK_LIST_ENTRIES, BlockListEntry, BlockListLearnt, BlockListRow, DueBlockList, FollowedRow,
};
pub use certificate::{CertificateRow, Identity, OrderRow};
pub use change::{Change, ChangeFeed};
pub use client_certificate::{Appended, CLIENT_CERTIFICATES, ClientCertificateRow};
pub use device::Storage;
pub use document::PrivateXml;
pub use domain::DomainRow;
pub use error::{Result, StoreError};
pub use factor::FactorRow;
pub use finding::FindingRow;
pub use invitation::InvitationRow;
pub use invite::{InviteKind, InviteRow};
pub use lead::Lead;
pub use listing::DomainFilter;
pub use offline::OfflineMessage;
pub use operator::{LoginRow, OperatorRow, TokenRow};
pub use outgoing::{NewOutgoing, Outgoing};
pub use own_export::OwnExportRow;
pub use passkey::PasskeyRow;
pub use peer::{PeerKey, PeerRow};
pub use plan::{PLANS, PlanRow};
pub use portable::{ArchiveImported, Export, Import, Imported, Moved, Skipped};
pub use pubsub::{
    Access, ItemPage, ItemsAsked, LAST_BYTES, LastItem, NodeConfig, NodePeople, NodeWrite,
    PubsubItem, PubsubNode, Seen, SendLast, Written,
};
pub use push::{PUSH_REGISTRATIONS, PushRow};
pub use queue::{AuthorityRow, Planned, QueueRow, QueueView, Since, SpentRow};
pub use report::ReportRow;
pub use request::Asked;
pub use revocation::RevocationRow;
pub use room::{KeptRoom, ListedRoom, RoomAffiliation, RoomRow};
pub use room_archive::RoomMessage;
pub use roster::{
    Applied, ItemEdit, RequestEdit, Roster, RosterChange, RosterEdit, RosterItem, Subscription,
};
pub use seal::Sealer;
pub use session::KeptSession;
pub use tenant::{TenantMade, TenantNew, TenantRow};
pub use token::ClientRow;
pub use upload::{KeptUploads, NEVER, SlotMade, UploadRow};
pub use usage::Stored;
pub use webhook::{DeliveryRow, WebhookRow};

macro_rules! ids {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {$(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}
ids! {
    /// Row of a customer.
    TenantId,
    /// Row of a hosted domain.
    DomainId,
    /// Row of a user at a domain.
    AccountId,
    /// Row of a plan.
    PlanId,
    /// Row of a person of the panel.
    OperatorId,
    /// Row of a room.
    RoomId,
    /// Row of a node of an account.
    NodeId,
}

/// Runs a query on whichever engine is open, for reading.
macro_rules! rd {
    ($store:expr, $pool:ident => $body:expr) => {{
        $store
            .0
            .reads
            .fetch_add(1, ::std::sync::atomic::Ordering::Relaxed);
        $crate::glance!($store, $pool => $body)
    }};
}
/// The same for what is asked every second whatever happens: it is not counted.
macro_rules! glance {
    ($store:expr, $pool:ident => $body:expr) => {
        match &$store.0.db {
            $crate::Db::Pg($pool) => $body,
            $crate::Db::Lite { read: $pool, .. } => $body,
        }
    };
}
/// Runs a query on whichever engine is open, for writing: SQLite has one writer.
macro_rules! wr {
    ($store:expr, $pool:ident => $body:expr) => {
        match &$store.0.db {
            $crate::Db::Pg($pool) => $body,
            $crate::Db::Lite { write: $pool, .. } => $body,
        }
    };
}
/// Runs a transaction of the stanza path; `$c` is its connection, the block owns what it uses and ends in a [`Result`]. On
/// SQLite it shares its commit with whatever else is being written ([`group`]); PostgreSQL groups commits by itself.
macro_rules! grouped {
    ($store:expr, $c:ident => $body:block) => {
        match &$store.0.db {
            $crate::Db::Pg(pool) => {
                let mut tx = pool.begin().await?;
                let done: $crate::Result<_> = async {
                    let $c = &mut *tx;
                    $body
                }
                .await;
                let done = done?;
                tx.commit().await?;
                Ok(done)
            }
            $crate::Db::Lite { group, .. } => {
                group
                    .run(move |$c: &mut sqlx::SqliteConnection| Box::pin(async move { $body }))
                    .await
            }
        }
    };
}
/// The same for a write that is one statement, which is a transaction by itself: one journey to the database in place of three.
/// What it gives is to be read to its end (`execute`, `fetch_all`): the first row of a statement comes before its commit.
macro_rules! statement {
    ($store:expr, $c:ident => $body:block) => {
        match &$store.0.db {
            $crate::Db::Pg(pool) => {
                let mut connection = pool.acquire().await?;
                let $c = &mut *connection;
                let done: $crate::Result<_> = async { $body }.await;
                done
            }
            $crate::Db::Lite { group, .. } => {
                group
                    .run_statement(move |$c: &mut sqlx::SqliteConnection| {
                        Box::pin(async move { $body })
                    })
                    .await
            }
        }
    };
}
pub(crate) use glance;
pub(crate) use grouped;
pub(crate) use rd;
pub(crate) use statement;
pub(crate) use wr;

enum Db {
    Pg(PgPool),
    Lite {
        read: SqlitePool,
        /// One connection: SQLite has one writer.
        write: SqlitePool,
        group: group::Group,
    },
}

struct Inner {
    db: Db,
    archive: archive::writer::Writer,
    sealer: Sealer,
    /// Counts this process's announced writes, to wake readers of the feed.
    written: watch::Sender<u64>,
    left: left::Left,
    /// Questions that were put to the database.
    reads: AtomicU64,
}

/// The open database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>, Option<Arc<audit::Entry>>, Option<u64>);

impl Store {
    /// Questions that this process has put to the database since it was opened; what is written is not counted.
    pub fn reads(&self) -> u64 {
        self.0.reads.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0.db {
            Db::Pg(_) => "Store(PostgreSQL)",
            Db::Lite { .. } => "Store(SQLite)",
        })
    }
}

/// What belongs to one hosted domain. Cheap to clone.
#[derive(Debug, Clone)]
pub struct DomainStore {
    store: Store,
    id: DomainId,
    /// U-labels; only for what is announced.
    name: Arc<str>,
}

impl DomainStore {
    /// The same by [`Store::within`].
    #[must_use]
    pub fn within(&self, most: u64) -> Self {
        Self {
            store: self.store.within(most),
            ..self.clone()
        }
    }

    /// The row it is bound to.
    pub fn id(&self) -> DomainId {
        self.id
    }

    /// The domain's name (U-labels).
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// How long a statement waits for another writer, or for a connection, before it is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a newer version has added is not an error: it suits this one too (`migrations/README.md`).
fn forgiving(mut migrator: Migrator) -> Migrator {
    migrator.set_ignore_missing(true);
    migrator
}
static SQLITE_MIGRATIONS: LazyLock<Migrator> =
    LazyLock::new(|| forgiving(sqlx::migrate!("../../migrations/sqlite")));
static POSTGRES_MIGRATIONS: LazyLock<Migrator> =
    LazyLock::new(|| forgiving(sqlx::migrate!("../../migrations/postgres")));

/// How often a lock that another process holds for its migration is waited for.
const MIGRATION_ATTEMPTS: usize = 12;

impl Store {
    /// Opens `sqlite://PATH` (made if missing, mode 0600) or `postgres://…`, and brings the schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Url`], [`StoreError::Unavailable`], [`StoreError::Migration`].
    pub async fn open(url: &str, sealer: Sealer) -> Result<Self> {
        Self::open_patient(url, sealer, PATIENCE).await
    }

    async fn open_patient(url: &str, sealer: Sealer, patience: Duration) -> Result<Self> {
        let db = if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(url, patience).await?
        } else if url.starts_with("sqlite:") {
            Self::open_sqlite(url, patience).await?
        } else {
            let scheme = url.split(':').next().unwrap_or_default();
            let text = format!(
                "no engine for \"{scheme}:\"; expected sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME"
            );
            return Err(StoreError::Url(text));
        };
        let sink = match &db {
            Db::Pg(pool) => archive::writer::Sink::Pg(pool.clone()),
            Db::Lite { group, .. } => archive::writer::Sink::Lite(group.clone()),
        };
        let inner = Inner {
            db,
            archive: archive::writer::Writer::start(sink),
            sealer,
            written: watch::Sender::new(0),
            left: left::Left::default(),
            reads: AtomicU64::new(0),
        };
        let store = Self(Arc::new(inner), None, None);
        store.migrate().await?;
        store.left_work();
        Ok(store)
    }

    async fn open_postgres(url: &str, patience: Duration) -> Result<Db> {
        // The error may repeat the URL, which holds a password.
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            StoreError::Url(
                "the PostgreSQL URL cannot be read; expected postgres://USER:PASSWORD@HOST/NAME"
                    .into(),
            )
        })?;
        let millis = |d: Duration| d.as_millis().to_string();
        let options = options.application_name("domicile").options([
            // Whatever the server's default: what is acknowledged is on disk.
            ("synchronous_commit", "on".to_owned()),
            ("lock_timeout", millis(patience)),
            ("statement_timeout", millis(patience * 12)),
            ("idle_in_transaction_session_timeout", millis(patience * 12)),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(patience)
            // Asking costs a round trip, so only a connection that has been idle is asked whether it lives.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    Ok(meta.idle_for < Duration::from_secs(1) || connection.ping().await.is_ok())
                })
            })
            .connect_with(options)
            .await?;
        Ok(Db::Pg(pool))
    }

    async fn open_sqlite(url: &str, patience: Duration) -> Result<Db> {
        let unusable = |e: &dyn fmt::Display| StoreError::Url(format!("{url}: {e}"));
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|e| StoreError::Url(format!("{url}: {e}; expected sqlite://PATH")))?
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(patience);
        let path = options.get_filename();
        if url.contains(":memory:") || url.contains("mode=memory") {
            return Err(unusable(
                &"a database in memory would be several, one for each connection; name a file",
            ));
        }
        make_private(path).map_err(|e| unusable(&e))?;
        let open = |connections, query_only| {
            let mut options = options.clone().pragma("query_only", query_only);
            // Four read, and each keeps what it has read until this is full, which is as good as never given back: the kernel
            // has the file's pages too, for all of them. The inner pages of the tables fit.
            options = options.pragma("cache_size", "-512");
            if query_only == "OFF" {
                // What an archive's log is put away into: where that does not fit, pages are written and read again within one
                // transaction. Taken as it is needed. A page that is changed again before the next checkpoint is copied to the
                // file once; what was committed is in the write-ahead log, and synced, all the same.
                options = options
                    .pragma("cache_size", "-16000")
                    .pragma("wal_autocheckpoint", "4000");
            }
            async move {
                SqlitePoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(patience * 2)
                    // A connection in this process does not go away, and nothing is won by a new one: it begins without its
                    // cache, whose memory was in use a moment ago and is in pieces now.
                    .test_before_acquire(false)
                    .max_lifetime(None)
                    .idle_timeout(None)
                    // COMPAT: sqlx 0.9. When the disk is full SQLite rolls back by itself; sqlx then counts on a transaction
                    // that is no more, and would refuse to begin another one on this connection for ever.
                    .before_acquire(|connection, _| {
                        Box::pin(async move { Ok(!connection.is_in_transaction()) })
                    })
                    .connect_with(options)
                    .await
            }
        };
        let write = open(1, "OFF").await.map_err(|e| match e.into() {
            StoreError::Other(text) => unusable(&text),
            other => other,
        })?;
        let read = open(4, "ON").await?;
        let group = group::Group::start(write.clone());
        Ok(Db::Lite { read, write, group })
    }

    /// Brings the schema up to date; safe while other processes do the same, or still run the previous version.
    ///
    /// # Errors
    /// [`StoreError::Migration`].
    pub async fn migrate(&self) -> Result<()> {
        match &self.0.db {
            // The migrator takes an advisory lock. Another process may hold it, and a change may take, as long as it needs.
            Db::Pg(p) => {
                let unhurried = p.connect_options().as_ref().clone();
                let unhurried =
                    unhurried.options([("lock_timeout", "0"), ("statement_timeout", "0")]);
                let mut connection = PgConnection::connect_with(&unhurried).await?;
                let done = POSTGRES_MIGRATIONS
                    .run_direct(None, &mut connection, false)
                    .await;
                connection.close().await?;
                done.map_err(migration)
            }
            // Here it takes none: one transaction that holds the only write lock from its start. Where nothing is to be
            // changed none is asked for, so that a program that holds it is in nobody's way who only wants to read.
            Db::Lite { read, .. } if sqlite_is_current(read).await => Ok(()),
            Db::Lite { write, .. } => {
                for attempt in 1.. {
                    match write.begin_with("BEGIN IMMEDIATE").await {
                        Ok(mut tx) => {
                            SQLITE_MIGRATIONS
                                .run_direct(None, &mut *tx, false)
                                .await
                                .map_err(migration)?;
                            tx.commit().await?;
                            break;
                        }
                        Err(error) => match error.into() {
                            StoreError::Busy if attempt < MIGRATION_ATTEMPTS => {}
                            other => return Err(other),
                        },
                    }
                }
                Ok(())
            }
        }
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// As it does not.
    pub async fn ping(&self) -> Result<()> {
        rd!(self, p => sqlx::query("SELECT 1").execute(p).await.map(|_| ()))?;
        Ok(())
    }

    /// Lets go of the pages that SQLite's connections keep, of those that nobody uses at the moment: the kernel has them too.
    /// PostgreSQL's are not ours.
    ///
    /// # Errors
    /// A connection that does not answer.
    pub async fn shrink(&self) -> Result<()> {
        let Db::Lite { read, write, .. } = &self.0.db else {
            return Ok(());
        };
        for pool in [read, write] {
            let mut each = Vec::new();
            while let Some(mut connection) = pool.try_acquire() {
                sqlx::query("PRAGMA shrink_memory")
                    .persistent(false)
                    .execute(&mut *connection)
                    .await?;
                // Held until all have been asked, or the same one would come again.
                each.push(connection);
            }
        }
        Ok(())
    }

    /// Writes what waits for others ([`left`]) and closes every connection; statements under way end first.
    pub async fn close(&self) {
        if let Err(error) = self.left_write().await {
            tracing::warn!(%error, "when users left was not written");
        }
        if let Err(error) = self.0.archive.settle(None).await {
            tracing::warn!(%error, "archived messages stay in the log for the next start");
        }
        match &self.0.db {
            Db::Pg(p) => p.close().await,
            Db::Lite { read, write, .. } => {
                read.close().await;
                write.close().await;
            }
        }
    }

    /// The handle of one hosted domain.
    pub fn domain(&self, id: DomainId, name: &xmpp::jid::DomainName) -> DomainStore {
        DomainStore {
            store: self.clone(),
            id,
            name: name.as_str().into(),
        }
    }

    /// Does it seal with the same key as this one?
    pub fn seals_like(&self, sealer: &Sealer) -> bool {
        self.sealer().seals_like(sealer)
    }

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }
}

/// Is every migration applied as we know it? A database that cannot say so is none that is.
async fn sqlite_is_current(read: &SqlitePool) -> bool {
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success")
            .fetch_all(read)
            .await
            .unwrap_or_default();
    SQLITE_MIGRATIONS.iter().all(|known| {
        applied
            .iter()
            .any(|(version, sum)| *version == known.version && **sum == *known.checksum)
    })
}

fn migration(error: sqlx::migrate::MigrateError) -> StoreError {
    use sqlx::migrate::MigrateError as E;
    match error {
        E::Execute(error) | E::ExecuteMigration(error, _) => match error.into() {
            StoreError::Other(text) => StoreError::Migration(text),
            other => other,
        },
        other => StoreError::Migration(other.to_string()),
    }
}

/// Makes the file with mode 0600 if it is missing: what SQLite makes itself may be read by everybody. Its companions
/// (`-wal`, `-shm`) get the mode of the file.
fn make_private(path: &std::path::Path) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    match options.open(path) {
        Ok(_) => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(e) => Err(e),
    }
}
