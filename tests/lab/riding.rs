//! Further pairs on a stream that is open already (RFC 7712 4.4): by assertion, when another domain of who called asks to be
//! heard, and by supposition, when another domain seems to be served at the end of a stream of ours.

use crate::lab::actor::{Actor, Answers, Script, network};
use crate::lab::authority::Shape;
use crate::lab::house::unique;
use crate::lab::houses::{SHARED, second};
use crate::lab::meeting::{Met, call, dial_back, outbound_to, written};
use crate::lab::table::{Row, check};
use crate::lab::wire::{Wire, condition};
use crate::lab::world::{BARE, BOTH, OPEN, STRICT, World, world};

/// A peer for two domains, both with records that lead to it.
struct Pair {
    actor: Actor,
    second: String,
}

impl Pair {
    /// `both`: its certificate names the second domain as well.
    fn start(world: &World, both: bool, script: Script) -> Self {
        let first = format!("{}.signed.example", unique("first"));
        let second = format!("{}.signed.example", unique("second"));
        let identity = match both {
            true => world.ca.issue(&[&first, &second]),
            false => world.ca.shaped(&first, Shape::ServerAuth),
        };
        let actor = world.peer_with(&first, identity, script);
        Self { actor, second }
    }

    fn publish(self, world: &World) -> Self {
        world.zones.add(&self.actor.records_of(&self.second));
        self
    }
}

/// A message over `wire` to Alice arrives.
fn carries(world: &World, wire: &mut Wire, from: &str, local: &str) {
    let mut alice = world.alice(local);
    let id = unique("riding");
    wire.say(&format!(
        "<message from='romeo@{from}/x' to='{}' id='{id}' type='chat'><body>x</body></message>",
        alice.jid
    ));
    let got = alice.until(&id);
    assert!(got.contains(&format!("from='romeo@{from}/x'")), "{got}");
    alice.close();
}

/// The second domain of a peer asks to be heard on the stream that the first one opened by certificate. `made_up`: with a key
/// that its authority does not know.
fn asserted(world: &World, local: &str, pair: &Pair, to: &str, made_up: bool) -> (Met, usize) {
    let Pair { actor, second } = pair;
    let (mut wire, mechanism, outcome) = call(world, local, actor, Some(&actor.identity));
    assert_eq!((mechanism.as_str(), outcome.as_str()), ("EXTERNAL", "open"));
    let stream = crate::lab::wire::attribute(
        wire.seen
            .iter()
            .rev()
            .find(|item| item.contains("<stream:stream"))
            .expect("a header"),
        "id",
    );
    let key = match made_up {
        true => "made-up".to_owned(),
        false => actor.key(&stream.expect("a stream id")),
    };
    let before = actor.connections();
    let answer = dial_back(&mut wire, second, to, &key);
    let own = actor.connections() - before;
    let met = if answer.contains("type='valid'") {
        carries(world, &mut wire, second, to);
        Met::new("", "", "delivered").explained(world, to, second, "in")
    } else {
        let outcome = match answer.contains("type='invalid'") {
            true => "refused: invalid".to_owned(),
            false => format!("refused: {}", condition(&answer)),
        };
        let met = Met::new("dialback", "none", &outcome);
        // What is not served on this channel is nobody's attempt.
        match to == local {
            true => met.explained(world, to, second, "in"),
            false => met,
        }
    };
    // Whatever became of it, the first pair goes on (DIALBACK-15).
    carries(world, &mut wire, &actor.domain, local);
    (met, own)
}

