//! What comes from another server (XEP-0227): many rows of one person in one transaction, and nothing twice.
//!
//! What is there stays: an import may be repeated, and goes on where an earlier one has ended. Refuses: deciding what fits;
//! whoever reads the file has seen the limits, except where only the table knows how much there is.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::LazyLock;

use serde::Serialize;
use xmpp::jid::{BareJid, DomainName};
use xmpp::sasl::ScramVerifier;
use xmpp::timestamp::Timestamp;

use crate::archive::direct::Counting as _;
use crate::archive::{ArchiveId, NewArchived};
use crate::error::Result;
use crate::roster::RosterItem;
use crate::{AccountId, DomainStore, grouped, rd, wr};

/// What goes out.
#[derive(Clone, Debug, Default)]
pub struct Export {
    /// Only this account (localpart); `None`: everybody.
    pub only: Option<String>,
    /// Archives with it.
    pub archive: bool,
    /// SCRAM verifiers with it: whoever reads the file may guess at passwords, and pose as the server (XEP-0227 6).
    pub credentials: bool,
}

/// What comes in.
#[derive(Clone, Debug)]
pub struct Import {
    /// Only this account (localpart); `None`: everybody.
    pub only: Option<String>,
    /// The domain as the file calls it, where it had another name; `None`: its own.
    pub host: Option<DomainName>,
    /// Directory from which files may be included; `None`: none are.
    pub dir: Option<PathBuf>,
    /// Bytes that are read, included files among them.
    pub bytes: u64,
    /// Accounts that may be added.
    pub accounts: u64,
    /// Contacts of one roster.
    pub roster_items: usize,
    /// Bytes that archives of the tenant may grow by.
    pub archive_bytes: u64,
    /// Bytes that messages that wait may grow by.
    pub offline_bytes: u64,
}

/// Things that were passed over and are named; of more, only how many.
const NAMED: usize = 1_000;

/// What has gone out or come in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Accounts; of an import those that were made.
    pub accounts: u64,
    /// Accounts that were there before.
    pub known: u64,
    /// How many of what else, by what it is.
    pub things: BTreeMap<&'static str, u64>,
    /// Hashes (`SHA-256`) of which accounts came without a verifier: mechanisms of these would shut them out.
    pub lacking: BTreeSet<&'static str>,
    /// What was passed over, the first thousand.
    pub skipped: Vec<Skipped>,
    /// How many more were.
    pub more_skipped: u64,
    /// Why it ended before its end; what came until there stays.
    pub ended: Option<String>,
}

/// Something that did not come in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Whose: a localpart, or nothing.
    pub account: String,
    /// What.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Moved {
    /// So many more of this have been moved.
    pub fn count(&mut self, what: &'static str, n: u64) {
        if n > 0 {
            *self.things.entry(what).or_default() += n;
        }
    }

    /// Something was passed over. What strangers wrote goes to pages and terminals: short, and without control characters.
    pub fn skip(&mut self, account: &str, what: impl Into<String>, why: impl Into<String>) {
        if self.skipped.len() >= NAMED {
            self.more_skipped += 1;
            return;
        }
        let clean = |text: &str| text.chars().filter(|c| !c.is_control()).take(200).collect();
        self.skipped.push(Skipped {
            account: clean(account),
            what: clean(&what.into()),
            why: why.into(),
        });
    }
}

/// What became of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// It is there now.
    Added,
    /// It was there already.
    Known,
    /// There is no room for it.
    Full,
}

/// What has come into an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ArchiveImported {
    /// Messages.
    pub added: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Some of them came before others that were there already, whose sums know nothing of them.
    pub between: bool,
}

/// Times after its own that are tried for a message whose time is taken: the second that other servers round to, filled.
const TIMES: i64 = 1_000;

