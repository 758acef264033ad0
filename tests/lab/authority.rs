//! A private certificate authority that issues every shape of certificate that federation meets (RFC 5280 4.2.1.12,
//! RFC 6125, CERT-05 to CERT-10, CERT-30), good ones and bad ones.

use std::path::Path;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, OtherNameValue, RevocationReason, RevokedCertParams, SanType,
    SerialNumber,
};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What is special about a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// What public authorities issue today.
    ServerAuth,
    ServerAndClientAuth,
    NoUsage,
    AnyUsage,
    ClientAuth,
    Expired,
    NotYetValid,
    CommonNameOnly,
    SrvId,
    XmppAddr,
    Wildcard,
    Intermediate,
    MissingIntermediate,
    WrongName,
    SelfSigned,
    /// In order, but from an authority that nobody trusts.
    Untrusted,
}

impl Shape {
    /// As the table calls it.
    pub fn words(self) -> &'static str {
        match self {
            Self::ServerAuth => "serverAuth only",
            Self::ServerAndClientAuth => "serverAuth and clientAuth",
            Self::NoUsage => "no extended key usage",
            Self::AnyUsage => "anyExtendedKeyUsage",
            Self::ClientAuth => "clientAuth only",
            Self::Expired => "expired",
            Self::NotYetValid => "not yet valid",
            Self::CommonNameOnly => "name in the CN only",
            Self::SrvId => "SRV-ID only",
            Self::XmppAddr => "XmppAddr only",
            Self::Wildcard => "wildcard of the parent",
            Self::Intermediate => "with its intermediate",
            Self::MissingIntermediate => "intermediate left out",
            Self::WrongName => "another domain's name",
            Self::SelfSigned => "self-signed",
            Self::Untrusted => "unknown authority",
        }
    }
}

/// A chain and its key, as they are presented.
#[derive(Clone)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key_pkcs8: Vec<u8>,
    /// SubjectPublicKeyInfo of the leaf, for TLSA `3 1 1`.
    pub spki: Vec<u8>,
    pub chain_pem: String,
    pub key_pem: String,
    /// An OCSP response to be stapled in handshakes; empty: none.
    pub staple: Vec<u8>,
    /// The authority behind it, where that is one nobody trusts: certificate and SubjectPublicKeyInfo.
    stranger: Option<(CertificateDer<'static>, Vec<u8>)>,
}

impl Identity {
    /// Anchors of who believes this one certificate's issuer all the same.
    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        let anchor = self
            .stranger
            .as_ref()
            .map_or(&self.chain[0], |(der, _)| der);
        store.add(anchor.clone()).expect("anchor");
        Arc::new(store)
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key_pkcs8.clone()).into()
    }

    /// Writes `NAME.crt` (the chain) and `NAME.key`.
    pub fn write(&self, dir: &Path, name: &str) {
        std::fs::create_dir_all(dir).expect("directory");
        std::fs::write(dir.join(format!("{name}.crt")), &self.chain_pem).expect("chain");
        std::fs::write(dir.join(format!("{name}.key")), &self.key_pem).expect("key");
    }

    /// Data of a TLSA record `3 1 1`.
    pub fn tlsa_311(&self) -> String {
        format!("3 1 1 {}", sha256_hex(&self.spki))
    }

    /// Data of a TLSA record `3 0 1`.
    pub fn tlsa_301(&self) -> String {
        format!("3 0 1 {}", sha256_hex(&self.chain[0]))
    }

    /// Data of a TLSA record about this certificate, or about the authority that nobody trusts behind it (usages 0 and 2).
    pub fn tlsa(&self, usage: u8, selector: u8, matching: u8) -> String {
        let (certificate, spki) = match (&self.stranger, usage) {
            (Some((der, spki)), 0 | 2) => (der, spki),
            _ => (&self.chain[0], &self.spki),
        };
        let content: &[u8] = if selector == 0 { certificate } else { spki };
        let data = match matching {
            0 => data_encoding::HEXLOWER.encode(content),
            1 => sha256_hex(content),
            _ => sha512_hex(content),
        };
        format!("{usage} {selector} {matching} {data}")
    }

    /// With the certificate of the authority that nobody trusts behind the leaf, as DANE-08 wants it.
    #[must_use]
    pub fn with_authority(mut self) -> Self {
        let (der, _) = self.stranger.clone().expect("an unknown authority");
        self.chain_pem += &pem("CERTIFICATE", &der);
        self.chain.push(der);
        self
    }

    /// Base64 of the SHA-256 of the leaf, for a POSH document (RFC 7711 3.1).
    pub fn posh(&self) -> String {
        use base64::Engine as _;
        use sha2::Digest as _;
        base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(&self.chain[0]))
    }
}

