//! The node of bookmarks in their old form (XEP-0048), which is another view of the native node: what is asked of it.
//!
//! Its configuration and its people are the native node's; publishing replaces all bookmarks, retracting or purging its one
//! item, and deleting it, removes them. Refuses: more than one item, as XEP-0048 3 has it.

use xmpp::element::Element;
use xmpp::stanza::{Condition, StanzaType};

use super::access::reading;
use super::error::{plain, refused};
use super::items::Publication;
use super::{PUBSUB, PUBSUB_OWNER, by_other, by_owner, nodes};
use crate::bookmarks::{self, CURRENT, LEGACY, NATIVE};
use crate::context::{Context, Refusal, Standing};
use crate::module::{Answer, Ask};

/// Whether a request is about it.
pub(super) fn meant(cx: &Context<'_>, request: &Element) -> bool {
    bookmarks::on(cx) && request.get_attr("node") == Some(LEGACY)
}

/// A request about it.
pub(super) async fn asked(
    cx: &Context<'_>,
    ask: &Ask<'_>,
    pubsub: &Element,
    request: &Element,
) -> Result<Answer, Refusal> {
    let owner = ask.standing == Standing::Owner;
    let set = ask.iq.type_() == StanzaType::Set;
    match (owner, set, pubsub.ns(), request.name()) {
        (true, true, PUBSUB, "publish") => publish(cx, ask, pubsub, request).await,
        (true, true, PUBSUB, "retract") | (true, true, PUBSUB_OWNER, "purge" | "delete") => {
            let nothing = Element::new("storage", LEGACY);
            bookmarks::replace(cx, ask.account, &nothing).await?;
            Ok(Answer::Empty)
        }
        (_, false, PUBSUB, "items") => items(cx, ask, request).await,
        _ => {
            // The native node's affair, under the name by which it was asked for.
            let mut native = request.clone();
            native.set_attr("node", NATIVE);
            let mut wrapped = pubsub.clone();
            wrapped.retain_children(|child| child.name() != request.name());
            let others: Vec<Element> = wrapped.children().cloned().collect();
            let pubsub = Element::new(pubsub.name(), pubsub.ns())
                .child(native)
                .children_from(others);
            let answer = match owner {
                true => by_owner(cx, ask, &pubsub).await?,
                false => by_other(cx, ask, &pubsub).await?,
            };
            Ok(match answer {
                Answer::Payload(payload) => Answer::Payload(renamed(&payload)),
                other => other,
            })
        }
    }
}

fn renamed(payload: &Element) -> Element {
    let children = payload.children().cloned().map(|mut child| {
        if child.get_attr("node") == Some(NATIVE) {
            child.set_attr("node", LEGACY);
        }
        child
    });
    Element::new(payload.name(), payload.ns()).children_from(children)
}

async fn publish(
    cx: &Context<'_>,
    ask: &Ask<'_>,
    pubsub: &Element,
    request: &Element,
) -> Result<Answer, Refusal> {
    let wanted = Publication::read(pubsub, request)?;
    let storage = wanted.item.map(|(_, payload)| payload);
    let Some(storage) = storage.filter(bookmarks::is_storage) else {
        let text = "this node holds a list of bookmarks";
        return Err(refused(Condition::BadRequest, "invalid-payload", text));
    };
    // Bookmarks in the old form are private (XEP-0223); whatever else is wished of the node does not matter to their owner.
    if let Some(options) = &wanted.options
        && !matches!(options.values("pubsub#access_model"), [] | [_])
    {
        return Err(plain(Condition::BadRequest, "an access model is one"));
    }
    if let Some(options) = &wanted.options
        && let [model] = options.values("pubsub#access_model")
        && model != "whitelist"
    {
        let text = "bookmarks are for their owner alone";
        return Err(refused(Condition::Conflict, "precondition-not-met", text));
    }
    bookmarks::replace(cx, ask.account, &storage).await?;
    let published = Element::new("publish", PUBSUB)
        .attr("node", LEGACY)
        .child(Element::new("item", PUBSUB).attr("id", CURRENT));
    Ok(Answer::Payload(
        Element::new("pubsub", PUBSUB).child(published),
    ))
}

async fn items(cx: &Context<'_>, ask: &Ask<'_>, request: &Element) -> Result<Answer, Refusal> {
    let from = ask.iq.from().ok_or(Condition::BadRequest)?;
    if ask.standing != Standing::Owner {
        let (Some(nodes), Some(roster)) = (
            nodes::nodes(cx, ask.account).await?,
            cx.roster(ask.account).await?,
        ) else {
            return Err(Condition::ItemNotFound.into());
        };
        let node = nodes.get(NATIVE).ok_or(Condition::ItemNotFound)?;
        reading(node, ask.account, &roster, from).or_refuse()?;
    }
    let storage = bookmarks::as_storage(cx, ask.account).await?;
    let there = nodes::nodes(cx, ask.account)
        .await?
        .is_some_and(|nodes| nodes.get(NATIVE).is_some());
    if !there && storage.children().next().is_none() {
        return Err(Condition::ItemNotFound.into());
    }
    let mut named = request
        .children()
        .filter_map(|item| item.get_attr("id"))
        .peekable();
    let wanted = named.peek().is_none() || named.any(|id| id == CURRENT);
    let item = Element::new("item", PUBSUB)
        .attr("id", CURRENT)
        .child(storage);
    let items = Element::new("items", PUBSUB)
        .attr("node", LEGACY)
        .child_opt(wanted.then_some(item));
    Ok(Answer::Payload(Element::new("pubsub", PUBSUB).child(items)))
}