/// Bytes of `$account`'s messages before the one at `$at`, as the newest before it says; where nothing is before it, what the
/// oldest has is what it begins with.
const BASE: &str = "SELECT COALESCE( \
     (SELECT total FROM archive WHERE account = $1 AND at < $2 ORDER BY at DESC LIMIT 1), \
     (SELECT total - LENGTH(stanza) FROM archive WHERE account = $1 ORDER BY at LIMIT 1), 0)";

/// Statements for so many messages at a time, the largest first.
static INSERTS: LazyLock<[(usize, String); 3]> = LazyLock::new(|| {
    [64, 8, 1].map(|size| {
        let row = |at: usize| {
            let places: Vec<String> = (1..=9).map(|place| format!("${}", at * 9 + place)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..size).map(row).collect();
        let sql = format!(
            "INSERT INTO archive (account, at, salt, peer, resource, sent, message, total, stanza) VALUES {}",
            rows.join(", ")
        );
        (size, sql)
    })
});

impl DomainStore {
    /// Makes an account that cannot log in before it is given verifiers; an account of this name stays as it is. The row,
    /// and whether it was made just now.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn person_open(&self, local: &str, now: Timestamp) -> Result<(AccountId, bool)> {
        let (domain, local) = (self.id.0, local.to_owned());
        grouped!(self.store, c => {
            let made: Option<(i64,)> = sqlx::query_as(
                "INSERT INTO accounts (domain, local, state, roster_version, roster_since, created) \
                 VALUES ($1, $2, 'active', $3, $3, $3) ON CONFLICT (domain, local) DO NOTHING RETURNING id",
            )
            .bind(domain).bind(&local).bind(now.0).fetch_optional(&mut *c).await?;
            if let Some((id,)) = made {
                return Ok((AccountId(id), true));
            }
            let (id,): (i64,) = sqlx::query_as("SELECT id FROM accounts WHERE domain = $1 AND local = $2")
                .bind(domain).bind(&local).fetch_one(c).await?;
            Ok((AccountId(id), false))
        })
    }

    /// Every verifier of an account, of whatever state; none while nothing proves it.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn credentials_of(&self, account: AccountId) -> Result<Vec<ScramVerifier>> {
        type Row = (String, Vec<u8>, i64, Vec<u8>, Vec<u8>);
        let rows: Vec<Row> = rd!(self.store, p => {
            sqlx::query_as(
                "SELECT c.hash, c.salt, c.iterations, c.stored_key, c.server_key FROM credentials c \
                 JOIN accounts a ON a.id = c.account WHERE a.domain = $1 AND c.account = $2 ORDER BY c.hash",
            )
            .bind(self.id.0).bind(account.0).fetch_all(p).await
        })?;
        let verifier = |(hash, salt, iterations, stored_key, server_key): Row| {
            Some(ScramVerifier {
                hash: crate::account::hash_of(&hash)?,
                salt,
                iterations: u32::try_from(iterations).ok()?,
                stored_key,
                server_key,
            })
        };
        Ok(rows.into_iter().filter_map(verifier).collect())
    }

    /// Adds contacts and waiting requests (who, stanza, when) that the account does not have; how many of each.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing was added then.
    pub async fn roster_import(
        &self,
        account: AccountId,
        items: Vec<RosterItem>,
        requests: Vec<(BareJid, Vec<u8>, Timestamp)>,
    ) -> Result<(u64, u64)> {
        let domain = self.id.0;
        grouped!(self.store, c => {
            let version: Option<(i64,)> = sqlx::query_as(
                "UPDATE accounts SET roster_version = roster_version + 1 WHERE domain = $1 AND id = $2 \
                 RETURNING roster_version",
            )
            .bind(domain).bind(account.0).fetch_optional(&mut *c).await?;
            let Some((version,)) = version else { return Ok((0, 0)) };
            let (mut added, mut asked) = (0, 0);
            for item in items {
                let groups = serde_json::Value::from(item.groups).to_string();
                // A contact that the account has removed since may come back; one that it has stays as it is.
                added += sqlx::query(
                    "INSERT INTO roster (account, jid, name, groups, subscription, ask, approved, version) \
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (account, jid) DO UPDATE SET \
                     name = excluded.name, groups = excluded.groups, subscription = excluded.subscription, \
                     ask = excluded.ask, approved = excluded.approved, version = excluded.version \
                     WHERE roster.subscription = 'remove'",
                )
                .bind(account.0).bind(item.jid.as_str()).bind(item.name).bind(groups)
                .bind(item.subscription.as_str()).bind(item.ask).bind(item.approved).bind(version)
                .execute(&mut *c).await?.rows_affected();
            }
            for (from, stanza, at) in requests {
                asked += sqlx::query(
                    "INSERT INTO subscription_requests (account, jid, stanza, at) VALUES ($1, $2, $3, $4) \
                     ON CONFLICT (account, jid) DO NOTHING",
                )
                .bind(account.0).bind(from.as_str()).bind(stanza).bind(at.0).execute(&mut *c).await?.rows_affected();
            }
            Ok((added, asked))
        })
    }

    /// Lets a message wait, where the same does not wait already and fewer than `max` do. With the name that it has in the
    /// account's archive, if it is there.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; it does not wait then.
    pub async fn offline_import(
        &self,
        account: AccountId,
        at: Timestamp,
        stanza: &[u8],
        archived: Option<ArchiveId>,
        max: u32,
    ) -> Result<Imported> {
        self.archive_settled(Some(account)).await?;
        let (domain, stanza) = (self.id.0, stanza.to_vec());
        grouped!(self.store, c => {
            let mut name = None;
            if let Some(id) = archived {
                let kept: Option<(i64,)> =
                    sqlx::query_as("SELECT at FROM archive WHERE account = $1 AND at = $2 AND salt = $3")
                        .bind(account.0).bind(id.at).bind(id.salt).fetch_optional(&mut *c).await?;
                name = kept.map(|(at,)| at);
            }
            let known: Option<(i64,)> = sqlx::query_as(
                "SELECT id FROM offline_messages WHERE account = $1 AND (archived = $4 OR (at = $2 AND stanza = $3))",
            )
            .bind(account.0).bind(at.0).bind(&stanza).bind(name).fetch_optional(&mut *c).await?;
            if known.is_some() {
                return Ok(Imported::Known);
            }
            let stanza = if name.is_some() { Vec::new() } else { stanza };
            let added = sqlx::query(
                "INSERT INTO offline_messages (account, at, stanza, archived) SELECT id, $3, $4, $5 FROM accounts \
                 WHERE domain = $1 AND id = $2 AND (SELECT COUNT(*) FROM offline_messages WHERE account = $2) < $6",
            )
            .bind(domain).bind(account.0).bind(at.0).bind(stanza).bind(name).bind(i64::from(max))
            .execute(c).await?.rows_affected();
            Ok(if added > 0 { Imported::Added } else { Imported::Full })
        })
    }

    /// Puts messages into an account's archive, in order of time; each that is there already under the same salt within a
    /// second is known. Where some came before others, what the archive takes is counted anew by
    /// [`DomainStore::archive_recount`], which whoever ends an import calls.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing was added then.
    pub async fn archive_import(
        &self,
        account: AccountId,
        messages: Vec<NewArchived>,
    ) -> Result<ArchiveImported> {
        self.archive_settled(Some(account)).await?;
        let domain = self.id.0;
        grouped!(self.store, c => {
            let there: Option<(i64,)> = sqlx::query_as("SELECT id FROM accounts WHERE domain = $1 AND id = $2")
                .bind(domain).bind(account.0).fetch_optional(&mut *c).await?;
            let times = || messages.iter().map(|new| new.id.at);
            let (Some(_), Some(first), Some(last)) = (there, times().min(), times().max()) else {
                return Ok(ArchiveImported::default());
            };
            let (newest,): (Option<i64>,) = sqlx::query_as("SELECT MAX(at) FROM archive WHERE account = $1")
                .bind(account.0).fetch_one(&mut *c).await?;
            // All that may be near any of them, and the sum before the first: asked once, and kept up as they are placed.
            let near: Vec<(i64, i64, i64)> =
                sqlx::query_as("SELECT at, salt, total FROM archive WHERE account = $1 AND at >= $2 AND at < $3")
                    .bind(account.0).bind(first).bind(last.saturating_add(TIMES)).fetch_all(&mut *c).await?;
            let (base,): (i64,) = sqlx::query_as(BASE).bind(account.0).bind(first).fetch_one(&mut *c).await?;
            let mut there: BTreeMap<i64, (i64, i64)> =
                near.into_iter().map(|(at, salt, total)| (at, (salt, total))).collect();
            let mut done = ArchiveImported::default();
            let mut rows = Vec::with_capacity(messages.len());
            for new in messages {
                let times = new.id.at..new.id.at.saturating_add(TIMES);
                if there.range(times.clone()).any(|(_, (salt, _))| *salt == new.id.salt) {
                    continue;
                }
                let Some(at) = times.into_iter().find(|at| !there.contains_key(at)) else {
                    continue;
                };
                let size = i64::try_from(new.stanza.len()).unwrap_or(i64::MAX);
                let before = there.range(..at).next_back().map_or(base, |(_, (_, total))| *total);
                let total = before.saturating_add(size);
                there.insert(at, (new.id.salt, total));
                done.added += 1;
                done.bytes += size.unsigned_abs();
                done.between |= newest.is_some_and(|newest| at < newest);
                rows.push((at, new, total));
            }
            let mut rest = &rows[..];
            while !rest.is_empty() {
                let Some((size, statement)) = INSERTS.iter().find(|(size, _)| *size <= rest.len()) else {
                    break;
                };
                let (now, later) = rest.split_at(*size);
                rest = later;
                let mut query = sqlx::query(statement.as_str());
                for (at, new, total) in now {
                    query = query.bind(account.0).bind(*at).bind(new.id.salt).bind(new.peer.as_str())
                        .bind(new.resource.as_str()).bind(new.sent).bind(new.message).bind(*total).bind(&new.stanza[..]);
                }
                query.execute(&mut *c).await?;
            }
            if done.added > 0 {
                c.counted_anew().await?;
            }
            Ok(done)
        })
    }

    /// Adds up anew what an account's archive takes, after messages have come between others. A message that comes in the
    /// same moment may go on from the older sum; the next import of the account puts that right.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; the old sums stay then.
    pub async fn archive_recount(&self, account: AccountId) -> Result<()> {
        self.archive_settled(Some(account)).await?;
        let domain = self.id.0;
        grouped!(self.store, c => {
            let changed = sqlx::query(
                "UPDATE archive SET total = sums.total FROM (SELECT r.at, \
                 CAST(SUM(LENGTH(r.stanza)) OVER (ORDER BY r.at) AS BIGINT) AS total FROM archive r \
                 JOIN accounts a ON a.id = r.account WHERE a.domain = $1 AND r.account = $2) AS sums \
                 WHERE archive.account = $2 AND archive.at = sums.at AND archive.total <> sums.total",
            )
            .bind(domain).bind(account.0).execute(&mut *c).await?.rows_affected();
            if changed > 0 {
                c.counted_anew().await?;
            }
            Ok(())
        })
    }

    /// Says to whoever holds something of an account in memory that it has changed.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn person_changed(&self, local: &str, now: Timestamp) -> Result<()> {
        wr!(self.store, p => {
            let mut tx = p.begin().await?;
            crate::change::announce!(tx, self.jid(local), now);
            tx.commit().await?;
        });
        self.store.tell();
        Ok(())
    }
}
