//! Extensible In-Band Registration, XEP-0389 version 0.4.0, after somebody has signed in: they have an account, so there are no
//! flows for them.
//!
//! New accounts are made before anybody is authenticated (`xmpp::stream::client`), step by step, where this module is on and the
//! domain takes somebody in; a domain that takes nobody in has it off. Refuses: recovery, since no account here has anything
//! beside its password that could prove it (there is no e-mail address); its domain's owner gives it another one.

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use crate::context::{Context, Refusal};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Module};

/// The module.
pub(crate) struct Flows;

/// Its word. A domain at which nobody can get an account on a stream has it off.
pub const FLOWS: &str = "flows";

/// What there are flows for (XEP-0389 4).
const REGISTER: &str = "register";
const RECOVERY: &str = "recovery";

const fn door(name: &'static str) -> IqDoor {
    IqDoor {
        ns: ns::IBR2,
        name,
        types: IqTypes::Both,
        at_server: true,
        at_account: Audience::Nobody,
        of_sessions: true,
    }
}

static INFO: ModuleInfo = ModuleInfo {
    name: FLOWS,
    about: "lets whoever is invited or may come make an account step by step, in their app or on a page",
    specs: &[Spec::Part(389, "0.4.0", "recovery")],
    switchable: true,
    iq: &[door(REGISTER), door(RECOVERY)],
    hooks: Hooks::NONE,
    server_features: &[ns::IBR2],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Flows {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn needs(&self) -> &'static [&'static str] {
        &["register"]
    }

    async fn iq_to_server(&self, cx: &Context<'_>, iq: &Stanza) -> Result<Answer, Refusal> {
        let of_session = |from: &&xmpp::jid::Jid| cx.is_account(from) && !from.is_bare();
        if iq.from().filter(of_session).is_none() {
            return Err(Condition::ServiceUnavailable.into());
        }
        let what = match iq.first_child() {
            Some((RECOVERY, _)) => RECOVERY,
            _ => REGISTER,
        };
        if iq.type_() == StanzaType::Get {
            // XEP-0389 4.3: none is a list, too.
            return Ok(Answer::Payload(Element::new(what, ns::IBR2)));
        }
        let text = match what {
            RECOVERY => "ask whoever looks after the domain for another password",
            _ => {
                "another account is made before signing in: choose a flow of those in the features of a new stream"
            }
        };
        Err(Refusal::new(Condition::ItemNotFound).with_text(text))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::House;

    fn element(name: &str, inside: &str) -> String {
        format!("<{name} xmlns='urn:xmpp:register:0'>{inside}</{name}>")
    }

    /// XEP-0389 4.3
    #[tokio::test]
    async fn ext_33_who_has_signed_in_finds_no_flows() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        for what in ["register", "recovery"] {
            let get = element(what, "");
            house.iq(&alice, "get", Some("one.example"), &get).await;
            house.got(
                &alice,
                &format!(
                    "<iq from='one.example' to='alice@one.example/phone' type='result' id='q'>\
                     <{what} xmlns='urn:xmpp:register:0'/></iq>"
                ),
            );
            let set = element(what, "<flow id='question'/>");
            house.iq(&alice, "set", Some("one.example"), &set).await;
            house.got_error(&alice, "item-not-found");
        }
    }

    #[tokio::test]
    async fn ext_33_flows_are_nobody_elses_affair() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        let get = element("register", "");
        for to in ["alice@one.example", "bob@one.example"] {
            house.iq(&alice, "get", Some(to), &get).await;
            house.got_error(&alice, "service-unavailable");
        }
        house
            .iq_from("romeo@peer.example/x", "get", "one.example", &get)
            .await;
        house.sent_error("one.example", "service-unavailable");
    }
}
