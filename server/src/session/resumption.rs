//! Sessions that outlive their connections (XEP-0198 5): who has one, who is gone, who comes back.
//!
//! Such a session is bound like any other and stays in the registry while nobody is there, so that presence, delivery and
//! limits need to know nothing of it; what is sent to it waits in its outbox. One connection has it at a time: the next one
//! gets it when the last one has handed it over, together with the number of stanzas it has handled, so that no stanza is
//! handled twice or never. Refuses: giving a session to another account (LAYER-12), and clocks; the router keeps the time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use xmpp::jid::BareJid;
use xmpp::stream::client::leaves_session;
use xmpp::stream::{NotResumed, Order};
use xmpp::timestamp::Timestamp;

use super::{Session, Sessions};
use crate::net::now;

/// Ended sessions of which it is still known how much of their clients' they handled.
const GONE: usize = 1_000;

/// How a session outlives its connections.
#[derive(Debug)]
pub(super) struct Resumption {
    /// What the client calls it.
    id: Box<str>,
    /// For how long nobody may be there.
    seconds: u32,
    standing: Standing,
    stored: Stored,
    /// Told when a connection has let go of it.
    left: Arc<Notify>,
    /// Ends it when nobody has come in time.
    timer: Option<AbortHandle>,
}

/// Whether the store has it, from before the server was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stored {
    /// Not, or no more.
    No,
    /// As it is.
    AsItIs,
    /// As it was before its client came back, which has not acknowledged yet what waited.
    AsItWas,
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    /// A connection has it.
    Attached,
    /// Nobody.
    Away {
        /// How many stanzas of the client it has handled.
        handled: u32,
        since: Timestamp,
    },
    /// It has ended, or must not go on: it is out of the registry.
    Over,
}

/// A session that nobody is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absence {
    /// How many stanzas of the client it has handled.
    pub handled: u32,
    /// Since when.
    pub since: Timestamp,
    /// For how long it waits.
    pub seconds: u32,
}

/// What somebody who wants a session is told.
pub(crate) enum TakeUp {
    /// It is theirs; how many stanzas of the client it has handled, and what is to be done now that the client has told how
    /// far it is.
    Taken(u32, Vec<futures_util::future::BoxFuture<'static, ()>>),
    /// A connection has it still.
    Attached,
    /// It is not to be had.
    No(NotResumed),
}

impl Session {
    /// The connection has ended and the session goes on; `unwritten` is what it was not sent. `None`: it ends, because nobody
    /// has asked for it to outlive connections, because it was replaced, or because somebody wanted it closed.
    pub(crate) fn leave(&self, handled: u32, unwritten: Vec<bytes::Bytes>) -> Option<Absence> {
        let mut resumption = self.resumption.lock();
        let resumption = resumption.as_mut()?;
        let attached = matches!(resumption.standing, Standing::Attached);
        let orders = attached
            .then(|| self.outbox.leave(unwritten, now))
            .flatten();
        let goes_on = orders.is_some_and(|orders| {
            orders.iter().all(|order| match order {
                Order::Close(error) => leaves_session(error),
                order => !matches!(order, Order::Finish),
            })
        });
        let since = now();
        resumption.standing = if goes_on {
            Standing::Away { handled, since }
        } else {
            Standing::Over
        };
        resumption.left.notify_waiters();
        self.away.store(goes_on, Ordering::Relaxed);
        self.unseen.store(true, Ordering::Relaxed);
        goes_on.then_some(Absence {
            handled,
            since,
            seconds: resumption.seconds,
        })
    }

