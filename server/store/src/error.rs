//! Why the store could not do something: typed, with a text that says what to do, safe to show to an operator.

/// Shorthand of this crate.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Whose fault it is stands beside each variant. Absence is `Option`, never an error.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody has it already (a domain's name, a login). The caller's to tell its user.
    #[error("{what} exists already")]
    Conflict {
        /// What is taken, in words.
        what: &'static str,
    },
    /// Somebody else holds the database for too long. Ours or the operator's; trying again helps.
    #[error("the database is busy; try again, and look for another program that holds it")]
    Busy,
    /// No room left, or a read-only file. The operator's.
    #[error("the database cannot grow: {0}; make room on its disk")]
    Full(String),
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
    /// Anything else from the engine.
    #[error("the database refused: {0}")]
    Other(String),
}

/// SQLite's primary result codes that mean something to an operator.
const SQLITE_BUSY: i32 = 5;
const SQLITE_LOCKED: i32 = 6;
const SQLITE_READONLY: i32 = 8;
const SQLITE_IOERR: i32 = 10;
const SQLITE_CORRUPT: i32 = 11;
const SQLITE_FULL: i32 = 13;
const SQLITE_CANTOPEN: i32 = 14;
const SQLITE_NOTADB: i32 = 26;

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;
        match &error {
            E::Database(db) => {
                if db.is_unique_violation() {
                    return Self::Conflict {
                        what: "an entry with the same name",
                    };
                }
                let code = db.code().unwrap_or_default();
                // PostgreSQL has five characters (class 53: resources, 57: intervention), SQLite extended numbers.
                if code.len() == 5
                    && !code.starts_with(|c: char| {
                        c.is_ascii_digit() && code.parse::<i32>().is_ok_and(|n| n < 10_000)
                    })
                {
                    return match &code[..2] {
                        "53" => Self::Full(db.message().to_owned()),
                        "57" | "08" => Self::Unavailable(db.message().to_owned()),
                        "40" | "55" => Self::Busy,
                        _ => Self::Other(db.message().to_owned()),
                    };
                }
                match code.parse::<i32>().map(|n| n & 0xff) {
                    Ok(SQLITE_BUSY | SQLITE_LOCKED) => Self::Busy,
                    Ok(SQLITE_FULL | SQLITE_READONLY) => Self::Full(db.message().to_owned()),
                    Ok(SQLITE_IOERR | SQLITE_CANTOPEN) => {
                        Self::Unavailable(db.message().to_owned())
                    }
                    Ok(SQLITE_CORRUPT | SQLITE_NOTADB) => Self::Corrupt {
                        what: "the file itself",
                    },
                    _ => Self::Other(db.message().to_owned()),
                }
            }
            E::PoolTimedOut => Self::Busy,
            E::Io(_) | E::Tls(_) | E::PoolClosed | E::WorkerCrashed => {
                Self::Unavailable(error.to_string())
            }
            E::ColumnDecode { .. } | E::Decode(_) => Self::Corrupt { what: "a column" },
            E::Configuration(_) => Self::Url(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}
