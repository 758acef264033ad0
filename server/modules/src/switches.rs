//! Every module that a domain may switch off, one after the other: seen in disco exactly when it is on, silent when it is off, and
//! then without a question to the store.

use std::collections::BTreeSet;

use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;

use crate::hooks;
use crate::info::{IqTypes, ModuleInfo};
use crate::module::Module;
use crate::passage::Taken;
use crate::testing::House;
use crate::{ALL, Contact};

fn switchable() -> impl Iterator<Item = &'static dyn Module> {
    ALL.iter()
        .copied()
        .filter(|module| module.info().switchable)
}

/// A house where there is something to say of everything.
pub(crate) async fn full() -> House {
    let mut house = House::new().await;
    house.settings(|settings| {
        settings.status = vec!["https://status.example.net/".to_owned()];
        settings.contacts = vec![Contact {
            role: "abuse".into(),
            addresses: vec!["mailto:abuse@one.example".into()],
        }];
    });
    house
}

/// These modules, and no others, are off from now on.
fn off(house: &mut House, names: &[&str]) {
    house.settings(|settings| {
        settings.off = names.iter().map(|name| (*name).to_owned()).collect();
    });
}

/// What a module shows of itself: to whoever asks the domain, an account, or reads the stream's features.
fn shown(info: &ModuleInfo) -> BTreeSet<String> {
    let server = info
        .server_features
        .iter()
        .map(|var| format!("server {var}"));
    let account = info
        .account_features
        .iter()
        .map(|var| format!("account {var}"));
    let identities = info.account_identities.iter();
    let identities = identities.map(|(category, type_)| format!("is {category}/{type_}"));
    let stream = info
        .stream_features
        .iter()
        .map(|(name, ns)| format!("stream {name} {ns}"));
    server
        .chain(account)
        .chain(identities)
        .chain(stream)
        .collect()
}

/// What disco and the stream's features say.
async fn seen(house: &House, alice: &Jid) -> BTreeSet<String> {
    let query = format!("<query xmlns='{}'/>", ns::DISCO_INFO);
    let mut seen = BTreeSet::new();
    for (what, to) in [("server", "one.example"), ("account", "alice@one.example")] {
        house.iq(alice, "get", Some(to), &query).await;
        let answer = house.take(alice);
        let tree = Element::parse(&answer, ns::CLIENT).expect("well-formed");
        let query = tree.find("query", ns::DISCO_INFO).expect("an answer");
        for child in query.children() {
            let attr = |name| child.get_attr(name).unwrap_or_default();
            match child.name() {
                "feature" => seen.insert(format!("{what} {}", attr("var"))),
                "identity" => seen.insert(format!("is {}/{}", attr("category"), attr("type"))),
                _ => false,
            };
        }
        seen.extend(forms(&answer));
    }
    let cx = house.context("one.example");
    for feature in hooks::stream_features(cx.hosted) {
        seen.insert(format!("stream {} {}", feature.name(), feature.ns()));
    }
    for service in hooks::services_of(cx.hosted) {
        seen.insert(format!("service {}", service.label));
    }
    seen
}

/// Forms that say something of a module beside its features.
fn forms(answer: &str) -> Vec<String> {
    let forms = ["urn:xmpp:sos:0", "urn:xmpp:data-policy:0"];
    let there = forms.into_iter().filter(|form| answer.contains(*form));
    there.map(|form| format!("form {form}")).collect()
}

/// Names of the modules that do not work without this one.
fn with_it(name: &str) -> Vec<&'static str> {
    let needing = switchable().filter(|module| module.needs().contains(&name));
    needing.map(|module| module.info().name).collect()
}

