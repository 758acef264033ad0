//! Personal eventing: every account is a publish-subscribe service of its own, XEP-0163 version 1.2.2 on XEP-0060 version
//! 1.30.0.
//!
//! [`nodes`] what is remembered of an account's nodes and how they change, [`config`] how they behave, [`access`] who may
//! read them, [`items`] what they hold, [`subscriptions`] and [`owner`] what others and the owner do with them, [`notify`]
//! who is told, [`caps`] what clients want to be told, [`heard`] where clients elsewhere are. Private data (XEP-0223),
//! public data (XEP-0222), bookmarks (XEP-0402), what was displayed (XEP-0490), and the device lists, bundles and keys of
//! end-to-end encryption (XEP-0384, XEP-0373) are nodes like any other (E2E-02). Refuses: publishing for anybody but the
//! owner, access by the owner's case-by-case consent (`authorize`), collections, and telling strangers an account that has
//! nothing open for them from one that does not exist (ROUTE-10).

mod access;
pub(crate) mod caps;
pub(crate) mod config;
mod error;
pub(crate) mod heard;
mod items;
mod legacy;
pub(crate) mod nodes;
mod notify;
mod owner;
mod subscriptions;

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use self::access::{Reading, reading};
use self::error::{plain, refused, unsupported};
pub(crate) use self::items::put;
use self::nodes::NAME_BYTES;
pub(crate) use self::notify::{interested, tell_one};
use crate::context::{Context, Refusal, Standing};
use crate::form::{Field, Form};
use crate::hooks::is_on;
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};
use crate::switchboard::SessionView;
use crate::vcard;
use crate::{avatars, bookmarks};

/// Namespace of requests.
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Namespace of the owner's requests.
const PUBSUB_OWNER: &str = "http://jabber.org/protocol/pubsub#owner";

/// The module.
pub(crate) struct Pubsub;

/// What there is of publish-subscribe; nodes of other services are followed by the same rules.
pub(crate) const SPEC: Spec = Spec::Part(
    60,
    "1.30.0",
    "collections, access by the owner's consent, subscription options, publishers beside the owner",
);

static INFO: ModuleInfo = ModuleInfo {
    name: "pubsub",
    about: "lets accounts publish: avatars, bookmarks, keys of end-to-end encryption; tells those who want and may know",
    specs: &[
        SPEC,
        Spec::Xep(115, "1.6.0"),
        Spec::Xep(163, "1.2.2"),
        Spec::Xep(222, "1.0"),
        Spec::Xep(223, "1.1.1"),
    ],
    switchable: true,
    iq: &[
        IqDoor {
            ns: PUBSUB,
            name: "pubsub",
            types: IqTypes::Both,
            at_server: false,
            at_account: Audience::Anyone,
            of_sessions: false,
        },
        IqDoor {
            ns: PUBSUB_OWNER,
            name: "pubsub",
            types: IqTypes::Both,
            at_server: false,
            at_account: Audience::Anyone,
            of_sessions: false,
        },
    ],
    hooks: Hooks::PRESENCE_OUTBOUND
        .and(Hooks::PRESENCE_INBOUND)
        .and(Hooks::SESSION_AVAILABLE)
        .and(Hooks::IQ_ANSWERED)
        .and(Hooks::DISCO),
    server_features: &[],
    account_features: &[
        PUBSUB,
        "http://jabber.org/protocol/pubsub#access-open",
        "http://jabber.org/protocol/pubsub#access-presence",
        "http://jabber.org/protocol/pubsub#access-roster",
        "http://jabber.org/protocol/pubsub#access-whitelist",
        "http://jabber.org/protocol/pubsub#auto-create",
        "http://jabber.org/protocol/pubsub#auto-subscribe",
        "http://jabber.org/protocol/pubsub#config-node",
        "http://jabber.org/protocol/pubsub#config-node-max",
        "http://jabber.org/protocol/pubsub#create-and-configure",
        "http://jabber.org/protocol/pubsub#create-nodes",
        "http://jabber.org/protocol/pubsub#delete-items",
        "http://jabber.org/protocol/pubsub#delete-nodes",
        "http://jabber.org/protocol/pubsub#filtered-notifications",
        "http://jabber.org/protocol/pubsub#item-ids",
        "http://jabber.org/protocol/pubsub#last-published",
        "http://jabber.org/protocol/pubsub#member-affiliation",
        "http://jabber.org/protocol/pubsub#meta-data",
        "http://jabber.org/protocol/pubsub#modify-affiliations",
        "http://jabber.org/protocol/pubsub#multi-items",
        "http://jabber.org/protocol/pubsub#outcast-affiliation",
        "http://jabber.org/protocol/pubsub#persistent-items",
        "http://jabber.org/protocol/pubsub#presence-subscribe",
        "http://jabber.org/protocol/pubsub#publish",
        "http://jabber.org/protocol/pubsub#publish-options",
        "http://jabber.org/protocol/pubsub#purge-nodes",
        "http://jabber.org/protocol/pubsub#retrieve-affiliations",
        "http://jabber.org/protocol/pubsub#retrieve-default",
        "http://jabber.org/protocol/pubsub#retrieve-items",
        "http://jabber.org/protocol/pubsub#retrieve-subscriptions",
        "http://jabber.org/protocol/pubsub#rsm",
        "http://jabber.org/protocol/pubsub#subscribe",
    ],
    account_identities: &[("pubsub", "pep")],
    stream_features: &[],
};

