//! The feed of changes: what a live server caches has become stale.
//!
//! A row is appended in the transaction of the change itself, so a writer in another process (the command line, another
//! node) is heard as surely as one in this process, which is heard at once.
//!
//! Numbers must become visible in their order, or a reader would step over the slower of two. SQLite has one writer;
//! PostgreSQL gives a number before its row is visible, so there whoever appends holds a lock from the number to the commit.
//! Appending is therefore the last thing a transaction does.

use std::borrow::Cow;

use tokio::sync::watch;
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Store, TenantId, rd, wr};

/// Name of the lock under which PostgreSQL numbers are given: `domicile` in ASCII.
const LOCK: i64 = 0x646f_6d69_6369_6c65;

/// Changes read at once.
const PAGE: i64 = 1000;

/// Changes older than this are forgotten (a day, in microseconds).
const KEEP: i64 = 86_400_000_000;

/// What changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Change {
    /// State, policy or settings of a domain (by name), or its coming and going.
    Domain(String),
    /// The current certificate of a domain (by name).
    Certificate(String),
    /// An account (bare JID): its own new password, state, or gone.
    Account(String),
    /// Somebody else has set the password of an account (bare JID), at this time: sessions that were proved before end.
    Password(String, Timestamp),
    /// The roster of an account (first bare JID) has got a contact (second) without its sessions' doing.
    Roster(String, String),
    /// A certificate (SHA-256, hexadecimal) of an account (bare JID) was revoked: sessions that it proved end.
    ClientCertificate(String, String),
    /// A client (the name it has given itself, XEP-0388 2.3) of an account (bare JID) was signed out at this time: sessions of
    /// it that were proved before end.
    Client(String, String, Timestamp),
    /// A session (resource) of an account (bare JID) was signed out at this time, if it was proved before.
    Session(String, String, Timestamp),
    /// Limits of a tenant.
    Tenant(TenantId),
    /// Plans: the limits of any number of tenants.
    Plans,
}

impl Change {
    pub(crate) fn parts(&self) -> (&'static str, Cow<'_, str>) {
        match self {
            Self::Domain(name) => ("domain", name.into()),
            Self::Certificate(name) => ("certificate", name.into()),
            Self::Account(jid) => ("account", jid.into()),
            Self::Password(jid, _) => ("password", jid.into()),
            // An address holds no blanks.
            Self::Roster(account, contact) => ("roster", format!("{account} {contact}").into()),
            Self::ClientCertificate(jid, fingerprint) => {
                ("client-certificate", format!("{fingerprint} {jid}").into())
            }
            Self::Client(jid, agent, _) => ("client", format!("{jid} {agent}").into()),
            Self::Session(jid, resource, _) => ("session", format!("{jid} {resource}").into()),
            Self::Tenant(id) => ("tenant", id.0.to_string().into()),
            Self::Plans => ("plans", "".into()),
        }
    }

    fn from_parts(at: Timestamp, kind: &str, object: String) -> Option<Self> {
        match kind {
            "password" => Some(Self::Password(object, at)),
            "tenant" => Some(Self::Tenant(TenantId(object.parse().ok()?))),
            "roster" => {
                let (account, contact) = object.split_once(' ')?;
                Some(Self::Roster(account.to_owned(), contact.to_owned()))
            }
            "plans" => Some(Self::Plans),
            "domain" => Some(Self::Domain(object)),
            "certificate" => Some(Self::Certificate(object)),
            "account" => Some(Self::Account(object)),
            "client-certificate" => {
                let (fingerprint, jid) = object.split_once(' ')?;
                Some(Self::ClientCertificate(jid.into(), fingerprint.into()))
            }
            "client" => {
                let (jid, agent) = object.split_once(' ')?;
                Some(Self::Client(jid.into(), agent.into(), at))
            }
            "session" => {
                let (jid, resource) = object.split_once(' ')?;
                Some(Self::Session(jid.into(), resource.into(), at))
            }
            // A newer version may announce what this one does not cache.
            _ => None,
        }
    }
}

/// Appends to the feed inside a transaction, as its last statement.
macro_rules! announce {
    ($tx:expr, $change:expr, $at:expr) => {{
        let change = $change;
        let (kind, object) = change.parts();
        $crate::change::Appending::in_order(&mut *$tx).await?;
        sqlx::query("INSERT INTO changes (at, kind, object) VALUES ($1, $2, $3)")
            .bind($at.0)
            .bind(kind)
            .bind(object.as_ref())
            .execute(&mut *$tx)
            .await?;
    }};
}
pub(crate) use announce;

/// Makes numbers visible in order.
pub(crate) trait Appending {
    /// To be held from before the number is given until the commit.
    async fn in_order(&mut self) -> std::result::Result<(), sqlx::Error>;
}

impl Appending for sqlx::PgConnection {
    async fn in_order(&mut self) -> std::result::Result<(), sqlx::Error> {
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(LOCK)
            .execute(self)
            .await
            .map(|_| ())
    }
}

impl Appending for sqlx::SqliteConnection {
    async fn in_order(&mut self) -> std::result::Result<(), sqlx::Error> {
        Ok(())
    }
}

impl Store {
    pub(crate) fn tell(&self) {
        self.0.written.send_modify(|n| *n += 1);
    }

    /// A feed that starts now: only later changes are reported.
    ///
    /// # Errors
    /// See [`crate::StoreError`].
    pub async fn change_feed(&self) -> Result<ChangeFeed> {
        let written = self.0.written.subscribe();
        let (newest,): (i64,) = rd!(self, p => sqlx::query_as("SELECT COALESCE(MAX(seq), 0) FROM changes").fetch_one(p).await)?;
        Ok(ChangeFeed {
            store: self.clone(),
            newest,
            more: false,
            written,
        })
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
    /// The last page was full.
    more: bool,
    written: watch::Receiver<u64>,
}

impl ChangeFeed {
    /// Changes of any process since the last call, in the order in which they were committed, each once; at most a page of
    /// them, then [`ChangeFeed::wait`] returns at once.
    ///
    /// # Errors
    /// See [`crate::StoreError`]; nothing is skipped, the next call reports it.
    pub async fn poll(&mut self) -> Result<Vec<Change>> {
        let rows: Vec<(i64, i64, String, String)> = rd!(&self.store, p => {
            sqlx::query_as("SELECT seq, at, kind, object FROM changes WHERE seq > $1 ORDER BY seq LIMIT CAST($2 AS BIGINT)")
                .bind(self.newest).bind(PAGE).fetch_all(p).await
        })?;
        self.more = i64::try_from(rows.len()) == Ok(PAGE);
        let mut news = Vec::with_capacity(rows.len());
        for (seq, at, kind, object) in rows {
            self.newest = seq;
            news.extend(Change::from_parts(Timestamp(at), &kind, object));
        }
        Ok(news)
    }

    /// Waits until this process has written something, or for half a second, whichever is first: other processes cannot
    /// wake us, and are to be heard within a second.
    pub async fn wait(&mut self) {
        if self.more {
            return;
        }
        let pause = std::time::Duration::from_millis(500);
        // A closed channel means that the store is being dropped; the caller's own shutdown ends its loop.
        let _ = tokio::time::timeout(pause, self.written.changed()).await;
    }
}
