//! Blocking Command, XEP-0191 version 1.3, with the reports of XEP-0377 version 0.4.1.
//!
//! Whom an account has blocked reaches none of its sessions, hears nothing of it, and cannot tell it from one that is not
//! there: questions are answered `<service-unavailable/>`, presence with silence, messages as where nobody is (an error to those in
//! the roster, silence to others), and with silence what a room passes on, which would throw the account out for an error. What the account sends to
//! them goes no further than here. Blocking is polite: subscriptions stay as they are. The list is read with the roster, so
//! that asking it costs a look into memory. Refuses: to stand between an account and itself.
//!
//! Messages are stopped as they pass ([`crate::passage`]), everything else where [`crate::hooks`] and the router ask
//! [`blocks`]. What is reported is kept for the domain's owner, who alone reads it.

mod list;

use async_trait::async_trait;
use store::ReportRow;
use xmpp::element::Element;
use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, ErrorType, Stanza, StanzaError, StanzaType};

pub(crate) use self::list::BlockList;
use crate::context::{Context, Hosted, Refusal, Standing, store_failed};
use crate::hooks;
use crate::info::{Audience, Hooks, IqDoor, IqTypes, ModuleInfo, Spec};
use crate::memory::Modules;
use crate::module::{Answer, Ask, Module};
use crate::passage::{Direction, Glance, Passage};
use crate::presence;
use crate::switchboard::SessionUpdate;

/// The module.
pub(crate) struct Blocking;

const BLOCKING: &str = "urn:xmpp:blocking";
const ERRORS: &str = "urn:xmpp:blocking:errors";
const REPORTING: &str = "urn:xmpp:reporting:1";

/// Addresses on one list.
pub(crate) const ADDRESSES: usize = 1_000;
/// Bytes of what a user says in a report; the rest is left away.
const REPORT_BYTES: usize = 4_096;
/// Messages that a report may name; the rest is left away.
const REPORT_IDS: usize = 20;

const fn door(name: &'static str, types: IqTypes) -> IqDoor {
    IqDoor {
        ns: BLOCKING,
        name,
        types,
        at_server: false,
        // Everybody else hears `<forbidden/>`, whether there is such an account or not.
        at_account: Audience::Anyone,
        of_sessions: false,
    }
}

static INFO: ModuleInfo = ModuleInfo {
    name: "blocking",
    about: "lets people have nothing to do with whom they do not want, and report them to the domain's owner",
    specs: &[Spec::Xep(191, "1.3"), Spec::Xep(377, "0.4.1")],
    switchable: true,
    iq: &[
        door("blocklist", IqTypes::Get),
        door("block", IqTypes::Set),
        door("unblock", IqTypes::Set),
    ],
    hooks: Hooks::MESSAGE_PASSAGE.and(Hooks::BLOCKING),
    server_features: &[BLOCKING, REPORTING],
    account_features: &[],
    account_identities: &[],
    stream_features: &[],
};

/// Whether the account has blocked `other`. `false` where the domain has no blocking.
///
/// # Errors
/// The store cannot be read; logged, to be answered with the error.
pub(crate) async fn blocks(
    cx: &Context<'_>,
    account: &BareJid,
    other: &Jid,
) -> Result<bool, Refusal> {
    if !cx.hosted.blocks() || other.bare_str() == account.as_str() {
        return Ok(false);
    }
    let roster = cx.roster(account).await?;
    Ok(roster.is_some_and(|roster| roster.blocked.blocks(other)))
}

/// What whoever writes to somebody they have blocked is told (3.3).
pub(crate) fn own_block() -> StanzaError {
    // Nothing that another wording would help (3.3, example 9).
    StanzaError::new(Condition::NotAcceptable)
        .with_kind(ErrorType::Cancel)
        .with_app(Element::new("blocked", ERRORS))
}

