//! What a module may touch while it works: one hosted domain, its store, the switchboard, the time.
//!
//! Why bound to a domain: a module cannot reach another tenant's rows, and stanzas to other domains leave through the
//! switchboard like everybody's. Refuses: a clock of its own; `now` is handed in.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use store::{DomainStore, StoreError};
use xmpp::element::Element;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::stanza::{Condition, Stanza, StanzaError, StanzaType};
use xmpp::timestamp::Timestamp;

use crate::blocking::BlockList;
use crate::grants::Grants;
use crate::info::Hooks;
use crate::memory::Modules;
use crate::module_set::ModuleSet;
use crate::switchboard::{Later, Switchboard};

/// A hosted domain as modules see it; made when the domain is loaded, replaced when control changes it.
#[derive(Clone, Debug)]
pub struct Hosted {
    /// Name.
    pub domain: DomainName,
    /// Its rows, and nobody else's.
    pub store: DomainStore,
    /// What its owner chose.
    pub settings: DomainSettings,
    /// What its tenant may keep here, over all its domains.
    pub quota: Arc<Quota>,
    /// Modules that are on, and the hooks at which they want to be called; kept, because the router asks for every message.
    pub(crate) on: ModuleSet,
    hooks: Hooks,
    /// Strangers whom its owner keeps away.
    pub(crate) kept_away: Arc<BlockList>,
    /// What every stream is told after authentication: made for the first, since the hash in it is of the whole of the domain's
    /// answer to discovery, and gone with this value when control changes the domain.
    stream_features: Arc<OnceLock<Arc<[Element]>>>,
}

impl Hosted {
    /// A domain, what its owner chose, and what its tenant may keep.
    pub fn new(
        domain: DomainName,
        store: DomainStore,
        settings: DomainSettings,
        quota: Arc<Quota>,
    ) -> Self {
        let on = ModuleSet::of(&settings);
        let kept_away = Arc::new(BlockList::of(settings.kept_away.iter().cloned()));
        Self {
            domain,
            store,
            settings,
            quota,
            on,
            hooks: on.hooks(),
            kept_away,
            stream_features: Arc::default(),
        }
    }

    /// The same under the name of one of its services.
    #[must_use]
    pub fn as_service(&self, name: DomainName) -> Self {
        Self {
            domain: name,
            stream_features: Arc::default(),
            ..self.clone()
        }
    }

    /// Informative stream features of the domain after authentication (RFC 6121 2.6.1, 3.4; XEP-0115 6.3).
    pub fn stream_features(&self) -> Arc<[Element]> {
        let made = || crate::hooks::stream_features(self).into();
        self.stream_features.get_or_init(made).clone()
    }

    /// Whether its accounts may block others.
    pub fn blocks(&self) -> bool {
        self.hooks.has(Hooks::BLOCKING)
    }

    /// Whether the module of this name works here.
    pub(crate) fn on_by_name(&self, name: &str) -> bool {
        crate::hooks::modules_of(self).any(|module| module.info().name == name)
    }

    /// Whether one of its modules wants to be called at these.
    pub(crate) fn has(&self, hooks: Hooks) -> bool {
        self.hooks.has(hooks)
    }

    /// Whether a module wants to know of messages that pass the domain's accounts ([`crate::passage`]).
    pub fn watches_messages(&self) -> bool {
        self.hooks.has(Hooks::MESSAGE_PASSAGE)
    }
}

/// What a tenant may keep here (DOS-10). Shared by the tenant's domains; its limits change while they are served.
#[derive(Debug)]
pub struct Quota {
    roster_items: AtomicU32,
    offline_bytes: AtomicU64,
    /// Bytes of offline messages as of the last count, and what was added since.
    kept: AtomicU64,
    /// When they were counted (µs).
    counted: AtomicI64,
    archive_bytes: AtomicU64,
    upload_bytes: AtomicU64,
    /// Bytes of archives as of the last count, and what was added since; when they were counted (µs).
    archived: AtomicU64,
    archive_counted: AtomicI64,
    /// A message was not archived for want of room.
    archive_full: AtomicBool,
}

