//! What a domain and its tenant take of this process at a time (DOS-10): connections, sessions, stanzas a second.
//!
//! Counted for both, so that one domain does not eat its tenant's share unseen, and no tenant another's. Refuses: a lock; a
//! count is an atomic number, and one stanza in many touches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use tokio::time::Instant;

use crate::net::limits::SharedPace;

/// How much at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ceiling {
    /// Connections that a stream to the domain is on.
    pub connections: u32,
    /// Bound sessions.
    pub sessions: u32,
    /// Stanzas of its clients in a second, on average.
    pub stanzas_per_second: u32,
    /// Peers at a time.
    pub peers: u32,
}

impl Ceiling {
    /// Nobody is held up: for tests.
    pub const NONE: Self = Self {
        connections: u32::MAX,
        sessions: u32::MAX,
        stanzas_per_second: u32::MAX,
        peers: u32::MAX,
    };
}

/// What is counted one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connection that a stream to the domain is on.
    Connection,
    /// A bound session.
    Session,
    /// A peer that something goes to or comes from.
    Peer,
}

/// Counts of one domain, or of one tenant.
#[derive(Debug)]
pub struct Usage {
    connections: Counted,
    sessions: Counted,
    peers: Counted,
    stanzas_per_second: AtomicU32,
    pace: SharedPace,
    stanzas: AtomicU64,
}

#[derive(Debug)]
struct Counted {
    most: AtomicU32,
    now: AtomicU32,
}

impl Counted {
    fn new(most: u32) -> Self {
        Self {
            most: AtomicU32::new(most),
            now: AtomicU32::new(0),
        }
    }

    fn enter(&self) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        self.now
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
                (now < most).then_some(now + 1)
            })
            .is_ok()
    }

    fn leave(&self) {
        self.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Usage {
    /// Nothing taken yet.
    pub fn new(ceiling: Ceiling) -> Arc<Self> {
        Arc::new(Self {
            connections: Counted::new(ceiling.connections),
            sessions: Counted::new(ceiling.sessions),
            peers: Counted::new(ceiling.peers),
            stanzas_per_second: AtomicU32::new(ceiling.stanzas_per_second),
            pace: SharedPace::new(Instant::now()),
            stanzas: AtomicU64::new(0),
        })
    }

    /// Other ceilings from now on. Whoever is in stays in.
    pub fn set(&self, ceiling: Ceiling) {
        self.connections
            .most
            .store(ceiling.connections, Ordering::Relaxed);
        self.sessions
            .most
            .store(ceiling.sessions, Ordering::Relaxed);
        self.peers.most.store(ceiling.peers, Ordering::Relaxed);
        self.stanzas_per_second
            .store(ceiling.stanzas_per_second, Ordering::Relaxed);
    }

    /// Bound sessions now.
    pub fn sessions(&self) -> usize {
        self.sessions.now.load(Ordering::Relaxed) as usize
    }

    /// How many of a kind there may be.
    pub fn most(&self, kind: Kind) -> u32 {
        self.counted(kind).most.load(Ordering::Relaxed)
    }

    /// How many of a kind there are now.
    pub fn count(&self, kind: Kind) -> u32 {
        self.counted(kind).now.load(Ordering::Relaxed)
    }

    /// Takes some stanzas: when whoever sent them may go on if there were too many.
    pub fn pace(&self, stanzas: u32, now: Instant) -> Option<Instant> {
        let rate = self.stanzas_per_second.load(Ordering::Relaxed);
        self.pace.take(stanzas, rate, now)
    }

    /// Counts stanzas for whoever draws how many there were: nobody is held up for it.
    pub fn count_stanzas(&self, stanzas: u32) {
        self.stanzas.fetch_add(stanzas.into(), Ordering::Relaxed);
    }

    /// Takes back what was counted in advance and did not come.
    pub fn uncount_stanzas(&self, stanzas: u32) {
        // A session may end that was counted against the domain's former owner.
        let less = |count: u64| Some(count.saturating_sub(stanzas.into()));
        let _ = self
            .stanzas
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Stanzas since this process knows of it; those of a session are counted a few in advance.
    pub fn stanzas(&self) -> u64 {
        self.stanzas.load(Ordering::Relaxed)
    }

    fn counted(&self, kind: Kind) -> &Counted {
        match kind {
            Kind::Connection => &self.connections,
            Kind::Session => &self.sessions,
            Kind::Peer => &self.peers,
        }
    }
}

/// Counts one thing against a domain and its tenant while it lives.
#[derive(Debug)]
pub struct Occupied {
    domain: Arc<Usage>,
    tenant: Arc<Usage>,
    kind: Kind,
}

impl Occupied {
    /// Takes a place in both.
    ///
    /// # Errors
    /// The key in section `limits` of the configuration whose limit is reached; no place is taken then.
    pub fn take(
        domain: &Arc<Usage>,
        tenant: &Arc<Usage>,
        kind: Kind,
    ) -> Result<Self, &'static str> {
        if !tenant.counted(kind).enter() {
            return Err(match kind {
                Kind::Connection => "connections_per_tenant",
                Kind::Session => "sessions_per_tenant",
                Kind::Peer => "peers_per_tenant",
            });
        }
        if !domain.counted(kind).enter() {
            tenant.counted(kind).leave();
            return Err(match kind {
                Kind::Connection => "connections_per_domain",
                Kind::Session => "sessions_per_domain",
                // A domain has what its tenant has.
                Kind::Peer => "peers_per_tenant",
            });
        }
        Ok(Self {
            domain: domain.clone(),
            tenant: tenant.clone(),
            kind,
        })
    }

    /// Whether it is a place in this domain.
    pub fn is_of(&self, domain: &Arc<Usage>) -> bool {
        Arc::ptr_eq(&self.domain, domain)
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        self.domain.counted(self.kind).leave();
        self.tenant.counted(self.kind).leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dos_10_a_domain_at_its_limit_leaves_the_tenant_s_other_domains_alone() {
        let small = Ceiling {
            sessions: 1,
            ..Ceiling::NONE
        };
        let (one, two) = (Usage::new(small), Usage::new(small));
        let tenant = Usage::new(Ceiling {
            sessions: 2,
            ..Ceiling::NONE
        });
        let take = |domain: &Arc<Usage>| Occupied::take(domain, &tenant, Kind::Session);
        let first = take(&one).expect("the first");
        assert_eq!(take(&one).err(), Some("sessions_per_domain"));
        let _second = take(&two).expect("another domain");
        let three = Usage::new(small);
        assert_eq!(take(&three).err(), Some("sessions_per_tenant"));
        drop(first);
        assert_eq!(one.sessions(), 0);
        let _third = take(&three).expect("one has gone");
    }

    #[test]
    fn dos_10_a_limit_that_is_lowered_throws_nobody_out() {
        let usage = Usage::new(Ceiling::NONE);
        let tenant = Usage::new(Ceiling::NONE);
        let take = || Occupied::take(&usage, &tenant, Kind::Connection);
        let _one = take().expect("room");
        let _two = take().expect("room");
        tenant.set(Ceiling {
            connections: 1,
            ..Ceiling::NONE
        });
        assert_eq!(take().err(), Some("connections_per_tenant"));
    }
}
