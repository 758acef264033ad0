//! Sessions whose connection is gone: kept for their time, taken up by another connection, or ended (XEP-0198 5). When the
//! server stops they go into the store, and come back when it starts.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use modules::{SessionUpdate, hooks};
use store::{KeptSession, Store, StoreError};
use tokio::time::Instant;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::stanza::{Kind, Stanza};
use xmpp::stream::{NotResumed, Order, StreamCondition, StreamError};
use xmpp::timestamp::Timestamp;

use super::Router;
use super::messages::is_from_offline;
use crate::net::now;
use crate::session::resumption::{Absence, TakeUp};
use crate::session::{Outbox, Remains, Session};
use crate::tenancy::Domain;

/// Sessions written to the store at a time.
const WRITTEN_AT_ONCE: usize = 64;
/// Sessions read from it at a time.
const PAGE: u32 = 100;
/// However long the server was not there, clients have so long to come back.
const AFTER_START: Duration = Duration::from_secs(60);
/// What waits for a session in the store waits so long at most: its account may log in no more, its domain is not served, or it
/// cannot be read.
const LONGEST: Duration = Duration::from_secs(90 * 24 * 60 * 60);
/// Word for the priority of a session's presence in the store.
const PRIORITY: &str = "priority:";
/// … and of the lines that say whom it has shown itself to (RFC 6121 4.6).
const SHOWN: &str = "shown to ";
/// How long a connection that still has a session may take to let go of it.
const YIELD: Duration = Duration::from_secs(10);

impl Router {
    /// The connection of a session has ended; it may outlive it, and has handled `handled` stanzas of its client. `false`: it
    /// ends like any other ([`Router::ended`]).
    pub fn left(&self, session: &Arc<Session>, handled: u32, unwritten: Vec<Bytes>) -> bool {
        let Some(absence) = session.leave(handled, unwritten) else {
            return false;
        };
        self.metrics.sessions_away.inc();
        if self.may_wake(session) {
            self.wake_absent(session);
        }
        self.wait_for(
            session,
            absence.since,
            Duration::from_secs(absence.seconds.into()),
        );
        true
    }

    /// Whether its client may have to be woken for what it has not got.
    pub(super) fn may_wake(&self, session: &Session) -> bool {
        hooks::may_wake(
            &self.modules,
            &session.domain().hosted,
            session.jid.bare_str(),
        )
    }

    /// What was written to a connection that is dead has not been heard.
    fn wake_absent(&self, session: &Arc<Session>) {
        let (router, session) = (self.this.clone(), session.clone());
        tokio::spawn(async move {
            if let Some(router) = router.upgrade() {
                let left = session.outbox.waiting();
                router.tell_asleep(&session, &left).await;
            }
        });
    }

    /// Modules hear that the session's client is not there, and of the messages among `left` that it has not got.
    pub(super) async fn tell_asleep(&self, session: &Session, left: &[Bytes]) {
        let left = left.iter().filter_map(|item| Stanza::from_bytes(item).ok());
        let left: Vec<Stanza> = left.filter(|item| item.kind() == Kind::Message).collect();
        let domain = Arc::clone(&session.domain());
        let cx = self.modules.context(&domain.hosted, self, now());
        hooks::session_asleep(&cx, &session.jid, &left).await;
    }

    /// Ends the session after this time if nobody has come until then.
    pub(crate) fn wait_for(&self, session: &Arc<Session>, since: Timestamp, time: Duration) {
        let (router, waiting) = (self.this.clone(), Arc::downgrade(session));
        let timer = tokio::spawn(async move {
            tokio::time::sleep(time).await;
            if let (Some(router), Some(session)) = (router.upgrade(), waiting.upgrade()) {
                router.end_absent(&session, Some(since)).await;
            }
        });
        session.ends_by(timer.abort_handle());
    }

    /// Gives a session of this account to another connection, whose client has handled `handled` of what it was sent. A
    /// connection that has it still is told to let go of it (SM-09).
    ///
    /// # Errors
    /// [`NotResumed`]; the session, if there is one, waits on.
    pub async fn resume(
        &self,
        account: &BareJid,
        previd: &str,
        handled: u32,
    ) -> Result<(Arc<Session>, u32), NotResumed> {
        let taken = self.take_up(account, previd, handled).await;
        self.metrics.resumed(match &taken {
            Ok(_) => "resumed",
            Err(_) => "refused",
        });
        taken
    }

