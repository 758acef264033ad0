//! XMPP Ping, XEP-0199 version 2.0.1. The file to copy for a new module: card, hooks, tests, and one line in
//! [`crate::ALL`].
//!
//! Why: clients and other servers find out whether a stream still works (PING-01). Answers for the domain, to anybody, and
//! for an account, to those who know that it exists. Refuses: pings of its own; the stream machines have white space.

use async_trait::async_trait;
use xmpp::ns;

use crate::context::{Context, Refusal};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};

/// The module.
pub(crate) struct Ping;

static INFO: ModuleInfo = ModuleInfo {
    name: "ping",
    about: "answers pings for the domain and its accounts",
    specs: &[Spec::Xep(199, "2.0.1")],
    switchable: false,
    iq: &[IqDoor {
        ns: ns::PING,
        name: "ping",
        types: IqTypes::Get,
        at_server: true,
        at_account: Audience::Contacts,
        of_sessions: false,
    }],
    hooks: Hooks::NONE,
    server_features: &[ns::PING],
    account_features: &[ns::PING],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Ping {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn answers_at_once(&self) -> bool {
        true
    }

    async fn iq_to_account(&self, _: &Context<'_>, _: &Ask<'_>) -> Result<Answer, Refusal> {
        Ok(Answer::Empty)
    }
}

#[cfg(test)]
mod tests {
    use xmpp::stanza::Stanza;

    use crate::hooks::iq_to_server_at_once;
    use crate::testing::House;

    const PING: &str = "<ping xmlns='urn:xmpp:ping'/>";

    #[tokio::test]
    async fn ping_01_the_server_answers_its_own() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        house.iq(&alice, "get", Some("one.example"), PING).await;
        house.got(
            &alice,
            "<iq from='one.example' to='alice@one.example/phone' type='result' id='q'/>",
        );
    }

    /// The short way against the long one.
    #[tokio::test]
    async fn ping_01_what_is_answered_at_once_is_what_the_long_way_answers() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        for (to, type_, payload, at_once) in [
            ("one.example", "get", PING, true),
            ("one.example/x", "get", PING, true),
            ("one.example", "set", PING, false),
            ("one.example", "get", "<pong xmlns='urn:xmpp:ping'/>", false),
            (
                "one.example",
                "get",
                "<query xmlns='jabber:iq:version'/>",
                false,
            ),
        ] {
            let text = format!("<iq from='{alice}' to='{to}' type='{type_}' id='q'>{payload}</iq>");
            let iq = Stanza::from_bytes(text.as_bytes()).expect("an iq");
            let short = {
                let cx = house.context("one.example");
                iq_to_server_at_once(cx.hosted, &iq)
            };
            house.iq(&alice, type_, Some(to), payload).await;
            let long = house.all(&alice);
            assert_eq!(long.len(), 1, "{text}");
            match short {
                Some(short) if at_once => assert_eq!(short.bytes(), long[0].as_bytes(), "{text}"),
                short => assert!(short.is_none() && !at_once, "{text}"),
            }
        }
    }

    #[tokio::test]
    async fn ping_01_the_server_answers_peers() {
        let house = House::new().await;
        house
            .iq_from("peer.example", "get", "one.example", PING)
            .await;
        house.sent("<iq from='one.example' to='peer.example' type='result' id='q'/>");
    }

    #[tokio::test]
    async fn ping_01_the_account_answers_its_owner_with_and_without_to() {
        let house = House::new().await;
        let alice = house.bind("alice@one.example/phone");
        house.iq(&alice, "get", None, PING).await;
        house.got(
            &alice,
            "<iq to='alice@one.example/phone' type='result' id='q'/>",
        );
        house
            .iq(&alice, "get", Some("alice@one.example"), PING)
            .await;
        house.got(
            &alice,
            "<iq from='alice@one.example' to='alice@one.example/phone' type='result' id='q'/>",
        );
    }

    #[tokio::test]
    async fn route_10_strangers_cannot_tell_accounts_from_none_by_ping() {
        let house = House::new().await;
        for account in ["alice@one.example", "nobody@one.example"] {
            house
                .iq_from("romeo@peer.example/x", "get", account, PING)
                .await;
            house.sent_error(account, "service-unavailable");
        }
        house.item("alice", "romeo@peer.example", "none").await;
        house
            .iq_from("romeo@peer.example/x", "get", "alice@one.example", PING)
            .await;
        house.sent("<iq from='alice@one.example' to='romeo@peer.example/x' type='result' id='q'/>");
    }
}
