//! What a component may, and that it may nothing else.

use xmpp::jid::Jid;
use xmpp::ns;

use super::PRIVILEGE;
use crate::delegation::{DELEGATION, REMAINING_INFO, REMAINING_ITEMS};
use crate::grants::{Access, Delegated, Grants, Presences};
use crate::hooks;
use crate::testing::{House, stanza};

const BRIDGE: &str = "bridge.one.example";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
const VCARD: &str = "vcard-temp";

async fn house(grants: Grants) -> House {
    let mut house = House::new().await;
    house.settings(|settings| {
        settings.components = vec!["bridge".into(), "other".into()];
        settings.grants = vec![Grants {
            label: "bridge".into(),
            ..grants
        }];
    });
    house
}

fn roster(access: Access) -> Grants {
    Grants {
        roster: access,
        roster_push: true,
        ..Grants::default()
    }
}

#[tokio::test]
async fn rosters_are_read_and_written_as_granted() {
    let get = "<query xmlns='jabber:iq:roster'/>";
    let set = "<query xmlns='jabber:iq:roster'><item jid='romeo@peer.example' name='R'/></query>";
    for (access, may_get, may_set) in [
        (Access::None, false, false),
        (Access::Get, true, false),
        (Access::Set, false, true),
        (Access::Both, true, true),
    ] {
        let house = house(roster(access)).await;
        let phone = house.online("alice@one.example/phone").await;
        for (type_, payload, may) in [("get", get, may_get), ("set", set, may_set)] {
            house
                .iq_from(BRIDGE, type_, "alice@one.example", payload)
                .await;
            match may {
                true => {
                    let answer = house.take_sent();
                    assert!(answer.contains(" type='result'"), "{access:?}: {answer}");
                }
                false => house.sent_error("alice@one.example", "forbidden"),
            }
        }
        if may_set {
            house.got_push(
                &phone,
                "<item jid='romeo@peer.example' name='R' subscription='none'/>",
            );
        }
        // It hears of changes of what it may read.
        if access == Access::Both {
            let push = house.take_sent();
            assert!(
                push.starts_with("<iq from='alice@one.example' to='bridge.one.example' type='set'"),
                "{push}"
            );
        }
        house.sent("");
    }
}

#[tokio::test]
async fn nobody_else_has_the_grant_and_no_other_domain() {
    let all = Grants {
        messages: true,
        presence: Presences::Roster,
        iq: vec![(VCARD.into(), Access::Both)],
        ..roster(Access::Both)
    };
    let house = house(all).await;
    let get = "<query xmlns='jabber:iq:roster'/>";
    for from in [
        "x@bridge.one.example",
        "bridge.one.example/x",
        "other.one.example",
        "bridge.two.example",
        "one.example.bridge",
        "sub.bridge.one.example",
    ] {
        house.iq_from(from, "get", "alice@one.example", get).await;
        house.sent_error("alice@one.example", "forbidden");
        let ask = privileged("get", "", "<vCard xmlns='vcard-temp'/>");
        house.iq_from(from, "get", "alice@one.example", &ask).await;
        house.sent_error("alice@one.example", "forbidden");
    }
    let ask = privileged("get", "", "<vCard xmlns='vcard-temp'/>");
    for (to, payload) in [
        ("dave@two.example", get),
        ("dave@two.example", &*ask),
        ("one.example", &*ask),
        ("nobody@one.example", &*ask),
    ] {
        house.iq_from(BRIDGE, "get", to, payload).await;
        house.sent_error(to, "forbidden");
    }
}

fn privileged(type_: &str, attributes: &str, payload: &str) -> String {
    format!(
        "<privileged_iq xmlns='{PRIVILEGE}'><iq xmlns='{}' type='{type_}' id='inner' {attributes}>{payload}</iq></privileged_iq>",
        ns::CLIENT
    )
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("{text}"));
    rest.split_once(end).unwrap_or_else(|| panic!("{text}")).0
}

