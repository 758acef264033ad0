//! What strangers cost: a known peer no look-up at all, a new one a bounded number, a flood of streams that claim one name no
//! more than one of them.

use crate::actor::{Answers, Script};
use crate::authority::Shape;
use crate::house::unique;
use crate::meeting::inbound;
use crate::wire::Wire;
use crate::world::{OPEN, STRICT, world};

/// Most DNS questions for a peer that is new: SRV of two services, address and TLSA of its one target in both families, its
/// website's addresses, and what DNSSEC asks for on the way (names between the domain and its zone).
const QUESTIONS: usize = 24;

#[test]
fn dna_a_known_peer_costs_no_look_up_and_a_new_one_few() {
    let world = world();
    let domain = format!("{}.signed.example", unique("counted"));
    let identity = world.ca.shaped(&domain, Shape::Untrusted);
    world.posh(&domain, &[&identity]);
    let actor = world.peer_with(&domain, identity, Script::default());
    // What publishing its records has asked already is not ours.
    let before = world.zones.asked(&domain);
    let cost = || {
        (
            world.zones.asked(&domain) - before,
            world.site.asked(&domain),
        )
    };

    let met = inbound(world, STRICT, &actor, Some(&actor.identity));
    assert_eq!(met.said(), ("EXTERNAL", "posh", "delivered"));
    let (questions, documents) = cost();
    assert!(
        questions <= QUESTIONS,
        "{questions} questions for one new peer"
    );
    assert_eq!(documents, 1);

    let remembered = world
        .house
        .metric("domicile_evidence_total{kind=\"posh\",result=\"remembered\"");
    for _ in 0..3 {
        let met = inbound(world, STRICT, &actor, Some(&actor.identity));
        assert_eq!(met.said(), ("EXTERNAL", "posh", "delivered"));
    }
    assert_eq!(
        cost(),
        (questions, documents),
        "a known peer is not looked up"
    );
    let now = world
        .house
        .metric("domicile_evidence_total{kind=\"posh\",result=\"remembered\"");
    assert!(
        now >= remembered + 3,
        "{remembered} then {now}: {}",
        world.house.metrics()
    );
}

/// POSH-46, DOS-08: streams that prove nothing share one look-up, and cost no more than one peer does.
#[test]
fn posh_46_a_flood_of_streams_for_one_name_asks_once() {
    let world = world();
    let domain = format!("{}.signed.example", unique("flood"));
    let identity = world.ca.shaped(&domain, Shape::Untrusted);
    world.web(&domain);
    let actor = world.peer_with(
        &domain,
        identity,
        Script {
            answers: Answers::AlwaysInvalid,
            ..Script::default()
        },
    );
    let stranger = world.ca.shaped(&domain, Shape::SelfSigned);
    let before = world.zones.asked(&domain);
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
    let questions = world.zones.asked(&domain) - before;
    assert!(
        questions <= QUESTIONS,
        "{questions} questions for 32 streams"
    );
    assert!(
        world.site.asked(&domain) <= 1,
        "{} requests for 32 streams",
        world.site.asked(&domain)
    );
}
