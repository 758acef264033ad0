//! Which way stanzas and questions take: where the DNS leads, over whose connection, and where they must not go.

use crate::actor::{Actor, Script, network};
use crate::authority::Shape;
use crate::house::unique;
use crate::meeting::{dial_back, outbound};
use crate::wire::{Wire, attribute};
use crate::world::{OPEN, STRICT, world};

/// The records of the domain are asked for, and the header names both of the pair.
#[test]
fn dna_02_a_peer_is_looked_up_and_called_by_its_name() {
    let world = world();
    for local in [OPEN, STRICT] {
        let peer = world.peer(
            "named",
            "signed.example",
            Shape::ServerAuth,
            Script::default(),
        );
        let service = format!("_xmpp-server._tcp.{}", peer.domain);
        let before = world.zones.asked(&service);
        let met = outbound(world, local, &peer);
        assert_eq!(met.said(), ("EXTERNAL", "pkix", "delivered"));
        assert!(world.zones.asked(&service) > before, "looked up");
        for header in peer.heard().iter().filter(|i| i.contains("<stream:stream")) {
            assert_eq!(attribute(header, "from").as_deref(), Some(local));
            assert_eq!(attribute(header, "to"), Some(peer.domain.clone()));
        }
    }
}

/// A perfect server at the domain's own address, which is not where the records lead.
#[test]
fn s2s_06_where_the_records_lead_nowhere_the_domain_s_own_address_is_left_alone() {
    let world = world();
    let domain = format!("{}.signed.example", unique("fallback"));
    let identity = world.ca.shaped(&domain, Shape::ServerAuth);
    let own = Actor::start(&domain, identity, Script::default());
    world.zones.add(&[
        format!("{domain} A {}", own.ip()),
        format!("xmpp.{domain} A {}", network()),
        format!("_xmpp-server._tcp.{domain} SRV 0 5 5269 xmpp.{domain}."),
    ]);
    let met = outbound(world, OPEN, &own);
    assert_eq!(met.outcome, "bounced: remote-server-timeout");
    assert_eq!(own.connections(), 0);
}

/// RFC 7712 4.4.1: the answer to who asserts a further domain comes on the stream it came on, the question goes to that
/// domain's own server, and its certificate alone answers nothing.
#[test]
fn dna_14_15_a_further_sender_is_asked_about_at_its_own_server() {
    let world = world();
    let script = |takes| Script {
        answers: takes,
        ..Script::default()
    };
    use crate::actor::Answers::{AlwaysInvalid, Honest};
    for (shape, answers, word) in [
        (Shape::SelfSigned, Honest, "valid"),
        (Shape::ServerAuth, AlwaysInvalid, "invalid"),
    ] {
        let first = world.peer(
            "first",
            "signed.example",
            Shape::ServerAuth,
            Script::default(),
        );
        let further = world.peer("further", "signed.example", shape, script(answers));
        let mut wire = Wire::connect_from(first.ip(), world.house.s2s()).expect("connection");
        wire.secure(&first.domain, OPEN, Some(&first.identity));
        let said = wire.external(&first.domain);
        assert!(said.contains("<success"), "{said}");
        let opened = wire.open(&first.domain, OPEN);
        let key = further.key(&opened.id);
        let answer = dial_back(&mut wire, &further.domain, OPEN, &key);
        for (part, value) in [
            ("from", OPEN),
            ("to", further.domain.as_str()),
            ("type", word),
        ] {
            assert_eq!(attribute(&answer, part).as_deref(), Some(value), "{answer}");
        }
        assert!(!wire.seen.iter().any(|item| item.contains("<db:verify")));
        let asked = further.until("<db:verify");
        for (part, value) in [
            ("from", OPEN),
            ("to", further.domain.as_str()),
            ("id", opened.id.as_str()),
        ] {
            assert_eq!(attribute(&asked, part).as_deref(), Some(value), "{asked}");
        }
        assert!(asked.contains(&format!(">{key}<")), "{asked}");
        let mut alice = world.alice(OPEN);
        let id = unique("further");
        wire.say(&format!(
            "<message from='romeo@{}/x' to='{}' id='{id}'><body>x</body></message>",
            further.domain, alice.jid
        ));
        if word == "valid" {
            alice.until(&id);
        } else {
            let end = wire.rest();
            assert!(end.contains("<invalid-from"), "{end}");
            assert!(!alice.settle().iter().any(|item| item.contains(&id)));
        }
        alice.close();
    }
}
