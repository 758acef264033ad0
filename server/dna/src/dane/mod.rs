//! DANE with SRV records (RFC 7673, RFC 6698, RFC 7671).
//!
//! The proof: the certificate shown, which a TLSA record at the host and port of the delegation describes. The matching
//! rule is the record's usage: 3 is that very certificate or key, and its names and dates do not matter; 2 is a path to
//! the authority described, with names; 1 is what PKIX asks for, and that certificate. The material is a TLSA answer that is
//! as secure as the SRV answer that led there. Secure DNS is needed throughout: whatever is less than secure proves nothing,
//! what is wrongly signed or cannot be told stops the attempt (DANE-21, -24, -26).
//!
//! On streams that we open, a usable record settles the matter: where none matches, no public certificate and no dialback
//! helps (DANE-35). The RFCs define nothing for the side that is called. There a match is taken as proof too, as a labelled
//! extension that can be switched off where it is gathered (DANE-45), and no match says nothing: a server may call with
//! another certificate than it is called at. Refuses: usage 0 unless it is asked for (C-04), and a say for peers that have
//! anchors of their own.

mod gather;
mod records;
#[cfg(test)]
pub(crate) mod tests;

use xmpp::timestamp::Timestamp;

pub use self::gather::{Endpoint, associations, endpoint, owner};
pub use self::records::{Record, Usage};

use self::records::usable;
use crate::pkix::{self, References};
use crate::verdict::{Fault, Proof, Prooftype, Refusal};
use crate::{Claim, Finding, PresentedChain, Role};

/// What the DNS says about the certificates at one host and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tlsa {
    /// It was not asked: the delegation or the host's addresses are not secure (DANE-22, -24).
    Off,
    /// It has no records, or only such as are not secure (DANE-27).
    Absent,
    /// Secure records, as they are.
    Secure(Vec<Record>),
    /// Wrongly signed: the host is not to be connected to (DANE-26).
    Bogus,
    /// It could not be told; why. The host is not to be connected to (DANE-26).
    Unknown(String),
}

impl Tlsa {
    /// For logs, JSON and pages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Absent => "absent",
            Self::Secure(_) => "secure",
            Self::Bogus => "bogus",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// The TLSA records of one target of the delegation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Association {
    /// Where the records are, like `_5269._tcp.xmpp.host.example` (DANE-01).
    pub owner: String,
    /// Host in that name: the target's, or where its alias ends (DANE-43).
    pub host: String,
    /// What is there.
    pub tlsa: Tlsa,
    /// When to ask again.
    pub until: Timestamp,
}

impl Association {
    /// Why its target is not to be connected to; the next may be (DANE-26).
    pub fn bars(&self) -> Option<Refusal> {
        match &self.tlsa {
            Tlsa::Bogus => Some(refusal(
                "tlsa-bogus",
                Fault::Dns,
                format!("the TLSA records at {} are wrongly signed", self.owner),
            )),
            Tlsa::Unknown(why) => Some(refusal(
                "tlsa-unknown",
                Fault::Dns,
                format!(
                    "whether there are TLSA records at {} could not be told: {why}",
                    self.owner
                ),
            )),
            Tlsa::Off | Tlsa::Absent | Tlsa::Secure(_) => None,
        }
    }
}

/// What DANE has to say about a claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// On a stream that we opened, the one of the target it leads to; on others one per target of the peer's delegation.
    pub associations: Vec<Association>,
    /// Whether usage 0 counts (DANE-34, DANE-38).
    pub pkix_ta: bool,
}

/// How a chain does by one association.
enum Fit {
    Matches(Proof),
    /// No usable record: the association says nothing (DANE-28).
    Nothing,
    /// Usable records, and none holds.
    Mismatch(Refusal),
}

pub(crate) fn examine(claim: &Claim, evidence: &crate::Evidence, now: Timestamp) -> Finding {
    let Some(dane) = &evidence.tlsa else {
        return Finding::Silent;
    };
    let outbound = claim.role == Role::Initiator;
    let mut mismatch = None;
    for association in &dane.associations {
        // Where we are called, nothing depends on what could not be told.
        if outbound && let Some(refusal) = association.bars() {
            return Finding::Settles(refusal);
        }
        let Tlsa::Secure(records) = &association.tlsa else {
            continue;
        };
        if outbound && !evidence.tls {
            // DANE-25, DANE-28
            return Finding::Settles(refusal(
                "tls-required",
                Fault::Peer,
                format!(
                    "{} has TLSA records, and the stream is not encrypted",
                    association.owner
                ),
            ));
        }
        match fit(claim, evidence, dane, association, records, now) {
            Fit::Matches(proof) => return Finding::Holds(proof),
            Fit::Nothing => {}
            Fit::Mismatch(refusal) => mismatch = mismatch.or(Some(refusal)),
        }
    }
    match mismatch {
        Some(refusal) if outbound => Finding::Settles(refusal),
        Some(refusal) => Finding::Fails(refusal),
        None => Finding::Silent,
    }
}

fn fit(
    claim: &Claim,
    evidence: &crate::Evidence,
    dane: &Evidence,
    association: &Association,
    records: &[Record],
    now: Timestamp,
) -> Fit {
    let usable = usable(records, dane.pkix_ta);
    if usable.is_empty() {
        return Fit::Nothing;
    }
    let owner = &association.owner;
    let Some(chain) = &evidence.chain else {
        return Fit::Mismatch(refusal(
            "tlsa-no-certificate",
            Fault::Peer,
            format!(
                "{} showed no certificate, and the TLSA records at {owner} describe one",
                claim.remote
            ),
        ));
    };
    let references = References::new(claim, evidence).and_host(&association.host);
    let extension = match claim.role {
        Role::Initiator => "",
        Role::Receiver => ", taken for a client's certificate",
    };
    let mut closest = None;
    for record in &usable {
        match record.holds(chain, evidence, &references, now) {
            Ok(until) => {
                return Fit::Matches(Proof {
                    by: Prooftype::Dane,
                    identifier: format!("TLSA {record} at {owner}{extension}"),
                    dnssec: true,
                    until: until.min(association.until.max(now.after(crate::RECHECK))),
                    revocable: record.usage() != Some(Usage::DaneEe),
                    path: None,
                });
            }
            Err(Some(problem)) => {
                closest.get_or_insert((record, problem));
            }
            Err(None) => {}
        }
    }
    Fit::Mismatch(match closest {
        Some((record, problem)) => {
            let (code, why) = problem.say(evidence.pinned.is_some());
            refusal(
                code,
                Fault::Peer,
                format!(
                    "TLSA {record} at {owner} matches, but the certificate of {} {why}",
                    claim.remote
                ),
            )
        }
        None => refusal(
            "tlsa-mismatch",
            Fault::Peer,
            mismatch(owner, &usable, chain),
        ),
    })
}

/// Says what would match, as that is what has to be published.
fn mismatch(owner: &str, usable: &[&Record], chain: &PresentedChain) -> String {
    let shown = chain
        .leaf()
        .and_then(pkix::describe)
        .map(|leaf| format!("; what was shown is 3 1 1 {}", hex(&leaf.spki_sha256)))
        .unwrap_or_default();
    match usable.len() {
        1 => {
            format!("the usable TLSA record at {owner} does not match the certificate shown{shown}")
        }
        many => format!(
            "none of the {many} usable TLSA records at {owner} matches the certificate shown{shown}"
        ),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn refusal(code: &'static str, fault: Fault, text: String) -> Refusal {
    Refusal::new(Some(Prooftype::Dane), code, fault, text)
}
