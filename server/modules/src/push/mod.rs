//! Push notifications, XEP-0357 version 0.4.1: waking clients that are not there.
//!
//! A client names a node of its push service; when a message comes that somebody would want to know of, or a subscription request,
//! or for its session a request such as a call, and the session that
//! named it last is not there, the service is told that there is one, and nothing more: neither from whom nor what, unless the
//! domain's owner has its people's services told from whom ([`Told`]); never what. A service
//! that refuses is not asked again; one that cannot be reached is forgotten after a while. Registrations are known in memory
//! ([`Pushes`]), so that accounts without any cost nothing.
//!
//! What a room says to everybody is for one session, and wakes that session's client alone, where it waits for it (XEP-0198):
//! a client that has no session is not in the room. What was written to a connection that turns out to be dead was never heard: it
//! wakes the client once that is known ([`asleep`]). Who does not want that takes the registration back (XEP-0357 6). Refuses: waking anybody for what the account has blocked, and
//! services that it has blocked.

mod memory;

use async_trait::async_trait;
use store::{PUSH_REGISTRATIONS, PushRow};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, ErrorType, Stanza, StanzaError, StanzaType};

pub(crate) use self::memory::Pushes;
use self::memory::Question;
use crate::content::{Content, is_mediated_invitation};
use crate::context::{Context, Hosted, Refusal, Standing, store_failed};
use crate::form::{Field, Form, Submitted};
use crate::hooks::is_on;
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::memory::Modules;
use crate::module::{Answer, Ask, Module};
use crate::passage::{Direction, Glance, Passage, Taken};
use crate::switchboard::SessionView;

/// The module.
pub(crate) struct Push;

const PUSH: &str = "urn:xmpp:push:0";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const OPTIONS: &str = "http://jabber.org/protocol/pubsub#publish-options";
const SUMMARY: &str = "urn:xmpp:push:summary";
/// Corrections (XEP-0308).
const CORRECT: &str = "urn:xmpp:message-correct:0";
/// Nobody is woken for what carries any of these.
const NEVER: Content = Content::NO_STORE
    .and(Content::NO_PERMANENT_STORE)
    .and(Content::CARBON);

/// Bytes of a node's name.
const NODE_BYTES: usize = 1_023;
/// Bytes of the form to publish with.
const OPTIONS_BYTES: usize = 4_096;
/// Times in a row that a service may be out of reach, or out of order.
const PATIENCE: u32 = 5;

const fn door(name: &'static str) -> IqDoor {
    IqDoor {
        ns: PUSH,
        name,
        types: IqTypes::Set,
        at_server: false,
        // Everybody else hears `<forbidden/>`, whether there is such an account or not.
        at_account: Audience::Anyone,
        of_sessions: false,
    }
}

/// What push services are told: they are strangers to whoever writes, and seldom the domain's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Told {
    /// That something has come, without a summary.
    Nothing,
    /// That one message has.
    #[default]
    Count,
    /// And from which bare address.
    Sender,
}

impl Told {
    /// The word of a domain's settings, `None` where nothing was chosen; a word of another version says the least.
    pub fn parse(word: Option<&str>) -> Self {
        match word {
            None => Self::default(),
            Some("sender") => Self::Sender,
            Some("count") => Self::Count,
            Some(_) => Self::Nothing,
        }
    }
}

