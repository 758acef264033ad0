//! Offline messages, XEP-0160 version 1.0.1, with the delay stamps of XEP-0203 version 2.0.
//!
//! A message is kept before its sender's stream goes on, and leaves the store only after it has been written to the
//! socket of the session that it was handed to: a crash in between delivers it twice rather than never. Until it is known
//! whether the socket took it, no other session is handed anything, unless the client of the first is not there (XEP-0198):
//! then one that is gets it, and the first as well when it is back. Batches follow one another as they are written, so that a
//! full store never floods a queue. What a session gets at once and acknowledges later is in the store meanwhile, unless an
//! archive has it ([`backing`]). Refuses: group chat, headlines and errors, bare chat states, and what asks not to be kept
//! (XEP-0334).

mod backing;

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use store::{AccountId, ArchiveId, OfflineMessage};
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Stanza, StanzaType, delay};
use xmpp::timestamp::Timestamp;

pub use self::backing::Backed;
use self::backing::Left;
pub(crate) use self::backing::{Backing, back, moved};
use crate::archive;
use crate::content::Content;
use crate::context::{Context, Hosted, Refusal, store_failed};
use crate::info::{Hooks, ModuleInfo, Spec};
use crate::memory::{Aging, Modules, SHARDS, Sharded, lock};
use crate::module::{Module, Undeliverable};
use crate::passage::{Glance, Passage};
use crate::switchboard::SessionView;

/// The module.
pub(crate) struct Offline;

static INFO: ModuleInfo = ModuleInfo {
    name: "offline",
    about: "keeps messages while nobody is there, and delivers them with the time they came",
    specs: &[Spec::Xep(160, "1.0.1"), Spec::Xep(203, "2.0")],
    switchable: true,
    iq: &[],
    hooks: Hooks::MESSAGE_PASSAGE
        .and(Hooks::MESSAGE_UNDELIVERABLE)
        .and(Hooks::SESSION_AVAILABLE)
        .and(Hooks::SESSION_GONE),
    server_features: &["msgoffline", ns::HINTS],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

/// Messages handed over at a time, before the session's socket has to have taken them.
const BATCH: u32 = 50;
/// Bytes after which a batch ends early.
const BATCH_BYTES: usize = 64 << 10;

/// Messages that were handed to a session and may not have left the store yet. At most one session per account is being
/// handed anything.
#[derive(Debug, Default)]
pub(crate) struct Handed(Sharded<Mutex<HashMap<BareJid, Handing>>>);

#[derive(Debug)]
struct Handing {
    session: Jid,
    /// Rows of each batch of which it is not known yet whether it was written, or which is about to leave the store, with the
    /// number of its mark.
    open: Vec<(u64, Vec<i64>)>,
    /// Number of the last mark.
    marks: u64,
    /// Rows that were written and could not be removed: the same session does not get them again.
    stuck: Vec<i64>,
}

/// Stands in a session's queue behind messages that were handed over together, and goes wherever they go: to
/// [`crate::hooks::session_written`] or to [`crate::hooks::session_unwritten`], and never to both.
#[derive(Debug, Default)]
pub struct Mark {
    number: u64,
    /// Rows of the messages, in the order of the queue.
    rows: Vec<i64>,
    /// Rows of which nothing is left to deliver.
    empty: Vec<i64>,
    /// It stands behind a message that was handed over at once, of this number.
    backs: Option<u64>,
    /// What that leads to once the mark is given back.
    left: Left,
}

impl Mark {
    fn backing(number: u64) -> Self {
        Self {
            backs: Some(number),
            ..Self::default()
        }
    }

    /// Number of the message that it stands behind, which the session was handed at once ([`Backed`]).
    pub fn backed(&self) -> Option<u64> {
        self.backs
    }

    /// The queue had room for the first `taken` messages alone.
    pub fn shorten(&mut self, taken: usize) {
        self.rows.truncate(taken);
    }

    fn all(&self) -> Vec<i64> {
        self.rows.iter().chain(&self.empty).copied().collect()
    }
}

/// Accounts for which nothing is kept, as far as was seen: their sessions come without a look into the store. Messages are
/// kept by the live server and nobody else, and each says so here before it is written and after ([`Keeping`]); what was seen
/// before the latter is not believed. What only backs a session's queue says so when no session holds it any more. Accounts share counters, so that one may be looked at once more than it had to be.
#[derive(Debug)]
pub(crate) struct Nothing(Sharded<Seen>);

#[derive(Debug)]
struct Seen {
    /// Grows whenever a message begins or ends being kept for one of the shard's accounts.
    kept: AtomicU64,
    /// Until then nothing is sure (µs); 0: there is no doubt.
    doubt: AtomicI64,
    /// Accounts, with the counter from before the look that found nothing.
    empty: Aging<BareJid, u64>,
}

/// Accounts for which it is remembered that nothing is kept, in each of two generations.
const NOTHING_REMEMBERED: usize = 40_000;
/// A write that nobody waits for any more has been carried out or given up after this, in microseconds.
const UNSEEN_WRITE: i64 = 120_000_000;

impl Default for Nothing {
    fn default() -> Self {
        Self(Sharded::with(|| Seen {
            kept: AtomicU64::new(0),
            doubt: AtomicI64::new(0),
            empty: Aging::new(NOTHING_REMEMBERED / SHARDS),
        }))
    }
}

impl Nothing {
    /// To be called before looking; what it gives is for [`Nothing::saw`].
    fn look(&self, account: &BareJid) -> u64 {
        self.0.of(account.as_str()).kept.load(Ordering::SeqCst)
    }

    /// Somebody else may have kept something for it.
    pub(crate) fn kept(&self, account: &BareJid) {
        self.0
            .of(account.as_str())
            .kept
            .fetch_add(1, Ordering::SeqCst);
    }

    /// The store had nothing.
    fn saw(&self, account: &BareJid, look: u64) {
        let seen = self.0.of(account.as_str());
        seen.empty.insert(account.clone(), look, 1);
    }

    /// Whether there is nothing for sure.
    fn sure(&self, account: &BareJid, now: Timestamp) -> bool {
        let seen = self.0.of(account.as_str());
        let doubt = seen.doubt.load(Ordering::SeqCst);
        if doubt != 0 {
            if now.0 >= doubt {
                // What was seen in the time of doubt counts for nothing.
                seen.kept.fetch_add(1, Ordering::SeqCst);
                let _ = seen
                    .doubt
                    .compare_exchange(doubt, 0, Ordering::SeqCst, Ordering::SeqCst);
            }
            return false;
        }
        seen.empty.get(account) == Some(seen.kept.load(Ordering::SeqCst))
    }
}

/// A message is being kept for an account.
struct Keeping<'a> {
    seen: &'a Seen,
    now: Timestamp,
    ended: bool,
}

