//! Distinct recipients of an account in a period (RFC 6120 13.12 (5), DOS-06): what a spammer needs many of.
//!
//! Counted over all sessions of the account, so that ten of them reach no further than one. Only hashes are kept.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use ahash::RandomState;
use parking_lot::Mutex;
use tokio::time::Instant;

/// How many, in how long.
#[derive(Clone, Copy, Debug)]
pub struct RecipientLimits {
    /// Bare addresses that one account may write to in a period.
    pub most: usize,
    /// Its length.
    pub period: Duration,
}

impl Default for RecipientLimits {
    fn default() -> Self {
        Self {
            most: 1_000,
            period: Duration::from_secs(600),
        }
    }
}

/// Recipients of every account of this process.
pub struct Recipients {
    limits: RecipientLimits,
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
}

type Shard = HashMap<u64, Seen, RandomState>;

struct Seen {
    since: Instant,
    recipients: HashSet<u64, RandomState>,
}

/// Shards, each with a lock of its own.
const SHARDS: u64 = 32;
/// Accounts of a shard before those of past periods are swept out.
const SWEEP: usize = 4_096;

impl Recipients {
    /// Nobody has written to anybody yet.
    pub fn new(limits: RecipientLimits) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
        }
    }

    /// A short name for a bare address, for whoever wants to remember that it was let through.
    pub fn name(&self, bare: &str) -> u64 {
        self.hasher.hash_one(bare)
    }

    /// How many, in how long.
    pub fn limits(&self) -> RecipientLimits {
        self.limits
    }

    /// Whether the account may write to this recipient (a [`Recipients::name`]) now.
    pub fn admit(&self, account: &str, recipient: u64, now: Instant) -> bool {
        let account = self.name(account);
        // The remainder is below the number of shards.
        let mut shard = self.shards[(account % SHARDS) as usize].lock();
        let period = self.limits.period;
        if shard.len() >= SWEEP {
            shard.retain(|_, seen| now.duration_since(seen.since) < period);
        }
        let seen = shard.entry(account).or_insert_with(|| Seen {
            since: now,
            recipients: HashSet::with_hasher(self.hasher.clone()),
        });
        if now.duration_since(seen.since) >= period {
            seen.since = now;
            seen.recipients = HashSet::with_hasher(self.hasher.clone());
        }
        if seen.recipients.contains(&recipient) {
            return true;
        }
        if seen.recipients.len() >= self.limits.most {
            return false;
        }
        seen.recipients.insert(recipient)
    }
}

impl Default for Recipients {
    fn default() -> Self {
        Self::new(RecipientLimits::default())
    }
}

impl std::fmt::Debug for Recipients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recipients")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_06_so_many_recipients_in_a_period() {
        let recipients = Recipients::new(RecipientLimits {
            most: 2,
            period: Duration::from_secs(60),
        });
        let now = Instant::now();
        let admit =
            |account: &str, to: &str, now| recipients.admit(account, recipients.name(to), now);
        assert!(admit("a@one.example", "x@two.example", now));
        assert!(admit("a@one.example", "y@two.example", now));
        assert!(!admit("a@one.example", "z@two.example", now));
        assert!(
            admit("a@one.example", "x@two.example", now),
            "known already"
        );
        assert!(
            admit("b@one.example", "z@two.example", now),
            "another account"
        );
        let later = now + Duration::from_secs(60);
        assert!(admit("a@one.example", "z@two.example", later));
    }
}
