//! Directed presence: whom a session showed itself to without a subscription (RFC 6121 4.6).
//!
//! Kept per session and only while it lasts; a session that never sends directed presence has nothing here. Whether an
//! address was shown presence is asked by its bare form, because what comes back through a chat room comes from other
//! occupants of the same room. Refuses: growing beyond the limit per session.

use std::collections::HashMap;
use std::sync::Mutex;

use xmpp::jid::{BareJid, Jid};

use crate::memory::{Sharded, lock};

/// All sessions' lists.
#[derive(Debug)]
pub(crate) struct Directed {
    limit: usize,
    shards: Sharded<Mutex<HashMap<BareJid, Vec<List>>>>,
}

/// One session's list.
#[derive(Debug)]
struct List {
    session: Jid,
    targets: HashMap<BareJid, Vec<Jid>>,
    count: usize,
}

impl Directed {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            shards: Sharded::default(),
        }
    }

    /// The session showed itself to `to`; false if its list is full.
    pub(crate) fn add(&self, session: &Jid, to: &Jid) -> bool {
        let mut accounts = lock(self.shards.of(session.bare_str()));
        let lists = accounts.entry(session.bare()).or_default();
        let at = lists.iter().position(|l| l.session == *session);
        let at = at.unwrap_or_else(|| {
            lists.push(List {
                session: session.clone(),
                targets: HashMap::new(),
                count: 0,
            });
            lists.len() - 1
        });
        let list = &mut lists[at];
        let targets = list.targets.entry(to.bare()).or_default();
        if targets.contains(to) {
            return true;
        }
        if list.count >= self.limit {
            return false;
        }
        list.count += 1;
        targets.push(to.clone());
        true
    }

    /// The session took it back.
    pub(crate) fn remove(&self, session: &Jid, to: &Jid) {
        self.change(session.bare_str(), |list| {
            if list.session == *session {
                list.remove(to);
            }
        });
    }

    /// `from` said that it is not there any more, to `to`: a session, or all of the account's.
    pub(crate) fn forget(&self, to: &Jid, from: &Jid) {
        self.change(to.bare_str(), |list| {
            if to.is_bare() || list.session == *to {
                list.remove(from);
            }
        });
    }

    /// Everybody on the session's list, which is empty afterwards.
    pub(crate) fn take(&self, session: &Jid) -> Vec<Jid> {
        let mut taken = Vec::new();
        self.change(session.bare_str(), |list| {
            if list.session == *session {
                taken = std::mem::take(&mut list.targets)
                    .into_values()
                    .flatten()
                    .collect();
                list.count = 0;
            }
        });
        taken
    }

    /// Everybody on the session's list.
    pub(crate) fn list(&self, session: &Jid) -> Vec<Jid> {
        let accounts = lock(self.shards.of(session.bare_str()));
        let lists = accounts.get(session.bare_str());
        let own = lists.and_then(|lists| lists.iter().find(|list| list.session == *session));
        own.map(|list| list.targets.values().flatten().cloned().collect())
            .unwrap_or_default()
    }

    /// Whether this session showed itself to `other`.
    pub(crate) fn has(&self, session: &Jid, other: &Jid) -> bool {
        self.find(session.bare_str(), |list| {
            list.session == *session && list.targets.contains_key(other.bare_str())
        })
    }

    /// Whether any session of the account did.
    pub(crate) fn any(&self, account: &str, other: &Jid) -> bool {
        self.find(account, |list| list.targets.contains_key(other.bare_str()))
    }

    fn find(&self, account: &str, wanted: impl Fn(&List) -> bool) -> bool {
        let accounts = lock(self.shards.of(account));
        accounts
            .get(account)
            .is_some_and(|lists| lists.iter().any(wanted))
    }

    fn change(&self, account: &str, change: impl FnMut(&mut List)) {
        let mut accounts = lock(self.shards.of(account));
        let Some(lists) = accounts.get_mut(account) else {
            return;
        };
        lists.iter_mut().for_each(change);
        lists.retain(|list| list.count > 0);
        if lists.is_empty() {
            accounts.remove(account);
        }
    }
}

impl List {
    fn remove(&mut self, target: &Jid) {
        let Some(targets) = self.targets.get_mut(target.bare_str()) else {
            return;
        };
        let before = targets.len();
        targets.retain(|t| t != target);
        self.count -= before - targets.len();
        if targets.is_empty() {
            self.targets.remove(target.bare_str());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jid(text: &str) -> Jid {
        Jid::parse(text).expect("an address")
    }

    #[test]
    fn lists_are_per_session_and_bounded() {
        let directed = Directed::new(2);
        let (phone, desk) = (jid("a@one.example/phone"), jid("a@one.example/desk"));
        let room = jid("room@muc.example/nick");
        assert!(directed.add(&phone, &room) && directed.add(&phone, &room));
        assert!(directed.add(&phone, &jid("b@two.example")));
        assert!(!directed.add(&phone, &jid("c@two.example")));
        let other = jid("room@muc.example/other");
        assert!(directed.has(&phone, &other) && !directed.has(&desk, &other));
        assert!(directed.any(phone.bare_str(), &other));
        directed.forget(&jid("a@one.example"), &other);
        assert!(directed.has(&phone, &room));
        directed.forget(&phone, &room);
        assert!(!directed.has(&phone, &room));
        assert_eq!(directed.take(&phone), [jid("b@two.example")]);
        assert!(directed.take(&phone).is_empty());
        assert!(lock(directed.shards.of("a@one.example")).is_empty());
    }
}
