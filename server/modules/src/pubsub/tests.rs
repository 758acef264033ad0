//! What clients ask of an account's nodes and what they get, over the hooks and with a real store.

mod access;
mod notifying;
mod publishing;

use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::ns;

use super::caps;
use crate::memory::{Limits, PubsubLimits};
use crate::testing::House;

/// A house with small limits.
async fn small() -> House {
    House::with(Limits {
        pubsub: PubsubLimits {
            nodes: 2,
            items: 3,
            item_bytes: 100,
            bytes: 300,
            people: 2,
            notifications: 2,
            ..PubsubLimits::default()
        },
        ..Limits::default()
    })
    .await
}

fn request(children: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub'>{children}</pubsub>")
}

fn owner(children: &str) -> String {
    format!("<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{children}</pubsub>")
}

fn form(type_: &str, fields: &[(&str, &str)]) -> String {
    let fields: String = fields
        .iter()
        .map(|(var, value)| format!("<field var='{var}'><value>{value}</value></field>"))
        .collect();
    format!(
        "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'>\
         <value>http://jabber.org/protocol/pubsub#{type_}</value></field>{fields}</x>"
    )
}

/// A publication with preconditions.
fn publication(node: &str, id: &str, payload: &str, options: &[(&str, &str)]) -> String {
    let options = if options.is_empty() {
        String::new()
    } else {
        format!(
            "<publish-options>{}</publish-options>",
            form("publish-options", options)
        )
    };
    request(&format!(
        "<publish node='{node}'><item id='{id}'>{payload}</item></publish>{options}"
    ))
}

/// Publishes for a session, which is answered that it was.
async fn publish(house: &House, session: &Jid, node: &str, id: &str, options: &[(&str, &str)]) {
    let payload = format!("<tune xmlns='urn:tune'>{id}</tune>");
    house
        .iq(
            session,
            "set",
            None,
            &publication(node, id, &payload, options),
        )
        .await;
    let all = house.all(session);
    let answer = all
        .iter()
        .find(|s| s.starts_with("<iq"))
        .expect("an answer");
    assert!(answer.contains(" type='result'"), "{answer}");
}

fn items(node: &str) -> String {
    request(&format!("<items node='{node}'/>"))
}

/// A client: what it announces, and what it answers when it is asked about that.
struct Client {
    ver: String,
    query: String,
}

impl Client {
    fn interested_in(nodes: &[&str]) -> Self {
        let features: String = nodes
            .iter()
            .map(|node| format!("<feature var='{node}+notify'/>"))
            .collect();
        let query = format!(
            "<query xmlns='{}'><identity category='client' type='pc'/>{features}</query>",
            ns::DISCO_INFO
        );
        let element = Element::parse(&query, "").expect("well-formed");
        Self {
            ver: caps::verification(&element).expect("well-formed"),
            query,
        }
    }

    fn announcement(&self) -> String {
        format!(
            "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:client' ver='{}'/>",
            self.ver
        )
    }

    /// A session comes with this client; its question is answered, and what it got is thrown away.
    async fn online(&self, house: &House, jid: &str) -> Jid {
        self.arrives(house, jid).await.0
    }

    /// The same, with what it got.
    async fn arrives(&self, house: &House, jid: &str) -> (Jid, Vec<String>) {
        let session = house.bind(jid);
        let presence = format!("<presence>{}</presence>", self.announcement());
        house.presence(&session, &presence).await;
        let mut got = house.all(&session);
        self.answer(house, &got, &session).await;
        got.extend(house.all(&session));
        (session, got)
    }

    /// Answers the question among these stanzas, if there is one.
    async fn answer(&self, house: &House, stanzas: &[String], session: &Jid) -> bool {
        let Some(question) = stanzas.iter().find(|s| s.contains("id='caps-")) else {
            return false;
        };
        let answer = self.answer_to(question, session.as_str());
        assert!(house.answered(&answer).await, "{answer}");
        true
    }

    fn answer_to(&self, question: &str, session: &str) -> String {
        let part = |from: &str| {
            let (_, rest) = question.split_once(from).expect(from);
            rest.split_once('\'').expect("closed").0.to_owned()
        };
        assert!(
            question.contains(&format!("node='urn:client#{}'", self.ver)),
            "{question}"
        );
        format!(
            "<iq from='{session}' to='{}' type='result' id='{}'>{}</iq>",
            part(" from='"),
            part(" id='"),
            self.query
        )
    }
}

/// Notifications among stanzas: addressee, node and ids.
fn notified(stanzas: &[String]) -> Vec<String> {
    stanzas
        .iter()
        .filter(|s| s.starts_with("<message"))
        .map(|s| {
            let stanza = crate::testing::stanza(s);
            let tree = stanza.payload().expect("a tree");
            let event = tree.find("event", super::notify::EVENT).expect("an event");
            let what = event.children().next().expect("what happened");
            let ids: Vec<String> = what
                .children()
                .map(|c| {
                    format!(
                        "{}{}",
                        if c.name() == "retract" { "-" } else { "" },
                        c.get_attr("id").unwrap_or_default()
                    )
                })
                .collect();
            let name = if what.name() == "items" {
                ""
            } else {
                what.name()
            };
            format!(
                "{} {}{}",
                what.get_attr("node").unwrap_or_default(),
                name,
                ids.join(" ")
            )
        })
        .collect()
}

/// XEP-0490: what one device has displayed the others learn at once, each chat by itself, and nobody else at all.
#[tokio::test]
async fn what_was_displayed_is_known_to_all_devices_and_to_nobody_else() {
    let house = House::new().await;
    let phone = house.online("alice@one.example/phone").await;
    house.item("alice", "romeo@peer.example", "both").await;
    let displayed = |chat: &str, id: &str| {
        format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:mds:displayed:0'><item id='{chat}'>\
             <displayed xmlns='urn:xmpp:mds:displayed:0'><stanza-id xmlns='urn:xmpp:sid:0' by='alice@one.example' id='{id}'/></displayed></item></publish>\
             <publish-options><x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE' type='hidden'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>\
             <field var='pubsub#persist_items'><value>true</value></field><field var='pubsub#max_items'><value>max</value></field>\
             <field var='pubsub#send_last_published_item'><value>never</value></field>\
             <field var='pubsub#access_model'><value>whitelist</value></field></x></publish-options></pubsub>"
        )
    };
    for n in 0..3 {
        for chat in ["romeo@peer.example", "room@rooms.one.example"] {
            house
                .iq(&phone, "set", None, &displayed(chat, &n.to_string()))
                .await;
            let answer = house.all(&phone).concat();
            assert!(answer.contains("type='result'"), "{answer}");
        }
    }
    house.sent("");
    let get = "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:mds:displayed:0'/></pubsub>";
    house.iq(&phone, "get", None, get).await;
    let items = house.take(&phone);
    assert_eq!(items.matches("<item ").count(), 2, "{items}");
    assert_eq!(
        items.matches("id='2'").count(),
        2,
        "the last of each: {items}"
    );
    house
        .iq_from("romeo@peer.example/x", "get", "alice@one.example", get)
        .await;
    assert!(!house.take_sent().contains("displayed:0'><stanza-id"));
}
