//! What all tests of the laboratory share, started once: zones, authority, site, and the house that is examined.

use std::net::Ipv4Addr;
use std::sync::{Arc, LazyLock};

use rustls::RootCertStore;

use crate::harness::xmpp::Client;
use crate::lab::actor::{Actor, Script, network};
use crate::lab::authority::{Authority, Identity, Shape};
use crate::lab::house::{Hosted, House, unique};
use crate::lab::http::{Page, Site};
use crate::lab::kept::{directory, on_the_keeper};
use crate::lab::zones::Zones;

/// Takes whoever is verified, over TLS: the default.
pub const OPEN: &str = "open.signed.example";
/// Takes whoever can prove itself by certificate, DANE or POSH.
pub const STRICT: &str = "strict.signed.example";

/// Presents a certificate for servers and clients, as authorities used to issue them.
pub const BOTH: &str = "both.signed.example";
/// Proves itself by DANE alone: a certificate that nobody trusts, TLSA records at its target.
pub const DANE: &str = "dane.signed.example";
/// Proves itself by POSH alone: a certificate that nobody trusts, fingerprints at its web site.
pub const POSH: &str = "posh.signed.example";
/// Proves itself by dialback alone.
pub const BARE: &str = "bare.signed.example";

/// Takes whoever is verified.
pub const VERIFIED: &str = "verified.signed.example";
/// Takes whoever it can.
pub const PERMISSIVE: &str = "permissive.signed.example";
/// Blocks [`BLOCKED`], and has pinned what proves some peers.
pub const CHOOSY: &str = "choosy.signed.example";
/// Talks with [`ALLOWED`] only.
pub const CLOSED: &str = "closed.signed.example";

pub const BLOCKED: &str = "blocked.unsigned.example";
pub const ALLOWED: &str = "allowed.unsigned.example";

/// Peers whose own authority the choosy domain has pinned.
pub const PINNED: [&str; 5] = [
    "changed.pinned.unsigned.example",
    "private.pinned.unsigned.example",
    "public.pinned.unsigned.example",
    "posh.pinned.unsigned.example",
    "dane.pinned.signed.example",
];
/// A peer whose self-signed certificate the choosy domain has pinned.
pub const PINNED_ITSELF: &str = "itself.pinned.unsigned.example";

/// Hosted domain, policy, what it presents, more settings.
const HOSTED: &[(&str, &str, Shape, &[&str])] = &[
    (OPEN, "encrypted", Shape::ServerAuth, &[]),
    (STRICT, "authenticated", Shape::ServerAuth, &[]),
    (BOTH, "encrypted", Shape::ServerAndClientAuth, &[]),
    (DANE, "encrypted", Shape::Untrusted, &[]),
    (POSH, "encrypted", Shape::Untrusted, &[]),
    (BARE, "encrypted", Shape::Untrusted, &[]),
    (VERIFIED, "verified", Shape::ServerAuth, &[]),
    (PERMISSIVE, "permissive", Shape::ServerAuth, &[]),
    (
        CHOOSY,
        "encrypted",
        Shape::ServerAuth,
        &["--block", BLOCKED],
    ),
    (
        CLOSED,
        "encrypted",
        Shape::ServerAuth,
        &["--allow", ALLOWED],
    ),
];

