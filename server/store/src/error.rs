//! Why the store could not do something: typed, with a text that says what to do, safe to show to an operator.

use sqlx::postgres::PgDatabaseError;

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Whose fault it is stands beside each variant. Absence is `Option`, never an error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Somebody has it already (a domain's name, a login). The caller's to tell its user.
    #[error("{what} exists already")]
    Conflict {
        /// What is taken, in words.
        what: &'static str,
    },
    /// The customer has as many as it may ([`crate::Store::within`]). The caller's to tell its user; nothing was added.
    #[error("{used} of {most} {what} are in use")]
    Limit {
        /// `domains`, `accounts`.
        what: &'static str,
        /// In use now.
        used: u64,
        /// Allowed.
        most: u64,
    },
    /// Somebody else holds the database for too long. Ours or the operator's; trying again helps.
    #[error("the database is busy; try again, and look for another program that holds it")]
    Busy,
    /// No room left. The operator's.
    #[error("the database cannot grow: {0}; make room on its disk")]
    Full(String),
    /// It may be read but not written. The operator's.
    #[error(
        "the database cannot be written: {0}; check who owns its file, and that it is not a standby"
    )]
    ReadOnly(String),
    /// What this belongs to has gone in the meantime (an account removed while a message for it was stored). The caller's to
    /// treat as absence.
    #[error("what this belongs to exists no more")]
    Gone,
    /// It cannot be reached. The operator's; what was asked has not happened.
    #[error("the database does not answer: {0}; check database.url and that it runs")]
    Unavailable(String),
    /// What is stored cannot be understood. Ours, or a damaged file.
    #[error("the database holds something unreadable ({what}); restore a backup or ask for help")]
    Corrupt {
        /// Table and column.
        what: &'static str,
    },
    /// A sealed value does not open: the master key is another one than the key it was sealed with. The operator's.
    #[error(
        "a sealed value in {what} does not open with this master key; use the key that was in use when it was stored"
    )]
    Sealed {
        /// Table and column.
        what: &'static str,
    },
    /// Schema and program do not fit.
    #[error("the database's schema cannot be brought up to date: {0}")]
    Migration(String),
    /// The URL names no engine we know, or the file cannot be opened.
    #[error("{0}")]
    Url(String),
    /// Anything else from the engine. Ours.
    #[error("the database refused: {0}")]
    Other(String),
}

impl StoreError {
    /// Whether the same call may well succeed later, without anybody's changing the program or what is stored.
    pub fn is_temporary(&self) -> bool {
        matches!(
            self,
            Self::Busy | Self::Full(_) | Self::ReadOnly(_) | Self::Unavailable(_)
        )
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match error {
            E::Database(error) => {
                let text = error.message().to_owned();
                let code = error.code().unwrap_or_default();
                if error.is_unique_violation() {
                    Self::Conflict {
                        what: "an entry with the same name",
                    }
                } else if error.is_foreign_key_violation() {
                    Self::Gone
                } else if error.try_downcast_ref::<PgDatabaseError>().is_some() {
                    from_postgres(&code, text)
                } else {
                    from_sqlite(&code, text)
                }
            }
            E::PoolTimedOut => Self::Unavailable("no connection could be had in time".into()),
            E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolClosed | E::WorkerCrashed => {
                Self::Unavailable(error.to_string())
            }
            E::ColumnDecode { .. } | E::Decode(_) => Self::Corrupt { what: "a column" },
            E::Configuration(_) => Self::Url(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

/// By the classes and codes of PostgreSQL's appendix A.
fn from_postgres(code: &str, text: String) -> StoreError {
    match code {
        "25006" => StoreError::ReadOnly(text),
        // disk_full, out_of_memory; the rest of class 53 is connections and settings.
        "53100" | "53200" => StoreError::Full(text),
        // query_canceled comes from statement_timeout.
        "55P03" | "57014" | "55006" => StoreError::Busy,
        "58030" => StoreError::Unavailable(text),
        _ => match code.get(..2).unwrap_or_default() {
            // Deadlocks and serialization.
            "40" => StoreError::Busy,
            // Connections, credentials, resources, operator's intervention, a database that is not there.
            "08" | "28" | "3D" | "53" | "57" => StoreError::Unavailable(text),
            "XX" => StoreError::Corrupt {
                what: "what PostgreSQL itself keeps; see its log",
            },
            _ => StoreError::Other(text),
        },
    }
}

/// By SQLite's primary result codes; what sqlx gives is the extended one, in digits.
fn from_sqlite(code: &str, text: String) -> StoreError {
    const BUSY: i32 = 5;
    const LOCKED: i32 = 6;
    const READONLY: i32 = 8;
    const IOERR: i32 = 10;
    const CORRUPT: i32 = 11;
    const FULL: i32 = 13;
    const CANTOPEN: i32 = 14;
    const NOTADB: i32 = 26;
    match code.parse::<i32>().map(|n| n & 0xff) {
        Ok(BUSY | LOCKED) => StoreError::Busy,
        Ok(FULL) => StoreError::Full(text),
        Ok(READONLY) => StoreError::ReadOnly(text),
        Ok(IOERR | CANTOPEN) => StoreError::Unavailable(text),
        Ok(CORRUPT | NOTADB) => StoreError::Corrupt {
            what: "the file itself",
        },
        _ => StoreError::Other(text),
    }
}