#[async_trait]
impl Module for Blocking {
    fn info(&self) -> &'static ModuleInfo {
        &INFO
    }

    async fn iq_to_account(&self, cx: &Context<'_>, ask: &Ask<'_>) -> Result<Answer, Refusal> {
        let own = |from: &&Jid| from.bare_str() == ask.account.as_str();
        let Some(session) = ask.iq.from().filter(own) else {
            return Err(Condition::Forbidden.into());
        };
        let iq = ask.iq.payload().map_err(|_| Condition::BadRequest)?;
        let payload = iq.children().next().ok_or(Condition::BadRequest)?;
        match payload.name() {
            "blocklist" => get(cx, ask, session).await,
            "block" => block(cx, ask.account, payload).await,
            _ => unblock(cx, ask.account, payload).await,
        }
    }

    fn message_concerns(&self, modules: &Modules, hosted: &Hosted, glance: &Glance<'_>) -> bool {
        glance
            .peer()
            .is_some_and(|peer| modules.may_be_blocked(hosted, glance.account(), peer))
    }

    async fn message_passing(
        &self,
        cx: &Context<'_>,
        passage: &mut Passage,
    ) -> Result<(), Refusal> {
        let Some(peer) = passage.peer() else {
            return Ok(());
        };
        let blocked = blocks(cx, &passage.account, peer).await;
        if matches!(blocked, Ok(false)) {
            return Ok(());
        }
        if passage.direction == Direction::Sent {
            blocked?;
            return Err(own_block().into());
        }
        passage.silent = passage.is_from_occupant(cx.modules) || is_like_nobody(cx, passage).await;
        blocked?;
        Err(Condition::ServiceUnavailable.into())
    }
}

/// Whether the message is one that an account which does not exist would be silent about, from somebody who cannot know that this
/// one does: an error would tell (ROUTE-10).
async fn is_like_nobody(cx: &Context<'_>, passage: &Passage) -> bool {
    let to_all = passage.message.type_() == StanzaType::Groupchat;
    if to_all && passage.message.to().is_some_and(Jid::is_bare) {
        return false;
    }
    let Some(peer) = passage.peer() else {
        return true;
    };
    let standing = hooks::standing(cx, &passage.account, peer).await;
    standing.is_ok_and(|standing| standing == Standing::Stranger)
}

async fn get(cx: &Context<'_>, ask: &Ask<'_>, session: &Jid) -> Result<Answer, Refusal> {
    let roster = cx.roster(ask.account).await?;
    cx.switchboard
        .session_update(session, SessionUpdate::BlockList);
    let items = roster
        .iter()
        .flat_map(|roster| roster.blocked.iter())
        .map(item);
    Ok(Answer::Payload(
        Element::new("blocklist", BLOCKING).children_from(items),
    ))
}

fn item(jid: &Jid) -> Element {
    Element::new("item", BLOCKING).attr("jid", jid.as_str())
}

/// The addresses of a command.
fn items(payload: &Element) -> Result<Vec<(Jid, &Element)>, Refusal> {
    let items = payload.children().filter(|c| c.is("item", BLOCKING));
    items
        .take(ADDRESSES + 1)
        .map(|item| {
            let jid = item.get_attr("jid").ok_or(Condition::BadRequest)?;
            Ok((Jid::parse(jid).map_err(|_| Condition::JidMalformed)?, item))
        })
        .collect()
}

async fn block(cx: &Context<'_>, account: &BareJid, payload: &Element) -> Result<Answer, Refusal> {
    let items = items(payload)?;
    if items.is_empty() {
        return Err(Refusal::new(Condition::BadRequest).with_text("nobody is named"));
    }
    let reports: Vec<ReportRow> = items
        .iter()
        .filter_map(|(jid, item)| report(cx, account, jid, item))
        .collect();
    let jids: Vec<Jid> = items.into_iter().map(|(jid, _)| jid).collect();
    let change = change(cx, account, |now| {
        let next = BlockList::of(now.iter().chain(&jids).cloned());
        if next.len() > ADDRESSES {
            cx.switchboard.limited("blocked");
            return Err(Refusal::new(Condition::PolicyViolation).with_text(format!(
                "a block list holds at most {ADDRESSES} addresses; these would be {}",
                next.len()
            )));
        }
        Ok(next)
    });
    let (before, after) = change.await?;
    for report in reports {
        cx.store()
            .report_add(&report)
            .await
            .map_err(|e| store_failed(&e, account, "keeping a report"))?;
    }
    push(cx, account, "block", jids.iter());
    // Whoever could see the account sees it go.
    presence::seen_by(cx, account, &before, &after, false).await;
    Ok(Answer::Empty)
}

