//! Knocking at one address: TCP, STARTTLS or direct TLS with ALPN, the certificate shown for the domain, which versions of
//! TLS are taken, and what the stream offers afterwards.
//!
//! We are nobody and leave before we would have to be somebody: no `from`, no login. Any certificate is taken here; judging
//! it is [`super::verdict`]'s. Refuses to wait longer than [`PATIENCE`] for one thing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use dna::Service;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, SupportedProtocolVersion};
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use xmpp::element::Element;
use xmpp::framing::{Frame, Framer, Limits};
use xmpp::jid::DomainName;
use xmpp::{ns, timestamp::Timestamp};

use super::dns::{Place, hex};
use super::hello;
use crate::net::tls::AnyServer;

/// Connecting, and each answer after that.
pub(super) const PATIENCE: Duration = Duration::from_secs(6);
/// An element of a stranger's stream is no larger than this, in bytes.
const ELEMENT_BYTES: usize = 64 * 1024;

/// What was met at one address.
#[derive(Debug, Clone, Serialize)]
pub struct Visit {
    /// Address and port.
    pub address: SocketAddr,
    /// Where it ended, if it did not get through.
    pub trouble: Option<Trouble>,
    /// `TLS 1.3`.
    pub tls: String,
    /// Cipher suite.
    pub cipher: String,
    /// Protocol that was agreed on (direct TLS).
    pub alpn: Option<String>,
    /// Versions of TLS that it takes.
    pub accepts: Accepts,
    /// Certificates as shown, leaf first.
    pub chain: Vec<Certificate>,
    /// What the stream offers behind TLS.
    pub offered: Offered,
    /// What each prooftype makes of this.
    pub verdicts: Vec<super::ProofVerdict>,
    #[serde(skip)]
    pub(super) der: Vec<Vec<u8>>,
}

/// Why it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// `connect`, `starttls`, `tls`, `stream`.
    pub step: &'static str,
    /// Stable code.
    pub code: &'static str,
    /// What was seen.
    pub text: String,
}

impl Trouble {
    fn new(step: &'static str, code: &'static str, text: impl Into<String>) -> Self {
        Self {
            step,
            code,
            text: text.into(),
        }
    }
}

/// Versions of TLS; `None`: could not be told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Accepts {
    /// TLS 1.3.
    pub tls13: Option<bool>,
    /// TLS 1.2.
    pub tls12: Option<bool>,
    /// TLS 1.1 or 1.0, which nobody should take any more (RFC 8996).
    pub older: Option<bool>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Certificate {
    /// Names that count for XMPP.
    pub names: Vec<String>,
    /// Who issued it.
    pub issuer: String,
    /// Kind of key.
    pub key: String,
    /// Valid from.
    pub not_before: String,
    /// Valid until.
    pub not_after: String,
    /// Days left; negative when expired.
    pub days_left: i64,
    /// Its whole life in days.
    pub lifetime_days: i64,
    /// SHA-256 of the certificate, hex.
    pub sha256: String,
    /// SHA-256 of its public key, hex: what TLSA 3 1 1 holds.
    pub spki_sha256: String,
}

/// What the stream offers behind TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Offered {
    /// SASL mechanisms.
    pub mechanisms: Vec<String>,
    /// Channel bindings (XEP-0440).
    pub channel_bindings: Vec<String>,
    /// Dialback, as a feature or by its namespace.
    pub dialback: bool,
    /// Bidirectional streams (XEP-0288).
    pub bidi: bool,
    /// Stream management (XEP-0198).
    pub stream_management: bool,
    /// Registration by anybody (XEP-0077).
    pub registration: bool,
    /// SASL2 (XEP-0388).
    pub sasl2: bool,
    /// Largest stanza, bytes (XEP-0478).
    pub max_bytes: Option<u64>,
    /// Closed when idle for so long, seconds (XEP-0478).
    pub idle_seconds: Option<u64>,
    /// Names of all features, for what is not named above.
    pub features: Vec<String>,
}

pub(super) async fn visit(
    domain: &DomainName,
    service: Service,
    place: &Place,
    address: IpAddr,
) -> Visit {
    let visitor = Visitor {
        domain,
        service,
        direct: place.direct,
        address: SocketAddr::new(address, place.port),
    };
    let mut visit = Visit {
        address: visitor.address,
        trouble: None,
        tls: String::new(),
        cipher: String::new(),
        alpn: None,
        accepts: Accepts::default(),
        chain: Vec::new(),
        offered: Offered::default(),
        verdicts: Vec::new(),
        der: Vec::new(),
    };
    if let Err(trouble) = Box::pin(visitor.come_in(&mut visit)).await {
        visit.trouble = Some(trouble);
    }
    if !visit.tls.is_empty() {
        let new = visit.tls == "TLS 1.3";
        let (twelve, older) = futures_util::join!(
            Box::pin(visitor.takes_only(&rustls::version::TLS12)),
            Box::pin(visitor.takes_older())
        );
        visit.accepts = Accepts {
            tls13: Some(new),
            tls12: if new { twelve } else { Some(true) },
            older,
        };
    }
    visit
}

