//! Message Carbons, XEP-0280 version 1.0.1, with every rule of its section 6.1 (`urn:xmpp:carbons:rules:0`).
//!
//! A session that has asked for it gets a copy of each message of its account that it did not get itself: of those that
//! come, and of those that other sessions send. Copies go into the sessions' queues as they are, so nothing that becomes of
//! a copy is ever told to whoever wrote the message (8.3): a client's error about a copy is addressed to its own account,
//! where errors end. Refuses: copies that others made (14), private messages, and group chat.

use std::sync::{Arc, Mutex};

use ahash::RandomState;
use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use crate::content::{Content, is_mediated_invitation};
use crate::context::{Context, Hosted, Refusal};
use crate::hooks::is_on;
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::memory::{Aging, Modules, SHARDS, Sharded, lock};
use crate::module::{Answer, Ask, Module};
use crate::passage::{Direction, Glance, Passage, Taken};
use crate::switchboard::{SessionUpdate, Switchboard};

/// The module.
pub(crate) struct Carbons;

const RULES: &str = "urn:xmpp:carbons:rules:0";

const fn door(name: &'static str) -> IqDoor {
    IqDoor {
        ns: ns::CARBONS,
        name,
        types: IqTypes::Set,
        at_server: false,
        at_account: Audience::Anyone,
        of_sessions: true,
    }
}

static INFO: ModuleInfo = ModuleInfo {
    name: "carbons",
    about: "copies messages to an account's other sessions that ask for it",
    specs: &[Spec::Xep(280, "1.0.1"), Spec::Xep(297, "1.0")],
    switchable: true,
    iq: &[door("enable"), door("disable")],
    hooks: Hooks::MESSAGE_PASSAGE,
    server_features: &[ns::CARBONS, RULES],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

/// Turns copies on or off for a session, as `<enable/>` and `<disable/>` do (4, 5), and an inline request at binding
/// (XEP-0386) may; `false`: the session's domain has none. It lasts as long as the session, resumptions included.
pub fn carbons_set(
    hosted: &Hosted,
    switchboard: &dyn Switchboard,
    session: &Jid,
    on: bool,
) -> bool {
    let here = is_on(hosted, &INFO);
    if here {
        switchboard.session_update(session, SessionUpdate::Carbons(on));
    }
    here
}

#[async_trait]
impl Module for Carbons {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn inline(&self) -> &'static [&'static str] {
        &[ns::CARBONS]
    }

    async fn session_bound(
        &self,
        cx: &Context<'_>,
        session: &Jid,
        wanted: &Element,
    ) -> Option<Element> {
        carbons_set(
            cx.hosted,
            cx.switchboard,
            session,
            wanted.name() == "enable",
        );
        None
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let Some(session) = ask.iq.from() else {
            return Err(Condition::BadRequest.into());
        };
        if session.bare_str() != ask.account.as_str() {
            return Err(Condition::NotAllowed.into());
        }
        let on = ask.iq.has_child("enable", ns::CARBONS);
        carbons_set(cx.hosted, cx.switchboard, session, on);
        Ok(Answer::Empty)
    }

    fn message_concerns(&self, _: &Modules, _: &Hosted, glance: &Glance<'_>) -> bool {
        glance.content.any(Content::CARBON)
    }

    async fn message_passing(&self, _: &Context<'_>, passage: &mut Passage) -> Result<(), Refusal> {
        let personal = matches!(
            passage.message.type_(),
            StanzaType::Chat | StanzaType::Normal
        );
        if personal {
            // The same whether the account exists or not (ROUTE-10).
            return Err(Refusal::new(Condition::PolicyViolation)
                .with_text("copies of messages are made by servers"));
        }
        // A room that is told of an error may throw the account out, for what another occupant has written.
        let forged = |name: &str| matches!(name, "sent" | "received");
        if let Some(clean) = passage
            .message
            .without(|child| child.ns == ns::CARBONS && forged(child.name))
        {
            passage.content = Content::of(&clean);
            passage.message = clean;
        }
        Ok(())
    }

    fn message_taken(&self, cx: &Context<'_>, glance: &Glance<'_>, taken: &Taken) {
        copy(cx, glance, taken);
    }
}

/// An error that this server has written to one of its sessions: where it answers a message that was copied, it is copied
/// too (6.1).
pub(crate) fn error_written(cx: &Context<'_>, error: &Stanza) {
    if !is_on(cx.hosted, &INFO) {
        return;
    }
    if let Some(glance) = Glance::of(Direction::Received, error)
        && let Some(to) = error.to()
    {
        copy(cx, &glance, &Taken::Session(to.clone()));
    }
}

/// Whether a message that waits in a session's queue is a copy: it is for that session and no other.
pub fn is_carbon(message: &Stanza) -> bool {
    let (Some(from), Some(to)) = (message.from(), message.to()) else {
        return false;
    };
    from.is_bare()
        && from.bare_str() == to.bare_str()
        && (message.has_child("received", ns::CARBONS) || message.has_child("sent", ns::CARBONS))
}

