//! Entity Time, XEP-0202 version 2.0.
//!
//! The server's clock in UTC, offset `+00:00`: where the machine stands is nobody's business (EXT-36). For an account it answers
//! those who may see its presence (C-15). Refuses: the obsolete XEP-0090.

use async_trait::async_trait;
use xmpp::element::Element;
use xmpp::stanza::Stanza;

use crate::context::{Context, Refusal};
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::module::{Answer, Ask, Module};

/// The module.
pub(crate) struct Time;

const NS: &str = "urn:xmpp:time";

static INFO: ModuleInfo = ModuleInfo {
    name: "time",
    about: "tells the server's time in UTC",
    specs: &[Spec::Xep(202, "2.0")],
    switchable: true,
    iq: &[IqDoor {
        ns: NS,
        name: "time",
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
impl Module for Time {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_server(&self, cx: &Context<'_>, _: &Stanza) -> Result<Answer, Refusal> {
        Ok(answer(cx))
    }

    async fn iq_to_account(&self, cx: &Context<'_>, _: &Ask<'_>) -> Result<Answer, Refusal> {
        Ok(answer(cx))
    }
}

fn answer(cx: &Context<'_>) -> Answer {
    Answer::Payload(
        Element::new("time", NS)
            .child(Element::new("tzo", NS).text("+00:00"))
            .child(Element::new("utc", NS).text(cx.now.to_xep0082())),
    )
}

#[cfg(test)]
mod tests {
    use crate::testing::House;

    /// XEP-0202.
    #[tokio::test]
    async fn ext_36_time_is_utc_with_offset() {
        let house = House::new().await;
        house
            .iq_from(
                "peer.example",
                "get",
                "one.example",
                "<time xmlns='urn:xmpp:time'/>",
            )
            .await;
        let answer = house.take_sent();
        assert!(answer.contains("<tzo>+00:00</tzo><utc>20"), "{answer}");
        assert!(answer.contains("Z</utc>"), "{answer}");
    }
}
