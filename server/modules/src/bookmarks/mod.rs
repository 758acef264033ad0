//! Bookmarks of rooms, in one place whatever form a client knows: PEP native bookmarks (XEP-0402 version 1.2.0), one item of
//! PEP (XEP-0048 version 1.2), and private XML (XEP-0049); conversion XEP-0411 version 1.1.0.
//!
//! The native node is the truth. The old form is made of it when somebody asks, in either place, and when it changes whoever
//! announces interest in the old node is told; a list that comes in the old form becomes items put into the native node and
//! taken from it, of which those who know the new form are told. What the old form holds beside rooms (addresses of web
//! pages) waits in private XML; what the new one holds beside the old (`<extensions/>`) stays. Refuses: bookmarks that
//! anybody but the owner could read, once they came in the old form (XEP-0411, security); giving away half a list.

use async_trait::async_trait;
use store::{Access, AccountId, ItemsAsked, NodeConfig, PrivateXml, PubsubNode, SendLast};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::Condition;

use crate::context::{Context, Refusal, store_failed};
use crate::info::{Hooks, ModuleInfo, Spec};
use crate::module::Module;
use crate::private;
use crate::pubsub::{self, nodes};

/// The module.
pub(crate) struct Bookmarks;

/// Node and namespace of native bookmarks.
pub(crate) const NATIVE: &str = "urn:xmpp:bookmarks:1";
/// Node and namespace of the old form.
pub(crate) const LEGACY: &str = "storage:bookmarks";
/// The one item of the old node.
pub(crate) const CURRENT: &str = "current";
/// Bytes of a list in the old form: it must fit into a session's queue.
const STORAGE_BYTES: u64 = 256 << 10;

static INFO: ModuleInfo = ModuleInfo {
    name: "bookmarks",
    about: "keeps bookmarks of rooms alike for clients that know them in one form or another",
    specs: &[
        Spec::Xep(402, "1.2.0"),
        Spec::Xep(48, "1.2"),
        Spec::Xep(411, "1.1.0"),
    ],
    switchable: true,
    iq: &[],
    hooks: Hooks::BOOKMARKS,
    server_features: &[],
    account_features: &[
        "urn:xmpp:bookmarks:1#compat",
        "urn:xmpp:bookmarks:1#compat-pep",
        "urn:xmpp:bookmarks-conversion:0",
    ],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Bookmarks {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn needs(&self) -> &'static [&'static str] {
        &["pubsub", "private"]
    }
}

/// Whether the domain has it.
pub(crate) fn on(cx: &Context<'_>) -> bool {
    cx.hosted.has(Hooks::BOOKMARKS)
}

/// Whether an element is a list in the old form.
pub(crate) fn is_storage(element: &Element) -> bool {
    element.is("storage", LEGACY)
}

/// How the native node is made (XEP-0402 3).
pub(crate) fn config() -> NodeConfig {
    NodeConfig {
        access: Access::Whitelist,
        max_items: None,
        send_last: SendLast::Never,
        ..NodeConfig::default()
    }
}

/// All bookmarks of an account in the old form.
///
/// # Errors
/// The store's failure, and a list that is too long for the old form.
pub(crate) async fn as_storage(cx: &Context<'_>, account: &BareJid) -> Result<Element, Refusal> {
    {
        let _turn = cx.modules.turn(account).await;
        adopt(cx, account).await?;
    }
    list(cx, account).await
}

async fn list(cx: &Context<'_>, account: &BareJid) -> Result<Element, Refusal> {
    let nodes = nodes::nodes(cx, account)
        .await?
        .ok_or(Condition::ItemNotFound)?;
    let rest = rest(cx, account, nodes.account).await?;
    let mut storage = Element::new("storage", LEGACY).children_from(rest);
    if let Some(node) = nodes.get(NATIVE) {
        for (id, native) in items(cx, account, nodes.account, node).await? {
            if let Ok(jid) = BareJid::parse(&id) {
                storage.push(old_form(&jid, &native));
            }
        }
    }
    Ok(storage)
}

/// The items of the native node.
async fn items(
    cx: &Context<'_>,
    account: &BareJid,
    row: AccountId,
    node: &PubsubNode,
) -> Result<Vec<(String, Element)>, Refusal> {
    let most = cx.modules.limits.pubsub.items;
    let read = cx
        .store()
        .pubsub_items(row, node.id, &ItemsAsked::After(None), most, STORAGE_BYTES);
    let page = Box::pin(read)
        .await
        .map_err(|e| store_failed(&e, account, "reading bookmarks"))?
        .unwrap_or_default();
    if (page.items.len() as u64) < page.count {
        return Err(Refusal::new(Condition::ResourceConstraint)
            .with_text("there are more bookmarks than this form of them can hold"));
    }
    let item = |item: store::PubsubItem| {
        let text = String::from_utf8(item.payload).ok()?;
        Some((item.id, Element::parse(&text, "").ok()?))
    };
    Ok(page.items.into_iter().filter_map(item).collect())
}

