//! Clients' certificates for the examples of SASL EXTERNAL: of an authority that the owner names, or uploaded by who has them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

use crate::lab::authority::{Authority, Identity, Shape};

/// What a client may show.
pub struct Certificates {
    /// Where the owner finds the authority's certificate.
    dir: TempDir,
    made: [(&'static str, Identity); 4],
}

impl Certificates {
    pub fn new() -> Self {
        let authority = Authority::new("Authority of the owner's");
        let (alice, bob) = ("alice@one.example", "bob@one.example");
        let of = |addresses: &[&str]| authority.personal(addresses, Shape::ClientAuth);
        let dir = tempfile::tempdir().expect("temporary directory");
        let file = dir.path().join("authority.crt");
        std::fs::write(file, &authority.root_pem).expect("the authority's certificate");
        let made = [
            ("one", of(&[alice])),
            ("two", of(&[alice, bob])),
            ("none", of(&[])),
            ("uploaded", authority.personal(&[], Shape::SelfSigned)),
        ];
        Self { dir, made }
    }

    /// The names that examples have for the authority's file, and for the certificate that is uploaded.
    pub fn names(&self) -> [(String, String); 2] {
        let file = self.dir.path().join("authority.crt");
        let (_, uploaded) = &self.made[3];
        [
            ("authorityfile".to_owned(), file.display().to_string()),
            ("uploadedcert".to_owned(), BASE64.encode(&uploaded.chain[0])),
        ]
    }

    /// How a client connects that shows this one.
    pub fn shown(&self, name: &str, roots: Arc<RootCertStore>) -> Result<ClientConfig, String> {
        let found = self.made.iter().find(|(made, _)| *made == name);
        let (_, identity) = found.ok_or_else(|| format!("no certificate is called {name}"))?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(identity.chain.clone(), identity.key())
            .map_err(|e| format!("{name}: {e}"))
    }
}
