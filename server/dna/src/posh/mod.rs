//! PKIX over Secure HTTP (POSH: RFC 7711, RFC 7712 5.2).
//!
//! The proof: the certificate shown, whose fingerprint the domain's own website publishes. The matching rule: the digest of
//! the whole end-entity certificate, by the strongest hash function of a descriptor. That stands in for the name and for the
//! path to a known authority; dates, usage and revocation count as ever (POSH-32, POSH-33). The material is fetched over
//! HTTPS from the domain claimed, whose web certificate is checked. Secure DNS is not needed.
//!
//! No material is as if POSH had not been tried (DNA-25). Material that describes other certificates is the owner's word
//! against the one shown: nothing weaker may follow it (POSH-31). Refuses: a say for peers that have anchors of their own,
//! since the web's certificates come from the general ones (CERT-22), and material that is stale.

mod document;
mod gather;
#[cfg(test)]
mod tests;

use std::time::Duration;

use xmpp::timestamp::Timestamp;

pub use self::document::{Descriptor, Document, Hash, fingerprints, reference};
pub use self::gather::{DOCUMENT_BYTES, Published, look_up, published, well_known};

use crate::fetch::FetchError;
use crate::pkix;
use crate::verdict::{Fault, Proof, Prooftype, Refusal};
use crate::{Claim, Finding};

/// Longest that material is believed, whatever it says (POSH-34).
pub const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// What a domain's website says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What there is.
    pub material: Material,
    /// Address it came from in the end, or at which the search ended.
    pub source: String,
    /// When to look again; stale material proves nothing (POSH-35).
    pub until: Timestamp,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    /// Certificates.
    Fingerprints(Vec<Descriptor>),
    /// Nothing usable.
    Nothing(Nothing),
}

/// Why there is no usable material.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Nothing {
    /// HTTP 404: it does not use POSH (POSH-04).
    #[error("there is no POSH document")]
    NotPublished,
    /// Another status.
    #[error("the web server answers with status {0}")]
    Status(u16),
    /// Could not be fetched.
    #[error("{0}")]
    Fetch(FetchError),
    /// A redirect or reference that does not lead to HTTPS (POSH-25).
    #[error("it leads to {0}, which is not an HTTPS address")]
    NotHttps(String),
    /// POSH-28
    #[error("it redirects too often")]
    TooManyRedirects,
    /// POSH-19
    #[error("the document behind \"url\" refers to yet another one")]
    SecondReference,
    /// POSH-16, POSH-45
    #[error("the document {0}")]
    Malformed(&'static str),
}

impl Nothing {
    /// Stable code of the refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotPublished => "posh-not-published",
            Self::Status(_) => "posh-http-status",
            Self::Fetch(FetchError::NoAddress { .. }) => "posh-no-address",
            Self::Fetch(FetchError::Private { .. }) => "posh-address-private",
            Self::Fetch(FetchError::Unreachable { .. }) => "posh-unreachable",
            Self::Fetch(FetchError::Certificate { .. }) => "posh-https-certificate",
            Self::Fetch(FetchError::Protocol { .. }) => "posh-https-broken",
            Self::Fetch(FetchError::TooLarge { .. }) => "posh-too-large",
            Self::Fetch(FetchError::TimedOut { .. }) => "posh-timeout",
            Self::Fetch(FetchError::Busy) => "posh-busy",
            Self::NotHttps(_) => "posh-not-https",
            Self::TooManyRedirects => "posh-redirects",
            Self::SecondReference => "posh-second-reference",
            Self::Malformed(_) => "posh-malformed",
        }
    }

    fn fault(&self) -> Fault {
        match self {
            Self::Fetch(FetchError::NoAddress { .. } | FetchError::Private { .. }) => Fault::Dns,
            Self::Fetch(FetchError::Unreachable { .. } | FetchError::TimedOut { .. }) => {
                Fault::Network
            }
            Self::Fetch(FetchError::Busy) => Fault::Ours,
            _ => Fault::Peer,
        }
    }
}

pub(crate) fn examine(claim: &Claim, evidence: &crate::Evidence, now: Timestamp) -> Finding {
    let (Some(posh), Some(chain)) = (&evidence.posh, &evidence.chain) else {
        return Finding::Silent;
    };
    let (remote, source) = (&claim.remote, &posh.source);
    let list = match &posh.material {
        Material::Nothing(nothing) => {
            let text = format!("POSH says nothing about {remote}: {nothing} ({source})");
            let refusal = refusal(nothing.code(), nothing.fault(), text);
            return Finding::Fails(refusal.into_remark());
        }
        Material::Fingerprints(_) if now > posh.until => {
            return Finding::Fails(refusal(
                "posh-stale",
                Fault::Ours,
                format!("the POSH document of {remote} is out of date and must be fetched anew"),
            ));
        }
        Material::Fingerprints(list) => list,
    };
    let leaf = chain.leaf().unwrap_or_default();
    let Some(descriptor) = list.iter().find(|descriptor| descriptor.describes(leaf)) else {
        return Finding::Settles(refusal(
            "posh-mismatch",
            Fault::Peer,
            format!(
                "the certificate shown for {remote} is none of the {} described at {source}",
                list.len()
            ),
        ));
    };
    match pkix::check_alone(chain, evidence.revocation.as_ref(), now) {
        Ok(end) => Finding::Holds(Proof {
            by: Prooftype::Posh,
            identifier: format!("{} fingerprint at {source}", descriptor.hash.name()),
            dnssec: false,
            until: end.min(posh.until.max(now.after(crate::RECHECK))),
            revocable: true,
            path: None,
        }),
        Err(problem) => {
            let (code, why) = problem.say(false);
            Finding::Settles(refusal(
                code,
                Fault::Peer,
                format!("the certificate of {remote} is described at {source}, but {why}"),
            ))
        }
    }
}

fn refusal(code: &'static str, fault: Fault, text: String) -> Refusal {
    Refusal::new(Some(Prooftype::Posh), code, fault, text)
}