/// What the old form holds beside rooms.
async fn rest(
    cx: &Context<'_>,
    account: &BareJid,
    row: AccountId,
) -> Result<Vec<Element>, Refusal> {
    let kept = private::read(cx, account, row, &Element::new("storage", LEGACY)).await?;
    let children = kept.iter().flat_map(Element::children);
    Ok(children.filter(|c| !is_conference(c)).cloned().collect())
}

fn is_conference(element: &Element) -> bool {
    element.is("conference", LEGACY)
}

/// Puts a list in the old form in place of all bookmarks.
///
/// # Errors
/// An entry without a room's address, a limit, or the store's failure. Bookmarks are written in one commit.
pub(crate) async fn replace(
    cx: &Context<'_>,
    account: &BareJid,
    storage: &Element,
) -> Result<(), Refusal> {
    let mut wanted: Vec<(BareJid, &Element)> = Vec::new();
    for conference in storage.children().filter(|c| is_conference(c)) {
        let jid = conference.get_attr("jid").ok_or_else(|| {
            Refusal::new(Condition::BadRequest).with_text("a bookmark names its room")
        })?;
        let jid = Jid::parse(jid).map_err(|_| Condition::JidMalformed)?.bare();
        // Of several of one room the last counts.
        wanted.retain(|(one, _)| *one != jid);
        wanted.push((jid, conference));
    }
    if wanted.len() > cx.modules.limits.pubsub.items as usize {
        let text = format!("at most {} bookmarks", cx.modules.limits.pubsub.items);
        return Err(Refusal::new(Condition::PolicyViolation).with_text(text));
    }
    let _turn = cx.modules.turn(account).await;
    adopt(cx, account).await?;
    close(cx, account).await?;
    let nodes = nodes::nodes(cx, account)
        .await?
        .ok_or(Condition::ItemNotFound)?;
    let there = match nodes.get(NATIVE) {
        Some(node) => items(cx, account, nodes.account, node).await?,
        None => Vec::new(),
    };
    let mut put = Vec::new();
    for (jid, conference) in &wanted {
        let before = there.iter().find(|(id, _)| same_room(id, jid));
        let native = new_form(conference, before.map(|(_, native)| native));
        let id = before.map_or(jid.as_str(), |(id, _)| id);
        if before.is_none_or(|(_, before)| *before != native) {
            put.push((id.to_owned(), native));
        }
    }
    let gone = there.iter().filter(|(id, _)| {
        BareJid::parse(id).is_ok() && !wanted.iter().any(|(jid, _)| same_room(id, jid))
    });
    let gone: Vec<String> = gone.map(|(id, _)| id.clone()).collect();
    keep_rest(cx, account, nodes.account, storage).await?;
    if put.is_empty() && gone.is_empty() {
        return Ok(());
    }
    pubsub::put(cx, account, NATIVE, config(), gone, put).await
}

fn same_room(id: &str, jid: &BareJid) -> bool {
    id == jid.as_str() || BareJid::parse(id).is_ok_and(|id| id == *jid)
}

/// Keeps what the list holds beside rooms, if that has changed.
async fn keep_rest(
    cx: &Context<'_>,
    account: &BareJid,
    row: AccountId,
    storage: &Element,
) -> Result<(), Refusal> {
    let others = storage.children().filter(|c| !is_conference(c));
    let others: Vec<Element> = others.cloned().collect();
    if others == rest(cx, account, row).await? {
        return Ok(());
    }
    write_rest(cx, account, row, others).await
}

async fn write_rest(
    cx: &Context<'_>,
    account: &BareJid,
    row: AccountId,
    rest: Vec<Element>,
) -> Result<(), Refusal> {
    let payload = match rest.is_empty() {
        true => Vec::new(),
        false => Element::new("storage", LEGACY)
            .children_from(rest)
            .to_xml("")
            .into_bytes(),
    };
    let kept = PrivateXml {
        namespace: LEGACY.into(),
        name: "storage".into(),
        payload,
    };
    private::put(cx, account, row, &[kept]).await
}

/// Nobody else reads what came in the old form, and all of it stays.
async fn close(cx: &Context<'_>, account: &BareJid) -> Result<(), Refusal> {
    let nodes = nodes::nodes(cx, account)
        .await?
        .ok_or(Condition::ItemNotFound)?;
    if nodes.get(NATIVE).is_some() {
        nodes::configure(cx, account, NATIVE, |node| {
            let config = NodeConfig {
                access: Access::Whitelist,
                max_items: None,
                persist: true,
                ..node.config.clone()
            };
            Ok((config, node.people.clone()))
        })
        .await?;
    }
    Ok(())
}

