//! The way to servers that the operator names in the configuration (an ACME authority, a bucket): names by the system's resolver,
//! certificates by anchors of the operator's choice. Whatever customers or strangers can name goes by [`super::fetch`] instead.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// How long an address may take to answer the first packet.
const CONNECT: Duration = Duration::from_secs(5);

/// Who may be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schemes {
    /// HTTPS and nothing else.
    Https,
    /// Either; the caller has looked at the address.
    Both,
}

/// `roots`: a PEM file with the anchors of the server's certificate; `None`: the system's.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn connector(
    roots: Option<&Path>,
    schemes: Schemes,
) -> Result<HttpsConnector<HttpConnector>, String> {
    let mut anchors = rustls::RootCertStore::empty();
    match roots {
        Some(path) => {
            let fault = |problem: String| format!("{}: {problem}", path.display());
            let certificates = CertificateDer::pem_file_iter(path);
            for anchor in certificates.map_err(|error| fault(error.to_string()))? {
                let anchor = anchor.map_err(|error| fault(error.to_string()))?;
                let added = anchors.add(anchor);
                added.map_err(|error| fault(error.to_string()))?;
            }
        }
        None => {
            anchors.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(anchors)
        .with_no_client_auth();
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(CONNECT));
    tcp.set_nodelay(true);
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls);
    let builder = match schemes {
        Schemes::Https => builder.https_only(),
        Schemes::Both => builder.https_or_http(),
    };
    Ok(builder.enable_http1().wrap_connector(tcp))
}
