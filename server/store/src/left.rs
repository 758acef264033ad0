//! When users' sessions ended last, written together: a log-out has no commit of its own.
//!
//! Nobody is told that this is kept, and a process that is killed does not note when its sessions end; so it waits in memory
//! for [`SOON`] and is then written in one statement for all who left meanwhile. Whoever asks in between is told what
//! waits; an orderly end ([`Store::close`]) writes it. Refuses: more than [`MOST`] at a time, while the database cannot be
//! written.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{AccountId, AccountRow, DomainStore, Inner, Store, grouped, rd};

/// How long it may wait for others.
const SOON: Duration = Duration::from_secs(5);
/// Users in one statement.
const TOGETHER: usize = 500;
/// Users that may wait while nothing can be written; of more of them it is not noted.
const MOST: usize = 100_000;

/// Domain and account.
type Key = (i64, i64);

/// What waits to be written.
#[derive(Default)]
pub(crate) struct Left {
    waiting: Mutex<Waiting>,
    some: Arc<Notify>,
    /// One writes at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Waiting {
    new: HashMap<Key, i64>,
    /// In the statement under way: not yet to be read from the database.
    writing: HashMap<Key, i64>,
}

impl Drop for Left {
    /// Its task finds that the store is gone.
    fn drop(&mut self) {
        self.some.notify_one();
    }
}

impl Left {
    /// Nothing can break half-way in here.
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &Key) -> Option<i64> {
        let waiting = self.lock();
        let found = waiting.new.get(key).or_else(|| waiting.writing.get(key));
        found.copied()
    }

    /// `false`: there is no room.
    fn put(&self, key: Key, at: i64) -> bool {
        let mut waiting = self.lock();
        let first = waiting.new.is_empty();
        if waiting.new.len() >= MOST && !waiting.new.contains_key(&key) {
            return false;
        }
        waiting.new.insert(key, at);
        drop(waiting);
        if first {
            self.some.notify_one();
        }
        true
    }

    /// The next statement, if there is anything to write.
    fn begin(&self) -> Option<String> {
        let mut waiting = self.lock();
        let keys: Vec<Key> = waiting.new.keys().take(TOGETHER).copied().collect();
        for key in keys {
            if let Some(at) = waiting.new.remove(&key) {
                waiting.writing.insert(key, at);
            }
        }
        if waiting.new.is_empty() {
            waiting.new = HashMap::new();
        }
        statement(&waiting.writing)
    }

    /// What was being written is in the database, or waits again.
    fn end(&self, written: bool) {
        let mut waiting = self.lock();
        for (key, at) in std::mem::take(&mut waiting.writing) {
            if !written {
                // Who left again meanwhile left later.
                waiting.new.entry(key).or_insert(at);
            }
        }
    }
}

/// Numbers of our own stand in it and nothing else, so they need no parameters. Both engines name the columns of `VALUES`
/// so.
fn statement(rows: &HashMap<Key, i64>) -> Option<String> {
    let mut text = String::from("UPDATE accounts SET left_at = n.column3 FROM (VALUES ");
    let mut between = "";
    for ((domain, account), at) in rows {
        let _ = write!(text, "{between}({domain}, {account}, {at})");
        between = ", ";
    }
    text += ") AS n WHERE accounts.domain = n.column1 AND accounts.id = n.column2";
    (!rows.is_empty()).then_some(text)
}

/// Writes what waits, now and then, until the store is gone.
pub(crate) async fn work(store: Weak<Inner>, left: Arc<Notify>) {
    loop {
        left.notified().await;
        if store.strong_count() == 0 {
            return;
        }
        tokio::time::sleep(SOON).await;
        let Some(store) = store.upgrade().map(|inner| Store(inner, None, None)) else {
            return;
        };
        if let Err(error) = store.left_write().await {
            tracing::warn!(%error, "when users left is not written yet");
            store.0.left.some.notify_one();
        }
    }
}

impl Store {
    pub(crate) fn left_work(&self) {
        tokio::spawn(work(Arc::downgrade(&self.0), self.0.left.some.clone()));
    }

    /// Writes what waits.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; it goes on waiting then.
    pub async fn left_write(&self) -> Result<()> {
        let _turn = self.0.left.turn.lock().await;
        let mut done = Ok(());
        while done.is_ok()
            && let Some(text) = self.0.left.begin()
        {
            done = self.left_run(text).await;
            self.0.left.end(done.is_ok());
        }
        done
    }

    async fn left_run(&self, text: String) -> Result<()> {
        grouped!(self, c => {
            // It is never the same text twice: not worth remembering.
            sqlx::query(sqlx::AssertSqlSafe(text)).persistent(false).execute(c).await?;
            Ok(())
        })
    }
}

impl DomainStore {
    /// When the user's last session ended, if one ever did (RFC 6121 4.3.2: the stamp of an answer to a probe).
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn account_left(&self, account: AccountId) -> Result<Option<Timestamp>> {
        if let Some(at) = self.store.0.left.get(&(self.id.0, account.0)) {
            return Ok(Some(Timestamp(at)));
        }
        let found: Option<(Option<i64>,)> = rd!(self.store, p => {
            sqlx::query_as("SELECT left_at FROM accounts WHERE domain = $1 AND id = $2")
                .bind(self.id.0).bind(account.0).fetch_optional(p).await
        })?;
        Ok(found.and_then(|(at,)| at).map(Timestamp))
    }

    /// The row with what is not written yet.
    pub(crate) fn left_lately(&self, row: AccountRow) -> AccountRow {
        let lately = self.store.0.left.get(&(self.id.0, row.id.0));
        AccountRow {
            left: lately.map(Timestamp).or(row.left),
            ..row
        }
    }

    /// Notes it; written soon ([`Store::left_write`]). Nothing happens when the user is gone by then. `false`: too many wait.
    pub fn account_left_soon(&self, account: AccountId, at: Timestamp) -> bool {
        self.store.0.left.put((self.id.0, account.0), at.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_written_can_be_read_and_waits_again_if_it_fails() {
        let left = Left::default();
        assert!(left.put((1, 2), 10) && left.put((1, 3), 11));
        let text = left.begin().expect("a statement");
        assert!(text.contains("(1, 2, 10)") && text.contains("(1, 3, 11)"));
        assert!(left.put((1, 2), 20));
        assert_eq!((left.get(&(1, 2)), left.get(&(1, 3))), (Some(20), Some(11)));
        left.end(false);
        assert_eq!((left.get(&(1, 2)), left.get(&(1, 3))), (Some(20), Some(11)));
        assert!(left.begin().is_some());
        left.end(true);
        assert_eq!((left.get(&(1, 2)), left.begin()), (None, None));
    }

    #[test]
    fn a_statement_has_a_bound() {
        let left = Left::default();
        for account in 0..TOGETHER as i64 + 1 {
            assert!(left.put((1, account), 5));
        }
        let rows = |text: Option<String>| text.map_or(0, |text| text.matches("(1, ").count());
        assert_eq!(rows(left.begin()), TOGETHER);
        left.end(true);
        assert_eq!(rows(left.begin()), 1);
    }
}
