//! SQLite's log of archived messages: durable as they come, put where they belong many at a time.
//!
//! The archive is ordered by account and by peer, so the messages of one commit belong to as many pages of two indexes as
//! there are accounts, and each of these pages would be written whole, to the write-ahead log and from there to the file, for
//! the sake of a few bytes: that was most of what a message cost. Here a commit appends one row that holds all its messages,
//! and thousands of them, sorted, then go into the table in one transaction. Whoever reads the table first sees to it that
//! what they look for is there ([`super::writer::Writer::settle`]); a process that is killed leaves the log to the next one.
//! Messages of accounts that have gone meanwhile are dropped on the way. PostgreSQL's own log is of rows, not of pages: it
//! needs none of this.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::{Buf as _, BufMut as _, Bytes};
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, SqliteConnection};

use super::ArchiveId;
use super::writer::Row;
use crate::AccountId;
use crate::error::{Result, StoreError};

/// How a row of the log is written; another way would have another number.
const FORMAT: u8 = 1;
/// In place of a stanza's length: it is that of the message before.
const SAME: u32 = u32::MAX;
/// Columns of the table.
const COLUMNS: usize = 9;
/// Rows of one statement. Few sizes, so that each statement is prepared once.
const SIZES: [usize; 4] = [128, 32, 8, 1];
/// Bytes of the log that are put away in one transaction, give or take one commit's.
const AT_ONCE: i64 = 8 << 20;
/// Times after its own that are tried for a message whose time is taken.
const TIMES: usize = 1_000;

/// Which messages are in the log, as far as this process has put them there.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// What other processes left there has been put away.
    known: AtomicBool,
    ids: Mutex<HashMap<AccountId, Vec<ArchiveId>>>,
}

impl Waiting {
    /// Nothing can break half-way in here.
    fn lock(&self) -> MutexGuard<'_, HashMap<AccountId, Vec<ArchiveId>>> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anything of the account, or of anybody, may be in the log.
    pub(super) fn any(&self, account: Option<AccountId>) -> bool {
        let known = self.known.load(Ordering::Acquire);
        let ids = self.lock();
        !known || account.map_or(!ids.is_empty(), |account| ids.contains_key(&account))
    }

    /// Whether this message is.
    pub(super) fn has(&self, account: AccountId, id: ArchiveId) -> bool {
        let ids = self.lock();
        ids.get(&account).is_some_and(|ids| ids.contains(&id))
    }

    pub(super) fn note(&self, new: Vec<(i64, ArchiveId)>) {
        let mut ids = self.lock();
        for (account, id) in new {
            ids.entry(AccountId(account)).or_default().push(id);
        }
    }

    pub(super) fn settled(&self) {
        self.lock().clear();
        self.known.store(true, Ordering::Release);
    }
}

/// A message out of the log, as its statement takes it: shared, not copied.
#[derive(Debug)]
struct Stored {
    domain: i64,
    account: i64,
    id: ArchiveId,
    peer: Arc<str>,
    resource: Arc<str>,
    sent: bool,
    message: i64,
    stanza: Bytes,
    /// Bytes of the archive up to and with it.
    total: i64,
}

impl Stored {
    fn of(row: &Row) -> Self {
        Self {
            domain: row.domain,
            account: row.account,
            id: row.new.id,
            peer: row.new.peer.as_str().into(),
            resource: row.new.resource.as_str().into(),
            sent: row.new.sent,
            message: row.new.message,
            stanza: row.new.stanza.clone(),
            total: row.size,
        }
    }
}

/// What this process has appended to the log, by the log's rows: as long as a row is there it need not be read back.
pub(super) type Recent = HashMap<i64, Vec<Row>>;

/// How a row of the log begins that begins with this message. Numbers of rows come again when the log was empty; the message's
/// name, which is random, does not.
fn head(first: &Row) -> Vec<u8> {
    let mut head = vec![FORMAT];
    for number in [
        first.domain,
        first.account,
        first.new.id.at,
        first.new.id.salt,
    ] {
        head.put_i64_le(number);
    }
    head
}