/// Takes over what was kept in the old places while the domain had no bookmarks in one. The caller holds the account's turn.
async fn adopt(cx: &Context<'_>, account: &BareJid) -> Result<(), Refusal> {
    let nodes = nodes::nodes(cx, account)
        .await?
        .ok_or(Condition::ItemNotFound)?;
    let mut old = Vec::new();
    if let Some(node) = nodes.get(LEGACY) {
        for (_, storage) in items(cx, account, nodes.account, node).await? {
            old.push(storage);
        }
    }
    let storage = Element::new("storage", LEGACY);
    let kept = private::read(cx, account, nodes.account, &storage).await?;
    let kept = kept.filter(|kept| kept.children().any(is_conference));
    old.extend(kept.iter().cloned());
    if old.is_empty() && nodes.get(LEGACY).is_none() {
        return Ok(());
    }
    let there = match nodes.get(NATIVE) {
        Some(node) => items(cx, account, nodes.account, node).await?,
        None => Vec::new(),
    };
    let mut put: Vec<(String, Element)> = Vec::new();
    for conference in old.iter().flat_map(Element::children) {
        let jid = conference.get_attr("jid").and_then(|j| Jid::parse(j).ok());
        let Some(jid) = jid.filter(|_| is_conference(conference)) else {
            continue;
        };
        let jid = jid.bare();
        let known = there.iter().chain(&put).any(|(id, _)| same_room(id, &jid));
        if !known {
            put.push((jid.as_str().to_owned(), new_form(conference, None)));
        }
    }
    if !put.is_empty() {
        close(cx, account).await?;
        pubsub::put(cx, account, NATIVE, config(), Vec::new(), put).await?;
    }
    if kept.is_some() {
        let rest = rest(cx, account, nodes.account).await?;
        write_rest(cx, account, nodes.account, rest).await?;
    }
    if let Some(node) = nodes.get(LEGACY) {
        let removed = cx.store().pubsub_remove(nodes.account, node.id).await;
        cx.modules.nodes.forget(account);
        removed.map_err(|e| store_failed(&e, account, "taking over bookmarks"))?;
    }
    Ok(())
}

/// The native node has changed: those of the owner's sessions that know the old form are told of it in that.
pub(crate) async fn told(cx: &Context<'_>, account: &BareJid) {
    let sessions = pubsub::interested(cx, account, LEGACY);
    if sessions.is_empty() {
        return;
    }
    if let Ok(storage) = list(cx, account).await {
        for session in sessions {
            pubsub::tell_one(cx, account, &session, LEGACY, CURRENT, storage.clone());
        }
    }
}

/// A session of the owner has come that knows the old form.
pub(crate) async fn session_came(cx: &Context<'_>, account: &BareJid, session: &Jid) {
    let there = nodes::nodes(cx, account).await;
    let any = there.is_ok_and(|n| n.is_some_and(|n| n.get(NATIVE).is_some()));
    if any
        && session.bare_str() == account.as_str()
        && let Ok(storage) = list(cx, account).await
    {
        pubsub::tell_one(cx, account, session, LEGACY, CURRENT, storage);
    }
}

/// A native bookmark as the old form has it; what that does not know rides along.
fn old_form(jid: &BareJid, native: &Element) -> Element {
    let text = |name: &str| native.find(name, NATIVE).map(Element::text_content);
    let child = |name: &'static str| text(name).map(|t| Element::new(name, LEGACY).text(t));
    Element::new("conference", LEGACY)
        .attr("jid", jid.as_str())
        .attr_opt("name", native.get_attr("name"))
        .attr_opt("autojoin", native.get_attr("autojoin"))
        .child_opt(child("nick"))
        .child_opt(child("password"))
        .child_opt(native.find("extensions", NATIVE).cloned())
}

/// A bookmark of the old form as the new one has it, with what `before` had that the old form does not know.
fn new_form(conference: &Element, before: Option<&Element>) -> Element {
    let text = |name: &str| conference.find(name, LEGACY).map(Element::text_content);
    let child = |name: &'static str| text(name).map(|t| Element::new(name, NATIVE).text(t));
    let extensions = conference.find("extensions", NATIVE);
    let extensions = extensions.or_else(|| before.and_then(|b| b.find("extensions", NATIVE)));
    // What is of neither form is an extension of somebody's.
    let foreign = conference
        .children()
        .filter(|c| c.ns() != LEGACY && c.ns() != NATIVE);
    let mut extensions = extensions.cloned();
    for child in foreign {
        let all = extensions.get_or_insert_with(|| Element::new("extensions", NATIVE));
        all.retain_children(|c| !c.is(child.name(), child.ns()));
        all.push(child.clone());
    }
    Element::new("conference", NATIVE)
        .attr_opt("name", conference.get_attr("name"))
        .attr_opt("autojoin", conference.get_attr("autojoin"))
        .child_opt(child("nick"))
        .child_opt(child("password"))
        .child_opt(extensions)
}

#[cfg(test)]
mod tests;
