//! The client machine against written-out clients: text in, text and actions out, nobody's clock.

mod exchanges;
mod flows;
mod profile2;
mod registering;
mod resumption;
mod stages;
mod stanzas;
mod upgrade;

use std::sync::Arc;

use super::super::flow::{Kind, Outcome, Step};
use super::super::{Bound, Grant, IssuedToken, NotResumed, Resumed, Resumption};
use super::*;
use crate::element::Element;
use crate::framing::{Frame, Framer, Limits};
use crate::sasl::{self, Hash, ScramVerifier};
use crate::stanza::{Condition, Stanza};

const OPEN: &str = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' \
                    to='one.example' version='1.0' xml:lang='de'>";
const SASL_NS: &str = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'";

/// The world of one stream: answers like a server with the domain `one.example`, its user `alice` and password `pw`.
struct World {
    machine: Client,
    framer: Framer,
    actions: Actions,
    sent: String,
    stanzas: Vec<Stanza>,
    events: Vec<Event>,
    /// Tokens that the client has.
    tokens: Vec<IssuedToken>,
    granted: Vec<Grant>,
    /// Hashes of which alice has no verifier.
    lacking: Vec<Hash>,
    upgraded: Vec<ScramVerifier>,
    now: Timestamp,
    asked: Vec<String>,
    tls: Option<DomainName>,
    closing: bool,
    disconnected: bool,
    /// Answer nothing by itself.
    mute: bool,
    host: Option<Host>,
}

fn served() -> Served {
    Served {
        domain: domain("one.example"),
        identity: true,
        plain: true,
        hashes: crate::sasl::Hash::ALL.to_vec(),
        fake_secret: Arc::from(&b"secret"[..]),
        external: Vec::new(),
        max_bytes: 262_144,
        features: [Element::new("ver", ns::ROSTER_VERSIONING)].into(),
        idle_seconds: 300,
        resumption: Some(Box::new(Resumption {
            seconds: 600,
            location: None,
        })),
        tokens: true,
        registers: false,
        flows: &[],
        inline: vec!["urn:xmpp:carbons:2"],
    }
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).expect("a domain")
}