static INFO: ModuleInfo = ModuleInfo {
    name: "push",
    about: "wakes clients that are not there when something comes for them, without a word of it",
    specs: &[Spec::Xep(357, "0.4.1")],
    switchable: true,
    iq: &[door("enable"), door("disable")],
    hooks: Hooks::MESSAGE_PASSAGE.and(Hooks::IQ_ANSWERED),
    server_features: &[],
    account_features: &[PUSH],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Push {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        if ask.standing != Standing::Owner {
            return Err(Condition::Forbidden.into());
        }
        let tree = ask.iq.payload().map_err(|_| Condition::BadRequest)?;
        let asked = tree.children().next().ok_or(Condition::BadRequest)?;
        let service = asked.get_attr("jid").ok_or(Condition::BadRequest)?;
        let service = Jid::parse(service).map_err(|_| Condition::JidMalformed)?;
        let node = asked.get_attr("node").filter(|node| !node.is_empty());
        if node.is_some_and(|node| node.len() > NODE_BYTES) {
            return Err(bad(&format!(
                "a node's name has at most {NODE_BYTES} bytes"
            )));
        }
        let roster = cx.roster(ask.account).await?;
        let roster = roster.ok_or(Condition::Forbidden)?;
        let failed = |e| store_failed(&e, ask.account, "keeping a push registration");
        if asked.name() == "disable" {
            let store = cx.store();
            let gone = store.push_disable(roster.account, service.as_str(), node);
            let gone = gone.await;
            cx.modules.forget_pushes(ask.account);
            return match gone.map_err(failed)? {
                0 => Err(Condition::ItemNotFound.into()),
                _ => Ok(Answer::Empty),
            };
        }
        let sessions = cx.switchboard.sessions(ask.account);
        let own = sessions.iter().find(|s| Some(&s.jid) == ask.iq.from());
        let row = PushRow {
            agent: own.and_then(|session| session.agent.clone()),
            service: service.to_string(),
            node: node.unwrap_or_default().to_owned(),
            resource: ask
                .iq
                .from()
                .and_then(Jid::resource)
                .unwrap_or_default()
                .to_owned(),
            options: options(asked)?,
        };
        let kept = cx.store().push_enable(roster.account, &row).await;
        cx.modules.forget_pushes(ask.account);
        if !kept.map_err(failed)? {
            return Err(Refusal::new(Condition::PolicyViolation)
                .with_text(format!(
                    "an account has at most {PUSH_REGISTRATIONS} push registrations; disable one of another device first"
                )));
        }
        Ok(Answer::Empty)
    }

    fn message_concerns(&self, modules: &Modules, _: &Hosted, glance: &Glance<'_>) -> bool {
        worth_waking(glance) && has_some(modules, glance.account()) != Some(false)
    }

    async fn message_waits(&self, cx: &Context<'_>, session: &Jid, message: &Stanza) {
        let Some(glance) = Glance::of(Direction::Received, message) else {
            return;
        };
        if worth_waking(&glance) {
            learn(cx, &glance.bare()).await;
            let of_session = |row: &PushRow| session.resource() == Some(row.resource.as_str());
            wake_for(cx, &glance, &|taken| taken == session, of_session);
        }
    }

    /// What is needed once it has passed is in memory then.
    async fn message_passing(
        &self,
        cx: &Context<'_>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        // Whether it can be read or not, the message goes on.
        learn(cx, &passage.account).await;
        Ok(())
    }

    fn message_taken(&self, cx: &Context<'_>, glance: &Glance<'_>, taken: &Taken) {
        if worth_waking(glance) && has_some(cx.modules, glance.account()) == Some(true) {
            let by = |session: &Jid| taken.is(session);
            wake_for(cx, glance, &by, |_| true);
        }
    }

    async fn iq_answered(&self, cx: &Context<'_>, iq: &Stanza) {
        let Some(question) = cx.modules.pushes.answered(iq) else {
            return;
        };
        if iq.type_() != StanzaType::Error {
            return cx.modules.pushes.reached(&question);
        }
        let error = iq
            .payload()
            .ok()
            .as_ref()
            .and_then(StanzaError::from_stanza);
        // Whoever says that there is no such thing, or that we may not, means it; everything else may pass.
        let meant = error.is_none_or(|error| {
            error.kind != ErrorType::Wait
                && matches!(
                    error.condition,
                    Condition::ItemNotFound
                        | Condition::Gone
                        | Condition::Forbidden
                        | Condition::NotAllowed
                        | Condition::NotAuthorized
                        | Condition::RegistrationRequired
                        | Condition::SubscriptionRequired
                )
        });
        if !meant && cx.modules.pushes.failed(&question) < PATIENCE {
            return;
        }
        disable(cx, &question).await;
    }
}

/// Whether any client of the account may have to be woken, as far as memory tells; returns at once.
pub(crate) fn may_wake(modules: &Modules, hosted: &Hosted, account: &str) -> bool {
    is_on(hosted, &INFO) && has_some(modules, account) != Some(false)
}

/// Whether the account has registrations; `None`: that is not in memory.
fn has_some(modules: &Modules, account: &str) -> Option<bool> {
    modules.rosters.look(account, |known| match known {
        Some(Some(roster)) => Some(roster.pushes),
        Some(None) => Some(false),
        None => None,
    })
}

