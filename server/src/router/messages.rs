//! The ways of a message: past the accounts of whoever sends and gets it, into sessions, or to where nobody is there.
//!
//! Most messages concern no module and find a session: they take the short way, which makes nothing and waits for nothing.
//! The long way, a future, agrees with it in all that follows (there is a test that compares them). Refuses: knowing why a
//! module stops, changes or keeps a message; that is the module's.

use std::sync::Arc;

use modules::{Backed, Direction, Glance, Passage, Seen, Taken, hooks};
use xmpp::jid::Jid;
use xmpp::ns;
use xmpp::stanza::{Condition, Kind, Stanza, StanzaType, delay};
use xmpp::timestamp::Timestamp;

use super::delivery::{Address, Fate, Resources, fate};
use super::{Hook, Later, Router};
use crate::metrics::Route;
use crate::net::now;
use crate::session::Session;
use crate::tenancy::Domain;

impl Router {
    /// A message to an account of a hosted domain, wherever it comes from.
    pub(super) fn message(&self, domain: &Arc<Domain>, stanza: Stanza) -> Option<Later> {
        if domain.hosted.watches_messages() {
            return self.passing(domain, stanza, Direction::Received);
        }
        match self.hand_out(domain, &stanza, false) {
            Ok((_, backed)) => self.backed(domain, stanza, backed),
            Err(fate) => self.untaken(domain, stanza, fate),
        }
    }

    /// A message on its way past one account, where modules want to know of it.
    pub(super) fn passing(
        &self,
        domain: &Arc<Domain>,
        stanza: Stanza,
        direction: Direction,
    ) -> Option<Later> {
        let glance = Glance::of(direction, &stanza)?;
        if hooks::message_concerns(&self.modules, &domain.hosted, &glance) {
            let seen = glance.seen();
            return self.waiting(domain, stanza, seen);
        }
        if direction == Direction::Sent {
            self.taken(domain, &glance, &Taken::Nobody);
            return self.onward(domain, stanza);
        }
        match self.hand_out(domain, &stanza, false) {
            Ok((taken, backed)) => {
                self.taken(domain, &glance, &taken);
                self.backed(domain, stanza, backed)
            }
            Err(fate) => {
                if fate == Fate::Offline {
                    self.taken(domain, &glance, &Taken::Nobody);
                }
                self.untaken(domain, stanza, fate)
            }
        }
    }

    /// What sessions have got and acknowledge later, and nothing else keeps, is committed before its sender hears of it: the
    /// future for that.
    fn backed(
        &self,
        domain: &Arc<Domain>,
        message: Stanza,
        backed: Option<Backed>,
    ) -> Option<Later> {
        let backed = backed?;
        let (router, domain) = (self.this.upgrade()?, domain.clone());
        Some(Later::Done(Box::pin(async move {
            let cx = router.modules.context(&domain.hosted, &*router, now());
            hooks::message_backed(&cx, backed, &message).await;
        })))
    }

    fn taken(&self, domain: &Domain, glance: &Glance<'_>, taken: &Taken) {
        let cx = self.modules.context(&domain.hosted, self, now());
        hooks::message_taken(&cx, glance, taken);
    }

    /// Nobody took it.
    fn untaken(&self, domain: &Arc<Domain>, stanza: Stanza, fate: Fate) -> Option<Later> {
        match fate {
            Fate::Offline => self.later(domain, stanza, Hook::Undeliverable),
            Fate::Refused => self.later(domain, stanza, Hook::Refused),
            fate => {
                self.fell(&stanza, fate);
                None
            }
        }
    }

    /// The long way past one account. It is in the box once, or the box would be several times its size.
    fn waiting(&self, domain: &Arc<Domain>, stanza: Stanza, seen: Seen) -> Option<Later> {
        let mut passage = Passage::new(seen, stanza)?;
        let (router, domain) = (self.this.upgrade()?, domain.clone());
        Some(Later::Done(match passage.direction {
            Direction::Sent => Box::pin(async move { router.sent(&domain, &mut passage).await }),
            Direction::Received => {
                Box::pin(async move { router.received(&domain, &mut passage).await })
            }
        }))
    }

    /// What no module is asked about.
    fn fell(&self, stanza: &Stanza, fate: Fate) {
        if fate == Fate::Error {
            self.bounce(stanza, Condition::ServiceUnavailable);
        } else {
            self.metrics.routed(Route::Refused);
        }
    }

