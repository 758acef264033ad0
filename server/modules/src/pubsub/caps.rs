//! What a client wants to be told: entity capabilities, XEP-0115 version 1.6.0, as far as they say `+notify`.
//!
//! A client that announces a hash is asked once what stands behind it; what it answers is believed for everybody who
//! announces the same only if the hash says so (EXT-02), and else for this client alone. Two domains never share a question.
//! Bounded in bytes, in questions (of which each domain has its share) and in those who wait for an answer. Refuses: answers from whoever was not asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rand::RngExt as _;
use sha1::{Digest as _, Sha1};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Stanza, StanzaType};
use xmpp::timestamp::Timestamp;

use crate::context::Context;
use crate::form;
use crate::memory::{Aging, Places, SHARDS, Sharded, lock};

/// Bytes of a node or hash that is looked at.
const ANNOUNCED_BYTES: usize = 512;
/// Nodes that one client is told about, at most.
const INTERESTS: usize = 256;
/// Bytes of what is known, in each of two generations.
const KNOWN_BYTES: usize = 4 << 20;
/// Questions under way in the process …
const QUESTIONS: usize = 2_000;
/// … and clients that wait for the answer to one of them.
const WAITING: usize = 500;
/// A question that has not been answered in this time (µs) may be put again.
const PATIENCE: i64 = 60_000_000;

const NOTIFY: &str = "+notify";

/// What a client announces with its presence.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Announced {
    hash: String,
    node: String,
    ver: String,
}

/// Names of nodes that a client wants to be told about, in order.
pub(super) type Interests = Arc<[String]>;

/// What is known, and what has been asked.
#[derive(Debug)]
pub(crate) struct Caps {
    /// By hash, or by the client whose answer did not fit its hash.
    known: Sharded<Aging<String, Interests>>,
    asked: Mutex<Asked>,
}

#[derive(Debug)]
struct Asked {
    by_id: HashMap<String, Question>,
    /// Domain and key of what is asked; the question's id.
    by_key: HashMap<(String, String), String>,
    places: Places,
}

impl Asked {
    fn forget(&mut self, id: &str) -> Option<Question> {
        let question = self.by_id.remove(id)?;
        self.places.give_back(question.account.domain());
        Some(question)
    }

    /// Those that have not been answered in time.
    fn sweep(&mut self, now: Timestamp) {
        let late = |question: &Question| now.0.saturating_sub(question.at.0) >= PATIENCE;
        for (_, question) in self.by_id.extract_if(|_, question| late(question)) {
            self.places.give_back(question.account.domain());
        }
        let by_id = &self.by_id;
        self.by_key.retain(|_, id| by_id.contains_key(id));
    }
}

#[derive(Debug)]
struct Question {
    at: Timestamp,
    account: BareJid,
    entity: Jid,
    announced: Announced,
    /// Others that announced the same meanwhile.
    waiting: Vec<(BareJid, Jid)>,
}

/// Who wants what, learned from an answer.
#[derive(Debug)]
pub(super) struct Learned {
    /// Account that asked, client that was asked or waited.
    pub(super) who: Vec<(BareJid, Jid)>,
    pub(super) interests: Interests,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            known: Sharded::with(|| Aging::new(KNOWN_BYTES / SHARDS)),
            asked: Mutex::new(Asked {
                by_id: HashMap::new(),
                by_key: HashMap::new(),
                places: Places::new(QUESTIONS),
            }),
        }
    }
}

/// What presence announces; `None`: nothing, or nothing that is worth a question.
pub(super) fn announced(presence: &Stanza) -> Option<Announced> {
    if !presence.has_child("c", ns::CAPS) {
        return None;
    }
    let tree = presence.payload().ok()?;
    let c = tree.find("c", ns::CAPS)?;
    let text = |name| c.get_attr(name).unwrap_or_default().to_owned();
    let announced = Announced {
        hash: text("hash"),
        node: text("node"),
        ver: text("ver"),
    };
    let fits = |text: &String| text.len() <= ANNOUNCED_BYTES;
    let all = [&announced.hash, &announced.node, &announced.ver];
    (!announced.ver.is_empty() && all.into_iter().all(fits)).then_some(announced)
}

