//! Service Discovery, XEP-0030 version 2.5.0, with contact addresses of XEP-0157 version 1.1.1, and the server's own entity
//! capabilities of XEP-0115 version 1.6.0, section 6.3: a hash of the answer in the stream features, so that clients need not ask.
//!
//! Answers for the domain and for accounts; what is announced comes from the cards of the modules that the domain has on.
//! Strangers and those who ask for accounts that do not exist get the same: `<service-unavailable/>` for info, an empty list
//! of items (EXT-01, XEP-0030 8). Refuses: listing sessions, which are nobody's business but the subscribers', who know
//! them from presence.

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza};

use crate::commands;
use crate::context::{Contact, Context, Hosted, Refusal, Standing};
use crate::data_policy::{self, Of};
use crate::delegation;
use crate::form::{Field, Form};
use crate::hooks::{self, modules_of, services_of};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};
use crate::outages;
use crate::pubsub::caps::verification;

/// The module.
pub(crate) struct Disco;

static INFO: ModuleInfo = ModuleInfo {
    name: "disco",
    about: "says what the domain and its accounts can do, and whom to write to about it",
    specs: &[Spec::Xep(30, "2.5.0"), Spec::Xep(157, "1.1.1")],
    switchable: false,
    iq: &[
        IqDoor {
            ns: ns::DISCO_INFO,
            name: "query",
            types: IqTypes::Get,
            at_server: true,
            at_account: Audience::Entitled,
            of_sessions: false,
        },
        IqDoor {
            ns: ns::DISCO_ITEMS,
            name: "query",
            types: IqTypes::Get,
            at_server: true,
            at_account: Audience::Anyone,
            of_sessions: false,
        },
    ],
    hooks: Hooks::NONE,
    server_features: &[ns::DISCO_INFO, ns::DISCO_ITEMS],
    account_features: &[ns::DISCO_INFO, ns::DISCO_ITEMS],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Disco {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_server(&self, cx: &Context<'_>, iq: &Stanza) -> Result<Answer, Refusal> {
        let (query_ns, node) = asked(iq)?;
        let known = |node: &str| {
            let ver = node
                .strip_prefix(NODE)
                .and_then(|rest| rest.strip_prefix('#'));
            let told = cx.hosted.stream_features();
            let hash = told.iter().find(|feature| feature.is("c", ns::CAPS));
            query_ns == ns::DISCO_INFO
                && ver.is_some()
                && ver == hash.and_then(|hash| hash.get_attr("ver"))
        };
        let on = |name| modules_of(cx.hosted).any(|m| m.info().name == name);
        match node.as_deref() {
            Some(commands::COMMANDS) if query_ns == ns::DISCO_ITEMS && on("commands") => {
                let items = commands::items(cx, iq);
                return Ok(Answer::Payload(
                    Element::new("query", ns::DISCO_ITEMS)
                        .attr("node", commands::COMMANDS)
                        .children_from(items),
                ));
            }
            Some(node) if known(node) => {}
            Some(node) if query_ns == ns::DISCO_INFO && on("commands") => {
                let info = commands::info(cx, iq, node).ok_or(Condition::ItemNotFound)?;
                return Ok(Answer::Payload(info));
            }
            Some(_) => return Err(Condition::ItemNotFound.into()),
            None => {}
        }
        if query_ns == ns::DISCO_ITEMS {
            let services = services_of(cx.hosted).map(|service| {
                Element::new("item", ns::DISCO_ITEMS)
                    .attr("jid", format!("{}.{}", service.label, cx.hosted.domain))
                    .attr("name", service.about)
            });
            let components = cx.hosted.settings.components.iter();
            let components = components
                .map(|label| format!("{label}.{}", cx.hosted.domain))
                .filter(|name| cx.switchboard.is_component(name))
                .map(|name| Element::new("item", ns::DISCO_ITEMS).attr("jid", name));
            let items = Element::new("query", ns::DISCO_ITEMS).children_from(services);
            let items = items.children_from(components);
            return Ok(Answer::Payload(items));
        }
        let mut info = of_domain(cx.hosted);
        if let Some(node) = node {
            info.set_attr("node", node);
        }
        Ok(Answer::Payload(info))
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let (query_ns, node) = asked(ask.iq)?;
        if query_ns == ns::DISCO_ITEMS {
            let found = hooks::disco_items(cx, ask, node.as_deref()).await?;
            let open = node.is_none() || found.is_none();
            if open && delegation::remaining(cx, ask.iq, delegation::REMAINING_ITEMS) {
                return Ok(Answer::Sent);
            }
            if found.is_none() && node.is_some() && ask.standing == Standing::Owner {
                return Err(Condition::ItemNotFound.into());
            }
            return Ok(Answer::Payload(
                Element::new("query", ns::DISCO_ITEMS)
                    .attr_opt("node", node)
                    .children_from(found.unwrap_or_default()),
            ));
        }
        if let Some(node) = node {
            let found = hooks::disco_node(cx, ask, &node).await?;
            if found.is_none() && delegation::remaining(cx, ask.iq, delegation::REMAINING_INFO) {
                return Ok(Answer::Sent);
            }
            let found = found.ok_or(Condition::ItemNotFound)?;
            return Ok(Answer::Payload(
                Element::new("query", ns::DISCO_INFO)
                    .attr("node", node)
                    .children_from(found),
            ));
        }
        let features = modules_of(cx.hosted).flat_map(|m| m.info().account_features);
        let mut answer = info("account", "registered", None, features);
        for (category, type_) in modules_of(cx.hosted).flat_map(|m| m.info().account_identities) {
            answer.push(identity(category, type_, None));
        }
        Ok(Answer::Payload(answer))
    }
}

/// What the hash is of, to clients.
const NODE: &str = "urn:x-domicile:server";

/// What the domain is.
fn of_domain(hosted: &Hosted) -> Element {
    let features = modules_of(hosted).flat_map(|m| m.info().server_features);
    let mut info = info("server", "im", Some("Domicile"), features);
    if let Some(form) = contact_form(&hosted.settings.contacts) {
        info.push(form);
    }
    let forms = [outages::form(hosted), data_policy::form(hosted, Of::Domain)];
    info.children_from(forms.into_iter().flatten())
}

/// The hash of what the domain is (EXT-02), for its stream features.
pub(crate) fn capabilities(hosted: &Hosted) -> Option<Element> {
    let ver = verification(&of_domain(hosted))?;
    Some(
        Element::new("c", ns::CAPS)
            .attr("hash", "sha-1")
            .attr("node", NODE)
            .attr("ver", ver),
    )
}

/// Namespace of the query, and its node if it has one.
fn asked(iq: &Stanza) -> Result<(String, Option<String>), Refusal> {
    let payload = iq
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let query = payload.children().next().ok_or(Condition::BadRequest)?;
    let node = query.get_attr("node").filter(|node| !node.is_empty());
    Ok((query.ns().to_owned(), node.map(str::to_owned)))
}

fn info<'a>(
    category: &str,
    type_: &str,
    name: Option<&str>,
    features: impl Iterator<Item = &'a &'static str>,
) -> Element {
    let mut features: Vec<&str> = features.copied().collect();
    features.sort_unstable();
    features.dedup();
    Element::new("query", ns::DISCO_INFO)
        .child(identity(category, type_, name))
        .children_from(
            features
                .into_iter()
                .map(|var| Element::new("feature", ns::DISCO_INFO).attr("var", var)),
        )
}

