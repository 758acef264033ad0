//! Streams that go both ways (XEP-0288): what comes back over the peer's own connection, and what must not.

use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::lab::actor::Script;
use crate::lab::authority::Shape;
use crate::lab::house::unique;
use crate::lab::meeting::dial_back;
use crate::lab::wire::Wire;
use crate::lab::world::{OPEN, world};

const BIDI: &str = "<bidi xmlns='urn:xmpp:bidi'/>";

/// BIDI-01, BIDI-04: after EXTERNAL the answer comes over the connection of the peer, and none is made to it.
#[test]
fn bidi_04_answers_come_back_over_a_proven_stream() {
    let world = world();
    let peer = world.peer(
        "bidi",
        "signed.example",
        Shape::ServerAuth,
        Script::default(),
    );
    let mut wire = Wire::connect_from(peer.ip(), world.house.s2s()).expect("connection");
    let opened = wire.secure(&peer.domain, OPEN, Some(&peer.identity));
    assert!(
        opened.features.contains("urn:xmpp:features:bidi"),
        "{}",
        opened.features
    );
    wire.say(BIDI);
    let answer = wire.external(&peer.domain);
    assert!(answer.contains("<success"), "{answer}");
    wire.open(&peer.domain, OPEN);

    let mut alice = world.alice(OPEN);
    let id = unique("back");
    alice.message(&format!("romeo@{}", peer.domain), &id, "back");
    let got = wire.until(&id);
    assert!(got.contains(&format!("from='{}'", alice.jid)), "{got}");
    assert!(peer.heard().is_empty(), "{:?}", peer.heard());
    alice.close();
}

/// BIDI-03: a peer that has proven nothing gets nothing, however it asks; what is for it goes where the DNS says.
#[test]
fn bidi_03_nothing_comes_back_before_the_proof() {
    let world = world();
    let peer = world.peer(
        "bidi",
        "signed.example",
        Shape::ServerAuth,
        Script::default(),
    );
    let thief = world.ca.shaped(&peer.domain, Shape::SelfSigned);
    let mut wire = Wire::connect_from(peer.ip(), world.house.s2s()).expect("connection");
    wire.secure(&peer.domain, OPEN, Some(&thief));
    wire.say(BIDI);

    let mut alice = world.alice(OPEN);
    let id = unique("secret");
    alice.message(&format!("romeo@{}", peer.domain), &id, "secret");
    let end = Instant::now() + DEADLINE;
    while peer.count(&id) == 0 {
        assert!(Instant::now() < end, "{:?}", peer.heard());
        alice.settle();
        std::thread::park_timeout(Duration::from_millis(20));
    }
    alice.close();
    wire.say("</stream:stream>");
    let rest = wire.rest();
    assert!(!rest.contains(&id), "{rest}");
}

/// The key comes over a stream that goes both ways; the question about it does not go back there.
#[test]
fn bidi_05_a_key_is_checked_over_another_connection_than_it_came_on() {
    let world = world();
    let peer = world.peer(
        "bidi",
        "signed.example",
        Shape::SelfSigned,
        Script::default(),
    );
    let mut wire = Wire::connect_from(peer.ip(), world.house.s2s()).expect("connection");
    let opened = wire.secure(&peer.domain, OPEN, None);
    wire.say(BIDI);
    let answer = dial_back(&mut wire, &peer.domain, OPEN, &peer.key(&opened.id));
    assert!(answer.contains("type='valid'"), "{answer}");
    assert_eq!((peer.connections(), peer.count("<db:verify")), (1, 1));
    assert!(!wire.seen.iter().any(|item| item.contains("<db:verify")));
    // What is for the peer does come back (BIDI-04).
    let mut alice = world.alice(OPEN);
    let id = unique("back");
    alice.message(&format!("romeo@{}", peer.domain), &id, "back");
    wire.until(&id);
    alice.close();
}

/// XEP-0368: the same rules on direct TLS, with the ALPN name of servers (TLS-33, TLS-34).
#[test]
fn tls_34_direct_tls_is_judged_like_starttls() {
    let world = world();
    for (shape, good) in [(Shape::ServerAuth, true), (Shape::Expired, false)] {
        let peer = world.peer("direct", "signed.example", shape, Script::default());
        let mut wire = Wire::connect_from(peer.ip(), world.house.s2s_tls()).expect("connection");
        wire.tls_client(Some(&peer.identity), OPEN, &["xmpp-server"])
            .expect("handshake");
        let opened = wire.open(&peer.domain, OPEN);
        assert_eq!(opened.offers_external(), good, "{}", opened.features);
        assert!(
            !opened.features.contains("<starttls"),
            "TLS-31: {}",
            opened.features
        );
        let script = Script {
            direct: true,
            ..Script::default()
        };
        let called = world.peer("direct", "signed.example", shape, script);
        let met = crate::lab::meeting::outbound(world, OPEN, &called);
        let proof = if good { "pkix" } else { "dialback" };
        assert_eq!(met.said(), ("EXTERNAL", proof, "delivered"));
        assert_eq!(called.count("<starttls"), 0, "TLS-32");
    }
}
