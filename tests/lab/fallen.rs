//! Pairs that were carried and come off their streams, because the hosted domain has changed what it asks: what its owner is
//! told of each, in the panel, by the API and by `domicile peer show`.

use crate::lab::actor::{Actor, Script};
use crate::lab::authority::Shape;
use crate::lab::faults::{Fault, all_different, read_in_the_panel, shown};
use crate::lab::house::{Hosted, House, unique};
use crate::lab::kept::{directory, on_the_keeper};
use crate::lab::meeting::Met;
use crate::lab::table::{Row, check};
use crate::lab::world::{World, world};

const CHANGES: &str = "changes.signed.example";

fn start(world: &'static World) -> House {
    on_the_keeper(|| {
        let identity = world.ca.shaped(CHANGES, Shape::ServerAuth);
        let hosted = Hosted::new(CHANGES, "encrypted", identity);
        let dir = directory().join("changes");
        let root = &world.ca.root_pem;
        House::start(&dir, &world.zones, "changes", root, &[hosted], "")
    })
}

/// Alice writes to the peer, and it arrives.
fn delivered(world: &World, house: &House, peer: &Actor) -> Met {
    let mut alice = house.alice(CHANGES, &world.roots);
    let id = unique("before");
    alice.message(&format!("romeo@{}", peer.domain), &id, "x");
    peer.until(&id);
    alice.close();
    let met = Met::new("", "", "delivered");
    met.explained_by(house, CHANGES, &peer.domain, "out", |a| a["ok"] == true)
}

/// DNA-20, CERT-22: a pair that falls is told like an attempt that failed, with an explanation of its own.
#[test]
fn dna_20_a_pair_that_falls_is_told_to_the_domains_owner() {
    let world = world();
    let house = start(world);
    let peer = |shape| world.peer("falls", "signed.example", shape, Script::default());
    let pins = house.dir.join("pins.pem");
    std::fs::write(&pins, &world.pins.authority.root_pem).expect("anchors");
    let pins = pins.to_string_lossy().into_owned();
    let [listed, pinned, weak] =
        [Shape::ServerAuth, Shape::ServerAuth, Shape::SelfSigned].map(peer);
    let names = [&listed, &pinned, &weak].map(|peer| peer.domain.clone());
    let changes: [(&str, &str, Actor, Vec<&str>); 3] = [
        (
            "its block list gets the peer",
            "ended-shut-out",
            listed,
            vec!["domain", "set", CHANGES, "--block", &names[0]],
        ),
        (
            "another authority is pinned for the peer",
            "ended-pin",
            pinned,
            vec!["peer", "pin", CHANGES, &names[1], &pins],
        ),
        (
            "it begins to ask for proof",
            "ended-policy",
            weak,
            vec!["domain", "set", CHANGES, "--policy", "authenticated"],
        ),
    ];
    let mut before = Vec::new();
    let mut faults = Vec::new();
    for (words, code, peer, change) in changes {
        before.push(delivered(world, &house, &peer));
        let (status, said) = house.command(&change);
        assert_eq!(status, 0, "{words}: {said}");
        peer.until("</stream:stream");
        house.attempt(CHANGES, &peer.domain, |attempt| attempt["code"] == code);
        faults.push(Fault::of(words, CHANGES, peer));
    }
    let read = read_in_the_panel(&house, &faults);
    let words = || faults.iter().map(|fault| fault.words);
    all_different(
        "explanation",
        words().zip(read.iter().map(|read| read.why.as_str())),
    );
    let mut rows: Vec<Row> = Vec::new();
    for ((fault, met), read) in faults.iter().zip(before).zip(&read) {
        let (side, last) = shown(&house, fault);
        assert!(read.side.starts_with("Yours"), "{}", read.side);
        assert!(read.remedy.ends_with('.'), "{}", read.remedy);
        let met = Met {
            outcome: "delivered, then ended".into(),
            refusal: format!("{}; side: {side}", last["code"].as_str().unwrap_or("none")),
            ..met
        };
        rows.push(met.row("scripted", fault.words, "encrypted", "out"));
    }
    check("fallen", &rows);
}
