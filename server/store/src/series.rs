//! What domains, customers and the platform did and kept over time: by hour what moves, by day that and what is kept.
//!
//! Whoever counts adds what was counted since the last time ([`Store::series_add`]), so that several processes and restarts
//! come together in one row; what is kept is measured now and then ([`Store::series_measure`]). An hour in which nothing moved
//! has no row: a platform of quiet domains writes little. Refuses: anything finer than an hour, and what is older than
//! [`Store::series_sweep`] is told.

use std::fmt::Write as _;

use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::usage::{archive_of_account, archive_of_room};
use crate::{DomainId, Store, TenantId, grouped, rd, wr};

/// Rows that are best written at once.
pub const AT_ONCE: usize = 500;

/// Whose series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Whose {
    /// A domain's.
    Domain(DomainId),
    /// A customer's, over all its domains.
    Tenant(TenantId),
    /// Everybody's.
    Platform,
}

/// How far apart its points are. Hours and days are those of UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An hour.
    Hour,
    /// A day.
    Day,
}

impl Step {
    /// Its length in microseconds.
    pub fn micros(self) -> i64 {
        match self {
            Self::Hour => 3_600_000_000,
            Self::Day => 86_400_000_000,
        }
    }

    /// The start of the hour or day that this moment is in.
    pub fn start(self, at: Timestamp) -> Timestamp {
        Timestamp(at.0 - at.0.rem_euclid(self.micros()))
    }
}

/// What moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Most sessions at a time.
    pub sessions: u64,
    /// Stanzas.
    pub stanzas: u64,
}

/// What was kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kept {
    /// Messages in the archives of users and rooms.
    pub archive_rows: u64,
    /// Their bytes.
    pub archive_bytes: u64,
    /// Bytes of files that users share, slots included.
    pub upload_bytes: u64,
    /// When the certificate in use ends; of several domains, the first.
    pub certificate_ends: Option<Timestamp>,
}

/// One hour or day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its start.
    pub at: Timestamp,
    /// What moved.
    pub activity: Activity,
    /// What was kept when it was last measured in it; `None`: it was not. Hours have none.
    pub kept: Option<Kept>,
}

/// A table of points: its name, whose they are (column and the table it refers to), the column with their time.
struct Table {
    name: &'static str,
    owner: Option<(&'static str, &'static str)>,
    time: &'static str,
}

impl Table {
    fn of(whose: Whose, step: Step) -> Self {
        let (hours, days, owner) = match whose {
            Whose::Domain(_) => ("domain_hours", "domain_days", Some(("domain", "domains"))),
            Whose::Tenant(_) => ("tenant_hours", "tenant_days", Some(("tenant", "tenants"))),
            Whose::Platform => ("platform_hours", "platform_days", None),
        };
        let (name, time) = match step {
            Step::Hour => (hours, "hour"),
            Step::Day => (days, "day"),
        };
        Self { name, owner, time }
    }

    /// Adds to the rows that there are, or makes them; of whom is gone, nothing. Numbers of our own stand in it and nothing
    /// else, so they need no parameters; both engines name the columns of `VALUES` so.
    fn adding(&self, at: Timestamp, rows: &[(Whose, Activity)]) -> String {
        let Self { name, time, .. } = self;
        let at = at.0;
        let mut values = String::new();
        for (whose, activity) in rows {
            let between = if values.is_empty() { "" } else { ", " };
            let (sessions, stanzas) = (signed(activity.sessions), signed(activity.stanzas));
            let id = whose.id();
            let _ = write!(values, "{between}({id}, {sessions}, {stanzas})");
        }
        let (columns, owner, found) = match self.owner {
            Some((column, table)) => (
                format!("{column}, "),
                "n.column1, ",
                format!("EXISTS (SELECT 1 FROM {table} AS o WHERE o.id = n.column1)"),
            ),
            None => (String::new(), "", "TRUE".to_owned()),
        };
        format!(
            "INSERT INTO {name} ({columns}{time}, sessions, stanzas) SELECT {owner}{at}, n.column2, n.column3 \
             FROM (VALUES {values}) AS n WHERE {found} ON CONFLICT ({columns}{time}) DO UPDATE SET \
             sessions = CASE WHEN {name}.sessions < excluded.sessions THEN excluded.sessions ELSE {name}.sessions END, \
             stanzas = {name}.stanzas + excluded.stanzas"
        )
    }
}

