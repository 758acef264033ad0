//! What a hosted domain says about its peers: its policy in XEP-0238's words, its lists, the authorities it has pinned.

use crate::lab::actor::{Actor, Script};
use crate::lab::authority::{Identity, Shape};
use crate::lab::house::unique;
use crate::lab::meeting::{Met, call, inbound, outbound};
use crate::lab::table::{Row, check};
use crate::lab::wire::{Wire, condition};
use crate::lab::world::{
    ALLOWED, BLOCKED, CHOOSY, CLOSED, OPEN, PERMISSIVE, PINNED, PINNED_ITSELF, STRICT, VERIFIED,
    World, world,
};

/// What a peer has to show for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Certificate,
    Tlsa,
    Posh,
    /// A certificate that proves nothing.
    Dialback,
    /// TLS without one.
    NoCertificate,
    NoTls,
}

const SHOWN: &[(Shown, &str)] = &[
    (Shown::Certificate, "serverAuth only"),
    (Shown::Tlsa, "unknown authority, TLSA 3 1 1"),
    (Shown::Posh, "unknown authority, POSH"),
    (Shown::Dialback, "unknown authority"),
    (Shown::NoCertificate, "no certificate"),
    (Shown::NoTls, "no TLS"),
];

impl Shown {
    /// By what it is proven, where `policy` takes that.
    fn proof(self, policy: &str) -> &'static str {
        match self {
            Self::Certificate => "pkix",
            Self::Tlsa => "dane",
            Self::Posh => "posh",
            Self::Dialback | Self::NoCertificate if policy != "authenticated" => "dialback",
            // Plaintext streams do not exist here, whatever a policy would take.
            _ => "none",
        }
    }

    fn peer(self, world: &World) -> Actor {
        let domain = format!("{}.signed.example", unique("policy"));
        let shape = match self {
            Self::Certificate => Shape::ServerAuth,
            _ => Shape::Untrusted,
        };
        let identity = world.ca.shaped(&domain, shape);
        match self {
            Self::Tlsa => world.tlsa(&format!("xmpp.{domain}"), &identity.tlsa_311()),
            Self::Posh => world.posh(&domain, &[&identity]),
            _ => {}
        }
        let tls = self != Self::NoTls;
        let script = Script {
            identity_called: tls,
            advertises_tls: tls,
            ..Script::default()
        };
        world.peer_with(&domain, identity, script)
    }

    /// The peer calls us.
    fn calls(self, world: &World, local: &str) -> Met {
        let peer = self.peer(world);
        match self {
            Self::NoTls => {
                let mut wire =
                    Wire::connect_from(peer.ip(), world.house.s2s()).expect("connection");
                let opened = wire.open(&peer.domain, local);
                assert!(opened.features.contains("<required"), "{}", opened.features);
                wire.say(&format!(
                    "<db:result from='{}' to='{local}'>{}</db:result>",
                    peer.domain,
                    peer.key(&opened.id)
                ));
                let answer = wire.item();
                assert_eq!(peer.connections(), 0, "nobody is asked");
                Met::new("none", "none", &format!("refused: {}", condition(&answer)))
            }
            Self::NoCertificate => inbound(world, local, &peer, None),
            _ => inbound(world, local, &peer, Some(&peer.identity)),
        }
    }
}

/// XEP-0238, VHOST-11, DNA-21: each policy with whatever a peer may have to show.
#[test]
fn vhost_11_policies_in_the_words_of_xep_0238() {
    let world = world();
    let meetings = |local: &'static str, policy: &'static str| {
        let mut rows = Vec::new();
        for (shown, presents) in SHOWN {
            let proof = shown.proof(policy);
            let met = shown.calls(world, local);
            assert_eq!(met.proof, proof, "{presents} in, {policy}: {met:?}");
            rows.push(met.row("scripted", presents, policy, "in"));
            // Who is called always has a certificate, or no TLS.
            if *shown == Shown::NoCertificate {
                continue;
            }
            let peer = shown.peer(world);
            let met = outbound(world, local, &peer);
            assert_eq!(met.proof, proof, "{presents} out, {policy}: {met:?}");
            assert_eq!(met.outcome == "delivered", proof != "none", "{met:?}");
            if *shown == Shown::NoTls {
                assert_eq!(peer.count("<db:result"), 0, "{:?}", peer.heard());
            }
            rows.push(met.row("scripted", presents, policy, "out"));
        }
        rows
    };
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let running: Vec<_> = [
            (PERMISSIVE, "permissive"),
            (VERIFIED, "verified"),
            (OPEN, "encrypted"),
            (STRICT, "authenticated"),
        ]
        .map(|(local, policy)| scope.spawn(move || meetings(local, policy)))
        .into();
        let joined = running.into_iter();
        joined
            .flat_map(|thread| thread.join().expect("the meetings of a policy"))
            .collect()
    });
    check("policies", &rows);
}

