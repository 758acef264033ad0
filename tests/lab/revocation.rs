//! Certificates that their authority has taken back, as its lists (RFC 5280 5) and its responder (RFC 6960) say, asked or
//! stapled (CERT-16, CERT-28): revoked, good, and what cannot be had or proves nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::harness::tools::{Service, free_port, program};
use crate::lab::actor::Script;
use crate::lab::authority::{Authority, Identity, Told};
use crate::lab::house::unique;
use crate::lab::http::Page;
use crate::lab::kept::{directory, kept, on_the_keeper};
use crate::lab::meeting::{inbound, outbound};
use crate::lab::table::{Row, check};
use crate::lab::world::{OPEN, STRICT, World, world};

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

fn by_list(index: usize, case: &Case) -> Vec<Row> {
    let world = world();
    both_ways(case.presents, case.revoked, |world, domain| {
        let lists = format!("lists.{domain}");
        world.web(&lists);
        let serial = 7_000 + index as u64;
        if let Some(page) = (case.page)(world, serial) {
            world.site.page(&lists, "/it.crl", page);
        }
        let url = format!("http://{lists}/it.crl");
        world.ca.revocable(domain, serial, &Told::List(url))
    })
    .into_iter()
    .inspect(|(_, domain)| assert!(world.site.asked(&format!("lists.{domain}")) > 0, "{domain}"))
    .map(|(row, _)| row)
    .collect()
}

/// Both directions with both policies; gives each row with the name of the peer.
fn both_ways(
    presents: &str,
    revoked: bool,
    make: impl Fn(&World, &str) -> Identity,
) -> Vec<(Row, String)> {
    let world = world();
    let mut rows = Vec::new();
    for local in [OPEN, STRICT] {
        for direction in ["in", "out"] {
            let domain = format!("{}.signed.example", unique("revocable"));
            let identity = make(world, &domain);
            let row = meet(
                world, local, direction, presents, revoked, &domain, identity,
            );
            rows.push((row, domain));
        }
    }
    rows
}

fn meet(
    world: &World,
    local: &str,
    direction: &'static str,
    presents: &str,
    revoked: bool,
    domain: &str,
    identity: Identity,
) -> Row {
    let peer = world.peer_with(domain, identity, Script::default());
    let met = match direction {
        "in" => inbound(world, local, &peer, Some(&peer.identity)),
        _ => outbound(world, local, &peer),
    };
    // Unknown is never failed.
    let (policy, expected) = match (revoked, local) {
        (false, OPEN) => ("encrypted", "pkix"),
        (true, OPEN) => ("encrypted", "dialback"),
        (false, _) => ("authenticated", "pkix"),
        (true, _) => ("authenticated", "none"),
    };
    assert_eq!(met.proof, expected, "{presents} {direction}: {met:?}");
    assert_eq!(met.outcome == "delivered", expected != "none", "{met:?}");
    met.row("scripted", presents, policy, direction)
}

/// OpenSSL's own responder, which speaks for the laboratory's authority.
struct Responder {
    address: SocketAddr,
    dir: PathBuf,
    service: Service,
}

const REVOKED: u64 = 0x2000;
const GOOD: u64 = 0x2001;
/// Of a certificate that the responder has never heard of.
const UNHEARD: u64 = 0x2002;

impl Responder {
    fn start(world: &World) -> Self {
        let dir = directory().join("responder");
        std::fs::create_dir_all(&dir).expect("directory");
        let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect(name);
        write("ca.pem", &world.ca.root_pem);
        write("ca.key", &world.ca.root_key_pem);
        write(
            "index.txt",
            &format!(
                "R\t440101000000Z\t250101000000Z,keyCompromise\t{REVOKED:04X}\tunknown\t/CN=revoked\n\
                 V\t440101000000Z\t\t{GOOD:04X}\tunknown\t/CN=good\n"
            ),
        );
        let address = SocketAddr::new([127, 0, 0, 1].into(), free_port([127, 0, 0, 1].into()));
        let mut command = kept(&program("openssl"));
        command
            .args(["ocsp", "-port", &address.port().to_string()])
            .args(SIGNING)
            .current_dir(&dir);
        let mut service = Service::start("responder", &mut command, dir.join("responder.log"));
        // It hangs on a connection that says nothing, so none is made to see whether it listens.
        service.says("waiting for OCSP client connections");
        Self {
            address,
            dir,
            service,
        }
    }

