//! A client's raw XMPP connection, and a bound session on it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::{ClientConfig, RootCertStore};
use socket2::{Domain, Socket, Type};

use super::DEADLINE;
use super::demo::Demo;
pub use super::line::between;
use super::line::{Ended, Line};

/// One connection, before or after TLS.
pub struct Connection {
    line: Line,
    pub domain: String,
}

/// TLS client configuration that trusts `roots` and offers the given ALPN names.
pub fn tls_config(roots: Arc<RootCertStore>, alpn: &[&str]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    config
}

impl Connection {
    /// Opens a TCP connection; `domain` is what the stream header will name.
    pub fn open(addr: SocketAddr, domain: &str) -> Self {
        let tcp =
            TcpStream::connect_timeout(&addr, DEADLINE).unwrap_or_else(|e| panic!("{addr}: {e}"));
        Self {
            line: Line::over(tcp),
            domain: domain.into(),
        }
    }

    /// The same from an address of this machine that is named.
    pub fn open_from(from: Ipv4Addr, addr: SocketAddr, domain: &str) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let from = SocketAddr::from((from, 0));
        socket.bind(&from.into()).expect("an address of our own");
        socket
            .connect_timeout(&addr.into(), DEADLINE)
            .unwrap_or_else(|e| panic!("{addr} from {from}: {e}"));
        Self {
            line: Line::over(socket.into()),
            domain: domain.into(),
        }
    }

    /// Opens a direct TLS connection with SNI `name` (XEP-0368).
    pub fn open_tls(
        addr: SocketAddr,
        domain: &str,
        config: ClientConfig,
        name: &str,
    ) -> io::Result<Self> {
        let mut this = Self::open(addr, domain);
        this.start_tls(config, name)?;
        Ok(this)
    }

    /// Wraps the socket in TLS and completes the handshake.
    pub fn start_tls(&mut self, config: ClientConfig, name: &str) -> io::Result<()> {
        self.line.tls_client(config, name)
    }

    /// The leaf certificate that the other side presented (DER).
    pub fn peer_leaf(&self) -> Vec<u8> {
        self.line.presented().first().expect("certificate").to_vec()
    }

    pub fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes())
            .expect("the connection takes what is written");
    }

    /// Writes bytes that the server may refuse by closing.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.line.write(bytes)
    }

    /// The next whole item: a stream header, a complete element, `</stream:stream>`, or `None` at the end.
    pub fn next(&mut self) -> Option<String> {
        match self.line.next() {
            Ok(item) => Some(item),
            Err(Ended::Closed) => None,
            Err(Ended::Quiet) => panic!(
                "nothing complete within the deadline; have {:?}",
                self.line.pending()
            ),
        }
    }

    /// The next item, which must be there.
    pub fn item(&mut self) -> String {
        self.next()
            .expect("the server closed where it should have answered")
    }

    /// Reads on until an item contains `needle`; earlier items are dropped.
    pub fn until(&mut self, needle: &str) -> String {
        loop {
            let item = self.item();
            if item.contains(needle) {
                return item;
            }
        }
    }

    /// Everything up to the end of the stream.
    pub fn rest(&mut self) -> String {
        let mut all = String::new();
        while let Some(item) = self.next() {
            all.push_str(&item);
        }
        all
    }

    /// Sends an initial stream header to the connection's domain and returns the response header.
    pub fn header(&mut self) -> String {
        let domain = self.domain.clone();
        self.header_to(&domain)
    }

    pub fn header_to(&mut self, to: &str) -> String {
        self.send(&format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{to}' version='1.0'>"
        ));
        self.item()
    }

    /// Header, features, `<starttls/>`, `<proceed/>`, handshake.
    pub fn negotiate_tls(&mut self, roots: Arc<RootCertStore>) {
        self.header();
        let features = self.item();
        assert!(features.contains("<starttls"), "{features}");
        self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
        let proceed = self.item();
        assert!(proceed.contains("<proceed"), "{proceed}");
        let name = self.domain.clone();
        self.start_tls(tls_config(roots, &[]), &name)
            .expect("handshake with the domain's own certificate");
    }

    /// SASL PLAIN; the answer is returned, success or failure.
    pub fn plain(&mut self, user: &str, password: &str) -> String {
        let token = BASE64.encode(format!("\0{user}\0{password}"));
        self.send(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>"
        ));
        self.item()
    }
}

