//! vCards, XEP-0054 version 1.3.0: what an account says about itself, to everybody.
//!
//! Answered by the server, whether the account is there or not. The photo is that of [`crate::avatars`] where the domain has
//! them. Who knows vCards in their fourth version (XEP-0292 version 0.12.0) reads the same at the node of that. Once an account
//! has published there, the node is the truth, and its access model decides who sees it in either form: the old form shows what
//! the node says and beside it what the new one has no word for, and who writes the old form writes the node. Refuses: changing somebody else's, and telling a missing account from one
//! without a vCard (EXT-10).

mod four;

use std::sync::Arc;

use async_trait::async_trait;
use store::{ItemsAsked, NodeConfig, PubsubNode};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::{Condition, StanzaType};

use crate::avatars::{self, Photo};
use crate::context::{Context, Refusal, Standing, store_failed};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};
use crate::pubsub::{self, may_read, nodes};

/// The module.
pub(crate) struct Vcards;

/// Its namespace.
pub(crate) const VCARD: &str = "vcard-temp";
/// Node of vCards in their fourth version.
pub(crate) const NODE: &str = "urn:xmpp:vcard4";

static INFO: ModuleInfo = ModuleInfo {
    name: "vcard",
    about: "lets accounts say who they are, in the old form of vCards and the new one alike",
    specs: &[Spec::Xep(54, "1.3.0"), Spec::Xep(292, "0.12.0")],
    switchable: true,
    iq: &[IqDoor {
        ns: VCARD,
        name: "vCard",
        types: IqTypes::Both,
        at_server: false,
        at_account: Audience::Anyone,
        of_sessions: false,
    }],
    hooks: Hooks::VCARDS,
    server_features: &[VCARD],
    account_features: &[VCARD],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Vcards {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let from = ask.iq.from().ok_or(Condition::BadRequest)?;
        let own = ask.standing == Standing::Owner;
        if ask.iq.type_() == StanzaType::Set {
            if !own {
                return Err(Condition::Forbidden.into());
            }
            return set(cx, ask).await.map(|()| Answer::Empty);
        }
        match composed(cx, ask.account, from).await? {
            Some(vcard) => Ok(Answer::Payload(vcard)),
            None if own => Err(Condition::ItemNotFound.into()),
            None => Err(Condition::ServiceUnavailable.into()),
        }
    }
}

/// Whether the domain has it.
pub(crate) fn on(cx: &Context<'_>) -> bool {
    cx.hosted.has(Hooks::VCARDS)
}

/// What somebody sees of an account's vCard.
async fn composed(
    cx: &Context<'_>,
    account: &BareJid,
    asker: &Jid,
) -> Result<Option<Element>, Refusal> {
    let Some(roster) = cx.roster(account).await? else {
        return Ok(None);
    };
    let kept = cx.store().vcard(roster.account).await;
    let kept = kept.map_err(|e| store_failed(&e, account, "reading a vCard"))?;
    let kept = kept.and_then(|kept| String::from_utf8(kept).ok());
    let kept = kept.and_then(|kept| Element::parse(&kept, "").ok());
    let kept = match published(cx, account).await? {
        None => kept,
        Some(node) => merged(kept, &node, may_read(&node.node, account, &roster, asker)),
    };
    if !avatars::on(cx) || roster.avatar.is_none() {
        return Ok(kept);
    }
    let photo = avatars::photo(cx, account, asker).await?;
    if kept.is_none() && photo.is_none() {
        return Ok(None);
    }
    let mut vcard = kept.unwrap_or_else(|| Element::new("vCard", VCARD));
    vcard.retain_children(|child| child.name() != "PHOTO");
    Ok(Some(vcard.child_opt(photo)))
}

/// What an account has at the node of vCards in their fourth version.
struct Published {
    node: Arc<PubsubNode>,
    /// Id and content of the newest item, if there is one and it is a vCard.
    item: Option<(String, Element)>,
}