    /// What it would say about this certificate, to be stapled.
    fn staple(&self, identity: &Identity) -> Vec<u8> {
        let name = unique("leaf");
        let (leaf, out) = (format!("{name}.pem"), format!("{name}.der"));
        std::fs::write(self.dir.join(&leaf), &identity.chain_pem).expect("certificate");
        let made = Command::new(program("openssl"))
            .args([
                "ocsp", "-issuer", "ca.pem", "-cert", &leaf, "-respout", &out,
            ])
            .args(SIGNING)
            .current_dir(&self.dir)
            .output()
            .expect("openssl");
        let text = String::from_utf8_lossy(&made.stderr);
        std::fs::read(self.dir.join(&out)).unwrap_or_else(|e| panic!("{e}: {text}"))
    }
}

const SIGNING: [&str; 10] = [
    "-index",
    "index.txt",
    "-CA",
    "ca.pem",
    "-rsigner",
    "ca.pem",
    "-rkey",
    "ca.key",
    "-ndays",
    "7",
];

/// RFC 6960: what the authority says when it is asked.
fn by_responder(responder: &Responder) -> Vec<Row> {
    let nobody = SocketAddr::new([127, 0, 0, 1].into(), free_port([127, 0, 0, 1].into()));
    let mut rows = Vec::new();
    for (presents, serial, at, revoked) in [
        (
            "revoked by the OCSP responder of its authority",
            REVOKED,
            responder.address,
            true,
        ),
        (
            "good by the OCSP responder of its authority",
            GOOD,
            responder.address,
            false,
        ),
        (
            "unknown to the OCSP responder of its authority",
            UNHEARD,
            responder.address,
            false,
        ),
        ("its OCSP responder cannot be reached", GOOD, nobody, false),
    ] {
        let how = Told::Responder(format!("http://{at}/"));
        let met = both_ways(presents, revoked, |world, domain| {
            world.ca.revocable(domain, serial, &how)
        });
        rows.extend(met.into_iter().map(|(row, _)| row));
    }
    rows
}

/// CERT-28: a certificate that demands a stapled response, shown by who is called.
fn by_staple(world: &World, responder: &Responder) -> Vec<Row> {
    let mut rows = Vec::new();
    for (presents, serial, stapled, revoked) in [
        ("demands a staple, and none comes", GOOD, false, true),
        ("demands a staple, which is good", GOOD, true, false),
        (
            "demands a staple, which says that it is revoked",
            REVOKED,
            true,
            true,
        ),
    ] {
        for local in [OPEN, STRICT] {
            let domain = format!("{}.signed.example", unique("stapled"));
            let mut identity = world.ca.revocable(&domain, serial, &Told::Staple);
            if stapled {
                identity.staple = responder.staple(&identity);
            }
            rows.push(meet(
                world, local, "out", presents, revoked, &domain, identity,
            ));
        }
    }
    rows
}

#[test]
fn cert_16_revoked_good_and_unknown() {
    let world = world();
    let responder = on_the_keeper(move || Responder::start(world));
    let rows: Vec<Row> = std::thread::scope(|scope| {
        let running: Vec<_> = CASES
            .iter()
            .enumerate()
            .map(|(index, case)| scope.spawn(move || by_list(index, case)))
            .collect();
        let asked = scope.spawn(|| by_responder(&responder));
        let stapled = scope.spawn(|| by_staple(world, &responder));
        running
            .into_iter()
            .chain([asked, stapled])
            .flat_map(|thread| thread.join().expect("the meetings of a case"))
            .collect()
    });
    // One question for each certificate that names it, however many streams showed it.
    let asked = responder.service.text().matches("Received request").count();
    assert!((3..=6).contains(&asked), "{}", responder.service.text());
    check("revocation", &rows);
}
