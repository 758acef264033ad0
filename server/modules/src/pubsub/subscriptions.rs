//! Subscriptions that somebody makes to one node (XEP-0060 6.1, 6.2), beside those that follow from presence.
//!
//! Refuses: subscribing anybody else, several subscriptions of one address, options of a subscription.

use store::{PubsubNode, SendLast};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::Condition;

use super::access::reading;
use super::error::{refused, refused_for_now};
use super::nodes::{self, Nodes};
use super::{PUBSUB, PUBSUB_OWNER, node_of, notify};
use crate::context::{Context, Refusal};

/// Subscribes the asker.
pub(super) async fn subscribe(
    cx: &Context<'_>,
    account: &BareJid,
    from: &Jid,
    subscribe: &Element,
) -> Result<Element, Refusal> {
    let name = node_of(subscribe)?;
    let jid = own_jid(subscribe, from)?;
    let most = cx.modules.limits.pubsub.people;
    let _turn = cx.modules.turn(account).await;
    let roster = cx.roster(account).await?.ok_or(Condition::ItemNotFound)?;
    let node = nodes::configure(cx, account, &name, |node| {
        reading(node, account, &roster, from).or_refuse()?;
        let mut people = node.people.clone();
        if people.subscribers.iter().any(|s| s == jid.as_str()) {
            return Ok((node.config.clone(), people));
        }
        if !node.config.subscribe {
            return Err(super::error::unsupported("subscribe"));
        }
        if people.subscribers.len() >= most {
            cx.switchboard.limited("pubsub_people");
            let text = format!(
                "a node has at most {most} subscribers, and this one has as many; try again when one has left"
            );
            return Err(refused_for_now(
                Condition::PolicyViolation,
                "too-many-subscriptions",
                text,
            ));
        }
        people.subscribers.push(jid.as_str().to_owned());
        people.subscribers.sort();
        Ok((node.config.clone(), people))
    })
    .await?;
    if node.config.send_last != SendLast::Never
        && let Some(all) = nodes::nodes(cx, account).await?
    {
        notify::last_item(cx, account, &all, &roster, &node, &jid).await;
    }
    let subscription = subscription(&node.name, jid.as_str());
    Ok(Element::new("pubsub", PUBSUB).child(subscription))
}

/// Ends the asker's subscription.
pub(super) async fn unsubscribe(
    cx: &Context<'_>,
    account: &BareJid,
    from: &Jid,
    unsubscribe: &Element,
) -> Result<(), Refusal> {
    let name = node_of(unsubscribe)?;
    let jid = unsubscribe
        .get_attr("jid")
        .and_then(|jid| Jid::parse(jid).ok());
    let is_others = |jid: &Jid| jid.bare_str() != from.bare_str();
    if jid.as_ref().is_some_and(is_others) {
        // XEP-0060 6.2.3.3
        return Err(Condition::Forbidden.into());
    }
    let jid = own_jid(unsubscribe, from)?;
    let _turn = cx.modules.turn(account).await;
    let roster = cx.roster(account).await?.ok_or(Condition::ItemNotFound)?;
    nodes::configure(cx, account, &name, |node| {
        let mut people = node.people.clone();
        let before = people.subscribers.len();
        people.subscribers.retain(|s| s != jid.as_str());
        if people.subscribers.len() == before {
            // Whoever may not read the node learns that and no more.
            reading(node, account, &roster, from).or_refuse()?;
            let text = "there is no such subscription";
            return Err(refused(
                Condition::UnexpectedRequest,
                "not-subscribed",
                text,
            ));
        }
        Ok((node.config.clone(), people))
    })
    .await?;
    Ok(())
}

/// The asker's subscriptions, to all nodes or to one (XEP-0060 5.6).
pub(super) fn own(nodes: &Nodes, from: &Jid, node: Option<&str>) -> Element {
    let of_node = |n: &PubsubNode| {
        let mine = n.people.subscribers.iter();
        let mine = mine.filter(|s| Jid::parse(s).is_ok_and(|s| s.bare_str() == from.bare_str()));
        let mine: Vec<Element> = mine.map(|s| subscription(&n.name, s)).collect();
        mine
    };
    let found = nodes
        .iter()
        .filter(|n| node.is_none_or(|name| name == n.name))
        .flat_map(|n| of_node(n));
    Element::new("subscriptions", PUBSUB)
        .attr_opt("node", node)
        .children_from(found)
}

/// The subscriptions of a node as the owner sees them (XEP-0060 8.8.1).
pub(super) fn of_node(node: &PubsubNode) -> Element {
    let one = |jid: &String| {
        Element::new("subscription", PUBSUB_OWNER)
            .attr("jid", jid.as_str())
            .attr("subscription", "subscribed")
    };
    Element::new("subscriptions", PUBSUB_OWNER)
        .attr("node", node.name.as_str())
        .children_from(node.people.subscribers.iter().map(one))
}

fn subscription(node: &str, jid: &str) -> Element {
    Element::new("subscription", PUBSUB)
        .attr("node", node)
        .attr("jid", jid)
        .attr("subscription", "subscribed")
}

/// The address that a request is about: the asker's own (XEP-0060 6.1.3.1).
fn own_jid(request: &Element, from: &Jid) -> Result<Jid, Refusal> {
    let jid = request.get_attr("jid").and_then(|jid| Jid::parse(jid).ok());
    let own = |jid: &Jid| jid.bare_str() == from.bare_str();
    jid.filter(own).ok_or_else(|| {
        let text = "an entity subscribes itself";
        refused(Condition::BadRequest, "invalid-jid", text)
    })
}
