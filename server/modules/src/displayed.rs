//! What was displayed, said to a contact and to an account's own devices in one message: the server's part in Message Displayed
//! Synchronization, XEP-0490 version 1.0.1, 5.4.
//!
//! The element of it is taken off a message before anybody else sees that, the archive and copies for other devices included, and
//! published at the account's own node, which is made for the owner alone. What cannot be published is not sent either: its sender
//! is told, and can say both things separately. Refuses: looking into what is published, and messages from elsewhere.

use async_trait::async_trait;
use store::{Access, NodeConfig, SendLast};
use xmpp::stanza::{Condition, StanzaType};

use crate::content::{Content, MDS};
use crate::context::{Context, Hosted, Refusal};
use crate::info::{Hooks, ModuleInfo, Spec};
use crate::memory::Modules;
use crate::module::Module;
use crate::passage::{Direction, Glance, Passage};
use crate::pubsub;

/// The module.
pub(crate) struct Displayed;

static INFO: ModuleInfo = ModuleInfo {
    name: "displayed",
    about: "lets one message tell a contact and one's own devices what was displayed",
    specs: &[Spec::Xep(490, "1.0.1")],
    switchable: true,
    iq: &[],
    hooks: Hooks::MESSAGE_PASSAGE,
    server_features: &[],
    account_features: &["urn:xmpp:mds:server-assist:0"],
    account_identities: &[],
    stream_features: &[],
};

#[async_trait]
impl Module for Displayed {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn needs(&self) -> &'static [&'static str] {
        &["pubsub"]
    }

    fn message_concerns(&self, _: &Modules, _: &Hosted, glance: &Glance<'_>) -> bool {
        glance.direction == Direction::Sent && glance.content.any(Content::DISPLAYED)
    }

    async fn message_passing(
        &self,
        cx: &Context<'_>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        let tree = passage.message.payload();
        let tree = tree.map_err(|_| Refusal::from(Condition::BadRequest))?;
        let Some(stripped) = passage
            .message
            .without(|child| (child.name, child.ns) == ("displayed", MDS))
        else {
            return Ok(());
        };
        if let Some(displayed) = tree.find("displayed", MDS)
            && passage.message.type_() != StanzaType::Error
        {
            // The chat is the address as it was written to; a message without one is for the account itself.
            let chat = passage.message.to().map(ToString::to_string);
            let chat = chat.unwrap_or_else(|| passage.account.to_string());
            let _turn = cx.modules.turn(&passage.account).await;
            let put = vec![(chat, displayed.clone())];
            pubsub::put(cx, &passage.account, MDS, config(), Vec::new(), put)
                .await
                .map_err(not_sent)?;
        }
        passage.content = Content::of(&stripped);
        passage.message = stripped;
        Ok(())
    }
}

/// As the specification wants the node (XEP-0490 5.2, 8).
fn config() -> NodeConfig {
    NodeConfig {
        access: Access::Whitelist,
        max_items: None,
        send_last: SendLast::Never,
        ..NodeConfig::default()
    }
}

fn not_sent(why: Refusal) -> Refusal {
    let text = format!(
        "what was displayed could not be kept, so the message was not sent ({}); send it without that",
        why.text().unwrap_or(why.condition().name())
    );
    why.with_text(text)
}

#[cfg(test)]
mod tests;
