//! Who is told what happened at a node, and how (XEP-0163 4, XEP-0060 7.1.2).
//!
//! The account's own sessions and its contacts' are told where they announced that they want to be ([`caps`]), those who
//! subscribed by themselves wherever they are. Everything comes from the account's bare address, the only one that may speak
//! of its nodes (EXT-04). Refuses: telling anybody who may not read the node at this moment, whom the account has blocked, or
//! who has blocked the account; and more people at once than the limit allows (DOS-09).

use std::collections::HashSet;

use rand::RngExt as _;
use store::{ItemsAsked, PubsubNode, SendLast};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Stanza, delay};
use xmpp::timestamp::Timestamp;

use super::access::{Reading, reading};
use super::caps::{self, Announced, Interests};
use super::nodes::{Nodes, nodes};
use crate::bookmarks;
use crate::context::Context;
use crate::roster::Roster;

/// Namespace of notifications.
pub(super) const EVENT: &str = "http://jabber.org/protocol/pubsub#event";

/// `<items/>` of a notification: what came, with its payload, and what went.
pub(super) fn items(
    node: &str,
    put: &[(String, Option<Element>)],
    retracted: &[String],
) -> Element {
    let came = put.iter().map(|(id, payload)| {
        Element::new("item", EVENT)
            .attr("id", id.as_str())
            .child_opt(payload.clone())
    });
    let went = retracted
        .iter()
        .map(|id| Element::new("retract", EVENT).attr("id", id.as_str()));
    Element::new("items", EVENT)
        .attr("node", node)
        .children_from(came)
        .children_from(went)
}

/// Tells everybody who wants and may know.
pub(super) async fn tell(cx: &Context<'_>, account: &BareJid, node: &PubsubNode, what: Element) {
    if !node.config.deliver {
        return;
    }
    let Ok(Some(roster)) = cx.roster(account).await else {
        return;
    };
    let Some(event) = message(account, node, what, None) else {
        return;
    };
    let here = cx.hosted.domain.as_str();
    let may = |jid: &Jid| may_hear(cx, node, account, &roster, jid);
    let mut telling = Telling {
        cx,
        event,
        told: HashSet::new(),
        left: cx.modules.limits.pubsub.notifications,
    };
    for (session, announced) in sessions(cx, account) {
        if wants(cx, account, &session, &announced, &node.name) {
            telling.to(session);
        }
    }
    for contact in roster.subscribers() {
        let bare = Jid::from(contact.jid.clone());
        if !may(&bare) {
            continue;
        }
        let there = if contact.jid.domain() == here {
            sessions(cx, &contact.jid)
        } else {
            cx.modules.heard.sessions(account, &contact.jid).to_vec()
        };
        for (session, announced) in there {
            // One device of a contact may be blocked by itself.
            if may(&session) && wants(cx, account, &session, &announced, &node.name) {
                telling.to(session);
            }
        }
    }
    for subscriber in &node.people.subscribers {
        let Ok(jid) = Jid::parse(subscriber) else {
            continue;
        };
        // Whose sessions were told one by one needs no copy for all of them (XEP-0163 4.3.2).
        let known = |told: &Jid| jid.is_bare() && told.bare_str() == jid.as_str();
        if may(&jid) && !telling.told.iter().any(known) {
            telling.to(jid);
        }
    }
}

/// Whether somebody may be told of a node at this moment: they may read it, and its owner has not blocked them (XEP-0191).
fn may_hear(
    cx: &Context<'_>,
    node: &PubsubNode,
    account: &BareJid,
    roster: &Roster,
    who: &Jid,
) -> bool {
    let own = who.bare_str() == account.as_str();
    let blocked = cx.hosted.blocks() && !own && roster.blocked.blocks(who);
    !blocked && reading(node, account, roster, who) == Reading::Allowed
}

/// One event on its way to many.
struct Telling<'a, 'c> {
    cx: &'a Context<'c>,
    event: Stanza,
    told: HashSet<Jid>,
    left: usize,
}

impl Telling<'_, '_> {
    fn to(&mut self, jid: Jid) {
        if self.told.contains(&jid) {
            return;
        }
        if self.left == 0 {
            return self.cx.switchboard.limited("pubsub_notifications");
        }
        self.left -= 1;
        deliver(self.cx, &jid, self.event.with_to(&jid));
        self.told.insert(jid);
    }
}

/// A session of this domain has come, or says for the first time what it wants: the newest items of its own account, and of
/// the contacts at this domain whose presence it sees (XEP-0163 4.3.4).
pub(super) async fn session_came(cx: &Context<'_>, session: &Jid, interests: &Interests) {
    if interests.is_empty() {
        return;
    }
    let account = session.bare();
    let Ok(Some(roster)) = cx.roster(&account).await else {
        return;
    };
    last_items(cx, &account, session, interests).await;
    for contact in roster.subscriptions() {
        if contact.jid.domain() == cx.hosted.domain.as_str() {
            last_items(cx, &contact.jid, session, interests).await;
        }
    }
}

