//! Sessions: an account's bound resources and their queues.
//!
//! The registry is a sharded map from bare address to the few sessions of that account; delivery looks up, pushes shared
//! bytes into an outbox and is done, under a short lock of one shard. Refuses: knowing what stanzas mean.

pub mod client;
pub mod outbox;

use std::sync::Arc;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use modules::{SessionUpdate, SessionView};
use parking_lot::Mutex;
use smallvec::SmallVec;
use std::sync::atomic::{AtomicI16, Ordering};
use xmpp::jid::{BareJid, Jid};

pub use self::outbox::{Outbox, PushError};
use crate::tenancy::Domain;

/// Priority of a session that is connected and not available: below every real one (RFC 6121 4.7.2.3).
const NOT_AVAILABLE: i16 = i16::MIN;

/// One bound resource.
#[derive(Debug)]
pub struct Session {
    /// Full address.
    pub jid: Jid,
    /// Its domain, as it was when the session was bound.
    pub domain: Arc<Domain>,
    /// What its stream shall write.
    pub outbox: Arc<Outbox>,
    /// Copy of the priority for delivery, which must not take the lock of `view`.
    priority: AtomicI16,
    view: Mutex<SessionView>,
}

impl Session {
    /// A session that was bound just now.
    pub fn new(jid: Jid, domain: Arc<Domain>, outbox: Arc<Outbox>) -> Arc<Self> {
        Arc::new(Self {
            view: Mutex::new(SessionView::new(jid.clone())),
            jid,
            domain,
            outbox,
            priority: AtomicI16::new(NOT_AVAILABLE),
        })
    }

    /// Priority of its presence; `None` while it is not available.
    pub fn priority(&self) -> Option<i8> {
        i8::try_from(self.priority.load(Ordering::Relaxed)).ok()
    }

    /// What modules see of it.
    pub fn view(&self) -> SessionView {
        self.view.lock().clone()
    }

    /// Records what it said about itself.
    pub fn update(&self, update: SessionUpdate) {
        let mut view = self.view.lock();
        view.update(update);
        let priority = if view.available() {
            i16::from(view.priority)
        } else {
            NOT_AVAILABLE
        };
        self.priority.store(priority, Ordering::Relaxed);
    }
}

/// Sessions of one account, in the order of binding.
pub type Resources = SmallVec<[Arc<Session>; 2]>;

/// Every session of this process.
#[derive(Debug)]
pub struct Sessions {
    accounts: DashMap<BareJid, Resources, ahash::RandomState>,
    per_account: usize,
}

/// The account has as many sessions as it may (BIND-05, DOS-03).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

impl Sessions {
    /// None yet; at most `per_account` for each account.
    pub fn new(per_account: usize) -> Self {
        Self {
            accounts: DashMap::default(),
            per_account: per_account.max(1),
        }
    }

    /// Adds a session. One that had the same full address is taken out and returned (BIND-04).
    ///
    /// # Errors
    /// [`TooMany`]
    pub fn bind(&self, session: &Arc<Session>) -> Result<Option<Arc<Session>>, TooMany> {
        let mut entry = self.accounts.entry(session.jid.bare()).or_default();
        let same = entry.iter().position(|other| other.jid == session.jid);
        if same.is_none() && entry.len() >= self.per_account {
            return Err(TooMany);
        }
        let replaced = same.map(|i| entry.remove(i));
        entry.push(session.clone());
        session.domain.session_bound();
        if let Some(old) = &replaced {
            old.domain.session_ended();
        }
        Ok(replaced)
    }

    /// Takes a session out; `false` when it is not in (any more).
    pub fn unbind(&self, session: &Arc<Session>) -> bool {
        let Entry::Occupied(mut entry) = self.accounts.entry(session.jid.bare()) else {
            return false;
        };
        let sessions = entry.get_mut();
        let Some(i) = sessions
            .iter()
            .position(|other| Arc::ptr_eq(other, session))
        else {
            return false;
        };
        sessions.remove(i);
        if sessions.is_empty() {
            entry.remove();
        }
        session.domain.session_ended();
        true
    }

    /// Looks at the sessions of an account under the lock of its shard: `look` must be quick and touch no other account.
    pub fn with<R>(&self, account: &str, look: impl FnOnce(&[Arc<Session>]) -> R) -> R {
        match self.accounts.get(account) {
            Some(sessions) => look(&sessions),
            None => look(&[]),
        }
    }

    /// The session of a full address.
    pub fn get(&self, jid: &Jid) -> Option<Arc<Session>> {
        self.with(jid.bare_str(), |sessions| {
            sessions.iter().find(|s| s.jid == *jid).cloned()
        })
    }

    /// Sessions of an account.
    pub fn of(&self, account: &str) -> Resources {
        self.with(account, |sessions| sessions.iter().cloned().collect())
    }

    /// Every session for which `wanted` holds. Walks the whole map: for closing a domain, not for stanzas.
    pub fn matching(&self, wanted: impl Fn(&Session) -> bool) -> Vec<Arc<Session>> {
        let mut found = Vec::new();
        for entry in &self.accounts {
            found.extend(entry.iter().filter(|s| wanted(s)).cloned());
        }
        found
    }

    /// Accounts with a session.
    pub fn accounts(&self) -> usize {
        self.accounts.len()
    }
}
