//! Presence and subscriptions (RFC 6121 3 and 4).
//!
//! [`subscription`] holds the tables of Appendix A; this file says in which order their consequences leave. [`broadcast`]
//! is a session's coming, changing and going, [`probe`] the answers to whoever asks, [`directed`] presence outside of
//! subscriptions, [`greeting`] contacts who come by invitation. Refuses: approving on anybody's behalf, unless the account
//! pre-approved (IM-12) or has invited whoever asks; showing a session to
//! whoever has no right to see it (IM-42).

mod broadcast;
mod directed;
pub(crate) mod greeting;
mod known;
mod probe;
pub mod subscription;

use async_trait::async_trait;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

pub(crate) use self::broadcast::again;
pub(crate) use self::directed::Directed;
pub(crate) use self::known::Known;
pub(crate) use self::probe::last_seen;
use self::subscription::{Direction, Presence, Situation, State, Step, Verb, step};
use crate::blocking::BlockList;
use crate::context::{Context, Refusal, is_plain_presence};
use crate::info::{Hooks, ModuleInfo, Spec};
use crate::memory::Limits;
use crate::module::Module;
use crate::moved;
use crate::notice;
use crate::push;
use crate::roster::{self, Roster};
use crate::switchboard::SessionView;
use store::{ItemEdit, RequestEdit, RosterEdit, RosterItem, Subscription};

/// The module.
pub(crate) struct PresenceModule;

static INFO: ModuleInfo = ModuleInfo {
    name: "presence",
    about: "subscriptions with pre-approval, presence to those who may see it, probes, directed presence",
    specs: &[Spec::Rfc(6121, "3, 4, A"), Spec::Xep(379, "0.3.3")],
    switchable: false,
    iq: &[],
    hooks: Hooks::PRESENCE_OUTBOUND
        .and(Hooks::PRESENCE_INBOUND)
        .and(Hooks::SESSION_GONE)
        .and(Hooks::ACCOUNT_REMOVED),
    server_features: &[],
    account_features: &[],
    account_identities: &[],
    stream_features: &[("sub", ns::PRE_APPROVAL)],
};

#[async_trait]
impl Module for PresenceModule {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn presence_outbound(&self, cx: &Context<'_>, presence: &Stanza) {
        if let Some(verb) = Verb::of(presence.type_()) {
            return outbound(cx, presence, verb).await;
        }
        match presence.to() {
            None if is_plain_presence(presence.type_()) => broadcast::outbound(cx, presence).await,
            // A probe or an error to nobody.
            None => {}
            Some(_) if is_plain_presence(presence.type_()) => {
                broadcast::directed(cx, presence).await;
            }
            Some(_) => cx.send(presence.clone()),
        }
    }

    async fn presence_inbound(&self, cx: &Context<'_>, presence: &Stanza) {
        if let Some(verb) = Verb::of(presence.type_()) {
            inbound(cx, presence, verb).await;
        } else if presence.type_() == StanzaType::Probe {
            probe::answer(cx, presence).await;
        } else {
            deliver(cx, presence);
            if let (Some(from), Some(to)) = (presence.from(), presence.to())
                && to.is_bare()
                && is_plain_presence(presence.type_())
                && !cx.switchboard.hosts(from.domain())
            {
                known::hear(cx, from, to, presence).await;
            }
        }
    }

    async fn session_gone(&self, cx: &Context<'_>, gone: &SessionView) {
        broadcast::gone(cx, gone).await;
    }

    async fn account_removed(&self, cx: &Context<'_>, account: &BareJid) {
        let Ok(Some(roster)) = cx.roster(account).await else {
            return;
        };
        for item in roster.items() {
            part(cx, account, &item.jid, roster::state(&roster, item));
        }
    }
}

/// Ends what there was between an account and a contact that left its roster (IM-07): unavailable presence first, then
/// the words.
pub(crate) fn part(cx: &Context<'_>, account: &BareJid, contact: &BareJid, lost: State) {
    if lost.shows() {
        hide(cx, account, contact);
    }
    if lost.sees() || lost.ask() {
        cx.send(about(account, contact, Verb::Unsubscribe, None));
    }
    if lost.shows() {
        cx.send(about(account, contact, Verb::Unsubscribed, None));
    }
}

/// Presence and presence errors to an account: to every available session, or to the one addressed (IM-29, IM-40).
fn deliver(cx: &Context<'_>, presence: &Stanza) {
    let (Some(from), Some(to)) = (presence.from(), presence.to()) else {
        return;
    };
    if presence.type_() == StanzaType::Unavailable {
        cx.modules.directed.forget(to, from);
    }
    if to.is_bare() {
        cx.switchboard.deliver_available(&to.bare(), presence);
    } else {
        cx.switchboard.deliver(to, presence.clone());
    }
}