/// DNA-12 to DNA-15, VHOST-03: who says to be another domain too is believed by the certificate on that very stream, or by
/// dialback on a connection of its own.
#[test]
fn dna_12_to_15_further_domains_of_who_called() {
    let world = world();
    let refuting = Script {
        answers: Answers::AlwaysInvalid,
        ..Script::default()
    };
    let plain = Script::default;
    let mut rows = Vec::new();
    for (presents, both, script, local, policy, to, made_up, expected) in [
        (
            "certificate on the stream names it too",
            true,
            plain(),
            OPEN,
            "encrypted",
            OPEN,
            true,
            ("certificate", "pkix", "delivered", 0),
        ),
        (
            "certificate on the stream names it too",
            true,
            plain(),
            STRICT,
            "authenticated",
            STRICT,
            true,
            ("certificate", "pkix", "delivered", 0),
        ),
        (
            "certificate does not name it, its authority confirms the key",
            false,
            plain(),
            OPEN,
            "encrypted",
            OPEN,
            false,
            ("dialback", "dialback", "delivered", 1),
        ),
        (
            "certificate does not name it, its authority refutes the key",
            false,
            refuting,
            OPEN,
            "encrypted",
            OPEN,
            false,
            ("dialback", "none", "refused: invalid", 1),
        ),
        (
            "certificate does not name it",
            false,
            plain(),
            STRICT,
            "authenticated",
            STRICT,
            false,
            ("dialback", "none", "refused: not-authorized", 0),
        ),
        (
            "towards a hosted domain that our certificate there does not name",
            true,
            plain(),
            OPEN,
            "encrypted",
            BOTH,
            false,
            ("dialback", "none", "refused: item-not-found", 0),
        ),
    ] {
        let pair = Pair::start(world, both, script).publish(world);
        let (met, own) = asserted(world, local, &pair, to, made_up);
        let (mechanism, proof, outcome) = met.said();
        assert_eq!(
            (mechanism, proof, outcome, own),
            expected,
            "{presents}, {policy}: {met:?}"
        );
        rows.push(further(met, "scripted", presents, policy, "in", own));
    }
    check("asserted", &rows);
}

fn further(
    met: Met,
    peer: &str,
    presents: &str,
    policy: &str,
    direction: &'static str,
    own: usize,
) -> Row {
    let mut row = met.row(peer, presents, policy, direction);
    row.outcome += match own {
        0 => ", no other connection",
        _ => ", another connection",
    };
    row
}

/// DNA-12, DIALBACK-19: another domain of ours speaks on the stream that leads to the same peer, where what the peer saw of
/// us is as good for it as a connection of its own would be.
fn ours(world: &World) -> Vec<Row> {
    let dialback = Script {
        external: false,
        ..Script::default()
    };
    let picky = Script {
        turns_away: Some(BARE),
        ..dialback.clone()
    };
    let mut rows = Vec::new();
    for (presents, script, outcome, own) in [
        (
            "a second domain of ours, the first was taken by dialback",
            dialback,
            "delivered",
            0,
        ),
        (
            "a second domain of ours, the first was taken by its own certificate",
            Script::default(),
            "delivered",
            1,
        ),
        (
            "a second domain of ours, which the peer refuses",
            picky,
            "bounced: internal-server-error",
            1,
        ),
    ] {
        let peer = world.peer("rides", "signed.example", Shape::ServerAuth, script);
        let met = outbound_to(world, OPEN, &peer, &peer.domain);
        assert_eq!(met.outcome, "delivered");
        let before = peer.connections();
        let met = outbound_to(world, BARE, &peer, &peer.domain);
        assert_eq!(met.outcome, outcome, "{presents}: {met:?}");
        assert_eq!(peer.connections() - before, own, "{presents}");
        rows.push(further(met, "scripted", presents, "encrypted", "out", own));
    }
    rows
}