fn tls(identity: &str) -> TlsInfo {
    TlsInfo {
        version: "TLSv1.3",
        identity: Some(domain(identity)),
        exporter: Some([7; 32]),
        end_point: Some(vec![8; 32]),
        ..TlsInfo::default()
    }
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            machine: Client::new(Seed::new([1; 32]), None),
            framer: Framer::new(Limits::default()),
            actions: Actions::new(),
            sent: String::new(),
            stanzas: Vec::new(),
            events: Vec::new(),
            tokens: Vec::new(),
            granted: Vec::new(),
            lacking: Vec::new(),
            upgraded: Vec::new(),
            now: Timestamp(0),
            asked: Vec::new(),
            tls: None,
            closing: false,
            disconnected: false,
            mute: false,
            host: None,
        };
        world.input(Input::Connected(None));
        world
    }

    /// Over direct TLS, nothing sent yet.
    fn direct(identity: &str) -> Self {
        let mut world = Self::new();
        world.input(Input::Connected(Some(tls(identity))));
        world
    }

    /// Logged in with PLAIN, the header after it exchanged.
    fn authenticated() -> Self {
        let mut world = Self::direct("one.example");
        world.say(OPEN);
        world.say(&plain("alice", "pw"));
        world.say(OPEN);
        world.sent.clear();
        world
    }

    /// Bound as `alice@one.example/r`.
    fn open() -> Self {
        let mut world = Self::authenticated();
        world.say(&bind("r"));
        assert_eq!(world.machine.phase(), Phase::Open, "{}", world.sent);
        world.sent.clear();
        world
    }

    fn input(&mut self, input: Input<'_>) {
        self.machine.handle(input, self.now, &mut self.actions);
        self.act();
    }

    fn act(&mut self) {
        let actions: Vec<_> = self.actions.drain().collect();
        for action in actions {
            match action {
                Action::Send(bytes) => {
                    assert!(!self.disconnected, "nothing after the end");
                    self.sent.push_str(&String::from_utf8_lossy(&bytes));
                }
                Action::StartTls(domain) => {
                    self.framer.reset();
                    self.tls = Some(domain);
                }
                Action::Restart => self.framer.restart(),
                Action::Stanza(stanza) => self.stanzas.push(stanza),
                Action::Ask(ask) => {
                    self.asked.push(format!("{ask:?}"));
                    if !self.mute {
                        let answer = self.answer(ask);
                        self.input(Input::Answer(answer));
                    }
                }
                Action::Close => self.closing = true,
                Action::Disconnect => self.disconnected = true,
                // As the server does it: behind what waits for the session.
                Action::Event(Event::Reply(reply)) => {
                    self.sent.push_str(&String::from_utf8_lossy(reply.bytes()));
                }
                Action::Event(event) => self.events.push(event),
                Action::AskAside(_) => {}
            }
        }
    }

    fn answer(&mut self, ask: Ask) -> Answer {
        match ask {
            Ask::Host { to } if to == "one.example" => Answer::Host(
                self.host
                    .clone()
                    .unwrap_or_else(|| Host::Served(Box::new(served()))),
            ),
            Ask::Host { .. } => Answer::Host(Host::Unknown),
            Ask::Credentials { local, hash, .. } => {
                let verifier = (local == "alice").then(|| {
                    ScramVerifier::derive(hash.unwrap_or(Hash::Sha256), "pw", &[1; 16], 4096)
                        .expect("a password")
                });
                Answer::Credentials(Ok(verifier))
            }
            Ask::Bind {
                account,
                resource,
                random,
                features,
            } => Answer::Bound(match resource.as_deref() {
                Some("taken") => Err(Box::new(Condition::ResourceConstraint.into())),
                wanted => Ok(Bound {
                    jid: account
                        .with_resource(wanted.unwrap_or(&random))
                        .expect("a resource"),
                    answers: features.unwrap_or_default(),
                }),
            }),
            Ask::Tokens { local, agent, .. } => {
                Answer::Tokens(Ok(if local == "alice" && agent == "phone" {
                    self.tokens.clone()
                } else {
                    Vec::new()
                }))
            }
            Ask::Lacking { hashes, .. } => {
                let lacking = hashes.into_iter().filter(|h| self.lacking.contains(h));
                Answer::Lacking(Ok(lacking.collect()))
            }
            Ask::Upgrade { verifier, .. } => {
                self.upgraded.push(*verifier);
                Answer::Upgraded(Ok(()))
            }
            Ask::Grant(grant) => {
                let given = grant.wanted.map(|_| Timestamp(86_400_000_000));
                self.granted.push(*grant);
                Answer::Granted(Ok(given))
            }
            Ask::Resume {
                account,
                previd,
                handled,
            } => Answer::Resumed(match previd.as_str() {
                "left" if handled > 7 => Err(NotResumed::TooHigh { handled, sent: 7 }),
                "left" => Ok(Resumed {
                    jid: account.with_resource("before").expect("a resource"),
                    handled: 41,
                }),
                "expired" => Err(NotResumed::Unknown { handled: Some(5) }),
                _ => Err(NotResumed::Unknown { handled: None }),
            }),
            Ask::Preauth { token, .. } => Answer::Registered(match token.0.as_str() {
                "good" => Ok(None),
                _ => Err(Box::new(Condition::ItemNotFound.into())),
            }),
            Ask::Register { set: false, .. } => {
                Answer::Registered(Ok(Some(Element::new("query", ns::REGISTER))))
            }
            Ask::Register { .. } => Answer::Registered(Ok(None)),
            Ask::Flow { flow, step, .. } => Answer::Flow(match (flow.id, step) {
                ("web", Step::Begin) => {
                    let url = Element::new("url", "jabber:x:oob").text("https://web.example/");
                    let page = Element::new("x", "jabber:x:oob").child(url);
                    Outcome::Challenge(Kind::Elsewhere, page)
                }
                (_, Step::Response(filled)) if filled.0.to_xml("").contains("stop") => {
                    Outcome::Cancel
                }
                (id, Step::Response(filled))
                    if id == "web" || filled.0.to_xml("").contains("lark") =>
                {
                    Outcome::Success
                }
                _ => {
                    let form = Element::new("x", "jabber:x:data").attr("type", "form");
                    Outcome::Challenge(Kind::Form, form)
                }
            }),
            other => panic!("a client stream never asks {other:?}"),
        }
    }

    fn say(&mut self, text: &str) {
        self.framer.push(text.as_bytes());
        loop {
            let input = match self.framer.next() {
                Ok(None) => return,
                Ok(Some(Frame::Header(header))) => Input::Header(header),
                Ok(Some(Frame::Element(raw))) => Input::Element(raw),
                Ok(Some(Frame::Close)) => Input::Close,
                Err(error) => {
                    self.input(Input::Broken(error.condition().into()));
                    return;
                }
            };
            self.machine.handle(input, self.now, &mut self.actions);
            self.act();
        }
    }

    #[track_caller]
    fn ends_with_error(&self, condition: &str) {
        assert!(self.closing, "not closing: {}", self.sent);
        let expected = format!("<stream:error><{condition} ");
        assert!(self.sent.contains(&expected), "{}", self.sent);
        assert!(self.sent.ends_with("</stream:error></stream:stream>"));
        assert!(
            self.sent.contains("<stream:stream "),
            "the opening tag comes first (STREAM-26): {}",
            self.sent
        );
    }
}

fn plain(user: &str, password: &str) -> String {
    let message = sasl::encode(format!("\0{user}\0{password}").as_bytes());
    format!("<auth {SASL_NS} mechanism='PLAIN'>{message}</auth>")
}

fn bind(resource: &str) -> String {
    format!(
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{resource}</resource></bind></iq>"
    )
}

// --- headers and TLS ---

