//! What nobody meant well, at every door of every module: whoever sends it gets what is defined and no more, what the store holds
//! stays as it was, and nobody else hears a thing (DOS-04).
//!
//! Two tables say what is defined: [`DOORS`] for requests that have a payload, [`ROWS`] for messages, presence, answers that nobody
//! asked for, and what comes to services. Whoever adds a module says it here.

use std::collections::{BTreeMap, BTreeSet};

use xmpp::jid::Jid;
use xmpp::stanza::{Kind, Stanza, StanzaType};

use crate::ALL;
use crate::hooks;
use crate::info::{Audience, Hooks};
use crate::switchboard::Switchboard as _;
use crate::switches::full;
use crate::testing::{House, stanza};

/// A user of another server, whom nobody here knows.
const STRANGER: &str = "romeo@peer.example/x";

/// What a stranger's request comes to, by its namespace and name: to the domain with get and set, to an account with get and set,
/// whatever is in it; `result` or a condition. Accounts that there are not answer the same.
const DOORS: &[(&str, &str, [&str; 4])] = &[
    (
        "http://jabber.org/protocol/disco#info",
        "query",
        [
            "item-not-found result",
            "feature-not-implemented",
            "service-unavailable",
            "feature-not-implemented",
        ],
    ),
    (
        "http://jabber.org/protocol/disco#items",
        "query",
        [
            "item-not-found result",
            "feature-not-implemented",
            "result",
            "feature-not-implemented",
        ],
    ),
    (
        "jabber:iq:roster",
        "query",
        ["forbidden", "forbidden", "forbidden", "forbidden"],
    ),
    (
        "urn:xmpp:blocking",
        "blocklist",
        [
            "service-unavailable",
            "service-unavailable",
            "forbidden",
            "feature-not-implemented",
        ],
    ),
    (
        "urn:xmpp:blocking",
        "block",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:blocking",
        "unblock",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:carbons:2",
        "enable",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "not-allowed",
        ],
    ),
    (
        "urn:xmpp:carbons:2",
        "disable",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "not-allowed",
        ],
    ),
    (
        "urn:xmpp:mam:2",
        "query",
        [
            "service-unavailable",
            "service-unavailable",
            "forbidden",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:mam:2",
        "metadata",
        [
            "service-unavailable",
            "service-unavailable",
            "forbidden",
            "feature-not-implemented",
        ],
    ),
    (
        "urn:xmpp:mam:2",
        "prefs",
        [
            "service-unavailable",
            "service-unavailable",
            "forbidden",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:push:0",
        "enable",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:push:0",
        "disable",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "forbidden",
        ],
    ),
    (
        "http://jabber.org/protocol/pubsub",
        "pubsub",
        [
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
        ],
    ),
    (
        "http://jabber.org/protocol/pubsub#owner",
        "pubsub",
        [
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
        ],
    ),
    (
        "jabber:iq:private",
        "query",
        [
            "service-unavailable",
            "service-unavailable",
            "forbidden",
            "forbidden",
        ],
    ),
    (
        "vcard-temp",
        "vCard",
        [
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:ping",
        "ping",
        [
            "result",
            "feature-not-implemented",
            "service-unavailable",
            "feature-not-implemented",
        ],
    ),
    (
        "jabber:iq:version",
        "query",
        [
            "result",
            "feature-not-implemented",
            "service-unavailable",
            "feature-not-implemented",
        ],
    ),
    (
        "urn:xmpp:time",
        "time",
        [
            "result",
            "feature-not-implemented",
            "service-unavailable",
            "feature-not-implemented",
        ],
    ),
    (
        "jabber:iq:last",
        "query",
        [
            "result",
            "feature-not-implemented",
            "service-unavailable",
            "feature-not-implemented",
        ],
    ),
    (
        "jabber:iq:register",
        "query",
        [
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
        ],
    ),
    (
        "urn:xmpp:register:0",
        "register",
        [
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
        ],
    ),
    (
        "urn:xmpp:register:0",
        "recovery",
        [
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
            "service-unavailable",
        ],
    ),
    (
        "urn:xmpp:cam:0",
        "list",
        [
            "service-unavailable",
            "service-unavailable",
            "forbidden",
            "feature-not-implemented",
        ],
    ),
    (
        "urn:xmpp:cam:0",
        "revoke",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:saslcert:1",
        "items",
        [
            "service-unavailable",
            "service-unavailable",
            "forbidden",
            "feature-not-implemented",
        ],
    ),
    (
        "urn:xmpp:saslcert:1",
        "append",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:saslcert:1",
        "disable",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:saslcert:1",
        "revoke",
        [
            "service-unavailable",
            "service-unavailable",
            "feature-not-implemented",
            "forbidden",
        ],
    ),
    (
        "urn:xmpp:extdisco:2",
        "services",
        [
            "forbidden",
            "feature-not-implemented",
            "service-unavailable",
            "feature-not-implemented",
        ],
    ),
    (
        "urn:xmpp:extdisco:2",
        "credentials",
        [
            "forbidden",
            "feature-not-implemented",
            "service-unavailable",
            "feature-not-implemented",
        ],
    ),
    (
        "http://jabber.org/protocol/commands",
        "command",
        [
            "feature-not-implemented",
            "forbidden",
            "feature-not-implemented",
            "service-unavailable",
        ],
    ),
    (
        "urn:xmpp:privilege:2",
        "privileged_iq",
        ["forbidden", "forbidden", "forbidden", "forbidden"],
    ),
];

/// Nothing, long things, deep things and things of others.
fn inside() -> [String; 5] {
    let long = "y".repeat(200_000);
    let deep = format!("{}{}", "<a>".repeat(60), "</a>".repeat(60));
    [
        String::new(),
        "<a xmlns='urn:other'/><b xmlns='urn:other'/>".to_owned(),
        format!("<a xmlns='urn:other' b='{long}'>{long}</a>"),
        format!("<x xmlns='jabber:x:data' type='submit'>{deep}</x>"),
        "<item jid='@' node='' id=''/>".to_owned(),
    ]
}

/// `result`, or the condition of an error, which is said to be one.
fn outcome(answer: &str) -> String {
    if answer.contains(" type='result'") {
        return "result".into();
    }
    assert!(answer.contains(" type='error'"), "{answer}");
    let condition = answer
        .split_once(" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'")
        .and_then(|(before, _)| before.rsplit_once('<'));
    condition
        .map(|(_, name)| name.to_owned())
        .unwrap_or_else(|| panic!("no condition: {answer}"))
}

fn words(outcomes: &BTreeSet<String>) -> String {
    let words: Vec<&str> = outcomes.iter().map(String::as_str).collect();
    words.join(" ")
}

#[tokio::test]
async fn dos_04_what_nobody_meant_well_is_refused_and_changes_nothing() {
    let house = full().await;
    let bob = house.online("bob@one.example/desk").await;
    let alice = house.online("alice@one.example/phone").await;
    let before = house.database.dump().await;
    let said: BTreeMap<(&str, &str), [&str; 4]> = DOORS
        .iter()
        .map(|(ns, name, outcomes)| ((*ns, *name), *outcomes))
        .collect();
    let mut wrong = String::new();
    for module in ALL {
        let info = module.info();
        for door in info.iq {
            let mut seen: [BTreeSet<String>; 4] = Default::default();
            for inside in inside() {
                for extra in ["", " node='../../etc/passwd' jid='@@' id=''"] {
                    let payload =
                        format!("<{0} xmlns='{1}'{extra}>{inside}</{0}>", door.name, door.ns);
                    for (at, type_) in ["get", "set"].into_iter().enumerate() {
                        let mut answers = Vec::new();
                        for to in ["one.example", "bob@one.example", "nobody@one.example"] {
                            house.iq_from(STRANGER, type_, to, &payload).await;
                            let answer = house.take_sent();
                            assert!(answer.contains(" id='q'"), "{}: {answer}", info.name);
                            assert!(answer.len() < 20_000, "{}: no echo", info.name);
                            assert!(house.all(&bob).is_empty(), "{} {to}", info.name);
                            assert_eq!(house.take_sent(), "", "{} {to}", info.name);
                            let place = if to == "one.example" { at } else { at + 2 };
                            seen[place].insert(outcome(&answer));
                            answers.push(answer.replace(to, "HERE"));
                            house.clear();
                        }
                        assert_eq!(answers[1], answers[2], "{}: who is there", info.name);
                    }
                }
                // Of the same domain and a stranger all the same.
                let payload = format!("<{0} xmlns='{1}'>{inside}</{0}>", door.name, door.ns);
                for (at, type_) in ["get", "set"].into_iter().enumerate() {
                    house
                        .iq(&alice, type_, Some("bob@one.example"), &payload)
                        .await;
                    let answer = house.all(&alice).concat();
                    assert!(answer.contains(" id='q'"), "{}: {answer}", info.name);
                    seen[at + 2].insert(outcome(&answer));
                    assert!(house.all(&bob).is_empty(), "{}", info.name);
                }
            }
            // Who has no right gets an error, whatever is asked.
            if door.at_account != Audience::Anyone {
                assert!(
                    !seen[2].contains("result") && !seen[3].contains("result"),
                    "{}",
                    info.name
                );
            }
            assert!(!door.at_server || !seen[0].is_empty());
            let seen = seen.map(|outcomes| words(&outcomes));
            let expected = said.get(&(door.ns, door.name)).copied().unwrap_or_default();
            if seen != expected {
                wrong += &format!("    ({:?}, {:?}, {seen:?}),\n", door.ns, door.name);
            }
            assert_eq!(
                house.database.dump().await,
                before,
                "{} {}",
                info.name,
                door.ns
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "answered otherwise than the table says:\n{wrong}"
    );
}

/// What comes of it.
#[derive(Debug, PartialEq, Eq)]
enum Comes {
    /// Nothing: nobody hears a thing.
    Silence,
    /// This error, to whoever sent it.
    Error(&'static str),
    /// These sessions hear it, and nobody else.
    Heard(&'static [&'static str]),
}
use Comes::{Error, Heard, Silence};

/// A module, what comes from a stranger without `from`, and what comes of that. Where there is `EVIL` in it, nobody hears that
/// word and it is kept nowhere; what is not heard changes nothing.
const ROWS: &[(&str, &str, Comes)] = &[
    // Nobody asked to see or to be seen; what was never asked for is not granted.
    (
        "presence",
        "<presence to='bob@one.example' type='subscribed'/>",
        Silence,
    ),
    (
        "presence",
        "<presence to='bob@one.example' type='unsubscribe'/>",
        Silence,
    ),
    (
        "presence",
        "<presence to='nobody@one.example' type='subscribe'><status>EVIL</status></presence>",
        Silence,
    ),
    (
        "presence",
        "<presence to='bob@one.example/other'><status>EVIL</status></presence>",
        Silence,
    ),
    // A picture that a stranger shows is not the account's.
    (
        "avatars",
        "<presence to='bob@one.example/desk'><x xmlns='vcard-temp:x:update'><photo>../..</photo></x></presence>",
        Heard(&[DESK]),
    ),
    (
        "vcard",
        "<message to='bob@one.example/desk' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:vcard4'><item id='current'><vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'/></item></items></event></message>",
        Heard(&[DESK]),
    ),
    (
        "bookmarks",
        "<message to='bob@one.example/desk' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:bookmarks:1'><item id='room@peer.example'><conference xmlns='urn:xmpp:bookmarks:1' autojoin='true'/></item></items></event></message>",
        Heard(&[DESK]),
    ),
    // A hash that says too little or too much makes nobody ask.
    (
        "pubsub",
        "<presence to='bob@one.example/desk'><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='' ver='='/></presence>",
        Heard(&[DESK]),
    ),
    (
        "pubsub",
        "<iq to='bob@one.example' type='result' id='caps-1'><query xmlns='http://jabber.org/protocol/disco#info'><feature var='EVIL+notify'/></query></iq>",
        Silence,
    ),
    // Nobody has asked an old address about a new one.
    (
        "moved",
        "<iq to='bob@one.example' type='result' id='moved-1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:moved:1'><item><moved xmlns='urn:xmpp:moved:1'><new-jid>EVIL@peer.example</new-jid></moved></item></items></pubsub></iq>",
        Silence,
    ),
    (
        "moved",
        "<presence to='nobody@one.example' type='subscribe'><moved xmlns='urn:xmpp:moved:1'><old-jid>@@EVIL</old-jid></moved></presence>",
        Silence,
    ),
    (
        "blocking",
        "<message to='carol@one.example' type='error' id='m'><blocked xmlns='urn:xmpp:blocking:errors'/><body>EVIL</body></message>",
        Silence,
    ),
    // A list that is followed by nobody, and an answer to nobody's question.
    (
        "screening",
        "<message to='one.example' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='EVIL'><item id='x'/></items></event></message>",
        Silence,
    ),
    (
        "screening",
        "<iq to='one.example' type='result' id='list-1'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='EVIL'><item id='bob@one.example'/></items></pubsub></iq>",
        Silence,
    ),
    // What a stranger has displayed is nobody's here: it is passed on and published nowhere.
    (
        "displayed",
        "<message to='bob@one.example/desk' type='chat' id='m'><displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='bob@one.example' id='1'/></displayed><no-copy xmlns='urn:xmpp:hints'/><no-store xmlns='urn:xmpp:hints'/></message>",
        Heard(&[DESK]),
    ),
    // A copy that a stranger made up goes nowhere (XEP-0280 11), and what is for one device is not copied to others.
    (
        "carbons",
        "<message to='bob@one.example/desk' type='chat' id='m'><sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='bob@one.example/desk' to='alice@one.example'><body>EVIL</body></message></forwarded></sent></message>",
        Error("policy-violation"),
    ),
    (
        "carbons",
        "<message to='bob@one.example/desk' type='chat' id='m'><private xmlns='urn:xmpp:carbons:2'/><no-copy xmlns='urn:xmpp:hints'/><body>for one</body></message>",
        Heard(&[DESK]),
    ),
    // An id that only the archive gives (XEP-0359 5), and what is from no archive.
    (
        "archive",
        "<message to='bob@one.example/desk' type='chat' id='m'><stanza-id xmlns='urn:xmpp:sid:0' by='bob@one.example' id='EVIL'/><no-copy xmlns='urn:xmpp:hints'/><body>plain</body></message>",
        Heard(&[DESK]),
    ),
    (
        "archive",
        "<message to='one.example'><fin xmlns='urn:xmpp:mam:2' complete='true'>EVIL</fin></message>",
        Silence,
    ),
    // Nobody is woken for what is not kept, and nobody's push is ended by somebody else's word.
    (
        "push",
        "<iq to='bob@one.example' type='error' id='push-1'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>EVIL</text></error></iq>",
        Silence,
    ),
    // What waits for nobody: no account, an error, what is not to be kept.
    (
        "offline",
        "<message to='nobody@one.example' type='chat' id='m'><body>EVIL</body></message>",
        Silence,
    ),
    (
        "offline",
        "<message to='carol@one.example' type='error' id='m'><body>EVIL</body></message>",
        Silence,
    ),
    (
        "offline",
        "<message to='carol@one.example' type='headline' id='m'><body>EVIL</body></message>",
        Silence,
    ),
    (
        "offline",
        "<message to='carol@one.example' type='chat' id='m'><no-store xmlns='urn:xmpp:hints'/><body>EVIL</body></message>",
        Silence,
    ),
    (
        "outages",
        "<message to='one.example'><x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE'><value>urn:xmpp:sos:0</value></field><field var='external-status-addresses'><value>EVIL</value></field></x></message>",
        Silence,
    ),
    (
        "data-policy",
        "<message to='one.example'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:data-policy:0</value></field><field var='EVIL'/></x></message>",
        Silence,
    ),
    (
        "commands",
        "<message to='one.example'><command xmlns='http://jabber.org/protocol/commands' node='http://jabber.org/protocol/admin#delete-user' action='execute'>EVIL</command></message>",
        Silence,
    ),
    // Nobody speaks in somebody's name who was not granted it (XEP-0356 4.3).
    (
        "privilege",
        "<message to='one.example' id='m'><privilege xmlns='urn:xmpp:privilege:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' from='bob@one.example' to='alice@one.example'><body>EVIL</body></message></forwarded></privilege></message>",
        Error("forbidden"),
    ),
    (
        "rooms",
        "<presence to='coven@rooms.one.example'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
        Error("jid-malformed"),
    ),
    (
        "rooms",
        "<message to='coven@rooms.one.example' type='groupchat' id='m'><body>EVIL</body></message>",
        Error("not-acceptable"),
    ),
    (
        "rooms",
        "<message to='coven@rooms.one.example/alice' type='chat' id='m'><body>EVIL</body></message>",
        Error("not-acceptable"),
    ),
    (
        "rooms",
        "<message to='coven@rooms.one.example' id='m'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='bob@one.example'><reason>EVIL</reason></invite></x></message>",
        Error("not-acceptable"),
    ),
    (
        "rooms",
        "<message to='none@rooms.one.example' type='groupchat' id='m'><body>EVIL</body></message>",
        Error("item-not-found"),
    ),
    (
        "rooms",
        "<iq to='coven@rooms.one.example' type='set' id='q'><query xmlns='http://jabber.org/protocol/muc#owner'><destroy><reason>EVIL</reason></destroy></query></iq>",
        Error("forbidden"),
    ),
    (
        "rooms",
        "<iq to='coven@rooms.one.example' type='set' id='q'><query xmlns='http://jabber.org/protocol/muc#admin'><item nick='alice' role='none'><reason>EVIL</reason></item></query></iq>",
        Error("forbidden"),
    ),
    (
        "rooms",
        "<presence to='coven@rooms.one.example/alice' type='unavailable'><status>EVIL</status></presence>",
        Silence,
    ),
    (
        "search",
        "<iq to='rooms.one.example' type='get' id='q'><search xmlns='urn:xmpp:channel-search:0:search'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>EVIL</value></field></x></search></iq>",
        Error("bad-request"),
    ),
    (
        "uploads",
        "<iq to='upload.one.example' type='get' id='q'><request xmlns='urn:xmpp:http:upload:0' filename='../EVIL' size='-1'/></iq>",
        Error("forbidden"),
    ),
    (
        "uploads",
        "<iq to='upload.one.example' type='set' id='q'><request xmlns='urn:xmpp:http:upload:0' filename='EVIL' size='1'/></iq>",
        Error("service-unavailable"),
    ),
    (
        "uploads",
        "<presence to='upload.one.example' type='subscribe'/>",
        Silence,
    ),
];

const DESK: &str = "bob@one.example/desk";

/// As the router would hand it on, in short.
async fn comes(house: &House, one: Stanza) {
    let to = one.to().expect("an addressee").clone();
    let cx = house.context(to.domain());
    let answer = matches!(one.type_(), StanzaType::Result | StanzaType::Error);
    match one.kind() {
        _ if to.domain() != "one.example" => {
            house.to_service(&one).await;
        }
        Kind::Iq if answer => {
            if house.modules().expects(&one) {
                hooks::iq_answered(&cx, &one).await;
            }
        }
        Kind::Message if to.local().is_none() => {
            if hooks::is_envelope(&one) || hooks::server_message_concerns(cx.hosted, &one) {
                hooks::message_to_server(&cx, &one).await;
            }
        }
        _ => house.local(one).await,
    }
}

/// In the clear, or as engines show bytes.
fn is_evil(text: &str) -> bool {
    let text = text.to_lowercase();
    text.contains("evil") || text.contains("4556494c")
}

#[tokio::test]
async fn dos_04_messages_presence_and_answers_that_nobody_meant_well() {
    let house = full().await;
    let sessions: Vec<Jid> = {
        let mut all = Vec::new();
        for session in [
            DESK,
            "bob@one.example/phone",
            "alice@one.example/phone",
            "dave@two.example/desk",
        ] {
            all.push(house.online(session).await);
        }
        all
    };
    house
        .iq(
            &sessions[1],
            "set",
            None,
            "<enable xmlns='urn:xmpp:carbons:2'/>",
        )
        .await;
    let enter = "<presence><x xmlns='http://jabber.org/protocol/muc'/></presence>";
    house
        .at(
            "coven@rooms.one.example/alice",
            "alice@one.example/phone",
            enter,
        )
        .await;
    let open = "<iq type='set' id='q'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>";
    house
        .at("coven@rooms.one.example", "alice@one.example/phone", open)
        .await;
    house.clear();
    let from = Jid::parse(STRANGER).expect("an address");
    let mut wrong = String::new();
    for (module, xml, expected) in ROWS {
        let before = house.database.dump().await;
        comes(&house, stanza(xml).with_from(&from)).await;
        let mut heard: Vec<(String, String)> = Vec::new();
        for session in &sessions {
            heard.extend(
                house
                    .all(session)
                    .into_iter()
                    .map(|text| (session.to_string(), text)),
            );
        }
        let mut sent = Vec::new();
        while let Some(text) = Some(house.take_sent()).filter(|text| !text.is_empty()) {
            sent.push(text);
        }
        let after = house.database.dump().await;
        let evil = heard
            .iter()
            .map(|(_, text)| text)
            .chain(after.values().flatten());
        assert!(!evil.clone().any(|text| is_evil(text)), "{module}: {xml}");
        let who: Vec<&str> = heard.iter().map(|(session, _)| session.as_str()).collect();
        let as_said = match expected {
            Silence => heard.is_empty() && sent.is_empty() && before == after,
            Error(condition) => {
                heard.is_empty()
                    && before == after
                    && sent.len() == 1
                    && sent[0].contains(&format!(" to='{STRANGER}'"))
                    && outcome(&sent[0]) == *condition
            }
            Heard(by) => who == *by && sent.is_empty(),
        };
        if !as_said {
            wrong += &format!(
                "{module}: {xml}\n  {expected:?}, got {heard:?}, sent {sent:?}, same {}\n",
                before == after
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// A module that takes part in more than requests with a payload of its own has a row, or there is no saying what it would do.
#[test]
fn every_module_has_its_row() {
    let rows: BTreeSet<&str> = ROWS.iter().map(|(module, ..)| *module).collect();
    let mut names = BTreeSet::new();
    for module in ALL {
        let info = module.info();
        names.insert(info.name);
        let more = info.iq.is_empty() || info.hooks != Hooks::NONE || module.service().is_some();
        assert!(
            !more || rows.contains(info.name),
            "{} has no row",
            info.name
        );
    }
    assert!(rows.is_subset(&names), "{:?}", rows.difference(&names));
}
