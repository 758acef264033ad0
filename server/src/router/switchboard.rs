//! The router as modules see it.

use async_trait::async_trait;
use modules::{SessionUpdate, SessionView, Switchboard};
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::Stanza;
use xmpp::stream::{Order, StreamCondition};

use super::{Later, Router};

#[async_trait]
impl Switchboard for Router {
    fn hosts(&self, domain: &str) -> bool {
        self.tenancy.hosts(domain)
    }

    fn route(&self, stanza: Stanza) {
        self.send_remote(stanza);
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

    fn deliver(&self, session: &Jid, stanza: Stanza) -> bool {
        self.sessions
            .get(session)
            .is_some_and(|session| self.push(&session, &stanza).is_ok())
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

    fn when_written(&self, session: &Jid, then: Later) {
        if let Some(session) = self.sessions.get(session) {
            session.outbox.when_written(then);
        }
    }

    fn close(&self, session: &Jid, condition: StreamCondition) {
        if let Some(session) = self.sessions.get(session) {
            session.outbox.order(Order::Close(condition.into()));
        }
    }
}
