//! OpenSSL at the other end, which can begin a second handshake where our own tools cannot (TLS-14, RFC 6120 5.3.5).

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use crate::harness::DEADLINE;
use crate::harness::tools::program;
use crate::lab::actor::network;
use crate::lab::authority::Shape;
use crate::lab::house::unique;
use crate::lab::meeting::Met;
use crate::lab::table::{Row, check};
use crate::lab::wire::condition;
use crate::lab::world::{OPEN, World, world};

/// Bytes as they come, until there are no more.
#[derive(Default)]
struct Heard {
    state: Mutex<(Vec<u8>, bool)>,
    news: Condvar,
}

impl Heard {
    /// Reads `from` to its end, passing everything on to `to`.
    fn listen(&self, mut from: impl Read, mut to: impl Write) {
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut chunk) {
            self.state.lock().expect("lock").0.extend(&chunk[..n]);
            self.news.notify_all();
            let _ = to.write_all(&chunk[..n]);
        }
        self.state.lock().expect("lock").1 = true;
        self.news.notify_all();
    }

    fn len(&self) -> usize {
        self.state.lock().expect("lock").0.len()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.state.lock().expect("lock").0).into_owned()
    }

    fn wait(&self, what: &str, enough: impl Fn(&(Vec<u8>, bool)) -> bool) {
        let end = Instant::now() + DEADLINE;
        let mut state = self.state.lock().expect("lock");
        while !enough(&state) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "{what} never came: {}",
                String::from_utf8_lossy(&state.0)
            );
            state = self.news.wait_timeout(state, left).expect("lock").0;
        }
    }

    fn until(&self, needle: &str) {
        self.wait(needle, |(bytes, _)| {
            bytes.windows(needle.len()).any(|w| w == needle.as_bytes())
        });
    }

    fn until_the_end(&self) {
        self.wait("the end", |(_, ended)| *ended);
    }
}

/// `openssl s_client` or `s_server`, whose input is what a person would type.
struct OpenSsl {
    child: Child,
    typed: ChildStdin,
    heard: Arc<Heard>,
}

impl OpenSsl {
    fn start(args: &[&str]) -> Self {
        let mut child = Command::new(program("openssl"))
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let heard = Arc::<Heard>::default();
        let (out, listening) = (child.stdout.take().expect("piped"), heard.clone());
        std::thread::spawn(move || listening.listen(out, std::io::sink()));
        Self {
            typed: child.stdin.take().expect("piped"),
            child,
            heard,
        }
    }

    fn type_in(&mut self, text: &str) {
        self.typed.write_all(text.as_bytes()).expect("taken");
        self.typed.flush().expect("flushed");
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Stands between one client and the house. Never ends the house's side: whoever does is the house.
fn relay(house: SocketAddr) -> (SocketAddr, Arc<Heard>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = listener.local_addr().expect("bound");
    let said = Arc::<Heard>::default();
    let hearing = said.clone();
    std::thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client");
        let house = TcpStream::connect_timeout(&house, DEADLINE).expect("the house");
        let mut to_house = house.try_clone().expect("a socket");
        let mut from_client = client.try_clone().expect("a socket");
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_client, &mut to_house);
        });
        hearing.listen(house, client);
    });
    (address, said)
}

#[test]
fn tls_14_who_renegotiates_loses_the_connection() {
    let world = world();
    let rows = [they_do(world), they_ask_us_to(world)];
    check("renegotiation", &rows);
}

fn row(met: Met, presents: &str, direction: &'static str) -> Row {
    met.row("OpenSSL", presents, "encrypted", direction)
}

/// Clients and servers alike; nothing is answered.
fn they_do(world: &World) -> Row {
    for (kind, port, offered) in [
        ("xmpp", 5222, "urn:ietf:params:xml:ns:xmpp-sasl"),
        ("xmpp-server", 5269, "urn:xmpp:features:dialback"),
    ] {
        let (address, said) = relay((world.house.ip, port).into());
        let address = address.to_string();
        let mut client = OpenSsl::start(&[
            "s_client",
            "-connect",
            &address,
            "-starttls",
            kind,
            "-xmpphost",
            OPEN,
            "-tls1_2",
        ]);
        let namespace = match port {
            5222 => "jabber:client",
            _ => "jabber:server' from='renegotiates.signed.example",
        };
        client.type_in(&format!(
            "<stream:stream xmlns='{namespace}' xmlns:stream='http://etherx.jabber.org/streams' to='{OPEN}' version='1.0'>\n"
        ));
        // The stream goes on over TLS 1.2 …
        client.heard.until(offered);
        let before = said.len();
        // … until OpenSSL is told to renegotiate.
        client.type_in("R\n");
        said.until_the_end();
        assert_eq!(said.len(), before, "{kind}: nothing is answered");
        assert!(!client.heard.text().contains("</stream:stream>"), "{kind}");
    }
    let met = Met::new("none", "none", "the connection ends without an answer");
    row(met, "it renegotiates on TLS 1.2", "in")
}

fn they_ask_us_to(world: &World) -> Row {
    let domain = format!("{}.signed.example", unique("anew"));
    let identity = world.ca.shaped(&domain, Shape::ServerAuth);
    let dir = world.house.dir.join("renegotiates");
    identity.write(&dir, &domain);
    let file = |end: &str| dir.join(format!("{domain}.{end}")).display().to_string();
    let address = format!("{}:5270", network());
    let ip = address.split(':').next().unwrap_or_default();
    let mut peer = OpenSsl::start(&[
        "s_server",
        "-accept",
        &address,
        "-cert",
        &file("crt"),
        "-key",
        &file("key"),
        "-tls1_2",
    ]);
    peer.heard.until("ACCEPT");
    world.zones.add(&[
        format!("xmpp.{domain} A {ip}"),
        format!("_xmpps-server._tcp.{domain} SRV 0 5 5270 xmpp.{domain}."),
    ]);
    let mut alice = world.alice(OPEN);
    let id = unique("renegotiated");
    alice.message(&format!("romeo@{domain}"), &id, "x");
    peer.heard.until("<stream:stream");
    peer.type_in("r\n");
    let met = world
        .house
        .attempt(OPEN, &domain, |attempt| attempt["ok"] == false);
    assert_eq!(met["code"], "connection-lost", "{met}");
    let summary = met["summary"].as_str().expect("a sentence");
    assert!(summary.contains("tried to renegotiate"), "{summary}");
    let bounced = alice.until(&id);
    assert!(bounced.contains("type='error'"), "{bounced}");
    assert!(!peer.heard.text().contains("</stream:stream>"));
    alice.close();
    let outcome = format!("bounced: {}", condition(&bounced));
    let met = Met::new("none", "none", &outcome);
    let met = met.explained_by(&world.house, OPEN, &domain, "out", |a| a["ok"] == false);
    row(met, "it asks us to renegotiate on TLS 1.2", "out")
}
