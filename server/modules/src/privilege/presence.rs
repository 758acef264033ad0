//! Presence that components are told (XEP-0356 6): an account's sessions as they come and go, and their contacts'.
//!
//! It is directed presence that no roster knows of. Of a session only the first availability and the last word go out (6.1). The
//! same presence of a contact of many accounts goes out once (7, rule 2). Refuses: subscriptions, probes and errors.

use std::hash::{BuildHasher as _, RandomState};

use xmpp::jid::Jid;
use xmpp::stanza::{Stanza, StanzaType};

use crate::context::{Context, Hosted, is_plain_presence};
use crate::grants::{Grants, Presences};
use crate::memory::{Aging, Modules};
use crate::switchboard::SessionView;

/// Contacts' sessions whose last presence is remembered, in each of two generations.
const REMEMBERED: usize = 20_000;

/// What components were told last of contacts' sessions: a hash by component and session.
#[derive(Debug)]
pub(crate) struct Told {
    last: Aging<(Jid, Jid), u64>,
    hasher: RandomState,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            last: Aging::new(REMEMBERED),
            hasher: RandomState::new(),
        }
    }
}

impl Told {
    /// Whether this is news to the component that it is addressed to.
    fn is_news(&self, presence: &Stanza, from: &Jid, component: &Jid) -> bool {
        let key = (component.clone(), from.clone());
        let hash = self.hasher.hash_one(presence.bytes());
        let known = self.last.get(&key) == Some(hash);
        if !known {
            self.last.insert(key, hash, 1);
        }
        !known
    }
}

/// The component of this label, if it hears anything; what it was told before does not count any more.
pub(crate) fn hears(modules: &Modules, hosted: &Hosted, label: &str) -> Option<Jid> {
    let own = |grants: &&Grants| grants.label == label;
    let grants = hosted.settings.grants.iter().find(own)?;
    if grants.presence == Presences::None {
        return None;
    }
    let component = hosted.component(grants)?;
    modules.told.last.retain(|(told, _)| *told != component);
    Some(component)
}

fn tell(cx: &Context<'_>, presence: &Stanza) {
    for component in cx.told_presence(Presences::ManagedEntity) {
        cx.send(presence.with_to(&component));
    }
}

/// A session has become available, or has said something else since.
pub(crate) fn available(cx: &Context<'_>, now: &SessionView, before: &SessionView) {
    if let Some(presence) = now.presence.as_ref().filter(|_| !before.available()) {
        tell(cx, presence);
    }
}

/// A session has ended without a word.
pub(crate) fn gone(cx: &Context<'_>, gone: &SessionView) {
    if gone.available() {
        let last = Stanza::presence(Some(StanzaType::Unavailable), &gone.jid, None, None);
        tell(cx, &last);
    }
}

/// A session takes its presence back.
pub(crate) fn outbound(cx: &Context<'_>, presence: &Stanza) {
    if presence.to().is_none() && presence.type_() == StanzaType::Unavailable {
        tell(cx, presence);
    }
}

/// Somebody's presence has come to one of the domain's accounts (6.4).
pub(crate) async fn inbound(cx: &Context<'_>, presence: &Stanza) {
    let mut told = cx.told_presence(Presences::Roster).peekable();
    let (Some(from), Some(to)) = (presence.from(), presence.to()) else {
        return;
    };
    // Of the domain's own sessions it hears anyway.
    let own = from.domain() == cx.hosted.domain.as_str();
    if told.peek().is_none() || own || !is_plain_presence(presence.type_()) {
        return;
    }
    let Ok(Some(roster)) = cx.roster(&to.bare()).await else {
        return;
    };
    let contact = from.bare();
    if !roster.subscriptions().any(|item| item.jid == contact) {
        return;
    }
    for component in told {
        let presence = presence.with_to(&component);
        if cx.modules.told.is_news(&presence, from, &component) {
            cx.send(presence);
        }
    }
}