/// A subscription stanza from the account (RFC 6121 3.1.2, 3.1.5, 3.2.2, 3.3.2, 3.4.2).
async fn outbound(cx: &Context<'_>, presence: &Stanza, verb: Verb) {
    let Some(account) = presence.from().map(Jid::bare) else {
        return;
    };
    let Some(contact) = presence.to().map(Jid::bare) else {
        return cx.refuse(presence, Condition::BadRequest);
    };
    // Everybody sees their own sessions without asking.
    if contact == account {
        return;
    }
    cx.modules.known.forget(&account, &contact);
    let most = cx.roster_items();
    let _turn = cx.modules.turn(&account).await;
    let edited = cx.roster_edit(&account, |roster| {
        let before = situation(roster, &contact);
        let step = step(before, Direction::Outbound, verb);
        let edit = edit(roster, &contact, step, RequestEdit::Keep);
        let grows = edit
            .as_ref()
            .is_some_and(|e| matches!(e.item, ItemEdit::Put(_)));
        if grows && !before.in_roster && roster.items().len() >= most {
            cx.switchboard.limited("roster_items");
            return Err(Refusal::new(Condition::PolicyViolation)
                .with_text(format!("a roster holds at most {most} contacts")));
        }
        Ok((edit, step))
    });
    let (roster, step) = match edited.await {
        Ok(Some(edited)) => edited,
        Ok(None) => return,
        Err(error) => return cx.refuse(presence, error),
    };
    if step.presence == Presence::Unavailable {
        hide(cx, &account, &contact);
    }
    if step.pass {
        let to = Jid::from(contact.clone());
        cx.send(presence.with_from(&account.clone().into()).with_to(&to));
    }
    if step.push {
        roster::push(cx, &account, &roster, &contact);
    }
    if step.presence == Presence::Current {
        show(cx, &account, &contact);
    }
}

/// What an account says to a contact without one of its sessions.
pub(crate) async fn say(cx: &Context<'_>, account: &BareJid, contact: &BareJid, verb: Verb) {
    outbound(cx, &about(account, contact, verb, None), verb).await;
}

/// A subscription stanza to the account (RFC 6121 3.1.3, 3.1.6, 3.2.3, 3.3.3). Whatever is not expected is ignored without
/// a word, as it is for accounts that do not exist (IM-33).
async fn inbound(cx: &Context<'_>, presence: &Stanza, verb: Verb) {
    let (Some(from), Some(to)) = (presence.from(), presence.to()) else {
        return;
    };
    let (contact, account) = (from.bare(), to.bare());
    if contact == account || !cx.is_account(to) {
        return;
    }
    // RFC 6121 8.5.3.2.2: to a session that is not there, only a request counts.
    if verb != Verb::Subscribe
        && !to.is_bare()
        && !cx
            .switchboard
            .sessions(&account)
            .iter()
            .any(|s| s.jid == *to)
    {
        return;
    }
    let presence = if to.is_bare() && from.is_bare() {
        presence.clone()
    } else {
        presence
            .with_from(&contact.clone().into())
            .with_to(&account.clone().into())
    };
    cx.modules.known.forget(&account, &contact);
    let limits = &cx.modules.limits;
    let turn = cx.modules.turn(&account).await;
    let invited = greeting::is_invited(cx, &account, &contact, &presence).await;
    let edited = cx.roster_edit(&account, |roster| {
        let mut before = situation(roster, &contact);
        let approved = before.approved;
        before.approved |= invited;
        let mut step = step(before, Direction::Inbound, verb);
        step.approved &= approved || !invited;
        let request = if step.state.request() && !before.state.request() {
            if roster.requests().len() >= limits.requests {
                cx.switchboard.limited("subscription_requests");
                requests_full(cx, &account, limits.requests);
                // No number, and no word at all to whoever asks: that the account is there is not theirs to know (ROUTE-10). Its
                // owner is told how many wait.
                return Err(Condition::ResourceConstraint.into());
            }
            RequestEdit::Put {
                from: contact.clone(),
                stanza: request_bytes(&presence, limits),
                at: cx.now,
            }
        } else {
            RequestEdit::Keep
        };
        Ok((edit(roster, &contact, step, request), step))
    });
    let (roster, step) = match edited.await {
        Ok(Some(edited)) => edited,
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(account = %account, condition = error.condition().name(), "subscription stanza ignored");
            return;
        }
    };
    // Who says that they have moved is shown when their old address does not confirm it.
    let held = verb == Verb::Subscribe && step.pass && moved::ask(cx, &roster, &account, &presence);
    if step.pass && !held {
        for session in cx.switchboard.sessions(&account) {
            // Requests are for people, the rest explains the push that follows (RFC 6121 3.1.1, 3.1.6).
            let wants = match verb {
                Verb::Subscribe => session.available(),
                _ => session.interested,
            };
            if wants {
                cx.switchboard.deliver(&session.jid, presence.clone());
            }
        }
        if verb == Verb::Subscribe {
            push::subscription_waits(cx, &account).await;
        }
    }
    if step.push {
        roster::push(cx, &account, &roster, &contact);
    }
    if step.presence == Presence::Unavailable {
        hide(cx, &account, &contact);
    }
    if let Some(reply) = step.reply {
        cx.send(about(&account, &contact, reply, presence.id()));
    }
    if step.presence == Presence::Current {
        show(cx, &account, &contact);
    }
    if invited {
        drop(turn);
        greeting::ask_back(cx, &account, &contact, step.state).await;
    }
}

