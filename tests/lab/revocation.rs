//! Certificates that their authority has taken back, as its lists say (RFC 5280 5, CERT-16): revoked, good, and lists that
//! cannot be had or prove nothing.

use crate::actor::Script;
use crate::authority::Authority;
use crate::house::unique;
use crate::http::Page;
use crate::meeting::{inbound, outbound};
use crate::table::{Row, check};
use crate::world::{OPEN, STRICT, World, world};

struct Case {
    presents: &'static str,
    /// What is at the place that the certificate names, given its serial number.
    page: fn(&World, u64) -> Option<Page>,
    revoked: bool,
}

const CASES: &[Case] = &[
    Case {
        presents: "revoked by the CRL of its authority",
        page: |world, serial| Some(Page::Binary(world.ca.revoked(&[serial]))),
        revoked: true,
    },
    Case {
        presents: "good by the CRL of its authority",
        page: |world, serial| Some(Page::Binary(world.ca.revoked(&[serial + 1000]))),
        revoked: false,
    },
    Case {
        presents: "its CRL cannot be had",
        page: |_, _| None,
        revoked: false,
    },
    Case {
        presents: "its CRL never comes",
        page: |_, _| Some(Page::Silence),
        revoked: false,
    },
    Case {
        presents: "its CRL cannot be read",
        page: |_, _| Some(Page::Binary(b"no list at all".to_vec())),
        revoked: false,
    },
    Case {
        presents: "revoked by a CRL that somebody else signed",
        page: |_, serial| {
            let stranger = Authority::new("Federation laboratory root");
            Some(Page::Binary(stranger.revoked(&[serial])))
        },
        revoked: false,
    },
];

fn meetings(index: usize, case: &Case) -> Vec<Row> {
    let world = world();
    let mut rows = Vec::new();
    for (local, policy) in [(OPEN, "encrypted"), (STRICT, "authenticated")] {
        for direction in ["in", "out"] {
            let domain = format!("{}.signed.example", unique("listed"));
            let lists = format!("lists.{domain}");
            world.web(&lists);
            let serial = 7_000 + index as u64;
            if let Some(page) = (case.page)(world, serial) {
                world.site.page(&lists, "/it.crl", page);
            }
            let url = format!("http://{lists}/it.crl");
            let identity = world.ca.listed(&domain, serial, &url);
            let peer = world.peer_with(&domain, identity, Script::default());
            let met = match direction {
                "in" => inbound(world, local, &peer, Some(&peer.identity)),
                _ => outbound(world, local, &peer),
            };
            assert!(world.site.asked(&lists) > 0, "{}: not asked", case.presents);
            // A list says that a certificate is revoked, or says nothing: unknown is never failed.
            let expected = match (case.revoked, local) {
                (false, _) => "pkix",
                (true, OPEN) => "dialback",
                (true, _) => "none",
            };
            assert_eq!(
                met.proof, expected,
                "{} {direction}: {met:?}",
                case.presents
            );
            assert_eq!(met.outcome == "delivered", expected != "none", "{met:?}");
            rows.push(met.row("scripted", case.presents, policy, direction));
        }
    }
    rows
}

#[test]
fn cert_16_revoked_good_and_unknown() {
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let running: Vec<_> = CASES
            .iter()
            .enumerate()
            .map(|(index, case)| scope.spawn(move || meetings(index, case)))
            .collect();
        running
            .into_iter()
            .flat_map(|thread| thread.join().expect("the meetings of a case"))
            .collect()
    });
    check("revocation", &rows);
}