#[tokio::test]
async fn a_question_in_an_account_s_name_is_answered_to_the_component() {
    let grants = Grants {
        iq: vec![(PUBSUB.into(), Access::Set), (VCARD.into(), Access::Get)],
        ..Grants::default()
    };
    let house = house(grants).await;
    let ask = privileged(
        "set",
        "to='pubsub.peer.example'",
        "<pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='n' jid='alice@one.example'/></pubsub>",
    );
    house
        .iq_from(BRIDGE, "set", "alice@one.example", &ask)
        .await;
    let asked = house.take_sent();
    assert!(
        asked.starts_with(
            "<iq from='alice@one.example' to='pubsub.peer.example' type='set' id='errand-"
        ),
        "{asked}"
    );
    let id = between(&asked, " id='", "'").to_owned();
    let answer = |from: &str| {
        format!(
            "<iq from='{from}' to='alice@one.example' id='{id}' type='result'><pubsub xmlns='{PUBSUB}'/></iq>"
        )
    };
    assert!(
        !house.answered(&answer("evil.example")).await,
        "who was not asked"
    );
    assert!(house.answered(&answer("pubsub.peer.example")).await);
    let envelope = house.take_sent();
    for part in [
        "<iq from='alice@one.example' to='bridge.one.example' type='result' id='q'>",
        "<privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'>",
        "id='inner'",
        "from='pubsub.peer.example'",
    ] {
        assert!(envelope.contains(part), "{part}: {envelope}");
    }
    assert!(
        !house.answered(&answer("pubsub.peer.example")).await,
        "once"
    );

    // To the account itself; then nobody answers at all.
    let own = privileged(
        "get",
        "from='alice@one.example'",
        "<vCard xmlns='vcard-temp'/>",
    );
    house
        .iq_from(BRIDGE, "get", "alice@one.example", &own)
        .await;
    let envelope = house.take_sent();
    assert!(
        envelope.contains("<forwarded ") && envelope.contains("id='inner'"),
        "{envelope}"
    );
    house
        .iq_from(BRIDGE, "set", "alice@one.example", &ask)
        .await;
    house.take_sent();
    house.later(61);
    let bridge = Jid::parse(BRIDGE).expect("an address");
    hooks::errands_due(&house.context("one.example"), &bridge, false).await;
    house.sent_error("alice@one.example", "remote-server-timeout");
}

#[tokio::test]
async fn questions_that_do_not_fit_are_forbidden() {
    let grants = Grants {
        iq: vec![(PUBSUB.into(), Access::Set)],
        ..Grants::default()
    };
    let house = house(grants).await;
    let payload = "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>";
    let other = format!(
        "<privileged_iq xmlns='{PRIVILEGE}'><iq type='set' id='i'>{payload}</iq></privileged_iq>"
    );
    let empty = format!("<privileged_iq xmlns='{PRIVILEGE}'/>");
    let good = privileged("set", "", payload);
    let twice = good.replace("</privileged_iq>", "<x xmlns='y'/></privileged_iq>");
    for (type_, ask, condition) in [
        ("get", privileged("get", "", payload), "forbidden"),
        ("get", good, "forbidden"),
        ("set", privileged("get", "", payload), "forbidden"),
        (
            "set",
            privileged("set", "", "<vCard xmlns='vcard-temp'/>"),
            "forbidden",
        ),
        (
            "set",
            privileged("set", "from='bob@one.example'", payload),
            "forbidden",
        ),
        (
            "set",
            privileged("set", "from='alice@one.example/phone'", payload),
            "forbidden",
        ),
        ("set", privileged("set", "from='@'", payload), "forbidden"),
        ("set", privileged("set", "to='@'", payload), "jid-malformed"),
        ("set", privileged("set", "", ""), "bad-request"),
        (
            "set",
            privileged("set", "", &payload.repeat(2)),
            "bad-request",
        ),
        ("set", other, "forbidden"),
        ("set", empty, "bad-request"),
        ("set", twice, "bad-request"),
    ] {
        house
            .iq_from(BRIDGE, type_, "alice@one.example", &ask)
            .await;
        house.sent_error("alice@one.example", condition);
        house.sent("");
    }
    let full = format!(
        "<iq from='{BRIDGE}' to='alice@one.example/phone' type='set' id='q'>{}</iq>",
        privileged("set", "", payload)
    );
    assert!(hooks::is_misdirected(&stanza(&full)));
}

async fn say(house: &House, content: &str) {
    let xml = format!("<message from='{BRIDGE}' to='one.example' id='m'>{content}</message>");
    let message = stanza(&xml);
    assert!(hooks::is_envelope(&message), "{xml}");
    hooks::message_to_server(&house.context("one.example"), &message).await;
}

fn forwarded(inner: &str) -> String {
    format!(
        "<privilege xmlns='{PRIVILEGE}'><forwarded xmlns='{}'>{inner}</forwarded></privilege>",
        ns::FORWARD
    )
}

