//! Service outage status, XEP-0455 version 0.4.0: where people's clients learn what is the matter when the domain does not
//! answer.
//!
//! Clients remember the addresses while all is well. They are those that the domain's owner names, else the platform's, and
//! then our own public door's, which says the same as long as it is up. Refuses: saying it in band, where it would look like a
//! message from somebody.

use xmpp::element::Element;

use crate::context::Hosted;
use crate::form::{Field, Form};
use crate::hooks::is_on;
use crate::info::{Hooks, ModuleInfo, Spec};
use crate::module::Module;

/// The module.
pub(crate) struct Outages;

const STATUS: &str = "urn:xmpp:sos:0";

static INFO: ModuleInfo = ModuleInfo {
    name: "outages",
    about: "tells people's clients where to look when the domain does not answer",
    specs: &[Spec::Xep(455, "0.4.0")],
    switchable: true,
    iq: &[],
    hooks: Hooks::NONE,
    server_features: &[],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

impl Module for Outages {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }
}

/// What disco says about the domain, where there is anything to say (XEP-0455 2.1).
pub(crate) fn form(hosted: &Hosted) -> Option<Element> {
    let addresses = &hosted.settings.status;
    if addresses.is_empty() || !is_on(hosted, &INFO) {
        return None;
    }
    let field = Field::new("external-status-addresses", "list-multi");
    let field = addresses.iter().fold(field, |field, uri| field.value(uri));
    Some(Form::result(STATUS).field(field).into_element())
}

#[cfg(test)]
mod tests {
    use crate::testing::House;

    const INFO: &str = "<query xmlns='http://jabber.org/protocol/disco#info'/>";

    #[tokio::test]
    async fn ext_39_clients_are_told_where_to_look_exactly_where_there_is_something() {
        let mut house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        for (addresses, off, said) in [
            (vec![], false, false),
            (
                vec!["https://status.example.net/one.example.json"],
                false,
                true,
            ),
            (
                vec!["https://status.example.net/one.example.json"],
                true,
                false,
            ),
        ] {
            house.settings(|settings| {
                settings.status = addresses.into_iter().map(str::to_owned).collect();
                settings.off = off.then(|| "outages".to_owned()).into_iter().collect();
            });
            house.iq(&alice, "get", Some("one.example"), INFO).await;
            let answer = house.take(&alice);
            let form = "<field var='external-status-addresses' type='list-multi'>\
                        <value>https://status.example.net/one.example.json</value></field>";
            assert_eq!(answer.contains("urn:xmpp:sos:0"), said, "{answer}");
            assert_eq!(answer.contains(form), said, "{answer}");
        }
    }
}
