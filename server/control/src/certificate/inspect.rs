//! Reading a chain, and checking chain and key before they are used.

use data_encoding::HEXLOWER;
use rcgen::PublicKeyData as _;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::signature_algorithm::SignatureAlgorithm;
use xmpp::jid::DomainName;
use xmpp::timestamp::Timestamp;

use crate::error::{ControlError, Result};
use crate::findings::{CertificateFacts, covers};
use crate::secret::Secret;
use crate::time::SECOND;

/// A chain and its key, found to fit.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// What the checks need.
    pub facts: CertificateFacts,
    /// The chain, DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    /// The chain as PEM, without whatever else was in the file.
    pub chain_pem: String,
    /// The key, PKCS#8 PEM.
    pub key_pem: Secret,
    /// Who issued the leaf, for people.
    pub issuer: String,
    /// SHA-256 of the leaf, hex with colons.
    pub fingerprint: String,
    /// SHA-256 of the leaf's public key, hex: same key, same value.
    pub key_fingerprint: String,
}

/// The certificates of a PEM text, DER, in order; `None` if one of them is not PEM.
pub(crate) fn der_of(pem: &str) -> Option<Vec<Vec<u8>>> {
    CertificateDer::pem_slice_iter(pem.as_bytes())
        .map(|der| der.map(|der| der.to_vec()).ok())
        .collect()
}

/// Reads a certificate's facts without its key; `None` if the PEM holds no readable certificate.
pub fn read(chain_pem: &str, domain: &DomainName) -> Option<Inspected> {
    let chain = der_of(chain_pem)?;
    let leaf = chain.first()?;
    let (_, parsed) = X509Certificate::from_der(leaf).ok()?;
    let names: Vec<String> = parsed
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|extension| &extension.value.general_names)
        .into_iter()
        .flatten()
        .filter_map(|name| {
            if let GeneralName::DNSName(name) = name {
                Some(name.to_ascii_lowercase())
            } else {
                None
            }
        })
        .collect();
    let ascii = domain.to_ascii();
    let time =
        |time: &x509_parser::time::ASN1Time| Timestamp(time.timestamp().saturating_mul(SECOND));
    let issuer = parsed.issuer();
    let attribute = issuer
        .iter_organization()
        .chain(issuer.iter_common_name())
        .find_map(|value| value.as_str().ok());
    Some(Inspected {
        facts: CertificateFacts {
            covers_domain: names.iter().any(|name| covers(name, &ascii)),
            names,
            not_before: time(&parsed.validity().not_before),
            not_after: time(&parsed.validity().not_after),
        },
        issuer: attribute.map_or_else(|| issuer.to_string(), str::to_owned),
        fingerprint: hex_colons(&Sha256::digest(leaf)),
        key_fingerprint: HEXLOWER.encode(&Sha256::digest(parsed.public_key().raw)),
        chain_pem: chain.iter().map(|der| pem("CERTIFICATE", der)).collect(),
        key_pem: Secret::default(),
        chain,
    })
}

