//! The functions with which the router calls what modules take part in ([`crate::Module`]).
//!
//! All of them are in this file, and the modules' order is the order of [`crate::ALL`]: no priorities scattered over modules.
//! Every function handles its stanza to the end, answers included, before it returns, so that the caller's stream goes on
//! only when what it was told is committed (design: acknowledged means durable; ROUTE-01). Refuses: hooks into streams;
//! what is negotiated on a stream lives in `xmpp::stream`.
//!
//! | the router has | it calls |
//! |---|---|
//! | iq get or set to the domain, or domain/resource | [`iq_to_server_at_once`], and if that has no answer [`iq_to_server`] |
//! | iq get or set to an account's bare JID, or without `to` | [`iq_to_account`] |
//! | presence of any type from a session, with or without `to` | [`presence_outbound`] |
//! | presence of any type to an account's bare or full JID here | [`presence_inbound`] |
//! | a message of a session, before it goes on, and one to an account, before it is delivered | [`message_passing`] |
//! | the same afterwards | [`message_passed`] |
//! | instead of these two, where [`message_concerns`] says that nothing has to wait | [`message_taken`] |
//! | a message that the table of RFC 6121 8.5.4 stores offline (O) | [`message_undeliverable`] |
//! | a message for which the project's choice there is `x` | [`message_refused`] |
//! | a session that was bound along with authentication | [`session_bound`] |
//! | a session that ended, after removing it | [`session_gone`] |
//! | news that a contact has come to a roster without its sessions' doing | [`roster_grown`] |
//! | a session from before a restart, once its client is back | [`session_returned`] |
//! | a message to sessions whose clients are not there | [`keeps`], then [`message_undeliverable`] |
//! | a mark that a module put into a session's queue, once written, or once it cannot be any more | [`session_written`], [`session_unwritten`] |
//! | a message that a service put into the queue of a session whose client is not there | [`message_waits`] |
//! | a session whose connection has ended, and what it leaves behind unacknowledged | [`session_asleep`] |
//! | iq get or set to a full JID that matches | [`shares_presence`] first (IM-39); [`request_waits`] behind one whose client is not there |
//! | any stanza to a service of a domain (`rooms.one.example`) | [`to_service`] |
//! | the end of the process, for each service, and a kept session that had shown itself to one | [`service_closing`], [`service_returned`] |
//! | iq get or set of a session to somebody else | [`iq_stopped`] first, unless [`crate::Modules::may_be_blocked`] knows better |
//! | an answer from somebody else for one of its sessions | [`answer_stopped`] first, likewise |
//! | an error about a message, for one of its sessions | [`error_written`] |
//! | an answer to a bare JID or the domain that [`crate::Modules::expects`] | [`iq_answered`] |
//! | a message to the domain with another in it ([`is_envelope`]) or news that a module wants ([`server_message_concerns`]) | [`message_to_server`] |
//! | a component that is connected, now and then, and one that has gone | [`errands_due`] |
//!
//! Presence to the domain itself, other results and errors of iq to the domain or a bare JID are ignored by the router. Requests
//! that a component answers in the domain's place ([`crate::grants`]) reach no module.

use std::collections::HashMap;
use std::sync::LazyLock;

use ahash::RandomState;
use store::{DomainStore, DueBlockList, Store, StoreError};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::{Condition, Kind, Stanza, StanzaType};
use xmpp::timestamp::Timestamp;

use crate::ALL;
use crate::archive;
use crate::avatars;
use crate::blocking;
use crate::carbons;
use crate::context::{Context, DomainSettings, Hosted, Refusal, Standing};
use crate::delegation;
use crate::disco;
use crate::errands;
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Service};
use crate::memory::Modules;
use crate::module::{Answer, Ask, Module, Undeliverable};
use crate::offline::{self, Backed, Mark};
use crate::passage::{Glance, Passage, Taken};
use crate::presence::greeting;
use crate::privilege;
use crate::push;
use crate::screening;
use crate::switchboard::SessionView;