#[async_trait]
impl Module for Pubsub {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let payload = ask.iq.payload();
        let payload = payload.map_err(|_| Refusal::from(Condition::BadRequest))?;
        let Some(request) = payload.children().next() else {
            return Err(Condition::BadRequest.into());
        };
        let old_bookmarks = action(request).filter(|action| legacy::meant(cx, action));
        if ask.standing == Standing::Owner {
            return match old_bookmarks {
                Some(action) => Box::pin(legacy::asked(cx, ask, request, action)).await,
                None => by_owner(cx, ask, request).await,
            };
        }
        let outcome = match old_bookmarks {
            Some(action) => Box::pin(legacy::asked(cx, ask, request, action)).await,
            None => by_other(cx, ask, request).await,
        };
        // Who hears that a node has too many subscribers may read it, and knows of the account by that.
        let hidden = |why: &Refusal| why.condition() != Condition::PolicyViolation;
        if outcome.as_ref().is_err_and(hidden) && is_stranger(cx, ask).await? {
            // The same for what is closed, what is not there, and accounts that are not there (ROUTE-10).
            return Err(Condition::ServiceUnavailable.into());
        }
        outcome
    }

    /// A contact was let in: what it may see from now on.
    async fn presence_outbound(&self, cx: &Context<'_>, presence: &Stanza) {
        if presence.type_() == StanzaType::Subscribed
            && let (Some(from), Some(to)) = (presence.from(), presence.to())
        {
            let_in(cx, &from.bare(), &to.bare()).await;
        }
    }

    /// A contact at another domain has come, or says that it wants something else now (XEP-0163 4.3.4). Those of this domain
    /// are seen by [`Module::session_available`].
    async fn presence_inbound(&self, cx: &Context<'_>, presence: &Stanza) {
        let (Some(from), Some(to)) = (presence.from(), presence.to()) else {
            return;
        };
        let account = to.bare();
        if presence.type_() == StanzaType::Subscribe {
            // Let in at once, if it was approved in advance.
            return let_in(cx, &account, &from.bare()).await;
        }
        if from.domain() == cx.hosted.domain.as_str() || !to.is_bare() {
            return;
        }
        match presence.type_() {
            StanzaType::Unavailable => cx.modules.heard.went(&account, from),
            StanzaType::Available if from.resource().is_some() => {
                if let Some(announced) = caps::announced(presence) {
                    contact_came(cx, &account, from, announced).await;
                }
            }
            _ => {}
        }
    }

    async fn session_available(&self, cx: &Context<'_>, now: &SessionView, before: &SessionView) {
        let Some(announced) = now.presence.as_ref().and_then(caps::announced) else {
            return;
        };
        // Later presence that announces the same is no reason to repeat anything (XEP-0163 4.3.3, note).
        if before.presence.as_ref().and_then(caps::announced).as_ref() == Some(&announced) {
            return;
        }
        match cx.modules.caps.interests(&now.jid, &announced) {
            Some(interests) => notify::session_came(cx, &now.jid, &interests).await,
            None => caps::ask(cx, &now.jid.bare(), &now.jid, &announced),
        }
    }

    async fn iq_answered(&self, cx: &Context<'_>, iq: &Stanza) {
        let Some(learned) = caps::answered(cx, iq) else {
            return;
        };
        for (account, entity) in &learned.who {
            if entity.domain() == cx.hosted.domain.as_str() {
                notify::session_came(cx, entity, &learned.interests).await;
            } else {
                notify::last_items(cx, account, entity, &learned.interests).await;
            }
        }
    }

    async fn disco_items(
        &self,
        cx: &Context<'_>,
        ask: &Ask<'_>,
        node: Option<&str>,
    ) -> Result<Option<Vec<Element>>, Refusal> {
        let Some(from) = ask.iq.from() else {
            return Ok(None);
        };
        let (Some(nodes), Some(roster)) = (
            nodes::nodes(cx, ask.account).await?,
            cx.roster(ask.account).await?,
        ) else {
            return Ok(None);
        };
        let may =
            |n: &store::PubsubNode| reading(n, ask.account, &roster, from) == Reading::Allowed;
        let Some(node) = node else {
            let item = |n: &std::sync::Arc<store::PubsubNode>| {
                Element::new("item", ns::DISCO_ITEMS)
                    .attr("jid", ask.account.as_str())
                    .attr("node", n.name.as_str())
                    .attr_opt(
                        "name",
                        Some(n.config.title.as_str()).filter(|t| !t.is_empty()),
                    )
            };
            return Ok(Some(nodes.iter().filter(|n| may(n)).map(item).collect()));
        };
        match nodes.get(node).filter(|n| may(n)) {
            Some(node) => items::names(cx, ask.account, &nodes, node).await.map(Some),
            None => Ok(None),
        }
    }

    /// A node of the account (XEP-0060 5.3, 5.4).
    async fn disco_node(
        &self,
        cx: &Context<'_>,
        ask: &Ask<'_>,
        node: &str,
    ) -> Result<Option<Vec<Element>>, Refusal> {
        let Some(from) = ask.iq.from() else {
            return Ok(None);
        };
        let (Some(nodes), Some(roster)) = (
            nodes::nodes(cx, ask.account).await?,
            cx.roster(ask.account).await?,
        ) else {
            return Ok(None);
        };
        let may =
            |n: &store::PubsubNode| reading(n, ask.account, &roster, from) == Reading::Allowed;
        let Some(node) = nodes.get(node).filter(|n| may(n)) else {
            return Ok(None);
        };
        let identity = Element::new("identity", ns::DISCO_INFO)
            .attr("category", "pubsub")
            .attr("type", "leaf");
        let feature = Element::new("feature", ns::DISCO_INFO).attr("var", PUBSUB);
        let field = |var, kind, value: &str| Field::new(var, kind).value(value);
        let config = &node.config;
        let about = Form::result("http://jabber.org/protocol/pubsub#meta-data")
            .field(field("pubsub#title", "text-single", &config.title))
            .field(field(
                "pubsub#description",
                "text-single",
                &config.description,
            ))
            .field(field("pubsub#type", "text-single", &config.payload_type))
            .field(field("pubsub#owner", "jid-multi", ask.account.as_str()))
            .field(field(
                "pubsub#access_model",
                "list-single",
                config::access_name(config.access),
            ))
            .into_element();
        Ok(Some(vec![identity, feature, about]))
    }
}

