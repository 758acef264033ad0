//! Flows of registration before authentication (XEP-0389): one is chosen, challenges come, and in the end there is an account.
//!
//! The stream sees to the order: what is chosen was offered, what is responded to was asked, and each response is of its
//! challenge's kind. What is asked, and whether that is enough, the domain says. Whoever begins to authenticate, or cancels, has
//! left the flow. Refuses: recovery, for which accounts here have nothing that could prove them, and more steps than requests
//! for an account are answered on one stream.

use super::super::flow::{Flow, Kind, Outcome, Step};
use super::super::opening::Ending;
use super::super::{Action, Actions, Ask, Confided, StreamCondition, StreamError};
use super::sasl::Sasl;
use super::{Client, State};
use crate::element::Element;
use crate::framing::RawElement;
use crate::ns;

/// A flow that has been chosen.
pub(super) struct Chosen {
    flow: &'static Flow,
    /// The challenge that is to be responded to; `None`: the domain has not said yet.
    asked: Option<Kind>,
}

/// What is offered (XEP-0389 4.1).
pub(super) fn feature(flows: &[Flow]) -> Option<Element> {
    if flows.is_empty() {
        return None;
    }
    let challenge = |kind: &Kind| Element::new("challenge", ns::IBR2).attr("type", kind.as_str());
    let flow = |flow: &Flow| {
        Element::new("flow", ns::IBR2)
            .attr("id", flow.id)
            .child(Element::new("name", ns::IBR2).text(flow.name))
            .children_from(flow.challenges.iter().map(challenge))
    };
    Some(Element::new("register", ns::IBR2).children_from(flows.iter().map(flow)))
}

impl Client {
    /// An element of it while nobody is authenticated.
    pub(super) fn flow_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        match next(state, raw) {
            Ok(None) => {}
            Ok(Some((flow, step))) => {
                state.registering.chosen = Some(Chosen { flow, asked: None });
                out.push(Action::Ask(Ask::Flow {
                    domain: state.served.domain.clone(),
                    flow,
                    step,
                }));
            }
            Err(error) => self.fail(error, out),
        }
    }

    /// What the domain says to it.
    pub(super) fn flow_goes_on(&mut self, outcome: Outcome, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        let Some(mut chosen) = state.registering.chosen.take() else {
            return;
        };
        let said = match outcome {
            Outcome::Challenge(kind, payload) => {
                chosen.asked = Some(kind);
                state.registering.chosen = Some(chosen);
                Element::new("challenge", ns::IBR2)
                    .attr("type", kind.as_str())
                    .child(payload)
            }
            Outcome::Success => Element::new("success", ns::IBR2),
            Outcome::Cancel => Element::new("cancel", ns::IBR2),
        };
        out.send(|bytes| said.write(bytes, ns::CLIENT));
    }
}

/// The step that an element takes; `None`: it leaves the flow.
fn next(
    state: &mut Sasl,
    raw: &RawElement<'_>,
) -> Result<Option<(&'static Flow, Step)>, StreamError> {
    let registering = &mut state.registering;
    let (flow, step) = match raw.name() {
        "register" => (choice(&raw.to_element(), state.served.flows)?, Step::Begin),
        "response" => {
            let chosen = registering.chosen.take();
            let asked = chosen.and_then(|chosen| Some((chosen.flow, chosen.asked?)));
            let (flow, kind) = asked.ok_or_else(|| {
                let offered = offered(state.served.flows);
                bad_format(format!("nothing was asked; choose a flow first: {offered}"))
            })?;
            let response = raw.to_element();
            match responds(&response, kind)? {
                Responds::Yes => (flow, Step::Response(Confided(response))),
                Responds::Cancels => return Ok(None),
            }
        }
        "cancel" => {
            registering.chosen = None;
            return Ok(None);
        }
        "recovery" => {
            return Err(
                StreamError::new(StreamCondition::UnsupportedStanzaType).with_text(
                    "nobody gets a new password this way; ask whoever looks after the domain",
                ),
            );
        }
        _ => return Err(StreamCondition::UnsupportedStanzaType.into()),
    };
    registering.one_more()?;
    Ok(Some((flow, step)))
}

/// The flow that is chosen (XEP-0389 5).
fn choice(register: &Element, flows: &'static [Flow]) -> Result<&'static Flow, StreamError> {
    let mut named = register
        .children()
        .filter(|child| child.is("flow", ns::IBR2));
    let found = match (named.next(), named.next()) {
        (Some(one), None) => flows
            .iter()
            .find(|flow| one.get_attr("id") == Some(flow.id)),
        _ => None,
    };
    found.ok_or_else(|| bad_format(format!("choose one flow of these: {}", offered(flows))))
}

fn offered(flows: &[Flow]) -> String {
    let ids: Vec<&str> = flows.iter().map(|flow| flow.id).collect();
    ids.join(", ")
}

enum Responds {
    Yes,
    /// A form can be submitted as "cancel", which is the same as `<cancel/>` (XEP-0389 6).
    Cancels,
}

fn responds(response: &Element, kind: Kind) -> Result<Responds, StreamError> {
    match kind {
        Kind::Form => {
            let form = response.find("x", kind.as_str());
            match form.and_then(|form| form.get_attr("type")) {
                Some("submit") => Ok(Responds::Yes),
                Some("cancel") => Ok(Responds::Cancels),
                _ => Err(bad_format(
                    "this challenge is responded to with its form (jabber:x:data) of type submit or cancel",
                )),
            }
        }
        Kind::Elsewhere if response.children().next().is_none() => Ok(Responds::Yes),
        Kind::Elsewhere => Err(bad_format(
            "this challenge is responded to with an empty element, once the page has been visited",
        )),
    }
}

fn bad_format(text: impl Into<String>) -> StreamError {
    StreamError::new(StreamCondition::BadFormat).with_text(text)
}
