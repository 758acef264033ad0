//! One connection of the load: TCP, STARTTLS, SCRAM-SHA-256, bind, and then whole items in and bytes out.
//!
//! Each step of a login waits for the answer of the one before, as common clients do. TLS is 1.3 with X25519, which all
//! three servers speak, without resumption: every handshake is a full one.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::Outcome;
use crate::scan::{self, Kind};
use crate::scram::{Exchange, Known};

/// No login takes longer than this.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes asked of a socket at once.
const READ: usize = 16 * 1024;

/// What is needed to be a client of one server.
#[derive(Clone)]
pub struct Gate(Rc<Inner>);

struct Inner {
    server: SocketAddr,
    domain: String,
    tls: TlsConnector,
    known: Rc<Known>,
    /// Each connection comes from another address.
    spread: bool,
    turn: Cell<u32>,
}

/// A TLS client configuration that trusts the certificates in the file and nobody else.
pub fn tls(roots: &Path) -> Outcome<rustls::ClientConfig> {
    let mut anchors = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(roots)? {
        anchors.add(certificate?)?;
    }
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(anchors)
        .with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

impl Gate {
    /// The way to `domain` at `server`, whose certificate is of an authority in the file `roots`.
    pub fn new(server: SocketAddr, domain: &str, roots: &Path) -> Outcome<Self> {
        Ok(Self(Rc::new(Inner {
            server,
            domain: domain.to_owned(),
            tls: TlsConnector::from(Arc::new(tls(roots)?)),
            known: Rc::default(),
            spread: false,
            turn: Cell::new(0),
        })))
    }

    /// The same way to another domain.
    pub fn to(&self, domain: &str) -> Self {
        Self(Rc::new(Inner {
            server: self.0.server,
            domain: domain.to_owned(),
            tls: self.0.tls.clone(),
            known: self.0.known.clone(),
            spread: self.0.spread,
            turn: Cell::new(0),
        }))
    }

    /// The same way, each connection from an address of its own.
    pub fn spread(&self) -> Self {
        Self(Rc::new(Inner {
            server: self.0.server,
            domain: self.0.domain.clone(),
            tls: self.0.tls.clone(),
            known: self.0.known.clone(),
            spread: true,
            turn: Cell::new(0),
        }))
    }

    /// Where it leads.
    pub fn server(&self) -> SocketAddr {
        self.0.server
    }

    /// The domain.
    pub fn domain(&self) -> &str {
        &self.0.domain
    }

    /// TCP, a stream, STARTTLS, a second stream: everything before the login. Returns the connection and what is offered.
    pub async fn greet(&self) -> Outcome<(Connection, String)> {
        let inner = &self.0;
        let socket = TcpSocket::new_v4()?;
        if inner.spread {
            // As if from many networks: limits per address are not what is looked for.
            let turn = inner.turn.get();
            inner.turn.set(turn.wrapping_add(1));
            let [_, high, low, _] = (turn % 60_000 + 300).to_be_bytes();
            let last = (turn % 250) as u8 + 1;
            socket.bind((Ipv4Addr::new(127, high + 200, low, last), 0).into())?;
        }
        let tcp = socket.connect(inner.server).await?;
        tcp.set_nodelay(true)?;
        let mut connection = Connection::new(Io::Plain(tcp));
        connection.open(&inner.domain).await?;
        connection
            .send(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
            .await?;
        let answer = connection.element().await?;
        if !answer.starts_with("<proceed") {
            return Err(format!("STARTTLS: {answer}").into());
        }
        let Io::Plain(tcp) = std::mem::replace(&mut connection.io, Io::Gone) else {
            return Err("TLS twice".into());
        };
        let name = ServerName::try_from(inner.domain.clone())?;
        connection.io = Io::Tls(Box::new(inner.tls.connect(name, tcp).await?));
        let features = connection.open(&inner.domain).await?;
        Ok((connection, features))
    }

    /// A request to the domain's web door at this port of the same server, `GET /path` or the like, and all that comes back.
    pub async fn web(&self, port: u16, request: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        let inner = &self.0;
        let tcp = TcpStream::connect((inner.server.ip(), port)).await?;
        let name = ServerName::try_from(inner.domain.clone())?;
        let mut tls = inner.tls.connect(name, tcp).await?;
        let head = format!(
            "{request} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            inner.domain,
            body.len()
        );
        tls.write_all(head.as_bytes()).await?;
        tls.write_all(body).await?;
        tls.flush().await?;
        let mut answer = Vec::new();
        match tls.read_to_end(&mut answer).await {
            // The answer says how long it is; whoever asked compares it.
            Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => Err(error.into()),
            _ => Ok(answer),
        }
    }

    /// Logs in as far as a stream on which a session may be bound or resumed.
    pub async fn authenticate(&self, user: &str, password: &str) -> Outcome<Connection> {
        let work = async {
            let (mut connection, features) = self.greet().await?;
            if !features.contains(">SCRAM-SHA-256<") {
                return Err(format!("SCRAM-SHA-256 is not offered: {features}").into());
            }
            let (mut exchange, first) = Exchange::begin(user)?;
            let auth = format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='SCRAM-SHA-256'>{}</auth>",
                BASE64.encode(first)
            );
            connection.send(auth.as_bytes()).await?;
            let challenge = connection.sasl("challenge").await?;
            let answer = exchange.answer(&self.0.known, password, &challenge)?;
            let response = format!(
                "<response xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{}</response>",
                BASE64.encode(answer)
            );
            connection.send(response.as_bytes()).await?;
            exchange.verify(&connection.sasl("success").await?)?;
            connection.open(&self.0.domain).await?;
            Ok(connection)
        };
        patiently(user, &self.0.domain, work).await
    }

    /// Logs in and binds; no presence yet.
    pub async fn log_in(&self, user: &str, password: &str) -> Outcome<Client> {
        let mut connection = self.authenticate(user, password).await?;
        let work = async {
            connection
                .send(b"<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
                .await?;
            let bound = connection.element().await?;
            let jid = scan::text(bound.as_bytes(), "jid")
                .map(|text| String::from_utf8_lossy(text).into_owned())
                .ok_or_else(|| format!("bind: {bound}"))?;
            Ok(Client { connection, jid })
        };
        patiently(user, &self.0.domain, work).await
    }

    /// Logs in and says that it is available; what comes of it is left to be read.
    pub async fn online_raw(&self, user: &str, password: &str) -> Outcome<Client> {
        let mut client = self.log_in(user, password).await?;
        client.connection.send(b"<presence/>").await?;
        Ok(client)
    }

    /// Logs in and is available.
    pub async fn online(&self, user: &str, password: &str) -> Outcome<Client> {
        let mut client = self.log_in(user, password).await?;
        client.connection.send(b"<presence/>").await?;
        // The server reflects it to the session itself when it has taken it (RFC 6121 4.2.2).
        loop {
            let item = client.connection.element().await?;
            let own = scan::attribute(item.as_bytes(), "from") == Some(client.jid.as_bytes());
            if own && scan::is(item.as_bytes(), "presence") {
                return Ok(client);
            }
        }
    }
}

/// Not for ever, and with whose log-in it was.
async fn patiently<T>(
    user: &str,
    domain: &str,
    work: impl Future<Output = Outcome<T>>,
) -> Outcome<T> {
    let done = tokio::time::timeout(PATIENCE, work).await;
    let done = done.unwrap_or_else(|_| Err("no end within a minute".into()));
    done.map_err(|error| format!("{user}@{domain} cannot log in: {error}").into())
}

/// A bound session.
pub struct Client {
    /// Its stream.
    pub connection: Connection,
    /// Its full address.
    pub jid: String,
}

impl Client {
    /// The address without the resource.
    pub fn bare(&self) -> &str {
        self.jid.split('/').next().unwrap_or_default()
    }

    /// Sends a request and waits for the answer to it; what comes in between is passed over.
    pub async fn ask(&mut self, request: &str, id: &str) -> Outcome<String> {
        self.connection.send(request.as_bytes()).await?;
        loop {
            let item = self.connection.element().await?;
            let mine = scan::attribute(item.as_bytes(), "id") == Some(id.as_bytes());
            if mine && scan::is(item.as_bytes(), "iq") {
                return Ok(item);
            }
        }
    }

    /// Everything sent so far has been worked through when this returns; what came meanwhile is passed over.
    pub async fn settle(&mut self) -> Outcome<()> {
        let ping = format!(
            "<iq type='get' id='settle' to='{}'><ping xmlns='urn:xmpp:ping'/></iq>",
            self.bare().split_once('@').map_or("", |(_, domain)| domain)
        );
        self.ask(&ping, "settle").await.map(drop)
    }

    /// Messages that come before everything sent so far has been worked through.
    pub async fn until_settled(&mut self) -> Outcome<usize> {
        let domain = self.bare().split_once('@').map_or("", |(_, domain)| domain);
        let ping =
            format!("<iq type='get' id='settled' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>");
        self.connection.send(ping.as_bytes()).await?;
        let mut messages = 0;
        loop {
            let item = self.connection.element().await?;
            if scan::is(item.as_bytes(), "message") {
                messages += 1;
            } else if scan::attribute(item.as_bytes(), "id") == Some(b"settled") {
                return Ok(messages);
            }
        }
    }

    /// Says goodbye and waits until the server has closed.
    pub async fn log_out(mut self) -> Outcome<()> {
        self.connection.close().await
    }
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Gone,
}

/// One stream.
pub struct Connection {
    io: Io,
    buffer: Vec<u8>,
    taken: usize,
}

impl Connection {
    fn new(io: Io) -> Self {
        Self {
            io,
            buffer: Vec::new(),
            taken: 0,
        }
    }

    /// Opens a stream and waits for the features.
    async fn open(&mut self, domain: &str) -> Outcome<String> {
        if self.taken != self.buffer.len() {
            return Err("the server spoke before the stream was opened again".into());
        }
        let header = format!(
            "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xml:lang='en' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'>"
        );
        self.send(header.as_bytes()).await?;
        let (kind, _) = self.item().await?;
        if kind != Kind::Header {
            return Err("the server answered without a stream header".into());
        }
        self.element().await
    }

    /// The decoded content of the SASL element that is due.
    async fn sasl(&mut self, name: &str) -> Outcome<String> {
        let item = self.element().await?;
        if !scan::is(item.as_bytes(), name) {
            return Err(format!("{name} was due: {item}").into());
        }
        let inside = scan::text(item.as_bytes(), name).unwrap_or_default();
        Ok(String::from_utf8(BASE64.decode(inside)?)?)
    }

    /// Writes all of it, as one TLS record if it fits.
    pub async fn send(&mut self, bytes: &[u8]) -> Outcome<()> {
        match &mut self.io {
            Io::Plain(tcp) => tcp.write_all(bytes).await?,
            Io::Tls(tls) => {
                tls.write_all(bytes).await?;
                tls.flush().await?;
            }
            Io::Gone => return Err("the connection is gone".into()),
        }
        Ok(())
    }

    /// The next whole item, if it is here already. The range is valid until the next call that reads.
    pub fn ready(&mut self) -> Option<(Kind, Range<usize>)> {
        let (kind, start, end) = scan::next(&self.buffer[self.taken..])?;
        let range = self.taken + start..self.taken + end;
        self.taken = range.end;
        Some((kind, range))
    }

    /// The bytes of an item.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buffer[range]
    }

    /// Waits for bytes. 0: the server has closed.
    pub async fn read(&mut self) -> Outcome<usize> {
        if self.taken == self.buffer.len() {
            self.buffer.clear();
        } else {
            self.buffer.drain(..self.taken);
        }
        self.taken = 0;
        self.buffer.reserve(READ);
        Ok(match &mut self.io {
            Io::Plain(tcp) => tcp.read_buf(&mut self.buffer).await?,
            Io::Tls(tls) => match tls.read_buf(&mut self.buffer).await {
                Ok(n) => n,
                // Some servers end TCP without ending TLS first.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => 0,
                Err(error) => return Err(error.into()),
            },
            Io::Gone => 0,
        })
    }

    /// The next whole item.
    pub async fn item(&mut self) -> Outcome<(Kind, Range<usize>)> {
        loop {
            if let Some(item) = self.ready() {
                return Ok(item);
            }
            if self.read().await? == 0 {
                return Err("the server closed the connection".into());
            }
        }
    }

    /// The next element; the end of the stream is an error.
    pub async fn element(&mut self) -> Outcome<String> {
        let (kind, range) = self.item().await?;
        let text = String::from_utf8_lossy(self.bytes(range)).into_owned();
        match kind {
            Kind::Element if scan::is(text.as_bytes(), "error") => {
                Err(format!("the server ends the stream: {text}").into())
            }
            Kind::Element => Ok(text),
            Kind::Header | Kind::Close => Err(format!("an element was due: {text}").into()),
        }
    }

    /// Gives back the memory of an idle connection's buffer.
    pub fn rest(&mut self) {
        if self.taken == self.buffer.len() {
            self.buffer = Vec::new();
            self.taken = 0;
        }
    }

    /// Ends the stream and waits until the server has closed.
    pub async fn close(&mut self) -> Outcome<()> {
        self.send(b"</stream:stream>").await?;
        loop {
            while let Some((kind, _)) = self.ready() {
                if kind == Kind::Close {
                    // The connection is closed by whoever hears the goodbye's answer.
                    self.io = Io::Gone;
                    return Ok(());
                }
            }
            if self.read().await? == 0 {
                return Ok(());
            }
        }
    }
}
