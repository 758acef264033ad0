//! What is remembered of pushes: accounts' registrations, when each service was told last, what it has not answered yet.
//!
//! All of it is bounded and may be lost: then the store is asked, or a service is told once more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use store::PushRow;
use xmpp::jid::BareJid;
use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;

use crate::memory::{Aging, Places, SHARDS, Sharded, lock};

/// Accounts whose registrations are remembered, in each of two generations.
const ACCOUNTS: usize = 10_000;
/// Questions without an answer, of all domains.
const OPEN: usize = 10_000;
/// Between two pushes to one node: who is woken, looks by itself (µs).
const PAUSE: i64 = 5_000_000;
/// A question of which nothing was heard for so long is given up (µs).
const LOST: i64 = 120_000_000;

/// Which registration a service was told of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    pub(super) account: BareJid,
    pub(super) service: String,
    pub(super) node: String,
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Pushes {
    known: Sharded<Aging<BareJid, Arc<[PushRow]>>>,
    told: Sharded<Aging<Question, Timestamp>>,
    failures: Sharded<Aging<Question, u32>>,
    open: Mutex<Open>,
}

/// Questions without an answer.
#[derive(Debug)]
struct Open {
    asked: HashMap<String, (Question, Timestamp)>,
    places: Places,
}

impl Open {
    /// Those of which nothing was heard for too long.
    fn sweep(&mut self, now: Timestamp) {
        let lost = |(_, at): &(Question, Timestamp)| now.0.saturating_sub(at.0) >= LOST;
        for (_, (question, _)) in self.asked.extract_if(|_, asked| lost(asked)) {
            self.places.give_back(question.account.domain());
        }
    }
}

impl Default for Pushes {
    fn default() -> Self {
        Self {
            known: Sharded::with(|| Aging::new(ACCOUNTS / SHARDS)),
            told: Sharded::with(|| Aging::new(ACCOUNTS / SHARDS)),
            failures: Sharded::with(|| Aging::new(ACCOUNTS / SHARDS)),
            open: Mutex::new(Open {
                asked: HashMap::new(),
                places: Places::new(OPEN),
            }),
        }
    }
}

impl Pushes {
    pub(super) fn known(&self, account: &BareJid) -> Option<Arc<[PushRow]>> {
        self.known.of(account.as_str()).get(account)
    }

    pub(super) fn learn(&self, account: &BareJid, rows: Vec<PushRow>) {
        let shard = self.known.of(account.as_str());
        shard.insert(account.clone(), rows.into(), 1);
    }

    pub(crate) fn forget(&self, account: &BareJid) {
        self.known.of(account.as_str()).remove(account);
    }

    pub(crate) fn forget_domain(&self, domain: &str) {
        for shard in self.known.all() {
            shard.retain(|account| account.domain() != domain);
        }
    }

    /// Notes that a service is told now; the id to tell it under. `None`: it was told a moment ago, or too many have not
    /// answered.
    pub(super) fn ask(&self, account: &BareJid, row: &PushRow, now: Timestamp) -> Option<String> {
        let question = question(account, row);
        let told = self.told.of(account.as_str());
        let last = told.get(&question);
        if last.is_some_and(|last| now.0.saturating_sub(last.0) < PAUSE) {
            return None;
        }
        let mut open = lock(&self.open);
        if !open.places.has_room(account.domain()) {
            open.sweep(now);
            if !open.places.has_room(account.domain()) {
                return None;
            }
        }
        open.places.take(account.domain());
        let id = format!("push-{:016x}", rand::random::<u64>());
        open.asked.insert(id.clone(), (question.clone(), now));
        told.insert(question, now, 1);
        Some(id)
    }

    /// Its client is not there any more: what it was told before it came has been seen, and what comes now has not.
    pub(super) fn sleeps(&self, account: &BareJid, row: &PushRow) {
        let told = self.told.of(account.as_str());
        told.remove(&question(account, row));
    }

    /// Whether this may be a service's answer.
    pub(crate) fn expects(&self, iq: &Stanza) -> bool {
        let (Some(id), Some(from)) = (iq.id(), iq.from()) else {
            return false;
        };
        let open = lock(&self.open);
        open.asked
            .get(id)
            .is_some_and(|(question, _)| question.service == from.as_str())
    }

    /// Takes an answer in.
    pub(super) fn answered(&self, iq: &Stanza) -> Option<Question> {
        if !self.expects(iq) {
            return None;
        }
        let mut open = lock(&self.open);
        let (question, _) = open.asked.remove(iq.id()?)?;
        open.places.give_back(question.account.domain());
        Some(question)
    }

    pub(super) fn reached(&self, question: &Question) {
        self.failures.of(question.account.as_str()).remove(question);
    }

    /// How many times in a row now.
    pub(super) fn failed(&self, question: &Question) -> u32 {
        let failures = self.failures.of(question.account.as_str());
        let now = failures.get(question).unwrap_or_default() + 1;
        failures.insert(question.clone(), now, 1);
        now
    }
}

fn question(account: &BareJid, row: &PushRow) -> Question {
    Question {
        account: account.clone(),
        service: row.service.clone(),
        node: row.node.clone(),
    }
}
