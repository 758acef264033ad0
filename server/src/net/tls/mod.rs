//! TLS identity by name: which certificate a stream gets, and the handshake.
//!
//! The domain decides (VHOST-01): the stream header's `to`, or SNI on direct TLS. Each domain has configurations and
//! tickets of its own, since a ticket of one tenant must not resume on another's name. Identities are loaded on first use
//! into a bounded cache; a domain that is not asked for costs nothing here. Refuses: ever showing a certificate for a name
//! that is not served (VHOST-05, TLS-29), and judging a peer's certificate, which `dna` does once the peer has said who it
//! is.

mod cache;
mod deferred;
mod identity;
mod records;

use std::io;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::server::{Acceptor, ServerConnection};
use rustls::{ClientConfig, ClientConnection, CommonState};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, TlsConnector, TlsStream};
use xmpp::jid::DomainName;
use xmpp::stream::TlsInfo;

pub use self::cache::{Certificates, Identities, Material, Unavailable};
pub use self::deferred::{AnyClient, AnyServer, Staple};
pub use self::identity::{Door, Identity, IdentityError};
pub use self::records::Watched;

/// TLS that is up, over a transport on which there is no second handshake (TLS-14).
pub type Secured<S> = TlsStream<Watched<S>>;

/// Fatal `unrecognized_name` (RFC 6066 3) as a plaintext record: the handshake has not begun when we know.
const UNRECOGNIZED_NAME: [u8; 7] = [21, 3, 3, 0, 2, 2, 112];

/// The one provider of the process. It prefers AES-128-GCM with SHA-256 to AES-256-GCM with SHA-384: both are far beyond
/// reach, and a handshake is mostly hashing, for which processors have an instruction in the former and none in the latter.
pub fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // The order of the others stays.
    provider.cipher_suites.sort_by_key(|suite| {
        suite
            .suite()
            .as_str()
            .is_some_and(|name| name.ends_with("SHA384"))
    });
    provider
}

/// Which hosted domain a TLS name belongs to.
pub trait Names: Send + Sync {
    /// `None`: not served here.
    fn served_by(&self, name: &DomainName) -> Option<ServedBy>;
}

/// Why a name is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServedBy {
    /// It is this domain, or the SRV target host made for it (C-02).
    Itself(DomainName),
    /// It lies under this domain (`rooms.example.com`): its identity serves if the certificate is for that name too.
    Parent(DomainName),
}

/// How to secure a stream.
pub enum Secure {
    /// As TLS server.
    Server {
        /// Whose certificate.
        identity: Arc<Identity>,
        /// For whom.
        door: Door,
    },
    /// As TLS client.
    Client {
        /// With our certificate, a verifier that only checks signatures, and the ALPN wanted.
        config: Arc<ClientConfig>,
        /// SNI.
        name: ServerName<'static>,
    },
}

impl Secure {
    /// The handshake over a connected transport.
    ///
    /// # Errors
    /// The other side's alert, ours, or the transport's.
    pub async fn handshake<S>(self, io: S) -> io::Result<(Secured<S>, TlsInfo)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let io = Watched::new(io);
        match self {
            Self::Server { identity, door } => {
                let config = identity
                    .config(door)
                    .map_err(|error| io::Error::other(error.to_string()))?;
                let mut stream = TlsAcceptor::from(config).accept(io).await?;
                let (io, connection) = stream.get_mut();
                io.established(connection.protocol_version());
                let info = server_info(connection, &identity, door);
                Ok((stream.into(), info))
            }
            Self::Client { config, name } => {
                let mut stream = TlsConnector::from(config).connect(name, io).await?;
                let (io, connection) = stream.get_mut();
                io.established(connection.protocol_version());
                let info = client_info(connection);
                Ok((stream.into(), info))
            }
        }
    }
}

/// Direct TLS (XEP-0368): reads the ClientHello, chooses the identity by SNI, ends an unknown name with a fatal alert
/// (TLS-29) and a wrong ALPN with another (TLS-30). Without SNI the platform's own identity is shown, if it has one (C-02).
///
/// # Errors
/// The handshake's; nothing more can be said to the other side then.
pub async fn accept<S>(
    io: S,
    door: Door,
    identities: &Identities,
    names: &dyn Names,
) -> io::Result<(Secured<S>, TlsInfo)>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let start = LazyConfigAcceptor::new(Acceptor::default(), Watched::new(io)).await?;
    let asked = start.client_hello().server_name().map(str::to_owned);
    let identity = match asked.as_deref().map(DomainName::parse) {
        None => identities.platform(),
        Some(Err(_)) => None,
        Some(Ok(name)) => match names.served_by(&name) {
            Some(ServedBy::Itself(domain)) => identities.get(&domain).await,
            Some(ServedBy::Parent(domain)) => identities
                .get(&domain)
                .await
                .filter(|identity| identity.covers(&name)),
            None => identities.platform().filter(|own| own.covers(&name)),
        },
    };
    let Some(identity) = identity else {
        let mut io = start.io;
        io.write_all(&UNRECOGNIZED_NAME).await?;
        io.shutdown().await?;
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "no identity for the name {:?}",
                asked.as_deref().unwrap_or("(none)")
            ),
        ));
    };
    let config = identity
        .config(door)
        .map_err(|error| io::Error::other(error.to_string()))?;
    let mut stream = start.into_stream(config).await?;
    let (io, connection) = stream.get_mut();
    io.established(connection.protocol_version());
    let info = server_info(connection, &identity, door);
    Ok((stream.into(), info))
}

fn server_info(connection: &ServerConnection, identity: &Identity, door: Door) -> TlsInfo {
    // Servers do not log in by passwords: nothing is bound to their channels.
    let exporter = match door {
        Door::Peer => None,
        Door::Client | Door::Web => connection
            .export_keying_material([0; 32], b"EXPORTER-Channel-Binding", None)
            .ok(),
    };
    TlsInfo {
        sni: connection.server_name().map(str::to_owned),
        identity: identity.domain().cloned(),
        exporter,
        end_point: identity.end_point().map(<[u8]>::to_vec),
        ..common_info(connection)
    }
}

fn client_info(connection: &ClientConnection) -> TlsInfo {
    common_info(connection)
}

fn common_info(connection: &CommonState) -> TlsInfo {
    TlsInfo {
        version: match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "",
        },
        cipher: connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default(),
        alpn: connection.alpn_protocol().map(<[u8]>::to_vec),
        peer_chain: connection
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|certificate| certificate.to_vec())
            .collect(),
        ..TlsInfo::default()
    }
}

#[cfg(test)]
pub(crate) mod tests;
