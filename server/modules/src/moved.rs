//! Moved, XEP-0283 version 0.2.0: a contact who asks from a new address is let in as at the old one, once the old one says so.
//!
//! Whoever moves publishes where to at the old account (any node of personal eventing will do that), and asks contacts from the
//! new one. Here the request waits as any other, but is not shown before the old address was asked; where that confirms it,
//! the account's server decides as its owner has decided before: the new address sees what the old one saw, the old one no
//! more, and where both saw each other the account asks back. Whatever else comes of it, the request is shown like anybody's.
//! Refuses: statements of anybody but the old address itself, and old addresses that the account does not let see it.

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaError, StanzaType};

use crate::context::Context;
use crate::hooks::is_on;
use crate::info::{Hooks, ModuleInfo, Spec};
use crate::memory::ByDomain;
use crate::module::Module;
use crate::presence::{self, subscription::Verb};
use crate::roster::Roster;
use store::Subscription;

/// The module.
pub(crate) struct Moved;

const MOVED: &str = "urn:xmpp:moved:1";
const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// Questions without an answer, of which each domain has its share; when there are more, the oldest are forgotten, and their requests wait as any other.
const OPEN: usize = 10_000;

static INFO: ModuleInfo = ModuleInfo {
    name: "moved",
    about: "lets contacts who have moved in at their new address, once the old one has confirmed it",
    specs: &[Spec::Xep(283, "0.2.0")],
    switchable: true,
    iq: &[],
    hooks: Hooks::IQ_ANSWERED,
    server_features: &[],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

/// What an old address was asked.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    account: BareJid,
    new: BareJid,
    old: BareJid,
}

/// Questions that wait for their answers, by id.
#[derive(Debug)]
pub(crate) struct Moves(ByDomain<String, Question>);

impl Default for Moves {
    fn default() -> Self {
        Self(ByDomain::new(OPEN / 2))
    }
}

impl Moves {
    /// Whether this may be an answer: the id is one of ours, and it comes from whom we asked.
    pub(crate) fn expects(&self, iq: &Stanza) -> bool {
        self.asked(iq).is_some()
    }

    fn asked(&self, iq: &Stanza) -> Option<Question> {
        let (id, from, to) = (iq.id()?, iq.from()?, iq.to()?);
        let asked = self.0.get(to.domain(), &id.to_owned())?;
        (asked.old.as_str() == from.as_str()).then_some(asked)
    }

    fn take(&self, iq: &Stanza) -> Option<Question> {
        let asked = self.asked(iq)?;
        self.0.remove(asked.account.domain(), &iq.id()?.to_owned());
        Some(asked)
    }
}

/// Asks the old address of whoever sends this request, if they say that they have moved and the account lets the old one see
/// it. `false`: there is nothing to ask, and the request is shown.
pub(crate) fn ask(cx: &Context<'_>, roster: &Roster, account: &BareJid, request: &Stanza) -> bool {
    if !is_on(cx.hosted, &INFO) || !request.has_child("moved", MOVED) {
        return false;
    }
    let tree = request.payload().ok();
    let said = tree
        .as_ref()
        .and_then(|tree| tree.find("moved", MOVED)?.find("old-jid", MOVED));
    let old = said.and_then(|old| Jid::parse(old.text_content().trim()).ok());
    let (Some(old), Some(new)) = (old.filter(Jid::is_bare), request.from().map(Jid::bare)) else {
        return false;
    };
    let old = old.bare();
    let seen = roster
        .get(old.as_str())
        .is_some_and(|item| item.subscription.seen_by_contact());
    if !seen || old == new || old == *account {
        return false;
    }
    let id = format!("moved-{:016x}", rand::random::<u64>());
    let item = Element::new("item", PUBSUB).attr("id", "current");
    let items = Element::new("items", PUBSUB)
        .attr("node", MOVED)
        .child(item);
    let iq = Element::new("iq", ns::CLIENT)
        .attr("from", account.as_str())
        .attr("to", old.as_str())
        .attr("type", "get")
        .attr("id", id.as_str())
        .child(Element::new("pubsub", PUBSUB).child(items));
    let Ok(iq) = Stanza::from_element(&iq) else {
        return false;
    };
    let account = account.clone();
    let question = Question { account, new, old };
    let domain = cx.hosted.domain.as_str();
    cx.modules.moves.0.insert(domain, id, question, 1);
    cx.send(iq);
    true
}

