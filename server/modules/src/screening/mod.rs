//! Screening: strangers who are on a block list that the domain's owner chose reach nobody here.
//!
//! Lists are pubsub nodes (XEP-0060) of other services, of the kind that <https://xmppbl.org> keeps and that rooms of other
//! servers follow as well ([`follow`]), and one of the owner's own. A stranger is whoever is not in the roster of the account that
//! they write to and has not been shown its presence, and in a room whoever is nothing there. They are told which list it is, so
//! that they can have themselves taken off it; whether there is such an account, they do not learn. Answers are remembered for a
//! while, since rooms ask with every message. Refuses: keeping anybody away because a list cannot be read, and people of the
//! domain itself.

mod follow;
mod news;

use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use store::BlockListEntry;
use xmpp::element::Element;
use xmpp::jid::Jid;
use xmpp::stanza::{Condition, Stanza, StanzaType};

pub use self::follow::FollowedList;
pub(crate) use self::follow::{Following, begin, claim, follow};
use crate::content::Content;
use crate::context::{Context, Hosted, Refusal, Standing};
use crate::hooks;
use crate::info::{Hooks, ModuleInfo};
use crate::memory::Modules;
use crate::module::Module;
use crate::passage::{Direction, Glance, Passage};
use crate::pubsub;

/// Its name, for whoever switches it off where there is nothing to do for it.
pub const SCREENING: &str = "screening";

/// The module.
pub(crate) struct Screening;

const PUBSUB: &str = "http://jabber.org/protocol/pubsub";
/// What a room says about its occupants (XEP-0045).
const ROOM_USER: &str = "http://jabber.org/protocol/muc#user";
/// How long an answer is believed, in microseconds: another process may have heard of a change.
const BELIEVED: i64 = 300_000_000;

static INFO: ModuleInfo = ModuleInfo {
    name: SCREENING,
    about: "keeps strangers away who are on block lists that the domain's owner chose",
    specs: &[pubsub::SPEC],
    switchable: true,
    iq: &[],
    hooks: Hooks::MESSAGE_PASSAGE
        .and(Hooks::IQ_ANSWERED)
        .and(Hooks::SERVER_MESSAGE)
        .and(Hooks::SCREENING),
    server_features: &[],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

/// What somebody was found to be.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// As of this many changes of what the domain knows.
    changes: u64,
    at: i64,
    list: Option<Arc<str>>,
}

#[async_trait]
impl Module for Screening {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    fn message_concerns(&self, modules: &Modules, hosted: &Hosted, glance: &Glance<'_>) -> bool {
        if glance.direction != Direction::Received
            || glance.message.type_() == StanzaType::Error
            || !has_lists(hosted)
        {
            return false;
        }
        let unknown = |peer: &Jid| {
            !is_own(hosted, peer)
                && !modules.directed.any(glance.account(), peer)
                && modules.rosters.look(glance.account(), |known| match known {
                    Some(Some(roster)) => roster.get(peer.bare_str()).is_none(),
                    Some(None) | None => true,
                })
        };
        glance.content.any(Content::ROOM) || glance.peer().is_some_and(unknown)
    }

    async fn message_passing(
        &self,
        cx: &Context<'_>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        let inviter = match passage.content.any(Content::ROOM) {
            true => inviter(&passage.message),
            false => None,
        };
        for who in passage.peer().into_iter().chain(&inviter) {
            if let Some(list) = listed(cx, who).await
                && hooks::standing(cx, &passage.account, who).await? == Standing::Stranger
            {
                passage.silent = passage.is_from_occupant(cx.modules);
                return Err(kept_away(&list));
            }
        }
        Ok(())
    }

    async fn iq_answered(&self, cx: &Context<'_>, iq: &Stanza) {
        follow::answered(cx, iq).await;
    }

    fn server_message_concerns(&self, hosted: &Hosted, message: &Stanza) -> bool {
        news::is_event(hosted, message)
    }

    async fn server_message(&self, cx: &Context<'_>, message: &Stanza) {
        news::event(cx, message).await;
    }
}

fn has_lists(hosted: &Hosted) -> bool {
    !hosted.settings.lists.is_empty() || !hosted.settings.kept_away.is_empty()
}

/// The domain and its services. What else is below its name may be anybody's.
fn is_own(hosted: &Hosted, who: &Jid) -> bool {
    let rest = who.domain().strip_suffix(hosted.store.name());
    match rest.map(|label| label.strip_suffix('.')) {
        Some(Some(label)) => hooks::services_of(hosted).any(|service| service.label == label),
        Some(None) => who.domain() == hosted.store.name(),
        None => false,
    }
}

/// One of the domain's programs.
fn is_component(cx: &Context<'_>, who: &Jid) -> bool {
    let parent = who.domain().split_once('.').map(|(_, parent)| parent);
    parent == Some(cx.store().name()) && cx.switchboard.is_component(who.domain())
}

