//! What the process before this one has left in the store: taken up before anything else comes, and sent on when the doors are
//! open, since peers look at them. The end writes nothing: it is there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use modules::Switchboard;
use store::{Outgoing, Store, StoreError};
use xmpp::jid::{DomainName, Jid};
use xmpp::stanza::{Condition, Stanza, StanzaError, delay};

use super::kept::Kept;
use super::pair::Pair;
use super::queue::Queued;
use super::{Federation, outbound};
use crate::net::now;

/// What is older is not sent any more; whoever wrote it is told.
const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);
/// Rows read at a time.
const PAGE: u32 = 500;

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

impl Federation {
    /// Reads what was left. It waits in its pairs, before all that comes from now on.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn restore(&self, store: &Store) -> Result<Restored, StoreError> {
        let mut left: HashMap<(DomainName, DomainName), Vec<Left>> = HashMap::new();
        let mut after = 0;
        loop {
            let page = store.outgoing(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.id;
            for one in page.into_iter().filter_map(|row| self.of_row(row)) {
                let pair = (one.local.clone(), one.remote.clone());
                left.entry(pair).or_default().push(one);
            }
        }
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
            if pair.restore(left) {
                restored.pairs.push(pair);
                restored.stanzas += count;
            }
        }
        Ok(restored)
    }

    /// Sends it on.
    pub fn send_on(&self, restored: Restored) {
        let Some(this) = self.this.upgrade() else {
            return;
        };
        for pair in restored.pairs {
            self.spawn(outbound::run(this.clone(), pair));
        }
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
        let oldest = now()
            .0
            .saturating_sub(i64::try_from(OLDEST.as_micros()).unwrap_or(i64::MAX));
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
            if row.at.0 < oldest {
                let error = StanzaError::new(Condition::RemoteServerTimeout);
                let error = error.with_text("that server was not reached for too long");
                self.parts.router.bounce(&stanza, error);
                self.ledger.forget(&local, &kept);
            } else if self.parts.tenancy.hosts(remote.as_str()) {
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
