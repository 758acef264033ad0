//! TLSA records: which are usable, and when one is matched (RFC 6698 2.1, 4.1; RFC 7671 5, 9).
//!
//! Refuses: guessing. A usage, selector or matching type that is not known, a digest of the wrong length and data that is
//! no certificate make a record unusable, which is as if it were not there (DANE-36).

use std::fmt;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256, Sha512};
use webpki::VerifiedPath;
use x509_parser::prelude::{FromDer, X509Certificate};
use xmpp::timestamp::Timestamp;

use crate::PresentedChain;
use crate::pkix::{self, Problem, References};

/// A TLSA record as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Certificate usage.
    pub usage: u8,
    /// Selector: 0 the certificate, 1 its public key.
    pub selector: u8,
    /// Matching type: 0 all of it, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// Association data.
    pub data: Vec<u8>,
}

/// Certificate usages (RFC 7218).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// PKIX-TA(0): an authority on a path that PKIX takes.
    PkixTa,
    /// PKIX-EE(1): a certificate that PKIX takes.
    PkixEe,
    /// DANE-TA(2): an authority, whether or not anybody else knows it.
    DaneTa,
    /// DANE-EE(3): a certificate.
    DaneEe,
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.usage, self.selector, self.matching)
    }
}

impl Record {
    /// DANE-EE, SHA-256 of the public key (3 1 1): what survives renewals that keep the key (DANE-05).
    pub fn of_key(spki_sha256: Vec<u8>) -> Self {
        Self {
            usage: 3,
            selector: 1,
            matching: 1,
            data: spki_sha256,
        }
    }

    /// As zone files spell it: `3 1 1 8a9a…` (RFC 6698 2.2, DANE-19).
    pub fn spelled(&self) -> String {
        let hex: String = self.data.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{self} {hex}")
    }

