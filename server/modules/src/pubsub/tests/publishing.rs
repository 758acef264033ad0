//! Publishing, configuring, reading, retracting.

use super::*;

const TUNE: &str = "<tune xmlns='urn:tune'>la</tune>";

#[tokio::test]
async fn ext_03_a_publication_makes_its_node() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    house
        .iq(
            &alice,
            "set",
            None,
            &publication("urn:tune", "1", TUNE, &[]),
        )
        .await;
    house.got(
        &alice,
        "<iq to='alice@one.example/phone' type='result' id='q'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
         <publish node='urn:tune'><item id='1'/></publish></pubsub></iq>",
    );
    house
        .iq(&alice, "get", Some("alice@one.example"), &items("urn:tune"))
        .await;
    house.got(
        &alice,
        "<iq from='alice@one.example' to='alice@one.example/phone' type='result' id='q'>\
         <pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:tune'><item id='1'>\
         <tune xmlns='urn:tune'>la</tune></item></items></pubsub></iq>",
    );
    let nameless = request(&format!(
        "<publish node='urn:tune'><item>{TUNE}</item></publish>"
    ));
    house.iq(&alice, "set", None, &nameless).await;
    let answer = house.take(&alice);
    let id = answer
        .split("<item id='")
        .nth(1)
        .expect("an id")
        .split('\'')
        .next();
    assert_eq!(id.map(str::len), Some(32), "{answer}");
    house.iq(&alice, "get", None, &items("urn:tune")).await;
    assert_eq!(
        house.take(&alice).matches("<item ").count(),
        1,
        "one item is kept by default"
    );
}

#[tokio::test]
async fn ext_05_options_are_preconditions() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let open = [
        ("pubsub#access_model", "open"),
        ("pubsub#max_items", "max"),
        ("pubsub#persist_items", "true"),
    ];
    publish(&house, &alice, "urn:n", "1", &open).await;
    publish(&house, &alice, "urn:n", "2", &open).await;
    publish(
        &house,
        &alice,
        "urn:n",
        "3",
        &[("pubsub#max_items", "1000")],
    )
    .await;
    house.iq(&alice, "get", None, &items("urn:n")).await;
    assert_eq!(house.take(&alice).matches("<item ").count(), 3);
    for unmet in [
        ("pubsub#access_model", "presence"),
        ("pubsub#max_items", "7"),
        ("pubsub#persist_items", "0"),
    ] {
        house
            .iq(
                &alice,
                "set",
                None,
                &publication("urn:n", "4", TUNE, &[unmet]),
            )
            .await;
        let answer = house.take(&alice);
        assert!(
            answer.contains("<conflict ") && answer.contains("<precondition-not-met "),
            "{answer}"
        );
    }
    for unknown in [
        ("pubsub#children_max", "1"),
        ("pubsub#access_model", "authorize"),
        ("pubsub#max_items", "1001"),
    ] {
        for node in ["urn:n", "urn:new"] {
            house
                .iq(
                    &alice,
                    "set",
                    None,
                    &publication(node, "4", TUNE, &[unknown]),
                )
                .await;
            house.got_error(&alice, "not-acceptable");
        }
    }
    house.iq(&alice, "get", None, &items("urn:new")).await;
    house.got_error(&alice, "item-not-found");
}