/// The client of a session is not there any more, and has left this behind: its service is told of it, whether or not it was told
/// something a moment ago, since whoever was woken then sleeps again.
pub(crate) async fn asleep(cx: &Context<'_>, session: &Jid, left: &[Stanza]) {
    let account = session.bare();
    learn(cx, &account).await;
    let rows = cx.modules.pushes.known(&account).unwrap_or_default();
    for row in rows.iter() {
        if session.resource() == Some(row.resource.as_str()) {
            cx.modules.pushes.sleeps(&account, row);
        }
    }
    for message in left {
        Push.message_waits(cx, session, message).await;
    }
}

/// A request (a call, above all) waits for a session whose client is not there.
pub(crate) async fn request_waits(cx: &Context<'_>, session: &Jid) {
    let account = session.bare();
    learn(cx, &account).await;
    let of_session = |row: &PushRow, view: Option<&SessionView>| {
        session.resource() == Some(row.resource.as_str()) && view.is_some_and(|view| view.away)
    };
    wake(cx, &account, News::Request, of_session);
}

/// Somebody asks to see the account's presence, and it was not answered in the account's name (RFC 6121 3.1.3).
pub(crate) async fn subscription_waits(cx: &Context<'_>, account: &BareJid) {
    if may_wake(cx.modules, cx.hosted, account.as_str()) {
        learn(cx, account).await;
        let asleep = |_: &PushRow, view: Option<&SessionView>| view.is_none_or(|view| view.away);
        wake(cx, account, News::Subscription, asleep);
    }
}

/// What services are told of.
#[derive(Clone, Copy)]
enum News<'a> {
    Message { from: Option<&'a Jid> },
    Subscription,
    Request,
}

/// Tells the services of those of the account's clients that are not there of a message; what a room says to everybody is for one
/// session, which `taken` says.
fn wake_for(
    cx: &Context<'_>,
    glance: &Glance<'_>,
    taken: &dyn Fn(&Jid) -> bool,
    wanted: impl Fn(&PushRow) -> bool,
) {
    let to_all = glance.message.type_() == StanzaType::Groupchat;
    if to_all && is_echo(cx, glance) {
        return;
    }
    let from = glance.peer();
    wake(cx, &glance.bare(), News::Message { from }, |row, view| {
        wanted(row)
            && match view {
                Some(view) => view.away && (!to_all || taken(&view.jid)),
                None => !to_all,
            }
    });
}

/// Tells the services of registrations of which `asleep` says that their clients are not there; it is given the session of each,
/// if there is one.
fn wake(
    cx: &Context<'_>,
    account: &BareJid,
    news: News<'_>,
    asleep: impl Fn(&PushRow, Option<&SessionView>) -> bool,
) {
    let Some(Some(roster)) = cx.modules.rosters.get(account) else {
        return;
    };
    let Some(rows) = cx.modules.pushes.known(account).filter(|_| roster.pushes) else {
        return;
    };
    let sessions = cx.switchboard.sessions(account);
    for row in rows.iter() {
        let mut sessions = sessions.iter();
        let session = sessions.find(|s| s.jid.resource() == Some(row.resource.as_str()));
        let Ok(service) = Jid::parse(&row.service) else {
            continue;
        };
        if !asleep(row, session) || roster.blocked.blocks(&service) {
            continue;
        }
        if let Some(id) = cx.modules.pushes.ask(account, row, cx.now)
            && let Some(iq) = publication(account, &service, row, &id, summary(cx, news))
        {
            cx.send(iq);
        }
    }
}

/// A service does not want to hear of it.
async fn disable(cx: &Context<'_>, question: &Question) {
    let Question {
        account,
        service,
        node,
    } = question;
    let Ok(Some(roster)) = cx.roster(account).await else {
        return;
    };
    let store = cx.store();
    let gone = store.push_disable(roster.account, service, Some(node));
    let gone = gone.await;
    cx.modules.forget_pushes(account);
    match gone {
        Ok(_) => {
            tracing::info!(account = %account, service = %service, "a push service refuses: it is not asked again");
        }
        Err(error) => {
            tracing::error!(account = %account, %error, "a push registration could not be removed");
        }
    }
}

