//! A TCP connection at either end, plain or under TLS: bytes out, whole top-level items in. It knows XML only as far as
//! finding their ends, and judges nothing; whose rules apply is said by who uses it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection, StreamOwned};

use super::DEADLINE;

enum Socket {
    Plain(TcpStream),
    Client(Box<StreamOwned<ClientConnection, TcpStream>>),
    Server(Box<StreamOwned<ServerConnection, TcpStream>>),
    Gone,
}

/// One connection, before or after TLS.
pub struct Line {
    socket: Socket,
    buffer: Vec<u8>,
}

/// Why there is no further item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// The other side closed.
    Closed,
    /// Nothing complete came within the deadline.
    Quiet,
}

impl Line {
    pub fn over(tcp: TcpStream) -> Self {
        tcp.set_read_timeout(Some(DEADLINE)).expect("timeout");
        tcp.set_nodelay(true).expect("nodelay");
        Self {
            socket: Socket::Plain(tcp),
            buffer: Vec::new(),
        }
    }

    fn take_plain(&mut self) -> TcpStream {
        match std::mem::replace(&mut self.socket, Socket::Gone) {
            Socket::Plain(tcp) => tcp,
            _ => panic!("TLS is up already"),
        }
    }

    /// Handshake as the side that connected; `name` goes out as SNI.
    pub fn tls_client(&mut self, config: ClientConfig, name: &str) -> io::Result<()> {
        let mut tcp = self.take_plain();
        let name = ServerName::try_from(name.to_owned()).expect("server name");
        let mut tls = ClientConnection::new(Arc::new(config), name).expect("TLS");
        while tls.is_handshaking() {
            tls.complete_io(&mut tcp)?;
        }
        self.socket = Socket::Client(Box::new(StreamOwned::new(tls, tcp)));
        Ok(())
    }

    /// Handshake as the side that was connected to.
    pub fn tls_server(&mut self, config: ServerConfig) -> io::Result<()> {
        let mut tcp = self.take_plain();
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

    /// Writes bytes that the other side may refuse by closing.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Plain(s) => s.write_all(bytes),
            Socket::Client(s) => s.write_all(bytes).and_then(|()| s.flush()),
            Socket::Server(s) => s.write_all(bytes).and_then(|()| s.flush()),
            Socket::Gone => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// The next whole item: a stream header, a complete element, `</stream:stream>`.
    pub fn next(&mut self) -> Result<String, Ended> {
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
                return Ok(String::from_utf8(item).expect("UTF-8"));
            }
            if Instant::now() > end {
                return Err(Ended::Quiet);
            }
            let mut chunk = [0u8; 16384];
            let read = match &mut self.socket {
                Socket::Plain(s) => s.read(&mut chunk),
                Socket::Client(s) => s.read(&mut chunk),
                Socket::Server(s) => s.read(&mut chunk),
                Socket::Gone => Ok(0),
            };
            match read {
                Ok(0) => return Err(Ended::Closed),
                Ok(n) => self.buffer.extend_from_slice(&chunk[..n]),
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                    ) =>
                {
                    return Err(Ended::Quiet);
                }
                Err(_) => return Err(Ended::Closed),
            }
        }
    }

    /// What has come of an item that is not complete.
    pub fn pending(&self) -> String {
        String::from_utf8_lossy(&self.buffer).into_owned()
    }
}

/// Text between two marks.
pub fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let from = text.find(start)? + start.len();
    Some(&text[from..from + text[from..].find(end)?])
}

/// Length of the first whole item, if it is all there.
pub fn item_end(buffer: &[u8]) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = 0;
    while at < buffer.len() {
        if buffer[at] != b'<' {
            at += 1;
            continue;
        }
        let end = tag_end(&buffer[at..])? + at;
        let tag = &buffer[at..end];
        at = end;
        if tag.starts_with(b"<?") {
            continue;
        }
        if tag.starts_with(b"<stream:stream") || tag.starts_with(b"</stream:stream") {
            return Some(at);
        }
        if tag.starts_with(b"</") {
            depth = depth.checked_sub(1).expect("the server's XML is balanced");
        } else if !tag.ends_with(b"/>") {
            depth += 1;
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

/// Index behind the `>` that ends a tag; `>` inside attribute values does not count.
fn tag_end(tag: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (i, &b) in tag.iter().enumerate() {
        match (quote, b) {
            (Some(q), _) if q == b => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(b),
            (None, b'>') => return Some(i + 1),
            (None, _) => {}
        }
    }
    None
}
