//! Items: publishing, retracting, reading (XEP-0060 6.5, 7.1, 7.2).
//!
//! A publication is one commit, answered after it and after everybody has been told. Refuses: items of anybody but the
//! owner (E2E-09), payloads longer than the node or the service allows, items without a payload.

use rand::RngExt as _;
use store::{ItemsAsked, NodeConfig, PubsubNode};
use xmpp::element::Element;
use xmpp::jid::BareJid;
use xmpp::stanza::Condition;

use super::config::{self, PUBLISH_OPTIONS};
use super::error::{plain, refused, unsupported};
use super::nodes::{self, Change, Changed, NAME_BYTES, Nodes};
use super::{PUBSUB, after, defaults, node_of, notify};
use crate::context::{Context, Refusal, store_failed};
use crate::form::Submitted;
use crate::memory::PubsubLimits;
use crate::rsm;

/// Bytes of payload after which a page ends, however many items it was to have: an answer must fit into the queue of the
/// session that waits for it.
const PAGE_BYTES: u64 = 256 << 10;

/// Items told of in one notification: each must fit into a session's queue.
const TOLD_AT_ONCE: usize = 16;

/// A publication as it was asked for.
pub(super) struct Publication {
    node: String,
    /// Its id and payload; `None`: that something has happened is all there is to say.
    pub(super) item: Option<(String, Element)>,
    pub(super) options: Option<Submitted>,
}

/// Publishes (XEP-0060 7.1).
pub(super) async fn publish(
    cx: &Context<'_>,
    account: &BareJid,
    pubsub: &Element,
    publish: &Element,
) -> Result<Element, Refusal> {
    let limits = &cx.modules.limits.pubsub;
    let wanted = Publication::read(pubsub, publish)?;
    let written = wanted
        .item
        .as_ref()
        .map(|(id, payload)| (id.clone(), payload.to_xml("").into_bytes()));
    let bytes = written.as_ref().map_or(0, |(_, payload)| payload.len());
    let _turn = cx.modules.turn(account).await;
    let changed = nodes::change(cx, account, &wanted.node, |node| {
        let create = match (node, &wanted.options) {
            (Some(node), options) => {
                if let Some(options) = options {
                    config::must_meet(&node.config, options, limits)?;
                }
                fits(bytes, &node.config, limits)?;
                may_have_item(written.is_some(), &node.config)?;
                None
            }
            (None, Some(options)) => {
                let defaults = defaults(cx, &wanted.node);
                Some(config::applied(&defaults, options, limits)?)
            }
            (None, None) => Some(defaults(cx, &wanted.node)),
        };
        if let Some(config) = &create {
            fits(bytes, config, limits)?;
            may_have_item(written.is_some(), config)?;
        }
        Ok(Change {
            create,
            retract: Vec::new(),
            put: written.iter().cloned().collect(),
        })
    })
    .await?;
    let Changed { node, .. } = changed;
    let payloads = node.config.payloads;
    let put = wanted.item.into_iter();
    let put: Vec<(String, Option<Element>)> = put
        .map(|(id, payload)| (id, Some(payload).filter(|_| payloads)))
        .collect();
    notify::tell(cx, account, &node, notify::items(&node.name, &put, &[])).await;
    after(cx, account, &node.name).await;
    let items = put
        .into_iter()
        .map(|(id, _)| Element::new("item", PUBSUB).attr("id", id));
    let published = Element::new("publish", PUBSUB)
        .attr("node", wanted.node)
        .children_from(items);
    Ok(Element::new("pubsub", PUBSUB).child(published))
}

/// What the service itself puts into a node of the account and takes from it, in one commit; the node is made with this
/// configuration if it is not there. The caller holds the account's turn.
///
/// # Errors
/// A limit, or the store's failure; then nothing has changed.
pub(crate) async fn put(
    cx: &Context<'_>,
    account: &BareJid,
    node: &str,
    create: NodeConfig,
    retract: Vec<String>,
    put: Vec<(String, Element)>,
) -> Result<(), Refusal> {
    let limits = &cx.modules.limits.pubsub;
    let written = put.iter().map(|(id, payload)| {
        let payload = payload.to_xml("").into_bytes();
        (id.clone(), payload)
    });
    let written: Vec<(String, Vec<u8>)> = written.collect();
    let changed = nodes::change(cx, account, node, |node| {
        let config = node.map_or(&create, |node| &node.config);
        for (id, payload) in &written {
            fits(payload.len(), config, limits)?;
            if id.len() > NAME_BYTES {
                let text = format!("an item's id has at most {NAME_BYTES} bytes");
                return Err(plain(Condition::NotAcceptable, text));
            }
        }
        Ok(Change {
            create: Some(create.clone()).filter(|_| node.is_none()),
            retract: retract.clone(),
            put: written.clone(),
        })
    })
    .await?;
    let Changed { node, retracted } = changed;
    for gone in retracted.chunks(TOLD_AT_ONCE) {
        let what = notify::items(&node.name, &[], gone);
        notify::tell(cx, account, &node, what).await;
    }
    let payloads = node.config.payloads;
    let put: Vec<(String, Option<Element>)> = put
        .into_iter()
        .map(|(id, payload)| (id, Some(payload).filter(|_| payloads)))
        .collect();
    for come in put.chunks(TOLD_AT_ONCE) {
        let what = notify::items(&node.name, come, &[]);
        notify::tell(cx, account, &node, what).await;
    }
    after(cx, account, &node.name).await;
    Ok(())
}

