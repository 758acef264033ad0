//! A peer server for the examples between servers. It stands in the federation laboratory: it calls the house there as an initiating
//! server, and is called, where the DNS says that its domain is served, as a receiving and as an authoritative one. What it says stands
//! in the example; handshakes, stream ids and keys (XEP-0185) are real ones.
//!
//! `peer opens` is a new server: for `$peer`, and for `$chat` below it at the same place. It shows a certificate that proves both, or
//! one that proves nothing where it is `self-signed`. `caller` is its connection to `$house`, a hosted domain, and `called` the next
//! one that is made to it: plain, with nothing said; or, as `a stream`, under TLS with both headers exchanged, so that the features
//! come next. `caller` may open `both ways`: EXTERNAL and XEP-0288, ready for stanzas. A `<proceed/>` is followed by the handshake.
//!
//! `$stream` is the id that the house gave the caller's stream, and `$made` the peer's key for it; `$replied` is the id with which the
//! peer answers the next header, and `$authzid` what EXTERNAL may name.

use std::collections::BTreeMap;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::script::{Step, What};
use super::secrets;
use super::stage::{filled, fits};
use super::tree::{Tree, parse};
use crate::harness::DEADLINE;
use crate::lab::actor::network;
use crate::lab::authority::{Identity, Shape};
use crate::lab::house::unique;
use crate::lab::wire::{PROCEED, STARTTLS, Wire, attribute, header};
use crate::lab::world::{OPEN, world};

type Known = BTreeMap<String, String>;

/// What only the peer knows.
const SECRET: &str = "s3cr3tf0rd14lb4ck";

/// The peer of one XEP's examples, and its connections.
#[derive(Default)]
pub struct Servers {
    peer: Option<Peer>,
    caller: Option<Wire>,
    called: Option<Wire>,
}

struct Peer {
    domain: String,
    chat: String,
    identity: Identity,
    ip: IpAddr,
    /// Connections that were made to it.
    incoming: Receiver<TcpStream>,
}

impl Peer {
    fn start(what: &str) -> Result<Self, String> {
        let domain = format!("{}.signed.example", unique("example"));
        let chat = format!("chat.{domain}");
        let identity = match what {
            "" => world().ca.issue(&[&domain, &chat]),
            "self-signed" => world().ca.shaped(&domain, Shape::SelfSigned),
            other => return Err(format!("no peer is {other}")),
        };
        let ip = network();
        let listener = TcpListener::bind((ip, 5269)).map_err(|e| format!("{ip}: {e}"))?;
        let (arrived, incoming) = channel();
        std::thread::spawn(move || {
            let mut connections = listener.incoming().flatten();
            // Until the example is over.
            while connections
                .next()
                .is_some_and(|tcp| arrived.send(tcp).is_ok())
            {}
        });
        let host = format!("xmpp.{domain}");
        let served = |name: &str| format!("_xmpp-server._tcp.{name} SRV 10 0 5269 {host}.");
        let records = [format!("{host} A {ip}"), served(&domain), served(&chat)];
        world().zones.add(&records);
        Ok(Self {
            domain,
            chat,
            identity,
            ip: ip.into(),
            incoming,
        })
    }

    /// The names that examples have for it.
    fn introduce(&self, known: &mut Known) {
        known.insert("house".into(), OPEN.into());
        known.insert("peer".into(), self.domain.clone());
        known.insert("chat".into(), self.chat.clone());
        known.insert("authzid".into(), BASE64.encode(&self.domain));
    }

    /// The house has answered the header: this is the key for that stream.
    fn answered(&self, answer: &str, known: &mut Known) {
        let id = attribute(answer, "id").unwrap_or_default();
        let key = secrets::dialback(SECRET, OPEN, &self.domain, &id);
        known.insert("made".into(), key);
        known.insert("stream".into(), id);
    }

    fn call(&self, how: &str, known: &mut Known) -> Result<Wire, String> {
        let to = world().house.s2s();
        let mut wire = Wire::connect_from(self.ip, to).map_err(|e| format!("{to}: {e}"))?;
        match how {
            "" => {}
            "a stream" => {
                let before = wire.open(&self.domain, OPEN);
                if !before.features.contains("<starttls") {
                    return Err(before.features);
                }
                wire.say(STARTTLS);
                wire.until("<proceed");
                self.secure(&mut wire)?;
                wire.say(&header(&self.domain, OPEN, None));
                let answer = wire.item();
                self.answered(&answer, known);
            }
            "both ways" => {
                let opened = wire.secure(&self.domain, OPEN, Some(&self.identity));
                wire.say("<bidi xmlns='urn:xmpp:bidi'/>");
                let answer = wire.external(&self.domain);
                if !answer.contains("<success") {
                    return Err(format!("{answer} after {}", opened.features));
                }
                wire.open(&self.domain, OPEN);
            }
            other => return Err(format!("nobody calls {other}")),
        }
        Ok(wire)
    }

    /// The handshake of a connection that the peer made.
    fn secure(&self, wire: &mut Wire) -> Result<(), String> {
        let done = wire.tls_client(Some(&self.identity), OPEN, &[]);
        done.map_err(|e| format!("handshake: {e}"))
    }

