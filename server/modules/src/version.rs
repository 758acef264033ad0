//! Software Version, XEP-0092 version 1.1.
//!
//! Says the name and version of this server; never the operating system, which helps attackers only (XEP-0092 5, EXT-36).
//! For an account it answers those who may see its presence, because the answer shows that the account exists (C-15).
//! Refuses: asking others for theirs.

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::stanza::Stanza;

use crate::context::{Context, Refusal};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};

/// The module.
pub(crate) struct Version;

const NS: &str = "jabber:iq:version";

static INFO: ModuleInfo = ModuleInfo {
    name: "version",
    about: "says which software runs here; the operating system stays hidden",
    specs: &[Spec::Xep(92, "1.1")],
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
impl Module for Version {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_server(&self, _: &Context<'_>, _: &Stanza) -> Result<Answer, Refusal> {
        Ok(answer())
    }

    async fn iq_to_account(&self, _: &Context<'_>, _: &Ask<'_>) -> Result<Answer, Refusal> {
        Ok(answer())
    }
}

fn answer() -> Answer {
    Answer::Payload(
        Element::new("query", NS)
            .child(Element::new("name", NS).text("Domicile"))
            .child(Element::new("version", NS).text(env!("CARGO_PKG_VERSION"))),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::House;

    const QUERY: &str = "<query xmlns='jabber:iq:version'/>";

    /// XEP-0092.
    #[tokio::test]
    async fn ext_36_version_without_the_operating_system() {
        let house = House::new().await;
        house
            .iq_from("peer.example", "get", "one.example", QUERY)
            .await;
        let answer = house.take_sent();
        assert!(answer.contains("<name>Domicile</name>"), "{answer}");
        assert!(!answer.contains("<os"), "{answer}");
    }

    /// XEP-0092.
    #[tokio::test]
    async fn c_15_accounts_answer_the_entitled_only() {
        let house = House::new().await;
        let ask = || house.iq_from("romeo@peer.example/x", "get", "alice@one.example", QUERY);
        ask().await;
        house.sent_error("alice@one.example", "service-unavailable");
        house.item("alice", "romeo@peer.example", "to").await;
        ask().await;
        house.sent_error("alice@one.example", "forbidden");
        house.item("alice", "romeo@peer.example", "from").await;
        ask().await;
        assert!(house.take_sent().contains("type='result'"));
    }
}
