//! Key and certificate request (PKCS#10) of an order.

use control::Secret;
use control::outside::{IssueError, IssueRequest, KeyChoice};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

/// Longest common name, in characters (RFC 5280 A.1, ub-common-name).
const COMMON_NAME: usize = 64;

/// Key and CSR, DER, for the names of a request.
pub(super) fn request_for(request: &IssueRequest) -> Result<(Secret, Vec<u8>), IssueError> {
    let fault = |error: rcgen::Error| {
        IssueError::Refused(format!(
            "the request for a certificate cannot be made: {error}"
        ))
    };
    let key = match &request.key {
        KeyChoice::New => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(fault)?,
        KeyChoice::Keep(pem) => KeyPair::from_pem(pem.expose()).map_err(fault)?,
    };
    let names: Vec<String> = request
        .names
        .iter()
        .map(|name| name.to_ascii().into_owned())
        .collect();
    let mut subject = DistinguishedName::new();
    // CERT-01. Authorities that give no subject (C-07) leave it out again.
    if let Some(name) = names.iter().find(|name| name.len() <= COMMON_NAME) {
        subject.push(DnType::CommonName, name.as_str());
    }
    let mut params = CertificateParams::new(names).map_err(fault)?;
    params.distinguished_name = subject;
    let csr = params.serialize_request(&key).map_err(fault)?;
    let pem = match &request.key {
        KeyChoice::New => Secret::from(key.serialize_pem()),
        KeyChoice::Keep(pem) => pem.clone(),
    };
    Ok((pem, csr.der().to_vec()))
}

#[cfg(test)]
mod tests {
    use xmpp::jid::DomainName;

    use super::*;

    #[test]
    fn acme_12_a_renewal_keeps_the_key() {
        let name = DomainName::parse("bücher.example").expect("name");
        let request = |key| IssueRequest {
            names: vec![name.clone()],
            key,
            ..IssueRequest::default()
        };
        let (key, csr) = request_for(&request(KeyChoice::New)).expect("first");
        let (again, csr_again) =
            request_for(&request(KeyChoice::Keep(key.clone()))).expect("renewal");
        assert_eq!(key, again);
        for csr in [csr, csr_again] {
            let ascii = b"xn--bcher-kva.example";
            assert!(
                csr.windows(ascii.len()).any(|part| part == ascii),
                "A-labels in the CSR"
            );
        }
    }

    #[test]
    fn cert_01_a_certificate_is_asked_for_with_a_subject_where_a_name_fits() {
        use x509_parser::prelude::{FromDer as _, X509CertificationRequest};
        let long = format!("{}.example", ["a".repeat(30), "b".repeat(30)].join("."));
        for (names, subject) in [
            (vec!["b\u{fc}cher.example"], "CN=xn--bcher-kva.example"),
            (vec![long.as_str()], ""),
            (vec![long.as_str(), "chat.example"], "CN=chat.example"),
        ] {
            let names: Vec<_> = names
                .into_iter()
                .map(|name| DomainName::parse(name).expect("name"))
                .collect();
            let request = IssueRequest {
                names,
                ..IssueRequest::default()
            };
            let (_, csr) = request_for(&request).expect("a request");
            let (_, csr) = X509CertificationRequest::from_der(&csr).expect("readable");
            let asked = &csr.certification_request_info;
            assert_eq!(asked.subject.to_string(), subject);
            let mut extensions = csr.requested_extensions().expect("extensions");
            assert!(
                !extensions.any(|extension| matches!(
                    extension,
                    x509_parser::extensions::ParsedExtension::BasicConstraints(constraints) if constraints.ca
                )),
                "no authority's"
            );
        }
    }
}
