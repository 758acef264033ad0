//! Peers that are no longer where they were: those that say so (`<see-other-host/>`), and those that say nothing any more.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use crate::actor::{Actor, Script, network};
use crate::authority::Shape;
use crate::house::{Hosted, House, unique};
use crate::kept::{directory, on_the_keeper};
use crate::meeting::outbound;
use crate::world::{STRICT, World, world};

/// A peer in two places: the first, which the DNS knows, sends whoever calls to `host`, and the second, which serves as
/// it should with a certificate for `name` (the peer's own if empty).
fn moved(world: &World, place: Ipv4Addr, host: &str, name: &str) -> (Actor, Actor) {
    let old = world.peer(
        "moved",
        "signed.example",
        Shape::ServerAuth,
        Script {
            moved: Some(host.to_owned()),
            ..Script::default()
        },
    );
    let name = if name.is_empty() { &old.domain } else { name };
    let identity = world.ca.shaped(name, Shape::ServerAuth);
    let new = Actor::start_at(place, &old.domain, identity, Script::default());
    (old, new)
}

/// Followed in every form that the name of the other host may have (STREAM-31), with the `to` of the first header, over TLS,
/// and proved by the peer's own name.
#[test]
fn stream_32_a_peer_that_has_moved_is_followed_and_proves_the_same_name() {
    let world = world();
    let named = format!("{}.signed.example", unique("elsewhere"));
    let places = [network(), network(), network()];
    world.zones.add(&[
        format!("{named} A {}", places[1]),
        format!("_xmpp-server._tcp.{named} SRV 0 5 5269 xmpp.{named}."),
        format!("xmpp.{named} A {}", places[2]),
    ]);
    for (place, host) in [
        (places[0], format!("{}:5269", places[0])),
        (places[1], format!("{named}:5269")),
        // Without a port it is resolved like any domain (RFC 6120 4.9.3.19, 3.2).
        (places[2], named),
    ] {
        let (old, new) = moved(world, place, &host, "");
        let met = outbound(world, STRICT, &new);
        assert_eq!(met.said(), ("EXTERNAL", "pkix", "delivered"), "{host}");
        assert!(old.connections() == 1 && old.count("<message") == 0);
        let opening = new.until("<stream:stream");
        assert!(
            opening.contains(&format!("to='{}'", old.domain))
                && opening.contains(&format!("from='{STRICT}'")),
            "{opening}"
        );
        let before_tls = new.heard();
        assert!(before_tls[1].starts_with("<starttls"), "{before_tls:?}");
    }
}

/// Being sent there proves nothing about a host: its certificate must be for the name that was called.
#[test]
fn stream_32_dna_03_the_other_host_s_own_name_is_worth_nothing() {
    let world = world();
    let place = network();
    let named = format!("{}.signed.example", unique("elsewhere"));
    world.zones.add(&[format!("{named} A {place}")]);
    let (_old, new) = moved(world, place, &format!("{named}:5269"), &named);
    let met = outbound(world, STRICT, &new);
    assert_eq!(
        (met.proof.as_str(), met.outcome.as_str()),
        ("none", "bounced: remote-server-timeout")
    );
    assert_eq!(new.count("<message") + new.count("<auth "), 0);
}

/// Who has not proved to be the peer, or not yet, sends nobody anywhere.
#[test]
fn stream_32_only_the_peer_itself_says_where_it_is() {
    let world = world();
    for (shape, moved_early) in [(Shape::WrongName, false), (Shape::ServerAuth, true)] {
        let place = network();
        let script = Script {
            moved: Some(format!("{place}:5269")),
            moved_early,
            ..Script::default()
        };
        let old = world.peer("moved", "signed.example", shape, script);
        let identity = world.ca.shaped(&old.domain, Shape::ServerAuth);
        let new = Actor::start_at(place, &old.domain, identity, Script::default());
        let met = outbound(world, STRICT, &old);
        assert!(met.outcome.starts_with("bounced"), "{met:?}");
        assert_eq!(new.connections(), 0);
    }
}

