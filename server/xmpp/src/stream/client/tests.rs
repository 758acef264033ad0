//! The client machine against written-out clients: text in, text and actions out, nobody's clock.

use std::sync::Arc;

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
        fake_secret: Arc::from(&b"secret"[..]),
        external: Vec::new(),
        max_bytes: 262_144,
        features: vec![Element::new("ver", ns::ROSTER_VERSIONING)],
        idle_seconds: 300,
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
        self.machine.handle(input, Timestamp(0), &mut self.actions);
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
                Action::AskAside(_) | Action::Event(_) => {}
            }
        }
    }

    fn answer(&self, ask: Ask) -> Answer {
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
            } => Answer::Bound(match resource.as_deref() {
                Some("taken") => Err(Box::new(Condition::ResourceConstraint.into())),
                wanted => Ok(account
                    .with_resource(wanted.unwrap_or(&random))
                    .expect("a resource")),
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
            self.machine.handle(input, Timestamp(0), &mut self.actions);
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

// --- SASL ---

#[test]
fn sasl_02_mechanisms_in_order_with_plain_last() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let listed: Vec<_> = world
        .sent
        .split("<mechanism>")
        .skip(1)
        .filter_map(|rest| rest.split('<').next())
        .collect();
    assert_eq!(
        listed,
        [
            "SCRAM-SHA-512-PLUS",
            "SCRAM-SHA-256-PLUS",
            "SCRAM-SHA-1-PLUS",
            "SCRAM-SHA-512",
            "SCRAM-SHA-256",
            "SCRAM-SHA-1",
            "PLAIN"
        ]
    );
    assert!(!world.sent.contains("<bind"), "STREAM-02");
}

#[test]
fn sasl_21_23_27_binding_types_match_the_connection() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    assert!(world.sent.contains("type='tls-exporter'"));
    assert!(world.sent.contains("type='tls-server-end-point'"));
    let mut world = World::new();
    world.input(Input::Connected(Some(TlsInfo {
        exporter: None,
        end_point: None,
        ..tls("one.example")
    })));
    world.say(OPEN);
    assert!(!world.sent.contains("-PLUS") && !world.sent.contains("sasl-channel-binding"));
}

#[test]
fn sasl_15_plain_is_the_domain_s_choice() {
    let mut world = World::direct("one.example");
    world.host = Some(Host::Served(Box::new(Served {
        plain: false,
        ..served()
    })));
    world.say(OPEN);
    assert!(!world.sent.contains("PLAIN"));
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<invalid-mechanism/>"));
}

#[test]
fn sasl_01_success_restarts_the_stream() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.sent.clear();
    world.say(&plain("alice", "pw"));
    assert_eq!(
        world.sent,
        "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
    );
    assert_eq!(world.machine.phase(), Phase::Authenticated);
    world.sent.clear();
    world.say(OPEN);
    assert!(
        world
            .sent
            .contains("<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>")
    );
    assert!(
        world
            .sent
            .contains("<ver xmlns='urn:xmpp:features:rosterver'/>")
    );
    assert!(!world.sent.contains("mechanism"));
}

#[test]
fn sasl_10_failures_are_counted() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    for attempt in 1..=4 {
        assert!(!world.closing, "attempt {attempt} is allowed");
        world.say(&plain("alice", "wrong"));
    }
    assert_eq!(world.sent.matches("<not-authorized/>").count(), 4);
    world.ends_with_error("policy-violation");
}

#[test]
fn sasl_10_success_after_a_failure() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.say(&plain("alice", "wrong"));
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success"));
}

#[test]
fn sasl_11_unknown_user_and_wrong_password_look_the_same() {
    let answers: Vec<String> = ["alice", "nobody"]
        .into_iter()
        .map(|user| {
            let mut world = World::direct("one.example");
            world.say(OPEN);
            world.sent.clear();
            world.say(&plain(user, "wrong"));
            world.sent
        })
        .collect();
    assert_eq!(answers[0], answers[1]);
    // SCRAM: the challenge comes for both, salt and all.
    for user in ["alice", "nobody"] {
        let mut world = World::direct("one.example");
        world.say(OPEN);
        world.sent.clear();
        let first = sasl::encode(format!("n,,n={user},r=abc").as_bytes());
        world.say(&format!(
            "<auth {SASL_NS} mechanism='SCRAM-SHA-256'>{first}</auth>"
        ));
        assert!(world.sent.starts_with("<challenge "), "{}", world.sent);
    }
}

