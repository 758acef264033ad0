//! What is remembered: the only SQL of the house, for SQLite (one file) and PostgreSQL.
//!
//! Every query is written once, in the subset that both engines share; where they differ, the difference stands beside it.
//! One battery of tests runs on both. What returns `Ok` is durable: SQLite commits with `synchronous=FULL`, so neither a
//! crash nor a power cut takes back what was acknowledged.
//!
//! Rows of a domain are reached through [`DomainStore`], which is bound to one domain and puts it into every query. There
//! is no way from it to another domain.
//!
//! Codemap: [`tenant`] and [`operator`] customers and their people; [`domain`], [`certificate`], [`finding`], [`peer`] what is
//! known of a hosted domain; [`account`], [`roster`], [`offline`] what is known of its users; [`audit`], [`setting`],
//! [`change`] the rest; [`seal`] secrets at rest; [`error`].

pub mod account;
pub mod audit;
pub mod certificate;
pub mod change;
pub mod domain;
pub mod error;
pub mod finding;
pub mod offline;
pub mod operator;
pub mod peer;
pub mod roster;
pub mod seal;
pub mod setting;
pub mod tenant;

#[cfg(test)]
mod battery;

use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::sync::watch;

pub use account::AccountRow;
pub use audit::AuditRow;
pub use certificate::{CertificateRow, Identity, OrderRow};
pub use change::{Change, ChangeFeed};
pub use domain::DomainRow;
pub use error::{Result, StoreError};
pub use finding::FindingRow;
pub use offline::OfflineMessage;
pub use operator::{LoginRow, OperatorRow, TokenRow};
pub use peer::PeerRow;
pub use roster::{RosterItem, Subscription};
pub use seal::Sealer;
pub use tenant::TenantRow;

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
    /// Row of a person of the panel.
    OperatorId,
}

/// Runs a query on whichever engine is open, for reading.
macro_rules! rd {
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
pub(crate) use rd;
pub(crate) use wr;

enum Db {
    Pg(PgPool),
    Lite { read: SqlitePool, write: SqlitePool },
}

struct Inner {
    db: Db,
    sealer: Sealer,
    /// Counts this process's announced writes, to wake readers of the feed.
    written: watch::Sender<u64>,
}

/// The open database. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

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
    /// The row it is bound to.
    pub fn id(&self) -> DomainId {
        self.id
    }

    /// The domain's name (U-labels).
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// How long a statement waits for another writer before it is [`StoreError::Busy`].
const BUSY: Duration = Duration::from_secs(10);

static SQLITE_MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");
static POSTGRES_MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");

impl Store {
    /// Opens `sqlite://PATH` (made if missing, mode as the process's umask) or `postgres://…`, and brings the schema up to
    /// date.
    ///
    /// # Errors
    /// [`StoreError::Url`], [`StoreError::Unavailable`], [`StoreError::Migration`].
    pub async fn open(url: &str, sealer: Sealer) -> Result<Self> {
        let db = if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Self::open_postgres(url).await?
        } else if url.starts_with("sqlite:") {
            Self::open_sqlite(url).await?
        } else {
            let scheme = url.split(':').next().unwrap_or_default();
            let text = format!(
                "no engine for \"{scheme}:\"; expected sqlite://PATH or postgres://USER:PASSWORD@HOST/NAME"
            );
            return Err(StoreError::Url(text));
        };
        let store = Self(Arc::new(Inner {
            db,
            sealer,
            written: watch::Sender::new(0),
        }));
        store.migrate().await?;
        Ok(store)
    }

    async fn open_postgres(url: &str) -> Result<Db> {
        // The error may repeat the URL, which holds a password.
        let options = PgConnectOptions::from_str(url).map_err(|_| {
            StoreError::Url(
                "the PostgreSQL URL cannot be read; expected postgres://USER:PASSWORD@HOST/NAME"
                    .into(),
            )
        })?;
        let pool = PgPoolOptions::new()
            .max_connections(16)
            .acquire_timeout(BUSY)
            .connect_with(options)
            .await;
        pool.map(Db::Pg).map_err(|e| match e {
            sqlx::Error::PoolTimedOut => {
                StoreError::Unavailable("no answer within ten seconds".into())
            }
            other => other.into(),
        })
    }

    async fn open_sqlite(url: &str) -> Result<Db> {
        let options = SqliteConnectOptions::from_str(url)
            .map_err(|e| StoreError::Url(format!("{url}: {e}; expected sqlite://PATH")))?
            .create_if_missing(true)
            .foreign_keys(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY);
        let open = |n| {
            let options = options.clone();
            async move {
                SqlitePoolOptions::new()
                    .max_connections(n)
                    .acquire_timeout(BUSY * 2)
                    .connect_with(options)
                    .await
            }
        };
        let write = open(1)
            .await
            .map_err(|e| StoreError::Url(format!("{url}: {e}")))?;
        let read = open(4).await?;
        Ok(Db::Lite { read, write })
    }

    /// Brings the schema up to date; safe while other processes do the same.
    ///
    /// # Errors
    /// [`StoreError::Migration`].
    pub async fn migrate(&self) -> Result<()> {
        let done = match &self.0.db {
            Db::Pg(p) => POSTGRES_MIGRATIONS.run(p).await,
            Db::Lite { write, .. } => SQLITE_MIGRATIONS.run(write).await,
        };
        done.map_err(|e| StoreError::Migration(e.to_string()))
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// As it does not.
    pub async fn ping(&self) -> Result<()> {
        rd!(self, p => sqlx::query("SELECT 1").execute(p).await.map(|_| ()))?;
        Ok(())
    }

    /// Closes every connection; statements under way end first.
    pub async fn close(&self) {
        match &self.0.db {
            Db::Pg(p) => p.close().await,
            Db::Lite { read, write } => {
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

    pub(crate) fn sealer(&self) -> &Sealer {
        &self.0.sealer
    }
}
