//! The outcome of judging: proof, or every reason why not.
//!
//! Trust is a value that only the judge can make: [`Proven`] has one constructor, private to this crate. A verdict keeps
//! the refusals too, also beside a proof: they are the diagnosis that the domain's owner reads.

use std::fmt;

use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::Claim;

/// Ways to show who may speak for a domain (RFC 7712 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prooftype {
    /// A certificate that a record of the signed DNS describes.
    Dane,
    /// A certificate from a trusted authority that names the domain.
    Pkix,
    /// A certificate that the domain's own website describes.
    Posh,
    /// Server dialback: weak verification, as good as the network and the DNS were at that moment; not a prooftype in the
    /// sense of RFC 7712 (DNA-21).
    Dialback,
}

impl Prooftype {
    /// For logs, JSON and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dane => "dane",
            Self::Pkix => "pkix",
            Self::Posh => "posh",
            Self::Dialback => "dialback",
        }
    }

    /// Whether an attacker between both servers could have made it.
    pub fn is_weak(self) -> bool {
        self == Self::Dialback
    }
}

/// Whose side has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The peer's certificate, server or configuration.
    Peer,
    /// Ours: the platform's or the hosted domain's certificate or records.
    Ours,
    /// The DNS of the peer, or the way to it.
    Dns,
    /// The network between.
    Network,
    /// Nobody's: the hosted domain's policy says so.
    Policy,
}

impl Fault {
    /// For logs, JSON and pages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Ours => "ours",
            Self::Dns => "dns",
            Self::Network => "network",
            Self::Policy => "policy",
        }
    }
}

/// One reason why something proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which prooftype refused; `None` when policy did before any was tried.
    pub by: Option<Prooftype>,
    /// Stable code, documented where it is made.
    pub code: &'static str,
    /// Readable, with the names and values at hand.
    pub text: String,
    /// Whose side.
    pub fault: Fault,
    /// There was only nothing of its kind; what matters is said by another.
    pub minor: bool,
}

impl Refusal {
    /// One reason.
    pub fn new(
        by: Option<Prooftype>,
        code: &'static str,
        fault: Fault,
        text: impl Into<String>,
    ) -> Self {
        Self {
            by,
            code,
            text: text.into(),
            fault,
            minor: false,
        }
    }

    /// The same, as a remark beside what matters.
    pub(crate) fn into_remark(self) -> Self {
        Self {
            minor: true,
            ..self
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a prooftype found: the part of a proof that the pair does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) by: Prooftype,
    /// What matched (CERT-26, DNA-20).
    pub(crate) identifier: String,
    /// Whether DNSSEC contributed (DNA-20).
    pub(crate) dnssec: bool,
    pub(crate) until: Timestamp,
    /// It rests on a certificate that its issuer may take back.
    pub(crate) revocable: bool,
    /// The certificates that lead to one of the claim's own anchors, as places in what was shown, where that is the proof.
    pub(crate) path: Option<Vec<usize>>,
}

/// A pair of domains that has been proven, for one direction of trust: the remote server speaks for `remote`, in what it
/// says to `local`. Only [`crate::judge`] makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proven {
    local: DomainName,
    remote: DomainName,
    proof: Proof,
}

impl Proven {
    /// The one constructor.
    pub(crate) fn new(claim: &Claim, proof: Proof) -> Self {
        Self {
            local: claim.local.clone(),
            remote: claim.remote.clone(),
            proof,
        }
    }

    /// The hosted domain.
    pub fn local(&self) -> &DomainName {
        &self.local
    }

    /// The peer.
    pub fn remote(&self) -> &DomainName {
        &self.remote
    }

    /// How.
    pub fn by(&self) -> Prooftype {
        self.proof.by
    }

    /// What matched, e.g. `DNS-ID *.example.com`.
    pub fn identifier(&self) -> &str {
        &self.proof.identifier
    }

    /// Whether DNSSEC contributed.
    pub fn dnssec(&self) -> bool {
        self.proof.dnssec
    }

    /// When to judge again: whoever relies on it longer closes with `reset` (CERT-23).
    pub fn until(&self) -> Timestamp {
        self.proof.until
    }

    /// Whether it rests on a certificate that its issuer may take back: then lists of revoked ones are worth gathering.
    pub fn may_be_revoked(&self) -> bool {
        self.proof.revocable
    }

    /// The certificates that were found to lead to one of the anchors of the claim (the pinned ones, else the general), as
    /// places in the chain, leaf first. `None`: it was proved in another way.
    pub fn path(&self) -> Option<&[usize]> {
        self.proof.path.as_deref()
    }

    /// Whether it is for this pair, in both names.
    pub fn covers(&self, local: &DomainName, remote: &DomainName) -> bool {
        self.local == *local && self.remote == *remote
    }
}

/// The judged result.
#[derive(Clone, Debug)]
#[must_use]
pub struct Verdict {
    pub(crate) proven: Option<Proven>,
    pub(crate) refusals: Vec<Refusal>,
    pub(crate) dialback: bool,
    pub(crate) open: bool,
}

impl Verdict {
    pub(crate) fn proved(proven: Proven, refusals: Vec<Refusal>) -> Self {
        Self {
            proven: Some(proven),
            refusals,
            dialback: false,
            open: false,
        }
    }

    /// Nothing holds, and nothing further may.
    pub(crate) fn shut(refusals: Vec<Refusal>) -> Self {
        Self {
            proven: None,
            refusals,
            dialback: false,
            open: false,
        }
    }

    /// Nothing holds so far.
    pub(crate) fn open(refusals: Vec<Refusal>, dialback: bool) -> Self {
        Self {
            proven: None,
            refusals,
            dialback,
            open: true,
        }
    }

    /// Nothing holds yet and nothing settled the matter: more evidence may still prove it.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// The proof, if one holds.
    pub fn proven(&self) -> Option<&Proven> {
        self.proven.as_ref()
    }

    /// The proof, if one holds.
    pub fn into_proven(self) -> Option<Proven> {
        self.proven
    }

    /// Everything that did not hold, in the order tried.
    pub fn refusals(&self) -> &[Refusal] {
        &self.refusals
    }

    /// The refusal that decides: the last that is more than a remark.
    pub fn reason(&self) -> Option<&Refusal> {
        let mut last_first = self.refusals.iter().rev();
        last_first
            .find(|refusal| !refusal.minor)
            .or(self.refusals.last())
    }

    /// Nothing holds yet, and dialback may be tried: policy lets it, and nothing settled the matter.
    pub fn may_dial_back(&self) -> bool {
        self.proven.is_none() && self.dialback
    }

    /// One line for logs: the proof, or the refusal that decides.
    pub fn summary(&self) -> String {
        match (&self.proven, self.reason()) {
            (Some(proven), _) => format!("{} ({})", proven.by().name(), proven.identifier()),
            (None, Some(refusal)) => refusal.text.clone(),
            (None, None) => "no evidence".to_owned(),
        }
    }
}