/// The node, if the account has made one.
async fn published(cx: &Context<'_>, account: &BareJid) -> Result<Option<Published>, Refusal> {
    if !pubsub::on(cx) {
        return Ok(None);
    }
    let Some(nodes) = nodes::nodes(cx, account).await? else {
        return Ok(None);
    };
    let Some(node) = nodes.get(NODE).cloned() else {
        return Ok(None);
    };
    let newest = ItemsAsked::Before(None);
    let read = cx
        .store()
        .pubsub_items(nodes.account, node.id, &newest, 1, 1);
    let page = Box::pin(read).await;
    let page = page.map_err(|e| store_failed(&e, account, "reading a vCard"))?;
    let item = page.and_then(|page| page.items.into_iter().next());
    let item = item.and_then(|item| {
        let text = String::from_utf8(item.payload).ok()?;
        let vcard = Element::parse(&text, "").ok()?;
        four::is(&vcard).then_some((item.id, vcard))
    });
    Ok(Some(Published { node, item }))
}

/// What the node says, and what the new form has no word for.
fn merged(kept: Option<Element>, published: &Published, may: bool) -> Option<Element> {
    let said = published.item.iter().filter(|_| may);
    let mut vcard =
        Element::new("vCard", VCARD).children_from(said.flat_map(|(_, vcard)| four::back(vcard)));
    let kept = kept.iter().flat_map(Element::children);
    for more in kept.filter(|property| !four::knows(property.name())) {
        vcard.push(more.clone());
    }
    vcard.children().next()?;
    Some(vcard)
}

async fn set(cx: &Context<'_>, ask: &Ask<'_>) -> Result<(), Refusal> {
    let iq = ask.iq.payload().map_err(|_| Condition::BadRequest)?;
    let vcard = iq.find("vCard", VCARD).ok_or(Condition::BadRequest)?;
    let most = cx.modules.limits.vcard_bytes;
    if vcard.to_xml("").len() > most {
        cx.switchboard.limited("vcard_bytes");
        return Err(Refusal::new(Condition::PolicyViolation)
            .with_text(format!("a vCard has at most {most} bytes")));
    }
    let Some(roster) = cx.roster(ask.account).await? else {
        return Err(Condition::ItemNotFound.into());
    };
    let mut kept = vcard.clone();
    if avatars::on(cx) {
        let photo = vcard.children().find(|c| c.name() == "PHOTO");
        // A picture that is somewhere else is none that could be published.
        let elsewhere = photo.is_some_and(|p| p.children().any(|c| c.name() == "EXTVAL"));
        if !elsewhere {
            avatars::publish(cx, ask.account, &Photo::of(photo)?).await?;
            kept.retain_children(|child| child.name() != "PHOTO");
        }
    }
    if let Some(node) = published(cx, ask.account).await? {
        let id = node.item.map_or_else(|| "current".to_owned(), |(id, _)| id);
        let item = vec![(id, four::of(&kept))];
        let _turn = cx.modules.turn(ask.account).await;
        pubsub::put(
            cx,
            ask.account,
            NODE,
            NodeConfig::default(),
            Vec::new(),
            item,
        )
        .await?;
    }
    let written = kept.to_xml("").into_bytes();
    let set = cx.store().vcard_set(roster.account, &written).await;
    match set.map_err(|e| store_failed(&e, ask.account, "keeping a vCard"))? {
        true => Ok(()),
        false => Err(Condition::ItemNotFound.into()),
    }
}

/// The vCard as an item of the node of vCards in their fourth version, of an account that publishes none there.
pub(crate) async fn as_item(
    cx: &Context<'_>,
    account: &BareJid,
    asker: &Jid,
) -> Result<Answer, Refusal> {
    const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
    let vcard = composed(cx, account, asker).await?;
    let vcard = vcard.ok_or(Condition::ItemNotFound)?;
    let item = Element::new("item", PUBSUB)
        .attr("id", "current")
        .child(four::of(&vcard));
    let items = Element::new("items", PUBSUB).attr("node", NODE).child(item);
    Ok(Answer::Payload(Element::new("pubsub", PUBSUB).child(items)))
}

#[cfg(test)]
mod tests;
