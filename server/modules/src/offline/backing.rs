//! Messages that sessions have been handed and nothing else keeps: no archive takes them, and they stay in memory until the
//! session's client has acknowledged them (XEP-0198 4). The store has a row for each meanwhile, like one that waits for somebody
//! to come, so that a crash loses nothing that its sender was told is here.
//!
//! | what happens | the row |
//! |---|---|
//! | a session acknowledges it, or takes it from its socket | goes |
//! | every session that was handed it ends without | stays, and is handed over as any other (XEP-0160) |
//! | the process is killed | is there at the next start, likewise |
//! | the process stops, and the session goes into the store | goes: the session has it |
//! | there is no room for it | is not written; it is delivered all the same |
//!
//! While a session holds it, the row is handed to nobody else, and what is delivered bears no time: it has not waited. Refuses:
//! what the offline store refuses, and what its sender wants to be forgotten (XEP-0334).

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use store::OfflineMessage;
use xmpp::jid::{BareJid, Jid};
use xmpp::stanza::Stanza;
use xmpp::timestamp::Timestamp;

use super::{Keeping, Mark, add_row, taker, to_session};
use crate::context::{Context, Refusal, store_failed};
use crate::hooks;
use crate::memory::{Modules, Sharded, lock};

/// All of them, by account.
#[derive(Debug, Default)]
pub(crate) struct Backing {
    last: AtomicU64,
    of: Sharded<Mutex<HashMap<BareJid, Account>>>,
}

/// What sessions of one account have been handed.
#[derive(Debug, Default)]
struct Account {
    entries: Vec<Entry>,
    /// While somebody reads what waits in the store: rows that sessions have done with since, which may be in what was read.
    read: Option<Vec<i64>>,
}

impl Account {
    fn is_idle(&self) -> bool {
        self.entries.is_empty() && self.read.is_none()
    }
}

/// Somebody reads what waits in the store for an account.
pub(super) struct Reading<'a> {
    backing: &'a Backing,
    account: &'a BareJid,
}

impl Reading<'_> {
    /// What no session is to be handed of what was read since this began.
    pub(super) fn held(&self) -> Held {
        self.backing.held(self.account)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        let mut all = lock(self.backing.of.of(self.account.as_str()));
        if let Some(account) = all.get_mut(self.account) {
            account.read = None;
            if account.is_idle() {
                all.remove(self.account);
            }
        }
    }
}

#[derive(Debug)]
struct Entry {
    number: u64,
    message: Stanza,
    at: Timestamp,
    /// Marks that are in sessions' queues.
    holders: u32,
    /// A session has it.
    had: bool,
    /// The store has it as a session's.
    elsewhere: bool,
    row: Row,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// Is about to be written.
    Coming,
    Written(i64),
    /// Is not needed any more, and about to go.
    Going(i64),
    /// There was no room for it, or it has gone.
    Not,
}

/// A message that is handed to sessions and becomes a row ([`crate::hooks::message_backed`]).
#[derive(Debug)]
pub struct Backed {
    account: BareJid,
    number: u64,
}

impl Backed {
    /// By which it is known.
    pub fn number(&self) -> u64 {
        self.number
    }
}

/// What is to be done about a message that no session holds any more.
#[derive(Debug, Default)]
pub(super) enum Left {
    /// Nothing.
    #[default]
    Nothing,
    /// It waits in the store for whoever comes.
    Waits,
    /// It is in the store not at all.
    Nowhere(Box<Stanza>, Timestamp),
}

/// Rows that are handed to nobody, since a session holds what is in them.
#[derive(Debug, Default)]
pub(super) struct Held {
    rows: Vec<i64>,
    /// Messages whose rows are not known yet.
    coming: Vec<Stanza>,
}

impl Held {
    pub(super) fn len(&self) -> usize {
        self.rows.len() + self.coming.len()
    }

    pub(super) fn has(&self, message: &OfflineMessage) -> bool {
        let coming = |held: &Stanza| held.bytes()[..] == message.stanza[..];
        self.rows.contains(&message.id) || self.coming.iter().any(coming)
    }
}

impl Entry {
    /// Nobody asks for it any more.
    fn is_over(&self) -> bool {
        self.holders == 0 && self.row != Row::Coming
    }

    /// No session holds it, and none has had it: what is to be done.
    fn left(&self) -> Left {
        if !self.is_over() || self.had || self.elsewhere {
            return Left::Nothing;
        }
        match self.row {
            Row::Written(_) => Left::Waits,
            _ => Left::Nowhere(Box::new(self.message.clone()), self.at),
        }
    }

    /// The row that is needed no more.
    fn take_row(&mut self) -> Option<(i64, usize)> {
        let Row::Written(row) = self.row else {
            return None;
        };
        self.row = Row::Going(row);
        Some((row, self.message.bytes().len()))
    }
}

