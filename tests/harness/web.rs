//! The public web door: requests over HTTPS with a name of one's choice, and WebSockets with frames written by hand
//! (RFC 6455 5.2).

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::DEADLINE;
use super::demo::{Demo, Info, roots};
use super::http::Answer;
use super::serve::Served;
use super::xmpp::{between, tls_config};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Whose public door it is.
pub trait Place {
    fn info(&self) -> &Info;
}

impl Place for Demo {
    fn info(&self) -> &Info {
        &self.info
    }
}

impl Place for Served {
    fn info(&self) -> &Info {
        &self.info
    }
}

/// Address of the public door.
pub fn door(place: &impl Place) -> SocketAddr {
    let text = place.info().public.trim_start_matches("https://");
    text.parse().expect("an address")
}

/// A connection to the door under a name, whose certificate must hold for it.
pub fn connect(place: &impl Place, name: &str) -> Stream {
    let tcp = TcpStream::connect_timeout(&door(place), DEADLINE).expect("the public door");
    tcp.set_read_timeout(Some(DEADLINE)).expect("timeout");
    tcp.set_nodelay(true).expect("nodelay");
    let config = Arc::new(tls_config(roots(&place.info().ca), &["http/1.1"]));
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    StreamOwned::new(ClientConnection::new(config, name).expect("TLS"), tcp)
}

/// A request whose answer is yet to come.
pub struct Asked(Stream);

impl Asked {
    /// The answer, once it is there.
    pub fn answer(mut self) -> Answer {
        let mut bytes = Vec::new();
        let read = self.0.read_to_end(&mut bytes);
        let text = String::from_utf8_lossy(&bytes);
        Answer::parse(&text).unwrap_or_else(|| panic!("no answer: {read:?} {text}"))
    }
}

/// Sends a request, with whole header lines.
pub fn send(place: &impl Place, name: &str, line: &str, headers: &str, body: &[u8]) -> Asked {
    let mut stream = connect(place, name);
    let port = door(place).port();
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {name}:{port}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("request");
    // Who refuses a body may close before it is all written.
    let _ = stream.write_all(body);
    let _ = stream.flush();
    Asked(stream)
}

/// A request and its answer.
pub fn ask(place: &impl Place, name: &str, line: &str, headers: &str, body: &[u8]) -> Answer {
    send(place, name, line, headers, body).answer()
}

/// A message of a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub enum Message {
    Text(String),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    /// With its status.
    Close(Option<u16>),
    /// The connection has ended.
    End,
}

/// A WebSocket for XMPP.
pub struct WebSocket {
    stream: Stream,
    seen: Vec<u8>,
}

impl WebSocket {
    /// Under a name of the door.
    pub fn open(place: &impl Place, name: &str) -> Self {
        let mut stream = connect(place, name);
        let port = door(place).port();
        let head = format!(
            "GET /xmpp-websocket HTTP/1.1\r\nhost: {name}:{port}\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: xmpp\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).expect("request");
        stream.flush().expect("flushed");
        let mut this = Self {
            stream,
            seen: Vec::new(),
        };
        let end = loop {
            if let Some(at) = this.seen.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(this.fill(), "no answer to the upgrade");
        };
        let head = String::from_utf8(this.seen.drain(..end).collect()).expect("a header");
        let head = head.to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101"), "{head}");
        // The example of RFC 6455 1.3.
        assert!(head.contains("s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        assert!(head.contains("sec-websocket-protocol: xmpp\r\n"), "{head}");
        this
    }

    fn fill(&mut self) -> bool {
        let mut bytes = [0; 4096];
        match self.stream.read(&mut bytes) {
            Ok(0) => false,
            Ok(read) => {
                self.seen.extend_from_slice(&bytes[..read]);
                true
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("nothing within the deadline")
            }
            Err(_) => false,
        }
    }

    /// One frame, masked as clients must. `head`: FIN and opcode.
    pub fn frame(&mut self, head: u8, payload: &[u8]) {
        let mut frame = vec![head];
        match payload.len() {
            short @ ..126 => frame.push(0x80 | short as u8),
            long => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        let mask = [7, 99, 200, 42];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().enumerate().map(|(i, b)| b ^ mask[i % 4]));
        let _ = self.stream.write_all(&frame);
        let _ = self.stream.flush();
    }

    pub fn say(&mut self, text: &str) {
        self.frame(0x81, text.as_bytes());
    }

    /// The next message. The server does not mask.
    pub fn message(&mut self) -> Message {
        loop {
            if let Some(message) = self.whole() {
                return message;
            }
            if !self.fill() {
                return Message::End;
            }
        }
    }

    fn whole(&mut self) -> Option<Message> {
        let (head, length) = (*self.seen.first()?, *self.seen.get(1)?);
        let (start, length) = match length {
            126 => (
                4,
                u16::from_be_bytes(self.seen.get(2..4)?.try_into().ok()?) as usize,
            ),
            127 => (
                10,
                u64::from_be_bytes(self.seen.get(2..10)?.try_into().ok()?) as usize,
            ),
            short => (2, usize::from(short)),
        };
        let payload = self.seen.get(start..start + length)?.to_vec();
        self.seen.drain(..start + length);
        assert_eq!(head & 0xF0, 0x80, "a whole message without extensions");
        Some(match head & 0x0F {
            1 => Message::Text(String::from_utf8(payload).expect("UTF-8")),
            8 => Message::Close(
                payload
                    .get(..2)
                    .map(|two| u16::from_be_bytes([two[0], two[1]])),
            ),
            9 => Message::Ping(payload),
            10 => Message::Pong(payload),
            other => panic!("opcode {other}"),
        })
    }

    /// The next text.
    pub fn text(&mut self) -> String {
        loop {
            match self.message() {
                Message::Text(text) => return text,
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Reads on until a text contains `needle`.
    pub fn until(&mut self, needle: &str) -> String {
        loop {
            let text = self.text();
            if text.contains(needle) {
                return text;
            }
        }
    }

    /// `<open/>`; its answer and the features.
    pub fn header(&mut self, domain: &str) -> (String, String) {
        self.say(&format!(
            "<open xmlns='urn:ietf:params:xml:ns:xmpp-framing' to='{domain}' version='1.0'/>"
        ));
        (self.text(), self.text())
    }

    /// Logs in to an account of the domain that the socket was opened for, or of any where the platform's name was asked.
    pub fn login(&mut self, jid: &str, password: &str, resource: &str) {
        let (user, domain) = jid.split_once('@').expect("bare JID");
        self.header(domain);
        let token = BASE64.encode(format!("\0{user}\0{password}"));
        self.say(&format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>"
        ));
        let answer = self.text();
        assert!(answer.starts_with("<success "), "{answer}");
        let (_, features) = self.header(domain);
        assert!(
            features.contains("urn:ietf:params:xml:ns:xmpp-bind"),
            "{features}"
        );
        self.say(&format!(
            "<iq xmlns='jabber:client' type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
             <resource>{resource}</resource></bind></iq>"
        ));
        let bound = self.text();
        assert_eq!(
            between(&bound, "<jid>", "</jid>"),
            Some(&*format!("{jid}/{resource}")),
            "{bound}"
        );
    }
}
