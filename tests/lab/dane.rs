//! DANE: TLSA records in a signed, an unsigned, an insecurely delegated and a tampered zone, in both directions (RFC 7673,
//! RFC 7671, DANE-20 to DANE-45, DNA-22, DNA-27, DNA-28).

use crate::lab::actor::{Actor, Script};
use crate::lab::authority::{Identity, Shape, sha256_hex};
use crate::lab::house::unique;
use crate::lab::meeting::{inbound, outbound};
use crate::lab::table::{Row, check};
use crate::lab::world::{OPEN, STRICT, World, world};

/// What the judge says of whom we call: the proof at a domain that takes dialback, and at one that does not.
type Expected = (&'static str, &'static str);

const BY_DANE: Expected = ("dane", "dane");
const BY_PKIX: Expected = ("pkix", "pkix");
/// Nothing but dialback is left.
const WEAK: Expected = ("dialback", "none");
/// Nothing rescues it.
const REFUSED: Expected = ("none", "none");

struct Case {
    presents: &'static str,
    zone: &'static str,
    shape: Shape,
    /// The certificate names the SRV target instead of the domain.
    names_target: bool,
    tlsa: fn(&World, &Identity) -> Option<String>,
    expected: Expected,
}

fn none(_: &World, _: &Identity) -> Option<String> {
    None
}

fn ee(_: &World, identity: &Identity) -> Option<String> {
    Some(identity.tlsa_311())
}

const CASES: &[Case] = &[
    Case {
        presents: "unknown authority, TLSA 3 1 1",
        zone: "signed.example",
        shape: Shape::Untrusted,
        names_target: false,
        tlsa: ee,
        expected: BY_DANE,
    },
    Case {
        presents: "self-signed, TLSA 3 0 1",
        zone: "signed.example",
        shape: Shape::SelfSigned,
        names_target: false,
        tlsa: |_, identity| Some(identity.tlsa_301()),
        expected: BY_DANE,
    },
    Case {
        presents: "expired, TLSA 3 1 1",
        zone: "signed.example",
        shape: Shape::Expired,
        names_target: false,
        tlsa: ee,
        expected: BY_DANE,
    },
    Case {
        presents: "with its intermediate, TLSA 2 0 1 for that",
        zone: "signed.example",
        shape: Shape::Intermediate,
        names_target: false,
        tlsa: |world, _| Some(world.ca.tlsa_201()),
        expected: BY_DANE,
    },
    Case {
        presents: "serverAuth only, TLSA 1 1 1",
        zone: "signed.example",
        shape: Shape::ServerAuth,
        names_target: false,
        tlsa: |_, identity| Some(format!("1 1 1 {}", sha256_hex(&identity.spki))),
        expected: BY_DANE,
    },
    Case {
        presents: "unknown authority, TLSA 1 1 1",
        zone: "signed.example",
        shape: Shape::Untrusted,
        names_target: false,
        tlsa: |_, identity| Some(format!("1 1 1 {}", sha256_hex(&identity.spki))),
        expected: REFUSED,
    },
    Case {
        presents: "serverAuth only, TLSA 3 1 1 of another key",
        zone: "signed.example",
        shape: Shape::ServerAuth,
        names_target: false,
        tlsa: |_, _| Some(format!("3 1 1 {}", sha256_hex(b"another key"))),
        expected: REFUSED,
    },
    Case {
        presents: "serverAuth only, TLSA of unknown kind",
        zone: "signed.example",
        shape: Shape::ServerAuth,
        names_target: false,
        tlsa: |_, _| Some(format!("3 1 9 {}", sha256_hex(b"whatever"))),
        expected: BY_PKIX,
    },
    Case {
        presents: "unknown authority, TLSA 3 1 1 in an unsigned zone",
        zone: "unsigned.example",
        shape: Shape::Untrusted,
        names_target: false,
        tlsa: ee,
        expected: WEAK,
    },
    Case {
        presents: "unknown authority, TLSA 3 1 1 in a signed zone without DS",
        zone: "island.example",
        shape: Shape::Untrusted,
        names_target: false,
        tlsa: ee,
        expected: WEAK,
    },
    Case {
        presents: "the SRV target's name, signed zone",
        zone: "signed.example",
        shape: Shape::ServerAuth,
        names_target: true,
        tlsa: none,
        expected: BY_PKIX,
    },
    Case {
        presents: "the SRV target's name, unsigned zone",
        zone: "unsigned.example",
        shape: Shape::ServerAuth,
        names_target: true,
        tlsa: none,
        expected: WEAK,
    },
];