#[tokio::test]
async fn every_module_is_in_disco_exactly_when_it_is_on() {
    let mut house = full().await;
    let alice = house.online("alice@one.example/phone").await;
    let everything = seen(&house, &alice).await;
    for module in switchable() {
        let name = module.info().name;
        off(&mut house, &[name]);
        let left = seen(&house, &alice).await;
        assert!(
            left.is_subset(&everything),
            "{name}: {:?}",
            left.difference(&everything)
        );
        let gone: BTreeSet<String> = everything.difference(&left).cloned().collect();
        // What others show as well stays.
        let others = ALL.iter().filter(|other| {
            let other = other.info().name;
            other != name && !with_it(name).contains(&other)
        });
        let others: BTreeSet<String> = others.flat_map(|other| shown(other.info())).collect();
        let own: BTreeSet<String> = shown(module.info()).difference(&others).cloned().collect();
        assert!(
            own.is_subset(&gone),
            "{name} is off and shows {:?}",
            own.difference(&gone)
        );
        assert!(
            own.is_subset(&everything),
            "{name} is on and hides {:?}",
            own.difference(&everything)
        );
        if let Some(service) = module.service() {
            assert!(
                gone.contains(&format!("service {}", service.label)),
                "{name}"
            );
        }
        let mut expected = own;
        for other in with_it(name) {
            let other = ALL.iter().find(|m| m.info().name == other).expect("listed");
            expected.extend(shown(other.info()));
        }
        let more: Vec<&String> = gone
            .difference(&expected)
            .filter(|what| !what.starts_with("service ") && !what.starts_with("form "))
            .collect();
        assert_eq!(more, [""; 0], "{name} takes others with it");
    }
    // What is no feature but a form, or a service.
    for (name, what) in [
        ("outages", "form urn:xmpp:sos:0"),
        ("data-policy", "form urn:xmpp:data-policy:0"),
        ("rooms", "service rooms"),
        ("uploads", "service upload"),
    ] {
        off(&mut house, &[name]);
        assert!(everything.contains(what), "{what}: {everything:?}");
        assert!(!seen(&house, &alice).await.contains(what), "{what}");
    }
}

/// Whoever knocks at the door of a module that is off finds no door, whatever they say there and whoever they are.
#[tokio::test]
async fn every_door_of_a_module_that_is_off_is_a_wall() {
    let mut house = full().await;
    let alice = house.online("alice@one.example/phone").await;
    for module in switchable() {
        let info = module.info();
        off(&mut house, &[info.name]);
        for door in info.iq {
            let types: &[&str] = match door.types {
                IqTypes::Get => &["get"],
                IqTypes::Set => &["set"],
                IqTypes::Both => &["get", "set"],
            };
            let payload = format!("<{0} xmlns='{1}'/>", door.name, door.ns);
            for type_ in types {
                for to in ["one.example", "alice@one.example"] {
                    house.iq(&alice, type_, Some(to), &payload).await;
                    house.got_error(&alice, "service-unavailable");
                    house
                        .iq_from("romeo@peer.example/x", type_, to, &payload)
                        .await;
                    house.sent_error(to, "service-unavailable");
                }
            }
        }
    }
}

/// Doors of time, version and disco: only what they are for is answered, and only to whom it is for.
#[tokio::test]
async fn what_is_not_asked_as_it_should_be_is_refused_by_time_version_and_disco() {
    let house = full().await;
    let before = house.database.reads();
    for (name, namespace) in [("time", "urn:xmpp:time"), ("query", "jabber:iq:version")] {
        let payload = format!("<{name} xmlns='{namespace}'/>");
        house
            .iq_from("peer.example", "set", "one.example", &payload)
            .await;
        house.sent_error("one.example", "feature-not-implemented");
        // A stranger learns of an account what they learn of none.
        for to in ["alice@one.example", "nobody@one.example"] {
            house
                .iq_from("romeo@peer.example/x", "get", to, &payload)
                .await;
            house.sent_error(to, "service-unavailable");
        }
        // Another name, another namespace: nobody's.
        for wrong in [
            format!("<{name} xmlns='urn:other'/>"),
            format!("<other xmlns='{namespace}'/>"),
        ] {
            house
                .iq_from("peer.example", "get", "one.example", &wrong)
                .await;
            house.sent_error("one.example", "service-unavailable");
        }
        // However much comes along, the answer is the same.
        let long = "y".repeat(200_000);
        let big = format!("<{name} xmlns='{namespace}' a='{long}'><b>{long}</b></{name}>");
        house
            .iq_from("peer.example", "get", "one.example", &big)
            .await;
        let answer = house.take_sent();
        assert!(
            answer.contains("type='result'") && answer.len() < 500,
            "{answer}"
        );
    }
    // Forms of outages and policies are disco's, and disco is read, not written.
    let info = format!("<query xmlns='{}'/>", ns::DISCO_INFO);
    house
        .iq_from("peer.example", "set", "one.example", &info)
        .await;
    house.sent_error("one.example", "feature-not-implemented");
    let node = format!("<query xmlns='{}' node='urn:xmpp:sos:0'/>", ns::DISCO_INFO);
    house
        .iq_from("peer.example", "get", "one.example", &node)
        .await;
    house.sent_error("one.example", "item-not-found");
    assert!(
        house.database.reads() - before <= 4,
        "strangers' accounts, and nothing else"
    );
}