/// Whoever asked hears nothing, as of an account that does not exist (IM-33); the owner hears why others say that they have asked.
fn requests_full(cx: &Context<'_>, account: &BareJid, most: usize) {
    let requests = if most == 1 { "request" } else { "requests" };
    notice::full(cx, account, "requests", || {
        format!(
            "{most} {requests} to see when you are there wait for your answer, and no more can: approve or refuse some, and ask              others to try again."
        )
    });
}

/// Where an account stands with an address.
fn situation(roster: &Roster, contact: &BareJid) -> Situation {
    let item = roster.get(contact.as_str());
    Situation {
        state: State::new(
            item.map_or(Subscription::None, |i| i.subscription),
            item.is_some_and(|i| i.ask),
            roster.has_request(contact.as_str()),
        ),
        in_roster: item.is_some(),
        approved: item.is_some_and(|i| i.approved),
    }
}

/// What a step writes; `None` if nothing.
fn edit(
    roster: &Roster,
    contact: &BareJid,
    step: Step,
    request: RequestEdit,
) -> Option<RosterEdit> {
    let item = roster.get(contact.as_str());
    let (subscription, ask) = (step.state.subscription(), step.state.ask());
    let item = if step.push {
        ItemEdit::Put(RosterItem {
            jid: contact.clone(),
            name: item.map(|i| i.name.clone()).unwrap_or_default(),
            groups: item.map(|i| i.groups.clone()).unwrap_or_default(),
            subscription,
            ask,
            approved: step.approved,
            version: 0,
        })
    } else {
        ItemEdit::Keep
    };
    let request = match request {
        RequestEdit::Keep if !step.state.request() && roster.has_request(contact.as_str()) => {
            RequestEdit::Remove(contact.clone())
        }
        request => request,
    };
    match (&item, &request) {
        (ItemEdit::Keep, RequestEdit::Keep) => None,
        _ => Some(RosterEdit { item, request }),
    }
}

/// What is kept of a request: the whole stanza, or the mere fact if it is too long (RFC 6121 3.1.3, security warning).
fn request_bytes(presence: &Stanza, limits: &Limits) -> Vec<u8> {
    let kept = match (presence.from(), presence.to()) {
        (Some(from), Some(to)) if presence.bytes().len() > limits.request_bytes => {
            about(&from.bare(), &to.bare(), Verb::Subscribe, None)
        }
        _ => presence.clone(),
    };
    kept.bytes().to_vec()
}

/// Who is blocked by `more` and was not by `less` sees the account's sessions go (XEP-0191 3.3), or come back (3.4): contacts
/// that are subscribed, and going, those whom a session showed itself to.
pub(crate) async fn seen_by(
    cx: &Context<'_>,
    account: &BareJid,
    less: &BlockList,
    more: &BlockList,
    comes: bool,
) {
    let concerned = |jid: &Jid| more.blocks(jid) && !less.blocks(jid);
    let Ok(Some(roster)) = cx.roster(account).await else {
        return;
    };
    for contact in roster.subscribers() {
        if contact.jid == *account || !concerned(&Jid::from(contact.jid.clone())) {
            continue;
        }
        match comes {
            true => show(cx, account, &contact.jid),
            false => hide(cx, account, &contact.jid),
        }
    }
    if comes {
        return;
    }
    for session in cx.switchboard.sessions(account) {
        for to in cx.modules.directed.list(&session.jid) {
            if to.bare_str() != account.as_str() && concerned(&to) {
                cx.modules.directed.remove(&session.jid, &to);
                cx.send(unavailable(&session.jid, Some(&to), None));
            }
        }
    }
}

/// Current presence of every available session to a contact.
fn show(cx: &Context<'_>, account: &BareJid, contact: &BareJid) {
    let to = Jid::from(contact.clone());
    for presence in available(cx, account).filter_map(|s| s.presence) {
        cx.send(presence.with_to(&to));
    }
}

/// Unavailable presence of every available session to a contact.
fn hide(cx: &Context<'_>, account: &BareJid, contact: &BareJid) {
    let to = Jid::from(contact.clone());
    for session in available(cx, account) {
        cx.send(unavailable(&session.jid, Some(&to), None));
    }
}

pub(crate) fn available(cx: &Context<'_>, account: &BareJid) -> impl Iterator<Item = SessionView> {
    cx.switchboard
        .sessions(account)
        .into_iter()
        .filter(SessionView::available)
}

/// A subscription stanza that this server writes on an account's behalf.
fn about(account: &BareJid, contact: &BareJid, verb: Verb, id: Option<&str>) -> Stanza {
    let (from, to) = (account.clone().into(), contact.clone().into());
    Stanza::presence(Some(verb.type_()), &from, Some(&to), id)
}

/// Unavailable presence that this server writes on a session's behalf.
fn unavailable(session: &Jid, to: Option<&Jid>, id: Option<&str>) -> Stanza {
    Stanza::presence(Some(StanzaType::Unavailable), session, to, id)
}

#[cfg(test)]
mod tests;