pub struct World {
    pub zones: Zones,
    pub ca: Authority,
    pub site: Site,
    pub house: House,
    pub roots: Arc<RootCertStore>,
    identities: Vec<(&'static str, Identity)>,
    pub bogus: Bogus,
    pub pins: Pins,
}

/// What the choosy domain knows some peers by.
pub struct Pins {
    /// No public list has it; pinned for each of [`PINNED`].
    pub authority: Authority,
    /// Of [`PINNED_ITSELF`].
    pub itself: Identity,
}

impl Pins {
    fn of(&self, hosted: &str) -> Vec<(&'static str, String)> {
        if hosted != CHOOSY {
            return Vec::new();
        }
        let root = &self.authority.root_pem;
        let mut pins: Vec<_> = PINNED.map(|peer| (peer, root.clone())).into();
        pins.push((PINNED_ITSELF, self.itself.chain_pem.clone()));
        pins
    }
}

/// Peers in the zone whose signatures are wrong.
pub struct Bogus {
    /// Where `lie.bogus.example` is served: its SRV record was changed behind the signature.
    pub delegation: Ipv4Addr,
    /// Where `tlsa.bogus.example` is served: its TLSA record was.
    pub tlsa: Ipv4Addr,
    /// What the latter presents, and what the changed record says.
    pub identity: Identity,
}

impl Bogus {
    fn zone(&self) -> (String, Vec<(String, String)>) {
        let data = self.identity.tlsa_311().to_uppercase();
        let (start, digest) = data.split_at("3 1 1 ".len());
        let records = format!(
            "xmpp.lie IN A {}\n_xmpp-server._tcp.lie IN SRV 0 5555 5269 xmpp.lie\nxmpp.tlsa IN A {}\n\
             _xmpp-server._tcp.tlsa IN SRV 0 5 5269 xmpp.tlsa\n_5269._tcp.xmpp.tlsa IN TLSA {start}EEEEEEEE{}",
            self.delegation,
            self.tlsa,
            &digest[8..]
        );
        let tampering = vec![
            (" 5555 5269 ".into(), " 5 5269 ".into()),
            ("EEEEEEEE".into(), digest[..8].to_owned()),
        ];
        (records, tampering)
    }
}

/// Where a domain's fingerprints for servers are (RFC 7711 3, POSH-02).
pub const POSH_PATH: &str = "/.well-known/posh/xmpp-server.json";

/// A fingerprints document.
pub fn fingerprints(identities: &[&Identity]) -> String {
    let all: Vec<String> = identities
        .iter()
        .map(|identity| format!(r#"{{"sha-256":"{}"}}"#, identity.posh()))
        .collect();
    format!(r#"{{"fingerprints":[{}],"expires":3600}}"#, all.join(","))
}

/// The one laboratory of this process.
pub fn world() -> &'static World {
    static WORLD: LazyLock<World> = LazyLock::new(|| on_the_keeper(World::start));
    &WORLD
}

impl World {
    fn start() -> Self {
        let dir = directory();
        let ca = Authority::new("Federation laboratory root");
        let bogus = Bogus {
            delegation: network(),
            tlsa: network(),
            identity: ca.shaped("tlsa.bogus.example", Shape::Untrusted),
        };
        let (records, tampering) = bogus.zone();
        let zones = Zones::start(&dir.join("dns"), &records, &tampering);
        let pins = Pins {
            authority: Authority::new("Laboratory of a school"),
            itself: ca.shaped(PINNED_ITSELF, Shape::SelfSigned),
        };
        let hosted: Vec<Hosted> = HOSTED
            .iter()
            .map(|(name, policy, shape, settings)| Hosted {
                settings,
                pins: pins.of(name),
                ..Hosted::new(name, policy, ca.shaped(name, *shape))
            })
            .collect();
        let site = Site::start();
        let house = House::start(&dir.join("house"), &zones, "on", &ca.root_pem, &hosted, "");
        let by_name: Vec<_> = hosted
            .into_iter()
            .map(|hosted| (hosted.name, hosted.identity))
            .collect();
        let world = Self {
            roots: ca.roots(),
            zones,
            ca,
            site,
            house,
            identities: by_name,
            bogus,
            pins,
        };
        world.tlsa(&world.target(DANE), &world.identity(DANE).tlsa_311());
        world.posh(POSH, &[world.identity(POSH)]);
        world
    }

    /// What a hosted domain presents.
    pub fn identity(&self, hosted: &str) -> &Identity {
        let found = self.identities.iter().find(|(name, _)| *name == hosted);
        &found.expect("a hosted domain").1
    }

    /// Host that a hosted domain's SRV records name.
    pub fn target(&self, hosted: &str) -> String {
        let records = self
            .zones
            .dig(&["+short", &format!("_xmpp-server._tcp.{hosted}"), "SRV"]);
        let target = records.split_whitespace().nth(3).expect("an SRV record");
        target.trim_end_matches('.').to_owned()
    }

    /// TLSA records for both doors of a host.
    pub fn tlsa(&self, host: &str, data: &str) {
        let records: Vec<String> = [5269, 5270]
            .iter()
            .map(|port| format!("_{port}._tcp.{host} TLSA {data}"))
            .collect();
        self.zones.add(&records);
    }

    /// A web site for a domain, with a certificate of the authority, that serves nothing yet.
    pub fn web(&self, domain: &str) {
        self.zones.add(&[format!("{domain} A {}", self.site.ip)]);
        self.site.identity(domain, &self.ca.issue(&[domain]));
    }

    /// A web site that serves the fingerprints of these certificates.
    pub fn posh(&self, domain: &str, identities: &[&Identity]) {
        self.web(domain);
        self.site
            .page(domain, POSH_PATH, Page::Json(fingerprints(identities)));
    }

    /// What a client of a hosted domain trusts: the laboratory's authority, or that domain's very certificate.
    pub fn roots_of(&self, hosted: &str) -> Arc<RootCertStore> {
        if matches!(hosted, DANE | POSH | BARE) {
            self.identity(hosted).roots()
        } else {
            self.roots.clone()
        }
    }

    /// Alice of a hosted domain.
    pub fn alice(&self, hosted: &str) -> Client {
        self.house.alice(hosted, &self.roots_of(hosted))
    }

    /// A scripted peer with its records in a zone, by a name of its own.
    pub fn peer(&self, what: &str, zone: &str, shape: Shape, script: Script) -> Actor {
        let domain = format!("{}.{zone}", unique(what));
        let identity = self.ca.shaped(&domain, shape);
        self.peer_with(&domain, identity, script)
    }

    pub fn peer_with(&self, domain: &str, identity: Identity, script: Script) -> Actor {
        let actor = Actor::start(domain, identity, script);
        self.zones.add(&actor.records());
        actor
    }
}
