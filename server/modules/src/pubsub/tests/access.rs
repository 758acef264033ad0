//! Who may read, and what those learn who may not.

use super::*;

const ALICE: &str = "alice@one.example";
const ROMEO: &str = "romeo@peer.example/x";

async fn asks(house: &House, from: &str, to: &str, payload: &str) -> String {
    house.iq_from(from, "get", to, payload).await;
    house.take_sent()
}

#[tokio::test]
async fn ext_06_the_access_models() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    for model in ["open", "presence", "whitelist"] {
        publish(
            &house,
            &alice,
            model,
            "1",
            &[("pubsub#access_model", model)],
        )
        .await;
    }
    publish(
        &house,
        &alice,
        "roster",
        "1",
        &[
            ("pubsub#access_model", "roster"),
            ("pubsub#roster_groups_allowed", "Friends"),
        ],
    )
    .await;
    let reads = async |from: &str, node: &str| {
        let answer = asks(&house, from, ALICE, &items(node)).await;
        if answer.contains("type='result'") {
            assert!(answer.contains("<item id='1'>"), "{answer}");
            return "yes".to_owned();
        }
        let app = answer.split("pubsub#errors'").next().unwrap_or_default();
        let app = app.rsplit('<').next().unwrap_or_default();
        app.split(' ').next().unwrap_or_default().to_owned()
    };
    assert_eq!(reads(ROMEO, "open").await, "yes");
    house.item("alice", "romeo@peer.example", "to").await;
    assert_eq!(reads(ROMEO, "open").await, "yes");
    assert_eq!(
        reads(ROMEO, "presence").await,
        "presence-subscription-required"
    );
    assert_eq!(
        reads(ROMEO, "roster").await,
        "presence-subscription-required"
    );
    assert_eq!(reads(ROMEO, "whitelist").await, "closed-node");
    house.item("alice", "romeo@peer.example", "both").await;
    assert_eq!(reads(ROMEO, "presence").await, "yes");
    assert_eq!(reads(ROMEO, "roster").await, "not-in-roster-group");
    let mut friend =
        store::RosterItem::new(xmpp::jid::BareJid::parse("romeo@peer.example").expect("a JID"));
    friend.subscription = store::Subscription::From;
    friend.groups = vec!["Friends".into()];
    house.write("alice", friend).await;
    house.modules().forget_account(&alice.bare());
    assert_eq!(
        reads(ROMEO, "roster").await,
        "yes",
        "EXT-04: judged by the roster of this moment"
    );
    assert_eq!(reads(ROMEO, "whitelist").await, "closed-node");
    let affiliate = async |affiliation: &str| {
        let set = format!(
            "<affiliations node='whitelist'><affiliation jid='romeo@peer.example' affiliation='{affiliation}'/></affiliations>"
        );
        house.iq(&alice, "set", None, &owner(&set)).await;
        house.take(&alice)
    };
    assert!(affiliate("member").await.contains("type='result'"));
    assert_eq!(reads(ROMEO, "whitelist").await, "yes");
    assert!(affiliate("outcast").await.contains("type='result'"));
    assert_ne!(reads(ROMEO, "whitelist").await, "yes");
    for (more, condition) in [
        ("owner", "<not-acceptable "),
        ("publisher", "<feature-not-implemented "),
        ("publish-only", "<feature-not-implemented "),
        ("nonsense", "<not-acceptable "),
    ] {
        let told = affiliate(more).await;
        assert!(told.contains(condition), "E2E-09: {more}: {told}");
    }
    house
        .iq(
            &alice,
            "get",
            None,
            &owner("<affiliations node='whitelist'/>"),
        )
        .await;
    let list = house.take(&alice);
    assert!(
        list.contains("<affiliation jid='alice@one.example' affiliation='owner'/>")
            && list.contains("<affiliation jid='romeo@peer.example' affiliation='outcast'/>"),
        "{list}"
    );
}

