//! Last Activity, XEP-0012 version 2.0.
//!
//! For an account it says how long ago its last session went, as the answer to a probe does (RFC 6121 4.3.2), or zero while
//! somebody is there. Only who is subscribed to its presence is told (XEP-0012 8): a stranger hears what they hear of an account that
//! does not exist, whoever the owner knows is forbidden it (C-15). A session that shows itself to nobody does not count, for a contact
//! would otherwise see it here. The domain says how long the server has been running. Refuses: what sessions said when they went; how
//! long somebody has been idle is between them and their client.

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::stanza::{Condition, Stanza};
use xmpp::timestamp::Timestamp;

use crate::context::{Context, Refusal, Standing, store_failed};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};
use crate::presence::{available, last_seen};

/// The module.
pub(crate) struct Last;

const NS: &str = "jabber:iq:last";

static INFO: ModuleInfo = ModuleInfo {
    name: "last",
    about: "says since when somebody is away, to those who may see them, and since when the server runs",
    specs: &[Spec::Xep(12, "2.0")],
    switchable: true,
    iq: &[IqDoor {
        ns: NS,
        name: "query",
        types: IqTypes::Get,
        at_server: true,
        at_account: Audience::Entitled,
        of_sessions: false,
    }],
    hooks: Hooks::NONE,
    server_features: &[NS],
    account_features: &[NS],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Last {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_server(&self, cx: &Context<'_>, _: &Stanza) -> Result<Answer, Refusal> {
        Ok(answer(cx, cx.modules.started))
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let roster = cx.roster(ask.account).await?;
        let roster = roster.ok_or_else(|| Refusal::new(Condition::ServiceUnavailable))?;
        // Presence that was sent to somebody outside of subscriptions tells of one session, and of nothing before it.
        let subscribed = ask.iq.from().is_some_and(|from| {
            let item = roster.get(from.bare_str());
            item.is_some_and(|item| item.subscription.seen_by_contact())
        });
        if !subscribed && ask.standing != Standing::Owner {
            return Err(Condition::Forbidden.into());
        }
        if available(cx, ask.account).next().is_some() {
            return Ok(answer(cx, cx.now));
        }
        let since = last_seen(cx, &roster, ask.account).await;
        match since.map_err(|e| store_failed(&e, ask.account, "reading when somebody left"))? {
            Some(since) => Ok(answer(cx, since)),
            None => {
                Err(Refusal::new(Condition::ItemNotFound).with_text("nobody has been here yet"))
            }
        }
    }
}

/// Whole seconds since then.
fn answer(cx: &Context<'_>, since: Timestamp) -> Answer {
    let seconds = cx.now.0.saturating_sub(since.0).max(0) / 1_000_000;
    Answer::Payload(Element::new("query", NS).attr("seconds", seconds.to_string()))
}

#[cfg(test)]
mod tests {
    use crate::testing::House;

    const QUERY: &str = "<query xmlns='jabber:iq:last'/>";
    const ALICE: &str = "alice@one.example";
    const ROMEO: &str = "romeo@peer.example/x";

    async fn asks(house: &House, to: &str) {
        house.iq_from(ROMEO, "get", to, QUERY).await;
    }

    fn seconds(from: &str, seconds: u64) -> String {
        format!(
            "<iq from='{from}' to='{ROMEO}' type='result' id='q'><query xmlns='jabber:iq:last' seconds='{seconds}'/></iq>"
        )
    }

    /// XEP-0012.
    #[tokio::test]
    async fn ext_36_whoever_is_subscribed_hears_since_when_somebody_is_away() {
        let house = House::new().await;
        house.item("alice", "romeo@peer.example", "from").await;
        asks(&house, ALICE).await;
        house.sent_error(ALICE, "item-not-found");
        let phone = house.online("alice@one.example/phone").await;
        let desk = house.online("alice@one.example/desk").await;
        house.later(100);
        asks(&house, ALICE).await;
        house.sent(&seconds(ALICE, 0));
        house.gone(&phone).await;
        house.clear();
        asks(&house, ALICE).await;
        house.sent(&seconds(ALICE, 0));
        house.gone(&desk).await;
        house.clear();
        house.later(903);
        asks(&house, ALICE).await;
        house.sent(&seconds(ALICE, 903));
        // A session that has shown itself to nobody is not shown here either; a restart forgets nothing.
        let hidden = house.bind("alice@one.example/hidden");
        house.later(1);
        house.database.left_write().await.expect("written");
        house.modules().forget_account(&hidden.bare());
        asks(&house, ALICE).await;
        house.sent(&seconds(ALICE, 904));
        // Its own sessions may ask without an address.
        house.iq(&hidden, "get", None, QUERY).await;
        assert!(house.take(&hidden).contains(" seconds='904'"));
    }

    /// XEP-0012.
    #[tokio::test]
    async fn ext_36_c_15_nobody_else_hears_it() {
        let house = House::new().await;
        let alice = house.online("alice@one.example/phone").await;
        let refused = async |condition: &str| {
            asks(&house, ALICE).await;
            house.sent_error(ALICE, condition);
        };
        refused("service-unavailable").await;
        asks(&house, "nobody@one.example").await;
        house.sent_error("nobody@one.example", "service-unavailable");
        for subscription in ["none", "to"] {
            house
                .item("alice", "romeo@peer.example", subscription)
                .await;
            refused("forbidden").await;
        }
        // Presence outside of subscriptions is one session's, and no right to the account's.
        house
            .presence(&alice, &format!("<presence to='{ROMEO}'/>"))
            .await;
        house.clear();
        refused("forbidden").await;
        house.item("alice", "romeo@peer.example", "both").await;
        asks(&house, ALICE).await;
        house.sent(&seconds(ALICE, 0));
        let block = "<block xmlns='urn:xmpp:blocking'><item jid='romeo@peer.example'/></block>";
        house.iq(&alice, "set", None, block).await;
        house.clear();
        refused("service-unavailable").await;
    }

    /// XEP-0012.
    #[tokio::test]
    async fn ext_36_the_domain_says_since_when_it_runs() {
        let house = House::new().await;
        house.later(123_456);
        asks(&house, "one.example").await;
        house.sent(&seconds("one.example", 123_456));
        house.iq_from(ROMEO, "set", "one.example", QUERY).await;
        house.sent_error("one.example", "feature-not-implemented");
    }
}