/// The short way of [`iq_to_server`], for what needs no look at anything (XEP-0199): the answer, or `None` where the request
/// takes the long way.
pub fn iq_to_server_at_once(hosted: &Hosted, iq: &Stanza) -> Option<Stanza> {
    let (module, door) = door(hosted, iq)?;
    let answered = door.at_server && module.answers_at_once() && meant(door, iq).is_ok();
    answered.then(|| iq.iq_result(None))
}

/// A get or set to the domain, or to domain/resource (ROUTE-09).
pub async fn iq_to_server(cx: &Context<'_>, iq: &Stanza) {
    let outcome = match door(cx.hosted, iq) {
        _ if delegation::taken(cx, iq) => Ok(Answer::Sent),
        Some((module, door)) if door.at_server => match meant(door, iq) {
            Ok(()) if module.answers_at_once() => Ok(Answer::Empty),
            Ok(()) => module.iq_to_server(cx, iq).await,
            Err(error) => Err(error),
        },
        _ => Err(Condition::ServiceUnavailable.into()),
    };
    finish_iq(cx, iq, outcome).await;
}

/// A get or set to an account's bare JID, or without `to` (ROUTE-03, IM-38). Strangers cannot tell an account from none
/// (ROUTE-10, C-15).
pub async fn iq_to_account(cx: &Context<'_>, iq: &Stanza) {
    let (Some(from), Some(account)) = (iq.from(), iq.to().or(iq.from()).map(Jid::bare)) else {
        return;
    };
    let outcome = match blocking::blocks(cx, &account, from).await {
        Ok(false) if delegation::taken(cx, iq) => Ok(Answer::Sent),
        Ok(false) => asked_of_account(cx, iq, &account).await,
        // As if nobody were there.
        Ok(true) => Err(Condition::ServiceUnavailable.into()),
        Err(error) => Err(error),
    };
    finish_iq(cx, iq, outcome).await;
}

async fn asked_of_account(
    cx: &Context<'_>,
    iq: &Stanza,
    account: &BareJid,
) -> Result<Answer, Refusal> {
    let (Some((module, door)), Some(from)) = (door(cx.hosted, iq), iq.from()) else {
        return Err(Condition::ServiceUnavailable.into());
    };
    let standing = match door.at_account {
        Audience::Nobody => None,
        Audience::Anyone if from.bare_str() == account.as_str() => {
            cx.modules.rosters.exists(account);
            Some(Standing::Owner)
        }
        Audience::Anyone => Some(Standing::Stranger),
        Audience::Contacts => admitted(cx, account, from, Standing::Contact).await?,
        Audience::Entitled => admitted(cx, account, from, Standing::Entitled).await?,
    };
    meant(door, iq)?;
    let Some(standing) = standing else {
        return Err(Condition::ServiceUnavailable.into());
    };
    module
        .iq_to_account(
            cx,
            &Ask {
                account,
                standing,
                iq,
            },
        )
        .await
}

/// Presence of any type from a session; `from` is its full JID.
pub async fn presence_outbound(cx: &Context<'_>, presence: &Stanza) {
    if let Some(from) = presence.from() {
        let account = from.bare();
        cx.modules.rosters.exists(&account);
        if let Some(to) = presence.to()
            && let Some(refusal) = own_block(cx, &account, to).await
        {
            cx.refuse(presence, refusal);
            return finish(cx).await;
        }
    }
    let shown = avatars::shown(cx, presence).await;
    let presence = shown.as_ref().unwrap_or(presence);
    for module in with(cx.hosted, Hooks::PRESENCE_OUTBOUND) {
        module.presence_outbound(cx, presence).await;
    }
    privilege::presence::outbound(cx, presence);
    finish(cx).await;
}

/// Presence of any type to an account's bare or full JID at this domain, whoever sent it.
pub async fn presence_inbound(cx: &Context<'_>, presence: &Stanza) {
    inbound(cx, presence).await;
    finish(cx).await;
}

/// A session's queue has been written to its socket up to a mark ([`crate::Switchboard::deliver_marked`]). Whether the module
/// that had put it there is still on does not matter.
pub async fn session_written(cx: &Context<'_>, session: &Jid, mark: Mark) {
    offline::written(cx, session, mark).await;
    finish(cx).await;
}