/// What a contact that sees the account's presence from now on may know.
async fn let_in(cx: &Context<'_>, account: &BareJid, contact: &BareJid) {
    let Ok(Some(roster)) = cx.roster(account).await else {
        return;
    };
    let item = roster.get(contact.as_str());
    if !item.is_some_and(|item| item.subscription.seen_by_contact()) {
        return;
    }
    let there = if contact.domain() == cx.hosted.domain.as_str() {
        notify::sessions(cx, contact)
    } else {
        cx.modules.heard.sessions(account, contact).to_vec()
    };
    for (session, announced) in there {
        if let Some(interests) = cx.modules.caps.interests(&session, &announced) {
            notify::last_items(cx, account, &session, &interests).await;
        }
    }
}

/// A session of a contact at another domain.
async fn contact_came(
    cx: &Context<'_>,
    account: &BareJid,
    session: &Jid,
    announced: caps::Announced,
) {
    let Ok(Some(roster)) = cx.roster(account).await else {
        return;
    };
    // Whoever is not in the roster is not remembered: otherwise strangers could fill the memory.
    if roster.get(session.bare_str()).is_none() {
        return;
    }
    let before = cx.modules.heard.came(account, session, announced.clone());
    if before.as_ref() == Some(&announced) {
        return;
    }
    // Where there is nothing to tell, nothing is asked.
    match nodes::nodes(cx, account).await {
        Ok(Some(nodes)) if !nodes.is_empty() => {}
        _ => return,
    }
    match cx.modules.caps.interests(session, &announced) {
        Some(interests) => notify::last_items(cx, account, session, &interests).await,
        None => caps::ask(cx, account, session, &announced),
    }
}