#[test]
fn sasl_08_abort() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let first = sasl::encode(b"n,,n=alice,r=abc");
    world.say(&format!(
        "<auth {SASL_NS} mechanism='SCRAM-SHA-256'>{first}</auth>"
    ));
    world.say(&format!("<abort {SASL_NS}/>"));
    assert!(
        world.sent.ends_with("<aborted/></failure>"),
        "{}",
        world.sent
    );
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success"));
}

#[test]
fn sasl_07_a_second_auth_cancels_the_first() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let first = sasl::encode(b"n,,n=alice,r=abc");
    world.say(&format!(
        "<auth {SASL_NS} mechanism='SCRAM-SHA-256'>{first}</auth>"
    ));
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success"));
    assert!(!world.sent.contains("<failure"));
}

#[test]
fn sasl_04_stray_characters_in_base64() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.say(&format!("<auth {SASL_NS} mechanism='PLAIN'>a*b=</auth>"));
    assert!(world.sent.contains("<incorrect-encoding/>"));
}

#[test]
fn c_01_sasl_28_a_failed_exchange_bound_to_the_exporter_is_the_last() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    let first = sasl::encode(b"p=tls-exporter,,n=alice,r=abc");
    world.say(&format!(
        "<auth {SASL_NS} mechanism='SCRAM-SHA-256-PLUS'>{first}</auth>"
    ));
    let last = sasl::encode(b"c=AAAA,r=abc,p=AAAA");
    world.say(&format!("<response {SASL_NS}>{last}</response>"));
    assert!(world.sent.contains("<failure"), "{}", world.sent);
    world.ends_with_error("policy-violation");
}

#[test]
fn layer_02_stream_from_against_the_account() {
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("to=", "from='bob@one.example' to="));
    world.say(&plain("alice", "pw"));
    assert!(!world.sent.contains("<success"));
    world.ends_with_error("invalid-from");
    let mut world = World::direct("one.example");
    world.say(&OPEN.replace("to=", "from='ALICE@one.example/x' to="));
    world.say(&plain("alice", "pw"));
    assert!(world.sent.contains("<success"));
}

#[test]
fn a_store_that_does_not_answer_is_a_temporary_failure() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.mute = true;
    world.say(&plain("alice", "pw"));
    world.input(Input::Answer(Answer::Credentials(Err(
        super::super::Unavailable,
    ))));
    assert!(world.sent.contains("<temporary-auth-failure/>"));
    assert!(!world.closing);
}

#[test]
fn sasl_05_no_whitespace_between_the_elements_of_an_exchange() {
    let mut world = World::direct("one.example");
    world.say(OPEN);
    world.sent.clear();
    world.say(&format!("<auth {SASL_NS} mechanism='PLAIN'/>"));
    world.say(&format!("<response {SASL_NS}>=</response>"));
    let first = sasl::encode(b"n,,n=alice,r=abc");
    world.say(&format!(
        "<auth {SASL_NS} mechanism='SCRAM-SHA-256'>{first}</auth>"
    ));
    world.say(&format!("<abort {SASL_NS}/>"));
    world.say(&plain("alice", "pw"));
    let sent = &world.sent;
    assert!(sent.contains("<challenge ") && sent.contains("<success "));
    assert!(sent.starts_with('<') && sent.ends_with('>'), "{sent}");
    for gap in sent.split('>').skip(1) {
        assert!(
            !gap.starts_with(char::is_whitespace) && !gap.ends_with(char::is_whitespace),
            "{sent}"
        );
    }
}

