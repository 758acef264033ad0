//! What modules need from the live server, as a trait: the router implements it, tests have one in memory.
//!
//! Why a trait: a module cannot reach a socket, a stream or another tenant's session by accident. Refuses: anything about
//! connections, addresses or TLS (ROUTE-13).

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use xmpp::jid::{BareJid, DomainName, Jid};
use xmpp::stanza::{Condition, Stanza};
use xmpp::stream::StreamCondition;

use crate::administration::{NotDone, Work};
use crate::context::Refusal;
use crate::offline::Mark;

/// What whoever sent a stanza waits for.
pub type Later = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The live server as modules see it. Everything but [`Switchboard::local`] returns at once and never blocks.
#[async_trait]
pub trait Switchboard: Send + Sync {
    /// Whether this process hosts the domain (canonical form, as [`Jid::domain`] gives it).
    fn hosts(&self, domain: &str) -> bool;

    /// Whether a name is a component's of the domain above it (XEP-0114). A domain that is hosted here is none, though a component had
    /// the name before.
    fn is_component(&self, name: &str) -> bool;

    /// Sends a stanza to a domain hosted elsewhere, as this server; both addresses are set. Failures come back as error
    /// stanzas from the addressee (ROUTE-05). What it returns is over when a crash would not lose the stanza any more; `None`:
    /// it is none that is kept.
    fn route(&self, stanza: Stanza) -> Option<Later>;

    /// Handles a stanza for a hosted domain as if it had come in from this server, to the end: sessions, hooks, errors.
    /// Called after a handler has ended and let go of its locks, never within it.
    async fn local(&self, stanza: Stanza);

    /// Sends what an account of a hosted domain says, or the domain itself, though none of its sessions did: past what its own
    /// modules want of it, to the end. Called without a lock, as [`Switchboard::local`].
    ///
    /// # Errors
    /// The account has written to so many others that this one is too many; nothing has gone out.
    async fn speak(&self, stanza: Stanza) -> Result<(), Refusal> {
        if stanza.to().is_some_and(|to| self.hosts(to.domain())) {
            self.local(stanza).await;
        } else {
            self.route(stanza);
        }
        Ok(())
    }

    /// Counts that an account writes to somebody by way of a service, which does the sending: an invitation into a room.
    ///
    /// # Errors
    /// The account has written to so many others that this one is too many.
    fn admit_recipient(&self, account: &BareJid, to: &BareJid) -> Result<(), Refusal>;

    /// Puts a stanza into the queue of one session; false if there is none, or if its queue is full.
    fn deliver(&self, session: &Jid, stanza: Stanza) -> bool;

    /// Puts a stanza into the queue of the session that it is for, as [`Switchboard::deliver`] does. For those who make many.
    fn offer(&self, stanza: &Stanza) -> bool {
        let to = stanza.to().cloned();
        to.is_some_and(|to| self.deliver(&to, stanza.clone()))
    }

    /// Puts a stanza into the queue of every available session of an account. What presence broadcasts are made of: a
    /// switchboard that can do it in one look should.
    fn deliver_available(&self, account: &BareJid, stanza: &Stanza) {
        for session in self.sessions(account).iter().filter(|s| s.available()) {
            self.deliver(&session.jid, stanza.clone());
        }
    }

    /// Asks for a copy for each session of the account that wants copies of messages (XEP-0280): `copy` is told the session
    /// and its priority (`None`: not available) and writes it, or says that this session gets none. Must be quick.
    fn copies(&self, account: &str, copy: &mut dyn FnMut(&Jid, Option<i8>) -> Option<Stanza>);

    /// Bound sessions of an account, in the order of binding.
    fn sessions(&self, account: &BareJid) -> Vec<SessionView>;

    /// Whether the session waits for its client (XEP-0198); not, if there is no such session. A switchboard that need not make
    /// a view of every session to know should not.
    fn is_away(&self, session: &Jid) -> bool {
        let sessions = self.sessions(&session.bare());
        sessions.iter().any(|s| s.jid == *session && s.away)
    }

    /// A message was put into the queue of a session whose client is not there, without passing its account: its domain's
    /// modules hear of it ([`crate::hooks::message_waits`]). Called without a lock, as [`Switchboard::local`].
    async fn waits(&self, message: Stanza);

    /// Records what a session said about itself. A session that is gone is ignored.
    fn session_update(&self, session: &Jid, update: SessionUpdate);

    /// Puts stanzas and a mark behind them into the session's queue, in one step: those for which it has room, and the mark is
    /// told how many ([`Mark::shorten`]). Once everything before the mark has been written to the socket, the router calls
    /// [`crate::hooks::session_written`] with it; where the session ends before, or is not there,
    /// [`crate::hooks::session_unwritten`]; neither of them within this call.
    fn deliver_marked(&self, session: &Jid, stanzas: Vec<Stanza>, mark: Mark);

