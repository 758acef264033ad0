//! What the owner does with a node: making it, configuring it, removing it, and who is what to it (XEP-0060 8).
//!
//! Refuses: everybody else; nodes without a name, because a node of an account is named by what it holds (XEP-0163 3).

use store::{NodeConfig, NodePeople, PubsubNode};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::Condition;

use super::config::{self, NODE_CONFIG};
use super::error::{plain, refused};
use super::nodes::{self, Change};
use super::{PUBSUB, PUBSUB_OWNER, access, after, defaults, node_of, notify, subscriptions};
use crate::context::{Context, Refusal, store_failed};
use crate::form::Form;

/// Makes a node (XEP-0060 8.1).
pub(super) async fn create(
    cx: &Context<'_>,
    account: &BareJid,
    pubsub: &Element,
    create: &Element,
) -> Result<(), Refusal> {
    if create.get_attr("node").is_none_or(str::is_empty) {
        let text = "a node of an account is named by what it holds";
        return Err(refused(Condition::NotAcceptable, "nodeid-required", text));
    }
    let name = node_of(create)?;
    let limits = &cx.modules.limits.pubsub;
    let options = match pubsub.find("configure", PUBSUB) {
        // An empty one asks for the defaults.
        Some(configure) if configure.children().next().is_some() => {
            config::submitted(configure, NODE_CONFIG)?
        }
        _ => None,
    };
    let config = match &options {
        Some(options) => config::applied(&defaults(cx, &name), options, limits)?,
        None => defaults(cx, &name),
    };
    let _turn = cx.modules.turn(account).await;
    nodes::change(cx, account, &name, |node| {
        if node.is_some() {
            return Err(plain(Condition::Conflict, "there is a node of this name"));
        }
        Ok(Change {
            create: Some(config.clone()),
            retract: Vec::new(),
            put: Vec::new(),
        })
    })
    .await?;
    Ok(())
}

/// The configuration of a node (XEP-0060 8.2), or what a new one would have (8.3).
pub(super) async fn configuration(
    cx: &Context<'_>,
    account: &BareJid,
    asked: &Element,
) -> Result<Element, Refusal> {
    let limits = &cx.modules.limits.pubsub;
    let (node, config) = if asked.name() == "default" {
        (None, NodeConfig::default())
    } else {
        let node = node(cx, account, &node_of(asked)?).await?;
        (Some(node.name.clone()), node.config.clone())
    };
    let x = config::shown(&config, Form::asking(NODE_CONFIG), limits);
    Ok(Element::new(asked.name(), PUBSUB_OWNER)
        .attr_opt("node", node)
        .child(x))
}

/// Changes the configuration of a node.
pub(super) async fn configure(
    cx: &Context<'_>,
    account: &BareJid,
    configure: &Element,
) -> Result<(), Refusal> {
    let name = node_of(configure)?;
    let limits = &cx.modules.limits.pubsub;
    let Some(options) = config::submitted(configure, NODE_CONFIG)? else {
        return Ok(());
    };
    let _turn = cx.modules.turn(account).await;
    let node = nodes::configure(cx, account, &name, |node| {
        let config = config::applied(&node.config, &options, limits)?;
        Ok((config, node.people.clone()))
    })
    .await?;
    if node.config.notify_config {
        let x = config::shown(&node.config, Form::result(NODE_CONFIG), limits);
        let what = Element::new("configuration", notify::EVENT)
            .attr("node", name.as_str())
            .child_opt(Some(x).filter(|_| node.config.payloads));
        notify::tell(cx, account, &node, what).await;
    }
    // Who may see it may have changed.
    after(cx, account, &name).await;
    Ok(())
}

/// Removes a node (XEP-0060 8.4).
pub(super) async fn delete(
    cx: &Context<'_>,
    account: &BareJid,
    delete: &Element,
) -> Result<(), Refusal> {
    let name = node_of(delete)?;
    let redirect = delete
        .find("redirect", PUBSUB_OWNER)
        .and_then(|r| r.get_attr("uri"))
        .map(|uri| Element::new("redirect", notify::EVENT).attr("uri", uri));
    let _turn = cx.modules.turn(account).await;
    let all = nodes::nodes(cx, account)
        .await?
        .ok_or(Condition::ItemNotFound)?;
    let node = all.get(&name).ok_or(Condition::ItemNotFound)?;
    let removed = cx.store().pubsub_remove(all.account, node.id).await;
    cx.modules.nodes.forget(account);
    if !removed.map_err(|e| store_failed(&e, account, "removing a node"))? {
        return Err(Condition::ItemNotFound.into());
    }
    if node.config.notify_delete {
        let what = Element::new("delete", notify::EVENT)
            .attr("node", name.as_str())
            .child_opt(redirect);
        notify::tell(cx, account, node, what).await;
    }
    after(cx, account, &name).await;
    Ok(())
}

/// Who is what to a node (XEP-0060 8.8.1, 8.9.1).
pub(super) async fn people(
    cx: &Context<'_>,
    account: &BareJid,
    asked: &Element,
) -> Result<Element, Refusal> {
    let node = node(cx, account, &node_of(asked)?).await?;
    Ok(if asked.name() == "affiliations" {
        access::affiliations(&node, account)
    } else {
        subscriptions::of_node(&node)
    })
}

/// Changes who is what to a node (XEP-0060 8.8.2, 8.9.2).
pub(super) async fn change_people(
    cx: &Context<'_>,
    account: &BareJid,
    wanted: &Element,
) -> Result<(), Refusal> {
    let name = node_of(wanted)?;
    let most = cx.modules.limits.pubsub.people;
    let _turn = cx.modules.turn(account).await;
    nodes::configure(cx, account, &name, |node| {
        let people = if wanted.name() == "affiliations" {
            access::changed(&node.people, account, wanted, most)?
        } else {
            unsubscribed(&node.people, wanted)?
        };
        Ok((node.config.clone(), people))
    })
    .await?;
    Ok(())
}

/// The owner may end subscriptions; others subscribe themselves.
fn unsubscribed(people: &NodePeople, wanted: &Element) -> Result<NodePeople, Refusal> {
    let mut people = people.clone();
    for entry in wanted
        .children()
        .filter(|c| c.is("subscription", PUBSUB_OWNER))
    {
        let jid = entry.get_attr("jid").and_then(|jid| Jid::parse(jid).ok());
        let jid = jid.ok_or(Condition::JidMalformed)?;
        let subscribed = people.subscribers.iter().any(|s| s == jid.as_str());
        match entry.get_attr("subscription") {
            Some("none") => people.subscribers.retain(|s| s != jid.as_str()),
            Some("subscribed") if subscribed => {}
            _ => {
                let text = "an owner can end subscriptions, not make them";
                return Err(refused(Condition::NotAcceptable, "not-subscribed", text));
            }
        }
    }
    Ok(people)
}

async fn node(
    cx: &Context<'_>,
    account: &BareJid,
    name: &str,
) -> Result<std::sync::Arc<PubsubNode>, Refusal> {
    let all = nodes::nodes(cx, account)
        .await?
        .ok_or(Condition::ItemNotFound)?;
    let node = all.get(name).ok_or(Condition::ItemNotFound)?;
    Ok(node.clone())
}
