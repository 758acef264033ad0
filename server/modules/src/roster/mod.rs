//! The roster: an account's contacts, kept by its server (RFC 6121 2), with versioning (2.6).
//!
//! Sets are answered after the commit; pushes follow in the order of modification, each with its own version. Refuses:
//! requests from anybody but the owner, whatever their `to` (IM-02), unless the domain's owner trusts a component with them, and letting a client write `subscription`, `ask` or
//! `approved` (IM-05): those follow from presence.

mod cache;

use async_trait::async_trait;
use xmpp::element::{Element, escape_into};
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

pub(crate) use self::cache::{Roster, RosterCache};
use crate::context::{Context, Refusal, Standing, store_failed};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::memory::Limits;
use crate::module::{Answer, Ask, Module};
use crate::presence;
use crate::presence::subscription::State;
use crate::privilege;
use crate::switchboard::SessionUpdate;
use store::{ItemEdit, RequestEdit, RosterEdit, RosterItem, Subscription};

/// The module.
pub(crate) struct RosterModule;

static INFO: ModuleInfo = ModuleInfo {
    name: "roster",
    about: "keeps contacts, pushes changes to every session, and spares clients what they know already",
    specs: &[Spec::Rfc(6121, "2"), Spec::Xep(237, "1.3")],
    switchable: false,
    iq: &[IqDoor {
        ns: ns::ROSTER,
        name: "query",
        types: IqTypes::Both,
        at_server: true,
        at_account: Audience::Anyone,
        of_sessions: false,
    }],
    hooks: Hooks::NONE,
    server_features: &[],
    account_features: &[],
    account_identities: &[],
    stream_features: &[("ver", ns::ROSTER_VERSIONING)],
};

#[async_trait]
impl Module for RosterModule {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    /// The domain has no roster.
    async fn iq_to_server(&self, _: &Context<'_>, _: &Stanza) -> Result<Answer, Refusal> {
        Err(Condition::Forbidden.into())
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let from = ask.iq.from();
        let session = from.filter(|_| ask.standing == Standing::Owner);
        let session = session.filter(|from| from.resource().is_some());
        // A component that the owner of the domain trusts with that (XEP-0356 3.3).
        let grants = from.and_then(|from| cx.grants_of(from));
        let granted = grants.is_some_and(|grants| grants.roster.covers(ask.iq.type_()));
        if session.is_none() && !granted {
            return Err(Condition::Forbidden.into());
        }
        // What asks for the roster is written like this nearly always: nothing need be made of it.
        let tag = ask.iq.child_tag("query", ns::ROSTER);
        if let Some(tag) = tag.filter(|tag| tag.empty && ask.iq.type_() == StanzaType::Get) {
            let ver = tag.attr("ver");
            return get(cx, ask.account, session, ask.iq, ver.as_deref()).await;
        }
        let payload = ask
            .iq
            .payload()
            .map_err(|_| Refusal::from(Condition::BadRequest))?;
        let query = payload
            .find("query", ns::ROSTER)
            .ok_or(Condition::BadRequest)?;
        if ask.iq.type_() == StanzaType::Set {
            set(cx, ask.account, ask.iq, query).await
        } else {
            if query.children().next().is_some() {
                return Err(Condition::BadRequest.into());
            }
            get(cx, ask.account, session, ask.iq, query.get_attr("ver")).await
        }
    }
}

/// Sends an item to every interested session of the account (RFC 6121 2.1.6). The caller holds the account's turn.
pub(crate) fn push(cx: &Context<'_>, account: &BareJid, roster: &Roster, jid: &BareJid) {
    let mut interested = cx
        .switchboard
        .sessions(account)
        .into_iter()
        .filter(|s| s.interested)
        .peekable();
    if interested.peek().is_none() && !privilege::hears_rosters(cx.hosted) {
        return;
    }
    let item = roster.get(jid.as_str());
    let Some(push) = push_stanza(roster.version, jid, item) else {
        return;
    };
    for session in interested {
        cx.switchboard
            .deliver(&session.jid, push.with_to(&session.jid));
    }
    privilege::roster_push(cx, account, &push);
}