    /// Somebody has reached a limit; `limit` is its key in the configuration. Counted, nothing else.
    fn limited(&self, _limit: &'static str) {}

    /// Has something done to the domain's accounts that its admin `by` wants; lines of the answer.
    async fn administer(
        &self,
        _domain: &DomainName,
        _by: &BareJid,
        _work: Work,
    ) -> Result<Vec<String>, NotDone> {
        Err(NotDone {
            condition: Condition::ServiceUnavailable,
            text: String::new(),
        })
    }

    /// Ends a session with a stream error, after what is queued for it.
    fn close(&self, session: &Jid, condition: StreamCondition);
}

/// What the word of a session begins with that came with a certificate.
const BY_CERTIFICATE: &str = "certificate ";
/// … and of one whose client has a name.
use store::session::AGENT_FLAG as AGENT;

/// A bound session.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Full JID.
    pub jid: Jid,
    /// The last presence that it broadcast, `from` stamped and without `to`; `None` while it is connected but not available
    /// (RFC 6121 4.2).
    pub presence: Option<Stanza>,
    /// Priority of that presence (RFC 6121 4.7.2.3); 0 while not available.
    pub priority: i8,
    /// It asked for the roster and gets pushes (RFC 6121 2.2).
    pub interested: bool,
    /// It wants copies of messages (XEP-0280).
    pub carbons: bool,
    /// It asked for the block list and gets pushes (XEP-0191 3.3).
    pub block_list: bool,
    /// Its client is not there; the session waits for it (XEP-0198).
    pub away: bool,
    /// Its stream is ending and takes nothing any more: the session is about to end.
    pub ending: bool,
    /// The name that its client has given itself (XEP-0388 2.3), if it came with a token or wanted one.
    pub agent: Option<String>,
    /// The certificate by which its stream was authenticated (SASL EXTERNAL): SHA-256, hexadecimal.
    pub certificate: Option<Arc<str>>,
}

impl SessionView {
    /// A session that was bound just now.
    pub fn new(jid: Jid) -> Self {
        Self {
            jid,
            presence: None,
            priority: 0,
            interested: false,
            carbons: false,
            block_list: false,
            away: false,
            ending: false,
            agent: None,
            certificate: None,
        }
    }

    /// Sent presence and has not taken it back.
    pub fn available(&self) -> bool {
        self.presence.is_some()
    }

    /// Available with a priority that lets messages to the bare JID through (RFC 6121 8.5.2.1.1).
    pub fn takes_messages(&self) -> bool {
        self.available() && self.priority >= 0
    }

    /// What it has asked for, in words that last longer than the process ([`SessionUpdate::of_word`]).
    pub fn words(&self) -> Vec<String> {
        let interested = self.interested.then(|| "interested".to_owned());
        let carbons = self.carbons.then(|| "carbons".to_owned());
        let by = self.certificate.as_ref();
        let by = by.map(|fingerprint| format!("{BY_CERTIFICATE}{fingerprint}"));
        let block_list = self.block_list.then(|| "block-list".to_owned());
        let agent = self.agent.as_ref().map(|agent| format!("{AGENT}{agent}"));
        let words = interested.into_iter().chain(carbons).chain(by);
        words.chain(block_list).chain(agent).collect()
    }

    /// Applies an update.
    pub fn update(&mut self, update: SessionUpdate) {
        match update {
            SessionUpdate::Available { presence, priority } => {
                self.presence = Some(presence);
                self.priority = priority;
            }
            SessionUpdate::Unavailable => {
                self.presence = None;
                self.priority = 0;
            }
            SessionUpdate::Interested => self.interested = true,
            SessionUpdate::Carbons(on) => self.carbons = on,
            SessionUpdate::BlockList => self.block_list = true,
            SessionUpdate::Agent(agent) => self.agent = Some(agent),
            SessionUpdate::Certificate(fingerprint) => self.certificate = fingerprint,
        }
    }
}

/// What changed about a session.
#[derive(Clone, Debug)]
pub enum SessionUpdate {
    /// It broadcast availability.
    Available {
        /// As broadcast.
        presence: Stanza,
        /// Its priority.
        priority: i8,
    },
    /// It broadcast unavailability, and remains bound.
    Unavailable,
    /// It asked for the roster.
    Interested,
    /// It wants copies of messages from now on, or none any more (XEP-0280).
    Carbons(bool),
    /// It asked for the block list.
    BlockList,
    /// What its client calls itself.
    Agent(String),
    /// By which certificate its stream was authenticated (SHA-256, hexadecimal), if by one.
    Certificate(Option<Arc<str>>),
}

impl SessionUpdate {
    /// What a word of [`SessionView::words`] says; `None` for one of another version.
    pub fn of_word(word: &str) -> Option<Self> {
        match word {
            "interested" => Some(Self::Interested),
            "carbons" => Some(Self::Carbons(true)),
            "block-list" => Some(Self::BlockList),
            _ => {
                if let Some(agent) = word.strip_prefix(AGENT) {
                    return Some(Self::Agent(agent.to_owned()));
                }
                let fingerprint = word.strip_prefix(BY_CERTIFICATE)?;
                Some(Self::Certificate(Some(fingerprint.into())))
            }
        }
    }
}