/// A peer under a name that some domain's rules speak of.
fn named(world: &World, domain: &str, identity: Identity) -> Actor {
    world.peer_with(domain, identity, Script::default())
}

/// Who is blocked, or not on the list of those allowed, is refused whatever it shows, before anything is looked up (S2S-12).
#[test]
fn s2s_12_lists_in_both_directions() {
    let world = world();
    let good = |domain: &str| named(world, domain, world.ca.shaped(domain, Shape::ServerAuth));
    let (blocked, allowed) = (good(BLOCKED), good(ALLOWED));
    let unlisted = good(&format!("{}.unsigned.example", unique("unlisted")));
    let mut rows = Vec::new();
    for (local, peer, presents, delivered) in [
        (CHOOSY, &blocked, "on the list of blocked ones", false),
        (CLOSED, &allowed, "on the list of allowed ones", true),
        (CLOSED, &unlisted, "not on the list of allowed ones", false),
        // What one hosted domain refuses means nothing to another.
        (OPEN, &blocked, "blocked by another hosted domain", true),
    ] {
        let before = world.zones.asked(&peer.domain);
        for direction in ["in", "out"] {
            let met = match direction {
                "in" => inbound(world, local, peer, Some(&peer.identity)),
                _ => outbound(world, local, peer),
            };
            let proof = if delivered { "pkix" } else { "none" };
            assert_eq!(met.proof, proof, "{presents} {direction}: {met:?}");
            assert_eq!(met.outcome == "delivered", delivered, "{met:?}");
            rows.push(met.row("scripted", presents, "encrypted", direction));
        }
        if !delivered {
            assert_eq!(world.zones.asked(&peer.domain), before, "{presents}");
            assert_eq!(peer.connections(), 0, "{presents}");
        }
    }
    check("lists", &rows);
}

/// CERT-21, CERT-22: where an authority is pinned for a peer, nothing else proves it.
#[test]
fn cert_22_pinned_authorities_exclude_all_others() {
    let world = world();
    let [_, private, public, posh, dane] = PINNED;
    let school = &world.pins.authority;
    let peers = [
        (
            private,
            school.shaped(private, Shape::ServerAuth),
            "of the pinned authority",
            true,
        ),
        (
            PINNED_ITSELF,
            world.pins.itself.clone(),
            "self-signed, itself pinned",
            true,
        ),
        (
            public,
            world.ca.shaped(public, Shape::ServerAuth),
            "serverAuth only, another authority is pinned",
            false,
        ),
        (
            posh,
            world.ca.shaped(posh, Shape::Untrusted),
            "unknown authority, POSH, another authority is pinned",
            false,
        ),
        (
            dane,
            world.ca.shaped(dane, Shape::Untrusted),
            "unknown authority, TLSA 3 1 1, another authority is pinned",
            false,
        ),
    ];
    let mut rows = Vec::new();
    for (domain, identity, presents, holds) in peers {
        if domain == posh {
            world.posh(domain, &[&identity]);
        }
        if domain == dane {
            world.tlsa(&format!("xmpp.{domain}"), &identity.tlsa_311());
        }
        let peer = named(world, domain, identity);
        for direction in ["in", "out"] {
            let met = match direction {
                "in" => inbound(world, CHOOSY, &peer, Some(&peer.identity)),
                _ => outbound(world, CHOOSY, &peer),
            };
            let proof = if holds { "pkix" } else { "none" };
            assert_eq!(met.proof, proof, "{presents} {direction}: {met:?}");
            assert_eq!(met.outcome == "delivered", holds, "{met:?}");
            rows.push(met.row("scripted", presents, "encrypted", direction));
        }
        if domain == posh {
            assert_eq!(world.site.asked(domain), 0, "its website has no say");
        }
    }
    // The pin is one hosted domain's own: to another, the private authority is nobody.
    let (_, _, outcome) = call(
        world,
        STRICT,
        &Actor::start(
            private,
            school.shaped(private, Shape::ServerAuth),
            Script::default(),
        ),
        Some(&school.shaped(private, Shape::ServerAuth)),
    );
    assert!(outcome.starts_with("refused"), "{outcome}");
    check("pinned", &rows);
}