impl Default for Quota {
    /// No limit.
    fn default() -> Self {
        Self {
            roster_items: AtomicU32::new(u32::MAX),
            offline_bytes: AtomicU64::new(u64::MAX),
            kept: AtomicU64::new(0),
            counted: AtomicI64::new(0),
            archive_bytes: AtomicU64::new(u64::MAX),
            upload_bytes: AtomicU64::new(u64::MAX),
            archived: AtomicU64::new(0),
            archive_counted: AtomicI64::new(0),
            archive_full: AtomicBool::new(false),
        }
    }
}

/// A count of the tenant's offline messages is believed for this long while there is room, in microseconds …
const COUNT_BELIEVED: i64 = 3_600_000_000;
/// … and for this long when there seems to be none.
const COUNT_DOUBTED: i64 = 60_000_000;

impl Quota {
    /// Other limits from now on: contacts of one roster, bytes of messages that wait for the tenant's users.
    pub fn set(&self, roster_items: u32, offline_bytes: u64) {
        self.roster_items.store(roster_items, Ordering::Relaxed);
        self.offline_bytes.store(offline_bytes, Ordering::Relaxed);
    }

    /// The same of archives and uploaded files.
    pub fn set_kept(&self, archive_bytes: u64, upload_bytes: u64) {
        self.archive_bytes.store(archive_bytes, Ordering::Relaxed);
        self.upload_bytes.store(upload_bytes, Ordering::Relaxed);
    }

    /// Bytes of archives.
    pub fn archive_bytes(&self) -> u64 {
        self.archive_bytes.load(Ordering::Relaxed)
    }

    /// Bytes of uploaded files, over all the tenant's domains: the limit for [`store::DomainStore::upload_slot`].
    pub fn upload_bytes(&self) -> u64 {
        self.upload_bytes.load(Ordering::Relaxed)
    }

    /// Whether a message was not archived for want of room since this was asked last.
    pub fn was_archive_full(&self) -> bool {
        self.archive_full.swap(false, Ordering::Relaxed)
    }

    /// Contacts of one roster.
    pub(crate) fn roster_items(&self) -> usize {
        self.roster_items.load(Ordering::Relaxed) as usize
    }

    /// Whether so many bytes may be kept offline. Between two counts only what is added is followed, not what is
    /// delivered: for a minute a tenant may be refused what has just become free.
    pub(crate) async fn room_offline(
        &self,
        store: &DomainStore,
        bytes: usize,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let limit = self.offline_bytes.load(Ordering::Relaxed);
        if limit == u64::MAX {
            return Ok(true);
        }
        let bytes = bytes as u64;
        let full = || self.kept.load(Ordering::Relaxed).saturating_add(bytes) > limit;
        let age = now.0.saturating_sub(self.counted.load(Ordering::Relaxed));
        if age >= COUNT_BELIEVED || (full() && age >= COUNT_DOUBTED) {
            self.counted.store(now.0, Ordering::Relaxed);
            let kept = store.tenant_offline_bytes().await?;
            self.kept.store(kept, Ordering::Relaxed);
        }
        if full() {
            return Ok(false);
        }
        self.kept.fetch_add(bytes, Ordering::Relaxed);
        Ok(true)
    }
}

impl Quota {
    /// Bytes that may wait, over all the tenant's domains.
    pub(crate) fn offline_bytes(&self) -> u64 {
        self.offline_bytes.load(Ordering::Relaxed)
    }

    /// So many bytes wait no more.
    pub(crate) fn offline_freed(&self, bytes: u64) {
        let freed = |kept: u64| Some(kept.saturating_sub(bytes));
        // Never `None`, so there is nothing that could go wrong.
        let _ = self
            .kept
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, freed);
    }

    /// Whether so many bytes more may be archived. Counted as [`Quota::room_offline`] is.
    pub(crate) async fn room_archive(
        &self,
        store: &DomainStore,
        bytes: usize,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let limit = self.archive_bytes();
        if limit == u64::MAX {
            return Ok(true);
        }
        let bytes = bytes as u64;
        let full = || self.archived.load(Ordering::Relaxed).saturating_add(bytes) > limit;
        let age = now
            .0
            .saturating_sub(self.archive_counted.load(Ordering::Relaxed));
        if age >= COUNT_BELIEVED || (full() && age >= COUNT_DOUBTED) {
            self.archive_counted.store(now.0, Ordering::Relaxed);
            // Boxed: every message would carry room for counting.
            let archived = Box::pin(store.tenant_archive_bytes()).await?;
            self.archived.store(archived, Ordering::Relaxed);
        }
        if full() {
            self.archive_full.store(true, Ordering::Relaxed);
            return Ok(false);
        }
        self.archived.fetch_add(bytes, Ordering::Relaxed);
        Ok(true)
    }
}

