//! What waits for peers, in the store: acknowledged means durable, also where no stream is open.
//!
//! Kept is what an account would miss: messages that the offline store would keep too, and subscriptions, whose loss leaves
//! both sides apart for good. Not kept are questions (iq), whose asker has gone with the process or asks again; presence, which
//! is of the moment and is sent anew; and what services send. A room's occupants elsewhere are occupants no longer when
//! the process has ended, and its archive, from which they read when they come back, has everything first. Refuses: a commit
//! for what a stream takes at once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use store::{DomainStore, NewOutgoing};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use xmpp::jid::{DomainName, Jid};
use xmpp::stanza::{Kind, Stanza, StanzaType};
use xmpp::timestamp::Timestamp;

/// How long rows that are over wait for others: to forget is a commit, nobody waits for it, and whoever is killed meanwhile sends
/// once more.
const SOON: Duration = Duration::from_millis(50);
/// How long rows that could not be forgotten wait for another attempt.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether losing this stanza of an account would be felt. `true` for some messages that are not worth keeping all the same
/// ([`is_worth_keeping`]): this is asked for each that a stream takes.
pub(super) fn may_be_kept(stanza: &Stanza) -> bool {
    matches!(
        (stanza.kind(), stanza.type_()),
        (Kind::Message, StanzaType::Normal | StanzaType::Chat)
            | (
                Kind::Presence,
                StanzaType::Subscribe
                    | StanzaType::Subscribed
                    | StanzaType::Unsubscribe
                    | StanzaType::Unsubscribed
            )
    )
}

fn is_worth_keeping(stanza: &Stanza) -> bool {
    stanza.kind() == Kind::Presence || modules::hooks::is_worth_keeping(stanza)
}

/// A stanza that is in the store, or on its way there.
pub(super) struct Kept {
    /// As it is sent.
    bytes: Bytes,
    /// Localpart of the account that wrote it.
    from: String,
    /// When it was written; of one pair each has its own, in order.
    at: Timestamp,
    /// Another process has left it.
    found: bool,
    stage: Mutex<Stage>,
    changed: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nobody has begun.
    New,
    Writing,
    /// In this row.
    There(i64),
    /// The store did not take it.
    Failed,
    /// Sent, or given up, or nobody's any more: no row is wanted.
    Done,
}

impl Kept {
    /// To be written; `None`: it is none of those that are kept.
    pub(super) fn of(stanza: &Stanza, at: Timestamp) -> Option<Arc<Self>> {
        let from = stanza.from().and_then(Jid::local)?;
        if !may_be_kept(stanza) || !is_worth_keeping(stanza) {
            return None;
        }
        Some(Arc::new(Self {
            bytes: stanza.bytes().clone(),
            from: from.to_owned(),
            at,
            found: false,
            stage: Mutex::new(Stage::New),
            changed: Notify::new(),
        }))
    }

    /// One that another process has left; `stanza` is how it is sent now.
    pub(super) fn found(stanza: &Stanza, at: Timestamp, row: i64) -> Arc<Self> {
        Arc::new(Self {
            bytes: stanza.bytes().clone(),
            from: String::new(),
            at,
            found: true,
            stage: Mutex::new(Stage::There(row)),
            changed: Notify::new(),
        })
    }

    pub(super) fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether another process has left it: whoever wrote it was told long ago that it is on its way.
    pub(super) fn was_found(&self) -> bool {
        self.found
    }

    /// Its row, if it is in the store.
    pub(super) fn row(&self) -> Option<i64> {
        match *self.stage.lock() {
            Stage::There(row) => Some(row),
            _ => None,
        }
    }

    /// Whether it is in the store, or may still get there.
    pub(super) fn wants_row(&self) -> bool {
        *self.stage.lock() != Stage::Done
    }

    /// Whether it is on its way to a row of which the number is not known yet.
    pub(super) fn is_on_its_way(&self) -> bool {
        matches!(
            *self.stage.lock(),
            Stage::New | Stage::Writing | Stage::Failed
        )
    }

