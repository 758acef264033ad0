//! From origin and address to session, module, peer or error (RFC 6120 10, RFC 6121 8).
//!
//! A message to somebody who is online takes the short way: one look into a sharded map, one push of shared bytes. It
//! builds no tree, awaits nothing and allocates nothing per recipient beyond the queue slot. So does a ping of the server. Everything else is a boxed
//! future that the sender's stream awaits before its next stanza (ROUTE-01), so what follows on that stream knows that it
//! has happened: a message to somebody offline has been committed by then. Refuses: a peer's stanza without proof for its
//! very pair (LAYER-06, -07, ROUTE-06), and letting a hosted domain out of the process (ROUTE-08).

pub(crate) mod administration;
mod closing;
pub mod delivery;
mod limits;
mod messages;
mod privileged;
mod resumption;
mod switchboard;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock, Weak};

use control::Control;
use dna::Proven;
use modules::{Backed, Direction, Modules, hooks};
use tokio::time::Instant;
use xmpp::element::Element;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Kind, Stanza, StanzaError, StanzaType};
use xmpp::stream::{StreamCondition, StreamError};
use xmpp::timestamp::Timestamp;

use crate::component::Components;
use crate::metrics::{Metrics, Route};
use crate::net::limits::Recipients;
use crate::net::now;
pub use crate::net::pump::Later;
use crate::session::{BindRefused, Outbox, PushError, Session, Sessions};
use crate::tenancy::{Domain, Tenancy};

/// The way to other servers; federation is behind it.
pub trait Remote: Send + Sync {
    /// Sends a stanza whose `from` is at a domain hosted here and whose `to` is at one that is not. The pair is
    /// (`from` domain, `to` domain), its order is kept (ROUTE-02, VHOST-07). Returns at once: the stanza is queued within
    /// the pair's bounds, and whatever fails later comes back through [`Router::reply`] as an error from `to` (ROUTE-05).
    /// What it returns is over when neither a crash of this process nor a peer that is not there loses the stanza; `None`: it
    /// is none that anybody would miss.
    fn send(&self, stanza: Stanza) -> Option<Later>;
}

/// A peer's stanza is not of the pair that its stream has proved. The stream ends: `<improper-addressing/>` without
/// addresses, `<invalid-from/>` or `<host-unknown/>` with others (STREAM-28).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stanza is not of the pair that its stream has proved")]
pub struct NotProven;

/// The router of one process.
pub struct Router {
    this: Weak<Self>,
    tenancy: Arc<Tenancy>,
    sessions: Sessions,
    modules: Modules,
    remote: OnceLock<Arc<dyn Remote>>,
    metrics: Arc<Metrics>,
    recipients: Recipients,
    components: Components,
    control: OnceLock<Arc<Control>>,
}

/// Who hears what has become of a stanza.
enum Hearer {
    /// Whoever wrote it, wherever that is.
    Writer,
    /// The session that wrote it, or another of its account's.
    Session(Arc<Session>),
    /// It was a session of ours, and none of the account's is there.
    Nobody,
}

/// What to do with a stanza that the short way could not finish.
#[derive(Clone, Copy)]
enum Hook {
    IqToServer,
    IqToAccount,
    IqToSession,
    IqAnswered,
    MessageToServer,
    IqSent,
    PresenceOutbound,
    PresenceInbound,
    Undeliverable,
    Refused,
    Service,
}