#[test]
fn tls_01_02_03_starttls_required_and_nothing_else() {
    let mut world = World::new();
    world.say(OPEN);
    let features = "<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>";
    assert!(world.sent.ends_with(features), "{}", world.sent);
    assert!(world.sent.contains("from='one.example'"), "VHOST-04");
    assert!(!world.sent.contains(" to='"), "STREAM-14");
}

#[test]
fn vhost_01_tls_07_the_header_decides_the_identity() {
    let mut world = World::new();
    world.say(OPEN);
    world.sent.clear();
    world.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(
        world.sent,
        "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
    );
    assert_eq!(world.tls, Some(domain("one.example")));
}

#[test]
fn tls_06_failure_without_an_identity() {
    let mut world = World::new();
    world.host = Some(Host::Served(Box::new(Served {
        identity: false,
        ..served()
    })));
    world.say(OPEN);
    world.sent.clear();
    world.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert_eq!(
        world.sent,
        "<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/></stream:stream>"
    );
    assert!(world.closing && world.tls.is_none());
}

#[test]
fn vhost_05_unknown_host_gets_a_header_without_a_tenant() {
    let mut world = World::new();
    world.say(&OPEN.replace("one.example", "else.example"));
    world.ends_with_error("host-unknown");
    assert!(world.sent.contains("from=''"), "{}", world.sent);
    assert!(!world.sent.contains("one.example"));

    let mut world = World::new();
    world.say(&OPEN.replace("to='one.example'", ""));
    world.ends_with_error("host-unknown");
}

#[test]
fn vhost_06_a_domain_that_left() {
    let mut world = World::new();
    world.host = Some(Host::Gone);
    world.say(OPEN);
    world.ends_with_error("host-gone");
}

#[test]
fn vhost_03_no_second_domain_after_tls() {
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("one.example", "two.example"));
    world.ends_with_error("policy-violation");
    assert!(world.asked.is_empty(), "not even looked up");
}

#[test]
fn tls_09_31_no_starttls_inside_tls() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    assert!(!world.sent.contains("starttls"));
    assert!(world.sent.contains("<mechanisms "));
    world.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    world.ends_with_error("unsupported-stanza-type");
}

#[test]
fn tls_05_no_sasl_before_tls() {
    let mut world = World::new();
    world.say(OPEN);
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<encryption-required/>"));
    world.ends_with_error("policy-violation");
    assert!(!world.asked.iter().any(|a| a.contains("Credentials")));
}

#[test]
fn stream_19_a_stream_without_version_is_refused() {
    let mut world = World::new();
    world.say(&OPEN.replace("version='1.0'", ""));
    world.ends_with_error("unsupported-version");
}

#[test]
fn stream_22_content_namespace() {
    let mut world = World::new();
    world.say(&OPEN.replace("jabber:client", "jabber:server"));
    world.ends_with_error("invalid-namespace");
}

#[test]
fn stream_20_root_namespace() {
    let mut world = World::new();
    world.say("<stream:stream xmlns:stream='urn:wrong' to='one.example' version='1.0'>");
    world.ends_with_error("invalid-namespace");
}

#[test]
fn stream_16_every_header_has_a_new_id() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.say(&plain("alice", "pw"));
    world.say(OPEN);
    let ids: Vec<_> = world
        .sent
        .split(" id='")
        .skip(1)
        .filter_map(|rest| rest.split('\'').next())
        .collect();
    assert_eq!(ids.len(), 2);
    assert_ne!(ids[0], ids[1]);
    assert_eq!(ids[0].len(), 32);
}

#[test]
fn stream_14_to_is_the_bare_from_of_the_client() {
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("to=", "from='Alice@one.example/x' to="));
    assert!(
        world.sent.contains(" to='alice@one.example'"),
        "{}",
        world.sent
    );
}

#[test]
fn xml_02_broken_bytes_end_the_stream() {
    let mut world = World::new();
    world.say("hello");
    world.ends_with_error("not-well-formed");
    let mut world = World::new();
    world.say(OPEN);
    world.say("<!-- no -->");
    world.ends_with_error("restricted-xml");
}

#[test]
fn layer_09_what_was_said_before_tls_is_dropped() {
    let mut world = World::new();
    world.say(&OPEN.replace("to=", "from='bob@one.example' to="));
    let early = std::mem::take(&mut world.sent);
    world.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    world.input(Input::Tls(tls("one.example")));
    world.sent.clear();
    world.say(OPEN);
    assert_eq!(
        world.asked.iter().filter(|a| a.contains("Host")).count(),
        2,
        "looked up again"
    );
    assert!(!world.sent.contains("bob"), "{}", world.sent);
    let id = |text: &str| {
        let (_, rest) = text.split_once(" id='").expect("an ID");
        rest.split('\'').next().map(str::to_owned)
    };
    assert_ne!(id(&early), id(&world.sent));
    // The address named in plaintext does not stand against the account.
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success"), "{}", world.sent);
}