/// Gets (RFC 6121 2.1.3, 2.6.2).
async fn get(
    cx: &Context<'_>,
    account: &BareJid,
    session: Option<&Jid>,
    iq: &Stanza,
    ver: Option<&str>,
) -> Result<Answer, Refusal> {
    // Pushes of other changes must not come between the result and the session's being interested.
    let _turn = cx.modules.turn(account).await;
    let roster = cx.roster(account).await?.ok_or(Condition::ItemNotFound)?;
    let known = ver.filter(|ver| !ver.is_empty());
    // Whoever has no session gets no pushes in order, and so the whole.
    let known = known.filter(|_| session.is_some());
    let known = known.and_then(|ver| version_known(&roster, ver));
    let interested = || {
        if let Some(session) = session {
            cx.switchboard
                .session_update(session, SessionUpdate::Interested);
        }
    };
    if known == Some(roster.version) {
        interested();
        return Ok(Answer::Empty);
    }
    let changes = match known {
        Some(version) => cx
            .store()
            .roster_since(roster.account, version)
            .await
            .map_err(|e| store_failed(&e, account, "reading roster changes"))?,
        None => None,
    };
    interested();
    // When there is more to push than there are contacts, the whole is shorter (RFC 6121 2.6.3).
    let changes = changes.filter(|changes| changes.len() <= roster.items().len().max(1));
    let (Some(changes), Some(session)) = (changes, session) else {
        cx.answer(iq.iq_result_written(&whole(&roster)));
        return Ok(Answer::Sent);
    };
    cx.answer(iq.iq_result(None));
    for change in &changes {
        if let Some(push) = push_stanza(change.version, &change.jid, change.item.as_ref()) {
            cx.switchboard.deliver(session, push.with_to(session));
        }
    }
    Ok(Answer::Sent)
}

/// Sets (RFC 6121 2.3 to 2.5).
async fn set(
    cx: &Context<'_>,
    account: &BareJid,
    iq: &Stanza,
    query: &Element,
) -> Result<Answer, Refusal> {
    let wanted = Wanted::parse(query, &cx.modules.limits)?;
    if wanted.jid == *account {
        return Err(
            Refusal::new(Condition::NotAllowed).with_text("an account is not a contact of itself")
        );
    }
    if wanted.remove {
        remove(cx, account, iq, &wanted.jid).await
    } else {
        put(cx, account, iq, wanted).await
    }
}

async fn put(
    cx: &Context<'_>,
    account: &BareJid,
    iq: &Stanza,
    wanted: Wanted,
) -> Result<Answer, Refusal> {
    let _turn = cx.modules.turn(account).await;
    let limit = cx.roster_items();
    let edited = cx
        .roster_edit(account, |roster| {
            let before = roster.get(wanted.jid.as_str());
            if before.is_none() && roster.items().len() >= limit {
                cx.switchboard.limited("roster_items");
                return Err(Refusal::new(Condition::PolicyViolation)
                    .with_text(format!("a roster holds at most {limit} contacts")));
            }
            let item = RosterItem {
                jid: wanted.jid.clone(),
                name: wanted.name.clone(),
                groups: wanted.groups.clone(),
                subscription: before.map_or(Subscription::None, |i| i.subscription),
                ask: before.is_some_and(|i| i.ask),
                approved: before.is_some_and(|i| i.approved),
                version: 0,
            };
            let edit = RosterEdit {
                item: ItemEdit::Put(item),
                request: RequestEdit::Keep,
            };
            Ok((Some(edit), ()))
        })
        .await?;
    let (roster, ()) = edited.ok_or(Condition::ItemNotFound)?;
    cx.answer(iq.iq_result(None));
    push(cx, account, &roster, &wanted.jid);
    Ok(Answer::Sent)
}

/// Removes a contact, and with it every subscription either way (IM-07).
async fn remove(
    cx: &Context<'_>,
    account: &BareJid,
    iq: &Stanza,
    jid: &BareJid,
) -> Result<Answer, Refusal> {
    let _turn = cx.modules.turn(account).await;
    let edited = cx
        .roster_edit(account, |roster| {
            let item = roster.get(jid.as_str()).ok_or(Condition::ItemNotFound)?;
            let edit = RosterEdit {
                item: ItemEdit::Remove(jid.clone()),
                request: RequestEdit::Keep,
            };
            Ok((Some(edit), state(roster, item)))
        })
        .await?;
    let (roster, lost) = edited.ok_or(Condition::ItemNotFound)?;
    cx.answer(iq.iq_result(None));
    presence::part(cx, account, jid, lost);
    push(cx, account, &roster, jid);
    Ok(Answer::Sent)
}

/// Where the account stands with one of its contacts.
pub(crate) fn state(roster: &Roster, item: &RosterItem) -> State {
    State::new(
        item.subscription,
        item.ask,
        roster.has_request(item.jid.as_str()),
    )
}

/// A roster set, checked.
struct Wanted {
    jid: BareJid,
    remove: bool,
    name: String,
    groups: Vec<String>,
}