    /// Takes it up for a connection whose client has handled `handled` of what was sent (SM-07).
    pub(crate) fn take_up(&self, handled: u32) -> TakeUp {
        let unknown = NotResumed::Unknown { handled: None };
        let mut resumption = self.resumption.lock();
        let Some(resumption) = resumption.as_mut() else {
            return TakeUp::No(unknown);
        };
        match resumption.standing {
            Standing::Attached => TakeUp::Attached,
            Standing::Over => TakeUp::No(unknown),
            Standing::Away {
                handled: of_client, ..
            } => match self.outbox.take_up(handled) {
                Ok(due) => {
                    self.away.store(false, Ordering::Relaxed);
                    // Active again, whatever it was before (XEP-0352 5).
                    self.unseen.store(false, Ordering::Relaxed);
                    resumption.standing = Standing::Attached;
                    if let Some(timer) = resumption.timer.take() {
                        timer.abort();
                    }
                    TakeUp::Taken(of_client, due)
                }
                Err(sent) => TakeUp::No(NotResumed::TooHigh { handled, sent }),
            },
        }
    }

    /// Ends it if nobody is there; `since`: only if nobody has been there since then. `true`: whoever asked has to see to
    /// what it leaves.
    pub(crate) fn end_absence(&self, since: Option<Timestamp>) -> Option<Absence> {
        let mut resumption = self.resumption.lock();
        let resumption = resumption.as_mut()?;
        let Standing::Away {
            handled,
            since: gone,
        } = resumption.standing
        else {
            return None;
        };
        if since.is_some_and(|since| since != gone) {
            return None;
        }
        resumption.standing = Standing::Over;
        Some(Absence {
            handled,
            since: gone,
            seconds: resumption.seconds,
        })
    }

    /// This ends it when nobody has come in time.
    pub(crate) fn ends_by(&self, timer: AbortHandle) {
        let mut resumption = self.resumption.lock();
        match resumption.as_mut() {
            Some(resumption) if matches!(resumption.standing, Standing::Away { .. }) => {
                resumption.timer = Some(timer);
            }
            // Somebody was there before it began to wait.
            _ => timer.abort(),
        }
    }

    /// Told when its connection has let go of it.
    pub(crate) fn left(&self) -> Option<Arc<Notify>> {
        Some(self.resumption.lock().as_ref()?.left.clone())
    }

    /// Whether a connection has it.
    pub(crate) fn is_attached(&self) -> bool {
        let resumption = self.resumption.lock();
        let standing = resumption.as_ref().map(|resumption| resumption.standing);
        matches!(standing, Some(Standing::Attached))
    }

    /// Since when nobody is there.
    fn away_since(&self) -> Option<Timestamp> {
        match self.resumption.lock().as_ref()?.standing {
            Standing::Away { since, .. } => Some(since),
            _ => None,
        }
    }

    /// What its client calls it.
    pub(crate) fn resumption_id(&self) -> Option<Box<str>> {
        Some(self.resumption.lock().as_ref()?.id.clone())
    }

    /// What its client calls it, if it is in the store and its client has come back for the first time. Said only once.
    pub(crate) fn came_back(&self) -> Option<Box<str>> {
        let mut resumption = self.resumption.lock();
        let resumption = resumption.as_mut()?;
        let first = resumption.stored == Stored::AsItIs;
        first.then(|| {
            resumption.stored = Stored::AsItWas;
            resumption.id.clone()
        })
    }

    /// What its client calls it, if it is in the store. The store is to forget it then, and this says so only once.
    pub(crate) fn forget_stored(&self) -> Option<Box<str>> {
        let mut resumption = self.resumption.lock();
        let resumption = resumption.as_mut()?;
        let stored = std::mem::replace(&mut resumption.stored, Stored::No);
        (stored != Stored::No).then(|| resumption.id.clone())
    }
}

impl Sessions {
    /// The session outlives its connections from now on: nobody may be there for `seconds`, and its client calls it `id`.
    pub fn resumable(&self, session: &Arc<Session>, id: &str, seconds: u32) {
        self.put_resumable(session, id, seconds, Standing::Attached, Stored::No);
    }

