//! Certificates: list, upload, order.

use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use xmpp::timestamp::Timestamp;

use crate::error::Result;
use crate::{Actor, Control};

/// A certificate.
#[derive(Debug, Clone, Serialize)]
pub struct CertificateView {
    /// Id.
    pub id: i64,
    /// Names in it.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// Valid from.
    #[serde(serialize_with = "crate::time::at")]
    pub not_before: Timestamp,
    /// Valid until.
    #[serde(serialize_with = "crate::time::at")]
    pub not_after: Timestamp,
    /// Renewal is planned for; `None` for uploaded ones.
    #[serde(serialize_with = "crate::time::maybe")]
    pub renew_at: Option<Timestamp>,
    /// Whole days left.
    pub days_left: i64,
    /// `acme` or `uploaded`.
    pub source: String,
    /// `current`, `next`, `retired`.
    pub state: String,
    /// SHA-256 of the certificate, hex with colons.
    pub fingerprint: String,
    /// The key has been in use since.
    #[serde(serialize_with = "crate::time::at")]
    pub key_since: Timestamp,
}

/// An upload.
#[derive(Debug, Clone, Deserialize)]
pub struct CertificateUpload {
    /// Leaf first, then intermediates; PEM.
    pub chain_pem: String,
    /// Private key; PKCS#8, PKCS#1 or SEC1 PEM, not encrypted.
    pub key_pem: Secret,
}

impl Control {
    /// Certificates of a domain, the current one first.
    pub async fn certificate_list(
        &self,
        actor: &Actor,
        domain: &str,
    ) -> Result<Vec<CertificateView>> {
        let _ = (actor, domain);
        todo!()
    }

    /// Takes chain and key, checks them, uses them at once.
    pub async fn certificate_upload(
        &self,
        actor: &Actor,
        domain: &str,
        upload: CertificateUpload,
    ) -> Result<CertificateView> {
        let _ = (actor, domain, upload);
        todo!()
    }

    /// Has the worker order a certificate now (after the same pre-flight as ever); returns before it has.
    pub async fn certificate_order(&self, actor: &Actor, domain: &str) -> Result<()> {
        let _ = (actor, domain);
        todo!()
    }
}