impl Announced {
    #[cfg(test)]
    pub(super) fn of(hash: &str, node: &str, ver: &str) -> Self {
        let [hash, node, ver] = [hash, node, ver].map(str::to_owned);
        Self { hash, node, ver }
    }

    pub(super) fn bytes(&self) -> usize {
        self.hash.len() + self.node.len() + self.ver.len()
    }

    /// What several clients may have in common; `None`: a hash that we cannot check.
    fn shared_key(&self) -> Option<String> {
        (self.hash == "sha-1").then(|| format!("sha-1 {}", self.ver))
    }

    fn own_key(&self, entity: &Jid) -> String {
        format!("{entity} {}", self.ver)
    }
}

impl Caps {
    /// What a client wants to be told, if that is known.
    pub(super) fn interests(&self, entity: &Jid, announced: &Announced) -> Option<Interests> {
        let known = |key: String| self.known.of(&key).get(&key);
        let shared = announced.shared_key().and_then(known);
        shared.or_else(|| known(announced.own_key(entity)))
    }

    /// Whether an iq may be the answer to a question of ours.
    pub(crate) fn expects(&self, iq: &Stanza) -> bool {
        let (Some(id), Some(from)) = (iq.id(), iq.from()) else {
            return false;
        };
        let asked = lock(&self.asked);
        asked.by_id.get(id).is_some_and(|q| q.entity == *from)
    }

    fn learn(&self, key: String, interests: &Interests) {
        let weight = key.len() + interests.iter().map(|i| i.len() + 32).sum::<usize>() + 100;
        let shard = self.known.of(&key);
        shard.insert(key, interests.clone(), weight);
    }

    /// Notes a question; `None`: it is under way, or there are too many. Returns its id.
    fn note(
        &self,
        account: &BareJid,
        entity: &Jid,
        announced: &Announced,
        now: Timestamp,
    ) -> Option<String> {
        let what = announced
            .shared_key()
            .unwrap_or_else(|| announced.own_key(entity));
        let key = (account.domain().to_owned(), what);
        let mut asked = lock(&self.asked);
        if let Some(id) = asked.by_key.get(&key).cloned()
            && let Some(question) = asked.by_id.get_mut(&id)
        {
            if now.0.saturating_sub(question.at.0) < PATIENCE {
                let waiter = (account.clone(), entity.clone());
                let known = question.entity == *entity && question.account == *account;
                if !known && !question.waiting.contains(&waiter) && question.waiting.len() < WAITING
                {
                    question.waiting.push(waiter);
                }
                return None;
            }
            asked.forget(&id);
        }
        if !asked.places.has_room(account.domain()) {
            asked.sweep(now);
            if !asked.places.has_room(account.domain()) {
                return None;
            }
        }
        asked.places.take(account.domain());
        let id = format!("caps-{:016x}", rand::rng().random::<u64>());
        let question = Question {
            at: now,
            account: account.clone(),
            entity: entity.clone(),
            announced: announced.clone(),
            waiting: Vec::new(),
        };
        asked.by_id.insert(id.clone(), question);
        asked.by_key.insert(key, id.clone());
        Some(id)
    }

    /// The question that this answers; it is closed with that.
    fn take(&self, iq: &Stanza) -> Option<Question> {
        let (id, from) = (iq.id()?, iq.from()?);
        let mut asked = lock(&self.asked);
        if asked.by_id.get(id)?.entity != *from {
            return None;
        }
        let question = asked.forget(id)?;
        asked.by_key.retain(|_, known| known != id);
        Some(question)
    }
}

