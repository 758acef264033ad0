//! One s2s connection as bytes, at either end, with any certificate or none. It checks nothing by itself: what a peer must
//! refuse has to be sayable here.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme,
};

use crate::harness::DEADLINE;
use crate::harness::line::{Line, between};
use crate::lab::authority::Identity;

pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

/// A connection between servers.
pub struct Wire {
    line: Line,
    /// Everything that arrived, in order.
    pub seen: Vec<String>,
}

impl Wire {
    pub fn connect(to: SocketAddr) -> Self {
        let tcp = TcpStream::connect_timeout(&to, DEADLINE).unwrap_or_else(|e| panic!("{to}: {e}"));
        Self::over(tcp)
    }

    /// From an address of its own, so that limits per address do not mix tests up.
    pub fn connect_from(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = socket2::Socket::new(
            socket2::Domain::for_address(to),
            socket2::Type::STREAM,
            None,
        )?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect_timeout(&to.into(), DEADLINE)?;
        Ok(Self::over(socket.into()))
    }

    pub fn over(tcp: TcpStream) -> Self {
        Self {
            line: Line::over(tcp),
            seen: Vec::new(),
        }
    }

    /// Handshake as the side that connects.
    pub fn tls_client(
        &mut self,
        identity: Option<&Identity>,
        name: &str,
        alpn: &[&str],
    ) -> io::Result<()> {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anything));
        let mut config = match identity {
            Some(identity) => builder
                .with_client_auth_cert(identity.chain.clone(), identity.key())
                .expect("identity"),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        self.line.tls_client(config, name)
    }

    /// Handshake as the side that was connected to.
    pub fn tls_server(&mut self, identity: &Identity) -> io::Result<()> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(Arc::new(Anything))
            .with_single_cert_with_ocsp(
                identity.chain.clone(),
                identity.key(),
                identity.staple.clone(),
            )
            .expect("identity");
        self.line.tls_server(config)
    }

    /// What the other side presented, leaf first.
    pub fn presented(&self) -> Vec<CertificateDer<'static>> {
        self.line.presented()
    }

    /// Writes; `false` when the other side has gone.
    pub fn say(&mut self, text: &str) -> bool {
        self.line.write(text.as_bytes()).is_ok()
    }

    /// The next whole item: a header, an element, the end of the stream; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<String> {
        let item = self.line.next().ok()?;
        self.seen.push(item.clone());
        Some(item)
    }

    /// The next item, which must be there.
    pub fn item(&mut self) -> String {
        self.next()
            .unwrap_or_else(|| panic!("the other side closed after {:#?}", self.seen))
    }

    /// Reads on until an item contains `needle`.
    pub fn until(&mut self, needle: &str) -> String {
        loop {
            let item = self.item();
            if item.contains(needle) {
                return item;
            }
        }
    }

    /// All that comes until the other side closes.
    pub fn rest(&mut self) -> String {
        let mut all = String::new();
        while let Some(item) = self.next() {
            all += &item;
        }
        all
    }
}

/// The calling side of a stream between servers.
impl Wire {
    /// Sends a header and gives the answer's stream id, with the features behind it or the error.
    pub fn open(&mut self, from: &str, to: &str) -> Opened {
        self.say(&header(from, to, None));
        let answer = self.item();
        let id = attribute(&answer, "id").unwrap_or_default();
        let features = self.item();
        Opened { id, features }
    }

    /// Header, STARTTLS, handshake, header.
    pub fn secure(&mut self, from: &str, to: &str, identity: Option<&Identity>) -> Opened {
        let before = self.open(from, to);
        assert!(before.features.contains("<starttls"), "{}", before.features);
        self.say(STARTTLS);
        let proceed = self.item();
        assert!(proceed.contains("<proceed"), "{proceed}");
        self.tls_client(identity, to, &[]).expect("handshake");
        self.open(from, to)
    }

    /// SASL EXTERNAL for `from`; gives the answer.
    pub fn external(&mut self, from: &str) -> String {
        let authzid = base64::engine::general_purpose::STANDARD.encode(from);
        self.say(&format!(
            "<auth xmlns='{SASL}' mechanism='EXTERNAL'>{authzid}</auth>"
        ));
        self.item()
    }
}

/// What came back for a header.
pub struct Opened {
    pub id: String,
    /// Features, or a stream error.
    pub features: String,
}

impl Opened {
    pub fn offers_external(&self) -> bool {
        self.features.contains(">EXTERNAL<")
    }

    pub fn offers_dialback(&self) -> bool {
        self.features.contains("urn:xmpp:features:dialback")
    }

    pub fn refused(&self) -> bool {
        self.features.contains("<stream:error")
    }
}

/// A stream header between servers; with an id it is an answer.
pub fn header(from: &str, to: &str, id: Option<&str>) -> String {
    let id = id.map(|id| format!(" id='{id}'")).unwrap_or_default();
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:db='jabber:server:dialback' \
         xmlns:stream='http://etherx.jabber.org/streams' from='{from}' to='{to}'{id} version='1.0'>"
    )
}

/// Value of an attribute of the first tag in `item` that has it.
pub fn attribute(item: &str, name: &str) -> Option<String> {
    for quote in ['\'', '"'] {
        if let Some(value) = between(item, &format!(" {name}={quote}"), &quote.to_string()) {
            return Some(value.to_owned());
        }
    }
    None
}

/// The defined condition in a stream error, SASL failure or stanza error, as its element's name.
pub fn condition(item: &str) -> String {
    let from = item
        .find("<stream:error")
        .or_else(|| item.find("<error"))
        .or_else(|| item.find("<failure"))
        .unwrap_or(0);
    let inside = &item[from..];
    let inside = &inside[inside.find('>').map_or(0, |at| at + 1)..];
    inside
        .trim_start()
        .trim_start_matches('<')
        .split([' ', '/', '>'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Accepts what it is shown.
#[derive(Debug)]
struct Anything;

impl Anything {
    fn schemes() -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

impl ServerCertVerifier for Anything {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}

impl ClientCertVerifier for Anything {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        Self::schemes()
    }
}