#[test]
fn sasl_09_a_failure_carries_one_condition() {
    let first = sasl::encode(b"n,,n=alice,r=abc");
    let other = sasl::encode(b"bob\0alice\0pw");
    for (mechanism, data, condition) in [
        ("PLAIN", "a*b=", "incorrect-encoding"),
        ("PLAIN", "AAA=", "malformed-request"),
        ("PLAIN", other.as_str(), "invalid-authzid"),
        ("X-NONE", "=", "invalid-mechanism"),
        // SASL-47: nobody comes in without a name.
        ("ANONYMOUS", "=", "invalid-mechanism"),
        ("SCRAM-SHA-256-PLUS", first.as_str(), "malformed-request"),
    ] {
        let mut world = World::direct("one.example");
        world.say(OPEN);
        assert!(!world.sent.contains("ANONYMOUS"));
        world.sent.clear();
        world.say(&format!(
            "<auth {SASL_NS} mechanism='{mechanism}'>{data}</auth>"
        ));
        let start = format!("<failure {SASL_NS}><{condition}/>");
        assert!(
            world.sent.starts_with(&start),
            "{mechanism}: {}",
            world.sent
        );
        assert_eq!(world.sent.matches("/>").count(), 1, "{}", world.sent);
    }
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

#[test]
fn stanza_01_half_a_stanza_is_none() {
    let whole = "<message to='bob@one.example' id='1'><body>hi</body></message>";
    for cut in 1..whole.len() {
        let mut world = World::open();
        world.say(&whole[..cut]);
        assert!(world.stanzas.is_empty(), "{}", &whole[..cut]);
        world.input(Input::Order(Order::Finish));
        assert!(world.stanzas.is_empty());
    }
    let mut world = World::open();
    world.say(whole);
    assert_eq!(world.stanzas.len(), 1);
}

// --- before binding ---

#[test]
fn stream_05_bind_07_dos_08_tls_36_no_stanza_before_its_time() {
    let message = "<message to='bob@one.example'><body>x</body></message>";
    for mut world in [
        World::new(),
        World::direct("one.example"),
        World::authenticated(),
    ] {
        if world.machine.phase() == Phase::Unauthenticated {
            world.say(OPEN);
        } else {
            // The header was cleared away with the rest.
            world.sent.push_str("<stream:stream >");
        }
        world.say(message);
        world.ends_with_error("not-authorized");
        assert!(world.stanzas.is_empty());
    }
}

#[test]
fn bind_01_02_random_resource() {
    let mut world = World::authenticated();
    world.say("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>");
    let jid = world.machine.jid().expect("bound").clone();
    assert_eq!(jid.resource().map(str::len), Some(32));
    assert_eq!(
        world.sent,
        format!(
            "<iq type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{jid}</jid></bind></iq>"
        )
    );
}

#[test]
fn bind_03_the_client_s_resource() {
    let world = World::open();
    assert_eq!(
        world.machine.jid().map(Jid::as_str),
        Some("alice@one.example/r")
    );
}

#[test]
fn bind_05_06_refusals_are_answered_and_counted() {
    let mut world = World::authenticated();
    for _ in 0..8 {
        assert!(!world.closing);
        world.say(&bind("taken"));
    }
    assert_eq!(world.sent.matches("<resource-constraint ").count(), 8);
    assert!(world.sent.contains("type='wait'"));
    assert!(world.closing && world.sent.contains("<policy-violation "));
}

// --- open ---

#[test]
fn layer_03_from_is_stamped() {
    let mut world = World::open();
    world.say(
        "<message from='bob@two.example' to='bob@one.example' type='chat'><body>x</body></message>",
    );
    assert_eq!(
        world.stanzas[0].from().map(Jid::as_str),
        Some("alice@one.example/r")
    );
    let text = String::from_utf8_lossy(world.stanzas[0].bytes()).into_owned();
    assert!(!text.contains("two.example"), "{text}");
    assert!(text.contains("xml:lang='de'"), "STREAM-18: {text}");
}

#[test]
fn stanza_06_a_bad_iq_is_answered() {
    let mut world = World::open();
    world.say("<iq type='get' to='one.example'/>");
    assert!(world.stanzas.is_empty() && !world.closing);
    assert!(world.sent.contains("<bad-request "), "{}", world.sent);
}

#[test]
fn stream_23_24_what_is_no_stanza() {
    for (element, condition) in [
        ("<foo xmlns='urn:x'/>", "unsupported-stanza-type"),
        ("<foo/>", "unsupported-stanza-type"),
        ("<message xmlns='jabber:server'/>", "invalid-namespace"),
        (
            "<c:message xmlns:c='jabber:client'/>",
            "bad-namespace-prefix",
        ),
    ] {
        let mut world = World::open();
        world.sent.push_str("<stream:stream >");
        world.say(element);
        world.ends_with_error(condition);
        assert!(world.stanzas.is_empty());
    }
}

#[test]
fn the_old_session_request_is_answered() {
    let mut world = World::open();
    world.say("<iq type='set' id='s'><session xmlns='urn:ietf:params:xml:ns:xmpp-session'/></iq>");
    assert_eq!(world.sent, "<iq type='result' id='s'/>");
    world.sent.clear();
    world.say(&bind("second"));
    assert!(world.sent.contains("<not-allowed "));
}

// --- the stages ---

/// Each stage alone: what the server says from one header to the next.
#[test]
fn stream_01_02_03_04_34_one_stage_after_another() {
    let mut world = World::new();
    let mut ids = Vec::new();
    let mut header = |world: &mut World| {
        world.sent.clear();
        world.say(OPEN);
        let (opening, features) = world
            .sent
            .split_once("<stream:features>")
            .expect("features follow the header");
        assert!(opening.starts_with("<?xml version='1.0'?><stream:stream "));
        let id = opening.split(" id='").nth(1).expect("an id");
        let id = id.split('\'').next().expect("its end").to_owned();
        assert!(!ids.contains(&id), "a new id");
        ids.push(id);
        let inner = features
            .strip_suffix("</stream:features>")
            .expect("nothing behind them");
        // STREAM-01: every child declares a namespace that is neither the stream's nor the content's.
        let wrapped = format!("<stream:features>{inner}</stream:features>");
        let mut framer = Framer::new(Limits::default());
        framer.push(OPEN.as_bytes());
        framer.push(wrapped.as_bytes());
        assert!(matches!(framer.next(), Ok(Some(Frame::Header(_)))));
        let Ok(Some(Frame::Element(raw))) = framer.next() else {
            panic!("{wrapped}")
        };
        for child in raw.to_element().children() {
            assert!(
                ![ns::STREAM, ns::CLIENT, ""].contains(&child.ns()),
                "{}",
                child.name()
            );
        }
        inner.to_owned()
    };
    let has = |features: &str| {
        ["<starttls ", "<mechanisms ", "<bind "].map(|feature| features.contains(feature))
    };
    assert_eq!(has(&header(&mut world)), [true, false, false]);
    world.say("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    world.input(Input::Tls(tls("one.example")));
    assert_eq!(has(&header(&mut world)), [false, true, false]);
    world.sent.clear();
    world.say(&plain("alice", "pw"));
    // STREAM-03: the old stream is dropped without a word.
    assert!(!world.sent.contains("</stream:stream>"));
    assert!(!world.closing && !world.disconnected);
    let last = header(&mut world);
    assert_eq!(has(&last), [false, false, true]);
    // STREAM-34
    assert!(last.contains(
        "<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>262144</max-bytes><idle-seconds>300</idle-seconds></limits>"
    ));
    world.sent.clear();
    world.say(&bind("r"));
    assert_eq!(world.machine.phase(), Phase::Open);
    assert!(!world.sent.contains("features"), "STREAM-04");
}

#[test]
fn stream_06_the_address_is_the_identity_proved_and_the_resource_bound() {
    for message in ["\0Alice\0pw", "Alice@ONE.example\0alice\0pw"] {
        let mut world = World::direct("one.example");
        world.say(OPEN);
        let message = sasl::encode(message.as_bytes());
        world.say(&format!(
            "<auth {SASL_NS} mechanism='PLAIN'>{message}</auth>"
        ));
        world.say(OPEN);
        world.say(&bind("R\u{a0}1"));
        assert_eq!(
            world.machine.jid().map(Jid::as_str),
            Some("alice@one.example/R 1"),
            "{}",
            world.sent
        );
    }
}

#[test]
fn tls_04_nothing_goes_in_plaintext() {
    for element in [
        "<message to='bob@one.example'><body>x</body></message>".to_owned(),
        bind("r"),
        "<iq type='get' id='1'><query xmlns='jabber:iq:auth'/></iq>".to_owned(),
    ] {
        let mut world = World::new();
        world.say(OPEN);
        world.say(&element);
        world.ends_with_error("not-authorized");
        assert!(world.stanzas.is_empty());
    }
}

// --- the end ---

#[test]
fn stream_08_the_client_closes() {
    let mut world = World::open();
    world.say("</stream:stream>");
    assert_eq!(world.sent, "</stream:stream>");
    assert!(world.disconnected);
    assert_eq!(world.machine.phase(), Phase::Closed);
}

#[test]
fn stream_08_we_close_and_wait() {
    let mut world = World::open();
    world.input(Input::Order(Order::Close(
        StreamCondition::SystemShutdown.into(),
    )));
    assert!(world.sent.contains("<system-shutdown "));
    assert!(world.closing && !world.disconnected);
    let length = world.sent.len();
    world.say("<message to='bob@one.example'/>");
    world.input(Input::Order(Order::Finish));
    world.say("</stream:stream>");
    assert_eq!(world.sent.len(), length, "nothing more is sent");
    assert!(world.disconnected);
}

#[test]
fn a_client_s_stream_error_ends_the_stream() {
    let mut world = World::open();
    world.say("<stream:error><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>");
    assert!(world.closing);
    assert_eq!(world.sent, "</stream:stream>");
}