#[tokio::test]
async fn ext_06_the_configuration_is_a_form() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    publish(&house, &alice, "urn:n", "1", &[]).await;
    let get = owner("<configure node='urn:n'/>");
    house.iq(&alice, "get", None, &get).await;
    let shown = house.take(&alice);
    for field in [
        "<field var='pubsub#access_model' type='list-single'><value>presence</value>",
        "<field var='pubsub#max_items' type='text-single' label='Items that are kept, at most 1000'><value>1</value>",
        "<field var='pubsub#send_last_published_item' type='list-single'><value>on_sub_and_presence</value>",
        "<field var='pubsub#deliver_payloads' type='boolean'><value>1</value>",
    ] {
        assert!(shown.contains(field), "{field} in {shown}");
    }
    assert!(!shown.contains("authorize"), "{shown}");
    let set = |fields: &[(&str, &str)]| {
        owner(&format!(
            "<configure node='urn:n'>{}</configure>",
            form("node_config", fields)
        ))
    };
    house
        .iq(
            &alice,
            "set",
            None,
            &set(&[
                ("pubsub#access_model", "whitelist"),
                ("pubsub#max_items", "max"),
            ]),
        )
        .await;
    house.got(
        &alice,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    house.iq(&alice, "get", None, &get).await;
    let shown = house.take(&alice);
    assert!(
        shown.contains("<value>whitelist</value><option label")
            && shown.contains("<value>max</value>"),
        "{shown}"
    );
    for (var, value) in [
        ("pubsub#access_model", "authorize"),
        ("pubsub#nonsense", "1"),
        ("pubsub#persist_items", "perhaps"),
    ] {
        house.iq(&alice, "set", None, &set(&[(var, value)])).await;
        house.got_error(&alice, "not-acceptable");
    }
    house.iq(&alice, "get", None, &owner("<default/>")).await;
    assert!(house.take(&alice).contains("<value>presence</value>"));
    let create = format!(
        "<create node='urn:made'/><configure>{}</configure>",
        form("node_config", &[("pubsub#access_model", "open")])
    );
    house.iq(&alice, "set", None, &request(&create)).await;
    house.got(
        &alice,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    house
        .iq(&alice, "set", None, &request("<create node='urn:made'/>"))
        .await;
    house.got_error(&alice, "conflict");
}

#[tokio::test]
async fn ext_06_items_are_retracted_purged_and_removed() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    for id in ["a", "b", "c"] {
        publish(&house, &alice, "urn:n", id, &[("pubsub#max_items", "max")]).await;
    }
    let retract = |id: &str| {
        request(&format!(
            "<retract node='urn:n' notify='true'><item id='{id}'/></retract>"
        ))
    };
    house.iq(&alice, "set", None, &retract("b")).await;
    house.got(
        &alice,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    house.iq(&alice, "set", None, &retract("b")).await;
    house.got_error(&alice, "item-not-found");
    house
        .iq(&alice, "set", None, &request("<retract node='urn:n'/>"))
        .await;
    house.got_error(&alice, "bad-request");
    house.iq(&alice, "get", None, &items("urn:n")).await;
    let left = house.take(&alice);
    assert!(
        left.contains("id='a'") && left.contains("id='c'") && !left.contains("id='b'"),
        "{left}"
    );
    house
        .iq(&alice, "set", None, &owner("<purge node='urn:n'/>"))
        .await;
    house.got(
        &alice,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    house.iq(&alice, "get", None, &items("urn:n")).await;
    assert!(house.take(&alice).contains("<items node='urn:n'/>"));
    house
        .iq(&alice, "set", None, &owner("<delete node='urn:n'/>"))
        .await;
    house.got(
        &alice,
        "<iq to='alice@one.example/phone' type='result' id='q'/>",
    );
    house
        .iq(&alice, "set", None, &owner("<delete node='urn:n'/>"))
        .await;
    house.got_error(&alice, "item-not-found");
}

#[tokio::test]
async fn ext_06_items_are_read_in_pages() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    for id in ["a", "b", "c", "d"] {
        publish(&house, &alice, "urn:n", id, &[("pubsub#max_items", "max")]).await;
    }
    let page = |rest: &str| {
        request(&format!(
            "<items node='urn:n'/><set xmlns='http://jabber.org/protocol/rsm'>{rest}</set>"
        ))
    };
    house
        .iq(&alice, "get", None, &page("<max>2</max><after>b</after>"))
        .await;
    let answer = house.take(&alice);
    assert!(
        answer.contains("<first index='2'>c</first><last>d</last><count>4</count>")
            && !answer.contains("id='b'"),
        "{answer}"
    );
    house
        .iq(&alice, "get", None, &page("<max>1</max><before/>"))
        .await;
    assert!(house.take(&alice).contains("<first index='3'>d</first>"));
    house
        .iq(&alice, "get", None, &page("<after>nothing</after>"))
        .await;
    house.got_error(&alice, "item-not-found");
    house
        .iq(&alice, "get", None, &page("<max>many</max>"))
        .await;
    house.got_error(&alice, "bad-request");
    house
        .iq(
            &alice,
            "get",
            None,
            &request("<items node='urn:n' max_items='2'/>"),
        )
        .await;
    let newest = house.take(&alice);
    assert!(
        newest.contains("id='c'") && newest.contains("id='d'") && !newest.contains("id='b'"),
        "{newest}"
    );
    house
        .iq(
            &alice,
            "get",
            None,
            &request("<items node='urn:n'><item id='b'/><item id='x'/></items>"),
        )
        .await;
    let named = house.take(&alice);
    assert!(
        named.contains("id='b'") && named.matches("<item ").count() == 1,
        "{named}"
    );
}

#[tokio::test]
async fn dos_10_limits_are_named_with_their_numbers() {
    let house = small().await;
    let alice = house.online("alice@one.example/phone").await;
    let refused = async |payload: &str, condition: &str, number: &str| {
        house.iq(&alice, "set", None, payload).await;
        let answer = house.take(&alice);
        assert!(
            answer.contains(condition) && answer.contains(number),
            "{condition} {number}: {answer}"
        );
    };
    let long = format!("<x xmlns='u'>{}</x>", "y".repeat(100));
    refused(
        &publication("n", "1", &long, &[]),
        "<payload-too-big ",
        "100 bytes",
    )
    .await;
    let max = [("pubsub#max_items", "max")];
    let middle = format!("<x xmlns='u'>{}</x>", "y".repeat(60));
    for id in ["1", "2", "3"] {
        house
            .iq(&alice, "set", None, &publication("n", id, &middle, &max))
            .await;
        assert!(house.take(&alice).contains("type='result'"));
    }
    refused(
        &publication("m", "1", &middle, &[]),
        "<policy-violation ",
        "300 bytes",
    )
    .await;
    publish(&house, &alice, "m", "1", &[]).await;
    refused(
        &publication("o", "1", TUNE, &[]),
        "<max-nodes-exceeded ",
        "2 nodes",
    )
    .await;
    refused(
        &request("<create node='o'/>"),
        "<max-nodes-exceeded ",
        "2 nodes",
    )
    .await;
    let name = "x".repeat(2_000);
    refused(
        &publication(&name, "1", TUNE, &[]),
        "<not-acceptable ",
        "1023 bytes",
    )
    .await;
    refused(
        &publication("n", &name, TUNE, &[]),
        "<not-acceptable ",
        "1023 bytes",
    )
    .await;
    let members = ["a", "b", "c"]
        .map(|n| format!("<affiliation jid='{n}@peer.example' affiliation='member'/>"));
    let members = owner(&format!(
        "<affiliations node='n'>{}</affiliations>",
        members.concat()
    ));
    refused(&members, "<policy-violation ", "2 members").await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    for (type_, payload, condition) in [
        ("set", request(""), "bad-request"),
        ("set", request("<publish node='n'/>"), "bad-request"),
        (
            "set",
            request("<publish><item><x xmlns='u'/></item></publish>"),
            "bad-request",
        ),
        (
            "set",
            request("<publish node='n'><item/></publish>"),
            "bad-request",
        ),
        (
            "set",
            request("<publish node='n'><item><x xmlns='u'/><y xmlns='u'/></item></publish>"),
            "bad-request",
        ),
        (
            "set",
            request("<publish node='n'><item><x xmlns='u'/></item><item/></publish>"),
            "bad-request",
        ),
        (
            "set",
            request("<publish node='n'><item><x xmlns='u'/></item></publish><publish-options/>"),
            "bad-request",
        ),
        (
            "set",
            request("<options node='n' jid='alice@one.example'/>"),
            "feature-not-implemented",
        ),
        ("set", request("<nonsense/>"), "feature-not-implemented"),
        ("get", request("<items/>"), "bad-request"),
        ("get", request("<items node='n'/>"), "item-not-found"),
        ("set", owner("<configure node='n'/>"), "bad-request"),
        ("set", owner("<purge/>"), "bad-request"),
        ("get", owner("<nonsense/>"), "feature-not-implemented"),
    ] {
        house.iq(&alice, type_, None, &payload).await;
        house.got_error(&alice, condition);
    }
}

#[tokio::test]
async fn ext_03_it_is_in_disco_exactly_when_it_is_on() {
    let mut house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    publish(&house, &alice, "urn:n", "1", &[]).await;
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let of_node = "<query xmlns='http://jabber.org/protocol/disco#info' node='urn:n'/>";
    let list = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    house
        .iq(&alice, "get", Some("alice@one.example"), info)
        .await;
    let answer = house.take(&alice);
    for part in [
        "<identity category='pubsub' type='pep'/>",
        "var='http://jabber.org/protocol/pubsub#publish-options'",
        "var='http://jabber.org/protocol/pubsub#config-node-max'",
        "var='http://jabber.org/protocol/pubsub#multi-items'",
        "var='http://jabber.org/protocol/pubsub#persistent-items'",
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    house
        .iq(&alice, "get", Some("alice@one.example"), of_node)
        .await;
    assert!(
        house
            .take(&alice)
            .contains("<identity category='pubsub' type='leaf'/>")
    );
    house
        .iq(&alice, "get", Some("alice@one.example"), list)
        .await;
    assert!(
        house
            .take(&alice)
            .contains("<item jid='alice@one.example' node='urn:n'/>")
    );
    house.settings(|s| s.off = vec!["pubsub".into()]);
    house
        .iq(&alice, "get", Some("alice@one.example"), info)
        .await;
    let answer = house.take(&alice);
    assert!(
        !answer.contains("pubsub") && answer.contains("registered"),
        "{answer}"
    );
    house
        .iq(&alice, "get", Some("alice@one.example"), list)
        .await;
    assert!(!house.take(&alice).contains("urn:n"));
    house
        .iq(&alice, "set", None, &publication("urn:n", "2", TUNE, &[]))
        .await;
    house.got_error(&alice, "service-unavailable");
}

#[tokio::test]
async fn e2e_06_payloads_come_back_as_they_were() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let payload = "<p:list xmlns:p='urn:p' xml:lang='de' p:a='&lt;&apos;'>\u{2603} &amp; <b xmlns=''/><p:c/>\n</p:list>";
    house
        .iq(
            &alice,
            "set",
            None,
            &publication("urn:p", "1", payload, &[]),
        )
        .await;
    house.take(&alice);
    house.iq(&alice, "get", None, &items("urn:p")).await;
    let answer = house.take(&alice);
    let start = answer.find("<list").expect("the payload");
    let end = answer.find("</item>").expect("its end");
    let read = Element::parse(&answer[start..end], super::super::PUBSUB).expect("well-formed");
    let sent = Element::parse(payload, super::super::PUBSUB).expect("well-formed");
    assert_eq!(read, sent);
}

/// XEP-0060 7.1.1, 7.1.3.6: a node that keeps nothing and shows nothing takes no items, and cannot give or take back any.
#[tokio::test]
async fn ext_06_a_node_that_keeps_and_shows_nothing_has_no_items() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let field = |var: &str| format!("<field var='pubsub#{var}'><value>0</value></field>");
    let made = format!(
        "<create node='bell'/><configure><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
         <value>http://jabber.org/protocol/pubsub#node_config</value></field>{}{}</x></configure>",
        field("persist_items"),
        field("deliver_payloads")
    );
    house.iq(&alice, "set", None, &request(&made)).await;
    assert!(house.take(&alice).contains("type='result'"));
    house
        .iq(&alice, "set", None, &request("<publish node='bell'/>"))
        .await;
    let told = house.take(&alice);
    assert!(told.contains("<publish node='bell'/>"), "{told}");
    let item = format!("<publish node='bell'><item id='1'>{TUNE}</item></publish>");
    let retract = "<retract node='bell'><item id='1'/></retract>";
    for (asked, condition) in [
        (item.as_str(), "<item-forbidden "),
        (retract, "feature='persistent-items'"),
    ] {
        house.iq(&alice, "set", None, &request(asked)).await;
        let told = house.take(&alice);
        assert!(told.contains(condition), "{told}");
    }
    house.iq(&alice, "get", None, &items("bell")).await;
    let told = house.take(&alice);
    assert!(told.contains("feature='persistent-items'"), "{told}");
}

/// XEP-0060 8.1.2, 6.2.3.3, 8.9.2.4: what is refused is refused with the condition that its text names.
#[tokio::test]
async fn ext_06_nameless_nodes_others_subscriptions_and_other_relations_are_refused() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    publish(&house, &alice, "urn:n", "1", &[]).await;
    let owner = "http://jabber.org/protocol/pubsub#owner";
    let publisher = format!(
        "<pubsub xmlns='{owner}'><affiliations node='urn:n'><affiliation jid='bob@one.example' affiliation='publisher'/>\
         </affiliations></pubsub>"
    );
    let unsubscribe = request("<unsubscribe node='urn:n' jid='bob@one.example'/>");
    for (asked, conditions) in [
        (
            request("<create/>"),
            ["<not-acceptable ", "<nodeid-required "],
        ),
        (unsubscribe, ["<forbidden ", "type='auth'"]),
        (
            publisher,
            [
                "<feature-not-implemented ",
                "feature='publisher-affiliation'",
            ],
        ),
    ] {
        house.iq(&alice, "set", None, &asked).await;
        let told = house.take(&alice);
        let all = conditions.iter().all(|condition| told.contains(condition));
        assert!(all, "{conditions:?}: {told}");
    }
}