/// Whether the account has nothing to do with the asker.
async fn is_stranger(cx: &Context<'_>, ask: &Ask<'_>) -> Result<bool, Refusal> {
    let Some(from) = ask.iq.from() else {
        return Ok(true);
    };
    let standing = crate::hooks::standing(cx, ask.account, from).await?;
    Ok(standing == Standing::Stranger)
}

/// What the owner asks for.
async fn by_owner(cx: &Context<'_>, ask: &Ask<'_>, pubsub: &Element) -> Result<Answer, Refusal> {
    let account = ask.account;
    let set = ask.iq.type_() == StanzaType::Set;
    let owner = pubsub.ns() == PUBSUB_OWNER;
    let Some(request) = action(pubsub) else {
        return Err(plain(Condition::BadRequest, "the request asks for nothing"));
    };
    let wrapped = |payload| Answer::Payload(Element::new("pubsub", PUBSUB_OWNER).child(payload));
    let empty = |()| Answer::Empty;
    match (owner, set, request.name()) {
        (false, true, "publish") => items::publish(cx, account, pubsub, request)
            .await
            .map(Answer::Payload),
        (false, true, "retract") => items::retract(cx, account, request).await.map(empty),
        (false, true, "create") => owner::create(cx, account, pubsub, request).await.map(empty),
        (true, true, "configure") => owner::configure(cx, account, request).await.map(empty),
        (true, true, "delete") => owner::delete(cx, account, request).await.map(empty),
        (true, true, "purge") => items::purge(cx, account, &node_of(request)?)
            .await
            .map(empty),
        (true, true, "affiliations" | "subscriptions") => {
            owner::change_people(cx, account, request).await.map(empty)
        }
        (true, false, "configure" | "default") => owner::configuration(cx, account, request)
            .await
            .map(wrapped),
        (true, false, "affiliations" | "subscriptions") => {
            owner::people(cx, account, request).await.map(wrapped)
        }
        (false, ..) => by_other(cx, ask, pubsub).await,
        _ => Err(unsupported(feature(request.name()))),
    }
}