/// DNA-17, DNA-18, DIALBACK-20: another domain is supposed at the end of a stream when all three conditions hold, and each of
/// them broken by itself costs a connection of its own.
#[test]
fn dna_17_further_domains_where_ours_leads() {
    let world = world();
    let mut rows = ours(world);
    let silent = Script {
        errors: false,
        ..Script::default()
    };
    for (presents, both, script, elsewhere, proof, own) in [
        (
            "a second domain at the same address, with the same certificate",
            true,
            Script::default(),
            false,
            "pkix",
            0,
        ),
        (
            "the same, but the DNS leads to another address",
            true,
            Script::default(),
            true,
            "pkix",
            1,
        ),
        (
            "the same, but the certificate does not name it",
            false,
            Script::default(),
            false,
            "dialback",
            1,
        ),
        (
            "the same, but the peer answers no dialback errors",
            true,
            silent,
            false,
            "pkix",
            1,
        ),
    ] {
        let mut pair = Pair::start(world, both, script.clone());
        let other = elsewhere.then(|| {
            let identity = pair.actor.identity.clone();
            world.peer_with(&pair.second, identity, script)
        });
        if !elsewhere {
            pair = pair.publish(world);
        }
        let Pair { actor, second } = &pair;
        let met = outbound_to(world, OPEN, actor, &actor.domain);
        assert_eq!(met.said(), ("EXTERNAL", "pkix", "delivered"));
        let there = other.as_ref().unwrap_or(actor);
        let before = there.connections();
        let met = outbound_to(world, OPEN, there, second);
        assert_eq!(met.outcome, "delivered", "{presents}: {met:?}");
        assert_eq!(met.proof, proof, "{presents}: {met:?}");
        assert_eq!(there.connections() - before, own, "{presents}");
        rows.push(further(met, "scripted", presents, "encrypted", "out", own));
    }
    rows.push(both_kinds(world));
    rows.extend(between_houses(world));
    check("supposed", &rows);
}

/// Eight domains of one peer, each with both kinds of record at equal priority: whichever door would be tried first, the one
/// connection that is there does for all.
fn both_kinds(world: &World) -> Row {
    let names = [(); 8].map(|()| format!("{}.signed.example", unique("kinds")));
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let identity = world.ca.issue(&all);
    let ip = network();
    let direct = Script {
        direct: true,
        ..Script::default()
    };
    let doors = [Script::default(), direct]
        .map(|script| Actor::start_at(ip, &names[0], identity.clone(), script));
    for name in &names {
        for door in &doors {
            world.zones.add(&door.records_of(name));
        }
    }
    let connections = || doors.iter().map(Actor::connections).sum::<usize>();
    let mut last = None;
    for (index, name) in names.iter().enumerate() {
        let arrived = |id: &str| doors.iter().any(|door| door.count(id) > 0);
        let met = written(world, OPEN, name, arrived);
        let mechanism = if index == 0 { "EXTERNAL" } else { "dialback" };
        assert_eq!(met.said(), (mechanism, "pkix", "delivered"));
        assert_eq!(connections(), 1, "{name}");
        last = Some(met);
    }
    let presents = "seven more domains there, both kinds of record at equal priority";
    let met = last.expect("the last of them");
    further(met, "scripted", presents, "encrypted", "out", 0)
}

/// Both sides are ours: the second house serves two domains of one customer with one certificate.
fn between_houses(world: &World) -> Vec<Row> {
    let second = second();
    let mut rows = Vec::new();
    for (index, theirs) in SHARED.into_iter().enumerate() {
        let mut near = world.alice(OPEN);
        let mut far = second.house.alice(theirs, &world.roots);
        let id = unique("shared");
        near.message(&far.jid.clone(), &id, "between houses");
        far.until(&id);
        near.close();
        far.close();
        let good = |direction: &'static str| {
            move |a: &serde_json::Value| a["direction"] == direction && a["ok"] == true
        };
        let called = world.house.attempt(OPEN, theirs, good("out"));
        let answered = second.house.attempt(theirs, OPEN, good("in"));
        if index == 0 {
            continue;
        }
        for (attempt, direction, who) in [
            (called, "out", "Domicile, as caller"),
            (answered, "in", "Domicile, as called"),
        ] {
            assert_eq!(attempt["pairs"], 2, "{attempt:#}");
            let part = |key: &str| attempt[key].as_str().unwrap_or("none").to_owned();
            let met = Met::new(&part("mechanism"), &part("prooftype"), "delivered");
            let presents = "a second domain of one customer, with one certificate";
            rows.push(further(met, who, presents, "encrypted", direction, 0));
        }
    }
    rows
}