/// Asks a client, on behalf of an account, what it wants to be told, unless that is being asked already.
pub(super) fn ask(cx: &Context<'_>, account: &BareJid, entity: &Jid, announced: &Announced) {
    let Some(id) = cx.modules.caps.note(account, entity, announced, cx.now) else {
        return;
    };
    let query = Element::new("query", ns::DISCO_INFO)
        .attr("node", format!("{}#{}", announced.node, announced.ver));
    let iq = Element::new("iq", ns::CLIENT)
        .attr("from", account.as_str())
        .attr("to", entity.as_str())
        .attr("type", "get")
        .attr("id", id)
        .child(query);
    let Ok(iq) = Stanza::from_element(&iq) else {
        return;
    };
    if entity.domain() == cx.hosted.domain.as_str() {
        cx.switchboard.deliver(entity, iq);
    } else {
        cx.send(iq);
    }
}

/// Takes an answer in. Where it does not fit the hash that was announced, the next one who announced it is asked.
pub(super) fn answered(cx: &Context<'_>, iq: &Stanza) -> Option<Learned> {
    let caps = &cx.modules.caps;
    let question = caps.take(iq)?;
    let query = (iq.type_() == StanzaType::Result)
        .then(|| iq.payload().ok())
        .flatten()
        .and_then(|tree| tree.find("query", ns::DISCO_INFO).cloned());
    let interests: Interests = query.as_ref().map(interests).unwrap_or_default().into();
    let proved = query
        .as_ref()
        .and_then(verification)
        .is_some_and(|ver| ver == question.announced.ver);
    let mut who = vec![(question.account, question.entity.clone())];
    match question.announced.shared_key() {
        Some(key) if proved => {
            caps.learn(key, &interests);
            who.extend(question.waiting);
        }
        _ => {
            caps.learn(question.announced.own_key(&question.entity), &interests);
            for (account, entity) in &question.waiting {
                ask(cx, account, entity, &question.announced);
            }
        }
    }
    Some(Learned { who, interests })
}