struct Visitor<'a> {
    domain: &'a DomainName,
    service: Service,
    direct: bool,
    address: SocketAddr,
}

impl Visitor<'_> {
    async fn come_in(&self, visit: &mut Visit) -> Result<(), Trouble> {
        let stream = self.at_tls().await?;
        let config = tls_config(self.alpn(), rustls::DEFAULT_VERSIONS)
            .map_err(|error| Trouble::new("tls", "tls-failed", error.to_string()))?;
        let stream = in_time("tls", "tls-failed", async {
            TlsConnector::from(config)
                .connect(self.server_name()?, stream)
                .await
        })
        .await?;
        let (_, connection) = stream.get_ref();
        visit.tls = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3".into(),
            _ => "TLS 1.2".into(),
        };
        visit.cipher = connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or_default()
            .to_owned();
        visit.alpn = connection
            .alpn_protocol()
            .map(|alpn| String::from_utf8_lossy(alpn).into_owned());
        visit.der = connection
            .peer_certificates()
            .unwrap_or_default()
            .iter()
            .map(|certificate| certificate.to_vec())
            .collect();
        let now = crate::net::now();
        visit.chain = visit
            .der
            .iter()
            .filter_map(|der| certificate(der, now))
            .collect();
        let mut stream = stream;
        let mut framer = framer();
        let (dialback, features) = self.features(&mut stream, &mut framer, "stream").await?;
        visit.offered = offered(&features, dialback);
        // Whoever hears the close need not wait for us.
        let _ = stream.write_all(b"</stream:stream>").await;
        Ok(())
    }

    /// A connection at the point where TLS begins.
    async fn at_tls(&self) -> Result<TcpStream, Trouble> {
        let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(self.address)).await;
        let mut stream = match connecting {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => {
                // Ours, not theirs: this machine has no way to that kind of address.
                let code = match error.kind() {
                    io::ErrorKind::NetworkUnreachable | io::ErrorKind::AddrNotAvailable => {
                        "no-route"
                    }
                    _ => "connect-failed",
                };
                return Err(Trouble::new("connect", code, error.to_string()));
            }
            Err(_) => return Err(Trouble::new("connect", "connect-failed", "no answer")),
        };
        let _ = stream.set_nodelay(true);
        if self.direct {
            return Ok(stream);
        }
        let mut framer = framer();
        let (_, features) = self.features(&mut stream, &mut framer, "starttls").await?;
        if features.find("starttls", ns::TLS).is_none() {
            return Err(Trouble::new(
                "starttls",
                "starttls-missing",
                "the server does not offer STARTTLS",
            ));
        }
        let request = format!("<starttls xmlns='{}'/>", ns::TLS);
        let answer = in_time("starttls", "stream-broken", async {
            stream.write_all(request.as_bytes()).await?;
            next_element(&mut stream, &mut framer).await
        })
        .await?
        .1;
        if answer.name() == "proceed" {
            Ok(stream)
        } else {
            Err(Trouble::new(
                "starttls",
                "starttls-missing",
                format!("STARTTLS is answered by <{}/>", answer.name()),
            ))
        }
    }

    /// Opens a stream to the domain; whether its header speaks of dialback, and its features.
    async fn features<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        framer: &mut Framer,
        step: &'static str,
    ) -> Result<(bool, Element), Trouble> {
        let (content, more) = match self.service {
            Service::Client => (ns::CLIENT, String::new()),
            Service::Server => (ns::SERVER, format!(" xmlns:db='{}'", ns::DIALBACK)),
        };
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='{content}'{more} xmlns:stream='{}' to='{}' version='1.0'>",
            ns::STREAM,
            self.domain
        );
        let (dialback, element) = in_time(step, "stream-broken", async {
            stream.write_all(header.as_bytes()).await?;
            next_element(stream, framer).await
        })
        .await?;
        if element.name() == "features" {
            return Ok((dialback, element));
        }
        let condition = element
            .children()
            .find(|child| child.name() != "text")
            .map_or("something else", Element::name);
        let said = element
            .find("text", ns::STREAM_ERRORS)
            .map(|text| format!(" ({})", text.text_content()))
            .unwrap_or_default();
        let code = match condition {
            "host-unknown" | "host-gone" => "host-unknown",
            _ => "stream-error",
        };
        Err(Trouble::new(
            step,
            code,
            format!("the server answers with a stream error: {condition}{said}"),
        ))
    }

    /// Whether it takes this version alone.
    async fn takes_only(&self, version: &'static SupportedProtocolVersion) -> Option<bool> {
        let stream = self.at_tls().await.ok()?;
        let config = tls_config(self.alpn(), &[version]).ok()?;
        let connecting = TlsConnector::from(config).connect(self.server_name().ok()?, stream);
        match tokio::time::timeout(PATIENCE, connecting).await {
            Ok(Ok(_)) => Some(true),
            Ok(Err(_)) => Some(false),
            Err(_) => None,
        }
    }

    async fn takes_older(&self) -> Option<bool> {
        let stream = self.at_tls().await.ok()?;
        let name = self.domain.to_ascii();
        let asking = hello::takes_old(stream, &name, rand::random());
        tokio::time::timeout(PATIENCE, asking).await.ok()?
    }

    fn alpn(&self) -> Option<&'static [u8]> {
        self.direct.then(|| self.service.name().as_bytes())
    }

    fn server_name(&self) -> io::Result<ServerName<'static>> {
        ServerName::try_from(self.domain.to_ascii().into_owned()).map_err(io::Error::other)
    }
}

