//! Verifiers that put the judgement off.
//!
//! Who the peer is becomes known from the stream header, after the handshake; whether its certificate proves that is for
//! `dna::judge`. So TLS accepts any certificate, or none, and checks only that the other side holds the key to it.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

/// For streams that peers open: a certificate is asked for and not required (TLS-11).
#[derive(Debug)]
pub struct AnyClient(pub Arc<CryptoProvider>);

/// For clients of a domain that knows them by certificates: one is asked for, of these issuers (of any if there are none), and
/// not required.
/// `dna` judges it once the client has said where it wants to go.
#[derive(Debug)]
pub(super) struct IssuedClient(
    pub(super) Arc<CryptoProvider>,
    pub(super) Vec<DistinguishedName>,
);

/// For streams that we open.
#[derive(Debug)]
pub struct AnyServer(Arc<CryptoProvider>, Staple);

impl AnyServer {
    /// One that keeps nothing of what is shown; any number of connections may share it.
    pub fn new(provider: Arc<CryptoProvider>) -> Self {
        Self(provider, Staple::default())
    }
}

/// The OCSP response that came stapled to a server's certificate on one connection (CERT-28). rustls asks for one and hands it
/// to the verifier only, so it is kept from there.
#[derive(Clone, Debug, Default)]
pub struct Staple(Arc<Mutex<Arc<[u8]>>>);

impl Staple {
    /// What came; empty where nothing did.
    pub fn taken(&self) -> Arc<[u8]> {
        self.0.lock().clone()
    }

    /// The same configuration, for the one connection whose response is kept here.
    pub fn watched(
        &self,
        config: &ClientConfig,
        provider: &Arc<CryptoProvider>,
    ) -> Arc<ClientConfig> {
        let mut config = config.clone();
        let verifier = AnyServer(provider.clone(), self.clone());
        config
            .dangerous()
            .set_certificate_verifier(Arc::new(verifier));
        Arc::new(config)
    }
}

macro_rules! signatures_are_checked {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(
                message,
                certificate,
                signed,
                &self.0.signature_verification_algorithms,
            )
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(
                message,
                certificate,
                signed,
                &self.0.signature_verification_algorithms,
            )
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    };
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    signatures_are_checked!();
}

impl ClientCertVerifier for IssuedClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.1
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    signatures_are_checked!();
}

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        response: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !response.is_empty() {
            *self.1.0.lock() = response.into();
        }
        Ok(ServerCertVerified::assertion())
    }

    signatures_are_checked!();
}