    async fn take_up(
        &self,
        account: &BareJid,
        previd: &str,
        handled: u32,
    ) -> Result<(Arc<Session>, u32), NotResumed> {
        let session = self.sessions.resumable_of(account, previd)?;
        let unknown = NotResumed::Unknown { handled: None };
        let left = session.left().ok_or(unknown)?;
        let deadline = Instant::now() + YIELD;
        loop {
            let mut told = pin!(left.notified());
            told.as_mut().enable();
            match session.take_up(handled) {
                TakeUp::Taken(of_client, due) => {
                    self.metrics.sessions_away.dec();
                    if let Some(id) = session.came_back() {
                        self.forget_acknowledged(&session, id);
                        self.returned(&session);
                    }
                    due.into_iter().for_each(|then| drop(tokio::spawn(then)));
                    return Ok((session, of_client));
                }
                TakeUp::No(why) => return Err(why),
                TakeUp::Attached => {
                    session.outbox.order(Order::Yield);
                    let told = tokio::time::timeout_at(deadline, told).await;
                    told.map_err(|_| NotResumed::Busy)?;
                }
            }
        }
    }

    /// Closes the stream of a session, or ends the session if nobody is there.
    pub fn close_session(&self, session: &Arc<Session>, error: StreamError) {
        if session.outbox.order_heard(Order::Close(error.clone())) {
            return;
        }
        let (router, session) = (self.this.clone(), session.clone());
        tokio::spawn(async move {
            let Some(router) = router.upgrade() else {
                return;
            };
            // Another connection may take it up in between, and let go of it again.
            while !router.end_absent(&session, None).await
                && session.is_attached()
                && !session.outbox.order_heard(Order::Close(error.clone()))
                && !session.outbox.is_closed()
            {}
        });
    }

    /// Ends a session at which nobody is, and has not been since `since` if that is given: messages that wait for it find
    /// another way, with the time they came (SM-10). `false`: somebody is, or has been since, or it has ended.
    async fn end_absent(&self, session: &Arc<Session>, since: Option<Timestamp>) -> bool {
        let Some(absence) = self.end_absence(session, since) else {
            return false;
        };
        self.metrics.resumed("expired");
        self.sessions.remember_gone(session, absence);
        self.end(session, timed(session.outbox.remains())).await;
        self.forget_stored(session);
        true
    }

    /// It is kept in the store no longer: its client has what waited for it, or that has gone another way.
    pub(super) fn forget_stored(&self, session: &Session) {
        if let Some(id) = session.forget_stored() {
            self.forget_row(session, id.into());
        }
    }

    /// Its client is back after a restart, and is sent what waited. The store has that until the client has acknowledged it;
    /// the session itself goes on from here, and nobody may take it up from there as it was.
    fn forget_acknowledged(&self, session: &Arc<Session>, id: Box<str>) {
        let rows = session.domain().hosted.store.clone();
        let ending = tokio::spawn(async move {
            if let Err(error) = rows.session_end(&id).await {
                tracing::error!(domain = rows.name(), %error, "a session that was kept and has been taken up can be taken up again");
            }
        });
        let (router, back) = (self.this.clone(), Arc::downgrade(session));
        session.outbox.when_written(Box::pin(async move {
            // One behind the other, or the row would stay.
            drop(ending.await);
            if let (Some(router), Some(session)) = (router.upgrade(), back.upgrade()) {
                router.forget_stored(&session);
            }
        }));
    }

    fn forget_row(&self, session: &Session, id: String) {
        let rows = session.domain().hosted.store.clone();
        tokio::spawn(async move {
            if let Err(error) = rows.session_forget(&id).await {
                tracing::error!(domain = rows.name(), %error, "a session that was kept cannot be forgotten");
            }
        });
    }

    /// Its client is back after a restart: what modules keep for it follows what was kept with it.
    fn returned(&self, session: &Arc<Session>) {
        let (router, session) = (self.this.clone(), session.clone());
        tokio::spawn(async move {
            if let Some(router) = router.upgrade() {
                let domain = Arc::clone(&session.domain());
                let cx = router.modules.context(&domain.hosted, &*router, now());
                hooks::session_returned(&cx, &session.jid).await;
            }
        });
    }

    // --- across a restart ---

    /// Tells every session's stream to close, those that were another connection's before included.
    pub fn close_all(&self, error: &StreamError) {
        for session in self.sessions.matching(|_| true) {
            session.outbox.order(Order::Close(error.clone()));
        }
    }

