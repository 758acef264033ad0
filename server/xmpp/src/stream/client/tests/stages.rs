//! One stage after another, from the first header to the last word.

use super::*;

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
        ["<starttls ", "<mechanisms ", "<bind xmlns='urn:ietf:"]
            .map(|feature| features.contains(feature))
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