    /// The store was asked, and did not take it.
    pub(super) fn has_failed(&self) -> bool {
        *self.stage.lock() == Stage::Failed
    }

    /// Waits until it is in the store, or it is known that it will not be.
    pub(super) async fn settled(&self) {
        self.until(|stage| !matches!(stage, Stage::New | Stage::Writing))
            .await;
    }

    /// The store did not take it: waits until that is asked again, or it has arrived all the same.
    pub(super) async fn recovered(&self) {
        self.until(|stage| stage != Stage::Failed).await;
    }

    async fn until(&self, is: impl Fn(Stage) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if is(*self.stage.lock()) {
                return;
            }
            changed.await;
        }
    }

    /// `true`: whoever asks writes it, and nobody else does.
    fn begin(&self) -> bool {
        let mut stage = self.stage.lock();
        let mine = matches!(*stage, Stage::New | Stage::Failed);
        if mine {
            *stage = Stage::Writing;
        }
        drop(stage);
        self.changed.notify_waiters();
        mine
    }

    /// The store's answer. Gives the row back if it is not wanted any more.
    fn answered(&self, answer: Result<Option<i64>, ()>) -> Option<i64> {
        let mut stage = self.stage.lock();
        let done = *stage == Stage::Done;
        if !done {
            *stage = match answer {
                Ok(Some(row)) => Stage::There(row),
                Ok(None) => Stage::Done,
                Err(()) => Stage::Failed,
            };
        }
        drop(stage);
        self.changed.notify_waiters();
        answer.ok().flatten().filter(|_| done)
    }

    /// It is not wanted any more; its row if it has one.
    fn done(&self) -> Option<i64> {
        let before = std::mem::replace(&mut *self.stage.lock(), Stage::Done);
        self.changed.notify_waiters();
        match before {
            Stage::There(row) => Some(row),
            _ => None,
        }
    }
}

/// The rows of a hosted domain; `None`: it has left.
pub(super) type RowsOf = Box<dyn Fn(&DomainName) -> Option<DomainStore> + Send + Sync>;

/// Writes and forgets. What is not wanted any more is forgotten soon, many at once: whoever is killed before sends it again.
pub(super) struct Ledger {
    rows: RowsOf,
    /// Writing goes on when nobody waits for it any more.
    tasks: TaskTracker,
    /// Until they have gone from the store: whoever reads it meanwhile must know them.
    over: Mutex<HashMap<DomainName, HashSet<i64>>>,
    some: Notify,
}

impl Ledger {
    pub(super) fn new(rows: RowsOf, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            rows,
            tasks,
            over: Mutex::default(),
            some: Notify::new(),
        })
    }

    /// Commits those that nobody has begun to, all of one pair, in one transaction. Returns at once ([`Kept::settled`]).
    pub(super) fn write(self: &Arc<Self>, local: &DomainName, kept: &[Arc<Kept>]) {
        let mine = kept.iter().filter(|kept| kept.begin());
        let mine: Vec<_> = mine.cloned().collect();
        if !mine.is_empty() {
            let (ledger, local) = (self.clone(), local.clone());
            let writing = async move { ledger.written(&local, mine).await };
            self.tasks.spawn(writing);
        }
    }

    async fn written(&self, local: &DomainName, kept: Vec<Arc<Kept>>) {
        let new = kept.iter().map(|kept| NewOutgoing {
            local: kept.from.clone(),
            at: kept.at,
            stanza: kept.bytes.to_vec(),
        });
        let answer = match (self.rows)(local) {
            Some(rows) => rows.outgoing_add(new.collect()).await,
            None => Ok(vec![None; kept.len()]),
        };
        let answers = answer.unwrap_or_else(|error| {
            tracing::error!(domain = %local, stanzas = kept.len(), %error, "what waits for another server cannot be kept");
            Vec::new()
        });
        let mut answers = answers.into_iter();
        let unwanted = kept
            .iter()
            .filter_map(|kept| kept.answered(answers.next().ok_or(())));
        self.over(local, unwanted.collect());
    }

    /// The peer has taken it, or it has been given up.
    pub(super) fn forget(&self, local: &DomainName, kept: &Kept) {
        self.over(local, kept.done().into_iter().collect());
    }

    fn over(&self, local: &DomainName, rows: Vec<i64>) {
        if rows.is_empty() {
            return;
        }
        self.over
            .lock()
            .entry(local.clone())
            .or_default()
            .extend(rows);
        self.some.notify_one();
    }

    /// Rows that are over, and may still be there.
    pub(super) fn are_over(&self) -> HashSet<i64> {
        self.over.lock().values().flatten().copied().collect()
    }

    /// Forgets what is over, until `stop`.
    pub(super) async fn follow(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.some.notified() => {}
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SOON) => {}
            }
            if !self.forget_over().await {
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Forgets what is over; `false`: some could not be, and will be when this is called again.
    pub(super) async fn forget_over(&self) -> bool {
        let over = self.over.lock().clone();
        let mut all = true;
        for (local, rows) in over {
            if let Some(store) = (self.rows)(&local) {
                let rows: Vec<_> = rows.iter().copied().collect();
                if let Err(error) = store.outgoing_forget(&rows).await {
                    tracing::warn!(domain = %local, %error, "what other servers have taken cannot be forgotten yet");
                    self.some.notify_one();
                    all = false;
                    continue;
                }
            }
            let mut over = self.over.lock();
            if let Some(left) = over.get_mut(&local) {
                left.retain(|row| !rows.contains(row));
                if left.is_empty() {
                    over.remove(&local);
                }
            }
        }
        all
    }
}