pub fn sha256_hex(data: &[u8]) -> String {
    use sha2::Digest as _;
    data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(data))
}

fn sha512_hex(data: &[u8]) -> String {
    use sha2::Digest as _;
    data_encoding::HEXLOWER.encode(&sha2::Sha512::digest(data))
}

/// An authority with an intermediate.
pub struct Authority {
    root: Issuer<'static, KeyPair>,
    root_der: CertificateDer<'static>,
    pub root_pem: String,
    /// For a responder that speaks for it.
    pub root_key_pem: String,
    middle: Issuer<'static, KeyPair>,
    middle_der: CertificateDer<'static>,
}

fn params(common_name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, common_name);
    params.not_before = rcgen::date_time_ymd(2024, 1, 1);
    params.not_after = rcgen::date_time_ymd(2044, 1, 1);
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::CrlSign,
    ];
    params
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("key");
        let params = authority_params(name);
        let cert = params.self_signed(&key).expect("root");
        let (root_der, root_pem) = (cert.der().clone(), cert.pem());
        let root_key_pem = key.serialize_pem();
        let root = Issuer::new(params, key);
        let middle_key = KeyPair::generate().expect("key");
        let params = authority_params(&format!("{name} intermediate"));
        let middle_der = params
            .signed_by(&middle_key, &root)
            .expect("intermediate")
            .der()
            .clone();
        Self {
            root,
            root_der,
            root_pem,
            root_key_pem,
            middle: Issuer::new(params, middle_key),
            middle_der,
        }
    }

    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut store = RootCertStore::empty();
        store.add(self.root_der.clone()).expect("anchor");
        Arc::new(store)
    }

    /// Data of a TLSA record `2 0 1` for the intermediate.
    pub fn tlsa_201(&self) -> String {
        format!("2 0 1 {}", sha256_hex(&self.middle_der))
    }

    /// A good certificate for several names.
    pub fn issue(&self, names: &[&str]) -> Identity {
        let mut leaf = params(names[0]);
        for name in names {
            leaf.subject_alt_names
                .push(SanType::DnsName((*name).try_into().expect("IA5")));
        }
        leaf.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        self.sign(leaf, Shape::ServerAuth)
    }

    /// A good certificate that says how to learn whether it is revoked.
    pub fn revocable(&self, domain: &str, serial: u64, how: &Told) -> Identity {
        let mut leaf = params(domain);
        let name = SanType::DnsName(domain.try_into().expect("IA5"));
        leaf.subject_alt_names = vec![name];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        leaf.serial_number = Some(SerialNumber::from(serial));
        match how {
            Told::List(url) => {
                let uris = vec![url.clone()];
                leaf.crl_distribution_points = vec![CrlDistributionPoint { uris }];
            }
            Told::Responder(url) => leaf.custom_extensions.push(responder(url)),
            Told::Staple => {
                // status_request (5) among the TLS features (RFC 7633).
                let features = vec![0x30, 3, 2, 1, 5];
                let oid = [1, 3, 6, 1, 5, 5, 7, 1, 24];
                let feature = CustomExtension::from_oid_content(&oid, features);
                leaf.custom_extensions.push(feature);
            }
        }
        self.sign(leaf, Shape::ServerAuth)
    }

    /// A list of the certificates that this authority has revoked, DER (RFC 5280 5).
    pub fn revoked(&self, serials: &[u64]) -> Vec<u8> {
        let revoked_certs = serials.iter().map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: rcgen::date_time_ymd(2025, 1, 1),
            reason_code: Some(RevocationReason::KeyCompromise),
            invalidity_date: None,
        });
        CertificateRevocationListParams {
            this_update: rcgen::date_time_ymd(2025, 1, 1),
            next_update: rcgen::date_time_ymd(2044, 1, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: revoked_certs.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.root)
        .expect("a list")
        .der()
        .to_vec()
    }

    /// A client's certificate with these addresses in it (RFC 6120 13.7.1.4).
    pub fn personal(&self, addresses: &[&str], shape: Shape) -> Identity {
        let mut leaf = params("Somebody");
        let addresses = addresses.iter().map(|address| (*address).to_owned());
        leaf.subject_alt_names = addresses.map(|address| other_name(5, address)).collect();
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(leaf, shape)
    }

    /// A certificate of the given shape that is presented for `domain`.
    pub fn shaped(&self, domain: &str, shape: Shape) -> Identity {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
        let mut leaf = params(if shape == Shape::CommonNameOnly {
            domain
        } else {
            "Federation laboratory"
        });
        let dns = |name: &str| SanType::DnsName(name.try_into().expect("IA5"));
        leaf.subject_alt_names = match shape {
            Shape::CommonNameOnly => Vec::new(),
            Shape::SrvId => vec![other_name(7, format!("_xmpp-server.{domain}"))],
            Shape::XmppAddr => vec![other_name(5, domain.to_owned())],
            Shape::Wildcard => {
                vec![dns(&format!(
                    "*.{}",
                    domain.split_once('.').expect("a parent").1
                ))]
            }
            Shape::WrongName => vec![dns("somebody-else.signed.example")],
            _ => vec![dns(domain)],
        };
        leaf.extended_key_usages = match shape {
            Shape::ServerAndClientAuth => vec![ServerAuth, ClientAuth],
            Shape::NoUsage => Vec::new(),
            Shape::AnyUsage => vec![Any],
            Shape::ClientAuth => vec![ClientAuth],
            _ => vec![ServerAuth],
        };
        if shape == Shape::Expired {
            leaf.not_before = rcgen::date_time_ymd(2020, 1, 1);
            leaf.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        if shape == Shape::NotYetValid {
            leaf.not_before = rcgen::date_time_ymd(2043, 1, 1);
        }
        self.sign(leaf, shape)
    }

    fn sign(&self, leaf: CertificateParams, shape: Shape) -> Identity {
        let key = KeyPair::generate().expect("key");
        let mut stranger = None;
        let cert = match shape {
            Shape::SelfSigned => leaf.self_signed(&key),
            Shape::Intermediate | Shape::MissingIntermediate => leaf.signed_by(&key, &self.middle),
            Shape::Untrusted => {
                let nobody = KeyPair::generate().expect("key");
                let params = authority_params("Nobody");
                let anchor = params.self_signed(&nobody).expect("root");
                let spki = rcgen::PublicKeyData::subject_public_key_info(&nobody);
                stranger = Some((anchor.der().clone(), spki));
                leaf.signed_by(&key, &Issuer::new(params, nobody))
            }
            _ => leaf.signed_by(&key, &self.root),
        }
        .expect("certificate");
        let mut chain = vec![cert.der().clone()];
        let mut chain_pem = cert.pem();
        if shape == Shape::Intermediate {
            chain.push(self.middle_der.clone());
            chain_pem += &pem("CERTIFICATE", &self.middle_der);
        }
        Identity {
            chain,
            key_pkcs8: key.serialize_der(),
            spki: rcgen::PublicKeyData::subject_public_key_info(&key),
            chain_pem,
            key_pem: key.serialize_pem(),
            staple: Vec::new(),
            stranger,
        }
    }
}

/// A name of the kinds that PKIX keeps for XMPP and for services: 5 is XmppAddr, 7 SRVName.
fn other_name(last: u64, value: String) -> SanType {
    let oid = vec![1, 3, 6, 1, 5, 5, 7, 8, last];
    SanType::OtherName((oid, OtherNameValue::Utf8String(value)))
}

/// Where a certificate is revoked, if it is.
pub enum Told {
    /// A list at this address.
    List(String),
    /// A responder at this one.
    Responder(String),
    /// A stapled response, and none is no good.
    Staple,
}

/// Authority information access with an OCSP responder (RFC 5280 4.2.2.1).
fn responder(url: &str) -> CustomExtension {
    let tagged = |tag: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).expect("a short form");
        [&[tag, length], content].concat()
    };
    let ocsp = tagged(6, &[0x2b, 6, 1, 5, 5, 7, 0x30, 1]);
    let place = tagged(0x86, url.as_bytes());
    let access = tagged(0x30, &tagged(0x30, &[ocsp, place].concat()));
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access)
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = data_encoding::BASE64.encode(der);
    let lines: Vec<&str> = body
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).expect("base64"))
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
