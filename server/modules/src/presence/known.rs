//! What remote contacts said last (RFC 6121 4.3.1): a second session of an account need not ask for it again (IM-21).
//!
//! Fresh is what was heard within [`FRESH`]; anything older is asked for. Bounded in bytes over all accounts. Refuses: what
//! was said by somebody whose presence the account is not subscribed to, or to one session alone.

use std::sync::Arc;

use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::{Stanza, StanzaType};
use xmpp::timestamp::Timestamp;

use crate::context::Context;
use crate::memory::{Aging, SHARDS, Sharded};

/// How long it is believed, in microseconds.
const FRESH: i64 = 600_000_000;
/// Sessions of one contact that are remembered; of one with more, nothing is.
const SESSIONS: usize = 16;
/// Bytes of each of two generations.
const BYTES: usize = 8 << 20;

/// What is known; by account and contact.
#[derive(Debug)]
pub(crate) struct Known(Sharded<Aging<(BareJid, BareJid), Arc<Said>>>);

#[derive(Debug, Clone)]
struct Said {
    heard: Timestamp,
    /// The last presence of each session that is available.
    sessions: Vec<(Jid, Stanza)>,
}

impl Default for Known {
    fn default() -> Self {
        Self(Sharded::with(|| Aging::new(BYTES / SHARDS)))
    }
}

impl Known {
    /// Nothing that was known of the two is believed any more.
    pub(crate) fn forget(&self, account: &BareJid, contact: &BareJid) {
        let shard = self.0.of(account.as_str());
        shard.remove(&(account.clone(), contact.clone()));
    }

    fn fresh(&self, key: &(BareJid, BareJid), now: Timestamp) -> Option<Arc<Said>> {
        let said = self.0.of(key.0.as_str()).get(key)?;
        (now.0.saturating_sub(said.heard.0) < FRESH).then_some(said)
    }
}

/// Remembers presence that came to an account's bare address.
pub(super) async fn hear(cx: &Context<'_>, from: &Jid, to: &Jid, presence: &Stanza) {
    let (account, contact) = (to.bare(), from.bare());
    let Ok(Some(roster)) = cx.roster(&account).await else {
        return;
    };
    let subscribed = roster.subscriptions().any(|item| item.jid == contact);
    if !subscribed {
        return;
    }
    let known = &cx.modules.known;
    let key = (account, contact);
    let mut sessions = known
        .fresh(&key, cx.now)
        .map(|said| said.sessions.clone())
        .unwrap_or_default();
    // "Nobody there" comes from the bare address.
    sessions.retain(|(session, _)| session != from && !from.is_bare());
    if presence.type_() == StanzaType::Available {
        sessions.push((from.clone(), presence.clone()));
    }
    if sessions.len() > SESSIONS {
        return known.0.of(key.0.as_str()).remove(&key);
    }
    let bytes = |(_, said): &(Jid, Stanza)| said.bytes().len() + 100;
    let weight = 200 + sessions.iter().map(bytes).sum::<usize>();
    let heard = cx.now;
    let shard = known.0.of(key.0.as_str());
    shard.insert(key, Arc::new(Said { heard, sessions }), weight);
}

/// Hands what is known of a contact to a session that has just come; `false`: it has to be asked for.
pub(super) fn tell(cx: &Context<'_>, session: &Jid, account: &BareJid, contact: &BareJid) -> bool {
    let key = (account.clone(), contact.clone());
    let Some(said) = cx.modules.known.fresh(&key, cx.now) else {
        return false;
    };
    for (_, presence) in &said.sessions {
        cx.switchboard.deliver(session, presence.clone());
    }
    true
}
