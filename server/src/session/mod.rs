//! Sessions: an account's bound resources and their queues.
//!
//! The registry is a sharded map from bare address to the few sessions of that account; delivery looks up, pushes shared
//! bytes into an outbox and is done, under a short lock of one shard. Refuses: knowing what stanzas mean.

mod certified;
pub mod client;
mod enrol;
mod flows;
pub mod outbox;
pub mod resumption;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI16, AtomicU32, AtomicU64, Ordering};

use arc_swap::ArcSwap;
use bytes::Bytes;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use modules::{SessionUpdate, SessionView};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;
use xmpp::jid::{BareJid, Jid};
use xmpp::timestamp::Timestamp;

pub use self::outbox::{Lane, Outbox, Progress, PushError, Remains};
use self::resumption::{Gone, Resumption};
pub use self::waiting::Waiting;
use crate::tenancy::{Domain, Kind, Occupied};

/// Priority of a session that is connected and not available: below every real one (RFC 6121 4.7.2.3).
const NOT_AVAILABLE: i16 = i16::MIN;

/// Stanzas are counted against domain and tenant so many at a time.
const PAID_AT_ONCE: u32 = 16;
/// How long a revocation is remembered for logins that were under way: longer than any negotiation may take.
const REVOKED: i64 = 3_600_000_000;
/// Revocations before old ones are swept out.
const REVOKED_SWEEP: usize = 10_000;

/// One bound resource.
#[derive(Debug)]
pub struct Session {
    /// Full address.
    pub jid: Jid,
    /// Its domain, as it was last read.
    domain: ArcSwap<Domain>,
    /// What its stream shall write.
    pub outbox: Arc<Outbox>,
    /// When the store was asked for what proved the account: what was changed later, this login did not know.
    pub proved: Timestamp,
    /// Stanzas that the domain and its tenant have let through in advance.
    credit: AtomicU32,
    /// The last recipient that was let through (DOS-06); 0: none.
    recipient: AtomicU64,
    /// Counts the session against its domain and tenant while it is bound.
    slot: Mutex<Option<Occupied>>,
    /// Copy of the priority for delivery, which must not take the lock of `view`.
    priority: AtomicI16,
    /// Its client is not there, and may come back.
    away: AtomicBool,
    /// Nobody looks at its client (XEP-0352), or its client is not there.
    unseen: AtomicBool,
    /// Copy of whether it wants copies of messages (XEP-0280).
    carbons: AtomicBool,
    view: Mutex<SessionView>,
    /// How it outlives its connections (XEP-0198 5), where it does.
    resumption: Mutex<Option<Box<Resumption>>>,
    /// What waits in its outbox and is in the store as well ([`modules::Backed`]), by its number there.
    backed: Mutex<Option<Box<BackedItems>>>,
}

/// Numbers of what is backed, and what was handed over, as it was handed over.
type BackedItems = VecDeque<(u64, Bytes)>;

impl Drop for Session {
    /// What it paid for in advance and never sent has not been sent.
    fn drop(&mut self) {
        let left = *self.credit.get_mut();
        self.domain.load().uncount_stanzas(left);
    }
}

impl Session {
    /// A session that was bound just now. `proved` is when the store was asked for what proved the account.
    pub fn new(jid: Jid, domain: Arc<Domain>, outbox: Arc<Outbox>, proved: Timestamp) -> Arc<Self> {
        Arc::new(Self {
            view: Mutex::new(SessionView::new(jid.clone())),
            jid,
            domain: ArcSwap::new(domain),
            outbox,
            proved,
            credit: AtomicU32::new(0),
            recipient: AtomicU64::new(0),
            slot: Mutex::default(),
            priority: AtomicI16::new(NOT_AVAILABLE),
            away: AtomicBool::new(false),
            unseen: AtomicBool::new(false),
            resumption: Mutex::default(),
            backed: Mutex::default(),
            carbons: AtomicBool::new(false),
        })
    }

    /// Its domain, as it was last read.
    pub fn domain(&self) -> arc_swap::Guard<Arc<Domain>> {
        self.domain.load()
    }

    /// What was read of its domain now; the stream goes on under it.
    pub fn renew(&self, domain: Arc<Domain>) {
        self.domain.store(domain);
        self.outbox.nudge();
    }