    /// The hot path: a message to the sessions that the table gives it to. Where it is not `archived`, and of those sessions one
    /// acknowledges what it gets (XEP-0198), it is to be committed as well: what waits in memory is not durable.
    ///
    /// # Errors
    /// Nobody took it: what becomes of it.
    fn hand_out(
        &self,
        domain: &Domain,
        stanza: &Stanza,
        archived: bool,
    ) -> Result<(Taken, Option<Backed>), Fate> {
        let to = stanza.to().ok_or(Fate::Silent)?;
        self.sessions.with(to.bare_str(), |sessions| {
            let (matched, address) = match to.resource() {
                None => (None, Address::Bare),
                Some(_) => match sessions.iter().find(|s| s.jid == *to) {
                    Some(session) => (Some(session), Address::Match),
                    None => (None, Address::NoMatch),
                },
            };
            let one = |session: Option<&Arc<Session>>, backed: Option<&Backed>| {
                let session = session.filter(|s| self.give(s, stanza, backed));
                session.map(|s| Taken::Session(s.jid.clone()))
            };
            let takes = |s: &&Arc<Session>| s.priority().is_some_and(|p| p >= 0);
            let fate = fate(stanza.type_(), address, resources(sessions));
            if is_for_the_absent(fate, matched, sessions) && hooks::keeps(&domain.hosted, stanza) {
                return Err(Fate::Offline);
            }
            let most = (fate == Fate::Most).then(|| most_available(sessions));
            let waits = !archived
                && match fate {
                    Fate::Match => matched.is_some_and(|s| s.outbox.is_acknowledging()),
                    Fate::Most => most.flatten().is_some_and(|s| s.outbox.is_acknowledging()),
                    Fate::All => sessions
                        .iter()
                        .filter(takes)
                        .any(|s| s.outbox.is_acknowledging()),
                    _ => false,
                };
            let backed = (waits && hooks::keeps(&domain.hosted, stanza))
                .then(|| self.modules.backed(stanza, now()))
                .flatten();
            let taken = match fate {
                Fate::Match => one(matched, backed.as_ref()),
                Fate::Most => one(most.flatten(), backed.as_ref()),
                Fate::All => {
                    let mut taken = false;
                    for session in sessions.iter().filter(takes) {
                        taken |= self.give(session, stanza, backed.as_ref());
                    }
                    taken.then_some(Taken::NonNegative)
                }
                fate => return Err(fate),
            };
            match taken {
                Some(taken) => Ok((taken, backed)),
                // A session that could not take it is about to end: as if it were not there.
                None => {
                    if let Some(backed) = backed {
                        self.modules.backed_no_more(backed);
                    }
                    Err(match stanza.type_() {
                        StanzaType::Chat | StanzaType::Normal => Fate::Offline,
                        _ => Fate::Silent,
                    })
                }
            }
        })
    }

    /// Queues a message for a session; `false`: it could not take it.
    fn give(&self, session: &Arc<Session>, message: &Stanza, backed: Option<&Backed>) -> bool {
        match backed {
            None => self.push(session, message),
            Some(backed) => self.push_backed(session, message, backed),
        }
        .is_ok()
    }

    /// A session's message past its own account, then on its way. What the two accounts' modules wait for, such as the
    /// commit of an archived message, they wait for together.
    async fn sent(&self, domain: &Arc<Domain>, passage: &mut Passage) {
        let cx = self.modules.context(&domain.hosted, self, now());
        if !hooks::message_passing(&cx, passage).await {
            return;
        }
        let onward = self.onward(domain, passage.message.clone());
        let passed = hooks::message_passed(&cx, passage, &Taken::Nobody);
        match onward {
            Some(later) => {
                futures_util::future::join(later.done(), passed).await;
            }
            None => {
                passed.await;
            }
        }
    }

    /// A message past the account that it is for.
    async fn received(&self, domain: &Arc<Domain>, passage: &mut Passage) {
        let cx = self.modules.context(&domain.hosted, self, now());
        if !hooks::message_passing(&cx, passage).await {
            return;
        }
        match self.hand_out(domain, &passage.message, passage.is_kept()) {
            Ok((taken, backed)) => {
                hooks::message_passed(&cx, passage, &taken).await;
                if let Some(backed) = backed {
                    // Boxed, as below.
                    Box::pin(hooks::message_backed(&cx, backed, &passage.message)).await;
                }
            }
            Err(Fate::Offline) => {
                self.metrics.routed(Route::Offline);
                if hooks::message_passed(&cx, passage, &Taken::Nobody).await {
                    // Boxed: every message would carry room for it.
                    Box::pin(hooks::message_undeliverable(&cx, &passage.message)).await;
                }
            }
            Err(Fate::Refused) => {
                self.metrics.routed(Route::Refused);
                Box::pin(hooks::message_refused(&cx, &passage.message)).await;
            }
            Err(fate) => self.fell(&passage.message, fate),
        }
    }