/// What a domain's owner chose about modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DomainSettings {
    /// Names of modules turned off; names that are unknown or not switchable are ignored.
    pub off: Vec<String>,
    /// Labels of the services it has ([`crate::info::Service`]).
    pub services: Vec<String>,
    /// Accounts that look after the others (XEP-0133).
    pub admins: Vec<BareJid>,
    /// Whether its other accounts may invite somebody too (XEP-0401).
    pub user_invites: bool,
    /// Whether its accounts may take out what they have (XEP-0227).
    pub own_export: bool,
    /// Labels of the names for which programs of its own answer (XEP-0114).
    pub components: Vec<String>,
    /// What components are granted beyond their names (XEP-0355, XEP-0356).
    pub grants: Vec<Grants>,
    /// Addresses for people with questions (XEP-0157).
    pub contacts: Vec<Contact>,
    /// Services for calls (XEP-0215), as URIs; `None`: the platform's.
    pub external: Option<Vec<String>>,
    /// Where clients learn what is the matter when the domain does not answer (XEP-0455): URIs.
    pub status: Vec<String>,
    /// What push services are told (XEP-0357).
    pub push: crate::push::Told,
    /// What is in force for what it keeps (XEP-0504).
    pub policy: crate::data_policy::DataPolicy,
    /// Block lists that it follows, to keep strangers away.
    pub lists: Vec<crate::screening::FollowedList>,
    /// Strangers whom its owner keeps away: bare addresses and domains.
    pub kept_away: Vec<Jid>,
}

/// Contact addresses of one kind (XEP-0157).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// `abuse`, `admin`, `feedback`, `sales`, `security`, `status` or `support`.
    pub role: String,
    /// URIs: `mailto:`, `xmpp:`, `https:`.
    pub addresses: Vec<String>,
}

/// What somebody is to an account, from less to more (RFC 6121 8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Nobody the account knows; also everybody, towards an account that does not exist.
    Stranger,
    /// In the account's roster: knows that the account exists.
    Contact,
    /// Subscribed to the account's presence, or got directed presence from one of its sessions.
    Entitled,
    /// One of the account's own sessions.
    Owner,
}

/// One call of one hook.
pub struct Context<'a> {
    /// The domain that the hook acts for.
    pub hosted: &'a Hosted,
    /// The live server.
    pub switchboard: &'a dyn Switchboard,
    /// Time of the stanza's arrival.
    pub now: Timestamp,
    /// What modules remember between calls.
    pub(crate) modules: &'a Modules,
    /// In a box, made when there is something: every future of a hook holds a context.
    sent: Mutex<Option<Box<Sent>>>,
}

