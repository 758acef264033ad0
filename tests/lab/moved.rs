//! Peers that are no longer where they were: those that say so (`<see-other-host/>`), and those that say nothing any more.

use std::net::Ipv4Addr;
use std::sync::LazyLock;

use crate::lab::actor::{Actor, Script, network};
use crate::lab::authority::Shape;
use crate::lab::house::{Hosted, House, unique};
use crate::lab::kept::{directory, on_the_keeper};
use crate::lab::meeting::{Met, outbound};
use crate::lab::table::{Row, check};
use crate::lab::world::{STRICT, World, world};

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

/// STREAM-32, DNA-03: who says that it has moved is followed where it may say so, and proves the same name there.
#[test]
fn stream_32_peers_that_have_moved() {
    let world = world();
    let mut rows = followed(world);
    rows.push(the_other_name(world));
    rows.extend(nobody_else_sends(world));
    rows.push(nowhere(world));
    check("moved", &rows);
}

fn row(met: Met, presents: &str) -> Row {
    met.row("scripted", presents, "authenticated", "out")
}

/// Followed in every form that the name of the other host may have (STREAM-31), with the `to` of the first header, over TLS,
/// and proved by the peer's own name.
fn followed(world: &World) -> Vec<Row> {
    let named = format!("{}.signed.example", unique("elsewhere"));
    let places = [network(), network(), network()];
    world.zones.add(&[
        format!("{named} A {}", places[1]),
        format!("_xmpp-server._tcp.{named} SRV 0 5 5269 xmpp.{named}."),
        format!("xmpp.{named} A {}", places[2]),
    ]);
    let forms = [
        ("an address", places[0], format!("{}:5269", places[0])),
        ("a host and port", places[1], format!("{named}:5269")),
        // Without a port it is resolved like any domain (RFC 6120 4.9.3.19, 3.2).
        ("a domain", places[2], named),
    ];
    let mut rows = Vec::new();
    for (form, place, host) in forms {
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
        rows.push(row(met, &format!("it has moved to {form}")));
    }
    rows
}

/// Being sent there proves nothing about a host: its certificate must be for the name that was called.
fn the_other_name(world: &World) -> Row {
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
    // That of the host it was sent to.
    let met = met.explained_by(&world.house, STRICT, &new.domain, "out", |attempt| {
        attempt["refusals"].to_string().contains("name-mismatch")
    });
    row(
        met,
        "it has moved to a host whose certificate names that host only",
    )
}

/// Who has not proved to be the peer, or not yet, sends nobody anywhere.
fn nobody_else_sends(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    for (presents, shape, moved_early) in [
        (
            "its certificate names somebody else, and it says that it has moved",
            Shape::WrongName,
            false,
        ),
        ("it says so before TLS", Shape::ServerAuth, true),
    ] {
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
        rows.push(row(met, presents));
    }
    rows
}

/// STREAM-32: sent in a circle.
fn nowhere(world: &World) -> Row {
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
    row(met, "two places, each of which sends to the other")
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

/// STREAM-10: silence is noticed where the other side can be made to speak.
#[test]
fn stream_10_peers_that_fall_silent() {
    let world = world();
    let rows = [unacknowledged(world), unanswered(world)];
    check("silent", &rows);
}

/// The stream that took the place of the silent one.
fn again(peer: &Actor, presents: &str, outcome: &str) -> Row {
    let met = Met::new("", "", outcome);
    let met = met.explained_by(pinging(), PINGING, &peer.domain, "out", |attempt| {
        attempt["ok"] == true
    });
    row(met, presents)
}

/// XEP-0198: what was written to a peer that then says nothing any more goes out again where it is heard.
fn unacknowledged(world: &World) -> Row {
    let house = pinging();
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
    again(
        &peer,
        "it acknowledged, and then says nothing any more",
        "delivered again, in order, on a second connection",
    )
}

/// XEP-0199, where the peer does not acknowledge but could answer.
fn unanswered(world: &World) -> Row {
    let house = pinging();
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
    again(
        &peer,
        "it goes both ways, and answers no ping",
        "left; what is sent next is delivered on a second connection",
    )
}
