//! Knocking at our own public door as a client would: STARTTLS, the certificate valid for the domain, a login offered.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use control::outside::Probe;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use xmpp::framing::{Frame, Framer, Limits};
use xmpp::jid::DomainName;
use xmpp::ns;
use xmpp::stream::{Opening, StreamError};

use crate::net::tls::{AnyServer, Identities};

/// The whole probe.
const PATIENCE: Duration = Duration::from_secs(8);

/// Tries the addresses in order; the first that can be connected to decides.
pub(super) async fn probe(
    domain: &DomainName,
    own: Option<&str>,
    addresses: &[SocketAddr],
    anchors: &dna::Anchors,
    identities: &Identities,
) -> Probe {
    let work = async {
        let mut why = "no address to knock at is configured (platform.addresses)".to_owned();
        for &address in addresses {
            let tcp = match TcpStream::connect(address).await {
                Ok(tcp) => tcp,
                Err(error) => {
                    why = format!("{address} cannot be connected to from here: {error}");
                    continue;
                }
            };
            return match knock(tcp, domain, own, anchors, identities).await {
                Ok((version, leaf)) => Probe::Passed {
                    seen: match own {
                        None => format!("{address}, {version}, certificate for {domain}"),
                        Some(_) => format!("{address}, {version}, the certificate made for it"),
                    },
                    leaf,
                },
                Err(error) => Probe::Failed {
                    seen: error.to_string(),
                    asked: address.to_string(),
                },
            };
        }
        Probe::Unknown { why }
    };
    tokio::time::timeout(PATIENCE, work)
        .await
        .unwrap_or_else(|_| Probe::Unknown {
            why: format!("no answer within {} seconds", PATIENCE.as_secs()),
        })
}

async fn knock(
    mut tcp: TcpStream,
    domain: &DomainName,
    own: Option<&str>,
    anchors: &dna::Anchors,
    identities: &Identities,
) -> io::Result<(&'static str, String)> {
    expect(&mut tcp, domain, "starttls", ns::TLS).await?;
    tcp.write_all(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        .await?;
    let mut proceed = [0; "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".len()];
    tcp.read_exact(&mut proceed).await?;
    if !proceed.starts_with(b"<proceed") {
        return Err(io::Error::other(
            "STARTTLS is refused: there is no certificate yet",
        ));
    }
    let provider = identities.provider().clone();
    let verifier: Arc<dyn ServerCertVerifier> = match own {
        // No authority is asked about it: which certificate it is, is looked at below.
        Some(_) => Arc::new(AnyServer::new(provider.clone())),
        None => {
            let roots = RootCertStore {
                roots: anchors.list().to_vec(),
            };
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
                .build()
                .map_err(io::Error::other)?
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    let name = ServerName::try_from(domain.to_ascii().into_owned()).map_err(io::Error::other)?;
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, tcp)
        .await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let leaf = shown
        .first()
        .map(|der| data_encoding::HEXLOWER.encode(&Sha256::digest(der)))
        .unwrap_or_default();
    if own.is_some_and(|own| own != leaf) {
        return Err(io::Error::other(
            "another certificate is shown than the one made for the domain",
        ));
    }
    expect(&mut stream, domain, "mechanisms", ns::SASL).await?;
    let version = match stream.get_ref().1.protocol_version() {
        Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    stream.write_all(b"</stream:stream>").await?;
    stream.shutdown().await?;
    Ok((version, leaf))
}

/// Opens a stream and reads up to its features, which must hold this one.
async fn expect<S>(io: &mut S, domain: &DomainName, name: &str, space: &str) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut opening = Vec::new();
    Opening {
        content_ns: ns::CLIENT,
        from: None,
        to: Some(domain.as_str()),
        id: None,
        lang: "en",
        version: true,
        dialback: false,
    }
    .write(&mut opening);
    io.write_all(&opening).await?;
    let mut framer = Framer::new(Limits::default());
    let mut bytes = [0; 2048];
    loop {
        match framer.next().map_err(io::Error::other)? {
            None => {
                let n = io.read(&mut bytes).await?;
                if n == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                framer.push(&bytes[..n]);
            }
            Some(Frame::Header(_)) => {}
            Some(Frame::Close) => return Err(io::Error::other("the stream was closed")),
            Some(Frame::Element(raw)) => {
                if let Some(error) = StreamError::from_raw(&raw) {
                    return Err(io::Error::other(format!("the stream was refused: {error}")));
                }
                let features = raw.to_element();
                return if features.is("features", ns::STREAM)
                    && features.find(name, space).is_some()
                {
                    Ok(())
                } else {
                    Err(io::Error::other(format!(
                        "the stream does not offer {name}"
                    )))
                };
            }
        }
    }
}
