//! Who may speak for a domain (RFC 7712): evidence in, verdict out.
//!
//! [`judge`] is a plain function of a [`Claim`], the [`Evidence`] gathered for it, the hosted domain's [`Policy`] and the
//! time. Gathering is somebody else's work, behind [`Lookup`] and [`Fetch`]. A prooftype is one room ([`dane`], [`pkix`], [`posh`], [`dialback`]), described
//! as RFC 7712 section 7 wants it: the proof, the matching rule, how the verification material is obtained, whether it
//! needs secure DNS. A new one is a new file, its evidence a new field, and one line in the order of [`judge`].
//!
//! Refuses: sockets, clocks, and any way to make [`Proven`] but by judging.

pub mod dane;
pub mod delegation;
pub mod dialback;
mod fetch;
mod lookup;
pub mod pkix;
mod policy;
pub mod posh;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

pub use self::delegation::{Delegation, Target};
pub use self::fetch::{Fetch, FetchError, Post, Reply, Url};
pub use self::lookup::{
    ALIASES, Answer, Lookup, Outcome, Record, RecordData, RecordType, Security, ServerAnswer,
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
    /// What is asked of certificates that lead to anchors.
    pub profile: pkix::Profile,
    /// Anchors provisioned for this peer: then the general ones are not consulted (CERT-21, -22).
    pub pinned: Option<Arc<Anchors>>,
    /// What the DNS says about the certificate; of a peer that called, only where that is taken as proof (DANE-45).
    pub tlsa: Option<dane::Evidence>,
    /// What the peer's website says about it. Gathered only where nothing else proves, see [`Verdict::is_open`].
    pub posh: Option<posh::Evidence>,
    /// Lists of revoked certificates. Gathered only for certificates that hold otherwise.
    pub revocation: Option<pkix::revocation::Evidence>,
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
            profile: pkix::Profile::default(),
            pinned: None,
            tlsa: None,
            posh: None,
            revocation: None,
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
    /// It does not hold, and nothing that comes later may hold in its stead (DANE-35).
    Settles(Refusal),
    /// There is nothing of its kind to look at.
    Silent,
}

/// However short-lived the evidence: a stream that it proved is not judged again sooner.
pub const RECHECK: Duration = Duration::from_secs(600);

/// One prooftype.
type Examine = fn(&Claim, &Evidence, Timestamp) -> Finding;

/// The order of DNA-28: what DANE finds on a stream that we opened settles the matter before PKIX is looked at; POSH comes
/// behind PKIX.
const ORDER: &[(Prooftype, Examine)] = &[
    (Prooftype::Dane, dane::examine),
    (Prooftype::Pkix, pkix::examine),
    (Prooftype::Posh, posh::examine),
    (Prooftype::Dialback, dialback::examine),
];

/// For a peer with anchors of its own: whoever provisioned them has said how it is to be known. The public roots, the
/// websites that they vouch for, the DNS and whoever answers a call have no say against that (CERT-22).
const PINNED: &[(Prooftype, Examine)] = &[(Prooftype::Pkix, pkix::examine)];

/// Judges a claim.
///
/// The order is DNA-28's: delegation and DANE, PKIX with the names that the delegation allows, POSH, dialback. The first
/// that holds and that policy takes decides; whatever was refused on the way is kept.
pub fn judge(claim: &Claim, evidence: &Evidence, policy: &Policy, now: Timestamp) -> Verdict {
    if let Some(refusal) = before_all(claim, evidence, policy) {
        return Verdict::shut(vec![refusal]);
    }
    let order = match evidence.pinned {
        Some(_) => PINNED,
        None => ORDER,
    };
    let mut refusals = Vec::new();
    for (by, examine) in order {
        match examine(claim, evidence, now) {
            Finding::Holds(proof) if policy.takes(*by) => {
                return Verdict::proved(Proven::new(claim, proof), refusals);
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
            Finding::Settles(refusal) => {
                refusals.push(refusal);
                return Verdict::shut(refusals);
            }
            Finding::Silent => {}
        }
    }
    if evidence.pinned.is_some() {
        return Verdict::shut(refusals);
    }
    // Where dialback has been tried already, trying again shows nothing new.
    let dialback = policy.takes_dialback() && evidence.dialback.is_none();
    Verdict::open(refusals, dialback)
}

/// What rules a claim out whatever is shown: the lists, a stream without TLS, a delegation that somebody tampered with.
fn before_all(claim: &Claim, evidence: &Evidence, policy: &Policy) -> Option<Refusal> {
    if let Some(refusal) = policy.shuts_out(&claim.remote) {
        return Some(refusal);
    }
    if policy.needs_tls() && !evidence.tls {
        return Some(Refusal::new(
            None,
            "tls-required",
            Fault::Peer,
            format!("the stream with {} is not encrypted", claim.remote),
        ));
    }
    let security = evidence.target.as_ref().map(|target| target.security);
    if claim.role == Role::Initiator && security == Some(Security::Bogus) {
        // DANE-21: somebody lies about where the domain is served, or its zone is broken.
        return Some(Refusal::new(
            None,
            "delegation-bogus",
            Fault::Dns,
            format!(
                "the DNS says where {} is served, but its signatures are wrong",
                claim.remote
            ),
        ));
    }
    None
}

#[cfg(test)]
mod tests;
