//! One domain's certificate and key, ready for every door.

use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DistinguishedName, client::Resumption};
use sha2::{Digest, Sha256, Sha384, Sha512};
use x509_parser::signature_algorithm::SignatureAlgorithm;
use xmpp::jid::DomainName;

use super::deferred::{AnyClient, AnyServer, IssuedClient};

/// Who is at the other end of the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// XMPP clients; ALPN `xmpp-client`.
    Client,
    /// XMPP servers; ALPN `xmpp-server`, a certificate is asked for.
    Peer,
    /// Browsers and the like; ALPN `http/1.1`.
    Web,
}

/// Why a certificate and key cannot be used. The operator's or owner's fault, found when they are loaded.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No certificate at all.
    #[error("the certificate chain is empty")]
    Empty,
    /// Key and certificate do not belong together, or are of a kind that TLS 1.2+ with forward secrecy cannot use.
    #[error("the key or certificate cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// A certificate with its key. Configurations are made when a door is first used.
pub struct Identity {
    domain: Option<DomainName>,
    provider: Arc<CryptoProvider>,
    key: Arc<CertifiedKey>,
    end_point: Option<Box<[u8]>>,
    /// Authorities whose certificates clients may show, empty: anybody's; `None`: they are not asked.
    client_issuers: Option<Vec<DistinguishedName>>,
    client: OnceLock<Arc<ServerConfig>>,
    peer: OnceLock<Arc<ServerConfig>>,
    web: OnceLock<Arc<ServerConfig>>,
    outbound: [OnceLock<Arc<ClientConfig>>; 2],
}

impl Identity {
    /// From a chain, leaf first, and the key of the leaf. `domain` is `None` for the platform's own identity.
    ///
    /// # Errors
    /// [`IdentityError`]
    pub fn new(
        domain: Option<DomainName>,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Self, IdentityError> {
        let end_point = end_point(chain.first().ok_or(IdentityError::Empty)?);
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(IdentityError::Unusable)?;
        Ok(Self {
            domain,
            provider,
            key: Arc::new(key),
            end_point,
            client_issuers: None,
            client: OnceLock::new(),
            peer: OnceLock::new(),
            web: OnceLock::new(),
            outbound: Default::default(),
        })
    }

    /// Asks clients for a certificate of one of these authorities, of any where none is named (SASL EXTERNAL); they need not
    /// show one.
    #[must_use]
    pub fn with_client_issuers(mut self, issuers: Option<Vec<DistinguishedName>>) -> Self {
        self.client_issuers = issuers;
        self
    }

    /// The hosted domain; `None` for the platform's own.
    pub fn domain(&self) -> Option<&DomainName> {
        self.domain.as_ref()
    }

    /// `tls-server-end-point` (RFC 5929 4.1) of the leaf; `None` where it is undefined, as for Ed25519 (SASL-25).
    pub fn end_point(&self) -> Option<&[u8]> {
        self.end_point.as_deref()
    }

    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }

    /// Whether the leaf is for this name.
    pub fn covers(&self, name: &DomainName) -> bool {
        let Some(leaf) = self.key.cert.first() else {
            return false;
        };
        let (Ok(leaf), Ok(name)) = (
            webpki::EndEntityCert::try_from(leaf),
            ServerName::try_from(name.to_ascii().as_ref()).map(|name| name.to_owned()),
        ) else {
            return false;
        };
        leaf.verify_is_valid_for_subject_name(&name).is_ok()
    }

    /// The configuration for a door; later calls return the same, so that tickets keep working.
    ///
    /// # Errors
    /// Only when the provider cannot make a ticket key.
    pub fn config(&self, door: Door) -> Result<Arc<ServerConfig>, rustls::Error> {
        let cell = match door {
            Door::Client => &self.client,
            Door::Peer => &self.peer,
            Door::Web => &self.web,
        };
        if let Some(config) = cell.get() {
            return Ok(config.clone());
        }
        let made = Arc::new(self.make(door)?);
        Ok(cell.get_or_init(|| made).clone())
    }

