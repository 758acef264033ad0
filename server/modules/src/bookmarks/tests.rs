//! One list, three forms.

use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;

use crate::pubsub::caps;
use crate::testing::House;

const GARDEN: &str = "<conference xmlns='storage:bookmarks' jid='garden@rooms.one.example' name='Garden' autojoin='1'><nick>Al</nick></conference>";
const NATIVE_GARDEN: &str = "<conference xmlns='urn:xmpp:bookmarks:1' name='Garden' autojoin='1'><nick>Al</nick></conference>";
const PAGE: &str = "<url xmlns='storage:bookmarks' name='x' url='https://one.example/'/>";

fn storage(inside: &str) -> String {
    format!("<storage xmlns='storage:bookmarks'>{inside}</storage>")
}

fn private(inside: &str) -> String {
    format!("<query xmlns='jabber:iq:private'>{inside}</query>")
}

fn pubsub(inside: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub>")
}

fn publish(node: &str, id: &str, payload: &str) -> String {
    pubsub(&format!(
        "<publish node='{node}'><item id='{id}'>{payload}</item></publish>"
    ))
}

/// As the tree says it, so that where a namespace is declared does not matter.
fn holds(answer: &str, element: &str) -> bool {
    fn within(tree: &Element, wanted: &Element) -> bool {
        tree == wanted || tree.children().any(|child| within(child, wanted))
    }
    let parse = |xml: &str| Element::parse(xml, ns::CLIENT).expect("well-formed");
    within(&parse(answer), &parse(element))
}

async fn asked(house: &House, who: &Jid, type_: &str, payload: &str) -> String {
    house.iq(who, type_, None, payload).await;
    let all = house.all(who);
    all.into_iter()
        .find(|s| s.starts_with("<iq"))
        .expect("an answer")
}

/// What each form says.
async fn everywhere(house: &House, who: &Jid) -> [String; 3] {
    let get = async |payload: String| asked(house, who, "get", &payload).await;
    [
        get(private(&storage(""))).await,
        get(pubsub("<items node='storage:bookmarks'/>")).await,
        get(pubsub("<items node='urn:xmpp:bookmarks:1'/>")).await,
    ]
}

#[tokio::test]
async fn ext_09_what_comes_in_any_form_is_there_in_all() {
    for way in 0..3 {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        let set = match way {
            0 => private(&storage(GARDEN)),
            1 => publish("storage:bookmarks", "current", &storage(GARDEN)),
            _ => publish(super::NATIVE, "garden@rooms.one.example", NATIVE_GARDEN),
        };
        let answer = asked(&house, &alice, "set", &set).await;
        assert!(answer.contains("type='result'"), "{answer}");
        let [private, legacy, native] = everywhere(&house, &alice).await;
        assert!(holds(&private, GARDEN), "{way}: {private}");
        assert!(holds(&legacy, GARDEN), "{way}: {legacy}");
        assert!(holds(&native, NATIVE_GARDEN), "{way}: {native}");
        assert!(native.contains("id='garden@rooms.one.example'"), "{native}");
    }
}

#[tokio::test]
async fn ext_09_what_one_form_does_not_know_survives_it() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    let extended = "<conference xmlns='urn:xmpp:bookmarks:1' name='G'><extensions><color xmlns='urn:c'>red</color></extensions></conference>";
    let set = publish(super::NATIVE, "garden@rooms.one.example", extended);
    asked(&house, &alice, "set", &set).await;
    // A client of the old form has never heard of extensions, but of pages.
    let list = storage(&format!("{PAGE}{GARDEN}"));
    asked(&house, &alice, "set", &private(&list)).await;
    let [private_xml, legacy, native] = everywhere(&house, &alice).await;
    assert!(
        native.contains("<color xmlns='urn:c'>red</color>"),
        "{native}"
    );
    assert!(native.contains("name='Garden'"), "{native}");
    assert!(holds(&private_xml, PAGE) && holds(&legacy, PAGE));
    // It takes the page away; the room stays.
    asked(&house, &alice, "set", &private(&storage(GARDEN))).await;
    let [private_xml, _, native] = everywhere(&house, &alice).await;
    assert!(!private_xml.contains("url="), "{private_xml}");
    assert!(native.contains("red"), "{native}");
    // And now everything.
    let purge = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><purge node='storage:bookmarks'/></pubsub>";
    asked(&house, &alice, "set", purge).await;
    let [private_xml, _, native] = everywhere(&house, &alice).await;
    assert!(!private_xml.contains("conference") && !native.contains("conference"));
}