/// Messages as a row of the log. One stanza that goes into two archives is written once.
pub(super) fn pack(rows: &[Row]) -> Vec<u8> {
    let bytes = rows.iter().map(|row| row.new.stanza.len() + 120).sum();
    let mut out = Vec::with_capacity(bytes);
    out.put_u8(FORMAT);
    let mut before: Option<&Bytes> = None;
    for Row {
        domain,
        account,
        new,
        ..
    } in rows
    {
        for number in [*domain, *account, new.id.at, new.id.salt, new.message] {
            out.put_i64_le(number);
        }
        out.put_u8(u8::from(new.sent));
        put(&mut out, new.peer.as_bytes());
        put(&mut out, new.resource.as_bytes());
        match before.replace(&new.stanza) {
            Some(before) if *before == new.stanza => out.put_u32_le(SAME),
            _ => put(&mut out, &new.stanza),
        }
    }
    out
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    // A stanza has a limit far below this.
    let length = u32::try_from(text.len()).unwrap_or(SAME - 1);
    out.put_u32_le(length);
    out.put_slice(&text[..text.len().min(length as usize)]);
}

/// The messages of a row of the log.
fn unpack(mut packed: Bytes, rows: &mut Vec<Stored>) -> Result<()> {
    let corrupt = || StoreError::Corrupt {
        what: "archive_waiting.rows",
    };
    if packed.try_get_u8() != Ok(FORMAT) {
        return Err(corrupt());
    }
    let mut before = None;
    while packed.has_remaining() {
        let row = unpack_one(&mut packed, before.as_ref()).ok_or_else(corrupt)?;
        before = Some(row.stanza.clone());
        rows.push(row);
    }
    Ok(())
}

fn unpack_one(from: &mut Bytes, before: Option<&Bytes>) -> Option<Stored> {
    let mut number = || from.try_get_i64_le().ok();
    let (domain, account) = (number()?, number()?);
    let (at, salt) = (number()?, number()?);
    let message = number()?;
    let sent = from.try_get_u8().ok()? != 0;
    let (peer, resource) = (text(from)?, text(from)?);
    let stanza = match from.try_get_u32_le().ok()? {
        SAME => before?.clone(),
        length => take(from, length)?,
    };
    Some(Stored {
        domain,
        account,
        id: ArchiveId { at, salt },
        peer,
        resource,
        sent,
        message,
        total: i64::try_from(stanza.len()).ok()?,
        stanza,
    })
}

fn take(from: &mut Bytes, length: u32) -> Option<Bytes> {
    let length = length as usize;
    (from.len() >= length).then(|| from.split_to(length))
}

fn text(from: &mut Bytes) -> Option<Arc<str>> {
    let length = from.try_get_u32_le().ok()?;
    let bytes = take(from, length)?;
    std::str::from_utf8(&bytes).ok().map(Arc::from)
}

/// Appends a row; which.
pub(super) async fn append(c: &mut SqliteConnection, packed: Vec<u8>) -> Result<i64> {
    let done = sqlx::query("INSERT INTO archive_waiting (rows) VALUES ($1)")
        .bind(packed)
        .execute(c)
        .await?;
    Ok(done.last_insert_rowid())
}