/// Reads the account's registrations, if it has any that are not in memory. A failure is logged.
async fn learn(cx: &Context<'_>, account: &BareJid) {
    if let Ok(Some(roster)) = cx.roster(account).await
        && roster.pushes
        && cx.modules.pushes.known(account).is_none()
    {
        match cx.store().push_list(roster.account).await {
            Ok(rows) => cx.modules.pushes.learn(account, rows),
            Err(error) => {
                tracing::error!(account = %account, %error, "push registrations cannot be read");
            }
        }
    }
}

/// Whether somebody would want to be woken for it: the same as is worth an archive, and what is said in a room now.
fn worth_waking(glance: &Glance<'_>) -> bool {
    let (content, message) = (glance.content, glance.message);
    if glance.direction != Direction::Received || glance.to_itself() || content.any(NEVER) {
        return false;
    }
    match message.type_() {
        StanzaType::Chat | StanzaType::Normal => {
            content.any(Content::BODY.and(Content::STORE).and(Content::INVITATION))
                || (content.any(Content::ROOM) && is_mediated_invitation(message))
        }
        StanzaType::Groupchat => is_news(message),
        _ => false,
    }
}

/// Whether what a room says to everybody is something new that somebody said: neither what was said before, nor a correction
/// (XEP-0308).
pub(crate) fn is_news(message: &Stanza) -> bool {
    let content = Content::of(message);
    message.type_() == StanzaType::Groupchat
        && content.any(Content::BODY.and(Content::STORE))
        && !content.any(NEVER)
        && !message.has_child("delay", ns::DELAY)
        && !message.has_child("replace", CORRECT)
}

/// Whether it is what one of the account's sessions has said itself, come back from the room: that session has shown itself
/// there under the address that the message is from.
fn is_echo(cx: &Context<'_>, glance: &Glance<'_>) -> bool {
    let (Some(session), Some(from)) = (glance.message.to(), glance.message.from()) else {
        return false;
    };
    cx.modules.directed.list(session).contains(from)
}

/// The form to publish with, as it came.
fn options(enable: &Element) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(x) = enable.find("x", crate::form::DATA) else {
        return Ok(None);
    };
    let form = Submitted::within(enable).filter(|form| form.form_type() == Some(OPTIONS));
    if form.is_none() {
        return Err(bad(&format!("options are a form of type {OPTIONS}")));
    }
    let written = x.to_xml("").into_bytes();
    if written.len() > OPTIONS_BYTES {
        return Err(bad(&format!("options have at most {OPTIONS_BYTES} bytes")));
    }
    Ok(Some(written))
}

/// What the domain has services told (XEP-0357 7); of a request there is nothing to count.
fn summary(cx: &Context<'_>, news: News<'_>) -> Option<Element> {
    let told = cx.hosted.settings.push;
    let counted = match news {
        News::Message { .. } => "message-count",
        News::Subscription => "pending-subscription-count",
        News::Request => return None,
    };
    let mut form = match told {
        Told::Nothing => return None,
        Told::Count | Told::Sender => {
            Form::result(SUMMARY).field(Field::new(counted, "text-single").value("1"))
        }
    };
    if let (Told::Sender, News::Message { from: Some(from) }) = (told, news) {
        form = form.field(Field::new("last-message-sender", "jid-single").value(from.bare_str()));
    }
    Some(form.into_element())
}

/// That something has come.
fn publication(
    account: &BareJid,
    service: &Jid,
    row: &PushRow,
    id: &str,
    summary: Option<Element>,
) -> Option<Stanza> {
    let notification = Element::new("notification", PUSH).child_opt(summary);
    let publish = Element::new("publish", PUBSUB)
        .attr("node", row.node.as_str())
        .child(Element::new("item", PUBSUB).child(notification));
    let options = row.options.as_deref().and_then(|options| {
        let text = std::str::from_utf8(options).ok()?;
        let form = Element::parse(text, "").ok()?;
        Some(Element::new("publish-options", PUBSUB).child(form))
    });
    let iq = Element::new("iq", ns::CLIENT)
        .attr("from", account.as_str())
        .attr("to", service.as_str())
        .attr("type", "set")
        .attr("id", id)
        .child(
            Element::new("pubsub", PUBSUB)
                .child(publish)
                .child_opt(options),
        );
    Stanza::from_element(&iq).ok()
}

fn bad(text: &str) -> Refusal {
    Refusal::new(Condition::BadRequest).with_text(text)
}

#[cfg(test)]
mod tests;
