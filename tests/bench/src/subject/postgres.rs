//! A PostgreSQL of the run's own, on a Unix socket, with the world's rows in it.
//!
//! It commits as a production server does (`fsync` on). It shares the load's core: its time is shown beside ours and is not ours.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Outcome;
use crate::machine::Process;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where Debian keeps its programs: a directory for each version.
fn programs() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let mut found: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|dir| dir.join("postgres").exists())
        .collect();
    found.sort();
    found.pop()
}

/// Whether it can be started here, and filled.
pub(super) fn installed() -> bool {
    programs().is_some() && Path::new("/usr/bin/sqlite3").exists()
}

/// One of its programs, as a user that it accepts: never as root.
fn user(name: &str) -> Outcome<Command> {
    let path = programs().ok_or("no PostgreSQL")?.join(name);
    if fs::metadata("/proc/self")?.uid() != 0 {
        return Ok(Command::new(path));
    }
    let mut command = Command::new("setpriv");
    command
        .args(["--reuid=postgres", "--regid=postgres", "--clear-groups"])
        .arg(path);
    Ok(command)
}

fn done(what: &str, command: &mut Command) -> Outcome<()> {
    let output = command.output().map_err(|e| format!("{what}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{what}: {}", String::from_utf8_lossy(&output.stderr)).into())
}

/// A running cluster.
pub(super) struct Database {
    pub(super) process: Process,
    pub(super) url: String,
    /// Where it has its socket. Removed last.
    dir: Dir,
}

/// A directory that goes when this is dropped.
struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        // What is left in a temporary directory does no harm.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Makes an empty cluster in a directory of its own and starts it. Its files are below `/tmp`, since its user may not be let
/// into the build directory.
pub(super) fn start(log: &Path) -> Outcome<Database> {
    let dir = std::env::temp_dir().join(format!("domicile-bench-pg-{}", std::process::id()));
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::create_dir_all(&dir)?;
    if fs::metadata(&dir)?.uid() == 0 {
        done("chown", Command::new("chown").arg("postgres").arg(&dir))?;
    }
    let kept = Dir(dir.clone());
    let data = dir.join("data");
    done(
        "initdb",
        user("initdb")?
            .args(["--no-sync", "-A", "trust", "-U", "domicile", "-D"])
            .arg(&data)
            .current_dir(&dir),
    )?;
    let mut command = user("postgres")?;
    command.current_dir(&dir).arg("-D").arg(&data).arg("-k");
    command.arg(&dir).args(["-c", "listen_addresses="]);
    let mut process = Process::start_aside(&mut command, log)?;
    process.until("line of a ready database", PATIENCE, |process| {
        process.said().contains("ready to accept connections")
    })?;
    let url = format!(
        "postgres://domicile@localhost/postgres?host={}",
        dir.display()
    );
    Ok(Database {
        process,
        url,
        dir: kept,
    })
}

fn sqlite(file: &Path, sql: &str) -> Outcome<String> {
    let told = Command::new("sqlite3")
        .arg("-readonly")
        .arg(file)
        .arg(sql)
        .output()?;
    if told.status.success() {
        return Ok(String::from_utf8(told.stdout)?);
    }
    Err(format!("sqlite3: {}", String::from_utf8_lossy(&told.stderr)).into())
}

/// Every row of the SQLite file `from` as a statement that PostgreSQL understands. The schemas are twins, but for the log of
/// messages on their way into the archive, which only SQLite has.
fn statements(from: &Path) -> Outcome<String> {
    let mut text = String::from("SET session_replication_role = replica;\nBEGIN;\n");
    let tables = sqlite(
        from,
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '_sqlx%' AND name <> 'archive_waiting'",
    )?;
    for table in tables.lines() {
        let columns = sqlite(
            from,
            &format!("SELECT name, type FROM pragma_table_info('{table}')"),
        )?;
        let (mut names, mut values) = (Vec::new(), Vec::new());
        for (name, kind) in columns.lines().filter_map(|line| line.split_once('|')) {
            names.push(format!("\"{name}\""));
            values.push(match kind {
                "BLOB" => format!(
                    "CASE WHEN \"{name}\" IS NULL THEN 'NULL' ELSE '''\\x' || hex(\"{name}\") || '''' END"
                ),
                "BOOLEAN" => format!("CASE WHEN \"{name}\" THEN 'TRUE' ELSE 'FALSE' END"),
                _ => format!("quote(\"{name}\")"),
            });
        }
        let (names, values) = (names.join(", "), values.join(" || ', ' || "));
        let _ = writeln!(text, "DELETE FROM \"{table}\";");
        text += &sqlite(
            from,
            &format!(
                "SELECT 'INSERT INTO \"{table}\" ({names}) VALUES (' || {values} || ');' FROM \"{table}\""
            ),
        )?;
    }
    text += "COMMIT;\n\
        DO $$ DECLARE r record; BEGIN FOR r IN SELECT table_name AS t, column_name AS c FROM information_schema.columns \
        WHERE table_schema = 'public' AND is_identity = 'YES' LOOP EXECUTE format('SELECT \
        setval(pg_get_serial_sequence(%L, %L), (SELECT COALESCE(MAX(%I), 0) + 1 FROM %I))', r.t, r.c, r.c, r.t); \
        END LOOP; END $$;\n";
    Ok(text)
}

/// Moves the rows of the SQLite file `from` into the database, whose schema is up to date.
pub(super) fn fill(database: &Database, from: &Path) -> Outcome<()> {
    run(database, &statements(from)?)
}

fn psql(database: &Database) -> Outcome<Command> {
    let mut command = Command::new(programs().ok_or("no PostgreSQL")?.join("psql"));
    command
        .args(["-q", "-v", "ON_ERROR_STOP=1", "-U", "domicile", "-h"])
        .arg(&database.dir.0)
        .args(["-d", "postgres"])
        .stdin(Stdio::null());
    Ok(command)
}

/// Runs statements.
pub(super) fn run(database: &Database, statements: &str) -> Outcome<()> {
    let file = database.dir.0.join("run.sql");
    fs::write(&file, statements)?;
    done("psql", psql(database)?.arg("-f").arg(&file))
}

/// Rows of the archive that were written since it began, and commits in all.
pub(super) fn archived(database: &Database) -> Outcome<(f64, f64)> {
    const QUESTION: &str = "SELECT n_tup_ins, (SELECT SUM(xact_commit) FROM pg_stat_database) \
         FROM pg_stat_user_tables WHERE relname = 'archive'";
    let told = psql(database)?
        .args(["-A", "-t", "-c", QUESTION])
        .output()?;
    let said = String::from_utf8_lossy(&told.stdout);
    let numbers = said.trim().split_once('|').and_then(|(rows, commits)| {
        Some((rows.parse::<f64>().ok()?, commits.parse::<f64>().ok()?))
    });
    let why = || format!("psql: {said}{}", String::from_utf8_lossy(&told.stderr));
    numbers.ok_or_else(|| why().into())
}
