//! Registration before authentication: an account for whoever has none yet (XEP-0077 3.1), by invitation where they show one
//! first (XEP-0445). In steps: `flows.rs`.
//!
//! The stream says who may and when: over TLS only, at the domain of the header, not in the middle of an exchange, and not for
//! ever. What an account needs and whether there is to be one is the domain's to say. Refuses: stanzas to anybody else, more
//! than [`REQUESTS`] requests on one stream, and everything where the domain takes nobody in.

use super::super::opening::Ending;
use super::super::{Action, Actions, Ask, Confided, StreamCondition, StreamError};
use super::flows::Chosen;
use super::{Client, State, not_authorized};
use crate::element::Element;
use crate::framing::RawElement;
use crate::ns;
use crate::stanza::StanzaError;

/// XEP-0379, of which XEP-0445 borrows the token.
const PARS: &str = "urn:xmpp:pars:0";
/// The stream feature of XEP-0077.
const FEATURE: &str = "http://jabber.org/features/iq-register";
/// The stream feature of XEP-0445.
const IBR_TOKEN: &str = "urn:xmpp:ibr-token:0";
/// COMPAT: Conversations and whatever descends from it look for the feature under the name that XEP-0401 had before 0.5.
const INVITE: &str = "urn:xmpp:invite";

/// Requests of one stream.
const REQUESTS: u8 = 20;

/// Where registration stands.
#[derive(Default)]
pub(super) struct Registering {
    requests: u8,
    /// `id` of the request being answered.
    asked: Option<String>,
    /// The flow that is being gone through (XEP-0389).
    pub(super) chosen: Option<Chosen>,
}

impl Registering {
    /// Counts a request.
    ///
    /// # Errors
    /// There were as many as one stream may make.
    pub(super) fn one_more(&mut self) -> Result<(), StreamError> {
        self.requests += 1;
        if self.requests > REQUESTS {
            return Err(StreamError::new(StreamCondition::PolicyViolation)
                .with_text("no further attempt on this connection"));
        }
        Ok(())
    }
}

/// What is announced where the domain takes somebody in (XEP-0445 2, XEP-0077 8).
pub(super) fn features() -> impl Iterator<Item = Element> {
    [IBR_TOKEN, INVITE, FEATURE]
        .into_iter()
        .map(|namespace| Element::new("register", namespace))
}

impl Client {
    /// A request while nobody is authenticated.
    pub(super) fn register_element(&mut self, raw: &RawElement<'_>, out: &mut Actions) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        let iq = raw.to_element();
        let domain = state.served.domain.clone();
        let to_us = iq.get_attr("to").is_none_or(|to| to == domain.as_str());
        let is_set = iq.get_attr("type") == Some("set");
        let id = iq.get_attr("id").unwrap_or_default().to_owned();
        let preauth = iq.find("preauth", PARS).filter(|_| is_set);
        let query = iq
            .find("query", ns::REGISTER)
            .filter(|_| is_set || iq.get_attr("type") == Some("get"));
        let ask = match (preauth, query) {
            (Some(preauth), None) if to_us => Ask::Preauth {
                domain,
                token: Confided(preauth.get_attr("token").unwrap_or_default().to_owned()),
            },
            (None, Some(query)) if to_us => Ask::Register {
                domain,
                set: is_set,
                query: Confided(query.clone()),
            },
            // STREAM-05
            _ => return self.fail(not_authorized(), out),
        };
        let registering = &mut state.registering;
        if let Err(error) = registering.one_more() {
            return self.fail(error, out);
        }
        registering.asked = Some(id);
        out.push(Action::Ask(ask));
    }

    /// What the domain says to it.
    pub(super) fn registered(
        &mut self,
        result: Result<Option<Element>, Box<StanzaError>>,
        out: &mut Actions,
    ) {
        let State::Sasl(state) = &mut self.state else {
            return;
        };
        let id = state.registering.asked.take().unwrap_or_default();
        let reply = |type_: &str| {
            Element::new("iq", ns::CLIENT)
                .attr("type", type_)
                .attr("from", state.served.domain.as_str())
                .attr("id", id.as_str())
        };
        let reply = match result {
            Ok(payload) => reply("result").child_opt(payload),
            Err(error) => reply("error").child(error.to_element()),
        };
        out.send(|bytes| reply.write(bytes, ns::CLIENT));
    }
}