#[async_trait]
impl Module for Moved {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_answered(&self, cx: &Context<'_>, iq: &Stanza) {
        let Some(asked) = cx.modules.moves.take(iq) else {
            return;
        };
        let Ok(Some(roster)) = cx.roster(&asked.account).await else {
            return;
        };
        // Somebody may have decided meanwhile.
        if !roster.has_request(asked.new.as_str()) {
            return;
        }
        let before = roster.get(asked.old.as_str()).map(|item| item.subscription);
        let before = before.filter(|subscription| subscription.seen_by_contact());
        match before.filter(|_| stated(iq).as_ref() == Some(&asked.new)) {
            Some(before) => admit(cx, &asked, before).await,
            None => show(cx, &roster, &asked).await,
        }
    }
}

/// Where the old address says that its owner has moved to.
fn stated(answer: &Stanza) -> Option<BareJid> {
    let tree = answer.payload().ok()?;
    let text = if answer.type_() == StanzaType::Error {
        let error = StanzaError::from_stanza(&tree).filter(|e| e.condition == Condition::Gone)?;
        error.alternative?.strip_prefix("xmpp:")?.to_owned()
    } else {
        let items = tree.find("pubsub", PUBSUB)?.find("items", PUBSUB)?;
        let item = items.children().find(|child| child.is("item", PUBSUB))?;
        let named = items.get_attr("node") == Some(MOVED);
        let new = item.find("moved", MOVED)?.find("new-jid", MOVED)?;
        Some(new.text_content()).filter(|_| named)?
    };
    let jid = Jid::parse(text.trim()).ok()?;
    jid.is_bare().then(|| jid.bare())
}

/// The new address takes the old one's place (XEP-0283 4.4).
async fn admit(cx: &Context<'_>, asked: &Question, before: Subscription) {
    let Question { account, new, old } = asked;
    tracing::info!(account = %account, old = %old, new = %new, "a contact has moved");
    presence::say(cx, account, new, Verb::Subscribed).await;
    presence::say(cx, account, old, Verb::Unsubscribed).await;
    if before == Subscription::Both {
        presence::say(cx, account, new, Verb::Subscribe).await;
    }
}