impl<'a> Keeping<'a> {
    fn begin(nothing: &'a Nothing, account: &BareJid, now: Timestamp) -> Self {
        let seen = nothing.0.of(account.as_str());
        seen.kept.fetch_add(1, Ordering::SeqCst);
        Self {
            seen,
            now,
            ended: false,
        }
    }

    /// It is in the store, or surely not.
    fn end(mut self) {
        self.ended = true;
    }
}

impl Drop for Keeping<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // The sender's stream ended meanwhile: the store writes what it was given all the same, at some moment.
            let until = self.now.0.saturating_add(UNSEEN_WRITE);
            self.seen.doubt.fetch_max(until, Ordering::SeqCst);
        }
        self.seen.kept.fetch_add(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Module for Offline {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn keeps(&self, message: &Stanza) -> bool {
        matches!(message.type_(), StanzaType::Normal | StanzaType::Chat) && worth_keeping(message)
    }

    fn message_concerns(&self, _: &Modules, hosted: &Hosted, glance: &Glance<'_>) -> bool {
        pretended(hosted, glance).is_some()
    }

    async fn message_passing(
        &self,
        cx: &Context<'_>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        if let Some(clean) = pretended(cx.hosted, &passage.glance()) {
            passage.message = clean;
        }
        Ok(())
    }

    async fn session_returned(&self, cx: &Context<'_>, session: &Jid) {
        to_session(cx, session).await;
    }

    async fn message_undeliverable(&self, cx: &Context<'_>, message: &Stanza) -> Undeliverable {
        if !matches!(message.type_(), StanzaType::Normal | StanzaType::Chat) {
            return Undeliverable::Pass;
        }
        let Some(account) = message.to().map(Jid::bare) else {
            return Undeliverable::Pass;
        };
        let kept = match cx.roster(&account).await {
            // The same for accounts that do not exist and for what is not worth keeping: silence.
            Ok(None) => return Undeliverable::Dropped,
            Ok(Some(_)) if !worth_keeping(message) => return Undeliverable::Dropped,
            Ok(Some(roster)) => {
                let keeping = Keeping::begin(&cx.modules.nothing, &account, cx.now);
                let kept = keep(cx, roster.account, message).await;
                // Of a connection that broke the outcome is unknown.
                if !matches!(kept, Err(store::StoreError::Unavailable(_))) {
                    keeping.end();
                }
                kept.map(|kept| (kept, roster.account))
                    .map_err(|e| store_failed(&e, &account, "keeping a message"))
            }
            Err(error) => Err(error),
        };
        match kept {
            Ok((None, row)) => {
                // A session may have come while this was being written, and found nothing.
                let taker = taker(cx, &account);
                if let Some(session) = taker {
                    hand_over(cx, &account, row, &session.jid).await;
                }
                Undeliverable::Kept
            }
            Ok((Some(full), _)) => Undeliverable::Refused(full.to_text(cx)),
            Err(error) => {
                cx.refuse(message, error);
                Undeliverable::Dropped
            }
        }
    }

    async fn session_available(&self, cx: &Context<'_>, now: &SessionView, before: &SessionView) {
        if now.takes_messages() && !before.takes_messages() {
            to_session(cx, &now.jid).await;
        }
    }

    async fn session_gone(&self, cx: &Context<'_>, gone: &SessionView) {
        let account = gone.jid.bare();
        if cx.modules.handed.unstick(&account, &gone.jid)
            && let Some(other) = taker(cx, &account)
        {
            to_session(cx, &other.jid).await;
        }
    }
}