    /// A stanza that was queued for a session which ended before it was written, or before it was acknowledged; `at` is when
    /// it came, if that is long ago. Messages go on as to a resource that is not there, requests are answered (SM-10).
    pub(super) fn redeliver(&self, stanza: Stanza, at: Option<Timestamp>) -> Option<Later> {
        if stanza.kind() == Kind::Iq {
            self.bounce(&stanza, Condition::ServiceUnavailable);
            return None;
        }
        let kept = stanza.kind() == Kind::Message
            && matches!(stanza.type_(), StanzaType::Chat | StanzaType::Normal);
        let to = stanza.to().filter(|_| kept)?;
        // What came from the offline store is still there; a copy is of use to its session alone.
        if is_from_offline(&stanza, to.domain()) || modules::is_carbon(&stanza) {
            return None;
        }
        let domain = self.tenancy.get(to.domain())?;
        let came = at.unwrap_or_else(now);
        let waits =
            hooks::keeps(&domain.hosted, &stanza) && !hooks::is_archived(&domain.hosted, &stanza);
        let to_all = stanza.type_() == StanzaType::Normal && to.is_bare();
        let taken = self.sessions.with(to.bare_str(), |sessions| {
            // A normal message to the bare address went to every other session that was there already. What waits in the memory
            // of one that nobody is at is not durable: it is committed, and handed over from there.
            let had = |s: &Arc<Session>| {
                s.proved < came && !s.is_away() && s.priority().is_some_and(|p| p >= 0)
            };
            if to_all && sessions.iter().any(had) {
                return Some(None);
            }
            let other = most_available(sessions).filter(|other| !other.is_away())?;
            let backed = (waits && other.outbox.is_acknowledging())
                .then(|| self.modules.backed(&stanza, came))
                .flatten();
            if self.give(other, &stamped(&stanza, at), backed.as_ref()) {
                return Some(backed);
            }
            if let Some(backed) = backed {
                self.modules.backed_no_more(backed);
            }
            None
        });
        if let Some(backed) = taken {
            return self.backed(&domain, stanza, backed);
        }
        let router = self.this.upgrade()?;
        self.metrics.routed(Route::Offline);
        Some(Later::Done(Box::pin(async move {
            // Kept with the time it came.
            let cx = router.modules.context(&domain.hosted, &*router, came);
            hooks::message_undeliverable(&cx, &stanza).await;
        })))
    }
}

/// The message as another session gets it: with the time it came, said in the name of the account that it waited for
/// (XEP-0203; what the offline store has delayed says so in the domain's).
fn stamped(stanza: &Stanza, at: Option<Timestamp>) -> Stanza {
    match (at, stanza.to()) {
        (Some(at), Some(to)) if !stanza.has_child("delay", ns::DELAY) => {
            stanza.with_child(&delay(&Jid::from(to.bare()), at))
        }
        _ => stanza.clone(),
    }
}

/// Whether our own offline store has delayed this message (XEP-0160, XEP-0203).
pub(super) fn is_from_offline(stanza: &Stanza, domain: &str) -> bool {
    stanza.has_child("delay", ns::DELAY)
        && stanza.payload().is_ok_and(|tree| {
            tree.children()
                .any(|child| child.is("delay", ns::DELAY) && child.get_attr("from") == Some(domain))
        })
}

fn resources(sessions: &[Arc<Session>]) -> Resources {
    let mut found = Resources::None;
    for session in sessions {
        match session.priority() {
            Some(0..) => return Resources::NonNegative,
            Some(_) => found = Resources::OnlyNegative,
            None => {}
        }
    }
    found
}

/// M: one whose client is there rather than one that waits for it, then the highest priority; among equals the one bound
/// last.
pub(super) fn most_available(sessions: &[Arc<Session>]) -> Option<&Arc<Session>> {
    sessions
        .iter()
        .filter(|s| s.priority().is_some_and(|p| p >= 0))
        .max_by_key(|s| (!s.is_away(), s.priority()))
}

/// Whether a message would reach nobody now, only sessions that wait for their clients: what waits in memory is not durable,
/// so it is committed first, and handed to such a session from there.
fn is_for_the_absent(
    fate: Fate,
    matched: Option<&Arc<Session>>,
    sessions: &[Arc<Session>],
) -> bool {
    let absent = match fate {
        Fate::Match => matched.is_some_and(|session| session.is_away()),
        Fate::Most | Fate::All => true,
        _ => false,
    };
    // Few accounts get as far as this.
    absent && {
        let mut takers = sessions
            .iter()
            .filter(|s| s.priority().is_some_and(|p| p >= 0));
        let mut any = false;
        takers.all(|session| {
            any = true;
            session.is_away()
        }) && any
    }
}
