//! Limits that the router keeps: how many people an account writes to, and what somebody hears who reaches one.

use tokio::time::Instant;
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaError, StanzaType};

use super::Router;
use crate::net::limits::RecipientLimits;
use crate::session::Session;

impl Router {
    /// DOS-06. The server, the account itself and whoever is being answered are not counted.
    pub(super) fn may_write(&self, session: &Session, stanza: &Stanza) -> bool {
        let own = session.jid.bare_str();
        let Some(to) = counted(own, stanza) else {
            return true;
        };
        let recipient = self.recipients.name(to.bare_str());
        if session.wrote_to(recipient) {
            return true;
        }
        let may = self.recipients.admit(own, recipient, Instant::now());
        if may {
            session.writes_to(recipient);
        }
        may
    }

    /// The same of what is said in an account's name without one of its sessions.
    pub(super) fn account_may_write(&self, own: &str, stanza: &Stanza) -> bool {
        counted(own, stanza).is_none_or(|to| self.account_may_write_to(own, to.bare_str()))
    }

    pub(super) fn account_may_write_to(&self, own: &str, to: &str) -> bool {
        let recipient = self.recipients.name(to);
        let may = own == to || self.recipients.admit(own, recipient, Instant::now());
        if !may {
            self.metrics.limit("recipients");
        }
        may
    }

    /// What is said where it is too many.
    pub(super) fn too_many_recipients(&self) -> StanzaError {
        let RecipientLimits { most, period } = self.recipients.limits();
        // RFC 6120 13.12 has another condition than XEP-0205 4.6, which has more to say.
        let error = StanzaError::new(Condition::PolicyViolation)
            .with_app(Element::new("too-many-stanzas", ns::APP_ERRORS));
        error.with_text(format!(
            "an account writes to at most {most} different addresses in {} seconds; try again later",
            period.as_secs()
        ))
    }

    /// What a client hears whose session is one too many, by the limit's key.
    pub(super) fn too_many_sessions(&self, session: &Session, limit: &'static str) -> String {
        match limit {
            "sessions_per_account" => format!(
                "this account is signed in {} times, as often as it may be; sign out of an app that you no longer use, and try again",
                self.sessions.per_account()
            ),
            "sessions_per_domain" => format!(
                "{} people are signed in at this domain, as many as there may be; try again later",
                session.domain().most_sessions(limit)
            ),
            _ => format!(
                "{} people are signed in at the domains of this one's owner, as many as their plan has room for; try again later, and tell them",
                session.domain().most_sessions(limit)
            ),
        }
    }
}

/// To whom an account writes, where that counts.
fn counted<'a>(own: &str, stanza: &'a Stanza) -> Option<&'a Jid> {
    let answer = matches!(stanza.type_(), StanzaType::Result | StanzaType::Error);
    let to = stanza.to().filter(|_| !answer)?;
    (to.local().is_some() && to.bare_str() != own).then_some(to)
}
