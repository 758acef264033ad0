//! Stanzas before, during and after binding.

use super::*;

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
    assert!(world.sent.contains("type='result'"), "{}", world.sent);
    assert!(world.sent.contains("id='s'"), "{}", world.sent);
    world.sent.clear();
    world.say(&bind("second"));
    assert!(world.sent.contains("<not-allowed "));
}