async fn unblock(
    cx: &Context<'_>,
    account: &BareJid,
    payload: &Element,
) -> Result<Answer, Refusal> {
    let jids: Vec<Jid> = items(payload)?.into_iter().map(|(jid, _)| jid).collect();
    let (before, after) = change(cx, account, |now| {
        let goes = |jid: &&Jid| !jids.is_empty() && !jids.contains(jid);
        Ok(BlockList::of(now.iter().filter(goes).cloned()))
    })
    .await?;
    push(cx, account, "unblock", jids.iter());
    presence::seen_by(cx, account, &after, &before, true).await;
    Ok(Answer::Empty)
}

/// Changes the list; as it was, and as it is from now on, committed.
async fn change(
    cx: &Context<'_>,
    account: &BareJid,
    decide: impl Fn(&BlockList) -> Result<BlockList, Refusal>,
) -> Result<(BlockList, BlockList), Refusal> {
    let _turn = cx.modules.turn(account).await;
    let failed = |e| store_failed(&e, account, "changing a block list");
    for _ in 0..8 {
        let Some(roster) = cx.roster(account).await? else {
            return Err(Condition::ItemNotFound.into());
        };
        let (before, after) = (roster.blocked.clone(), decide(&roster.blocked)?);
        if before == after {
            return Ok((before, after));
        }
        let (seen, next) = (before.written(), after.written());
        let store = cx.store();
        let done = store.blocked_set(roster.account, seen.as_deref(), next.as_deref());
        let done = done.await;
        // Read again with the roster, whatever came of it.
        cx.modules.rosters.forget(account);
        if done.map_err(failed)? {
            return Ok((before, after));
        }
    }
    Err(Refusal::new(Condition::ResourceConstraint)
        .with_text("the block list is being changed elsewhere; try again"))
}

/// To every session that has asked for the list (3.3).
fn push<'a>(cx: &Context<'_>, account: &BareJid, name: &str, jids: impl Iterator<Item = &'a Jid>) {
    let command = Element::new(name, BLOCKING).children_from(jids.map(item));
    for session in cx.switchboard.sessions(account) {
        if session.block_list {
            let iq = Element::new("iq", ns::CLIENT)
                .attr("to", session.jid.as_str())
                .attr("type", "set")
                .attr("id", format!("block-{:016x}", rand::random::<u64>()))
                .child(command.clone());
            if let Ok(iq) = Stanza::from_element(&iq) {
                cx.switchboard.deliver(&session.jid, iq);
            }
        }
    }
}

/// XEP-0377: what an item says about whom it blocks.
fn report(cx: &Context<'_>, account: &BareJid, jid: &Jid, item: &Element) -> Option<ReportRow> {
    let report = item.find("report", REPORTING)?;
    let reason = match report.get_attr("reason") {
        Some("urn:xmpp:reporting:spam") => "spam",
        Some("urn:xmpp:reporting:abuse") => "abuse",
        _ => return None,
    };
    let mut text = report
        .find("text", REPORTING)
        .map(Element::text_content)
        .unwrap_or_default();
    let end = (0..=REPORT_BYTES.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at));
    text.truncate(end.unwrap_or_default());
    let ids = report
        .children()
        .filter(|c| c.is("stanza-id", ns::STANZA_ID));
    let ids = ids
        .filter_map(|id| id.get_attr("id"))
        .filter(|id| id.len() <= 64);
    Some(ReportRow {
        id: 0,
        at: cx.now,
        account: account.to_string(),
        jid: jid.to_string(),
        reason: reason.into(),
        text,
        ids: ids.take(REPORT_IDS).map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests;