#[cfg(test)]
impl Kept {
    /// The store does not take it.
    pub(super) fn fail(&self) {
        assert!(self.begin());
        self.answered(Err(()));
    }
}

#[cfg(test)]
impl Ledger {
    /// Rows that are over and have not been forgotten.
    pub(super) fn due(&self) -> Vec<i64> {
        let mut due: Vec<_> = self.are_over().into_iter().collect();
        due.sort_unstable();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stanza(text: &str) -> Stanza {
        Stanza::from_bytes(text.as_bytes()).expect("a stanza")
    }

    fn is_kept(text: &str) -> bool {
        Kept::of(&stanza(text), Timestamp(1)).is_some()
    }

    #[test]
    fn what_an_account_would_miss_is_kept() {
        let to = "from='a@one.example/x' to='b@peer.example'";
        for kept in [
            format!("<message {to} type='chat'><body>hello</body></message>"),
            format!("<message {to}><body>hello</body></message>"),
            format!("<presence {to} type='subscribe'/>"),
            format!("<presence {to} type='unsubscribed'/>"),
        ] {
            assert!(is_kept(&kept), "{kept}");
        }
        for not in [
            format!("<message {to} type='groupchat'><body>hello</body></message>"),
            format!("<message {to} type='headline'><body>hello</body></message>"),
            format!("<message {to} type='error'><body>hello</body></message>"),
            format!(
                "<message {to} type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
            ),
            format!("<message {to}><body>hello</body><no-store xmlns='urn:xmpp:hints'/></message>"),
            format!("<presence {to}/>"),
            format!("<iq {to} type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>"),
            "<message from='rooms.one.example' to='b@peer.example'><body>hello</body></message>"
                .to_owned(),
        ] {
            assert!(!is_kept(&not), "{not}");
        }
    }

    #[test]
    fn a_row_that_comes_too_late_is_given_back() {
        let message =
            stanza("<message from='a@one.example' to='b@peer.example'><body>x</body></message>");
        let kept = || Kept::of(&message, Timestamp(1)).expect("kept");
        let one = kept();
        assert!(one.begin() && !one.begin());
        assert_eq!(one.answered(Ok(Some(7))), None);
        assert_eq!((one.done(), one.done()), (Some(7), None));
        // The peer has it before the store.
        let two = kept();
        assert!(two.begin());
        assert_eq!(two.done(), None);
        assert_eq!(two.answered(Ok(Some(8))), Some(8));
        let three = kept();
        assert!(three.begin());
        assert_eq!(three.answered(Err(())), None);
        assert!(three.has_failed() && three.begin(), "it may be tried again");
    }
}
