//! What strangers cost: a known peer no look-up at all, a new one a bounded number, a flood of streams that claim one name no
//! more than one of them. Counted where it is asked: at the name server, at the website, at the peer.

use crate::lab::actor::{Actor, Answers, Script};
use crate::lab::authority::Shape;
use crate::lab::house::unique;
use crate::lab::meeting::inbound;
use crate::lab::table::check_lines;
use crate::lab::wire::Wire;
use crate::lab::world::{OPEN, World, world};

/// Most DNS questions for a peer that is new: SRV of two services, address and TLSA of its one target in both families, its
/// website's addresses, and what DNSSEC asks for on the way (names between the domain and its zone).
const QUESTIONS: usize = 24;

const HEAD: &str = "| who calls | streams | DNS questions | documents fetched | connections made |\n|---|---|---|---|---|";

/// What has been asked about a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cost {
    questions: usize,
    documents: usize,
    connections: usize,
}

const NOTHING: Cost = Cost {
    questions: 0,
    documents: 0,
    connections: 0,
};

impl Cost {
    fn so_far(world: &World, actor: &Actor) -> Self {
        Self {
            questions: world.zones.asked(&actor.domain),
            documents: world.site.asked(&actor.domain),
            connections: actor.connections(),
        }
    }

    fn since(world: &World, actor: &Actor, before: Self) -> Self {
        let now = Self::so_far(world, actor);
        Self {
            questions: now.questions - before.questions,
            documents: now.documents - before.documents,
            connections: now.connections - before.connections,
        }
    }

    fn is_within(self, most: Self) -> bool {
        self.questions <= most.questions
            && self.documents <= most.documents
            && self.connections <= most.connections
    }

    fn line(self, who: &str, streams: &str) -> String {
        let most = |count: usize| match count {
            0 => "none".to_owned(),
            1 => "at most 1".to_owned(),
            many => format!("at most {many}"),
        };
        format!(
            "| {who} | {streams} | {} | {} | {} |",
            most(self.questions),
            most(self.documents),
            most(self.connections)
        )
    }
}

/// DNA-28, POSH-46: a new peer and then the same one again, for each way to be proven.
fn one_after_the_other(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for (shape, posh, proof, who, most) in [
        (
            Shape::ServerAuth,
            false,
            ("EXTERNAL", "pkix"),
            "a peer with a good certificate",
            NOTHING,
        ),
        (
            Shape::Untrusted,
            true,
            ("EXTERNAL", "posh"),
            "a peer known by POSH",
            Cost {
                questions: QUESTIONS,
                documents: 1,
                connections: 0,
            },
        ),
        (
            Shape::Untrusted,
            false,
            ("dialback", "dialback"),
            "a peer known by dialback",
            Cost {
                questions: QUESTIONS,
                documents: 0,
                connections: 1,
            },
        ),
    ] {
        let domain = format!("{}.signed.example", unique("counted"));
        let identity = world.ca.shaped(&domain, shape);
        if posh {
            world.posh(&domain, &[&identity]);
        }
        let actor = world.peer_with(&domain, identity, Script::default());
        for (streams, calls, most) in [("the first", 1, most), ("each one after it", 3, NOTHING)] {
            // What publishing its records has asked already is not ours.
            let before = Cost::so_far(world, &actor);
            for _ in 0..calls {
                let met = inbound(world, OPEN, &actor, Some(&actor.identity));
                assert_eq!(met.said(), (proof.0, proof.1, "delivered"));
            }
            let cost = Cost::since(world, &actor, before);
            assert!(cost.is_within(most), "{who}, {streams}: {cost:?}");
            lines.push(most.line(who, streams));
        }
    }
    lines
}

/// POSH-46, DOS-08: streams that prove nothing share one look-up, and cost no more than one peer does.
fn at_once(world: &World) -> String {
    let domain = format!("{}.signed.example", unique("flood"));
    let identity = world.ca.shaped(&domain, Shape::Untrusted);
    world.web(&domain);
    let script = Script {
        answers: Answers::AlwaysInvalid,
        ..Script::default()
    };
    let actor = world.peer_with(&domain, identity, script);
    let stranger = world.ca.shaped(&domain, Shape::SelfSigned);
    let before = Cost::so_far(world, &actor);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..4 {
                    let mut wire =
                        Wire::connect_from(actor.ip(), world.house.s2s()).expect("connection");
                    let opened = wire.secure(&domain, OPEN, Some(&stranger));
                    assert!(!opened.offers_external(), "{}", opened.features);
                }
            });
        }
    });
    let cost = Cost::since(world, &actor, before);
    let most = Cost {
        questions: QUESTIONS,
        documents: 1,
        connections: 0,
    };
    assert!(cost.is_within(most), "{cost:?} for 32 streams");
    most.line(
        "somebody who claims a name and proves nothing",
        "32 at once",
    )
}

#[test]
fn posh_46_a_known_peer_costs_no_look_up_and_a_new_one_few() {
    let world = world();
    let series = "domicile_evidence_total{kind=\"posh\",result=\"remembered\"";
    let remembered = world.house.metric(series);
    let mut lines = one_after_the_other(world);
    let now = world.house.metric(series);
    // Nothing was asked because it was remembered, and the metrics say so.
    assert!(
        now >= remembered + 3,
        "{remembered} then {now}: {}",
        world.house.metrics()
    );
    lines.push(at_once(world));
    check_lines("cost", HEAD, &lines);
}