impl Publication {
    pub(super) fn read(pubsub: &Element, publish: &Element) -> Result<Self, Refusal> {
        let node = node_of(publish)?;
        let mut items = publish.children().filter(|c| c.is("item", PUBSUB));
        let item = items.next().map(read_item).transpose()?;
        if items.next().is_some() {
            let text = "a publication has one item";
            return Err(refused(Condition::BadRequest, "invalid-payload", text));
        }
        let options = match pubsub.find("publish-options", PUBSUB) {
            None => None,
            Some(options) => config::submitted(options, PUBLISH_OPTIONS)?,
        };
        Ok(Self {
            node,
            item,
            options,
        })
    }
}

fn read_item(item: &Element) -> Result<(String, Element), Refusal> {
    let mut payloads = item.children();
    let payload = match (payloads.next(), payloads.next()) {
        (Some(payload), None) => payload.clone(),
        (None, _) => {
            let text = "an item has a payload";
            return Err(refused(Condition::BadRequest, "payload-required", text));
        }
        _ => {
            let text = "an item has one payload";
            return Err(refused(Condition::BadRequest, "invalid-payload", text));
        }
    };
    let id = match item.get_attr("id").filter(|id| !id.is_empty()) {
        Some(id) if id.len() > NAME_BYTES => {
            let text = format!("an item's id has at most {NAME_BYTES} bytes");
            return Err(plain(Condition::NotAcceptable, text));
        }
        Some(id) => id.to_owned(),
        None => format!("{:032x}", rand::rng().random::<u128>()),
    };
    Ok((id, payload))
}

/// Whether a publication has an item is the node's affair: one that keeps nothing and shows nothing takes none, any other one
/// (XEP-0060 7.1.1, 7.1.3.6).
fn may_have_item(has: bool, config: &NodeConfig) -> Result<(), Refusal> {
    let takes = config.persist || config.payloads;
    match (has, takes) {
        (false, true) => {
            let text = "a publication has an item";
            Err(refused(Condition::BadRequest, "item-required", text))
        }
        (true, false) => {
            let text = "this node keeps no items and shows none";
            Err(refused(Condition::BadRequest, "item-forbidden", text))
        }
        _ => Ok(()),
    }
}

fn fits(bytes: usize, config: &NodeConfig, limits: &PubsubLimits) -> Result<(), Refusal> {
    let most = config.max_payload.map_or(limits.item_bytes, |n| n as usize);
    if bytes > most.min(limits.item_bytes) {
        return Err(too_big(most));
    }
    Ok(())
}

fn too_big(most: usize) -> Refusal {
    refused(
        Condition::NotAcceptable,
        "payload-too-big",
        format!("a payload has at most {most} bytes"),
    )
}

/// Retracts (XEP-0060 7.2).
pub(super) async fn retract(
    cx: &Context<'_>,
    account: &BareJid,
    retract: &Element,
) -> Result<(), Refusal> {
    let name = node_of(retract)?;
    let ids: Vec<String> = retract
        .children()
        .filter(|c| c.is("item", PUBSUB))
        .filter_map(|item| item.get_attr("id"))
        .map(str::to_owned)
        .collect();
    let [_] = ids.as_slice() else {
        let text = "a retraction names one item";
        return Err(refused(Condition::BadRequest, "item-required", text));
    };
    let asked = match retract.get_attr("notify") {
        Some("1" | "true") => Some(true),
        Some("0" | "false") => Some(false),
        _ => None,
    };
    let _turn = cx.modules.turn(account).await;
    let changed = nodes::change(cx, account, &name, |node| {
        if node.is_some_and(|node| !node.config.persist) {
            return Err(unsupported("persistent-items"));
        }
        Ok(Change {
            create: None,
            retract: ids.clone(),
            put: Vec::new(),
        })
    })
    .await?;
    let Changed { node, retracted } = changed;
    if retracted.is_empty() {
        return Err(Condition::ItemNotFound.into());
    }
    if asked.unwrap_or(node.config.notify_retract) {
        let what = notify::items(&node.name, &[], &retracted);
        notify::tell(cx, account, &node, what).await;
    }
    after(cx, account, &node.name).await;
    Ok(())
}