    fn take(&self, how: &str, known: &mut Known) -> Result<Wire, String> {
        let tcp = self.incoming.recv_timeout(DEADLINE);
        let mut wire = Wire::over(tcp.map_err(|_| "the house does not call")?);
        next_answer(known);
        match how {
            "" => {}
            "a stream" => {
                self.answer(&mut wire, known);
                wire.say(&format!("<stream:features>{STARTTLS}</stream:features>"));
                wire.until("<starttls");
                wire.say(PROCEED);
                let done = wire.tls_server(&self.identity);
                done.map_err(|e| format!("handshake: {e}"))?;
                next_answer(known);
                self.answer(&mut wire, known);
            }
            other => return Err(format!("nobody is called {other}")),
        }
        Ok(wire)
    }

    /// Answers a header in the name that was called.
    fn answer(&self, wire: &mut Wire, known: &Known) {
        let asked = wire.until("<stream:stream");
        let called = attribute(&asked, "to").unwrap_or_else(|| self.domain.clone());
        let by = attribute(&asked, "from").unwrap_or_default();
        wire.say(&header(
            &called,
            &by,
            known.get("replied").map(String::as_str),
        ));
    }
}

/// Every header is answered with an id of its own.
fn next_answer(known: &mut Known) {
    known.insert("replied".into(), unique("replied"));
}

impl Servers {
    pub fn play(&mut self, step: &Step, known: &mut Known) -> Result<(), String> {
        if step.who == "peer" {
            return match step.what {
                What::Opens => self.opens(&step.xml(), known),
                What::Ends => {
                    *self = Self::default();
                    Ok(())
                }
                other => Err(format!("no peer does so: {other:?}")),
            };
        }
        if self.peer.is_none() {
            self.opens("", known)?;
        }
        let peer = self.peer.as_ref().ok_or("no peer")?;
        let calls = step.who == "caller";
        let wire = match calls {
            true => &mut self.caller,
            false => &mut self.called,
        };
        match step.what {
            What::Opens if calls => *wire = Some(peer.call(&step.xml(), known)?),
            What::Opens => *wire = Some(peer.take(&step.xml(), known)?),
            What::Ends => *wire = None,
            What::Lacks if !calls => {
                if peer.incoming.try_recv().is_ok() {
                    return Err("the house calls".into());
                }
            }
            What::Sends => {
                let wire = wire.as_mut().ok_or("no connection")?;
                let text = filled(&step.xml(), known);
                if !wire.say(&text) {
                    return Err(format!("the house takes no {text}"));
                }
                if text.starts_with("<proceed") {
                    let done = wire.tls_server(&peer.identity);
                    done.map_err(|e| format!("handshake: {e}"))?;
                }
                if text.contains("<stream:stream") && !calls {
                    next_answer(known);
                }
            }
            What::Gets => {
                let wire = wire.as_mut().ok_or("no connection")?;
                let item = next_is(wire, &filled(&step.xml(), known), known)?;
                if calls && item.contains("<stream:stream") {
                    peer.answered(&item, known);
                }
                if calls && item.starts_with("<proceed") {
                    peer.secure(wire)?;
                }
            }
            other => return Err(format!("no server does so: {other:?}")),
        }
        Ok(())
    }

    fn opens(&mut self, what: &str, known: &mut Known) -> Result<(), String> {
        let peer = Peer::start(what)?;
        peer.introduce(known);
        *self = Self {
            peer: Some(peer),
            ..Self::default()
        };
        Ok(())
    }
}

/// Gives the next item of that name, which has to have at least what is wanted of it; of stanzas the next that has.
fn next_is(wire: &mut Wire, wanted: &str, known: &mut Known) -> Result<String, String> {
    let ends = wanted.starts_with("</");
    let tree = match ends {
        true => Tree::default(),
        false => read(wanted)?,
    };
    let stanza = ["message", "presence", "iq"].contains(&tree.name.as_str());
    let mut others = String::new();
    loop {
        let none = || format!("no {wanted} has come, but {others}");
        let item = wire.next().ok_or_else(none)?;
        if item.starts_with("</") {
            return ends.then_some(item).ok_or_else(none);
        }
        let got = read(&item)?;
        if (&tree.ns, &tree.name) != (&got.ns, &got.name) {
            continue;
        }
        let mut learnt = known.clone();
        match fits(&tree, &got, &mut learnt) {
            Ok(()) => {
                *known = learnt;
                return Ok(item);
            }
            // The house has more to say than this, such as presence.
            Err(why) if stanza => others += &format!("\n    {why} in {item}"),
            Err(why) => return Err(format!("{why} in {item}")),
        }
    }
}

/// An element; or the tag that a stream begins with, for which what it declares matters as much as the rest.
fn read(item: &str) -> Result<Tree, String> {
    let item = item.split_once("?>").map_or(item, |(_, rest)| rest).trim();
    if !item.starts_with("<stream:stream") {
        return parse(item);
    }
    let tag = item.trim_end_matches(['/', '>']);
    let tag = tag.replace(" xmlns=", " declared=");
    parse(&format!("{}/>", tag.replace(" xmlns:db=", " declared-db=")))
}