    /// Reads a zone file's spelling; white space within the data is allowed.
    pub fn read(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut octet = || words.next()?.parse::<u8>().ok();
        let (usage, selector, matching) = (octet()?, octet()?, octet()?);
        let hex: String = words.collect();
        if hex.is_empty() || !hex.len().is_multiple_of(2) {
            return None;
        }
        let data: Option<Vec<u8>> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(hex.get(2 * at..2 * at + 2)?, 16).ok())
            .collect();
        Some(Self {
            usage,
            selector,
            matching,
            data: data?,
        })
    }

    /// Its usage, if it is one that is known.
    pub fn usage(&self) -> Option<Usage> {
        Some(match self.usage {
            0 => Usage::PkixTa,
            1 => Usage::PkixEe,
            2 => Usage::DaneTa,
            3 => Usage::DaneEe,
            _ => return None,
        })
    }

    fn is_usable(&self, pkix_ta: bool) -> bool {
        let known = match self.usage() {
            Some(Usage::PkixTa) => pkix_ta,
            Some(_) => true,
            None => false,
        };
        let whole = match (self.selector, self.matching) {
            (0, 0) => X509Certificate::from_der(&self.data).is_ok_and(|(rest, _)| rest.is_empty()),
            (1, 0) => x509_parser::x509::SubjectPublicKeyInfo::from_der(&self.data)
                .is_ok_and(|(rest, _)| rest.is_empty()),
            (0 | 1, 1) => self.data.len() == 32,
            (0 | 1, 2) => self.data.len() == 64,
            _ => false,
        };
        known && whole
    }

    /// Whether it describes this certificate.
    pub(super) fn describes(&self, der: &[u8]) -> bool {
        if self.selector == 0 {
            return self.is(der);
        }
        X509Certificate::from_der(der)
            .is_ok_and(|(_, parsed)| self.is(parsed.tbs_certificate.subject_pki.raw))
    }

    fn is(&self, selected: &[u8]) -> bool {
        match self.matching {
            0 => selected == self.data,
            1 => Sha256::digest(selected)[..] == self.data[..],
            2 => Sha512::digest(selected)[..] == self.data[..],
            _ => false,
        }
    }

    /// Until when the chain holds by this record. `Err(Some)`: it describes what was shown, and the rest does not hold.
    pub(super) fn holds(
        &self,
        chain: &PresentedChain,
        evidence: &crate::Evidence,
        references: &References,
        now: Timestamp,
    ) -> Result<Timestamp, Option<Problem>> {
        let leaf = chain.leaf().unwrap_or_default();
        let revocation = evidence.revocation.as_ref();
        let (anchors, profile) = (evidence.anchors.list(), evidence.profile);
        match self.usage() {
            // RFC 7671 5.1: neither names nor dates nor issuers (DANE-31).
            Some(Usage::DaneEe) if self.describes(leaf) => Ok(Timestamp(i64::MAX)),
            Some(Usage::PkixEe) if self.describes(leaf) => {
                pkix::validate(chain, anchors, references, revocation, now, (profile, None))
                    .map(|matched| matched.until)
                    .map_err(Some)
            }
            Some(Usage::DaneTa) => {
                let authorities = self.authorities(chain);
                if authorities.is_empty() {
                    return Err(None);
                }
                let shown = || chain.certificates.iter().skip(1);
                let conditions = (profile, None);
                match pkix::validate(chain, &authorities, references, revocation, now, conditions) {
                    Ok(matched) => Ok(matched.until),
                    // A whole authority in the record, and the chain has nothing to do with it.
                    Err(Problem::UnknownIssuer) if !shown().any(|der| self.describes(der)) => {
                        Err(None)
                    }
                    Err(problem) => Err(Some(problem)),
                }
            }
            Some(Usage::PkixTa) => {
                let through = |path: &VerifiedPath<'_>| self.is_on(path, chain);
                let conditions: pkix::Conditions<'_> = (profile, Some(&through));
                match pkix::validate(chain, anchors, references, revocation, now, conditions) {
                    Ok(matched) => Ok(matched.until),
                    // The path that holds does not lead through it, or there is none: PKIX says which.
                    Err(Problem::UnknownIssuer) => Err(None),
                    Err(problem) => Err(Some(problem)),
                }
            }
            _ => Err(None),
        }
    }

    /// The anchors that a DANE-TA record stands for: those it describes among the certificates shown, and its own data where
    /// that is the whole certificate, which need not be shown (DANE-33).
    fn authorities(&self, chain: &PresentedChain) -> Vec<rustls_pki_types::TrustAnchor<'static>> {
        let shown = chain.certificates.iter().skip(1).map(Vec::as_slice);
        let own = (self.selector == 0 && self.matching == 0).then_some(self.data.as_slice());
        shown
            .filter(|der| self.describes(der))
            .chain(own)
            .filter_map(|der| {
                let der = CertificateDer::from(der);
                Some(webpki::anchor_from_trusted_cert(&der).ok()?.to_owned())
            })
            .collect()
    }

    /// Whether an authority on the path is the one described: an intermediate, or the anchor, of which its certificate must
    /// have been shown to be compared as a whole.
    fn is_on(&self, path: &VerifiedPath<'_>, chain: &PresentedChain) -> bool {
        if path
            .intermediate_certificates()
            .any(|certificate| self.describes(&certificate.der()))
        {
            return true;
        }
        let anchor = path.anchor();
        chain.certificates.iter().skip(1).any(|der| {
            let der_ref = CertificateDer::from(der.as_slice());
            webpki::anchor_from_trusted_cert(&der_ref).is_ok_and(|shown| {
                shown.subject == anchor.subject
                    && shown.subject_public_key_info == anchor.subject_public_key_info
            }) && self.describes(der)
        })
    }
}

/// The records that count: usable, and per usage and selector those with the strongest digest beside whole ones (RFC 7671 9,
/// DANE-39): whoever can forge the weaker digest must not choose it.
pub(super) fn usable(records: &[Record], pkix_ta: bool) -> Vec<&Record> {
    let usable: Vec<&Record> = records
        .iter()
        .filter(|record| record.is_usable(pkix_ta))
        .collect();
    usable
        .iter()
        .filter(|record| {
            record.matching == 0
                || !usable.iter().any(|other| {
                    (other.usage, other.selector) == (record.usage, record.selector)
                        && other.matching > record.matching
                })
        })
        .copied()
        .collect()
}
