//! Every kind of TLSA record that may count: usage, selector and matching type, of what is presented and of something else
//! (RFC 6698 2.1, RFC 7671, DANE-31 to DANE-38).

use crate::lab::actor::{Actor, Script};
use crate::lab::authority::{Identity, Shape};
use crate::lab::house::unique;
use crate::lab::meeting::{Met, inbound, outbound};
use crate::lab::table::check_lines;
use crate::lab::world::{STRICT, World, world};

const HEAD: &str =
    "| TLSA | presents | out | in | record of another certificate, out |\n|---|---|---|---|---|";

/// What a peer presents so that a record of this usage can hold.
fn identity(world: &World, usage: u8, domain: &str) -> Identity {
    match usage {
        // PKIX has to hold as well (DANE-32).
        1 => world.ca.shaped(domain, Shape::ServerAuth),
        2 => world.ca.shaped(domain, Shape::Untrusted).with_authority(),
        _ => world.ca.shaped(domain, Shape::Untrusted),
    }
}

fn words(usage: u8) -> &'static str {
    match usage {
        1 => "serverAuth only",
        2 => "unknown authority, which is shown too",
        _ => "unknown authority",
    }
}

fn peer(world: &World, (usage, selector, matching): (u8, u8, u8), other: bool) -> Actor {
    let domain = format!("{}.signed.example", unique("tlsa"));
    let shown = identity(world, usage, &domain);
    let described = match other {
        true => &identity(world, usage, &domain),
        false => &shown,
    };
    let data = described.tlsa(usage, selector, matching);
    world.tlsa(&format!("xmpp.{domain}"), &data);
    world.peer_with(&domain, shown, Script::default())
}

fn line(world: &World, kind: (u8, u8, u8)) -> String {
    let (usage, selector, matching) = kind;
    let actor = peer(world, kind, false);
    let out = outbound(world, STRICT, &actor);
    assert_eq!(
        (out.proof.as_str(), out.outcome.as_str()),
        ("dane", "delivered"),
        "{kind:?}"
    );
    let actor = peer(world, kind, false);
    let back = inbound(world, STRICT, &actor, Some(&actor.identity));
    // Who calls is judged first by what is at hand.
    let proof = if usage == 1 { "pkix" } else { "dane" };
    assert_eq!(
        (back.proof.as_str(), back.outcome.as_str()),
        (proof, "delivered"),
        "{kind:?}"
    );
    let other = outbound(world, STRICT, &peer(world, kind, true));
    assert!(other.outcome.starts_with("bounced"), "{kind:?}: {other:?}");
    assert!(
        other.refusal.contains("tlsa-mismatch"),
        "{kind:?}: {other:?}"
    );
    let good = |met: &Met| format!("{}, {}", met.outcome, met.proof);
    format!(
        "| {usage} {selector} {matching} | {} | {} | {} | {}: {} |",
        words(usage),
        good(&out),
        good(&back),
        other.outcome,
        other.refusal
    )
}

/// At a domain that takes nothing weaker, so that no dialback rescues anything.
#[test]
fn dane_37_every_usage_selector_and_matching_type() {
    let world = world();
    let lines: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = (1..=3)
            .map(|usage| {
                scope.spawn(move || {
                    let kinds = (0..=1).flat_map(|s| (0..=2).map(move |m| (usage, s, m)));
                    kinds.map(|kind| line(world, kind)).collect::<Vec<_>>()
                })
            })
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("the records of a usage"))
            .collect()
    });
    assert_eq!(lines.len(), 18);
    check_lines("tlsa", HEAD, &lines);
}