fn identity(category: &str, type_: &str, name: Option<&str>) -> Element {
    Element::new("identity", ns::DISCO_INFO)
        .attr("category", category)
        .attr("type", type_)
        .attr_opt("name", name)
}

const SERVER_INFO: &str = "http://jabber.org/network/serverinfo";

/// XEP-0157 3.
fn contact_form(contacts: &[Contact]) -> Option<Element> {
    if contacts.is_empty() {
        return None;
    }
    let fields = contacts.iter().map(|contact| {
        let field = Field::new(&format!("{}-addresses", contact.role), "list-multi");
        contact.addresses.iter().fold(field, |f, uri| f.value(uri))
    });
    let form = fields.fold(Form::result(SERVER_INFO), Form::field);
    Some(form.into_element())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::House;

    const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    const ITEMS: &str = "<query xmlns='http://jabber.org/protocol/disco#items'/>";

    #[tokio::test]
    async fn ext_01_the_domain_is_a_server_with_features() {
        let house = House::new().await;
        house
            .iq_from("peer.example", "get", "one.example", INFO)
            .await;
        let answer = house.take_sent();
        for part in [
            "<identity category='server' type='im' name='Domicile'/>",
            "<feature var='http://jabber.org/protocol/disco#info'/>",
            "<feature var='urn:xmpp:ping'/>",
            "<feature var='msgoffline'/>",
        ] {
            assert!(answer.contains(part), "{part} in {answer}");
        }
        // Nobody has said where they are to be reached (XEP-0157).
        assert!(!answer.contains(SERVER_INFO));
        house
            .iq_from("peer.example", "get", "one.example", ITEMS)
            .await;
        house.sent(
            "<iq from='one.example' to='peer.example' type='result' id='q'>\
             <query xmlns='http://jabber.org/protocol/disco#items'>\
             <item jid='rooms.one.example' name='group chats'/>\
             <item jid='upload.one.example' name='files that people share'/></query></iq>",
        );
    }

    #[tokio::test]
    async fn ext_02_the_hash_is_that_of_the_answer_and_its_node_is_answered() {
        let mut house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        let ver = |house: &House| {
            let features = house.context("one.example").hosted.stream_features();
            let caps = features
                .iter()
                .find(|f| f.is("c", ns::CAPS))
                .expect("a hash");
            assert_eq!(caps.get_attr("hash"), Some("sha-1"));
            caps.get_attr("ver").expect("one").to_owned()
        };
        let before = ver(&house);
        let asked = format!(
            "<query xmlns='http://jabber.org/protocol/disco#info' node='{NODE}#{before}'/>"
        );
        house.iq(&alice, "get", Some("one.example"), &asked).await;
        assert!(
            house
                .take(&alice)
                .contains("<feature var='urn:xmpp:ping'/>")
        );
        house.settings(|s| s.off = vec!["time".into()]);
        assert_ne!(ver(&house), before);
        house.iq(&alice, "get", Some("one.example"), &asked).await;
        house.got_error(&alice, "item-not-found");
    }

    #[tokio::test]
    async fn ext_01_what_is_off_is_not_announced() {
        let mut house = House::new().await;
        house.settings(|s| s.off = vec!["offline".into(), "disco".into()]);
        house
            .iq_from("peer.example", "get", "one.example", INFO)
            .await;
        assert!(!house.take_sent().contains("msgoffline"));
    }

    #[tokio::test]
    async fn ext_32_contact_addresses() {
        let mut house = House::new().await;
        house.settings(|s| {
            s.contacts = vec![Contact {
                role: "abuse".into(),
                addresses: vec!["mailto:abuse@one.example".into()],
            }];
        });
        house
            .iq_from("peer.example", "get", "one.example", INFO)
            .await;
        let answer = house.take_sent();
        assert!(
            answer.contains(
                "<field var='abuse-addresses' type='list-multi'><value>mailto:abuse@one.example</value></field>"
            ),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn ext_01_accounts_answer_owner_and_entitled_only() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        house
            .iq(&alice, "get", Some("alice@one.example"), INFO)
            .await;
        let answer = house.take(&alice);
        assert!(
            answer.contains("<identity category='account' type='registered'/>"),
            "{answer}"
        );
        for account in ["alice@one.example", "nobody@one.example"] {
            house
                .iq_from("romeo@peer.example/x", "get", account, INFO)
                .await;
            house.sent_error(account, "service-unavailable");
            house
                .iq_from("romeo@peer.example/x", "get", account, ITEMS)
                .await;
            assert!(house.take_sent().contains(
                "type='result' id='q'><query xmlns='http://jabber.org/protocol/disco#items'/>"
            ));
        }
        house.item("alice", "romeo@peer.example", "both").await;
        house
            .iq_from("romeo@peer.example/x", "get", "alice@one.example", INFO)
            .await;
        assert!(house.take_sent().contains("registered"));
    }

    #[tokio::test]
    async fn a_node_that_is_not_there_is_not_found() {
        let house = House::new().await;
        let query = "<query xmlns='http://jabber.org/protocol/disco#info' node='x'/>";
        house
            .iq_from("peer.example", "get", "one.example", query)
            .await;
        house.sent_error("one.example", "item-not-found");
    }
}
