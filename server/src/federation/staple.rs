//! Whether an OCSP response came stapled to the peer's certificate (CERT-28).
//!
//! rustls asks for one and hands it to the verifier only, so each connection watches for it there. Refuses: reading the
//! response; a certificate that demands one is refused when none comes, and revocation itself is not looked up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::net::tls::AnyServer;

/// What one connection saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Staple(Arc<AtomicBool>);

impl Staple {
    /// Whether a response came.
    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// The same configuration, watched for one connection.
    pub(super) fn watched(
        &self,
        config: &ClientConfig,
        provider: &Arc<CryptoProvider>,
    ) -> Arc<ClientConfig> {
        let mut config = config.clone();
        let watch = Watch {
            inner: AnyServer(provider.clone()),
            staple: self.clone(),
        };
        config.dangerous().set_certificate_verifier(Arc::new(watch));
        Arc::new(config)
    }
}

#[derive(Debug)]
struct Watch {
    inner: AnyServer,
    staple: Staple,
}

impl ServerCertVerifier for Watch {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.staple.0.store(!response.is_empty(), Ordering::Relaxed);
        self.inner
            .verify_server_cert(leaf, intermediates, name, response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
