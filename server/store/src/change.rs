//! The feed of changes: what a live server caches has become stale.
//!
//! A row is appended in the transaction of the change itself, so a writer in another process (the command line, another
//! node) is heard as surely as one in this process, which is heard at once. Hearing of a change twice is harmless;
//! readers therefore look back a little, because PostgreSQL numbers rows before they are visible.

use std::collections::BTreeSet;

use tokio::sync::watch;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Store, rd, wr};

/// How many numbers a reader looks back for rows that became visible late.
const LOOK_BACK: i64 = 200;

/// Changes older than this are forgotten (a day, in microseconds).
const KEEP: i64 = 86_400_000_000;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// State, policy or settings of a domain (by name), or its coming and going.
    Domain(String),
    /// The current certificate of a domain (by name).
    Certificate(String),
    /// An account (bare JID): password, state, or gone.
    Account(String),
}

impl Change {
    pub(crate) fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Domain(name) => ("domain", name),
            Self::Certificate(name) => ("certificate", name),
            Self::Account(jid) => ("account", jid),
        }
    }

    fn from_parts(kind: &str, object: String) -> Option<Self> {
        match kind {
            "domain" => Some(Self::Domain(object)),
            "certificate" => Some(Self::Certificate(object)),
            "account" => Some(Self::Account(object)),
            // A newer version may announce what this one does not cache.
            _ => None,
        }
    }
}

/// Appends to the feed inside a transaction.
macro_rules! announce {
    ($tx:expr, $change:expr, $at:expr) => {{
        let change = $change;
        let (kind, object) = change.parts();
        sqlx::query("INSERT INTO changes (at, kind, object) VALUES ($1, $2, $3)")
            .bind($at.0)
            .bind(kind)
            .bind(object)
            .execute(&mut *$tx)
            .await?;
    }};
}
pub(crate) use announce;

impl Store {
    pub(crate) fn tell(&self) {
        self.0.written.send_modify(|n| *n += 1);
    }

    /// A feed that starts now: only later changes are reported.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn change_feed(&self) -> Result<ChangeFeed> {
        let (newest,): (i64,) = rd!(self, p => sqlx::query_as("SELECT COALESCE(MAX(seq), 0) FROM changes").fetch_one(p).await)?;
        let mut feed = ChangeFeed {
            store: self.clone(),
            newest,
            seen: BTreeSet::new(),
            written: self.0.written.subscribe(),
        };
        // What is there already is not news.
        feed.poll().await?;
        Ok(feed)
    }

    /// Forgets old changes. Called now and then by the control worker.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn changes_sweep(&self, now: Timestamp) -> Result<()> {
        wr!(self, p => sqlx::query("DELETE FROM changes WHERE at < $1").bind(now.0 - KEEP).execute(p).await.map(|_| ()))?;
        Ok(())
    }
}

/// One reader of the feed; reports each change once.
#[derive(Debug)]
pub struct ChangeFeed {
    store: Store,
    newest: i64,
    seen: BTreeSet<i64>,
    written: watch::Receiver<u64>,
}

impl ChangeFeed {
    /// Changes of any process since the last call, oldest first.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing is skipped, the next call reports it.
    pub async fn poll(&mut self) -> Result<Vec<Change>> {
        let from = self.newest - LOOK_BACK;
        let rows: Vec<(i64, String, String)> = rd!(&self.store, p => {
            sqlx::query_as("SELECT seq, kind, object FROM changes WHERE seq > $1 ORDER BY seq")
                .bind(from)
                .fetch_all(p)
                .await
        })?;
        let mut news = Vec::new();
        for (seq, kind, object) in rows {
            self.newest = self.newest.max(seq);
            if self.seen.insert(seq) {
                news.extend(Change::from_parts(&kind, object));
            }
        }
        self.seen = self.seen.split_off(&(self.newest - LOOK_BACK));
        Ok(news)
    }

    /// Waits until this process has written something, or for a second, whichever is first: other processes cannot wake us.
    pub async fn wait(&mut self) {
        let second = std::time::Duration::from_secs(1);
        // A closed channel means that the store is being dropped; the caller's own shutdown ends its loop.
        let _ = tokio::time::timeout(second, self.written.changed()).await;
    }
}
