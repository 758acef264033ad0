//! The router as modules see it.

use async_trait::async_trait;
use modules::administration::{NotDone, Work};
use modules::{SessionUpdate, SessionView, Switchboard, hooks};
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::stanza::Stanza;
use xmpp::stream::StreamCondition;

use super::Router;
use crate::net::now;

#[async_trait]
impl Switchboard for Router {
    fn hosts(&self, domain: &str) -> bool {
        self.tenancy.hosts(domain)
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

    async fn speak(&self, stanza: Stanza) {
        let Some(from) = stanza.from() else { return };
        let Some(domain) = self.tenancy.get(from.domain()) else {
            return;
        };
        let later = match from.local() {
            Some(_) => self.addressed(&domain, stanza),
            None => self.onward(&domain, stanza),
        };
        if let Some(later) = later {
            later.await;
        }
    }

    async fn administer(
        &self,
        domain: &DomainName,
        by: &BareJid,
        work: Work,
    ) -> Result<Vec<String>, NotDone> {
        self.administered(domain, by, work).await
    }

    fn deliver(&self, session: &Jid, stanza: Stanza) -> bool {
        self.sessions
            .get(session)
            .is_some_and(|session| self.hand(&session, &stanza))
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

    fn session_update(&self, session: &Jid, update: SessionUpdate) {
        if let Some(session) = self.sessions.get(session) {
            session.update(update);
        }
    }

    fn mark(&self, session: &Jid) {
        let (Some(session), Some(router)) = (self.sessions.get(session), self.this.upgrade())
        else {
            return;
        };
        let marked = session.clone();
        session.outbox.when_written(Box::pin(async move {
            let domain = std::sync::Arc::clone(&marked.domain());
            let cx = router.modules.context(&domain.hosted, &*router, now());
            hooks::session_written(&cx, &marked.jid).await;
        }));
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
