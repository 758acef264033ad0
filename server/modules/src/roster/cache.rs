//! Rosters in memory, bounded in bytes, shared by everything that asks who is who.
//!
//! Why: presence is broadcast to the roster, messages and iq ask for standing by it, and a client fetches it at each
//! login; reading it from the store each time would be most of the cost. A cached roster is replaced whole on each change
//! and compared by version on each edit, so a stale copy is found out by the store (`Applied::Stale`) and read again.
//! Refuses: being the truth.

use std::sync::Arc;

use xmpp::jid::BareJid;
use xmpp::stanza::Condition;

use crate::archive::Preferences;
use crate::blocking::BlockList;
use crate::context::{Context, Refusal, store_failed};
use crate::memory::{Aging, SHARDS, Sharded};
use store::{
    AccountId, Applied, Avatar, ItemEdit, RequestEdit, RosterEdit, RosterItem, StoreError,
};

/// An account's roster as of one version.
#[derive(Clone, Debug)]
pub(crate) struct Roster {
    pub(crate) account: AccountId,
    pub(crate) version: i64,
    /// By address.
    items: Vec<RosterItem>,
    /// Who asked for a subscription and waits, by address.
    requests: Vec<BareJid>,
    /// What the account wants archived.
    pub(crate) preferences: Preferences,
    /// Whom the account has blocked.
    pub(crate) blocked: BlockList,
    /// The picture that it shows.
    pub(crate) avatar: Option<Avatar>,
    /// Some of its clients want to be woken (XEP-0357).
    pub(crate) pushes: bool,
}

impl Roster {
    pub(crate) fn get(&self, jid: &str) -> Option<&RosterItem> {
        let at = self.items.binary_search_by(|i| i.jid.as_str().cmp(jid));
        at.ok().map(|at| &self.items[at])
    }

    pub(crate) fn items(&self) -> &[RosterItem] {
        &self.items
    }

    pub(crate) fn requests(&self) -> &[BareJid] {
        &self.requests
    }

    pub(crate) fn has_request(&self, from: &str) -> bool {
        self.requests
            .binary_search_by(|r| r.as_str().cmp(from))
            .is_ok()
    }

    /// Contacts that see the account's presence.
    pub(crate) fn subscribers(&self) -> impl Iterator<Item = &RosterItem> {
        self.items
            .iter()
            .filter(|i| i.subscription.seen_by_contact())
    }

    /// Contacts whose presence the account sees.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = &RosterItem> {
        self.items.iter().filter(|i| i.subscription.sees_contact())
    }

    /// The same after an edit that made `version`.
    fn after(&self, edit: RosterEdit, version: i64) -> Self {
        let mut next = self.clone();
        next.version = version;
        match edit.item {
            ItemEdit::Keep => {}
            ItemEdit::Put(mut item) => {
                item.version = version;
                match next.items.binary_search_by(|i| i.jid.cmp(&item.jid)) {
                    Ok(at) => next.items[at] = item,
                    Err(at) => next.items.insert(at, item),
                }
            }
            ItemEdit::Remove(jid) => next.items.retain(|i| i.jid != jid),
        }
        match edit.request {
            RequestEdit::Keep => {}
            RequestEdit::Put { from, .. } => {
                if let Err(at) = next.requests.binary_search(&from) {
                    next.requests.insert(at, from);
                }
            }
            RequestEdit::Remove(jid) => next.requests.retain(|r| *r != jid),
        }
        next
    }

    /// About what it occupies, in bytes.
    fn weight(&self) -> usize {
        let items = self.items.iter().map(|i| {
            let groups = i.groups.iter().map(|g| g.len() + 32).sum::<usize>();
            i.jid.as_str().len() + i.name.len() + groups + 128
        });
        let requests = self.requests.iter().map(|r| r.as_str().len() + 40);
        256 + items.sum::<usize>()
            + requests.sum::<usize>()
            + self.preferences.weight()
            + self.blocked.weight()
    }
}

/// The cache. See the file's head. That an account does not exist is remembered too, so that asking for it takes as long as
/// asking for one that does (ROUTE-10).
#[derive(Debug)]
pub(crate) struct RosterCache(Sharded<Aging<BareJid, Option<Arc<Roster>>>>);

/// What remembering a missing account weighs.
const ABSENT: usize = 128;

impl RosterCache {
    pub(crate) fn new(bytes: usize) -> Self {
        // Two generations per shard.
        Self(Sharded::with(|| Aging::new(bytes / SHARDS / 2)))
    }