/// What a domain pays for a log-in, presence and messages of one who is there.
async fn paid(house: &mut House, without: &[&str]) -> [u64; 4] {
    off(house, without);
    let account = BareJid::parse("alice@one.example").expect("an address");
    house.modules().forget_account(&account);
    let mut last = house.database.reads();
    let mut since = || {
        let now = house.database.reads();
        now - std::mem::replace(&mut last, now)
    };
    let alice = house.online("alice@one.example/phone").await;
    let login = since();
    house
        .presence(&alice, "<presence><show>away</show></presence>")
        .await;
    house
        .presence_in("<presence from='romeo@peer.example/x' to='alice@one.example'/>")
        .await;
    let presence = since();
    let message = "<message from='romeo@peer.example/x' to='alice@one.example' type='chat' id='m'><body>x</body></message>";
    house.receives(message, Taken::Session(alice.clone())).await;
    let received = since();
    let out = "<message to='romeo@peer.example' type='chat' id='o'><body>x</body></message>";
    house.sends(&alice, out).await;
    let sent = since();
    house.gone(&alice).await;
    [login, presence, received, sent]
}

#[tokio::test]
async fn a_domain_asks_the_store_nothing_for_a_module_that_is_off() {
    let mut house = full().await;
    let all = paid(&mut house, &[]).await;
    let names: Vec<&str> = switchable().map(|module| module.info().name).collect();
    let none = paid(&mut house, &names).await;
    assert_eq!(none[1..], [0, 0, 0], "presence and messages: {none:?}");
    for name in &names {
        let without = paid(&mut house, &[name]).await;
        for (at, (without, all)) in without.iter().zip(&all).enumerate() {
            assert!(without <= all, "{name} off: {without} for {all} ({at})");
        }
        let others: Vec<&str> = names
            .iter()
            .filter(|other| *other != name)
            .copied()
            .collect();
        let alone = paid(&mut house, &others).await;
        // Nothing but what this one needs: what it costs alone is what it adds.
        let sum: u64 = alone.iter().sum();
        assert!(sum <= all.iter().sum(), "{name}: {alone:?} of {all:?}");
    }
}

/// Of whom each door says that they are not meant hear the same of an account as of none (ROUTE-10).
#[tokio::test]
async fn route_10_no_door_tells_strangers_who_is_there() {
    let house = full().await;
    for module in ALL {
        for door in module.info().iq {
            let payload = format!("<{0} xmlns='{1}'/>", door.name, door.ns);
            for type_ in ["get", "set"] {
                let mut answers = Vec::new();
                for user in ["carol", "nobody"] {
                    let to = format!("{user}@one.example");
                    house
                        .iq_from("romeo@peer.example/x", type_, &to, &payload)
                        .await;
                    answers.push(house.take_sent().replace(user, "USER"));
                    house.clear();
                }
                assert_eq!(
                    answers[0],
                    answers[1],
                    "{} {}",
                    module.info().name,
                    door.name
                );
            }
        }
    }
}