    fn make(&self, door: Door) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match (door, &self.client_issuers) {
            (Door::Peer, _) => {
                builder.with_client_cert_verifier(Arc::new(AnyClient(self.provider.clone())))
            }
            (Door::Client, Some(issuers)) => {
                let verifier = IssuedClient(self.provider.clone(), issuers.clone());
                builder.with_client_cert_verifier(Arc::new(verifier))
            }
            (Door::Client | Door::Web, _) => builder.with_no_client_auth(),
        };
        let resolver = Arc::new(SingleCertAndKey::from(self.key.clone()));
        let mut config = builder.with_cert_resolver(resolver);
        // The default keeps 256 sessions a configuration, 9 KB of them for every domain.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // Ours is the choice among what both sides know ([`super::provider`]).
        config.ignore_client_order = true;
        // tls-exporter on TLS 1.2 needs it (SASL-23, TLS-25).
        config.require_ems = true;
        match door {
            Door::Client => {
                config.alpn_protocols = vec![b"xmpp-client".to_vec()];
                if self.client_issuers.is_none() {
                    config.ticketer = Ticketer::new()?;
                    // A client has one stream at a time, and gets a fresh ticket on each.
                    config.send_tls13_tickets = 1;
                } else {
                    // Certificates are shown on every connection anew.
                    config.send_tls13_tickets = 0;
                }
            }
            Door::Web => {
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                config.ticketer = Ticketer::new()?;
            }
            Door::Peer => {
                config.alpn_protocols = vec![b"xmpp-server".to_vec()];
                // Certificates are judged on every stream anew, so no handshake may skip them.
                config.send_tls13_tickets = 0;
            }
        }
        Ok(config)
    }

    /// For streams that this domain opens to peers: our certificate, any certificate of theirs, no resumption (VHOST-08).
    /// ALPN `xmpp-server` is sent on direct TLS only (TLS-33).
    ///
    /// # Errors
    /// None in practice: only when the provider supports no protocol version.
    pub fn client_config(&self, direct: bool) -> Result<Arc<ClientConfig>, rustls::Error> {
        let cell = &self.outbound[usize::from(direct)];
        if let Some(config) = cell.get() {
            return Ok(config.clone());
        }
        let verifier = Arc::new(AnyServer::new(self.provider.clone()));
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(Arc::new(SingleCertAndKey::from(self.key.clone())));
        config.resumption = Resumption::disabled();
        config.require_ems = true;
        if direct {
            config.alpn_protocols = vec![b"xmpp-server".to_vec()];
        }
        let made = Arc::new(config);
        Ok(cell.get_or_init(|| made).clone())
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

/// Hash of the leaf with its signature's hash, SHA-256 in place of MD5 and SHA-1 (RFC 5929 4.1).
fn end_point(leaf: &CertificateDer<'_>) -> Option<Box<[u8]>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(leaf).ok()?;
    let algorithm = &parsed.signature_algorithm;
    let oid = match SignatureAlgorithm::try_from(algorithm) {
        Ok(SignatureAlgorithm::RSASSA_PSS(pss)) => pss.hash_algorithm_oid().to_id_string(),
        _ => algorithm.algorithm.to_id_string(),
    };
    match oid.as_str() {
        // md5WithRSA, sha1WithRSA, ecdsa-with-SHA1, SHA-1 itself; sha256WithRSA, ecdsa-with-SHA256, SHA-256 itself
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.10045.4.1"
        | "1.3.14.3.2.26"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.3.2"
        | "2.16.840.1.101.3.4.2.1" => Some(Sha256::digest(leaf).to_vec().into()),
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" | "2.16.840.1.101.3.4.2.2" => {
            Some(Sha384::digest(leaf).to_vec().into())
        }
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" | "2.16.840.1.101.3.4.2.3" => {
            Some(Sha512::digest(leaf).to_vec().into())
        }
        _ => None,
    }
}