/// What a handler has sent.
#[derive(Default)]
struct Sent {
    /// Stanzas for hosted domains; handled when the handler has ended, in order.
    pending: VecDeque<Stanza>,
    /// What those for other servers have to wait for.
    sending: Vec<Later>,
    /// Messages in queues of sessions whose clients are not there.
    waiting: Vec<Stanza>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        modules: &'a Modules,
        hosted: &'a Hosted,
        switchboard: &'a dyn Switchboard,
        now: Timestamp,
    ) -> Self {
        Self {
            hosted,
            switchboard,
            now,
            modules,
            sent: Mutex::default(),
        }
    }

    /// Rows of the domain.
    pub fn store(&self) -> &DomainStore {
        &self.hosted.store
    }

    /// Whether the address belongs to an account of this domain.
    pub(crate) fn is_account(&self, jid: &Jid) -> bool {
        jid.local().is_some() && jid.domain() == self.hosted.domain.as_str()
    }

    /// Sends a stanza on its way: to another server now, to a hosted domain when the current handler has ended. The order
    /// per pair of addresses is kept (ROUTE-02); hosted domains never leave the process (ROUTE-08).
    pub fn send(&self, stanza: Stanza) {
        let Some(to) = stanza.to() else { return };
        if self.switchboard.hosts(to.domain()) {
            self.sent()
                .get_or_insert_default()
                .pending
                .push_back(stanza);
        } else if let Some(later) = self.switchboard.route(stanza) {
            self.sent().get_or_insert_default().sending.push(later);
        }
    }

    fn sent(&self) -> MutexGuard<'_, Option<Box<Sent>>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands an answer (iq result, any error) to whoever asked.
    pub fn answer(&self, reply: Stanza) {
        self.hand(reply);
    }

    /// Hands a stanza to a session that is known to want it: straight into its queue if it is one of ours.
    pub fn hand(&self, stanza: Stanza) {
        let one = stanza.to().is_some_and(|to| to.resource().is_some());
        // A session that has ended meanwhile is left to the rules of delivery, like anybody elsewhere.
        if !(one && self.switchboard.offer(&stanza)) {
            self.send(stanza);
        }
    }

    /// A message that was handed to a session whose client is not there: once the handler has ended, modules of the session's
    /// domain hear of it ([`crate::hooks::message_waits`]).
    pub(crate) fn waits(&self, message: Stanza) {
        self.sent().get_or_insert_default().waiting.push(message);
    }

    /// Answers with an error, unless the stanza is itself an answer (STANZA-07).
    pub fn refuse(&self, stanza: &Stanza, refusal: impl Into<Refusal>) {
        if let Some(reply) = stanza.error_reply(&refusal.into().0) {
            self.answer(reply);
        }
    }

    /// Contacts that a roster of this domain may hold.
    pub(crate) fn roster_items(&self) -> usize {
        self.modules
            .limits
            .roster_items
            .min(self.hosted.quota.roster_items())
    }

    pub(crate) fn next_pending(&self) -> Option<Stanza> {
        self.sent().as_mut()?.pending.pop_front()
    }

    pub(crate) fn next_waiting(&self) -> Option<Stanza> {
        self.sent().as_mut()?.waiting.pop()
    }

    /// What has to be over before what was sent to another server would survive a crash.
    pub(crate) fn next_sending(&self) -> Option<Later> {
        self.sent().as_mut()?.sending.pop()
    }
}

/// Why something is refused, and what the other side hears of it.
#[derive(Debug)]
pub struct Refusal(Box<StanzaError>);

impl Refusal {
    /// Condition with its default type (RFC 6120 8.3.3).
    pub fn new(condition: Condition) -> Self {
        Self(Box::new(StanzaError::new(condition)))
    }

    /// With a safe English text for people.
    #[must_use]
    pub fn with_text(mut self, text: impl Into<String>) -> Self {
        self.0.text = Some(text.into());
        self
    }

    /// What people read of it.
    pub fn text(&self) -> Option<&str> {
        self.0.text.as_deref()
    }

    /// The condition.
    pub fn condition(&self) -> Condition {
        self.0.condition
    }
}

impl From<Condition> for Refusal {
    fn from(condition: Condition) -> Self {
        Self::new(condition)
    }
}

/// For errors with more than a condition and a text, such as an application's own element.
impl From<StanzaError> for Refusal {
    fn from(error: StanzaError) -> Self {
        Self(Box::new(error))
    }
}

/// What the other side hears when the store fails; the cause is logged here, once.
pub(crate) fn store_failed(error: &StoreError, account: &BareJid, doing: &str) -> Refusal {
    tracing::error!(domain = account.domain(), account = %account, error = %error, "{doing} failed");
    if error.is_temporary() {
        // The same stanza may be taken later: type "wait" (RFC 6120 8.3.3.18).
        return Refusal::new(Condition::ResourceConstraint)
            .with_text("the service cannot store anything at the moment; try again later");
    }
    Condition::InternalServerError.into()
}

/// Available or unavailable: presence proper, not about subscriptions.
pub(crate) fn is_plain_presence(type_: StanzaType) -> bool {
    matches!(type_, StanzaType::Available | StanzaType::Unavailable)
}
