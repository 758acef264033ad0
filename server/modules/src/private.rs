//! Private XML storage, XEP-0049 version 1.2: what an account's clients keep for themselves, by name and namespace of the
//! element.
//!
//! Bookmarks are no longer kept here where the domain has them in one place for all ([`crate::bookmarks`]). Refuses:
//! everybody but the account's own sessions (EXT-08), and more bytes than the limit allows.

use async_trait::async_trait;
use store::PrivateXml;
use xmpp::element::Element;
use xmpp::stanza::{Condition, StanzaType};

use crate::bookmarks;
use crate::context::{Context, Refusal, Standing, store_failed};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};
use store::AccountId;
use xmpp::jid::BareJid;

/// The module.
pub(crate) struct Private;

const PRIVATE: &str = "jabber:iq:private";
/// Elements in one request.
const AT_ONCE: usize = 20;
/// Bytes of an element's name and namespace together.
const NAME_BYTES: usize = 1_023;

static INFO: ModuleInfo = ModuleInfo {
    name: "private",
    about: "keeps what an account's clients want kept for themselves",
    specs: &[Spec::Xep(49, "1.2")],
    switchable: true,
    iq: &[IqDoor {
        ns: PRIVATE,
        name: "query",
        types: IqTypes::Both,
        at_server: false,
        // Everybody else hears `<forbidden/>`, whether there is such an account or not.
        at_account: Audience::Anyone,
        of_sessions: false,
    }],
    hooks: Hooks::NONE,
    server_features: &[PRIVATE],
    account_features: &[PRIVATE],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Private {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        if ask.standing != Standing::Owner {
            return Err(Condition::Forbidden.into());
        }
        let Some(roster) = cx.roster(ask.account).await? else {
            return Err(Condition::Forbidden.into());
        };
        let iq = ask.iq.payload().map_err(|_| Condition::BadRequest)?;
        let query = iq.find("query", PRIVATE).ok_or(Condition::BadRequest)?;
        match ask.iq.type_() {
            StanzaType::Get => get(cx, ask.account, roster.account, query)
                .await
                .map(Answer::Payload),
            _ => set(cx, ask.account, roster.account, query)
                .await
                .map(|()| Answer::Empty),
        }
    }
}

async fn get(
    cx: &Context<'_>,
    account: &BareJid,
    row: AccountId,
    query: &Element,
) -> Result<Element, Refusal> {
    let mut asked = query.children();
    let element = match (asked.next(), asked.next()) {
        (Some(one), None) => one,
        (None, _) => return Err(bad(Condition::BadRequest, "nothing is asked for")),
        _ => return Err(bad(Condition::NotAcceptable, "one element at a time")),
    };
    named(element)?;
    let found = if bookmarks::on(cx) && bookmarks::is_storage(element) {
        Some(bookmarks::as_storage(cx, account).await?)
    } else {
        read(cx, account, row, element).await?
    };
    // What is not there is empty.
    let found = found.unwrap_or_else(|| Element::new(element.name(), element.ns()));
    Ok(Element::new("query", PRIVATE).child(found))
}

async fn set(
    cx: &Context<'_>,
    account: &BareJid,
    row: AccountId,
    query: &Element,
) -> Result<(), Refusal> {
    let mut elements = Vec::new();
    let mut storage = None;
    for element in query.children() {
        named(element)?;
        if elements.len() == AT_ONCE {
            let text = format!("at most {AT_ONCE} elements at once");
            return Err(bad(Condition::PolicyViolation, &text));
        }
        if bookmarks::on(cx) && bookmarks::is_storage(element) {
            storage = Some(element);
        } else {
            elements.push(PrivateXml {
                namespace: element.ns().to_owned(),
                name: element.name().to_owned(),
                payload: element.to_xml("").into_bytes(),
            });
        }
    }
    if elements.is_empty() && storage.is_none() {
        return Err(bad(Condition::NotAcceptable, "nothing is to be kept"));
    }
    if !elements.is_empty() {
        put(cx, account, row, &elements).await?;
    }
    match storage {
        Some(storage) => bookmarks::replace(cx, account, storage).await,
        None => Ok(()),
    }
}

/// An element with a name of its own, which is what it is found by.
fn named(element: &Element) -> Result<(), Refusal> {
    if element.ns().is_empty() || element.ns() == PRIVATE {
        let text = "an element has a namespace of its own";
        return Err(bad(Condition::NotAcceptable, text));
    }
    if element.ns().len() + element.name().len() > NAME_BYTES {
        let text = format!("name and namespace have at most {NAME_BYTES} bytes");
        return Err(bad(Condition::NotAcceptable, &text));
    }
    Ok(())
}

