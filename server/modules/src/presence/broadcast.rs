//! A session's presence to those who may see it: coming, changing, going (RFC 6121 4.2, 4.4 to 4.6).
//!
//! A broadcast is serialised once; per contact only the start tag is rewritten. The session's state changes before the
//! first copy leaves, so that whoever asks in between gets the new presence. Refuses: priorities outside -128..127
//! (IM-31), and letting directed presence widen a broadcast (IM-30).

use xmpp::jid::{BareJid, Jid};
use xmpp::ns;
use xmpp::stanza::{Condition, Stanza, StanzaType};

use super::subscription::Verb;
use super::{about, available, known, probe, unavailable};
use crate::context::{Context, Refusal};
use crate::hooks;
use crate::roster::Roster;
use crate::switchboard::{SessionUpdate, SessionView};

/// Presence without `to` from a session (IM-21, IM-27, IM-28).
pub(super) async fn outbound(cx: &Context<'_>, presence: &Stanza) {
    let Some(session) = presence.from() else {
        return;
    };
    let account = session.bare();
    let own = cx.switchboard.sessions(&account);
    let Some(before) = own.iter().find(|s| s.jid == *session) else {
        return;
    };
    // Without the roster nobody could be told: better not to come at all than half.
    if let Err(error) = cx.roster(&account).await {
        return cx.refuse(presence, error);
    }
    if presence.type_() == StanzaType::Unavailable {
        cx.switchboard
            .session_update(session, SessionUpdate::Unavailable);
        // It goes to the session itself too (RFC 6121 4.5.2).
        cx.switchboard
            .deliver(session, presence.with_to(&account.clone().into()));
        return leave(cx, &account, before, presence).await;
    }
    let priority = match priority(presence) {
        Ok(priority) => priority,
        Err(error) => return cx.refuse(presence, error),
    };
    let mut now = before.clone();
    let update = SessionUpdate::Available {
        presence: presence.clone(),
        priority,
    };
    now.update(update.clone());
    cx.switchboard.session_update(session, update);
    // Read after the update: a contact who was let in just now is either told by that, or found here.
    let Ok(Some(roster)) = cx.roster(&account).await else {
        return;
    };
    to_subscribers(cx, &roster, presence);
    let to_self = presence.with_to(&account.clone().into());
    for other in own.iter().filter(|s| s.available() || s.jid == *session) {
        cx.switchboard.deliver(&other.jid, to_self.clone());
    }
    if !before.available() {
        initial(cx, &account, &roster, session, &own).await;
    }
    hooks::session_available(cx, &now, before).await;
}

/// The server has something new to say in the presence of an account's sessions: `change` makes of each presence the one that
/// is kept and the one that is told, or leaves it.
pub(crate) async fn again(
    cx: &Context<'_>,
    account: &BareJid,
    change: impl Fn(&Stanza) -> Option<(Stanza, Stanza)>,
) {
    let Ok(Some(roster)) = cx.roster(account).await else {
        return;
    };
    for session in available(cx, account) {
        let Some((kept, told)) = session.presence.as_ref().and_then(&change) else {
            continue;
        };
        let update = SessionUpdate::Available {
            presence: kept,
            priority: session.priority,
        };
        cx.switchboard.session_update(&session.jid, update);
        to_subscribers(cx, &roster, &told);
        let to_self = told.with_to(&account.clone().into());
        for own in available(cx, account) {
            cx.switchboard.deliver(&own.jid, to_self.clone());
        }
    }
}

/// Directed presence (RFC 6121 4.6.3).
pub(super) async fn directed(cx: &Context<'_>, presence: &Stanza) {
    let (Some(session), Some(to)) = (presence.from(), presence.to()) else {
        return;
    };
    let account = session.bare();
    if presence.type_() == StanzaType::Unavailable {
        cx.modules.directed.remove(session, to);
    } else if to.bare_str() != account.as_str() {
        // Those who get every broadcast anyway are not noted (rule 1); towards them the session must be available.
        let told = available(cx, &account).any(|s| s.jid == *session)
            && matches!(cx.roster(&account).await, Ok(Some(roster))
                if roster.get(to.bare_str()).is_some_and(|i| i.subscription.seen_by_contact()));
        if !told && !cx.modules.directed.add(session, to) {
            return cx.refuse(
                presence,
                Refusal::new(Condition::ResourceConstraint).with_text(format!(
                    "a session shows itself to at most {} addresses beyond its contacts; leave a room, or take back what it has                      shown to somebody",
                    cx.modules.limits.directed
                )),
            );
        }
    }
    cx.send(presence.clone());
}

/// A session ended without saying goodbye, or after (IM-28).
pub(super) async fn gone(cx: &Context<'_>, gone: &SessionView) {
    let account = gone.jid.bare();
    leave(cx, &account, gone, &unavailable(&gone.jid, None, None)).await;
}