/// Checks a chain and key before they are used: they parse, the key is the leaf's, the leaf is for a server and holds the
/// domain's name, it is valid now, and every certificate is issued by the next. Says which of these is not so.
pub fn inspect(
    chain_pem: &str,
    key_pem: &Secret,
    domain: &DomainName,
    now: Timestamp,
) -> Result<Inspected> {
    let chain_error =
        |problem: String, remedy: &str| ControlError::invalid("chain_pem", "", problem, remedy);
    let key_error =
        |problem: &str, remedy: &str| ControlError::invalid("key_pem", "", problem, remedy);
    if chain_pem.len() > PEM_BYTES || key_pem.expose().len() > PEM_BYTES {
        return Err(chain_error(
            format!("larger than {PEM_BYTES} bytes"),
            "Paste the certificate and its intermediates only.",
        ));
    }
    if chain_pem.contains("PRIVATE KEY") {
        return Err(chain_error(
            "holds a private key".into(),
            "Paste the key into the other field only.",
        ));
    }
    let mut inspected = read(chain_pem, domain).ok_or_else(|| {
        chain_error("holds no certificate that can be read".into(), "Paste the file that begins with -----BEGIN CERTIFICATE-----, the domain's own certificate first.")
    })?;
    if inspected.chain.len() > CHAIN_LENGTH {
        return Err(chain_error(
            format!("holds {} certificates", inspected.chain.len()),
            "Paste the domain's certificate and its intermediates only.",
        ));
    }
    if key_pem.expose().contains("ENCRYPTED") {
        return Err(key_error(
            "the key is protected by a passphrase",
            "Decrypt it first: openssl pkey -in key.pem -out plain.pem",
        ));
    }
    let key = PrivateKeyDer::from_pem_slice(key_pem.expose().as_bytes()).map_err(|_| {
        key_error(
            "holds no private key that can be read",
            "Paste the file that begins with -----BEGIN PRIVATE KEY-----.",
        )
    })?;
    let pair = rcgen::KeyPair::try_from(&key).map_err(|_| {
        key_error(
            "the key is of a kind that cannot be used here",
            "Use an RSA key of at least 2048 bits, an ECDSA P-256 or P-384 key, or an Ed25519 key.",
        )
    })?;
    let mut issued_by: Option<(String, usize)> = None;
    for (index, der) in inspected.chain.iter().enumerate() {
        let Ok((_, parsed)) = X509Certificate::from_der(der) else {
            return Err(chain_error(
                format!("certificate {} cannot be read", index + 1),
                "Paste the files as your certificate authority gave them.",
            ));
        };
        if let Some(weakness) = weakness(&parsed, index) {
            return Err(chain_error(
                format!("certificate {} {weakness}", index + 1),
                "Request a new one, with SHA-256 and an RSA key of at least 2048 bits or an ECDSA key.",
            ));
        }
        if let Some((issuer, below)) = &issued_by
            && parsed.subject().to_string() != *issuer
        {
            return Err(chain_error(
                format!(
                    "certificate {} is not the issuer of certificate {below}: it is \"{}\", wanted is \"{issuer}\"",
                    index + 1,
                    parsed.subject()
                ),
                "Put the domain's certificate first, then each one's issuer.",
            ));
        }
        if parsed.validity().not_after.timestamp() <= now.seconds() {
            return Err(chain_error(
                format!(
                    "certificate {} (\"{}\") expired at {}",
                    index + 1,
                    parsed.subject(),
                    Timestamp(parsed.validity().not_after.timestamp() * SECOND).to_xep0082()
                ),
                "Paste the renewed one.",
            ));
        }
        if index == 0 {
            if parsed.public_key().raw != pair.subject_public_key_info() {
                return Err(key_error(
                    "the key does not belong to the first certificate",
                    "Paste the key that the certificate was requested with; the domain's own certificate comes first.",
                ));
            }
            if parsed
                .basic_constraints()
                .ok()
                .flatten()
                .is_some_and(|constraints| constraints.value.ca)
            {
                return Err(chain_error(
                    "the first certificate is a certificate authority's".into(),
                    "Put the domain's own certificate first.",
                ));
            }
            // C-08: limited to clientAuth, it proves nothing to whoever connects.
            if let Ok(Some(usage)) = parsed.extended_key_usage()
                && !usage.value.server_auth
                && !usage.value.any
            {
                return Err(chain_error(
                    "the certificate is not for servers (serverAuth)".into(),
                    "Request one for a server.",
                ));
            }
        }
        issued_by = Some((parsed.issuer().to_string(), index + 1));
    }
    if !inspected.facts.covers_domain {
        let names = inspected.facts.names.join(", ");
        return Err(chain_error(
            format!(
                "the certificate is for {}, not for {domain}",
                if names.is_empty() {
                    "no host name at all".into()
                } else {
                    names
                }
            ),
            "Request one that holds the domain itself; *.example.com does not hold example.com (ACME-02), and a common name does not count.",
        ));
    }
    if inspected.facts.not_before > now {
        return Err(chain_error(
            format!(
                "the certificate is valid only from {}",
                inspected.facts.not_before.to_xep0082()
            ),
            "Come back then, or check the clocks.",
        ));
    }
    inspected.key_pem = pair.serialize_pem().into();
    Ok(inspected)
}

/// What makes a certificate of the chain worthless to others (TLS-21). The signature of a root counts for nothing: it is
/// trusted or it is not.
fn weakness(certificate: &X509Certificate<'_>, index: usize) -> Option<String> {
    let root = index > 0 && certificate.issuer() == certificate.subject();
    let algorithm = &certificate.signature_algorithm;
    let hash = match SignatureAlgorithm::try_from(algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(pss)) => pss.hash_algorithm_oid().to_id_string(),
        _ => algorithm.algorithm.to_id_string(),
    };
    match hash.as_str() {
        "1.2.840.113549.1.1.4" if !root => return Some("is signed with MD5".into()),
        // With RSA, with ECDSA, and the hash itself (of RSASSA-PSS).
        "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" | "1.3.14.3.2.26" if !root => {
            return Some("is signed with SHA-1".into());
        }
        _ => {}
    }
    match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) if key.key_size() < RSA_BITS => {
            Some(format!("has an RSA key of {} bits only", key.key_size()))
        }
        _ => None,
    }
}

/// Shortest RSA key that others take (RFC 9325 4.5).
const RSA_BITS: usize = 2048;

/// Largest upload, in bytes each.
const PEM_BYTES: usize = 64 * 1024;
/// Longest chain.
const CHAIN_LENGTH: usize = 8;