/// Nodes of which a client says `+notify`.
fn interests(query: &Element) -> Vec<String> {
    let mut found: Vec<String> = query
        .children()
        .filter(|c| c.is("feature", ns::DISCO_INFO))
        .filter_map(|feature| feature.get_attr("var")?.strip_suffix(NOTIFY))
        .map(str::to_owned)
        .take(INTERESTS)
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The verification string of an answer (XEP-0115 5.1); `None`: it is ill-formed (5.4, 3.3 to 3.5).
pub(crate) fn verification(query: &Element) -> Option<String> {
    let attr = |e: &Element, name| e.get_attr(name).unwrap_or_default().to_owned();
    let of = |name: &'static str| query.children().filter(move |c| c.is(name, ns::DISCO_INFO));
    let identities = of("identity").map(|i| {
        let parts = ["category", "type", "xml:lang", "name"].map(|name| attr(i, name));
        parts.join("/")
    });
    let mut identities: Vec<String> = identities.collect();
    let mut features: Vec<String> = of("feature").map(|f| attr(f, "var")).collect();
    let mut forms: Vec<(String, String)> = Vec::new();
    for x in query.children().filter(|c| c.is("x", form::DATA)) {
        if let Some(form) = form_string(x)? {
            forms.push(form);
        }
    }
    let unique = |list: &[String]| list.windows(2).all(|pair| pair[0] != pair[1]);
    identities.sort();
    features.sort();
    forms.sort();
    let form_types: Vec<String> = forms.iter().map(|(type_, _)| type_.clone()).collect();
    if !unique(&identities) || !unique(&features) || !unique(&form_types) {
        return None;
    }
    let mut s = String::new();
    for part in identities.iter().chain(&features) {
        s += part;
        s.push('<');
    }
    for (_, form) in &forms {
        s += form;
    }
    Some(BASE64_STANDARD.encode(Sha1::digest(s.as_bytes())))
}

/// FORM_TYPE and string of a form; `Some(None)`: one to be left out; `None`: ill-formed.
#[expect(
    clippy::option_option,
    reason = "left out and ill-formed are two things"
)]
fn form_string(x: &Element) -> Option<Option<(String, String)>> {
    let mut fields: Vec<(String, Vec<String>)> = Vec::new();
    let mut form_type = None;
    for field in x.children().filter(|c| c.is("field", form::DATA)) {
        let var = field.get_attr("var").unwrap_or_default();
        let mut values: Vec<String> = field
            .children()
            .filter(|c| c.is("value", form::DATA))
            .map(Element::text_content)
            .collect();
        values.sort();
        if var == "FORM_TYPE" {
            values.dedup();
            match values.len() {
                1 if field.get_attr("type") == Some("hidden") => form_type = values.pop(),
                0 | 1 => return Some(None),
                _ => return None,
            }
        } else {
            fields.push((var.to_owned(), values));
        }
    }
    let Some(form_type) = form_type else {
        return Some(None);
    };
    fields.sort();
    let mut s = format!("{form_type}<");
    for (var, values) in fields {
        s += &var;
        s.push('<');
        for value in values {
            s += &value;
            s.push('<');
        }
    }
    Some(Some((form_type, s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ver(children: &str) -> Option<String> {
        let xml = format!("<query>{children}</query>");
        verification(&Element::parse(&xml, ns::DISCO_INFO).expect("well-formed"))
    }

    const EXODUS: &str = "<identity category='client' name='Exodus 0.9.1' type='pc'/>\
        <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/muc'/>\
        <feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/disco#info'/>";

    #[test]
    fn ext_02_the_examples_of_xep_0115() {
        assert_eq!(ver(EXODUS).as_deref(), Some("QgayPKawpkPSDYmwT/WM94uAlu0="));
        let psi = "<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>\
            <identity xml:lang='el' category='client' name='\u{3a8} 0.11' type='pc'/>\
            <feature var='http://jabber.org/protocol/caps'/><feature var='http://jabber.org/protocol/disco#info'/>\
            <feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/muc'/>\
            <x xmlns='jabber:x:data' type='result'>\
            <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>\
            <field var='ip_version'><value>ipv4</value><value>ipv6</value></field>\
            <field var='os'><value>Mac</value></field><field var='os_version'><value>10.5.1</value></field>\
            <field var='software'><value>Psi</value></field><field var='software_version'><value>0.11</value></field></x>";
        assert_eq!(ver(psi).as_deref(), Some("q07IKJEyjvHSyhy//CH0CxmKi8w="));
    }

    #[test]
    fn ext_02_ill_formed_answers_prove_nothing() {
        let twice = format!("{EXODUS}<feature var='http://jabber.org/protocol/muc'/>");
        assert_eq!(ver(&twice), None);
        let form = "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>a</value></field></x>";
        assert_eq!(ver(&format!("{EXODUS}{form}{form}")), None);
        let ambiguous = "<x xmlns='jabber:x:data'><field var='FORM_TYPE' type='hidden'><value>a</value><value>b</value></field></x>";
        assert_eq!(ver(&format!("{EXODUS}{ambiguous}")), None);
        let untyped =
            "<x xmlns='jabber:x:data'><field var='FORM_TYPE'><value>a</value></field></x>";
        assert_eq!(ver(&format!("{EXODUS}{untyped}")), ver(EXODUS), "left out");
    }

    /// Clients that never answer: those of one domain keep no other's from being asked.
    #[test]
    fn dos_10_a_domain_whose_clients_do_not_answer_keeps_no_other_from_asking() {
        let caps = Caps::default();
        let ask = |domain: &str, n: usize| {
            let account = BareJid::parse(&format!("alice@{domain}")).expect("an address");
            let entity = Jid::parse(&format!("romeo@peer.example/{n}")).expect("an address");
            let announced = Announced {
                hash: "sha-1".into(),
                node: "n".into(),
                ver: n.to_string(),
            };
            caps.note(&account, &entity, &announced, Timestamp(1))
        };
        let asked = (0..5_000).filter(|n| ask("one.example", *n).is_some());
        assert!(asked.count() >= 500, "as long as others need no place");
        let id = ask("two.example", 1).expect("its place");
        assert!(ask("two.example", 2).is_some());
        // Places come back with the answers.
        let answer = crate::testing::stanza(&format!(
            "<iq from='romeo@peer.example/1' to='alice@two.example' type='result' id='{id}'/>"
        ));
        assert!(caps.take(&answer).is_some() && caps.take(&answer).is_none());
    }
}