    /// Counts one stanza against domain and tenant: when it may go on if there were too many (DOS-10).
    pub fn pace(&self) -> Option<(Instant, &'static str)> {
        // Only the session's own stream takes from its credit.
        let credit = self.credit.load(Ordering::Relaxed);
        if credit > 0 {
            self.credit.store(credit - 1, Ordering::Relaxed);
            return None;
        }
        self.credit.store(PAID_AT_ONCE - 1, Ordering::Relaxed);
        self.domain().pace(PAID_AT_ONCE, Instant::now())
    }

    /// Whether this recipient (a name of `Recipients`) is the one let through last.
    pub fn wrote_to(&self, recipient: u64) -> bool {
        self.recipient.load(Ordering::Relaxed) == recipient
    }

    /// It was let through.
    pub fn writes_to(&self, recipient: u64) {
        self.recipient.store(recipient, Ordering::Relaxed);
    }

    /// Priority of its presence; `None` while it is not available.
    pub fn priority(&self) -> Option<i8> {
        i8::try_from(self.priority.load(Ordering::Relaxed)).ok()
    }

    /// Somebody looks at its client from now on, or nobody does (EXT-13).
    pub fn set_active(&self, active: bool) {
        self.unseen.store(!active, Ordering::Relaxed);
        self.outbox.set_active(active);
    }

    /// Whether nobody looks at its client, or its client is not there.
    pub fn is_unseen(&self) -> bool {
        self.unseen.load(Ordering::Relaxed)
    }

    /// Whether its client is not there.
    pub fn is_away(&self) -> bool {
        self.away.load(Ordering::Relaxed)
    }

    /// Whether it wants copies of messages (XEP-0280).
    pub fn carbons(&self) -> bool {
        self.carbons.load(Ordering::Relaxed)
    }

    /// The store has this too, by this number, until the session has it.
    pub(crate) fn backs(&self, number: u64, bytes: Bytes) {
        let mut backed = self.backed.lock();
        backed.get_or_insert_default().push_back((number, bytes));
    }

    /// The session has got it, or will not.
    pub(crate) fn backs_no_more(&self, number: u64) {
        let mut guard = self.backed.lock();
        if let Some(backed) = &mut *guard
            && let Some(at) = backed.iter().position(|(n, _)| *n == number)
        {
            backed.remove(at);
            if backed.is_empty() {
                *guard = None;
            }
        }
    }

    /// Whether the store sees to this item of its outbox.
    pub(crate) fn is_backed(&self, item: &Bytes) -> bool {
        let backed = self.backed.lock();
        let mut backed = backed.iter().flat_map(|backed| backed.iter());
        backed.any(|(_, bytes)| bytes == item)
    }

    /// Takes nothing any more: numbers of all in its outbox that the store sees to. What came between the two would be in the
    /// store twice.
    pub(crate) fn stop(&self) -> Vec<u64> {
        self.outbox.stop();
        let backed = self.backed.lock();
        let backed = backed.iter().flat_map(|backed| backed.iter());
        backed.map(|(number, _)| *number).collect()
    }

    /// What modules see of it.
    pub fn view(&self) -> SessionView {
        let mut view = self.view.lock().clone();
        view.away = self.is_away();
        view.ending = self.outbox.is_closed();
        view
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
        self.carbons.store(view.carbons, Ordering::Relaxed);
    }
}

/// Sessions of one account, in the order of binding.
pub type Resources = SmallVec<[Arc<Session>; 2]>;

/// Every session of this process.
#[derive(Debug)]
pub struct Sessions {
    accounts: DashMap<BareJid, Resources, ahash::RandomState>,
    /// Logins of these accounts that were proved before are worth nothing any more.
    revoked: DashMap<BareJid, Timestamp, ahash::RandomState>,
    /// … and of these clients of theirs.
    signed_out: DashMap<(BareJid, Box<str>), Timestamp, ahash::RandomState>,
    /// Sessions that outlive their connections, by what their clients call them.
    resumable: DashMap<Box<str>, Arc<Session>, ahash::RandomState>,
    /// What is still known of some that have ended.
    gone: Mutex<Gone>,
    per_account: usize,
}

/// Why a session cannot be bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindRefused {
    /// Somebody has as many as they may (BIND-05, DOS-03, DOS-10): the configuration's key in section `limits`.
    TooMany(&'static str),
    /// The account was changed since the login was proved.
    Revoked,
}