/// Both directions with both policies.
fn meet(
    presents: &str,
    expected: Expected,
    by_pkix: bool,
    make: impl Fn(&World) -> Actor,
) -> Vec<Row> {
    let world = world();
    let mut rows = Vec::new();
    for (local, policy, proof) in [
        (OPEN, "encrypted", expected.0),
        (STRICT, "authenticated", expected.1),
    ] {
        let actor = make(world);
        let met = outbound(world, local, &actor);
        let outcome = &met.outcome;
        assert_eq!(met.proof, proof, "{presents} out, {policy}: {met:?}");
        assert_eq!(outcome == "delivered", proof != "none", "{met:?}");
        rows.push(met.row("scripted", presents, policy, "out"));

        let met = inbound(world, local, &actor, Some(&actor.identity));
        // Who calls is judged by what is at hand before anything is looked up: the RFCs define TLSA matching for the side
        // that connects (DANE-45). Where the certificate proves nothing, the records count here too.
        assert!(local != STRICT || met.proof != "dialback", "{met:?}");
        if by_pkix {
            assert_eq!(met.proof, "pkix", "{presents} in, {policy}: {met:?}");
        } else if proof == "dane" {
            assert_eq!(met.proof, "dane", "{presents} in, {policy}: {met:?}");
        } else {
            assert!(
                ["dialback", "none"].contains(&met.proof.as_str()),
                "{presents} in, {policy}: {met:?}"
            );
        }
        rows.push(met.row("scripted", presents, policy, "in"));
    }
    rows
}

#[test]
fn dane_20_to_45_in_every_kind_of_zone() {
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let mut running = Vec::new();
        for case in CASES {
            running.push(scope.spawn(|| {
                let by_pkix = !case.names_target
                    && matches!(case.shape, Shape::ServerAuth | Shape::Intermediate);
                meet(case.presents, case.expected, by_pkix, |world| {
                    let domain = format!("{}.{}", unique("dane"), case.zone);
                    let host = format!("xmpp.{domain}");
                    let named = if case.names_target { &host } else { &domain };
                    let identity = world.ca.shaped(named, case.shape);
                    if let Some(tlsa) = (case.tlsa)(world, &identity) {
                        world.tlsa(&host, &tlsa);
                    }
                    world.peer_with(&domain, identity, Script::default())
                })
            }));
        }
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("the meetings of a case"))
            .chain(tampered())
            .collect()
    });
    check("dane", &rows);
}

/// A zone whose signatures are wrong: what is tampered with proves nothing, and rescues nothing either.
fn tampered() -> Vec<Row> {
    let world = world();
    let good = world.ca.shaped("lie.bogus.example", Shape::ServerAuth);
    let lie = Actor::start_at(
        world.bogus.delegation,
        "lie.bogus.example",
        good,
        Script::default(),
    );
    let tlsa = Actor::start_at(
        world.bogus.tlsa,
        "tlsa.bogus.example",
        world.bogus.identity.clone(),
        Script::default(),
    );
    let mut rows = Vec::new();
    for (actor, presents) in [
        (&lie, "serverAuth only, SRV tampered with"),
        (&tlsa, "unknown authority, TLSA tampered with"),
    ] {
        for (local, policy) in [(OPEN, "encrypted"), (STRICT, "authenticated")] {
            let met = outbound(world, local, actor);
            assert!(met.outcome.starts_with("bounced"), "{presents}: {met:?}");
            rows.push(met.row("scripted", presents, policy, "out"));
        }
    }
    // Who calls from such a zone: its certificate says who it is, and no DNS is asked for that. Without a good one, whoever
    // would have to be asked cannot be found.
    let self_signed = world.ca.shaped("lie.bogus.example", Shape::SelfSigned);
    for (actor, identity, presents, proof) in [
        (
            &lie,
            &lie.identity,
            "serverAuth only, SRV tampered with",
            "pkix",
        ),
        (&lie, &self_signed, "self-signed, SRV tampered with", "none"),
        (
            &tlsa,
            &tlsa.identity,
            "unknown authority, TLSA tampered with",
            "none",
        ),
    ] {
        for (local, policy) in [(OPEN, "encrypted"), (STRICT, "authenticated")] {
            let met = inbound(world, local, actor, Some(identity));
            assert_eq!(met.proof, proof, "{presents} in, {policy}: {met:?}");
            assert_eq!(actor.count("<db:verify"), 0, "nobody is asked");
            rows.push(met.row("scripted", presents, policy, "in"));
        }
    }
    rows
}