/// The request is one like any other, and is shown as it came.
async fn show(cx: &Context<'_>, roster: &Roster, asked: &Question) {
    let waiting = match cx.store().request_list(roster.account).await {
        Ok(waiting) => waiting,
        Err(error) => {
            // Whoever logs in next is shown it.
            tracing::error!(account = %asked.account, %error, "a waiting request cannot be read");
            return;
        }
    };
    let own = waiting.into_iter().find(|(from, _)| *from == asked.new);
    if let Some(request) = own.and_then(|(_, request)| Stanza::from_bytes(&request).ok()) {
        cx.switchboard.deliver_available(&asked.account, &request);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::House;

    const OLD: &str = "juliet@old.example";
    const NEW: &str = "juliet@new.example";

    fn request(old: &str) -> String {
        format!(
            "<presence from='{NEW}' to='alice@one.example' type='subscribe' id='s'>\
             <moved xmlns='urn:xmpp:moved:1'><old-jid>{old}</old-jid></moved></presence>"
        )
    }

    fn statement(new: &str) -> String {
        format!(
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:moved:1'><item id='current'>\
             <moved xmlns='urn:xmpp:moved:1'><new-jid>{new}</new-jid></moved></item></items></pubsub>"
        )
    }

    /// Alice's phone, her contact who has moved and asks, and the id of the question to the old address, if one went out.
    async fn asked(subscription: &str, old: &str) -> (House, Jid, Option<String>) {
        let house = House::new().await;
        house.item("alice", OLD, subscription).await;
        let phone = house.online("alice@one.example/phone").await;
        house.presence_in(&request(old)).await;
        let sent = house.take_sent();
        let id = sent.split_once(" id='moved-").map(|(_, rest)| {
            assert!(
                sent.contains("to='juliet@old.example'")
                    && sent.contains("<items node='urn:xmpp:moved:1'>")
            );
            format!("moved-{}", rest.split('\'').next().unwrap_or_default())
        });
        (house, phone, id)
    }

    /// Everything that has left for other servers.
    fn all_sent(house: &House) -> String {
        let sent = std::iter::repeat_with(|| house.take_sent());
        sent.take_while(|stanza| !stanza.is_empty()).collect()
    }

    async fn answer(house: &House, from: &str, id: &str, type_: &str, inside: &str) -> bool {
        let iq = format!(
            "<iq from='{from}' to='alice@one.example' type='{type_}' id='{id}'>{inside}</iq>"
        );
        house.answered(&iq).await
    }

    #[tokio::test]
    async fn ext_38_who_has_moved_is_let_in_when_the_old_address_confirms_it() {
        for (subscription, asks_back) in [("both", true), ("from", false)] {
            for gone in [false, true] {
                let (house, phone, id) = asked(subscription, OLD).await;
                let id = id.expect("the old address is asked");
                assert!(house.all(&phone).is_empty(), "nobody is shown it before");
                let error = format!(
                    "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:{NEW}</gone></error>"
                );
                let (type_, inside) = if gone {
                    ("error", error)
                } else {
                    ("result", statement(NEW))
                };
                assert!(answer(&house, OLD, &id, type_, &inside).await);
                let sent = all_sent(&house);
                let says = |to: &str, type_: &str| {
                    sent.split("<presence").any(|one| {
                        one.contains(&format!("to='{to}'"))
                            && one.contains(&format!("type='{type_}'"))
                    })
                };
                assert!(
                    says(NEW, "subscribed") && says(OLD, "unsubscribed"),
                    "{sent}"
                );
                assert_eq!(says(NEW, "subscribe"), asks_back, "{sent}");
                let asked_back = house.state("alice", NEW).await;
                assert_eq!(asked_back.contains("ask"), asks_back, "{asked_back}");
                assert!(!house.state("alice", OLD).await.contains("from"));
                assert!(
                    !answer(&house, OLD, &id, "result", &statement(NEW)).await,
                    "it is asked once"
                );
            }
        }
    }

    #[tokio::test]
    async fn ext_38_what_is_not_confirmed_is_a_request_like_any_other() {
        let wrong_node = statement(NEW).replace("node='urn:xmpp:moved:1'", "node='x'");
        for (type_, inside) in [
            ("result", statement("mallory@new.example")),
            ("result", statement(&format!("{NEW}/x"))),
            ("result", statement("@@")),
            ("result", wrong_node),
            ("result", String::new()),
            ("result", "<pubsub xmlns='http://jabber.org/protocol/pubsub'/>".into()),
            ("error", "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>".into()),
            ("error", "<error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:x@y.example</gone></error>".into()),
        ] {
            let (house, phone, id) = asked("both", OLD).await;
            let id = id.expect("asked");
            assert!(!answer(&house, "mallory@old.example", &id, "result", &statement(NEW)).await, "another's word");
            assert!(answer(&house, OLD, &id, type_, &inside).await);
            let shown = house.all(&phone).join("");
            assert!(shown.contains("type='subscribe'") && shown.contains("<moved "), "{inside}: {shown}");
            assert!(!all_sent(&house).contains("subscribed"), "{inside}");
        }
    }

    #[tokio::test]
    async fn ext_38_whoever_the_account_does_not_let_see_it_has_not_moved() {
        for (subscription, old) in [
            ("to", OLD),
            ("none", OLD),
            ("both", "stranger@old.example"),
            ("both", "juliet@old.example/phone"),
            ("both", "@@"),
            ("both", ""),
            ("both", "alice@one.example"),
            ("both", NEW),
        ] {
            let (house, phone, id) = asked(subscription, old).await;
            assert_eq!(id, None, "{subscription} {old}");
            assert!(
                house.all(&phone).join("").contains("type='subscribe'"),
                "{subscription} {old}"
            );
        }
        let mut house = House::new().await;
        house.settings(|settings| settings.off = vec!["moved".into()]);
        house.item("alice", OLD, "both").await;
        let phone = house.online("alice@one.example/phone").await;
        house.presence_in(&request(OLD)).await;
        assert!(house.all(&phone).join("").contains("type='subscribe'"));
        assert!(!all_sent(&house).contains("moved-"));
    }
}
