//! Presence probes (RFC 6121 4.3, 4.6.6): who asks whether an account is there.
//!
//! Refuses: showing any session to whoever has no subscription and got no directed presence; they hear `unsubscribed` from
//! the bare JID, and so do those who ask for an account that does not exist (IM-23, IM-33).

use store::StoreError;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::{Stanza, delay};
use xmpp::timestamp::Timestamp;

use super::subscription::Verb;
use super::{about, available, unavailable};
use crate::context::Context;
use crate::roster::Roster;

/// A probe to an account (IM-23 to IM-26).
pub(super) async fn answer(cx: &Context<'_>, probe: &Stanza) {
    let (Some(from), Some(to)) = (probe.from(), probe.to()) else {
        return;
    };
    let account = to.bare();
    let roster = match cx.roster(&account).await {
        Ok(roster) => roster,
        // Logged. Silence is an answer too (RFC 6121 8.5.1), and `unsubscribed` would be a lie.
        Err(_) => return,
    };
    let roster = roster.filter(|r| {
        from.bare_str() == account.as_str()
            || r.get(from.bare_str())
                .is_some_and(|i| i.subscription.seen_by_contact())
    });
    let Some(roster) = roster else {
        let answer = if !to.is_bare() && cx.modules.directed.has(to, from) {
            Stanza::presence(None, to, Some(from), None)
        } else {
            about(&account, &from.bare(), Verb::Unsubscribed, probe.id())
        };
        return cx.send(answer);
    };
    if !to.is_bare() {
        // The plain fact, about this session and no other (IM-25).
        let there = available(cx, &account).any(|s| s.jid == *to);
        return cx.send(if there {
            Stanza::presence(None, to, Some(from), None)
        } else {
            unavailable(to, Some(from), probe.id())
        });
    }
    let mut sessions = available(cx, &account)
        .filter_map(|s| s.presence)
        .peekable();
    if sessions.peek().is_none() {
        return cx.send(nobody(cx, &roster, &account, probe).await);
    }
    for presence in sessions {
        cx.send(presence.with_to(from));
    }
}

/// A contact's presence to a session that has just come, both of this domain: no probe is needed (IM-22), and a contact
/// who is away costs nothing.
pub(super) async fn look(cx: &Context<'_>, session: &Jid, account: &BareJid, contact: &BareJid) {
    let mut sessions = available(cx, contact).filter_map(|s| s.presence).peekable();
    if sessions.peek().is_none() {
        return;
    }
    let Ok(Some(roster)) = cx.roster(contact).await else {
        return;
    };
    let item = roster.get(account.as_str());
    let to = Jid::from(account.clone());
    if cx.hosted.blocks() && roster.blocked.blocks(&to) {
        return;
    }
    if !item.is_some_and(|i| i.subscription.seen_by_contact()) {
        // The two rosters disagree; this is how a remote server would learn of it (RFC 6121 4.3.2, rule 1).
        return cx.send(about(contact, account, Verb::Unsubscribed, None));
    }
    for presence in sessions {
        cx.switchboard.deliver(session, presence.with_to(&to));
    }
}

/// "Nobody there, since then" (RFC 6121 4.3.2, rule 3).
async fn nobody(cx: &Context<'_>, roster: &Roster, account: &BareJid, probe: &Stanza) -> Stanza {
    let from = Jid::from(account.clone());
    let answer = unavailable(&from, probe.from(), probe.id());
    match last_seen(cx, roster, account).await {
        Ok(Some(since)) => answer.with_child(&delay(&from, since)),
        Ok(None) => answer,
        Err(error) => {
            tracing::warn!(account = %account, error = %error, "the time of the last session cannot be read");
            answer
        }
    }
}

/// When the account's last session went, if one ever did; `roster` is the account's.
///
/// # Errors
/// See [`StoreError`].
pub(crate) async fn last_seen(
    cx: &Context<'_>,
    roster: &Roster,
    account: &BareJid,
) -> Result<Option<Timestamp>, StoreError> {
    let left = cx.modules.left.of(account.as_str());
    let remembered = left.get(account);
    let since = match remembered {
        Some(since) => Some(since),
        None => cx.store().account_left(roster.account).await?,
    };
    if let Some(since) = since {
        left.insert(account.clone(), since, 1);
    }
    Ok(since)
}
