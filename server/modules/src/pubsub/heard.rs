//! Sessions of contacts at other domains, as far as their presence announced what they want to be told.
//!
//! Why apart from what presence remembers: a notification goes to a session however long it has been there. Bounded in
//! bytes over all accounts, of which each domain has its share; whoever is forgotten gets nothing until the next presence. Refuses: sessions of this domain, of
//! which the switchboard knows, and presence of people who are not in the roster.

use std::sync::Arc;

use xmpp::jid::{BareJid, Jid};

use super::caps::Announced;
use crate::memory::ByDomain;

/// Sessions of one contact that are remembered.
const SESSIONS: usize = 16;
/// Bytes of each of two generations.
const BYTES: usize = 8 << 20;

type Sessions = Arc<Vec<(Jid, Announced)>>;

/// What was heard; by account and contact.
#[derive(Debug)]
pub(crate) struct Heard(ByDomain<(BareJid, BareJid), Sessions>);

impl Default for Heard {
    fn default() -> Self {
        Self(ByDomain::new(BYTES))
    }
}

impl Heard {
    /// Sessions of a contact.
    pub(super) fn sessions(&self, account: &BareJid, contact: &BareJid) -> Sessions {
        let key = (account.clone(), contact.clone());
        self.0.get(account.domain(), &key).unwrap_or_default()
    }

    /// A session is there and announced this; what it had announced before.
    pub(super) fn came(
        &self,
        account: &BareJid,
        session: &Jid,
        announced: Announced,
    ) -> Option<Announced> {
        let mut sessions = self.sessions(account, &session.bare()).to_vec();
        if let Some((_, before)) = sessions.iter_mut().find(|(jid, _)| jid == session) {
            let before = std::mem::replace(before, announced);
            self.put(account, session, sessions);
            return Some(before);
        }
        if sessions.len() < SESSIONS {
            sessions.push((session.clone(), announced));
            self.put(account, session, sessions);
        }
        None
    }

    /// A session is gone; with a bare address all of the contact's are.
    pub(super) fn went(&self, account: &BareJid, session: &Jid) {
        let mut sessions = self.sessions(account, &session.bare()).to_vec();
        if sessions.is_empty() {
            return;
        }
        sessions.retain(|(jid, _)| !session.is_bare() && jid != session);
        self.put(account, session, sessions);
    }

    pub(crate) fn forget_domain(&self, domain: &str) {
        self.0.forget(domain);
    }

    fn put(&self, account: &BareJid, session: &Jid, sessions: Vec<(Jid, Announced)>) {
        let key = (account.clone(), session.bare());
        if sessions.is_empty() {
            return self.0.remove(account.domain(), &key);
        }
        let one = |(jid, said): &(Jid, Announced)| jid.as_str().len() + said.bytes() + 200;
        let weight = 200 + sessions.iter().map(one).sum::<usize>();
        self.0
            .insert(account.domain(), key, Arc::new(sessions), weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contacts that announce a lot: what is heard for one domain pushes nothing of another's out.
    #[test]
    fn dos_10_what_one_domain_hears_makes_no_other_forget() {
        let heard = Heard::default();
        let account = |domain: &str| BareJid::parse(&format!("a@{domain}")).expect("an address");
        let session = |n: usize| Jid::parse(&format!("c{n}@peer.example/r")).expect("an address");
        let announced = Announced::of("sha-1", "n", &"v".repeat(500));
        let two = account("two.example");
        heard.came(&two, &session(0), announced.clone());
        for n in 0..60_000 {
            heard.came(&account("one.example"), &session(n), announced.clone());
        }
        assert_eq!(heard.sessions(&two, &session(0).bare()).len(), 1);
        assert_eq!(
            heard
                .sessions(&account("one.example"), &session(0).bare())
                .len(),
            0,
            "bounded all the same"
        );
    }
}