/// The session's socket took what is before the mark: it leaves the store, and the next batch follows.
pub(crate) async fn written(cx: &Context<'_>, session: &Jid, mark: Mark) {
    if let Some(number) = mark.backed() {
        return backing::had(cx, session, number).await;
    }
    let account = session.bare();
    let handed = &cx.modules.handed;
    let Ok(Some(roster)) = cx.roster(&account).await else {
        return handed.stuck(&account, session, &mark);
    };
    let removed = cx.store().offline_remove(roster.account, &mark.all()).await;
    if let Err(error) = removed {
        // They come again with the next session.
        tracing::error!(account = %account, error = %error, "removing delivered messages failed");
        return handed.stuck(&account, session, &mark);
    }
    handed.done(&account, session, &mark);
    // It may have ended meanwhile, and another may have come that was handed nothing.
    let alive = cx.switchboard.sessions(&account);
    if alive.iter().any(|s| s.jid == *session && !s.ending) {
        hand_over(cx, &account, roster.account, session).await;
    } else if let Some(other) = taker(cx, &account) {
        hand_over(cx, &account, roster.account, &other.jid).await;
    }
}

/// It did not, and never will: the messages are there for another session.
pub(crate) async fn unwritten(cx: &Context<'_>, session: &Jid, mark: Mark) {
    let account = session.bare();
    if mark.backed().is_some() {
        return backing::see_to(cx, &account, mark.left).await;
    }
    cx.modules.handed.done(&account, session, &mark);
    if let Some(other) = taker(cx, &account) {
        to_session(cx, &other.jid).await;
    }
}

/// Of what there is no room for one more message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Full {
    /// The account's messages.
    Messages,
    /// The bytes of all that waits in the tenant's domains.
    Bytes,
}

impl Full {
    /// What a contact hears whose message is one too many.
    fn to_text(self, cx: &Context<'_>) -> String {
        match self {
            Self::Messages => {
                let most = cx.modules.limits.offline_messages;
                format!(
                    "no more can wait for this account: at most {most} messages wait; write again once they have been read"
                )
            }
            Self::Bytes => {
                let most = cx.hosted.quota.offline_bytes();
                format!(
                    "no more can wait for this account: what waits in the domains that its own is part of has at most {most} bytes; \
                     write again once some of it has been read"
                )
            }
        }
    }

    /// Key of the limit in the configuration.
    fn limit(self) -> &'static str {
        match self {
            Self::Messages => "offline_messages",
            Self::Bytes => "offline_bytes_per_tenant",
        }
    }
}

/// Commits a message; `Some`: the account or its tenant has no room for it (DOS-10).
async fn keep(
    cx: &Context<'_>,
    account: AccountId,
    message: &Stanza,
) -> Result<Option<Full>, store::StoreError> {
    let most = cx.modules.limits.offline_messages;
    let address = message.to().map(Jid::bare);
    if let Some(id) = address.and_then(|to| archive::id_in(cx.hosted, &to, message)) {
        // It is in the archive already, and waits there.
        let at = Timestamp(id.at);
        let waits = cx
            .store()
            .offline_add_archived(account, at, id, most)
            .await?;
        if waits.is_some() || cx.store().archive_get(account, id).await?.is_some() {
            let full = waits.is_none().then_some(Full::Messages);
            if let Some(full) = full {
                cx.switchboard.limited(full.limit());
            }
            return Ok(full);
        }
    }
    let added = add_row(cx, account, message, cx.now).await?;
    if let Err(full) = added {
        cx.switchboard.limited(full.limit());
    }
    Ok(added.err())
}