#[tokio::test]
async fn ext_09_everybody_who_knows_a_form_is_told_in_it() {
    let house = House::new().await;
    let old = watching(&house, "alice@one.example/old", "storage:bookmarks").await;
    let new = watching(&house, "alice@one.example/new", super::NATIVE).await;
    house.clear();
    asked(&house, &new, "set", &private(&storage(GARDEN))).await;
    let told = house.take(&old);
    assert!(
        holds(&told, GARDEN) && told.contains("id='current'"),
        "{told}"
    );
    // A later session of the old form is shown the list when it comes.
    let (_, shown) = coming(&house, "alice@one.example/later", "storage:bookmarks").await;
    assert!(shown.iter().any(|s| holds(s, GARDEN)), "{shown:?}");
    house.clear();
    let both = storage(&format!(
        "{GARDEN}<conference jid='hall@rooms.one.example'/>"
    ));
    let set = publish("storage:bookmarks", "current", &both);
    house.iq(&old, "set", None, &set).await;
    let told = house.take(&new);
    assert!(
        told.contains("id='hall@rooms.one.example'") && !told.contains("garden"),
        "nothing of what has not changed: {told}"
    );
    house.clear();
    let retract = pubsub(&format!(
        "<retract node='{}' notify='1'><item id='hall@rooms.one.example'/></retract>",
        super::NATIVE
    ));
    house.iq(&new, "set", None, &retract).await;
    let told = house.take(&old);
    assert!(holds(&told, GARDEN) && !told.contains("hall"), "{told}");
}

/// A session that announces interest in one node.
async fn watching(house: &House, jid: &str, node: &str) -> Jid {
    coming(house, jid, node).await.0
}

/// The same, and what it got.
async fn coming(house: &House, jid: &str, node: &str) -> (Jid, Vec<String>) {
    let query = format!(
        "<query xmlns='{}'><identity category='client' type='pc'/><feature var='{node}+notify'/></query>",
        ns::DISCO_INFO
    );
    let ver = caps::verification(&Element::parse(&query, "").expect("well-formed"));
    let ver = ver.expect("well-formed");
    let session = house.bind(jid);
    let presence = format!(
        "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:client' ver='{ver}'/></presence>"
    );
    house.presence(&session, &presence).await;
    let mut all = house.all(&session);
    if let Some(question) = all.iter().find(|s| s.contains("disco#info")) {
        let id = question
            .split(" id='")
            .nth(1)
            .and_then(|s| s.split('\'').next());
        let answer = format!(
            "<iq from='{session}' to='{}' type='result' id='{}'>{}</iq>",
            session.bare(),
            id.expect("an id"),
            query.replace("<query ", &format!("<query node='urn:client#{ver}' "))
        );
        assert!(house.answered(&answer).await, "{answer}");
        all.extend(house.all(&session));
    }
    (session, all)
}

