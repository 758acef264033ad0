//! Just enough HTTP/1.1: a client for the panel's API and the internal door, and a site, HTTPS and HTTP, for POSH documents
//! and lists of revoked certificates, that counts who asks and can be slow.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::DEADLINE;
use crate::harness::demo::loopback;
use crate::lab::authority::Identity;

/// Status, head and body of an answer.
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// One request over plain HTTP.
pub fn request(to: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Reply {
    let mut tcp = TcpStream::connect_timeout(&to, DEADLINE).unwrap_or_else(|e| panic!("{to}: {e}"));
    tcp.set_read_timeout(Some(DEADLINE)).expect("timeout");
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    tcp.write_all(text.as_bytes()).expect("request");
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).expect("answer");
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    Reply {
        status: status.unwrap_or_else(|| panic!("no status in {head:?}")),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}

/// What the site says at one place.
#[derive(Debug, Clone)]
pub enum Page {
    Json(String),
    Redirect(String),
    /// A list of revoked certificates, say.
    Binary(Vec<u8>),
    /// The connection stays open and nothing is said.
    Silence,
    /// A byte at a time, for ever: always something new, never the end.
    Drip,
}

#[derive(Default)]
struct Shared {
    identities: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    /// By host and path.
    pages: Mutex<HashMap<(String, String), Page>>,
    /// Host and path of every request.
    asked: Mutex<Vec<String>>,
}

/// A web server for any number of names, HTTPS at port 443 of its address and HTTP at port 80.
pub struct Site {
    pub ip: Ipv4Addr,
    shared: Arc<Shared>,
}

impl Site {
    pub fn start() -> Self {
        let ip = loopback();
        let shared = Arc::new(Shared::default());
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(ByName(shared.clone())));
        let config = Arc::new(config);
        let serving = shared.clone();
        listen(ip, 443, move |tcp| {
            if let Ok(tls) = ServerConnection::new(config.clone()) {
                let mut stream = StreamOwned::new(tls, tcp);
                serve(&mut stream, &serving);
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        let serving = shared.clone();
        listen(ip, 80, move |mut tcp| serve(&mut tcp, &serving));
        Self { ip, shared }
    }

    /// The certificate for a name.
    pub fn identity(&self, name: &str, identity: &Identity) {
        let key = aws_lc_rs::sign::any_supported_type(&identity.key()).expect("key");
        let certified = Arc::new(CertifiedKey::new(identity.chain.clone(), key));
        let mut identities = self.shared.identities.lock().expect("lock");
        identities.insert(name.into(), certified);
    }

    pub fn page(&self, name: &str, path: &str, page: Page) {
        let mut pages = self.shared.pages.lock().expect("lock");
        pages.insert((name.into(), path.into()), page);
    }

    /// Requests for a name so far.
    pub fn asked(&self, name: &str) -> usize {
        let asked = self.shared.asked.lock().expect("lock");
        asked
            .iter()
            .filter(|a| a.starts_with(&format!("{name}/")))
            .count()
    }
}

struct ByName(Arc<Shared>);

impl std::fmt::Debug for ByName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ByName")
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let identities = self.0.identities.lock().expect("lock");
        identities.get(hello.server_name()?).cloned()
    }
}

/// Each connection on a thread of its own.
fn listen(ip: Ipv4Addr, port: u16, serve: impl Fn(TcpStream) + Send + Sync + 'static) {
    let listener = TcpListener::bind((ip, port)).unwrap_or_else(|e| panic!("{ip}:{port}: {e}"));
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for tcp in listener.incoming().flatten() {
            let _ = tcp.set_read_timeout(Some(DEADLINE));
            let serve = serve.clone();
            std::thread::spawn(move || serve(tcp));
        }
    });
}

fn serve(stream: &mut (impl Read + Write), shared: &Shared) {
    let mut head = Vec::new();
    let mut byte = [0u8; 1];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) if head.len() < 8192 => head.push(byte[0]),
            _ => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let host = head
        .lines()
        .find_map(|line| {
            line.to_ascii_lowercase()
                .strip_prefix("host:")
                .map(|h| h.trim().to_owned())
        })
        .unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_owned();
    shared
        .asked
        .lock()
        .expect("lock")
        .push(format!("{host}{path}"));
    let page = shared
        .pages
        .lock()
        .expect("lock")
        .get(&(host, path))
        .cloned();
    let good = |kind: &str, length: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        )
    };
    let answer = match page {
        Some(Page::Json(body)) => {
            let head = good("application/json", body.len());
            [head.into_bytes(), body.into_bytes()].concat()
        }
        Some(Page::Binary(body)) => {
            [good("application/pkix-crl", body.len()).into_bytes(), body].concat()
        }
        Some(Page::Redirect(to)) => format!(
            "HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        .into_bytes(),
        Some(Page::Silence) => {
            // Until the other side has had enough.
            let _ = stream.read(&mut byte);
            return;
        }
        Some(Page::Drip) => {
            let head = good("application/json", 1_000_000);
            let mut next = head.bytes().chain(std::iter::repeat(b' '));
            while next.next().is_some_and(|byte| {
                stream
                    .write_all(&[byte])
                    .and_then(|()| stream.flush())
                    .is_ok()
            }) {
                std::thread::park_timeout(std::time::Duration::from_millis(50));
            }
            return;
        }
        None => {
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
        }
    };
    let _ = stream.write_all(&answer);
    let _ = stream.flush();
}