/// Some work within [`PATIENCE`].
async fn in_time<T>(
    step: &'static str,
    code: &'static str,
    work: impl Future<Output = io::Result<T>>,
) -> Result<T, Trouble> {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Trouble::new(step, code, error.to_string())),
        Err(_) => Err(Trouble::new(step, code, "the server falls silent")),
    }
}

fn framer() -> Framer {
    Framer::new(Limits {
        element_bytes: ELEMENT_BYTES,
        ..Limits::default()
    })
}

/// The next element, and whether a header before it declared dialback.
async fn next_element<S: AsyncRead + Unpin>(
    stream: &mut S,
    framer: &mut Framer,
) -> io::Result<(bool, Element)> {
    let mut buffer = [0; 4096];
    let mut dialback = false;
    loop {
        loop {
            let frame = framer
                .next()
                .map_err(|error| io::Error::other(format!("its XML is not understood: {error}")))?;
            match frame {
                Some(Frame::Element(element)) => return Ok((dialback, element.to_element())),
                Some(Frame::Header(header)) => {
                    dialback |= header.dialback;
                }
                Some(Frame::Close) => {
                    return Err(io::Error::other("the server closes the stream"));
                }
                None => break,
            }
        }
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(io::Error::other("the server closes the connection"));
        }
        framer.push(buffer.get(..read).unwrap_or_default());
    }
}

fn offered(features: &Element, dialback: bool) -> Offered {
    let texts = |parent: Option<&Element>, name: &str| -> Vec<String> {
        parent
            .into_iter()
            .flat_map(Element::children)
            .filter(|child| child.name() == name)
            .map(Element::text_content)
            .collect()
    };
    let has = |namespace: &str| features.children().any(|child| child.ns() == namespace);
    let limits = features.find("limits", ns::STREAM_LIMITS);
    let limit = |name: &str| {
        texts(limits, name)
            .first()
            .and_then(|text| text.parse().ok())
    };
    Offered {
        mechanisms: texts(features.find("mechanisms", ns::SASL), "mechanism"),
        channel_bindings: features
            .find("sasl-channel-binding", ns::SASL_CB)
            .into_iter()
            .flat_map(Element::children)
            .filter_map(|child| child.get_attr("type").map(str::to_owned))
            .collect(),
        dialback: dialback || has(ns::DIALBACK_FEATURE),
        bidi: has(ns::BIDI_FEATURE),
        stream_management: has(ns::STREAM_MANAGEMENT),
        registration: features.children().any(|child| child.name() == "register"),
        sasl2: has("urn:xmpp:sasl:2"),
        max_bytes: limit("max-bytes"),
        idle_seconds: limit("idle-seconds"),
        features: features
            .children()
            .map(|child| child.name().to_owned())
            .collect(),
    }
}

fn certificate(der: &[u8], now: Timestamp) -> Option<Certificate> {
    let seen = dna::pkix::describe(der)?;
    let days = |from: Timestamp, to: Timestamp| (to.0 - from.0).div_euclid(86_400_000_000);
    Some(Certificate {
        names: seen.names.iter().map(ToString::to_string).collect(),
        issuer: seen.issuer,
        key: seen.key,
        not_before: seen.not_before.to_xep0082(),
        not_after: seen.not_after.to_xep0082(),
        days_left: days(now, seen.not_after),
        lifetime_days: days(seen.not_before, seen.not_after),
        sha256: hex(&seen.sha256),
        spki_sha256: hex(&seen.spki_sha256),
    })
}

/// Takes any certificate.
fn tls_config(
    alpn: Option<&[u8]>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = Arc::new(AnyServer::new(provider.clone()));
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = alpn.map(<[u8]>::to_vec).into_iter().collect();
    Ok(Arc::new(config))
}
