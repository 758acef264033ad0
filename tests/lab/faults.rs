//! Ten and more induced faults, and what `domicile peer show` says about each: a code of its own, a sentence of its own, whose
//! side it is.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::actor::{Actor, Answers, Script, network};
use crate::authority::Shape;
use crate::house::unique;
use crate::meeting::outbound;
use crate::table::{Row, check};
use crate::world::{OPEN, STRICT, World, world};

/// A fault, the hosted domain that meets it, and the peer that has it.
fn faults(world: &World) -> Vec<(&'static str, &'static str, Actor)> {
    let shaped = |shape| world.peer("fault", "unsigned.example", shape, Script::default());
    let scripted = |script| world.peer("fault", "unsigned.example", Shape::ServerAuth, script);
    let unheard = |domain: String| {
        let identity = world.ca.shaped(&domain, Shape::ServerAuth);
        // Listens where nobody is led.
        Actor::start(&domain, identity, Script::default())
    };
    let nobody = unheard(format!("{}.unsigned.example", unique("nobody")));
    let deaf = unheard(format!("{}.unsigned.example", unique("deaf")));
    world.zones.add(&[
        format!("xmpp.{} A {}", deaf.domain, network()),
        format!(
            "_xmpp-server._tcp.{} SRV 0 5 5269 xmpp.{}.",
            deaf.domain, deaf.domain
        ),
    ]);
    let addressless = unheard(format!("{}.unsigned.example", unique("addressless")));
    world.zones.add(&[format!(
        "_xmpp-server._tcp.{} SRV 0 5 5269 nowhere.{}.",
        addressless.domain, addressless.domain
    )]);
    let wrong_key = format!("{}.signed.example", unique("fault"));
    world.tlsa(
        &format!("xmpp.{wrong_key}"),
        &format!("3 1 1 {}", crate::authority::sha256_hex(b"another key")),
    );
    let wrong_key = {
        let identity = world.ca.shaped(&wrong_key, Shape::ServerAuth);
        world.peer_with(&wrong_key, identity, Script::default())
    };
    let stale = format!("{}.unsigned.example", unique("fault"));
    let other = world.ca.shaped(&stale, Shape::Untrusted);
    world.posh(&stale, &[&other]);
    let stale = {
        let identity = world.ca.shaped(&stale, Shape::Untrusted);
        world.peer_with(&stale, identity, Script::default())
    };
    vec![
        (
            "its certificate has expired",
            STRICT,
            shaped(Shape::Expired),
        ),
        (
            "its certificate is not valid yet",
            STRICT,
            shaped(Shape::NotYetValid),
        ),
        (
            "its certificate is self-signed",
            STRICT,
            shaped(Shape::SelfSigned),
        ),
        (
            "its certificate names somebody else",
            STRICT,
            shaped(Shape::WrongName),
        ),
        (
            "its certificate is for clients only",
            STRICT,
            shaped(Shape::ClientAuth),
        ),
        (
            "it leaves its intermediate out",
            STRICT,
            shaped(Shape::MissingIntermediate),
        ),
        ("its TLSA record is of another key", STRICT, wrong_key),
        ("its POSH document is of another certificate", STRICT, stale),
        ("the DNS does not know it", OPEN, nobody),
        ("its SRV target has no address", OPEN, addressless),
        ("nobody listens where it should be", OPEN, deaf),
        (
            "it refuses TLS",
            OPEN,
            scripted(Script {
                identity_called: false,
                ..Script::default()
            }),
        ),
        (
            "it refutes our dialback keys",
            OPEN,
            scripted(Script {
                external: false,
                answers: Answers::AlwaysInvalid,
                takes_keys: false,
                ..Script::default()
            }),
        ),
    ]
}

/// What is said first about the last attempt: the code, whose side, the sentence.
fn explanation(world: &World, local: &str, remote: &str) -> (String, String, String) {
    let (code, text) = world
        .house
        .command(&["peer", "show", local, remote, "--json"]);
    assert_eq!(code, 0, "{text}");
    let shown: Value = serde_json::from_str(&text).expect("JSON");
    let last = shown["attempts"]
        .as_array()
        .expect("attempts")
        .last()
        .expect("an attempt")
        .clone();
    let refusal = last["refusals"]
        .as_array()
        .and_then(|list| list.last())
        .filter(|_| last["code"].is_null());
    let part = |key: &str| {
        let value = refusal.map_or(&last[key], |refusal| &refusal[key]);
        value.as_str().unwrap_or_default().to_owned()
    };
    let summary = last["summary"].as_str().unwrap_or_default().to_owned();
    (part("code"), part("fault"), summary)
}

#[test]
fn dna_20_every_fault_has_an_explanation_of_its_own() {
    let world = world();
    let faults = faults(world);
    let told: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = faults
            .iter()
            .map(|(fault, local, actor)| {
                scope.spawn(move || {
                    let met = outbound(world, local, actor);
                    assert!(met.outcome.starts_with("bounced"), "{fault}: {met:?}");
                    (met, explanation(world, local, &actor.domain))
                })
            })
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("a fault"))
            .collect()
    });
    let mut rows: Vec<Row> = Vec::new();
    let (mut codes, mut sentences) = (BTreeSet::new(), BTreeSet::new());
    for ((fault, local, actor), (met, (code, side, sentence))) in faults.iter().zip(told) {
        assert!(
            !code.is_empty() && !side.is_empty(),
            "{fault}: {code:?} {side:?} {sentence:?}"
        );
        assert!(!sentence.is_empty(), "{fault}");
        codes.insert(code.clone());
        sentences.insert(sentence.replace(&actor.domain, "the peer"));
        let policy = if *local == STRICT {
            "authenticated"
        } else {
            "encrypted"
        };
        let mut row = met.row("scripted", fault, policy, "out");
        row.refusal = format!("{code}, side: {side}");
        rows.push(row);
    }
    assert!(codes.len() >= 10, "{codes:?}");
    assert!(sentences.len() >= 10, "{sentences:#?}");
    check("faults", &rows);
}