#[test]
fn stream_32_a_peer_that_is_nowhere_is_given_up() {
    let world = world();
    let place = network();
    let domain = format!("{}.signed.example", unique("circle"));
    let there = Script {
        moved: Some(format!("{place}:5269")),
        ..Script::default()
    };
    let first = world.peer_with(&domain, world.ca.shaped(&domain, Shape::ServerAuth), there);
    let back = Script {
        moved: Some(format!("xmpp.{domain}:5269")),
        ..Script::default()
    };
    let identity = world.ca.shaped(&domain, Shape::ServerAuth);
    let second = Actor::start_at(place, &domain, identity, back);
    let met = outbound(world, STRICT, &first);
    assert_eq!(met.outcome, "bounced: remote-server-timeout");
    let followed = first.connections() + second.connections() - 1;
    assert!((2..=5).contains(&followed), "{followed}");
}

const PINGING: &str = "pinging.signed.example";

/// A house that asks after a second of silence whether its peers are there.
fn pinging() -> &'static House {
    static PINGING_HOUSE: LazyLock<House> = LazyLock::new(|| {
        on_the_keeper(|| {
            let world = world();
            let identity = world.ca.shaped(PINGING, Shape::ServerAuth);
            let hosted = Hosted::new(PINGING, "authenticated", identity);
            let dir = directory().join("pinging");
            House::start(
                &dir,
                &world.zones,
                "pinging",
                &world.ca.root_pem,
                &[hosted],
                "ping_seconds = 1\npong_seconds = 1\n",
            )
        })
    });
    &PINGING_HOUSE
}

/// XEP-0198: what was written to a peer that then says nothing any more goes out again where it is heard.
#[test]
fn stream_10_what_a_dead_peer_has_not_acknowledged_goes_out_again() {
    let (world, house) = (world(), pinging());
    let script = Script {
        silent: 1,
        features: "<sm xmlns='urn:xmpp:sm:3'/>",
        ..Script::default()
    };
    let peer = world.peer("dead", "signed.example", Shape::ServerAuth, script);
    let mut alice = house.alice(PINGING, &world.roots);
    let (first, second) = (unique("first"), unique("second"));
    for id in [&first, &second] {
        alice.message(&format!("romeo@{}", peer.domain), id, "x");
        peer.until(id);
    }
    peer.until("<r xmlns='urn:xmpp:sm:3'");
    peer.until("<connection-timeout");
    for id in [&first, &second] {
        peer.until_times(id, 2);
    }
    let heard = peer.heard();
    let last = |id: &str| heard.iter().rposition(|item| item.contains(id));
    assert!(last(&first) < last(&second), "in order: {heard:#?}");
    assert_eq!(peer.connections(), 2);
    // What is acknowledged there is done.
    let third = unique("third");
    alice.message(&format!("romeo@{}", peer.domain), &third, "x");
    peer.until(&third);
    assert_eq!((peer.connections(), peer.count(&first)), (2, 2));
    assert!(!alice.settle().iter().any(|item| item.contains("<error")));
    alice.close();
}

/// XEP-0199, where the peer does not acknowledge but could answer.
#[test]
fn stream_10_a_peer_that_answers_no_ping_is_left() {
    let (world, house) = (world(), pinging());
    let script = Script {
        silent: 1,
        features: "<bidi xmlns='urn:xmpp:features:bidi'/>",
        ..Script::default()
    };
    let peer = world.peer("dead", "signed.example", Shape::ServerAuth, script);
    let mut alice = house.alice(PINGING, &world.roots);
    let (before, after) = (unique("before"), unique("after"));
    alice.message(&format!("romeo@{}", peer.domain), &before, "x");
    peer.until(&before);
    peer.until("urn:xmpp:ping");
    peer.until("<connection-timeout");
    alice.message(&format!("romeo@{}", peer.domain), &after, "x");
    peer.until(&after);
    assert_eq!(peer.connections(), 2);
    // The second one answers and stays.
    peer.until_times("urn:xmpp:ping", 3);
    assert_eq!(peer.connections(), 2);
    alice.close();
}
