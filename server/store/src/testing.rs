//! A real PostgreSQL for tests, here and in the crates above (feature `testing`): one cluster for each process, in a temporary
//! directory, with a database for each test.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use sqlx::Connection as _;
use tokio::sync::OnceCell;

use crate::error::Result;
use crate::{Db, Sealer, Store, rd, seal};

/// A PostgreSQL cluster in a temporary directory, reached over a Unix socket.
pub(crate) struct Postgres {
    dir: PathBuf,
}

/// The one that most tests share, each with a database of its own.
fn postgres() -> &'static Postgres {
    static ONE: OnceLock<Postgres> = OnceLock::new();
    ONE.get_or_init(Postgres::make)
}

impl Postgres {
    /// Makes a cluster and starts it; it ends with this process.
    pub(crate) fn make() -> Self {
        let dir = tempfile::Builder::new()
            .prefix("domicile-pg")
            .tempdir()
            .expect("directory")
            .keep();
        let one = Self { dir };
        one.run(
            r#""$bin/initdb" --no-sync -A trust -U domicile -D "$D/data" >"$D/initdb.log" 2>&1"#,
        );
        one.start();
        watch_over(&one.dir);
        one
    }

    /// Starts it again after [`Postgres::crash`].
    pub(crate) fn start(&self) {
        // Flushing would only cost time here: these tests end processes, not machines.
        self.run(
            r#""$bin/pg_ctl" -w -D "$D/data" -l "$D/server.log" -o "-k $D -c listen_addresses='' -c fsync=off -c max_connections=300" start >"$D/start.log" 2>&1"#,
        );
    }

    /// As a crash does: without a checkpoint, every connection cut.
    #[cfg(test)]
    pub(crate) fn crash(&self) {
        self.run(r#""$bin/pg_ctl" -w -D "$D/data" -m immediate stop >"$D/stop.log" 2>&1"#);
    }

    fn run(&self, command: &str) {
        // PostgreSQL refuses to run as root.
        let script = format!(
            r#"
            set -e
            bin=$(dirname "$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | tail -n 1)")
            [ -x "$bin/initdb" ] || bin=$(dirname "$(command -v initdb)")
            as() {{ if [ "$(id -u)" = 0 ]; then chown -R postgres "$D"; setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else "$@"; fi; }}
            cd "$D"
            as {command}
        "#
        );
        let out = Command::new("bash")
            .arg("-c")
            .arg(script)
            .env("D", &self.dir)
            .output()
            .expect("bash");
        let log = |name: &str| std::fs::read_to_string(self.dir.join(name)).unwrap_or_default();
        assert!(
            out.status.success(),
            "PostgreSQL does not obey; install it with tests/install\n{}\n{}{}{}",
            String::from_utf8_lossy(&out.stderr),
            log("initdb.log"),
            log("start.log"),
            log("server.log"),
        );
    }

    /// Of one of its databases.
    pub(crate) fn url(&self, database: &str) -> String {
        format!(
            "postgres://domicile@localhost/{database}?host={}",
            self.dir.display()
        )
    }
}

/// Stops the cluster when this process has ended, however it ended.
fn watch_over(dir: &Path) {
    let script = r#"
        while kill -0 "$P" 2>/dev/null; do sleep 1; done
        kill -INT "$(head -n 1 "$D/data/postmaster.pid")" 2>/dev/null
        sleep 2; rm -rf "$D"
    "#;
    let spawned = Command::new("setsid")
        .args(["bash", "-c", script])
        .env("P", std::process::id().to_string())
        .env("D", dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    drop(spawned.expect("setsid"));
}

fn next_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("t{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Runs statements in the cluster that tests share, outside of any test's database.
async fn administer(statements: &[String]) {
    let mut admin = sqlx::PgConnection::connect(&postgres().url("postgres"))
        .await
        .expect("PostgreSQL answers");
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement.clone()))
            .execute(&mut admin)
            .await
            .unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
    admin.close().await.expect("closed");
}

/// URL of a database that nobody has used.
pub async fn empty_postgres() -> String {
    let name = next_name();
    administer(&[format!("CREATE DATABASE {name}")]).await;
    postgres().url(&name)
}

/// A database whose schema is up to date; it is dropped some time after this value is.
#[derive(Debug)]
pub struct Database {
    name: String,
}

/// Databases that no test uses any more.
static DONE: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Database {
    /// Copies a database that was brought up to date once: a fraction of what the migrations would take.
    pub async fn new() -> Self {
        static PATTERN: OnceCell<()> = OnceCell::const_new();
        let pattern = async || {
            administer(&["CREATE DATABASE pattern".to_owned()]).await;
            let sealer = Sealer::from_bytes(&[1; seal::KEY_BYTES]).expect("a key");
            let store = Store::open(&postgres().url("pattern"), sealer).await;
            // Nobody may be connected to what is copied.
            store.expect("a schema").close().await;
        };
        PATTERN.get_or_init(pattern).await;
        let name = next_name();
        let done = std::mem::take(&mut *DONE.lock().unwrap_or_else(PoisonError::into_inner));
        let mut statements: Vec<String> = done
            .iter()
            .map(|done| format!("DROP DATABASE {done} WITH (FORCE)"))
            .collect();
        statements.push(format!(
            "CREATE DATABASE {name} TEMPLATE pattern STRATEGY FILE_COPY"
        ));
        administer(&statements).await;
        Self { name }
    }

    /// For [`Store::open`].
    pub fn url(&self) -> String {
        postgres().url(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(std::mem::take(&mut self.name));
    }
}

impl Store {
    /// Everything that the database holds, as text: rows by table, in no order that means anything. What waits is written before, so
    /// that two of them differ by nothing but what has come between.
    ///
    /// # Panics
    /// When the database does not answer.
    pub async fn dump(&self) -> BTreeMap<String, Vec<String>> {
        self.left_write().await.expect("the database answers");
        let settled = self.0.archive.settle(None).await;
        settled.expect("the database answers");
        let names = match &self.0.db {
            Db::Pg(_) => "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'",
            Db::Lite { .. } => {
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            }
        };
        let mut tables = BTreeMap::new();
        for table in self.column(names.to_owned()).await {
            let row = match &self.0.db {
                Db::Pg(_) => format!("{table}::text"),
                Db::Lite { .. } => {
                    let columns = format!("SELECT name FROM pragma_table_info('{table}')");
                    let columns = self.column(columns).await;
                    let columns: Vec<String> = columns
                        .iter()
                        .map(|column| format!("quote(\"{column}\")"))
                        .collect();
                    columns.join(" || ',' || ")
                }
            };
            let rows = self
                .column(format!("SELECT {row} FROM {table} ORDER BY 1"))
                .await;
            tables.insert(table, rows);
        }
        tables
    }

    async fn column(&self, query: String) -> Vec<String> {
        let rows: Result<Vec<(String,)>> = async {
            let query = sqlx::AssertSqlSafe(query);
            Ok(rd!(self, p => sqlx::query_as(query).fetch_all(p).await)?)
        }
        .await;
        let rows = rows.expect("the database answers");
        rows.into_iter().map(|(text,)| text).collect()
    }
}