impl Backing {
    fn change<R>(
        &self,
        account: &BareJid,
        number: u64,
        change: impl FnOnce(&mut Entry) -> R,
    ) -> Option<R> {
        let mut all = lock(self.of.of(account.as_str()));
        let Account { entries, read } = all.get_mut(account)?;
        let at = entries.iter().position(|entry| entry.number == number)?;
        let changed = change(&mut entries[at]);
        if entries[at].is_over() && !entries[at].elsewhere {
            let over = entries.remove(at);
            if let (Row::Going(row), Some(read)) = (over.row, read) {
                read.push(row);
            }
            if all.get(account).is_some_and(Account::is_idle) {
                all.remove(account);
            }
        }
        Some(changed)
    }

    /// What no session is to be handed.
    pub(super) fn held(&self, account: &BareJid) -> Held {
        let all = lock(self.of.of(account.as_str()));
        let mut held = Held::default();
        let Some(account) = all.get(account) else {
            return held;
        };
        for entry in &account.entries {
            match entry.row {
                Row::Coming => held.coming.push(entry.message.clone()),
                Row::Written(row) | Row::Going(row) => held.rows.push(row),
                Row::Not => {}
            }
        }
        held.rows.extend(account.read.iter().flatten());
        held
    }

    /// Somebody begins to read what waits in the store for an account, and nobody else does (its turn): until it ends, what
    /// sessions have done with counts as held.
    pub(super) fn reading<'a>(&'a self, account: &'a BareJid) -> Reading<'a> {
        let mut all = lock(self.of.of(account.as_str()));
        all.entry(account.clone()).or_default().read = Some(Vec::new());
        Reading {
            backing: self,
            account,
        }
    }
}

impl Modules {
    /// A message is about to be handed to sessions of the account that it is for; `None`: it is for none.
    pub fn backed(&self, message: &Stanza, at: Timestamp) -> Option<Backed> {
        let account = message.to()?.bare();
        let number = self.backing.last.fetch_add(1, Ordering::Relaxed);
        let entry = Entry {
            number,
            message: message.clone(),
            at,
            holders: 0,
            had: false,
            elsewhere: false,
            row: Row::Coming,
        };
        let mut all = lock(self.backing.of.of(account.as_str()));
        let backed = all.entry(account.clone()).or_default();
        backed.entries.push(entry);
        Some(Backed { account, number })
    }

    /// One of them is about to be handed it, with this mark behind it.
    pub fn held(&self, backed: &Backed) -> Mark {
        let Backed { account, number } = backed;
        self.backing
            .change(account, *number, |entry| entry.holders += 1);
        Mark::backing(*number)
    }

    /// No session took it.
    pub fn backed_no_more(&self, backed: Backed) {
        let Backed { account, number } = backed;
        self.backing.change(&account, number, |entry| {
            entry.holders = 0;
            entry.had = true;
            entry.row = Row::Not;
        });
    }

    /// A mark will not come through the session's queue. `false`: there is nothing to do about it; otherwise
    /// [`crate::hooks::session_unwritten`] is called with it. Takes no lock that others hold for long.
    pub fn given_back(&self, session: &Jid, mark: &mut Mark) -> bool {
        let Some(number) = mark.backed() else {
            return true;
        };
        let left = self.backing.change(&session.bare(), number, |entry| {
            entry.holders = entry.holders.saturating_sub(1);
            entry.left()
        });
        mark.left = left.unwrap_or_default();
        !matches!(mark.left, Left::Nothing)
    }

    /// The session goes into the store with all that waits for it: what is backed by these numbers is given back without
    /// consequences, until [`crate::hooks::session_kept`] says what has become of it.
    pub fn backed_elsewhere(&self, session: &Jid, numbers: &[u64]) {
        let account = session.bare();
        for number in numbers {
            self.backing
                .change(&account, *number, |entry| entry.elsewhere = true);
        }
    }
}

/// Writes the row, unless a session has acknowledged the message already.
pub(crate) async fn back(cx: &Context<'_>, backed: Backed, message: &Stanza) {
    let Backed { account, number } = backed;
    let backing = &cx.modules.backing;
    let needed = backing.change(&account, number, |entry| {
        if entry.had {
            entry.row = Row::Not;
        }
        (!entry.had).then_some(entry.at)
    });
    // It may have come to another session long before.
    let Some(came) = needed.flatten() else {
        return;
    };
    match add(cx, &account, message, came).await {
        Ok(row) => {
            let (gone, left) = backing
                .change(&account, number, |entry| {
                    entry.row = row.map_or(Row::Not, Row::Written);
                    match entry.had {
                        true => (entry.take_row(), Left::Nothing),
                        false => (None, entry.left()),
                    }
                })
                .unwrap_or_default();
            remove(cx, &account, gone).await;
            // Boxed: few of them have to.
            Box::pin(see_to(cx, &account, left)).await;
        }
        Err(refusal) => {
            let had = backing.change(&account, number, |entry| {
                entry.row = Row::Not;
                // What becomes of it is its sender's affair again.
                std::mem::replace(&mut entry.had, true)
            });
            // Whether it is written after all, nobody knows.
            drop(Keeping::begin(&cx.modules.nothing, &account, cx.now));
            if had == Some(false) {
                cx.refuse(message, refusal);
            }
        }
    }
}

