//! A certificate authority of the benchmark's own, for thousands of domains: each gets a certificate and a key (ECDSA P-256).

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};

use crate::Outcome;

/// Name of the domain with this number.
pub fn domain(number: usize) -> String {
    format!("d{number:06}.many.example")
}

/// Domains with their certificates, in files.
#[derive(Debug)]
pub struct Domains {
    /// Where they lie.
    pub dir: PathBuf,
    /// How many.
    pub count: usize,
}

impl Domains {
    /// Makes so many in an empty directory.
    pub fn make(dir: &Path, count: usize) -> Outcome<Self> {
        let made = Self {
            dir: dir.to_path_buf(),
            count,
        };
        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "Root of the benchmark");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.not_after = date_time_ymd(2090, 1, 1);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        fs::write(made.roots(), params.self_signed(&key)?.pem())?;
        let issuer = Issuer::new(params, key);
        for number in 0..count {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
            let mut params = CertificateParams::new(vec![domain(number)])?;
            params.use_authority_key_identifier_extension = true;
            params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            params.not_after = date_time_ymd(2089, 1, 1);
            let leaf = params.signed_by(&key, &issuer)?;
            let (chain_file, key_file) = made.files(number);
            fs::write(chain_file, leaf.pem())?;
            fs::write(key_file, key.serialize_pem())?;
        }
        Ok(made)
    }

    /// The first so many of them.
    pub fn first(&self, count: usize) -> Self {
        Self {
            dir: self.dir.clone(),
            count: count.min(self.count),
        }
    }

    /// The root certificate.
    pub fn roots(&self) -> PathBuf {
        self.dir.join("root.pem")
    }

    /// Chain and key of the domain with this number.
    pub fn files(&self, number: usize) -> (PathBuf, PathBuf) {
        let name = domain(number);
        (
            self.dir.join(format!("{name}.crt")),
            self.dir.join(format!("{name}.key")),
        )
    }
}
