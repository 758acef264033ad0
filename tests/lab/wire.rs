//! One s2s connection as bytes, at either end, with any certificate or none. It checks nothing by itself: what a peer must
//! refuse has to be sayable here.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use base64::Engine as _;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, ServerConfig,
    ServerConnection, SignatureScheme, StreamOwned,
};

use crate::authority::Identity;
use crate::harness::DEADLINE;
use crate::harness::xmpp::item_end;

pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
pub const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";

enum Socket {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
    Gone,
}

/// A connection between servers.
pub struct Wire {
    socket: Socket,
    buffer: Vec<u8>,
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
        tcp.set_read_timeout(Some(DEADLINE)).expect("timeout");
        tcp.set_nodelay(true).expect("nodelay");
        Self {
            socket: Socket::Plain(tcp),
            buffer: Vec::new(),
            seen: Vec::new(),
        }
    }

    fn take_plain(&mut self) -> TcpStream {
        match std::mem::replace(&mut self.socket, Socket::Gone) {
            Socket::Plain(tcp) => tcp,
            _ => panic!("TLS is up already"),
        }
    }

    /// Handshake as the side that connects.
    pub fn tls_client(
        &mut self,
        identity: Option<&Identity>,
        name: &str,
        alpn: &[&str],
    ) -> io::Result<()> {
        let mut tcp = self.take_plain();
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
        let name = ServerName::try_from(name.to_owned()).expect("name");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("TLS");
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        self.socket = Socket::Client(Box::new(StreamOwned::new(tls, tcp)));
        Ok(())
    }

    /// Handshake as the side that was connected to.
    pub fn tls_server(&mut self, identity: &Identity) -> io::Result<()> {
        let mut tcp = self.take_plain();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(Arc::new(Anything))
            .with_single_cert(identity.chain.clone(), identity.key())
            .expect("identity");
        let mut tls = ServerConnection::new(Arc::new(config)).expect("TLS");
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        self.socket = Socket::Server(Box::new(StreamOwned::new(tls, tcp)));
        Ok(())
    }

    /// What the other side presented, leaf first.
    pub fn presented(&self) -> Vec<CertificateDer<'static>> {
        let shown = match &self.socket {
            Socket::Client(s) => s.conn.peer_certificates(),
            Socket::Server(s) => s.conn.peer_certificates(),
            _ => None,
        };
        shown.map(<[_]>::to_vec).unwrap_or_default()
    }

    /// Writes; `false` when the other side has gone.
    pub fn say(&mut self, text: &str) -> bool {
        let bytes = text.as_bytes();
        match &mut self.socket {
            Socket::Plain(s) => s.write_all(bytes),
            Socket::Client(s) => s.write_all(bytes).and_then(|()| s.flush()),
            Socket::Server(s) => s.write_all(bytes).and_then(|()| s.flush()),
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
        .is_ok()
    }

    /// The next whole item: a header, an element, the end of the stream; `None` at the end of the connection.
    pub fn next(&mut self) -> Option<String> {
        let end = Instant::now() + DEADLINE;
        loop {
            let skip = self
                .buffer
                .iter()
                .take_while(|b| b.is_ascii_whitespace())
                .count();
            self.buffer.drain(..skip);
            if let Some(n) = item_end(&self.buffer) {
                let item: Vec<u8> = self.buffer.drain(..n).collect();
                let item = String::from_utf8(item).expect("UTF-8");
                self.seen.push(item.clone());
                return Some(item);
            }
            if Instant::now() > end {
                return None;
            }
            let mut chunk = [0u8; 16384];
            let read = match &mut self.socket {
                Socket::Plain(s) => s.read(&mut chunk),
                Socket::Client(s) => s.read(&mut chunk),
                Socket::Server(s) => s.read(&mut chunk),
                Socket::Gone => Ok(0),
            };
            match read {
                Ok(n) if n > 0 => self.buffer.extend_from_slice(&chunk[..n]),
                _ => return None,
            }
        }
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
        if let Some(value) =
            crate::harness::xmpp::between(item, &format!(" {name}={quote}"), &quote.to_string())
        {
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