    /// One of the account's own sessions speaks: whoever was told a moment ago that there is no such account, there is now.
    pub(crate) fn exists(&self, account: &BareJid) {
        if self.get(account).is_some_and(|known| known.is_none()) {
            self.forget(account);
        }
    }

    pub(crate) fn forget(&self, account: &BareJid) {
        self.0.of(account.as_str()).remove(account);
    }

    pub(crate) fn forget_domain(&self, domain: &str) {
        for shard in self.0.all() {
            shard.retain(|account| account.domain() != domain);
        }
    }

    pub(crate) fn get(&self, account: &BareJid) -> Option<Option<Arc<Roster>>> {
        self.0.of(account.as_str()).get(account)
    }

    /// As [`Self::get`], without a share of the roster for whoever asks: `look` must be quick.
    pub(crate) fn look<R>(
        &self,
        account: &str,
        look: impl FnOnce(Option<&Option<Arc<Roster>>>) -> R,
    ) -> R {
        self.0.of(account).look(account, look)
    }

    fn insert(&self, account: &BareJid, roster: Option<Arc<Roster>>) {
        let weight = roster.as_ref().map_or(ABSENT, |r| r.weight());
        self.0
            .of(account.as_str())
            .insert(account.clone(), roster, weight);
    }
}

/// Times that an edit is decided afresh because another process changed the roster in between.
const ATTEMPTS: usize = 8;

impl Context<'_> {
    /// The account's roster; `None` if there is no such account at this domain.
    ///
    /// # Errors
    /// The store cannot be read; logged, to be answered with the error.
    pub(crate) async fn roster(&self, account: &BareJid) -> Result<Option<Arc<Roster>>, Refusal> {
        if let Some(known) = self.modules.rosters.get(account) {
            return Ok(known);
        }
        // Boxed: every request that asks for a roster would carry room for reading one.
        Box::pin(self.load(account))
            .await
            .map_err(|e| store_failed(&e, account, "reading a roster"))
    }

    async fn load(&self, account: &BareJid) -> Result<Option<Arc<Roster>>, StoreError> {
        let Some(local) = account.local() else {
            return Ok(None);
        };
        // A suspended account is to others as if it were not there.
        let Some(opened) = self.store().account_open(local).await? else {
            self.modules.rosters.insert(account, None);
            return Ok(None);
        };
        let stored = self.store().roster_load(opened.id).await?;
        let mut roster = Roster {
            account: opened.id,
            blocked: BlockList::read(opened.blocked.as_deref()),
            preferences: Preferences::read(opened.archive_preferences.as_deref()),
            avatar: opened.avatar,
            pushes: opened.pushes,
            version: stored.version,
            items: stored.items,
            requests: stored.requests,
        };
        roster.requests.sort();
        let roster = Arc::new(roster);
        self.modules.rosters.insert(account, Some(roster.clone()));
        Ok(Some(roster))
    }

    /// Changes a roster: `decide` looks at it and says what to change (nothing is possible) and what the caller wants to
    /// know. It may be called again when another process was faster. The caller holds the account's turn.
    ///
    /// Returns the roster afterwards, committed.
    ///
    /// # Errors
    /// What `decide` refuses, or the store's failure; then nothing has changed.
    pub(crate) async fn roster_edit<T>(
        &self,
        account: &BareJid,
        mut decide: impl FnMut(&Roster) -> Result<(Option<RosterEdit>, T), Refusal> + Send,
    ) -> Result<Option<(Arc<Roster>, T)>, Refusal> {
        let failed = |e: StoreError| store_failed(&e, account, "changing a roster");
        for _ in 0..ATTEMPTS {
            let Some(roster) = self.roster(account).await? else {
                return Ok(None);
            };
            let (edit, outcome) = decide(&roster)?;
            let Some(edit) = edit else {
                return Ok(Some((roster, outcome)));
            };
            let applied = self
                .store()
                .roster_apply(roster.account, roster.version, &edit)
                .await;
            match applied {
                Ok(Applied::Done { version }) => {
                    let next = Arc::new(roster.after(edit, version));
                    self.modules.rosters.insert(account, Some(next.clone()));
                    return Ok(Some((next, outcome)));
                }
                Ok(Applied::Stale) => self.modules.rosters.forget(account),
                Err(error) => {
                    // Whether it was committed is unknown: believe nothing.
                    self.modules.rosters.forget(account);
                    return Err(failed(error));
                }
            }
        }
        Err(Refusal::new(Condition::ResourceConstraint)
            .with_text("the roster is being changed elsewhere; try again"))
    }
}
