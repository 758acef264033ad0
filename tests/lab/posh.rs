//! POSH: fingerprints, references, redirects and everything that can be wrong with them, in both directions, in a zone that
//! proves nothing by itself (RFC 7711, POSH-16 to POSH-46, DNA-24, DNA-25).

use crate::lab::actor::{Actor, Script};
use crate::lab::authority::{Identity, Shape};
use crate::lab::house::unique;
use crate::lab::http::Page;
use crate::lab::meeting::{inbound, outbound};
use crate::lab::table::{Row, check};
use crate::lab::world::{OPEN, POSH_PATH, STRICT, World, fingerprints, world};

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// It proves the peer.
    Proof,
    /// As if there were none (DNA-25).
    Nothing,
    /// There is a document, and it speaks against what is presented: nothing weaker rescues it (POSH-31, POSH-32).
    Against,
}
use Expected::{Against, Nothing, Proof};

struct Case {
    presents: &'static str,
    shape: Shape,
    expected: Expected,
    /// Puts the documents where they belong.
    publish: fn(&World, &str, &Identity),
}

fn document(world: &World, domain: &str, text: String) {
    world.web(domain);
    world.site.page(domain, POSH_PATH, Page::Json(text));
}

fn reference(to: &str) -> String {
    format!(r#"{{"url":"{to}","expires":3600}}"#)
}

const CASES: &[Case] = &[
    Case {
        presents: "fingerprint",
        shape: Shape::Untrusted,
        expected: Proof,
        publish: |world, domain, identity| world.posh(domain, &[identity]),
    },
    Case {
        presents: "fingerprint of a certificate with another name",
        shape: Shape::WrongName,
        expected: Proof,
        publish: |world, domain, identity| world.posh(domain, &[identity]),
    },
    Case {
        presents: "two fingerprints, the second matches",
        shape: Shape::Untrusted,
        expected: Proof,
        publish: |world, domain, identity| {
            let other = world.ca.shaped(domain, Shape::Untrusted);
            world.posh(domain, &[&other, identity]);
        },
    },
    Case {
        presents: "`url` to another site",
        shape: Shape::Untrusted,
        expected: Proof,
        publish: |world, domain, identity| {
            let host = format!("files.{domain}");
            world.web(&host);
            world
                .site
                .page(&host, "/set.json", Page::Json(fingerprints(&[identity])));
            document(
                world,
                domain,
                reference(&format!("https://{host}/set.json")),
            );
        },
    },
    Case {
        presents: "redirect to another site",
        shape: Shape::Untrusted,
        expected: Proof,
        publish: |world, domain, identity| {
            let host = format!("files.{domain}");
            world.web(&host);
            world.web(domain);
            world
                .site
                .page(&host, "/set.json", Page::Json(fingerprints(&[identity])));
            let to = format!("https://{host}/set.json");
            world.site.page(domain, POSH_PATH, Page::Redirect(to));
        },
    },
    Case {
        presents: "redirect to plain HTTP",
        shape: Shape::Untrusted,
        expected: Nothing,
        publish: |world, domain, _| {
            world.web(domain);
            let to = format!("http://{domain}/set.json");
            world.site.page(domain, POSH_PATH, Page::Redirect(to));
        },
    },
    Case {
        presents: "`url` to a second `url`",
        shape: Shape::Untrusted,
        expected: Nothing,
        publish: |world, domain, identity| {
            let at = |path: &str| format!("https://{domain}{path}");
            document(world, domain, reference(&at("/second.json")));
            let site = &world.site;
            site.page(
                domain,
                "/second.json",
                Page::Json(reference(&at("/third.json"))),
            );
            site.page(domain, "/third.json", Page::Json(fingerprints(&[identity])));
        },
    },
    Case {
        presents: "fingerprint of another certificate",
        shape: Shape::Untrusted,
        expected: Against,
        publish: |world, domain, _| {
            let other = world.ca.shaped(domain, Shape::Untrusted);
            world.posh(domain, &[&other]);
        },
    },
    Case {
        presents: "fingerprint, expired certificate",
        shape: Shape::Expired,
        expected: Against,
        publish: |world, domain, identity| world.posh(domain, &[identity]),
    },
    Case {
        presents: "fingerprint with `expires` 0",
        shape: Shape::Untrusted,
        expected: Nothing,
        publish: |world, domain, identity| {
            document(
                world,
                domain,
                fingerprints(&[identity]).replace("3600", "0"),
            );
        },
    },
    Case {
        presents: "both fingerprints and `url`",
        shape: Shape::Untrusted,
        expected: Nothing,
        publish: |world, domain, identity| {
            let text = fingerprints(&[identity]);
            let url = format!(r#"{{"url":"https://{domain}/x.json","#);
            document(world, domain, text.replacen('{', &url, 1));
        },
    },
    Case {
        presents: "not JSON",
        shape: Shape::Untrusted,
        expected: Nothing,
        publish: |world, domain, _| document(world, domain, "<html/>".into()),
    },
    Case {
        presents: "site with an untrusted certificate",
        shape: Shape::Untrusted,
        expected: Nothing,
        publish: |world, domain, identity| {
            world.posh(domain, &[identity]);
            let stranger = world.ca.shaped(domain, Shape::SelfSigned);
            world.site.identity(domain, &stranger);
        },
    },
    Case {
        presents: "site without the document",
        shape: Shape::Untrusted,
        expected: Nothing,
        publish: |world, domain, _| world.web(domain),
    },
    Case {
        presents: "site that never answers",
        shape: Shape::Untrusted,
        expected: Nothing,
        publish: |world, domain, _| {
            world.web(domain);
            world.site.page(domain, POSH_PATH, Page::Silence);
        },
    },
    Case {
        presents: "no site at all",
        shape: Shape::Untrusted,
        expected: Nothing,
        publish: |_, _, _| {},
    },
];

fn peer(world: &World, case: &Case) -> Actor {
    let domain = format!("{}.unsigned.example", unique("posh"));
    let identity = world.ca.shaped(&domain, case.shape);
    (case.publish)(world, &domain, &identity);
    world.peer_with(&domain, identity, Script::default())
}

fn meetings(case: &Case) -> Vec<Row> {
    let world = world();
    let mut rows = Vec::new();
    for (local, policy) in [(OPEN, "encrypted"), (STRICT, "authenticated")] {
        let expected = match (case.expected, local) {
            (Proof, _) => "posh",
            (Nothing, OPEN) => "dialback",
            (Nothing | Against, _) => "none",
        };
        for direction in ["in", "out"] {
            let actor = peer(world, case);
            let met = match direction {
                "in" => inbound(world, local, &actor, Some(&actor.identity)),
                _ => outbound(world, local, &actor),
            };
            assert_eq!(
                met.proof, expected,
                "{} {direction}, {policy}: {met:?}",
                case.presents
            );
            assert_eq!(met.outcome == "delivered", expected != "none", "{met:?}");
            rows.push(met.row("scripted", case.presents, policy, direction));
        }
    }
    rows
}

#[test]
fn posh_16_to_46_documents_good_and_bad() {
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let running: Vec<_> = CASES
            .iter()
            .map(|case| scope.spawn(|| meetings(case)))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("the meetings of a case"))
            .collect()
    });
    check("posh", &rows);
}

/// DNA-28: a peer whose certificate is good needs no website, and none is asked.
#[test]
fn dna_28_posh_is_not_asked_where_pkix_holds() {
    let world = world();
    let domain = format!("{}.unsigned.example", unique("posh"));
    let identity = world.ca.shaped(&domain, Shape::ServerAuth);
    world.posh(&domain, &[&identity]);
    let actor = world.peer_with(&domain, identity, Script::default());
    let met = inbound(world, STRICT, &actor, Some(&actor.identity));
    assert_eq!(met.said(), ("EXTERNAL", "pkix", "delivered"));
    assert_eq!(world.site.asked(&domain), 0);
}