impl Whose {
    fn id(self) -> i64 {
        match self {
            Self::Domain(id) => id.0,
            Self::Tenant(id) => id.0,
            Self::Platform => 0,
        }
    }

    /// Domains, tenants, and the platform have tables of their own.
    fn kind(self) -> u8 {
        match self {
            Self::Domain(_) => 0,
            Self::Tenant(_) => 1,
            Self::Platform => 2,
        }
    }
}

/// As the columns have it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column with what was measured.
fn unsigned(number: i64) -> u64 {
    number.max(0).unsigned_abs()
}

/// What was kept of the domains is put into the row of their tenant, or of everybody.
macro_rules! total {
    ($into:literal, $owner:literal, $from:literal, $group:literal) => {
        concat!(
            "INSERT INTO ",
            $into,
            " (",
            $owner,
            "day, sessions, stanzas, archive_rows, archive_bytes, upload_bytes, certificate_ends) SELECT ",
            $owner,
            "day, 0, 0, CAST(SUM(archive_rows) AS BIGINT), CAST(SUM(archive_bytes) AS BIGINT), \
             CAST(SUM(upload_bytes) AS BIGINT), MIN(certificate_ends) FROM ",
            $from,
            " WHERE day = $1 AND archive_rows IS NOT NULL GROUP BY ",
            $group,
            " ON CONFLICT (",
            $owner,
            "day) DO UPDATE SET archive_rows = excluded.archive_rows, archive_bytes = excluded.archive_bytes, \
             upload_bytes = excluded.upload_bytes, certificate_ends = excluded.certificate_ends"
        )
    };
}

/// Of a domain: rows and bytes of archives, bytes of uploads, the end of its certificate.
type Measured = (i64, i64, i64, Option<i64>);

