//! Rooms from outside: what goes in, and what everybody gets.

mod affiliating;
mod entering;
mod fair;
mod finding;
mod hearing;
mod hostile;
mod lasting;
mod looks;
mod past;
mod registering;
mod ruling;
mod talking;

use xmpp::jid::Jid;

use super::MUC;
use crate::testing::House;

const COVEN: &str = "coven@rooms.one.example";

/// A house with three sessions that are online.
struct Coven {
    house: House,
    alice: Jid,
    bob: Jid,
    carol: Jid,
}

impl Coven {
    async fn new() -> Self {
        Self::of(House::new().await).await
    }

    async fn of(house: House) -> Self {
        let alice = house.online("alice@one.example/a").await;
        let bob = house.online("bob@one.example/b").await;
        let carol = house.online("carol@one.example/c").await;
        house.clear();
        Self {
            house,
            alice,
            bob,
            carol,
        }
    }

    /// With a room that alice has opened as it comes; nobody has anything left to read.
    async fn open() -> Self {
        let coven = Self::new().await;
        coven.enter(&coven.alice, "Alice").await;
        coven.configure("").await;
        coven.house.clear();
        coven
    }

    async fn to(&self, from: &Jid, nick: &str, xml: &str) {
        let to = match nick {
            "" => COVEN.to_owned(),
            nick => format!("{COVEN}/{nick}"),
        };
        self.house.at_service(from.as_str(), &to, xml).await;
    }

    async fn enter(&self, who: &Jid, nick: &str) {
        self.enter_with(who, nick, "").await;
    }

    async fn enter_with(&self, who: &Jid, nick: &str, inside: &str) {
        let presence = format!("<presence><x xmlns='{MUC}'>{inside}</x></presence>");
        self.to(who, nick, &presence).await;
    }

    async fn say(&self, who: &Jid, body: &str) {
        let message = format!("<message type='groupchat'><body>{body}</body></message>");
        self.to(who, "", &message).await;
    }

    /// Alice submits a configuration; what she gets back is left in her queue.
    async fn configure(&self, fields: &str) {
        let form = format!(
            "<iq type='set' id='c'><query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'>\
             <field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#roomconfig</value></field>{fields}</x></query></iq>"
        );
        self.to(&self.alice, "", &form).await;
    }

    async fn admin(&self, who: &Jid, item: &str) {
        let query = format!(
            "<iq type='set' id='q'><query xmlns='http://jabber.org/protocol/muc#admin'>{item}</query></iq>"
        );
        self.to(who, "", &query).await;
    }

    /// The next stanza to somebody, without ids of occupants, which are drawn anew in every room.
    fn take(&self, who: &Jid) -> String {
        without_ids(&self.house.take(who))
    }

    /// Everything that somebody has to read, likewise.
    fn all(&self, who: &Jid) -> Vec<String> {
        self.house
            .all(who)
            .iter()
            .map(|xml| without_ids(xml))
            .collect()
    }

    fn got_error(&self, who: &Jid, condition: &str) {
        self.house.got_error(who, condition);
    }
}

fn field(var: &str, value: &str) -> String {
    format!("<field var='{var}'><value>{value}</value></field>")
}

fn without_ids(xml: &str) -> String {
    let found = ["<occupant-id ", "<stanza-id "].iter();
    let Some((before, rest)) = found.filter_map(|tag| xml.split_once(tag)).next() else {
        return xml.to_owned();
    };
    let (_, after) = rest.split_once("/>").expect("an empty element");
    format!("{before}{}", without_ids(after))
}
