//! Whom somebody blocks, between XEP-0191 and the privacy lists of XEP-0016, in which the format keeps it.

use xmpp::element::Element;
use xmpp::jid::Jid;

use crate::blocking::BlockList;

pub(super) const PRIVACY: &str = "jabber:iq:privacy";
pub(super) const BLOCKING: &str = "urn:xmpp:blocking";

/// A default list that denies each of the addresses everything, and allows the rest.
pub(super) fn as_privacy(list: &BlockList) -> Element {
    let deny = |(order, jid): (usize, &Jid)| {
        Element::new("item", PRIVACY)
            .attr("type", "jid")
            .attr("value", jid.as_str())
            .attr("action", "deny")
            .attr("order", (order + 1).to_string())
    };
    let rest = Element::new("item", PRIVACY)
        .attr("action", "allow")
        .attr("order", (list.len() + 1).to_string());
    let items = Element::new("list", PRIVACY)
        .attr("name", "blocked")
        .children_from(list.iter().enumerate().map(deny))
        .child(rest);
    Element::new("query", PRIVACY)
        .child(Element::new("default", PRIVACY).attr("name", "blocked"))
        .child(items)
}

/// Addresses that the default list denies everything, and what of the lists has no counterpart here.
pub(super) fn of_privacy(query: &Element) -> (Vec<Jid>, Vec<String>) {
    let default = query.find("default", PRIVACY);
    let default = default.and_then(|d| d.get_attr("name"));
    let (mut jids, mut lost) = (Vec::new(), Vec::new());
    for list in query.children().filter(|child| child.is("list", PRIVACY)) {
        let name = list.get_attr("name").unwrap_or_default();
        if Some(name) != default {
            lost.push(format!("privacy list \"{name}\""));
            continue;
        }
        for item in list.children().filter(|child| child.is("item", PRIVACY)) {
            let deny = item.get_attr("action") == Some("deny");
            let whole = item.children().next().is_none();
            let value = item.get_attr("value").unwrap_or_default();
            let jid = Jid::parse(value).ok();
            let by_jid = item.get_attr("type") == Some("jid");
            match jid.filter(|_| deny && whole && by_jid) {
                Some(jid) => jids.push(jid),
                // Allowing everybody else is what happens anyway.
                None if !deny && item.get_attr("type").is_none() => {}
                None => lost.push(format!("item of privacy list \"{name}\"")),
            }
        }
    }
    (jids, lost)
}

/// Addresses of `<blocklist/>`, as some servers write it.
pub(super) fn of_blocklist(list: &Element) -> Vec<Jid> {
    let items = list.children().filter(|child| child.is("item", BLOCKING));
    let jids = items.filter_map(|item| Jid::parse(item.get_attr("jid")?).ok());
    jids.collect()
}