pub(crate) fn hex_colons(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect::<Vec<_>>()
        .join(":")
}

pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|chunk| std::str::from_utf8(chunk).ok())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{DAY, HOUR};

    struct Made {
        chain_pem: String,
        key_pem: Secret,
    }

    /// A leaf for `names` under a small CA, valid for 90 days from 1970-01-02.
    fn made(names: &[&str], usage: Option<rcgen::ExtendedKeyUsagePurpose>) -> (Made, String) {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
        ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        ca.distinguished_name
            .push(rcgen::DnType::CommonName, "Test CA");
        (ca.not_before, ca.not_after) = (
            rcgen::date_time_ymd(1970, 1, 1),
            rcgen::date_time_ymd(1990, 1, 1),
        );
        let ca_cert = ca.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(ca, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(
            names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
        )
        .unwrap();
        (params.not_before, params.not_after) = (
            rcgen::date_time_ymd(1970, 1, 2),
            rcgen::date_time_ymd(1970, 4, 2),
        );
        params.extended_key_usages = usage.into_iter().collect();
        let leaf = params.signed_by(&key, &issuer).unwrap();
        (
            Made {
                chain_pem: format!("{}{}", leaf.pem(), ca_cert.pem()),
                key_pem: key.serialize_pem().into(),
            },
            ca_cert.pem(),
        )
    }

    fn problem(chain_pem: &str, key_pem: &Secret, now: Timestamp) -> String {
        inspect(
            chain_pem,
            key_pem,
            &DomainName::parse("example.com").unwrap(),
            now,
        )
        .unwrap_err()
        .to_string()
    }

    const NOW: Timestamp = Timestamp(10 * DAY);

    #[test]
    fn a_good_upload() {
        let (made, _) = made(&["example.com", "rooms.example.com"], None);
        let inspected = inspect(
            &made.chain_pem,
            &made.key_pem,
            &DomainName::parse("example.com").unwrap(),
            NOW,
        )
        .unwrap();
        assert_eq!(inspected.facts.names, ["example.com", "rooms.example.com"]);
        assert_eq!(inspected.issuer, "Test CA");
        assert_eq!(inspected.chain.len(), 2);
        assert_eq!(inspected.facts.not_after, Timestamp(91 * DAY));
    }

    /// Self-signed, ecdsa-with-SHA1.
    const SHA_1: &str = "-----BEGIN CERTIFICATE-----
MIIBgDCCASigAwIBAgIUOQj4eSs4tzF8EH0y4odpP12qv/YwCQYHKoZIzj0EATAW
MRQwEgYDVQQDDAtleGFtcGxlLmNvbTAgFw0yNjExMjYwMTI0MTFaGA8yMTI2MTEw
MjAxMjQxMVowFjEUMBIGA1UEAwwLZXhhbXBsZS5jb20wWTATBgcqhkjOPQIBBggq
hkjOPQMBBwNCAAQP7Srz/qTHf0C8ZWv7jHyMbL3eqXRyntThwQoG94n1lvhwmzNJ
g+X33yDUJtLHrPNhaaK+VrEqKteFa3littqQo1MwUTAdBgNVHQ4EFgQUmLRYnKuC
8HwrQ7yT2ap9pbD+bIcwHwYDVR0jBBgwFoAUmLRYnKuC8HwrQ7yT2ap9pbD+bIcw
DwYDVR0TAQH/BAUwAwEB/zAJBgcqhkjOPQQBA0cAMEQCIHsAsh2ZuYUyGtqrTQZT
Ii8zWDrlU6nsC7KtokeWVFBaAiB1AO88qp7lbTCMTIHgJyTDtH2rmI4TL3xw0wYY
Ai5+7A==
-----END CERTIFICATE-----
";

    /// Self-signed, sha256WithRSAEncryption, modulus of 1024 bits.
    const RSA_1024: &str = "-----BEGIN CERTIFICATE-----
MIICCjCCAXOgAwIBAgIUdPxYJ88KL9uTmiLsgPa2oqMC2NIwDQYJKoZIhvcNAQEL
BQAwFjEUMBIGA1UEAwwLZXhhbXBsZS5jb20wIBcNMjYxMTI2MDEyNDExWhgPMjEy
NjExMDIwMTI0MTFaMBYxFDASBgNVBAMMC2V4YW1wbGUuY29tMIGfMA0GCSqGSIb3
DQEBAQUAA4GNADCBiQKBgQDEiXLNoJzdDH7ETdW1EvwffAKpswAibzLw4fMS12qd
YH01/SA5XtbDxI9fN1N69YLG64Dp8N4D6hDgEe0lyPchk5m70Od4bFrXU44jYq4F
uuUSObkKF6Dvc3Dj6ucHF5DiLx5/YFqaY+td5f7hIpcjRElpCUycDgE2JGDhh5FN
aQIDAQABo1MwUTAdBgNVHQ4EFgQUsG0xUBpfXRlMV3s75D/yp4OcNFowHwYDVR0j
BBgwFoAUsG0xUBpfXRlMV3s75D/yp4OcNFowDwYDVR0TAQH/BAUwAwEB/zANBgkq
hkiG9w0BAQsFAAOBgQCm1H8/kX9rmJnRvxfdlcJbGMJZVvCBuCzWjJc190P2Vqxe
giT/wbxJIQtZPKoDuf986lDQbFW/tDxWXgeEmyTCI90fJ3gZi+f8+VME97s9gu/K
fSvZ3HyJeyWZxzUZ4iE/v1s6TLbD32vjIhSZH6q8XPAt4qyDc0JLmXcyHqOR4A==
-----END CERTIFICATE-----
";

    #[test]
    fn tls_21_weak_signatures_and_keys() {
        let (good, _) = made(&["example.com"], None);
        for (chain, wanted) in [
            (SHA_1, "certificate 1 is signed with SHA-1"),
            (RSA_1024, "certificate 1 has an RSA key of 1024 bits only"),
            (
                &format!("{}{RSA_1024}", good.chain_pem),
                "certificate 3 has an RSA key of 1024 bits only",
            ),
        ] {
            let told = problem(chain, &good.key_pem, NOW);
            assert!(told.contains(wanted), "{told}");
        }
        // A root's own signature is nobody's business.
        let told = problem(&format!("{}{SHA_1}", good.chain_pem), &good.key_pem, NOW);
        assert!(told.contains("certificate 3 is not the issuer"), "{told}");
    }

    #[test]
    fn cert_01_what_a_certificate_in_use_must_be() {
        let of = |change: fn(&mut rcgen::CertificateParams)| {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut params = rcgen::CertificateParams::new(vec!["example.com".to_owned()]).unwrap();
            (params.not_before, params.not_after) = (
                rcgen::date_time_ymd(1970, 1, 2),
                rcgen::date_time_ymd(1970, 4, 2),
            );
            change(&mut params);
            let pem = params.self_signed(&key).unwrap().pem();
            let domain = DomainName::parse("example.com").unwrap();
            inspect(&pem, &key.serialize_pem().into(), &domain, NOW)
                .map(|_| ())
                .map_err(|error| error.to_string())
        };
        assert_eq!(of(|_| {}), Ok(()));
        let authority = of(|params| {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        });
        assert!(authority.unwrap_err().contains("authority's"));
        assert_eq!(
            of(|params| params.is_ca = rcgen::IsCa::ExplicitNoCa),
            Ok(())
        );
        // C-07: authorities leave the subject empty where the names say it all; a subject alone says nothing.
        let nobody = |params: &mut rcgen::CertificateParams| {
            params.distinguished_name = rcgen::DistinguishedName::new();
        };
        assert_eq!(of(nobody), Ok(()));
        let nameless = of(|params| {
            params.subject_alt_names = Vec::new();
            params
                .distinguished_name
                .push(rcgen::DnType::CommonName, "example.com");
        });
        assert!(nameless.unwrap_err().contains("no host name at all"));
    }

    #[test]
    fn each_fault_is_named() {
        let (good, ca) = made(&["example.com"], None);
        let (other, other_ca) = made(&["example.com"], None);
        let (wild, _) = made(&["*.example.com"], None);
        let (client, _) = made(
            &["example.com"],
            Some(rcgen::ExtendedKeyUsagePurpose::ClientAuth),
        );
        let leaf = good.chain_pem.strip_suffix(ca.as_str()).unwrap();
        assert!(problem("hello", &good.key_pem, NOW).contains("no certificate"));
        assert!(problem(&good.chain_pem, &"hello".into(), NOW).contains("no private key"));
        assert!(problem(&good.chain_pem, &other.key_pem, NOW).contains("does not belong"));
        assert!(problem(&format!("{ca}{leaf}"), &good.key_pem, NOW).contains("does not belong"));
        assert!(
            problem(&wild.chain_pem, &wild.key_pem, NOW)
                .contains("*.example.com, not for example.com")
        );
        assert!(problem(&client.chain_pem, &client.key_pem, NOW).contains("not for servers"));
        assert!(problem(&good.chain_pem, &good.key_pem, Timestamp(92 * DAY)).contains("expired"));
        assert!(
            problem(&good.chain_pem, &good.key_pem, Timestamp(HOUR)).contains("valid only from")
        );
        assert!(problem(&format!("{leaf}{leaf}"), &good.key_pem, NOW).contains("not the issuer"));
        assert!(
            problem(
                &format!("{}{}", good.chain_pem, good.key_pem.expose()),
                &good.key_pem,
                NOW
            )
            .contains("private key")
        );
        let _ = other_ca;
    }
}