/// Who lets a room invite the account (XEP-0045 7.8.2).
fn inviter(message: &Stanza) -> Option<Jid> {
    let tree = message.payload().ok()?;
    let invite = tree.find("x", ROOM_USER)?.find("invite", ROOM_USER)?;
    Jid::parse(invite.get_attr("from")?).ok()
}

/// Whether [`stops_presence`] has anything to look at.
pub(crate) fn looks_at_presence(cx: &Context<'_>, presence: &Stanza) -> bool {
    cx.hosted.has(Hooks::SCREENING)
        && has_lists(cx.hosted)
        && matches!(
            presence.type_(),
            StanzaType::Subscribe | StanzaType::Available
        )
}

/// Presence of a stranger to an account, if it is of the kind that somebody would be shown: `true` where it goes no further.
/// Who asks for a subscription is told.
pub(crate) async fn stops_presence(cx: &Context<'_>, presence: &Stanza) -> bool {
    let (Some(from), Some(to)) = (presence.from(), presence.to()) else {
        return false;
    };
    let Some(list) = listed(cx, from).await else {
        return false;
    };
    // Where nobody can be asked who they are, they wait outside.
    let standing = hooks::standing(cx, &to.bare(), from).await;
    if standing.is_ok_and(|standing| standing > Standing::Stranger) {
        return false;
    }
    if presence.type_() == StanzaType::Subscribe {
        cx.refuse(presence, kept_away(&list));
    }
    true
}

/// Somebody who is nothing in a room comes into it, or says something there.
///
/// # Errors
/// `<forbidden/>`, as to an outcast (XEP-0045 7.2.7): they are on a list.
pub(crate) async fn admit(cx: &Context<'_>, who: &Jid) -> Result<(), Refusal> {
    if !cx.hosted.has(Hooks::SCREENING) || !has_lists(cx.hosted) {
        return Ok(());
    }
    match listed(cx, who).await {
        Some(list) => Err(kept_away(&list)),
        None => Ok(()),
    }
}

fn kept_away(list: &str) -> Refusal {
    let text = match list {
        "" => "this domain takes nothing from you".to_owned(),
        list => format!("you are on a block list that this domain follows: {list}"),
    };
    Refusal::new(Condition::Forbidden).with_text(text)
}

/// The service of a list of the domain's that somebody is on; empty: the owner's own. A list that cannot be read has nobody
/// on it.
async fn listed(cx: &Context<'_>, who: &Jid) -> Option<Arc<str>> {
    let domain = cx.store().name();
    if is_own(cx.hosted, who) || is_component(cx, who) {
        return None;
    }
    if cx.hosted.kept_away.blocks(who) {
        return Some("".into());
    }
    if cx.hosted.settings.lists.is_empty() {
        return None;
    }
    let following = &cx.modules.following;
    let key = format!("{domain} {}", who.bare_str());
    let changes = following.changes(domain);
    let remembered = following.found.of(&key);
    if let Some(found) = remembered.get(&key)
        && found.changes == changes
        && cx.now.0.saturating_sub(found.at) < BELIEVED
    {
        return found.list;
    }
    let (address, name) = (digest(who.bare_str()), digest(who.domain()));
    match cx.store().block_listed(&address, &name).await {
        Ok(lists) => {
            let followed = &cx.hosted.settings.lists;
            let list = lists.into_iter().find(|(service, node)| {
                followed
                    .iter()
                    .any(|list| list.service.as_str() == service && list.node == *node)
            });
            let list = list.map(|(service, _)| Arc::<str>::from(service));
            let found = Found {
                changes,
                at: cx.now.0,
                list: list.clone(),
            };
            remembered.insert(key, found, 1);
            list
        }
        Err(error) => {
            tracing::error!(domain, %error, "block lists cannot be read");
            None
        }
    }
}

fn digest(text: &str) -> BlockListEntry {
    Sha256::digest(text.as_bytes()).into()
}

/// What an item of a list is about: its id is the SHA-256 of a bare address or a domain, hexadecimal, or one of these in plain.
fn entry(id: &str) -> Option<BlockListEntry> {
    const DIGITS: usize = 64;
    if id.len() == DIGITS && id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        let mut entry = BlockListEntry::default();
        for (byte, digits) in entry.iter_mut().zip(id.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        return Some(entry);
    }
    Some(digest(Jid::parse(id).ok()?.bare_str()))
}

/// Ids of an element's children of this name.
fn entries(items: &Element, name: &str, ns: &str) -> Vec<BlockListEntry> {
    let items = items.children().filter(|child| child.is(name, ns));
    items
        .filter_map(|item| entry(item.get_attr("id")?))
        .collect()
}

#[cfg(test)]
mod tests;
