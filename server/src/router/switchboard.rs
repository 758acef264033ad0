//! The router as modules see it.

use std::sync::{Arc, Weak};

use async_trait::async_trait;
use modules::administration::{NotDone, Work};
use modules::{Mark, Refusal, SessionUpdate, SessionView, Switchboard, hooks};
use tokio::runtime::Handle;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::stanza::Stanza;
use xmpp::stream::StreamCondition;

use super::Router;
use crate::metrics::Route;
use crate::net::now;
use crate::session::Session;
use crate::tenancy::Domain;

#[async_trait]
impl Switchboard for Router {
    fn hosts(&self, domain: &str) -> bool {
        self.tenancy.hosts(domain)
    }

    fn is_component(&self, name: &str) -> bool {
        let found = self.tenancy.get(name);
        found.is_some_and(|found| found.component)
    }

    fn route(&self, stanza: Stanza) -> Option<modules::Later> {
        self.send_remote(stanza).map(crate::router::Later::done)
    }

    async fn local(&self, stanza: Stanza) {
        let Some(to) = stanza.to() else { return };
        let Some(domain) = self.tenancy.get(to.domain()) else {
            return;
        };
        if let Some(later) = Self::local(self, &domain, stanza) {
            later.await;
        }
    }

    async fn speak(&self, stanza: Stanza) -> Result<(), Refusal> {
        let Some(from) = stanza.from() else {
            return Ok(());
        };
        let Some(domain) = self.tenancy.get(from.domain()) else {
            return Ok(());
        };
        let later = match from.local() {
            Some(_) if !self.account_may_write(from.bare_str(), &stanza) => {
                return Err(self.too_many_recipients().into());
            }
            Some(_) => self.addressed(&domain, stanza),
            None => self.onward(&domain, stanza),
        };
        if let Some(later) = later {
            later.await;
        }
        Ok(())
    }

    async fn administer(
        &self,
        domain: &DomainName,
        by: &BareJid,
        work: Work,
    ) -> Result<Vec<String>, NotDone> {
        self.administered(domain, by, work).await
    }

    fn admit_recipient(&self, account: &BareJid, to: &BareJid) -> Result<(), Refusal> {
        match self.account_may_write_to(account.as_str(), to.as_str()) {
            true => Ok(()),
            false => Err(self.too_many_recipients().into()),
        }
    }

    fn deliver(&self, session: &Jid, stanza: Stanza) -> bool {
        self.sessions
            .get(session)
            .is_some_and(|session| self.hand(&session, &stanza))
    }

    fn offer(&self, stanza: &Stanza) -> bool {
        let session = stanza.to().and_then(|to| self.sessions.get(to));
        session.is_some_and(|session| self.hand(&session, stanza))
    }

    fn copies(&self, account: &str, copy: &mut dyn FnMut(&Jid, Option<i8>) -> Option<Stanza>) {
        self.sessions.with(account, |sessions| {
            for session in sessions.iter().filter(|s| s.carbons()) {
                if let Some(stanza) = copy(&session.jid, session.priority()) {
                    // A session that cannot take it is about to end.
                    let _ = self.push(session, &stanza);
                }
            }
        });
    }

    fn deliver_available(&self, account: &BareJid, stanza: &Stanza) {
        self.sessions.with(account.as_str(), |sessions| {
            for session in sessions.iter().filter(|s| s.priority().is_some()) {
                // A session that cannot take it is about to end.
                let _ = self.push(session, stanza);
            }
        });
    }

    fn sessions(&self, account: &BareJid) -> Vec<SessionView> {
        self.sessions.with(account.as_str(), |sessions| {
            sessions.iter().map(|session| session.view()).collect()
        })
    }

    fn is_away(&self, session: &Jid) -> bool {
        self.sessions
            .get(session)
            .is_some_and(|session| session.is_away())
    }

    async fn waits(&self, message: Stanza) {
        let domain = message.to().and_then(|to| self.tenancy.get(to.domain()));
        if let Some(domain) = domain.filter(|domain| domain.hosted.watches_messages()) {
            let cx = self.modules.context(&domain.hosted, self, now());
            if let Some(session) = message.to() {
                hooks::message_waits(&cx, session, &message).await;
            }
        }
    }

    fn session_update(&self, session: &Jid, update: SessionUpdate) {
        if let Some(session) = self.sessions.get(session) {
            session.update(update);
        }
    }

    fn deliver_marked(&self, session: &Jid, stanzas: Vec<Stanza>, mark: Mark) {
        let live = self.sessions.get(session);
        let domain = match &live {
            Some(live) => Some(Arc::clone(&live.domain())),
            None => self.tenancy.get(session.domain()),
        };
        let Some(domain) = domain else { return };
        let mut marked = Marked {
            router: self.this.clone(),
            domain,
            session: session.clone(),
            live: live.as_ref().map(Arc::downgrade).unwrap_or_default(),
            mark: Some(mark),
        };
        let Some(session) = live else { return };
        let items = stanzas.iter().map(|stanza| stanza.bytes().clone());
        let pushed = session.outbox.push_all(items, move |taken| {
            marked.shorten(taken);
            Box::pin(marked.written())
        });
        if pushed.is_ok() {
            stanzas
                .iter()
                .for_each(|_| self.metrics.routed(Route::Session));
        }
    }

    fn limited(&self, limit: &'static str) {
        self.metrics.limit(limit);
    }

    fn close(&self, session: &Jid, condition: StreamCondition) {
        if let Some(session) = self.sessions.get(session) {
            self.close_session(&session, condition.into());
        }
    }
}

/// A mark in a session's queue: whoever put it there hears what has become of it, once.
pub(super) struct Marked {
    router: Weak<Router>,
    domain: Arc<Domain>,
    session: Jid,
    live: Weak<Session>,
    mark: Option<Mark>,
}

impl Router {
    /// A mark to be put into the session's queue.
    pub(super) fn marked(&self, session: &Arc<Session>, mark: Mark) -> Marked {
        Marked {
            router: self.this.clone(),
            domain: Arc::clone(&session.domain()),
            session: session.jid.clone(),
            live: Arc::downgrade(session),
            mark: Some(mark),
        }
    }
}

impl Marked {
    fn shorten(&mut self, taken: usize) {
        if let Some(mark) = &mut self.mark {
            mark.shorten(taken);
        }
    }

    pub(super) async fn written(mut self) {
        let backed = self.mark.as_ref().and_then(Mark::backed);
        if let (Some(number), Some(session)) = (backed, self.live.upgrade()) {
            session.backs_no_more(number);
        }
        if let (Some(router), Some(mark)) = (self.router.upgrade(), self.mark.take()) {
            let cx = router.modules.context(&self.domain.hosted, &*router, now());
            hooks::session_written(&cx, &self.session, mark).await;
        }
    }
}

impl Drop for Marked {
    fn drop(&mut self) {
        let (Some(router), Some(mut mark)) = (self.router.upgrade(), self.mark.take()) else {
            return;
        };
        // Here, so that of several in one queue the first is given back first.
        if !router.modules.given_back(&self.session, &mut mark) {
            return;
        }
        let (domain, session) = (self.domain.clone(), self.session.clone());
        // Not here: whoever drops it may hold the queue's lock.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move {
                let cx = router.modules.context(&domain.hosted, &*router, now());
                hooks::session_unwritten(&cx, &session, mark).await;
            });
        }
    }
}