fn copy(cx: &Context<'_>, glance: &Glance<'_>, taken: &Taken) {
    let sent = glance.direction == Direction::Sent;
    // To oneself: who sent it has it, whoever got it has it, the others get it as received.
    if (sent && glance.to_itself()) || !may_be_copied(glance) {
        return;
    }
    let (from, to) = (glance.message.from(), glance.message.to());
    let error = glance.message.type_() == StanzaType::Error;
    let mut due = !error;
    let mut body = Vec::new();
    let mut account = None;
    cx.switchboard
        .copies(glance.account(), &mut |session, priority| {
            // Neither who sent it, nor who got it or was meant to.
            if Some(session) == from || Some(session) == to || taken.by(session, priority) {
                return None;
            }
            if error && !due {
                due = cx.modules.copied.has(glance);
                if !due {
                    return None;
                }
            }
            if body.is_empty() {
                let name = if sent { "sent" } else { "received" };
                body = forwarded(name, &glance.for_own_sessions());
            }
            let account = account.get_or_insert_with(|| Jid::from(session.bare()));
            let type_ = glance.message.type_();
            Some(Stanza::message_written(
                type_, account, session, None, &body,
            ))
        });
    if !body.is_empty() && !error {
        cx.modules.copied.note(glance);
    }
}

/// 6.1; of errors only what can be seen of the error itself.
fn may_be_copied(glance: &Glance<'_>) -> bool {
    let content = glance.content;
    let full = glance.message.to().is_some_and(|to| !to.is_bare());
    // XEP-0334 4.3: the hint is for messages to one session, and means nothing on others.
    if content.any(Content::PRIVATE) || (full && content.any(Content::NO_COPY)) {
        return false;
    }
    let type_ = glance.message.type_();
    if type_ == StanzaType::Groupchat {
        return false;
    }
    // What another occupant writes through a room comes to every session that is in there, by itself.
    let from_occupant = glance.direction == Direction::Received
        && content.any(Content::ROOM)
        && glance.message.from().is_some_and(|from| !from.is_bare());
    if from_occupant && !content.any(Content::INVITATION) {
        return is_mediated_invitation(glance.message);
    }
    match type_ {
        StanzaType::Chat | StanzaType::Error => true,
        StanzaType::Normal if content.any(Content::BODY) => true,
        _ => {
            let im = Content::RECEIPT
                .and(Content::CHAT_STATE)
                .and(Content::INVITATION);
            content.any(im)
                || (content.any(Content::ROOM)
                    && (glance.direction == Direction::Sent && full
                        || is_mediated_invitation(glance.message)))
        }
    }
}

/// `<sent/>` or `<received/>` around the message (7, 8).
fn forwarded(name: &str, message: &Stanza) -> Vec<u8> {
    let mut out = Vec::with_capacity(message.bytes().len() + 160);
    let mut tag = |parts: &[&str]| {
        parts
            .iter()
            .for_each(|p| out.extend_from_slice(p.as_bytes()))
    };
    tag(&["<", name, " xmlns='", ns::CARBONS, "'>"]);
    tag(&["<forwarded xmlns='", ns::FORWARD, "'>"]);
    message.write_nested(&mut out);
    out.extend_from_slice(b"</forwarded></");
    out.extend_from_slice(name.as_bytes());
    out.push(b'>');
    out
}

/// Messages that were copied not long ago, so that errors which answer them are copied too. By account, the last few.
#[derive(Debug)]
pub(crate) struct Copied {
    hasher: RandomState,
    accounts: Sharded<Aging<BareJid, Arc<Mutex<Last>>>>,
}

/// Messages remembered of an account.
const LAST: usize = 64;
/// Accounts remembered, in each of two generations.
const ACCOUNTS: usize = 10_000;

#[derive(Debug, Default)]
struct Last {
    seen: Vec<u64>,
    next: usize,
}

impl Default for Copied {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            accounts: Sharded::with(|| Aging::new(ACCOUNTS / SHARDS)),
        }
    }
}

impl Copied {
    /// By the other side, the id and the way; what has no id gets no error that could be told apart.
    fn name(&self, glance: &Glance<'_>, direction: Direction) -> Option<u64> {
        let id = glance.message.id()?;
        let peer = glance.peer()?.bare_str();
        let sent = direction == Direction::Sent;
        Some(self.hasher.hash_one((peer, id, sent)))
    }

    fn note(&self, glance: &Glance<'_>) {
        let Some(name) = self.name(glance, glance.direction) else {
            return;
        };
        let accounts = self.accounts.of(glance.account());
        let last = accounts.get(glance.account()).unwrap_or_else(|| {
            let last = Arc::<Mutex<Last>>::default();
            accounts.insert(glance.bare(), last.clone(), 1);
            last
        });
        let mut last = lock(&last);
        if last.seen.len() < LAST {
            last.seen.push(name);
        } else {
            let next = last.next % LAST;
            last.seen[next] = name;
            last.next = next + 1;
        }
    }

    /// Whether this error, by its addresses and id, answers one of them.
    fn has(&self, error: &Glance<'_>) -> bool {
        let answered = match error.direction {
            Direction::Sent => Direction::Received,
            Direction::Received => Direction::Sent,
        };
        let Some(name) = self.name(error, answered) else {
            return false;
        };
        let accounts = self.accounts.of(error.account());
        let last = accounts.get(error.account());
        last.is_some_and(|last| lock(&last).seen.contains(&name))
    }
}

#[cfg(test)]
mod tests;