#[tokio::test]
async fn messages_in_the_names_of_the_domain_and_its_accounts() {
    let outgoing = Grants {
        messages: true,
        ..Grants::default()
    };
    let house = house(outgoing).await;
    let inner = |from: &str| {
        format!(
            "<message xmlns='jabber:client' from='{from}' to='romeo@peer.example/x' id='i'><body>hi</body></message>"
        )
    };
    for from in ["alice@one.example", "one.example"] {
        say(&house, &forwarded(&inner(from))).await;
        let sent = house.take_sent();
        assert!(
            sent.contains(&format!("from='{from}'")) && sent.contains("<body>hi</body>"),
            "{sent}"
        );
    }
    let plain = inner("alice@one.example");
    for (content, condition) in [
        (forwarded(&inner("alice@one.example/phone")), "forbidden"),
        (forwarded(&inner("dave@two.example")), "forbidden"),
        (forwarded(&inner("rooms.one.example")), "forbidden"),
        (forwarded(&inner("nobody@one.example")), "forbidden"),
        (
            forwarded(&plain.replace("from='alice@one.example' ", "")),
            "forbidden",
        ),
        (
            forwarded(&plain.replace(" to='romeo@peer.example/x'", "")),
            "bad-request",
        ),
        (
            forwarded(&plain.replace("xmlns='jabber:client' ", "")),
            "bad-request",
        ),
        (
            forwarded(&plain.replace(" id='i'", " id='i' type='error'")),
            "bad-request",
        ),
        (
            forwarded(&plain.replace("romeo@peer.example/x", "@")),
            "bad-request",
        ),
        (forwarded(""), "bad-request"),
        (format!("<privilege xmlns='{PRIVILEGE}'/>"), "bad-request"),
    ] {
        say(&house, &content).await;
        house.sent_error("one.example", condition);
        house.sent("");
    }
    let nothing = super::tests::house(Grants::default()).await;
    say(&nothing, &forwarded(&plain)).await;
    nothing.sent_error("one.example", "forbidden");
}

#[tokio::test]
async fn presence_of_sessions_and_of_their_contacts() {
    let grants = Grants {
        presence: Presences::Roster,
        ..roster(Access::Get)
    };
    let house = house(grants).await;
    house.item("alice", "romeo@peer.example", "to").await;
    house.item("bob", "romeo@peer.example", "both").await;
    let phone = house.bind("alice@one.example/phone");
    house
        .presence(&phone, "<presence><show>chat</show></presence>")
        .await;
    house
        .presence(&phone, "<presence><show>away</show></presence>")
        .await;
    let tells = |house: &House| {
        let mut told = Vec::new();
        loop {
            match house.take_sent() {
                end if end.is_empty() => return told,
                sent if sent.contains(&format!("to='{BRIDGE}'")) => told.push(sent),
                _ => {}
            }
        }
    };
    let told = tells(&house);
    assert_eq!(told.len(), 1, "the first only: {told:?}");
    assert!(
        told[0].contains("from='alice@one.example/phone'") && told[0].contains("chat"),
        "{told:?}"
    );
    house
        .presence(&phone, "<presence type='unavailable'/>")
        .await;
    assert_eq!(tells(&house).len(), 1);
    house.gone(&phone).await;
    assert!(tells(&house).is_empty(), "it has said so");

    for to in ["alice@one.example", "bob@one.example"] {
        let xml = format!("<presence from='romeo@peer.example/orchard' to='{to}'/>");
        house.presence_in(&xml).await;
    }
    let told = tells(&house);
    assert_eq!(told.len(), 1, "of both accounts one: {told:?}");
    assert!(
        told[0].contains("from='romeo@peer.example/orchard'"),
        "{told:?}"
    );
    for xml in [
        "<presence from='stranger@peer.example/x' to='alice@one.example'/>",
        "<presence from='romeo@peer.example' to='alice@one.example' type='probe'/>",
        "<presence from='romeo@peer.example/orchard' to='carol@one.example'><show>xa</show></presence>",
    ] {
        house.presence_in(xml).await;
        assert!(tells(&house).is_empty(), "{xml}");
    }
}

fn delegating(attributes: &[&str]) -> Grants {
    Grants {
        delegated: vec![Delegated {
            namespace: VCARD.into(),
            attributes: attributes.iter().map(|name| (*name).into()).collect(),
        }],
        ..Grants::default()
    }
}