/// A bound session of an account.
pub struct Client {
    pub connection: Connection,
    /// The full JID that the server bound.
    pub jid: String,
    next_id: u32,
}

impl Client {
    /// STARTTLS, PLAIN, bind; no presence yet.
    pub fn login(demo: &Demo, jid: &str, resource: &str) -> Self {
        Self::login_with(demo, jid, demo.password(jid), resource)
    }

    pub fn login_with(demo: &Demo, jid: &str, password: &str, resource: &str) -> Self {
        Self::login_at(demo.info.c2s, demo.roots(), jid, password, resource)
    }

    /// The same at any server.
    pub fn login_at(
        addr: SocketAddr,
        roots: Arc<RootCertStore>,
        jid: &str,
        password: &str,
        resource: &str,
    ) -> Self {
        let (user, domain) = jid.split_once('@').expect("bare JID");
        let mut connection = Connection::open(addr, domain);
        connection.negotiate_tls(roots);
        Self::authenticate(connection, user, password, resource)
    }

    /// SASL and bind on a connection that is already encrypted.
    pub fn authenticate(
        mut connection: Connection,
        user: &str,
        password: &str,
        resource: &str,
    ) -> Self {
        connection.header();
        let features = connection.item();
        assert!(features.contains("PLAIN"), "{features}");
        let answer = connection.plain(user, password);
        assert!(answer.contains("<success"), "{answer}");
        connection.header();
        let features = connection.item();
        assert!(
            features.contains("urn:ietf:params:xml:ns:xmpp-bind"),
            "{features}"
        );
        connection.send(&format!(
            "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource>\
             </bind></iq>"
        ));
        let bound = connection.item();
        let jid = between(&bound, "<jid>", "</jid>")
            .unwrap_or_else(|| panic!("{bound}"))
            .to_owned();
        Self {
            connection,
            jid,
            next_id: 0,
        }
    }

    /// Login and initial presence, echoed by the server.
    pub fn online(demo: &Demo, jid: &str, resource: &str) -> Self {
        Self::login(demo, jid, resource).available()
    }

    /// Sends initial presence and waits for the server's echo.
    #[must_use]
    pub fn available(mut self) -> Self {
        self.send("<presence/>");
        let full = self.jid.clone();
        self.until(&format!("from='{full}'"));
        self
    }

    pub fn send(&mut self, stanza: &str) {
        self.connection.send(stanza);
    }

    pub fn until(&mut self, needle: &str) -> String {
        self.connection.until(needle)
    }

    /// Sends an iq with a fresh id and returns its answer; what arrives before is dropped.
    pub fn iq(&mut self, kind: &str, to: Option<&str>, payload: &str) -> String {
        self.next_id += 1;
        let id = format!("iq-{}", self.next_id);
        let to = to.map(|t| format!(" to='{t}'")).unwrap_or_default();
        self.send(&format!("<iq type='{kind}' id='{id}'{to}>{payload}</iq>"));
        self.until(&format!("id='{id}'"))
    }

    /// A round trip through the server: everything sent before it has been processed when it returns. Whatever
    /// arrived meanwhile is returned too.
    pub fn settle(&mut self) -> Vec<String> {
        self.next_id += 1;
        let id = format!("settle-{}", self.next_id);
        self.send(&format!(
            "<iq type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>"
        ));
        let mut seen = Vec::new();
        loop {
            let item = self.connection.item();
            if item.contains(&format!("id='{id}'")) {
                return seen;
            }
            seen.push(item);
        }
    }

    pub fn message(&mut self, to: &str, id: &str, body: &str) {
        self.send(&format!(
            "<message to='{to}' type='chat' id='{id}'><body>{body}</body></message>"
        ));
    }

    pub fn close(mut self) {
        self.send("</stream:stream>");
        let rest = self.connection.rest();
        assert!(rest.ends_with("</stream:stream>"), "{rest}");
    }
}
