//! What a module is: the hooks that it can take part in, and what it makes of what it is given. When each is called:
//! [`crate::hooks`].

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::{Condition, Stanza};

use crate::context::{Context, Hosted, Refusal, Standing};
use crate::info::{ModuleInfo, Service};
use crate::memory::Modules;
use crate::passage::{Glance, Passage, Taken};
use crate::switchboard::SessionView;

/// One extension. A module holds no state of its own: what it remembers between calls is in [`crate::Modules`].
///
/// Every hook has an empty default; a module implements some of them and names these in [`ModuleInfo::hooks`].
#[async_trait]
pub trait Module: Send + Sync {
    /// Its card.
    fn info(&self) -> &'static ModuleInfo;

    /// Names of the modules without which it cannot be on: what it says in disco would not be true.
    fn needs(&self) -> &'static [&'static str] {
        &[]
    }

    /// A get or set to the domain.
    async fn iq_to_server(&self, _: &Context<'_>, _: &Stanza) -> Result<Answer, Refusal> {
        Err(Condition::ServiceUnavailable.into())
    }

    /// What fits the module's door is answered with an empty result, and nothing else happens: [`Module::iq_to_server`] is not
    /// asked.
    fn answers_at_once(&self) -> bool {
        false
    }

    /// A get or set to an account.
    async fn iq_to_account(&self, _: &Context<'_>, _: &Ask<'_>) -> Result<Answer, Refusal> {
        Err(Condition::ServiceUnavailable.into())
    }

    /// Presence from a session of this domain; `from` is its full JID.
    async fn presence_outbound(&self, _: &Context<'_>, _: &Stanza) {}

    /// Presence to an account of this domain.
    async fn presence_inbound(&self, _: &Context<'_>, _: &Stanza) {}

    /// A session broadcast availability. `before` is the session as it was: not available at initial presence.
    async fn session_available(&self, _: &Context<'_>, _now: &SessionView, _before: &SessionView) {}

    /// Namespaces of what a client may ask this module for along with binding (XEP-0386 3.1); each is a feature of disco too.
    fn inline(&self) -> &'static [&'static str] {
        &[]
    }

    /// A client that binds asks for something of [`Module::inline`]: it is done when this returns. What is answered, if
    /// anything, goes into `<bound/>`.
    async fn session_bound(
        &self,
        _: &Context<'_>,
        _session: &Jid,
        _wanted: &Element,
    ) -> Option<Element> {
        None
    }

    /// A session ended.
    async fn session_gone(&self, _: &Context<'_>, _: &SessionView) {}

    /// Whether [`Module::message_undeliverable`] would keep this message.
    fn keeps(&self, _: &Stanza) -> bool {
        false
    }

    /// A session that was kept over a restart has its client back.
    async fn session_returned(&self, _: &Context<'_>, _session: &Jid) {}

    /// Whether [`Module::message_passing`] has anything to do with this message. Where no module has, nothing waits for it.
    fn message_concerns(&self, _: &Modules, _: &Hosted, _: &Glance<'_>) -> bool {
        false
    }

    /// A message is about to pass an account. It may be changed, or refused: then it goes no further, and whoever sent it is
    /// told.
    async fn message_passing(&self, _: &Context<'_>, _: &mut Passage) -> Result<(), Refusal> {
        Ok(())
    }

    /// It has gone on; which of the account's sessions got it.
    fn message_taken(&self, _: &Context<'_>, _: &Glance<'_>, _: &Taken) {}

    /// It has gone on, and there is something to keep of it. The sender's stream waits for this; what could not be done, the
    /// sender is told.
    async fn message_passed(&self, _: &Context<'_>, _: &mut Passage) -> Result<(), Refusal> {
        Ok(())
    }

    /// A message waits for this session of the domain's, whose client is not there: what a room has said to everybody, which
    /// passes no account, or what the client has not acknowledged.
    async fn message_waits(&self, _: &Context<'_>, _session: &Jid, _: &Stanza) {}

    /// A message that no session can take.
    async fn message_undeliverable(&self, _: &Context<'_>, _: &Stanza) -> Undeliverable {
        Undeliverable::Pass
    }

    /// The name beside the domain at which it answers.
    fn service(&self) -> Option<&'static Service> {
        None
    }

    /// A stanza to its service, or to an address there. The context's domain is the service's name; its rows are those of
    /// the domain that the service belongs to.
    async fn to_service(&self, _: &Context<'_>, _: &Stanza) -> Result<(), Refusal> {
        Err(Condition::ServiceUnavailable.into())
    }

    /// A session that was kept over a restart had shown itself to an address of the module's service.
    async fn service_returned(
        &self,
        _: &Context<'_>,
        _session: &Jid,
        _shown: &Jid,
        _presence: &Stanza,
    ) {
    }

    /// The process ends.
    async fn service_closing(&self, _: &Context<'_>, _service: &str) {}

    /// An answer to what a module asked on behalf of an account; which module's, it sees itself.
    async fn iq_answered(&self, _: &Context<'_>, _: &Stanza) {}

    /// Whether [`Module::server_message`] has anything to do with this message to the domain itself.
    fn server_message_concerns(&self, _: &Hosted, _: &Stanza) -> bool {
        false
    }

    /// A message to the domain itself; nobody is told what comes of it.
    async fn server_message(&self, _: &Context<'_>, _: &Stanza) {}

    /// What an account has beside its sessions, or what one of its nodes has (XEP-0030 4); `None`: no such node. Everybody may
    /// ask: the module sees to it that each is told of what they may know.
    async fn disco_items(
        &self,
        _: &Context<'_>,
        _: &Ask<'_>,
        _node: Option<&str>,
    ) -> Result<Option<Vec<Element>>, Refusal> {
        Ok(None)
    }

    /// What a node of an account is (XEP-0030 3.2): identities, features and forms; `None`: no such node.
    async fn disco_node(
        &self,
        _: &Context<'_>,
        _: &Ask<'_>,
        _node: &str,
    ) -> Result<Option<Vec<Element>>, Refusal> {
        Ok(None)
    }

    /// An account is about to be removed by its owner; what it means to others must be taken back.
    async fn account_removed(&self, _: &Context<'_>, _: &BareJid) {}
}

/// A get or set to an account.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Whose.
    pub account: &'a BareJid,
    /// What the sender is to the account; [`Standing::Stranger`] where the module's [`Audience`] is `Anyone` and the sender
    /// is not the owner.
    pub standing: Standing,
    /// The request.
    pub iq: &'a Stanza,
}

/// What a module made of a get or set.
#[derive(Debug)]
pub enum Answer {
    /// An empty result.
    Empty,
    /// A result with this payload.
    Payload(Element),
    /// The module has answered itself, because something had to follow in order.
    Sent,
}

/// What a module made of a message nobody can take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undeliverable {
    /// Kept, committed. Nobody else is asked.
    Kept,
    /// Not worth keeping, or nobody's: dropped without a word.
    Dropped,
    /// Cannot be kept: refused as `x` in the table of RFC 6121 8.5.4, with this word to those who may hear it.
    Refused(String),
    /// Not this module's affair.
    Pass,
}