#[tokio::test]
async fn ext_09_bookmarks_are_their_owner_s_alone() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    // A client that says nothing of who may read them.
    let set = publish(super::NATIVE, "garden@rooms.one.example", NATIVE_GARDEN);
    asked(&house, &alice, "set", &set).await;
    house.item("alice", "bob@one.example", "both").await;
    let bob = house.bind("bob@one.example/x");
    for node in [super::NATIVE, super::LEGACY] {
        let get = pubsub(&format!("<items node='{node}'/>"));
        house.iq(&bob, "get", Some("alice@one.example"), &get).await;
        house.got_error(&bob, "not-allowed");
        house
            .iq_from("romeo@peer.example/x", "get", "alice@one.example", &get)
            .await;
        house.sent_error("alice@one.example", "service-unavailable");
        let set = publish(node, "x@y.example", &storage(GARDEN));
        house.iq(&bob, "set", Some("alice@one.example"), &set).await;
        assert!(house.take(&bob).contains("type='error'"));
    }
    // One that had opened them: what comes in the old form closes them again.
    let open = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'><configure node='storage:bookmarks'>\
                <x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#node_config</value></field>\
                <field var='pubsub#access_model'><value>open</value></field></x></configure></pubsub>";
    let answer = asked(&house, &alice, "set", open).await;
    assert!(answer.contains("type='result'"), "{answer}");
    asked(&house, &alice, "set", &private(&storage(""))).await;
    let get = pubsub("<items node='urn:xmpp:bookmarks:1'/>");
    house.iq(&bob, "get", Some("alice@one.example"), &get).await;
    house.got_error(&bob, "not-allowed");
}

#[tokio::test]
async fn ext_09_what_makes_no_list_is_refused_and_changes_nothing() {
    let house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    asked(&house, &alice, "set", &private(&storage(GARDEN))).await;
    let open = "<publish-options><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
                <value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
                <field var='pubsub#access_model'><value>open</value></field></x></publish-options>";
    let opened = format!(
        "<publish node='storage:bookmarks'><item id='current'>{}</item></publish>{open}",
        storage("")
    );
    let many: String = (0..1_001)
        .map(|n| format!("<conference jid='r{n}@rooms.one.example'/>"))
        .collect();
    for (payload, condition) in [
        (private(&storage("<conference/>")), "bad-request"),
        (private(&storage("<conference jid='@'/>")), "jid-malformed"),
        (private(&storage(&many)), "policy-violation"),
        (
            publish("storage:bookmarks", "current", "<other xmlns='urn:o'/>"),
            "bad-request",
        ),
        (pubsub(&opened), "conflict"),
    ] {
        house.iq(&alice, "set", None, &payload).await;
        house.got_error(&alice, condition);
    }
    let [private_xml, ..] = everywhere(&house, &alice).await;
    assert!(holds(&private_xml, GARDEN), "{private_xml}");
}

#[tokio::test]
async fn ext_09_what_was_kept_apart_is_taken_over() {
    let mut house = House::new().await;
    let alice = house.bind("alice@one.example/phone");
    house.settings(|s| s.off = vec!["bookmarks".into()]);
    asked(
        &house,
        &alice,
        "set",
        &private(&storage(&format!("{PAGE}{GARDEN}"))),
    )
    .await;
    let hall = storage("<conference jid='hall@rooms.one.example'/>");
    let set = publish("storage:bookmarks", "current", &hall);
    asked(&house, &alice, "set", &set).await;
    house.settings(|s| s.off = Vec::new());
    let [private_xml, legacy, native] = everywhere(&house, &alice).await;
    for answer in [&private_xml, &legacy, &native] {
        assert!(
            answer.contains("garden@") && answer.contains("hall@"),
            "{answer}"
        );
    }
    assert!(holds(&legacy, PAGE), "{legacy}");
}

#[tokio::test]
async fn ext_09_it_is_announced_exactly_where_it_is_so() {
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    for (off, announced) in [
        ("", true),
        ("bookmarks", false),
        ("private", false),
        ("pubsub", false),
    ] {
        let mut house = House::new().await;
        house.settings(|s| s.off = vec![off.into()]);
        let alice = house.bind("alice@one.example/phone");
        house
            .iq(&alice, "get", Some("alice@one.example"), info)
            .await;
        let answer = house.take(&alice);
        for feature in [
            "urn:xmpp:bookmarks:1#compat'",
            "urn:xmpp:bookmarks:1#compat-pep'",
            "urn:xmpp:bookmarks-conversion:0'",
        ] {
            assert_eq!(answer.contains(feature), announced, "{off}: {answer}");
        }
    }
}