impl Store {
    /// Adds what moved since the last time, to the hour and the day of this moment: all or nothing, so that whoever is told of an
    /// error keeps what it has counted. Hand in [`AT_ONCE`] rows at most: on SQLite others wait for them.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn series_add(&self, at: Timestamp, rows: &[(Whose, Activity)]) -> Result<()> {
        let mut rows = rows.to_vec();
        // In one order, so that two processes do not wait for each other.
        rows.sort_unstable_by_key(|(whose, _)| *whose);
        let mut texts = Vec::new();
        for same in rows.chunk_by(|(a, _), (b, _)| a.kind() == b.kind()) {
            let Some((whose, _)) = same.first() else {
                continue;
            };
            for step in [Step::Hour, Step::Day] {
                texts.push(Table::of(*whose, step).adding(step.start(at), same));
            }
        }
        self.series_run(texts).await
    }

    async fn series_run(&self, texts: Vec<String>) -> Result<()> {
        grouped!(self, c => {
            for text in texts {
                // It is never the same text twice: not worth remembering.
                sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false).execute(&mut *c).await?;
            }
            Ok(())
        })
    }

    /// Measures what these domains keep, for the day of this moment.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn series_measure(&self, domains: &[DomainId], now: Timestamp) -> Result<()> {
        self.0.archive.settle(None).await?;
        let day = Step::Day.start(now).0;
        for chunk in domains.chunks(AT_ONCE) {
            let mut values = String::new();
            for domain in chunk {
                let (rows, bytes, uploads, ends) = self.measured(*domain, now).await?;
                let between = if values.is_empty() { "" } else { ", " };
                let ends = ends.map_or("CAST(NULL AS BIGINT)".to_owned(), |ends| ends.to_string());
                let _ = write!(
                    values,
                    "{between}({domain}, {rows}, {bytes}, {uploads}, {ends})"
                );
            }
            let text = format!(
                "INSERT INTO domain_days (domain, day, sessions, stanzas, archive_rows, archive_bytes, upload_bytes, certificate_ends) \
                 SELECT n.column1, {day}, 0, 0, n.column2, n.column3, n.column4, n.column5 FROM (VALUES {values}) AS n \
                 WHERE EXISTS (SELECT 1 FROM domains AS o WHERE o.id = n.column1) ON CONFLICT (domain, day) DO UPDATE SET \
                 archive_rows = excluded.archive_rows, archive_bytes = excluded.archive_bytes, \
                 upload_bytes = excluded.upload_bytes, certificate_ends = excluded.certificate_ends"
            );
            self.series_run(vec![text]).await?;
        }
        Ok(())
    }

    async fn measured(&self, domain: DomainId, now: Timestamp) -> Result<Measured> {
        Ok(rd!(self, p => {
            sqlx::query_as(concat!(
                "SELECT (SELECT COUNT(*) FROM accounts a JOIN archive m ON m.account = a.id WHERE a.domain = $1) + \
                 (SELECT COUNT(*) FROM rooms r JOIN room_archive m ON m.room = r.id WHERE r.domain = $1), \
                 CAST((SELECT COALESCE(SUM(", archive_of_account!(), "), 0) FROM accounts a WHERE a.domain = $1) AS BIGINT) + \
                 CAST((SELECT COALESCE(SUM(", archive_of_room!(), "), 0) FROM rooms r WHERE r.domain = $1) AS BIGINT), \
                 CAST((SELECT COALESCE(SUM(size), 0) FROM uploads WHERE domain = $1 AND ends > $2) AS BIGINT), \
                 (SELECT MAX(not_after) FROM certificates WHERE domain = $1 AND state = 'current')"
            ))
            .bind(domain.0).bind(now.0).fetch_one(p).await
        })?)
    }

    /// Puts together what the domains were measured to keep on the day of this moment, for their tenants and the platform.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn series_total(&self, now: Timestamp) -> Result<()> {
        let day = Step::Day.start(now).0;
        wr!(self, p => {
            sqlx::query(total!(
                "tenant_days",
                "tenant, ",
                "(SELECT d.tenant, s.day, s.archive_rows, s.archive_bytes, s.upload_bytes, s.certificate_ends \
                 FROM domain_days s JOIN domains d ON d.id = s.domain) AS one",
                "tenant, day"
            ))
            .bind(day).execute(p).await.map(|_| ())
        })?;
        wr!(self, p => {
            sqlx::query(total!("platform_days", "", "tenant_days", "day")).bind(day).execute(p).await.map(|_| ())
        })?;
        Ok(())
    }

    /// Points since then, the oldest first; hours and days of which nothing is known are left out.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn series(&self, whose: Whose, step: Step, since: Timestamp) -> Result<Vec<Point>> {
        let Table { name, owner, time } = Table::of(whose, step);
        let kept = match step {
            Step::Hour => {
                "CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT)"
            }
            Step::Day => "archive_rows, archive_bytes, upload_bytes, certificate_ends",
        };
        let owner = owner.map_or("CAST(0 AS BIGINT)", |(column, _)| column);
        let text = format!(
            "SELECT {time}, sessions, stanzas, {kept} FROM {name} WHERE {owner} = $1 AND {time} >= $2 ORDER BY {time}"
        );
        type Row = (
            i64,
            i64,
            i64,
            Option<i64>,
            Option<i64>,
            Option<i64>,
            Option<i64>,
        );
        let found: Vec<Row> = rd!(self, p => {
            sqlx::query_as(sqlx::AssertSqlSafe(text)).bind(whose.id()).bind(since.0).fetch_all(p).await
        })?;
        let point = |(at, sessions, stanzas, rows, bytes, uploads, ends): Row| Point {
            at: Timestamp(at),
            activity: Activity {
                sessions: unsigned(sessions),
                stanzas: unsigned(stanzas),
            },
            kept: rows.map(|rows| Kept {
                archive_rows: unsigned(rows),
                archive_bytes: unsigned(bytes.unwrap_or_default()),
                upload_bytes: unsigned(uploads.unwrap_or_default()),
                certificate_ends: ends.map(Timestamp),
            }),
        };
        Ok(found.into_iter().map(point).collect())
    }

    /// Forgets hours and days before these. How many rows have gone.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn series_sweep(&self, hours: Timestamp, days: Timestamp) -> Result<u64> {
        let mut gone = 0;
        for (text, before) in [
            ("DELETE FROM domain_hours WHERE hour < $1", hours),
            ("DELETE FROM tenant_hours WHERE hour < $1", hours),
            ("DELETE FROM platform_hours WHERE hour < $1", hours),
            ("DELETE FROM domain_days WHERE day < $1", days),
            ("DELETE FROM tenant_days WHERE day < $1", days),
            ("DELETE FROM platform_days WHERE day < $1", days),
        ] {
            gone += wr!(self, p => {
                sqlx::query(text).bind(before.0).execute(p).await.map(|done| done.rows_affected())
            })?;
        }
        Ok(gone)
    }
}