impl Wanted {
    fn parse(query: &Element, limits: &Limits) -> Result<Self, Refusal> {
        let refused = |condition, text: &str| Err(Refusal::new(condition).with_text(text));
        let too_much = |text: String| Err(Refusal::new(Condition::NotAcceptable).with_text(text));
        let (name_bytes, group_bytes) = (limits.roster_name_bytes, limits.roster_group_bytes);
        let mut items = query.children();
        let (Some(item), None) = (items.next(), items.next()) else {
            return refused(Condition::BadRequest, "a roster set has exactly one item");
        };
        let Some(jid) = item.get_attr("jid").filter(|_| item.is("item", ns::ROSTER)) else {
            return refused(Condition::BadRequest, "an item has a jid");
        };
        let Ok(jid) = Jid::parse(jid) else {
            return Err(Condition::JidMalformed.into());
        };
        if !jid.is_bare() {
            return refused(Condition::BadRequest, "contacts are bare addresses");
        }
        let jid = jid.bare();
        if item.get_attr("subscription") == Some("remove") {
            return Ok(Self {
                jid,
                remove: true,
                name: String::new(),
                groups: Vec::new(),
            });
        }
        let name = item.get_attr("name").unwrap_or_default();
        if name.len() > name_bytes {
            return too_much(format!("a contact's name has at most {name_bytes} bytes"));
        }
        let mut groups: Vec<String> = Vec::new();
        for group in item.children().filter(|c| c.is("group", ns::ROSTER)) {
            let group = group.text_content();
            if group.is_empty() {
                return refused(Condition::NotAcceptable, "a group has a name");
            }
            if group.len() > group_bytes {
                return too_much(format!("a group's name has at most {group_bytes} bytes"));
            }
            if groups.contains(&group) {
                return refused(Condition::BadRequest, "a group is named twice");
            }
            if groups.len() == limits.roster_groups {
                let most = limits.roster_groups;
                return too_much(format!("a contact is in at most {most} groups"));
            }
            groups.push(group);
        }
        Ok(Self {
            jid,
            remove: false,
            name: name.to_owned(),
            groups,
        })
    }
}

/// The version a client says it knows; `None` for what no roster of this name can have had. A new account of an old name
/// counts on from its creation, so that it never continues the old one's versions.
fn version_known(roster: &Roster, ver: &str) -> Option<i64> {
    let version = ver.parse().ok()?;
    (0..=roster.version).contains(&version).then_some(version)
}

/// A push without `to`; `None` item: removed. The id need only be unique in the session, and versions are.
fn push_stanza(version: i64, jid: &BareJid, item: Option<&RosterItem>) -> Option<Stanza> {
    let mut out = Vec::with_capacity(256);
    out.extend_from_slice(format!("<iq type='set' id='roster-{version}'>").as_bytes());
    open_query(&mut out, version);
    match item {
        Some(item) => write_item(&mut out, item),
        None => {
            out.extend_from_slice(b"<item jid='");
            escape_into(&mut out, jid.as_str());
            out.extend_from_slice(b"' subscription='remove'/>");
        }
    }
    out.extend_from_slice(b"</query></iq>");
    let push = Stanza::from_bytes(&out);
    if push.is_err() {
        tracing::error!(account = jid.domain(), "a roster push is not well-formed");
    }
    push.ok()
}

/// The payload of a full result. Written straight into bytes: it is fetched at each login (budget: roster of 20).
fn whole(roster: &Roster) -> Vec<u8> {
    let mut out = Vec::with_capacity(96 + roster.items().len() * 128);
    open_query(&mut out, roster.version);
    for item in roster.items() {
        write_item(&mut out, item);
    }
    out.extend_from_slice(b"</query>");
    out
}

fn open_query(out: &mut Vec<u8>, version: i64) {
    out.extend_from_slice(format!("<query xmlns='jabber:iq:roster' ver='{version}'>").as_bytes());
}

fn write_item(out: &mut Vec<u8>, item: &RosterItem) {
    out.extend_from_slice(b"<item jid='");
    escape_into(out, item.jid.as_str());
    if !item.name.is_empty() {
        out.extend_from_slice(b"' name='");
        escape_into(out, &item.name);
    }
    out.extend_from_slice(b"' subscription='");
    out.extend_from_slice(item.subscription.as_str().as_bytes());
    if item.ask {
        out.extend_from_slice(b"' ask='subscribe");
    }
    if item.approved {
        out.extend_from_slice(b"' approved='true");
    }
    if item.groups.is_empty() {
        out.extend_from_slice(b"'/>");
        return;
    }
    out.extend_from_slice(b"'>");
    for group in &item.groups {
        out.extend_from_slice(b"<group>");
        escape_into(out, group);
        out.extend_from_slice(b"</group>");
    }
    out.extend_from_slice(b"</item>");
}

#[cfg(test)]
mod tests;
