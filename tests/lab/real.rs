//! Debian's Prosody and ejabberd in each of their modes, in the laboratory's DNS and with its certificates, as callers and as
//! called; what they do is measured at our side and theirs, by a message each way.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::demo::loopback;
use crate::harness::peers::{Manners, Peer, Place, ejabberd_at, prosody_at};
use crate::harness::xmpp::Client;
use crate::lab::authority::Shape;
use crate::lab::house::unique;
use crate::lab::http::Page;
use crate::lab::kept::directory;
use crate::lab::meeting::Met;
use crate::lab::table::{Row, check};
use crate::lab::wire::condition;
use crate::lab::world::{
    BARE, BOTH, DANE, OPEN, POSH, POSH_PATH, STRICT, World, fingerprints, world,
};

/// How a real peer is set up.
#[derive(Debug, Clone, Copy)]
struct Mode {
    /// As the table calls it.
    words: &'static str,
    shape: Shape,
    /// Beside the certificate.
    announced: Announced,
    manners: Manners,
    /// Served by direct TLS alone.
    direct: bool,
}

/// What a peer's DNS or website says about its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Announced {
    Nothing,
    Tlsa,
    Posh,
    /// POSH by reference to another site (RFC 7711 3.2).
    PoshElsewhere,
}

impl Announced {
    fn words(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Tlsa => ", TLSA 3 1 1",
            Self::Posh => ", POSH",
            Self::PoshElsewhere => ", POSH by `url`",
        }
    }
}

/// Certificates only, from an authority that everybody trusts.
const STRICT_PEER: Mode = Mode {
    words: "strict",
    shape: Shape::ServerAuth,
    announced: Announced::Nothing,
    manners: Manners {
        strict: true,
        dane: false,
        bidi: false,
        smacks: false,
        pep: false,
        lists: false,
        services: false,
    },
    direct: false,
};

/// Verifies by dialback over TLS, and can be verified by nothing better.
const DIALBACK_PEER: Mode = Mode {
    words: "dialback",
    shape: Shape::SelfSigned,
    manners: Manners {
        strict: false,
        ..STRICT_PEER.manners
    },
    ..STRICT_PEER
};

/// What comes of a pair: the proof that our judge took when the peer called us, and when we called it. `REFUSED`: there is none.
type Expected = (&'static str, &'static str);

const REFUSED: &str = "none";

/// What a hosted domain presents, as the table calls it.
fn ours(hosted: &str) -> &'static str {
    match hosted {
        OPEN | STRICT => "serverAuth only",
        BOTH => "serverAuth and clientAuth",
        DANE => "unknown authority, TLSA 3 1 1",
        POSH => "unknown authority, POSH",
        _ => "unknown authority",
    }
}

