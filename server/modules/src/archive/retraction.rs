//! Message retraction, XEP-0424 version 0.4.2: what has been taken back leaves a tombstone in the archive.
//!
//! The retraction itself is kept like any message. What it names is looked for in the same conversation and way, among the
//! newest messages, so only who wrote a message can take it back, and only from where it was written to. Refuses: a
//! retraction without an id, which no tombstone could name.

use store::{AccountId, message_hash};
use xmpp::element::Element;
use xmpp::ns;
use xmpp::stanza::Stanza;

use crate::content::RETRACT;
use crate::context::{Context, Refusal, store_failed};
use crate::passage::{Direction, Passage};

/// Feature of accounts whose archive does this.
pub(crate) const TOMBSTONE: &str = "urn:xmpp:message-retract:1#tombstone";
/// Messages of a conversation that are looked through.
const WITHIN: u32 = 2_000;

/// Puts a tombstone in place of what the message, which has been archived, takes back.
pub(super) async fn apply(
    cx: &Context<'_>,
    account: AccountId,
    passage: &Passage,
) -> Result<(), Refusal> {
    let retraction = &passage.message;
    let named = retraction
        .child_tag("retract", RETRACT)
        .and_then(|tag| tag.attr("id"));
    let (Some(named), Some(own), Some(peer)) = (named, retraction.id(), passage.peer()) else {
        return Ok(());
    };
    let failed = |e| store_failed(&e, &passage.account, "looking for a retracted message");
    let sent = passage.direction == Direction::Sent;
    let found = cx
        .store()
        .archive_named(account, peer.bare_str(), sent, message_hash(&named), WITHIN)
        .await
        .map_err(failed)?;
    let original = found.into_iter().find_map(|archived| {
        let stanza = Stanza::from_bytes(&archived.stanza).ok()?;
        let same = stanza.id() == Some(named.as_str()) && !stanza.has_child("retracted", RETRACT);
        same.then_some((archived.id, stanza))
    });
    let Some((id, original)) = original else {
        return Ok(());
    };
    let Ok(mut tree) = original.payload() else {
        return Ok(());
    };
    tree.retain_children(|_| false);
    let text = tree.text_content();
    let mut tombstone = if text.trim().is_empty() {
        tree
    } else {
        // Loose text between the children is content too.
        let mut bare = Element::new("message", ns::CLIENT);
        for name in ["from", "to", "type", "id"] {
            bare = bare.attr_opt(name, tree.get_attr(name));
        }
        bare
    };
    tombstone.push(
        Element::new("retracted", RETRACT)
            .attr("id", own)
            .attr("stamp", cx.now.to_xep0082()),
    );
    let Ok(tombstone) = Stanza::from_element(&tombstone) else {
        return Ok(());
    };
    let replaced = cx.store().archive_replace(account, id, tombstone.bytes());
    replaced
        .await
        .map_err(|e| store_failed(&e, &passage.account, "retracting a message"))
}