    /// A bound session that was kept while the server was not there.
    pub(crate) fn resumable_away(&self, session: &Arc<Session>, id: &str, absence: Absence) {
        let standing = Standing::Away {
            handled: absence.handled,
            since: absence.since,
        };
        self.put_resumable(session, id, absence.seconds, standing, Stored::AsItIs);
        session.away.store(true, Ordering::Relaxed);
        session.unseen.store(true, Ordering::Relaxed);
    }

    fn put_resumable(
        &self,
        session: &Arc<Session>,
        id: &str,
        seconds: u32,
        standing: Standing,
        stored: Stored,
    ) {
        *session.resumption.lock() = Some(Box::new(Resumption {
            id: id.into(),
            seconds,
            standing,
            stored,
            left: Arc::default(),
            timer: None,
        }));
        self.resumable.insert(id.into(), session.clone());
        // Another of its address may have taken its place just now: nothing finds it any more, so nobody may take it up. Looked
        // at behind that: whoever takes it out of the registry either finds the entry, or is seen here.
        let bound = self.get(&session.jid);
        if !bound.is_some_and(|bound| Arc::ptr_eq(&bound, session)) {
            self.resumable_no_more(session);
        }
    }

    /// The session that this account's client calls so.
    ///
    /// # Errors
    /// There is none; how many stanzas of the client it had handled, if that is still known (SM-08).
    pub(crate) fn resumable_of(
        &self,
        account: &BareJid,
        id: &str,
    ) -> Result<Arc<Session>, NotResumed> {
        if let Some(session) = self.resumable.get(id)
            // LAYER-12
            && session.jid.bare_str() == account.as_str()
        {
            return Ok(session.clone());
        }
        let handled = self.gone.lock().of(account, id);
        Err(NotResumed::Unknown { handled })
    }

    /// Whether a session is here that its client calls so.
    pub(crate) fn is_resumable(&self, id: &str) -> bool {
        self.resumable.contains_key(id)
    }

    /// Sessions at which nobody is.
    pub fn away(&self) -> Vec<Arc<Session>> {
        let mut away: Vec<_> = self.resumable.iter().map(|entry| entry.clone()).collect();
        away.retain(|session| session.away_since().is_some());
        away
    }

    /// It has left the registry.
    pub(super) fn resumable_no_more(&self, session: &Session) {
        let id = {
            let mut resumption = session.resumption.lock();
            let Some(resumption) = resumption.as_mut() else {
                return;
            };
            // One at which nobody is ends when whoever took it out says so ([`Session::end_absence`]).
            if matches!(resumption.standing, Standing::Attached) {
                resumption.standing = Standing::Over;
                resumption.left.notify_waiters();
            }
            resumption.id.clone()
        };
        self.resumable.remove(&id);
    }

    /// It was not taken up in time.
    pub(crate) fn remember_gone(&self, session: &Session, absence: Absence) {
        if let Some(id) = session.resumption_id() {
            let mut gone = self.gone.lock();
            gone.put(session.jid.bare(), id, absence.handled);
        }
    }
}

/// The session of these that has waited longest for its client.
pub(super) fn longest_away(sessions: &[Arc<Session>]) -> Option<usize> {
    let away = sessions.iter().enumerate();
    away.filter_map(|(at, session)| Some((session.away_since()?, at)))
        .min()
        .map(|(_, at)| at)
}

/// Sessions that have ended, the last ones of all.
#[derive(Debug, Default)]
pub(super) struct Gone(VecDeque<(BareJid, Box<str>, u32)>);

impl Gone {
    fn put(&mut self, account: BareJid, id: Box<str>, handled: u32) {
        if self.0.len() >= GONE {
            self.0.pop_front();
        }
        self.0.push_back((account, id, handled));
    }

    fn of(&self, account: &BareJid, id: &str) -> Option<u32> {
        let mut all = self.0.iter();
        let found = all.find(|(whose, name, _)| whose == account && **name == *id)?;
        Some(found.2)
    }
}