/// `None`: there is no room, or no account any more.
async fn add(
    cx: &Context<'_>,
    account: &BareJid,
    message: &Stanza,
    came: Timestamp,
) -> Result<Option<i64>, Refusal> {
    let Some(roster) = cx.roster(account).await? else {
        return Ok(None);
    };
    match add_row(cx, roster.account, message, came).await {
        Ok(added) => Ok(added.ok()),
        Err(error) => {
            let doing = "keeping a message that is not read yet";
            Err(store_failed(&error, account, doing))
        }
    }
}

/// A session has it.
pub(super) async fn had(cx: &Context<'_>, session: &Jid, number: u64) {
    let account = session.bare();
    let gone = cx.modules.backing.change(&account, number, |entry| {
        entry.holders = entry.holders.saturating_sub(1);
        entry.had = true;
        entry.take_row()
    });
    remove(cx, &account, gone.flatten()).await;
}

async fn remove(cx: &Context<'_>, account: &BareJid, row: Option<(i64, usize)>) {
    remove_all(cx, account, row.into_iter().collect()).await;
}

async fn remove_all(cx: &Context<'_>, account: &BareJid, gone: Vec<(i64, usize)>) {
    if gone.is_empty() {
        return;
    }
    let Ok(Some(roster)) = cx.roster(account).await else {
        // With the account its rows have gone.
        return;
    };
    let rows: Vec<i64> = gone.iter().map(|(row, _)| *row).collect();
    match cx.store().offline_remove(roster.account, &rows).await {
        Ok(()) => {
            let bytes = gone.iter().map(|(_, bytes)| *bytes as u64).sum();
            cx.hosted.quota.offline_freed(bytes);
        }
        Err(error) => {
            // They come again with the next session.
            tracing::error!(%account, %error, "removing delivered messages failed");
            cx.modules.nothing.kept(account);
        }
    }
}

/// No session holds it any more.
pub(super) async fn see_to(cx: &Context<'_>, account: &BareJid, left: Left) {
    match left {
        Left::Nothing => {}
        Left::Waits => {
            cx.modules.nothing.kept(account);
            if let Some(other) = taker(cx, account) {
                to_session(cx, &other.jid).await;
            }
        }
        Left::Nowhere(message, at) => {
            // Kept with the time it came.
            let then = cx.modules.context(cx.hosted, cx.switchboard, at);
            Box::pin(hooks::message_undeliverable(&then, &message)).await;
        }
    }
}

/// The session was written to the store, with what was held for it by these numbers, or could not be.
pub(crate) async fn moved(cx: &Context<'_>, session: &Jid, numbers: &[u64], kept: bool) {
    let account = session.bare();
    let mut gone = Vec::new();
    for number in numbers {
        let found = cx.modules.backing.change(&account, *number, |entry| {
            entry.elsewhere = false;
            if kept {
                entry.had = true;
                return (entry.take_row(), Left::Nothing);
            }
            (None, entry.left())
        });
        let (row, left) = found.unwrap_or_default();
        gone.extend(row);
        see_to(cx, &account, left).await;
    }
    remove_all(cx, &account, gone).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{House, stanza};

    /// The row is written and read, and acknowledged before it is looked at: it is in what was read, and nobody's any more.
    #[tokio::test]
    async fn sm_07_what_is_acknowledged_while_the_store_is_read_is_not_handed_over_again() {
        let house = House::new().await;
        let phone = house.bind("alice@one.example/phone");
        let cx = house.context("one.example");
        let message = stanza(
            "<message from='romeo@peer.example/x' to='alice@one.example' type='chat'><body>x</body></message>",
        );
        let (account, backing) = (phone.bare(), &cx.modules.backing);
        let read = async || {
            let alice = house.account("alice").await;
            let read = house.store().offline_list(alice, 0, 9).await;
            read.expect("read")
        };
        let reading = backing.reading(&account);
        let before = reading.held();
        let backed = cx.modules.backed(&message, cx.now).expect("an addressee");
        let mark = cx.modules.held(&backed);
        back(&cx, backed, &message).await;
        let rows = read().await;
        assert_eq!(rows.len(), 1);
        assert!(!before.has(&rows[0]) && reading.held().has(&rows[0]));
        had(&cx, &phone, mark.backed().expect("a number")).await;
        assert!(reading.held().has(&rows[0]), "it was delivered");
        drop(reading);
        assert!(!backing.held(&account).has(&rows[0]));
        assert_eq!(read().await, []);
        assert!(
            lock(backing.of.of(account.as_str())).is_empty(),
            "nothing is left behind"
        );
    }
}
