//! Nodes in the file: configuration and people as their owner sees them (XEP-0227 4.9), read leniently.
//!
//! Options that we do not have are left out, with one exception: who may read a node is never taken to be more than the file
//! says. An access model that we do not know closes the node.

use store::{Access, NodeConfig, NodePeople, PubsubNode};
use xmpp::element::Element;
use xmpp::jid::Jid;

use super::reader::PUBSUB_OWNER;
use crate::form::{DATA, Form, Submitted};
use crate::memory::PubsubLimits;
use crate::pubsub::config;

const ACCESS: &str = "pubsub#access_model";

/// `<configure/>`, `<affiliations/>` and `<subscriptions/>` of a node, as far as there is anything to say.
pub(super) fn written(node: &PubsubNode, limits: &PubsubLimits) -> Vec<Element> {
    let form = config::shown(&node.config, Form::asking(config::NODE_CONFIG), limits);
    let named = |name: &str| Element::new(name, PUBSUB_OWNER).attr("node", node.name.as_str());
    let mut out = vec![named("configure").child(form)];
    let people = &node.people;
    let of = |jids: &[String], affiliation: &'static str| {
        let one = |jid: &String| {
            Element::new("affiliation", PUBSUB_OWNER)
                .attr("jid", jid.as_str())
                .attr("affiliation", affiliation)
        };
        jids.iter().map(one).collect::<Vec<_>>()
    };
    let (members, outcasts) = (
        of(&people.members, "member"),
        of(&people.outcasts, "outcast"),
    );
    if !members.is_empty() || !outcasts.is_empty() {
        let list = named("affiliations")
            .children_from(members)
            .children_from(outcasts);
        out.push(list);
    }
    if !people.subscribers.is_empty() {
        let one = |jid: &String| {
            Element::new("subscription", PUBSUB_OWNER)
                .attr("jid", jid.as_str())
                .attr("subscription", "subscribed")
        };
        out.push(named("subscriptions").children_from(people.subscribers.iter().map(one)));
    }
    out
}

/// The configuration that a form describes, on top of `base`; and which options were left out.
pub(super) fn configured(
    base: NodeConfig,
    configure: &Element,
    limits: &PubsubLimits,
) -> (NodeConfig, Vec<String>) {
    let mut answer = Element::new("configure", PUBSUB_OWNER);
    if let Some(x) = configure.find("x", DATA) {
        // Files have both kinds of form.
        answer.push(x.clone().attr("type", "submit"));
    }
    let (mut config, mut left_out) = (base, Vec::new());
    let Some(form) = Submitted::within(&answer) else {
        return (config, left_out);
    };
    for var in form.names() {
        match config::applied_one(&config, var, &form, limits) {
            Ok(next) => config = next,
            Err(_) if var == ACCESS => {
                config.access = Access::Whitelist;
                left_out.push(var.to_owned());
            }
            Err(_) if form.values(var).is_empty() => {}
            // More items than we keep: as many as we do.
            Err(_) if var == "pubsub#max_items" => config.max_items = None,
            Err(_) => left_out.push(var.to_owned()),
        }
    }
    (config, left_out)
}

/// Puts who is what into `people`, at most `most` of each kind; how many did not fit or make no sense.
pub(super) fn peopled(people: &mut NodePeople, list: &Element, most: usize) -> u64 {
    let mut lost = 0;
    for entry in list.children() {
        let jid = entry.get_attr("jid").and_then(|jid| Jid::parse(jid).ok());
        // COMPAT: Prosody writes subscribed='subscribed' in place of subscription='subscribed'.
        let subscription = entry
            .get_attr("subscription")
            .or(entry.get_attr("subscribed"));
        let what = entry.get_attr("affiliation").or(subscription);
        let (Some(jid), Some(what)) = (jid, what) else {
            lost += 1;
            continue;
        };
        let (into, jid) = match what {
            "member" => (&mut people.members, jid.bare_str().to_owned()),
            "outcast" => (&mut people.outcasts, jid.bare_str().to_owned()),
            "subscribed" => (&mut people.subscribers, jid.as_str().to_owned()),
            // The account itself, and those who are nothing.
            "owner" | "none" => continue,
            _ => {
                lost += 1;
                continue;
            }
        };
        if into.contains(&jid) {
            continue;
        }
        if into.len() >= most {
            lost += 1;
            continue;
        }
        into.push(jid);
        into.sort();
    }
    lost
}