/// What others may ask for, and the owner as well.
async fn by_other(cx: &Context<'_>, ask: &Ask<'_>, pubsub: &Element) -> Result<Answer, Refusal> {
    let (account, from) = (ask.account, ask.iq.from());
    let from = from.ok_or(Condition::BadRequest)?;
    let set = ask.iq.type_() == StanzaType::Set;
    let Some(request) = action(pubsub) else {
        return Err(plain(Condition::BadRequest, "the request asks for nothing"));
    };
    if pubsub.ns() == PUBSUB_OWNER {
        return Err(Condition::Forbidden.into());
    }
    match (set, request.name()) {
        (true, "subscribe") => subscriptions::subscribe(cx, account, from, request)
            .await
            .map(Answer::Payload),
        (true, "unsubscribe") => subscriptions::unsubscribe(cx, account, from, request)
            .await
            .map(|()| Answer::Empty),
        (true, "publish" | "retract" | "create") => Err(Condition::Forbidden.into()),
        (false, "items") => {
            let name = node_of(request)?;
            let (Some(nodes), Some(roster)) =
                (nodes::nodes(cx, account).await?, cx.roster(account).await?)
            else {
                return Err(Condition::ItemNotFound.into());
            };
            if name == vcard::NODE && nodes.get(&name).is_none() && vcard::on(cx) {
                return vcard::as_item(cx, account, from).await;
            }
            let node = nodes.get(&name).ok_or(Condition::ItemNotFound)?;
            reading(node, account, &roster, from).or_refuse()?;
            items::retrieve(cx, account, &nodes, node, pubsub, request)
                .await
                .map(Answer::Payload)
        }
        (false, "subscriptions" | "affiliations") => {
            let nodes = nodes::nodes(cx, account)
                .await?
                .ok_or(Condition::ItemNotFound)?;
            let node = request.get_attr("node");
            let mine = if request.name() == "subscriptions" {
                subscriptions::own(&nodes, from, node)
            } else {
                affiliations(&nodes, account, from, node)
            };
            // An account that has nothing to do with the asker is like none.
            if mine.children().next().is_none() && is_stranger(cx, ask).await? {
                return Err(Condition::ServiceUnavailable.into());
            }
            let mine = Element::new("pubsub", PUBSUB).child(mine);
            Ok(Answer::Payload(mine))
        }
        _ => Err(unsupported(feature(request.name()))),
    }
}

/// Whether the domain has it.
pub(crate) fn on(cx: &Context<'_>) -> bool {
    is_on(cx.hosted, &INFO)
}

/// Whether somebody may read a node.
pub(crate) fn may_read(
    node: &store::PubsubNode,
    account: &BareJid,
    roster: &crate::roster::Roster,
    who: &Jid,
) -> bool {
    reading(node, account, roster, who) == Reading::Allowed
}

/// A node has changed: whoever shows the same in another form does so from now on. The caller holds the account's turn.
pub(crate) async fn after(cx: &Context<'_>, account: &BareJid, node: &str) {
    if node == bookmarks::NATIVE && bookmarks::on(cx) {
        Box::pin(bookmarks::told(cx, account)).await;
    }
    if avatars::is_node(node) && avatars::on(cx) {
        Box::pin(avatars::changed(cx, account)).await;
    }
}

/// How a node is made for which nothing is said (XEP-0163 5).
fn defaults(cx: &Context<'_>, node: &str) -> store::NodeConfig {
    match node {
        bookmarks::NATIVE if bookmarks::on(cx) => bookmarks::config(),
        _ => store::NodeConfig::default(),
    }
}

/// The asker's affiliations, with all nodes or with one (XEP-0060 5.7).
fn affiliations(
    nodes: &nodes::Nodes,
    account: &BareJid,
    from: &Jid,
    node: Option<&str>,
) -> Element {
    let mine = nodes
        .iter()
        .filter(|n| node.is_none_or(|name| name == n.name))
        .map(|n| (n, access::affiliation(n, account, from)))
        .filter(|(_, affiliation)| *affiliation != "none")
        .map(|(n, affiliation)| access::own_affiliation(n, affiliation));
    Element::new("affiliations", PUBSUB)
        .attr_opt("node", node)
        .children_from(mine)
}

/// What a request asks for: its first child that is not something said in addition.
fn action(pubsub: &Element) -> Option<&Element> {
    let ns = pubsub.ns();
    pubsub.children().find(|c| {
        c.ns() == ns && !(ns == PUBSUB && matches!(c.name(), "publish-options" | "configure"))
    })
}

/// Name of the feature (XEP-0060 10) that a request would need.
fn feature(request: &str) -> &'static str {
    match request {
        "options" => "subscription-options",
        "default" => "retrieve-default-sub",
        _ => "unknown",
    }
}

/// The node that a request is about.
fn node_of(request: &Element) -> Result<String, Refusal> {
    match request.get_attr("node").filter(|node| !node.is_empty()) {
        Some(node) if node.len() > NAME_BYTES => {
            let text = format!("a node's name has at most {NAME_BYTES} bytes");
            Err(plain(Condition::NotAcceptable, text))
        }
        Some(node) => Ok(node.to_owned()),
        None => {
            let text = "a request names its node";
            Err(refused(Condition::BadRequest, "nodeid-required", text))
        }
    }
}

#[cfg(test)]
mod tests;
