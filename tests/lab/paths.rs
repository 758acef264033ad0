//! Which way stanzas and questions take: where the DNS leads, over whose connection, and where they must not go.

use crate::lab::actor::{Actor, Script, network};
use crate::lab::authority::Shape;
use crate::lab::house::unique;
use crate::lab::meeting::{Met, dial_back, outbound};
use crate::lab::table::{Row, check};
use crate::lab::wire::{Wire, attribute};
use crate::lab::world::{OPEN, STRICT, World, world};

/// DNA-02, S2S-06, DNA-14, DNA-15: where stanzas and questions go, and where not.
#[test]
fn dna_02_14_15_s2s_06_ways_of_stanzas_and_questions() {
    let world = world();
    let mut rows = called_by_name(world);
    rows.push(own_address(world));
    rows.extend(asked_about(world));
    check("paths", &rows);
}

/// DNA-02: the records of the domain are asked for, and the header names both of the pair.
fn called_by_name(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    for (local, policy) in [(OPEN, "encrypted"), (STRICT, "authenticated")] {
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
        let presents = "looked up and called by its name, ours in the header";
        rows.push(met.row("scripted", presents, policy, "out"));
    }
    rows
}

/// S2S-06: a perfect server at the domain's own address, which is not where the records lead.
fn own_address(world: &World) -> Row {
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
    let presents = "its records lead nowhere, a good server is at its own address";
    met.row("scripted", presents, "encrypted", "out")
}

/// RFC 7712 4.4.1 (DNA-14, DNA-15): the answer to who asserts a further domain comes on the stream it came on, the question goes to that
/// domain's own server, and its certificate alone answers nothing.
fn asked_about(world: &World) -> Vec<Row> {
    let mut rows = Vec::new();
    let script = |takes| Script {
        answers: takes,
        ..Script::default()
    };
    use crate::lab::actor::Answers::{AlwaysInvalid, Honest};
    for (presents, shape, answers, word) in [
        (
            "a further domain, whose own server confirms the key",
            Shape::SelfSigned,
            Honest,
            "valid",
        ),
        (
            "a further domain, whose own server has a good certificate and refutes the key",
            Shape::ServerAuth,
            AlwaysInvalid,
            "invalid",
        ),
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
        let (proof, outcome, good) = match word {
            "valid" => ("dialback", "delivered", true),
            _ => ("none", "refused: invalid, then invalid-from", false),
        };
        if good {
            alice.until(&id);
        } else {
            let end = wire.rest();
            assert!(end.contains("<invalid-from"), "{end}");
            assert!(!alice.settle().iter().any(|item| item.contains(&id)));
        }
        alice.close();
        let met = Met::new("dialback", "", outcome);
        let met = met.explained_as(world, OPEN, &further.domain, "in", good);
        assert_eq!(met.proof, proof);
        rows.push(met.row("scripted", presents, "encrypted", "in"));
    }
    rows
}