/// Commits a message that came `at` this time as a row of its own, if there is room for it.
async fn add_row(
    cx: &Context<'_>,
    account: AccountId,
    message: &Stanza,
    at: Timestamp,
) -> Result<Result<i64, Full>, store::StoreError> {
    let most = cx.modules.limits.offline_messages;
    let bytes = message.bytes();
    let quota = &cx.hosted.quota;
    if !quota.room_offline(cx.store(), bytes.len(), cx.now).await? {
        return Ok(Err(Full::Bytes));
    }
    let row = cx.store().offline_add(account, at, bytes, most).await;
    if !matches!(row, Ok(Some(_))) {
        quota.offline_freed(bytes.len() as u64);
    }
    Ok(row?.ok_or(Full::Messages))
}

/// The account's client fetches messages up to this one from the archive itself.
pub(crate) async fn fetched(cx: &Context<'_>, account: &BareJid, row: AccountId, last: ArchiveId) {
    if cx.modules.nothing.sure(account, cx.now) {
        return;
    }
    if let Err(error) = cx.store().offline_remove_archived(row, last.at).await {
        // They come twice then.
        tracing::error!(account = %account, error = %error, "messages that are in the archive still wait");
    }
}

/// Whether anybody would want to find it later (XEP-0160 3, XEP-0334 4). What is not to be stored for good may wait.
pub(crate) fn worth_keeping(message: &Stanza) -> bool {
    let content = Content::of(message);
    if content.any(Content::NO_STORE) {
        return false;
    }
    content.any(Content::STORE) || !is_of_the_moment(message)
}

/// Whether it is of chat states alone, with or without a thread.
pub(crate) fn is_of_the_moment(message: &Stanza) -> bool {
    let content = Content::of(message);
    let hints = Content::HINT.and(Content::STORE).and(Content::NO_COPY);
    let hints = hints
        .and(Content::NO_STORE)
        .and(Content::NO_PERMANENT_STORE);
    let of_the_moment = Content::CHAT_STATE.and(Content::THREAD).and(hints);
    !content.is_empty() && content.only(of_the_moment)
}

/// A session that takes messages to the account: one whose client is there rather than one that waits for it, then the one of
/// highest priority. One that is ending takes none: what it is handed comes back at once, to be handed to somebody.
fn taker(cx: &Context<'_>, account: &BareJid) -> Option<SessionView> {
    cx.switchboard
        .sessions(account)
        .into_iter()
        .filter(|session| session.takes_messages() && !session.ending)
        .max_by_key(|s| (!s.away, s.priority))
}

async fn to_session(cx: &Context<'_>, session: &Jid) {
    let account = session.bare();
    if cx.modules.nothing.sure(&account, cx.now) {
        return;
    }
    if let Ok(Some(roster)) = cx.roster(&account).await {
        hand_over(cx, &account, roster.account, session).await;
    }
}

/// Hands the next batch to a session, in the order of arrival, with a mark at its end.
async fn hand_over(cx: &Context<'_>, account: &BareJid, row: AccountId, session: &Jid) {
    // One at a time per account: the same message is not read twice in between.
    let _turn = cx.modules.turn(account).await;
    let alive = cx.switchboard.sessions(account);
    let Some(handed) = cx.modules.handed.of(account, session, &alive) else {
        return;
    };
    let reading = cx.modules.backing.reading(account);
    let held = reading.held();
    let limit = BATCH + u32::try_from(handed.len() + held.len()).unwrap_or(BATCH);
    let look = cx.modules.nothing.look(account);
    // Always from the start: row numbers may become visible out of order.
    let stored = match cx.store().offline_list(row, 0, limit).await {
        Ok(stored) => stored,
        Err(error) => {
            tracing::error!(account = %account, error = %error, "reading kept messages failed");
            return;
        }
    };
    if stored.is_empty() {
        cx.modules.nothing.saw(account, look);
    }
    let mut mark = Mark::default();
    let (mut messages, mut bytes) = (Vec::new(), 0);
    // Before and after: rows come and go meanwhile.
    let since = reading.held();
    drop(reading);
    let waits = |m: &&OfflineMessage| !(handed.contains(&m.id) || held.has(m) || since.has(m));
    for message in stored.iter().filter(waits) {
        match stamped(cx, account, message) {
            Some(stanza) => {
                bytes += stanza.bytes().len();
                messages.push(stanza);
                mark.rows.push(message.id);
            }
            None => mark.empty.push(message.id),
        }
        if bytes >= BATCH_BYTES {
            break;
        }
    }
    if !(mark.rows.is_empty() && mark.empty.is_empty()) {
        cx.modules.handed.add(account, session, &mut mark);
        cx.switchboard.deliver_marked(session, messages, mark);
    }
}

