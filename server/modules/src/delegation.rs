//! Namespace Delegation, XEP-0355 version 0.5, in admin mode: requests of a namespace to the domain or to a bare address there are
//! answered by one of the domain's components.
//!
//! Which namespaces, and which attributes a request must have, is the owner's word ([`crate::grants`]). The request travels whole
//! inside of one of ours; what comes back must fit it in every address, or whoever asked hears `<service-unavailable/>`, as they do
//! where the component is not connected (4.3). Not delegated is what the component itself asks, in its own name or in an account's.
//! Two namespaces stand for what disco asks about accounts and nobody here knows ([`REMAINING_INFO`], [`REMAINING_ITEMS`]).
//! Refuses: delegation that a client agrees to (5), and nesting of what the component says of itself (7.2.1 to 7.2.3).

use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use crate::context::{Context, Refusal};
use crate::errands::{self, Errand, Way};
use crate::grants::{Delegated, Grants};

/// Namespace of the protocol; never delegated itself.
pub(crate) const DELEGATION: &str = "urn:xmpp:delegation:2";

/// Stands for the nodes of accounts that nobody here knows (7.2.4).
pub(crate) const REMAINING_INFO: &str = "urn:xmpp:delegation:2:bare:disco#info:*";
/// Stands for what accounts list, and for items of nodes that nobody here knows (7.2.5).
pub(crate) const REMAINING_ITEMS: &str = "urn:xmpp:delegation:2:bare:disco#items:*";

/// Sends a request on to the component that answers for its namespace; `false`: it is the domain's own affair.
pub(crate) fn taken(cx: &Context<'_>, iq: &Stanza) -> bool {
    manager(cx, iq).is_some_and(|component| passed(cx, iq, &component))
}

/// The same of what disco asks about an account, for the one of those two namespaces that it belongs to.
pub(crate) fn remaining(cx: &Context<'_>, iq: &Stanza, namespace: &str) -> bool {
    let grants = &cx.hosted.settings.grants;
    let wanted = |one: &&Grants| one.delegated.iter().any(|one| one.namespace == namespace);
    let found = grants.iter().find(wanted).and_then(|one| cx.trusted(one));
    found.is_some_and(|component| passed(cx, iq, &component))
}

fn passed(cx: &Context<'_>, iq: &Stanza, component: &Jid) -> bool {
    let own = iq.from() == Some(component);
    // In this way a component uses what it stands in for (4.4).
    if own
        || cx
            .modules
            .errands
            .on_behalf(iq)
            .is_some_and(|by| by == *component)
    {
        return false;
    }
    let errand = Errand {
        way: Way::Delegated,
        at: cx.now,
        component: component.clone(),
        asked: component.clone(),
        iq: iq.clone(),
        id: iq.id().unwrap_or_default().to_owned(),
    };
    match cx
        .modules
        .errands
        .note(errand)
        .and_then(|id| wrapped(cx, iq, component, &id))
    {
        Some(request) => cx.send(request),
        None => cx.refuse(
            iq,
            Refusal::new(Condition::ResourceConstraint).with_text(errands::too_many()),
        ),
    }
    true
}

/// The component to which a request is delegated.
fn manager(cx: &Context<'_>, iq: &Stanza) -> Option<Jid> {
    let grants = &cx.hosted.settings.grants;
    if grants.is_empty() {
        return None;
    }
    let (name, namespace) = iq.first_child()?;
    let fits = |delegated: &Delegated| {
        let child = || iq.child_tag(name, namespace);
        let has = |attribute: &String| child().is_some_and(|c| c.attr(attribute).is_some());
        delegated.namespace == namespace && delegated.attributes.iter().all(has)
    };
    let found = grants.iter().find(|one| one.delegated.iter().any(fits));
    cx.trusted(found?)
}

/// The request inside of ours (4.3).
fn wrapped(cx: &Context<'_>, iq: &Stanza, component: &Jid, id: &str) -> Option<Stanza> {
    let mut out = Vec::with_capacity(iq.bytes().len() + 300);
    let head = format!(
        "<iq from='{}' to='{component}' type='set' id='{id}'><delegation xmlns='{DELEGATION}'><forwarded xmlns='{}'>",
        cx.hosted.domain,
        ns::FORWARD
    );
    out.extend_from_slice(head.as_bytes());
    iq.write_nested(&mut out);
    out.extend_from_slice(b"</forwarded></delegation></iq>");
    let wrapped = Stanza::from_bytes(&out);
    if wrapped.is_err() {
        tracing::error!(domain = %cx.hosted.domain, "a delegated request is not well-formed");
    }
    wrapped.ok()
}

/// What the component answered, or did not: whoever asked hears it as if the domain had said so.
pub(crate) fn answered(cx: &Context<'_>, errand: &Errand, answer: &Stanza) {
    match result(errand, answer) {
        Some(payload) => cx.answer(errand.iq.iq_result(payload)),
        None => cx.refuse(&errand.iq, Condition::ServiceUnavailable),
    }
}

/// The payload of a result that fits its question (4.3); `None`: it does not.
#[expect(
    clippy::option_option,
    reason = "a result may be empty, which is not the same as none"
)]
fn result(errand: &Errand, answer: &Stanza) -> Option<Option<Element>> {
    if answer.type_() != StanzaType::Result {
        return None;
    }
    let tree = answer.payload().ok()?;
    let forwarded = tree.find("delegation", DELEGATION)?;
    let inner = forwarded
        .find("forwarded", ns::FORWARD)?
        .find("iq", ns::CLIENT)?;
    let asker = errand.iq.from()?;
    // Without an address it was the account that was asked (RFC 6120 10.3.3).
    let asked = errand.iq.to().cloned();
    let asked = asked.unwrap_or_else(|| asker.bare().into());
    let is = |name: &str, expected: &Jid| {
        let given = inner.get_attr(name).map(Jid::parse);
        given.map(|given| given.is_ok_and(|given| given == *expected))
    };
    let fits = inner.get_attr("type") == Some("result")
        && inner.get_attr("id") == Some(errand.id.as_str())
        && is("to", asker) == Some(true)
        && is("from", &asked) != Some(false);
    let mut payload = inner.children();
    match (fits, payload.next(), payload.next()) {
        (true, first, None) => Some(first.cloned()),
        _ => None,
    }
}

/// What a component is told of its delegations when it connects, and when they change (4.2).
pub(crate) fn advertisement(grants: &Grants) -> Element {
    let delegated = grants.delegated.iter().map(|one| {
        let attributes = one.attributes.iter();
        Element::new("delegated", DELEGATION)
            .attr("namespace", one.namespace.as_str())
            .children_from(
                attributes
                    .map(|name| Element::new("attribute", DELEGATION).attr("name", name.as_str())),
            )
    });
    Element::new("delegation", DELEGATION).children_from(delegated)
}