/// Puts the oldest of the log into the table; whether there is more. What is in the log is what counts: another process may have
/// put away what this one has appended.
pub(super) async fn put_away(c: &mut SqliteConnection, recent: &Recent) -> Result<bool> {
    // As long as what `head` makes.
    let there: Vec<(i64, i64, Vec<u8>)> = sqlx::query_as(
        "SELECT id, LENGTH(rows), SUBSTR(rows, 1, 33) FROM archive_waiting ORDER BY id LIMIT 4096",
    )
    .fetch_all(&mut *c)
    .await?;
    let mut room = AT_ONCE;
    let now = there.iter().take_while(|(_, size, _)| {
        let more = room > 0;
        room -= size;
        more
    });
    let (mut rows, mut up_to) = (Vec::new(), None);
    for (id, _, begins) in now {
        up_to = Some(*id);
        let known = recent.get(id);
        match known.filter(|rows| rows.first().is_some_and(|first| head(first) == *begins)) {
            Some(known) => rows.extend(known.iter().map(Stored::of)),
            None => {
                let (packed,): (Vec<u8>,) =
                    sqlx::query_as("SELECT rows FROM archive_waiting WHERE id = $1")
                        .bind(id)
                        .fetch_one(&mut *c)
                        .await?;
                unpack(packed.into(), &mut rows)?;
            }
        }
    }
    let Some(up_to) = up_to else {
        return Ok(false);
    };
    rows.sort_by_key(|row| (row.account, row.id.at));
    let totals = totals(c, &rows).await?;
    rows.retain(|row| totals.contains_key(&(row.domain, row.account)));
    let mut last = None;
    for row in &mut rows {
        let key = (row.domain, row.account);
        let before = match last {
            Some((of, total)) if of == key => total,
            _ => totals.get(&key).copied().unwrap_or_default(),
        };
        row.total += before;
        last = Some((key, row.total));
    }
    insert_all(c, &mut rows).await?;
    sqlx::query("DELETE FROM archive_waiting WHERE id <= $1")
        .bind(up_to)
        .execute(c)
        .await?;
    Ok(there.last().is_some_and(|(last, ..)| *last > up_to))
}

/// What the archives of the rows' accounts took so far, by domain and account; an account that is gone is not among them.
async fn totals(c: &mut SqliteConnection, rows: &[Stored]) -> Result<HashMap<(i64, i64), i64>> {
    let accounts: HashSet<i64> = rows.iter().map(|row| row.account).collect();
    let mut list = String::from("[");
    for account in accounts {
        let comma = if list.len() > 1 { "," } else { "" };
        let _ = write!(list, "{comma}{account}");
    }
    list.push(']');
    let found: Vec<(i64, i64, i64)> = sqlx::query_as(
        "SELECT a.domain, a.id, COALESCE( \
         (SELECT p.total FROM archive p WHERE p.account = a.id ORDER BY p.at DESC LIMIT 1), 0) \
         FROM json_each($1) AS l CROSS JOIN accounts a WHERE a.id = l.value",
    )
    .bind(list)
    .fetch_all(c)
    .await?;
    Ok(found.into_iter().map(|(d, a, n)| ((d, a), n)).collect())
}

async fn insert_all(c: &mut SqliteConnection, rows: &mut [Stored]) -> Result<()> {
    let (mut rest, mut taken) = (rows, Vec::new());
    while !rest.is_empty() {
        let size = SIZES.into_iter().find(|size| *size <= rest.len());
        let (now, later) = rest.split_at_mut(size.unwrap_or(1));
        rest = later;
        match insert(c, now).await {
            Err(StoreError::Conflict { .. }) => {
                for row in now {
                    match insert(c, std::slice::from_ref(row)).await {
                        Err(StoreError::Conflict { .. }) => taken.push(row),
                        done => done?,
                    }
                }
            }
            done => done?,
        }
    }
    // A time that is taken (somebody has put the clock back) is no reason to lose what was acknowledged.
    for row in taken {
        let mut tried = 0;
        loop {
            row.id.at += 1;
            tried += 1;
            match insert(c, std::slice::from_ref(row)).await {
                Err(StoreError::Conflict { .. }) if tried < TIMES => {}
                done => break done?,
            }
        }
    }
    Ok(())
}

