//! What a domain counts of sessions and stanzas, for whoever draws it over time. Refuses: a lock, and any word of who wrote to
//! whom; a stanza of a peer is one relaxed addition, those of clients are counted many at a time.

use store::{DomainId, TenantId};

use super::{Domain, Kind, Tenancy};

/// What a domain counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Which.
    pub domain: DomainId,
    /// Whose.
    pub tenant: TenantId,
    /// Bound sessions now.
    pub sessions: u32,
    /// Stanzas since this process knows of the domain: what its people and components sent, and other servers sent it. A
    /// session's are counted a few in advance, and taken back when it ends.
    pub stanzas: u64,
}

impl Domain {
    /// Counts a stanza that another server sent it.
    pub fn count_stanza(&self) {
        self.usage.count_stanzas(1);
    }

    /// Takes back what [`Domain::pace`] was told in advance and did not come.
    pub fn uncount_stanzas(&self, stanzas: u32) {
        self.usage.uncount_stanzas(stanzas);
    }
}

impl Tenancy {
    /// What each domain counts.
    pub fn counts(&self) -> Vec<Counts> {
        let domains = self.domains.iter();
        domains
            .map(|domain| Counts {
                domain: domain.id,
                tenant: domain.tenant,
                sessions: domain.usage.count(Kind::Session),
                stanzas: domain.usage.stanzas(),
            })
            .collect()
    }
}