fn prepare(world: &World, name: &str, mode: Mode) -> Place {
    let domain = format!("{}.signed.example", unique(name));
    let addr = loopback();
    let identity = world.ca.shaped(&domain, mode.shape);
    let dir = directory().join(&domain);
    identity.write(&dir, &domain);
    let ca = dir.join("ca.pem");
    std::fs::write(&ca, &world.ca.root_pem).expect("CA");
    let host = format!("xmpp.{domain}");
    let (service, port) = if mode.direct {
        ("_xmpps-server", 5270)
    } else {
        ("_xmpp-server", 5269)
    };
    world.zones.add(&[
        format!("{host} A {addr}"),
        format!("{service}._tcp.{domain} SRV 0 5 {port} {host}."),
    ]);
    match mode.announced {
        Announced::Nothing => {}
        Announced::Tlsa => world.tlsa(&host, &identity.tlsa_311()),
        Announced::Posh => world.posh(&domain, &[&identity]),
        Announced::PoshElsewhere => {
            let files = format!("files.{domain}");
            world.web(&files);
            world.web(&domain);
            let site = &world.site;
            site.page(&files, "/set.json", Page::Json(fingerprints(&[&identity])));
            let url = format!(r#"{{"url":"https://{files}/set.json","expires":3600}}"#);
            site.page(&domain, POSH_PATH, Page::Json(url));
        }
    }
    Place {
        addr,
        dir,
        ca,
        dns: world.zones.address,
        trust_anchor: world.zones.trust_anchor.clone(),
        roots: match mode.shape {
            Shape::SelfSigned => identity.roots(),
            _ => world.roots.clone(),
        },
        domain,
    }
}

fn prosody(world: &World, mode: Mode) -> Peer {
    prosody_at(prepare(world, "prosody", mode), mode.manners)
}

fn ejabberd(world: &World, mode: Mode) -> Peer {
    let mut hosts = String::from("127.0.0.1 localhost\n");
    for hosted in [OPEN, STRICT, BOTH, DANE, POSH, BARE] {
        let _ = writeln!(hosts, "{} {}", world.house.ip, world.target(hosted));
    }
    let place = prepare(world, "ejabberd", mode);
    ejabberd_at(place, mode.manners, &hosts)
}

/// One message from `sender` to `receiver`: `None` when it arrives, or the error that came back.
fn message(sender: &mut Client, receiver: &mut Client, what: &str) -> Option<String> {
    let id = unique(what);
    sender.message(&receiver.jid.clone(), &id, what);
    let end = Instant::now() + DEADLINE;
    loop {
        if receiver.settle().iter().any(|item| item.contains(&id)) {
            return None;
        }
        if let Some(error) = sender.settle().into_iter().find(|item| item.contains(&id)) {
            return Some(condition(&error));
        }
        assert!(
            Instant::now() < end,
            "{what}: neither delivered nor bounced"
        );
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Both directions between Romeo and Alice of one hosted domain.
fn both_ways(world: &World, kind: &str, peer: &Peer, mode: Mode, hosted: &str) -> Vec<Row> {
    let mut romeo = peer.online("romeo", &unique("r"));
    let mut alice = world.alice(hosted);
    let policy = if hosted == STRICT {
        "authenticated"
    } else {
        "encrypted"
    };
    let presents = format!(
        "{}{}; we: {}",
        mode.shape.words(),
        mode.announced.words(),
        ours(hosted)
    );
    let name = format!("{kind}, {}", mode.words);
    let mut rows = Vec::new();
    for direction in ["in", "out"] {
        let bounced = match direction {
            "in" => message(&mut romeo, &mut alice, "in"),
            _ => message(&mut alice, &mut romeo, "out"),
        };
        let met = match bounced {
            None => Met::new("", "", "delivered"),
            Some(condition) => Met::new("none", "none", &format!("bounced: {condition}")),
        };
        // What a peer refuses by itself before it has called us leaves nothing at our side.
        let met = if direction == "in" && met.outcome != "delivered" {
            met
        } else {
            met.explained(world, hosted, &peer.domain, direction)
        };
        rows.push(met.row(&name, &presents, policy, direction));
    }
    alice.close();
    rows
}

/// Lets one peer and the hosted domains meet, and sees what is expected.
fn meet(
    world: &World,
    kind: &str,
    peer: &Peer,
    mode: Mode,
    pairs: &[(&str, Expected)],
) -> Vec<Row> {
    let mut rows = Vec::new();
    for (hosted, expected) in pairs {
        let seen = both_ways(world, kind, peer, mode, hosted);
        let proofs = (seen[0].proof.as_str(), seen[1].proof.as_str());
        assert_eq!(proofs, *expected, "{mode:?} with {hosted}: {seen:#?}");
        for row in &seen {
            let delivered = row.outcome == "delivered";
            assert_eq!(delivered, row.proof != REFUSED, "{mode:?}: {row:#?}");
        }
        rows.extend(seen);
    }
    rows
}

#[test]
fn prosody_in_each_mode() {
    let world = world();
    let modes: &[(Mode, &[(&str, Expected)])] = &[
        (
            STRICT_PEER,
            &[
                (OPEN, ("pkix", "pkix")),
                (STRICT, ("pkix", "pkix")),
                (BOTH, ("pkix", "pkix")),
                (POSH, (REFUSED, REFUSED)),
                (DANE, (REFUSED, REFUSED)),
                (BARE, (REFUSED, REFUSED)),
            ],
        ),
        (
            Mode {
                shape: Shape::SelfSigned,
                ..STRICT_PEER
            },
            &[
                (OPEN, ("dialback", "dialback")),
                (STRICT, (REFUSED, REFUSED)),
            ],
        ),
        (
            DIALBACK_PEER,
            &[
                (BOTH, ("dialback", "dialback")),
                (OPEN, ("dialback", "dialback")),
                (STRICT, (REFUSED, REFUSED)),
                (POSH, ("dialback", "dialback")),
                (DANE, ("dialback", "dialback")),
                (BARE, ("dialback", "dialback")),
            ],
        ),
        (
            Mode {
                announced: Announced::Posh,
                ..DIALBACK_PEER
            },
            &[(OPEN, ("posh", "posh")), (STRICT, ("posh", "posh"))],
        ),
        (
            Mode {
                announced: Announced::PoshElsewhere,
                ..DIALBACK_PEER
            },
            &[(STRICT, ("posh", "posh"))],
        ),
        (
            Mode {
                words: "strict with bidi",
                manners: Manners {
                    bidi: true,
                    ..STRICT_PEER.manners
                },
                ..STRICT_PEER
            },
            &[(OPEN, ("pkix", "pkix"))],
        ),
        (
            Mode {
                words: "strict, direct TLS",
                direct: true,
                ..STRICT_PEER
            },
            &[(OPEN, ("pkix", "pkix"))],
        ),
        (
            Mode {
                words: "strict and DANE",
                announced: Announced::Tlsa,
                manners: Manners {
                    dane: true,
                    ..STRICT_PEER.manners
                },
                ..STRICT_PEER
            },
            &[
                (OPEN, ("pkix", "dane")),
                // It looks at our TLSA records when it calls; this version does not when it is called.
                (DANE, ("pkix", REFUSED)),
            ],
        ),
        (
            Mode {
                words: "dialback and DANE",
                announced: Announced::Tlsa,
                manners: Manners {
                    dane: true,
                    ..DIALBACK_PEER.manners
                },
                ..DIALBACK_PEER
            },
            &[
                (OPEN, ("dane", "dane")),
                (STRICT, ("dane", "dane")),
                (DANE, ("dane", "dane")),
            ],
        ),
    ];
    let mut rows = Vec::new();
    for (mode, pairs) in modes {
        let peer = prosody(world, *mode);
        rows.extend(meet(world, "Prosody", &peer, *mode, pairs));
    }
    check("prosody", &rows);
}

#[test]
fn ejabberd_in_each_mode() {
    let world = world();
    let modes: &[(Mode, &[(&str, Expected)])] = &[
        (
            STRICT_PEER,
            &[
                // It takes no certificate without clientAuth from who calls (C-08), and a strict one takes nothing else.
                (OPEN, ("pkix", REFUSED)),
                (STRICT, ("pkix", REFUSED)),
                (BOTH, ("pkix", "pkix")),
                (POSH, (REFUSED, REFUSED)),
                (DANE, (REFUSED, REFUSED)),
                (BARE, (REFUSED, REFUSED)),
            ],
        ),
        (
            Mode {
                shape: Shape::ServerAuth,
                ..DIALBACK_PEER
            },
            &[
                // Before any stream by dialback is there, on which it could ride.
                (BOTH, ("pkix", "pkix")),
                (OPEN, ("pkix", "pkix")),
                (STRICT, ("pkix", "pkix")),
                (POSH, ("pkix", "pkix")),
                (DANE, ("pkix", "pkix")),
                (BARE, ("pkix", "pkix")),
            ],
        ),
        (
            DIALBACK_PEER,
            &[
                (OPEN, ("dialback", "dialback")),
                (STRICT, (REFUSED, REFUSED)),
                (BARE, ("dialback", "dialback")),
            ],
        ),
        (
            Mode {
                words: "strict, direct TLS",
                direct: true,
                ..STRICT_PEER
            },
            &[(BOTH, ("pkix", "pkix"))],
        ),
        (
            Mode {
                announced: Announced::Posh,
                ..DIALBACK_PEER
            },
            &[(STRICT, ("posh", "posh"))],
        ),
        (
            Mode {
                announced: Announced::Tlsa,
                ..DIALBACK_PEER
            },
            &[(STRICT, ("dane", "dane"))],
        ),
    ];
    let mut rows = Vec::new();
    for (mode, pairs) in modes {
        let peer = ejabberd(world, *mode);
        rows.extend(meet(world, "ejabberd", &peer, *mode, pairs));
    }
    check("ejabberd", &rows);
}