impl Sessions {
    /// None yet; at most `per_account` for each account.
    pub fn new(per_account: usize) -> Self {
        Self {
            accounts: DashMap::default(),
            revoked: DashMap::default(),
            signed_out: DashMap::default(),
            resumable: DashMap::default(),
            gone: Mutex::default(),
            per_account: per_account.max(1),
        }
    }

    /// Sessions of one account.
    pub fn per_account(&self) -> usize {
        self.per_account
    }

    /// Adds a session. One that had the same full address is taken out and returned (BIND-04); where the account has as many
    /// as it may, the one that has waited longest for its client to come back.
    ///
    /// # Errors
    /// [`BindRefused`]
    pub fn bind(&self, session: &Arc<Session>) -> Result<Option<Arc<Session>>, BindRefused> {
        let account = session.jid.bare();
        let mut entry = self.accounts.entry(account.clone()).or_default();
        let bound = self.bind_into(&account, &mut entry, session);
        let nobody = entry.is_empty();
        drop(entry);
        if nobody {
            self.accounts.remove_if(&account, |_, rest| rest.is_empty());
        }
        bound
    }

    fn bind_into(
        &self,
        account: &BareJid,
        entry: &mut Resources,
        session: &Arc<Session>,
    ) -> Result<Option<Arc<Session>>, BindRefused> {
        // Under the entry's lock: a revocation comes either before this, or finds the session.
        if self
            .revoked
            .get(account)
            .is_some_and(|at| session.proved < *at)
        {
            return Err(BindRefused::Revoked);
        }
        let mut same = entry.iter().position(|other| other.jid == session.jid);
        if same.is_none() && entry.len() >= self.per_account {
            same = resumption::longest_away(entry);
            if same.is_none() {
                return Err(BindRefused::TooMany("sessions_per_account"));
            }
        }
        let replaced = same.map(|i| entry.remove(i));
        if let Some(old) = &replaced {
            old.slot.lock().take();
        }
        match session.domain().occupy(Kind::Session) {
            Ok(slot) => *session.slot.lock() = Some(slot),
            Err(limit) => {
                // It had its place a moment ago, so this is for new ones only.
                entry.extend(replaced);
                return Err(BindRefused::TooMany(limit));
            }
        }
        if let Some(old) = &replaced {
            self.resumable_no_more(old);
        }
        entry.push(session.clone());
        Ok(replaced)
    }

    /// Logins of the account that were proved before `at` are worth nothing any more: these sessions of it are to end, and
    /// what is being negotiated will not be bound.
    pub fn revoke(&self, account: &BareJid, at: Timestamp) -> Resources {
        if self.revoked.len() >= REVOKED_SWEEP {
            self.revoked.retain(|_, then| then.0 > at.0 - REVOKED);
        }
        self.revoked.insert(account.clone(), at);
        let mut found = self.of(account.as_str());
        found.retain(|session| session.proved < at);
        found
    }

    /// Logins of this client of the account that were proved before `at` are worth nothing any more: these sessions of it are
    /// to end. What is being negotiated asks [`Self::is_signed_out`] once its client is known.
    pub fn sign_out(&self, account: &BareJid, agent: &str, at: Timestamp) -> Resources {
        if self.signed_out.len() >= REVOKED_SWEEP {
            self.signed_out.retain(|_, then| then.0 > at.0 - REVOKED);
        }
        self.signed_out.insert((account.clone(), agent.into()), at);
        let mut found = self.of(account.as_str());
        found.retain(|session| {
            session.proved < at && session.view.lock().agent.as_deref() == Some(agent)
        });
        found
    }

    /// Whether the session's client was signed out after the login by which it has come was proved.
    pub fn is_signed_out(&self, session: &Session, proved: Timestamp) -> bool {
        // Nobody was: the common case costs no copy of names.
        if self.signed_out.is_empty() {
            return false;
        }
        let Some(agent) = session.view.lock().agent.clone() else {
            return false;
        };
        let at = self.signed_out_since(&session.jid.bare(), &agent, proved);
        at.is_some()
    }

    /// When this client of the account was signed out, if that was after its login was `proved`.
    pub fn signed_out_since(
        &self,
        account: &BareJid,
        agent: &str,
        proved: Timestamp,
    ) -> Option<Timestamp> {
        if self.signed_out.is_empty() {
            return None;
        }
        let at = self.signed_out.get(&(account.clone(), agent.into()))?;
        Some(*at).filter(|at| proved < *at)
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
        session.slot.lock().take();
        self.resumable_no_more(session);
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