/// The session ended, or was not there, and its queue up to the mark was not written.
pub async fn session_unwritten(cx: &Context<'_>, session: &Jid, mark: Mark) {
    offline::unwritten(cx, session, mark).await;
    finish(cx).await;
}

/// An answer to a question that a module put on behalf of an account, or that is under way for somebody else.
pub async fn iq_answered(cx: &Context<'_>, iq: &Stanza) {
    if let Some(errand) = cx.modules.errands.take(iq) {
        errands::answered(cx, &errand, iq);
        return finish(cx).await;
    }
    for module in with(cx.hosted, Hooks::IQ_ANSWERED) {
        module.iq_answered(cx, iq).await;
    }
    finish(cx).await;
}

/// Whether a message to the domain itself is news that a module wants. Returns at once.
pub fn server_message_concerns(hosted: &Hosted, message: &Stanza) -> bool {
    with(hosted, Hooks::SERVER_MESSAGE).any(|m| m.server_message_concerns(hosted, message))
}

/// Begins with the block lists that the domain has come to follow and leaves those that it follows no more; asked when the domain
/// was changed, and of those that follow any, at the start.
pub async fn follow_lists(cx: &Context<'_>) {
    if let Err(error) = screening::follow(cx).await {
        tracing::error!(domain = %cx.hosted.domain, %error, "block lists cannot be followed");
    }
    finish(cx).await;
}

/// Takes block lists whose time to be read has come, of any domain, each to be handed to [`read_list`] with its domain's context;
/// asked now and then. `rows` are those of a domain of this name.
///
/// # Errors
/// See [`StoreError`].
pub async fn lists_due(
    modules: &Modules,
    store: &Store,
    rows: impl Fn(&str) -> Option<DomainStore>,
    now: Timestamp,
) -> Result<Vec<DueBlockList>, StoreError> {
    screening::claim(&modules.following, store, rows, now).await
}

/// Begins to read a list of the domain's that was due.
pub async fn read_list(cx: &Context<'_>, due: DueBlockList) {
    if let Err(error) = screening::begin(cx, due).await {
        tracing::error!(domain = %cx.hosted.domain, %error, "a block list cannot be read");
    }
    finish(cx).await;
}

/// A session has ended, gracefully or not, and the switchboard no longer has it; `gone` is how it was last.
pub async fn session_gone(cx: &Context<'_>, gone: &SessionView) {
    for module in with(cx.hosted, Hooks::SESSION_GONE) {
        module.session_gone(cx, gone).await;
    }
    privilege::presence::gone(cx, gone);
    finish(cx).await;
}

/// Whether any module has something to do with a message before it goes on. Returns at once.
pub fn message_concerns(modules: &Modules, hosted: &Hosted, glance: &Glance<'_>) -> bool {
    with(hosted, Hooks::MESSAGE_PASSAGE).any(|m| m.message_concerns(modules, hosted, glance))
}

/// The message has gone on, and which of the account's sessions got it. Returns at once.
pub fn message_taken(cx: &Context<'_>, glance: &Glance<'_>, taken: &Taken) {
    for module in with(cx.hosted, Hooks::MESSAGE_PASSAGE) {
        module.message_taken(cx, glance, taken);
    }
}

/// A message that one of the domain's sessions sends, or that is for one of its accounts, before it goes on. Asked only
/// where [`Hosted::watches_messages`]. `false`: it goes no further, and whoever sent it has been told.
pub async fn message_passing(cx: &Context<'_>, passage: &mut Passage) -> bool {
    for module in with(cx.hosted, Hooks::MESSAGE_PASSAGE) {
        if !module.message_concerns(cx.modules, cx.hosted, &passage.glance()) {
            continue;
        }
        if let Err(error) = module.message_passing(cx, passage).await {
            if !passage.silent {
                cx.refuse(&passage.message, error);
            }
            finish(cx).await;
            return false;
        }
    }
    true
}

