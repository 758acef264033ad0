//! A certificate for people's eyes, and the few facts that other rooms need of one.

use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use x509_parser::time::ASN1Time;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use super::names::{self, Identifier, identifiers};
use crate::Service;

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Names that count for XMPP.
    pub names: Vec<Identifier>,
    /// Issuer, as people read it.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// Valid from.
    pub not_before: Timestamp,
    /// Valid until.
    pub not_after: Timestamp,
    /// Like `RSA 2048`, `EC P-256`.
    pub key: String,
    /// SHA-256 of the certificate: what POSH publishes.
    pub sha256: [u8; 32],
    /// SHA-256 of its SubjectPublicKeyInfo: what TLSA `3 1 1` publishes.
    pub spki_sha256: [u8; 32],
}

/// Describes a certificate; `None` when it cannot be read.
pub fn describe(der: &[u8]) -> Option<Description> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let spki = parsed.public_key();
    let key = match spki.parsed() {
        Ok(PublicKey::RSA(rsa)) => format!("RSA {}", rsa.key_size()),
        Ok(PublicKey::EC(_)) => {
            let curve = spki
                .algorithm
                .parameters
                .as_ref()
                .and_then(|curve| curve.as_oid().ok())
                .map(|oid| oid.to_id_string());
            match curve.as_deref() {
                Some("1.2.840.10045.3.1.7") => "EC P-256".to_owned(),
                Some("1.3.132.0.34") => "EC P-384".to_owned(),
                Some("1.3.132.0.35") => "EC P-521".to_owned(),
                Some(other) => format!("EC {other}"),
                None => "EC".to_owned(),
            }
        }
        _ if spki.algorithm.algorithm.to_id_string() == "1.3.101.112" => "Ed25519".to_owned(),
        _ => spki.algorithm.algorithm.to_id_string(),
    };
    Some(Description {
        names: identifiers(&parsed),
        issuer: parsed.issuer().to_string(),
        serial: parsed.raw_serial_as_string(),
        not_before: time(&parsed.validity().not_before),
        not_after: time(&parsed.validity().not_after),
        key,
        sha256: Sha256::digest(der).into(),
        spki_sha256: Sha256::digest(spki.raw).into(),
    })
}

/// Whom a certificate names. Says nothing about its issuer or dates.
#[derive(Clone, Debug, Default)]
pub struct Names(Vec<Identifier>);

impl Names {
    /// Of a certificate; none where it cannot be read.
    pub fn of(der: &[u8]) -> Self {
        let parsed = X509Certificate::from_der(der);
        Self(parsed.map_or_else(|_| Vec::new(), |(_, parsed)| identifiers(&parsed)))
    }

    /// Whether a domain is among them for a service, by the rules peers apply.
    pub fn cover(&self, domain: &DomainName, service: Service) -> bool {
        names::find(&self.0, &domain.to_ascii(), service).is_some()
    }
}

/// Whether a certificate names a domain for a service.
pub fn covers(der: &[u8], domain: &DomainName, service: Service) -> bool {
    Names::of(der).cover(domain, service)
}

/// The hash of `tls-server-end-point` (RFC 5929 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndPointHash {
    /// Also in place of MD5 and SHA-1.
    Sha256,
    /// As the certificate's signature.
    Sha384,
    /// As the certificate's signature.
    Sha512,
}

/// Which hash `tls-server-end-point` uses for a certificate; `None` where it is undefined, as for Ed25519.
pub fn end_point_hash(der: &[u8]) -> Option<EndPointHash> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let oid = match SignatureAlgorithm::try_from(algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(pss)) => pss.hash_algorithm_oid().to_id_string(),
        _ => algorithm.algorithm.to_id_string(),
    };
    match oid.as_str() {
        // With RSA and with ECDSA, and the hash itself (of RSASSA-PSS); MD5 and SHA-1 first.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10045.4.1"
        | "1.3.14.3.2.26"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.3.2"
        | "2.16.840.1.101.3.4.2.1" => Some(EndPointHash::Sha256),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => {
            Some(EndPointHash::Sha384)
        }
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => {
            Some(EndPointHash::Sha512)
        }
        _ => None,
    }
}

pub(super) fn time(time: &ASN1Time) -> Timestamp {
    Timestamp(time.timestamp().saturating_mul(1_000_000))
}