#[tokio::test]
async fn route_10_strangers_cannot_tell_accounts_from_none_by_nodes() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    publish(&house, &alice, "closed", "1", &[]).await;
    for account in [ALICE, "nobody@one.example"] {
        for payload in [
            items("closed"),
            items("missing"),
            request("<subscriptions/>"),
            request("<affiliations/>"),
            request("<nonsense/>"),
            owner("<configure node='closed'/>"),
        ] {
            let answer = asks(&house, ROMEO, account, &payload).await;
            assert!(
                answer.contains("<service-unavailable ") && !answer.contains("#errors"),
                "{payload}: {answer}"
            );
        }
        for payload in [
            request("<subscribe node='closed' jid='romeo@peer.example'/>"),
            request("<unsubscribe node='closed' jid='romeo@peer.example'/>"),
            publication("closed", "2", "<x xmlns='u'/>", &[]),
            owner("<delete node='closed'/>"),
        ] {
            house.iq_from(ROMEO, "set", account, &payload).await;
            house.sent_error(account, "service-unavailable");
        }
        let list = asks(
            &house,
            ROMEO,
            account,
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
        )
        .await;
        assert!(
            list.contains("<query xmlns='http://jabber.org/protocol/disco#items'/>"),
            "{list}"
        );
    }
}

#[tokio::test]
async fn e2e_09_nobody_publishes_but_the_owner() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let bob = house.online("bob@one.example/desk").await;
    publish(
        &house,
        &alice,
        "open",
        "1",
        &[("pubsub#access_model", "open")],
    )
    .await;
    house.item("alice", "bob@one.example", "both").await;
    for payload in [
        publication("open", "2", "<x xmlns='u'/>", &[]),
        request("<retract node='open'><item id='1'/></retract>"),
        request("<create node='new'/>"),
        owner("<purge node='open'/>"),
        owner("<delete node='open'/>"),
        owner(&format!(
            "<configure node='open'>{}</configure>",
            form("node_config", &[])
        )),
        owner("<affiliations node='open'/>"),
    ] {
        house.iq(&bob, "set", Some(ALICE), &payload).await;
        house.got_error(&bob, "forbidden");
    }
    house.iq(&bob, "get", Some(ALICE), &items("open")).await;
    assert!(house.take(&bob).contains("<item id='1'>"));
}

#[tokio::test]
async fn ext_07_private_data_is_for_its_owner() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let private = [
        ("pubsub#persist_items", "true"),
        ("pubsub#access_model", "whitelist"),
    ];
    publish(&house, &alice, "urn:private", "1", &private).await;
    house.item("alice", "romeo@peer.example", "both").await;
    let answer = asks(&house, ROMEO, ALICE, &items("urn:private")).await;
    assert!(answer.contains("<closed-node "), "{answer}");
    let list = asks(
        &house,
        ROMEO,
        ALICE,
        "<query xmlns='http://jabber.org/protocol/disco#items'/>",
    )
    .await;
    assert!(!list.contains("urn:private"), "{list}");
    house.iq(&alice, "get", None, &items("urn:private")).await;
    assert!(house.take(&alice).contains("<item id='1'>"));
}

#[tokio::test]
async fn e2e_02_and_03_devices_and_bundles_are_open_to_everybody() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let open = [
        ("pubsub#access_model", "open"),
        ("pubsub#max_items", "max"),
        ("pubsub#persist_items", "true"),
    ];
    let devices =
        "<devices xmlns='urn:xmpp:omemo:2'><device id='12345'/><device id='4223'/></devices>";
    house
        .iq(
            &alice,
            "set",
            None,
            &publication("urn:xmpp:omemo:2:devices", "current", devices, &open[..1]),
        )
        .await;
    assert!(house.take(&alice).contains("type='result'"));
    // E2E-04: a bundle with a hundred keys, one item for each device.
    let keys: String = (0..100)
        .map(|n| format!("<pk id='{n}'>{}</pk>", "A".repeat(44)))
        .collect();
    for device in ["12345", "4223"] {
        let bundle = format!(
            "<bundle xmlns='urn:xmpp:omemo:2'><spk id='1'>x</spk><prekeys>{keys}</prekeys></bundle>"
        );
        house
            .iq(
                &alice,
                "set",
                None,
                &publication("urn:xmpp:omemo:2:bundles", device, &bundle, &open),
            )
            .await;
        assert!(house.take(&alice).contains("type='result'"));
    }
    // Neither subscribed nor in the roster, here and elsewhere.
    let answer = asks(&house, ROMEO, ALICE, &items("urn:xmpp:omemo:2:devices")).await;
    assert!(answer.contains("<device id='4223'/>"), "{answer}");
    let one = request("<items node='urn:xmpp:omemo:2:bundles'><item id='4223'/></items>");
    let answer = asks(&house, ROMEO, ALICE, &one).await;
    assert!(
        answer.contains("<item id='4223'>") && answer.matches("<pk ").count() == 100,
        "{answer}"
    );
    let dave = house.online("dave@two.example/desk").await;
    house.context("one.example");
    house
        .iq(
            &dave,
            "get",
            Some(ALICE),
            &items("urn:xmpp:omemo:2:bundles"),
        )
        .await;
    assert_eq!(house.take(&dave).matches("<item ").count(), 2);
    for closed in [
        items("urn:xmpp:avatar:metadata"),
        owner("<configure node='urn:xmpp:omemo:2:devices'/>"),
    ] {
        let answer = asks(&house, ROMEO, ALICE, &closed).await;
        assert!(
            answer.contains("<service-unavailable "),
            "other data stays closed: {answer}"
        );
    }
}