/// The message has gone on: `taken` says which of the account's sessions got it. `false`: what a module had to do then could
/// not be done, and whoever sent it has been told so.
pub async fn message_passed(cx: &Context<'_>, passage: &mut Passage, taken: &Taken) -> bool {
    message_taken(cx, &passage.glance(), taken);
    let mut done = true;
    if passage.is_kept() {
        for module in with(cx.hosted, Hooks::MESSAGE_PASSED) {
            if let Err(error) = module.message_passed(cx, passage).await
                && std::mem::replace(&mut done, false)
            {
                cx.refuse(&passage.message, error);
            }
        }
    }
    finish(cx).await;
    done
}

/// A message that sessions have been handed and acknowledge later, and that nothing else keeps: committed, to be kept until one of
/// them has it. Whoever sent it is told if it cannot be, and the sessions have not got it either.
pub async fn message_backed(cx: &Context<'_>, backed: Backed, message: &Stanza) {
    offline::back(cx, backed, message).await;
    finish(cx).await;
}

/// A session has gone into the store, with all that waited for it, or could not be put there (`kept`); of these the store had a
/// copy ([`crate::Modules::backed_elsewhere`]).
pub async fn session_kept(cx: &Context<'_>, session: &Jid, backed: &[u64], kept: bool) {
    offline::moved(cx, session, backed, kept).await;
    finish(cx).await;
}

/// Whether the account that the message is for has it in its archive, by what is written on it.
pub fn is_archived(hosted: &Hosted, message: &Stanza) -> bool {
    let account = message.to().map(Jid::bare);
    account.is_some_and(|account| archive::id_in(hosted, &account, message).is_some())
}

/// A message waits for a session whose client is not there, and nobody has been told so: it has not passed the account, or the
/// client seemed to be there when it did.
pub async fn message_waits(cx: &Context<'_>, session: &Jid, message: &Stanza) {
    for module in with(cx.hosted, Hooks::MESSAGE_PASSAGE) {
        module.message_waits(cx, session, message).await;
    }
    finish(cx).await;
}

/// Whether any client of the account may have to be woken when its session leaves something behind. Returns at once.
pub fn may_wake(modules: &Modules, hosted: &Hosted, account: &str) -> bool {
    push::may_wake(modules, hosted, account)
}

/// The connection of a session has ended, and its client has not said that it has got these messages. Asked only where
/// [`may_wake`].
pub async fn session_asleep(cx: &Context<'_>, session: &Jid, left: &[Stanza]) {
    push::asleep(cx, session, left).await;
    finish(cx).await;
}

/// An iq get or set waits for a session whose client is not there. Asked only where [`may_wake`].
pub async fn request_waits(cx: &Context<'_>, session: &Jid) {
    push::request_waits(cx, session).await;
    finish(cx).await;
}

/// An error about a message that this process has written to one of the domain's sessions, which has got it. Asked only
/// where [`Hosted::watches_messages`]; returns at once.
pub fn error_written(cx: &Context<'_>, error: &Stanza) {
    carbons::error_written(cx, error);
}

/// A message to an account here that no session can take and that may be kept (O in the table of RFC 6121 8.5.4). When this
/// returns it has been committed, dropped or answered.
pub async fn message_undeliverable(cx: &Context<'_>, message: &Stanza) {
    let mut why = None;
    for module in with(cx.hosted, Hooks::MESSAGE_UNDELIVERABLE) {
        match module.message_undeliverable(cx, message).await {
            Undeliverable::Kept | Undeliverable::Dropped => return finish(cx).await,
            Undeliverable::Refused(text) => {
                why = Some(text);
                break;
            }
            Undeliverable::Pass => {}
        }
    }
    // What its addressee will read in the archive has not failed (SM-10).
    if !archive::holds(cx, message).await {
        refuse(cx, message, why).await;
    }
    finish(cx).await;
}

/// `x` in the table of RFC 6121 8.5.4: an error to those who know the account exists, silence to strangers (IM-41).
pub async fn message_refused(cx: &Context<'_>, message: &Stanza) {
    refuse(cx, message, None).await;
    finish(cx).await;
}

/// The same, with what to say about it.
async fn refuse(cx: &Context<'_>, message: &Stanza, why: Option<String>) {
    if let (Some(from), Some(to)) = (message.from(), message.to())
        && let Ok(standing) = standing(cx, &to.bare(), from).await
        && standing > Standing::Stranger
    {
        let refusal = Refusal::new(Condition::ServiceUnavailable);
        let refusal = match why {
            Some(why) => refusal.with_text(why),
            None => refusal,
        };
        cx.refuse(message, refusal);
    }
}

