//! What a hosted domain asks of its peers, in the words of XEP-0238.
//!
//! Evaluated per hosted domain (VHOST-11). Refuses: taking anybody without any verification. XEP-0238's permissive level
//! would; here nothing passes without [`crate::Proven`], so the lowest level still wants dialback.

use xmpp::jid::DomainName;

use crate::verdict::{Fault, Prooftype, Refusal};

/// How much is asked of a peer. Each level asks for all that the level before it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum PolicyLevel {
    /// Whatever works: dialback at least, TLS where it can be had.
    Permissive,
    /// The same, by intent: the peer is verified, the stream may be plaintext.
    Verified,
    /// TLS, and dialback at least. The default: nobody is shut out for having a bad certificate, nobody reads along.
    #[default]
    Encrypted,
    /// TLS and a proof that an attacker on the network cannot make: certificate, DANE or POSH.
    Authenticated,
}

impl PolicyLevel {
    /// The word of configuration, store and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Permissive => "permissive",
            Self::Verified => "verified",
            Self::Encrypted => "encrypted",
            Self::Authenticated => "authenticated",
        }
    }

    /// By its word.
    pub fn from_name(name: &str) -> Option<Self> {
        [
            Self::Permissive,
            Self::Verified,
            Self::Encrypted,
            Self::Authenticated,
        ]
        .into_iter()
        .find(|level| level.name() == name)
    }
}

/// What one hosted domain asks of its peers.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// How much.
    pub level: PolicyLevel,
    /// Only these peers, if any are named.
    pub allow: Vec<DomainName>,
    /// Never these.
    pub block: Vec<DomainName>,
}

impl Policy {
    /// Whether a stream without TLS may carry the pair.
    pub fn needs_tls(&self) -> bool {
        self.level >= PolicyLevel::Encrypted
    }

    /// Whether dialback may prove a pair (DNA-21).
    pub fn takes_dialback(&self) -> bool {
        self.level < PolicyLevel::Authenticated
    }

    /// Whether this prooftype is enough.
    pub fn takes(&self, by: Prooftype) -> bool {
        by != Prooftype::Dialback || self.takes_dialback()
    }

    /// Whether the lists shut a peer out, before anything is asked about it.
    pub fn shuts_out(&self, remote: &DomainName) -> Option<Refusal> {
        if self.block.contains(remote) {
            return Some(Refusal::new(
                None,
                "peer-blocked",
                Fault::Policy,
                format!("{remote} is on this domain's block list"),
            ));
        }
        if !self.allow.is_empty() && !self.allow.contains(remote) {
            return Some(Refusal::new(
                None,
                "peer-not-allowed",
                Fault::Policy,
                format!("{remote} is not on this domain's list of allowed peers"),
            ));
        }
        None
    }
}