/// A delay that somebody else says in the name of the domain: a message that has one counts as kept here, and whoever could
/// write it could have the message lost with the session that it was queued for (XEP-0203 3: `from` is who delayed it). The
/// message without it.
fn pretended(hosted: &Hosted, glance: &Glance<'_>) -> Option<Stanza> {
    if !glance.content.any(Content::DELAY) {
        return None;
    }
    let domain = hosted.domain.as_str();
    glance.message.without(|child| {
        (child.name, child.ns) == ("delay", ns::DELAY)
            && child.attr("from").as_deref() == Some(domain)
    })
}

/// The message with the time it came (XEP-0203); `None` if the archive has let go of it, or if what was stored is no stanza,
/// which is logged.
fn stamped(cx: &Context<'_>, account: &BareJid, message: &OfflineMessage) -> Option<Stanza> {
    if message.stanza.is_empty() {
        return None;
    }
    match Stanza::from_bytes(&message.stanza) {
        Ok(mut stanza) => {
            if let Some(id) = message.archived {
                stanza = stanza.with_child_written(&archive::stanza_id(account, id));
            }
            let here = Jid::from(cx.hosted.domain.clone());
            Some(stanza.with_child(&delay(&here, message.at)))
        }
        Err(error) => {
            tracing::error!(account = %account, row = message.id, error = %error, "a kept message is unreadable");
            None
        }
    }
}

impl Handing {
    /// The session's mark has come back.
    fn close(&mut self, session: &Jid, mark: &Mark) {
        if self.session == *session {
            self.open.retain(|(number, _)| *number != mark.number);
        }
    }
}

impl Handed {
    /// Rows handed to this session that may still be in the store; `None` if another session is being served. One whose client
    /// is not there holds up none whose client is: what is in its queue stays there, for its client to have too.
    fn of(&self, account: &BareJid, session: &Jid, alive: &[SessionView]) -> Option<Vec<i64>> {
        let mut handings = lock(self.0.of(account.as_str()));
        let handing = handings.get(account);
        // One may have ended before it was noted what could not be removed.
        let view = |jid: &Jid| alive.iter().find(|s| s.jid == *jid);
        let over = handing.is_some_and(|h| match view(&h.session) {
            None => h.open.is_empty(),
            Some(holder) => {
                holder.away && view(session).is_some_and(|s| !s.away && s.jid != h.session)
            }
        });
        if over {
            handings.remove(account);
        }
        match handings.get(account) {
            Some(handing) if handing.session != *session => None,
            Some(handing) => {
                let open = handing.open.iter().flat_map(|(_, rows)| rows);
                Some(open.chain(&handing.stuck).copied().collect())
            }
            None => Some(Vec::new()),
        }
    }

    fn add(&self, account: &BareJid, session: &Jid, mark: &mut Mark) {
        let mut handings = lock(self.0.of(account.as_str()));
        let handing = handings.entry(account.clone()).or_insert_with(|| Handing {
            session: session.clone(),
            open: Vec::new(),
            marks: 0,
            stuck: Vec::new(),
        });
        handing.marks += 1;
        mark.number = handing.marks;
        handing.open.push((mark.number, mark.all()));
    }

    /// The batch has left the store, or goes back to it.
    fn done(&self, account: &BareJid, session: &Jid, mark: &Mark) {
        self.change(account, |handing| handing.close(session, mark));
    }

    /// The batch was written, and is still in the store.
    fn stuck(&self, account: &BareJid, session: &Jid, mark: &Mark) {
        self.change(account, |handing| {
            handing.close(session, mark);
            if handing.session == *session {
                handing.stuck.extend(mark.all());
            }
        });
    }

    /// The session ended; says whether something that it was handed is still in the store and goes to another now.
    fn unstick(&self, account: &BareJid, session: &Jid) -> bool {
        let mut had = false;
        self.change(account, |handing| {
            if handing.session == *session {
                had = !std::mem::take(&mut handing.stuck).is_empty();
            }
        });
        had
    }

    fn change(&self, account: &BareJid, change: impl FnOnce(&mut Handing)) {
        let mut handings = lock(self.0.of(account.as_str()));
        if let Some(handing) = handings.get_mut(account) {
            change(handing);
            if handing.open.is_empty() && handing.stuck.is_empty() {
                handings.remove(account);
            }
        }
    }
}

#[cfg(test)]
mod tests;