#[tokio::test]
async fn e2e_05_keys_of_openpgp() {
    let house = House::new().await;
    let alice = house.online("alice@one.example/phone").await;
    let backup = [
        ("pubsub#access_model", "whitelist"),
        ("pubsub#persist_items", "true"),
    ];
    let secret = "<secretkey xmlns='urn:xmpp:openpgp:0'>AAAA</secretkey>";
    house
        .iq(
            &alice,
            "set",
            None,
            &publication("urn:xmpp:openpgp:0:secret-key", "1", secret, &backup),
        )
        .await;
    assert!(house.take(&alice).contains("type='result'"));
    let key = "<pubkey xmlns='urn:xmpp:openpgp:0'><data>AAAA</data></pubkey>";
    let node = "urn:xmpp:openpgp:0:public-keys:1357B01865B2503C18453D208CAC2A9678548E35";
    house
        .iq(
            &alice,
            "set",
            None,
            &publication(
                node,
                "2018-01-01T00:00:00Z",
                key,
                &[("pubsub#access_model", "open")],
            ),
        )
        .await;
    assert!(house.take(&alice).contains("type='result'"));
    house.item("alice", "romeo@peer.example", "both").await;
    let answer = asks(
        &house,
        ROMEO,
        ALICE,
        &items("urn:xmpp:openpgp:0:secret-key"),
    )
    .await;
    assert!(answer.contains("<closed-node "), "{answer}");
    let answer = asks(&house, "nurse@peer.example/y", ALICE, &items(node)).await;
    assert!(answer.contains("<data>AAAA</data>"), "{answer}");
    // Notifications without payload where the node is so configured.
    let config = form("node_config", &[("pubsub#deliver_payloads", "0")]);
    house
        .iq(
            &alice,
            "set",
            None,
            &owner(&format!("<configure node='{node}'>{config}</configure>")),
        )
        .await;
    assert!(house.take(&alice).contains("type='result'"));
    let client = Client::interested_in(&[node]);
    let (_, told) = client.arrives(&house, "alice@one.example/desk").await;
    assert_eq!(notified(&told), [format!("{node} 2018-01-01T00:00:00Z")]);
    assert!(!told.concat().contains("<data>"), "{told:?}");
}

/// XEP-0060 6.1.3.9: who comes when a node has all the subscribers that it may have is told that, and to come later.
#[tokio::test]
async fn ext_06_dos_10_one_subscription_too_many_is_called_so() {
    let house = small().await;
    let alice = house.online("alice@one.example/phone").await;
    let open = [
        ("pubsub#access_model", "open"),
        ("pubsub#send_last_published_item", "never"),
    ];
    publish(&house, &alice, "n", "1", &open).await;
    let subscribes = async |jid: &str| {
        let subscribe = request(&format!("<subscribe node='n' jid='{jid}'/>"));
        house.iq_from(jid, "set", ALICE, &subscribe).await;
        house.take_sent()
    };
    for jid in ["a@peer.example/x", "b@peer.example/x"] {
        let answer = subscribes(jid).await;
        assert!(answer.contains("subscription='subscribed'"), "{answer}");
        house.clear();
    }
    let refused = subscribes("c@peer.example/x").await;
    for told in [
        "<error type='wait'>",
        "<policy-violation xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>",
        "<too-many-subscriptions xmlns='http://jabber.org/protocol/pubsub#errors'/>",
        "2 subscribers",
    ] {
        assert!(refused.contains(told), "{told}: {refused}");
    }
    // Who has subscribed may say so again, and who leaves makes room.
    let again = subscribes("a@peer.example/x").await;
    assert!(again.contains("subscription='subscribed'"), "{again}");
    house.clear();
    let leaves = request("<unsubscribe node='n' jid='b@peer.example/x'/>");
    house
        .iq_from("b@peer.example/x", "set", ALICE, &leaves)
        .await;
    house.clear();
    let comes = subscribes("c@peer.example/x").await;
    assert!(comes.contains("subscription='subscribed'"), "{comes}");
}
