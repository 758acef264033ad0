//! Lists of strangers to be kept away: which a domain follows, and how that goes.
//!
//! A list is a pubsub node (XEP-0060) of another service, written as its URI (12.21 there) or as the service alone, whose node is
//! then the one that such lists usually have. Refuses: reading and leaving a list; the live
//! server does that.

use serde::Serialize;
use xmpp::jid::{BareJid, Jid};
use xmpp::timestamp::Timestamp;

use crate::domain::StreamChoices;
use crate::error::{ControlError, Result};
use crate::permission::Operation;
use crate::{Actor, Control};

/// Node of those who name none, as <https://xmppbl.org> and others have it.
const NODE: &str = "muc_bans_sha256";
/// Bytes of a list as it is written.
const LIST_BYTES: usize = 3_000;
/// Lists of one domain.
const LISTS: usize = 5;
/// Addresses that an owner keeps away.
const STRANGERS: usize = 1_000;

/// A list that a domain follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BlockListView {
    /// As it was chosen.
    pub list: String,
    /// Entries that are known.
    pub entries: u64,
    /// When it was last read to the end; `None`: never.
    #[serde(serialize_with = "crate::time::maybe")]
    pub read: Option<Timestamp>,
    /// What is wrong with it; empty: nothing that we know of.
    pub problem: String,
}

/// Service and node of a list: `rtbl.example` or `xmpp:rtbl.example?;node=NODE`. `None`: it is none.
pub fn parse(list: &str) -> Option<(BareJid, String)> {
    let list = Some(list.trim()).filter(|list| list.len() <= LIST_BYTES)?;
    let (service, node) = match list.strip_prefix("xmpp:") {
        None => (list, NODE.to_owned()),
        Some(uri) => match uri.split_once('?') {
            None => (uri, NODE.to_owned()),
            Some((service, query)) => {
                let mut pairs = query.split(';');
                let node = pairs.find_map(|pair| pair.strip_prefix("node="))?;
                let node = percent_encoding::percent_decode_str(node);
                (service, node.decode_utf8().ok()?.into_owned())
            }
        },
    };
    let printable = !node.is_empty() && !node.chars().any(char::is_control);
    let service = BareJid::parse(service).ok().filter(|_| printable)?;
    Some((service, node))
}

/// Checks what an owner has chosen.
pub(crate) fn check(lists: &[String], strangers: &[String]) -> Result<()> {
    if let Some(bad) = lists.iter().find(|list| parse(list).is_none()) {
        return Err(ControlError::invalid(
            "block_lists",
            bad.as_str(),
            "this is not the address of a list",
            "Write its service, as in rtbl.example, or xmpp:rtbl.example?;node=NODE.",
        ));
    }
    if let Some(bad) = strangers
        .iter()
        .find(|who| !Jid::parse(who).is_ok_and(|who| who.is_bare()))
    {
        return Err(ControlError::invalid(
            "block_strangers",
            bad.as_str(),
            "this is neither somebody's address nor a domain",
            "Write user@domain or domain.",
        ));
    }
    let limit = |what, used: usize, limit: usize| match used <= limit {
        true => Ok(()),
        false => Err(ControlError::Limit {
            what,
            used: used as u64,
            limit: limit as u64,
        }),
    };
    limit("block lists", lists.len(), LISTS)?;
    limit("strangers", strangers.len(), STRANGERS)
}

impl Control {
    /// The lists that a domain follows, and how far they are known.
    pub async fn block_lists(&self, actor: &Actor, domain: &str) -> Result<Vec<BlockListView>> {
        let row = self
            .domain_row(actor, Operation::DomainShow, domain)
            .await?;
        let known = self.domain_store(&row).block_lists().await?;
        let view = |list: String| {
            let place = parse(&list);
            let found = known.iter().find(|known| {
                place.as_ref().is_some_and(|(service, node)| {
                    service.as_str() == known.service && *node == known.node
                })
            });
            BlockListView {
                list,
                entries: found.map_or(0, |found| found.entries),
                read: found.and_then(|found| found.read),
                problem: found.map_or_else(String::new, |found| found.problem.clone()),
            }
        };
        let chosen = StreamChoices::of(&row).block_lists;
        Ok(chosen.into_iter().map(view).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_uris_and_as_services_alone() {
        for (text, read) in [
            ("xmppbl.org", Some(("xmppbl.org", NODE))),
            ("xmpp:xmppbl.org", Some(("xmppbl.org", NODE))),
            ("xmpp:XMPPBL.org?;node=a%20b", Some(("xmppbl.org", "a b"))),
            (
                "xmpp:lists@home.example?pubsub;node=n",
                Some(("lists@home.example", "n")),
            ),
            ("xmpp:xmppbl.org?;item=x", None),
            ("xmpp:xmppbl.org?;node=", None),
            ("xmpp:xmppbl.org?;node=a%00b", None),
            ("xmpp:xmppbl.org?;node=%ff", None),
            ("xmppbl.org/resource", None),
            ("@", None),
            ("", None),
        ] {
            let found = parse(text);
            let found = found.as_ref();
            let found = found.map(|(service, node)| (service.as_str(), node.as_str()));
            assert_eq!(found, read, "{text}");
        }
        assert!(check(&vec!["a.example".into(); 6], &[]).is_err());
        assert!(check(&[], &["a@b.example/x".into()]).is_err());
        assert!(
            check(
                &["a.example".into()],
                &["b.example".into(), "c@d.example".into()]
            )
            .is_ok()
        );
    }
}