#[tokio::test]
async fn a_delegated_request_is_the_component_s_and_its_answer_the_domain_s() {
    let house = house(delegating(&[])).await;
    let phone = house.bind("alice@one.example/phone");
    house
        .iq(&phone, "get", None, "<vCard xmlns='vcard-temp'/>")
        .await;
    let request = house.take_sent();
    for part in [
        "<iq from='one.example' to='bridge.one.example' type='set' id='errand-",
        "<delegation xmlns='urn:xmpp:delegation:2'><forwarded xmlns='urn:xmpp:forward:0'>",
        "from='alice@one.example/phone'",
        "xmlns='jabber:client'",
    ] {
        assert!(request.contains(part), "{part}: {request}");
    }
    let id = between(&request, " id='", "'");
    let answer = delegation_answer(id, "to='alice@one.example/phone' id='q' type='result'");
    assert!(house.answered(&answer).await);
    house.got(
        &phone,
        "<iq to='alice@one.example/phone' type='result' id='q'><vCard xmlns='vcard-temp'><FN>A</FN></vCard></iq>",
    );
    // From elsewhere, to a bare address; and what the component itself asks is nobody's but ours.
    house
        .iq_from(
            "romeo@peer.example/x",
            "get",
            "alice@one.example",
            "<vCard xmlns='vcard-temp'/>",
        )
        .await;
    assert!(house.take_sent().contains("to='bridge.one.example'"));
    house
        .iq_from(
            BRIDGE,
            "get",
            "alice@one.example",
            "<vCard xmlns='vcard-temp'/>",
        )
        .await;
    let own = house.take_sent();
    assert!(!own.contains(DELEGATION), "{own}");
}

/// XEP-0355 7.2.4 and 7.2.5: whatever nobody here knows of an account is asked of the component, and nothing else.
#[tokio::test]
async fn what_disco_does_not_know_of_an_account_is_the_component_s() {
    let info = "http://jabber.org/protocol/disco#info";
    let items = "http://jabber.org/protocol/disco#items";
    for (namespace, query, node, passes) in [
        (REMAINING_INFO, info, " node='urn:xmpp:microblog:0'", true),
        (REMAINING_INFO, info, "", false),
        (REMAINING_INFO, items, " node='urn:xmpp:microblog:0'", false),
        (REMAINING_ITEMS, items, " node='urn:xmpp:microblog:0'", true),
        (REMAINING_ITEMS, items, "", true),
        (REMAINING_ITEMS, info, " node='urn:xmpp:microblog:0'", false),
    ] {
        let delegated = vec![Delegated {
            namespace: namespace.into(),
            attributes: Vec::new(),
        }];
        let house = house(Grants {
            delegated,
            ..Grants::default()
        })
        .await;
        let phone = house.bind("alice@one.example/phone");
        let alice = Some("alice@one.example");
        let asked = format!("<query xmlns='{query}'{node}/>");
        house.iq(&phone, "get", alice, &asked).await;
        let (sent, answer) = (house.take_sent(), house.take(&phone));
        assert_eq!(
            sent.contains("<delegation "),
            passes,
            "{namespace} {asked}: {sent}"
        );
        assert_eq!(answer.is_empty(), passes, "{namespace} {asked}: {answer}");
        // Nodes of a stranger's are not asked about at all.
        if query == info {
            let stranger = "romeo@peer.example/x";
            house
                .iq_from(stranger, "get", "alice@one.example", &asked)
                .await;
            let sent = house.take_sent();
            assert!(!sent.contains("<delegation "), "{asked}: {sent}");
        }
    }
}

fn delegation_answer(id: &str, inner: &str) -> String {
    format!(
        "<iq from='{BRIDGE}' to='one.example' id='{id}' type='result'><delegation xmlns='{DELEGATION}'><forwarded xmlns='{}'>\
         <iq xmlns='jabber:client' {inner}><vCard xmlns='vcard-temp'><FN>A</FN></vCard></iq></forwarded></delegation></iq>",
        ns::FORWARD
    )
}

