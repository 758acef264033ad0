//! Who may read a node (XEP-0060 4.1, 4.5), and who has a special relation to it.
//!
//! Only the owner publishes and configures, so that what a node says is what its account said (E2E-09); the owner cannot
//! give that away. Refuses: telling strangers an account that has nothing open for them from one that does not exist
//! (ROUTE-10): their refusals are all the same, made where requests come in.

use store::{Access, NodePeople, PubsubNode};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::Condition;

use super::error::{plain, refused, unsupported};
use super::{PUBSUB, PUBSUB_OWNER};
use crate::context::Refusal;
use crate::roster::Roster;

/// Whether somebody may read, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Allowed,
    NeedsPresence,
    NotInGroup,
    Closed,
    Outcast,
}

/// Judged by the roster and the lists of this moment, so that a change of either holds from the next look on (EXT-04).
pub(super) fn reading(node: &PubsubNode, owner: &BareJid, roster: &Roster, who: &Jid) -> Reading {
    let bare = who.bare_str();
    if bare == owner.as_str() {
        return Reading::Allowed;
    }
    let has = |list: &[String]| list.binary_search_by(|jid| jid.as_str().cmp(bare)).is_ok();
    if has(&node.people.outcasts) {
        return Reading::Outcast;
    }
    if has(&node.people.members) || node.config.access == Access::Open {
        return Reading::Allowed;
    }
    let subscriber = roster
        .get(bare)
        .filter(|item| item.subscription.seen_by_contact());
    match (node.config.access, subscriber) {
        (Access::Whitelist, _) => Reading::Closed,
        (_, None) => Reading::NeedsPresence,
        (Access::Roster, Some(item))
            if !item.groups.iter().any(|g| node.config.groups.contains(g)) =>
        {
            Reading::NotInGroup
        }
        _ => Reading::Allowed,
    }
}

impl Reading {
    /// # Errors
    /// Why not (XEP-0060 6.1.3, 6.5.9).
    pub(super) fn or_refuse(self) -> Result<(), Refusal> {
        Err(match self {
            Self::Allowed => return Ok(()),
            Self::NeedsPresence => refused(
                Condition::NotAuthorized,
                "presence-subscription-required",
                "it is for those who are subscribed to the owner's presence",
            ),
            Self::NotInGroup => refused(
                Condition::NotAuthorized,
                "not-in-roster-group",
                "it is for certain contacts of its owner",
            ),
            Self::Closed => refused(
                Condition::NotAllowed,
                "closed-node",
                "it is for those whom its owner has named",
            ),
            Self::Outcast => Condition::Forbidden.into(),
        })
    }
}

/// The lists of a node as the owner sees them (XEP-0060 8.9.1).
pub(super) fn affiliations(node: &PubsubNode, owner: &BareJid) -> Element {
    let one = |jid: &str, affiliation: &str| {
        Element::new("affiliation", PUBSUB_OWNER)
            .attr("jid", jid)
            .attr("affiliation", affiliation)
    };
    let people = &node.people;
    Element::new("affiliations", PUBSUB_OWNER)
        .attr("node", node.name.as_str())
        .child(one(owner.as_str(), "owner"))
        .children_from(people.members.iter().map(|jid| one(jid, "member")))
        .children_from(people.outcasts.iter().map(|jid| one(jid, "outcast")))
}

/// What somebody is to a node.
pub(super) fn affiliation(node: &PubsubNode, owner: &BareJid, who: &Jid) -> &'static str {
    let is = |list: &[String]| list.iter().any(|jid| jid == who.bare_str());
    if who.bare_str() == owner.as_str() {
        "owner"
    } else if is(&node.people.outcasts) {
        "outcast"
    } else if is(&node.people.members) {
        "member"
    } else {
        "none"
    }
}

/// One entry for an answer about oneself (XEP-0060 5.7).
pub(super) fn own_affiliation(node: &PubsubNode, affiliation: &str) -> Element {
    Element::new("affiliation", PUBSUB)
        .attr("node", node.name.as_str())
        .attr("affiliation", affiliation)
}

/// The lists after the owner's changes (XEP-0060 8.9.2).
///
/// # Errors
/// Another affiliation than member, outcast and none, or more people than `most`.
pub(super) fn changed(
    people: &NodePeople,
    owner: &BareJid,
    wanted: &Element,
    most: usize,
) -> Result<NodePeople, Refusal> {
    let mut people = people.clone();
    for entry in wanted
        .children()
        .filter(|c| c.is("affiliation", PUBSUB_OWNER))
    {
        let jid = entry.get_attr("jid").and_then(|jid| Jid::parse(jid).ok());
        let Some(jid) = jid.map(|jid| jid.bare()) else {
            return Err(Condition::JidMalformed.into());
        };
        let affiliation = entry.get_attr("affiliation");
        if jid == *owner {
            if affiliation == Some("owner") {
                continue;
            }
            return Err(plain(
                Condition::NotAcceptable,
                "a node stays with its account",
            ));
        }
        people.members.retain(|member| member != jid.as_str());
        people.outcasts.retain(|outcast| outcast != jid.as_str());
        let list = match affiliation {
            Some("none") => continue,
            Some("member") => &mut people.members,
            Some("outcast") => &mut people.outcasts,
            Some("publisher") => return Err(unsupported("publisher-affiliation")),
            Some("publish-only") => return Err(unsupported("publish-only-affiliation")),
            _ => {
                let text = "others are member, outcast or none";
                return Err(plain(Condition::NotAcceptable, text));
            }
        };
        list.push(jid.as_str().to_owned());
        list.sort();
    }
    if people.members.len() + people.outcasts.len() > most {
        let text = format!("a node has at most {most} members and outcasts");
        return Err(plain(Condition::PolicyViolation, text));
    }
    Ok(people)
}
