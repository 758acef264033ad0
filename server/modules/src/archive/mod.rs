//! Message Archive Management, XEP-0313 version 1.1.3, for accounts, with preferences (XEP-0441 version 0.2.0).
//!
//! What is kept, for whoever sent it and for whoever it is for, once for each:
//!
//! | message | kept |
//! |---|---|
//! | `normal` or `chat` with `<body/>`, a direct invitation, or `<store/>` (XEP-0334) | yes |
//! | a retraction (XEP-0424), which may leave a tombstone in place of what it names | yes |
//! | with `<no-store/>` or `<no-permanent-store/>` | no |
//! | of types `groupchat`, `headline`, `error` | no: rooms have archives of their own ([`crate::rooms`]) |
//! | that the account's preferences exclude | no |
//! | that was refused, or could not be delivered and was not let wait | no |
//! | while the tenant's archives are full | no, and it has no `<stanza-id/>` then |
//!
//! A message gets its id before it is delivered, and the sender's stream goes on only once it is committed, many messages
//! in one commit ([`store::archive`]). What is in the archive is exactly what was sent, without the id (XEP-0359 version
//! 0.7.0); ids that claim to be ours are taken out of whatever passes. Refuses: anybody but the account's own sessions, and
//! showing a message before all that came before it.

mod clock;
mod preferences;
mod query;
mod retraction;

use async_trait::async_trait;
use store::{AccountId, ArchiveId, NewArchived, message_hash};
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{ChildTag, Condition, Stanza, StanzaType};

pub(crate) use self::clock::{Clock, Flight};
pub(crate) use self::preferences::Preferences;
pub(crate) use self::query::{Whose, form, look, metadata};
pub(crate) use self::retraction::TOMBSTONE;
use crate::content::Content;
use crate::context::{Context, Hosted, Refusal, store_failed};
use crate::hooks::is_on;
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::memory::Modules;
use crate::module::{Answer, Ask, Module};
use crate::notice;
use crate::offline;
use crate::passage::{Direction, Glance, Passage};

/// The module.
pub(crate) struct Archive;

/// Its namespace.
pub(crate) const MAM: &str = "urn:xmpp:mam:2";

const fn door(name: &'static str, types: IqTypes) -> IqDoor {
    IqDoor {
        ns: MAM,
        name,
        types,
        at_server: false,
        // Everybody else hears `<forbidden/>`, whether there is such an account or not.
        at_account: Audience::Anyone,
        of_sessions: false,
    }
}

static INFO: ModuleInfo = ModuleInfo {
    name: "archive",
    about: "keeps messages for those who sent them and those they are for, to be looked up from every session",
    specs: &[
        Spec::Xep(313, "1.1.3"),
        Spec::Xep(359, "0.7.0"),
        Spec::Xep(334, "1.0.0"),
        Spec::Xep(424, "0.4.2"),
        Spec::Xep(441, "0.2.0"),
        Spec::Xep(59, "1.0"),
    ],
    switchable: true,
    iq: &[
        door("query", IqTypes::Both),
        door("metadata", IqTypes::Get),
        door("prefs", IqTypes::Both),
    ],
    hooks: Hooks::MESSAGE_PASSAGE.and(Hooks::MESSAGE_PASSED),
    server_features: &[ns::HINTS],
    account_features: &[MAM, "urn:xmpp:mam:2#extended", ns::STANZA_ID, TOMBSTONE],
    account_identities: &[],
    stream_features: &[],
};

/// A message on its way into an archive.
#[derive(Debug)]
pub(crate) struct Kept {
    account: AccountId,
    new: NewArchived,
    /// Until it is committed, nothing that came later is shown.
    _flight: Flight,
}

impl Kept {
    /// Its name.
    pub(crate) fn id(&self) -> ArchiveId {
        self.new.id
    }
}

/// What a client that binds learns of its archive (XEP-0386 3.2). Messages up to the last of it wait for the account no longer:
/// the client fetches them from there.
pub(crate) async fn bound(cx: &Context<'_>, session: &Jid) -> Option<Element> {
    if !is_on(cx.hosted, &INFO) {
        return None;
    }
    let account = session.bare();
    let roster = cx.roster(&account).await.ok()??;
    let whose = Whose::Account {
        jid: &account,
        row: roster.account,
    };
    let ends = query::ends(cx, &whose).await.ok()?;
    if let Some((_, last)) = ends {
        offline::fetched(cx, &account, roster.account, last).await;
    }
    Some(query::as_metadata(ends))
}