    /// Writes the sessions at which nobody is to the store; how many. Their contacts go on seeing them.
    pub async fn keep_sessions(&self) -> usize {
        let keeping = self
            .sessions
            .away()
            .into_iter()
            .map(|session| async move { usize::from(self.keep_session(&session).await) });
        let keeping = futures_util::stream::iter(keeping).buffer_unordered(WRITTEN_AT_ONCE);
        keeping.fold(0, async |sum, kept| sum + kept).await
    }

    async fn keep_session(&self, session: &Arc<Session>) -> bool {
        let (Some(id), Some(absence)) = (session.resumption_id(), self.end_absence(session, None))
        else {
            return false;
        };
        // The store has it as the session's from here on.
        let backed = session.stop();
        self.modules.backed_elsewhere(&session.jid, &backed);
        let mut remains = session.outbox.remains();
        // What the offline store has is handed over from there again.
        let mut at = 0;
        remains.items.retain(|(_, item)| {
            at += 1;
            at <= remains.unacknowledged || !is_stored(item, session.jid.domain())
        });
        let view = session.view();
        let mut flags = view.words();
        flags.push(format!("{PRIORITY}{}", view.priority));
        let shown = self.modules.shown_to(&session.jid).into_iter();
        flags.extend(shown.map(|to| format!("{SHOWN}{to}")));
        let stanzas = remains.items.iter().map(|(at, item)| (*at, item.to_vec()));
        let kept = KeptSession {
            id: id.into(),
            local: session.jid.local().unwrap_or_default().to_owned(),
            resource: session.jid.resource().unwrap_or_default().to_owned(),
            presence: view.presence.map(|presence| presence.bytes().to_vec()),
            flags,
            handled: absence.handled,
            sent: remains.sent,
            unacknowledged: remains.unacknowledged,
            stanzas: stanzas.collect(),
            proved: session.proved,
            since: absence.since,
            seconds: absence.seconds,
            ended: false,
        };
        let domain = Arc::clone(&session.domain());
        let kept = domain.hosted.store.session_keep(kept).await;
        if !backed.is_empty() {
            let cx = self.modules.context(&domain.hosted, self, now());
            hooks::session_kept(&cx, &session.jid, &backed, kept.is_ok()).await;
        }
        match kept {
            Ok(kept) => {
                if self.sessions.unbind(session) {
                    self.metrics.sessions.dec();
                }
                kept
            }
            Err(error) => {
                tracing::error!(session = %session.jid, %error, "a session cannot be kept: it ends");
                self.end(session, timed(remains)).await;
                false
            }
        }
    }