/// A stanza to a service of a domain, from whomever; `cx` is that of the service.
pub async fn to_service(cx: &Context<'_>, service: &Service, stanza: &Stanza) {
    let module = modules_of(cx.hosted).find(|module| module.service() == Some(service));
    let outcome = match module {
        Some(module) => module.to_service(cx, stanza).await,
        None => Err(Condition::ServiceUnavailable.into()),
    };
    if let Err(error) = outcome {
        cx.refuse(stanza, error);
    }
    finish(cx).await;
}

/// A session that was kept over a restart had shown itself to this address of a service (`shown`), with `presence` at last.
pub async fn service_returned(
    cx: &Context<'_>,
    service: &Service,
    (session, shown): (&Jid, &Jid),
    presence: &Stanza,
) {
    if let Some(module) = modules_of(cx.hosted).find(|module| module.service() == Some(service)) {
        module.service_returned(cx, session, shown, presence).await;
    }
    finish(cx).await;
}

/// The process ends, and with it what this service (`name`) has in memory.
pub async fn service_closing(cx: &Context<'_>, service: &Service, name: &str) {
    if let Some(module) = modules_of(cx.hosted).find(|module| module.service() == Some(service)) {
        module.service_closing(cx, name).await;
    }
    finish(cx).await;
}

/// Whether a message to the domain has another in it, which a component wants to be sent in an account's name (XEP-0356 4.3).
pub fn is_envelope(message: &Stanza) -> bool {
    privilege::is_envelope(message)
}

/// Such a message, or news that a module wants.
pub async fn message_to_server(cx: &Context<'_>, message: &Stanza) {
    if is_envelope(message) {
        privilege::message(cx, message).await;
    } else {
        for module in with(cx.hosted, Hooks::SERVER_MESSAGE) {
            if module.server_message_concerns(cx.hosted, message) {
                module.server_message(cx, message).await;
            }
        }
    }
    finish(cx).await;
}

/// Whether a component asks something in the name of what is no account, but a session (XEP-0356 5.3).
pub fn is_misdirected(iq: &Stanza) -> bool {
    privilege::is_misdirected(iq)
}

/// Answers what has been under way for a component too long; `gone`: all of it, since the component is not there any more.
pub async fn errands_due(cx: &Context<'_>, component: &Jid, gone: bool) {
    for errand in cx.modules.errands.due(component, gone, cx.now) {
        errands::ended(cx, &errand, gone);
    }
    finish(cx).await;
}

/// What the component of this label is told of what it is granted, when it connects and when that changes.
pub fn advertisements(hosted: &Hosted, label: &str) -> Vec<Stanza> {
    privilege::advertisements(hosted, label)
}

/// The component of this label, if it is told the presence of the domain's sessions (XEP-0356 6). What it was told before it
/// connected does not count.
pub fn hears_presence(modules: &Modules, hosted: &Hosted, label: &str) -> Option<Jid> {
    privilege::presence::hears(modules, hosted, label)
}

/// Services that modules have, whether or not a domain has them on.
pub fn services() -> impl Iterator<Item = &'static Service> {
    ALL.iter().filter_map(|module| module.service())
}

/// Services that the domain has on: chosen, and their module not switched off.
pub fn services_of(hosted: &Hosted) -> impl Iterator<Item = &'static Service> {
    let on = |service: &&Service| hosted.settings.services.iter().any(|l| l == service.label);
    modules_of(hosted)
        .filter_map(|module| module.service())
        .filter(on)
}

/// What the account has, or one of its nodes, over all modules; `None`: there is no such node.
pub(crate) async fn disco_items(
    cx: &Context<'_>,
    ask: &Ask<'_>,
    node: Option<&str>,
) -> Result<Option<Vec<Element>>, Refusal> {
    let mut found = None;
    for module in with(cx.hosted, Hooks::DISCO) {
        if let Some(items) = module.disco_items(cx, ask, node).await? {
            found.get_or_insert_with(Vec::new).extend(items);
        }
    }
    Ok(found)
}

