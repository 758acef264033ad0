//! Who may speak for a domain (RFC 7712): evidence in, verdict out.
//!
//! [`judge`] is a plain function of a [`Claim`], the [`Evidence`] gathered for it, the hosted domain's [`Policy`] and the
//! time. Gathering is somebody else's work, behind [`Lookup`]. A prooftype is one file ([`pkix`], [`dialback`]), described
//! as RFC 7712 section 7 wants it: the proof, the matching rule, how the verification material is obtained, whether it
//! needs secure DNS. A new one is a new file, its evidence a new field, and one line in the order of [`judge`].
//!
//! Refuses: sockets, clocks, and any way to make [`Proven`] but by judging.

pub mod delegation;
pub mod dialback;
mod lookup;
pub mod pkix;
mod policy;
mod verdict;

use std::sync::Arc;

use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

pub use self::delegation::{Delegation, Target};
pub use self::lookup::{
    Answer, Lookup, Outcome, Record, RecordData, RecordType, Security, ServerAnswer,
};
pub use self::pkix::{Anchors, PresentedChain};
pub use self::policy::{Policy, PolicyLevel};
pub use self::verdict::{Fault, Prooftype, Proven, Refusal, Verdict};

use self::verdict::Proof;

/// Which side of the stream we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// We opened it; the peer must prove the `to` we sent (DNA-03, CERT-13).
    Initiator,
    /// The peer opened it; it must prove the `from` it sent (DNA-04, CERT-14).
    Receiver,
}

/// What kind of stream the claim is about: it decides the SRV-ID that matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// `xmpp-client`: judging ourselves as a client would.
    Client,
    /// `xmpp-server`
    Server,
}

impl Service {
    /// Application service name (RFC 6120 14.3), without the underscore.
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "xmpp-client",
            Self::Server => "xmpp-server",
        }
    }
}

/// "The server at the other end of this stream speaks for `remote`", said to `local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The hosted domain.
    pub local: DomainName,
    /// The peer.
    pub remote: DomainName,
    /// Our side.
    pub role: Role,
    /// Kind of stream.
    pub service: Service,
}

/// Everything known about one claim. What was not gathered is `None` or empty and proves nothing.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Whether the stream is protected by TLS.
    pub tls: bool,
    /// Certificates shown on the stream, if any.
    pub chain: Option<PresentedChain>,
    /// Where the stream leads and how surely the DNS said so; streams that we opened only (S2S-11).
    pub target: Option<Target>,
    /// The general trust anchors.
    pub anchors: Arc<Anchors>,
    /// Anchors provisioned for this peer: then the general ones are not consulted (CERT-21, -22).
    pub pinned: Option<Arc<Anchors>>,
    /// What dialback showed.
    pub dialback: Option<dialback::Evidence>,
}

impl Evidence {
    /// Nothing but the anchors.
    pub fn none(anchors: Arc<Anchors>) -> Self {
        Self {
            tls: false,
            chain: None,
            target: None,
            anchors,
            pinned: None,
            dialback: None,
        }
    }
}

/// What one prooftype makes of the evidence.
pub(crate) enum Finding {
    /// It holds.
    Holds(Proof),
    /// It does not hold; others may be tried.
    Fails(Refusal),
    /// There is nothing of its kind to look at.
    Silent,
}

/// One prooftype.
type Examine = fn(&Claim, &Evidence, Timestamp) -> Finding;

/// The order of DNA-28. What DANE finds will settle the matter before PKIX is looked at; POSH comes behind PKIX.
const ORDER: &[(Prooftype, Examine)] = &[
    (Prooftype::Pkix, pkix::examine),
    (Prooftype::Dialback, dialback::examine),
];

/// Judges a claim.
///
/// The order is DNA-28's: delegation and DANE, PKIX with the names that the delegation allows, POSH, dialback. The first
/// that holds and that policy takes decides; whatever was refused on the way is kept.
pub fn judge(claim: &Claim, evidence: &Evidence, policy: &Policy, now: Timestamp) -> Verdict {
    let refused = |refusals, dialback| Verdict {
        proven: None,
        refusals,
        dialback,
    };
    if let Some(refusal) = policy.shuts_out(&claim.remote) {
        return refused(vec![refusal], false);
    }
    if policy.needs_tls() && !evidence.tls {
        let refusal = Refusal::new(
            None,
            "tls-required",
            Fault::Peer,
            format!("the stream with {} is not encrypted", claim.remote),
        );
        return refused(vec![refusal], false);
    }
    if let Some(Security::Bogus) = evidence.target.as_ref().map(|target| target.security) {
        // DANE-21: somebody lies about where the domain is served, or its zone is broken.
        let refusal = Refusal::new(
            None,
            "delegation-bogus",
            Fault::Dns,
            format!(
                "the DNS says where {} is served, but its signatures are wrong",
                claim.remote
            ),
        );
        return refused(vec![refusal], false);
    }
    let mut refusals = Vec::new();
    for (by, examine) in ORDER {
        match examine(claim, evidence, now) {
            Finding::Holds(proof) if policy.takes(*by) => {
                return Verdict {
                    proven: Some(Proven::new(claim, proof)),
                    refusals,
                    dialback: false,
                };
            }
            Finding::Holds(_) => refusals.push(Refusal::new(
                Some(*by),
                "proof-too-weak",
                Fault::Policy,
                format!(
                    "{} is verified by {} only, and this domain's policy is \"{}\"",
                    claim.remote,
                    by.name(),
                    policy.level.name()
                ),
            )),
            Finding::Fails(refusal) => refusals.push(refusal),
            Finding::Silent => {}
        }
    }
    // Where dialback has been tried already, trying again shows nothing new.
    refused(
        refusals,
        policy.takes_dialback() && evidence.dialback.is_none(),
    )
}

#[cfg(test)]
mod tests;