/// Unavailable presence to subscribers, to the account's other sessions, and to those on the session's list who have not
/// been told otherwise. `before` is the session as it was.
async fn leave(cx: &Context<'_>, account: &BareJid, before: &SessionView, presence: &Stanza) {
    let directed = cx.modules.directed.take(&before.jid);
    if !before.available() {
        for to in directed {
            cx.send(presence.with_to(&to));
        }
        return;
    }
    let roster = cx.roster(account).await.ok().flatten();
    if let Some(roster) = &roster {
        to_subscribers(cx, roster, presence);
    }
    for to in directed {
        let told = roster.as_ref().and_then(|r| r.get(to.bare_str()));
        if roster.as_ref().is_some_and(|r| r.blocked.blocks(&to)) {
            continue;
        }
        if !told.is_some_and(|i| i.subscription.seen_by_contact()) {
            cx.send(presence.with_to(&to));
        }
    }
    let to_self = presence.with_to(&account.clone().into());
    let mut others = available(cx, account)
        .filter(|s| s.jid != before.jid)
        .peekable();
    if others.peek().is_none() {
        return left(cx, account, roster.as_deref());
    }
    for other in others {
        cx.switchboard.deliver(&other.jid, to_self.clone());
    }
}

/// Remembers when the last session went, for those who ask later (IM-24).
fn left(cx: &Context<'_>, account: &BareJid, roster: Option<&Roster>) {
    let Some(roster) = roster else { return };
    let left = cx.modules.left.of(account.as_str());
    left.insert(account.clone(), cx.now, 1);
    if !cx.store().account_left_soon(roster.account, cx.now) {
        tracing::warn!(account = %account, "the time of the last session was not kept");
    }
}

/// What a new presence session gets: its own account's other sessions, its contacts' presence, and the requests that wait
/// for an answer (IM-14, IM-21).
async fn initial(
    cx: &Context<'_>,
    account: &BareJid,
    roster: &Roster,
    session: &Jid,
    own: &[SessionView],
) {
    let bare = Jid::from(account.clone());
    let others = || own.iter().filter(|s| s.jid != *session && s.available());
    for presence in others().filter_map(|s| s.presence.as_ref()) {
        cx.switchboard.deliver(session, presence.with_to(&bare));
    }
    let mut probe = None;
    for contact in roster.subscriptions() {
        let to = Jid::from(contact.jid.clone());
        if roster.blocked.blocks(&to) {
            continue;
        }
        if contact.jid.domain() == cx.hosted.domain.as_str() {
            probe::look(cx, session, account, &contact.jid).await;
        } else if others().next().is_some() && known::tell(cx, session, account, &contact.jid) {
            // Fresh knowledge, from what another session asked for.
        } else {
            let probe = probe.get_or_insert_with(|| {
                Stanza::presence(Some(StanzaType::Probe), &bare, Some(&to), None)
            });
            cx.send(probe.with_to(&to));
        }
    }
    // A request may have been lost on its way; a session after a pause is a good time to repeat it (RFC 6121 3.1.2).
    if others().next().is_none() {
        for contact in roster.items().iter().filter(|i| i.ask) {
            if !cx.switchboard.hosts(contact.jid.domain()) {
                cx.send(about(account, &contact.jid, Verb::Subscribe, None));
            }
        }
    }
    if !roster.requests().is_empty() {
        requests(cx, account, roster, session).await;
    }
}

async fn requests(cx: &Context<'_>, account: &BareJid, roster: &Roster, session: &Jid) {
    let stored = match cx.store().request_list(roster.account).await {
        Ok(stored) => stored,
        Err(error) => {
            // They stay, and come again with the next session.
            tracing::error!(account = %account, error = %error, "reading subscription requests failed");
            return;
        }
    };
    for (from, bytes) in stored {
        let request = Stanza::from_bytes(&bytes)
            .unwrap_or_else(|_| about(&from, account, Verb::Subscribe, None));
        cx.switchboard.deliver(session, request);
    }
}

fn to_subscribers(cx: &Context<'_>, roster: &Roster, presence: &Stanza) {
    for contact in roster.subscribers() {
        let to = Jid::from(contact.jid.clone());
        if roster.blocked.blocks(&to) {
            continue;
        }
        cx.send(presence.with_to(&to));
    }
}

/// RFC 6121 4.7.2.3.
fn priority(presence: &Stanza) -> Result<i8, Refusal> {
    if !presence.has_child("priority", ns::CLIENT) {
        return Ok(0);
    }
    let refused = || {
        Refusal::new(Condition::BadRequest)
            .with_text("priority is one integer between -128 and 127")
    };
    let tree = presence.payload().map_err(|_| refused())?;
    let mut found = tree.children().filter(|c| c.is("priority", ns::CLIENT));
    match (found.next(), found.next()) {
        (Some(priority), None) => priority
            .text_content()
            .trim()
            .parse()
            .map_err(|_| refused()),
        _ => Err(refused()),
    }
}
