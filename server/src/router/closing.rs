//! Sessions that somebody else ends: with their domain, with a proof that holds no more, with a device that was signed out.
//! Refuses: sessions that end by themselves; those stand with [`Router::ended`].

use std::sync::Arc;

use xmpp::jid::{BareJid, DomainName};
use xmpp::stream::{StreamCondition, StreamError};
use xmpp::timestamp::Timestamp;

use super::Router;
use crate::session::{Resources, Session};
use crate::tenancy::Domain;

impl Router {
    /// Ends every session of a domain.
    pub fn close_domain(&self, domain: &DomainName, error: &StreamError) {
        for session in self.of_domain(domain) {
            self.close_session(&session, error.clone());
        }
    }

    /// A domain was read again: its sessions go on under what it says now.
    pub fn renew_domain(&self, domain: &Arc<Domain>) {
        for session in self.of_domain(domain.name()) {
            session.renew(domain.clone());
        }
    }

    pub(super) fn of_domain(&self, domain: &DomainName) -> Vec<Arc<Session>> {
        let of = |session: &Session| session.jid.domain() == domain.as_str();
        self.sessions.matching(of)
    }

    /// Ends every session of an account whose login was proved before `at`; logins under way are not bound.
    pub fn revoke(&self, account: &BareJid, at: Timestamp, error: &StreamError) {
        for session in self.sessions.revoke(account, at) {
            self.close_session(&session, error.clone());
        }
    }

    /// Ends the sessions of a client that was signed out at `at`; the resources that they had.
    pub fn sign_out(&self, account: &BareJid, agent: &str, at: Timestamp) -> Vec<String> {
        let found = self.sessions.sign_out(account, agent, at);
        self.close_signed_out(found)
    }

    /// The same for a session without a client's name.
    pub fn sign_out_session(
        &self,
        account: &BareJid,
        resource: &str,
        at: Timestamp,
    ) -> Vec<String> {
        let mut found = self.sessions.of(account.as_str());
        found.retain(|session| session.proved < at && session.jid.resource() == Some(resource));
        self.close_signed_out(found)
    }

    /// Ends a session whose client was signed out while it logged in; `proved` is when the store was asked for what proved that
    /// login, which is not the one that the session was bound by where it was resumed.
    pub(crate) fn end_signed_out(&self, session: &Arc<Session>, proved: Timestamp) {
        if self.sessions.is_signed_out(session, proved) {
            self.close_signed_out(std::iter::once(session.clone()).collect());
        }
    }

    /// A client was signed out at `at`: its sessions end, it is woken no more, and what a login that was under way has been granted
    /// is worth nothing.
    pub async fn client_signed_out(&self, account: &BareJid, agent: &str, at: Timestamp) {
        let ended = self.sign_out(account, agent, at);
        self.end_tokens(account, agent, at).await;
        self.wake_no_more(account, ended).await;
    }

    /// Takes back what a client has just been granted if it was signed out after its login was proved, at `proved`; whether it
    /// was. To be asked behind the grant: a sign-out that is heard of later ends the grant itself.
    pub(crate) async fn takes_back(
        &self,
        account: &BareJid,
        agent: &str,
        proved: Timestamp,
    ) -> bool {
        match self.sessions.signed_out_since(account, agent, proved) {
            Some(at) => {
                self.end_tokens(account, agent, at).await;
                true
            }
            None => false,
        }
    }

    async fn end_tokens(&self, account: &BareJid, agent: &str, at: Timestamp) {
        let Some(domain) = self.tenancy.get(account.domain()) else {
            return;
        };
        let local = account.local().unwrap_or_default();
        if let Err(error) = domain.hosted.store.tokens_end(local, agent, at).await {
            tracing::error!(%account, agent, %error, "a device that was signed out may come back still");
        }
    }

    /// Devices that were signed out are not told of what comes (XEP-0357); `resources` are what they had of sessions. What they
    /// have registered under their own names has gone with their tokens ([`store::DomainStore::client_sign_out`]).
    pub async fn wake_no_more(&self, account: &BareJid, resources: Vec<String>) {
        if let Some(domain) = self.tenancy.get(account.domain()) {
            let (local, rows) = (account.local().unwrap_or_default(), &domain.hosted.store);
            for resource in resources {
                if let Err(error) = rows.push_forget(local, &resource).await {
                    tracing::error!(%account, resource, %error, "a device that was signed out is told of messages still");
                }
            }
        }
        // Behind the store, or it could be read again in between.
        self.modules.forget_pushes(account);
    }

    fn close_signed_out(&self, sessions: Resources) -> Vec<String> {
        let error = StreamError::new(StreamCondition::NotAuthorized)
            .with_text("this device was signed out; log in again");
        let resource = |session: &Arc<Session>| {
            self.close_session(session, error.clone());
            session.jid.resource().unwrap_or_default().to_owned()
        };
        sessions.iter().map(resource).collect()
    }
}
