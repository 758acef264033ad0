//! Which of all the payloads that modules answer a component may ask in an account's name, if its owner grants it that.

use std::collections::BTreeMap;

use crate::ALL;
use crate::grants::{Access, Grants};
use crate::info::{IqDoor, IqTypes};
use crate::testing::House;
use xmpp::jid::BareJid;
use xmpp::ns;

use super::PRIVILEGE;

const BRIDGE: &str = "bridge.one.example";

/// Namespaces, and whether a bare, privileged asker may. Whoever adds a door says it here.
const MAY: [(&str, bool); 22] = [
    (ns::DISCO_INFO, true),
    (ns::DISCO_ITEMS, true),
    (ns::ROSTER, true),
    (ns::PING, true),
    (ns::CARBONS, false),
    (ns::REGISTER, false),
    ("http://jabber.org/protocol/commands", false),
    ("http://jabber.org/protocol/pubsub", true),
    ("http://jabber.org/protocol/pubsub#owner", true),
    ("jabber:iq:last", true),
    ("jabber:iq:private", true),
    ("jabber:iq:version", true),
    ("urn:xmpp:blocking", true),
    // It takes log-ins away and makes none.
    ("urn:xmpp:cam:0", true),
    ("urn:xmpp:extdisco:2", true),
    ("urn:xmpp:mam:2", true),
    // An envelope in an envelope: the account has no grants of its own.
    (PRIVILEGE, true),
    ("urn:xmpp:push:0", true),
    ("urn:xmpp:register:0", false),
    ("urn:xmpp:saslcert:1", false),
    ("urn:xmpp:time", true),
    ("vcard-temp", true),
];

fn doors() -> impl Iterator<Item = &'static IqDoor> {
    ALL.iter().flat_map(|module| module.info().iq)
}

#[test]
fn of_every_door_it_is_said_whether_a_component_may() {
    let may = BTreeMap::from(MAY);
    for door in doors() {
        let said = may.get(door.ns).copied();
        assert_eq!(said, Some(!door.of_sessions), "{} {}", door.ns, door.name);
    }
    for (namespace, _) in MAY {
        assert!(doors().any(|door| door.ns == namespace), "{namespace}");
    }
}

/// Though the account is an admin's, and the owner has granted everything that a configuration can say.
#[tokio::test]
async fn no_component_asks_for_what_only_sessions_may() {
    let mut house = House::new().await;
    house.settings(|settings| {
        settings.admins = vec![BareJid::parse("alice@one.example").expect("an address")];
        settings.components = vec!["bridge".into()];
        settings.grants = vec![Grants {
            label: "bridge".into(),
            iq: doors().map(|door| (door.ns.into(), Access::Both)).collect(),
            ..Grants::default()
        }];
    });
    for door in doors().filter(|door| door.of_sessions) {
        for type_ in ["get", "set"] {
            let meant = match door.types {
                IqTypes::Get => type_ == "get",
                IqTypes::Set => type_ == "set",
                IqTypes::Both => true,
            };
            let node = "http://jabber.org/protocol/admin#get-registered-users-list";
            let payload = format!("<{} xmlns='{}' node='{node}'/>", door.name, door.ns);
            for to in ["alice@one.example", "one.example"] {
                let answered = match to {
                    "one.example" => door.at_server,
                    _ => door.at_account != crate::info::Audience::Nobody,
                };
                if !meant || !answered {
                    continue;
                }
                let ask = format!(
                    "<privileged_iq xmlns='{PRIVILEGE}'><iq xmlns='{}' type='{type_}' id='i' to='{to}'>{payload}</iq></privileged_iq>",
                    ns::CLIENT
                );
                house
                    .iq_from(BRIDGE, type_, "alice@one.example", &ask)
                    .await;
                let answer = house.take_sent();
                assert!(
                    answer.contains("<forwarded ") && answer.contains("<forbidden "),
                    "{} {}: {answer}",
                    door.ns,
                    door.name
                );
            }
        }
    }
    assert!(house.administered().is_empty(), "nothing was done");
}