/// What a node of the account is, from the module that has it.
pub(crate) async fn disco_node(
    cx: &Context<'_>,
    ask: &Ask<'_>,
    node: &str,
) -> Result<Option<Vec<Element>>, Refusal> {
    for module in with(cx.hosted, Hooks::DISCO) {
        if let Some(found) = module.disco_node(cx, ask, node).await? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The owner removes the account; called before its rows go.
pub(crate) async fn account_removed(cx: &Context<'_>, account: &BareJid) {
    for module in with(cx.hosted, Hooks::ACCOUNT_REMOVED) {
        module.account_removed(cx, account).await;
    }
}

/// The roster of an account has got a contact from elsewhere: read again, its sessions are told, the contact sees them.
pub async fn roster_grown(cx: &Context<'_>, account: &BareJid, contact: &BareJid) {
    greeting::roster_grown(cx, account, contact).await;
}

/// Called by the presence module once a broadcast of availability has been made known.
pub(crate) async fn session_available(cx: &Context<'_>, now: &SessionView, before: &SessionView) {
    for module in with(cx.hosted, Hooks::SESSION_AVAILABLE) {
        module.session_available(cx, now, before).await;
    }
    privilege::presence::available(cx, now, before);
}

/// What `other` is to the account (RFC 6121 8.1).
///
/// # Errors
/// The store cannot be read; logged, to be answered with the error.
pub async fn standing(
    cx: &Context<'_>,
    account: &BareJid,
    other: &Jid,
) -> Result<Standing, Refusal> {
    if other.bare_str() == account.as_str() {
        return Ok(Standing::Owner);
    }
    let Some(roster) = cx.roster(account).await? else {
        return Ok(Standing::Stranger);
    };
    let item = roster.get(other.bare_str());
    let subscribed = item.is_some_and(|i| i.subscription.seen_by_contact());
    Ok(
        if subscribed || cx.modules.directed.any(account.as_str(), other) {
            Standing::Entitled
        } else if item.is_some() {
            Standing::Contact
        } else {
            Standing::Stranger
        },
    )
}

/// Whether the session's owner shares presence with `other`: a subscription, or directed presence from this very session.
/// Without it an iq get or set to the full JID is answered `<service-unavailable/>` (IM-39). A store that cannot be read
/// shares nothing.
pub async fn shares_presence(cx: &Context<'_>, session: &Jid, other: &Jid) -> bool {
    let account = session.bare();
    if other.bare_str() == account.as_str() {
        return true;
    }
    let directed = cx.modules.directed.has(session, other);
    match cx.roster(&account).await {
        Ok(Some(roster)) if cx.hosted.blocks() && roster.blocked.blocks(other) => false,
        _ if directed => true,
        Ok(Some(roster)) => roster
            .get(other.bare_str())
            .is_some_and(|i| i.subscription.seen_by_contact()),
        Ok(None) | Err(_) => false,
    }
}

/// Whether an answer (iq result or error) from `other` is one that the session's owner does not want. A store that cannot be
/// read lets it pass: it was asked for.
pub async fn answer_stopped(cx: &Context<'_>, session: &Jid, other: &Jid) -> bool {
    let blocked = blocking::blocks(cx, &session.bare(), other).await;
    blocked.unwrap_or(false)
}

/// What the owner of `account` is told who writes to somebody they have blocked; `None`: they have not.
pub async fn own_block(cx: &Context<'_>, account: &BareJid, to: &Jid) -> Option<Refusal> {
    match blocking::blocks(cx, account, to).await {
        Ok(false) => None,
        Ok(true) => Some(blocking::own_block().into()),
        Err(error) => Some(error),
    }
}

/// An iq of a session to somebody the session's owner has blocked: refused. `false`: it may go on.
pub async fn iq_stopped(cx: &Context<'_>, iq: &Stanza) -> bool {
    let (Some(from), Some(to)) = (iq.from(), iq.to()) else {
        return false;
    };
    let refusal = own_block(cx, &from.bare(), to).await;
    let stopped = refusal.is_some();
    if let Some(refusal) = refusal {
        cx.refuse(iq, refusal);
        finish(cx).await;
    }
    stopped
}

/// What [`Hosted::stream_features`] keeps.
pub(crate) fn stream_features(hosted: &Hosted) -> Vec<Element> {
    modules_of(hosted)
        .flat_map(|m| m.info().stream_features)
        .map(|(name, ns)| Element::new(*name, *ns))
        .chain(disco::capabilities(hosted))
        .collect()
}

/// Whether a message to an account of the domain would be kept if nobody were there to take it.
pub fn keeps(hosted: &Hosted, message: &Stanza) -> bool {
    modules_of(hosted).any(|module| module.keeps(message))
}

/// A session that was kept while the server was not there has its client back: whatever else waits for it follows.
pub async fn session_returned(cx: &Context<'_>, session: &Jid) {
    for module in modules_of(cx.hosted) {
        module.session_returned(cx, session).await;
    }
    finish(cx).await;
}

/// Namespaces of what modules of the domain can be asked for along with binding (XEP-0386 3.1).
pub fn inline(hosted: &Hosted) -> Vec<&'static str> {
    modules_of(hosted)
        .flat_map(|module| module.inline().iter().copied())
        .collect()
}

/// A session has been bound along with authentication, and its client asks for these; what modules say to that, and what its
/// archive has at this moment (XEP-0386 3.2).
pub async fn session_bound(cx: &Context<'_>, session: &Jid, wanted: &[Element]) -> Vec<Element> {
    let mut answers = Vec::new();
    for wanted in wanted {
        for module in modules_of(cx.hosted) {
            if module.inline().contains(&wanted.ns()) {
                answers.extend(module.session_bound(cx, session, wanted).await);
            }
        }
    }
    answers.extend(archive::bound(cx, session).await);
    finish(cx).await;
    answers
}

/// Whether this is presence proper, which the next one of the same sender makes worthless.
pub fn is_plain_presence(presence: &Stanza) -> bool {
    crate::context::is_plain_presence(presence.type_())
}

/// Whether presence may wait until somebody looks at the client (XEP-0352 5): any that the next one makes worthless, but for the
/// word of a room that the session is not in it any more (XEP-0045 7.14, 8.2).
pub fn may_wait(presence: &Stanza) -> bool {
    const ROOM: &str = "http://jabber.org/protocol/muc#user";
    let gone = || {
        let tree = presence.payload().ok()?;
        let mut said = tree.find("x", ROOM)?.children();
        said.find(|c| c.is("status", ROOM) && c.get_attr("code") == Some("110"))
            .map(drop)
    };
    is_plain_presence(presence)
        && !(presence.type_() == StanzaType::Unavailable
            && presence.has_child("x", ROOM)
            && gone().is_some())
}

/// Whether a message is of chat states alone (XEP-0085), worthless a moment later.
pub fn is_of_the_moment(message: &Stanza) -> bool {
    crate::offline::is_of_the_moment(message)
}

/// Whether anybody would want to find a message later (XEP-0160 3, XEP-0334 4); its type is another question.
pub fn is_worth_keeping(message: &Stanza) -> bool {
    crate::offline::worth_keeping(message)
}

/// Modules that the domain has on, in order.
pub(crate) fn modules_of(hosted: &Hosted) -> impl Iterator<Item = &'static dyn Module> {
    hosted.on.iter()
}