#[tokio::test]
async fn answers_that_do_not_fit_are_none() {
    let house = house(delegating(&[])).await;
    let phone = house.bind("alice@one.example/phone");
    let good = "to='alice@one.example/phone' id='q' type='result'";
    for (from, to) in [
        (good, "to='bob@one.example/phone' id='q' type='result'"),
        (good, "to='alice@one.example' id='q' type='result'"),
        (good, "id='q' type='result'"),
        (
            good,
            "to='alice@one.example/phone' id='other' type='result'",
        ),
        (good, "to='alice@one.example/phone' id='q' type='set'"),
        (
            good,
            "to='alice@one.example/phone' id='q' type='result' from='bob@one.example'",
        ),
        ("<iq xmlns='jabber:client'", "<iq xmlns='jabber:server'"),
        (
            "</vCard></iq></forwarded>",
            "</vCard><x xmlns='y'/></iq></forwarded>",
        ),
        ("urn:xmpp:forward:0", "urn:xmpp:forward:1"),
        ("urn:xmpp:delegation:2", "urn:xmpp:delegation:1"),
    ] {
        house
            .iq(&phone, "get", None, "<vCard xmlns='vcard-temp'/>")
            .await;
        let id = between(&house.take_sent(), " id='", "'").to_owned();
        let answer = delegation_answer(&id, good).replace(from, to);
        assert!(house.answered(&answer).await, "{answer}");
        house.got_error(&phone, "service-unavailable");
    }
    // An error says the same, and so does a component that has gone.
    house
        .iq(&phone, "get", None, "<vCard xmlns='vcard-temp'/>")
        .await;
    let id = between(&house.take_sent(), " id='", "'").to_owned();
    let error = format!("<iq from='{BRIDGE}' to='one.example' id='{id}' type='error'/>");
    assert!(
        !house
            .answered(&error.replace(BRIDGE, "other.one.example"))
            .await
    );
    assert!(house.answered(&error).await);
    house.got_error(&phone, "service-unavailable");
    house
        .iq(&phone, "get", None, "<vCard xmlns='vcard-temp'/>")
        .await;
    let bridge = Jid::parse(BRIDGE).expect("an address");
    hooks::errands_due(&house.context("one.example"), &bridge, true).await;
    house.got_error(&phone, "service-unavailable");
}

#[tokio::test]
async fn a_filtering_attribute_must_be_there() {
    let house = house(delegating(&["node"])).await;
    let phone = house.bind("alice@one.example/phone");
    house
        .iq(&phone, "get", None, "<vCard xmlns='vcard-temp'/>")
        .await;
    house.sent("");
    house.got_error(&phone, "item-not-found");
    house
        .iq(&phone, "get", None, "<vCard xmlns='vcard-temp' node='x'/>")
        .await;
    assert!(house.take_sent().contains(DELEGATION));
}

#[tokio::test]
async fn a_component_is_told_what_it_may() {
    let grants = Grants {
        messages: true,
        presence: Presences::ManagedEntity,
        iq: vec![(PUBSUB.into(), Access::Set)],
        ..roster(Access::Both)
    };
    let house = house(Grants {
        delegated: delegating(&["node"]).delegated,
        ..grants
    })
    .await;
    let cx = house.context("one.example");
    let told = |label: &str| -> Vec<String> {
        let told = hooks::advertisements(cx.hosted, label);
        told.iter()
            .map(|s| String::from_utf8_lossy(s.bytes()).into_owned())
            .collect()
    };
    let [privileges, delegations] = &told("bridge")[..] else {
        panic!("two messages")
    };
    assert!(
        privileges.contains(
            "<privilege xmlns='urn:xmpp:privilege:2'><perm access='roster' type='both' push='true'/>\
             <perm access='message' type='outgoing'/>\
             <perm access='iq'><namespace ns='http://jabber.org/protocol/pubsub' type='set'/></perm>\
             <perm access='presence' type='managed_entity'/></privilege>"
        ),
        "{privileges}"
    );
    assert!(
        delegations.contains(
            "<delegation xmlns='urn:xmpp:delegation:2'><delegated namespace='vcard-temp'><attribute name='node'/>\
             </delegated></delegation>"
        ),
        "{delegations}"
    );
    let nothing = told("other").join("");
    assert!(
        nothing.contains("<perm access='message' type='none'/>"),
        "{nothing}"
    );
    assert!(
        nothing.contains("<delegation xmlns='urn:xmpp:delegation:2'/>"),
        "{nothing}"
    );
}

#[tokio::test]
async fn a_name_that_somebody_hosts_is_no_component_any_more() {
    let all = Grants {
        messages: true,
        presence: Presences::Roster,
        iq: vec![(VCARD.into(), Access::Both)],
        delegated: delegating(&[]).delegated,
        ..roster(Access::Both)
    };
    let mut house = house(all).await;
    // Of this name, the house hosts what is no component.
    house.settings(|settings| {
        settings.components = vec!["rooms".into()];
        settings.grants[0].label = "rooms".into();
    });
    let name = "rooms.one.example";
    let cx = house.context("one.example");
    let jid = Jid::parse(name).expect("an address");
    assert!(cx.grants_of(&jid).is_none());
    assert_eq!(cx.told_presence(Presences::ManagedEntity).count(), 0);
    let phone = house.bind("alice@one.example/phone");
    house
        .iq(&phone, "get", None, "<vCard xmlns='vcard-temp'/>")
        .await;
    house.got_error(&phone, "item-not-found");
}
