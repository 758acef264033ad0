//! What an owner reads of a peer: each direction with the proof of its own (DNA-20), in the list and its search.

use std::time::Instant;

use serde_json::Value;

use crate::harness::DEADLINE;
use crate::lab::actor::Script;
use crate::lab::authority::Shape;
use crate::lab::meeting::{inbound, outbound};
use crate::lab::world::{OPEN, World, world};

/// The peer in the list of whom `OPEN` has met, found by its name, once it is written down and `fits`.
fn listed(world: &World, peer: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + DEADLINE;
    loop {
        let page = world
            .house
            .api(&format!("/domains/{OPEN}/peers?search={peer}"))
            .expect("a page");
        let peers = page["peers"].as_array().expect("peers");
        if let Some(found) = peers
            .iter()
            .find(|found| found["peer"] == peer && fits(found))
        {
            assert_eq!(page["total"], 1, "{page:#}");
            return found.clone();
        }
        assert!(Instant::now() < end, "{page:#}\n{}", world.house.log_tail());
        std::thread::park_timeout(std::time::Duration::from_millis(50));
    }
}

#[test]
fn dna_20_the_owner_reads_both_directions_each_with_its_proof() {
    let world = world();
    let peer = world.peer(
        "directions",
        "unsigned.example",
        Shape::ServerAuth,
        Script::default(),
    );
    let met = outbound(world, OPEN, &peer);
    assert_eq!(
        (met.proof.as_str(), met.outcome.as_str()),
        ("pkix", "delivered")
    );
    let seen = listed(world, &peer.domain, |peer| peer["outgoing"]["ok"] == true);
    assert_eq!(seen["outgoing"]["prooftype"], "pkix", "{seen:#}");
    assert_eq!(seen["incoming"], Value::Null, "{seen:#}");

    // They show something else when they call: nothing vouches for it, so they are asked back.
    let other = world.ca.shaped(&peer.domain, Shape::SelfSigned);
    let met = inbound(world, OPEN, &peer, Some(&other));
    assert_eq!(met.proof, "dialback");
    let seen = listed(world, &peer.domain, |peer| peer["incoming"]["ok"] == true);
    assert_eq!(seen["incoming"]["prooftype"], "dialback", "{seen:#}");
    assert_eq!(seen["outgoing"]["prooftype"], "pkix", "{seen:#}");
}
