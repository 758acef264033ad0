//! Two instances of our own server, each proving itself to the other by one prooftype alone.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::lab::authority::{Identity, Shape};
use crate::lab::house::{Hosted, House, unique};
use crate::lab::kept::{directory, on_the_keeper};
use crate::lab::meeting::Met;
use crate::lab::table::{Row, check};
use crate::lab::world::{BARE, DANE, OPEN, POSH, world};

/// Domain at the second house, its policy, what it presents, the domain of the first house it talks with, the proof.
const PAIRS: &[(&str, &str, Shape, &str, &str)] = &[
    (
        "pkix.two.signed.example",
        "authenticated",
        Shape::ServerAuth,
        OPEN,
        "pkix",
    ),
    (
        "dane.two.signed.example",
        "authenticated",
        Shape::Untrusted,
        DANE,
        "dane",
    ),
    (
        "posh.two.signed.example",
        "authenticated",
        Shape::Untrusted,
        POSH,
        "posh",
    ),
    (
        "bare.two.signed.example",
        "encrypted",
        Shape::Untrusted,
        BARE,
        "dialback",
    ),
];

/// Two domains of the second house that share a certificate.
pub const SHARED: [&str; 2] = [
    "one.shared.two.signed.example",
    "other.shared.two.signed.example",
];

pub struct Second {
    pub house: House,
    identities: Vec<(&'static str, Identity)>,
}

pub fn second() -> &'static Second {
    static SECOND: LazyLock<Second> = LazyLock::new(|| on_the_keeper(start));
    &SECOND
}

fn start() -> Second {
    let world = world();
    let shared = world.ca.issue(&SHARED);
    let hosted: Vec<Hosted> = PAIRS
        .iter()
        .map(|(name, policy, shape, ..)| Hosted::new(name, policy, world.ca.shaped(name, *shape)))
        .chain(SHARED.map(|name| Hosted::new(name, "encrypted", shared.clone())))
        .collect();
    let dir = directory().join("second");
    let house = House::start(
        &dir,
        &world.zones,
        "second",
        &world.ca.root_pem,
        &hosted,
        "",
    );
    let identities: Vec<_> = hosted.into_iter().map(|h| (h.name, h.identity)).collect();
    for (name, identity) in &identities {
        if name.starts_with("dane") {
            world.tlsa(&world.target(name), &identity.tlsa_311());
        }
        if name.starts_with("posh") {
            world.posh(name, &[identity]);
        }
    }
    Second { house, identities }
}

fn good(direction: &'static str) -> impl Fn(&Value) -> bool {
    move |attempt| attempt["direction"] == direction && attempt["ok"] == true
}

#[test]
fn dna_each_prooftype_alone_between_two_houses() {
    let (world, second) = (world(), second());
    let mut rows = Vec::new();
    for (theirs, _, shape, ours, proof) in PAIRS {
        let identity = &second
            .identities
            .iter()
            .find(|(n, _)| n == theirs)
            .expect("hosted")
            .1;
        let roots = match shape {
            Shape::ServerAuth => world.roots.clone(),
            _ => identity.roots(),
        };
        let mut near = world.alice(ours);
        let mut far = second.house.alice(theirs, &roots);
        for answer in [false, true] {
            let (from, to) = if answer {
                (&mut far, &mut near)
            } else {
                (&mut near, &mut far)
            };
            let id = unique("between");
            from.message(&to.jid.clone(), &id, "between houses");
            let end = Instant::now() + DEADLINE;
            while !to.settle().iter().any(|item| item.contains(&id)) {
                let back = from.settle();
                assert!(
                    !back.iter().any(|item| item.contains(&id)),
                    "{ours} and {theirs}: {back:?}\n{}",
                    second.house.log_tail()
                );
                assert!(Instant::now() < end, "{ours} and {theirs}: lost");
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        near.close();
        far.close();
        let called = world.house.attempt(ours, theirs, good("out"));
        let answered = second.house.attempt(theirs, ours, good("in"));
        for (attempt, direction, who) in [
            (called, "out", "Domicile, as caller"),
            (answered, "in", "Domicile, as called"),
        ] {
            assert_eq!(
                attempt["prooftype"], *proof,
                "{ours} and {theirs}, {direction}: {attempt:#}"
            );
            let mechanism = attempt["mechanism"].as_str().unwrap_or("none");
            let policy = if direction == "in" && *proof != "dialback" {
                "authenticated"
            } else {
                "encrypted"
            };
            rows.push(Row {
                ..Met::new(mechanism, proof, "delivered").row(
                    who,
                    &format!("{proof} alone"),
                    policy,
                    direction,
                )
            });
        }
    }
    check("houses", &rows);
}