/// Reads items (XEP-0060 6.5), in pages where there are many (6.5.4, XEP-0059). Whether the asker may is settled.
pub(super) async fn retrieve(
    cx: &Context<'_>,
    account: &BareJid,
    nodes: &Nodes,
    node: &PubsubNode,
    pubsub: &Element,
    items: &Element,
) -> Result<Element, Refusal> {
    if items.get_attr("subid").is_some() {
        return Err(unsupported("subscription-options"));
    }
    if !node.config.persist {
        return Err(unsupported("persistent-items"));
    }
    let limits = &cx.modules.limits.pubsub;
    let page = rsm::page(pubsub)?;
    let named: Vec<String> = items
        .children()
        .filter(|c| c.is("item", PUBSUB))
        .filter_map(|item| item.get_attr("id"))
        .map(str::to_owned)
        .collect();
    if named.len() > limits.items as usize {
        let text = format!("at most {} items at once", limits.items);
        return Err(plain(Condition::NotAcceptable, text));
    }
    let newest = match items.get_attr("max_items") {
        None => None,
        Some(n) => Some(
            n.parse::<u32>()
                .map_err(|_| plain(Condition::BadRequest, "max_items is a number of items"))?,
        ),
    };
    let (asked, most) = match (&page, newest) {
        _ if !named.is_empty() => (ItemsAsked::Ids(named), limits.items),
        (Some(page), _) => {
            let asked = match page.from.clone() {
                rsm::From::After(id) => ItemsAsked::After(id),
                rsm::From::Before(id) => ItemsAsked::Before(id),
            };
            (asked, page.max.unwrap_or(limits.items))
        }
        (None, Some(newest)) => (ItemsAsked::Before(None), newest),
        (None, None) => (ItemsAsked::After(None), limits.items),
    };
    let found = cx
        .store()
        .pubsub_items(nodes.account, node.id, &asked, most, PAGE_BYTES)
        .await
        .map_err(|e| store_failed(&e, account, "reading items"))?
        .ok_or(Condition::ItemNotFound)?;
    let ends = found.items.first().zip(found.items.last());
    let ends = ends.map(|(first, last)| (first.id.as_str(), last.id.as_str()));
    let partial = (found.items.len() as u64) < found.count;
    let set = (page.is_some() || (partial && newest.is_none()))
        .then(|| rsm::set(ends, found.index, found.count));
    let items = found.items.iter().filter_map(|item| {
        let payload = notify::element(&item.payload)?;
        Some(
            Element::new("item", PUBSUB)
                .attr("id", item.id.as_str())
                .child(payload),
        )
    });
    let items = Element::new("items", PUBSUB)
        .attr("node", node.name.as_str())
        .children_from(items);
    Ok(Element::new("pubsub", PUBSUB).child(items).child_opt(set))
}

/// Lets go of all items (XEP-0060 8.5).
pub(super) async fn purge(cx: &Context<'_>, account: &BareJid, name: &str) -> Result<(), Refusal> {
    let _turn = cx.modules.turn(account).await;
    let all = nodes::nodes(cx, account)
        .await?
        .ok_or(Condition::ItemNotFound)?;
    let node = all.get(name).ok_or(Condition::ItemNotFound)?;
    if !node.config.persist {
        return Err(unsupported("persistent-items"));
    }
    let purged = cx.store().pubsub_purge(all.account, node.id).await;
    cx.modules.nodes.forget(account);
    if !purged.map_err(|e| store_failed(&e, account, "purging a node"))? {
        return Err(Condition::ItemNotFound.into());
    }
    let what = Element::new("purge", notify::EVENT).attr("node", name);
    notify::tell(cx, account, node, what).await;
    after(cx, account, name).await;
    Ok(())
}

/// Names the items of a node (XEP-0060 5.5), for whoever may read them.
pub(super) async fn names(
    cx: &Context<'_>,
    account: &BareJid,
    nodes: &Nodes,
    node: &PubsubNode,
) -> Result<Vec<Element>, Refusal> {
    let most = cx.modules.limits.pubsub.items;
    let ids = cx
        .store()
        .pubsub_ids(nodes.account, node.id, most)
        .await
        .map_err(|e| store_failed(&e, account, "reading items"))?;
    let item = |id: String| {
        Element::new("item", xmpp::ns::DISCO_ITEMS)
            .attr("jid", account.as_str())
            .attr("name", id)
    };
    Ok(ids.into_iter().map(item).collect())
}