async fn insert(c: &mut SqliteConnection, rows: &[Stored]) -> Result<()> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * COLUMNS, 0);
    let mut add = |row: &Stored| {
        arguments.add(row.account)?;
        arguments.add(row.id.at)?;
        arguments.add(row.id.salt)?;
        arguments.add(row.peer.clone())?;
        arguments.add(row.resource.clone())?;
        arguments.add(row.sent)?;
        arguments.add(row.message)?;
        arguments.add(row.total)?;
        arguments.add(row.stanza.to_vec())
    };
    for row in rows {
        add(row).map_err(sqlx::Error::Encode)?;
    }
    let statement = STATEMENTS
        .iter()
        .find(|(size, _)| *size == rows.len())
        .ok_or_else(|| StoreError::Other("a statement of another size".into()))?;
    sqlx::query_with(statement.1.as_str(), arguments)
        .execute(c)
        .await?;
    Ok(())
}

/// One for each of [`SIZES`].
static STATEMENTS: LazyLock<[(usize, String); SIZES.len()]> = LazyLock::new(|| {
    SIZES.map(|size| {
        let rows = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?)"; size].join(", ");
        let sql = format!(
            "INSERT INTO archive (account, at, salt, peer, resource, sent, message, total, stanza) VALUES {rows}"
        );
        (size, sql)
    })
});

#[cfg(test)]
mod tests {
    use super::super::NewArchived;
    use super::*;

    fn row(account: i64, at: i64, stanza: &'static [u8]) -> Row {
        let new = NewArchived {
            id: ArchiveId { at, salt: -at },
            peer: "romeo@example.net".into(),
            resource: "ä".into(),
            sent: at % 2 == 0,
            message: i64::MIN,
            stanza: Bytes::from_static(stanza),
        };
        Row::of(7, account, new)
    }

    #[test]
    fn what_is_packed_is_unpacked_and_both_sides_share_a_stanza() {
        let rows = [
            row(1, 1, b"one"),
            row(2, 2, b"one"),
            row(1, 3, b""),
            row(1, 4, b"four"),
        ];
        let packed = pack(&rows);
        let mut found = Vec::new();
        unpack(packed.clone().into(), &mut found).expect("whole");
        let seen = found.iter().map(|s: &Stored| {
            (
                s.domain, s.account, s.id, s.sent, s.message, s.total, &s.stanza,
            )
        });
        let meant = rows.iter().map(|r| {
            (
                r.domain,
                r.account,
                r.new.id,
                r.new.sent,
                r.new.message,
                r.size,
                &r.new.stanza,
            )
        });
        assert!(seen.eq(meant));
        assert!(
            found
                .iter()
                .all(|s| (&*s.peer, &*s.resource) == ("romeo@example.net", "ä"))
        );
        let shared = packed.windows(3).filter(|bytes| bytes == b"one").count();
        assert_eq!(shared, 1);
        unpack(pack(&[]).into(), &mut found).expect("nothing");
    }

    #[test]
    fn a_row_of_the_log_begins_as_its_first_message() {
        let rows = [row(1, 1, b"one"), row(2, 2, b"two")];
        let (packed, head) = (pack(&rows), head(&rows[0]));
        assert_eq!((packed[..head.len()].to_vec(), head.len()), (head, 33));
    }

    #[test]
    fn what_is_cut_short_is_refused_at_every_byte() {
        let whole = Bytes::from(pack(&[row(1, 1, b"one"), row(2, 2, b"two")]));
        let mut ends = 0;
        for length in 0..whole.len() {
            ends += usize::from(unpack(whole.slice(..length), &mut Vec::new()).is_ok());
        }
        assert_eq!(ends, 2, "before the first and before the second message");
        let mut other = whole.to_vec();
        other[0] = FORMAT + 1;
        assert!(unpack(other.into(), &mut Vec::new()).is_err());
        let same = pack(&[row(1, 1, b"one"), row(2, 2, b"one")]);
        let first = same.len() - pack(&[row(2, 2, b"one")]).len() + 1 + b"one".len();
        assert!(unpack([&[FORMAT], &same[first..]].concat().into(), &mut Vec::new()).is_err());
    }
}
