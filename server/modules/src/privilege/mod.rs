//! Privileged Entity, XEP-0356 version 0.4.1: what a component may do for the accounts of its domain, as the domain's owner grants it
//! ([`crate::grants`]): read and write their rosters, write messages and ask questions in their names, be told their presence.
//!
//! Rosters are asked for as their owners do ([`crate::roster`] asks for the grant), the rest comes in envelopes that are opened here.
//! In nobody's name is done what they could not do themselves: lists, blocks and limits hold as if they had. Refuses: whatever is not
//! granted, with `<forbidden/>`, and names of other domains.

pub(crate) mod presence;

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use crate::context::{Context, Hosted, Refusal};
use crate::delegation::{self, DELEGATION};
use crate::errands::{self, Errand, Way};
use crate::grants::Grants;
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};

/// The module.
pub(crate) struct Privilege;

/// Namespace of the protocol.
pub(crate) const PRIVILEGE: &str = "urn:xmpp:privilege:2";

static INFO: ModuleInfo = ModuleInfo {
    name: "privilege",
    about: "lets components that the owner trusts act for accounts and answer for namespaces",
    specs: &[
        Spec::Xep(356, "0.4.1"),
        Spec::Part(355, "0.5", "client mode, nesting in disco"),
    ],
    switchable: false,
    iq: &[IqDoor {
        ns: PRIVILEGE,
        name: "privileged_iq",
        types: IqTypes::Both,
        at_server: true,
        at_account: Audience::Anyone,
        of_sessions: false,
    }],
    hooks: Hooks::NONE,
    server_features: &[DELEGATION],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Privilege {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    /// The domain is no account.
    async fn iq_to_server(&self, _: &Context<'_>, _: &Stanza) -> Result<Answer, Refusal> {
        Err(Condition::Forbidden.into())
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let (errand, mut request) = opened(cx, ask.account, ask.iq).await?;
        let id = cx.modules.errands.note(errand);
        let id = id.ok_or_else(|| {
            Refusal::new(Condition::ResourceConstraint).with_text(errands::too_many())
        })?;
        request.set_attr("id", id.as_str());
        let asked = match Stanza::from_element(&request) {
            Ok(request) => cx.switchboard.speak(request).await,
            Err(_) => Err(Condition::BadRequest.into()),
        };
        if asked.is_err() {
            cx.modules.errands.forget(&id);
        }
        asked.map(|()| Answer::Sent)
    }
}

fn forbidden(text: &str) -> Refusal {
    Refusal::new(Condition::Forbidden).with_text(text)
}

/// A request in an account's name, out of its envelope and checked (5.3).
async fn opened(
    cx: &Context<'_>,
    account: &BareJid,
    iq: &Stanza,
) -> Result<(Errand, Element), Refusal> {
    let component = iq.from().ok_or(Condition::BadRequest)?;
    let grants = cx.grants_of(component);
    let grants = grants.ok_or_else(|| forbidden("this is not granted to you"))?;
    let tree = iq
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let envelope = tree.find("privileged_iq", PRIVILEGE);
    let mut inside = envelope.ok_or(Condition::BadRequest)?.children();
    let (Some(inner), None) = (inside.next(), inside.next()) else {
        return Err(Condition::BadRequest.into());
    };
    if !inner.is("iq", ns::CLIENT) {
        return Err(forbidden("what is inside is no iq of jabber:client"));
    }
    let word = match iq.type_() {
        StanzaType::Get => "get",
        _ => "set",
    };
    if inner.get_attr("type") != Some(word) {
        return Err(forbidden("the types of envelope and content differ"));
    }
    let named = inner.get_attr("from").map(Jid::parse);
    if named.is_some_and(|from| !from.is_ok_and(|from| from.is_bare() && from.bare() == *account)) {
        return Err(forbidden("the content is from somebody else"));
    }
    let mut payload = inner.children();
    let (Some(asked), None) = (payload.next(), payload.next()) else {
        return Err(Condition::BadRequest.into());
    };
    if !grants.iq_access(asked.ns()).covers(iq.type_()) {
        return Err(forbidden(
            "this namespace is not granted to you in this type",
        ));
    }
    if cx.roster(account).await?.is_none() {
        return Err(forbidden("there is no such account"));
    }
    let to = match inner.get_attr("to").map(Jid::parse) {
        None => Jid::from(account.clone()),
        Some(Ok(to)) => to,
        Some(Err(_)) => return Err(Condition::JidMalformed.into()),
    };
    let mut request = inner.clone();
    request.set_attr("from", account.as_str());
    request.set_attr("to", to.as_str());
    let errand = Errand {
        way: Way::Privileged,
        at: cx.now,
        component: component.clone(),
        asked: to,
        iq: iq.clone(),
        id: inner.get_attr("id").unwrap_or_default().to_owned(),
    };
    Ok((errand, request))
}

/// What was asked in an account's name is answered: the component gets the answer in an envelope (5.3), whatever it says.
pub(crate) fn answered(cx: &Context<'_>, errand: &Errand, answer: &Stanza) {
    let Ok(mut inner) = answer.payload() else {
        return cx.refuse(&errand.iq, Condition::InternalServerError);
    };
    inner.set_attr("id", errand.id.as_str());
    let forwarded = Element::new("forwarded", ns::FORWARD).child(inner);
    let envelope = Element::new("privilege", PRIVILEGE).child(forwarded);
    cx.answer(errand.iq.iq_result(Some(envelope)));
}

/// Whether a message to the domain is an envelope with another in it (4.3).
pub(crate) fn is_envelope(message: &Stanza) -> bool {
    message.has_child("privilege", PRIVILEGE)
}

/// Whether a request in a name has gone to a session, for which nobody asks anything in this way (5.3).
pub(crate) fn is_misdirected(iq: &Stanza) -> bool {
    let full = iq
        .to()
        .is_some_and(|to| to.local().is_some() && !to.is_bare());
    full && iq.first_child() == Some(("privileged_iq", PRIVILEGE))
}

/// A message in the name of the domain or of one of its accounts (4): it goes the way of everything that they write.
pub(crate) async fn message(cx: &Context<'_>, message: &Stanza) {
    let said = match spoken(cx, message).await {
        Ok(inner) => cx.switchboard.speak(inner).await,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = said {
        cx.refuse(message, refusal);
    }
}

async fn spoken(cx: &Context<'_>, message: &Stanza) -> Result<Stanza, Refusal> {
    let grants = message.from().and_then(|from| cx.grants_of(from));
    if !grants.is_some_and(|grants| grants.messages) {
        return Err(forbidden("this is not granted to you"));
    }
    let tree = message
        .payload()
        .map_err(|_| Refusal::from(Condition::BadRequest))?;
    let forwarded = tree
        .find("privilege", PRIVILEGE)
        .and_then(|envelope| envelope.find("forwarded", ns::FORWARD));
    let inner = forwarded.and_then(|forwarded| forwarded.find("message", ns::CLIENT));
    let inner = inner.ok_or(Condition::BadRequest)?;
    let inner = Stanza::from_element(inner).map_err(|_| Refusal::from(Condition::BadRequest))?;
    if inner.to().is_none() || inner.type_() == StanzaType::Error {
        return Err(Condition::BadRequest.into());
    }
    let ours = |from: &&Jid| from.is_bare() && from.domain() == cx.hosted.domain.as_str();
    let from = inner.from().filter(ours);
    let from = from.ok_or_else(|| forbidden("in the name of this domain and its accounts only"))?;
    if from.local().is_some() && cx.roster(&from.bare()).await?.is_none() {
        return Err(forbidden("there is no such account"));
    }
    Ok(inner)
}

/// Tells components of a changed contact (3.4); `push` has no addresses.
pub(crate) fn roster_push(cx: &Context<'_>, account: &BareJid, push: &Stanza) {
    for grants in cx
        .hosted
        .settings
        .grants
        .iter()
        .filter(|g| g.hears_rosters())
    {
        if let Some(component) = cx.trusted(grants) {
            cx.send(push.with_from(&account.clone().into()).with_to(&component));
        }
    }
}

/// Whether anybody is told of changed contacts.
pub(crate) fn hears_rosters(hosted: &Hosted) -> bool {
    hosted.settings.grants.iter().any(Grants::hears_rosters)
}

/// What the component of this label is told of its grants when it connects, and when they change: one message for each protocol.
pub(crate) fn advertisements(hosted: &Hosted, label: &str) -> Vec<Stanza> {
    let none = Grants {
        label: label.to_owned(),
        ..Grants::default()
    };
    let grants = hosted.settings.grants.iter().find(|one| one.label == label);
    let grants = grants.unwrap_or(&none);
    let Some(component) = hosted.component(grants) else {
        return Vec::new();
    };
    let from = Jid::from(hosted.domain.clone());
    let message = |id: &str, content: Element| {
        let mut out = Vec::new();
        content.write(&mut out, ns::CLIENT);
        Stanza::message_written(StanzaType::Normal, &from, &component, Some(id), &out)
    };
    vec![
        message(PRIVILEGE, advertisement(grants)),
        message(DELEGATION, delegation::advertisement(grants)),
    ]
}

/// 3.2, 4.2, 5.2, 6.2
fn advertisement(grants: &Grants) -> Element {
    let perm = |access: &str| Element::new("perm", PRIVILEGE).attr("access", access);
    let push = if grants.hears_rosters() {
        "true"
    } else {
        "false"
    };
    let messages = if grants.messages { "outgoing" } else { "none" };
    let namespaces = grants.iq.iter().map(|(ns, access)| {
        Element::new("namespace", PRIVILEGE)
            .attr("ns", ns.as_str())
            .attr("type", access.word())
    });
    Element::new("privilege", PRIVILEGE)
        .child(
            perm("roster")
                .attr("type", grants.roster.word())
                .attr("push", push),
        )
        .child(perm("message").attr("type", messages))
        .child(perm("iq").children_from(namespaces))
        .child(perm("presence").attr("type", grants.presence.word()))
}

#[cfg(test)]
mod doors;
#[cfg(test)]
mod tests;