/// What is kept under the name and namespace of `like`.
pub(crate) async fn read(
    cx: &Context<'_>,
    account: &BareJid,
    row: AccountId,
    like: &Element,
) -> Result<Option<Element>, Refusal> {
    let kept = cx.store().private_get(row, like.ns(), like.name()).await;
    let kept = kept.map_err(|e| store_failed(&e, account, "reading private XML"))?;
    let text = kept.and_then(|kept| String::from_utf8(kept).ok());
    Ok(text.and_then(|text| Element::parse(&text, "").ok()))
}

/// Keeps elements, within the limit.
pub(crate) async fn put(
    cx: &Context<'_>,
    account: &BareJid,
    row: AccountId,
    elements: &[PrivateXml],
) -> Result<(), Refusal> {
    let most = cx.modules.limits.private_bytes;
    let kept = cx.store().private_put(row, elements, most).await;
    if kept.map_err(|e| store_failed(&e, account, "keeping private XML"))? {
        return Ok(());
    }
    cx.switchboard.limited("private_xml_bytes");
    let text = format!("an account keeps at most {most} bytes of private XML");
    Err(bad(Condition::PolicyViolation, &text))
}

fn bad(condition: Condition, text: &str) -> Refusal {
    Refusal::new(condition).with_text(text)
}

#[cfg(test)]
mod tests {
    use crate::memory::Limits;
    use crate::testing::House;

    fn query(inside: &str) -> String {
        format!("<query xmlns='jabber:iq:private'>{inside}</query>")
    }

    const NOTES: &str = "<notes xmlns='urn:notes'><note tags='a'>x &lt; y</note></notes>";

    #[tokio::test]
    async fn ext_08_what_is_kept_is_given_back_to_every_session() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        let desk = house.bind("alice@one.example/desk");
        house.iq(&alice, "set", None, &query(NOTES)).await;
        house.got(
            &alice,
            "<iq to='alice@one.example/phone' type='result' id='q'/>",
        );
        let asked = query("<notes xmlns='urn:notes'/>");
        house
            .iq(&desk, "get", Some("alice@one.example"), &asked)
            .await;
        let answer = house.take(&desk);
        assert!(answer.contains(NOTES), "{answer}");
        house
            .iq(&desk, "get", None, &query("<other xmlns='urn:notes'/>"))
            .await;
        assert!(house.take(&desk).contains("<other xmlns='urn:notes'/>"));
    }

    #[tokio::test]
    async fn ext_08_nobody_else_gets_or_sets() {
        let house = House::new().await;
        let bob = house.bind("bob@one.example/x");
        house.item("alice", "bob@one.example", "both").await;
        for (type_, account) in [
            ("get", "alice@one.example"),
            ("set", "alice@one.example"),
            ("get", "nobody@one.example"),
        ] {
            house.iq(&bob, type_, Some(account), &query(NOTES)).await;
            house.got_error(&bob, "forbidden");
        }
        house
            .iq_from(
                "romeo@peer.example/x",
                "get",
                "alice@one.example",
                &query(NOTES),
            )
            .await;
        house.sent_error("alice@one.example", "forbidden");
    }

    #[tokio::test]
    async fn ext_08_what_makes_no_sense_or_is_too_much_is_refused() {
        let house = House::with(Limits {
            private_bytes: 200,
            ..Limits::default()
        })
        .await;
        let alice = house.bind("alice@one.example/phone");
        let two = format!("{NOTES}<b xmlns='urn:b'/>");
        let many: String = (0..21).map(|n| format!("<a{n} xmlns='urn:a'/>")).collect();
        let long = format!("<a xmlns='urn:{}'/>", "x".repeat(1_100));
        let big = format!("<a xmlns='urn:a'>{}</a>", "x".repeat(200));
        for (type_, inside, condition) in [
            ("get", "", "bad-request"),
            ("set", "", "not-acceptable"),
            ("get", two.as_str(), "not-acceptable"),
            ("set", "<plain/>", "not-acceptable"),
            ("set", many.as_str(), "policy-violation"),
            ("set", long.as_str(), "not-acceptable"),
            ("set", big.as_str(), "policy-violation"),
        ] {
            house.iq(&alice, type_, None, &query(inside)).await;
            house.got_error(&alice, condition);
        }
        house.iq(&alice, "set", None, &query(&two)).await;
        assert!(house.take(&alice).contains("type='result'"));
    }

    #[tokio::test]
    async fn what_is_off_is_not_there() {
        let mut house = House::new().await;
        house.settings(|s| s.off = vec!["private".into()]);
        let alice = house.bind("alice@one.example/phone");
        house.iq(&alice, "get", None, &query(NOTES)).await;
        house.got_error(&alice, "service-unavailable");
        let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
        house
            .iq(&alice, "get", Some("alice@one.example"), info)
            .await;
        let answer = house.take(&alice);
        assert!(!answer.contains("jabber:iq:private") && !answer.contains("#compat"));
    }
}