#[async_trait]
impl Module for Archive {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let own = |from: &&Jid| from.bare_str() == ask.account.as_str();
        let Some(session) = ask.iq.from().filter(own) else {
            return Err(Condition::Forbidden.into());
        };
        let Some(roster) = cx.roster(ask.account).await? else {
            return Err(Condition::Forbidden.into());
        };
        let get = ask.iq.type_() == StanzaType::Get;
        match ask.iq.first_child() {
            Some(("query", _)) if get => Ok(Answer::Payload(query::form())),
            Some(("query", _)) => query::answer(cx, ask, session, roster.account).await,
            Some(("metadata", _)) => {
                let (jid, row) = (ask.account, roster.account);
                query::metadata(cx, &Whose::Account { jid, row }).await
            }
            _ if get => Ok(Answer::Payload(roster.preferences.to_element())),
            _ => preferences::set(cx, ask, roster.account).await,
        }
    }

    fn message_concerns(&self, _: &Modules, _: &Hosted, glance: &Glance<'_>) -> bool {
        worth_keeping(glance) || claimed(glance).is_some()
    }

    async fn message_passing(
        &self,
        cx: &Context<'_>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        if let Some(clean) = claimed(&passage.glance()) {
            passage.message = clean;
        }
        let sent = passage.direction == Direction::Sent;
        if (sent && passage.to_itself()) || !worth_keeping(&passage.glance()) {
            return Ok(());
        }
        let Some(roster) = cx.roster(&passage.account).await? else {
            return Ok(());
        };
        let Some(peer) = passage.peer().cloned() else {
            return Ok(());
        };
        if !roster.preferences.keeps(&peer, &roster) {
            return Ok(());
        }
        let bytes = passage.message.bytes().clone();
        let quota = &cx.hosted.quota;
        let room = quota.room_archive(cx.store(), bytes.len(), cx.now);
        match room.await {
            Ok(true) => {}
            Ok(false) => {
                cx.switchboard.limited("archive_bytes_per_tenant");
                let most = quota.archive_bytes();
                notice::full(cx, &passage.account, "archive", || {
                    format!(
                        "Your messages are not archived any more: the archives that this domain is part of have as many bytes as they                          may ({most} bytes). What you write and are written still arrives; ask whoever looks after the domain to make                          room for more, or to keep messages for a shorter time."
                    )
                });
                return Ok(());
            }
            Err(error) => {
                return Err(store_failed(
                    &error,
                    &passage.account,
                    "counting an archive",
                ));
            }
        }
        let (at, flight) = cx.modules.archive.take_off(roster.account, cx.now);
        let id = ArchiveId {
            at,
            salt: rand::random(),
        };
        if !sent {
            passage.message = passage
                .message
                .with_child_written(&stanza_id(&passage.account, id));
        }
        passage.kept = Some(Box::new(Kept {
            account: roster.account,
            new: NewArchived {
                id,
                peer: peer.bare_str().to_owned(),
                resource: peer.resource().unwrap_or_default().to_owned(),
                sent,
                message: passage.message.id().map_or(0, message_hash),
                stanza: bytes,
            },
            _flight: flight,
        }));
        Ok(())
    }

    async fn message_passed(&self, cx: &Context<'_>, passage: &mut Passage) -> Result<(), Refusal> {
        let Some(kept) = passage.kept.take() else {
            return Ok(());
        };
        let Kept {
            account,
            new,
            _flight,
        } = *kept;
        let failed = |e| store_failed(&e, &passage.account, "archiving a message");
        // An account that is gone by now has no archive either.
        cx.store().archive_add(account, new).await.map_err(failed)?;
        if passage.content.any(Content::RETRACTION) {
            Box::pin(retraction::apply(cx, account, passage)).await?;
        }
        Ok(())
    }
}

/// Whether the message is in the archive of whom it is for. A store that cannot be read holds nothing.
pub(crate) async fn holds(cx: &Context<'_>, message: &Stanza) -> bool {
    let Some(account) = message.to().map(Jid::bare) else {
        return false;
    };
    let (Some(id), Ok(Some(roster))) = (
        id_in(cx.hosted, &account, message),
        cx.roster(&account).await,
    ) else {
        return false;
    };
    let found = cx.store().archive_get(roster.account, id).await;
    found.is_ok_and(|found| found.is_some())
}

/// Whether the domain has archives, those of its rooms among them.
pub(crate) fn on(cx: &Context<'_>) -> bool {
    is_on(cx.hosted, &INFO)
}

/// See the table above; the account's preferences are asked later.
fn worth_keeping(glance: &Glance<'_>) -> bool {
    let content = glance.content;
    let personal = matches!(
        glance.message.type_(),
        StanzaType::Chat | StanzaType::Normal
    );
    let never = Content::NO_STORE.and(Content::NO_PERMANENT_STORE);
    let worth = Content::BODY
        .and(Content::STORE)
        .and(Content::INVITATION)
        .and(Content::RETRACTION);
    personal && !content.any(never) && content.any(worth)
}

/// EXT-19: an id that the account is said to have given was given by somebody else. The message without it.
fn claimed(glance: &Glance<'_>) -> Option<Stanza> {
    if !glance.content.any(Content::STANZA_ID) {
        return None;
    }
    let account = glance.account();
    let ours = |child: &ChildTag<'_>| is_by(child.name, child.ns, child.attr("by"), account);
    glance.message.without(ours)
}

fn is_by(name: &str, namespace: &str, by: Option<String>, account: &str) -> bool {
    (name, namespace) == ("stanza-id", ns::STANZA_ID)
        && by
            .and_then(|by| Jid::parse(&by).ok())
            .is_some_and(|by| by.is_bare() && by.bare_str() == account)
}

/// `<stanza-id/>` as written.
pub(crate) fn stanza_id(account: &BareJid, id: ArchiveId) -> Vec<u8> {
    // Neither an address nor an id holds what would have to be escaped.
    format!(
        "<stanza-id xmlns='{}' by='{account}' id='{id}'/>",
        ns::STANZA_ID
    )
    .into_bytes()
}

/// The name under which a message that has passed is in the account's archive.
pub(crate) fn id_in(hosted: &Hosted, account: &BareJid, message: &Stanza) -> Option<ArchiveId> {
    if !is_on(hosted, &INFO) {
        return None;
    }
    // Others than ours were taken out when it passed, so there is one at most.
    let tag = message.child_tag("stanza-id", ns::STANZA_ID)?;
    let id = if is_by(tag.name, tag.ns, tag.attr("by"), account.as_str()) {
        tag.attr("id")
    } else {
        let tree = message.payload().ok()?;
        let mut children = tree.children();
        let own = children.find(|c| {
            is_by(
                c.name(),
                c.ns(),
                c.get_attr("by").map(str::to_owned),
                account.as_str(),
            )
        });
        own?.get_attr("id").map(str::to_owned)
    };
    ArchiveId::parse(&id?)
}

#[cfg(test)]
mod tests;
