//! Conformance over real sockets: the table of message delivery (RFC 6121 8.5.4) cell by cell, and what end-to-end encryption
//! asks of a server.
//!
//! The table stands here as it is printed, with the choice taken where it leaves one. What a cell says is seen from outside:
//! which sessions got the message, whether its sender heard an error, and whether it waited for the next session.

mod certified;
mod examples;
mod script;
mod secrets;
mod servers;
mod stage;
mod tree;

use std::collections::BTreeSet;

use crate::harness::demo::Demo;
use crate::harness::xmpp::Client;

const ALICE: &str = "alice@one.example";
const BOB: &str = "bob@one.example";
const TYPES: [&str; 5] = ["normal", "chat", "groupchat", "headline", "error"];

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// S: nobody hears of it.
    Silent,
    /// E
    Error,
    /// O
    Offline,
    /// D: the session that is named, or the only one that there is.
    Direct,
    /// M: the most available session.
    Most,
    /// A: every session of priority 0 or more.
    All,
}

use Fate::{All, Direct, Error, Most, Offline, Silent};

/// Sessions with their priorities, then for each address the five types. Errors are dropped unless a session is named
/// (8.5.2.1.1, 8.5.3.2.1).
type Block = (
    &'static str,
    &'static [(&'static str, i8)],
    [(&'static str, [Fate; 5]); 3],
);

const NOBODY: [Fate; 5] = [Silent; 5];
const NAMED: [Fate; 5] = [Direct; 5];

fn table() -> Vec<Block> {
    vec![
        (
            "account exists, but no active resources",
            &[],
            [
                ("", [Offline, Offline, Error, Silent, Silent]),
                ("nobody", [Error, Offline, Error, Silent, Silent]),
                ("", [Offline, Offline, Error, Silent, Silent]),
            ],
        ),
        (
            "1+ negative resources but zero non-negative resources",
            &[("minus", -1)],
            [
                ("", [Offline, Offline, Error, Silent, Silent]),
                ("minus", NAMED),
                ("nobody", [Error, Offline, Error, Silent, Silent]),
            ],
        ),
        (
            "1 non-negative resource",
            &[("one", 1)],
            [
                ("", [Direct, Direct, Error, Direct, Silent]),
                ("one", NAMED),
                ("nobody", [Error, Direct, Error, Silent, Silent]),
            ],
        ),
        (
            "1+ non-negative resources, and a negative one",
            &[("one", 1), ("five", 5), ("minus", -1)],
            [
                ("", [All, Most, Error, All, Silent]),
                ("one", NAMED),
                ("nobody", [Error, Most, Error, Silent, Silent]),
            ],
        ),
    ]
}

/// A subscription in both directions.
fn befriend(a: &mut Client, b: &mut Client, a_bare: &str, b_bare: &str) {
    for (one, other, one_bare, other_bare) in [(0, 1, a_bare, b_bare), (1, 0, b_bare, a_bare)] {
        let _ = (one, other);
        let (asks, says) = if one == 0 {
            (&mut *a, &mut *b)
        } else {
            (&mut *b, &mut *a)
        };
        asks.send(&format!("<presence to='{other_bare}' type='subscribe'/>"));
        says.until("type='subscribe'");
        says.send(&format!("<presence to='{one_bare}' type='subscribed'/>"));
        asks.until("type='subscribed'");
    }
}

/// One message, and what became of it.
fn observe(
    demo: &Demo,
    bob: &mut Client,
    sessions: &mut [(&'static str, Client)],
    to: &str,
    type_: &str,
    id: &str,
) -> (BTreeSet<&'static str>, bool, bool) {
    let inside = match type_ {
        "error" => {
            "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
        }
        _ => "<body>x</body>",
    };
    bob.send(&format!(
        "<message to='{to}' type='{type_}' id='{id}'>{inside}</message>"
    ));
    let mark = format!("id='{id}'");
    let heard = bob.settle();
    let refused = heard
        .iter()
        .any(|item| item.contains(&mark) && item.contains("type='error'"));
    let mut got = BTreeSet::new();
    for (name, session) in sessions.iter_mut() {
        if session.settle().iter().any(|item| item.contains(&mark)) {
            got.insert(*name);
        }
    }
    // The next session of priority 0 or more is shown what waits.
    let mut later = Client::online(demo, ALICE, "later");
    let waited = later
        .settle()
        .iter()
        .any(|item| item.contains(&mark) && item.contains("<delay "));
    later.close();
    for (_, session) in sessions.iter_mut() {
        session.settle();
    }
    (got, refused, waited)
}

/// IM-34, IM-35, IM-36, IM-37
#[test]
fn im_34_every_cell_of_the_table_of_delivery() {
    let demo = Demo::start();
    let mut bob = Client::online(&demo, BOB, "b");
    let mut alice = Client::online(&demo, ALICE, "a");
    // Who has asked for the roster is told of answers (RFC 6121 3.1.6).
    for client in [&mut alice, &mut bob] {
        client.iq("get", None, "<query xmlns='jabber:iq:roster'/>");
    }
    befriend(&mut alice, &mut bob, ALICE, BOB);
    alice.close();
    let mut n = 0;
    for (condition, resources, rows) in table() {
        let mut sessions: Vec<(&'static str, Client)> = Vec::new();
        for (name, priority) in resources {
            let mut session = Client::login(&demo, ALICE, name);
            session.send(&format!(
                "<presence><priority>{priority}</priority></presence>"
            ));
            let full = session.jid.clone();
            session.until(&format!("from='{full}'"));
            sessions.push((*name, session));
        }
        bob.settle();
        let non_negative: BTreeSet<&str> = resources
            .iter()
            .filter(|(_, priority)| *priority >= 0)
            .map(|(name, _)| *name)
            .collect();
        let most = resources.iter().max_by_key(|(_, priority)| *priority);
        for (resource, fates) in rows {
            let to = match resource {
                "" => ALICE.to_owned(),
                resource => format!("{ALICE}/{resource}"),
            };
            for (type_, fate) in TYPES.into_iter().zip(fates) {
                n += 1;
                let id = format!("cell-{n}");
                let (got, refused, waited) =
                    observe(&demo, &mut bob, &mut sessions, &to, type_, &id);
                let named: BTreeSet<&str> = match fate {
                    Direct if resources.iter().any(|(name, _)| *name == resource) => {
                        [resource].into()
                    }
                    Direct | Most => most.iter().map(|(name, _)| *name).collect(),
                    All => non_negative.clone(),
                    _ => BTreeSet::new(),
                };
                assert_eq!(
                    (got, refused, waited),
                    (named, fate == Error, fate == Offline),
                    "{condition}: {type_} to {to:?} is {fate:?}"
                );
            }
        }
        for (_, session) in sessions {
            session.close();
        }
    }
}

/// ROUTE-10: an account that does not exist looks to a stranger like one that nobody may write to.
#[test]
fn im_34_an_account_that_does_not_exist() {
    let demo = Demo::start();
    let mut bob = Client::online(&demo, BOB, "b");
    let mut none: Vec<(&'static str, Client)> = Vec::new();
    for (to, fates) in [
        (
            "nobody@one.example",
            [Silent, Silent, Error, Silent, Silent],
        ),
        ("nobody@one.example/x", NOBODY),
    ] {
        for (type_, fate) in TYPES.into_iter().zip(fates) {
            let id = format!("cell-{type_}-{}", to.len());
            let (got, refused, waited) = observe(&demo, &mut bob, &mut none, to, type_, &id);
            assert_eq!(
                (got.len(), refused, waited),
                (0, fate == Error, false),
                "{type_} to {to}"
            );
        }
    }
}

/// E2E-01, E2E-06, E2E-10: what is encrypted or about trust passes as it came, and the server has no part in it and no word
/// about it.
#[test]
fn e2e_10_trust_and_encryption_are_the_clients_matter() {
    let demo = Demo::start();
    let mut bob = Client::online(&demo, BOB, "b");
    let mut alice = Client::online(&demo, ALICE, "a");
    let to = alice.jid.clone();
    for (n, payload) in [
        "<trust-message xmlns='urn:xmpp:tm:1' usage='urn:xmpp:atm:1' encryption='urn:xmpp:omemo:2'>\
         <key-owner jid='x@y.example'><trust>aGFzaA==</trust></key-owner></trust-message>",
        "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'><keys jid='a@b.example'><key rid='2'>eA==</key></keys></header>\
         <payload>eA==</payload></encrypted><encryption xmlns='urn:xmpp:eme:0' namespace='urn:xmpp:omemo:2'/>",
        "<openpgp xmlns='urn:xmpp:openpgp:0'>eA==</openpgp>",
    ]
    .into_iter()
    .enumerate()
    {
        bob.send(&format!("<message to='{to}' type='chat' id='e{n}'>{payload}<store xmlns='urn:xmpp:hints'/></message>"));
        let got = alice.until(&format!("id='e{n}'"));
        assert!(got.contains(payload), "{got}");
    }
    for to in ["one.example", ALICE] {
        let info = alice.iq(
            "get",
            Some(to),
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
        );
        for claimed in [
            "omemo",
            "openpgp",
            "urn:xmpp:tm",
            "urn:xmpp:atm",
            "urn:xmpp:sce",
        ] {
            assert!(
                !info.contains(claimed),
                "{claimed} is nothing that a server does: {info}"
            );
        }
    }
    let guide =
        std::fs::read_to_string(crate::harness::tools::repository().join("docs/production.md"));
    let guide = guide.expect("the guide");
    assert!(
        guide.contains("end-to-end"),
        "who runs the server is told that it can read what is not encrypted end to end"
    );
}

/// E2E-08: in a room whose members know one another, each may ask for whom a message has to be encrypted, and hears of changes.
#[test]
fn e2e_08_members_of_an_open_members_only_room_know_all_recipients() {
    let demo = Demo::start();
    let room = "council@rooms.one.example";
    let mut alice = Client::online(&demo, ALICE, "a");
    let mut bob = Client::online(&demo, BOB, "b");
    alice.send(&format!(
        "<presence to='{room}/Alice'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    alice.until("code='110'");
    let field = |var: &str, value: &str| {
        format!("<field var='muc#roomconfig_{var}'><value>{value}</value></field>")
    };
    let form = format!(
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>\
         <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>{}{}</x></query>",
        field("membersonly", "1"),
        field("whois", "anyone")
    );
    let done = alice.iq("set", Some(room), &form);
    assert!(done.contains("type='result'"), "{done}");
    let item = |affiliation: &str, jid: &str| {
        format!(
            "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='{affiliation}' jid='{jid}'/></query>"
        )
    };
    alice.iq("set", Some(room), &item("member", BOB));
    bob.send(&format!(
        "<presence to='{room}/Bob'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
    ));
    bob.until("code='110'");
    for (affiliation, who) in [
        ("owner", Some(ALICE)),
        ("admin", None),
        ("member", Some(BOB)),
    ] {
        let asked = format!(
            "<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='{affiliation}'/></query>"
        );
        let list = bob.iq("get", Some(room), &asked);
        assert!(list.contains("type='result'"), "{list}");
        if let Some(who) = who {
            assert!(
                list.contains(&format!("jid='{who}'")),
                "{affiliation}: {list}"
            );
        }
    }
    alice.iq("set", Some(room), &item("admin", BOB));
    let told = bob.until("affiliation='admin'");
    assert!(told.contains(&format!("jid='{BOB}")), "{told}");
}

/// E2E-11: management of client certificates (XEP-0257) is off unless the owner wants it; nobody is told otherwise.
#[test]
fn e2e_11_client_certificates_are_managed_where_the_owner_wants_it_alone() {
    let demo = Demo::start();
    let mut alice = Client::online(&demo, ALICE, "a");
    let answer = alice.iq("get", None, "<items xmlns='urn:xmpp:saslcert:1'/>");
    assert!(answer.contains("<service-unavailable"), "{answer}");
    let info = alice.iq(
        "get",
        Some("one.example"),
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    );
    assert!(!info.contains("saslcert"), "{info}");
}

/// EXT-02, CS-05: the hash in the stream features is that of what disco says, at the node that it names.
#[test]
fn ext_02_the_server_s_capabilities_are_what_disco_says() {
    let demo = Demo::start();
    let mut connection = crate::harness::xmpp::Connection::open(demo.info.c2s, "one.example");
    connection.negotiate_tls(demo.roots());
    connection.header();
    connection.item();
    let answer = connection.plain("alice", demo.password(ALICE));
    assert!(answer.contains("<success"), "{answer}");
    connection.header();
    let features = connection.item();
    let element = crate::harness::xmpp::between(
        &features,
        "<c xmlns='http://jabber.org/protocol/caps'",
        "/>",
    )
    .unwrap_or_else(|| panic!("{features}"));
    let attr = |name: &str| {
        crate::harness::xmpp::between(element, &format!("{name}='"), "'")
            .unwrap_or_else(|| panic!("{element}"))
            .to_owned()
    };
    assert_eq!(attr("hash"), "sha-1");
    let mut alice = Client::online(&demo, ALICE, "a");
    let node = format!("{}#{}", attr("node"), attr("ver"));
    let asked = format!("<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>");
    let at_node = alice.iq("get", Some("one.example"), &asked);
    assert!(at_node.contains(&format!("node='{node}'")), "{at_node}");
    let plain = alice.iq(
        "get",
        Some("one.example"),
        "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    );
    let content = |answer: &str| {
        let (_, inside) = answer
            .split_once("<identity ")
            .unwrap_or_else(|| panic!("{answer}"));
        let (inside, _) = inside.split_once("</query>").expect("the end");
        inside.to_owned()
    };
    assert_eq!(content(&at_node), content(&plain));
}
