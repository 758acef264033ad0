//! What is in the store for other servers and in nobody's hands: what the process before this one has left there is taken up
//! before anything else comes, and sent on when the doors are open, since peers look at them. That of a domain which is
//! served again, or was not then, follows when it is, whoever has written it. The end writes nothing: it is there.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use modules::Switchboard;
use store::{DomainId, Outgoing, Store, StoreError};
use tokio::time::Instant;
use xmpp::jid::{DomainName, Jid};
use xmpp::stanza::{Stanza, delay};
use xmpp::timestamp::Timestamp;

use super::Federation;
use super::kept::Kept;
use super::pair::Pair;
use super::queue::Queued;
use crate::net::now;

/// Rows read at a time.
const PAGE: u32 = 500;
/// A pair begins so long after the one before it: nobody dials a thousand peers at once.
const STAGGER: Duration = Duration::from_millis(10);

/// Pairs for which something is there to be sent.
pub struct Restored {
    pairs: Vec<Arc<Pair>>,
    /// Stanzas in them.
    pub stanzas: usize,
}

/// One stanza that was left.
struct Left {
    row: Outgoing,
    stanza: Stanza,
    local: DomainName,
    remote: DomainName,
}

/// Rows that are in this process's hands.
#[derive(Default)]
struct Here {
    rows: HashSet<i64>,
    /// Times of those of which the number is not known yet, by pair, where each has its own.
    written: HashMap<(DomainName, DomainName), HashSet<Timestamp>>,
}

impl Here {
    fn has(&self, pair: &(DomainName, DomainName), row: &Outgoing) -> bool {
        let written = self.written.get(pair);
        self.rows.contains(&row.id) || written.is_some_and(|times| times.contains(&row.at))
    }
}

impl Federation {
    /// Reads what was left, by accounts of one domain or of all. It waits in its pairs, before all that comes from now on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn restore(
        &self,
        store: &Store,
        of: Option<DomainId>,
    ) -> Result<Restored, StoreError> {
        // What is written while the store is read has somebody who sends it.
        let (from, mut here) = (now(), Here::default());
        self.find_here(of, &mut here);
        let mut left: HashMap<(DomainName, DomainName), Vec<Left>> = HashMap::new();
        let mut after = 0;
        loop {
            let page = store.outgoing(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            let its = |row: &Outgoing| of.is_none_or(|of| of == row.domain && row.at < from);
            let page = page.into_iter().filter(its);
            for one in page.filter_map(|row| self.of_row(row)) {
                let pair = (one.local.clone(), one.remote.clone());
                left.entry(pair).or_default().push(one);
            }
        }
        // Once more: what was going from hand to hand the first time.
        self.find_here(of, &mut here);
        for (pair, left) in &mut left {
            left.retain(|one| !here.has(pair, &one.row));
        }
        let mut turn = 0;
        let mut restored = Restored {
            pairs: Vec::new(),
            stanzas: 0,
        };
        for ((local, remote), mut left) in left {
            left.sort_by_key(|one| one.row.at);
            let left = self.still_to_be_sent(left).await;
            let count = left.len();
            if count == 0 {
                continue;
            }
            let Ok(pair) = self.pair(&local, &remote) else {
                // Its tenant may have fewer peers than it had: the rows wait for better times.
                tracing::warn!(%local, %remote, "what waits for another server is left in the store: the domain has too many peers");
                continue;
            };
            let at = Instant::now() + STAGGER.saturating_mul(turn);
            turn = turn.saturating_add(1);
            if pair.restore(left, at) {
                restored.pairs.push(pair);
            }
            restored.stanzas += count;
        }
        Ok(restored)
    }

    /// Sends it on.
    pub fn send_on(&self, restored: Restored) {
        for pair in restored.pairs {
            self.send_again(pair);
        }
    }

    /// Adds what is in this process's hands now; where it has just begun, nothing is.
    fn find_here(&self, of: Option<DomainId>, here: &mut Here) {
        if of.is_none() {
            return;
        }
        for peers in &self.pairs {
            for (remote, pair) in peers.iter() {
                for kept in pair.rows() {
                    if let Some(row) = kept.row() {
                        here.rows.insert(row);
                    } else if kept.is_on_its_way() {
                        let names = (peers.key().clone(), remote.clone());
                        here.written.entry(names).or_default().insert(kept.at());
                    }
                }
            }
        }
        // Behind the pairs: from there they come.
        here.rows.extend(self.ledger.are_over());
    }

    /// The end: what peers have taken is forgotten, and nothing more is written.
    pub async fn finish(&self) {
        self.ledger.forget_over().await;
    }

    /// `None`: it stays where it is. The domain is not served now, or the name is another one's.
    fn of_row(&self, row: Outgoing) -> Option<Left> {
        let Ok(stanza) = Stanza::from_bytes(&row.stanza) else {
            tracing::error!(row = row.id, "what waits for another server is unreadable");
            return None;
        };
        let (local, remote) = (stanza.from()?.domain_name(), stanza.to()?.domain_name());
        let domain = self.parts.tenancy.get(local.as_str())?;
        (domain.served && domain.id == row.domain).then_some(Left {
            row,
            stanza,
            local,
            remote,
        })
    }

    /// The stanzas as they are sent now: with the time they were written (XEP-0203). What nobody elsewhere is to get any more
    /// finds its way.
    async fn still_to_be_sent(&self, left: Vec<Left>) -> Vec<Queued> {
        let mut queued = Vec::with_capacity(left.len());
        for Left {
            row,
            stanza,
            local,
            remote,
        } in left
        {
            let stanza = stanza.with_child(&delay(&Jid::from(local.clone()), row.at));
            let kept = Kept::found(&stanza, row.at, row.id);
            if self.parts.tenancy.hosts(remote.as_str()) {
                // It has moved here meanwhile.
                Switchboard::local(&*self.parts.router, stanza).await;
                self.ledger.forget(&local, &kept);
            } else {
                let kept = Some(kept);
                queued.push(Queued { stanza, kept });
            }
        }
        queued
    }
}