pub(crate) fn is_on(hosted: &Hosted, info: &ModuleInfo) -> bool {
    is_on_by(&hosted.settings, info)
}

fn is_on_by(settings: &DomainSettings, info: &ModuleInfo) -> bool {
    !info.switchable || !settings.off.iter().any(|name| name == info.name)
}

/// Whether it is on by these settings, and everything that it needs.
pub(crate) fn works(settings: &DomainSettings, module: &dyn Module) -> bool {
    let needed = |name: &&str| {
        let needed = ALL.iter().find(|m| m.info().name == *name);
        needed.is_some_and(|m| is_on_by(settings, m.info()))
    };
    is_on_by(settings, module.info()) && module.needs().iter().all(needed)
}

fn with(hosted: &Hosted, hook: Hooks) -> impl Iterator<Item = &'static dyn Module> {
    hosted.on.at(hook).iter()
}

/// The module whose payload this is.
fn door(hosted: &Hosted, iq: &Stanza) -> Option<(&'static dyn Module, &'static IqDoor)> {
    /// By namespace and name: which of [`ALL`] it belongs to, first those that come first there.
    type Doors = HashMap<(&'static str, &'static str), Vec<(usize, &'static IqDoor)>, RandomState>;
    static DOORS: LazyLock<Doors> = LazyLock::new(|| {
        let mut all = Doors::default();
        for (at, module) in ALL.iter().enumerate() {
            for door in module.info().iq {
                all.entry((door.ns, door.name))
                    .or_default()
                    .push((at, door));
            }
        }
        all
    });
    let (name, ns) = iq.first_child()?;
    let mut doors = DOORS.get(&(ns, name))?.iter();
    let (at, door) = doors.find(|(at, _)| hosted.on.has(*at))?;
    Some((*ALL.get(*at)?, door))
}

/// Whether the request's type means something to its payload, and whoever asks is of the kind that is answered.
fn meant(door: &IqDoor, iq: &Stanza) -> Result<(), Refusal> {
    if door.of_sessions && iq.from().is_none_or(Jid::is_bare) {
        return Err(Refusal::new(Condition::Forbidden).with_text("only a session may ask this"));
    }
    match (door.types, iq.type_()) {
        (IqTypes::Get, StanzaType::Set) | (IqTypes::Set, StanzaType::Get) => {
            Err(Condition::FeatureNotImplemented.into())
        }
        _ => Ok(()),
    }
}

/// Standing of a sender who must be at least `needed`; `None` for strangers.
async fn admitted(
    cx: &Context<'_>,
    account: &BareJid,
    from: &Jid,
    needed: Standing,
) -> Result<Option<Standing>, Refusal> {
    match standing(cx, account, from).await? {
        Standing::Stranger => Ok(None),
        standing if standing < needed => Err(Condition::Forbidden.into()),
        standing => Ok(Some(standing)),
    }
}

async fn finish_iq(cx: &Context<'_>, iq: &Stanza, outcome: Result<Answer, Refusal>) {
    match outcome {
        Ok(Answer::Empty) => cx.answer(iq.iq_result(None)),
        Ok(Answer::Payload(payload)) => cx.answer(iq.iq_result(Some(payload))),
        Ok(Answer::Sent) => {}
        Err(error) => cx.refuse(iq, error),
    }
    finish(cx).await;
}

async fn inbound(cx: &Context<'_>, presence: &Stanza) {
    if let (Some(from), Some(to)) = (presence.from(), presence.to()) {
        // Silence is the answer to whoever is blocked (XEP-0191 3.3), and where it cannot be known.
        match blocking::blocks(cx, &to.bare(), from).await {
            Ok(false) => {}
            Ok(true) | Err(_) => return,
        }
    }
    // Boxed, as below: whatever is answered would carry room for it.
    if screening::looks_at_presence(cx, presence)
        && Box::pin(screening::stops_presence(cx, presence)).await
    {
        return;
    }
    for module in with(cx.hosted, Hooks::PRESENCE_INBOUND) {
        module.presence_inbound(cx, presence).await;
    }
    if !cx.hosted.settings.grants.is_empty() {
        Box::pin(privilege::presence::inbound(cx, presence)).await;
    }
}

/// Handles what handlers sent to hosted domains, and waits for what they sent to others. They have let go of their locks, so one
/// may lead to the next; presence within the domain, the bulk of it, needs no way round through the router.
async fn finish(cx: &Context<'_>) {
    while let Some(stanza) = cx.next_pending() {
        let ours = stanza.to().is_some_and(|to| cx.is_account(to));
        if ours && stanza.kind() == Kind::Presence {
            inbound(cx, &stanza).await;
        } else {
            cx.switchboard.local(stanza).await;
        }
    }
    while let Some(message) = cx.next_waiting() {
        cx.switchboard.waits(message).await;
    }
    while let Some(later) = cx.next_sending() {
        later.await;
    }
}