impl Router {
    /// A router without sessions. Federation is connected with [`Router::set_remote`].
    pub fn new(
        tenancy: Arc<Tenancy>,
        sessions: Sessions,
        modules: Modules,
        recipients: Recipients,
        metrics: Arc<Metrics>,
    ) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            tenancy,
            sessions,
            modules,
            remote: OnceLock::new(),
            metrics,
            recipients,
            components: Components::default(),
            control: OnceLock::new(),
        })
    }

    /// Connects federation; once.
    pub fn set_remote(&self, remote: Arc<dyn Remote>) {
        // A second one would be a mistake in the wiring; the first stays.
        let _ = self.remote.set(remote);
    }

    /// Connects control, for the domains' admins; once.
    pub fn set_control(&self, control: Arc<Control>) {
        let _ = self.control.set(control);
    }

    /// Control, once it is there.
    pub(crate) fn control(&self) -> Option<&Arc<Control>> {
        self.control.get()
    }

    /// The roster of an account has got a contact without its sessions' doing: believed, and told.
    pub async fn roster_grown(&self, account: &BareJid, contact: &BareJid) {
        if let Some(domain) = self.tenancy.get(account.domain()) {
            let cx = self.modules.context(&domain.hosted, self, now());
            hooks::roster_grown(&cx, account, contact).await;
        }
    }

    /// Begins with block lists that a domain has come to follow, and leaves those that it follows no more.
    pub async fn follow_lists(&self, domain: &Domain) {
        let cx = self.modules.context(&domain.hosted, self, now());
        hooks::follow_lists(&cx).await;
    }

    /// Begins to read block lists whose time has come, of whichever domain that is served.
    pub async fn read_lists(&self) {
        let rows = |name: &str| Some(self.tenancy.get(name)?.hosted.store.clone());
        let due = hooks::lists_due(&self.modules, self.tenancy.store(), rows, now());
        let due = match due.await {
            Ok(due) => due,
            Err(error) => {
                tracing::error!(%error, "which block lists are due cannot be read");
                return;
            }
        };
        for list in due {
            let domain = self.tenancy.get(&list.name);
            let own = |domain: &Arc<Domain>| domain.served && domain.id == list.domain;
            // Whoever is not served reads nothing; it is asked for again.
            if let Some(domain) = domain.filter(own) {
                let cx = self.modules.context(&domain.hosted, self, now());
                hooks::read_list(&cx, list).await;
            }
        }
    }

    /// Another server has opened a stream to a domain.
    pub(crate) fn server_connected(&self, local: &DomainName, remote: &DomainName) {
        if let Some(domain) = self.tenancy.get(local.as_str()) {
            self.modules
                .server_connected(&domain.hosted, remote.as_str());
        }
    }

    /// What was read of a roster is not believed any more.
    pub fn forget_roster(&self, account: &BareJid) {
        self.modules.forget_roster(account);
    }

    /// The sessions of this process.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The domains hosted here.
    pub fn tenancy(&self) -> &Arc<Tenancy> {
        &self.tenancy
    }

    /// The components that are connected.
    pub(crate) fn components(&self) -> &Components {
        &self.components
    }

    /// What modules remember.
    pub fn modules(&self) -> &Modules {
        &self.modules
    }

    // --- entrances ---

    /// A stanza of a bound client; `from` is its full address already (LAYER-03). Where its domain or tenant has sent too
    /// much, it waits, and only this session with it (DOS-10).
    pub fn from_client(&self, session: &Arc<Session>, stanza: Stanza) -> Option<Later> {
        let Some((until, limit)) = session.pace() else {
            return self.client_stanza(session, stanza);
        };
        self.metrics.limit(limit);
        let (router, session) = (self.this.upgrade()?, session.clone());
        Some(Later::Done(Box::pin(async move {
            tokio::time::sleep_until(until).await;
            if let Some(later) = router.client_stanza(&session, stanza) {
                later.await;
            }
        })))
    }

    fn client_stanza(&self, session: &Arc<Session>, stanza: Stanza) -> Option<Later> {
        if !self.may_write(session, &stanza) {
            self.metrics.limit("recipients");
            self.bounce(&stanza, self.too_many_recipients());
            return None;
        }
        if stanza.kind() == Kind::Presence {
            return self.later(&session.domain(), stanza, Hook::PresenceOutbound);
        }
        if stanza.to().is_none() {
            return self.without_to(session, stanza);
        }
        self.addressed(&session.domain(), stanza)
    }

    /// A message or iq with `to`, of a session of this domain.
    fn addressed(&self, domain: &Arc<Domain>, stanza: Stanza) -> Option<Later> {
        if stanza.kind() == Kind::Message && domain.hosted.watches_messages() {
            return self.passing(domain, stanza, Direction::Sent);
        }
        // One's own server cannot be blocked.
        if stanza.kind() == Kind::Iq
            && let (Some(from), Some(to)) = (stanza.from(), stanza.to())
            && (to.local().is_some() || to.domain() != domain.name().as_str())
            && self
                .modules
                .may_be_blocked(&domain.hosted, from.bare_str(), to)
        {
            return self.later(domain, stanza, Hook::IqSent);
        }
        self.onward(domain, stanza)
    }

    /// To wherever it is for.
    fn onward(&self, domain: &Arc<Domain>, stanza: Stanza) -> Option<Later> {
        let to = stanza.to()?;
        if to.domain() == domain.name().as_str() {
            return self.local(domain, stanza);
        }
        match self.tenancy.get(to.domain()) {
            Some(domain) => self.local(&domain, stanza),
            None => self.send_remote(stanza),
        }
    }

    /// A stanza of a peer, with the proof under which its stream carries it.
    ///
    /// # Errors
    /// [`NotProven`]: the stanza is of another pair; nothing has been done with it.
    pub fn from_peer(&self, proven: &Proven, stanza: Stanza) -> Result<Option<Later>, NotProven> {
        let (Some(to), Some(from)) = (stanza.to(), stanza.from()) else {
            return Err(NotProven);
        };
        let ours = to.domain() == proven.local().as_str();
        let theirs = from.domain() == proven.remote().as_str();
        // Proven before the name was one of ours (a component's, which may be trusted with more): not any more.
        if !ours || !theirs || self.tenancy.hosts(from.domain()) {
            return Err(NotProven);
        }
        let domain = self.tenancy.get(to.domain()).ok_or(NotProven)?;
        domain.count_stanza();
        Ok(self.local(&domain, stanza))
    }

    /// A stanza of a component of this name, whose addresses have been looked at (COMP-04).
    pub(crate) fn component_stanza(&self, domain: &Arc<Domain>, stanza: Stanza) -> Option<Later> {
        if stanza.kind() == Kind::Iq && hooks::is_misdirected(&stanza) {
            self.bounce(&stanza, Condition::Forbidden);
            return None;
        }
        let Some((until, limit)) = domain.pace(1, Instant::now()) else {
            return self.onward(domain, stanza);
        };
        self.metrics.limit(limit);
        let (router, domain) = (self.this.upgrade()?, domain.clone());
        Some(Later::Done(Box::pin(async move {
            tokio::time::sleep_until(until).await;
            if let Some(later) = router.onward(&domain, stanza) {
                later.await;
            }
        })))
    }

    /// What a client's stream answers by itself: it goes the way of everything else that the session is sent.
    pub fn to_own(&self, session: &Arc<Session>, reply: &Stanza) {
        // A session that cannot take it is about to end.
        let _ = self.push(session, reply);
    }

    /// An answer or error on its way back to whoever it is for.
    pub fn reply(&self, reply: Stanza) {
        let Some(to) = reply.to() else { return };
        let Some(domain) = self.tenancy.get(to.domain()) else {
            // Answers and errors are not kept: there is nothing to wait for.
            let _ = self.send_remote(reply);
            return;
        };
        if domain.service.is_some() {
            // What a service sent has not arrived, for one: it wants to know.
            if let Some(later) = self.local(&domain, reply) {
                tokio::spawn(later.done());
            }
        } else if to.resource().is_some() {
            if let Some(session) = self.sessions.get(to) {
                // A session that is too slow or has ended loses the answer with everything else.
                self.hand(&session, &reply);
            }
        } else if (reply.kind() == Kind::Presence || self.modules.expects(&reply))
            && let Some(later) = self.local(&domain, reply)
        {
            // A subscription that could not be delivered, or what a module has asked: the account wants to know, not a session
            // (IM-11).
            tokio::spawn(later.done());
        }
    }

    /// Answers a stanza with an error, if it is one that gets answers (STANZA-07).
    pub fn bounce(&self, stanza: &Stanza, error: impl Into<StanzaError>) {
        self.metrics.routed(Route::Refused);
        if let Some(reply) = stanza.error_reply(&error.into()) {
            self.reply(reply);
        }
    }

    /// Whether [`Router::tell`] would reach somebody now.
    pub fn can_tell(&self, stanza: &Stanza) -> bool {
        !matches!(self.hearer(stanza), Hearer::Nobody)
    }

    /// The same as [`Router::bounce`], for a stanza that a session has given away for good: where that session is not there any
    /// more, another of the account's hears it. `false`: nobody is there.
    pub fn tell(&self, stanza: &Stanza, error: impl Into<StanzaError>) -> bool {
        match self.hearer(stanza) {
            Hearer::Nobody => return false,
            Hearer::Writer => self.bounce(stanza, error),
            Hearer::Session(session) => {
                self.metrics.routed(Route::Refused);
                if let Some(reply) = stanza.error_reply(&error.into()) {
                    self.hand(&session, &reply.with_to(&session.jid));
                }
            }
        }
        true
    }

    /// Who hears what has become of this stanza.
    fn hearer(&self, stanza: &Stanza) -> Hearer {
        let Some(writer) = stanza.from().filter(|_| stanza.kind() == Kind::Message) else {
            return Hearer::Writer;
        };
        let own = self.sessions.get(writer).filter(|own| !own.is_away());
        let found = own.or_else(|| {
            self.sessions.with(writer.bare_str(), |sessions| {
                let best = messages::most_available(sessions);
                best.filter(|session| !session.is_away()).cloned()
            })
        });
        match found {
            Some(session) => Hearer::Session(session),
            None if writer.resource().is_some() && self.tenancy.hosts(writer.domain()) => {
                Hearer::Nobody
            }
            None => Hearer::Writer,
        }
    }

    // --- sessions ---

    /// Binds a resource (RFC 6120 7) for a login that was proved by what the store said at `proved`. An older session of the same full address ends with `<conflict/>`, and what it meant
    /// to others is taken back first (BIND-04).
    ///
    /// # Errors
    /// The stanza error for the client: `bad-request` for a resource that cannot be, `resource-constraint` over the limit
    /// (BIND-05), `not-allowed` when the domain is no longer served, `not-authorized` when the account was changed after
    /// `proved`.
    pub async fn bind(
        &self,
        account: &BareJid,
        resource: &str,
        outbox: Arc<Outbox>,
        proved: Timestamp,
    ) -> Result<Arc<Session>, Box<StanzaError>> {
        self.bind_for(account, resource, outbox, proved, |_| ())
            .await
    }

    /// The same for somebody who may stop waiting for it: `bound` is called as soon as there is a session, so that whoever has
    /// it can end it, and what a replaced session meant to others is taken back all the same.
    ///
    /// # Errors
    /// As [`Router::bind`].
    pub async fn bind_for(
        &self,
        account: &BareJid,
        resource: &str,
        outbox: Arc<Outbox>,
        proved: Timestamp,
        bound: impl FnOnce(&Arc<Session>),
    ) -> Result<Arc<Session>, Box<StanzaError>> {
        let error = |condition: Condition| Box::new(StanzaError::new(condition));
        let jid = account
            .with_resource(resource)
            .map_err(|_| error(Condition::BadRequest))?;
        let domain = self
            .tenancy
            .get(account.domain())
            .filter(|domain| domain.served)
            .ok_or_else(|| error(Condition::NotAllowed))?;
        let session = Session::new(jid, domain, outbox, proved);
        let replaced = self
            .sessions
            .bind(&session)
            .map_err(|refused| match refused {
                BindRefused::TooMany(limit) => {
                    self.metrics.limit(limit);
                    // XEP-0205 4.4
                    let full = StanzaError::new(Condition::ResourceConstraint)
                        .with_app(Element::new("resource-limit-exceeded", ns::APP_ERRORS));
                    Box::new(full.with_text(self.too_many_sessions(&session, limit)))
                }
                BindRefused::Revoked => error(Condition::NotAuthorized),
            })?;
        self.metrics.sessions.inc();
        bound(&session);
        if let Some(old) = replaced {
            self.metrics.sessions.dec();
            self.close_session(&old, StreamCondition::Conflict.into());
            let router = self.this.clone();
            let gone = tokio::spawn(async move {
                if let Some(router) = router.upgrade() {
                    router.session_gone(&old).await;
                }
            });
            if let Err(panicked) = gone.await {
                tracing::error!(session = %session.jid, %panicked, "what a replaced session meant to others was not taken back whole");
            }
        }
        Ok(session)
    }

    /// A session that was bound just now along with authentication asks for these; what modules say to that (XEP-0386 3.2).
    pub async fn bound_with(&self, session: &Session, wanted: &[Element]) -> Vec<Element> {
        let domain = Arc::clone(&session.domain());
        let cx = self.modules.context(&domain.hosted, self, now());
        hooks::session_bound(&cx, &session.jid, wanted).await
    }

    /// A session's stream has ended. `unwritten` is what it could not be sent: messages among it find another way.
    pub async fn ended(&self, session: &Arc<Session>, unwritten: Vec<bytes::Bytes>) {
        let left = if self.may_wake(session) {
            Some(unwritten.clone())
        } else {
            None
        };
        self.end(session, unwritten.into_iter().map(|item| (None, item)))
            .await;
        self.forget_stored(session);
        if let Some(left) = left {
            self.tell_asleep(session, &left).await;
        }
    }

    /// `items` are what it could not be sent, each with the time of the first attempt if that is long ago.
    async fn end(
        &self,
        session: &Arc<Session>,
        items: impl Iterator<Item = (Option<Timestamp>, bytes::Bytes)> + Send,
    ) {
        if self.sessions.unbind(session) {
            self.metrics.sessions.dec();
            self.session_gone(session).await;
        }
        for (at, bytes) in items {
            // What the store has too is handed over from there (`Marked`).
            if session.is_backed(&bytes) {
                continue;
            }
            if let Ok(stanza) = Stanza::from_bytes(&bytes)
                && let Some(later) = self.redeliver(stanza, at)
            {
                later.await;
            }
        }
    }

    async fn session_gone(&self, session: &Session) {
        let view = session.view();
        let domain = Arc::clone(&session.domain());
        let cx = self.modules.context(&domain.hosted, self, now());
        hooks::session_gone(&cx, &view).await;
    }

    // --- ways ---

    /// ROUTE-03
    fn without_to(&self, session: &Arc<Session>, stanza: Stanza) -> Option<Later> {
        match (stanza.kind(), stanza.type_()) {
            (Kind::Message, _) => {
                let own = Jid::from(session.jid.bare());
                self.addressed(&session.domain(), stanza.with_to(&own))
            }
            (Kind::Iq, StanzaType::Get | StanzaType::Set) => {
                self.later(&session.domain(), stanza, Hook::IqToAccount)
            }
            _ => None,
        }
    }

    fn send_remote(&self, stanza: Stanza) -> Option<Later> {
        self.metrics.routed(Route::Peer);
        match self.remote.get() {
            Some(remote) => remote.send(stanza),
            None => {
                self.bounce_unreachable(&stanza);
                None
            }
        }
    }

    /// Without federation there are no other servers.
    fn bounce_unreachable(&self, stanza: &Stanza) {
        let ours = stanza
            .from()
            .is_some_and(|f| self.tenancy.hosts(f.domain()));
        if ours && let Some(reply) = stanza.error_reply(&Condition::RemoteServerNotFound.into()) {
            self.reply(reply);
        }
    }

    /// A stanza to a hosted domain, wherever it comes from.
    fn local(&self, domain: &Arc<Domain>, stanza: Stanza) -> Option<Later> {
        if !domain.served {
            if stanza.kind() != Kind::Presence {
                self.bounce(&stanza, Condition::ServiceUnavailable);
            }
            return None;
        }
        if self.shut_out(domain, &stanza) {
            let presence = stanza.kind() == Kind::Presence;
            if !presence || stanza.type_() == StanzaType::Subscribe {
                self.bounce(&stanza, Condition::NotAllowed);
            }
            return None;
        }
        if domain.component {
            self.metrics.routed(Route::Session);
            // Presence of whoever has nothing to do with it is nobody's loss.
            if !self.components.push(domain.name(), &stanza) && stanza.kind() != Kind::Presence {
                let error = StanzaError::new(Condition::ServiceUnavailable);
                self.bounce(
                    &stanza,
                    error.with_text("the program behind this name is not connected"),
                );
            }
            return None;
        }
        if domain.service.is_some() {
            return self.later(domain, stanza, Hook::Service);
        }
        let to = stanza.to()?;
        let request = matches!(stanza.type_(), StanzaType::Get | StanzaType::Set);
        match (stanza.kind(), to.local().is_some()) {
            (Kind::Message, true) => self.message(domain, stanza),
            (Kind::Iq, true) => self.iq(domain, stanza, request),
            (Kind::Presence, true) => self.later(domain, stanza, Hook::PresenceInbound),
            (Kind::Iq, false) if request => self.to_server(domain, stanza),
            (Kind::Iq, false) if self.modules.expects(&stanza) => {
                self.later(domain, stanza, Hook::IqAnswered)
            }
            (Kind::Message, false)
                if hooks::is_envelope(&stanza)
                    || hooks::server_message_concerns(&domain.hosted, &stanza) =>
            {
                self.later(domain, stanza, Hook::MessageToServer)
            }
            (Kind::Message, false) => {
                // ROUTE-09: the server itself reads no other messages.
                self.bounce(&stanza, Condition::ServiceUnavailable);
                None
            }
            // Answers to questions the server did not ask, and presence of those who want nothing of it.
            (Kind::Iq | Kind::Presence, false) => None,
        }
    }

    /// Whether the lists of either domain stand between two that are hosted here; the pair is the unit for them as for any
    /// other. Errors pass, since they say just this.
    fn shut_out(&self, domain: &Domain, stanza: &Stanza) -> bool {
        let Some(from) = stanza.from().map(Jid::domain) else {
            return false;
        };
        let name = domain.name().as_str();
        if from == name || stanza.type_() == StanzaType::Error {
            return false;
        }
        let sender = self.tenancy.get(from);
        if sender.as_ref().is_some_and(|sender| sender.id == domain.id) {
            // A domain and its services: the lists are about others.
            return false;
        }
        let tenant = sender.as_ref().map(|sender| sender.tenant);
        domain.shuts_out(from, tenant)
            || sender.is_some_and(|sender| sender.shuts_out(name, Some(domain.tenant)))
    }

    /// ROUTE-09. What can be answered at once (pings above all) takes the short way too.
    fn to_server(&self, domain: &Arc<Domain>, iq: Stanza) -> Option<Later> {
        match hooks::iq_to_server_at_once(&domain.hosted, &iq) {
            Some(answer) => {
                self.metrics.routed(Route::Module);
                self.reply(answer);
                None
            }
            None => self.later(domain, iq, Hook::IqToServer),
        }
    }

    fn iq(&self, domain: &Arc<Domain>, stanza: Stanza, request: bool) -> Option<Later> {
        let to = stanza.to()?;
        if to.is_bare() {
            // IM-38; other results and errors to a bare address answer nothing that was asked.
            let hook = match request {
                true => Hook::IqToAccount,
                false if self.modules.expects(&stanza) => Hook::IqAnswered,
                false => return None,
            };
            return self.later(domain, stanza, hook);
        }
        let Some(session) = self.sessions.get(to) else {
            if request {
                self.bounce(&stanza, Condition::ServiceUnavailable); // IM-40
            }
            return None;
        };
        let from = stanza.from();
        let own = from.is_some_and(|f| f.bare_str() == to.bare_str());
        let hosted = &domain.hosted;
        let stopped = |from| self.modules.may_be_blocked(hosted, to.bare_str(), from);
        if (request && !own) || from.is_some_and(stopped) {
            return self.later(domain, stanza, Hook::IqToSession);
        }
        if !request {
            // A session that cannot take it is about to end.
            let _ = self.push(&session, &stanza);
        } else if !self.push_request(&session, &stanza) {
            self.bounce(&stanza, Condition::ServiceUnavailable);
        }
        None
    }

    /// Queues an iq get or set for a session, and has its client woken where that is not there (XEP-0357 7): calls come so.
    fn push_request(&self, session: &Arc<Session>, iq: &Stanza) -> bool {
        let taken = self.push(session, iq).is_ok();
        if taken && session.is_away() && self.may_wake(session) {
            let (router, session) = (self.this.clone(), session.clone());
            tokio::spawn(async move {
                if let Some(router) = router.upgrade() {
                    let domain = Arc::clone(&session.domain());
                    let cx = router.modules.context(&domain.hosted, &*router, now());
                    hooks::request_waits(&cx, &session.jid).await;
                }
            });
        }
        taken
    }

    /// Hands an answer to a session; whoever gets copies of the message it is about gets one of an error too (XEP-0280 6.1).
    fn hand(&self, session: &Arc<Session>, stanza: &Stanza) -> bool {
        let taken = self.push(session, stanza).is_ok();
        if stanza.kind() == Kind::Message && stanza.type_() == StanzaType::Error {
            let domain = session.domain();
            if domain.hosted.watches_messages() {
                let cx = self.modules.context(&domain.hosted, self, now());
                hooks::error_written(&cx, stanza);
            }
        }
        taken
    }

    /// Queues a stanza for one session. A reader so slow that its queue is full loses the session.
    fn push(&self, session: &Arc<Session>, stanza: &Stanza) -> Result<(), PushError> {
        let result = if session.is_unseen() {
            Self::push_unseen(session, stanza)
        } else {
            session.outbox.push(stanza.bytes().clone())
        };
        self.pushed(session, result)
    }

    /// The same for a message that the store has too until the session has acknowledged it.
    fn push_backed(
        &self,
        session: &Arc<Session>,
        message: &Stanza,
        backed: &Backed,
    ) -> Result<(), PushError> {
        let bytes = message.bytes();
        // Before it can have been acknowledged.
        session.backs(backed.number(), bytes.clone());
        let marked = self.marked(session, self.modules.held(backed));
        let pushed = session
            .outbox
            .push_with(bytes.clone(), move || Box::pin(marked.written()));
        if pushed.is_err() {
            session.backs_no_more(backed.number());
        }
        self.pushed(session, pushed)
    }

    fn pushed(
        &self,
        session: &Arc<Session>,
        result: Result<(), PushError>,
    ) -> Result<(), PushError> {
        match result {
            Ok(()) => self.metrics.routed(Route::Session),
            Err(PushError::Full) => self.close_session(
                session,
                StreamError::new(StreamCondition::PolicyViolation)
                    .with_text(format!(
                        "at most {} bytes wait to be read, and this client is slower than what comes; sign in again",
                        session.outbox.limit()
                    )),
            ),
            Err(PushError::Closed) => {}
        }
        result
    }

    /// Nobody looks: presence and chat states wait until something comes that cannot, of each sender the last (EXT-13). That the
    /// session itself is not in a room any more does not wait.
    fn push_unseen(session: &Session, stanza: &Stanza) -> Result<(), PushError> {
        let bytes = stanza.bytes().clone();
        let from = stanza.from().map(Jid::as_str).unwrap_or_default();
        match stanza.kind() {
            Kind::Presence if modules::hooks::may_wait(stanza) => {
                session.outbox.push_late(&format!("p {from}"), bytes)
            }
            Kind::Message if modules::hooks::is_of_the_moment(stanza) => {
                session.outbox.push_late(&format!("m {from}"), bytes)
            }
            _ => session.outbox.push(bytes),
        }
    }

    /// The long way: a module.
    fn later(&self, domain: &Arc<Domain>, stanza: Stanza, hook: Hook) -> Option<Later> {
        let router = self.this.upgrade()?;
        let domain = domain.clone();
        self.metrics.routed(match hook {
            Hook::Undeliverable => Route::Offline,
            Hook::Refused => Route::Refused,
            _ => Route::Module,
        });
        /// A future of its own for each hook: one for all would be as large as the largest of them.
        macro_rules! boxed {
            ($hook:path) => {
                Box::pin(async move {
                    let cx = router.modules.context(&domain.hosted, &*router, now());
                    $hook(&cx, &stanza).await;
                })
            };
        }
        Some(Later::Done(match hook {
            Hook::IqToServer => boxed!(hooks::iq_to_server),
            Hook::IqToAccount => boxed!(hooks::iq_to_account),
            Hook::IqAnswered => boxed!(hooks::iq_answered),
            Hook::MessageToServer => boxed!(hooks::message_to_server),
            Hook::PresenceOutbound => boxed!(hooks::presence_outbound),
            Hook::PresenceInbound => boxed!(hooks::presence_inbound),
            Hook::Undeliverable => boxed!(hooks::message_undeliverable),
            Hook::Refused => boxed!(hooks::message_refused),
            Hook::Service => Box::pin(async move {
                let cx = router.modules.context(&domain.hosted, &*router, now());
                if let Some(service) = domain.service {
                    hooks::to_service(&cx, service, &stanza).await;
                }
            }),
            Hook::IqSent => Box::pin(async move {
                let cx = router.modules.context(&domain.hosted, &*router, now());
                if !hooks::iq_stopped(&cx, &stanza).await
                    && let Some(later) = router.onward(&domain, stanza)
                {
                    later.await;
                }
            }),
            Hook::IqToSession => Box::pin(async move { router.to_session(&domain, stanza).await }),
        }))
    }

    /// IM-39: to a stranger a session looks like none.
    async fn to_session(&self, domain: &Domain, iq: Stanza) {
        let (Some(to), Some(from)) = (iq.to(), iq.from()) else {
            return;
        };
        let cx = self.modules.context(&domain.hosted, self, now());
        if matches!(iq.type_(), StanzaType::Result | StanzaType::Error) {
            if !hooks::answer_stopped(&cx, to, from).await
                && let Some(session) = self.sessions.get(to)
            {
                let _ = self.push(&session, &iq);
            }
            return;
        }
        let taken = hooks::shares_presence(&cx, to, from).await
            && self
                .sessions
                .get(to)
                .is_some_and(|session| self.push_request(&session, &iq));
        if !taken {
            self.bounce(&iq, Condition::ServiceUnavailable);
        }
    }
}

impl std::fmt::Debug for Router {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Router")
            .field("tenancy", &self.tenancy)
            .field("accounts", &self.sessions.accounts())
            .finish_non_exhaustive()
    }
}