    /// Takes up the sessions that were kept in the store; how many. What waits for one that cannot be had any more finds another
    /// way. `of`: only those of this domain, which is served from now on. `outbox_bytes` is the bound of what may wait for one.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn restore_sessions(
        &self,
        store: &Store,
        of: Option<&DomainName>,
        outbox_bytes: usize,
    ) -> Result<usize, StoreError> {
        let longest = i64::try_from(LONGEST.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp(now().0.saturating_sub(longest));
        let swept = store.session_sweep(before).await?;
        if swept > 0 {
            tracing::warn!(
                sessions = swept,
                "kept sessions to which nobody came back were forgotten"
            );
        }
        let (mut after, mut count) = (String::new(), 0);
        loop {
            let page = store.session_kept(&after, PAGE).await?;
            let Some((_, last)) = page.last() else {
                return Ok(count);
            };
            after.clone_from(&last.id);
            for (name, kept) in page {
                // Some of that domain's may be here already.
                if of.is_some_and(|of| *of != name || self.sessions.is_resumable(&kept.id)) {
                    continue;
                }
                // One that is not served now keeps what it has.
                let domain = self.tenancy.get(name.as_str());
                if let Some(domain) = domain.filter(|domain| domain.served) {
                    count += usize::from(self.restore(domain, kept, outbox_bytes).await);
                }
            }
        }
    }

    async fn restore(&self, domain: Arc<Domain>, kept: KeptSession, outbox_bytes: usize) -> bool {
        let account = BareJid::new(Some(&kept.local), domain.name()).ok();
        let Some(jid) = account.and_then(|account| account.with_resource(&kept.resource).ok())
        else {
            return false;
        };
        let items = kept.stanzas.into_iter();
        let remains = Remains {
            sent: kept.sent,
            unacknowledged: kept.unacknowledged,
            items: items.map(|(at, bytes)| (at, bytes.into())).collect(),
        };
        let outbox = Outbox::of_remains(outbox_bytes, remains, now);
        let session = Session::new(jid, domain, outbox, kept.proved);
        let priority = kept
            .flags
            .iter()
            .find_map(|word| word.strip_prefix(PRIORITY));
        let presence = kept
            .presence
            .and_then(|bytes| Stanza::from_bytes(&bytes).ok());
        if let Some(presence) = presence.clone() {
            let priority = priority.and_then(|p| p.parse().ok()).unwrap_or_default();
            session.update(SessionUpdate::Available { presence, priority });
        }
        for update in kept
            .flags
            .iter()
            .filter_map(|word| SessionUpdate::of_word(word))
        {
            session.update(update);
        }
        if kept.ended {
            self.redeliver_kept(&session, &kept.id).await;
            return false;
        }
        if !self.bind_kept(&session, &kept.id).await {
            return false;
        }
        let absence = Absence {
            handled: kept.handled,
            since: kept.since,
            seconds: kept.seconds,
        };
        self.sessions.resumable_away(&session, &kept.id, absence);
        self.metrics.sessions.inc();
        self.metrics.sessions_away.inc();
        let gone = u64::try_from(now().0.saturating_sub(kept.since.0)).unwrap_or_default();
        let left = Duration::from_secs(kept.seconds.into())
            .saturating_sub(Duration::from_micros(gone))
            .max(AFTER_START);
        self.wait_for(&session, kept.since, left);
        let shown = kept.flags.iter().filter_map(|w| w.strip_prefix(SHOWN));
        for to in shown.filter_map(|to| Jid::parse(to).ok()) {
            self.had_shown(&session, &to, presence.as_ref()).await;
        }
        true
    }

    /// Binds a session that was kept. `false`: it has no place, and what waits for it has gone another way.
    async fn bind_kept(&self, session: &Arc<Session>, id: &str) -> bool {
        match self.sessions.bind(session) {
            Ok(None) => {}
            Ok(Some(displaced)) => {
                // The account may have fewer than it had: that has waited longest.
                self.metrics.sessions.dec();
                self.close_session(&displaced, StreamCondition::Conflict.into());
                self.session_gone(&displaced).await;
            }
            Err(refused) => {
                tracing::warn!(session = %session.jid, ?refused, "a session that was kept cannot be bound: what waits for it goes another way");
                self.redeliver_kept(session, id).await;
                return false;
            }
        }
        true
    }

    /// What waits for a session that was kept, and is not bound, goes another way, with the time it came.
    async fn redeliver_kept(&self, session: &Arc<Session>, id: &str) {
        self.end(session, timed(session.outbox.remains())).await;
        self.forget_row(session, id.to_owned());
    }

    /// Whoever it had shown itself to knows it still: others by what they have seen, services of this process by being told.
    async fn had_shown(&self, session: &Session, to: &Jid, presence: Option<&Stanza>) {
        self.modules.had_shown(&session.jid, to);
        let Some(domain) = self.tenancy.get(to.domain()).filter(|domain| domain.served) else {
            return;
        };
        if let Some(service) = domain.service {
            let bare = Stanza::presence(None, &session.jid, None, None);
            let cx = self.modules.context(&domain.hosted, self, now());
            let presence = presence.unwrap_or(&bare);
            hooks::service_returned(&cx, service, (&session.jid, to), presence).await;
        }
    }

    /// The process ends: what its services have in memory ends, but for sessions that are kept.
    pub async fn close_services(&self) {
        for domain in self.tenancy.services() {
            if let Some(service) = domain.service {
                let cx = self.modules.context(&domain.hosted, self, now());
                hooks::service_closing(&cx, service, domain.name().as_str()).await;
            }
        }
    }

    /// From now on the session belongs to whoever called.
    pub(crate) fn end_absence(
        &self,
        session: &Session,
        since: Option<Timestamp>,
    ) -> Option<Absence> {
        let absence = session.end_absence(since)?;
        self.metrics.sessions_away.dec();
        Some(absence)
    }
}

/// What a session leaves, each with the time it came.
fn timed(remains: Remains) -> impl Iterator<Item = (Option<Timestamp>, Bytes)> {
    let items = remains.items.into_iter();
    items.map(|(at, item)| (Some(at), item))
}

/// Whether the offline store has this.
fn is_stored(item: &Bytes, domain: &str) -> bool {
    Stanza::from_bytes(item).is_ok_and(|stanza| is_from_offline(&stanza, domain))
}