/// The newest items of an account that a session wants and may read, with the time of their publication.
pub(super) async fn last_items(
    cx: &Context<'_>,
    account: &BareJid,
    session: &Jid,
    interests: &Interests,
) {
    let (Ok(Some(nodes)), Ok(Some(roster))) = (nodes(cx, account).await, cx.roster(account).await)
    else {
        return;
    };
    for name in interests.iter() {
        if name == bookmarks::LEGACY && bookmarks::on(cx) {
            Box::pin(bookmarks::session_came(cx, account, session)).await;
            continue;
        }
        let Some(node) = nodes.get(name) else {
            continue;
        };
        if node.config.send_last == SendLast::Presence {
            last_item(cx, account, &nodes, &roster, node, session).await;
        }
    }
}

/// The newest item of a node, if there is one that may be read.
pub(super) async fn last_item(
    cx: &Context<'_>,
    account: &BareJid,
    nodes: &Nodes,
    roster: &Roster,
    node: &PubsubNode,
    to: &Jid,
) {
    let Some(last) = &node.last else { return };
    if !node.config.deliver || !may_hear(cx, node, account, roster, to) {
        return;
    }
    let payload = match &last.payload {
        Some(payload) => Some(payload.clone()),
        None => {
            let asked = ItemsAsked::Ids(vec![last.id.clone()]);
            let read = cx
                .store()
                .pubsub_items(nodes.account, node.id, &asked, 1, 1);
            match Box::pin(read).await {
                Ok(page) => page.and_then(|page| Some(page.items.into_iter().next()?.payload)),
                Err(error) => {
                    tracing::error!(account = %account, error = %error, "reading an item failed");
                    None
                }
            }
        }
    };
    let Some(payload) = payload.as_deref().and_then(element) else {
        return;
    };
    let put = [(
        last.id.clone(),
        Some(payload).filter(|_| node.config.payloads),
    )];
    let what = items(&node.name, &put, &[]);
    if let Some(message) = message(account, node, what, Some(last.at)) {
        deliver(cx, to, message.with_to(to));
    }
}

/// Sessions of an account of this domain that are available and announce what they want.
pub(super) fn sessions(cx: &Context<'_>, account: &BareJid) -> Vec<(Jid, Announced)> {
    let all = cx.switchboard.sessions(account).into_iter();
    all.filter_map(|s| Some((s.jid, caps::announced(&s.presence?)?)))
        .collect()
}

/// Sessions of the account that want to be told of a node of its own.
pub(crate) fn interested(cx: &Context<'_>, account: &BareJid, node: &str) -> Vec<Jid> {
    let all = sessions(cx, account).into_iter();
    all.filter(|(session, announced)| wants(cx, account, session, announced, node))
        .map(|(session, _)| session)
        .collect()
}

/// Tells one of the account's own sessions of an item of a node that is made up for it.
pub(crate) fn tell_one(
    cx: &Context<'_>,
    account: &BareJid,
    session: &Jid,
    node: &str,
    id: &str,
    payload: Element,
) {
    let what = items(node, &[(id.to_owned(), Some(payload))], &[]);
    if let Some(message) = notification(account, true, what, None) {
        deliver(cx, session, message.with_to(session));
    }
}

/// Whether a session wants to be told of a node. One of which that is not known is asked; it hears of the newest item then.
fn wants(
    cx: &Context<'_>,
    account: &BareJid,
    session: &Jid,
    announced: &Announced,
    node: &str,
) -> bool {
    match cx.modules.caps.interests(session, announced) {
        Some(interests) => interests.binary_search_by(|i| i.as_str().cmp(node)).is_ok(),
        None => {
            caps::ask(cx, account, session, announced);
            false
        }
    }
}

/// A stored payload; `None` if it is unreadable, which is logged.
pub(super) fn element(payload: &[u8]) -> Option<Element> {
    let text = std::str::from_utf8(payload).ok();
    let element = text.and_then(|text| Element::parse(text, "").ok());
    if element.is_none() {
        tracing::error!("a stored payload is unreadable");
    }
    element
}

/// A notification, without addressee.
fn message(
    account: &BareJid,
    node: &PubsubNode,
    what: Element,
    since: Option<Timestamp>,
) -> Option<Stanza> {
    notification(account, node.config.headline, what, since)
}

fn notification(
    account: &BareJid,
    headline: bool,
    what: Element,
    since: Option<Timestamp>,
) -> Option<Stanza> {
    let from = Jid::from(account.clone());
    let type_ = if headline { "headline" } else { "normal" };
    let message = Element::new("message", ns::CLIENT)
        .attr("from", from.as_str())
        .attr("type", type_)
        .attr("id", format!("{:016x}", rand::rng().random::<u64>()))
        .child(Element::new("event", EVENT).child(what))
        .child_opt(since.map(|since| delay(&from, since)));
    match Stanza::from_element(&message) {
        Ok(message) => Some(message),
        Err(error) => {
            tracing::error!(account = %account, error = %error, "a notification is no stanza");
            None
        }
    }
}

fn deliver(cx: &Context<'_>, to: &Jid, message: Stanza) {
    let blocks = |from| {
        let account = to.bare_str();
        cx.modules.may_be_blocked(cx.hosted, account, from)
    };
    let here = to.resource().is_some() && to.domain() == cx.hosted.domain.as_str();
    if here && !message.from().is_some_and(blocks) {
        // A session that has ended meanwhile is told nothing.
        cx.switchboard.deliver(to, message);
    } else {
        cx.send(message);
    }
}
